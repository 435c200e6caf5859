/* The proof that items stay apart: what it says of each operator, and never more than a run shows. */
#include "engine/items.h"

#include <check.h>
#include <string.h>

#include "engine/small.h"
#include "mates.h"

/* One node between x (and what is fixed) and y. */
struct sample {
    const char *op_type, *inputs;
    int rank;
    int64_t dims[4]; /* of x */
    bool independent;
    const char *attr;
    int64_t value[4];
    int n_values; /* of a list; 0: an integer */
};

static const struct sample samples[] = {
    {"Relu", "x", 2, {-1, 6}, .independent = true},
    {"Affine", "x", 2, {-1, 6}, .independent = true},
    {"Add", "x,x", 2, {-1, 6}, .independent = true},
    {"Mul", "x,row", 2, {-1, 6}, .independent = true},
    {"Mul", "x,line", 2, {-1, 6}, .independent = true},
    {"Add", "x,cube", 2, {-1, 6}, .independent = true}, /* rank 3: what was first is second */
    {"Conv", "x,kernel", 3, {-1, 2, 6}, .independent = true},
    {"MaxPool", "x", 3, {-1, 2, 6}, .independent = true, "kernel_shape", {2}, 1},
    {"Softmax", "x", 2, {-1, 6}, .independent = true, "axis", {1}},
    {"Softmax", "x", 2, {-1, 6}, .independent = true, "axis", {-1}},
    {"Softmax", "x", 2, {-1, 6}, .independent = false, "axis", {0}},
    {"Softmax", "x", 2, {-1, 6}, .independent = false, "axis", {-2}},
    {"CumSum", "x,zero", 2, {-1, 6}, .independent = false},
    {"Transpose", "x", 3, {-1, 2, 6}, .independent = true, "perm", {0, 2, 1}, 3},
    {"Transpose", "x", 3, {-1, 2, 6}, .independent = true, "perm", {1, 0, 2}, 3}, /* likewise */
    {"Concat", "x,x", 2, {-1, 6}, .independent = true, "axis", {1}},
    {"Concat", "x,x", 2, {-1, 6}, .independent = false, "axis", {0}},
    {"Concat", "x,x", 2, {-1, 6}, .independent = false, "axis", {-2}},
    {"ReduceMean", "x", 3, {-1, 2, 6}, .independent = true, "axes", {1, -1}, 2},
    {"ReduceMean", "x", 3, {-1, 2, 6}, .independent = false, "axes", {1, -3}, 2},
    {"ReduceMean", "x", 3, {-1, 2, 6}, .independent = false, NULL, {0}},
    {"Reshape", "x,halves", 3, {-1, 2, 6}, .independent = true},
    {"Reshape", "x,two_rows", 3, {-1, 2, 6}, .independent = false},
    {"Gather", "table,x", 2, {-1, 6}, .independent = true},
    {"Gather", "x,turned", 2, {-1, 6}, .independent = true, "axis", {1}},
    {"Slice", "x,zero,end", 2, {-1, 6}, .independent = true},
    {"Slice", "x,last,far,zero,back", 2, {-1, 6}, .independent = false}, /* items in reverse */
    {"ArgMax", "x", 2, {-1, 6}, .independent = true, "axis", {1}},
    {"ArgMax", "x", 2, {-1, 6}, .independent = false, NULL, {0}},
    {"TopK", "x,three", 2, {-1, 6}, .independent = true},
    {"TopK", "x,three", 2, {-1, 6}, .independent = false, "axis", {0}},
    {"QuantizeLinear", "x,half", 2, {-1, 6}, .independent = true},
    {"QuantizeLinear", "x,row", 2, {-1, 6}, .independent = true, "axis", {1}},
    {"ArgMin", "x", 2, {-1, 6}, .independent = true, "axis", {-1}},
    {"LayerNormalization", "x,row", 2, {-1, 6}, .independent = true},
    {"LayerNormalization", "x,row", 2, {-1, 6}, .independent = false, "axis", {-2}},
    {"TopK", "x,three", 2, {-1, 6}, .independent = false, "axis", {-2}},
    {"Resize", "x,,,sizes", 3, {-1, 2, 6}, .independent = false}, /* of 4 items */
    {"Pad", "x,widened", 2, {-1, 6}, .independent = true},
    {"Pad", "x,shifted", 2, {-1, 6}, .independent = false},
    {"MatMul", "x,square", 2, {-1, 6}, .independent = true},
    {"MatMul", "x,x", 4, {-1, 2, 6, 6}, .independent = true},
    {"MatMul", "x,x", 3, {-1, 6, 6}, .independent = true},
    {"Gemm", "x,square", 2, {-1, 6}, .independent = true},
    {"Gemm", "x,square", 2, {-1, 6}, .independent = true, "transB", {1}},
    {"Resize", "x,,twice", 3, {-1, 2, 6}, .independent = true},
    {"Expand", "x,wide", 3, {-1, 2, 1}, .independent = true},
};

