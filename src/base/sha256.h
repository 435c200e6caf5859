/* sha256.h - SHA-256 (FIPS 180-4) of bytes in memory; for comparing secrets, not for speed. */
#ifndef BASE_SHA256_H
#define BASE_SHA256_H

#include "base/bytes.h"

#define SHA256_BYTES 32

void sha256(struct bytes data, uint8_t digest[SHA256_BYTES]);

#endif
