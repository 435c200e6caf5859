/* cast.c - every pair of types, what does not fit, and text. */
#include "op/cast.h"

#include <check.h>
#include <math.h>
#include <string.h>

#include "harness.h"

static const enum percept_dtype types[] = {
    PERCEPT_FLOAT, PERCEPT_UINT8,   PERCEPT_INT8,   PERCEPT_UINT16, PERCEPT_INT16,  PERCEPT_INT32,
    PERCEPT_INT64, PERCEPT_FLOAT16, PERCEPT_DOUBLE, PERCEPT_UINT32, PERCEPT_UINT64, PERCEPT_BFLOAT16,
};
enum { N_TYPES = sizeof types / sizeof *types };

START_TEST(small_numbers_survive_every_pair)
{
    const float numbers[] = {0, 1, 2, 100, 127};
    for (int a = 0; a < N_TYPES; a++) {
        for (int b = 0; b < N_TYPES; b++) {
            uint64_t first[5], second[5];
            float back[5];
            cast_numbers(types[a], first, PERCEPT_FLOAT, numbers, 5);
            cast_numbers(types[b], second, types[a], first, 5);
            cast_numbers(PERCEPT_FLOAT, back, types[b], second, 5);
            for (int i = 0; i < 5; i++)
                ck_assert_msg(back[i] == numbers[i], "%s to %s: %g", tensor_dtype_name(types[a]),
                              tensor_dtype_name(types[b]), (double)back[i]);
        }
    }
}
END_TEST

START_TEST(floats_out_of_range_saturate)
{
    const float x[] = {-1e20F, 1e20F, NAN, -1.9F, 300, INFINITY};
    int32_t wide[6];
    uint8_t narrow[6];
    uint64_t widest[6];
    cast_numbers(PERCEPT_INT32, wide, PERCEPT_FLOAT, x, 6);
    ck_assert(wide[0] == INT32_MIN && wide[1] == INT32_MAX && wide[2] == 0 && wide[3] == -1);
    cast_numbers(PERCEPT_UINT8, narrow, PERCEPT_FLOAT, x, 6);
    ck_assert(narrow[0] == 0 && narrow[1] == 255 && narrow[3] == 0 && narrow[4] == 255);
    cast_numbers(PERCEPT_UINT64, widest, PERCEPT_FLOAT, x, 6);
    ck_assert(widest[5] == UINT64_MAX && widest[0] == 0);
}
END_TEST

START_TEST(integers_wrap_and_bool_is_not_zero)
{
    const int32_t x[] = {300, -1, 0, 256};
    uint8_t y[4], b[4];
    cast_numbers(PERCEPT_UINT8, y, PERCEPT_INT32, x, 4);
    ck_assert(y[0] == 44 && y[1] == 255 && y[2] == 0 && y[3] == 0);
    cast_numbers(PERCEPT_BOOL, b, PERCEPT_INT32, x, 4);
    ck_assert(b[0] == 1 && b[1] == 1 && b[2] == 0 && b[3] == 1);
    const float f[] = {0.5F, -0.0F, NAN};
    cast_numbers(PERCEPT_BOOL, b, PERCEPT_FLOAT, f, 3);
    ck_assert(b[0] == 1 && b[1] == 0 && b[2] == 1);
}
END_TEST

START_TEST(halves_are_rounded_once)
{
    /* 1 + 2^-11 is a tie in half; the tiny rest decides it, and a float would drop the rest */
    const double x[] = {1 + 0x1p-11 + 0x1p-40, 1 + 0x1p-11, 1 + 0x1p-11 - 0x1p-40, 1e6, -1e-9};
    uint16_t y[5];
    cast_numbers(PERCEPT_FLOAT16, y, PERCEPT_DOUBLE, x, 5);
    ck_assert_uint_eq(y[0], 0x3c01);
    ck_assert_uint_eq(y[1], 0x3c00);
    ck_assert_uint_eq(y[2], 0x3c00);
    ck_assert_uint_eq(y[3], 0x7c00);
    ck_assert_uint_eq(y[4], 0x8000);
}
END_TEST

