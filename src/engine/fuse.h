/*
 * fuse.h - small nodes become part of the large one before them.
 */
#ifndef ENGINE_FUSE_H
#define ENGINE_FUSE_H

#include "engine/plan.h"

/* Asks operators of the part to absorb what follows them. `dims` are the tensors of a trial plan of the
 * same graph, or NULL when there is none: then only what needs no shapes is fused. `others` are further trials
 * (trial_ones): what is of one shape by chance in the first is not in all. */
bool fuse_part(struct percept_model *model, struct part *part, const struct tensor *dims, const struct plan *others,
               int n_others, struct percept_err *err);

#endif
