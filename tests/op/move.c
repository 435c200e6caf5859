/* move.c - where elements go, and what is refused. */
#include <check.h>

#include "harness.h"

#define EXPECT(h, i, want, ...)                                                                                        \
    do {                                                                                                               \
        const int64_t expected_dims[] = {__VA_ARGS__};                                                                 \
        harness_expect_floats(h, i, (int)(sizeof expected_dims / sizeof *expected_dims), expected_dims, want, 0);      \
    } while (0)

static const float counted[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23};

START_TEST(transpose_reverses_or_permutes)
{
    struct harness h;
    harness_begin(&h, "Transpose", 13);
    harness_floats(&h, 2, DIMS(2, 3), counted);
    ck_assert(harness_run(&h));
    EXPECT(&h, 0, ((float[]){0, 3, 1, 4, 2, 5}), 3, 2);
    harness_end(&h);
    harness_begin(&h, "Transpose", 13);
    harness_int_list(&h, "perm", 3, DIMS(1, 0, 2));
    harness_floats(&h, 3, DIMS(2, 2, 2), counted);
    ck_assert(harness_run(&h));
    EXPECT(&h, 0, ((float[]){0, 1, 4, 5, 2, 3, 6, 7}), 2, 2, 2);
    harness_end(&h);
}
END_TEST

START_TEST(transpose_that_only_moves_ones_is_an_alias)
{
    struct harness h;
    harness_begin(&h, "Transpose", 13);
    harness_int_list(&h, "perm", 4, DIMS(0, 2, 3, 1));
    harness_floats(&h, 4, DIMS(2, 1, 1, 3), counted);
    ck_assert(harness_run(&h));
    ck_assert_int_eq(h.step.alias, 1);
    EXPECT(&h, 0, counted, 2, 1, 3, 1);
    harness_end(&h);
}
END_TEST

START_TEST(transpose_wants_a_permutation)
{
    static const int64_t bad[][2] = {{0, 0}, {1, 1}, {0, 2}, {-1, 0}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct harness h;
        harness_begin(&h, "Transpose", 13);
        harness_int_list(&h, "perm", 2, bad[i]);
        harness_floats(&h, 2, DIMS(2, 3), counted);
        harness_expect_failure(&h, ERR_MODEL, "no permutation");
        harness_end(&h);
    }
    struct harness h;
    harness_begin(&h, "Transpose", 13);
    harness_int_list(&h, "perm", 2, DIMS(1, 0));
    harness_floats(&h, 3, DIMS(1, 2, 3), counted);
    harness_expect_failure(&h, ERR_MODEL, "'perm' has 2 axes, the input 3");
    harness_end(&h);
}
END_TEST

START_TEST(expand_and_tile_repeat)
{
    struct harness h;
    harness_begin(&h, "Expand", 13);
    harness_floats(&h, 2, DIMS(2, 1), counted);
    harness_int64s(&h, 1, DIMS(3), DIMS(2, 1, 3));
    harness_as_known(&h);
    ck_assert(harness_run(&h));
    EXPECT(&h, 0, ((float[]){0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1}), 2, 2, 3);
    harness_end(&h);
    harness_begin(&h, "Tile", 13);
    harness_floats(&h, 2, DIMS(2, 2), counted);
    harness_int64s(&h, 1, DIMS(2), DIMS(2, 2));
    harness_as_known(&h);
    ck_assert(harness_run(&h));
    EXPECT(&h, 0, ((float[]){0, 1, 0, 1, 2, 3, 2, 3, 0, 1, 0, 1, 2, 3, 2, 3}), 4, 4);
    harness_end(&h);
    harness_begin(&h, "Tile", 13);
    harness_floats(&h, 1, DIMS(2), counted);
    harness_int64s(&h, 1, DIMS(1), DIMS(INT64_MAX));
    harness_as_known(&h);
    harness_expect_failure(&h, ERR_INVALID, "cannot be repeated");
    harness_end(&h);
}
END_TEST

/* Opset 1: [2][2] of numbers, tiles and axis in these types. */
static void tile_axis(struct harness *h, float tiles, int64_t axis)
{
    harness_begin(h, "Tile", 5);
    harness_floats(h, 2, DIMS(2, 2), counted);
    harness_floats(h, 0, NULL, &tiles);
    harness_as_known(h);
    harness_int64s(h, 1, DIMS(1), &axis);
    harness_as_known(h);
}

