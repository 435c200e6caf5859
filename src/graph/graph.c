/*
 * graph.c - growing, searching, judging and sorting a graph.
 *
 * Everything is linear in the size of the graph. Sorting walks the nodes in the order of the file and,
 * before a node is given its place, places those that it needs: so a file that is in order (nearly all
 * are) keeps its order, and a node met again while it waits for itself is a cycle. The walk has its own
 * stack; a chain of a million nodes in reverse order does not touch the thread's.
 *
 *     needs of node i:  deps[first[i]] .. deps[first[i + 1] - 1]      values, not nodes
 *
 * A node with subgraphs needs what they capture as well. Subgraphs are sorted by themselves before the
 * graph that has them, and see captured values as given.
 *
 * Temporary tables live in an arena of their own that is freed before a function returns.
 */
#include "graph/graph.h"

#include <limits.h>

static const struct bytes no_dim_names[RANK_MAX];

/* Room for `want` elements of an array; `cap` is in elements. Doubles. */
static bool make_room(struct arena *arena, void **array, size_t size, int *cap, size_t want)
{
    if (want <= (size_t)*cap)
        return true;
    if (want > INT_MAX)
        return false;
    size_t bigger = *cap ? (size_t)*cap * 2 : 16;
    if (bigger > INT_MAX)
        bigger = INT_MAX;
    if (bigger < want)
        bigger = want;
    size_t new_bytes;
    if (!arena_multiply(bigger, size, &new_bytes))
        return false;
    void *grown = arena_grow(arena, *array, (size_t)*cap * size, new_bytes);
    if (!grown)
        return false;
    *array = grown;
    *cap = (int)bigger;
    return true;
}

static bool room_for_values(struct graph *graph, struct arena *arena, size_t n)
{
    void *values = graph->values;
    bool ok = make_room(arena, &values, sizeof *graph->values, &graph->cap_values, (size_t)graph->n_values + n);
    graph->values = values;
    return ok;
}

static bool room_for_nodes(struct graph *graph, struct arena *arena, size_t n)
{
    void *nodes = graph->nodes;
    bool ok = make_room(arena, &nodes, sizeof *graph->nodes, &graph->cap_nodes, (size_t)graph->n_nodes + n);
    graph->nodes = nodes;
    return ok;
}

bool graph_reserve(struct graph *graph, struct arena *arena, size_t n_values, size_t n_nodes)
{
    if (n_values > INT_MAX || n_nodes > INT_MAX)
        return false;
    return room_for_values(graph, arena, n_values) && room_for_nodes(graph, arena, n_nodes) &&
           names_reserve(&graph->names, arena, n_values);
}

/* The next value, known under its name unless an earlier one is. */
static bool append_value(struct graph *graph, struct arena *arena, struct bytes name)
{
    size_t n = bytes_size(name);
    const char *copy = arena_text(arena, name.at, n);
    if (!copy)
        return false;
    graph->values[graph->n_values++] =
        (struct value){.name = bytes_of(copy, n), .rank = -1, .dim_names = no_dim_names, .producer = -1, .outer = -1};
    return true;
}

int graph_intern(struct graph *graph, struct arena *arena, struct bytes name)
{
    int known = graph->n_values == graph->cap_values ? graph_find(graph, name) : -1;
    if (known >= 0)
        return known; /* a full array need not grow for it */
    if (!room_for_values(graph, arena, 1))
        return -1;
    int value = names_claim(&graph->names, arena, graph->values, sizeof *graph->values, name, graph->n_values);
    return value != graph->n_values || append_value(graph, arena, name) ? value : -1;
}

int graph_add_value(struct graph *graph, struct arena *arena, struct bytes name)
{
    int value = graph->n_values;
    if (!room_for_values(graph, arena, 1))
        return -1;
    if (name.at != name.end && names_claim(&graph->names, arena, graph->values, sizeof *graph->values, name, value) < 0)
        return -1;
    return append_value(graph, arena, name) ? value : -1;
}

