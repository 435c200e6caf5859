/*
 * gen_ml.c - models of ai.onnx.ml's operators, as scikit-learn's converters write them and as they need not,
 * and of StringNormalizer.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "differential/families.h"

#define LABELS 7

static const char *const words[] = {
    "", "a", "b", "ab", "Ab", "\xc3\xa9t\xc3\xa9", "longer than that", "\xc3\x89T\xc3\x89"};
#define WORDS ((int)(sizeof words / sizeof *words))

/* --- attributes that are lists ------------------------------------------------------------------------------------ */

static void texts_attr(struct example *e, const char *name, int n, const char *const *values)
{
    proto_attr_texts(&e->attributes, name, (size_t)n, values);
    example_note(e, " %s[%d]", name, n);
}

static void reals_attr(struct example *e, const char *name, int n, const float *values)
{
    proto_attr_floats(&e->attributes, name, (size_t)n, values);
    example_note(e, " %s[%d]", name, n);
}

static void random_reals(struct example *e, const char *name, int n, double least, double most)
{
    float values[4096];
    for (int i = 0; i < n; i++)
        values[i] = (float)example_real(e, least, most);
    reals_attr(e, name, n, values);
}

/* --- tables ------------------------------------------------------------------------------------------------------- */

/* [N,F] or, for every fifth, [F]. */
static struct tensor *table(struct example *e, const char *types, double least, double most)
{
    const int rank = example_chance(e, 20) ? 1 : 2;
    int64_t dims[2];
    example_dims(e, rank, dims, 0);
    e->never_widen = true;
    return example_input(e, example_type(e, types), rank, dims, least, most);
}

static int columns_of(const struct tensor *x)
{
    return (int)x->dims[x->rank - 1];
}

void gen_scaler(struct example *e)
{
    const struct tensor *x = table(e, "fffdil", -50, 50);
    const int n = example_chance(e, 25) ? 1 : columns_of(x);
    random_reals(e, "offset", n, -20, 20);
    random_reals(e, "scale", n, -3, 3);
    example_output(e, PERCEPT_FLOAT);
}

void gen_imputer(struct example *e)
{
    struct tensor *x = table(e, "ffll", -2, 2);
    const int n = example_chance(e, 30) ? 1 : columns_of(x);
    const bool nan = example_chance(e, 50);
    for (int64_t i = 0; i < tensor_elements(x); i++)
        if (example_chance(e, 30) && e->type == PERCEPT_FLOAT)
            example_set(x, i, nan ? (double)NAN : 1);
    if (e->type == PERCEPT_FLOAT) {
        random_reals(e, "imputed_value_floats", n, -20, 20);
        example_attr_real(e, "replaced_value_float", nan ? (double)NAN : 1);
    } else {
        int64_t values[64];
        for (int i = 0; i < n; i++)
            values[i] = example_int(e, -9, 9);
        example_attr_list(e, "imputed_value_int64s", n, values);
        example_attr(e, "replaced_value_int64", example_int(e, -2, 2));
    }
    example_output(e, e->type);
}

void gen_binarizer(struct example *e)
{
    int64_t dims[RANK_MAX];
    const int rank = (int)example_int(e, 1, 4);
    example_dims(e, rank, dims, 6);
    e->never_widen = true;
    example_input(e, example_type(e, "f"), rank, dims, -3, 3);
    if (example_chance(e, 80))
        example_attr_real(e, "threshold", example_real(e, -2, 2));
    example_output(e, e->type);
}

void gen_normalizer(struct example *e)
{
    static const char *const norms[] = {"MAX", "L1", "L2"};
    struct tensor *x = table(e, "fffdil", -9, 9);
    const int64_t n = columns_of(x);
    for (int64_t i = 0; i < tensor_elements(x); i++)
        if (i / n % 4 == 3)
            example_set(x, i, 0); /* a row of nothing */
    example_attr_text(e, "norm", example_word(e, 3, norms));
    example_output(e, PERCEPT_FLOAT);
}

