/* sound_pcm.c - every coding of samples, with a WAV's head and without; heads that lie. */
#include "serve/sound.h"

#include "base/err.h"
#include "recorded.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

Suite *serve_sound_pcm_suite(void);

static struct arena arena;
static struct percept_err err;
static struct recorded file;
static struct sound sound;

static void begin(void)
{
    err = (struct percept_err){0};
}

static void end(void)
{
    arena_free(&arena);
}

/* In memory of exactly its size, so that reading past it shows. */
static bool decoded(const void *at, size_t n, const char *type)
{
    uint8_t *body = malloc(n ? n : 1);
    if (n)
        memcpy(body, at, n);
    err = (struct percept_err){0};
    sound = (struct sound){.body = bytes_of(body, n), .rate = 16000, .most_seconds = 1, .arena = &arena, .err = &err};
    if (type)
        sound.content_type = bytes_of_text(type);
    const bool ok = (type ? sound_pcm_raw(&sound) : sound_pcm_wave(&sound)) && sound_end(&sound);
    sound_rate_close(&sound);
    free(body);
    return ok;
}

static const struct {
    int tag, bits;
    const char *data;
    float want[2];
} codings[] = {
    {1, 8, "\x80\xc0", {0, 0.5f}},
    {1, 16, "\x00\x40\x00\x80", {0.5f, -1}},
    {1, 24, "\x00\x00\x40\xff\xff\xff", {0.5f, -0x1p-23f}},
    {1, 32, "\x00\x00\x00\x40\x00\x00\x00\x80", {0.5f, -1}},
    {3, 32, "\x00\x00\x00\x3f\x00\x00\x80\xbf", {0.5f, -1}},
    {3, 64, "\x00\x00\x00\x00\x00\x00\xe0\x3f\x00\x00\x00\x00\x00\x00\xf0\xbf", {0.5f, -1}},
    {6, 8, "\xd5\x2a", {8.0f / 32768, -32256.0f / 32768}},
    {7, 8, "\xff\x00", {0, -32124.0f / 32768}},
};

START_TEST(every_coding_is_read)
{
    recorded_wave(&file, 16000, 1, codings[_i].tag, codings[_i].bits, codings[_i].data,
                  2 * (size_t)codings[_i].bits / 8);
    ck_assert_msg(decoded(file.at, file.n, NULL), "%s", err.text);
    ck_assert_int_eq(sound.n, 2);
    for (int i = 0; i < 2; i++)
        ck_assert_msg(fabsf(sound.samples[i] - codings[_i].want[i]) < 1e-9f, "%d of coding %d is %g", i, _i,
                      (double)sound.samples[i]);
}
END_TEST

/* G.711's numbers, all of them: by its own tables of segments. */
START_TEST(the_laws_are_g_711s)
{
    uint8_t codes[256];
    for (int i = 0; i < 256; i++)
        codes[i] = (uint8_t)i;
    for (int mu = 0; mu < 2; mu++) {
        recorded_wave(&file, 16000, 1, 6 + mu, 8, codes, 256);
        ck_assert(decoded(file.at, file.n, NULL));
        for (int i = 0; i < 256; i++) {
            const int code = mu ? ~i & 0xff : i ^ 0x55, segment = code >> 4 & 7, step = code & 15;
            double value = mu        ? (33 + 2.0 * step) * pow(2, segment) - 33
                           : segment ? (33 + 2.0 * step) * pow(2, segment - 1)
                                     : 2.0 * step + 1;
            value *= mu ? 4 : 8;
            if (mu == (code >> 7 & 1))
                value = -value;
            ck_assert_float_eq_tol(sound.samples[i] * 32768, (float)value, 1e-3f);
        }
    }
}
END_TEST

START_TEST(an_extensible_head_and_other_chunks_are_read)
{
    static const char text[] = "RIFF\0\0\0\0WAVELIST\x03\0\0\0abc\0fmt \x28\0\0\0"
                               "\xfe\xff\x02\0\x80\x3e\0\0\0\xfa\0\0\x04\0\x10\0\x16\0\x10\0\x03\0\0\0"
                               "\x01\0\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71"
                               "data\x04\0\0\0\0\x40\0\x20tail";
    ck_assert_msg(decoded(text, sizeof text - 1, NULL), "%s", err.text);
    ck_assert_int_eq(sound.n, 1);
    ck_assert_float_eq(sound.samples[0], 0.375f);
}
END_TEST

