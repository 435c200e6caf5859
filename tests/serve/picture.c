/* picture.c - resizing equals, level by level, what the Python Imaging Library makes of the same
 * pictures: digests below are of its Image.resize and Image.convert("L"), version 9.4. */
#include "serve/picture.h"

#include "looks.h"

#include <check.h>
#include <string.h>

Suite *serve_picture_suite(void);

static struct arena arena;
static struct percept_err err;

static struct picture drawn(int width, int height, int channels)
{
    struct picture p;
    ck_assert(picture_new(&p, width, height, channels, &arena, &err));
    uint8_t *at = p.pixels;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int c = 0; c < channels; c++)
                *at++ = (uint8_t)(x * 37 + y * 59 + c * 101 + x * y * 13 + (x & 1 ? x * x * 7 : 0));
    return p;
}

static uint64_t digest(const struct picture *p)
{
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < (size_t)p->width * (size_t)p->height * (size_t)p->channels; i++)
        hash = (hash ^ p->pixels[i]) * 1099511628211u;
    return hash;
}

static const struct {
    int width, height, channels;
    struct picture_box box;
    int to_width, to_height;
    enum taps_filter filter;
    uint64_t digest;
} resized[] = {
    {97, 61, 3, {0, 0, 97, 61}, 28, 28, TAPS_BILINEAR, 0x2136e2143f950730ULL},
    {97, 61, 1, {0, 0, 97, 61}, 28, 28, TAPS_BICUBIC, 0xc2754541d28ba4b2ULL},
    {13, 9, 3, {0, 0, 13, 9}, 40, 50, TAPS_BILINEAR, 0x413e3f3586742311ULL},
    {13, 9, 3, {0, 0, 13, 9}, 40, 50, TAPS_BICUBIC, 0xd6b7950fd528f6acULL},
    {97, 61, 3, {0, 0, 97, 61}, 20, 33, TAPS_NEAREST, 0xac4b39fd17e93bedULL},
    {97, 61, 1, {0, 0, 97, 61}, 28, 28, TAPS_BOX, 0xc9b47036dea8957aULL},
    {97, 61, 3, {18.0, 0.0, 79.0, 61.0}, 32, 32, TAPS_BILINEAR, 0x245b0c21d95717cdULL},
    {60, 100, 1, {0.0, 11.25, 60.0, 88.75}, 24, 31, TAPS_BICUBIC, 0x90ccc4f6a848dce1ULL},
    {50, 40, 3, {0, 0, 50, 40}, 50, 20, TAPS_BILINEAR, 0x1c38525fc9840083ULL},
    {50, 40, 3, {0, 0, 50, 40}, 25, 40, TAPS_BILINEAR, 0x9e42d0edd223af4cULL},
    {300, 200, 1, {0, 0, 300, 200}, 3, 2, TAPS_BILINEAR, 0x21e689289ae75742ULL},
};

START_TEST(resizing_gives_the_levels_networks_are_trained_on)
{
    struct picture p = drawn(resized[_i].width, resized[_i].height, resized[_i].channels), to;
    ck_assert(picture_resize(&p, resized[_i].box, resized[_i].to_width, resized[_i].to_height, resized[_i].filter, &to,
                             NULL, &arena, &err));
    ck_assert_int_eq(to.width, resized[_i].to_width);
    ck_assert_int_eq(to.height, resized[_i].to_height);
    ck_assert_uint_eq(digest(&to), resized[_i].digest);
    arena_free(&arena);
}
END_TEST

START_TEST(a_small_picture_shrinks_to_known_levels)
{
    static const uint8_t expected[] = {50, 102, 106, 161, 127, 155, 122, 167, 136, 106, 137, 97};
    struct picture p = drawn(7, 5, 1), to;
    ck_assert(picture_resize(&p, picture_whole(&p), 4, 3, TAPS_BILINEAR, &to, NULL, &arena, &err));
    for (int i = 0; i < 12; i++)
        ck_assert_int_eq(to.pixels[i], expected[i]);
    arena_free(&arena);
}
END_TEST

