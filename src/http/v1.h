/* v1.h - V1's paths name a version by its number or by its label; those of V2 by its number. */
#ifndef HTTP_V1_H
#define HTTP_V1_H

#include "http/exchange.h"

/* The version that the path names, which is READY; NULL with the contract's sentence. */
struct served *v1_find_ready(const struct exchange *exchange, struct percept_err *err);

#endif
