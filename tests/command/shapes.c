/* Shapes that nobody gave: which axis is the batch, and what --dim and --shape make of the others.
 */
#include "command/shapes.h"

#include <check.h>
#include <string.h>

static const struct options_list nothing;
static struct percept_err err;

#define INPUTS(...) ((const struct percept_io[]){__VA_ARGS__})
#define IO(rank_, dims_, ...)                                                                                          \
    {                                                                                                                  \
        .name = "x", .rank = rank_, .dims = dims_, .batch_axis = -1, .dim_names = { __VA_ARGS__ }                      \
    }
#define D(...)                                                                                                         \
    {                                                                                                                  \
        __VA_ARGS__                                                                                                    \
    }

static struct shapes_model model_of(const struct percept_io *inputs, int n_inputs, const struct percept_io *outputs,
                                    int n_outputs)
{
    return (struct shapes_model){.inputs = inputs, .n_inputs = n_inputs, .outputs = outputs, .n_outputs = n_outputs};
}

static const struct percept_io plain = {.name = "y", .rank = 2, .dims = {-1, 8}, .batch_axis = -1};

/* One input and its batch axis: what the names and places of one input tell. */
static const struct {
    struct percept_io input;
    int axis;
} lone[] = {
    {IO(3, D(-1, -1, 40), "seq_length", "batch_size"), 1},
    {IO(3, D(-1, -1, 40), "T", "N"), 1},
    {IO(3, D(-1, -1, 40), "batch", "time"), 0},
    {IO(3, D(2, -1, 64), NULL, "Batch"), 1},
    {IO(4, D(3, 32, 32, -1), NULL, NULL, NULL, "bs"), 3},
    {IO(3, D(24, -1, 40), NULL), 1}, /* fixed steps */
    {IO(3, D(-1, -1, 40), NULL), 0},
    {IO(3, D(-1, -1, 40), "seq", "x1"), 1},
    {IO(2, D(-1, 40), "rows"), 0},
    {IO(3, D(1, -1, 80), NULL), -1}, /* one item of any length */
    {IO(2, D(1, -1), NULL), -1},     /* the same */
    {IO(3, D(24, -1, 80), NULL, "frames"), -1},
    {IO(2, D(-1, 40), "sequence"), -1},
    {IO(2, D(1, 80), NULL), -1},
    {IO(0, D(0), NULL), -1},
};

START_TEST(names_and_places_tell_the_batch)
{
    const struct shapes_model model = model_of(&lone[_i].input, 1, &plain, 1);
    ck_assert_int_eq(shapes_batch_axis(&model, 0), lone[_i].axis);
    ck_assert_int_eq(shapes_batch_is_free(&model), lone[_i].axis >= 0);
}
END_TEST

START_TEST(what_is_proved_comes_before_names)
{
    struct percept_io input = IO(2, D(-1, -1), "rows", "n");
    const struct shapes_model model = model_of(&input, 1, &plain, 1);
    ck_assert_int_eq(shapes_batch_axis(&model, 0), 1);
    input.batch_axis = 0;
    ck_assert_int_eq(shapes_batch_axis(&model, 0), 0);
}
END_TEST

/* Names that say nothing by themselves: the one that all have is the batch. */
START_TEST(the_name_that_all_share_is_the_batch)
{
    const struct percept_io *inputs = INPUTS(IO(3, D(-1, -1, 40), "s0", "s1"), IO(3, D(1, -1, 64), NULL, "s1"));
    const struct percept_io *outputs = INPUTS(IO(3, D(-1, -1, 9), "s0", "s1"), IO(3, D(1, -1, 64), NULL, "s1"));
    struct shapes_model model = model_of(inputs, 2, outputs, 2);
    ck_assert_int_eq(shapes_batch_axis(&model, 0), 1);
    ck_assert_int_eq(shapes_batch_axis(&model, 1), 1);
    ck_assert(shapes_batch_is_free(&model));
    model.n_inputs = model.n_outputs = 1; /* both names are everywhere, and neither tells */
    ck_assert_int_eq(shapes_batch_axis(&model, 0), 0);
}
END_TEST

