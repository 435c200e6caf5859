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
/* Begins with an input "x" of these dims and an output "y" of whatever comes out. */
struct small small_xy(int rank, const int64_t *dims);
void small_input(struct small *s, const char *name, int rank, const int64_t *dims);
/* The same with names of the axes that are free: "time,batch". */
void small_input_named(struct small *s, const char *name, int rank, const int64_t *dims, const char *names);
void small_output(struct small *s, const char *name, int rank, const int64_t *dims);
void small_floats(struct small *s, const char *name, int rank, const int64_t *dims, const float *data);
/* The same with a repeatable pattern in [-1, 1). */
void small_weights(struct small *s, const char *name, int rank, const int64_t *dims, unsigned seed);
void small_ints(struct small *s, const char *name, int64_t n, const int64_t *data);
void small_node(struct small *s, const char *op_type, const char *inputs, const char *outputs);
/* With one attribute that is an integer. */
void small_node_int(struct small *s, const char *op_type, const char *inputs, const char *outputs, const char *name,
                    int64_t value);

/* Nodes as a text: "Op in,in > out attr=1 attr=1,2 attr=text; ..." */
void small_nodes(struct small *s, const char *text);

/* The finished model's bytes; the caller frees them. */
struct proto small_end(struct small *s);

/* Opens it (and frees the bytes); fails the test when that fails. */
struct percept_model *small_open(struct small *s);

/* Opening fails with a sentence that has this part ("": any sentence); the bytes of a `small` are freed. */
struct percept_err small_refused(struct small *s, const struct percept_options *options, const char *part);
struct percept_err small_refused_bytes(const void *data, size_t n, const struct percept_options *options,
                                       const char *part);

/* A constant of six numbers reshaped to the data of the sole input, "to" [2]; y is its sine. */
struct percept_model *small_open_reshaped(void);

struct percept_description small_describe(const struct percept_model *model);

/* Fails the test when there is none. */
struct percept_session *small_session(struct percept_model *model);

/* Runs a model with one float input and gives output 0's data (in the session). */
const float *small_run(struct percept_session *session, int rank, const int64_t *dims, const float *data);

/* Plans the main graph for these dims of its sole input; the caller frees the plan, which goes first. Fails the test
 * when a step would read or write what is not kept while it runs. */
void small_plan(struct plan *plan, const struct percept_model *model, int rank, const int64_t *dims);

/* The plan's first step of this operator, or NULL. */
const struct step *small_step(const struct plan *plan, const char *op_type);

#define DIMS(...) ((const int64_t[]){__VA_ARGS__})

#endif
