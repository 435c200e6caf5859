/*
 * scope.h - where a name is looked up while a model is read.
 */
#ifndef GRAPH_SCOPE_H
#define GRAPH_SCOPE_H

#include "graph/reader.h"

/* What a call of a model-local function binds. */
struct call {
    struct function *function;
    struct bytes label; /* what inlined names begin with */
    const struct attr *attrs;
    int n_attr;
};

struct local {
    struct bytes name; /* first: struct names wants it there */
    int value;         /* or -1: an input that the call leaves out */
};

struct scope {
    struct scope *around;    /* of a subgraph */
    struct graph *graph;     /* where values and nodes go */
    const struct call *call; /* innermost, or NULL */
    bool is_function;        /* names are looked up in locals, not in the graph */
    struct local *locals;
    int n_locals, cap_locals;
    struct names names; /* of locals */
};

/* The value of this name in the scope, made when it is new; -1 for an empty name: left out. */
bool scope_value(struct reader *r, struct scope *scope, struct bytes name, int *value);

/* A new value of the graph, whether or not there is one of this name. */
bool scope_add_value(struct reader *r, struct graph *graph, struct bytes name, int *value);

/* Of a function: what a name stands for, and which local has it (or -1). */
bool scope_bind(struct reader *r, struct scope *scope, struct bytes name, int value);
int scope_find(const struct scope *scope, struct bytes name);

/* "<label>/<name>", in the model's arena. */
bool scope_inlined_name(struct reader *r, const struct call *call, struct bytes name, struct bytes *made);

#endif
