/*
 * Where the batch goes through a node: what each family's verb says of a place, and that no item has other bits
 * beside others than alone where it says that items stay apart.
 *
 * An input is written by its dims: "n,2,6" holds the items along axis 0, "2,3n" along axis 1, three rows each,
 * "b2n,4" along axis 0 twice over; "2,6" is the same for all, "#1,0" are integers that are known, "#n,-1" depend on
 * how many items there are, "i:" in front makes indices (0, 1, 0, ...), "t:" truths, "q:" bytes.
 */
#include "op/batch_axis.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"

enum { ITEMS = 3, MIXES = -1, MOST = 9 };

struct row {
    const char *op_type; /* behind its domain and a dot, if it is not ONNX's own */
    int opset;
    const char *attrs; /* "axis=1;perm=0,2,1;mode=constant" */
    const char *inputs[MOST];
    int axis;       /* of the output, or MIXES */
    int64_t before; /* 0: 1 */
    int output;
};

#define ROOM (1 << 18) /* bytes of an input or output, at the most */

static const struct row rows[] = {
    /* element by element */
    {"Relu", 13, "", {"n,6"}, .axis = 0},
    {"Tanh", 13, "", {"4,n"}, .axis = 1},
    {"Erf", 13, "", {"b2n,4"}, .axis = 0, .before = 2},
    {"Clip", 13, "", {"n,6", "", ""}, .axis = 0},
    {"Add", 13, "", {"n,6", "n,6"}, .axis = 0},
    {"Add", 13, "", {"n,6", "6"}, .axis = 0},
    {"Add", 13, "", {"n,6", "1,6"}, .axis = 0},
    {"Add", 13, "", {"6", "n,6"}, .axis = 0},
    {"Mul", 13, "", {"n,6", "4,1,6"}, .axis = 1}, /* the batch is the second axis then */
    {"Add", 13, "", {"n,3", "3"}, .axis = 0},
    {"Add", 13, "", {"n", "2,1"}, .axis = 1},
    {"Add", 13, "", {"n,1", "1,n"}, .axis = MIXES},
    {"Add", 13, "", {"n,4", "3,1"}, .axis = MIXES}, /* as many as there are items, by chance */
    {"Sub", 13, "", {"b2n,4", "b2n,4"}, .axis = 0, .before = 2},
    {"Div", 6, "broadcast=1;axis=1", {"n,2,6", "2"}, .axis = 0},
    {"Where", 13, "", {"t:n,6", "n,6", "6"}, .axis = 0},
    {"Where", 13, "", {"t:3,6", "n,6", "6"}, .axis = MIXES},
    {"Equal", 13, "", {"n,6", "n,6"}, .axis = 0},
    {"Cast", 13, "to=1", {"i:n,6"}, .axis = 0},
    {"PRelu", 13, "", {"n,6", "6"}, .axis = 0},
    /* views */
    {"Reshape", 13, "", {"n,2,6", "#n,12"}, .axis = 0},
    {"Reshape", 13, "", {"n,2,6", "#-1,12"}, .axis = 0},
    {"Reshape", 13, "", {"n,2,6", "#0,3,4"}, .axis = 0},
    {"Reshape", 13, "", {"n,2,6", "#-1,6"}, .axis = 0}, /* two rows each */
    {"Reshape", 13, "", {"2n,6", "#-1,2,6"}, .axis = 0},
    {"Reshape", 13, "", {"n,4", "#4,-1"}, .axis = MIXES},
    {"Reshape", 13, "", {"n,4", "#-1"}, .axis = 0},
    {"Reshape", 13, "", {"n,2,6", "#2,-1,6"}, .axis = MIXES},
    {"Reshape", 13, "", {"5,n,4", "#-1,4"}, .axis = 0, .before = 5}, /* time and batch merged ... */
    {"Reshape", 13, "", {"b5n,4", "#5,n,4"}, .axis = 1},             /* ... and parted again */
    {"Reshape", 13, "", {"b5n,4", "#n,5,4"}, .axis = MIXES},         /* in the wrong order */
    {"Reshape", 13, "", {"n,6", "#1,n,6"}, .axis = 1},
    {"Flatten", 13, "axis=1", {"n,2,6"}, .axis = 0},
    {"Flatten", 13, "axis=2", {"n,2,6"}, .axis = 0},
    {"Flatten", 13, "axis=0", {"n,2,6"}, .axis = 1},
    {"Squeeze", 13, "", {"n,1,6", "#1"}, .axis = 0},
    {"Squeeze", 13, "", {"1,n,6", "#0"}, .axis = 0},
    {"Squeeze", 13, "", {"n,1,6"}, .axis = MIXES}, /* one item's axis would go as well */
    {"Unsqueeze", 13, "", {"n,6", "#0"}, .axis = 1},
    {"Identity", 13, "", {"n,6"}, .axis = 0},
    /* moves */
    {"Transpose", 13, "perm=1,0,2", {"n,2,6"}, .axis = 1},
    {"Transpose", 13, "perm=2,0,1", {"2,n,6"}, .axis = 2},
    {"Transpose", 13, "", {"n,2,6"}, .axis = 2},
    {"Expand", 13, "", {"n,1", "#1,5"}, .axis = 0},
    {"Expand", 13, "", {"1,4", "#n,4"}, .axis = 0}, /* a state for each */
    {"Expand", 13, "", {"4", "#n,4"}, .axis = 0},
    {"Expand", 13, "", {"n,4", "#2,1,1"}, .axis = 1},
    {"Expand", 13, "", {"n,4", "#1,4"}, .axis = 0},
    {"Expand", 13, "", {"1,n", "#3,1"}, .axis = 1},
    {"Expand", 13, "", {"#n,4", "#2,2"}, .axis = MIXES}, /* what it repeats is not the same for all */
    {"Expand", 13, "", {"#n,4", "#n,2"}, .axis = MIXES},
    {"Expand", 13, "", {"3,4", "#n,4"}, .axis = MIXES}, /* as many as there are items, by chance */
    {"Expand", 13, "", {"n,4", "#n,4"}, .axis = 0},
    {"Expand", 13, "", {"3,1", "#1,n"}, .axis = 1},
    {"Expand", 13, "", {"3,3", "#1,n"}, .axis = MIXES},
    {"Tile", 13, "", {"n,4", "#1,2"}, .axis = 0},
    {"Tile", 13, "", {"n,4", "#2,1"}, .axis = 0, .before = 2},
    {"Tile", 13, "", {"1,4", "#n,2"}, .axis = 0},
    {"DepthToSpace", 13, "blocksize=2", {"n,4,2,3"}, .axis = 0},
    {"DepthToSpace", 13, "blocksize=1", {"2,n,2,3"}, .axis = MIXES},
    {"Trilu", 14, "", {"n,4,4"}, .axis = 0},
    {"Trilu", 14, "", {"4,n"}, .axis = MIXES},
    {"ReverseSequence", 10, "batch_axis=0;time_axis=1", {"n,4", "i:n"}, .axis = 0},
    {"ReverseSequence", 10, "batch_axis=1;time_axis=0", {"n,4", "#1,2,1,2"}, .axis = MIXES},
    /* cut and join */
    {"Concat", 13, "axis=1", {"n,4", "n,2"}, .axis = 0},
    {"Concat", 13, "axis=-2", {"n,4", "n,4"}, .axis = MIXES},
    {"Concat", 13, "axis=1", {"n,4", "3,2"}, .axis = MIXES},
    {"Split", 13, "axis=1", {"n,4"}, .axis = 0},
    {"Split", 13, "axis=0", {"4,n"}, .axis = 1},
    {"Split", 13, "axis=1", {"n,4"}, .axis = 0, .output = 1},
    {"Slice", 13, "", {"n,6", "#1", "#4", "#1"}, .axis = 0},
    {"Slice", 13, "", {"n,6", "#0,2", "#100,6"}, .axis = 0},
    {"Slice", 13, "", {"n,6", "#0", "#n", "#0"}, .axis = 0},
    {"Slice", 13, "", {"n,6", "#0", "#n", "#1"}, .axis = MIXES}, /* as many columns as items */
    {"Slice", 13, "", {"n,6", "#-1", "#-100", "#0", "#-1"}, .axis = MIXES},
    {"Slice", 13, "", {"n,6", "#0", "#2", "#0"}, .axis = MIXES},
    {"Pad", 13, "", {"n,4", "#0,1,0,2"}, .axis = 0},
    {"Pad", 13, "mode=reflect", {"2,n", "#1,0,0,0"}, .axis = 1},
    {"Pad", 13, "", {"n,4", "#1,0,0,0"}, .axis = MIXES},
    {"Pad", 13, "", {"n,4", "#1,0,-1,0"}, .axis = MIXES},
    {"Pad", 18, "", {"n,4", "#1,1", "", "#1"}, .axis = 0},
    {"Pad", 18, "", {"n,4", "#1,1", "", "#0"}, .axis = MIXES},
    {"Pad", 18, "", {"n,4", "#1,1", "", "#-1"}, .axis = 0},
    {"Pad", 18, "", {"n,4", "#1,1", "", "#-2"}, .axis = MIXES},
    {"Pad", 18, "mode=edge", {"3,n,4", "#1,2,1,0", "", "#2,0"}, .axis = 1},
    {"Pad", 18, "mode=edge", {"3,n,4", "#1,2,1,0", "", "#2,1"}, .axis = MIXES},
    {"Pad", 18, "", {"n,4", "#0,1,0,2", "", "#0,1"}, .axis = 0},
    {"Pad", 18, "", {"n,4", "#0,1,0,2", "", "#1,0"}, .axis = MIXES},
    /* looks up */
    {"Gather", 13, "axis=0", {"9,3", "i:n"}, .axis = 0},
    {"Gather", 13, "axis=1", {"9,3", "i:4,n"}, .axis = 2},
    {"Gather", 13, "axis=1", {"n,4", "#2,0"}, .axis = 0},
    {"Gather", 13, "axis=-2", {"n,4", "#0"}, .axis = MIXES},
    {"Gather", 13, "axis=0", {"4,n", "#2"}, .axis = 1},
    {"Gather", 13, "axis=1", {"n,4", "i:n"}, .axis = MIXES},
    {"GatherElements", 13, "axis=1", {"n,4", "i:n,2"}, .axis = 0},
    {"GatherElements", 13, "axis=0", {"n,4", "i:n,2"}, .axis = MIXES},
    {"GatherElements", 13, "axis=0", {"9,4", "i:n,4"}, .axis = 0},
    {"GatherElements", 13, "axis=1", {"3,4", "i:n,2"}, .axis = MIXES},
    {"GatherND", 13, "batch_dims=1", {"n,4", "i:n,1"}, .axis = 0},
    {"GatherND", 13, "", {"5,4", "i:n,1"}, .axis = 0},
    {"GatherND", 13, "", {"5,n", "#1"}, .axis = 0},
    {"GatherND", 13, "", {"n,4", "i:n,1"}, .axis = MIXES},
    {"ScatterND", 18, "", {"5,n", "i:1,1", "1,n"}, .axis = 1},
    {"ScatterND", 18, "", {"5,3,n", "i:1,2", "1,n"}, .axis = 2},
    {"ScatterND", 18, "", {"n,4", "i:1,1", "1,4"}, .axis = MIXES},
    {"ScatterND", 18, "", {"5,n,4", "i:n,1", "n,n,4"}, .axis = MIXES}, /* each item's places */
    {"ScatterND", 18, "", {"5,4", "i:n,1", "n,4"}, .axis = MIXES},
    {"ScatterElements", 13, "axis=1", {"n,4", "i:n,2", "n,2"}, .axis = 0},
    {"ScatterElements", 13, "axis=0", {"n,4", "i:n,2", "n,2"}, .axis = MIXES},
    {"OneHot", 13, "", {"i:n,2", "#4", "2"}, .axis = 0},
    {"OneHot", 13, "axis=0", {"i:n,2", "#4", "2"}, .axis = 1},
    /* along axes */
    {"ReduceSum", 13, "keepdims=0", {"n,2,6", "#1"}, .axis = 0},
    {"ReduceSum", 13, "keepdims=0", {"2,n,6", "#0"}, .axis = 0},
    {"ReduceSum", 13, "", {"2,n,6", "#0,2"}, .axis = 1},
    {"ReduceSum", 13, "", {"n,2,6", "#-3"}, .axis = MIXES},
    {"ReduceSum", 13, "", {"n,2,6"}, .axis = MIXES},
    {"ReduceMean", 13, "axes=0", {"4,n"}, .axis = MIXES}, /* another order than of a line alone */
    {"ReduceMax", 13, "axes=1,2", {"n,2,6"}, .axis = 0},
    {"ReduceL2", 13, "axes=0;keepdims=0", {"2,n,6"}, .axis = 0},
    {"ReduceLogSumExp", 13, "axes=0", {"300,n,30"}, .axis = 1},
    {"ArgMax", 13, "axis=1;keepdims=0", {"n,6"}, .axis = 0},
    {"ArgMax", 13, "axis=0;keepdims=0", {"4,n,6"}, .axis = 0},
    {"ArgMin", 13, "", {"n,6"}, .axis = MIXES},
    {"CumSum", 13, "", {"n,6", "#1"}, .axis = 0},
    {"CumSum", 13, "reverse=1", {"4,n", "#0"}, .axis = 1},
    {"CumSum", 13, "", {"n,6", "#-2"}, .axis = MIXES},
    {"TopK", 13, "", {"n,6", "#2"}, .axis = 0},
    {"TopK", 13, "axis=0", {"4,n", "#2"}, .axis = 1},
    {"TopK", 13, "axis=-2", {"n,6", "#1"}, .axis = MIXES},
    {"TopK", 13, "", {"n,6", "#2"}, .axis = 0, .output = 1}, /* these count along the axis alone */
    {"TopK", 13, "axis=0", {"4,n", "#2"}, .axis = 1, .output = 1},
    {"TopK", 13, "axis=-2", {"n,6", "#1"}, .axis = MIXES, .output = 1},
    {"Softmax", 13, "", {"n,6"}, .axis = 0},
    {"Softmax", 13, "axis=0", {"4,n,6"}, .axis = 1},
    {"Softmax", 13, "axis=0", {"n,6"}, .axis = MIXES},
    {"Softmax", 11, "axis=1", {"n,2,6"}, .axis = 0},
    {"Softmax", 11, "axis=1", {"2,n,6"}, .axis = MIXES},
    {"LogSoftmax", 13, "axis=-1", {"n,2,6"}, .axis = 0},
    {"Hardmax", 13, "axis=-2", {"n,6"}, .axis = MIXES},
    {"LpNormalization", 13, "", {"n,6"}, .axis = 0},
    {"LpNormalization", 13, "axis=0", {"n,6"}, .axis = MIXES},
    {"MeanVarianceNormalization", 13, "axes=2,3", {"n,2,3,4"}, .axis = 0},
    {"MeanVarianceNormalization", 13, "", {"n,2,3,4"}, .axis = MIXES},
    {"LayerNormalization", 17, "", {"n,6", "6", "6"}, .axis = 0},
    {"LayerNormalization", 17, "axis=1", {"n,2,6", "2,6"}, .axis = 0},
    {"LayerNormalization", 17, "axis=0", {"n,6", "6"}, .axis = MIXES},
    /* pictures */
    {"Conv", 13, "", {"n,2,5,5", "3,2,2,2"}, .axis = 0},
    {"Conv", 13, "", {"2,2n,5", "3,6,2"}, .axis = MIXES},
    {"ConvTranspose", 13, "", {"n,2,5,5", "2,3,2,2"}, .axis = 0},
    {"MaxPool", 13, "kernel_shape=2,2", {"n,2,5,5"}, .axis = 0},
    {"MaxPool", 13, "kernel_shape=2,2", {"n,2,5,5"}, .axis = MIXES, .output = 1}, /* count through all */
    {"MaxPool", 13, "kernel_shape=2", {"n,2,6"}, .axis = MIXES, .output = 1},
    {"MaxPool", 13, "kernel_shape=2;storage_order=1", {"n,2,6"}, .axis = MIXES, .output = 1},
    {"MaxPool", 13, "kernel_shape=2", {"b2n,2,6"}, .axis = MIXES, .output = 1},
    {"AveragePool", 13, "kernel_shape=2", {"n,2,6"}, .axis = 0},
    {"AveragePool", 13, "kernel_shape=1", {"2,2,n"}, .axis = MIXES},
    {"GlobalAveragePool", 13, "", {"n,2,5,5"}, .axis = 0},
    {"BatchNormalization", 13, "", {"n,2,5", "2", "2", "2", "2"}, .axis = 0},
    {"BatchNormalization", 13, "", {"4,3n", "9", "9", "9", "9"}, .axis = MIXES},
    {"BatchNormalization", 13, "", {"n", "1", "1", "1", "1"}, .axis = MIXES}, /* as one row of pixels */
    {"BatchNormalization", 13, "", {"4,2,n", "2", "2", "2", "2"}, .axis = MIXES},
    {"BatchNormalization", 13, "", {"4,2,n,3", "2", "2", "2", "2"}, .axis = 2},
    {"InstanceNormalization", 13, "", {"n,2,5", "2", "2"}, .axis = 0},
    {"LRN", 13, "size=3", {"n,4,5"}, .axis = 0},
    {"Resize", 13, "mode=linear", {"n,2,6", "", "1,1,2"}, .axis = MIXES}, /* scales that are not known */
    {"Resize", 13, "", {"n,2,6", "", "", "#n,2,9"}, .axis = 0},
    {"Resize", 13, "", {"n,2,6", "", "", "#n,2,n"}, .axis = MIXES},
    {"Resize", 18, "axes=2", {"n,2,6", "", "", "#9"}, .axis = 0},
    {"Resize", 18, "axes=0", {"n,2,6", "", "", "#4"}, .axis = MIXES},
    {"Resize", 13, "mode=linear", {"6,n", "", "", "#11,n"}, .axis = 1},
    {"Resize", 13, "mode=cubic", {"6,n,3", "", "", "#11,n,5"}, .axis = 1},
    {"Resize", 13, "mode=linear", {"5,6,n", "", "", "#3,11,n"}, .axis = 2},
    {"GridSample", 16, "", {"n,2,4,4", "n,3,3,2"}, .axis = 0},
    {"Col2Im", 18, "", {"n,4,4", "#4,4", "#2,2"}, .axis = MIXES}, /* refused: other windows */
    {"CenterCropPad", 18, "axes=1", {"n,6", "#4"}, .axis = 0},
    {"CenterCropPad", 18, "axes=0", {"n,6", "#2"}, .axis = MIXES},
    /* products */
    {"MatMul", 13, "", {"n,6", "6,4"}, .axis = 0},
    {"MatMul", 13, "", {"5,n,6", "6,4"}, .axis = 1},
    {"MatMul", 13, "", {"n,2,6", "n,6,4"}, .axis = 0},
    {"MatMul", 13, "", {"n,2,6", "1,6,4"}, .axis = 0},
    {"MatMul", 13, "", {"2,n,4,6", "n,6,4"}, .axis = 1},
    {"MatMul", 13, "", {"4,6", "6,n"}, .axis = 1},
    {"MatMul", 13, "", {"4,6", "n,6,2"}, .axis = 0},
    {"MatMul", 13, "", {"n,6", "6,n"}, .axis = MIXES},
    {"MatMul", 13, "", {"4,n", "3,6"}, .axis = MIXES},
    {"MatMul", 13, "", {"n,6", "2,6,4"}, .axis = MIXES},   /* a stack that is not packed: rows change OpenBLAS's bits */
    {"MatMul", 13, "", {"n,2,6", "3,6,4"}, .axis = MIXES}, /* a matrix for each of three */
    {"Gemm", 13, "", {"n,6", "6,4", "4"}, .axis = 0},
    {"Gemm", 13, "", {"n,6", "6,4", "n,4"}, .axis = 0},
    {"Gemm", 13, "", {"n,6", "6,4", "3,4"}, .axis = MIXES},
    {"Gemm", 13, "transA=1", {"6,n", "6,4"}, .axis = 0},
    {"Gemm", 13, "transA=1", {"n,6", "3,4"}, .axis = MIXES},
    {"Gemm", 13, "transB=1", {"4,6", "n,6"}, .axis = 1},
    {"Einsum", 13, "equation=bi,ij->bj", {"n,6", "6,4"}, .axis = 0},
    {"Einsum", 13, "equation=bij,bjk->ikb", {"n,2,6", "n,6,4"}, .axis = 2},
    {"Einsum", 13, "equation=bi->i", {"n,6"}, .axis = MIXES},
    {"Einsum", 13, "equation=bi,ci->bc", {"n,6", "n,6"}, .axis = MIXES},
    {"Einsum", 13, "equation=bb->b", {"n,3"}, .axis = MIXES},
    {"Einsum", 13, "equation=bb->b", {"n,n"}, .axis = MIXES}, /* a diagonal */
    {"Einsum", 13, "equation=bbi->bi", {"n,n,2"}, .axis = MIXES},
    {"Einsum", 13, "equation=bi,bi->bi", {"n,6", "n,6"}, .axis = 0},
    {"Einsum", 13, "equation=bi,bi->bi", {"n,6", "1,6"}, .axis = 0},
    {"Einsum", 13, "equation=bi,bi->bi", {"n,6", "3,6"}, .axis = MIXES},
    {"Einsum", 13, "equation=bi,ib->bi", {"n,6", "6,3"}, .axis = MIXES},
    {"Einsum", 13, "equation=bi,ib->bi", {"n,6", "6,n"}, .axis = 0},
    {"Einsum", 13, "equation=bi,bi->ib", {"3,6", "n,6"}, .axis = MIXES},
    {"Einsum", 13, "equation=...i->...", {"n,2,6"}, .axis = 0},
    {"Det", 13, "", {"n,3,3"}, .axis = 0},
    /* recurrent */
    {"RNN", 14, "hidden_size=2", {"4,n,3", "1,2,3", "1,2,2"}, .axis = 2},
    {"GRU", 14, "hidden_size=2;layout=1", {"n,4,3", "1,6,3", "1,6,2"}, .axis = 0},
    {"GRU", 14, "hidden_size=2;layout=1", {"n,4,3", "1,6,3", "1,6,2"}, .axis = 0, .output = 1},
    {"LSTM", 14, "hidden_size=2", {"4,n,3", "1,8,3", "1,8,2"}, .axis = 1, .output = 1},
    {"LSTM", 14, "hidden_size=2", {"4,n,3", "1,8,3", "1,8,2", "", "", "1,n,2", "1,n,2"}, .axis = 2},
    {"LSTM", 14, "hidden_size=2", {"n,4,3", "1,8,3", "1,8,2"}, .axis = MIXES}, /* its time is the clients */
    {"LSTM", 14, "hidden_size=2", {"4,3,3", "1,8,3", "1,8,2", "", "", "1,n,2"}, .axis = MIXES},
    /* 8 bits */
    {"QuantizeLinear", 13, "", {"n,6", ""}, .axis = MIXES},
    {"DequantizeLinear", 13, "axis=1", {"q:n,6", "6"}, .axis = 0},
    {"DequantizeLinear", 13, "axis=0", {"q:n,6", "3"}, .axis = MIXES},
    {"DequantizeLinear", 13, "axis=0", {"q:n", "n"}, .axis = MIXES},
    {"DequantizeLinear", 21, "axis=1;block_size=2", {"q:n,6", "n,3"}, .axis = 0},
    {"DequantizeLinear", 21, "axis=1;block_size=2", {"q:n,6", "n,3", "q:n,3"}, .axis = 0},
    {"DequantizeLinear", 21, "axis=1;block_size=2", {"q:n,6", "3,3"}, .axis = MIXES},
    {"DequantizeLinear", 21, "axis=1;block_size=2", {"q:n,6", "n,3", "q:3,3"}, .axis = MIXES},
    {"DequantizeLinear", 21, "axis=0;block_size=1", {"q:n,6", "n,6"}, .axis = MIXES},
    {"DynamicQuantizeLinear", 13, "", {"n,6"}, .axis = MIXES},
    /* of 8-bit numbers */
    {"MatMulInteger", 10, "", {"q:n,6", "q:6,4"}, .axis = 0},
    {"MatMulInteger", 10, "", {"q:n,6", "q:6,4", "q:1", "q:1"}, .axis = 0},
    {"MatMulInteger", 10, "", {"q:n,6", "q:6,4", "", "q:4"}, .axis = 0},
    {"MatMulInteger", 10, "", {"q:5,n,6", "q:6,4", "q:1"}, .axis = 1},
    {"MatMulInteger", 10, "", {"q:n,2,6", "q:6,4", "q:2"}, .axis = MIXES}, /* a zero for each row */
    {"MatMulInteger", 10, "", {"q:4,6", "q:6,n"}, .axis = MIXES},
    {"QLinearMatMul", 10, "", {"q:n,6", "1", "q:1", "q:6,4", "1", "q:1", "1", "q:1"}, .axis = 0},
    {"QLinearMatMul", 10, "", {"q:n,6", "1", "q:1", "q:6,4", "4", "q:4", "1", "q:1"}, .axis = 0},
    {"QLinearMatMul", 10, "", {"q:n,2,6", "2", "q:2", "q:6,4", "1", "q:1", "1", "q:1"}, .axis = MIXES},
    {"QLinearMatMul", 10, "", {"q:4,6", "1", "q:1", "q:6,n", "1", "q:1", "1", "q:1"}, .axis = MIXES},
    {"com.microsoft.QGemm", 1, "", {"q:n,6", "1", "q:1", "q:6,4", "1", "q:1"}, .axis = 0},
    {"com.microsoft.QGemm", 1, "transB=1", {"q:n,6", "1", "q:1", "q:4,6", "4", "q:4"}, .axis = 0},
    {"com.microsoft.QGemm", 1, "transA=1", {"q:6,n", "1", "q:1", "q:6,4", "1", "q:1"}, .axis = MIXES},
    {"com.microsoft.MatMulIntegerToFloat", 1, "", {"q:n,6", "q:6,4", "1", "1"}, .axis = 0},
    {"com.microsoft.MatMulIntegerToFloat", 1, "", {"q:n,6", "q:6,4", "1", "4", "q:1", "q:4", "4"}, .axis = 0},
    {"com.microsoft.DynamicQuantizeMatMul", 1, "", {"n,6", "q:6,4", "1"}, .axis = MIXES},
    {"ConvInteger", 10, "", {"q:n,3,5,5", "q:4,3,3,3"}, .axis = 0},
    {"ConvInteger", 10, "", {"q:3,n,5,5", "q:4,1,3,3"}, .axis = MIXES},
    {"QLinearConv", 10, "", {"q:n,3,5,5", "1", "q:1", "q:4,3,3,3", "1", "q:1", "1", "q:1"}, .axis = 0},
    {"QLinearConv", 10, "", {"q:n,3,5,5", "1", "q:1", "q:4,3,3,3", "4", "q:4", "1", "q:1"}, .axis = 0},
    {"com.microsoft.QLinearAdd", 1, "", {"q:n,6", "1", "q:1", "q:n,6", "1", "q:1", "1", "q:1"}, .axis = 0},
    {"com.microsoft.QLinearMul", 1, "", {"q:n,6", "1", "q:1", "q:6", "1", "q:1", "1", "q:1"}, .axis = 0},
    {"com.microsoft.QLinearMul", 1, "", {"q:n,1", "1", "q:1", "q:1,n", "1", "q:1", "1", "q:1"}, .axis = MIXES},
    {"com.microsoft.QLinearSigmoid", 1, "", {"q:n,6", "1", "q:1", "1", "q:1"}, .axis = 0},
    {"com.microsoft.QLinearLeakyRelu", 1, "", {"q:4,n", "1", "q:1", "1", "q:1"}, .axis = 1},
    {"com.microsoft.QLinearSoftmax", 1, "axis=-1;opset=13", {"q:n,6", "1", "q:1", "1", "q:1"}, .axis = 0},
    {"com.microsoft.QLinearSoftmax", 1, "axis=0;opset=13", {"q:n,6", "1", "q:1", "1", "q:1"}, .axis = MIXES},
    {"com.microsoft.QLinearGlobalAveragePool", 1, "", {"q:n,3,4,4", "1", "q:1", "1", "q:1"}, .axis = 0},
    {"com.microsoft.QLinearAveragePool", 1, "kernel_shape=2,2", {"q:n,3,4,4", "1", "q:1", "1", "q:1"}, .axis = 0},
    {"com.microsoft.QLinearReduceMean", 1, "axes=1;keepdims=0", {"q:n,6,2", "1", "q:1", "1", "q:1"}, .axis = 0},
    {"com.microsoft.QLinearReduceMean", 1, "axes=0;keepdims=0", {"q:n,6,2", "1", "q:1", "1", "q:1"}, .axis = MIXES},
    {"com.microsoft.QLinearConcat", 1, "axis=1", {"1", "q:1", "q:n,6", "1", "q:1", "q:n,2", "1", "q:1"}, .axis = 0},
    {"com.microsoft.QLinearConcat", 1, "axis=0", {"1", "q:1", "q:n,6", "1", "q:1", "q:n,6", "1", "q:1"}, .axis = MIXES},
    {"com.microsoft.QLinearWhere", 1, "", {"t:n,6", "q:n,6", "1", "q:1", "q:6", "1", "q:1", "1", "q:1"}, .axis = 0},
    /* counts and orders of the whole */
    {"NonZero", 13, "", {"n,6"}, .axis = MIXES},
    {"Compress", 13, "axis=1", {"n,4", "t:4"}, .axis = MIXES},
    {"Unique", 13, "axis=0", {"n,2"}, .axis = MIXES},
    {"ConstantOfShape", 13, "", {"#n,2"}, .axis = 0},
    {"RandomNormalLike", 13, "", {"n,6"}, .axis = MIXES},
    {"Multinomial", 13, "sample_size=2", {"n,6"}, .axis = MIXES},
    {"EyeLike", 13, "", {"n,6"}, .axis = MIXES},
    {"MaxUnpool", 13, "kernel_shape=2", {"n,1,2", "i:n,1,2"}, .axis = MIXES},
    {"DFT", 17, "axis=1", {"n,8,1"}, .axis = 0},
    {"DFT", 17, "axis=0", {"n,8,1"}, .axis = MIXES},
    {"DFT", 17, "axis=0", {"8,n,1"}, .axis = 1},
    {"DFT", 17, "axis=0;onesided=1", {"6,n,1"}, .axis = 1},
    {"MeanVarianceNormalization", 13, "axes=0", {"7,n"}, .axis = 1},
    {"CumProd", 26, "", {"7,n", "#0"}, .axis = 1},
    {"Conv", 13, "", {"b2n,2,5", "3,2,2"}, .axis = 0, .before = 2},
    {"LSTM", 14, "hidden_size=3", {"4,b2n,3", "1,12,3", "1,12,3"}, .axis = 2, .before = 2},
    {"MatMul", 13, "", {"b3n,7", "7,5"}, .axis = 0, .before = 3},
    {"QuantizeLinear", 13, "axis=0", {"5,n", "5"}, .axis = 1},
    {"Softplus", 13, "", {"5,n"}, .axis = 1},
    {"Pow", 13, "", {"5,n", "5,1"}, .axis = 1},
    {"Det", 13, "", {"2,n,3,3"}, .axis = 1},
    /* rows enough for whole vectors beside others, and for their ends alone */
    {"Resize", 13, "mode=linear", {"6,19n", "", "", "#11,19n"}, .axis = 1},
    {"Softmax", 13, "axis=0", {"9,19n"}, .axis = 1},
    {"LogSoftmax", 13, "axis=0", {"9,19n"}, .axis = 1},
    {"ReduceMean", 13, "axes=0", {"37,19n"}, .axis = 1},
    {"ReduceL2", 13, "axes=0", {"37,7n"}, .axis = 1},
    {"ReduceLogSumExp", 13, "axes=0", {"37,7n"}, .axis = 1},
    {"ReduceMean", 13, "axes=0,2", {"5,n,37"}, .axis = 1},
    {"LpNormalization", 13, "axis=0", {"37,7n"}, .axis = 1},
    {"DFT", 17, "axis=0", {"16,19n,1"}, .axis = 1},
    {"BatchNormalization", 13, "", {"4,2,19n", "2", "2", "2", "2"}, .axis = 2},
    {"HardSwish", 14, "", {"19n"}, .axis = 0},
    {"Exp", 13, "", {"5,19n"}, .axis = 1},
    {"Gelu", 20, "", {"5,19n"}, .axis = 1},
    {"Mish", 18, "", {"5,19n"}, .axis = 1},
    {"MatMul", 13, "", {"19n,37", "37,21"}, .axis = 0},
    {"MatMul", 13, "", {"5,37", "37,19n"}, .axis = 1},
    {"Einsum", 13, "equation=bi,ij->jb", {"19n,37", "37,21"}, .axis = 1},
    {"LSTM", 14, "hidden_size=5", {"4,19n,7", "1,20,7", "1,20,5"}, .axis = 2},
    {"GRU", 14, "hidden_size=5", {"4,19n,7", "1,15,7", "1,15,5"}, .axis = 2},
};

