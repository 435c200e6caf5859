/* codec_webp.c - WebP of each kind, cut at every byte, damaged, too large, and moving. */
#include "base/err.h"
#include "coded.h"
#include "looks.h"

#include <check.h>
#include <stdlib.h>

Suite *serve_codec_webp_suite(void);

/* Of Pillow 9.4: 3x2 of red 10, 40, 70, ...; 16x16 of 200, 100, 50; 2x1, the second nearly transparent; 4x4, twice. */
static const uint8_t lossless[] = {
    0x52, 0x49, 0x46, 0x46, 0x42, 0x00, 0x00, 0x00, 0x57, 0x45, 0x42, 0x50, 0x56, 0x50, 0x38, 0x4c, 0x35, 0x00, 0x00,
    0x00, 0x2f, 0x02, 0x40, 0x00, 0x00, 0x2f, 0x40, 0x98, 0x6d, 0xb4, 0x39, 0xdc, 0x7b, 0xfe, 0x96, 0xa7, 0x21, 0x24,
    0x20, 0x74, 0x1f, 0xfc, 0x7f, 0x89, 0x20, 0xdb, 0x66, 0x17, 0xa9, 0xbf, 0xe5, 0xe7, 0x3f, 0xe0, 0xcf, 0x78, 0x26,
    0x45, 0x01, 0x85, 0x6c, 0x23, 0xc0, 0xa1, 0x7b, 0x05, 0x4e, 0xe9, 0x22, 0xfa, 0x1f, 0xef, 0x00, 0x00};
static const uint8_t lossy[] = {0x52, 0x49, 0x46, 0x46, 0x3e, 0x00, 0x00, 0x00, 0x57, 0x45, 0x42, 0x50, 0x56, 0x50,
                                0x38, 0x20, 0x32, 0x00, 0x00, 0x00, 0xd0, 0x01, 0x00, 0x9d, 0x01, 0x2a, 0x10, 0x00,
                                0x10, 0x00, 0x00, 0xc0, 0x12, 0x25, 0xa0, 0x02, 0x74, 0xba, 0x01, 0xf8, 0x00, 0x03,
                                0xb0, 0x00, 0xfe, 0xda, 0x26, 0xff, 0xee, 0xf3, 0x7e, 0xd3, 0xd7, 0xb4, 0xf5, 0xfd,
                                0x4c, 0xff, 0xf8, 0xca, 0x9f, 0x20, 0x3f, 0xe3, 0x2a, 0x7f, 0xc5, 0xcc, 0x00, 0x00};
static const uint8_t alpha[] = {0x52, 0x49, 0x46, 0x46, 0x20, 0x00, 0x00, 0x00, 0x57, 0x45, 0x42, 0x50, 0x56, 0x50,
                                0x38, 0x4c, 0x13, 0x00, 0x00, 0x00, 0x2f, 0x01, 0x00, 0x00, 0x10, 0x0f, 0x30, 0x64,
                                0x43, 0x36, 0x64, 0x9f, 0x61, 0x0e, 0x78, 0x64, 0x44, 0xff, 0x03, 0x00};
static const uint8_t moving[] = {
    0x52, 0x49, 0x46, 0x46, 0x82, 0x00, 0x00, 0x00, 0x57, 0x45, 0x42, 0x50, 0x56, 0x50, 0x38, 0x58, 0x0a, 0x00,
    0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03, 0x00, 0x00, 0x41, 0x4e, 0x49, 0x4d, 0x06, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x41, 0x4e, 0x4d, 0x46, 0x26, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03, 0x00, 0x00, 0x64, 0x00, 0x00, 0x02, 0x56, 0x50, 0x38, 0x4c,
    0x0e, 0x00, 0x00, 0x00, 0x2f, 0x03, 0xc0, 0x00, 0x00, 0x07, 0x10, 0x11, 0xfd, 0x0f, 0x44, 0x44, 0xff, 0x03,
    0x41, 0x4e, 0x4d, 0x46, 0x28, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03,
    0x00, 0x00, 0x64, 0x00, 0x00, 0x00, 0x56, 0x50, 0x38, 0x4c, 0x0f, 0x00, 0x00, 0x00, 0x2f, 0x03, 0xc0, 0x00,
    0x00, 0x07, 0x10, 0x85, 0x8a, 0xfe, 0x07, 0x22, 0xa2, 0xff, 0x01, 0x00};

static struct arena arena;
static struct percept_err err;

static bool decode(const uint8_t *at, size_t n, struct picture *picture)
{
    static struct coded file;
    file.n = 0;
    coded_append(&file, at, n);
    arena_free(&arena);
    return coded_decode(codec_webp_decode, &file, n,
                        (struct codec_picture){.most_pixels = 300, .arena = &arena, .err = &err}, picture);
}

