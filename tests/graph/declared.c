/* declared.c - types and shapes as a file declares them. */
#include "reading.h"

START_TEST(dim_params_are_kept_by_name)
{
    struct proto dim = {0}, shape = {0}, tensor = {0}, type = {0}, input = {0}, graph = {0};
    proto_text(&dim, DIM_PARAM, "batch");
    proto_add(&shape, SHAPE_DIM, dim);
    proto_int(&tensor, TENSOR_TYPE_ELEM, PERCEPT_FLOAT);
    proto_add(&tensor, TENSOR_TYPE_SHAPE, shape);
    proto_add(&type, TYPE_TENSOR, tensor);
    proto_text(&input, VALUE_INFO_NAME, "x");
    proto_add(&input, VALUE_INFO_TYPE, type);
    proto_add(&graph, GRAPH_INPUT, input);
    proto_add(&graph, GRAPH_OUTPUT, proto_value("x", PERCEPT_FLOAT, 1, four));
    accepted(proto_model(graph, 13));
    const struct value *x = value_of(model.graph, "x");
    ck_assert_int_eq(x->rank, 1);
    ck_assert_int_eq(x->dims[0], -1);
    ck_assert(bytes_is(x->dim_names[0], "batch"));
}
END_TEST

START_TEST(inputs_that_are_no_tensors_are_refused_by_name)
{
    const struct {
        uint32_t tag;
        const char *what;
    } kinds[] = {{TYPE_SEQUENCE, "a sequence"}, {TYPE_MAP, "a map"}, {TYPE_OPTIONAL, "an optional"}};
    for (size_t i = 0; i < 3; i++) {
        struct proto type = {0}, input = {0}, graph = {0};
        proto_add(&type, kinds[i].tag, (struct proto){0});
        proto_text(&input, VALUE_INFO_NAME, "s");
        proto_add(&input, VALUE_INFO_TYPE, type);
        proto_add(&graph, GRAPH_INPUT, input);
        refused(proto_model(graph, 13), kinds[i].what);
    }
    struct proto graph = {0};
    proto_add(&graph, GRAPH_INPUT, proto_value("q", 22, 1, four));
    refused(proto_model(graph, 13), "input 'q' is of type int4");
}
END_TEST

START_TEST(wrong_hints_are_passed_over)
{
    struct proto graph = face("x", "y");
    proto_add(&graph, GRAPH_NODE, proto_node("Relu", "r", "x", "m"));
    proto_add(&graph, GRAPH_NODE, proto_node("Neg", "n", "m", "y"));
    proto_add(&graph, GRAPH_VALUE_INFO, proto_value("m", PERCEPT_FLOAT, 9, (int64_t[]){1, 1, 1, 1, 1, 1, 1, 1, 1}));
    proto_add(&graph, GRAPH_VALUE_INFO, proto_value("gone", PERCEPT_FLOAT, 1, four));
    accepted(proto_model(graph, 13));
    ck_assert_int_eq(value_of(model.graph, "m")->rank, -1);
}
END_TEST

Suite *graph_declared_suite(void)
{
    TCase *tests;
    Suite *suite = reading_suite("graph_declared", &tests);
    tcase_add_test(tests, dim_params_are_kept_by_name);
    tcase_add_test(tests, inputs_that_are_no_tensors_are_refused_by_name);
    tcase_add_test(tests, wrong_hints_are_passed_over);
    return suite;
}
