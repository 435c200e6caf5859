/* sound.c - what decoders hand on is judged, mixed and collected. */
#include "serve/sound.h"

#include "base/err.h"

#include <check.h>
#include <string.h>

Suite *serve_sound_suite(void);

static struct arena arena;
static struct percept_err err;
static struct sound sound;

static void begin(void)
{
    err = (struct percept_err){0};
    sound = (struct sound){.rate = 16000, .most_seconds = 2, .arena = &arena, .err = &err};
}

static void end(void)
{
    sound_rate_close(&sound);
    arena_free(&arena);
}

static const struct {
    int64_t rate, channels;
    const char *says;
} heads[] = {
    {16000, 1, NULL},
    {16000, SOUND_CHANNELS_MOST, NULL},
    {SOUND_RATE_LEAST, 1, NULL},
    {SOUND_RATE_MOST, 1, NULL},
    {0, 1, "0 samples a second"},
    {-1, 1, "-1 samples a second"},
    {SOUND_RATE_LEAST - 1, 1, "999 samples a second; 1000 to 768000"},
    {SOUND_RATE_MOST + 1, 1, "768001 samples a second"},
    {16000, 0, "0 channels"},
    {16000, SOUND_CHANNELS_MOST + 1, "65 channels; 1 to 64"},
    {16000, 1000000000, "1000000000 channels"},
};

START_TEST(heads_are_judged)
{
    ck_assert_int_eq(sound_begin(&sound, heads[_i].rate, heads[_i].channels), heads[_i].says == NULL);
    if (heads[_i].says) {
        ck_assert_msg(strstr(err.text, heads[_i].says), "says: %s", err.text);
        ck_assert_int_eq(err.code, ERR_INVALID);
    }
}
END_TEST

START_TEST(channels_are_mixed)
{
    static const float frames[] = {1, 2, 6, -1, 0, 4};
    ck_assert(sound_begin(&sound, 16000, 3));
    ck_assert(sound_put(&sound, frames, 2));
    ck_assert(sound_end(&sound));
    ck_assert_int_eq(sound.n, 2);
    ck_assert_float_eq(sound.samples[0], 3);
    ck_assert_float_eq(sound.samples[1], 1);
    sound.first_channel = true;
    ck_assert(sound_put(&sound, frames, 2));
    ck_assert_float_eq(sound.samples[2], 1);
    ck_assert_float_eq(sound.samples[3], -1);
}
END_TEST

START_TEST(many_blocks_are_collected)
{
    float block[SOUND_BLOCK];
    ck_assert(sound_begin(&sound, 16000, 1));
    for (int i = 0; i < 32000; i += 3200) {
        for (int k = 0; k < 3200; k++)
            block[k] = (float)(i + k);
        ck_assert(sound_put(&sound, block, 3200));
    }
    ck_assert_int_eq(sound.n, 32000);
    for (int i = 0; i < 32000; i++)
        ck_assert_float_eq(sound.samples[i], (float)i);
    ck_assert(!sound_put(&sound, block, 1));
    ck_assert_int_eq(err.code, ERR_TOO_LARGE);
    ck_assert_msg(strstr(err.text, "longer than 2 seconds") != NULL, "%s", err.text);
}
END_TEST

START_TEST(silence_is_a_sound_and_nothing_is_not)
{
    static const float nothing[1];
    ck_assert(sound_begin(&sound, 16000, 1));
    ck_assert(!sound_end(&sound));
    ck_assert_int_eq(err.code, ERR_INVALID);
    ck_assert(sound_put(&sound, nothing, 1));
    ck_assert(sound_end(&sound));
}
END_TEST

START_TEST(nobody_waits_and_no_memory)
{
    static const float block[SOUND_BLOCK];
    int cancel = 1;
    struct watch watch = {.cancel = &cancel};
    ck_assert(sound_begin(&sound, 16000, 1));
    arena_fail_at(1, true);
    ck_assert(!sound_put(&sound, block, SOUND_BLOCK));
    arena_fail_at(0, false);
    ck_assert_int_eq(err.code, ERR_MEMORY);
    err = (struct percept_err){0};
    sound.watch = &watch;
    ck_assert(!sound_put(&sound, block, SOUND_BLOCK));
    ck_assert_int_eq(err.code, ERR_CANCELLED);
}
END_TEST

Suite *serve_sound_suite(void)
{
    Suite *suite = suite_create("serve/sound");
    TCase *tests = tcase_create("sound");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_loop_test(tests, heads_are_judged, 0, (int)(sizeof heads / sizeof *heads));
    tcase_add_test(tests, channels_are_mixed);
    tcase_add_test(tests, many_blocks_are_collected);
    tcase_add_test(tests, silence_is_a_sound_and_nothing_is_not);
    tcase_add_test(tests, nobody_waits_and_no_memory);
    suite_add_tcase(suite, tests);
    return suite;
}
