/* team.c - every piece is done once, by members that can be told apart; also under -fsanitize=thread. */
#include "base/team.h"

#include "base/mode.h"

#include <check.h>
#include <dlfcn.h>
#include <pthread.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PIECES 1000
#define RUNS 2000
#define HELPERS 3

/* Written without atomics: a race would be two members on one piece. */
struct tally {
    int done[PIECES];
    int64_t shortest[TEAM_MAX]; /* range, by member */
    atomic_int inside[TEAM_MAX];
    atomic_int crowded; /* a member number was in use twice at a time */
};

static void count(void *arg, int64_t from, int64_t to, int member)
{
    struct tally *tally = arg;
    if (atomic_fetch_add(&tally->inside[member], 1))
        atomic_store(&tally->crowded, 1);
    for (int64_t i = from; i < to; i++)
        tally->done[i]++;
    if (!tally->shortest[member] || to - from < tally->shortest[member])
        tally->shortest[member] = to - from;
    atomic_fetch_sub(&tally->inside[member], 1);
}

static void *help(void *team)
{
    percept_team_help(team);
    return NULL;
}

/* Waiting for threads to arrive is done by doing work, not by sleeping. */
static void gather(struct percept_team *team, struct tally *tally, int size)
{
    while (team_size(team) < size)
        team_split(team, PIECES, 1, count, tally);
}

static bool all_equal(const struct tally *tally)
{
    for (int i = 1; i < PIECES; i++)
        if (tally->done[i] != tally->done[0])
            return false;
    return true;
}

/* How many processors there are; 0: the truth. */
static long processors;

/* In place of the library's: what this program, and what is linked into it, is told. A sanitizer asks before there
 * is anything to ask. */
#if !defined __SANITIZE_THREAD__ && !defined __SANITIZE_ADDRESS__
#define TELLS_PROCESSORS 1
long sysconf(int name)
{
    long (*told)(int);
    *(void **)(void *)&told = dlsym(RTLD_NEXT, "sysconf");
    return name == _SC_NPROCESSORS_ONLN && processors ? processors : told(name);
}
#else
#define TELLS_PROCESSORS 0
#endif

/* As many as there are processors, within what one word can tell apart; no answer is one. */
START_TEST(a_team_admits_as_many_as_there_are_processors)
{
    static const struct {
        long processors;
        int most;
    } rows[] = {
        {-1, 1},        {1, 1}, {2, 2}, {TEAM_MAX - 1, TEAM_MAX - 1}, {TEAM_MAX, TEAM_MAX}, {TEAM_MAX + 1, TEAM_MAX},
        {128, TEAM_MAX}};
    for (size_t i = 0; TELLS_PROCESSORS && i < sizeof rows / sizeof *rows; i++) {
        struct percept_err err;
        processors = rows[i].processors;
        ck_assert_int_eq(team_most(), rows[i].most);
        struct percept_team *team = percept_team_new(&err);
        ck_assert_int_eq(team_limit(team), rows[i].most);
        percept_team_free(team);
    }
    processors = 0;
    ck_assert_int_eq(team_limit(NULL), 1);
}
END_TEST

START_TEST(without_a_team_the_caller_does_all)
{
    struct tally tally = {0};
    team_split(NULL, PIECES, 1, count, &tally);
    ck_assert(all_equal(&tally));
    ck_assert_int_eq(tally.done[0], 1);
    ck_assert_int_eq(tally.shortest[0], PIECES);
    ck_assert_int_eq(team_size(NULL), 1);
}
END_TEST

START_TEST(no_pieces_is_no_call)
{
    struct tally tally = {0};
    team_split(NULL, 0, 1, count, &tally);
    team_split(NULL, -1, 1, count, &tally);
    ck_assert_int_eq(tally.shortest[0], 0);
}
END_TEST

START_TEST(a_leader_alone_waits_for_nobody)
{
    struct percept_err err;
    struct tally tally = {0};
    struct percept_team *team = team_new(TEAM_MAX, &err);
    ck_assert_int_eq(team_size(team), 1);
    team_split(team, PIECES, 1, count, &tally);
    ck_assert(all_equal(&tally));
    ck_assert_int_eq(tally.done[0], 1);
    percept_team_free(team);
    percept_team_free(NULL);
}
END_TEST

