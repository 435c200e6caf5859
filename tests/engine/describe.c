/* Descriptions: names and operators from the file, types and ranks of outputs from the trial. */
#include "engine/describe.h"

#include <check.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/shipped.h"
#include "engine/small.h"

START_TEST(a_model_describes_itself)
{
    struct percept_model *model = shipped_open("digits");
    struct percept_description d;
    percept_describe(model, &d);
    ck_assert(d.batch_free);
    ck_assert_int_eq(d.opset, 13);
    ck_assert_int_gt(d.n_fused, 0);
    ck_assert_int_lt(d.n_steps, d.n_nodes);
    ck_assert_int_gt(d.n_parameters, 10000);
    struct stat file;
    ck_assert_int_eq(stat("models/digits/model.onnx", &file), 0);
    ck_assert_uint_eq(d.file_bytes, (size_t)file.st_size);
    ck_assert_str_eq(d.operators[0].op_type, "BatchNormalization");
    int n;
    const struct percept_io *out = percept_outputs(model, &n);
    ck_assert_int_eq(n, 1);
    ck_assert_str_eq(out->name, "scores");
    ck_assert_int_eq(out->dims[0], -1);
    ck_assert_int_eq(out->dims[1], 10);
    percept_close(model);
}
END_TEST

/* A convolution over pictures of this size. */
static struct percept_model *open_convolutions(int64_t size)
{
    struct small s = small_begin();
    small_input(&s, "x", 4, DIMS(-1, 272, size, size));
    small_output(&s, "y", 4, DIMS(-1, -1, -1, -1));
    small_weights(&s, "w", 4, DIMS(256, 272, 3, 3), 1);
    small_node(&s, "Conv", "x,w", "c");
    small_node(&s, "Relu", "c", "r");
    small_node(&s, "GlobalAveragePool", "r", "y");
    return small_open(&s);
}

/* Where the file says how large pictures are it depends on that, and what is not needed is not packed. */
START_TEST(layers_are_told_with_their_algorithms)
{
    struct percept_model *small = open_convolutions(9), *large = open_convolutions(28), *any = open_convolutions(-1);
    const struct percept_description few = small_describe(small), many = small_describe(large),
                                     unknown = small_describe(any);
    ck_assert_int_eq(few.n_layers, 1);
    ck_assert_str_eq(few.layers[0].op_type, "Conv");
    ck_assert_str_eq(few.layers[0].algorithm, "direct");
    ck_assert_str_eq(many.layers[0].algorithm, "winograd");
    ck_assert_str_eq(unknown.layers[0].algorithm, "winograd");
    ck_assert_uint_lt(few.region_bytes, (size_t)272 * 256 * 10 * sizeof(float));
    ck_assert_uint_gt(many.region_bytes, (size_t)272 * 256 * 25 * sizeof(float));
    ck_assert_uint_eq(many.region_bytes, unknown.region_bytes);
    percept_close(small);
    percept_close(large);
    percept_close(any);
}
END_TEST

START_TEST(what_the_file_leaves_open_about_outputs_the_trial_tells)
{
    struct small s = small_xy(3, DIMS(-1, 2, 3));
    proto_add(&s.graph, GRAPH_OUTPUT, proto_value("n", PERCEPT_INT64, 1, DIMS(3)));
    small_node(&s, "Flatten", "x", "f");
    small_node(&s, "Relu", "f", "y");
    small_node(&s, "Shape", "x", "n");
    struct percept_model *model = small_open(&s);
    int n;
    const struct percept_io *out = percept_outputs(model, &n);
    ck_assert_int_eq(n, 2);
    ck_assert_int_eq(out[0].rank, 2);
    ck_assert_int_eq(out[0].dims[0], -1);
    ck_assert_int_eq(out[0].dtype, PERCEPT_FLOAT);
    ck_assert_int_eq(out[1].rank, 1); /* as the file says */
    ck_assert_int_eq(out[1].dims[0], 3);
    percept_close(model);
}
END_TEST

