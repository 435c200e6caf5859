/* tensor.c - shapes that overflow are refused; formats convert exactly. */
#include "graph/tensor.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>

static struct tensor shaped(int rank, const int64_t *dims)
{
    struct tensor t = {.dtype = PERCEPT_FLOAT};
    tensor_set_dims(&t, rank, dims);
    return t;
}

START_TEST(count_refuses_negative_and_overflowing_shapes)
{
    int64_t n = -7;
    ck_assert(!tensor_count(2, (int64_t[]){2, -1}, &n));
    ck_assert(!tensor_count(2, (int64_t[]){INT64_MAX, 2}, &n));
    ck_assert(!tensor_count(3, (int64_t[]){0, INT64_MAX, INT64_MAX}, &n));
    ck_assert_int_eq(n, -7);
    ck_assert(tensor_count(2, (int64_t[]){0, INT64_MAX}, &n));
    ck_assert_int_eq(n, 0);
    ck_assert(tensor_count(0, NULL, &n));
    ck_assert_int_eq(n, 1);
    ck_assert(tensor_count(3, (int64_t[]){2, 3, 4}, &n));
    ck_assert_int_eq(n, 24);
}
END_TEST

START_TEST(products_end_at_the_largest_number)
{
    const struct tensor huge = {.rank = 3, .dims = {49, INT64_MAX / 16, 7}};
    ck_assert_int_eq(tensor_elements(&huge), INT64_MAX);
    ck_assert_int_eq(tensor_span(&huge, 1, 3), INT64_MAX / 16 * 7);
    const struct tensor none = {.rank = 3, .dims = {49, INT64_MAX / 16, 0}};
    ck_assert_int_eq(tensor_elements(&none), 0);
    int64_t strides[3];
    tensor_strides(3, (int64_t[]){2, INT64_MAX / 4, 8}, strides);
    ck_assert(strides[0] == INT64_MAX && strides[1] == 8);
}
END_TEST

START_TEST(bytes_count_whole_blocks)
{
    size_t n;
    struct tensor t = shaped(4, (int64_t[]){2, 3, 5, 7});
    ck_assert(tensor_bytes(&t, 16, &n));
    ck_assert_uint_eq(n, 2 * 3 * 5 * 7 * 4);
    t.layout = LAYOUT_BLOCKED;
    ck_assert(tensor_bytes(&t, 16, &n));
    ck_assert_uint_eq(n, 2 * 16 * 5 * 7 * 4);
    t.dims[1] = 17;
    ck_assert(tensor_bytes(&t, 16, &n));
    ck_assert_uint_eq(n, 2 * 32 * 5 * 7 * 4);
    t.rank = 2;
    ck_assert(!tensor_bytes(&t, 16, &n));
}
END_TEST

START_TEST(bytes_refuse_what_overflows_and_types_without_a_size)
{
    size_t n;
    struct tensor t = shaped(1, (int64_t[]){INT64_MAX});
    ck_assert(!tensor_bytes(&t, 1, &n));
    t = (struct tensor){.dtype = PERCEPT_UINT8, .rank = 1, .dims = {INT64_C(1) << 47}};
    ck_assert(tensor_bytes(&t, 1, &n));
    t.dtype = (enum percept_dtype)17;
    ck_assert(!tensor_bytes(&t, 1, &n));
    t = (struct tensor){.dtype = PERCEPT_INT16, .rank = 1, .dims = {INT64_MAX - 1}};
    ck_assert(!tensor_bytes(&t, 16, &n)); /* 2^64 - 4, which no rounding up survives */
    /* empty, and yet a step along the first axis would be 2^63 bytes */
    t = (struct tensor){.dtype = PERCEPT_FLOAT, .rank = 2, .dims = {0, INT64_C(1) << 61}};
    ck_assert(!tensor_bytes(&t, 1, &n));
    t.dims[1] = 8;
    ck_assert(tensor_bytes(&t, 1, &n));
    ck_assert_uint_eq(n, 0);
}
END_TEST

