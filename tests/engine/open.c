/* Opening: what is refused and how it is said, and every allocation failing in turn. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "engine/shipped.h"
#include "engine/small.h"

START_TEST(files_that_are_no_models_are_refused_with_a_sentence)
{
    struct percept_err err = {0};
    small_refused_bytes("", 0, NULL, "");
    small_refused_bytes("\x89PNG\r\n\x1a\nand so on", 17, NULL, "");
    small_refused_bytes("{\"json\": true}", 14, NULL, "");
    ck_assert_ptr_null(percept_open("no/such/model.onnx", NULL, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "no/such/model.onnx"));
    ck_assert_ptr_null(percept_open("models", NULL, &err));
}
END_TEST

START_TEST(every_prefix_of_a_model_is_refused_or_opened)
{
    struct small s = small_xy(4, DIMS(-1, 2, 5, 5));
    small_weights(&s, "w", 4, DIMS(3, 2, 3, 3), 1);
    small_node(&s, "Conv", "x,w", "a");
    small_node(&s, "Relu", "a", "y");
    struct proto file = small_end(&s);
    for (size_t n = 0; n < file.n; n++) {
        struct percept_err err = {0};
        struct percept_options options = {.size = sizeof options, .region = PERCEPT_REGION_PRIVATE};
        void *copy = malloc(n + 1); /* its own block, so that a sanitizer sees every step past the end */
        memcpy(copy, file.at, n);
        struct percept_model *model = percept_open_memory(copy, n, &options, &err);
        ck_assert(model || err.text[0]);
        percept_close(model);
        free(copy);
    }
    proto_free(&file);
}
END_TEST

START_TEST(a_cycle_is_refused)
{
    struct small s = small_begin();
    small_input(&s, "x", 2, DIMS(-1, 2));
    small_output(&s, "y", 2, DIMS(-1, 2));
    small_node(&s, "Add", "x,b", "a");
    small_node(&s, "Relu", "a", "b");
    small_node(&s, "Relu", "b", "y");
    small_refused(&s, NULL, "ycl");
}
END_TEST

START_TEST(shapes_that_can_never_work_are_refused_at_load)
{
    struct small s = small_begin();
    small_input(&s, "x", 2, DIMS(-1, 5));
    small_output(&s, "y", 2, DIMS(-1, 2));
    small_weights(&s, "w", 2, DIMS(4, 2), 1);
    small_node(&s, "MatMul", "x,w", "y");
    small_refused(&s, NULL, "MatMul");
}
END_TEST

START_TEST(external_data_are_refused_from_memory)
{
    struct small s = small_begin();
    small_input(&s, "x", 1, DIMS(2));
    small_output(&s, "y", 1, DIMS(2));
    proto_add(&s.graph, GRAPH_INITIALIZER, proto_external("w", PERCEPT_FLOAT, 1, DIMS(2), "weights.bin", NULL, NULL));
    small_node(&s, "Add", "x,w", "y");
    small_refused(&s, NULL, "");
}
END_TEST

START_TEST(unknown_rows_and_precisions_are_refused)
{
    struct percept_options options = {.size = sizeof options, .level = "v9"};
    struct percept_err err = {0};
    ck_assert_ptr_null(percept_open("models/digits/model.onnx", &options, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "it has "));
    options = (struct percept_options){.size = sizeof options, .precision = "fp8"};
    ck_assert_ptr_null(percept_open("models/digits/model.onnx", &options, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "exact"));
}
END_TEST

/* Another precision is another model: other weights, in another region. */
START_TEST(a_precision_is_told_and_has_a_region_of_its_own)
{
    static const char *const precisions[] = {NULL, "exact", "fast", "bf16"};
    struct percept_description told[4];
    struct percept_model *models[4];
    for (int i = 0; i < 4; i++) {
        const struct percept_options options = {.size = sizeof options, .precision = precisions[i]};
        struct percept_err err = {0};
        models[i] = percept_open("models/digits/model.onnx", &options, &err);
        ck_assert_msg(models[i] != NULL, "%s", err.text);
        percept_describe(models[i], &told[i]);
        ck_assert_str_eq(told[i].precision, i ? precisions[i] : "exact");
    }
    ck_assert_str_eq(told[0].region_name, told[1].region_name);
    ck_assert_str_ne(told[0].region_name, told[2].region_name);
    ck_assert_str_ne(told[0].region_name, told[3].region_name);
    ck_assert_str_ne(told[2].region_name, told[3].region_name);
    ck_assert_uint_lt(told[3].region_bytes, told[2].region_bytes);
    for (int i = 0; i < 4; i++)
        percept_close(models[i]);
}
END_TEST

