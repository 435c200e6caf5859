/*
 * ort.h - ONNX Runtime through its C interface, as far as a benchmark needs it: open the library, open a model on one
 * thread, run it on memory of the caller.
 *
 *     struct ort *ort = ort_open("libonnxruntime.so.1", why);
 *     struct ort_model *model = ort_model_open(ort, "model.onnx", why);
 *     ort_model_input(model, 0, "x", PERCEPT_FLOAT, 4, dims, data, n_bytes, why);
 *     ort_model_run(model, why);
 *     ort_model_output(model, 0, &data, &n_elements)
 *     ort_model_close(model);
 *
 * The library is opened at run time; nothing of it is needed to build. Its interface is a table of functions whose
 * order has been kept since its first version; those that are used stand in ort.c by their places. Every failure is a
 * sentence in `why`, of ORT_WHY bytes. One thread.
 */
#ifndef TESTS_BENCH_ORT_H
#define TESTS_BENCH_ORT_H

#include "percept.h"

#define ORT_WHY 300
#define ORT_MOST 32 /* inputs, outputs */

struct ort;
struct ort_model;

struct ort *ort_open(const char *library, char *why);
const char *ort_version(const struct ort *ort);

struct ort_model *ort_model_open(struct ort *ort, const char *path, char *why);
void ort_model_close(struct ort_model *model);

/* Input i of at most ORT_MOST; `data` is read at each run, not copied. */
bool ort_model_input(struct ort_model *model, int i, const char *name, enum percept_dtype dtype, int rank,
                     const int64_t *dims, const void *data, size_t n_bytes, char *why);

/* The outputs that runs compute, by name. */
bool ort_model_outputs(struct ort_model *model, int n, const char *const *names);

/* Outputs are ONNX Runtime's, until the next run. */
bool ort_model_run(struct ort_model *model, char *why);
bool ort_model_output(struct ort_model *model, int i, const void **data, size_t *n_elements);

#endif
