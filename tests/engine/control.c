/* If, Loop, Scan and SequenceMap as networks, since their bodies need an engine that runs them; and the sequences and
 * optionals that go through these. */
#include <check.h>
#include <string.h>

#include "base/arena.h"
#include "engine/small.h"

/* Appends a node with one attribute that is a graph. */
static void add_node_of(struct proto *graph, const char *op_type, const char *inputs, const char *outputs,
                        struct proto body)
{
    struct proto node = proto_node(op_type, "", inputs, outputs);
    proto_attr_message(&node, "body", ATTR_GRAPH, ATTRIBUTE_G, body);
    proto_add(graph, GRAPH_NODE, node);
}

static void add_if(struct small *s, const char *condition, const char *output, struct proto yes, struct proto no)
{
    struct proto node = proto_node("If", "", condition, output);
    proto_attr_message(&node, "then_branch", ATTR_GRAPH, ATTRIBUTE_G, yes);
    proto_attr_message(&node, "else_branch", ATTR_GRAPH, ATTRIBUTE_G, no);
    proto_add(&s->graph, GRAPH_NODE, node);
}

/* A constant without axes. */
static void add_scalar(struct proto *graph, const char *name, int64_t value)
{
    proto_add(graph, GRAPH_INITIALIZER, proto_tensor(name, PERCEPT_INT64, 0, NULL, &value, 8));
}

/* "less": is x below 0? */
static void add_less(struct small *s)
{
    small_floats(s, "limit", 0, NULL, (float[]){0});
    small_node(s, "Less", "x,limit", "less");
}

/* Shapes are fine, x begins with -1: the run fails with a sentence that has this part. */
static void expect_run_refused(struct percept_session *session, int rank, const int64_t *dims, const char *words)
{
    struct percept_err err = {0};
    ck_assert_msg(percept_resize(session, 0, rank, dims, &err) && percept_prepare(session, &err), "%s", err.text);
    *(float *)percept_input(session, 0) = -1;
    ck_assert(!percept_run(session, NULL, &err));
    ck_assert_msg(strstr(err.text, words) != NULL, "%s", err.text);
}

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
    add_scalar(&s.graph, "n", 4);
    add_node_of(&s.graph, "Loop", "n,,x", "total,all", body);
    struct percept_model *model = small_open(&s);
    struct percept_session *session = small_session(model);
    const float *total = small_run(session, 1, DIMS(1), (float[]){10});
    ck_assert_float_eq(total[0], 10 + 4 * 10 + 0 + 1 + 2 + 3);
    struct percept_tensor all = percept_output(session, 1);
    ck_assert_int_eq(all.dims[0], 4);
    ck_assert_float_eq(((float *)all.data)[0], 20);
    for (int i = 0; i < 2; i++) { /* bodies give back what they hold as well */
        percept_session_trim(session, i);
        total = small_run(session, 1, DIMS(1), (float[]){10});
        ck_assert_float_eq(total[0], 10 + 4 * 10 + 0 + 1 + 2 + 3);
    }
    percept_session_trim(session, true);
    ck_assert_uint_eq(percept_session_bytes(session), 0);
    percept_session_free(session);
    percept_close(model);
}
END_TEST

/* Appends to nodes that make "one": s becomes s + one. */
static struct proto adding_body(struct proto body)
{
    proto_add(&body, GRAPH_INPUT, proto_value("j", PERCEPT_INT64, 0, NULL));
    proto_add(&body, GRAPH_INPUT, proto_value("going", PERCEPT_BOOL, 0, NULL));
    proto_add(&body, GRAPH_INPUT, proto_value("s", PERCEPT_FLOAT, 1, DIMS(1)));
    proto_add(&body, GRAPH_NODE, proto_node("Identity", "", "going", "still"));
    proto_add(&body, GRAPH_NODE, proto_node("Add", "", "s,one", "t"));
    proto_add(&body, GRAPH_OUTPUT, proto_value("still", PERCEPT_BOOL, 0, NULL));
    proto_add(&body, GRAPH_OUTPUT, proto_value("t", PERCEPT_FLOAT, 1, DIMS(1)));
    return body;
}