static void add_fixed(struct small *s)
{
    small_weights(s, "row", 1, DIMS(6), 1);
    small_weights(s, "line", 2, DIMS(1, 6), 2);
    small_weights(s, "cube", 3, DIMS(4, 1, 6), 3);
    small_weights(s, "kernel", 3, DIMS(3, 2, 2), 4);
    small_weights(s, "square", 2, DIMS(6, 6), 5);
    small_weights(s, "table", 2, DIMS(30, 3), 6);
    small_floats(s, "twice", 1, DIMS(3), (float[]){1, 1, 2});
    small_floats(s, "half", 0, NULL, (float[]){0.5f});
    small_ints(s, "three", 1, DIMS(3));
    small_ints(s, "sizes", 3, DIMS(4, 2, 9));
    small_ints(s, "zero", 1, DIMS(0));
    small_ints(s, "end", 1, DIMS(1000));
    small_ints(s, "last", 1, DIMS(-1));
    small_ints(s, "far", 1, DIMS(-1000));
    small_ints(s, "back", 1, DIMS(-1));
    small_ints(s, "halves", 3, DIMS(-1, 4, 3));
    small_ints(s, "two_rows", 2, DIMS(2, -1));
    small_ints(s, "turned", 2, DIMS(1, 0));
    small_ints(s, "widened", 4, DIMS(0, 1, 0, 2));
    small_ints(s, "shifted", 4, DIMS(1, 0, -1, 0));
    small_ints(s, "wide", 3, DIMS(1, 2, 5));
}

static struct percept_model *open_sample(const struct sample *sample)
{
    struct small s = small_begin();
    const bool indices = sample->op_type[0] == 'G' && sample->inputs[0] == 't';
    proto_add(&s.graph, GRAPH_INPUT,
              proto_value("x", indices ? PERCEPT_INT64 : PERCEPT_FLOAT, sample->rank, sample->dims));
    small_output(&s, "y", -1, NULL);
    add_fixed(&s);
    struct proto node = proto_node(sample->op_type, "", sample->inputs, "out");
    if (sample->n_values)
        proto_attr_ints(&node, sample->attr, (size_t)sample->n_values, sample->value);
    else if (sample->attr)
        proto_attr_int(&node, sample->attr, sample->value[0]);
    proto_add(&s.graph, GRAPH_NODE, node);
    small_node(&s, "Identity", "out", "y");
    return small_open(&s);
}

START_TEST(an_operator_is_proved_apart_or_not)
{
    const struct sample *sample = &samples[_i];
    struct percept_model *model = open_sample(sample);
    char what[160] = "";
    ck_assert_msg(small_describe(model).batch_free == sample->independent, "%s of %s: %s", sample->op_type,
                  sample->inputs, small_describe(model).batch_reason);
    const enum mates_found found = mates_compare(model, 5, 1, false, what, sizeof what);
    ck_assert_msg(found != MATES_OTHER, "%s of %s: %s", sample->op_type, sample->inputs, what);
    ck_assert_int_eq(found == MATES_SAME, sample->independent);
    percept_close(model);
}
END_TEST

/* Nodes of ai.onnx.ml between x and y. */
static struct proto scaler(void)
{
    struct proto node = proto_ml("Scaler", "x", "out");
    proto_attr_floats(&node, "offset", 6, (const float[]){1, 2, 3, 4, 5, 6});
    return node;
}

