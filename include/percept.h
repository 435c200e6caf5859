/*
 * percept.h - the whole face of libpercept: open a trained network, run it.
 *
 *     struct percept_err err;
 *     struct percept_model *model = percept_open("digits.onnx", NULL, &err);
 *     struct percept_session *session = model ? percept_session_new(model, &err) : NULL;
 *     int64_t dims[4] = {1, 1, 28, 28};
 *     if (!session || !percept_resize(session, 0, 4, dims, &err))
 *         return fprintf(stderr, "%s\n", err.text), 1;
 *     memcpy(percept_input(session, 0), pixels, 28 * 28 * sizeof(float));
 *     if (!percept_run(session, NULL, &err))
 *         return fprintf(stderr, "%s\n", err.text), 1;
 *     const float *scores = percept_output(session, 0).data;
 *     percept_session_free(session);
 *     percept_close(model);
 *
 * Threads: a model may be used by any number of threads, a session by one at a time.
 * Errors: functions that can fail return false or NULL and leave a sentence in *err; what they would
 * have written is then untouched. The library never prints, never exits.
 * Names are ONNX's. Sizes in bytes end in _bytes; dimensions are int64_t.
 */
#ifndef PERCEPT_H
#define PERCEPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PERCEPT_RANK_MAX 8

/* Element types, numbered as in ONNX's TensorProto.DataType. */
enum percept_dtype {
    PERCEPT_UNDEFINED = 0,
    PERCEPT_FLOAT = 1,
    PERCEPT_UINT8 = 2,
    PERCEPT_INT8 = 3,
    PERCEPT_UINT16 = 4,
    PERCEPT_INT16 = 5,
    PERCEPT_INT32 = 6,
    PERCEPT_INT64 = 7,
    PERCEPT_STRING = 8,
    PERCEPT_BOOL = 9,
    PERCEPT_FLOAT16 = 10,
    PERCEPT_DOUBLE = 11,
    PERCEPT_UINT32 = 12,
    PERCEPT_UINT64 = 13,
    PERCEPT_BFLOAT16 = 16,
};

/* One element of a PERCEPT_STRING tensor: bytes that somebody else owns, not ended by a NUL. Those of an input must
 * stay until the outputs were read, which may point at them; those of an output stay as long as it does. */
struct percept_string {
    const char *at;
    size_t n_bytes;
};

/* An error carries a sentence: what, where, and what would work. `code` is a row of `perceptd --errors`. */
struct percept_err {
    int code;
    char text[512];
};

/* A view of a tensor: row-major, dense. `data` belongs to whom the function that returns it says. */
struct percept_tensor {
    enum percept_dtype dtype;
    int rank;
    int64_t dims[PERCEPT_RANK_MAX];
    void *data;
};

/* An input or output of a model. A dimension of -1 is free; dim_names has its ONNX name or NULL. */
/* What the numbers of an output went through last, as the graph says it: behind that lie only operators that move them
 * (Identity, Cast, Reshape, Squeeze, Unsqueeze, Flatten, Transpose, Split, Slice, Concat). UNKNOWN: parts of it went
 * through different ones. */
enum percept_activation {
    PERCEPT_ACTIVATION_UNKNOWN,
    PERCEPT_ACTIVATION_NONE,
    PERCEPT_ACTIVATION_SOFTMAX,
    PERCEPT_ACTIVATION_LOG_SOFTMAX,
    PERCEPT_ACTIVATION_SIGMOID
};

/* The order of the axes of an input that the first convolution reads as a picture. */
enum percept_layout { PERCEPT_LAYOUT_UNKNOWN, PERCEPT_LAYOUT_NCHW, PERCEPT_LAYOUT_NHWC };

struct percept_io {
    const char *name;
    enum percept_dtype dtype;
    int rank; /* -1: the model does not say */
    int64_t dims[PERCEPT_RANK_MAX];
    const char *dim_names[PERCEPT_RANK_MAX];
    int batch_axis; /* along which the items of a batch lie, free; -1 where the model has no batch */
    int n_labels;   /* of an output whose last axis the file names (ZipMap), else 0 */
    const char *const *labels;
    enum percept_activation activation; /* of an output */
    bool has_exp;                       /* of an output: an Exp lies between it and the nearest weights */
    enum percept_layout layout;         /* of an input */
};

enum percept_region {
    PERCEPT_REGION_SHARED = 0, /* named, shared by all processes of this user on this host */
    PERCEPT_REGION_PRIVATE,    /* sealed memory of this process alone */
};

/* Memory for tensors that the sessions of many models share, and whatever else takes from it. The caller's, who sets
 * the limit before anything takes; it outlives all models. A run that would pass it fails with MEMORY. */
struct percept_budget {
    size_t limit_bytes;
    size_t used_bytes; /* now; atomic */
};