/* 200,000 turns that look at one number of 8 MB around them: copied at each turn, these would be 1.6 TB. */
START_TEST(what_a_loop_captures_is_not_copied_at_every_turn)
{
    const int64_t n = 2000000, zero = 0;
    struct proto body = {0};
    proto_add(&body, GRAPH_INITIALIZER, proto_tensor("first", PERCEPT_INT64, 1, DIMS(1), &zero, 8));
    proto_add(&body, GRAPH_NODE, proto_node("Gather", "", "large,first", "one"));
    body = adding_body(body);
    struct small s = small_xy(1, DIMS(1));
    proto_add(&s.graph, GRAPH_INITIALIZER, proto_tensor("many", PERCEPT_INT64, 1, DIMS(1), &n, 8));
    add_scalar(&s.graph, "trips", 200000);
    small_node(&s, "Expand", "x,many", "large");
    add_node_of(&s.graph, "Loop", "trips,,x", "y", body);
    struct percept_model *model = small_open(&s);
    struct percept_session *session = small_session(model);
    ck_assert_float_eq(small_run(session, 1, DIMS(1), (float[]){1})[0], 200001);
    ck_assert_float_eq(small_run(session, 1, DIMS(1), (float[]){2})[0], 400002); /* a run sees its own */
    percept_session_free(session);
    percept_close(model);
}
END_TEST

static struct proto one_node(const char *op_type, const char *input, const char *output)
{
    struct proto body = {0};
    proto_add(&body, GRAPH_NODE, proto_node(op_type, "", input, output));
    proto_add(&body, GRAPH_OUTPUT, proto_value(output, PERCEPT_FLOAT, -1, NULL));
    return body;
}

/* A convolution's output, of several items, whose last block of channels is not full. */
START_TEST(what_a_branch_captures_may_lie_in_blocks)
{
    struct small s = small_begin();
    small_input(&s, "x", 4, DIMS(-1, 3, 4, 5));
    small_output(&s, "y", -1, NULL);
    small_output(&s, "c", -1, NULL);
    small_weights(&s, "w", 4, DIMS(21, 3, 3, 3), 1);
    small_floats(&s, "limit", 0, NULL, (float[]){1e9F});
    small_nodes(&s, "Conv x,w > c; ReduceSum x > sum keepdims=0; Less sum,limit > less");
    add_if(&s, "less", "y", one_node("Neg", "c", "negative"), one_node("Abs", "c", "positive"));
    struct percept_model *model = small_open(&s);
    struct percept_session *session = small_session(model);
    float x[3 * 60];
    for (int i = 0; i < 3 * 60; i++)
        x[i] = (float)(i * 7 % 31) / 8 - 2;
    for (int64_t n = 1; n <= 3; n++) {
        const float *y = small_run(session, 4, DIMS(n, 3, 4, 5), x), *c = percept_output(session, 1).data;
        for (int i = 0; i < n * 21 * 2 * 3; i++)
            ck_assert_msg(y[i] == -c[i], "%d: %g is not -%g", i, (double)y[i], (double)c[i]);
    }
    percept_session_free(session);
    percept_close(model);
}
END_TEST

