/* binary.h - element-wise arithmetic of any number type, for families that combine (ScatterND). */
#ifndef OP_BINARY_H
#define OP_BINARY_H

#include "op/op.h"

/* y[i] = a[i] op b[i] for all number types; integers wrap; y may be a or b. Divisors are not 0. */
void binary_combine(const struct kernels *kernels, enum binary op, enum percept_dtype dtype, void *y, const void *a,
                    const void *b, int64_t n);

#endif
