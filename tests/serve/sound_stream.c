/* sound_stream.c - which requests are heard window by window. What becomes of them tests/daemon/streams plays. */
#include "serve/sound_stream.h"

#include "fake_model.h"
#include "serve/states.h"

#include <check.h>

Suite *serve_sound_stream_suite(void);

static const struct {
    bool state, asked, control, other, sound; /* other: one more input that clients send; sound: else JSON */
    int window;
    bool taken, at_turn;
} cases[] = {
    {true, true, false, false, true, 4, true, true},
    {true, false, false, false, true, 4, true, false},
    {false, true, false, false, true, 4, true, true},
    {false, false, false, false, true, 4, false, false}, /* its windows are items of one request */
    {true, true, false, false, false, 4, false, false},
    {true, true, false, false, true, 0, false, false},
    {true, true, false, true, true, 4, false, false},
    {true, true, true, false, true, 4, false, false},
};

START_TEST(a_sound_of_windows_is_heard_step_by_step)
{
    struct fake_model *fake = fake_model_new("m");
    struct arena arena = {0};
    fake_model_input(fake, "x", PERCEPT_FLOAT, 2, (int64_t[]){1, 4});
    fake_model_describe(fake, MANIFEST_AUDIO)->audio =
        (struct manifest_audio){.rate = 8000, .range = 1, .window = cases[_i].window, .hop = 4};
    fake_model_output(fake, "y", PERCEPT_FLOAT, 2, (int64_t[]){1, 1});
    struct manifest_state kept = {.input = "h", .output = "hn"};
    struct manifest_control start = {.input = "s", .kind = CONTROL_START, .on = 1};
    if (cases[_i].state) {
        fake_model_input(fake, "h", PERCEPT_FLOAT, 2, (int64_t[]){1, 2});
        fake_model_output(fake, "hn", PERCEPT_FLOAT, 2, (int64_t[]){1, 2});
        fake->manifest.sequence = (struct manifest_sequence){.given = true, .n_states = 1, .states = &kept};
    }
    if (cases[_i].control) {
        fake_model_input(fake, "s", PERCEPT_FLOAT, 1, (int64_t[]){1});
        fake->manifest.sequence.controls = &start;
        fake->manifest.sequence.n_controls = 1;
    }
    if (cases[_i].other)
        fake_model_input(fake, "z", PERCEPT_FLOAT, 1, (int64_t[]){1});
    ck_assert(states_new(&fake->served, &arena, &fake->served.states, &fake->err));
    struct job *job = fake_model_post(fake, "");
    const struct codec codec = {.media_type = "audio/L16", .kind = cases[_i].sound ? MANIFEST_AUDIO : MANIFEST_TENSOR};
    job->codec = &codec;
    job->sequence.asked = cases[_i].asked;
    ck_assert_int_eq(sound_stream_take(job), cases[_i].taken);
    ck_assert_int_eq(job->begin != NULL, cases[_i].taken);
    ck_assert_int_eq(job->sequence.at_turn, cases[_i].at_turn);
    ck_assert_int_eq(sound_stream_take(job), cases[_i].taken); /* asked again */
    arena_free(&arena);
    fake_model_free(fake);
}
END_TEST

Suite *serve_sound_stream_suite(void)
{
    Suite *suite = suite_create("serve/sound_stream");
    TCase *tests = tcase_create("sound_stream");
    tcase_add_loop_test(tests, a_sound_of_windows_is_heard_step_by_step, 0, sizeof cases / sizeof *cases);
    suite_add_tcase(suite, tests);
    return suite;
}
