/* Runs that plan on while they run: data that decide about shapes, and half floats between. Bodies are
 * control.c's. */
#include <check.h>
#include <stdio.h>
#include <math.h>

#include "base/arena.h"
#include "base/err.h"
#include "engine/frame.h"
#include "engine/small.h"
#include "graph/tensor.h"

/* y = the elements of x that are not zero, doubled: how many there are only the run tells. */
static struct percept_model *nonzero_model(void)
{
    struct small s = small_xy(1, DIMS(6));
    small_floats(&s, "two", 0, NULL, (float[]){2});
    small_ints(&s, "flat", 1, DIMS(-1));
    small_node(&s, "NonZero", "x", "where");
    small_node(&s, "Reshape", "where,flat", "index");
    small_node(&s, "Gather", "x,index", "picked");
    small_node(&s, "Mul", "picked,two", "y");
    return small_open(&s);
}

START_TEST(what_follows_a_data_dependent_shape_is_planned_during_the_run)
{
    struct percept_model *model = nonzero_model();
    struct percept_session *session = small_session(model);
    const float *y = small_run(session, 1, DIMS(6), (float[]){0, 3, 0, 4, 0, 0});
    ck_assert_int_eq(percept_output(session, 0).dims[0], 2);
    ck_assert_float_eq(y[0], 6);
    ck_assert_float_eq(y[1], 8);
    y = small_run(session, 1, DIMS(6), (float[]){1, 2, 3, 4, 5, 6});
    ck_assert_int_eq(percept_output(session, 0).dims[0], 6);
    ck_assert_float_eq(y[5], 12);
    small_run(session, 1, DIMS(6), (float[]){0, 0, 0, 0, 0, 0});
    ck_assert_int_eq(percept_output(session, 0).dims[0], 0);
    percept_session_free(session);
    percept_close(model);
}
END_TEST

/* What the plans of a run need is all of their session's memory while there are no others. */
START_TEST(plans_that_go_on_need_their_memory_too)
{
    struct percept_model *model = nonzero_model();
    struct percept_session *session = small_session(model);
    small_run(session, 1, DIMS(6), (float[]){1, 3, 2, 4, 5, 6});
    const size_t needed = percept_session_needs(session);
    ck_assert_uint_eq(needed, percept_session_bytes(session));
    small_run(session, 1, DIMS(6), (float[]){0, 0, 2, 0, 0, 0});
    ck_assert_uint_le(percept_session_needs(session), percept_session_bytes(session));
    ck_assert_uint_gt(percept_session_needs(session), 6 * sizeof(float));
    percept_session_trim(session, true);
    ck_assert_uint_eq(percept_session_needs(session), 0);
    const float *y = small_run(session, 1, DIMS(6), (float[]){1, 3, 2, 4, 5, 6});
    ck_assert_float_eq(y[5], 12);
    ck_assert_uint_eq(percept_session_needs(session), needed);
    percept_session_free(session);
    percept_close(model);
}
END_TEST

/* A value that is made early and read behind a node whose dims only the run tells: whatever is computed in between
 * does not lie over it. `a` is read once there, `b` here and there, and `x` is the input. */
START_TEST(what_is_read_after_a_decision_is_kept_until_then)
{
    static const char *const after[] = {"a", "b", "x", "c"};
    for (int k = 0; k < 4; k++) {
        struct small s = small_xy(1, DIMS(6));
        char nodes[400];
        snprintf(nodes, sizeof nodes,
                 "Sin x > a; Cos x > b; Abs b > c; Neg c > d; Exp d > e; Neg e > f; Exp f > g; NonZero g > n; "
                 "Cast n > m to=1; ReduceSum m > s keepdims=0; Add %s,s > y",
                 after[k]);
        small_nodes(&s, nodes);
        struct percept_model *model = small_open(&s);
        struct percept_session *session = small_session(model);
        static const float x[] = {0.5F, 1, 1.5F, 2, 2.5F, 3};
        for (int run = 0; run < 3; run++) {
            const float *y = small_run(session, 1, DIMS(6), x);
            for (int i = 0; i < 6; i++) {
                const double early = k == 0 ? sin((double)x[i]) : k == 2 ? (double)x[i] : cos((double)x[i]);
                ck_assert_float_eq_tol(y[i], (float)(15 + (k == 3 ? fabs(early) : early)), 1e-4F);
            }
        }
        percept_session_free(session);
        percept_close(model);
    }
}
END_TEST

