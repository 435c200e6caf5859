/*
 * peers.c - networks here and in ONNX Runtime, in one process, on one core, by turns.
 *
 *     peers LIBONNXRUNTIME [MODEL.onnx | FOLDER]...     BATCH=1,8,32 ROUNDS=7 KERNELS=v3 PRECISION=fast T=TEXT
 *
 * A FOLDER holds .onnx files, or folders with a model.onnx and stored cases (CASE/meta.json), of which the first
 * gives the inputs; else they are drawn (floats in [-1, 1), integers 0 or 1), for each of the batches, where the model
 * has one. T picks models whose path contains it.
 *
 * Blocks of at least 80 ms and two calls alternate, ours and theirs, ROUNDS times (five where a call takes half a
 * second), each timed by what it takes of the core. What is printed: medians, the median of the rounds' ratios (theirs
 * by ours: above 1 we are faster) with the least and the largest, and the largest difference of outputs by the largest
 * output. Closes with geometric means. Nothing may be slower than LIMIT times the reference.
 */
#include <dirent.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "ort.h"
#include "real/kept.h"

#define BLOCK_MS 80
#define MOST_ROUNDS 99
#define LIMIT 2.0

struct input {
    int rank;
    int64_t dims[PERCEPT_RANK_MAX];
    void *data;
    size_t n_bytes;
};

struct pair {
    struct percept_model *model;
    struct percept_session *session;
    struct ort_model *theirs;
    const struct percept_io *inputs, *outputs;
    int n_inputs, n_outputs;
    struct input in[ORT_MOST];
    struct arena arena;
    char why[ORT_WHY];
};

static struct {
    double logs;
    int n, n_slower, n_failed;
} sums[4097];

