/*
 * drive.h - what a hostile client could do with a model: open it, set small shapes, run it on odd
 * data, read all that it answers. Refusals must be sentences; anything worse is for the sanitizers
 * to see.
 */
#ifndef TESTS_FUZZ_DRIVE_H
#define TESTS_FUZZ_DRIVE_H

#include "draw.h"
#include "percept.h"

/* Most memory of a run for models that are drawn: where bytes are checked one by one, more takes seconds. */
#define DRIVE_LITTLE_BYTES ((size_t)4 << 20)
#define DRIVE_MUCH_BYTES ((size_t)64 << 20)

enum drive_end { DRIVE_REFUSED, DRIVE_OPENED, DRIVE_RAN };

/* The level of kernels, shapes and data of each of the runs come from `draw`. */
enum drive_end drive_model(const uint8_t *file, size_t n, struct draw *draw, size_t memory_bytes, int runs);

/* The n elements of a resized input: a short pattern out of `draw`, repeated. */
void drive_fill(struct percept_session *session, int input, const struct percept_io *io, size_t n, struct draw *draw);

#endif
