/*
 * trained.c - the shipped networks that answer with pictures, sounds and texts do so well enough, through the whole
 * daemon. How well is asked of what they were not trained on: digits of other writers, other recordings, other fonts.
 *
 * Noise is made here, by a generator of its own: the bound of the manifest holds for it as for the training's.
 */
#include "rig.h"
#include "samples.h"

#include <check.h>
#include <math.h>
#include <spng.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Suite *daemon_trained_suite(void);

#define DIGITS_MOST (RIG_SANITIZED ? 40 : 200)

static bool begin(struct rig *rig)
{
    if (!rig_is_there())
        return false;
    rig_begin(rig);
    rig_start(rig, "models");
    return true;
}

static void end(struct rig *rig)
{
    ck_assert_int_eq(rig_stop(rig), 0);
    rig_end(rig);
}

/* --- pictures ----------------------------------------------------------------------------------------------------- */

/* Even in [0, 1). */
static double chance(void)
{
    static uint64_t state = 1;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (double)(state >> 40) / (double)(1 << 24);
}

/* Near a normal distribution: the sum of twelve even ones. */
static double normal(void)
{
    double sum = -6;
    for (int i = 0; i < 12; i++)
        sum += chance();
    return sum;
}

static uint8_t *with_noise(const uint8_t *pixels)
{
    uint8_t *noisy = rig_keep(malloc(SAMPLES_PIXELS));
    ck_assert_ptr_nonnull(noisy);
    for (int i = 0; i < SAMPLES_PIXELS; i++) {
        const double value = pixels[i] + 255 * 0.4 * normal(), speck = chance();
        noisy[i] = speck < 0.05 ? 0 : speck > 0.95 ? 255 : (uint8_t)fmin(255, fmax(0, value));
    }
    return noisy;
}

/* A reply that is a gray PNG of 28 x 28. */
static void read_png(const struct reply *reply, uint8_t *pixels)
{
    struct spng_ihdr header;
    ck_assert_msg(reply->status == 200, "%d: %s", reply->status, reply->body);
    spng_ctx *ctx = spng_ctx_new(0);
    ck_assert_int_eq(spng_set_png_buffer(ctx, reply->body, reply->n_bytes), 0);
    ck_assert_int_eq(spng_get_ihdr(ctx, &header), 0);
    ck_assert(header.width == SAMPLES_SIDE && header.height == SAMPLES_SIDE);
    ck_assert_int_eq(header.color_type, SPNG_COLOR_TYPE_GRAYSCALE);
    ck_assert_int_eq(spng_decode_image(ctx, pixels, SAMPLES_PIXELS, SPNG_FMT_PNG, 0), 0);
    spng_ctx_free(ctx);
}

#define PNG_IN "Content-Type: image/png\r\n"
#define PNG_OUT "Accept: image/png\r\n"

static double squares(const uint8_t *a, const uint8_t *b)
{
    double sum = 0;
    for (int i = 0; i < SAMPLES_PIXELS; i++)
        sum += (a[i] - b[i]) * (a[i] - b[i]);
    return sum;
}

START_TEST(a_noisy_digit_comes_back_with_a_third_of_the_error)
{
    struct rig rig;
    struct digits digits;
    if (!samples_digits(&digits, DIGITS_MOST) || !begin(&rig))
        return;
    double before = 0, after = 0;
    for (int i = 0; i < digits.n; i++) {
        const uint8_t *clean = digits.pixels + (size_t)i * SAMPLES_PIXELS, *noisy = with_noise(clean);
        uint8_t got[SAMPLES_PIXELS];
        struct blob png = samples_png(noisy, SAMPLES_SIDE, SAMPLES_SIDE);
        struct reply reply = rig_ask(&rig, "POST", "/v2/models/denoise/infer", PNG_IN PNG_OUT, png.at, png.n);
        read_png(&reply, got);
        reply_free(&reply);
        before += squares(noisy, clean);
        after += squares(got, clean);
    }
    const double share = sqrt(after / before);
    printf("measured: denoise: of the error of %d digits %.4f is left, the manifest says %.4f\n", digits.n, share,
           samples_accuracy("denoise", "value"));
    ck_assert_msg(share <= 1.0 / 3, "%.4f of the error is left", share);
    end(&rig);
}
END_TEST

#define CODE 12

/* The digit that models/digits reads. */
static char digit_of(const struct rig *rig, const uint8_t *pixels)
{
    char got[64];
    struct blob png = samples_png(pixels, SAMPLES_SIDE, SAMPLES_SIDE);
    struct reply reply = rig_ask(rig, "POST", "/v2/models/digits/infer", PNG_IN, png.at, png.n);
    const char digit = reply_label(&reply, 0, got, sizeof got)[0];
    reply_free(&reply);
    return digit;
}

/* Through the encoder and the decoder. */
static void dream(const struct rig *rig, const uint8_t *pixels, uint8_t *again)
{
    float code[CODE];
    char body[600];
    struct blob png = samples_png(pixels, SAMPLES_SIDE, SAMPLES_SIDE);
    struct reply reply = rig_ask(rig, "POST", "/v2/models/dream-encode/infer", PNG_IN, png.at, png.n);
    ck_assert_msg(reply_floats(&reply, code, CODE) == CODE, "%s", reply.body);
    reply_free(&reply);
    int n =
        snprintf(body, sizeof body, "{\"inputs\":[{\"name\":\"code\",\"shape\":[1,12],\"datatype\":\"FP32\",\"data\":");
    for (int i = 0; i < CODE; i++)
        n += snprintf(body + n, sizeof body - (size_t)n, "%c%.9g", i ? ',' : '[', (double)code[i]);
    n += snprintf(body + n, sizeof body - (size_t)n, "]}]}");
    reply = rig_ask(rig, "POST", "/v2/models/dream-decode/infer", PNG_OUT, body, (size_t)n);
    read_png(&reply, again);
    reply_free(&reply);
}

START_TEST(nine_of_ten_reconstructions_are_read_as_before)
{
    struct rig rig;
    struct digits digits;
    if (!samples_digits(&digits, DIGITS_MOST) || !begin(&rig))
        return;
    int same = 0;
    for (int i = 0; i < digits.n; i++) {
        const uint8_t *pixels = digits.pixels + (size_t)i * SAMPLES_PIXELS;
        uint8_t again[SAMPLES_PIXELS];
        dream(&rig, pixels, again);
        same += digit_of(&rig, again) == digit_of(&rig, pixels);
    }
    printf("measured: dream: %d of %d reconstructions are read as before\n", same, digits.n);
    ck_assert_msg(same * 10 >= digits.n * 9, "%d of %d", same, digits.n);
    end(&rig);
}
END_TEST

Suite *daemon_trained_suite(void)
{
    Suite *suite = suite_create("daemon_trained");
    TCase *tests = tcase_create("trained");
    tcase_add_test(tests, a_noisy_digit_comes_back_with_a_third_of_the_error);
    tcase_add_test(tests, nine_of_ten_reconstructions_are_read_as_before);
    tcase_set_timeout(tests, RIG_PATIENCE_MS / 1000 * 4);
    suite_add_tcase(suite, tests);
    return suite;
}
