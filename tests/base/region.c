/* Regions: published once, shared, adopted after a crash, cleaned up, never trusted blindly. */
#include "base/region.h"

#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char prefix[40];

static void setup(void)
{
    snprintf(prefix, sizeof prefix, "percept-test-%d", (int)getpid());
}

static void teardown(void)
{
    percept_clean_regions(prefix, 0);
}

static struct region_key key_of(uint8_t id)
{
    struct region_key key = {.prefix = prefix, .row = "base", .model = "some/model.onnx"};
    memset(key.digest, id, sizeof key.digest);
    return key;
}

static struct region *publish_as(struct region_key key, size_t n_bytes, bool named)
{
    uint8_t id = key.digest[0];
    struct region_draft draft;
    struct percept_err err = {0};
    ck_assert_msg(region_begin(&draft, n_bytes, named ? &key : NULL, &err), "%s", err.text);
    ck_assert_uint_eq((uintptr_t)draft.data % 64, 0);
    memset(draft.data, id, n_bytes);
    struct region *region = region_publish(&draft, &key, &err);
    ck_assert_msg(region != NULL, "%s", err.text);
    return region;
}

static struct region *publish(uint8_t id, size_t n_bytes, bool named)
{
    return publish_as(key_of(id), n_bytes, named);
}

static int count(void)
{
    struct percept_region_info infos[8];
    return percept_list_regions(prefix, infos, 8);
}

START_TEST(what_is_published_is_found_and_shared)
{
    struct region *mine = publish(1, 100000, true);
    ck_assert_str_ne(region_name(mine), "");
    struct region_key key = key_of(1);
    struct region *same = region_find(&key, 100000);
    ck_assert_ptr_nonnull(same);
    ck_assert_int_eq(memcmp(region_data(mine), region_data(same), 100000), 0);
    ck_assert_int_eq(((const uint8_t *)region_data(same))[99999], 1);
    ck_assert_int_eq(count(), 1);
    region_release(same);
    ck_assert_int_eq(count(), 1);
    region_release(mine);
    ck_assert_int_eq(count(), 0);
}
END_TEST

START_TEST(another_size_or_digest_is_not_found)
{
    struct region *mine = publish(1, 5000, true);
    struct region_key key = key_of(1), other = key_of(2);
    ck_assert_ptr_null(region_find(&key, 5001));
    ck_assert_ptr_null(region_find(&other, 5000));
    region_release(mine);
}
END_TEST

START_TEST(published_memory_cannot_be_written)
{
    struct region *mine = publish(3, 5000, true);
    pid_t child = fork();
    if (child == 0) {
        *(volatile char *)(uintptr_t)region_data(mine) = 1;
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    ck_assert(WIFSIGNALED(status) || WEXITSTATUS(status) != 0);
    region_release(mine);
    struct region *private_one = publish(3, 5000, false);
    ck_assert_str_eq(region_name(private_one), "");
    ck_assert_int_eq(mprotect((void *)(uintptr_t)((const char *)region_data(private_one) - 4096), 4096,
                              PROT_READ), 0);
    region_release(private_one);
}
END_TEST

/* The child publishes and dies without letting go. */
static void crash_holding(uint8_t id)
{
    pid_t child = fork();
    if (child == 0) {
        publish(id, 7000, true);
        kill(getpid(), SIGKILL);
    }
    int status;
    waitpid(child, &status, 0);
    ck_assert(WIFSIGNALED(status));
}

START_TEST(a_crash_leaves_an_orphan_that_the_same_model_adopts)
{
    crash_holding(4);
    struct percept_region_info info;
    ck_assert_int_eq(percept_list_regions(prefix, &info, 1), 1);
    ck_assert_int_eq(info.n_holders, 0);
    struct region_key key = key_of(4);
    struct region *adopted = region_find(&key, 7000);
    ck_assert_ptr_nonnull(adopted);
    ck_assert_int_eq(percept_clean_regions(prefix, -1), 0);
    ck_assert_int_eq(percept_list_regions(prefix, &info, 1), 1);
    ck_assert_int_eq(info.n_holders, 1);
    ck_assert_int_eq(info.holders[0], (int)getpid());
    ck_assert_str_eq(info.model, "some/model.onnx");
    ck_assert_str_eq(info.row, "base");
    region_release(adopted);
    ck_assert_int_eq(count(), 0);
}
END_TEST

START_TEST(cleaning_removes_orphans_and_spares_what_is_held)
{
    crash_holding(5);
    struct region *held = publish(6, 3000, true);
    ck_assert_int_eq(count(), 2);
    ck_assert_int_eq(percept_clean_regions(prefix, -1), 1);
    ck_assert_int_eq(count(), 1);
    region_release(held);
}
END_TEST

START_TEST(the_second_publisher_gets_the_first_ones_region)
{
    struct region *first = publish(7, 4096, true);
    struct region *second = publish(7, 4096, true);
    ck_assert_str_eq(region_name(first), region_name(second));
    ck_assert_int_eq(count(), 1);
    region_release(first);
    ck_assert_int_eq(count(), 1);
    region_release(second);
    ck_assert_int_eq(count(), 0);
}
END_TEST

/* An object under our name with another mode, another link or other content is not believed. */
START_TEST(a_forged_region_is_not_believed)
{
    struct region *mine = publish(8, 4096, true);
    char path[160], other[170];
    snprintf(path, sizeof path, "/dev/shm/%s", region_name(mine));
    snprintf(other, sizeof other, "%s-link", path);
    struct region_key key = key_of(8);
    ck_assert_int_eq(chmod(path, 0600), 0);
    ck_assert_ptr_null(region_find(&key, 4096));
    ck_assert_int_eq(chmod(path, 0400), 0);
    ck_assert_int_eq(link(path, other), 0);
    ck_assert_ptr_null(region_find(&key, 4096));
    ck_assert_int_eq(unlink(other), 0);
    region_release(mine);
    int fd = open(path, O_CREAT | O_EXCL | O_RDWR, 0400);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(ftruncate(fd, 8192), 0);
    ck_assert_ptr_null(region_find(&key, 4096));
    /* a publisher whose name is taken by a forgery still serves, privately */
    struct region *again = publish(8, 4096, true);
    ck_assert_str_eq(region_name(again), "");
    ck_assert_int_eq(((const uint8_t *)region_data(again))[4095], 8);
    region_release(again);
    close(fd);
    unlink(path);
}
END_TEST

START_TEST(a_region_too_large_for_memory_is_refused_with_a_sentence)
{
    struct region_draft draft;
    struct percept_err err = {0};
    struct region_key key = key_of(9);
    ck_assert(!region_begin(&draft, (size_t)1 << 62, &key, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "bytes"));
}
END_TEST

Suite *base_region_suite(void);
Suite *base_region_suite(void)
{
    Suite *suite = suite_create("base_region");
    TCase *tests = tcase_create("region");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, what_is_published_is_found_and_shared);
    tcase_add_test(tests, another_size_or_digest_is_not_found);
    tcase_add_test(tests, published_memory_cannot_be_written);
    tcase_add_test(tests, a_crash_leaves_an_orphan_that_the_same_model_adopts);
    tcase_add_test(tests, cleaning_removes_orphans_and_spares_what_is_held);
    tcase_add_test(tests, the_second_publisher_gets_the_first_ones_region);
    tcase_add_test(tests, a_forged_region_is_not_believed);
    tcase_add_test(tests, a_region_too_large_for_memory_is_refused_with_a_sentence);
    suite_add_tcase(suite, tests);
    return suite;
}
