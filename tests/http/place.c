/* place.c - tests of http/place.c: what stands behind plus signs, and what may not. */
#include "http/place.h"

#include "base/err.h"

#include <check.h>
#include <string.h>

Suite *http_place_suite(void);

static const struct {
    const char *text, *address;
    bool ops;
    mode_t mode;
    int tls; /* of a place without, and with a certificate */
} good[] = {
    {"127.0.0.1:8080", "127.0.0.1:8080", false, 0660, 2},
    {":8080+ops", ":8080", true, 0660, 2},
    {":8080+plain", ":8080", false, 0660, 0},
    {":8080+proxy+plain", ":8080", false, 0660, 0},
    {":8080+tls", ":8080", false, 0660, 3},
    {"unix:/run/s+tls", "unix:/run/s", false, 0660, 3},
    {"unix:/run/s+plain+ops", "unix:/run/s", true, 0660, 0},
    {"unix:/run/s+mode=0666", "unix:/run/s", false, 0666, 0},
    {"unix:/run/s+mode=600+ops", "unix:/run/s", true, 0600, 0},
    {"unix:/run/s+ops+mode=0", "unix:/run/s", true, 0, 0},
    {"fd:3+ops", "fd:3", true, 0660, 2},
    {"", "", false, 0660, 2},
    {"nonsense", "nonsense", false, 0660, 2}, /* listen.h judges it */
};

START_TEST(what_holds_at_a_place_stands_behind_it)
{
    struct place place;
    struct percept_err err;
    ck_assert_msg(place_read(good[_i].text, &place, &err), "%s", err.text);
    ck_assert_str_eq(place.address, good[_i].address);
    ck_assert_int_eq(place.ops, good[_i].ops);
    ck_assert_uint_eq(place.mode, good[_i].mode);
    const bool is_file = strncmp(place.address, "unix:", 5) == 0;
    ck_assert_int_eq(place_speaks_tls(&place, is_file, false) + 2 * place_speaks_tls(&place, is_file, true),
                     good[_i].tls);
}
END_TEST

#define TEN "0123456789"

static const struct {
    const char *text, *named;
} bad[] = {
    {":80+", "''"},
    {":80+opt", "'opt'"},
    {":80+tls+plain", "either"},
    {":80+ops+", "''"},
    {":80++ops", "''"},
    {":80+OPS", "'OPS'"},
    {":80+mode=0660", "socket file"},
    {"unix:/s+mode=", "octal"},
    {"unix:/s+mode=8", "octal"},
    {"unix:/s+mode=1777", "octal"},
    {"unix:/s+mode=07777777777777777777777777777", "octal"},
    {"unix:/s+mode=0660x", "octal"},
    {"unix:/" TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN "+ops", "longer"},
};

START_TEST(what_cannot_stand_there_is_named)
{
    struct place place;
    struct percept_err err;
    ck_assert_msg(!place_read(bad[_i].text, &place, &err), "%s", bad[_i].text);
    ck_assert_int_eq(err.code, ERR_CONFIG);
    ck_assert_msg(strstr(err.text, bad[_i].named) != NULL, "%s", err.text);
}
END_TEST

Suite *http_place_suite(void)
{
    Suite *suite = suite_create("http/place");
    TCase *tcase = tcase_create("place");
    tcase_add_loop_test(tcase, what_holds_at_a_place_stands_behind_it, 0, sizeof good / sizeof *good);
    tcase_add_loop_test(tcase, what_cannot_stand_there_is_named, 0, sizeof bad / sizeof *bad);
    suite_add_tcase(suite, tcase);
    return suite;
}
