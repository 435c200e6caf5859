/* attention.c - tests of src/op/attention.c against loops in double that follow ONNX's text word for word. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"

static struct harness h;

/* One case: what a node is told, and its inputs with four axes. */
struct setting {
    int64_t items, q_heads, kv_heads, rows, keys, past, size, v_size;
    bool flat, causal;
    /* 0: none, 1: bool [rows, keys], 2: float [items, 1, rows, keys], 3: bool of fewer keys, [q_heads, 1, .] */
    int mask;
    bool nonpad;
    int64_t left, right; /* -1: no window */
    float softcap, scale;
    int mode; /* of output 3, or -1 */
};

static uint32_t seed;

static float draw(void)
{
    seed = seed * 1664525U + 1013904223U;
    return (float)(seed >> 8) / 8388608.0F - 1;
}

#define MOST 4096
static float q[MOST], k[MOST], v[MOST], past_k[MOST], past_v[MOST], mask[MOST], turned[MOST];
static uint8_t flags[MOST];
static int64_t lengths[8];

static void fill(float *x)
{
    for (int i = 0; i < MOST; i++)
        x[i] = draw();
}

/* [items][heads][rows][size] -> [items][rows][heads size] */
static const float *flattened(const float *x, int64_t items, int64_t heads, int64_t rows, int64_t size)
{
    for (int64_t b = 0; b < items; b++)
        for (int64_t g = 0; g < heads; g++)
            for (int64_t i = 0; i < rows; i++)
                memcpy(turned + ((b * rows + i) * heads + g) * size, x + ((b * heads + g) * rows + i) * size,
                       (size_t)size * sizeof *x);
    return turned;
}

static void add_side(const struct setting *s, const float *x, int64_t heads, int64_t rows, int64_t size)
{
    if (s->flat)
        harness_floats(&h, 3, DIMS(s->items, rows, heads * size), flattened(x, s->items, heads, rows, size));
    else
        harness_floats(&h, 4, DIMS(s->items, heads, rows, size), x);
}

static int64_t mask_keys(const struct setting *s)
{
    const int64_t all = s->keys + s->past;
    return s->mask == 3 ? all - 1 : all;
}

static void begin(const struct setting *s)
{
    const int64_t all = s->keys + s->past;
    harness_begin(&h, "Attention", 25);
    harness_outputs(&h, s->mode >= 0 ? 4 : s->past ? 3 : 1);
    if (s->flat) {
        harness_int(&h, "q_num_heads", s->q_heads);
        harness_int(&h, "kv_num_heads", s->kv_heads);
    }
    harness_int(&h, "is_causal", s->causal);
    harness_int(&h, "left_window_size", s->left);
    harness_int(&h, "right_window_size", s->right);
    harness_int(&h, "qk_matmul_output_mode", s->mode < 0 ? 0 : s->mode);
    harness_float(&h, "softcap", s->softcap);
    if (s->scale != 0)
        harness_float(&h, "scale", s->scale);
    add_side(s, q, s->q_heads, s->rows, s->size);
    add_side(s, k, s->kv_heads, s->keys, s->size);
    add_side(s, v, s->kv_heads, s->keys, s->v_size);
    if (s->mask == 1)
        harness_input(&h, PERCEPT_BOOL, 2, DIMS(s->rows, all), flags);
    else if (s->mask == 2)
        harness_floats(&h, 4, DIMS(s->items, 1, s->rows, all), mask);
    else if (s->mask == 3)
        harness_input(&h, PERCEPT_BOOL, 3, DIMS(s->q_heads, 1, all - 1), flags);
    else
        harness_left_out(&h);
    if (s->past) {
        harness_floats(&h, 4, DIMS(s->items, s->kv_heads, s->past, s->size), past_k);
        harness_floats(&h, 4, DIMS(s->items, s->kv_heads, s->past, s->v_size), past_v);
    } else {
        harness_left_out(&h);
        harness_left_out(&h);
    }
    if (s->nonpad)
        harness_int64s(&h, 1, DIMS(s->items), lengths);
}

/* Key or value `j` of a head: of the past, or new. */
static const float *at(const struct setting *s, const float *old, const float *fresh, int64_t b, int64_t g, int64_t j,
                       int64_t size)
{
    const int64_t head = b * s->kv_heads + g;
    return j < s->past ? old + (head * s->past + j) * size : fresh + (head * s->keys + j - s->past) * size;
}

