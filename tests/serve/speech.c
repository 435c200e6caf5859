/*
 * speech.c - segments of scores written as digits: '9' is speech, '4' between the thresholds, '0' silence. A window has
 * 100 ms, a second 1000 samples, so that places read as milliseconds.
 */
#include "serve/speech.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

Suite *serve_speech_suite(void);

#define RATE 1000
#define WINDOW 100

static int write_all(char *to, size_t n, const struct speech_segment *told, int n_told)
{
    int used = 0;
    for (int i = 0; i < n_told; i++)
        used += snprintf(to + used, n - (size_t)used, "%lld-%lld ", (long long)told[i].start, (long long)told[i].end);
    return used;
}

/* All segments of the scores, those that are told before the end in front of a bar. */
static const char *segments(const struct speech_rules *rules, const char *scores)
{
    static char text[200];
    struct speech speech = {0};
    struct speech_segment told[SPEECH_MOST];
    int used = 0;
    int64_t at = 0;
    memset(text, 0, sizeof text);
    for (; *scores; scores++, at += WINDOW) {
        const int n = speech_window(&speech, rules, RATE, at, (float)(*scores - '0') / 10, told);
        ck_assert_int_le(n, SPEECH_MOST);
        used += write_all(text + used, sizeof text - (size_t)used, told, n);
    }
    used += snprintf(text + used, sizeof text - (size_t)used, "|");
    write_all(text + used, sizeof text - (size_t)used, told, speech_end(&speech, rules, RATE, at, told));
    return text;
}

static const struct {
    struct speech_rules rules;
    const char *scores, *says;
} cases[] = {
    {{0.5f, -1, 0, 100, 0}, "", "|"},
    {{0.5f, -1, 0, 100, 0}, "000", "|"},
    {{0.5f, -1, 0, 100, 0}, "0990000", "100-300 |"},
    {{0.5f, -1, 0, 100, 0}, "099", "|100-300 "},        /* cut off while speaking */
    {{0.5f, -1, 0, 100, 0}, "05300", "100-200 |"},      /* neg_threshold is 0.35: 0.3 is below */
    {{0.5f, -1, 0, 100, 0}, "054400", "100-400 |"},     /* 0.4 is not */
    {{0.5f, 0.45f, 0, 100, 0}, "054400", "100-200 |"},  /* unless it is said */
    {{0.5f, -1, 0, 300, 0}, "0900900000", "100-500 |"}, /* a short silence is none */
    {{0.5f, -1, 0, 300, 0}, "0904090000", "100-600 |"}, /* nor one that wavers */
    {{0.5f, -1, 0, 200, 0}, "0900044", "100-200 |"},
    {{0.5f, -1, 200, 100, 0}, "0990000", "|"}, /* not longer than 200 ms */
    {{0.5f, -1, 200, 100, 0}, "0999000", "100-400 |"},
    {{0.5f, -1, 200, 100, 0}, "99", "|"},
    {{0.5f, -1, 0, 100, 50}, "0099000", "150-450 |"},
    {{0.5f, -1, 0, 100, 50}, "9900", "0-250 |"},                    /* not before the beginning */
    {{0.5f, -1, 0, 100, 50}, "0099", "|150-400 "},                  /* nor behind the end */
    {{0.5f, -1, 0, 100, 150}, "0099009900000", "50-500 500-950 |"}, /* two share 200 ms of silence */
    {{0.5f, -1, 0, 100, 150}, "00990099", "|50-500 500-800 "},
    {{0.5f, -1, 150, 100, 150}, "0099009000000", "50-550 |"}, /* what is dropped shares nothing */
    {{0.5f, -1, 150, 100, 150}, "0099009", "|50-550 "},
    {{0.5f, -1, 0, 100, 30}, "09009000", "70-230 370-530 |"},
};

START_TEST(segments_are_where_the_scores_say)
{
    const char *says = segments(&cases[_i].rules, cases[_i].scores);
    ck_assert_msg(strcmp(says, cases[_i].says) == 0, "%s: %s, not %s", cases[_i].scores, says, cases[_i].says);
}
END_TEST

START_TEST(the_score_is_the_mean_of_the_windows_that_are_speech)
{
    const struct speech_rules rules = {0.5f, -1, 0, 200, 0};
    const float scores[] = {0.5f, 1, 0.1f, 0.8f, 0, 0, 0};
    struct speech speech = {0};
    struct speech_segment told[SPEECH_MOST];
    int n = 0;
    for (int i = 0; i < 7 && !n; i++)
        n = speech_window(&speech, &rules, RATE, i * WINDOW, scores[i], told);
    ck_assert_int_eq(n, 1);
    ck_assert_float_eq_tol(told[0].score, (0.5f + 1 + 0.1f + 0.8f) / 4, 1e-6f);
}
END_TEST

START_TEST(defaults_are_those_of_its_authors)
{
    const struct speech_rules rules = SPEECH_RULES_DEFAULT;
    ck_assert(rules.threshold == 0.5f && rules.min_speech_ms == 250 && rules.min_silence_ms == 100 &&
              rules.pad_ms == 30);
    ck_assert_str_eq(segments(&rules, "0999000"), "70-430 |");
    ck_assert_str_eq(segments(&(struct speech_rules){0.1f, -1, 0, 100, 0}, "0200"), "100-200 |"); /* at least 0.01 */
}
END_TEST

Suite *serve_speech_suite(void)
{
    Suite *suite = suite_create("serve/speech");
    TCase *tests = tcase_create("speech");
    tcase_add_loop_test(tests, segments_are_where_the_scores_say, 0, sizeof cases / sizeof *cases);
    tcase_add_test(tests, the_score_is_the_mean_of_the_windows_that_are_speech);
    tcase_add_test(tests, defaults_are_those_of_its_authors);
    suite_add_tcase(suite, tests);
    return suite;
}
