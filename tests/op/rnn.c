/*
 * rnn.c - tests of src/op/rnn.c: every cell against the equations of ONNX's documentation, written
 * out for one item and one unit at a time.
 */
#include "heavy.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct harness h;

enum { SEQ = 5, BATCH = 3, INPUT = 7, HIDDEN = 19 };

enum cell { CELL_RNN, CELL_GRU, CELL_LSTM };

static const char *const names[] = {"RNN", "GRU", "LSTM"};
static const int n_gates[] = {1, 3, 4};

/* What varies from test to test. */
struct scene {
    enum cell cell;
    const char *direction;
    bool batch_first, bias, states, peepholes, lengths, linear_before_reset, input_forget, constant;
    bool own_activations; /* HardSigmoid, Softsign, Elu in the place of the defaults */
    float clip;
};

struct numbers {
    float *x, *w, *r, *b, *h, *c, *p;
};

static const int32_t lengths[BATCH] = {5, 2, 4};

static int directions(const struct scene *s)
{
    return strcmp(s->direction, "bidirectional") == 0 ? 2 : 1;
}

static double clipped(const struct scene *s, double x)
{
    return s->clip > 0 ? fmax(-(double)s->clip, fmin((double)s->clip, x)) : x;
}

/* i: f, g or h */
static double activation(const struct scene *s, int i, double x)
{
    x = clipped(s, x);
    const bool sigmoid = i == 0 && s->cell != CELL_RNN;
    if (!s->own_activations)
        return sigmoid ? 1 / (1 + exp(-x)) : tanh(x);
    if (sigmoid) /* HardSigmoid, alpha 0.3, beta 0.4 */
        return fmax(0, fmin(1, (double)0.3f * x + (double)0.4f));
    if (i == 2) /* Elu, alpha 0.7 */
        return x < 0 ? (double)0.7f * (exp(x) - 1) : x;
    return x / (1 + fabs(x));
}

/* x W + h R + biases of gate `g`, unit j; parts: 1 input, 2 recurrent. */
static double gate(const struct scene *s, const struct numbers *v, int d, int g, int j, const float *x,
                   const double *hidden, int parts)
{
    const int rows = n_gates[s->cell] * HIDDEN, row = d * rows + g * HIDDEN + j;
    double sum = 0;
    for (int k = 0; k < INPUT && (parts & 1); k++)
        sum += (double)x[k] * (double)v->w[row * INPUT + k];
    for (int k = 0; k < HIDDEN && (parts & 2); k++)
        sum += hidden[k] * (double)v->r[row * HIDDEN + k];
    if (s->bias && (parts & 1))
        sum += (double)v->b[2 * d * rows + g * HIDDEN + j];
    if (s->bias && (parts & 2))
        sum += (double)v->b[(2 * d + 1) * rows + g * HIDDEN + j];
    return sum;
}

static void lstm_cell(const struct scene *s, const struct numbers *v, int d, const float *x, double *hidden, double *c)
{
    double next[HIDDEN];
    const float *p = v->p + d * 3 * HIDDEN;
    const double on = s->peepholes ? 1 : 0;
    for (int j = 0; j < HIDDEN; j++) {
        const double i = activation(s, 0, gate(s, v, d, 0, j, x, hidden, 3) + on * (double)p[j] * c[j]);
        const double f =
            s->input_forget
                ? 1 - i
                : activation(s, 0, gate(s, v, d, 2, j, x, hidden, 3) + on * (double)p[2 * HIDDEN + j] * c[j]);
        c[j] = f * c[j] + i * activation(s, 1, gate(s, v, d, 3, j, x, hidden, 3));
        const double o = activation(s, 0, gate(s, v, d, 1, j, x, hidden, 3) + on * (double)p[HIDDEN + j] * c[j]);
        next[j] = o * activation(s, 2, c[j]);
    }
    memcpy(hidden, next, sizeof next);
}

