/* binary.c - broadcasting, integer corners, old forms and blocked pictures of the binary operators. */
#include "op/binary.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>

#include "harness.h"

static void expect_int32(const char *op, const char *attr, int n, const int32_t *a, const int32_t *b, const int32_t *y)
{
    struct harness h;
    harness_begin(&h, op, 18);
    if (attr)
        harness_int(&h, attr, 1);
    const int64_t dims[] = {n};
    harness_input(&h, PERCEPT_INT32, 1, dims, a);
    harness_input(&h, PERCEPT_INT32, 1, dims, b);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_INT32, 1, dims, y);
    harness_end(&h);
}

START_TEST(integers_have_no_traps)
{
    expect_int32("Div", NULL, 4, (int32_t[]){INT32_MIN, -7, 7, 0}, (int32_t[]){-1, 2, -2, 5},
                 (int32_t[]){INT32_MIN, -3, -3, 0});
    expect_int32("Mod", NULL, 4, (int32_t[]){INT32_MIN, -7, 7, 6}, (int32_t[]){-1, 2, -2, 3}, (int32_t[]){0, 1, -1, 0});
    expect_int32("Mod", "fmod", 4, (int32_t[]){INT32_MIN, -7, 7, 6}, (int32_t[]){-1, 2, -2, 3},
                 (int32_t[]){0, -1, 1, 0});
    expect_int32("Add", NULL, 1, (int32_t[]){INT32_MAX}, (int32_t[]){1}, (int32_t[]){INT32_MIN});
    expect_int32("Mul", NULL, 1, (int32_t[]){INT32_MIN}, (int32_t[]){-1}, (int32_t[]){INT32_MIN});
    expect_int32("Pow", NULL, 6, (int32_t[]){2, -3, 0, 1, -1, 2}, (int32_t[]){10, 3, 0, -5, -3, -1},
                 (int32_t[]){1024, -27, 1, 1, -1, 0});
    expect_int32("BitwiseXor", NULL, 2, (int32_t[]){6, -1}, (int32_t[]){3, 1}, (int32_t[]){5, -2});
}
END_TEST

START_TEST(division_of_integers_by_zero_is_an_error_of_the_data)
{
    struct harness h;
    harness_begin(&h, "Div", 14);
    harness_int64s(&h, 1, DIMS(3), DIMS(1, 2, 3));
    harness_int64s(&h, 1, DIMS(3), DIMS(1, 0, 3));
    harness_expect_failure(&h, ERR_DATA, "element 1 of the divisor is 0");
    harness_end(&h);
    harness_begin(&h, "Div", 14);
    harness_floats(&h, 1, DIMS(1), (float[]){1});
    harness_floats(&h, 1, DIMS(1), (float[]){0});
    ck_assert(harness_run(&h));
    harness_expect_floats(&h, 0, 1, DIMS(1), (float[]){INFINITY}, 0);
    harness_end(&h);
}
END_TEST

START_TEST(shifts_of_the_width_give_zero)
{
    struct harness h;
    harness_begin(&h, "BitShift", 11);
    harness_text(&h, "direction", "LEFT");
    harness_input(&h, PERCEPT_UINT8, 1, DIMS(4), (uint8_t[]){1, 1, 255, 1});
    harness_input(&h, PERCEPT_UINT8, 1, DIMS(4), (uint8_t[]){7, 8, 4, 200});
    ck_assert(harness_run(&h));
    harness_expect(&h, 0, PERCEPT_UINT8, 1, DIMS(4), (uint8_t[]){128, 0, 240, 0});
    harness_end(&h);
    harness_begin(&h, "BitShift", 11);
    harness_input(&h, PERCEPT_UINT8, 1, DIMS(1), (uint8_t[]){1});
    harness_input(&h, PERCEPT_UINT8, 1, DIMS(1), (uint8_t[]){1});
    harness_expect_failure(&h, ERR_MODEL, "'direction' is missing");
    harness_end(&h);
}
END_TEST

