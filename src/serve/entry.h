/*
 * entry.h - one instance of a model: a served model (served.h) with what its loading needs. The
 * catalog alone uses it.
 *
 *     entry_new -> loop_load -> entry_load, on a loader's thread -> back on the loop:
 *     entry_open -> READY, or entry_fail -> FAILED ... entry_free
 *
 * An entry belongs to the loop, except that a loader has its arena, model and session between
 * loop_load and the task's done.
 */
#ifndef SERVE_ENTRY_H
#define SERVE_ENTRY_H

#include "serve/dispatch.h"
#include "serve/idle.h"
#include "serve/scan.h"
#include "serve/served.h"

#define ENTRY_RECENT 16

struct catalog;
struct need;
struct override;
struct residents;

struct entry {
    struct served served; /* first: a served model is its entry */
    struct catalog *catalog;
    const struct settings *settings;
    const char *folder; /* of the manifest, or NULL */
    struct entry *next; /* among all of the catalog, listed or not, in the order of coming */
    bool listed;
    struct entry *stands;    /* whose place it takes when it has loaded, or NULL */
    struct entry *successor; /* that loads beside it, or NULL */
    struct need *needs;      /* needs.c's */
    bool walked;             /* needs.c's */
    bool fitting;            /* what it is is known, and its parts are waited for */
    bool lacking;            /* it is LOADING or FAILED for want of a part, and will be READY with it */
    struct task task;
    bool waiting;                    /* to be loaded, for a turn of the loop and for what it needs */
    bool loading;                    /* it waits for a loader, or one has it */
    int given_up;                    /* a flag: nobody waits for it any more */
    const struct override *override; /* instead of its files, until its load has ended; or NULL */
    int n_recent;
    int recent[ENTRY_RECENT]; /* batch sizes that whose place it takes ran with: made ready as well */

    /* Told once when its load has ended, well (`why` NULL) or not. May be NULL. */
    void (*ended)(void *user, const struct served *served, const struct percept_err *why);
    void *ended_user;

    /* going, and coming back: resident.c's */
    struct residents *residents; /* NULL: it was never READY */
    struct idle idle;
    size_t weight_bytes;               /* of a model in memory that are not counted elsewhere */
    unsigned n_entered;                /* of its lane, as seen last */
    struct batch *sessions;            /* to be freed */
    struct percept_model *other_model; /* to be freed; or that has come back */

    /* what the loader found */
    bool loaded;
    bool sent;        /* by whoever had it loaded: it lies on no disk */
    const char *file; /* that it was opened from */
    bool configured;  /* by a config.pbtxt */
    struct percept_err err;
    struct percept_session *session; /* warm; the lane's once there is one */
    int64_t load_ns;
};

/* LOADING; texts are copied. NULL when memory is short. */
struct entry *entry_new(const struct found *found, const struct root *root, const struct settings *settings,
                        struct percept_err *err);

/* Another of the same name and version, which is to take its place. */
struct entry *entry_new_beside(struct entry *stands, const struct found *found, const struct root *root,
                               struct percept_err *err);

/* Where it lies. */
struct found entry_found(const struct entry *entry);

/* Gives back its model, queue and sessions, which may be hundreds of megabytes: any thread, once the queue has parted
 * from the dispatcher. */
void entry_close(struct entry *entry);

/* No job of its may be left, and no loader may have it. */
void entry_free(struct entry *entry);

struct entry *entry_of(struct task *task);

/* Reads the manifest, opens the model, warms a session; any thread. Sets `loaded`, or `err`. */
void entry_load(struct entry *entry);

/* Which batch sizes were run most, for whatever is warmed next. On the loop. */
void entry_note_sizes(struct entry *entry);

/* Frees `sessions` and `other_model`; any thread. */
void entry_free_parts(struct entry *entry);

/* The model again, into `other_model`, with a warm session; any thread. It must take and give what it did. Sets
 * `loaded`, or `err`. */
void entry_open_again(struct entry *entry);

/* What was loaded gets its queue and is READY. False, and nothing is changed, for want of memory. */
bool entry_open(struct entry *entry, struct dispatch *dispatch, struct percept_err *err);

/* FAILED, with the reason that is in `err`. A failed model holds no memory but its name and reason. */
void entry_fail(struct entry *entry);

/* A part of it is not READY, for the reason in `err`: neither is it, LOADING where that is `coming`, else FAILED. It
 * keeps all that it has, and jobs of its go on. */
void entry_lack(struct entry *entry, bool coming);

/* It takes no more jobs, and nobody has anything of it any more: it may be freed. */
bool entry_is_left(const struct entry *entry);

/* The log's lines. `private_told`: that weights are private though shared ones were asked for is
 * said once. */
void entry_log_ready(const struct entry *entry, bool *private_told);
void entry_log_failed(const struct entry *entry);
void entry_log_stands(const struct entry *entry);
void entry_log_unloaded(const struct entry *entry);

/* Bytes of a model's path that are the folder of models, with its slash: what is before the name. */
size_t entry_root_bytes(const char *name, const char *path);

#endif
