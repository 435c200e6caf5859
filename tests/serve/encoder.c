/* encoder.c - which form a reply has: what Accept names where it fits, else what was asked for in the body. */
#include "serve/encoder.h"

#include "base/err.h"
#include "fake_model.h"

#include <check.h>

Suite *serve_encoder_suite(void);

static const struct {
    const char *accept, *name; /* NULL: none */
} accepts[] = {
    {"", NULL},
    {"*/*", NULL},
    {"application/*", NULL},
    {"text/html", NULL},
    {"application/json2", NULL},
    {"gzip, ,;;q=,", NULL},
    {"application/json;q=0", NULL},
    {"application/json", "v2_json"},
    {" Application/JSON ;charset=utf-8", "v2_json"},
    {"application/octet-stream", "v2_binary"},
    {"text/html, application/json;q=0.9, */*;q=0.8", "v2_json"},
    {"application/json;q=0.2, application/octet-stream ; q=0.3", "v2_binary"},
    {"application/json;q=0.25,application/octet-stream;q=0.249", "v2_json"},
    {"application/json, application/octet-stream", "v2_json"}, /* the first of equals */
    {"application/octet-stream;Q=0.1, application/json;q=nonsense", "v2_json"},
};

START_TEST(accept_prefers_a_row_by_name_and_weight)
{
    const struct encoder *found = encoder_find(NULL, bytes_of_text(accepts[_i].accept));
    if (accepts[_i].name) {
        ck_assert_ptr_nonnull(found);
        ck_assert_str_eq(found->name, accepts[_i].name);
    } else {
        ck_assert_ptr_null(found);
    }
}
END_TEST

START_TEST(no_accept_at_all_prefers_nothing)
{
    ck_assert_ptr_null(encoder_find(NULL, (struct bytes){0}));
}
END_TEST

static int64_t ticks;

static int64_t tick(void)
{
    return ticks += 5;
}

static struct percept_tensor result;

/* A job with one output of two numbers, decoded. */
static struct job *decoded(struct fake_model *fake, bool binary)
{
    static float y[] = {1, 2};
    fake_model_input(fake, "x", PERCEPT_FLOAT, 2, (int64_t[]){-1, 2});
    fake_model_output(fake, "y", PERCEPT_FLOAT, 2, (int64_t[]){-1, 2});
    struct job *job = fake_model_post(fake, "");
    ck_assert(codec_begin(job, binary, &fake->err));
    job->n_items = 1;
    result = (struct percept_tensor){.dtype = PERCEPT_FLOAT, .rank = 2, .dims = {1, 2}, .data = y};
    return job;
}

/* The reply is the one that was asked for in the body, whatever of V2's Accept names: V2's clients depend on it. */
static const struct {
    const char *accept;
    bool binary;
    const char *name;
} replies[] = {
    {"", false, "v2_json"},
    {"", true, "v2_binary"},
    {"*/*", true, "v2_binary"},
    {"image/unknown", false, "v2_json"},
    {"image/unknown", true, "v2_binary"},
    {"application/json", true, "v2_binary"},
    {"application/json", false, "v2_json"},
    {"application/octet-stream", false, "v2_json"},
    {"application/octet-stream", true, "v2_binary"},
};

START_TEST(each_row_answers_what_fits_it)
{
    struct fake_model *fake = fake_model_new("m");
    struct job *job = decoded(fake, replies[_i].binary);
    job->encoder = encoder_find(NULL, bytes_of_text(replies[_i].accept));
    encoder_write(job, &result, tick);
    ck_assert_msg(job->err.code == ERR_NONE, "%s", job->err.text);
    ck_assert_str_eq(job->encoder->name, replies[_i].name);
    ck_assert_int_eq(job->reply_json_bytes >= 0, replies[_i].binary);
    ck_assert_int_eq(bytes_begin_text(job->reply, "{\"model_name\":\"m\""), 1);
    ck_assert_int_eq(job->encode_ns, 5);
    fake_model_free(fake);
}
END_TEST

/* Digits are long, bytes are a copy anyway. */
START_TEST(many_elements_as_text_are_long)
{
    struct fake_model *fake = fake_model_new("m");
    struct job *job = decoded(fake, _i == 2);
    struct percept_tensor large = {.dtype = PERCEPT_FLOAT, .rank = 2, .dims = {1, _i ? 20000 : 16384}};
    ck_assert_int_eq(encoder_is_long(job, &large), _i == 1);
    job->outputs[0].classification = 5;
    ck_assert(!encoder_is_long(job, &large));
    job->encoder = &encoder_keep;
    job->outputs[0].classification = 0;
    ck_assert(!encoder_is_long(job, &large));
    fake_model_free(fake);
}
END_TEST

