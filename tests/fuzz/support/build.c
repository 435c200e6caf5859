/*
 * build.c - a recipe says what an operator's inputs look like and which attributes it has.
 *
 * Inputs, a letter each, '?' after one that may be left out:
 *     X the data   Y the same shape or one that broadcasts to it   B bool   s scalar   S the same in int64   p two
 *     C [channels]   W weights of a convolution   V of a transposed one   M a matrix for the last axis
 *     I a shape (int64)   A axes   P pads, two an axis   Z pads of the spatial axes   G indices
 *     F scales, a float an axis
 *     z a zero point or scale, scalar or [channels]   u a scale, v a zero point of all
 *     Q quantized data (uint8 or int8)
 *     H the weights of a recurrent layer, in the order W, R, B, lengths, h, c, peephole
 *     j J int32, one an item, two   L l int64, one an item, one for each of the second axis
 *     r boxes [n,4]   R the same with their item, [n,5]   x boxes of each item   o their scores   g points of a grid
 *     a two rows of three for each item   e a sequence   E an optional
 *     k keys or values for queries X   m their mask   c angles for X   i their positions
 *     n weights of 4 or 8 bits   N their scales
 * Attributes are found by name in `attributes`, with what they may be, unless that follows behind a colon.
 */
#include "build.h"

#include <stdio.h>

#include "op/op.h"

#define MOST_DIM 7
#define MOST_BYTES 65536

struct recipe {
    const char *op_type, *inputs, *attributes;
    int outputs;
};

static const struct recipe recipes[] = {
    {"ArgMax", "X", "axis keepdims select_last_index", 1},
    {"ArgMin", "X", "axis keepdims select_last_index", 1},
    {"AffineGrid", "aI", "align_corners", 1},
    {"Attention", "Xkkm?k?k?L?",
     "is_causal kv_num_heads q_num_heads qk_matmul_output_mode scale softcap left_window_size", 4},
    {"AveragePool", "X", "auto_pad ceil_mode count_include_pad dilations kernel_shape pads strides", 1},
    {"BatchNormalization", "XCCCC", "epsilon momentum spatial training_mode", 5},
    {"ConcatFromSequence", "e", "axis new_axis", 1},
    {"SequenceAt", "eS", "", 1},
    {"SequenceConstruct", "XYY", "", 1},
    {"SequenceEmpty", "", "dtype", 1},
    {"SequenceErase", "eS?", "", 1},
    {"SequenceInsert", "eYS?", "", 1},
    {"SequenceLength", "e", "", 1},
    {"SequenceMap", "eY", "map", 1},
    {"SplitToSequence", "XS?", "axis keepdims", 1},
    {"OptionalGetElement", "E", "", 1},
    {"OptionalHasElement", "E", "", 1},
    {"RotaryEmbedding", "Xcci?", "interleaved num_heads rotary_embedding_dim", 1},
    {"MatMulNBits", "XnNs?", "K:K N:g block_size:B bits:b", 1},
    {"BitCast", "X", "to", 1},
    {"BitShift", "XY", "direction", 1},
    {"CenterCropPad", "XI", "axes", 1},
    {"Cast", "X", "to saturate", 1},
    {"CastLike", "XY", "", 1},
    {"Clip", "Xs?s?", "min max", 1},
    {"Col2Im", "XII", "dilations pads strides", 1},
    {"Compress", "XB", "axis", 1},
    {"Concat", "XYY", "axis", 1},
    {"Constant", "", "value value_float value_int value_ints value_floats", 1},
    {"ConstantOfShape", "I", "value", 1},
    {"Conv", "XWC?", "auto_pad dilations group kernel_shape pads strides", 1},
    {"ConvInteger", "QWz?z?", "auto_pad dilations group kernel_shape pads strides", 1},
    {"ConvTranspose", "XVC?", "auto_pad dilations group kernel_shape output_padding output_shape pads strides", 1},
    {"ConvTransposeWithDynamicPads", "XVZ?C?", "auto_pad dilations group kernel_shape output_padding strides", 1},
    {"CropAndResize", "XrjJ", "extrapolation_value mode", 1},
    {"Crop", "X", "border:c scale:e", 1},
    {"CumProd", "XS", "exclusive reverse", 1},
    {"CumSum", "XS", "exclusive reverse", 1},
    {"DeformConv", "XWYC?Y?", "dilations group kernel_shape offset_group pads strides", 1},
    {"DepthToSpace", "X", "blocksize mode", 1},
    {"DequantizeLinear", "Quv?", "axis block_size", 1},
    {"Det", "X", "", 1},
    {"Dropout", "Xs?B?", "ratio seed", 2},
    {"DynamicQuantizeLinear", "X", "", 3},
    {"Einsum", "XY", "equation", 1},
    {"Expand", "XI", "", 1},
    {"EyeLike", "X", "dtype k", 1},
    {"Flatten", "X", "axis", 1},
    {"GRU", "XH",
     "activation_alpha activation_beta activations clip direction hidden_size layout "
     "linear_before_reset",
     2},
    {"Gather", "XG", "axis", 1},
    {"GatherElements", "XG", "axis", 1},
    {"GatherND", "XG", "batch_dims", 1},
    {"Gemm", "XMC?", "alpha beta transA transB", 1},
    {"GridSample", "Xg", "align_corners mode padding_mode", 1},
    {"GroupNormalization", "XCC", "epsilon num_groups", 1},
    {"HardSigmoid", "X", "alpha beta", 1},
    {"Hardmax", "X", "axis", 1},
    {"If", "B", "branches", 1},
    {"ImageScaler", "X", "bias:F scale", 1},
    {"InstanceNormalization", "XCC", "epsilon", 1},
    {"IsInf", "X", "detect_negative detect_positive", 1},
    {"LRN", "X", "alpha beta bias size", 1},
    {"LSTM", "XH", "activation_alpha activation_beta activations clip direction hidden_size input_forget layout", 3},
    {"LayerNormalization", "XYY?", "axis epsilon", 1},
    {"LogSoftmax", "X", "axis", 1},
    {"Loop", "SB?X", "loop", 2},
    {"LpNormalization", "X", "axis p", 1},
    {"LpPool", "X", "auto_pad ceil_mode dilations kernel_shape p pads strides", 1},
    {"MatMul", "XM", "", 1},
    {"MatMulInteger", "QMz?z?", "", 1},
    {"MaxPool", "X", "auto_pad ceil_mode dilations kernel_shape pads storage_order strides", 2},
    {"MaxRoiPool", "XR", "pooled_shape spatial_scale", 1},
    {"MaxUnpool", "XGI?", "kernel_shape pads strides", 1},
    {"MeanVarianceNormalization", "X", "axes", 1},
    {"Mod", "XY", "fmod", 1},
    {"Multinomial", "X", "dtype sample_size seed", 1},
    {"NonMaxSuppression", "xoS?s?s?", "center_point_box", 1},
    {"OneHot", "XSp", "axis", 1},
    {"PRelu", "XY", "", 1},
    {"Pad", "XPs?A?", "mode pads value", 1},
    {"QLinearConv", "QuvWuvuvC?", "auto_pad dilations group kernel_shape pads strides channels_last", 1},
    {"QLinearMatMul", "QuvMuvuv", "", 1},
    {"QuantizeLinear", "Xuv?", "axis saturate", 1},
    {"RMSNormalization", "XY", "axis epsilon", 1},
    {"RNN", "XH", "activation_alpha activation_beta activations clip direction hidden_size layout", 2},
    {"RandomNormal", "", "dtype mean scale seed shape", 1},
    {"RandomUniform", "", "dtype high low seed shape", 1},
    {"RandomNormalLike", "X", "dtype mean scale seed", 1},
    {"RandomUniformLike", "X", "dtype high low seed", 1},
    {"Range", "sss", "", 1},
    {"Reshape", "XI", "allowzero shape", 1},
    {"Resize", "XF?F?I?",
     "antialias axes coordinate_transformation_mode cubic_coeff_a exclude_outside "
     "extrapolation_value keep_aspect_ratio_policy mode nearest_mode",
     1},
    {"ReverseSequence", "Xl", "batch_axis time_axis", 1},
    {"RoiAlign", "XrL", "coordinate_transformation_mode mode output_height output_width sampling_ratio spatial_scale",
     1},
    {"Scan", "XY", "scan", 1},
    {"Scatter", "XGY", "axis", 1},
    {"ScatterElements", "XGY", "axis reduction", 1},
    {"ScatterND", "XGY", "reduction", 1},
    {"Shape", "X", "start end", 1},
    {"SimplifiedLayerNormalization", "XY", "axis epsilon", 2},
    {"Slice", "XAAA?A?", "axes ends starts", 1},
    {"Softmax", "X", "axis", 1},
    {"SpaceToDepth", "X", "blocksize", 1},
    {"Split", "XI?", "axis num_outputs split", 2},
    {"Squeeze", "XA?", "axes", 1},
    {"Tile", "XI", "", 1},
    {"TopK", "XS", "axis k largest sorted", 2},
    {"Transpose", "X", "perm", 1},
    {"Trilu", "XS?", "upper", 1},
    {"Unique", "X", "axis sorted", 4},
    {"Unsqueeze", "XA", "axes", 1},
    {"Upsample", "XF", "mode scales", 1},
    {"Where", "BXY", "", 1},
    {"DFT", "XS?S?", "axis inverse onesided", 1},
    {"STFT", "XSC?S?", "onesided", 1},
    {"MelWeightMatrix", "SSSss", "output_datatype", 1},
    {"HannWindow", "S", "output_datatype periodic", 1},
    {"HammingWindow", "S", "output_datatype periodic", 1},
    {"BlackmanWindow", "S", "output_datatype periodic", 1},
    {"QLinearAdd", "QuvYuvuv", "", 1},
    {"QLinearMul", "QuvYuvuv", "", 1},
    {"QLinearConcat", "uvQuvYuv", "axis", 1},
    {"QLinearSigmoid", "Quvuv", "", 1},
    {"QLinearLeakyRelu", "Quvuv", "alpha", 1},
    {"QLinearSoftmax", "Quvuv", "axis opset", 1},
    {"QLinearReduceMean", "Quvuv", "axes keepdims", 1},
    {"QLinearGlobalAveragePool", "Quvuv", "channels_last", 1},
    {"QLinearAveragePool", "Quvuv", "auto_pad ceil_mode count_include_pad kernel_shape pads strides channels_last", 1},
    {"QGemm", "QuvMuvC?uv", "alpha transA transB", 1},
    {"MatMulIntegerToFloat", "QMuuv?v?", "", 1},
    {"DynamicQuantizeMatMul", "XMuv?", "", 1},
    {"BiasGelu", "XC", "", 1},
    {"FusedGemm", "XMC?", "activation alpha beta transA transB", 1},
    {"FusedMatMul", "XM", "alpha transA transB transBatchA transBatchB", 1},
    {"TransposeMatMul", "XM", "alpha transA transB", 1},
    {"NhwcMaxPool", "Q", "auto_pad ceil_mode dilations kernel_shape pads strides", 1},
    {"QLinearWhere", "BQuvYuvuv", "", 1},
    {"ArrayFeatureExtractor", "XG", "", 1},
    {"Binarizer", "X", "threshold:f", 1},
    {"CategoryMapper", "X", "mapping", 1},
    {"FeatureVectorizer", "XY", "inputdimensions:e", 1},
    {"Imputer", "X", "imputed_value_floats:m imputed_value_int64s:n replaced_value_float:f replaced_value_int64:i", 1},
    {"LabelEncoder", "X", "labels default_int64:i", 1},
    {"LinearClassifier", "X", "linear post_transform:NONE|SOFTMAX|LOGISTIC|SOFTMAX_ZERO|PROBIT", 2},
    {"LinearRegressor", "X", "linear post_transform:NONE|SOFTMAX|LOGISTIC|SOFTMAX_ZERO|PROBIT", 1},
    {"Normalizer", "X", "norm:MAX|L1|L2", 1},
    {"OneHotEncoder", "X", "categories zeros:b", 1},
    {"Scaler", "X", "offset:m scale:m", 1},
    {"StringNormalizer", "X",
     "case_change_action:NONE|LOWER|UPPER is_case_sensitive:b stopwords:=word|Word|other locale:C|en_US|tr_TR", 1},
    {"ZipMap", "X", "classlabels_int64s:n", 1},
    {"FusedConv", "XWC?Y?", "activation auto_pad dilations group kernel_shape pads strides", 1},
};

