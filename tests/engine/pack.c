/* Packing: one region for equal models, another for every difference that matters. */
#include <check.h>
#include <math.h>
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
    proto_add(&s.graph, GRAPH_INITIALIZER, proto_external("w", PERCEPT_FLOAT, 1, DIMS(4), "weights.bin", NULL, NULL));
    small_node(&s, "Add", "x,w", "y");
    struct proto file = small_end(&s);
    struct percept_err err = {0};
    ck_assert_msg(file_write(path, file.at, file.n, &err), "%s", err.text);
    ck_assert_msg(file_write(data_path, w, 16, &err), "%s", err.text);
    proto_free(&file);
}

static struct percept_model *open_shared(const char *level)
{
    struct percept_options options = {.size = sizeof options, .region_prefix = prefix, .level = level};
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

START_TEST(every_level_has_its_own_region)
{
    write_model((float[]){1, 2, 3, 4});
    struct percept_model *models[8];
    int n = 0;
    for (const char *const *level = percept_kernels(); *level && n < 8; level++)
        models[n++] = open_shared(*level);
    for (int i = 0; i < n; i++) {
        ck_assert(!small_describe(models[i]).region_adopted);
        ck_assert_float_eq(answer(models[i]), 2);
    }
    for (int i = 0; i < n; i++)
        percept_close(models[i]);
}
END_TEST

/* One item in the file, of which no proof says that it is apart; a constant holds its shape. */
static void write_coupled(const char *op_type)
{
    struct small s = small_xy(2, DIMS(1, 4));
    small_ints(&s, "shape", 2, DIMS(1, 4));
    small_floats(&s, "one", 2, DIMS(1, 1), (float[]){1});
    if (strcmp(op_type, "Reshape") == 0)
        small_node(&s, "Reshape", "x,shape", "a");
    else if (strcmp(op_type, "Expand") == 0)
        small_node(&s, "Expand", "x,shape", "a");
    else
        small_node(&s, "Identity", "x", "a");
    small_node(&s, "ReduceMax", "a", "most");
    small_node(&s, "Sub", "a,most", "b");
    small_node(&s, "Add", "b,one", "y");
    struct proto file = small_end(&s);
    struct percept_err err = {0};
    ck_assert_msg(file_write(path, file.at, file.n, &err), "%s", err.text);
    proto_free(&file);
}

static struct percept_model *open_coupled(bool vouched)
{
    const struct percept_options options = {
        .size = sizeof options, .region_prefix = prefix, .batch_independent = vouched};
    struct percept_err err = {0};
    struct percept_model *model = percept_open(path, &options, &err);
    ck_assert_msg(model != NULL, "%s", err.text);
    ck_assert_int_eq(small_describe(model).batch_rewritten, vouched);
    return model;
}

/* A batch that is freed changes constants: whoever does not free it must not read them, nor the other way round. */
START_TEST(a_freed_batch_has_a_region_of_its_own)
{
    static const char *const op_types[] = {"Reshape", "Expand", "Identity"};
    static const float x[12] = {1, 2, 3, 4};
    write_coupled(op_types[_i / 2]);
    struct percept_model *models[4];
    for (int i = 0; i < 4; i++) {
        models[i] = open_coupled((i + _i) % 2);
        ck_assert_int_eq(small_describe(models[i]).region_adopted, i >= 2);
    }
    ck_assert_str_ne(small_describe(models[0]).region_name, small_describe(models[1]).region_name);
    ck_assert_str_eq(small_describe(models[0]).region_name, small_describe(models[2]).region_name);
    for (int i = 0; i < 4; i++) {
        const bool freed = (i + _i) % 2;
        struct percept_session *session = small_session(models[i]);
        ck_assert_float_eq(small_run(session, 2, DIMS(freed ? 3 : 1, 4), x)[3], 1);
        ck_assert_int_eq(percept_output(session, 0).dims[0], freed ? 3 : 1);
        percept_session_free(session);
    }
    for (int i = 0; i < 4; i++)
        percept_close(models[i]);
}
END_TEST

/* A body `depth` deep in others, all of them but the innermost an If, reads constants of the outermost graph. */
static struct proto nested_body(int depth, const char *op_type)
{
    struct proto body = {0};
    char names[2][8];
    snprintf(names[0], sizeof names[0], "out%d", depth);
    snprintf(names[1], sizeof names[1], "in%d", depth);
    if (depth == 1) {
        const bool adds = strcmp(op_type, "Add") == 0; /* a constant is then the first that the body reads */
        proto_add(&body, GRAPH_NODE, proto_node(op_type, "", adds ? "c,x" : "x,c", names[1]));
        proto_add(&body, GRAPH_NODE, proto_node("Add", "", adds ? "in1,c" : "in1,d", names[0]));
    } else {
        struct proto choice = proto_node("If", "", "less", names[0]);
        proto_attr_message(&choice, "then_branch", ATTR_GRAPH, ATTRIBUTE_G, nested_body(depth - 1, op_type));
        proto_attr_message(&choice, "else_branch", ATTR_GRAPH, ATTRIBUTE_G, nested_body(depth - 1, op_type));
        proto_add(&body, GRAPH_NODE, choice);
    }
    proto_add(&body, GRAPH_OUTPUT, proto_value(names[0], PERCEPT_FLOAT, -1, NULL));
    return body;
}

/* What bodies read through packed bytes alone is not kept beside these, unless an output asks for it. */
START_TEST(weights_that_bodies_packed_are_not_kept_twice)
{
    const int depth = 1 + _i;
    size_t bytes[2];
    for (int shown = 0; shown < 2; shown++) {
        struct small s = small_xy(2, DIMS(-1, 64));
        small_weights(&s, "c", 2, DIMS(64, 64), 1);
        small_weights(&s, "d", 1, DIMS(64), 2);
        small_floats(&s, "limit", 0, NULL, (float[]){0});
        small_node(&s, "ReduceSum", "x", "sum");
        small_node(&s, "Squeeze", "sum", "one");
        small_node(&s, "Less", "one,limit", "less");
        struct proto choice = proto_node("If", "", "less", "y");
        proto_attr_message(&choice, "then_branch", ATTR_GRAPH, ATTRIBUTE_G, nested_body(depth, "MatMul"));
        proto_attr_message(&choice, "else_branch", ATTR_GRAPH, ATTRIBUTE_G, nested_body(depth, "MatMul"));
        proto_add(&s.graph, GRAPH_NODE, choice);
        if (shown)
            small_output(&s, "c", 2, DIMS(64, 64));
        struct percept_model *model = small_open(&s);
        bytes[shown] = small_describe(model).region_bytes;
        struct percept_session *session = small_session(model);
        static const float x[64] = {1};
        ck_assert(isfinite(small_run(session, 2, DIMS(1, 64), x)[63]));
        percept_session_free(session);
        percept_close(model);
    }
    ck_assert_uint_ge(bytes[1], bytes[0] + 64 * 64 * sizeof(float));
}
END_TEST

START_TEST(constants_are_kept_for_bodies_however_deep)
{
    static const char *const op_types[] = {"Add", "MatMul"};
    const int depth = 1 + _i / 2;
    const bool product = _i % 2;
    struct small s = small_xy(2, DIMS(-1, 2));
    small_floats(&s, "c", 2, DIMS(2, 2), (float[]){10, 20, 30, 40});
    small_floats(&s, "d", 1, DIMS(2), (float[]){5, 6});
    small_floats(&s, "limit", 0, NULL, (float[]){0});
    small_node(&s, "ReduceSum", "x", "sum");
    small_node(&s, "Squeeze", "sum", "one");
    small_node(&s, "Less", "one,limit", "less");
    struct proto choice = proto_node("If", "", "less", "y");
    proto_attr_message(&choice, "then_branch", ATTR_GRAPH, ATTRIBUTE_G, nested_body(depth, op_types[product]));
    proto_attr_message(&choice, "else_branch", ATTR_GRAPH, ATTRIBUTE_G, nested_body(depth, op_types[product]));
    proto_add(&s.graph, GRAPH_NODE, choice);
    struct percept_model *model = small_open(&s);
    struct percept_session *session = small_session(model);
    for (float sign = -1; sign < 2; sign += 2) {
        const float *y = small_run(session, 2, DIMS(2, 2), (float[]){sign, sign, sign, 0});
        ck_assert_float_eq(y[0], product ? sign * 40 + 5 : 20 + sign);
        ck_assert_float_eq(y[3], product ? sign * 20 + 6 : 80);
    }
    percept_session_free(session);
    percept_close(model);
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
    tcase_add_test(tests, every_level_has_its_own_region);
    tcase_add_test(tests, a_killed_holder_leaves_a_region_that_the_next_open_adopts);
    tcase_add_loop_test(tests, a_freed_batch_has_a_region_of_its_own, 0, 6);
    tcase_add_loop_test(tests, weights_that_bodies_packed_are_not_kept_twice, 0, 4);
    tcase_add_loop_test(tests, constants_are_kept_for_bodies_however_deep, 0, 8);
    suite_add_tcase(suite, tests);
    return suite;
}
