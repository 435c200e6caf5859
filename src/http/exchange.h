/*
 * exchange.h - one HTTP request's life: target, headers, body, job, reply; and what handlers see of
 * the server. Handlers (v2_*.c, metrics.c, page.c) are functions of an exchange: they look at what
 * was asked and leave a reply, or start the job and wait. They know neither microhttpd nor sockets,
 * and tests call them with an exchange of their own.
 *
 *     static void hello(struct exchange *exchange)
 *     {
 *         exchange_reply(exchange, 200, "application/json", bytes_of_text("{}"));
 *     }
 *
 * Owned by the loop. Its memory is one arena (and one for the body), freed when microhttpd has done
 * with the request: reply bytes are lent to microhttpd, never copied. Exchanges are kept for reuse.
 */
#ifndef HTTP_EXCHANGE_H
#define HTTP_EXCHANGE_H

#include "base/arena.h"
#include "base/err.h"
#include "http/cors.h"
#include "http/framing.h"
#include "http/ids.h"
#include "http/keys.h"
#include "http/peer.h"
#include "http/text.h"
#include "serve/catalog.h"
#include "serve/job.h"
#include "serve/pace.h"
#include "serve/repository.h"
#include "serve/settings.h"

#define EXCHANGE_STATUSES 600
#define EXCHANGE_HEADERS 12
#define EXCHANGE_LEAVING 16 /* large requests that are over and leave in parts at a time */

struct MHD_Connection;
struct MHD_Response;
struct exchange;
struct route;
struct slices;
struct video;
struct websocket;

/* Of a body that is used while it comes. */
enum exchange_pace {
    PACE_ON,    /* it made a step: its time begins anew */
    PACE_FULL,  /* what comes next is left in the socket until the next step */
    PACE_WHOLE, /* nothing comes any more */
};

/* What all exchanges of a server share. */
struct site {
    struct catalog *catalog;
    struct repository *repository;
    const struct settings *settings;
    struct keys keys;
    struct client_shm *client_shm; /* NULL: not served */
    int port;
    bool draining;   /* not ready any more; connections are asked to end */
    bool abandoning; /* requests that still run are given up */
    int n_connections;
    struct ids ids;
    struct cors cors;                     /* origins whose pages may use us */
    struct peers trusted;                 /* proxies whose X-Forwarded-For is believed */
    uint64_t n_accepted;                  /* connections so far */
    uint64_t n_handshakes_failed;         /* of TLS */
    uint64_t statuses[EXCHANGE_STATUSES]; /* replies so far */
    struct pace_histogram lookups;        /* replies that no model is run for: from readable to written */
    const struct pace *pace;              /* the loop's; NULL: there is none */
    int64_t started_ms;                   /* wall clock, ms since the epoch */
    uint64_t cpu_busy, cpu_total;         /* of the machine when it was looked at last (metrics.c) */
    size_t body_bytes;                    /* held by all exchanges */
    size_t turnover_bytes;                /* that ended exchanges had used, since it was set to 0 */
    int64_t refusals_ns;                  /* when the second began in which these were: */
    int n_refusals, n_unlogged;
    struct exchange *spare;
    int n_spare;
    struct arena leaving[EXCHANGE_LEAVING]; /* of requests that are over, freed in parts */
    int n_leaving;
    struct MHD_Response *last_word; /* 507, for when there is no memory for any other reply */
    struct slices *slices;          /* replies that are being written, the one that waits longest first */
    int64_t slice_ns;               /* at a time; 0: all at once */
    struct video *videos;           /* that others may watch (v2_video.c) */
    void (*held)(struct exchange *exchange, bool held);                /* a stream waits for more, or goes on */
    void (*paced)(struct exchange *exchange, enum exchange_pace pace); /* a body is used while it comes, and how fast */
    void (*resumed)(struct site *site);                                /* a reply is there: look at it in this turn */
    /* Its socket is its WebSocket's from now on, with what came behind the head, until exchange_close_socket. */
    void (*upgraded)(struct exchange *exchange, int fd, struct bytes early, void *handle);
    int n_sockets; /* WebSockets */
};

enum exchange_state {
    EXCHANGE_HEAD,     /* the target is known, headers are not */
    EXCHANGE_BODY,     /* accepted so far; the body is coming */
    EXCHANGE_WAITING,  /* its job is under way; microhttpd holds still */
    EXCHANGE_ANSWERED, /* has its reply; what is left of the body is thrown away */
};

/* Who uses a body while it comes, instead of its being collected. */
struct exchange_taker {
    bool (*take)(struct exchange *exchange, struct bytes piece); /* false: cut it off */
    void (*whole)(struct exchange *exchange);                    /* instead of the route's handler */
    void (*leave)(struct exchange *exchange);                    /* the exchange goes */
};

struct exchange_reply_header {
    const char *name;
    const char *value;
};

struct exchange {
    struct exchange *next; /* among the spare ones */
    struct site *site;
    void *connection; /* server.c's */
    struct MHD_Connection *mhd;
    struct arena arena;
    enum exchange_state state;

