/*
 * routes.h - method and path -> handler, from routes.def. A pattern is written as in api.md: NAME
 * stands for a model's name, REPO for a repository's, N for a version's digits or a label of it, LABEL for
 * a label alone, ID for a sequence's, FILE for a file's of the page, [...] for a part that may be left out, [...|...]
 * for one of two such parts.
 *
 *     struct routes_found found = {0};
 *     routes_find("GET", "/v2/models/digits/versions/3", &arena, &found);
 *     found.route->handle(exchange);    found.name is "digits", found.version 3
 *
 * When there is no route: found.allow has the methods of that path (405), or found.err says what is
 * wrong with it, or neither (404). HEAD goes where GET does.
 */
#ifndef HTTP_ROUTES_H
#define HTTP_ROUTES_H

#include "base/arena.h"
#include "http/keys.h"
#include "percept.h"

struct exchange;

enum route_flags {
    ROUTE_PLAIN = 0,
    ROUTE_ADMIN = 1,   /* changes the server: 403 without --admin */
    ROUTE_VITAL = 2,   /* answered also to those for whom there is no place */
    ROUTE_CODED = 4,   /* its body may come compressed */
    ROUTE_REGION = 8,  /* NAME is no model's but a client's own: any text */
    ROUTE_V1 = 16,     /* V1's bodies and statuses */
    ROUTE_SOCKET = 32, /* a WebSocket, whose key may come as a protocol */
};

struct route {
    const char *method;
    const char *pattern;
    void (*handle)(struct exchange *exchange);
    void (*judge)(struct exchange *exchange); /* by the head alone: refuses, or does nothing */
    unsigned scope;                           /* of API keys that may use it; 0: it needs none */
    unsigned flags;
};

struct routes_found {
    const struct route *route; /* NULL: none */
    const char *name;          /* "" when the pattern has no NAME; in the arena */
    int64_t version;           /* 0 when the path has none */
    const char *label;         /* that stands where a version may; "" when none does; in the arena */
    const char *item;          /* what stands for ID or FILE; "" when the pattern has neither; in the arena */
    const char *allow;         /* "GET, HEAD" */
    struct percept_err err;
};

void routes_find(const char *method, const char *path, struct arena *arena, struct routes_found *found);

/* The rows, in their order; NULL behind the last. */
const struct route *routes_row(int i);

/* One line per route, for `perceptd --routes` and the check of api.md. */
void routes_print(void (*line)(void *user, const char *text), void *user);

/* The handlers, one declaration per row, and what judges before a body is asked for. */
#define R(method, pattern, handle, judge, scope, flags) void handle(struct exchange *exchange);
#include "http/routes.def"
#undef R
void v2_infer_judge(struct exchange *exchange);

/* Is the body a video, by its head? It gets a taker then, or is refused (v2_video.c). */
bool v2_video_is(const struct exchange *exchange);
void v2_video_judge(struct exchange *exchange);

#endif