START_TEST(shapes_broadcast_as_numpy_does)
{
    struct percept_err err;
    int rank;
    int64_t dims[RANK_MAX];
    struct tensor a = shaped(3, (int64_t[]){2, 1, 4}), b = shaped(2, (int64_t[]){3, 1});
    ck_assert(tensor_broadcast(&a, &b, &rank, dims, &err));
    ck_assert_int_eq(rank, 3);
    ck_assert_int_eq(dims[0], 2);
    ck_assert_int_eq(dims[1], 3);
    ck_assert_int_eq(dims[2], 4);
    a = shaped(1, (int64_t[]){0});
    b = shaped(1, (int64_t[]){1});
    ck_assert(tensor_broadcast(&a, &b, &rank, dims, &err));
    ck_assert_int_eq(dims[0], 0);
}
END_TEST

START_TEST(shapes_that_do_not_broadcast_are_named)
{
    struct percept_err err;
    int rank = -1;
    int64_t dims[RANK_MAX] = {-5};
    struct tensor a = shaped(2, (int64_t[]){2, 3}), b = shaped(1, (int64_t[]){4});
    ck_assert(!tensor_broadcast(&a, &b, &rank, dims, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "[2,3]"));
    ck_assert_ptr_nonnull(strstr(err.text, "[4]"));
    ck_assert_int_eq(rank, -1);
    ck_assert_int_eq(dims[0], -5);
}
END_TEST

START_TEST(strides_are_row_major)
{
    int64_t strides[3];
    tensor_strides(3, (int64_t[]){2, 1, 5}, strides);
    ck_assert_int_eq(strides[0], 5);
    ck_assert_int_eq(strides[1], 5);
    ck_assert_int_eq(strides[2], 1);
}
END_TEST

START_TEST(shape_text_fits_any_buffer)
{
    char text[32], tiny[4];
    ck_assert_str_eq(tensor_shape_text(3, (int64_t[]){1, -1, 224}, text, sizeof text), "[1,-1,224]");
    ck_assert_str_eq(tensor_shape_text(0, NULL, text, sizeof text), "[]");
    ck_assert_str_eq(tensor_shape_text(2, (int64_t[]){100, 200}, tiny, sizeof tiny), "[10");
}
END_TEST

START_TEST(types_have_names_and_sizes)
{
    ck_assert_str_eq(tensor_dtype_name(PERCEPT_FLOAT), "float32");
    ck_assert_str_eq(tensor_dtype_name((enum percept_dtype)22), "int4");
    ck_assert_str_eq(tensor_dtype_name((enum percept_dtype)99), "undefined");
    ck_assert_str_eq(tensor_dtype_name((enum percept_dtype) - 1), "undefined");
    ck_assert_uint_eq(tensor_dtype_bytes(PERCEPT_BFLOAT16), 2);
    ck_assert_uint_eq(tensor_dtype_bytes((enum percept_dtype)22), 0);
}
END_TEST

START_TEST(every_half_survives_a_round_trip)
{
    for (unsigned i = 0; i <= 0xffff; i++) {
        float value = tensor_half_to_float((uint16_t)i);
        if (isnan(value))
            ck_assert((i & 0x7c00) == 0x7c00 && (i & 0x3ff) &&
                      isnan(tensor_half_to_float(tensor_float_to_half(value))));
        else
            ck_assert_uint_eq(tensor_float_to_half(value), i);
        value = tensor_bfloat_to_float((uint16_t)i);
        if (isnan(value))
            ck_assert(isnan(tensor_bfloat_to_float(tensor_float_to_bfloat(value))));
        else
            ck_assert_uint_eq(tensor_float_to_bfloat(value), i);
    }
}
END_TEST

