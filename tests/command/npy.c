/* Arrays in numpy's format: every type there and back, every file that is not what it says refused.
 */
#include "command/npy.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"

static struct arena arena;
static struct percept_err err;

static void teardown(void)
{
    arena_free(&arena);
}

static const enum percept_dtype dtypes[] = {
    PERCEPT_FLOAT, PERCEPT_UINT8,   PERCEPT_INT8,   PERCEPT_UINT16, PERCEPT_INT16,  PERCEPT_INT32,   PERCEPT_INT64,
    PERCEPT_BOOL,  PERCEPT_FLOAT16, PERCEPT_DOUBLE, PERCEPT_UINT32, PERCEPT_UINT64, PERCEPT_BFLOAT16};

static struct percept_tensor there_and_back(const struct percept_tensor *tensor)
{
    struct bytes file;
    struct percept_tensor back = {0};
    ck_assert_msg(npy_encode(tensor, &arena, &file, &err), "%s", err.text);
    ck_assert_msg(npy_decode(file, &arena, &back, &err), "%s", err.text);
    ck_assert_int_eq(back.dtype, tensor->dtype);
    ck_assert_int_eq(back.rank, tensor->rank);
    for (int d = 0; d < tensor->rank; d++)
        ck_assert_int_eq(back.dims[d], tensor->dims[d]);
    return back;
}

START_TEST(every_type_comes_back)
{
    uint8_t data[6 * 8];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(dtypes[_i] == PERCEPT_BOOL ? i & 1 : i * 37 + 1);
    struct percept_tensor tensor = {.dtype = dtypes[_i], .rank = 2, .dims = {2, 3}, .data = data};
    struct percept_tensor back = there_and_back(&tensor);
    ck_assert_mem_eq(back.data, data, 6 * percept_dtype_bytes(dtypes[_i]));
}
END_TEST

START_TEST(scalars_and_empty_arrays_come_back)
{
    float value = 1.5f;
    struct percept_tensor scalar = {.dtype = PERCEPT_FLOAT, .rank = 0, .data = &value};
    ck_assert_float_eq(*(float *)there_and_back(&scalar).data, 1.5f);
    struct percept_tensor empty = {.dtype = PERCEPT_FLOAT, .rank = 3, .dims = {2, 0, 3}};
    there_and_back(&empty);
    struct percept_tensor one = {.dtype = PERCEPT_FLOAT, .rank = 1, .dims = {1}, .data = &value};
    there_and_back(&one);
}
END_TEST

START_TEST(texts_come_back)
{
    struct percept_string strings[] = {{"ab", 2}, {"", 0}, {"c\303\244d", 4}, {"a\0b", 3}, {"\360\237\230\200", 4}};
    struct percept_tensor tensor = {.dtype = PERCEPT_STRING, .rank = 1, .dims = {5}, .data = strings};
    struct bytes file;
    ck_assert(npy_encode(&tensor, &arena, &file, &err));
    ck_assert_ptr_nonnull(memmem(file.at, bytes_size(file), "'descr': '<U3'", 14));
    const struct percept_string *back = there_and_back(&tensor).data;
    for (int i = 0; i < 5; i++) {
        ck_assert_uint_eq(back[i].n_bytes, strings[i].n_bytes);
        ck_assert_mem_eq(back[i].at, strings[i].at, strings[i].n_bytes);
    }
}
END_TEST

START_TEST(texts_that_are_not_utf8_come_back_as_bytes)
{
    struct percept_string strings[] = {{"c\303\244d", 4}, {"\377", 1}};
    struct percept_tensor tensor = {.dtype = PERCEPT_STRING, .rank = 1, .dims = {2}, .data = strings};
    struct bytes file;
    ck_assert(npy_encode(&tensor, &arena, &file, &err));
    ck_assert_ptr_nonnull(memmem(file.at, bytes_size(file), "'descr': '|S4'", 14));
    const struct percept_string *back = there_and_back(&tensor).data;
    ck_assert_uint_eq(back[0].n_bytes, 4);
    ck_assert_uint_eq(back[1].n_bytes, 1);
    ck_assert_mem_eq(back[1].at, "\377", 1);
}
END_TEST

START_TEST(elements_begin_at_a_multiple_of_64)
{
    int64_t data[8] = {0};
    struct percept_tensor tensor = {.dtype = PERCEPT_INT64, .data = data};
    for (tensor.rank = 0; tensor.rank < 8; tensor.rank++) {
        struct bytes file;
        tensor.dims[tensor.rank] = 1;
        ck_assert(npy_encode(&tensor, &arena, &file, &err));
        ck_assert_uint_eq((bytes_size(file) - 8) % 64, 0);
        ck_assert_int_eq(file.end[-9], '\n');
    }
}
END_TEST

