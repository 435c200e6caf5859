/* Loop and Scan as networks: their bodies need an engine that runs them. */
#include <check.h>
#include <string.h>

#include "engine/small.h"

/* Sums 1 .. n by a Loop whose body adds the iteration to what is carried and collects it. */
START_TEST(a_loop_carries_and_collects)
{
    struct proto body = {0};
    proto_add(&body, GRAPH_INPUT, proto_value("i", PERCEPT_INT64, 0, NULL));
    proto_add(&body, GRAPH_INPUT, proto_value("go", PERCEPT_BOOL, 0, NULL));
    proto_add(&body, GRAPH_INPUT, proto_value("sum", PERCEPT_FLOAT, 1, DIMS(1)));
    struct proto cast = proto_node("Cast", "", "i", "f");
    proto_attr_int(&cast, "to", PERCEPT_FLOAT);
    proto_add(&body, GRAPH_NODE, proto_node("Identity", "", "go", "on"));
    proto_add(&body, GRAPH_NODE, cast);
    proto_add(&body, GRAPH_NODE, proto_node("Add", "", "sum,f", "plus"));
    proto_add(&body, GRAPH_NODE, proto_node("Add", "", "plus,x", "next"));
    proto_add(&body, GRAPH_NODE, proto_node("Identity", "", "next", "seen"));
    proto_add(&body, GRAPH_OUTPUT, proto_value("on", PERCEPT_BOOL, 0, NULL));
    proto_add(&body, GRAPH_OUTPUT, proto_value("next", PERCEPT_FLOAT, 1, DIMS(1)));
    proto_add(&body, GRAPH_OUTPUT, proto_value("seen", PERCEPT_FLOAT, 1, DIMS(1)));
    struct small s = small_begin();
    small_input(&s, "x", 1, DIMS(1));
    small_output(&s, "total", -1, NULL);
    small_output(&s, "all", -1, NULL);
    int64_t trips = 4;
    proto_add(&s.graph, GRAPH_INITIALIZER, proto_tensor("n", PERCEPT_INT64, 0, NULL, &trips, 8));
    struct proto loop = proto_node("Loop", "", "n,,x", "total,all");
    proto_attr_message(&loop, "body", ATTR_GRAPH, ATTRIBUTE_G, body);
    proto_add(&s.graph, GRAPH_NODE, loop);
    struct percept_model *model = small_open(&s);
    struct percept_session *session = small_session(model);
    const float *total = small_run(session, 1, DIMS(1), (float[]){10});
    ck_assert_float_eq(total[0], 10 + 4 * 10 + 0 + 1 + 2 + 3);
    struct percept_tensor all = percept_output(session, 1);
    ck_assert_int_eq(all.dims[0], 4);
    ck_assert_float_eq(((float *)all.data)[0], 20);
    percept_session_free(session);
    percept_close(model);
}
END_TEST

/* Scans over the last n_scan of its inputs. */
static void add_scan(struct small *s, const char *inputs, const char *outputs, int64_t n_scan, struct proto body)
{
    struct proto scan = proto_node("Scan", "", inputs, outputs);
    proto_attr_int(&scan, "num_scan_inputs", n_scan);
    proto_attr_message(&scan, "body", ATTR_GRAPH, ATTRIBUTE_G, body);
    proto_add(&s->graph, GRAPH_NODE, scan);
}

/* Opset 8: the first input, lengths, may be left out, the batch comes first, and each item is a sequence. */
START_TEST(a_scan_of_opset_8_takes_items_one_by_one)
{
    for (int given = 0; given < 2; given++) {
        struct proto body = {0};
        proto_add(&body, GRAPH_INPUT, proto_value("sum", PERCEPT_FLOAT, 1, DIMS(1)));
        proto_add(&body, GRAPH_INPUT, proto_value("at", PERCEPT_FLOAT, 1, DIMS(1)));
        proto_add(&body, GRAPH_NODE, proto_node("Add", "", "sum,at", "next"));
        proto_add(&body, GRAPH_NODE, proto_node("Identity", "", "next", "seen"));
        proto_add(&body, GRAPH_OUTPUT, proto_value("next", PERCEPT_FLOAT, 1, DIMS(1)));
        proto_add(&body, GRAPH_OUTPUT, proto_value("seen", PERCEPT_FLOAT, 1, DIMS(1)));
        struct small s = small_begin();
        s.opset = 8;
        small_input(&s, "x", 3, DIMS(2, 3, 1));
        small_output(&s, "total", -1, NULL);
        small_output(&s, "all", -1, NULL);
        small_floats(&s, "zero", 2, DIMS(2, 1), (float[]){0, 100});
        small_ints(&s, "lengths", 2, DIMS(3, 2));
        add_scan(&s, given ? "lengths,zero,x" : ",zero,x", "total,all", 1, body);
        struct percept_model *model = small_open(&s);
        struct percept_session *session = small_session(model);
        const float *total = small_run(session, 3, DIMS(2, 3, 1), (float[]){1, 2, 3, 4, 5, 6});
        ck_assert_float_eq(total[0], 6);
        ck_assert_float_eq(total[1], given ? 109 : 115);
        const struct percept_tensor all = percept_output(session, 1);
        ck_assert(all.rank == 3 && all.dims[0] == 2 && all.dims[1] == 3 && all.dims[2] == 1);
        ck_assert_float_eq(((const float *)all.data)[3], 104);
        ck_assert_float_eq(((const float *)all.data)[5], given ? 0 : 115); /* padded */
        percept_session_free(session);
        percept_close(model);
    }
}
END_TEST

