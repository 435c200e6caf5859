/*
 * attr.h - typed attributes with defaults. Each function writes the default when the attribute is absent
 * and refuses, naming node and attribute, when its type is another or its value out of range.
 */
#ifndef OP_ATTR_H
#define OP_ATTR_H

#include "op/op.h"

bool attr_int(const struct node_ctx *ctx, const char *name, int64_t absent, int64_t *value, struct percept_err *err);
bool attr_int_in(const struct node_ctx *ctx, const char *name, int64_t absent, int64_t least, int64_t most,
                 int64_t *value, struct percept_err *err);
bool attr_bool(const struct node_ctx *ctx, const char *name, bool absent, bool *value, struct percept_err *err);
bool attr_float(const struct node_ctx *ctx, const char *name, float absent, float *value, struct percept_err *err);
/* values is NULL and n 0 when absent; the array lives as long as the model */
bool attr_ints(const struct node_ctx *ctx, const char *name, const int64_t **values, int *n, struct percept_err *err);
bool attr_floats(const struct node_ctx *ctx, const char *name, const float **values, int *n, struct percept_err *err);
/* One of the NULL-ended choices; its index. absent is an index. The message lists what is known. */
bool attr_choice(const struct node_ctx *ctx, const char *name, int absent, const char *const *choices, int *value,
                 struct percept_err *err);
/* The text lives as long as the model. */
bool attr_text(const struct node_ctx *ctx, const char *name, const char *absent, struct percept_string *value,
               struct percept_err *err);
/* values is NULL and n 0 when absent; array and texts live as long as the model. */
bool attr_texts(const struct node_ctx *ctx, const char *name, const struct percept_string **values, int *n,
                struct percept_err *err);
/* NULL when absent */
bool attr_tensor(const struct node_ctx *ctx, const char *name, const struct tensor **value, struct percept_err *err);
bool attr_graph(const struct node_ctx *ctx, const char *name, struct graph **value, struct percept_err *err);
bool attr_has(const struct node_ctx *ctx, const char *name);

#endif
