/*
 * example.h - one random model: an operator, its inputs, attributes and opset, and how its outputs are to
 * be compared. A generator (gen_*.c, families.def) fills it in; example_model writes it as ONNX.
 *
 * Every draw comes from e->random, which is made of the operator's name, SEED and the number of the case
 * alone: a case can be repeated without those before it.
 *
 * Widening. e->type is the T of the operator's type constraints. Where ONNX Runtime has no kernel for T,
 * the same model is written for it with T replaced by e->wide (float for halves, int64 for integers); every
 * input of dtype T is converted, and what it answers is rounded to T (integers: taken modulo) again.
 */
#ifndef DIFFERENTIAL_EXAMPLE_H
#define DIFFERENTIAL_EXAMPLE_H

#include "base/arena.h"
#include "graph/graph.h"
#include "graph/proto.h"

#define EXAMPLE_INPUTS 40
#define EXAMPLE_OUTPUTS 12

struct example_input {
    struct tensor tensor;
    bool left_out;
    bool constant;  /* an initializer, not an input of the graph */
    bool free_dims; /* declared without its dimensions */
};

struct example {
    struct arena *arena;
    uint64_t random;
    const char *op, *domain;
    int opset, variant;
    int domain_opset; /* of `domain`; 1 unless the generator says otherwise */
    enum percept_dtype type;
    int n_in, n_out;
    struct example_input in[EXAMPLE_INPUTS];
    enum percept_dtype out[EXAMPLE_OUTPUTS]; /* PERCEPT_UNDEFINED: left out */
    struct proto attributes;                 /* NODE_ATTRIBUTE fields of the node */
    char notes[300];                         /* the same for people */
    struct proto after;                      /* GRAPH_NODE fields that read "y0" and make "z" (fusions), or nothing */
    struct proto constants;                  /* GRAPH_INITIALIZER fields for these */
    struct proto network; /* GRAPH_NODE fields that the node is one of, from x0 ... to y0 ..., or nothing */
    struct proto instead; /* GRAPH_NODE fields that ONNX Runtime is asked in place of the node, or nothing */
    double absolute, relative;
    bool never_widen;  /* attributes or outputs depend on T */
    bool float_inside; /* ONNX Runtime computes this operator's doubles in float, in part at least */
    bool shapes_only;  /* random numbers: elements are not compared */
    bool (*oracle)(const struct example *e, struct tensor *out); /* float64, out[i].data in e->arena */
    void *user;                                                  /* the generator's, for its oracle; in the arena */
    const char *explained; /* why ONNX Runtime may differ here: a section of README.md; or NULL */
};

/* A fresh example for the operator. */
void example_begin(struct example *e, struct arena *arena, const char *op, const char *domain, int first, int variant,
                   uint64_t seed);
void example_end(struct example *e);

/* --- draws -------------------------------------------------------------------------------------------------------- */
uint64_t example_bits(struct example *e);
int64_t example_int(struct example *e, int64_t least, int64_t most);
double example_real(struct example *e, double least, double most);
bool example_chance(struct example *e, int percent);
int64_t example_one(struct example *e, int n, const int64_t *of);
const char *example_word(struct example *e, int n, const char *const *of);
/* A dimension: mostly small and odd, sometimes 1, `zero` percent of the time 0. */
int64_t example_dim(struct example *e, int zero);
void example_dims(struct example *e, int rank, int64_t *dims, int zero);
/* 0..n-1 in random order. */
void example_shuffle(struct example *e, int n, int64_t *order);

/* T := one of these letters: f float, h float16, b bfloat16, d double, c C s S i I l L the integers of 8 to
 * 64 bits (capitals unsigned), ? bool, t string. A letter may be repeated to be drawn more often. */
enum percept_dtype example_type(struct example *e, const char *letters);
enum percept_dtype example_dtype(struct example *e, const char *letters); /* the same, T is left alone */

/* --- inputs, in order --------------------------------------------------------------------------------------------- */
/* Random elements in [least, most]; integers are clipped to what the type holds. */
struct tensor *example_input(struct example *e, enum percept_dtype dtype, int rank, const int64_t *dims, double least,
                             double most);
/* Elements that are all different. */
struct tensor *example_distinct(struct example *e, enum percept_dtype dtype, int rank, const int64_t *dims);
struct tensor *example_int64s(struct example *e, int64_t n, const int64_t *values);
struct tensor *example_scalar(struct example *e, enum percept_dtype dtype, double value);
void example_left_out(struct example *e);
/* About the input added last. */
void example_constant(struct example *e, int percent);
/* Puts NaN, infinities and both zeros among a floating input's elements. */
void example_special(struct example *e, struct tensor *tensor, int percent);

void example_output(struct example *e, enum percept_dtype dtype);

/* --- attributes --------------------------------------------------------------------------------------------------- */
void example_attr(struct example *e, const char *name, int64_t value);
void example_attr_real(struct example *e, const char *name, double value);
void example_attr_text(struct example *e, const char *name, const char *value);
void example_attr_list(struct example *e, const char *name, int n, const int64_t *values);
/* For attributes of other kinds, which generators write into e->attributes: says so in messages. */
void example_note(struct example *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* --- elements ----------------------------------------------------------------------------------------------------- */
double example_get(const struct tensor *tensor, int64_t i);
int64_t example_get_int(const struct tensor *tensor, int64_t i);
void example_set(struct tensor *tensor, int64_t i, double value);
void example_set_int(struct tensor *tensor, int64_t i, int64_t value);
bool example_is_floating(enum percept_dtype dtype);
struct tensor example_tensor(struct arena *arena, enum percept_dtype dtype, int rank, const int64_t *dims);
/* A copy of an input with T replaced by `wide` (or itself). */
struct tensor example_widened(const struct example *e, int input, enum percept_dtype wide);

/* The ONNX file. */
struct proto example_model(const struct example *e);
/* The one for ONNX Runtime: T replaced by `wide` (e->type: as it is), the node by those `instead` of it. */
struct proto example_question(const struct example *e, enum percept_dtype wide);
/* What T is replaced by: e->type when there is nothing wider. */
enum percept_dtype example_wide(const struct example *e);
/* "opset 13 float32[2,3] const int64[1] -> float32" */
const char *example_text(const struct example *e, char *buffer, size_t n);

#endif
