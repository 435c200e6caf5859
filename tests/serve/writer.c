/* writer.c - bytes behind each other, and JSON's texts. */
#include "serve/writer.h"

#include <check.h>

Suite *serve_writer_suite(void);

static struct arena arena;

static struct writer writer_of(size_t room)
{
    struct writer w = {.arena = &arena, .room = room};
    w.at = arena_alloc(&arena, room);
    return w;
}

static void expect(const struct writer *w, const char *text)
{
    ck_assert(!w->failed);
    ck_assert_msg(bytes_is(bytes_of(w->at, w->used), text), "%.*s", (int)w->used, w->at);
}

START_TEST(a_buffer_grows_as_it_is_written)
{
    struct writer w = writer_of(4);
    for (int i = 0; i < 100; i++)
        writer_put(&w, "abc");
    ck_assert_uint_eq(w.used, 300);
    for (int i = 0; i < 300; i++)
        ck_assert_int_eq(w.at[i], "abc"[i % 3]);
    arena_free(&arena);
}
END_TEST

START_TEST(numbers_and_texts_are_jsons)
{
    struct writer w = writer_of(1);
    writer_int(&w, -12);
    writer_put(&w, ",");
    writer_floats(&w, (float[]){1.5f}, 1);
    writer_floats(&w, (float[]){0.5f, -2}, 2);
    writer_put(&w, ",");
    writer_float(&w, 0.1f);
    writer_put(&w, ",");
    writer_string(&w, "a\"\\\n\x01");
    expect(&w, "-12,[1.5][0.5,-2.0],0.1,\"a\\\"\\\\\\n\\u0001\"");
    arena_free(&arena);
}
END_TEST

START_TEST(what_is_no_utf8_becomes_its_replacement)
{
    struct writer w = writer_of(1);
    writer_text(&w, bytes_of("\xff\xc3\xa9\xc3", 4));
    expect(&w, "\"\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\"");
    arena_free(&arena);
}
END_TEST

START_TEST(a_failure_lasts)
{
    struct writer w = writer_of(4);
    arena.limit_bytes = arena.used_bytes + 8;
    writer_put(&w, "more than there is room for");
    ck_assert(w.failed);
    arena.limit_bytes = 0;
    writer_put(&w, "a");
    writer_int(&w, 1);
    writer_string(&w, "b");
    ck_assert(w.failed);
    ck_assert_uint_eq(w.used, 0);
    arena_free(&arena);
}
END_TEST

START_TEST(nothing_is_written_when_nobody_waits)
{
    static int cancel = 1;
    struct watch watch = {.cancel = &cancel};
    struct writer w = writer_of(64);
    w.watch = &watch;
    ck_assert(!writer_spend(&w, 1));
    ck_assert(w.failed);
    ck_assert_ptr_null(writer_reserve(&w, 1));
    arena_free(&arena);
}
END_TEST

Suite *serve_writer_suite(void)
{
    Suite *suite = suite_create("serve/writer");
    TCase *tests = tcase_create("writer");
    tcase_add_test(tests, a_buffer_grows_as_it_is_written);
    tcase_add_test(tests, numbers_and_texts_are_jsons);
    tcase_add_test(tests, what_is_no_utf8_becomes_its_replacement);
    tcase_add_test(tests, a_failure_lasts);
    tcase_add_test(tests, nothing_is_written_when_nobody_waits);
    suite_add_tcase(suite, tests);
    return suite;
}