/* The inner loop's captured value is another one at each turn of the outer one. */
START_TEST(a_loop_in_a_loop_captures_what_changes_around_it)
{
    struct proto inner = {0}, outer = {0};
    proto_add(&inner, GRAPH_NODE, proto_node("Neg", "", "v", "minus"));
    proto_add(&inner, GRAPH_NODE, proto_node("Neg", "", "minus", "one"));
    inner = adding_body(inner);
    proto_add(&outer, GRAPH_INPUT, proto_value("i", PERCEPT_INT64, 0, NULL));
    proto_add(&outer, GRAPH_INPUT, proto_value("go", PERCEPT_BOOL, 0, NULL));
    proto_add(&outer, GRAPH_INPUT, proto_value("v", PERCEPT_FLOAT, 1, DIMS(1)));
    proto_add(&outer, GRAPH_NODE, proto_node("Identity", "", "go", "on"));
    add_node_of(&outer, "Loop", "trips,,v", "w", inner);
    proto_add(&outer, GRAPH_OUTPUT, proto_value("on", PERCEPT_BOOL, 0, NULL));
    proto_add(&outer, GRAPH_OUTPUT, proto_value("w", PERCEPT_FLOAT, 1, DIMS(1)));
    struct small s = small_xy(1, DIMS(1));
    add_scalar(&s.graph, "trips", 3);
    add_node_of(&s.graph, "Loop", "trips,,x", "y", outer);
    struct percept_model *model = small_open(&s);
    struct percept_session *session = small_session(model);
    for (int x = 1; x < 4; x++) /* v + 3 v, three times */
        ck_assert_float_eq(small_run(session, 1, DIMS(1), (float[]){(float)x})[0], (float)(64 * x));
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
        struct percept_session *session = small_session(model);
        expect_run_refused(session, batched ? 3 : 2, dims, "sequences have different lengths");
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
    add_scalar(&s.graph, "n", 4);
    small_node_int(&s, "Cast", "x", "first", "to", PERCEPT_STRING);
    small_node(&s, "Reshape", "first,scalar", "start");
    add_node_of(&s.graph, "Loop", "n,,start", "end,collected,carried", body);
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

/* --- sequences and optionals -------------------------------------------------------------------------------------- */

/* An input or output of a graph that is no tensor: `type` is TYPE_SEQUENCE or TYPE_OPTIONAL. */
static struct proto no_tensor(const char *name, uint32_t type)
{
    struct proto value = {0}, message = {0};
    proto_text(&value, VALUE_INFO_NAME, name);
    proto_add(&message, type, (struct proto){0});
    proto_add(&value, VALUE_INFO_TYPE, message);
    return value;
}

static struct proto loop_body(void)
{
    struct proto body = {0};
    proto_add(&body, GRAPH_INPUT, proto_value("i", PERCEPT_INT64, 0, NULL));
    proto_add(&body, GRAPH_INPUT, proto_value("go", PERCEPT_BOOL, 0, NULL));
    proto_add(&body, GRAPH_INPUT, no_tensor("list", TYPE_SEQUENCE));
    proto_add(&body, GRAPH_OUTPUT, proto_value("go", PERCEPT_BOOL, 0, NULL));
    proto_add(&body, GRAPH_OUTPUT, no_tensor("longer", TYPE_SEQUENCE));
    return body;
}

/* At each turn x is added at the end. */
static struct proto growing_body(void)
{
    struct proto body = loop_body();
    proto_add(&body, GRAPH_NODE, proto_node("SequenceInsert", "", "list,x", "longer"));
    return body;
}

/* A Loop of `trips` turns (a constant of that name) that carries a list which begins empty: "list" becomes "longer". */
static void add_loop(struct small *s, int64_t trips, const char *outputs, struct proto body)
{
    s->opset = 17;
    small_node(s, "SequenceEmpty", "", "empty");
    add_scalar(&s->graph, "trips", trips);
    add_node_of(&s->graph, "Loop", "trips,,empty", outputs, body);
}

static void expect_rows(struct percept_session *session, int64_t n, const float *x, const float *want)
{
    const float *y = small_run(session, 2, DIMS(n, 2), x);
    const struct percept_tensor out = percept_output(session, 0);
    ck_assert(out.rank == 2 && out.dims[0] == 3 && out.dims[1] == 2);
    for (int i = 0; i < 6; i++)
        ck_assert_float_eq(y[i], want[i]);
}

/* Rows at the end of the list, at its front, and those of an inner loop that begins with the outer's list. */
START_TEST(a_loop_collects_rows_in_a_sequence)
{
    static const float x[] = {1, -2, -3, 4, 5, -6};
    static const float wants[][6] = {{1, 0, 0, 4, 5, 0}, {5, 0, 0, 4, 1, 0}};
    for (int front = 0; front < 2; front++) {
        struct small s = small_xy(2, DIMS(-1, 2));
        struct proto body = loop_body();
        add_scalar(&body, "zero", 0);
        proto_add(&body, GRAPH_NODE, proto_node("Gather", "", "x,i", "row"));
        proto_add(&body, GRAPH_NODE, proto_node("Relu", "", "row", "r"));
        proto_add(&body, GRAPH_NODE, proto_node("SequenceInsert", "", front ? "list,r,zero" : "list,r", "longer"));
        add_loop(&s, 3, "rows", body);
        struct proto join = proto_node("ConcatFromSequence", "", "rows", "y");
        proto_attr_int(&join, "axis", 0);
        proto_attr_int(&join, "new_axis", 1);
        proto_add(&s.graph, GRAPH_NODE, join);
        struct percept_model *model = small_open(&s);
        struct percept_session *session = small_session(model);
        for (int run = 0; run < 4; run++) /* memory comes in larger and larger pieces until all fits in one */
            expect_rows(session, 3, x, wants[front]);
        const size_t calls = arena_calls();
        expect_rows(session, 3, x, wants[front]);
        ck_assert_uint_eq(arena_calls(), calls);
        percept_session_free(session);
        percept_close(model);
    }
}
END_TEST

/* x's first element says which branch, and so how many elements there are: 1 or 2. */
START_TEST(branches_give_lists_of_different_lengths)
{
    struct proto one = {0}, two = {0};
    proto_add(&one, GRAPH_NODE, proto_node("SequenceConstruct", "", "x", "a"));
    proto_add(&one, GRAPH_OUTPUT, no_tensor("a", TYPE_SEQUENCE));
    proto_add(&two, GRAPH_NODE, proto_node("Neg", "", "x", "n"));
    proto_add(&two, GRAPH_NODE, proto_node("SequenceConstruct", "", "x,n", "b"));
    proto_add(&two, GRAPH_OUTPUT, no_tensor("b", TYPE_SEQUENCE));
    struct small s = small_xy(1, DIMS(1));
    proto_add(&s.graph, GRAPH_OUTPUT, proto_value("n", PERCEPT_INT64, 0, NULL));
    add_less(&s);
    add_if(&s, "less", "list", one, two);
    small_node(&s, "Identity", "list", "same");
    small_node(&s, "SequenceLength", "same", "n");
    small_node_int(&s, "ConcatFromSequence", "same", "y", "axis", 0);
    struct percept_model *model = small_open(&s);
    struct percept_session *session = small_session(model);
    for (int run = 0; run < 4; run++) {
        const float x = run % 2 ? 5 : -5;
        const float *y = small_run(session, 1, DIMS(1), &x);
        ck_assert_int_eq(percept_output(session, 0).dims[0], run % 2 ? 2 : 1);
        ck_assert_int_eq(*(const int64_t *)percept_output(session, 1).data, run % 2 ? 2 : 1);
        ck_assert_float_eq(y[0], x);
        ck_assert(run % 2 == 0 || y[1] == -x);
    }
    percept_session_free(session);
    percept_close(model);
}
END_TEST

/* Each part of x times the part of another list and a tensor that is the same for all. */
START_TEST(a_body_is_mapped_over_sequences)
{
    struct proto body = {0};
    for (int i = 0; i < 3; i++)
        proto_add(&body, GRAPH_INPUT, proto_value((const char *[]){"p", "q", "w"}[i], PERCEPT_FLOAT, -1, NULL));
    proto_add(&body, GRAPH_NODE, proto_node("Mul", "", "p,q", "t"));
    proto_add(&body, GRAPH_NODE, proto_node("Mul", "", "t,w", "out"));
    proto_add(&body, GRAPH_OUTPUT, proto_value("out", PERCEPT_FLOAT, -1, NULL));
    struct small s = small_xy(1, DIMS(-1));
    s.opset = 17;
    small_floats(&s, "w", 0, NULL, (float[]){10});
    small_node(&s, "SplitToSequence", "x", "parts");
    small_node(&s, "Neg", "x", "n");
    small_node(&s, "SplitToSequence", "n", "others");
    add_node_of(&s.graph, "SequenceMap", "parts,others,w", "mapped", body);
    small_node_int(&s, "ConcatFromSequence", "mapped", "y", "axis", 0);
    struct percept_model *model = small_open(&s);
    struct percept_session *session = small_session(model);
    for (int64_t n = 1; n < 4; n++) {
        const float *y = small_run(session, 1, &n, (float[]){1, 2, 3});
        ck_assert_int_eq(percept_output(session, 0).dims[0], n);
        for (int64_t i = 0; i < n; i++)
            ck_assert_float_eq(y[i], -10 * (float)((i + 1) * (i + 1)));
    }
    percept_session_free(session);
    percept_close(model);
}
END_TEST

/* An optional that a branch fills or leaves empty, and a sequence in one. */
START_TEST(optionals_go_through_branches)
{
    for (int nested = 0; nested < 2; nested++) {
        struct proto full = {0}, none = {0}, get = {0}, other = {0};
        proto_add(&full, GRAPH_NODE,
                  nested ? proto_node("SequenceConstruct", "", "x,x", "v") : proto_node("Neg", "", "x", "v"));
        proto_add(&full, GRAPH_NODE, proto_node("Optional", "", "v", "f"));
        proto_add(&full, GRAPH_OUTPUT, no_tensor("f", TYPE_OPTIONAL));
        proto_add(&none, GRAPH_NODE, proto_node("Optional", "", "", "e"));
        proto_add(&none, GRAPH_OUTPUT, no_tensor("e", TYPE_OPTIONAL));
        proto_add(&get, GRAPH_NODE, proto_node("OptionalGetElement", "", "may", nested ? "list" : "got"));
        if (nested) {
            struct proto join = proto_node("ConcatFromSequence", "", "list", "got");
            proto_attr_int(&join, "axis", 0);
            proto_add(&get, GRAPH_NODE, join);
        }
        proto_add(&get, GRAPH_OUTPUT, proto_value("got", PERCEPT_FLOAT, -1, NULL));
        proto_add(&other, GRAPH_NODE, proto_node("Identity", "", "x", "same"));
        proto_add(&other, GRAPH_OUTPUT, proto_value("same", PERCEPT_FLOAT, -1, NULL));
        struct small s = small_xy(1, DIMS(1));
        s.opset = 15;
        add_less(&s);
        add_if(&s, "less", "may", full, none);
        small_node(&s, "OptionalHasElement", "may", "has");
        add_if(&s, "has", "y", get, other);
        struct percept_model *model = small_open(&s);
        struct percept_session *session = small_session(model);
        for (int run = 0; run < 4; run++) {
            const float x = run % 2 ? 5 : -5;
            ck_assert_float_eq(*small_run(session, 1, DIMS(1), &x), run % 2 || nested ? x : -x);
            ck_assert_int_eq(percept_output(session, 0).dims[0], nested && run % 2 == 0 ? 2 : 1);
        }
        percept_session_free(session);
        percept_close(model);
    }
}
END_TEST

START_TEST(lists_go_neither_in_nor_out_of_a_model)
{
    static const struct {
        uint32_t type;
        bool output;
        const char *words;
    } cases[] = {
        {TYPE_SEQUENCE, false, "input 'l' is a sequence; only tensors can go in and out of a model: one that takes"},
        {TYPE_SEQUENCE, true, "output 'l' is a sequence; only tensors can go in and out of a model: one with Concat"},
        {TYPE_OPTIONAL, false, "input 'l' is an optional; only tensors"},
        {TYPE_OPTIONAL, true, "one with OptionalGetElement in front of its outputs"}};
    for (int i = 0; i < 4; i++) {
        struct small s = small_xy(1, DIMS(1));
        s.opset = 18;
        proto_add(&s.graph, cases[i].output ? GRAPH_OUTPUT : GRAPH_INPUT, no_tensor("l", cases[i].type));
        if (cases[i].output)
            small_node(&s, cases[i].type == TYPE_SEQUENCE ? "SequenceConstruct" : "Optional", "x", "l");
        small_node(&s, "Neg", "x", "y");
        small_refused(&s, NULL, cases[i].words);
    }
    for (int i = 0; i < 2; i++) { /* outputs that do not say what they are */
        struct small s = small_xy(1, DIMS(1));
        s.opset = 18;
        small_node(&s, i ? "Optional" : "SequenceConstruct", "x", "y");
        small_refused(&s, NULL, i ? "output 'y' is an optional" : "output 'y' is a sequence");
    }
}
END_TEST

/* A last node tells only when it ran that what it gives is no tensor. */
START_TEST(a_list_that_the_last_node_gives_is_refused_when_it_ran)
{
    static const char *const words[] = {"output 'y' is a sequence", "output 'y' is an optional",
                                        "output 'y' is a sequence", "output 'y' is a sequence"};
    for (int i = 0; i < 4; i++) {
        struct small s = small_xy(1, DIMS(1));
        s.opset = 18;
        if (i < 2) { /* an If */
            struct proto then = {0}, other = {0};
            proto_add(&then, GRAPH_NODE, proto_node(i ? "Optional" : "SequenceConstruct", "", "x", "l"));
            proto_add(&then, GRAPH_OUTPUT, no_tensor("l", i ? TYPE_OPTIONAL : TYPE_SEQUENCE));
            proto_add(&other, GRAPH_NODE, proto_node("Neg", "", "x", "n"));
            proto_add(&other, GRAPH_OUTPUT, proto_value("n", PERCEPT_FLOAT, -1, NULL));
            add_less(&s);
            add_if(&s, "less", "y", then, other);
        } else if (i == 2) { /* what an optional holds */
            small_node(&s, "SequenceConstruct", "x", "l");
            small_node(&s, "Optional", "l", "o");
            small_node(&s, "OptionalGetElement", "o", "y");
        } else {
            add_loop(&s, 1, "y", growing_body());
        }
        struct percept_model *model = small_open(&s);
        struct percept_session *session = small_session(model);
        expect_run_refused(session, 1, DIMS(1), words[i]);
        ck_assert_ptr_null(percept_output(session, 0).data);
        if (i < 2) { /* the other branch gives a tensor */
            const float *y = small_run(session, 1, DIMS(1), (float[]){2});
            ck_assert_float_eq(y[0], -2);
        }
        percept_session_free(session);
        percept_close(model);
    }
}
END_TEST

START_TEST(operators_on_tensors_refuse_lists)
{
    static const char *const ops[] = {"Neg", "Shape", "SequenceConstruct", "NonZero", "Cast"};
    for (int i = 0; i < 5; i++) {
        struct small s = small_xy(1, DIMS(1));
        small_node(&s, "SequenceConstruct", "x", "l");
        small_node_int(&s, ops[i], "l", "y", "to", 1);
        small_refused(&s, NULL, "input 0 is a sequence; a tensor would work, as SequenceAt or ConcatFromSequence give");
    }
    struct small s = small_xy(1, DIMS(1));
    s.opset = 15;
    small_node(&s, "Optional", "x", "o");
    small_node(&s, "Neg", "o", "y");
    small_refused(&s, NULL, "input 0 is an optional; a tensor would work, as OptionalGetElement gives one");
}
END_TEST

/* Fails at run: where its elements are none, or memory ends. */
START_TEST(what_goes_wrong_with_a_list_at_run_is_a_sentence)
{
    static const struct {
        int64_t trips;
        size_t limit;
        const char *op, *words;
    } cases[] = {{2, 0, "SequenceAt", "position 2 is outside [-2, 1]"},
                 {0, 0, "SequenceAt", "of a sequence of 0"},
                 {0, 0, "ConcatFromSequence", "the sequence is empty"},
                 {4000, 1 << 20, "ConcatFromSequence", "more memory than a session may have"},
                 {4000, 1 << 20, "SequenceLength", "more memory than a session may have"}}; /* of the list itself */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct small s = small_xy(1, DIMS(-1));
        add_loop(&s, cases[i].trips, "rows", growing_body());
        add_scalar(&s.graph, "two", 2);
        const bool at = strcmp(cases[i].op, "SequenceAt") == 0;
        small_node_int(&s, cases[i].op, at ? "rows,two" : "rows", "y", at ? "" : "axis", 0);
        struct proto bytes = small_end(&s);
        const struct percept_options options = {
            .size = sizeof options, .region = PERCEPT_REGION_PRIVATE, .memory_limit_bytes = cases[i].limit};
        struct percept_err err = {0};
        struct percept_model *model = percept_open_memory(bytes.at, bytes.n, &options, &err);
        proto_free(&bytes);
        ck_assert_msg(model != NULL, "%s", err.text);
        struct percept_session *session = small_session(model);
        expect_run_refused(session, 1, DIMS(100), cases[i].words);
        percept_session_free(session);
        percept_close(model);
    }
}
END_TEST

