/* Packing: one region for equal models, another for every difference that matters. */
#include <check.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "engine/small.h"
#include "folder.h"

static char prefix[40];
static const char *path, *data_path;

static void setup(void)
{
    snprintf(prefix, sizeof prefix, "percept-test-%d", (int)getpid());
    folder_begin("pack");
    path = folder_at("model.onnx");
    data_path = folder_at("weights.bin");
}

static void teardown(void)
{
    percept_clean_regions(prefix, 0);
    folder_end();
}

/* y = x + w, w in a file of its own */
static void write_model(const float *w)
{
    struct small s = small_begin();
    small_input(&s, "x", 2, DIMS(-1, 4));
    small_output(&s, "y", 2, DIMS(-1, 4));
    proto_add(&s.graph, GRAPH_INITIALIZER,
              proto_external("w", PERCEPT_FLOAT, 1, DIMS(4), "weights.bin", NULL, NULL));
    small_node(&s, "Add", "x,w", "y");
    struct proto file = small_end(&s);
    struct percept_err err = {0};
    ck_assert_msg(file_write(path, file.at, file.n, &err), "%s", err.text);
    ck_assert_msg(file_write(data_path, w, 16, &err), "%s", err.text);
    proto_free(&file);
}

static struct percept_model *open_shared(const char *row)
{
    struct percept_options options = {.size = sizeof options, .region_prefix = prefix, .row = row};
    struct percept_err err = {0};
    struct percept_model *model = percept_open(path, &options, &err);
    ck_assert_msg(model != NULL, "%s", err.text);
    return model;
}

static float answer(struct percept_model *model)
{
    struct percept_session *session = small_session(model);
    float first = small_run(session, 2, DIMS(1, 4), (float[]){1, 1, 1, 1})[0];
    percept_session_free(session);
    return first;
}

START_TEST(equal_models_share_one_region)
{
    write_model((float[]){1, 2, 3, 4});
    struct percept_model *a = open_shared(NULL), *b = open_shared(NULL);
    ck_assert(!small_describe(a).region_adopted);
    ck_assert(small_describe(b).region_adopted);
    ck_assert_str_eq(small_describe(a).region_name, small_describe(b).region_name);
    ck_assert_float_eq(answer(b), 2);
    percept_close(a);
    ck_assert_float_eq(answer(b), 2);
    percept_close(b);
    struct percept_region_info info;
    ck_assert_int_eq(percept_list_regions(prefix, &info, 1), 0);
}
END_TEST

START_TEST(new_external_data_under_an_old_model_is_another_region)
{
    write_model((float[]){1, 2, 3, 4});
    struct percept_model *a = open_shared(NULL);
    struct percept_err err = {0};
    ck_assert(file_write(data_path, (float[]){50, 2, 3, 4}, 16, &err));
    struct percept_model *b = open_shared(NULL);
    ck_assert(!small_describe(b).region_adopted);
    ck_assert_str_ne(small_describe(a).region_name, small_describe(b).region_name);
    ck_assert_float_eq(answer(a), 2);
    ck_assert_float_eq(answer(b), 51);
    percept_close(a);
    percept_close(b);
}
END_TEST

START_TEST(every_row_has_its_own_region)
{
    write_model((float[]){1, 2, 3, 4});
    struct percept_model *models[8];
    int n = 0;
    for (const char *const *row = percept_kernels(); *row && n < 8; row++)
        models[n++] = open_shared(*row);
    for (int i = 0; i < n; i++) {
        ck_assert(!small_describe(models[i]).region_adopted);
        ck_assert_float_eq(answer(models[i]), 2);
    }
    for (int i = 0; i < n; i++)
        percept_close(models[i]);
}
END_TEST

START_TEST(a_killed_holder_leaves_a_region_that_the_next_open_adopts)
{
    write_model((float[]){1, 2, 3, 4});
    pid_t child = fork();
    if (child == 0) {
        open_shared(NULL);
        kill(getpid(), SIGKILL);
    }
    waitpid(child, NULL, 0);
    struct percept_model *model = open_shared(NULL);
    ck_assert(small_describe(model).region_adopted);
    ck_assert_float_eq(answer(model), 2);
    ck_assert_int_eq(percept_clean_regions(prefix, -1), 0);
    percept_close(model);
}
END_TEST

Suite *engine_pack_suite(void);
Suite *engine_pack_suite(void)
{
    Suite *suite = suite_create("engine_pack");
    TCase *tests = tcase_create("pack");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, equal_models_share_one_region);
    tcase_add_test(tests, new_external_data_under_an_old_model_is_another_region);
    tcase_add_test(tests, every_row_has_its_own_region);
    tcase_add_test(tests, a_killed_holder_leaves_a_region_that_the_next_open_adopts);
    suite_add_tcase(suite, tests);
    return suite;
}
