/*
 * search.c - see search.h. In rounds: when the steps of all that live have been told, who lives on is chosen, and the
 * next ones read the states of those that they continue. A prompt that is fed token by token is one that lives alone.
 */
#include "serve/search.h"

#include "base/err.h"
#include "serve/encoder.h"

#include <string.h>

bool search_reserve(struct search *search, struct percept_err *err)
{
    const size_t n = 2 * (size_t)search->beam.width;
    search->steps = arena_array(search->parent->arena, n, sizeof *search->steps);
    return (search->steps || err_memory(err, "steps", n * sizeof *search->steps)) &&
           beam_begin(&search->beam, search->parent->arena, err);
}

static struct generate_step *step_at(const struct search *search, int turn, int live)
{
    return &search->steps[turn * search->beam.width + live];
}

static bool feeds_prompt(const struct search *search)
{
    return search->n_fed < search->n_prompt;
}

/* --- on a worker -------------------------------------------------------------------------------------------------- */

static int live_of(const struct search *search, const struct generate_step *step)
{
    return (int)(step - search->steps) % search->beam.width;
}

static bool write_step(struct job *job, const struct percept_tensor *results, struct percept_err *err)
{
    struct generate_step *step = job->user;
    const struct search *search = step->user;
    struct beam_row row = {.probabilities = search->probabilities, .penalty = search->penalty};
    const size_t n = 2 * (size_t)search->beam.width;
    step->best = arena_array(job->arena, n, sizeof *step->best);
    if (!step->best)
        return err_memory(err, "a step", n * sizeof *step->best);
    if (!generate_step_scores(job, results, &row.scores, &row.n, err))
        return false;
    step->n_best = beam_rank(&search->beam, live_of(search, step), &row, step->best, job->arena, &job->watch);
    if (step->n_best < 0)
        return watch_refuse(&job->watch, err) || err_set(err, ERR_DATA, "no score of the next token is a number");
    return generate_step_keep(job, results, err);
}

static const struct encoder step_encoder = {.name = "search", .write = write_step};

/* --- on the loop -------------------------------------------------------------------------------------------------- */

static void end(struct search *search, const struct percept_err *err)
{
    if (search->ended)
        return;
    search->ended = true;
    search->over(search->parent, err);
}

static void next_round(struct search *search);

/* All steps of a round have been told. */
static void choose(struct search *search)
{
    struct beam *beam = &search->beam;
    struct beam_candidate all[2 * BEAM_MOST * BEAM_MOST];
    int n = 0;
    for (int i = 0; i < beam->n_live; i++) {
        const struct generate_step *step = step_at(search, search->turn, i);
        memcpy(&all[n], step->best, (size_t)step->n_best * sizeof *all);
        n += step->n_best;
    }
    if (beam_choose(beam, all, n))
        end(search, NULL);
    else
        next_round(search);
}

static void told(struct job *job)
{
    const struct generate_step *step = job->user;
    struct search *search = step->user;
    search->n_under_way--;
    search->parent->batch_size = job->batch_size;
    if (job->err.code != ERR_NONE)
        end(search, &job->err);
    if (search->ended || search->n_under_way)
        return;
    search->n_fed += feeds_prompt(search) ? step->n_fed : 0;
    if (feeds_prompt(search))
        next_round(search);
    else
        choose(search);
}

static bool next_step(struct search *search, int live, bool first, struct percept_err *err)
{
    const struct beam *beam = &search->beam;
    const bool prompt = feeds_prompt(search);
    const struct generate_step_order order = {
        .parent = search->parent,
        .intake = search->intake,
        .before = first ? NULL : step_at(search, !search->turn, prompt ? 0 : beam->live[live].from),
        .tokens = prompt ? search->prompt + search->n_fed : &beam->nodes[beam->live[live].node].token,
        .n_tokens = prompt ? search->n_prompt - search->n_fed : 1,
        .encoder = &step_encoder,
        .told = told,
        .user = search};
    return generate_step_begin(step_at(search, search->turn, live), &order, err);
}

static void next_round(struct search *search)
{
    const bool first = search->n_fed == 0;
    struct percept_err err = {0};
    search->turn = !search->turn;
    for (int i = 0; i < search->beam.n_live && !search->ended; i++) {
        search->n_under_way++;
        if (next_step(search, i, first, &err))
            continue;
        search->n_under_way--;
        end(search, &err);
    }
}

void search_begin(struct search *search)
{
    next_round(search);
}

void search_end(struct search *search)
{
    for (int i = 0; search && search->steps && i < 2 * search->beam.width; i++)
        arena_free(&search->steps[i].arena);
}
