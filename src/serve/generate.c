/*
 * generate.c - see generate.h.
 *
 * A step's encoder, which runs on the worker that has the results, keeps the states and chooses the token; so the loop
 * only starts the next step. Two steps take turns, since one reads the states that the other kept. The prompt is fed
 * at once where the network takes any length, else token by token.
 *
 * Texts are what tokens stand for, behind each other; words with a space between. A stop text ends the text before it.
 */
#include "serve/generate.h"

#include "base/err.h"
#include "base/utf8.h"
#include "serve/codec_parts.h"
#include "serve/encoder.h"
#include "serve/json.h"
#include "serve/lifecycle.h"
#include "serve/states.h"
#include "serve/unicode.h"

#include <inttypes.h>

#define DEFAULT_TOKENS 256
#define SEED_DEFAULT 0

struct generate_step {
    struct job job;
    struct arena arena;
    const struct percept_tensor **sources;
    struct percept_tensor tokens;
    struct job *parent;
    int64_t n_fed;  /* tokens that this step gives the network */
    int64_t chosen; /* the next one */
};

static const struct percept_io *input_of(const struct served *served, const char *name, int *at)
{
    int n;
    const struct percept_io *io = served_inputs(served, &n);
    for (*at = 0; *at < n; ++*at)
        if (strcmp(io[*at].name, name) == 0)
            return &io[*at];
    return NULL;
}

static const struct percept_io *output_of(const struct served *served, const char *name, int *at)
{
    int n;
    const struct percept_io *io = served_outputs(served, &n);
    for (*at = 0; *at < n; ++*at)
        if (strcmp(io[*at].name, name) == 0)
            return &io[*at];
    return NULL;
}

static const struct manifest_text *text_of(const struct served *served)
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

bool generate_fits(const struct served *served, struct percept_err *err)
{
    const struct manifest_generate *said = &served->manifest->generate;
    const char *path = served->manifest->path;
    int at, n;
    if (!said->given)
        return true;
    if (!said->input || !said->output)
        return err_set(err, ERR_CONFIG, "%s: generate: 'input' and 'output' are needed", path);
    const struct percept_io *input = input_of(served, said->input, &at);
    if (!input || !text_of(served) || (input->dtype != PERCEPT_INT64 && input->dtype != PERCEPT_INT32) ||
        input->rank < 1 || input->rank > 2)
        return err_set(
            err, ERR_CONFIG,
            "%s: generate.input: '%s' must be an input of tokens, of rank 1 or 2, which 'inputs' describes as "
            "a text",
            path, said->input);
    const struct percept_io *output = output_of(served, said->output, &at);
    if (!output || output->dtype != PERCEPT_FLOAT || output->rank < 1 || output->dims[output->rank - 1] < 1)
        return err_set(err, ERR_CONFIG,
                       "%s: generate.output: '%s' must be an output of float32 whose last axis has the tokens", path,
                       said->output);
    const struct percept_io *ios = served_inputs(served, &n);
    for (int i = 0; i < n; i++)
        if (&ios[i] != input && !(served->states && served->states->roles[i] == ROLE_STATE) &&
            !companion_feeds(served->companion, i))
            return err_set(err, ERR_CONFIG,
                           "%s: generate: input '%s' is neither the tokens nor a state of 'sequence'%s", path,
                           ios[i].name, served->companion ? ", and nothing of the encoder's feeds it" : "");
    return !served->companion || text_of(served)->start >= 0 ||
           err_set(err, ERR_CONFIG,
                   "%s: inputs.%s.start: behind an encoder the token is needed that a text begins with", path,
                   said->input);
}

/* --- the request -------------------------------------------------------------------------------------------------- */

static bool real_between(struct json *json, const char *what, double low, double high, double *value)
{
    if (!json_real(json, what, value))
        return false;
    return (*value >= low && *value <= high) || json_fail(json, "%s, from %g to %g,", what, low, high);
}

static bool read_stops(struct json *json, struct generation *generation)
{
    int64_t n = 0;
    generation->n_stops = 0;
    if (json_peek(json) == '"') {
        generation->n_stops = 1;
        return json_text(json, "a string as 'stop'", &generation->stops[0]);
    }
    if (!json_open(json, '['))
        return false;
    while (json_item(json, &n)) {
        if (n > GENERATE_STOPS)
            return json_fail(json, "at most %d texts as 'stop'", GENERATE_STOPS);
        if (!json_text(json, "a string in 'stop'", &generation->stops[generation->n_stops++]))
            return false;
    }
    return !json->failed;
}