/* --- an input as it is written ------------------------------------------------------------------------------------ */

struct input {
    enum percept_dtype dtype;
    int rank;
    int64_t dims[RANK_MAX];
    int64_t list[RANK_MAX]; /* of known integers, whose dims are their number */
    bool known;
    struct batch_place place;
};

static struct input read_input(const char *text, int64_t n)
{
    struct input input = {.dtype = PERCEPT_FLOAT, .place = {.word = BATCH_SAME}};
    if (text[0] && text[1] == ':') {
        input.dtype = text[0] == 'i' ? PERCEPT_INT64 : text[0] == 't' ? PERCEPT_BOOL : PERCEPT_UINT8;
        text += 2;
    }
    input.known = *text == '#';
    text += input.known;
    while (*text) {
        int64_t before = 1, dim = 1;
        if (*text == 'b')
            before = strtoll(text + 1, (char **)&text, 10);
        if (*text == '-' || (*text >= '0' && *text <= '9'))
            dim = strtoll(text, (char **)&text, 10);
        if (*text == 'n') {
            input.place = input.known ? (struct batch_place){.word = BATCH_SHAPED} : batch_axis_at(input.rank, before);
            dim *= before * n;
            text++;
        }
        *(input.known ? &input.list[input.rank] : &input.dims[input.rank]) = dim;
        input.rank++;
        text += *text == ',';
    }
    if (input.known) {
        input.dims[0] = input.rank;
        input.rank = 1;
        input.dtype = PERCEPT_INT64;
    }
    return input;
}