/* What is added to a score: minus infinity where it is masked. */
static double bias_of(const struct setting *s, int64_t b, int64_t g, int64_t i, int64_t j)
{
    const int64_t all = s->keys + s->past;
    const int64_t own = i + (s->past ? s->past : s->nonpad ? lengths[b] - s->rows : 0);
    double bias = 0;
    if (s->mask == 1)
        bias = flags[i * all + j] ? 0 : -INFINITY;
    else if (s->mask == 2)
        bias = (double)mask[(b * s->rows + i) * all + j];
    else if (s->mask == 3)
        bias = j < mask_keys(s) && flags[g * (all - 1) + j] ? 0 : -INFINITY;
    if ((s->causal && j > own) || (s->nonpad && j >= lengths[b]) || (s->left >= 0 && own - j > s->left) ||
        (s->right >= 0 && j - own > s->right))
        return -INFINITY;
    return bias;
}

/* Row i: the weights in w, what output 3 shows in shown. */
static void weigh(const struct setting *s, int64_t b, int64_t g, int64_t i, double *w, double *shown)
{
    const int64_t all = s->keys + s->past, group = s->q_heads / s->kv_heads;
    const double scale = s->scale != 0 ? (double)s->scale : 1 / sqrt((double)s->size);
    double top = -INFINITY, sum = 0;
    for (int64_t j = 0; j < all; j++) {
        const float *key = at(s, past_k, k, b, g / group, j, s->size);
        const float *query = q + ((b * s->q_heads + g) * s->rows + i) * s->size;
        w[j] = 0;
        for (int64_t d = 0; d < s->size; d++)
            w[j] += (double)query[d] * (double)key[d] * scale;
        if (s->mode == 0)
            shown[j] = w[j];
        if (s->softcap > 0)
            w[j] = (double)s->softcap * tanh(w[j] / (double)s->softcap);
        if (s->mode == 1)
            shown[j] = w[j];
        w[j] += bias_of(s, b, g, i, j);
        if (s->mode == 2)
            shown[j] = w[j];
        top = fmax(top, w[j]);
    }
    for (int64_t j = 0; j < all; j++)
        sum += w[j] = top == -INFINITY ? 0 : exp(w[j] - top);
    for (int64_t j = 0; j < all; j++) {
        w[j] = sum > 0 ? w[j] / sum : 0;
        if (s->mode == 3)
            shown[j] = w[j];
    }
}

static void close_to(double got, double want, const char *what, int64_t place)
{
    const bool good = isinf(want) ? got == want : fabs(got - want) <= 2e-6 * (1 + fabs(want));
    if (!good) /* sums of some ten products of numbers below 1 */
        ck_abort_msg("%s %lld is %.9g, not %.9g", what, (long long)place, got, want);
}

static void expect(const struct setting *s)
{
    const int64_t all = s->keys + s->past;
    const float *y = harness_out(&h, 0)->data;
    for (int64_t b = 0; b < s->items; b++)
        for (int64_t g = 0; g < s->q_heads; g++)
            for (int64_t i = 0; i < s->rows; i++) {
                double w[MOST], shown[MOST];
                const int64_t row = (b * s->q_heads + g) * s->rows + i;
                weigh(s, b, g, i, w, shown);
                for (int64_t d = 0; d < s->v_size; d++) {
                    double want = 0;
                    for (int64_t j = 0; j < all; j++)
                        want += w[j] * (double)at(s, past_v, v, b, g / (s->q_heads / s->kv_heads), j, s->v_size)[d];
                    const int64_t place =
                        s->flat ? ((b * s->rows + i) * s->q_heads + g) * s->v_size + d : row * s->v_size + d;
                    close_to((double)y[place], want, "y", place);
                }
                for (int64_t j = 0; s->mode >= 0 && j < all; j++)
                    close_to((double)((const float *)harness_out(&h, 3)->data)[row * all + j], shown[j], "score",
                             row * all + j);
            }
    for (int64_t e = 0; h.node.n_out > 1 && e < s->items * s->kv_heads * all * s->size; e++) {
        const int64_t head = e / (all * s->size), j = e / s->size % all;
        ck_assert(((const float *)harness_out(&h, 1)->data)[e] ==
                  at(s, past_k, k, head / s->kv_heads, head % s->kv_heads, j, s->size)[e % s->size]);
    }
}

