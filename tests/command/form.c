/* form.c - tests of command/form.c: which form a result has, what its file is called, what is printed. */
#include "command/form.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

static struct manifest manifest;
static struct served served = {.name = "m", .manifest = &manifest};
static struct arena arena;
static struct options options;

static void begin(void)
{
    manifest = (struct manifest){.task = TASK_CLASSIFY};
    options = (struct options){.command = OPTIONS_RUN};
    arena = (struct arena){0};
}

static void end(void)
{
    arena_free(&arena);
}

static struct form choose(bool many)
{
    struct form form;
    struct percept_err err;
    ck_assert_msg(form_choose(&form, &options, &served, many, &err), "%s", err.text);
    return form;
}

static const char *path_of(const char *name)
{
    const struct form form = choose(true);
    return form_path(&form, form_of(&form, &served, name), name, &arena);
}

START_TEST(the_task_says_what_most_want)
{
    static const struct {
        enum manifest_task task;
        const char *printed, *written;
    } rows[] = {{TASK_CLASSIFY, "text/plain", "text/plain"},
                {TASK_DETECT, "text/plain", "image/png"},
                {TASK_IMAGE, "application/json", "image/png"},
                {TASK_NONE, "application/json", "application/json"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        manifest.task = rows[i].task;
        options.output = NULL;
        ck_assert_str_eq(choose(true).encoder->media_type, rows[i].printed);
        options.output = "/no/such/folder/";
        ck_assert_str_eq(choose(false).encoder->media_type, rows[i].written);
    }
}
END_TEST

START_TEST(results_are_called_like_their_files)
{
    options.output = "/no";
    ck_assert_str_eq(path_of("a/b.png"), "/no/a/b.png.txt");
    manifest.task = TASK_DETECT;
    ck_assert_str_eq(path_of("b.png"), "/no/b.png");
    ck_assert_str_eq(path_of("b.JPG"), "/no/b.JPG");
    ck_assert_str_eq(path_of("b.jpeg"), "/no/b.jpeg");
    ck_assert_str_eq(path_of("b.webp"), "/no/b.webp.png");
    ck_assert_str_eq(path_of("b"), "/no/b.png");
    options.csv = true;
    ck_assert_str_eq(path_of("b.png"), "/no/b.png.csv");
}
END_TEST

START_TEST(a_table_has_one_head)
{
    const struct form form = {.print = FORM_CSV};
    struct text text = {.arena = &arena};
    const struct bytes table = bytes_of_text("item,label\r\n0,\"a\r\nb\"\r\n1,c\r\n");
    form_print(&text, &form, "x\"y", table, true);
    form_print(&text, &form, "z", table, false);
    text_bytes(&text, "", 1);
    ck_assert_str_eq(text.at, "file,item,label\r\n\"x\"\"y\",0,\"a\r\nb\"\r\n\"x\"\"y\",1,c\r\n"
                              "\"z\",0,\"a\r\nb\"\r\n\"z\",1,c\r\n");
}
END_TEST

START_TEST(lines_for_people_are_plain)
{
    const struct form form = {.print = FORM_LINES, .titled = true};
    struct text text = {.arena = &arena};
    form_print(&text, &form, "x\x1b", bytes_of_text("a\x1b 1\n\nb 2"), true);
    text_bytes(&text, "", 1);
    ck_assert_str_eq(text.at, "x\\u001b\n  a\\u001b 1\n  \n  b 2\n");
}
END_TEST

Suite *command_form_suite(void);

Suite *command_form_suite(void)
{
    Suite *suite = suite_create("command_form");
    TCase *tests = tcase_create("form");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, the_task_says_what_most_want);
    tcase_add_test(tests, results_are_called_like_their_files);
    tcase_add_test(tests, a_table_has_one_head);
    tcase_add_test(tests, lines_for_people_are_plain);
    suite_add_tcase(suite, tests);
    return suite;
}
