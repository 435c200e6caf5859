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
    accepted(with_node(node));
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

START_TEST(nesting_is_bounded)
{
    struct proto graph = body(proto_node("Relu", "r", "x", "z"), "z");
    for (int i = 0; i < 64; i++)
        graph = body(node_with_body("n", "z", graph), "z");
    accepted(with_node(node_with_body("n", "y", body(proto_node("Relu", "r", "x", "z"), "z"))));
    again();
    refused(with_node(node_with_body("n", "y", graph)), "nested more than 64 deep");
}
END_TEST

Suite *graph_attribute_suite(void)
{
    TCase *tests;
    Suite *suite = reading_suite("graph_attribute", &tests);
    tcase_add_test(tests, attributes_without_a_type_are_known_by_their_field);
    tcase_add_test(tests, packed_and_unpacked_lists_are_one_list);
    tcase_add_test(tests, attributes_with_a_wrong_type_are_refused);
    tcase_add_test(tests, nesting_is_bounded);
    return suite;
}