static const struct setting settings[] = {
    {2, 3, 3, 4, 6, 0, 8, 8, .left = -1, .right = -1, .mode = -1},
    {2, 6, 2, 4, 6, 0, 8, 5, .left = -1, .right = -1, .mode = 0},   /* GQA */
    {1, 4, 1, 70, 9, 0, 3, 2, .left = -1, .right = -1, .mode = -1}, /* MQA, two blocks */
    {2, 4, 2, 3, 5, 0, 4, 3, .flat = true, .left = -1, .right = -1, .mode = 3},
    {2, 2, 2, 5, 5, 0, 4, 4, .causal = true, .left = -1, .right = -1, .mode = -1},
    {1, 2, 1, 70, 71, 0, 4, 4, .causal = true, .flat = true, .left = -1, .right = -1, .mode = -1},
    {2, 4, 2, 3, 2, 4, 4, 3, .causal = true, .left = -1, .right = -1, .mode = -1}, /* past */
    {2, 2, 2, 3, 2, 4, 4, 3, .flat = true, .mask = 1, .left = -1, .right = -1, .mode = 2},
    {3, 2, 2, 4, 6, 0, 8, 8, .mask = 2, .softcap = 0.5F, .left = -1, .right = -1, .mode = 1},
    {2, 3, 1, 4, 6, 0, 8, 8, .mask = 3, .softcap = 2, .left = -1, .right = -1, .mode = 2},
    {3, 2, 2, 2, 6, 0, 4, 4, .nonpad = true, .left = -1, .right = -1, .mode = -1},
    {3, 2, 2, 4, 6, 0, 4, 4, .nonpad = true, .causal = true, .mask = 1, .left = -1, .right = -1, .mode = 3},
    {2, 2, 2, 5, 7, 0, 4, 4, .left = 2, .right = 1, .mode = -1},
    {2, 2, 2, 5, 3, 4, 4, 4, .left = 1, .causal = true, .right = -1, .mode = 3},
    {2, 2, 1, 3, 4, 0, 4, 4, .scale = 3, .left = -1, .right = -1, .mode = 0},
    {2, 2, 1, 3, 0, 0, 4, 4, .left = -1, .right = -1, .mode = -1}, /* no keys: zeros */
};

START_TEST(attention_is_what_its_text_says)
{
    const struct setting *s = &settings[_i];
    seed = 1 + (uint32_t)_i;
    fill(q);
    fill(k);
    fill(v);
    fill(past_k);
    fill(past_v);
    fill(mask);
    for (int i = 0; i < MOST; i++)
        flags[i] = draw() > -0.3F;
    memset(flags, 0, (size_t)(s->keys + s->past)); /* a row of which all is masked */
    for (int b = 0; b < 8; b++)
        lengths[b] = (int64_t[]){6, 2, 0}[b % 3];
    begin(s);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    expect(s);
    harness_end(&h);
}
END_TEST

START_TEST(what_is_masked_may_hold_anything)
{
    fill(q);
    fill(k);
    fill(v);
    struct setting s = {1, 1, 1, 2, 6, 0, 4, 4, .nonpad = true, .left = -1, .right = -1, .mode = -1};
    lengths[0] = 3;
    begin(&s);
    ck_assert(harness_run(&h));
    float clean[8];
    memcpy(clean, harness_out(&h, 0)->data, sizeof clean);
    harness_end(&h);
    for (int i = 12; i < 24; i++)
        k[i] = v[i] = i % 2 ? NAN : INFINITY;
    begin(&s);
    ck_assert(harness_run(&h));
    ck_assert_mem_eq(clean, harness_out(&h, 0)->data, sizeof clean);
    harness_end(&h);
}
END_TEST

START_TEST(an_item_of_a_batch_has_the_bits_that_it_has_alone)
{
    fill(q);
    fill(k);
    fill(v);
    struct setting s = {3, 2, 2, 5, 7, 0, 8, 6, .causal = true, .left = -1, .right = -1, .mode = -1};
    begin(&s);
    ck_assert(harness_run(&h));
    float all[180];
    memcpy(all, harness_out(&h, 0)->data, sizeof all);
    harness_end(&h);
    s.items = 1;
    memmove(q, q + 2 * 80, 80 * sizeof *q);
    memmove(k, k + 2 * 112, 112 * sizeof *k);
    memmove(v, v + 2 * 84, 84 * sizeof *v);
    begin(&s);
    ck_assert(harness_run(&h));
    ck_assert_mem_eq(all + 120, harness_out(&h, 0)->data, 60 * sizeof *all);
    harness_end(&h);
}
END_TEST

static void begin_shapes(int rank, const int64_t *q_dims, const int64_t *k_dims, const int64_t *v_dims)
{
    harness_begin(&h, "Attention", 23);
    harness_floats(&h, rank, q_dims, q);
    harness_floats(&h, rank, k_dims, k);
    harness_floats(&h, rank, v_dims, v);
}