static bool read_count(struct json *json, const char *what, int64_t most, int64_t *count)
{
    uint64_t number;
    if (!json_uint(json, what, &number))
        return false;
    if (number > (uint64_t)most)
        return json_fail(json, "%s of at most %" PRId64, what, most);
    *count = (int64_t)number;
    return true;
}

static bool read_members(struct job *job, struct json *json, int depth);

static bool read_member(struct job *job, struct json *json, struct bytes key, int depth)
{
    struct generation *generation = job->generation;
    struct sampler *sampler = &generation->sampler;
    uint64_t one;
    if (bytes_is(key, "text_input") || bytes_is(key, "prompt"))
        return json_text(json, "a string as the prompt", &generation->prompt);
    if (bytes_is(key, "max_tokens") || bytes_is(key, "max_new_tokens"))
        return read_count(json, "a whole number as 'max_tokens'", job->served->manifest->generate.max_new_tokens,
                          &generation->most);
    if (bytes_is(key, "temperature"))
        return real_between(json, "a number as 'temperature'", 0, 100, &sampler->temperature);
    if (bytes_is(key, "top_p"))
        return real_between(json, "a number as 'top_p'", 0, 1, &sampler->top_p);
    if (bytes_is(key, "top_k"))
        return read_count(json, "a whole number as 'top_k'", INT32_MAX, &sampler->top_k);
    if (bytes_is(key, "repetition_penalty"))
        return real_between(json, "a number as 'repetition_penalty'", 0.01, 100, &sampler->penalty);
    if (bytes_is(key, "seed") || bytes_is(key, "random_seed"))
        return json_uint(json, "a whole number as 'seed'", &sampler->seed);
    if (bytes_is(key, "stop") || bytes_is(key, "stop_words"))
        return read_stops(json, generation);
    if (bytes_is(key, "stream"))
        return json_bool(json, "true or false as 'stream'", &generation->stream);
    if (bytes_is(key, "echo"))
        return json_bool(json, "true or false as 'echo'", &generation->echo);
    if (bytes_is(key, "n") || bytes_is(key, "best_of"))
        return json_uint(json, "a whole number", &one) && (one == 1 || json_fail(json, "1: one text is made, so 1"));
    if (bytes_is(key, "parameters") && depth == 0)
        return read_members(job, json, 1);
    return json_skip(json);
}

static bool read_members(struct job *job, struct json *json, int depth)
{
    struct json_keys keys = {0};
    struct bytes key;
    if (!json_open(json, '{'))
        return false;
    while (json_member(json, &keys, &key))
        if (!read_member(job, json, key, depth))
            return false;
    return !json->failed;
}

/* Room for so many tokens before those to come. */
static bool reserve(struct job *job, int64_t n_before, struct percept_err *err)
{
    struct generation *generation = job->generation;
    const size_t most = (size_t)(n_before + generation->most);
    generation->tokens = arena_array(job->arena, most, sizeof *generation->tokens);
    generation->room = (int64_t)most;
    return generation->tokens || err_memory(err, "tokens", most * sizeof *generation->tokens);
}

static bool cut_prompt(struct job *job, struct percept_err *err)
{
    struct generation *generation = job->generation;
    const int64_t n_prompt = codec_text_most(text_of(job->served), bytes_size(generation->prompt));
    if (!reserve(job, n_prompt, err) || !codec_text_prompt(job, text_of(job->served), generation->prompt, n_prompt,
                                                           generation->tokens, &generation->n_prompt, err))
        return false;
    generation->n_tokens = generation->n_read = generation->n_prompt;
    return true;
}

/* The encoder has the text; the model begins with the token that says so. */
static bool take_in(struct job *job, struct percept_err *err)
{
    struct generation *generation = job->generation;
    generation->intake = intake_cut(job, generation->prompt, err);
    if (!generation->intake || !reserve(job, 1, err))
        return false;
    generation->n_read = generation->intake->n_tokens;
    generation->tokens[0] = text_of(job->served)->start;
    generation->n_tokens = generation->n_prompt = 1;
    return true;
}

/* Who goes on with a text wants one of many, who reads a text wants what it says. */
static double default_temperature(const struct manifest_generate *said)
{
    return said->temperature >= 0 ? said->temperature : said->encoder ? 0 : 1;
}

