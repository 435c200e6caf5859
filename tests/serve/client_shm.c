/* client_shm.c - tests of serve/client_shm.c: what may be registered, and tables that last while they are held. */
#include "serve/client_shm.h"

#include "base/arena.h"
#include "base/err.h"
#include "shm_object.h"

#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>

Suite *serve_client_shm_suite(void);

static struct client_shm *shm;
static struct shm_object object;
static struct percept_err err;

static void start(void)
{
    err = (struct percept_err){0};
    object = shm_object_new('a', "0123456789", 10);
    shm = client_shm_new(SHM_OBJECT_PREFIX, "perceptd", &err);
    ck_assert_ptr_nonnull(shm);
}

static void end(void)
{
    client_shm_free(shm);
    shm_object_free(&object);
}

static int n_descriptors(void)
{
    int n = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static bool add(const char *name, const char *key, uint64_t offset, uint64_t n_bytes)
{
    return client_shm_register(shm, name, bytes_of_text(key), offset, n_bytes, &err);
}

static const struct client_shm_region *find(const char *name)
{
    struct client_shm_table *table = client_shm_hold(shm);
    const struct client_shm_region *found = client_shm_find(table, bytes_of_text(name), &err);
    client_shm_release(table);
    return found;
}

START_TEST(regions_are_found_by_name_and_read)
{
    char text[5] = "";
    start();
    ck_assert_msg(add("mid", object.key, 2, 8), "%s", err.text);
    ck_assert(add("a", object.key + 1, 0, 10)); /* without the slash */
    ck_assert(add("z", object.key, 9, 1));
    ck_assert(add("mi", object.key, 0, 1));
    ck_assert(add("", object.key, 0, 3)); /* before all others */
    ck_assert(add("0", object.key, 0, 4));
    ck_assert_str_eq(find("mid")->name, "mid");
    ck_assert_str_eq(find("mid")->key, object.key);
    ck_assert_uint_eq(find("a")->n_bytes, 10);
    ck_assert_uint_eq(find("mi")->n_bytes, 1);
    ck_assert_uint_eq(find("")->n_bytes, 3);
    ck_assert_uint_eq(find("0")->n_bytes, 4);
    ck_assert_ptr_null(find("midd"));
    ck_assert_str_eq(err.text, "Unable to find system shared memory region: 'midd'");
    ck_assert(client_shm_read(find("mid"), 1, text, 4, NULL, &err));
    ck_assert_str_eq(text, "3456");
    ck_assert(client_shm_write(find("mid"), 7, "x", 1, NULL, &err));
    shm_object_read(&object, 9, text, 1);
    ck_assert_int_eq(text[0], 'x');
    end();
}
END_TEST

START_TEST(what_lies_outside_is_refused)
{
    char text[16];
    start();
    ck_assert(add("r", object.key, 2, 4));
    static const struct {
        uint64_t offset, n_bytes;
        const char *says;
    } rows[] = {
        {5, 0, "Invalid offset for shared memory region: 'r'"},
        {UINT64_MAX, 1, "Invalid offset for shared memory region: 'r'"},
        {0, 5, "Invalid offset + byte size for shared memory region: 'r'"},
        {4, 1, "Invalid offset + byte size for shared memory region: 'r'"},
        {1, UINT64_MAX, "Invalid offset + byte size for shared memory region: 'r'"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ck_assert(!client_shm_fits(find("r"), rows[i].offset, rows[i].n_bytes, &err));
        ck_assert_str_eq(err.text, rows[i].says);
        ck_assert(!client_shm_read(find("r"), rows[i].offset, text, (size_t)rows[i].n_bytes, NULL, &err));
        ck_assert(!client_shm_write(find("r"), rows[i].offset, text, (size_t)rows[i].n_bytes, NULL, &err));
    }
    ck_assert(client_shm_fits(find("r"), 4, 0, &err));
    end();
}
END_TEST

static const struct {
    const char *key; /* NULL: the object's */
    uint64_t offset, n_bytes;
    const char *says;
} refused[] = {
    {NULL, 0, 11, "failed to register shared memory region 'r': invalid args"},
    {NULL, 11, 1, "failed to register shared memory region 'r': invalid args"},
    {NULL, UINT64_MAX, 2, "failed to register shared memory region 'r': invalid args"},
    {NULL, 2, UINT64_MAX, "failed to register shared memory region 'r': invalid args"},
    {NULL, 0, 0, "failed to register shared memory region 'r': invalid args"},
    {"/test-shm-none", 0, 1, "Unable to open shared memory region: '/test-shm-none'"},
    {"/other-1", 0, 1, "cannot register shared memory region 'r' - invalid shm key '/other-1'"},
    {"", 0, 1, "cannot register shared memory region 'r' - invalid shm key"},
    {"/", 0, 1, "cannot register shared memory region 'r' - invalid shm key"},
    {"//test-shm-a", 0, 1, "cannot register shared memory region 'r' - invalid shm key"},
    {"/test-shm-/../x", 0, 1, "cannot register shared memory region 'r' - invalid shm key"},
    {"/../test-shm-a", 0, 1, "cannot register shared memory region 'r' - invalid shm key"},
    {"/perceptd-0-abc", 0, 1, "cannot register shared memory region 'r' - invalid shm key"},
    {"triton_python_backend_shm_region_1", 0, 1, "cannot register shared memory region 'r' - invalid shm key"},
};

START_TEST(what_may_not_be_registered_has_a_sentence)
{
    start();
    int n = n_descriptors();
    ck_assert(!add("r", refused[_i].key ? refused[_i].key : object.key, refused[_i].offset, refused[_i].n_bytes));
    ck_assert_int_eq(err.code, ERR_INVALID);
    ck_assert_msg(strstr(err.text, refused[_i].says) == err.text, "%s", err.text);
    ck_assert_ptr_null(find("r"));
    ck_assert_int_eq(n_descriptors(), n);
    end();
}
END_TEST

START_TEST(a_list_of_prefixes_is_each_of_them)
{
    start();
    client_shm_free(shm);
    shm = client_shm_new("nothing-,x," SHM_OBJECT_PREFIX, "perceptd", &err);
    ck_assert_msg(shm != NULL && add("r", object.key, 0, 1), "%s", err.text);
    ck_assert(!add("s", "/nothing", 0, 1));
    ck_assert_msg(strstr(err.text, "invalid shm key") != NULL, "%s", err.text);
    ck_assert(!add("s", "/,x", 0, 1));
    ck_assert_msg(strstr(err.text, "invalid shm key") != NULL, "%s", err.text);
    static const char *const bad[] = {"", ",", "a,", ",a", "a,,b", "a/b", "a,perceptd-x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_msg(!client_shm_new(bad[i], "perceptd", &err), "'%s'", bad[i]);
        ck_assert_int_eq(err.code, ERR_CONFIG);
    }
    end();
}
END_TEST

START_TEST(our_own_and_reserved_objects_are_refused_whatever_the_prefix)
{
    start();
    client_shm_free(shm);
    shm = client_shm_new("p", "perceptd", &err);
    ck_assert(!add("r", "/perceptd-0-abc", 0, 1));
    ck_assert_msg(strstr(err.text, "invalid shm key") != NULL, "%s", err.text);
    client_shm_free(shm);
    shm = client_shm_new("triton", "perceptd", &err);
    ck_assert(!add("r", "triton_python_backend_shm_region_1", 0, 1));
    ck_assert_msg(strstr(err.text, "invalid shm key") != NULL, "%s", err.text);
    ck_assert_ptr_null(client_shm_new("perceptd-x", "perceptd", &err));
    ck_assert_int_eq(err.code, ERR_CONFIG);
    end();
}
END_TEST

START_TEST(a_nul_byte_ends_no_key)
{
    start();
    char key[80];
    size_t n = (size_t)snprintf(key, sizeof key, "%s%cx", object.key, 0);
    ck_assert(!client_shm_register(shm, "r", bytes_of(key, n), 0, 1, &err));
    end();
}
END_TEST

START_TEST(a_name_is_registered_once_and_unregistered_often)
{
    start();
    ck_assert(add("r", object.key, 0, 10));
    ck_assert(!add("r", object.key, 0, 5));
    ck_assert_str_eq(err.text, "shared memory region 'r' already in manager");
    ck_assert(client_shm_unregister(shm, "none", &err));
    ck_assert(client_shm_unregister(shm, "r", &err));
    ck_assert(client_shm_unregister(shm, "r", &err));
    ck_assert(add("r", object.key, 0, 5));
    ck_assert(add("s", object.key, 0, 5));
    ck_assert(client_shm_unregister(shm, NULL, &err));
    ck_assert_ptr_null(find("r"));
    ck_assert_ptr_null(find("s"));
    end();
}
END_TEST

START_TEST(who_holds_a_table_can_use_what_was_unregistered)
{
    char text[3] = "";
    start();
    ck_assert(add("r", object.key, 0, 10));
    struct client_shm_table *table = client_shm_hold(shm);
    const int n = n_descriptors();
    ck_assert(client_shm_unregister(shm, "r", &err));
    ck_assert(add("r", object.key, 5, 5)); /* another one of that name */
    const struct client_shm_region *old = client_shm_find(table, bytes_of_text("r"), &err);
    ck_assert(client_shm_read(old, 0, text, 2, NULL, &err));
    ck_assert_str_eq(text, "01");
    ck_assert_int_eq(n_descriptors(), n + 1);
    client_shm_release(table);
    ck_assert_int_eq(n_descriptors(), n);
    ck_assert(client_shm_read(find("r"), 0, text, 2, NULL, &err));
    ck_assert_str_eq(text, "56");
    end();
}
END_TEST

START_TEST(a_quarter_of_the_descriptors_is_left_to_others)
{
    const struct rlimit few = {40, 40};
    char name[20];
    start();
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
    int n = 0;
    while (snprintf(name, sizeof name, "r%d", n) && add(name, object.key, 0, 1))
        n++;
    ck_assert_int_eq(err.code, ERR_UNAVAILABLE);
    ck_assert_msg(strstr(err.text, "descriptors are short") != NULL, "%s", err.text);
    ck_assert_int_lt(n, 30);
    ck_assert_int_gt(n, 0);
    end();
}
END_TEST

START_TEST(there_are_so_many_and_no_more)
{
    char name[20];
    start();
    int i = 0;
    for (; i < CLIENT_SHM_REGIONS && snprintf(name, sizeof name, "r%d", i) && add(name, object.key, 0, 1); i++)
        ;
    ck_assert(!add("more", object.key, 0, 1));
    ck_assert(i < CLIENT_SHM_REGIONS ? err.code == ERR_UNAVAILABLE /* descriptors are few */
                                     : strstr(err.text, "there are 1024 already") != NULL);
    ck_assert(client_shm_unregister(shm, NULL, &err));
    ck_assert(add("more", object.key, 0, 1));
    end();
}
END_TEST

START_TEST(only_requests_that_may_name_a_region_concern_a_table)
{
    start();
    struct client_shm_table *none = client_shm_hold(shm);
    ck_assert(add("r", object.key, 0, 1));
    struct client_shm_table *some = client_shm_hold(shm);
    const struct bytes plain = bytes_of_text("{\"inputs\":[]}"),
                       asks = bytes_of_text("{\"shared_memory_region\":\"r\"}"),
                       escaped = bytes_of_text("{\"shared\\u005fmemory_region\":\"r\"}");
    ck_assert(!client_shm_concerns(NULL, asks));
    ck_assert(!client_shm_concerns(none, asks));
    ck_assert(!client_shm_concerns(some, plain));
    ck_assert(!client_shm_concerns(some, (struct bytes){0}));
    ck_assert(client_shm_concerns(some, asks));
    ck_assert(client_shm_concerns(some, escaped));
    client_shm_release(none);
    client_shm_release(some);
    end();
}
END_TEST

START_TEST(memory_may_be_short_anywhere)
{
    start();
    const int n = n_descriptors();
    for (int unregister = 0; unregister < 2; unregister++) {
        bool good = false;
        for (size_t nth = 1; !good; nth++) {
            ck_assert_uint_lt(nth, 10);
            arena_fail_at(nth, false);
            good = unregister ? client_shm_unregister(shm, NULL, &err) : add("r", object.key, 0, 1);
            arena_fail_at(0, false);
            ck_assert(good || err.code == ERR_MEMORY);
            ck_assert_int_eq(find("r") != NULL, good != (unregister == 1));
        }
    }
    ck_assert_int_eq(n_descriptors(), n);
    end();
}
END_TEST

Suite *serve_client_shm_suite(void)
{
    Suite *suite = suite_create("serve/client_shm");
    TCase *tcase = tcase_create("client_shm");
    tcase_add_test(tcase, regions_are_found_by_name_and_read);
    tcase_add_test(tcase, what_lies_outside_is_refused);
    tcase_add_loop_test(tcase, what_may_not_be_registered_has_a_sentence, 0, sizeof refused / sizeof *refused);
    tcase_add_test(tcase, a_list_of_prefixes_is_each_of_them);
    tcase_add_test(tcase, our_own_and_reserved_objects_are_refused_whatever_the_prefix);
    tcase_add_test(tcase, a_nul_byte_ends_no_key);
    tcase_add_test(tcase, a_name_is_registered_once_and_unregistered_often);
    tcase_add_test(tcase, who_holds_a_table_can_use_what_was_unregistered);
    tcase_add_test(tcase, a_quarter_of_the_descriptors_is_left_to_others);
    tcase_add_test(tcase, there_are_so_many_and_no_more);
    tcase_add_test(tcase, only_requests_that_may_name_a_region_concern_a_table);
    tcase_add_test(tcase, memory_may_be_short_anywhere);
    suite_add_tcase(suite, tcase);
    return suite;
}
