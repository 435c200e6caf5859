/* ops.c - the table is sorted, lookups find the right row, and the shared helpers judge as they say. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mode.h"
#include "harness.h"
#include "op/cast.h"

static struct bytes text(const char *s)
{
    return bytes_of_text(s);
}

START_TEST(table_is_sorted_by_domain_name_and_opset)
{
    int n;
    const struct op *table = op_table(&n);
    ck_assert_int_gt(n, 100);
    for (int i = 1; i < n; i++) {
        int order = strcmp(table[i - 1].domain, table[i].domain);
        if (!order)
            order = strcmp(table[i - 1].name, table[i].name);
        if (!order)
            order = table[i - 1].since - table[i].since;
        ck_assert_msg(order < 0, "%s stands before %s", table[i - 1].name, table[i].name);
    }
}
END_TEST

START_TEST(every_row_can_be_found_and_has_the_verbs)
{
    int n;
    const struct op *table = op_table(&n);
    for (int i = 0; i < n; i++) {
        ck_assert_ptr_eq(op_find(text(table[i].domain), text(table[i].name), table[i].since), &table[i]);
        bool shaped = table[i].rule->shape || (table[i].rule->flags & OP_OWN_MEMORY);
        ck_assert_msg(shaped && table[i].rule->run, "%s", table[i].name);
        ck_assert(!table[i].rule->pack_bytes == !table[i].rule->pack);
    }
}
END_TEST

START_TEST(unknown_names_domains_and_early_opsets_find_nothing)
{
    ck_assert_ptr_null(op_find(text(""), text("Abz"), 20));
    ck_assert_ptr_null(op_find(text(""), text(""), 20));
    ck_assert_ptr_null(op_find(text(""), text("zzz"), 20));
    ck_assert_ptr_null(op_find(text("nowhere"), text("Abs"), 20));
    ck_assert_ptr_null(op_find(text(""), text("Erf"), 8));
    ck_assert_ptr_nonnull(op_find(text(""), text("Erf"), 9));
    ck_assert_ptr_nonnull(op_find(text(""), text("Erf"), 99));
    ck_assert_ptr_eq(op_find(text("ai.onnx"), text("Erf"), 9), op_find(text(""), text("Erf"), 9));
    ck_assert_ptr_nonnull(op_find(text("com.microsoft"), text("Gelu"), 1));
}
END_TEST

START_TEST(what_will_not_be_there_has_advice)
{
    int n;
    const struct op *table = op_table(&n);
    ck_assert_ptr_nonnull(strstr(op_absent(text("ai.onnx.ml"), text("SVMRegressor")), "no neural networks"));
    ck_assert_ptr_nonnull(strstr(op_absent(text("com.microsoft.nchwc"), text("Conv")), "laid it out"));
    ck_assert_ptr_null(op_absent(text(""), text("SVMRegressor")));
    ck_assert_ptr_null(op_absent(text("ai.onnx.ml"), text("SV")));
    ck_assert_ptr_null(op_absent(text("com.microsoft"), text("Conv")));
    for (int i = 0; i < n; i++)
        ck_assert_ptr_null(op_absent(text(table[i].domain), text(table[i].name)));
}
END_TEST

START_TEST(fusions_are_accepted_in_the_order_of_execution_only)
{
    struct arena arena = {0};
    struct fused fused = {.residual = -1};
    struct fusion affine = {.kind = FUSE_AFFINE, .channels = 2, .scale = (float[]){2, 3}, .shift = (float[]){1, -1}};
    struct fusion residual = {.kind = FUSE_RESIDUAL, .value = 4};
    struct fusion relu = {.kind = FUSE_ACTIVATION, .act = ACT_CLIP, .alpha = 0, .beta = 6};
    ck_assert(op_fuse(&fused, &affine, &arena));
    ck_assert(op_fuse(&fused, &affine, &arena)); /* (2y + 1) 2 + 1 and (3y - 1) 3 - 1 */
    ck_assert(fused.scale[0] == 4 && fused.scale[1] == 9);
    ck_assert(fused.shift[0] == 3 && fused.shift[1] == -4);
    ck_assert(op_fuse(&fused, &residual, &arena));
    fused.residual = 2; /* what the operator does */
    ck_assert(!op_fuse(&fused, &residual, &arena));
    ck_assert(!op_fuse(&fused, &affine, &arena));
    ck_assert(op_fuse(&fused, &relu, &arena));
    ck_assert(fused.act == ACT_CLIP && fused.beta == 6);
    ck_assert(!op_fuse(&fused, &relu, &arena));
    arena_free(&arena);
}
END_TEST

START_TEST(a_shift_alone_needs_no_scale)
{
    struct arena arena = {0};
    struct fused fused = {.residual = -1};
    struct fusion shift = {.kind = FUSE_AFFINE, .channels = 1, .shift = (float[]){5}};
    ck_assert(op_fuse(&fused, &shift, &arena) && op_fuse(&fused, &shift, &arena));
    ck_assert_ptr_null(fused.scale);
    ck_assert(fused.shift[0] == 10);
    arena_free(&arena);
}
END_TEST

/* Whatever of the two has a scale or a shift: without memory for it nothing is taken on. */
START_TEST(fusions_that_memory_is_short_for_are_refused)
{
    static const float numbers[] = {2, 3};
    for (int k = 1; k < 16; k++) {
        const struct fused before = {.residual = -1, .scale = k & 1 ? numbers : NULL, .shift = k & 2 ? numbers : NULL};
        const struct fusion then = {
            .kind = FUSE_AFFINE, .channels = 2, .scale = k & 4 ? numbers : NULL, .shift = k & 8 ? numbers : NULL};
        const int needed = ((k & 5) != 0) + ((k & 10) != 0);
        for (int nth = 1; nth <= needed + 1; nth++) {
            struct fused fused = before;
            struct arena arena = {.limit_bytes = (size_t)(nth - 1) * sizeof numbers + 1};
            ck_assert_int_eq(op_fuse(&fused, &then, &arena), nth > needed);
            ck_assert(nth > needed || (fused.scale == before.scale && fused.shift == before.shift));
            arena_free(&arena);
        }
    }
}
END_TEST