/* One that is not installed is refused in a sentence, and there is nothing to test. */
static bool is_here(void)
{
    struct picture p;
    bool here = decode(lossless, sizeof lossless, &p) || !strstr(err.text, "is not installed");
    if (!here)
        printf("skipped: libwebp.so.7 is absent\n");
    return here;
}

START_TEST(pixels_are_those_that_were_coded)
{
    static const uint8_t wanted[] = {10, 20, 30, 40, 50, 60, 70, 80, 90, 255, 0, 0, 0, 255, 0, 0, 0, 255};
    struct picture p;
    if (!is_here())
        return;
    ck_assert_msg(decode(lossless, sizeof lossless, &p), "%s", err.text);
    ck_assert(p.width == 3 && p.height == 2 && p.channels == 3 && p.shows.right == 3);
    ck_assert_mem_eq(p.pixels, wanted, sizeof wanted);
    ck_assert_msg(decode(lossy, sizeof lossy, &p), "%s", err.text);
    for (int i = 0; i < 16 * 16; i++)
        ck_assert(abs(p.pixels[3 * i] - 200) < 4 && abs(p.pixels[3 * i + 1] - 100) < 4 &&
                  abs(p.pixels[3 * i + 2] - 50) < 4);
    ck_assert_msg(decode(alpha, sizeof alpha, &p), "%s", err.text);
    ck_assert_int_eq(p.channels, 3);
    ck_assert_mem_eq(p.pixels, ((uint8_t[]){100, 100, 100, 204, 204, 204}), 6);
    arena_free(&arena);
}
END_TEST

START_TEST(what_moves_is_refused)
{
    struct picture p;
    if (!is_here())
        return;
    ck_assert(!decode(moving, sizeof moving, &p));
    ck_assert_str_eq(err.text, "the WebP is an animation; send one of its frames as a picture");
    ck_assert_str_eq(err_name(err.code), "MEDIA_TYPE");
    arena_free(&arena);
}
END_TEST

static const struct {
    const uint8_t *at;
    size_t n;
} files[] = {{lossless, sizeof lossless}, {lossy, sizeof lossy}, {alpha, sizeof alpha}, {moving, sizeof moving}};

START_TEST(cuts_and_flips_are_refused_or_read)
{
    struct picture p;
    static uint8_t damaged[256];
    if (!is_here())
        return;
    for (size_t n = 12; n + 2 < files[_i].n; n++)
        ck_assert_msg(!decode(files[_i].at, n, &p), "%zu bytes are enough", n);
    for (size_t bit = 0; bit < 8 * files[_i].n; bit++) {
        memcpy(damaged, files[_i].at, files[_i].n);
        damaged[bit / 8] ^= (uint8_t)(1 << bit % 8);
        err.text[0] = 0;
        ck_assert(decode(damaged, files[_i].n, &p) || err.text[0]);
    }
    arena_free(&arena);
}
END_TEST

START_TEST(huge_ones_are_refused_by_their_head)
{
    struct picture p;
    static uint8_t huge[sizeof lossless];
    if (!is_here())
        return;
    memcpy(huge, lossless, sizeof huge);
    memset(huge + 21, 0xff, 3); /* 14 bits of width, 14 of height */
    ck_assert(!decode(huge, sizeof huge, &p));
    ck_assert_str_eq(err_name(err.code), "TOO_LARGE");
    ck_assert_msg(strstr(err.text, "the picture has 16384x"), "%s", err.text);
    ck_assert_uint_eq(arena.used_bytes, 0);
    arena_free(&arena);
}
END_TEST

START_TEST(a_deadline_ends_it)
{
    struct picture p;
    struct watch watch = looks_until(0);
    const struct codec_picture source = {
        .body = bytes_of(lossy, sizeof lossy), .most_pixels = 300, .watch = &watch, .arena = &arena, .err = &err};
    if (!is_here())
        return;
    watch = looks_until(0);
    ck_assert(!codec_webp_decode(&source, &p));
    ck_assert_str_eq(err_name(err.code), "TIMEOUT");
    arena_free(&arena);
}
END_TEST

Suite *serve_codec_webp_suite(void)
{
    Suite *suite = suite_create("serve_codec_webp");
    TCase *tests = tcase_create("codec_webp");
    tcase_set_timeout(tests, 60); /* also under sanitizers */
    tcase_add_test(tests, pixels_are_those_that_were_coded);
    tcase_add_test(tests, what_moves_is_refused);
    tcase_add_loop_test(tests, cuts_and_flips_are_refused_or_read, 0, (int)(sizeof files / sizeof *files));
    tcase_add_test(tests, huge_ones_are_refused_by_their_head);
    tcase_add_test(tests, a_deadline_ends_it);
    suite_add_tcase(suite, tests);
    return suite;
}