static bool cast_node(struct harness *h, enum percept_dtype to, enum percept_dtype from, int64_t n, const void *data)
{
    harness_begin(h, "Cast", 13);
    harness_int(h, "to", (int64_t)to);
    harness_input(h, from, 1, DIMS(n), data);
    return harness_run(h);
}

START_TEST(text_becomes_numbers)
{
    static const struct percept_string x[] = {{"3.25", 4}, {"-INF", 4}, {"nan", 3}, {"+1e2", 4}, {"007", 3}, {".5", 2}};
    struct harness h;
    ck_assert_msg(cast_node(&h, PERCEPT_FLOAT, PERCEPT_STRING, 6, x), "%s", h.err.text);
    harness_expect_floats(&h, 0, 1, DIMS(6), (float[]){3.25F, -INFINITY, NAN, 100, 7, 0.5F}, 0);
    harness_end(&h);
    static const struct percept_string signs[] = {{"-007", 4}, {"-.5", 3}, {"+.5", 3}, {"-0", 2}, {"+01.5e1", 7}};
    ck_assert_msg(cast_node(&h, PERCEPT_FLOAT, PERCEPT_STRING, 5, signs), "%s", h.err.text);
    harness_expect_floats(&h, 0, 1, DIMS(5), (float[]){-7, -0.5F, 0.5F, -0.0F, 15}, 0);
    harness_end(&h);
    static const struct percept_string whole[] = {{"-9223372036854775808", 20}, {"42", 2}};
    ck_assert(cast_node(&h, PERCEPT_INT64, PERCEPT_STRING, 2, whole));
    harness_expect(&h, 0, PERCEPT_INT64, 1, DIMS(2), DIMS(INT64_MIN, 42));
    harness_end(&h);
    static const struct percept_string words[] = {{"1", 1}, {"one", 3}};
    ck_assert(!cast_node(&h, PERCEPT_FLOAT, PERCEPT_STRING, 2, words));
    ck_assert_int_eq(h.err.code, ERR_DATA);
    ck_assert_str_eq(h.err.text, "node 'n' (Cast): element 1, 'one', is no number");
    harness_end(&h);
    static const struct percept_string none[] = {{"", 0}};
    ck_assert(!cast_node(&h, PERCEPT_INT32, PERCEPT_STRING, 1, none));
    harness_end(&h);
}
END_TEST

START_TEST(numbers_become_the_shortest_text)
{
    static const char *const words[] = {"0.1", "2", "NaN", "-INF"};
    struct harness h;
    ck_assert(cast_node(&h, PERCEPT_STRING, PERCEPT_FLOAT, 4, (float[]){0.1F, 2, NAN, -INFINITY}));
    const struct percept_string *y = harness_out(&h, 0)->data;
    for (int i = 0; i < 4; i++)
        ck_assert_msg(bytes_is(bytes_of(y[i].at, y[i].n_bytes), words[i]), "'%.*s'", (int)y[i].n_bytes, y[i].at);
    harness_end(&h);
}
END_TEST

START_TEST(the_same_type_is_an_alias)
{
    struct harness h;
    ck_assert(cast_node(&h, PERCEPT_FLOAT, PERCEPT_FLOAT, 2, (float[]){1, 2}));
    ck_assert_int_eq(h.step.alias, 1);
    harness_expect_floats(&h, 0, 1, DIMS(2), (float[]){1, 2}, 0);
    harness_end(&h);
}
END_TEST

START_TEST(the_type_may_come_from_another_tensor_or_a_name)
{
    struct harness h;
    harness_begin(&h, "CastLike", 15);
    harness_floats(&h, 1, DIMS(1), (float[]){3.7F});
    harness_int64s(&h, 1, DIMS(0), NULL);
    ck_assert(harness_run(&h));
    harness_expect(&h, 0, PERCEPT_INT64, 1, DIMS(1), DIMS(3));
    harness_end(&h);
    harness_begin(&h, "Cast", 1);
    harness_text(&h, "to", "INT32");
    harness_floats(&h, 1, DIMS(1), (float[]){-3.7F});
    ck_assert(harness_run(&h));
    harness_expect(&h, 0, PERCEPT_INT32, 1, DIMS(1), (int32_t[]){-3});
    harness_end(&h);
}
END_TEST

