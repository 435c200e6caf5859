/* signal.c - tests of src/op/signal.c: windows, mel bands and transforms of small signals. */
#include "harness.h"

#include <check.h>
#include <math.h>

static struct harness h;

static void window(const char *op_type, int64_t periodic, int64_t n)
{
    harness_begin(&h, op_type, 17);
    harness_int(&h, "periodic", periodic);
    harness_int64s(&h, 0, NULL, &n);
    harness_as_known(&h);
}

static void expect_window(int64_t n, const float *want)
{
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 1, &n, want, 1e-6f);
    harness_end(&h);
}

START_TEST(windows_are_periodic_or_symmetric)
{
    window("HannWindow", 1, 4);
    expect_window(4, (float[]){0, 0.5f, 1, 0.5f});
    window("HannWindow", 0, 3);
    expect_window(3, (float[]){0, 1, 0});
    window("HannWindow", 0, 1);
    expect_window(1, (float[]){1});
    window("HammingWindow", 0, 3);
    expect_window(3, (float[]){4.0f / 46, 1, 4.0f / 46});
    window("BlackmanWindow", 0, 3);
    expect_window(3, (float[]){0, 1, 0});
    window("HannWindow", 1, 0);
    expect_window(0, NULL);
    window("HannWindow", 1, 2);
    harness_int(&h, "output_datatype", PERCEPT_DOUBLE);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_DOUBLE, 1, DIMS(2), (double[]){0, 1});
    harness_end(&h);
}
END_TEST

START_TEST(sizes_of_windows_are_judged)
{
    window("HannWindow", 1, -1);
    harness_expect_failure(&h, ERR_INVALID, "size is -1");
    harness_end(&h);
    window("HannWindow", 1, INT64_MAX);
    harness_expect_failure(&h, ERR_INVALID, "16777216 work");
    harness_end(&h);
    window("HannWindow", 1, 4);
    harness_int(&h, "output_datatype", PERCEPT_STRING);
    harness_expect_failure(&h, ERR_UNSUPPORTED, "no type of numbers");
    harness_end(&h);
    harness_begin(&h, "HannWindow", 17);
    harness_int64s(&h, 0, NULL, DIMS(4));
    harness_expect_failure(&h, ERR_UNSUPPORTED, "depends on data");
    harness_end(&h);
}
END_TEST

static void mel(int64_t bands, int64_t length, float low, float high)
{
    harness_begin(&h, "MelWeightMatrix", 17);
    const int64_t numbers[] = {bands, length, 8192};
    for (int i = 0; i < 3; i++) {
        harness_int64s(&h, 0, NULL, &numbers[i]);
        harness_as_known(&h);
    }
    harness_floats(&h, 0, NULL, &low);
    harness_as_known(&h);
    harness_floats(&h, 0, NULL, &high);
    harness_as_known(&h);
}

START_TEST(mel_bands_are_triangles)
{
    mel(2, 16, 0, 4096); /* points of 0, 1, 2 and 5 bins */
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    const float *y = harness_out(&h, 0)->data;
    ck_assert_int_eq(harness_out(&h, 0)->dims[0], 9);
    for (int band = 0; band < 2; band++) {
        float top = 0;
        int tops = 0;
        for (int row = 0; row < 9; row++) {
            ck_assert(y[2 * row + band] >= 0 && y[2 * row + band] <= 1);
            top = fmaxf(top, y[2 * row + band]);
            tops += y[2 * row + band] == 1;
        }
        ck_assert(top == 1 && tops == 1);
    }
    harness_end(&h);
    static const int points[] = {1, 4, 8, 13, 21}; /* bins of equal steps in mel */
    mel(3, 64, 200, 4000);
    float want[33 * 3];
    for (int row = 0; row < 33; row++)
        for (int band = 0; band < 3; band++) {
            const int *at = points + band;
            want[3 * row + band] = row < at[0] || row > at[2] ? 0
                                   : row <= at[1]             ? (float)(row - at[0]) / (float)(at[1] - at[0])
                                                              : (float)(at[2] - row) / (float)(at[2] - at[1]);
        }
    harness_ran(&h);
    harness_expect_floats(&h, 0, 2, DIMS(33, 3), want, 0);
    harness_end(&h);
    mel(2, 16, 100, 50);
    harness_expect_failure(&h, ERR_INVALID, "from 100 to 50 Hz");
    harness_end(&h);
    mel(2, 16, 0, NAN);
    harness_expect_failure(&h, ERR_INVALID, "is none");
    harness_end(&h);
    mel(2, 0, 0, 1);
    harness_expect_failure(&h, ERR_INVALID, "dft_length is 0");
    harness_end(&h);
}
END_TEST

