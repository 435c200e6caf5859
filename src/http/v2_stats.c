/*
 * v2_stats.c - the statistics extension: GET /v2/models[/NAME[/versions/N]]/stats.
 *
 * Its readers take a snapshot before and one after a measurement and work with the differences, so every number
 * only grows, and all of a snapshot are of one moment: they are the loop's own, and a reply is made in one go. A
 * request that was answered is counted once, in success and in each of its parts; there is no cache, so its counts
 * are 0.
 * inference_count is in items, execution_count in runs, batch_stats in runs by their items:
 *
 *     sum of batch_stats.count              = execution_count
 *     sum of batch_size * batch_stats.count = inference_count
 *
 * What is counted, and when, is serve/stats.c's matter. READY versions are listed, others have nothing to tell. Thread:
 * the loop.
 */
#include "http/exchange.h"
#include "http/routes.h"
#include "http/slices.h"

#include <inttypes.h>

static void add_duration(struct text *text, const char *name, uint64_t count, uint64_t ns)
{
    text_printf(text, "\"%s\":{\"count\":%" PRIu64 ",\"ns\":%" PRIu64 "}", name, count, ns);
}

static uint64_t failures(const struct stats *stats)
{
    uint64_t n = 0;
    for (int reason = 0; reason < FAILURE_COUNT; reason++)
        n += stats->failure[reason];
    return n;
}

static void add_requests(struct text *text, const struct stats *stats)
{
    const struct {
        const char *name;
        uint64_t count, ns;
    } rows[] = {
        {"success", stats->success, stats->success_ns},
        {"fail", failures(stats), stats->fail_ns},
        {"queue", stats->success, stats->queue_ns},
        {"compute_input", stats->success, stats->input_ns},
        {"compute_infer", stats->success, stats->infer_ns},
        {"compute_output", stats->success, stats->output_ns},
        {"cache_hit", 0, 0},
        {"cache_miss", 0, 0},
    };
    text_add(text, ",\"inference_stats\":{");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        text_add(text, i ? "," : "");
        add_duration(text, rows[i].name, rows[i].count, rows[i].ns);
    }
    text_add(text, "}");
}

static void add_batches(struct text *text, const struct stats *stats)
{
    const char *comma = "";
    text_add(text, ",\"batch_stats\":[");
    for (int i = 0; i < stats->n_sizes; i++) {
        const struct stats_size *size = &stats->sizes[i];
        if (!size->count)
            continue;
        text_printf(text, "%s{\"batch_size\":%d,", comma, i + 1);
        add_duration(text, "compute_input", size->count, size->input_ns);
        text_add(text, ",");
        add_duration(text, "compute_infer", size->count, size->infer_ns);
        text_add(text, ",");
        add_duration(text, "compute_output", size->count, size->output_ns);
        text_add(text, "}");
        comma = ",";
    }
    text_add(text, "]");
}

/* The packed weights; what sessions hold varies with what they ran. */
static void add_memory(struct text *text, const struct served *served)
{
    struct percept_description description = {0};
    if (served->model)
        percept_describe(served->model, &description);
    text_printf(text, ",\"memory_usage\":[{\"type\":\"CPU\",\"id\":0,\"byte_size\":%zu}]", description.region_bytes);
}

static void add_version(struct text *text, const struct served *served)
{
    const struct stats *stats = &served->stats;
    text_add(text, "{\"name\":");
    text_json(text, served->name);
    text_printf(text,
                ",\"version\":\"%" PRId64 "\",\"last_inference\":%" PRId64 ",\"inference_count\":%" PRIu64
                ",\"execution_count\":%" PRIu64,
                served->version, stats->last_ms, stats->items, stats->executions);
    add_requests(text, stats);
    text_add(text, ",\"response_stats\":{}");
    add_batches(text, stats);
    add_memory(text, served);
    text_add(text, "}");
}

static bool is_asked_for(const struct exchange *exchange, const struct served *served)
{
    return served->state == SERVED_READY && (!*exchange->name || strcmp(served->name, exchange->name) == 0) &&
           (!exchange->version || served->version == exchange->version);
}

/* Does the model have a version that is ready, whichever was asked for? */
static bool is_available(const struct exchange *exchange)
{
    const struct served *at = catalog_first(exchange->site->catalog);
    while (at && (at->state != SERVED_READY || strcmp(at->name, exchange->name) != 0))
        at = at->next;
    return at != NULL;
}

static bool write_row(struct slices *slices, const struct served *served)
{
    if (!served) {
        text_add(&slices->text, "{\"model_stats\":[");
        return true;
    }
    if (is_asked_for(slices->exchange, served)) {
        text_add(&slices->text, slices->user ? "," : "");
        add_version(&slices->text, served);
        slices->user = slices; /* there is one */
    }
    return true;
}

static void end(struct slices *slices)
{
    struct exchange *exchange = slices->exchange;
    text_add(&slices->text, "]}");
    if (slices->user || !*exchange->name)
        exchange_reply_text(exchange, 200, "application/json", &slices->text);
    else if (is_available(exchange))
        exchange_refuse(exchange, ERR_INVALID, "requested model version is not available for model '%s'",
                        exchange->name);
    else
        exchange_refuse(exchange, ERR_INVALID, "requested model '%s' is not available", exchange->name);
}

void v2_stats(struct exchange *exchange)
{
    slices_start(exchange, &(struct slices){.n_rows = 1, .write = write_row, .end = end});
}
