/* payload.c - what is left out of a file are the weights, and nothing of what is not. */
#include "graph/payload.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "graph/graph.h"
#include "graph/proto.h"

Suite *graph_payload_suite(void);

#define LARGE ((int64_t)PAYLOAD_LEAST / 4)

/* A file on disk, and what was read of it. */
struct disk {
    const uint8_t *at;
    uint8_t *room, *was_read;
    size_t n, n_read, calls, fail_at;
};

static struct disk disk;

static bool read_disk(void *user, struct bytes to, struct percept_err *err)
{
    const size_t offset = (size_t)(to.at - disk.room);
    ck_assert_ptr_eq(user, &disk);
    ck_assert_uint_le(offset + bytes_size(to), disk.n);
    if (++disk.calls == disk.fail_at)
        return err_set(err, ERR_SYSTEM, "no more");
    memcpy(disk.room + offset, disk.at + offset, bytes_size(to));
    memset(disk.was_read + offset, 1, bytes_size(to));
    disk.n_read += bytes_size(to);
    return true;
}

static struct payload skip(const struct proto *file, size_t n, struct arena *arena, bool good)
{
    struct percept_err err = {0};
    free(disk.room);
    free(disk.was_read);
    disk = (struct disk){.at = file->at, .n = n, .fail_at = good ? 0 : disk.fail_at};
    disk.room = calloc(n + 1, 1);
    disk.was_read = calloc(n + 1, 1);
    struct payload payload = {.file = bytes_of(disk.room, n), .read = read_disk, .user = &disk};
    ck_assert_int_eq(payload_skip(&payload, arena, &err), good);
    ck_assert_str_eq(err.text, good ? "" : "no more");
    return payload;
}

/* All but the holes is there. */
static void expect_rest(const struct payload *payload)
{
    const uint8_t *at = disk.room;
    for (size_t i = 0; i <= payload->n_holes; i++) {
        const uint8_t *end = i < payload->n_holes ? payload->holes[i].at : disk.room + disk.n;
        for (; at < end; at++)
            if (!disk.was_read[at - disk.room])
                ck_abort_msg("byte %td of %zu is missing", at - disk.room, disk.n);
        if (i < payload->n_holes)
            at = payload->holes[i].end;
    }
    ck_assert_ptr_eq(at, disk.room + disk.n);
}

static struct proto tensor(const char *name, int64_t n, enum percept_dtype dtype, bool type_behind)
{
    struct proto t = {0};
    char *data = malloc((size_t)n * 4);
    for (int64_t i = 0; i < n * 4; i++)
        data[i] = (char)(1 + i % 100);
    proto_int(&t, TENSOR_DIMS_ONE, n);
    if (!type_behind)
        proto_int(&t, TENSOR_DATA_TYPE, (int64_t)dtype);
    proto_text(&t, TENSOR_NAME, name);
    proto_bytes(&t, TENSOR_RAW_DATA, data, (size_t)n * 4);
    if (type_behind)
        proto_int(&t, TENSOR_DATA_TYPE, (int64_t)dtype);
    free(data);
    return t;
}

static struct proto model(bool last)
{
    struct proto graph = {0};
    proto_add(&graph, GRAPH_INITIALIZER, tensor("small", 10, PERCEPT_FLOAT, false));
    proto_add(&graph, GRAPH_INITIALIZER, tensor("a", LARGE + 7, PERCEPT_FLOAT, false));
    proto_add(&graph, GRAPH_INITIALIZER, tensor("just below", LARGE - 1, PERCEPT_FLOAT, false));
    proto_add(&graph, GRAPH_INITIALIZER, tensor("int", LARGE, PERCEPT_INT32, false));
    proto_add(&graph, GRAPH_INITIALIZER, tensor("int too", LARGE, PERCEPT_INT32, true));
    proto_add(&graph, GRAPH_NODE, proto_node("Relu", "r", "x", "y"));
    proto_add(&graph, GRAPH_INITIALIZER, tensor("b", LARGE, PERCEPT_FLOAT, true));
    proto_add(&graph, GRAPH_INITIALIZER, tensor("c", 3 * LARGE, PERCEPT_FLOAT, false));
    if (!last)
        proto_add(&graph, GRAPH_OUTPUT, proto_value("y", PERCEPT_FLOAT, 1, (int64_t[]){4}));
    return proto_model(graph, 13);
}