START_TEST(inputs_can_be_appended)
{
    struct arena arena = {0};
    int in[] = {3, -1};
    struct node node = {.n_in = 2, .in = in};
    struct node_ctx ctx = {.node = &node, .arena = &arena};
    ck_assert_int_eq(op_add_input(&ctx, 9), 2);
    ck_assert_int_eq(node.n_in, 3);
    ck_assert(node.in[0] == 3 && node.in[1] == -1 && node.in[2] == 9);
    ck_assert(op_has_input(&node, 0) && !op_has_input(&node, 1) && !op_has_input(&node, 3));
    arena_free(&arena);
}
END_TEST

/* Seen by a fuzzer: 2^40 lines of no elements were walked. */
START_TEST(what_gives_nothing_takes_no_time)
{
    static const int64_t dims[] = {INT64_C(1) << 40, 0};
    struct harness h;
    harness_begin(&h, "CumSum", 14);
    harness_floats(&h, 2, dims, NULL);
    harness_int64s(&h, 0, NULL, (int64_t[]){1});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 2, dims, NULL, 0);
    harness_end(&h);
}
END_TEST

/* --- denormal numbers --------------------------------------------------------------------------------------------- */

#define TINY 1e-40f
#define EACH_LEVEL(LEVEL)                                                                                              \
    for (const char *const *name_ = pick_names(); *name_; name_++)                                                     \
        for (const struct kernels *LEVEL = pick_named(*name_); LEVEL; LEVEL = NULL)

static const float tiny[3] = {TINY, 0, -TINY};

/* A run of an operator over three numbers next to zero and, where there is one, an operand [1]. */
static void run_tiny(struct harness *h, const struct kernels *level, const char *op, const float *operand)
{
    harness_begin(h, op, 13);
    h->ctx.kernels = level;
    harness_floats(h, 1, DIMS(3), tiny);
    if (operand)
        harness_floats(h, 1, DIMS(1), operand);
    if (strcmp(op, "Cast") == 0)
        harness_int(h, "to", PERCEPT_BOOL);
    if (strcmp(op, "Mod") == 0)
        harness_int(h, "fmod", 1);
    harness_ran(h);
}

static const struct {
    const char *op;
    const char *operand; /* or NULL */
    float want[3];
} jumps[] = {
    {"Sign", NULL, {1, 0, -1}},           {"Ceil", NULL, {1, 0, 0}},
    {"Floor", NULL, {0, 0, -1}},          {"Log", NULL, {-92.1034f, -INFINITY, NAN}},
    {"Sqrt", NULL, {1e-20f, 0, NAN}},     {"Reciprocal", NULL, {INFINITY, INFINITY, -INFINITY}},
    {"Div", "1e-40", {1, 0, -1}},         {"Pow", "0.125", {1e-5f, 0, NAN}},
    {"Mod", "1.5e-40", {TINY, 0, -TINY}},
};

static bool alike(float got, float want)
{
    return isnan(want) ? isnan(got) : got == want || fabsf(got - want) < 1e-5f * fabsf(want);
}

START_TEST(what_jumps_at_zero_is_told_denormal_numbers)
{
    EACH_LEVEL(level)
    for (size_t i = 0; i < sizeof jumps / sizeof *jumps; i++) {
        struct harness h;
        const float operand = jumps[i].operand ? strtof(jumps[i].operand, NULL) : 0;
        run_tiny(&h, level, jumps[i].op, jumps[i].operand ? &operand : NULL);
        const float *got = harness_out(&h, 0)->data;
        for (int k = 0; k < 3; k++)
            ck_assert_msg(alike(got[k], jumps[i].want[k]), "%s of %g on %s: %g", jumps[i].op, (double)tiny[k],
                          level->name, (double)got[k]);
        harness_end(&h);
    }
}
END_TEST

static const struct {
    const char *op;
    uint8_t want[3]; /* of the tiny numbers and zero */
} compared[] = {
    {"Equal", {0, 1, 0}},       {"Less", {0, 0, 1}},           {"Greater", {1, 0, 0}},
    {"LessOrEqual", {0, 1, 1}}, {"GreaterOrEqual", {1, 1, 0}}, {"Cast", {1, 0, 1}},
};

START_TEST(what_compares_is_told_denormal_numbers)
{
    const float zero = 0;
    EACH_LEVEL(level)
    for (size_t i = 0; i < sizeof compared / sizeof *compared; i++) {
        struct harness h;
        run_tiny(&h, level, compared[i].op, strcmp(compared[i].op, "Cast") ? &zero : NULL);
        harness_expect(&h, 0, PERCEPT_BOOL, 1, DIMS(3), compared[i].want);
        harness_end(&h);
    }
}
END_TEST

START_TEST(what_picks_elements_is_told_denormal_numbers)
{
    EACH_LEVEL(level)
    {
        struct harness h;
        run_tiny(&h, level, "ArgMax", NULL);
        harness_expect(&h, 0, PERCEPT_INT64, 1, DIMS(1), (int64_t[]){0});
        harness_end(&h);
        run_tiny(&h, level, "ArgMin", NULL);
        harness_expect(&h, 0, PERCEPT_INT64, 1, DIMS(1), (int64_t[]){2});
        harness_end(&h);
        run_tiny(&h, level, "NonZero", NULL);
        harness_expect(&h, 0, PERCEPT_INT64, 2, DIMS(1, 2), (int64_t[]){0, 2});
        harness_end(&h);
        run_tiny(&h, level, "Unique", NULL);
        harness_expect(&h, 0, PERCEPT_FLOAT, 1, DIMS(3), (float[]){-TINY, 0, TINY});
        harness_end(&h);
        run_tiny(&h, level, "Hardmax", NULL);
        harness_expect(&h, 0, PERCEPT_FLOAT, 1, DIMS(3), (float[]){1, 0, 0});
        harness_end(&h);
    }
}
END_TEST

