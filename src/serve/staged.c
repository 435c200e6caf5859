/*
 * staged.c - see staged.h: how the jobs of a chain run.
 *
 * All that is kept of a job lies in its arena: its values, and for each stage a job and an arena, to which a worker
 * writes while others write to those of other stages. A stage waits for the stages that make its inputs, one count for
 * each link. What it made is used by other stages and by the answer, one count for each link too; at none its arena is
 * freed.
 */
#include "serve/staged.h"

#include "base/err.h"
#include "serve/encoder.h"
#include "serve/lifecycle.h"

struct staged_run;

struct run_stage {
    struct staged_run *run;
    const struct staged_step *at;
    struct job job;
    struct arena arena;
    int n_waits; /* for values that are not there */
    int n_uses;  /* of what it made, to come */
    int64_t began_ns;
};

struct staged_run {
    struct job *job; /* of the chain */
    const struct staged *staged;
    struct served **held;
    const struct percept_tensor **values; /* NULL: not there */
    struct run_stage *stages;
    int n_left; /* stages that have not ended */
};

/* --- what a stage keeps ------------------------------------------------------------------------------------------- */

/* The outputs that somebody uses. */
static bool write_stage(struct job *job, const struct percept_tensor *results, struct percept_err *err)
{
    const struct run_stage *stage = job->user;
    int n = 0;
    for (int i = 0; i < job->n_outputs; i++)
        if (stage->at->outputs[job->outputs[i].index] >= 0)
            job->outputs[n++] = job->outputs[i];
    job->n_outputs = n;
    return encoder_keep.write(job, results, err);
}

static const struct encoder stage_encoder = {.name = "stage", .write = write_stage};

/* --- steps -------------------------------------------------------------------------------------------------------- */

static void fail(struct staged_run *run, const struct run_stage *stage, const struct percept_err *why)
{
    struct percept_err *err = &run->job->err;
    if (err->code == ERR_NONE) {
        *err = *why;
        err_prefix(err, "stage '%s': ", stage_name(stage->at->stage));
    }
    lifecycle_finish(run->job);
}

static int64_t now_ns(const struct staged_run *run)
{
    const struct lifecycle *lifecycle = run->job->served->lane->lifecycle;
    return lifecycle->now_ns(lifecycle->user);
}

static void told(struct job *job);

static void start(struct run_stage *stage)
{
    struct staged_run *run = stage->run;
    const struct staged_step *at = stage->at;
    struct percept_err err = {0};
    if (run->job->leaving) /* one before it could not be begun: nobody waits for this one */
        return;
    stage->arena.budget = run->job->arena->budget;
    const struct percept_tensor **sources = arena_array(&stage->arena, (size_t)at->n_inputs + 1, sizeof *sources);
    if (!sources) {
        err_memory(&err, "a stage", (size_t)at->n_inputs * sizeof *sources);
        fail(run, stage, &err);
        return;
    }
    for (int i = 0; i < at->n_inputs; i++)
        sources[i] = at->inputs[i] >= 0 ? run->values[at->inputs[i]] : NULL;
    stage->began_ns = now_ns(run);
    stage->job = (struct job){.arena = &stage->arena,
                              .served = run->held[at->part],
                              .encoder = &stage_encoder,
                              .sources = sources,
                              .json_bytes = -1,
                              .priority = run->job->priority,
                              .done = told,
                              .user = stage};
    lifecycle_child(run->job, &stage->job);
}

/* The stages that waited for this value. */
static void start_users(struct staged_run *run, int value)
{
    for (int i = 0; i < run->staged->stages->n; i++) {
        struct run_stage *stage = &run->stages[i];
        for (int k = 0; k < stage->at->n_inputs; k++)
            if (stage->at->inputs[k] == value && --stage->n_waits == 0)
                start(stage);
    }
}

/* It needs its inputs no more. */
static void give_back(struct staged_run *run, const struct run_stage *user)
{
    for (int i = 0; i < user->at->n_inputs; i++) {
        const int value = user->at->inputs[i], maker = value < 0 ? -1 : run->staged->plan.values[value].maker;
        if (maker >= 0 && --run->stages[maker].n_uses == 0)
            arena_free(&run->stages[maker].arena);
    }
}

static void answer(struct staged_run *run)
{
    struct job *job = run->job;
    int n;
    served_own_outputs(job->served, &n);
    struct percept_tensor *results = arena_array(job->arena, (size_t)n + 1, sizeof *results);
    if (!results)
        err_memory(&job->err, "a list of outputs", (size_t)n * sizeof *results);
    for (int i = 0; results && i < n; i++)
        results[i] = *run->values[run->staged->outputs[i]];
    job->results = results;
    lifecycle_finish(job);
}

