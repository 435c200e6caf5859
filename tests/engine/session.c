/*
 * Sessions: the same bits whatever the company, nothing allocated in steady state, shapes judged, runs
 * that end early.
 */
#include <check.h>
#include <fenv.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/mode.h"
#include "engine/shipped.h"
#include "engine/small.h"

#define MOST_OUT 32

static size_t run_batch(struct percept_session *session, const struct percept_model *model, int64_t batch,
                        int64_t length, const unsigned *seeds, struct percept_team *team, float *out)
{
    int64_t dims[PERCEPT_RANK_MAX];
    struct percept_err err = {0};
    int n;
    shipped_dims(model, batch, length, dims);
    size_t item = shipped_item_bytes(model, dims);
    ck_assert_msg(percept_resize(session, 0, percept_inputs(model, &n)->rank, dims, &err), "%s", err.text);
    ck_assert_msg(percept_prepare(session, &err), "%s", err.text);
    for (int64_t i = 0; i < batch; i++)
        shipped_fill(model, (char *)percept_input(session, 0) + (size_t)i * item, item, seeds[i]);
    struct percept_run_context context = {.team = team};
    ck_assert_msg(percept_run(session, &context, &err), "%s", err.text);
    struct percept_tensor result = percept_output(session, 0);
    ck_assert_int_eq(result.dims[0], batch);
    size_t row = 1;
    for (int d = 1; d < result.rank; d++)
        row *= (size_t)result.dims[d];
    ck_assert_uint_le(row, MOST_OUT);
    memcpy(out, result.data, (size_t)batch * row * sizeof *out);
    return row;
}

static void *help(void *team)
{
    percept_team_help(team);
    return NULL;
}

/* AddressSanitizer looks at addresses, which are those of the batch wherever an item lies in it: its builds
 * take few positions, the others all. */
#ifdef __SANITIZE_ADDRESS__
enum { NEXT_POSITION = 11 };
#else
enum { NEXT_POSITION = 1 };
#endif

/* Item `seed` alone must equal the same item at every position of every batch. */
static void same_bits(const char *name, bool helped)
{
    struct percept_model *model = shipped_open(name);
    struct percept_err err = {0};
    struct percept_session *session = small_session(model);
    struct percept_team *team = NULL;
    pthread_t helper;
    if (helped) {
        team = percept_team_new(&err);
        ck_assert_ptr_nonnull(team);
        ck_assert_int_eq(pthread_create(&helper, NULL, help, team), 0);
    }
    static float alone[MOST_OUT], together[32 * MOST_OUT];
    unsigned seeds[32] = {7};
    size_t n = run_batch(session, model, 1, 9, seeds, NULL, alone);
    static const int64_t batches[] = {1, 2, 7, 8, 32};
    for (size_t b = 0; b < sizeof batches / sizeof *batches; b++)
        for (int64_t at = 0; at < batches[b]; at += NEXT_POSITION) {
            for (int64_t i = 0; i < batches[b]; i++)
                seeds[i] = i == at ? 7 : 100 + (unsigned)i;
            run_batch(session, model, batches[b], 9, seeds, team, together);
            ck_assert_msg(memcmp(alone, together + (size_t)at * n, n * sizeof(float)) == 0,
                          "%s, batch %d, position %d, %s: other bits than alone", name, (int)batches[b], (int)at,
                          helped ? "helped" : "one core");
        }
    if (helped) {
        percept_team_close(team);
        pthread_join(helper, NULL);
        percept_team_free(team);
    }
    percept_session_free(session);
    percept_close(model);
}

START_TEST(an_item_has_the_same_bits_in_every_batch_and_position)
{
    same_bits(shipped_names[_i], false);
}
END_TEST

START_TEST(an_item_has_the_same_bits_on_two_cores)
{
    same_bits(shipped_names[_i], true);
}
END_TEST

