/*
 * loop.c - the door to libuv: nobody else in this layer knows that it is libuv.
 *
 *     poll: sockets, tasks that came back, timers -> ... loop_wake() ...
 *     prepare: the turn callbacks, once, if anybody woke us -> back to poll
 *
 * Pool. Tasks travel in `workers` slots made at the start, so that submitting allocates nothing and
 * cannot fail. libuv starts its threads at the first piece of work and aborts the process when it
 * cannot; so loop_new first starts as many by itself and lets them end, which can be told as a
 * failure and leaves their stacks in libc's store, and then has an empty piece of work done.
 * UV_THREADPOOL_SIZE (set by main) must be at least `workers`.
 *
 * Memory. libuv aborts as well when its list of watched descriptors cannot grow, which a new
 * connection may ask for at any time. Its memory therefore comes from here, and behind an
 * allocation that fails lies a reserve, made before the first loop, that is large enough for that
 * list.
 *
 * Turn. A wake starts an idle handle, which keeps libuv from blocking; the prepare callback stops
 * it before it runs the turns. A turn that wakes again thus gets another turn before the loop
 * sleeps.
 *
 * Loaders. A priority that was lowered cannot be raised again without privileges, so it is lowered
 * when loop_load_gently was said and not before: until then nobody is served whom loading could
 * disturb. The queue of loads stays on the loop; each loader is handed one task at a time through a
 * semaphore and gives it back through a second one, with an async handle as the bell of all. No lock
 * is needed.
 *
 * Timers are timerfds: libuv's own count in whole milliseconds, a queue delay may be 200
 * microseconds.
 *
 * The two functions on flags are the only atomics here: one thread raises, another looks now and
 * then.
 */
#include "serve/loop.h"

#include "base/arena.h"
#include "base/err.h"
#include "base/log.h"
#include "base/watch.h"

#include <assert.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#define TURNS_MAX 8
#define LOADER_NICE 10
#define LOOP_SLICE_NS 100000 /* the shortest there are */

struct loop_slot {
    uv_work_t work;
    struct loop *loop;
    struct task *task;
    struct loop_slot *next; /* among the free ones */
};

struct loop_turn {
    void (*turn)(void *user);
    void *user;
};

/* A loading thread. */
struct loader {
    const struct loop *loop;
    uv_thread_t thread;
    uv_sem_t load, loaded; /* posted: a task is here; it has been worked on */
    struct task *task;     /* the thread's between the two posts; NULL then tells it to end */
};

struct loop {
    uv_loop_t uv;
    int workers, idle; /* threads */
    int allowed;       /* cores */
    struct loop_slot *slots;
    struct loop_slot *free_slots;

    uv_prepare_t prepare;
    uv_idle_t woken;
    struct loop_turn turns[TURNS_MAX];
    int n_turns;

    struct loader loaders[LOOP_LOADERS_MAX];
    int n_loaders, n_loading;
    uv_async_t loaded_bell;
    int gently; /* a flag */
    struct pace pace;
    struct task *loads, *last_load; /* waiting, linked by slot */
};

struct loop_timer {
    uv_poll_t poll;
    int fd;
    struct loop *loop;
    void (*fire)(void *user);
    void *user;
};

void loop_flag_raise(int *flag)
{
    __atomic_store_n(flag, 1, __ATOMIC_RELEASE);
}

bool loop_flag_raised(const int *flag)
{
    return __atomic_load_n(flag, __ATOMIC_ACQUIRE) != 0;
}

int64_t loop_now_ns(void)
{
    return watch_now_ns();
}

void loop_piece(struct loop *loop)
{
    pace_piece(&loop->pace, loop_now_ns());
}

const struct pace *loop_pace(const struct loop *loop)
{
    return &loop->pace;
}

/* Turns */

static void on_woken(uv_idle_t *idle)
{
    (void)idle; /* being active is its whole use */
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct loop *loop = prepare->data;
    const bool woken = uv_is_active((uv_handle_t *)&loop->woken);
    if (woken)
        uv_idle_stop(&loop->woken);
    for (int i = 0; woken && i < loop->n_turns; i++) {
        loop_piece(loop);
        loop->turns[i].turn(loop->turns[i].user);
    }
    pace_ask(&loop->pace, loop_now_ns());
}