/* A file that calls a number what may be anything promises nothing of what comes out. */
START_TEST(outputs_of_numbers_may_have_any_rank)
{
    struct small s = small_begin();
    small_input(&s, "x", 0, NULL);
    small_output(&s, "number", 0, NULL);
    small_output(&s, "open", -1, NULL);
    proto_add(&s.graph, GRAPH_OUTPUT, proto_value_named("matrix", PERCEPT_FLOAT, 3, DIMS(-1, -1, 4), "a,b,"));
    small_ints(&s, "to", 2, DIMS(1, 1));
    small_nodes(&s, "Relu x > number; Abs x > open; Reshape x,to > matrix");
    struct percept_model *model = small_open(&s);
    int n;
    const struct percept_io *out = percept_outputs(model, &n);
    ck_assert_int_eq(n, 3);
    ck_assert_int_eq(out[0].rank, -1);
    ck_assert_int_eq(out[1].rank, -1);
    ck_assert_int_eq(out[2].rank, 2); /* not what the file says: nor are its names */
    ck_assert(!out[2].dim_names[0] && !out[2].dim_names[1]);
    percept_close(model);
}
END_TEST

START_TEST(operators_are_counted_as_the_file_has_them)
{
    struct small s = small_xy(2, DIMS(-1, 4));
    small_node(&s, "Sin", "x", "a");
    small_node(&s, "Identity", "a", "b");
    small_node(&s, "Cos", "b", "c");
    small_node(&s, "Sin", "c", "y");
    small_node(&s, "Tan", "c", "unread");
    struct percept_model *model = small_open(&s);
    struct percept_description d;
    percept_describe(model, &d);
    ck_assert_int_eq(d.n_nodes, 5);
    ck_assert_int_eq(d.n_steps, 3);
    ck_assert_int_eq(d.n_operators, 4);
    const char *const names[] = {"Cos", "Identity", "Sin", "Tan"};
    for (int i = 0; i < 4; i++) {
        ck_assert_str_eq(d.operators[i].op_type, names[i]);
        ck_assert_int_eq(d.operators[i].count, i == 2 ? 2 : 1);
    }
    ck_assert_str_eq(d.producer, "proto.h");
    percept_close(model);
}
END_TEST

START_TEST(the_columns_of_a_zip_map_have_labels)
{
    struct small s = small_begin();
    small_input(&s, "x", 2, DIMS(-1, 2));
    proto_add(&s.graph, GRAPH_OUTPUT, proto_maps("words"));
    proto_add(&s.graph, GRAPH_OUTPUT, proto_maps("numbers"));
    small_output(&s, "y", -1, NULL);
    struct proto words = proto_ml("ZipMap", "x", "words"), numbers = proto_ml("ZipMap", "x", "numbers");
    proto_attr_texts(&words, "classlabels_strings", 2, (const char *const[]){"no", "s\xc3\xad"});
    proto_attr_ints(&numbers, "classlabels_int64s", 2, DIMS(-3, 7));
    proto_add(&s.graph, GRAPH_NODE, words);
    proto_add(&s.graph, GRAPH_NODE, numbers);
    small_node(&s, "Relu", "x", "y");
    struct proto file = small_end(&s);
    proto_add(&file, MODEL_OPSET_IMPORT, proto_opset("ai.onnx.ml", 1));
    struct percept_err err = {0};
    struct percept_model *model = percept_open_memory(file.at, file.n, NULL, &err);
    proto_free(&file);
    ck_assert_msg(model != NULL, "%s", err.text);
    int n;
    const struct percept_io *out = percept_outputs(model, &n);
    ck_assert_int_eq(out[0].dtype, PERCEPT_FLOAT);
    ck_assert_int_eq(out[0].rank, 2);
    ck_assert_int_eq(out[0].n_labels, 2);
    ck_assert_str_eq(out[0].labels[1], "s\xc3\xad");
    ck_assert_int_eq(out[1].n_labels, 2);
    ck_assert_str_eq(out[1].labels[0], "-3");
    ck_assert_int_eq(model->onnx.graph->values[model->onnx.graph->outputs[0]].producer, 0); /* a node like any other */
    ck_assert_int_eq(out[2].n_labels, 0);
    for (size_t room = 0; room < 2; room++) { /* of two lists and what is in them */
        model->arena.limit_bytes = model->arena.used_bytes + room * 64;
        ck_assert(!describe_labels(model));
    }
    model->arena.limit_bytes = 0;
    ck_assert(describe_labels(model));
    percept_close(model);
}
END_TEST