/* Without a past the present is what came: keys alone may be asked for, or keys and values. */
START_TEST(what_is_present_is_given_as_far_as_it_is_asked_for)
{
    enum { HEADS = 2, ROWS = 3, KEYS = 5, SIZE = 4, V_SIZE = 6 };
    float alone[HEADS * ROWS * V_SIZE];
    fill(q);
    fill(k);
    fill(v);
    for (int outputs = 1; outputs <= 3; outputs++) {
        harness_begin(&h, "Attention", 23);
        harness_outputs(&h, outputs);
        harness_floats(&h, 4, DIMS(1, HEADS, ROWS, SIZE), q);
        harness_floats(&h, 4, DIMS(1, HEADS, KEYS, SIZE), k);
        harness_floats(&h, 4, DIMS(1, HEADS, KEYS, V_SIZE), v);
        harness_ran(&h);
        if (outputs == 1)
            memcpy(alone, harness_out(&h, 0)->data, sizeof alone);
        harness_expect_floats(&h, 0, 4, DIMS(1, HEADS, ROWS, V_SIZE), alone, 0);
        if (outputs > 1)
            harness_expect_floats(&h, 1, 4, DIMS(1, HEADS, KEYS, SIZE), k, 0);
        if (outputs > 2)
            harness_expect_floats(&h, 2, 4, DIMS(1, HEADS, KEYS, V_SIZE), v, 0);
        harness_end(&h);
    }
}
END_TEST

START_TEST(shapes_that_do_not_go_together_are_refused)
{
    begin_shapes(3, DIMS(1, 2, 4), DIMS(1, 2, 4), DIMS(1, 2, 4));
    harness_expect_failure(&h, ERR_MODEL, "0 heads of input 0's 4 elements");
    harness_end(&h);
    begin_shapes(3, DIMS(1, 2, 4), DIMS(1, 2, 4), DIMS(1, 2, 4));
    harness_int(&h, "q_num_heads", 3);
    harness_int(&h, "kv_num_heads", 3);
    harness_expect_failure(&h, ERR_MODEL, "3 heads of input 0's 4");
    harness_end(&h);
    begin_shapes(4, DIMS(1, 3, 2, 4), DIMS(1, 2, 2, 4), DIMS(1, 2, 2, 4));
    harness_expect_failure(&h, ERR_INVALID, "3 heads of queries do not share 2");
    harness_end(&h);
    begin_shapes(4, DIMS(1, 1, 2, 4), DIMS(1, 1, 2, 3), DIMS(1, 1, 2, 4));
    harness_expect_failure(&h, ERR_INVALID, "inputs 0 and 1 of shapes [1,1,2,4] and [1,1,2,3]");
    harness_end(&h);
    begin_shapes(4, DIMS(1, 1, 2, 4), DIMS(1, 1, 2, 4), DIMS(1, 1, 3, 4));
    harness_expect_failure(&h, ERR_INVALID, "inputs 1 and 2");
    harness_end(&h);
    begin_shapes(4, DIMS(1, 1, 2, 4), DIMS(2, 1, 2, 4), DIMS(2, 1, 2, 4));
    harness_expect_failure(&h, ERR_INVALID, "inputs 0 and 1");
    harness_end(&h);
    begin_shapes(2, DIMS(2, 4), DIMS(2, 4), DIMS(2, 4));
    harness_expect_failure(&h, ERR_INVALID, "input 0 has rank 2");
    harness_end(&h);
    begin_shapes(4, DIMS(1, 1, 2, 4), DIMS(1, 1, 3, 4), DIMS(1, 1, 3, 4));
    harness_input(&h, PERCEPT_BOOL, 2, DIMS(2, 2), flags);
    harness_expect_failure(&h, ERR_INVALID, "a mask of shape [2,2] does not spread over scores of [1,1,2,3]");
    harness_end(&h);
    begin_shapes(4, DIMS(1, 1, 2, 4), DIMS(1, 1, 3, 4), DIMS(1, 1, 3, 4));
    harness_left_out(&h);
    harness_floats(&h, 4, DIMS(1, 1, 2, 4), past_k);
    harness_expect_failure(&h, ERR_MODEL, "come together or not at all");
    harness_end(&h);
    begin_shapes(4, DIMS(1, 1, 2, 0), DIMS(1, 1, 3, 0), DIMS(1, 1, 3, 4));
    harness_expect_failure(&h, ERR_INVALID, "heads of no elements");
    harness_end(&h);
}
END_TEST

/* --- RotaryEmbedding ---------------------------------------------------------------------------------------------- */