static void gru_cell(const struct scene *s, const struct numbers *v, int d, const float *x, double *hidden)
{
    double z[HIDDEN], r[HIDDEN], reset[HIDDEN], next[HIDDEN];
    for (int j = 0; j < HIDDEN; j++) {
        z[j] = activation(s, 0, gate(s, v, d, 0, j, x, hidden, 3));
        r[j] = activation(s, 0, gate(s, v, d, 1, j, x, hidden, 3));
        reset[j] = r[j] * hidden[j];
    }
    for (int j = 0; j < HIDDEN; j++) {
        const double own = gate(s, v, d, 2, j, x, hidden, 1);
        const double old =
            s->linear_before_reset ? r[j] * gate(s, v, d, 2, j, x, hidden, 2) : gate(s, v, d, 2, j, x, reset, 2);
        next[j] = (1 - z[j]) * activation(s, 1, own + old) + z[j] * hidden[j];
    }
    memcpy(hidden, next, sizeof next);
}

static void rnn_cell(const struct scene *s, const struct numbers *v, int d, const float *x, double *hidden)
{
    double next[HIDDEN];
    for (int j = 0; j < HIDDEN; j++)
        next[j] = activation(s, s->own_activations ? 1 : 0, gate(s, v, d, 0, j, x, hidden, 3));
    memcpy(hidden, next, sizeof next);
}

/* Where ONNX puts row (t, item) of X, (t, direction, item) of Y, (direction, item) of a state. */
static int x_row(const struct scene *s, int t, int item)
{
    return s->batch_first ? item * SEQ + t : t * BATCH + item;
}

static int y_row(const struct scene *s, int t, int d, int item)
{
    return s->batch_first ? (item * SEQ + t) * directions(s) + d : (t * directions(s) + d) * BATCH + item;
}

static int state_row(const struct scene *s, int d, int item)
{
    return s->batch_first ? item * directions(s) + d : d * BATCH + item;
}

static void one_item(const struct scene *s, const struct numbers *v, int d, int item, float *y, float *y_h, float *y_c)
{
    const int n = s->lengths ? lengths[item] : SEQ, at = state_row(s, d, item) * HIDDEN;
    const bool backward = d == 1 || strcmp(s->direction, "reverse") == 0;
    double hidden[HIDDEN], c[HIDDEN];
    for (int j = 0; j < HIDDEN; j++) {
        hidden[j] = s->states ? (double)v->h[at + j] : 0;
        c[j] = s->states ? (double)v->c[at + j] : 0;
    }
    for (int i = 0; i < n; i++) {
        const int t = backward ? n - 1 - i : i;
        const float *x = v->x + x_row(s, t, item) * INPUT;
        if (s->cell == CELL_LSTM)
            lstm_cell(s, v, d, x, hidden, c);
        else if (s->cell == CELL_GRU)
            gru_cell(s, v, d, x, hidden);
        else
            rnn_cell(s, v, d, x, hidden);
        for (int j = 0; j < HIDDEN; j++)
            y[y_row(s, t, d, item) * HIDDEN + j] = (float)hidden[j];
    }
    for (int j = 0; j < HIDDEN; j++) {
        y_h[at + j] = (float)hidden[j];
        y_c[at + j] = (float)c[j];
    }
}

static struct numbers make_numbers(void)
{
    enum { ROWS = 2 * 4 * HIDDEN };
    return (struct numbers){.x = heavy_numbers(1, SEQ * BATCH * INPUT),
                            .w = heavy_numbers(2, ROWS * INPUT),
                            .r = heavy_numbers(3, ROWS * HIDDEN),
                            .b = heavy_numbers(4, ROWS * 2),
                            .h = heavy_numbers(5, 2 * BATCH * HIDDEN),
                            .c = heavy_numbers(6, 2 * BATCH * HIDDEN),
                            .p = heavy_numbers(7, 2 * 3 * HIDDEN)};
}

static void weights(const struct scene *s, int rank, const int64_t *dims, const float *data)
{
    harness_floats(&h, rank, dims, data);
    if (s->constant)
        harness_as_constant(&h);
}

