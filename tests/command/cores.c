/* Quotas of control groups, in folders made up for the purpose. */
#include "command/cores.h"

#include <check.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "folder.h"
#include "serve/loop.h"

static void setup(void)
{
    folder_begin("cores");
}

static void put(const char *name, const char *text)
{
    char line[100];
    snprintf(line, sizeof line, "%s\n", text);
    folder_text(name, line);
}

static int cores_with(const char *membership)
{
    put("membership", membership);
    return cores_of_cgroup(folder_root, folder_at("membership"));
}

START_TEST(no_group_or_no_quota_is_none)
{
    ck_assert_int_eq(cores_of_cgroup(folder_root, "/no/such/file"), 0);
    ck_assert_int_eq(cores_with("0::/a"), 0);
    put("a/cpu.max", "max 100000");
    ck_assert_int_eq(cores_with("0::/a"), 0);
    put("a/cpu.max", "rubbish");
    ck_assert_int_eq(cores_with("0::/a"), 0);
}
END_TEST

START_TEST(version_2_counts_in_whole_cores)
{
    put("a/cpu.max", "200000 100000");
    ck_assert_int_eq(cores_with("0::/a"), 2);
    put("a/cpu.max", "150000 100000");
    ck_assert_int_eq(cores_with("0::/a"), 2);
    put("a/cpu.max", "1000 100000");
    ck_assert_int_eq(cores_with("0::/a"), 1);
}
END_TEST

START_TEST(the_least_on_the_way_up_counts)
{
    put("a/b/cpu.max", "800000 100000");
    put("a/cpu.max", "300000 100000");
    ck_assert_int_eq(cores_with("0::/a/b"), 3);
    put("cpu.max", "100000 100000");
    ck_assert_int_eq(cores_with("0::/a/b"), 1);
    ck_assert_int_eq(cores_with("0::/the/hosts/own/path"), 1);
}
END_TEST

START_TEST(version_1_reads_two_files)
{
    put("cpu/a/cpu.cfs_quota_us", "250000");
    put("cpu/a/cpu.cfs_period_us", "50000");
    ck_assert_int_eq(cores_with("7:memory:/x\n4:cpuacct,cpu:/a\n0::/"), 5);
    put("cpu/a/cpu.cfs_quota_us", "-1");
    ck_assert_int_eq(cores_with("4:cpu:/a"), 0);
    ck_assert_int_eq(cores_with("4:cpuset:/a"), 0);
}
END_TEST

START_TEST(affinity_is_the_upper_bound)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    ck_assert_int_eq(sched_getaffinity(0, sizeof set, &set), 0);
    ck_assert_int_ge(cores_available(), 1);
    ck_assert_int_le(cores_available(), CPU_COUNT(&set));
}
END_TEST

static int n_cores;

static int other_cores(void)
{
    return n_cores;
}

START_TEST(the_loop_follows_what_is_ours)
{
    struct cores_watch watch;
    setenv("UV_THREADPOOL_SIZE", "4", 1);
    struct loop *loop = loop_new(4, NULL);
    ck_assert_ptr_nonnull(loop);
    n_cores = 2;
    ck_assert(cores_watch_begin(&watch, loop, other_cores, NULL));
    ck_assert_int_eq(loop_idle(loop), 2);
    static const int seen[] = {3, 1, 64, 2}, are[] = {3, 1, 4, 2};
    for (int i = 0; i < 4; i++) {
        n_cores = seen[i];
        cores_watch_look(&watch);
        ck_assert_int_eq(loop_idle(loop), are[i]);
    }
    cores_watch_end(&watch);
    loop_run(loop);
    loop_free(loop);
}
END_TEST

START_TEST(there_are_threads_for_more_cores_than_are_ours)
{
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    ck_assert_int_le(cores_threads(1), 4);
    ck_assert_int_ge(cores_threads(1), 1);
    ck_assert_int_eq(cores_threads((int)online), (int)online);
    ck_assert_int_eq(cores_threads((int)online + 5), (int)online + 5);
}
END_TEST

Suite *command_cores_suite(void);

Suite *command_cores_suite(void)
{
    Suite *suite = suite_create("command_cores");
    TCase *tests = tcase_create("cores");
    tcase_add_checked_fixture(tests, setup, folder_end);
    tcase_add_test(tests, no_group_or_no_quota_is_none);
    tcase_add_test(tests, version_2_counts_in_whole_cores);
    tcase_add_test(tests, the_least_on_the_way_up_counts);
    tcase_add_test(tests, version_1_reads_two_files);
    tcase_add_test(tests, affinity_is_the_upper_bound);
    tcase_add_test(tests, the_loop_follows_what_is_ours);
    tcase_add_test(tests, there_are_threads_for_more_cores_than_are_ours);
    suite_add_tcase(suite, tests);
    return suite;
}
