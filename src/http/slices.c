/*
 * slices.c - long replies beside everybody else's requests.
 *
 * What is to be told lies in the catalog, which is the loop's alone, so no worker can write it; and workers may all be
 * busy for seconds, when metrics are wanted most. So the loop writes it, for SLICE_NS at a time; most replies are done
 * in the first slice, within their handler, and nobody notices. Otherwise the exchange waits, as for a job, and gets a
 * slice in each turn, those that wait longest first.
 *
 *     row 0 | row 1: model a, model b, ... | row 2 ...
 *
 * Between slices models may come and go. Nothing of them is kept but name and version of the one that was written last:
 * the catalog is sorted by these, so it is known who comes behind it. Each number is right when it is written; what two
 * models say may be a few milliseconds apart.
 */
#include "http/slices.h"

#include "serve/loop.h"

#include <stdio.h>

static bool is_behind(const struct served *served, const struct slices *slices)
{
    const int order = strcmp(served->name, slices->name);
    return order > 0 || (order == 0 && served->version > slices->version);
}

/* The first of a slice is looked for, the others lie behind each other. */
static const struct served *next_model(const struct slices *slices)
{
    if (slices->at)
        return slices->at->next;
    const struct served *at = catalog_first(slices->exchange->site->catalog);
    while (slices->any && at && !is_behind(at, slices))
        at = at->next;
    return at;
}

static void remember(struct slices *slices)
{
    if (!slices->at)
        return;
    snprintf(slices->name, sizeof slices->name, "%s", slices->at->name);
    slices->version = slices->at->version;
    slices->any = true;
    slices->at = NULL;
}

static void begin_row(struct slices *slices)
{
    slices->in_models = slices->write(slices, NULL);
    slices->row += !slices->in_models;
}

static void next_step(struct slices *slices)
{
    if (!slices->in_models) {
        begin_row(slices);
        return;
    }
    slices->at = next_model(slices);
    if (slices->at) {
        slices->write(slices, slices->at);
        return;
    }
    slices->in_models = slices->any = false;
    slices->row++;
}

/* True when the last row is written. */
static bool write_slice(struct slices *slices, int64_t slice_ns)
{
    const int64_t end_ns = loop_now_ns() + slice_ns;
    while (slices->row < slices->n_rows && !slices->text.failed) {
        next_step(slices);
        if (slice_ns && loop_now_ns() >= end_ns)
            break;
    }
    remember(slices);
    return slices->row >= slices->n_rows || slices->text.failed;
}

static void append(struct site *site, struct slices *slices)
{
    struct slices **end = &site->slices;
    while (*end)
        end = &(*end)->next;
    slices->next = NULL;
    *end = slices;
}

/* Nobody wants this reply any more. */
static void give_up(struct exchange *exchange)
{
    struct slices **at = &exchange->site->slices;
    while (*at != exchange->slices)
        at = &(*at)->next;
    *at = exchange->slices->next;
    exchange->slices = NULL;
    exchange->give_up = NULL;
    exchange_refuse(exchange, exchange->site->abandoning ? ERR_UNAVAILABLE : ERR_CANCELLED, "Server exiting");
}

void slices_start(struct exchange *exchange, const struct slices *slices)
{
    struct slices *own = arena_alloc(&exchange->arena, sizeof *own);
    if (!own) {
        exchange_refuse(exchange, ERR_MEMORY, "memory is short for a reply");
        return;
    }
    *own = *slices;
    own->exchange = exchange;
    own->text.arena = &exchange->arena;
    if (write_slice(own, exchange->site->slice_ns)) {
        own->end(own);
        return;
    }
    exchange->slices = own;
    exchange->give_up = give_up;
    append(exchange->site, own);
    exchange_wait(exchange);
    exchange->site->resumed(exchange->site);
}

bool slices_go_on(struct site *site)
{
    struct slices *slices = site->slices;
    if (!slices)
        return true;
    site->slices = slices->next;
    if (write_slice(slices, site->slice_ns)) {
        slices->exchange->slices = NULL;
        slices->exchange->give_up = NULL;
        slices->end(slices);
    } else
        append(site, slices);
    return !site->slices;
}
