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

/* A scalar of this type whose one number stands in int32_data (uint64_data for uint32, int64_data for int64). */
static struct proto scalar(int64_t dtype, int64_t number)
{
    struct proto tensor = proto_tensor_head("w", dtype, 0, NULL);
    bool wide = dtype == PERCEPT_UINT32 || dtype == PERCEPT_UINT64;
    proto_int(&tensor,
              wide                     ? TENSOR_UINT64_DATA_ONE
              : dtype == PERCEPT_INT64 ? TENSOR_INT64_DATA_ONE
                                       : TENSOR_INT32_DATA_ONE,
              number);
    return tensor;
}

START_TEST(types_hold_their_least_and_most_and_nothing_beyond)
{
    static const struct {
        int64_t dtype, least, most;
    } types[] = {
        {PERCEPT_BOOL, 0, 1},           {PERCEPT_INT8, -128, 127},       {PERCEPT_UINT8, 0, 255},
        {PERCEPT_INT16, -32768, 32767}, {PERCEPT_UINT16, 0, 65535},      {PERCEPT_FLOAT16, 0, 65535},
        {PERCEPT_BFLOAT16, 0, 65535},   {PERCEPT_UINT32, 0, UINT32_MAX},
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        const size_t size = tensor_dtype_bytes((enum percept_dtype)types[i].dtype);
        for (int end = 0; end < 2; end++) {
            int64_t number = end ? types[i].most : types[i].least;
            again();
            accepted(with_initializer(scalar(types[i].dtype, number)));
            ck_assert_int_eq(memcmp(value_of(model.graph, "w")->constant->data, &number, size), 0);
            again();
            refused(with_initializer(scalar(types[i].dtype, end ? number + 1 : number - 1)),
                    "tensor 'w': a number is outside of what its type holds");
        }
    }
}
END_TEST

START_TEST(numbers_of_32_bits_may_be_written_with_or_without_a_sign)
{
    static const struct {
        int64_t written;
        int32_t read;
    } fit[] = {
        {INT32_MIN, INT32_MIN}, {INT32_MAX, INT32_MAX}, {-1, -1}, {UINT32_MAX, -1}, {(int64_t)1 << 31, INT32_MIN}};
    for (size_t i = 0; i < sizeof fit / sizeof *fit; i++) {
        again();
        accepted(with_initializer(scalar(PERCEPT_INT32, fit[i].written)));
        ck_assert_int_eq(*(int32_t *)value_of(model.graph, "w")->constant->data, fit[i].read);
    }
    static const int64_t wide[] = {(int64_t)1 << 32, (int64_t)INT32_MIN - 1, INT64_MIN, INT64_MAX};
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++) {
        again();
        refused(with_initializer(scalar(PERCEPT_INT32, wide[i])), "a number in int32_data has more than 32 bits");
    }
    again();
    accepted(with_initializer(scalar(PERCEPT_INT64, INT64_MIN)));
    ck_assert_int_eq(*(int64_t *)value_of(model.graph, "w")->constant->data, INT64_MIN);
}
END_TEST

/* Two of the type: one packed, one by itself, in the field of this number. */
static struct proto pair(int64_t dtype, uint32_t number, const void *packed, size_t n_bytes, uint32_t one,
                         uint64_t bits)
{
    struct proto tensor = proto_tensor_head("w", dtype, 1, (int64_t[]){2});
    proto_bytes(&tensor, WIRE_LEN(number), packed, n_bytes);
    proto_varint(&tensor, one);
    if ((one & 7u) == 0)
        proto_varint(&tensor, bits);
    else
        proto_raw(&tensor, &bits, (one & 7u) == 5 ? 4 : 8);
    return tensor;
}