START_TEST(a_list_is_not_collected)
{
    struct small s = small_xy(1, DIMS(1));
    struct proto body = growing_body();
    proto_add(&body, GRAPH_NODE, proto_node("Identity", "", "longer", "seen"));
    proto_add(&body, GRAPH_OUTPUT, no_tensor("seen", TYPE_SEQUENCE));
    add_loop(&s, 1, "rows,y", body);
    struct percept_model *model = small_open(&s);
    struct percept_session *session = small_session(model);
    expect_run_refused(session, 1, DIMS(1), "an output that is collected is a sequence");
    percept_session_free(session);
    percept_close(model);
}
END_TEST

/* y is the largest place of x that is not 0, as a branch, a turn and a mapping find it: of an input with elements there
 * may be none, and the extreme of nothing is what it is; of an input without elements nothing is known. */
static struct small nothing_in_a_body(int kind)
{
    struct small s = small_xy(2, DIMS(1, -1));
    struct proto body = {0}, other = {0};
    small_floats(&s, "limit", 0, NULL, (float[]){1});
    small_node(&s, "NonZero", "x", "where");
    small_node(&s, "ReduceSum", "x", "sum");
    small_node(&s, "Squeeze", "sum", "total");
    small_node(&s, "Less", "total,limit", "less");
    s.opset = 17;
    if (kind == 2) {
        proto_add(&body, GRAPH_INPUT, proto_value("places", PERCEPT_INT64, -1, NULL));
        small_node(&s, "SequenceConstruct", "where", "list");
    } else if (kind == 1) {
        proto_add(&body, GRAPH_INPUT, proto_value("i", PERCEPT_INT64, 0, NULL));
        proto_add(&body, GRAPH_INPUT, proto_value("on", PERCEPT_BOOL, 0, NULL));
        proto_add(&body, GRAPH_NODE, proto_node("Identity", "", "on", "still"));
        proto_add(&body, GRAPH_OUTPUT, proto_value("still", PERCEPT_BOOL, 0, NULL));
        small_ints(&s, "turns", 1, DIMS(2));
    }
    proto_add(&body, GRAPH_NODE, proto_node("ReduceMax", "", kind == 2 ? "places" : "where", "most"));
    proto_add(&body, GRAPH_OUTPUT, proto_value("most", PERCEPT_INT64, -1, NULL));
    static const char *const types[] = {"If", "Loop", "SequenceMap"}, *const inputs[] = {"less", "turns,less", "list"};
    struct proto node = proto_node(types[kind], "", inputs[kind], "found");
    proto_attr_message(&node, kind ? "body" : "then_branch", ATTR_GRAPH, ATTRIBUTE_G, body);
    if (kind == 0) {
        proto_add(&other, GRAPH_NODE, proto_node("ReduceMin", "", "where", "least"));
        proto_add(&other, GRAPH_OUTPUT, proto_value("least", PERCEPT_INT64, -1, NULL));
        proto_attr_message(&node, "else_branch", ATTR_GRAPH, ATTRIBUTE_G, other);
    }
    proto_add(&s.graph, GRAPH_NODE, node);
    if (kind == 2)
        small_node_int(&s, "ConcatFromSequence", "found", "y", "axis", 0);
    else
        small_node(&s, "Identity", "found", "y");
    return s;
}

