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
    rig_finish(&rig);
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
    rig_finish(&rig);
}
END_TEST

/* --- sounds ------------------------------------------------------------------------------------------------------- */

#define CLIP_HEAD 44
#define SAID_MOST 16
#define TEXT "\"text\":\""

struct buffer {
    size_t n;
    char at[1 << 20];
};

static void put(struct buffer *buffer, const void *at, size_t n)
{
    ck_assert_uint_le(n, sizeof buffer->at - buffer->n);
    memcpy(buffer->at + buffer->n, at, n);
    buffer->n += n;
}

/* A recording's samples, and silence behind them. */
static void put_clip(const struct rig *rig, const char *name, long gap, struct buffer *sound)
{
    static const char silence[2 * 1600];
    static char clip[1 << 16];
    char path[160];
    snprintf(path, sizeof path, "%s/fsdd_600/%s.wav", rig->folder, name);
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "cannot open %s", path);
    const size_t n = fread(clip, 1, sizeof clip, file);
    fclose(file);
    ck_assert(n > CLIP_HEAD && n < sizeof clip && memcmp(clip + 36, "data", 4) == 0);
    put(sound, clip + CLIP_HEAD, n - CLIP_HEAD);
    ck_assert(gap >= 0 && gap <= 1600);
    put(sound, silence, (size_t)gap * 2);
}

/* A line of heldout.txt: names of recordings, each with the samples of silence behind it. */
static void join(const struct rig *rig, char *line, struct buffer *sound, char *said)
{
    char *rest, *name = strtok_r(line, " \n", &rest);
    size_t n = 0;
    for (sound->n = 0; name; name = strtok_r(NULL, " \n", &rest)) {
        const char *gap = strtok_r(NULL, " \n", &rest);
        ck_assert(gap && n + 1 < SAID_MOST);
        put_clip(rig, name, strtol(gap, NULL, 10), sound);
        said[n++] = name[0];
    }
    said[n] = '\0';
}

/* What follows `key`, the first member of this name, up to the quotation mark. */
static void text_of(const struct reply *reply, const char *key, char *text, size_t n)
{
    const char *at = strstr(reply->body, key);
    ck_assert_msg(reply->status == 200 && at, "%d: %s", reply->status, reply->body);
    size_t used = 0;
    for (at += strlen(key); *at && *at != '"' && used + 1 < n; at++) {
        at += *at == '\\' && at[1];
        text[used++] = *at;
    }
    text[used] = '\0';
}

/* Levenshtein's distance. */
static int errors(const char *got, const char *want)
{
    int row[128], n = (int)strlen(want);
    ck_assert_int_lt(n, 127);
    for (int j = 0; j <= n; j++)
        row[j] = j;
    for (; *got; got++) {
        int before = row[0]++;
        for (int j = 0; j < n; j++) {
            const int changed = before + (*got != want[j]), above = row[j + 1] + 1, left = row[j] + 1;
            before = row[j + 1];
            row[j + 1] = changed < above ? changed : above;
            row[j + 1] = row[j + 1] < left ? row[j + 1] : left;
        }
    }
    return row[n];
}

#define HEAR "/v2/models/hear/infer"
#define BARE "Content-Type: audio/x-raw;format=S16LE;rate=8000\r\n"

START_TEST(one_spoken_digit_in_twenty_is_misheard_at_most)
{
    struct rig rig;
    static struct buffer sound;
    char line[512], path[512], said[SAID_MOST], heard[64];
    int wrong = 0, n = 0;
    if (!samples_path(path, sizeof path, "fsdd/fsdd_600.tar.gz") || !begin(&rig))
        return;
    free(rig_shell(NULL, "tar -xzf '%s' -C %s", path, rig.folder));
    FILE *list = fopen("models/hear/heldout.txt", "r");
    ck_assert_ptr_nonnull(list);
    for (int i = 0; i < (RIG_SANITIZED ? 20 : 1000) && fgets(line, sizeof line, list); i++) {
        join(&rig, line, &sound, said);
        struct reply reply = rig_ask(&rig, "POST", HEAR, BARE, sound.at, sound.n);
        text_of(&reply, TEXT, heard, sizeof heard);
        reply_free(&reply);
        wrong += errors(heard, said);
        n += (int)strlen(said);
    }
    fclose(list);
    printf("measured: hear: %d of %d digits are misheard\n", wrong, n);
    ck_assert_msg(n >= (RIG_SANITIZED ? 60 : 1000) && wrong * 20 <= n, "%d of %d", wrong, n);
    rig_finish(&rig);
}
END_TEST

