/*
 * wire.c - any bytes as a model and as a lone tensor: refused with a sentence, or read and printed.
 * Half of the changes are to messages, half to bytes.
 */
#include <stdlib.h>

#include "graph/lone.h"
#include "graph/onnx.h"
#include "support/dump.h"
#include "support/mutate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t n, size_t most, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t n, size_t most);

static void judge(bool ok, const struct percept_err *err)
{
    if (!ok && (err->code == ERR_NONE || !err->text[0]))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct arena arena = {.limit_bytes = (size_t)512 << 20};
    struct onnx_model model;
    struct percept_err err = {0};
    bool ok = onnx_read(bytes_of(data, n), NULL, &arena, &model, &err);
    judge(ok, &err);
    if (ok && !dump_graph(model.graph, &arena))
        abort();
    struct tensor tensor;
    struct bytes name;
    err = (struct percept_err){0};
    judge(lone_read(bytes_of(data, n), &arena, &tensor, &name, &err), &err);
    arena_free(&arena);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t n, size_t most, unsigned seed)
{
    return n < 16 || seed % 2 ? mutate_model(data, n, most, seed) : LLVMFuzzerMutate(data, n, most);
}
