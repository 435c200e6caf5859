/*
 * daemon.h - for tests: a real server in a process of its own, and a client that speaks bytes.
 *
 *     struct settings settings = daemon_settings();
 *     settings.max_body_bytes = 1000;
 *     struct daemon daemon;
 *     daemon_start(&daemon, &settings, NULL);
 *     struct client client;
 *     client_open(&client, &daemon);
 *     client_send(&client, "GET /v2 HTTP/1.1\r\nHost: x\r\n\r\n");
 *     struct reply reply = client_reply(&client);         reply.status, reply.head, reply.body
 *     client_close(&client);
 *     ck_assert_int_eq(daemon_end(&daemon), 0);           SIGTERM, drain, exit status
 *
 * The daemon serves two models: "relu" ([N,2] -> [N,2] of FP32, y = max(x, 0)), and "broken", which
 * cannot be read. Every wait of a client has a limit, past which the test fails: nothing here
 * sleeps.
 */
#ifndef TESTS_HTTP_DAEMON_H
#define TESTS_HTTP_DAEMON_H

#include "serve/settings.h"

#include <sys/types.h>

struct daemon {
    pid_t pid;
    int port;
    int door_port; /* of daemon_door */
    char folder[64];
};

/* Short deadlines, small limits, no queue delay. */
struct settings daemon_settings(void);

/* A queue delay that makes each request of "relu" wait, so that it can be caught under way. */
#define DAEMON_SLOW_US 200000

/* Descriptors that daemons started from now on may have; 0: as many as this process. */
extern int daemon_fd_limit;

/* The allocation that fails in daemons started from now on, counted from when they listen; 0:
 * none. And whether all after it fail too. */
extern size_t daemon_fail_at;
extern bool daemon_fail_on;

/* The letter that "relu" calls its input in daemons started from now on. */
extern char daemon_input;

/* The manifest of "relu" in daemons started from now on; NULL: it has none. */
extern const char *daemon_manifest;
/* Whether daemons started from now on serve "chain" as well, which remembers and goes on: it takes ids [N,1] of the
 * letters a to e, whose scores [N,1,5] say which comes next, round and round, and counts its steps in the state h
 * [N,1] -> hn. And "maps", which passes on x [N,2,2,3], of which its config.pbtxt says that channels are last. */
extern bool daemon_chain;

/* A second place that daemons started from now on listen at; NULL: none. The first speaks no TLS. */
extern const char *daemon_door;

/* `settings` NULL: daemon_settings(). `api_keys` NULL, or the text of a file of API keys. */
void daemon_start(struct daemon *daemon, const struct settings *settings, const char *api_keys);
int daemon_end(struct daemon *daemon);                       /* SIGTERM and wait */
void daemon_signal(const struct daemon *daemon, int signal); /* SIGTERM: drain, SIGINT: stop, SIGHUP: certificate */
int daemon_wait(struct daemon *daemon);                      /* exit status, 128 + signal when killed */

struct client {
    int fd;
    size_t n_bytes;
    char bytes[1 << 20]; /* came and not yet taken */
};

struct reply {
    int status;
    char head[4096];
    char body[65536];
    size_t n_bytes; /* of the body */
};

void client_open(struct client *client, const struct daemon *daemon);
void client_open_door(struct client *client, const struct daemon *daemon); /* the second */
void client_close(struct client *client);
void client_send(struct client *client, const char *text);
/* False when the server has hung up. */
bool client_send_bytes(struct client *client, const void *bytes, size_t n_bytes);
struct reply client_reply(struct client *client);         /* the next one */
struct reply client_reply_to_head(struct client *client); /* without a body, as after HEAD */
void client_rest(struct client *client);                  /* all that comes until the server hangs up, in `bytes` */
bool client_closed(struct client *client);                /* true at the end of the stream, false at a byte */
int client_status_or_close(struct client *client);        /* of the next reply, 0 when there is none */

/* One request on a connection of its own. `more` is header lines, each ended by \r\n, or "". */
struct reply daemon_ask(const struct daemon *daemon, const char *method, const char *path, const char *more,
                        const char *body);
struct reply daemon_get(const struct daemon *daemon, const char *path);

/* The value of the sample line of /metrics that begins with `name`; waits until it is `value`. */
long daemon_metric(const struct daemon *daemon, const char *name);
void daemon_wait_for(const struct daemon *daemon, const char *name, long value);

/* The body of an inference request of one row, and one of "relu" with its head. */
#define RELU_BODY "{\"inputs\":[{\"name\":\"x\",\"shape\":[1,2],\"datatype\":\"FP32\",\"data\":[-1,2]}]}"
#define RELU_PATH "/v2/models/relu/infer"
void client_send_infer(struct client *client, const char *more);

bool reply_has(const struct reply *reply, const char *text);        /* in the body */
bool reply_has_header(const struct reply *reply, const char *line); /* exactly, without its end */

#endif