/* Products of a network in bf16, beside those in float. */
START_TEST(bf16_is_within_its_bound)
{
    float x[2 * 300], most = 0, off = 0;
    const float *y[2];
    struct percept_model *models[2];
    struct percept_session *sessions[2];
    for (int i = 0; i < 600; i++)
        x[i] = (float)((i * 7919) % 601 - 300) / 300.0f;
    for (int i = 0; i < 2; i++) {
        struct small s = small_xy(2, DIMS(-1, 300));
        small_weights(&s, "w", 2, DIMS(300, 200), 3);
        small_nodes(&s, "MatMul x,w > y");
        const struct percept_options options = {
            .size = sizeof options, .region = PERCEPT_REGION_PRIVATE, .precision = i ? "bf16" : "exact"};
        struct percept_err err = {0};
        struct proto file = small_end(&s);
        models[i] = percept_open_memory(file.at, file.n, &options, &err);
        proto_free(&file);
        ck_assert_msg(models[i] != NULL, "%s", err.text);
        sessions[i] = small_session(models[i]);
        y[i] = small_run(sessions[i], 2, DIMS(2, 300), x);
    }
    for (int i = 0; i < 400; i++) {
        most = fmaxf(most, fabsf(y[0][i]));
        off = fmaxf(off, fabsf(y[0][i] - y[1][i]));
    }
    ck_assert(off > 0 && off <= 5e-3f * most);
    for (int i = 0; i < 2; i++) {
        percept_session_free(sessions[i]);
        percept_close(models[i]);
    }
}
END_TEST

/* The n-th allocation fails, for every n: a sentence each time, and no leak (the sanitizer's word). */
START_TEST(an_open_survives_any_allocation_that_fails)
{
    struct percept_options options = {.size = sizeof options, .region = PERCEPT_REGION_PRIVATE};
    size_t n = 1;
    for (;; n++) {
        struct percept_err err = {0};
        arena_fail_at(n, _i);
        struct percept_model *model = percept_open("models/spam/model.onnx", &options, &err);
        struct percept_session *session = model ? percept_session_new(model, &err) : NULL;
        int64_t dims[2] = {2, 5};
        bool good = session && percept_resize(session, 0, 2, dims, &err) && percept_prepare(session, &err);
        arena_fail_at(0, false);
        percept_session_free(session);
        percept_close(model);
        if (good)
            break;
        ck_assert_msg(err.text[0] != '\0', "allocation %zu failed without a sentence", n);
        ck_assert_uint_lt(n, 5000);
    }
    ck_assert_uint_gt(n, 5);
}
END_TEST

Suite *engine_open_suite(void);
Suite *engine_open_suite(void)
{
    Suite *suite = suite_create("engine_open");
    TCase *tests = tcase_create("open");
    tcase_add_test(tests, files_that_are_no_models_are_refused_with_a_sentence);
    tcase_add_test(tests, every_prefix_of_a_model_is_refused_or_opened);
    tcase_add_test(tests, a_cycle_is_refused);
    tcase_add_test(tests, shapes_that_can_never_work_are_refused_at_load);
    tcase_add_test(tests, external_data_are_refused_from_memory);
    tcase_add_test(tests, unknown_rows_and_precisions_are_refused);
    tcase_add_test(tests, bf16_is_within_its_bound);
    tcase_add_test(tests, a_precision_is_told_and_has_a_region_of_its_own);
    tcase_add_loop_test(tests, an_open_survives_any_allocation_that_fails, 0, 2);
    suite_add_tcase(suite, tests);
    return suite;
}
