/*
 * phases.h - where each connection is in its life, since when, and whose turn it is to go. A
 * connection is in one phase, and a phase is a list of connections in the order in which their
 * clients last did something. Time is a parameter, in milliseconds of any clock that never goes
 * back; nothing here knows sockets.
 *
 *     struct phases phases = {0};
 *     phases_add(&phases, connection, now_ms);                     PHASE_HEADER
 *     phases_enter(&phases, connection, PHASE_BODY, now_ms);
 *     phases_moved(&phases, connection, now_ms);                   a piece of the body came
 *     struct connection *longest = phases_longest(&phases, false);        may give its place to another
 *     phases_remove(&phases, connection);
 *
 * When no more bytes will come (phases_end) a connection is in PHASE_LEFT wherever it would wait
 * for them; once it was cut it stays in PHASE_CUT.
 *
 * Connections are the caller's. Thread: the loop's.
 */
#ifndef HTTP_PHASES_H
#define HTTP_PHASES_H

#include <stdbool.h>
#include <stdint.h>

#include "http/receive.h"

struct exchange;
struct origin;
struct server;
struct websocket;

enum phase {
    PHASE_HEADER, /* connected, or its head is coming */
    PHASE_BODY,
    PHASE_WORK,   /* the request is whole, and its answer is not there yet */
    PHASE_REPLY,  /* the answer is being sent */
    PHASE_IDLE,   /* between two requests */
    PHASE_SOCKET, /* a WebSocket, which has deadlines of its own */
    PHASE_LEFT,   /* instead of those that wait for bytes, where none will come */
    PHASE_CUT,    /* shut down by us; its end is on the way */
    N_PHASES
};

struct connection {
    struct connection *before, *after; /* in its phase */
    struct exchange *exchange;         /* NULL: it has no request, or not its first line */
    const struct origin *origin;       /* server.c's */
    uint64_t since_ms;                 /* in this phase */
    uint64_t moved_ms;                 /* when its client last did something, as far as we know */
    uint64_t n_pumps;                  /* server.c's: when it last moved */
    enum phase phase;
    int fd;
    bool ended; /* no more bytes will come */
    bool gone;  /* as the client has closed its side; else they are malformed */
    bool over;  /* it came when all places were taken and nobody's place could be had */
    struct receiver receiver;
    struct websocket *socket; /* while it is one; NULL */
    void *upgrade;            /* microhttpd's handle of it */
    struct server *server;    /* whose it is then */
};

struct phase_list {
    struct connection *first, *last;
    int n;
};

struct phases {
    struct phase_list lists[N_PHASES];
};

void phases_add(struct phases *phases, struct connection *connection, uint64_t now_ms);
void phases_remove(struct phases *phases, struct connection *connection);
void phases_enter(struct phases *phases, struct connection *connection, enum phase phase, uint64_t now_ms);

/* Its client did something; the phase and the time since when it is in it stay. */
void phases_moved(struct phases *phases, struct connection *connection, uint64_t now_ms);

/* No more bytes will come. */
void phases_end(struct phases *phases, struct connection *connection, uint64_t now_ms);

/* The one that can be spared first, or NULL: of those for which no bytes will come, else of those
 * that wait for bytes, the one whose client has done nothing for longest. Either of those that are
 * over the limit, or of the others. Of those that are over, the one that takes longest to read its
 * reply is better than none. */
struct connection *phases_longest(const struct phases *phases, bool over);

#endif
