/* Activations and layouts that graphs tell. */
#include "engine/facts.h"

#include <check.h>

#include "engine/small.h"

static enum percept_activation activation_of(const char *nodes)
{
    struct small s = small_xy(2, DIMS(-1, 6));
    small_ints(&s, "shape", 2, (int64_t[]){-1, 6});
    small_ints(&s, "zero", 1, (int64_t[]){0});
    small_ints(&s, "six", 1, (int64_t[]){6});
    small_ints(&s, "one", 1, (int64_t[]){1});
    small_nodes(&s, nodes);
    struct percept_model *model = small_open(&s);
    int n;
    const enum percept_activation found = percept_outputs(model, &n)[0].activation;
    percept_close(model);
    return found;
}

START_TEST(an_output_tells_what_it_went_through_last)
{
    static const struct {
        const char *nodes;
        enum percept_activation wanted;
    } rows[] = {
        {"Softmax x > y axis=1", PERCEPT_ACTIVATION_SOFTMAX},
        {"LogSoftmax x > y axis=1", PERCEPT_ACTIVATION_LOG_SOFTMAX},
        {"Sigmoid x > y", PERCEPT_ACTIVATION_SIGMOID},
        {"Relu x > y", PERCEPT_ACTIVATION_NONE},
        {"Sigmoid x > a; Relu a > y", PERCEPT_ACTIVATION_NONE},
        {"Softmax x > a axis=1; Identity a > b; Cast b > c to=11; Reshape c,shape > y", PERCEPT_ACTIVATION_SOFTMAX},
        {"Sigmoid x > a; Unsqueeze a,one > b; Squeeze b,one > c; Flatten c > d; Transpose d > y perm=1,0",
         PERCEPT_ACTIVATION_SIGMOID},
        {"Sigmoid x > a; Slice a,zero,six,one > y", PERCEPT_ACTIVATION_SIGMOID},
        {"Sigmoid x > a; Split a > y,b axis=1", PERCEPT_ACTIVATION_SIGMOID},
        {"Sigmoid x > a; Sigmoid a > b; Concat a,b > y axis=1", PERCEPT_ACTIVATION_SIGMOID},
        {"Sigmoid x > a; Relu x > b; Concat a,b > y axis=1", PERCEPT_ACTIVATION_UNKNOWN},
        {"Sigmoid x > a; Softmax x > b axis=1; Concat a,b > y axis=1", PERCEPT_ACTIVATION_UNKNOWN},
        {"Sigmoid x > a; Mul a,a > y", PERCEPT_ACTIVATION_NONE},
        {"Identity x > y", PERCEPT_ACTIVATION_NONE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        ck_assert_msg(activation_of(rows[i].nodes) == rows[i].wanted, "%s: %d", rows[i].nodes,
                      (int)activation_of(rows[i].nodes));
}
END_TEST

static bool has_exp(const char *nodes)
{
    struct small s = small_xy(2, DIMS(-1, 6));
    small_weights(&s, "w", 2, DIMS(6, 6), 1);
    small_nodes(&s, nodes);
    struct percept_model *model = small_open(&s);
    int n;
    const bool found = percept_outputs(model, &n)[0].has_exp;
    percept_close(model);
    return found;
}

START_TEST(an_exp_counts_that_no_weights_hide)
{
    ck_assert(has_exp("MatMul x,w > a; Exp a > b; Add a,b > c; Concat c,a > y axis=1"));
    ck_assert(!has_exp("Exp x > a; MatMul a,w > y"));
    ck_assert(!has_exp("MatMul x,w > a; Relu a > y"));
}
END_TEST

static enum percept_layout layout_of(const int64_t *dims, const char *nodes)
{
    struct small s = small_xy(4, dims);
    small_weights(&s, "w", 4, DIMS(2, 3, 1, 1), 1);
    small_floats(&s, "half", 1, DIMS(1), (float[]){0.5f});
    small_nodes(&s, nodes);
    struct percept_model *model = small_open(&s);
    int n;
    const enum percept_layout found = percept_inputs(model, &n)[0].layout;
    percept_close(model);
    return found;
}

START_TEST(an_input_tells_the_order_of_its_axes)
{
    static const char conv[] = "Conv x,w > y", scaled[] = "Sub x,half > a; Div a,half > b; Conv b,w > y",
                      turned[] = "Mul x,half > a; Transpose a > b perm=0,3,1,2; Conv b,w > y",
                      other[] = "Transpose x > a perm=0,2,1,3; Conv a,w > y", none[] = "Relu x > y";
    ck_assert_int_eq(layout_of(DIMS(-1, 3, 8, 8), conv), PERCEPT_LAYOUT_NCHW);
    ck_assert_int_eq(layout_of(DIMS(-1, 3, 8, 3), scaled), PERCEPT_LAYOUT_NCHW);
    ck_assert_int_eq(layout_of(DIMS(-1, 3, 8, 3), turned), PERCEPT_LAYOUT_NHWC);
    ck_assert_int_eq(layout_of(DIMS(-1, 3, 3, 3), other), PERCEPT_LAYOUT_UNKNOWN);
    ck_assert_int_eq(layout_of(DIMS(-1, 3, 8, 8), none), PERCEPT_LAYOUT_NCHW);
    ck_assert_int_eq(layout_of(DIMS(-1, 8, 8, 1), none), PERCEPT_LAYOUT_NHWC);
    ck_assert_int_eq(layout_of(DIMS(-1, 3, 8, 3), none), PERCEPT_LAYOUT_UNKNOWN);
    ck_assert_int_eq(layout_of(DIMS(-1, 8, 8, 8), none), PERCEPT_LAYOUT_UNKNOWN);
}
END_TEST

Suite *engine_facts_suite(void);
Suite *engine_facts_suite(void)
{
    Suite *suite = suite_create("engine_facts");
    TCase *tests = tcase_create("facts");
    tcase_add_test(tests, an_output_tells_what_it_went_through_last);
    tcase_add_test(tests, an_exp_counts_that_no_weights_hide);
    tcase_add_test(tests, an_input_tells_the_order_of_its_axes);
    suite_add_tcase(suite, tests);
    return suite;
}
