/* attribute.c - attributes are read as their type says. */
#include "reading.h"

START_TEST(attributes_without_a_type_are_known_by_their_field)
{
    struct proto node = proto_node("Op", "n", "x", "y"), attr = {0};
    proto_text(&attr, ATTRIBUTE_NAME, "axis");
    proto_int(&attr, ATTRIBUTE_I, -2);
    proto_add(&node, NODE_ATTRIBUTE, attr);
    accepted(with_node(node));
    const struct attr *axis = graph_attr(&model.graph->nodes[0], "axis");
    ck_assert_int_eq((int)axis->type, ATTR_INT);
    ck_assert_int_eq(axis->i, -2);
}
END_TEST

START_TEST(packed_and_unpacked_lists_are_one_list)
{
    struct proto node = proto_node("Op", "n", "x", "y"), attr = proto_attr("v", ATTR_INTS), packed = {0};
    proto_varint(&packed, 7);
    proto_varint(&packed, (uint64_t)-8);
    proto_int(&attr, ATTRIBUTE_INTS_ONE, 6);
    proto_add(&attr, ATTRIBUTE_INTS, packed);
    proto_add(&node, NODE_ATTRIBUTE, attr);
    proto_attr_floats(&node, "f", 2, (float[]){1, 2});
    struct proto floats = proto_attr("g", ATTR_FLOATS);
    proto_fixed32(&floats, ATTRIBUTE_FLOATS_ONE, 0);
    proto_bytes(&floats, ATTRIBUTE_FLOATS, (float[]){1, 2}, 8);
    proto_bytes(&floats, ATTRIBUTE_FLOATS, (float[]){3, 4}, 8);
    proto_fixed32(&floats, ATTRIBUTE_FLOATS_ONE, 5);
    proto_add(&node, NODE_ATTRIBUTE, floats);
    accepted(with_node(node));
    const struct attr *g = graph_attr(&model.graph->nodes[0], "g");
    ck_assert_uint_eq(g->n, 6);
    for (int i = 0; i < 6; i++)
        ck_assert_float_eq(g->floats[i], (float)i);
    const struct attr *v = graph_attr(&model.graph->nodes[0], "v");
    ck_assert_uint_eq(v->n, 3);
    ck_assert_int_eq(v->ints[0], 6);
    ck_assert_int_eq(v->ints[2], -8);
    ck_assert_float_eq(graph_attr(&model.graph->nodes[0], "f")->floats[1], 2);
}
END_TEST

START_TEST(attributes_with_a_wrong_type_are_refused)
{
    struct proto node = proto_node("Op", "n", "x", "y"), attr = proto_attr("axis", ATTR_FLOAT);
    proto_int(&attr, ATTRIBUTE_I, 1);
    proto_add(&node, NODE_ATTRIBUTE, attr);
    refused(with_node(node), "node 'n' (Op): attribute 'axis': it has a value of another type");
    node = proto_node("Op", "n", "x", "y");
    attr = proto_attr("axis", (enum attr_type)77);
    proto_add(&node, NODE_ATTRIBUTE, attr);
    refused(with_node(node), "its type is 77");
}
END_TEST

