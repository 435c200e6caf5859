/*
 * known.c - the verb that serves requests, run while nobody waits for an answer yet.
 *
 * Twice a node is computed before any run: when a model is opened, over constants (fold.c), and when shapes are
 * planned, over what is known by then (steps.c). Both make a step, let the operator say what comes out, ask here
 * whether that can be had at once, and have it. They differ in where tensors lie and in how much is too much, which
 * they judge themselves.
 *
 * Not run here: operators that pack, whose work belongs to the region; random ones; those that need a frame (bodies,
 * memory of their own, lasting memory). Everything comes from the step's arena and is as old as that.
 */
#include "engine/known.h"

bool known_step(struct step *step, const struct node *node, const struct kernels *kernels, struct arena *arena)
{
    *step = (struct step){.op = node->op,
                          .node = node,
                          .priv = node->priv,
                          .kernels = kernels,
                          .n_in = node->n_in,
                          .n_out = node->n_out,
                          .arena = arena,
                          .members = 1};
    step->in = arena_array(arena, (size_t)node->n_in + 1, sizeof *step->in);
    step->out = arena_array(arena, (size_t)node->n_out + 1, sizeof *step->out);
    step->want = arena_array(arena, (size_t)node->n_in + 1, sizeof *step->want);
    return step->in && step->out && step->want;
}

bool known_lets(const struct op *op)
{
    return !op->rule->pack_bytes && !(op->rule->flags & (OP_RANDOM | OP_OWN_MEMORY | OP_LASTING));
}

bool known_ready(const struct step *step)
{
    const bool needs_data = !(step->op->rule->flags & OP_SHAPE_ONLY);
    if (!known_lets(step->op))
        return false;
    for (int i = 0; i < step->n_in; i++)
        if (step->in[i] && (step->want[i] != step->in[i]->layout || (needs_data && !step->in[i]->data)))
            return false;
    for (int i = 0; i < step->n_out; i++)
        if (step->out[i]->layout != LAYOUT_PLAIN)
            return false;
    return true;
}

static bool total(struct tensor *const *tensors, int n, int width, size_t *sum)
{
    *sum = 0;
    for (int i = 0; i < n; i++) {
        size_t n_bytes;
        if (tensors[i] && (!tensor_bytes(tensors[i], width, &n_bytes) || __builtin_add_overflow(*sum, n_bytes, sum)))
            return false;
    }
    return true;
}

bool known_bytes(const struct step *step, size_t *in_bytes, size_t *out_bytes)
{
    const int width = step->kernels->width;
    return total(step->in, step->n_in, width, in_bytes) && total(step->out, step->n_out, width, out_bytes);
}

bool known_run(struct step *step, struct percept_err *err)
{
    for (int i = 0; i < step->n_out; i++) {
        size_t n_bytes;
        tensor_bytes(step->out[i], step->kernels->width, &n_bytes);
        step->out[i]->data =
            i == 0 && step->alias ? step->in[step->alias - 1]->data : arena_alloc(step->arena, n_bytes + 1);
        if (!step->out[i]->data)
            return err_memory(err, "what is known of the network", n_bytes);
    }
    if (step->alias)
        return true;
    if (step->scratch_bytes && !(step->scratch = arena_alloc(step->arena, step->scratch_bytes + 64)))
        return err_memory(err, "scratch", step->scratch_bytes);
    struct run_env env = {0};
    return op_run(step, &env, err);
}
