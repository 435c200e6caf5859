/*
 * frame.c - runs a graph: finds or makes the plan for the shapes at hand, runs its steps, goes on with
 * the plan for the rest where one depends on what was computed, runs bodies for nodes that have them.
 *
 *     frame (the model's graph)
 *       slots: one chain of plans per set of input dims; a few dozen, the oldest goes
 *       scratch: one stretch for the first plan of whichever chain is current
 *       children: frames of bodies
 *       loose: memory that nodes asked for while running, freed when the next run begins
 *       lasting: the same for all bodies together, freed when the main graph's next run begins: what
 *           sequences hold, which bodies hand on from turn to turn
 *
 * A body reads values of the graph around it: they are among its feeds and are copied into its memory in
 * plain layout, once for all turns of a loop: they are the same as long as the step around them runs, and a
 * plan leaves its feeds as they are. What is carried from turn to turn is copied at each.
 *
 * Deadline and cancellation are one watch (base/watch.h): steps look at it between each other, the team
 * between the chunks of a step, loops of operators at their turns. A session without helpers has a team of
 * one for that. A step that was left unfinished has written anything or nothing, so nobody reads what it
 * made: the run fails before the next.
 */
#include "engine/frame.h"

#include <string.h>

#include "engine/chain.h"
#include "engine/planner.h"
#include "engine/scratch.h"

#define BRIEF_FLOPS 1e6 /* steps of fewer are over within milliseconds, whatever they do */
#define MOST_PLANS 48
#define MOST_PLAN_BYTES ((size_t)8 << 20) /* of all plans' arenas, beyond four plans */

struct slot {
    struct plan plan;
    struct tensor *feeds; /* the shapes it is for; in its plan's arena; NULL: empty slot */
    uint64_t used;        /* when: larger is later */
};

struct frame {
    const struct percept_model *model;
    const struct part *part;
    struct frame *next;     /* sibling */
    struct frame *children; /* of bodies */
    struct arena arena;
    struct arena loose;
    struct arena lasting; /* the main graph's, for its bodies too */
    struct frame *root;   /* of the main graph */
    struct tensor *feeds; /* [n_feeds] wanted */
    struct slot *slots;   /* [MOST_PLANS] */
    int n_slots;
    struct slot *current; /* NULL when shapes changed since */
    bool placed;          /* its plan has memory */
    struct plan *last;    /* the end of the chain that ran; its outputs are there */
    struct plan *running; /* whose step is at work */
    uint64_t n_begun;     /* steps so far: which execution of one is at work */
    uint64_t captured;    /* of a body: n_begun of the frame around it when it copied values from there; 0: never */
    char *scratch;
    size_t scratch_bytes;
    uint64_t clock;
    struct percept_team *alone; /* for runs without helpers */
};

struct frame *frame_new(const struct percept_model *model, const struct part *part, struct percept_err *err)
{
    struct frame *frame = arena_buffer(sizeof *frame);
    if (!frame) {
        err_memory(err, "a session", sizeof *frame);
        return NULL;
    }
    frame->model = model;
    frame->part = part;
    frame->root = frame;
    frame->loose.limit_bytes = model->memory_limit_bytes;
    frame->lasting.limit_bytes = model->memory_limit_bytes;
    frame->loose.budget = frame->lasting.budget = model->budget;
    frame->feeds = arena_array(&frame->arena, (size_t)part->n_feeds + 1, sizeof *frame->feeds);
    frame->slots = arena_array(&frame->arena, MOST_PLANS, sizeof *frame->slots);
    if (frame->feeds && frame->slots)
        return frame;
    frame_free(frame);
    err_memory(err, "a session", MOST_PLANS * sizeof *frame->slots);
    return NULL;
}

void frame_free(struct frame *frame)
{
    if (!frame)
        return;
    struct frame *child = frame->children;
    while (child) {
        struct frame *next = child->next;
        frame_free(child);
        child = next;
    }
    for (int i = 0; i < frame->n_slots; i++)
        plan_free(&frame->slots[i].plan);
    arena_buffer_free(frame->scratch);
    percept_team_free(frame->alone);
    arena_free(&frame->loose);
    arena_free(&frame->lasting);
    arena_free(&frame->arena);
    arena_buffer_free(frame);
}

struct tensor *frame_feeds(struct frame *frame)
{
    return frame->feeds;
}

void frame_changed(struct frame *frame)
{
    frame->current = NULL;
}

/* --- plans -------------------------------------------------------------------------------------------------------- */

