/*
 * v2_sequences.c - the sequences of a model: which there are, and one of them as bytes that go on in another process.
 *
 * Only those of the key that asks are seen. Thread: the loop.
 */
#include "http/exchange.h"
#include "http/routes.h"
#include "http/sequence_id.h"
#include "serve/handover.h"
#include "serve/loop.h"
#include "serve/states.h"

#include <inttypes.h>

#define JSON "application/json"
#define LISTED_MAX 1000

/* Its model, where sequences are kept. */
static struct served *find(struct exchange *exchange, struct percept_err *err)
{
    struct served *served = catalog_find_ready(exchange->site->catalog, exchange->name, exchange->version, err);
    if (served && !served->states)
        return err_null(err, ERR_INVALID, "model '%s' keeps nothing between requests", served->name);
    return served;
}

static bool read_id(const struct exchange *exchange, struct job_sequence *id, struct percept_err *err)
{
    *id = (struct job_sequence){.owner = exchange->owner};
    return sequence_id_read(bytes_of_text(exchange->item), id, err);
}

static void add_row(struct text *text, const struct sequence_view *view)
{
    text_add(text, "{\"sequence_id\":");
    if (bytes_size(view->text))
        text_json_bytes(text, view->text);
    else
        text_printf(text, "%" PRIu64, view->number);
    text_printf(text,
                ",\"version\":\"%" PRId64 "\",\"steps\":%" PRIu64
                ",\"bytes\":%zu,\"busy\":%s,\"idle_microseconds\":%" PRId64 "}",
                view->served->version, view->steps, bytes_size(view->states), view->busy ? "true" : "false",
                view->idle_ns / 1000);
}

void v2_sequences_list(struct exchange *exchange)
{
    struct percept_err err = {0};
    struct text text = {.arena = &exchange->arena};
    const struct served *served = find(exchange, &err);
    struct sequence_view *views = arena_array(&exchange->arena, LISTED_MAX, sizeof *views);
    if (served && !views)
        err_memory(&err, "a list of sequences", LISTED_MAX * sizeof *views);
    if (err.code != ERR_NONE) {
        exchange_error(exchange, &err);
        return;
    }
    const int n = sequences_list(served, exchange->owner, loop_now_ns(), views, LISTED_MAX);
    text_add(&text, "[");
    for (int i = 0; i < n; i++) {
        text_add(&text, i ? "," : "");
        add_row(&text, &views[i]);
    }
    text_add(&text, "]");
    exchange_reply_text(exchange, 200, JSON, &text);
}

void v2_sequences_get(struct exchange *exchange)
{
    struct percept_err err = {0};
    struct job_sequence id;
    struct sequence_view view;
    struct bytes blob;
    const struct served *served = find(exchange, &err);
    if (!served || !read_id(exchange, &id, &err) || !sequences_look(served, &id, loop_now_ns(), &view, &err)) {
        exchange_error(exchange, &err);
        return;
    }
    if (view.busy)
        exchange_refuse(exchange, ERR_UNAVAILABLE, "a step of this sequence is under way; try again");
    else if (handover_write(&view, &exchange->arena, &blob, &err))
        exchange_reply(exchange, 200, "application/octet-stream", blob);
    else
        exchange_error(exchange, &err);
}

void v2_sequences_put(struct exchange *exchange)
{
    struct percept_err err = {0};
    struct job_sequence id;
    struct handover handover;
    struct text text = {.arena = &exchange->arena};
    struct served *served = find(exchange, &err);
    if (!served || !read_id(exchange, &id, &err) ||
        !handover_read(bytes_of(exchange->body, exchange->body_bytes), served, &exchange->arena, &handover, &err) ||
        !sequences_put(served, &id, handover.steps, handover.states, loop_now_ns(), &err)) {
        exchange_error(exchange, &err);
        return;
    }
    text_printf(&text, "{\"steps\":%" PRIu64, handover.steps);
    if (handover.other_level)
        text_printf(&text,
                    ",\"warning\":\"it was computed by kernels of another level: the bits that follow may differ\"");
    text_add(&text, "}");
    exchange_reply_text(exchange, 200, JSON, &text);
}

void v2_sequences_delete(struct exchange *exchange)
{
    struct percept_err err = {0};
    struct job_sequence id;
    const struct served *served = find(exchange, &err);
    if (served && read_id(exchange, &id, &err) && sequences_end(served, &id, &err))
        exchange_reply(exchange, 200, JSON, bytes_of_text("{}\n"));
    else
        exchange_error(exchange, &err);
}
