/* resample.c - planes made larger, smaller, and cut. */
#include "serve/resample.h"

#include <check.h>
#include <math.h>

Suite *serve_resample_suite(void);

#define VIEW(w, h, input_w, input_h, l, t, r, b)                                                                       \
    {                                                                                                                  \
        .width = (w), .height = (h), .input_width = (input_w), .input_height = (input_h), .shown = { l, t, r, b }      \
    }

static const float square[] = {0, 4, 8, 12}; /* 2 x 2 */

static void expect(const float *got, const float *wanted, int n)
{
    for (int i = 0; i < n; i++)
        ck_assert_msg(fabsf(got[i] - wanted[i]) < 1e-5f, "%d: %g instead of %g", i, (double)got[i], (double)wanted[i]);
}

START_TEST(the_same_size_is_the_same)
{
    float to[4];
    ck_assert(resample_plane(square, 2, 2, (struct picture_box){0, 0, 2, 2}, 2, 2, to, NULL));
    expect(to, square, 4);
}
END_TEST

/* ONNX Resize, linear, half_pixel. */
START_TEST(twice_as_wide_lies_between)
{
    float to[8];
    ck_assert(resample_plane(square, 2, 2, (struct picture_box){0, 0, 2, 2}, 4, 2, to, NULL));
    expect(to, (const float[]){0, 1, 3, 4, 8, 9, 11, 12}, 8);
}
END_TEST

START_TEST(a_part_is_cut_and_edges_are_repeated)
{
    float to[4];
    ck_assert(resample_plane(square, 2, 2, (struct picture_box){1, 0, 2, 1}, 1, 1, to, NULL));
    expect(to, (const float[]){4}, 1);
    ck_assert(resample_plane(square, 2, 2, (struct picture_box){-4, -4, 0, 0}, 2, 2, to, NULL));
    expect(to, (const float[]){0, 0, 0, 0}, 4);
}
END_TEST

START_TEST(a_watch_that_is_over_stops_it)
{
    float to[4];
    int raised = 1;
    struct watch watch = {.cancel = &raised};
    ck_assert(!resample_plane(square, 2, 2, (struct picture_box){0, 0, 2, 2}, 2, 2, to, &watch));
}
END_TEST

static const struct {
    struct picture_view view;
    struct picture_box box; /* in a map of 20 x 10 */
} views[] = {
    {{0}, {0, 0, 20, 10}},
    {VIEW(80, 20, 40, 20, 0, 0, 80, 20), {0, 0, 20, 10}},   /* stretched */
    {VIEW(20, 20, 40, 20, -10, 0, 30, 20), {5, 0, 15, 10}}, /* a letterbox */
    {VIEW(100, 20, 40, 20, 30, 0, 70, 20), {0, 0, 20, 10}}, /* the middle was cut out */
    {VIEW(20, 20, 40, 20, -5, 0, -5, 20), {0, 0, 20, 10}},  /* nothing was shown */
    {VIEW(20, 20, 40, 20, 0, -5, 20, -5), {0, 0, 20, 10}},
};

START_TEST(the_picture_is_found_in_the_map)
{
    const struct picture_box box = resample_shown(&views[_i].view, 20, 10), *wanted = &views[_i].box;
    ck_assert(box.left == wanted->left && box.top == wanted->top);
    ck_assert(box.right == wanted->right && box.bottom == wanted->bottom);
}
END_TEST

Suite *serve_resample_suite(void)
{
    Suite *suite = suite_create("serve_resample");
    TCase *tests = tcase_create("resample");
    tcase_add_test(tests, the_same_size_is_the_same);
    tcase_add_test(tests, twice_as_wide_lies_between);
    tcase_add_test(tests, a_part_is_cut_and_edges_are_repeated);
    tcase_add_test(tests, a_watch_that_is_over_stops_it);
    tcase_add_loop_test(tests, the_picture_is_found_in_the_map, 0, sizeof views / sizeof *views);
    suite_add_tcase(suite, tests);
    return suite;
}
