/* message.c - messages of protobuf that are no model are told, and models are not taken for them.
 */
#include "graph/message.h"

#include <check.h>

#include "proto.h"

Suite *graph_message_suite(void);

static void expect(struct proto message, const char *what)
{
    const struct foreign *kind = message_find(proto_view(&message));
    ck_assert_msg(what ? kind && strstr(kind->what, what) : !kind, "'%s' instead of '%s'",
                  kind ? kind->what : "nothing", what ? what : "nothing");
    proto_free(&message);
}

static struct proto two_texts(const char *first, const char *second)
{
    struct proto message = {0};
    proto_text(&message, WIRE_LEN(1), first);
    proto_text(&message, WIRE_LEN(2), second);
    return message;
}

START_TEST(onnx_messages_beside_the_model_are_told)
{
    const int64_t dims[] = {7};
    expect(proto_tensor("t", PERCEPT_FLOAT, 1, dims, (float[7]){0}, 28), "TensorProto");
    expect(proto_tensor("", PERCEPT_INT64, 1, dims, (int64_t[7]){0}, 56), "TensorProto");
    struct proto ints = {0}, packed = {0}; /* int64_data has the number of a model's graph */
    for (int64_t i = 1; i < 4; i++)
        proto_varint(&packed, (uint64_t)i);
    proto_int(&ints, WIRE_VARINT(1), 3);
    proto_int(&ints, WIRE_VARINT(2), PERCEPT_INT64);
    proto_add(&ints, WIRE_LEN(7), packed);
    expect(ints, "TensorProto");
    struct proto graph = {0};
    proto_add(&graph, GRAPH_NODE, proto_node("Relu", "r", "x", "y"));
    proto_text(&graph, GRAPH_NAME, "main");
    proto_add(&graph, GRAPH_INPUT, proto_value("x", PERCEPT_FLOAT, 1, dims));
    proto_add(&graph, GRAPH_OUTPUT, proto_value("y", PERCEPT_FLOAT, 1, dims));
    expect(graph, "ONNX graph without the model");
}
END_TEST

START_TEST(other_frameworks_messages_are_told)
{
    struct proto saved = {0}, meta = {0}, frozen = {0}, mlmodel = {0}, caffe = {0}, paddle = {0}, block = {0};
    proto_add(&meta, WIRE_LEN(1), two_texts("serve", "serve"));
    proto_int(&saved, WIRE_VARINT(1), 1);
    proto_add(&saved, WIRE_LEN(2), meta);
    expect(saved, "SavedModel");
    proto_add(&frozen, WIRE_LEN(1), two_texts("input", "Placeholder"));
    proto_add(&frozen, WIRE_LEN(1), two_texts("out", "Softmax"));
    proto_add(&frozen, WIRE_LEN(4), (struct proto){0});
    expect(frozen, "GraphDef");
    proto_int(&mlmodel, WIRE_VARINT(1), 5);
    proto_text(&mlmodel, WIRE_LEN(2), "");
    proto_text(&mlmodel, WIRE_LEN(500), "");
    expect(mlmodel, "Core ML");
    proto_text(&caffe, WIRE_LEN(1), "CaffeNet");
    proto_text(&caffe, WIRE_LEN(100), "");
    expect(caffe, "Caffe");
    proto_int(&block, WIRE_VARINT(1), 0);
    proto_int(&block, WIRE_VARINT(2), 1);
    proto_add(&paddle, WIRE_LEN(1), block);
    expect(paddle, "Paddle");
}
END_TEST

START_TEST(fields_that_no_framework_has_mean_nothing)
{
    static const struct {
        unsigned number;
        bool text;
        const char *what;
    } rows[] = {{127, false, NULL}, {128, false, NULL},     {129, false, NULL},      {200, false, NULL},
                {199, true, NULL},  {200, true, "Core ML"}, {3000, true, "Core ML"}, {3001, true, NULL}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct proto message = {0};
        proto_int(&message, WIRE_VARINT(1), 5);
        proto_text(&message, WIRE_LEN(2), "");
        if (rows[i].text)
            proto_text(&message, WIRE_LEN(rows[i].number), "");
        else
            proto_int(&message, WIRE_VARINT(rows[i].number), 1);
        expect(message, rows[i].what);
    }
}
END_TEST

