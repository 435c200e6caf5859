/*
 * oracle_recurrent.c - the equations of RNN-14, GRU-14 and LSTM-14 in double, one item and one element at a
 * time, with no thought of speed. clip bounds the input of every activation, h's included. Past an item's
 * length Y is zero; a reverse direction begins at the item's own end.
 */
#include "differential/oracle_recurrent.h"

#include <math.h>

#define HIDDEN_MOST 64

const struct oracle_function oracle_functions[FUNCTIONS] = {
    [F_RELU] = {"Relu", 0, 0},
    [F_TANH] = {"Tanh", 0, 0},
    [F_SIGMOID] = {"Sigmoid", 0, 0},
    [F_AFFINE] = {"Affine", 0.7, 0.1},
    [F_LEAKY_RELU] = {"LeakyRelu", 0.1, 0},
    [F_THRESHOLDED_RELU] = {"ThresholdedRelu", 0.3, 0},
    [F_SCALED_TANH] = {"ScaledTanh", 0.8, 0.9},
    [F_HARD_SIGMOID] = {"HardSigmoid", 0.3, 0.4},
    [F_ELU] = {"Elu", 0.9, 0},
    [F_SOFTSIGN] = {"Softsign", 0, 0},
    [F_SOFTPLUS] = {"Softplus", 0, 0},
};

static double apply(const struct recurrent *r, enum function f, double x)
{
    const double a = (double)(float)oracle_functions[f].alpha, b = (double)(float)oracle_functions[f].beta;
    if (r->clip > 0)
        x = fmax(-r->clip, fmin(r->clip, x));
    switch (f) {
    case F_RELU:
        return fmax(x, 0);
    case F_TANH:
        return tanh(x);
    case F_SIGMOID:
        return 1 / (1 + exp(-x));
    case F_AFFINE:
        return a * x + b;
    case F_LEAKY_RELU:
        return x >= 0 ? x : a * x;
    case F_THRESHOLDED_RELU:
        return x >= a ? x : 0;
    case F_SCALED_TANH:
        return a * tanh(b * x);
    case F_HARD_SIGMOID:
        return fmin(fmax(a * x + b, 0), 1);
    case F_ELU:
        return x >= 0 ? x : a * (exp(x) - 1);
    case F_SOFTSIGN:
        return x / (1 + fabs(x));
    default:
        return fmax(x, 0) + log1p(exp(-fabs(x)));
    }
}

/* One item in one direction. */
struct item {
    const struct example *e;
    const struct recurrent *r;
    int64_t direction, item;
    double h[HIDDEN_MOST], c[HIDDEN_MOST];
};

static const struct tensor *slot(const struct example *e, int i)
{
    return i < e->n_in && !e->in[i].left_out ? &e->in[i].tensor : NULL;
}

static double bias(const struct item *s, int gate, int64_t j, bool recurrent)
{
    const struct tensor *b = slot(s->e, 3);
    const int64_t rows = s->r->gates * s->r->hidden;
    return b ? example_get(b, s->direction * 2 * rows + (recurrent ? rows : 0) + gate * s->r->hidden + j) : 0;
}

/* X_t W' + Wb */
static double from_input(const struct item *s, int gate, int64_t j, int64_t t)
{
    const struct recurrent *r = s->r;
    const int64_t x = (r->batch_first ? s->item * r->steps + t : t * r->batch + s->item) * r->in;
    const int64_t w = ((s->direction * r->gates + gate) * r->hidden + j) * r->in;
    double sum = bias(s, gate, j, false);
    for (int64_t k = 0; k < r->in; k++)
        sum += example_get(slot(s->e, 0), x + k) * example_get(slot(s->e, 1), w + k);
    return sum;
}

/* h R' + Rb */
static double from_state(const struct item *s, int gate, int64_t j, const double *h)
{
    const struct recurrent *r = s->r;
    const int64_t at = ((s->direction * r->gates + gate) * r->hidden + j) * r->hidden;
    double sum = bias(s, gate, j, true);
    for (int64_t k = 0; k < r->hidden; k++)
        sum += h[k] * example_get(slot(s->e, 2), at + k);
    return sum;
}

static double peephole(const struct item *s, int gate, int64_t j)
{
    const struct tensor *p = slot(s->e, 7);
    return p ? example_get(p, (s->direction * 3 + gate) * s->r->hidden + j) : 0;
}

static void step_rnn(struct item *s, int64_t t, double *next)
{
    for (int64_t j = 0; j < s->r->hidden; j++)
        next[j] = apply(s->r, s->r->functions[s->direction][0], from_input(s, 0, j, t) + from_state(s, 0, j, s->h));
}

