/* slice.c - cuts and joins on any axis, in plain and in blocked pictures, and what is refused. */
#include <check.h>

#include "harness.h"

#define EXPECT(h, i, want, ...)                                                                                        \
    do {                                                                                                               \
        const int64_t expected_dims[] = {__VA_ARGS__};                                                                 \
        harness_expect_floats(h, i, (int)(sizeof expected_dims / sizeof *expected_dims), expected_dims, want, 0);      \
    } while (0)

static const float counted[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23};

enum { PIXELS = 3, ITEMS = 2 };

/* Item, channel and pixel of a picture with `channels`, starting at channel `first`. */
static void picture(float *x, int channels, int first)
{
    for (int n = 0; n < ITEMS; n++)
        for (int c = 0; c < channels; c++)
            for (int p = 0; p < PIXELS; p++)
                *x++ = (float)(10000 * n + 10 * (first + c) + p);
}

START_TEST(concat_joins_on_any_axis)
{
    struct harness h;
    harness_begin(&h, "Concat", 13);
    harness_int(&h, "axis", -1);
    harness_floats(&h, 2, DIMS(2, 1), counted);
    harness_floats(&h, 2, DIMS(2, 2), counted + 10);
    harness_floats(&h, 2, DIMS(2, 0), NULL);
    ck_assert(harness_run(&h));
    EXPECT(&h, 0, ((float[]){0, 10, 11, 1, 12, 13}), 2, 3);
    harness_end(&h);
    harness_begin(&h, "Concat", 13);
    harness_int(&h, "axis", 0);
    harness_floats(&h, 2, DIMS(2, 1), counted);
    harness_floats(&h, 2, DIMS(2, 2), counted);
    harness_expect_failure(&h, ERR_INVALID, "shapes [2,1] and [2,2] do not join on axis 0");
    harness_end(&h);
}
END_TEST

START_TEST(strings_move_as_views)
{
    struct percept_string a[] = {{"a", 1}}, b[] = {{"bc", 2}};
    struct harness h;
    harness_begin(&h, "Concat", 13);
    harness_int(&h, "axis", 0);
    harness_input(&h, PERCEPT_STRING, 1, DIMS(1), a);
    harness_input(&h, PERCEPT_STRING, 1, DIMS(1), b);
    ck_assert(harness_run(&h));
    const struct percept_string *y = harness_out(&h, 0)->data;
    ck_assert(y[0].at == a[0].at && y[1].at == b[0].at && y[1].n_bytes == 2);
    harness_end(&h);
}
END_TEST

START_TEST(concat_of_whole_blocks_stays_blocked)
{
    static const int first[] = {32, 16, 5};
    for (int i = 0; i < 3; i++) {
        float a[ITEMS * 32 * PIXELS], b[ITEMS * 7 * PIXELS], y[ITEMS * 39 * PIXELS];
        picture(a, first[i], 0);
        picture(b, 7, first[i]);
        picture(y, first[i] + 7, 0);
        struct harness h;
        harness_begin(&h, "Concat", 13);
        harness_int(&h, "axis", 1);
        harness_floats(&h, 3, DIMS(ITEMS, first[i], PIXELS), a);
        harness_as_blocked(&h);
        harness_floats(&h, 3, DIMS(ITEMS, 7, PIXELS), b);
        harness_as_blocked(&h);
        ck_assert(harness_run(&h));
        bool whole = first[i] % h.ctx.kernels->width == 0;
        ck_assert_int_eq(h.out_layout[0], whole ? LAYOUT_BLOCKED : LAYOUT_PLAIN);
        EXPECT(&h, 0, y, ITEMS, first[i] + 7, PIXELS);
        harness_end(&h);
    }
}
END_TEST

START_TEST(split_of_whole_blocks_stays_blocked)
{
    static const int first[] = {16, 5};
    for (int i = 0; i < 2; i++) {
        float x[ITEMS * 23 * PIXELS], a[ITEMS * 23 * PIXELS], b[ITEMS * 23 * PIXELS];
        picture(x, 23, 0);
        picture(a, first[i], 0);
        picture(b, 23 - first[i], first[i]);
        struct harness h;
        harness_begin(&h, "Split", 13);
        harness_int(&h, "axis", 1);
        harness_outputs(&h, 2);
        harness_floats(&h, 3, DIMS(ITEMS, 23, PIXELS), x);
        harness_as_blocked(&h);
        harness_int64s(&h, 1, DIMS(2), DIMS(first[i], 23 - first[i]));
        harness_as_constant(&h);
        ck_assert_msg(harness_run(&h), "%s", h.err.text);
        ck_assert_int_eq(h.out_layout[1], i == 0 ? LAYOUT_BLOCKED : LAYOUT_PLAIN);
        EXPECT(&h, 0, a, ITEMS, first[i], PIXELS);
        EXPECT(&h, 1, b, ITEMS, 23 - first[i], PIXELS);
        harness_end(&h);
    }
}
END_TEST