/* Was the model given an axis without elements? Asked by bodies: their own inputs do not tell. */
static bool around_empty(const struct frame *frame)
{
    return frame != frame->root && frame->root->current->plan.empty_input;
}

static struct slot *planned(struct frame *frame)
{
    for (int i = 0; i < frame->n_slots; i++) {
        struct slot *slot = &frame->slots[i];
        bool same = slot->feeds && (frame == frame->root || slot->plan.empty_input == around_empty(frame));
        for (int k = 0; same && k < frame->part->n_feeds; k++)
            same = slot->feeds[k].dtype == frame->feeds[k].dtype && tensor_same_dims(&slot->feeds[k], &frame->feeds[k]);
        if (same)
            return slot;
    }
    return NULL;
}

static void empty(struct slot *slot)
{
    plan_free(&slot->plan);
    *slot = (struct slot){.used = 0};
}

/* An empty slot; the one that was not used for longest is emptied when there are enough plans. */
static struct slot *slot_for_new(struct frame *frame)
{
    size_t total = 0;
    struct slot *free_slot = NULL, *oldest = NULL;
    int n = 0;
    for (int i = 0; i < frame->n_slots; i++) {
        struct slot *slot = &frame->slots[i];
        total += slot->plan.arena.used_bytes;
        if (!slot->feeds) {
            free_slot = slot;
            continue;
        }
        n++;
        if (!oldest || slot->used < oldest->used)
            oldest = slot;
    }
    bool enough = n >= 4 && total > MOST_PLAN_BYTES;
    if (!enough && free_slot)
        return free_slot;
    if (!enough && frame->n_slots < MOST_PLANS)
        return &frame->slots[frame->n_slots++];
    empty(oldest);
    return oldest;
}

static struct slot *plan_new(struct frame *frame, struct percept_err *err)
{
    struct slot *slot = slot_for_new(frame);
    if (!(frame == frame->root
              ? planner_build(&slot->plan, frame->model, frame->part, frame->feeds, err)
              : planner_build_body(&slot->plan, frame->model, frame->part, frame->feeds, around_empty(frame), err)))
        return NULL;
    size_t n = (size_t)frame->part->n_feeds;
    struct tensor *feeds = arena_array(&slot->plan.arena, n + 1, sizeof *feeds);
    if (!feeds) {
        plan_free(&slot->plan);
        err_memory(err, "a plan", n * sizeof *feeds);
        return NULL;
    }
    memcpy(feeds, frame->feeds, n * sizeof *feeds);
    slot->feeds = feeds;
    return slot;
}

static bool reserve_scratch(struct frame *frame, size_t n_bytes, struct percept_err *err)
{
    if (frame->scratch && n_bytes <= frame->scratch_bytes)
        return true;
    arena_buffer_free(frame->scratch); /* nobody reads it any more: what is there need not be paid for twice */
    frame->scratch = arena_buffer_from(frame->model->budget, n_bytes);
    frame->scratch_bytes = frame->scratch ? n_bytes : 0;
    return frame->scratch || err_memory(err, "the network's tensors", n_bytes);
}

bool frame_find(struct frame *frame, struct percept_err *err)
{
    if (frame->current)
        return true;
    frame->last = NULL;
    struct slot *slot = planned(frame);
    if (!slot)
        slot = plan_new(frame, err);
    if (!slot)
        return false;
    slot->used = ++frame->clock;
    frame->current = slot;
    frame->placed = false;
    return true;
}

bool frame_prepare(struct frame *frame, struct percept_err *err)
{
    if (!frame_find(frame, err))
        return false;
    if (frame->placed)
        return true;
    struct plan *plan = &frame->current->plan;
    if (!reserve_scratch(frame, plan->scratch_bytes, err))
        return false;
    if (plan->base != frame->scratch)
        scratch_place(plan, frame->scratch);
    frame->placed = true;
    frame->captured = 0; /* the memory is that of other plans as well */
    return true;
}

void *frame_feed_data(struct frame *frame, int i)
{
    return frame->current->plan.feeds[i]->data;
}

/* --- what nodes with bodies ask for ------------------------------------------------------------------------------- */

static struct frame *frame_of_body(struct frame *frame, const struct graph *body, struct percept_err *err)
{
    for (struct frame *child = frame->children; child; child = child->next)
        if (child->part->graph == body)
            return child;
    struct frame *child = frame_new(frame->model, model_part(frame->model, body), err);
    if (child) {
        child->root = frame->root;
        child->next = frame->children;
        frame->children = child;
    }
    return child;
}