/* The field of each type, lists with two elements. */
static struct proto field_of(enum attr_type type)
{
    struct proto p = {0}, list = {0};
    switch (type) {
    case ATTR_FLOAT:
        proto_fixed32(&p, ATTRIBUTE_F, 1.5f);
        break;
    case ATTR_INT:
        proto_int(&p, ATTRIBUTE_I, -3);
        break;
    case ATTR_STRING:
        proto_text(&p, ATTRIBUTE_S, "same");
        break;
    case ATTR_TENSOR:
        proto_add(&p, ATTRIBUTE_T, proto_tensor("t", PERCEPT_FLOAT, 1, four, (float[]){1, 2, 3, 4}, 16));
        break;
    case ATTR_GRAPH:
        proto_add(&p, ATTRIBUTE_G, body(proto_node("Relu", "r", "x", "z"), "z"));
        break;
    case ATTR_FLOATS:
        proto_fixed32(&p, ATTRIBUTE_FLOATS_ONE, 4);
        proto_bytes(&p, ATTRIBUTE_FLOATS, (float[]){5}, 4);
        break;
    case ATTR_INTS:
        proto_varint(&list, 300);
        proto_int(&p, ATTRIBUTE_INTS_ONE, -6);
        proto_add(&p, ATTRIBUTE_INTS, list);
        break;
    case ATTR_STRINGS:
        proto_text(&p, ATTRIBUTE_STRINGS, "one");
        proto_text(&p, ATTRIBUTE_STRINGS, "");
        break;
    case ATTR_SPARSE:
        proto_add(&list, SPARSE_VALUES, proto_tensor("", PERCEPT_FLOAT, 1, (int64_t[]){1}, (float[]){9}, 4));
        proto_add(&list, SPARSE_INDICES, proto_tensor("", PERCEPT_INT64, 1, (int64_t[]){1}, (int64_t[]){2}, 8));
        proto_int(&list, SPARSE_DIMS_ONE, 3);
        proto_add(&p, ATTRIBUTE_SPARSE_TENSOR, list);
        break;
    case ATTR_TYPE:
        proto_text(&p, ATTRIBUTE_TP, "");
        break;
    case ATTR_TENSORS:
    case ATTR_GRAPHS:
    case ATTR_SPARSES:
    case ATTR_TYPES:
        for (int i = 0; i < 2; i++)
            proto_text(&p,
                       type == ATTR_TENSORS   ? ATTRIBUTE_TENSORS
                       : type == ATTR_GRAPHS  ? ATTRIBUTE_GRAPHS
                       : type == ATTR_SPARSES ? ATTRIBUTE_SPARSE_TENSORS
                                              : ATTRIBUTE_TYPE_PROTOS,
                       "");
        break;
    }
    return p;
}

/* A model whose node has an attribute "a" of these fields; a type of 0 is left out. */
static struct proto with_attr(int64_t type, struct proto fields)
{
    struct proto node = proto_node("Op", "n", "x", "y"), attr = {0};
    proto_text(&attr, ATTRIBUTE_NAME, "a");
    if (type)
        proto_int(&attr, ATTRIBUTE_TYPE, type);
    proto_raw(&attr, fields.at, fields.n);
    proto_free(&fields);
    proto_add(&node, NODE_ATTRIBUTE, attr);
    return with_node(node);
}

static void expect_value(enum attr_type type, const struct attr *a)
{
    ck_assert_int_eq((int)a->type, (int)type);
    if (type == ATTR_FLOAT)
        ck_assert_float_eq(a->f, 1.5f);
    if (type == ATTR_INT)
        ck_assert_int_eq(a->i, -3);
    if (type == ATTR_STRING)
        ck_assert(bytes_is(a->s, "same"));
    if (type == ATTR_TENSOR)
        ck_assert_int_eq(a->tensor->dims[0], 4);
    if (type == ATTR_GRAPH)
        ck_assert_int_eq(a->graph->n_nodes, 1);
    if (type == ATTR_FLOATS)
        ck_assert(a->floats[0] == 4 && a->floats[1] == 5);
    if (type == ATTR_INTS)
        ck_assert(a->ints[0] == -6 && a->ints[1] == 300);
    if (type == ATTR_STRINGS)
        ck_assert(bytes_is(a->strings[0], "one") && bytes_is(a->strings[1], ""));
    if (type == ATTR_SPARSE)
        ck_assert(a->tensor->dims[0] == 3 && ((const float *)a->tensor->data)[2] == 9);
    bool list = (type >= ATTR_FLOATS && type <= ATTR_GRAPHS) || type == ATTR_SPARSES || type == ATTR_TYPES;
    ck_assert_uint_eq(a->n, list ? 2 : 0);
}

START_TEST(every_type_is_read_whether_it_says_so_or_not)
{
    for (int type = ATTR_FLOAT; type <= ATTR_TYPES; type++)
        for (int said = 0; said < 2; said++) {
            again();
            accepted(with_attr(said ? type : 0, field_of((enum attr_type)type)));
            expect_value((enum attr_type)type, graph_attr(&model.graph->nodes[0], "a"));
        }
}
END_TEST

