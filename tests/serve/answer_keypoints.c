/* answer_keypoints.c - points of maps, lists and rows, told and drawn. */
#include "serve/answer_keypoints.h"

#include "answering.h"
#include "base/err.h"
#include "serve/codec_parts.h"
#include "serve/encoder_png.h"

#include <check.h>
#include <math.h>

Suite *serve_answer_keypoints_suite(void);

#define TASK(more) "{\"manifest\":1,\"task\":{\"kind\":\"keypoints\"" more "}}"
#define NO NAN

/* Two maps of 4 rows: one with a peak between others, one at the edge; the same with the points last; one without a
 * number; a flat one. */
static const float maps[] = {
    0, 0, 0,    0, 0, 0, 0, 0,    0.75f, 0.5f, 0, 0, 0, 0, 0.25f, 0, 0, 0, 0, 0, 0, 0, 0, 0,    //
    0, 0, 0.5f, 0, 0, 0, 0, 0.5f, 0,     0.5f, 0, 0, 0, 0, 0,     0, 0, 0, 0, 0, 0, 0, 0, 0.5f, //
};
static const float last[] = {0, 0, 0, 0, 0, 0, 0, 1, 0.5f, 0, 0, 0.25f, 0, 0, 0, 0, 0, 0.5f};
static const float none[] = {NO, NO, -INFINITY, INFINITY};
static const float flat[] = {2, 2, 2, 2, 2, 2, 2, 2, 2};
static const float list[] = {0.5f, 0.25f, 0.75f, 1, 1, 0.25f}, rows[] = {6, 10, 30, 20, NO, 1};

static const struct {
    const char *manifest;
    int rank;
    int64_t dims[4];
    const float *at;
    struct picture_view view;
    const char *told;
} points[] = {
    {TASK(""), 4, {1, 2, 4, 6}, maps, {0}, "[[{\"score\":0.625,\"points\":[[22.5,12.5,0.75],[20.0,0.0,0.5]]}]]"},
    /* a letterbox: the network saw 10 rows more above and below */
    {TASK(""),
     4,
     {1, 1, 4, 6},
     maps,
     VIEW(60, 20, 60, 40, 0, -10, 60, 30),
     "[[{\"score\":0.75,\"points\":[[22.5,2.5,0.75]]}]]"},
    {TASK(",\"layout\":\"NHWC\""),
     4,
     {1, 3, 3, 2},
     last,
     {0},
     "[[{\"score\":0.75,\"points\":[[20.0,13.33,0.5],[0.0,13.33,1.0]]}]]"},
    {TASK(",\"activation\":\"sigmoid\""),
     4,
     {1, 1, 3, 3},
     flat,
     {0},
     "[[{\"score\":0.880797,\"points\":[[0.0,0.0,0.880797]]}]]"},
    {TASK(""), 4, {1, 1, 2, 2}, none, {0}, "[[{\"score\":0.0,\"points\":[[0.0,0.0,0.0]]}]]"},
    {TASK(""), 4, {1, 0, 2, 2}, none, {0}, "[[{\"score\":0.0,\"points\":[]}]]"},
    {TASK(",\"units\":\"relative\""),
     3,
     {1, 2, 3},
     list,
     {0},
     "[[{\"score\":0.5,\"points\":[[30.0,10.0,0.75],[60.0,40.0,0.25]]}]]"},
    {TASK(",\"kpt_shape\":[3,2]"),
     2,
     {1, 6},
     rows,
     {0},
     "[[{\"score\":1.0,\"points\":[[6.0,10.0],[30.0,20.0],[0.0,0.0]]}]]"},
    {TASK(",\"units\":\"picture\",\"kpt_shape\":[2,2]"),
     2,
     {1, 4},
     rows,
     VIEW(600, 400, 60, 40, 0, 0, 600, 400),
     "[[{\"score\":1.0,\"points\":[[6.0,10.0],[30.0,20.0]]}]]"},
    {TASK(",\"kpt_shape\":[2,2]"),
     2,
     {1, 4},
     rows,
     VIEW(600, 400, 60, 40, 0, 0, 600, 400),
     "[[{\"score\":1.0,\"points\":[[60.0,100.0],[300.0,200.0]]}]]"},
    {TASK(",\"kpt_shape\":[2,2]"), 2, {2, 4}, rows, {0}, NULL},
    {TASK(""), 3, {1, 1, 4}, rows, {0}, "the output with the keypoints has other dimensions than they have"},
    {TASK(",\"kpt_shape\":[2,2]"),
     2,
     {1, 5},
     rows,
     {0},
     "the output with the keypoints has other dimensions than they have"},
};

