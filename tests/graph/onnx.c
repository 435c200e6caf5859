/* onnx.c - models built field by field: read as they say, or refused with a sentence that says
 * where. */
#include "lone.h"
#include "reading.h"

/* A model with one of each thing, for truncation. */
static struct proto small_model(void)
{
    struct proto graph = face("x", "y"), node = proto_node("Conv", "c", "x,w", "a");
    proto_attr_ints(&node, "pads", 2, (int64_t[]){1, 2});
    proto_attr_float(&node, "alpha", 0.5f);
    proto_attr_text(&node, "mode", "edge");
    proto_add(&graph, GRAPH_NODE, node);
    proto_add(&graph, GRAPH_NODE, proto_node("Relu", "", "a", "y"));
    proto_add(&graph, GRAPH_INITIALIZER, proto_tensor("w", PERCEPT_FLOAT, 1, (int64_t[]){2}, (float[]){1, 2}, 8));
    proto_add(&graph, GRAPH_VALUE_INFO, proto_value("a", PERCEPT_FLOAT, 2, (int64_t[]){-1, 3}));
    return proto_model(graph, 13);
}

START_TEST(a_small_model_is_read)
{
    accepted(small_model());
    const struct graph *graph = model.graph;
    ck_assert_int_eq(model.ir_version, 8);
    ck_assert_int_eq(model.opset, 13);
    ck_assert_int_eq(model.n_parameters, 2);
    ck_assert(bytes_is(model.producer, "proto.h"));
    ck_assert(bytes_is(graph->name, "main"));
    ck_assert_int_eq(graph->n_nodes, 2);
    ck_assert_int_eq(graph->n_inputs, 1);
    ck_assert(bytes_is(graph->nodes[0].op_type, "Conv"));
    ck_assert_int_eq(graph->nodes[0].opset, 13);
    ck_assert(bytes_is(graph->nodes[1].name, "Relu_1"));
    const struct attr *pads = graph_attr(&graph->nodes[0], "pads");
    ck_assert_uint_eq(pads->n, 2);
    ck_assert_int_eq(pads->ints[1], 2);
    ck_assert_float_eq(graph_attr(&graph->nodes[0], "alpha")->f, 0.5f);
    ck_assert(bytes_is(graph_attr(&graph->nodes[0], "mode")->s, "edge"));
    const struct value *a = value_of(graph, "a"), *w = value_of(graph, "w");
    ck_assert_int_eq(a->rank, 2);
    ck_assert_int_eq(a->dims[0], -1);
    ck_assert_int_eq(a->n_uses, 1);
    ck_assert_int_eq(w->constant->dims[0], 2);
    float stored[2];
    memcpy(stored, w->constant->data, sizeof stored);
    ck_assert_float_eq(stored[1], 2);
}
END_TEST

START_TEST(every_truncation_is_refused_or_whole)
{
    struct proto whole = small_model();
    struct onnx_model read;
    int n_refused = 0;
    for (size_t n = 0; n < whole.n; n++) {
        uint8_t *cut = malloc(n ? n : 1); /* so that a sanitizer sees the end */
        memcpy(cut, whole.at, n);
        n_refused += !onnx_read(bytes_of(cut, n), NULL, &arena, &read, &err);
        free(cut);
        arena_free(&arena);
    }
    ck_assert_uint_eq((size_t)n_refused, whole.n);
    proto_free(&whole);
}
END_TEST

START_TEST(every_flipped_bit_is_survived)
{
    struct proto whole = small_model();
    struct onnx_model read;
    for (size_t bit = 0; bit < whole.n * 8; bit++) {
        whole.at[bit / 8] ^= (uint8_t)(1u << bit % 8);
        err.text[0] = 0;
        if (!onnx_read(proto_view(&whole), NULL, &arena, &read, &err))
            ck_assert_msg(err.text[0] != 0, "bit %zu is refused without a word", bit);
        whole.at[bit / 8] ^= (uint8_t)(1u << bit % 8);
        arena_free(&arena);
    }
    proto_free(&whole);
}
END_TEST

START_TEST(every_failing_allocation_is_told)
{
    struct proto whole = small_model();
    struct onnx_model read;
    bool ok = false;
    for (size_t nth = 1; !ok; nth++) {
        ck_assert_uint_lt(nth, 1000);
        arena_fail_at(nth, true);
        ok = onnx_read(proto_view(&whole), NULL, &arena, &read, &err);
        arena_fail_at(0, false);
        if (!ok)
            ck_assert_int_eq(err.code, ERR_MEMORY);
        arena_free(&arena);
    }
    proto_free(&whole);
}
END_TEST

