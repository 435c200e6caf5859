/* answer_ctc.c - texts of items that lie in every layout, whose scores are of every kind. */
#include "serve/answer.h"

#include "fake_model.h"

#include <check.h>
#include <math.h>

Suite *serve_answer_ctc_suite(void);

/* Two items of three steps and three classes: "ab" and "b". The blank is class 0. */
static const int spoken[2][3] = {{1, 0, 2}, {2, 2, 0}};

static float score(enum manifest_activation activation, bool best)
{
    const float p = best ? 0.8f : 0.1f;
    return activation == ACTIVATION_NONE      ? p
           : activation == ACTIVATION_SIGMOID ? logf(p / (1 - p))
           : activation == ACTIVATION_EXP     ? logf(p)
                                              : logf(p) + 7;
}

static const struct {
    enum manifest_ctc_layout layout;
    enum manifest_activation activation;
    int rank, beam;
    const char *written;
} cases[] = {
    {CTC_NTC, ACTIVATION_NONE, 3, 0,
     ",\"predictions\":[[{\"text\":\"ab\",\"score\":0.8}],[{\"text\":\"b\",\"score\":0.8}]]"},
    {CTC_NCT, ACTIVATION_EXP, 3, 0,
     ",\"predictions\":[[{\"text\":\"ab\",\"score\":0.8}],[{\"text\":\"b\",\"score\":0.8}]]"},
    {CTC_TNC, ACTIVATION_NONE, 3, 0,
     ",\"predictions\":[[{\"text\":\"ab\",\"score\":0.8}],[{\"text\":\"b\",\"score\":0.8}]]"},
    {CTC_NTC, ACTIVATION_NONE, 2, 0, ",\"predictions\":[[{\"text\":\"ab\",\"score\":0.8}]]"},
    {CTC_NCT, ACTIVATION_SIGMOID, 2, 0, ",\"predictions\":[[{\"text\":\"ab\",\"score\":0.8"},
    {CTC_NTC, ACTIVATION_SOFTMAX, 3, 0, ",\"predictions\":[[{\"text\":\"ab\",\"score\":0.8"},
    {CTC_NTC, ACTIVATION_NONE, 3, 4, ",\"predictions\":[[{\"text\":\"ab\",\"score\":0.656"},
    {CTC_NTC, ACTIVATION_NONE, 4, 0, ""},
};

START_TEST(each_layout_and_activation_is_read)
{
    static const char *const labels[] = {"a", "b"};
    const int n_items = cases[_i].rank == 2 ? 1 : 2;
    float scores[18];
    struct percept_tensor result = {
        .dtype = PERCEPT_FLOAT, .rank = cases[_i].rank, .dims = {n_items, 3, 3}, .data = scores};
    for (int i = 0; i < n_items; i++)
        for (int t = 0; t < 3; t++)
            for (int c = 0; c < 3; c++) {
                const int at = cases[_i].layout == CTC_NCT   ? (i * 3 + c) * 3 + t
                               : cases[_i].layout == CTC_TNC ? (t * n_items + i) * 3 + c
                                                             : (i * 3 + t) * 3 + c;
                scores[at] = score(cases[_i].activation, spoken[i][t] == c);
            }
    if (cases[_i].layout == CTC_TNC) {
        result.dims[0] = 3;
        result.dims[1] = 2;
    }
    if (cases[_i].rank == 2)
        result.dims[0] = 3;
    result.dims[3] = 1;
    struct fake_model *fake = fake_model_new("m");
    fake_model_output(fake, "y", PERCEPT_FLOAT, 3, (int64_t[]){-1, -1, 3});
    fake->manifest.task = TASK_CTC;
    fake->manifest.task_activation = cases[_i].activation;
    fake->manifest.ctc_layout = cases[_i].layout;
    fake->manifest.beam = cases[_i].beam;
    fake->manifest.top_k = 3;
    fake->manifest.labels = labels;
    fake->manifest.n_labels = 2;
    struct job *job = fake_model_post(fake, "");
    struct job_output replied = {.index = 0};
    job->outputs = &replied;
    job->n_outputs = 1;
    job->n_items = n_items;
    job->predictions = true;
    struct answer answer;
    ck_assert(answer_make(job, &result, &answer, &fake->err));
    struct writer w = {.arena = job->arena};
    answer_write(&w, &answer);
    const size_t n = strlen(cases[_i].written);
    ck_assert_msg(w.used >= n && memcmp(w.at ? w.at : "", cases[_i].written, n) == 0, "%.*s", (int)w.used, w.at);
    ck_assert(n || !w.used);
    fake_model_free(fake);
}
END_TEST

Suite *serve_answer_ctc_suite(void)
{
    Suite *suite = suite_create("serve/answer_ctc");
    TCase *tests = tcase_create("answer_ctc");
    tcase_add_loop_test(tests, each_layout_and_activation_is_read, 0, (int)(sizeof cases / sizeof *cases));
    suite_add_tcase(suite, tests);
    return suite;
}
