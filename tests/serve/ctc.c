/* ctc.c - greedy by hand; the beam beside the sum over all paths; words of a list and no others. */
#include "serve/ctc.h"

#include "base/err.h"

#include <check.h>
#include <math.h>
#include <string.h>

Suite *serve_ctc_suite(void);

static struct arena arena;
static struct percept_err err;
static struct ctc_text texts[CTC_BEAM_MOST];

static void begin(void)
{
    err = (struct percept_err){0};
}

static void end(void)
{
    arena_free(&arena);
}

static const char *const letters[] = {"a", "b"};

/* Rows of one step for each letter of `path`: '_' is the blank, which is class 0. The others share the rest. */
static int64_t rows_of(const char *path, int n_classes, float *rows)
{
    int64_t n = 0;
    for (; *path; path++, n++)
        for (int c = 0; c < n_classes; c++)
            rows[n * n_classes + c] =
                logf(c == (*path == '_' ? 0 : *path - 'a' + 1) ? 0.9f : 0.1f / (float)(n_classes - 1));
    return n;
}

static const struct {
    const char *path, *text;
} greedy[] = {{"aab", "ab"}, {"a_a", "aa"}, {"_a_b_", "ab"}, {"___", ""}, {"", ""}, {"abab", "abab"}, {"aaaa", "a"}};

START_TEST(repeats_and_blanks_go)
{
    float rows[64];
    const struct ctc ctc = {.n_classes = 3, .n_labels = 2, .labels = letters};
    const int64_t n = rows_of(greedy[_i].path, 3, rows);
    ck_assert_int_eq(ctc_decode(&ctc, rows, n, 5, texts, NULL, &arena, &err), 1);
    ck_assert_str_eq(texts[0].text, greedy[_i].text);
    ck_assert_float_eq_tol(texts[0].score, *greedy[_i].text ? 0.9f : 1, 1e-6f);
}
END_TEST

START_TEST(labels_with_and_without_the_blank_are_read)
{
    static const char *const with[] = {"<blank>", "a", "b"}, *const marked[] = {"\xe2\x96\x81"
                                                                                "a",
                                                                                "</s>", "b|"};
    float rows[64];
    const int64_t n = rows_of("ab", 3, rows);
    struct ctc ctc = {.n_classes = 3, .n_labels = 3, .labels = with};
    ctc_decode(&ctc, rows, n, 1, texts, NULL, &arena, &err);
    ck_assert_str_eq(texts[0].text, "ab");
    ctc = (struct ctc){.n_classes = 3, .blank = 2, .n_labels = 2, .labels = letters};
    const int64_t m = rows_of("_a_b", 3, rows); /* class 0, 1, 0, 2: a, b, a, nothing */
    ctc_decode(&ctc, rows, m, 1, texts, NULL, &arena, &err);
    ck_assert_str_eq(texts[0].text, "aba");
    static const char *const skipped[] = {"</s>"};
    ctc = (struct ctc){.n_classes = 4,
                       .blank = 3,
                       .n_labels = 3,
                       .labels = marked,
                       .space = "\xe2\x96\x81",
                       .n_skipped = 1,
                       .skipped = skipped};
    const int64_t k = rows_of("_a_b", 4, rows);
    ctc_decode(&ctc, rows, k, 1, texts, NULL, &arena, &err);
    ck_assert_str_eq(texts[0].text, "a ab|");
    ctc.space = "|";
    ctc_decode(&ctc, rows, k, 1, texts, NULL, &arena, &err);
    ck_assert_str_eq(texts[0].text, "\xe2\x96\x81"
                                    "a\xe2\x96\x81"
                                    "ab");
}
END_TEST

/* --- the beam beside all paths ------------------------------------------------------------------------------------ */

#define STEPS 6
#define ALL_MOST 256

struct sums {
    int n;
    char text[ALL_MOST][STEPS + 1];
    double p[ALL_MOST];
};

static void add_path(struct sums *sums, const int *path, double p)
{
    char text[STEPS + 1] = "";
    for (int t = 0, n = 0; t < STEPS; t++)
        if (path[t] && (t == 0 || path[t] != path[t - 1]))
            text[n++] = (char)('a' + path[t] - 1);
    int i = 0;
    while (i < sums->n && strcmp(sums->text[i], text) != 0)
        i++;
    if (i == sums->n) {
        sums->n++;
        memcpy(sums->text[i], text, sizeof text);
    }
    sums->p[i] += p;
}

