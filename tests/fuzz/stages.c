/* stages.c - any bytes as a manifest.json with stages: what is planned has an order, and each value one maker. */
#include "serve/stages.h"

#include "serve/manifest.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_links(const struct stages_plan *plan, const int *values, const struct stage_link *links, int n)
{
    for (int i = 0; i < n; i++)
        if (values[i] < 0 || values[i] >= plan->n_values || strcmp(plan->values[values[i]].name, links[i].value) != 0)
            abort();
}

static bool is_ready(const struct stages *stages, const struct stages_plan *plan, const bool *done, int stage)
{
    for (int i = 0; i < stages->at[stage].n_inputs; i++) {
        const int maker = plan->values[plan->inputs[stage][i]].maker;
        if (maker >= 0 && !done[maker])
            return false;
    }
    return true;
}

/* Taken in turn, each stage comes to be run. */
static void check_order(const struct stages *stages, const struct stages_plan *plan)
{
    bool done[STAGES_MAX] = {false};
    for (int n_done = 0; n_done < stages->n; n_done++) {
        int next = 0;
        while (next < stages->n && (done[next] || !is_ready(stages, plan, done, next)))
            next++;
        if (next == stages->n)
            abort();
        done[next] = true;
    }
}

static void check(const struct stages *stages, struct arena *arena)
{
    struct stages_plan plan;
    struct percept_err err = {0};
    if (!stages_plan(stages, arena, &plan, &err)) {
        if (!err.code || !*err.text)
            abort();
        return;
    }
    for (int i = 0; i < stages->n; i++) {
        check_links(&plan, plan.inputs[i], stages->at[i].inputs, stages->at[i].n_inputs);
        check_links(&plan, plan.outputs[i], stages->at[i].outputs, stages->at[i].n_outputs);
    }
    for (int i = 0; i < plan.n_values; i++)
        if (stages_value(&plan, plan.values[i].name) != i || plan.values[i].maker >= stages->n)
            abort();
    check_order(stages, &plan);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct arena arena = {0};
    struct percept_err err = {0};
    struct manifest *manifest = manifest_new(&arena, &err);
    const char *text = arena_text(&arena, data, n);
    if (manifest && text && manifest_read_text(manifest, text, "stages", &arena, &err) && manifest->stages)
        check(manifest->stages, &arena);
    arena_free(&arena);
    return 0;
}
