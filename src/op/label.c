/*
 * label.c - ai.onnx.ml's operators that go from categories to numbers and back: LabelEncoder,
 * CategoryMapper, OneHotEncoder, ZipMap.
 *
 * All but ZipMap look elements up in a vocabulary: a hash table (graph/names.h) from a key to its
 * place in the file's list. A key is text, or a number written as the eight bytes of an int64 or a
 * double; -0 is 0, and all NaN are one, which no element is before version 4. Of equal keys the
 * first counts.
 *
 * ZipMap makes a sequence of maps in ONNX, one for each row: class label to score. Here its output
 * is the table itself, [N,classes], and the labels are told beside it (label.h): columns are
 * what a client wants, and a map for each row is what nobody can send as a tensor.
 *
 * Threads: loader, then the session's holder with its team. Texts that are given out belong to the
 * model.
 */
#include "op/label.h"

#include <math.h>
#include <string.h>

#include "graph/names.h"
#include "op/attr.h"
#include "op/batch_axis.h"
#include "op/cast.h"
#include "op/types.h"
#include "op/walk.h"

/* --- vocabularies ------------------------------------------------------------------------------------------------- */

#define KEY_UNITS 16 /* looking one up, in op_spend's units */

enum key_kind { KEY_TEXT, KEY_WHOLE, KEY_REAL, KEY_NONE };

struct key {
    struct bytes bytes; /* first: struct names wants it there */
    uint64_t word;      /* a number's eight bytes */
};

struct vocabulary {
    enum key_kind kind;
    struct key *keys; /* in the order of the file */
    int n;
    struct names names;
};

static enum key_kind kind_of(enum percept_dtype dtype)
{
    return dtype == PERCEPT_STRING ? KEY_TEXT
           : types_integer(dtype)  ? KEY_WHOLE
           : types_real(dtype)     ? KEY_REAL
                                   : KEY_NONE;
}

/* `at` may be unaligned. A number's bytes are in key->word: the key must not move. */
static void key_set(struct key *key, enum percept_dtype dtype, const void *at)
{
    if (dtype == PERCEPT_STRING) {
        struct percept_string text;
        memcpy(&text, at, sizeof text);
        key->bytes = bytes_of(text.at, text.n_bytes);
        return;
    }
    uint64_t aligned;
    memcpy(&aligned, at, tensor_dtype_bytes(dtype));
    if (types_integer(dtype)) {
        int64_t value;
        cast_numbers(PERCEPT_INT64, &value, dtype, &aligned, 1);
        memcpy(&key->word, &value, sizeof value);
    } else {
        double value;
        cast_numbers(PERCEPT_DOUBLE, &value, dtype, &aligned, 1);
        value = isnan(value) ? (double)NAN : value == 0 ? 0 : value;
        memcpy(&key->word, &value, sizeof value);
    }
    key->bytes = bytes_of(&key->word, sizeof key->word);
}

static bool is_nan(const struct key *key, enum key_kind kind)
{
    double value;
    memcpy(&value, &key->word, sizeof value);
    return kind == KEY_REAL && isnan(value);
}

static bool vocabulary_make(struct node_ctx *ctx, struct vocabulary *vocabulary, enum percept_dtype dtype,
                            const void *keys, int n, struct percept_err *err)
{
    const size_t size = tensor_dtype_bytes(dtype);
    *vocabulary = (struct vocabulary){.kind = kind_of(dtype), .n = n};
    vocabulary->keys = arena_array(ctx->arena, (size_t)n + 1, sizeof *vocabulary->keys);
    if (!vocabulary->keys || !names_reserve(&vocabulary->names, ctx->arena, (size_t)n))
        return err_memory(err, "a vocabulary", (size_t)n * sizeof *vocabulary->keys);
    for (int i = 0; i < n; i++) {
        key_set(&vocabulary->keys[i], dtype, (const char *)keys + (size_t)i * size);
        if (is_nan(&vocabulary->keys[i], vocabulary->kind) && ctx->node->opset < 4)
            continue;
        if (names_claim(&vocabulary->names, ctx->arena, vocabulary->keys, sizeof *vocabulary->keys,
                        vocabulary->keys[i].bytes, i) < 0)
            return err_memory(err, "a vocabulary", (size_t)n * sizeof *vocabulary->keys);
    }
    return true;
}

