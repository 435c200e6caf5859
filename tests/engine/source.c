/* source.c - a file whose weights lie packed in a region is opened without them, and is the same model. */
#include "engine/source.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "engine/model.h"
#include "engine/small.h"
#include "folder.h"

Suite *engine_source_suite(void);

static char prefix[40];
static const char *path;

static void setup(void)
{
    snprintf(prefix, sizeof prefix, "percept-test-%d", (int)getpid());
    folder_begin("source");
    path = folder_at("model.onnx");
}

static void teardown(void)
{
    percept_clean_regions(prefix, 0);
    folder_end();
}

static void write_file(struct small *s)
{
    struct proto file = small_end(s);
    struct percept_err err = {0};
    ck_assert_msg(file_write(path, file.at, file.n, &err), "%s", err.text);
    ck_assert_uint_gt(file.n, 1 << 20);
    proto_free(&file);
}

static void write_recurrent(void)
{
    struct small s = small_begin();
    small_input(&s, "x", 3, DIMS(-1, 1, 512));
    small_output(&s, "y", 4, DIMS(-1, 1, 1, 128));
    small_weights(&s, "w", 3, DIMS(1, 512, 512), 1);
    small_weights(&s, "r", 3, DIMS(1, 512, 128), 2);
    small_nodes(&s, "LSTM x,w,r > y hidden_size=128");
    write_file(&s);
}

/* Some weights that packing alone reads, some that others read too. */
static void write_model(unsigned seed)
{
    struct small s = small_begin();
    small_input(&s, "x", 2, DIMS(-1, 256));
    small_output(&s, "y", 2, DIMS(-1, 256));
    small_weights(&s, "gemm", 2, DIMS(256, 512), seed);
    small_weights(&s, "both", 2, DIMS(512, 256), seed + 1);
    small_weights(&s, "added", 2, DIMS(128, 256), seed + 2);
    small_weights(&s, "turned", 2, DIMS(256, 256), seed + 3);
    small_weights(&s, "bias", 1, DIMS(512), seed + 4);
    small_ints(&s, "axes", 1, (int64_t[]){0});
    small_nodes(&s, "Gemm x,gemm,bias > a; Relu a > b; MatMul b,both > c; ReduceSum both,axes > d keepdims=1;"
                    "Add c,d > e; Transpose turned > f; MatMul e,f > g; ReduceSum added,axes > h keepdims=1;"
                    "Add g,h > y");
    write_file(&s);
}

static struct percept_model *open_as(const char *file, const char *level, enum percept_region region)
{
    struct percept_options options = {
        .size = sizeof options, .region_prefix = prefix, .level = level, .region = region};
    struct percept_err err = {0};
    struct percept_model *model = percept_open(file, &options, &err);
    ck_assert_msg(model != NULL, "%s", err.text);
    return model;
}

/* Is the file read without its weights now? */
static bool recalls(const char *file)
{
    struct source source;
    struct percept_err err = {0};
    ck_assert_msg(source_open(&source, file, true, prefix, &err), "%s", err.text);
    const bool recalled = source.payload.n_holes > 0;
    source_close(&source);
    return recalled;
}

/* The model's region has a note, as if the file had been at rest for two seconds when it was read. Is it of use? */
static bool note(const struct percept_model *model, const char *file)
{
    struct source source;
    struct percept_err err = {0};
    ck_assert(source_open(&source, file, false, prefix, &err));
    source.note.looked_ns = source.note.stamp.ctime_ns + NOTE_REST_NS;
    region_remember(model->region, &source.note);
    source_close(&source);
    return recalls(file);
}

static void expect_same(const struct percept_model *a, const struct percept_model *b)
{
    const size_t n = region_bytes(a->region);
    ck_assert_uint_eq(n, region_bytes(b->region));
    ck_assert(memcmp(region_data(a->region), region_data(b->region), n) == 0);
}

