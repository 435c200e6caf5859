/*
 * sound.c - what all decoders of sounds share: judging, mixing, collecting.
 */
#include "serve/sound.h"

#include "base/err.h"

#include <inttypes.h>

#define ROOM_LEAST 16384

bool sound_begin(struct sound *sound, int64_t rate, int64_t channels)
{
    if (rate < SOUND_RATE_LEAST || rate > SOUND_RATE_MOST)
        return err_set(sound->err, ERR_INVALID, "the sound has %" PRId64 " samples a second; %d to %d are accepted",
                       rate, SOUND_RATE_LEAST, SOUND_RATE_MOST);
    if (channels < 1 || channels > SOUND_CHANNELS_MOST)
        return err_set(sound->err, ERR_INVALID, "the sound has %" PRId64 " channels; 1 to %d are accepted", channels,
                       SOUND_CHANNELS_MOST);
    sound->from_rate = (int)rate;
    sound->channels = (int)channels;
    return sound->from_rate == sound->rate || sound_rate_open(sound);
}

bool sound_keep(struct sound *sound, const float *samples, int64_t n)
{
    if (!n)
        return true;
    if (sound->n + n > sound->room) {
        int64_t room = sound->room ? sound->room : ROOM_LEAST;
        while (room < sound->n + n)
            room *= 2;
        float *grown =
            arena_grow(sound->arena, sound->samples, (size_t)sound->room * sizeof *grown, (size_t)room * sizeof *grown);
        if (!grown)
            return err_memory(sound->err, "a sound", (size_t)room * sizeof *grown);
        sound->samples = grown;
        sound->room = room;
    }
    memcpy(sound->samples + sound->n, samples, (size_t)n * sizeof *samples);
    sound->n += n;
    return true;
}

static void mix(const struct sound *sound, const float *frames, int64_t n, float *mixed)
{
    for (int64_t i = 0; i < n; i++, frames += sound->channels) {
        float sum = frames[0];
        for (int c = 1; c < sound->channels && !sound->first_channel; c++)
            sum += frames[c];
        mixed[i] = sound->first_channel ? sum : sum / (float)sound->channels;
    }
}

bool sound_put(struct sound *sound, const float *frames, int64_t n)
{
    float mixed[SOUND_BLOCK];
    sound->n_frames += n;
    if (sound->n_frames > sound->most_seconds * sound->from_rate)
        return err_set(sound->err, ERR_TOO_LARGE, "the sound is longer than %" PRId64 " seconds (--max-audio-seconds)",
                       sound->most_seconds);
    if (!watch_spend(sound->watch, 2 * n * sound->channels))
        return watch_refuse(sound->watch, sound->err);
    mix(sound, frames, n, mixed);
    return sound->changed ? sound_rate_put(sound, mixed, n) : sound_keep(sound, mixed, n);
}

bool sound_end(struct sound *sound)
{
    if (sound->changed && !sound_rate_put(sound, NULL, 0))
        return false;
    return sound->n > 0 || err_set(sound->err, ERR_INVALID, "the sound has no samples");
}
