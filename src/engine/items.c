/*
 * items.c - a proof that a network keeps the items of a batch apart, without running it.
 *
 * A walk over the nodes in order, with two plans: of one item, and of n. Each value gets a place (op/batch_axis.h):
 * it is the same in both, or known from shapes, or like the one but for an axis along which the items lie, or
 * nothing is known of it. Constants are the same, inputs hold the items along their batch axes; where they lie in
 * what a node computes says its rule's verb `batch`. The network keeps items apart if each output has them along one
 * axis, and nothing else there.
 *
 * What a verb does not have to be asked:
 *
 *     all inputs the same        so are the outputs, but for random numbers and bodies
 *     known in both plans        their elements are compared
 *     an input nothing is known of    nor is of the outputs, but of their shapes
 *
 * Nothing is known of an output either that lies in another layout in one plan than in the other: sums follow it.
 *
 * The proof is of these two plans: it says that a run of n items at these shapes gives each of them the bits that
 * it has alone. So it is made twice. When a model is opened, for two items and for many, at lengths that were made
 * up: that tells which axes are taken for a batch at all (axes.c). And at each set of shapes at which requests
 * are joined, once, before they are: hence nothing rests on a length or a number of items that was tried.
 *
 * It never runs anything. A network that couples items shows it only to some data (a peak above a limit, a NaN),
 * which made-up items do not have.
 */
#include "engine/items.h"

#include "engine/known.h"
#include "engine/planner.h"
#include "op/batch_axis.h"

struct items {
    const struct percept_model *model;
    const struct graph *graph;
    struct arena arena;
    struct tensor *one, *many; /* [n_values] with data where known from shapes */
    int64_t n;
    struct batch_place *places; /* [n_values] */
    int *culprits;              /* [n_values]: the node behind which nothing is known, or -1 */
    const char **reasons;       /* [n_nodes] */
};

/* Dims and what is known without a run: data of a plan in use lie in scratch. */
static struct tensor *known_values(struct items *items, const struct plan *plan)
{
    const int n = items->graph->n_values;
    struct tensor *values = arena_array(&items->arena, (size_t)n + 1, sizeof *values);
    for (int v = 0; values && v < n; v++) {
        values[v] = plan->values[v];
        values[v].data = plan->in_memory[v] ? NULL : values[v].data;
    }
    return values;
}

static void nothing_known(struct items *items, int value, int culprit)
{
    items->places[value] = (struct batch_place){.word = BATCH_MIXED};
    items->culprits[value] = culprit;
}

static bool begin(struct items *items, const struct plan *one, const struct plan *many)
{
    const struct graph *graph = items->graph;
    const size_t n_values = (size_t)graph->n_values + 1;
    items->one = known_values(items, one);
    items->many = known_values(items, many);
    items->places = arena_array(&items->arena, n_values, sizeof *items->places);
    items->culprits = arena_array(&items->arena, n_values, sizeof *items->culprits);
    items->reasons = arena_array(&items->arena, (size_t)graph->n_nodes + 1, sizeof *items->reasons);
    if (!items->one || !items->many || !items->places || !items->culprits || !items->reasons)
        return false;
    for (int v = 0; v < graph->n_values; v++) {
        nothing_known(items, v, -1);
        if (graph->values[v].constant)
            items->places[v] = batch_axis_known(&items->one[v], &items->many[v], items->n);
    }
    for (int i = 0; i < graph->n_inputs; i++) {
        const int v = graph->inputs[i], axis = items->model->inputs[i].batch_axis;
        const struct batch_place place = batch_axis_at(axis, 1);
        if (batch_axis_fits(place, &items->one[v], &items->many[v], items->n) && items->one[v].dims[axis] == 1)
            items->places[v] = place;
    }
    return true;
}

/* --- a node ------------------------------------------------------------------------------------------------------- */

static bool has_body(const struct node *node)
{
    for (int a = 0; a < node->n_attr; a++)
        if (node->attrs[a].graph)
            return true;
    return false;
}