void gen_vectorizer(struct example *e)
{
    int64_t sizes[6], total = 0;
    const int n = (int)example_int(e, 1, 6);
    const int64_t rows = example_dim(e, 0);
    e->never_widen = true;
    example_type(e, "ffdil");
    for (int i = 0; i < n; i++) {
        sizes[i] = example_dim(e, 0);
        int64_t own = sizes[i] + (example_chance(e, 30) ? example_int(e, -1, 1) : 0);
        own = own < 1 ? 1 : own;
        example_input(e, e->type, 2, (int64_t[]){rows, own}, -99, 99);
        total += sizes[i];
    }
    example_attr_list(e, "inputdimensions", n, sizes);
    example_output(e, PERCEPT_FLOAT);
}

void gen_extractor(struct example *e)
{
    int64_t dims[RANK_MAX], indices[9];
    const int rank = (int)example_int(e, 1, 4), n = (int)example_int(e, 1, 9);
    example_dims(e, rank, dims, 0);
    e->never_widen = true;
    example_input(e, example_type(e, "ffdiltt"), rank, dims, -99, 99);
    for (int i = 0; i < n; i++)
        indices[i] = example_int(e, 0, dims[rank - 1] - 1);
    example_int64s(e, n, indices);
    example_constant(e, 60);
    example_output(e, e->type);
}

/* --- categories --------------------------------------------------------------------------------------------------- */

/* Some of the words, each once. */
static int some_words(struct example *e, const char **chosen, int least)
{
    int64_t order[WORDS];
    const int n = (int)example_int(e, least, WORDS);
    example_shuffle(e, WORDS, order);
    for (int i = 0; i < n; i++)
        chosen[i] = words[order[i]];
    return n;
}

static struct tensor *any_shape(struct example *e, double least, double most)
{
    int64_t dims[RANK_MAX];
    const int rank = (int)example_int(e, 1, 3);
    example_dims(e, rank, dims, 5);
    e->never_widen = true;
    return example_input(e, e->type, rank, dims, least, most);
}

/* `n` keys that differ or values, as the list of this type; as a tensor where `name` ends so. */
static void label_list(struct example *e, const char *what, enum percept_dtype dtype, int n, bool tensor)
{
    char name[40];
    int64_t order[LABELS];
    const char *texts[LABELS];
    float reals[LABELS];
    double doubles[LABELS];
    example_shuffle(e, LABELS, order);
    for (int i = 0; i < n; i++) {
        texts[i] = words[order[i]];
        reals[i] = order[i] == 5 ? NAN : (float)order[i] / 2;
        doubles[i] = (double)reals[i];
    }
    if (!tensor) {
        snprintf(name, sizeof name, "%s_%s", what,
                 dtype == PERCEPT_STRING  ? "strings"
                 : dtype == PERCEPT_INT64 ? "int64s"
                                          : "floats");
        if (dtype == PERCEPT_STRING)
            texts_attr(e, name, n, texts);
        else if (dtype == PERCEPT_INT64)
            example_attr_list(e, name, n, order);
        else
            reals_attr(e, name, n, reals);
        return;
    }
    snprintf(name, sizeof name, "%s_tensor", what);
    struct proto message = proto_tensor_head("t", dtype, 1, (int64_t[]){n});
    for (int i = 0; dtype == PERCEPT_STRING && i < n; i++)
        proto_text(&message, TENSOR_STRING_DATA, texts[i]);
    const void *raw = dtype == PERCEPT_INT64 ? (const void *)order : dtype == PERCEPT_FLOAT ? (void *)reals : doubles;
    if (dtype != PERCEPT_STRING)
        proto_bytes(&message, TENSOR_RAW_DATA, raw, (size_t)n * percept_dtype_bytes(dtype));
    proto_attr_message(&e->attributes, name, ATTR_TENSOR, ATTRIBUTE_T, message);
    example_note(e, " %s[%d]", name, n);
}