/* Adopted, and where there is no region of this level, packed. */
static void expect_same_recalled(const char *file)
{
    const char *const *levels = pick_names();
    int n = 0;
    while (levels[n])
        n++;
    struct percept_model *first = open_as(file, levels[n - 1], PERCEPT_REGION_SHARED);
    ck_assert(note(first, file));
    for (int i = 0; i < n; i++) {
        struct percept_model *recalled = open_as(file, levels[i], PERCEPT_REGION_SHARED);
        struct percept_model *whole = open_as(file, levels[i], PERCEPT_REGION_PRIVATE);
        ck_assert_int_eq(small_describe(recalled).region_adopted, i == n - 1);
        expect_same(recalled, whole);
        percept_close(recalled);
        percept_close(whole);
    }
    percept_close(first);
    ck_assert(!recalls(file)); /* the note is gone with the region */
}

START_TEST(a_recalled_file_is_the_same_model)
{
    write_model(7);
    expect_same_recalled(path);
    write_recurrent();
    expect_same_recalled(path);
    expect_same_recalled("models/cats-dogs/model.onnx");
}
END_TEST

START_TEST(a_recalled_model_answers_the_same)
{
    float x[256], y[256];
    for (int i = 0; i < 256; i++)
        x[i] = (float)i / 256;
    write_model(3);
    struct percept_model *first = open_as(path, NULL, PERCEPT_REGION_SHARED);
    struct percept_session *session = small_session(first);
    memcpy(y, small_run(session, 2, DIMS(1, 256), x), sizeof y);
    ck_assert(note(first, path));
    struct percept_model *recalled = open_as(path, NULL, PERCEPT_REGION_SHARED);
    ck_assert(small_describe(recalled).region_adopted);
    struct percept_session *again = small_session(recalled);
    ck_assert(memcmp(small_run(again, 2, DIMS(1, 256), x), y, sizeof y) == 0);
    percept_session_free(session);
    percept_session_free(again);
    percept_close(first);
    percept_close(recalled);
}
END_TEST

/* Bytes that this process has read so far; -1: the kernel does not tell. */
static long long read_so_far(void)
{
    long long n = -1;
    FILE *io = fopen("/proc/self/io", "re");
    if (io && fscanf(io, "rchar: %lld", &n) != 1)
        n = -1;
    if (io)
        fclose(io);
    return n;
}

/* Who shares a region reads no weights that lie in it; who packs its own reads them all. */
START_TEST(a_recalled_file_is_not_read_again)
{
    struct stat st;
    write_model(5);
    ck_assert_int_eq(stat(path, &st), 0);
    struct percept_model *first = open_as(path, NULL, PERCEPT_REGION_SHARED);
    ck_assert(note(first, path));
    for (int shared = 0; shared < 2; shared++) {
        const long long before = read_so_far();
        struct percept_model *model = open_as(path, NULL, shared ? PERCEPT_REGION_SHARED : PERCEPT_REGION_PRIVATE);
        const long long n = read_so_far() - before;
        if (before < 0)
            printf("not run: how much is read (/proc/self/io tells nothing)\n");
        else if (shared)
            ck_assert_int_lt(n, st.st_size);
        else
            ck_assert_int_ge(n, st.st_size);
        percept_close(model);
    }
    percept_close(first);
}
END_TEST

START_TEST(a_file_that_was_just_written_is_not_noted)
{
    write_model(3);
    struct percept_model *model = open_as(path, NULL, PERCEPT_REGION_SHARED);
    ck_assert(!recalls(path));
    percept_close(model);
}
END_TEST

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * 1000000000 + now.tv_nsec;
}

START_TEST(a_note_knows_when_the_file_was_looked_at)
{
    struct source source;
    struct percept_err err = {0};
    write_model(4);
    for (int i = 0; i < 3; i++) {
        const int64_t before = now_ns();
        ck_assert(source_open(&source, path, false, prefix, &err));
        ck_assert(source.note.looked_ns >= before && source.note.looked_ns <= now_ns());
        source_close(&source);
    }
}
END_TEST

static void touch(int64_t ns)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000}};
    ck_assert_int_eq(utimensat(AT_FDCWD, path, times, 0), 0);
}