START_TEST(moving_keeps_denormal_numbers)
{
    EACH_LEVEL(level)
    {
        struct harness h;
        harness_begin(&h, "Where", 13);
        h.ctx.kernels = level;
        harness_input(&h, PERCEPT_BOOL, 1, DIMS(3), (uint8_t[]){1, 0, 1});
        harness_floats(&h, 1, DIMS(3), tiny);
        harness_floats(&h, 1, DIMS(1), (float[]){2 * TINY});
        harness_ran(&h);
        harness_expect(&h, 0, PERCEPT_FLOAT, 1, DIMS(3), (float[]){TINY, 2 * TINY, -TINY});
        harness_end(&h);
        harness_begin(&h, "Cast", 13);
        h.ctx.kernels = level;
        harness_floats(&h, 1, DIMS(3), tiny);
        harness_int(&h, "to", PERCEPT_DOUBLE);
        harness_ran(&h);
        harness_expect(&h, 0, PERCEPT_DOUBLE, 1, DIMS(3), (double[]){(double)TINY, 0, (double)-TINY});
        harness_end(&h);
    }
}
END_TEST

#if defined(__x86_64__) || defined(__aarch64__)
/* Whatever the caller's thread does with them; and its mode is what it was afterwards. */
START_TEST(arithmetic_takes_denormal_numbers_for_zero)
{
    const float large = 1e20f;
    EACH_LEVEL(level)
    for (int flushed = 0; flushed < 2; flushed++) {
        struct harness h;
        const uint64_t wanted = flushed ? MODE_FLUSHED : MODE_EXACT, before = mode_enter(wanted);
        run_tiny(&h, level, "Mul", &large);
        const uint64_t after = mode_get();
        mode_set(before);
        ck_assert_uint_eq(after & MODE_FLUSHED, wanted);
        const float *got = harness_out(&h, 0)->data;
        for (int k = 0; k < 3; k++)
            ck_assert_msg(got[k] == 0, "%g on %s", (double)got[k], level->name);
        harness_end(&h);
    }
}
END_TEST
#endif

START_TEST(arity_names_what_would_work)
{
    struct harness h;
    harness_begin(&h, "Add", 13);
    harness_floats(&h, 1, DIMS(1), (float[]){1});
    harness_expect_failure(&h, ERR_MODEL, "it has 1 inputs; between 2 and 2");
    harness_end(&h);
    harness_begin(&h, "Add", 13);
    harness_floats(&h, 1, DIMS(1), (float[]){1});
    harness_left_out(&h);
    harness_expect_failure(&h, ERR_MODEL, "input 1 is left out");
    harness_end(&h);
    harness_begin(&h, "Relu", 13);
    harness_floats(&h, 1, DIMS(1), (float[]){1});
    harness_outputs(&h, 2);
    harness_expect_failure(&h, ERR_MODEL, "it has 2 outputs");
    harness_end(&h);
}
END_TEST

/* ONNX's schemas, with what older files and other writers leave out or add, and ONNX Runtime's for its own domain; an
 * operator is asked at the opset behind its '@', else at the newest. Those with bodies say what these must have. */