static struct proto imputer(void)
{
    struct proto node = proto_ml("Imputer", "x", "out");
    proto_attr_floats(&node, "imputed_value_floats", 1, (const float[]){7});
    return node;
}

static struct proto normalizer(void)
{
    struct proto node = proto_ml("Normalizer", "x", "out");
    proto_attr_text(&node, "norm", "L2");
    return node;
}

static struct proto vectorizer(void)
{
    struct proto node = proto_ml("FeatureVectorizer", "x,x", "out");
    proto_attr_ints(&node, "inputdimensions", 2, DIMS(4, 7));
    return node;
}

static struct proto half_a_vectorizer(void)
{
    struct proto node = proto_ml("FeatureVectorizer", "x,row", "out"); /* one row for a batch of one alone */
    proto_attr_ints(&node, "inputdimensions", 2, DIMS(6, 6));
    return node;
}

static struct proto extractor(void)
{
    return proto_ml("ArrayFeatureExtractor", "x,turned", "out");
}

static struct proto label_encoder(void)
{
    struct proto node = proto_ml("LabelEncoder", "x", "out");
    proto_attr_floats(&node, "keys_floats", 2, (const float[]){0, 1});
    proto_attr_floats(&node, "values_floats", 2, (const float[]){5, 6});
    return node;
}

static struct proto one_hot_encoder(void)
{
    struct proto node = proto_ml("OneHotEncoder", "x", "out");
    proto_attr_ints(&node, "cats_int64s", 2, DIMS(0, 1));
    return node;
}

static struct proto zip_map(void)
{
    struct proto node = proto_ml("ZipMap", "x", "out");
    proto_attr_ints(&node, "classlabels_int64s", 6, DIMS(0, 1, 2, 3, 4, 5));
    return node;
}

static struct proto regressor(void)
{
    struct proto node = proto_ml("LinearRegressor", "x", "out");
    proto_attr_floats(&node, "coefficients", 6, (const float[]){1, -2, 3, 4, 0.1f, 6});
    return node;
}

static struct proto classifier(void)
{
    struct proto node = proto_ml("LinearClassifier", "x", "labels,out");
    proto_attr_floats(&node, "coefficients", 12, (const float[]){1, -2, 3, 4, 5, 6, 6, 5, 4, 3, 0.2f, -1});
    proto_attr_ints(&node, "classlabels_ints", 2, DIMS(0, 1));
    return node;
}

static const struct {
    struct proto (*node)(void);
    int rank;
    bool independent;
} tables[] = {{scaler, 2, true},
              {imputer, 2, true},
              {imputer, 1, true},
              {normalizer, 2, true},
              {normalizer, 1, false},
              {vectorizer, 2, true},
              {half_a_vectorizer, 2, false},
              {extractor, 2, true},
              {extractor, 1, false},
              {label_encoder, 2, true},
              {one_hot_encoder, 2, true},
              {zip_map, 2, true},
              {regressor, 2, true},
              {classifier, 2, true}};

static struct percept_model *open_ml(struct small *s)
{
    struct percept_err err = {0};
    struct proto file = small_end(s);
    proto_add(&file, MODEL_OPSET_IMPORT, proto_opset("ai.onnx.ml", 2));
    struct percept_model *model = percept_open_memory(file.at, file.n, NULL, &err);
    proto_free(&file);
    ck_assert_msg(model != NULL, "%s", err.text);
    return model;
}

START_TEST(tables_are_proved_apart_row_by_row)
{
    struct small s = small_xy(tables[_i].rank, DIMS(-1, 6));
    add_fixed(&s);
    proto_add(&s.graph, GRAPH_NODE, tables[_i].node());
    small_node(&s, "Identity", "out", "y");
    struct percept_model *model = open_ml(&s);
    char what[160] = "";
    ck_assert_msg(small_describe(model).batch_free == tables[_i].independent, "%d: %s", _i,
                  small_describe(model).batch_reason);
    if (tables[_i].independent)
        ck_assert_msg(mates_compare(model, 5, 1, false, what, sizeof what) == MATES_SAME, "%d: %s", _i, what);
    percept_close(model);
}
END_TEST

