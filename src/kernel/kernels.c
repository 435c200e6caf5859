/*
 * kernels.c - one family of one level: the tables, and what is compiled for them.
 *
 * The build compiles this file once per family and level: with -DKERNELS_FAMILY_gemm (convolve, ...) and
 * -DKERNELS_LEVEL=base (no -march), v3 (x86-64-v3), v4 (x86-64-v4, 512-bit vectors) or v4_vnni, and with -O3
 * -ffp-contract=fast -fno-math-errno -fno-trapping-math -fno-lto. The Makefile says which families a level compiles
 * for itself; the others it borrows (pick.c). All functions are static; the object exports the one symbol
 * kernels_<family>_<level>. The same
 * arithmetic everywhere, so a level differs from another in rounding only: by the number of partial sums
 * and by whether multiply and add are one operation.
 *
 * Stateless: any thread may call any function at any time on buffers it owns.
 */
#include "kernel/kernel.h"

#include "kernel/vec.h"

#ifdef KERNELS_FAMILY_gemm
#include "kernel/gemm.h"
#include "kernel/narrow.h"
#include "kernel/spin.h"

#define THE_SAME                                                                                                       \
    .width = WIDTH, .step = PANEL, .spin = spin, .narrow_pack_bytes = narrow_pack_bytes, .narrow_pack = narrow_pack,   \
    .narrow_widen = narrow_widen, .bf16 = &of_bf16

static const struct gemm_kernels of_bf16 = {
    THE_SAME,
    .pack_bytes = bf16_pack_bytes,
    .pack = bf16_pack,
    .run = bf16,
};

const struct gemm_kernels TABLE(gemm) = {
    THE_SAME,
    .pack_bytes = gemm_pack_bytes,
    .pack = gemm_pack,
    .run = gemm,
};
#endif

#ifdef KERNELS_FAMILY_convolve
#include "kernel/convolve.h"

const struct convolve_kernels TABLE(convolve) = {
    .width = WIDTH,
    .choose = conv_choose,
    .settle = conv_settle,
    .name = conv_name,
    .pack_bytes = conv_pack_bytes,
    .pack = conv_pack,
    .prepared_bytes = conv_prepared_bytes,
    .prepare = conv_prepare,
    .scratch_bytes = conv_scratch_bytes,
    .units = conv_units,
    .done_flops = conv_done_flops,
    .run = conv_run,
};
#endif

#ifdef KERNELS_FAMILY_map
#include "kernel/map.h"

const struct map_kernels TABLE(map) = {
    .width = WIDTH,
    .unary = unary,
    .binary = binary,
    .binary_scalar = binary_scalar,
    .scalar_binary = scalar_binary,
    .binary_lanes = binary_lanes,
    .affine = affine,
    .affine_lanes = affine_lanes,
    .fill = fill,
};
#endif

#ifdef KERNELS_FAMILY_reduce
#include "kernel/accumulate.h"
#include "kernel/window.h"

const struct reduce_kernels TABLE(reduce) = {
    .width = WIDTH,
    .run = reduce,
    .softmax = softmax,
    .moments = moments,
    .normalize = normalize,
    .pool = pool,
};
#endif

#ifdef KERNELS_FAMILY_recur
#include "kernel/recur.h"

const struct recur_kernels TABLE(recur) = {
    .width = 0,
    .lstm_step = lstm_step,
    .gru_gates = gru_gates,
    .gru_step = gru_step,
};
#endif

#ifdef KERNELS_FAMILY_quantize
#include "kernel/dot.h"
#include "kernel/quantize.h"
#include "kernel/slide.h"

const struct quantize_kernels TABLE(quantize) = {
    .width = WIDTH,
    .dot_pack_bytes = dot_pack_bytes,
    .dot_pack = dot_pack,
    .dot_row_bytes = dot_row_bytes,
    .dot_pack_row = dot_pack_row,
    .dot_step = PANEL,
    .dot = dot,
    .slide_pixels = quad_interleave,
    .slide_pack_bytes = slide_pack_bytes,
    .slide_pack = slide_pack,
    .slide_step = SLIDE_ROWS,
    .slide = slide,
    .slide_one = slide_one,
    .requantize = requantize,
    .rescale = rescale,
    .add = add,
    .quantize = quantize,
    .dequantize = dequantize,
};
#endif

#ifdef KERNELS_FAMILY_layout
#include "kernel/transpose.h"

const struct layout_kernels TABLE(layout) = {
    .width = WIDTH,
    .block = block,
    .unblock = unblock,
};
#endif