static int vocabulary_find(const struct vocabulary *vocabulary, const struct key *key)
{
    return names_find(&vocabulary->names, vocabulary->keys, sizeof *vocabulary->keys, key->bytes);
}

/* --- LabelEncoder, CategoryMapper --------------------------------------------------------------------------------- */

/* From keys to values of one type. */
struct mapping {
    struct vocabulary keys;
    enum percept_dtype dtype; /* of the values */
    const void *values;       /* [keys.n] */
    const void *absent;       /* for what is no key */
};

/* LabelEncoder 1 and CategoryMapper have one for each direction: the input's type tells which. */
struct encoder {
    struct mapping mappings[2];
    int n;
};

/* A list of one of the types that an attribute may have: keys_strings, keys_int64s, keys_floats. */
struct list {
    enum percept_dtype dtype; /* UNDEFINED: none is there */
    const void *data;
    int n;
};

static bool read_list(const struct node_ctx *ctx, const char *strings, const char *ints, const char *floats,
                      struct list *list, struct percept_err *err)
{
    const struct percept_string *s;
    const int64_t *i;
    const float *f;
    int n_s, n_i, n_f;
    if (!attr_texts(ctx, strings, &s, &n_s, err) || !attr_ints(ctx, ints, &i, &n_i, err) ||
        !attr_floats(ctx, floats, &f, &n_f, err))
        return false;
    if ((n_s > 0) + (n_i > 0) + (n_f > 0) > 1)
        return err_set(err, ERR_MODEL, OP_AT "more than one of the attributes '%s', '%s' and '%s' is there",
                       OP_NODE(ctx->node), strings, ints, floats);
    *list = n_s   ? (struct list){PERCEPT_STRING, s, n_s}
            : n_i ? (struct list){PERCEPT_INT64, i, n_i}
            : n_f ? (struct list){PERCEPT_FLOAT, f, n_f}
                  : (struct list){.dtype = PERCEPT_UNDEFINED};
    return true;
}

/* A tensor's elements, aligned and in the model's arena, texts too: the file's bytes go. */
static bool keep_elements(struct node_ctx *ctx, const struct tensor *tensor, struct list *list, struct percept_err *err)
{
    const int64_t n = tensor_elements(tensor);
    const size_t size = tensor_dtype_bytes(tensor->dtype);
    char *copy = n > INT32_MAX ? NULL : arena_array(ctx->arena, (size_t)n + 1, size);
    if (!copy)
        return err_memory(err, "a tensor of labels", (size_t)n * size);
    if (n)
        memcpy(copy, tensor->data, (size_t)n * size);
    struct percept_string *texts = (struct percept_string *)(void *)copy;
    for (int64_t i = 0; tensor->dtype == PERCEPT_STRING && i < n; i++)
        if (!(texts[i].at = arena_text(ctx->arena, texts[i].at, texts[i].n_bytes)))
            return err_memory(err, "a label", texts[i].n_bytes);
    *list = (struct list){tensor->dtype, copy, (int)n};
    return true;
}

static bool read_tensor(struct node_ctx *ctx, const char *name, struct list *list, struct percept_err *err)
{
    const struct tensor *tensor;
    if (!attr_tensor(ctx, name, &tensor, err))
        return false;
    return !tensor || keep_elements(ctx, tensor, list, err);
}

/* The default of a type: an attribute of its own, or one that is kept in `room`. */
static bool read_default(struct node_ctx *ctx, enum percept_dtype dtype, const char *text, int64_t whole,
                         const void **absent, struct percept_err *err)
{
    struct percept_string *room = arena_alloc(ctx->arena, sizeof *room);
    if (!room)
        return err_memory(err, "a default", sizeof *room);
    *absent = room;
    float real;
    if (dtype == PERCEPT_STRING)
        return attr_text(ctx, "default_string", text, room, err);
    if (types_integer(dtype)) {
        if (!attr_int(ctx, "default_int64", whole, &whole, err))
            return false;
        cast_numbers(dtype, room, PERCEPT_INT64, &whole, 1);
        return true;
    }
    if (!attr_float(ctx, "default_float", -0.0f, &real, err))
        return false;
    cast_numbers(dtype, room, PERCEPT_FLOAT, &real, 1);
    return true;
}

