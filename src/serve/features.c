/*
 * features.c - frames, windows, spectra, mel filters, logarithms, cosines, in the order and with the edges of the two
 * definitions that features.h names. Sums are double; what is kept between steps is float, as it is in the references.
 *
 * Filters are kept as runs: of a triangle only the bins that it covers. The signal is read where it lies: what a frame
 * wants beyond its ends is found by index, so nothing is padded. Every frame looks at the watch.
 */
#include "serve/features.h"

#include "base/err.h"
#include "serve/fourier.h"

#include <math.h>
#include <string.h>

struct filter {
    int first, n;   /* bins */
    float *weights; /* [n] */
};

struct features_maker {
    struct features f;
    int width, n_bins;
    double *taper; /* [win_length] */
    struct filter *filters;
    float *cosines; /* [n_mfcc][n_mels], lifted */
    struct fourier *fourier;
    double *frame, *re, *im;
    float *mels; /* [n_mels] of cepstra's frames */
};

bool features_is_kaldi(const struct features *f)
{
    return f->kind == FEATURES_FBANK || f->kind == FEATURES_KALDI_MFCC;
}

static bool is_cepstral(const struct features *f)
{
    return f->kind == FEATURES_MFCC || f->kind == FEATURES_KALDI_MFCC;
}

/* --- settings ----------------------------------------------------------------------------------------------------- */

void features_defaults(struct features *features, enum features_kind kind, int rate)
{
    *features = (struct features){.kind = kind,
                                  .rate = rate,
                                  .n_fft = 2048,
                                  .n_mels = 128,
                                  .n_mfcc = 20,
                                  .mel = MEL_SLANEY,
                                  .norm = NORM_SLANEY,
                                  .power = 2,
                                  .log = LOG_DB,
                                  .floor = 1e-10f,
                                  .top_db = 80,
                                  .center = true};
    if (features_is_kaldi(features))
        *features = (struct features){.kind = kind,
                                      .rate = rate,
                                      .n_mels = 23,
                                      .n_mfcc = 13,
                                      .fmin = 20,
                                      .power = 2,
                                      .taper = TAPER_POVEY,
                                      .floor = 0x1p-23f,
                                      .preemphasis = 0.97f,
                                      .snip_edges = true,
                                      .lifter = 22};
}

static float highest(const struct features *f)
{
    return f->fmax > 0 ? f->fmax : (float)f->rate / 2 + f->fmax;
}

static void complete(struct features *f)
{
    if (features_is_kaldi(f)) {
        f->win_length = f->win_length ? f->win_length : (int)((int64_t)f->rate * 25 / 1000);
        f->hop_length = f->hop_length ? f->hop_length : (int)((int64_t)f->rate * 10 / 1000);
        for (int n = 1; !f->n_fft; n *= 2)
            f->n_fft = n >= f->win_length ? n : 0;
        return;
    }
    f->win_length = f->win_length ? f->win_length : f->n_fft;
    f->hop_length = f->hop_length ? f->hop_length : f->win_length / 4;
}

bool features_complete(struct features *f, struct percept_err *err)
{
    complete(f);
    if (f->win_length < 2 || f->hop_length < 1)
        return err_set(err, ERR_CONFIG,
                       "win_length is %d and hop_length %d; a frame has at least 2 samples, and frames "
                       "are at least 1 apart",
                       f->win_length, f->hop_length);
    if (f->n_fft > FOURIER_MOST || f->n_fft < f->win_length)
        return err_set(err, ERR_CONFIG, "n_fft is %d; it must be at least win_length (%d) and at most %d", f->n_fft,
                       f->win_length, FOURIER_MOST);
    if (f->fmin < 0 || highest(f) <= f->fmin || highest(f) > (float)f->rate / 2)
        return err_set(err, ERR_CONFIG, "filters from fmin %g to fmax %g Hz: they must rise, and half the rate is %g",
                       (double)f->fmin, (double)highest(f), (double)f->rate / 2);
    if (is_cepstral(f) && f->n_mfcc > f->n_mels)
        return err_set(err, ERR_CONFIG, "n_mfcc is %d, but there are %d filters (n_mels)", f->n_mfcc, f->n_mels);
    return f->floor > 0 || err_set(err, ERR_CONFIG, "floor is %g; it keeps a logarithm from 0", (double)f->floor);
}

int features_width(const struct features *f)
{
    return is_cepstral(f) ? f->n_mfcc : f->n_mels;
}

