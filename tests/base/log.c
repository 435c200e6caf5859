/* log.c - what a line looks like, and that nobody waits for a slow reader. */
#include "base/log.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static int reader, saved;
static char text[65536];

/* Standard error becomes a pipe or socket that we read. */
static void take_stderr(int from, int to)
{
    fflush(stderr);
    saved = dup(STDERR_FILENO);
    reader = from;
    dup2(to, STDERR_FILENO);
    close(to);
    fcntl(reader, F_SETFL, O_NONBLOCK);
}

static void take_pipe(void)
{
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    unsetenv("JOURNAL_STREAM");
    take_stderr(ends[0], ends[1]);
    log_setup(LOG_INFO_LEVEL, false);
}

static void give_back(void)
{
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(reader);
    log_setup(LOG_INFO_LEVEL, false);
}

/* What was logged since. */
static const char *logged(void)
{
    ssize_t n = read(reader, text, sizeof text - 1);
    text[n < 0 ? 0 : n] = 0;
    return text;
}

START_TEST(a_line_has_time_level_event_and_pairs)
{
    log_info("model ready", "model", "digits", "ms", "12", NULL);
    const char *line = logged();
    int year, month, day, hour, minute, second, ms, end = 0;
    ck_assert_int_eq(
        sscanf(line, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ%n", &year, &month, &day, &hour, &minute, &second, &ms, &end), 7);
    ck_assert_int_eq(end, 24);
    ck_assert_str_eq(line + end, " info  model ready  model=digits ms=12\n");
}
END_TEST

START_TEST(an_event_without_pairs_has_no_blank_behind_it)
{
    log_info("stopping", NULL);
    ck_assert_str_eq(logged() + 24, " info  stopping\n");
}
END_TEST

START_TEST(values_are_quoted_as_needed)
{
    log_warn("x", "a", "two words", "b", "", "c", "k=v", "d", "say \"hi\"\n", "e", "\x1b[2J\xc2\x9b", NULL);
    ck_assert_str_eq(logged() + 24, " warn  x  a=\"two words\" b=\"\" c=\"k=v\" "
                                    "d=\"say \\\"hi\\\"\\n\" e=\"\\u001b[2J\\u009b\"\n");
}
END_TEST

START_TEST(json_is_escaped)
{
    log_setup(LOG_INFO_LEVEL, true);
    log_error("it \"broke\"", "path", "a\\b\t", "bad", "\xff\xc0\xaf", "good", "\xc3\xa4\xf0\x9f\x98\x80", NULL);
    const char *line = logged();
    ck_assert_int_eq(strncmp(line, "{\"time\":\"", 9), 0);
    ck_assert_str_eq(line + 9 + 24, "\",\"level\":\"error\",\"event\":\"it \\\"broke\\\"\","
                                    "\"path\":\"a\\\\b\\u0009\","
                                    "\"bad\":\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\","
                                    "\"good\":\"\xc3\xa4\xf0\x9f\x98\x80\"}\n");
}
END_TEST

START_TEST(numbers_are_numbers_in_json_and_the_same_in_text)
{
    log_info("x", "#n", "12", "#ms", "-0.5", "#big", "1.5e+30", "model", "7", NULL);
    ck_assert_str_eq(logged() + 24, " info  x  n=12 ms=-0.5 big=1.5e+30 model=7\n");
    log_setup(LOG_INFO_LEVEL, true);
    log_info("x", "#n", "12", "#ms", "-0.5", "#big", "1.5e+30", "#zero", "0", "model", "7", NULL);
    ck_assert_ptr_nonnull(strstr(logged(), ",\"n\":12,\"ms\":-0.5,\"big\":1.5e+30,\"zero\":0,\"model\":\"7\"}\n"));
}
END_TEST

/* What JSON has no number for stays a string, so that a line is JSON whatever happens. */
START_TEST(what_is_no_number_stays_quoted)
{
    static const char *const not [] = {"",  "nan", "inf", "0x10",  "01",  "1.",   ".5",  "+1",       "1e",       "1e+",
                                       "-", "1 ",  "1,2", "\"1\"", "--1", "1e5x", "NaN", "Infinity", "-Infinity"};
    log_setup(LOG_INFO_LEVEL, true);
    for (size_t i = 0; i < sizeof not / sizeof *not ; i++) {
        log_info("x", "#n", not [i], NULL);
        ck_assert_msg(strstr(logged(), ",\"n\":\"") != NULL, "%s", not [i]);
    }
}
END_TEST

START_TEST(levels_above_the_chosen_one_are_silent)
{
    log_debug("hidden", NULL);
    ck_assert_str_eq(logged(), "");
    log_setup(LOG_DEBUG_LEVEL, false);
    log_debug("shown", NULL);
    ck_assert_str_eq(logged() + 24, " debug shown\n");
    log_setup(LOG_ERROR_LEVEL, false);
    log_warn("hidden", NULL);
    ck_assert_str_eq(logged(), "");
}
END_TEST

START_TEST(long_values_are_cut_and_json_still_closed)
{
    static char longer[9000];
    memset(longer, 'a', sizeof longer - 1);
    log_setup(LOG_INFO_LEVEL, true);
    log_info("x", "a", longer, "b", longer, "c", longer, "d", longer, "e", "short", NULL);
    const char *line = logged();
    const char end[] = "...\",\"e\":\"short\"}\n";
    size_t n = strlen(line);
    ck_assert_uint_le(n, 4096);
    ck_assert_str_eq(line + n - (sizeof end - 1), end);
    ck_assert_ptr_null(strstr(line, "\"d\":"));
}
END_TEST

START_TEST(a_slow_reader_costs_lines_not_time)
{
    size_t before = log_dropped();
    for (int i = 0; i < 3000; i++)
        log_info("a line that nobody reads", "some", "pairs", "to", "fill the pipe", NULL);
    ck_assert_uint_gt(log_dropped(), before);
    size_t n_lines = 0;
    for (const char *at = logged(); *at; at++)
        n_lines += *at == '\n';
    ck_assert_uint_gt(n_lines, 100);
    ck_assert_int_eq(text[strlen(text) - 1], '\n'); /* whole lines only */
}
END_TEST

START_TEST(the_flags_of_standard_error_stay_as_they_were)
{
    ck_assert_int_eq(fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK, 0);
}
END_TEST

START_TEST(the_journal_gets_priorities_and_no_time)
{
    int ends[2];
    struct stat st;
    char stream[64];
    give_back();
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    take_stderr(ends[0], ends[1]);
    ck_assert_int_eq(fstat(STDERR_FILENO, &st), 0);
    snprintf(stream, sizeof stream, "%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    log_setup(LOG_INFO_LEVEL, false);
    log_warn("careful", "k", "v", NULL);
    ck_assert_str_eq(logged(), "<4>careful  k=v\n");
    setenv("JOURNAL_STREAM", "1:1", 1); /* somebody else's: we were redirected */
    log_setup(LOG_INFO_LEVEL, false);
    log_warn("careful", NULL);
    ck_assert_int_eq(logged()[0], '2');
    unsetenv("JOURNAL_STREAM");
}
END_TEST

Suite *base_log_suite(void)
{
    Suite *suite = suite_create("base/log");
    TCase *tests = tcase_create("all");
    tcase_add_checked_fixture(tests, take_pipe, give_back);
    tcase_add_test(tests, a_line_has_time_level_event_and_pairs);
    tcase_add_test(tests, an_event_without_pairs_has_no_blank_behind_it);
    tcase_add_test(tests, values_are_quoted_as_needed);
    tcase_add_test(tests, json_is_escaped);
    tcase_add_test(tests, numbers_are_numbers_in_json_and_the_same_in_text);
    tcase_add_test(tests, what_is_no_number_stays_quoted);
    tcase_add_test(tests, levels_above_the_chosen_one_are_silent);
    tcase_add_test(tests, long_values_are_cut_and_json_still_closed);
    tcase_add_test(tests, a_slow_reader_costs_lines_not_time);
    tcase_add_test(tests, the_flags_of_standard_error_stay_as_they_were);
    tcase_add_test(tests, the_journal_gets_priorities_and_no_time);
    suite_add_tcase(suite, tests);
    return suite;
}