/* What an attribute may be: m floats and n ints, one for each column or one; c four ints, e two, i int, p positive,
 * b 0 or 1, f float, L spatial list, Z pads, A axes, R perm, D dims, F floats, t tensor, d type of elements, g group,
 * k kernel shape, h hidden size, K the last axis' length, B a length of blocks, else words. */
static const struct {
    const char *name, *kind;
} attributes[] = {
    {"is_causal", "b"},
    {"interleaved", "b"},
    {"new_axis", "b"},
    {"kv_num_heads", "p"},
    {"q_num_heads", "p"},
    {"num_heads", "p"},
    {"qk_matmul_output_mode", "p"},
    {"rotary_embedding_dim", "p"},
    {"softcap", "f"},
    {"left_window_size", "i"},
    {"activation", "Relu|Tanh|Sigmoid|LeakyRelu|Clip|HardSigmoid"},
    {"channels_last", "b"},
    {"transBatchA", "b"},
    {"transBatchB", "b"},
    {"inverse", "b"},
    {"onesided", "b"},
    {"opset", "i"},
    {"output_datatype", "d"},
    {"periodic", "b"},
    {"activation_alpha", "F"},
    {"activation_beta", "F"},
    {"activations", "=Relu|Tanh|Sigmoid|Affine|LeakyRelu|ThresholdedRelu|ScaledTanh|HardSigmoid|"
                    "Elu|Softsign|Softplus|Nope"},
    {"align_corners", "b"},
    {"allowzero", "b"},
    {"alpha", "f"},
    {"antialias", "b"},
    {"approximate", "none|tanh"},
    {"auto_pad", "NOTSET|SAME_UPPER|SAME_LOWER|VALID"},
    {"axes", "A"},
    {"axis", "i"},
    {"batch_axis", "b"},
    {"batch_dims", "i"},
    {"beta", "f"},
    {"bias", "f"},
    {"block_size", "i"},
    {"blocksize", "p"},
    {"broadcast", "b"},
    {"ceil_mode", "b"},
    {"center_point_box", "b"},
    {"clip", "f"},
    {"coordinate_transformation_mode",
     "half_pixel|align_corners|asymmetric|pytorch_half_pixel|tf_crop_and_resize|half_pixel_"
     "symmetric|output_half_pixel|tf_half_pixel_for_nn"},
    {"count_include_pad", "b"},
    {"cubic_coeff_a", "f"},
    {"detect_negative", "b"},
    {"detect_positive", "b"},
    {"dilations", "L"},
    {"direction", "forward|reverse|bidirectional|LEFT|RIGHT"},
    {"dtype", "d"},
    {"end", "i"},
    {"ends", "A"},
    {"epsilon", "f"},
    {"equation", "ij,jk->ik|ij,ij->|bij,bjk->bik|...i,...i->...|ii->i|ij->ji|i,j->ij|abc,cd|ij,ij,"
                 "ij->|->|a...a,b->..."},
    {"exclude_outside", "b"},
    {"exclusive", "b"},
    {"extrapolation_value", "f"},
    {"fmod", "b"},
    {"group", "g"},
    {"hidden_size", "h"},
    {"high", "f"},
    {"input_forget", "b"},
    {"k", "i"},
    {"keep_aspect_ratio_policy", "stretch|not_larger|not_smaller"},
    {"keepdims", "b"},
    {"kernel_shape", "k"},
    {"largest", "b"},
    {"layout", "b"},
    {"linear_before_reset", "b"},
    {"low", "f"},
    {"max", "f"},
    {"mean", "f"},
    {"min", "f"},
    {"mode", "constant|reflect|edge|wrap|nearest|linear|cubic|bilinear|bicubic|DCR|CRD|avg|max"},
    {"momentum", "f"},
    {"nearest_mode", "round_prefer_floor|round_prefer_ceil|floor|ceil"},
    {"noop_with_empty_axes", "b"},
    {"num_groups", "p"},
    {"num_outputs", "p"},
    {"num_scan_inputs", "p"},
    {"offset_group", "g"},
    {"output_height", "p"},
    {"output_padding", "L"},
    {"output_shape", "L"},
    {"output_width", "p"},
    {"p", "p"},
    {"padding_mode", "zeros|border|reflection"},
    {"pads", "Z"},
    {"perm", "R"},
    {"pooled_shape", "L"},
    {"ratio", "f"},
    {"reduction", "none|add|mul|max|min"},
    {"reverse", "b"},
    {"sample_size", "p"},
    {"sampling_ratio", "i"},
    {"saturate", "b"},
    {"scale", "f"},
    {"scales", "F"},
    {"seed", "f"},
    {"select_last_index", "b"},
    {"shape", "D"},
    {"size", "p"},
    {"sorted", "b"},
    {"spatial", "b"},
    {"spatial_scale", "f"},
    {"split", "D"},
    {"start", "i"},
    {"starts", "A"},
    {"storage_order", "b"},
    {"strides", "L"},
    {"time_axis", "b"},
    {"to", "d"},
    {"training_mode", "b"},
    {"transA", "b"},
    {"transB", "b"},
    {"upper", "b"},
    {"value", "t"},
    {"value_float", "f"},
    {"value_floats", "F"},
    {"value_int", "i"},
    {"value_ints", "D"},
};