static bool decode(struct job *job, struct percept_err *err)
{
    const struct manifest_generate *said = &job->served->manifest->generate;
    if (!said->given)
        return err_set(err, ERR_INVALID, "model '%s' does not generate: its manifest has no 'generate'",
                       job->served->name);
    struct generation *generation = job->generation = arena_alloc(job->arena, sizeof *generation);
    if (!generation || !codec_begin(job, false, err))
        return err_memory(err, "a text", sizeof *generation);
    generation->sampler = (struct sampler){.temperature = default_temperature(said),
                                           .top_p = 1,
                                           .penalty = 1,
                                           .seed = SEED_DEFAULT,
                                           .probabilities = said->scores == 1};
    generation->most = said->max_new_tokens < DEFAULT_TOKENS ? said->max_new_tokens : DEFAULT_TOKENS;
    job->n_items = 1;
    struct json json = json_of(job->body, job->arena, err);
    json.watch = &job->watch;
    if (!read_members(job, &json, 0) || !json_finish(&json))
        return false;
    return job->served->companion ? take_in(job, err) : cut_prompt(job, err);
}

const struct codec generate_codec = {
    .media_type = "application/json", .kind = MANIFEST_TENSOR, .by_route = true, .decode = decode};

/* --- the text ----------------------------------------------------------------------------------------------------- */

static bool append_token(struct job *job, int64_t token)
{
    struct generation *generation = job->generation;
    struct unicode_text text = {
        .arena = job->arena, .at = (uint8_t *)generation->text, .n = generation->n_text, .room = generation->text_room};
    if (!codec_text_say(text_of(job->served), token, text.n == 0, &text, &job->err))
        return false;
    generation->text = (char *)text.at;
    generation->n_text = text.n;
    generation->text_room = text.room;
    return true;
}

/* Cuts the text before the first stop text that ends behind its first `n_before` bytes. */
static bool stops(struct generation *generation, size_t n_before)
{
    const size_t n = generation->n_text;
    size_t end = n;
    for (int i = 0; i < generation->n_stops && n; i++) {
        const struct bytes stop = generation->stops[i];
        const size_t n_stop = bytes_size(stop), from = n_before < n_stop ? 0 : n_before - n_stop;
        const char *at = n_stop ? memmem(generation->text + from, n - from, stop.at, n_stop) : NULL;
        const size_t begins = at ? (size_t)(at - generation->text) : n;
        end = begins < end ? begins : end;
    }
    generation->n_text = end;
    return end < n;
}

/* What will not be taken back: the rest may be the beginning of a stop text, or of a character. */
static void count_sure(struct generation *generation)
{
    size_t held = 0;
    for (int i = 0; i < generation->n_stops; i++)
        held = bytes_size(generation->stops[i]) > held + 1 ? bytes_size(generation->stops[i]) - 1 : held;
    if (generation->n_text < held)
        return;
    const uint8_t *text = (const uint8_t *)generation->text, *end = text + generation->n_text, *limit = end - held;
    for (const uint8_t *at = text + generation->n_sure, *next; at < limit; at = next) {
        uint32_t code;
        next = utf8_read(at, end, &code);
        if (!next && end - at < UTF8_MAX)
            return;
        next = next ? next : at + 1;
        if (next > limit)
            return;
        generation->n_sure = (size_t)(next - text);
    }
}

/* --- steps -------------------------------------------------------------------------------------------------------- */

/* The scores behind the last token: the last row. */
static bool choose(struct job *job, const struct percept_tensor *scores, struct percept_err *err)
{
    struct generate_step *step = job->user;
    const struct generation *generation = step->parent->generation;
    int64_t n, width = scores->rank ? scores->dims[scores->rank - 1] : 0;
    if (scores->dtype != PERCEPT_FLOAT || !codec_count(scores->rank, scores->dims, &n) || n < width || width < 1)
        return err_set(err, ERR_DATA, "the scores of the next token are none");
    const int64_t n_made = generation->n_tokens - generation->n_prompt;
    step->chosen = sampler_choose(&generation->sampler, (const float *)scores->data + n - width, width,
                                  generation->tokens, generation->n_tokens, (uint64_t)n_made, job->arena, &job->watch);
    return step->chosen >= 0 || watch_refuse(&job->watch, err) ||
           err_set(err, ERR_DATA, "no score of the next token is a number");
}

/* Keeps the states, and of the scores the token. */
static bool write_step(struct job *job, const struct percept_tensor *results, struct percept_err *err)
{
    int scores, n = 0;
    output_of(job->served, job->served->manifest->generate.output, &scores);
    if (!choose(job, &results[scores], err))
        return false;
    for (int i = 0; i < job->n_outputs; i++)
        if (job->served->states && job->served->states->kept[job->outputs[i].index])
            job->outputs[n++] = job->outputs[i];
    job->n_outputs = n;
    return encoder_keep.write(job, results, err);
}

static const struct encoder step_encoder = {.name = "step", .write = write_step};

static void next_step(struct job *parent);

static void finish(struct job *parent, const struct percept_err *err)
{
    if (err && parent->err.code == ERR_NONE)
        parent->err = *err;
    lifecycle_finish(parent);
}

