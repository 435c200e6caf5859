/*
 * v2_infer.c - POST /v2/models/NAME[/versions/N]/infer, and V1's :predict: the body becomes a job, the job's reply
 * ours.
 *
 * A client that asks before it sends its body (Expect: 100-continue) is told by the head alone
 * what that decides. Nothing of the body is read here: the codec of its media type does that, off
 * the loop when it is large. What the headers say is put into the job: how many bytes of the body
 * are JSON, how long the client waits. The reply's bytes are the job's, lent to microhttpd;
 * Server-Timing tells where the time went.
 *
 * Thread: the loop. The job lies in the exchange and is over when `infer_done` is called, which may
 * be long after the client has gone.
 */
#include "http/v2_infer.h"

#include "http/query.h"
#include "http/routes.h"
#include "http/sequence_id.h"
#include "serve/codec.h"
#include "serve/encoder.h"
#include "serve/lifecycle.h"
#include "serve/sound_stream.h"

#include <inttypes.h>

/* The longest time that X-Request-Timeout-Ms may ask for: a day. */
#define TIMEOUT_MAX_MS 86400000

#define RETRY_MAX_S 60

#define TIMED_STAGES 16 /* of a chain, in Server-Timing */

static void add_timing(struct exchange *exchange, const struct job *job)
{
    double queue_ms = (double)(job->started_ns - job->queued_ns) / 1e6;
    double infer_ms = (double)(job->finished_ns - job->started_ns) / 1e6;
    struct text text = {.arena = &exchange->arena};
    text_printf(&text, "decode;dur=%.3f, queue;dur=%.3f, infer;dur=%.3f, encode;dur=%.3f, batch;desc=\"%d\"",
                (double)job->decode_ns / 1e6, queue_ms, infer_ms, (double)job->encode_ns / 1e6, job->batch_size);
    for (int i = 0; i < job->n_times && i < TIMED_STAGES; i++)
        text_printf(&text, ", stage%d;desc=\"%.64s\";dur=%.3f", i + 1, job->times[i].name,
                    (double)job->times[i].ns / 1e6);
    text_add(&text, "");
    exchange_add_header(exchange, "Server-Timing", text.at);
}

/* What waits now will have been answered by then. */
static int64_t retry_s(const struct job *job)
{
    const int64_t second_ns = 1000000000, seconds = lifecycle_estimate_ns(job->served->lane) / second_ns + 1;
    return seconds < RETRY_MAX_S ? seconds : RETRY_MAX_S;
}

static void infer_failed(struct exchange *exchange, const struct percept_err *err)
{
    if (err->code == ERR_CANCELLED && exchange->site->abandoning)
        exchange_refuse(exchange, ERR_UNAVAILABLE, "Server exiting");
    else
        exchange_error(exchange, err);
}

static void infer_done(struct job *job)
{
    struct exchange *exchange = job->user;
    client_shm_release(job->memory);
    exchange->arena.budget = NULL; /* the reply is there; a sentence takes little */
    if (job->err.code) {
        exchange->retry_s = retry_s(job);
        infer_failed(exchange, &job->err);
        return;
    }
    exchange->version = job->served->version;
    add_timing(exchange, job);
    if (job->reply_json_bytes >= 0)
        exchange_add_header(exchange, "Inference-Header-Content-Length",
                            arena_printf(&exchange->arena, "%" PRId64, job->reply_json_bytes));
    if (job->reply_coding != CODING_IDENTITY)
        exchange_add_header(exchange, "Content-Encoding", coding_name(job->reply_coding));
    exchange_reply(exchange, 200, job->encoder->media_type, job->reply);
}

/* It counts bytes of the body as it is when it is not compressed: then what came says nothing about it. */
static bool read_json_bytes(const struct exchange *exchange, size_t body_bytes, int64_t *json_bytes,
                            struct percept_err *err)
{
    struct bytes header = exchange->headers.json_bytes;
    *json_bytes = -1;
    if (!header.at)
        return true;
    if (coding_find(exchange->headers.content_encoding) != CODING_IDENTITY)
        body_bytes = INT64_MAX;
    if (framing_number(header, json_bytes) && (uint64_t)*json_bytes <= body_bytes)
        return true;
    return err_set(err, ERR_INVALID,
                   "Inference-Header-Content-Length: inference header size should be in range (0, %zu), "
                   "got: " BYTES_FMT,
                   body_bytes, BYTES_ARG(header));
}

