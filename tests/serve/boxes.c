/* boxes.c - which detections are kept. */
#include "serve/boxes.h"

#include "base/err.h"

#include <check.h>
#include <math.h>

Suite *serve_boxes_suite(void);

/* Edges, then the angle. */
#define BOX(l, t, r, b, a)                                                                                             \
    {                                                                                                                  \
        .left = (l), .top = (t), .right = (r), .bottom = (b), .angle = (a)                                             \
    }

static struct arena arena;
static struct percept_err err;
static struct boxes boxes;

static void begin(void)
{
    err = (struct percept_err){0};
    ck_assert(boxes_begin(&boxes, 0.5f, false, &arena, NULL, &err));
}

static void end(void)
{
    arena_free(&arena);
}

static void add(float left, float top, float right, float bottom, float score, int index)
{
    const struct box box = {left, top, right, bottom, .score = score, .index = index, .row = boxes.n};
    boxes_add(&boxes, &box);
}

START_TEST(overlap_is_intersection_over_union)
{
    const struct box a = BOX(0, 0, 10, 10, 0), half = BOX(5, 0, 15, 10, 0), beside = BOX(10, 0, 20, 10, 0),
                     flat = BOX(0, 5, 10, 5, 0);
    ck_assert(fabsf(boxes_overlap(&a, &half) - 1 / 3.f) < 1e-6f);
    ck_assert(boxes_overlap(&a, &a) == 1);
    ck_assert(boxes_overlap(&a, &beside) == 0);
    ck_assert(boxes_overlap(&a, &flat) == 0);
}
END_TEST

/* Values of the formula in float64. */
START_TEST(turned_boxes_overlap_as_gaussians)
{
    const struct box a = BOX(0, 0, 20, 10, 0), turned = BOX(0, 0, 20, 10, 1.5707964f), far = BOX(100, 0, 120, 10, 0);
    const struct box same = BOX(5, -5, 15, 15, 1.5707964f);
    ck_assert(boxes_overlap_turned(&a, &a) > 0.999f);
    ck_assert(boxes_overlap_turned(&a, &same) > 0.999f);
    ck_assert(fabsf(boxes_overlap_turned(&a, &turned) - 0.55278641f) < 1e-3f);
    ck_assert(boxes_overlap_turned(&a, &far) < 0.01f);
    const struct box one = BOX(0, 0, 20, 10, 0.3f), other = BOX(3, 3.5f, 25, 12.5f, 1.1f);
    ck_assert(fabsf(boxes_overlap_turned(&one, &other) - 0.51492216f) < 1e-3f);
}
END_TEST

START_TEST(what_has_no_place_or_too_little_score_is_let_go)
{
    add(0, 0, 1, 1, 0.5f, 0);
    add(0, 0, 1, 1, NAN, 0);
    add(0, 0, 1, 1, INFINITY, 0);
    add(NAN, 0, 1, 1, 0.9f, 0);
    add(0, 0, INFINITY, 1, 0.9f, 0);
    add(-INFINITY, 0, INFINITY, 1, 0.9f, 0);
    add(2, 0, 1, 1, 0.9f, 0);
    add(0, 2, 1, 1, 0.9f, 0);
    ck_assert_int_eq(boxes.n, 0);
    ck_assert(boxes_suppress(&boxes, NMS_CLASS, 0.5f, 10, &err));
    ck_assert_int_eq(boxes.n, 0);
    add(2, 0, 2, 1, 0.9f, 0); /* a line has one */
    add(0, 2, 1, 2, 0.9f, 0);
    ck_assert_int_eq(boxes.n, 2);
}
END_TEST

static const struct {
    enum manifest_nms nms;
    float overlap;
    int most, n;
    int index[4];
} kinds[] = {
    {NMS_CLASS, 0.5f, 10, 3, {1, 0, 0}}, {NMS_AGNOSTIC, 0.5f, 10, 2, {1, 0}},     {NMS_NONE, 0.5f, 10, 4, {1, 0, 0, 0}},
    {NMS_CLASS, 0.5f, 2, 2, {1, 0}},     {NMS_CLASS, 0.99f, 10, 4, {1, 0, 0, 0}},
};

START_TEST(the_best_of_those_that_overlap_is_kept)
{
    add(0, 0, 10, 10, 0.8f, 0);
    add(1, 0, 11, 10, 0.7f, 0);
    add(0, 0, 10, 10, 0.9f, 1);
    add(50, 50, 60, 60, 0.6f, 0);
    ck_assert(boxes_suppress(&boxes, kinds[_i].nms, kinds[_i].overlap, kinds[_i].most, &err));
    ck_assert_int_eq(boxes.n, kinds[_i].n);
    for (int i = 0; i < boxes.n; i++) {
        ck_assert_int_eq(boxes.at[i].index, kinds[_i].index[i]);
        ck_assert(i == 0 || boxes.at[i].score <= boxes.at[i - 1].score);
    }
}
END_TEST

