/* intake.c - what of a text an encoder is given. The run itself is played by tests/daemon/translating.c. */
#include "serve/intake.h"

#include "base/err.h"
#include "fake_model.h"

#include <check.h>
#include <string.h>

Suite *serve_intake_suite(void);

static struct fake_model *model, *encoder;
static struct companion companion;
static struct companion_feed feeds[3];

static const char *const tokens[] = {"-", "a", "b", "$"};
static const int sorted[] = {3, 0, 1, 2};

static void setup(void)
{
    model = fake_model_new("m");
    encoder = fake_model_new("e");
    fake_model_input(encoder, "ids", PERCEPT_INT64, 2, (int64_t[]){-1, -1});
    fake_model_describe(encoder, MANIFEST_TEXT)->text = (struct manifest_text){.tokenizer = TOKENIZER_CHARACTERS,
                                                                               .max_length = 8,
                                                                               .unknown = -1,
                                                                               .pad = 0,
                                                                               .start = -1,
                                                                               .end = 3,
                                                                               .multiple_of = 4,
                                                                               .whole = true,
                                                                               .n_tokens = 4,
                                                                               .tokens = tokens,
                                                                               .sorted = sorted};
    fake_model_input(encoder, "lengths", PERCEPT_INT32, 1, (int64_t[]){-1});
    fake_model_input(encoder, "mask", PERCEPT_FLOAT, 2, (int64_t[]){-1, -1});
    fake_model_output(encoder, "h", PERCEPT_FLOAT, 2, (int64_t[]){-1, 2});
    feeds[0] = (struct companion_feed){-1, -1};
    feeds[1] = (struct companion_feed){0, -1};
    feeds[2] = (struct companion_feed){-1, 2};
    companion = (struct companion){.served = encoder->served, .text = 0, .lengths = 1, .mask = 2, .feeds = feeds};
    companion.served.batching = true;
    model->served.companion = &companion;
}

static void teardown(void)
{
    fake_model_free(encoder);
    fake_model_free(model);
}

static struct intake *cut(const char *text, struct percept_err *err)
{
    struct job *job = fake_model_post(model, text);
    return intake_cut(job, job->body, err);
}

START_TEST(a_text_is_its_tokens_how_many_they_are_and_which_are_pads)
{
    struct percept_err err = {0};
    struct intake *intake = cut("aba", &err);
    ck_assert_msg(intake != NULL, "%s", err.text);
    const struct percept_tensor *ids = intake->sources[0], *lengths = intake->sources[1], *mask = intake->sources[2];
    ck_assert(intake->n_tokens == 4 && ids->rank == 2 && ids->dims[0] == 1 && ids->dims[1] == 4);
    ck_assert_mem_eq(ids->data, ((int64_t[]){1, 2, 1, 3}), 4 * sizeof(int64_t));
    ck_assert(lengths->rank == 1 && lengths->dims[0] == 1 && *(int32_t *)lengths->data == 4);
    intake = cut("abab", &err);
    ck_assert(intake->n_tokens == 5 && intake->sources[0]->dims[1] == 8);
    mask = intake->sources[2];
    ck_assert(mask->dtype == PERCEPT_FLOAT && mask->dims[0] == 1 && mask->dims[1] == 8);
    ck_assert_mem_eq(mask->data, ((float[]){1, 1, 1, 1, 1, 0, 0, 0}), 8 * sizeof(float));
    ck_assert_int_eq(*(int32_t *)intake->sources[1]->data, 5);
}
END_TEST

START_TEST(what_is_given_is_an_output_or_an_input)
{
    struct percept_tensor results[1] = {{0}}, inputs[3] = {{0}};
    struct intake intake = {.companion = &companion, .job = {.results = results, .inputs = inputs}};
    ck_assert_ptr_null(intake_give(&intake, 0));
    ck_assert_ptr_eq(intake_give(&intake, 1), &results[0]);
    ck_assert_ptr_eq(intake_give(&intake, 2), &inputs[2]);
    intake_end(&intake);
    intake_end(NULL);
}
END_TEST

START_TEST(a_text_that_cannot_be_read_is_refused)
{
    static const struct {
        const char *text;
        int code;
        const char *says;
    } cases[] = {
        {"", ERR_INVALID, "the text is empty"},
        {"abc", ERR_INVALID, "does not have 'c'"},
        {"abababab", ERR_TOO_LARGE, "more than 7 tokens"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct percept_err err = {0};
        ck_assert_ptr_null(cut(cases[i].text, &err));
        ck_assert_int_eq(err.code, cases[i].code);
        ck_assert_msg(strstr(err.text, cases[i].says), "%s", err.text);
    }
    struct percept_err err = {0};
    ck_assert_ptr_nonnull(cut("abababa", &err));
}
END_TEST

Suite *serve_intake_suite(void)
{
    Suite *suite = suite_create("serve_intake");
    TCase *tcase = tcase_create("intake");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_text_is_its_tokens_how_many_they_are_and_which_are_pads);
    tcase_add_test(tcase, what_is_given_is_an_output_or_an_input);
    tcase_add_test(tcase, a_text_that_cannot_be_read_is_refused);
    suite_add_tcase(suite, tcase);
    return suite;
}
