/* canvas.c - what is drawn, and that nothing is drawn beyond the picture. */
#include "serve/canvas.h"

#include "serve/font.h"

#include <check.h>
#include <string.h>

Suite *serve_canvas_suite(void);

#define SIDE 12
#define GUARD 64

static uint8_t memory[SIDE * SIDE * 3 + 2 * GUARD];
static struct picture picture;
static struct canvas canvas;
static const struct colour ink = {255, 200, 100};

static void begin(void)
{
    memset(memory, 7, sizeof memory);
    memset(memory + GUARD, 0, SIDE * SIDE * 3);
    picture = (struct picture){.width = SIDE, .height = SIDE, .channels = 3, .pixels = memory + GUARD};
    canvas = (struct canvas){.picture = &picture};
}

static void end(void)
{
    for (int i = 0; i < GUARD; i++)
        ck_assert(memory[i] == 7 && memory[sizeof memory - 1 - (size_t)i] == 7);
}

static int red(int x, int y)
{
    return picture.pixels[(y * SIDE + x) * 3];
}

static int n_touched(void)
{
    int n = 0;
    for (int i = 0; i < SIDE * SIDE; i++)
        n += picture.pixels[i * 3] > 0;
    return n;
}

START_TEST(a_line_has_soft_edges)
{
    canvas_line(&canvas, 2, 5, 9, 5, 2, ink);
    ck_assert_int_eq(red(5, 4), 255);
    ck_assert_int_eq(red(5, 5), 255);
    ck_assert_int_eq(red(5, 3), 0);
    ck_assert_int_eq(red(5, 6), 0);
    canvas_line(&canvas, 2, 8.5f, 9, 8.5f, 2, ink);
    ck_assert_int_eq(red(5, 8), 255);
    ck_assert(red(5, 7) > 100 && red(5, 7) < 160);
    ck_assert(red(5, 9) > 100 && red(5, 9) < 160);
}
END_TEST

START_TEST(a_point_is_a_dot)
{
    canvas_line(&canvas, 6, 6, 6, 6, 4, ink);
    ck_assert_int_eq(red(5, 5), 255);
    ck_assert_int_eq(red(6, 6), 255);
    ck_assert_int_eq(red(8, 8), 0);
    ck_assert_int_eq(red(3, 3), 0);
}
END_TEST

static const struct {
    float from_x, from_y, to_x, to_y, width;
} far_off[] = {{-3e38f, 0, 3e38f, 0, 1},
               {-100, -100, -50, -50, 2},
               {100, 5, 200, 5, 1},
               {0, 0, 12, 12, 1e30f},
               {-1e9f, -1e9f, 1e9f, 1e9f, 3}};

START_TEST(what_lies_beyond_does_no_harm)
{
    canvas_line(&canvas, far_off[_i].from_x, far_off[_i].from_y, far_off[_i].to_x, far_off[_i].to_y, far_off[_i].width,
                ink);
    canvas_fill(&canvas, far_off[_i].from_x, far_off[_i].from_y, far_off[_i].to_x, far_off[_i].to_y, ink, 1);
    canvas_text(&canvas, (int)-1e6, (int)-1e6, 3, "text", ink);
    canvas_text(&canvas, 1000, 1000, 3, "text", ink);
    canvas_text(&canvas, 10, 10, 3, "text", ink);
}
END_TEST

START_TEST(a_part_of_a_colour_lets_the_picture_through)
{
    canvas_fill(&canvas, 1, 2, 4, 5, ink, 0.5f);
    ck_assert_int_eq(n_touched(), 9);
    ck_assert_int_eq(red(1, 2), 128);
    ck_assert_int_eq(picture.pixels[(2 * SIDE + 1) * 3 + 1], 100);
    ck_assert_int_eq(picture.pixels[(2 * SIDE + 1) * 3 + 2], 50);
}
END_TEST

START_TEST(letters_stand_where_they_are_put)
{
    canvas_text(&canvas, 1, 2, 1, "T", ink);
    for (int x = 0; x < FONT_WIDTH; x++)
        ck_assert_int_eq(red(1 + x, 2), 255);
    ck_assert_int_eq(red(3, 8), 255);
    ck_assert_int_eq(red(2, 8), 0);
    ck_assert_int_eq(n_touched(), 11);
}
END_TEST

START_TEST(widths_are_those_of_characters)
{
    ck_assert_int_eq(canvas_text_width("", 2), 0);
    ck_assert_int_eq(canvas_text_width("ab", 2), 22);
    ck_assert_int_eq(canvas_text_width("\xc3\xa9", 1), 5); /* one character */
    ck_assert_int_eq(canvas_text_width("\xff\xfe", 1), 11);
}
END_TEST

START_TEST(neighbours_have_other_colours)
{
    for (int64_t i = 0; i < 100; i++) {
        const struct colour a = canvas_colour(i), b = canvas_colour(i + 1);
        int apart = 0;
        apart += a.red > b.red ? a.red - b.red : b.red - a.red;
        apart += a.green > b.green ? a.green - b.green : b.green - a.green;
        apart += a.blue > b.blue ? a.blue - b.blue : b.blue - a.blue;
        ck_assert_int_gt(apart, 150);
    }
    canvas_colour(INT64_MIN);
}
END_TEST

START_TEST(a_watch_that_is_over_stops_it)
{
    int raised = 1;
    struct watch watch = {.cancel = &raised};
    canvas.watch = &watch;
    canvas_line(&canvas, 0, 0, 12, 12, 3, ink);
    canvas_fill(&canvas, 0, 0, 12, 12, ink, 1);
    ck_assert_int_eq(n_touched(), 0);
}
END_TEST

Suite *serve_canvas_suite(void)
{
    Suite *suite = suite_create("serve_canvas");
    TCase *tests = tcase_create("canvas");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, a_line_has_soft_edges);
    tcase_add_test(tests, a_point_is_a_dot);
    tcase_add_loop_test(tests, what_lies_beyond_does_no_harm, 0, sizeof far_off / sizeof *far_off);
    tcase_add_test(tests, a_part_of_a_colour_lets_the_picture_through);
    tcase_add_test(tests, letters_stand_where_they_are_put);
    tcase_add_test(tests, widths_are_those_of_characters);
    tcase_add_test(tests, neighbours_have_other_colours);
    tcase_add_test(tests, a_watch_that_is_over_stops_it);
    suite_add_tcase(suite, tests);
    return suite;
}
