/*
 * drive.h - what a hostile client could do with a model: open it, set small shapes, run it on odd
 * data, read all that it answers. Refusals must be sentences; anything worse is for the sanitizers
 * to see.
 */
#ifndef TESTS_FUZZ_DRIVE_H
#define TESTS_FUZZ_DRIVE_H

#include "draw.h"
#include "percept.h"

enum drive_end { DRIVE_REFUSED, DRIVE_OPENED, DRIVE_RAN };

/* The row of kernels, shapes and data of each of the runs come from `draw`. */
enum drive_end drive_model(const uint8_t *file, size_t n, struct draw *draw, int runs);

/* The n elements of a resized input: a short pattern out of `draw`, repeated. */
void drive_fill(struct percept_session *session, int input, const struct percept_io *io, size_t n,
                struct draw *draw);

#endif
