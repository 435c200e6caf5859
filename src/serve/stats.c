/*
 * stats.c - counting. Every number only grows (clients subtract snapshots), and a request is
 * counted once: as a success with all its parts or as a failure with its reason. The parts of a
 * request's time are
 *
 *     queue   waiting: for a core to decode on, for its batch, for company
 *     input   decoding the body, and its batch's gathering
 *     infer   its batch's run
 *     output  encoding its reply
 *
 * in the statistics extension's sense: sums over requests, so a batch of eight adds its run eight
 * times. The table by batch size counts a run once. Threads: the loop's. It prints nothing: http
 * does.
 */
#include "serve/stats.h"

#include "base/arena.h"

#include <stddef.h>
#include <time.h>

const double stats_latency_bounds[STATS_BUCKETS - 1] = {
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
};

/* Parts are shorter than the whole. */
const double stats_stage_bounds[STATS_BUCKETS - 1] = {
    0.00001, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5,
};

const int stats_batch_bounds[STATS_BATCH_BUCKETS - 1] = {1, 2, 4, 8, 16, 32, 64, 128};

static uint64_t grown(int64_t ns)
{
    return ns > 0 ? (uint64_t)ns : 0;
}

static int64_t wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool stats_sizes(struct stats *stats, int n_sizes, struct arena *arena)
{
    stats->sizes = arena_array(arena, (size_t)n_sizes, sizeof *stats->sizes);
    stats->n_sizes = stats->sizes ? n_sizes : 0;
    return stats->sizes != NULL;
}

static int bucket_of(int64_t ns, const double *bounds)
{
    int bucket = 0;
    while (bucket < STATS_BUCKETS - 1 && (double)ns > bounds[bucket] * 1e9)
        bucket++;
    return bucket;
}

void stats_request(struct stats *stats, int64_t total_ns, int64_t queue_ns, int64_t input_ns, int64_t infer_ns,
                   int64_t output_ns)
{
    const int64_t stages[STAGE_COUNT] = {
        [STAGE_QUEUE] = queue_ns, [STAGE_INPUT] = input_ns, [STAGE_INFER] = infer_ns, [STAGE_OUTPUT] = output_ns};
    for (int stage = 0; stage < STAGE_COUNT; stage++)
        stats->stages[stage][bucket_of(stages[stage], stats_stage_bounds)]++;
    stats->latency[bucket_of(total_ns, stats_latency_bounds)]++;
    stats->success++;
    stats->success_ns += grown(total_ns);
    stats->queue_ns += grown(queue_ns);
    stats->input_ns += grown(input_ns);
    stats->infer_ns += grown(infer_ns);
    stats->output_ns += grown(output_ns);
    stats->last_ms = wall_ms();
}

void stats_failed(struct stats *stats, enum stats_failure reason, int64_t total_ns)
{
    stats->failure[reason]++;
    stats->fail_ns += grown(total_ns);
}

void stats_execution(struct stats *stats, int64_t items, int64_t input_ns, int64_t infer_ns, int64_t output_ns)
{
    int bucket = 0;
    while (bucket < STATS_BATCH_BUCKETS - 1 && items > stats_batch_bounds[bucket])
        bucket++;
    stats->batch[bucket]++;
    stats->executions++;
    stats->items += grown(items);
    if (items < 1 || items > stats->n_sizes)
        return;
    struct stats_size *size = &stats->sizes[items - 1];
    size->count++;
    size->input_ns += grown(input_ns);
    size->infer_ns += grown(infer_ns);
    size->output_ns += grown(output_ns);
}

void stats_written(struct stats *stats, int64_t items, int64_t output_ns)
{
    if (items >= 1 && items <= stats->n_sizes)
        stats->sizes[items - 1].output_ns += grown(output_ns);
}
