/* encoder_png.c - what is written is read again, to the last level. */
#include "serve/encoder_png.h"

#include "base/err.h"
#include "serve/codec_parts.h"

#include <check.h>
#include <string.h>

Suite *serve_encoder_png_suite(void);

static struct arena arena;
static struct percept_err err;

static void end(void)
{
    arena_free(&arena);
    err = (struct percept_err){0};
}

static struct picture noisy(int width, int height, int channels)
{
    struct picture picture;
    ck_assert(picture_new(&picture, width, height, channels, &arena, &err));
    for (int i = 0; i < width * height * channels; i++)
        picture.pixels[i] = (uint8_t)((unsigned)i * 2654435761u >> 13);
    return picture;
}

static const struct {
    int width, height, channels;
} sizes[] = {{1, 1, 1}, {1, 1, 3}, {7, 5, 3}, {200, 3, 1}, {7, 5, 4}, {300, 200, 3}};

START_TEST(a_picture_comes_back)
{
    struct picture picture = noisy(sizes[_i].width, sizes[_i].height, sizes[_i].channels);
    struct writer w = {.arena = &arena};
    struct picture again;
    ck_assert_msg(encoder_png_write(&w, &picture, &err), "%s", err.text);
    const struct codec_picture source = {
        .body = bytes_of(w.at, w.used), .most_pixels = CODEC_MAX_PIXELS, .arena = &arena, .err = &err};
    ck_assert_msg(codec_png_decode(&source, &again), "%s", err.text);
    ck_assert_int_eq(again.width, picture.width);
    ck_assert_int_eq(again.height, picture.height);
    ck_assert_int_eq(w.at[25], picture.channels == 1 ? 0 : picture.channels == 3 ? 2 : 6); /* its colour type */
    if (picture.channels == 4)                                                             /* readers lay it on white */
        ck_assert(picture_flatten(&picture, NULL));
    ck_assert_int_eq(again.channels, picture.channels);
    ck_assert_mem_eq(again.pixels, picture.pixels,
                     (size_t)picture.width * (size_t)picture.height * (size_t)picture.channels);
}
END_TEST

START_TEST(whoever_went_is_not_written_for)
{
    const struct picture picture = noisy(300, 200, 3);
    int raised = 1;
    struct watch watch = {.cancel = &raised};
    struct writer w = {.arena = &arena, .watch = &watch};
    ck_assert(!encoder_png_write(&w, &picture, &err));
    ck_assert_int_eq(err.code, ERR_CANCELLED);
}
END_TEST

START_TEST(short_memory_is_told)
{
    const struct picture picture = noisy(300, 200, 3);
    struct writer w = {.arena = &arena};
    arena.limit_bytes = arena.used_bytes + 100;
    ck_assert(!encoder_png_write(&w, &picture, &err));
    ck_assert_int_eq(err.code, ERR_MEMORY);
    arena.limit_bytes = 0;
}
END_TEST

Suite *serve_encoder_png_suite(void)
{
    Suite *suite = suite_create("serve_encoder_png");
    TCase *tests = tcase_create("encoder_png");
    tcase_add_checked_fixture(tests, NULL, end);
    tcase_add_loop_test(tests, a_picture_comes_back, 0, sizeof sizes / sizeof *sizes);
    tcase_add_test(tests, whoever_went_is_not_written_for);
    tcase_add_test(tests, short_memory_is_told);
    suite_add_tcase(suite, tests);
    return suite;
}