#define N_RECIPES (sizeof recipes / sizeof *recipes)
#define N_ATTRIBUTES (sizeof attributes / sizeof *attributes)

struct build {
    struct draw *draw;
    struct proto graph;
    const char *prefix;
    int n_names;
    enum percept_dtype dtype;
    int rank; /* of the data */
    int64_t dims[RANK_MAX];
    int64_t kernel[3], group, filters, hidden, keys;
    bool both_ways, listed; /* listed: what came last is a sequence */
    char given[64];         /* the graph's first input, a tensor */
};

const char *build_op_type(struct draw *draw)
{
    int n;
    const struct op *rows = op_table(&n);
    return rows[draw_below(draw, (uint64_t)n)].name;
}

static enum percept_dtype any_dtype(struct draw *draw)
{
    static const enum percept_dtype dtypes[] = {PERCEPT_FLOAT,  PERCEPT_INT64,   PERCEPT_INT32,  PERCEPT_BOOL,
                                                PERCEPT_UINT8,  PERCEPT_INT8,    PERCEPT_DOUBLE, PERCEPT_UINT16,
                                                PERCEPT_INT16,  PERCEPT_FLOAT16, PERCEPT_UINT32, PERCEPT_UINT64,
                                                PERCEPT_STRING, PERCEPT_BFLOAT16};
    return dtypes[draw_below(draw, sizeof dtypes / sizeof *dtypes)];
}

static int64_t any_dim(struct draw *draw)
{
    uint8_t byte = draw_byte(draw);
    return byte < 8 ? 0 : byte < 16 ? 33 : byte < 24 ? 17 : 1 + byte % MOST_DIM;
}

static int spatial_rank(const struct build *b)
{
    return b->rank > 2 && b->rank < 6 ? b->rank - 2 : 1;
}

/* --- attributes --------------------------------------------------------------------------------------------------- */

/* Elements of the last axis, or one. */
static int n_columns(struct build *b)
{
    return b->rank && b->dims[b->rank - 1] && draw_chance(b->draw, 80) ? (int)b->dims[b->rank - 1] : 1;
}

static struct proto ints_attribute(struct build *b, const char *name, char kind)
{
    struct draw *draw = b->draw;
    struct proto attr = proto_attr(name, ATTR_INTS);
    int n = kind == 'L' || kind == 'k' ? spatial_rank(b) : kind == 'Z' ? 2 * spatial_rank(b) : b->rank;
    if (kind == 'A')
        n = 1 + (int)draw_below(draw, (uint64_t)b->rank + 1);
    if (kind == 'c' || kind == 'e')
        n = kind == 'c' ? 4 : 2;
    if (kind == 'n')
        n = n_columns(b);
    if (draw_chance(draw, 6))
        n = (int)draw_below(draw, 10);
    int turn = (int)draw_below(draw, 8);
    for (int i = 0; i < n; i++) {
        int64_t value = draw_number(draw, 0, 2);
        if (kind == 'L')
            value = draw_number(draw, 1, 3);
        else if (kind == 'k')
            value = draw_chance(draw, 97) && i < 3 ? b->kernel[i] : draw_edge(draw);
        else if (kind == 'A')
            value = draw_number(draw, -b->rank, b->rank);
        else if (kind == 'R')
            value = draw_chance(draw, 96) ? (i + turn) % n : draw_number(draw, 0, n);
        else if (kind == 'D')
            value = draw_number(draw, -1, MOST_DIM);
        proto_int(&attr, ATTRIBUTE_INTS_ONE, value);
    }
    return attr;
}