/* A file of this version with this dictionary and these elements. */
static struct bytes make(int version, const char *dictionary, const void *data, size_t n)
{
    size_t length = strlen(dictionary), wide = version == 1 ? 2 : 4;
    uint8_t *file = arena_alloc(&arena, 8 + wide + length + n + 1);
    memcpy(file, "\x93NUMPY", 6);
    file[6] = (uint8_t)version;
    file[8] = (uint8_t)(length & 0xff);
    file[9] = (uint8_t)(length >> 8);
    memcpy(file + 8 + wide, dictionary, length);
    if (n)
        memcpy(file + 8 + wide + length, data, n);
    return bytes_of(file, 8 + wide + length + n);
}

static const char plain[] = "{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3), }   \n";

START_TEST(versions_one_to_three_are_read)
{
    const int16_t data[] = {1, 2, 3, 4, 5, 6};
    struct percept_tensor tensor;
    ck_assert_msg(npy_decode(make(_i, plain, data, sizeof data), &arena, &tensor, &err), "%s", err.text);
    ck_assert_int_eq(tensor.dtype, PERCEPT_INT16);
    ck_assert_mem_eq(tensor.data, data, sizeof data);
}
END_TEST

START_TEST(keys_may_come_in_any_order)
{
    const char *dictionary = "{\"shape\":(3L,),\"fortran_order\":False,\"descr\":\"|u1\"}";
    struct percept_tensor tensor;
    ck_assert_msg(npy_decode(make(1, dictionary, "abc", 3), &arena, &tensor, &err), "%s", err.text);
    ck_assert_int_eq(tensor.rank, 1);
    ck_assert_mem_eq(tensor.data, "abc", 3);
}
END_TEST

START_TEST(columns_are_transposed)
{
    const char *dictionary = "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3, 2), }\n";
    const uint8_t file[] = {0, 6, 2, 8, 4, 10, 1, 7, 3, 9, 5, 11};
    struct percept_tensor tensor;
    ck_assert_msg(npy_decode(make(1, dictionary, file, 12), &arena, &tensor, &err), "%s", err.text);
    for (int i = 0; i < 12; i++)
        ck_assert_int_eq(((uint8_t *)tensor.data)[i], i);
}
END_TEST

START_TEST(unicode_texts_are_read)
{
    const uint32_t data[] = {'a', 0xe4, 0, 0x1f600, 0xd800, 'b'};
    const char *dictionary = "{'descr': '<U3', 'fortran_order': False, 'shape': (2,), }\n";
    struct percept_tensor tensor;
    ck_assert_msg(npy_decode(make(1, dictionary, data, sizeof data), &arena, &tensor, &err), "%s", err.text);
    const struct percept_string *strings = tensor.data;
    ck_assert_uint_eq(strings[0].n_bytes, 3);
    ck_assert_mem_eq(strings[0].at, "a\303\244", 3);
    ck_assert_uint_eq(strings[1].n_bytes, 8);
    ck_assert_mem_eq(strings[1].at, "\360\237\230\200\357\277\275b", 8);
}
END_TEST

START_TEST(any_byte_of_a_bool_is_true)
{
    const char *dictionary = "{'descr': '|b1', 'fortran_order': False, 'shape': (3,), }\n";
    struct percept_tensor tensor;
    ck_assert(npy_decode(make(1, dictionary, "\0\2\377", 3), &arena, &tensor, &err));
    ck_assert_mem_eq(tensor.data, "\0\1\1", 3);
}
END_TEST