static void labels_of_version(struct example *e, int version)
{
    static const char *const pairs[] = {"tl", "lt", "tf", "ft", "lf", "fl", "ll", "tt", "ff", "dd", "dt", "td"};
    const char *pair = pairs[example_int(e, 0, version == 2 ? 5 : 11)];
    const bool tensor = version == 4 && (strchr(pair, 'd') || example_chance(e, 50));
    const int n = (int)example_int(e, 1, LABELS);
    const enum percept_dtype from = example_type(e, (char[]){pair[0], 0}), to = example_dtype(e, (char[]){pair[1], 0});
    struct tensor *x = any_shape(e, 0, 9);
    for (int64_t i = 0; from != PERCEPT_STRING && i < tensor_elements(x); i++)
        example_set(
            x, i, example_is_floating(from) && example_chance(e, 10) ? (double)NAN : (double)example_int(e, 0, 8) / 2);
    label_list(e, "keys", from, n, tensor);
    label_list(e, "values", to, n, tensor);
    if (tensor && example_chance(e, 60))
        label_list(e, "default", to, 1, true);
    else if (!tensor && to == PERCEPT_STRING && example_chance(e, 50))
        example_attr_text(e, "default_string", "nothing");
    else if (!tensor && to == PERCEPT_INT64 && example_chance(e, 50))
        example_attr(e, "default_int64", 42);
    else if (!tensor && to == PERCEPT_FLOAT && example_chance(e, 50))
        example_attr_real(e, "default_float", 1.5);
    example_output(e, to);
}

void gen_label_encoder(struct example *e)
{
    const char *chosen[WORDS];
    e->domain_opset = (int)example_one(e, 5, (int64_t[]){1, 2, 2, 4, 4});
    if (e->domain_opset > 1) {
        labels_of_version(e, e->domain_opset);
        return;
    }
    const bool back = example_type(e, "tl") == PERCEPT_INT64;
    any_shape(e, -2, 9);
    texts_attr(e, "classes_strings", some_words(e, chosen, 1), chosen);
    if (example_chance(e, 50))
        example_attr(e, "default_int64", 42);
    if (example_chance(e, 50))
        example_attr_text(e, "default_string", "nothing");
    example_output(e, back ? PERCEPT_STRING : PERCEPT_INT64);
}

void gen_mapper(struct example *e)
{
    const char *chosen[WORDS];
    int64_t numbers[WORDS];
    const bool back = example_type(e, "tl") == PERCEPT_INT64;
    any_shape(e, -2, 9);
    const int n = some_words(e, chosen, 1);
    example_shuffle(e, WORDS, numbers);
    texts_attr(e, "cats_strings", n, chosen);
    example_attr_list(e, "cats_int64s", n, numbers);
    example_output(e, back ? PERCEPT_STRING : PERCEPT_INT64);
}

void gen_one_hot_encoder(struct example *e)
{
    const char *chosen[WORDS];
    int64_t numbers[WORDS];
    example_type(e, "ttllfd");
    any_shape(e, -2, 9);
    const int n = some_words(e, chosen, 1);
    example_shuffle(e, WORDS, numbers);
    if (e->type == PERCEPT_STRING)
        texts_attr(e, "cats_strings", n, chosen);
    else
        example_attr_list(e, "cats_int64s", n, numbers);
    if (example_chance(e, 40))
        example_attr(e, "zeros", example_chance(e, 70));
    example_output(e, PERCEPT_FLOAT);
}

/* ONNX Runtime's answer is a sequence of maps, which JavaScript cannot have: it is asked for the table. */
void gen_zip_map(struct example *e)
{
    const struct tensor *x = table(e, "f", -1, 1);
    const int n = columns_of(x);
    int64_t labels[64];
    for (int i = 0; i < n; i++)
        labels[i] = 3 * i - 2;
    example_attr_list(e, "classlabels_int64s", n, labels);
    proto_add(&e->instead, GRAPH_NODE, proto_node("Identity", "n", "x0", "y0"));
    example_output(e, PERCEPT_FLOAT);
}

