/* generate_step.c - what of a step's outputs is read. Steps themselves are played by tests/daemon/generating.c. */
#include "serve/generate_step.h"

#include "base/err.h"
#include "fake_model.h"
#include "serve/states.h"

#include <check.h>
#include <string.h>

Suite *serve_generate_step_suite(void);

static struct fake_model *fake;
static struct arena arena;

static void setup(void)
{
    fake = fake_model_new("m");
    fake_model_input(fake, "ids", PERCEPT_INT64, 2, (int64_t[]){-1, -1});
    fake_model_describe(fake, MANIFEST_TEXT)->text.end = 7;
    fake_model_input(fake, "h", PERCEPT_FLOAT, 1, (int64_t[]){-1});
    fake_model_output(fake, "hn", PERCEPT_FLOAT, 1, (int64_t[]){-1});
    fake_model_output(fake, "scores", PERCEPT_FLOAT, 3, (int64_t[]){-1, -1, 2});
    fake->manifest.generate = (struct manifest_generate){.given = true, .input = "ids", .output = "scores"};
    fake->manifest.sequence = (struct manifest_sequence){
        .given = true, .n_states = 1, .states = &(struct manifest_state){.input = "h", .output = "hn"}};
    ck_assert(states_new(&fake->served, &arena, &fake->served.states, NULL));
}

static void teardown(void)
{
    arena_free(&arena);
    fake_model_free(fake);
}

START_TEST(names_lead_to_inputs_and_outputs)
{
    int at;
    ck_assert_str_eq(generate_step_input(&fake->served, "h", &at)->name, "h");
    ck_assert_int_eq(at, 1);
    ck_assert_ptr_null(generate_step_input(&fake->served, "hn", &at));
    ck_assert_str_eq(generate_step_output(&fake->served, "scores", &at)->name, "scores");
    ck_assert_int_eq(at, 1);
    ck_assert_int_eq(generate_step_text(&fake->served)->end, 7);
    fake->manifest.generate.input = "h";
    ck_assert_ptr_null(generate_step_text(&fake->served));
}
END_TEST

START_TEST(of_scores_the_last_row_counts)
{
    float rows[] = {1, 2, 3, 4, 5, 6};
    struct percept_tensor results[2] = {{0}, {.dtype = PERCEPT_FLOAT, .rank = 3, .dims = {1, 3, 2}, .data = rows}};
    const struct job job = {.served = &fake->served};
    const float *scores;
    struct percept_err err;
    int64_t n;
    ck_assert(generate_step_scores(&job, results, &scores, &n, &err));
    ck_assert(n == 2 && scores == rows + 4);
    static const struct percept_tensor wrong[] = {
        {.dtype = PERCEPT_FLOAT, .rank = 0},
        {.dtype = PERCEPT_FLOAT, .rank = 3, .dims = {1, 0, 2}},
        {.dtype = PERCEPT_FLOAT, .rank = 2, .dims = {1, 0}},
        {.dtype = PERCEPT_DOUBLE, .rank = 2, .dims = {1, 2}},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        results[1] = wrong[i];
        ck_assert(!generate_step_scores(&job, results, &scores, &n, &err) && err.code == ERR_DATA);
    }
}
END_TEST

START_TEST(states_alone_are_kept)
{
    float state = 3, row[] = {1, 2};
    const struct percept_tensor results[2] = {{.dtype = PERCEPT_FLOAT, .rank = 1, .dims = {1}, .data = &state},
                                              {.dtype = PERCEPT_FLOAT, .rank = 3, .dims = {1, 1, 2}, .data = row}};
    struct job_output outputs[] = {{.index = 0}, {.index = 1}};
    struct job job = {.arena = &arena, .served = &fake->served, .outputs = outputs, .n_outputs = 2};
    ck_assert(generate_step_keep(&job, results, NULL));
    ck_assert(job.n_outputs == 1 && *(float *)job.results[0].data == 3 && job.results[0].data != &state);
    ck_assert_ptr_null(job.results[1].data);
}
END_TEST

Suite *serve_generate_step_suite(void)
{
    Suite *suite = suite_create("serve_generate_step");
    TCase *tcase = tcase_create("generate_step");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, names_lead_to_inputs_and_outputs);
    tcase_add_test(tcase, of_scores_the_last_row_counts);
    tcase_add_test(tcase, states_alone_are_kept);
    suite_add_tcase(suite, tcase);
    return suite;
}
