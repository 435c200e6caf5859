/*
 * speech.h - scores of windows -> segments: where in a sound somebody speaks.
 *
 * Hysteresis as in Silero's get_speech_timestamps, whose parameters' names and defaults are those of the manifest:
 * speech begins with a window whose score is at least `threshold`, and ends where scores fall below `neg_threshold` and
 * do not rise to `threshold` again for min_silence; what lasts no longer than min_speech is dropped; then both ends are
 * moved outwards by pad, and two that would meet share the silence between them.
 *
 * Window by window, so that a sound which comes in pieces has the segments of the whole: a segment is told as soon as
 * nothing that may come can move its end. Places are in samples. A struct without pointers, zeros at the beginning: it
 * is part of what a sequence keeps. Pure functions; any thread.
 */
#ifndef SERVE_SPEECH_H
#define SERVE_SPEECH_H

#include <stdbool.h>
#include <stdint.h>

struct speech_rules {
    float threshold, neg_threshold; /* neg_threshold < 0: threshold - 0.15, at least 0.01 */
    int min_speech_ms, min_silence_ms, pad_ms;
};

#define SPEECH_RULES_DEFAULT                                                                                           \
    {                                                                                                                  \
        .threshold = 0.5f, .neg_threshold = -1, .min_speech_ms = 250, .min_silence_ms = 100, .pad_ms = 30              \
    }

struct speech_segment {
    int64_t start, end;
    float score; /* the mean of its windows' */
};

/* What is known behind the last window. */
struct speech {
    uint8_t speaking, silent, held; /* silent: its score fell while speaking; held: one whose end may still move */
    int32_t n, n_silent;            /* windows of the speech up to the silence, and since */
    int64_t start, silence_at;
    double sum, silent_sum;
    int64_t held_start, held_end;
    double held_score;
};

/* Of one call: one that ends, and one that waited for it. */
#define SPEECH_MOST 2

/* The window that begins at this sample, at so many samples a second. Returns how many segments are told by it. */
int speech_window(struct speech *speech, const struct speech_rules *rules, int rate, int64_t at, float score,
                  struct speech_segment told[SPEECH_MOST]);

/* The sound has ended at this sample. */
int speech_end(struct speech *speech, const struct speech_rules *rules, int rate, int64_t at,
               struct speech_segment told[SPEECH_MOST]);

#endif
