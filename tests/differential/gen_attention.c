/*
 * gen_attention.c - models of Attention and RotaryEmbedding, and of com.microsoft's MatMulNBits and Inverse.
 */
#include <math.h>
#include <string.h>

#include "differential/families.h"

struct heads {
    int64_t items, q_heads, kv_heads, rows, keys, past, size, v_size, mode;
    bool flat, causal;
    double softcap, scale; /* 0: none */
};

static void side(struct example *e, const struct heads *s, int64_t heads, int64_t rows, int64_t size)
{
    if (s->flat)
        example_input(e, e->type, 3, (int64_t[]){s->items, rows, heads * size}, -2, 2);
    else
        example_input(e, e->type, 4, (int64_t[]){s->items, heads, rows, size}, -2, 2);
}

/* Of two to four axes, some of them 1; a row that is all masked is left to the tests of the operator. */
static void mask(struct example *e, const struct heads *s)
{
    const int64_t full[] = {s->items, s->q_heads, s->rows, s->keys + s->past};
    const int rank = (int)example_int(e, 2, 4);
    int64_t dims[4];
    for (int d = 0; d < rank; d++)
        dims[d] = d < rank - 2 && example_chance(e, 40) ? 1 : full[4 - rank + d];
    if (example_chance(e, 50)) {
        struct tensor *t = example_input(e, PERCEPT_BOOL, rank, dims, 0, 1);
        for (int64_t i = 0; i < tensor_elements(t); i += full[3])
            ((uint8_t *)t->data)[i] = 1;
    } else {
        example_input(e, e->type, rank, dims, -3, 3);
    }
}

/* Element d of row i of a head, of an input with three or four axes. */
static double element(const struct tensor *t, int64_t heads, int64_t b, int64_t h, int64_t i, int64_t d)
{
    const int64_t size = t->rank == 3 ? t->dims[2] / heads : t->dims[3];
    return example_get(t, t->rank == 3 ? (b * t->dims[1] + i) * t->dims[2] + h * size + d
                                       : ((b * heads + h) * t->dims[2] + i) * size + d);
}

/* Of keys (1) or values (2), the past ones first. */
static double cached(const struct example *e, const struct heads *s, int side, int64_t b, int64_t h, int64_t j,
                     int64_t d)
{
    return j < s->past ? element(&e->in[3 + side].tensor, s->kv_heads, b, h, j, d)
                       : element(&e->in[side].tensor, s->kv_heads, b, h, j - s->past, d);
}

static double bias(const struct example *e, const struct heads *s, int64_t b, int64_t h, int64_t i, int64_t j)
{
    const struct tensor *m = &e->in[3].tensor;
    const bool padded = e->n_in > 6;
    const int64_t nonpad = padded ? example_get_int(&e->in[6].tensor, b) : 0, at[] = {b, h, i, j};
    if ((padded && j >= nonpad) || (s->causal && j > i + (padded ? nonpad - s->rows : s->past)))
        return -INFINITY;
    if (e->n_in < 4 || e->in[3].left_out)
        return 0;
    int64_t place = 0;
    for (int d = 0; d < m->rank; d++)
        place = place * m->dims[d] + (m->dims[d] == 1 ? 0 : at[4 - m->rank + d]);
    return m->dtype != PERCEPT_BOOL ? example_get(m, place) : ((const uint8_t *)m->data)[place] ? 0 : -INFINITY;
}

/* w: the scores of a row, then its weights; shown: what output 3 has of it. */
static void weigh(const struct example *e, const struct heads *s, int64_t b, int64_t h, int64_t i, double *w,
                  double *shown)
{
    const int64_t all = s->keys + s->past;
    double top = -INFINITY, sum = 0;
    for (int64_t j = 0; j < all; j++) {
        double score = 0;
        for (int64_t d = 0; d < s->size; d++)
            score += element(&e->in[0].tensor, s->q_heads, b, h, i, d) *
                     cached(e, s, 1, b, h / (s->q_heads / s->kv_heads), j, d);
        const double raw = score * (s->scale != 0 ? s->scale : 1 / sqrt((double)s->size));
        const double capped = s->softcap > 0 ? s->softcap * tanh(raw / s->softcap) : raw;
        w[j] = capped + bias(e, s, b, h, i, j);
        shown[j] = s->mode == 0 ? raw : s->mode == 1 ? capped : w[j];
        top = fmax(top, w[j]);
    }
    for (int64_t j = 0; j < all; j++)
        sum += w[j] = top == -INFINITY ? 0 : exp(w[j] - top);
    for (int64_t j = 0; j < all; j++) {
        w[j] = sum > 0 ? w[j] / sum : 0;
        shown[j] = s->mode == 3 ? w[j] : shown[j];
    }
}