START_TEST(typed_numbers_come_packed_and_one_by_one)
{
    const float f[2] = {1.5f, -2.5f};
    const double d[2] = {0.1, -0.2};
    uint32_t f_bits;
    uint64_t d_bits;
    memcpy(&f_bits, &f[1], sizeof f_bits);
    memcpy(&d_bits, &d[1], sizeof d_bits);
    accepted(with_initializer(pair(PERCEPT_FLOAT, 4, f, 4, TENSOR_FLOAT_DATA_ONE, f_bits)));
    ck_assert_int_eq(memcmp(value_of(model.graph, "w")->constant->data, f, sizeof f), 0);
    ck_assert(value_of(model.graph, "w")->aligned);
    again();
    accepted(with_initializer(pair(PERCEPT_DOUBLE, 10, d, 8, TENSOR_DOUBLE_DATA_ONE, d_bits)));
    ck_assert_int_eq(memcmp(value_of(model.graph, "w")->constant->data, d, sizeof d), 0);
    again();
    accepted(with_initializer(pair(PERCEPT_INT64, 7, "\xac\x02", 2, TENSOR_INT64_DATA_ONE, (uint64_t)-5)));
    ck_assert_int_eq(memcmp(value_of(model.graph, "w")->constant->data, (int64_t[]){300, -5}, 16), 0);
    again();
    accepted(with_initializer(pair(PERCEPT_UINT64, 11, "\xac\x02", 2, TENSOR_UINT64_DATA_ONE, UINT64_MAX)));
    ck_assert_int_eq(memcmp(value_of(model.graph, "w")->constant->data, (uint64_t[]){300, UINT64_MAX}, 16), 0);
    again();
    accepted(with_initializer(pair(PERCEPT_UINT32, 11, "\xac\x02", 2, TENSOR_UINT64_DATA_ONE, UINT32_MAX)));
    ck_assert_int_eq(memcmp(value_of(model.graph, "w")->constant->data, (uint32_t[]){300, UINT32_MAX}, 8), 0);
}
END_TEST

START_TEST(typed_data_that_end_within_a_number_are_refused)
{
    struct proto tensor = proto_tensor_head("w", PERCEPT_FLOAT, 1, (int64_t[]){1});
    proto_bytes(&tensor, TENSOR_FLOAT_DATA, "12345", 5);
    refused(with_initializer(tensor), "tensor 'w': its typed data end within a number");
    tensor = proto_tensor_head("w", PERCEPT_INT64, 1, (int64_t[]){1});
    proto_bytes(&tensor, TENSOR_INT64_DATA, "\1\x80", 2);
    refused(with_initializer(tensor), "tensor 'w': a number of its typed data is cut short");
    tensor = proto_tensor_head("w", PERCEPT_DOUBLE, 1, (int64_t[]){2}); /* of which none is whole: 8 + 4 and 4 */
    proto_bytes(&tensor, TENSOR_DOUBLE_DATA, "123456789012", 12);
    proto_bytes(&tensor, TENSOR_DOUBLE_DATA, "1234", 4);
    refused(with_initializer(tensor), "tensor 'w': its shape has 2 elements and double_data has 1");
}
END_TEST

START_TEST(typed_data_have_as_many_numbers_as_the_shape)
{
    static const struct {
        int64_t dtype;
        uint32_t tag;
        const char *field;
    } fields[] = {{PERCEPT_INT8, TENSOR_INT32_DATA, "int32_data"},
                  {PERCEPT_INT64, TENSOR_INT64_DATA, "int64_data"},
                  {PERCEPT_UINT64, TENSOR_UINT64_DATA, "uint64_data"},
                  {PERCEPT_STRING, TENSOR_STRING_DATA, "string_data"}};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        for (int n = 1; n <= 3; n++) {
            struct proto tensor = proto_tensor_head("w", fields[i].dtype, 1, (int64_t[]){2});
            for (int k = 0; k < n; k++)
                proto_bytes(&tensor, fields[i].tag, "\7", 1);
            again();
            if (n == 2) {
                accepted(with_initializer(tensor));
            } else {
                refused(with_initializer(tensor), fields[i].field);
                ck_assert_ptr_nonnull(strstr(err.text, "tensor 'w': its shape has 2 elements and"));
            }
        }
}
END_TEST

