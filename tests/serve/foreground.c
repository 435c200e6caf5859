/* foreground.c - a drawn seven, photographed badly, becomes one as networks know it. */
#include "serve/picture.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

Suite *serve_foreground_suite(void);

static struct arena arena;
static struct percept_err err;

static const struct manifest_image mnist = {
    .width = 28, .height = 28, .channels = CHANNELS_GRAY, .ink = INK_LIGHT, .ink_box = 20};

static double distance(double x, double y, double x0, double y0, double x1, double y1)
{
    double dx = x1 - x0, dy = y1 - y0;
    double t = ((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy);
    t = t < 0 ? 0 : t > 1 ? 1 : t;
    return hypot(x - x0 - t * dx, y - y0 - t * dy);
}

/* A dark seven on light paper: a shadow to the right, noise, specks of dirt. */
static struct picture seven(int width, int height, double thick, double shadow, int noise)
{
    struct picture p;
    ck_assert(picture_new(&p, width, height, 1, &arena, &err));
    uint32_t random = 1;
    double w = width, h = height;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            double d = fmin(distance(x, y, 0.25 * w, 0.25 * h, 0.7 * w, 0.25 * h),
                            distance(x, y, 0.7 * w, 0.25 * h, 0.45 * w, 0.8 * h));
            random = random * 1664525u + 1013904223u;
            double level = 230 - shadow * x / w + (int)(random >> 24) % (noise + 1) - noise / 2.0;
            if (d < thick)
                level -= 120;
            if (hypot(x - 0.1 * w, y - 0.9 * h) < 2)
                level = 20;
            p.pixels[y * width + x] = (uint8_t)(level < 0 ? 0 : level > 255 ? 255 : level);
        }
    return p;
}

static double sum(const struct picture *p, int left, int top, int right, int bottom)
{
    double all = 0;
    for (int y = top; y < bottom; y++)
        for (int x = left; x < right; x++)
            all += p->pixels[y * p->width + x];
    return all;
}

static void expect_seven(const struct picture *p)
{
    ck_assert_int_eq(p->width, 28);
    ck_assert_int_eq(p->height, 28);
    double all = sum(p, 0, 0, 28, 28), x_mass = 0, y_mass = 0;
    for (int y = 0; y < 28; y++)
        for (int x = 0; x < 28; x++) {
            x_mass += (x + 0.5) * p->pixels[y * 28 + x];
            y_mass += (y + 0.5) * p->pixels[y * 28 + x];
        }
    ck_assert_msg(all > 40 * 255 && all < 250 * 255, "the ink is %g pixels", all / 255);
    ck_assert_msg(fabs(x_mass / all - 14) < 1 && fabs(y_mass / all - 14) < 1, "mass at %g, %g", x_mass / all,
                  y_mass / all);
    ck_assert_msg(sum(p, 0, 0, 28, 3) + sum(p, 0, 0, 3, 28) + sum(p, 25, 0, 28, 28) < all / 100,
                  "there is ink in the margin");
    /* The bar at the top, the stroke below, nothing at the left of it. */
    int top = 0;
    while (top < 28 && sum(p, 0, top, 28, top + 1) < 255)
        top++;
    double bar = sum(p, 0, top, 28, top + 5), foot = sum(p, 0, top + 10, 28, top + 15);
    ck_assert_msg(bar > 1.5 * foot && foot > 255 * 5, "bar %g, foot %g", bar / 255, foot / 255);
    ck_assert(sum(p, 0, 18, 8, 28) < 255);
}

START_TEST(a_dark_seven_on_shadowed_paper_is_cut_out)
{
    struct picture p = seven(300, 400, 14, 90, 20), to;
    ck_assert(foreground_prepare(&p, &mnist, &to, NULL, &arena, &err));
    expect_seven(&to);
    arena_free(&arena);
}
END_TEST

/* The middle of the light pixels of a page, or of the dark ones, in its pixels. */
static void middle_of(const struct picture *p, bool dark, double *x_middle, double *y_middle)
{
    double all = 0, x_mass = 0, y_mass = 0;
    for (int y = 0; y < p->height; y++)
        for (int x = 0; x < p->width; x++) {
            double ink = p->pixels[y * p->width + x];
            ink = dark ? (ink < 150 ? 255 : 0) : ink;
            all += ink;
            x_mass += (x + 0.5) * ink;
            y_mass += (y + 0.5) * ink;
        }
    *x_middle = x_mass / all;
    *y_middle = y_mass / all;
}