START_TEST(what_is_said_is_heard)
{
    static const char *const names[] = {"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"};
    struct rig rig;
    char spelled[64], said[8], heard[64];
    int wrong = 0;
    if (!begin(&rig))
        return;
    for (int i = 0; i < 10; i++) {
        for (int k = 0, n = 0; k < 5; k++) {
            const int digit = (i * (k + 1) + k * k) % 10;
            said[k] = (char)('0' + digit);
            n += snprintf(spelled + n, sizeof spelled - (size_t)n, "%s%s", k ? " " : "", names[digit]);
        }
        said[5] = '\0';
        struct reply wav = rig_ask(&rig, "POST", "/v2/models/say/infer",
                                   "Content-Type: text/plain\r\nAccept: audio/wav\r\n", spelled, strlen(spelled));
        ck_assert_msg(wav.status == 200, "%d: %s", wav.status, wav.body);
        struct reply reply = rig_ask(&rig, "POST", HEAR, "Content-Type: audio/wav\r\n", wav.body, wav.n_bytes);
        text_of(&reply, TEXT, heard, sizeof heard);
        wrong += errors(heard, said);
        reply_free(&wav);
        reply_free(&reply);
    }
    printf("measured: say: %d of 50 digits are misheard\n", wrong);
    ck_assert_int_le(wrong, 5);
    rig_finish(&rig);
}
END_TEST

/* --- texts -------------------------------------------------------------------------------------------------------- */

#define DATES_MOST (RIG_SANITIZED ? 20 : 300)
#define WRITTEN 29 /* characters, then '_' and ten of ISO's */

/* A line of the data: is the date understood? */
static bool is_understood(const struct rig *rig, const char *line)
{
    char body[128], got[32];
    int n = WRITTEN;
    while (n && line[n - 1] == ' ')
        n--;
    snprintf(body, sizeof body, "{\"text_input\":\"%.*s\"}", n, line);
    struct reply reply = rig_post_text(rig, "/v2/models/dates/generate", body);
    text_of(&reply, "\"text_output\":\"", got, sizeof got);
    reply_free(&reply);
    return strlen(got) == 10 && strncmp(got, line + WRITTEN + 1, 10) == 0;
}

START_TEST(ninety_eight_of_a_hundred_dates_are_understood)
{
    struct rig rig;
    char path[512], index[32];
    int n = 0, right = 0;
    if (!samples_path(path, sizeof path, "dates/date.txt.gz") || !begin(&rig))
        return;
    size_t size;
    const char *lines = rig_keep(rig_shell(&size, "gzip -dc '%s'", path));
    const size_t step = (size_t)(strchr(lines, '\n') - lines) + 1; /* all are equally long */
    FILE *list = fopen("models/dates/heldout.txt", "r");
    ck_assert_ptr_nonnull(list);
    for (; n < DATES_MOST && fgets(index, sizeof index, list); n++) {
        const size_t at = strtoul(index, NULL, 10) * step;
        ck_assert_uint_le(at + step, size);
        right += is_understood(&rig, lines + at);
    }
    fclose(list);
    printf("measured: dates: %d of %d are right, the manifest says %.4f\n", right, n,
           samples_accuracy("dates", "value"));
    ck_assert_msg(n == DATES_MOST && right * 100 >= n * 98, "%d of %d", right, n);
    rig_finish(&rig);
}
END_TEST

#define PLAY "tinyshakespeare/input.txt.gz"
#define LETTERS 65
#define STEP 1000

/* The letters are those of the text, in the order of their codes. */
static const char *letters_of(const char *text)
{
    static char letters[256];
    bool there[256] = {false};
    int n = 0;
    for (; *text; text++)
        there[(unsigned char)*text] = true;
    for (int c = 0; c < 256; c++)
        if (there[c])
            letters[n++] = (char)c;
    ck_assert_int_eq(n, LETTERS);
    return letters;
}

static double nats(const float *scores, int right)
{
    double most = (double)scores[0], sum = 0;
    for (int c = 1; c < LETTERS; c++)
        most = fmax(most, (double)scores[c]);
    for (int c = 0; c < LETTERS; c++)
        sum += exp((double)scores[c] - most);
    return log(sum) + most - (double)scores[right];
}

/* A step of the sequence: n characters, and how little was expected of each that follows, summed up. */
static double read_on(const struct rig *rig, const char *letters, const char *text, int n, bool start)
{
    static float scores[STEP * LETTERS];
    static char body[8 * STEP];
    int used = snprintf(body, sizeof body,
                        "{\"parameters\":{\"sequence_id\":1,\"sequence_start\":%s},\"outputs\":[{\"name\":\"scores\"}],"
                        "\"inputs\":[{\"name\":\"characters\",\"shape\":[1,%d],\"datatype\":\"INT64\",\"data\":",
                        start ? "true" : "false", n);
    for (int i = 0; i < n; i++)
        used += snprintf(body + used, sizeof body - (size_t)used, "%c%d", i ? ',' : '[',
                         (int)(strchr(letters, text[i]) - letters));
    used += snprintf(body + used, sizeof body - (size_t)used, "]}]}");
    struct reply reply = rig_ask(rig, "POST", "/v2/models/shakespeare/infer", "", body, (size_t)used);
    ck_assert_msg(reply_floats(&reply, scores, STEP * LETTERS) == n * LETTERS, "%.300s", reply.body);
    reply_free(&reply);
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += nats(scores + (size_t)i * LETTERS, (int)(strchr(letters, text[i + 1]) - letters));
    return sum;
}

