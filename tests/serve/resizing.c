/* resizing.c - sizes, placements and cuts by the manifest; pixels beside those of Pillow and OpenCV (resized.py). */
#include "serve/resizing.h"

#include "base/err.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Suite *serve_resizing_suite(void);

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

static struct manifest_image described(int width, int height)
{
    return (struct manifest_image){.width = width,
                                   .height = height,
                                   .channels = CHANNELS_RGB,
                                   .min_width = 1,
                                   .max_width = 16384,
                                   .multiple_of = 1,
                                   .enlarge = true,
                                   .antialias = true,
                                   .filter = FILTER_BILINEAR,
                                   .fill = {114, 114, 114}};
}

/* --- sizes -------------------------------------------------------------------------------------------------------- */

#define LETTERBOX .resize = RESIZE_LETTERBOX, .enlarge = true
#define ANY .multiple_of = 1, .min_width = 1, .max_width = 16384

/* A picture, what the manifest says, and where it comes to lie in which frame. */
static const struct {
    int from[2];
    struct manifest_image image;
    int frame[2];
    int at[4]; /* left, top, width, height */
} framed[] = {
    {{768, 576}, {.width = 640, .height = 640, LETTERBOX}, {640, 640}, {0, 80, 640, 480}},
    {{768, 577}, {.width = 640, .height = 640, LETTERBOX}, {640, 640}, {0, 79, 640, 481}},
    /* 2.5 and 3.5 are ties */
    {{8, 5}, {.width = 4, .height = 4, LETTERBOX}, {4, 4}, {0, 1, 4, 2}},
    {{8, 7}, {.width = 4, .height = 4, LETTERBOX}, {4, 4}, {0, 0, 4, 4}},
    {{8, 7}, {.width = 4, .height = 4, LETTERBOX, .rounding = ROUNDING_FLOOR}, {4, 4}, {0, 0, 4, 3}},
    {{8, 5}, {.width = 4, .height = 4, LETTERBOX, .rounding = ROUNDING_CEIL}, {4, 4}, {0, 0, 4, 3}},
    {{9, 3}, {.width = 6, .height = 6, LETTERBOX, .placement = PLACEMENT_TOP_LEFT}, {6, 6}, {0, 0, 6, 2}},
    {{1000, 1}, {.width = 10, .height = 10, LETTERBOX}, {10, 10}, {0, 4, 10, 1}},
    {{3, 2}, {.width = 9, .height = 9, LETTERBOX}, {9, 9}, {0, 1, 9, 6}},
    {{3, 2}, {.width = 9, .height = 9, .resize = RESIZE_LETTERBOX}, {9, 9}, {3, 3, 3, 2}},
    {{30, 20}, {.width = 9, .height = 9, .resize = RESIZE_LETTERBOX}, {9, 9}, {0, 1, 9, 6}},
    {{33, 20}, {.multiple_of = 32}, {64, 32}, {0, 0, 64, 32}},
    {{64, 32}, {.multiple_of = 32}, {64, 32}, {0, 0, 64, 32}},
    {{33, 20},
     {.multiple_of = 32, .resize = RESIZE_LETTERBOX, .placement = PLACEMENT_TOP_LEFT},
     {64, 32},
     {0, 0, 33, 20}},
    {{33, 20}, {ANY}, {33, 20}, {0, 0, 33, 20}},
    {{100, 40}, {.height = 32, ANY, .rounding = ROUNDING_FLOOR}, {80, 32}, {0, 0, 80, 32}},
    {{101, 39}, {.height = 32, ANY, .rounding = ROUNDING_FLOOR}, {82, 32}, {0, 0, 82, 32}},
    {{101, 39}, {.height = 32, ANY, .rounding = ROUNDING_CEIL}, {83, 32}, {0, 0, 83, 32}},
    {{10, 40}, {.height = 32, .multiple_of = 1, .min_width = 32, .max_width = 99}, {32, 32}, {0, 0, 32, 32}},
    {{4000, 40}, {.height = 32, .multiple_of = 1, .min_width = 32, .max_width = 99}, {99, 32}, {0, 0, 99, 32}},
    {{101, 39}, {.height = 32, .multiple_of = 8, .min_width = 1, .max_width = 160}, {88, 32}, {0, 0, 88, 32}},
    {{50, 40},
     {.height = 32, .multiple_of = 1, .min_width = 100, .max_width = 160, LETTERBOX, .placement = PLACEMENT_TOP_LEFT},
     {100, 32},
     {0, 0, 40, 32}},
};

