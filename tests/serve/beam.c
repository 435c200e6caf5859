/* beam.c - who lives on: beside a search through all texts there are, in ties, and with scores that are none. */
#include "serve/beam.h"

#include "base/err.h"

#include <check.h>
#include <math.h>
#include <string.h>

Suite *serve_beam_suite(void);

static struct arena arena;
static struct beam beam;

static void setup(void)
{
    beam = (struct beam){.width = 2, .length_penalty = 1, .end = -1, .most = 3};
}

static void teardown(void)
{
    arena_free(&arena);
}

/* Rounds until it is over: what is scored next depends on the last token alone, 0 at first. */
static void search(const float *table, int n_tokens, double penalty)
{
    ck_assert(beam_begin(&beam, &arena, NULL));
    for (bool over = false; !over;) {
        struct beam_candidate all[2 * BEAM_MOST * BEAM_MOST];
        int n = 0;
        for (int i = 0; i < beam.n_live; i++) {
            const int64_t last = beam.live[i].node < 0 ? 0 : beam.nodes[beam.live[i].node].token;
            const struct beam_row row = {.scores = table + last * n_tokens, .n = n_tokens, .penalty = penalty};
            const int found = beam_rank(&beam, i, &row, &all[n], &arena, NULL);
            ck_assert_int_gt(found, 0);
            n += found;
        }
        over = beam_choose(&beam, all, n);
    }
}

static void expect(int text, const int64_t *tokens, int64_t n)
{
    int64_t made[16];
    ck_assert_int_lt(text, beam.n_texts);
    ck_assert_int_eq(beam.texts[text].n_tokens, n);
    beam_tokens(&beam, &beam.texts[text], made);
    ck_assert_mem_eq(made, tokens, (size_t)n * sizeof *tokens);
}

/* --- beside all texts --------------------------------------------------------------------------------------------- */

#define TOKENS 3
#define LENGTH 3

static const float table[TOKENS * TOKENS] = {0.1f, 0.9f, 0.4f, 1.2f, -0.3f, 0.2f, 0.0f, 0.7f, 0.65f};

static double part_of(int64_t last, int64_t token)
{
    double sum = 0;
    for (int i = 0; i < TOKENS; i++)
        sum += exp((double)table[last * TOKENS + i]);
    return (double)table[last * TOKENS + token] - log(sum);
}

struct found {
    double score;
    int64_t tokens[LENGTH];
    int n;
};

/* The best text that begins so; the last token is the end. */
static void look(struct found *best, struct found *at, double sum)
{
    for (int64_t token = 0; token < TOKENS; token++) {
        const double next = sum + part_of(at->n ? at->tokens[at->n - 1] : 0, token);
        const bool ends = token == TOKENS - 1;
        if (!ends)
            at->tokens[at->n++] = token;
        at->score = next / pow(at->n + ends, beam.length_penalty);
        if ((ends || at->n == LENGTH) && at->score > best->score)
            *best = *at;
        if (!ends && at->n < LENGTH)
            look(best, at, next);
        at->n -= !ends;
    }
}

START_TEST(a_wide_search_finds_the_best_of_all_texts)
{
    static const double penalties[] = {0, 0.5, 1, 2};
    for (size_t i = 0; i < sizeof penalties / sizeof *penalties; i++) {
        beam.width = 27;
        beam.end = TOKENS - 1;
        beam.length_penalty = penalties[i];
        struct found best = {.score = -INFINITY}, at = {0};
        look(&best, &at, 0);
        search(table, TOKENS, 1);
        ck_assert_double_eq_tol(beam.texts[0].score, best.score, 1e-9);
        expect(0, best.tokens, best.n);
        for (int k = 1; k < beam.n_texts; k++)
            ck_assert(beam.texts[k].score <= beam.texts[k - 1].score);
    }
}
END_TEST

START_TEST(one_that_looks_worse_at_first_may_win)
{
    const float scores[9] = {0, 1, 0.9f, 0, 0, 0, 0, 9, 0}; /* behind 2 comes 1 for sure */
    beam.most = 2;
    search(scores, 3, 1);
    expect(0, (int64_t[]){2, 1}, 2);
    beam.width = 1;
    search(scores, 3, 1);
    expect(0, (int64_t[]){1, 0}, 2);
}
END_TEST

/* --- ends and ties ------------------------------------------------------------------------------------------------ */

START_TEST(equal_ones_are_ordered_by_whom_they_continue_then_by_token)
{
    const float same[16] = {0};
    beam.most = 2;
    beam.width = 3;
    search(same, 4, 1);
    expect(0, (int64_t[]){0, 0}, 2);
    expect(1, (int64_t[]){0, 1}, 2);
    expect(2, (int64_t[]){0, 2}, 2);
    ck_assert_int_eq(beam.n_texts, 3);
}
END_TEST