/* BatchNormalizations in training form: of two alike the first is named, a Dropout has a note of its own. */
START_TEST(nodes_in_training_form_are_noted_and_never_joined)
{
    for (int word = 0; word < 2; word++) { /* with the caller's word that items are apart, and without */
        struct small s = small_xy(2, DIMS(-1, 2));
        s.opset = 15;
        small_floats(&s, "p", 1, DIMS(2), (float[]){1, 2});
        small_floats(&s, "zero", 0, NULL, (float[]){0});
        const uint8_t yes = 1;
        proto_add(&s.graph, GRAPH_INITIALIZER, proto_tensor("yes", PERCEPT_BOOL, 0, NULL, &yes, 1));
        small_node_int(&s, "BatchNormalization", "x,p,p,p,p", "a", "training_mode", 1);
        small_node(&s, "Sin", "a", "b");
        small_node_int(&s, "BatchNormalization", "b,p,p,p,p", "c", "training_mode", 1);
        small_node(&s, "Dropout", "c,zero,yes", "y");
        struct proto bytes = small_end(&s);
        const struct percept_options options = {
            .size = sizeof options, .region = PERCEPT_REGION_PRIVATE, .batch_independent = word};
        struct percept_err err = {0};
        struct percept_model *model = percept_open_memory(bytes.at, bytes.n, &options, &err);
        proto_free(&bytes);
        ck_assert_msg(model != NULL, "%s", err.text);
        const struct percept_description d = small_describe(model);
        ck_assert(!d.batch_free);
        ck_assert_int_eq(d.n_notes, 2);
        ck_assert_ptr_nonnull(strstr(d.notes[0], "(BatchNormalization) is in training form"));
        ck_assert_ptr_nonnull(strstr(d.notes[0], "(1 more like it)"));
        ck_assert_ptr_nonnull(strstr(d.notes[1], "(Dropout) is in training form"));
        struct percept_session *session = small_session(model);
        ck_assert(percept_resize(session, 0, 2, DIMS(4, 2), &err));
        ck_assert(!percept_items_independent(session));
        percept_session_free(session);
        percept_close(model);
    }
}
END_TEST

static void add_property(struct proto *model, const char *key, const char *value, size_t n)
{
    struct proto entry = {0};
    proto_text(&entry, ENTRY_KEY, key);
    proto_bytes(&entry, ENTRY_VALUE, value, n);
    proto_add(model, MODEL_METADATA_PROPS, entry);
}

START_TEST(what_exporters_note_is_told_within_bounds)
{
    struct small s = small_xy(2, DIMS(-1, 2));
    small_node(&s, "Relu", "x", "y");
    struct proto bytes = small_end(&s);
    char *large = calloc(1, ((size_t)1 << 20) + 1);
    ck_assert_ptr_nonnull(large);
    memset(large, 'a', ((size_t)1 << 20) + 1);
    add_property(&bytes, "task", "detect", 6);
    add_property(&bytes, "nul", "a\0b", 3);
    add_property(&bytes, "latin", "\xe9", 1);
    add_property(&bytes, "large", large, ((size_t)1 << 20) + 1);
    add_property(&bytes, "task", "other", 5);
    struct percept_err err;
    struct percept_model *model = percept_open_memory(bytes.at, bytes.n, NULL, &err);
    ck_assert_msg(model != NULL, "%s", err.text);
    const struct percept_description d = small_describe(model);
    ck_assert_int_eq(d.n_properties, 2);
    ck_assert_int_eq(d.n_properties_left_out, 3);
    ck_assert_str_eq(d.properties[0].key, "task");
    ck_assert_str_eq(d.properties[0].value, "detect");
    ck_assert_str_eq(d.properties[1].value, "other");
    percept_close(model);
    for (int i = 0; i < 400; i++)
        add_property(&bytes, "more", "1", 1);
    model = percept_open_memory(bytes.at, bytes.n, NULL, &err);
    ck_assert_int_eq(small_describe(model).n_properties, 256);
    ck_assert_int_eq(small_describe(model).n_properties_left_out, 405 - 256);
    percept_close(model);
    proto_free(&bytes);
    free(large);
}
END_TEST

Suite *engine_describe_suite(void);
Suite *engine_describe_suite(void)
{
    Suite *suite = suite_create("engine_describe");
    TCase *tests = tcase_create("describe");
    tcase_add_test(tests, a_model_describes_itself);
    tcase_add_test(tests, layers_are_told_with_their_algorithms);
    tcase_add_test(tests, what_the_file_leaves_open_about_outputs_the_trial_tells);
    tcase_add_test(tests, outputs_of_numbers_may_have_any_rank);
    tcase_add_test(tests, operators_are_counted_as_the_file_has_them);
    tcase_add_test(tests, the_columns_of_a_zip_map_have_labels);
    tcase_add_test(tests, nodes_in_training_form_are_noted_and_never_joined);
    tcase_add_test(tests, what_exporters_note_is_told_within_bounds);
    suite_add_tcase(suite, tests);
    return suite;
}
