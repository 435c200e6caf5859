/* sequence_id.c - numbers and texts as ids, in paths and queries. */
#include "http/sequence_id.h"

#include <check.h>
#include <string.h>

Suite *http_sequence_id_suite(void);

static const struct {
    const char *target;
    bool good, asked, start, end;
    uint64_t number;
    const char *text;
} queries[] = {
    {"/infer", true, false, false, false, 0, ""},
    {"/infer?sequence_id=", true, false, false, false, 0, ""},
    {"/infer?sequence_id=0", true, false, false, false, 0, ""},
    {"/infer?sequence_id=7", true, true, false, false, 7, ""},
    {"/infer?sequence_id=999999999999999999", true, true, false, false, 999999999999999999, ""},
    {"/infer?sequence_id=1999999999999999999", true, true, false, false, 0, "1999999999999999999"},
    {"/infer?sequence_id=%227%22&sequence_start=true", true, true, true, false, 0, "7"},
    {"/infer?sequence_id=a%20b+c&sequence_end=true", true, true, false, true, 0, "a b c"},
    {"/infer?sequence_id=%c3%A4&sequence_start=false", true, true, false, false, 0, "\xc3\xa4"},
    {"/infer?sequence_id=%00", false, false, false, false, 0, ""},
    {"/infer?sequence_id=%2", false, false, false, false, 0, ""},
    {"/infer?sequence_id=%", false, false, false, false, 0, ""},
    {"/infer?sequence_id=%zz", false, false, false, false, 0, ""},
    {"/infer?sequence_id=1&sequence_start=1", false, false, false, false, 0, ""},
    {"/infer?sequence_id=1&sequence_end=yes", false, false, false, false, 0, ""},
};

START_TEST(a_query_names_a_sequence)
{
    struct arena arena = {0};
    struct job_sequence id = {.owner = 3};
    struct percept_err err = {0};
    ck_assert_int_eq(sequence_id_query(queries[_i].target, &arena, &id, &err), queries[_i].good);
    ck_assert_int_eq(err.code != 0, !queries[_i].good);
    if (queries[_i].good) {
        ck_assert_int_eq(id.asked, queries[_i].asked);
        ck_assert_int_eq(id.start, queries[_i].start);
        ck_assert_int_eq(id.end, queries[_i].end);
        ck_assert_uint_eq(id.number, queries[_i].number);
        ck_assert(bytes_is(id.text, queries[_i].text));
        ck_assert_uint_eq(id.owner, 3);
    }
    arena_free(&arena);
}
END_TEST

START_TEST(a_path_names_one_too)
{
    struct job_sequence id = {0};
    ck_assert(sequence_id_read(bytes_of_text("\"\""), &id, NULL) && bytes_is(id.text, "\"\""));
    ck_assert(sequence_id_read(bytes_of_text("x"), &id, NULL) && bytes_is(id.text, "x") && id.asked);
    ck_assert(!sequence_id_read(bytes_of_text("0"), &id, NULL));
}
END_TEST

Suite *http_sequence_id_suite(void)
{
    Suite *suite = suite_create("http/sequence_id");
    TCase *tests = tcase_create("sequence_id");
    tcase_add_loop_test(tests, a_query_names_a_sequence, 0, sizeof queries / sizeof *queries);
    tcase_add_test(tests, a_path_names_one_too);
    suite_add_tcase(suite, tests);
    return suite;
}
