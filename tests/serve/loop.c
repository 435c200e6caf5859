/* loop.c - work to the pool and back, loads, timers, turns. */
#include "serve/loop.h"

#include "base/arena.h"

#include <check.h>
#include <unistd.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>

Suite *serve_loop_suite(void);

struct probe {
    struct task task;
    struct loop *loop;
    pthread_t ran_on;
    int n_worked, n_done;
    int order; /* of being done */
    int nice;
};

static int n_ended;

static struct loop *open_loop(int workers)
{
    n_ended = 0;
    setenv("UV_THREADPOOL_SIZE", "4", 1);
    struct loop *loop = loop_new(workers, NULL);
    ck_assert_ptr_nonnull(loop);
    return loop;
}

static struct probe *probe_of(struct task *task)
{
    return (struct probe *)(void *)task;
}

static void work(struct task *task)
{
    probe_of(task)->ran_on = pthread_self();
    probe_of(task)->n_worked++;
}

static void done(struct task *task)
{
    probe_of(task)->n_done++;
    probe_of(task)->order = ++n_ended;
}

static struct probe probe(struct loop *loop)
{
    return (struct probe){.task = {.work = work, .done = done}, .loop = loop};
}

START_TEST(a_new_loop_is_idle_and_ends_when_nothing_is_left)
{
    struct loop *loop = open_loop(3);
    ck_assert_int_eq(loop_workers(loop), 3);
    ck_assert_int_eq(loop_idle(loop), 3);
    loop_run(loop);
    loop_free(loop);
}
END_TEST

START_TEST(work_runs_elsewhere_and_comes_back)
{
    struct loop *loop = open_loop(2);
    struct probe a = probe(loop), b = probe(loop);
    loop_submit(loop, &a.task);
    ck_assert_int_eq(loop_idle(loop), 1);
    loop_submit(loop, &b.task);
    ck_assert_int_eq(loop_idle(loop), 0);
    ck_assert_int_eq(a.n_done, 0);
    loop_run(loop);
    ck_assert_int_eq(loop_idle(loop), 2);
    ck_assert_int_eq(a.n_worked + b.n_worked, 2);
    ck_assert_int_eq(a.n_done + b.n_done, 2);
    ck_assert(!pthread_equal(a.ran_on, pthread_self()));
    loop_free(loop);
}
END_TEST

static void done_again(struct task *task)
{
    struct probe *p = probe_of(task);
    if (++p->n_done < 100)
        loop_submit(p->loop, task); /* its core is idle already */
}

START_TEST(a_task_may_be_submitted_again_from_its_done)
{
    struct loop *loop = open_loop(1);
    struct probe a = probe(loop);
    a.task.done = done_again;
    loop_submit(loop, &a.task);
    loop_run(loop);
    ck_assert_int_eq(a.n_worked, 100);
    loop_free(loop);
}
END_TEST

START_TEST(loads_run_one_by_one_in_order_on_one_thread)
{
    struct loop *loop = open_loop(1);
    struct probe loads[20];
    for (int i = 0; i < 20; i++) {
        loads[i] = probe(loop);
        loop_load(loop, &loads[i].task);
    }
    ck_assert_int_eq(loop_idle(loop), 1); /* no core is taken */
    loop_run(loop);
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(loads[i].n_worked, 1);
        ck_assert_int_eq(loads[i].order, i + 1);
        ck_assert(pthread_equal(loads[i].ran_on, loads[0].ran_on));
    }
    ck_assert(!pthread_equal(loads[0].ran_on, pthread_self()));
    loop_free(loop);
}
END_TEST

static pthread_barrier_t together;

static void meet(struct task *task)
{
    work(task);
    pthread_barrier_wait(&together);
}

