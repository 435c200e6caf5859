/* Plans: no two tensors that live at the same time share scratch; shapes that cannot work are refused. */
#include "engine/plan.h"

#include <check.h>
#include <stdio.h>

#include "engine/shipped.h"

START_TEST(buffers_that_live_together_lie_apart)
{
    struct percept_model *model = shipped_open(shipped_names[_i]);
    int64_t dims[RANK_MAX];
    shipped_dims(model, 5, 11, dims);
    struct tensor input = {.dtype = model->inputs[0].dtype};
    tensor_set_dims(&input, model->inputs[0].rank, dims);
    struct plan plan;
    struct percept_err err = {0};
    ck_assert_msg(plan_build(&plan, model, model->parts, &input, &err), "%s", err.text);
    ck_assert_int_gt(plan.n_buffers, 1);
    size_t sum = 0;
    for (int i = 0; i < plan.n_buffers; i++) {
        const struct buffer *a = &plan.buffers[i];
        ck_assert_uint_eq(a->offset % 64, 0);
        ck_assert_uint_le(a->offset + a->n_bytes, plan.scratch_bytes);
        sum += a->n_bytes;
        for (int k = 0; k < i; k++) {
            const struct buffer *b = &plan.buffers[k];
            bool together = a->first <= b->last && b->first <= a->last;
            bool apart = a->offset + a->n_bytes <= b->offset || b->offset + b->n_bytes <= a->offset;
            ck_assert(!together || apart);
        }
    }
    ck_assert_uint_lt(plan.scratch_bytes, sum);
    plan_free(&plan);
    percept_close(model);
}
END_TEST

/* Every tensor a step reads or writes lies inside the scratch, the region or the plan's arena. */
START_TEST(placing_moves_every_pointer)
{
    struct percept_model *model = shipped_open("digits");
    int64_t dims[RANK_MAX];
    shipped_dims(model, 2, 0, dims);
    struct tensor input = {.dtype = model->inputs[0].dtype};
    tensor_set_dims(&input, model->inputs[0].rank, dims);
    struct plan plan;
    struct percept_err err = {0};
    ck_assert(plan_build(&plan, model, model->parts, &input, &err));
    char *first = arena_buffer(plan.scratch_bytes), *second = arena_buffer(plan.scratch_bytes);
    plan_place(&plan, first);
    const char *before = plan.outputs[0]->data;
    plan_place(&plan, second);
    ck_assert_int_eq((const char *)plan.outputs[0]->data - second, before - first);
    for (int i = 0; i < plan.n_steps; i++)
        for (int k = 0; k < plan.steps[i].n_out; k++) {
            const char *at = plan.steps[i].out[k]->data;
            ck_assert(at >= second && at < second + plan.scratch_bytes);
        }
    arena_buffer_free(first);
    arena_buffer_free(second);
    plan_free(&plan);
    percept_close(model);
}
END_TEST

Suite *engine_plan_suite(void);
Suite *engine_plan_suite(void)
{
    Suite *suite = suite_create("engine_plan");
    TCase *tests = tcase_create("plan");
    tcase_add_loop_test(tests, buffers_that_live_together_lie_apart, 0, SHIPPED_COUNT);
    tcase_add_test(tests, placing_moves_every_pointer);
    suite_add_tcase(suite, tests);
    return suite;
}
