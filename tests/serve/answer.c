/* answer.c - the best scores, after softmax and its kin. */
#include "serve/answer.h"

#include "answering.h"
#include "base/err.h"
#include "fake_model.h"

#include <check.h>
#include <math.h>
#include <stdio.h>

Suite *serve_answer_suite(void);

static struct answer_prediction best[4];

START_TEST(the_best_come_first_and_equal_ones_by_index)
{
    static const char *const labels[] = {"a", "b", "c"};
    const float scores[] = {1, 5, 5, -2, 7};
    ck_assert_int_eq(answer_classify(scores, 5, ACTIVATION_NONE, 3, labels, 3, best, NULL), 3);
    ck_assert_int_eq(best[0].index, 4);
    ck_assert_ptr_null(best[0].label);
    ck_assert_int_eq(best[1].index, 1);
    ck_assert_str_eq(best[1].label, "b");
    ck_assert_int_eq(best[2].index, 2);
    ck_assert_int_eq(answer_classify(scores, 2, ACTIVATION_NONE, 4, labels, 3, best, NULL), 2);
    ck_assert_int_eq(answer_classify(scores, 5, ACTIVATION_NONE, 0, labels, 3, best, NULL), 0);
}
END_TEST

START_TEST(softmax_sums_to_one_and_never_overflows)
{
    const float scores[] = {1000, 1001, 1002};
    answer_classify(scores, 3, ACTIVATION_SOFTMAX, 3, NULL, 0, best, NULL);
    ck_assert(fabsf(best[0].score + best[1].score + best[2].score - 1) < 1e-6f);
    ck_assert(fabsf(best[0].score - 0.66524096f) < 1e-6f);
    const float lows[] = {-3e38f, -3e38f};
    answer_classify(lows, 2, ACTIVATION_SOFTMAX, 2, NULL, 0, best, NULL);
    ck_assert(best[0].score == 0.5f && best[0].index == 0);
    const float infinite[] = {1, (float)INFINITY, 2};
    answer_classify(infinite, 3, ACTIVATION_SOFTMAX, 2, NULL, 0, best, NULL);
    ck_assert(best[0].score == 1 && best[0].index == 1 && best[1].score == 0);
}
END_TEST

START_TEST(nan_ranks_last)
{
    const float scores[] = {(float)NAN, -5, (float)NAN, 3};
    for (int activation = ACTIVATION_NONE; activation <= ACTIVATION_EXP; activation++) {
        ck_assert_int_eq(answer_classify(scores, 4, (enum manifest_activation)activation, 4, NULL, 0, best, NULL), 4);
        ck_assert_int_eq(best[0].index, 3);
        ck_assert_int_eq(best[1].index, 1);
        ck_assert_int_eq(best[2].index, 0);
        ck_assert(isfinite(best[1].score) && isnan(best[2].score) && isnan(best[3].score));
    }
}
END_TEST

START_TEST(sigmoid_and_exp_are_taken_one_by_one)
{
    const float scores[] = {0, -1};
    answer_classify(scores, 2, ACTIVATION_SIGMOID, 2, NULL, 0, best, NULL);
    ck_assert(best[0].score == 0.5f && fabsf(best[1].score - 0.26894143f) < 1e-7f);
    answer_classify(scores, 2, ACTIVATION_EXP, 2, NULL, 0, best, NULL);
    ck_assert(best[0].score == 1 && fabsf(best[1].score - 0.36787945f) < 1e-7f);
}
END_TEST

/* Scores of two items, of one output of three; `wanted`: the reply shall say what the task makes of it. */
static const struct {
    enum manifest_task task;
    bool wanted;
    enum percept_dtype dtype;
    int index; /* of the only output that is replied */
    const char *written;
} answers[] = {
    {TASK_NONE, true, PERCEPT_FLOAT, 0, ""},
    {TASK_CLASSIFY, false, PERCEPT_FLOAT, 0, ""},
    {TASK_CLASSIFY, true, PERCEPT_INT64, 0, ""},
    {TASK_CLASSIFY, true, PERCEPT_FLOAT, 1, ""}, /* it reads another */
    {TASK_CLASSIFY, true, PERCEPT_FLOAT, 0,
     ",\"predictions\":[[{\"label\":\"yes\",\"index\":1,\"score\":2.0},{\"index\":2,\"score\":1.0}],"
     "[{\"label\":\"no\",\"index\":0,\"score\":9.0},{\"index\":2,\"score\":8.0}]]"},
};

