/*
 * graph.h - what a network is: values and nodes by index, attributes, names. Filled by onnx.c,
 * verified and sorted here, changed by the engine's folding and fusing, read-only once a model is open.
 * Everything lives in the model's arena; names are views of text copied there.
 */
#ifndef GRAPH_GRAPH_H
#define GRAPH_GRAPH_H

#include "base/arena.h"
#include "graph/names.h"
#include "graph/tensor.h"

struct graph;
struct op; /* op/op.h */

/* ONNX's AttributeProto.AttributeType */
enum attr_type {
    ATTR_FLOAT = 1,
    ATTR_INT = 2,
    ATTR_STRING = 3,
    ATTR_TENSOR = 4,
    ATTR_GRAPH = 5,
    ATTR_FLOATS = 6,
    ATTR_INTS = 7,
    ATTR_STRINGS = 8,
    ATTR_TENSORS = 9,
    ATTR_GRAPHS = 10,
    ATTR_SPARSE = 11,
    ATTR_SPARSES = 12,
    ATTR_TYPE = 13,
    ATTR_TYPES = 14,
};

/* A sparse tensor (ATTR_SPARSE) is made dense: `tensor`. Lists of tensors and graphs and ONNX types keep
 * their type and count alone: no operator we have asks for them. */
struct attr {
    struct bytes name;
    enum attr_type type;
    float f;
    int64_t i;
    struct bytes s;
    size_t n; /* of a list */
    const float *floats;
    const int64_t *ints;
    const struct bytes *strings;
    struct tensor *tensor; /* may be unaligned: a view into the file */
    struct graph *graph;
};

/*
 * A value is what flows along an edge: a graph input, an initializer or a node's output.
 * `constant` is set for initializers and for what folding computed. Its data may be unaligned (a view
 * into the file) unless `aligned`; graph_constant() gives an aligned one.
 */
struct value {
    struct bytes name;             /* first: struct names wants it there */
    enum percept_dtype dtype;      /* as declared, or UNDEFINED */
    int rank;                      /* as declared; -1 when not */
    int64_t dims[RANK_MAX];        /* -1: free */
    const struct bytes *dim_names; /* [RANK_MAX] ONNX's dim_param, or empty; never NULL */
    struct tensor *constant;
    struct bytes unread; /* of a constant: where its bytes will lie once graph->fetch has read them; until then its data
                            are NULL. Empty for all that are there. */
    bool aligned;        /* constant->data is aligned for its type and in the model's arena or region */
    int producer;        /* node index, or -1 */
    int n_uses;          /* by nodes of this graph and its subgraphs, and 1 for being a graph output */
    int outer;           /* index of the captured value in the enclosing graph, or -1 */
    bool inlined;        /* of a function's body: the name is ours, not the file's */
};

struct node {
    struct bytes name; /* never empty: unnamed ones are called "<op_type>_<index>" */
    struct bytes op_type;
    struct bytes domain; /* "" is ONNX's own */
    int opset;           /* version of the domain that the model imports */
    int n_in, n_out, n_attr;
    int *in;  /* value index; -1: left out */
    int *out; /* value index; -1: not wanted */
    struct attr *attrs;
    const struct op *op;   /* set when the operator was found */
    void *priv;            /* op's own, made by its check verb */
    const char *note;      /* what whoever loads the model should know, "is ...": set by check, or NULL */
    const char *algorithm; /* what op has chosen for all runs, for who asks: set by check and settle, or NULL */
    bool removed;          /* folded or fused away; skipped everywhere */
};

/* Reads bytes of the model's file that were left out so far (engine/source.c), into their place. */
struct graph_fetch {
    bool (*read)(void *user, struct bytes place);
    void *user;
};

struct graph {
    struct bytes name;
    const struct graph_fetch *fetch; /* NULL where nothing is unread */
    struct graph *parent;            /* of a subgraph, else NULL */
    int n_values, n_nodes, n_inputs, n_outputs;
    int cap_values, cap_nodes;
    struct value *values;
    struct node *nodes; /* in topological order after graph_sort */
    int *inputs;        /* value indices, without those that are initializers */
    int *outputs;
    struct names names; /* of the values */
};

/* What the file says about itself besides the graph. */
/* One of metadata_props; views of the file. */
struct onnx_property {
    struct bytes key, value;
};

struct onnx_model {
    int64_t ir_version;
    int64_t opset; /* of ONNX's default domain */
    struct bytes producer;
    struct graph *graph;
    int64_t n_parameters;
    int n_properties; /* as many as the file has, in its order */
    struct onnx_property *properties;
};

/* Appends; the index, or -1 when memory is short. Pointers into the arrays move. The name is copied; of
 * values with the same name graph_find knows the first. A nameless value is found by nobody. */
int graph_add_value(struct graph *graph, struct arena *arena, struct bytes name);
int graph_add_node(struct graph *graph, struct arena *arena);

/* The value of this name in this graph, made when there is none; -1 when memory is short. */
int graph_intern(struct graph *graph, struct arena *arena, struct bytes name);

/* Makes room for so many more, for readers that have counted. */
bool graph_reserve(struct graph *graph, struct arena *arena, size_t n_values, size_t n_nodes);

/* Finds a value by name in this graph only (not its parents), or -1. */
int graph_find(const struct graph *graph, struct bytes name);

/* Producers, uses, one producer per value, inputs defined, no cycle; nodes sorted topologically, in the
 * order of the file where that is one. Removed nodes are passed over. Captures of subgraphs are inputs of
 * the node that has the subgraph; subgraphs themselves are sorted before. Errors name the node or value. */
bool graph_sort(struct graph *graph, struct arena *arena, struct percept_err *err);

/* The attribute or NULL. */
const struct attr *graph_attr(const struct node *node, const char *name);

/* Has the data of a value of this graph read, if they are not; false when that failed. */
bool graph_read(struct graph *graph, int value);

/* A constant with data aligned for its type (copied into `arena` the first time), looked for in the
 * enclosing graph when the value was captured from there; NULL when the value is no constant (`ok`
 * true), or memory is short or it could not be read (`ok` false). */
struct tensor *graph_constant(struct graph *graph, int value, struct arena *arena, bool *ok);

/* Recounts n_uses, subgraphs' too, after nodes were killed or rewired. */
void graph_count_uses(struct graph *graph);

#endif