/* The node as a step of one of the two plans; NULL when memory is short. */
static struct step *step_of(struct items *items, const struct node *node, struct tensor *values)
{
    struct step *step = arena_alloc(&items->arena, sizeof *step);
    struct tensor *unwanted = arena_alloc(&items->arena, sizeof *unwanted);
    if (!step || !unwanted || !known_step(step, node, items->model->kernels, &items->arena))
        return NULL;
    for (int i = 0; i < node->n_in; i++)
        step->in[i] = node->in[i] >= 0 ? &values[node->in[i]] : NULL;
    for (int o = 0; o < node->n_out; o++)
        step->out[o] = node->out[o] >= 0 ? &values[node->out[o]] : unwanted;
    return step;
}

/* Asks the rule. False when memory is short. */
static bool ask(struct items *items, const struct node *node, struct batch_view *view)
{
    struct batch_place *in = arena_array(&items->arena, (size_t)node->n_in + 1, sizeof *in);
    view->out = arena_array(&items->arena, (size_t)node->n_out + 1, sizeof *view->out);
    view->one = step_of(items, node, items->one);
    view->many = step_of(items, node, items->many);
    if (!in || !view->out || !view->one || !view->many)
        return false;
    for (int i = 0; i < node->n_in; i++)
        in[i] = node->in[i] >= 0 ? items->places[node->in[i]] : (struct batch_place){.word = BATCH_SAME};
    view->in = in;
    view->n = items->n;
    view->added = -1;
    if (node->op->rule->batch)
        node->op->rule->batch(view);
    else
        view->why = "is not known to keep items apart";
    return true;
}

/* What the inputs have in common: all SAME, else SHAPED or INDEPENDENT; MIXED, with the node that is to blame. */
static enum batch_word worst_input(const struct items *items, const struct node *node, int *culprit)
{
    enum batch_word worst = BATCH_SAME;
    for (int i = 0; i < node->n_in; i++) {
        const enum batch_word word = node->in[i] >= 0 ? items->places[node->in[i]].word : BATCH_SAME;
        if (word == BATCH_MIXED) {
            *culprit = items->culprits[node->in[i]];
            return BATCH_MIXED;
        }
        worst = word > worst ? word : worst;
    }
    return worst;
}

/* Sets an output that is known, or that is the same because all inputs are. */
static bool plain_output(struct items *items, const struct node *node, int value, enum batch_word worst)
{
    const struct tensor *one = &items->one[value], *many = &items->many[value];
    const struct batch_place same = {.word = BATCH_SAME};
    if (node->op->rule->flags & OP_RANDOM)
        return false;
    if (one->data && many->data)
        items->places[value] = batch_axis_known(one, many, items->n);
    else if (worst == BATCH_SAME && !has_body(node) && batch_axis_fits(same, one, many, items->n))
        items->places[value] = same;
    else
        return false;
    return true;
}

static void take_answer(struct items *items, int index, int value, struct batch_place place)
{
    const struct tensor *one = &items->one[value], *many = &items->many[value];
    const bool says = place.word == BATCH_INDEPENDENT || place.word == BATCH_SAME;
    if (says && !one->dynamic && !many->dynamic && batch_axis_fits(place, one, many, items->n))
        items->places[value] = place;
    else
        nothing_known(items, value, index);
}

/* Sums behind it would go another way. */
static bool changes_layout(const struct items *items, const struct node *node)
{
    for (int o = 0; o < node->n_out; o++)
        if (node->out[o] >= 0 && items->one[node->out[o]].layout != items->many[node->out[o]].layout)
            return true;
    return false;
}

