/*
 * real.c - runs folders of trained models with stored cases: NAME/CASE/meta.json is one run, and
 * NAME/CASE/stream.json a stateful sequence whose states start at zero and are fed back.
 *
 *     real DIR [BOUNDS]   T=TEXT picks cases whose path contains it; BENCH=1 times each case's run
 * as well
 *
 * Elements are raw, row-major, little-endian. An output is judged by max |got - want| / (1 +
 * |want|), 1e-4: what two right implementations in float32 differ by, after a network's depth and a
 * stream's length; NaN must meet NaN, integers must be equal, types and shapes too. Outputs of half
 * floats may differ by 2^-9 (float16) or 2^-6 (bfloat16) more, two units of what 1 + |want| rounds
 * to: the reference rounds behind every operator, perceptd once. A case that needs more stands in
 * BOUNDS with the reason, which is printed: lines NAME/CASE BOUND WHY. Closes with "N passed, N
 * failed, N skipped".
 */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/file.h"
#include "op/cast.h"
#include "kept.h"

#define TOLERANCE 1e-4

static int by_time(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double ms_of(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/*
 * The runs that fit half a second, five at least, on one thread; the first is not counted. The
 * clock on the wall tells their median and the least; cpu_ms is what a run took of a core in the
 * best stretch of 20 ms or one run, which others on the same machine disturb less.
 */
static void time_case(struct percept_session *session, const char *folder)
{
    static double times[10000];
    struct percept_err err;
    int n = 0, in_stretch = 0;
    double total = 0, stretch = 0, cpu = 0, least = INFINITY;
    percept_run(session, NULL, &err);
    double cpu_from = ms_of(CLOCK_PROCESS_CPUTIME_ID);
    while (n < 5 || (total < 500 && n < 10000)) {
        double from = ms_of(CLOCK_MONOTONIC);
        percept_run(session, NULL, &err);
        times[n] = ms_of(CLOCK_MONOTONIC) - from;
        in_stretch++;
        stretch += times[n];
        total += times[n++];
        if (stretch < 20)
            continue;
        cpu = ms_of(CLOCK_PROCESS_CPUTIME_ID);
        least = fmin(least, (cpu - cpu_from) / in_stretch);
        cpu_from = cpu;
        in_stretch = 0;
        stretch = 0;
    }
    if (in_stretch == n)
        least = (ms_of(CLOCK_PROCESS_CPUTIME_ID) - cpu_from) / n;
    qsort(times, (size_t)n, sizeof *times, by_time);
    printf("bench %s median_ms %.4f min_ms %.4f cpu_ms %.5f runs %d\n", folder, times[n / 2], times[0], least, n);
}

/* A case's bound, how close it came, and what went wrong. */
struct verdict {
    double bound, worst;
    char why[200];
};

static int find(const struct percept_io *io, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (strcmp(io[i].name, name) == 0)
            return i;
    return -1;
}

static bool set_input(struct percept_session *session, const struct percept_model *model, const char *name, int rank,
                      const int64_t *dims, char *why)
{
    int n;
    struct percept_err err = {0};
    const struct percept_io *inputs = percept_inputs(model, &n);
    int at = find(inputs, n, name);
    if (at >= 0 && percept_resize(session, at, rank, dims, &err))
        return true;
    snprintf(why, 200, "input %.40s: %.140s", name, at < 0 ? "the model has none" : err.text);
    return false;
}

static void write_input(struct percept_session *session, const struct percept_model *model, const char *name,
                        const void *data, size_t n_bytes)
{
    int n;
    const struct percept_io *inputs = percept_inputs(model, &n);
    void *to = percept_input(session, find(inputs, n, name));
    if (to && n_bytes)
        memcpy(to, data, n_bytes);
}

static double number_of(enum percept_dtype dtype, const void *data, size_t i)
{
    double number;
    cast_numbers(PERCEPT_DOUBLE, &number, dtype, (const char *)data + i * percept_dtype_bytes(dtype), 1);
    return number;
}

/* rank and dims of what is wanted are given apart: a stream's step is a slice */
static bool judge(const struct percept_session *session, const struct percept_model *model, const char *name,
                  enum percept_dtype dtype, int rank, const int64_t *dims, const void *want, struct verdict *verdict)
{
    int n;
    char *why = verdict->why;
    const struct percept_io *outputs = percept_outputs(model, &n);
    int at = find(outputs, n, name);
    struct percept_tensor got = percept_output(session, at);
    bool same = at >= 0 && got.dtype == dtype && got.rank == rank;
    size_t count = 1;
    for (int d = 0; d < rank && same; d++) {
        same = got.dims[d] == dims[d];
        count *= (size_t)dims[d];
    }
    if (!same) {
        snprintf(why, 200, "output %.60s has another type or shape", name);
        return false;
    }
    if (dtype != PERCEPT_FLOAT && dtype != PERCEPT_DOUBLE && dtype != PERCEPT_FLOAT16 && dtype != PERCEPT_BFLOAT16) {
        if (memcmp(got.data, want, count * percept_dtype_bytes(dtype)) == 0)
            return true;
        snprintf(why, 200, "output %.60s: other integers", name);
        return false;
    }
    const double rounding = dtype == PERCEPT_FLOAT16 ? 0x1p-9 : dtype == PERCEPT_BFLOAT16 ? 0x1p-6 : 0;
    const double bound = verdict->bound + rounding;
    double worst = bound;
    for (size_t i = 0; i < count; i++) {
        const double g = number_of(dtype, got.data, i), w = number_of(dtype, want, i);
        if ((isnan(g) && isnan(w)) || g == w)
            continue;
        double error = fabs(g - w) / (1 + fabs(w));
        if (!(error <= verdict->worst))
            verdict->worst = error;
        if (error <= worst)
            continue;
        worst = error;
        snprintf(why, 200, "output %.60s: element %zu is %.9g, expected %.9g", name, i, g, w);
        if (isnan(error))
            return false;
    }
    return worst <= bound;
}

static bool run_case(struct arena *arena, struct percept_model *model, struct percept_session *session,
                     const char *folder, json_t *meta, struct verdict *verdict)
{
    char *why = verdict->why;
    json_t *list = json_object_get(meta, "inputs"), *one;
    struct kept *inputs = arena_array(arena, json_array_size(list) + 1, sizeof *inputs), output;
    struct percept_err err = {0};
    size_t i;
    json_array_foreach(list, i, one)
    {
        if (!inputs || !kept_read(arena, folder, one, &inputs[i], why) ||
            !set_input(session, model, inputs[i].name, inputs[i].tensor.rank, inputs[i].tensor.dims, why))
            return false;
    }
    bool good = percept_prepare(session, &err);
    for (i = 0; good && i < json_array_size(list); i++)
        write_input(session, model, inputs[i].name, inputs[i].tensor.data, inputs[i].n_bytes);
    if (!good || !percept_run(session, NULL, &err)) {
        snprintf(why, 200, "%.190s", err.text);
        return false;
    }
    if (getenv("BENCH"))
        time_case(session, folder);
    json_array_foreach(json_object_get(meta, "outputs"), i, one)
    {
        if (!kept_read(arena, folder, one, &output, why) ||
            !judge(session, model, output.name, output.tensor.dtype, output.tensor.rank, output.tensor.dims,
                   output.tensor.data, verdict))
            return false;
    }
    return true;
}

struct state {
    const char *in, *out;
    struct kept value;
};

static bool feed_back(const struct percept_session *session, const struct percept_model *model, struct state *state)
{
    int n;
    const struct percept_io *outputs = percept_outputs(model, &n);
    struct percept_tensor next = percept_output(session, find(outputs, n, state->out));
    if (!next.data)
        return false;
    memcpy(state->value.tensor.data, next.data, state->value.n_bytes);
    return true;
}

static bool run_stream(struct arena *arena, struct percept_model *model, struct percept_session *session,
                       const char *folder, json_t *meta, struct verdict *verdict)
{
    char *why = verdict->why;
    json_t *fed_back = json_object_get(meta, "state"), *fixed = json_object_get(meta, "const"), *one;
    struct kept input, output;
    struct kept *constant = arena_array(arena, json_array_size(fixed) + 1, sizeof *constant);
    struct state *states = arena_array(arena, json_array_size(fed_back) + 1, sizeof *states);
    size_t i, n_states = 0, n_const = 0;
    if (!constant || !states || !kept_read(arena, folder, json_object_get(meta, "input"), &input, why) ||
        !kept_read(arena, folder, json_object_get(meta, "output"), &output, why) ||
        !set_input(session, model, input.name, input.tensor.rank - 1, input.tensor.dims + 1, why))
        return false;
    json_array_foreach(fed_back, i, one)
    {
        struct state *state = &states[n_states++];
        state->in = kept_text(one, "in");
        state->out = kept_text(one, "out");
        if (!kept_read(arena, folder, one, &state->value, why) ||
            !set_input(session, model, state->in, state->value.tensor.rank, state->value.tensor.dims, why))
            return false;
    }
    json_array_foreach(fixed, i, one)
    {
        struct kept *c = &constant[n_const++];
        if (!kept_read(arena, folder, one, c, why) ||
            !set_input(session, model, c->name, c->tensor.rank, c->tensor.dims, why))
            return false;
    }
    int64_t steps = input.tensor.dims[0];
    size_t in_step = input.n_bytes / (size_t)steps, out_step = output.n_bytes / (size_t)steps;
    for (int64_t t = 0; t < steps; t++) {
        struct percept_err err = {0};
        write_input(session, model, input.name, (char *)input.tensor.data + (size_t)t * in_step, in_step);
        for (i = 0; i < n_states; i++)
            write_input(session, model, states[i].in, states[i].value.tensor.data, states[i].value.n_bytes);
        for (i = 0; i < n_const; i++)
            write_input(session, model, constant[i].name, constant[i].tensor.data, constant[i].n_bytes);
        if (!percept_run(session, NULL, &err)) {
            snprintf(why, 200, "step %d: %.170s", (int)t, err.text);
            return false;
        }
        if (!judge(session, model, output.name, output.tensor.dtype, output.tensor.rank - 1, output.tensor.dims + 1,
                   (char *)output.tensor.data + (size_t)t * out_step, verdict)) {
            char reason[200];
            snprintf(reason, sizeof reason, "step %d: %.170s", (int)t, why);
            memcpy(why, reason, sizeof reason);
            return false;
        }
        for (i = 0; i < n_states; i++)
            if (!feed_back(session, model, &states[i])) {
                snprintf(why, 200, "no output %.60s to feed back", states[i].out);
                return false;
            }
    }
    return true;
}

static bool run_folder(const char *folder, const char *model_folder, bool stream, struct verdict *verdict)
{
    struct arena arena = {0};
    struct percept_err err = {0};
    struct percept_options options = {
        .size = sizeof options, .level = getenv("PERCEPTD_KERNELS"), .region = PERCEPT_REGION_PRIVATE};
    json_t *meta = json_load_file(arena_printf(&arena, "%s/%s", folder, stream ? "stream.json" : "meta.json"), 0, NULL);
    struct percept_model *model = percept_open(arena_printf(&arena, "%s/model.onnx", model_folder), &options, &err);
    struct percept_session *session = model && meta ? percept_session_new(model, &err) : NULL;
    bool good = false;
    if (!session)
        snprintf(verdict->why, 200, "%.190s", meta ? err.text : "the case's JSON cannot be read");
    else
        good = stream ? run_stream(&arena, model, session, folder, meta, verdict)
                      : run_case(&arena, model, session, folder, meta, verdict);
    percept_session_free(session);
    percept_close(model);
    json_decref(meta);
    arena_free(&arena);
    return good;
}

/* The usual bound, or what the file of bounds says of this case: its reason is then printed. */
static double bound_of(const char *path, const char *label)
{
    char line[512], name[200], reason[300];
    double found = TOLERANCE, bound;
    FILE *file = path ? fopen(path, "r") : NULL;
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "%199s %lf %299[^\n]", name, &bound, reason) == 3 && strcmp(name, label) == 0) {
            printf("%s: up to %.1e: %s\n", label, bound, reason);
            found = bound;
        }
    if (file)
        fclose(file);
    return found;
}