/* A model with all kinds of messages: functions, subgraphs, attributes of every size, typed and sparse tensors. */
static struct proto rich_model(void)
{
    struct proto graph = face("x", "y"), function = proto_function("fn", "a", "b"),
                 node = proto_node("Op", "", "a,t", "b");
    struct proto inner = body(proto_node("Add", "", "m,w", "an output of a body with a long name"), "x"), typed,
                 sparse = {0}, made;
    proto_attr_ref(&node, "v", ATTR_INT, "v");
    proto_attr_floats(&node, "f", 3, (float[]){1, 2, 3});
    proto_attr_ints(&node, "i", 3, (int64_t[]){1, 2, 3});
    proto_attr_texts(&node, "s", 2, (const char *const[]){"one", "two"});
    proto_attr_text(&node, "t", "text");
    proto_attr_message(&node, "k", ATTR_TENSOR, ATTRIBUTE_T,
                       proto_tensor("", PERCEPT_FLOAT, 1, four, (float[4]){0}, 16));
    proto_add(&function, FUNCTION_NODE, proto_node("Neg", "", "a", "t"));
    proto_add(&function, FUNCTION_NODE, node);
    struct proto fallback = proto_attr("v", ATTR_INT);
    proto_int(&fallback, ATTRIBUTE_I, 7);
    proto_add(&function, FUNCTION_ATTRIBUTE_PROTO, fallback);
    typed = proto_tensor_head("w", PERCEPT_INT8, 1, (int64_t[]){3});
    proto_bytes(&typed, TENSOR_INT32_DATA, "\1\2\3", 3);
    proto_add(&graph, GRAPH_INITIALIZER, typed);
    proto_add(&sparse, SPARSE_VALUES, proto_tensor("s", PERCEPT_FLOAT, 1, (int64_t[]){1}, (float[]){1}, 4));
    proto_add(&sparse, SPARSE_INDICES, proto_tensor("", PERCEPT_INT64, 1, (int64_t[]){1}, (int64_t[]){2}, 8));
    proto_int(&sparse, SPARSE_DIMS_ONE, 300);
    proto_add(&graph, GRAPH_SPARSE_INITIALIZER, sparse);
    proto_add(&graph, GRAPH_NODE, proto_call("fn", "", "x", "m"));
    proto_add(&graph, GRAPH_NODE, node_with_body("", "a rather long name of a value within", inner));
    proto_add(&graph, GRAPH_NODE, proto_node("Relu", "", "m", "y"));
    proto_add(&graph, GRAPH_VALUE_INFO, proto_value_named("m", PERCEPT_FLOAT, 2, (int64_t[]){-1, 3}, "batch"));
    made = proto_model(graph, 13);
    proto_add(&made, MODEL_FUNCTIONS, function);
    return made;
}

/* To the byte: whichever allocation is the one too many, it is told and nothing is read in its place. */
START_TEST(a_model_is_read_whole_or_memory_was_short)
{
    struct proto whole = rich_model();
    struct onnx_model read;
    bool ok = false;
    for (size_t limit = 1; !ok; limit++) {
        struct arena small = {.limit_bytes = limit};
        ck_assert_uint_lt(limit, 100000);
        err = (struct percept_err){0};
        ok = onnx_read(proto_view(&whole), NULL, &small, &read, &err);
        ck_assert_msg(ok || err.code == ERR_MEMORY, "%zu bytes: %s", limit, err.text);
        ck_assert(!ok || read.graph->n_nodes == 4);
        arena_free(&small);
    }
    ok = false;
    for (size_t nth = 1; !ok; nth++) {
        arena_fail_at(nth, true);
        ok = onnx_read(proto_view(&whole), NULL, &arena, &read, &err);
        arena_fail_at(0, false);
        ck_assert_msg(ok || err.code == ERR_MEMORY, "allocation %zu: %s", nth, err.text);
        arena_free(&arena);
    }
    proto_free(&whole);
}
END_TEST

