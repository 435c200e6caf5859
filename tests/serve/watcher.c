/* watcher.c - it looks by itself: at once, and after what the kernel has told. What is done then is repository.c's. */
#include "serve/watcher.h"

#include "folder.h"

#include <check.h>

Suite *serve_watcher_suite(void);

static struct settings settings;
static struct loop *loop;
static struct catalog *catalog;
static struct repository *repository;
static struct watcher *watcher;

static void begin(void)
{
    struct percept_err err;
    folder_begin("watcher");
    settings = (struct settings){.workers = 1, .private_regions = true, .max_batch_size = 16};
    loop = loop_new(1, &err);
    catalog = loop ? catalog_new(loop, &settings, &err) : NULL;
    repository = catalog ? repository_new(loop, catalog, &settings, &err) : NULL;
    ck_assert_ptr_nonnull(repository);
}

static void nothing(void *user)
{
    (void)user;
}

static void end(void)
{
    watcher_free(watcher);
    watcher_free(NULL);
    catalog_drain(catalog, nothing, NULL);
    loop_run(loop);
    catalog_free(catalog);
    repository_free(repository);
    loop_free(loop);
    folder_end();
}

/* Stops the loop when the model has been seen to be there, or not to be. */
static void stop_when_seen(void *user)
{
    const char *name = user;
    if (survey_find(repository_seen(repository), name, 1))
        loop_stop(loop);
}

static void watch(int interval_ms)
{
    struct percept_err err;
    folder_files("repo/a/model.onnx");
    repository_add(repository, folder_at("repo"), &err);
    loop_on_turn(loop, stop_when_seen, "b");
    watcher = watcher_new(loop, repository, interval_ms, &err);
    ck_assert_msg(watcher != NULL, "%s", err.text);
}

static void on_first_look(void *user)
{
    struct loop_timer **timer = user;
    folder_files("repo/b/model.onnx");
    loop_timer_free(*timer);
}

/* The interval is a day: it is the kernel that tells. */
START_TEST(a_change_is_seen_when_the_kernel_tells)
{
    static struct loop_timer *timer;
    watch(86400000);
    timer = loop_timer_new(loop, on_first_look, &timer);
    loop_timer_start(timer, INT64_C(50000000)); /* behind the first look, which follows the folders; or before it */
    loop_run(loop);
    ck_assert_ptr_nonnull(survey_find(repository_seen(repository), "b", 1));
}
END_TEST

START_TEST(without_a_word_it_looks_after_the_interval)
{
    watch(10);
    folder_files("repo/b/model.onnx");
    loop_run(loop);
    ck_assert_ptr_nonnull(survey_find(repository_seen(repository), "b", 1));
}
END_TEST

START_TEST(without_memory_there_is_none)
{
    struct percept_err err;
    bool made = false;
    for (size_t nth = 1; !made; nth++) {
        ck_assert_uint_lt(nth, 20);
        arena_fail_at(nth, false);
        watcher = watcher_new(loop, repository, 1000, &err);
        arena_fail_at(0, false);
        made = watcher != NULL;
        if (!made)
            loop_run(loop);
    }
}
END_TEST

Suite *serve_watcher_suite(void)
{
    Suite *suite = suite_create("serve/watcher");
    TCase *tests = tcase_create("watcher");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, a_change_is_seen_when_the_kernel_tells);
    tcase_add_test(tests, without_a_word_it_looks_after_the_interval);
    tcase_add_test(tests, without_memory_there_is_none);
    suite_add_tcase(suite, tests);
    return suite;
}
