/*
 * refusals.c - bad input over HTTP, row by row: the right status, one sentence that says what is
 * wrong, and a daemon that serves on.
 */
#include "rig.h"
#include "samples.h"

#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DIGITS "/v2/models/digits/infer"
#define SPAM "/v2/models/spam/infer"
#define PNG "Content-Type: image/png\r\n"
#define JPEG "Content-Type: image/jpeg\r\n"
#define TEXT "Content-Type: text/plain\r\n"
#define JSON "Content-Type: application/json\r\n"
#define TOKENS(rest) "{\"inputs\":[{\"name\":\"tokens\"," rest "}]}"

struct row {
    const char *what, *method, *path, *more;
    const char *body;
    int status;
    const char *words[3]; /* all of them are in the sentence */
    size_t n_bytes;       /* of the body, where it is no text */
};

static const struct row rows[] = {
    {"broken JSON", "POST", SPAM, JSON, "{\"inputs\":[{\"name\"", 400, {"JSON"}, 0},
    {"JSON of another kind", "POST", SPAM, JSON, "[1,2,3]", 400, {"object"}, 0},
    {"no inputs", "POST", SPAM, JSON, "{}", 400, {"inputs"}, 0},
    {"nesting without end",
     "POST",
     SPAM,
     JSON,
     "{\"inputs\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
     400,
     {"JSON"},
     0},
    {"wrong input name",
     "POST",
     SPAM,
     JSON,
     "{\"inputs\":[{\"name\":\"tokenz\",\"shape\":[1,3],\"datatype\":\"INT64\",\"data\":[2,3,4]}]}",
     400,
     {"tokenz", "spam", "it has tokens"},
     0},
    {"wrong shape",
     "POST",
     DIGITS,
     JSON,
     "{\"inputs\":[{\"name\":\"image\",\"shape\":[1,4],\"datatype\":\"FP32\",\"data\":[1,2,3,4]}]}",
     400,
     {"image", "[1,4]", "28"},
     0},
    {"negative shape",
     "POST",
     SPAM,
     JSON,
     TOKENS("\"shape\":[1,-3],\"datatype\":\"INT64\",\"data\":[2,3,4]"),
     400,
     {"shape"},
     0},
    {"shape past all numbers",
     "POST",
     SPAM,
     JSON,
     TOKENS("\"shape\":[4611686018427387904,8],\"datatype\":\"INT64\",\"data\":[2,3,4]"),
     400,
     {"shape"},
     0},
    {"wrong datatype",
     "POST",
     SPAM,
     JSON,
     TOKENS("\"shape\":[1,3],\"datatype\":\"FP32\",\"data\":[2,3,4]"),
     400,
     {"tokens", "FP32", "INT64"},
     0},
    {"unknown datatype",
     "POST",
     SPAM,
     JSON,
     TOKENS("\"shape\":[1,3],\"datatype\":\"INT65\",\"data\":[2,3,4]"),
     400,
     {"INT65"},
     0},
    {"too few elements",
     "POST",
     SPAM,
     JSON,
     TOKENS("\"shape\":[1,3],\"datatype\":\"INT64\",\"data\":[2,3]"),
     400,
     {"tokens", "data", "shape"},
     0},
    {"too many elements",
     "POST",
     SPAM,
     JSON,
     TOKENS("\"shape\":[1,3],\"datatype\":\"INT64\",\"data\":[2,3,4,5]"),
     400,
     {"tokens", "data", "shape"},
     0},
    {"a token out of range",
     "POST",
     SPAM,
     JSON,
     TOKENS("\"shape\":[1,3],\"datatype\":\"INT64\",\"data\":[2,3,99999999]"),
     400,
     {"99999999"},
     0},
    {"NaN as a token",
     "POST",
     SPAM,
     JSON,
     TOKENS("\"shape\":[1,3],\"datatype\":\"INT64\",\"data\":[2,NaN,4]"),
     400,
     {"tokens"},
     0},
    {"NaN as id",
     "POST",
     SPAM,
     JSON,
     "{\"id\":NaN,\"inputs\":[{\"name\":\"tokens\",\"shape\":[1,3],\"datatype\":\"INT64\",\"data\":"
     "[2,3,4]}]}",
     400,
     {"id"},
     0},
    {"unknown output",
     "POST",
     SPAM,
     JSON,
     "{\"inputs\":[{\"name\":\"tokens\",\"shape\":[1,3],\"datatype\":\"INT64\",\"data\":[2,3,4]}],"
     "\"outputs\":[{\"name\":\"scorez\"}]}",
     400,
     {"scorez", "spam", "it has scores"},
     0},
    {"unknown model",
     "POST",
     "/v2/models/sphinx/infer",
     JSON,
     "{}",
     404,
     {"Request for unknown model: 'sphinx' is not found"},
     0},
    {"unknown version",
     "POST",
     "/v2/models/spam/versions/99/infer",
     JSON,
     "{}",
     404,
     {"Request for unknown model: 'spam' version 99 is not found"},
     0},
    {"a path out of the models", "POST", "/v2/models/..%2f..%2fetc/infer", JSON, "{}", 400, {""}, 0},
    {"text not UTF-8", "POST", SPAM, TEXT, "caf\xe9 \xff\xfe", 400, {"UTF-8"}, 0},
    {"empty text", "POST", SPAM, TEXT, "", 400, {"empty"}, 0},
    {"text of spaces alone", "POST", SPAM, TEXT, "   \n ", 400, {"space"}, 0},
    {"empty JSON", "POST", SPAM, JSON, "", 400, {"JSON", "end at byte 0"}, 0},
    {"a picture without a type", "POST", DIGITS, "", "\x89PNG", 400, {"Content-Type: image/png"}, 0},
    {"a text without a type", "POST", SPAM, "", "hello", 400, {"Content-Type: text/plain"}, 0},
    {"empty picture", "POST", DIGITS, PNG, "", 400, {"empty"}, 0},
    {"a picture that is none", "POST", DIGITS, PNG, "hello, I am a picture", 415, {"PNG"}, 0},
    {"a GIF", "POST", DIGITS, PNG, "GIF89a------------------", 415, {"GIF", "PNG"}, 0},
    {"a JPEG that is none", "POST", DIGITS, JPEG, "hello, I am a picture", 415, {"JPEG"}, 0},
    {"a picture for a model of texts", "POST", SPAM, PNG, "GIF89a", 415, {"image", "spam"}, 0},
    {"a text for a model of pictures", "POST", DIGITS, TEXT, "seven", 415, {"text", "digits"}, 0},
    {"unsupported media type", "POST", DIGITS, "Content-Type: video/mp4\r\n", "0000ftyp", 415, {"video/mp4"}, 0},
    {"brotli", "POST", SPAM, TEXT "Content-Encoding: br\r\n", "\x1f\x8b\x08", 415, {"Content-Encoding"}, 0},
    {"half of a gzip file", "POST", SPAM, TEXT "Content-Encoding: gzip\r\n", "\x1f\x8b\x08", 400, {"not whole"}, 0},
    {"wrong method", "GET", DIGITS, "", NULL, 405, {"Method Not Allowed: this path takes POST"}, 0},
    {"wrong method", "DELETE", "/v2/models/digits", "", NULL, 405, {"Method Not Allowed"}, 0},
    {"unknown path", "GET", "/v2/nothing/here", "", NULL, 404, {"Not Found"}, 0},
    {"two framings",
     "POST",
     SPAM,
     "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
     "0\r\n\r\n",
     400,
     {"Content-Length", "Transfer-Encoding"},
     0},
};