START_TEST(equal_decisions_allocate_nothing)
{
    struct percept_model *model = nonzero_model();
    struct percept_session *session = small_session(model);
    small_run(session, 1, DIMS(6), (float[]){0, 3, 0, 4, 0, 0});
    size_t calls = arena_calls();
    for (int i = 0; i < 10; i++) {
        const float *y = small_run(session, 1, DIMS(6), (float[]){(float)i + 1, 0, 0, 0, 0, 7});
        ck_assert_float_eq(y[0], 2 * ((float)i + 1));
    }
    ck_assert_uint_eq(arena_calls(), calls);
    percept_session_free(session);
    percept_close(model);
}
END_TEST

/* Of a shape without dims there are no bytes to remember. */
START_TEST(a_shape_of_nothing_is_a_decision_too)
{
    struct small s = small_begin();
    proto_add(&s.graph, GRAPH_INPUT, proto_value("to", PERCEPT_INT64, 1, DIMS(-1)));
    small_output(&s, "y", -1, NULL);
    small_floats(&s, "c", 1, DIMS(1), (float[]){2});
    small_nodes(&s, "Reshape c,to > r; Sin r > y");
    struct percept_model *model = small_open(&s);
    struct percept_session *session = small_session(model);
    struct percept_err err = {0};
    for (int64_t n = 0; n < 3; n++) {
        ck_assert_msg(percept_resize(session, 0, 1, DIMS(n), &err) && percept_prepare(session, &err), "%s", err.text);
        for (int64_t i = 0; i < n; i++)
            ((int64_t *)percept_input(session, 0))[i] = 1;
        ck_assert_msg(percept_run(session, NULL, &err), "%s", err.text);
        ck_assert_int_eq(percept_output(session, 0).rank, n);
        ck_assert_float_eq_tol(*(const float *)percept_output(session, 0).data, 0.9092974F, 1e-6F);
    }
    percept_session_free(session);
    percept_close(model);
}
END_TEST

/* Reshape to a shape that arrives as an input. */
START_TEST(a_shape_given_as_data_decides_about_the_plan)
{
    struct small s = small_begin();
    small_input(&s, "x", 1, DIMS(6));
    proto_add(&s.graph, GRAPH_INPUT, proto_value("shape", PERCEPT_INT64, 1, DIMS(2)));
    small_output(&s, "y", -1, NULL);
    small_node(&s, "Reshape", "x,shape", "r");
    small_node(&s, "Transpose", "r", "y");
    struct percept_model *model = small_open(&s);
    struct percept_err err = {0};
    struct percept_session *session = small_session(model);
    int64_t shapes[2][2] = {{2, 3}, {3, 2}};
    for (int round = 0; round < 4; round++) {
        int64_t *shape = shapes[round % 2];
        ck_assert(percept_prepare(session, &err));
        memcpy(percept_input(session, 1), shape, 2 * sizeof *shape);
        for (int i = 0; i < 6; i++)
            ((float *)percept_input(session, 0))[i] = (float)i;
        ck_assert_msg(percept_run(session, NULL, &err), "%s", err.text);
        struct percept_tensor y = percept_output(session, 0);
        ck_assert_int_eq(y.dims[0], shape[1]);
        ck_assert_float_eq(((float *)y.data)[1], (float)shape[1]);
    }
    ck_assert(percept_prepare(session, &err));
    memcpy(percept_input(session, 1), (int64_t[]){4, 4}, 16);
    ck_assert(!percept_run(session, NULL, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "Reshape"));
    percept_session_free(session);
    percept_close(model);
}
END_TEST