static struct proto raw_tensor(struct build *b, const char *name, enum percept_dtype dtype, int rank,
                               const int64_t *dims);

static struct proto word_attribute(struct draw *draw, const char *name, const char *words)
{
    char word[64];
    bool list = *words == '=';
    struct proto attr = proto_attr(name, list ? ATTR_STRINGS : ATTR_STRING);
    int n = list ? (int)draw_below(draw, 7) : 1;
    for (int i = 0; i < n; i++) {
        draw_word(draw, words + list, word, sizeof word);
        proto_text(&attr, list ? ATTRIBUTE_STRINGS : ATTRIBUTE_S, word);
    }
    return attr;
}

static int64_t int_value(struct build *b, char kind)
{
    struct draw *draw = b->draw;
    switch (kind) {
    case 'b':
        return draw_number(draw, 0, 1);
    case 'p':
        return draw_number(draw, 1, 4);
    case 'd':
        return draw_chance(draw, 95) ? (int64_t)any_dtype(draw) : draw_edge(draw);
    case 'g':
        return draw_chance(draw, 97) ? b->group : draw_edge(draw);
    case 'h':
        return draw_chance(draw, 97) ? b->hidden : draw_edge(draw);
    case 'K':
        return draw_chance(draw, 97) && b->rank ? b->dims[b->rank - 1] : draw_edge(draw);
    case 'B':
        return draw_chance(draw, 97) ? 16 : draw_edge(draw);
    default:
        return draw_number(draw, -b->rank - 1, b->rank);
    }
}

static struct proto one_attribute(struct build *b, const char *name, const char *kind)
{
    struct proto attr;
    if (kind[1])
        return word_attribute(b->draw, name, kind);
    if (strchr("LZARDkcen", *kind))
        return ints_attribute(b, name, *kind);
    if (*kind == 'f') {
        attr = proto_attr(name, ATTR_FLOAT);
        proto_fixed32(&attr, ATTRIBUTE_F, draw_float(b->draw));
    } else if (*kind == 'F') {
        attr = proto_attr(name, ATTR_FLOATS);
        for (uint64_t n = draw_below(b->draw, 8); n; n--)
            proto_fixed32(&attr, ATTRIBUTE_FLOATS_ONE, draw_float(b->draw));
    } else if (*kind == 'm') {
        attr = proto_attr(name, ATTR_FLOATS);
        for (int n = n_columns(b); n; n--)
            proto_fixed32(&attr, ATTRIBUTE_FLOATS_ONE, draw_float(b->draw));
    } else if (*kind == 't') {
        attr = proto_attr(name, ATTR_TENSOR);
        int64_t n = (int64_t)draw_below(b->draw, 3);
        proto_add(&attr, ATTRIBUTE_T, raw_tensor(b, "", any_dtype(b->draw), n != 1, &n));
    } else {
        attr = proto_attr(name, ATTR_INT);
        proto_int(&attr, ATTRIBUTE_I, int_value(b, *kind));
    }
    return attr;
}

static const char *kind_of(const char *name, size_t n)
{
    for (size_t i = 0; i < N_ATTRIBUTES; i++)
        if (strlen(attributes[i].name) == n && memcmp(attributes[i].name, name, n) == 0)
            return attributes[i].kind;
    return NULL;
}

static void start(struct build *b, struct draw *draw)
{
    *b = (struct build){.draw = draw, .prefix = ""};
    b->dtype = draw_chance(draw, 75) ? PERCEPT_FLOAT : any_dtype(draw);
    uint8_t byte = draw_byte(draw);
    b->rank = byte < 8 ? 0 : byte < 40 ? 1 : byte < 80 ? 2 : byte < 130 ? 3 : byte < 235 ? 4 : byte < 248 ? 5 : 6;
    for (int i = 0; i < b->rank; i++)
        b->dims[i] = any_dim(draw);
    for (int i = 0; i < 3; i++)
        b->kernel[i] = 1 + (int64_t)draw_below(draw, 4);
    int64_t channels = b->rank > 1 ? b->dims[1] : 1;
    b->group = draw_chance(draw, 70) ? 1 : draw_chance(draw, 60) ? channels : 2;
    b->filters = (b->group > 0 ? b->group : 1) * (1 + (int64_t)draw_below(draw, 5));
    if (draw_chance(draw, 10))
        b->filters = 16 + (int64_t)draw_below(draw, 24);
    b->hidden = 1 + (int64_t)draw_below(draw, 9);
    b->keys = any_dim(draw);
}

struct proto build_attribute(struct draw *draw)
{
    struct build b;
    start(&b, draw);
    size_t i = draw_below(draw, N_ATTRIBUTES);
    return one_attribute(&b, attributes[i].name, attributes[i].kind);
}

/* --- inputs ------------------------------------------------------------------------------------------------------- */

static void new_name(struct build *b, char *name, size_t size)
{
    snprintf(name, size, "%sv%d", b->prefix, b->n_names++);
}

static uint64_t element_of(struct draw *draw, enum percept_dtype dtype, size_t *size)
{
    uint64_t bits = draw_byte(draw);
    *size = tensor_dtype_bytes(dtype);
    if (dtype == PERCEPT_FLOAT) {
        float value = draw_float(draw);
        memcpy(&bits, &value, sizeof value);
    } else if (dtype == PERCEPT_DOUBLE) {
        double value = (double)draw_float(draw);
        memcpy(&bits, &value, sizeof value);
    } else if (dtype == PERCEPT_BOOL) {
        bits &= 1;
    } else if (dtype == PERCEPT_FLOAT16 || dtype == PERCEPT_BFLOAT16) {
        bits |= (uint64_t)draw_byte(draw) << 8;
    } else if (draw_chance(draw, 3)) {
        bits = (uint64_t)draw_edge(draw);
    } else {
        bits %= 5;
    }
    return bits;
}

static size_t count_of(int rank, const int64_t *dims)
{
    size_t n = 1;
    for (int i = 0; i < rank; i++)
        if (dims[i] < 0 || __builtin_mul_overflow(n, (size_t)dims[i], &n) || n > MOST_BYTES)
            return 0;
    return n;
}

/* The first elements are drawn; the others repeat them, so that large tensors do not eat the bytes.
 */
static struct proto raw_tensor(struct build *b, const char *name, enum percept_dtype dtype, int rank,
                               const int64_t *dims)
{
    struct proto tensor = proto_tensor_head(name, (int64_t)dtype, rank, dims), raw = {0};
    size_t n = count_of(rank, dims), size;
    uint64_t drawn[13];
    for (size_t i = 0; i < n; i++) {
        if (dtype == PERCEPT_STRING) {
            proto_text(&tensor, TENSOR_STRING_DATA, i % 3 ? "word" : "");
            continue;
        }
        if (i < 13)
            drawn[i] = element_of(b->draw, dtype, &size);
        proto_raw(&raw, &drawn[i % 13], size);
    }
    if (n && dtype != PERCEPT_STRING)
        proto_bytes(&tensor, TENSOR_RAW_DATA, raw.at, raw.n);
    proto_free(&raw);
    return tensor;
}

