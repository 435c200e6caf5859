/*
 * answers.c - what a person tries first: a digit as a picture in several shapes, a text, a surname,
 * tensors. Each answer is the protocol's envelope and has the right label first.
 */
#include "rig.h"
#include "samples.h"

#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS "/v2/models/digits/infer"
#define PERCEPTRON "/v2/models/perceptron/infer"

/* The envelope: names, outputs with as many numbers as their shape says, one list per item. */
static void expect_envelope(const struct reply *reply, const char *model, int n_items, int classes)
{
    ck_assert_msg(reply->status == 200, "%s answered %d: %s", model, reply->status, reply->body);
    ck_assert_msg(strstr(reply->head, "Content-Type: application/json") != NULL, "%s", reply->head);
    json_t *body = json_loadb(reply->body, reply->n_bytes, JSON_REJECT_DUPLICATES, NULL);
    ck_assert_msg(body != NULL, "not JSON: %s", reply->body);
    const char *name = json_string_value(json_object_get(body, "model_name"));
    const char *version = json_string_value(json_object_get(body, "model_version"));
    ck_assert_msg(name && strcmp(name, model) == 0 && version && strcmp(version, "1") == 0, "other names: %s",
                  reply->body);
    json_t *output = json_array_get(json_object_get(body, "outputs"), 0);
    json_t *shape = json_object_get(output, "shape"), *lists = json_object_get(body, "predictions");
    const char *type = json_string_value(json_object_get(output, "datatype"));
    ck_assert_msg(type && strcmp(type, "FP32") == 0 && json_array_size(shape) == 2 &&
                      json_integer_value(json_array_get(shape, 0)) == n_items &&
                      json_integer_value(json_array_get(shape, 1)) == classes &&
                      json_array_size(json_object_get(output, "data")) == (size_t)(n_items * classes),
                  "another output: %s", reply->body);
    ck_assert_msg(json_array_size(lists) == (size_t)n_items, "not %d predictions: %s", n_items, reply->body);
    json_decref(body);
}

static void expect_label(const struct reply *reply, int item, const char *label)
{
    char got[64];
    ck_assert_msg(strcmp(reply_label(reply, item, got, sizeof got), label) == 0,
                  "item %d is taken for '%s', not '%s': %s", item, got, label, reply->body);
}

static void expect_digit(const struct rig *rig, const char *path, const char *type, struct blob file, const char *label,
                         const char *what)
{
    char more[64];
    snprintf(more, sizeof more, "Content-Type: %s\r\n", type);
    struct reply reply = rig_ask(rig, "POST", path, more, file.at, file.n);
    char got[64];
    ck_assert_msg(strcmp(reply_label(&reply, 0, got, sizeof got), label) == 0, "%s: %s is taken for '%s', not '%s': %s",
                  path, what, got, label, reply.body);
    expect_envelope(&reply, strstr(path, "digits") ? "digits" : "perceptron", 1, 10);
    reply_free(&reply);
}

static void expect_seven(const struct rig *rig, const uint8_t *page, int width, int height, const char *what)
{
    struct blob png = samples_png(page, width, height), jpeg = samples_jpeg(page, width, height);
    expect_digit(rig, DIGITS, "image/png", png, "7", what);
    expect_digit(rig, DIGITS, "image/jpeg", jpeg, "7", what);
    expect_digit(rig, PERCEPTRON, "image/png", png, "7", what);
    expect_digit(rig, PERCEPTRON, "image/jpeg", jpeg, "7", what);
}

static bool is_read(const struct rig *rig, const char *path, const uint8_t *pixels, const char *label)
{
    char got[64];
    struct blob png = samples_png(pixels, SAMPLES_SIDE, SAMPLES_SIDE);
    struct reply reply = rig_ask(rig, "POST", path, "Content-Type: image/png\r\n", png.at, png.n);
    bool good = strcmp(reply_label(&reply, 0, got, sizeof got), label) == 0;
    reply_free(&reply);
    return good;
}

/* The first held-out seven that both networks read as it was scanned: how well they read is
 * accuracy.c's. */
static const uint8_t *legible_seven(const struct rig *rig, const struct digits *digits)
{
    for (int i = 0; i < digits->n; i++) {
        const uint8_t *pixels = digits->pixels + (size_t)i * SAMPLES_PIXELS;
        if (digits->labels[i] == 7 && is_read(rig, DIGITS, pixels, "7") && is_read(rig, PERCEPTRON, pixels, "7"))
            return pixels;
    }
    ck_abort_msg("no seven is read");
    return NULL;
}

