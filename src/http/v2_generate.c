/*
 * v2_generate.c - requests for a text that goes on: Triton's generate extension, and OpenAI's completions, which every
 * client of text models speaks. The same loop answers both (serve/generate.h); here is what they look like.
 *
 * OpenAI's request names its model in the body, which is therefore read for that before there is a job.
 *
 * Thread: the loop.
 */
#include "serve/generate.h"

#include "http/exchange.h"
#include "http/routes.h"
#include "serve/json.h"
#include "serve/lifecycle.h"

#include <inttypes.h>
#include <time.h>

#define JSON "application/json"

/* --- what is answered --------------------------------------------------------------------------------------------- */

static const char *finish_name(enum generate_finish finish)
{
    return finish == FINISH_STOP ? "stop" : "length";
}

/* The prompt in front, where that is wanted. */
static void add_text(struct text *text, const struct generation *generation, struct bytes made)
{
    struct text whole = {.arena = text->arena};
    if (generation->echo)
        text_bytes(&whole, generation->prompt.at, bytes_size(generation->prompt));
    text_bytes(&whole, made.at, bytes_size(made));
    text->failed |= whole.failed;
    text_json_bytes(text, bytes_of(whole.at ? whole.at : "", whole.n_bytes));
}

/* What was made, from its byte `from` on. */
static struct bytes made(const struct generation *generation, size_t from)
{
    const size_t n = generation->n_text > from ? generation->n_text - from : 0;
    return bytes_of(n ? generation->text + from : "", n);
}

static bool is_completion(const struct exchange *exchange)
{
    return exchange->route->handle == v2_generate_completion;
}

static void begin_v2(const struct job *job, struct text *text)
{
    text_add(text, "{\"model_name\":");
    text_json(text, job->served->name);
    text_printf(text, ",\"model_version\":\"%" PRId64 "\",\"text_output\":", job->served->version);
}

static void end_v2(const struct job *job, struct text *text)
{
    const struct generation *generation = job->generation;
    text_printf(text, ",\"prompt_tokens\":%" PRId64 ",\"completion_tokens\":%" PRId64 "}", generation->n_read,
                generation->n_tokens - generation->n_prompt);
}

static void begin_v1(const struct exchange *exchange, struct text *text)
{
    text_add(text, "{\"id\":");
    text_json(text, exchange->id);
    text_printf(text, ",\"object\":\"text_completion\",\"created\":%" PRId64 ",\"model\":", (int64_t)time(NULL));
    text_json(text, exchange->job.served->name);
    text_add(text, ",\"choices\":[{\"text\":");
}

static void end_choice(struct text *text, int index, enum generate_finish finish)
{
    text_printf(text, ",\"index\":%d,\"logprobs\":null,\"finish_reason\":\"%s\"}", index, finish_name(finish));
}

static void end_v1(const struct job *job, struct text *text)
{
    const struct generation *generation = job->generation;
    const int64_t n_made = generation->n_tokens - generation->n_prompt;
    text_printf(text,
                "],\"usage\":{\"prompt_tokens\":%" PRId64 ",\"completion_tokens\":%" PRId64 ",\"total_tokens\":%" PRId64
                "}}",
                generation->n_read, n_made, generation->n_read + n_made);
}

static void begin(const struct exchange *exchange, struct text *text)
{
    if (is_completion(exchange))
        begin_v1(exchange, text);
    else
        begin_v2(&exchange->job, text);
}

static void end(const struct exchange *exchange, struct text *text)
{
    const enum generate_finish finish = exchange->job.generation->finish;
    if (is_completion(exchange)) {
        end_choice(text, 0, finish);
        end_v1(&exchange->job, text);
    } else {
        text_printf(text, ",\"finish_reason\":\"%s\"", finish_name(finish));
        end_v2(&exchange->job, text);
    }
}

/* Several that were searched for: arrays instead of a text and why it ended. */
static void add_several_v2(const struct job *job, struct text *text)
{
    const struct generation *generation = job->generation;
    begin_v2(job, text);
    for (int i = 0; i < generation->n_told; i++) {
        text_add(text, i ? "," : "[");
        add_text(text, generation, generation->texts[i].text);
    }
    for (int i = 0; i < generation->n_told; i++)
        text_printf(text, "%s\"%s\"", i ? "," : "],\"finish_reason\":[", finish_name(generation->texts[i].finish));
    for (int i = 0; i < generation->n_told; i++)
        text_printf(text, "%s%.9g", i ? "," : "],\"scores\":[", generation->texts[i].score);
    text_add(text, "]");
    end_v2(job, text);
}

static void add_several_v1(const struct exchange *exchange, struct text *text)
{
    const struct generation *generation = exchange->job.generation;
    begin_v1(exchange, text);
    for (int i = 0; i < generation->n_told; i++) {
        text_add(text, i ? ",{\"text\":" : "");
        add_text(text, generation, generation->texts[i].text);
        end_choice(text, i, generation->texts[i].finish);
    }
    end_v1(&exchange->job, text);
}

static void add_all(const struct exchange *exchange, struct text *text)
{
    const struct generation *generation = exchange->job.generation;
    if (generation->n_texts > 1 && generation->n_told) {
        if (is_completion(exchange))
            add_several_v1(exchange, text);
        else
            add_several_v2(&exchange->job, text);
        return;
    }
    begin(exchange, text);
    add_text(text, generation, made(generation, 0));
    end(exchange, text);
}

/* --- token by token ----------------------------------------------------------------------------------------------- */

/* Server-sent events (WHATWG HTML, 9.2): one for each piece of the text, the last with why it ended. What was searched
 * for comes as one. */
