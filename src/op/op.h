/*
 * op.h - what an ONNX operator is: one row in ops.def and one rule with these verbs.
 *
 *   verb    when                          thread            may fail          may allocate
 *   check   a model is opened             loader            with a sentence   ctx->arena (the model's)
 *   affine  after all checks              loader            says no           ctx->arena
 *   fuse    after all checks              loader            says no           ctx->arena
 *   pack    after fusing                  loader            no                no: size is asked first
 *   shape   a set of shapes is new        session's holder  with a sentence   step->arena (the plan's)
 *   batch   two sets of shapes are known  loader or holder  says no           no
 *   run     every inference               worker            only on data      no
 *
 * Loading judges, running trusts: what check and shape accepted, run does without asking again; it
 * only judges elements, such as an index out of range.
 *
 * affine says what a node is to the one before it: a scale and a shift for each channel. fuse takes such into a node
 * that came before. Between them is engine/fuse.c, which knows no operator by its name.
 *
 * batch says where the items of a batch lie in what the node computes (batch_axis.h). A rule without it says
 * nothing of the kind: behind such a node items are not joined, unless all that it reads is the same for all.
 *
 * Known values. At shape time step->in[i]->data is NULL unless the value is known already (a constant,
 * or computed from shapes). A step all of whose inputs are known is run at once by the planner, by the
 * same run verb; that is constant folding at load and resolves Shape -> Gather -> Concat -> Reshape
 * chains when a session's shapes are planned.
 *
 * Layouts. Inputs come in LAYOUT_PLAIN unless shape sets step->want[i] = LAYOUT_BLOCKED; the planner
 * converts when a tensor lies otherwise. shape sees how an input lies now (step->in[i]->layout) and sets
 * out[i]->layout; zero is LAYOUT_PLAIN, so an operator that knows nothing of blocks says nothing. Only
 * float tensors of rank >= 3 can be blocked.
 */
#ifndef OP_OP_H
#define OP_OP_H

#include "base/team.h"
#include "graph/graph.h"
#include "kernel/kernel.h"

/* Where check, fuse and pack find things. One per node, alive while a model is opened. */
struct node_ctx {
    struct graph *graph;
    struct node *node;   /* node->priv is the op's own, set by check */
    struct arena *arena; /* the model's */
    struct arena *load;  /* freed when the weights are packed: for large copies that only packing reads */
    const struct kernels *kernels;
    enum precision precision;
    uint32_t packed_inputs; /* check sets bit i: constant input i lives in the packed bytes alone */
};

/* A request to do more within the same node (engine/fuse.c asks, in the order of execution). */
enum fusion_kind {
    FUSE_AFFINE,     /* channel c of output 0: y = y scale[c] + shift[c] */
    FUSE_RESIDUAL,   /* output 0: y = y + value (same shape); the op appends the value to its inputs */
    FUSE_ACTIVATION, /* output 0: y = act(y) */
};

struct fusion {
    enum fusion_kind kind;
    int64_t channels;
    const float *scale, *shift; /* [channels], in the model's arena; either may be NULL */
    int value;
    enum activation act;
    float alpha, beta;
};

/* What affine is asked: the node reads x, which is its input `input` and what an operator before it gives. */
struct affine_view {
    int input;
    int axis;               /* along which the channels of x lie; -1: not known */
    const struct tensor *x; /* dims as in a trial; NULL: not known */
};

/* What a node that accepts fusions keeps (in its priv): the result of all accepted requests. */
struct fused {
    const float *scale; /* [channels] or NULL: multiplied into the weights when packing */
    const float *shift; /* [channels] or NULL: added to the bias */
    int residual;       /* input slot, or -1 */
    enum activation act;
    float alpha, beta;
};

/* Adds a request to `fused` where the order of operations allows it: affine before residual before
 * activation. `arena` is for the merged vectors. The op then appends the residual itself. */
bool op_fuse(struct fused *fused, const struct fusion *fusion, struct arena *arena);

/* Appends a value to a node's inputs; its slot, or -1 when memory is short. */
int op_add_input(struct node_ctx *ctx, int value);

/* One node in one plan: shapes are known. Owned by the plan, used by the session's holder. */
struct step {
    const struct op *op;
    const struct node *node;
    const void *priv;   /* what check made */
    const void *packed; /* what pack made; in the model's region, 64-byte aligned */
    size_t packed_bytes;
    const struct kernels *kernels;
    int n_in, n_out;
    struct tensor **in;  /* NULL: left out */
    struct tensor **out; /* never NULL; an unwanted output has somewhere to go as well */
    bool from_data;      /* an axis without elements is so because of data: nothing was detected */

