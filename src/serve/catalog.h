/*
 * catalog.h - names and versions -> models. What was asked to be served, what became of it, and
 * why.
 *
 * What is to be loaded is placed here (catalog_place); repository.h knows where it lies. Loading
 * happens on a loader's thread; a model that fails leaves the others serving and is kept with its
 * reason, and so is what cannot be served as it lies there (catalog_omitted).
 *
 * Threads: the loop's only. The counts of holders are plain ints for that reason.
 */
#ifndef SERVE_CATALOG_H
#define SERVE_CATALOG_H

#include "serve/loop.h"
#include "serve/served.h"
#include "serve/settings.h"

/* SERVED_READY -> "READY"; the repository extension's words: "LOADING", "READY", "UNAVAILABLE",
 * "UNLOADING". */
const char *catalog_state_name(enum served_state state);

struct catalog;
struct found;
struct omitted; /* serve/scan.h */
struct override;

/* `settings` must outlive it. */
struct catalog *catalog_new(struct loop *loop, const struct settings *settings, struct percept_err *err);

/* Nothing may be in flight or loading: after `drained`, or when nothing was added. Before
 * loop_free. */
void catalog_free(struct catalog *catalog);

/* What is to be loaded, and who is told. Texts are copied. */
struct catalog_order {
    const struct found *found;       /* serve/scan.h */
    const struct root *root;         /* outlives the catalog */
    uint64_t stamp;                  /* kept as served.stamp */
    const struct override *override; /* instead of its files, until `ended`; or NULL */
    /* Told once, in a later turn: it is READY, or why it is not. May call nothing of the catalog. Or NULL. */
    void (*ended)(void *user, const struct served *served, const struct percept_err *why);
    void *user;
};

/* Begins to load it. Where its name and version are listed it does so beside what is there, which serves until the new
 * instance is ready and takes its place, counts from zero, and is then removed as catalog_remove does it; when the load
 * fails it stays, with the reason. One that is being loaded already gives way to this one. The new instance, listed at
 * once where nothing stood; or NULL: draining, or memory is short. */
struct served *catalog_place(struct catalog *catalog, const struct catalog_order *order, struct percept_err *err);

/* The version asked for (0: the highest READY one, else the highest). NULL with the contract's
 * sentence (protocol: "Request for unknown model: 'X' is not found"). */
struct served *catalog_find(struct catalog *catalog, const char *name, int64_t version, struct percept_err *err);

/* The same, but it must be READY: 503 with the reason otherwise. */
struct served *catalog_find_ready(struct catalog *catalog, const char *name, int64_t version, struct percept_err *err);

struct served *catalog_first(struct catalog *catalog);

/* What the models in memory hold: packed weights, those that several share once, and what sessions have. */
size_t catalog_resident_bytes(const struct catalog *catalog);

/* The cores that are ours, and who has them. */
struct loop_use catalog_cores(const struct catalog *catalog);

/* For tests: another clock than loop_now_ns, by which models are idle. */
void catalog_set_clock(struct catalog *catalog, int64_t (*now_ns)(void));

/* From now on it takes no request. Those that it has are answered, queued ones too, and a load under
 * way ends first; then, in a turn of the loop, it leaves the list and its memory is freed. Until then
 * it is listed as UNLOADING. Its name and version may be added again at once. False with a sentence
 * (INVALID) when another model needs it, which would have to be removed before. */
bool catalog_remove(struct catalog *catalog, struct served *served, struct percept_err *err);

/* As catalog_remove, where another version is asked from now on: sequences go on with the one that they began with,
 * until they end or a limit, as after catalog_place. It leaves the list at once. */
bool catalog_supersede(struct catalog *catalog, struct served *served, struct percept_err *err);

/* `served` cannot serve without a model of that name (version 0: any): it is loaded once that is
 * READY, fails when that will not be, and keeps it from being removed. Said in the turn in which
 * `served` came from catalog_place or catalog_replace. False with a sentence when it would make a
 * circle (INVALID), or memory is short. */
bool catalog_need(struct catalog *catalog, struct served *served, const char *name, int64_t version,
                  struct percept_err *err);

/* Calls a version of a model that is listed by a label ("stable"), which was another's before or
 * nobody's; version 0 takes the label away. It stays when the version goes. False with a sentence
 * when there is no such version (NOT_FOUND), the label is no name (INVALID), or memory is short. */
bool catalog_label(struct catalog *catalog, const char *name, const char *label, int64_t version,
                   struct percept_err *err);

/* As catalog_find. */
struct served *catalog_find_label(struct catalog *catalog, const char *name, const char *label,
                                  struct percept_err *err);

/* catalog_place of what lies where this one was loaded from; NULL also when it is UNLOADING. */
struct served *catalog_replace(struct catalog *catalog, struct served *served, struct percept_err *err);

/* The list of what cannot be served, as it is from now on; copied. What is new in it is logged. */
bool catalog_omit(struct catalog *catalog, const struct omitted *first, struct percept_err *err);

/* What was found and cannot be served as it lies there, in the order of finding; where it is more
 * than a hundred, the rest as one. And how many all are. */
const struct omitted *catalog_omitted(const struct catalog *catalog);
int catalog_n_omitted(const struct catalog *catalog);

/* True when the daemon may say it is ready; else why, as a sentence in err. Nothing is served and nothing wanted:
 * that is good where somebody has said so (catalog_may_be_empty). */
bool catalog_ready(const struct catalog *catalog, struct percept_err *err);
void catalog_may_be_empty(struct catalog *catalog, bool may);

/* Loads are under way, or a look at what is to be loaded (from catalog_hold to catalog_release): draining waits for
 * both. */
bool catalog_loading(const struct catalog *catalog);
void catalog_hold(struct catalog *catalog);
void catalog_release(struct catalog *catalog);

/* `changed` is called when something is listed, when its state has changed, and once more, UNLOADING,
 * when it has left the list. Of one whose place another took nothing more is told. */
void catalog_on_change(struct catalog *catalog, void (*changed)(void *user, struct served *served), void *user);

/* From now on catalog_ready says no ("Server exiting"), while jobs are still accepted: load
 * balancers need a while to notice. */
void catalog_leave(struct catalog *catalog);

/* The door is closed: jobs that wait for company in a batch go without. */
void catalog_end_queue_delay(struct catalog *catalog);

/* After this no job is accepted ("Server exiting") and no load is begun; `drained` is called,
 * later, when the last job has ended and the loader is at rest. */
void catalog_drain(struct catalog *catalog, void (*drained)(void *user), void *user);
bool catalog_draining(const struct catalog *catalog);

/* Jobs accepted and not yet done. */
int catalog_in_flight(const struct catalog *catalog);

#endif
