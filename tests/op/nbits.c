/* nbits.c - tests of src/op/nbits.c: products with weights of 4 and 8 bits against sums in double. */
#include <check.h>
#include <math.h>
#include <string.h>

#include "harness.h"

static struct harness h;

enum { MOST_K = 1100, MOST_N = 300, MOST = MOST_K * MOST_N };
static uint8_t q[MOST], packed[MOST + 4096 * MOST_N / 16], narrow_zeros[MOST];
static float scales[MOST], zeros[MOST], a[4 * MOST_K], bias[MOST_N];

enum zero_form { NO_ZEROS, NARROW_ZEROS, FLOAT_ZEROS };

struct sizes {
    int64_t m, k, n, block, bits;
    enum zero_form form;
    bool biased, grouped;
};

static uint32_t seed;

static uint32_t draw(uint32_t below)
{
    seed = seed * 1664525U + 1013904223U;
    return (uint32_t)((uint64_t)(seed >> 8) * below >> 24);
}

static void add_number(uint8_t *list, int64_t bits, int64_t i, uint8_t value)
{
    if (bits == 8)
        list[i] = value;
    else
        list[i / 2] = (uint8_t)(list[i / 2] | value << (i % 2 * 4));
}

/* Weights [n][blocks block], zeros and scales [n][blocks], as a file has them. */
static void make_weights(const struct sizes *s)
{
    const int64_t blocks = (s->k + s->block - 1) / s->block, padded = blocks * s->block;
    const int64_t zero_bytes = (blocks * s->bits + 7) / 8;
    memset(packed, 0, sizeof packed);
    memset(narrow_zeros, 0, sizeof narrow_zeros);
    for (int64_t j = 0; j < s->n; j++) {
        for (int64_t i = 0; i < padded; i++) {
            const uint8_t value = (uint8_t)draw(1U << s->bits);
            if (i < s->k)
                q[j * s->k + i] = value;
            add_number(packed + j * padded * s->bits / 8, s->bits, i, value);
        }
        for (int64_t b = 0; b < blocks; b++) {
            const uint8_t zero = (uint8_t)draw(1U << s->bits);
            zeros[j * blocks + b] = s->form == NO_ZEROS ? (float)(1 << (s->bits - 1)) : (float)zero;
            add_number(narrow_zeros + j * zero_bytes, s->bits, b, zero);
            scales[j * blocks + b] = 0.01F + (float)draw(1000) / 1e5F;
        }
    }
    for (int64_t j = 0; j < s->n; j++)
        bias[j] = (float)draw(2000) / 10;
    for (int64_t i = 0; i < s->m * s->k; i++)
        a[i] = (float)draw(2000) / 1000 - 1;
}

static void begin(const struct sizes *s)
{
    const int64_t blocks = (s->k + s->block - 1) / s->block, zero_bytes = (blocks * s->bits + 7) / 8;
    seed = 9;
    make_weights(s);
    harness_begin_in(&h, "com.microsoft", "MatMulNBits", 1);
    harness_int(&h, "K", s->k);
    harness_int(&h, "N", s->n);
    harness_int(&h, "bits", s->bits);
    harness_int(&h, "block_size", s->block);
    harness_floats(&h, 2, DIMS(s->m, s->k), a);
    harness_input(&h, PERCEPT_UINT8, 3, DIMS(s->n, blocks, s->block * s->bits / 8), packed);
    harness_as_constant(&h);
    harness_floats(&h, 1, DIMS(s->n * blocks), scales);
    harness_as_constant(&h);
    if (s->form == NARROW_ZEROS)
        harness_input(&h, PERCEPT_UINT8, 1, DIMS(s->n * zero_bytes), narrow_zeros);
    else if (s->form == FLOAT_ZEROS)
        harness_floats(&h, 2, DIMS(s->n, blocks), zeros);
    else
        harness_left_out(&h);
    if (s->form != NO_ZEROS)
        harness_as_constant(&h);
    if (s->grouped) {
        static int32_t groups[MOST_K];
        for (int64_t i = 0; i < s->k; i++)
            groups[i] = (int32_t)(i / s->block);
        harness_input(&h, PERCEPT_INT32, 1, DIMS(s->k), groups);
        harness_as_constant(&h);
    } else {
        harness_left_out(&h);
    }
    if (s->biased)
        harness_floats(&h, 1, DIMS(s->n), bias);
}

