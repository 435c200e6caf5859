/*
 * attr.c - reading attributes once, while a model is opened, so that nothing has to ask again later.
 *
 * An attribute of the wrong type is the file's fault (ERR_MODEL); a value outside what its operator
 * defines too. Both sentences name the node, the attribute, what was found and what would work. Arrays
 * and tensors are handed out as they lie in the graph: they live as long as the model.
 */
#include "op/attr.h"

#include <stdio.h>

static const char *type_name(enum attr_type type)
{
    static const char *const names[] = {
        [ATTR_FLOAT] = "a float",
        [ATTR_INT] = "an int",
        [ATTR_STRING] = "a string",
        [ATTR_TENSOR] = "a tensor",
        [ATTR_GRAPH] = "a graph",
        [ATTR_FLOATS] = "floats",
        [ATTR_INTS] = "ints",
        [ATTR_STRINGS] = "strings",
        [ATTR_TENSORS] = "tensors",
        [ATTR_GRAPHS] = "graphs",
        [ATTR_SPARSE] = "a sparse tensor",
    };
    bool known = type >= ATTR_FLOAT && type <= ATTR_SPARSE;
    return known ? names[type] : "of an unknown type";
}

/* *found is NULL when absent; false when its type is another. */
static bool find(const struct node_ctx *ctx, const char *name, enum attr_type type, const struct attr **found,
                 struct percept_err *err)
{
    const struct attr *attr = graph_attr(ctx->node, name);
    if (attr && attr->type != type)
        return err_set(err, ERR_MODEL, OP_AT "attribute '%s' is %s; it must be %s", OP_NODE(ctx->node), name,
                       type_name(attr->type), type_name(type));
    *found = attr;
    return true;
}

bool attr_has(const struct node_ctx *ctx, const char *name)
{
    return graph_attr(ctx->node, name) != NULL;
}

bool attr_int(const struct node_ctx *ctx, const char *name, int64_t absent, int64_t *value, struct percept_err *err)
{
    const struct attr *attr;
    if (!find(ctx, name, ATTR_INT, &attr, err))
        return false;
    *value = attr ? attr->i : absent;
    return true;
}

bool attr_int_in(const struct node_ctx *ctx, const char *name, int64_t absent, int64_t least, int64_t most,
                 int64_t *value, struct percept_err *err)
{
    int64_t found;
    if (!attr_int(ctx, name, absent, &found, err))
        return false;
    if (attr_has(ctx, name) && (found < least || found > most))
        return err_set(err, ERR_MODEL, OP_AT "attribute '%s' is %lld; %lld to %lld would work", OP_NODE(ctx->node),
                       name, (long long)found, (long long)least, (long long)most);
    *value = found;
    return true;
}

bool attr_bool(const struct node_ctx *ctx, const char *name, bool absent, bool *value, struct percept_err *err)
{
    int64_t found;
    if (!attr_int(ctx, name, absent, &found, err))
        return false;
    *value = found != 0;
    return true;
}

bool attr_float(const struct node_ctx *ctx, const char *name, float absent, float *value, struct percept_err *err)
{
    const struct attr *attr;
    if (!find(ctx, name, ATTR_FLOAT, &attr, err))
        return false;
    *value = attr ? attr->f : absent;
    return true;
}

static bool count_fits(const struct node_ctx *ctx, const struct attr *attr, const char *name, struct percept_err *err)
{
    if (!attr || attr->n <= INT32_MAX)
        return true;
    return err_set(err, ERR_MODEL, OP_AT "attribute '%s' has %zu values", OP_NODE(ctx->node), name, attr->n);
}

bool attr_ints(const struct node_ctx *ctx, const char *name, const int64_t **values, int *n, struct percept_err *err)
{
    const struct attr *attr;
    if (!find(ctx, name, ATTR_INTS, &attr, err) || !count_fits(ctx, attr, name, err))
        return false;
    *values = attr ? attr->ints : NULL;
    *n = attr ? (int)attr->n : 0;
    return true;
}

bool attr_floats(const struct node_ctx *ctx, const char *name, const float **values, int *n, struct percept_err *err)
{
    const struct attr *attr;
    if (!find(ctx, name, ATTR_FLOATS, &attr, err) || !count_fits(ctx, attr, name, err))
        return false;
    *values = attr ? attr->floats : NULL;
    *n = attr ? (int)attr->n : 0;
    return true;
}

/* "A, B, C" of the choices, as far as it fits. */
static void list_choices(const char *const *choices, char *text, size_t n)
{
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; choices[i] && used < n; i++) {
        int more = snprintf(text + used, n - used, "%s%s", i ? ", " : "", choices[i]);
        if (more < 0)
            return;
        used += (size_t)more;
    }
}

bool attr_choice(const struct node_ctx *ctx, const char *name, int absent, const char *const *choices, int *value,
                 struct percept_err *err)
{
    const struct attr *attr;
    if (!find(ctx, name, ATTR_STRING, &attr, err))
        return false;
    if (!attr) {
        *value = absent;
        return true;
    }
    for (int i = 0; choices[i]; i++) {
        if (bytes_is(attr->s, choices[i])) {
            *value = i;
            return true;
        }
    }
    char known[200];
    list_choices(choices, known, sizeof known);
    return err_set(err, ERR_UNSUPPORTED, OP_AT "attribute '%s' is '" BYTES_FMT "'; known are %s", OP_NODE(ctx->node),
                   name, BYTES_ARG(attr->s), known);
}

static struct percept_string text_of(struct bytes text)
{
    return (struct percept_string){.at = (const char *)text.at, .n_bytes = bytes_size(text)};
}

bool attr_text(const struct node_ctx *ctx, const char *name, const char *absent, struct percept_string *value,
               struct percept_err *err)
{
    const struct attr *attr;
    if (!find(ctx, name, ATTR_STRING, &attr, err))
        return false;
    *value = text_of(attr ? attr->s : bytes_of_text(absent));
    return true;
}

bool attr_texts(const struct node_ctx *ctx, const char *name, const struct percept_string **values, int *n,
                struct percept_err *err)
{
    const struct attr *attr;
    if (!find(ctx, name, ATTR_STRINGS, &attr, err) || !count_fits(ctx, attr, name, err))
        return false;
    *values = NULL;
    *n = 0;
    if (!attr)
        return true;
    struct percept_string *texts = arena_array(ctx->arena, attr->n + 1, sizeof *texts);
    if (!texts)
        return err_memory(err, "an attribute's texts", attr->n * sizeof *texts);
    for (size_t i = 0; i < attr->n; i++)
        texts[i] = text_of(attr->strings[i]);
    *values = texts;
    *n = (int)attr->n;
    return true;
}

bool attr_tensor(const struct node_ctx *ctx, const char *name, const struct tensor **value, struct percept_err *err)
{
    const struct attr *attr;
    if (!find(ctx, name, ATTR_TENSOR, &attr, err))
        return false;
    *value = attr ? attr->tensor : NULL;
    return true;
}

bool attr_graph(const struct node_ctx *ctx, const char *name, struct graph **value, struct percept_err *err)
{
    const struct attr *attr;
    if (!find(ctx, name, ATTR_GRAPH, &attr, err))
        return false;
    *value = attr ? attr->graph : NULL;
    return true;
}
