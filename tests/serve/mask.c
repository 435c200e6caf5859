/* mask.c - masks by coefficients and prototypes. The numbers come from numpy: the whole map, cut at the box, enlarged
 * as a whole; or from the picture in the comment. */
#include "serve/mask.h"

#include "base/err.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

Suite *serve_mask_suite(void);

static struct arena arena;
static struct percept_err err;
static struct watch watch;

static void begin(void)
{
    watch = (struct watch){0};
    err = (struct percept_err){0};
}

static void end(void)
{
    arena_free(&arena);
}

/* Two prototypes of 4 x 3, for an input of 16 x 12. */
static const float prototypes[2 * 12] = {4, 4, 4, 4, 4, -4, 4, 4, 4, 4, 4, -8, 1, 2, 3, 4, 0, 0, 0, 0, -1, -2, -3, -4};

static struct manifest manifest;

static bool make(const float coefficients[2], struct box box, const struct picture_view *view, enum job_masks form,
                 int64_t n_pixels, struct mask *mask)
{
    struct masking masking;
    const struct decoding decoding = {
        .manifest = &manifest,
        .width = 16,
        .height = 12,
        .planes = {[ROLE_BOXES] = {{.at = coefficients, .n_rows = 1, .n_columns = 2, .row_step = 2, .column_step = 1}}},
        .n_coefficients = 2,
        .prototypes = prototypes,
        .prototype_width = 4,
        .prototype_height = 3};
    manifest.detect.units = UNITS_PIXELS;
    return mask_begin(&masking, &decoding, view, view->width ? view->width : 16, view->width ? view->height : 12, form,
                      &arena, &watch, &n_pixels, &err) &&
           mask_make(&masking, &box, mask, &err);
}

static void same(const uint32_t *numbers, size_t n, const int *wanted)
{
    size_t n_wanted = 0;
    for (; wanted[n_wanted] >= 0; n_wanted++)
        if (n_wanted < n)
            ck_assert_uint_eq(numbers[n_wanted], (unsigned)wanted[n_wanted]);
    ck_assert_uint_eq(n, n_wanted);
}

#define WHOLE                                                                                                          \
    {                                                                                                                  \
        .right = 16, .bottom = 12                                                                                      \
    }
#define SHOWS(w, h, l, t, r, b)                                                                                        \
    {                                                                                                                  \
        .width = (w), .height = (h), .input_width = 16, .input_height = 12, .shown = { l, t, r, b }                    \
    }

static const struct {
    struct picture_view view;
    float coefficients[2];
    struct box box;
    int counts[40];
} masks[] = {
    {{0}, {1, 0}, WHOLE, {0, 53, 2, 9, 4, 8, 4, 9, 2, 62, 3, 8, 4, 8, 4, 8, 4, -1}},
    /* cut at the columns 2, 3 and the rows 0, 1 of the prototypes */
    {{0}, {1, 0}, {.left = 5, .right = 13, .bottom = 7}, {96, 7, 5, 8, 4, 8, 4, 8, 4, 8, 4, 8, 4, 8, 4, 8, 4, -1}},
    {{0}, {-0.5f, 1}, WHOLE, {52, 3, 7, 5, 5, 7, 5, 7, 5, 4, 8, 4, 8, 4, 8, 4, 8, 4, 8, 4, 8, 4, 8, 4, 8, -1}},
    /* 12 x 12 in the middle of a letterbox */
    {SHOWS(12, 12, -2, 0, 14, 12), {1, 0}, WHOLE, {0, 29, 2, 9, 4, 8, 4, 9, 2, 62, 3, 8, 4, -1}},
    /* as small as the prototypes */
    {SHOWS(4, 3, 0, 0, 4, 3), {1, 0}, WHOLE, {0, 4, 1, 6, 1, -1}},
    /* a box far beyond the picture */
    {SHOWS(8, 6, 0, 0, 8, 6),
     {1, 0},
     {.left = -50, .top = -50, .right = 500, .bottom = 5},
     {0, 4, 2, 4, 2, 2, 4, 2, 4, 4, 2, 4, 2, 4, 2, 4, 2, -1}},
    /* nothing */
    {{0}, {-1, 0}, {.right = 4, .bottom = 4}, {192, -1}},
    {{0}, {1, 0}, {.left = 7, .top = 7, .right = 7, .bottom = 7}, {192, -1}},
    {{0}, {1, 0}, {.left = 40, .top = 40, .right = 50, .bottom = 50}, {192, -1}},
    {{0}, {NAN, 0}, WHOLE, {192, -1}},
    {{0}, {INFINITY, INFINITY}, {.top = 4, .right = 4, .bottom = 8}, {192, -1}}, /* inf - inf, and inf * 0 */
    /* the first row of prototypes, to half a pixel of them below */
    {{0}, {0, INFINITY}, {.right = 16, .bottom = 4}, {0, 4, 8, 4, 8, 4, 8, 4, 8, 4, 8, 4, 8, 4, 8, 4, 8,
                                                      4, 8, 4, 8, 4, 8, 4, 8, 4, 8, 4, 8, 4, 8, 4, 8, -1}},
};

START_TEST(masks_are_those_of_numpy)
{
    struct mask mask;
    ck_assert_msg(make(masks[_i].coefficients, masks[_i].box, &masks[_i].view, JOB_MASKS_RLE, 0, &mask), "%s",
                  err.text);
    same(mask.counts, mask.n_counts, masks[_i].counts);
    ck_assert_uint_eq(mask.n_outlines, 0);
}
END_TEST