START_TEST(products_are_those_of_the_numbers_meant)
{
    static const struct sizes cases[] = {
        {3, 64, 32, 32, 4, NO_ZEROS, false, false},      {1, 100, 37, 16, 4, NARROW_ZEROS, true, false},
        {4, 1100, 131, 32, 4, NARROW_ZEROS, true, true}, {2, 1100, 300, 128, 8, NARROW_ZEROS, false, false},
        {1, 700, 65, 64, 4, FLOAT_ZEROS, false, false},  {2, 33, 5, 16, 8, NO_ZEROS, true, false},
        {1, 1, 1, 16, 4, NO_ZEROS, false, false},        {2, 600, 129, 1024, 4, NARROW_ZEROS, false, false},
    };
    const struct sizes *s = &cases[_i];
    begin(s);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    const int64_t blocks = (s->k + s->block - 1) / s->block;
    for (int64_t e = 0; e < s->m * s->n; e++) {
        const int64_t row = e / s->n, j = e % s->n;
        double want = s->biased ? (double)bias[j] : 0, size = fabs(want);
        for (int64_t i = 0; i < s->k; i++) {
            const int64_t b = j * blocks + i / s->block;
            const double term =
                ((double)q[j * s->k + i] - (double)zeros[b]) * (double)scales[b] * (double)a[row * s->k + i];
            want += term;
            size += fabs(term);
        }
        /* chains of 512 sums, each half an ulp of the terms' size at most */
        ck_assert_double_eq_tol((double)((const float *)harness_out(&h, 0)->data)[e], want, 3e-6 * size);
    }
    harness_end(&h);
}
END_TEST

START_TEST(a_row_has_the_same_bits_beside_others)
{
    struct sizes s = {4, 700, 131, 32, 4, NARROW_ZEROS, true, false};
    float all[131 * 4], rows[700 * 4];
    begin(&s);
    memcpy(rows, a, sizeof rows);
    ck_assert(harness_run(&h));
    memcpy(all, harness_out(&h, 0)->data, sizeof all);
    harness_end(&h);
    for (int row = 0; row < 4; row++) {
        s.m = 1;
        begin(&s);
        memcpy(h.tensors[0].data, rows + row * 700, 700 * sizeof *rows);
        ck_assert(harness_run(&h));
        ck_assert_mem_eq(harness_out(&h, 0)->data, all + row * 131, 131 * sizeof *all);
        harness_end(&h);
    }
}
END_TEST

START_TEST(packed_weights_stay_narrow)
{
    const struct sizes s = {1, 1024, 256, 128, 4, NO_ZEROS, false, false};
    begin(&s);
    ck_assert(harness_load(&h));
    ck_assert_uint_eq(h.node.op->rule->pack_bytes(&h.ctx), 1024 * 256 / 2 + 8 * 256 * 2 * sizeof(float));
    harness_end(&h);
}
END_TEST

/* Changes an attribute's number before the node is checked. */
static void set(const char *name, int64_t value)
{
    for (int i = 0; i < h.node.n_attr; i++)
        if (bytes_is(h.attrs[i].name, name))
            h.attrs[i].i = value;
}

START_TEST(what_cannot_be_is_refused)
{
    static const struct {
        const char *name;
        int64_t value;
        enum err_code code;
        const char *words;
    } cases[] = {{"bits", 2, ERR_UNSUPPORTED, "attribute 'bits' is 2; 4 and 8 work"},
                 {"block_size", 48, ERR_MODEL, "'block_size' is 48; a power of 2"},
                 {"block_size", 1 << 20, ERR_MODEL, "block_size"},
                 {"K", 65, ERR_MODEL, "input 1 has 1024 elements; 1536 would fit"},
                 {"K", 0, ERR_MODEL, "'K'"},
                 {"N", INT32_MAX, ERR_MODEL, "input 1 has 1024 elements"}};
    const struct sizes s = {1, 64, 32, 32, 4, NO_ZEROS, false, false};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        begin(&s);
        set(cases[i].name, cases[i].value);
        harness_expect_failure(&h, cases[i].code, cases[i].words);
        harness_end(&h);
    }
    begin(&s);
    h.values[1].constant = NULL;
    harness_expect_failure(&h, ERR_UNSUPPORTED, "input 1 is computed; a constant would work");
    harness_end(&h);
    const struct sizes grouped = {1, 64, 32, 32, 4, NO_ZEROS, false, true};
    begin(&grouped);
    ((int32_t *)h.tensors[3].data)[5] = 1;
    harness_expect_failure(&h, ERR_UNSUPPORTED, "another order than that of the blocks");
    harness_end(&h);
}
END_TEST

Suite *op_nbits_suite(void);
Suite *op_nbits_suite(void)
{
    Suite *suite = suite_create("op_nbits");
    TCase *tests = tcase_create("nbits");
    tcase_add_loop_test(tests, products_are_those_of_the_numbers_meant, 0, 8);
    tcase_add_test(tests, a_row_has_the_same_bits_beside_others);
    tcase_add_test(tests, packed_weights_stay_narrow);
    tcase_add_test(tests, what_cannot_be_is_refused);
    suite_add_tcase(suite, tests);
    return suite;
}
