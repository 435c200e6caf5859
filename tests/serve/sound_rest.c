/* sound_rest.c - windows over pieces of every size are those over the whole, and those that are listed by hand. */
#include "serve/sound_rest.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

Suite *serve_sound_rest_suite(void);

#define SAMPLES_MOST 40
#define ROWS_MOST 4000

/* What was heard: windows with their contexts behind each other, and where each began. */
struct heard {
    int64_t n, places[SAMPLES_MOST];
    float samples[ROWS_MOST];
};

static struct sound_rest *rest_new(const struct manifest_audio *audio)
{
    struct sound_rest *rest = calloc(1, sound_rest_bytes(audio));
    ck_assert_ptr_nonnull(rest);
    return rest;
}

static void hear(struct heard *heard, const struct manifest_audio *audio, struct sound_rest *rest, const float *samples,
                 int64_t n, bool start, bool end)
{
    const struct sound_cut cut = sound_rest_cut(rest, audio, n, start, end);
    const int64_t item = audio->context + audio->window;
    float *row = calloc((size_t)cut.total + 1, sizeof *row); /* exactly, for sanitizers */
    ck_assert_ptr_nonnull(row);
    sound_rest_join(rest, &cut, start, samples, audio->range, row);
    for (int64_t i = 0; i < cut.n_windows; i++, heard->n++) {
        ck_assert_int_le(i * audio->hop + item, cut.total);
        ck_assert_int_lt(heard->n, SAMPLES_MOST);
        heard->places[heard->n] = cut.first + i * audio->hop;
        memcpy(heard->samples + heard->n * item, row + i * audio->hop, (size_t)item * sizeof *row);
    }
    sound_rest_keep(rest, audio, &cut, n, start, row, rest);
    ck_assert(sound_rest_is_good(rest, audio));
    free(row);
}

/* The sound 1, 2, 3 ... in pieces of `piece` samples. */
static void hear_all(struct heard *heard, const struct manifest_audio *audio, int64_t n, int64_t piece)
{
    struct sound_rest *rest = rest_new(audio);
    float samples[SAMPLES_MOST];
    for (int i = 0; i < SAMPLES_MOST; i++)
        samples[i] = (float)(i + 1);
    *heard = (struct heard){0};
    int64_t at = 0;
    do {
        const int64_t some = piece < n - at ? piece : n - at;
        hear(heard, audio, rest, samples + at, some, at == 0, at + some == n);
        at += some;
    } while (at < n);
    ck_assert_int_eq(rest->n_posted, n);
    ck_assert_int_eq(rest->n_windows, heard->n);
    free(rest);
}

static const struct {
    struct manifest_audio audio;
    int64_t n, n_windows;
    float first, last; /* samples of the first window and the last */
} cases[] = {
    {{.range = 1, .window = 4, .hop = 4}, 12, 3, 1, 12},
    {{.range = 1, .window = 4, .hop = 4}, 11, 2, 1, 8},
    {{.range = 1, .window = 4, .hop = 4, .pad = true}, 11, 3, 1, 0},
    {{.range = 1, .window = 4, .hop = 4, .pad = true}, 12, 3, 1, 12},
    {{.range = 1, .window = 4, .hop = 4, .pad = true}, 3, 1, 1, 0},
    {{.range = 1, .window = 4, .hop = 4}, 3, 0, 0, 0},
    {{.range = 1, .window = 4, .hop = 2}, 10, 4, 1, 10},
    {{.range = 1, .window = 4, .hop = 2, .pad = true}, 10, 4, 1, 10},
    {{.range = 1, .window = 4, .hop = 2, .pad = true}, 11, 5, 1, 0},
    {{.range = 2, .window = 4, .hop = 3, .context = 2}, 11, 3, 0, 20},
    {{.range = 1, .window = 4, .hop = 3, .context = 2, .pad = true}, 11, 4, 0, 0},
    {{.range = 1, .window = 2, .hop = 5}, 12, 3, 1, 12},
    {{.range = 1, .window = 2, .hop = 5}, 11, 2, 1, 7},
    {{.range = 1, .window = 2, .hop = 5, .pad = true}, 11, 3, 1, 0},
    {{.range = 1, .window = 2, .hop = 5, .pad = true}, 10, 2, 1, 7},
    {{.range = 1, .window = 4, .hop = 4, .zeros_before = 6, .zeros_after = 3}, 11, 5, 0, 0},
    {{.range = 1, .window = 4, .hop = 4, .zeros_before = 6, .zeros_after = 3, .context = 3}, 11, 5, 0, 0},
    {{.range = 1, .window = 1, .hop = 1}, 5, 5, 1, 5},
};

