/* Scratch: buffers lie as low as their lives allow, and no two that live at the same time share a byte. */
#include "engine/scratch.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "engine/planner.h"
#include "engine/shipped.h"

struct life {
    size_t n_bytes;
    int first, last;
};

/* A builder of nothing but buffers with the given lives. */
static void lay_out(struct plan *plan, const struct life *lives, int n, size_t limit, bool expected,
                    struct percept_err *err)
{
    struct graph graph = {0};
    struct part part = {.graph = &graph};
    struct percept_model model = {.memory_limit_bytes = limit};
    *plan = (struct plan){.part = &part};
    struct builder b = {.plan = plan, .model = &model, .graph = &graph, .err = err};
    ck_assert(builder_begin(&b));
    for (int i = 0; i < n; i++) {
        plan->n_steps = lives[i].first;
        ck_assert_int_eq(builder_buffer(&b, lives[i].n_bytes), i);
        plan->n_steps = lives[i].last;
        scratch_used(&b, i);
    }
    ck_assert_int_eq(scratch_place_all(&b), expected);
    builder_end(&b);
}

/* The picture at the head of scratch.c. Every buffer has 64 bytes of slack. */
START_TEST(the_largest_lie_lowest_and_memory_is_used_again)
{
    enum { INPUT, CONV1, CONV2, POOL, DENSE };
    const struct life lives[] = {[INPUT] = {64, 0, 4},
                                 [CONV1] = {960, 0, 1},
                                 [CONV2] = {960, 1, 2},
                                 [POOL] = {448, 2, 3},
                                 [DENSE] = {192, 3, 4}};
    struct plan plan;
    struct percept_err err = {0};
    lay_out(&plan, lives, 5, SIZE_MAX, true, &err);
    ck_assert_uint_eq(plan.buffers[CONV1].offset, 0);
    ck_assert_uint_eq(plan.buffers[CONV2].offset, 1024);
    ck_assert_uint_eq(plan.buffers[POOL].offset, 0);
    ck_assert_uint_eq(plan.buffers[DENSE].offset, 512);
    ck_assert_uint_eq(plan.buffers[INPUT].offset, 2048);
    ck_assert_uint_eq(plan.scratch_bytes, 2048 + 128);
    plan_free(&plan);
}
END_TEST

START_TEST(a_gap_is_filled_where_it_is_large_enough)
{
    /* 0 and 1 leave [1024, 1536) free for steps 2 and 3 */
    const struct life lives[] = {{960, 0, 3}, {448, 0, 1}, {448, 2, 3}, {384, 0, 3}};
    struct plan plan;
    struct percept_err err = {0};
    lay_out(&plan, lives, 4, SIZE_MAX, true, &err);
    ck_assert_uint_eq(plan.buffers[1].offset, 1024);
    ck_assert_uint_eq(plan.buffers[2].offset, 1024);
    ck_assert_uint_eq(plan.buffers[3].offset, 1536);
    plan_free(&plan);
}
END_TEST

START_TEST(more_than_the_limit_is_refused_with_both_sizes)
{
    const struct life lives[] = {{(size_t)3 << 20, 0, 1}, {(size_t)3 << 20, 1, 2}};
    struct plan plan;
    struct percept_err err = {0};
    lay_out(&plan, lives, 2, (size_t)5 << 20, false, &err);
    ck_assert_int_eq(err.code, ERR_MEMORY);
    ck_assert_ptr_nonnull(strstr(err.text, "6 MB"));
    ck_assert_ptr_nonnull(strstr(err.text, "5 MB"));
    plan_free(&plan);
}
END_TEST

START_TEST(what_is_kept_shares_with_nobody)
{
    struct graph graph = {0};
    struct part part = {.graph = &graph};
    struct percept_model model = {.memory_limit_bytes = SIZE_MAX};
    struct plan plan = {.part = &part};
    struct percept_err err = {0};
    struct builder b = {.plan = &plan, .model = &model, .graph = &graph, .err = &err};
    ck_assert(builder_begin(&b));
    int kept = builder_buffer(&b, 64);
    scratch_keep(&b, kept);
    plan.n_steps = 100;
    int late = builder_buffer(&b, 64);
    scratch_keep(&b, -1);
    scratch_used(&b, -1);
    ck_assert(scratch_place_all(&b));
    ck_assert_uint_ne(plan.buffers[kept].offset, plan.buffers[late].offset);
    builder_end(&b);
    plan_free(&plan);
}
END_TEST

START_TEST(buffers_that_live_together_lie_apart)
{
    struct percept_model *model = shipped_open(shipped_names[_i]);
    int64_t dims[RANK_MAX];
    shipped_dims(model, 5, 11, dims);
    struct tensor input = {.dtype = model->inputs[0].dtype};
    tensor_set_dims(&input, model->inputs[0].rank, dims);
    struct plan plan;
    struct percept_err err = {0};
    ck_assert_msg(planner_build(&plan, model, model->parts, &input, &err), "%s", err.text);
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
    ck_assert(planner_build(&plan, model, model->parts, &input, &err));
    char *first = arena_buffer(plan.scratch_bytes), *second = arena_buffer(plan.scratch_bytes);
    scratch_place(&plan, first);
    const char *before = plan.outputs[0]->data;
    scratch_place(&plan, second);
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

Suite *engine_scratch_suite(void);
Suite *engine_scratch_suite(void)
{
    Suite *suite = suite_create("engine_scratch");
    TCase *tests = tcase_create("scratch");
    tcase_add_test(tests, the_largest_lie_lowest_and_memory_is_used_again);
    tcase_add_test(tests, a_gap_is_filled_where_it_is_large_enough);
    tcase_add_test(tests, more_than_the_limit_is_refused_with_both_sizes);
    tcase_add_test(tests, what_is_kept_shares_with_nobody);
    tcase_add_test(tests, placing_moves_every_pointer);
    tcase_add_loop_test(tests, buffers_that_live_together_lie_apart, 0, SHIPPED_COUNT);
    suite_add_tcase(suite, tests);
    return suite;
}
