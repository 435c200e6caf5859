/* matmul.c - tests of src/op/matmul.c. */
#include "heavy.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct harness h;

/* alpha a b + beta c; element (i, l) of a at i * a_row + l * a_column, and so on. */
struct product {
    int64_t m, n, k, a_row, a_column, b_row, b_column, c_row, c_column;
    float alpha, beta;
};

static float *expected(const struct product *p, const float *a, const float *b, const float *c)
{
    float *y = malloc((size_t)(p->m * p->n) * sizeof *y);
    ck_assert_ptr_nonnull(y);
    for (int64_t i = 0; i < p->m * p->n; i++) {
        const int64_t row = i / p->n, column = i % p->n;
        double sum = 0;
        for (int64_t l = 0; l < p->k; l++)
            sum += (double)a[row * p->a_row + l * p->a_column] * (double)b[l * p->b_row + column * p->b_column];
        y[i] = (float)((double)p->alpha * sum +
                       (c ? (double)p->beta * (double)c[row * p->c_row + column * p->c_column] : 0));
    }
    return y;
}

enum { M = 7, N = 35, K = 19 };

/* C of every shape ONNX allows: none, [], [1], [N], [1,N], [M,1], [M,N]. */
static const struct {
    int rank;
    int64_t dims[2], row, column;
} shapes_of_c[] = {{-1, {0, 0}, 0, 0}, {0, {0, 0}, 0, 0}, {1, {1, 0}, 0, 0}, {1, {N, 0}, 0, 1},
                   {2, {1, N}, 0, 1},  {2, {M, 1}, 1, 0}, {2, {M, N}, N, 1}};

static void gemm_case(const struct kernels *level, int bits, int c)
{
    const bool trans_a = bits & 1, trans_b = bits & 2, constant = bits & 4;
    const struct product p = {.m = M,
                              .n = N,
                              .k = K,
                              .a_row = trans_a ? 1 : K,
                              .a_column = trans_a ? M : 1,
                              .b_row = trans_b ? 1 : N,
                              .b_column = trans_b ? K : 1,
                              .c_row = shapes_of_c[c].row,
                              .c_column = shapes_of_c[c].column,
                              .alpha = bits & 8 ? 0.5f : 1,
                              .beta = bits & 8 ? -2 : 1};
    float *a = heavy_numbers(1, M * K), *b = heavy_numbers(2, K * N), *third = heavy_numbers(3, M * N);
    float *want = expected(&p, a, b, shapes_of_c[c].rank < 0 ? NULL : third);
    harness_begin(&h, "Gemm", 13);
    h.ctx.kernels = level;
    harness_int(&h, "transA", trans_a);
    harness_int(&h, "transB", trans_b);
    harness_float(&h, "alpha", p.alpha);
    harness_float(&h, "beta", p.beta);
    harness_floats(&h, 2, trans_a ? DIMS(K, M) : DIMS(M, K), a);
    harness_floats(&h, 2, trans_b ? DIMS(N, K) : DIMS(K, N), b);
    if (constant)
        harness_as_constant(&h);
    if (shapes_of_c[c].rank >= 0) {
        harness_floats(&h, shapes_of_c[c].rank, shapes_of_c[c].dims, third);
        if (constant)
            harness_as_constant(&h);
    }
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 2, DIMS(M, N), want, 1e-5f);
    harness_end(&h);
    free(want);
}

START_TEST(gemm_agrees_with_plain_loops)
{
    for (const struct kernels *const *level = pick_all(); *level; level++) {
        for (int bits = 0; pick_runs(*level) && bits < 16; bits++)
            gemm_case(*level, bits, _i);
    }
}
END_TEST