int graph_add_node(struct graph *graph, struct arena *arena)
{
    if (!room_for_nodes(graph, arena, 1))
        return -1;
    graph->nodes[graph->n_nodes] = (struct node){0};
    return graph->n_nodes++;
}

int graph_find(const struct graph *graph, struct bytes name)
{
    return names_find(&graph->names, graph->values, sizeof *graph->values, name);
}

const struct attr *graph_attr(const struct node *node, const char *name)
{
    for (int i = 0; i < node->n_attr; i++)
        if (bytes_is(node->attrs[i].name, name))
            return &node->attrs[i];
    return NULL;
}

bool graph_read(struct graph *graph, int value)
{
    struct value *v = &graph->values[value];
    if (!v->unread.at)
        return true;
    if (!graph->fetch->read(graph->fetch->user, v->unread))
        return false;
    v->constant->data = (void *)(uintptr_t)v->unread.at;
    v->unread = (struct bytes){0};
    return true;
}

struct tensor *graph_constant(struct graph *graph, int value, struct arena *arena, bool *ok)
{
    *ok = true;
    struct value *v = &graph->values[value];
    while (v->outer >= 0 && !v->constant) {
        graph = graph->parent;
        v = &graph->values[v->outer];
    }
    *ok = graph_read(graph, (int)(v - graph->values));
    struct tensor *constant = *ok ? v->constant : NULL;
    if (!constant || v->aligned)
        return constant;
    size_t n_bytes;
    void *data = tensor_bytes(constant, 1, &n_bytes) ? arena_alloc(arena, n_bytes) : NULL;
    if (!data) {
        *ok = false;
        return NULL;
    }
    if (n_bytes)
        memcpy(data, constant->data, n_bytes);
    constant->data = data;
    v->aligned = true;
    return constant;
}

void graph_count_uses(struct graph *graph)
{
    for (int i = 0; i < graph->n_values; i++)
        graph->values[i].n_uses = 0;
    for (int i = 0; i < graph->n_outputs; i++)
        graph->values[graph->outputs[i]].n_uses++;
    for (int i = 0; i < graph->n_nodes; i++) {
        const struct node *node = &graph->nodes[i];
        if (node->removed)
            continue;
        for (int k = 0; k < node->n_in; k++)
            if (node->in[k] >= 0)
                graph->values[node->in[k]].n_uses++;
        for (int k = 0; k < node->n_attr; k++) {
            struct graph *body = node->attrs[k].graph;
            if (!body)
                continue;
            graph_count_uses(body);
            for (int v = 0; v < body->n_values; v++)
                if (body->values[v].outer >= 0)
                    graph->values[body->values[v].outer].n_uses += body->values[v].n_uses;
        }
    }
}

/* --- sorting ------------------------------------------------------------------------------------------------------ */

#define NODE_AT "node '" BYTES_FMT "' (" BYTES_FMT "): "
#define NODE_NAMES(node) BYTES_ARG((node)->name), BYTES_ARG((node)->op_type)

static bool claim_output(struct graph *graph, int node, int value, const bool *given, struct percept_err *err)
{
    struct value *v = &graph->values[value];
    const struct node *n = &graph->nodes[node];
    if (v->producer >= 0)
        return err_set(err, ERR_MODEL,
                       NODE_AT "output '" BYTES_FMT "' is already made by node '" BYTES_FMT
                               "'; a value has one producer",
                       NODE_NAMES(n), BYTES_ARG(v->name), BYTES_ARG(graph->nodes[v->producer].name));
    if (v->constant || given[value])
        return err_set(err, ERR_MODEL, NODE_AT "output '" BYTES_FMT "' is also %s; a value has one producer",
                       NODE_NAMES(n), BYTES_ARG(v->name), given[value] ? "an input of the graph" : "an initializer");
    v->producer = node;
    return true;
}