void loop_on_turn(struct loop *loop, void (*turn)(void *user), void *user)
{
    assert(loop->n_turns < TURNS_MAX);
    loop->turns[loop->n_turns++] = (struct loop_turn){.turn = turn, .user = user};
}

void loop_off_turn(struct loop *loop, const void *user)
{
    int kept = 0;
    for (int i = 0; i < loop->n_turns; i++)
        if (loop->turns[i].user != user)
            loop->turns[kept++] = loop->turns[i];
    loop->n_turns = kept;
}

void loop_wake(struct loop *loop)
{
    uv_idle_start(&loop->woken, on_woken);
}

/* libuv's memory: one for all loops of the process, as libuv's own setting is. Only the loop's
 * thread grows anything. */

#define RESERVE_BYTES ((size_t)1 << 20) /* watchers of 65,536 descriptors, and as many again */

static void *reserve; /* a buffer; lives as long as the process */
static bool reserve_is_lent;

static void uv_release(void *buffer)
{
    if (buffer && buffer == reserve)
        reserve_is_lent = false;
    else
        arena_buffer_free(buffer);
}

static void *uv_grow(void *old, size_t n_bytes)
{
    if (old && old == reserve && n_bytes <= RESERVE_BYTES)
        return old;
    void *fresh = arena_buffer(n_bytes);
    if (!fresh && !reserve_is_lent && n_bytes <= RESERVE_BYTES) {
        fresh = reserve;
        reserve_is_lent = true;
    }
    if (fresh && old) {
        size_t old_bytes = arena_buffer_bytes(old);
        memcpy(fresh, old, old_bytes < n_bytes ? old_bytes : n_bytes);
        uv_release(old);
    }
    return fresh;
}

static bool take_over_memory(struct percept_err *err)
{
    if (reserve)
        return true;
    reserve = arena_buffer(RESERVE_BYTES); /* pages that nobody touches cost nothing */
    if (!reserve)
        return err_memory(err, "the event loop's reserve", RESERVE_BYTES);
    uv_replace_allocator(arena_buffer, uv_grow, arena_buffer_array, uv_release);
    return true;
}

/* The pool */

static void on_work(uv_work_t *work)
{
    struct loop_slot *slot = work->data;
    slot->task->work(slot->task);
}

static void on_worked(uv_work_t *work, int status)
{
    (void)status; /* nothing here is ever cancelled in libuv's queue */
    struct loop_slot *slot = work->data;
    struct loop *loop = slot->loop;
    struct task *task = slot->task;
    slot->task = NULL;
    slot->next = loop->free_slots;
    loop->free_slots = slot;
    loop->idle++;
    loop_wake(loop);
    loop_piece(loop);
    task->done(task);
}

void loop_submit(struct loop *loop, struct task *task)
{
    struct loop_slot *slot = loop->free_slots;
    assert(slot);
    loop->free_slots = slot->next;
    loop->idle--;
    slot->task = task;
    task->slot = slot;
    uv_queue_work(&loop->uv, &slot->work, on_work, on_worked);
}

int loop_cores(void)
{
    return (int)uv_available_parallelism();
}

int loop_workers(const struct loop *loop)
{
    return loop->workers;
}

/* Loads have cores of the same budget, but half of them at most: requests do not stand still for them. */
struct loop_use loop_used(const struct loop *loop)
{
    const int half = loop->allowed / 2;
    return (struct loop_use){.allowed = loop->allowed,
                             .busy = loop->workers - loop->idle,
                             .loading = loop->n_loading < half ? loop->n_loading : half};
}

int loop_idle(const struct loop *loop)
{
    const struct loop_use used = loop_used(loop);
    return used.allowed - used.busy - used.loading;
}

void loop_allow(struct loop *loop, int cores)
{
    loop->allowed = cores < 1 ? 1 : cores > loop->workers ? loop->workers : cores;
    loop_wake(loop);
}