static int64_t count(const struct input *input)
{
    int64_t n = 1;
    for (int d = 0; d < input->rank; d++)
        n *= input->dims[d];
    ck_assert_int_le(n * 8, ROOM);
    return n;
}

static void fill(const struct input *input, int which, void *data)
{
    uint32_t state = 17u + (uint32_t)which;
    for (int64_t i = 0; i < count(input); i++) {
        state = state * 1664525u + 1013904223u;
        if (input->known)
            ((int64_t *)data)[i] = input->list[i];
        else if (input->dtype == PERCEPT_INT64)
            ((int64_t *)data)[i] = state >> 31;
        else if (input->dtype == PERCEPT_FLOAT)
            ((float *)data)[i] = (float)(state >> 8) / 8388608.0F - 0.9F;
        else
            ((uint8_t *)data)[i] = (uint8_t)(state >> (input->dtype == PERCEPT_BOOL ? 31 : 24));
    }
}

/* Item `at` of what holds ITEMS at the place, to or from what holds it alone. */
static void take_item(const struct tensor *all, struct batch_place place, int64_t at, char *item)
{
    const size_t size = tensor_dtype_bytes(all->dtype);
    const int64_t outer = tensor_span(all, 0, place.axis) * place.before;
    const size_t row = size * (size_t)(tensor_span(all, place.axis, all->rank) / place.before / ITEMS);
    for (int64_t o = 0; o < outer; o++)
        if (row)
            memcpy(item + (size_t)o * row, (const char *)all->data + (size_t)(o * ITEMS + at) * row, row);
}

