/*
 * lone.h - a TensorProto on its own, as in the .pb files of ONNX's tests; perceptd itself reads tensors
 * of models only. Data are copied into the arena, aligned; external ones are refused.
 *
 *     if (!lone_read(file, &arena, &tensor, &name, &err)) ... err.text
 */
#ifndef TESTS_GRAPH_LONE_H
#define TESTS_GRAPH_LONE_H

#include <string.h>

#include "base/err.h"
#include "graph/stored.h"

static inline bool lone_copy_texts(struct arena *arena, struct percept_string *texts, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        texts[i].at = arena_text(arena, texts[i].at, texts[i].n_bytes);
        if (!texts[i].at)
            return false;
    }
    return true;
}

static inline bool lone_copy_data(struct arena *arena, struct stored *stored)
{
    struct tensor *t = &stored->tensor;
    size_t n_bytes;
    if (!tensor_bytes(t, 1, &n_bytes))
        return false;
    if (!stored->aligned) {
        void *copy = arena_alloc(arena, n_bytes);
        if (!copy)
            return false;
        t->data = memcpy(copy, t->data, n_bytes);
    }
    return t->dtype != PERCEPT_STRING || lone_copy_texts(arena, t->data, tensor_elements(t));
}

static inline bool lone_read(struct bytes file, struct arena *arena, struct tensor *tensor, struct bytes *name,
                             struct percept_err *err)
{
    struct stored stored;
    if (!stored_read(file, NULL, arena, &stored, err))
        return false;
    if (stored.unsupported)
        return err_set(err, ERR_UNSUPPORTED, "tensor '" BYTES_FMT "': type %s is not supported", BYTES_ARG(stored.name),
                       tensor_dtype_name(stored.tensor.dtype));
    const char *copy = arena_text(arena, stored.name.at, bytes_size(stored.name));
    if (!copy || !lone_copy_data(arena, &stored))
        return err_memory(err, "a tensor", bytes_size(file));
    *tensor = stored.tensor;
    *name = bytes_of(copy, bytes_size(stored.name));
    return true;
}

#endif
