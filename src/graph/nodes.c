/*
 * nodes.c - NodeProto.
 *
 * A node is drafted first: its counts tell how much room it needs, then inputs, outputs and
 * attributes are read in the order of the file. Only then is looked whether its operator is a
 * function of the model; if so it is inlined, else the draft becomes a node. Whether the operator
 * exists is for the engine.
 *
 * A node without a name is called "<op_type>_<index>", so that every sentence about it can say
 * which.
 *
 * Threads: the loader's. Ownership: all is in the model's arena.
 */
#include "graph/nodes.h"

#include <limits.h>

#include "graph/attribute.h"
#include "graph/inline.h"

static int node_opset(const struct reader *r, const struct scope *scope, struct bytes domain)
{
    const struct import *import = NULL;
    if (scope->call)
        import = reader_find_import(&scope->call->function->imports, domain);
    if (!import)
        import = reader_find_import(&r->imports, domain);
    return import ? import->version : 0;
}

bool nodes_append(struct reader *r, struct scope *scope, const struct draft *draft)
{
    struct graph *graph = scope->graph;
    int index = graph_add_node(graph, r->arena);
    if (index < 0)
        return reader_short(r, "the nodes");
    struct node *node = &graph->nodes[index];
    *node = (struct node){
        .name = draft->name,
        .op_type = draft->op_type,
        .domain = draft->domain,
        .opset = node_opset(r, scope, draft->domain),
        .n_in = draft->n_in,
        .n_out = draft->n_out,
        .n_attr = draft->n_attr,
        .in = draft->in,
        .out = draft->out,
        .attrs = draft->attrs,
    };
    if (node->opset == 0)
        return err_set(r->err, ERR_MODEL, "the model imports no version of its domain '" BYTES_FMT "'",
                       BYTES_ARG(node->domain));
    for (int k = 0; k < node->n_out; k++)
        if (node->out[k] >= 0)
            graph->values[node->out[k]].producer = index;
    return true;
}

static bool find_node(struct reader *r, struct bytes message, struct draft *draft)
{
    struct wire wire = wire_of(message);
    struct wire_field field;
    size_t counts[3] = {0}; /* inputs, outputs, attributes */
    while (wire_next(&wire, &field))
        switch (field.tag) {
        case NODE_INPUT:
            counts[0]++;
            break;
        case NODE_OUTPUT:
            counts[1]++;
            break;
        case NODE_ATTRIBUTE:
            counts[2]++;
            break;
        case NODE_NAME:
            draft->name = field.bytes;
            break;
        case NODE_OP_TYPE:
            draft->op_type = field.bytes;
            break;
        case NODE_DOMAIN:
            draft->domain = field.bytes;
            break;
        case NODE_OVERLOAD:
            draft->overload = field.bytes;
            break;
        }
    if (!reader_whole(r, &wire, "node"))
        return false;
    if (counts[0] > INT_MAX || counts[1] > INT_MAX || counts[2] > ATTRS_MAX)
        return err_set(r->err, ERR_MODEL, "it has more than %d attributes", ATTRS_MAX);
    if (bytes_is(draft->domain, "ai.onnx"))
        draft->domain = (struct bytes){0};
    draft->in = arena_array(r->arena, counts[0], sizeof *draft->in);
    draft->out = arena_array(r->arena, counts[1], sizeof *draft->out);
    draft->attrs = arena_array(r->arena, counts[2], sizeof *draft->attrs);
    if (!draft->in || !draft->out || !draft->attrs)
        return reader_short(r, "a node");
    return true;
}

static bool node_attr(struct reader *r, struct scope *scope, struct bytes message, struct draft *draft)
{
    bool there;
    struct attr *attr = &draft->attrs[draft->n_attr];
    if (!attribute_read(r, scope, message, attr, &there))
        return false;
    if (attribute_among(draft->attrs, draft->n_attr, attr->name))
        return err_set(r->err, ERR_MODEL, "attribute '" BYTES_FMT "' is there twice", BYTES_ARG(attr->name));
    draft->n_attr += there;
    return true;
}

static bool node_parts(struct reader *r, struct scope *scope, struct bytes message, struct draft *draft)
{
    struct wire wire = wire_of(message);
    struct wire_field field;
    bool ok = true;
    while (ok && wire_next(&wire, &field))
        switch (field.tag) {
        case NODE_INPUT:
            ok = scope_value(r, scope, field.bytes, &draft->in[draft->n_in++]);
            break;
        case NODE_OUTPUT:
            ok = scope_value(r, scope, field.bytes, &draft->out[draft->n_out++]);
            break;
        case NODE_ATTRIBUTE:
            ok = node_attr(r, scope, field.bytes, draft);
            break;
        }
    return ok;
}

static bool name_node(struct reader *r, const struct scope *scope, struct draft *draft)
{
    const struct graph *graph = scope->graph;
    struct bytes own = draft->name;
    if (own.at == own.end) {
        char *text = arena_printf(r->arena, BYTES_FMT "_%d", BYTES_ARG(draft->op_type), graph->n_nodes);
        if (!text)
            return reader_short(r, "a name");
        own = bytes_of_text(text);
    } else if (!reader_name(r, own, &own)) {
        return false;
    }
    draft->name = own;
    return !scope->call || !scope->is_function || scope_inlined_name(r, scope->call, own, &draft->name);
}

static bool place_node(struct reader *r, struct scope *scope, struct bytes message, struct draft *draft)
{
    struct function *function;
    if (!node_parts(r, scope, message, draft) || !inline_find(r, draft, &function))
        return false;
    return function ? inline_call(r, scope, function, draft) : nodes_append(r, scope, draft);
}

bool nodes_read(struct reader *r, struct scope *scope, struct bytes message)
{
    struct draft draft = {0};
    if (!find_node(r, message, &draft))
        return reader_place(r, "node", draft.name, draft.op_type);
    if (draft.op_type.at == draft.op_type.end)
        return err_set(r->err, ERR_MODEL, "node '" BYTES_FMT "' (number %d) has no op_type", BYTES_ARG(draft.name),
                       scope->graph->n_nodes);
    if (!reader_name(r, draft.op_type, &draft.op_type) ||
        (draft.domain.at && !reader_name(r, draft.domain, &draft.domain)) || !name_node(r, scope, &draft))
        return false;
    return place_node(r, scope, message, &draft) || reader_place(r, "node", draft.name, draft.op_type);
}