static void add_piece(struct exchange *exchange, bool last)
{
    const struct generation *generation = exchange->job.generation;
    const size_t n = last ? generation->n_text : generation->n_sure, from = exchange->streamed_text;
    struct text *event = &exchange->stream;
    if (exchange->left || (!last && n == from))
        return;
    text_add(event, "data: ");
    if (last && generation->n_told) {
        add_all(exchange, event);
    } else {
        begin(exchange, event);
        text_json_bytes(event, bytes_of(made(generation, from).at, n > from ? n - from : 0));
        if (last)
            end(exchange, event);
        else
            text_add(event, is_completion(exchange) ? ",\"index\":0,\"logprobs\":null,\"finish_reason\":null}]}" : "}");
    }
    text_add(event, "\n\n");
    exchange->streamed_text = n;
    exchange_stream_on(exchange);
}

static bool is_streamed(const struct exchange *exchange)
{
    return exchange->route->handle == v2_generate_stream ||
           (is_completion(exchange) && exchange->job.generation && exchange->job.generation->stream);
}

static void progress(struct job *job)
{
    struct exchange *exchange = job->user;
    if (!is_streamed(exchange))
        return;
    exchange->version = job->served->version;
    if (!exchange->streaming) {
        exchange_add_header(exchange, "Cache-Control", "no-store");
        exchange_stream(exchange, "text/event-stream");
    }
    add_piece(exchange, false);
}

/* An error that comes when part of the text is sent is an event. */
static void end_stream(struct exchange *exchange)
{
    const struct percept_err *err = &exchange->job.err;
    struct text *event = &exchange->stream;
    if (err->code == ERR_NONE) {
        add_piece(exchange, true);
        text_add(event, is_completion(exchange) ? "data: [DONE]\n\n" : "");
    } else {
        text_add(event, "data: {\"error\":");
        text_json(event, err->text);
        text_add(event, "}\n\n");
    }
    exchange_stream_end(exchange);
}

static void done(struct job *job)
{
    struct exchange *exchange = job->user;
    struct text text = {.arena = &exchange->arena};
    generate_end(job);
    if (job->err.code == ERR_NONE)
        progress(job); /* of a text that ended with its first token */
    if (exchange->streaming) {
        end_stream(exchange);
        return;
    }
    if (job->err.code == ERR_CANCELLED && exchange->site->abandoning) {
        exchange_refuse(exchange, ERR_UNAVAILABLE, "Server exiting");
        return;
    }
    if (job->err.code != ERR_NONE) {
        exchange_error(exchange, &job->err);
        return;
    }
    exchange->version = job->served->version;
    add_all(exchange, &text);
    exchange_reply_text(exchange, 200, JSON, &text);
}

/* --- what is asked ------------------------------------------------------------------------------------------------ */

static bool start(struct exchange *exchange, struct percept_err *err)
{
    struct catalog *catalog = exchange->site->catalog;
    struct job *job = &exchange->job;
    static const uint8_t nothing[1];
    if (exchange->site->abandoning || catalog_draining(catalog))
        return err_set(err, ERR_UNAVAILABLE, "Server exiting");
    *job = (struct job){.arena = &exchange->arena,
                        .codec = &generate_codec,
                        .body = bytes_of(exchange->body ? exchange->body : nothing, exchange->body_bytes),
                        .coding = coding_find(exchange->headers.content_encoding),
                        .most_body_bytes = exchange->site->settings->max_body_bytes,
                        .json_bytes = -1,
                        .arrived_ns = exchange->arrived_ns,
                        .begin = generate_begin,
                        .progress = progress,
                        .done = done,
                        .user = exchange};
    job->served = catalog_find_ready(catalog, exchange->name, exchange->version, err);
    if (!job->served)
        return false;
    exchange_wait(exchange);
    lifecycle_start(job);
    return true;
}

static void answer(struct exchange *exchange)
{
    struct percept_err err = {0};
    if (start(exchange, &err))
        return;
    exchange_error(exchange, &err);
}

void v2_generate(struct exchange *exchange)
{
    answer(exchange);
}

void v2_generate_stream(struct exchange *exchange)
{
    answer(exchange);
}

/* The member "model" of the body. */
static bool read_model(struct exchange *exchange, struct percept_err *err)
{
    struct json json = json_of(bytes_of(exchange->body, exchange->body_bytes), &exchange->arena, err);
    struct json_keys keys = {0};
    struct bytes key, model = {0};
    if (coding_find(exchange->headers.content_encoding) != CODING_IDENTITY)
        return err_set(err, ERR_MEDIA_TYPE, "the body is compressed; this path takes it plain");
    if (!json_open(&json, '{'))
        return false;
    while (json_member(&json, &keys, &key))
        if (!(bytes_is(key, "model") ? json_text(&json, "a string as 'model'", &model) : json_skip(&json)))
            return false;
    if (!json_finish(&json))
        return false;
    if (!bytes_size(model))
        return err_set(err, ERR_INVALID, "no 'model': GET /v1/models lists those that are served");
    exchange->name = arena_text(&exchange->arena, model.at, bytes_size(model));
    return exchange->name || err_memory(err, "a name", bytes_size(model));
}

void v2_generate_completion(struct exchange *exchange)
{
    struct percept_err err = {0};
    if (exchange->body_bytes > CODEC_LOOP_BYTES)
        exchange_refuse(exchange, ERR_TOO_LARGE, "a completion's request has at most %d bytes here", CODEC_LOOP_BYTES);
    else if (read_model(exchange, &err))
        answer(exchange);
    else
        exchange_error(exchange, &err);
}