/* 2049 floats are 20 KB of digits: nothing, unless they are to be compressed. */
START_TEST(what_is_compressed_is_long_sooner)
{
    struct fake_model *fake = fake_model_new("m");
    struct job *job = decoded(fake, _i % 2);
    struct percept_tensor some = {.dtype = PERCEPT_FLOAT, .rank = 2, .dims = {1, _i / 2 ? 2049 : 2048}};
    ck_assert(!encoder_is_long(job, &some));
    job->reply_coding = CODING_GZIP;
    ck_assert_int_eq(encoder_is_long(job, &some), _i / 2);
    job->encoder = &encoder_keep;
    ck_assert(!encoder_is_long(job, &some));
    fake_model_free(fake);
}
END_TEST

START_TEST(a_reply_that_gets_smaller_is_compressed)
{
    static float zeros[1000];
    struct fake_model *fake = fake_model_new("m");
    struct job *job = decoded(fake, _i > 0);
    result = (struct percept_tensor){.dtype = PERCEPT_FLOAT, .rank = 2, .dims = {1, _i == 2 ? 2 : 1000}, .data = zeros};
    job->reply_coding = CODING_GZIP;
    encoder_write(job, &result, tick);
    ck_assert_int_eq(job->reply_coding, _i == 2 ? CODING_IDENTITY : CODING_GZIP);
    ck_assert_int_eq(*job->reply.at, _i == 2 ? '{' : 0x1f);
    ck_assert_int_eq(job->reply_json_bytes > 0, _i > 0);
    fake_model_free(fake);
}
END_TEST

START_TEST(what_was_put_off_is_written_from_the_copy)
{
    struct fake_model *fake = fake_model_new("m");
    struct job *job = decoded(fake, false);
    float y[2] = {3, 4};
    result.data = y;
    encoder_put_off(job, &result, tick);
    ck_assert_ptr_nonnull(job->results);
    y[0] = y[1] = -1;
    encoder_write(job, job->results, tick);
    ck_assert_msg(job->err.code == ERR_NONE, "%s", job->err.text);
    ck_assert_str_eq(job->encoder->name, "v2_json");
    ck_assert_ptr_nonnull(memmem(job->reply.at, bytes_size(job->reply), "[3.0,4.0]", 9));
    ck_assert_int_eq(job->encode_ns, 10);
    fake_model_free(fake);
}
END_TEST

START_TEST(nothing_is_written_for_who_has_gone)
{
    struct fake_model *fake = fake_model_new("m");
    struct job *job = decoded(fake, false);
    loop_flag_raise(&job->cancelled);
    encoder_write(job, &result, tick);
    ck_assert_int_eq(job->err.code, ERR_CANCELLED);
    ck_assert_uint_eq(bytes_size(job->reply), 0);
    fake_model_free(fake);
}
END_TEST

static bool fail_silently(struct job *job, const struct percept_tensor *results, struct percept_err *err)
{
    (void)job, (void)results, (void)err;
    return false;
}

static bool always(const struct job *job)
{
    (void)job;
    return true;
}

START_TEST(a_writer_that_fails_without_a_word_is_our_fault)
{
    static const struct encoder silent = {.name = "silent", .fits = always, .write = fail_silently};
    struct fake_model *fake = fake_model_new("m");
    struct job *job = decoded(fake, false);
    job->encoder = &silent;
    encoder_write(job, &result, tick);
    ck_assert_ptr_eq(job->encoder, &silent);
    ck_assert_int_eq(job->err.code, ERR_INTERNAL);
    fake_model_free(fake);
}
END_TEST

/* A job that no row fits would have no reply. */
START_TEST(of_the_first_two_rows_one_always_fits)
{
    struct fake_model *fake = fake_model_new("m");
    for (int binary = 0; binary < 2; binary++) {
        struct job *job = decoded(fake, binary);
        ck_assert_int_ne(encoder_row(0)->fits(job), encoder_row(1)->fits(job));
    }
    ck_assert_str_eq(encoder_row(0)->media_type, "application/json");
    ck_assert_str_eq(encoder_row(1)->media_type, "application/octet-stream");
    fake_model_free(fake);
}
END_TEST

static void model_of_numbers_and_texts(struct fake_model *fake)
{
    fake_model_input(fake, "x", PERCEPT_FLOAT, 2, (int64_t[]){-1, 2});
    fake_model_output(fake, "y", PERCEPT_FLOAT, 2, (int64_t[]){-1, 2});
    fake_model_output(fake, "t", PERCEPT_STRING, 1, (int64_t[]){-1});
    fake_model_output(fake, "unasked", PERCEPT_FLOAT, 1, (int64_t[]){-1});
}