/* --- a row -------------------------------------------------------------------------------------------------------- */

static void read_attrs(struct harness *h, const char *text)
{
    static char names[4][40], values[4][80]; /* as long as the node lives */
    for (int k = 0; *text; k++) {
        char *name = names[k], *value = values[k];
        int used = 0;
        ck_assert(sscanf(text, "%39[^=]=%79[^;]%n", name, value, &used) == 2);
        text += used + (text[used] == ';');
        int64_t list[RANK_MAX];
        int n = 0;
        const bool equation = strcmp(name, "equation") == 0;
        for (char *at = value; !equation && (*at == '-' || (*at >= '0' && *at <= '9')); at += *at == ',')
            list[n++] = strtoll(at, &at, 10);
        if (n == 0)
            harness_text(h, name, value);
        else if (n > 1 || strcmp(name, "axes") == 0 || strcmp(name, "perm") == 0 || strcmp(name, "kernel_shape") == 0)
            harness_int_list(h, name, n, list);
        else
            harness_int(h, name, list[0]);
    }
}

static int n_inputs(const struct row *row)
{
    int n = MOST;
    while (n > 0 && !row->inputs[n - 1])
        n--;
    return n;
}

/* The node for so many items; data of input i, or of its own making. */
static bool plan_row(struct harness *h, const struct row *row, int64_t n, char *const *data)
{
    static char own[ROOM];
    const char *dot = strrchr(row->op_type, '.');
    harness_begin(h, dot ? dot + 1 : row->op_type, row->opset);
    h->node.domain = bytes_of(row->op_type, dot ? (size_t)(dot - row->op_type) : 0);
    read_attrs(h, row->attrs);
    if (row->output || strcmp(row->op_type, "Split") == 0 || strcmp(row->op_type, "TopK") == 0)
        harness_outputs(h, 2);
    for (int i = 0; i < n_inputs(row); i++) {
        const struct input input = read_input(row->inputs[i], n);
        if (!*row->inputs[i]) {
            harness_left_out(h);
            continue;
        }
        fill(&input, i, own);
        const bool scalar = input.known && strcmp(row->op_type, "OneHot") == 0;
        harness_input(h, input.dtype, scalar ? 0 : input.rank, input.dims, data && data[i] ? data[i] : own);
        if (input.known)
            harness_as_known(h);
    }
    return harness_plan(h);
}