int64_t features_frames(const struct features *f, int64_t n)
{
    if (n <= 0)
        return 0;
    if (features_is_kaldi(f) && !f->snip_edges)
        return (n + f->hop_length / 2) / f->hop_length;
    const int64_t frame = features_is_kaldi(f) ? f->win_length : f->n_fft;
    const int64_t around = !features_is_kaldi(f) && f->center ? n + 2 * (f->n_fft / 2) : n;
    return around < frame ? 0 : 1 + (around - frame) / f->hop_length;
}

/* --- tables ------------------------------------------------------------------------------------------------------- */

/* `period` is win_length for windows that go on periodically, one less for symmetrical ones. */
static double taper_at(enum features_taper taper, int i, int period)
{
    const double angle = 2 * M_PI * i / period;
    switch (taper) {
    case TAPER_HAMMING:
        return 0.54 - 0.46 * cos(angle);
    case TAPER_BLACKMAN:
        return 0.42 - 0.5 * cos(angle) + 0.08 * cos(2 * angle);
    case TAPER_POVEY:
        return pow(0.5 - 0.5 * cos(angle), 0.85);
    case TAPER_RECTANGULAR:
        return 1;
    default:
        return 0.5 - 0.5 * cos(angle);
    }
}

/* Slaney's scale (Auditory Toolbox): linear below 1000 Hz, logarithmic above. */
static double mel_of(const struct features *f, double hz)
{
    if (features_is_kaldi(f))
        return 1127 * log1p(hz / 700);
    if (f->mel == MEL_HTK)
        return 2595 * log10(1 + hz / 700);
    return hz < 1000 ? hz * 3 / 200 : 15 + log(hz / 1000) / (log(6.4) / 27);
}

static double hz_of(const struct features *f, double mel)
{
    if (features_is_kaldi(f))
        return 700 * expm1(mel / 1127);
    if (f->mel == MEL_HTK)
        return 700 * (pow(10, mel / 2595) - 1);
    return mel < 15 ? mel * 200 / 3 : 1000 * exp((mel - 15) * (log(6.4) / 27));
}

static double bin_hz(const struct features *f, int k)
{
    return (double)f->rate * k / f->n_fft;
}

/* A triangle's height at x. Kaldi's lie on the mel axis, librosa's in Hz. */
static double triangle(double left, double middle, double right, double x)
{
    return fmax(0, fmin((x - left) / (middle - left), (right - x) / (right - middle)));
}

/* Filter `i`'s corners are the points i to i + 2 of n_mels + 2 that divide the mel axis evenly. */
static double corner(const struct features *f, int i)
{
    const double low = mel_of(f, (double)f->fmin), high = mel_of(f, (double)highest(f));
    const double mel = low + (high - low) * i / (f->n_mels + 1);
    return features_is_kaldi(f) ? mel : hz_of(f, mel);
}

/* `at`: where the bins lie on the filters' axis. */
static bool filter_new(const struct features *f, int i, const double *at, struct filter *filter, struct arena *arena)
{
    const double left = corner(f, i), middle = corner(f, i + 1), right = corner(f, i + 2);
    const int n_bins = features_is_kaldi(f) ? f->n_fft / 2 : f->n_fft / 2 + 1; /* Kaldi's leave the last one out */
    const double area = f->norm == NORM_SLANEY && !features_is_kaldi(f) ? 2 / (right - left) : 1;
    int first = 0;
    while (first < n_bins && at[first] <= left)
        first++;
    int end = first;
    while (end < n_bins && at[end] < right)
        end++;
    *filter = (struct filter){
        .first = first, .n = end - first, .weights = arena_array(arena, (size_t)(end - first) + 1, sizeof(float))};
    for (int k = 0; filter->weights && k < filter->n; k++)
        filter->weights[k] = (float)(area * triangle(left, middle, right, at[first + k]));
    return filter->weights != NULL;
}

/* DCT-II, orthonormal. librosa counts the lifter's sine from 1, Kaldi from 0. */
static float cosine(const struct features *f, int c, int m)
{
    const double scale = sqrt((c ? 2.0 : 1.0) / f->n_mels), pi = M_PI;
    double lift = 1;
    if (f->lifter > 0)
        lift += (double)f->lifter / 2 * sin(pi * (c + !features_is_kaldi(f)) / (double)f->lifter);
    return (float)(lift * scale * cos(pi * c * (2 * m + 1) / (2.0 * f->n_mels)));
}