START_TEST(slice_between_blocks_stays_blocked)
{
    float x[ITEMS * 40 * PIXELS], y[ITEMS * 40 * PIXELS];
    picture(x, 40, 0);
    picture(y, 9, 16);
    struct harness h;
    harness_begin(&h, "Slice", 13);
    harness_floats(&h, 3, DIMS(ITEMS, 40, PIXELS), x);
    harness_as_blocked(&h);
    harness_int64s(&h, 1, DIMS(1), DIMS(16));
    harness_as_constant(&h);
    harness_int64s(&h, 1, DIMS(1), DIMS(25));
    harness_as_constant(&h);
    harness_int64s(&h, 1, DIMS(1), DIMS(1));
    harness_as_constant(&h);
    ck_assert(harness_run(&h));
    ck_assert_int_eq(h.out_layout[0], LAYOUT_BLOCKED);
    EXPECT(&h, 0, y, ITEMS, 9, PIXELS);
    harness_end(&h);
}
END_TEST

START_TEST(split_shares_evenly_or_as_told)
{
    struct harness h;
    harness_begin(&h, "Split", 18);
    harness_int(&h, "num_outputs", 3);
    harness_outputs(&h, 3);
    harness_floats(&h, 1, DIMS(7), counted);
    ck_assert(harness_run(&h));
    EXPECT(&h, 0, counted, 3);
    EXPECT(&h, 2, counted + 6, 1);
    harness_end(&h);
    harness_begin(&h, "Split", 2);
    harness_int_list(&h, "split", 2, DIMS(1, 2));
    harness_outputs(&h, 2);
    harness_floats(&h, 1, DIMS(3), counted);
    ck_assert(harness_run(&h));
    EXPECT(&h, 1, counted + 1, 2);
    harness_end(&h);
    harness_begin(&h, "Split", 13);
    harness_outputs(&h, 2);
    harness_floats(&h, 1, DIMS(5), counted);
    harness_int64s(&h, 1, DIMS(2), DIMS(1, 2));
    harness_as_known(&h);
    harness_expect_failure(&h, ERR_INVALID, "leave 2 of axis 0's 5 elements over");
    harness_end(&h);
}
END_TEST

