/* answer_speech.c - scores of windows become segments in seconds; what is no score becomes nothing. */
#include "serve/answer.h"

#include "fake_model.h"

#include <check.h>
#include <math.h>
#include <string.h>

Suite *serve_answer_speech_suite(void);

static const struct {
    enum manifest_activation activation;
    int rank, n_windows;
    int64_t dims[2];
    const char *label, *written;
} cases[] = {
    {ACTIVATION_NONE,
     2,
     6,
     {6, 1},
     NULL,
     ",\"predictions\":[[{\"label\":\"speech\",\"start\":0.1,\"end\":0.3,\"score\":0.9}]],\"speaking\":false"},
    {ACTIVATION_NONE,
     1,
     6,
     {6},
     "voice",
     ",\"predictions\":[[{\"label\":\"voice\",\"start\":0.1,\"end\":0.3,\"score\":0.9}]],\"speaking\":false"},
    {ACTIVATION_SIGMOID, 2, 6, {6, 1}, NULL, "\"start\":0.1,\"end\":0.3,\"score\":0.9"},
    {ACTIVATION_NONE, 2, 3, {6, 1}, NULL, ""}, /* two scores a window */
    {ACTIVATION_NONE, 2, 0, {6, 1}, NULL, ""}, /* no sound was posted */
};

START_TEST(scores_become_segments)
{
    float scores[] = {0.1f, 0.9f, 0.9f, 0.1f, 0.1f, 0.1f};
    struct percept_tensor result = {.dtype = PERCEPT_FLOAT, .rank = cases[_i].rank, .data = scores};
    memcpy(result.dims, cases[_i].dims, sizeof cases[_i].dims);
    for (int i = 0; i < 6 && cases[_i].activation == ACTIVATION_SIGMOID; i++)
        scores[i] = logf(scores[i] / (1 - scores[i]));
    struct fake_model *fake = fake_model_new("m");
    fake_model_output(fake, "y", PERCEPT_FLOAT, 2, (int64_t[]){-1, 1});
    fake->manifest.task = TASK_VAD;
    fake->manifest.task_activation = cases[_i].activation;
    fake->manifest.speech = (struct speech_rules){0.5f, -1, 0, 100, 0};
    fake->manifest.labels = &cases[_i].label;
    fake->manifest.n_labels = cases[_i].label != NULL;
    struct job *job = fake_model_post(fake, "");
    ck_assert(codec_begin(job, false, NULL));
    job->predictions = true;
    job->n_items = cases[_i].n_windows;
    job->sound = (struct sound_view){
        .rate = 1000, .n_samples = 600, .window = 100, .hop = 100, .n_windows = cases[_i].n_windows};
    struct answer answer;
    struct writer w = {.arena = job->arena};
    ck_assert(answer_make(job, &result, &answer, NULL));
    answer_write(&w, &answer);
    const struct bytes written = bytes_of(w.at ? w.at : "", w.used);
    ck_assert_msg(*cases[_i].written
                      ? memmem(written.at, bytes_size(written), cases[_i].written, strlen(cases[_i].written)) != NULL
                      : bytes_size(written) == 0,
                  BYTES_FMT, BYTES_ARG(written));
    fake_model_free(fake);
}
END_TEST

START_TEST(whoever_does_not_wait_gets_none)
{
    const float score = 0.9f;
    const struct percept_tensor result = {
        .dtype = PERCEPT_FLOAT, .rank = 2, .dims = {1, 1}, .data = (void *)(uintptr_t)&score};
    struct fake_model *fake = fake_model_new("m");
    fake_model_output(fake, "y", PERCEPT_FLOAT, 2, (int64_t[]){-1, 1});
    fake->manifest.task = TASK_VAD;
    struct job *job = fake_model_post(fake, "");
    ck_assert(codec_begin(job, false, NULL));
    job->sound = (struct sound_view){.rate = 1000, .n_samples = 100, .window = 100, .hop = 100, .n_windows = 1};
    job->watch = (struct watch){.cancel = &(int){1}};
    const void *made = NULL;
    struct percept_err err = {0};
    ck_assert(!answer_speech_make(job, &result, &made, &err));
    ck_assert_int_ne(err.code, 0);
    fake_model_free(fake);
}
END_TEST

Suite *serve_answer_speech_suite(void)
{
    Suite *suite = suite_create("serve/answer_speech");
    TCase *tests = tcase_create("answer_speech");
    tcase_add_loop_test(tests, scores_become_segments, 0, sizeof cases / sizeof *cases);
    tcase_add_test(tests, whoever_does_not_wait_gets_none);
    suite_add_tcase(suite, tests);
    return suite;
}