static void own_activations(const struct scene *s)
{
    static const float alphas[] = {0.3f, 0.7f, 0.3f, 0.7f}, betas[] = {0.4f, 0.4f};
    static struct bytes list[6];
    static const char *const cells[3][3] = {
        {"Softsign"}, {"HardSigmoid", "Softsign"}, {"hardsigmoid", "Softsign", "Elu"}};
    const int each = (int)s->cell + 1;
    for (int i = 0; i < each * directions(s); i++)
        list[i] = bytes_of_text(cells[s->cell][i % each]);
    harness_attr(&h, &(struct attr){.name = bytes_of_text("activations"),
                                    .type = ATTR_STRINGS,
                                    .n = (size_t)(each * directions(s)),
                                    .strings = list});
    static const float gru_alphas[] = {0.3f, 0.3f};
    harness_float_list(&h, "activation_alpha", s->cell == CELL_LSTM ? 4 : 2,
                       s->cell == CELL_LSTM ? alphas : gru_alphas);
    harness_float_list(&h, "activation_beta", 2, betas);
}

static void add_inputs(const struct scene *s, const struct numbers *v)
{
    const int64_t d = directions(s), rows = n_gates[s->cell] * HIDDEN;
    harness_floats(&h, 3, s->batch_first ? DIMS(BATCH, SEQ, INPUT) : DIMS(SEQ, BATCH, INPUT), v->x);
    weights(s, 3, DIMS(d, rows, INPUT), v->w);
    weights(s, 3, DIMS(d, rows, HIDDEN), v->r);
    if (s->bias)
        weights(s, 2, DIMS(d, 2 * rows), v->b);
    else
        harness_left_out(&h);
    if (s->lengths)
        harness_input(&h, PERCEPT_INT32, 1, DIMS(BATCH), lengths);
    else
        harness_left_out(&h);
    const int64_t state[3] = {s->batch_first ? BATCH : d, s->batch_first ? d : BATCH, HIDDEN};
    if (s->states)
        harness_floats(&h, 3, state, v->h);
    else
        harness_left_out(&h);
    if (s->cell != CELL_LSTM)
        return;
    if (s->states)
        harness_floats(&h, 3, state, v->c);
    else
        harness_left_out(&h);
    if (s->peepholes)
        harness_floats(&h, 2, DIMS(d, 3 * HIDDEN), v->p);
}

static void add_attributes(const struct scene *s)
{
    harness_text(&h, "direction", s->direction);
    harness_int(&h, "hidden_size", HIDDEN);
    harness_int(&h, "layout", s->batch_first);
    if (s->clip > 0)
        harness_float(&h, "clip", s->clip);
    if (s->cell == CELL_GRU)
        harness_int(&h, "linear_before_reset", s->linear_before_reset);
    if (s->cell == CELL_LSTM)
        harness_int(&h, "input_forget", s->input_forget);
    if (s->own_activations)
        own_activations(s);
}

static void scene_check(const struct scene *s, const struct kernels *level)
{
    const int64_t d = directions(s);
    const struct numbers v = make_numbers();
    float *y = calloc(SEQ * 2 * BATCH * HIDDEN, sizeof *y);
    float *y_h = calloc(2 * BATCH * HIDDEN, sizeof *y_h), *y_c = calloc(2 * BATCH * HIDDEN, sizeof *y_c);
    ck_assert(y && y_h && y_c);
    for (int i = 0; i < d * BATCH; i++)
        one_item(s, &v, i / BATCH, i % BATCH, y, y_h, y_c);
    harness_begin(&h, names[s->cell], 14);
    h.ctx.kernels = level;
    add_attributes(s);
    add_inputs(s, &v);
    harness_outputs(&h, s->cell == CELL_LSTM ? 3 : 2);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    const int64_t state[3] = {s->batch_first ? BATCH : d, s->batch_first ? d : BATCH, HIDDEN};
    harness_expect_floats(&h, 0, 4, s->batch_first ? DIMS(BATCH, SEQ, d, HIDDEN) : DIMS(SEQ, d, BATCH, HIDDEN), y,
                          1e-5f);
    harness_expect_floats(&h, 1, 3, state, y_h, 1e-5f);
    if (s->cell == CELL_LSTM)
        harness_expect_floats(&h, 2, 3, state, y_c, 1e-5f);
    harness_end(&h);
    free(y);
    free(y_h);
    free(y_c);
}

