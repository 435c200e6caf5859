#include "engine/shipped.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

const char *const shipped_names[SHIPPED_COUNT] = {"digits", "perceptron", "cats-dogs", "spam", "names"};

struct percept_model *shipped_open(const char *name)
{
    char path[160];
    snprintf(path, sizeof path, "models/%s/model.onnx", name);
    struct percept_options options = {
        .size = sizeof options, .level = getenv("PERCEPTD_KERNELS"), .region = PERCEPT_REGION_PRIVATE};
    struct percept_err err = {0};
    struct percept_model *model = percept_open(path, &options, &err);
    ck_assert_msg(model != NULL, "%s", err.text);
    return model;
}

void shipped_dims(const struct percept_model *model, int64_t batch, int64_t length, int64_t *dims)
{
    int n;
    const struct percept_io *io = percept_inputs(model, &n);
    ck_assert_int_eq(n, 1);
    for (int d = 0; d < io->rank; d++)
        dims[d] = d == 0 ? batch : io->dims[d] < 0 ? length : io->dims[d];
}

size_t shipped_item_bytes(const struct percept_model *model, const int64_t *dims)
{
    int n;
    const struct percept_io *io = percept_inputs(model, &n);
    size_t n_bytes = percept_dtype_bytes(io->dtype);
    for (int d = 1; d < io->rank; d++)
        n_bytes *= (size_t)dims[d];
    return n_bytes;
}

void shipped_fill(const struct percept_model *model, void *item, size_t n_bytes, unsigned seed)
{
    int n;
    bool ids = percept_inputs(model, &n)->dtype == PERCEPT_INT64;
    uint32_t state = seed * 2654435761u + 12345u;
    size_t count = n_bytes / (ids ? sizeof(int64_t) : sizeof(float));
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        if (ids)
            ((int64_t *)item)[i] = 1 + (int64_t)(state >> 8) % 40;
        else
            ((float *)item)[i] = (float)(state >> 8) / 8388608.0f - 1.0f;
    }
}