/* As scikit-learn's classifiers end: the class of each item is looked up, [1,N], and put into a list. */
START_TEST(labels_that_items_name_are_apart)
{
    struct small s = small_xy(2, DIMS(-1, 6));
    add_fixed(&s);
    small_ints(&s, "list", 1, DIMS(-1));
    small_node_int(&s, "ArgMax", "x", "best", "axis", 1);
    proto_add(&s.graph, GRAPH_NODE, proto_ml("ArrayFeatureExtractor", "row,best", "named"));
    small_node(&s, "Reshape", "named,list", "y");
    struct percept_model *model = open_ml(&s);
    char what[160] = "";
    ck_assert_msg(small_describe(model).batch_free, "%s", small_describe(model).batch_reason);
    ck_assert_msg(mates_compare(model, 5, 1, false, what, sizeof what) == MATES_SAME, "%s", what);
    percept_close(model);
}
END_TEST

START_TEST(words_that_may_be_dropped_are_not_apart)
{
    for (int stops = 0; stops < 2; stops++) {
        struct small s = small_begin();
        struct proto node = proto_node("StringNormalizer", "", "x", "y");
        if (stops)
            proto_attr_texts(&node, "stopwords", 1, (const char *const[]){"the"});
        proto_add(&s.graph, GRAPH_INPUT, proto_value("x", PERCEPT_STRING, 1, DIMS(-1)));
        small_output(&s, "y", -1, NULL);
        proto_add(&s.graph, GRAPH_NODE, node);
        struct percept_model *model = small_open(&s);
        ck_assert_msg(small_describe(model).batch_free == !stops, "%s", small_describe(model).batch_reason);
        percept_close(model);
    }
}
END_TEST

/* Rows of two halves each, put beside each other and together again: the first axis is twice the batch. */
START_TEST(an_item_may_have_several_rows_in_between)
{
    struct small s = small_xy(3, DIMS(-1, 2, 6));
    small_ints(&s, "column", 2, DIMS(-1, 1));
    small_ints(&s, "back", 3, DIMS(-1, 2, 12));
    small_node(&s, "Reshape", "x,column", "a");
    proto_add(&s.graph, GRAPH_NODE, proto_node("Relu", "", "a", "b"));
    small_node_int(&s, "Concat", "a,b", "c", "axis", 1);
    small_node(&s, "Reshape", "c,back", "y");
    struct percept_model *model = small_open(&s);
    char what[160];
    ck_assert(small_describe(model).batch_free);
    ck_assert_int_eq(mates_compare(model, 5, 1, false, what, sizeof what), MATES_SAME);
    percept_close(model);
}
END_TEST

/* x [-1, 2, 6] resized to its own batch and twice its length, which a Shape and a Concat say. */
static bool sized_is_apart(bool keep_aspect)
{
    struct small s = small_xy(3, DIMS(-1, 2, 6));
    s.opset = 18;
    small_ints(&s, "first", 1, DIMS(0));
    small_ints(&s, "rest", 2, DIMS(2, 12));
    small_node(&s, "Shape", "x", "shape");
    small_node(&s, "Gather", "shape,first", "n");
    small_node_int(&s, "Concat", "n,rest", "sizes", "axis", 0);
    struct proto node = proto_node("Resize", "", "x,,,sizes", "y");
    if (keep_aspect)
        proto_attr_text(&node, "keep_aspect_ratio_policy", "not_smaller");
    proto_add(&s.graph, GRAPH_NODE, node);
    struct percept_model *model = small_open(&s);
    const bool apart = small_describe(model).batch_free;
    percept_close(model);
    return apart;
}

START_TEST(sizes_that_leave_the_batch_keep_items_apart)
{
    ck_assert(sized_is_apart(false));
    ck_assert(!sized_is_apart(true)); /* scales the batch as well */
}
END_TEST