START_TEST(what_a_body_reduces_to_nothing_is_refused_when_it_was_given_nothing)
{
    struct small s = nothing_in_a_body(_i);
    struct percept_model *model = small_open(&s);
    struct percept_session *session = small_session(model);
    for (int run = 0; run < 6; run++) {
        struct percept_err err = {0};
        const bool empty = run % 2;
        ck_assert(percept_resize(session, 0, 2, DIMS(1, empty ? 0 : 3), &err));
        ck_assert_msg(percept_prepare(session, &err), "%s", err.text);
        if (!empty)
            memset(percept_input(session, 0), 0, 3 * sizeof(float));
        ck_assert_msg(percept_run(session, NULL, &err) != empty, "run %d: %s", run, err.text);
        ck_assert_msg(!empty || strstr(err.text, "input 'x' has shape [1,0], whose axis 1 is empty: node"), "%s",
                      err.text);
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
    tcase_add_test(tests, what_a_loop_captures_is_not_copied_at_every_turn);
    tcase_add_test(tests, what_a_branch_captures_may_lie_in_blocks);
    tcase_add_test(tests, a_loop_in_a_loop_captures_what_changes_around_it);
    tcase_add_test(tests, texts_outlive_the_iteration_that_made_them);
    tcase_add_test(tests, a_scan_of_opset_8_takes_items_one_by_one);
    tcase_add_test(tests, sequences_of_different_lengths_are_refused);
    tcase_add_test(tests, an_item_of_length_0_is_padded_like_the_others);
    tcase_add_test(tests, a_loop_collects_rows_in_a_sequence);
    tcase_add_test(tests, branches_give_lists_of_different_lengths);
    tcase_add_test(tests, a_body_is_mapped_over_sequences);
    tcase_add_test(tests, optionals_go_through_branches);
    tcase_add_test(tests, lists_go_neither_in_nor_out_of_a_model);
    tcase_add_test(tests, a_list_that_the_last_node_gives_is_refused_when_it_ran);
    tcase_add_test(tests, operators_on_tensors_refuse_lists);
    tcase_add_test(tests, what_goes_wrong_with_a_list_at_run_is_a_sentence);
    tcase_add_test(tests, a_list_is_not_collected);
    tcase_add_loop_test(tests, what_a_body_reduces_to_nothing_is_refused_when_it_was_given_nothing, 0, 3);
    suite_add_tcase(suite, tests);
    return suite;
}
