/*
 * model.h - what an open model is, for the files of the engine. Immutable once percept_open returns.
 *
 * A model has one part per graph: the main graph, and the bodies of If, Loop, Scan and SequenceMap. A part's
 * arrays run along its graph's nodes.
 */
#ifndef ENGINE_MODEL_H
#define ENGINE_MODEL_H

#include "base/region.h"
#include "graph/graph.h"
#include "op/op.h"

struct part {
    struct part *next;
    struct graph *graph;
    struct node_ctx *ctx; /* [n_nodes] */
    const void **packed;  /* [n_nodes]: in the region, NULL where nothing is packed */
    size_t *packed_bytes; /* [n_nodes] */
    int n_feeds;          /* the graph's inputs, then what a body captures that is no constant */
    int *feeds;           /* [n_feeds] value indices */
};

/* A constant of the file that says that the batch is 1 (rebatch.c). */
struct freed {
    int node, value;    /* whose input 1 is now this value */
    int before;         /* and was that one */
    struct tensor file; /* as the file has it */
};

struct percept_model {
    struct arena arena; /* graph, attributes, names, what operators keep */
    struct arena load;  /* copies of tensors that packing reads; freed when the region is there */
    struct onnx_model onnx;
    const struct kernels *kernels;
    enum precision precision;
    size_t memory_limit_bytes;
    struct percept_budget *budget; /* of sessions, or NULL */
    int members;                   /* most threads that work on one step */
    struct part *parts;            /* the main graph's first */
    struct region *region;
    bool independent; /* options.batch_independent */
    int n_freed;      /* shapes that have other constants than in the file, where the batch is not 1 */
    struct freed *freed;
    int64_t trial_length; /* of free axes but the batch, in trials; 0: the usual one (trial.c) */
    int n_inputs, n_outputs;
    struct percept_io *inputs, *outputs; /* until it is open an input's batch_axis is the one that is tried */
    struct percept_description description;
};

/* Appends a part for the graph; NULL when memory is short. */
struct part *model_add_part(struct percept_model *model, struct graph *graph);

/* Sets the feeds of every part; after folding and fusing. */
bool model_find_feeds(struct percept_model *model);

const struct part *model_part(const struct percept_model *model, const struct graph *graph);

#endif
