/* prepared.h - what a level chooses and prepares for a shape. free() gives it back. */
#ifndef PREPARED_H
#define PREPARED_H

#include "kernel/kernel.h"

#include <stdlib.h>

static inline struct conv_prepared *prepared_for(const struct kernels *level, const struct conv_shape *shape)
{
    const int algorithm = level->convolve->choose(shape, PRECISION_EXACT);
    struct conv_prepared *prepared = malloc(level->convolve->prepared_bytes(algorithm, shape));
    if (!prepared)
        abort();
    level->convolve->prepare(prepared, algorithm, shape);
    return prepared;
}

#endif