START_TEST(a_length_that_its_writer_did_not_know_is_the_files)
{
    recorded_wave(&file, 16000, 1, 1, 16, "\0\x40\0\x40\0\x40", 6);
    memset(file.at + 40, 0xff, 4);
    ck_assert(decoded(file.at, file.n, NULL));
    ck_assert_int_eq(sound.n, 3);
    ck_assert(decoded(file.at, file.n - 1, NULL)); /* half a frame is none */
    ck_assert_int_eq(sound.n, 2);
    memcpy(file.at + 40, "\x08\0\0\0", 4);
    ck_assert(!decoded(file.at, file.n, NULL));
    ck_assert_msg(strstr(err.text, "cut short: of 8 bytes of samples it has 6") != NULL, "%s", err.text);
}
END_TEST

/* One number of a good head is another. */
static const struct {
    size_t at;
    const char *bytes;
    size_t n;
    int code;
    const char *says;
} lies[] = {
    {20, "\x02\0", 2, ERR_MEDIA_TYPE, "coding 0x0002 with 16 bits"},
    {20, "\xfe\xff", 2, ERR_MEDIA_TYPE, "coding 0xfffe"},
    {34, "\x0c\0", 2, ERR_MEDIA_TYPE, "with 12 bits"},
    {34, "\0\0", 2, ERR_MEDIA_TYPE, "with 0 bits"},
    {22, "\0\0", 2, ERR_INVALID, "a frame has 2 bytes; 0 channels of 2 bytes"},
    {22, "\xff\xff", 2, ERR_INVALID, "65535 channels"},
    {22, "\0\0\x80\x3e\0\0\0\0\0\0\0\0", 12, ERR_INVALID, "0 channels"},
    {24, "\0\0\0\0", 4, ERR_INVALID, "0 samples a second"},
    {24, "\xff\xff\xff\xff", 4, ERR_INVALID, "4294967295 samples a second"},
    {32, "\x04\0", 2, ERR_INVALID, "a frame has 4 bytes"},
    {16, "\x0f\0\0\0", 4, ERR_INVALID, "has 15 bytes; it has at least 16"},
    {16, "\xff\xff\xff\xff", 4, ERR_INVALID, "it has no samples"},
    {12, "xxxx", 4, ERR_INVALID, "no format chunk before its data"},
    {36, "xxxx", 4, ERR_INVALID, "it has no samples"},
    {40, "\0\0\0\0", 4, ERR_INVALID, "has no samples"},
    {40, "\xff\xff\xff\x0f", 4, ERR_INVALID, "cut short"},
};

START_TEST(a_head_that_lies_is_refused)
{
    recorded_wave(&file, 16000, 1, 1, 16, "\0\x40\0\x40", 4);
    memcpy(file.at + lies[_i].at, lies[_i].bytes, lies[_i].n);
    ck_assert(!decoded(file.at, file.n, NULL));
    ck_assert_msg(strstr(err.text, lies[_i].says) != NULL, "says: %s", err.text);
    ck_assert_int_eq(err.code, lies[_i].code);
}
END_TEST

START_TEST(every_cut_is_refused)
{
    recorded_wave(&file, 16000, 1, 1, 16, "\0\x40\0\x40", 4);
    for (size_t n = 0; n < file.n; n++) {
        ck_assert_msg(!decoded(file.at, n, NULL), "cut to %zu bytes", n);
        ck_assert_int_eq(err.code, ERR_INVALID);
    }
}
END_TEST

START_TEST(any_flip_is_refused_or_served)
{
    static const uint8_t data[400];
    uint32_t seed = 1;
    recorded_wave(&file, 16000, 1, 1, 16, data, sizeof data);
    for (int i = 0; i < 3000; i++) {
        static struct recorded damaged;
        damaged = file;
        for (int k = 0; k < 3; k++) {
            seed = seed * 1664525 + 1013904223;
            damaged.at[(seed >> 8) % 60] ^= (uint8_t)(1 << (seed >> 5 & 7));
        }
        if (!decoded(damaged.at, damaged.n, NULL))
            ck_assert(err.code == ERR_INVALID || err.code == ERR_MEDIA_TYPE);
        arena_free(&arena);
    }
}
END_TEST

START_TEST(a_sound_that_is_too_long_is_refused_by_its_head)
{
    static uint8_t data[16001];
    memset(data, 0x80, sizeof data);
    recorded_wave(&file, 16000, 1, 1, 8, data, sizeof data - 1);
    ck_assert(decoded(file.at, file.n, NULL));
    recorded_wave(&file, 16000, 1, 1, 8, data, sizeof data);
    ck_assert(!decoded(file.at, file.n, NULL));
    ck_assert_int_eq(err.code, ERR_TOO_LARGE);
    ck_assert_ptr_null(sound.samples);
}
END_TEST