/* A count along the batch follows from shapes alone, and differs from item to item. */
START_TEST(what_follows_from_the_size_of_the_batch_is_not_fixed)
{
    struct small s = small_xy(2, DIMS(-1, 6));
    small_floats(&s, "zero", 0, NULL, (float[]){0});
    small_floats(&s, "one", 0, NULL, (float[]){1});
    small_ints(&s, "first", 1, DIMS(0));
    small_ints(&s, "column", 2, DIMS(-1, 1));
    small_node(&s, "Shape", "x", "shape");
    small_node(&s, "Gather", "shape,first", "n");
    small_node(&s, "Squeeze", "n", "count");
    small_node_int(&s, "Cast", "count", "many", "to", PERCEPT_FLOAT);
    small_node(&s, "Range", "zero,many,one", "counts");
    small_node(&s, "Reshape", "counts,column", "col");
    small_node(&s, "Add", "x,col", "y");
    struct percept_model *model = small_open(&s);
    ck_assert(!small_describe(model).batch_free);
    percept_close(model);
}
END_TEST

START_TEST(every_output_has_to_be_apart)
{
    struct small s = small_xy(2, DIMS(-1, 6));
    small_output(&s, "z", -1, NULL);
    small_node(&s, "Relu", "x", "y");
    small_node_int(&s, "Softmax", "x", "z", "axis", 0);
    struct percept_model *model = small_open(&s);
    ck_assert(!small_describe(model).batch_free);
    percept_close(model);
}
END_TEST

/* A picture for all items beside what a convolution gives, and then a sum over its pixels: in one layout, however
 * many items there are. The others are what it is combined with, and how. */
static const struct {
    const char *combine, *inputs, *sum;
} pictures[] = {
    {"Add", "c,place", "GlobalAveragePool"},   {"Add", "place,c", "ReduceMean"},
    {"Sub", "place,c", "GlobalLpPool"},        {"Mul", "c,place", "InstanceNormalization"},
    {"Div", "c,place", "ReduceSumSquare"},     {"Max", "place,c", "GlobalAveragePool"},
    {"Sum", "c,place,place", "ReduceMean"},    {"Sum", "place,c,c", "GlobalAveragePool"},
    {"PRelu", "c,place", "GlobalAveragePool"}, {"Add", "c,channels", "GlobalAveragePool"},
};

START_TEST(a_picture_for_all_items_leaves_the_order_of_sums)
{
    struct small s = small_xy(4, DIMS(-1, 16, 9, 9));
    small_weights(&s, "weights", 4, DIMS(16, 16, 3, 3), 1);
    small_weights(&s, "place", 4, DIMS(1, 16, 7, 7), 2);
    small_weights(&s, "channels", 4, DIMS(1, 16, 1, 1), 3);
    small_weights(&s, "scale", 1, DIMS(16), 4);
    small_node(&s, "Conv", "x,weights", "c");
    small_node(&s, pictures[_i].combine, pictures[_i].inputs, "d");
    struct proto sum = proto_node(pictures[_i].sum, "", pictures[_i].sum[0] == 'I' ? "d,scale,scale" : "d", "y");
    if (pictures[_i].sum[0] == 'R')
        proto_attr_ints(&sum, "axes", 2, DIMS(2, 3));
    proto_add(&s.graph, GRAPH_NODE, sum);
    struct percept_model *model = small_open(&s);
    char what[160] = "";
    const enum mates_found found = mates_compare(model, 5, 1, false, what, sizeof what);
    ck_assert_msg(found != MATES_OTHER, "%s, %s: %s", pictures[_i].combine, pictures[_i].sum, what);
    ck_assert_msg(small_describe(model).batch_free || strcmp(pictures[_i].inputs, "place,c,c") == 0, "%s: %s",
                  pictures[_i].combine, small_describe(model).batch_reason);
    percept_close(model);
}
END_TEST

/* Of 0 and -0 one is the lesser, and the same one where a map is one pixel and -0 is of its shape for one item
 * alone. */