    /* set by shape; zeroed before */
    struct arena *arena;  /* the plan's */
    enum layout *want;    /* [n_in] */
    int alias;            /* k + 1: out[0] is in[k]'s memory seen under other dims (no data moves) */
    int inplace;          /* k + 1: out[0] may be written over in[k] if nobody else reads that */
    uint32_t *demands;    /* bit i: shape failed because it must know in[i]'s data (op_known); or NULL */
    size_t scratch_bytes; /* for run, for all members together */
    void *state;          /* the op's own, allocated from arena */
    const char *algorithm;
    double flops;      /* by the operator's definition */
    double done_flops; /* that are carried out, where an algorithm needs fewer; 0: all */

    /* set by the planner */
    void *scratch; /* 64-byte aligned */
    int members;   /* most threads that work on this step: team_split's member < members */
};

/* What a run has besides its step. The functions are the engine's; a node folded at load has none. */
struct run_env {
    struct percept_team *team; /* has the same watch */
    struct watch *watch;       /* for loops that no team splits: watch_spend; a run may return true when it is over */
    /* Runs a body of the node (If, Loop, Scan, SequenceMap). inputs: one per input of the body; outputs: one per
     * output, views that stay good until the same body runs again. Plain layout. */
    bool (*body)(struct run_env *env, const struct graph *body, const struct tensor *inputs, struct tensor *outputs,
                 struct percept_err *err);
    /* Memory for outputs of an OP_OWN_MEMORY node: good until the next run, NULL when it is short. */
    void *(*memory)(struct run_env *env, size_t n_bytes);
    /* The same for what a body hands on from turn to turn, such as the tensors of a sequence: good until the
     * model runs again, however often bodies run before. */
    void *(*lasting)(struct run_env *env, size_t n_bytes);
    /* False with a sentence once the run's deadline has passed or it was cancelled. */
    bool (*go_on)(struct run_env *env, struct percept_err *err);
    void *frame; /* the engine's */
};

/* For loops that no team splits: `units` elements are next. False once nobody waits for the run any more: the
 * operator then returns true, whatever it has written, and the run fails. What takes more than some
 * milliseconds has to ask. */
static inline bool op_spend(struct run_env *env, int64_t units)
{
    return watch_spend(env->watch, units);
}

/* for (op_blocks(env, n, from, to)): all of [0, n) in ranges that op_spend was asked for; fewer once it said no. */
#define OP_BLOCK 65536
#define op_blocks(env, n, from, to)                                                                                    \
    int64_t from = 0, to;                                                                                              \
    (to = (n)-from < OP_BLOCK ? (n) : from + OP_BLOCK) > from &&op_spend(env, to - from);                              \
    from = to

/* What a team's members are given where one piece may take long: they look at the watch themselves. Each works on a
 * copy, because it counts by itself; team_split has just looked. */
struct op_share {
    const struct step *step;
    struct watch *watch;
    int64_t left; /* watch_spend_own's */
};

static inline struct op_share op_share(const struct step *step, const struct run_env *env)
{
    return (struct op_share){.step = step, .watch = env->watch, .left = WATCH_STRIDE};
}

static inline bool op_share_spend(struct op_share *share, int64_t units)
{
    return watch_spend_own(share->watch, &share->left, units);
}

/* As op_blocks; an element is `each` units. */
#define op_share_blocks(share, n, each, from, to)                                                                      \
    int64_t from = 0, to;                                                                                              \
    (to = (n)-from < OP_BLOCK ? (n) : from + OP_BLOCK) > from &&op_share_spend(share, (each) * (to - from));           \
    from = to

/* memcpy and memset of any size; part of it once nobody waits. */
void op_copy(struct run_env *env, void *to, const void *from, size_t n_bytes);
void op_clear(struct run_env *env, void *to, size_t n_bytes);

/* Bytes of a tensor in plain layout, lists too. */
size_t op_plain_bytes(const struct tensor *t);

/* A tensor of strings that is copied takes its texts along where their owner may go first: how many bytes they have
 * (0 of other types), and n strings' texts to memory of so many. */
size_t op_text_bytes(const struct tensor *t);
void op_move_texts(void *strings, int64_t n, char *to);

enum op_flags {
    OP_SHAPE_ONLY = 1,      /* output needs only the dims of the inputs (Shape, Size): known when planned */
    OP_RANDOM = 2,          /* never folded */
    OP_DATA_DIMS = 4,       /* output dims depend on data: shape gives the upper bound, run sets out[i]->dims */
    OP_OWN_MEMORY = 8,      /* run sets out[i]'s dtype, dims and data as well; shape says nothing */
    OP_LISTS = 16,          /* takes sequences and optionals; the planner refuses them for all others */
    OP_LASTING = 32,        /* run asks for lasting memory: never folded */
    OP_MIXES = 64,          /* items of a batch reach each other: a model that has it is not batched */
    OP_TIME_FIRST = 128,    /* what it reads is [time, batch, features], unless an attribute says otherwise */
    OP_CHANNELS_LAST = 256, /* the channels of what it gives lie along the last axis, not the second */
    OP_ADDS = 512,          /* gives the sum of its inputs, element by element */
    OP_MULTIPLIES = 1024,   /* their product */
    OP_RESHAPES = 2048,     /* gives input 0 under the dims that input 1 lists */
    OP_PASSES = 4096,       /* with one input and one output that is wanted: gives that input */
    OP_EXACT = 8192,        /* is told denormal numbers: next to zero what it gives jumps, as of Equal, Ceil, Log */
};

