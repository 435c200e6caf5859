/*
 * ios.h - lists of a network's inputs or outputs that outlive it: a model that is away for a while still says what it
 * takes and gives (served.h), and is compared with what comes back. Any thread.
 */
#ifndef SERVE_IOS_H
#define SERVE_IOS_H

#include "base/arena.h"
#include "percept.h"

/* A copy with all its texts, in the arena; NULL when memory is short. */
const struct percept_io *ios_keep(const struct percept_io *ios, int n, struct arena *arena);

/* Whoever knows the one may use the other: the same names in the same order, types, dims, batch axes and labels. What
 * free dims are called does not matter. */
bool ios_equal(const struct percept_io *a, int n_a, const struct percept_io *b, int n_b);

#endif
