/* answer_values.c - numbers as they are, and how alike two items are. */
#include "serve/answer_values.h"

#include "answering.h"

#include <check.h>
#include <math.h>

Suite *serve_answer_values_suite(void);

static const float values[] = {3, 4, 4, 3, 0, NAN};

static const struct {
    const char *manifest;
    int n_items;
    int64_t each;
    int from;
    const char *told;
} replies[] = {
    {"{\"manifest\":1,\"labels\":[\"age\",\"size\"],\"task\":{\"kind\":\"regress\"}}", 2, 2, 0,
     "[[{\"label\":\"age\",\"index\":0,\"value\":3.0},{\"label\":\"size\",\"index\":1,\"value\":4.0}],"
     "[{\"label\":\"age\",\"index\":0,\"value\":4.0},{\"label\":\"size\",\"index\":1,\"value\":3.0}]]"},
    {"{\"manifest\":1,\"task\":{\"kind\":\"regress\"}}", 1, 2, 4,
     "[[{\"index\":0,\"value\":0.0},{\"index\":1,\"value\":null}]]"},
    {"{\"manifest\":1,\"task\":{\"kind\":\"embed\"}}", 1, 2, 0, "[{\"embedding\":[3.0,4.0]}]"},
    {"{\"manifest\":1,\"task\":{\"kind\":\"embed\"}}", 2, 2, 0,
     "[{\"embedding\":[3.0,4.0]},{\"embedding\":[4.0,3.0]}],\"similarity\":0.96"},
    {"{\"manifest\":1,\"task\":{\"kind\":\"embed\"}}", 2, 1, 3,
     "[{\"embedding\":[3.0]},{\"embedding\":[0.0]}],\"similarity\":null"},
    {"{\"manifest\":1,\"task\":{\"kind\":\"embed\"}}", 3, 2, 0,
     "[{\"embedding\":[3.0,4.0]},{\"embedding\":[4.0,3.0]},{\"embedding\":[0.0,null]}]"},
};

START_TEST(numbers_are_told)
{
    const struct answering_output outputs[] = {
        {"y", PERCEPT_FLOAT, 2, {replies[_i].n_items, replies[_i].each}, values + replies[_i].from}};
    ck_assert_str_eq(answering(&(struct answering){.manifest = replies[_i].manifest,
                                                   .width = 1,
                                                   .height = 1,
                                                   .n_items = replies[_i].n_items,
                                                   .outputs = outputs,
                                                   .n_outputs = 1}),
                     replies[_i].told);
}
END_TEST

Suite *serve_answer_values_suite(void)
{
    Suite *suite = suite_create("serve_answer_values");
    TCase *tests = tcase_create("answer_values");
    tcase_add_checked_fixture(tests, answering_begin, answering_end);
    tcase_add_loop_test(tests, numbers_are_told, 0, sizeof replies / sizeof *replies);
    suite_add_tcase(suite, tests);
    return suite;
}
