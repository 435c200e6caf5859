/*
 * served.h - one instance of one version of one model, as everybody who serves it sees it. The catalog makes it, a
 * loader fills it, the loop owns it from then on; workers read it while they have a job of its.
 *
 * What clients may send and get is served_inputs and served_outputs: the network's inputs and outputs, in its order,
 * with the dims and labels that its folder declares. What the network itself says of them is served_own_inputs and
 * served_own_outputs, also of a model that is away (resident.h), which is READY without being in memory: requests of it
 * are read, and wait.
 */
#ifndef SERVE_SERVED_H
#define SERVE_SERVED_H

#include "serve/manifest.h"
#include "serve/stats.h"

#include <string.h>

enum served_state { SERVED_LOADING, SERVED_READY, SERVED_FAILED, SERVED_UNLOADING };

struct states;    /* serve/states.h: what a sequence keeps */
struct companion; /* serve/companion.h: a network that feeds it */
struct lane;      /* serve/lane.h: the queue of one served model */
struct depends;   /* serve/depends.h: the models that it runs */
struct staged;    /* serve/staged.h: how it runs them */
struct job;       /* serve/job.h */

/* Where models come from: a path that was added. */
struct root {
    struct root *next; /* in the order of adding */
    const char *path;  /* as it was given */
};

/* One version of one model. */
struct served {
    struct served *next; /* in the catalog, sorted by name, then version */
    const char *name;
    int64_t version;
    const char *path; /* of the .onnx */
    const struct root *root;
    enum served_state state;
    char reason[512];            /* why it failed, or could not be replaced; without paths of this host */
    struct percept_model *model; /* when READY and not away */
    bool away;                   /* READY, but not in memory: it is loaded when somebody asks for it */
    const struct manifest *manifest;
    const struct percept_io *own_inputs, *own_outputs; /* copies of the network's; NULL: ask the model */
    int n_own_inputs, n_own_outputs;
    const struct percept_io *declared_inputs, *declared_outputs; /* NULL: nothing is declared */
    const struct states *states;                                 /* NULL: nothing is kept between requests */
    struct companion *companion;                                 /* NULL: it is one network alone */
    struct depends *depends;                                     /* other served models that it runs; NULL: none */
    const struct staged *staged; /* it has no network, and runs those alone; NULL: it has one */
    void (*begin)(
        struct job *job); /* of its jobs where they are parents (job.h), unless they have one; NULL: they are not */
    void (*end)(struct job *job); /* of such a job, before done */
    struct lane *lane;
    struct stats stats;
    bool batching;             /* jobs may be joined along the inputs' and outputs' batch_axis */
    int max_batch_size;        /* items of a request; of a batch, where they may be joined */
    int64_t max_pixels;        /* of a posted picture before resizing; 0: the codec's own limit */
    int64_t max_audio_seconds; /* of a posted sound; 0: the codec's own limit */
    double load_ms;
    uint64_t stamp;    /* of the files that were read, or tried in vain, last (survey.h); 0: unknown */
    bool overridden;   /* it is not what its files say: whoever had it loaded said more (override.h) */
    int64_t missed_ns; /* when it was first seen to be gone from disk; 0: it is there */
    int n_holders;     /* jobs */
    struct arena arena;
};

/* Is a request one of items, along its tensors' batch_axis? Also where they may not be joined with others', but
 * config.pbtxt says that the first axis is the batch. */
static inline bool served_has_batch(const struct served *served)
{
    return served->batching || (served->manifest->declared_batch && served->manifest->max_batch_size != 0);
}

static inline const struct percept_io *served_own_inputs(const struct served *served, int *n)
{
    if (!served->own_inputs)
        return percept_inputs(served->model, n);
    *n = served->n_own_inputs;
    return served->own_inputs;
}

static inline const struct percept_io *served_own_outputs(const struct served *served, int *n)
{
    if (!served->own_outputs)
        return percept_outputs(served->model, n);
    *n = served->n_own_outputs;
    return served->own_outputs;
}

/* Does the manifest know what this input holds? Then a request need not send it. */
static inline bool served_is_constant(const struct served *served, int input)
{
    int n;
    const struct manifest_input *said = manifest_input(served->manifest, served_own_inputs(served, &n)[input].name);
    return said && said->kind == MANIFEST_CONSTANT;
}

static inline const struct percept_io *served_inputs(const struct served *served, int *n)
{
    const struct percept_io *own = served_own_inputs(served, n);
    return served->declared_inputs ? served->declared_inputs : own;
}

static inline const struct percept_io *served_outputs(const struct served *served, int *n)
{
    const struct percept_io *own = served_own_outputs(served, n);
    return served->declared_outputs ? served->declared_outputs : own;
}

/* The index of the output that the task reads: the manifest's, or the only one; -1. */
static inline int served_task_output(const struct served *served)
{
    const char *name = served->manifest->task_output;
    int n;
    const struct percept_io *ios = served_own_outputs(served, &n);
    for (int i = 0; i < n; i++)
        if (name ? strcmp(ios[i].name, name) == 0 : n == 1)
            return i;
    return -1;
}

#endif