/* So much of everything that each list is an allocation of its own. */
static struct proto wide_model(void)
{
    enum { N = 700 };
    static int64_t numbers[2 * N];
    static const char *texts[N];
    char name[32], all[N * 8] = "";
    struct proto graph = {0}, function = proto_function("fn", "a", "b"), inner = {0}, node, made;
    proto_text(&graph, GRAPH_NAME, "wide");
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "i%d", i);
        proto_add(&graph, GRAPH_INPUT, proto_value(name, PERCEPT_FLOAT, 1, four));
        snprintf(all + strlen(all), sizeof all - strlen(all), i ? ",i%d" : "i%d", i);
        texts[i] = "a text that is longer than nothing";
    }
    proto_add(&graph, GRAPH_NODE, proto_call("fn", "", "i0", "m"));
    for (int i = 0; i < N - 3; i++) {
        snprintf(name, sizeof name, "o%d", i);
        node = proto_node("Sum", "", i % 200 ? "i1,m" : all, name);
        if (i == 7) {
            proto_attr_ints(&node, "ints", 2 * N, numbers);
            proto_attr_texts(&node, "texts", N, texts);
        }
        proto_add(&graph, GRAPH_NODE, node);
        proto_add(&graph, GRAPH_OUTPUT, proto_value(name, PERCEPT_FLOAT, 1, four));
        snprintf(name, sizeof name, "c%d", i);
        proto_add(&graph, GRAPH_INITIALIZER, proto_tensor(name, PERCEPT_FLOAT, 1, four, (float[4]){0}, 16));
        proto_add(&inner, GRAPH_NODE, proto_node("Add", "", "i2,m", name));
        proto_add(&inner, GRAPH_OUTPUT, proto_value(name, PERCEPT_FLOAT, -1, NULL));
    }
    for (int i = 0; i < N; i++)
        proto_add(&function, FUNCTION_NODE, proto_node("Neg", "", "a", i ? "" : "b"));
    proto_add(&graph, GRAPH_NODE, node_with_body("", "last", inner));
    made = proto_model(graph, 13);
    proto_add(&made, MODEL_FUNCTIONS, function);
    return made;
}

/* One allocation may fail and the next succeed. */
START_TEST(any_list_may_be_the_one_that_is_short)
{
    struct proto whole = wide_model();
    struct onnx_model read;
    for (int lasting = 0; lasting < 2; lasting++) {
        bool ok = false;
        size_t nth = 1;
        for (; !ok; nth++) {
            ck_assert_uint_lt(nth, 1000);
            err = (struct percept_err){0};
            arena_fail_at(nth, lasting);
            ok = onnx_read(proto_view(&whole), NULL, &arena, &read, &err);
            arena_fail_at(0, false);
            ck_assert_msg(ok ? !err.text[0] : err.code == ERR_MEMORY, "allocation %zu: %s", nth, err.text);
            arena_free(&arena);
        }
        ck_assert_uint_gt(nth, 10);
    }
    proto_free(&whole);
}
END_TEST

START_TEST(what_is_no_model_is_refused)
{
    struct proto text = {0};
    refused((struct proto){0}, "the file is empty");
    proto_raw(&text, "PK\3\4 this is a zip", 18);
    refused(text, "no ONNX model");
}
END_TEST

static struct proto raw(const void *at, size_t n)
{
    struct proto file = {0};
    proto_raw(&file, at, n);
    return file;
}

START_TEST(another_kind_of_file_is_called_by_its_name)
{
    static const char pointer[] = "version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 9\n";
    static const char zeros[300];
    refused(raw(pointer, sizeof pointer - 1), "a Git LFS pointer, not the file itself: run `git lfs pull`");
    refused(raw("<html>", 6), "this is no ONNX model but an HTML page");
    refused(raw("PK\3\4net/data.pkl", 16), "torch.onnx.export");
    refused(raw("\x1f\x8b\x08\0\0\0", 6), "gunzip");
    refused(raw("\x1c\0\0\0TFL3", 8), "a TFLite model");
    refused(raw("\x80\x04}.", 4), "pickle");
    refused(raw(zeros, sizeof zeros), "a file of zero bytes alone");
    refused(proto_tensor("t", PERCEPT_FLOAT, 1, four, (float[]){1, 2, 3, 4}, 16), "TensorProto");
    refused(raw("\0\0\x80\x3f\0\0\0\x40", 8), "external data, name the .onnx file");
    struct proto graph = face("x", "y");
    proto_add(&graph, GRAPH_NODE, proto_node("Relu", "r", "x", "y"));
    refused(graph, "an ONNX graph without the model");
}
END_TEST

