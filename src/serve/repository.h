/*
 * repository.h - the paths that models come from, and what is done when somebody wants one loaded, unloaded, or all of
 * them looked at again.
 *
 *     struct repository *repository = repository_new(loop, catalog, settings, &err);
 *     repository_add(repository, "models", &err);                    at the start, for each path
 *     struct control *control = repository_load(repository, "net", NULL, bytes, told, user, &err);
 *     repository_reload(repository, told, user, &err);
 *     repository_free(repository);                                   after catalog_free
 *
 * Each argument of `perceptd serve` is a .onnx file, a model's folder (model.onnx, or versions 1/,
 * 2/ ... each with a model.onnx; manifest.json beside them or in the version's folder), or a folder
 * of such folders and files. A file's model is called like the file, "model.onnx" like its folder,
 * as is within a folder of models the only .onnx of a folder; NAME=PATH gives the one model at PATH
 * its name. scan.c says what else has one meaning. A name is [A-Za-z0-9][A-Za-z0-9._-]{0,127}. What
 * cannot be served as it lies there is kept with its reason (catalog_omitted), a name that is taken
 * among it.
 *
 * Threads: the loop's only; disks are looked at by a loader.
 */
#ifndef SERVE_REPOSITORY_H
#define SERVE_REPOSITORY_H

#include "base/bytes.h"
#include "serve/catalog.h"
#include "serve/survey.h"

struct repository;
struct control;

/* Catalog and settings outlive it, or end with it. */
struct repository *repository_new(struct loop *loop, struct catalog *catalog, const struct settings *settings,
                                  struct percept_err *err);

/* After the catalog has drained. NULL is accepted. */
void repository_free(struct repository *repository);

/* Before the first path: this name is to be loaded though settings.load_none says that none is. */
bool repository_want(struct repository *repository, const char *name, struct percept_err *err);

/* Looks at a path as described above, at once, and begins to load what is there and wanted. False when nothing is there
 * that can be served (NOT_FOUND, INVALID): the sentence is then kept in catalog_omitted, since another path may have
 * a model; or memory is short. */
bool repository_add(struct repository *repository, const char *path, struct percept_err *err);

/* Every path that was added, once. */
const struct root *repository_roots(const struct repository *repository);

/* Told once, in a later turn. `why` NULL: done. */
typedef void repository_told(void *user, const struct percept_err *why);

/* Looks at the disk again and loads every version of the model that is there, beside those that serve; what is not
 * there any more is unloaded then. `body`: what a client said (override.h), which lies in `arena`; the arena is taken
 * over, and empty afterwards. `arena` may be NULL where there is no body. One of a name that is asked for before is
 * done when that has ended. NULL with a sentence: draining, or memory is short. */
struct control *repository_load(struct repository *repository, const char *name, struct arena *arena, struct bytes body,
                                repository_told *told, void *user, struct percept_err *err);

/* All versions of it take no more requests when `told` is called. No such model: that is done at once. */
struct control *repository_unload(struct repository *repository, const char *name, repository_told *told, void *user,
                                  struct percept_err *err);

/* Looks at everything again: what is new is loaded, what has changed or had failed is loaded beside what is there,
 * and what is gone is unloaded. What was unloaded on purpose stays so, what was overridden stays as it is. `told` may
 * be NULL; of several reloads that have not begun one tells for all. */
bool repository_reload(struct repository *repository, repository_told *told, void *user, struct percept_err *err);

#define REPOSITORY_CALM_NS INT64_C(2000000000)

/* Looks at everything as one does who watches: what has changed is loaded, and what is gone unloaded, when two looks
 * have seen it alike with REPOSITORY_CALM_NS between, so that nobody loads what is still being copied. What has failed
 * is tried again when it has changed. `notice` (notice.h) follows what is seen, -1: none does. Nothing is done while
 * such a look is under way. */
bool repository_look(struct repository *repository, int notice, repository_told *told, void *user,
                     struct percept_err *err);

/* The last look has seen something that was not calm yet. */
bool repository_is_restless(const struct repository *repository);

/* For tests: another clock than loop_now_ns. */
void repository_set_clock(struct repository *repository, int64_t (*now_ns)(void));

/* Nobody waits for it any more: `told` is called in the next turn with CANCELLED, and it goes on all the same. */
void repository_cancel(struct repository *repository, struct control *control);

/* What lies on disk and is to be served, as it was last seen. */
const struct survey *repository_seen(const struct repository *repository);

/* Is a model of this name to be served, and if not: was it ever? */
bool repository_wants(const struct repository *repository, const char *name);
bool repository_had(const struct repository *repository, const char *name);

#endif
