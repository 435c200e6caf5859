/* profile.c - the least of several runs, shares and rooflines of made-up steps. */
#include "command/profile.h"

#include <check.h>
#include <string.h>

static const struct percept_machine machine = {.flops_per_s = 100e9, .bytes_per_s = 10e9};

static struct percept_step_profile steps[] = {
    {.op_type = "Conv",
     .node = "a\x1b",
     .algorithm = "direct",
     .ms = 2,
     .flops = 100e6,
     .done_flops = 100e6,
     .bytes = 1e6},
    {.op_type = "Conv", .node = "b", .algorithm = "lesser", .ms = 1, .flops = 100e6, .done_flops = 40e6, .bytes = 8e6},
    {.op_type = "Conv", .node = "c", .algorithm = "direct", .ms = 4, .flops = 200e6, .done_flops = 200e6, .bytes = 1e6},
};

static const struct profile profile = {.steps = steps, .n = 3, .n_runs = 5};

static void expect(const char *in, const char *words)
{
    ck_assert_msg(strstr(in, words) != NULL, "%s\nis not in\n%s", words, in);
}

START_TEST(rates_shares_and_rooflines_are_told)
{
    struct arena arena = {0};
    struct text text = {.arena = &arena};
    profile_text(&text, &profile, &machine, 1);
    text_bytes(&text, "", 1);
    expect(text.at, "a core of this machine: 100.0 GFLOP/s, 10.0 GB/s; steps: the least of 5 runs\n");
    expect(text.at,
           "   2.0000  28.57     50.00   50.0     1.000    1.0000  Conv                   direct       a\\u001b\n");
    /* as defined 100 GFLOP/s, of the multiplications that are done 40; memory is what bounds it */
    expect(text.at, "   1.0000  14.29    100.00   40.0     8.000    0.8000  Conv                   lesser       b\n");
    expect(text.at, "3 steps\n\nby algorithm\n   6.0000  85.71     50.00   50.0     2.000    3.0000  Conv ");
    arena_free(&arena);
}
END_TEST

START_TEST(cores_share_the_work)
{
    struct arena arena = {0};
    struct text text = {.arena = &arena};
    profile_json(&text, &profile, &machine, 2);
    text_bytes(&text, "", 1);
    expect(text.at, "\"peak_share\": 0.250000, \"bytes\": 1000000, \"roofline_ms\": 0.500000000}");
    arena_free(&arena);
}
END_TEST

/* Nobody divides by what was not measured. */
START_TEST(nothing_is_a_profile_too)
{
    struct arena arena = {0};
    struct text text = {.arena = &arena};
    const struct percept_machine unknown = {0};
    struct percept_step_profile none = {.op_type = "Relu", .node = "", .algorithm = ""};
    profile_text(&text, &(struct profile){.steps = &none, .n = 1}, &unknown, 1);
    profile_text(&text, &(struct profile){.n = 0}, &unknown, 1);
    text_bytes(&text, "", 1);
    ck_assert_ptr_null(strstr(text.at, "nan"));
    ck_assert_ptr_null(strstr(text.at, "inf"));
    arena_free(&arena);
}
END_TEST

Suite *command_profile_suite(void);

Suite *command_profile_suite(void)
{
    Suite *suite = suite_create("command_profile");
    TCase *tests = tcase_create("profile");
    tcase_add_test(tests, rates_shares_and_rooflines_are_told);
    tcase_add_test(tests, cores_share_the_work);
    tcase_add_test(tests, nothing_is_a_profile_too);
    suite_add_tcase(suite, tests);
    return suite;
}