static bool make_slots(struct loop *loop, struct percept_err *err)
{
    loop->slots = arena_buffer((size_t)loop->workers * sizeof *loop->slots);
    if (!loop->slots)
        return err_memory(err, "the workers' slots", (size_t)loop->workers * sizeof *loop->slots);
    for (int i = 0; i < loop->workers; i++) {
        struct loop_slot *slot = &loop->slots[i];
        slot->loop = loop;
        slot->work.data = slot;
        slot->next = loop->free_slots;
        loop->free_slots = slot;
    }
    loop->idle = loop->workers;
    return true;
}

static void nothing(struct task *task)
{
    (void)task;
}

static void wait_for_gate(void *gate)
{
    uv_sem_wait(gate);
}

/* Can `n` threads live at a time? libuv does not ask. */
static bool threads_can_start(int n, struct percept_err *err)
{
    uv_sem_t gate;
    int started = 0;
    uv_thread_t *threads = arena_buffer((size_t)n * sizeof *threads);
    if (!threads)
        return err_memory(err, "the threads", (size_t)n * sizeof *threads);
    if (uv_sem_init(&gate, 0) != 0) {
        arena_buffer_free(threads);
        return err_set(err, ERR_SYSTEM, "cannot make a semaphore for the threads");
    }
    while (started < n && uv_thread_create(&threads[started], wait_for_gate, &gate) == 0)
        started++;
    for (int i = 0; i < started; i++)
        uv_sem_post(&gate);
    for (int i = 0; i < started; i++)
        uv_thread_join(&threads[i]);
    uv_sem_destroy(&gate);
    arena_buffer_free(threads);
    return started == n || err_set(err, ERR_SYSTEM,
                                   "cannot start %d threads, only %d: memory is short, or there is "
                                   "a limit on it or on threads "
                                   "(ulimit -v, -u); --workers asks for fewer",
                                   n, started);
}

/* Runs one empty task so that libuv's threads exist from now on. */
static void warm_pool(struct loop *loop)
{
    struct task task = {.work = nothing, .done = nothing};
    loop_submit(loop, &task);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
}

/* The loaders */

/* Relative to the process's own. Best effort: where it is refused, loads merely compete with
 * inference. */
static void lower_priority(void)
{
    id_t thread = (id_t)syscall(SYS_gettid);
    (void)setpriority(PRIO_PROCESS, thread, getpriority(PRIO_PROCESS, thread) + LOADER_NICE);
}

static void loader_main(void *user)
{
    struct loader *loader = user;
    bool niced = false;
    for (;;) {
        uv_sem_wait(&loader->load);
        if (!loader->task)
            return;
        if (!niced && loop_flag_raised(&loader->loop->gently)) {
            lower_priority();
            niced = true;
        }
        loader->task->work(loader->task);
        uv_sem_post(&loader->loaded);
        uv_async_send((uv_async_t *)&loader->loop->loaded_bell);
    }
}

/* The bell keeps the loop alive while a loader works. */
static void hand_over(struct loop *loop, struct loader *loader)
{
    struct task *task = loop->loads;
    loop->loads = task->slot;
    loader->task = task;
    if (loop->n_loading++ == 0)
        uv_ref((uv_handle_t *)&loop->loaded_bell);
    uv_sem_post(&loader->load);
}

static void load_next(struct loop *loop)
{
    for (int i = 0; i < loop->n_loaders && loop->loads; i++)
        if (!loop->loaders[i].task)
            hand_over(loop, &loop->loaders[i]);
}

static void take_back(struct loop *loop, struct loader *loader)
{
    struct task *task = loader->task;
    loader->task = NULL;
    if (--loop->n_loading == 0)
        uv_unref((uv_handle_t *)&loop->loaded_bell);
    loop_wake(loop);
    loop_piece(loop);
    task->done(task);
}

/* One ring may stand for several. */
static void on_loaded(uv_async_t *bell)
{
    struct loop *loop = bell->data;
    for (int i = 0; i < loop->n_loaders; i++)
        if (loop->loaders[i].task && uv_sem_trywait(&loop->loaders[i].loaded) == 0)
            take_back(loop, &loop->loaders[i]);
    load_next(loop);
}

/* A task's slot holds the task behind it while it waits. */
void loop_load(struct loop *loop, struct task *task)
{
    task->slot = NULL;
    if (loop->loads)
        loop->last_load->slot = task;
    else
        loop->loads = task;
    loop->last_load = task;
    load_next(loop);
}

