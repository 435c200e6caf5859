/*
 * dump.c - a graph as text, so that a fuzzer touches every name, list and element that a reader left
 * behind. One line a value that comes from outside, one line a node; a subgraph is indented beneath the
 * node that has it:
 *
 *     graph main
 *       input x float32[N,3]
 *       constant w float32[3,2] = 0.5, -1, 2, ...
 *       y = MatMul-13(x, w)                                # node 'fc'
 *       z = If-16(c) {then_branch=graph, else_branch=graph}  # node 'choose'
 *         graph then
 *           captured y
 *       output y float32[N,2]
 *
 * What is not printable is shown as \xNN: a dump may be looked at. Long lists are cut after a few elements. Dead
 * nodes are left out.
 */
#include "dump.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#define SHOWN 8 /* elements of a list */

struct dump {
    struct arena *arena;
    char *text;
    size_t n, cap; /* cap counts the NUL */
    bool failed;
};

static void put_bytes(struct dump *dump, const char *at, size_t n)
{
    if (n >= dump->cap - dump->n) {
        size_t cap = dump->cap * 2 > dump->n + n + 1 ? dump->cap * 2 : dump->n + n + 1;
        char *grown = dump->failed ? NULL : arena_grow(dump->arena, dump->text, dump->cap, cap);
        if (!grown) {
            dump->failed = true;
            return;
        }
        dump->text = grown;
        dump->cap = cap;
    }
    memcpy(dump->text + dump->n, at, n);
    dump->n += n;
    dump->text[dump->n] = 0;
}