START_TEST(a_play_is_expected_as_well_as_the_manifest_says)
{
    struct rig rig;
    char path[512];
    size_t n;
    if (!samples_path(path, sizeof path, PLAY) || !begin(&rig))
        return;
    const char *text = rig_keep(rig_shell(&n, "gzip -dc '%s'", path)), *letters = letters_of(text);
    const char *held = text + n * 95 / 100;
    const int most = RIG_SANITIZED ? 4000 : (int)(text + n - held) - 1;
    double sum = 0;
    for (int at = 0; at < most; at += STEP)
        sum += read_on(&rig, letters, held + at, most - at < STEP ? most - at : STEP, at == 0);
    const double wanted = samples_accuracy("shakespeare", "value");
    printf("measured: shakespeare: %.4f nats a character of %d, the manifest says %.4f\n", sum / most, most, wanted);
    ck_assert(wanted <= 1.6);
    if (!RIG_SANITIZED)
        ck_assert_msg(fabs(sum / most - wanted) <= 0.001, "%.4f nats, not %.4f", sum / most, wanted);
    rig_finish(&rig);
}
END_TEST

#define LINE_HEIGHT 24

/* models/read/heldout.png: lines one below the other, gray. */
static uint8_t *lines_of(int *width, int *n)
{
    struct spng_ihdr header;
    size_t size;
    FILE *file = fopen("models/read/heldout.png", "rb");
    ck_assert_ptr_nonnull(file);
    spng_ctx *ctx = spng_ctx_new(0);
    ck_assert_int_eq(spng_set_png_file(ctx, file), 0);
    ck_assert_int_eq(spng_get_ihdr(ctx, &header), 0);
    ck_assert_int_eq(header.color_type, SPNG_COLOR_TYPE_GRAYSCALE);
    ck_assert_int_eq(spng_decoded_image_size(ctx, SPNG_FMT_PNG, &size), 0);
    uint8_t *pixels = rig_keep(malloc(size));
    ck_assert_ptr_nonnull(pixels);
    ck_assert_int_eq(spng_decode_image(ctx, pixels, size, SPNG_FMT_PNG, 0), 0);
    spng_ctx_free(ctx);
    fclose(file);
    *width = (int)header.width;
    *n = (int)header.height / LINE_HEIGHT;
    return pixels;
}

START_TEST(lines_in_fonts_that_were_not_learnt_are_read)
{
    struct rig rig;
    char line[128], text[128];
    int width, n, wrong = 0, characters = 0;
    if (!begin(&rig))
        return;
    const uint8_t *pixels = lines_of(&width, &n);
    FILE *list = fopen("models/read/heldout.txt", "r");
    ck_assert_ptr_nonnull(list);
    for (int i = 0; i < n; i++) {
        ck_assert_ptr_nonnull(fgets(line, sizeof line, list));
        line[strcspn(line, "\n")] = '\0';
        struct blob png = samples_png(pixels + (size_t)i * LINE_HEIGHT * (size_t)width, width, LINE_HEIGHT);
        struct reply reply = rig_ask(&rig, "POST", "/v2/models/read/infer", PNG_IN, png.at, png.n);
        text_of(&reply, TEXT, text, sizeof text);
        reply_free(&reply);
        wrong += errors(text, line);
        characters += (int)strlen(line);
    }
    fclose(list);
    printf("measured: read: %d of %d characters are misread\n", wrong, characters);
    ck_assert_msg(n >= 20 && wrong * 20 <= characters, "%d of %d", wrong, characters);
    rig_finish(&rig);
}
END_TEST

Suite *daemon_trained_suite(void)
{
    Suite *suite = suite_create("daemon_trained");
    TCase *tests = tcase_create("trained");
    tcase_add_test(tests, a_noisy_digit_comes_back_with_a_third_of_the_error);
    tcase_add_test(tests, nine_of_ten_reconstructions_are_read_as_before);
    tcase_add_test(tests, one_spoken_digit_in_twenty_is_misheard_at_most);
    tcase_add_test(tests, what_is_said_is_heard);
    tcase_add_test(tests, ninety_eight_of_a_hundred_dates_are_understood);
    tcase_add_test(tests, a_play_is_expected_as_well_as_the_manifest_says);
    tcase_add_test(tests, lines_in_fonts_that_were_not_learnt_are_read);
    tcase_set_timeout(tests, RIG_PATIENCE_MS / 1000 * 4);
    suite_add_tcase(suite, tests);
    return suite;
}