/* What was known when it was planned. */
static void hide_data(struct harness *h, struct step *step, struct tensor *in, struct tensor **at)
{
    *step = h->step;
    for (int i = 0; i < step->n_in; i++) {
        at[i] = NULL;
        if (!step->in[i])
            continue;
        in[i] = h->tensors[h->in[i]];
        in[i].data = h->known[h->in[i]] ? in[i].data : NULL;
        at[i] = &in[i];
    }
    step->in = at;
}

static struct batch_place ask(struct harness *one, struct harness *many, const struct row *row)
{
    struct step steps[2];
    struct tensor tensors[2][HARNESS_MAX], *ins[2][HARNESS_MAX];
    struct batch_place in[MOST], out[4] = {{.word = BATCH_MIXED}, {.word = BATCH_MIXED}};
    hide_data(one, &steps[0], tensors[0], ins[0]);
    hide_data(many, &steps[1], tensors[1], ins[1]);
    for (int i = 0; i < n_inputs(row); i++)
        in[i] = read_input(row->inputs[i], ITEMS).place;
    struct batch_view view = {.one = &steps[0], .many = &steps[1], .n = ITEMS, .in = in, .out = out, .added = -1};
    const struct op_rule *rule = many->step.op->rule;
    if (!rule->batch || rule->flags & OP_RANDOM)
        return (struct batch_place){.word = BATCH_MIXED};
    rule->batch(&view);
    const int o = row->output;
    return out[o].word == BATCH_INDEPENDENT && !batch_axis_fits(out[o], one->step.out[o], many->step.out[o], ITEMS)
               ? (struct batch_place){.word = BATCH_MIXED}
               : out[o];
}

