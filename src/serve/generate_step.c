/*
 * generate_step.c - see generate_step.h.
 *
 * A step's encoder runs on the worker that has the results: it keeps the states and chooses what comes next, so that
 * the loop only starts the next step.
 */
#include "serve/generate_step.h"

#include "base/err.h"
#include "serve/codec.h"
#include "serve/encoder.h"
#include "serve/lifecycle.h"
#include "serve/states.h"

const struct percept_io *generate_step_input(const struct served *served, const char *name, int *at)
{
    int n;
    const struct percept_io *io = served_inputs(served, &n);
    for (*at = 0; *at < n; ++*at)
        if (strcmp(io[*at].name, name) == 0)
            return &io[*at];
    return NULL;
}

const struct percept_io *generate_step_output(const struct served *served, const char *name, int *at)
{
    int n;
    const struct percept_io *io = served_outputs(served, &n);
    for (*at = 0; *at < n; ++*at)
        if (strcmp(io[*at].name, name) == 0)
            return &io[*at];
    return NULL;
}

const struct manifest_text *generate_step_text(const struct served *served)
{
    const struct manifest_input *input = manifest_input(served->manifest, served->manifest->generate.input);
    return input && input->kind == MANIFEST_TEXT ? &input->text : NULL;
}

/* The axis along which tokens follow each other; -1: one at a time, and there is none. */
static int length_axis(const struct served *served, const struct percept_io *io)
{
    const int batch = served_has_batch(served) ? io->batch_axis : io->rank > 1 ? 0 : -1;
    if (io->rank == 1)
        return batch == 0 ? -1 : 0;
    return batch == 0 ? 1 : 0;
}

/* --- what it is given --------------------------------------------------------------------------------------------- */

static void store(const struct percept_tensor *tensor, int64_t at, int64_t token)
{
    if (tensor->dtype == PERCEPT_INT32)
        ((int32_t *)tensor->data)[at] = (int32_t)token;
    else
        ((int64_t *)tensor->data)[at] = token;
}

/* All that it has not been given yet, or one. */
static bool make_tokens(struct generate_step *step, const struct generate_step_order *order, struct percept_err *err)
{
    const struct served *served = step->job.served;
    int at;
    const struct percept_io *io = generate_step_input(served, served->manifest->generate.input, &at);
    const int axis = length_axis(served, io);
    const bool any = axis >= 0 && io->dims[axis] < 0;
    step->n_fed = any ? order->n_tokens : 1;
    step->tokens = (struct percept_tensor){.dtype = io->dtype, .rank = io->rank};
    for (int i = 0; i < io->rank; i++)
        step->tokens.dims[i] = i == axis ? step->n_fed : 1;
    step->tokens.data = arena_array(&step->arena, (size_t)step->n_fed, percept_dtype_bytes(io->dtype));
    if (!step->tokens.data)
        return err_memory(err, "tokens", (size_t)step->n_fed * percept_dtype_bytes(io->dtype));
    for (int64_t i = 0; i < step->n_fed; i++)
        store(&step->tokens, i, order->tokens[i]);
    step->sources[at] = &step->tokens;
    return true;
}

/* What the encoder made, at each step; a state is that at the start. */
static void make_feeds(struct generate_step *step, const struct intake *intake)
{
    int n;
    served_own_inputs(step->job.served, &n);
    for (int i = 0; intake && i < n; i++)
        if (companion_feeds(intake->companion, i))
            step->sources[i] = intake_give(intake, i);
}

/* At the start what the encoder made, what the manifest has or zeros; then what the step before kept. */
static bool make_states(struct generate_step *step, const struct generate_step *before, struct percept_err *err)
{
    const struct states *states = step->job.served->states;
    for (int i = 0; states && i < states->n_states; i++) {
        const struct state *state = &states->states[i];
        if (before) {
            step->sources[state->input] = &before->job.results[state->output];
            continue;
        }
        if (step->sources[state->input])
            continue;
        struct percept_tensor *first = arena_alloc(&step->arena, sizeof *first);
        if (!first)
            return err_memory(err, "a state", sizeof *first);
        *first = state->shape;
        first->data = (void *)(uintptr_t)state->initial; /* is read alone */
        step->sources[state->input] = first;
    }
    return true;
}

bool generate_step_begin(struct generate_step *step, const struct generate_step_order *order, struct percept_err *err)
{
    int n;
    arena_free(&step->arena); /* of the step before the last */
    served_own_inputs(order->parent->served, &n);
    *step = (struct generate_step){.parent = order->parent, .user = order->user};
    step->sources = arena_array(&step->arena, (size_t)n + 1, sizeof *step->sources);
    if (!step->sources)
        return err_memory(err, "a step", (size_t)n * sizeof *step->sources);
    step->job = (struct job){.arena = &step->arena,
                             .served = order->parent->served,
                             .encoder = order->encoder,
                             .sources = step->sources,
                             .priority = order->parent->priority,
                             .done = order->told,
                             .user = step};
    make_feeds(step, order->intake);
    if (!make_tokens(step, order, err) || !make_states(step, order->before, err))
        return false;
    lifecycle_child(order->parent, &step->job);
    return true;
}

/* --- what is made of it ------------------------------------------------------------------------------------------- */

bool generate_step_scores(const struct job *job, const struct percept_tensor *results, const float **scores, int64_t *n,
                          struct percept_err *err)
{
    int at;
    int64_t all;
    generate_step_output(job->served, job->served->manifest->generate.output, &at);
    const struct percept_tensor *tensor = &results[at];
    *n = tensor->rank ? tensor->dims[tensor->rank - 1] : 0;
    if (tensor->dtype != PERCEPT_FLOAT || !codec_count(tensor->rank, tensor->dims, &all) || all < *n || *n < 1)
        return err_set(err, ERR_DATA, "the scores of the next token are none");
    *scores = (const float *)tensor->data + all - *n;
    return true;
}

bool generate_step_keep(struct job *job, const struct percept_tensor *results, struct percept_err *err)
{
    int n = 0;
    for (int i = 0; i < job->n_outputs; i++)
        if (job->served->states && job->served->states->kept[job->outputs[i].index])
            job->outputs[n++] = job->outputs[i];
    job->n_outputs = n;
    return encoder_keep.write(job, results, err);
}
