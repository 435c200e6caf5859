/* cgroup.c - which folders are asked, and that the least counts; numbers are the files' first lines. */
#include "command/cgroup.h"

#include "folder.h"

#include <check.h>
#include <stdlib.h>

Suite *command_cgroup_suite(void);

static void begin(void)
{
    folder_begin("cgroup");
}

static long long two(const char *folder)
{
    char line[32];
    return cgroup_line(folder, "new", line, sizeof line) ? atoll(line) : 0;
}

static long long one(const char *folder)
{
    char line[32];
    return cgroup_line(folder, "old", line, sizeof line) ? atoll(line) : 0;
}

static long long least(const char *membership)
{
    const struct cgroup_limit limit = {.controller = "mem", .v2 = two, .v1 = one};
    folder_text("membership", membership);
    return cgroup_least(folder_root, folder_at("membership"), &limit);
}

START_TEST(groups_and_those_above_are_asked)
{
    static const struct {
        const char *membership;
        long long least;
    } rows[] = {
        {"", 0},
        {"0::/a/b\n", 30}, /* the parent's */
        {"0::/a\n", 30},
        {"0::/c\n", 900}, /* the root's, at the mount */
        {"0::/not/here\n", 900},
        {"3:mem:/g\n", 50},
        {"3:mem,other:/g\n0::/a\n", 30},
        {"3:other,mem:/g\n0::/c\n", 50},
        {"3:memory:/g\n", 0}, /* another one's */
        {"3:me:/g\n", 0},
        {"rubbish\n0::/a\n", 30},
    };
    folder_text("new", "900\n");
    folder_text("a/new", "30\n");
    folder_text("a/b/new", "40\n");
    folder_text("mem/g/old", "50\n");
    folder_text("mem/old", "60\n");
    ck_assert_int_eq(least(rows[_i].membership), rows[_i].least);
}
END_TEST

START_TEST(who_is_nowhere_has_no_limit)
{
    const struct cgroup_limit limit = {.controller = "mem", .v2 = two, .v1 = one};
    ck_assert_int_eq(cgroup_least(folder_root, "/no/such/file", &limit), 0);
}
END_TEST

Suite *command_cgroup_suite(void)
{
    Suite *suite = suite_create("command/cgroup");
    TCase *tests = tcase_create("cgroup");
    tcase_add_checked_fixture(tests, begin, folder_end);
    tcase_add_loop_test(tests, groups_and_those_above_are_asked, 0, 11);
    tcase_add_test(tests, who_is_nowhere_has_no_limit);
    suite_add_tcase(suite, tests);
    return suite;
}