START_TEST(each_task_makes_its_own_of_the_outputs)
{
    static const char *const labels[] = {"no", "yes"};
    float scores[] = {0, 2, 1, 9, 7, 8};
    const struct percept_tensor results[2] = {{.dtype = answers[_i].dtype, .rank = 2, .dims = {2, 3}, .data = scores},
                                              {.dtype = PERCEPT_FLOAT, .rank = 2, .dims = {2, 3}, .data = scores}};
    struct fake_model *fake = fake_model_new("m");
    fake_model_output(fake, "y", PERCEPT_FLOAT, 2, (int64_t[]){-1, 3});
    fake_model_output(fake, "z", PERCEPT_FLOAT, 2, (int64_t[]){-1, 3});
    fake->manifest.task = answers[_i].task;
    fake->manifest.task_output = "y";
    fake->manifest.top_k = 2;
    fake->manifest.labels = labels;
    fake->manifest.n_labels = 2;
    struct job *job = fake_model_post(fake, "");
    struct job_output replied = {.index = answers[_i].index};
    job->outputs = &replied;
    job->n_outputs = 1;
    job->n_items = 2;
    job->predictions = answers[_i].wanted;
    struct answer answer;
    ck_assert(answer_make(job, results, &answer, &fake->err));
    struct writer w = {.arena = job->arena};
    answer_write(&w, &answer);
    ck_assert(!w.failed);
    ck_assert_msg(bytes_is(bytes_of(w.at, w.used), answers[_i].written), "%.*s", (int)w.used, w.at);
    fake_model_free(fake);
}
END_TEST

/* From the threshold on, as many or few as there are; from the offset on. */
static const struct {
    const char *task, *told;
} chosen[] = {
    {"\"activation\":\"sigmoid\",\"threshold\":0.5", "[[{\"label\":\"a\",\"index\":0,\"score\":0.5}],[]]"},
    {"\"threshold\":5", "[[],[]]"},
    {"\"threshold\":-100,\"top_k\":1",
     "[[{\"label\":\"a\",\"index\":0,\"score\":0.0}],[{\"label\":\"a\",\"index\":0,\"score\":-9.0}]]"},
    {"\"class_offset\":1",
     "[[{\"label\":\"a\",\"index\":0,\"score\":-20.0}],[{\"label\":\"a\",\"index\":0,\"score\":-50.0}]]"},
    {"\"class_offset\":1,\"activation\":\"softmax\",\"threshold\":0.5", "[[],[]]"},
};

START_TEST(a_threshold_and_an_offset_choose)
{
    static const float scores[] = {0, -20, -9, -50};
    const struct answering_output outputs[] = {{"y", PERCEPT_FLOAT, 2, {2, 2}, scores}};
    char manifest[200];
    snprintf(manifest, sizeof manifest,
             "{\"manifest\":1,\"labels\":{\"0\":\"a\",\"7\":\"h\"},\"task\":{\"kind\":"
             "\"classify\",%s}}",
             chosen[_i].task);
    ck_assert_str_eq(
        answering(&(struct answering){
            .manifest = manifest, .width = 1, .height = 1, .n_items = 2, .outputs = outputs, .n_outputs = 1}),
        chosen[_i].told);
}
END_TEST

Suite *serve_answer_suite(void)
{
    Suite *suite = suite_create("serve_answer");
    TCase *tests = tcase_create("answer");
    tcase_add_test(tests, the_best_come_first_and_equal_ones_by_index);
    tcase_add_test(tests, softmax_sums_to_one_and_never_overflows);
    tcase_add_test(tests, nan_ranks_last);
    tcase_add_test(tests, sigmoid_and_exp_are_taken_one_by_one);
    tcase_add_loop_test(tests, each_task_makes_its_own_of_the_outputs, 0, sizeof answers / sizeof *answers);
    suite_add_tcase(suite, tests);
    TCase *choice = tcase_create("choice");
    tcase_add_checked_fixture(choice, answering_begin, answering_end);
    tcase_add_loop_test(choice, a_threshold_and_an_offset_choose, 0, sizeof chosen / sizeof *chosen);
    suite_add_tcase(suite, choice);
    return suite;
}