/* Each item alone gives what it gave among the others. */
static void compare_items(struct harness *many, const struct row *row, struct batch_place place)
{
    static char data[MOST][ROOM], item[ROOM];
    ck_assert_msg(harness_run(many), "%s: %s", row->op_type, many->err.text);
    for (int64_t k = 0; k < ITEMS; k++) {
        char *given[MOST] = {NULL};
        struct harness one;
        for (int i = 0; i < n_inputs(row); i++) {
            const struct batch_place from = read_input(row->inputs[i], ITEMS).place;
            if (from.word != BATCH_INDEPENDENT)
                continue;
            given[i] = data[i];
            take_item(&many->tensors[many->in[i]], from, k, data[i]);
        }
        ck_assert(plan_row(&one, row, 1, given));
        ck_assert(harness_run(&one));
        const struct tensor *alone = harness_out(&one, row->output);
        take_item(harness_out(many, row->output), place, k, item);
        ck_assert_msg(memcmp(item, alone->data, (size_t)tensor_elements(alone) * tensor_dtype_bytes(alone->dtype)) == 0,
                      "%s %s %s: item %d", row->op_type, row->attrs, row->inputs[0], (int)k);
        harness_end(&one);
    }
}

START_TEST(a_verb_says_where_the_items_lie)
{
    const struct row *row = &rows[_i];
    struct harness one, many;
    const bool plans = plan_row(&one, row, 1, NULL) & plan_row(&many, row, ITEMS, NULL);
    const struct batch_place place = plans ? ask(&one, &many, row) : (struct batch_place){.word = BATCH_MIXED};
    const int axis = place.word == BATCH_INDEPENDENT ? place.axis : MIXES;
    ck_assert_msg(axis == row->axis, "%s %s %s: axis %d", row->op_type, row->attrs, row->inputs[0], axis);
    if (axis != MIXES) {
        ck_assert_int_eq(place.before, row->before ? row->before : 1);
        compare_items(&many, row, place);
    }
    harness_end(&one);
    harness_end(&many);
}
END_TEST

