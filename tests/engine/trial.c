/* Trials: what fails at guesses is not held against a model; what follows the batch is the batch. */
#include "engine/trial.h"

#include <check.h>

#include "engine/small.h"

START_TEST(a_trial_takes_the_batch_it_is_told)
{
    struct small s = small_xy(3, DIMS(-1, 2, -1));
    small_node(&s, "Relu", "x", "y");
    struct percept_model *model = small_open(&s);
    struct percept_err err = {0};
    for (int64_t batch = 1; batch < 4; batch++) {
        struct plan plan;
        ck_assert(trial_plan(model, batch, &plan, &err));
        ck_assert_ptr_nonnull(plan.outputs);
        ck_assert_int_eq(plan.outputs[0]->dims[0], batch);
        ck_assert_int_eq(plan.outputs[0]->dims[1], 2);
        ck_assert_int_gt(plan.outputs[0]->dims[2], 0);
        plan_free(&plan);
    }
    percept_close(model);
}
END_TEST

/* Runs on zeros, and closes. */
static void runs_without_a_batch(struct percept_model *model, int64_t rows, int64_t columns)
{
    static const float zeros[16];
    ck_assert(!small_describe(model).batch_free);
    struct percept_session *session = small_session(model);
    ck_assert_ptr_nonnull(small_run(session, 2, DIMS(rows, columns), zeros));
    percept_session_free(session);
    percept_close(model);
}

/* Only a length of 7 works, and no trial can know that. */
START_TEST(a_guess_that_fails_is_not_held_against_the_model)
{
    struct small s = small_xy(2, DIMS(-1, -1));
    small_weights(&s, "w", 2, DIMS(7, 3), 1);
    small_node(&s, "MatMul", "x,w", "y");
    struct percept_model *model = small_open(&s);
    struct plan plan;
    struct percept_err err = {0};
    ck_assert(trial_plan(model, 2, &plan, &err));
    ck_assert_ptr_null(plan.outputs);
    ck_assert_int_eq(err.code, 0);
    plan_free(&plan);
    runs_without_a_batch(model, 1, 7);
}
END_TEST

START_TEST(what_fails_without_a_guess_is)
{
    struct small s = small_xy(2, DIMS(-1, 5));
    small_weights(&s, "w", 2, DIMS(7, 3), 1);
    small_node(&s, "MatMul", "x,w", "y");
    small_refused(&s, NULL, "MatMul");
}
END_TEST

/* The elements of x as a line, and a window that slides along it. */
static struct percept_model *open_windowed(int rank, const int64_t *dims, int64_t window)
{
    struct small s = small_xy(rank, dims);
    small_weights(&s, "w", 3, DIMS(2, 1, window), 1);
    small_ints(&s, "line", 3, DIMS(1, 1, -1));
    small_node(&s, "Reshape", "x,line", "a");
    small_node(&s, "Conv", "a,w", "y");
    return small_open(&s);
}

START_TEST(inputs_of_any_rank_are_taken_on_trust)
{
    struct small s = small_begin();
    small_input(&s, "x", -1, NULL);
    small_output(&s, "y", -1, NULL);
    small_node(&s, "Relu", "x", "y");
    runs_without_a_batch(small_open(&s), 1, 4);
}
END_TEST

START_TEST(a_first_axis_may_be_time)
{
    runs_without_a_batch(open_windowed(2, DIMS(-1, 1), 5), 7, 1); /* two steps are too few */
}
END_TEST

START_TEST(a_free_axis_may_have_to_be_long)
{
    struct percept_model *model = open_windowed(2, DIMS(1, -1), 400);
    ck_assert_int_eq(trial_length(model), 512);
    percept_close(model);
    model = open_windowed(2, DIMS(1, -1), 10000);
    ck_assert_int_eq(trial_length(model), 16000);
    percept_close(model);
}
END_TEST

/* Batches that some number does not divide are tried with one that many do. */
START_TEST(a_batch_may_have_to_be_divisible)
{
    struct small s = small_xy(2, DIMS(-1, 3));
    small_ints(&s, "fives", 2, DIMS(-1, 15));
    small_ints(&s, "rows", 2, DIMS(-1, 3));
    small_nodes(&s, "Reshape x,fives > f; Relu f > r; Reshape r,rows > y");
    runs_without_a_batch(small_open(&s), 5, 3); /* none of 1, 2, 24 and 131 works */
}
END_TEST

/* The Reshape says 1, the input does not. */
START_TEST(a_batch_that_only_1_fits_is_not_held_against_the_model)
{
    struct small s = small_xy(2, DIMS(-1, 4));
    small_ints(&s, "to", 3, DIMS(1, 2, 2));
    small_node(&s, "Reshape", "x,to", "y");
    runs_without_a_batch(small_open(&s), 1, 4);
}
END_TEST

