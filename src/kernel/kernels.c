/*
 * kernels.c - one level: all kernels, compiled for one instruction set.
 *
 * The build compiles this file once per level with -DKERNELS_LEVEL=base (no -march), v3 (x86-64-v3) or v4
 * (x86-64-v4, 512-bit vectors), and with -O3 -ffp-contract=fast -fno-math-errno -fno-trapping-math
 * -fno-lto. All functions are static; the object exports the one symbol kernels_<level>. The same
 * arithmetic everywhere, so a level differs from another in rounding only: by the number of partial sums
 * and by whether multiply and add are one operation.
 *
 * Stateless: any thread may call any function at any time on buffers it owns.
 */
#include "kernel/kernel.h"

#include "kernel/accumulate.h"
#include "kernel/convolve.h"
#include "kernel/dot.h"
#include "kernel/gemm.h"
#include "kernel/map.h"
#include "kernel/narrow.h"
#include "kernel/quantize.h"
#include "kernel/recur.h"
#include "kernel/transpose.h"
#include "kernel/window.h"

#ifndef KERNELS_LEVEL
#define KERNELS_LEVEL base
#endif

#define PASTE(A, B) A##B
#define LEVEL_SYMBOL(LEVEL) PASTE(kernels_, LEVEL)
#define TEXT(A) #A
#define LEVEL_NAME(LEVEL) TEXT(LEVEL)

const struct kernels LEVEL_SYMBOL(KERNELS_LEVEL) = {
    .name = LEVEL_NAME(KERNELS_LEVEL),
    .width = WIDTH,
    .gemm_pack_bytes = gemm_pack_bytes,
    .gemm_pack = gemm_pack,
    .gemm_step = PANEL,
    .gemm = gemm,
    .narrow_pack_bytes = narrow_pack_bytes,
    .narrow_pack = narrow_pack,
    .narrow_widen = narrow_widen,
    .conv_choose = conv_choose,
    .conv_name = conv_name,
    .conv_pack_bytes = conv_pack_bytes,
    .conv_pack = conv_pack,
    .conv_prepared_bytes = conv_prepared_bytes,
    .conv_prepare = conv_prepare,
    .conv_scratch_bytes = conv_scratch_bytes,
    .conv_units = conv_units,
    .conv_run = conv_run,
    .block = block,
    .unblock = unblock,
    .pool = pool,
    .unary = unary,
    .binary = binary,
    .binary_scalar = binary_scalar,
    .scalar_binary = scalar_binary,
    .binary_lanes = binary_lanes,
    .affine = affine,
    .affine_lanes = affine_lanes,
    .fill = fill,
    .reduce = reduce,
    .softmax = softmax,
    .moments = moments,
    .normalize = normalize,
    .lstm_step = lstm_step,
    .gru_gates = gru_gates,
    .gru_step = gru_step,
    .dot_pack_bytes = dot_pack_bytes,
    .dot_pack = dot_pack,
    .dot_step = PANEL,
    .dot = dot,
    .dot_taps = dot_taps,
    .widen = widen,
    .requantize = requantize,
    .rescale = rescale,
    .quantize = quantize,
    .dequantize = dequantize,
};