START_TEST(what_is_known_is_compared)
{
    int64_t a[] = {1, 3}, b[] = {1, 3, 1, 3, 1, 3}, c[] = {3, 3};
    const struct tensor one = {.dtype = PERCEPT_INT64, .rank = 1, .dims = {2}, .data = a};
    struct tensor many = {.dtype = PERCEPT_INT64, .rank = 1, .dims = {6}, .data = b};
    ck_assert_int_eq(batch_axis_known(&one, &many, 3).word, BATCH_INDEPENDENT);
    ck_assert_int_eq(batch_axis_known(&one, &many, 2).word, BATCH_SHAPED);
    b[5] = 4;
    ck_assert_int_eq(batch_axis_known(&one, &many, 3).word, BATCH_SHAPED);
    many = (struct tensor){.dtype = PERCEPT_INT64, .rank = 1, .dims = {2}, .data = c};
    ck_assert_int_eq(batch_axis_known(&one, &many, 3).word, BATCH_SHAPED);
    c[0] = 1;
    ck_assert_int_eq(batch_axis_known(&one, &many, 3).word, BATCH_SAME);
}
END_TEST

Suite *op_batch_axis_suite(void);
Suite *op_batch_axis_suite(void)
{
    Suite *suite = suite_create("op/batch_axis");
    TCase *tests = tcase_create("batch_axis");
    tcase_add_loop_test(tests, a_verb_says_where_the_items_lie, 0, (int)(sizeof rows / sizeof *rows));
    tcase_add_test(tests, what_is_known_is_compared);
    suite_add_tcase(suite, tests);
    return suite;
}
