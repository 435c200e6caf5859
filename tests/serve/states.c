/*
 * states.c - what a sequence keeps of a made-up model: which inputs and outputs, how large, and what does not fit.
 */
#include "serve/states.h"

#include "base/err.h"
#include "fake_model.h"

#include <check.h>
#include <string.h>

Suite *serve_states_suite(void);

static struct fake_model *fake;
static struct arena arena;
static struct manifest_state said[3];
static struct manifest_control told[3];

static void setup(void)
{
    fake = fake_model_new("m");
    fake_model_input(fake, "x", PERCEPT_FLOAT, 2, (int64_t[]){-1, 3});
    fake_model_input(fake, "h", PERCEPT_FLOAT, 3, (int64_t[]){2, -1, 5});
    fake_model_input(fake, "c", PERCEPT_INT64, 2, (int64_t[]){-1, 4});
    fake_model_input(fake, "flag", PERCEPT_INT32, 2, (int64_t[]){-1, 1});
    fake_model_input(fake, "words", PERCEPT_STRING, 1, (int64_t[]){-1});
    fake_model_output(fake, "y", PERCEPT_FLOAT, 2, (int64_t[]){-1, 3});
    fake_model_output(fake, "hn", PERCEPT_FLOAT, 3, (int64_t[]){2, -1, 5});
    fake_model_output(fake, "cn", PERCEPT_INT64, 2, (int64_t[]){-1, 4});
    fake_model_output(fake, "wn", PERCEPT_STRING, 1, (int64_t[]){-1});
    fake->served.manifest = &fake->manifest;
    fake->manifest.path = "m/manifest.json";
    fake->manifest.sequence = (struct manifest_sequence){.given = true, .states = said, .controls = told};
}

static void teardown(void)
{
    arena_free(&arena);
    fake_model_free(fake);
}

static const struct states *make(int n_states, int n_controls)
{
    const struct states *states = NULL;
    struct percept_err err = {0};
    fake->manifest.sequence.n_states = n_states;
    fake->manifest.sequence.n_controls = n_controls;
    ck_assert_msg(states_new(&fake->served, &arena, &states, &err), "%s", err.text);
    return states;
}

START_TEST(a_model_without_a_sequence_keeps_nothing)
{
    fake->manifest.sequence.given = false;
    ck_assert_ptr_null(make(0, 0));
    ck_assert(!states_keep_input(NULL, 0));
    ck_assert(!states_keep_output(NULL, 0));
}
END_TEST

START_TEST(states_and_controls_are_found_and_measured)
{
    said[0] = (struct manifest_state){.input = "h", .output = "hn"};
    said[1] = (struct manifest_state){.input = "c", .output = "cn"};
    told[0] = (struct manifest_control){.input = "flag", .kind = CONTROL_START, .off = 3, .on = 4};
    const struct states *states = make(2, 1);
    ck_assert_int_eq(states->states[0].input, 1);
    ck_assert_int_eq(states->states[0].output, 1);
    ck_assert_uint_eq(states->states[0].n_bytes, 2 * 1 * 5 * 4);
    ck_assert_int_eq((int)states->states[0].shape.dims[1], 1); /* one item */
    ck_assert_uint_eq(states->states[1].offset, 64);
    ck_assert_uint_eq(states->states[1].n_bytes, 4 * 8);
    ck_assert_uint_eq(states->n_bytes, 128);
    ck_assert_int_eq(*(const int32_t *)states->controls[0].off.data, 3);
    ck_assert_int_eq(*(const int32_t *)states->controls[0].on.data, 4);
    ck_assert(!states_keep_input(states, 0) && states_keep_input(states, 1) && states_keep_input(states, 3));
    ck_assert(!states_keep_output(states, 0) && states_keep_output(states, 1) && !states_keep_output(states, 3));
    ck_assert(states->max_idle_ns == (int64_t)60000000000 && states->max_sequences == 65536);
}
END_TEST

START_TEST(limits_are_what_the_manifest_says)
{
    said[0] = (struct manifest_state){.input = "h", .output = "hn"};
    fake->manifest.sequence.max_idle_us = 7;
    fake->manifest.sequence.max_sequences = 9;
    const struct states *states = make(1, 0);
    ck_assert(states->max_idle_ns == 7000 && states->max_sequences == 9);
}
END_TEST

