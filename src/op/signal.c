/*
 * signal.c - what sound models ask for: HannWindow, HammingWindow, BlackmanWindow,
 * MelWeightMatrix, DFT and STFT.
 *
 * Windows and the mel matrix are made from numbers that must be known when planned; as those
 * mostly are constants, folding computes them at load.
 *
 * A Fourier transform is a plain sum over a table of one turn of cosines and sines, made in
 * double by a plan's first run: term k n of length N is entry k n mod N, so nothing drifts. That costs N
 * steps per frequency, fine for the few hundred samples of a frame. DFT transforms lines of any
 * tensor, STFT frames of a signal, under a window. One side of a spectrum, transformed back, gives
 * real samples: what is between its ends counts twice, for the side that is not there. Sums are in
 * double.
 *
 * Work is split over frequencies of lines or frames. Thread: loader, then the session's holder with its team.
 */
#include "op/attr.h"
#include "op/batch_axis.h"
#include "op/cast.h"
#include "op/types.h"

#include <math.h>

#define FOURIER_GRAIN 16384             /* multiply-adds that are not worth sharing */
#define WINDOW_UNITS 8                  /* two cosines, in watch_spend's units */
#define MISS_UNITS 4                    /* an entry from anywhere in the table, in watch_spend's units */
#define SIGNAL_LIMIT ((int64_t)1 << 24) /* of a transform's length, a window's size */

/* One number of an integer type that must be known. */
static bool known_number(const struct step *step, int i, int64_t *value, struct percept_err *err)
{
    const struct tensor *t = step->in[i];
    if (!types_integer(t->dtype) || tensor_elements(t) != 1)
        return err_set(err, ERR_MODEL, OP_AT "input %d is not one integer", OP_NODE(step->node), i);
    if (!op_known(step, i, err))
        return false;
    cast_numbers(PERCEPT_INT64, value, t->dtype, t->data, 1);
    return true;
}

static bool number_within(const struct step *step, const char *what, int64_t value, int64_t least,
                          struct percept_err *err)
{
    if (value >= least && value <= SIGNAL_LIMIT)
        return true;
    return err_set(err, ERR_INVALID, OP_AT "%s is %lld; %lld to %lld work", OP_NODE(step->node), what, (long long)value,
                   (long long)least, (long long)SIGNAL_LIMIT);
}

static bool read_dtype(struct node_ctx *ctx, enum percept_dtype *dtype, struct percept_err *err)
{
    int64_t value;
    if (!attr_int_in(ctx, "output_datatype", PERCEPT_FLOAT, PERCEPT_FLOAT, PERCEPT_BFLOAT16, &value, err))
        return false;
    *dtype = (enum percept_dtype)value;
    if (tensor_dtype_bytes(*dtype) && *dtype != PERCEPT_STRING)
        return true;
    return err_set(err, ERR_UNSUPPORTED, OP_AT "attribute 'output_datatype' is %lld, which is no type of numbers",
                   OP_NODE(ctx->node), (long long)value);
}

static void put_number(const struct tensor *out, int64_t at, double value)
{
    const size_t size = tensor_dtype_bytes(out->dtype);
    cast_numbers(out->dtype, (char *)out->data + (size_t)at * size, PERCEPT_DOUBLE, &value, 1);
}

/* --- windows ------------------------------------------------------------------------------------------------------ */

enum window_kind { WINDOW_HANN, WINDOW_HAMMING, WINDOW_BLACKMAN };

struct window {
    enum window_kind kind;
    bool periodic;
    enum percept_dtype dtype;
};

static bool window_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct window *window = op_priv(ctx, sizeof *window, err);
    if (!window)
        return false;
    window->kind = (enum window_kind)ctx->node->op->rule->variant;
    return op_arity(ctx, 1, 1, 1, err) && attr_bool(ctx, "periodic", true, &window->periodic, err) &&
           read_dtype(ctx, &window->dtype, err);
}

static bool window_shape(struct step *step, struct percept_err *err)
{
    const struct window *window = step->priv;
    int64_t n;
    if (!known_number(step, 0, &n, err) || !number_within(step, "size", n, 0, err))
        return false;
    op_set_out(step, 0, window->dtype, 1, &n);
    return true;
}