START_TEST(many_runs_with_helpers_do_every_piece_once)
{
    struct percept_err err;
    struct tally tally = {0};
    struct percept_team *team = team_new(TEAM_MAX, &err);
    pthread_t threads[HELPERS];
    for (int i = 0; i < HELPERS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, help, team), 0);
    gather(team, &tally, HELPERS + 1);
    for (int run = 0; run < RUNS; run++) {
        int before = tally.done[0];
        team_split(team, PIECES, 1 + run % 300, count, &tally);
        ck_assert_int_eq(tally.done[PIECES - 1], before + 1);
        ck_assert(all_equal(&tally));
    }
    ck_assert_int_eq(atomic_load(&tally.crowded), 0);
    percept_team_close(team);
    for (int i = 0; i < HELPERS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_int_eq(team_size(team), 1);
    percept_team_free(team);
}
END_TEST

START_TEST(no_chunk_is_smaller_than_the_grain)
{
    struct percept_err err;
    struct tally tally = {0};
    struct percept_team *team = team_new(TEAM_MAX, &err);
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, help, team), 0);
    while (team_size(team) < 2)
        ;
    for (int run = 0; run < RUNS; run++)
        team_split(team, PIECES, 300, count, &tally);
    percept_team_close(team);
    pthread_join(thread, NULL);
    for (int member = 0; member < TEAM_MAX; member++)
        ck_assert(tally.shortest[member] == 0 || tally.shortest[member] >= 300);
    ck_assert_int_eq(tally.done[0], RUNS);
    percept_team_free(team);
}
END_TEST

/* Comes and goes while the leader works. */
static void *visit(void *arg)
{
    percept_team_help(arg);
    percept_team_help(arg); /* after closing: returns at once */
    return NULL;
}

START_TEST(closing_in_the_middle_of_a_run_loses_nothing)
{
    struct percept_err err;
    for (int round = 0; round < 50; round++) {
        struct tally tally = {0};
        struct percept_team *team = team_new(TEAM_MAX, &err);
        pthread_t threads[HELPERS];
        for (int i = 0; i < HELPERS; i++)
            ck_assert_int_eq(pthread_create(&threads[i], NULL, visit, team), 0);
        for (int run = 0; run < 20; run++) {
            if (run == round % 20)
                percept_team_close(team);
            team_split(team, PIECES, 1, count, &tally);
        }
        ck_assert(all_equal(&tally));
        ck_assert_int_eq(tally.done[0], 20);
        for (int i = 0; i < HELPERS; i++)
            pthread_join(threads[i], NULL);
        percept_team_free(team);
    }
}
END_TEST

/* A range in whose first pieces leader and helper wait for each other, and the leader then sends it home. */
struct recall {
    struct percept_team *team;
    atomic_int leader_in, helper_in, closed;
    atomic_int helper_calls;
    int done[PIECES];
};

static void count_and_recall(void *arg, int64_t from, int64_t to, int member)
{
    struct recall *recall = arg;
    for (int64_t i = from; i < to; i++)
        recall->done[i]++;
    if (member > 0) {
        atomic_fetch_add(&recall->helper_calls, 1);
        atomic_store(&recall->helper_in, 1);
        while (!atomic_load(&recall->closed))
            ;
    } else if (!atomic_exchange(&recall->leader_in, 1)) {
        while (!atomic_load(&recall->helper_in))
            ;
        percept_team_close(recall->team);
        atomic_store(&recall->closed, 1);
        while (team_size(recall->team) > 1) /* gone while the range is still open */
            ;
    }
}

