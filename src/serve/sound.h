/*
 * sound.h - a posted sound on its way to samples of one channel at the rate a network wants.
 *
 *     decoder (sound_pcm.c, sound_file.c, sound_mp3.c) --blocks of frames--> sound_put: channels mixed, rate changed,
 *     collected
 *
 * A decoder says rate and channels (sound_begin) before its first block, then hands on what it decodes. Nothing is held
 * at the file's own rate or with its channels, so what a sound costs is its seconds times the network's rate, and those
 * are bounded. A frame is one sample of each channel. Nothing here knows HTTP.
 *
 * Threads: a worker, for its job.
 */
#ifndef SERVE_SOUND_H
#define SERVE_SOUND_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/watch.h"
#include "percept.h"

#define SOUND_CHANNELS_MOST 64
#define SOUND_RATE_LEAST 1000
#define SOUND_RATE_MOST 768000
#define SOUND_BLOCK 4096 /* samples, all channels together, that decoders hand on at most */

struct sound_rate;

struct sound {
    /* asked */
    struct bytes body;
    struct bytes content_type; /* of raw samples: rate, channels and coding are its parameters */
    int rate;                  /* wanted */
    bool first_channel;        /* instead of the mean of all */
    int64_t most_seconds;
    struct watch *watch;
    struct arena *arena; /* of samples and what is needed on the way */
    struct percept_err *err;

    /* while it is decoded */
    int from_rate, channels;
    int64_t n_frames; /* decoded */
    struct sound_rate *changed;

    /* decoded */
    float *samples; /* full scale is 1 */
    int64_t n, room;
};

/* Windows of a posted sound, as items of a request. */
struct sound_view {
    int rate;
    int64_t n_samples; /* posted, at this rate */
    int64_t window, hop;
    int64_t first;     /* where the first window starts; before 0 where zeros were put before the sound */
    int64_t n_windows; /* 0: none was posted */
    bool piece;        /* of a sound that goes on */
};

/* Judges what a file says of itself. False: 400 or 413. */
bool sound_begin(struct sound *sound, int64_t rate, int64_t channels);

/* `n` frames. False when the sound is too long, memory is short or nobody waits. */
bool sound_put(struct sound *sound, const float *frames, int64_t n);

/* The last samples. False also when there were none. */
bool sound_end(struct sound *sound);

/* Appends samples at the wanted rate: for sound.c and sound_rate.c. */
bool sound_keep(struct sound *sound, const float *samples, int64_t n);

/* sound_pcm.c: a WAV; samples without a head, as the Content-Type describes them. */
bool sound_pcm_wave(struct sound *sound);
bool sound_pcm_raw(struct sound *sound);

/* Of samples without a head: a frame's bytes, and all that the Content-Type says as one number, never 0. */
struct sound_frame {
    size_t n_bytes;
    int64_t rate;
    uint64_t kind;
};
bool sound_pcm_frame(struct bytes content_type, struct sound_frame *frame, struct percept_err *err);

/* sound_file.c: FLAC and Ogg (Opus, FLAC), judged by their first bytes. */
bool sound_file_decode(struct sound *sound);

/* sound_mp3.c */
bool sound_mp3_decode(struct sound *sound);

/* sound_rate.c: from from_rate to rate. Opened by sound_begin; `n` 0 ends it. Closed in every case. */
bool sound_rate_open(struct sound *sound);
bool sound_rate_put(struct sound *sound, const float *samples, int64_t n);
void sound_rate_close(struct sound *sound);

#endif