static void step_gru(struct item *s, int64_t t, double *next)
{
    const enum function *f = s->r->functions[s->direction];
    double reset[HIDDEN_MOST], kept[HIDDEN_MOST];
    for (int64_t j = 0; j < s->r->hidden; j++) {
        reset[j] = apply(s->r, f[0], from_input(s, 1, j, t) + from_state(s, 1, j, s->h));
        kept[j] = reset[j] * s->h[j];
    }
    for (int64_t j = 0; j < s->r->hidden; j++) {
        double update = apply(s->r, f[0], from_input(s, 0, j, t) + from_state(s, 0, j, s->h));
        double state = s->r->linear_before_reset ? reset[j] * from_state(s, 2, j, s->h) : from_state(s, 2, j, kept);
        next[j] = (1 - update) * apply(s->r, f[1], from_input(s, 2, j, t) + state) + update * s->h[j];
    }
}

static void step_lstm(struct item *s, int64_t t, double *next)
{
    const struct recurrent *r = s->r;
    const enum function *f = r->functions[s->direction];
    for (int64_t j = 0; j < r->hidden; j++) {
        double sum[4];
        for (int g = 0; g < 4; g++)
            sum[g] = from_input(s, g, j, t) + from_state(s, g, j, s->h);
        double in = apply(r, f[0], sum[0] + peephole(s, 0, j) * s->c[j]);
        double forget = r->input_forget ? 1 - in : apply(r, f[0], sum[2] + peephole(s, 2, j) * s->c[j]);
        s->c[j] = forget * s->c[j] + in * apply(r, f[1], sum[3]);
        next[j] = apply(r, f[0], sum[1] + peephole(s, 1, j) * s->c[j]) * apply(r, f[2], s->c[j]);
    }
}

static int64_t state_at(const struct recurrent *r, int64_t direction, int64_t item)
{
    return (r->batch_first ? item * r->directions + direction : direction * r->batch + item) * r->hidden;
}

static void run_item(struct item *s, struct tensor *y, struct tensor *h, struct tensor *c)
{
    const struct recurrent *r = s->r;
    const int64_t at = state_at(r, s->direction, s->item);
    const struct tensor *lengths = slot(s->e, 4);
    const int64_t length = lengths ? example_get_int(lengths, s->item) : r->steps;
    for (int64_t j = 0; j < r->hidden; j++) {
        s->h[j] = slot(s->e, 5) ? example_get(slot(s->e, 5), at + j) : 0;
        s->c[j] = slot(s->e, 6) ? example_get(slot(s->e, 6), at + j) : 0;
    }
    for (int64_t k = 0; k < length; k++) {
        double next[HIDDEN_MOST];
        const int64_t t = r->reverse || s->direction == 1 ? length - 1 - k : k;
        (r->gates == 1 ? step_rnn : r->gates == 3 ? step_gru : step_lstm)(s, t, next);
        memcpy(s->h, next, (size_t)r->hidden * sizeof *next);
        const int64_t row = r->batch_first ? (s->item * r->steps + t) * r->directions + s->direction
                                           : (t * r->directions + s->direction) * r->batch + s->item;
        for (int64_t j = 0; j < r->hidden; j++)
            example_set(y, row * r->hidden + j, s->h[j]);
    }
    for (int64_t j = 0; j < r->hidden; j++) {
        example_set(h, at + j, s->h[j]);
        example_set(c, at + j, s->c[j]);
    }
}

bool oracle_recurrent(const struct example *e, struct tensor *out)
{
    const struct recurrent *r = e->user;
    const int64_t layouts[2][2][4] = {
        {{r->steps, r->directions, r->batch, r->hidden}, {r->directions, r->batch, r->hidden}},
        {{r->batch, r->steps, r->directions, r->hidden}, {r->batch, r->directions, r->hidden}}};
    struct tensor all[3] = {example_tensor(e->arena, e->type, 4, layouts[r->batch_first][0]),
                            example_tensor(e->arena, e->type, 3, layouts[r->batch_first][1]),
                            example_tensor(e->arena, e->type, 3, layouts[r->batch_first][1])};
    for (int64_t i = 0; i < tensor_elements(&all[0]); i++)
        example_set(&all[0], i, 0);
    for (int64_t d = 0; d < r->directions; d++)
        for (int64_t b = 0; b < r->batch; b++) {
            struct item item = {.e = e, .r = r, .direction = d, .item = b};
            run_item(&item, &all[0], &all[1], &all[2]);
        }
    for (int i = 0, n = 0; i < e->n_out; i++)
        if (e->out[i])
            out[n++] = all[i];
    return true;
}
