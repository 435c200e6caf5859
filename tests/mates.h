/*
 * mates.h - does an item of a batch have the bits that it has alone, whoever is beside it? Mates that show what
 * ordinary numbers do not: NaN, infinities, numbers of 10^30, zeros, copies.
 */
#ifndef TESTS_MATES_H
#define TESTS_MATES_H

#include "percept.h"

enum mates_found {
    MATES_SAME,   /* the same bits, or NaN in both */
    MATES_OTHER,  /* other bits; `what` says where */
    MATES_UNTOLD, /* nothing was compared: not proved apart at such shapes, or no run of it worked */
};

/* Runs items of made-up numbers in threes between mates of every kind, or, where `thrifty`, all kinds together
 * once, and each alone. Free axes but the batch's are `length` long. */
enum mates_found mates_compare(const struct percept_model *model, int64_t length, unsigned seed, bool thrifty,
                               char *what, size_t n_what);

#endif