static bool window_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    static const double terms[][3] = {{0.5, 0.5, 0}, {25.0 / 46, 21.0 / 46, 0}, {0.42, 0.5, 0.08}};
    const struct window *window = step->priv;
    const double *a = terms[window->kind];
    const int64_t n = step->out[0]->dims[0];
    const double period = (double)(window->periodic ? n : n - 1);
    for (int64_t i = 0; i < n && op_spend(env, WINDOW_UNITS); i++) {
        /* one alone is the top */
        const double turn = period > 0 ? 2 * M_PI * (double)i / period : M_PI;
        put_number(step->out[0], i, a[0] - a[1] * cos(turn) + a[2] * cos(2 * turn));
    }
    return true;
}

#define WINDOW_RULE(name, kind_)                                                                                       \
    const struct op_rule op_##name = {.check = window_check, .shape = window_shape, .run = window_run, .variant = kind_}

WINDOW_RULE(hann_window, WINDOW_HANN);
WINDOW_RULE(hamming_window, WINDOW_HAMMING);
WINDOW_RULE(blackman_window, WINDOW_BLACKMAN);

/* --- MelWeightMatrix ---------------------------------------------------------------------------------------------- */

struct mel {
    enum percept_dtype dtype;
};

struct mel_plan {
    int64_t bands, length, rate;
    double low, high; /* Hz */
};

static bool mel_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct mel *mel = op_priv(ctx, sizeof *mel, err);
    if (!mel)
        return false;
    return op_arity(ctx, 5, 5, 1, err) && read_dtype(ctx, &mel->dtype, err);
}

static bool known_edge(const struct step *step, int i, double *value, struct percept_err *err)
{
    const struct tensor *t = step->in[i];
    if (!types_real(t->dtype) || tensor_elements(t) != 1)
        return err_set(err, ERR_MODEL, OP_AT "input %d is not one float", OP_NODE(step->node), i);
    if (!op_known(step, i, err))
        return false;
    cast_numbers(PERCEPT_DOUBLE, value, t->dtype, t->data, 1);
    return true;
}

static bool mel_shape(struct step *step, struct percept_err *err)
{
    const struct mel *mel = step->priv;
    struct mel_plan *plan = arena_alloc(step->arena, sizeof *plan);
    if (!plan)
        return err_memory(err, "a node's plan", sizeof *plan);
    if (!known_number(step, 0, &plan->bands, err) || !known_number(step, 1, &plan->length, err) ||
        !known_number(step, 2, &plan->rate, err) || !known_edge(step, 3, &plan->low, err) ||
        !known_edge(step, 4, &plan->high, err) || !number_within(step, "num_mel_bins", plan->bands, 0, err) ||
        !number_within(step, "dft_length", plan->length, 1, err) ||
        !number_within(step, "sample_rate", plan->rate, 1, err))
        return false;
    if (!(plan->low >= 0 && plan->low <= plan->high && plan->high <= 1e9))
        return err_set(err, ERR_INVALID, OP_AT "the band from %g to %g Hz is none", OP_NODE(step->node), plan->low,
                       plan->high);
    op_set_out(step, 0, mel->dtype, 2, (const int64_t[]){plan->length / 2 + 1, plan->bands});
    step->state = plan;
    return true;
}

/* The spectrogram's bin at which mel point i of bands + 2 lies. */
static double mel_bin(const struct mel_plan *plan, int64_t i)
{
    const double low = 2595 * log10(1 + plan->low / 700), high = 2595 * log10(1 + plan->high / 700);
    const double mel = low + (double)i * (high - low) / (double)(plan->bands + 2);
    const double hertz = 700 * (pow(10, mel / 2595) - 1);
    return floor((double)(plan->length + 1) * hertz / (double)plan->rate);
}

static bool mel_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    const struct mel_plan *plan = step->state;
    const struct tensor *out = step->out[0];
    for (int64_t band = 0; band < plan->bands; band++) {
        const double low = mel_bin(plan, band), top = mel_bin(plan, band + 1);
        const double high = mel_bin(plan, band + 2);
        for (int64_t row = 0; row < out->dims[0] && op_spend(env, 1); row++) {
            const double x = (double)row;
            double weight = 0;
            if (x == top)
                weight = 1;
            else if (x >= low && x < top)
                weight = (x - low) / (top - low);
            else if (x > top && x < high)
                weight = (high - x) / (high - top);
            put_number(out, row * plan->bands + band, weight);
        }
    }
    return true;
}

const struct op_rule op_mel_weight_matrix = {.check = mel_check, .shape = mel_shape, .run = mel_run};

