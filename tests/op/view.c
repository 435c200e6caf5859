/* view.c - shapes of views, known and unknown lists, and results that are known when planned. */
#include <check.h>

#include "harness.h"

/* One node on a float input; the list goes in as input 1 or as an attribute. */
static bool view(struct harness *h, const char *op, int opset, int rank, const int64_t *dims, int n,
                 const int64_t *list)
{
    static const float zeros[64];
    harness_begin(h, op, opset);
    harness_floats(h, rank, dims, zeros);
    const int64_t length[] = {n};
    if (n >= 0) {
        harness_int64s(h, 1, length, list);
        harness_as_known(h);
    }
    return harness_run(h);
}

START_TEST(reshape_copies_zeros_and_infers_one)
{
    static const struct {
        int rank, n;
        int64_t dims[3], list[3], y[3];
    } cases[] = {
        {3, 2, {2, 3, 4}, {0, -1}, {2, 12}}, {3, 3, {2, 3, 4}, {4, -1, 2}, {4, 3, 2}}, {1, 0, {1}, {0}, {0}},
        {2, 2, {0, 3}, {3, 0}, {3, 3}},      {2, 2, {0, 3}, {-1, 3}, {0, 3}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct harness h;
        bool ok = view(&h, "Reshape", 13, cases[i].rank, cases[i].dims, cases[i].n, cases[i].list);
        if (i == 3) { /* the second 0 copies a 3: nine elements */
            ck_assert(!ok);
        } else {
            ck_assert_msg(ok, "%s", h.err.text);
            ck_assert_int_eq(h.step.alias, 1);
            struct tensor want = {.rank = cases[i].n};
            tensor_set_dims(&want, cases[i].n, cases[i].y);
            ck_assert(tensor_same_dims(harness_out(&h, 0), &want));
        }
        harness_end(&h);
    }
}
END_TEST

START_TEST(reshape_may_take_zeros_literally)
{
    struct harness h;
    harness_begin(&h, "Reshape", 14);
    harness_int(&h, "allowzero", 1);
    harness_floats(&h, 2, DIMS(0, 3), NULL);
    harness_int64s(&h, 1, DIMS(2), DIMS(3, 0));
    harness_as_known(&h);
    ck_assert(harness_run(&h));
    harness_expect_floats(&h, 0, 2, DIMS(3, 0), NULL, 0);
    harness_end(&h);
}
END_TEST

START_TEST(impossible_shapes_are_refused)
{
    static const struct {
        int n;
        int64_t list[9];
        const char *words;
    } cases[] = {
        {1, {5}, "shape [2,3] cannot become [5]"},
        {2, {-1, 4}, "cannot become [-1,4]"},
        {2, {-1, -1}, "one -1 at most"},
        {3, {2, 3, 0}, "copied from an input of rank 2"},
        {2, {INT64_MAX, INT64_MAX}, "cannot become"},
        {9, {1, 1, 1, 1, 1, 1, 1, 2, 3}, "up to 8 would work"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct harness h;
        ck_assert(!view(&h, "Reshape", 13, 2, DIMS(2, 3), cases[i].n, cases[i].list));
        ck_assert_msg(strstr(h.err.text, cases[i].words) != NULL, "%s", h.err.text);
        harness_end(&h);
    }
}
END_TEST

START_TEST(a_shape_that_depends_on_data_is_refused)
{
    struct harness h;
    harness_begin(&h, "Reshape", 13);
    harness_floats(&h, 1, DIMS(2), (float[]){1, 2});
    harness_int64s(&h, 1, DIMS(1), DIMS(2));
    harness_expect_failure(&h, ERR_UNSUPPORTED, "input 1 depends on data");
    harness_end(&h);
}
END_TEST

START_TEST(old_forms_read_attributes)
{
    struct harness h;
    harness_begin(&h, "Reshape", 1);
    harness_int_list(&h, "shape", 2, DIMS(2, -1));
    harness_floats(&h, 1, DIMS(4), (float[]){1, 2, 3, 4});
    ck_assert(harness_run(&h));
    harness_expect_floats(&h, 0, 2, DIMS(2, 2), (float[]){1, 2, 3, 4}, 0);
    harness_end(&h);
    harness_begin(&h, "Squeeze", 11);
    harness_int_list(&h, "axes", 1, DIMS(-1));
    harness_floats(&h, 3, DIMS(1, 2, 1), (float[]){1, 2});
    ck_assert(harness_run(&h));
    harness_expect_floats(&h, 0, 2, DIMS(1, 2), (float[]){1, 2}, 0);
    harness_end(&h);
    harness_begin(&h, "Unsqueeze", 11);
    harness_floats(&h, 1, DIMS(1), (float[]){1});
    harness_expect_failure(&h, ERR_MODEL, "attribute 'axes' is missing");
    harness_end(&h);
}
END_TEST

START_TEST(axes_of_one_come_and_go)
{
    struct harness h;
    ck_assert(view(&h, "Squeeze", 13, 4, DIMS(1, 3, 1, 2), -1, NULL));
    ck_assert_int_eq(harness_out(&h, 0)->rank, 2);
    harness_end(&h);
    ck_assert(view(&h, "Unsqueeze", 13, 1, DIMS(3), 2, DIMS(0, -1)));
    harness_expect_floats(&h, 0, 3, DIMS(1, 3, 1), (float[3]){0}, 0);
    harness_end(&h);
    ck_assert(!view(&h, "Squeeze", 13, 2, DIMS(2, 1), 1, DIMS(0)));
    ck_assert_ptr_nonnull(strstr(h.err.text, "axis 0 has 2 elements"));
    harness_end(&h);
    ck_assert(!view(&h, "Unsqueeze", 13, 1, DIMS(3), 2, DIMS(0, -3)));
    ck_assert_ptr_nonnull(strstr(h.err.text, "occurs twice"));
    harness_end(&h);
    ck_assert(!view(&h, "Unsqueeze", 13, 8, DIMS(1, 1, 1, 1, 1, 1, 1, 1), 1, DIMS(0)));
    harness_end(&h);
}
END_TEST

START_TEST(flatten_cuts_anywhere)
{
    for (int axis = -3; axis <= 3; axis++) {
        struct harness h;
        harness_begin(&h, "Flatten", 13);
        harness_int(&h, "axis", axis);
        harness_floats(&h, 3, DIMS(2, 3, 4), (float[24]){0});
        ck_assert(harness_run(&h));
        static const int64_t rows[] = {1, 2, 6, 24};
        int64_t n = rows[axis < 0 ? axis + 3 : axis];
        harness_expect_floats(&h, 0, 2, DIMS(n, 24 / n), (float[24]){0}, 0);
        harness_end(&h);
    }
}
END_TEST

START_TEST(a_picture_of_one_pixel_flattens_as_it_lies)
{
    float x[2 * 32];
    for (int i = 0; i < 2 * 32; i++)
        x[i] = (float)i;
    struct harness h;
    harness_begin(&h, "Flatten", 13);
    harness_floats(&h, 4, DIMS(2, 32, 1, 1), x);
    harness_as_blocked(&h);
    ck_assert(harness_run(&h));
    ck_assert_int_eq(h.want[0], LAYOUT_BLOCKED);
    harness_expect_floats(&h, 0, 2, DIMS(2, 32), x, 0);
    harness_end(&h);
    harness_begin(&h, "Flatten", 13);
    harness_floats(&h, 4, DIMS(2, 8, 1, 4), x);
    harness_as_blocked(&h);
    ck_assert(harness_run(&h));
    ck_assert_int_eq(h.want[0], LAYOUT_PLAIN);
    harness_expect_floats(&h, 0, 2, DIMS(2, 32), x, 0);
    harness_end(&h);
}
END_TEST

START_TEST(dropout_keeps_everything_at_inference)
{
    struct harness h;
    harness_begin(&h, "Dropout", 13);
    harness_outputs(&h, 2);
    harness_floats(&h, 1, DIMS(2), (float[]){1, 2});
    ck_assert(harness_run(&h));
    harness_expect_floats(&h, 0, 1, DIMS(2), (float[]){1, 2}, 0);
    harness_expect(&h, 1, PERCEPT_BOOL, 1, DIMS(2), (uint8_t[]){1, 1});
    harness_end(&h);
    harness_begin(&h, "Dropout", 13);
    harness_floats(&h, 1, DIMS(2), (float[]){1, 2});
    harness_left_out(&h);
    harness_input(&h, PERCEPT_BOOL, 0, NULL, (uint8_t[]){1});
    harness_as_constant(&h);
    harness_expect_failure(&h, ERR_UNSUPPORTED, "drops elements at random; a ratio of 0");
    harness_end(&h);
}
END_TEST

START_TEST(dropout_in_training_form_works_with_a_ratio_of_0_alone)
{
    for (int told = 0; told < 2; told++)       /* are both known when the model is opened? */
        for (int half = 0; half < 3; half++) { /* a ratio of 0, 0.5 and none at all, which is 0.5 */
            struct harness h;
            harness_begin(&h, "Dropout", 12 + told);
            harness_outputs(&h, 2);
            harness_floats(&h, 1, DIMS(2), (float[]){1, 2});
            if (half == 2)
                harness_left_out(&h);
            else if (half == 1)
                harness_floats(&h, 0, NULL, (float[]){0.5F});
            else
                harness_input(&h, PERCEPT_DOUBLE, 0, NULL, (double[]){0});
            if (half < 2)
                (told ? harness_as_constant : harness_as_known)(&h);
            harness_input(&h, PERCEPT_BOOL, 0, NULL, (uint8_t[]){1});
            (told ? harness_as_constant : harness_as_known)(&h);
            if (half) {
                harness_expect_failure(&h, ERR_UNSUPPORTED, "drops elements at random; a ratio of 0");
            } else {
                ck_assert_msg(harness_run(&h), "%s", h.err.text);
                harness_expect_floats(&h, 0, 1, DIMS(2), (float[]){1, 2}, 0);
                harness_expect(&h, 1, PERCEPT_BOOL, 1, DIMS(2), (uint8_t[]){1, 1});
                ck_assert(!told || strstr(h.node.note, "in training form") != NULL);
            }
            harness_end(&h);
        }
    for (int test = 0; test < 2; test++) { /* up to opset 6 an attribute says it, which many leave out */
        struct harness h;
        harness_begin(&h, "Dropout", 6);
        harness_int(&h, "is_test", test);
        harness_floats(&h, 1, DIMS(2), (float[]){1, 2});
        ck_assert(harness_run(&h));
        harness_expect_floats(&h, 0, 1, DIMS(2), (float[]){1, 2}, 0);
        ck_assert(test ? h.node.note == NULL : strstr(h.node.note, "does not say is_test") != NULL);
        harness_end(&h);
    }
}
END_TEST

START_TEST(dropout_once_had_a_mask_of_the_inputs_type)
{
    struct harness h;
    harness_begin(&h, "Dropout", 7);
    harness_outputs(&h, 2);
    harness_input(&h, PERCEPT_BFLOAT16, 1, DIMS(2), (uint16_t[]){0x4000, 0x4040});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 1, PERCEPT_BFLOAT16, 1, DIMS(2), (uint16_t[]){0x3f80, 0x3f80});
    harness_end(&h);
    harness_begin(&h, "Dropout", 7);
    harness_outputs(&h, 2);
    harness_int64s(&h, 1, DIMS(1), DIMS(1));
    harness_expect_failure(&h, ERR_UNSUPPORTED, "a type of floats would work");
    harness_end(&h);
}
END_TEST

START_TEST(shapes_are_known_without_data)
{
    static const struct {
        int64_t start, end;
        int64_t n, y[3];
    } cases[] = {{0, 9, 3, {2, 3, 4}}, {1, 2, 1, {3}}, {-1, 9, 1, {4}}, {2, 1, 0, {0}}, {-9, -1, 2, {2, 3}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct harness h;
        harness_begin(&h, "Shape", 15);
        harness_int(&h, "start", cases[i].start);
        harness_int(&h, "end", cases[i].end);
        harness_floats(&h, 3, DIMS(2, 3, 4), (float[24]){0});
        harness_as_blocked(&h);
        ck_assert(harness_run(&h));
        ck_assert(h.step.op->rule->flags & OP_SHAPE_ONLY);
        ck_assert_int_eq(h.want[0], LAYOUT_BLOCKED);
        harness_expect(&h, 0, PERCEPT_INT64, 1, &cases[i].n, cases[i].y);
        harness_end(&h);
    }
    struct harness h;
    harness_begin(&h, "Size", 13);
    harness_floats(&h, 3, DIMS(2, 3, 4), (float[24]){0});
    ck_assert(harness_run(&h));
    harness_expect(&h, 0, PERCEPT_INT64, 0, NULL, DIMS(24));
    harness_end(&h);
}
END_TEST

Suite *op_view_suite(void)
{
    Suite *suite = suite_create("op/view");
    TCase *tcase = tcase_create("view");
    tcase_add_test(tcase, reshape_copies_zeros_and_infers_one);
    tcase_add_test(tcase, reshape_may_take_zeros_literally);
    tcase_add_test(tcase, impossible_shapes_are_refused);
    tcase_add_test(tcase, a_shape_that_depends_on_data_is_refused);
    tcase_add_test(tcase, old_forms_read_attributes);
    tcase_add_test(tcase, axes_of_one_come_and_go);
    tcase_add_test(tcase, flatten_cuts_anywhere);
    tcase_add_test(tcase, a_picture_of_one_pixel_flattens_as_it_lies);
    tcase_add_test(tcase, dropout_keeps_everything_at_inference);
    tcase_add_test(tcase, dropout_in_training_form_works_with_a_ratio_of_0_alone);
    tcase_add_test(tcase, dropout_once_had_a_mask_of_the_inputs_type);
    tcase_add_test(tcase, shapes_are_known_without_data);
    suite_add_tcase(suite, tcase);
    return suite;
}
