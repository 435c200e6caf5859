/* Limits of the system: raised where they may be, told where not. Each test is a process of its
 * own. */
#include "command/limits.h"

#include "folder.h"

#include <check.h>
#include <string.h>
#include <sys/resource.h>

static struct percept_err err;

static void limit(int resource, rlim_t soft, rlim_t hard)
{
    const struct rlimit limits = {soft, hard};
    ck_assert_int_eq(setrlimit(resource, &limits), 0);
}

START_TEST(memory_is_what_the_control_group_may_have)
{
    static const struct {
        const char *name, *line, *membership;
        size_t n_bytes;
    } rows[] = {
        {"g/memory.max", "1048576\n", "0::/g\n", 1048576},
        {"g/memory.max", "max\n", "0::/g\n", 0},
        {"g/memory.max", "-5\n", "0::/g\n", 0},
        {"memory/g/memory.limit_in_bytes", "4096\n", "4:memory:/g\n", 4096},
        {"memory/g/memory.limit_in_bytes", "9223372036854771712\n", "4:memory:/g\n", 0},
    };
    folder_begin("limits");
    folder_text(rows[_i].name, rows[_i].line);
    folder_text("membership", rows[_i].membership);
    ck_assert_uint_eq(limits_memory(folder_root, folder_at("membership")), rows[_i].n_bytes);
    folder_end();
}
END_TEST

START_TEST(a_stack_is_raised_as_far_as_it_may)
{
    struct rlimit stack;
    limit(RLIMIT_STACK, 256 << 10, 4 << 20);
    ck_assert_msg(limits_stack(&err), "%s", err.text);
    getrlimit(RLIMIT_STACK, &stack);
    ck_assert_uint_eq(stack.rlim_cur, 4 << 20);
    ck_assert(limits_stack(&err)); /* and left alone */
}
END_TEST

START_TEST(a_stack_that_is_too_small_is_told)
{
    limit(RLIMIT_STACK, 256 << 10, 512 << 10);
    ck_assert(!limits_stack(&err));
    ck_assert_str_eq(err.text, "the stack is limited to 262144 bytes, at least 1048576 are needed: "
                               "ulimit -s 8192");
}
END_TEST

START_TEST(no_limit_is_enough)
{
    struct rlimit stack;
    getrlimit(RLIMIT_STACK, &stack);
    limit(RLIMIT_STACK, stack.rlim_max, stack.rlim_max);
    ck_assert(limits_stack(&err));
}
END_TEST

START_TEST(descriptors_are_tried_and_given_back)
{
    for (int i = 0; i < 100; i++)
        ck_assert_msg(limits_descriptors(32, &err), "%s", err.text);
    struct rlimit before;
    getrlimit(RLIMIT_NOFILE, &before);
    limit(RLIMIT_NOFILE, 3, before.rlim_max);
    const bool enough = limits_descriptors(32, &err);
    limit(RLIMIT_NOFILE, before.rlim_cur, before.rlim_max); /* a sanitizer's last look opens files */
    ck_assert(!enough);
    ck_assert_msg(strstr(err.text, "32 more file descriptors are needed, only 0 can be opened"), "%s", err.text);
}
END_TEST

Suite *command_limits_suite(void);

Suite *command_limits_suite(void)
{
    Suite *suite = suite_create("command_limits");
    TCase *tests = tcase_create("limits");
    tcase_add_loop_test(tests, memory_is_what_the_control_group_may_have, 0, 5);
    tcase_add_test(tests, a_stack_is_raised_as_far_as_it_may);
    tcase_add_test(tests, a_stack_that_is_too_small_is_told);
    tcase_add_test(tests, no_limit_is_enough);
    tcase_add_test(tests, descriptors_are_tried_and_given_back);
    suite_add_tcase(suite, tests);
    return suite;
}