START_TEST(zeros_are_told_apart_alike)
{
    static const struct {
        const char *combine, *inputs;
        int64_t pixels;
    } zeros[] = {{"Min", "least,r", 1}, {"Max", "least,r", 1}, {"Min", "r,least", 1}, {"Max", "least,r", 2}};
    struct small s = small_xy(4, DIMS(-1, 16, zeros[_i].pixels, zeros[_i].pixels));
    float least[16], none[16 * 16] = {0};
    for (int i = 0; i < 16; i++)
        least[i] = -0.0f;
    small_floats(&s, "weights", 4, DIMS(16, 16, 1, 1), none);
    small_floats(&s, "least", 4, DIMS(1, 16, 1, 1), least);
    small_node(&s, "Conv", "x,weights", "c");
    small_node(&s, "Relu", "c", "r");
    small_node(&s, zeros[_i].combine, zeros[_i].inputs, "m");
    small_node(&s, "Reciprocal", "m", "y");
    struct percept_model *model = small_open(&s);
    char what[160] = "";
    ck_assert_msg(mates_compare(model, 5, 1, false, what, sizeof what) == MATES_SAME, "%s(%s): %s", zeros[_i].combine,
                  zeros[_i].inputs, what);
    percept_close(model);
}
END_TEST

/* Sums over time in front of the batch: among the columns of what is summed are the items, however many there are. */
START_TEST(a_long_sum_goes_the_same_way_with_more_columns)
{
    static const struct {
        const char *op_type;
        int64_t times, width;
    } sums[] = {{"ReduceMean", 1500, 100},     {"ReduceSumSquare", 3000, 90}, {"ReduceL1", 20000, 9},
                {"ReduceLogSumExp", 700, 3},   {"ReduceLogSumExp", 300, 40},  {"ReduceL2", 1100, 130},
                {"LpNormalization", 3000, 30}, {"Softmax", 3000, 30}};
    struct small s = small_xy(3, DIMS(-1, sums[_i].times, sums[_i].width));
    const bool reduces = sums[_i].op_type[0] == 'R';
    struct proto node = proto_node(sums[_i].op_type, "", "t", reduces ? "y" : "u");
    struct proto turn = proto_node("Transpose", "", "x", "t"), back = proto_node("Transpose", "", "u", "y");
    proto_attr_ints(&turn, "perm", 3, DIMS(1, 0, 2));
    proto_attr_ints(&back, "perm", 3, DIMS(1, 0, 2));
    proto_add(&s.graph, GRAPH_NODE, turn);
    if (reduces) {
        proto_attr_ints(&node, "axes", 1, DIMS(0));
        proto_attr_int(&node, "keepdims", 0);
        proto_free(&back);
    } else {
        proto_attr_int(&node, "axis", 0);
    }
    proto_add(&s.graph, GRAPH_NODE, node);
    if (!reduces)
        proto_add(&s.graph, GRAPH_NODE, back);
    struct percept_model *model = small_open(&s);
    char what[160] = "";
    ck_assert_msg(mates_compare(model, 5, 1, false, what, sizeof what) == MATES_SAME, "%s: %s", sums[_i].op_type, what);
    percept_close(model);
}
END_TEST

Suite *engine_items_suite(void);
Suite *engine_items_suite(void)
{
    Suite *suite = suite_create("engine_items");
    TCase *tests = tcase_create("items");
    tcase_add_loop_test(tests, an_operator_is_proved_apart_or_not, 0, (int)(sizeof samples / sizeof *samples));
    tcase_add_loop_test(tests, tables_are_proved_apart_row_by_row, 0, (int)(sizeof tables / sizeof *tables));
    tcase_add_test(tests, labels_that_items_name_are_apart);
    tcase_add_test(tests, words_that_may_be_dropped_are_not_apart);
    tcase_add_test(tests, an_item_may_have_several_rows_in_between);
    tcase_add_test(tests, sizes_that_leave_the_batch_keep_items_apart);
    tcase_add_test(tests, what_follows_from_the_size_of_the_batch_is_not_fixed);
    tcase_add_test(tests, every_output_has_to_be_apart);
    tcase_add_loop_test(tests, a_long_sum_goes_the_same_way_with_more_columns, 0, 8);
    tcase_add_loop_test(tests, zeros_are_told_apart_alike, 0, 4);
    tcase_add_loop_test(tests, a_picture_for_all_items_leaves_the_order_of_sums, 0,
                        (int)(sizeof pictures / sizeof *pictures));
    suite_add_tcase(suite, tests);
    return suite;
}
