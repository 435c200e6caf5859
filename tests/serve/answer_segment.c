/* answer_segment.c - maps of classes and of what is cut out. */
#include "serve/answer_segment.h"

#include "answering.h"
#include "base/base64.h"
#include "base/err.h"
#include "serve/codec_parts.h"

#include <check.h>
#include <math.h>
#include <string.h>

Suite *serve_answer_segment_suite(void);

static struct arena arena;

static void end(void)
{
    answering_end();
    arena_free(&arena);
}

#define SEGMENT(fields) "{\"manifest\":1,\"labels\":[\"a\",\"b\"],\"task\":{\"kind\":\"segment\"" fields "}}"
#define ALPHA(fields) "{\"manifest\":1,\"labels\":[\"a\"],\"task\":{\"kind\":\"segment\"" fields "}}"

static const float two[] = {1, 0, 0, 1, 0, 1, NAN, 0};  /* [2, 2, 2] */
static const float rows[] = {1, 0, 0, 1, 0, NAN, 1, 0}; /* [2, 2, 2], channels last */
static const float alpha[] = {0, 1, 0.25f, 2};
static const float logits[] = {-20, 20, 0, NAN};
static const int64_t classes[] = {0, 1, 1, 300};

static const struct {
    const char *manifest;
    struct answering_output output;
    struct picture_view view;
    const char *begins; /* of the reply */
    int width, height;
    uint8_t map[4];
} maps[] = {
    {SEGMENT(""),
     {"y", PERCEPT_FLOAT, 4, {1, 2, 2, 2}, two},
     {0},
     "[{\"classes\":[{\"label\":\"a\",\"index\":0,\"share\":0.75},{\"label\":\"b\",\"index\":1,\"share\":0.25}],",
     2,
     2,
     {0, 1, 0, 0}},
    {SEGMENT(",\"layout\":\"NHWC\""),
     {"y", PERCEPT_FLOAT, 4, {1, 2, 2, 2}, rows},
     {0},
     "[{\"classes\":[{",
     2,
     2,
     {0, 1, 0, 0}},
    {ALPHA(",\"class_offset\":1"),
     {"y", PERCEPT_FLOAT, 4, {1, 2, 2, 2}, two},
     {0},
     "[{\"classes\":[{\"label\":\"a\",\"index\":0,\"share\":0.25}],",
     2,
     2,
     {0, 1, 0, 0}},
    {ALPHA(""),
     {"y", PERCEPT_FLOAT, 4, {1, 1, 2, 2}, alpha},
     {0},
     "[{\"classes\":[{\"label\":\"a\",\"index\":0,\"share\":0.5}],",
     2,
     2,
     {0, 255, 64, 255}},
    {ALPHA(",\"threshold\":0"), /* above it, not at it */
     {"y", PERCEPT_FLOAT, 4, {1, 1, 2, 2}, alpha},
     {0},
     "[{\"classes\":[{\"label\":\"a\",\"index\":0,\"share\":0.75}],",
     2,
     2,
     {0, 255, 64, 255}},
    {ALPHA(",\"activation\":\"sigmoid\",\"threshold\":0.4"),
     {"y", PERCEPT_FLOAT, 3, {1, 2, 2}, logits},
     {0},
     "[{\"classes\":[{\"label\":\"a\",\"index\":0,\"share\":0.5}],",
     2,
     2,
     {0, 255, 128, 0}},
    {SEGMENT(""),
     {"y", PERCEPT_INT64, 3, {1, 2, 2}, classes},
     {0},
     "[{\"classes\":[{\"label\":\"a\",\"index\":0,\"share\":0.5},{\"label\":\"b\",\"index\":1,\"share\":0.5}],",
     2,
     2,
     {0, 1, 1, 0}},
    /* the right half of the input shows a picture of one pixel */
    {SEGMENT(""),
     {"y", PERCEPT_INT64, 3, {1, 2, 2}, classes},
     VIEW(1, 2, 2, 2, -1, 0, 1, 2),
     "[{\"classes\":[{",
     1,
     2,
     {1, 0}},
};

START_TEST(each_pixel_has_its_class)
{
    struct percept_err err = {0};
    const struct answering asked = {.manifest = maps[_i].manifest,
                                    .width = 2,
                                    .height = 2,
                                    .view = maps[_i].view,
                                    .outputs = &maps[_i].output,
                                    .n_outputs = 1};
    const char *told = answering(&asked);
    ck_assert_msg(strncmp(told, maps[_i].begins, strlen(maps[_i].begins)) == 0, "%s", told);
    const char *begin = strstr(told, "\"b64\":\"") + 7, *stop = strchr(begin, '"');
    size_t n;
    uint8_t *png = arena_alloc(&arena, BASE64_READ_MAX((size_t)(stop - begin)));
    struct picture map;
    ck_assert(base64_read(bytes_of(begin, (size_t)(stop - begin)), png, &n));
    const struct codec_picture source = {
        .body = bytes_of(png, n), .most_pixels = CODEC_MAX_PIXELS, .arena = &arena, .err = &err};
    ck_assert_msg(codec_png_decode(&source, &map), "%s", err.text);
    ck_assert(map.width == maps[_i].width && map.height == maps[_i].height && map.channels == 1);
    ck_assert_mem_eq(map.pixels, maps[_i].map, (size_t)(map.width * map.height));
}
END_TEST

START_TEST(what_is_no_map_is_told)
{
    const struct answering_output outputs[] = {{"y", PERCEPT_INT64, 4, {1, 2, 1, 2}, classes}};
    const struct answering asked = {
        .manifest = SEGMENT(""), .width = 2, .height = 2, .outputs = outputs, .n_outputs = 1};
    ck_assert_ptr_nonnull(strstr(answering(&asked), "no map of up to 256 classes"));
}
END_TEST

Suite *serve_answer_segment_suite(void)
{
    Suite *suite = suite_create("serve_answer_segment");
    TCase *tests = tcase_create("answer_segment");
    tcase_add_checked_fixture(tests, answering_begin, end);
    tcase_add_loop_test(tests, each_pixel_has_its_class, 0, sizeof maps / sizeof *maps);
    tcase_add_test(tests, what_is_no_map_is_told);
    suite_add_tcase(suite, tests);
    return suite;
}
