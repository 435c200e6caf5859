/*
 * sound_rest.c - see sound_rest.h.
 *
 * Before the first window lies its context, zeros, and the silence that the manifest puts before the sound. At the end
 * come the silence behind it, and, with `pad`, zeros for a window that has heard a part of what no other has.
 */
#include "serve/sound_rest.h"

#include <string.h>

bool sound_rest_serves(const struct manifest_audio *audio)
{
    return audio->window > 0 && audio->normalize != NORMALIZE_SAMPLES;
}

static int64_t item_of(const struct manifest_audio *audio)
{
    return (int64_t)audio->context + audio->window;
}

size_t sound_rest_bytes(const struct manifest_audio *audio)
{
    return sizeof(struct sound_rest) + (size_t)item_of(audio) * sizeof(float);
}

static bool is_good_speech(const struct speech *speech)
{
    const int64_t most = (int64_t)1 << 60,
                  places[] = {speech->start, speech->silence_at, speech->held_start, speech->held_end};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (places[i] < 0 || places[i] > most)
            return false;
    return speech->n >= 0 && speech->n <= 1 << 29 && speech->n_silent >= 0 && speech->n_silent <= 1 << 29;
}

bool sound_rest_is_good(const struct sound_rest *rest, const struct manifest_audio *audio)
{
    const int64_t most = (int64_t)1 << 60;
    return rest->n >= 0 && rest->n <= item_of(audio) && rest->skip >= 0 && rest->skip <= audio->hop &&
           rest->n_bytes >= 0 && rest->n_bytes < SOUND_REST_BYTES && rest->n_posted >= 0 && rest->n_posted < most &&
           rest->n_windows >= 0 && rest->n_windows < most && rest->at >= -(int64_t)audio->zeros_before &&
           rest->at < most && is_good_speech(&rest->speech);
}

/* Of what lies behind the last window at the sound's end, is something there that no window has heard? */
static bool is_unheard(const struct manifest_audio *audio, int64_t n_before, int64_t left)
{
    const int64_t overlap = audio->window - audio->hop;
    return left - audio->context > (n_before && overlap > 0 ? overlap : 0);
}

struct sound_cut sound_rest_cut(const struct sound_rest *rest, const struct manifest_audio *audio, int64_t n,
                                bool start, bool end)
{
    const int64_t item = item_of(audio), before = (int64_t)audio->context + audio->zeros_before;
    struct sound_cut cut = {.lead = start ? before : rest->n,
                            .skip = start ? 0 : rest->skip,
                            .first = start ? -(int64_t)audio->zeros_before : rest->at};
    cut.skip = cut.skip < n ? cut.skip : n;
    cut.fresh = n - cut.skip;
    cut.total = cut.lead + cut.fresh + (end ? audio->zeros_after : 0);
    if (cut.total >= item)
        cut.n_windows = 1 + (cut.total - item) / audio->hop;
    const int64_t left = cut.total - cut.n_windows * audio->hop, n_before = start ? 0 : rest->n_windows;
    if (end && audio->pad && is_unheard(audio, n_before + cut.n_windows, left)) {
        cut.total = cut.n_windows * audio->hop + item;
        cut.n_windows++;
    }
    return cut;
}

void sound_rest_join(struct sound_rest *rest, const struct sound_cut *cut, bool start, const float *samples,
                     float range, float *row)
{
    const int64_t heard = cut->lead + cut->fresh;
    if (start)
        memset(row, 0, (size_t)cut->lead * sizeof *row);
    else
        memcpy(row, sound_rest_samples(rest), (size_t)cut->lead * sizeof *row);
    for (int64_t i = 0; i < cut->fresh; i++)
        row[cut->lead + i] = samples[cut->skip + i] * range;
    memset(row + heard, 0, (size_t)(cut->total - heard) * sizeof *row);
}

void sound_rest_keep(const struct sound_rest *rest, const struct manifest_audio *audio, const struct sound_cut *cut,
                     int64_t n, bool start, const float *row, struct sound_rest *next)
{
    const int64_t from = cut->n_windows * audio->hop, still = (start ? 0 : rest->skip) - cut->skip;
    next->n_posted = (start ? 0 : rest->n_posted) + n;
    next->n_windows = (start ? 0 : rest->n_windows) + cut->n_windows;
    next->at = cut->first + from;
    next->n = from < cut->total ? cut->total - from : 0;
    next->skip = still + (from > cut->total ? from - cut->total : 0);
    if (next->n)
        memcpy(sound_rest_samples(next), row + from, (size_t)next->n * sizeof *row);
}
