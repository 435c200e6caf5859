/* log.c - what a line looks like, and that nobody waits for a slow reader. */
#include "base/log.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
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

START_TEST(levels_are_turned_on_and_off)
{
    ck_assert_uint_eq(log_levels(), 1U << LOG_ERROR_LEVEL | 1U << LOG_WARN_LEVEL | 1U << LOG_INFO_LEVEL);
    log_set_levels(1U << LOG_DEBUG_LEVEL | 1U << LOG_WARN_LEVEL);
    log_error("a", NULL);
    log_info("b", NULL);
    ck_assert_str_eq(logged(), "");
    log_warn("c", NULL);
    ck_assert_str_eq(logged() + 24, " warn  c\n");
    log_debug("d", NULL);
    ck_assert_str_eq(logged() + 24, " debug d\n");
    log_setup(LOG_ERROR_LEVEL, false);
    ck_assert_uint_eq(log_levels(), 1U << LOG_ERROR_LEVEL);
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

START_TEST(each_level_has_its_word_and_priority)
{
    log_setup(LOG_DEBUG_LEVEL, false);
    log_error("e", NULL);
    log_warn("w", NULL);
    log_info("i", NULL);
    log_debug("d", NULL);
    const char *line = logged();
    static const char *const ends[] = {" error e\n", " warn  w\n", " info  i\n", " debug d\n"};
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(strncmp(line + 24, ends[i], strlen(ends[i])), 0);
        line += 24 + strlen(ends[i]);
    }
    ck_assert_str_eq(line, "");
    log_setup(LOG_DEBUG_LEVEL, true);
    log_warn("w", NULL);
    ck_assert_ptr_nonnull(strstr(logged(), "\"level\":\"warn\",\"event\":\"w\"}\n"));
}
END_TEST

START_TEST(the_time_is_utc_and_now)
{
    struct tm tm = {0};
    int ms = -1;
    const time_t before = time(NULL);
    setenv("TZ", "America/New_York", 1);
    log_info("x", NULL);
    ck_assert_int_eq(sscanf(logged(), "%4d-%2d-%2dT%2d:%2d:%2d.%3d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
                            &tm.tm_min, &tm.tm_sec, &ms),
                     7);
    tm.tm_year -= 1900;
    tm.tm_mon--;
    const time_t told = timegm(&tm);
    struct timespec after;
    clock_gettime(CLOCK_REALTIME, &after); /* time() may be a tick behind */
    ck_assert(told >= before && told <= after.tv_sec);
    ck_assert(ms >= 0 && ms < 1000);
}
END_TEST

/* Every byte, alone in a value: bare where nothing separates or quotes, else between quotes, and readable. */
START_TEST(every_byte_is_written_so_that_it_can_be_read)
{
    for (int byte = 1; byte < 128; byte++) {
        const char value[] = {'<', (char)byte, '>', '\0'};
        char expected[40];
        const bool bare = byte > ' ' && byte < 0x7f && byte != '"' && byte != '=' && byte != '\\';
        if (byte == '\n')
            snprintf(expected, sizeof expected, "  x=\"<\\n>\"\n");
        else if (byte == '"' || byte == '\\')
            snprintf(expected, sizeof expected, "  x=\"<\\%c>\"\n", byte);
        else if (byte < ' ' || byte == 0x7f)
            snprintf(expected, sizeof expected, "  x=\"<\\u%04x>\"\n", (unsigned)byte);
        else
            snprintf(expected, sizeof expected, bare ? "  x=<%c>\n" : "  x=\"<%c>\"\n", byte);
        log_info("e", "x", value, NULL);
        ck_assert_str_eq(logged() + 24 + 8, expected);
    }
    log_info("e", "x", "\xc2\x80", "y", "\xc2\x9f", "z", "\xc2\xa0", NULL); /* C1 */
    ck_assert_str_eq(logged() + 24 + 8, "  x=\"\\u0080\" y=\"\\u009f\" z=\"\xc2\xa0\"\n");
}
END_TEST

START_TEST(a_value_of_just_the_longest_length_is_whole)
{
    static char value[1026];
    memset(value, 'a', 1025);
    log_info("e", "x", value, NULL);
    ck_assert_ptr_nonnull(strstr(logged(), "aaa...\"\n"));
    ck_assert_uint_eq(strlen(text), 24 + 8 + 5 + 1024 + 5);
    value[1024] = '\0';
    log_info("e", "x", value, NULL);
    ck_assert_ptr_null(strstr(logged(), "\""));
    ck_assert_uint_eq(strlen(text), 24 + 8 + 4 + 1024 + 1);
    value[0] = ' ';
    log_info("e", "x", value, NULL);
    ck_assert_ptr_null(strstr(logged(), "..."));
    ck_assert_uint_eq(strlen(text), 24 + 8 + 5 + 1024 + 2);
}
END_TEST

/* Whatever does not fit is left out whole, and what is smaller comes after it. */
START_TEST(a_line_is_filled_to_its_last_byte)
{
    static char a[1016], d[1024];
    memset(a, 'a', sizeof a - 1);
    memset(d, 'd', sizeof d - 1);
    size_t longest = 0;
    for (size_t n = 900; n < 1023; n++) {
        d[n] = '\0';
        log_info("e", "a", a, "b", a, "c", a, "d", d, "f", "g", NULL);
        d[n] = 'd';
        const size_t size = strlen(logged());
        ck_assert(strstr(text, " d=") || strstr(text, " f=g\n"));
        ck_assert(!strstr(text, " d=") || text[size - 2] == 'd' || text[size - 2] == 'g');
        longest = size > longest ? size : longest;
    }
    ck_assert_uint_eq(longest, 4095); /* PIPE_BUF but for the brace that JSON needs */
    static char what[3000];
    memset(what, 'w', sizeof what - 1);
    log_info(what, "k", "v", NULL);
    ck_assert_uint_eq(strlen(logged()), 24 + 7 + 1024 + 6);
    ck_assert_str_eq(text + strlen(text) - 8, "ww  k=v\n");
}
END_TEST

