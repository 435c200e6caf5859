/*
 * recorded.h - files of sounds for tests, written by hand (WAV) or by libsndfile (FLAC, Ogg, MP3).
 */
#ifndef TESTS_SERVE_RECORDED_H
#define TESTS_SERVE_RECORDED_H

#include <stddef.h>
#include <stdint.h>

#define RECORDED_MOST (1 << 20)

struct recorded {
    uint8_t at[RECORDED_MOST];
    size_t n, place;
};

enum recorded_kind { RECORDED_FLAC, RECORDED_OPUS, RECORDED_MP3, RECORDED_KINDS };

/* A WAV: head of `tag` and `bits`, then these bytes. */
void recorded_wave(struct recorded *file, int rate, int channels, int tag, int bits, const void *data, size_t n);

/* n frames. */
void recorded_write(struct recorded *file, enum recorded_kind kind, int rate, int channels, const float *frames,
                    int64_t n);

/* A tone of `hz` at half of full scale, the same in all channels. */
void recorded_tone(float *frames, int64_t n, int channels, int rate, double hz);

#endif