void loop_load_gently(struct loop *loop)
{
    loop_flag_raise(&loop->gently);
}

static bool start_loader(struct loop *loop, struct percept_err *err)
{
    struct loader *loader = &loop->loaders[loop->n_loaders];
    loader->loop = loop;
    if (uv_sem_init(&loader->load, 0) != 0)
        return err_set(err, ERR_SYSTEM, "cannot make a semaphore for the loading thread");
    if (uv_sem_init(&loader->loaded, 0) != 0) {
        uv_sem_destroy(&loader->load);
        return err_set(err, ERR_SYSTEM, "cannot make a semaphore for the loading thread");
    }
    int status = uv_thread_create(&loader->thread, loader_main, loader);
    if (status == 0) {
        loop->n_loaders++;
        return true;
    }
    uv_sem_destroy(&loader->load);
    uv_sem_destroy(&loader->loaded);
    return err_set(err, ERR_SYSTEM,
                   "cannot start the loading thread: %s; memory may be short, or threads limited (ulimit "
                   "-v, -u)",
                   uv_strerror(status));
}

bool loop_loaders(struct loop *loop, int n, struct percept_err *err)
{
    while (loop->n_loaders < n && loop->n_loaders < LOOP_LOADERS_MAX)
        if (!start_loader(loop, err))
            return false;
    return true;
}

static void stop_loaders(struct loop *loop)
{
    assert(!loop->n_loading);
    while (loop->n_loaders > 0) {
        struct loader *loader = &loop->loaders[--loop->n_loaders];
        uv_sem_post(&loader->load);
        uv_thread_join(&loader->thread);
        uv_sem_destroy(&loader->load);
        uv_sem_destroy(&loader->loaded);
    }
}

static void init_bell(struct loop *loop)
{
    uv_async_init(&loop->uv, &loop->loaded_bell, on_loaded);
    loop->loaded_bell.data = loop;
    uv_unref((uv_handle_t *)&loop->loaded_bell);
}

/* Timers */

static void on_timer(uv_poll_t *poll, int status, int events)
{
    (void)status, (void)events;
    struct loop_timer *timer = poll->data;
    uint64_t n_times;
    if (read(timer->fd, &n_times, sizeof n_times) != (ssize_t)sizeof n_times)
        return; /* restarted meanwhile */
    uv_poll_stop(poll);
    loop_piece(timer->loop);
    timer->fire(timer->user);
}

struct loop_timer *loop_timer_new(struct loop *loop, void (*fire)(void *user), void *user)
{
    struct loop_timer *timer = arena_buffer(sizeof *timer);
    if (!timer)
        return NULL;
    timer->loop = loop;
    timer->fire = fire;
    timer->user = user;
    timer->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (timer->fd < 0 || uv_poll_init(&loop->uv, &timer->poll, timer->fd) != 0) {
        if (timer->fd >= 0)
            close(timer->fd);
        arena_buffer_free(timer);
        return NULL;
    }
    timer->poll.data = timer;
    return timer;
}

static void timer_set(struct loop_timer *timer, int64_t after_ns)
{
    const struct itimerspec when = {.it_value = {.tv_sec = after_ns / 1000000000, .tv_nsec = after_ns % 1000000000}};
    timerfd_settime(timer->fd, 0, &when, NULL);
}

void loop_timer_start(struct loop_timer *timer, int64_t after_ns)
{
    timer_set(timer, after_ns > 0 ? after_ns : 1); /* zero would mean never */
    uv_poll_start(&timer->poll, UV_READABLE, on_timer);
}

void loop_timer_let_end(struct loop_timer *timer)
{
    uv_unref((uv_handle_t *)&timer->poll);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct loop_timer *timer = handle->data;
    close(timer->fd);
    arena_buffer_free(timer);
}

void loop_timer_free(struct loop_timer *timer)
{
    if (timer)
        uv_close((uv_handle_t *)&timer->poll, on_timer_closed);
}

/* Ears */

struct loop_ear {
    uv_poll_t poll;
    struct loop *loop;
    void (*heard)(void *user);
    void *user;
};