/* --- linear models ------------------------------------------------------------------------------------------------ */

/* Scores stay apart, so that rounding changes no label, and within (0, 1) for PROBIT. */
static int linear(struct example *e, int rows, bool alone)
{
    static const char *const transforms[] = {"NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO"};
    const struct tensor *x = table(e, "fffdil", -4, 4);
    random_reals(e, "coefficients", rows * columns_of(x), -1, 1);
    if (!alone || example_chance(e, 70))
        random_reals(e, "intercepts", rows, -2, 2);
    if (example_chance(e, 80))
        example_attr_text(e, "post_transform", example_word(e, 4, transforms));
    return rows;
}

void gen_linear_classifier(struct example *e)
{
    int64_t numbers[WORDS];
    const char *chosen[WORDS];
    const bool two = example_chance(e, 25), texts = example_chance(e, 50);
    int64_t order[WORDS];
    const int rows = two ? 1 : (int)example_int(e, 2, WORDS), n = two ? 2 : rows;
    linear(e, rows, false);
    example_shuffle(e, WORDS, numbers);
    example_shuffle(e, WORDS, order);
    for (int i = 0; i < WORDS; i++)
        chosen[i] = words[order[i]];
    if (texts)
        texts_attr(e, "classlabels_strings", n, chosen);
    else
        example_attr_list(e, "classlabels_ints", n, numbers);
    example_attr(e, "multi_class", 0);
    example_output(e, texts ? PERCEPT_STRING : PERCEPT_INT64);
    example_output(e, PERCEPT_FLOAT);
}

void gen_linear_regressor(struct example *e)
{
    const int rows = (int)example_int(e, 1, 8);
    int64_t dims[2];
    static const char *const transforms[] = {"NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO"};
    example_dims(e, 2, dims, 0);
    e->never_widen = true;
    example_input(e, example_type(e, "f"), 2, dims, -4, 4);
    random_reals(e, "coefficients", rows * (int)dims[1], -1, 1);
    if (example_chance(e, 70))
        random_reals(e, "intercepts", rows, -2, 2);
    if (rows > 1 || example_chance(e, 50))
        example_attr(e, "targets", rows);
    if (rows > 1 && example_chance(e, 80))
        example_attr_text(e, "post_transform", example_word(e, 4, transforms));
    example_output(e, PERCEPT_FLOAT);
}

/* --- StringNormalizer --------------------------------------------------------------------------------------------- */

void gen_words(struct example *e)
{
    static const char *const actions[] = {"NONE", "LOWER", "UPPER"};
    const char *chosen[WORDS], *stops[WORDS];
    int64_t dims[2] = {1, example_dim(e, 0)};
    const int rank = (int)example_int(e, 1, 2);
    const bool sensitive = example_chance(e, 50);
    e->never_widen = true;
    example_input(e, example_type(e, "t"), rank, rank == 1 ? &dims[1] : dims, 0, 1);
    example_attr_text(e, "case_change_action", example_word(e, 3, actions));
    example_attr(e, "is_case_sensitive", sensitive);
    example_attr_text(e, "locale", "C.UTF-8"); /* the one that every machine has */
    int n = some_words(e, chosen, 1), n_stops = 0;
    for (int i = 0; i < n; i++) /* neither empty nor, in another case, twice: ONNX Runtime refuses them */
        if (*chosen[i] && (sensitive || (chosen[i] != words[3] && chosen[i] != words[5])))
            stops[n_stops++] = chosen[i];
    if (n_stops && example_chance(e, 70))
        texts_attr(e, "stopwords", n_stops, stops);
    example_output(e, PERCEPT_STRING);
}