START_TEST(every_field_that_is_not_of_the_type_is_refused)
{
    for (int type = ATTR_FLOAT; type <= ATTR_TYPES; type++)
        for (int said = ATTR_FLOAT; said <= ATTR_TYPES; said++) {
            again();
            if (said != type)
                refused(with_attr(said, field_of((enum attr_type)type)),
                        "attribute 'a': it has a value of another type");
        }
    again();
    accepted(with_attr(ATTR_INT, (struct proto){0})); /* protobuf leaves out what is 0 */
    ck_assert_int_eq(graph_attr(&model.graph->nodes[0], "a")->i, 0);
}
END_TEST

START_TEST(attributes_that_do_not_say_what_they_are_are_refused)
{
    refused(with_attr(0, (struct proto){0}), "attribute 'a': it has no type, and no value");
    struct proto two = field_of(ATTR_INT), other = field_of(ATTR_STRING);
    proto_raw(&two, other.at, other.n);
    proto_free(&other);
    refused(with_attr(0, two), "attribute 'a': it has no type, and values of several");
    refused(with_attr(15, (struct proto){0}), "its type is 15, which is no type of an attribute");
}
END_TEST

START_TEST(broken_attributes_are_refused_by_name)
{
    struct proto fields = {0};
    proto_bytes(&fields, ATTRIBUTE_FLOATS, "12345", 5);
    refused(with_attr(ATTR_FLOATS, fields), "attribute 'a': its floats end within a number");
    fields = (struct proto){0};
    proto_bytes(&fields, ATTRIBUTE_INTS, "\1\x80", 2);
    refused(with_attr(ATTR_INTS, fields), "attribute 'a': one of its ints is cut short");
    fields = (struct proto){0};
    proto_raw(&fields, "\x0b", 1);
    refused(with_attr(ATTR_INT, fields), "node 'n' (Op): attribute: there is a protobuf group");
    fields = (struct proto){0};
    proto_add(&fields, ATTRIBUTE_T, proto_tensor("t", 17, 1, four, "abcd", 4));
    refused(with_attr(ATTR_TENSOR, fields), "attribute 'a': tensors of type float8e4m3fn are not supported");
    ck_assert_int_eq(err.code, ERR_UNSUPPORTED);
}
END_TEST

/* So many graphs, each within the one before. */
static struct proto nested(int depth)
{
    struct proto graph = body(proto_node("Relu", "r", "x", "z"), "z");
    for (int i = 1; i < depth; i++)
        graph = body(node_with_body("n", "z", graph), "z");
    return with_node(node_with_body("n", "y", graph));
}

START_TEST(nesting_is_bounded)
{
    accepted(nested(64));
    again();
    refused(nested(65), "subgraphs are nested more than 64 deep");
}
END_TEST

START_TEST(subgraphs_beside_each_other_are_not_nested)
{
    struct proto graph = face("x", "y");
    char name[8];
    for (int i = 0; i < 70; i++) {
        snprintf(name, sizeof name, "v%d", i);
        proto_add(&graph, GRAPH_NODE, node_with_body("n", name, body(proto_node("Relu", "r", "x", "z"), "z")));
    }
    proto_add(&graph, GRAPH_NODE, proto_node("Relu", "last", "v69", "y"));
    accepted(proto_model(graph, 13));
}
END_TEST

Suite *graph_attribute_suite(void)
{
    TCase *tests;
    Suite *suite = reading_suite("graph_attribute", &tests);
    tcase_add_test(tests, attributes_without_a_type_are_known_by_their_field);
    tcase_add_test(tests, packed_and_unpacked_lists_are_one_list);
    tcase_add_test(tests, attributes_with_a_wrong_type_are_refused);
    tcase_add_test(tests, every_type_is_read_whether_it_says_so_or_not);
    tcase_add_test(tests, every_field_that_is_not_of_the_type_is_refused);
    tcase_add_test(tests, attributes_that_do_not_say_what_they_are_are_refused);
    tcase_add_test(tests, broken_attributes_are_refused_by_name);
    tcase_add_test(tests, nesting_is_bounded);
    tcase_add_test(tests, subgraphs_beside_each_other_are_not_nested);
    return suite;
}