int main(int argc, char **argv)
{
    struct arena arena = {0};
    struct percept_err err = {0};
    const char *only = getenv("T"), *bounds = argc > 2 ? argv[2] : NULL;
    char **models, **cases;
    int n_models = argc > 1 ? file_list(&arena, argv[1], &models, &err) : -1;
    if (n_models < 0) {
        fprintf(stderr, "usage: real DIR [BOUNDS]: %s\n", err.text);
        return 2;
    }
    int passed = 0, failed = 0;
    for (int m = 0; m < n_models; m++) {
        char *folder = file_join(&arena, argv[1], models[m]);
        if (!file_exists(file_join(&arena, folder, "model.onnx")))
            continue;
        int n_cases = file_list(&arena, folder, &cases, &err);
        double worst = 0;
        int run = 0, good = 0;
        for (int c = 0; c < n_cases; c++) {
            char *path = file_join(&arena, folder, cases[c]);
            bool stream = file_exists(file_join(&arena, path, "stream.json"));
            if ((only && !strstr(path, only)) || (!stream && !file_exists(file_join(&arena, path, "meta.json"))))
                continue;
            struct verdict verdict = {.bound = bound_of(bounds, arena_printf(&arena, "%s/%s", models[m], cases[c]))};
            bool ok = run_folder(path, folder, stream, &verdict);
            run++;
            good += ok;
            worst = fmax(worst, verdict.worst);
            if (!ok)
                printf("failed %s/%s: %s\n", models[m], cases[c], verdict.why);
        }
        if (run)
            printf("%s: %d of %d, worst error %.2g\n", models[m], good, run, worst);
        passed += good;
        failed += run - good;
    }
    arena_free(&arena);
    printf("%d passed, %d failed, 0 skipped\n", passed, failed);
    return failed || !passed;
}
