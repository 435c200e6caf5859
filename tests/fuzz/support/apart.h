/*
 * apart.h - what batching rests on: where the loader has proved that a network keeps items apart, an item's
 * bits are those it has alone.
 */
#ifndef TESTS_FUZZ_APART_H
#define TESTS_FUZZ_APART_H

#include "draw.h"

/* Aborts where the proof is wrong. Models that are refused, or of which nothing was proved, pass. */
void apart_check(const uint8_t *file, size_t n, struct draw *draw);

#endif
