/*
 * cors.h - which pages of other origins may use the server from a browser (Fetch standard, "CORS protocol"). Off
 * without --cors-origin: browsers then keep replies from them.
 *
 *     struct cors cors;
 *     cors_read((const char *const[]){"https://app.example"}, 1, &cors, &err);
 *     const char *origin = cors_allowed(&cors, header);     what the reply says, or NULL
 *
 * Keys travel in headers, never in cookies, so nothing is said of credentials. Pure functions; any thread.
 */
#ifndef HTTP_CORS_H
#define HTTP_CORS_H

#include <stdbool.h>

#include "base/bytes.h"
#include "percept.h"

/* The caller's texts. */
struct cors {
    int n;
    const char *const *origins; /* "*": all */
};

/* For a preflight's reply, and for all others: header names that pages may send, and read. */
#define CORS_ALLOW_HEADERS                                                                                             \
    "Content-Type, Content-Encoding, Authorization, X-API-Key, Inference-Header-Content-Length, "                      \
    "X-Request-Timeout-Ms, X-Request-Id, traceparent, tracestate"
#define CORS_EXPOSE_HEADERS                                                                                            \
    "Inference-Header-Content-Length, X-Request-Id, traceparent, Server-Timing, Retry-After, Allow, Accept-Encoding"
#define CORS_MAX_AGE "7200" /* seconds: as long as any browser keeps it */

/* SCHEME://HOST[:PORT] each, or "*". False with a sentence that names the wrong one. */
bool cors_read(const char *const *origins, int n, struct cors *cors, struct percept_err *err);

/* "*", or the origin as our list has it: nothing of a request comes back. */
const char *cors_allowed(const struct cors *cors, struct bytes origin);

#endif