START_TEST(both_sides_broadcast)
{
    struct harness h;
    harness_begin(&h, "Sub", 14);
    harness_floats(&h, 2, DIMS(2, 1), (float[]){10, 20});
    harness_floats(&h, 3, DIMS(2, 1, 3), (float[]){1, 2, 3, 4, 5, 6});
    ck_assert(harness_run(&h));
    harness_expect_floats(&h, 0, 3, DIMS(2, 2, 3), (float[]){9, 8, 7, 19, 18, 17, 6, 5, 4, 16, 15, 14}, 0);
    harness_end(&h);
    harness_begin(&h, "Add", 14);
    harness_floats(&h, 2, DIMS(2, 3), (float[6]){0});
    harness_floats(&h, 1, DIMS(2), (float[]){1, 2});
    harness_expect_failure(&h, ERR_INVALID, "(Add)");
    harness_end(&h);
    harness_begin(&h, "Add", 14);
    harness_floats(&h, 2, DIMS(0, 3), NULL);
    harness_floats(&h, 1, DIMS(1), (float[]){1});
    ck_assert(harness_run(&h));
    harness_expect_floats(&h, 0, 2, DIMS(0, 3), NULL, 0);
    harness_end(&h);
}
END_TEST

START_TEST(opset_6_places_b_along_its_axis)
{
    struct harness h;
    harness_begin(&h, "Add", 6);
    harness_int(&h, "broadcast", 1);
    harness_int(&h, "axis", 1);
    harness_floats(&h, 3, DIMS(1, 2, 2), (float[]){1, 2, 3, 4});
    harness_floats(&h, 1, DIMS(2), (float[]){10, 20});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 3, DIMS(1, 2, 2), (float[]){11, 12, 23, 24}, 0);
    harness_end(&h);
    harness_begin(&h, "Add", 6);
    harness_floats(&h, 2, DIMS(1, 2), (float[]){1, 2});
    harness_floats(&h, 1, DIMS(2), (float[]){10, 20});
    harness_expect_failure(&h, ERR_MODEL, "'broadcast' is not set");
    harness_end(&h);
}
END_TEST

