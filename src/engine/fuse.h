/*
 * fuse.h - small nodes become part of the large one before them.
 */
#ifndef ENGINE_FUSE_H
#define ENGINE_FUSE_H

#include "engine/model.h"

/* Asks operators of the part to absorb what follows them. `dims` are the tensors of a trial plan of the
 * same graph, or NULL when there is none: then only what needs no shapes is fused. */
bool fuse_part(struct percept_model *model, struct part *part, const struct tensor *dims,
               struct percept_err *err);

#endif