/* With the made-up length of free axes, an item stays within 10^5 elements. */
START_TEST(a_guess_is_smaller_where_many_axes_are_free)
{
    static const int64_t want[] = {24, 24, 24, 24, 12, 8, 4}; /* axes free besides the batch: 0 to 6 */
    for (int n = 0; n < 7; n++) {
        struct small s = small_xy(n + 2, DIMS(-1, n > 0 ? -1 : 3, n > 1 ? -1 : 3, n > 2 ? -1 : 3, n > 3 ? -1 : 3,
                                              n > 4 ? -1 : 3, n > 5 ? -1 : 3, 3));
        small_node(&s, "Relu", "x", "y");
        struct percept_model *model = small_open(&s);
        ck_assert_int_eq(trial_length(model), want[n]);
        percept_close(model);
    }
}
END_TEST

static bool batch_is_free(struct small *s)
{
    struct percept_model *model = small_open(s);
    const bool batch_free = small_describe(model).batch_free;
    percept_close(model);
    return batch_free;
}

/* y = x, or x seen under other dims. */
static bool batch_is_free_as(int rank, const int64_t *dims, int64_t n, const int64_t *to)
{
    struct small s = small_xy(rank, dims);
    small_ints(&s, "to", n, to);
    small_node(&s, "Relu", "x", "a");
    small_node(&s, "Reshape", "a,to", "y");
    return batch_is_free(&s);
}

START_TEST(a_first_axis_that_outputs_follow_is_the_batch)
{
    ck_assert(batch_is_free_as(2, DIMS(-1, 4), 2, DIMS(-1, 4)));
    ck_assert(batch_is_free_as(2, DIMS(-1, 4), 3, DIMS(-1, 2, 2)));
    ck_assert(!batch_is_free_as(2, DIMS(-1, 4), 2, DIMS(4, -1)));
    ck_assert(!batch_is_free_as(2, DIMS(-1, 4), 2, DIMS(-1, 2))); /* two rows for each item */
    ck_assert(!batch_is_free_as(2, DIMS(3, 4), 2, DIMS(3, 4)));
}
END_TEST

START_TEST(an_axis_that_outputs_do_not_follow_is_no_batch)
{
    struct small s = small_begin();
    small_input(&s, "x", 2, DIMS(-1, 4));
    small_output(&s, "y", 1, DIMS(-1));
    small_floats(&s, "rows", 0, NULL, (float[]){1});
    small_ints(&s, "flat", 1, (int64_t[]){-1});
    small_node(&s, "Reshape", "x,flat", "y");
    ck_assert(!batch_is_free(&s)); /* 4 elements of y for each item */
}
END_TEST

START_TEST(a_graph_that_keeps_the_first_few_items_has_no_batch)
{
    struct small s = small_begin();
    small_input(&s, "x", 2, DIMS(-1, 4));
    small_output(&s, "y", 2, DIMS(-1, 4));
    small_ints(&s, "begin", 1, (int64_t[]){0});
    small_ints(&s, "end", 1, (int64_t[]){8});
    small_node(&s, "Slice", "x,begin,end", "y");
    ck_assert(!batch_is_free(&s));
}
END_TEST

/* The one item's axis goes away with the others that are 1 long. */
START_TEST(outputs_that_lose_the_axis_of_one_item_have_no_batch)
{
    struct small s = small_begin();
    small_input(&s, "x", 4, DIMS(-1, 4, 1, 1));
    small_output(&s, "y", 2, DIMS(-1, 4));
    small_node(&s, "Squeeze", "x", "y");
    ck_assert(!batch_is_free(&s));
}
END_TEST

Suite *engine_trial_suite(void);
Suite *engine_trial_suite(void)
{
    Suite *suite = suite_create("engine_trial");
    TCase *tests = tcase_create("trial");
    tcase_add_test(tests, a_trial_takes_the_batch_it_is_told);
    tcase_add_test(tests, a_guess_that_fails_is_not_held_against_the_model);
    tcase_add_test(tests, what_fails_without_a_guess_is);
    tcase_add_test(tests, inputs_of_any_rank_are_taken_on_trust);
    tcase_add_test(tests, a_first_axis_may_be_time);
    tcase_add_test(tests, a_free_axis_may_have_to_be_long);
    tcase_add_test(tests, a_batch_may_have_to_be_divisible);
    tcase_add_test(tests, a_batch_that_only_1_fits_is_not_held_against_the_model);
    tcase_add_test(tests, a_guess_is_smaller_where_many_axes_are_free);
    tcase_add_test(tests, a_first_axis_that_outputs_follow_is_the_batch);
    tcase_add_test(tests, an_axis_that_outputs_do_not_follow_is_no_batch);
    tcase_add_test(tests, a_graph_that_keeps_the_first_few_items_has_no_batch);
    tcase_add_test(tests, outputs_that_lose_the_axis_of_one_item_have_no_batch);
    suite_add_tcase(suite, tests);
    return suite;
}