/* Counts our own allocations and what the C library hands out; both must stand still. */
START_TEST(a_run_at_known_shapes_allocates_nothing)
{
    struct percept_model *model = shipped_open(shipped_names[_i]);
    struct percept_session *session = small_session(model);
    float out[8 * MOST_OUT];
    unsigned seeds[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    run_batch(session, model, 8, 9, seeds, NULL, out);
    run_batch(session, model, 3, 5, seeds, NULL, out);
    size_t calls = arena_calls();
    size_t used = mallinfo2().uordblks;
    for (int round = 0; round < 5; round++) {
        run_batch(session, model, 8, 9, seeds, NULL, out);
        run_batch(session, model, 3, 5, seeds, NULL, out);
    }
    ck_assert_uint_eq(arena_calls(), calls);
    ck_assert_uint_eq(mallinfo2().uordblks, used);
    percept_session_free(session);
    percept_close(model);
}
END_TEST

START_TEST(shapes_that_do_not_fit_are_refused_by_name)
{
    struct percept_model *model = shipped_open("digits");
    struct percept_err err = {0};
    struct percept_session *session = small_session(model);
    ck_assert_ptr_null(percept_input(session, 0));
    ck_assert(!percept_run(session, NULL, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "'image'"));
    int64_t wrong[4] = {1, 1, 28, 29}, flat[2] = {1, 784}, negative[4] = {-1, 1, 28, 28};
    ck_assert(!percept_resize(session, 0, 4, wrong, &err));
    ck_assert_str_eq(err.text, "input 'image' has shape [-1,1,28,28], got [1,1,28,29]");
    ck_assert(!percept_resize(session, 0, 2, flat, &err));
    ck_assert(!percept_resize(session, 0, 4, negative, &err));
    ck_assert(!percept_resize(session, 1, 4, wrong, &err));
    int64_t huge[4] = {INT64_MAX / 2, 1, 28, 28};
    ck_assert(!percept_resize(session, 0, 4, huge, &err));
    percept_session_free(session);
    percept_close(model);
}
END_TEST

START_TEST(memory_beyond_the_limit_is_refused_and_the_session_lives_on)
{
    struct percept_options options = {
        .size = sizeof options, .region = PERCEPT_REGION_PRIVATE, .memory_limit_bytes = 4 << 20};
    struct percept_err err = {0};
    struct percept_model *model = percept_open("models/digits/model.onnx", &options, &err);
    ck_assert_msg(model != NULL, "%s", err.text);
    struct percept_session *session = small_session(model);
    int64_t many[4] = {5000, 1, 28, 28}, one[4] = {1, 1, 28, 28};
    ck_assert(percept_resize(session, 0, 4, many, &err));
    ck_assert(!percept_prepare(session, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "over the limit of 4 MB"));
    ck_assert(percept_resize(session, 0, 4, one, &err));
    ck_assert(percept_run(session, NULL, &err));
    percept_session_free(session);
    percept_close(model);
}
END_TEST

START_TEST(an_empty_batch_gives_an_empty_answer)
{
    struct percept_model *model = shipped_open("digits");
    struct percept_err err = {0};
    struct percept_session *session = small_session(model);
    int64_t none[4] = {0, 1, 28, 28};
    ck_assert(percept_resize(session, 0, 4, none, &err));
    ck_assert_msg(percept_run(session, NULL, &err), "%s", err.text);
    ck_assert_int_eq(percept_output(session, 0).dims[0], 0);
    percept_session_free(session);
    percept_close(model);
}
END_TEST

START_TEST(a_run_ends_at_its_deadline_or_when_cancelled)
{
    struct percept_model *model = shipped_open("perceptron");
    struct percept_err err = {0};
    struct percept_session *session = small_session(model);
    int64_t dims[2] = {1, 784};
    ck_assert(percept_resize(session, 0, 2, dims, &err));
    struct percept_run_context late = {.deadline_ns = 1};
    ck_assert(!percept_run(session, &late, &err));
    ck_assert_str_eq(err.text, "Request timeout expired");
    ck_assert_ptr_null(percept_output(session, 0).data);
    int stop = 1;
    struct percept_run_context cancelled = {.cancel = &stop};
    ck_assert(!percept_run(session, &cancelled, &err));
    ck_assert(percept_run(session, NULL, &err));
    ck_assert_ptr_nonnull(percept_output(session, 0).data);
    percept_session_free(session);
    percept_close(model);
}
END_TEST

START_TEST(a_profile_names_every_step)
{
    struct percept_model *model = shipped_open("digits");
    struct percept_session *session = small_session(model);
    percept_set_profiling(session, true);
    float out[MOST_OUT];
    unsigned seed = 1;
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    run_batch(session, model, 1, 1, &seed, NULL, out);
    clock_gettime(CLOCK_MONOTONIC, &to);
    const double whole_ms = (double)(to.tv_sec - from.tv_sec) * 1e3 + (double)(to.tv_nsec - from.tv_nsec) / 1e6;
    int n;
    const struct percept_step_profile *profile = percept_profile(session, &n);
    ck_assert_int_gt(n, 5);
    double flops = 0, ms = 0;
    for (int i = 0; i < n; i++) {
        ck_assert_ptr_nonnull(profile[i].node);
        ck_assert_double_ge(profile[i].ms, 0);
        flops += profile[i].flops;
        ck_assert_double_le(profile[i].done_flops, profile[i].flops);
        ck_assert_double_gt(profile[i].bytes, 0);
        ms += profile[i].ms;
    }
    ck_assert_double_le(ms, whole_ms); /* no step took more than all */
    ck_assert_double_gt(flops, 1e6);
    percept_session_free(session);
    percept_close(model);
}
END_TEST

/* What a node makes of an input that the file declares as one number. */
static const struct {
    const char *op_type, *inputs; /* x, and constants */
    int rank;                     /* as given, of dims 1, or 3 where there is one */
    int64_t first;
    int rank_out; /* -1: refused */
    int64_t first_out;
} scalars[] = {
    {"CumSum", "x,zero", 1, 3, 1, 3},  {"CumSum", "x,zero", 1, 1, 1, 1},  {"CumSum", "x,zero", 0, 0, -1, 0},
    {"Not", "x", 0, 0, 0, 0},          {"Not", "x", 1, 3, 1, 3},          {"Not", "x", 2, 1, 2, 1},
    {"Neg", "x", 0, 0, 0, 0},          {"Neg", "x", 2, 3, 2, 3},          {"Concat", "u,ones", 0, 0, 1, 3},
    {"Concat", "u,ones", 1, 1, 1, 3},  {"Concat", "u,ones", 3, 1, 1, 3},  {"Concat", "u,ones", 1, 3, -1, 0},
    {"Gather", "table,x", 0, 0, 1, 4}, {"Gather", "table,x", 1, 3, 2, 3},
};

static struct percept_model *open_scalar(const char *op_type, const char *inputs)
{
    struct small s = small_begin();
    const enum percept_dtype dtype = op_type[0] == 'G'        ? PERCEPT_INT64
                                     : strcmp(op_type, "Not") ? PERCEPT_FLOAT
                                                              : PERCEPT_BOOL;
    proto_add(&s.graph, GRAPH_INPUT, proto_value("x", dtype, 0, NULL));
    small_output(&s, "y", 0, NULL);
    small_ints(&s, "zero", 1, DIMS(0));
    small_weights(&s, "table", 2, DIMS(5, 4), 1);
    small_floats(&s, "ones", 1, DIMS(2), (float[]){1, 1});
    if (strcmp(op_type, "Concat") == 0) {
        small_node(&s, "Unsqueeze", "x,zero", "u"); /* [1] of a number alone */
        small_node_int(&s, op_type, inputs, "y", "axis", 0);
    } else {
        small_node(&s, op_type, inputs, "y");
    }
    return small_open(&s);
}

START_TEST(a_declared_scalar_is_no_promise)
{
    struct percept_model *model = open_scalar(scalars[_i].op_type, scalars[_i].inputs);
    struct percept_session *session = small_session(model);
    struct percept_err err = {0};
    const int64_t dims[] = {scalars[_i].first, 1, 1};
    for (int k = 0; k < 3; k++) { /* now, and when it is known what works; between them the scalar itself */
        const bool between = k == 1;
        ck_assert(percept_resize(session, 0, between ? 0 : scalars[_i].rank, dims, &err));
        const bool good = percept_prepare(session, &err);
        if (between)
            continue;
        ck_assert_msg(good == (scalars[_i].rank_out >= 0), "%s: %s", scalars[_i].op_type, err.text);
        if (!good)
            continue;
        memset(percept_input(session, 0), 0, 3);
        ck_assert_msg(percept_run(session, NULL, &err), "%s", err.text);
        const struct percept_tensor y = percept_output(session, 0);
        ck_assert_int_eq(y.rank, scalars[_i].rank_out);
        if (y.rank > 0)
            ck_assert_int_eq(y.dims[0], scalars[_i].first_out);
    }
    percept_session_free(session);
    percept_close(model);
}
END_TEST

/* Who came before does not change the rank of an answer: a [1] that only works as the scalar that was declared, and
 * then, of another input, what works as it is given. */
START_TEST(what_came_before_does_not_make_scalars)
{
    struct small s = small_begin();
    small_input(&s, "a", 0, NULL);
    small_input(&s, "b", 0, NULL);
    small_output(&s, "y", -1, NULL);
    small_output(&s, "z", -1, NULL);
    small_ints(&s, "zero", 1, DIMS(0));
    small_floats(&s, "ones", 1, DIMS(2), (float[]){1, 1});
    small_node(&s, "Unsqueeze", "a,zero", "u");
    small_node_int(&s, "Concat", "u,ones", "y", "axis", 0);
    small_node(&s, "Neg", "b", "z");
    struct percept_model *model = small_open(&s);
    struct percept_session *session = small_session(model);
    struct percept_err err = {0};
    static const int ranks[][3] = {{0, 2, 2}, {1, 0, 0}, {0, 2, 2}, {1, 3, 0}, {0, 3, 3}, {0, 0, 0}, {0, 1, 1}};
    for (size_t k = 0; k < 2 * sizeof ranks / sizeof *ranks; k++) { /* of a, b and what b becomes; again backwards */
        const int *row = ranks[k % 2 ? k / 2 : sizeof ranks / sizeof *ranks - 1 - k / 2];
        ck_assert(percept_resize(session, 0, row[0], DIMS(1, 1, 1), &err));
        ck_assert(percept_resize(session, 1, row[1], DIMS(1, 1, 1), &err));
        for (int again = 0; again < 2; again++) {
            ck_assert_msg(percept_prepare(session, &err), "%s", err.text);
            *(float *)percept_input(session, 0) = 3;
            *(float *)percept_input(session, 1) = 4;
            ck_assert_msg(percept_run(session, NULL, &err), "%s", err.text);
            ck_assert_int_eq(percept_output(session, 1).rank, row[2]);
            ck_assert(*(const float *)percept_output(session, 0).data == 3);
            ck_assert(*(const float *)percept_output(session, 1).data == -4);
        }
    }
    percept_session_free(session);
    percept_close(model);
}
END_TEST

/* Dimensions that an operator refuses with the model's fault in mind where they are in the file: here they come
 * from the caller, and no server has failed. */
START_TEST(what_a_callers_numbers_make_impossible_is_the_callers)
{
    static const int64_t refused[][2] = {{-1, -1}, {-2, 3}, {4, 4}};
    struct percept_model *model = small_open_reshaped();
    struct percept_session *session = small_session(model);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct percept_err err = {0};
        ck_assert(percept_resize(session, 0, 1, DIMS(2), &err));
        ck_assert_msg(percept_prepare(session, &err), "%s", err.text);
        memcpy(percept_input(session, 0), refused[i], sizeof refused[i]);
        ck_assert(!percept_run(session, NULL, &err));
        ck_assert_msg(err.code == ERR_INVALID, "%d: %s", err.code, err.text);
    }
    percept_session_free(session);
    percept_close(model);
}
END_TEST