static const struct scene variants[] = {
    {.direction = "forward", .constant = true},
    {.direction = "forward"},
    {.direction = "reverse", .bias = true, .states = true, .constant = true},
    {.direction = "bidirectional", .bias = true, .constant = true},
    {.direction = "bidirectional", .bias = true, .states = true, .lengths = true, .constant = true},
    {.direction = "reverse", .lengths = true, .batch_first = true, .bias = true, .constant = true},
    {.direction = "bidirectional", .bias = true, .states = true, .lengths = true, .batch_first = true},
    {.direction = "forward", .bias = true, .linear_before_reset = true, .constant = true},
    {.direction = "bidirectional", .bias = true, .linear_before_reset = true, .batch_first = true},
    {.direction = "forward", .bias = true, .peepholes = true, .states = true, .constant = true},
    {.direction = "bidirectional", .peepholes = true, .input_forget = true, .constant = true},
    {.direction = "forward", .bias = true, .clip = 0.3f, .peepholes = true, .constant = true},
    {.direction = "bidirectional", .bias = true, .own_activations = true, .peepholes = true, .constant = true},
    {.direction = "forward",
     .own_activations = true,
     .clip = 0.5f,
     .linear_before_reset = true,
     .input_forget = true,
     .bias = true,
     .constant = true},
};

START_TEST(cells_agree_with_onnx_equations)
{
    for (int cell = 0; cell < 3; cell++) {
        struct scene scene = variants[_i];
        scene.cell = (enum cell)cell;
        for (const struct kernels *const *level = pick_all(); *level; level++) {
            if (pick_runs(*level))
                scene_check(&scene, *level);
        }
    }
}
END_TEST

/* --- by hand ------------------------------------------------------------------------------------------------------ */

static void tiny(int32_t length)
{
    harness_begin(&h, "RNN", 14);
    harness_floats(&h, 3, DIMS(2, 1, 1), (float[]){0.5f, 0.25f});
    harness_floats(&h, 3, DIMS(1, 1, 1), (float[]){1});
    harness_as_constant(&h);
    harness_floats(&h, 3, DIMS(1, 1, 1), (float[]){1});
    harness_as_constant(&h);
    harness_left_out(&h);
    harness_input(&h, PERCEPT_INT32, 1, DIMS(1), &length);
    harness_outputs(&h, 2);
}

START_TEST(outputs_past_the_length_are_zero_and_the_state_is_that_of_the_last_step)
{
    tiny(1);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    const float first = tanhf(0.5f);
    harness_expect_floats(&h, 0, 4, DIMS(2, 1, 1, 1), (float[]){first, 0}, 1e-6f);
    harness_expect_floats(&h, 1, 3, DIMS(1, 1, 1), (float[]){first}, 1e-6f);
    harness_end(&h);
}
END_TEST

START_TEST(a_length_beyond_the_sequence_is_refused_by_the_run)
{
    tiny(3);
    ck_assert(harness_plan(&h));
    ck_assert(!harness_run(&h));
    ck_assert_int_eq(h.err.code, ERR_DATA);
    harness_end(&h);
}
END_TEST

START_TEST(outputs_that_nobody_wants_may_be_left_out)
{
    tiny(2);
    ck_assert(harness_check(&h));
    h.out[0] = -1;
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 1, 3, DIMS(1, 1, 1), (float[]){tanhf(0.25f + tanhf(0.5f))}, 1e-6f);
    harness_end(&h);
}
END_TEST

/* --- DynamicQuantizeLSTM ------------------------------------------------------------------------------------------ */

