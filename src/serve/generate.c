/*
 * generate.c - see generate.h.
 *
 * Two steps (generate_step.h) take turns, since one reads the states that the other kept. The prompt is fed at once
 * where the network takes any length, else token by token.
 *
 * Texts are what tokens stand for, behind each other; words with a space between. A stop text ends the text before it.
 */
#include "serve/generate.h"

#include "base/err.h"
#include "base/utf8.h"
#include "serve/codec_parts.h"
#include "serve/encoder.h"
#include "serve/generate_step.h"
#include "serve/json.h"
#include "serve/lifecycle.h"
#include "serve/states.h"
#include "serve/unicode.h"

#include <inttypes.h>

static const struct percept_tensor nothing; /* results of a job whose text is what is written */

#define DEFAULT_TOKENS 256
#define SEED_DEFAULT 0

bool generate_fits(const struct served *served, struct percept_err *err)
{
    const struct manifest_generate *said = &served->manifest->generate;
    const char *path = served->manifest->path;
    int at, n;
    if (!said->given)
        return true;
    if (!said->input || !said->output)
        return err_set(err, ERR_CONFIG, "%s: generate: 'input' and 'output' are needed", path);
    const struct percept_io *input = generate_step_input(served, said->input, &at);
    if (!input || !generate_step_text(served) || (input->dtype != PERCEPT_INT64 && input->dtype != PERCEPT_INT32) ||
        input->rank < 1 || input->rank > 2)
        return err_set(
            err, ERR_CONFIG,
            "%s: generate.input: '%s' must be an input of tokens, of rank 1 or 2, which 'inputs' describes as "
            "a text",
            path, said->input);
    const struct percept_io *output = generate_step_output(served, said->output, &at);
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
    return !served->companion || generate_step_text(served)->start >= 0 ||
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

static bool read_few(struct json *json, const char *what, int *few)
{
    int64_t count;
    if (!read_count(json, what, BEAM_MOST, &count))
        return false;
    *few = (int)count;
    return count >= 1 || json_fail(json, "%s, at least 1,", what);
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
    if (bytes_is(key, "n") || bytes_is(key, "num_return_sequences"))
        return read_few(json, "a whole number of texts", &generation->n_texts);
    if (bytes_is(key, "num_beams") || bytes_is(key, "beam_width"))
        return read_few(json, "a whole number as 'num_beams'", &generation->beams);
    if (bytes_is(key, "length_penalty"))
        return real_between(json, "a number as 'length_penalty'", -10, 10, &generation->length_penalty);
    if (bytes_is(key, "stop") || bytes_is(key, "stop_words"))
        return read_stops(json, generation);
    if (bytes_is(key, "stream"))
        return json_bool(json, "true or false as 'stream'", &generation->stream);
    if (bytes_is(key, "echo"))
        return json_bool(json, "true or false as 'echo'", &generation->echo);
    if (bytes_is(key, "best_of"))
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

static void found(struct job *job, const struct percept_err *err);

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
    const int64_t n_prompt = codec_text_most(generate_step_text(job->served), bytes_size(generation->prompt));
    if (!reserve(job, n_prompt, err) || !codec_text_prompt(job, generate_step_text(job->served), generation->prompt,
                                                           n_prompt, generation->tokens, &generation->n_prompt, err))
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
    generation->tokens[0] = generate_step_text(job->served)->start;
    generation->n_tokens = generation->n_prompt = 1;
    return true;
}

/* Who goes on with a text wants one of many, who reads a text wants what it says. Who asks for a temperature draws. */
static bool settle(struct job *job, struct percept_err *err)
{
    const struct manifest_generate *said = &job->served->manifest->generate;
    struct generation *generation = job->generation;
    struct sampler *sampler = &generation->sampler;
    if (!generation->beams)
        generation->beams = sampler->temperature > 0 ? 1 : said->beams;
    if (sampler->temperature < 0)
        sampler->temperature = said->temperature >= 0 ? said->temperature : said->encoder ? 0 : 1;
    if (generation->n_texts > generation->beams)
        return err_set(err, ERR_INVALID,
                       "%d texts are asked for, and %s: a 'num_beams' of at least so many searches for more",
                       generation->n_texts, generation->beams == 1 ? "one text is made" : "fewer are searched for");
    return generation->most <= BEAM_NODES / generation->beams ||
           err_set(err, ERR_INVALID, "a search has at most %d tokens: %d texts of %" PRId64 " are more", BEAM_NODES,
                   generation->beams, generation->most);
}

/* One that follows several texts. */
static bool reserve_search(struct job *job, struct percept_err *err)
{
    struct generation *generation = job->generation;
    struct search *search = arena_alloc(job->arena, sizeof *search);
    generation->texts = arena_array(job->arena, (size_t)generation->n_texts, sizeof *generation->texts);
    if (!search || !generation->texts)
        return err_memory(err, "a search", sizeof *search);
    generation->search = search;
    *search = (struct search){.beam = {.width = generation->beams,
                                       .length_penalty = generation->length_penalty,
                                       .end = generate_step_text(job->served)->end,
                                       .most = generation->most},
                              .parent = job,
                              .intake = generation->intake,
                              .prompt = generation->tokens,
                              .n_prompt = generation->n_prompt,
                              .penalty = generation->sampler.penalty,
                              .probabilities = generation->sampler.probabilities,
                              .over = found};
    return search_reserve(search, err);
}

static bool cut_text(struct job *job, struct percept_err *err)
{
    return (job->served->companion ? take_in(job, err) : cut_prompt(job, err)) &&
           (job->generation->beams == 1 || job->generation->most == 0 || reserve_search(job, err));
}

static bool begin(struct job *job, struct percept_err *err)
{
    const struct manifest_generate *said = &job->served->manifest->generate;
    if (!said->given)
        return err_set(err, ERR_INVALID, "model '%s' does not generate: its manifest has no 'generate'",
                       job->served->name);
    struct generation *generation = job->generation = arena_alloc(job->arena, sizeof *generation);
    if (!generation || !codec_begin(job, false, err))
        return err_memory(err, "a text", sizeof *generation);
    generation->sampler = (struct sampler){
        .temperature = -1, .top_p = 1, .penalty = 1, .seed = SEED_DEFAULT, .probabilities = said->scores == 1};
    generation->most = said->max_new_tokens < DEFAULT_TOKENS ? said->max_new_tokens : DEFAULT_TOKENS;
    generation->length_penalty = said->length_penalty;
    generation->n_texts = 1;
    job->n_items = 1;
    return true;
}

bool generate_read(struct job *job, struct bytes text, struct percept_err *err)
{
    if (!begin(job, err))
        return false;
    job->generation->prompt = text;
    return settle(job, err) && cut_text(job, err);
}

static bool decode(struct job *job, struct percept_err *err)
{
    if (!begin(job, err))
        return false;
    struct json json = json_of(job->body, job->arena, err);
    json.watch = &job->watch;
    return read_members(job, &json, 0) && json_finish(&json) && settle(job, err) && cut_text(job, err);
}

const struct codec generate_codec = {
    .media_type = "application/json", .kind = MANIFEST_TENSOR, .by_route = true, .decode = decode};

/* --- the text ----------------------------------------------------------------------------------------------------- */

static bool append_token(struct job *job, int64_t token)
{
    struct generation *generation = job->generation;
    struct unicode_text text = {
        .arena = job->arena, .at = (uint8_t *)generation->text, .n = generation->n_text, .room = generation->text_room};
    if (!codec_text_say(generate_step_text(job->served), token, text.n == 0, &text, &job->err))
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

/* --- texts that were searched for --------------------------------------------------------------------------------- */

static bool write_text(struct job *job, const struct beam_text *made, struct generate_text *told,
                       struct percept_err *err)
{
    struct generation *generation = job->generation;
    int64_t *tokens = arena_array(job->arena, (size_t)made->n_tokens + 1, sizeof *tokens);
    if (!tokens)
        return err_memory(err, "tokens", (size_t)made->n_tokens * sizeof *tokens);
    beam_tokens(&generation->search->beam, made, tokens);
    generation->text = NULL;
    generation->n_text = generation->text_room = 0;
    for (int64_t i = 0; i < made->n_tokens; i++)
        if (!append_token(job, tokens[i]))
            return false;
    const bool stopped = stops(generation, 0) || made->stopped;
    *told = (struct generate_text){.text = bytes_of(generation->text ? generation->text : "", generation->n_text),
                                   .finish = stopped ? FINISH_STOP : FINISH_LENGTH,
                                   .score = made->score};
    generation->n_tokens += made->n_tokens;
    return true;
}

/* On a worker: they may be many and long. */
static bool write_texts(struct job *job, const struct percept_tensor *results, struct percept_err *err)
{
    struct generation *generation = job->generation;
    const struct beam *beam = &generation->search->beam;
    for (int i = 0; i < beam->n_texts && i < generation->n_texts; i++, generation->n_told++)
        if (!write_text(job, &beam->texts[i], &generation->texts[i], err))
            return false;
    const struct bytes best = generation->texts[0].text;
    generation->text = (char *)(uintptr_t)best.at;
    generation->n_text = bytes_size(best);
    generation->finish = generation->texts[0].finish;
    return !generation->writer || generation->writer->write(job, results, err);
}

static const struct encoder texts_encoder = {.name = "texts", .write = write_texts};

/* The search is over: its texts are written, or it failed. */
static void found(struct job *job, const struct percept_err *err)
{
    if (err && job->err.code == ERR_NONE)
        job->err = *err;
    job->encoder = &texts_encoder;
    job->results = &nothing;
    lifecycle_finish(job);
}

/* --- steps -------------------------------------------------------------------------------------------------------- */

/* Keeps the states, and of the scores the token. */
static bool write_step(struct job *job, const struct percept_tensor *results, struct percept_err *err)
{
    struct generate_step *step = job->user;
    const struct generation *generation = step->parent->generation;
    const int64_t n_made = generation->n_tokens - generation->n_prompt;
    const float *scores;
    int64_t n;
    if (!generate_step_scores(job, results, &scores, &n, err))
        return false;
    step->chosen = sampler_choose(&generation->sampler, scores, n, generation->tokens, generation->n_tokens,
                                  (uint64_t)n_made, job->arena, &job->watch);
    if (step->chosen < 0)
        return watch_refuse(&job->watch, err) || err_set(err, ERR_DATA, "no score of the next token is a number");
    return generate_step_keep(job, results, err);
}

static const struct encoder step_encoder = {.name = "step", .write = write_step};

static void next_step(struct job *parent);

/* Its maker may want it written. */
static void finish(struct job *parent, const struct percept_err *err)
{
    if (err && parent->err.code == ERR_NONE)
        parent->err = *err;
    parent->results = parent->generation->writer ? &nothing : NULL;
    lifecycle_finish(parent);
}

/* The step has chosen: is it over? */
static bool take_token(struct job *parent, int64_t token)
{
    struct generation *generation = parent->generation;
    const struct manifest_text *text = generate_step_text(parent->served);
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

static void next_step(struct job *parent)
{
    struct generation *generation = parent->generation;
    const struct generate_step *before = generation->fed ? &generation->steps[generation->turn] : NULL;
    struct generate_step *step = &generation->steps[generation->turn ^= 1];
    struct percept_err err = {0};
    const struct generate_step_order order = {.parent = parent,
                                              .intake = generation->intake,
                                              .before = before,
                                              .tokens = generation->tokens + generation->fed,
                                              .n_tokens = generation->n_tokens - generation->fed,
                                              .encoder = &step_encoder,
                                              .told = told};
    if (!generate_step_begin(step, &order, &err))
        finish(parent, &err);
}

static void begin_text(struct job *job)
{
    if (job->generation->search)
        search_begin(job->generation->search);
    else
        next_step(job);
}

/* The encoder has read the text. */
static void taken_in(struct job *job)
{
    struct job *parent = job->user;
    if (job->err.code != ERR_NONE)
        finish(parent, &job->err);
    else
        begin_text(parent);
}

void generate_begin(struct job *job)
{
    struct generation *generation = job->generation;
    generation->writer = job->encoder;
    generation->steps = arena_array(job->arena, 2, sizeof *generation->steps);
    if (!generation->steps)
        err_memory(&job->err, "steps", 2 * sizeof *generation->steps);
    if (!generation->steps || generation->most == 0)
        finish(job, NULL);
    else if (generation->intake)
        intake_begin(job, generation->intake, taken_in);
    else
        begin_text(job);
}

void generate_end(struct job *job)
{
    struct generation *generation = job->generation;
    for (int i = 0; generation && generation->steps && i < 2; i++)
        arena_free(&generation->steps[i].arena);
    if (!generation)
        return;
    search_end(generation->search);
    intake_end(generation->intake);
}
