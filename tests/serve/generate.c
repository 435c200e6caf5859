/* generate.c - does a network fit what its manifest says of generating? The loop itself is played by tests/daemon. */
#include "serve/generate.h"

#include "base/err.h"
#include "fake_model.h"
#include "serve/states.h"

#include <check.h>
#include <string.h>

Suite *serve_generate_suite(void);

static struct fake_model *fake;
static struct arena arena;

static void setup(void)
{
    fake = fake_model_new("m");
    fake_model_input(fake, "ids", PERCEPT_INT64, 2, (int64_t[]){-1, -1});
    fake_model_describe(fake, MANIFEST_TEXT);
    fake_model_input(fake, "h", PERCEPT_FLOAT, 2, (int64_t[]){-1, 4});
    fake_model_output(fake, "scores", PERCEPT_FLOAT, 3, (int64_t[]){-1, -1, 65});
    fake_model_output(fake, "hn", PERCEPT_FLOAT, 2, (int64_t[]){-1, 4});
    fake_model_output(fake, "words", PERCEPT_STRING, 1, (int64_t[]){-1});
    fake_model_output(fake, "free", PERCEPT_FLOAT, 2, (int64_t[]){-1, -1});
    fake->manifest.path = "m/manifest.json";
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

static void expect_refused(const char *says)
{
    struct percept_err err = {0};
    ck_assert(!generate_fits(&fake->served, &err));
    ck_assert_int_eq(err.code, ERR_CONFIG);
    ck_assert_msg(strstr(err.text, says) && strncmp(err.text, "m/manifest.json: generate", 25) == 0, "%s", err.text);
}

START_TEST(tokens_and_states_are_all_that_a_network_may_take)
{
    ck_assert(generate_fits(&fake->served, NULL));
    fake->served.states = NULL;
    expect_refused("input 'h' is neither the tokens nor a state");
    fake->manifest.generate.given = false;
    ck_assert(generate_fits(&fake->served, NULL));
}
END_TEST

START_TEST(what_does_not_fit_is_named)
{
    static const struct {
        const char *input, *output, *says;
    } cases[] = {
        {NULL, "scores", "'input' and 'output' are needed"}, {"ids", NULL, "'input' and 'output' are needed"},
        {"none", "scores", "generate.input: 'none'"},        {"h", "scores", "generate.input: 'h'"},
        {"ids", "none", "generate.output: 'none'"},          {"ids", "words", "generate.output: 'words'"},
        {"ids", "free", "generate.output: 'free'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fake->manifest.generate.input = cases[i].input;
        fake->manifest.generate.output = cases[i].output;
        expect_refused(cases[i].says);
    }
}
END_TEST

Suite *serve_generate_suite(void)
{
    Suite *suite = suite_create("serve_generate");
    TCase *tcase = tcase_create("generate");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, tokens_and_states_are_all_that_a_network_may_take);
    tcase_add_test(tcase, what_does_not_fit_is_named);
    suite_add_tcase(suite, tcase);
    return suite;
}
