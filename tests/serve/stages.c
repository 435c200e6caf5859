/* stages.c - who needs what of a chain's stages, and what cannot be. */
#include "serve/stages.h"

#include "base/err.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

Suite *serve_stages_suite(void);

static struct arena arena;
static struct stages stages;
static struct stages_plan plan;
static struct percept_err err;

/* "m:a,b>c,d m:..." as stages; an input's or output's name is the value's. */
static void read_stages(const char *text)
{
    char *copy = arena_text(&arena, text, strlen(text)), *rest = copy;
    stages = (struct stages){.at = arena_array(&arena, 200, sizeof(struct stage))};
    for (char *one; (one = strsep(&rest, " "));) {
        struct stage *stage = &stages.at[stages.n++];
        stage->model = strsep(&one, ":");
        char *inputs = strsep(&one, ">");
        stage->inputs = arena_array(&arena, 16, sizeof *stage->inputs);
        stage->outputs = arena_array(&arena, 16, sizeof *stage->outputs);
        for (char *name; inputs && *inputs && (name = strsep(&inputs, ","));)
            stage->inputs[stage->n_inputs++] = (struct stage_link){name, name};
        for (char *name; one && *one && (name = strsep(&one, ","));)
            stage->outputs[stage->n_outputs++] = (struct stage_link){name, name};
    }
}

static void setup(void)
{
    err = (struct percept_err){0};
}

static void teardown(void)
{
    arena_free(&arena);
}

START_TEST(values_know_who_makes_and_who_uses_them)
{
    read_stages("join:left,right>y left:x>left right:x,k>right,rest");
    ck_assert_msg(stages_plan(&stages, &arena, &plan, &err), "%s", err.text);
    static const struct {
        const char *name;
        int maker, n_uses;
    } expected[] = {{"left", 1, 1}, {"right", 2, 1}, {"y", 0, 0}, {"x", -1, 2}, {"k", -1, 1}, {"rest", 2, 0}};
    ck_assert_int_eq(plan.n_values, 6);
    for (int i = 0; i < 6; i++) {
        ck_assert_int_eq(stages_value(&plan, expected[i].name), i);
        ck_assert_int_eq(plan.values[i].maker, expected[i].maker);
        ck_assert_int_eq(plan.values[i].n_uses, expected[i].n_uses);
    }
    ck_assert_int_eq(stages_value(&plan, "z"), -1);
    ck_assert_int_eq(plan.inputs[0][1], 1);
    ck_assert_int_eq(plan.outputs[2][1], 5);
}
END_TEST

static const struct {
    const char *stages, *why;
} wrong[] = {
    {"a:>y", "stage 'a' has no inputs"},
    {"a:x>", "stage 'a' has no outputs"},
    {"a:x,x>y", "stage 'a': input 'x' is given twice"},
    {"a:x>y b:x>y", "'y' is made twice, by stage 'a' and by 'b'"},
    {"a:x>y,y", "'y' is made twice, by stage 'a' and by 'a'"},
    {"a:x>x", "stage 'a' needs 'x', which it makes itself: a circle"},
    {"a:x,q>y b:y>p c:p>q", ": a circle"},
    {"z:y>end a:x,q>y b:y>p c:p>q", ": a circle"},
};

START_TEST(what_cannot_be_is_refused)
{
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        read_stages(wrong[i].stages);
        ck_assert(!stages_plan(&stages, &arena, &plan, &err));
        ck_assert_int_eq(err.code, ERR_CONFIG);
        ck_assert_msg(strstr(err.text, wrong[i].why), "%s: %s", wrong[i].stages, err.text);
        ck_assert_msg(!strstr(err.text, "stage 'z'"), "'z' waits, but is in no circle: %s", err.text);
    }
    stages.n = 0;
    ck_assert(!stages_plan(&stages, &arena, &plan, &err));
    ck_assert_str_eq(err.text, "there is no stage");
}
END_TEST

START_TEST(there_are_64_stages_at_most)
{
    char text[4096] = "";
    for (int i = 0; i <= STAGES_MAX; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%sm:v%d>v%d", i ? " " : "", i, i + 1);
    read_stages(text);
    ck_assert(!stages_plan(&stages, &arena, &plan, &err));
    ck_assert_str_eq(err.text, "there are 65 stages; at most 64 are served");
    stages.n--;
    ck_assert_msg(stages_plan(&stages, &arena, &plan, &err), "%s", err.text);
}
END_TEST

START_TEST(short_memory_is_told)
{
    bool planned = false;
    for (size_t nth = 1; nth < 20 && !planned; nth++) {
        struct arena own = {0};
        read_stages("a:x>y b:y>z");
        arena_fail_at(nth, false);
        planned = stages_plan(&stages, &own, &plan, &err);
        arena_fail_at(0, false);
        ck_assert(planned || err.code == ERR_MEMORY);
        arena_free(&own);
    }
    ck_assert(planned);
}
END_TEST

Suite *serve_stages_suite(void)
{
    Suite *suite = suite_create("serve/stages");
    TCase *tests = tcase_create("stages");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, values_know_who_makes_and_who_uses_them);
    tcase_add_test(tests, what_cannot_be_is_refused);
    tcase_add_test(tests, there_are_64_stages_at_most);
    tcase_add_test(tests, short_memory_is_told);
    suite_add_tcase(suite, tests);
    return suite;
}