#define MANY INT32_MAX
static const struct arity {
    int least, most, outputs;
    const char *names;
} arities[] = {
    {0, 0, 1, "Constant RandomNormal RandomUniform SequenceEmpty"},
    {0, 1, 1, "Optional OptionalHasElement"},
    {0, 5, 1,
     "com.microsoft.QLinearAveragePool com.microsoft.QLinearGlobalAveragePool "
     "com.microsoft.QLinearLeakyRelu com.microsoft.QLinearReduceMean com.microsoft.QLinearSigmoid "
     "com.microsoft.QLinearSoftmax"},
    {0, 8, 1, "com.microsoft.QLinearAdd com.microsoft.QLinearMul"},
    {0, 9, 1, "com.microsoft.QLinearWhere"},
    {1, 1, 1,
     "Abs Acos Acosh Affine ArgMax ArgMin Asin Asinh Atan Atanh AveragePool Bernoulli BitCast BitwiseNot "
     "BlackmanWindow Cast Ceil Celu Clip@1 Clip@10 ConcatFromSequence ConstantOfShape Cos Cosh Crop "
     "DepthToSpace Det Elu Erf Exp EyeLike Flatten Floor Gelu GlobalAveragePool GlobalLpPool GlobalMaxPool "
     "HammingWindow HannWindow HardSigmoid HardSwish Hardmax Identity ImageScaler IsInf IsNaN LRN "
     "LeakyRelu Log LogSoftmax LpNormalization LpPool MeanVarianceNormalization Mish Multinomial Neg "
     "NonZero Not OptionalGetElement Pad@1 Pad@10 ParametricSoftplus RandomNormalLike RandomUniformLike "
     "Reciprocal ReduceL1@1 ReduceL1@17 ReduceL2@1 ReduceL2@17 ReduceLogSum@1 ReduceLogSum@17 "
     "ReduceLogSumExp@1 ReduceLogSumExp@17 ReduceMax@1 ReduceMax@17 ReduceMean@1 ReduceMean@17 ReduceMin@1 "
     "ReduceMin@17 ReduceProd@1 ReduceProd@17 ReduceSum@1 ReduceSum@12 ReduceSumSquare@1 "
     "ReduceSumSquare@17 Relu Reshape@1 Reshape@4 Round ScaledTanh Selu SequenceLength Shape Shrink "
     "Sigmoid Sign Sin Sinh Size Slice@1 Slice@9 Softmax Softplus Softsign SpaceToDepth Sqrt Squeeze@1 "
     "Squeeze@12 StringNormalizer Swish Tan Tanh ThresholdedRelu Transpose Unsqueeze@1 Unsqueeze@12 "
     "ai.onnx.ml.Binarizer ai.onnx.ml.CategoryMapper ai.onnx.ml.Imputer ai.onnx.ml.LabelEncoder "
     "ai.onnx.ml.LinearRegressor ai.onnx.ml.Normalizer ai.onnx.ml.OneHotEncoder ai.onnx.ml.Scaler "
     "ai.onnx.ml.ZipMap com.microsoft.Gelu com.microsoft.Inverse com.microsoft.NhwcMaxPool "
     "com.microsoft.QuickGelu"},
    {1, 1, 2, "MaxPool TopK@1 TopK@9 ai.onnx.ml.LinearClassifier"},
    {1, 1, 3, "DynamicQuantizeLinear"},
    {1, 1, 4, "Unique"},
    {1, 2, 1,
     "DFT@17 DFT@19 ReduceL1@18 ReduceL2@18 ReduceLogSum@18 ReduceLogSumExp@18 ReduceMax@18 ReduceMean@18 "
     "ReduceMin@18 ReduceProd@18 ReduceSum@13 ReduceSumSquare@18 SequenceErase SplitToSequence Squeeze@13 "
     "Trilu com.microsoft.FastGelu com.microsoft.Trilu"},
    {1, 2, MANY, "Split"},
    {1, 3, 1, "Clip@11 DFT@20"},
    {1, 3, 2, "Dropout"},
    {1, 4, 1, "Resize@11"},
    {1, MANY, 1, "Concat Einsum Max Mean Min SequenceConstruct Sum ai.onnx.ml.FeatureVectorizer"},
    {2, 2, 1,
     "Add AffineGrid And BitShift BitwiseAnd BitwiseOr BitwiseXor CastLike CenterCropPad Compress CumProd "
     "CumSum Div Equal Expand Gather GatherElements GatherND Greater GreaterOrEqual GridSample Less "
     "LessOrEqual MatMul MaxRoiPool Mod Mul Or PRelu Pow RMSNormalization Reshape@5 Resize@10 "
     "ReverseSequence SequenceAt Sub Tile@6 Unsqueeze@13 Upsample Xor ai.onnx.ml.ArrayFeatureExtractor "
     "com.microsoft.BiasGelu com.microsoft.FusedMatMul com.microsoft.GridSample "
     "com.microsoft.TransposeMatMul"},
    {2, 2, 2, "SimplifiedLayerNormalization TopK@10"},
    {2, 3, 1,
     "Conv ConvTranspose DequantizeLinear Gemm MaxUnpool QuantizeLinear SequenceInsert "
     "com.microsoft.DequantizeLinear com.microsoft.FusedGemm com.microsoft.QuantizeLinear"},
    {2, 3, 3, "LayerNormalization"},
    {2, 4, 1,
     "ConvInteger MatMulInteger Pad@11 STFT com.microsoft.ConvTransposeWithDynamicPads "
     "com.microsoft.FusedConv"},
    {2, 5, 1, "NonMaxSuppression"},
    {3, 3, 1,
     "Col2Im GroupNormalization InstanceNormalization OneHot Range RoiAlign Scatter ScatterElements "
     "ScatterND Tile@1 Tile@5 Where com.microsoft.Range"},
    {3, 4, 1, "RotaryEmbedding"},
    {3, 4, 4, "com.microsoft.SkipSimplifiedLayerNormalization"},
    {3, 5, 1, "DeformConv Slice@10 com.microsoft.DynamicQuantizeMatMul"},
    {3, 5, 4, "com.microsoft.SkipLayerNormalization"},
    {3, 6, 1, "com.microsoft.MatMulNBits"},
    {3, 6, 2, "GRU RNN"},
    {3, 6, 4, "Attention@23"},
    {3, 7, 4, "Attention@24"},
    {3, 8, 3, "LSTM"},
    {3, 12, 3, "com.microsoft.DynamicQuantizeLSTM"},
    {4, 4, 1, "com.microsoft.CropAndResize"},
    {4, 7, 1, "com.microsoft.MatMulIntegerToFloat"},
    {5, 5, 1, "MelWeightMatrix"},
    {5, 5, 5, "BatchNormalization"},
    {6, 9, 1, "com.microsoft.QGemm"},
    {8, 8, 1, "QLinearMatMul"},
    {8, 9, 1, "QLinearConv com.microsoft.QLinearConv"},
};

static void begin_filled(struct harness *h, struct bytes domain, struct bytes name, int opset, int inputs)
{
    harness_begin(h, "", opset);
    h->node.domain = domain;
    h->node.op_type = name;
    harness_int(h, "axis", 0);
    harness_int(h, "size", 1);
    harness_int(h, "num_groups", 1);
    harness_float(h, "alpha", 1);
    harness_float(h, "beta", 1);
    harness_text(h, "equation", "i,i->i");
    for (int i = 0; i < inputs; i++)
        harness_floats(h, 1, DIMS(1), (float[]){1});
}

static void expect_arity(const struct arity *arity, struct bytes domain, struct bytes name, int opset)
{
    struct harness h;
    char wanted[100];
    const int inputs = arity->most == MANY ? 2 : arity->most;
    if (arity->most != MANY) {
        begin_filled(&h, domain, name, opset, inputs + 1);
        snprintf(wanted, sizeof wanted, "it has %d inputs; between %d and %d would work", inputs + 1, arity->least,
                 inputs);
        harness_expect_failure(&h, ERR_MODEL, wanted);
        harness_end(&h);
    }
    if (arity->outputs != MANY) {
        begin_filled(&h, domain, name, opset, inputs);
        harness_outputs(&h, arity->outputs + 1);
        snprintf(wanted, sizeof wanted, "it has %d outputs; between 1 and %d would work", arity->outputs + 1,
                 arity->outputs);
        harness_expect_failure(&h, ERR_MODEL, wanted);
        harness_end(&h);
    }
}