static bool add_mapping(struct node_ctx *ctx, struct encoder *encoder, const struct list *keys,
                        const struct list *values, struct percept_err *err)
{
    struct mapping *mapping = &encoder->mappings[encoder->n++];
    mapping->dtype = values->dtype;
    mapping->values = values->data;
    return vocabulary_make(ctx, &mapping->keys, keys->dtype, keys->data, keys->n, err);
}

/* Lists of version 2, tensors since version 4. */
static bool encoder_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct list keys, values, absent = {.dtype = PERCEPT_UNDEFINED};
    struct encoder *encoder = op_priv(ctx, sizeof *encoder, err);
    if (!encoder || !op_arity(ctx, 1, 1, 1, err) ||
        !read_list(ctx, "keys_strings", "keys_int64s", "keys_floats", &keys, err) ||
        !read_list(ctx, "values_strings", "values_int64s", "values_floats", &values, err) ||
        !read_tensor(ctx, "keys_tensor", &keys, err) || !read_tensor(ctx, "values_tensor", &values, err) ||
        !read_tensor(ctx, "default_tensor", &absent, err))
        return false;
    if (keys.n == 0 || keys.n != values.n || kind_of(keys.dtype) == KEY_NONE || kind_of(values.dtype) == KEY_NONE)
        return err_set(err, ERR_MODEL,
                       OP_AT "it has %d keys of %s and %d values of %s; as many of each, strings, "
                             "integers, float32 or float64, would work",
                       OP_NODE(ctx->node), keys.n, tensor_dtype_name(keys.dtype), values.n,
                       tensor_dtype_name(values.dtype));
    if (absent.dtype && (absent.n != 1 || absent.dtype != values.dtype))
        return err_set(err, ERR_MODEL, OP_AT "attribute 'default_tensor' has %d elements of %s; one of %s would work",
                       OP_NODE(ctx->node), absent.n, tensor_dtype_name(absent.dtype), tensor_dtype_name(values.dtype));
    struct mapping *mapping = &encoder->mappings[0];
    mapping->absent = absent.data;
    return add_mapping(ctx, encoder, &keys, &values, err) &&
           (absent.dtype || read_default(ctx, values.dtype, "_Unused", -1, &mapping->absent, err));
}

/* Texts and numbers, each a key of the other. */
static bool both_ways(struct node_ctx *ctx, const struct list *texts, const struct list *numbers,
                      struct percept_err *err)
{
    struct encoder *encoder = ctx->node->priv;
    return read_default(ctx, PERCEPT_INT64, NULL, -1, &encoder->mappings[0].absent, err) &&
           read_default(ctx, PERCEPT_STRING, "_Unused", 0, &encoder->mappings[1].absent, err) &&
           add_mapping(ctx, encoder, texts, numbers, err) && add_mapping(ctx, encoder, numbers, texts, err);
}

static bool classes_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct list texts = {.dtype = PERCEPT_STRING}, numbers = {.dtype = PERCEPT_INT64};
    const struct percept_string *classes;
    if (!op_priv(ctx, sizeof(struct encoder), err) || !op_arity(ctx, 1, 1, 1, err) ||
        !attr_texts(ctx, "classes_strings", &classes, &texts.n, err))
        return false;
    int64_t *places = arena_array(ctx->arena, (size_t)texts.n + 1, sizeof *places);
    if (!places)
        return err_memory(err, "a vocabulary", (size_t)texts.n * sizeof *places);
    for (int i = 0; i < texts.n; i++)
        places[i] = i;
    texts.data = classes;
    numbers.data = places;
    numbers.n = texts.n;
    return both_ways(ctx, &texts, &numbers, err);
}

static bool mapper_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct list texts = {.dtype = PERCEPT_STRING}, numbers = {.dtype = PERCEPT_INT64};
    const struct percept_string *strings;
    const int64_t *ints;
    if (!op_priv(ctx, sizeof(struct encoder), err) || !op_arity(ctx, 1, 1, 1, err) ||
        !attr_texts(ctx, "cats_strings", &strings, &texts.n, err) ||
        !attr_ints(ctx, "cats_int64s", &ints, &numbers.n, err))
        return false;
    if (texts.n != numbers.n)
        return err_set(err, ERR_MODEL,
                       OP_AT "attribute 'cats_strings' has %d values, 'cats_int64s' has %d; as many "
                             "would work",
                       OP_NODE(ctx->node), texts.n, numbers.n);
    texts.data = strings;
    numbers.data = ints;
    return both_ways(ctx, &texts, &numbers, err);
}

