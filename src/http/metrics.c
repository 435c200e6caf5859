/*
 * metrics.c - GET /metrics: Prometheus text, version 0.0.4, made from metrics.def.
 *
 * Every family is one function of (text, context), so that a scrape is a walk over the table.
 * Statistics are the loop's own plain counters: no lock, no copy. What the kernel knows about this
 * process is read from /proc once per scrape, in one place; where that fails the values are 0.
 *
 * Thread: the loop. A scrape of 100 models takes well under a millisecond. Summaries and
 * utilisation are deliberately absent: quantiles belong to the histogram's reader.
 */
#include "http/metrics.h"

#include "base/log.h"
#include "http/exchange.h"
#include "http/routes.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

struct process {
    double total_bytes, used_bytes, resident_bytes, virtual_bytes, open_fds, max_fds, cpu_seconds;
};

struct scrape {
    struct text text;
    const struct site *site;
    struct process process;
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

static double count_fds(void)
{
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
    if (value >= -9e15 && value <= 9e15 && value == (double)(int64_t)value)
        text_printf(text, " %" PRId64 "\n", (int64_t)value);
    else
        text_printf(text, " %.17g\n", value);
}

static void add_labels(struct text *text, const char *name, const struct served *s)
{
    text_add(text, name);
    text_add(text, "{model=");
    text_label(text, s->name);
    text_printf(text, ",version=\"%" PRId64 "\"", s->version);
}

static const struct served *first(const struct scrape *scrape)
{
    return catalog_first(scrape->site->catalog);
}

/* Families that are more than one number per model. */

static void print_failures(struct scrape *scrape, const char *name)
{
    static const char *const reasons[FAILURE_COUNT] = {[FAILURE_REJECTED] = "REJECTED",
                                                       [FAILURE_CANCELED] = "CANCELED",
                                                       [FAILURE_BACKEND] = "BACKEND",
                                                       [FAILURE_OTHER] = "OTHER"};
    for (const struct served *s = first(scrape); s; s = s->next)
        for (int reason = 0; reason < FAILURE_COUNT; reason++) {
            add_labels(&scrape->text, name, s);
            text_printf(&scrape->text, ",reason=\"%s\"}", reasons[reason]);
            add_value(&scrape->text, (double)s->stats.failure[reason]);
        }
}

struct histogram {
    const uint64_t *buckets; /* not cumulative; the last is above all bounds */
    int n_buckets;
    double (*bound)(int bucket);
    double sum;
};

static void add_histogram(struct text *text, const char *name, const struct served *s,
                          const struct histogram *histogram)
{
    char full[80];
    uint64_t count = 0;
    for (int i = 0; i < histogram->n_buckets; i++) {
        count += histogram->buckets[i];
        snprintf(full, sizeof full, "%s_bucket", name);
        add_labels(text, full, s);
        if (i + 1 < histogram->n_buckets)
            text_printf(text, ",le=\"%g\"}", histogram->bound(i));
        else
            text_add(text, ",le=\"+Inf\"}");
        add_value(text, (double)count);
    }
    snprintf(full, sizeof full, "%s_sum", name);
    add_labels(text, full, s);
    text_add(text, "}");
    add_value(text, histogram->sum);
    snprintf(full, sizeof full, "%s_count", name);
    add_labels(text, full, s);
    text_add(text, "}");
    add_value(text, (double)count);
}

static double latency_bound(int bucket)
{
    return stats_latency_bounds[bucket];
}

static double batch_bound(int bucket)
{
    return stats_batch_bounds[bucket];
}

static void print_latency(struct scrape *scrape, const char *name)
{
    for (const struct served *s = first(scrape); s; s = s->next)
        add_histogram(&scrape->text, name, s,
                      &(struct histogram){.buckets = s->stats.latency,
                                          .n_buckets = STATS_BUCKETS,
                                          .bound = latency_bound,
                                          .sum = (double)s->stats.success_ns / 1e9});
}

static void print_batches(struct scrape *scrape, const char *name)
{
    for (const struct served *s = first(scrape); s; s = s->next)
        add_histogram(&scrape->text, name, s,
                      &(struct histogram){.buckets = s->stats.batch,
                                          .n_buckets = STATS_BATCH_BUCKETS,
                                          .bound = batch_bound,
                                          .sum = (double)s->stats.items});
}

static void print_statuses(struct scrape *scrape, const char *name)
{
    for (int status = 0; status < EXCHANGE_STATUSES; status++) {
        if (!scrape->site->statuses[status])
            continue;
        text_printf(&scrape->text, "%s{code=\"%d\"}", name, status);
        add_value(&scrape->text, (double)scrape->site->statuses[status]);
    }
}

/* The table. */

#define PER_MODEL(name, type, value, help)                                                                             \
    static void print_##name(struct scrape *scrape, const char *family)                                                \
    {                                                                                                                  \
        for (const struct served *s = first(scrape); s; s = s->next) {                                                 \
            add_labels(&scrape->text, family, s);                                                                      \
            text_add(&scrape->text, "}");                                                                              \
            add_value(&scrape->text, (double)(value));                                                                 \
        }                                                                                                              \
    }
#define PER_SERVER(name, type, value, help)                                                                            \
    static void print_##name(struct scrape *scrape, const char *family)                                                \
    {                                                                                                                  \
        const struct site *site = scrape->site;                                                                        \
        const struct process *process = &scrape->process;                                                              \
        (void)site;                                                                                                    \
        (void)process;                                                                                                 \
        text_add(&scrape->text, family);                                                                               \
        add_value(&scrape->text, (double)(value));                                                                     \
    }
#define FAMILY(name, type, print, help)
#include "http/metrics.def"
#undef PER_MODEL
#undef PER_SERVER
#undef FAMILY

static const struct family {
    const char *name;
    const char *type;
    const char *help;
    void (*print)(struct scrape *scrape, const char *family);
} families[] = {
#define PER_MODEL(name, type, value, help) {#name, #type, help, print_##name},
#define PER_SERVER(name, type, value, help) {#name, #type, help, print_##name},
#define FAMILY(name, type, print, help) {#name, #type, help, print},
#include "http/metrics.def"
#undef PER_MODEL
#undef PER_SERVER
#undef FAMILY
};

#define N_FAMILIES (sizeof families / sizeof families[0])

void metrics_get(struct exchange *exchange)
{
    struct scrape scrape = {.text = {.arena = &exchange->arena}, .site = exchange->site};
    look_at_process(&scrape.process);
    for (size_t i = 0; i < N_FAMILIES; i++) {
        const struct family *family = &families[i];
        text_printf(&scrape.text, "# HELP %s %s\n# TYPE %s %s\n", family->name, family->help, family->name,
                    family->type);
        family->print(&scrape, family->name);
    }
    exchange_reply_text(exchange, 200, "text/plain; version=0.0.4; charset=utf-8", &scrape.text);
}

void metrics_print(void (*line)(void *user, const char *text), void *user)
{
    for (size_t i = 0; i < N_FAMILIES; i++) {
        char text[256];
        snprintf(text, sizeof text, "%s %s %s", families[i].name, families[i].type, families[i].help);
        line(user, text);
    }
}