START_TEST(pictures_lie_where_the_manifest_puts_them)
{
    struct picture p = drawn(framed[_i].from[0], framed[_i].from[1], 1);
    struct resizing to;
    ck_assert(resizing_frame(&p, &framed[_i].image, 1 << 20, &to, NULL, &arena, &err));
    ck_assert_int_eq(to.width, framed[_i].frame[0]);
    ck_assert_int_eq(to.height, framed[_i].frame[1]);
    ck_assert_int_eq(to.left, framed[_i].at[0]);
    ck_assert_int_eq(to.top, framed[_i].at[1]);
    ck_assert_int_eq(to.picture.width, framed[_i].at[2]);
    ck_assert_int_eq(to.picture.height, framed[_i].at[3]);
    /* The corners of what lies in the frame show the corners of what was posted. */
    struct picture_box shown = resizing_shown(&to);
    double x = (shown.right - shown.left) / to.width, y = (shown.bottom - shown.top) / to.height;
    ck_assert_double_eq_tol(shown.left + to.left * x, 0, 1e-9);
    ck_assert_double_eq_tol(shown.top + to.top * y, 0, 1e-9);
    ck_assert_double_eq_tol(shown.left + (to.left + to.picture.width) * x, p.width, 1e-9);
    ck_assert_double_eq_tol(shown.top + (to.top + to.picture.height) * y, p.height, 1e-9);
    arena_free(&arena);
}
END_TEST

/* What is resized first, and which part of the posted picture is cut out. */
static const struct {
    int from[2], size[2], resize_size[2];
    enum manifest_rounding rounding;
    double shown[4];
} cuts[] = {
    {{512, 512}, {224, 224}, {0, 256}, ROUNDING_ROUND, {32, 32, 480, 480}},
    {{1024, 512}, {224, 224}, {0, 256}, ROUNDING_ROUND, {288, 32, 736, 480}},
    {{512, 1024}, {224, 224}, {0, 256}, ROUNDING_ROUND, {32, 288, 480, 736}},
    {{300, 200}, {100, 100}, {100, 200}, ROUNDING_ROUND, {75, 0, 225, 200}},
    {{20, 20}, {4, 4}, {0, 5}, ROUNDING_ROUND, {0, 0, 16, 16}}, /* 0.5 is a tie */
    {{28, 28}, {4, 4}, {0, 7}, ROUNDING_ROUND, {8, 8, 24, 24}}, /* 1.5 */
    {{28, 28}, {4, 4}, {0, 7}, ROUNDING_FLOOR, {4, 4, 20, 20}},
    {{28, 28}, {4, 4}, {0, 7}, ROUNDING_CEIL, {8, 8, 24, 24}},
    {{300, 200}, {200, 200}, {0, 0}, ROUNDING_ROUND, {50, 0, 250, 200}},
};

START_TEST(what_is_cut_out_is_the_middle)
{
    struct picture p = drawn(cuts[_i].from[0], cuts[_i].from[1], 3);
    struct manifest_image image = described(cuts[_i].size[0], cuts[_i].size[1]);
    struct resizing to;
    image.resize = RESIZE_CROP;
    image.rounding = cuts[_i].rounding;
    image.resize_width = cuts[_i].resize_size[1] == 200 ? 200 : 0;
    image.resize_height = image.resize_width ? 100 : cuts[_i].resize_size[1];
    ck_assert(resizing_frame(&p, &image, 1 << 20, &to, NULL, &arena, &err));
    ck_assert_int_eq(to.picture.width, image.width);
    ck_assert_int_eq(to.picture.height, image.height);
    struct picture_box shown = resizing_shown(&to);
    ck_assert_double_eq_tol(shown.left, cuts[_i].shown[0], 1e-9);
    ck_assert_double_eq_tol(shown.top, cuts[_i].shown[1], 1e-9);
    ck_assert_double_eq_tol(shown.right, cuts[_i].shown[2], 1e-9);
    ck_assert_double_eq_tol(shown.bottom, cuts[_i].shown[3], 1e-9);
    arena_free(&arena);
}
END_TEST