    /* asked */
    const char *target; /* as it came, undecoded */
    const char *method;
    const char *path; /* decoded, without the base path */
    const char *base; /* that, or "" */
    struct framing headers;
    const char *id;     /* the client's X-Request-Id, or made_id */
    const char *trace;  /* the client's traceparent, or NULL */
    const char *origin; /* whose page may read the reply, as CORS says it, or NULL */
    const char *client; /* its address, for the access log; or NULL */
    int64_t uid;        /* the user's at the other end of a socket file; -1: it came otherwise */
    char made_id[IDS_MADE + 1];
    const struct route *route;
    const char *name;    /* of the model, "" when the route has none */
    uint64_t owner;      /* keys_owner of the key that it showed; 0: none is needed */
    const char *item;    /* what the path names beside it, such as a sequence; or "" */
    int64_t version;     /* 0: not given */
    int64_t readable_ns; /* when it can have been readable at the earliest; 0: not known */
    int64_t arrived_ns;
    struct arena body_arena;
    uint8_t *body;
    size_t body_bytes, body_capacity;
    size_t received_bytes; /* what was thrown away included */
    struct job job;
    struct control *control;                    /* what it waits for instead of the job; or NULL */
    struct slices *slices;                      /* or this, its reply (slices.h); or NULL */
    const struct exchange_taker *taker;         /* of its body; or NULL */
    struct video *video;                        /* the taker's (v2_video.c) */
    void (*give_up)(struct exchange *exchange); /* how what is neither job nor control is given up; or NULL */

    /* answered */
    int status;
    const char *type;
    struct bytes reply;
    int64_t retry_s; /* after which a 503 may be tried again; 0: at once, which is a second */
    int n_headers;
    struct exchange_reply_header reply_headers[EXCHANGE_HEADERS];
    struct websocket *socket; /* of a request for one, until it is open; or NULL */
    bool ops;                 /* it came by a door for health and /metrics alone */
    struct text stream;       /* of a reply that is written while it is made: what is not sent yet */
    size_t stream_sent;       /* of that */
    size_t streamed_bytes;
    size_t streamed_text; /* v2_generate.c's */
    bool streaming, stream_ended;
    bool stream_held; /* microhttpd holds still until there is more */
    bool left;        /* its client has, while it was made */
    bool crowded;     /* its connection has no place of its own; ends after the reply */
    bool early;       /* reply before the body has come; the connection ends */
};

/* For handlers. Each request gets exactly one reply; the bytes must live as long as the exchange.
 */
void exchange_reply(struct exchange *exchange, int status, const char *type, struct bytes body);
/* Ends the text with a newline, for terminals. */
void exchange_reply_text(struct exchange *exchange, int status, const char *type, struct text *text);
/* Our own faults have a line in the log each; refusals too, but at most ten a second. */
void exchange_error(struct exchange *exchange, const struct percept_err *err);
void exchange_refuse(struct exchange *exchange, enum err_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void exchange_add_header(struct exchange *exchange, const char *name, const char *value);

/* Instead of a reply: status 200, and a body that comes piece by piece. Afterwards a job's end is told by
 * exchange_stream_end, whether its client is still there or not. */
void exchange_stream(struct exchange *exchange, const char *type);
void exchange_stream_on(struct exchange *exchange);  /* more of it is in exchange->stream */
void exchange_stream_end(struct exchange *exchange); /* the exchange may be gone afterwards */

/* Instead of a reply: status 101, and the connection is the WebSocket's, which is the exchange's until then. */
void exchange_upgrade(struct exchange *exchange, struct websocket *socket, const char *accept, const char *protocol);
void exchange_close_socket(void *handle);

/* The body and the arena that it lies in are the caller's from now on. */
struct arena exchange_give_body(struct exchange *exchange, struct bytes *body);

/* Of a job that is no exchange's: its memory, given back in parts where it is large. */
void exchange_release(struct site *site, struct arena *arena);

/* The handler started exchange->job, or exchange->control, and replies when it is done. */
void exchange_wait(struct exchange *exchange);

/* For server.c and tests, in the order of a request's life. */
struct exchange *exchange_new(struct site *site, const char *target);
void exchange_read_headers(struct exchange *exchange, const char *version);
void exchange_judge(struct exchange *exchange, const char *method);              /* may answer, even early */
bool exchange_take(struct exchange *exchange, const void *data, size_t n_bytes); /* false: cut it off */
void exchange_handle(struct exchange *exchange);              /* the request is whole: reply or wait */
void exchange_cancel(struct exchange *exchange);              /* the client is gone, or waited long enough */
struct bytes exchange_written(struct exchange *exchange);     /* the whole reply, for no microhttpd */
bool exchange_send(struct exchange *exchange);                /* false: there is no way but to close */
void exchange_end(struct exchange *exchange, int64_t now_ns); /* the reply is written, or nobody reads it */
void exchange_free(struct exchange *exchange);

/* Its connection has done with it: it is freed, now or when what it streams has ended. */
void exchange_complete(struct exchange *exchange);

/* Gives back what ended exchanges left for the next ones, and all that is leaving: at any time. */
void exchange_free_spare(struct site *site);

/* Gives back a part of what is leaving, little work: once a turn until nothing is left (true). */
bool exchange_free_part(struct site *site);

/* The reply of a request for which memory is too short to make one: made at the start, and given
 * back at the end alone. */
bool exchange_make_last_word(struct site *site, struct percept_err *err);
bool exchange_send_last_word(struct site *site, struct MHD_Connection *mhd);
void exchange_free_last_word(struct site *site);

#endif
