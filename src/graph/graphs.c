/*
 * graphs.c - GraphProto: initializers, then inputs (those without an initializer), nodes, outputs,
 * declared types.
 *
 * That order is ours: files have the fields in any. With initializers first, an input of the same
 * name is known to be a default, which nobody overrides here, and what a node meets is known to be
 * constant or not. A subgraph's values that nothing within it defines are captured from the scope
 * around it at the end.
 *
 * Initializers of types that are known by name alone are kept until the whole model is read: unused
 * ones do no harm.
 *
 * Threads: the loader's. Ownership: all is in the model's arena or views the file.
 */
#include "graph/graphs.h"

#include "graph/declared.h"
#include "graph/nodes.h"
#include "graph/stored.h"

static bool keep_constant(struct reader *r, struct value *v, const struct stored *stored)
{
    v->dtype = stored->tensor.dtype;
    v->rank = stored->tensor.rank;
    memcpy(v->dims, stored->tensor.dims, sizeof v->dims);
    v->constant = arena_alloc(r->arena, sizeof *v->constant);
    if (!v->constant)
        return reader_short(r, "an initializer");
    *v->constant = stored->tensor;
    v->aligned = stored->aligned;
    if (!stored->unsupported)
        r->model->n_parameters += tensor_elements(&stored->tensor);
    return true;
}

static bool read_initializer(struct reader *r, struct graph *graph, struct bytes message, bool sparse)
{
    struct stored stored;
    int value;
    bool ok = sparse ? stored_read_sparse(message, r->external, r->arena, &stored, r->err)
                     : stored_read(message, r->external, r->arena, &stored, r->err);
    if (!ok)
        return err_prefix(r->err, "initializer: ");
    if (stored.name.at == stored.name.end || memchr(stored.name.at, 0, bytes_size(stored.name)))
        return err_set(r->err, ERR_MODEL, "an initializer has no name, or one with a NUL byte");
    if (graph_find(graph, stored.name) >= 0)
        return err_set(r->err, ERR_MODEL, "initializer '" BYTES_FMT "' is there twice", BYTES_ARG(stored.name));
    return scope_add_value(r, graph, stored.name, &value) && keep_constant(r, &graph->values[value], &stored);
}

static bool read_initializers(struct reader *r, struct graph *graph, struct bytes message)
{
    struct wire wire = wire_of(message);
    struct wire_field field;
    while (wire_next(&wire, &field)) {
        bool sparse = field.tag == GRAPH_SPARSE_INITIALIZER;
        if ((sparse || field.tag == GRAPH_INITIALIZER) && !read_initializer(r, graph, field.bytes, sparse))
            return false;
    }
    return true;
}

/* An input that has an initializer has a default that nobody overrides here: it is no input. */
static bool read_input(struct reader *r, struct graph *graph, struct bytes message)
{
    struct declared declared = declared_read(message);
    int value = graph_find(graph, declared.name);
    if (value >= 0 && graph->values[value].constant)
        return true;
    if (declared.name.at == declared.name.end || memchr(declared.name.at, 0, bytes_size(declared.name)))
        return err_set(r->err, ERR_MODEL, "an input of the graph has no name, or one with a NUL byte");
    if (value >= 0)
        return err_set(r->err, ERR_MODEL, "input '" BYTES_FMT "' is there twice", BYTES_ARG(declared.name));
    if (!graph->parent && !declared_judge(r, &declared, "input"))
        return false;
    if (!graph->parent && declared.dtype == PERCEPT_UNDEFINED)
        return err_set(r->err, ERR_MODEL, "input '" BYTES_FMT "' has no type", BYTES_ARG(declared.name));
    if (!scope_add_value(r, graph, declared.name, &value))
        return false;
    graph->inputs[graph->n_inputs++] = value;
    return declared_apply(r, &declared, &graph->values[value]);
}

/* ZipMap gives a sequence of maps in ONNX, and a table of scores here (op/label.c). */
static bool is_table(struct graph *graph, int value)
{
    const int producer = value < 0 ? -1 : graph->values[value].producer;
    if (producer < 0 || !bytes_is(graph->nodes[producer].op_type, "ZipMap") ||
        !bytes_is(graph->nodes[producer].domain, "ai.onnx.ml"))
        return false;
    graph->values[value].dtype = PERCEPT_FLOAT;
    return true;
}

static bool read_output(struct reader *r, struct scope *scope, struct bytes message)
{
    struct graph *graph = scope->graph;
    struct declared declared = declared_read(message);
    int value;
    if (!graph->parent && !is_table(graph, graph_find(graph, declared.name)) && !declared_judge(r, &declared, "output"))
        return false;
    if (!scope_value(r, scope, declared.name, &value))
        return false;
    if (value < 0)
        return err_set(r->err, ERR_MODEL, "an output of the graph has no name");
    graph->outputs[graph->n_outputs++] = value;
    bool given = graph->values[value].dtype != PERCEPT_UNDEFINED;
    return given || declared_apply(r, &declared, &graph->values[value]);
}

static bool read_declaration(struct reader *r, struct graph *graph, struct bytes message)
{
    struct declared declared = declared_read(message);
    int value = graph_find(graph, declared.name);
    if (value < 0 || graph->values[value].dtype != PERCEPT_UNDEFINED)
        return true; /* exporters leave declarations of values behind that are gone */
    return declared_apply(r, &declared, &graph->values[value]);
}

