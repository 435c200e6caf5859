/*
 * declared.h - what a file says about a value besides its name: element type and shape
 * (ValueInfoProto).
 */
#ifndef GRAPH_DECLARED_H
#define GRAPH_DECLARED_H

#include "graph/reader.h"

struct declared {
    struct bytes name;
    const char *other;       /* "a sequence", ...: no tensor */
    enum percept_dtype list; /* DTYPE_SEQUENCE, DTYPE_OPTIONAL, or 0 */
    bool typed;
    enum percept_dtype dtype;
    size_t rank;
    bool shaped;
    int64_t dims[RANK_MAX];
    struct bytes dim_names[RANK_MAX];
};

struct declared declared_read(struct bytes message);

/* Is it something that can be sent? For inputs and outputs of the model itself. */
bool declared_judge(struct reader *r, const struct declared *declared, const char *what);

/* Writes it onto a value, unless that is a constant, which knows better. */
bool declared_apply(struct reader *r, const struct declared *declared, struct value *v);

#endif
