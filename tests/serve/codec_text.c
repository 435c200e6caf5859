/* codec_text.c - texts become ids as the network was taught them. */
#include "base/err.h"
#include "fake_model.h"
#include "looks.h"
#include "serve/codec_parts.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

Suite *serve_codec_text_suite(void);

#define DIMS(...) ((const int64_t[]){__VA_ARGS__})
#define IDS(...) ((const int64_t[]){__VA_ARGS__}), (int)(sizeof((int64_t[]){__VA_ARGS__}) / 8)

static const char *const tokens[] = {"<pad>",    "<unk>",    "!",   "don't", "hi", "\xc3\xa9t\xc3\xa9",
                                     "\xc3\xa9", "\xc2\xa3", "100", "h",     "i"};
static const int sorted[] = {2, 8, 0, 1, 3, 9, 4, 10, 7, 6, 5};

static struct manifest_text *text;

static struct fake_model *model(enum manifest_tokenizer tokenizer)
{
    struct fake_model *fake = fake_model_new("t");
    fake_model_input(fake, "ids", PERCEPT_INT64, 2, DIMS(-1, -1));
    fake_model_batching(fake, 8);
    text = &fake_model_describe(fake, MANIFEST_TEXT)->text;
    *text = (struct manifest_text){.tokenizer = tokenizer,
                                   .lowercase = true,
                                   .max_length = 6,
                                   .unknown = 1,
                                   .pad = 0,
                                   .start = -1,
                                   .end = -1,
                                   .n_tokens = 11,
                                   .tokens = tokens,
                                   .sorted = sorted};
    return fake;
}

static void expect_ids(struct fake_model *fake, const char *body, const int64_t *ids, int n)
{
    ck_assert_msg(codec_text_decode(fake_model_post(fake, body), &fake->err), "%s: %s", body, fake->err.text);
    const struct percept_tensor *tensor = &fake->job.inputs[0];
    ck_assert_int_eq(tensor->dims[tensor->rank - 1], n);
    for (int i = 0; i < n; i++)
        ck_assert_msg(((int64_t *)tensor->data)[i] == ids[i], "%s: id %d is %lld", body, i,
                      (long long)((int64_t *)tensor->data)[i]);
}

static void expect_refused(struct fake_model *fake, const char *body, const char *part)
{
    ck_assert(!codec_text_decode(fake_model_post(fake, body), &fake->err));
    ck_assert_msg(strstr(fake->err.text, part), "%s", fake->err.text);
}

START_TEST(words_are_runs_of_letters_and_signs_stand_alone)
{
    struct fake_model *fake = model(TOKENIZER_WORDS);
    expect_ids(fake, "Hi! DON'T\n", IDS(4, 2, 3));
    expect_ids(fake,
               "\xc3\x89T\xc3\x89 \xc2\xa3"
               "100",
               IDS(5, 7, 8));
    expect_ids(fake, "what?\xc2\xa0hi\r\n", IDS(1, 1, 4));
    expect_ids(fake, "hi hi hi hi hi hi hi hi", IDS(4, 4, 4, 4, 4, 4));
    text->lowercase = false;
    expect_ids(fake, "Hi hi", IDS(1, 4));
    fake_model_free(fake);
}
END_TEST

START_TEST(a_prompt_keeps_its_line_ends_and_has_no_end)
{
    struct fake_model *fake = model(TOKENIZER_CHARACTERS);
    int64_t ids[16], n = 0;
    text->end = 3;
    struct job *job = fake_model_post(fake, "");
    ck_assert(codec_text_prompt(job, text, bytes_of_text("hi\n"), 16, ids, &n, &fake->err));
    ck_assert_int_eq(n, 3);
    ck_assert(ids[0] == 9 && ids[1] == 10 && ids[2] == 1);
    ck_assert(!codec_text_prompt(job, text, bytes_of_text(""), 16, ids, &n, &fake->err));
    for (text->start = 0; text->start < 3; text->start++)
        ck_assert(codec_text_prompt(job, text, bytes_of_text(""), 16, ids, &n, &fake->err) && n == 1 &&
                  ids[0] == text->start);
    fake->err = (struct percept_err){0};
    ck_assert(!codec_text_prompt(job, text, bytes_of_text("hihihihi"), 16, ids, &n, &fake->err));
    ck_assert_msg(strstr(fake->err.text, "the prompt has 9 tokens; at most 6"), "%s", fake->err.text);
    fake_model_free(fake);
}
END_TEST