START_TEST(models_and_unreadable_bytes_are_nothing_else)
{
    const int64_t dims[] = {7};
    struct proto graph = {0};
    proto_add(&graph, GRAPH_NODE, proto_node("Relu", "r", "x", "y"));
    proto_add(&graph, GRAPH_OUTPUT, proto_value("y", PERCEPT_FLOAT, 1, dims));
    struct proto model = proto_model(graph, 13);
    for (size_t n = 0; n <= model.n; n++)
        ck_assert_ptr_null(message_find(bytes_of(model.at, n)));
    proto_free(&model);
    struct proto oldest = {0}; /* ir_version 1, as in the first files of all */
    proto_int(&oldest, MODEL_IR_VERSION, 1);
    proto_text(&oldest, MODEL_PRODUCER_NAME, "CNTK");
    proto_text(&oldest, MODEL_GRAPH, "");
    expect(oldest, NULL);
    ck_assert_ptr_null(message_find(bytes_of("", 0)));
    ck_assert_ptr_null(message_find(bytes_of_text("not found")));
}
END_TEST

/* What each field says, alone: a message of these fields, of which 1 and 2 are varints, is a tensor. */
START_TEST(a_tensor_is_told_by_any_place_of_its_data)
{
    for (uint32_t number = 3; number < 20; number++) {
        struct proto tensor = {0};
        proto_int(&tensor, WIRE_VARINT(1), 3);
        proto_int(&tensor, WIRE_VARINT(2), PERCEPT_FLOAT);
        proto_text(&tensor, WIRE_LEN(number), "");
        bool data = (number >= 4 && number <= 11) || number == 13;
        expect(tensor, data ? "TensorProto" : NULL);
    }
}
END_TEST

/* Fields one by one, of which the first two are given as messages. */
static struct proto two(struct proto first, struct proto second, uint32_t also)
{
    struct proto message = {0};
    proto_add(&message, WIRE_LEN(1), first);
    proto_add(&message, WIRE_LEN(2), second);
    if (also)
        proto_text(&message, WIRE_LEN(also), "");
    return message;
}

START_TEST(graphs_and_programs_are_told_by_their_first_field)
{
    struct proto block = {0}, other = {0};
    proto_add(&other, WIRE_LEN(1), proto_node("Relu", "r", "x", "y"));
    proto_text(&other, WIRE_LEN(11), "");
    expect(other, "ONNX graph without the model");
    other = (struct proto){0};
    proto_add(&other, WIRE_LEN(1), proto_node("Relu", "r", "x", "y"));
    proto_text(&other, WIRE_LEN(12), "");
    expect(other, "ONNX graph without the model");
    expect(two(two_texts("input", "Placeholder"), (struct proto){0}, 0), "GraphDef");
    proto_text(&block, WIRE_LEN(1), "one text alone is nothing");
    expect(two(block, (struct proto){0}, 0), NULL);
    block = (struct proto){0};
    proto_text(&block, WIRE_LEN(2), "nor is the other");
    expect(two(block, (struct proto){0}, 0), NULL);
    for (uint32_t number = 1; number <= 2; number++) { /* a block begins with both varints */
        block = (struct proto){0};
        proto_int(&block, WIRE_VARINT(number), 1);
        expect(two(block, (struct proto){0}, 0), NULL);
    }
    block = (struct proto){0};
    proto_text(&block, WIRE_LEN(1), "\x0b no message");
    expect(block, NULL);
    struct proto first = {0}; /* the first of many counts */
    proto_add(&first, WIRE_LEN(1), two_texts("input", "Placeholder"));
    proto_text(&first, WIRE_LEN(1), "no node");
    expect(first, "GraphDef");
}
END_TEST