START_TEST(sequences_of_different_lengths_are_refused)
{
    static const char *const inputs[] = {",x,w", ",w,x", "x,w", "w,x"}; /* opset 8: no lengths; 9 */
    for (int k = 0; k < 4; k++) {
        const bool batched = k < 2;
        struct proto body = {0};
        proto_add(&body, GRAPH_INPUT, proto_value("a", PERCEPT_FLOAT, 1, DIMS(1)));
        proto_add(&body, GRAPH_INPUT, proto_value("b", PERCEPT_FLOAT, 1, DIMS(1)));
        proto_add(&body, GRAPH_NODE, proto_node("Add", "", "a,b", "c"));
        proto_add(&body, GRAPH_OUTPUT, proto_value("c", PERCEPT_FLOAT, 1, DIMS(1)));
        struct small s = small_begin();
        s.opset = batched ? 8 : 9;
        const int64_t *dims = batched ? DIMS(1, 2, 1) : DIMS(2, 1);
        small_input(&s, "x", batched ? 3 : 2, dims);
        small_weights(&s, "w", batched ? 3 : 2, batched ? DIMS(1, 5, 1) : DIMS(5, 1), 1);
        small_output(&s, "all", -1, NULL);
        add_scan(&s, inputs[k], "all", 2, body);
        struct percept_model *model = small_open(&s);
        struct percept_err err = {0};
        struct percept_session *session = small_session(model);
        ck_assert(percept_resize(session, 0, batched ? 3 : 2, dims, &err));
        ck_assert_msg(percept_prepare(session, &err), "%s", err.text);
        ck_assert(!percept_run(session, NULL, &err));
        ck_assert_msg(strstr(err.text, "sequences have different lengths") != NULL, "%s", err.text);
        percept_session_free(session);
        percept_close(model);
    }
}
END_TEST

/* The body's slices are declared without dims, so an item of length 0 learns its size from the others. */
START_TEST(an_item_of_length_0_is_padded_like_the_others)
{
    static const int64_t lengths[4][3] = {{0, 2, 3}, {3, 0, 1}, {2, 3, 0}, {0, 0, 0}};
    for (int k = 0; k < 4; k++) {
        struct proto body = {0};
        const int64_t slice = k == 3 ? 2 : -1; /* without any, the declaration has to say */
        proto_add(&body, GRAPH_INPUT, proto_value("at", PERCEPT_FLOAT, 1, DIMS(slice)));
        proto_add(&body, GRAPH_NODE, proto_node("Neg", "", "at", "seen"));
        proto_add(&body, GRAPH_OUTPUT, proto_value("seen", PERCEPT_FLOAT, 1, DIMS(slice)));
        struct small s = small_begin();
        s.opset = 8;
        small_input(&s, "x", 3, DIMS(3, 3, 2));
        small_output(&s, "all", -1, NULL);
        small_ints(&s, "lengths", 3, lengths[k]);
        add_scan(&s, "lengths,x", "all", 1, body);
        struct percept_model *model = small_open(&s);
        struct percept_session *session = small_session(model);
        float x[18];
        for (int i = 0; i < 18; i++)
            x[i] = (float)i + 1;
        const float *all = small_run(session, 3, DIMS(3, 3, 2), x);
        const struct percept_tensor out = percept_output(session, 0);
        ck_assert(out.rank == 3 && out.dims[0] == 3 && out.dims[1] == 3 && out.dims[2] == 2);
        for (int i = 0; i < 18; i++)
            ck_assert_float_eq(all[i], i % 6 < 2 * lengths[k][i / 6] ? -x[i] : 0);
        percept_session_free(session);
        percept_close(model);
    }
}
END_TEST

