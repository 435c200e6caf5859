/*
 * harness.h - a graph of one node, built by hand and run without the engine, for the operators' tests.
 *
 *     struct harness h;
 *     harness_begin(&h, "Concat", 13);
 *     harness_int(&h, "axis", 0);
 *     harness_floats(&h, 1, DIMS(2), (float[]){1, 2});        an input, data known only when run
 *     harness_floats(&h, 1, DIMS(1), (float[]){3});
 *     ck_assert_msg(harness_run(&h), "%s", h.err.text);
 *     harness_expect_floats(&h, 0, 1, DIMS(3), (float[]){1, 2, 3}, 0);
 *     harness_end(&h);
 *
 * The last input added may be changed by harness_as_constant (an initializer: seen by check and pack),
 * harness_as_known (known when planned, not when opened) or harness_as_blocked (lies in LAYOUT_BLOCKED).
 * harness_load is check and pack; harness_fuse asks for a fusion before it packs; harness_plan is shape;
 * harness_run does whatever of these has not been done yet. Outputs are always given back in
 * LAYOUT_PLAIN; how they lay is in h.out_layout. Buffers are filled with 0xA5 before the run, so that an
 * element nobody wrote shows; 64 such bytes lie behind each, and a run that changes them is a failed test. Where
 * the output may be written over an input, that is done as well, and has to give the same.
 */
#ifndef TESTS_OP_HARNESS_H
#define TESTS_OP_HARNESS_H

#include "op/op.h"

#define HARNESS_MAX 24

#define DIMS(...) ((const int64_t[]){__VA_ARGS__})

struct harness_fence {
    const char *at;
    struct harness_fence *next;
};

enum harness_stage { HARNESS_NEW, HARNESS_CHECKED, HARNESS_LOADED, HARNESS_PLANNED, HARNESS_RAN };

struct harness {
    struct arena arena;
    struct graph graph;
    struct node node;
    struct node_ctx ctx;
    struct step step;
    struct run_env env;
    struct percept_err err;
    enum harness_stage stage;
    bool overwrite; /* set before planning: outputs go over inputs where step->inplace allows it */
    int n_values;   /* of the graph: the node's inputs first, then its outputs */
    struct tensor tensors[2 * HARNESS_MAX]; /* of each value, with data, plain */
    bool known[2 * HARNESS_MAX];            /* data are shown to shape */
    bool blocked[2 * HARNESS_MAX];
    struct value values[2 * HARNESS_MAX];
    int in[HARNESS_MAX], out[HARNESS_MAX];
    struct attr attrs[HARNESS_MAX];
    struct tensor step_in[HARNESS_MAX], step_out[HARNESS_MAX];
    struct tensor *in_ptr[HARNESS_MAX], *out_ptr[HARNESS_MAX];
    enum layout want[HARNESS_MAX];
    enum layout out_layout[HARNESS_MAX];
    struct harness_fence *fences;
};

/* One output, no inputs, no attributes. The level of kernels is the best one, or the environment's
 * PERCEPTD_KERNELS; h->ctx.kernels may be changed right after. */
void harness_begin(struct harness *h, const char *op_type, int opset);
void harness_domain(struct harness *h, const char *domain);
/* Both of these; ONNX's own domain is "". */
void harness_begin_in(struct harness *h, const char *domain, const char *op_type, int opset);
void harness_outputs(struct harness *h, int n);
void harness_end(struct harness *h);

void harness_int(struct harness *h, const char *name, int64_t value);
void harness_float(struct harness *h, const char *name, float value);
void harness_text(struct harness *h, const char *name, const char *value);
void harness_text_list(struct harness *h, const char *name, int n, const char *const *values); /* not copied */
void harness_int_list(struct harness *h, const char *name, int n, const int64_t *values);
void harness_float_list(struct harness *h, const char *name, int n, const float *values);
void harness_tensor(struct harness *h, const char *name, const struct tensor *tensor);
void harness_attr(struct harness *h, const struct attr *attr);

/* Each adds the node's next input; data are copied. The value's index. */
int harness_input(struct harness *h, enum percept_dtype dtype, int rank, const int64_t *dims, const void *data);
int harness_floats(struct harness *h, int rank, const int64_t *dims, const float *data);
int harness_int64s(struct harness *h, int rank, const int64_t *dims, const int64_t *data);
int harness_texts(struct harness *h, int rank, const int64_t *dims, const char *const *texts); /* not copied */
int harness_left_out(struct harness *h);

/* About the input added last. */
void harness_as_constant(struct harness *h);
void harness_as_known(struct harness *h);
void harness_as_blocked(struct harness *h);

/* A value that is no input of the node yet: what FUSE_RESIDUAL adds. */
int harness_value(struct harness *h, enum percept_dtype dtype, int rank, const int64_t *dims, const void *data);

bool harness_check(struct harness *h); /* finds the operator; check */
bool harness_fuse(struct harness *h, const struct fusion *fusion);
bool harness_load(struct harness *h); /* pack */
bool harness_plan(struct harness *h); /* shape, buffers */
bool harness_run(struct harness *h);
void harness_ran(struct harness *h); /* fails the test unless it runs */

/* Output i after a run, plain. */
const struct tensor *harness_out(const struct harness *h, int i);

/* Fail the test unless output i is this. tolerance: |got - want| <= tolerance (1 + |want|). */
void harness_expect_floats(const struct harness *h, int i, int rank, const int64_t *dims, const float *want,
                           float tolerance);
void harness_expect(const struct harness *h, int i, enum percept_dtype dtype, int rank, const int64_t *dims,
                    const void *want);
void harness_expect_texts(const struct harness *h, int i, int rank, const int64_t *dims, const char *const *want);
/* Fail the test unless the stage so far fails with this code and a sentence that contains `words`. */
void harness_expect_failure(struct harness *h, enum err_code code, const char *words);

#endif
