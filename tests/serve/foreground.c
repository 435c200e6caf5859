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

/* The largest difference of a level between a dark square's picture and that of the square with a dot beside it. */
static int dot_changes(int x, int y)
{
    struct picture p, with[2];
    for (int dotted = 0; dotted < 2; dotted++) {
        ck_assert(picture_new(&p, 60, 60, 1, &arena, &err));
        for (int i = 0; i < 60 * 60; i++)
            p.pixels[i] = i % 60 >= 20 && i % 60 < 40 && i / 60 >= 20 && i / 60 < 40 ? 40 : 220;
        if (dotted)
            p.pixels[y * 60 + x] = 40;
        ck_assert(foreground_prepare(&p, &mnist, &with[dotted], NULL, &arena, &err));
    }
    int most = 0;
    for (int i = 0; i < 784; i++) {
        const int change = abs(with[0].pixels[i] - with[1].pixels[i]);
        most = change > most ? change : most;
    }
    arena_free(&arena);
    return most;
}

START_TEST(what_touches_a_stroke_belongs_to_it_and_what_does_not_is_dirt)
{
    for (int y = -1; y <= 1; y++)
        for (int x = -1; x <= 1; x++) {
            const int near_x = x < 0 ? 19 : x ? 40 : 30, near_y = y < 0 ? 19 : y ? 40 : 30;
            if (!x && !y)
                continue;
            ck_assert_int_gt(dot_changes(near_x, near_y), 20);
            ck_assert_int_le(dot_changes(near_x + x, near_y + y), 2);
        }
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

/* Sums of each row and column, in 64ths of a white pixel, as they were when people had looked at the pictures. */
struct profile {
    int width, height;
    double thick, shadow;
    int noise;
    enum manifest_ink ink;
    int rows[28], columns[28];
};

static const struct profile profiles[] = {
    {300,
     400,
     14,
     90,
     20,
     INK_LIGHT,
     {0,   0,   0,   0,   0,   0,   0,   786, 802, 251, 150, 151, 150, 149,
      152, 153, 151, 150, 150, 150, 150, 152, 152, 150, 149, 149, 114, 0},
     {0, 0, 0, 0, 0, 0, 115, 140, 140, 140, 151, 347, 524, 575, 577, 577, 540, 367, 168, 0, 0, 0, 0, 0, 0, 0, 0, 0}},
    {300,
     400,
     1.5,
     0,
     6,
     INK_LIGHT,
     {0,   0,   0,   0,   0,   0,   0,   832, 543, 140, 140, 139, 142, 144,
      144, 144, 145, 145, 142, 141, 140, 140, 139, 140, 140, 138, 118, 0},
     {0, 0, 0, 0, 0, 0, 115, 115, 115, 115, 115, 279, 457, 497, 500, 501, 495, 386, 202, 0, 0, 0, 0, 0, 0, 0, 0, 0}},
    {24,
     20,
     1,
     0,
     0,
     INK_LIGHT,
     {0,   0,   0,   0,   0,   697, 284, 124, 124, 124, 129, 181, 140, 164,
      167, 147, 189, 138, 127, 224, 294, 294, 294, 0,   0,   0,   0,   0},
     {0,   0,   0,   212, 229, 229, 229, 155, 11,  63, 63, 63, 63, 90,
      163, 269, 322, 376, 344, 324, 297, 224, 116, 0,  0,  0,  0,  0}},
    {40,
     40,
     2,
     30,
     4,
     INK_DARK,
     {1792, 1792, 1792, 1792, 1792, 1792, 1792, 865,  863,  1578, 1621, 1635, 1606, 1606,
      1604, 1606, 1636, 1607, 1544, 1607, 1573, 1589, 1605, 1638, 1790, 1662, 1662, 1792},
     {1792, 1792, 1662, 1662, 1791, 1790, 1664, 1665, 1670, 1666, 1666, 1669, 1465, 1297,
      1272, 1233, 1267, 1253, 1324, 1485, 1605, 1792, 1792, 1792, 1792, 1792, 1792, 1792}},
    {700,
     160,
     9,
     -120,
     30,
     INK_LIGHT,
     {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1201, 1007, 263, 266, 270, 249, 142, 0, 0, 0, 0, 0, 0, 0, 0, 0},
     {0,   0,   0,   106, 110, 110, 109, 110, 109, 109, 109, 196, 248, 251,
      248, 244, 243, 243, 237, 209, 175, 133, 96,  0,   0,   0,   0,   0}},
    {90,
     600,
     5,
     60,
     10,
     INK_LIGHT,
     {0,   0,   0,   0,   0,   255, 203, 117, 119, 121, 118, 117, 116, 116,
      118, 119, 116, 114, 114, 115, 118, 116, 114, 113, 107, 0,   0,   0},
     {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 103, 628, 1234, 584, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}},
    {1100,
     900,
     3,
     20,
     0,
     INK_DARK,
     {1792, 1792, 1792, 1792, 1792, 1792, 1792, 512,  979,  1634, 1633, 1633, 1634, 1634,
      1632, 1634, 1635, 1633, 1632, 1634, 1634, 1632, 1633, 1635, 1635, 1643, 1682, 1792},
     {1792, 1792, 1691, 1691, 1691, 1691, 1691, 1691, 1691, 1691, 1573, 1439, 1404, 1405,
      1404, 1407, 1407, 1407, 1405, 1420, 1519, 1635, 1792, 1792, 1792, 1792, 1792, 1792}},
};

static void profile_of(const struct picture *p, int *rows, int *columns)
{
    for (int i = 0; i < 28; i++) {
        rows[i] = (int)(sum(p, 0, i, 28, i + 1) * 64 / 255 + 0.5);
        columns[i] = (int)(sum(p, i, 0, i + 1, 28) * 64 / 255 + 0.5);
    }
}

START_TEST(strokes_keep_their_place_and_their_weight)
{
    const struct profile *row = &profiles[_i];
    struct picture p = seven(row->width, row->height, row->thick, row->shadow, row->noise), to;
    struct manifest_image image = mnist;
    int rows[28], columns[28];
    image.ink = row->ink;
    ck_assert(foreground_prepare(&p, &image, &to, NULL, &arena, &err));
    ck_assert(to.width == 28 && to.height == 28);
    profile_of(&to, rows, columns);
    for (int i = 0; i < 28; i++) {
        ck_assert_msg(abs(rows[i] - row->rows[i]) <= 4, "row %d: %d instead of %d", i, rows[i], row->rows[i]);
        ck_assert_msg(abs(columns[i] - row->columns[i]) <= 4, "column %d: %d instead of %d", i, columns[i],
                      row->columns[i]);
    }
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
    tcase_add_loop_test(tests, strokes_keep_their_place_and_their_weight, 0, sizeof profiles / sizeof *profiles);
    tcase_add_test(tests, large_and_light_pictures_come_out_alike);
    tcase_add_test(tests, what_touches_a_stroke_belongs_to_it_and_what_does_not_is_dirt);
    tcase_add_test(tests, a_picture_of_the_networks_size_is_only_turned_round);
    tcase_add_test(tests, empty_paper_and_odd_sizes_are_handed_on);
    suite_add_tcase(suite, tests);
    return suite;
}