static bool set_producers(struct graph *graph, const bool *given, struct percept_err *err)
{
    for (int i = 0; i < graph->n_values; i++)
        graph->values[i].producer = -1;
    for (int i = 0; i < graph->n_nodes; i++) {
        const struct node *node = &graph->nodes[i];
        for (int k = 0; k < node->n_out && !node->removed; k++)
            if (node->out[k] >= 0 && !claim_output(graph, i, node->out[k], given, err))
                return false;
    }
    return true;
}

struct needs {
    int *first; /* [n_nodes + 1] into deps */
    int *deps;  /* values */
};

/* Calls for each value that a node needs: its inputs and what its subgraphs capture. Counts, and
 * writes them where `to` is not NULL. */
static int list_needs(const struct node *node, int *to)
{
    int n = 0;
    for (int k = 0; k < node->n_in; k++)
        if (node->in[k] >= 0) {
            if (to)
                to[n] = node->in[k];
            n++;
        }
    for (int k = 0; k < node->n_attr; k++) {
        const struct graph *body = node->attrs[k].graph;
        for (int v = 0; body && v < body->n_values; v++)
            if (body->values[v].outer >= 0) {
                if (to)
                    to[n] = body->values[v].outer;
                n++;
            }
    }
    return n;
}

static bool collect_needs(const struct graph *graph, struct arena *arena, struct needs *needs)
{
    needs->first = arena_array(arena, (size_t)graph->n_nodes + 1, sizeof *needs->first);
    if (!needs->first)
        return false;
    int64_t n = 0;
    for (int i = 0; i < graph->n_nodes; i++) {
        n += graph->nodes[i].removed ? 0 : list_needs(&graph->nodes[i], NULL);
        if (n > INT_MAX)
            return false;
        needs->first[i + 1] = (int)n;
    }
    needs->deps = arena_array(arena, (size_t)n, sizeof *needs->deps);
    if (!needs->deps)
        return false;
    for (int i = 0; i < graph->n_nodes; i++)
        if (!graph->nodes[i].removed)
            list_needs(&graph->nodes[i], needs->deps + needs->first[i]);
    return true;
}

static bool is_defined(const struct graph *graph, int value, const bool *given)
{
    const struct value *v = &graph->values[value];
    return v->producer >= 0 || v->constant || v->outer >= 0 || given[value];
}

static bool judge_needs(const struct graph *graph, const struct needs *needs, const bool *given,
                        struct percept_err *err)
{
    for (int i = 0; i < graph->n_nodes; i++)
        for (int k = needs->first[i]; k < needs->first[i + 1]; k++)
            if (!is_defined(graph, needs->deps[k], given))
                return err_set(err, ERR_MODEL,
                               NODE_AT "input '" BYTES_FMT "' is undefined: no node makes it and it is "
                                       "no initializer or input of the graph",
                               NODE_NAMES(&graph->nodes[i]), BYTES_ARG(graph->values[needs->deps[k]].name));
    for (int i = 0; i < graph->n_outputs; i++)
        if (!is_defined(graph, graph->outputs[i], given))
            return err_set(err, ERR_MODEL,
                           "output '" BYTES_FMT "' is undefined: no node makes it and it is no "
                           "initializer or input of the graph",
                           BYTES_ARG(graph->values[graph->outputs[i]].name));
    return true;
}

enum mark { MARK_NEW = 0, MARK_WAITS, MARK_PLACED };

struct walk {
    int *stack;          /* nodes that wait, [n_nodes] */
    int *cursor;         /* next need of each node, [n_nodes] */
    unsigned char *mark; /* [n_nodes] */
    int *order;          /* nodes as placed */
    int n_placed;
};

