/*
 * answer_speech.c - the task vad: segments of speech, from the scores of windows (speech.h).
 *
 *     "predictions":[[{"label":"speech","start":0.42,"end":1.31,"score":0.97}]],"speaking":false
 *
 * Of a sound that comes in pieces each segment is told once, with the piece by which its end is known; `speaking` says
 * whether one goes on. What is known of it lies with its sequence, and counts when the piece has happened.
 */
#include "serve/answer.h"

#include "base/err.h"
#include "serve/codec.h"
#include "serve/sound_stream.h"

#include <math.h>

struct answer_speech {
    const char *label;
    int rate;
    int64_t n;
    const struct speech_segment *segments;
    bool speaking;
};

static float activated(float score, enum manifest_activation activation)
{
    return activation == ACTIVATION_SIGMOID ? 1 / (1 + expf(-score)) : score;
}

/* The scores of the windows that are heard; false where the reply has none. */
static bool scores_of(const struct job *job, const struct percept_tensor *results, const float **scores)
{
    const int output = answer_scores(job, results);
    int64_t n;
    if (output < 0 || results[output].dtype != PERCEPT_FLOAT ||
        !codec_count(results[output].rank, results[output].dims, &n) || n != job->sound.n_windows)
        return false;
    *scores = results[output].data;
    return job->stream || n;
}

bool answer_speech_make(struct job *job, const struct percept_tensor *results, const void **made,
                        struct percept_err *err)
{
    const struct manifest *manifest = job->served->manifest;
    const struct sound_view *view = &job->sound;
    struct speech alone = {0}, *speech = &alone;
    const float *scores;
    bool ends = true;
    if (!scores_of(job, results, &scores))
        return true;
    if (job->stream)
        speech = sound_stream_speech(job, &ends);
    struct answer_speech *answer = arena_alloc(job->arena, sizeof *answer);
    struct speech_segment *segments =
        arena_array(job->arena, (size_t)view->n_windows + 2 * SPEECH_MOST, sizeof *segments);
    if (!answer || !segments)
        return err_memory(err, "segments", (size_t)view->n_windows * sizeof *segments);
    *answer = (struct answer_speech){
        .label = manifest->n_labels ? manifest->labels[0] : "speech", .rate = view->rate, .segments = segments};
    for (int64_t i = 0; i < view->n_windows; i++) {
        if (!watch_spend(&job->watch, 1))
            return watch_refuse(&job->watch, err);
        answer->n += speech_window(speech, &manifest->speech, view->rate, view->first + i * view->hop,
                                   activated(scores[i], manifest->task_activation), segments + answer->n);
    }
    if (ends)
        answer->n += speech_end(speech, &manifest->speech, view->rate, view->n_samples, segments + answer->n);
    answer->speaking = speech->speaking;
    *made = answer;
    return true;
}

void answer_speech_write(struct writer *w, const void *made)
{
    const struct answer_speech *answer = made;
    writer_put(w, ",\"predictions\":[[");
    for (int64_t i = 0; i < answer->n && writer_spend(w, 2); i++) {
        const struct speech_segment *segment = &answer->segments[i];
        writer_put(w, i ? ",{\"label\":" : "{\"label\":");
        writer_string(w, answer->label);
        writer_put(w, ",\"start\":");
        writer_float(w, (float)((double)segment->start / answer->rate));
        writer_put(w, ",\"end\":");
        writer_float(w, (float)((double)segment->end / answer->rate));
        writer_put(w, ",\"score\":");
        writer_float(w, segment->score);
        writer_put(w, "}");
    }
    writer_put(w, answer->speaking ? "]],\"speaking\":true" : "]],\"speaking\":false");
}
