/*
 * pace.h - how long the loop is busy at a stretch: the time of its pieces of work, and since when what it finds
 * readable can have been so. Time is a parameter. Threads: the loop's.
 */
#ifndef SERVE_PACE_H
#define SERVE_PACE_H

#include <stdbool.h>
#include <stdint.h>

#define PACE_BUCKETS 11 /* upper bounds in pace.c, the last is +Inf */

/* Durations, not cumulative. */
struct pace_histogram {
    uint64_t buckets[PACE_BUCKETS];
    uint64_t sum_ns;
};

struct pace {
    int64_t piece_ns; /* when the piece under way began; 0: the loop waits for the kernel */
    int64_t asked_ns; /* when it began to wait */
    int64_t turn_ns;  /* when the wait was over */
    int64_t since_ns; /* nothing that is found readable in this turn was readable before */
    struct pace_histogram pieces;
};

extern const double pace_bounds[PACE_BUCKETS - 1]; /* seconds */

/* A piece of work begins; the one before it ends. */
void pace_piece(struct pace *pace, int64_t now_ns);

/* The last piece ends: the loop asks the kernel for more. */
void pace_ask(struct pace *pace, int64_t now_ns);

void pace_count(struct pace_histogram *histogram, int64_t ns);

#endif
