/*
 * stages.h - the steps of a chain, as its manifest.json ("stages") or config.pbtxt (ensemble_scheduling) says them.
 *
 * Each stage runs a served model. It is given values by their names and gives values names: an input of the chain is a
 * value that no stage makes, and each value is made once, so the order of the stages follows from who needs what, and
 * stages that do not need each other run at the same time. Here is what can be judged without the models: staged.h
 * compares types and shapes.
 *
 *     struct stages_plan plan;
 *     if (stages_plan(stages, &arena, &plan, &err)) ...
 *
 * Threads: a loader's. All lies in the arena of whoever reads it.
 */
#ifndef SERVE_STAGES_H
#define SERVE_STAGES_H

#include "base/arena.h"
#include "percept.h"

#define STAGES_MAX 64
#define STAGES_LINKS_MAX 64 /* of one stage, inputs and outputs each */

/* What an input or output of a model is called in the chain. */
struct stage_link {
    const char *io;    /* the model's name for it */
    const char *value; /* the chain's */
};

struct stage {
    const char *name;  /* in sentences and Server-Timing; NULL: the model's */
    const char *model; /* by its served name */
    int64_t version;   /* 0: any, the highest that is READY */
    int n_inputs, n_outputs;
    struct stage_link *inputs, *outputs;
};

struct stages {
    int n;
    struct stage *at;
};

struct stage_value {
    const char *name;
    int maker;  /* the stage; -1: it is an input of the chain */
    int n_uses; /* by inputs of stages; 0: it is an output of the chain */
};

/* Values by index, in the order in which they are named first. */
struct stages_plan {
    int n_values;
    struct stage_value *values;
    int **inputs, **outputs; /* [stages][its links]: values */
};

/* How a stage is called. */
static inline const char *stage_name(const struct stage *stage)
{
    return stage->name ? stage->name : stage->model;
}

/* False with a sentence (CONFIG): there is no stage, a value is made twice, stages wait for each other, an input is
 * linked twice. */
bool stages_plan(const struct stages *stages, struct arena *arena, struct stages_plan *plan, struct percept_err *err);

/* The value of that name, -1: there is none. */
int stages_value(const struct stages_plan *plan, const char *name);

#endif