static const struct {
    const char *dictionary;
    size_t n_bytes;
    const char *why; /* a part of the sentence */
} refused[] = {
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", 7, "ends within its elements"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", 9, "1 bytes after its last element"},
    {"{'descr': '>f4', 'fortran_order': False, 'shape': (2,), }", 8, "big-endian"},
    {"{'descr': '|O', 'fortran_order': False, 'shape': (2,), }", 8, "'|O' cannot be read"},
    {"{'descr': '<c8', 'fortran_order': False, 'shape': (2,), }", 16, "'<c8' cannot be read"},
    {"{'descr': '<f3', 'fortran_order': False, 'shape': (2,), }", 6, "'<f3' cannot be read"},
    {"{'descr': '<S99999999999', 'fortran_order': False, 'shape': (2,), }", 6, "cannot be read"},
    {"{'descr': '|S0', 'fortran_order': False, 'shape': (99999999999,), }", 0, "too many empty texts"},
    {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }", 8, "records"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }", 8, "ends within"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1), }", 4, "more than 8 axes"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", 8, "not what numpy writes"},
    {"{'descr': '<f4', 'fortran_order': False, }", 8, "not what numpy writes"},
    {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", 8, "not what numpy writes"},
    {"{'descr': '<f4', 'fortran_order': Perhaps, 'shape': (2,), }", 8, "not what numpy writes"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'more': 1}", 8, "not what numpy writes"},
    {"{'descr': '<f4, 'fortran_order': False, 'shape': (2,), }", 8, "not what numpy writes"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (2", 8, "not what numpy writes"},
    {"", 0, "not what numpy writes"},
};

START_TEST(what_is_wrong_is_refused)
{
    const uint8_t data[16] = {0};
    struct percept_tensor tensor = {.rank = 77};
    ck_assert(!npy_decode(make(1, refused[_i].dictionary, data, refused[_i].n_bytes), &arena, &tensor, &err));
    ck_assert_msg(strstr(err.text, refused[_i].why) != NULL, "%s: %s", refused[_i].dictionary, err.text);
    ck_assert_int_eq(tensor.rank, 77);
}
END_TEST

/* In memory of its own length, so that a sanitizer sees a byte read past its end. */
START_TEST(every_beginning_of_a_file_is_refused)
{
    const int16_t data[] = {1, 2, 3, 4, 5, 6};
    struct bytes whole = make(_i, plain, data, sizeof data);
    for (size_t n = 0; n < bytes_size(whole); n++) {
        struct percept_tensor tensor;
        uint8_t *part = malloc(n + !n);
        memcpy(part, whole.at, n);
        ck_assert_msg(!npy_decode(bytes_of(part, n), &arena, &tensor, &err), "%zu bytes were enough", n);
        free(part);
    }
}
END_TEST

START_TEST(other_files_and_versions_are_refused)
{
    struct percept_tensor tensor;
    ck_assert(!npy_decode(bytes_of("PK\3\4 a zip, as .npz is", 22), &arena, &tensor, &err));
    ck_assert_str_eq(err.text, "this is no .npy file");
    ck_assert(!npy_decode(make(4, plain, "", 0), &arena, &tensor, &err));
    ck_assert_str_eq(err.text, "version 4 of .npy is not known; 1 to 3 are");
}
END_TEST

START_TEST(files_are_written_and_read)
{
    char path[] = "/tmp/perceptd-npy-XXXXXX";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
    const float data[] = {1, -2, 3};
    struct percept_tensor tensor = {.dtype = PERCEPT_FLOAT, .rank = 1, .dims = {3}, .data = (void *)(uintptr_t)data};
    struct percept_tensor back;
    ck_assert_msg(npy_write(path, &tensor, &err), "%s", err.text);
    ck_assert_msg(npy_read(path, &arena, &back, &err), "%s", err.text);
    ck_assert_mem_eq(back.data, data, sizeof data);
    unlink(path);
    ck_assert(!npy_read(path, &arena, &back, &err));
    ck_assert_ptr_nonnull(strstr(err.text, path));
}
END_TEST

Suite *command_npy_suite(void);

Suite *command_npy_suite(void)
{
    Suite *suite = suite_create("command_npy");
    TCase *tests = tcase_create("npy");
    tcase_add_checked_fixture(tests, NULL, teardown);
    tcase_add_loop_test(tests, every_type_comes_back, 0, (int)(sizeof dtypes / sizeof *dtypes));
    tcase_add_test(tests, scalars_and_empty_arrays_come_back);
    tcase_add_test(tests, texts_come_back);
    tcase_add_test(tests, texts_that_are_not_utf8_come_back_as_bytes);
    tcase_add_test(tests, elements_begin_at_a_multiple_of_64);
    tcase_add_loop_test(tests, versions_one_to_three_are_read, 1, 4);
    tcase_add_test(tests, keys_may_come_in_any_order);
    tcase_add_test(tests, columns_are_transposed);
    tcase_add_test(tests, unicode_texts_are_read);
    tcase_add_test(tests, any_byte_of_a_bool_is_true);
    tcase_add_loop_test(tests, what_is_wrong_is_refused, 0, (int)(sizeof refused / sizeof *refused));
    tcase_add_loop_test(tests, every_beginning_of_a_file_is_refused, 1, 3);
    tcase_add_test(tests, other_files_and_versions_are_refused);
    tcase_add_test(tests, files_are_written_and_read);
    suite_add_tcase(suite, tests);
    return suite;
}