/* Of six loads three meet, and three more: with fewer threads nobody would come out. */
START_TEST(as_many_loads_run_at_a_time_as_there_are_loaders)
{
    struct loop *loop = open_loop(1);
    struct probe loads[6];
    ck_assert(loop_loaders(loop, 3, NULL));
    ck_assert(loop_loaders(loop, 2, NULL)); /* there are as many */
    pthread_barrier_init(&together, NULL, 3);
    for (int i = 0; i < 6; i++) {
        loads[i] = probe(loop);
        loads[i].task.work = meet;
        loop_load(loop, &loads[i].task);
    }
    loop_run(loop);
    for (int i = 0; i < 6; i++)
        ck_assert(loads[i].n_worked == 1 && loads[i].n_done == 1);
    for (int i = 1; i < 3; i++)
        ck_assert(!pthread_equal(loads[i].ran_on, loads[0].ran_on));
    pthread_barrier_destroy(&together);
    loop_free(loop);
}
END_TEST

static void note_nice(struct task *task)
{
    probe_of(task)->nice = getpriority(PRIO_PROCESS, 0); /* of this thread */
}

START_TEST(loads_have_low_priority_from_when_it_is_said)
{
    struct loop *loop = open_loop(1);
    int own = getpriority(PRIO_PROCESS, 0);
    struct probe loads[4];
    for (int i = 0; i < 4; i++) {
        loads[i] = probe(loop);
        loads[i].task.work = note_nice;
        loop_load(loop, &loads[i].task);
        loop_run(loop);
        if (i == 1)
            loop_load_gently(loop);
    }
    int low = own + 10 > 19 ? 19 : own + 10;
    ck_assert_int_eq(loads[0].nice, own);
    ck_assert_int_eq(loads[1].nice, own);
    ck_assert_int_eq(loads[2].nice, low);
    ck_assert_int_eq(loads[3].nice, low);
    ck_assert_int_eq(getpriority(PRIO_PROCESS, 0), own);
    loop_free(loop);
}
END_TEST

static void load_other(struct task *task)
{
    struct probe *p = probe_of(task);
    done(task);
    loop_load(p->loop, &(p + 1)->task);
}

START_TEST(a_load_may_begin_another_from_its_done)
{
    struct loop *loop = open_loop(1);
    struct probe loads[2] = {probe(loop), probe(loop)};
    loads[0].task.done = load_other;
    loop_load(loop, &loads[0].task);
    loop_run(loop);
    ck_assert_int_eq(loads[1].n_done, 1);
    loop_free(loop);
}
END_TEST

struct turns {
    struct loop *loop;
    int n, wake_until;
    struct loop_timer *timer;
};

static void turn(void *user)
{
    struct turns *turns = user;
    if (++turns->n < turns->wake_until)
        loop_wake(turns->loop);
}

START_TEST(many_wakes_make_one_turn)
{
    struct loop *loop = open_loop(1);
    struct turns turns = {.loop = loop};
    loop_on_turn(loop, turn, &turns);
    loop_run(loop);
    ck_assert_int_eq(turns.n, 0);
    loop_wake(loop);
    loop_wake(loop);
    loop_run(loop);
    ck_assert_int_eq(turns.n, 1);
    loop_free(loop);
}
END_TEST

START_TEST(a_wake_within_a_turn_brings_another)
{
    struct loop *loop = open_loop(1);
    struct turns turns = {.loop = loop, .wake_until = 5};
    loop_on_turn(loop, turn, &turns);
    loop_wake(loop);
    loop_run(loop);
    ck_assert_int_eq(turns.n, 5);
    loop_free(loop);
}
END_TEST

START_TEST(every_turn_callback_is_called_until_it_is_taken_off)
{
    struct loop *loop = open_loop(1);
    struct turns a = {.loop = loop}, b = {.loop = loop};
    loop_on_turn(loop, turn, &a);
    loop_on_turn(loop, turn, &b);
    loop_wake(loop);
    loop_run(loop);
    loop_off_turn(loop, &a);
    loop_wake(loop);
    loop_run(loop);
    ck_assert_int_eq(a.n, 1);
    ck_assert_int_eq(b.n, 2);
    loop_free(loop);
}
END_TEST

static void fire(void *user)
{
    struct turns *turns = user;
    if (++turns->n < 3)
        loop_timer_start(turns->timer, 1000);
}