static bool tables_new(struct features_maker *maker, struct arena *arena)
{
    const struct features *f = &maker->f;
    const int period = features_is_kaldi(f) ? f->win_length - 1 : f->win_length;
    maker->taper = arena_array(arena, (size_t)f->win_length, sizeof *maker->taper);
    maker->filters = arena_array(arena, (size_t)f->n_mels, sizeof *maker->filters);
    maker->cosines = arena_array(arena, (size_t)f->n_mfcc * (size_t)f->n_mels + 1, sizeof *maker->cosines);
    maker->frame = arena_array(arena, (size_t)f->n_fft, sizeof *maker->frame);
    maker->re = arena_array(arena, (size_t)maker->n_bins, sizeof *maker->re);
    maker->im = arena_array(arena, (size_t)maker->n_bins, sizeof *maker->im);
    maker->mels = arena_array(arena, (size_t)f->n_mels, sizeof *maker->mels);
    if (!maker->taper || !maker->filters || !maker->cosines || !maker->frame || !maker->re || !maker->im ||
        !maker->mels)
        return false;
    for (int i = 0; i < f->win_length; i++)
        maker->taper[i] = taper_at(f->taper, i, period);
    for (int k = 0; k < maker->n_bins; k++) /* lent: frames come later */
        maker->re[k] = features_is_kaldi(f) ? mel_of(f, bin_hz(f, k)) : bin_hz(f, k);
    for (int i = 0; i < f->n_mels; i++)
        if (!filter_new(f, i, maker->re, &maker->filters[i], arena))
            return false;
    for (int i = 0; i < f->n_mfcc * f->n_mels; i++)
        maker->cosines[i] = cosine(f, i / f->n_mels, i % f->n_mels);
    return true;
}

struct features_maker *features_new(const struct features *features, struct arena *arena, struct percept_err *err)
{
    struct features_maker *maker = arena_alloc(arena, sizeof *maker);
    if (!maker)
        return err_null(err, ERR_MEMORY, "out of memory for features of sounds");
    maker->f = *features;
    maker->f.n_mfcc = is_cepstral(features) ? features->n_mfcc : 0;
    maker->n_bins = features->n_fft / 2 + 1;
    maker->width = features_width(features);
    maker->fourier = fourier_new(features->n_fft, arena, err);
    if (!maker->fourier)
        return NULL;
    return tables_new(maker, arena) ? maker : err_null(err, ERR_MEMORY, "out of memory for features of sounds");
}

/* --- frames ------------------------------------------------------------------------------------------------------- */

/* Where a sample beyond the ends is read: reflected so that the last one is not said twice (librosa, with this edge),
 * or that it is (Kaldi); -1: it is 0. */
static int64_t index_of(const struct features *f, int64_t i, int64_t n)
{
    if (i >= 0 && i < n)
        return i;
    if (!features_is_kaldi(f) && f->edges == EDGES_ZEROS)
        return -1;
    const int64_t period = features_is_kaldi(f) ? 2 * n : n > 1 ? 2 * n - 2 : 1;
    i = (i % period + period) % period;
    return i < n ? i : period - i - features_is_kaldi(f);
}

/* The signal, emphasized as a whole. */
static double sample(const struct features *f, const float *x, int64_t i, int64_t n)
{
    i = index_of(f, i, n);
    if (i < 0)
        return 0;
    return (double)x[i] - (i > 0 ? (double)f->preemphasis * (double)x[i - 1] : 0);
}

static void cut_librosa(struct features_maker *maker, const float *x, int64_t n, int64_t t)
{
    const struct features *f = &maker->f;
    const int64_t start = t * f->hop_length - (f->center ? f->n_fft / 2 : 0);
    const int before = (f->n_fft - f->win_length) / 2;
    memset(maker->frame, 0, (size_t)f->n_fft * sizeof *maker->frame);
    for (int i = 0; i < f->win_length; i++)
        maker->frame[before + i] = sample(f, x, start + before + i, n) * maker->taper[i];
}

static void cut_kaldi(struct features_maker *maker, const float *x, int64_t n, int64_t t)
{
    const struct features *f = &maker->f;
    const int win = f->win_length;
    const int64_t start = t * f->hop_length + (f->snip_edges ? 0 : f->hop_length / 2 - win / 2);
    double sum = 0, *frame = maker->frame;
    memset(frame, 0, (size_t)f->n_fft * sizeof *frame);
    for (int i = 0; i < win; i++) {
        frame[i] = (double)x[index_of(f, start + i, n)];
        sum += frame[i];
    }
    for (int i = 0; i < win; i++)
        frame[i] -= sum / win;
    for (int i = win - 1; i >= 0; i--)
        frame[i] = (frame[i] - (double)f->preemphasis * frame[i ? i - 1 : 0]) * maker->taper[i];
}