static void expect_texts(const struct percept_session *session, int output, int n, const char *const *want)
{
    const struct percept_tensor got = percept_output(session, output);
    ck_assert(got.dtype == PERCEPT_STRING && got.rank == 1);
    ck_assert_int_eq(got.dims[0], n);
    for (int i = 0; i < n; i++) {
        const struct percept_string text = ((const struct percept_string *)got.data)[i];
        ck_assert_msg(text.n_bytes == strlen(want[i]) && memcmp(text.at, want[i], text.n_bytes) == 0,
                      "%d is '%.*s', not '%s'", i, (int)text.n_bytes, text.at, want[i]);
    }
}

/* The body makes a text anew where that of the iteration before lies: what is carried and collected must be
 * copies. `before` collects what was carried. */
START_TEST(texts_outlive_the_iteration_that_made_them)
{
    struct proto body = {0}, cast = proto_node("Cast", "", "i", "text");
    proto_attr_int(&cast, "to", PERCEPT_STRING);
    proto_add(&body, GRAPH_INPUT, proto_value("i", PERCEPT_INT64, 0, NULL));
    proto_add(&body, GRAPH_INPUT, proto_value("go", PERCEPT_BOOL, 0, NULL));
    proto_add(&body, GRAPH_INPUT, proto_value("last", PERCEPT_STRING, 0, NULL));
    proto_add(&body, GRAPH_NODE, proto_node("Identity", "", "go", "on"));
    proto_add(&body, GRAPH_NODE, proto_node("Identity", "", "last", "before"));
    proto_add(&body, GRAPH_NODE, cast);
    proto_add(&body, GRAPH_NODE, proto_node("Identity", "", "text", "seen"));
    proto_add(&body, GRAPH_OUTPUT, proto_value("on", PERCEPT_BOOL, 0, NULL));
    proto_add(&body, GRAPH_OUTPUT, proto_value("text", PERCEPT_STRING, 0, NULL));
    proto_add(&body, GRAPH_OUTPUT, proto_value("seen", PERCEPT_STRING, 0, NULL));
    proto_add(&body, GRAPH_OUTPUT, proto_value("before", PERCEPT_STRING, 0, NULL));
    struct small s = small_begin();
    small_input(&s, "x", 1, DIMS(1));
    small_output(&s, "end", -1, NULL);
    small_output(&s, "collected", -1, NULL);
    small_output(&s, "carried", -1, NULL);
    small_ints(&s, "scalar", 0, NULL);
    int64_t trips = 4;
    proto_add(&s.graph, GRAPH_INITIALIZER, proto_tensor("n", PERCEPT_INT64, 0, NULL, &trips, 8));
    small_node_int(&s, "Cast", "x", "first", "to", PERCEPT_STRING);
    small_node(&s, "Reshape", "first,scalar", "start");
    struct proto loop = proto_node("Loop", "", "n,,start", "end,collected,carried");
    proto_attr_message(&loop, "body", ATTR_GRAPH, ATTRIBUTE_G, body);
    proto_add(&s.graph, GRAPH_NODE, loop);
    struct percept_model *model = small_open(&s);
    struct percept_session *session = small_session(model);
    for (int again = 0; again < 2; again++) {
        small_run(session, 1, DIMS(1), (float[]){again ? 12.5f : 7});
        expect_texts(session, 1, 4, (const char *const[]){"0", "1", "2", "3"});
        expect_texts(session, 2, 4, (const char *const[]){again ? "12.5" : "7", "0", "1", "2"});
    }
    percept_session_free(session);
    percept_close(model);
}
END_TEST

Suite *engine_control_suite(void);
Suite *engine_control_suite(void)
{
    Suite *suite = suite_create("engine_control");
    TCase *tests = tcase_create("control");
    tcase_add_test(tests, a_loop_carries_and_collects);
    tcase_add_test(tests, texts_outlive_the_iteration_that_made_them);
    tcase_add_test(tests, a_scan_of_opset_8_takes_items_one_by_one);
    tcase_add_test(tests, sequences_of_different_lengths_are_refused);
    tcase_add_test(tests, an_item_of_length_0_is_padded_like_the_others);
    suite_add_tcase(suite, tests);
    return suite;
}
