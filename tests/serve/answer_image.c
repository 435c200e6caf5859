/* answer_image.c - a network's numbers as a picture. */
#include "serve/answer_image.h"

#include "answering.h"
#include "base/base64.h"
#include "base/err.h"
#include "serve/codec_parts.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

Suite *serve_answer_image_suite(void);

static struct picture shown;
static struct arena arena;

static void end(void)
{
    answering_end();
    arena_free(&arena);
}

/* The first picture of a reply; false: there is none, the text says why. */
static bool show(const struct answering *asked, const char **text)
{
    struct percept_err err = {0};
    *text = answering(asked);
    const char *begin = strstr(*text, "\"b64\":\""), *stop = begin ? strchr(begin + 7, '"') : NULL;
    if (!stop)
        return false;
    size_t n;
    uint8_t *png = arena_alloc(&arena, BASE64_READ_MAX((size_t)(stop - begin)));
    ck_assert(base64_read(bytes_of(begin + 7, (size_t)(stop - begin - 7)), png, &n));
    const struct codec_picture source = {
        .body = bytes_of(png, n), .most_pixels = CODEC_MAX_PIXELS, .arena = &arena, .err = &err};
    ck_assert_msg(codec_png_decode(&source, &shown), "%s", err.text);
    return true;
}

#define IMAGE(fields) "{\"manifest\":1,\"task\":{\"kind\":\"image\"" fields "}}"

static const struct {
    const char *manifest;
    int rank;
    int64_t dims[4];
    float data[12];
    int width, height, channels;
    uint8_t pixels[12];
} made[] = {
    {IMAGE(",\"range\":[0,255]"), 4, {1, 3, 1, 2}, {0, 255, -5, 300, 1.4f, NAN}, 2, 1, 3, {0, 0, 1, 255, 255, 0}},
    {IMAGE(",\"range\":[0,255],\"channels\":\"bgr\""),
     4,
     {1, 3, 1, 2},
     {0, 255, 7, 8, 1, 2},
     2,
     1,
     3,
     {1, 7, 0, 2, 8, 255}},
    {IMAGE(",\"range\":[0,1],\"layout\":\"NHWC\""),
     4,
     {1, 1, 2, 3},
     {0, 1, 0.5f, 1, 0, 2},
     2,
     1,
     3,
     {0, 255, 128, 255, 0, 255}},
    {IMAGE(",\"range\":[-1,1]"), 4, {1, 1, 1, 3}, {-1, 0, 1}, 3, 1, 1, {0, 128, 255}},
    {IMAGE(",\"range\":[1,0]"), 3, {1, 1, 2}, {0, 1}, 2, 1, 1, {255, 0}},
};

START_TEST(numbers_become_levels)
{
    const char *text;
    struct answering_output output = {
        .name = "y", .dtype = PERCEPT_FLOAT, .rank = made[_i].rank, .data = made[_i].data};
    memcpy(output.dims, made[_i].dims, sizeof made[_i].dims);
    const struct answering asked = {
        .manifest = made[_i].manifest, .width = 2, .height = 2, .outputs = &output, .n_outputs = 1};
    ck_assert_msg(show(&asked, &text), "%s", text);
    ck_assert_int_eq(shown.width, made[_i].width);
    ck_assert_int_eq(shown.height, made[_i].height);
    ck_assert_int_eq(shown.channels, made[_i].channels);
    ck_assert_mem_eq(shown.pixels, made[_i].pixels, (size_t)(shown.width * shown.height * shown.channels));
}
END_TEST

/* A map of 4 x 2, whose middle shows a picture of 20 x 20. */
static const struct {
    const char *manifest;
    struct picture_view view;
    int width, height;
} sizes[] = {
    {IMAGE(",\"range\":[0,1]"), {0}, 4, 2},
    {IMAGE(",\"range\":[0,1],\"size\":\"picture\""), {0}, 4, 2},
    {IMAGE(",\"range\":[0,1]"), VIEW(20, 20, 40, 20, -10, 0, 30, 20), 2, 2},
    {IMAGE(",\"range\":[0,1],\"size\":\"picture\""), VIEW(20, 20, 40, 20, -10, 0, 30, 20), 20, 20},
    {IMAGE(",\"range\":[0,1],\"size\":\"picture\""), VIEW(100, 20, 40, 20, 30, 0, 70, 20), 40, 20},
};