/* --- transforms --------------------------------------------------------------------------------------------------- */

struct fourier {
    bool frames; /* STFT, else DFT */
    bool one_sided, inverse;
    int64_t axis; /* DFT before opset 20 */
};

/* A sum over `taken` samples of which `length` make a turn, `inner` elements apart. */
struct fourier_plan {
    int64_t lines, frames; /* frames of a line; 1 in a DFT */
    int64_t hop;           /* samples from frame to frame */
    int64_t samples;       /* of a line */
    int64_t inner, length, taken, bins;
    int parts; /* 1: real samples, 2: complex ones */
    int parts_out;
    bool halved;   /* the samples are one side of a spectrum */
    int window;    /* input, or -1 */
    double *table; /* [length] cosines, [length] sines */
    bool filled;   /* the table, by the first run */
};

static bool fourier_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct fourier *fourier = op_priv(ctx, sizeof *fourier, err);
    if (!fourier)
        return false;
    fourier->frames = ctx->node->op->rule->variant == 1;
    const bool axis_input = !fourier->frames && ctx->node->opset >= 20;
    if (!op_arity(ctx, fourier->frames ? 2 : 1,
                  fourier->frames ? 4
                  : axis_input    ? 3
                                  : 2,
                  1, err) ||
        !attr_bool(ctx, "onesided", fourier->frames, &fourier->one_sided, err) ||
        !attr_bool(ctx, "inverse", false, &fourier->inverse, err) ||
        !attr_int(ctx, "axis", axis_input ? -2 : 1, &fourier->axis, err))
        return false;
    if (fourier->frames)
        fourier->inverse = false; /* no attribute of STFT */
    return true;
}

static bool make_table(struct step *step, struct fourier_plan *plan, struct percept_err *err)
{
    const struct fourier *fourier = step->priv;
    const size_t n = (size_t)plan->length;
    double *table = arena_array(step->arena, n, 2 * sizeof *table);
    if (!table)
        return err_memory(err, "a transform's table", n * 2 * sizeof *table);
    plan->table = table;
    plan->halved = fourier->one_sided && fourier->inverse;
    plan->parts_out = plan->halved ? 1 : 2;
    plan->bins = fourier->one_sided && !plan->halved ? plan->length / 2 + 1 : plan->length;
    step->state = plan;
    return true;
}

/* Pieces: entries of the table. */
static void fill_entries(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct step *step = arg;
    const struct fourier *fourier = step->priv;
    const struct fourier_plan *plan = step->state;
    const double sign = fourier->inverse ? 1 : -1;
    for (int64_t i = from; i < to; i++) {
        const double turn = 2 * M_PI * (double)i / (double)plan->length;
        plan->table[i] = cos(turn);
        plan->table[plan->length + i] = sign * sin(turn);
    }
}

/* Once for a plan; again where nobody waited for the end of it. */
static void fill_table(struct step *step, struct run_env *env)
{
    struct fourier_plan *plan = step->state;
    if (!plan->filled)
        team_split(env->team, plan->length, FOURIER_GRAIN, fill_entries, step);
    plan->filled = !watch_over(env->watch);
}

static bool samples_usable(const struct step *step, int least, int *parts, struct percept_err *err)
{
    const struct fourier *fourier = step->priv;
    const struct tensor *x = step->in[0];
    if (!op_want_real(step, 0, err))
        return false;
    if (x->rank < least || (x->dims[x->rank - 1] != 1 && x->dims[x->rank - 1] != 2))
        return err_set(err, ERR_INVALID,
                       OP_AT "its input must have %d axes or more, the last one of 1 (real) or 2 "
                             "(complex)",
                       OP_NODE(step->node), least);
    *parts = (int)x->dims[x->rank - 1];
    if (fourier->one_sided && !fourier->inverse && *parts == 2)
        return err_set(err, ERR_INVALID, OP_AT "one side of a transform of complex numbers", OP_NODE(step->node));
    if (fourier->one_sided && fourier->inverse && *parts == 1)
        return err_set(err, ERR_INVALID, OP_AT "one side of a spectrum is made of complex numbers",
                       OP_NODE(step->node));
    return true;
}