/* What begins or ends like another file and can be read is a model all the same. */
START_TEST(a_model_is_a_model_however_it_begins)
{
    static const char *const marks[] = {
        "GIF8", "ustar", "TFL3", "PK\3\4", "data.pkl", "<html>", "version https://git-lfs.github.com/spec/v1"};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        again();
        struct proto marked = {0}, whole = small_model();
        for (int k = 0; k < 80; k++) /* at every offset that a magic number may have */
            proto_text(&marked, WIRE_LEN(9), marks[i]);
        proto_raw(&marked, whole.at, whole.n);
        proto_text(&marked, WIRE_LEN(9), marks[i]);
        proto_free(&whole);
        accepted(marked);
    }
}
END_TEST

START_TEST(unknown_versions_are_refused)
{
    struct proto old = {0};
    proto_int(&old, MODEL_IR_VERSION, 2);
    proto_add(&old, MODEL_GRAPH, face("x", "x"));
    refused(old, "ir_version is 2; 3 to 14");
    refused(proto_model(face("x", "x"), 1000), "version 1000 of domain ''");
    refused(proto_model(face("x", "x"), 0), "version 0 of domain ''");
}
END_TEST

START_TEST(a_lone_tensor_is_copied)
{
    struct proto stored = proto_tensor("t", PERCEPT_FLOAT, 1, four, (float[]){1, 2, 3, 4}, 16);
    struct tensor tensor;
    struct bytes name;
    ck_assert(lone_read(proto_view(&stored), &arena, &tensor, &name, &err));
    memset(stored.at, 0xee, stored.n);
    proto_free(&stored);
    ck_assert(bytes_is(name, "t"));
    ck_assert_uint_eq((uintptr_t)tensor.data % sizeof(float), 0);
    ck_assert_float_eq(((float *)tensor.data)[3], 4);
}
END_TEST

START_TEST(a_lone_tensor_of_strings_is_copied)
{
    struct proto stored = proto_tensor_head("s", PERCEPT_STRING, 1, (int64_t[]){1});
    struct tensor tensor;
    struct bytes name;
    proto_text(&stored, TENSOR_STRING_DATA, "word");
    ck_assert(lone_read(proto_view(&stored), &arena, &tensor, &name, &err));
    memset(stored.at, 0xee, stored.n);
    proto_free(&stored);
    ck_assert_str_eq(((struct percept_string *)tensor.data)[0].at, "word");
}
END_TEST

START_TEST(a_lone_tensor_elsewhere_is_refused)
{
    struct proto stored = proto_external("t", PERCEPT_FLOAT, 1, four, "file", NULL, NULL);
    struct tensor tensor = {.rank = -9};
    struct bytes name;
    ck_assert(!lone_read(proto_view(&stored), &arena, &tensor, &name, &err));
    ck_assert_int_eq(tensor.rank, -9);
    proto_free(&stored);
}
END_TEST

/* x -> x of this ir_version, with so many graphs; opset 13 where `domain` is not NULL. */
static struct proto versioned(int64_t ir_version, int n_graphs, const char *domain, int64_t opset)
{
    struct proto made = {0};
    proto_int(&made, MODEL_IR_VERSION, ir_version);
    for (int i = 0; i < n_graphs; i++)
        proto_add(&made, MODEL_GRAPH, face("x", "x"));
    if (domain)
        proto_add(&made, MODEL_OPSET_IMPORT, proto_opset(domain, opset));
    return made;
}

START_TEST(known_versions_are_read)
{
    accepted(versioned(3, 1, "", 13));
    ck_assert_int_eq(model.ir_version, 3);
    ck_assert(bytes_is(model.producer, ""));
    again();
    accepted(versioned(14, 1, "", 28));
    ck_assert_int_eq(model.opset, 28);
    again();
    refused(versioned(15, 1, "", 13), "its ir_version is 15; 3 to 14 are supported");
    ck_assert_int_eq(err.code, ERR_UNSUPPORTED);
    refused(versioned(8, 1, "", 29), "opset_import: version 29 of domain ''; 1 to 28 are known");
    again();
    accepted(versioned(8, 1, "other", INT32_MAX)); /* of others we know nothing */
    ck_assert_int_eq(model.opset, 0);
    again();
    refused(versioned(8, 1, "other", (int64_t)INT32_MAX + 1), "version 2147483648 of domain 'other'; 1 to 2147483647");
    refused(versioned(8, 1, "other", 0), "version 0 of domain 'other'");
    again();
    accepted(versioned(8, 1, NULL, 0)); /* without nodes nothing need be imported */
    ck_assert_int_eq(model.opset, 0);
}
END_TEST