START_TEST(gemm_absorbs_scale_shift_and_activation)
{
    float *a = heavy_numbers(1, M * K), *b = heavy_numbers(2, K * N), *c = heavy_numbers(3, N);
    float *scale = heavy_numbers(4, N), *shift = heavy_numbers(5, N);
    const struct product p = {M, N, K, K, 1, N, 1, 0, 1, 1, 1};
    float *want = expected(&p, a, b, c);
    for (int i = 0; i < M * N; i++)
        want[i] = fmaxf(0, want[i] * scale[i % N] + shift[i % N]);
    harness_begin(&h, "Gemm", 13);
    harness_floats(&h, 2, DIMS(M, K), a);
    harness_floats(&h, 2, DIMS(K, N), b);
    harness_as_constant(&h);
    harness_floats(&h, 1, DIMS(N), c);
    harness_as_constant(&h);
    ck_assert(harness_fuse(&h, &(struct fusion){.kind = FUSE_AFFINE, .channels = N, .scale = scale, .shift = shift}));
    ck_assert(harness_fuse(&h, &(struct fusion){.kind = FUSE_ACTIVATION, .act = ACT_RELU}));
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 2, DIMS(M, N), want, 1e-5f);
    harness_end(&h);
    free(want);
}
END_TEST

START_TEST(matmul_absorbs_a_bias_but_no_scale)
{
    const float one[] = {1, 1};
    harness_begin(&h, "MatMul", 13);
    harness_floats(&h, 3, DIMS(2, 1, 2), (float[]){1, 2, 3, 4});
    harness_floats(&h, 2, DIMS(2, 2), (float[]){1, 0, 0, 1});
    harness_as_constant(&h);
    ck_assert(!harness_fuse(&h, &(struct fusion){.kind = FUSE_AFFINE, .channels = 2, .scale = one}));
    ck_assert(!harness_fuse(&h, &(struct fusion){.kind = FUSE_AFFINE, .channels = 3, .shift = one}));
    ck_assert(harness_fuse(&h, &(struct fusion){.kind = FUSE_AFFINE, .channels = 2, .shift = one}));
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 3, DIMS(2, 1, 2), (float[]){2, 3, 4, 5}, 0);
    harness_end(&h);
}
END_TEST

/* --- shapes of MatMul --------------------------------------------------------------------------------------------- */

static void matmul_case(int a_rank, const int64_t *a_dims, int b_rank, const int64_t *b_dims, bool constant, int rank,
                        const int64_t *dims, const float *want)
{
    static const float numbers[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    harness_begin(&h, "MatMul", 13);
    harness_floats(&h, a_rank, a_dims, numbers);
    harness_floats(&h, b_rank, b_dims, numbers);
    if (constant)
        harness_as_constant(&h);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, rank, dims, want, 1e-6f);
    harness_end(&h);
}

START_TEST(matmul_follows_numpy)
{
    const bool constant = _i;
    matmul_case(1, DIMS(3), 1, DIMS(3), constant, 0, DIMS(0), (float[]){14});
    matmul_case(1, DIMS(2), 2, DIMS(2, 2), constant, 1, DIMS(2), (float[]){7, 10});
    matmul_case(2, DIMS(2, 2), 1, DIMS(2), constant, 1, DIMS(2), (float[]){5, 11});
    matmul_case(3, DIMS(2, 1, 2), 2, DIMS(2, 1), constant, 3, DIMS(2, 1, 1), (float[]){5, 11});
    matmul_case(3, DIMS(2, 1, 2), 3, DIMS(2, 2, 1), constant, 3, DIMS(2, 1, 1), (float[]){5, 25});
    matmul_case(2, DIMS(1, 2), 3, DIMS(2, 2, 1), constant, 3, DIMS(2, 1, 1), (float[]){5, 11});
    matmul_case(4, DIMS(2, 1, 1, 2), 3, DIMS(2, 2, 1), constant, 4, DIMS(2, 2, 1, 1), (float[]){5, 11, 11, 25});
    matmul_case(1, DIMS(2), 3, DIMS(2, 2, 1), constant, 2, DIMS(2, 1), (float[]){5, 11});
}
END_TEST

START_TEST(products_of_nothing_are_zero)
{
    harness_begin(&h, "MatMul", 13);
    harness_floats(&h, 2, DIMS(2, 0), (float[]){0});
    harness_floats(&h, 2, DIMS(0, 1), (float[]){0});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 2, DIMS(2, 1), (float[]){0, 0}, 0);
    harness_end(&h);
}
END_TEST

