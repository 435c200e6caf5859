/*
 * sound_rest.h - windows over a sound that comes in pieces: what of a piece belongs to the next windows, and what is
 * left of it until the next piece comes.
 *
 *     silence before | piece 1 ........ | piece 2 ... | ...  | silence behind, padding
 *          [ctx|window]
 *                 [ctx|window]            windows every hop, each with its context before it
 *
 * The windows are those of the whole sound, whatever the pieces are. A struct without pointers, zeros at the beginning,
 * with its samples behind it: it is part of what a sequence keeps, and may have come from another process. Pure
 * functions; any thread.
 */
#ifndef SERVE_SOUND_REST_H
#define SERVE_SOUND_REST_H

#include "serve/manifest.h"
#include "serve/speech.h"

#define SOUND_REST_BYTES 512 /* the largest frame of samples without a head: 64 channels of 8 bytes */

struct sound_rest {
    int64_t n_posted;  /* samples so far, at the network's rate */
    int64_t n_windows; /* so far */
    int64_t at;        /* where the next window begins, in samples of the sound; below 0 in silence put before it */
    int64_t skip;      /* samples to come before the next window's context begins */
    int64_t n;         /* samples behind this struct: the beginning of the next window, context first */
    uint64_t type;     /* of the bytes: a digest of their media type, which all pieces have; 0: none came */
    struct speech speech;
    int32_t n_bytes;                 /* of a frame that has begun */
    uint8_t bytes[SOUND_REST_BYTES]; /* them */
};

/* May a sound for this input come in pieces? Not where it is one item however long, or is normalized as a whole. */
bool sound_rest_serves(const struct manifest_audio *audio);

/* With room for its samples. */
size_t sound_rest_bytes(const struct manifest_audio *audio);

/* Could it have been made here? */
bool sound_rest_is_good(const struct sound_rest *rest, const struct manifest_audio *audio);

static inline float *sound_rest_samples(struct sound_rest *rest)
{
    return (float *)(void *)(rest + 1);
}

/* What comes of `n` samples more: windows over a row of `total` samples, which is
 * [lead of the rest or zeros][the new ones from `skip` on][zeros]. */
struct sound_cut {
    int64_t lead, skip, fresh, total;
    int64_t n_windows, first; /* where the first of them begins, in samples of the sound */
};

/* `start`: the sound begins here, and the rest counts for nothing; `end`: nothing comes behind it. */
struct sound_cut sound_rest_cut(const struct sound_rest *rest, const struct manifest_audio *audio, int64_t n,
                                bool start, bool end);

/* The row of the cut, into room for its `total`: samples are multiplied by `range`. */
void sound_rest_join(struct sound_rest *rest, const struct sound_cut *cut, bool start, const float *samples,
                     float range, float *row);

/* What is left behind the cut's windows, into `next`, which has sound_rest_bytes; speech and bytes stay as they are in
 * it. `rest` may be `next`. */
void sound_rest_keep(const struct sound_rest *rest, const struct manifest_audio *audio, const struct sound_cut *cut,
                     int64_t n, bool start, const float *row, struct sound_rest *next);

#endif