static bool attention_oracle(const struct example *e, struct tensor *out)
{
    const struct heads *s = e->user;
    const int64_t all = s->keys + s->past;
    double *w = arena_array(e->arena, 2 * (size_t)all + 1, sizeof *w);
    struct tensor y = example_tensor(e->arena, e->type, 4, (int64_t[]){s->items, s->q_heads, s->rows, s->v_size});
    struct tensor scores = example_tensor(e->arena, e->type, 4, (int64_t[]){s->items, s->q_heads, s->rows, all});
    if (s->flat)
        tensor_set_dims(&y, 3, (int64_t[]){s->items, s->rows, s->q_heads * s->v_size});
    for (int64_t row = 0; row < s->items * s->q_heads * s->rows; row++) {
        const int64_t b = row / s->rows / s->q_heads, h = row / s->rows % s->q_heads, i = row % s->rows;
        weigh(e, s, b, h, i, w, w + all);
        for (int64_t d = 0; d < s->v_size; d++) {
            double sum = 0;
            for (int64_t j = 0; j < all; j++)
                sum += w[j] * cached(e, s, 2, b, h / (s->q_heads / s->kv_heads), j, d);
            example_set(&y, s->flat ? ((b * s->rows + i) * s->q_heads + h) * s->v_size + d : row * s->v_size + d, sum);
        }
        for (int64_t j = 0; j < all; j++)
            example_set(&scores, row * all + j, w[all + j]);
    }
    int n = 0;
    out[n++] = y;
    for (int side = 1; side < 3 && s->past; side++) {
        const int64_t size = side == 1 ? s->size : s->v_size;
        out[n] = example_tensor(e->arena, e->type, 4, (int64_t[]){s->items, s->kv_heads, all, size});
        for (int64_t k = 0; k < tensor_elements(&out[n]); k++)
            example_set(&out[n], k,
                        cached(e, s, side, k / size / all / s->kv_heads, k / size / all % s->kv_heads, k / size % all,
                               k % size));
        n++;
    }
    if (e->n_out > 3)
        out[n] = scores;
    return true;
}

void gen_attention(struct example *e)
{
    struct heads s = {.flat = example_chance(e, 40), .items = example_int(e, 1, 3), .kv_heads = example_int(e, 1, 3)};
    s.q_heads = s.kv_heads * example_int(e, 1, 3);
    s.rows = example_dim(e, 0);
    s.keys = example_chance(e, 50) ? s.rows : example_dim(e, 0);
    s.past = example_chance(e, 35) ? example_dim(e, 0) : 0;
    s.size = example_dim(e, 0);
    s.v_size = example_chance(e, 50) ? s.size : example_dim(e, 0);
    const bool nonpad = e->opset >= 24 && !s.past && example_chance(e, 20);
    example_type(e, "ffffh");
    side(e, &s, s.q_heads, s.rows, s.size);
    side(e, &s, s.kv_heads, s.keys, s.size);
    side(e, &s, s.kv_heads, s.keys, s.v_size);
    const bool masked = example_chance(e, 50), causal = example_chance(e, 35);
    if (masked)
        mask(e, &s);
    else
        example_left_out(e);
    if (s.past) {
        example_input(e, e->type, 4, (int64_t[]){s.items, s.kv_heads, s.past, s.size}, -2, 2);
        example_input(e, e->type, 4, (int64_t[]){s.items, s.kv_heads, s.past, s.v_size}, -2, 2);
    } else if (nonpad) {
        example_left_out(e);
        example_left_out(e);
    }
    if (nonpad)
        example_input(e, PERCEPT_INT64, 1, &s.items, 1, (double)s.keys);
    if (s.flat) {
        example_attr(e, "q_num_heads", s.q_heads);
        example_attr(e, "kv_num_heads", s.kv_heads);
    }
    s.causal = causal;
    if (causal)
        example_attr(e, "is_causal", 1);
    if (example_chance(e, 25))
        example_attr_real(e, "softcap", s.softcap = (float)example_real(e, 0.5, 4));
    if (example_chance(e, 30))
        example_attr_real(e, "scale", s.scale = (float)example_real(e, 0.1, 2));
    const bool shown = example_chance(e, 35);
    s.mode = example_int(e, 0, 3);
    if (shown)
        example_attr(e, "qk_matmul_output_mode", s.mode);
    e->user = arena_alloc(e->arena, sizeof s);
    memcpy(e->user, &s, sizeof s);
    e->oracle = attention_oracle;
    if (shown && s.mode == 2 && (masked || causal || nonpad))
        e->explained = "Attention, masked scores in mode 2";
    if (causal && s.rows == 1 && s.past)
        e->explained = "Attention, causal, one query behind a past";
    example_output(e, e->type);
    if (s.past || shown) {
        example_output(e, s.past ? e->type : PERCEPT_UNDEFINED);
        example_output(e, s.past ? e->type : PERCEPT_UNDEFINED);
    }
    if (shown)
        example_output(e, e->type);
    e->absolute = 1e-4;
}