/* A value that the graph is given, or a constant; free dims now and then. */
static void add_given(struct build *b, char *name, size_t size, enum percept_dtype dtype, int rank, const int64_t *dims,
                      unsigned constant)
{
    new_name(b, name, size);
    if (draw_chance(b->draw, constant)) {
        proto_add(&b->graph, GRAPH_INITIALIZER, raw_tensor(b, name, dtype, rank, dims));
        return;
    }
    int64_t shown[RANK_MAX];
    for (int i = 0; i < rank; i++)
        shown[i] = draw_chance(b->draw, 12) ? -1 : dims[i];
    proto_add(&b->graph, GRAPH_INPUT, proto_value(name, (int64_t)dtype, draw_chance(b->draw, 4) ? -1 : rank, shown));
}

static void add_list(struct build *b, char kind, char *name, size_t size)
{
    struct draw *draw = b->draw;
    int64_t values[2 * RANK_MAX];
    int n = b->rank;
    if (kind == 'P')
        n = 2 * b->rank;
    else if (kind == 'Z')
        n = 2 * spatial_rank(b);
    else if (kind == 'A')
        n = (int)draw_below(draw, (uint64_t)b->rank + 1);
    if (draw_chance(draw, 6))
        n = (int)draw_below(draw, 2 * RANK_MAX);
    for (int i = 0; i < n; i++) {
        values[i] = kind == 'I' ? draw_number(draw, -1, MOST_DIM) : draw_number(draw, -b->rank, b->rank);
        if (kind == 'P' || kind == 'Z')
            values[i] = draw_number(draw, -1, 2);
        if (kind == 'I' && draw_chance(draw, 40) && i < b->rank)
            values[i] = b->dims[i];
    }
    new_name(b, name, size);
    int64_t dims = n;
    if (draw_chance(draw, 80))
        proto_add(&b->graph, GRAPH_INITIALIZER,
                  proto_tensor(name, PERCEPT_INT64, 1, &dims, values, (size_t)n * sizeof *values));
    else
        proto_add(&b->graph, GRAPH_INPUT, proto_value(name, PERCEPT_INT64, 1, &dims));
}

static void add_weights(struct build *b, char kind, char *name, size_t size)
{
    const bool transposed = kind == 'V';
    int64_t dims[RANK_MAX], channels = b->rank > 1 ? b->dims[1] : 1, group = b->group > 0 ? b->group : 1;
    int n = spatial_rank(b);
    if ((b->dtype == PERCEPT_UINT8 || b->dtype == PERCEPT_INT8) && draw_chance(b->draw, 25))
        channels = b->rank > 0 ? b->dims[b->rank - 1] : 1; /* for channels_last */
    dims[0] = transposed ? channels : b->filters;
    dims[1] = transposed ? b->filters / group : channels / group;
    for (int i = 0; i < n; i++)
        dims[2 + i] = b->kernel[i];
    if (draw_chance(b->draw, 4))
        dims[draw_below(b->draw, (uint64_t)n + 2)] = any_dim(b->draw);
    add_given(b, name, size, b->dtype, n + 2, dims, 90);
}

static void broadcast_dims(struct build *b, int *rank, int64_t *dims)
{
    struct draw *draw = b->draw;
    int drop = draw_chance(draw, 30) ? (int)draw_below(draw, (uint64_t)b->rank + 1) : 0;
    *rank = b->rank - drop;
    for (int i = 0; i < *rank; i++)
        dims[i] = draw_chance(draw, 20) ? 1 : draw_chance(draw, 4) ? any_dim(draw) : b->dims[drop + i];
    if (draw_chance(draw, 4))
        *rank = (int)draw_below(draw, 4);
}

/* Shapes that few operators have: n boxes, points of a grid, lengths. */
static void add_odd(struct build *b, char kind, char *name, size_t size)
{
    int64_t n = (int64_t)draw_below(b->draw, 6), items = b->rank ? b->dims[0] : 1;
    int64_t height = any_dim(b->draw), width = any_dim(b->draw);
    int64_t dims[4] = {items, n, 4};
    int rank = 3;
    switch (kind) {
    case 'r':
    case 'R':
        rank = 2;
        dims[0] = n;
        dims[1] = kind == 'R' ? 5 : 4;
        break;
    case 'x':
        break;
    case 'o':
        dims[1] = 2;
        dims[2] = n;
        break;
    case 'g':
        rank = 4;
        dims[1] = height;
        dims[2] = width;
        dims[3] = 2;
        break;
    case 'a':
        dims[1] = 2;
        dims[2] = 3;
        break;
    default: /* 'L' and 'j' along the first axis, 'l' the second; 'J' two */
        dims[0] = kind == 'l' && b->rank > 1 ? b->dims[1] : kind == 'J' ? 2 : items;
        add_given(b, name, size, strchr("jJ", kind) ? PERCEPT_INT32 : PERCEPT_INT64, 1, dims, 60);
        return;
    }
    add_given(b, name, size, b->dtype, rank, dims, 30);
}

/* What goes with queries X of three or four axes: keys and values, masks, tables of angles, positions. */
static void add_kin(struct build *b, char kind, char *name, size_t size)
{
    const int last = b->rank ? b->rank - 1 : 0, rows = b->rank > 1 ? b->rank - 2 : 0;
    int64_t dims[RANK_MAX] = {0}, items = b->rank ? b->dims[0] : 1, n = b->rank > 1 ? b->dims[rows] : 1;
    int rank = b->rank;
    memcpy(dims, b->dims, sizeof dims);
    if (kind == 'k') {
        dims[rows] = draw_chance(b->draw, 96) ? b->keys : any_dim(b->draw);
    } else if (kind == 'i') {
        add_given(b, name, size, PERCEPT_INT64, 2, (int64_t[]){items, n}, 60);
        return;
    } else {
        const bool whole = kind == 'c' && draw_chance(b->draw, 50);
        rank = whole ? 3 : 2;
        dims[0] = whole ? items : kind == 'c' ? 33 : n;
        dims[1] = kind == 'm' ? b->keys : n;
        if (kind == 'c')
            dims[rank - 1] = b->rank ? b->dims[last] / 2 : 1;
    }
    add_given(b, name, size, kind == 'm' && draw_chance(b->draw, 60) ? PERCEPT_BOOL : b->dtype, rank, dims, 30);
}

/* A sequence or an optional, made of something given by a node of its own. */
static void add_listed(struct build *b, char kind, char *name, size_t size)
{
    static const char *const ops[] = {"SequenceConstruct", "SplitToSequence", "SequenceEmpty"};
    char from[64] = "", inputs[160] = "";
    const char *op = kind == 'E' ? "Optional" : ops[draw_below(b->draw, 3)];
    if (strcmp(op, "SequenceEmpty") != 0 && !(kind == 'E' && draw_chance(b->draw, 30)))
        add_given(b, from, sizeof from, b->dtype, b->rank, b->dims, 30);
    snprintf(inputs, sizeof inputs, "%s%s%s", from, *op == 'S' && op[1] == 'e' && *from ? "," : "",
             *op == 'S' && op[1] == 'e' ? from : "");
    new_name(b, name, size);
    proto_add(&b->graph, GRAPH_NODE, proto_node(op, "", inputs, name));
}