/* How to open a model. Zeroed fields mean the default; set `size` to sizeof(struct percept_options). */
struct percept_options {
    size_t size;
    const char *level;          /* of kernels: "base", "v3", "v4", "v4+vnni"; NULL: the best this CPU runs */
    const char *precision;      /* "exact" (NULL), "fast" or "bf16" */
    size_t memory_limit_bytes;  /* of one session's tensors; 0: 4 GiB */
    enum percept_region region; /* where packed weights live */
    const char *region_prefix;  /* of names under /dev/shm; NULL: "perceptd" */
    bool batch_independent;     /* the caller's word that items along the first axes do not depend on each other, where
                                 * no proof is found: the model's batch is then free all the same */
    struct percept_budget *budget; /* that sessions take from; NULL: none */
};

/* What percept_describe tells; strings and arrays live as long as the model. */
struct percept_description {
    const char *level; /* of kernels */
    const char *precision;
    const char *producer; /* who exported the model, may be "" */
    int64_t ir_version;
    int64_t opset;        /* of ONNX's default domain */
    int n_nodes;          /* in the file */
    int n_steps;          /* that are run, after folding and fusing */
    int n_folded;         /* nodes computed at load */
    int n_fused;          /* nodes that became part of another */
    int64_t n_parameters; /* elements of all initializers */
    size_t file_bytes;
    size_t region_bytes;      /* packed weights */
    const char *region_name;  /* under /dev/shm, "" when private */
    bool region_adopted;      /* packed by another process or an earlier run */
    bool batch_free;          /* every input and output has a batch_axis: along these lie items that do not depend on
                               * each other */
    bool batch_rewritten;     /* it was 1 in the file; freed at load */
    bool batch_asserted;      /* by options.batch_independent alone: no proof was found; all axes are 0 */
    const char *batch_reason; /* why no proof was found, with the node; "" where one was */
    int n_operators;
    const struct percept_operator_count {
        const char *op_type;
        int count;
    } * operators; /* sorted by name, as in the file */
    int n_layers;  /* steps that have a choice of algorithms, in order, bodies' too */
    const struct percept_layer {
        const char *node; /* its name in the file */
        const char *op_type;
        const char *algorithm; /* "winograd", "direct", ...; a map on which it does not pay may run by another */
    } * layers;
    int n_properties; /* of the file's metadata_props: what exporters note, in the file's order */
    const struct percept_property {
        const char *key, *value;
    } * properties;
    int n_properties_left_out; /* more than 256, longer than 1 MiB, or no text in UTF-8 */
    int n_notes;
    const char *const *notes; /* sentences for whoever loads it, such as a node in training form; log each once */
};

/* What one step of a session's last run took (percept_profile). */
struct percept_step_profile {
    const char *op_type;
    const char *node;      /* its name in the file */
    const char *algorithm; /* what the operator chose, may be "" */
    double ms;
    double flops;      /* by the operator's definition */
    double done_flops; /* that were carried out: an algorithm may need fewer */
    double bytes;      /* of its inputs, weights and outputs, each once */
};

/* What one core does at most, as measured for some milliseconds. */
struct percept_machine {
    double flops_per_s; /* multiply-adds of floats in registers, two operations each */
    double bytes_per_s; /* read and written beyond the second cache */
};

/* Lends cores to runs. The thread that calls percept_run leads; helpers are threads of the caller's
 * that are inside percept_team_help. A run never waits for a helper that has not come yet. */
struct percept_team;

/* What a single run may use; zeroed fields mean "none". Owned by the caller, read during the run. */
struct percept_run_context {
    int64_t deadline_ns;       /* CLOCK_MONOTONIC; past it the run fails with TIMEOUT; 0: none */
    const int *cancel;         /* another thread may set it to 1 (atomically); the run then fails with CANCELLED */
    struct percept_team *team; /* helpers granted to this run, or NULL */
};

struct percept_model;
struct percept_session;

/* Opens the ONNX file at `path`; external data is looked for beneath its folder, and where the file
 * is a symbolic link beneath that of the file it leads to; links that lead elsewhere are refused.
 * `options` may be NULL. The caller owns the model. */
struct percept_model *percept_open(const char *path, const struct percept_options *options, struct percept_err *err);

/* The same from memory; `data` is no longer needed afterwards. External data is refused. */
struct percept_model *percept_open_memory(const void *data, size_t n_bytes, const struct percept_options *options,
                                          struct percept_err *err);

/* Marks the model's packed weights as kept, now and when the model is closed: they stay in shared
 * memory when the last process lets go, so that the next one that opens the file adopts them. What
 * is kept of an older state of the file, or of another build, and held by nobody, is removed. No
 * effect on private ones. Any thread, one at a time for a model. */
void percept_keep_region(const struct percept_model *model);

/* Ends a model; its sessions must be gone. NULL is accepted. */
void percept_close(struct percept_model *model);

