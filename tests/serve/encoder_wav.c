/* encoder_wav.c - outputs come back as the sound that they are, in the place of what was posted. */
#include "serve/encoder.h"

#include "base/err.h"
#include "fake_model.h"

#include <check.h>
#include <math.h>

Suite *serve_encoder_wav_suite(void);

#define MOST 16

static const struct {
    int n_items, length;
    float y[MOST];
    struct sound_view view;
    float range;
    int n;
    int16_t want[MOST];
} cases[] = {
    /* tensors follow each other */
    {.n_items = 2, .length = 2, .y = {0.25f, -0.25f, 0.5f, 0}, .range = 1, .n = 4, .want = {8192, -8192, 16384, 0}},
    /* beyond full scale, and no number */
    {.n_items = 1,
     .length = 4,
     .y = {2, -2, (float)NAN, INFINITY},
     .range = 1,
     .n = 4,
     .want = {32767, -32768, 0, 32767}},
    {.n_items = 1, .length = 2, .y = {100, -1}, .range = 32768, .n = 2, .want = {100, -1}},
    /* windows that touch, the last one filled */
    {.n_items = 2,
     .length = 2,
     .y = {0.25f, 0.25f, 0.5f, 0.75f},
     .range = 1,
     .view = {.rate = 8000, .n_samples = 3, .window = 2, .hop = 2, .n_windows = 2},
     .n = 3,
     .want = {8192, 8192, 16384}},
    /* that overlap by half */
    {.n_items = 3,
     .length = 4,
     .y = {0, 0, 0, 0, 0.5f, 0.5f, 0.5f, 0.5f, 0.25f, 0.25f, 0.25f, 0.25f},
     .range = 1,
     .view = {.rate = 8000, .n_samples = 8, .window = 4, .hop = 2, .n_windows = 3},
     .n = 8,
     .want = {0, 0, 8192, 8192, 12288, 12288, 8192, 8192}},
    /* silence that was put before and behind */
    {.n_items = 1,
     .length = 5,
     .y = {1, 0.25f, 0.5f, 0.75f, 1},
     .range = 1,
     .view = {.rate = 8000, .n_samples = 2, .window = 5, .hop = 5, .first = -1, .n_windows = 1},
     .n = 2,
     .want = {8192, 16384}},
    /* twice the rate */
    {.n_items = 2,
     .length = 4,
     .y = {0.25f, 0.25f, 0.25f, 0.25f, 0.5f, 0.5f, 0.5f, 0.5f},
     .range = 1,
     .view = {.rate = 8000, .n_samples = 3, .window = 2, .hop = 2, .n_windows = 2},
     .n = 6,
     .want = {8192, 8192, 8192, 8192, 16384, 16384}},
};

static struct fake_model *speaker(int64_t n_items)
{
    struct fake_model *fake = fake_model_new("m");
    fake_model_output(fake, "y", PERCEPT_FLOAT, 2, (int64_t[]){-1, -1});
    fake->manifest.task = TASK_AUDIO;
    fake->manifest.sound_rate = 16000;
    fake->manifest.sound_range = 1;
    struct job *job = fake_model_post(fake, "");
    job->outputs = arena_alloc(job->arena, sizeof *job->outputs);
    job->n_outputs = 1;
    job->n_items = n_items;
    return fake;
}

START_TEST(items_become_one_sound)
{
    struct fake_model *fake = speaker(cases[_i].n_items);
    float y[MOST];
    memcpy(y, cases[_i].y, sizeof y);
    const struct percept_tensor result = {
        .dtype = PERCEPT_FLOAT, .rank = 2, .dims = {cases[_i].n_items, cases[_i].length}, .data = y};
    fake->job.sound = cases[_i].view;
    fake->manifest.sound_range = cases[_i].range;
    ck_assert(encoder_wav_fits(&fake->job));
    ck_assert_msg(encoder_wav_write(&fake->job, &result, &fake->err), "%s", fake->err.text);
    const uint8_t *reply = fake->job.reply.at;
    ck_assert_uint_eq(bytes_size(fake->job.reply), 44 + 2 * (size_t)cases[_i].n);
    ck_assert_mem_eq(reply, "RIFF", 4);
    ck_assert_mem_eq(reply + 8, "WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0data", 32);
    ck_assert_int_eq(reply[4], 36 + 2 * cases[_i].n);
    ck_assert_int_eq(reply[40], 2 * cases[_i].n);
    for (int i = 0; i < cases[_i].n; i++) {
        const int16_t got = (int16_t)(reply[44 + 2 * i] | reply[45 + 2 * i] << 8);
        ck_assert_msg(got == cases[_i].want[i], "sample %d is %d, not %d", i, got, cases[_i].want[i]);
    }
    ck_assert_int_eq(fake->job.reply_json_bytes, -1);
    fake_model_free(fake);
}
END_TEST

START_TEST(only_the_task_audio_is_a_sound)
{
    struct fake_model *fake = speaker(1);
    ck_assert_ptr_eq(encoder_find(&fake->served, bytes_of_text("audio/wav"))->write, encoder_wav_write);
    fake->job.outputs[0].binary = true;
    ck_assert(!encoder_wav_fits(&fake->job));
    fake->job.outputs[0].binary = false;
    fake->manifest.sound_rate = 0;
    ck_assert(!encoder_wav_fits(&fake->job));
    fake_model_input(fake, "x", PERCEPT_FLOAT, 2, (int64_t[]){-1, -1});
    fake_model_describe(fake, MANIFEST_AUDIO)->audio.rate = 8000; /* the output's is the input's then */
    ck_assert(encoder_wav_fits(&fake->job));
    fake->manifest.task = TASK_CLASSIFY;
    ck_assert(!encoder_wav_fits(&fake->job));
    fake_model_free(fake);
}
END_TEST

START_TEST(without_its_output_or_anybody_waiting_there_is_none)
{
    struct fake_model *fake = speaker(2);
    float y[4] = {0};
    struct percept_tensor result = {.dtype = PERCEPT_FLOAT, .rank = 2, .dims = {2, 2}, .data = y};
    int cancel = 1;
    fake->job.watch = (struct watch){.cancel = &cancel};
    ck_assert(!encoder_wav_write(&fake->job, &result, &fake->err));
    ck_assert_int_eq(fake->err.code, ERR_CANCELLED);
    fake->err = (struct percept_err){0};
    result.dims[0] = 3;
    result.dims[1] = 1; /* does not divide among the items */
    ck_assert(!encoder_wav_write(&fake->job, &result, &fake->err));
    ck_assert_int_eq(fake->err.code, ERR_INVALID);
    fake->job.n_outputs = 0;
    ck_assert(!encoder_wav_write(&fake->job, &result, &fake->err));
    fake_model_free(fake);
}
END_TEST

Suite *serve_encoder_wav_suite(void)
{
    Suite *suite = suite_create("serve/encoder_wav");
    TCase *tests = tcase_create("encoder_wav");
    tcase_add_loop_test(tests, items_become_one_sound, 0, (int)(sizeof cases / sizeof *cases));
    tcase_add_test(tests, only_the_task_audio_is_a_sound);
    tcase_add_test(tests, without_its_output_or_anybody_waiting_there_is_none);
    suite_add_tcase(suite, tests);
    return suite;
}
