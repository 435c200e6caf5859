/* pad.c - four modes, pads that take away, and what is refused. */
#include <check.h>

#include "harness.h"

#define EXPECT(h, i, want, ...)                                                                                        \
    do {                                                                                                               \
        const int64_t expected_dims[] = {__VA_ARGS__};                                                                 \
        harness_expect_floats(h, i, (int)(sizeof expected_dims / sizeof *expected_dims), expected_dims, want, 0);      \
    } while (0)

static const float counted[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23};

START_TEST(pad_has_four_modes)
{
    static const struct {
        const char *mode;
        int64_t begin, end;
        int n;
        float y[12];
    } cases[] = {
        {"constant", 1, 2, 6, {9, 0, 1, 2, 9, 9}},
        {"reflect", 2, 2, 7, {2, 1, 0, 1, 2, 1, 0}},
        {"edge", 1, 2, 6, {0, 0, 1, 2, 2, 2}},
        {"wrap", 1, 2, 6, {2, 0, 1, 2, 0, 1}},
        {"constant", -1, 1, 3, {1, 2, 9}},
        {"reflect", 5, 0, 8, {1, 0, 1, 2, 1, 0, 1, 2}},
        {"constant", -3, 2, 2, {9, 9}},
        {"wrap", -1, -1, 1, {1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct harness h;
        harness_begin(&h, "Pad", 19);
        harness_text(&h, "mode", cases[i].mode);
        harness_floats(&h, 2, DIMS(1, 3), counted);
        harness_int64s(&h, 1, DIMS(2), DIMS(cases[i].begin, cases[i].end));
        harness_as_known(&h);
        harness_floats(&h, 0, NULL, (float[]){9});
        harness_int64s(&h, 1, DIMS(1), DIMS(-1));
        harness_as_known(&h);
        ck_assert_msg(harness_run(&h), "%s", h.err.text);
        EXPECT(&h, 0, cases[i].y, 1, cases[i].n);
        harness_end(&h);
    }
}
END_TEST

START_TEST(pad_has_an_old_form_and_limits)
{
    struct harness h;
    harness_begin(&h, "Pad", 2);
    harness_int_list(&h, "pads", 4, DIMS(0, 1, 1, 0));
    harness_float(&h, "value", 7);
    harness_floats(&h, 2, DIMS(1, 2), counted);
    ck_assert(harness_run(&h));
    EXPECT(&h, 0, ((float[]){7, 0, 1, 7, 7, 7}), 2, 3);
    harness_end(&h);
    static const int64_t bad[][2] = {{-2, -2}, {INT64_MAX, 1}, {INT64_MIN, 0}};
    for (int i = 0; i < 3; i++) {
        harness_begin(&h, "Pad", 13);
        harness_floats(&h, 1, DIMS(3), counted);
        harness_int64s(&h, 1, DIMS(2), bad[i]);
        harness_as_known(&h);
        harness_expect_failure(&h, ERR_INVALID, "cannot be padded");
        harness_end(&h);
    }
    harness_begin(&h, "Pad", 13);
    harness_text(&h, "mode", "edge");
    harness_floats(&h, 1, DIMS(0), NULL);
    harness_int64s(&h, 1, DIMS(2), DIMS(1, 0));
    harness_as_known(&h);
    harness_expect_failure(&h, ERR_INVALID, "cannot be padded");
    harness_end(&h);
}
END_TEST

Suite *op_pad_suite(void)
{
    Suite *suite = suite_create("op/pad");
    TCase *tcase = tcase_create("pad");
    tcase_add_test(tcase, pad_has_four_modes);
    tcase_add_test(tcase, pad_has_an_old_form_and_limits);
    suite_add_tcase(suite, tcase);
    return suite;
}
