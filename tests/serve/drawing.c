/* drawing.c - what was found, drawn on the posted picture and as SVG. */
#include "serve/drawing.h"

#include "answering.h"
#include "base/err.h"
#include "serve/canvas.h"
#include "serve/codec_parts.h"
#include "serve/encoder_png.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

Suite *serve_drawing_suite(void);

#define MANIFEST                                                                                                       \
    "{\"manifest\":1,\"labels\":[\"a<&\\\"b\"],\"inputs\":{\"x\":{\"kind\":\"image\",\"size\":[100,200],\"channels\":" \
    "\"rgb\"}},\"task\":{\"kind\":\"detect\",\"decoder\":\"rows\"}}"

static struct arena arena;
static struct percept_err err;

static void end(void)
{
    answering_end();
    arena_free(&arena);
    err = (struct percept_err){0};
}

/* A gray picture of 200 x 100 as PNG. */
static struct bytes posted(void)
{
    struct picture picture;
    struct writer w = {.arena = &arena};
    ck_assert(picture_new(&picture, 200, 100, 1, &arena, &err));
    memset(picture.pixels, 100, 200 * 100);
    ck_assert(encoder_png_write(&w, &picture, &err));
    return bytes_of(w.at, w.used);
}

static const float rows[] = {50, 40, 150, 90, 0.875f, 0};
static const struct answering_output outputs[] = {{"y", PERCEPT_FLOAT, 3, {1, 1, 6}, rows}};
static const struct picture_view view = VIEW(200, 100, 200, 100, 0, 0, 200, 100);

START_TEST(boxes_are_drawn_on_the_posted_picture)
{
    const char *media_type;
    struct picture drawn;
    const struct answering asked = {.manifest = MANIFEST,
                                    .width = 200,
                                    .height = 100,
                                    .view = view,
                                    .body = posted(),
                                    .outputs = outputs,
                                    .n_outputs = 1};
    const char *png = answering_as(&asked, "image/png", &media_type);
    ck_assert_msg(strcmp(media_type, "image/png") == 0, "%s", png);
    const struct codec_picture source = {
        .body = bytes_of(png, answering_bytes()), .most_pixels = CODEC_MAX_PIXELS, .arena = &arena, .err = &err};
    ck_assert_msg(codec_png_decode(&source, &drawn), "%s", err.text);
    ck_assert(drawn.width == 200 && drawn.height == 100 && drawn.channels == 3);
    static const uint8_t plain[3] = {100, 100, 100};
    ck_assert_mem_eq(drawn.pixels + (size_t)(95 * 200 + 10) * 3, plain, 3);            /* outside */
    ck_assert_mem_eq(drawn.pixels + (size_t)(65 * 200 + 100) * 3, plain, 3);           /* within */
    ck_assert_int_ne(memcmp(drawn.pixels + (size_t)(65 * 200 + 50) * 3, plain, 3), 0); /* the left edge */
    ck_assert_int_ne(memcmp(drawn.pixels + (size_t)(34 * 200 + 60) * 3, plain, 3), 0); /* the name */
}
END_TEST

START_TEST(an_svg_has_the_overlay_alone)
{
    const char *media_type;
    const struct answering asked = {.manifest = MANIFEST,
                                    .width = 200,
                                    .height = 100,
                                    .view = view,
                                    .body = posted(),
                                    .outputs = outputs,
                                    .n_outputs = 1};
    const char *svg = answering_as(&asked, "image/svg+xml", &media_type);
    ck_assert_str_eq(media_type, "image/svg+xml");
    ck_assert_ptr_eq(strstr(svg, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"200\" height=\"100\""), svg);
    ck_assert_ptr_nonnull(strstr(svg, "points=\"50.00,40.00 150.00,40.00 150.00,90.00 50.00,90.00\""));
    ck_assert_ptr_nonnull(strstr(svg, ">a&lt;&amp;&quot;b 0.88</text>"));
    ck_assert_ptr_nonnull(strstr(svg, "</svg>\n"));
}
END_TEST