START_TEST(integers_wrap_and_doubles_are_exact)
{
    harness_begin(&h, "MatMul", 13);
    harness_input(&h, PERCEPT_INT32, 2, DIMS(1, 2), (int32_t[]){65536, 3});
    harness_input(&h, PERCEPT_INT32, 2, DIMS(2, 1), (int32_t[]){65536, -2});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_INT32, 2, DIMS(1, 1), (int32_t[]){-6});
    harness_end(&h);
    harness_begin(&h, "Gemm", 13);
    harness_float(&h, "beta", 2);
    harness_input(&h, PERCEPT_DOUBLE, 2, DIMS(1, 2), (double[]){1, 1e-12});
    harness_input(&h, PERCEPT_DOUBLE, 2, DIMS(2, 1), (double[]){1, 1});
    harness_input(&h, PERCEPT_DOUBLE, 1, DIMS(1), (double[]){1});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_DOUBLE, 2, DIMS(1, 1), (double[]){1 + 1e-12 + 2});
    harness_end(&h);
}
END_TEST

START_TEST(inner_dimensions_that_differ_are_refused)
{
    harness_begin(&h, "MatMul", 13);
    harness_floats(&h, 2, DIMS(1, 2), (float[]){1, 2});
    harness_floats(&h, 2, DIMS(1, 2), (float[]){1, 2});
    ck_assert(!harness_plan(&h));
    ck_assert_ptr_nonnull(strstr(h.err.text, "inner dimensions"));
    harness_end(&h);
}
END_TEST

/* --- com.microsoft ------------------------------------------------------------------------------------------------ */

static void begin_fused(const char *op_type)
{
    harness_begin_in(&h, "com.microsoft", op_type, 1);
}

static void fused_side(int rank, const int64_t *dims, bool constant)
{
    static const float numbers[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    harness_floats(&h, rank, dims, numbers);
    if (constant)
        harness_as_constant(&h);
}

START_TEST(sides_may_lie_turned)
{
    const bool constant = _i;
    begin_fused("FusedMatMul"); /* [[1 3][2 4]] [[1][2]], doubled */
    harness_int(&h, "transA", 1);
    harness_int(&h, "transB", 1);
    harness_float(&h, "alpha", 2);
    fused_side(2, DIMS(2, 2), false);
    fused_side(2, DIMS(1, 2), constant);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 2, DIMS(2, 1), (float[]){14, 20}, 0);
    harness_end(&h);

    begin_fused("FusedMatMul"); /* [[1 2][3 4]] [[1][2]] and [[5 6][7 8]] [[3][4]] */
    harness_int(&h, "transB", 1);
    harness_float(&h, "alpha", -1);
    fused_side(3, DIMS(2, 2, 2), false);
    fused_side(3, DIMS(2, 1, 2), constant);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 3, DIMS(2, 2, 1), (float[]){-5, -11, -39, -53}, 0);
    harness_end(&h);

    begin_fused("FusedMatMul"); /* the stack is axis 1: [1 2] and [3 4] times [[1][2]] and [[3][4]] */
    harness_int(&h, "transBatchA", 1);
    harness_int(&h, "transBatchB", 1);
    harness_int(&h, "transB", 1);
    fused_side(3, DIMS(1, 2, 2), false);
    fused_side(3, DIMS(1, 2, 2), constant);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 3, DIMS(2, 1, 1), (float[]){5, 25}, 0);
    harness_end(&h);
}
END_TEST

/* Vectors have no two axes to turn. */
START_TEST(a_vector_does_not_turn)
{
    begin_fused("FusedMatMul");
    harness_int(&h, "transB", 1);
    fused_side(2, DIMS(2, 3), false);
    fused_side(1, DIMS(3), _i);
    harness_ran(&h);
    harness_expect_floats(&h, 0, 1, DIMS(2), (float[]){14, 32}, 0);
    harness_end(&h);

    begin_fused("FusedMatMul");
    harness_int(&h, "transA", 1);
    fused_side(1, DIMS(3), false);
    fused_side(2, DIMS(3, 2), _i);
    harness_ran(&h);
    harness_expect_floats(&h, 0, 1, DIMS(2), (float[]){22, 28}, 0);
    harness_end(&h);
}
END_TEST

