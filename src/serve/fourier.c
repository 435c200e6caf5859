/*
 * fourier.c - a complex transform by recursion over the prime factors, and what makes it fit real samples and lengths
 * with large factors. One table of roots of unity serves all depths: at depth d every stride-th of it.
 */
#include "serve/fourier.h"

#include "base/err.h"

#include <math.h>

#define FACTOR_MOST 13 /* larger ones cost more as they are than Bluestein's way */
#define FACTORS_MOST 20

struct number {
    double re, im;
};

/* A complex transform of n numbers. */
struct transform {
    int n;
    int factors[FACTORS_MOST]; /* their product is n; ends in 0 */
    struct number *roots;      /* [n] exp(-2 pi i k / n) */
};

struct fourier {
    int n;        /* real samples */
    bool halved;  /* pairs of samples are complex numbers */
    bool smooth;  /* `direct` does it; else `around` */
    int n_points; /* of the complex transform: n or n / 2 */
    struct transform direct, around;
    struct number *points, *out; /* [n_points] */
    struct number *turns;        /* [n / 2 + 1] for halves: exp(-2 pi i k / n) */
    struct number *chirp, *kernel, *room, *spectrum;
};

static struct number times(struct number a, struct number b)
{
    return (struct number){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}

static struct number plus(struct number a, struct number b)
{
    return (struct number){a.re + b.re, a.im + b.im};
}

static struct number minus(struct number a, struct number b)
{
    return (struct number){a.re - b.re, a.im - b.im};
}

/* exp(-2 pi i k / n) */
static struct number root_of(int64_t k, int64_t n)
{
    const double angle = -2 * M_PI * (double)(k % n) / (double)n;
    return (struct number){cos(angle), sin(angle)};
}

/* Factors of 4 come first. False when one is too large. */
static bool factorize(int n, int factors[FACTORS_MOST])
{
    int count = 0;
    for (int p = 4; n > 1 && p <= FACTOR_MOST; p = p == 4 ? 2 : p == 2 ? 3 : p + 2)
        for (; n % p == 0; n /= p)
            factors[count++] = p;
    factors[count] = 0;
    return n == 1;
}

static bool transform_new(struct transform *transform, int n, struct arena *arena, struct percept_err *err)
{
    transform->n = n;
    transform->roots = arena_array(arena, (size_t)n, sizeof *transform->roots);
    for (int k = 0; transform->roots && k < n; k++)
        transform->roots[k] = root_of(k, n);
    return transform->roots || err_memory(err, "a Fourier transform", (size_t)n * sizeof *transform->roots);
}

static void butterfly_2(const struct transform *t, struct number *out, int m, int stride)
{
    for (int k = 0; k < m; k++) {
        const struct number b = times(out[k + m], t->roots[k * stride]);
        out[k + m] = minus(out[k], b);
        out[k] = plus(out[k], b);
    }
}

static void butterfly_4(const struct transform *t, struct number *out, int m, int stride)
{
    for (int k = 0; k < m; k++) {
        const struct number a = out[k], b = times(out[k + m], t->roots[k * stride]);
        const struct number c = times(out[k + 2 * m], t->roots[2 * k * stride]);
        const struct number d = times(out[k + 3 * m], t->roots[3 * k * stride]);
        const struct number ac = plus(a, c), a_c = minus(a, c), bd = plus(b, d), b_d = minus(b, d);
        out[k] = plus(ac, bd);
        out[k + 2 * m] = minus(ac, bd);
        out[k + m] = (struct number){a_c.re + b_d.im, a_c.im - b_d.re};
        out[k + 3 * m] = (struct number){a_c.re - b_d.im, a_c.im + b_d.re};
    }
}

static void butterfly(const struct transform *t, struct number *out, int p, int m, int stride)
{
    struct number parts[FACTOR_MOST];
    for (int k = 0; k < m; k++) {
        for (int q = 0; q < p; q++)
            parts[q] = times(out[k + q * m], t->roots[q * k * stride]);
        for (int u = 0; u < p; u++) {
            struct number sum = parts[0];
            for (int q = 1; q < p; q++)
                sum = plus(sum, times(parts[q], t->roots[(int64_t)q * u * m * stride % t->n]));
            out[k + u * m] = sum;
        }
    }
}

/* Of every stride-th number of `in`, n / stride of them. */
static void transform_part(const struct transform *t, const struct number *in, struct number *out, int n, int stride,
                           const int *factors)
{
    if (n == 1) {
        *out = *in;
        return;
    }
    const int p = *factors, m = n / p;
    for (int q = 0; q < p; q++)
        transform_part(t, in + q * stride, out + q * m, m, stride * p, factors + 1);
    if (p == 2)
        butterfly_2(t, out, m, stride);
    else if (p == 4)
        butterfly_4(t, out, m, stride);
    else
        butterfly(t, out, p, m, stride);
}

static void transform_run(const struct transform *t, const struct number *in, struct number *out)
{
    transform_part(t, in, out, t->n, 1, t->factors);
}

/* X[k] = conj-chirp[k] * (x * conj-chirp convolved with chirp)[k], by transforms of a power of two. */
static bool around_new(struct fourier *f, struct arena *arena, struct percept_err *err)
{
    const int n = f->n_points;
    int m = 1;
    while (m < 2 * n)
        m *= 2;
    factorize(m, f->around.factors);
    f->chirp = arena_array(arena, (size_t)n, sizeof *f->chirp);
    f->kernel = arena_array(arena, (size_t)m, sizeof *f->kernel);
    f->room = arena_array(arena, (size_t)m, sizeof *f->room);
    f->spectrum = arena_array(arena, (size_t)m, sizeof *f->spectrum);
    if (!f->chirp || !f->kernel || !f->room || !f->spectrum)
        return err_memory(err, "a Fourier transform", (size_t)m * sizeof *f->kernel);
    if (!transform_new(&f->around, m, arena, err))
        return false;
    for (int k = 0; k < n; k++)
        f->chirp[k] = root_of((int64_t)k * k, 2 * (int64_t)n);
    for (int k = 0; k < n; k++) {
        const struct number turned = {f->chirp[k].re, -f->chirp[k].im};
        f->room[k] = turned;
        f->room[(m - k) % m] = turned;
    }
    transform_run(&f->around, f->room, f->kernel);
    return true;
}

static void around_run(struct fourier *f)
{
    const int n = f->n_points, m = f->around.n;
    for (int k = 0; k < m; k++)
        f->room[k] = k < n ? times(f->points[k], f->chirp[k]) : (struct number){0, 0};
    transform_run(&f->around, f->room, f->spectrum);
    for (int k = 0; k < m; k++) {
        const struct number product = times(f->spectrum[k], f->kernel[k]);
        f->room[k] = (struct number){product.re, -product.im}; /* an inverse is a transform between conjugates */
    }
    transform_run(&f->around, f->room, f->spectrum);
    for (int k = 0; k < n; k++)
        f->out[k] = times((struct number){f->spectrum[k].re / m, -f->spectrum[k].im / m}, f->chirp[k]);
}

struct fourier *fourier_new(int n, struct arena *arena, struct percept_err *err)
{
    struct fourier *f = arena_alloc(arena, sizeof *f);
    if (!f)
        return err_null(err, ERR_MEMORY, "out of memory for a Fourier transform");
    f->n = n;
    f->halved = n % 2 == 0;
    f->n_points = f->halved ? n / 2 : n;
    f->points = arena_array(arena, (size_t)f->n_points, sizeof *f->points);
    f->out = arena_array(arena, (size_t)f->n_points, sizeof *f->out);
    f->turns = arena_array(arena, (size_t)n / 2 + 1, sizeof *f->turns);
    if (!f->points || !f->out || !f->turns)
        return err_null(err, ERR_MEMORY, "out of memory for a Fourier transform");
    for (int k = 0; k <= n / 2; k++)
        f->turns[k] = root_of(k, n);
    f->smooth = factorize(f->n_points, f->direct.factors);
    if (!(f->smooth ? transform_new(&f->direct, f->n_points, arena, err) : around_new(f, arena, err)))
        return NULL;
    return f;
}

/* Even and odd samples were real and imaginary parts: their spectra are taken apart and put together. */
static void join_halves(const struct fourier *f, double *re, double *im)
{
    const int m = f->n_points;
    for (int k = 0; k <= m; k++) {
        const struct number a = f->out[k % m], b = f->out[(m - k) % m];
        const struct number even = {(a.re + b.re) / 2, (a.im - b.im) / 2};
        const struct number odd = {(a.im + b.im) / 2, (b.re - a.re) / 2};
        const struct number sum = plus(even, times(odd, f->turns[k]));
        re[k] = sum.re;
        im[k] = sum.im;
    }
}

void fourier_real(struct fourier *f, const double *x, double *re, double *im)
{
    for (int k = 0; k < f->n_points; k++)
        f->points[k] = f->halved ? (struct number){x[2 * k], x[2 * k + 1]} : (struct number){x[k], 0};
    if (f->smooth)
        transform_run(&f->direct, f->points, f->out);
    else
        around_run(f);
    if (f->halved) {
        join_halves(f, re, im);
        return;
    }
    for (int k = 0; k <= f->n / 2; k++) {
        re[k] = f->out[k].re;
        im[k] = f->out[k].im;
    }
}