/* Allocations of one more run behind a trim. */
static size_t calls_behind(struct percept_session *session, bool trimmed, bool all)
{
    if (trimmed)
        percept_session_trim(session, all);
    const size_t before = arena_calls();
    small_run(session, 2, DIMS(2, 6), (float[12]){1});
    return arena_calls() - before;
}

/* Of all that is given back the plans are the most; the one in use may stay. */
START_TEST(a_plan_is_made_again_only_when_all_was_given_back)
{
    struct small s = small_xy(2, DIMS(-1, 6));
    small_nodes(&s, "Sin x > a; Cos a > b; Add a,b > y");
    struct percept_model *model = small_open(&s);
    struct percept_session *session = small_session(model);
    calls_behind(session, false, false);
    ck_assert_uint_eq(calls_behind(session, false, false), 0);
    const size_t some = calls_behind(session, true, false), all = calls_behind(session, true, true);
    ck_assert_msg(some > 0 && all > some, "%zu allocations behind some, %zu behind all", some, all);
    ck_assert_uint_eq(calls_behind(session, true, false), some);
    percept_session_free(session);
    percept_close(model);
}
END_TEST

START_TEST(what_is_trimmed_comes_back_with_the_same_bits)
{
    struct percept_model *model = shipped_open(shipped_names[_i]);
    struct percept_session *session = small_session(model);
    float before[32 * MOST_OUT], after[32 * MOST_OUT];
    unsigned seeds[32] = {0};
    for (unsigned i = 0; i < 32; i++)
        seeds[i] = i;
    size_t n = run_batch(session, model, 32, 9, seeds, NULL, before);
    const size_t large = percept_session_bytes(session);
    ck_assert_uint_eq(large, percept_session_needs(session));
    run_batch(session, model, 1, 9, seeds, NULL, after);
    const size_t small = percept_session_needs(session);
    ck_assert_uint_lt(small, large);
    ck_assert_uint_eq(percept_session_bytes(session), large);
    percept_session_trim(session, false);
    ck_assert_uint_eq(percept_output(session, 0).dtype, PERCEPT_UNDEFINED);
    run_batch(session, model, 1, 9, seeds, NULL, after);
    ck_assert_uint_eq(percept_session_bytes(session), small);
    ck_assert_mem_eq(before, after, n * sizeof *before);
    percept_session_trim(session, true);
    percept_session_trim(session, true);
    ck_assert_uint_eq(percept_session_bytes(session), 0);
    run_batch(session, model, 32, 9, seeds, NULL, after);
    ck_assert_mem_eq(before, after, 32 * n * sizeof *before);
    percept_session_free(session);
    percept_close(model);
}
END_TEST

