/*
 * samples.h - for tests: what the shipped models were measured on, as clients would post it.
 * Functions that read shared data give false, and print "skipped: ...", where there are none.
 * Memory is given back by rig_end.
 */
#ifndef TESTS_DAEMON_SAMPLES_H
#define TESTS_DAEMON_SAMPLES_H

#include "rig.h"

#define SAMPLES_SIDE 28
#define SAMPLES_PIXELS (SAMPLES_SIDE * SAMPLES_SIDE)

struct blob {
    void *at;
    size_t n;
};

struct digits {
    int n;
    const uint8_t *pixels; /* [n][784] */
    const uint8_t *labels; /* [n] */
};

/* Things to post, with the label each should get. */
struct samples {
    int n;
    struct blob *bodies;
    const char **labels;
};

/* Where PERCEPTD_SHARED has this file of its data. */
bool samples_path(char *path, size_t n, const char *name);

struct blob samples_png(const uint8_t *pixels, int width, int height);  /* gray */
struct blob samples_jpeg(const uint8_t *pixels, int width, int height); /* gray */
/* A digit as somebody photographs it: dark on light, in the middle of width x height, a margin
 * around it. */
uint8_t *samples_enlarge(const uint8_t *pixels, int width, int height, int side);
uint8_t *samples_invert(const uint8_t *pixels);

/* The digits that models/digits/heldout.txt lists, the first `most` of them. */
bool samples_digits(struct digits *digits, int most);
/* The first held-out one with this label. */
const uint8_t *samples_digit(const struct digits *digits, int label);
/* As the models take them: value = (byte / 255 - mean) / std, one after the other. */
float *samples_values(const struct digits *digits, int from, int n);

bool samples_pictures(struct rig *rig, struct samples *samples, int most);
/* What heldout.txt of the models lists. */
bool samples_messages(struct samples *samples, int most);
bool samples_surnames(struct samples *samples);

/* A number of "accuracy" in models/NAME/manifest.json. */
double samples_accuracy(const char *name, const char *member);

#endif
