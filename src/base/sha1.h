/* sha1.h - SHA-1 (FIPS 180-4) of a short text, as WebSocket's handshake wants it (RFC 6455, 4.2.2); nothing is kept
 * secret by it. */
#ifndef BASE_SHA1_H
#define BASE_SHA1_H

#include "base/bytes.h"

#define SHA1_BYTES 20
#define SHA1_MOST 119 /* bytes that are taken: two blocks */

void sha1(struct bytes data, uint8_t digest[SHA1_BYTES]);

#endif