START_TEST(a_state_follows_its_sequence)
{
    const struct percept_io *inputs =
        INPUTS(IO(3, D(24, -1, 40), NULL), IO(3, D(1, -1, 64), NULL), IO(0, D(0), NULL), IO(1, D(4), NULL));
    const struct shapes_model model = model_of(inputs, 4, &plain, 1);
    const struct shapes_wish wish = {.batch = 8, .dims = &nothing, .given = &nothing};
    int64_t shape[PERCEPT_RANK_MAX];
    ck_assert(shapes_batch_is_free(&model));
    ck_assert_int_eq(shapes_input(&model, 0, &wish, shape, &err), 3);
    ck_assert_mem_eq(shape, ((int64_t[]){24, 8, 40}), 3 * sizeof *shape);
    ck_assert_int_eq(shapes_input(&model, 1, &wish, shape, &err), 3);
    ck_assert_mem_eq(shape, ((int64_t[]){1, 8, 64}), 3 * sizeof *shape);
    ck_assert_int_eq(shapes_input(&model, 2, &wish, shape, &err), 0);
    ck_assert_int_eq(shapes_items(&model, &wish), 8);
}
END_TEST

START_TEST(free_axes_get_the_batch_a_given_size_or_a_usual_one)
{
    const struct percept_io *inputs = INPUTS(IO(5, D(-1, 3, -1, -1, -1), "N", NULL, "height", "width", NULL));
    const char *given[] = {"height=7", "x:4=9", "N=100"};
    const struct options_list dims = {.n = 3, .at = given};
    int64_t shape[PERCEPT_RANK_MAX];
    const struct shapes_model model = model_of(inputs, 1, &plain, 1);
    const struct shapes_wish wish = {.batch = 8, .dims = &dims, .given = &nothing};
    ck_assert_int_eq(shapes_input(&model, 0, &wish, shape, &err), 5);
    ck_assert_mem_eq(shape, ((int64_t[]){8, 3, 7, 24, 9}), 5 * sizeof *shape);
    given[0] = "height=-7";
    ck_assert_int_eq(shapes_input(&model, 0, &wish, shape, &err), -1);
    ck_assert_str_eq(err.text, "--dim 'height=-7': expected NAME=N or INPUT:AXIS=N");
    const struct percept_io photo = {.name = "x", .rank = 4, .dims = {-1, 3, -1, -1}, .batch_axis = 0};
    const struct shapes_model pictures = model_of(&photo, 1, &plain, 1);
    const struct shapes_wish one = {.batch = 1, .dims = &nothing, .given = &nothing};
    ck_assert_int_eq(shapes_input(&pictures, 0, &one, shape, &err), 4);
    ck_assert_mem_eq(shape, ((int64_t[]){1, 3, 224, 224}), 4 * sizeof *shape);
}
END_TEST

START_TEST(a_shape_that_is_given_is_taken_whole)
{
    const struct percept_io *inputs = INPUTS(IO(3, D(-1, -1, 40), "T", "N"), {.name = "odd=name", .rank = -1});
    const char *given[] = {"x=1x2x3", "x=24x5x40", "odd=name="};
    const struct options_list shapes = {.n = 3, .at = given};
    const struct shapes_model model = model_of(inputs, 2, &plain, 1);
    const struct shapes_wish wish = {.batch = 1, .dims = &nothing, .given = &shapes};
    int64_t shape[PERCEPT_RANK_MAX];
    ck_assert_int_eq(shapes_input(&model, 0, &wish, shape, &err), 3); /* the last one counts */
    ck_assert_mem_eq(shape, ((int64_t[]){24, 5, 40}), 3 * sizeof *shape);
    ck_assert_int_eq(shapes_items(&model, &wish), 5);
    ck_assert_int_eq(shapes_input(&model, 1, &wish, shape, &err), 0);
    const struct shapes_wish without = {.batch = 1, .dims = &nothing, .given = &nothing};
    ck_assert_int_eq(shapes_input(&model, 1, &without, shape, &err), -1);
    ck_assert_str_eq(err.text, "the model does not say how many axes input 'odd=name' has: --shape "
                               "odd=name=NxNxN does");
}
END_TEST

Suite *command_shapes_suite(void);

Suite *command_shapes_suite(void)
{
    Suite *suite = suite_create("command_shapes");
    TCase *tests = tcase_create("shapes");
    tcase_add_loop_test(tests, names_and_places_tell_the_batch, 0, (int)(sizeof lone / sizeof *lone));
    tcase_add_test(tests, what_is_proved_comes_before_names);
    tcase_add_test(tests, the_name_that_all_share_is_the_batch);
    tcase_add_test(tests, a_state_follows_its_sequence);
    tcase_add_test(tests, free_axes_get_the_batch_a_given_size_or_a_usual_one);
    tcase_add_test(tests, a_shape_that_is_given_is_taken_whole);
    suite_add_tcase(suite, tests);
    return suite;
}
