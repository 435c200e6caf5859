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

Suite *graph_message_suite(void)
{
    Suite *suite = suite_create("graph/message");
    TCase *tests = tcase_create("message");
    tcase_add_test(tests, onnx_messages_beside_the_model_are_told);
    tcase_add_test(tests, other_frameworks_messages_are_told);
    tcase_add_test(tests, models_and_unreadable_bytes_are_nothing_else);
    suite_add_tcase(suite, tests);
    return suite;
}
