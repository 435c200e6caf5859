/*
 * batch.c - graphs of several nodes, drawn from the bytes. Where the loader takes the first axis for a batch, or
 * frees one that is 1 in the file, no item may have other bits beside mates of NaN, infinities, huge numbers, zeros
 * and copies than it has alone.
 */
#include "support/apart.h"
#include "support/grow.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct draw draw = draw_of(data, n);
    struct proto model = grow_model(&draw);
    if (model.n)
        apart_check(model.at, model.n, &draw);
    proto_free(&model);
    return 0;
}