START_TEST(a_tensor_has_a_type_of_onnx_and_is_whole)
{
    refused(with_initializer(proto_tensor("w", PERCEPT_UNDEFINED, 1, four, "", 0)), "its data_type is 0, which is no");
    refused(with_initializer(proto_tensor("w", (int64_t)1 << 32 | 1, 1, four, (float[4]){0}, 16)),
            "its data_type is 4294967297, which is no type of ONNX");
    struct proto tensor = proto_tensor("w", PERCEPT_FLOAT, 1, four, (float[4]){0}, 16);
    proto_text(&tensor, TENSOR_SEGMENT, "");
    refused(with_initializer(tensor), "it is one segment of a tensor");
    tensor = proto_tensor("w", PERCEPT_FLOAT, 1, four, (float[4]){0}, 16);
    proto_int(&tensor, TENSOR_DATA_LOCATION, 2);
    refused(with_initializer(tensor), "data_location is 2; 0 (here) and 1 (external) exist");
    tensor = proto_tensor("w", PERCEPT_STRING, 1, four, "abcd", 4);
    refused(with_initializer(tensor), "strings cannot be raw_data");
    tensor = proto_tensor("w", PERCEPT_FLOAT, 1, four, (float[4]){0}, 16);
    proto_raw(&tensor, "\x0b", 1);
    refused(with_initializer(tensor), "tensor 'w': there is a protobuf group");
}
END_TEST