/* A chain of plans, whose second has memory of its own. */
START_TEST(plans_that_went_on_are_trimmed_too)
{
    struct percept_err err = {0};
    struct percept_model *model = small_open_reshaped();
    struct percept_session *session = small_session(model);
    for (int round = 0; round < 3; round++) {
        const int64_t shape[2] = {round, 6 / (round ? round : 6)};
        ck_assert(percept_resize(session, 0, 1, DIMS(2), &err));
        memcpy(percept_input(session, 0), round ? shape : (int64_t[]){6, 1}, sizeof shape);
        ck_assert_msg(percept_run(session, NULL, &err), "%s", err.text);
        ck_assert_int_eq(percept_output(session, 0).dims[0], round ? round : 6);
        percept_session_trim(session, round == 1);
        ck_assert_uint_eq(percept_session_needs(session), 0);
    }
    percept_session_free(session);
    percept_close(model);
}
END_TEST

START_TEST(without_memory_after_a_trim_a_run_fails_and_the_next_does_not)
{
    struct percept_model *model = shipped_open("digits");
    struct percept_err err = {0};
    struct percept_session *session = small_session(model);
    ck_assert(percept_resize(session, 0, 4, ((int64_t[]){1, 1, 28, 28}), &err));
    ck_assert(percept_run(session, NULL, &err));
    percept_session_trim(session, true);
    arena_fail_at(1, true);
    ck_assert(!percept_run(session, NULL, &err));
    arena_fail_at(0, false);
    ck_assert_int_eq(err.code, ERR_MEMORY);
    ck_assert(percept_run(session, NULL, &err));
    percept_session_free(session);
    percept_close(model);
}
END_TEST

