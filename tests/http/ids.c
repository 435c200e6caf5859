/* ids.c - tests of http/ids.c. */
#include "http/ids.h"

#include <check.h>
#include <string.h>

Suite *http_ids_suite(void);

START_TEST(ids_that_are_made_differ)
{
    struct ids one, other;
    char a[IDS_MADE + 1], b[IDS_MADE + 1], c[IDS_MADE + 1];
    ids_start(&one);
    ids_start(&other);
    ids_make(&one, a);
    ids_make(&one, b);
    ids_make(&other, c);
    ck_assert_uint_eq(strlen(a), IDS_MADE);
    ck_assert_uint_eq(strspn(a, "0123456789abcdef"), IDS_MADE);
    ck_assert_str_ne(a, b);
    ck_assert_str_ne(a, c);
    ck_assert(strncmp(a, b, IDS_MADE - 8) == 0);
    ck_assert(ids_is_request(bytes_of_text(a)));
    one.n = UINT32_MAX;
    ids_make(&one, a);
    ck_assert_str_eq(a + IDS_MADE - 8, "ffffffff");
}
END_TEST

#define LONG_8 "abcdefgh"
#define LONG_128                                                                                                       \
    LONG_8 LONG_8 LONG_8 LONG_8 LONG_8 LONG_8 LONG_8 LONG_8 LONG_8 LONG_8 LONG_8 LONG_8 LONG_8 LONG_8 LONG_8 LONG_8

static const struct {
    const char *text;
    bool good;
} requests[] = {
    {"a", true},    {"7f3a-._~:/+=@Z", true}, {LONG_128, true},    {LONG_128 "i", false},
    {"", false},    {"a b", false},           {"a\"b", false},     {"a\tb", false},
    {"a,b", false}, {"\xc3\xa9", false},      {"<script>", false}, {"a\r\nb", false},
};

START_TEST(request_ids_are_judged)
{
    ck_assert_int_eq(ids_is_request(bytes_of_text(requests[_i].text)), requests[_i].good);
    ck_assert(!ids_is_request(bytes_of("a\0b", 3)));
    ck_assert(!ids_is_request((struct bytes){0}));
}
END_TEST

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN "00f067aa0ba902b7"

static const struct {
    const char *text;
    bool good;
} traces[] = {
    {"00-" TRACE "-" SPAN "-01", true},          {"00-" TRACE "-" SPAN "-ff", true},
    {"01-" TRACE "-" SPAN "-01-more", true},     {"cc-" TRACE "-" SPAN "-01", true},
    {"00-" TRACE "-" SPAN "-01-more", false},    {"01-" TRACE "-" SPAN "-01.more", false},
    {"ff-" TRACE "-" SPAN "-01", false},         {"00-00000000000000000000000000000000-" SPAN "-01", false},
    {"00-" TRACE "-0000000000000000-01", false}, {"00-4BF92f3577b34da6a3ce929d0e0e4736-" SPAN "-01", false},
    {"00-" TRACE "-" SPAN "-0", false},          {"00-" TRACE "-" SPAN, false},
    {"00-" TRACE "-" SPAN "-0g", false},         {"00_" TRACE "-" SPAN "-01", false},
    {"0-" TRACE "-" SPAN "-01", false},          {"", false},
};

START_TEST(traceparents_are_judged)
{
    ck_assert_int_eq(ids_is_trace(bytes_of_text(traces[_i].text)), traces[_i].good);
    for (size_t n = 0; n < strlen(traces[0].text); n++)
        ck_assert(!ids_is_trace(bytes_of(traces[0].text, n)));
}
END_TEST

START_TEST(each_byte_of_an_id_is_judged)
{
    static const char good[] = "00-" TRACE "-" SPAN "-01";
    for (int byte = 0; byte < 256; byte++) {
        const char c = (char)byte, text[] = {'a', c};
        const bool digit = c >= '0' && c <= '9', letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        ck_assert_int_eq(ids_is_request(bytes_of(text, 2)),
                         digit || letter || (byte != 0 && strchr("-._~:/+=@", byte) != NULL));
        for (size_t i = 2; i < sizeof good - 1; i++) {
            char trace[sizeof good];
            memcpy(trace, good, sizeof good);
            trace[i] = c;
            const bool hyphen = good[i] == '-';
            ck_assert_msg(ids_is_trace(bytes_of_text(trace)) == (hyphen ? c == '-' : digit || (c >= 'a' && c <= 'f')) ||
                              byte == 0,
                          "byte %d at %zu", byte, i);
        }
    }
}
END_TEST

Suite *http_ids_suite(void)
{
    Suite *suite = suite_create("http/ids");
    TCase *tcase = tcase_create("ids");
    tcase_add_test(tcase, ids_that_are_made_differ);
    tcase_add_test(tcase, each_byte_of_an_id_is_judged);
    tcase_add_loop_test(tcase, request_ids_are_judged, 0, sizeof requests / sizeof *requests);
    tcase_add_loop_test(tcase, traceparents_are_judged, 0, sizeof traces / sizeof *traces);
    suite_add_tcase(suite, tcase);
    return suite;
}
