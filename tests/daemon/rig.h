/*
 * rig.h - for tests of the whole: the built program as a process, and clients that speak bytes to
 * it.
 *
 *     if (!rig_is_there()) return;                   prints "skipped: ..." without a program
 *     struct rig rig;
 *     rig_begin(&rig);                               a folder of its own
 *     rig_start(&rig, "models --admin");             listens, and is ready
 *     struct reply reply = rig_get(&rig, "/v2");
 *     reply_free(&reply);
 *     ck_assert_int_eq(rig_stop(&rig), 0);           SIGTERM, exit status
 *     rig_end(&rig);
 *
 * Waits look again every few milliseconds (poll) and end with a failed test when patience is over.
 * What has `client` in its name never asserts: threads use it, and report. A daemon that a failed
 * test leaves behind is killed with it.
 */
#ifndef TESTS_DAEMON_RIG_H
#define TESTS_DAEMON_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "graph/proto.h"

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || __has_feature(address_sanitizer) ||               \
    __has_feature(thread_sanitizer)
#define RIG_SANITIZED 1
#else
#define RIG_SANITIZED 0
#endif

#define RIG_PATIENCE_MS (RIG_SANITIZED ? 120000 : 20000)

struct rig {
    pid_t pid;
    int port;
    char folder[64];
    char log[96];  /* standard error, of all starts */
    long log_from; /* where the newest start's begins */
};

struct reply {
    int status;        /* 0: closed before the first byte, -1: cut in the middle, or no HTTP */
    bool close;        /* "Connection: close" */
    char *head, *body; /* both end in NUL */
    size_t n_bytes;    /* of the body */
};

struct client {
    int fd;
    size_t n_bytes, capacity;
    char *bytes; /* came and not yet taken */
};

bool rig_is_there(void);
void rig_begin(struct rig *rig);
void rig_end(struct rig *rig);
/* The daemon ends with 0 at SIGTERM, and the rig with it. */
void rig_finish(struct rig *rig);

/* For a child that becomes perceptd: what whoever runs the tests ignores (nohup: SIGHUP) it shall not. */
void rig_default_signals(void);

/* `perceptd serve ARGUMENTS` at a free port. A region prefix that the arguments do not name is that
 * of all tests. rig_spawn does not wait. */
void rig_start(struct rig *rig, const char *format, ...) __attribute__((format(printf, 2, 3)));
void rig_spawn(struct rig *rig, const char *format, ...) __attribute__((format(printf, 2, 3)));
void rig_listening(struct rig *rig);
void rig_ready(struct rig *rig);
int rig_wait(struct rig *rig); /* exit status, 128 + signal when killed */
int rig_stop(struct rig *rig);
bool rig_log_has(const struct rig *rig, const char *text);

/* Memory from malloc that rig_end gives back, of whichever rig; returns it. Not for threads. */
void *rig_keep(void *at);

int rig_free_port(void);
void rig_pause(int ms);
int64_t rig_now_us(void);
/* A number in kB from a file such as /proc/PID/status, -1 when it is not there. */
long rig_kilobytes(pid_t pid, const char *file, const char *name);

/* Everything a shell command prints; the caller frees it. Fails when the command does. */
char *rig_shell(size_t *n_bytes, const char *format, ...) __attribute__((format(printf, 2, 3)));
void rig_write(const struct rig *rig, const char *name, const void *at, size_t n);
void rig_write_text(const struct rig *rig, const char *name, const char *text);
/* A model as Triton has it: repo/NAME/1/model.onnx and repo/NAME/config.pbtxt. Frees the graph. */
void rig_write_repository(const struct rig *rig, const char *name, struct proto graph, const char *config);

/* One request on a connection of its own. `more`: header lines, each ended by \r\n, or "". */
struct reply rig_ask(const struct rig *rig, const char *method, const char *path, const char *more, const void *body,
                     size_t n_bytes);
struct reply rig_get(const struct rig *rig, const char *path);
struct reply rig_post_text(const struct rig *rig, const char *path, const char *text);
/* A POST of JSON has this status, and a reply with this part. */
void rig_expect(const struct rig *rig, const char *path, const char *body, int status, const char *part);
/* The sum over all samples of /metrics whose line begins like this. */
double rig_metric(const struct rig *rig, const char *begin);

bool client_open(struct client *client, int port);
void client_close(struct client *client);
bool client_send(struct client *client, const void *bytes, size_t n_bytes);
bool client_request(struct client *client, const char *method, const char *path, const char *more, const void *body,
                    size_t n_bytes);
struct reply client_reply(struct client *client);

void reply_free(struct reply *reply);
/* `to`: numbers of the first output. Returns how many there are, -1 if the body is not so. */
int reply_floats(const struct reply *reply, float *to, int most);
/* The first label of an item's predictions, "" without one. */
const char *reply_label(const struct reply *reply, int item, char *label, size_t n);

/* Many posts by some clients at once, each on one connection that stays; replies lie where they
 * belong. */
struct rig_post {
    const char *path, *type; /* type: a media type */
    const void *body;
    size_t n_bytes;
    struct reply reply;
};
void rig_crowd(const struct rig *rig, int n_clients, struct rig_post *posts, int n_posts);

#endif
