/*
 * drive.h - what a hostile client could do with a model: open it, set small shapes, run it on odd
 * data, read all that it answers. Refusals must be sentences; anything worse is for the sanitizers
 * to see.
 */
#ifndef TESTS_FUZZ_DRIVE_H
#define TESTS_FUZZ_DRIVE_H

#include "draw.h"

enum drive_end { DRIVE_REFUSED, DRIVE_OPENED, DRIVE_RAN };

/* The row of kernels, shapes and data of each of the runs come from `draw`. */
enum drive_end drive_model(const uint8_t *file, size_t n, struct draw *draw, int runs);

#endif