static void sum_all(const float *rows, struct sums *sums)
{
    for (int code = 0; code < 729; code++) {
        int path[STEPS];
        double p = 1;
        for (int t = 0, rest = code; t < STEPS; t++, rest /= 3) {
            path[t] = rest % 3;
            p *= exp((double)rows[t * 3 + path[t]]);
        }
        add_path(sums, path, p);
    }
}

START_TEST(a_wide_beam_sums_all_paths)
{
    float rows[STEPS * 3];
    uint32_t seed = (uint32_t)_i + 1;
    static struct sums sums;
    sums = (struct sums){0};
    for (int t = 0; t < STEPS; t++) {
        float p[3], sum = 0;
        for (int c = 0; c < 3; c++) {
            seed = seed * 1664525 + 1013904223;
            p[c] = (float)(seed >> 8) / (1 << 24) + 0.01f;
            sum += p[c];
        }
        for (int c = 0; c < 3; c++)
            rows[t * 3 + c] = logf(p[c] / sum);
    }
    sum_all(rows, &sums);
    const struct ctc ctc = {.n_classes = 3, .n_labels = 2, .labels = letters, .beam = CTC_BEAM_MOST};
    const int n = ctc_decode(&ctc, rows, STEPS, CTC_BEAM_MOST, texts, NULL, &arena, &err);
    ck_assert_int_eq(n, sums.n < CTC_BEAM_MOST ? sums.n : CTC_BEAM_MOST);
    for (int i = 0; i < n; i++) {
        int k = 0;
        while (k < sums.n && strcmp(sums.text[k], texts[i].text) != 0)
            k++;
        ck_assert_int_lt(k, sums.n);
        ck_assert_double_eq_tol((double)texts[i].score, sums.p[k], 1e-5);
        ck_assert(!i || texts[i].score <= texts[i - 1].score + 1e-7f);
    }
}
END_TEST

/* The best path is empty, the best text is not: where greedy is wrong. */
/* Whatever the order in which they come. */
START_TEST(a_narrow_beam_keeps_the_best)
{
    static const float p[6][3] = {{.5f, .3f, .2f}, {.5f, .2f, .3f}, {.3f, .5f, .2f},
                                  {.2f, .5f, .3f}, {.3f, .2f, .5f}, {.2f, .3f, .5f}};
    static const char *const names[] = {"", "a", "b"};
    float rows[3];
    for (int beam = 1; beam <= 2; beam++) {
        const struct ctc ctc = {.n_classes = 3, .n_labels = 2, .labels = letters, .beam = beam};
        for (int c = 0; c < 3; c++)
            rows[c] = logf(p[_i][c]);
        ck_assert_int_eq(ctc_decode(&ctc, rows, 1, 3, texts, NULL, &arena, &err), beam);
        for (int c = 0; c < 3; c++)
            if (p[_i][c] > 0.4f || (p[_i][c] > 0.25f && beam == 2))
                ck_assert_str_eq(texts[p[_i][c] < 0.4f].text, names[c]);
    }
}
END_TEST

START_TEST(a_beam_finds_what_greedy_misses)
{
    const float rows[] = {logf(0.6f), logf(0.4f), logf(0.6f), logf(0.4f)};
    struct ctc ctc = {.n_classes = 2, .n_labels = 1, .labels = letters};
    ctc_decode(&ctc, rows, 2, 1, texts, NULL, &arena, &err);
    ck_assert_str_eq(texts[0].text, "");
    ctc.beam = 2;
    ck_assert_int_eq(ctc_decode(&ctc, rows, 2, 5, texts, NULL, &arena, &err), 2);
    ck_assert_str_eq(texts[0].text, "a");
    ck_assert_float_eq_tol(texts[0].score, 0.64f, 1e-6f);
    ck_assert_float_eq_tol(texts[1].score, 0.36f, 1e-6f);
}
END_TEST

static const char *const signs[] = {"c", "a", "t", "r", " ", "ca"};

static int64_t spoken(const char *text, float *rows)
{
    int64_t n = 0;
    for (; *text; text++, n++)
        for (int c = 0; c < 7; c++) {
            const bool is = c && (signs[c - 1][0] == *text && !signs[c - 1][1]);
            rows[n * 7 + c] = logf(is || (!c && *text == '_') ? 0.7f : 0.05f);
        }
    return n;
}