/* Shapes of what the body is given: its inputs from the node, the rest from the graph around it. */
static void set_feeds(struct frame *child, const struct frame *frame, const struct tensor *inputs)
{
    const struct part *part = child->part;
    bool same = child->current && child->current->plan.empty_input == around_empty(child);
    for (int i = 0; i < part->n_feeds; i++) {
        const struct tensor *from =
            i < part->graph->n_inputs ? &inputs[i] : &frame->running->values[part->graph->values[part->feeds[i]].outer];
        struct tensor *to = &child->feeds[i];
        same = same && to->dtype == from->dtype && tensor_same_dims(to, from);
        *to = (struct tensor){.dtype = from->dtype};
        tensor_set_dims(to, from->rank, from->dims);
    }
    if (!same)
        child->current = NULL;
}

/* Part of it when the watch is over: nothing runs on it then. */
static void copy_feed(struct frame *child, int i, const struct tensor *from, struct watch *watch)
{
    const struct kernels *kernels = child->model->kernels;
    void *to = frame_feed_data(child, i);
    size_t n_bytes;
    if (!tensor_bytes(from, kernels->width, &n_bytes) || n_bytes == 0)
        return;
    if (from->layout == LAYOUT_PLAIN) {
        watch_copy(watch, to, from->data, n_bytes);
        return;
    }
    int64_t channels = from->dims[1], pixels = tensor_span(from, 2, from->rank);
    int64_t blocked = (channels + kernels->width - 1) / kernels->width * kernels->width * pixels;
    for (int64_t n = 0; n < from->dims[0]; n++)
        kernels->layout->unblock((float *)to + n * channels * pixels, (const float *)from->data + n * blocked, channels,
                                 pixels);
}

static void copy_captured(struct frame *child, const struct frame *frame, struct watch *watch)
{
    const struct part *part = child->part;
    if (child->captured == frame->n_begun)
        return;
    for (int i = part->graph->n_inputs; i < part->n_feeds; i++)
        copy_feed(child, i, &frame->running->values[part->graph->values[part->feeds[i]].outer], watch);
    child->captured = watch_over(watch) ? 0 : frame->n_begun;
}

static bool run_graph(struct frame *frame, struct watch *watch, struct percept_team *team,
                      const struct frame_observer *observer, struct percept_err *err);

static bool run_body(struct run_env *env, const struct graph *body, const struct tensor *inputs, struct tensor *outputs,
                     struct percept_err *err)
{
    struct frame *frame = env->frame;
    struct frame *child = frame_of_body(frame, body, err);
    if (!child)
        return false;
    set_feeds(child, frame, inputs);
    if (!frame_prepare(child, err))
        return false;
    for (int i = 0; i < body->n_inputs; i++)
        copy_feed(child, i, &inputs[i], env->watch);
    copy_captured(child, frame, env->watch);
    if (!run_graph(child, env->watch, env->team, NULL, err))
        return false;
    for (int i = 0; i < body->n_outputs; i++)
        outputs[i] = *frame_output(child, i);
    return true;
}

static void *loose_memory(struct run_env *env, size_t n_bytes)
{
    struct frame *frame = env->frame;
    return arena_alloc(&frame->loose, n_bytes + 64);
}

static void *lasting_memory(struct run_env *env, size_t n_bytes)
{
    struct frame *frame = env->frame;
    return arena_alloc(&frame->root->lasting, n_bytes + 64);
}

/* Is anybody still waiting for this? */
static bool go_on(struct run_env *env, struct percept_err *err)
{
    return watch_look(env->watch) || watch_refuse(env->watch, err);
}

/* --- running ------------------------------------------------------------------------------------------------------ */

static bool run_steps(struct plan *plan, struct run_env *env, const struct frame_observer *observer,
                      struct percept_err *err)
{
    for (int i = 0; i < plan->n_steps; i++) {
        struct step *step = &plan->steps[i];
        if (!go_on(env, err))
            return false;
        if (observer)
            observer->before(observer->user);
        ((struct frame *)env->frame)->n_begun++;
        team_brief(env->team, step->flops > 0 && step->flops < BRIEF_FLOPS);
        if (!op_run(step, env, err))
            return false;
        if (watch_over(env->watch)) /* it may be unfinished */
            return watch_refuse(env->watch, err);
        if (observer)
            observer->after(observer->user, step);
    }
    return true;
}