START_TEST(a_transform_and_its_inverse_give_the_signal)
{
    static const float x[] = {1, 2, 3, 4};
    harness_begin(&h, "DFT", 17);
    harness_floats(&h, 3, DIMS(1, 4, 1), x);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    static const float spectrum[] = {10, 0, -2, 2, -2, 0, -2, -2};
    harness_expect_floats(&h, 0, 3, DIMS(1, 4, 2), spectrum, 1e-6f);
    harness_end(&h);
    harness_begin(&h, "DFT", 20); /* along the first axis, two lines at a time */
    harness_int(&h, "inverse", 1);
    harness_floats(&h, 3, DIMS(4, 1, 2), spectrum);
    harness_left_out(&h);
    harness_int64s(&h, 0, NULL, DIMS(0));
    harness_as_known(&h);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 3, DIMS(4, 1, 2), (float[]){1, 0, 2, 0, 3, 0, 4, 0}, 1e-6f);
    harness_end(&h);
    harness_begin(&h, "DFT", 20);
    harness_int(&h, "onesided", 1);
    harness_floats(&h, 2, DIMS(4, 1), x);
    harness_int64s(&h, 0, NULL, DIMS(2));
    harness_as_known(&h);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 2, DIMS(2, 2), (float[]){3, 0, -1, 0}, 1e-6f);
    harness_end(&h);
}
END_TEST

static void frames(int64_t samples, int64_t hop, int64_t length)
{
    static const float x[] = {1, 2, 3, 4, 5};
    harness_begin(&h, "STFT", 17);
    harness_floats(&h, 3, DIMS(1, samples, 1), x);
    harness_int64s(&h, 0, NULL, &hop);
    harness_as_known(&h);
    harness_floats(&h, 1, DIMS(2), (float[]){1, 2});
    harness_int64s(&h, 0, NULL, &length);
    harness_as_known(&h);
}

/* As numpy.fft.irfft: the side that is not there mirrors the one that is. */
START_TEST(one_side_of_a_spectrum_gives_real_samples)
{
    static const float even[] = {10, 0, -2, 2, -2, 0}, odd[] = {6, 0, -1.5f, 0.8660254f};
    harness_begin(&h, "DFT", 17);
    harness_int(&h, "onesided", 1);
    harness_int(&h, "inverse", 1);
    harness_floats(&h, 3, DIMS(1, 3, 2), even);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 3, DIMS(1, 4, 1), (float[]){1, 2, 3, 4}, 1e-6f);
    harness_end(&h);
    harness_begin(&h, "DFT", 20);
    harness_int(&h, "onesided", 1);
    harness_int(&h, "inverse", 1);
    harness_floats(&h, 2, DIMS(2, 2), odd);
    harness_int64s(&h, 0, NULL, DIMS(3));
    harness_as_known(&h);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 2, DIMS(3, 1), (float[]){1, 2, 3}, 1e-6f);
    harness_end(&h);
}
END_TEST

START_TEST(a_signal_needs_no_axis_for_its_one_part)
{
    static const float x[] = {1, 2, 3, 4};
    harness_begin(&h, "STFT", 17);
    harness_floats(&h, 2, DIMS(1, 4), x);
    harness_int64s(&h, 0, NULL, DIMS(2));
    harness_as_known(&h);
    harness_left_out(&h);
    harness_int64s(&h, 0, NULL, DIMS(2));
    harness_as_known(&h);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 4, DIMS(1, 2, 2, 2), (float[]){3, 0, -1, 0, 7, 0, -1, 0}, 1e-6f);
    harness_end(&h);
}
END_TEST

START_TEST(frames_are_weighed_and_transformed)
{
    frames(5, 3, 2);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 4, DIMS(1, 2, 2, 2), (float[]){5, 0, -3, 0, 14, 0, -6, 0}, 1e-6f);
    harness_end(&h);
    frames(1, 3, 2); /* shorter than a frame */
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 4, DIMS(1, 0, 2, 2), NULL, 0);
    harness_end(&h);
    frames(5, 0, 2);
    harness_expect_failure(&h, ERR_INVALID, "frame_step is 0");
    harness_end(&h);
    frames(5, 1, 3);
    harness_expect_failure(&h, ERR_INVALID, "as long as a frame");
    harness_end(&h);
}
END_TEST