static float logarithm(const struct features *f, double x)
{
    const double floor = (double)f->floor, kept = f->guard == GUARD_ADD ? x + floor : x > floor ? x : floor;
    return (float)(f->log == LOG_NATURAL ? log(kept) : log10(kept) * (f->log == LOG_DB ? 10 : 1));
}

/* The logarithms of one frame's filters. */
static void put_mels(struct features_maker *maker, float *mels)
{
    const struct features *f = &maker->f;
    fourier_real(maker->fourier, maker->frame, maker->re, maker->im);
    for (int k = 0; k < maker->n_bins; k++) {
        const double square = maker->re[k] * maker->re[k] + maker->im[k] * maker->im[k];
        maker->re[k] = f->power == 2 ? square : sqrt(square);
    }
    for (int m = 0; m < f->n_mels; m++) {
        const struct filter *filter = &maker->filters[m];
        double sum = 0;
        for (int k = 0; k < filter->n; k++)
            sum += (double)filter->weights[k] * maker->re[filter->first + k];
        mels[m] = logarithm(f, sum);
    }
}

/* Nothing lies further below the loudest than top_db. */
static void raise(const struct features *f, float *mels, int64_t n)
{
    const float decibel = f->log == LOG_DB ? 1 : f->log == LOG_10 ? 0.1f : (float)(M_LN10 / 10);
    float loudest = -INFINITY;
    for (int64_t i = 0; f->top_db > 0 && i < n; i++)
        loudest = mels[i] > loudest ? mels[i] : loudest;
    for (int64_t i = 0; f->top_db > 0 && i < n; i++)
        mels[i] = fmaxf(mels[i], loudest - f->top_db * decibel);
}

static void put_cepstra(const struct features_maker *maker, const float *mels, float *row)
{
    const int n_mels = maker->f.n_mels;
    for (int c = 0; c < maker->width; c++) {
        double sum = 0;
        for (int m = 0; m < n_mels; m++)
            sum += (double)maker->cosines[c * n_mels + m] * (double)mels[m];
        row[c] = (float)sum;
    }
}

bool features_make(struct features_maker *maker, const float *samples, int64_t n_samples, float *rows,
                   struct watch *watch, struct arena *arena, struct percept_err *err)
{
    const struct features *f = &maker->f;
    const int64_t n = features_frames(f, n_samples);
    float *mels = is_cepstral(f) ? arena_array(arena, (size_t)(n + 1) * (size_t)f->n_mels, sizeof *mels) : rows;
    if (!mels)
        return err_memory(err, "features of a sound", (size_t)n * (size_t)f->n_mels * sizeof *mels);
    for (int64_t t = 0; t < n; t++) {
        if (!watch_spend(watch, 4 * (int64_t)f->n_fft))
            return watch_refuse(watch, err);
        if (features_is_kaldi(f))
            cut_kaldi(maker, samples, n_samples, t);
        else
            cut_librosa(maker, samples, n_samples, t);
        put_mels(maker, mels + t * f->n_mels);
    }
    raise(f, mels, n * f->n_mels);
    for (int64_t t = 0; is_cepstral(f) && t < n; t++) {
        if (!watch_spend(watch, (int64_t)f->n_mels * maker->width))
            return watch_refuse(watch, err);
        put_cepstra(maker, mels + t * f->n_mels, rows + t * maker->width);
    }
    return true;
}

void features_normalize(float *rows, int64_t n, int width)
{
    for (int c = 0; c < width; c++) {
        double sum = 0, squares = 0;
        for (int64_t t = 0; t < n; t++)
            sum += (double)rows[t * width + c];
        const double mean = n ? sum / (double)n : 0;
        for (int64_t t = 0; t < n; t++)
            squares += ((double)rows[t * width + c] - mean) * ((double)rows[t * width + c] - mean);
        const double deviation = n > 1 ? sqrt(squares / (double)(n - 1)) : 0;
        for (int64_t t = 0; t < n; t++)
            rows[t * width + c] = (float)(((double)rows[t * width + c] - mean) / (deviation + 1e-5));
    }
}