START_TEST(a_helper_that_is_sent_home_leaves_the_range_to_the_leader)
{
    struct percept_err err;
    const int cancel = 0;
    for (int watched = 0; watched < 2; watched++)
        for (int64_t grain = 1; grain < 60; grain += 29) {
            struct watch watch = {.cancel = &cancel};
            struct recall recall = {.team = team_new(TEAM_MAX, &err)};
            pthread_t thread;
            team_watch(recall.team, watched ? &watch : NULL);
            ck_assert_int_eq(pthread_create(&thread, NULL, help, recall.team), 0);
            while (team_size(recall.team) < 2)
                ;
            team_split(recall.team, PIECES, grain, count_and_recall, &recall);
            for (int i = 0; i < PIECES; i++)
                ck_assert_int_eq(recall.done[i], 1);
            ck_assert_int_eq(atomic_load(&recall.helper_calls), 1);
            pthread_join(thread, NULL);
            percept_team_free(recall.team);
        }
}
END_TEST

/* A range in which each of two members waits for the other: it ends only if both take part. */
struct meeting {
    atomic_int seen; /* bit: member */
    int done[PIECES];
};

static void count_and_meet(void *arg, int64_t from, int64_t to, int member)
{
    struct meeting *meeting = arg;
    for (int64_t i = from; i < to; i++)
        meeting->done[i]++;
    atomic_fetch_or(&meeting->seen, 1 << member);
    while (atomic_load(&meeting->seen) != 3)
        ;
}

START_TEST(a_helper_works_for_one_range_after_the_other)
{
    struct percept_err err;
    struct percept_team *team = team_new(TEAM_MAX, &err);
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, help, team), 0);
    while (team_size(team) < 2)
        ;
    for (int range = 0; range < 20; range++) {
        struct meeting meeting = {.seen = 0};
        team_split(team, PIECES, 1, count_and_meet, &meeting);
        for (int i = 0; i < PIECES; i++)
            ck_assert_int_eq(meeting.done[i], 1);
    }
    percept_team_close(team);
    pthread_join(thread, NULL);
    percept_team_free(team);
}
END_TEST

struct modes {
    atomic_int seen; /* members, a bit each */
    uint64_t of[2];  /* in which each computed */
};

static void note_mode(void *arg, int64_t from, int64_t to, int member)
{
    struct modes *modes = arg;
    (void)from;
    (void)to;
    modes->of[member] = mode_get();
    atomic_fetch_or(&modes->seen, 1 << member);
    while (atomic_load(&modes->seen) != 3)
        ;
}

static void *help_exactly(void *team)
{
    mode_set(MODE_EXACT);
    percept_team_help(team);
    return (void *)(uintptr_t)mode_get();
}

START_TEST(helpers_compute_in_the_mode_of_their_leader)
{
    struct percept_err err;
    struct percept_team *team = team_new(TEAM_MAX, &err);
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, help_exactly, team), 0);
    while (team_size(team) < 2)
        ;
    struct modes modes = {.seen = 0};
    const uint64_t before = mode_enter(MODE_FLUSHED);
    team_split(team, PIECES, 1, note_mode, &modes);
    mode_set(before);
    ck_assert_uint_eq(modes.of[0], MODE_FLUSHED);
    ck_assert_uint_eq(modes.of[1], MODE_FLUSHED);
    percept_team_close(team);
    void *after;
    pthread_join(thread, &after);
    ck_assert_uint_eq((uintptr_t)after, MODE_EXACT);
    percept_team_free(team);
}
END_TEST

/* Wake-up calls so far. */
static atomic_int wakes;