enum { ROWS_OF_FOUR = 4 * HIDDEN };

struct quantised {
    bool is_signed, rows, constant; /* rows: a scale and a zero point for each */
    int8_t w[2 * INPUT * ROWS_OF_FOUR], r[2 * HIDDEN * ROWS_OF_FOUR];
    uint8_t zero[2 * ROWS_OF_FOUR];
    float scale[2 * ROWS_OF_FOUR];
};

static void draw_quantised(struct quantised *q)
{
    for (int i = 0; i < 2 * INPUT * ROWS_OF_FOUR; i++)
        q->w[i] = (int8_t)(i * 37 % 251);
    for (int i = 0; i < 2 * HIDDEN * ROWS_OF_FOUR; i++)
        q->r[i] = (int8_t)(i * 91 % 241);
    for (int i = 0; i < 2 * ROWS_OF_FOUR; i++) {
        q->zero[i] = (uint8_t)(i % 5 + (q->is_signed ? 0 : 126));
        q->scale[i] = 0.002f + 0.0001f * (float)(i % 7);
    }
}

/* As LSTM has them: [direction][row][k]. */
static float *widened(const struct quantised *q, const int8_t *from, int k)
{
    float *to = malloc(sizeof *to * (size_t)(2 * ROWS_OF_FOUR * k));
    ck_assert_ptr_nonnull(to);
    for (int row = 0; row < 2 * ROWS_OF_FOUR; row++) {
        const int own = q->rows ? row : row / ROWS_OF_FOUR;
        const int zero = q->is_signed ? (int8_t)q->zero[own] : q->zero[own];
        for (int i = 0; i < k; i++) {
            const int8_t byte = from[(row / ROWS_OF_FOUR * k + i) * ROWS_OF_FOUR + row % ROWS_OF_FOUR];
            to[row * k + i] = (float)((q->is_signed ? byte : (uint8_t)byte) - zero) * q->scale[own];
        }
    }
    return to;
}

static void quantised_input(const struct quantised *q, enum percept_dtype dtype, int rank, const int64_t *dims,
                            const void *data)
{
    harness_input(&h, dtype, rank, dims, data);
    if (q->constant)
        harness_as_constant(&h);
}

static void begin_quantised(const struct quantised *q, int64_t parameters)
{
    const enum percept_dtype dtype = q->is_signed ? PERCEPT_INT8 : PERCEPT_UINT8;
    harness_begin_in(&h, "com.microsoft", "DynamicQuantizeLSTM", 1);
    harness_text(&h, "direction", "bidirectional");
    harness_int(&h, "hidden_size", HIDDEN);
    harness_floats(&h, 3, DIMS(SEQ, BATCH, INPUT), heavy_numbers(1, SEQ * BATCH * INPUT));
    quantised_input(q, dtype, 3, DIMS(2, INPUT, ROWS_OF_FOUR), q->w);
    quantised_input(q, dtype, 3, DIMS(2, HIDDEN, ROWS_OF_FOUR), q->r);
    quantised_input(q, PERCEPT_FLOAT, 2, DIMS(2, 2 * ROWS_OF_FOUR), heavy_numbers(4, 4 * ROWS_OF_FOUR));
    for (int i = 4; i < 8; i++)
        harness_left_out(&h);
    for (int i = 0; i < 2; i++) {
        quantised_input(q, PERCEPT_FLOAT, q->rows ? 2 : 1, DIMS(2, parameters), q->scale);
        quantised_input(q, dtype, q->rows ? 2 : 1, DIMS(2, parameters), q->zero);
    }
}