static bool dft_shape(struct step *step, struct percept_err *err)
{
    const struct fourier *fourier = step->priv;
    const struct tensor *x = step->in[0];
    struct fourier_plan *plan = arena_alloc(step->arena, sizeof *plan);
    int axis;
    int64_t asked = fourier->axis, dims[RANK_MAX];
    if (!plan)
        return err_memory(err, "a transform's plan", sizeof *plan);
    *plan = (struct fourier_plan){.frames = 1, .window = -1};
    if (!samples_usable(step, 2, &plan->parts, err) || (op_in(step, 2) && !known_number(step, 2, &asked, err)) ||
        !op_axis(step, asked, x->rank, &axis, err))
        return false;
    if (axis == x->rank - 1)
        return err_set(err, ERR_MODEL, OP_AT "axis %d holds the parts of the numbers", OP_NODE(step->node), axis);
    plan->samples = plan->length = x->dims[axis];
    if (fourier->one_sided && fourier->inverse)
        plan->length = 2 * (plan->samples - 1);
    if ((op_in(step, 1) && !known_number(step, 1, &plan->length, err)) ||
        !number_within(step, "dft_length", plan->length, 1, err) || !make_table(step, plan, err))
        return false;
    const int64_t most = plan->halved ? plan->length / 2 + 1 : plan->length;
    plan->taken = plan->samples < most ? plan->samples : most;
    plan->lines = tensor_span(x, 0, axis);
    plan->inner = tensor_span(x, axis + 1, x->rank - 1);
    for (int i = 0; i < x->rank; i++)
        dims[i] = x->dims[i];
    dims[axis] = plan->bins;
    dims[x->rank - 1] = plan->parts_out;
    op_set_out(step, 0, x->dtype, x->rank, dims);
    return true;
}

static bool window_usable(const struct step *step, struct fourier_plan *plan, struct percept_err *err)
{
    if (!op_in(step, 2))
        return true;
    const struct tensor *window = step->in[2];
    plan->window = 2;
    if (!op_want_dtype(step, 2, step->in[0]->dtype, err))
        return false;
    if (window->rank != 1 || (op_in(step, 3) && window->dims[0] != plan->length))
        return err_set(err, ERR_INVALID, OP_AT "the window is no list as long as a frame", OP_NODE(step->node));
    plan->length = window->dims[0];
    return true;
}

/* PyTorch's exporter leaves out the axis of 1 that the specification has behind real samples. */
static bool signal_usable(const struct step *step, int *parts, struct percept_err *err)
{
    *parts = 1;
    return step->in[0]->rank == 2 ? op_want_real(step, 0, err) : samples_usable(step, 3, parts, err);
}

static bool stft_shape(struct step *step, struct percept_err *err)
{
    const struct tensor *x = step->in[0];
    struct fourier_plan *plan = arena_alloc(step->arena, sizeof *plan);
    if (!plan)
        return err_memory(err, "a transform's plan", sizeof *plan);
    *plan = (struct fourier_plan){.window = -1, .inner = 1};
    if (!signal_usable(step, &plan->parts, err) || !known_number(step, 1, &plan->hop, err) ||
        !number_within(step, "frame_step", plan->hop, 1, err))
        return false;
    if (x->rank > 3 || (!op_in(step, 2) && !op_in(step, 3)))
        return err_set(err, ERR_INVALID, OP_AT "a signal [items,samples,1] and a window or a frame_length would work",
                       OP_NODE(step->node));
    if ((op_in(step, 3) && !known_number(step, 3, &plan->length, err)) || !window_usable(step, plan, err) ||
        !number_within(step, "frame_length", plan->length, 1, err))
        return false;
    plan->lines = x->dims[0];
    plan->samples = x->dims[1];
    plan->taken = plan->length;
    if (plan->samples >= plan->length)
        plan->frames = (plan->samples - plan->length) / plan->hop + 1;
    if (!make_table(step, plan, err))
        return false;
    op_set_out(step, 0, x->dtype, 4, (const int64_t[]){plan->lines, plan->frames, plan->bins, 2});
    return true;
}

/* What a piece reads and writes, as numbers of the tensors' type. */
struct fourier_piece {
    const void *x, *window;
    void *y;
    int64_t in, out; /* first elements of its frame */
    int64_t bin, bin_end;
    double scale;
    struct op_share *share;
};

/* How often a sample counts: once, or for the other side of its spectrum as well. */
static double sides(const struct fourier_plan *plan, int64_t n)
{
    return plan->halved && n > 0 && 2 * n != plan->length ? 2 : 1;
}