START_TEST(caffe_has_layers_in_either_form)
{
    struct proto old = {0};
    proto_text(&old, WIRE_LEN(1), "name");
    proto_text(&old, WIRE_LEN(2), "layer");
    proto_text(&old, WIRE_LEN(3), "input");
    expect(old, "Caffe");
    old = (struct proto){0};
    proto_text(&old, WIRE_LEN(1), "name");
    proto_text(&old, WIRE_LEN(3), "input");
    expect(old, NULL);
    old = (struct proto){0}; /* without a name nothing is told */
    proto_text(&old, WIRE_LEN(100), "layer");
    expect(old, NULL);
}
END_TEST

static struct proto versioned(int64_t version, uint32_t network, bool described)
{
    struct proto message = {0};
    proto_int(&message, WIRE_VARINT(1), version);
    if (described)
        proto_text(&message, WIRE_LEN(2), "");
    proto_text(&message, WIRE_LEN(network), "");
    return message;
}

START_TEST(core_ml_has_its_network_among_many_numbers)
{
    expect(versioned(5, 200, true), "Core ML");
    expect(versioned(5, 3000, true), "Core ML");
    expect(versioned(5, 199, true), NULL);
    expect(versioned(5, 3001, true), NULL);
    expect(versioned(5, 500, false), NULL);
    struct proto varint = {0};
    proto_int(&varint, WIRE_VARINT(1), 5);
    proto_text(&varint, WIRE_LEN(2), "");
    proto_int(&varint, WIRE_VARINT(500), 1);
    expect(varint, NULL);
}
END_TEST

/* 1: version, 2: a MetaGraphDef that has field `number` */
static struct proto saved_model(int64_t version, uint32_t number, const char *text, uint32_t also)
{
    struct proto message = {0}, meta = {0};
    proto_text(&meta, WIRE_LEN(number), text);
    proto_int(&message, WIRE_VARINT(1), version);
    proto_add(&message, WIRE_LEN(2), meta);
    if (also)
        proto_text(&message, WIRE_LEN(also), "");
    return message;
}

START_TEST(a_saved_model_is_of_version_1_and_has_a_meta_graph)
{
    expect(saved_model(1, 1, "", 0), "SavedModel");
    expect(saved_model(1, 2, "", 0), "SavedModel");
    expect(saved_model(1, 3, "", 0), NULL);
    expect(saved_model(2, 1, "", 0), NULL);
    expect(saved_model(1, 1, "", 7), NULL); /* a model of ONNX has its graph there */
    struct proto text = {0};
    proto_int(&text, WIRE_VARINT(1), 1);
    proto_text(&text, WIRE_LEN(2), "pytorch");
    expect(text, NULL);
    text = (struct proto){0};
    proto_int(&text, WIRE_VARINT(1), 1);
    proto_text(&text, WIRE_LEN(2), "");
    expect(text, NULL);
    struct proto twice = saved_model(1, 1, "", 0); /* of several meta graphs the first counts */
    proto_text(&twice, WIRE_LEN(2), "other");
    expect(twice, "SavedModel");
}
END_TEST

START_TEST(fields_of_high_numbers_do_no_harm)
{
    for (uint32_t number = 120; number < 140; number++) {
        struct proto message = two(two_texts("input", "Placeholder"), (struct proto){0}, number);
        expect(message, "GraphDef");
    }
}
END_TEST

Suite *graph_message_suite(void)
{
    Suite *suite = suite_create("graph/message");
    TCase *tests = tcase_create("message");
    tcase_add_test(tests, onnx_messages_beside_the_model_are_told);
    tcase_add_test(tests, other_frameworks_messages_are_told);
    tcase_add_test(tests, fields_that_no_framework_has_mean_nothing);
    tcase_add_test(tests, models_and_unreadable_bytes_are_nothing_else);
    tcase_add_test(tests, a_tensor_is_told_by_any_place_of_its_data);
    tcase_add_test(tests, graphs_and_programs_are_told_by_their_first_field);
    tcase_add_test(tests, caffe_has_layers_in_either_form);
    tcase_add_test(tests, core_ml_has_its_network_among_many_numbers);
    tcase_add_test(tests, a_saved_model_is_of_version_1_and_has_a_meta_graph);
    tcase_add_test(tests, fields_of_high_numbers_do_no_harm);
    suite_add_tcase(suite, tests);
    return suite;
}
