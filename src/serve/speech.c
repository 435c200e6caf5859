/*
 * speech.c - see speech.h.
 *
 * Of the speech that goes on the start is unpadded until it ends; of the one that is held the start is final and the
 * end unpadded. The two share their silence when the later one is known not to be dropped.
 */
#include "serve/speech.h"

#define NEG_BELOW 0.15f
#define NEG_LEAST 0.01f

/* The rules in samples. */
struct limits {
    int64_t min_speech, min_silence, pad;
    float threshold, neg_threshold;
};

static struct limits limits_of(const struct speech_rules *rules, int rate)
{
    struct limits limits = {.min_speech = (int64_t)rules->min_speech_ms * rate / 1000,
                            .min_silence = (int64_t)rules->min_silence_ms * rate / 1000,
                            .pad = (int64_t)rules->pad_ms * rate / 1000,
                            .threshold = rules->threshold,
                            .neg_threshold = rules->neg_threshold};
    if (limits.neg_threshold < 0)
        limits.neg_threshold = limits.threshold - NEG_BELOW > NEG_LEAST ? limits.threshold - NEG_BELOW : NEG_LEAST;
    return limits;
}

static int64_t at_least(int64_t at, int64_t least)
{
    return at < least ? least : at;
}

/* The one that is held is told, with its end there. */
static int tell(struct speech *speech, int64_t end, struct speech_segment *told)
{
    speech->held = false;
    *told = (struct speech_segment){.start = speech->held_start, .end = end, .score = (float)speech->held_score};
    return 1;
}

/* The speech has ended there and counts: it is held, and what was held before it is told. */
static int hold(struct speech *speech, const struct limits *limits, int64_t end, struct speech_segment *told)
{
    int64_t start = at_least(speech->start - limits->pad, 0);
    int n = 0;
    if (speech->held) {
        const int64_t silence = speech->start - speech->held_end;
        const bool near = silence < 2 * limits->pad;
        start = near ? speech->start - silence / 2 : start;
        n = tell(speech, speech->held_end + (near ? silence / 2 : limits->pad), told);
    }
    speech->held = true;
    speech->held_start = start;
    speech->held_end = end;
    speech->held_score = speech->n ? speech->sum / speech->n : 0;
    return n;
}

/* Ends what is spoken, or drops it. */
static int stop(struct speech *speech, const struct limits *limits, int64_t end, struct speech_segment *told)
{
    const int n = end - speech->start > limits->min_speech ? hold(speech, limits, end, told) : 0;
    speech->speaking = speech->silent = false;
    return n;
}

static void start(struct speech *speech, int64_t at)
{
    speech->speaking = true;
    speech->silent = false;
    speech->start = at;
    speech->n = speech->n_silent = 0;
    speech->sum = speech->silent_sum = 0;
}

/* It goes on: what seemed to be silence was not. */
static void go_on(struct speech *speech)
{
    speech->silent = false;
    speech->sum += speech->silent_sum;
    speech->n += speech->n_silent;
    speech->silent_sum = 0;
    speech->n_silent = 0;
}

/* Can a speech that goes on, or one to come, still move the end of the one that is held? */
static bool is_settled(const struct speech *speech, const struct limits *limits, int64_t at)
{
    const int64_t reach = speech->held_end + 2 * limits->pad;
    return at >= reach && !(speech->speaking && speech->start < reach);
}

int speech_window(struct speech *speech, const struct speech_rules *rules, int rate, int64_t at, float score,
                  struct speech_segment told[SPEECH_MOST])
{
    const struct limits limits = limits_of(rules, rate);
    int n = 0;
    at = at_least(at, 0);
    if (score >= limits.threshold) {
        if (!speech->speaking)
            start(speech, at);
        else if (speech->silent)
            go_on(speech);
    } else if (speech->speaking && score < limits.neg_threshold && !speech->silent) {
        speech->silent = true;
        speech->silence_at = at;
    }
    if (speech->speaking && speech->silent && at - speech->silence_at >= limits.min_silence &&
        score < limits.neg_threshold)
        n = stop(speech, &limits, speech->silence_at, told);
    if (speech->speaking) {
        *(speech->silent ? &speech->silent_sum : &speech->sum) += (double)score;
        ++*(speech->silent ? &speech->n_silent : &speech->n);
    }
    if (speech->held && is_settled(speech, &limits, at))
        n += tell(speech, speech->held_end + limits.pad, told + n);
    return n;
}

int speech_end(struct speech *speech, const struct speech_rules *rules, int rate, int64_t at,
               struct speech_segment told[SPEECH_MOST])
{
    const struct limits limits = limits_of(rules, rate);
    int n = 0;
    if (speech->speaking) {
        if (speech->silent)
            go_on(speech);
        n = stop(speech, &limits, at, told);
    }
    if (speech->held) {
        const int64_t end = speech->held_end + limits.pad;
        n += tell(speech, end < at ? end : at, told + n);
    }
    return n;
}