START_TEST(halfway_between_halves_rounds_to_even)
{
    /* between each half and the next: below, at and above the middle */
    for (unsigned i = 0; i < 0x7bff; i++) {
        float low = tensor_half_to_float((uint16_t)i), high = tensor_half_to_float((uint16_t)(i + 1));
        float middle = (low + high) / 2; /* exact: one more bit than a half has */
        ck_assert_uint_eq(tensor_float_to_half(middle), i % 2 ? i + 1 : i);
        ck_assert_uint_eq(tensor_float_to_half(nextafterf(middle, 0)), i);
        ck_assert_uint_eq(tensor_float_to_half(-nextafterf(middle, 1e9f)), (i + 1) | 0x8000);
    }
    ck_assert_uint_eq(tensor_float_to_half(65519.996f), 0x7bff);
    ck_assert_uint_eq(tensor_float_to_half(65520.0f), 0x7c00);
    ck_assert_uint_eq(tensor_float_to_half(-INFINITY), 0xfc00);
    ck_assert_uint_eq(tensor_float_to_half(1e-30f), 0);
}
END_TEST

START_TEST(bfloat_rounds_to_even)
{
    ck_assert_uint_eq(tensor_float_to_bfloat(1.00390625f), 0x3f80); /* 1 + 2^-8: tie, even below */
    ck_assert_uint_eq(tensor_float_to_bfloat(1.01171875f), 0x3f82); /* 1 + 3 2^-8: tie, even above */
    ck_assert_uint_eq(tensor_float_to_bfloat(1.00390637f), 0x3f81);
    ck_assert_uint_eq(tensor_float_to_bfloat(3.4e38f), 0x7f80);
}
END_TEST

START_TEST(counts_hold_up_to_the_largest_number)
{
    int64_t n = -7;
    ck_assert(tensor_count(1, (int64_t[]){INT64_MAX}, &n));
    ck_assert_int_eq(n, INT64_MAX);
    ck_assert(tensor_count(2, (int64_t[]){3, 0}, &n));
    ck_assert_int_eq(n, 0);
    ck_assert(!tensor_count(1, (int64_t[]){-1}, &n));
}
END_TEST

START_TEST(spans_are_products_of_some_axes)
{
    const struct tensor t = {.rank = 4, .dims = {2, 3, 5, 7}};
    ck_assert_int_eq(tensor_elements(&t), 210);
    ck_assert_int_eq(tensor_span(&t, 1, 3), 15);
    ck_assert_int_eq(tensor_span(&t, 2, 2), 1);
    ck_assert_int_eq(tensor_span(&t, 3, 4), 7);
}
END_TEST

START_TEST(bytes_have_a_limit_that_depends_on_the_type)
{
    size_t n;
    struct tensor t = {.dtype = PERCEPT_FLOAT, .rank = 1, .dims = {INT64_C(1) << 45}};
    ck_assert(tensor_bytes(&t, 1, &n));
    ck_assert_uint_eq(n, (size_t)1 << 47);
    t.dims[0]++;
    ck_assert(!tensor_bytes(&t, 1, &n));
    t = (struct tensor){.dtype = DTYPE_SEQUENCE, .rank = 0};
    ck_assert(tensor_bytes(&t, 1, &n));
    ck_assert_uint_eq(n, sizeof(struct sequence));
    t = shaped(3, (int64_t[]){2, 4, 3});
    t.layout = LAYOUT_BLOCKED;
    ck_assert(tensor_bytes(&t, 4, &n));
    ck_assert_uint_eq(n, 2 * 4 * 3 * 4); /* whole blocks already */
    ck_assert(tensor_bytes(&t, 1, &n));
    ck_assert_uint_eq(n, 2 * 4 * 3 * 4);
    ck_assert(!tensor_bytes(&t, 0, &n));
    t.dims[1] = INT64_MAX;
    ck_assert(!tensor_bytes(&t, 16, &n));
}
END_TEST

START_TEST(dims_are_the_same_or_not)
{
    struct tensor a = shaped(2, (int64_t[]){2, 3}), b = shaped(2, (int64_t[]){2, 3});
    a.dims[2] = 9; /* beyond the rank nothing counts */
    ck_assert(tensor_same_dims(&a, &b));
    b.dims[1] = 4;
    ck_assert(!tensor_same_dims(&a, &b));
    b = shaped(3, (int64_t[]){2, 3, 1});
    ck_assert(!tensor_same_dims(&a, &b));
    tensor_set_dims(&b, 2, b.dims + 1); /* may overlap */
    ck_assert(b.rank == 2 && b.dims[0] == 3 && b.dims[1] == 1);
}
END_TEST