/* "com.microsoft.Gelu@1", which ends at a blank. */
static const struct op *expect_arity_of(const struct arity *arity, const char *word)
{
    const size_t n = strcspn(word, "@ ");
    const char *dot = memrchr(word, '.', n), *at = dot ? dot + 1 : word;
    const struct bytes domain = bytes_of(word, dot ? (size_t)(dot - word) : 0);
    const struct bytes name = bytes_of(at, (size_t)(word + n - at));
    const int opset = word[n] == '@' ? atoi(word + n + 1) : 99;
    expect_arity(arity, domain, name, opset);
    return op_find(domain, name, opset);
}

START_TEST(operators_take_and_give_what_their_schemas_say)
{
    int n;
    const struct op *table = op_table(&n);
    bool *seen = calloc((size_t)n, sizeof *seen);
    static const char *const others[] = {"If", "Loop", "QLinearConcat", "Scan", "SequenceMap"};
    for (size_t i = 0; i < sizeof arities / sizeof *arities; i++)
        for (const char *word = arities[i].names; *word; word += strcspn(word, " "), word += *word == ' ')
            seen[expect_arity_of(&arities[i], word) - table] = true;
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < n; k++) /* in any of its opsets */
            seen[i] |=
                seen[k] && strcmp(table[i].domain, table[k].domain) == 0 && !strcmp(table[i].name, table[k].name);
        bool other = false;
        for (size_t k = 0; k < sizeof others / sizeof *others; k++)
            other |= strcmp(table[i].name, others[k]) == 0;
        ck_assert_msg(seen[i] != other, "'%s' is%s in `arities`", table[i].name, seen[i] ? "" : " not");
    }
    free(seen);
}
END_TEST

/* A multiplication and an addition each, by the operator's definition. Inputs are "dims" of floats, of bytes behind
 * "q:", constants behind "c". */
static const struct effort {
    const char *op_type;
    int opset;
    const char *attr;
    const char *inputs[8];
    double flops;
} efforts[] = {
    {"MatMul", 13, "", {"2,3,7", "2,7,5"}, 2 * 2 * 3 * 7 * 5},
    {"MatMul", 13, "", {"2,3,7", "c7,5"}, 2 * 2 * 3 * 7 * 5},
    {"Gemm", 13, "", {"3,7", "c7,5", "c5"}, 2 * 3 * 7 * 5},
    {"Gemm", 13, "transA", {"7,3", "7,5"}, 2 * 3 * 7 * 5},
    {"Conv", 13, "", {"2,6,9,8", "c4,6,3,2"}, 2 * 2 * 4 * (7 * 7) * 6 * (3 * 2)},
    {"Conv", 13, "group3", {"2,6,9,8", "c3,2,3,2"}, 2 * 2 * 3 * (7 * 7) * 2 * (3 * 2)},
    {"Conv", 13, "", {"2,6,9", "4,6,3"}, 2 * 2 * 4 * 7 * 6 * 3},
    {"ConvTranspose", 13, "", {"2,6,5", "c6,4,3"}, 2 * 2 * 6 * 5 * 4 * 3},
    {"ConvInteger", 10, "", {"q:2,6,9,8", "q:4,6,3,2"}, 2 * 2 * 4 * (7 * 7) * 6 * (3 * 2)},
    {"ConvInteger", 10, "group6", {"q:2,6,9,8", "q:6,1,3,2"}, 2 * 2 * 6 * (7 * 7) * (3 * 2)},
    {"MatMulInteger", 10, "", {"q:2,3,7", "q:7,5"}, 2 * 2 * 3 * 7 * 5},
    {"QuantizeLinear", 13, "", {"5,3", "1"}, 2 * 5 * 3},
    {"DequantizeLinear", 13, "", {"q:5,3", "1"}, 2 * 5 * 3},
    {"DynamicQuantizeLinear", 11, "", {"5,3"}, 4 * 5 * 3}, /* least, most, and a product and a sum */
    {"RNN", 14, "", {"4,2,3", "c1,5,3", "c1,5,5"}, 2 * 4 * 2 * 5 * (3 + 5)},
    {"GRU", 14, "", {"4,2,3", "c1,15,3", "c1,15,5"}, 2 * 4 * 2 * 15 * (3 + 5)},
    {"LSTM", 14, "", {"4,2,3", "c1,20,3", "c1,20,5"}, 2 * 4 * 2 * 20 * (3 + 5)},
    {"Einsum", 13, "bij,bjk->bik", {"2,3,7", "2,7,5"}, 2 * 2 * 3 * 7 * 5},
    {"Einsum", 13, "ij,jk,kl->il", {"2,3", "3,4", "4,5"}, 2 * 2 * 3 * 4 + 2 * 2 * 4 * 5}, /* summed as soon as can be */
    {"Einsum", 13, "ij,jk,kl,lm->im", {"2,3", "3,4", "4,5", "5,6"}, 2 * 2 * 3 * 4 + 2 * 2 * 4 * 5 + 2 * 2 * 5 * 6},
};

static void add_input(struct harness *h, const char *text)
{
    static uint8_t zeros[4096];
    int64_t dims[RANK_MAX];
    int rank = 0;
    const bool constant = *text == 'c', bytes = *text == 'q';
    for (const char *at = text + (constant ? 1 : bytes ? 2 : 0); *at; at += *at == ',')
        dims[rank++] = strtoll(at, (char **)&at, 10);
    harness_input(h, bytes ? PERCEPT_UINT8 : PERCEPT_FLOAT, rank, dims, zeros);
    if (constant)
        harness_as_constant(h);
}

START_TEST(operators_say_how_much_they_compute)
{
    const struct effort *row = &efforts[_i];
    struct harness h;
    harness_begin(&h, row->op_type, row->opset);
    if (strncmp(row->attr, "group", 5) == 0)
        harness_int(&h, "group", atoi(row->attr + 5));
    else if (strchr(row->attr, ','))
        harness_text(&h, "equation", row->attr);
    else if (*row->attr)
        harness_int(&h, row->attr, 1);
    for (int i = 0; i < 8 && row->inputs[i]; i++)
        add_input(&h, row->inputs[i]);
    ck_assert_msg(harness_plan(&h), "%s: %s", row->op_type, h.err.text);
    ck_assert_msg(h.step.flops == row->flops, "%s %s: %g instead of %g", row->op_type, row->inputs[0], h.step.flops,
                  row->flops);
    ck_assert(h.step.done_flops <= h.step.flops);
    harness_end(&h);
}
END_TEST

