/* measure.c - a machine does something, on every level; how much no test judges. */
#include <check.h>

#include "engine/small.h"
#include "kernel/kernel.h"

START_TEST(every_level_has_a_rate)
{
    for (const char *const *name = pick_names(); *name; name++) {
        struct small s = small_xy(1, (int64_t[]){2});
        small_nodes(&s, "Relu x > y");
        struct proto bytes = small_end(&s);
        const struct percept_options options = {
            .size = sizeof options, .level = *name, .region = PERCEPT_REGION_PRIVATE};
        struct percept_err err = {0};
        struct percept_model *model = percept_open_memory(bytes.at, bytes.n, &options, &err);
        ck_assert_msg(model != NULL, "%s", err.text);
        struct percept_machine machine = {0};
        ck_assert_msg(percept_measure(model, &machine, &err), "%s", err.text);
        ck_assert_double_gt(machine.flops_per_s, 0);
        ck_assert_double_gt(machine.bytes_per_s, 0);
        ck_assert_double_lt(machine.bytes_per_s, 2e13); /* more than any memory: then nothing was copied */
        ck_assert_double_lt(machine.flops_per_s, 1e13);
        percept_close(model);
        proto_free(&bytes);
    }
}
END_TEST

Suite *engine_measure_suite(void);

Suite *engine_measure_suite(void)
{
    Suite *suite = suite_create("engine/measure");
    TCase *tcase = tcase_create("measure");
    tcase_add_test(tcase, every_level_has_a_rate);
    suite_add_tcase(suite, tcase);
    return suite;
}