/* [length,batch] */
START_TEST(tokens_lie_along_the_axis_that_is_not_the_batch)
{
    struct fake_model *fake = model(TOKENIZER_CHARACTERS);
    fake->inputs[0].batch_axis = 1;
    static const struct percept_string two[] = {{.at = "hi", .n_bytes = 2}, {.at = "ih", .n_bytes = 2}};
    struct job *job = fake_model_post(fake, "");
    ck_assert(codec_begin(job, false, &fake->err));
    ck_assert_msg(codec_text_fill(job, 0, text, two, 2, &fake->err), "%s", fake->err.text);
    const int64_t *ids = job->inputs[0].data;
    ck_assert(ids[0] == 9 && ids[1] == 10 && ids[2] == 10 && ids[3] == 9);
    ck_assert_int_eq(job->n_items, 2);
    static const struct percept_string one[] = {{.at = "hih", .n_bytes = 3}};
    job = fake_model_post(fake, "");
    ck_assert(codec_begin(job, false, &fake->err) && codec_text_fill(job, 0, text, one, 1, &fake->err));
    ck_assert(job->inputs[0].dims[0] == 3 && job->inputs[0].dims[1] == 1);
    fake_model_free(fake);
}
END_TEST

START_TEST(characters_are_code_points_and_bytes_are_bytes)
{
    struct fake_model *fake = model(TOKENIZER_CHARACTERS);
    expect_ids(fake, "H\xc3\x89\xe2\x82\xac", IDS(9, 6, 1));
    text->tokenizer = TOKENIZER_BYTES;
    text->n_tokens = 0;
    text->lowercase = false;
    expect_ids(fake, "H\xc3\x89", IDS(72, 0xc3, 0x89));
    fake_model_free(fake);
}
END_TEST

START_TEST(start_end_and_padding_are_added)
{
    struct fake_model *fake = model(TOKENIZER_CHARACTERS);
    text->start = 100;
    text->end = 101;
    expect_ids(fake, "hi", IDS(100, 9, 10, 101));
    expect_ids(fake, "hihihihihi", IDS(100, 9, 10, 9, 10, 101));
    fake->inputs[0].dims[1] = 5;
    expect_ids(fake, "hi", IDS(100, 9, 10, 101, 0));
    expect_ids(fake, "hihihihi", IDS(100, 9, 10, 9, 101));
    text->pad = -1;
    expect_refused(fake, "hi", "has 4 tokens and 5 are wanted");
    text->start = text->end = 0; /* an id like others */
    fake->inputs[0].dims[1] = 4;
    expect_ids(fake, "hi", IDS(0, 9, 10, 0));
    fake_model_free(fake);
}
END_TEST

START_TEST(margins_and_filling_are_ids_of_pad)
{
    struct fake_model *fake = model(TOKENIZER_BYTES);
    text->n_tokens = 0;
    text->lowercase = false;
    text->max_length = 20;
    text->margin = 2;
    text->multiple_of = 4;
    expect_ids(fake, "hi\n", IDS(0, 0, 104, 105, 0, 0, 0, 0));
    ck_assert(bytes_is(fake->job.text, "hi"));
    expect_ids(fake, "\xef\xbb\xbfhihi", IDS(0, 0, 104, 105, 104, 105, 0, 0));
    ck_assert(bytes_is(fake->job.text, "hihi"));
    text->start = 7;
    text->multiple_of = 0;
    expect_ids(fake, "hi", IDS(0, 0, 7, 104, 105, 0, 0));
    fake->inputs[0].dtype = PERCEPT_UINT8;
    ck_assert(codec_text_decode(fake_model_post(fake, "hi"), &fake->err));
    ck_assert_mem_eq(fake->job.inputs[0].data, "\0\0\7hi\0\0", 7);
    fake->inputs[0].dims[1] = 6;
    ck_assert(codec_text_decode(fake_model_post(fake, "hi"), &fake->err));
    ck_assert_mem_eq(fake->job.inputs[0].data, "\0\0\7h\0\0", 6);
    fake_model_free(fake);
}
END_TEST

START_TEST(texts_that_make_no_ids_are_refused)
{
    struct fake_model *fake = model(TOKENIZER_WORDS);
    expect_refused(fake, "", "the text is empty");
    expect_refused(fake, "\r\n", "the text is empty");
    expect_refused(fake, " \t ", "nothing but space");
    expect_refused(fake,
                   "ab\xff"
                   "c",
                   "not UTF-8: byte 2 (0xff)");
    expect_refused(fake, "ab\xe2\x82", "not UTF-8: byte 2 (0xe2)");
    text->unknown = -1;
    expect_refused(fake, "hi there", "the vocabulary does not have 'there'");
    fake->inputs[0].dtype = PERCEPT_FLOAT;
    expect_refused(fake, "hi", "must be INT64, INT32 or UINT8");
    fake->described[0].kind = MANIFEST_IMAGE;
    expect_refused(fake, "hi", "does not take a text");
    fake_model_free(fake);
}
END_TEST