static const struct {
    const char *type, *data;
    size_t n;
    float want; /* of the first sample */
    int n_samples;
    const char *says; /* of a refusal */
} raws[] = {
    {"audio/L16;rate=16000;channels=1", "\x40\x00\x80\x00", 4, 0.5f, 2, NULL},
    {"audio/l16; channels=2; rate=16000", "\x40\x00\x20\x00", 4, 0.375f, 1, NULL},
    {"audio/L16;rate=\"16000\"", "\x40\x00", 2, 0.5f, 1, NULL},
    {"audio/x-raw;format=S16LE;rate=16000", "\x00\x40", 2, 0.5f, 1, NULL},
    {"audio/x-raw ; format = S16LE;rate=16000", "\x00\x40", 2, 0, 0, "needs format="},
    {"audio/x-raw;rate=16000;FORMAT=f32le", "\0\0\0\x3f", 4, 0.5f, 1, NULL},
    {"audio/x-raw;rate=16000;format=F64LE", "\0\0\0\0\0\0\xe0\x3f", 8, 0.5f, 1, NULL},
    {"audio/x-raw;rate=16000;format=S16BE", "\x40\x00", 2, 0.5f, 1, NULL},
    {"audio/x-raw;rate=16000;format=U8", "\xc0", 1, 0.5f, 1, NULL},
    {"audio/x-raw;rate=16000;format=S24LE", "\0\0\x40", 3, 0.5f, 1, NULL},
    {"audio/x-raw;rate=16000;format=S32LE", "\0\0\0\x40", 4, 0.5f, 1, NULL},
    {"audio/x-raw;rate=16000", "\x40\x00", 2, 0, 0, "needs format="},
    {"audio/x-raw;rate=16000;format=", "\x40\x00", 2, 0, 0, "needs format="},
    {"audio/L16", "\x40\x00", 2, 0, 0, "need their rate"},
    {"audio/L16;rate", "\x40\x00", 2, 0, 0, "need their rate"},
    {"audio/L16;rate=", "\x40\x00", 2, 0, 0, "need their rate"},
    {"audio/L16;rate=fast", "\x40\x00", 2, 0, 0, "need their rate"},
    {"audio/L16;rate=-1", "\x40\x00", 2, 0, 0, "need their rate"},
    {"audio/L16;rate=99999999999", "\x40\x00", 2, 0, 0, "need their rate"},
    {"audio/L16;rate=0", "\x40\x00", 2, 0, 0, "0 samples a second"},
    {"audio/L16;rate=16000;channels=0", "\x40\x00", 2, 0, 0, "0 channels"},
    {"audio/L16;rate=16000;channels=999999999", "\x40\x00", 2, 0, 0, "999999999 channels"},
    {"audio/L16;rate=16000;channels=x", "\x40\x00", 2, 0, 0, "need their rate"},
    {"audio/L16;rate=16000", "\x40\x00\x00", 3, 0, 0, "do not fill it"},
    {"audio/L16;rate=16000", "", 0, 0, 0, "no samples"},
    {"audio/L16;;;=;rate=16000;", "\x40\x00", 2, 0.5f, 1, NULL},
};

START_TEST(samples_without_a_head_are_what_their_type_says)
{
    const bool ok = decoded(raws[_i].data, raws[_i].n, raws[_i].type);
    if (raws[_i].says) {
        ck_assert(!ok);
        ck_assert_msg(strstr(err.text, raws[_i].says) != NULL, "%s: %s", raws[_i].type, err.text);
        return;
    }
    ck_assert_msg(ok, "%s: %s", raws[_i].type, err.text);
    ck_assert_int_eq(sound.n, raws[_i].n_samples);
    ck_assert_float_eq(sound.samples[0], raws[_i].want);
}
END_TEST

Suite *serve_sound_pcm_suite(void)
{
    Suite *suite = suite_create("serve/sound_pcm");
    TCase *tests = tcase_create("sound_pcm");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_loop_test(tests, every_coding_is_read, 0, (int)(sizeof codings / sizeof *codings));
    tcase_add_test(tests, the_laws_are_g_711s);
    tcase_add_test(tests, an_extensible_head_and_other_chunks_are_read);
    tcase_add_test(tests, a_length_that_its_writer_did_not_know_is_the_files);
    tcase_add_loop_test(tests, a_head_that_lies_is_refused, 0, (int)(sizeof lies / sizeof *lies));
    tcase_add_test(tests, every_cut_is_refused);
    tcase_add_test(tests, any_flip_is_refused_or_served);
    tcase_add_test(tests, a_sound_that_is_too_long_is_refused_by_its_head);
    tcase_add_loop_test(tests, samples_without_a_head_are_what_their_type_says, 0, (int)(sizeof raws / sizeof *raws));
    suite_add_tcase(suite, tests);
    return suite;
}