static const struct bytes three = {(const uint8_t *)"abc", (const uint8_t *)"abc" + 3};

static const struct {
    struct manifest_state state;
    struct manifest_control control;
    const char *says;
} refused[] = {
    {{.input = "q", .output = "hn"}, {0}, "the model has no input 'q'"},
    {{.input = "h", .output = "q"}, {0}, "the model has no output 'q'"},
    {{.input = "h", .output = "cn"}, {0}, "output 'cn' has another type or shape than input 'h'"},
    {{.input = "x", .output = "hn"}, {0}, "output 'hn' has another type or shape than input 'x'"},
    {{.input = "words", .output = "wn"}, {0}, "takes texts; numbers can be kept"},
    {{.input = "h", .output = "hn", .initial = &three}, {0}, "has 3 bytes; it takes 40"},
    {{0}, {.input = "h", .kind = CONTROL_END}, "input 'h' takes more than one number"},
    {{0}, {.input = "words", .kind = CONTROL_END}, "takes texts"},
    {{0}, {.input = "none", .kind = CONTROL_END}, "the model has no input 'none'"},
    {{.input = "flag", .output = "y"}, {0}, "output 'y' has another type or shape than input 'flag'"},
};

START_TEST(what_does_not_fit_is_named)
{
    const struct states *states;
    struct percept_err err = {0};
    said[0] = refused[_i].state;
    told[0] = refused[_i].control;
    fake->manifest.sequence.n_states = said[0].input != NULL;
    fake->manifest.sequence.n_controls = told[0].input != NULL;
    ck_assert(!states_new(&fake->served, &arena, &states, &err));
    ck_assert_int_eq(err.code, ERR_CONFIG);
    ck_assert_msg(strstr(err.text, refused[_i].says) && strncmp(err.text, "m/manifest.json: sequence", 25) == 0, "%s",
                  err.text);
}
END_TEST

START_TEST(a_correlation_id_is_a_whole_number)
{
    const struct states *states;
    struct percept_err err = {0};
    fake_model_input(fake, "id", PERCEPT_UINT64, 2, (int64_t[]){-1, 1});
    told[0] = (struct manifest_control){.input = "id", .kind = CONTROL_CORRELATION_ID};
    ck_assert_ptr_null(make(0, 1)->controls[0].on.data);
    fake_model_input(fake, "real", PERCEPT_FLOAT, 2, (int64_t[]){-1, 1});
    told[0].input = "real";
    ck_assert(!states_new(&fake->served, &arena, &states, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "a correlation id is an integer"));
    told[0] = (struct manifest_control){.input = "id", .kind = CONTROL_READY};
    err = (struct percept_err){0};
    ck_assert(!states_new(&fake->served, &arena, &states, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "takes uint64; a control is float"));
}
END_TEST

START_TEST(short_memory_is_said)
{
    said[0] = (struct manifest_state){.input = "h", .output = "hn"};
    told[0] = (struct manifest_control){.input = "flag", .kind = CONTROL_START};
    fake->manifest.sequence.n_states = fake->manifest.sequence.n_controls = 1;
    for (size_t limit = 1; limit < 2000; limit += 100) {
        const struct states *states;
        struct percept_err err = {0};
        struct arena small = {.limit_bytes = limit};
        if (!states_new(&fake->served, &small, &states, &err))
            ck_assert_int_eq(err.code, ERR_MEMORY);
        arena_free(&small);
    }
}
END_TEST

Suite *serve_states_suite(void)
{
    Suite *suite = suite_create("serve_states");
    TCase *tcase = tcase_create("states");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_model_without_a_sequence_keeps_nothing);
    tcase_add_test(tcase, states_and_controls_are_found_and_measured);
    tcase_add_test(tcase, limits_are_what_the_manifest_says);
    tcase_add_loop_test(tcase, what_does_not_fit_is_named, 0, sizeof refused / sizeof *refused);
    tcase_add_test(tcase, a_correlation_id_is_a_whole_number);
    tcase_add_test(tcase, short_memory_is_said);
    suite_add_tcase(suite, tcase);
    return suite;
}