START_TEST(an_empty_side_may_lie_turned)
{
    begin_fused("FusedMatMul"); /* sums of nothing */
    harness_int(&h, "transA", 1);
    harness_int(&h, "transB", 1);
    fused_side(2, DIMS(0, 2), false);
    fused_side(2, DIMS(1, 0), _i);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 2, DIMS(2, 1), (float[]){0, 0}, 0);
    harness_end(&h);
}
END_TEST

START_TEST(transpose_matmul_is_an_older_name)
{
    begin_fused("TransposeMatMul");
    harness_int(&h, "transA", 1);
    harness_float(&h, "alpha", 2);
    harness_floats(&h, 2, DIMS(1, 2), (float[]){1, 2});
    harness_floats(&h, 2, DIMS(1, 1), (float[]){3});
    if (_i)
        harness_as_constant(&h);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 2, DIMS(2, 1), (float[]){6, 12}, 0);
    harness_end(&h);
}
END_TEST

START_TEST(vectors_are_not_turned)
{
    begin_fused("FusedMatMul");
    harness_int(&h, "transA", 1);
    harness_int(&h, "transB", 1);
    fused_side(1, DIMS(3), false);
    fused_side(1, DIMS(3), _i);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 0, DIMS(0), (float[]){14}, 0);
    harness_end(&h);
}
END_TEST

START_TEST(a_gemm_brings_its_activation)
{
    static const struct {
        const char *name;
        float alpha, y[2];
    } cases[] = {{"Relu", 0, {0, 2}},
                 {"LeakyRelu", 0.5f, {-1, 2}},
                 {"Elu", 2, {-1.72932943f, 2}},
                 {"Softsign", 0, {-2.0f / 3, 2.0f / 3}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        begin_fused("FusedGemm");
        harness_text(&h, "activation", cases[i].name);
        harness_float(&h, "activation_alpha", cases[i].alpha);
        fused_side(2, DIMS(1, 1), false);
        harness_floats(&h, 2, DIMS(1, 2), (float[]){-3, 1});
        if (_i)
            harness_as_constant(&h);
        harness_floats(&h, 1, DIMS(1), (float[]){1});
        ck_assert_msg(harness_run(&h), "%s", h.err.text);
        harness_expect_floats(&h, 0, 2, DIMS(1, 2), cases[i].y, 1e-6f);
        harness_end(&h);
    }
    begin_fused("FusedGemm"); /* of no terms: C alone */
    harness_text(&h, "activation", "Relu");
    harness_floats(&h, 2, DIMS(1, 0), (float[]){0});
    harness_floats(&h, 2, DIMS(0, 2), (float[]){0});
    harness_floats(&h, 1, DIMS(2), (float[]){-1, 1});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 2, DIMS(1, 2), (float[]){0, 1}, 0);
    harness_end(&h);
}
END_TEST

/* An activation that no epilogue computes goes over the output afterwards: what follows it cannot come before. */
START_TEST(nothing_is_fused_behind_an_activation_that_comes_later)
{
    static const char *const late[] = {"Elu", "Selu", "Celu", "Softplus", "Softsign", "ThresholdedRelu"};
    for (size_t i = 0; i < sizeof late / sizeof *late; i++) {
        begin_fused("FusedGemm");
        harness_text(&h, "activation", late[i]);
        fused_side(2, DIMS(1, 1), false);
        harness_floats(&h, 2, DIMS(1, 2), (float[]){-3, 1});
        harness_as_constant(&h);
        const float one[] = {1, 1};
        ck_assert(!harness_fuse(&h, &(struct fusion){.kind = FUSE_ACTIVATION, .act = ACT_RELU}));
        ck_assert(!harness_fuse(&h, &(struct fusion){.kind = FUSE_AFFINE, .channels = 2, .scale = one, .shift = one}));
        ck_assert(!harness_fuse(&h, &(struct fusion){.kind = FUSE_RESIDUAL, .value = 0}));
        harness_end(&h);
    }
}
END_TEST

