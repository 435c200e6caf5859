/* decoder.c - which outputs a decoder reads, and which dims it refuses. */
#include "serve/decoder.h"

#include "answering.h"
#include "base/err.h"
#include "fake_model.h"

#include <check.h>
#include <string.h>

Suite *serve_decoder_suite(void);

#define DETECT(task) "{\"manifest\":1,\"task\":{\"kind\":\"detect\"," task "}}"
#define LABELLED(task) "{\"manifest\":1,\"labels\":[\"a\",\"b\"],\"task\":{\"kind\":\"detect\"," task "}}"

static const struct {
    const char *manifest;
    struct percept_io outputs[3];
    const char *says; /* NULL: it fits */
} networks[] = {
    {LABELLED("\"decoder\":\"yolov8\""), {{.name = "y", .rank = 3, .dims = {1, 6, -1}}}, NULL},
    {LABELLED("\"decoder\":\"yolov8\""), {{.name = "y", .rank = 3, .dims = {-1, -1, -1}}}, NULL},
    {LABELLED("\"decoder\":\"yolov8\""), {{.name = "y", .rank = -1}}, NULL},
    {LABELLED("\"decoder\":\"yolov8\""), {{.name = "y", .rank = 2, .dims = {6, 100}}}, NULL},
    {DETECT("\"decoder\":\"yolov8\""), {{.name = "y", .rank = 3, .dims = {1, 84, 8400}}}, NULL},
    {LABELLED("\"decoder\":\"yolov8\""),
     {{.name = "y", .rank = 3, .dims = {1, 7, 100}}},
     "output 'y' has 3 classes, but there are 2 labels"},
    {DETECT("\"decoder\":\"yolov8\""), {{.name = "y", .rank = 3, .dims = {1, 4, 100}}}, "no room for classes"},
    {DETECT("\"decoder\":\"yolov8\""), {{.name = "y", .rank = 4, .dims = {1, 4, 4, 4}}}, "'y' has 4 dimensions"},
    {DETECT("\"decoder\":\"yolov8\""),
     {{.name = "y", .rank = 3, .dims = {1, 84, 8400}}, {.name = "z", .rank = 4, .dims = {1, 32, 160, 160}}},
     "task.output is missing: which of 2 outputs"},
    {LABELLED("\"decoder\":\"yolov8\",\"prototypes\":\"z\""),
     {{.name = "y", .rank = 3, .dims = {1, 38, 8400}}, {.name = "z", .rank = 4, .dims = {1, 32, 160, 160}}},
     NULL},
    {LABELLED("\"decoder\":\"yolov8\",\"prototypes\":\"z\""),
     {{.name = "y", .rank = 3, .dims = {1, 6, 8400}}, {.name = "z", .rank = 4, .dims = {1, 32, 160, 160}}},
     "no room for classes"},
    {LABELLED("\"decoder\":\"yolov8\",\"prototypes\":\"z\""),
     {{.name = "y", .rank = 3, .dims = {1, 38, 8400}}, {.name = "z", .rank = 2, .dims = {1, 32}}},
     "output 'z' has 2 dimensions; prototypes are"},
    {LABELLED("\"decoder\":\"yolov8\",\"prototypes\":\"p\""),
     {{.name = "y", .rank = 3, .dims = {1, 38, 8400}}},
     "the model has no output 'p'; it has y"},
    {LABELLED("\"decoder\":\"yolov8\",\"output\":\"p\""),
     {{.name = "y", .rank = 3, .dims = {1, 38, 8400}}},
     "the model has no output 'p'; it has y"},
    {DETECT("\"decoder\":\"rows\""), {{.name = "y", .rank = 3, .dims = {1, 300, 6}}}, NULL},
    {DETECT("\"decoder\":\"rows\""), {{.name = "y", .rank = 3, .dims = {1, 300, 7}}}, "has 7 columns"},
    {DETECT("\"decoder\":\"rows\",\"kpt_shape\":[17,3]"), {{.name = "y", .rank = 3, .dims = {1, 300, 57}}}, NULL},
    {DETECT("\"decoder\":\"rows\",\"obb\":true"), {{.name = "y", .rank = 3, .dims = {1, 300, 7}}}, NULL},
    {DETECT("\"decoder\":\"rows\""),
     {{.name = "y", .rank = 3, .dims = {1, 300, 6}, .dtype = PERCEPT_STRING}},
     "detections are read from numbers"},
    {DETECT("\"decoder\":\"tf_detection\""),
     {{.name = "y", .rank = 3, .dims = {1, 300, 6}}},
     "the model has no output 'detection_boxes'; it has y: name it as task.outputs.boxes"},
    {DETECT("\"decoder\":\"d_fine\",\"outputs\":{\"boxes\":\"p\",\"scores\":\"q\",\"classes\":\"r\"}"),
     {{.name = "p", .rank = 3, .dims = {1, 300, 4}},
      {.name = "q", .rank = 2, .dims = {1, 300}},
      {.name = "r", .rank = 2, .dims = {1, 300}}},
     NULL},
    {DETECT("\"decoder\":\"d_fine\",\"outputs\":{\"boxes\":\"p\",\"scores\":\"q\",\"classes\":\"r\"}"),
     {{.name = "p", .rank = 3, .dims = {1, 300, 5}},
      {.name = "q", .rank = 2, .dims = {1, 300}},
      {.name = "r", .rank = 2, .dims = {1, 300}}},
     "output 'p' has 5 columns, which are not those of boxes"},
    {DETECT("\"decoder\":\"ultraface\",\"outputs\":{\"boxes\":[\"p\",\"q\"],\"scores\":\"r\"}"),
     {{.name = "p", .rank = 3, .dims = {1, 300, 4}},
      {.name = "q", .rank = 3, .dims = {1, 300, 4}},
      {.name = "r", .rank = 3, .dims = {1, 300, 2}}},
     "there are 1 outputs with scores, but 2 of another kind"},
    {DETECT("\"decoder\":\"scrfd\""),
     {{.name = "p", .rank = 2, .dims = {300, 7}}},
     "which outputs have boxes and scores? Name them as task.outputs"},
};