START_TEST(slice_follows_numpy)
{
    static const struct {
        int64_t start, end, step, n;
        float y[5];
    } cases[] = {
        {1, 3, 1, 2, {1, 2}},
        {-2, INT64_MAX, 1, 2, {3, 4}},
        {4, -6, -2, 3, {4, 2, 0}},
        {3, 1, 1, 0, {0}},
        {0, 5, 2, 3, {0, 2, 4}},
        {INT64_MAX, INT64_MIN, -1, 5, {4, 3, 2, 1, 0}},
        {INT64_MIN, 2, 1, 2, {0, 1}},
        {-9, INT64_MIN, -1, 1, {0}},
        {-1, -3, -1, 2, {4, 3}},
        {1, 5, INT64_MAX, 1, {1}},
        {4, INT64_MIN, INT64_MIN, 1, {4}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct harness h;
        harness_begin(&h, "Slice", 13);
        harness_floats(&h, 1, DIMS(5), counted);
        const int64_t *const lists[] = {&cases[i].start, &cases[i].end, DIMS(0), &cases[i].step};
        for (int k = 0; k < 4; k++) {
            harness_int64s(&h, 1, DIMS(1), lists[k]);
            harness_as_known(&h);
        }
        ck_assert(harness_run(&h));
        EXPECT(&h, 0, cases[i].y, cases[i].n);
        harness_end(&h);
    }
}
END_TEST

START_TEST(slice_has_an_old_form_and_refuses_nonsense)
{
    struct harness h;
    harness_begin(&h, "Slice", 9);
    harness_int_list(&h, "starts", 1, DIMS(1));
    harness_int_list(&h, "ends", 1, DIMS(1000));
    harness_int_list(&h, "axes", 1, DIMS(1));
    harness_floats(&h, 2, DIMS(2, 3), counted);
    ck_assert(harness_run(&h));
    EXPECT(&h, 0, ((float[]){1, 2, 4, 5}), 2, 2);
    harness_end(&h);
    harness_begin(&h, "Slice", 13);
    harness_floats(&h, 1, DIMS(3), counted);
    for (int k = 0; k < 4; k++) {
        harness_int64s(&h, 1, DIMS(1), DIMS(0));
        harness_as_known(&h);
    }
    harness_expect_failure(&h, ERR_MODEL, "the step of axis 0 is 0");
    harness_end(&h);
}
END_TEST

/* 1 x 1 x 4 x 6, counted. */
static void crop(struct harness *h, int n, const int64_t *border, const int64_t *scale)
{
    harness_begin(h, "Crop", 1);
    harness_int_list(h, "border", n, border);
    if (scale)
        harness_int_list(h, "scale", 2, scale);
    harness_floats(h, 4, DIMS(1, 1, 4, 6), counted);
}

START_TEST(crops_lose_a_border)
{
    struct harness h;
    crop(&h, 4, DIMS(1, 2, 3, 0), NULL); /* left, top, right, bottom */
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    EXPECT(&h, 0, ((float[]){13, 14, 19, 20}), 1, 1, 2, 2);
    harness_end(&h);
    crop(&h, 4, DIMS(4, 1, 0, 0), DIMS(1, 2)); /* from left and top, so high and wide */
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    EXPECT(&h, 0, ((float[]){10, 11}), 1, 1, 1, 2);
    harness_end(&h);
    crop(&h, 4, DIMS(0, 0, 0, 0), NULL);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    EXPECT(&h, 0, counted, 1, 1, 4, 6);
    harness_end(&h);
    crop(&h, 4, DIMS(0, 1, 0, 3), NULL); /* all of it */
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 4, DIMS(1, 1, 0, 6), NULL, 0);
    harness_end(&h);
    crop(&h, 4, DIMS(0, 1, 0, 4), NULL);
    harness_expect_failure(&h, ERR_INVALID, "shape [1,1,4,6]; rank 4, 5 high and 0 wide at least");
    harness_end(&h);
    crop(&h, 4, DIMS(4, 1, 0, 0), DIMS(1, 3));
    harness_expect_failure(&h, ERR_INVALID, "2 high and 7 wide at least");
    harness_end(&h);
    crop(&h, 3, DIMS(0, 1, 0), NULL);
    harness_expect_failure(&h, ERR_MODEL, "'border' must be left, top, right, bottom");
    harness_end(&h);
    crop(&h, 4, DIMS(0, 1, 0, 0), DIMS(1, -3));
    harness_expect_failure(&h, ERR_MODEL, "all from 0 to 2^30");
    harness_end(&h);
    harness_begin(&h, "Crop", 1);
    harness_int_list(&h, "border", 4, DIMS(0, 0, 0, 0));
    harness_floats(&h, 3, DIMS(1, 4, 6), counted);
    harness_expect_failure(&h, ERR_INVALID, "shape [1,4,6]; rank 4");
    harness_end(&h);
}
END_TEST

START_TEST(crops_of_blocks_stay_blocked)
{
    struct harness h;
    float x[19 * 6], y[19];
    for (int i = 0; i < 19 * 6; i++)
        x[i] = (float)i;
    for (int c = 0; c < 19; c++)
        y[c] = x[6 * c + 4]; /* row 1, column 1 of 2 x 3 */
    harness_begin(&h, "Crop", 1);
    harness_int_list(&h, "border", 4, DIMS(1, 1, 1, 0));
    harness_floats(&h, 4, DIMS(1, 19, 2, 3), x);
    harness_as_blocked(&h);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    ck_assert_int_eq(h.out_layout[0], LAYOUT_BLOCKED);
    EXPECT(&h, 0, y, 1, 19, 1, 1);
    harness_end(&h);
}
END_TEST

Suite *op_slice_suite(void)
{
    Suite *suite = suite_create("op/slice");
    TCase *tcase = tcase_create("slice");
    tcase_add_test(tcase, concat_joins_on_any_axis);
    tcase_add_test(tcase, strings_move_as_views);
    tcase_add_test(tcase, concat_of_whole_blocks_stays_blocked);
    tcase_add_test(tcase, split_of_whole_blocks_stays_blocked);
    tcase_add_test(tcase, slice_between_blocks_stays_blocked);
    tcase_add_test(tcase, split_shares_evenly_or_as_told);
    tcase_add_test(tcase, slice_follows_numpy);
    tcase_add_test(tcase, slice_has_an_old_form_and_refuses_nonsense);
    tcase_add_test(tcase, crops_lose_a_border);
    tcase_add_test(tcase, crops_of_blocks_stay_blocked);
    suite_add_tcase(suite, tcase);
    return suite;
}