static double cpu_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(const double *values, int n)
{
    double sorted[MOST_ROUNDS];
    memcpy(sorted, values, (size_t)n * sizeof *values);
    qsort(sorted, (size_t)n, sizeof *sorted, by_size);
    return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

/* --- one call ----------------------------------------------------------------------------------------------------- */

/* Inputs are written anew: a run may use their memory for something else. */
static bool run_ours(struct pair *pair)
{
    struct percept_err err = {0};
    for (int i = 0; i < pair->n_inputs; i++) {
        void *to = percept_input(pair->session, i);
        if (to && pair->in[i].n_bytes)
            memcpy(to, pair->in[i].data, pair->in[i].n_bytes);
    }
    if (percept_run(pair->session, NULL, &err))
        return true;
    snprintf(pair->why, sizeof pair->why, "%.290s", err.text);
    return false;
}

static bool run_theirs(struct pair *pair)
{
    return ort_model_run(pair->theirs, pair->why);
}

static bool block_of(struct pair *pair, bool (*run)(struct pair *pair), double *ms)
{
    double from = cpu_ms(), spent = 0;
    int n = 0;
    while (n < 2 || spent < BLOCK_MS) {
        if (!run(pair))
            return false;
        n++;
        spent = cpu_ms() - from;
    }
    *ms = spent / n;
    return true;
}

/* --- the answers -------------------------------------------------------------------------------------------------- */

/* Of float outputs: the largest difference by the largest value; infinite when shapes differ. */
static double difference(struct pair *pair)
{
    double worst = 0;
    for (int o = 0; o < pair->n_outputs; o++) {
        const struct percept_tensor ours = percept_output(pair->session, o);
        const void *theirs;
        size_t n, count = 1;
        for (int d = 0; d < ours.rank; d++)
            count *= (size_t)ours.dims[d];
        if (ours.dtype != PERCEPT_FLOAT)
            continue;
        if (!ort_model_output(pair->theirs, o, &theirs, &n) || n != count)
            return INFINITY;
        double most = 0, off = 0;
        for (size_t i = 0; i < n; i++) {
            most = fmax(most, fabs((double)((const float *)theirs)[i]));
            off = fmax(off, fabs((double)((const float *)theirs)[i] - (double)((const float *)ours.data)[i]));
        }
        worst = fmax(worst, most > 0 ? off / most : off);
    }
    return worst;
}

/* --- a pair ------------------------------------------------------------------------------------------------------- */

static void close_pair(struct pair *pair)
{
    percept_session_free(pair->session);
    percept_close(pair->model);
    ort_model_close(pair->theirs);
    arena_free(&pair->arena);
}

static bool open_pair(struct pair *pair, struct ort *ort, const char *path)
{
    struct percept_err err = {0};
    const struct percept_options options = {.size = sizeof options,
                                            .region = PERCEPT_REGION_PRIVATE,
                                            .level = getenv("KERNELS"),
                                            .precision = getenv("PRECISION")};
    *pair = (struct pair){.model = percept_open(path, &options, &err)};
    pair->session = pair->model ? percept_session_new(pair->model, &err) : NULL;
    if (!pair->session) {
        snprintf(pair->why, sizeof pair->why, "%.290s", err.text);
        return false;
    }
    pair->inputs = percept_inputs(pair->model, &pair->n_inputs);
    pair->outputs = percept_outputs(pair->model, &pair->n_outputs);
    if (pair->n_inputs > ORT_MOST || pair->n_outputs > ORT_MOST) {
        snprintf(pair->why, sizeof pair->why, "more than %d inputs or outputs", ORT_MOST);
        return false;
    }
    pair->theirs = ort_model_open(ort, path, pair->why);
    return pair->theirs != NULL;
}

/* Gives both the inputs; the first run of each is not timed. */
static bool feed(struct pair *pair)
{
    const char *names[ORT_MOST];
    struct percept_err err = {0};
    for (int i = 0; i < pair->n_inputs; i++) {
        const struct input *in = &pair->in[i];
        if (!percept_resize(pair->session, i, in->rank, in->dims, &err)) {
            snprintf(pair->why, sizeof pair->why, "%.290s", err.text);
            return false;
        }
        if (!ort_model_input(pair->theirs, i, pair->inputs[i].name, pair->inputs[i].dtype, in->rank, in->dims, in->data,
                             in->n_bytes, pair->why))
            return false;
    }
    for (int o = 0; o < pair->n_outputs; o++)
        names[o] = pair->outputs[o].name;
    return ort_model_outputs(pair->theirs, pair->n_outputs, names) && run_ours(pair) && run_theirs(pair);
}

static void draw(struct input *in, enum percept_dtype dtype, size_t count)
{
    static uint32_t state = 1;
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525 + 1013904223;
        if (dtype == PERCEPT_FLOAT)
            ((float *)in->data)[i] = (float)(int32_t)state / 2147483648.0f;
        else
            ((char *)in->data)[i * percept_dtype_bytes(dtype)] = (char)(state >> 31);
    }
}

/* Free axes but the batch are 24. */
static bool draw_inputs(struct pair *pair, int batch)
{
    for (int i = 0; i < pair->n_inputs; i++) {
        const struct percept_io *io = &pair->inputs[i];
        struct input *in = &pair->in[i];
        size_t count = 1;
        in->rank = io->rank;
        for (int d = 0; d < io->rank; d++) {
            in->dims[d] = io->dims[d] >= 0 ? io->dims[d] : d == io->batch_axis ? batch : 24;
            count *= (size_t)in->dims[d];
        }
        in->n_bytes = count * percept_dtype_bytes(io->dtype);
        in->data = arena_alloc(&pair->arena, in->n_bytes + 64);
        if (!in->data || io->rank < 0) {
            snprintf(pair->why, sizeof pair->why, "no shape for input %s", io->name);
            return false;
        }
        draw(in, io->dtype, count);
    }
    return true;
}