START_TEST(a_timer_fires_once_for_each_start_and_not_too_early)
{
    struct loop *loop = open_loop(1);
    struct turns turns = {.loop = loop};
    turns.timer = loop_timer_new(loop, fire, &turns);
    ck_assert_ptr_nonnull(turns.timer);
    int64_t from_ns = loop_now_ns();
    loop_timer_start(turns.timer, 300000);
    loop_run(loop);
    ck_assert_int_eq(turns.n, 3);
    ck_assert_int_ge(loop_now_ns() - from_ns, 302000);
    loop_timer_free(turns.timer);
    loop_free(loop);
}
END_TEST

START_TEST(a_restart_replaces_the_time)
{
    struct loop *loop = open_loop(1);
    struct turns turns = {.loop = loop, .n = 10};
    turns.timer = loop_timer_new(loop, fire, &turns);
    loop_timer_start(turns.timer, 1000000000000);
    loop_timer_start(turns.timer, 0);
    loop_run(loop);
    ck_assert_int_eq(turns.n, 11);
    loop_timer_free(turns.timer);
    loop_timer_free(NULL);
    loop_free(loop);
}
END_TEST

static void stop(struct task *task)
{
    done(task);
    loop_stop(probe_of(task)->loop);
}

START_TEST(stop_ends_a_run_that_would_go_on)
{
    struct loop *loop = open_loop(1);
    struct turns turns = {.loop = loop};
    turns.timer = loop_timer_new(loop, fire, &turns);
    loop_timer_start(turns.timer, INT64_C(3600000000000));
    struct probe a = probe(loop);
    a.task.done = stop;
    loop_submit(loop, &a.task);
    loop_run(loop);
    ck_assert_int_eq(a.n_done, 1);
    ck_assert_int_eq(turns.n, 0);
    loop_timer_free(turns.timer);
    loop_free(loop);
}
END_TEST

START_TEST(a_flag_stays_raised)
{
    int flag = 0;
    ck_assert(!loop_flag_raised(&flag));
    loop_flag_raise(&flag);
    loop_flag_raise(&flag);
    ck_assert(loop_flag_raised(&flag));
}
END_TEST

START_TEST(without_memory_there_is_no_loop_but_a_reason)
{
    struct percept_err err = {0};
    for (size_t nth = 1; nth <= 2; nth++) {
        arena_fail_at(nth, false);
        ck_assert_ptr_null(loop_new(2, &err));
        ck_assert_int_ne(err.code, 0);
    }
    arena_fail_at(0, false);
}
END_TEST

static void stop_loop_late(void *user)
{
    loop_stop(user);
}

static int ear_pipe[2];
static int n_heard;

static void hear(void *user)
{
    char byte;
    n_heard++;
    ck_assert_int_eq(read(ear_pipe[0], &byte, 1), 1);
    if (n_heard == 2)
        loop_stop(user);
}

START_TEST(an_ear_hears_and_keeps_nobody_waiting)
{
    struct percept_err err;
    struct loop *loop = loop_new(1, &err);
    n_heard = 0;
    ck_assert_int_eq(pipe(ear_pipe), 0);
    struct loop_ear *ear = loop_ear_new(loop, ear_pipe[0], hear, loop);
    ck_assert_ptr_nonnull(ear);
    loop_run(loop); /* there is nothing to wait for */
    ck_assert_int_eq(n_heard, 0);
    ck_assert_int_eq(write(ear_pipe[1], "ab", 2), 2);
    struct loop_timer *timer = loop_timer_new(loop, stop_loop_late, loop);
    loop_timer_start(timer, INT64_C(60000000000));
    loop_run(loop);
    ck_assert_int_eq(n_heard, 2);
    loop_timer_free(timer);
    loop_ear_free(ear);
    loop_ear_free(NULL);
    close(ear_pipe[0]);
    close(ear_pipe[1]);
    loop_free(loop);
}
END_TEST

START_TEST(cores_are_fewer_than_threads_and_come_and_go)
{
    struct loop *loop = open_loop(4);
    struct probe probes[3] = {probe(loop), probe(loop), probe(loop)};
    loop_allow(loop, 2);
    ck_assert_int_eq(loop_idle(loop), 2);
    loop_allow(loop, 9);
    ck_assert_int_eq(loop_idle(loop), 4);
    loop_allow(loop, 0);
    ck_assert_int_eq(loop_idle(loop), 1);
    loop_allow(loop, 3);
    for (int i = 0; i < 3; i++)
        loop_submit(loop, &probes[i].task);
    loop_allow(loop, 2); /* what works goes on */
    ck_assert_int_eq(loop_idle(loop), -1);
    ck_assert_int_eq(loop_used(loop).busy, 3);
    loop_run(loop);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(probes[i].n_done, 1);
    ck_assert_int_eq(loop_idle(loop), 2);
    loop_free(loop);
}
END_TEST

