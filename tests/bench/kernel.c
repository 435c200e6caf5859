/*
 * kernel.c - how fast the kernels are: GFLOP/s of typical layers, for every level that this CPU runs, one
 * thread, beside the peak that a loop of independent multiply-adds reaches at the same minute.
 *
 * Prints the best of several calls; the machine is rarely quiet, and noise only ever adds. Arguments:
 * names of levels to run (default: all).
 */
#include "kernel/kernel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static float *numbers(size_t n)
{
    float *x = aligned_alloc(64, (n * sizeof *x + 191) / 64 * 64);
    if (!x)
        exit(1);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)((i * 2654435761u >> 8) & 0xffff) / 65536.0f - 0.5f;
    return x;
}

struct layer {
    const char *name;
    int64_t in, out, size, kernel, stride, group;
    bool plain;
};

/* The best of as many runs as fit into a fifth of a second. */
#define BEST(SECONDS, CALL)                                                                                            \
    do {                                                                                                               \
        const double begin_ = now();                                                                                   \
        SECONDS = 1e9;                                                                                                 \
        for (int n_ = 0; n_ < 5 || now() - begin_ < 0.2; n_++) {                                                       \
            const double start_ = now();                                                                               \
            CALL;                                                                                                      \
            const double took_ = now() - start_;                                                                       \
            SECONDS = took_ < SECONDS ? took_ : SECONDS;                                                               \
        }                                                                                                              \
    } while (0)

/* Peak: a gemm whose operands lie in the first cache. */
static double peak(const struct kernels *level)
{
    enum { M = 12 * 4, K = 64 };
    const int64_t n = level->gemm->step;
    float *a = numbers(M * K), *b = numbers((size_t)(K * n)), *c = numbers((size_t)(M * n));
    void *packed = numbers(level->gemm->pack_bytes(K, n) / sizeof(float));
    level->gemm->pack(packed, b, K, n, n, 1, NULL);
    const struct epilogue none = {.act = ACT_NONE};
    double seconds;
    BEST(seconds, for (int i = 0; i < 200; i++) level->gemm->run(M, n, K, a, K, packed, c, n, &none, 0, n));
    free(a);
    free(b);
    free(c);
    free(packed);
    return 200 * 2.0 * M * (double)n * K / seconds * 1e-9;
}

static void bench_conv(const struct kernels *level, const struct layer *layer)
{
    const int64_t pad = layer->kernel / 2, size = layer->size;
    const int64_t out = (size + 2 * pad - layer->kernel) / layer->stride + 1;
    const struct conv_shape shape = {.group = layer->group,
                                     .in_channels = layer->in,
                                     .out_channels = layer->out,
                                     .in = {1, size, size},
                                     .out = {1, out, out},
                                     .kernel = {1, layer->kernel, layer->kernel},
                                     .stride = {1, layer->stride, layer->stride},
                                     .dilation = {1, 1, 1},
                                     .pad = {0, pad, pad},
                                     .in_plain = layer->plain};
    const int algorithm = level->convolve->choose(&shape, PRECISION_EXACT);
    const int64_t taps = layer->kernel * layer->kernel, depth = layer->in / layer->group;
    float *weights = numbers((size_t)(layer->out * depth * taps));
    float *input = numbers((size_t)((layer->in + 16) * size * size));
    float *output = numbers((size_t)((layer->out + 16) * out * out));
    float *bias = numbers((size_t)layer->out);
    void *packed = numbers(level->convolve->pack_bytes(algorithm, &shape) / sizeof(float));
    struct conv_prepared *prepared = malloc(level->convolve->prepared_bytes(algorithm, &shape));
    level->convolve->prepare(prepared, algorithm, &shape);
    void *scratch = numbers(level->convolve->scratch_bytes(prepared) / sizeof(float) + 1);
    level->convolve->pack(algorithm, &shape, packed, weights, NULL);
    const struct epilogue epilogue = {.bias = bias, .act = ACT_RELU};
    const int64_t units = level->convolve->units(prepared);
    double seconds;
    BEST(seconds, level->convolve->run(prepared, input, packed, output, &epilogue, scratch, 0, units));
    const double flops = 2.0 * (double)(out * out * layer->out * depth * taps);
    printf("  %-24s %-9s %8.1f us %7.1f GFLOP/s  %3lld units, scratch %lld\n", layer->name,
           level->convolve->name(algorithm), seconds * 1e6, flops / seconds * 1e-9, (long long)units,
           (long long)level->convolve->scratch_bytes(prepared));
    free(weights);
    free(input);
    free(output);
    free(bias);
    free(packed);
    free(prepared);
    free(scratch);
}