START_TEST(each_axis_broadcasts_by_itself)
{
    struct percept_err err;
    int rank;
    int64_t dims[RANK_MAX];
    struct tensor a = shaped(2, (int64_t[]){1, 3}), b = shaped(2, (int64_t[]){4, 1});
    ck_assert(tensor_broadcast(&a, &b, &rank, dims, &err));
    ck_assert(rank == 2 && dims[0] == 4 && dims[1] == 3);
    ck_assert(tensor_broadcast(&b, &a, &rank, dims, &err));
    ck_assert(rank == 2 && dims[0] == 4 && dims[1] == 3);
    a = shaped(1, (int64_t[]){0});
    b = shaped(1, (int64_t[]){2});
    ck_assert(!tensor_broadcast(&a, &b, &rank, dims, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "0 against 2"));
    a = shaped(0, dims);
    ck_assert(tensor_broadcast(&a, &b, &rank, dims, &err));
    ck_assert(rank == 1 && dims[0] == 2);
}
END_TEST

START_TEST(strides_of_no_axes_and_of_nothing)
{
    int64_t strides[2] = {-1, -1};
    tensor_strides(0, NULL, strides);
    ck_assert_int_eq(strides[0], -1);
    tensor_strides(2, (int64_t[]){4, 0}, strides);
    ck_assert(strides[0] == 0 && strides[1] == 1);
}
END_TEST

START_TEST(shape_text_ends_where_the_buffer_ends)
{
    char text[16];
    for (size_t n = 1; n <= 12; n++) {
        memset(text, '#', sizeof text);
        tensor_shape_text(3, (int64_t[]){10, 20, 30}, text, n); /* "[10,20,30]" */
        ck_assert_uint_eq(strlen(text), n - 1 < 10 ? n - 1 : 10);
        ck_assert_int_eq(strncmp(text, "[10,20,30]", n - 1), 0);
        ck_assert_int_eq(text[n], '#');
    }
}
END_TEST

START_TEST(every_type_of_onnx_has_a_name)
{
    for (int dtype = 1; dtype <= 26; dtype++)
        ck_assert_str_ne(tensor_dtype_name((enum percept_dtype)dtype), "undefined");
    ck_assert_str_eq(tensor_dtype_name((enum percept_dtype)26), "int2");
    ck_assert_str_eq(tensor_dtype_name((enum percept_dtype)27), "undefined");
    ck_assert_str_eq(tensor_dtype_name(DTYPE_SEQUENCE), "sequence");
    ck_assert_str_eq(tensor_dtype_name(DTYPE_OPTIONAL), "optional");
    ck_assert_uint_eq(tensor_dtype_bytes(PERCEPT_STRING), sizeof(struct percept_string));
    ck_assert_uint_eq(tensor_dtype_bytes((enum percept_dtype)27), 0);
}
END_TEST

START_TEST(nan_stays_nan_with_its_sign_and_payload)
{
    static const struct {
        uint32_t bits;
        uint16_t half, bfloat;
    } nans[] = {{0x7fc00000, 0x7e00, 0x7fc0},
                {0xffc00000, 0xfe00, 0xffc0},
                {0x7f800001, 0x7e00, 0x7fc0},
                {0x7fabc000, 0x7f5e, 0x7feb},
                {0xffffffff, 0xffff, 0xffff}};
    for (size_t i = 0; i < sizeof nans / sizeof *nans; i++) {
        float value;
        memcpy(&value, &nans[i].bits, sizeof value);
        ck_assert_uint_eq(tensor_float_to_half(value), nans[i].half);
        ck_assert_uint_eq(tensor_float_to_bfloat(value), nans[i].bfloat);
    }
    ck_assert_uint_eq(tensor_float_to_bfloat((float)INFINITY), 0x7f80);
    ck_assert_uint_eq(tensor_float_to_bfloat(-(float)INFINITY), 0xff80);
    float widened = tensor_half_to_float(0xfd55);
    uint32_t bits;
    memcpy(&bits, &widened, sizeof bits);
    ck_assert_uint_eq(bits, 0xffaaa000);
}
END_TEST

