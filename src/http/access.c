/*
 * access.c - the access log: lines of level info, as text or JSON like all others, dropped and counted when nobody
 * reads them (base/log.h). The client's address is found when the head has come: where its headers lie is
 * microhttpd's, and used again by the next request.
 */
#include "http/access.h"

#include <stdio.h>

#include "base/log.h"
#include "http/peer.h"
#include "serve/loop.h"

#define NUMBER 32
#define LEFT 499 /* its client went away before there was a reply */

void access_begin(struct exchange *exchange, const struct sockaddr *address)
{
    const struct site *site = exchange->site;
    char text[PEER_TEXT];
    if (!site->settings->access_log)
        return;
    peer_client(&site->trusted, address, exchange->headers.forwarded, exchange->headers.n_forwarded, text);
    exchange->client = arena_text(&exchange->arena, text, strlen(text));
}

static void put_ms(char to[NUMBER], int64_t ns)
{
    snprintf(to, NUMBER, "%.3f", (double)(ns > 0 ? ns : 0) / 1e6);
}

/* Keys of a job's times, or none of them. */
static const char *key(const struct exchange *exchange, const char *name)
{
    return exchange->job.finished_ns ? name : "";
}

void access_end(const struct exchange *exchange, bool whole)
{
    const struct job *job = &exchange->job;
    const bool head = strcmp(exchange->method, "HEAD") == 0;
    char status[NUMBER], in[NUMBER], out[NUMBER], total[NUMBER], decode[NUMBER], queue[NUMBER], infer[NUMBER],
        encode[NUMBER], batch[NUMBER], version[NUMBER], uid[NUMBER];
    if (!exchange->site->settings->access_log)
        return;
    snprintf(status, sizeof status, "%d", exchange->status ? exchange->status : LEFT);
    snprintf(in, sizeof in, "%zu", exchange->received_bytes);
    snprintf(out, sizeof out, "%zu", head ? 0 : bytes_size(exchange->reply) + exchange->streamed_bytes);
    snprintf(uid, sizeof uid, "%lld", (long long)exchange->uid);
    snprintf(batch, sizeof batch, "%d", job->batch_size);
    snprintf(version, sizeof version, "%lld", (long long)exchange->version);
    put_ms(total, loop_now_ns() - exchange->arrived_ns);
    put_ms(decode, job->decode_ns);
    put_ms(queue, job->started_ns - job->queued_ns);
    put_ms(infer, job->finished_ns - job->started_ns);
    put_ms(encode, job->encode_ns);
    log_info("request", "client", exchange->client ? exchange->client : "?", exchange->uid < 0 ? "" : "#uid", uid,
             "method", exchange->method, "path", exchange->target, "#status", status, "#bytes_in", in, "#bytes_out",
             out, "#ms", total, "id", exchange->id, exchange->trace ? "trace" : "",
             exchange->trace ? exchange->trace : "", whole ? "" : "end", "cut", *exchange->name ? "model" : "",
             exchange->name, key(exchange, "#version"), version, key(exchange, "#batch"), batch,
             key(exchange, "#decode_ms"), decode, key(exchange, "#queue_ms"), queue, key(exchange, "#infer_ms"), infer,
             key(exchange, "#encode_ms"), encode, NULL);
}
