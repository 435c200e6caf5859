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

/* As protobuf has it of fields that exclude each other. */
START_TEST(of_a_number_and_a_name_the_last_counts)
{
    for (int named = 0; named < 2; named++) {
        struct proto dim = {0}, shape = {0}, tensor = {0}, type = {0}, input = {0}, graph = {0};
        if (named)
            proto_int(&dim, DIM_VALUE, 4);
        proto_text(&dim, DIM_PARAM, "batch");
        if (!named)
            proto_int(&dim, DIM_VALUE, 4);
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
        ck_assert_int_eq(x->dims[0], named ? -1 : 4);
        ck_assert_int_eq(x->dim_names != NULL && bytes_size(x->dim_names[0]) > 0, named);
    }
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

/* A graph's input or output "v" of this TypeProto. */
static struct proto declared_as(struct proto type)
{
    struct proto value = {0};
    proto_text(&value, VALUE_INFO_NAME, "v");
    proto_add(&value, VALUE_INFO_TYPE, type);
    return value;
}

static struct proto type_of(uint32_t tag)
{
    struct proto type = {0};
    proto_add(&type, tag, (struct proto){0});
    return type;
}

/* v -> Relu -> y, v declared so by `tag` */
static struct proto with_declared(uint32_t tag, struct proto declared)
{
    struct proto graph = {0};
    bool input = tag == GRAPH_INPUT;
    proto_add(&graph, GRAPH_INPUT, input ? declared : proto_value("x", PERCEPT_FLOAT, 1, four));
    proto_add(&graph, GRAPH_NODE, input ? proto_node("Relu", "r", "v", "y") : proto_node("Relu", "r", "x", "v"));
    if (!input && tag != GRAPH_OUTPUT) {
        proto_add(&graph, tag, declared);
        proto_add(&graph, GRAPH_NODE, proto_node("Relu", "s", "v", "y"));
    }
    proto_add(&graph, GRAPH_OUTPUT, tag == GRAPH_OUTPUT ? declared : proto_value("y", PERCEPT_FLOAT, -1, NULL));
    return proto_model(graph, 13);
}

START_TEST(what_is_no_tensor_is_refused_with_advice)
{
    static const struct {
        uint32_t tag;
        const char *input, *output;
    } kinds[] = {
        {TYPE_SEQUENCE, "joins them with SequenceConstruct", "with ConcatFromSequence"},
        {TYPE_OPTIONAL, "one that takes the tensor itself", "with OptionalGetElement"},
        {TYPE_MAP, "is a map; only tensors", "is a map; only tensors"},
        {TYPE_OPAQUE, "is an opaque type; only", "is an opaque type; only"},
        {TYPE_SPARSE_TENSOR, "is a sparse tensor; only", "is a sparse tensor; only"},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        again();
        refused(with_declared(GRAPH_INPUT, declared_as(type_of(kinds[i].tag))), kinds[i].input);
        ck_assert_int_eq(strncmp(err.text, "input 'v' is a", 14), 0);
        refused(with_declared(GRAPH_OUTPUT, declared_as(type_of(kinds[i].tag))), kinds[i].output);
        ck_assert_int_eq(strncmp(err.text, "output 'v' is a", 15), 0);
        ck_assert_int_eq(err.code, ERR_UNSUPPORTED);
    }
}
END_TEST

START_TEST(what_is_no_tensor_within_a_graph_is_left_to_the_operators)
{
    accepted(with_declared(GRAPH_VALUE_INFO, declared_as(type_of(TYPE_SEQUENCE))));
    ck_assert_int_eq((int)value_of(model.graph, "v")->dtype, PERCEPT_UNDEFINED);
}
END_TEST

START_TEST(the_face_has_a_rank_and_a_type_that_can_be_sent)
{
    const int64_t ones[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    accepted(with_declared(GRAPH_INPUT, proto_value("v", PERCEPT_FLOAT, 8, ones)));
    ck_assert_int_eq(value_of(model.graph, "v")->rank, 8);
    again();
    refused(with_declared(GRAPH_INPUT, proto_value("v", PERCEPT_FLOAT, 9, ones)),
            "input 'v' has 9 dimensions; at most 8 are supported");
    refused(with_declared(GRAPH_OUTPUT, proto_value("v", PERCEPT_FLOAT, 9, ones)), "output 'v' has 9 dimensions");
    refused(with_declared(GRAPH_INPUT, proto_value("v", PERCEPT_UNDEFINED, 1, four)), "input 'v' has no type");
    refused(with_declared(GRAPH_INPUT, proto_value("v", ((int64_t)1 << 32) + 1, 1, four)), "input 'v' has no type");
    refused(with_declared(GRAPH_OUTPUT, proto_value("v", 22, 1, four)), "output 'v' is of type int4 (22)");
    again();
    accepted(with_declared(GRAPH_OUTPUT, proto_value("v", PERCEPT_UNDEFINED, 1, four))); /* nodes tell */
    ck_assert_int_eq((int)value_of(model.graph, "v")->dtype, PERCEPT_UNDEFINED);
}
END_TEST

START_TEST(shapes_are_read_dimension_by_dimension)
{
    accepted(with_declared(GRAPH_VALUE_INFO, proto_value("v", PERCEPT_INT64, 3, (int64_t[]){0, 5, -1})));
    const struct value *v = value_of(model.graph, "v");
    ck_assert_int_eq((int)v->dtype, PERCEPT_INT64);
    ck_assert_int_eq(v->rank, 3);
    ck_assert(v->dims[0] == 0 && v->dims[1] == 5 && v->dims[2] == -1);
    again();
    struct proto dim = {0}, shape = {0}, tensor = {0}, type = {0}; /* a number that is negative is free */
    proto_int(&dim, DIM_VALUE, -7);
    proto_add(&shape, SHAPE_DIM, dim);
    proto_int(&tensor, TENSOR_TYPE_ELEM, PERCEPT_FLOAT);
    proto_add(&tensor, TENSOR_TYPE_SHAPE, shape);
    proto_add(&type, TYPE_TENSOR, tensor);
    accepted(with_declared(GRAPH_INPUT, declared_as(type)));
    ck_assert_int_eq(value_of(model.graph, "v")->dims[0], -1);
    again();
    accepted(with_declared(GRAPH_INPUT, proto_value("v", PERCEPT_FLOAT, -1, NULL)));
    ck_assert_int_eq(value_of(model.graph, "v")->rank, -1);
    ck_assert_int_eq((int)value_of(model.graph, "v")->dtype, PERCEPT_FLOAT);
    again();
    accepted(with_declared(GRAPH_INPUT, proto_value("v", PERCEPT_FLOAT, 0, NULL)));
    ck_assert_int_eq(value_of(model.graph, "v")->rank, 0);
}
END_TEST

START_TEST(names_of_dimensions_stand_where_they_were)
{
    struct proto shape = {0}, tensor = {0}, type = {0};
    for (int i = 0; i < 4; i++) {
        struct proto dim = {0};
        if (i % 2)
            proto_text(&dim, DIM_PARAM, i == 1 ? "height" : "width");
        else
            proto_int(&dim, DIM_VALUE, i);
        proto_add(&shape, SHAPE_DIM, dim);
    }
    proto_int(&tensor, TENSOR_TYPE_ELEM, PERCEPT_FLOAT);
    proto_add(&tensor, TENSOR_TYPE_SHAPE, shape);
    proto_add(&type, TYPE_TENSOR, tensor);
    accepted(with_declared(GRAPH_INPUT, declared_as(type)));
    const struct value *v = value_of(model.graph, "v");
    ck_assert(v->dims[0] == 0 && v->dims[1] == -1 && v->dims[2] == 2 && v->dims[3] == -1);
    ck_assert(bytes_is(v->dim_names[0], "") && bytes_is(v->dim_names[1], "height"));
    ck_assert(bytes_is(v->dim_names[2], "") && bytes_is(v->dim_names[3], "width"));
    again();
    struct proto one = {0}, broken = {0}, named = {0}, kind = {0};
    proto_bytes(&one, DIM_PARAM, "a\0b", 3);
    proto_add(&broken, SHAPE_DIM, one);
    proto_int(&named, TENSOR_TYPE_ELEM, PERCEPT_FLOAT);
    proto_add(&named, TENSOR_TYPE_SHAPE, broken);
    proto_add(&kind, TYPE_TENSOR, named);
    refused(with_declared(GRAPH_INPUT, declared_as(kind)), "name 'a...' has a NUL byte");
}
END_TEST

START_TEST(what_is_known_is_not_declared_anew)
{
    const int64_t five[] = {5};
    struct proto graph = face("x", "x");
    proto_add(&graph, GRAPH_INITIALIZER, proto_tensor("w", PERCEPT_FLOAT, 1, four, (float[4]){0}, 16));
    proto_add(&graph, GRAPH_VALUE_INFO, proto_value("w", PERCEPT_INT64, 1, five)); /* a constant knows better */
    proto_add(&graph, GRAPH_VALUE_INFO, proto_value("x", PERCEPT_INT64, 1, five)); /* and so does an input */
    proto_add(&graph, GRAPH_OUTPUT, proto_value("w", PERCEPT_INT64, 1, five));
    accepted(proto_model(graph, 13));
    for (int i = 0; i < 2; i++) {
        const struct value *v = value_of(model.graph, i ? "w" : "x");
        ck_assert_int_eq((int)v->dtype, PERCEPT_FLOAT);
        ck_assert_int_eq(v->rank, 1);
        ck_assert_int_eq(v->dims[0], 4);
    }
}
END_TEST

START_TEST(a_hint_of_too_many_dimensions_still_tells_the_type)
{
    accepted(
        with_declared(GRAPH_VALUE_INFO, proto_value("v", PERCEPT_INT32, 9, (int64_t[]){1, 1, 1, 1, 1, 1, 1, 1, 1})));
    ck_assert_int_eq((int)value_of(model.graph, "v")->dtype, PERCEPT_INT32);
    ck_assert_int_eq(value_of(model.graph, "v")->rank, -1);
}
END_TEST

Suite *graph_declared_suite(void)
{
    TCase *tests;
    Suite *suite = reading_suite("graph_declared", &tests);
    tcase_add_test(tests, dim_params_are_kept_by_name);
    tcase_add_test(tests, of_a_number_and_a_name_the_last_counts);
    tcase_add_test(tests, inputs_that_are_no_tensors_are_refused_by_name);
    tcase_add_test(tests, wrong_hints_are_passed_over);
    tcase_add_test(tests, what_is_no_tensor_is_refused_with_advice);
    tcase_add_test(tests, what_is_no_tensor_within_a_graph_is_left_to_the_operators);
    tcase_add_test(tests, the_face_has_a_rank_and_a_type_that_can_be_sent);
    tcase_add_test(tests, shapes_are_read_dimension_by_dimension);
    tcase_add_test(tests, names_of_dimensions_stand_where_they_were);
    tcase_add_test(tests, what_is_known_is_not_declared_anew);
    tcase_add_test(tests, a_hint_of_too_many_dimensions_still_tells_the_type);
    return suite;
}
