/*
 * pace.c - the loop's own stopwatch.
 *
 *     kernel answers | piece | piece | ... | piece | the loop asks the kernel again
 *                    ^ pace_piece, at the start of each     ^ pace_ask
 *
 * A piece is what nobody can come between: a callback, or a part of one that says so, as each request that the HTTP
 * library goes through in one call is. So the pieces of a turn are all of its time, and the longest is what a request
 * that comes at a bad moment waits for at least.
 *
 * When a request became readable no one tells us. It cannot have been before the loop asked the kernel last, if the
 * kernel had it sleep then; if the kernel answered at once, it may have been at any time since its answer before that.
 * Counting from there, a busy loop makes its requests look slower than they are, never faster.
 */
#include "serve/pace.h"

const double pace_bounds[PACE_BUCKETS - 1] = {
    0.00001, 0.000025, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.0025, 0.01, 0.1,
};

#define SLEPT_NS 20000 /* an answer that takes longer was waited for */

void pace_count(struct pace_histogram *histogram, int64_t ns)
{
    int bucket = 0;
    while (bucket < PACE_BUCKETS - 1 && (double)ns > pace_bounds[bucket] * 1e9)
        bucket++;
    histogram->buckets[bucket]++;
    histogram->sum_ns += ns > 0 ? (uint64_t)ns : 0;
}

static void begin_turn(struct pace *pace, int64_t now_ns)
{
    const bool slept = now_ns - pace->asked_ns > SLEPT_NS;
    pace->since_ns = slept || !pace->turn_ns ? now_ns : pace->turn_ns;
    pace->turn_ns = now_ns;
}

void pace_piece(struct pace *pace, int64_t now_ns)
{
    if (pace->piece_ns)
        pace_count(&pace->pieces, now_ns - pace->piece_ns);
    else
        begin_turn(pace, now_ns);
    pace->piece_ns = now_ns;
}

void pace_ask(struct pace *pace, int64_t now_ns)
{
    if (pace->piece_ns)
        pace_count(&pace->pieces, now_ns - pace->piece_ns);
    pace->piece_ns = 0;
    pace->asked_ns = now_ns;
}
