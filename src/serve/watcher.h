/*
 * watcher.h - looks at the models on disk again and again, by itself: soon after the kernel has said that something
 * changed, and after each interval all the same, since on some file systems it says nothing.
 *
 *     struct watcher *watcher = watcher_new(loop, repository, interval_ms, &err);
 *     watcher_free(watcher);
 *
 * What is done about what is seen is repository_look's. Threads: the loop's.
 */
#ifndef SERVE_WATCHER_H
#define SERVE_WATCHER_H

#include "serve/loop.h"
#include "serve/repository.h"

struct watcher;

/* Begins at once. NULL when memory or descriptors are short. */
struct watcher *watcher_new(struct loop *loop, struct repository *repository, int64_t interval_ms,
                            struct percept_err *err);

/* Before the repository and the loop. NULL is accepted. */
void watcher_free(struct watcher *watcher);

#endif
