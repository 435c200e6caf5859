/*
 * constant.h - inputs that a request need not send, because the manifest knows them: fixed values, or what the posted
 * picture's size is (D-FINE's orig_target_sizes, PaddleDetection's scale_factor and im_shape), or what goes with the
 * tokens of a text (attention_mask, token_type_ids and position_ids of transformers).
 */
#ifndef SERVE_CONSTANT_H
#define SERVE_CONSTANT_H

#include "serve/job.h"

/* Can this input hold what the manifest says? `batching`: the first axis is the batch. Part of fit.c's judgement. */
bool constant_fits(const struct manifest_input *input, const struct percept_io *io, bool batching,
                   struct percept_err *err);

/* Fills those that neither the body nor the job's sources have, once everything else is decoded. */
bool constant_fill(struct job *job, struct percept_err *err);

#endif
