/*
 * shapes.h - which shapes a model's inputs get when nobody gives arrays: for bench and inspect.
 */
#ifndef COMMAND_SHAPES_H
#define COMMAND_SHAPES_H

#include "options.h"

/* A model's inputs and outputs, as percept_inputs and percept_outputs give them. */
struct shapes_model {
    const struct percept_io *inputs, *outputs;
    int n_inputs, n_outputs;
};

struct shapes_model shapes_of(const struct percept_model *model);

/* What is asked for: items, and from the command line --dim NAME=N and --shape INPUT=NxNxN. */
struct shapes_wish {
    int batch;
    const struct options_list *dims, *given;
};

/* The axis of an input along which items lie; -1 when it has none, or when none can be told. */
int shapes_batch_axis(const struct shapes_model *model, int input);

/* May the batch be chosen: has an input a batch axis, and every input that has free axes? */
bool shapes_batch_is_free(const struct shapes_model *model);

/* Writes PERCEPT_RANK_MAX dimensions at most; returns the rank, -1 on failure. */
int shapes_input(const struct shapes_model *model, int input, const struct shapes_wish *wish, int64_t *shape,
                 struct percept_err *err);

/* Gives every input of the session its shape. A --dim or --shape that means nothing is refused. */
bool shapes_resize(struct percept_session *session, const struct shapes_model *model, const struct shapes_wish *wish,
                   struct percept_err *err);

/* Items of a run at these shapes: the size of the first batch axis; wish->batch where none is known. */
int64_t shapes_items(const struct shapes_model *model, const struct shapes_wish *wish);

#endif