START_TEST(an_lstm_of_bytes_is_the_lstm_that_they_stand_for)
{
    static struct quantised q;
    q = (struct quantised){.is_signed = _i & 1, .rows = _i & 2, .constant = _i & 4};
    draw_quantised(&q);
    float *w = widened(&q, q.w, INPUT), *r = widened(&q, q.r, HIDDEN);
    static float y[SEQ * 2 * BATCH * HIDDEN];
    harness_begin(&h, "LSTM", 14);
    harness_text(&h, "direction", "bidirectional");
    harness_floats(&h, 3, DIMS(SEQ, BATCH, INPUT), heavy_numbers(1, SEQ * BATCH * INPUT));
    harness_floats(&h, 3, DIMS(2, ROWS_OF_FOUR, INPUT), w);
    harness_floats(&h, 3, DIMS(2, ROWS_OF_FOUR, HIDDEN), r);
    harness_floats(&h, 2, DIMS(2, 2 * ROWS_OF_FOUR), heavy_numbers(4, 4 * ROWS_OF_FOUR));
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    memcpy(y, harness_out(&h, 0)->data, sizeof y);
    harness_end(&h);
    begin_quantised(&q, ROWS_OF_FOUR);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 4, DIMS(SEQ, 2, BATCH, HIDDEN), y, 0);
    harness_end(&h);
    free(w);
    free(r);
}
END_TEST

START_TEST(parameters_of_another_size_are_refused)
{
    static struct quantised q;
    q = (struct quantised){.is_signed = true, .rows = true, .constant = _i};
    draw_quantised(&q);
    begin_quantised(&q, HIDDEN);
    harness_expect_failure(&h, ERR_MODEL, "input 8 must be float32 [2] or [2,76]");
    harness_end(&h);

    harness_begin_in(&h, "com.microsoft", "DynamicQuantizeLSTM", 1);
    harness_floats(&h, 3, DIMS(1, 1, 1), (float[]){1});
    harness_floats(&h, 3, DIMS(1, 1, 4), (float[]){1, 1, 1, 1});
    harness_floats(&h, 3, DIMS(1, 1, 4), (float[]){1, 1, 1, 1});
    harness_expect_failure(&h, ERR_MODEL, "input 8 is left out and is needed");
    harness_end(&h);
}
END_TEST

START_TEST(an_unknown_activation_is_refused)
{
    struct bytes name = bytes_of_text("Relu6");
    tiny(2);
    harness_attr(&h,
                 &(struct attr){.name = bytes_of_text("activations"), .type = ATTR_STRINGS, .n = 1, .strings = &name});
    ck_assert(!harness_check(&h));
    ck_assert_ptr_nonnull(strstr(h.err.text, "Softplus"));
    harness_end(&h);
}
END_TEST

/* Each is one thing away from [1,2,3], [1,2,2] and [1,4]. */
static const struct misfit {
    int rank[3];
    int64_t dims[3][4];
    const char *says;
} misfits[] = {
    {{3, 3, 2}, {{1, 2, 3}, {1, 2, 2}, {1, 4}}, NULL},
    {{2, 3, 2}, {{1, 2, 3}, {1, 2, 2}, {1, 4}}, "W and R must be"},
    {{4, 3, 2}, {{1, 2, 3, 1}, {1, 2, 2}, {1, 4}}, "W and R must be"},
    {{3, 3, 2}, {{2, 2, 3}, {1, 2, 2}, {1, 4}}, "W and R must be"},
    {{3, 3, 2}, {{1, 3, 3}, {1, 2, 2}, {1, 4}}, "W and R must be"},
    {{3, 3, 2}, {{1, 2, 0}, {1, 2, 2}, {1, 4}}, "W and R must be"},
    {{3, 2, 2}, {{1, 2, 3}, {1, 2, 2}, {1, 4}}, "W and R must be"},
    {{3, 4, 2}, {{1, 2, 3}, {1, 2, 2, 1}, {1, 4}}, "W and R must be"},
    {{3, 3, 2}, {{1, 2, 3}, {2, 2, 2}, {1, 4}}, "W and R must be"},
    {{3, 3, 2}, {{1, 2, 3}, {1, 3, 2}, {1, 4}}, "W and R must be"},
    {{3, 3, 2}, {{1, 2, 3}, {1, 2, 3}, {1, 4}}, "W and R must be"},
    {{3, 3, 2}, {{1, 0, 3}, {1, 0, 0}, {1, 0}}, "W and R must be"},
    {{3, 3, 1}, {{1, 2, 3}, {1, 2, 2}, {1, 4}}, "B must be float32 [1,4]"},
    {{3, 3, 3}, {{1, 2, 3}, {1, 2, 2}, {1, 4, 1}}, "B must be float32 [1,4]"},
    {{3, 3, 2}, {{1, 2, 3}, {1, 2, 2}, {2, 4}}, "B must be float32 [1,4]"},
    {{3, 3, 2}, {{1, 2, 3}, {1, 2, 2}, {1, 2}}, "B must be float32 [1,4]"},
};