START_TEST(a_pair_without_a_value_ends_the_line)
{
    log_info("e", "k", NULL, "never", "read", NULL);
    ck_assert_str_eq(logged() + 24, " info  e  k=\"\"\n");
}
END_TEST

START_TEST(lines_go_to_files_and_what_comes_after_a_setup_goes_the_new_way)
{
    char path[] = "/tmp/perceptd-log-XXXXXX";
    const int file = mkstemp(path);
    ck_assert_int_ge(file, 0);
    dup2(file, STDERR_FILENO);
    log_setup(LOG_INFO_LEVEL, false);
    const size_t dropped = log_dropped();
    for (int i = 0; i < 3; i++)
        log_info("into a file", NULL);
    ck_assert_int_eq(lseek(file, 0, SEEK_END), 3 * (24 + 19));
    ck_assert_str_eq(logged(), "");
    ck_assert_uint_eq(log_dropped(), dropped);
    close(file);
    unlink(path);
    close(STDERR_FILENO); /* nobody is there any more */
    log_setup(LOG_INFO_LEVEL, false);
    log_info("into nothing", NULL);
    ck_assert_uint_eq(log_dropped(), dropped + 1);
}
END_TEST

static int descriptors(void)
{
    int n = 0;
    for (int fd = 0; fd < 200; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* Which does not block, though ours does: the flags of standard error are shared with our parents. */
START_TEST(a_pipe_is_written_to_by_a_description_of_our_own)
{
    struct stat pipe_st, st;
    int own = 0;
    ck_assert_int_eq(fstat(STDERR_FILENO, &pipe_st), 0);
    for (int fd = 3; fd < 200; fd++)
        if (fstat(fd, &st) == 0 && st.st_ino == pipe_st.st_ino && st.st_dev == pipe_st.st_dev &&
            (fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY) {
            own++;
            ck_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
            ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        }
    ck_assert_int_eq(own, 1);
}
END_TEST

START_TEST(a_setup_leaves_nothing_open)
{
    const int before = descriptors();
    for (int i = 0; i < 20; i++)
        log_setup(LOG_INFO_LEVEL, i % 2);
    ck_assert_int_eq(descriptors(), before);
}
END_TEST

START_TEST(a_socket_that_is_full_costs_lines_not_time)
{
    int ends[2];
    give_back();
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    take_stderr(ends[0], ends[1]);
    log_setup(LOG_INFO_LEVEL, false);
    const size_t before = log_dropped();
    for (int i = 0; i < 20000 && log_dropped() == before; i++)
        log_info("a line that nobody reads", "some", "pairs", "to", "fill the socket", NULL);
    ck_assert_uint_gt(log_dropped(), before);
    ck_assert_int_eq(strncmp(logged() + 24, " info  a line", 13), 0);
}
END_TEST

START_TEST(the_journal_needs_both_numbers)
{
    struct stat st;
    char stream[64];
    ck_assert_int_eq(fstat(STDERR_FILENO, &st), 0);
    const unsigned long long device = st.st_dev, inode = st.st_ino;
    for (int i = 0; i < 4; i++) {
        snprintf(stream, sizeof stream, i == 3 ? "%llu" : "%llu:%llu", device + (i == 1), inode + (i == 2));
        setenv("JOURNAL_STREAM", stream, 1);
        log_setup(LOG_DEBUG_LEVEL, true);
        log_debug("x", NULL);
        const char *line = logged();
        ck_assert_int_eq(strncmp(line, i ? "{\"time\":" : "<7>{\"level\":\"debug\"", 8), 0);
    }
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
    tcase_add_test(tests, levels_are_turned_on_and_off);
    tcase_add_test(tests, values_are_quoted_as_needed);
    tcase_add_test(tests, json_is_escaped);
    tcase_add_test(tests, numbers_are_numbers_in_json_and_the_same_in_text);
    tcase_add_test(tests, what_is_no_number_stays_quoted);
    tcase_add_test(tests, levels_above_the_chosen_one_are_silent);
    tcase_add_test(tests, long_values_are_cut_and_json_still_closed);
    tcase_add_test(tests, a_slow_reader_costs_lines_not_time);
    tcase_add_test(tests, the_flags_of_standard_error_stay_as_they_were);
    tcase_add_test(tests, the_journal_gets_priorities_and_no_time);
    tcase_add_test(tests, each_level_has_its_word_and_priority);
    tcase_add_test(tests, the_time_is_utc_and_now);
    tcase_add_test(tests, every_byte_is_written_so_that_it_can_be_read);
    tcase_add_test(tests, a_value_of_just_the_longest_length_is_whole);
    tcase_add_test(tests, a_line_is_filled_to_its_last_byte);
    tcase_add_test(tests, a_pair_without_a_value_ends_the_line);
    tcase_add_test(tests, lines_go_to_files_and_what_comes_after_a_setup_goes_the_new_way);
    tcase_add_test(tests, a_pipe_is_written_to_by_a_description_of_our_own);
    tcase_add_test(tests, a_setup_leaves_nothing_open);
    tcase_add_test(tests, a_socket_that_is_full_costs_lines_not_time);
    tcase_add_test(tests, the_journal_needs_both_numbers);
    suite_add_tcase(suite, tests);
    return suite;
}
