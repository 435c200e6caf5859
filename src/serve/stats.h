/*
 * stats.h - counters and histograms per served model, touched by the loop only: a batch brings its
 * numbers home. Monotonic; /metrics and the statistics extension print them.
 */
#ifndef SERVE_STATS_H
#define SERVE_STATS_H

#include <stdbool.h>
#include <stdint.h>

struct arena;

#define STATS_BUCKETS 14      /* of the latency histogram: upper bounds in stats.c, last is +Inf */
#define STATS_BATCH_BUCKETS 9 /* 1, 2, 4, 8, 16, 32, 64, 128, +Inf */

/* The parts of an answered request's time; see stats.c. */
enum stats_stage { STAGE_QUEUE, STAGE_INPUT, STAGE_INFER, STAGE_OUTPUT, STAGE_COUNT };

enum stats_failure { FAILURE_REJECTED, FAILURE_CANCELED, FAILURE_BACKEND, FAILURE_OTHER, FAILURE_COUNT };

/* The runs of one batch size. */
struct stats_size {
    uint64_t count;
    uint64_t input_ns, infer_ns, output_ns;
};

struct stats {
    uint64_t success; /* requests */
    uint64_t failure[FAILURE_COUNT];
    uint64_t items;                                                        /* inference_count: batch items */
    uint64_t executions;                                                   /* model runs */
    uint64_t success_ns, fail_ns, queue_ns, input_ns, infer_ns, output_ns; /* sums over requests */
    uint64_t latency[STATS_BUCKETS];                                       /* requests per bucket, not cumulative */
    uint64_t stages[STAGE_COUNT][STATS_BUCKETS];                           /* the same of each part */
    uint64_t shed, expired;              /* requests that failed, refused for want of room, or too late */
    uint64_t begun_over;                 /* whose run began when nobody waited for them any more */
    uint64_t core_ns;                    /* that workers spent on it, helpers aside */
    uint64_t loads, load_failures;       /* of this version so far, instances before this one included */
    uint64_t departures, returns;        /* how often it went away, and was loaded again (resident.h) */
    uint64_t batch[STATS_BATCH_BUCKETS]; /* executions per bucket, not cumulative */
    int pending;                         /* jobs in the lane */
    int sequences;                       /* that are kept */
    uint64_t sequences_dropped;          /* for a limit */
    uint64_t session_bytes;              /* that its sessions hold for tensors */
    int64_t last_ms;                     /* wall clock of the last inference, ms since the epoch */
    int n_sizes;
    struct stats_size *sizes; /* [n_sizes]: index is the batch's items - 1 */
};

extern const double stats_latency_bounds[STATS_BUCKETS - 1]; /* seconds */
extern const double stats_stage_bounds[STATS_BUCKETS - 1];   /* seconds */
extern const int stats_batch_bounds[STATS_BATCH_BUCKETS - 1];

/* A request that was answered; nanoseconds. */
void stats_request(struct stats *stats, int64_t total_ns, int64_t queue_ns, int64_t input_ns, int64_t infer_ns,
                   int64_t output_ns);
void stats_failed(struct stats *stats, enum stats_failure reason, int64_t total_ns);

/* One run of the model with so many items, and what its parts took. */
void stats_execution(struct stats *stats, int64_t items, int64_t input_ns, int64_t infer_ns, int64_t output_ns);

/* One reply of a run with so many items was written after it. */
void stats_written(struct stats *stats, int64_t items, int64_t output_ns);

/* Makes the table by batch size; without it runs are counted in the histogram only. */
bool stats_sizes(struct stats *stats, int n_sizes, struct arena *arena);

#endif