START_TEST(what_the_picture_decides_is_limited)
{
    struct picture p = drawn(600, 1, 1);
    struct manifest_image image = described(0, 0);
    struct resizing to;
    image.multiple_of = 100;
    ck_assert(!resizing_frame(&p, &image, 59999, &to, NULL, &arena, &err));
    ck_assert_str_eq(err_name(err.code), "TOO_LARGE");
    ck_assert_str_eq(err.text,
                     "the picture has 600x1 pixels, of which the network would get 600x100; at most 59999 are "
                     "accepted");
    ck_assert(resizing_frame(&p, &image, 60000, &to, NULL, &arena, &err));
    /* As wide as 65535 to 1 would be: nothing of what is not cut out is made. */
    image = described(4, 4);
    image.resize = RESIZE_CROP;
    image.resize_height = 16384;
    ck_assert(resizing_frame(&p, &image, 1, &to, NULL, &arena, &err));
    ck_assert_uint_lt(arena.used_bytes, 1 << 20);
    arena_free(&arena);
}
END_TEST

START_TEST(jpegs_may_be_smaller_only_where_the_manifest_says_so)
{
    struct manifest_image image = described(100, 50);
    ck_assert_uint_eq(resizing_enough(&image), 0);
    image.draft = true;
    ck_assert_uint_eq(resizing_enough(&image), 200);
    image.resize_height = 120;
    ck_assert_uint_eq(resizing_enough(&image), 240);
    image.ink_box = 20;
    ck_assert_uint_eq(resizing_enough(&image), 512);
    image.width = 0;
    ck_assert_uint_eq(resizing_enough(&image), 0);
}
END_TEST

/* --- pixels ------------------------------------------------------------------------------------------------------- */

START_TEST(few_pixels_become_what_opencv_makes_of_them)
{
    static const uint8_t four[] = {0, 100, 200, 255};
    static const struct {
        enum manifest_filter filter;
        int width;
        uint8_t levels[8];
    } cases[] = {{FILTER_BILINEAR, 8, {0, 25, 75, 125, 175, 214, 241, 255}},
                 {FILTER_BILINEAR, 2, {50, 228}},
                 {FILTER_BILINEAR, 3, {17, 150, 246}},
                 {FILTER_AREA, 2, {50, 228}},
                 {FILTER_AREA, 3, {25, 150, 241}}};
    struct picture p = {.width = 4, .height = 1, .channels = 1, .pixels = (uint8_t *)(uintptr_t)four}, row;
    p.shows = picture_whole(&p);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct manifest_image image = described(cases[i].width, 1);
        struct resizing to;
        image.filter = cases[i].filter;
        image.antialias = image.filter == FILTER_AREA;
        ck_assert(resizing_frame(&p, &image, 100, &to, NULL, &arena, &err));
        row = to.picture;
        for (int x = 0; x < row.width; x++)
            ck_assert_msg(abs(row.pixels[x] - cases[i].levels[x]) <= 1, "case %zu: pixel %d is %d", i, x,
                          row.pixels[x]);
    }
    arena_free(&arena);
}
END_TEST

/* Cases of resized.py, and the manifest that says the same. */
static const struct {
    const char *how;
    enum manifest_filter filter;
    bool antialias;
    enum manifest_resize resize;
    int tolerance;
} ways[] = {
    {"pillow:bilinear", FILTER_BILINEAR, true, RESIZE_STRETCH, 0},
    {"pillow:bicubic", FILTER_BICUBIC, true, RESIZE_STRETCH, 0},
    {"pillow:lanczos", FILTER_LANCZOS, true, RESIZE_STRETCH, 0},
    {"pillow:nearest", FILTER_NEAREST, true, RESIZE_STRETCH, 0},
    {"opencv:linear", FILTER_BILINEAR, false, RESIZE_STRETCH, 0},
    {"opencv:cubic", FILTER_BICUBIC, false, RESIZE_STRETCH, 1},
    {"opencv:area", FILTER_AREA, true, RESIZE_STRETCH, 1},
    {"ultralytics", FILTER_BILINEAR, false, RESIZE_LETTERBOX, 0},
    {"yolox", FILTER_BILINEAR, false, RESIZE_LETTERBOX, 0},
    {"torchvision", FILTER_BILINEAR, true, RESIZE_CROP, 0},
};

static const int shapes[][5] = {
    {97, 61, 3, 28, 28}, {13, 9, 3, 40, 50},  {300, 200, 3, 64, 64},   {64, 64, 3, 32, 32}, {50, 40, 3, 50, 20},
    {50, 40, 3, 25, 40}, {31, 77, 3, 77, 31}, {640, 3, 3, 224, 64},    {5, 200, 3, 300, 2}, {1, 1, 3, 7, 7},
    {2, 2, 3, 1, 1},     {9000, 3, 3, 2, 2},  {768, 576, 3, 416, 416},
};

