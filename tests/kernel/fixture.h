/*
 * fixture.h - what the tests of kernels share: the level under test, draws, guarded buffers, comparisons.
 *
 * Every test runs once per level that this CPU runs (fixture_add) and opens with begin(_i). Sizes lie around the
 * edges of tiles (0, 1, a tile and one more or less, odd channels such as 58); geometry is drawn at random from a
 * seed that a failure prints (SEED=n repeats it). Buffers end 64 bytes before an unreadable page: a kernel that
 * reads further faults, one that writes into the 64 bytes is found when the buffer is released. Padding lanes of
 * blocked inputs hold NaN.
 *
 * Tolerances. A sum of n terms may differ from the exact one by about n eps (eps = 2^-24) times the sum of absolute
 * terms, in any order; activations stretch an error by at most 1.5. Where bits must not depend on something (m,
 * ranges, units, position), and where numbers are integers, they are compared as bits.
 */
#ifndef FIXTURE_H
#define FIXTURE_H

#include "reference.h"

#include <check.h>

#define EPS 5.9604644775390625e-8
#define SUM_EPS (5 * EPS) /* of a sum, whatever its length: three additions, a product before, a rounding at the end */

enum { SLACK = 64 };

extern const struct kernels *level; /* under test */
extern uint64_t seed;

/* A case of the suite that runs `test` once for each level. */
void fixture_add(Suite *suite, const char *name, const TTest *test);
void begin(int index);

/* --- draws -------------------------------------------------------------------------------------------------------- */

uint64_t draw(void);
int64_t between(int64_t low, int64_t high);
float number(void); /* [-1, 1) */
bool chance(int one_in);
float any_float(void); /* of every kind: zeros, infinities, NaN, denormals, huge ones, around edges */
struct epilogue draw_epilogue(const float *bias, const float *residual);

/* --- guarded buffers: release() gives them all back --------------------------------------------------------------- */

/* n floats, NaN, with SLACK bytes of 0xff before and after. */
float *guarded(int64_t n);
/* n bytes of 0xff, the same: they begin at any address. */
void *guarded_bytes(int64_t n);
float *guarded_numbers(int64_t n);
/* Numbers among which are infinities, NaN, -0 and denormals: `one_in` is which. */
float *guarded_hostile(int64_t n, int one_in);
const float *guarded_copy(const float *x, int64_t n);
/* What lies before and after each buffer must be as it was. */
void release(void);

/* --- comparisons -------------------------------------------------------------------------------------------------- */

/* Of check only what fails: an assertion that holds writes a message to its runner, and there are millions. */
#define FAIL_UNLESS(CONDITION, FORMAT, ...)                                                                            \
    do {                                                                                                               \
        if (!(CONDITION))                                                                                              \
            ck_abort_msg("level %s, seed %llu: " FORMAT, level->name, (unsigned long long)seed, __VA_ARGS__);          \
    } while (0)

bool near(double got, double want, double tolerance);
/* Distance between neighbouring floats at x; of NaN and infinity, that of the largest. */
double ulp(double x);
bool same_bits(const float *a, const float *b, int64_t n);
/* Of the same bits, or both no number: which NaN it is may depend on the order of operands. */
bool same_number(float a, float b);
double activated(const struct epilogue *epilogue, double x);
/* What activated(sum) may be off by: a sum of `terms`, whose absolute terms add up to `size`. */
double activated_slack(double want, double terms, double size);

/* --- pictures ----------------------------------------------------------------------------------------------------- */

int64_t volume(const int64_t dims[3]);
int64_t blocked_floats(int64_t channels, int64_t pixels);
/* Blocks without the kernel under test; padding lanes, and all where plain is NULL, are left as they are (NaN). */
float *to_blocks(const float *plain, int64_t channels, int64_t pixels);

#endif