START_TEST(pieces_of_any_size_have_the_windows_of_the_whole)
{
    const struct manifest_audio *audio = &cases[_i].audio;
    const int64_t item = audio->context + audio->window;
    static struct heard whole, pieces;
    hear_all(&whole, audio, cases[_i].n, cases[_i].n);
    ck_assert_int_eq(whole.n, cases[_i].n_windows);
    if (whole.n) {
        ck_assert_float_eq(whole.samples[0], cases[_i].first);
        ck_assert_float_eq(whole.samples[whole.n * item - 1], cases[_i].last);
        ck_assert_int_eq(whole.places[0], -audio->zeros_before);
    }
    for (int64_t piece = 1; piece < cases[_i].n; piece++) {
        hear_all(&pieces, audio, cases[_i].n, piece);
        ck_assert_int_eq(pieces.n, whole.n);
        ck_assert_mem_eq(pieces.places, whole.places, sizeof whole.places);
        ck_assert_mem_eq(pieces.samples, whole.samples, sizeof whole.samples);
    }
}
END_TEST

START_TEST(a_piece_may_have_nothing)
{
    const struct manifest_audio audio = {.range = 1, .window = 4, .hop = 4, .pad = true};
    struct sound_rest *rest = rest_new(&audio);
    static struct heard heard;
    const float samples[] = {1, 2, 3};
    heard = (struct heard){0};
    hear(&heard, &audio, rest, samples, 0, true, false);
    hear(&heard, &audio, rest, samples, 3, false, false);
    hear(&heard, &audio, rest, samples, 0, false, false);
    ck_assert_int_eq(heard.n, 0);
    hear(&heard, &audio, rest, samples, 0, false, true);
    ck_assert_int_eq(heard.n, 1);
    heard = (struct heard){0};
    hear(&heard, &audio, rest, samples, 0, true, true); /* nothing at all: no window is made up */
    ck_assert_int_eq(heard.n, 0);
    free(rest);
}
END_TEST

START_TEST(a_rest_from_elsewhere_is_judged)
{
    const struct manifest_audio audio = {.range = 1, .window = 4, .hop = 6, .context = 1, .zeros_before = 2};
    struct sound_rest *rest = rest_new(&audio);
    const struct sound_rest good = {.n = 5, .skip = 6, .at = -2, .n_bytes = SOUND_REST_BYTES - 1, .n_posted = 7};
    const struct sound_rest wrong[] = {
        {.n = -1},
        {.n = 6},
        {.skip = -1},
        {.skip = 7},
        {.at = -3},
        {.at = INT64_MAX},
        {.n_bytes = -1},
        {.n_bytes = SOUND_REST_BYTES},
        {.n_posted = -1},
        {.n_posted = INT64_MAX},
        {.n_windows = -1},
        {.n_windows = INT64_MAX},
        {.speech.n = -1},
        {.speech.n_silent = INT32_MAX},
        {.speech.start = -1},
        {.speech.held_end = INT64_MAX},
    };
    *rest = good;
    ck_assert(sound_rest_is_good(rest, &audio));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ck_assert_msg(!sound_rest_is_good(&wrong[i], &audio), "%zu", i);
    free(rest);
}
END_TEST

START_TEST(not_every_sound_can_come_in_pieces)
{
    ck_assert(sound_rest_serves(&(struct manifest_audio){.window = 1}));
    ck_assert(sound_rest_serves(&(struct manifest_audio){.window = 1, .normalize = NORMALIZE_FEATURES}));
    ck_assert(!sound_rest_serves(&(struct manifest_audio){.window = 0}));
    ck_assert(!sound_rest_serves(&(struct manifest_audio){.window = 1, .normalize = NORMALIZE_SAMPLES}));
}
END_TEST

Suite *serve_sound_rest_suite(void)
{
    Suite *suite = suite_create("serve/sound_rest");
    TCase *tests = tcase_create("sound_rest");
    tcase_add_loop_test(tests, pieces_of_any_size_have_the_windows_of_the_whole, 0, sizeof cases / sizeof *cases);
    tcase_add_test(tests, a_piece_may_have_nothing);
    tcase_add_test(tests, a_rest_from_elsewhere_is_judged);
    tcase_add_test(tests, not_every_sound_can_come_in_pieces);
    suite_add_tcase(suite, tests);
    return suite;
}