#if TELLS_PROCESSORS
/* In place of the library's. */
long syscall(long number, ...)
{
    long (*made)(long, ...);
    long a[6];
    va_list args;
    va_start(args, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(args, long);
    va_end(args);
    if (number == SYS_futex && (int)a[1] == FUTEX_WAKE_PRIVATE)
        atomic_fetch_add(&wakes, 1);
    *(void **)(void *)&made = dlsym(RTLD_NEXT, "syscall");
    return made(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
#endif

struct sleeper {
    struct percept_team *team;
    atomic_int id; /* of the thread */
};

static void *help_by_id(void *arg)
{
    struct sleeper *sleeper = arg;
    atomic_store(&sleeper->id, gettid());
    percept_team_help(sleeper->team);
    return NULL;
}

/* The state letter of one of our threads. */
static char state_of(int id)
{
    char path[64], line[256] = "";
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", id);
    FILE *stat = fopen(path, "re");
    ck_assert(stat && fgets(line, sizeof line, stat));
    fclose(stat);
    return strrchr(line, ')')[2];
}

/* A helper with nothing to do costs nothing, and whoever wakes it makes one call for it. */
START_TEST(a_helper_sleeps_until_there_is_work)
{
    struct percept_err err;
    struct sleeper sleeper = {.team = team_new(TEAM_MAX, &err)};
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, help_by_id, &sleeper), 0);
    while (team_size(sleeper.team) < 2)
        sched_yield();
    for (int range = 0; range < 5; range++) {
        struct meeting meeting = {.seen = 0};
        while (state_of(atomic_load(&sleeper.id)) != 'S')
            sched_yield();
        atomic_store(&wakes, 0);
        team_split(sleeper.team, PIECES, 1, count_and_meet, &meeting);
        ck_assert(!TELLS_PROCESSORS || atomic_load(&wakes) >= 1);
    }
    while (state_of(atomic_load(&sleeper.id)) != 'S')
        sched_yield();
    percept_team_close(sleeper.team);
    pthread_join(thread, NULL);
    struct tally tally = {0};
    atomic_store(&wakes, 0);
    team_split(sleeper.team, PIECES, 1, count, &tally); /* nobody sleeps any more, and none is woken */
    ck_assert_int_eq(atomic_load(&wakes), 0);
    percept_team_free(sleeper.team);
}
END_TEST

/* How a range is cut among so many members. */
struct cuts {
    int64_t shortest, longest;
    int calls;
    bool ends_last;
};

static void note_cut(void *arg, int64_t from, int64_t to, int member)
{
    struct cuts *cuts = arg;
    (void)member;
    cuts->calls++;
    cuts->shortest = cuts->calls == 1 || to - from < cuts->shortest ? to - from : cuts->shortest;
    cuts->longest = to - from > cuts->longest ? to - from : cuts->longest;
    cuts->ends_last = to == PIECES;
}

/* Four chunks a member, of whole blocks; the last block has the rest. Alone nothing need be cut. */
START_TEST(a_range_is_cut_into_a_few_chunks_of_whole_blocks)
{
    static const struct {
        int most;
        int64_t grain;
        int calls;
        int64_t shortest, longest;
    } rows[] = {
        {1, 1, 1, 1000, 1000},   {2, 1, 4, 250, 250},   {2, 300, 3, 300, 400},
        {2, 600, 1, 1000, 1000}, {2, 500, 2, 500, 500}, {2, 501, 1, 1000, 1000},
        {2, 0, 4, 250, 250},     {2, -5, 4, 250, 250},  {2, 7, 5, 20, 245},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct percept_err err;
        struct percept_team *team = team_new(rows[i].most, &err);
        struct cuts cuts = {.calls = 0};
        team_split(team, PIECES, rows[i].grain, note_cut, &cuts); /* nobody helps: one member */
        ck_assert_int_eq(cuts.calls, rows[i].calls);
        ck_assert_int_eq(cuts.shortest, rows[i].shortest);
        ck_assert_int_eq(cuts.longest, rows[i].longest);
        ck_assert(cuts.ends_last);
        percept_team_free(team);
    }
}
END_TEST

START_TEST(no_range_is_no_chunk)
{
    struct percept_err err;
    struct percept_team *team = team_new(2, &err);
    struct cuts cuts = {.calls = 0};
    for (int64_t n = -1; n <= 0; n++) {
        team_split(NULL, n, 1, note_cut, &cuts);
        team_split(team, n, 1, note_cut, &cuts);
    }
    ck_assert_int_eq(cuts.calls, 0);
    team_split(NULL, 1, 1, note_cut, &cuts);
    team_split(team, 1, 1, note_cut, &cuts);
    ck_assert_int_eq(cuts.calls, 2);
    percept_team_free(team);
}
END_TEST

START_TEST(what_is_brief_is_not_watched)
{
    struct percept_err err;
    int cancel = 1;
    for (int most = 1; most <= 2; most++) {
        struct watch watch = {.cancel = &cancel};
        struct percept_team *team = team_new(most, &err);
        team_watch(team, &watch);
        for (int brief = 0; brief < 2; brief++)
            for (int64_t grain = 1; grain <= PIECES; grain += PIECES - 1) {
                struct cuts cuts = {.calls = 0};
                team_brief(team, brief);
                watch.over = 0;
                team_split(team, PIECES, grain, note_cut, &cuts);
                ck_assert_msg((cuts.calls > 0) == (brief && (grain == PIECES || most == 1)),
                              "%d members, %sbrief, grain %d: %d calls", most, brief ? "" : "not ", (int)grain,
                              cuts.calls);
            }
        percept_team_free(team);
    }
    team_brief(NULL, true);
    team_watch(NULL, NULL);
}
END_TEST

START_TEST(a_helper_after_closing_returns_at_once)
{
    struct percept_err err;
    struct percept_team *team = team_new(TEAM_MAX, &err);
    percept_team_close(team);
    percept_team_help(team);
    ck_assert_int_eq(team_size(team), 1);
    percept_team_free(team);
}
END_TEST

START_TEST(a_helper_too_many_returns_at_once)
{
    static const int mosts[] = {1, 2, 3, TEAM_MAX};
    for (size_t k = 0; k < sizeof mosts / sizeof *mosts; k++) {
        struct percept_err err;
        struct percept_team *team = team_new(mosts[k], &err);
        pthread_t threads[TEAM_MAX - 1];
        for (int i = 0; i < mosts[k] - 1; i++)
            ck_assert_int_eq(pthread_create(&threads[i], NULL, help, team), 0);
        while (team_size(team) < mosts[k])
            ;
        percept_team_help(team);
        ck_assert_int_eq(team_size(team), mosts[k]);
        percept_team_close(team);
        for (int i = 0; i < mosts[k] - 1; i++)
            pthread_join(threads[i], NULL);
        percept_team_free(team);
    }
}
END_TEST

/* Helpers that come at the same moment, again and again. */
struct crowd {
    struct percept_team *teams[RUNS];
    atomic_int round; /* whose team to help; helpers are ready when it is theirs */
    atomic_int ready;
};

static void *help_in_every_round(void *arg)
{
    struct crowd *crowd = arg;
    for (int round = 0; round < RUNS; round++) {
        atomic_fetch_add(&crowd->ready, 1);
        while (atomic_load(&crowd->round) < round)
            sched_yield();
        percept_team_help(crowd->teams[round]);
    }
    return NULL;
}

START_TEST(helpers_that_come_together_have_numbers_of_their_own)
{
    static struct crowd crowd;
    struct percept_err err;
    pthread_t threads[HELPERS];
    atomic_store(&crowd.round, -1);
    for (int i = 0; i < RUNS; i++)
        crowd.teams[i] = team_new(HELPERS + 1, &err);
    for (int i = 0; i < HELPERS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, help_in_every_round, &crowd), 0);
    for (int round = 0; round < RUNS; round++) {
        while (atomic_load(&crowd.ready) < (round + 1) * HELPERS)
            sched_yield();
        atomic_store(&crowd.round, round);
        while (team_size(crowd.teams[round]) < HELPERS + 1)
            sched_yield();
        percept_team_close(crowd.teams[round]);
    }
    for (int i = 0; i < HELPERS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < RUNS; i++)
        percept_team_free(crowd.teams[i]);
}
END_TEST