START_TEST(dimensions_come_packed_and_one_by_one)
{
    struct proto tensor = {0};
    proto_int(&tensor, TENSOR_DIMS_ONE, 1);
    proto_bytes(&tensor, TENSOR_DIMS, "\2\1", 2);
    proto_int(&tensor, TENSOR_DATA_TYPE, PERCEPT_FLOAT);
    proto_text(&tensor, TENSOR_NAME, "w");
    proto_bytes(&tensor, TENSOR_RAW_DATA, (float[]){3, 4}, 8);
    accepted(with_initializer(tensor));
    const struct value *w = value_of(model.graph, "w");
    ck_assert_int_eq(w->rank, 3);
    ck_assert(w->dims[0] == 1 && w->dims[1] == 2 && w->dims[2] == 1);
    again();
    tensor = (struct proto){0};
    proto_text(&tensor, TENSOR_NAME, "w");
    proto_bytes(&tensor, TENSOR_DIMS, "\2\x80", 2);
    refused(with_initializer(tensor), "tensor 'w': a dimension is cut short");
    const int64_t ones[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    again();
    accepted(with_initializer(proto_tensor("w", PERCEPT_FLOAT, 8, ones, (float[]){1}, 4)));
    ck_assert_int_eq(value_of(model.graph, "w")->rank, 8);
}
END_TEST

START_TEST(a_tensor_of_nothing_has_data_all_the_same)
{
    const int64_t none[2] = {0, 3};
    for (int i = 0; i < 3; i++) { /* without data, with an empty field, somewhere else */
        struct proto tensor = i == 2 ? proto_external("w", PERCEPT_FLOAT, 2, none, "w", NULL, NULL)
                                     : proto_tensor_head("w", PERCEPT_FLOAT, 2, none);
        if (i == 1)
            proto_bytes(&tensor, TENSOR_RAW_DATA, "", 0);
        again();
        accepted(with_initializer(tensor));
        ck_assert_ptr_nonnull(value_of(model.graph, "w")->constant->data);
        ck_assert(value_of(model.graph, "w")->aligned);
    }
    again();
    refused(with_initializer(proto_tensor("w", PERCEPT_FLOAT, 2, none, "abcd", 4)), "has 0 bytes and raw_data has 4");
}
END_TEST

START_TEST(raw_data_are_viewed_and_not_called_aligned)
{
    accepted(with_initializer(proto_tensor("w", PERCEPT_FLOAT, 1, four, (float[]){1, 2, 3, 4}, 16)));
    ck_assert(!value_of(model.graph, "w")->aligned);
}
END_TEST

/* values [n], indices, dims as given */
static struct proto sparse_of(struct proto values, struct proto indices, int rank, const int64_t *dims)
{
    struct proto made = {0};
    proto_add(&made, SPARSE_VALUES, values);
    proto_add(&made, SPARSE_INDICES, indices);
    for (int i = 0; i < rank; i++)
        proto_int(&made, SPARSE_DIMS_ONE, dims[i]);
    return made;
}

static struct proto floats(int rank, const int64_t *dims, size_t n)
{
    return proto_tensor("w", PERCEPT_FLOAT, rank, dims, (float[8]){1, 2, 3, 4, 5, 6, 7, 8}, n * 4);
}

static struct proto indices_of(int rank, const int64_t *dims, size_t n)
{
    return proto_tensor("i", PERCEPT_INT64, rank, dims, (int64_t[8]){0, 1, 2, 3, 4, 5, 6, 7}, n * 8);
}

START_TEST(sparse_tensors_have_shapes_that_agree)
{
    const char *shapes = "its values must have shape [n], its indices be int64 of shape [n] or [n,2]";
    const int64_t two_by_three[] = {2, 3}, one[] = {1}, two[] = {2}, twos[] = {2, 2}, cube[] = {2, 2, 1},
                  flat[] = {2, 1}, ones[] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    refused(with_sparse(sparse_of(floats(2, twos, 4), indices_of(1, two, 2), 2, two_by_three)), shapes);
    refused(with_sparse(sparse_of(floats(1, two, 2), indices_of(1, one, 1), 2, two_by_three)), shapes);
    refused(with_sparse(sparse_of(floats(1, two, 2), indices_of(3, cube, 4), 2, two_by_three)), shapes);
    refused(with_sparse(sparse_of(floats(1, two, 2), indices_of(2, flat, 2), 2, two_by_three)), shapes);
    refused(with_sparse(sparse_of(floats(1, one, 1), indices_of(0, NULL, 1), 2, two_by_three)), shapes);
    refused(with_sparse(
                sparse_of(floats(1, two, 2), proto_tensor("i", PERCEPT_INT32, 1, two, "12345678", 8), 2, two_by_three)),
            shapes);
    refused(with_sparse(sparse_of(floats(1, one, 1), indices_of(1, one, 1), 0, NULL)),
            "it is sparse with 0 dimensions");
    refused(with_sparse(sparse_of(floats(1, one, 1), indices_of(1, one, 1), 9, ones)),
            "it is sparse with 9 dimensions");
    again();
    accepted(with_sparse(sparse_of(floats(1, one, 1), indices_of(1, one, 1), 8, ones)));
    again();
    accepted(with_sparse(sparse_of(floats(1, one, 1), indices_of(1, one, 1), 1, two)));
    ck_assert_float_eq(((float *)value_of(model.graph, "w")->constant->data)[0], 1);
    ck_assert(value_of(model.graph, "w")->aligned);
}
END_TEST

START_TEST(sparse_tensors_have_values_that_can_be_made_dense)
{
    const int64_t one[] = {1}, none[] = {0};
    struct proto text = proto_tensor_head("w", PERCEPT_STRING, 1, one);
    proto_text(&text, TENSOR_STRING_DATA, "a");
    refused(with_sparse(sparse_of(text, indices_of(1, one, 1), 1, one)), "sparse tensors of type string are not");
    refused(with_sparse(sparse_of(proto_tensor("w", 17, 1, one, "a", 1), indices_of(1, one, 1), 1, one)),
            "sparse tensors of type float8e4m3fn are not supported");
    refused(with_sparse(sparse_of(floats(1, one, 1), indices_of(1, one, 1), 1, (int64_t[]){-1})), "made dense");
    refused(with_sparse(sparse_of(floats(1, one, 1), indices_of(1, one, 1), 1, (int64_t[]){((int64_t)1 << 28) + 1})),
            "it is sparse and made dense it would be larger than 1024 MiB");
    again();
    accepted(with_sparse(sparse_of(floats(1, none, 0), indices_of(1, none, 0), 1, none)));
    ck_assert_ptr_nonnull(value_of(model.graph, "w")->constant->data);
    again();
    accepted(with_sparse(sparse_of(floats(1, none, 0), indices_of(1, none, 0), 1, four)));
    ck_assert_float_eq(((float *)value_of(model.graph, "w")->constant->data)[3], 0);
}
END_TEST

START_TEST(sparse_tensors_that_are_broken_are_told)
{
    const int64_t one[] = {1};
    struct proto broken = sparse_of(floats(1, one, 1), indices_of(1, one, 1), 1, one);
    proto_bytes(&broken, SPARSE_DIMS, "\x80", 1);
    refused(with_sparse(broken), "initializer: sparse tensor: a dimension is cut short");
    broken = sparse_of(floats(1, one, 1), indices_of(1, one, 1), 1, one);
    proto_raw(&broken, "\x0b", 1);
    refused(with_sparse(broken), "initializer: sparse tensor: there is a protobuf group");
    refused(with_sparse(sparse_of(proto_tensor("w", PERCEPT_FLOAT, 1, one, "abc", 3), indices_of(1, one, 1), 1, one)),
            "initializer: tensor 'w': its shape [1] (float32) has 4 bytes");
    refused(with_sparse(sparse_of(floats(1, one, 1), proto_tensor("i", PERCEPT_INT64, 1, one, "abc", 3), 1, one)),
            "initializer: tensor 'i': its shape [1] (int64) has 8 bytes");
}
END_TEST

START_TEST(sparse_indices_count_through_every_axis)
{
    const int64_t dims[] = {2, 3, 4}, rows[] = {2, 3};
    struct proto indices = proto_tensor("i", PERCEPT_INT64, 2, rows, (int64_t[]){0, 2, 3, 1, 1, 2}, 48);
    accepted(with_sparse(sparse_of(floats(1, (int64_t[]){2}, 2), indices, 3, dims)));
    const float *w = value_of(model.graph, "w")->constant->data;
    for (int i = 0; i < 24; i++)
        ck_assert_float_eq(w[i], i == 11 ? 1.0f : i == 18 ? 2.0f : 0.0f);
    const int64_t beyond[3][3] = {{2, 0, 0}, {0, 3, 0}, {0, 0, -1}};
    for (int i = 0; i < 3; i++) {
        indices = proto_tensor("i", PERCEPT_INT64, 2, (int64_t[]){1, 3}, beyond[i], 24);
        again();
        refused(with_sparse(sparse_of(floats(1, (int64_t[]){1}, 1), indices, 3, dims)), "sparse index 0 is outside");
    }
    indices = proto_tensor("i", PERCEPT_INT64, 2, rows, (int64_t[]){1, 0, 0, 0, 2, 3}, 48); /* in the wrong order */
    refused(with_sparse(sparse_of(floats(1, (int64_t[]){2}, 2), indices, 3, dims)), "sparse index 1 is outside");
}
END_TEST

static bool give_odd(void *user, const char *name, size_t offset, size_t n, struct arena *to, struct bytes *bytes,
                     struct percept_err *e)
{
    const int *more = user;
    (void)name, (void)offset, (void)e;
    *bytes = bytes_of((char *)arena_alloc(to, n + 8) + *more, n + (size_t)(*more > 1));
    return true;
}

START_TEST(external_data_are_taken_as_they_come)
{
    struct asked asked = {0};
    struct onnx_external external = {give, &asked};
    ck_assert(reads_with(with_initializer(proto_external("w", PERCEPT_FLOAT, 1, four, "w", NULL, NULL)), &external));
    ck_assert_uint_eq(asked.offset, 0);
    ck_assert_uint_eq(asked.n, 16);
    ck_assert(value_of(model.graph, "w")->aligned);
    again();
    ck_assert(reads_with(
        with_initializer(proto_external("w", PERCEPT_FLOAT, 1, four, "w", "18446744073709551615", NULL)), &external));
    ck_assert_uint_eq(asked.offset, SIZE_MAX);
    int skip = 1;
    external = (struct onnx_external){give_odd, &skip};
    again();
    ck_assert(reads_with(with_initializer(proto_external("w", PERCEPT_FLOAT, 1, four, "w", NULL, NULL)), &external));
    ck_assert(!value_of(model.graph, "w")->aligned);
    skip = 2; /* and one byte more than was asked for */
    again();
    ck_assert(!reads_with(with_initializer(proto_external("w", PERCEPT_FLOAT, 1, four, "w", NULL, NULL)), &external));
    ck_assert_ptr_nonnull(strstr(err.text, "tensor 'w': its shape has 16 bytes and 'w' gave 17"));
}
END_TEST

START_TEST(numbers_of_external_data_are_digits_alone)
{
    static const char *const wrong[] = {"", "1/", "1:", " 1", "1.0", "18446744073709551616", "184467440737095516150"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        again();
        external_refused(proto_external("w", PERCEPT_FLOAT, 1, four, "w", wrong[i], NULL),
                         "the offset of its external");
        again();
        external_refused(proto_external("w", PERCEPT_FLOAT, 1, four, "w", NULL, wrong[i]),
                         "the length of its external");
    }
    struct proto twice = proto_external("w", PERCEPT_FLOAT, 1, four, "w", "0", "16");
    proto_entry(&twice, "length", "16");
    external_refused(twice, "two entries 'length'");
    struct proto nul = proto_tensor_head("w", PERCEPT_FLOAT, 1, four), entry = {0};
    proto_text(&entry, ENTRY_KEY, "location");
    proto_bytes(&entry, ENTRY_VALUE, "a\0b", 3);
    proto_add(&nul, TENSOR_EXTERNAL_DATA, entry);
    proto_int(&nul, TENSOR_DATA_LOCATION, 1);
    external_refused(nul, "its external data name no file");
}
END_TEST

/* What stands in another place or wire type than the type's field is passed over, as protobuf demands. */
START_TEST(fields_of_other_wire_types_are_no_data)
{
    struct proto tensor = proto_tensor_head("w", PERCEPT_FLOAT, 1, (int64_t[]){1});
    proto_bytes(&tensor, TENSOR_FLOAT_DATA, (float[]){6}, 4);
    proto_int(&tensor, WIRE_VARINT(4), 1);
    proto_int(&tensor, WIRE_VARINT(6), 1);
    accepted(with_initializer(tensor));
    ck_assert_float_eq(*(float *)value_of(model.graph, "w")->constant->data, 6);
    again();
    tensor = proto_tensor_head("w", PERCEPT_INT32, 1, (int64_t[]){1});
    proto_fixed32(&tensor, WIRE_FIXED32(5), 1);
    proto_int(&tensor, TENSOR_INT32_DATA_ONE, 6);
    accepted(with_initializer(tensor));
    ck_assert_int_eq(*(int32_t *)value_of(model.graph, "w")->constant->data, 6);
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
    tcase_add_test(tests, types_hold_their_least_and_most_and_nothing_beyond);
    tcase_add_test(tests, numbers_of_32_bits_may_be_written_with_or_without_a_sign);
    tcase_add_test(tests, typed_numbers_come_packed_and_one_by_one);
    tcase_add_test(tests, typed_data_that_end_within_a_number_are_refused);
    tcase_add_test(tests, typed_data_have_as_many_numbers_as_the_shape);
    tcase_add_test(tests, a_tensor_has_a_type_of_onnx_and_is_whole);
    tcase_add_test(tests, dimensions_come_packed_and_one_by_one);
    tcase_add_test(tests, a_tensor_of_nothing_has_data_all_the_same);
    tcase_add_test(tests, raw_data_are_viewed_and_not_called_aligned);
    tcase_add_test(tests, sparse_tensors_have_shapes_that_agree);
    tcase_add_test(tests, sparse_tensors_have_values_that_can_be_made_dense);
    tcase_add_test(tests, sparse_tensors_that_are_broken_are_told);
    tcase_add_test(tests, sparse_indices_count_through_every_axis);
    tcase_add_test(tests, external_data_are_taken_as_they_come);
    tcase_add_test(tests, numbers_of_external_data_are_digits_alone);
    tcase_add_test(tests, fields_of_other_wire_types_are_no_data);
    return suite;
}