/* The mapping whose keys are of the input's type. */
static const struct mapping *mapping_of(const struct step *step)
{
    const struct encoder *encoder = step->priv;
    for (int i = 0; i < encoder->n; i++)
        if (encoder->mappings[i].keys.kind == kind_of(step->in[0]->dtype))
            return &encoder->mappings[i];
    return NULL;
}

static bool encoder_shape(struct step *step, struct percept_err *err)
{
    const struct tensor *x = step->in[0];
    const struct mapping *mapping = mapping_of(step);
    if (!mapping)
        return err_set(err, ERR_MODEL, OP_AT "the input is %s; the type of its keys would work", OP_NODE(step->node),
                       tensor_dtype_name(x->dtype));
    op_set_out(step, 0, mapping->dtype, x->rank, x->dims);
    return true;
}

static void encoder_range(void *arg, int64_t from, int64_t to, int member)
{
    (void)member;
    const struct step *step = arg;
    const struct mapping *mapping = mapping_of(step);
    const struct tensor *x = step->in[0];
    const size_t size = tensor_dtype_bytes(mapping->dtype), each = tensor_dtype_bytes(x->dtype);
    for (int64_t i = from; i < to; i++) {
        struct key key;
        key_set(&key, x->dtype, (const char *)x->data + (size_t)i * each);
        const int found = vocabulary_find(&mapping->keys, &key);
        memcpy((char *)step->out[0]->data + (size_t)i * size,
               found < 0 ? mapping->absent : (const char *)mapping->values + (size_t)found * size, size);
    }
}

static bool encoder_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    team_split(env->team, tensor_elements(step->in[0]), WALK_GRAIN / KEY_UNITS, encoder_range, step);
    return true;
}

const struct op_rule op_label_encoder = {.check = encoder_check,
                                         .shape = encoder_shape,
                                         .run = encoder_run,
                                         .batch = batch_axis_elements,
                                         .flags = OP_EXACT};
const struct op_rule op_label_classes = {.check = classes_check,
                                         .shape = encoder_shape,
                                         .run = encoder_run,
                                         .batch = batch_axis_elements,
                                         .flags = OP_EXACT};
const struct op_rule op_category_mapper = {
    .check = mapper_check, .shape = encoder_shape, .run = encoder_run, .batch = batch_axis_elements, .flags = OP_EXACT};

/* --- OneHotEncoder ------------------------------------------------------------------------------------------------ */

struct one_hot {
    struct vocabulary categories;
    bool zeros; /* what is no category gives a row of zeros; else it is refused */
};

static bool one_hot_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct list list;
    struct one_hot *priv = op_priv(ctx, sizeof *priv, err);
    if (!priv || !op_arity(ctx, 1, 1, 1, err) || !attr_bool(ctx, "zeros", true, &priv->zeros, err) ||
        !read_list(ctx, "cats_strings", "cats_int64s", "", &list, err))
        return false;
    if (!list.n)
        return err_set(err, ERR_MODEL,
                       OP_AT "it has no categories; attribute 'cats_strings' or 'cats_int64s' holds them",
                       OP_NODE(ctx->node));
    return vocabulary_make(ctx, &priv->categories, list.dtype, list.data, list.n, err);
}

static bool one_hot_shape(struct step *step, struct percept_err *err)
{
    const struct one_hot *priv = step->priv;
    const struct tensor *x = step->in[0];
    const bool texts = priv->categories.kind == KEY_TEXT;
    int64_t dims[RANK_MAX + 1];
    if (kind_of(x->dtype) == KEY_NONE || texts != (x->dtype == PERCEPT_STRING))
        return err_set(err, ERR_MODEL, OP_AT "the input is %s, its categories are %s", OP_NODE(step->node),
                       tensor_dtype_name(x->dtype), texts ? "strings" : "integers");
    if (x->rank == RANK_MAX)
        return err_set(err, ERR_UNSUPPORTED, OP_AT "an input of rank %d; up to %d would work", OP_NODE(step->node),
                       x->rank, RANK_MAX - 1);
    memcpy(dims, x->dims, sizeof x->dims);
    dims[x->rank] = priv->categories.n;
    op_set_out(step, 0, PERCEPT_FLOAT, x->rank + 1, dims);
    return true;
}