/* The right half is what is cut out. */
START_TEST(what_is_cut_out_is_tinted)
{
    static const float map[] = {0, 0, 1, 1};
    const char *media_type;
    struct picture drawn;
    const struct answering_output alpha[] = {{"y", PERCEPT_FLOAT, 4, {1, 1, 1, 4}, map}};
    const struct answering asked = {.manifest = "{\"manifest\":1,\"labels\":[\"man\"],\"task\":{\"kind\":\"segment\"}}",
                                    .width = 200,
                                    .height = 100,
                                    .view = view,
                                    .body = posted(),
                                    .outputs = alpha,
                                    .n_outputs = 1};
    const char *png = answering_as(&asked, "image/png", &media_type);
    ck_assert_msg(strcmp(media_type, "image/png") == 0, "%s", png);
    const struct codec_picture source = {
        .body = bytes_of(png, answering_bytes()), .most_pixels = CODEC_MAX_PIXELS, .arena = &arena, .err = &err};
    ck_assert_msg(codec_png_decode(&source, &drawn), "%s", err.text);
    static const uint8_t plain[3] = {100, 100, 100};
    ck_assert_mem_eq(drawn.pixels + (size_t)(80 * 200 + 20) * 3, plain, 3);
    ck_assert_int_ne(memcmp(drawn.pixels + (size_t)(80 * 200 + 180) * 3, plain, 3), 0);
    ck_assert_int_ne(memcmp(drawn.pixels + (size_t)(1 * 200 + 1) * 3, plain, 3), 0); /* the name */
}
END_TEST

/* A square of class 1 with a hole, and beside it class 2; class 0 is the background. */
START_TEST(classes_are_paths)
{
    static const int64_t map[4][6] = {{1, 1, 1, 0, 2, 2}, {1, 0, 1, 0, 2, 2}, {1, 1, 1, 0, 0, 0}};
    const char *media_type;
    const struct answering_output classes[] = {{"y", PERCEPT_INT64, 3, {1, 4, 6}, map}};
    const struct answering asked = {.manifest = "{\"manifest\":1,\"labels\":[\"a<b\",\"c\"],\"task\":{\"kind\":"
                                                "\"segment\",\"class_offset\":1}}",
                                    .width = 6,
                                    .height = 4,
                                    .view = VIEW(6, 4, 6, 4, 0, 0, 6, 4),
                                    .body = posted(),
                                    .outputs = classes,
                                    .n_outputs = 1};
    const char *svg = answering_as(&asked, "image/svg+xml", &media_type);
    ck_assert_msg(strcmp(media_type, "image/svg+xml") == 0, "%s", svg);
    ck_assert_msg(strstr(svg, "viewBox=\"0 0 6 4\">") && strstr(svg, "d=\"M3 0L3 3L0 3L0 0ZM2 2L2 1L1 1L1 2Z\"/>") &&
                      strstr(svg, "d=\"M6 0L6 2L4 2L4 0Z\"/>") && strstr(svg, ">a&lt;b 0.33</text>") &&
                      strstr(svg, ">c 0.17</text>\n</svg>\n"),
                  "%s", svg);
    ck_assert_str_eq(answering_as(&asked, "text/csv", &media_type),
                     "item,label,index,pixels,share\r\n0,a<b,0,8,0.33333334\r\n0,c,1,4,0.16666667\r\n");
    ck_assert_str_eq(answering_as(&asked, "text/plain", &media_type), "a<b 0.33333334\nc 0.16666667\n");
}
END_TEST

START_TEST(what_is_cut_out_is_a_path)
{
    static const float map[] = {0, 0.25f, 0.75f, 1};
    const char *media_type;
    const struct answering_output alpha[] = {{"y", PERCEPT_FLOAT, 4, {1, 1, 1, 4}, map}};
    const struct answering asked = {.manifest = "{\"manifest\":1,\"labels\":[\"man\"],\"task\":{\"kind\":\"segment\"}}",
                                    .width = 4,
                                    .height = 1,
                                    .view = VIEW(4, 1, 4, 1, 0, 0, 4, 1),
                                    .body = posted(),
                                    .outputs = alpha,
                                    .n_outputs = 1};
    const char *svg = answering_as(&asked, "image/svg+xml", &media_type);
    ck_assert_msg(strstr(svg, "d=\"M4 0L4 1L2 1L2 0Z\"/>") && strstr(svg, ">man 0.50</text>"), "%s", svg);
}
END_TEST