START_TEST(it_is_over_when_nobody_can_become_better)
{
    const float scores[4] = {0, 8, 0, 8}; /* the end, nearly always */
    beam.end = 1;
    beam.most = 1000;
    search(scores, 2, 1);
    ck_assert_int_lt(beam.n_made, 5);
    ck_assert(beam.texts[0].stopped && beam.texts[0].n_tokens == 0);
    expect(1, (int64_t[]){0}, 1);
}
END_TEST

START_TEST(who_lives_at_the_end_is_a_text_that_did_not_stop)
{
    const float scores[4] = {8, 0, 8, 0};
    beam.end = 1;
    beam.most = 4;
    search(scores, 2, 1);
    expect(0, (int64_t[]){0, 0, 0, 0}, 4);
    ck_assert(!beam.texts[0].stopped);
}
END_TEST

START_TEST(an_end_alone_ends_it)
{
    const float scores[1] = {3};
    beam.end = 0;
    search(scores, 1, 1);
    ck_assert(beam.n_texts == 1 && beam.texts[0].stopped && beam.texts[0].n_tokens == 0);
}
END_TEST

START_TEST(a_penalty_makes_what_was_there_less_likely)
{
    const float scores[9] = {0, 1, 0.5f, 0, 1, 0.5f, 0, 1, 0.5f};
    beam.width = 1;
    beam.most = 2;
    search(scores, 3, 1);
    expect(0, (int64_t[]){1, 1}, 2);
    search(scores, 3, 3);
    expect(0, (int64_t[]){1, 2}, 2);
}
END_TEST

/* --- scores that are none ----------------------------------------------------------------------------------------- */

START_TEST(what_is_no_number_is_not_followed)
{
    static const struct {
        float scores[3];
        int n;
        int64_t best;
        double sum;
    } cases[] = {
        {{NAN, 1, NAN}, 1, 1, 0},
        {{NAN, NAN, NAN}, -1, 0, 0},
        {{-INFINITY, 2, -INFINITY}, 3, 1, 0},
        {{-INFINITY, -INFINITY, -INFINITY}, -1, 0, 0},
        {{1, INFINITY, 5}, 3, 1, 0},
        {{3e38f, -3e38f, NAN}, 2, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct beam_candidate best[4];
        const struct beam_row row = {.scores = cases[i].scores, .n = 3, .penalty = 1};
        ck_assert(beam_begin(&beam, &arena, NULL));
        ck_assert_int_eq(beam_rank(&beam, 0, &row, best, &arena, NULL), cases[i].n);
        if (cases[i].n > 0)
            ck_assert(best[0].token == cases[i].best && best[0].sum == cases[i].sum);
    }
}
END_TEST

START_TEST(probabilities_are_taken_as_they_are)
{
    struct beam_candidate best[4];
    const float scores[] = {0.25f, 0.5f, 0, -1};
    const struct beam_row row = {.scores = scores, .n = 4, .penalty = 1, .probabilities = true};
    ck_assert(beam_begin(&beam, &arena, NULL));
    ck_assert_int_eq(beam_rank(&beam, 0, &row, best, &arena, NULL), 3);
    ck_assert(best[0].token == 1 && best[0].sum == log(0.5) && best[1].token == 0 && isinf(best[2].sum));
}
END_TEST

START_TEST(who_is_over_ranks_nothing)
{
    struct beam_candidate best[4];
    const int cancelled = 1;
    struct watch watch = {.cancel = &cancelled};
    const float scores[] = {0, 1};
    const struct beam_row row = {.scores = scores, .n = 2, .penalty = 1};
    ck_assert(beam_begin(&beam, &arena, NULL));
    ck_assert_int_eq(beam_rank(&beam, 0, &row, best, &arena, &watch), -1);
}
END_TEST

Suite *serve_beam_suite(void)
{
    Suite *suite = suite_create("serve_beam");
    TCase *tcase = tcase_create("beam");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_wide_search_finds_the_best_of_all_texts);
    tcase_add_test(tcase, one_that_looks_worse_at_first_may_win);
    tcase_add_test(tcase, equal_ones_are_ordered_by_whom_they_continue_then_by_token);
    tcase_add_test(tcase, it_is_over_when_nobody_can_become_better);
    tcase_add_test(tcase, who_lives_at_the_end_is_a_text_that_did_not_stop);
    tcase_add_test(tcase, an_end_alone_ends_it);
    tcase_add_test(tcase, a_penalty_makes_what_was_there_less_likely);
    tcase_add_test(tcase, what_is_no_number_is_not_followed);
    tcase_add_test(tcase, probabilities_are_taken_as_they_are);
    tcase_add_test(tcase, who_is_over_ranks_nothing);
    suite_add_tcase(suite, tcase);
    return suite;
}
