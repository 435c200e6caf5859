/* microsoft.c - tests of src/op/microsoft.c. */
#include "harness.h"

#include <check.h>

static struct harness h;

static void begin(const char *op_type)
{
    harness_begin_in(&h, "com.microsoft", op_type, 1);
}

/* One pixel, two channels, an output for each: 2 x and -3 x, plus 1 and 2. */
static void small_conv(void)
{
    begin("FusedConv");
    harness_floats(&h, 4, DIMS(1, 1, 1, 2), (float[]){1, -1});
    harness_floats(&h, 4, DIMS(2, 1, 1, 1), (float[]){2, -3});
    harness_as_constant(&h);
    harness_floats(&h, 1, DIMS(2), (float[]){1, 2});
    harness_as_constant(&h);
}

START_TEST(a_conv_brings_its_activation)
{
    small_conv();
    harness_text(&h, "activation", "Relu");
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 4, DIMS(1, 2, 1, 2), (float[]){3, 0, 0, 5}, 0);
    harness_end(&h);

    small_conv();
    harness_text(&h, "activation", "LeakyRelu");
    harness_float_list(&h, "activation_params", 1, (float[]){0.5f});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 4, DIMS(1, 2, 1, 2), (float[]){3, -0.5f, -0.5f, 5}, 0);
    harness_end(&h);
}
END_TEST

START_TEST(a_conv_adds_its_fourth_input_before_it_activates)
{
    small_conv();
    harness_text(&h, "activation", "Relu");
    harness_floats(&h, 4, DIMS(1, 2, 1, 2), (float[]){-10, 10, 2, 0.5f});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 4, DIMS(1, 2, 1, 2), (float[]){0, 9, 1, 5.5f}, 0);
    harness_end(&h);
}
END_TEST

START_TEST(gelus_add_a_bias_to_rows)
{
    begin("BiasGelu");
    harness_floats(&h, 2, DIMS(2, 2), (float[]){0, 1, 2, -1});
    harness_floats(&h, 1, DIMS(2), (float[]){1, -1});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 2, DIMS(2, 2), (float[]){0.84134475f, 0, 2.99595031f, -0.04550026f}, 1e-6f);
    harness_end(&h);

    begin("FastGelu");
    harness_floats(&h, 1, DIMS(2), (float[]){1, -2});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 1, DIMS(2), (float[]){0.841192f, -0.04540231f}, 1e-6f);
    harness_end(&h);

    begin("QuickGelu");
    harness_float(&h, "alpha", 2);
    harness_floats(&h, 1, DIMS(2), (float[]){1, -1});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 1, DIMS(2), (float[]){0.880797f, -0.119203f}, 1e-6f);
    harness_end(&h);
}
END_TEST

START_TEST(what_does_not_fit_is_refused_in_a_sentence)
{
    begin("BiasGelu");
    harness_floats(&h, 2, DIMS(1, 2), (float[]){0, 1});
    harness_floats(&h, 1, DIMS(3), (float[]){1, -1, 0});
    harness_expect_failure(&h, ERR_INVALID, "a bias of shape [3] does not fit rows of [1,2]");
    harness_end(&h);

    small_conv();
    harness_text(&h, "activation", "Clip");
    harness_expect_failure(&h, ERR_MODEL, "has 0 values; 2 would work for Clip");
    harness_end(&h);

    small_conv();
    harness_floats(&h, 4, DIMS(1, 2, 1, 1), (float[]){1, 1});
    harness_expect_failure(&h, ERR_INVALID, "what is added has shape [1,2,1,1]; its output has [1,2,1,2]");
    harness_end(&h);
}
END_TEST

Suite *op_microsoft_suite(void);
Suite *op_microsoft_suite(void)
{
    Suite *suite = suite_create("op/microsoft");
    TCase *tests = tcase_create("microsoft");
    tcase_add_test(tests, a_conv_brings_its_activation);
    tcase_add_test(tests, a_conv_adds_its_fourth_input_before_it_activates);
    tcase_add_test(tests, gelus_add_a_bias_to_rows);
    tcase_add_test(tests, what_does_not_fit_is_refused_in_a_sentence);
    suite_add_tcase(suite, tests);
    return suite;
}
