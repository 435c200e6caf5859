/*
 * epilogue.h - what products and convolutions do to what they are about to store.
 */
#ifndef KERNEL_EPILOGUE_H
#define KERNEL_EPILOGUE_H

#include "kernel/kernel.h"
#include "kernel/vec.h"

/* The activations that are a clamp, as every tile can do on its accumulators. */
struct bounds {
    float low, high;
    bool used;  /* clamp the accumulators */
    bool later; /* the activation is none of the clamps: activate() the stored tile */
};

INLINED struct bounds bounds_of(const struct epilogue *epilogue)
{
    switch (epilogue->act) {
    case ACT_NONE:
        return (struct bounds){.used = false};
    case ACT_RELU:
        return (struct bounds){.low = 0, .high = INFINITY, .used = true};
    case ACT_CLIP:
        return (struct bounds){.low = epilogue->alpha, .high = epilogue->beta, .used = true};
    default:
        return (struct bounds){.later = true};
    }
}

extern const struct map_kernels TABLE(map);

/* Applies an activation in place: called on a tile that still lies in the first cache. Through the table, so that there
 * is one copy of each activation: a second one might fuse other multiply-adds. */
static __attribute__((noinline)) void activate(const struct epilogue *epilogue, float *y, int64_t n)
{
    TABLE(map).unary(unary_of(epilogue->act), y, y, n, epilogue->alpha, epilogue->beta);
}

#endif