static bool read_case(struct pair *pair, const char *folder)
{
    char path[1200], why[200] = "";
    snprintf(path, sizeof path, "%s/meta.json", folder);
    json_t *meta = json_load_file(path, 0, NULL), *one;
    size_t k;
    int n = 0;
    json_array_foreach(json_object_get(meta, "inputs"), k, one)
    {
        struct kept stored;
        if (!kept_read(&pair->arena, folder, one, &stored, why))
            break;
        for (int i = 0; i < pair->n_inputs; i++) {
            if (strcmp(pair->inputs[i].name, stored.name) != 0)
                continue;
            struct input *in = &pair->in[i];
            *in = (struct input){.rank = stored.tensor.rank, .data = stored.tensor.data, .n_bytes = stored.n_bytes};
            memcpy(in->dims, stored.tensor.dims, sizeof in->dims);
            n++;
        }
    }
    json_decref(meta);
    if (n == pair->n_inputs)
        return true;
    snprintf(pair->why, sizeof pair->why, "%.250s", *why ? why : "the case has not all inputs");
    return false;
}

/* --- rounds ------------------------------------------------------------------------------------------------------- */

static bool measure(struct pair *pair, const char *name, int batch)
{
    double ours[MOST_ROUNDS], theirs[MOST_ROUNDS], ratios[MOST_ROUNDS];
    const char *wish = getenv("ROUNDS");
    int rounds = wish ? atoi(wish) : 7;
    rounds = rounds < 1 ? 1 : rounds > MOST_ROUNDS ? MOST_ROUNDS : rounds;
    if (!feed(pair))
        return false;
    const double off = difference(pair);
    for (int r = 0; r < rounds; r++) {
        const bool first = r % 2;
        if (!block_of(pair, first ? run_theirs : run_ours, first ? &theirs[r] : &ours[r]) ||
            !block_of(pair, first ? run_ours : run_theirs, first ? &ours[r] : &theirs[r]))
            return false;
        ratios[r] = theirs[r] / ours[r];
        if (ours[r] > 500 && rounds > 5)
            rounds = 5;
    }
    const double ratio = median(ratios, rounds), ms = median(ours, rounds);
    qsort(ratios, (size_t)rounds, sizeof *ratios, by_size);
    printf("%-28s %5d %10.4f %10.4f  %5.2f (%.2f..%.2f) %7.1f  %.1e\n", name, batch, ms, median(theirs, rounds), ratio,
           ratios[0], ratios[rounds - 1], percept_session_flops(pair->session) / ms / 1e6, off);
    fflush(stdout);
    sums[batch].logs += log(ratio);
    sums[batch].n++;
    sums[batch].n_slower += ratio < 1;
    sums[batch].n_failed += ratio < 1 / LIMIT;
    return true;
}

static void tell(const char *name, const struct pair *pair)
{
    printf("%-28s not timed: %s\n", name, pair->why);
}

/* A network of which only the file is known: once for each batch. */
static void bench_file(struct ort *ort, const char *path, const char *name)
{
    const char *batches = getenv("BATCH") ? getenv("BATCH") : "1";
    for (const char *at = batches; *at; at += strcspn(at, ","), at += *at == ',') {
        struct pair pair;
        const int batch = atoi(at);
        if (batch < 1 || batch > 4096)
            continue;
        if (!open_pair(&pair, ort, path) || !draw_inputs(&pair, batch) || !measure(&pair, name, batch))
            tell(name, &pair);
        const bool has_batch = pair.model && pair.n_inputs && pair.inputs[0].batch_axis >= 0;
        close_pair(&pair);
        if (!has_batch)
            return;
    }
}

static void bench_case(struct ort *ort, const char *path, const char *name, const char *folder)
{
    struct pair pair;
    if (!open_pair(&pair, ort, path) || !read_case(&pair, folder) || !measure(&pair, name, 0))
        tell(name, &pair);
    close_pair(&pair);
}

/* --- what is there ------------------------------------------------------------------------------------------------ */