#define N_WAYS (sizeof ways / sizeof *ways)
#define N_SHAPES (sizeof shapes / sizeof *shapes)

static struct manifest_image image_of(size_t way, const int *shape)
{
    struct manifest_image image = described(shape[3], shape[4]);
    image.filter = ways[way].filter;
    image.antialias = ways[way].antialias;
    image.resize = ways[way].resize;
    if (strcmp(ways[way].how, "yolox") == 0) {
        image.placement = PLACEMENT_TOP_LEFT;
        image.rounding = ROUNDING_FLOOR;
    }
    if (image.resize == RESIZE_CROP)
        image.resize_height = shape[4] * 8 / 7;
    return image;
}

/* Pipelines are compared where they work themselves: a side of 0, or a cut beyond the edge, is theirs to refuse. */
static bool is_compared(size_t way, const int *shape)
{
    if (ways[way].resize == RESIZE_CROP)
        return shape[3] == shape[4] && shape[4] >= 28;
    return ways[way].resize == RESIZE_STRETCH || (shape[0] > 8 && shape[0] < 1000);
}

static void compare(size_t way, const int *shape, const uint8_t *wanted)
{
    struct picture p = drawn(shape[0], shape[1], shape[2]);
    struct manifest_image image = image_of(way, shape);
    struct resizing to;
    ck_assert(resizing_frame(&p, &image, 1 << 20, &to, NULL, &arena, &err));
    for (int y = 0; y < to.height; y++)
        for (int x = 0; x < to.width; x++)
            for (int c = 0; c < 3; c++) {
                int px = x - to.left, py = y - to.top, got = 114, want = *wanted++;
                if (px >= 0 && py >= 0 && px < to.picture.width && py < to.picture.height)
                    got = to.picture.pixels[(py * to.picture.width + px) * 3 + c];
                ck_assert_msg(abs(got - want) <= ways[way].tolerance, "%s %dx%d -> %dx%d: %d,%d,%d is %d, not %d",
                              ways[way].how, shape[0], shape[1], shape[3], shape[4], x, y, c, got, want);
            }
    arena_free(&arena);
}

START_TEST(pixels_are_those_of_pillow_and_opencv)
{
    static char command[1 << 15];
    size_t used = (size_t)snprintf(command, sizeof command, "/usr/bin/python3 tests/serve/resized.py");
    for (size_t way = 0; way < N_WAYS; way++)
        for (size_t i = 0; i < N_SHAPES; i++)
            if (is_compared(way, shapes[i]))
                used += (size_t)snprintf(command + used, sizeof command - used, " '%d %d %d %s %d %d'", shapes[i][0],
                                         shapes[i][1], shapes[i][2], ways[way].how, shapes[i][3], shapes[i][4]);
    FILE *results = popen(command, "r");
    ck_assert_ptr_nonnull(results);
    bool present = true;
    static uint8_t wanted[512 * 512 * 3];
    for (size_t way = 0; way < N_WAYS && present; way++)
        for (size_t i = 0; i < N_SHAPES && present; i++) {
            size_t n = (size_t)(shapes[i][3] * shapes[i][4] * 3);
            if (!is_compared(way, shapes[i]))
                continue;
            present = fread(wanted, 1, n, results) == n;
            if (present)
                compare(way, shapes[i], wanted);
        }
    int status = pclose(results);
    if (!present && (WEXITSTATUS(status) == 77 || WEXITSTATUS(status) == 127))
        printf("skipped: /usr/bin/python3 with PIL, cv2 and numpy is absent\n");
    else
        ck_assert_int_eq(status, 0);
}
END_TEST

Suite *serve_resizing_suite(void)
{
    Suite *suite = suite_create("serve_resizing");
    TCase *tests = tcase_create("resizing");
    tcase_set_timeout(tests, 60); /* an interpreter starts */
    tcase_add_loop_test(tests, pictures_lie_where_the_manifest_puts_them, 0, (int)(sizeof framed / sizeof *framed));
    tcase_add_loop_test(tests, what_is_cut_out_is_the_middle, 0, (int)(sizeof cuts / sizeof *cuts));
    tcase_add_test(tests, what_the_picture_decides_is_limited);
    tcase_add_test(tests, jpegs_may_be_smaller_only_where_the_manifest_says_so);
    tcase_add_test(tests, few_pixels_become_what_opencv_makes_of_them);
    tcase_add_test(tests, pixels_are_those_of_pillow_and_opencv);
    suite_add_tcase(suite, tests);
    return suite;
}
