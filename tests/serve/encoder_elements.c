/* encoder_elements.c - elements of every type, from anywhere in a tensor. */
#include "serve/encoder_elements.h"

#include <check.h>
#include <math.h>

Suite *serve_encoder_elements_suite(void);

static const float f[] = {0.1f, (float)NAN, -3};
static const double d[] = {0.1, -INFINITY, 1e300};
static const int8_t i8[] = {-128, 0, 127};
static const int16_t i16[] = {-32768, 0, 32767};
static const int32_t i32[] = {INT32_MIN, 0, INT32_MAX};
static const int64_t i64[] = {INT64_MIN, 0, INT64_MAX};
static const uint8_t u8[] = {0, 1, 255};
static const uint16_t u16[] = {0, 1, 65535};
static const uint32_t u32[] = {0, 1, UINT32_MAX};
static const uint64_t u64[] = {0, 1, UINT64_MAX};
static const uint8_t b[] = {0, 1, 7};
static const struct percept_string s[] = {{"", 0}, {"a\n", 2}, {"\xff", 1}};

static const struct {
    enum percept_dtype dtype;
    const void *data;
    const char *all, *last;
} rows[] = {
    {PERCEPT_FLOAT, f, "0.1,NaN,-3.0", "-3.0"},
    {PERCEPT_DOUBLE, d, "0.1,-Infinity,1e300", "1e300"},
    {PERCEPT_INT8, i8, "-128,0,127", "127"},
    {PERCEPT_INT16, i16, "-32768,0,32767", "32767"},
    {PERCEPT_INT32, i32, "-2147483648,0,2147483647", "2147483647"},
    {PERCEPT_INT64, i64, "-9223372036854775808,0,9223372036854775807", "9223372036854775807"},
    {PERCEPT_UINT8, u8, "0,1,255", "255"},
    {PERCEPT_UINT16, u16, "0,1,65535", "65535"},
    {PERCEPT_UINT32, u32, "0,1,4294967295", "4294967295"},
    {PERCEPT_UINT64, u64, "0,1,18446744073709551615", "18446744073709551615"},
    {PERCEPT_BOOL, b, "false,true,true", "true"},
    {PERCEPT_STRING, s, "\"\",\"a\\n\",\"\xef\xbf\xbd\"", "\"\xef\xbf\xbd\""},
};

static void expect(const struct percept_tensor *tensor, int64_t first, int64_t n, const char *text)
{
    struct arena arena = {0};
    struct writer w = {.arena = &arena, .room = 8, .at = arena_alloc(&arena, 8)};
    encoder_elements_put(&w, tensor, first, n);
    ck_assert(!w.failed);
    ck_assert_msg(bytes_is(bytes_of(w.at, w.used), text), "%.*s", (int)w.used, w.at);
    arena_free(&arena);
}

START_TEST(every_type_is_written)
{
    const struct percept_tensor tensor = {
        .dtype = rows[_i].dtype, .rank = 1, .dims = {3}, .data = (void *)(uintptr_t)rows[_i].data};
    expect(&tensor, 0, 3, rows[_i].all);
    expect(&tensor, 2, 1, rows[_i].last);
    expect(&tensor, 1, 0, "");
}
END_TEST

START_TEST(whole_numbers_are_told_from_others)
{
    static const enum percept_dtype whole[] = {PERCEPT_UINT8, PERCEPT_INT8,   PERCEPT_UINT16, PERCEPT_INT16,
                                               PERCEPT_INT32, PERCEPT_UINT32, PERCEPT_INT64,  PERCEPT_UINT64};
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        ck_assert(encoder_elements_whole(whole[i]));
    ck_assert(!encoder_elements_whole(PERCEPT_FLOAT));
    ck_assert(!encoder_elements_whole(PERCEPT_DOUBLE));
    ck_assert(!encoder_elements_whole(PERCEPT_STRING));
    ck_assert(!encoder_elements_whole(PERCEPT_BOOL));
    const struct percept_tensor tensor = {
        .dtype = PERCEPT_INT16, .rank = 1, .dims = {3}, .data = (void *)(uintptr_t)i16};
    ck_assert_int_eq(encoder_elements_int(&tensor, 2), 32767);
}
END_TEST

Suite *serve_encoder_elements_suite(void)
{
    Suite *suite = suite_create("serve/encoder_elements");
    TCase *tests = tcase_create("encoder_elements");
    tcase_add_loop_test(tests, every_type_is_written, 0, sizeof rows / sizeof *rows);
    tcase_add_test(tests, whole_numbers_are_told_from_others);
    suite_add_tcase(suite, tests);
    return suite;
}
