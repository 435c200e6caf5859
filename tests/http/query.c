/* query.c - what is found behind '?', and what is no answer. */
#include "http/query.h"

#include <check.h>

Suite *http_query_suite(void);

static const struct {
    const char *target, *value; /* NULL: it is not given */
} targets[] = {
    {"/infer", NULL},
    {"/infer?", NULL},
    {"/infer?outputs", NULL},
    {"/infer?outputs=", ""},
    {"/infer?outputs=true", "true"},
    {"/infer?a=b&outputs=true&c", "true"},
    {"/infer?outputs=1&outputs=2", "1"},
    {"/infer?xoutputs=1", NULL},
    {"/infer?outputsx=1", NULL},
    {"/infer?a=outputs=1", NULL},
    {"/infer?&&outputs=1#outputs=2", "1"},
    {"/infer#?outputs=1", NULL},
    {"/outputs=1?", NULL},
    {"", NULL},
};

START_TEST(a_value_is_found_by_its_name)
{
    const struct bytes found = query_find(targets[_i].target, "outputs");
    ck_assert_int_eq(found.at == NULL, targets[_i].value == NULL);
    if (targets[_i].value)
        ck_assert(bytes_is(found, targets[_i].value));
}
END_TEST

START_TEST(a_flag_is_true_or_false)
{
    bool value = true;
    ck_assert(query_flag("/infer", "outputs", &value) && value);
    ck_assert(query_flag("/infer?outputs=false", "outputs", &value) && !value);
    ck_assert(query_flag("/infer?outputs=true", "outputs", &value) && value);
    ck_assert(!query_flag("/infer?outputs=1", "outputs", &value));
    ck_assert(!query_flag("/infer?outputs=", "outputs", &value));
    ck_assert(value);
}
END_TEST

Suite *http_query_suite(void)
{
    Suite *suite = suite_create("http_query");
    TCase *tests = tcase_create("query");
    tcase_add_loop_test(tests, a_value_is_found_by_its_name, 0, sizeof targets / sizeof *targets);
    tcase_add_test(tests, a_flag_is_true_or_false);
    suite_add_tcase(suite, tests);
    return suite;
}