/* Input, weights and output are float16; what lies between is float32. */
START_TEST(half_floats_are_computed_in_float_and_rounded_at_the_end)
{
    struct small s = small_begin();
    uint16_t w[2] = {tensor_float_to_half(3), tensor_float_to_half(0.5f)};
    proto_add(&s.graph, GRAPH_INPUT, proto_value("x", PERCEPT_FLOAT16, 2, DIMS(-1, 2)));
    proto_add(&s.graph, GRAPH_OUTPUT, proto_value("y", PERCEPT_FLOAT16, 2, DIMS(-1, 2)));
    proto_add(&s.graph, GRAPH_INITIALIZER, proto_tensor("w", PERCEPT_FLOAT16, 1, DIMS(2), w, sizeof w));
    small_node(&s, "Mul", "x,w", "a");
    small_node(&s, "Exp", "a", "b");
    small_node(&s, "Log", "b", "y");
    struct percept_model *model = small_open(&s);
    int n;
    ck_assert_int_eq(percept_outputs(model, &n)->dtype, PERCEPT_FLOAT16);
    struct percept_err err;
    struct percept_session *session = small_session(model);
    ck_assert(percept_resize(session, 0, 2, DIMS(1, 2), &err) && percept_prepare(session, &err));
    /* exp(30) is beyond float16 */
    uint16_t x[2] = {tensor_float_to_half(10), tensor_float_to_half(4)};
    memcpy(percept_input(session, 0), x, sizeof x);
    ck_assert_msg(percept_run(session, NULL, &err), "%s", err.text);
    struct percept_tensor y = percept_output(session, 0);
    ck_assert_int_eq(y.dtype, PERCEPT_FLOAT16);
    ck_assert_float_eq(tensor_half_to_float(((uint16_t *)y.data)[0]), 30);
    ck_assert_float_eq(tensor_half_to_float(((uint16_t *)y.data)[1]), 2);
    percept_session_free(session);
    percept_close(model);
}
END_TEST

/* How many elements a Compress keeps is known when it ran: widened and narrowed are as many. */
START_TEST(half_floats_whose_number_depends_on_data_are_as_many)
{
    struct small s = small_begin();
    proto_add(&s.graph, GRAPH_INPUT, proto_value("x", PERCEPT_FLOAT16, 1, DIMS(4)));
    proto_add(&s.graph, GRAPH_INPUT, proto_value("keep", PERCEPT_BOOL, 1, DIMS(4)));
    proto_add(&s.graph, GRAPH_OUTPUT, proto_value("y", PERCEPT_FLOAT16, 1, DIMS(-1)));
    proto_add(&s.graph, GRAPH_OUTPUT, proto_value("z", PERCEPT_FLOAT16, 1, DIMS(-1)));
    small_node(&s, "Compress", "x,keep", "y");
    small_node(&s, "Neg", "y", "z");
    struct percept_model *model = small_open(&s);
    struct percept_err err = {0};
    struct percept_session *session = small_session(model);
    for (int kept = 4; kept >= 0; kept--) {
        ck_assert_msg(percept_prepare(session, &err), "%s", err.text);
        for (int i = 0; i < 4; i++) {
            ((uint16_t *)percept_input(session, 0))[i] = tensor_float_to_half((float)i);
            ((uint8_t *)percept_input(session, 1))[i] = i >= 4 - kept;
        }
        ck_assert_msg(percept_run(session, NULL, &err), "%s", err.text);
        for (int k = 0; k < 2; k++) {
            const struct percept_tensor out = percept_output(session, k);
            ck_assert_int_eq(out.dtype, PERCEPT_FLOAT16);
            ck_assert_int_eq(out.dims[0], kept);
            for (int i = 0; i < kept; i++)
                ck_assert_float_eq(tensor_half_to_float(((const uint16_t *)out.data)[i]),
                                   (float)(k ? kept - 4 - i : i + 4 - kept));
        }
    }
    percept_session_free(session);
    percept_close(model);
}
END_TEST