START_TEST(each_size_of_the_weights_is_judged)
{
    static const float numbers[32] = {0.5F, -0.25F, 1};
    const struct misfit *row = &misfits[_i];
    harness_begin(&h, "RNN", 14);
    harness_floats(&h, 3, DIMS(1, 1, 3), numbers);
    for (int i = 0; i < 3; i++) {
        harness_floats(&h, row->rank[i], row->dims[i], numbers);
        harness_as_constant(&h);
    }
    if (row->says)
        harness_expect_failure(&h, ERR_MODEL, row->says);
    else
        harness_ran(&h);
    harness_end(&h);
}
END_TEST

START_TEST(weights_of_another_size_are_refused)
{
    tiny(2);
    harness_int(&h, "hidden_size", 2);
    ck_assert(!harness_check(&h));
    ck_assert_ptr_nonnull(strstr(h.err.text, "hidden_size"));
    harness_end(&h);
}
END_TEST

/* --- bits --------------------------------------------------------------------------------------------------------- */

static void rest_of(struct harness *harness, int gates)
{
    harness_text(harness, "direction", "bidirectional");
    harness_int(harness, "layout", 1);
    harness_floats(harness, 3, DIMS(2, gates * HIDDEN, INPUT), heavy_numbers(2, 8 * HIDDEN * INPUT));
    harness_as_constant(harness);
    harness_floats(harness, 3, DIMS(2, gates * HIDDEN, HIDDEN), heavy_numbers(3, 8 * HIDDEN * HIDDEN));
    harness_as_constant(harness);
}

static void rest_rnn(struct harness *harness)
{
    rest_of(harness, 1);
}

static void rest_gru(struct harness *harness)
{
    rest_of(harness, 3);
}

static void rest_lstm(struct harness *harness)
{
    rest_of(harness, 4);
}

START_TEST(an_items_bits_depend_on_nobody)
{
    heavy_expect_same_bits("RNN", 14, 2, 3, DIMS(0, SEQ, INPUT), false, rest_rnn);
    heavy_expect_same_bits("GRU", 14, 2, 3, DIMS(0, SEQ, INPUT), false, rest_gru);
    heavy_expect_same_bits("LSTM", 14, 3, 3, DIMS(0, SEQ, INPUT), false, rest_lstm);
}
END_TEST

/* The last item's bits, whatever lengths the items before it have. */
START_TEST(an_items_bits_do_not_depend_on_the_lengths_of_others)
{
    static const int32_t others[3][3] = {{5, 5, 4}, {0, 3, 4}, {2, 1, 4}};
    const struct numbers v = make_numbers();
    float first[SEQ * HIDDEN], now[SEQ * HIDDEN];
    for (int i = 0; i < 3; i++) {
        harness_begin(&h, "LSTM", 14);
        harness_floats(&h, 3, DIMS(SEQ, BATCH, INPUT), v.x);
        harness_floats(&h, 3, DIMS(1, 4 * HIDDEN, INPUT), v.w);
        harness_as_constant(&h);
        harness_floats(&h, 3, DIMS(1, 4 * HIDDEN, HIDDEN), v.r);
        harness_as_constant(&h);
        harness_left_out(&h);
        harness_input(&h, PERCEPT_INT32, 1, DIMS(BATCH), others[i]);
        ck_assert_msg(harness_run(&h), "%s", h.err.text);
        const float *y = harness_out(&h, 0)->data;
        for (int t = 0; t < SEQ; t++)
            memcpy(now + t * HIDDEN, y + (t * BATCH + 2) * HIDDEN, HIDDEN * sizeof *now);
        if (i == 0)
            memcpy(first, now, sizeof now);
        ck_assert_int_eq(memcmp(first, now, sizeof now), 0);
        harness_end(&h);
    }
}
END_TEST