START_TEST(strokes_that_were_cut_out_tell_where_they_were)
{
    struct picture p = seven(900, 1200, 40, 0, 0), to;
    ck_assert(foreground_prepare(&p, &mnist, &to, NULL, &arena, &err));
    double x, y, x_posted, y_posted;
    middle_of(&p, true, &x_posted, &y_posted);
    middle_of(&to, false, &x, &y);
    const struct picture_box at = picture_part(&to, (struct picture_box){x, y, x, y});
    ck_assert_msg(fabs(at.left - x_posted) < 12 && fabs(at.top - y_posted) < 12, "%g, %g is not %g, %g", at.left,
                  at.top, x_posted, y_posted);
    arena_free(&arena);
}
END_TEST

START_TEST(thin_strokes_do_not_vanish)
{
    struct picture p = seven(300, 400, 1.5, 0, 6), to;
    ck_assert(foreground_prepare(&p, &mnist, &to, NULL, &arena, &err));
    expect_seven(&to);
    arena_free(&arena);
}
END_TEST

START_TEST(large_and_light_pictures_come_out_alike)
{
    struct picture p = seven(1500, 2000, 60, 60, 20), to;
    for (int i = 0; i < 1500 * 2000; i++)
        p.pixels[i] = (uint8_t)(255 - p.pixels[i]);
    ck_assert(foreground_prepare(&p, &mnist, &to, NULL, &arena, &err));
    expect_seven(&to);
    struct manifest_image dark = mnist;
    dark.ink = INK_DARK;
    ck_assert(foreground_prepare(&p, &dark, &to, NULL, &arena, &err));
    for (int i = 0; i < 784; i++)
        to.pixels[i] = (uint8_t)(255 - to.pixels[i]);
    expect_seven(&to);
    arena_free(&arena);
}
END_TEST

START_TEST(a_picture_of_the_networks_size_is_only_turned_round)
{
    struct picture p = seven(28, 28, 1.5, 0, 0), to;
    ck_assert(foreground_prepare(&p, &mnist, &to, NULL, &arena, &err));
    for (int i = 0; i < 784; i++)
        ck_assert_int_eq(to.pixels[i], 255 - p.pixels[i]);
    struct picture again;
    ck_assert(foreground_prepare(&to, &mnist, &again, NULL, &arena, &err));
    ck_assert(memcmp(again.pixels, to.pixels, 784) == 0);
    arena_free(&arena);
}
END_TEST

START_TEST(empty_paper_and_odd_sizes_are_handed_on)
{
    static const int sizes[][2] = {{1, 1}, {1, 300}, {300, 1}, {3, 3}, {5, 2}, {40, 50}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct picture p, to;
        ck_assert(picture_new(&p, sizes[i][0], sizes[i][1], 1, &arena, &err));
        memset(p.pixels, 200, (size_t)p.width * (size_t)p.height);
        ck_assert(foreground_prepare(&p, &mnist, &to, NULL, &arena, &err));
        ck_assert_int_eq(to.width, p.width);
        ck_assert_int_eq(to.pixels[0], 55);
        p.pixels[0] = 0;
        ck_assert(foreground_prepare(&p, &mnist, &to, NULL, &arena, &err));
    }
    arena_free(&arena);
}
END_TEST

Suite *serve_foreground_suite(void)
{
    Suite *suite = suite_create("serve_foreground");
    TCase *tests = tcase_create("ink");
    tcase_add_test(tests, a_dark_seven_on_shadowed_paper_is_cut_out);
    tcase_add_test(tests, strokes_that_were_cut_out_tell_where_they_were);
    tcase_add_test(tests, thin_strokes_do_not_vanish);
    tcase_add_test(tests, large_and_light_pictures_come_out_alike);
    tcase_add_test(tests, a_picture_of_the_networks_size_is_only_turned_round);
    tcase_add_test(tests, empty_paper_and_odd_sizes_are_handed_on);
    suite_add_tcase(suite, tests);
    return suite;
}