/* Places `root` after all that it needs. False at a cycle: *culprit is a node of it. */
static bool place(const struct graph *graph, const struct needs *needs, struct walk *walk, int root, int *culprit)
{
    int depth = 0;
    walk->stack[depth++] = root;
    walk->mark[root] = MARK_WAITS;
    while (depth) {
        int node = walk->stack[depth - 1];
        if (walk->cursor[node] == needs->first[node + 1]) {
            walk->mark[node] = MARK_PLACED;
            walk->order[walk->n_placed++] = node;
            depth--;
            continue;
        }
        int producer = graph->values[needs->deps[walk->cursor[node]++]].producer;
        if (producer < 0 || walk->mark[producer] == MARK_PLACED)
            continue;
        if (walk->mark[producer] == MARK_WAITS) {
            *culprit = producer;
            return false;
        }
        walk->mark[producer] = MARK_WAITS;
        walk->stack[depth++] = producer;
    }
    return true;
}

static bool find_order(const struct graph *graph, const struct needs *needs, struct walk *walk, struct percept_err *err)
{
    for (int i = 0; i < graph->n_nodes; i++)
        walk->cursor[i] = needs->first[i];
    for (int i = 0; i < graph->n_nodes; i++) {
        int culprit;
        if (walk->mark[i] == MARK_NEW && !place(graph, needs, walk, i, &culprit))
            return err_set(err, ERR_MODEL, NODE_AT "the graph has a cycle: this node needs its own output",
                           NODE_NAMES(&graph->nodes[culprit]));
    }
    return true;
}

static bool reorder(struct graph *graph, const struct walk *walk, struct arena *scratch)
{
    int moved = 0;
    for (int i = 0; i < graph->n_nodes; i++)
        moved += walk->order[i] != i;
    if (!moved)
        return true;
    struct node *sorted = arena_array(scratch, (size_t)graph->n_nodes, sizeof *sorted);
    if (!sorted)
        return false;
    for (int i = 0; i < graph->n_nodes; i++)
        sorted[i] = graph->nodes[walk->order[i]];
    memcpy(graph->nodes, sorted, (size_t)graph->n_nodes * sizeof *sorted);
    for (int i = 0; i < graph->n_nodes; i++)
        for (int k = 0; k < graph->nodes[i].n_out && !graph->nodes[i].removed; k++)
            if (graph->nodes[i].out[k] >= 0)
                graph->values[graph->nodes[i].out[k]].producer = i;
    return true;
}

static bool sort_with(struct graph *graph, struct arena *scratch, struct percept_err *err)
{
    size_t n = (size_t)graph->n_nodes;
    struct needs needs;
    struct walk walk = {
        .stack = arena_array(scratch, n, sizeof *walk.stack),
        .cursor = arena_array(scratch, n, sizeof *walk.cursor),
        .mark = arena_array(scratch, n, sizeof *walk.mark),
        .order = arena_array(scratch, n, sizeof *walk.order),
    };
    bool *given = arena_array(scratch, (size_t)graph->n_values, sizeof *given);
    if (!walk.stack || !walk.cursor || !walk.mark || !walk.order || !given)
        return err_memory(err, "sorting the graph", n * sizeof *walk.stack);
    for (int i = 0; i < graph->n_inputs; i++)
        given[graph->inputs[i]] = true;
    if (!set_producers(graph, given, err))
        return false;
    if (!collect_needs(graph, scratch, &needs))
        return err_memory(err, "sorting the graph", n * sizeof *needs.deps);
    if (!judge_needs(graph, &needs, given, err) || !find_order(graph, &needs, &walk, err))
        return false;
    if (!reorder(graph, &walk, scratch))
        return err_memory(err, "sorting the graph", n * sizeof *graph->nodes);
    return true;
}

bool graph_sort(struct graph *graph, struct arena *arena, struct percept_err *err)
{
    (void)arena; /* nothing that sorting makes outlives it */
    struct arena scratch = {0};
    bool ok = sort_with(graph, &scratch, err);
    arena_free(&scratch);
    if (ok)
        graph_count_uses(graph);
    return ok;
}
