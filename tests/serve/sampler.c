/* sampler.c - which token is chosen: the best, one of the best, by draws that depend on seed and step alone. */
#include "serve/sampler.h"

#include <check.h>
#include <math.h>

Suite *serve_sampler_suite(void);

#define N 5

static struct arena arena;
static const float scores[N] = {1, 3, 2, 3, -1};

static void teardown(void)
{
    arena_free(&arena);
}

static int64_t choose(struct sampler sampler, const float *of, int64_t n, uint64_t step)
{
    arena_reset(&arena);
    return sampler_choose(&sampler, of, n, NULL, 0, step, &arena, NULL);
}

static struct sampler plain(double temperature)
{
    return (struct sampler){.temperature = temperature, .top_p = 1, .penalty = 1};
}

START_TEST(without_temperature_the_best_is_taken_and_the_first_of_equals)
{
    for (uint64_t step = 0; step < 10; step++)
        ck_assert_int_eq(choose(plain(0), scores, N, step), 1);
}
END_TEST

START_TEST(nothing_that_is_no_number_is_chosen)
{
    const float odd[] = {NAN, -INFINITY, NAN, 0};
    for (uint64_t step = 0; step < 50; step++) {
        ck_assert_int_eq(choose(plain(0), odd, 4, step), 3);
        ck_assert_int_eq(choose(plain(1), odd, 4, step), 3);
    }
    const float none[] = {NAN, NAN}, all[] = {INFINITY, 1, INFINITY}, low[] = {-INFINITY, -INFINITY};
    ck_assert_int_eq(choose(plain(0), none, 2, 0), -1);
    ck_assert_int_eq(choose(plain(1), none, 2, 0), -1);
    for (uint64_t step = 0; step < 50; step++) {
        ck_assert_int_ne(choose(plain(1), all, 3, step), 1);
        ck_assert_int_ge(choose(plain(1), low, 2, step), 0);
    }
    ck_assert_int_eq(choose(plain(1), scores, 0, 0), -1);
}
END_TEST

START_TEST(draws_follow_the_probabilities)
{
    /* 20,000 draws: the share of a token is within 0.015 of its probability, four standard deviations of 0.0035 */
    int counts[N] = {0};
    double sum = 0;
    for (int i = 0; i < N; i++)
        sum += exp((double)scores[i]);
    for (uint64_t step = 0; step < 20000; step++)
        counts[choose(plain(1), scores, N, step)]++;
    for (int i = 0; i < N; i++)
        ck_assert_double_eq_tol(counts[i] / 20000.0, exp((double)scores[i]) / sum, 0.015);
}
END_TEST

START_TEST(probabilities_and_their_logarithms_are_the_same)
{
    float of[N];
    struct sampler sampler = plain(0.7);
    sampler.probabilities = true;
    for (int i = 0; i < N; i++)
        of[i] = expf(scores[i]) / 100;
    int same = 0;
    for (uint64_t step = 0; step < 1000; step++)
        same += choose(plain(0.7), scores, N, step) == choose(sampler, of, N, step);
    ck_assert_int_ge(same, 999); /* but where a draw lies on the edge */
}
END_TEST

START_TEST(only_the_best_are_left)
{
    struct sampler two = plain(5), half = plain(1), tiny = plain(1);
    two.top_k = 2;
    half.top_p = 0.5;
    tiny.top_p = 0;
    for (uint64_t step = 0; step < 200; step++) {
        const int64_t of_two = choose(two, scores, N, step), of_half = choose(half, scores, N, step);
        ck_assert(of_two == 1 || of_two == 3);
        ck_assert(of_half == 1 || of_half == 3);
        ck_assert_int_eq(choose(tiny, scores, N, step), 1);
    }
    two.top_k = 100;
    ck_assert_int_ge(choose(two, scores, N, 0), 0);
}
END_TEST

START_TEST(what_was_there_is_less_likely)
{
    const int64_t seen[] = {1, 4, 7, -2};
    struct sampler sampler = plain(0);
    sampler.penalty = 2;
    ck_assert_int_eq(sampler_choose(&sampler, scores, N, seen, 4, 0, &arena, NULL), 3);
    const float low[] = {-1, -1.5F};
    const int64_t first[] = {0};
    ck_assert_int_eq(sampler_choose(&sampler, low, 2, first, 1, 0, &arena, NULL), 1);
}
END_TEST

START_TEST(a_draw_is_a_function_of_seed_and_step)
{
    double sum = 0;
    for (uint64_t step = 0; step < 10000; step++) {
        const double draw = sampler_draw(42, step);
        ck_assert(draw >= 0 && draw < 1);
        sum += draw;
    }
    ck_assert_double_eq_tol(sum / 10000, 0.5, 0.012); /* four standard deviations */
    ck_assert_double_eq(sampler_draw(1, 2), sampler_draw(1, 2));
    ck_assert_double_ne(sampler_draw(1, 2), sampler_draw(1, 3));
    ck_assert_double_ne(sampler_draw(1, 2), sampler_draw(2, 2));
}
END_TEST

START_TEST(short_memory_chooses_nothing)
{
    struct sampler sampler = plain(1);
    struct arena small = {.limit_bytes = 8};
    ck_assert_int_eq(sampler_choose(&sampler, scores, N, NULL, 0, 0, &small, NULL), -1);
    arena_free(&small);
}
END_TEST

Suite *serve_sampler_suite(void)
{
    Suite *suite = suite_create("serve_sampler");
    TCase *tcase = tcase_create("sampler");
    tcase_add_checked_fixture(tcase, NULL, teardown);
    tcase_add_test(tcase, without_temperature_the_best_is_taken_and_the_first_of_equals);
    tcase_add_test(tcase, nothing_that_is_no_number_is_chosen);
    tcase_add_test(tcase, draws_follow_the_probabilities);
    tcase_add_test(tcase, probabilities_and_their_logarithms_are_the_same);
    tcase_add_test(tcase, only_the_best_are_left);
    tcase_add_test(tcase, what_was_there_is_less_likely);
    tcase_add_test(tcase, a_draw_is_a_function_of_seed_and_step);
    tcase_add_test(tcase, short_memory_chooses_nothing);
    suite_add_tcase(suite, tcase);
    return suite;
}
