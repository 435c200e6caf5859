/*
 * metrics.c - GET /metrics: Prometheus text, version 0.0.4, made from metrics.def.
 *
 * Every family is one function of (context, name, model), so that a scrape is a walk over the table, in slices
 * (slices.h): with a hundred models it takes a millisecond and more.
 * Statistics are the loop's own plain counters: no lock, no copy. What the kernel knows about this
 * process is read from /proc once per scrape, in one place; where that fails the values are 0.
 *
 * Thread: the loop. Summaries are deliberately absent: quantiles belong to the histogram's reader. Of a model that
 * nobody has asked yet there are no stages: a scrape costs what there is to tell.
 */
#include "http/metrics.h"

#include "base/budget.h"
#include "base/log.h"
#include "base/number.h"
#include "http/exchange.h"
#include "http/routes.h"
#include "http/slices.h"
#include "serve/lane.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

struct process {
    double total_bytes, used_bytes, resident_bytes, virtual_bytes, open_fds, max_fds, cpu_seconds, utilization;
};

/* Upper bounds as they are written. */
struct bounds {
    int n_buckets; /* one more than bounds */
    char texts[STATS_BUCKETS][16];
};

struct scrape {
    struct text *text;
    const struct site *site;
    struct process process;
    struct bounds latency, stages, batches;
    struct text labels; /* of the model whose turn it is: {model="digits",version="1" */
};

/* The text of a small file of /proc, which has no size to ask for; empty when there is none. */
static void read_proc(const char *path, char *to, size_t n_bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, to, n_bytes - 1);
    to[n > 0 ? n : 0] = '\0';
    if (fd >= 0)
        close(fd);
}

static double kibibytes(const char *text, const char *key)
{
    const char *at = strstr(text, key);
    return at ? strtod(at + strlen(key), NULL) * 1024 : 0;
}

/* Newer kernels tell; else they are counted. */
static double count_fds(void)
{
    struct stat folder_stat;
    if (stat("/proc/self/fd", &folder_stat) == 0 && folder_stat.st_size > 0)
        return (double)folder_stat.st_size;
    DIR *folder = opendir("/proc/self/fd");
    double n = -3; /* ".", ".." and the folder's own */
    if (!folder)
        return 0;
    while (readdir(folder))
        n++;
    closedir(folder);
    return n;
}

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

/* The first line of /proc/stat: ticks as user, nice, system, idle, waiting, ... since the machine started. */
static double utilization(struct site *site)
{
    char text[256];
    uint64_t busy = 0, total = 0;
    read_proc("/proc/stat", text, sizeof text);
    char *at = text + strcspn(text, " "), *end;
    for (int i = 0; i < 8; i++, at = end) {
        uint64_t ticks = strtoull(at, &end, 10);
        total += ticks;
        busy += i == 3 || i == 4 ? 0 : ticks;
    }
    uint64_t more = total > site->cpu_total ? total - site->cpu_total : 0;
    double share = more && busy > site->cpu_busy ? (double)(busy - site->cpu_busy) / (double)more : 0;
    site->cpu_busy = busy;
    site->cpu_total = total;
    return share < 1 ? share : 1;
}