START_TEST(fused_forms_refuse_what_they_do_not_know)
{
    begin_fused("FusedGemm");
    harness_text(&h, "activation", "Mish");
    fused_side(2, DIMS(1, 1), false);
    fused_side(2, DIMS(1, 1), true);
    harness_expect_failure(&h, ERR_UNSUPPORTED, "'activation'");
    harness_end(&h);

    begin_fused("FusedMatMul");
    harness_int(&h, "transB", 1);
    fused_side(2, DIMS(2, 3), false);
    fused_side(2, DIMS(3, 2), true);
    harness_expect_failure(&h, ERR_INVALID, "inner dimensions must be equal");
    harness_end(&h);

    begin_fused("FusedMatMul"); /* rows of the result are no channels */
    fused_side(2, DIMS(2, 2), false);
    fused_side(2, DIMS(2, 2), true);
    ck_assert(!harness_fuse(&h, &(struct fusion){.kind = FUSE_AFFINE, .channels = 2, .shift = (float[]){1, 1}}));
    harness_end(&h);
}
END_TEST

/* --- bits --------------------------------------------------------------------------------------------------------- */

static void rest_constant(struct harness *harness)
{
    harness_floats(harness, 2, DIMS(35, 67), heavy_numbers(2, 35 * 67));
    harness_as_constant(harness);
}

static void rest_run_time(struct harness *harness)
{
    harness_floats(harness, 2, DIMS(35, 67), heavy_numbers(2, 35 * 67));
}

static void rest_turned(struct harness *harness)
{
    harness_domain(harness, "com.microsoft");
    harness_int(harness, "transB", 1);
    harness_floats(harness, 2, DIMS(67, 35), heavy_numbers(2, 67 * 35));
}

static void rest_of_fused_gemm(struct harness *harness)
{
    harness_domain(harness, "com.microsoft");
    harness_text(harness, "activation", "Elu");
    rest_run_time(harness);
}

START_TEST(an_items_bits_depend_on_nobody)
{
    heavy_expect_same_bits("Gemm", 13, 1, 2, DIMS(0, 35), false, rest_constant);
    heavy_expect_same_bits("Gemm", 13, 1, 2, DIMS(0, 35), false, rest_run_time);
    heavy_expect_same_bits("MatMul", 13, 1, 2, DIMS(0, 35), false, rest_run_time);
    heavy_expect_same_bits("MatMul", 13, 1, 3, DIMS(0, 5, 35), false, rest_constant);
    heavy_expect_same_bits("FusedMatMul", 1, 1, 3, DIMS(0, 5, 35), false, rest_turned);
    heavy_expect_same_bits("FusedGemm", 1, 1, 2, DIMS(0, 35), false, rest_of_fused_gemm);
}
END_TEST

Suite *op_matmul_suite(void);
Suite *op_matmul_suite(void)
{
    Suite *suite = suite_create("op/matmul");
    TCase *tests = tcase_create("matmul");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, gemm_agrees_with_plain_loops, 0, (int)(sizeof shapes_of_c / sizeof *shapes_of_c));
    tcase_add_test(tests, gemm_absorbs_scale_shift_and_activation);
    tcase_add_test(tests, matmul_absorbs_a_bias_but_no_scale);
    tcase_add_loop_test(tests, matmul_follows_numpy, 0, 2);
    tcase_add_test(tests, products_of_nothing_are_zero);
    tcase_add_test(tests, integers_wrap_and_doubles_are_exact);
    tcase_add_test(tests, inner_dimensions_that_differ_are_refused);
    tcase_add_loop_test(tests, sides_may_lie_turned, 0, 2);
    tcase_add_loop_test(tests, a_vector_does_not_turn, 0, 2);
    tcase_add_loop_test(tests, an_empty_side_may_lie_turned, 0, 2);
    tcase_add_loop_test(tests, transpose_matmul_is_an_older_name, 0, 2);
    tcase_add_loop_test(tests, vectors_are_not_turned, 0, 2);
    tcase_add_loop_test(tests, a_gemm_brings_its_activation, 0, 2);
    tcase_add_test(tests, nothing_is_fused_behind_an_activation_that_comes_later);
    tcase_add_test(tests, fused_forms_refuse_what_they_do_not_know);
    tcase_add_test(tests, an_items_bits_depend_on_nobody);
    suite_add_tcase(suite, tests);
    return suite;
}