void gen_rotary(struct example *e)
{
    const bool flat = example_chance(e, 40), placed = example_chance(e, 60), part = example_chance(e, 30);
    const int64_t items = example_int(e, 1, 3), heads = example_int(e, 1, 4), rows = example_dim(e, 0);
    const int64_t size = 2 * example_int(e, 1, 9), turning = part ? 2 * example_int(e, 1, size / 2) : size;
    const int64_t most = example_int(e, rows, rows + 20);
    example_type(e, "fffhb");
    if (flat)
        example_input(e, e->type, 3, (int64_t[]){items, rows, heads * size}, -2, 2);
    else
        example_input(e, e->type, 4, (int64_t[]){items, heads, rows, size}, -2, 2);
    for (int i = 0; i < 2; i++) {
        if (placed)
            example_input(e, e->type, 2, (int64_t[]){most, turning / 2}, -1, 1);
        else
            example_input(e, e->type, 3, (int64_t[]){items, rows, turning / 2}, -1, 1);
        example_constant(e, 40);
    }
    if (placed)
        example_input(e, PERCEPT_INT64, 2, (int64_t[]){items, rows}, 0, (double)most - 1);
    if (flat || part)
        example_attr(e, "num_heads", heads);
    if (part)
        example_attr(e, "rotary_embedding_dim", turning);
    if (example_chance(e, 50))
        example_attr(e, "interleaved", 1);
    example_output(e, e->type);
}

/* Far enough from matrices that have no inverse. */
void gen_inverse(struct example *e)
{
    int64_t dims[RANK_MAX];
    const int rank = (int)example_int(e, 2, 4);
    example_dims(e, rank, dims, 0);
    const int64_t n = dims[rank - 2] = dims[rank - 1] = example_int(e, 1, 12);
    struct tensor *x = example_input(e, example_type(e, "fffd"), rank, dims, -1, 1);
    for (int64_t i = 0; i < tensor_elements(x); i++)
        if (i % (n * n) % (n + 1) == 0)
            example_set(x, i, example_get(x, i) + (double)n);
    example_output(e, e->type);
    e->float_inside = true;
}

void gen_nbits(struct example *e)
{
    const int64_t bits = example_chance(e, 70) ? 4 : 8, block = (int64_t)16 << example_int(e, 0, 4);
    const int64_t k = example_int(e, 1, 300), n = example_int(e, 1, 140), blocks = (k + block - 1) / block;
    int64_t dims[RANK_MAX];
    const int rank = (int)example_int(e, 2, 3);
    example_dims(e, rank, dims, 0);
    dims[rank - 1] = k;
    example_input(e, example_type(e, "ffff"), rank, dims, -1, 1);
    example_input(e, PERCEPT_UINT8, 3, (int64_t[]){n, blocks, block * bits / 8}, 0, 255);
    example_constant(e, 100);
    example_input(e, e->type, 1, (int64_t[]){n * blocks}, 0.01, 0.1);
    example_constant(e, 100);
    if (example_chance(e, 60)) {
        const int64_t narrow = n * ((blocks * bits + 7) / 8);
        if (example_chance(e, 75))
            example_input(e, PERCEPT_UINT8, 1, &narrow, 0, 255);
        else
            example_input(e, e->type, 1, (int64_t[]){n * blocks}, 0, 15);
        example_constant(e, 100);
    }
    example_attr(e, "K", k);
    example_attr(e, "N", n);
    example_attr(e, "bits", bits);
    example_attr(e, "block_size", block);
    example_output(e, e->type);
    e->absolute = 1e-3; /* up to 300 products of numbers up to 25 */
}