START_TEST(variadic_operators_fold_from_the_left)
{
    static const struct {
        const char *op;
        float y[2];
    } cases[] = {{"Sum", {9, 12}}, {"Mean", {3, 4}}, {"Max", {6, 6}}, {"Min", {1, 2}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct harness h;
        harness_begin(&h, cases[i].op, 13);
        h.overwrite = true;
        harness_floats(&h, 1, DIMS(2), (float[]){1, 2});
        harness_floats(&h, 1, DIMS(2), (float[]){2, 4});
        harness_floats(&h, 0, NULL, (float[]){6});
        ck_assert_msg(harness_run(&h), "%s", h.err.text);
        harness_expect_floats(&h, 0, 1, DIMS(2), cases[i].y, 0);
        harness_end(&h);
    }
}
END_TEST

START_TEST(a_wider_third_operand_widens_the_first_two)
{
    struct harness h;
    harness_begin(&h, "Sum", 13);
    harness_floats(&h, 0, NULL, (float[]){1});
    harness_floats(&h, 1, DIMS(1), (float[]){2});
    harness_floats(&h, 2, DIMS(2, 2), (float[]){10, 20, 30, 40});
    ck_assert(harness_run(&h));
    harness_expect_floats(&h, 0, 2, DIMS(2, 2), (float[]){13, 23, 33, 43}, 0);
    harness_end(&h);
    harness_begin(&h, "Mean", 13);
    harness_floats(&h, 1, DIMS(2), (float[]){1, 2});
    ck_assert(harness_run(&h));
    harness_expect_floats(&h, 0, 1, DIMS(2), (float[]){1, 2}, 0);
    harness_end(&h);
}
END_TEST

START_TEST(powers_mix_types)
{
    struct harness h;
    harness_begin(&h, "Pow", 13);
    harness_floats(&h, 1, DIMS(3), (float[]){2, 3, 4});
    harness_int64s(&h, 0, NULL, DIMS(2));
    ck_assert(harness_run(&h));
    harness_expect_floats(&h, 0, 1, DIMS(3), (float[]){4, 9, 16}, 0);
    harness_end(&h);
    harness_begin(&h, "Pow", 13);
    harness_int64s(&h, 1, DIMS(2), DIMS(9, 3000000001));
    harness_input(&h, PERCEPT_INT32, 1, DIMS(2), (int32_t[]){2, 2});
    ck_assert(harness_run(&h));
    harness_expect(&h, 0, PERCEPT_INT64, 1, DIMS(2), DIMS(81, 9000000006000000001));
    harness_end(&h);
}
END_TEST

START_TEST(comparisons_give_bool)
{
    static const struct {
        const char *op;
        uint8_t y[4];
    } cases[] = {{"Equal", {0, 1, 0, 0}},
                 {"Less", {1, 0, 0, 0}},
                 {"Greater", {0, 0, 1, 0}},
                 {"LessOrEqual", {1, 1, 0, 0}},
                 {"GreaterOrEqual", {0, 1, 1, 0}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct harness h;
        harness_begin(&h, cases[i].op, 16);
        harness_floats(&h, 1, DIMS(4), (float[]){1, 2, 3, NAN});
        harness_floats(&h, 1, DIMS(1), (float[]){2});
        ck_assert(harness_run(&h));
        harness_expect(&h, 0, PERCEPT_BOOL, 1, DIMS(4), cases[i].y);
        harness_end(&h);
    }
}
END_TEST

START_TEST(strings_compare_by_their_bytes)
{
    struct percept_string a[] = {{"cat", 3}, {"dog", 3}}, b[] = {{"cat!", 3}, {"do", 2}};
    struct harness h;
    harness_begin(&h, "Equal", 19);
    harness_input(&h, PERCEPT_STRING, 1, DIMS(2), a);
    harness_input(&h, PERCEPT_STRING, 1, DIMS(2), b);
    ck_assert(harness_run(&h));
    harness_expect(&h, 0, PERCEPT_BOOL, 1, DIMS(2), (uint8_t[]){1, 0});
    harness_end(&h);
}
END_TEST

/* The same node on plain and on blocked input gives the same numbers. */
static void same_in_blocks(const char *op, int rank_b, const int64_t *dims_b, bool swap, bool block_b)
{
    enum { N = 2, C = 21, P = 5 };
    float a[N * C * P], b[N * C * P];
    for (int i = 0; i < N * C * P; i++) {
        a[i] = (float)(i * 7 % 11) - 4.5F;
        b[i] = (float)(i * 5 % 13) + 0.25F;
    }
    float want[N * C * P];
    for (int blocked = 0; blocked < 2; blocked++) {
        struct harness h;
        harness_begin(&h, op, 16);
        for (int side = 0; side < 2; side++) {
            if ((side == 1) != swap) {
                harness_floats(&h, rank_b, dims_b, b);
                if (blocked && block_b)
                    harness_as_blocked(&h);
            } else {
                harness_floats(&h, 4, DIMS(N, C, 1, P), a);
                if (blocked)
                    harness_as_blocked(&h);
            }
        }
        ck_assert_msg(harness_run(&h), "%s", h.err.text);
        if (blocked) {
            ck_assert_int_eq(h.out_layout[0], LAYOUT_BLOCKED);
            harness_expect_floats(&h, 0, 4, DIMS(N, C, 1, P), want, 1e-6F);
        } else {
            memcpy(want, harness_out(&h, 0)->data, sizeof want);
        }
        harness_end(&h);
    }
}

START_TEST(blocked_pictures_meet_pictures_channels_and_numbers)
{
    static const char *const ops[] = {"Add", "Sub", "Mul", "Div", "Max", "PRelu"};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        bool swappable = i < 5;
        for (int swap = 0; swap <= swappable; swap++) {
            same_in_blocks(ops[i], 4, DIMS(2, 21, 1, 5), swap, true);
            same_in_blocks(ops[i], 4, DIMS(2, 21, 1, 5), swap, false);
            same_in_blocks(ops[i], 3, DIMS(21, 1, 1), swap, false);
            same_in_blocks(ops[i], 4, DIMS(1, 21, 1, 1), swap, false);
            same_in_blocks(ops[i], 4, DIMS(2, 21, 1, 1), swap, false);
            same_in_blocks(ops[i], 4, DIMS(2, 21, 1, 1), swap, true);
            same_in_blocks(ops[i], 0, NULL, swap, false);
            same_in_blocks(ops[i], 4, DIMS(1, 1, 1, 1), swap, false);
        }
    }
}
END_TEST

START_TEST(operands_of_another_shape_ask_for_plain)
{
    float a[2 * 17 * 3] = {0}, b[3] = {1, 2, 3};
    struct harness h;
    harness_begin(&h, "Add", 14);
    harness_floats(&h, 3, DIMS(2, 17, 3), a);
    harness_as_blocked(&h);
    harness_floats(&h, 1, DIMS(3), b);
    ck_assert(harness_run(&h));
    ck_assert_int_eq(h.out_layout[0], LAYOUT_PLAIN);
    ck_assert(((const float *)harness_out(&h, 0)->data)[4] == 2);
    harness_end(&h);
}
END_TEST

/* As many numbers as there are channels, and yet not one for each: rows, columns, one axis too few. */
START_TEST(what_is_no_channel_of_a_blocked_picture_asks_for_plain)
{
    static const int64_t others[][4] = {{17, 2, 3}, {17, 2, 1}, {17, 1, 3}, {1, 2, 3}};
    enum { N = 2, C = 17, H = 2, W = 3 };
    float a[N * C * H * W], b[C * H * W], want[N * C * H * W];
    for (int i = 0; i < N * C * H * W; i++)
        a[i] = (float)i;
    for (int i = 0; i < C * H * W; i++)
        b[i] = (float)(i * i % 19);
    for (size_t k = 0; k < sizeof others / sizeof *others; k++) {
        const int64_t *d = others[k];
        for (int i = 0; i < N * C * H * W; i++) {
            const int64_t c = i / (H * W) % C % d[0], y = i / W % H % d[1], x = i % W % d[2];
            want[i] = a[i] + b[(c * d[1] + y) * d[2] + x];
        }
        for (int rank = 3; rank <= 4; rank++) {
            struct harness h;
            harness_begin(&h, "Add", 14);
            harness_floats(&h, 4, DIMS(N, C, H, W), a);
            harness_as_blocked(&h);
            harness_floats(&h, rank, rank == 3 ? d : DIMS(1, d[0], d[1], d[2]), b);
            harness_ran(&h);
            harness_expect_floats(&h, 0, 4, DIMS(N, C, H, W), want, 0);
            harness_end(&h);
        }
    }
}
END_TEST

START_TEST(combine_serves_every_number_type)
{
    double y[2] = {1, 2}, x[2] = {5, -5};
    binary_combine(pick_best(), BINARY_MAX, PERCEPT_DOUBLE, y, y, x, 2);
    ck_assert(y[0] == 5 && y[1] == 2);
    uint8_t small[2] = {200, 3};
    binary_combine(pick_best(), BINARY_ADD, PERCEPT_UINT8, small, small, small, 2);
    ck_assert(small[0] == 144 && small[1] == 6);
}
END_TEST

START_TEST(half_floats_are_refused_with_a_sentence)
{
    struct harness h;
    harness_begin(&h, "Add", 14);
    harness_input(&h, PERCEPT_FLOAT16, 1, DIMS(1), (uint16_t[]){0});
    harness_input(&h, PERCEPT_FLOAT16, 1, DIMS(1), (uint16_t[]){0});
    harness_expect_failure(&h, ERR_UNSUPPORTED, "float, double or an integer type would work");
    harness_end(&h);
}
END_TEST

Suite *op_binary_suite(void)
{
    Suite *suite = suite_create("op/binary");
    TCase *tcase = tcase_create("binary");
    tcase_add_test(tcase, integers_have_no_traps);
    tcase_add_test(tcase, division_of_integers_by_zero_is_an_error_of_the_data);
    tcase_add_test(tcase, shifts_of_the_width_give_zero);
    tcase_add_test(tcase, both_sides_broadcast);
    tcase_add_test(tcase, opset_6_places_b_along_its_axis);
    tcase_add_test(tcase, variadic_operators_fold_from_the_left);
    tcase_add_test(tcase, a_wider_third_operand_widens_the_first_two);
    tcase_add_test(tcase, powers_mix_types);
    tcase_add_test(tcase, comparisons_give_bool);
    tcase_add_test(tcase, strings_compare_by_their_bytes);
    tcase_add_test(tcase, blocked_pictures_meet_pictures_channels_and_numbers);
    tcase_add_test(tcase, operands_of_another_shape_ask_for_plain);
    tcase_add_test(tcase, what_is_no_channel_of_a_blocked_picture_asks_for_plain);
    tcase_add_test(tcase, combine_serves_every_number_type);
    tcase_add_test(tcase, half_floats_are_refused_with_a_sentence);
    suite_add_tcase(suite, tcase);
    return suite;
}