/* Of MatMulNBits with blocks of 16 and 4 bits, or as many bytes of 8. */
static void add_narrow(struct build *b, char kind, char *name, size_t size)
{
    const int64_t blocks = ((b->rank ? b->dims[b->rank - 1] : 1) + 15) / 16;
    if (kind == 'n')
        add_given(b, name, size, PERCEPT_UINT8, 3, (int64_t[]){b->group, blocks, draw_chance(b->draw, 80) ? 8 : 16},
                  97);
    else
        add_given(b, name, size, PERCEPT_FLOAT, 1, (int64_t[]){b->group * blocks}, 97);
}

static void add_input(struct build *b, char kind, char *name, size_t size)
{
    static const struct {
        const char *kinds;
        void (*add)(struct build *b, char kind, char *name, size_t size);
    } others[] = {{"rRxogaLljJ", add_odd}, {"kmci", add_kin},   {"eE", add_listed},
                  {"nN", add_narrow},      {"WV", add_weights}, {"IAPZ", add_list}};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strchr(others[i].kinds, kind)) {
            others[i].add(b, kind, name, size);
            return;
        }
    const int64_t channels = b->rank > 1 ? b->dims[1] : 1, last = b->rank ? b->dims[b->rank - 1] : 1;
    int64_t dims[RANK_MAX] = {0};
    enum percept_dtype dtype = b->dtype;
    unsigned constant = 60;
    int rank = 0;
    switch (kind) {
    case 'S':
        dtype = PERCEPT_INT64;
        dims[0] = 1;
        rank = draw_chance(b->draw, 30);
        constant = 70;
        break;
    case 'p':
        dims[0] = 2;
        rank = 1;
        break;
    case 's':
        break;
    case 'C':
        dims[0] = draw_chance(b->draw, 60) ? channels : b->filters;
        rank = 1;
        constant = 80;
        break;
    case 'u':
        dtype = PERCEPT_FLOAT;
        constant = 90;
        break;
    case 'v':
        dtype = dtype == PERCEPT_FLOAT ? PERCEPT_UINT8 : dtype;
        constant = 90;
        break;
    case 'z':
        dims[0] = draw_chance(b->draw, 50) ? channels : b->filters;
        dtype = draw_chance(b->draw, 50) ? PERCEPT_FLOAT : draw_chance(b->draw, 60) ? PERCEPT_UINT8 : PERCEPT_INT8;
        rank = draw_chance(b->draw, 30);
        constant = 80;
        break;
    case 'F':
        dtype = PERCEPT_FLOAT;
        dims[0] = b->rank;
        rank = 1;
        constant = 80;
        break;
    case 'M':
        dims[0] = last;
        dims[1] = any_dim(b->draw);
        rank = 2;
        if (draw_chance(b->draw, 25)) {
            broadcast_dims(b, &rank, dims);
            if (rank > 1)
                dims[rank - 2] = last;
        }
        break;
    default:
        broadcast_dims(b, &rank, dims);
        constant = 40;
        if (kind == 'G')
            dtype = draw_chance(b->draw, 75) ? PERCEPT_INT64 : PERCEPT_INT32;
        if (kind == 'B') {
            dtype = PERCEPT_BOOL;
            rank = draw_chance(b->draw, 50) ? 0 : rank;
        }
    }
    add_given(b, name, size, dtype, rank, dims, constant);
}

/* --- nodes -------------------------------------------------------------------------------------------------------- */

static void link_input(struct proto *node, const char *name)
{
    proto_text(node, NODE_INPUT, name);
}

static void add_recurrent(struct build *b, struct proto *node, const char *op_type)
{
    struct draw *draw = b->draw;
    int64_t gates = strcmp(op_type, "LSTM") == 0 ? 4 : strcmp(op_type, "GRU") == 0 ? 3 : 1;
    int64_t ways = b->both_ways ? 2 : 1, h = b->hidden;
    int64_t seq = b->dims[0], batch = b->dims[1], in = b->dims[2];
    const int64_t shapes[7][3] = {{ways, gates * h, in}, {ways, gates * h, h}, {ways, 2 * gates * h}, {batch},
                                  {ways, batch, h},      {ways, batch, h},     {ways, 3 * h}};
    const int ranks[] = {3, 3, 2, 1, 3, 3, 2};
    (void)seq;
    int n = 2 + (int)draw_below(draw, gates == 4 ? 6 : 4);
    char name[64];
    for (int i = 0; i < n; i++) {
        if (i >= 2 && draw_chance(draw, 30)) {
            link_input(node, "");
            continue;
        }
        int64_t dims[3];
        memcpy(dims, shapes[i], sizeof dims);
        if (draw_chance(draw, 3))
            dims[draw_below(draw, (uint64_t)ranks[i])] = any_dim(draw);
        add_given(b, name, sizeof name, i == 3 ? PERCEPT_INT32 : PERCEPT_FLOAT, ranks[i], dims, i < 3 ? 85 : 30);
        link_input(node, name);
    }
}

/* The graph of a node: reads what is around it and its own inputs. */
static struct proto body_graph(struct build *b, int n_inputs, int n_outputs, const char *around, bool loop)
{
    struct proto graph = {0};
    char name[64], in[64] = "", out[160];
    for (int i = 0; i < n_inputs; i++) {
        snprintf(name, sizeof name, "in%d", i);
        proto_add(&graph, GRAPH_INPUT,
                  proto_value(name,
                              loop && i == 0   ? PERCEPT_INT64
                              : loop && i == 1 ? PERCEPT_BOOL
                                               : (int64_t)b->dtype,
                              loop && i < 2 ? 0 : -1, NULL));
        if (!loop || i >= 2)
            snprintf(in, sizeof in, "in%d", i);
    }
    for (int i = 0; i < n_outputs; i++) {
        static const char *const ops[] = {"Identity",        "Relu",          "Add",      "Mul",
                                          "Concat",          "Shape",         "Sum",      "Neg",
                                          "Squeeze",         "NonZero",       "Optional", "SequenceConstruct",
                                          "SplitToSequence", "SequenceInsert"};
        const char *op = ops[draw_below(b->draw, b->listed ? 14 : 12)];
        if (b->listed && draw_chance(b->draw, 40))
            op = "SequenceInsert";
        const char *from = *in && draw_chance(b->draw, 75) ? in : around;
        snprintf(name, sizeof name, "out%d", i);
        snprintf(out, sizeof out, "%s%s%s", from, strchr("AMCS", *op) ? "," : "",
                 !strchr("AMCS", *op)               ? ""
                 : strncmp(op, "SequenceI", 9) == 0 ? b->given
                                                    : from);
        if (loop && i == 0) {
            op = "Identity";
            snprintf(out, sizeof out, "in1");
        }
        proto_add(&graph, GRAPH_NODE, proto_node(op, "", out, name));
        proto_add(&graph, GRAPH_OUTPUT, proto_value(name, loop && i == 0 ? PERCEPT_BOOL : (int64_t)b->dtype, -1, NULL));
    }
    return graph;
}