static void take_outputs(struct run_stage *stage)
{
    struct staged_run *run = stage->run;
    const struct staged_step *at = stage->at;
    for (int i = 0; i < at->n_outputs; i++)
        if (at->outputs[i] >= 0)
            run->values[at->outputs[i]] = &stage->job.results[i];
    for (int i = 0; i < at->n_outputs; i++)
        if (at->outputs[i] >= 0)
            start_users(run, at->outputs[i]);
}

static void told(struct job *job)
{
    struct run_stage *stage = job->user;
    struct staged_run *run = stage->run;
    run->job->times[stage - run->stages].ns = now_ns(run) - stage->began_ns;
    if (job->err.code != ERR_NONE) {
        fail(run, stage, &job->err);
        return;
    }
    if (job->batch_size > run->job->batch_size)
        run->job->batch_size = job->batch_size;
    take_outputs(stage);
    give_back(run, stage);
    if (--run->n_left == 0)
        answer(run);
}

/* --- the job ------------------------------------------------------------------------------------------------------ */

static void count_links(struct staged_run *run, struct run_stage *stage)
{
    const struct stages_plan *plan = &run->staged->plan;
    for (int i = 0; i < stage->at->n_inputs; i++)
        stage->n_waits += stage->at->inputs[i] >= 0 && !run->values[stage->at->inputs[i]];
    for (int i = 0; i < stage->at->n_outputs; i++)
        stage->n_uses += stage->at->outputs[i] >= 0 ? plan->values[stage->at->outputs[i]].n_uses : 0;
}

static bool make(struct job *job, struct percept_err *err)
{
    const struct staged *staged = job->served->staged;
    const size_t n_stages = (size_t)staged->stages->n, n_values = (size_t)staged->plan.n_values;
    struct staged_run *run = arena_alloc(job->arena, sizeof *run);
    if (!run)
        return err_memory(err, "a chain", sizeof *run);
    *run = (struct staged_run){.job = job, .staged = staged, .n_left = staged->stages->n};
    run->stages = arena_array(job->arena, n_stages, sizeof *run->stages);
    run->values = arena_array(job->arena, n_values, sizeof *run->values);
    job->times = arena_array(job->arena, n_stages, sizeof *job->times);
    if (!run->stages || !run->values || !job->times)
        return err_memory(err, "a chain's stages", n_stages * sizeof *run->stages);
    run->held = depends_hold(job->served, job->arena, err);
    job->n_times = staged->stages->n;
    job->run = run;
    return run->held != NULL;
}

/* The answer uses what it is made of as well. */
static void begin(struct staged_run *run)
{
    const struct job *job = run->job;
    const struct staged *staged = run->staged;
    int n_inputs, n_outputs;
    served_own_inputs(job->served, &n_inputs);
    served_own_outputs(job->served, &n_outputs);
    for (int i = 0; i < n_inputs; i++)
        run->values[staged->inputs[i]] = &job->inputs[i];
    for (int i = 0; i < staged->stages->n; i++) {
        run->stages[i].run = run;
        run->stages[i].at = &staged->at[i];
        job->times[i].name = stage_name(staged->at[i].stage);
        count_links(run, &run->stages[i]);
    }
    for (int i = 0; i < n_outputs; i++)
        run->stages[staged->plan.values[staged->outputs[i]].maker].n_uses++;
}

static void start_first(struct staged_run *run)
{
    bool first[STAGES_MAX] = {false};
    for (int i = 0; i < run->staged->stages->n; i++)
        first[i] = run->stages[i].n_waits == 0;
    for (int i = 0; i < run->staged->stages->n; i++)
        if (first[i])
            start(&run->stages[i]);
}

void staged_begin(struct job *job)
{
    if (job->sequence.asked)
        err_set(&job->err, ERR_INVALID,
                "parameter 'sequence_id': model '%s' keeps nothing between requests; leave it out", job->served->name);
    if (job->err.code != ERR_NONE || !make(job, &job->err)) {
        lifecycle_finish(job);
        return;
    }
    begin(job->run);
    start_first(job->run);
}

void staged_end(struct job *job)
{
    struct staged_run *run = job->run;
    if (!run)
        return;
    for (int i = 0; run->stages && i < run->staged->stages->n; i++)
        arena_free(&run->stages[i].arena);
    depends_let_go(run->held, run->held ? job->served->depends->n : 0);
    job->run = NULL;
}