START_TEST(gray_is_luma)
{
    struct picture p = drawn(97, 61, 3), to;
    ck_assert(picture_gray(&p, &to, NULL, &arena, &err));
    ck_assert_int_eq(to.channels, 1);
    ck_assert_uint_eq(digest(&to), 0xf9eba6edb5033191ULL);
    arena_free(&arena);
}
END_TEST

/* What a 3 x 2 picture 012/345 becomes for each orientation. */
static const struct {
    int width;
    const char *pixels;
} turned[] = {{3, "012345"}, {3, "210543"}, {3, "543210"}, {3, "345012"},
              {2, "031425"}, {2, "304152"}, {2, "524130"}, {2, "251403"}};

START_TEST(every_orientation_is_turned_upright)
{
    struct picture p = {.width = 3, .height = 2, .channels = 1, .pixels = (uint8_t *)(uintptr_t) "012345"}, to;
    ck_assert(picture_turn(&p, _i + 1, &to, NULL, &arena, &err));
    ck_assert_int_eq(to.width, turned[_i].width);
    ck_assert_int_eq(to.width * to.height, 6);
    ck_assert(memcmp(to.pixels, turned[_i].pixels, 6) == 0);
    arena_free(&arena);
}
END_TEST

START_TEST(a_part_of_a_part_is_told_in_the_first_pixels)
{
    struct picture p = drawn(40, 20, 1), half, to;
    ck_assert(
        picture_resize(&p, (struct picture_box){20, 0, 40, 20}, 10, 40, TAPS_BILINEAR, &half, NULL, &arena, &err));
    const struct picture_box shown = picture_part(&half, (struct picture_box){5, -10, 10, 20});
    ck_assert_double_eq(shown.left, 30);
    ck_assert_double_eq(shown.top, -5);
    ck_assert_double_eq(shown.right, 40);
    ck_assert_double_eq(shown.bottom, 10);
    for (int filter = TAPS_BILINEAR; filter <= TAPS_BOX; filter++) {
        /* rows alone, columns alone, both */
        const int sizes[][2] = {{5, 40}, {10, 20}, {5, 20}};
        for (int i = 0; i < 3; i++) {
            ck_assert(picture_resize(&half, picture_whole(&half), sizes[i][0], sizes[i][1], (enum taps_filter)filter,
                                     &to, NULL, &arena, &err));
            ck_assert_double_eq(to.shows.left, 20);
            ck_assert_double_eq(to.shows.right, 40);
            ck_assert_double_eq(to.shows.bottom, 20);
        }
    }
    arena_free(&arena);
}
END_TEST

START_TEST(short_memory_is_told)
{
    struct picture p = drawn(40, 40, 1), to;
    for (size_t i = 1; i < 4; i++) {
        struct arena small = {.limit_bytes = 600 * i};
        ck_assert(!picture_resize(&p, picture_whole(&p), 39, 60, TAPS_BICUBIC, &to, NULL, &small, &err));
        arena_free(&small);
    }
    arena_free(&arena);
}
END_TEST

START_TEST(nobody_flattens_or_resizes_for_nobody)
{
    struct watch watch = looks_until(0);
    struct picture p = drawn(600, 400, 4), to;
    ck_assert(!picture_flatten(&p, &watch));
    p = drawn(600, 400, 3);
    watch = looks_until(0);
    ck_assert(!picture_resize(&p, picture_whole(&p), 39, 60, TAPS_BICUBIC, &to, &watch, &arena, &err));
    arena_free(&arena);
}
END_TEST

Suite *serve_picture_suite(void)
{
    Suite *suite = suite_create("serve_picture");
    TCase *tests = tcase_create("picture");
    tcase_add_loop_test(tests, resizing_gives_the_levels_networks_are_trained_on, 0,
                        (int)(sizeof resized / sizeof *resized));
    tcase_add_test(tests, a_small_picture_shrinks_to_known_levels);
    tcase_add_test(tests, gray_is_luma);
    tcase_add_loop_test(tests, every_orientation_is_turned_upright, 0, 8);
    tcase_add_test(tests, a_part_of_a_part_is_told_in_the_first_pixels);
    tcase_add_test(tests, nobody_flattens_or_resizes_for_nobody);
    tcase_add_test(tests, short_memory_is_told);
    suite_add_tcase(suite, tests);
    return suite;
}