static void bits_of(struct harness *h, enum percept_dtype from, enum percept_dtype to, const void *x)
{
    harness_begin(h, "BitCast", 26);
    harness_int(h, "to", to);
    harness_input(h, from, 2, DIMS(1, 2), x);
}

START_TEST(bits_are_kept)
{
    struct harness h;
    const float one[] = {1, -0.0F};
    const uint32_t bits[] = {0x3f800000, 0x80000000};
    bits_of(&h, PERCEPT_FLOAT, PERCEPT_UINT32, one);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_UINT32, 2, DIMS(1, 2), bits);
    harness_end(&h);
    bits_of(&h, PERCEPT_UINT32, PERCEPT_FLOAT, bits);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_FLOAT, 2, DIMS(1, 2), one);
    harness_end(&h);
    bits_of(&h, PERCEPT_INT64, PERCEPT_DOUBLE, (int64_t[]){INT64_MIN, 0x3ff0000000000000});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_DOUBLE, 2, DIMS(1, 2), (double[]){-0.0, 1});
    harness_end(&h);
    bits_of(&h, PERCEPT_INT16, PERCEPT_FLOAT16, (int16_t[]){0x3c00, -1});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_FLOAT16, 2, DIMS(1, 2), (int16_t[]){0x3c00, -1});
    harness_end(&h);
    bits_of(&h, PERCEPT_INT8, PERCEPT_INT8, (int8_t[]){1, -1});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    ck_assert_int_eq(h.step.alias, 1);
    harness_end(&h);
}
END_TEST

START_TEST(bits_of_another_width_are_refused)
{
    struct harness h;
    const struct percept_string text[2] = {{"a", 1}, {"b", 1}};
    bits_of(&h, PERCEPT_FLOAT, PERCEPT_INT64, (float[]){1, 2});
    harness_expect_failure(&h, ERR_UNSUPPORTED, "the bits of float32 cannot be those of int64");
    harness_end(&h);
    bits_of(&h, PERCEPT_STRING, PERCEPT_STRING, text);
    harness_expect_failure(&h, ERR_UNSUPPORTED, "a type as wide would work");
    harness_end(&h);
    bits_of(&h, PERCEPT_FLOAT16, PERCEPT_INT16, (int16_t[]){1, 2});
    ck_assert(!harness_check(&h));
    ck_assert_ptr_nonnull(strstr(h.err.text, "the bits of a half float"));
    harness_end(&h);
    harness_begin(&h, "BitCast", 26);
    harness_floats(&h, 0, NULL, (float[]){1});
    harness_expect_failure(&h, ERR_UNSUPPORTED, "attribute 'to' is type 0");
    harness_end(&h);
}
END_TEST

START_TEST(unknown_types_are_refused_when_opened)
{
    static const int64_t codes[] = {0, 14, 17, 99, -1};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        struct harness h;
        harness_begin(&h, "Cast", 13);
        harness_int(&h, "to", codes[i]);
        harness_floats(&h, 1, DIMS(1), (float[]){1});
        ck_assert(!harness_check(&h));
        ck_assert_int_eq(h.err.code, ERR_UNSUPPORTED);
        harness_end(&h);
    }
}
END_TEST

Suite *op_cast_suite(void)
{
    Suite *suite = suite_create("op/cast");
    TCase *tcase = tcase_create("cast");
    tcase_add_test(tcase, small_numbers_survive_every_pair);
    tcase_add_test(tcase, floats_out_of_range_saturate);
    tcase_add_test(tcase, integers_wrap_and_bool_is_not_zero);
    tcase_add_test(tcase, halves_are_rounded_once);
    tcase_add_test(tcase, text_becomes_numbers);
    tcase_add_test(tcase, numbers_become_the_shortest_text);
    tcase_add_test(tcase, the_same_type_is_an_alias);
    tcase_add_test(tcase, the_type_may_come_from_another_tensor_or_a_name);
    tcase_add_test(tcase, bits_are_kept);
    tcase_add_test(tcase, bits_of_another_width_are_refused);
    tcase_add_test(tcase, unknown_types_are_refused_when_opened);
    suite_add_tcase(suite, tcase);
    return suite;
}
