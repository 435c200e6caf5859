/*
 * coded.h - pictures as files, for tests of those who read them.
 */
#ifndef TESTS_SERVE_CODED_H
#define TESTS_SERVE_CODED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jpeglib.h>
#include <spng.h>

#include "serve/codec_parts.h"

struct coded {
    uint8_t at[200000];
    size_t n;
};

/* Pixels as the header says. `palette` and `trns` may be NULL. `level` is zlib's: 0 stores. */
void coded_png(struct coded *file, const void *pixels, size_t n_bytes, const struct spng_ihdr *header,
               const struct spng_plte *palette, const struct spng_trns *trns, int level);

enum coded_jpeg { CODED_BASELINE, CODED_PROGRESSIVE, CODED_APART /* a scan for each component */ };

/* 8-bit pixels of 1, 3 or 4 channels; `turned` adds an EXIF segment with orientation 6. */
void coded_jpeg(struct coded *file, const uint8_t *pixels, int width, int height, int channels, enum coded_jpeg kind,
                bool turned);

/* Appends bytes, or a chunk of a PNG with its CRC. */
void coded_append(struct coded *file, const void *at, size_t n);
void coded_chunk(struct coded *file, const char *type, const void *at, size_t n);

/* Decodes the first n bytes of the file, in memory that ends there, otherwise as `how` says. */
bool coded_decode(bool (*decode)(const struct codec_picture *, struct picture *), const struct coded *file, size_t n,
                  struct codec_picture how, struct picture *picture);

/* The same size and the same pixels. */
bool coded_same(const struct picture *a, const struct picture *b);

#endif