START_TEST(ids_take_the_models_type_and_rank)
{
    struct fake_model *fake = model(TOKENIZER_CHARACTERS);
    fake->served.batching = false;
    fake->inputs[0] = (struct percept_io){.name = "ids", .dtype = PERCEPT_INT32, .rank = 1, .dims = {-1}};
    ck_assert(codec_text_decode(fake_model_post(fake, "hi"), &fake->err));
    ck_assert_int_eq(fake->job.inputs[0].rank, 1);
    ck_assert_int_eq(((int32_t *)fake->job.inputs[0].data)[1], 10);
    fake->inputs[0] = (struct percept_io){.name = "ids", .dtype = PERCEPT_INT32, .rank = -1};
    ck_assert_msg(codec_text_decode(fake_model_post(fake, "hi"), &fake->err), "%s", fake->err.text);
    ck_assert_int_eq(fake->job.inputs[0].rank, 2);
    ck_assert_int_eq(fake->job.inputs[0].dims[1], 2);
    fake_model_free(fake);
}
END_TEST

START_TEST(small_letters_need_no_locale)
{
    static const char *const pairs[][2] = {{"\xc4\x80", "\xc4\x81"}, {"\xc4\xb9", "\xc4\xba"},
                                           {"\xc5\xb8", "\xc3\xbf"}, {"\xc5\xbd", "\xc5\xbe"},
                                           {"\xce\x91", "\xce\xb1"}, {"\xd0\x81", "\xd1\x91"},
                                           {"\xd0\xaf", "\xd1\x8f"}, {"\xc3\x97", "\xc3\x97"},
                                           {"\xc5\xbf", "\xc5\xbf"}, {"Z", "z"}};
    struct fake_model *fake = model(TOKENIZER_BYTES);
    text->n_tokens = 0;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        ck_assert(codec_text_decode(fake_model_post(fake, pairs[i][0]), &fake->err));
        const int64_t *ids = fake->job.inputs[0].data;
        for (size_t k = 0; pairs[i][1][k]; k++)
            ck_assert_int_eq(ids[k], (uint8_t)pairs[i][1][k]);
    }
    fake_model_free(fake);
}
END_TEST

START_TEST(a_byte_order_mark_is_no_part_of_a_text)
{
    struct fake_model *fake = model(TOKENIZER_WORDS);
    expect_ids(fake, "\xef\xbb\xbfHi!", IDS(4, 2));
    text->tokenizer = TOKENIZER_CHARACTERS;
    expect_ids(fake, "\xef\xbb\xbfhi", IDS(9, 10));
    expect_refused(fake, "\xef\xbb\xbf\n", "the text is empty");
    expect_refused(fake, "\xff\xfeh", "the text is UTF-16 or UTF-32");
    expect_refused(fake, "\xfe\xff\1h", "the text is UTF-16 or UTF-32");
    fake_model_free(fake);
}
END_TEST

START_TEST(a_deadline_ends_the_cutting_of_a_text)
{
    enum { N = 1000000 };
    char *body = malloc(N + 1);
    for (int tokenizer = 0; tokenizer < 3; tokenizer++) {
        struct fake_model *fake = model((enum manifest_tokenizer)tokenizer);
        text->max_length = N;
        for (int i = 0; i < N; i++)
            body[i] = "hi! "[i % 4];
        body[N] = '\0';
        int n = 1;
        for (int over = 0; over < n; over++) {
            struct job *job = fake_model_post(fake, body);
            job->watch = looks_until(over);
            n = over ? n : 12; /* more than these: one for each 131072 bytes, more for tokens */
            ck_assert(!codec_text_decode(job, &fake->err));
            ck_assert_str_eq(err_name(fake->err.code), "TIMEOUT");
            ck_assert_int_eq(looks_seen(), over + 1);
        }
        fake_model_free(fake);
    }
    free(body);
}
END_TEST

Suite *serve_codec_text_suite(void)
{
    Suite *suite = suite_create("serve_codec_text");
    TCase *tests = tcase_create("codec_text");
    tcase_set_timeout(tests, 60); /* megabytes, also under sanitizers */
    tcase_add_test(tests, words_are_runs_of_letters_and_signs_stand_alone);
    tcase_add_test(tests, characters_are_code_points_and_bytes_are_bytes);
    tcase_add_test(tests, a_prompt_keeps_its_line_ends_and_has_no_end);
    tcase_add_test(tests, tokens_lie_along_the_axis_that_is_not_the_batch);
    tcase_add_test(tests, start_end_and_padding_are_added);
    tcase_add_test(tests, margins_and_filling_are_ids_of_pad);
    tcase_add_test(tests, texts_that_make_no_ids_are_refused);
    tcase_add_test(tests, ids_take_the_models_type_and_rank);
    tcase_add_test(tests, small_letters_need_no_locale);
    tcase_add_test(tests, a_byte_order_mark_is_no_part_of_a_text);
    tcase_add_test(tests, a_deadline_ends_the_cutting_of_a_text);
    suite_add_tcase(suite, tests);
    return suite;
}
