/* codec_png.c - every row or nothing, whatever follows or surrounds the rows; nobody waits for a
 * decoder that is not wanted any more. */
#include "base/err.h"
#include "coded.h"
#include "looks.h"

#include <check.h>
#include <stdlib.h>

Suite *serve_codec_png_suite(void);

static struct coded file;
static struct arena arena;
static struct percept_err err;
static struct watch watch;
static uint8_t pixels[64 * 64 * 8];

static const struct {
    int type, depth, channels;
    uint32_t width, height;
    int interlaced, level;
} kinds[] = {
    {SPNG_COLOR_TYPE_GRAYSCALE, 8, 1, 13, 9, 0, 0},  {SPNG_COLOR_TYPE_TRUECOLOR, 8, 3, 13, 9, 0, 6},
    {SPNG_COLOR_TYPE_TRUECOLOR, 16, 6, 7, 5, 0, 0},  {SPNG_COLOR_TYPE_TRUECOLOR_ALPHA, 8, 4, 9, 9, 1, 0},
    {SPNG_COLOR_TYPE_GRAYSCALE, 8, 1, 17, 11, 1, 6}, {SPNG_COLOR_TYPE_TRUECOLOR, 16, 6, 8, 8, 1, 6},
};

static void make(int i)
{
    srand(7);
    for (size_t k = 0; k < sizeof pixels; k++)
        pixels[k] = (uint8_t)rand();
    const struct spng_ihdr header = {.width = kinds[i].width,
                                     .height = kinds[i].height,
                                     .bit_depth = (uint8_t)kinds[i].depth,
                                     .color_type = (uint8_t)kinds[i].type,
                                     .interlace_method = (uint8_t)kinds[i].interlaced};
    coded_png(&file, pixels, (size_t)kinds[i].width * kinds[i].height * (size_t)kinds[i].channels, &header, NULL, NULL,
              kinds[i].level);
}

static bool decode(size_t n, struct picture *picture)
{
    err = (struct percept_err){0};
    const struct codec_picture how = {.most_pixels = 10000, .watch = &watch, .arena = &arena, .err = &err};
    return coded_decode(codec_png_decode, &file, n, how, picture);
}

/* Where the type of the first or last IDAT stands. */
static size_t idat(bool last)
{
    size_t at = 0;
    for (size_t i = 8; i + 4 <= file.n; i++)
        if (!memcmp(file.at + i, "IDAT", 4) && (last || !at))
            at = i;
    return at;
}

/* The end mark, the checksums and the padding of the last byte may be missing; a sample may not. */
START_TEST(a_cut_file_is_read_if_every_row_is_there)
{
    struct picture whole, cut;
    watch = (struct watch){0};
    make(_i);
    ck_assert_msg(decode(file.n, &whole), "%s", err.text);
    const uint8_t *length = file.at + idat(true) - 4;
    size_t stream_end = idat(true) + 4 + (size_t)(length[2] << 8 | length[3]);
    size_t least = 0;
    for (size_t n = 8; n < file.n; n++) {
        bool ok = decode(n, &cut);
        ck_assert_msg(!ok || coded_same(&cut, &whole), "%zu bytes give other pixels", n);
        ck_assert_msg(ok || !least, "%zu bytes are refused, %zu were taken", n, least);
        ck_assert(ok || err.code == ERR_INVALID);
        least = ok && !least ? n : least;
    }
    /* Stored samples end four bytes (a checksum) before the stream does. Of deflated ones the last
     * may lie in the same byte as the mark of the block's end, or in the one before. */
    if (kinds[_i].level == 0)
        ck_assert_uint_eq(least, stream_end - 4);
    ck_assert_uint_ge(least, stream_end - 6);
    ck_assert_uint_le(least, stream_end - 4);
}
END_TEST

/* Profiles, texts, dates; broken, bloated and out of place: none of them decides about a pixel. */
START_TEST(what_is_no_pixel_is_stepped_over)
{
    static struct coded plain;
    struct picture whole, with;
    watch = (struct watch){0};
    make(_i);
    ck_assert(decode(file.n, &whole));
    plain = file;
    size_t behind_header = 33, pixels_at = idat(false) - 4;
    file.n = behind_header;
    coded_chunk(&file, "iCCP", "x\0\0no stream", 12);
    coded_chunk(&file, "zTXt", NULL, 0);
    coded_chunk(&file, "tIME", "abc", 3);
    file.at[file.n - 1] ^= 1; /* a CRC that is wrong */
    coded_append(&file, plain.at + behind_header, pixels_at - behind_header);
    for (int i = 0; i < 200; i++)
        coded_chunk(&file, i & 1 ? "tEXt" : "IDAT", "", 0);
    coded_append(&file, plain.at + pixels_at, plain.n - pixels_at);
    ck_assert_msg(decode(file.n, &with), "%s", err.text);
    ck_assert(coded_same(&with, &whole));
    coded_chunk(&file, "tEXt", "behind", 6);
    ck_assert(decode(file.n, &with) && coded_same(&with, &whole));
}
END_TEST

START_TEST(damage_is_refused)
{
    struct picture picture;
    watch = (struct watch){0};
    make(1);
    file.at[idat(false) + 10] ^= 0x55; /* its CRC is no longer right */
    ck_assert(!decode(file.n, &picture));
    ck_assert_ptr_nonnull(strstr(err.text, "the PNG cannot be decoded"));
    make(1);
    file.at[16] = 0xff; /* the width */
    ck_assert(!decode(file.n, &picture));
}
END_TEST

static bool decode_it(void)
{
    struct picture picture;
    return decode(file.n, &picture);
}

START_TEST(a_deadline_ends_it_wherever_it_is)
{
    make(_i);
    looks_end_it(&watch, decode_it, &err.code);
}
END_TEST

Suite *serve_codec_png_suite(void)
{
    const int n = (int)(sizeof kinds / sizeof *kinds);
    Suite *suite = suite_create("serve_codec_png");
    TCase *tests = tcase_create("codec_png");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, a_cut_file_is_read_if_every_row_is_there, 0, n);
    tcase_add_loop_test(tests, what_is_no_pixel_is_stepped_over, 0, n);
    tcase_add_test(tests, damage_is_refused);
    tcase_add_loop_test(tests, a_deadline_ends_it_wherever_it_is, 0, n);
    suite_add_tcase(suite, tests);
    return suite;
}