START_TEST(the_first_tile_repeats_along_one_axis)
{
    struct harness h;
    tile_axis(&h, 2, 1);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    EXPECT(&h, 0, ((float[]){0, 1, 0, 1, 2, 3, 2, 3}), 2, 4);
    harness_end(&h);
    tile_axis(&h, 1, 0);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    EXPECT(&h, 0, counted, 2, 2);
    harness_end(&h);
    tile_axis(&h, -1, 0);
    harness_expect_failure(&h, ERR_INVALID, "axis 0 cannot be repeated -1 times");
    harness_end(&h);
    tile_axis(&h, 1, 2);
    harness_expect_failure(&h, ERR_MODEL, "axis 2 is outside [-2, 1]");
    harness_end(&h);
    harness_begin(&h, "Tile", 1);
    harness_floats(&h, 1, DIMS(2), counted);
    harness_floats(&h, 1, DIMS(2), counted);
    harness_floats(&h, 0, NULL, counted);
    harness_expect_failure(&h, ERR_MODEL, "input 1 is not one number");
    harness_end(&h);
    harness_begin(&h, "Tile", 1);
    for (int i = 0; i < 3; i++)
        harness_floats(&h, 1, DIMS(1), counted);
    harness_expect_failure(&h, ERR_UNSUPPORTED, "input 1 depends on data");
    harness_end(&h);
}
END_TEST

START_TEST(depth_and_space_are_inverse)
{
    static const char *const modes[] = {"DCR", "CRD"};
    for (int i = 0; i < 2; i++) {
        struct harness h;
        harness_begin(&h, "DepthToSpace", 13);
        harness_int(&h, "blocksize", 2);
        harness_text(&h, "mode", modes[i]);
        harness_floats(&h, 4, DIMS(1, 8, 1, 1), counted);
        ck_assert(harness_run(&h));
        EXPECT(&h, 0, (i ? (float[]){0, 1, 2, 3, 4, 5, 6, 7} : (float[]){0, 2, 4, 6, 1, 3, 5, 7}), 1, 2, 2, 2);
        harness_end(&h);
    }
    struct harness h;
    harness_begin(&h, "SpaceToDepth", 13);
    harness_int(&h, "blocksize", 2);
    harness_floats(&h, 4, DIMS(1, 2, 2, 2), (float[]){0, 2, 4, 6, 1, 3, 5, 7});
    ck_assert(harness_run(&h));
    EXPECT(&h, 0, counted, 1, 8, 1, 1);
    harness_end(&h);
    harness_begin(&h, "SpaceToDepth", 13);
    harness_int(&h, "blocksize", 2);
    harness_floats(&h, 4, DIMS(1, 1, 1, 2), counted);
    harness_expect_failure(&h, ERR_INVALID, "does not divide by blocks of 2");
    harness_end(&h);
}
END_TEST

START_TEST(trilu_keeps_a_triangle)
{
    static const struct {
        int64_t upper, k;
        float y[6];
    } cases[] = {
        {1, 0, {1, 1, 1, 0, 1, 1}},         {0, 0, {1, 0, 0, 1, 1, 0}},         {1, 2, {0, 0, 1, 0, 0, 0}},
        {0, -1, {0, 0, 0, 1, 0, 0}},        {1, INT64_MAX, {0, 0, 0, 0, 0, 0}}, {0, INT64_MAX, {1, 1, 1, 1, 1, 1}},
        {1, INT64_MIN, {1, 1, 1, 1, 1, 1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct harness h;
        harness_begin_in(&h, i % 2 ? "com.microsoft" : "", "Trilu", i % 2 ? 1 : 14);
        harness_int(&h, "upper", cases[i].upper);
        harness_floats(&h, 2, DIMS(2, 3), (float[]){1, 1, 1, 1, 1, 1});
        harness_int64s(&h, 0, NULL, &cases[i].k);
        ck_assert(harness_run(&h));
        EXPECT(&h, 0, cases[i].y, 2, 3);
        harness_end(&h);
    }
}
END_TEST

START_TEST(sequences_are_reversed_up_to_their_length)
{
    struct harness h;
    harness_begin(&h, "ReverseSequence", 10);
    harness_floats(&h, 2, DIMS(3, 2), counted); /* time, batch */
    harness_int64s(&h, 1, DIMS(2), DIMS(3, 2));
    ck_assert(harness_run(&h));
    EXPECT(&h, 0, ((float[]){4, 3, 2, 1, 0, 5}), 3, 2);
    harness_end(&h);
    harness_begin(&h, "ReverseSequence", 10);
    harness_floats(&h, 2, DIMS(3, 2), counted);
    harness_int64s(&h, 1, DIMS(2), DIMS(3, 4));
    harness_expect_failure(&h, ERR_DATA, "length 4 of item 1 is outside [0, 3]");
    harness_end(&h);
}
END_TEST

Suite *op_move_suite(void)
{
    Suite *suite = suite_create("op/move");
    TCase *tcase = tcase_create("move");
    tcase_add_test(tcase, transpose_reverses_or_permutes);
    tcase_add_test(tcase, transpose_that_only_moves_ones_is_an_alias);
    tcase_add_test(tcase, transpose_wants_a_permutation);
    tcase_add_test(tcase, expand_and_tile_repeat);
    tcase_add_test(tcase, the_first_tile_repeats_along_one_axis);
    tcase_add_test(tcase, depth_and_space_are_inverse);
    tcase_add_test(tcase, trilu_keeps_a_triangle);
    tcase_add_test(tcase, sequences_are_reversed_up_to_their_length);
    suite_add_tcase(suite, tcase);
    return suite;
}