/* Operators that read a list of integers from an input. "2,3" are dims of floats, "#2,3" is a list, "" is left out. */
static const struct listing {
    const char *op_type;
    int opset, slot;
    bool line; /* must it have one axis? */
    const char *inputs[5];
} listings[] = {
    {"Expand", 13, 1, true, {"1,3", "#2,3"}},
    {"Reshape", 13, 1, true, {"2,3", "#3,2"}},
    {"Tile", 13, 1, true, {"2,3", "#2,1"}},
    {"Slice", 13, 1, true, {"4,3", "#1", "#2", "#0", "#1"}},
    {"Slice", 13, 2, true, {"4,3", "#1", "#2", "#0", "#1"}},
    {"Slice", 13, 3, true, {"4,3", "#1", "#2", "#0", "#1"}},
    {"Slice", 13, 4, true, {"4,3", "#1", "#2", "#0", "#1"}},
    {"Pad", 18, 1, true, {"4,3", "#1,0,0,2"}},
    {"Pad", 18, 3, true, {"4,3", "#1,2", "", "#1"}},
    {"ConstantOfShape", 9, 0, true, {"#2,3"}},
    {"Resize", 19, 3, false, {"4,3", "", "", "#2,6"}},
    {"Squeeze", 13, 1, true, {"4,1", "#1"}},
    {"Unsqueeze", 13, 1, true, {"4,1", "#1"}},
    {"ReduceSum", 13, 1, false, {"4,3", "#1"}},
    {"ReduceMax", 18, 1, false, {"4,3", "#1"}},
    {"TopK", 11, 1, false, {"4,3", "#2"}},
    {"Split", 13, 1, false, {"4,3", "#2,2"}},
    {"CenterCropPad", 18, 1, true, {"4,3", "#2,5"}},
    {"Col2Im", 18, 1, true, {"1,4,4", "#3,3", "#2,2"}},
    {"Col2Im", 18, 2, true, {"1,4,4", "#3,3", "#2,2"}},
};

enum spoiled { SPOILED_NOT, SPOILED_FLOATS, SPOILED_RANK, SPOILED_BYTES };

static void add_listing(struct harness *h, const char *text, enum spoiled spoiled)
{
    static const float numbers[64];
    int64_t list[RANK_MAX];
    float floats[RANK_MAX];
    int n = 0;
    if (!*text) {
        harness_left_out(h);
        return;
    }
    for (const char *at = text + (*text == '#'); *at; at += *at == ',') {
        list[n] = strtoll(at, (char **)&at, 10);
        floats[n] = (float)list[n];
        n++;
    }
    if (*text != '#') {
        harness_floats(h, n, list, numbers);
        return;
    }
    if (spoiled == SPOILED_FLOATS)
        harness_floats(h, 1, DIMS(n), floats);
    else if (spoiled == SPOILED_BYTES)
        harness_input(h, PERCEPT_UINT8, 1, DIMS(n), (uint8_t[RANK_MAX]){1, 1, 1, 1});
    else
        harness_int64s(h, spoiled == SPOILED_RANK ? 3 : 1, spoiled == SPOILED_RANK ? DIMS(1, n, 1) : DIMS(n), list);
    harness_as_known(h);
}

START_TEST(lists_of_integers_are_judged)
{
    const struct listing *row = &listings[_i];
    for (enum spoiled spoiled = SPOILED_NOT; spoiled <= SPOILED_BYTES; spoiled++) {
        struct harness h;
        if (spoiled == SPOILED_RANK && !row->line)
            continue;
        harness_begin(&h, row->op_type, row->opset);
        harness_outputs(&h, strcmp(row->op_type, "Split") == 0 || strcmp(row->op_type, "TopK") == 0 ? 2 : 1);
        for (int i = 0; i < 5 && row->inputs[i]; i++)
            add_listing(&h, row->inputs[i], i == row->slot ? spoiled : SPOILED_NOT);
        ck_assert_msg(harness_plan(&h) == (spoiled == SPOILED_NOT), "%s, input %d, %d: %s", row->op_type, row->slot,
                      (int)spoiled, h.err.text);
        harness_end(&h);
    }
}
END_TEST

START_TEST(axes_outside_the_rank_are_refused)
{
    for (int64_t axis = -4; axis <= 3; axis++) {
        struct harness h;
        harness_begin(&h, "Concat", 13);
        harness_int(&h, "axis", axis);
        harness_floats(&h, 3, DIMS(1, 1, 1), (float[]){1});
        if (axis < -3 || axis > 2)
            harness_expect_failure(&h, ERR_MODEL, "is outside [-3, 2]");
        else
            ck_assert_msg(harness_run(&h), "%s", h.err.text);
        harness_end(&h);
    }
}
END_TEST

/* Tile's repeats: int64 by ONNX, int32 from exporters. */
START_TEST(lists_of_integers_are_read_in_either_width)
{
    struct harness h;
    harness_begin(&h, "Tile", 13);
    harness_floats(&h, 1, DIMS(1), (float[]){5});
    harness_input(&h, PERCEPT_INT32, 1, DIMS(1), (int32_t[]){3});
    harness_as_known(&h);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 1, DIMS(3), (float[]){5, 5, 5}, 0);
    harness_end(&h);
    harness_begin(&h, "Tile", 13);
    harness_floats(&h, 1, DIMS(1), (float[]){5});
    harness_floats(&h, 1, DIMS(1), (float[]){3});
    harness_expect_failure(&h, ERR_MODEL, "int64 would work");
    harness_end(&h);
    harness_begin(&h, "Tile", 13);
    harness_floats(&h, 1, DIMS(1), (float[]){5});
    harness_int64s(&h, 1, DIMS(1), DIMS(3)); /* known only when run */
    harness_expect_failure(&h, ERR_UNSUPPORTED, "input 1 depends on data");
    harness_end(&h);
}
END_TEST

