/* stored.c - tensors as files store them: sizes, types, places, sparse ones, data in other files.
 */
#include "reading.h"

START_TEST(tensor_sizes_must_be_exact)
{
    const float data[5] = {0};
    refused(with_initializer(proto_tensor("w", PERCEPT_FLOAT, 1, four, data, 15)),
            "tensor 'w': its shape [4] (float32) has 16 bytes and raw_data has 15");
    refused(with_initializer(proto_tensor("w", PERCEPT_FLOAT, 1, four, data, 20)), "raw_data has 20");
    struct proto typed = proto_tensor_head("w", PERCEPT_FLOAT, 1, four);
    proto_bytes(&typed, TENSOR_FLOAT_DATA, data, 12);
    refused(with_initializer(typed), "has 4 elements and float_data has 3");
    refused(with_initializer(proto_tensor_head("w", PERCEPT_FLOAT, 1, four)), "it has no data");
}
END_TEST

START_TEST(tensor_shapes_must_make_sense)
{
    refused(with_initializer(proto_tensor("w", PERCEPT_FLOAT, 1, (int64_t[]){-4}, "", 0)), "negative");
    refused(with_initializer(proto_tensor("w", PERCEPT_FLOAT, 1, (int64_t[]){INT64_MAX}, "", 0)),
            "more bytes than 2^64");
    refused(with_initializer(proto_tensor("w", PERCEPT_FLOAT, 2, (int64_t[]){INT64_MAX, INT64_MAX}, "", 0)), "2^63");
    refused(
        with_initializer(proto_tensor("w", PERCEPT_FLOAT, 9, (int64_t[]){1, 1, 1, 1, 1, 1, 1, 1, 1}, (float[]){1}, 4)),
        "9 dimensions");
}
END_TEST

START_TEST(tensor_data_must_be_in_one_place)
{
    struct proto both = proto_tensor("w", PERCEPT_FLOAT, 1, four, (float[4]){0}, 16);
    proto_bytes(&both, TENSOR_FLOAT_DATA, (float[4]){0}, 16);
    refused(with_initializer(both), "more than one place");
    struct proto wrong = proto_tensor_head("w", PERCEPT_FLOAT, 1, four);
    proto_bytes(&wrong, TENSOR_INT64_DATA, "\1\2\3\4", 4);
    refused(with_initializer(wrong), "it is float32 and has int64_data; float_data is the field");
}
END_TEST

START_TEST(small_types_are_kept_in_int32_data)
{
    struct proto tensor = proto_tensor_head("w", PERCEPT_INT8, 1, (int64_t[]){3});
    proto_int(&tensor, TENSOR_INT32_DATA_ONE, -128);
    proto_bytes(&tensor, TENSOR_INT32_DATA, "\x00\x7f", 2);
    accepted(with_initializer(tensor));
    const int8_t *data = value_of(model.graph, "w")->constant->data;
    ck_assert_int_eq(data[0], -128);
    ck_assert_int_eq(data[1], 0);
    ck_assert_int_eq(data[2], 127);
}
END_TEST

START_TEST(numbers_outside_of_their_type_are_refused)
{
    struct proto tensor = proto_tensor_head("w", PERCEPT_INT8, 1, (int64_t[]){1});
    proto_int(&tensor, TENSOR_INT32_DATA_ONE, 128);
    refused(with_initializer(tensor), "outside of what its type holds");
    tensor = proto_tensor_head("w", PERCEPT_UINT32, 1, (int64_t[]){1});
    proto_int(&tensor, TENSOR_UINT64_DATA_ONE, (int64_t)1 << 32);
    refused(with_initializer(tensor), "outside of what its type holds");
    refused(with_initializer(proto_tensor("w", PERCEPT_BOOL, 1, (int64_t[]){2}, "\1\2", 2)),
            "element 1 is 2; a bool is 0 or 1");
}
END_TEST

START_TEST(typed_data_of_every_width_are_read)
{
    const double d = 0.1;
    struct proto graph = face("x", "x"), tensor = proto_tensor_head("d", PERCEPT_DOUBLE, 0, NULL);
    proto_bytes(&tensor, TENSOR_DOUBLE_DATA, &d, sizeof d);
    proto_add(&graph, GRAPH_INITIALIZER, tensor);
    tensor = proto_tensor_head("u", PERCEPT_UINT64, 0, NULL);
    proto_int(&tensor, TENSOR_UINT64_DATA_ONE, -1);
    proto_add(&graph, GRAPH_INITIALIZER, tensor);
    tensor = proto_tensor_head("h", PERCEPT_FLOAT16, 0, NULL);
    proto_int(&tensor, TENSOR_INT32_DATA_ONE, 0xbc00);
    proto_add(&graph, GRAPH_INITIALIZER, tensor);
    tensor = proto_tensor_head("s", PERCEPT_STRING, 1, (int64_t[]){2});
    proto_text(&tensor, TENSOR_STRING_DATA, "");
    proto_text(&tensor, TENSOR_STRING_DATA, "word");
    proto_add(&graph, GRAPH_INITIALIZER, tensor);
    accepted(proto_model(graph, 13));
    ck_assert_double_eq(*(double *)value_of(model.graph, "d")->constant->data, 0.1);
    ck_assert_uint_eq(*(uint64_t *)value_of(model.graph, "u")->constant->data, UINT64_MAX);
    ck_assert_uint_eq(*(uint16_t *)value_of(model.graph, "h")->constant->data, 0xbc00);
    const struct percept_string *s = value_of(model.graph, "s")->constant->data;
    ck_assert_uint_eq(s[0].n_bytes, 0);
    ck_assert_uint_eq(s[1].n_bytes, 4);
    ck_assert_int_eq(memcmp(s[1].at, "word", 4), 0);
}
END_TEST