static void on_heard(uv_poll_t *poll, int status, int events)
{
    (void)status, (void)events;
    struct loop_ear *ear = poll->data;
    loop_piece(ear->loop);
    ear->heard(ear->user);
}

struct loop_ear *loop_ear_new(struct loop *loop, int fd, void (*heard)(void *user), void *user)
{
    struct loop_ear *ear = arena_buffer(sizeof *ear);
    if (!ear || uv_poll_init(&loop->uv, &ear->poll, fd) != 0) {
        arena_buffer_free(ear);
        return NULL;
    }
    ear->loop = loop;
    ear->heard = heard;
    ear->user = user;
    ear->poll.data = ear;
    uv_poll_start(&ear->poll, UV_READABLE, on_heard);
    uv_unref((uv_handle_t *)&ear->poll);
    return ear;
}

static void on_ear_closed(uv_handle_t *handle)
{
    arena_buffer_free(handle->data);
}

void loop_ear_free(struct loop_ear *ear)
{
    if (ear)
        uv_close((uv_handle_t *)&ear->poll, on_ear_closed);
}

/* The loop itself */

static void close_uv(struct loop *loop)
{
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    if (uv_loop_close(&loop->uv) != 0)
        log_error("a handle was left open when the loop ended", NULL);
}

struct loop *loop_new(int workers, struct percept_err *err)
{
    struct loop *loop = arena_buffer(sizeof *loop);
    if (!loop)
        return err_null(err, ERR_MEMORY, "out of memory: the loop needs %zu bytes", sizeof *loop);
    loop->workers = loop->allowed = workers < 1 ? 1 : workers;
    if (!take_over_memory(err) || !threads_can_start(loop->workers + 1, err)) {
        arena_buffer_free(loop);
        return NULL;
    }
    int status = uv_loop_init(&loop->uv);
    if (status != 0) {
        arena_buffer_free(loop);
        return err_null(err, ERR_SYSTEM, "cannot start the event loop: %s", uv_strerror(status));
    }
    if (!make_slots(loop, err))
        goto fail;
    uv_prepare_init(&loop->uv, &loop->prepare);
    loop->prepare.data = loop;
    uv_prepare_start(&loop->prepare, on_prepare);
    uv_unref((uv_handle_t *)&loop->prepare);
    uv_idle_init(&loop->uv, &loop->woken);
    warm_pool(loop);
    init_bell(loop);
    if (start_loader(loop, err))
        return loop;
    uv_close((uv_handle_t *)&loop->prepare, NULL);
    uv_close((uv_handle_t *)&loop->woken, NULL);
    uv_close((uv_handle_t *)&loop->loaded_bell, NULL);
fail:
    close_uv(loop);
    arena_buffer_free(loop->slots);
    arena_buffer_free(loop);
    return NULL;
}

void loop_free(struct loop *loop)
{
    if (!loop)
        return;
    assert(loop->idle == loop->workers);
    stop_loaders(loop);
    uv_close((uv_handle_t *)&loop->prepare, NULL);
    uv_close((uv_handle_t *)&loop->woken, NULL);
    uv_close((uv_handle_t *)&loop->loaded_bell, NULL);
    close_uv(loop);
    arena_buffer_free(loop->slots);
    arena_buffer_free(loop);
}

void *loop_uv(struct loop *loop)
{
    return &loop->uv;
}

/* sched_setattr(2)'s, which libc does not have. */
struct attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime_ns, deadline_ns, period_ns;
};

/* The loop does little at a time and is waited for by all: whatever computes makes way for it when it wakes. Since
 * Linux 6.12 a thread says so by asking for short slices of its core, for which no privilege is needed; where that is
 * refused or unknown the scheduler treats it as one of the workers. */
static void ask_for_short_slices(void)
{
    struct attributes attributes = {.size = sizeof attributes};
    if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) != 0 || attributes.policy != 0)
        return;
    attributes.runtime_ns = LOOP_SLICE_NS;
    (void)syscall(SYS_sched_setattr, 0, &attributes, 0);
}

void loop_run(struct loop *loop)
{
    ask_for_short_slices();
    uv_run(&loop->uv, UV_RUN_DEFAULT);
}

void loop_stop(struct loop *loop)
{
    uv_stop(&loop->uv);
}