/* Raises its flag when piece `last` is done. */
struct cut {
    atomic_int cancel;
    int64_t last;
    int done[PIECES];
};

static void count_and_cancel(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    struct cut *cut = arg;
    for (int64_t i = from; i < to; i++)
        cut->done[i]++;
    if (from <= cut->last && cut->last < to)
        atomic_store(&cut->cancel, 1);
}

/* Done once each, and none twice; how many. */
static int done_of(const struct cut *cut)
{
    int n = 0;
    for (int i = 0; i < PIECES; i++) {
        ck_assert_int_le(cut->done[i], 1);
        n += cut->done[i];
    }
    return n;
}

START_TEST(a_range_is_left_when_its_watch_is_over)
{
    struct percept_err err;
    for (int most = 1; most <= TEAM_MAX; most += TEAM_MAX - 1)
        for (int64_t grain = 1; grain < 400; grain += 133) {
            struct cut cut = {.last = 0};
            struct watch watch = {.cancel = (const int *)(void *)&cut.cancel};
            struct percept_team *team = team_new(most, &err);
            team_watch(team, &watch);
            team_split(team, PIECES, grain, count_and_cancel, &cut);
            ck_assert(watch_over(&watch));
            ck_assert_int_eq(done_of(&cut), grain); /* one block: who knows how long it takes */
            team_split(team, PIECES, PIECES, count_and_cancel, &cut);
            team_split(team, PIECES, 1, count_and_cancel, &cut);
            ck_assert_int_eq(done_of(&cut), grain);
            team_watch(team, NULL);
            cut = (struct cut){.last = -1};
            team_split(team, PIECES, grain, count_and_cancel, &cut);
            ck_assert_int_eq(done_of(&cut), PIECES);
            percept_team_free(team);
        }
}
END_TEST