/* The session's memory, the body and what texts point to may change afterwards. */
START_TEST(what_is_kept_depends_on_nothing)
{
    struct fake_model *fake = fake_model_new("m");
    model_of_numbers_and_texts(fake);
    struct job *job = fake_model_post(fake, "");
    ck_assert(codec_begin(job, false, &fake->err));
    job->n_outputs = 2;
    job->encoder = &encoder_keep;
    float y[2] = {1, 2};
    char text[] = "onetwo";
    struct percept_string texts[3] = {{text, 3}, {NULL, 0}, {text + 3, 3}};
    const struct percept_tensor results[3] = {{.dtype = PERCEPT_FLOAT, .rank = 2, .dims = {1, 2}, .data = y},
                                              {.dtype = PERCEPT_STRING, .rank = 1, .dims = {3}, .data = texts},
                                              {.dtype = PERCEPT_FLOAT, .rank = 1, .dims = {1LL << 40}, .data = y}};
    encoder_write(job, results, tick);
    ck_assert_msg(job->err.code == ERR_NONE, "%s", job->err.text);
    memset(y, 0, sizeof y);
    memset(text, 'x', sizeof text);
    memset(texts, 0, sizeof texts);
    ck_assert_int_eq(job->results[0].dims[1], 2);
    ck_assert(((const float *)job->results[0].data)[1] == 2);
    const struct percept_string *kept = job->results[1].data;
    ck_assert(bytes_is(bytes_of(kept[0].at, kept[0].n_bytes), "one"));
    ck_assert_uint_eq(kept[1].n_bytes, 0);
    ck_assert(bytes_is(bytes_of(kept[2].at, kept[2].n_bytes), "two"));
    ck_assert_ptr_null(job->results[2].data); /* nobody asked */
    ck_assert_uint_eq(bytes_size(job->reply), 0);
    fake_model_free(fake);
}
END_TEST

START_TEST(what_cannot_be_kept_is_an_error)
{
    struct fake_model *fake = fake_model_new("m");
    model_of_numbers_and_texts(fake);
    struct job *job = fake_model_post(fake, "");
    ck_assert(codec_begin(job, false, &fake->err));
    job->n_outputs = 1;
    job->encoder = &encoder_keep;
    fake->arena.limit_bytes = fake->arena.used_bytes + 4096;
    float y[1] = {0};
    const struct percept_tensor results[1] = {{.dtype = PERCEPT_FLOAT, .rank = 1, .dims = {4096}, .data = y}};
    encoder_write(job, results, tick);
    ck_assert_int_eq(job->err.code, ERR_MEMORY);
    ck_assert_ptr_null(job->results);
    fake_model_free(fake);
}
END_TEST

/* The list of outputs, the texts, what they point to. */
START_TEST(each_piece_of_memory_may_be_short_when_it_is_kept)
{
    bool kept = false;
    for (size_t more = 1; !kept; more += 16) {
        ck_assert_uint_lt(more, 1000);
        struct fake_model *fake = fake_model_new("m");
        model_of_numbers_and_texts(fake);
        struct job *job = fake_model_post(fake, "");
        ck_assert(codec_begin(job, false, &fake->err));
        job->n_outputs = 2;
        job->encoder = &encoder_keep;
        float y[1] = {0};
        struct percept_string text = {"one", 3};
        const struct percept_tensor results[2] = {{.dtype = PERCEPT_FLOAT, .rank = 1, .dims = {1}, .data = y},
                                                  {.dtype = PERCEPT_STRING, .rank = 1, .dims = {1}, .data = &text}};
        job->arena->limit_bytes = job->arena->used_bytes + more;
        encoder_write(job, results, tick);
        kept = job->err.code == ERR_NONE;
        ck_assert(kept == (job->results != NULL) && (kept || job->err.code == ERR_MEMORY));
        fake_model_free(fake);
    }
}
END_TEST

Suite *serve_encoder_suite(void)
{
    Suite *suite = suite_create("serve/encoder");
    TCase *tests = tcase_create("encoder");
    tcase_add_loop_test(tests, accept_prefers_a_row_by_name_and_weight, 0, sizeof accepts / sizeof *accepts);
    tcase_add_test(tests, no_accept_at_all_prefers_nothing);
    tcase_add_loop_test(tests, each_row_answers_what_fits_it, 0, sizeof replies / sizeof *replies);
    tcase_add_loop_test(tests, many_elements_as_text_are_long, 0, 3);
    tcase_add_loop_test(tests, what_is_compressed_is_long_sooner, 0, 4);
    tcase_add_loop_test(tests, a_reply_that_gets_smaller_is_compressed, 0, 3);
    tcase_add_test(tests, what_was_put_off_is_written_from_the_copy);
    tcase_add_test(tests, nothing_is_written_for_who_has_gone);
    tcase_add_test(tests, a_writer_that_fails_without_a_word_is_our_fault);
    tcase_add_test(tests, of_the_first_two_rows_one_always_fits);
    tcase_add_test(tests, what_is_kept_depends_on_nothing);
    tcase_add_test(tests, what_cannot_be_kept_is_an_error);
    tcase_add_test(tests, each_piece_of_memory_may_be_short_when_it_is_kept);
    suite_add_tcase(suite, tests);
    return suite;
}