/* The inputs and outputs, in the order of the file; the array lives as long as the model. */
const struct percept_io *percept_inputs(const struct percept_model *model, int *n);
const struct percept_io *percept_outputs(const struct percept_model *model, int *n);

void percept_describe(const struct percept_model *model, struct percept_description *description);

/* A session holds what a run writes to. As many as you like may exist for a model. */
struct percept_session *percept_session_new(const struct percept_model *model, struct percept_err *err);
void percept_session_free(struct percept_session *session);

/* Sets the shape of an input. Shapes are judged together when they are next needed. */
bool percept_resize(struct percept_session *session, int input, int rank, const int64_t *dims, struct percept_err *err);

/* Makes everything ready for the shapes set: plans and reserves memory. percept_run does it by itself;
 * calling it beforehand moves the cost of a new shape out of the first run. */
bool percept_prepare(struct percept_session *session, struct percept_err *err);

/* Where to write an input's elements (64-byte aligned; 64 bytes past the end may be read). Valid until
 * the next percept_resize of any input. NULL if the shape is not set or memory is short. */
void *percept_input(struct percept_session *session, int input);

/* Runs the network. Allocates nothing when these shapes have been run before. `context` may be NULL.
 * Numbers are rounded to nearest, and arithmetic takes denormal ones (below 1.2e-38, of doubles 2.2e-308) for zero, in
 * every thread that computes and whatever the caller's thread does, which is as it was afterwards. What compares,
 * converts or jumps at zero (Equal, Cast, Ceil, Log, Div, ...) sees them as they are. */
bool percept_run(struct percept_session *session, const struct percept_run_context *context, struct percept_err *err);

/* Do the items of a batch at the shapes that are set depend on nothing but themselves, so that each has the bits
 * that it has alone? Proved from the operators when first asked at these shapes, or said by the caller
 * (options.batch_independent). False as well where the model has no batch, or shapes are not set or do not work. */
bool percept_items_independent(struct percept_session *session);

/* An output of the last run: a view, valid until the session's next resize or run. */
struct percept_tensor percept_output(const struct percept_session *session, int output);

/* Turns per-step timing on or off; when on, percept_profile tells of the last run. */
void percept_set_profiling(struct percept_session *session, bool on);
const struct percept_step_profile *percept_profile(const struct percept_session *session, int *n);

/* Measures the calling thread's core, on the level that the model runs on. */
bool percept_measure(const struct percept_model *model, struct percept_machine *machine, struct percept_err *err);

/* Bytes of scratch that the session's current shapes need (inputs and outputs included), as known before a run. */
size_t percept_session_needs(const struct percept_session *session);

/* Bytes that it holds: as many as the largest of its shapes needed since it was made, or trimmed. */
size_t percept_session_bytes(const struct percept_session *session);

/* Gives back what is held beyond the current shapes' needs, or `all`. What percept_input and percept_output gave is
 * gone; shapes that were set stay set, and the next run takes its memory anew. */
void percept_session_trim(struct percept_session *session, bool all);

/* Floating-point operations of one run at the session's current shapes. */
double percept_session_flops(const struct percept_session *session);

struct percept_team *percept_team_new(struct percept_err *err);
void percept_team_free(struct percept_team *team);

/* Call on a helper's thread: works for runs that use `team` until percept_team_close. */
void percept_team_help(struct percept_team *team);

/* Sends the helpers home. Any thread; helpers that come later return at once. */
void percept_team_close(struct percept_team *team);

/* Names of the levels this CPU runs, best first, NULL-ended. */
const char *const *percept_kernels(void);

/* Size of an element in bytes (PERCEPT_STRING: of struct percept_string); 0 if unknown. */
size_t percept_dtype_bytes(enum percept_dtype dtype);
const char *percept_dtype_name(enum percept_dtype dtype); /* "float32", "int64", ... */

/* The supported operators, printed as docs/operators.md: called once per line. */
void percept_list_operators(void (*line)(void *user, const char *text), void *user);

/* Named regions under /dev/shm with this prefix (NULL: "perceptd"), for `perceptd regions`. */
struct percept_region_info {
    char name[80];
    size_t n_bytes;
    char model[160]; /* path it was packed from */
    char level[16];
    int n_holders;
    int holders[16];    /* the first holders' process ids */
    int64_t kept_since; /* when it was last marked as kept, in seconds of Unix time; 0: it is not */
};
int percept_list_regions(const char *prefix, struct percept_region_info *infos, int n_max);

/* Removes this user's regions with this prefix that no process holds (crashed ones left them);
 * returns how many. Kept ones stay for keep_seconds from their mark; 0: they go too; negative: they
 * stay. A daemon calls it once its own models are open: until then they may adopt them. */
int percept_clean_regions(const char *prefix, int64_t keep_seconds);

const char *percept_version(void);

#ifdef __cplusplus
}
#endif

#endif