/* The step has chosen: is it over? */
static bool take_token(struct job *parent, int64_t token)
{
    struct generation *generation = parent->generation;
    const struct manifest_text *text = text_of(parent->served);
    const size_t n_before = generation->n_text;
    generation->finish = FINISH_STOP;
    if (token == text->end && text->end >= 0)
        return true;
    generation->tokens[generation->n_tokens++] = token;
    if (!append_token(parent, token) || stops(generation, n_before))
        return true;
    generation->finish = FINISH_LENGTH;
    return generation->n_tokens - generation->n_prompt >= generation->most;
}

static void told(struct job *job)
{
    struct generate_step *step = job->user;
    struct job *parent = step->parent;
    struct generation *generation = parent->generation;
    if (job->err.code != ERR_NONE) {
        finish(parent, &job->err);
        return;
    }
    parent->batch_size = job->batch_size;
    generation->fed += step->n_fed;
    const bool more = generation->fed == generation->n_tokens, last = more && take_token(parent, step->chosen);
    if (last)
        finish(parent, NULL);
    else
        next_step(parent);
    if (more && !last && parent->progress) {
        count_sure(generation);
        parent->progress(parent);
    }
}

static void store(const struct percept_tensor *tensor, int64_t at, int64_t token)
{
    if (tensor->dtype == PERCEPT_INT32)
        ((int32_t *)tensor->data)[at] = (int32_t)token;
    else
        ((int64_t *)tensor->data)[at] = token;
}

/* The tokens that the network has not been given yet: all, or one. */
static bool make_tokens(struct generate_step *step, struct percept_err *err)
{
    struct generation *generation = step->parent->generation;
    const struct served *served = step->job.served;
    int at;
    const struct percept_io *io = input_of(served, served->manifest->generate.input, &at);
    const int axis = length_axis(served, io);
    const bool any = axis >= 0 && io->dims[axis] < 0;
    step->n_fed = any ? generation->n_tokens - generation->fed : 1;
    step->tokens = (struct percept_tensor){.dtype = io->dtype, .rank = io->rank};
    for (int i = 0; i < io->rank; i++)
        step->tokens.dims[i] = i == axis ? step->n_fed : 1;
    step->tokens.data = arena_array(&step->arena, (size_t)step->n_fed, percept_dtype_bytes(io->dtype));
    if (!step->tokens.data)
        return err_memory(err, "tokens", (size_t)step->n_fed * percept_dtype_bytes(io->dtype));
    for (int64_t i = 0; i < step->n_fed; i++)
        store(&step->tokens, i, generation->tokens[generation->fed + i]);
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
        if (before->job.results) {
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

static void next_step(struct job *parent)
{
    struct generation *generation = parent->generation;
    const struct generate_step *before = &generation->steps[generation->turn];
    struct generate_step *step = &generation->steps[generation->turn ^= 1];
    struct percept_err err = {0};
    int n;
    arena_free(&step->arena); /* of the step before the last */
    served_own_inputs(parent->served, &n);
    *step = (struct generate_step){.parent = parent};
    step->sources = arena_array(&step->arena, (size_t)n + 1, sizeof *step->sources);
    step->job = (struct job){.arena = &step->arena,
                             .served = parent->served,
                             .encoder = &step_encoder,
                             .sources = step->sources,
                             .priority = parent->priority,
                             .done = told,
                             .user = step};
    if (!step->sources)
        err_memory(&err, "a step", (size_t)n * sizeof *step->sources);
    if (step->sources)
        make_feeds(step, generation->intake);
    if (!step->sources || !make_tokens(step, &err) || !make_states(step, before, &err))
        finish(parent, &err);
    else
        lifecycle_child(parent, &step->job);
}

/* The encoder has read the text. */
static void taken_in(struct job *job)
{
    struct job *parent = job->user;
    if (job->err.code != ERR_NONE)
        finish(parent, &job->err);
    else
        next_step(parent);
}

void generate_begin(struct job *job)
{
    struct generation *generation = job->generation;
    generation->steps = arena_array(job->arena, 2, sizeof *generation->steps);
    if (!generation->steps)
        err_memory(&job->err, "steps", 2 * sizeof *generation->steps);
    if (!generation->steps || generation->most == 0)
        finish(job, NULL);
    else if (generation->intake)
        intake_begin(job, generation->intake, taken_in);
    else
        next_step(job);
}

void generate_end(struct job *job)
{
    struct generation *generation = job->generation;
    for (int i = 0; generation && generation->steps && i < 2; i++)
        arena_free(&generation->steps[i].arena);
    if (generation)
        intake_end(generation->intake);
}