START_TEST(a_watched_range_is_done_once_however_it_is_cut)
{
    struct percept_err err;
    struct tally tally = {0};
    const int cancel = 0;
    struct watch watch = {.cancel = &cancel};
    struct percept_team *team = team_new(TEAM_MAX, &err), *alone = team_new(1, &err);
    pthread_t threads[HELPERS];
    for (int i = 0; i < HELPERS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, help, team), 0);
    gather(team, &tally, HELPERS + 1);
    team_watch(team, &watch);
    team_watch(alone, &watch);
    for (int run = 0; run < RUNS; run++) {
        int before = tally.done[0];
        team_split(run & 1 ? team : alone, PIECES, 1 + run % 300, count, &tally);
        ck_assert_int_eq(tally.done[PIECES - 1], before + 1);
        ck_assert(all_equal(&tally));
    }
    ck_assert_int_eq(atomic_load(&tally.crowded), 0);
    percept_team_close(team);
    for (int i = 0; i < HELPERS; i++)
        pthread_join(threads[i], NULL);
    percept_team_free(team);
    percept_team_free(alone);
}
END_TEST

Suite *base_team_suite(void)
{
    Suite *suite = suite_create("base/team");
    TCase *tests = tcase_create("all");
    tcase_set_timeout(tests, 120); /* sanitizers on few cores */
    tcase_add_test(tests, a_team_admits_as_many_as_there_are_processors);
    tcase_add_test(tests, without_a_team_the_caller_does_all);
    tcase_add_test(tests, no_pieces_is_no_call);
    tcase_add_test(tests, a_leader_alone_waits_for_nobody);
    tcase_add_test(tests, many_runs_with_helpers_do_every_piece_once);
    tcase_add_test(tests, no_chunk_is_smaller_than_the_grain);
    tcase_add_test(tests, closing_in_the_middle_of_a_run_loses_nothing);
    tcase_add_test(tests, a_helper_that_is_sent_home_leaves_the_range_to_the_leader);
    tcase_add_test(tests, a_helper_works_for_one_range_after_the_other);
    tcase_add_test(tests, helpers_compute_in_the_mode_of_their_leader);
    tcase_add_test(tests, a_helper_sleeps_until_there_is_work);
    tcase_add_test(tests, a_range_is_cut_into_a_few_chunks_of_whole_blocks);
    tcase_add_test(tests, no_range_is_no_chunk);
    tcase_add_test(tests, what_is_brief_is_not_watched);
    tcase_add_test(tests, a_helper_after_closing_returns_at_once);
    tcase_add_test(tests, a_helper_too_many_returns_at_once);
    tcase_add_test(tests, helpers_that_come_together_have_numbers_of_their_own);
    tcase_add_test(tests, a_range_is_left_when_its_watch_is_over);
    tcase_add_test(tests, a_watched_range_is_done_once_however_it_is_cut);
    suite_add_tcase(suite, tests);
    return suite;
}