/* Raises the flag when step `at` is about to begin: later than the run looks before it. */
struct canceller {
    int at, begun, ended;
    int cancel;
};

static void before_step(void *user)
{
    struct canceller *c = user;
    if (c->begun++ == c->at)
        __atomic_store_n(&c->cancel, 1, __ATOMIC_RELAXED);
}

static void after_step(void *user, const struct step *step)
{
    (void)step;
    ((struct canceller *)user)->ended++;
}

/* Steps that a team splits, one that spends by itself, a plain copy. */
START_TEST(a_step_that_was_left_unfinished_ends_the_run)
{
    struct small s = small_xy(2, DIMS(-1, 70000));
    small_ints(&s, "most", 1, DIMS(70000));
    small_node(&s, "Exp", "x", "a");
    small_node(&s, "TopK", "a,most", "b,i");
    small_node(&s, "Transpose", "b", "t");
    small_node(&s, "Softmax", "t", "u");
    small_node(&s, "Transpose", "u", "y");
    struct percept_model *model = small_open(&s);
    struct frame *frame = frame_new(model, model->parts, NULL);
    frame_feeds(frame)[0] = (struct tensor){.dtype = PERCEPT_FLOAT, .rank = 2, .dims = {1, 70000}};
    frame_changed(frame);
    ck_assert(frame_prepare(frame, NULL));
    for (int i = 0; i < 70000; i++)
        ((float *)frame_feed_data(frame, 0))[i] = (float)(i % 100) / 100;
    for (int at = 0; at < 6; at++) {
        struct percept_err err = {0};
        struct canceller c = {.at = at};
        const struct frame_observer observer = {before_step, after_step, &c};
        const struct percept_run_context context = {.cancel = &c.cancel};
        bool ok = frame_run(frame, &context, &observer, &err);
        ck_assert(ok ? at >= c.begun - 1 : err.code == ERR_CANCELLED);
        ck_assert(c.ended == at || c.ended == at + 1 || ok);
        ck_assert(at != 1 || c.ended == 1); /* TopK asks by itself */
        ck_assert_int_eq(frame_output(frame, 0) != NULL, ok);
    }
    const struct percept_run_context late = {.deadline_ns = 1};
    struct percept_err err = {0};
    ck_assert(!frame_run(frame, &late, NULL, &err) && err.code == ERR_TIMEOUT);
    ck_assert(frame_run(frame, NULL, NULL, &err) && frame_output(frame, 0));
    frame_free(frame);
    percept_close(model);
}
END_TEST

START_TEST(watched_runs_allocate_nothing)
{
    struct small s = small_xy(2, DIMS(-1, 100000));
    small_node(&s, "Exp", "x", "y");
    struct percept_model *model = small_open(&s);
    struct percept_session *session = small_session(model);
    const int cancel = 0;
    const struct percept_run_context context = {.cancel = &cancel};
    struct percept_err err = {0};
    ck_assert(percept_resize(session, 0, 2, DIMS(1, 100000), &err));
    ck_assert(percept_run(session, &context, &err));
    size_t calls = arena_calls();
    for (int i = 0; i < 3; i++)
        ck_assert(percept_run(session, &context, &err));
    ck_assert_uint_eq(arena_calls(), calls);
    percept_session_free(session);
    percept_close(model);
}
END_TEST

