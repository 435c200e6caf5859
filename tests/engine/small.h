/*
 * small.h - networks of a few nodes, built by hand for the engine's tests. Inputs are float [N, ...] with a
 * free first axis.
 */
#ifndef TESTS_ENGINE_SMALL_H
#define TESTS_ENGINE_SMALL_H

#include "graph/proto.h"
#include "percept.h"

struct plan;

struct small {
    struct proto graph;
    int64_t opset;
};

struct small small_begin(void); /* opset 13 */
void small_input(struct small *s, const char *name, int rank, const int64_t *dims);
void small_output(struct small *s, const char *name, int rank, const int64_t *dims);
void small_floats(struct small *s, const char *name, int rank, const int64_t *dims, const float *data);
/* The same with a repeatable pattern in [-1, 1). */
void small_weights(struct small *s, const char *name, int rank, const int64_t *dims, unsigned seed);
void small_ints(struct small *s, const char *name, int64_t n, const int64_t *data);
void small_node(struct small *s, const char *op_type, const char *inputs, const char *outputs);

/* The finished model's bytes; the caller frees them. */
struct proto small_end(struct small *s);

/* Opens it (and frees the bytes); fails the test when that fails. */
struct percept_model *small_open(struct small *s);

/* Runs a model with one float input and gives output 0's data (in the session). */
const float *small_run(struct percept_session *session, int rank, const int64_t *dims, const float *data);

/* Plans the main graph for these dims of its sole input; the caller frees the plan, which goes first. */
void small_plan(struct plan *plan, const struct percept_model *model, int rank, const int64_t *dims);

/* The plan's first step of this operator, or NULL. */
const struct step *small_step(const struct plan *plan, const char *op_type);

#define DIMS(...) ((const int64_t[]){__VA_ARGS__})

#endif
