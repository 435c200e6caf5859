/* codec_jpeg.c - every sample or nothing; cost is judged before it arises; nobody waits for a
 * decoder that is not wanted any more. */
#include "base/err.h"
#include "coded.h"
#include "looks.h"

#include <check.h>
#include <stdlib.h>

Suite *serve_codec_jpeg_suite(void);

static struct coded file;
static struct arena arena;
static struct percept_err err;
static struct watch watch;
static uint8_t pixels[64 * 64 * 4];
static int64_t most_pixels = 100000;
static unsigned need;

static const struct {
    int channels;
    enum coded_jpeg kind;
    bool turned;
} kinds[] = {
    {3, CODED_BASELINE, true}, {1, CODED_BASELINE, false},   {4, CODED_BASELINE, false},
    {3, CODED_APART, false},   {3, CODED_PROGRESSIVE, true}, {1, CODED_PROGRESSIVE, false},
};

#define N_KINDS ((int)(sizeof kinds / sizeof *kinds))

static void make_sized(int i, int width, int height)
{
    srand(11);
    for (size_t k = 0; k < sizeof pixels; k++)
        pixels[k] = (uint8_t)(k / 7 + (size_t)rand() % 40);
    coded_jpeg(&file, pixels, width, height, kinds[i].channels, kinds[i].kind, kinds[i].turned);
}

static void make(int i)
{
    make_sized(i, 40, 24);
}

static bool decode(size_t n, struct picture *picture)
{
    err = (struct percept_err){0};
    const struct codec_picture how = {
        .most_pixels = most_pixels, .need = need, .watch = &watch, .arena = &arena, .err = &err};
    return coded_decode(codec_jpeg_decode, &file, n, how, picture);
}

/* The end mark may be missing; no byte of a scan, and no scan of a progressive or a plane-wise
 * file. */
START_TEST(a_cut_file_is_read_if_every_sample_is_there)
{
    struct picture whole, cut;
    watch = (struct watch){0};
    make(_i);
    ck_assert_msg(decode(file.n, &whole), "%s", err.text);
    for (size_t n = 3; n < file.n; n++) {
        bool ok = decode(n, &cut);
        ck_assert_msg(ok == (n >= file.n - 2), "%zu of %zu bytes: %s", n, file.n, ok ? "read" : err.text);
        ck_assert(ok ? coded_same(&cut, &whole) : err.code == ERR_INVALID);
    }
}
END_TEST

/* Places of the scans' markers; how many. */
static int scans(size_t *at, int most)
{
    int n = 0;
    for (size_t i = 0; i + 1 < file.n; i++)
        if (file.at[i] == 0xff && file.at[i + 1] == 0xda && n < most)
            at[n++] = i;
    return n;
}

START_TEST(a_file_that_ends_between_scans_is_refused)
{
    struct picture picture;
    size_t at[64];
    watch = (struct watch){0};
    make(_i);
    int n = scans(at, 64);
    for (int i = 1; i < n; i++) {
        ck_assert(!decode(at[i], &picture));
        ck_assert_msg(strstr(err.text, "it ends before its last scan"), "%s", err.text);
        ck_assert(!decode(at[i] + 1, &picture) && !decode(at[i] + 6, &picture));
    }
    if (kinds[_i].kind != CODED_APART)
        return;
    file.n = at[1]; /* an end mark does not make up for a component without a scan */
    coded_append(&file, "\xff\xd9", 2);
    ck_assert(!decode(file.n, &picture));
}
END_TEST

/* What follows the samples is nobody's: a cut segment, one byte of a marker. */
START_TEST(what_follows_the_last_sample_is_not_read)
{
    static const char *const tails[] = {"\xff", "\xff\xfe\x40", "\xff\xed\x01\x00 cut short", "\xff\xc4"};
    struct picture whole, with;
    watch = (struct watch){0};
    make(_i);
    ck_assert(decode(file.n, &whole));
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        make(_i);
        file.n -= 2;
        coded_append(&file, tails[i], i == 2 ? 14 : strlen(tails[i]));
        ck_assert_msg(decode(file.n, &with), "tail %zu: %s", i, err.text);
        ck_assert(coded_same(&with, &whole));
    }
}
END_TEST

/* A warning that costs no sample is none: bytes between segments, which some cameras leave there, and marks that have
 * no length. */
START_TEST(what_stands_between_segments_is_passed_over)
{
    static const char *const between[] = {"\0", "ab", "\0\0\0\0\0\0\0\0", "\xff\0", "\xff\1", "\xff\xd0", "\xff\xd7"};
    static const size_t n_bytes[] = {1, 2, 8, 2, 2, 2, 2};
    static struct coded gap;
    struct picture whole, with;
    watch = (struct watch){0};
    for (size_t i = 0; i < sizeof n_bytes / sizeof *n_bytes; i++) {
        make(_i);
        ck_assert(decode(file.n, &whole));
        const size_t at = 4 + (size_t)(file.at[4] << 8 | file.at[5]); /* behind the first segment */
        gap.n = 0;
        coded_append(&gap, file.at, at);
        coded_append(&gap, between[i], n_bytes[i]);
        coded_append(&gap, file.at + at, file.n - at);
        file = gap;
        ck_assert_msg(decode(file.n, &with), "%s", err.text);
        ck_assert(coded_same(&with, &whole));
    }
}
END_TEST