static void expect_sentence(const struct row *row, const struct reply *reply)
{
    ck_assert_msg(reply->status == row->status, "%s: status %d, not %d: %s", row->what, reply->status, row->status,
                  reply->body);
    json_t *body = json_loadb(reply->body, reply->n_bytes, 0, NULL);
    const char *text = json_string_value(json_object_get(body, "error"));
    ck_assert_msg(text && json_object_size(body) == 1, "%s: no \"error\" alone: %s", row->what, reply->body);
    ck_assert_msg(strlen(text) > 5 && strlen(text) < 500 && !strchr(text, '\n'), "%s: not a sentence: %s", row->what,
                  text);
    for (size_t i = 0; i < sizeof row->words / sizeof row->words[0] && row->words[i]; i++)
        ck_assert_msg(strcasestr(text, row->words[i]) != NULL, "%s: no word of '%s': %s", row->what, row->words[i],
                      text);
    if (getenv("PERCEPTD_TEST_SHOW"))
        printf("%3d  %-32s %s\n", reply->status, row->what, text);
    json_decref(body);
}

static void expect_good_answer(const struct rig *rig, const char *after)
{
    struct reply reply = rig_post_text(rig, "/v2/models/names/infer", "Nguyen");
    char label[64];
    ck_assert_msg(strcmp(reply_label(&reply, 0, label, sizeof label), "Vietnamese") == 0,
                  "after %s a good request gets %d: %s", after, reply.status, reply.body);
    reply_free(&reply);
}

static void expect_refused(const struct rig *rig, const struct row *row)
{
    size_t n = row->n_bytes ? row->n_bytes : row->body ? strlen(row->body) : 0;
    struct reply reply = rig_ask(rig, row->method, row->path, row->more, row->body, n);
    expect_sentence(row, &reply);
    reply_free(&reply);
    expect_good_answer(rig, row->what);
}

START_TEST(each_bad_request_gets_its_sentence)
{
    struct rig rig;
    if (!rig_is_there())
        return;
    rig_begin(&rig);
    rig_start(&rig, "models");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        expect_refused(&rig, &rows[i]);
    ck_assert_int_eq(rig_stop(&rig), 0);
    rig_end(&rig);
}
END_TEST

/* --- pictures ----------------------------------------------------------------------------------------------------- */