static bool read_timeout(const struct exchange *exchange, int64_t *timeout_us, struct percept_err *err)
{
    struct bytes header = exchange->headers.timeout_ms;
    int64_t ms = 0;
    if (header.at && (!framing_number(header, &ms) || ms < 1 || ms > TIMEOUT_MAX_MS))
        return err_set(err, ERR_INVALID, "X-Request-Timeout-Ms: expected a whole number of milliseconds from 1 to %d",
                       TIMEOUT_MAX_MS);
    *timeout_us = ms * 1000;
    return true;
}

bool v2_infer_read_wishes(const struct exchange *exchange, struct job *job, struct percept_err *err)
{
    if (!read_timeout(exchange, &job->timeout_us, err))
        return false;
    if (!query_flag(exchange->target, "outputs", &job->outputs_asked))
        return err_set(err, ERR_INVALID, "the query's 'outputs' is true or false");
    const struct bytes masks = query_find(exchange->target, "masks");
    if (masks.at && !job_read_masks(masks, &job->masks))
        return err_set(err, ERR_INVALID, "the query's 'masks' is rle or polygon");
    job->most_body_bytes = exchange->site->settings->max_body_bytes;
    return true;
}

/* What the head decides: the model, the medium, the timeout. */
static bool find(const struct exchange *exchange, struct job *job, struct percept_err *err)
{
    job->served = catalog_find_ready(exchange->site->catalog, exchange->name, exchange->version, err);
    if (!job->served)
        return false;
    bool v1 = exchange->route->flags & ROUTE_V1;
    job->codec = v1 ? codec_v1() : codec_find(job->served, exchange->headers.content_type, err);
    if (!v1 && !encoder_accept(job->served, exchange->headers.accept, err))
        return false;
    job->encoder = v1 ? encoder_v1() : encoder_find(job->served, exchange->headers.accept);
    if (!v2_infer_read_wishes(exchange, job, err))
        return false;
    job->coding = coding_find(exchange->headers.content_encoding);
    job->reply_coding = coding_prefer(exchange->headers.accept_encoding);
    return job->codec != NULL;
}

/* A copy: what microhttpd has is gone with a lost connection, while a worker may still decode. */
static bool keep_type(struct exchange *exchange, struct job *job, struct percept_err *err)
{
    const struct bytes type = exchange->headers.content_type;
    const char *kept = arena_text(job->arena, type.at, bytes_size(type));
    job->content_type = bytes_of(kept, kept ? bytes_size(type) : 0);
    return kept || err_memory(err, "a request", bytes_size(type));
}

/* How many bytes of the body are JSON, where the head tells how long that is. */
static bool json_fits(const struct exchange *exchange, struct percept_err *err)
{
    const struct framing *headers = &exchange->headers;
    int64_t json_bytes;
    return headers->content_length < 0 || read_json_bytes(exchange, (size_t)headers->content_length, &json_bytes, err);
}

void v2_infer_judge(struct exchange *exchange)
{
    struct percept_err err = {0};
    struct job job = {0};
    if (!find(exchange, &job, &err) || !json_fits(exchange, &err))
        exchange_error(exchange, &err);
}

static bool begin(struct exchange *exchange, struct percept_err *err)
{
    struct catalog *catalog = exchange->site->catalog;
    struct job *job = &exchange->job;
    static const uint8_t nothing[1];
    exchange->arena.budget = exchange->site->settings->budget;
    if (exchange->site->abandoning || catalog_draining(catalog))
        return err_set(err, ERR_UNAVAILABLE, "Server exiting");
    *job = (struct job){.arena = &exchange->arena,
                        .body = bytes_of(exchange->body ? exchange->body : nothing, exchange->body_bytes),
                        .arrived_ns = exchange->arrived_ns,
                        .sequence = {.owner = exchange->owner},
                        .done = infer_done,
                        .user = exchange};
    if (!find(exchange, job, err) || !keep_type(exchange, job, err) ||
        !read_json_bytes(exchange, exchange->body_bytes, &job->json_bytes, err))
        return false;
    if (!sequence_id_query(exchange->target, &exchange->arena, &job->sequence, err))
        return false;
    sound_stream_take(job);
    job->memory = client_shm_hold(exchange->site->client_shm);
    exchange_wait(exchange);
    lifecycle_start(job);
    return true;
}

void v2_infer(struct exchange *exchange)
{
    struct percept_err err = {0};
    if (begin(exchange, &err))
        return;
    exchange_error(exchange, &err);
}
