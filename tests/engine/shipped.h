/*
 * shipped.h - the models of models/ as fixtures: opened privately, fed with repeatable inputs.
 */
#ifndef TESTS_ENGINE_SHIPPED_H
#define TESTS_ENGINE_SHIPPED_H

#include "percept.h"

#define SHIPPED_COUNT 5

extern const char *const shipped_names[SHIPPED_COUNT];

/* Opens models/NAME/model.onnx on the level that PERCEPTD_KERNELS names; fails the test when that fails. */
struct percept_model *shipped_open(const char *name);

/* Free dims of the model's sole input: the batch, then `length`. */
void shipped_dims(const struct percept_model *model, int64_t batch, int64_t length, int64_t *dims);

/* Elements of one item of the sole input at these dims, in bytes. */
size_t shipped_item_bytes(const struct percept_model *model, const int64_t *dims);

/* Writes item number `seed` (always the same bytes for the same seed): floats in [-1, 1), ids in 1..40. */
void shipped_fill(const struct percept_model *model, void *item, size_t n_bytes, unsigned seed);

#endif