static void expect_near(const double *want, int n)
{
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    ck_assert(harness_out(&h, 0)->dtype == PERCEPT_DOUBLE);
    ck_assert_int_eq(tensor_elements(harness_out(&h, 0)), n);
    for (int i = 0; i < n; i++)
        ck_assert_double_eq_tol(((const double *)harness_out(&h, 0)->data)[i], want[i], 1e-14);
    harness_end(&h);
}

START_TEST(doubles_are_transformed_as_doubles)
{
    static const double x[] = {1 + 0x1p-30, 1, 2, 2}, window[] = {1, 1 + 0x1p-30};
    harness_begin(&h, "DFT", 20);
    harness_input(&h, PERCEPT_DOUBLE, 3, DIMS(1, 2, 1), x);
    expect_near((double[]){2 + 0x1p-30, 0, 0x1p-30, 0}, 4);
    harness_begin(&h, "STFT", 17);
    harness_input(&h, PERCEPT_DOUBLE, 3, DIMS(1, 4, 1), x);
    harness_int64s(&h, 0, NULL, DIMS(2));
    harness_as_known(&h);
    harness_input(&h, PERCEPT_DOUBLE, 1, DIMS(2), window);
    expect_near((double[]){2 + 0x1p-29, 0, 0, 0, 4 + 0x1p-29, 0, -0x1p-29, 0}, 8);
    harness_begin(&h, "STFT", 17);
    harness_input(&h, PERCEPT_DOUBLE, 3, DIMS(1, 4, 1), x);
    harness_int64s(&h, 0, NULL, DIMS(2));
    harness_as_known(&h);
    harness_floats(&h, 1, DIMS(2), (float[]){1, 1});
    harness_expect_failure(&h, ERR_UNSUPPORTED, "input 2 is float32; float64 would work");
    harness_end(&h);
}
END_TEST

START_TEST(transforms_that_make_no_sense_are_refused)
{
    static const float x[6];
    harness_begin(&h, "DFT", 17);
    harness_floats(&h, 3, DIMS(1, 2, 3), x);
    harness_expect_failure(&h, ERR_INVALID, "1 (real) or 2 (complex)");
    harness_end(&h);
    harness_begin(&h, "DFT", 17);
    harness_int(&h, "axis", 2);
    harness_floats(&h, 3, DIMS(1, 3, 2), x);
    harness_expect_failure(&h, ERR_MODEL, "axis 2 holds the parts");
    harness_end(&h);
    harness_begin(&h, "DFT", 17);
    harness_floats(&h, 3, DIMS(1, 0, 1), NULL);
    harness_expect_failure(&h, ERR_INVALID, "dft_length is 0");
    harness_end(&h);
    harness_begin(&h, "DFT", 17);
    harness_int(&h, "onesided", 1);
    harness_int(&h, "inverse", 1);
    harness_floats(&h, 3, DIMS(1, 3, 1), x);
    harness_expect_failure(&h, ERR_INVALID, "made of complex numbers");
    harness_end(&h);
    harness_begin(&h, "DFT", 17);
    harness_int(&h, "onesided", 1);
    harness_int(&h, "inverse", 1);
    harness_floats(&h, 3, DIMS(1, 1, 2), x);
    harness_expect_failure(&h, ERR_INVALID, "dft_length is 0");
    harness_end(&h);
}
END_TEST

Suite *op_signal_suite(void)
{
    Suite *suite = suite_create("op/signal");
    TCase *tcase = tcase_create("signal");
    tcase_add_test(tcase, windows_are_periodic_or_symmetric);
    tcase_add_test(tcase, sizes_of_windows_are_judged);
    tcase_add_test(tcase, mel_bands_are_triangles);
    tcase_add_test(tcase, a_transform_and_its_inverse_give_the_signal);
    tcase_add_test(tcase, one_side_of_a_spectrum_gives_real_samples);
    tcase_add_test(tcase, a_signal_needs_no_axis_for_its_one_part);
    tcase_add_test(tcase, frames_are_weighed_and_transformed);
    tcase_add_test(tcase, doubles_are_transformed_as_doubles);
    tcase_add_test(tcase, transforms_that_make_no_sense_are_refused);
    suite_add_tcase(suite, tcase);
    return suite;
}