static void put(struct dump *dump, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* For short texts: numbers, types, keywords. */
static void put(struct dump *dump, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    put_bytes(dump, text, strlen(text));
}

static void put_name(struct dump *dump, struct bytes name)
{
    for (const uint8_t *at = name.at; at < name.end; at++) {
        if (*at < 0x20 || *at == 0x7f || *at == '\\')
            put(dump, "\\x%02x", *at);
        else
            put_bytes(dump, (const char *)at, 1);
    }
}

static void put_indent(struct dump *dump, int depth)
{
    for (int i = 0; i < depth; i++)
        put_bytes(dump, "  ", 2);
}

static void put_type(struct dump *dump, const struct value *v)
{
    if (v->dtype != PERCEPT_UNDEFINED)
        put(dump, " %s", tensor_dtype_name(v->dtype));
    if (v->rank < 0)
        return;
    put(dump, "[");
    for (int i = 0; i < v->rank; i++) {
        put(dump, i ? "," : "");
        if (v->dims[i] >= 0)
            put(dump, "%" PRId64, v->dims[i]);
        else if (v->dim_names[i].at != v->dim_names[i].end)
            put_name(dump, v->dim_names[i]);
        else
            put(dump, "?");
    }
    put(dump, "]");
}

/* Element i of data that may be unaligned. */
static void put_element(struct dump *dump, enum percept_dtype dtype, const char *data, int64_t i)
{
    uint64_t bits = 0;
    size_t size = tensor_dtype_bytes(dtype);
    if (dtype == PERCEPT_STRING) {
        struct percept_string s;
        memcpy(&s, data + (size_t)i * size, size);
        put(dump, "'");
        put_name(dump, bytes_of(s.at, s.n_bytes));
        put(dump, "'");
        return;
    }
    memcpy(&bits, data + (size_t)i * size, size);
    float f;
    double d;
    memcpy(&f, &bits, sizeof f);
    memcpy(&d, &bits, sizeof d);
    unsigned unused = (unsigned)(64 - 8 * size);
    switch (dtype) {
    case PERCEPT_FLOAT:
        put(dump, "%.9g", (double)f);
        break;
    case PERCEPT_DOUBLE:
        put(dump, "%.17g", d);
        break;
    case PERCEPT_FLOAT16:
        put(dump, "%.5g", (double)tensor_half_to_float((uint16_t)bits));
        break;
    case PERCEPT_BFLOAT16:
        put(dump, "%.4g", (double)tensor_bfloat_to_float((uint16_t)bits));
        break;
    case PERCEPT_INT8:
    case PERCEPT_INT16:
    case PERCEPT_INT32:
    case PERCEPT_INT64:
        put(dump, "%" PRId64, (int64_t)(bits << unused) >> unused);
        break;
    default:
        put(dump, "%" PRIu64, bits);
    }
}

static void put_data(struct dump *dump, const struct tensor *t)
{
    int64_t n = tensor_elements(t);
    if (!t->data || t->layout != LAYOUT_PLAIN)
        return;
    put(dump, " =");
    for (int64_t i = 0; i < n && i < SHOWN; i++) {
        put(dump, i ? ", " : " ");
        put_element(dump, t->dtype, t->data, i);
    }
    put(dump, n > SHOWN ? ", ..." : "");
}

static void put_value_line(struct dump *dump, const char *kind, const struct value *v, int depth)
{
    put_indent(dump, depth);
    put(dump, "%s ", kind);
    put_name(dump, v->name);
    put_type(dump, v);
    if (v->constant)
        put_data(dump, v->constant);
    put(dump, "\n");
}

static void put_list(struct dump *dump, const struct attr *attr)
{
    put(dump, "[");
    for (size_t i = 0; i < attr->n && i < SHOWN; i++) {
        put(dump, i ? "," : "");
        if (attr->type == ATTR_FLOATS)
            put(dump, "%.9g", (double)attr->floats[i]);
        else if (attr->type == ATTR_INTS)
            put(dump, "%" PRId64, attr->ints[i]);
        else
            put_name(dump, attr->strings[i]);
    }
    put(dump, attr->n > SHOWN ? ",...]" : "]");
}

static void put_attr(struct dump *dump, const struct attr *attr)
{
    put_name(dump, attr->name);
    put(dump, "=");
    switch (attr->type) {
    case ATTR_FLOAT:
        put(dump, "%.9g", (double)attr->f);
        break;
    case ATTR_INT:
        put(dump, "%" PRId64, attr->i);
        break;
    case ATTR_STRING:
        put_name(dump, attr->s);
        break;
    case ATTR_FLOATS:
    case ATTR_INTS:
    case ATTR_STRINGS:
        put_list(dump, attr);
        break;
    case ATTR_GRAPH:
        put(dump, "graph");
        break;
    case ATTR_TENSOR:
    case ATTR_SPARSE: {
        char shape[192];
        put(dump, "%s%s", tensor_dtype_name(attr->tensor->dtype),
            tensor_shape_text(attr->tensor->rank, attr->tensor->dims, shape, sizeof shape));
        put_data(dump, attr->tensor);
        break;
    }
    default:
        put(dump, "%zu of type %d", attr->n, (int)attr->type);
    }
}

static void put_names(struct dump *dump, const struct graph *graph, const int *values, int n)
{
    for (int i = 0; i < n; i++) {
        put(dump, i ? ", " : "");
        if (values[i] >= 0)
            put_name(dump, graph->values[values[i]].name);
        else
            put(dump, "-");
    }
}

static void put_graph(struct dump *dump, const struct graph *graph, int depth);

static void put_node(struct dump *dump, const struct graph *graph, const struct node *node, int depth)
{
    put_indent(dump, depth);
    put_names(dump, graph, node->out, node->n_out);
    put(dump, " = ");
    if (node->domain.at != node->domain.end) {
        put_name(dump, node->domain);
        put(dump, ".");
    }
    put_name(dump, node->op_type);
    put(dump, "-%d(", node->opset);
    put_names(dump, graph, node->in, node->n_in);
    put(dump, ")");
    for (int i = 0; i < node->n_attr; i++) {
        put(dump, i ? ", " : " {");
        put_attr(dump, &node->attrs[i]);
    }
    put(dump, node->n_attr ? "}  # node '" : "  # node '");
    put_name(dump, node->name);
    put(dump, "'\n");
    for (int i = 0; i < node->n_attr; i++)
        if (node->attrs[i].graph)
            put_graph(dump, node->attrs[i].graph, depth + 1);
}

static void put_graph(struct dump *dump, const struct graph *graph, int depth)
{
    put_indent(dump, depth);
    put(dump, "graph ");
    put_name(dump, graph->name);
    put(dump, "\n");
    for (int i = 0; i < graph->n_inputs; i++)
        put_value_line(dump, "input", &graph->values[graph->inputs[i]], depth + 1);
    for (int i = 0; i < graph->n_values; i++) {
        if (graph->values[i].constant)
            put_value_line(dump, "constant", &graph->values[i], depth + 1);
        else if (graph->values[i].outer >= 0)
            put_value_line(dump, "captured", &graph->values[i], depth + 1);
    }
    for (int i = 0; i < graph->n_nodes; i++)
        if (!graph->nodes[i].removed)
            put_node(dump, graph, &graph->nodes[i], depth + 1);
    for (int i = 0; i < graph->n_outputs; i++) {
        struct value output = graph->values[graph->outputs[i]];
        output.constant = NULL; /* shown above */
        put_value_line(dump, "output", &output, depth + 1);
    }
}

char *dump_graph(const struct graph *graph, struct arena *arena)
{
    struct dump dump = {.arena = arena, .cap = 4096};
    dump.text = arena_alloc(arena, dump.cap);
    if (!dump.text)
        return NULL;
    put_graph(&dump, graph, 0);
    return dump.failed ? NULL : dump.text;
}