/* Written in place or by renaming, longer, shorter, or with its old times set again: another file. */
START_TEST(another_file_is_not_taken_for_the_noted_one)
{
    for (int kind = 0; kind < 4; kind++) {
        write_model(1);
        struct stat st;
        ck_assert_int_eq(stat(path, &st), 0);
        struct percept_model *first = open_as(path, NULL, PERCEPT_REGION_SHARED);
        ck_assert(note(first, path));
        struct percept_model *private = open_as(path, NULL, PERCEPT_REGION_PRIVATE);
        if (kind == 0) {
            write_model(2);
        } else if (kind == 1) {
            ck_assert_int_eq(unlink(path), 0);
            write_model(2);
        } else if (kind == 2) {
            write_model(2);
            touch(st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec);
        } else {
            FILE *file = fopen(path, "ae");
            ck_assert(fputs("\x98\x06\x01", file) >= 0 && fclose(file) == 0); /* an unknown field */
        }
        ck_assert_msg(!recalls(path), "kind %d", kind);
        struct percept_model *second = open_as(path, NULL, PERCEPT_REGION_SHARED);
        ck_assert(!small_describe(second).region_adopted);
        ck_assert_int_eq(
            memcmp(region_data(private->region), region_data(second->region), region_bytes(second->region)) == 0,
            kind == 3);
        percept_close(first);
        percept_close(second);
        percept_close(private);
        ck_assert_int_eq(unlink(path), 0);
    }
}
END_TEST

/* Between the look at the file and the last byte that is read of it. */
START_TEST(a_file_that_changes_while_it_is_recalled_is_refused)
{
    for (int kind = 0; kind < 2; kind++) {
        write_model(1);
        struct percept_model *first = open_as(path, NULL, PERCEPT_REGION_SHARED);
        ck_assert(note(first, path));
        struct source source;
        struct arena arena = {0};
        struct onnx_model onnx;
        struct percept_err err = {0};
        ck_assert(source_open(&source, path, true, prefix, &err));
        ck_assert_uint_gt(source.payload.n_holes, 0);
        ck_assert(onnx_read(source.bytes, &source.external, &arena, &onnx, &err));
        if (kind == 0) {
            ck_assert(source_mark(&source, onnx.graph, &err));
            touch(1000000000);
            ck_assert(!source_settle(&source, onnx.graph, NULL, &err));
            ck_assert_ptr_nonnull(strstr(err.text, "changed while it was read"));
        } else {
            ck_assert_int_eq(truncate(path, 1000), 0);
            ck_assert(!source_mark(&source, onnx.graph, &err));
            ck_assert_ptr_nonnull(strstr(err.text, "shrank while it was read"));
        }
        arena_free(&arena);
        source_close(&source);
        percept_close(first);
    }
}
END_TEST

/* What is wrong with a model is told as if it had been read whole. */
START_TEST(a_recalled_model_that_is_refused_is_told_of_the_whole)
{
    write_model(1);
    struct percept_model *first = open_as(path, NULL, PERCEPT_REGION_SHARED);
    ck_assert(note(first, path));
    struct percept_options options = {.size = sizeof options, .region_prefix = prefix, .level = "v9"};
    struct percept_err recalled = {0}, whole = {0};
    ck_assert_ptr_null(percept_open(path, &options, &recalled));
    options.region = PERCEPT_REGION_PRIVATE;
    ck_assert_ptr_null(percept_open(path, &options, &whole));
    ck_assert_str_eq(recalled.text, whole.text);
    ck_assert_int_eq(recalled.code, whole.code);
    percept_close(first);
}
END_TEST

Suite *engine_source_suite(void)
{
    Suite *suite = suite_create("engine_source");
    TCase *tests = tcase_create("source");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_recalled_file_is_the_same_model);
    tcase_add_test(tests, a_recalled_model_answers_the_same);
    tcase_add_test(tests, a_recalled_file_is_not_read_again);
    tcase_add_test(tests, a_file_that_was_just_written_is_not_noted);
    tcase_add_test(tests, a_note_knows_when_the_file_was_looked_at);
    tcase_add_test(tests, another_file_is_not_taken_for_the_noted_one);
    tcase_add_test(tests, a_file_that_changes_while_it_is_recalled_is_refused);
    tcase_add_test(tests, a_recalled_model_that_is_refused_is_told_of_the_whole);
    suite_add_tcase(suite, tests);
    return suite;
}