/* A list of n labels of this type: name_strings, name_int64s or name_floats, or name_tensor. */
static void add_labels(struct build *b, struct proto *node, const char *what, enum percept_dtype dtype, int n,
                       bool tensor)
{
    static const char *const words[] = {"word", "", "a", "b", "word", "c"};
    char name[40];
    if (tensor) {
        const int64_t dims = n;
        snprintf(name, sizeof name, "%s_tensor", what);
        struct proto attr = proto_attr(name, ATTR_TENSOR);
        proto_add(&attr, ATTRIBUTE_T, raw_tensor(b, "", dtype, 1, &dims));
        proto_add(node, NODE_ATTRIBUTE, attr);
        return;
    }
    const bool text = dtype == PERCEPT_STRING, real = dtype == PERCEPT_FLOAT || dtype == PERCEPT_DOUBLE;
    snprintf(name, sizeof name, "%s_%s", what, text ? "strings" : real ? "floats" : "int64s");
    struct proto attr = proto_attr(name, text ? ATTR_STRINGS : real ? ATTR_FLOATS : ATTR_INTS);
    for (int i = 0; i < n; i++)
        if (text)
            proto_text(&attr, ATTRIBUTE_STRINGS, words[i % 6]);
        else if (real)
            proto_fixed32(&attr, ATTRIBUTE_FLOATS_ONE, draw_float(b->draw));
        else
            proto_int(&attr, ATTRIBUTE_INTS_ONE, draw_number(b->draw, -1, 5));
    proto_add(node, NODE_ATTRIBUTE, attr);
}

/* Keys of the data's type and values of any, as many as keys mostly. */
static void add_mapping(struct build *b, struct proto *node)
{
    const int n = (int)draw_below(b->draw, 7);
    const bool tensor = draw_chance(b->draw, 40);
    const enum percept_dtype to = draw_chance(b->draw, 40) ? PERCEPT_STRING : any_dtype(b->draw);
    if (draw_chance(b->draw, 20))
        add_labels(b, node, "classes", PERCEPT_STRING, n, false);
    add_labels(b, node, "keys", b->dtype, n, tensor);
    add_labels(b, node, "values", to, draw_chance(b->draw, 95) ? n : n + 1, tensor);
    if (tensor && draw_chance(b->draw, 50))
        add_labels(b, node, "default", to, 1, true);
}

/* The weights of a linear model and its labels. */
static void add_linear(struct build *b, struct proto *node)
{
    const int columns = b->rank ? (int)b->dims[b->rank - 1] : 1, rows = 1 + (int)draw_below(b->draw, 4);
    const int n = draw_chance(b->draw, 95) ? rows * columns : (int)draw_below(b->draw, 20);
    struct proto weights = proto_attr("coefficients", ATTR_FLOATS), intercepts = proto_attr("intercepts", ATTR_FLOATS);
    for (int i = 0; i < n; i++)
        proto_fixed32(&weights, ATTRIBUTE_FLOATS_ONE, draw_float(b->draw));
    for (int i = 0; i < rows; i++)
        proto_fixed32(&intercepts, ATTRIBUTE_FLOATS_ONE, draw_float(b->draw));
    proto_add(node, NODE_ATTRIBUTE, weights);
    if (draw_chance(b->draw, 80))
        proto_add(node, NODE_ATTRIBUTE, intercepts);
    else
        proto_free(&intercepts);
    proto_attr_int(node, "targets", rows);
    const int labels = rows == 1 ? 2 : draw_chance(b->draw, 95) ? rows : rows + 1;
    if (draw_chance(b->draw, 50))
        add_labels(b, node, "classlabels", PERCEPT_STRING, labels, false);
    else
        proto_attr_ints(node, "classlabels_ints", (size_t)labels, (const int64_t[]){0, 1, 2, 3, 4});
}

/* Attributes that belong together; false if `name` is none of those. */
static bool add_together(struct build *b, struct proto *node, const char *name)
{
    const int n = (int)draw_below(b->draw, 7);
    if (strcmp(name, "labels") == 0)
        add_mapping(b, node);
    else if (strcmp(name, "linear") == 0)
        add_linear(b, node);
    else if (strcmp(name, "categories") == 0)
        add_labels(b, node, "cats", b->dtype == PERCEPT_STRING ? PERCEPT_STRING : PERCEPT_INT64, n, false);
    else if (strcmp(name, "mapping") == 0) {
        add_labels(b, node, "cats", PERCEPT_STRING, n, false);
        add_labels(b, node, "cats", PERCEPT_INT64, draw_chance(b->draw, 95) ? n : n + 1, false);
    } else
        return false;
    return true;
}

static void add_attributes(struct build *b, struct proto *node, const char *names, const char *around)
{
    while (*names) {
        size_t n = strcspn(names, " ");
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)n, names);
        names += n + (names[n] == ' ');
        char *colon = strchr(name, ':');
        if (colon)
            *colon++ = 0;
        const char *kind = colon ? colon : kind_of(name, strlen(name));
        if (add_together(b, node, name))
            continue;
        if (strcmp(name, "branches") == 0) {
            proto_attr_message(node, "then_branch", ATTR_GRAPH, ATTRIBUTE_G, body_graph(b, 0, 1, around, false));
            proto_attr_message(node, "else_branch", ATTR_GRAPH, ATTRIBUTE_G, body_graph(b, 0, 1, around, false));
        } else if (strcmp(name, "loop") == 0) {
            proto_attr_message(node, "body", ATTR_GRAPH, ATTRIBUTE_G, body_graph(b, 3, 3, around, true));
        } else if (strcmp(name, "scan") == 0) {
            int64_t scanned = 1 + draw_chance(b->draw, 50);
            proto_attr_int(node, "num_scan_inputs", scanned);
            proto_attr_message(node, "body", ATTR_GRAPH, ATTRIBUTE_G,
                               body_graph(b, 2, draw_chance(b->draw, 90) ? 2 : 1, around, false));
        } else if (strcmp(name, "map") == 0) {
            proto_attr_message(node, "body", ATTR_GRAPH, ATTRIBUTE_G, body_graph(b, 2, 1, around, false));
        } else if (kind && b->both_ways && strcmp(name, "direction") == 0) {
            proto_attr_text(node, name, "bidirectional");
        } else if (kind && (draw_chance(b->draw, 60) || strchr("kghKB", *kind))) {
            proto_add(node, NODE_ATTRIBUTE, one_attribute(b, name, kind));
        }
    }
}

