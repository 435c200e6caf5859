/*
 * encoder_wav.c - a reply that is a sound: the output of the task audio as a WAV of 16 bits.
 *
 * Windows of a posted sound are put back where they lay; where they overlap their mean is taken, and what was put
 * around the sound is cut off again. An output may have another rate than the input: places are scaled. Items that
 * came as tensors follow each other.
 */
#include "base/err.h"
#include "serve/answer.h"
#include "serve/codec.h"
#include "serve/encoder.h"

#include <math.h>

#define HEAD_BYTES 44

static int rate_of(const struct manifest *manifest)
{
    for (int i = 0; i < manifest->n_inputs && !manifest->sound_rate; i++)
        if (manifest->inputs[i].kind == MANIFEST_AUDIO)
            return manifest->inputs[i].audio.rate;
    return manifest->sound_rate;
}

bool encoder_wav_serves(const struct served *served)
{
    return served->manifest->task == TASK_AUDIO;
}

bool encoder_wav_fits(const struct job *job)
{
    const struct manifest *manifest = job->served->manifest;
    const bool whole =
        !job->sound.piece || job->sound.hop >= job->sound.window; /* else the next piece has a part of it */
    return manifest->task == TASK_AUDIO && rate_of(manifest) > 0 && whole && !encoder_v2_some_binary(job);
}

/* How items become one sound, in samples of the output. */
struct track {
    int64_t n_items, length; /* of each */
    int64_t step;            /* from one to the next */
    int64_t from, to;        /* of what is heard */
};

static struct track track_of(const struct job *job, int64_t n_items, int64_t length)
{
    const struct sound_view *view = &job->sound;
    struct track track = {.n_items = n_items, .length = length, .step = length};
    track.to = n_items * length;
    if (view->n_windows != n_items || view->window < 1 || view->piece)
        return track;
    const double scale = (double)length / (double)view->window;
    track.step = llround((double)view->hop * scale);
    track.from = llround((double)-view->first * scale);
    track.to = (n_items - 1) * track.step + length;
    const int64_t end = track.from + llround((double)view->n_samples * scale);
    track.to = end < track.to ? end : track.to;
    track.from = track.from < track.to ? track.from : track.to;
    return track;
}

/* The mean of the windows that cover a sample; the item before the last one may reach it as well as the first. */
static float sample_at(const struct track *track, const float *items, int64_t t)
{
    const int64_t step = track->step > 0 ? track->step : 1;
    int64_t last = t / step < track->n_items ? t / step : track->n_items - 1, n = 0;
    double sum = 0;
    for (int64_t i = last; i >= 0 && t - i * track->step < track->length; i--, n++)
        sum += (double)items[i * track->length + (t - i * track->step)];
    return n ? (float)(sum / (double)n) : 0;
}

static void put_16(uint8_t *to, float value)
{
    const float level = value * 32768;
    const int16_t sample = level >= 32767 ? INT16_MAX : level <= -32768 ? INT16_MIN : (int16_t)lrintf(level);
    to[0] = (uint8_t)((uint16_t)sample & 255);
    to[1] = (uint8_t)((uint16_t)sample >> 8);
}

static void put_number(uint8_t *to, uint32_t value, int n)
{
    for (int i = 0; i < n; i++)
        to[i] = (uint8_t)(value >> (8 * i));
}

static void put_head(uint8_t *to, int rate, uint32_t n_bytes)
{
    memcpy(to, "RIFF....WAVEfmt ", 16);
    put_number(to + 4, n_bytes + HEAD_BYTES - 8, 4);
    put_number(to + 16, 16, 4);
    put_number(to + 20, 1, 2);
    put_number(to + 22, 1, 2);
    put_number(to + 24, (uint32_t)rate, 4);
    put_number(to + 28, (uint32_t)rate * 2, 4);
    put_number(to + 32, 2, 2);
    put_number(to + 34, 16, 2);
    memcpy(to + 36, "data", 4);
    put_number(to + 40, n_bytes, 4);
}

static bool write_track(struct job *job, const struct track *track, const float *items, struct percept_err *err)
{
    const struct manifest *manifest = job->served->manifest;
    const int64_t n = track->to - track->from, covering = track->step > 0 ? track->length / track->step + 1 : 1;
    if (n > (INT32_MAX - HEAD_BYTES) / 2)
        return err_set(err, ERR_TOO_LARGE, "the sound has %lld samples; a WAV of 2 GB holds fewer", (long long)n);
    const size_t n_bytes = (size_t)n * 2;
    uint8_t *reply = arena_alloc(job->arena, n_bytes + HEAD_BYTES);
    if (!reply)
        return err_memory(err, "a reply", n_bytes);
    put_head(reply, rate_of(manifest), (uint32_t)n_bytes);
    for (int64_t i = 0; i < n; i++) {
        if (!watch_spend(&job->watch, covering))
            return watch_refuse(&job->watch, err);
        const float value = sample_at(track, items, track->from + i) / manifest->sound_range;
        put_16(reply + HEAD_BYTES + 2 * i, isnan(value) ? 0 : value);
    }
    job->reply = bytes_of(reply, n_bytes + HEAD_BYTES);
    job->reply_json_bytes = -1;
    return true;
}

bool encoder_wav_write(struct job *job, const struct percept_tensor *results, struct percept_err *err)
{
    const int output = answer_scores(job, results);
    const int64_t n_items = job->n_items > 0 ? job->n_items : 1; /* none: of a piece that fills no window */
    int64_t n;
    if (output < 0 || results[output].dtype != PERCEPT_FLOAT ||
        !codec_count(results[output].rank, results[output].dims, &n) || n % n_items != 0)
        return err_set(err, ERR_INVALID, "the output that holds the sound was not asked for");
    const struct track track = track_of(job, n_items, n / n_items);
    return write_track(job, &track, results[output].data, err);
}