static uint32_t crc(const uint8_t *at, size_t n)
{
    uint32_t code = 0xffffffffu;
    for (size_t i = 0; i < n; i++) {
        code ^= at[i];
        for (int bit = 0; bit < 8; bit++)
            code = code & 1 ? code >> 1 ^ 0xedb88320u : code >> 1;
    }
    return ~code;
}

/* A PNG of this size, of which nothing but the head is there. */
static void put_header(uint8_t file[33], uint32_t side)
{
    static const uint8_t start[16] = {0x89, 'P', 'N', 'G', 13, 10, 26, 10, 0, 0, 0, 13, 'I', 'H', 'D', 'R'};
    memcpy(file, start, sizeof start);
    for (int i = 0; i < 4; i++)
        file[16 + i] = file[20 + i] = (uint8_t)(side >> (24 - 8 * i));
    memcpy(file + 24, (const uint8_t[]){8, 0, 0, 0, 0}, 5);
    uint32_t code = crc(file + 12, 17);
    for (int i = 0; i < 4; i++)
        file[29 + i] = (uint8_t)(code >> (24 - 8 * i));
}

START_TEST(cut_and_enormous_pictures_are_refused)
{
    struct rig rig;
    if (!rig_is_there())
        return;
    rig_begin(&rig);
    rig_start(&rig, "models");
    uint8_t huge[33], pixels[SAMPLES_PIXELS] = {0};
    put_header(huge, 60000);
    long before = rig_kilobytes(rig.pid, "status", "VmHWM:");
    expect_refused(&rig, &(struct row){"PNG of 60000x60000",
                                       "POST",
                                       DIGITS,
                                       PNG,
                                       (const char *)huge,
                                       413,
                                       {"60000x60000", "50000000"},
                                       sizeof huge});
    long after = rig_kilobytes(rig.pid, "status", "VmHWM:");
    ck_assert_msg(after - before < 8192, "it took %ld kB to refuse", after - before);
    for (int i = 0; i < SAMPLES_PIXELS; i++)
        pixels[i] = (uint8_t)(i * 37);
    struct blob png = samples_png(pixels, SAMPLES_SIDE, SAMPLES_SIDE);
    struct blob jpeg = samples_jpeg(pixels, SAMPLES_SIDE, SAMPLES_SIDE);
    expect_refused(&rig, &(struct row){"cut PNG", "POST", DIGITS, PNG, png.at, 400, {"PNG", "end"}, png.n / 2});
    expect_refused(&rig, &(struct row){"head of a PNG", "POST", DIGITS, PNG, png.at, 400, {"PNG"}, 20});
    expect_refused(&rig, &(struct row){"cut JPEG", "POST", DIGITS, JPEG, jpeg.at, 400, {"JPEG"}, jpeg.n / 2});
    ck_assert_int_eq(rig_stop(&rig), 0);
    rig_end(&rig);
}
END_TEST

/* --- bodies over the limit ---------------------------------------------------------------------------------------- */

START_TEST(bodies_over_the_limit_are_refused_in_both_framings)
{
    enum { N = 5000 };
    static char body[N + 1], chunked[N + 100];
    struct rig rig;
    if (!rig_is_there())
        return;
    rig_begin(&rig);
    rig_start(&rig, "models --max-body 2000");
    memset(body, 'a', N);
    expect_refused(&rig, &(struct row){"long body", "POST", SPAM, TEXT, body, 413, {"5000", "2000", "max-body"}, 0});
    int n = sprintf(chunked, "%x\r\n%s\r\n0\r\n\r\n", N, body);
    expect_refused(&rig, &(struct row){"long chunked body",
                                       "POST",
                                       SPAM,
                                       TEXT "Transfer-Encoding: chunked\r\n",
                                       chunked,
                                       413,
                                       {"2000", "max-body"},
                                       (size_t)n});
    body[1999] = '\0';
    n = sprintf(chunked, "%zx\r\n%s\r\n0\r\n\r\n", strlen(body), body);
    struct reply reply = rig_ask(&rig, "POST", SPAM, TEXT "Transfer-Encoding: chunked\r\n", chunked, (size_t)n);
    ck_assert_msg(reply.status == 200, "a chunked body within the limit gets %d: %s", reply.status, reply.body);
    reply_free(&reply);
    ck_assert_int_eq(rig_stop(&rig), 0);
    rig_end(&rig);
}
END_TEST

Suite *daemon_refusals_suite(void);

Suite *daemon_refusals_suite(void)
{
    Suite *suite = suite_create("daemon_refusals");
    TCase *tests = tcase_create("refusals");
    tcase_add_test(tests, each_bad_request_gets_its_sentence);
    tcase_add_test(tests, cut_and_enormous_pictures_are_refused);
    tcase_add_test(tests, bodies_over_the_limit_are_refused_in_both_framings);
    tcase_set_timeout(tests, RIG_PATIENCE_MS / 1000 * 4);
    suite_add_tcase(suite, tests);
    return suite;
}
