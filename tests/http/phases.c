/*
 * phases.c - tests of http/phases.c under a clock of their own: who is in which phase since when,
 * and who has to make way.
 */
#include "http/phases.h"

#include <check.h>
#include <string.h>

#define N 6

static struct phases phases;
static struct connection all[N];

/* N connections that came at 0, 10, 20 ... */
static void start(void)
{
    memset(&phases, 0, sizeof phases);
    memset(all, 0, sizeof all);
    for (int i = 0; i < N; i++)
        phases_add(&phases, &all[i], (uint64_t)i * 10);
}

static int n_in(enum phase phase)
{
    int n = 0;
    const struct connection *before = NULL;
    for (const struct connection *at = phases.lists[phase].first; at; before = at, at = at->after) {
        ck_assert_int_eq(at->phase, phase);
        ck_assert_ptr_eq(at->before, before);
        ck_assert(!before || before->moved_ms <= at->moved_ms);
        n++;
    }
    ck_assert_ptr_eq(phases.lists[phase].last, before);
    ck_assert_int_eq(phases.lists[phase].n, n);
    return n;
}

START_TEST(a_connection_is_in_one_phase)
{
    start();
    ck_assert_int_eq(n_in(PHASE_HEADER), N);
    phases_enter(&phases, &all[2], PHASE_BODY, 100);
    phases_enter(&phases, &all[0], PHASE_BODY, 110);
    phases_enter(&phases, &all[N - 1], PHASE_WORK, 120);
    ck_assert_int_eq(n_in(PHASE_HEADER), N - 3);
    ck_assert_int_eq(n_in(PHASE_BODY), 2);
    ck_assert_int_eq(n_in(PHASE_WORK), 1);
    phases_remove(&phases, &all[2]);
    phases_remove(&phases, &all[1]);
    ck_assert_int_eq(n_in(PHASE_BODY), 1);
    ck_assert_int_eq(n_in(PHASE_HEADER), N - 4);
}
END_TEST

START_TEST(a_move_puts_off_no_deadline)
{
    start();
    phases_enter(&phases, &all[0], PHASE_BODY, 100);
    phases_enter(&phases, &all[1], PHASE_BODY, 110);
    phases_moved(&phases, &all[0], 5000);
    ck_assert_uint_eq(all[0].since_ms, 100);
    ck_assert_uint_eq(all[0].moved_ms, 5000);
    ck_assert_ptr_eq(phases.lists[PHASE_BODY].last, &all[0]);
    ck_assert_int_eq(n_in(PHASE_BODY), 2);
}
END_TEST

START_TEST(the_one_that_was_quiet_longest_makes_way)
{
    start();
    phases_enter(&phases, &all[0], PHASE_IDLE, 100);
    phases_enter(&phases, &all[1], PHASE_BODY, 110);
    phases_enter(&phases, &all[2], PHASE_WORK, 60);
    phases_enter(&phases, &all[3], PHASE_REPLY, 61);
    phases_enter(&phases, &all[4], PHASE_CUT, 62);
    ck_assert_ptr_eq(phases_longest(&phases, false), &all[5]); /* half a head since 50 */
    phases_moved(&phases, &all[5], 130);
    ck_assert_ptr_eq(phases_longest(&phases, false), &all[0]);
    phases_enter(&phases, &all[0], PHASE_WORK, 140);
    ck_assert_ptr_eq(phases_longest(&phases, false), &all[1]);
    phases_moved(&phases, &all[1], 150); /* an upload that goes on */
    ck_assert_ptr_eq(phases_longest(&phases, false), &all[5]);
}
END_TEST

START_TEST(who_works_or_is_answered_never_makes_way)
{
    start();
    for (int i = 0; i < N; i++)
        phases_enter(&phases, &all[i], i % 3 ? i % 3 > 1 ? PHASE_REPLY : PHASE_WORK : PHASE_CUT, 100);
    ck_assert_ptr_null(phases_longest(&phases, false));
    ck_assert_ptr_null(phases_longest(&phases, true));
}
END_TEST

