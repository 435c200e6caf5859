/*
 * learn.h - which batch size pays, learned from what runs take. It decides, it never measures: sizes, work and time are
 * parameters. Threads: the loop's.
 */
#ifndef SERVE_LEARN_H
#define SERVE_LEARN_H

#include <stdint.h>

#define LEARN_CLASSES 16 /* sizes 1, 2, 3-4, 5-8, ...: class c ends with 2^c; the last has all that are larger */

struct learn_class {
    unsigned n_runs, n_tried; /* tried: chosen to become known, lately */
    double ns;                /* that a unit of work takes: a mean of the last runs */
};

struct learn {
    struct learn_class classes[LEARN_CLASSES];
    unsigned n_choices;
};

/* A run of so many items took ns. `work` is what they have in common with runs of other shapes: floating-point
 * operations, or where those are not known the items themselves. What is not positive is not counted. */
void learn_run(struct learn *learn, int64_t n_items, double work, int64_t ns);

/* How many of the items that could run together now should: from `least`, which belong together, to n_items. */
int64_t learn_choose(struct learn *learn, int64_t least, int64_t n_items);

/* How many of so many would, were nothing tried out; n_items where too little is known. */
int64_t learn_best(const struct learn *learn, int64_t n_items);

#endif
