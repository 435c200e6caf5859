/* codec_parts.c - memory for elements, and how large a picture may be. */
#include "serve/codec_parts.h"

#include "base/err.h"
#include "fake_model.h"

#include <check.h>

Suite *serve_codec_parts_suite(void);

START_TEST(elements_get_memory_of_the_jobs_arena)
{
    struct fake_model *fake = fake_model_new("m");
    struct job *job = fake_model_post(fake, "");
    struct percept_tensor tensor = {.dtype = PERCEPT_FLOAT};
    size_t before = fake->arena.used_bytes;
    ck_assert(codec_parts_reserve(job, "x", &tensor, 3, &fake->err));
    ck_assert_ptr_nonnull(tensor.data);
    ck_assert_uint_ge(fake->arena.used_bytes - before, 3 * sizeof(float));
    ck_assert(codec_parts_reserve(job, "x", &tensor, 0, &fake->err));
    ck_assert_ptr_nonnull(tensor.data); /* no elements lie somewhere, too */
    fake_model_free(fake);
}
END_TEST

START_TEST(more_elements_than_memory_can_hold_are_refused)
{
    struct fake_model *fake = fake_model_new("m");
    struct job *job = fake_model_post(fake, "");
    struct percept_tensor tensor = {.dtype = PERCEPT_DOUBLE};
    ck_assert(!codec_parts_reserve(job, "x", &tensor, INT64_MAX / 2, &fake->err));
    ck_assert_int_eq(fake->err.code, ERR_INVALID);
    ck_assert_str_eq(fake->err.text, "byte size overflow for input 'x'");
    fake_model_free(fake);
}
END_TEST

static const struct {
    uint64_t width, height;
    int code;
} sizes[] = {{1, 1, ERR_NONE},     {10, 10, ERR_NONE}, {11, 10, ERR_TOO_LARGE}, {0, 10, ERR_INVALID},
             {10, 0, ERR_INVALID}, {100, 1, ERR_NONE}, {101, 1, ERR_TOO_LARGE}, {1, 65536, ERR_TOO_LARGE}};

START_TEST(a_picture_has_pixels_and_not_too_many)
{
    struct percept_err err = {0};
    const struct codec_picture picture = {.most_pixels = 100, .err = &err};
    bool fits = codec_parts_check_size(&picture, sizes[_i].width, sizes[_i].height);
    ck_assert_int_eq(err.code, sizes[_i].code);
    ck_assert_int_eq(fits, sizes[_i].code == ERR_NONE);
}
END_TEST

START_TEST(no_side_is_longer_than_a_jpegs_may_be)
{
    struct percept_err err = {0};
    const struct codec_picture picture = {.most_pixels = INT64_MAX, .err = &err};
    ck_assert(codec_parts_check_size(&picture, CODEC_SIDE_MAX, 1));
    ck_assert(!codec_parts_check_size(&picture, 1, CODEC_SIDE_MAX + 1));
    ck_assert_int_eq(err.code, ERR_TOO_LARGE);
}
END_TEST

Suite *serve_codec_parts_suite(void)
{
    Suite *suite = suite_create("serve/codec_parts");
    TCase *tests = tcase_create("codec_parts");
    tcase_add_test(tests, elements_get_memory_of_the_jobs_arena);
    tcase_add_test(tests, more_elements_than_memory_can_hold_are_refused);
    tcase_add_loop_test(tests, a_picture_has_pixels_and_not_too_many, 0, sizeof sizes / sizeof *sizes);
    tcase_add_test(tests, no_side_is_longer_than_a_jpegs_may_be);
    suite_add_tcase(suite, tests);
    return suite;
}
