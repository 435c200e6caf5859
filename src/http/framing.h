/*
 * framing.h - what a request may look like before we listen to it, and the headers that we act
 * upon. It sees them as microhttpd read them, stream.h as they came; behind a proxy, headers that
 * two parsers can read in two ways are how requests are smuggled. Everything here is a pure
 * function of bytes, so that tests and fuzzers need no socket.
 *
 *     struct framing framing;
 *     framing_start(&framing, "HTTP/1.1");
 *     framing_header(&framing, name, value);       once per header
 *     if (!framing_end(&framing, &err)) ... 400, close
 *
 * The views kept in it live as long as the headers they were made from.
 */
#ifndef HTTP_FRAMING_H
#define HTTP_FRAMING_H

#include "base/arena.h"
#include "base/bytes.h"
#include "percept.h"

#define FRAMING_FORWARDED 4

struct framing {
    const char *fault; /* the first thing wrong, as a sentence; NULL: none */
    bool http_1_1;
    bool chunked;
    bool expects_continue;
    int64_t content_length; /* -1: none given */
    unsigned seen;          /* one bit per kept header, to notice the second one */
    struct bytes host, content_type, content_encoding, accept, accept_encoding, authorization, api_key;
    struct bytes json_bytes; /* Inference-Header-Content-Length */
    struct bytes timeout_ms; /* X-Request-Timeout-Ms */
    struct bytes request_id; /* X-Request-Id; of several the first */
    struct bytes origin;
    struct bytes if_none_match;
    struct bytes connection, upgrade, ws_key, ws_version, ws_protocol; /* of a WebSocket; of several the first */
    struct bytes trace;                                                /* traceparent */
    struct bytes forwarded[FRAMING_FORWARDED];                         /* X-Forwarded-For: of many the last */
    int n_forwarded;
};

void framing_start(struct framing *framing, const char *version);
void framing_header(struct framing *framing, struct bytes name, struct bytes value);
bool framing_end(struct framing *framing, struct percept_err *err);

/* The path of a request target: the query is cut off, percent-escapes are decoded, an absolute
 * URI loses its host. Refuses %00, %2F, control bytes, broken escapes and targets that are no
 * path. In the arena. */
const char *framing_path(const char *target, struct arena *arena, struct percept_err *err);

/* Decimal digits and nothing else, at most 18 of them. */
bool framing_number(struct bytes text, int64_t *value);

/* Case-insensitive comparison with an ASCII text. */
bool framing_same(struct bytes bytes, const char *text);

#endif