START_TEST(the_smallest_halves_round_as_the_others)
{
    ck_assert_uint_eq(tensor_float_to_half(0x1p-25f), 0); /* half of the least: to even */
    ck_assert_uint_eq(tensor_float_to_half(nextafterf(0x1p-25f, 1)), 1);
    ck_assert_uint_eq(tensor_float_to_half(0x1.8p-24f), 2);
    ck_assert_uint_eq(tensor_float_to_half(nextafterf(0x1p-25f, 0)), 0);
    ck_assert_uint_eq(tensor_float_to_half(-0x1p-24f), 0x8001);
    ck_assert_uint_eq(tensor_float_to_half(-0.0f), 0x8000);
    ck_assert_uint_eq(tensor_float_to_half(nextafterf(0x1p-14f, 0)), 0x400);
    ck_assert_float_eq(tensor_half_to_float(1), 0x1p-24f);
    ck_assert_float_eq(tensor_half_to_float(0x83ff), -0x1.ff8p-15f);
}
END_TEST

START_TEST(rows_of_halves_are_widened_and_narrowed)
{
    const enum percept_dtype types[] = {PERCEPT_FLOAT16, PERCEPT_BFLOAT16};
    const float values[4] = {1, -2.5f, 0, 65504};
    for (int i = 0; i < 2; i++) {
        uint16_t halves[4] = {7, 7, 7, 7};
        float wide[4] = {0, 0, 0, 3};
        char shifted[9];
        tensor_narrow(halves, types[i], values, 4);
        ck_assert_uint_eq(halves[1], i ? 0xc020 : 0xc100);
        memcpy(shifted + 1, halves, 8); /* need not be aligned */
        tensor_widen(wide, shifted + 1, types[i], 3);
        ck_assert(wide[0] == 1 && wide[1] == -2.5f && wide[2] == 0 && wide[3] == 3);
        tensor_narrow(halves, types[i], values + 1, 1);
        ck_assert_uint_eq(halves[1], i ? 0xc020 : 0xc100); /* the next is left alone */
        ck_assert(tensor_is_half(types[i]));
    }
    ck_assert(!tensor_is_half(PERCEPT_FLOAT));
}
END_TEST

Suite *graph_tensor_suite(void)
{
    Suite *suite = suite_create("graph_tensor");
    TCase *tests = tcase_create("all");
    tcase_add_test(tests, count_refuses_negative_and_overflowing_shapes);
    tcase_add_test(tests, products_end_at_the_largest_number);
    tcase_add_test(tests, bytes_count_whole_blocks);
    tcase_add_test(tests, bytes_refuse_what_overflows_and_types_without_a_size);
    tcase_add_test(tests, shapes_broadcast_as_numpy_does);
    tcase_add_test(tests, shapes_that_do_not_broadcast_are_named);
    tcase_add_test(tests, strides_are_row_major);
    tcase_add_test(tests, shape_text_fits_any_buffer);
    tcase_add_test(tests, types_have_names_and_sizes);
    tcase_add_test(tests, every_half_survives_a_round_trip);
    tcase_add_test(tests, halfway_between_halves_rounds_to_even);
    tcase_add_test(tests, bfloat_rounds_to_even);
    tcase_add_test(tests, counts_hold_up_to_the_largest_number);
    tcase_add_test(tests, spans_are_products_of_some_axes);
    tcase_add_test(tests, bytes_have_a_limit_that_depends_on_the_type);
    tcase_add_test(tests, dims_are_the_same_or_not);
    tcase_add_test(tests, each_axis_broadcasts_by_itself);
    tcase_add_test(tests, strides_of_no_axes_and_of_nothing);
    tcase_add_test(tests, shape_text_ends_where_the_buffer_ends);
    tcase_add_test(tests, every_type_of_onnx_has_a_name);
    tcase_add_test(tests, nan_stays_nan_with_its_sign_and_payload);
    tcase_add_test(tests, the_smallest_halves_round_as_the_others);
    tcase_add_test(tests, rows_of_halves_are_widened_and_narrowed);
    suite_add_tcase(suite, tests);
    return suite;
}