START_TEST(dims_are_judged)
{
    struct arena arena = {0};
    struct percept_err err = {0};
    struct percept_io ios[3];
    int n = 0;
    for (; n < 3 && networks[_i].outputs[n].name; n++) {
        ios[n] = networks[_i].outputs[n];
        ios[n].dtype = ios[n].dtype ? ios[n].dtype : PERCEPT_FLOAT;
    }
    const struct manifest *manifest = fake_model_manifest(networks[_i].manifest, &arena);
    struct decoder_outputs outputs;
    bool fits = decoder_bind(manifest, ios, n, &outputs, &err) && decoder_fits(manifest, ios, &outputs, &err);
    ck_assert_msg(fits == !networks[_i].says, "%s", err.text);
    if (networks[_i].says) {
        ck_assert_msg(strstr(err.text, networks[_i].says) != NULL, "%s", err.text);
        ck_assert_int_eq(err.code, ERR_CONFIG);
    }
    arena_free(&arena);
}
END_TEST

/* Numbered outputs of a detector of faces, as they stand in its file: in the order of their strides, whatever lies
 * between them. */
START_TEST(numbered_outputs_are_found_by_their_dims)
{
    static const int64_t columns[] = {7, 1, 1, 4, 10, 1, 4, 4, 10, 10};
    static const int wanted[MANIFEST_ROLES][3] = {
        [ROLE_BOXES] = {3, 6, 7}, [ROLE_SCORES] = {1, 2, 5}, [ROLE_POINTS] = {4, 8, 9}};
    struct arena arena = {0};
    struct percept_err err = {0};
    struct percept_io ios[10];
    for (int i = 0; i < 10; i++)
        ios[i] = (struct percept_io){.name = "7", .dtype = PERCEPT_FLOAT, .rank = 2, .dims = {-1, columns[i]}};
    const struct manifest *manifest = fake_model_manifest(DETECT("\"decoder\":\"scrfd\""), &arena);
    struct decoder_outputs outputs;
    ck_assert_msg(decoder_bind(manifest, ios, 10, &outputs, &err), "%s", err.text);
    ck_assert_int_eq(outputs.n_levels, 3);
    for (int role = 0; role < MANIFEST_ROLES; role++)
        for (int level = 0; level < 3; level++)
            ck_assert_int_eq(outputs.at[role][level], wanted[role][0] ? wanted[role][level] : -1);
    ck_assert(decoder_fits(manifest, ios, &outputs, &err));
    arena_free(&arena);
}
END_TEST

/* An output whose first axis is no batch has one item. */
START_TEST(items_have_rows_of_their_own)
{
    static const float rows[12];
    const struct answering_output outputs[] = {{"y", PERCEPT_FLOAT, 2, {2, 6}, rows}};
    const struct answering asked = {.manifest = DETECT("\"decoder\":\"rows\""),
                                    .width = 8,
                                    .height = 8,
                                    .n_items = 2,
                                    .outputs = outputs,
                                    .n_outputs = 1};
    ck_assert_ptr_nonnull(strstr(answering(&asked), "has no row for each of 2 items"));
}
END_TEST

Suite *serve_decoder_suite(void)
{
    Suite *suite = suite_create("serve_decoder");
    TCase *tests = tcase_create("decoder");
    tcase_add_checked_fixture(tests, answering_begin, answering_end);
    tcase_add_loop_test(tests, dims_are_judged, 0, sizeof networks / sizeof *networks);
    tcase_add_test(tests, numbered_outputs_are_found_by_their_dims);
    tcase_add_test(tests, items_have_rows_of_their_own);
    suite_add_tcase(suite, tests);
    return suite;
}