#define MASKED                                                                                                         \
    "{\"manifest\":1,\"inputs\":{\"x\":{\"kind\":\"image\",\"size\":[100,200],\"channels\":\"rgb\"}},"                 \
    "\"task\":{\"kind\":\"detect\",\"decoder\":\"rows\",\"output\":\"y\",\"prototypes\":\"p\"}}"

/* The left of two prototypes: columns 0 to 99 of the picture, within a box from 0 to 200. */
static const float masked_rows[] = {0, 0, 200, 90, 0.875f, 0, 100}, prototypes[] = {1, -1};
static const struct answering_output masked[] = {{"y", PERCEPT_FLOAT, 3, {1, 1, 7}, masked_rows},
                                                 {"p", PERCEPT_FLOAT, 4, {1, 1, 1, 2}, prototypes}};

START_TEST(masks_are_drawn)
{
    const char *media_type;
    struct picture drawn;
    struct answering asked = {.manifest = MASKED,
                              .width = 200,
                              .height = 100,
                              .view = view,
                              .body = posted(),
                              .outputs = masked,
                              .n_outputs = 2};
    const char *png = answering_as(&asked, "image/png", &media_type);
    ck_assert_msg(strcmp(media_type, "image/png") == 0, "%s", png);
    const struct codec_picture source = {
        .body = bytes_of(png, answering_bytes()), .most_pixels = CODEC_MAX_PIXELS, .arena = &arena, .err = &err};
    ck_assert_msg(codec_png_decode(&source, &drawn), "%s", err.text);
    static const uint8_t plain[3] = {100, 100, 100};
    const struct colour colour = canvas_colour(0);
    uint8_t half[3] = {100, 100, 100};
    canvas_blend(half, colour, 0.5f);
    ck_assert_mem_eq(drawn.pixels + (size_t)(70 * 200 + 60) * 3, half, 3);
    ck_assert_mem_eq(drawn.pixels + (size_t)(70 * 200 + 99) * 3, half, 3);
    ck_assert_mem_eq(drawn.pixels + (size_t)(70 * 200 + 100) * 3, plain, 3);
    asked.body = posted();
    const char *svg = answering_as(&asked, "image/svg+xml", &media_type);
    ck_assert_msg(strstr(svg, "fill-opacity=\"0.5\" fill-rule=\"evenodd\" stroke=\"none\" "
                              "d=\"M100 0L100 100L0 100L0 0Z\"/>\n"),
                  "%s", svg);
}
END_TEST

START_TEST(tensors_have_no_picture)
{
    const char *media_type;
    const struct answering asked = {
        .manifest = MANIFEST, .width = 200, .height = 100, .outputs = outputs, .n_outputs = 1};
    ck_assert_ptr_nonnull(
        strstr(answering_as(&asked, "image/png", &media_type), "the reply to this request cannot be"));
    ck_assert_str_eq(media_type, "");
}
END_TEST

Suite *serve_drawing_suite(void)
{
    Suite *suite = suite_create("serve_drawing");
    TCase *tests = tcase_create("drawing");
    tcase_add_checked_fixture(tests, answering_begin, end);
    tcase_add_test(tests, boxes_are_drawn_on_the_posted_picture);
    tcase_add_test(tests, an_svg_has_the_overlay_alone);
    tcase_add_test(tests, what_is_cut_out_is_tinted);
    tcase_add_test(tests, masks_are_drawn);
    tcase_add_test(tests, classes_are_paths);
    tcase_add_test(tests, what_is_cut_out_is_a_path);
    tcase_add_test(tests, tensors_have_no_picture);
    suite_add_tcase(suite, tests);
    return suite;
}