static bool judge(struct items *items, int index)
{
    const struct node *node = &items->graph->nodes[index];
    struct batch_view view = {.why = NULL};
    int culprit = index;
    const enum batch_word worst = worst_input(items, node, &culprit);
    bool asked = false;
    for (int o = 0; o < node->n_out; o++) {
        const int value = node->out[o];
        if (value < 0 || plain_output(items, node, value, worst))
            continue;
        if (worst == BATCH_MIXED) {
            nothing_known(items, value, culprit);
            continue;
        }
        if (!asked && !ask(items, node, &view))
            return false;
        asked = true;
        take_answer(items, index, value, view.out[o]);
    }
    items->reasons[index] = node->op->rule->flags & OP_RANDOM ? "draws random numbers"
                            : view.why                        ? view.why
                            : changes_layout(items, node)     ? "lays one item in another order than many"
                                                              : "its items do not lie along one axis";
    return true;
}

/* --- the whole ---------------------------------------------------------------------------------------------------- */

/* The node behind which sizes are known to a run alone. */
static struct items_proof unplanned(const struct plan *plan)
{
    const struct graph *graph = plan->part->graph;
    const int index = plan->demands ? plan->end_node : plan->end_node - 1;
    return (struct items_proof){.node = index >= 0 && index < graph->n_nodes ? &graph->nodes[index] : NULL,
                                .why = plan->demands ? "needs to know what a run computes"
                                                     : "gives as much as a run tells"};
}

static struct items_proof conclude(const struct items *items, int *axes)
{
    const struct graph *graph = items->graph;
    for (int i = 0; i < graph->n_outputs; i++) {
        const int v = graph->outputs[i], culprit = items->culprits[v], axis = items->model->outputs[i].batch_axis;
        const struct batch_place place = items->places[v];
        if (place.word == BATCH_MIXED)
            return (struct items_proof){.node = culprit >= 0 ? &graph->nodes[culprit] : NULL,
                                        .why = culprit >= 0 ? items->reasons[culprit]
                                                            : "an input does not hold the batch along one axis"};
        if (place.word != BATCH_INDEPENDENT || (axis >= 0 && place.axis != axis) || place.before != 1 ||
            items->one[v].dims[place.axis] != 1)
            return (struct items_proof){.why = "an output does not hold the batch along one axis"};
        if (axes)
            axes[i] = place.axis;
    }
    return (struct items_proof){.independent = true};
}

struct items_proof items_prove(const struct percept_model *model, const struct plan *one, const struct plan *many,
                               int64_t n, int *axes)
{
    struct items items = {.model = model, .graph = model->onnx.graph, .n = n};
    struct items_proof proof = {.why = "memory is short"};
    if (!one->outputs || !many->outputs)
        return unplanned(one->outputs ? many : one);
    bool good = begin(&items, one, many);
    for (int i = 0; good && i < items.graph->n_nodes; i++)
        good = items.graph->nodes[i].removed || judge(&items, i);
    if (good)
        proof = conclude(&items, axes);
    arena_free(&items.arena);
    return proof;
}

struct items_proof items_prove_plan(const struct percept_model *model, const struct plan *many)
{
    const struct part *part = model->parts;
    const struct graph *graph = part->graph;
    struct items_proof proof = {.why = "an item of it cannot be run alone"};
    struct arena arena = {0};
    struct plan one = {0};
    struct tensor *inputs = arena_array(&arena, (size_t)part->n_feeds + 1, sizeof *inputs);
    int64_t n = 0;
    bool good = inputs && graph->n_inputs == part->n_feeds;
    for (int i = 0; good && i < graph->n_inputs; i++) {
        inputs[i] = many->values[graph->inputs[i]];
        inputs[i].data = NULL;
        inputs[i].dtype = model->inputs[i].dtype;
        const int axis = model->inputs[i].batch_axis;
        good = axis >= 0 && axis < inputs[i].rank;
        n = good && i == 0 ? inputs[i].dims[axis] : n;
        good = good && inputs[i].dims[axis] == n && n > 0;
        inputs[i].dims[good ? axis : 0] = 1;
    }
    if (good && n == 1)
        proof = (struct items_proof){.independent = true};
    else if (good && planner_build(&one, model, part, inputs, NULL))
        proof = items_prove(model, &one, many, n, NULL);
    plan_free(&one);
    arena_free(&arena);
    return proof;
}