struct batch_view; /* op/batch_axis.h */

struct op_rule {
    bool (*check)(struct node_ctx *ctx, struct percept_err *err);
    /* True: output 0 is x scale[c] + shift[c]; tells channels, scale and shift. NULL: never. */
    bool (*affine)(struct node_ctx *ctx, const struct affine_view *view, struct fusion *fusion);
    bool (*fuse)(struct node_ctx *ctx, const struct fusion *fusion); /* NULL: never */
    /* Input 0 has these dims in every run, but for the first: what is chosen by them is chosen now, before packing.
     * NULL: nothing is. */
    void (*settle)(struct node_ctx *ctx, const struct tensor *x);
    size_t (*pack_bytes)(const struct node_ctx *ctx); /* NULL: nothing to pack */
    void (*pack)(const struct node_ctx *ctx, void *packed);
    bool (*shape)(struct step *step, struct percept_err *err);
    bool (*run)(struct step *step, struct run_env *env, struct percept_err *err);
    void (*batch)(struct batch_view *view); /* NULL: not known */
    int flags;
    int variant; /* for families that share verbs: which member this is */
};

struct op {
    const char *domain; /* "" is ONNX's own */
    const char *name;
    int since; /* first opset of this meaning */
    const struct op_rule *rule;
};

/* The newest row with this name whose `since` is not above the opset, or NULL. */
const struct op *op_find(struct bytes domain, struct bytes name, int opset);

/* All rows, sorted by domain and name. */
const struct op *op_table(int *n);

/* Runs a step, unless all that it gives is empty: a loop over the axes that are not would take as long as if
 * there were something. */
bool op_run(struct step *step, struct run_env *env, struct percept_err *err);

/* "node 'conv_3' (Conv): " for messages: err_set(err, code, OP_AT "...", OP_NODE(node), ...) */
#define OP_AT "node '" BYTES_FMT "' (" BYTES_FMT "): "
#define OP_NODE(node) BYTES_ARG((node)->name), BYTES_ARG((node)->op_type)

/* The constant tensor behind input i, aligned, or NULL when it is left out or not constant. */
const struct tensor *op_constant(struct node_ctx *ctx, int i);

/* Why there is no row for operators of this kind, and never will be: advice for whoever brings one; NULL otherwise. */
const char *op_absent(struct bytes domain, struct bytes name);

/* True if input i is there. */
bool op_has_input(const struct node *node, int i);

/* shape, run: input i, or NULL where it is left out; -1 is one that the operator does not have. */
static inline struct tensor *op_in(const struct step *step, int i)
{
    return i >= 0 && i < step->n_in ? step->in[i] : NULL;
}

/* check: zeroed memory of the model for what the op keeps, as the node's priv and later its steps'; NULL, with a
 * sentence, when memory is short. Readers point a variable of its type at priv. */
void *op_priv(struct node_ctx *ctx, size_t n_bytes, struct percept_err *err);

/* check: n_in within [least, most], n_out <= outputs. */
bool op_arity(const struct node_ctx *ctx, int least, int most, int outputs, struct percept_err *err);

/* shape: sets out[i]'s dtype and dims. */
void op_set_out(struct step *step, int i, enum percept_dtype dtype, int rank, const int64_t *dims);

/* shape: input i must have this dtype. */
bool op_want_dtype(const struct step *step, int i, enum percept_dtype dtype, struct percept_err *err);

/* shape: input i must be of float or double. */
bool op_want_real(const struct step *step, int i, struct percept_err *err);

/* shape: refuses what would be `what` ("mean") of no elements along `axis`, which nobody has defined. False. */
bool op_refuse_empty(const struct step *step, const char *what, int axis, struct percept_err *err)
    __attribute__((cold));

/* shape: input i's data are known (or the input is left out). Otherwise notes the demand, so that the
 * planner stops here and goes on during the run, and says so in err. */
bool op_known(const struct step *step, int i, struct percept_err *err);

/* shape: a list of integers (int32 or int64), as op_known, of at most `most`. */
bool op_ints(const struct step *step, int i, int most, int64_t *to, int *n, struct percept_err *err);

static inline int64_t op_clamp(int64_t x, int64_t low, int64_t high)
{
    return x < low ? low : x > high ? high : x;
}

/* axis in [-rank, rank) -> [0, rank). */
bool op_axis(const struct step *step, int64_t axis, int rank, int *out, struct percept_err *err);

#endif