/* Of an input the network is told which; what it finds itself may be nothing. */
START_TEST(an_input_without_elements_is_named_when_nothing_has_no_value)
{
    static const char *const means[] = {"ReduceMean", "GlobalAveragePool", "ReduceMax"};
    for (int i = 0; i < 3; i++) {
        struct small s = small_xy(3, DIMS(-1, 2, -1));
        small_node(&s, means[i], "x", "y");
        struct percept_model *model = small_open(&s);
        struct percept_session *session = small_session(model);
        struct percept_err err = {0};
        ck_assert(percept_resize(session, 0, 3, DIMS(1, 2, 0), &err));
        ck_assert(!percept_prepare(session, &err));
        ck_assert_int_eq(err.code, ERR_INVALID);
        ck_assert_msg(strstr(err.text, "input 'x' has shape [1,2,0], whose axis 2 is empty: node"), "%s", err.text);
        ck_assert_msg(strstr(err.text, "one element or more would work"), "%s", err.text);
        ck_assert(percept_resize(session, 0, 3, DIMS(1, 2, 1), &err) && percept_prepare(session, &err));
        percept_session_free(session);
        percept_close(model);
    }
    struct small s = small_xy(1, DIMS(4));
    small_node(&s, "NonZero", "x", "where");
    small_node(&s, "ReduceMax", "where", "y");
    struct percept_model *model = small_open(&s);
    struct percept_session *session = small_session(model);
    struct percept_err err = {0};
    memset(percept_input(session, 0), 0, 16);
    ck_assert_msg(percept_run(session, NULL, &err), "%s", err.text);
    percept_session_free(session);
    percept_close(model);
}
END_TEST

/* Did running n rows make a plan? */
static bool replans(struct percept_session *session, int64_t n)
{
    static const float x[64 * 3] = {0};
    const size_t calls = arena_calls();
    small_run(session, 2, DIMS(n, 3), x);
    return arena_calls() != calls;
}

/* There is room for 48 plans. A stream of rare shapes does not drive out what others use all the time. */
START_TEST(the_plan_that_was_not_used_for_longest_goes)
{
    struct small s = small_xy(2, DIMS(-1, 3));
    small_node(&s, "Exp", "x", "y");
    struct percept_model *model = small_open(&s);
    struct percept_session *session = small_session(model);
    small_run(session, 2, DIMS(64, 3), (float[64 * 3]){0}); /* memory for all of them */
    for (int64_t n = 1; n < 48; n++)
        ck_assert(replans(session, n));
    for (int64_t n = 1; n < 48; n++)
        ck_assert(!replans(session, n));
    ck_assert(!replans(session, 64)); /* all are there; now 1 is the oldest */
    ck_assert(!replans(session, 1));
    ck_assert(!replans(session, 3));
    ck_assert(replans(session, 50)); /* takes the place of 2 */
    ck_assert(!replans(session, 1));
    ck_assert(!replans(session, 3));
    ck_assert(!replans(session, 64));
    ck_assert(!replans(session, 47));
    ck_assert(replans(session, 2)); /* takes the place of 4 */
    ck_assert(!replans(session, 5));
    ck_assert(replans(session, 4));
    for (int64_t n = 51; n < 64; n++) { /* each of them once; 1 between */
        ck_assert(replans(session, n));
        ck_assert(!replans(session, 1));
    }
    percept_session_free(session);
    percept_close(model);
}
END_TEST

Suite *engine_frame_suite(void);
Suite *engine_frame_suite(void)
{
    Suite *suite = suite_create("engine_frame");
    TCase *tests = tcase_create("frame");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, what_follows_a_data_dependent_shape_is_planned_during_the_run);
    tcase_add_test(tests, plans_that_go_on_need_their_memory_too);
    tcase_add_test(tests, what_is_read_after_a_decision_is_kept_until_then);
    tcase_add_test(tests, equal_decisions_allocate_nothing);
    tcase_add_test(tests, a_shape_given_as_data_decides_about_the_plan);
    tcase_add_test(tests, a_shape_of_nothing_is_a_decision_too);
    tcase_add_test(tests, half_floats_are_computed_in_float_and_rounded_at_the_end);
    tcase_add_test(tests, half_floats_whose_number_depends_on_data_are_as_many);
    tcase_add_test(tests, a_step_that_was_left_unfinished_ends_the_run);
    tcase_add_test(tests, watched_runs_allocate_nothing);
    tcase_add_test(tests, an_input_without_elements_is_named_when_nothing_has_no_value);
    tcase_add_test(tests, the_plan_that_was_not_used_for_longest_goes);
    suite_add_tcase(suite, tests);
    return suite;
}
