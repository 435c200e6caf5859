/*
 * floats.h - a tensor's elements as float, whatever type they have: what answers are made of.
 *
 * Threads: any. Memory is the arena's.
 */
#ifndef SERVE_FLOATS_H
#define SERVE_FLOATS_H

#include "base/arena.h"
#include "base/watch.h"
#include "percept.h"

/* Can its elements be read as float? Numbers can; truth values and texts cannot. */
bool floats_can(enum percept_dtype dtype);

/* n elements from `from` on: themselves where they are float, else copies in the arena. NULL when memory is short or
 * the watch is over. */
const float *floats_of(const struct percept_tensor *tensor, int64_t from, int64_t n, struct arena *arena,
                       struct watch *watch, struct percept_err *err);

#endif