START_TEST(only_words_of_the_list_are_read)
{
    static const char *const words[] = {"act", "car", "cat", "cats"};
    float rows[256];
    struct ctc ctc = {.n_classes = 7, .n_labels = 6, .labels = signs, .beam = 32, .n_words = 4, .words = words};
    ck_assert_int_ge(ctc_decode(&ctc, rows, spoken("cat_ car", rows), 3, texts, NULL, &arena, &err), 1);
    ck_assert_str_eq(texts[0].text, "cat car");
    for (int i = 0; i < 3; i++)
        ck_assert_ptr_null(strstr(texts[i].text, "ctt"));
    ctc_decode(&ctc, rows, spoken("ctt", rows), 3, texts, NULL, &arena, &err);
    ck_assert_msg(strcmp(texts[0].text, "cat") == 0 || strcmp(texts[0].text, "act") == 0, "%s", texts[0].text);
    ctc.n_words = 0;
    ctc_decode(&ctc, rows, spoken("rat", rows), 3, texts, NULL, &arena, &err);
    ck_assert_str_eq(texts[0].text, "rat");
}
END_TEST

START_TEST(half_a_word_is_taken_where_there_is_no_other)
{
    static const char *const words[] = {"cart"};
    float rows[64];
    for (int i = 0; i < 14; i++)
        rows[i] = -INFINITY;
    rows[1] = rows[7 + 2] = 0; /* c, a: certainly */
    const struct ctc ctc = {.n_classes = 7, .n_labels = 6, .labels = signs, .beam = 8, .n_words = 1, .words = words};
    ck_assert_int_eq(ctc_decode(&ctc, rows, 2, 3, texts, NULL, &arena, &err), 1);
    ck_assert_str_eq(texts[0].text, "ca");
}
END_TEST

START_TEST(numbers_that_are_none_do_no_harm)
{
    const float rows[] = {(float)NAN, (float)NAN, (float)NAN, (float)NAN, 0, -INFINITY};
    struct ctc ctc = {.n_classes = 3, .n_labels = 2, .labels = letters};
    ck_assert_int_eq(ctc_decode(&ctc, rows, 2, 1, texts, NULL, &arena, &err), 1);
    ck_assert_str_eq(texts[0].text, "a");
    ctc.beam = 4;
    ck_assert_int_ge(ctc_decode(&ctc, rows, 2, 1, texts, NULL, &arena, &err), 0);
}
END_TEST

START_TEST(nobody_waits_and_no_memory)
{
    float rows[64];
    int cancel = 1;
    struct watch watch = {.cancel = &cancel};
    const int64_t n = rows_of("abab", 3, rows);
    for (int beam = 0; beam < 8; beam += 4) {
        const struct ctc ctc = {.n_classes = 3, .n_labels = 2, .labels = letters, .beam = beam};
        err = (struct percept_err){0};
        ck_assert_int_eq(ctc_decode(&ctc, rows, n, 1, texts, &watch, &arena, &err), -1);
        ck_assert_int_eq(err.code, ERR_CANCELLED);
        for (size_t nth = 1, done = 0; !done; nth++) {
            arena_free(&arena);
            err = (struct percept_err){0};
            arena_fail_at(nth, true);
            done = ctc_decode(&ctc, rows, n, 1, texts, NULL, &arena, &err) == 1;
            arena_fail_at(0, false);
            ck_assert(done || err.code == ERR_MEMORY);
        }
    }
}
END_TEST

Suite *serve_ctc_suite(void)
{
    Suite *suite = suite_create("serve/ctc");
    TCase *tests = tcase_create("ctc");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_loop_test(tests, repeats_and_blanks_go, 0, (int)(sizeof greedy / sizeof *greedy));
    tcase_add_test(tests, labels_with_and_without_the_blank_are_read);
    tcase_add_loop_test(tests, a_wide_beam_sums_all_paths, 0, 5);
    tcase_add_loop_test(tests, a_narrow_beam_keeps_the_best, 0, 6);
    tcase_add_test(tests, a_beam_finds_what_greedy_misses);
    tcase_add_test(tests, only_words_of_the_list_are_read);
    tcase_add_test(tests, half_a_word_is_taken_where_there_is_no_other);
    tcase_add_test(tests, numbers_that_are_none_do_no_harm);
    tcase_add_test(tests, nobody_waits_and_no_memory);
    suite_add_tcase(suite, tests);
    return suite;
}