START_TEST(a_letterbox_is_cut_off)
{
    static const float map[] = {0, 1, 1, 0, 0, 1, 1, 0};
    const char *text;
    const struct answering_output outputs[] = {{"y", PERCEPT_FLOAT, 4, {1, 1, 2, 4}, map}};
    const struct answering asked = {.manifest = sizes[_i].manifest,
                                    .width = 40,
                                    .height = 20,
                                    .view = sizes[_i].view,
                                    .outputs = outputs,
                                    .n_outputs = 1};
    ck_assert_msg(show(&asked, &text), "%s", text);
    ck_assert_int_eq(shown.width, sizes[_i].width);
    ck_assert_int_eq(shown.height, sizes[_i].height);
    char head[60];
    snprintf(head, sizeof head, "[{\"width\":%d,\"height\":%d,\"content_type\":\"image/png\"", shown.width,
             shown.height);
    ck_assert_ptr_eq(strstr(text, head), text);
}
END_TEST

/* The network's brightness, the posted picture's colours: red of JFIF is Y 76, Cb 85, Cr 255. */
START_TEST(colours_are_put_back)
{
    static const uint8_t cb[] = {85}, cr[] = {255};
    static const float map[] = {76 / 255.f, 76 / 255.f, 1, 0};
    const char *text;
    const struct answering_output outputs[] = {{"y", PERCEPT_FLOAT, 4, {1, 1, 1, 4}, map}};
    struct answering asked = {.manifest = IMAGE(",\"range\":[0,1]"),
                              .width = 1,
                              .height = 1,
                              .view = {1, 1, 1, 1, {0, 0, 1, 1}, cb, cr},
                              .outputs = outputs,
                              .n_outputs = 1};
    ck_assert_msg(show(&asked, &text), "%s", text);
    ck_assert(shown.width == 4 && shown.height == 1 && shown.channels == 3);
    static const uint8_t red[3] = {254, 0, 0};
    ck_assert_mem_eq(shown.pixels, red, 3);
    ck_assert_int_eq(shown.pixels[6], 255);
    ck_assert_int_eq(shown.pixels[9], 178);
}
END_TEST

START_TEST(what_is_no_picture_is_told)
{
    static const float map[12];
    const char *text;
    const struct answering_output outputs[] = {{"y", PERCEPT_FLOAT, 4, {1, 2, 1, 2}, map}};
    struct answering asked = {
        .manifest = IMAGE(",\"range\":[0,1]"), .width = 2, .height = 2, .outputs = outputs, .n_outputs = 1};
    ck_assert(!show(&asked, &text));
    ck_assert_ptr_nonnull(strstr(text, "no picture of 1 or 3 channels"));
    const struct answering_output flat[] = {{"y", PERCEPT_FLOAT, 2, {1, 12}, map}};
    asked.outputs = flat;
    ck_assert(!show(&asked, &text));
    ck_assert_str_eq(text, "");
}
END_TEST

Suite *serve_answer_image_suite(void)
{
    Suite *suite = suite_create("serve_answer_image");
    TCase *tests = tcase_create("answer_image");
    tcase_add_checked_fixture(tests, answering_begin, end);
    tcase_add_loop_test(tests, numbers_become_levels, 0, sizeof made / sizeof *made);
    tcase_add_loop_test(tests, a_letterbox_is_cut_off, 0, sizeof sizes / sizeof *sizes);
    tcase_add_test(tests, colours_are_put_back);
    tcase_add_test(tests, what_is_no_picture_is_told);
    suite_add_tcase(suite, tests);
    return suite;
}
