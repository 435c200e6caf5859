/*
 * inline.c - model-local functions are inlined while nodes are read.
 *
 * A call is replaced by the body's nodes, read anew for each call with the call's attributes bound
 * to the body's ref_attr_names; those that the call leaves out have the function's defaults. An
 * output that is one of the inputs, or is there twice, becomes an Identity.
 *
 * Files can nest calls so that few bytes mean very many nodes; depth, nodes and bytes of inlining
 * are bounded, and a function that calls itself is refused.
 *
 * Threads: the loader's. Ownership: functions are in the reader's scratch arena; what a call makes
 * is the graph's.
 */
#include "graph/inline.h"

#include <limits.h>

#include "graph/attribute.h"
#include "graph/nodes.h"

#define INLINED_NODES_MAX 1000000
#define INLINED_BYTES_MAX ((size_t)256 << 20)

/* "domain\0name\0overload": names have no NUL. */
static bool function_key(struct reader *r, struct bytes domain, struct bytes name, struct bytes overload,
                         struct bytes *key)
{
    const struct bytes parts[] = {domain, name, overload};
    size_t n = bytes_size(domain) + bytes_size(name) + bytes_size(overload) + 2;
    char *text = arena_alloc(&r->scratch, n), *to = text;
    if (!text)
        return reader_short(r, "a function");
    for (int i = 0; i < 3; i++) {
        if (bytes_size(parts[i]))
            memcpy(to, parts[i].at, bytes_size(parts[i]));
        to += bytes_size(parts[i]) + 1;
    }
    *key = bytes_of(text, n);
    return true;
}

/* All LEN fields of this tag, as views. */
static bool list_texts(struct reader *r, struct bytes message, uint32_t tag, struct bytes **texts, int *n)
{
    *n = (int)reader_count(message, tag);
    *texts = arena_array(&r->scratch, (size_t)*n, sizeof **texts);
    if (!*texts)
        return reader_short(r, "a function");
    struct wire wire = wire_of(message);
    for (int i = 0; i < *n; i++)
        wire_find(&wire, tag, *texts + i);
    return true;
}

static bool read_function(struct reader *r, struct bytes message, struct function *function)
{
    struct wire wire = wire_of(message);
    struct wire_field field;
    struct bytes domain = {0}, overload = {0};
    function->message = message;
    while (wire_next(&wire, &field))
        switch (field.tag) {
        case FUNCTION_NAME:
            function->name = field.bytes;
            break;
        case FUNCTION_DOMAIN:
            domain = field.bytes;
            break;
        case FUNCTION_OVERLOAD:
            overload = field.bytes;
            break;
        }
    if (bytes_is(domain, "ai.onnx"))
        domain = (struct bytes){0};
    bool ok = reader_whole(r, &wire, "function") && reader_name(r, function->name, &function->name) &&
              function_key(r, domain, function->name, overload, &function->key) &&
              list_texts(r, message, FUNCTION_INPUT, &function->inputs, &function->n_inputs) &&
              list_texts(r, message, FUNCTION_OUTPUT, &function->outputs, &function->n_outputs) &&
              list_texts(r, message, FUNCTION_ATTRIBUTE, &function->attributes, &function->n_attributes) &&
              reader_imports(r, message, FUNCTION_OPSET_IMPORT, &function->imports);
    return ok || reader_place(r, "function", function->name, (struct bytes){0});
}

bool inline_read(struct reader *r, struct bytes file)
{
    size_t n = reader_count(file, MODEL_FUNCTIONS);
    r->functions = arena_array(&r->scratch, n, sizeof *r->functions);
    if (!r->functions || n > INT_MAX)
        return reader_short(r, "the functions");
    struct wire wire = wire_of(file);
    struct bytes message;
    while (wire_find(&wire, MODEL_FUNCTIONS, &message)) {
        struct function *function = &r->functions[r->n_functions];
        if (!read_function(r, message, function))
            return false;
        if (names_find(&r->function_names, r->functions, sizeof *function, function->key) >= 0)
            return err_set(r->err, ERR_MODEL, "function '" BYTES_FMT "' is there twice", BYTES_ARG(function->name));
        if (!names_add(&r->function_names, &r->scratch, function->key, r->n_functions++))
            return reader_short(r, "the functions");
    }
    return true;
}

bool inline_find(struct reader *r, const struct draft *draft, struct function **function)
{
    *function = NULL;
    if (!r->n_functions)
        return true;
    struct bytes key;
    if (!function_key(r, draft->domain, draft->op_type, draft->overload, &key))
        return false;
    int i = names_find(&r->function_names, r->functions, sizeof *r->functions, key);
    if (i >= 0)
        *function = &r->functions[i];
    return true;
}

/* An output of a function that is one of its inputs, or is there twice. */
static bool append_identity(struct reader *r, struct scope *scope, int from, int to)
{
    struct draft draft = {.op_type = bytes_of_text("Identity"), .n_in = 1, .n_out = 1};
    draft.in = arena_array(r->arena, 1, sizeof *draft.in);
    draft.out = arena_array(r->arena, 1, sizeof *draft.out);
    if (!draft.in || !draft.out)
        return reader_short(r, "a function");
    draft.in[0] = from;
    draft.out[0] = to;
    return scope_inlined_name(r, scope->call, draft.op_type, &draft.name) && nodes_append(r, scope, &draft);
}