/* y = x 1e20 + 1e-40 1e20, the latter known at load; opened, planned and run in whatever mode is set. */
static void run_beside_zero(float *y)
{
    struct small s = small_xy(1, (int64_t[]){3});
    small_floats(&s, "large", 1, (int64_t[]){1}, (float[]){1e20f});
    small_floats(&s, "tiny", 1, (int64_t[]){1}, (float[]){1e-40f});
    small_nodes(&s, "Mul tiny,large > known; Mul x,large > scaled; Add scaled,known > sum; Sigmoid sum > y");
    struct percept_model *model = small_open(&s);
    struct percept_session *session = small_session(model);
    memcpy(y, small_run(session, 1, (int64_t[]){3}, (float[]){1e-40f, 1.1e-20f, -3e-21f}), 3 * sizeof *y);
    percept_session_free(session);
    percept_close(model);
}

/* Rounding and denormal numbers are the library's, while it computes; known at load or not. */
START_TEST(bits_do_not_depend_on_the_callers_mode)
{
    float want[3], got[3];
    run_beside_zero(want);
#if defined(__x86_64__) || defined(__aarch64__)
    ck_assert_float_eq(want[0], 0.5f); /* 1e-40 was zero, in both places */
#endif
    const uint64_t before = mode_enter(MODE_FLUSHED), flushed = mode_get();
    run_beside_zero(got);
    const uint64_t after = mode_get();
    mode_set(before);
    ck_assert_uint_eq(after, flushed);
    ck_assert_mem_eq(got, want, sizeof want);
    const int rounding = fegetround();
    fesetround(FE_UPWARD);
    run_beside_zero(got);
    const int still = fegetround();
    fesetround(rounding);
    ck_assert_int_eq(still, FE_UPWARD);
    ck_assert_mem_eq(got, want, sizeof want);
}
END_TEST