/* --- looking at the watch ----------------------------------------------------------------------------------------- */

static int looks;

static int64_t long_past(void)
{
    looks++;
    return 2;
}

static float some[256];

static void give(struct harness *h, const char *op)
{
    static int64_t places[256];
    static uint8_t truths[256];
    harness_begin(h, op, 17);
    const bool strings = !strcmp(op, "Cast");
    if (!strcmp(op, "Not") || !strcmp(op, "BitwiseNot"))
        harness_input(h, PERCEPT_BOOL, 1, DIMS(256), truths);
    else
        harness_floats(h, 2, DIMS(16, 16), some);
    if (strings)
        harness_int(h, "to", PERCEPT_STRING);
    if (!strcmp(op, "Gather") || !strcmp(op, "GatherElements"))
        harness_input(h, PERCEPT_INT64, 2, DIMS(16, 16), places);
    if (!strcmp(op, "GatherND") || !strcmp(op, "ScatterND"))
        harness_int64s(h, 2, DIMS(16, 1), places);
    if (!strcmp(op, "ScatterElements"))
        harness_input(h, PERCEPT_INT64, 2, DIMS(16, 16), places);
    if (!strncmp(op, "Scatter", 7))
        harness_floats(h, 2, DIMS(16, 16), some);
    if (!strcmp(op, "TopK")) {
        harness_int64s(h, 1, DIMS(1), DIMS(5));
        harness_as_known(h);
        harness_outputs(h, 2);
    }
    if (!strcmp(op, "Compress"))
        harness_input(h, PERCEPT_BOOL, 1, DIMS(200), truths);
    if (!strcmp(op, "ReverseSequence"))
        harness_int64s(h, 1, DIMS(16), places);
    if (!strcmp(op, "OneHotEncoder") || !strcmp(op, "ArrayFeatureExtractor"))
        harness_domain(h, "ai.onnx.ml");
    if (!strcmp(op, "OneHotEncoder"))
        harness_int_list(h, "cats_int64s", 2, DIMS(0, 1));
    if (!strcmp(op, "ArrayFeatureExtractor"))
        harness_int64s(h, 1, DIMS(256), places);
}

/* Loops of one thread look before their first stride, and leave the rest when it is over: no fault, no
 * refusal of their own, nothing read that was not written. */
START_TEST(who_is_not_waited_for_stops)
{
    static const char *const ops[] = {"Gather",
                                      "GatherElements",
                                      "GatherND",
                                      "ScatterElements",
                                      "ScatterND",
                                      "TopK",
                                      "NonZero",
                                      "Compress",
                                      "Unique",
                                      "Trilu",
                                      "ReverseSequence",
                                      "EyeLike",
                                      "RandomUniformLike",
                                      "Not",
                                      "IsNaN",
                                      "DynamicQuantizeLinear",
                                      "Cast",
                                      "Exp",
                                      "Transpose",
                                      "Bernoulli",
                                      "OneHotEncoder",
                                      "ArrayFeatureExtractor"};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        struct harness h;
        struct watch watch = {.deadline_ns = 1, .now_ns = long_past};
        give(&h, ops[i]);
        ck_assert_msg(harness_plan(&h), "%s: %s", ops[i], h.err.text);
        h.env.watch = &watch;
        h.env.team = team_new(1, NULL);
        team_watch(h.env.team, &watch);
        looks = 0;
        ck_assert_msg(op_run(&h.step, &h.env, &h.err), "%s: %s", ops[i], h.err.text);
        ck_assert_msg(watch_over(&watch) && looks == 1, "%s looked %d times", ops[i], looks);
        percept_team_free(h.env.team);
        harness_end(&h);
        give(&h, ops[i]); /* and all of it while somebody waits */
        ck_assert_msg(harness_run(&h), "%s: %s", ops[i], h.err.text);
        harness_end(&h);
    }
}
END_TEST

START_TEST(blocks_cover_a_range_once)
{
    struct run_env env = {0};
    int64_t covered = 0;
    for (op_blocks(&env, 3 * OP_BLOCK + 5, from, to)) {
        ck_assert_int_eq(from, covered);
        ck_assert_int_le(to - from, OP_BLOCK);
        covered = to;
    }
    ck_assert_int_eq(covered, 3 * OP_BLOCK + 5);
    for (op_blocks(&env, 0, from, to))
        ck_abort();
    struct watch watch = {.deadline_ns = 1, .now_ns = long_past};
    env.watch = &watch;
    for (op_blocks(&env, 5, from, to))
        ck_abort();
}
END_TEST

/* One row of `n`, one element of a product, one matrix, one block of queries. */
static void give_long(struct harness *h, const char *op, enum percept_dtype dtype, int64_t n, const void *x)
{
    static const int64_t zero = 0;
    harness_begin(h, op, strcmp(op, "Attention") ? 17 : 23);
    if (!strcmp(op, "Attention")) {
        harness_input(h, dtype, 4, DIMS(1, 1, 64, 1), x);
        harness_input(h, dtype, 4, DIMS(1, 1, n / 16, 1), x);
        harness_input(h, dtype, 4, DIMS(1, 1, n / 16, 1), x);
    } else if (!strcmp(op, "MatMul")) {
        harness_input(h, dtype, 2, DIMS(1, n), x);
        harness_input(h, dtype, 2, DIMS(n, 1), x);
    } else if (!strcmp(op, "Det")) {
        harness_input(h, dtype, 2, DIMS(512, 512), x);
    } else if (!strcmp(op, "DFT")) {
        harness_input(h, dtype, 3, DIMS(1, n, 1), x);
    } else {
        harness_input(h, dtype, 1, &n, x);
    }
    if (!strcmp(op, "Normalizer"))
        harness_domain(h, "ai.onnx.ml");
    if (!strcmp(op, "CumSum"))
        harness_int64s(h, 0, NULL, &zero);
    if (!strcmp(op, "LpNormalization") || !strcmp(op, "Softmax") || !strcmp(op, "Hardmax") ||
        !strcmp(op, "LayerNormalization"))
        harness_int(h, "axis", 0);
    if (!strcmp(op, "LayerNormalization"))
        harness_input(h, dtype, 1, &n, x);
    if (!strcmp(op, "MeanVarianceNormalization"))
        harness_int_list(h, "axes", 1, &zero);
}

