/* Batches whose items are run one after the other: when, and with the same bits, errors and deadlines as at once. */
#include <check.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "engine/depth.h"
#include "engine/planner.h"
#include "engine/small.h"

#define SIDE 160
#define PIXELS (SIDE * SIDE)

/* Few weights and large maps: 3 channels in, 16 inside, 2 out. `last` ends in y. */
static struct percept_model *maps_model(const char *last)
{
    struct small s = small_xy(4, DIMS(-1, 3, SIDE, SIDE));
    small_weights(&s, "w", 4, DIMS(16, 3, 3, 3), 1);
    small_weights(&s, "v", 4, DIMS(2, 16, 3, 3), 2);
    small_nodes(&s, "Conv x,w > a pads=1,1,1,1; Relu a > b; Conv b,v > c strides=8,8; Tanh c > d");
    small_nodes(&s, last);
    return small_open(&s);
}

static const char plain[] = "Identity d > y";

static bool wanted(struct percept_model *model, int64_t n)
{
    struct plan plan = {0};
    small_plan(&plan, model, 4, DIMS(n, 3, SIDE, SIDE));
    const bool answer = depth_wanted(model, &plan);
    ck_assert(answer == depth_wanted(model, &plan));
    plan_free(&plan);
    return answer;
}

static float *inputs_of(int64_t n)
{
    float *x = arena_buffer((size_t)n * 3 * PIXELS * sizeof *x);
    uint32_t state = 1;
    for (int64_t i = 0; i < n * 3 * PIXELS; i++) {
        state = state * 1664525 + 1013904223;
        x[i] = (float)(int32_t)state / 2147483648.0f;
    }
    return x;
}

START_TEST(large_maps_of_several_items_are_wanted)
{
    struct percept_model *model = maps_model(plain);
    ck_assert(wanted(model, 2));
    ck_assert(wanted(model, 5));
    ck_assert(!wanted(model, 1));
    ck_assert(!wanted(model, 0));
    percept_close(model);
}
END_TEST

/* Small maps, weights that outweigh them, and what passes through alone. */
START_TEST(what_fits_a_cache_or_has_large_weights_is_not)
{
    struct small s = small_xy(2, DIMS(-1, 64));
    small_weights(&s, "w", 2, DIMS(64, 64), 1);
    small_nodes(&s, "MatMul x,w > y");
    struct percept_model *small = small_open(&s);
    struct plan plan = {0};
    small_plan(&plan, small, 2, DIMS(32, 64));
    ck_assert(!depth_wanted(small, &plan));
    plan_free(&plan);
    percept_close(small);

    s = small_xy(2, DIMS(-1, 1500));
    small_weights(&s, "w", 2, DIMS(1500, 1500), 1);
    small_nodes(&s, "MatMul x,w > a; MatMul a,w > b; MatMul b,w > y");
    struct percept_model *heavy = small_open(&s);
    small_plan(&plan, heavy, 2, DIMS(512, 1500));
    ck_assert(!depth_wanted(heavy, &plan));
    plan_free(&plan);
    percept_close(heavy);

    s = small_xy(2, DIMS(-1, 1 << 20));
    small_nodes(&s, "Relu x > y");
    struct percept_model *thin = small_open(&s);
    small_plan(&plan, thin, 2, DIMS(4, 1 << 20));
    ck_assert(!depth_wanted(thin, &plan));
    plan_free(&plan);
    percept_close(thin);
}
END_TEST

START_TEST(items_that_are_not_apart_are_not)
{
    struct percept_model *model = maps_model("ReduceMax d > m axes=0 keepdims=1; Div d,m > y");
    ck_assert(!wanted(model, 3));
    percept_close(model);
    model = maps_model("Flatten d > f axis=1; Transpose f > y perm=1,0");
    ck_assert(!wanted(model, 3)); /* they are, but lie along another axis of the output */
    percept_close(model);
}
END_TEST

static void same_bits(struct percept_session *session, const float *x, int64_t n)
{
    const size_t row = 2 * 20 * 20;
    float *alone = arena_buffer((size_t)n * row * sizeof *alone);
    for (int64_t i = 0; i < n; i++) {
        const float *y = small_run(session, 4, DIMS(1, 3, SIDE, SIDE), x + i * 3 * PIXELS);
        ck_assert_int_eq(percept_output(session, 0).dims[2], 20);
        memcpy(alone + (size_t)i * row, y, row * sizeof *y);
    }
    const float *y = small_run(session, 4, DIMS(n, 3, SIDE, SIDE), x);
    const struct percept_tensor output = percept_output(session, 0);
    ck_assert_int_eq(output.rank, 4);
    ck_assert_int_eq(output.dims[0], n);
    ck_assert_mem_eq(y, alone, (size_t)n * row * sizeof *y);
    arena_buffer_free(alone);
}

