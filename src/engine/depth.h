/*
 * depth.h - batches that are run depth first: all layers of one item, then all of the next.
 *
 * A layer of a large batch writes more than the caches hold, and the next layer reads it back from memory; one item's
 * maps may fit. The price is that the weights are read once per item, so this pays where an item's maps are larger than
 * the weights (mobile networks on pictures, style transfer; not fully connected layers, nor recurrences). The memory of
 * a run is then that of one item, beside inputs and outputs of all.
 *
 * Only where items are proved independent (items.h) and lie along the first axis of every input and output. What is
 * chosen follows from the model and the shapes alone, and the bits are those of the batch run at once: that is the
 * contract of all kernels.
 *
 *     if (depth_wanted(model, plan))
 *         depth_prepare(depth, plan, &err), depth_feed(depth, i), depth_run(depth, context, observer, &err),
 *         depth_output(depth, i)
 *
 * A depth belongs to a session: its holder's thread.
 */
#ifndef ENGINE_DEPTH_H
#define ENGINE_DEPTH_H

#include "engine/frame.h"

struct depth;

struct depth *depth_new(const struct percept_model *model, struct percept_err *err);
void depth_free(struct depth *depth);

/* Shall a batch of this plan, which is of the main graph, be run so? Asked once per plan. */
bool depth_wanted(const struct percept_model *model, struct plan *plan);

/* Memory for one item, and for the inputs and outputs of the plan's batch. */
bool depth_prepare(struct depth *depth, const struct plan *plan, struct percept_err *err);

/* After depth_prepare: where input i of the whole batch goes. */
void *depth_feed(struct depth *depth, int i);

/* As frame_run. */
bool depth_run(struct depth *depth, const struct percept_run_context *context, const struct frame_observer *observer,
               struct percept_err *err);

/* Output i of the whole batch, after a run that went well; else NULL. */
const struct tensor *depth_output(const struct depth *depth, int i);

/* Bytes that it holds; of these what the batch prepared last needs. */
size_t depth_bytes(const struct depth *depth);
size_t depth_needs(const struct depth *depth);

/* As frame_trim. */
void depth_trim(struct depth *depth, bool all);

#endif
