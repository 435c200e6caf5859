/* mode.c - the two modes do what they say, and what was there before comes back. */
#include "base/mode.h"

#include <check.h>
#include <fenv.h>
#include <stdbool.h>

static float product(float a, float b)
{
    volatile float x = a, y = b;
    return x * y;
}

#if defined(__x86_64__) || defined(__aarch64__)
START_TEST(denormal_numbers_count_in_one_mode_only)
{
    const uint64_t before = mode_enter(MODE_EXACT);
    const float read = product(1e-40f, 1e20f), written = product(1e-20f, 1e-20f);
    mode_set(MODE_FLUSHED);
    const float read_flushed = product(1e-40f, 1e20f), written_flushed = product(1e-20f, 1e-20f);
    const float normal = product(1.5f, 2e-38f);
    mode_set(before);
    ck_assert(read > 0 && written > 0);
    ck_assert(read_flushed == 0 && written_flushed == 0);
    ck_assert_float_eq(normal, 3e-38f);
}
END_TEST
#endif

START_TEST(rounding_is_to_nearest_in_both)
{
    const int rounding = fegetround();
    ck_assert_int_eq(fesetround(FE_UPWARD), 0);
    const uint64_t up = mode_enter(MODE_EXACT);
    const float exact = product(1.0000001f, 1.0000001f);
    mode_set(MODE_FLUSHED);
    const float flushed = product(1.0000001f, 1.0000001f);
    mode_set(up);
    const bool still_up = fegetround() == FE_UPWARD;
    fesetround(rounding);
    ck_assert_float_eq(exact, product(1.0000001f, 1.0000001f));
    ck_assert_float_eq(flushed, exact);
    ck_assert(still_up);
}
END_TEST

Suite *base_mode_suite(void);

Suite *base_mode_suite(void)
{
    Suite *suite = suite_create("base/mode");
    TCase *tcase = tcase_create("mode");
#if defined(__x86_64__) || defined(__aarch64__)
    tcase_add_test(tcase, denormal_numbers_count_in_one_mode_only);
#endif
    tcase_add_test(tcase, rounding_is_to_nearest_in_both);
    suite_add_tcase(suite, tcase);
    return suite;
}
