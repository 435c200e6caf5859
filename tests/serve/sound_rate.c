/* sound_rate.c - a tone stays the tone it was when its rate is changed, up, down and by odd ratios. */
#include "serve/sound.h"

#include "base/err.h"
#include "recorded.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>

Suite *serve_sound_rate_suite(void);

static const struct {
    int from, to;
} rates[] = {{44100, 16000}, {48000, 16000}, {8000, 16000},   {22050, 16000},
             {44101, 15999}, {1000, 16000},  {768000, 16000}, {16000, 48000}};

START_TEST(a_tone_stays_a_tone)
{
    static float frames[768000], want[64000];
    const int from = rates[_i].from, to = rates[_i].to;
    struct arena arena = {0};
    struct percept_err err = {0};
    struct sound sound = {.rate = to, .most_seconds = 2, .arena = &arena, .err = &err};
    recorded_tone(frames, from, 1, from, 220);
    recorded_tone(want, to, 1, to, 220);
    ck_assert_msg(sound_begin(&sound, from, 1), "%s", err.text);
    for (int i = 0; i < from; i += 1000)
        ck_assert(sound_put(&sound, frames + i, from - i < 1000 ? from - i : 1000));
    ck_assert(sound_end(&sound));
    sound_rate_close(&sound);
    ck_assert_int_le(llabs(sound.n - to), 2);
    for (int i = to / 8; i < to * 7 / 8; i++) /* at its ends the tone begins and stops at once */
        ck_assert_msg(fabsf(sound.samples[i] - want[i]) < 2e-4f, "sample %d is %f, not %f", i, (double)sound.samples[i],
                      (double)want[i]);
    arena_free(&arena);
}
END_TEST

START_TEST(nobody_waits)
{
    static const float block[SOUND_BLOCK];
    int cancel = 0;
    struct watch watch = {.cancel = &cancel};
    struct arena arena = {0};
    struct percept_err err = {0};
    struct sound sound = {.rate = 16000, .most_seconds = 2, .watch = &watch, .arena = &arena, .err = &err};
    ck_assert(sound_begin(&sound, 8000, 1));
    ck_assert(sound_put(&sound, block, SOUND_BLOCK));
    cancel = 1;
    watch.left = 0;
    ck_assert(!sound_end(&sound));
    ck_assert_int_eq(err.code, ERR_CANCELLED);
    sound_rate_close(&sound);
    sound_rate_close(&sound);
    arena_free(&arena);
}
END_TEST

Suite *serve_sound_rate_suite(void)
{
    Suite *suite = suite_create("serve/sound_rate");
    TCase *tests = tcase_create("sound_rate");
    tcase_add_loop_test(tests, a_tone_stays_a_tone, 0, (int)(sizeof rates / sizeof *rates));
    tcase_add_test(tests, nobody_waits);
    suite_add_tcase(suite, tests);
    return suite;
}