START_TEST(points_are_told_in_the_pictures_pixels)
{
    struct answering_output output = {
        .name = "y", .dtype = PERCEPT_FLOAT, .rank = points[_i].rank, .data = points[_i].at};
    memcpy(output.dims, points[_i].dims, sizeof points[_i].dims);
    static const float two[] = {1, 2, 3, 4, 5, 6, 7, 8};
    if (!points[_i].told)
        output.data = two;
    const struct answering asked = {.manifest = points[_i].manifest,
                                    .width = 60,
                                    .height = 40,
                                    .view = points[_i].view,
                                    .n_items = points[_i].told ? 1 : 2,
                                    .outputs = &output,
                                    .n_outputs = 1};
    ck_assert_str_eq(answering(&asked), points[_i].told ? points[_i].told
                                                        : "[[{\"score\":1.0,\"points\":[[1.0,2.0],[3.0,4.0]]}],"
                                                          "[{\"score\":1.0,\"points\":[[5.0,6.0],[7.0,8.0]]}]]");
}
END_TEST

#define DESCRIBED                                                                                                      \
    "{\"manifest\":1,\"labels\":[\"nose\",\"tail\"],\"inputs\":{\"x\":{\"kind\":\"image\",\"size\":[40,60],"           \
    "\"channels\":\"rgb\"}},\"task\":{\"kind\":\"keypoints\",\"threshold\":0.6}}"

static const struct {
    const char *accept, *told;
} forms[] = {
    {"text/csv", "item,label,index,x,y,score\r\n0,nose,0,22.5,12.5,0.75\r\n0,tail,1,20.0,0.0,0.5\r\n"},
    {"text/plain", "nose 22.5 12.5 0.75\ntail 20.0 0.0 0.5\n"},
    {"image/svg+xml", "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"60\" height=\"40\" viewBox=\"0 0 60 40\">\n"
                      "<g stroke=\"#000000\" fill=\"#ffd400\" stroke-width=\"0.50\">\n"
                      "<circle cx=\"22.50\" cy=\"12.50\" r=\"2\"/>\n</g>\n</svg>\n"},
};

static const struct answering_output two_maps[] = {{"y", PERCEPT_FLOAT, 4, {1, 2, 4, 6}, maps}};

START_TEST(points_have_other_forms)
{
    const char *type;
    const struct answering asked = {.manifest = DESCRIBED,
                                    .width = 60,
                                    .height = 40,
                                    .view = VIEW(60, 40, 60, 40, 0, 0, 60, 40),
                                    .outputs = two_maps,
                                    .n_outputs = 1};
    ck_assert_str_eq(answering_as(&asked, forms[_i].accept, &type), forms[_i].told);
    ck_assert_str_eq(type, forms[_i].accept);
}
END_TEST

/* The one that is sure is drawn, and nothing else is. */
START_TEST(points_are_drawn_on_the_posted_picture)
{
    struct arena arena = {0};
    struct percept_err err = {0};
    struct picture picture;
    struct writer w = {.arena = &arena};
    ck_assert(picture_new(&picture, 60, 40, 1, &arena, &err));
    memset(picture.pixels, 100, 60 * 40);
    ck_assert(encoder_png_write(&w, &picture, &err));
    const char *type;
    const struct answering asked = {.manifest = DESCRIBED,
                                    .width = 60,
                                    .height = 40,
                                    .view = VIEW(60, 40, 60, 40, 0, 0, 60, 40),
                                    .body = bytes_of(w.at, w.used),
                                    .outputs = two_maps,
                                    .n_outputs = 1};
    const char *png = answering_as(&asked, "image/png", &type);
    const struct codec_picture source = {
        .body = bytes_of(png, answering_bytes()), .most_pixels = 10000, .arena = &arena, .err = &err};
    ck_assert_msg(codec_png_decode(&source, &picture), "%s", err.text);
    for (int y = 0; y < 40; y++)
        for (int x = 0; x < 60; x++) {
            const uint8_t *pixel = picture.pixels + (y * 60 + x) * 3;
            const bool near = hypot(x + 0.5 - 22.5, y + 0.5 - 12.5) < 6;
            ck_assert_msg(near || (pixel[0] == 100 && pixel[1] == 100), "%d, %d is drawn on", x, y);
        }
    ck_assert_int_gt(picture.pixels[(12 * 60 + 22) * 3], 200);
    arena_free(&arena);
}
END_TEST

#define N(table) (int)(sizeof table / sizeof *table)

Suite *serve_answer_keypoints_suite(void)
{
    Suite *suite = suite_create("serve_answer_keypoints");
    TCase *tests = tcase_create("answer_keypoints");
    tcase_add_checked_fixture(tests, answering_begin, answering_end);
    tcase_add_loop_test(tests, points_are_told_in_the_pictures_pixels, 0, N(points));
    tcase_add_loop_test(tests, points_have_other_forms, 0, N(forms));
    tcase_add_test(tests, points_are_drawn_on_the_posted_picture);
    suite_add_tcase(suite, tests);
    return suite;
}