static const struct recipe *recipe_of(const char *op_type)
{
    static const struct recipe other = {"", "XY?", "", 1}, one = {"", "X", "alpha beta", 1},
                               reduce = {"", "XA?", "axes keepdims noop_with_empty_axes", 1};
    for (size_t i = 0; i < N_RECIPES; i++)
        if (strcmp(recipes[i].op_type, op_type) == 0)
            return &recipes[i];
    if (strncmp(op_type, "Reduce", 6) == 0)
        return &reduce;
    static const char binary[] = " Add And BitwiseAnd BitwiseOr BitwiseXor Div Equal Greater GreaterOrEqual Less "
                                 "LessOrEqual Max Mean Min Mul Or Pow Sub Sum Xor ";
    char word[64];
    snprintf(word, sizeof word, " %s ", op_type);
    return strstr(binary, word) ? &other : &one;
}

static void recipe_inputs(struct build *b, struct proto *node, const struct recipe *recipe, const char *data)
{
    char name[64];
    bool used = false;
    for (const char *kind = recipe->inputs; *kind; kind++) {
        if (*kind == '?')
            continue;
        if (kind[1] == '?' && draw_chance(b->draw, 40)) {
            link_input(node, "");
        } else if ((*kind == 'X' || *kind == 'Q' || (*kind == 'e' && b->listed)) && !used) {
            used = true;
            link_input(node, data);
        } else if (*kind == 'H') {
            add_recurrent(b, node, recipe->op_type);
        } else {
            add_input(b, *kind, name, sizeof name);
            link_input(node, name);
        }
    }
    if (draw_chance(b->draw, 3))
        link_input(node, data);
}

static void add_node(struct build *b, const struct op *op, const char *data, char *result, size_t size, bool last)
{
    const struct recipe *recipe = recipe_of(op->name);
    struct proto node = {0};
    recipe_inputs(b, &node, recipe, data);
    add_attributes(b, &node, recipe->attributes, data);
    if (draw_chance(b->draw, 4))
        proto_add(&node, NODE_ATTRIBUTE, build_attribute(b->draw));
    int n_out = 1 + (int)draw_below(b->draw, (uint64_t)recipe->outputs);
    char name[64];
    for (int i = 0; i < n_out; i++) {
        new_name(b, name, sizeof name);
        proto_text(&node, NODE_OUTPUT, name);
        if (last || draw_chance(b->draw, 20))
            proto_add(&b->graph, GRAPH_OUTPUT, proto_value(name, PERCEPT_FLOAT, -1, NULL));
        if (i == 0)
            snprintf(result, size, "%s", name);
    }
    proto_text(&node, NODE_OP_TYPE, op->name);
    proto_text(&node, NODE_DOMAIN, op->domain);
    proto_add(&b->graph, GRAPH_NODE, node);
    const bool keeps = strstr(" Identity Loop If ", op->name) != NULL;
    b->listed = keeps ? b->listed
                      : strstr(" SequenceConstruct SequenceEmpty SequenceErase SequenceInsert SequenceMap "
                               "SplitToSequence ",
                               op->name) != NULL;
}

struct proto build_graph(struct draw *draw, const char *prefix)
{
    static const char *const after[] = {"Relu",
                                        "Add",
                                        "BatchNormalization",
                                        "Conv",
                                        "MaxPool",
                                        "Mul",
                                        "Sigmoid",
                                        "Concat",
                                        "Transpose",
                                        "Reshape",
                                        "Clip",
                                        "LeakyRelu",
                                        "Shape",
                                        "Cast",
                                        "GlobalAveragePool",
                                        "Flatten",
                                        "NonZero",
                                        "Slice",
                                        "Pad",
                                        "Resize",
                                        "SequenceConstruct",
                                        "SplitToSequence",
                                        "Loop"};
    static const char *const after_list[] = {
        "SequenceAt", "ConcatFromSequence", "SequenceInsert", "SequenceErase", "Loop", "SequenceLength",
        "If",         "SequenceMap",        "Identity",       "Optional"};
    struct build b;
    int n_ops;
    const struct op *rows = op_table(&n_ops), *op = &rows[draw_below(draw, (uint64_t)n_ops)];
    start(&b, draw);
    b.prefix = prefix;
    const char *inputs = recipe_of(op->name)->inputs;
    if (strchr(inputs, 'Q'))
        b.dtype = draw_chance(draw, 50) ? PERCEPT_UINT8 : PERCEPT_INT8;
    if (strchr(inputs, 'H')) {
        b.dtype = PERCEPT_FLOAT;
        b.rank = draw_chance(draw, 97) ? 3 : b.rank;
        for (int i = 0; i < 3; i++)
            b.dims[i] = b.dims[i] ? b.dims[i] : any_dim(draw);
        b.both_ways = draw_chance(draw, 30);
    }
    if (strcmp(op->domain, "ai.onnx.ml") == 0) {
        b.rank = draw_chance(draw, 90) ? 1 + draw_chance(draw, 80) : b.rank;
        for (int i = 0; i < b.rank; i++)
            b.dims[i] = b.dims[i] ? b.dims[i] : any_dim(draw);
        b.dtype = draw_chance(draw, 30) ? PERCEPT_STRING : b.dtype;
    }
    if (strcmp(op->name, "StringNormalizer") == 0) {
        b.rank = 1 + draw_chance(draw, 50);
        b.dims[0] = b.rank == 1 ? 1 + any_dim(draw) : 1;
        b.dims[1] = 1 + any_dim(draw);
        b.dtype = PERCEPT_STRING;
    }
    char data[64], next[64];
    if (strcmp(op->name, "Attention") == 0 || strcmp(op->name, "RotaryEmbedding") == 0) {
        b.dtype = draw_chance(draw, 95) ? PERCEPT_FLOAT : b.dtype;
        b.rank = draw_chance(draw, 97) ? 3 + draw_chance(draw, 60) : b.rank;
        for (int i = 0; i < 4; i++)
            b.dims[i] = b.dims[i] || draw_chance(draw, 5) ? b.dims[i] : any_dim(draw);
    }
    add_given(&b, data, sizeof data, b.dtype, b.rank, b.dims, 12);
    snprintf(b.given, sizeof b.given, "%s", data);
    for (uint64_t left = 1 + draw_below(draw, 3); left; left--) {
        add_node(&b, op, data, next, sizeof next, left == 1);
        snprintf(data, sizeof data, "%s", next);
        const char *name = b.listed ? after_list[draw_below(draw, sizeof after_list / sizeof *after_list)]
                                    : after[draw_below(draw, sizeof after / sizeof *after)];
        op = draw_chance(draw, 75) ? op_find(bytes_of_text(""), bytes_of_text(name), 21)
                                   : &rows[draw_below(draw, (uint64_t)n_ops)];
    }
    return b.graph;
}

struct proto build_model(struct draw *draw)
{
    static const int64_t opsets[] = {24, 13, 18, 23, 11, 9, 7, 6, 21, 10, 1, 17, 22, 20, 15, 12};
    uint64_t which = draw_byte(draw);
    int64_t opset = opsets[which < 128 ? 0 : which % 16];
    struct proto model = proto_model(build_graph(draw, ""), opset);
    proto_add(&model, MODEL_OPSET_IMPORT, proto_opset("com.microsoft", 1));
    proto_add(&model, MODEL_OPSET_IMPORT, proto_opset("ai.onnx.ml", 1 + (int64_t)(which % 4)));
    return model;
}
