/*
 * session.c - set shapes, run the steps, hand out outputs.
 *
 * A session keeps the plans of the shapes it met last and one stretch of scratch memory, as large as the
 * largest of them needs; the plans' pointers are set anew when another plan takes over or the scratch
 * moves. A run at shapes that are planned already allocates nothing.
 *
 * Input memory belongs to the current plan: percept_input plans first if the shapes are new.
 *
 * Threads: one at a time, its holder. Helpers come in through the run's team only.
 */
#include <time.h>

#include "engine/plan.h"

#define MOST_PLANS 48
#define MOST_PLAN_BYTES ((size_t)8 << 20) /* of all plans' arenas, beyond four plans */

struct slot {
    struct plan plan;
    struct tensor *inputs; /* the shapes it is for; in its plan's arena */
    uint64_t used;         /* when: larger is later */
};

struct percept_session {
    const struct percept_model *model;
    struct arena arena;
    struct tensor *wanted; /* [n_inputs] shapes set by percept_resize; rank -1: not set */
    struct slot *slots;    /* [MOST_PLANS] */
    int n_slots;
    struct slot *current;  /* NULL when shapes changed since */
    struct slot *last_run; /* whose outputs are there */
    char *scratch;
    size_t scratch_bytes;
    uint64_t clock;
    bool profiling;
    struct percept_step_profile *profile; /* of the last run; in its own buffer */
    int n_profile, cap_profile;
};

struct percept_session *percept_session_new(const struct percept_model *model, struct percept_err *err)
{
    struct percept_session *session = arena_buffer(sizeof *session);
    if (!session) {
        err_memory(err, "a session", sizeof *session);
        return NULL;
    }
    session->model = model;
    session->wanted = arena_array(&session->arena, (size_t)model->n_inputs + 1, sizeof *session->wanted);
    session->slots = arena_array(&session->arena, MOST_PLANS, sizeof *session->slots);
    if (!session->wanted || !session->slots) {
        percept_session_free(session);
        err_memory(err, "a session", MOST_PLANS * sizeof *session->slots);
        return NULL;
    }
    for (int i = 0; i < model->n_inputs; i++) {
        const struct percept_io *io = &model->inputs[i];
        session->wanted[i] = (struct tensor){.dtype = io->dtype, .rank = io->rank};
        for (int d = 0; d < io->rank; d++) {
            session->wanted[i].dims[d] = io->dims[d];
            if (io->dims[d] < 0)
                session->wanted[i].rank = -1;
        }
    }
    return session;
}

void percept_session_free(struct percept_session *session)
{
    if (!session)
        return;
    for (int i = 0; i < session->n_slots; i++)
        plan_free(&session->slots[i].plan);
    arena_buffer_free(session->scratch);
    arena_buffer_free(session->profile);
    arena_free(&session->arena);
    arena_buffer_free(session);
}

bool percept_resize(struct percept_session *session, int input, int rank, const int64_t *dims,
                    struct percept_err *err)
{
    const struct percept_model *model = session->model;
    if (input < 0 || input >= model->n_inputs)
        return err_set(err, ERR_INVALID, "the model has no input %d; it has %d", input, model->n_inputs);
    const struct percept_io *io = &model->inputs[input];
    bool fits = rank >= 0 && rank <= RANK_MAX && (io->rank < 0 || io->rank == rank);
    for (int d = 0; fits && d < rank; d++)
        fits = dims[d] >= 0 && (io->rank < 0 || io->dims[d] < 0 || io->dims[d] == dims[d]);
    int64_t count;
    if (!fits || !tensor_count(rank, dims, &count)) {
        char want[128], got[128];
        return err_set(err, ERR_INVALID, "input '%s' has shape %s, got %s", io->name,
                       tensor_shape_text(io->rank, io->dims, want, sizeof want),
                       tensor_shape_text(rank < 0 || rank > RANK_MAX ? 0 : rank, dims, got, sizeof got));
    }
    struct tensor *wanted = &session->wanted[input];
    struct tensor fresh = {.dtype = wanted->dtype, .rank = rank};
    for (int d = 0; d < rank; d++)
        fresh.dims[d] = dims[d];
    if (wanted->rank < 0 || !tensor_same_dims(wanted, &fresh)) {
        *wanted = fresh;
        session->current = NULL;
    }
    return true;
}

/* --- plans ------------------------------------------------------------------------------------------- */

static bool shapes_set(const struct percept_session *session, struct percept_err *err)
{
    for (int i = 0; i < session->model->n_inputs; i++)
        if (session->wanted[i].rank < 0)
            return err_set(err, ERR_INVALID, "the shape of input '%s' has free dimensions and is not set",
                           session->model->inputs[i].name);
    return true;
}

static struct slot *planned(struct percept_session *session)
{
    for (int i = 0; i < session->n_slots; i++) {
        struct slot *slot = &session->slots[i];
        bool same = slot->inputs != NULL;
        for (int k = 0; same && k < session->model->n_inputs; k++)
            same = tensor_same_dims(&slot->inputs[k], &session->wanted[k]);
        if (same)
            return slot;
    }
    return NULL;
}

/* A free slot, or the one that was not used for longest when there are enough plans. */
static struct slot *slot_for_new(struct percept_session *session)
{
    size_t total = 0;
    struct slot *empty = NULL, *oldest = NULL;
    int n = 0;
    for (int i = 0; i < session->n_slots; i++) {
        struct slot *slot = &session->slots[i];
        total += slot->plan.arena.used_bytes;
        if (!slot->inputs) {
            empty = slot;
            continue;
        }
        n++;
        if (!oldest || slot->used < oldest->used)
            oldest = slot;
    }
    bool enough = n >= 4 && total > MOST_PLAN_BYTES;
    if (!enough && empty)
        return empty;
    if (!enough && session->n_slots < MOST_PLANS)
        return &session->slots[session->n_slots++];
    plan_free(&oldest->plan);
    *oldest = (struct slot){.used = 0};
    return oldest;
}