START_TEST(the_bits_are_those_of_items_alone)
{
    struct percept_model *model = maps_model(plain);
    struct percept_session *session = small_session(model);
    float *x = inputs_of(5);
    for (int64_t n = 2; n <= 5; n++)
        same_bits(session, x, n);
    same_bits(session, x, 3);
    arena_buffer_free(x);
    percept_session_free(session);
    percept_close(model);
}
END_TEST

START_TEST(memory_is_that_of_one_item_beside_inputs_and_outputs)
{
    struct percept_model *model = maps_model(plain);
    struct percept_session *session = small_session(model);
    float *x = inputs_of(5);
    small_run(session, 4, DIMS(1, 3, SIDE, SIDE), x);
    const size_t one = percept_session_needs(session);
    percept_session_trim(session, true);
    small_run(session, 4, DIMS(5, 3, SIDE, SIDE), x);
    ck_assert_uint_le(percept_session_bytes(session), one + 5 * (3 * PIXELS + 800 + 64) * sizeof(float));
    ck_assert_uint_eq(percept_session_bytes(session), percept_session_needs(session));
    const size_t calls = arena_calls();
    small_run(session, 4, DIMS(5, 3, SIDE, SIDE), x);
    ck_assert_uint_eq(arena_calls(), calls);
    percept_session_trim(session, false);
    ck_assert_ptr_null(percept_output(session, 0).data);
    same_bits(session, x, 5);
    percept_session_trim(session, true);
    ck_assert_uint_eq(percept_session_bytes(session), 0);
    arena_buffer_free(x);
    percept_session_free(session);
    percept_close(model);
}
END_TEST

START_TEST(a_run_ends_at_its_deadline_and_the_next_is_whole)
{
    struct percept_model *model = maps_model(plain);
    struct percept_session *session = small_session(model);
    struct percept_err err = {0};
    float *x = inputs_of(3);
    small_run(session, 4, DIMS(3, 3, SIDE, SIDE), x);
    const struct percept_run_context late = {.deadline_ns = 1};
    ck_assert(!percept_run(session, &late, &err));
    ck_assert_int_eq(err.code, ERR_TIMEOUT);
    ck_assert_ptr_null(percept_output(session, 0).data);
    const int raised = 1;
    const struct percept_run_context cancelled = {.cancel = &raised};
    ck_assert(!percept_run(session, &cancelled, &err));
    ck_assert_int_eq(err.code, ERR_CANCELLED);
    same_bits(session, x, 3);
    arena_buffer_free(x);
    percept_session_free(session);
    percept_close(model);
}
END_TEST

START_TEST(without_memory_a_run_fails_and_the_next_does_not)
{
    struct percept_model *model = maps_model(plain);
    float *x = inputs_of(2);
    for (size_t i = 0; i < 52; i++) {
        const bool on = i < 40; /* all from there, or one */
        struct percept_err err = {0};
        struct percept_session *session = small_session(model);
        ck_assert(percept_resize(session, 0, 4, DIMS(2, 3, SIDE, SIDE), &err));
        arena_fail_at(on ? 1 + i : 1 + i - 40, on);
        const bool ok = percept_run(session, NULL, &err);
        arena_fail_at(0, false);
        ck_assert(ok || (err.code == ERR_MEMORY && err.text[0]));
        same_bits(session, x, 2);
        percept_session_free(session);
    }
    arena_buffer_free(x);
    percept_close(model);
}
END_TEST

Suite *engine_depth_suite(void);
Suite *engine_depth_suite(void)
{
    Suite *suite = suite_create("engine_depth");
    TCase *tests = tcase_create("depth");
    tcase_set_timeout(tests, 300);
    tcase_add_test(tests, large_maps_of_several_items_are_wanted);
    tcase_add_test(tests, what_fits_a_cache_or_has_large_weights_is_not);
    tcase_add_test(tests, items_that_are_not_apart_are_not);
    tcase_add_test(tests, the_bits_are_those_of_items_alone);
    tcase_add_test(tests, memory_is_that_of_one_item_beside_inputs_and_outputs);
    tcase_add_test(tests, a_run_ends_at_its_deadline_and_the_next_is_whole);
    tcase_add_test(tests, without_memory_a_run_fails_and_the_next_does_not);
    suite_add_tcase(suite, tests);
    return suite;
}
