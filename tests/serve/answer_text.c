/* answer_text.c - a posted text in pieces that are, joined, the text again. */
#include "serve/answer.h"

#include "fake_model.h"

#include <check.h>

Suite *serve_answer_text_suite(void);

/* Scores of two columns for each token, as digits: column 0 of splits is the one given. */
static const struct {
    const char *text, *scores; /* of the row: margins, text, margins, filling; '9' is 0.9 */
    enum manifest_tokenizer tokenizer;
    int margin, splits;
    const char *written;
} cases[] = {
    {"ab c\n", "0900", TOKENIZER_BYTES, 0, 0,
     ",\"predictions\":[[{\"text\":\"ab\",\"start\":0,\"end\":2,\"score\":0.9},"
     "{\"text\":\" c\",\"start\":2,\"end\":4,\"score\":0.0}]]"},
    {"ab c", "99090099", TOKENIZER_BYTES, 2, 0,
     ",\"predictions\":[[{\"text\":\"ab\",\"start\":0,\"end\":2,\"score\":0.9},"
     "{\"text\":\" c\",\"start\":2,\"end\":4,\"score\":0.0}]]"},
    {"abcd", "0900", TOKENIZER_BYTES, 0, -1,
     ",\"predictions\":[[{\"text\":\"a\",\"label\":\"one\",\"index\":1,\"start\":0,\"end\":1,\"score\":0.5},"
     "{\"text\":\"b\",\"label\":\"zero\",\"index\":0,\"start\":1,\"end\":2,\"score\":0.9},"
     "{\"text\":\"cd\",\"label\":\"one\",\"index\":1,\"start\":2,\"end\":4,\"score\":0.5}]]"},
    {"\xc3\xa4"
     "b",
     "90", TOKENIZER_CHARACTERS, 0, 0,
     ",\"predictions\":[[{\"text\":\"\xc3\xa4\",\"start\":0,\"end\":2,\"score\":0.9},"
     "{\"text\":\"b\",\"start\":2,\"end\":3,\"score\":0.0}]]"},
    {"abcdef", "09", TOKENIZER_BYTES, 0, 0, /* the network took two bytes */
     ",\"predictions\":[[{\"text\":\"abcdef\",\"start\":0,\"end\":6,\"score\":0.9}]]"},
    {"ab", "990", TOKENIZER_BYTES, 2, 0, ""}, /* fewer than the margins */
    {"ab", "00", TOKENIZER_BYTES, 0, 2, ""},  /* no such column */
};

START_TEST(pieces_are_the_text)
{
    static const char *const labels[] = {"zero", "one"};
    float scores[64];
    const int n = (int)strlen(cases[_i].scores);
    for (int t = 0; t < n; t++) {
        scores[2 * t] = (float)(cases[_i].scores[t] - '0') / 10;
        scores[2 * t + 1] = 0.5f;
    }
    const struct percept_tensor result = {.dtype = PERCEPT_FLOAT, .rank = 3, .dims = {1, n, 2}, .data = scores};
    struct fake_model *fake = fake_model_new("m");
    fake_model_input(fake, "x", PERCEPT_UINT8, 2, (int64_t[]){-1, -1});
    fake_model_output(fake, "y", PERCEPT_FLOAT, 3, (int64_t[]){-1, -1, 2});
    struct manifest_text *text = &fake_model_describe(fake, MANIFEST_TEXT)->text;
    text->tokenizer = cases[_i].tokenizer;
    text->margin = cases[_i].margin;
    text->start = text->end = -1;
    fake->manifest.task = TASK_TEXT;
    fake->manifest.splits = cases[_i].splits;
    fake->manifest.threshold = 0.5f;
    fake->manifest.labels = labels;
    fake->manifest.n_labels = 2;
    struct job *job = fake_model_post(fake, cases[_i].text);
    struct job_output replied = {.index = 0};
    job->outputs = &replied;
    job->n_outputs = 1;
    job->n_items = 1;
    job->predictions = true;
    job->text = bytes_of(job->body.at, strcspn(cases[_i].text, "\n"));
    struct answer answer;
    ck_assert(answer_make(job, &result, &answer, &fake->err));
    struct writer w = {.arena = job->arena};
    answer_write(&w, &answer);
    ck_assert_msg(bytes_is(bytes_of(w.at, w.used), cases[_i].written), "%.*s", (int)w.used, w.at);
    fake_model_free(fake);
}
END_TEST

Suite *serve_answer_text_suite(void)
{
    Suite *suite = suite_create("serve/answer_text");
    TCase *tests = tcase_create("answer_text");
    tcase_add_loop_test(tests, pieces_are_the_text, 0, (int)(sizeof cases / sizeof *cases));
    suite_add_tcase(suite, tests);
    return suite;
}
