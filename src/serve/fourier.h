/*
 * fourier.h - the discrete Fourier transform of real samples, of any length up to FOURIER_MOST.
 *
 * Lengths whose prime factors are small (512, 400, 480, ...) are taken apart by them (Cooley and Tukey, 1965); others
 * go through a convolution of a power of two (Bluestein, 1970). An even length costs a complex transform of half of it.
 * In double, so that what is left of a difference to float32's references is theirs.
 *
 * Threads: one at a time for a transform, since it has room of its own. It lives in the arena it was made in.
 */
#ifndef SERVE_FOURIER_H
#define SERVE_FOURIER_H

#include "base/arena.h"
#include "percept.h"

#define FOURIER_MOST 16384

struct fourier;

/* For n samples, 1 to FOURIER_MOST. NULL only when memory is short. */
struct fourier *fourier_new(int n, struct arena *arena, struct percept_err *err);

/* re[k] + i im[k] = sum over t of x[t] exp(-2 pi i k t / n), for k = 0 to n / 2. */
void fourier_real(struct fourier *fourier, const double *x, double *re, double *im);

#endif