static struct slot *plan_new(struct percept_session *session, struct percept_err *err)
{
    const struct percept_model *model = session->model;
    struct slot *slot = slot_for_new(session);
    if (!plan_build(&slot->plan, model, model->parts, session->wanted, err))
        return NULL;
    size_t n = (size_t)model->n_inputs;
    struct tensor *inputs = arena_array(&slot->plan.arena, n + 1, sizeof *inputs);
    if (!inputs) {
        plan_free(&slot->plan);
        err_memory(err, "a plan", n * sizeof *inputs);
        return NULL;
    }
    for (size_t i = 0; i < n; i++)
        inputs[i] = session->wanted[i];
    slot->inputs = inputs;
    return slot;
}

static bool reserve_profile(struct percept_session *session, int n_steps, struct percept_err *err)
{
    if (n_steps <= session->cap_profile)
        return true;
    void *fresh = arena_buffer((size_t)n_steps * sizeof *session->profile);
    if (!fresh)
        return err_memory(err, "a profile", (size_t)n_steps * sizeof *session->profile);
    arena_buffer_free(session->profile);
    session->profile = fresh;
    session->cap_profile = n_steps;
    session->n_profile = 0;
    return true;
}

static bool reserve_scratch(struct percept_session *session, size_t n_bytes, struct percept_err *err)
{
    if (session->scratch && n_bytes <= session->scratch_bytes)
        return true;
    char *fresh = arena_buffer(n_bytes);
    if (!fresh)
        return err_memory(err, "the network's tensors", n_bytes);
    arena_buffer_free(session->scratch);
    session->scratch = fresh;
    session->scratch_bytes = n_bytes;
    session->last_run = NULL;
    return true;
}

bool percept_prepare(struct percept_session *session, struct percept_err *err)
{
    if (session->current)
        return true;
    if (!shapes_set(session, err))
        return false;
    struct slot *slot = planned(session);
    if (!slot)
        slot = plan_new(session, err);
    if (!slot || !reserve_scratch(session, slot->plan.scratch_bytes, err) ||
        !reserve_profile(session, slot->plan.n_steps, err))
        return false;
    if (slot->plan.base != session->scratch)
        plan_place(&slot->plan, session->scratch);
    slot->used = ++session->clock;
    session->current = slot;
    session->last_run = NULL;
    return true;
}

void *percept_input(struct percept_session *session, int input)
{
    if (input < 0 || input >= session->model->n_inputs || !percept_prepare(session, NULL))
        return NULL;
    const struct graph *graph = session->model->onnx.graph;
    return session->current->plan.values[graph->inputs[input]].data;
}

/* --- running ------------------------------------------------------------------------------------------ */

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Between steps: is anybody still waiting for this? */
static bool may_go_on(const struct percept_run_context *context, struct percept_err *err)
{
    if (!context)
        return true;
    if (context->cancel && __atomic_load_n(context->cancel, __ATOMIC_RELAXED))
        return err_set(err, ERR_CANCELLED, "the run was cancelled");
    if (context->deadline_ns && now_ns() > context->deadline_ns)
        return err_set(err, ERR_TIMEOUT, "Request timeout expired");
    return true;
}

static bool run_profiled(struct percept_session *session, struct step *step, int index,
                         struct run_env *env, struct percept_err *err)
{
    int64_t start = now_ns();
    bool good = step->op->rule->run(step, env, err);
    session->profile[index] = (struct percept_step_profile){
        .op_type = step->op->name,
        .node = step->node && step->node->name.at ? (const char *)step->node->name.at : "",
        .algorithm = step->algorithm ? step->algorithm : "",
        .ms = (double)(now_ns() - start) / 1e6,
        .flops = step->flops};
    session->n_profile = index + 1;
    return good;
}

bool percept_run(struct percept_session *session, const struct percept_run_context *context,
                 struct percept_err *err)
{
    if (!percept_prepare(session, err))
        return false;
    struct plan *plan = &session->current->plan;
    struct run_env env = {.team = context ? context->team : NULL};
    session->n_profile = 0;
    session->last_run = NULL;
    for (int i = 0; i < plan->n_steps; i++) {
        struct step *step = &plan->steps[i];
        if (!may_go_on(context, err))
            return false;
        if (session->profiling ? !run_profiled(session, step, i, &env, err)
                               : !step->op->rule->run(step, &env, err))
            return false;
    }
    session->last_run = session->current;
    return true;
}

struct percept_tensor percept_output(const struct percept_session *session, int output)
{
    struct percept_tensor view = {.dtype = PERCEPT_UNDEFINED};
    if (!session->last_run || output < 0 || output >= session->model->n_outputs)
        return view;
    const struct tensor *tensor = session->last_run->plan.outputs[output];
    view.dtype = tensor->dtype;
    view.rank = tensor->rank;
    for (int d = 0; d < tensor->rank; d++)
        view.dims[d] = tensor->dims[d];
    view.data = tensor->data;
    return view;
}

void percept_set_profiling(struct percept_session *session, bool on)
{
    session->profiling = on;
}

const struct percept_step_profile *percept_profile(const struct percept_session *session, int *n)
{
    *n = session->n_profile;
    return session->profile;
}

size_t percept_session_bytes(const struct percept_session *session)
{
    return session->current ? session->current->plan.scratch_bytes : 0;
}

double percept_session_flops(const struct percept_session *session)
{
    return session->current ? session->current->plan.flops : 0;
}