START_TEST(who_is_over_the_limit_is_asked_for_apart)
{
    start();
    all[0].over = all[2].over = true;
    ck_assert_ptr_eq(phases_longest(&phases, false), &all[1]);
    ck_assert_ptr_eq(phases_longest(&phases, true), &all[0]);
    phases_enter(&phases, &all[0], PHASE_REPLY, 100);
    ck_assert_ptr_eq(phases_longest(&phases, true), &all[2]);
}
END_TEST

START_TEST(who_has_ended_waits_for_no_bytes)
{
    static const enum phase waiting[] = {PHASE_HEADER, PHASE_BODY, PHASE_IDLE};
    start();
    for (int i = 0; i < 3; i++) {
        phases_enter(&phases, &all[i], waiting[i], 100);
        phases_end(&phases, &all[i], 200);
        ck_assert_int_eq(all[i].phase, PHASE_LEFT);
        phases_enter(&phases, &all[i], PHASE_BODY, 300); /* what it sent before its end */
        ck_assert_int_eq(all[i].phase, PHASE_LEFT);
        ck_assert_uint_eq(all[i].since_ms, 200);
    }
    phases_enter(&phases, &all[3], PHASE_REPLY, 100);
    phases_end(&phases, &all[3], 200);
    ck_assert_int_eq(all[3].phase, PHASE_REPLY);
    phases_enter(&phases, &all[3], PHASE_IDLE, 300);
    ck_assert_int_eq(all[3].phase, PHASE_LEFT);
    ck_assert_ptr_eq(phases_longest(&phases, false), &all[0]); /* though others are silent longer */
}
END_TEST

START_TEST(who_was_cut_stays_so)
{
    static const enum phase later[] = {PHASE_HEADER, PHASE_WORK, PHASE_REPLY, PHASE_IDLE};
    start();
    phases_enter(&phases, &all[0], PHASE_CUT, 100);
    for (int i = 0; i < 4; i++) {
        phases_enter(&phases, &all[0], later[i], 200);
        phases_end(&phases, &all[0], 200);
        ck_assert_int_eq(all[0].phase, PHASE_CUT);
    }
    ck_assert_int_eq(n_in(PHASE_CUT), 1);
}
END_TEST

/* Those that are over the limit may not fill the few places that are left for them, whatever they
 * do; others that are answered keep theirs. */
START_TEST(of_those_that_are_over_a_reader_that_does_not_read_makes_way_last)
{
    start();
    for (int i = 0; i < N; i++) {
        all[i].over = i % 2;
        phases_enter(&phases, &all[i], PHASE_REPLY, (uint64_t)(100 + i));
    }
    ck_assert_ptr_null(phases_longest(&phases, false));
    ck_assert_ptr_eq(phases_longest(&phases, true), &all[1]);
    phases_enter(&phases, &all[1], PHASE_CUT, 200);
    ck_assert_ptr_eq(phases_longest(&phases, true), &all[3]);
    phases_enter(&phases, &all[5], PHASE_IDLE, 210);
    ck_assert_ptr_eq(phases_longest(&phases, true), &all[5]);
    phases_enter(&phases, &all[5], PHASE_WORK, 220);
    phases_enter(&phases, &all[3], PHASE_WORK, 230);
    ck_assert_ptr_null(phases_longest(&phases, true));
}
END_TEST

Suite *http_phases_suite(void)
{
    Suite *suite = suite_create("http/phases");
    TCase *tcase = tcase_create("phases");
    tcase_add_test(tcase, a_connection_is_in_one_phase);
    tcase_add_test(tcase, a_move_puts_off_no_deadline);
    tcase_add_test(tcase, the_one_that_was_quiet_longest_makes_way);
    tcase_add_test(tcase, of_those_that_are_over_a_reader_that_does_not_read_makes_way_last);
    tcase_add_test(tcase, who_works_or_is_answered_never_makes_way);
    tcase_add_test(tcase, who_is_over_the_limit_is_asked_for_apart);
    tcase_add_test(tcase, who_has_ended_waits_for_no_bytes);
    tcase_add_test(tcase, who_was_cut_stays_so);
    suite_add_tcase(suite, tcase);
    return suite;
}