START_TEST(types_without_support_are_refused_when_needed)
{
    refused(with_initializer(proto_tensor("w", 17, 1, four, "abcd", 4)), "initializer 'w' is of type float8e4m3fn");
    struct proto graph = face("x", "x");
    proto_add(&graph, GRAPH_INITIALIZER, proto_tensor("w", 17, 1, four, "abcd", 4));
    accepted(proto_model(graph, 13));
    ck_assert_ptr_null(value_of(model.graph, "w")->constant);
    again();
    refused(with_initializer(proto_tensor("w", 99, 1, four, "abcd", 4)), "data_type is 99");
}
END_TEST

static struct proto sparse(const int64_t *indices, int rank_of_indices)
{
    struct proto made = {0};
    const int64_t n[] = {2, 2};
    proto_add(&made, SPARSE_VALUES, proto_tensor("w", PERCEPT_FLOAT, 1, n, (float[]){5, 6}, 8));
    proto_add(&made, SPARSE_INDICES,
              proto_tensor("i", PERCEPT_INT64, rank_of_indices, n, indices, rank_of_indices == 2 ? 32 : 16));
    proto_int(&made, SPARSE_DIMS_ONE, 2);
    proto_int(&made, SPARSE_DIMS_ONE, 3);
    return made;
}

static struct proto with_sparse(struct proto tensor)
{
    struct proto graph = face("x", "y");
    proto_add(&graph, GRAPH_SPARSE_INITIALIZER, tensor);
    proto_add(&graph, GRAPH_NODE, proto_node("Add", "add", "x,w", "y"));
    return proto_model(graph, 13);
}

START_TEST(sparse_tensors_become_dense)
{
    accepted(with_sparse(sparse((int64_t[]){1, 5}, 1)));
    const float *w = value_of(model.graph, "w")->constant->data;
    ck_assert_float_eq(w[0], 0);
    ck_assert_float_eq(w[1], 5);
    ck_assert_float_eq(w[5], 6);
    done();
    accepted(with_sparse(sparse((int64_t[]){0, 2, 1, 0}, 2)));
    w = value_of(model.graph, "w")->constant->data;
    ck_assert_float_eq(w[2], 5);
    ck_assert_float_eq(w[3], 6);
}
END_TEST

START_TEST(sparse_tensors_are_judged)
{
    refused(with_sparse(sparse((int64_t[]){1, 6}, 1)), "sparse index 1");
    refused(with_sparse(sparse((int64_t[]){-1, 5}, 1)), "sparse index 0");
    refused(with_sparse(sparse((int64_t[]){5, 5}, 1)), "sparse index 1");
    refused(with_sparse(sparse((int64_t[]){0, 3, 1, 0}, 2)), "sparse index 0");
    struct proto huge = {0};
    proto_add(&huge, SPARSE_VALUES, proto_tensor("w", PERCEPT_FLOAT, 1, (int64_t[]){0}, "", 0));
    proto_add(&huge, SPARSE_INDICES, proto_tensor("i", PERCEPT_INT64, 1, (int64_t[]){0}, "", 0));
    proto_int(&huge, SPARSE_DIMS_ONE, (int64_t)1 << 40);
    refused(with_sparse(huge), "made dense it would be larger");
}
END_TEST

START_TEST(tensors_of_attributes_are_judged_as_well)
{
    struct proto node = proto_node("Constant", "k", "", "y");
    proto_attr_message(&node, "value", ATTR_TENSOR, ATTRIBUTE_T, proto_tensor("", PERCEPT_FLOAT, 1, four, "abc", 3));
    refused(with_node(node), "node 'k' (Constant): attribute 'value': tensor ''");
    node = proto_node("Constant", "k", "", "y");
    proto_attr_message(&node, "sparse_value", ATTR_SPARSE, ATTRIBUTE_SPARSE_TENSOR, sparse((int64_t[]){1, 5}, 1));
    accepted(with_node(node));
    ck_assert_float_eq(((float *)graph_attr(&model.graph->nodes[0], "sparse_value")->tensor->data)[5], 6);
}
END_TEST

struct asked {
    char name[32];
    size_t offset, n;
};

static bool give(void *user, const char *name, size_t offset, size_t n, struct arena *to, struct bytes *bytes,
                 struct percept_err *e)
{
    struct asked *asked = user;
    (void)e;
    snprintf(asked->name, sizeof asked->name, "%s", name);
    asked->offset = offset;
    asked->n = n;
    *bytes = bytes_of(arena_alloc(to, n), n);
    return true;
}