START_TEST(a_box_that_was_dropped_drops_none)
{
    add(0, 0, 10, 10, 0.9f, 0);
    add(4, 0, 14, 10, 0.8f, 0); /* overlaps both others */
    add(8, 0, 18, 10, 0.7f, 0);
    ck_assert(boxes_suppress(&boxes, NMS_CLASS, 0.4f, 10, &err));
    ck_assert_int_eq(boxes.n, 2);
    ck_assert(boxes.at[1].left == 8);
}
END_TEST

START_TEST(a_turned_box_that_was_dropped_drops_others)
{
    boxes.turned = true;
    add(0, 0, 10, 10, 0.9f, 0);
    add(3, 0, 13, 10, 0.8f, 0);
    add(6, 0, 16, 10, 0.7f, 0);
    const struct box first = BOX(0, 0, 10, 10, 0);
    const float near = boxes_overlap_turned(&first, &(struct box)BOX(3, 0, 13, 10, 0));
    const float far = boxes_overlap_turned(&first, &(struct box)BOX(6, 0, 16, 10, 0));
    ck_assert(near > far);
    ck_assert(boxes_suppress(&boxes, NMS_CLASS, (near + far) / 2, 10, &err));
    ck_assert_int_eq(boxes.n, 1);
}
END_TEST

/* However many there are, the best are held, in memory that is bounded. */
START_TEST(the_best_of_many_are_held)
{
    const int n = 3 * BOXES_MOST;
    for (int i = 0; i < n; i++) {
        const int rank = (int)((int64_t)i * 7919 % n);
        const float x = (float)(rank % 1000) * 2, y = (float)(rank / 1000) * 2;
        const struct box box = {x, y, x + 1, y + 1, .score = 0.5f + (float)(rank + 1) / (float)n, .row = rank};
        boxes_add(&boxes, &box);
    }
    ck_assert_int_eq(boxes.n, BOXES_MOST);
    ck_assert_uint_lt(arena.used_bytes, (size_t)4 * BOXES_MOST * sizeof(struct box));
    ck_assert(boxes_suppress(&boxes, NMS_CLASS, 0.5f, 10000, &err));
    ck_assert_int_eq(boxes.n, 10000);
    ck_assert_int_eq(boxes.at[0].row, n - 1);
    ck_assert_int_eq(boxes.at[9999].row, n - 10000);
}
END_TEST

START_TEST(a_watch_that_is_over_stops_it)
{
    int raised = 1;
    struct watch watch = {.cancel = &raised};
    boxes.watch = &watch;
    add(0, 0, 10, 10, 0.9f, 0);
    ck_assert(!boxes_suppress(&boxes, NMS_CLASS, 0.5f, 10, &err));
    ck_assert_int_eq(err.code, ERR_CANCELLED);
}
END_TEST

START_TEST(short_memory_is_told)
{
    arena.limit_bytes = arena.used_bytes;
    for (int i = 0; i < 1000; i++)
        add((float)i * 20, 0, (float)i * 20 + 10, 10, 0.9f, 0);
    ck_assert(boxes.failed);
    ck_assert(!boxes_suppress(&boxes, NMS_CLASS, 0.5f, 10, &err));
    ck_assert_int_eq(err.code, ERR_MEMORY);
    arena.limit_bytes = 0;
}
END_TEST

Suite *serve_boxes_suite(void)
{
    Suite *suite = suite_create("serve_boxes");
    TCase *tests = tcase_create("boxes");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, overlap_is_intersection_over_union);
    tcase_add_test(tests, turned_boxes_overlap_as_gaussians);
    tcase_add_test(tests, what_has_no_place_or_too_little_score_is_let_go);
    tcase_add_loop_test(tests, the_best_of_those_that_overlap_is_kept, 0, sizeof kinds / sizeof *kinds);
    tcase_add_test(tests, a_box_that_was_dropped_drops_none);
    tcase_add_test(tests, a_turned_box_that_was_dropped_drops_others);
    tcase_add_test(tests, the_best_of_many_are_held);
    tcase_add_test(tests, a_watch_that_is_over_stops_it);
    tcase_add_test(tests, short_memory_is_told);
    suite_add_tcase(suite, tests);
    return suite;
}