/* The category of element i, or -1. Fractions are cut, as ONNX Runtime does. */
static int category_of(const struct one_hot *priv, const struct tensor *x, int64_t i)
{
    const void *at = (const char *)x->data + (size_t)i * tensor_dtype_bytes(x->dtype);
    struct key key;
    if (types_real(x->dtype)) {
        double value;
        cast_numbers(PERCEPT_DOUBLE, &value, x->dtype, at, 1);
        if (!(value > -0x1p63 && value < 0x1p63))
            return -1;
        const int64_t whole = (int64_t)value;
        key_set(&key, PERCEPT_INT64, &whole);
    } else {
        key_set(&key, x->dtype, at);
    }
    return vocabulary_find(&priv->categories, &key);
}

static bool one_hot_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    const struct one_hot *priv = step->priv;
    const struct tensor *x = step->in[0];
    float *y = step->out[0]->data;
    op_clear(env, y, (size_t)tensor_elements(step->out[0]) * sizeof *y);
    for (int64_t i = 0, n = tensor_elements(x); i < n && op_spend(env, KEY_UNITS); i++, y += priv->categories.n) {
        const int found = category_of(priv, x, i);
        if (found >= 0)
            y[found] = 1;
        else if (!priv->zeros)
            return err_set(err, ERR_DATA, OP_AT "element %lld is none of its %d categories", OP_NODE(step->node),
                           (long long)i, priv->categories.n);
    }
    return true;
}

/* Columns come behind the axes there are. */
static void one_hot_batch(struct batch_view *view)
{
    struct batch_place place;
    if (batch_axis_first(view, &place))
        batch_axis_all(view, place);
}

const struct op_rule op_one_hot_encoder = {
    .check = one_hot_check, .shape = one_hot_shape, .run = one_hot_run, .batch = one_hot_batch, .flags = OP_EXACT};

/* --- ZipMap ------------------------------------------------------------------------------------------------------- */

struct zip {
    struct list labels;
};

static bool zip_check(struct node_ctx *ctx, struct percept_err *err)
{
    struct zip *priv = op_priv(ctx, sizeof *priv, err);
    if (!priv || !op_arity(ctx, 1, 1, 1, err) ||
        !read_list(ctx, "classlabels_strings", "classlabels_int64s", "", &priv->labels, err))
        return false;
    return priv->labels.n || err_set(err, ERR_MODEL,
                                     OP_AT "it has no labels; attribute 'classlabels_strings' or "
                                           "'classlabels_int64s' holds them",
                                     OP_NODE(ctx->node));
}

static bool zip_shape(struct step *step, struct percept_err *err)
{
    const struct zip *priv = step->priv;
    const struct tensor *x = step->in[0];
    if (!op_want_dtype(step, 0, PERCEPT_FLOAT, err))
        return false;
    char text[128];
    if (x->rank < 1 || x->rank > 2 || x->dims[x->rank - 1] != priv->labels.n)
        return err_set(err, ERR_INVALID, OP_AT "scores of shape %s for %d labels", OP_NODE(step->node),
                       tensor_shape_text(x->rank, x->dims, text, sizeof text), priv->labels.n);
    op_set_out(step, 0, x->dtype, x->rank, x->dims);
    step->alias = 1;
    return true;
}

static bool zip_run(struct step *step, struct run_env *env, struct percept_err *err)
{
    (void)err;
    const struct tensor *x = step->in[0];
    if (step->out[0]->data != x->data)
        op_copy(env, step->out[0]->data, x->data, (size_t)tensor_elements(x) * sizeof(float));
    return true;
}

const struct op_rule op_zip_map = {
    .check = zip_check, .shape = zip_shape, .run = zip_run, .batch = batch_axis_elements};

int label_count(const struct node *node)
{
    const struct zip *zip = node->priv;
    return node->op && node->op->rule == &op_zip_map ? zip->labels.n : 0;
}

const char *label_text(const struct node *node, int i, struct arena *arena)
{
    const struct zip *zip = node->priv;
    const struct list *labels = &zip->labels;
    if (labels->dtype == PERCEPT_STRING) {
        const struct percept_string *text = (const struct percept_string *)labels->data + i;
        return arena_text(arena, text->at, text->n_bytes);
    }
    return arena_printf(arena, "%lld", (long long)((const int64_t *)labels->data)[i]);
}
