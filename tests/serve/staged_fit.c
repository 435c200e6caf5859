/*
 * staged_fit.c - what a chain takes and gives follows from its stages' models, and what does not fit is refused. Models
 * are made by hand; tests/daemon/chains.c has more that is wrong, in files.
 */
#include "serve/staged_fit.h"

#include "base/err.h"
#include "serve/staged.h"

#include <check.h>

Suite *serve_staged_fit_suite(void);

static struct percept_io ins[3][2], outs[3][2];
static struct served models[3], chain;
static struct manifest plain, said;
static struct stage_link in[3][2], out[3][2];
static struct stage stage_list[3];
static struct stages stages;
static struct percept_err err;

static struct percept_io io(const char *name, int64_t a, int64_t b)
{
    return (struct percept_io){.name = name, .dtype = PERCEPT_FLOAT, .rank = 2, .dims = {a, b}};
}

/* A model with one input "x" and one output "y", and a stage that runs it. */
static void add(int i, const char *name, int64_t width, const char *from, const char *to)
{
    ins[i][0] = io("x", -1, width);
    outs[i][0] = io("y", -1, width);
    models[i] = (struct served){.name = name,
                                .version = 1,
                                .state = SERVED_READY,
                                .manifest = &plain,
                                .next = i ? &models[i - 1] : NULL,
                                .own_inputs = ins[i],
                                .own_outputs = outs[i],
                                .n_own_inputs = 1,
                                .n_own_outputs = 1};
    in[i][0] = (struct stage_link){"x", from};
    out[i][0] = (struct stage_link){"y", to};
    stage_list[i] = (struct stage){.model = name, .n_inputs = 1, .n_outputs = 1, .inputs = in[i], .outputs = out[i]};
    stages.n = i + 1;
}

static void setup(void)
{
    err = (struct percept_err){0};
    stages = (struct stages){.at = stage_list};
    said = plain = (struct manifest){.path = "whole/manifest.json"};
    said.stages = &stages;
    chain = (struct served){
        .name = "whole", .path = "whole/manifest.json", .version = 1, .manifest = &said, .max_batch_size = 1};
}

static void teardown(void)
{
    arena_free(&chain.arena);
}

static bool open_all(void)
{
    return staged_fit_open(&chain, &err) && depends_bind(&chain, &models[stages.n - 1], &err);
}

static void expect_refused(const char *why)
{
    ck_assert(!open_all());
    ck_assert_str_eq(err.text, why);
    ck_assert_int_eq(err.code, ERR_CONFIG);
}

START_TEST(ends_are_those_of_its_models)
{
    add(0, "a", 3, "picture", "middle");
    add(1, "b", 3, "middle", "answer");
    ck_assert_msg(open_all(), "%s", err.text);
    ck_assert_int_eq(chain.n_own_inputs, 1);
    ck_assert_str_eq(chain.own_inputs[0].name, "picture");
    ck_assert_int_eq(chain.own_inputs[0].dims[1], 3);
    ck_assert_int_eq(chain.n_own_outputs, 1);
    ck_assert_str_eq(chain.own_outputs[0].name, "answer");
    ck_assert_int_eq(chain.staged->depth, 1);
    ck_assert_ptr_nonnull(chain.begin);
}
END_TEST

START_TEST(free_dims_and_unknown_ranks_fit_anything)
{
    add(0, "a", -1, "x", "m");
    add(1, "b", 3, "m", "y");
    add(2, "c", 5, "y", "z");
    ins[2][0].rank = -1;
    ck_assert_msg(open_all(), "%s", err.text);
}
END_TEST

START_TEST(what_does_not_fit_is_refused_with_both_sides)
{
    add(0, "a", 3, "x", "m");
    add(1, "b", 4, "m", "y");
    expect_refused("whole/manifest.json: 'm' is FP32 [-1,3] as 'y' of 'a', and FP32 [-1,4] as 'x' of 'b'");
    ins[1][0] = io("x", -1, 3);
    ins[1][0].dtype = PERCEPT_INT64;
    expect_refused("whole/manifest.json: 'm' is FP32 [-1,3] as 'y' of 'a', and INT64 [-1,3] as 'x' of 'b'");
    ins[1][0].dtype = PERCEPT_FLOAT;
    ins[1][0].rank = 1;
    expect_refused("whole/manifest.json: 'm' is FP32 [-1,3] as 'y' of 'a', and FP32 [-1] as 'x' of 'b'");
}
END_TEST