/* Of printers' colours full light is white, none is black, and nothing between them is lost. */
START_TEST(white_and_black_of_printers_are_so)
{
    struct picture picture;
    watch = (struct watch){0};
    for (int level = 0; level <= 255; level += 255) {
        memset(pixels, level, sizeof pixels);
        coded_jpeg(&file, pixels, 16, 8, 4, CODED_BASELINE, false);
        ck_assert_msg(decode(file.n, &picture), "%s", err.text);
        ck_assert_int_eq(picture.channels, 3);
        for (int i = 0; i < 16 * 8 * 3; i++)
            ck_assert_int_eq(picture.pixels[i], level);
    }
}
END_TEST

/* The file with its first or last scan n times. */
static void repeat_scan(bool first, int n)
{
    static struct coded bomb;
    size_t at[64];
    int n_scans = scans(at, 64);
    size_t from = first ? at[0] : at[n_scans - 1], to = first && n_scans > 1 ? at[1] : file.n - 2;
    bomb.n = 0;
    coded_append(&bomb, file.at, from);
    for (int i = 0; i < n; i++)
        coded_append(&bomb, file.at + from, to - from);
    coded_append(&bomb, file.at + to, file.n - to);
    file = bomb;
}

START_TEST(scans_times_samples_are_bounded_before_they_are_decoded)
{
    struct picture picture;
    watch = (struct watch){0};
    most_pixels = 40 * 24;
    for (int first = 0; first < 2; first++) {
        make(4);
        ck_assert_msg(decode(file.n, &picture), "%s", err.text);
        repeat_scan(first, 40);
        size_t before = arena.used_bytes;
        ck_assert(!decode(file.n, &picture));
        ck_assert_str_eq(err_name(err.code), "TOO_LARGE");
        ck_assert_msg(strstr(err.text, "scans over 40x24 pixels have"), "%s", err.text);
        ck_assert_uint_eq(arena.used_bytes, before);
    }
    most_pixels = 100000;
    make(4);
    repeat_scan(true, 100);
    ck_assert(!decode(file.n, &picture));
    ck_assert_msg(strstr(err.text, "it has more than 64 scans"), "%s", err.text);
}
END_TEST

START_TEST(endless_segments_are_refused)
{
    static struct coded bomb;
    struct picture picture;
    watch = (struct watch){0};
    make(0);
    bomb.n = 0;
    coded_append(&bomb, file.at, 2);
    for (int i = 0; i < 5000; i++)
        coded_append(&bomb, i & 1 ? "\xff\xfe\0\2" : "\xff\xe1\0\2", 4);
    coded_append(&bomb, file.at + 2, file.n - 2);
    file = bomb;
    ck_assert(!decode(file.n, &picture));
    ck_assert_msg(strstr(err.text, "more than 4096 segments"), "%s", err.text);
}
END_TEST

/* As small as the library can, never smaller than is needed along either side. */
START_TEST(what_is_not_needed_is_not_decoded)
{
    static const struct {
        unsigned need;
        int longer, shorter;
    } rows[] = {{0, 40, 24}, {1, 5, 3},    {3, 5, 3},    {4, 10, 6},   {6, 10, 6},
                {7, 20, 12}, {12, 20, 12}, {13, 40, 24}, {24, 40, 24}, {25, 40, 24}};
    struct picture picture;
    watch = (struct watch){0};
    for (int tall = 0; tall < 2; tall++) {
        make_sized(_i, tall ? 24 : 40, tall ? 40 : 24);
        const bool upright = tall != kinds[_i].turned; /* a quarter: width is height */
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            need = rows[i].need;
            ck_assert_msg(decode(file.n, &picture), "%s", err.text);
            ck_assert_int_eq(upright ? picture.height : picture.width, rows[i].longer);
            ck_assert_int_eq(upright ? picture.width : picture.height, rows[i].shorter);
        }
    }
    need = 0;
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

Suite *serve_codec_jpeg_suite(void)
{
    Suite *suite = suite_create("serve_codec_jpeg");
    TCase *tests = tcase_create("codec_jpeg");
    tcase_set_timeout(tests, 120); /* each cut of each file, also under sanitizers */
    tcase_add_loop_test(tests, a_cut_file_is_read_if_every_sample_is_there, 0, N_KINDS);
    tcase_add_loop_test(tests, a_file_that_ends_between_scans_is_refused, 0, N_KINDS);
    tcase_add_loop_test(tests, what_follows_the_last_sample_is_not_read, 0, N_KINDS);
    tcase_add_loop_test(tests, what_stands_between_segments_is_passed_over, 0, N_KINDS);
    tcase_add_test(tests, white_and_black_of_printers_are_so);
    tcase_add_test(tests, scans_times_samples_are_bounded_before_they_are_decoded);
    tcase_add_loop_test(tests, what_is_not_needed_is_not_decoded, 0, N_KINDS);
    tcase_add_test(tests, endless_segments_are_refused);
    tcase_add_loop_test(tests, a_deadline_ends_it_wherever_it_is, 0, N_KINDS);
    suite_add_tcase(suite, tests);
    return suite;
}