static bool read_fields(struct reader *r, struct scope *scope, struct bytes message, uint32_t tag)
{
    struct wire wire = wire_of(message);
    struct bytes item;
    bool ok = true;
    while (ok && wire_find(&wire, tag, &item))
        switch (tag) {
        case GRAPH_INPUT:
            ok = read_input(r, scope->graph, item);
            break;
        case GRAPH_NODE:
            ok = nodes_read(r, scope, item);
            break;
        case GRAPH_OUTPUT:
            ok = read_output(r, scope, item);
            break;
        case GRAPH_VALUE_INFO:
            ok = read_declaration(r, scope->graph, item);
            break;
        case GRAPH_NAME:
            ok = reader_name(r, item, &scope->graph->name);
            break;
        }
    return ok;
}

/* Counts first, so that a million nodes are not moved twenty times. */
static bool make_graph_room(struct reader *r, struct graph *graph, struct bytes message)
{
    struct wire wire = wire_of(message);
    struct wire_field field;
    size_t n_nodes = 0, n_inputs = 0, n_outputs = 0, n_initializers = 0;
    while (wire_next(&wire, &field)) {
        n_nodes += field.tag == GRAPH_NODE;
        n_inputs += field.tag == GRAPH_INPUT;
        n_outputs += field.tag == GRAPH_OUTPUT;
        n_initializers += field.tag == GRAPH_INITIALIZER || field.tag == GRAPH_SPARSE_INITIALIZER;
    }
    if (!reader_whole(r, &wire, "graph"))
        return false;
    graph->inputs = arena_array(r->arena, n_inputs, sizeof *graph->inputs);
    graph->outputs = arena_array(r->arena, n_outputs, sizeof *graph->outputs);
    size_t n_values = n_nodes + n_inputs + n_initializers;
    if (!graph->inputs || !graph->outputs || !graph_reserve(graph, r->arena, n_values, n_nodes))
        return reader_short(r, "the graph");
    return true;
}

/* Neither made here nor given. Inputs were added one after the other: their indices are a range. */
static bool is_loose(const struct graph *graph, int value)
{
    const struct value *v = &graph->values[value];
    bool input = graph->n_inputs && value >= graph->inputs[0] && value <= graph->inputs[graph->n_inputs - 1];
    return v->producer < 0 && !v->constant && v->outer < 0 && !input;
}

/* What a subgraph uses and does not define comes from around it. */
static bool capture(struct reader *r, struct scope *scope)
{
    struct graph *graph = scope->graph;
    for (int i = 0; i < graph->n_values; i++) {
        int outer;
        if (!is_loose(graph, i))
            continue;
        struct bytes name = graph->values[i].name;
        if (graph->values[i].inlined)
            return err_set(r->err, ERR_MODEL, "value '" BYTES_FMT "' is undefined: nothing makes it", BYTES_ARG(name));
        if (!scope_value(r, scope->around, name, &outer))
            return false;
        if (outer < 0)
            return err_set(r->err, ERR_MODEL, "value '" BYTES_FMT "' is an input that the function's call leaves out",
                           BYTES_ARG(name));
        graph->values[i].outer = outer;
    }
    return true;
}

bool graphs_read(struct reader *r, struct scope *scope, struct bytes message)
{
    struct graph *graph = scope->graph;
    return make_graph_room(r, graph, message) && read_fields(r, scope, message, GRAPH_NAME) &&
           read_initializers(r, graph, message) && read_fields(r, scope, message, GRAPH_INPUT) &&
           read_fields(r, scope, message, GRAPH_NODE) && read_fields(r, scope, message, GRAPH_OUTPUT) &&
           read_fields(r, scope, message, GRAPH_VALUE_INFO) && (!scope->around || capture(r, scope)) &&
           graph_sort(graph, r->arena, r->err);
}

/* Initializers of types that we know by name alone may be there as long as nobody asks for them;
 * they are then forgotten. */
static bool judge_constants(struct reader *r, struct graph *graph)
{
    for (int i = 0; i < graph->n_values; i++) {
        struct value *v = &graph->values[i];
        if (!v->constant || v->constant->data)
            continue;
        if (v->n_uses)
            return err_set(r->err, ERR_UNSUPPORTED, "initializer '" BYTES_FMT "' is of type %s, which is not supported",
                           BYTES_ARG(v->name), tensor_dtype_name(v->dtype));
        v->constant = NULL;
    }
    for (int i = 0; i < graph->n_nodes; i++)
        for (int k = 0; k < graph->nodes[i].n_attr; k++)
            if (graph->nodes[i].attrs[k].graph && !judge_constants(r, graph->nodes[i].attrs[k].graph))
                return false;
    return true;
}

static bool judge_outputs(struct reader *r, const struct graph *graph)
{
    if (graph->n_outputs == 0)
        return err_set(r->err, ERR_MODEL, "the graph has no outputs");
    struct names names = {0};
    for (int i = 0; i < graph->n_outputs; i++) {
        struct bytes name = graph->values[graph->outputs[i]].name;
        if (names_find(&names, graph->values, sizeof *graph->values, name) >= 0)
            return err_set(r->err, ERR_MODEL, "output '" BYTES_FMT "' is there twice", BYTES_ARG(name));
        if (!names_add(&names, &r->scratch, name, graph->outputs[i]))
            return reader_short(r, "the outputs");
    }
    return true;
}

bool graphs_judge(struct reader *r, struct graph *graph)
{
    return judge_outputs(r, graph) && judge_constants(r, graph);
}
