/*
 * sound_file.c - FLAC and Ogg as libsndfile itself writes them come back as the tone they hold; what is damaged is
 * refused or served, and what only looks like them is never shown to the library.
 */
#include "serve/sound.h"

#include "base/err.h"
#include "recorded.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

Suite *serve_sound_file_suite(void);

#define SAMPLES 8000 /* half a second */

static struct arena arena;
static struct percept_err err;
static struct recorded file;
static struct sound sound;

static void record(int kind, int64_t n)
{
    static float frames[2 * SAMPLES];
    recorded_tone(frames, n, 2, 16000, 440);
    recorded_write(&file, (enum recorded_kind)kind, 16000, 2, frames, n);
}

static void end(void)
{
    arena_free(&arena);
}

static bool decoded(const void *at, size_t n)
{
    uint8_t *body = malloc(n ? n : 1);
    if (n)
        memcpy(body, at, n);
    err = (struct percept_err){0};
    sound = (struct sound){.body = bytes_of(body, n), .rate = 16000, .most_seconds = 2, .arena = &arena, .err = &err};
    const bool ok = sound_file_decode(&sound) && sound_end(&sound);
    sound_rate_close(&sound);
    free(body);
    return ok;
}

/* How much of the samples is a tone of 440 Hz, whatever its phase: codecs may shift it. */
static double tone_of(const float *x, int64_t from, int64_t to)
{
    double re = 0, im = 0, all = 0;
    for (int64_t i = from; i < to; i++) {
        const double angle = 2 * M_PI * 440 * (double)i / 16000;
        re += (double)x[i] * cos(angle);
        im += (double)x[i] * sin(angle);
        all += (double)x[i] * (double)x[i];
    }
    return (re * re + im * im) / (all * (double)(to - from) / 2);
}

START_TEST(a_tone_comes_back)
{
    record(_i, SAMPLES);
    ck_assert_msg(decoded(file.at, file.n), "%s", err.text);
    ck_assert_int_ge(sound.n, SAMPLES - 1200);
    ck_assert_int_le(sound.n, SAMPLES + 2400);
    ck_assert_double_gt(tone_of(sound.samples, 2000, 6000), 0.99);
    double power = 0;
    for (int i = 2000; i < 6000; i++)
        power += (double)sound.samples[i] * (double)sound.samples[i] / 4000;
    ck_assert_double_eq_tol(sqrt(2 * power), 0.5, 0.03);
    if (_i == RECORDED_FLAC) {
        ck_assert_int_eq(sound.n, SAMPLES);
        for (int i = 0; i < SAMPLES; i++)
            ck_assert_float_eq_tol(sound.samples[i], (float)(0.5 * sin(2 * M_PI * 440 * i / 16000)), 1.1f / 32768);
    }
}
END_TEST

/* Files of a fiftieth of a second, so that all of their cuts are tried. */
START_TEST(every_cut_is_refused_or_served)
{
    record(_i, 320);
    for (size_t n = 0; n < file.n; n++) {
        if (!decoded(file.at, n))
            ck_assert_msg(err.code == ERR_INVALID || err.code == ERR_MEDIA_TYPE, "%s: %s", err_name(err.code),
                          err.text);
        else
            ck_assert_int_ne(_i, RECORDED_FLAC);
        arena_free(&arena);
    }
}
END_TEST

START_TEST(any_flip_is_refused_or_served)
{
    static struct recorded damaged;
    uint32_t seed = 7;
    record(_i, 640);
    for (int i = 0; i < 600; i++) {
        damaged = file;
        for (int k = 0; k < 4; k++) {
            seed = seed * 1664525 + 1013904223;
            damaged.at[(seed >> 8) % (k % 2 ? damaged.n : 200)] ^= (uint8_t)(1 << (seed >> 5 & 7));
        }
        if (!decoded(damaged.at, damaged.n))
            ck_assert_msg(err.code == ERR_INVALID || err.code == ERR_MEDIA_TYPE || err.code == ERR_TOO_LARGE, "%s: %s",
                          err_name(err.code), err.text);
        arena_free(&arena);
    }
}
END_TEST

static const struct {
    const char *data;
    size_t n;
    int code;
    const char *says;
} foreign[] = {
    {"", 0, ERR_INVALID, "neither a FLAC nor an Ogg"},
    {"FORM\0\0\0\0AIFFCOMM", 16, ERR_INVALID, "neither"},
    {"ID3\x04\0\0\0\0\0\0fLaC", 14, ERR_INVALID, "neither"},
    {"OggS", 4, ERR_MEDIA_TYPE, "neither Opus nor FLAC"},
    {"OggS\0\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\x50Speex   ", 36, ERR_MEDIA_TYPE, "neither Opus"},
    {"OggS\0\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xffOpusHead", 35, ERR_MEDIA_TYPE, "neither Opus"},
    {"OggS\0\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\x13OpusHead", 36, ERR_INVALID, "broken or cut short"},
    {"OggS\0\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\x1e\1vorbis", 35, ERR_MEDIA_TYPE, "holds Vorbis; send Opus"},
    {"fLaC", 4, ERR_INVALID, "broken or cut short"},
};

START_TEST(what_only_looks_like_them_is_refused)
{
    ck_assert(!decoded(foreign[_i].data, foreign[_i].n));
    ck_assert_msg(strstr(err.text, foreign[_i].says) != NULL, "says: %s", err.text);
    ck_assert_int_eq(err.code, foreign[_i].code);
}
END_TEST

START_TEST(nobody_waits)
{
    int cancel = 1;
    struct watch watch = {.cancel = &cancel};
    record(_i, SAMPLES);
    err = (struct percept_err){0};
    sound = (struct sound){.body = bytes_of(file.at, file.n),
                           .rate = 16000,
                           .most_seconds = 2,
                           .watch = &watch,
                           .arena = &arena,
                           .err = &err};
    ck_assert(!sound_file_decode(&sound));
    ck_assert_int_eq(err.code, ERR_CANCELLED);
}
END_TEST

Suite *serve_sound_file_suite(void)
{
    Suite *suite = suite_create("serve/sound_file");
    TCase *tests = tcase_create("sound_file");
    tcase_add_checked_fixture(tests, NULL, end);
    tcase_add_loop_test(tests, a_tone_comes_back, 0, RECORDED_MP3);
    tcase_add_loop_test(tests, every_cut_is_refused_or_served, 0, RECORDED_MP3);
    tcase_add_loop_test(tests, any_flip_is_refused_or_served, 0, RECORDED_MP3);
    tcase_add_loop_test(tests, what_only_looks_like_them_is_refused, 0, (int)(sizeof foreign / sizeof *foreign));
    tcase_add_loop_test(tests, nobody_waits, 0, RECORDED_MP3);
    suite_add_tcase(suite, tests);
    return suite;
}
