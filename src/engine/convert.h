/*
 * convert.h - the steps that a plan puts between operators: blocks of channels to plain order and back,
 * half floats to float32 and back. In a profile they are called (layout), (widen) and (narrow).
 */
#ifndef ENGINE_CONVERT_H
#define ENGINE_CONVERT_H

#include "engine/builder.h"

/* The value in the layout wanted: itself, what was converted before, or a new conversion, which `node` (NULL:
 * none) asked for. NULL on failure. */
struct tensor *convert_layout(struct builder *b, const struct node *node, int value, struct tensor *tensor,
                              enum layout layout);

/* Feed i's value is half: the caller gets memory of that type to write to, the value itself is float. */
bool convert_feed(struct builder *b, int i, struct tensor *value);

/* Before the step is appended: what it puts out as half goes to a tensor beside the value, which becomes
 * float. After it: widens these. */
bool convert_divert(struct builder *b, struct step *step);
bool convert_widen(struct builder *b, const struct step *step);

/* The same for a step that was run while planning. */
bool convert_known(struct builder *b, const struct step *step);

/* Output i, planned as float, in the half type that the model declares for it. */
bool convert_output(struct builder *b, int i);

#endif