/* What nodes with bodies, or optionals, gave as outputs of the whole graph is known only now. */
static bool judge_outputs(const struct frame *frame, const struct plan *plan, struct percept_err *err)
{
    const struct graph *graph = frame->part->graph;
    for (int i = 0; i < graph->n_outputs && !graph->parent; i++)
        if (tensor_is_list(plan->outputs[i]->dtype))
            return err_set(err, ERR_UNSUPPORTED, "output '" BYTES_FMT "' is %s",
                           BYTES_ARG(graph->values[graph->outputs[i]].name),
                           tensor_list_advice(plan->outputs[i]->dtype, true));
    return true;
}

/* All plans of a graph: the model's, or a body's. */
static bool run_graph(struct frame *frame, struct watch *watch, struct percept_team *team,
                      const struct frame_observer *observer, struct percept_err *err)
{
    if (!frame_prepare(frame, err))
        return false;
    struct run_env env = {.team = team,
                          .watch = watch,
                          .body = run_body,
                          .memory = loose_memory,
                          .lasting = lasting_memory,
                          .go_on = go_on,
                          .frame = frame};
    frame->last = NULL;
    if (frame->loose.blocks)
        arena_reset(&frame->loose);
    if (frame->lasting.blocks)
        arena_reset(&frame->lasting);
    struct plan *plan = &frame->current->plan;
    for (;;) {
        frame->running = plan;
        if (!run_steps(plan, &env, observer, err))
            return false;
        if (plan_complete(plan))
            break;
        plan = chain_next(plan, frame->model, err);
        if (!plan)
            return false;
    }
    if (!judge_outputs(frame, plan, err))
        return false;
    frame->last = plan;
    return true;
}

/* The context's team, or one of the leader alone; scratch is for so many members, no more. */
static struct percept_team *team_of(struct frame *frame, const struct percept_run_context *context)
{
    if (context->team && team_limit(context->team) <= frame->model->members)
        return context->team;
    if (!frame->alone)
        frame->alone = team_new(1, NULL);
    return frame->alone;
}

bool frame_run(struct frame *frame, const struct percept_run_context *context, const struct frame_observer *observer,
               struct percept_err *err)
{
    if (!context)
        return run_graph(frame, NULL, NULL, observer, err);
    struct watch watch = {.deadline_ns = context->deadline_ns, .cancel = context->cancel};
    struct percept_team *team = team_of(frame, context);
    team_watch(team, &watch);
    bool ok = run_graph(frame, &watch, team, observer, err);
    team_watch(team, NULL);
    return ok;
}

const struct tensor *frame_output(const struct frame *frame, int i)
{
    return frame->last ? frame->last->outputs[i] : NULL;
}

struct plan *frame_plan(struct frame *frame)
{
    return frame->current ? &frame->current->plan : NULL;
}

/* --- memory ------------------------------------------------------------------------------------------------------- */

/* Of the plans that go on with the first one of a chain. */
static size_t chain_bytes(const struct slot *slot)
{
    size_t sum = 0;
    for (const struct plan *plan = slot->plan.next; plan; plan = plan->next)
        sum += plan->scratch_bytes;
    return sum;
}

size_t frame_bytes(const struct frame *frame)
{
    size_t sum = frame->scratch_bytes + frame->loose.used_bytes + frame->lasting.used_bytes;
    for (int i = 0; i < frame->n_slots; i++)
        sum += chain_bytes(&frame->slots[i]);
    for (const struct frame *child = frame->children; child; child = child->next)
        sum += frame_bytes(child);
    return sum;
}

size_t frame_needs(const struct frame *frame)
{
    if (!frame->current)
        return 0;
    size_t sum = (frame->placed ? frame->current->plan.scratch_bytes : 0) + chain_bytes(frame->current) +
                 frame->loose.used_bytes + frame->lasting.used_bytes;
    for (const struct frame *child = frame->children; child; child = child->next)
        sum += frame_needs(child);
    return sum;
}

void frame_trim(struct frame *frame, bool all)
{
    for (int i = 0; i < frame->n_slots; i++)
        if (all || &frame->slots[i] != frame->current)
            empty(&frame->slots[i]);
    for (struct frame *child = frame->children; child; child = child->next)
        frame_trim(child, all);
    arena_buffer_free(frame->scratch);
    frame->scratch = NULL;
    frame->scratch_bytes = 0;
    arena_free(&frame->loose);
    arena_free(&frame->lasting);
    frame->current = NULL;
    frame->last = NULL;
    frame->captured = 0;
}