#define TRANSFORM(dtype, T)                                                                                            \
    case dtype:                                                                                                        \
        for (int64_t bin = piece->bin; bin < piece->bin_end; bin++) {                                                  \
            const T *x = (const T *)piece->x + piece->in, *window = piece->window;                                     \
            T *y = (T *)piece->y + piece->out + plan->parts_out * plan->inner * bin;                                   \
            double real = 0, imaginary = 0;                                                                            \
            int64_t at = 0;                                                                                            \
            for (int64_t n = 0; n < plan->taken; n++, x += stride) {                                                   \
                if (n % OP_BLOCK == 0 && !op_share_spend(piece->share, units))                                         \
                    return;                                                                                            \
                const double factor = window ? (double)window[n] : sides(plan, n);                                     \
                const double a = factor * (double)x[0], b = two ? factor * (double)x[1] : 0;                           \
                real += a * cosine[at] - b * sine[at];                                                                 \
                imaginary += a * sine[at] + b * cosine[at];                                                            \
                at += bin;                                                                                             \
                at -= at >= plan->length ? plan->length : 0;                                                           \
            }                                                                                                          \
            y[0] = (T)(piece->scale * real);                                                                           \
            if (plan->parts_out == 2)                                                                                  \
                y[1] = (T)(piece->scale * imaginary);                                                                  \
        }                                                                                                              \
        break;

/* Some frequencies of one frame. */
static void transform(const struct fourier_plan *plan, enum percept_dtype dtype, const struct fourier_piece *piece)
{
    const double *cosine = plan->table, *sine = plan->table + plan->length;
    const int64_t stride = plan->inner * plan->parts;
    const bool two = plan->parts == 2;
    const int64_t units = MISS_UNITS * (plan->taken < OP_BLOCK ? plan->taken : OP_BLOCK);
    switch (dtype) {
        TYPES_REAL(TRANSFORM)
    default:
        break;
    }
}

/* Pieces: frequencies of frames of lines, or of the inner positions of a DFT's lines. */
static void fourier_pieces(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    struct op_share share = *(const struct op_share *)arg;
    const struct step *step = share.step;
    const struct fourier *fourier = step->priv;
    const struct fourier_plan *plan = step->state;
    struct fourier_piece piece = {
        .share = &share,
        .x = step->in[0]->data,
        .window = plan->window >= 0 ? step->in[plan->window]->data : NULL,
        .y = step->out[0]->data,
        .scale = fourier->inverse ? 1 / (double)plan->length : 1,
    };
    for (int64_t next; from < to; from = next) {
        const int64_t at = from / plan->bins, end = (at + 1) * plan->bins;
        next = to < end ? to : end;
        piece.bin = from - at * plan->bins;
        piece.bin_end = next - at * plan->bins;
        const int64_t inner = at % plan->inner, frame = at / plan->inner % plan->frames;
        const int64_t line = at / plan->inner / plan->frames;
        piece.in = ((line * plan->samples + frame * plan->hop) * plan->inner + inner) * plan->parts;
        piece.out = ((line * plan->frames + frame) * plan->bins * plan->inner + inner) * plan->parts_out;
        transform(plan, step->in[0]->dtype, &piece);
    }
}

static bool fourier_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    const struct fourier_plan *plan = step->state;
    struct op_share share = op_share(step, env);
    if (tensor_elements(step->out[0]) == 0)
        return true;
    fill_table(step, env);
    team_split(env->team, plan->lines * plan->frames * plan->inner * plan->bins,
               1 + FOURIER_GRAIN / (plan->taken ? plan->taken : 1), fourier_pieces, &share);
    return true;
}

static void dft_batch(struct batch_view *view)
{
    const struct fourier *fourier = view->many->priv;
    const struct tensor *x = view->many->in[0];
    bool together[RANK_MAX] = {false};
    int64_t asked = fourier->axis;
    int axis;
    if ((op_in(view->many, 2) && !known_number(view->many, 2, &asked, NULL)) ||
        !op_axis(view->many, asked, x->rank, &axis, NULL))
        return;
    together[axis] = together[x->rank - 1] = true;
    batch_axis_keep(view, together);
}

const struct op_rule op_dft = {.check = fourier_check, .shape = dft_shape, .run = fourier_run, .batch = dft_batch};
const struct op_rule op_stft = {
    .check = fourier_check, .shape = stft_shape, .run = fourier_run, .batch = batch_axis_items, .variant = 1};
