/* site.c - tests of http/site.c: settings that are judged before a server starts. */
#include "http/site.h"

#include "base/err.h"

#include <check.h>

Suite *http_site_suite(void);

static const struct {
    const char *path;
    bool good;
} paths[] = {
    {NULL, true},     {"/x", true},    {"/models/eu-1_a.b~c", true},
    {"", false},      {"/", false},    {"x", false},
    {"/x/", false},   {"//x", false},  {"/x//y", false},
    {"/a b", false},  {"/a?b", false}, {"/a%20", false},
    {"/a\"b", false}, {"/a<b", false},
};

START_TEST(base_paths_are_judged)
{
    struct percept_err err = {0};
    struct settings settings = {.base_path = paths[_i].path};
    ck_assert_int_eq(site_check(&settings, &err), paths[_i].good);
    ck_assert_int_eq(err.code, paths[_i].good ? ERR_NONE : ERR_CONFIG);
    if (!paths[_i].good)
        ck_assert_ptr_nonnull(strstr(err.text, "--base-path"));
}
END_TEST

START_TEST(each_wrong_setting_is_named)
{
    static const char *const bad[] = {"nonsense"};
    const struct {
        struct settings settings;
        const char *says;
    } rows[] = {
        {{.trusted_proxies = bad, .n_trusted_proxies = 1}, "--trusted-proxy nonsense"},
        {{.cors_origins = bad, .n_cors_origins = 1}, "--cors-origin nonsense"},
        {{.client_shm = "perceptd-x"}, "--client-shm perceptd-x"},
        {{.client_shm = "other-x", .region_prefix = "other"}, "--client-shm other-x"},
        {{.api_key_file = "/nowhere/keys"}, "/nowhere/keys"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct percept_err err = {0};
        ck_assert(!site_check(&rows[i].settings, &err));
        ck_assert_msg(strstr(err.text, rows[i].says) != NULL, "%s", err.text);
    }
}
END_TEST

START_TEST(memory_may_be_short)
{
    static const char *const proxies[] = {"10.0.0.0/8"};
    const struct settings settings = {.trusted_proxies = proxies, .n_trusted_proxies = 1, .client_shm = "app-"};
    struct percept_err err;
    bool good = false;
    for (size_t nth = 1; !good; nth++) {
        ck_assert_uint_lt(nth, 10);
        arena_fail_at(nth, false);
        good = site_check(&settings, &err);
        arena_fail_at(0, false);
        ck_assert(good || err.code == ERR_MEMORY);
    }
}
END_TEST

Suite *http_site_suite(void)
{
    Suite *suite = suite_create("http/site");
    TCase *tcase = tcase_create("site");
    tcase_add_loop_test(tcase, base_paths_are_judged, 0, sizeof paths / sizeof *paths);
    tcase_add_test(tcase, each_wrong_setting_is_named);
    tcase_add_test(tcase, memory_may_be_short);
    suite_add_tcase(suite, tcase);
    return suite;
}