static int n_asked, n_allowed;

static bool asked(struct run_env *env, struct percept_err *err)
{
    (void)env;
    if (n_asked++ < n_allowed)
        return true;
    return err_set(err, ERR_TIMEOUT, "the time is up");
}

/* A long recurrence asks between stretches of time whether to go on: it stops there when not, and gives the same when
 * it may. Only the last step's state is compared: it comes of all others. */
START_TEST(a_long_recurrence_can_stop_between_steps)
{
    static const char *const kinds[] = {"RNN", "GRU", "LSTM"};
    static const int gates[] = {1, 3, 4};
    enum { STEPS = 60000, UNITS = 16 };
    for (int kind = 0; kind < 3; kind++)
        for (n_allowed = 1000; n_allowed >= 0; n_allowed -= 1000) {
            harness_begin(&h, kinds[kind], 14);
            harness_outputs(&h, 2);
            harness_int(&h, "hidden_size", UNITS);
            harness_floats(&h, 3, DIMS(STEPS, 1, 1), heavy_numbers(1, STEPS));
            harness_floats(&h, 3, DIMS(1, gates[kind] * UNITS, 1), heavy_numbers(2, gates[kind] * UNITS));
            harness_as_constant(&h);
            harness_floats(&h, 3, DIMS(1, gates[kind] * UNITS, UNITS), heavy_numbers(3, gates[kind] * UNITS * UNITS));
            harness_as_constant(&h);
            ck_assert_msg(harness_plan(&h), "%s", h.err.text);
            h.env.go_on = asked;
            n_asked = 0;
            if (n_allowed) {
                ck_assert_msg(harness_run(&h), "%s", h.err.text);
                ck_assert_int_gt(n_asked, kind ? 1 : 0);
                const float *y = (const float *)harness_out(&h, 0)->data + (STEPS - 1) * UNITS;
                const float *last = harness_out(&h, 1)->data;
                for (int i = 0; i < UNITS; i++)
                    ck_assert(y[i] == last[i] && last[i] != 0);
            } else {
                ck_assert(!harness_run(&h));
                ck_assert_int_eq(n_asked, 1);
            }
            harness_end(&h);
        }
}
END_TEST

Suite *op_rnn_suite(void);
Suite *op_rnn_suite(void)
{
    Suite *suite = suite_create("op/rnn");
    TCase *tests = tcase_create("rnn");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, cells_agree_with_onnx_equations, 0, (int)(sizeof variants / sizeof *variants));
    tcase_add_test(tests, outputs_past_the_length_are_zero_and_the_state_is_that_of_the_last_step);
    tcase_add_test(tests, a_length_beyond_the_sequence_is_refused_by_the_run);
    tcase_add_test(tests, outputs_that_nobody_wants_may_be_left_out);
    tcase_add_loop_test(tests, an_lstm_of_bytes_is_the_lstm_that_they_stand_for, 0, 8);
    tcase_add_loop_test(tests, parameters_of_another_size_are_refused, 0, 2);
    tcase_add_test(tests, an_unknown_activation_is_refused);
    tcase_add_test(tests, weights_of_another_size_are_refused);
    tcase_add_loop_test(tests, each_size_of_the_weights_is_judged, 0, sizeof misfits / sizeof *misfits);
    tcase_add_test(tests, an_items_bits_depend_on_nobody);
    tcase_add_test(tests, an_items_bits_do_not_depend_on_the_lengths_of_others);
    tcase_add_test(tests, a_long_recurrence_can_stop_between_steps);
    suite_add_tcase(suite, tests);
    return suite;
}