static void look_at_process(struct process *process)
{
    char memory[2048];
    char pages[128];
    char *rest;
    struct rusage usage = {.ru_maxrss = 0};
    struct rlimit fds = {0, 0};
    read_proc("/proc/meminfo", memory, sizeof memory);
    read_proc("/proc/self/statm", pages, sizeof pages);
    getrusage(RUSAGE_SELF, &usage);
    getrlimit(RLIMIT_NOFILE, &fds);
    double page_bytes = (double)sysconf(_SC_PAGESIZE);
    process->total_bytes = kibibytes(memory, "MemTotal:");
    process->used_bytes = process->total_bytes - kibibytes(memory, "MemAvailable:");
    process->virtual_bytes = strtod(pages, &rest) * page_bytes;
    process->resident_bytes = strtod(rest, NULL) * page_bytes;
    process->open_fds = count_fds();
    process->max_fds = (double)fds.rlim_cur;
    process->cpu_seconds = seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

static void add_value(struct text *text, double value)
{
    char digits[NUMBER_TEXT_MAX + 2] = " ";
    if (value >= -9e15 && value <= 9e15 && value == (double)(int64_t)value) {
        size_t n = 1 + number_write_int64(digits + 1, (int64_t)value);
        digits[n++] = '\n';
        text_bytes(text, digits, n);
    } else
        text_printf(text, " %.17g\n", value);
}

static void add_labels(struct scrape *scrape, const char *name, const char *suffix)
{
    text_add(scrape->text, name);
    text_add(scrape->text, suffix);
    text_bytes(scrape->text, scrape->labels.at, scrape->labels.n_bytes);
}

/* Made once for all samples of a model in a family. */
static void label(struct scrape *scrape, const struct served *served)
{
    scrape->labels.n_bytes = 0;
    text_add(&scrape->labels, "{model=");
    text_label(&scrape->labels, served->name);
    text_printf(&scrape->labels, ",version=\"%" PRId64 "\"", served->version);
    scrape->text->failed |= scrape->labels.failed;
}

static double queue_age(const struct served *s)
{
    int64_t oldest_ns = s->lane ? lane_oldest_ns(s->lane) : LANE_NEVER;
    int64_t age_ns = oldest_ns == LANE_NEVER ? 0 : loop_now_ns() - oldest_ns;
    return age_ns > 0 ? (double)age_ns / 1e9 : 0;
}

static double weight_bytes(const struct served *s)
{
    struct percept_description description = {0};
    if (s->model)
        percept_describe(s->model, &description);
    return (double)description.region_bytes;
}

/* Families that are more than one number, per model or of the server. */

static void print_failures(struct scrape *scrape, const char *name, const struct served *s)
{
    static const char *const reasons[FAILURE_COUNT] = {[FAILURE_REJECTED] = "REJECTED",
                                                       [FAILURE_CANCELED] = "CANCELED",
                                                       [FAILURE_BACKEND] = "BACKEND",
                                                       [FAILURE_OTHER] = "OTHER"};
    for (int reason = 0; reason < FAILURE_COUNT; reason++) {
        add_labels(scrape, name, "");
        text_add(scrape->text, ",reason=\"");
        text_add(scrape->text, reasons[reason]);
        text_add(scrape->text, "\"}");
        add_value(scrape->text, (double)s->stats.failure[reason]);
    }
}

static struct bounds bounds_of(const double *bounds, int n_buckets)
{
    struct bounds written = {.n_buckets = n_buckets};
    for (int i = 0; i + 1 < n_buckets; i++)
        snprintf(written.texts[i], sizeof written.texts[i], "%g", bounds[i]);
    snprintf(written.texts[n_buckets - 1], sizeof written.texts[0], "+Inf");
    return written;
}

struct histogram {
    const struct bounds *bounds;
    const uint64_t *buckets; /* not cumulative */
    double sum;
    const char *more; /* labels */
};

static void add_sample(struct scrape *scrape, const char *name, const char *suffix, const char *more, double value)
{
    add_labels(scrape, name, suffix);
    text_add(scrape->text, more);
    text_add(scrape->text, "}");
    add_value(scrape->text, value);
}

static void add_histogram(struct scrape *scrape, const char *name, const struct histogram *histogram)
{
    uint64_t count = 0;
    for (int i = 0; i < histogram->bounds->n_buckets; i++) {
        count += histogram->buckets[i];
        add_labels(scrape, name, "_bucket");
        text_add(scrape->text, histogram->more);
        text_add(scrape->text, ",le=\"");
        text_add(scrape->text, histogram->bounds->texts[i]);
        text_add(scrape->text, "\"}");
        add_value(scrape->text, (double)count);
    }
    add_sample(scrape, name, "_sum", histogram->more, histogram->sum);
    add_sample(scrape, name, "_count", histogram->more, (double)count);
}

static void print_latency(struct scrape *scrape, const char *name, const struct served *s)
{
    const double sum = (double)s->stats.success_ns / 1e9;
    add_histogram(scrape, name, &(struct histogram){&scrape->latency, s->stats.latency, sum, ""});
}

static void print_stages(struct scrape *scrape, const char *name, const struct served *s)
{
    static const char *const labels[STAGE_COUNT] = {",stage=\"queue\"", ",stage=\"input\"", ",stage=\"infer\"",
                                                    ",stage=\"output\""};
    const struct stats *stats = &s->stats;
    const uint64_t sums[STAGE_COUNT] = {stats->queue_ns, stats->input_ns, stats->infer_ns, stats->output_ns};
    for (int stage = 0; stats->success && stage < STAGE_COUNT; stage++)
        add_histogram(
            scrape, name,
            &(struct histogram){&scrape->stages, stats->stages[stage], (double)sums[stage] / 1e9, labels[stage]});
}

static void print_batches(struct scrape *scrape, const char *name, const struct served *s)
{
    add_histogram(scrape, name, &(struct histogram){&scrape->batches, s->stats.batch, (double)s->stats.items, ""});
}

/* Of the server, which has no labels but the bounds. */
static void add_pace(struct text *text, const char *name, const struct pace_histogram *histogram)
{
    uint64_t count = 0;
    for (int i = 0; i < PACE_BUCKETS; i++) {
        count += histogram->buckets[i];
        if (i < PACE_BUCKETS - 1)
            text_printf(text, "%s_bucket{le=\"%g\"}", name, pace_bounds[i]);
        else
            text_printf(text, "%s_bucket{le=\"+Inf\"}", name);
        add_value(text, (double)count);
    }
    text_printf(text, "%s_sum", name);
    add_value(text, (double)histogram->sum_ns / 1e9);
    text_printf(text, "%s_count", name);
    add_value(text, (double)count);
}

static void print_lookups(struct scrape *scrape, const char *name, const struct served *s)
{
    (void)s;
    add_pace(scrape->text, name, &scrape->site->lookups);
}

static void print_pieces(struct scrape *scrape, const char *name, const struct served *s)
{
    (void)s;
    static const struct pace_histogram none;
    add_pace(scrape->text, name, scrape->site->pace ? &scrape->site->pace->pieces : &none);
}

static void print_statuses(struct scrape *scrape, const char *name, const struct served *s)
{
    (void)s;
    for (int status = 0; status < EXCHANGE_STATUSES; status++) {
        if (!scrape->site->statuses[status])
            continue;
        text_printf(scrape->text, "%s{code=\"%d\"}", name, status);
        add_value(scrape->text, (double)scrape->site->statuses[status]);
    }
}

/* The table. */

#define PER_MODEL(name, type, value, help)                                                                             \
    static void print_##name(struct scrape *scrape, const char *family, const struct served *s)                        \
    {                                                                                                                  \
        add_sample(scrape, family, "", "", (double)(value));                                                           \
    }
#define PER_SERVER(name, type, value, help)                                                                            \
    static void print_##name(struct scrape *scrape, const char *family, const struct served *s)                        \
    {                                                                                                                  \
        const struct site *site = scrape->site;                                                                        \
        const struct process *process = &scrape->process;                                                              \
        (void)site, (void)process, (void)s;                                                                            \
        text_add(scrape->text, family);                                                                                \
        add_value(scrape->text, (double)(value));                                                                      \
    }
#define FAMILY(name, type, print, help)
#define MODEL_FAMILY(name, type, print, help)
#include "http/metrics.def"
#undef PER_MODEL
#undef PER_SERVER
#undef FAMILY
#undef MODEL_FAMILY

static const struct family {
    const char *name;
    const char *type;
    const char *help;
    void (*print)(struct scrape *scrape, const char *family, const struct served *s);
    bool of_models; /* printed for each; else once, with NULL */
} families[] = {
#define PER_MODEL(name, type, value, help) {#name, #type, help, print_##name, true},
#define PER_SERVER(name, type, value, help) {#name, #type, help, print_##name, false},
#define FAMILY(name, type, print, help) {#name, #type, help, print, false},
#define MODEL_FAMILY(name, type, print, help) {#name, #type, help, print, true},
#include "http/metrics.def"
#undef PER_MODEL
#undef PER_SERVER
#undef FAMILY
#undef MODEL_FAMILY
};

#define N_FAMILIES (sizeof families / sizeof families[0])

static bool write_row(struct slices *slices, const struct served *served)
{
    const struct family *family = &families[slices->row];
    struct scrape *scrape = slices->user;
    scrape->text = &slices->text;
    if (served) {
        label(scrape, served);
        family->print(scrape, family->name, served);
        return true;
    }
    text_printf(scrape->text, "# HELP %s %s\n# TYPE %s %s\n", family->name, family->help, family->name, family->type);
    if (!family->of_models)
        family->print(scrape, family->name, NULL);
    return family->of_models;
}

static void end(struct slices *slices)
{
    exchange_reply_text(slices->exchange, 200, "text/plain; version=0.0.4; charset=utf-8", &slices->text);
}

void metrics_get(struct exchange *exchange)
{
    double sizes[STATS_BATCH_BUCKETS];
    struct scrape *scrape = arena_alloc(&exchange->arena, sizeof *scrape);
    if (!scrape) {
        exchange_refuse(exchange, ERR_MEMORY, "memory is short for a reply");
        return;
    }
    for (int i = 0; i + 1 < STATS_BATCH_BUCKETS; i++)
        sizes[i] = stats_batch_bounds[i];
    *scrape = (struct scrape){.site = exchange->site,
                              .latency = bounds_of(stats_latency_bounds, STATS_BUCKETS),
                              .stages = bounds_of(stats_stage_bounds, STATS_BUCKETS),
                              .batches = bounds_of(sizes, STATS_BATCH_BUCKETS),
                              .labels = {.arena = &exchange->arena}};
    look_at_process(&scrape->process);
    scrape->process.utilization = utilization(exchange->site);
    slices_start(exchange, &(struct slices){.n_rows = N_FAMILIES, .write = write_row, .end = end, .user = scrape});
}

void metrics_print(void (*line)(void *user, const char *text), void *user)
{
    for (size_t i = 0; i < N_FAMILIES; i++) {
        char text[256];
        snprintf(text, sizeof text, "%s %s %s", families[i].name, families[i].type, families[i].help);
        line(user, text);
    }
}