START_TEST(inputs_that_the_model_knows_need_not_be_given)
{
    struct manifest_input constant = {.name = "k", .kind = MANIFEST_CONSTANT};
    struct manifest knows = plain;
    knows.n_inputs = 1;
    knows.inputs = &constant;
    add(0, "a", 3, "x", "y");
    ins[0][1] = io("k", 1, 1);
    models[0].n_own_inputs = 2;
    expect_refused("whole/manifest.json: stage 'a': nothing is given to input 'k' of model 'a'");
    models[0].manifest = &knows;
    ck_assert_msg(open_all(), "%s", err.text);
    ck_assert_int_eq(chain.staged->at[0].inputs[1], -1);
}
END_TEST

START_TEST(chains_nest_four_deep)
{
    struct staged inner = {.depth = STAGED_DEPTH_MAX - 1};
    add(0, "a", 3, "x", "y");
    models[0].staged = &inner;
    ck_assert_msg(open_all(), "%s", err.text);
    ck_assert_int_eq(chain.staged->depth, STAGED_DEPTH_MAX);
    inner.depth = STAGED_DEPTH_MAX;
    expect_refused("whole/manifest.json: its stage 'a' is a chain 4 deep; chains of chains are served 4 deep at most");
}
END_TEST

START_TEST(all_may_be_used_inside)
{
    add(0, "a", 3, "x", "m");
    add(1, "b", 3, "m", "m2");
    in[0][0].value = "m2";
    ck_assert(!open_all());
    ck_assert_ptr_nonnull(strstr(err.text, "a circle"));
}
END_TEST

START_TEST(a_chain_is_no_network)
{
    add(0, "a", 3, "x", "y");
    chain.path = "whole/model.onnx";
    expect_refused("whole/manifest.json: a chain has no model of its own, and there is one: move it to another folder, "
                   "and name it in a stage");
    chain.path = "whole/manifest.json";
    said.generate.given = true;
    expect_refused("whole/manifest.json: a chain has stages, and no 'generate'");
}
END_TEST

START_TEST(what_the_manifest_says_of_its_ends_is_judged)
{
    struct manifest_input text = {.name = "z", .kind = MANIFEST_TEXT};
    add(0, "a", 3, "x", "y");
    said.n_inputs = 1;
    said.inputs = &text;
    expect_refused("whole/manifest.json: the model has no input 'z'; it has x");
    said.n_inputs = 0;
    said.task = TASK_CLASSIFY;
    said.task_output = "z";
    expect_refused("whole/manifest.json: the model has no output 'z'; it has y");
    said.task_output = "y";
    ck_assert_msg(open_all(), "%s", err.text);
}
END_TEST

START_TEST(short_memory_is_told)
{
    bool opened = false;
    add(0, "a", 3, "x", "m");
    add(1, "b", 3, "m", "y");
    for (size_t nth = 1; nth < 60 && !opened; nth++) {
        chain = (struct served){
            .name = "whole", .path = "whole/manifest.json", .version = 1, .manifest = &said, .max_batch_size = 1};
        arena_fail_at(nth, false);
        opened = open_all();
        arena_fail_at(0, false);
        ck_assert_msg(opened || err.code == ERR_MEMORY, "%s", err.text);
        if (!opened)
            arena_free(&chain.arena);
    }
    ck_assert(opened);
}
END_TEST

Suite *serve_staged_fit_suite(void)
{
    Suite *suite = suite_create("serve/staged_fit");
    TCase *tests = tcase_create("staged_fit");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, ends_are_those_of_its_models);
    tcase_add_test(tests, free_dims_and_unknown_ranks_fit_anything);
    tcase_add_test(tests, what_does_not_fit_is_refused_with_both_sides);
    tcase_add_test(tests, inputs_that_the_model_knows_need_not_be_given);
    tcase_add_test(tests, chains_nest_four_deep);
    tcase_add_test(tests, all_may_be_used_inside);
    tcase_add_test(tests, a_chain_is_no_network);
    tcase_add_test(tests, what_the_manifest_says_of_its_ends_is_judged);
    tcase_add_test(tests, short_memory_is_told);
    suite_add_tcase(suite, tests);
    return suite;
}