START_TEST(loads_have_half_of_the_cores_at_most)
{
    struct loop *loop = open_loop(4);
    struct probe probes[3] = {probe(loop), probe(loop), probe(loop)};
    ck_assert(loop_loaders(loop, 3, NULL));
    for (int i = 0; i < 3; i++)
        loop_load(loop, &probes[i].task);
    ck_assert_int_eq(loop_used(loop).loading, 2);
    ck_assert_int_eq(loop_idle(loop), 2);
    loop_allow(loop, 1);
    ck_assert_int_eq(loop_used(loop).loading, 0);
    ck_assert_int_eq(loop_idle(loop), 1);
    loop_run(loop);
    ck_assert_int_eq(loop_used(loop).loading, 0);
    loop_free(loop);
}
END_TEST

/* sched_getattr(2)'s; the last three are a runtime, a deadline and a period. */
static uint64_t slice_ns(void)
{
    struct {
        uint32_t size, policy;
        uint64_t flags;
        uint32_t nice, priority;
        uint64_t ns[3];
    } attributes = {.size = sizeof attributes};
    ck_assert_int_eq(syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0), 0);
    return attributes.ns[0];
}

static uint64_t worker_slice_ns;

static void look_at_slice(struct task *task)
{
    (void)task;
    worker_slice_ns = slice_ns();
}

START_TEST(the_loop_runs_in_short_slices_and_workers_do_not)
{
    const uint64_t before_ns = slice_ns();
    struct loop *loop = open_loop(1);
    struct task task = {.work = look_at_slice, .done = done};
    struct probe own = {.task = task, .loop = loop};
    loop_submit(loop, &own.task);
    loop_run(loop);
    if (before_ns == 0)
        printf("not run: slices of threads (Linux 6.12)\n");
    else
        ck_assert_uint_eq(slice_ns(), 100000);
    ck_assert_uint_eq(worker_slice_ns, before_ns);
    loop_free(loop);
}
END_TEST

Suite *serve_loop_suite(void)
{
    Suite *suite = suite_create("serve/loop");
    TCase *tests = tcase_create("loop");
    tcase_add_test(tests, a_new_loop_is_idle_and_ends_when_nothing_is_left);
    tcase_add_test(tests, the_loop_runs_in_short_slices_and_workers_do_not);
    tcase_add_test(tests, work_runs_elsewhere_and_comes_back);
    tcase_add_test(tests, a_task_may_be_submitted_again_from_its_done);
    tcase_add_test(tests, loads_run_one_by_one_in_order_on_one_thread);
    tcase_add_test(tests, as_many_loads_run_at_a_time_as_there_are_loaders);
    tcase_add_test(tests, loads_have_low_priority_from_when_it_is_said);
    tcase_add_test(tests, a_load_may_begin_another_from_its_done);
    tcase_add_test(tests, many_wakes_make_one_turn);
    tcase_add_test(tests, a_wake_within_a_turn_brings_another);
    tcase_add_test(tests, every_turn_callback_is_called_until_it_is_taken_off);
    tcase_add_test(tests, a_timer_fires_once_for_each_start_and_not_too_early);
    tcase_add_test(tests, a_restart_replaces_the_time);
    tcase_add_test(tests, an_ear_hears_and_keeps_nobody_waiting);
    tcase_add_test(tests, stop_ends_a_run_that_would_go_on);
    tcase_add_test(tests, a_flag_stays_raised);
    tcase_add_test(tests, without_memory_there_is_no_loop_but_a_reason);
    tcase_add_test(tests, cores_are_fewer_than_threads_and_come_and_go);
    tcase_add_test(tests, loads_have_half_of_the_cores_at_most);
    suite_add_tcase(suite, tests);
    return suite;
}