START_TEST(large_floats_are_holes_and_nothing_else_is)
{
    for (int last = 0; last < 2; last++) {
        struct proto file = model(last);
        struct arena arena = {0};
        struct payload payload = skip(&file, file.n, &arena, true);
        ck_assert_uint_eq(payload.n_holes, 3);
        memset(arena_alloc(&arena, 48), 0xff, 48); /* their list is its own memory */
        static const int64_t sizes[] = {LARGE + 7, LARGE, 3 * LARGE};
        for (int i = 0; i < 3; i++) {
            ck_assert_uint_eq(bytes_size(payload.holes[i]), (size_t)sizes[i] * 4);
            ck_assert_ptr_eq(payload_find(&payload, payload.holes[i].at), &payload.holes[i]);
            ck_assert_ptr_null(payload_find(&payload, payload.holes[i].at + 1));
            ck_assert_ptr_null(payload_find(&payload, payload.holes[i].at - 1));
        }
        ck_assert_ptr_null(payload_find(&payload, NULL));
        expect_rest(&payload);
        ck_assert_uint_lt(disk.n_read, file.n - 2 * (size_t)LARGE * 4);
        arena_free(&arena);
        proto_free(&file);
    }
}
END_TEST

/* Whatever is cut off or broken, the bytes outside of holes are there: whoever parses them judges as ever. */
START_TEST(damaged_files_are_read_but_for_holes)
{
    struct proto file = model(false);
    struct arena arena = {0};
    for (size_t n = 0; n < file.n; n += n < 600 || n > file.n - 600 ? 1 : 4999) {
        struct payload payload = skip(&file, n, &arena, true);
        expect_rest(&payload);
        arena_free(&arena);
    }
    for (size_t i = 0; i < 300; i++) {
        struct proto broken = {0};
        proto_raw(&broken, file.at, file.n);
        broken.at[i * 7 % (i < 150 ? 200 : file.n)] ^= (uint8_t)(1 + i * 37 % 255);
        struct payload payload = skip(&broken, broken.n, &arena, true);
        expect_rest(&payload);
        arena_free(&arena);
        proto_free(&broken);
    }
    proto_free(&file);
}
END_TEST

START_TEST(a_file_that_cannot_be_read_is_told)
{
    struct proto file = model(false);
    struct arena arena = {0};
    skip(&file, file.n, &arena, true);
    const size_t calls = disk.calls;
    for (size_t i = 1; i <= calls; i++) {
        disk.fail_at = i;
        skip(&file, file.n, &arena, false);
        ck_assert_uint_eq(disk.calls, i);
        arena_free(&arena);
    }
    arena_fail_at(1, true);
    struct percept_err err = {0};
    struct payload payload = {.file = bytes_of(disk.room, disk.n), .read = read_disk, .user = &disk};
    disk.fail_at = 0;
    ck_assert(!payload_skip(&payload, &arena, &err));
    arena_fail_at(0, false);
    ck_assert_int_eq(err.code, ERR_MEMORY);
    arena_free(&arena);
    proto_free(&file);
}
END_TEST

/* What counts of a field that is there twice is the last one. */
START_TEST(data_that_are_there_twice_count_as_the_last)
{
    struct proto graph = {0}, twice = tensor("a", LARGE, PERCEPT_FLOAT, false);
    struct arena arena = {0};
    char *other = calloc((size_t)LARGE, 4);
    proto_bytes(&twice, TENSOR_RAW_DATA, other, (size_t)LARGE * 4);
    proto_add(&graph, GRAPH_INITIALIZER, twice);
    struct proto file = proto_model(graph, 13);
    struct payload payload = skip(&file, file.n, &arena, true);
    ck_assert_uint_eq(payload.n_holes, 1);
    expect_rest(&payload);
    ck_assert_uint_gt(disk.n - (size_t)(payload.holes[0].end - disk.room), (size_t)LARGE * 4);
    arena_free(&arena);
    free(other);
    proto_free(&file);
}
END_TEST

Suite *graph_payload_suite(void)
{
    Suite *suite = suite_create("graph_payload");
    TCase *tests = tcase_create("payload");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, large_floats_are_holes_and_nothing_else_is);
    tcase_add_test(tests, damaged_files_are_read_but_for_holes);
    tcase_add_test(tests, a_file_that_cannot_be_read_is_told);
    tcase_add_test(tests, data_that_are_there_twice_count_as_the_last);
    suite_add_tcase(suite, tests);
    return suite;
}
