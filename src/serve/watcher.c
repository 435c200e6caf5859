/*
 * watcher.c - see watcher.h. One timer: set to the interval, brought forward when the kernel tells of a change, or when
 * the last look has seen something that was not calm yet.
 */
#include "serve/watcher.h"

#include "base/arena.h"
#include "base/err.h"
#include "base/log.h"
#include "serve/notice.h"

#include <unistd.h>

#define SOON_NS INT64_C(200000000) /* after a change: others follow it, mostly */

struct watcher {
    struct loop *loop;
    struct repository *repository;
    struct loop_timer *timer;
    struct loop_ear *ear;
    int notice; /* -1: the kernel tells nothing */
    int64_t interval_ns;
    int64_t due_ns;
};

static void set(struct watcher *watcher, int64_t after_ns)
{
    watcher->due_ns = loop_now_ns() + after_ns;
    loop_timer_start(watcher->timer, after_ns);
}

static void bring_forward(struct watcher *watcher, int64_t after_ns)
{
    if (watcher->due_ns > loop_now_ns() + after_ns)
        set(watcher, after_ns);
}

static void on_looked(void *user, const struct percept_err *why)
{
    struct watcher *watcher = user;
    if (why)
        log_warn("a look at the models failed", "why", why->text, NULL);
    if (repository_is_restless(watcher->repository))
        bring_forward(watcher, REPOSITORY_CALM_NS);
}

static void on_time(void *user)
{
    struct watcher *watcher = user;
    set(watcher, watcher->interval_ns);
    repository_look(watcher->repository, watcher->notice, on_looked, watcher, NULL);
}

static void on_heard(void *user)
{
    struct watcher *watcher = user;
    if (notice_heard(watcher->notice))
        bring_forward(watcher, SOON_NS);
}

struct watcher *watcher_new(struct loop *loop, struct repository *repository, int64_t interval_ms,
                            struct percept_err *err)
{
    struct watcher *watcher = arena_buffer(sizeof *watcher);
    if (!watcher)
        return err_null(err, ERR_MEMORY, "out of memory: the watcher");
    watcher->loop = loop;
    watcher->repository = repository;
    watcher->interval_ns = interval_ms * 1000000;
    watcher->notice = notice_open();
    watcher->timer = loop_timer_new(loop, on_time, watcher);
    if (watcher->notice >= 0)
        watcher->ear = loop_ear_new(loop, watcher->notice, on_heard, watcher);
    if (!watcher->timer || (watcher->notice >= 0 && !watcher->ear)) {
        watcher_free(watcher);
        return err_null(err, ERR_SYSTEM, "cannot watch the models: memory or file descriptors are short");
    }
    if (watcher->notice < 0)
        log_warn("the kernel gives no notice of changes; models are looked at after each interval alone", NULL);
    set(watcher, 0);
    return watcher;
}

void watcher_free(struct watcher *watcher)
{
    if (!watcher)
        return;
    loop_timer_free(watcher->timer);
    loop_ear_free(watcher->ear);
    if (watcher->notice >= 0)
        close(watcher->notice);
    arena_buffer_free(watcher);
}