START_TEST(a_seven_is_read_in_any_size_and_tone)
{
    struct rig rig;
    struct digits digits;
    if (!rig_is_there() || !samples_digits(&digits, 1000))
        return;
    rig_begin(&rig);
    rig_start(&rig, "models");
    const uint8_t *seven = legible_seven(&rig, &digits);
    expect_seven(&rig, seven, SAMPLES_SIDE, SAMPLES_SIDE, "the scan");
    expect_seven(&rig, samples_invert(seven), SAMPLES_SIDE, SAMPLES_SIDE, "dark on light");
    expect_seven(&rig, samples_enlarge(seven, 280, 280, 200), 280, 280, "280 x 280");
    expect_seven(&rig, samples_enlarge(seven, 600, 400, 240), 600, 400, "600 x 400");
    ck_assert_int_eq(rig_stop(&rig), 0);
    rig_end(&rig);
}
END_TEST

START_TEST(every_class_of_digit_is_read_from_a_photo)
{
    struct rig rig;
    struct digits digits;
    if (!rig_is_there() || !samples_digits(&digits, 1000))
        return;
    rig_begin(&rig);
    rig_start(&rig, "models");
    for (int label = 0; label < 10; label++) {
        const char text[] = {(char)('0' + label), '\0'};
        const uint8_t *page = samples_enlarge(samples_digit(&digits, label), 280, 280, 200);
        expect_digit(&rig, DIGITS, "image/png", samples_png(page, 280, 280), text, text);
    }
    ck_assert_int_eq(rig_stop(&rig), 0);
    rig_end(&rig);
}
END_TEST

START_TEST(texts_are_told_apart)
{
    struct rig rig;
    if (!rig_is_there())
        return;
    rig_begin(&rig);
    rig_start(&rig, "models");
    const struct {
        const char *model, *text, *label;
        int classes;
    } rows[] = {
        {"spam", "WINNER!! Call 09061701461 to claim your prize!", "spam", 2},
        {"spam", "Are we still meeting for lunch tomorrow?", "ham", 2},
        {"names", "Nguyen", "Vietnamese", 18},
        {"names", "Ivanov", "Russian", 18},
        {"names", "Yamamoto", "Japanese", 18},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char path[64];
        snprintf(path, sizeof path, "/v2/models/%s/infer", rows[i].model);
        struct reply reply = rig_post_text(&rig, path, rows[i].text);
        expect_envelope(&reply, rows[i].model, 1, rows[i].classes);
        expect_label(&reply, 0, rows[i].label);
        reply_free(&reply);
    }
    ck_assert_int_eq(rig_stop(&rig), 0);
    rig_end(&rig);
}
END_TEST

START_TEST(three_digits_in_json_are_read_in_their_order)
{
    struct rig rig;
    struct digits digits;
    if (!rig_is_there() || !samples_digits(&digits, 3))
        return;
    rig_begin(&rig);
    rig_start(&rig, "models");
    const float *values = samples_values(&digits, 0, 3);
    char *body = rig_keep(malloc(3 * SAMPLES_PIXELS * 16 + 200));
    int n = sprintf(body, "{\"id\":\"three\",\"inputs\":[{\"name\":\"image\",\"shape\":[3,1,28,28],"
                          "\"datatype\":\"FP32\",\"data\":[");
    for (int i = 0; i < 3 * SAMPLES_PIXELS; i++)
        n += sprintf(body + n, "%s%.9g", i ? "," : "", (double)values[i]);
    n += sprintf(body + n, "]}]}");
    struct reply reply = rig_ask(&rig, "POST", DIGITS, "", body, (size_t)n);
    expect_envelope(&reply, "digits", 3, 10);
    for (int i = 0; i < 3; i++)
        expect_label(&reply, i, (const char[]){(char)('0' + digits.labels[i]), '\0'});
    ck_assert_msg(strstr(reply.body, "\"id\":\"three\"") != NULL, "the id is lost: %s", reply.body);
    reply_free(&reply);
    ck_assert_int_eq(rig_stop(&rig), 0);
    rig_end(&rig);
}
END_TEST

Suite *daemon_answers_suite(void);

Suite *daemon_answers_suite(void)
{
    Suite *suite = suite_create("daemon_answers");
    TCase *tests = tcase_create("answers");
    tcase_add_test(tests, a_seven_is_read_in_any_size_and_tone);
    tcase_add_test(tests, every_class_of_digit_is_read_from_a_photo);
    tcase_add_test(tests, texts_are_told_apart);
    tcase_add_test(tests, three_digits_in_json_are_read_in_their_order);
    tcase_set_timeout(tests, RIG_PATIENCE_MS / 1000 * 4);
    suite_add_tcase(suite, tests);
    return suite;
}