static bool is_declared(const struct function *function, struct bytes name)
{
    for (int i = 0; i < function->n_attributes; i++)
        if (bytes_equal(function->attributes[i], name))
            return true;
    return false;
}

/* The call's attributes and, for those it leaves out, the function's defaults. */
static bool bind_attrs(struct reader *r, struct scope *scope, const struct draft *draft, struct call *call)
{
    const struct function *function = call->function;
    size_t n_defaults = reader_count(function->message, FUNCTION_ATTRIBUTE_PROTO);
    struct attr *attrs = n_defaults > ATTRS_MAX || function->n_attributes > ATTRS_MAX
                             ? NULL
                             : arena_array(&r->scratch, (size_t)draft->n_attr + n_defaults, sizeof *attrs);
    if (!attrs)
        return err_set(r->err, ERR_MODEL, "it has more than %d attributes", ATTRS_MAX);
    int n = draft->n_attr;
    memcpy(attrs, draft->attrs, (size_t)n * sizeof *attrs);
    struct scope outside = {.graph = scope->graph};
    struct wire wire = wire_of(function->message);
    struct bytes message;
    int n_known = 0;
    while (wire_find(&wire, FUNCTION_ATTRIBUTE_PROTO, &message)) {
        bool there;
        if (!attribute_read(r, &outside, message, &attrs[n], &there))
            return false;
        if (attribute_among(attrs, draft->n_attr, attrs[n].name))
            n_known++;
        else
            n++;
    }
    for (int i = 0; i < draft->n_attr; i++)
        n_known += is_declared(function, draft->attrs[i].name);
    if (n_known < draft->n_attr)
        return err_set(r->err, ERR_MODEL, "the call has an attribute that the function does not declare");
    call->attrs = attrs;
    call->n_attr = n;
    return true;
}

static bool bind_face(struct reader *r, struct scope *body, const struct draft *draft)
{
    const struct function *function = body->call->function;
    for (int i = 0; i < function->n_inputs; i++) {
        if (scope_find(body, function->inputs[i]) >= 0)
            return err_set(r->err, ERR_MODEL, "input '" BYTES_FMT "' is there twice", BYTES_ARG(function->inputs[i]));
        if (!scope_bind(r, body, function->inputs[i], i < draft->n_in ? draft->in[i] : -1))
            return false;
    }
    for (int i = 0; i < draft->n_out; i++)
        if (draft->out[i] >= 0 && scope_find(body, function->outputs[i]) < 0 &&
            !scope_bind(r, body, function->outputs[i], draft->out[i]))
            return false;
    return true;
}

/* After the body: every output that the call wants must have been made. */
static bool bind_outputs(struct reader *r, struct scope *body, const struct draft *draft)
{
    const struct function *function = body->call->function;
    for (int i = 0; i < draft->n_out; i++) {
        if (draft->out[i] < 0)
            continue;
        int local = scope_find(body, function->outputs[i]);
        int value = local < 0 ? -1 : body->locals[local].value;
        if (value >= 0 && value != draft->out[i] && !append_identity(r, body, value, draft->out[i]))
            return false;
        if (body->graph->values[draft->out[i]].producer < 0)
            return err_set(r->err, ERR_MODEL, "output '" BYTES_FMT "' is never computed",
                           BYTES_ARG(function->outputs[i]));
    }
    return true;
}

static bool judge_call(struct reader *r, const struct function *function, const struct draft *draft)
{
    if (function->active)
        return err_set(r->err, ERR_MODEL, "the function calls itself");
    if (draft->n_in > function->n_inputs || draft->n_out > function->n_outputs)
        return err_set(r->err, ERR_MODEL, "the call has %d inputs and %d outputs, the function %d and %d", draft->n_in,
                       draft->n_out, function->n_inputs, function->n_outputs);
    r->inlined_bytes += bytes_size(function->message);
    if (r->inlined_bytes > INLINED_BYTES_MAX)
        return err_set(r->err, ERR_MODEL, "inlined functions have more than %zu MiB", INLINED_BYTES_MAX >> 20);
    return true;
}

static bool read_body(struct reader *r, struct scope *body, struct bytes message)
{
    struct wire wire = wire_of(message);
    struct bytes node;
    while (wire_find(&wire, FUNCTION_NODE, &node)) {
        if (++r->inlined_nodes > INLINED_NODES_MAX)
            return err_set(r->err, ERR_MODEL, "inlined functions have more than %d nodes", INLINED_NODES_MAX);
        if (!nodes_read(r, body, node))
            return false;
    }
    return true;
}

bool inline_call(struct reader *r, struct scope *scope, struct function *function, const struct draft *draft)
{
    struct call call = {.function = function};
    struct scope body = {.graph = scope->graph, .call = &call, .is_function = true};
    const char *label = arena_printf(&r->scratch, BYTES_FMT "_%d", BYTES_ARG(function->name), ++r->n_calls);
    if (!label)
        return reader_short(r, "a function");
    call.label = bytes_of_text(label);
    if (!judge_call(r, function, draft) || !reader_enter(r, "function calls"))
        return false;
    function->active = true;
    bool ok = bind_attrs(r, scope, draft, &call) && bind_face(r, &body, draft) &&
              read_body(r, &body, function->message) && bind_outputs(r, &body, draft);
    function->active = false;
    r->depth--;
    return ok;
}