static bool exists(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0;
}

static bool is_wanted(const char *path)
{
    return !getenv("T") || strstr(path, getenv("T"));
}

static void bench_folder(struct ort *ort, const char *folder)
{
    struct dirent **entries;
    const int n = scandir(folder, &entries, NULL, alphasort);
    char path[1024], inner[1100], name[256];
    snprintf(path, sizeof path, "%s/model.onnx", folder);
    snprintf(name, sizeof name, "%.255s", strrchr(folder, '/') ? strrchr(folder, '/') + 1 : folder);
    const bool is_model = exists(path);
    for (int i = 0; i < n; i++) {
        const char *entry = entries[i]->d_name;
        snprintf(inner, sizeof inner, "%s/%s/meta.json", folder, entry);
        if (is_model && exists(inner)) {
            snprintf(inner, sizeof inner, "%s/%s", folder, entry);
            bench_case(ort, path, name, inner);
            break;
        }
        snprintf(inner, sizeof inner, "%s/%s", folder, entry);
        const size_t length = strlen(entry);
        if (!is_model && length > 5 && strcmp(entry + length - 5, ".onnx") == 0 && is_wanted(inner)) {
            snprintf(name, sizeof name, "%.*s", (int)(length - 5), entry);
            bench_file(ort, inner, name);
        } else if (!is_model && *entry != '.' && is_wanted(inner)) {
            snprintf(inner, sizeof inner, "%s/%s/model.onnx", folder, entry);
            if (exists(inner)) {
                snprintf(inner, sizeof inner, "%s/%s", folder, entry);
                bench_folder(ort, inner);
            }
        }
    }
    for (int i = 0; i < n; i++)
        free(entries[i]);
    if (n >= 0)
        free(entries);
}

static void stay_on_one_core(void)
{
    cpu_set_t set;
    sched_getaffinity(0, sizeof set, &set);
    size_t last = 0;
    for (size_t c = 0; c < CPU_SETSIZE; c++)
        last = CPU_ISSET(c, &set) ? c : last;
    CPU_ZERO(&set);
    CPU_SET(last, &set);
    sched_setaffinity(0, sizeof set, &set);
}

int main(int argc, char **argv)
{
    char why[ORT_WHY] = "";
    struct ort *ort = argc > 1 ? ort_open(argv[1], why) : NULL;
    if (!ort) {
        printf("skipped: ONNX Runtime's library: %s\n0 passed, 0 failed, 1 skipped\n", why);
        return getenv("REQUIRE_SHARED") ? 1 : 0;
    }
    stay_on_one_core();
    printf("ONNX Runtime %s, one core; ratio: its time by ours\n", ort_version(ort));
    printf("%-28s %5s %10s %10s  %s %s  %s\n", "model", "batch", "ours ms", "ORT ms", "ratio (least..most)", "  GF/s",
           "difference");
    for (int i = 2; i < argc; i++) {
        const char *dot = strrchr(argv[i], '.'), *slash = strrchr(argv[i], '/');
        if (dot && strcmp(dot, ".onnx") == 0)
            bench_file(ort, argv[i], slash ? slash + 1 : argv[i]);
        else
            bench_folder(ort, argv[i]);
    }
    int n = 0, n_failed = 0;
    for (int batch = 0; batch <= 4096; batch++) {
        if (!sums[batch].n)
            continue;
        n += sums[batch].n;
        n_failed += sums[batch].n_failed;
        char of[32] = "stored inputs";
        if (batch)
            snprintf(of, sizeof of, "batch %d", batch);
        printf("%s: geometric mean %.2f of %d, %d slower\n", of, exp(sums[batch].logs / sums[batch].n), sums[batch].n,
               sums[batch].n_slower);
    }
    printf("%d passed, %d failed, 0 skipped\n", n - n_failed, n_failed);
    return n_failed > 0 || n == 0;
}