/*     ################    The first of them. The outside clockwise from its upper left corner, then the hole the other
 *     ################    way round.
 *     ################
 *     ################
 *     #####..#########
 *     ####....########
 *     ####....########
 *     #####..#########
 *     #############...
 *     ############....
 *     ############....
 *     ############....
 */
START_TEST(outlines_run_along_the_edges_of_pixels)
{
    static const int wanted[] = {1, 8,  16, 0, 16, 8, 13, 8, 13, 9, 12, 9, 12, 12, 0, 12, 0, 0, /* outside */
                                 1, 12, 5,  7, 5,  8, 7,  8, 7,  7, 8,  7, 8,  5,  7, 5,  7, 4,
                                 5, 4,  5,  5, 4,  5, 4,  7, -1};
    static const float coefficients[2] = {1, 0};
    struct mask mask;
    ck_assert(make(coefficients, (struct box)WHOLE, &(struct picture_view){0}, JOB_MASKS_POLYGON, 0, &mask));
    same(mask.outlines, mask.n_outlines, wanted);
    ck_assert_uint_eq(mask.n_counts, 0);
}
END_TEST

#define SIDE 40

/* Is the middle of a pixel within? A ray to the left meets an odd number of upright edges. */
static bool is_within(const struct mask *mask, uint32_t x, uint32_t y)
{
    bool within = false;
    for (size_t at = 0; at < mask->n_outlines; at = outline_next(mask->outlines, at)) {
        const uint32_t n = mask->outlines[at + 1], *points = mask->outlines + at + 2;
        for (uint32_t i = 0; i < n; i++) {
            const uint32_t *a = points + (size_t)i * 2, *b = points + (size_t)(i + 1) % n * 2;
            if (a[0] == b[0] && a[0] <= x && (a[1] <= y) != (b[1] <= y))
                within = !within;
        }
    }
    return within;
}

static bool is_counted(const struct mask *mask, int64_t pixel)
{
    size_t run = 0;
    for (int64_t at = 0; run < mask->n_counts && at + mask->counts[run] <= pixel; run++)
        at += mask->counts[run];
    return run & 1;
}

/* Any mask: both forms say the same, and what they say has the picture's size. */
START_TEST(both_forms_are_one_mask)
{
    const struct picture_view view = SHOWS(SIDE, SIDE, 0, 0, SIDE, SIDE);
    srand((unsigned)_i);
    const float coefficients[2] = {(float)(rand() % 200 - 100) / 50, (float)(rand() % 200 - 100) / 50};
    const struct box box = {.left = (float)(rand() % 6), .right = 8 + (float)(rand() % 9), .bottom = 12};
    struct mask counted, outlined;
    int64_t n = 0;
    ck_assert(make(coefficients, box, &view, JOB_MASKS_RLE, 0, &counted));
    ck_assert(make(coefficients, box, &view, JOB_MASKS_POLYGON, 0, &outlined));
    for (size_t i = 0; i < counted.n_counts; i++)
        n += counted.counts[i];
    ck_assert_int_eq(n, SIDE * SIDE);
    for (uint32_t x = 0; x < SIDE; x++)
        for (uint32_t y = 0; y < SIDE; y++)
            ck_assert_int_eq(is_counted(&counted, x * SIDE + y), is_within(&outlined, x, y));
}
END_TEST

START_TEST(more_than_so_many_pixels_are_refused)
{
    static const float coefficients[2] = {1, 0};
    struct mask mask;
    const struct picture_view view = {0};
    ck_assert(make(coefficients, (struct box)WHOLE, &view, JOB_MASKS_RLE, MASK_MOST_PIXELS - 192, &mask));
    ck_assert(!make(coefficients, (struct box)WHOLE, &view, JOB_MASKS_RLE, MASK_MOST_PIXELS - 191, &mask));
    ck_assert_int_eq(err.code, ERR_TOO_LARGE);
    ck_assert_ptr_nonnull(strstr(err.text, "cover more than 268435456 pixels"));
}
END_TEST

START_TEST(whoever_went_is_not_waited_for)
{
    static const float coefficients[2] = {1, 0};
    static const int raised = 1;
    struct mask mask;
    for (int form = JOB_MASKS_RLE; form <= JOB_MASKS_POLYGON; form++) {
        watch = (struct watch){.cancel = &raised};
        ck_assert(!make(coefficients, (struct box)WHOLE, &(struct picture_view){0}, (enum job_masks)form, 0, &mask));
        ck_assert_int_eq(err.code, ERR_CANCELLED);
    }
}
END_TEST

/* Wherever memory ends. */
START_TEST(short_memory_is_told)
{
    static const float coefficients[2] = {1, 0};
    struct mask mask;
    for (int form = JOB_MASKS_RLE; form <= JOB_MASKS_POLYGON; form++) {
        arena_free(&arena);
        arena.limit_bytes = 200;
        ck_assert(!make(coefficients, (struct box)WHOLE, &(struct picture_view){0}, (enum job_masks)form, 0, &mask));
        ck_assert_int_eq(err.code, ERR_MEMORY);
        arena.limit_bytes = 0;
    }
}
END_TEST

Suite *serve_mask_suite(void)
{
    Suite *suite = suite_create("serve_mask");
    TCase *tests = tcase_create("mask");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_loop_test(tests, masks_are_those_of_numpy, 0, sizeof masks / sizeof *masks);
    tcase_add_test(tests, outlines_run_along_the_edges_of_pixels);
    tcase_add_loop_test(tests, both_forms_are_one_mask, 0, 30);
    tcase_add_test(tests, more_than_so_many_pixels_are_refused);
    tcase_add_test(tests, whoever_went_is_not_waited_for);
    tcase_add_test(tests, short_memory_is_told);
    suite_add_tcase(suite, tests);
    return suite;
}