static bool deny(void *user, const char *name, size_t offset, size_t n, struct arena *to, struct bytes *bytes,
                 struct percept_err *e)
{
    (void)user, (void)offset, (void)n, (void)to, (void)bytes;
    return err_set(e, ERR_INVALID, "'%s' leads out", name);
}

START_TEST(external_data_are_asked_for)
{
    struct asked asked = {0};
    struct onnx_external external = {give, &asked};
    ck_assert(
        reads_with(with_initializer(proto_external("w", PERCEPT_FLOAT, 1, four, "w.bin", "64", "16")), &external));
    ck_assert_str_eq(asked.name, "w.bin");
    ck_assert_uint_eq(asked.offset, 64);
    ck_assert_uint_eq(asked.n, 16);
    ck_assert_int_eq(value_of(model.graph, "w")->constant->dims[0], 4);
}
END_TEST

static void external_refused(struct proto tensor, const char *part)
{
    struct asked asked = {0};
    struct onnx_external external = {give, &asked};
    ck_assert(!reads_with(with_initializer(tensor), &external));
    ck_assert_msg(strstr(err.text, part) != NULL, "'%s' is not in: %s", part, err.text);
    ck_assert_str_eq(asked.name, "");
}

START_TEST(external_data_are_judged_before_they_are_asked_for)
{
    external_refused(proto_external("w", PERCEPT_FLOAT, 1, four, "w", "0", "12"), "have 12");
    external_refused(proto_external("w", PERCEPT_FLOAT, 1, four, "w", "-1", "16"), "offset");
    external_refused(proto_external("w", PERCEPT_FLOAT, 1, four, "w", "99999999999999999999", NULL), "offset");
    external_refused(proto_external("w", PERCEPT_FLOAT, 1, four, "w", "0", "0x10"), "length");
    external_refused(proto_external("w", PERCEPT_FLOAT, 1, four, "", "0", "16"), "no file");
    external_refused(proto_external("w", PERCEPT_STRING, 1, four, "w", NULL, NULL), "strings");
    struct proto twice = proto_external("w", PERCEPT_FLOAT, 1, four, "w", "0", "16");
    proto_entry(&twice, "location", "other");
    external_refused(twice, "two entries 'location'");
    struct proto both = proto_external("w", PERCEPT_FLOAT, 1, four, "w", "0", "16");
    proto_bytes(&both, TENSOR_RAW_DATA, (float[4]){0}, 16);
    external_refused(both, "more than one place");
}
END_TEST

START_TEST(external_data_need_somebody_who_reads)
{
    refused(with_initializer(proto_external("w", PERCEPT_FLOAT, 1, four, "w", NULL, NULL)),
            "save the model with its data inside");
    struct onnx_external external = {deny, NULL};
    ck_assert(
        !reads_with(with_initializer(proto_external("w", PERCEPT_FLOAT, 1, four, "../w", NULL, NULL)), &external));
    ck_assert_str_eq(err.text, "initializer: tensor 'w': '../w' leads out");
}
END_TEST

START_TEST(external_data_of_attributes_and_sparse_tensors_go_the_same_way)
{
    struct onnx_external external = {deny, NULL};
    struct proto node = proto_node("Constant", "k", "", "y"), made = {0};
    proto_attr_message(&node, "value", ATTR_TENSOR, ATTRIBUTE_T,
                       proto_external("", PERCEPT_FLOAT, 1, four, "/etc/x", NULL, NULL));
    ck_assert(!reads_with(with_node(node), &external));
    ck_assert_ptr_nonnull(strstr(err.text, "'/etc/x' leads out"));
    proto_add(&made, SPARSE_VALUES, proto_external("w", PERCEPT_FLOAT, 1, four, "/etc/y", NULL, NULL));
    ck_assert(!reads_with(with_sparse(made), &external));
    ck_assert_ptr_nonnull(strstr(err.text, "'/etc/y' leads out"));
}
END_TEST

Suite *graph_stored_suite(void)
{
    TCase *tests;
    Suite *suite = reading_suite("graph_stored", &tests);
    tcase_add_test(tests, tensor_sizes_must_be_exact);
    tcase_add_test(tests, tensor_shapes_must_make_sense);
    tcase_add_test(tests, tensor_data_must_be_in_one_place);
    tcase_add_test(tests, small_types_are_kept_in_int32_data);
    tcase_add_test(tests, numbers_outside_of_their_type_are_refused);
    tcase_add_test(tests, typed_data_of_every_width_are_read);
    tcase_add_test(tests, types_without_support_are_refused_when_needed);
    tcase_add_test(tests, sparse_tensors_become_dense);
    tcase_add_test(tests, sparse_tensors_are_judged);
    tcase_add_test(tests, tensors_of_attributes_are_judged_as_well);
    tcase_add_test(tests, external_data_are_asked_for);
    tcase_add_test(tests, external_data_are_judged_before_they_are_asked_for);
    tcase_add_test(tests, external_data_need_somebody_who_reads);
    tcase_add_test(tests, external_data_of_attributes_and_sparse_tensors_go_the_same_way);
    return suite;
}