static void bench_gemm(const struct kernels *level, int64_t m, int64_t n, int64_t k)
{
    float *a = numbers((size_t)(m * k)), *b = numbers((size_t)(k * n)), *c = numbers((size_t)(m * n));
    void *packed = numbers(level->gemm->pack_bytes(k, n) / sizeof(float));
    level->gemm->pack(packed, b, k, n, n, 1, NULL);
    const struct epilogue none = {.act = ACT_NONE};
    double seconds;
    BEST(seconds, level->gemm->run(m, n, k, a, k, packed, c, n, &none, 0, n));
    printf("  gemm %5lld x %5lld x %5lld %19.1f us %7.1f GFLOP/s  %5.1f GB/s of weights\n", (long long)m, (long long)n,
           (long long)k, seconds * 1e6, 2.0 * (double)(m * n * k) / seconds * 1e-9,
           4.0 * (double)(n * k) / seconds * 1e-9);
    free(a);
    free(b);
    free(c);
    free(packed);
}

static void bench_maps(const struct kernels *level)
{
    static const struct {
        enum unary op;
        const char *name;
    } maps[] = {{UNARY_COPY, "copy"}, {UNARY_RELU, "relu"}, {UNARY_EXP, "exp"},
                {UNARY_LOG, "log"},   {UNARY_TANH, "tanh"}, {UNARY_SIGMOID, "sigmoid"},
                {UNARY_ERF, "erf"},   {UNARY_SIN, "sin"},   {UNARY_SQRT, "sqrt"}};
    enum { N = 4096 };
    float *x = numbers(N), *y = numbers(N);
    double seconds;
    printf("  ns per element:");
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++) {
        BEST(seconds, level->map->unary(maps[i].op, y, x, N, 1, 1));
        printf(" %s %.3f", maps[i].name, seconds * 1e9 / N);
    }
    BEST(seconds, level->reduce->softmax(y, x, N, 1, 1, false));
    printf(" softmax %.3f", seconds * 1e9 / N);
    BEST(seconds, level->reduce->run(REDUCE_SUM, y, x, N, 1, 1));
    printf(" sum %.3f", seconds * 1e9 / N);
    BEST(seconds, level->layout->block(y, x, 64, 64));
    printf(" block %.3f", seconds * 1e9 / N);
    BEST(seconds, level->layout->unblock(y, x, 64, 64));
    printf(" unblock %.3f\n", seconds * 1e9 / N);
    free(x);
    free(y);
}

static const struct layer layers[] = {
    {"7x7/2 3->64 @224", 3, 64, 224, 7, 2, 1, true},       {"3x3 64->64 @56", 64, 64, 56, 3, 1, 1, false},
    {"3x3 128->128 @28", 128, 128, 28, 3, 1, 1, false},    {"3x3 256->256 @14", 256, 256, 14, 3, 1, 1, false},
    {"3x3 512->512 @7", 512, 512, 7, 3, 1, 1, false},      {"3x3/2 128->128 @56", 128, 128, 56, 3, 2, 1, false},
    {"1x1 64->256 @56", 64, 256, 56, 1, 1, 1, false},      {"1x1 512->128 @28", 512, 128, 28, 1, 1, 1, false},
    {"1x1 256->1024 @14", 256, 1024, 14, 1, 1, 1, false},  {"1x1 2048->512 @7", 2048, 512, 7, 1, 1, 1, false},
    {"1x1/2 256->512 @56", 256, 512, 56, 1, 2, 1, false},  {"1x1 16->96 @112", 16, 96, 112, 1, 1, 1, false},
    {"depthwise 3x3 96 @56", 96, 96, 56, 3, 1, 96, false}, {"depthwise 3x3/2 96 @112", 96, 96, 112, 3, 2, 96, false},
    {"depthwise 3x3 58 @28", 58, 58, 28, 3, 1, 58, false}, {"grouped 3x3 240 by 3 @28", 240, 240, 28, 3, 1, 3, false},
};

int main(int argc, char **argv)
{
    const char *const *names = argc > 1 ? (const char *const *)argv + 1 : pick_names();
    for (; *names; names++) {
        const struct kernels *level = pick_named(*names);
        if (!level) {
            printf("not run: level %s\n", *names);
            continue;
        }
        printf("level %s, peak %.1f GFLOP/s\n", level->name, peak(level));
        for (size_t i = 0; i < sizeof layers / sizeof *layers; i++)
            bench_conv(level, &layers[i]);
        bench_gemm(level, 1, 1000, 2048);
        bench_gemm(level, 1, 1024, 256);
        bench_gemm(level, 4, 1024, 256);
        bench_gemm(level, 32, 1024, 256);
        bench_gemm(level, 100, 1024, 1024);
        bench_gemm(level, 512, 512, 512);
        bench_maps(level);
    }
    return 0;
}
