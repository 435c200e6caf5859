/* floats.c - every type of numbers as float. */
#include "serve/floats.h"

#include "base/err.h"

#include <check.h>
#include <math.h>

Suite *serve_floats_suite(void);

static const double doubles[] = {0, 1.5, -2, 1e300};
static const uint8_t bytes[] = {0, 1, 200, 255};
static const int64_t longs[] = {0, -1, 80, 1 << 20};
static const int32_t ints[] = {0, -1, 80, 1 << 20};
static const uint16_t halves[] = {0, 0x3c00, 0xc100, 0x7c00};     /* 0, 1, -2.5, infinity */
static const uint16_t small[] = {0x0001, 0x8001, 0x3555, 0x7e00}; /* the least one, its negative, about 1/3, NaN */
static const uint16_t bfloats[] = {0, 0x3f80, 0xc020, 0x7f80};
static const float floats[] = {0, 1, -2.5f, 3};

static const struct {
    enum percept_dtype dtype;
    const void *data;
    float first, second, third, last;
} types[] = {
    {PERCEPT_DOUBLE, doubles, 0, 1.5f, -2, INFINITY},   {PERCEPT_UINT8, bytes, 0, 1, 200, 255},
    {PERCEPT_INT64, longs, 0, -1, 80, 1 << 20},         {PERCEPT_INT32, ints, 0, -1, 80, 1 << 20},
    {PERCEPT_FLOAT16, halves, 0, 1, -2.5f, INFINITY},   {PERCEPT_FLOAT16, small, 0x1p-24f, -0x1p-24f, 0.33325195f, NAN},
    {PERCEPT_BFLOAT16, bfloats, 0, 1, -2.5f, INFINITY}, {PERCEPT_FLOAT, floats, 0, 1, -2.5f, 3},
};

START_TEST(each_type_of_numbers_is_read)
{
    struct arena arena = {0};
    struct percept_err err = {0};
    const struct percept_tensor tensor = {
        .dtype = types[_i].dtype, .rank = 1, .dims = {4}, .data = (void *)(uintptr_t)types[_i].data};
    ck_assert(floats_can(tensor.dtype));
    const float *all = floats_of(&tensor, 0, 4, &arena, NULL, &err);
    ck_assert_ptr_nonnull(all);
    ck_assert(all[0] == types[_i].first && all[1] == types[_i].second && all[2] == types[_i].third);
    ck_assert(all[3] == types[_i].last || (isnan(all[3]) && isnan(types[_i].last)));
    ck_assert(floats_of(&tensor, 2, 2, &arena, NULL, &err)[0] == types[_i].third);
    arena_free(&arena);
}
END_TEST

START_TEST(texts_and_truth_values_are_no_numbers)
{
    ck_assert(!floats_can(PERCEPT_STRING));
    ck_assert(!floats_can(PERCEPT_BOOL));
    ck_assert(!floats_can(PERCEPT_UNDEFINED));
}
END_TEST

START_TEST(a_watch_that_is_over_stops_it)
{
    struct arena arena = {0};
    struct percept_err err = {0};
    int raised = 1;
    struct watch watch = {.cancel = &raised};
    const struct percept_tensor tensor = {
        .dtype = PERCEPT_UINT8, .rank = 1, .dims = {4}, .data = (void *)(uintptr_t)bytes};
    ck_assert_ptr_null(floats_of(&tensor, 0, 4, &arena, &watch, &err));
    ck_assert_int_eq(err.code, ERR_CANCELLED);
    arena_free(&arena);
}
END_TEST

Suite *serve_floats_suite(void)
{
    Suite *suite = suite_create("serve_floats");
    TCase *tests = tcase_create("floats");
    tcase_add_loop_test(tests, each_type_of_numbers_is_read, 0, sizeof types / sizeof *types);
    tcase_add_test(tests, texts_and_truth_values_are_no_numbers);
    tcase_add_test(tests, a_watch_that_is_over_stops_it);
    suite_add_tcase(suite, tests);
    return suite;
}
