/* Plans for the rest: built from what a run computed, used again while that is the same. */
#include "engine/chain.h"

#include <check.h>

#include "engine/scratch.h"
#include "engine/small.h"

static void run_steps(const struct plan *plan)
{
    struct run_env env = {0};
    struct percept_err err = {0};
    for (int i = 0; i < plan->n_steps; i++)
        ck_assert_msg(plan->steps[i].op->rule->run(&plan->steps[i], &env, &err), "%s", err.text);
}

static struct percept_model *model;
static struct plan plan;
static char *scratch; /* the plan's memory */
static struct percept_err err;

/* Plans for n elements of the sole input. */
static void begin(struct percept_model *opened, int64_t n)
{
    model = opened;
    err = (struct percept_err){0};
    small_plan(&plan, model, 1, DIMS(n));
    scratch = arena_buffer(plan.scratch_bytes);
    scratch_place(&plan, scratch);
}

static void end(void)
{
    plan_free(&plan);
    arena_buffer_free(scratch);
    percept_close(model);
}

static struct plan *next_plan(void)
{
    struct plan *rest = chain_next(&plan, model, &err);
    ck_assert_msg(rest != NULL, "%s", err.text);
    return rest;
}

/* y = the elements of x that are not zero. */
static struct percept_model *nonzero_model(void)
{
    struct small s = small_xy(1, DIMS(6));
    small_ints(&s, "flat", 1, DIMS(-1));
    small_node(&s, "NonZero", "x", "where");
    small_node(&s, "Reshape", "where,flat", "index");
    small_node(&s, "Gather", "x,index", "y");
    return small_open(&s);
}

START_TEST(equal_dims_take_the_same_plan_again)
{
    begin(nonzero_model(), 6);
    float *x = plan.feeds[0]->data;
    memcpy(x, (float[]){0, 3, 0, 4, 0, 0}, 6 * sizeof *x);
    run_steps(&plan);
    struct plan *rest = next_plan();
    ck_assert(plan_complete(rest));
    ck_assert_int_eq(rest->outputs[0]->dims[0], 2);
    run_steps(rest);
    ck_assert_float_eq(((float *)rest->outputs[0]->data)[1], 4);
    size_t calls = arena_calls();
    memcpy(x, (float[]){7, 0, 0, 0, 0, 8}, 6 * sizeof *x); /* elsewhere, but as many */
    run_steps(&plan);
    ck_assert_ptr_eq(chain_next(&plan, model, &err), rest);
    run_steps(rest);
    ck_assert_float_eq(((float *)rest->outputs[0]->data)[0], 7);
    ck_assert_uint_eq(arena_calls(), calls);
    x[1] = 9;
    run_steps(&plan);
    rest = next_plan();
    ck_assert_uint_gt(arena_calls(), calls);
    ck_assert_int_eq(rest->outputs[0]->dims[0], 3);
    end();
}
END_TEST

/* When the memory of the plan before moves, pointers into it follow. */
START_TEST(values_of_the_plan_before_are_found_where_they_lie_now)
{
    begin(nonzero_model(), 6);
    char *const at[2] = {scratch, arena_buffer(plan.scratch_bytes)};
    for (int i = 0; i < 2; i++) {
        scratch_place(&plan, at[i]);
        memcpy(plan.feeds[0]->data, (float[]){0, 0, 5, 0, 0, (float)i + 1}, 6 * sizeof(float));
        run_steps(&plan);
        struct plan *rest = next_plan();
        run_steps(rest);
        ck_assert_float_eq(((float *)rest->outputs[0]->data)[1], (float)i + 1);
    }
    end();
    arena_buffer_free(at[1]);
}
END_TEST

/* Plans behind the next one are built from it, when the memory of this one may be gone. */
START_TEST(what_decided_is_kept_apart_from_the_plan_before)
{
    begin(small_open_reshaped(), 2);
    memcpy(plan.feeds[0]->data, DIMS(2, 3), 2 * sizeof(int64_t));
    struct plan *rest = next_plan();
    const int64_t *kept = rest->values[model->onnx.graph->inputs[0]].data;
    ck_assert_ptr_ne(kept, plan.feeds[0]->data);
    ck_assert(kept[0] == 2 && kept[1] == 3);
    end();
}
END_TEST

START_TEST(a_rest_that_cannot_work_is_refused_and_forgotten)
{
    begin(small_open_reshaped(), 2);
    int64_t *to = plan.feeds[0]->data;
    to[0] = to[1] = 4;
    run_steps(&plan);
    ck_assert_ptr_null(chain_next(&plan, model, &err));
    ck_assert_msg(strstr(err.text, "Reshape") != NULL, "%s", err.text);
    ck_assert_ptr_null(plan.next);
    to[0] = 2;
    to[1] = 3;
    err = (struct percept_err){0};
    struct plan *rest = next_plan();
    ck_assert_int_eq(rest->outputs[0]->dims[1], 3);
    end();
}
END_TEST

Suite *engine_chain_suite(void);
Suite *engine_chain_suite(void)
{
    Suite *suite = suite_create("engine_chain");
    TCase *tests = tcase_create("chain");
    tcase_add_test(tests, equal_dims_take_the_same_plan_again);
    tcase_add_test(tests, values_of_the_plan_before_are_found_where_they_lie_now);
    tcase_add_test(tests, what_decided_is_kept_apart_from_the_plan_before);
    tcase_add_test(tests, a_rest_that_cannot_work_is_refused_and_forgotten);
    suite_add_tcase(suite, tests);
    return suite;
}