static void begin_rotary(bool flat, bool interleaved, int64_t turning, const int64_t *positions)
{
    harness_begin(&h, "RotaryEmbedding", 23);
    harness_int(&h, "interleaved", interleaved);
    if (flat)
        harness_int(&h, "num_heads", 2);
    if (turning)
        harness_int(&h, "rotary_embedding_dim", turning);
    const int64_t half = turning ? turning / 2 : 3;
    if (flat)
        harness_floats(&h, 3, DIMS(2, 4, 12), flattened(q, 2, 2, 4, 6));
    else
        harness_floats(&h, 4, DIMS(2, 2, 4, 6), q);
    if (positions) {
        harness_floats(&h, 2, DIMS(9, half), k);
        harness_floats(&h, 2, DIMS(9, half), v);
        harness_int64s(&h, 2, DIMS(2, 4), positions);
    } else {
        harness_floats(&h, 3, DIMS(2, 4, half), k);
        harness_floats(&h, 3, DIMS(2, 4, half), v);
    }
}

START_TEST(pairs_turn_by_their_positions)
{
    static const int64_t positions[] = {0, 1, 2, 3, 8, 8, 0, 5};
    fill(q);
    fill(k);
    fill(v);
    for (int c = 0; c < 16; c++) {
        const bool flat = c & 1, interleaved = c & 2, placed = c & 4;
        const int64_t turning = c & 8 ? 4 : 0, half = turning ? 2 : 3;
        begin_rotary(flat, interleaved, turning, placed ? positions : NULL);
        ck_assert_msg(harness_run(&h), "%s", h.err.text);
        const float *y = harness_out(&h, 0)->data;
        for (int64_t e = 0; e < 2 * 2 * 4 * 6; e++) {
            const int64_t b = e / 48, g = e / 24 % 2, row = e / 6 % 4, d = e % 6, base = e - d;
            const int64_t line = placed ? positions[b * 4 + row] : b * 4 + row;
            const int64_t pair = interleaved ? d / 2 : d % half;
            const bool second = interleaved ? d % 2 : d >= half;
            const float a = q[base + (interleaved ? 2 * pair : pair)];
            const float z = q[base + (interleaved ? 2 * pair + 1 : pair + half)];
            const float cosine = k[line * half + pair], sine = v[line * half + pair];
            const float want = d >= 2 * half ? q[e] : second ? sine * a + cosine * z : cosine * a - sine * z;
            close_to((double)y[flat ? ((b * 4 + row) * 2 + g) * 6 + d : e], (double)want, "y", e);
        }
        harness_end(&h);
    }
}
END_TEST

START_TEST(rotations_that_cannot_be_are_refused)
{
    static const int64_t positions[][8] = {{0, 0, 0, 0, 0, 0, 0, 9}, {-1, 0, 0, 0, 0, 0, 0, 0}};
    for (int i = 0; i < 2; i++) {
        begin_rotary(false, false, 0, positions[i]);
        harness_expect_failure(&h, ERR_DATA, "is outside [0, 8], which the tables have");
        harness_end(&h);
    }
    for (int64_t turning = 3; turning < 10; turning += 5) {
        begin_rotary(false, false, turning, positions[0]);
        harness_expect_failure(&h, ERR_MODEL, "an even number of them would work");
        harness_end(&h);
    }
    harness_begin(&h, "RotaryEmbedding", 23);
    harness_floats(&h, 4, DIMS(1, 1, 2, 4), q);
    harness_floats(&h, 3, DIMS(1, 2, 1), k);
    harness_floats(&h, 3, DIMS(1, 2, 1), v);
    harness_expect_failure(&h, ERR_INVALID, "inputs 0 and 1 of shapes [1,1,2,4] and [1,2,1]");
    harness_end(&h);
}
END_TEST

Suite *op_attention_suite(void);
Suite *op_attention_suite(void)
{
    Suite *suite = suite_create("op_attention");
    TCase *tests = tcase_create("attention");
    tcase_add_loop_test(tests, attention_is_what_its_text_says, 0, (int)(sizeof settings / sizeof *settings));
    tcase_add_test(tests, what_is_masked_may_hold_anything);
    tcase_add_test(tests, an_item_of_a_batch_has_the_bits_that_it_has_alone);
    tcase_add_test(tests, what_is_present_is_given_as_far_as_it_is_asked_for);
    tcase_add_test(tests, shapes_that_do_not_go_together_are_refused);
    tcase_add_test(tests, pairs_turn_by_their_positions);
    tcase_add_test(tests, rotations_that_cannot_be_are_refused);
    suite_add_tcase(suite, tests);
    return suite;
}
