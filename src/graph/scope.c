/*
 * scope.c - names to values.
 *
 * A value is made the first time its name is met, as an input or an output of a node, and whatever
 * defines it may come later; graph_sort judges the whole. A scope is one of
 *
 *     graph         the graph's own names. What a subgraph does not define is captured: looked up
 * in the scope around it, which may capture it in turn, and `outer` tells where it was found.
 *     function      the names of one call of a model-local function. Formal inputs and outputs
 * stand for the caller's values; all others become values "<function>_<call>/<name>" of the
 *                   caller's graph. Such names are ours: a file that uses one itself is refused.
 *
 * Threads: the loader's. Ownership: values are the graph's, locals are in the reader's scratch
 * arena.
 */
#include "graph/scope.h"

bool scope_add_value(struct reader *r, struct graph *graph, struct bytes name, int *value)
{
    *value = graph_add_value(graph, r->arena, name);
    return *value >= 0 || reader_short(r, "the values");
}

static bool graph_value(struct reader *r, struct graph *graph, struct bytes name, int *value)
{
    *value = graph_intern(graph, r->arena, name);
    if (*value < 0)
        return reader_short(r, "the values");
    if (graph->values[*value].inlined)
        return err_set(r->err, ERR_MODEL, "the name '" BYTES_FMT "' is one that inlining a function makes; rename it",
                       BYTES_ARG(name));
    return true;
}

bool scope_bind(struct reader *r, struct scope *scope, struct bytes name, int value)
{
    if (scope->n_locals == scope->cap_locals) {
        int cap = scope->cap_locals ? scope->cap_locals * 2 : 16;
        struct local *grown = arena_grow(&r->scratch, scope->locals, (size_t)scope->cap_locals * sizeof *grown,
                                         (size_t)cap * sizeof *grown);
        if (!grown)
            return reader_short(r, "a function");
        scope->locals = grown;
        scope->cap_locals = cap;
    }
    if (!names_add(&scope->names, &r->scratch, name, scope->n_locals))
        return reader_short(r, "a function");
    scope->locals[scope->n_locals++] = (struct local){name, value};
    return true;
}

int scope_find(const struct scope *scope, struct bytes name)
{
    return names_find(&scope->names, scope->locals, sizeof *scope->locals, name);
}

/* "<label>/<name>", in the model's arena. */
bool scope_inlined_name(struct reader *r, const struct call *call, struct bytes name, struct bytes *made)
{
    size_t head = bytes_size(call->label), n = head + 1 + bytes_size(name);
    char *text = arena_alloc(r->arena, n + 1);
    if (!text)
        return reader_short(r, "a function");
    memcpy(text, call->label.at, head);
    text[head] = '/';
    if (bytes_size(name))
        memcpy(text + head + 1, name.at, bytes_size(name));
    *made = bytes_of(text, n);
    return true;
}

static bool local_value(struct reader *r, struct scope *scope, struct bytes name, int *value)
{
    int local = scope_find(scope, name);
    if (local >= 0) {
        *value = scope->locals[local].value;
        return true;
    }
    struct bytes made;
    if (!scope_inlined_name(r, scope->call, name, &made))
        return false;
    if (graph_find(scope->graph, made) >= 0)
        return err_set(r->err, ERR_MODEL, "the name '" BYTES_FMT "' is one that inlining a function makes; rename it",
                       BYTES_ARG(made));
    if (!scope_add_value(r, scope->graph, made, value))
        return false;
    scope->graph->values[*value].inlined = true;
    return scope_bind(r, scope, name, *value);
}

/* The value of this name in the scope, made when it is new; -1 for an empty name: left out. */
bool scope_value(struct reader *r, struct scope *scope, struct bytes name, int *value)
{
    *value = -1;
    if (name.at == name.end)
        return true;
    if (memchr(name.at, 0, bytes_size(name)))
        return err_set(r->err, ERR_MODEL, "value name '" BYTES_FMT "...' has a NUL byte", BYTES_ARG(name));
    return scope->is_function ? local_value(r, scope, name, value) : graph_value(r, scope->graph, name, value);
}