Suite *engine_session_suite(void);
Suite *engine_session_suite(void)
{
    Suite *suite = suite_create("engine_session");
    TCase *tests = tcase_create("session");
    tcase_set_timeout(tests, 300);
    tcase_add_loop_test(tests, an_item_has_the_same_bits_in_every_batch_and_position, 0, SHIPPED_COUNT);
    tcase_add_test(tests, bits_do_not_depend_on_the_callers_mode);
    tcase_add_test(tests, what_a_callers_numbers_make_impossible_is_the_callers);
    tcase_add_loop_test(tests, an_item_has_the_same_bits_on_two_cores, 0, SHIPPED_COUNT);
    tcase_add_loop_test(tests, a_run_at_known_shapes_allocates_nothing, 0, SHIPPED_COUNT);
    tcase_add_test(tests, a_plan_is_made_again_only_when_all_was_given_back);
    tcase_add_loop_test(tests, what_is_trimmed_comes_back_with_the_same_bits, 0, SHIPPED_COUNT);
    tcase_add_test(tests, plans_that_went_on_are_trimmed_too);
    tcase_add_test(tests, without_memory_after_a_trim_a_run_fails_and_the_next_does_not);
    tcase_add_test(tests, shapes_that_do_not_fit_are_refused_by_name);
    tcase_add_test(tests, memory_beyond_the_limit_is_refused_and_the_session_lives_on);
    tcase_add_test(tests, an_empty_batch_gives_an_empty_answer);
    tcase_add_test(tests, a_run_ends_at_its_deadline_or_when_cancelled);
    tcase_add_test(tests, a_profile_names_every_step);
    tcase_add_loop_test(tests, a_declared_scalar_is_no_promise, 0, (int)(sizeof scalars / sizeof *scalars));
    tcase_add_test(tests, what_came_before_does_not_make_scalars);
    suite_add_tcase(suite, tests);
    return suite;
}