static int64_t past_later(void)
{
    return ++looks < 4 ? 0 : 2;
}

/* One row, one element of a product, one matrix: there is a look every WATCH_STRIDE or so within it. */
START_TEST(one_long_row_is_left_in_the_middle)
{
    static const struct {
        const char *op;
        enum percept_dtype dtype;
    } cases[] = {{"MatMul", PERCEPT_DOUBLE},
                 {"MatMul", PERCEPT_INT32},
                 {"Det", PERCEPT_FLOAT},
                 {"Det", PERCEPT_DOUBLE},
                 {"CumSum", PERCEPT_FLOAT},
                 {"CumSum", PERCEPT_INT64},
                 {"LpNormalization", PERCEPT_FLOAT},
                 {"LpNormalization", PERCEPT_DOUBLE},
                 {"Softmax", PERCEPT_FLOAT},
                 {"Softmax", PERCEPT_DOUBLE},
                 {"Hardmax", PERCEPT_FLOAT},
                 {"LayerNormalization", PERCEPT_FLOAT},
                 {"LayerNormalization", PERCEPT_DOUBLE},
                 {"MeanVarianceNormalization", PERCEPT_FLOAT},
                 {"DFT", PERCEPT_FLOAT},
                 {"Normalizer", PERCEPT_INT64},
                 {"Attention", PERCEPT_FLOAT}};
    const int64_t n = (int64_t)1 << 20;
    void *x = calloc((size_t)n, 8);
    ck_assert_ptr_nonnull(x);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct harness h;
        struct watch watch = {.deadline_ns = 1, .now_ns = past_later};
        if (!strcmp(cases[i].op, "Det"))
            for (int64_t k = 0; k < n; k++) /* so that there is something to eliminate */
                cast_numbers(cases[i].dtype, (char *)x + (size_t)k * tensor_dtype_bytes(cases[i].dtype), PERCEPT_INT64,
                             &(int64_t){k * k % 7919}, 1);
        else
            memset(x, 0, (size_t)n * 8);
        give_long(&h, cases[i].op, cases[i].dtype, n, x);
        ck_assert_msg(harness_plan(&h), "%s: %s", cases[i].op, h.err.text);
        h.env.watch = &watch;
        h.env.team = team_new(1, NULL);
        team_watch(h.env.team, &watch);
        looks = 0;
        ck_assert_msg(op_run(&h.step, &h.env, &h.err), "%s: %s", cases[i].op, h.err.text);
        ck_assert_msg(watch_over(&watch) && looks == 4, "%s of %s looked %d times", cases[i].op,
                      tensor_dtype_name(cases[i].dtype), looks);
        percept_team_free(h.env.team);
        harness_end(&h);
    }
    free(x);
}
END_TEST

START_TEST(an_input_that_is_left_out_is_null)
{
    struct tensor x;
    struct tensor *in[] = {&x, NULL};
    const struct step step = {.n_in = 2, .in = in};
    ck_assert_ptr_eq(op_in(&step, 0), &x);
    ck_assert_ptr_null(op_in(&step, 1));
    ck_assert_ptr_null(op_in(&step, 2));
    ck_assert_ptr_null(op_in(&step, -1));
}
END_TEST

Suite *op_ops_suite(void)
{
    Suite *suite = suite_create("op/ops");
    TCase *tcase = tcase_create("ops");
    tcase_add_test(tcase, table_is_sorted_by_domain_name_and_opset);
    tcase_add_test(tcase, every_row_can_be_found_and_has_the_verbs);
    tcase_add_test(tcase, unknown_names_domains_and_early_opsets_find_nothing);
    tcase_add_test(tcase, what_will_not_be_there_has_advice);
    tcase_add_test(tcase, fusions_are_accepted_in_the_order_of_execution_only);
    tcase_add_test(tcase, a_shift_alone_needs_no_scale);
    tcase_add_test(tcase, fusions_that_memory_is_short_for_are_refused);
    tcase_add_test(tcase, inputs_can_be_appended);
    tcase_add_test(tcase, an_input_that_is_left_out_is_null);
    tcase_add_test(tcase, what_gives_nothing_takes_no_time);
    tcase_add_test(tcase, what_jumps_at_zero_is_told_denormal_numbers);
    tcase_add_test(tcase, what_compares_is_told_denormal_numbers);
    tcase_add_test(tcase, what_picks_elements_is_told_denormal_numbers);
    tcase_add_test(tcase, moving_keeps_denormal_numbers);
#if defined(__x86_64__) || defined(__aarch64__)
    tcase_add_test(tcase, arithmetic_takes_denormal_numbers_for_zero);
#endif
    tcase_add_test(tcase, arity_names_what_would_work);
    tcase_add_test(tcase, operators_take_and_give_what_their_schemas_say);
    tcase_add_loop_test(tcase, operators_say_how_much_they_compute, 0, sizeof efforts / sizeof *efforts);
    tcase_add_loop_test(tcase, lists_of_integers_are_judged, 0, sizeof listings / sizeof *listings);
    tcase_add_test(tcase, axes_outside_the_rank_are_refused);
    tcase_add_test(tcase, lists_of_integers_are_read_in_either_width);
    tcase_add_test(tcase, who_is_not_waited_for_stops);
    tcase_add_test(tcase, blocks_cover_a_range_once);
    tcase_add_test(tcase, one_long_row_is_left_in_the_middle);
    suite_add_tcase(suite, tcase);
    return suite;
}