START_TEST(a_model_has_one_graph)
{
    refused(versioned(8, 0, "", 13), "it has no graph");
    refused(versioned(8, 2, "", 13), "it has more than one graph");
}
END_TEST

START_TEST(the_producer_is_told_with_its_version)
{
    struct proto made = versioned(8, 1, "", 13);
    proto_text(&made, MODEL_PRODUCER_NAME, "pytorch");
    proto_text(&made, MODEL_PRODUCER_VERSION, "2.1");
    accepted(made);
    ck_assert(bytes_is(model.producer, "pytorch 2.1"));
    again();
    made = versioned(8, 1, "", 13);
    proto_text(&made, MODEL_PRODUCER_NAME, "tf2onnx");
    proto_text(&made, MODEL_PRODUCER_VERSION, "");
    accepted(made);
    ck_assert(bytes_is(model.producer, "tf2onnx"));
}
END_TEST

START_TEST(what_exporters_note_is_kept_in_its_order)
{
    struct proto made = versioned(8, 1, "", 13), entry = {0}, nothing = {0};
    proto_text(&entry, ENTRY_VALUE, "the value may come first");
    proto_text(&entry, ENTRY_KEY, "names");
    proto_add(&made, MODEL_METADATA_PROPS, entry);
    proto_add(&made, MODEL_METADATA_PROPS, nothing);
    accepted(made);
    ck_assert_int_eq(model.n_properties, 2);
    ck_assert(bytes_is(model.properties[0].key, "names"));
    ck_assert(bytes_is(model.properties[0].value, "the value may come first"));
    ck_assert(bytes_size(model.properties[1].key) == 0 && bytes_size(model.properties[1].value) == 0);
}
END_TEST

/* A file that has a model's fields and then breaks is a damaged model, not some other file. */
START_TEST(a_damaged_model_is_not_taken_for_external_data)
{
    for (int i = 0; i < 3; i++) {
        struct proto made = {0};
        if (i == 0)
            proto_int(&made, MODEL_IR_VERSION, 8);
        if (i == 1)
            proto_text(&made, MODEL_PRODUCER_NAME, "pytorch");
        if (i == 2)
            proto_add(&made, MODEL_GRAPH, face("x", "x"));
        proto_raw(&made, "\x0b", 1);
        refused(made, "this is no ONNX model, or a damaged one: there is a protobuf group");
        ck_assert_ptr_null(strstr(err.text, "external data"));
    }
}
END_TEST

START_TEST(an_error_that_nobody_hears_leaves_the_result_alone)
{
    struct proto broken = proto_model(face("x", "ghost"), 13);
    struct onnx_model untouched = {.ir_version = -9};
    ck_assert(!onnx_read(proto_view(&broken), NULL, &arena, &untouched, NULL));
    ck_assert_int_eq(untouched.ir_version, -9);
    proto_free(&broken);
}
END_TEST

Suite *graph_onnx_suite(void)
{
    TCase *tests;
    Suite *suite = reading_suite("graph_onnx", &tests);
    tcase_add_test(tests, a_small_model_is_read);
    tcase_add_test(tests, every_truncation_is_refused_or_whole);
    tcase_add_test(tests, every_flipped_bit_is_survived);
    tcase_add_test(tests, every_failing_allocation_is_told);
    tcase_add_test(tests, a_model_is_read_whole_or_memory_was_short);
    tcase_add_test(tests, any_list_may_be_the_one_that_is_short);
    tcase_add_test(tests, what_is_no_model_is_refused);
    tcase_add_test(tests, another_kind_of_file_is_called_by_its_name);
    tcase_add_test(tests, a_model_is_a_model_however_it_begins);
    tcase_add_test(tests, unknown_versions_are_refused);
    tcase_add_test(tests, a_lone_tensor_is_copied);
    tcase_add_test(tests, a_lone_tensor_of_strings_is_copied);
    tcase_add_test(tests, a_lone_tensor_elsewhere_is_refused);
    tcase_add_test(tests, known_versions_are_read);
    tcase_add_test(tests, a_model_has_one_graph);
    tcase_add_test(tests, the_producer_is_told_with_its_version);
    tcase_add_test(tests, what_exporters_note_is_kept_in_its_order);
    tcase_add_test(tests, a_damaged_model_is_not_taken_for_external_data);
    tcase_add_test(tests, an_error_that_nobody_hears_leaves_the_result_alone);
    return suite;
}
