/*
 * reference.h - what the kernels should compute: naive loops in double, obviously right.
 *
 * Sums also tell their magnitude, the sum of absolute terms: rounding errors of a sum of n terms are
 * at most about n eps times that, whatever the order, which is what the tests allow.
 * All pictures here are in ONNX's own order, one item.
 */
#ifndef REFERENCE_H
#define REFERENCE_H

#include "kernel/kernel.h"

double reference_activate(enum activation act, double x, double alpha, double beta);
double reference_unary(enum unary op, double x, double alpha, double beta);
float reference_binary(enum binary op, float a, float b);

/* sum[m][n] and magnitude[m][n] of a[m][k] b[k][n] scale[n] + bias[n] + residual[m][n], no activation */
void reference_gemm(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const char *b, int64_t stride_k,
                    int64_t stride_n, const float *scale, const float *bias, const float *residual, int64_t ldc,
                    double *sum, double *magnitude);

/* the same of a convolution; sums are [out_channels][out...], weights any bytes */
void reference_conv(const struct conv_shape *shape, const float *input, const char *weights, const float *scale,
                    const float *bias, const float *residual, double *sum, double *magnitude);

double reference_pool(const struct pool_shape *shape, const float *map, int64_t d, int64_t h, int64_t w);
double reference_reduce(enum reduce op, const float *x, int64_t n, int64_t step, double *magnitude);

void reference_lstm(int64_t hidden, const float *gates, const float *c_old, double *h, double *c, const float *peephole,
                    double clip, bool input_forget);

#endif
