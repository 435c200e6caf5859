/*
 * bench.c - `perceptd bench MODEL --batch 1,8,32`: what one run takes, without a server around it.
 *
 * Inputs are drawn from a generator with a fixed seed, so that two programs, or two days, time the
 * same work: floats in [-1, 1), integers 0 or 1, which are valid indices nearly everywhere. Each
 * batch size gets its own session, two runs to warm up, then runs for --seconds and five at least.
 * The median is the answer, the least is what the machine can do when nobody disturbs it.
 */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "command/command.h"
#include "http/text.h"

#define WARM_UPS 2
#define CALLS_LEAST 5
#define CALLS_MOST 1000000
#define SEED UINT64_C(0x9e3779b97f4a7c15)

struct result {
    int batch;
    int n_calls;
    double median_ms, min_ms;
};

/* --- inputs ---------------------------------------------------------------------------------- */

static uint64_t draw(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static float draw_float(uint64_t *state)
{
    return (float)(int64_t)(draw(state) >> 40) / (float)(1 << 23) - 1.0f;
}

/* [-1, 1) in 16 bits: sign, and for halves and bfloat16 alike a few bits of fraction under exponent
 * -1. */
static uint16_t draw_half(uint64_t *state, enum percept_dtype dtype)
{
    uint16_t base = dtype == PERCEPT_FLOAT16 ? 0x3800 : 0x3f00; /* 0.5 */
    return (uint16_t)(base | (draw(state) >> 57) | (draw(state) >> 63) << 15);
}

static void fill_element(uint8_t *to, enum percept_dtype dtype, size_t size, uint64_t *state)
{
    if (dtype == PERCEPT_FLOAT) {
        float value = draw_float(state);
        memcpy(to, &value, sizeof value);
    } else if (dtype == PERCEPT_DOUBLE) {
        double value = (double)draw_float(state);
        memcpy(to, &value, sizeof value);
    } else if (dtype == PERCEPT_FLOAT16 || dtype == PERCEPT_BFLOAT16) {
        uint16_t value = draw_half(state, dtype);
        memcpy(to, &value, sizeof value);
    } else if (dtype == PERCEPT_STRING) {
        const struct percept_string value = {.at = "a", .n_bytes = 1};
        memcpy(to, &value, sizeof value);
    } else {
        memset(to, 0, size); /* little-endian: the lowest byte comes first */
        to[0] = (uint8_t)(draw(state) >> 63);
    }
}

/* What goes in, kept beside the session: a run may use an input's memory for something else. */
struct filling {
    struct arena arena;
    int n;
    void **data; /* [n] */
    size_t *n_bytes;
};

static bool draw_inputs(struct filling *filling, const struct percept_model *model, int batch,
                        const struct options_list *dims, struct percept_err *err)
{
    uint64_t state = SEED;
    const struct percept_io *inputs = percept_inputs(model, &filling->n);
    filling->data = arena_array(&filling->arena, (size_t)filling->n + 1, sizeof *filling->data);
    filling->n_bytes =
        arena_array(&filling->arena, (size_t)filling->n + 1, sizeof *filling->n_bytes);
    if (!filling->data || !filling->n_bytes)
        return err_memory(err, "the inputs", (size_t)filling->n);
    for (int i = 0; i < filling->n; i++) {
        int64_t shape[PERCEPT_RANK_MAX];
        if (!command_shape(&inputs[i], batch, dims, shape, err))
            return false;
        size_t size = percept_dtype_bytes(inputs[i].dtype);
        size_t count = (size_t)command_count(inputs[i].rank, shape);
        uint8_t *to = arena_array(&filling->arena, count, size);
        if (!to)
            return err_memory(err, "an input", count);
        for (size_t k = 0; k < count; k++)
            fill_element(to + k * size, inputs[i].dtype, size, &state);
        filling->data[i] = to;
        filling->n_bytes[i] = count * size;
    }
    return true;
}

static bool place_inputs(const struct filling *filling, struct percept_session *session,
                         struct percept_err *err)
{
    for (int i = 0; i < filling->n; i++) {
        void *to = percept_input(session, i);
        if (!to)
            return err_memory(err, "an input", filling->n_bytes[i]);
        memcpy(to, filling->data[i], filling->n_bytes[i]);
    }
    return true;
}

/* --- timing ---------------------------------------------------------------------------------- */

static bool run_once(const struct filling *filling, struct percept_session *session,
                     const struct percept_run_context *context, double *ms, struct percept_err *err)
{
    if (!place_inputs(filling, session, err))
        return false;
    double from = command_now_ms();
    bool good = percept_run(session, context, err);
    *ms = command_now_ms() - from;
    return good;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void sum_up(double *times, struct result *result)
{
    int n = result->n_calls;
    qsort(times, (size_t)n, sizeof *times, by_size);
    result->min_ms = times[0];
    result->median_ms = n % 2 ? times[n / 2] : (times[n / 2 - 1] + times[n / 2]) / 2;
}

static bool run_many(struct filling *filling, struct percept_session *session,
                     const struct percept_run_context *context, int64_t bench_ms,
                     struct result *result, struct percept_err *err)
{
    double *times = NULL;
    double until = command_now_ms() + (double)bench_ms;
    while (result->n_calls < CALLS_LEAST ||
           (command_now_ms() < until && result->n_calls < CALLS_MOST)) {
        size_t n = (size_t)result->n_calls;
        if ((n & (n - 1)) == 0) /* 0, 1, 2, 4, ...: room for as many again */
            times =
                arena_grow(&filling->arena, times, n * sizeof *times, (2 * n + 1) * sizeof *times);
        if (!times)
            return err_memory(err, "the times", n * sizeof *times);
        if (!run_once(filling, session, context, &times[n], err))
            return false;
        result->n_calls++;
    }
    sum_up(times, result);
    return true;
}

static bool time_batch(const struct options *options, const struct percept_model *model,
                       struct command_team *team, struct result *result, struct percept_err *err)
{
    struct filling filling = {.n = 0};
    const struct percept_run_context context = {.team = team->team};
    struct percept_session *session = percept_session_new(model, err);
    bool good = session && command_resize(session, model, result->batch, &options->dims, err) &&
                percept_prepare(session, err) &&
                draw_inputs(&filling, model, result->batch, &options->dims, err);
    double ms;
    for (int i = 0; good && i < WARM_UPS; i++)
        good = run_once(&filling, session, &context, &ms, err);
    good = good && run_many(&filling, session, &context, options->bench_ms, result, err);
    percept_session_free(session);
    arena_free(&filling.arena);
    return good || err_prefix(err, "batch %d: ", result->batch);
}

/* --- telling --------------------------------------------------------------------------------- */

static double items_per_s(const struct result *result)
{
    return result->median_ms > 0 ? result->batch * 1e3 / result->median_ms : 0;
}

static void print_table(const struct options *options, const char *row,
                        const struct result *results, int n)
{
    printf("%s, kernels %s, %d core%s\n", options->paths.at[0], row, options->cores,
           options->cores == 1 ? "" : "s");
    printf("%8s %12s %12s %12s %8s\n", "batch", "median ms", "min ms", "items/s", "calls");
    for (int i = 0; i < n; i++)
        printf("%8d %12.4f %12.4f %12.1f %8d\n", results[i].batch, results[i].median_ms,
               results[i].min_ms, items_per_s(&results[i]), results[i].n_calls);
}

static bool print_json(const struct options *options, const char *precision,
                       const struct result *results, int n)
{
    struct arena arena = {0};
    struct text text = {.arena = &arena};
    text_add(&text, "[");
    for (int i = 0; i < n; i++) {
        text_add(&text, i ? ",\n {\"model\": " : "{\"model\": ");
        text_json(&text, options->paths.at[0]);
        text_printf(&text,
                    ", \"batch\": %d, \"cores\": %d, \"precision\": \"%s\", \"median_ms\": %.6f, "
                    "\"min_ms\": %.6f, \"items_per_s\": %.3f}",
                    results[i].batch, options->cores, precision, results[i].median_ms,
                    results[i].min_ms, items_per_s(&results[i]));
    }
    text_add(&text, "]\n");
    bool good = !text.failed && fwrite(text.at, 1, text.n_bytes, stdout) == text.n_bytes;
    arena_free(&arena);
    return good;
}

static bool time_all(const struct options *options, const struct percept_model *model,
                     struct result *results, struct percept_err *err)
{
    struct command_team team;
    bool good = command_team_start(&team, options->cores, err);
    for (int i = 0; good && i < options->batches.n; i++) {
        results[i] = (struct result){.batch = options->batches.at[i]};
        good = time_batch(options, model, &team, &results[i], err);
    }
    command_team_end(&team);
    return good;
}

int bench_command(const struct options *options)
{
    struct result results[OPTIONS_NUMBERS_MAX];
    struct percept_err err;
    double load_ms;
    struct percept_model *model = command_open(options, &load_ms, &err);
    if (!model)
        return command_fail(&err);
    struct percept_description description;
    percept_describe(model, &description);
    bool good = time_all(options, model, results, &err);
    int status = good ? EXIT_SUCCESS : command_fail(&err);
    if (good && options->json)
        status = print_json(options, description.precision, results, options->batches.n)
                     ? EXIT_SUCCESS
                     : EXIT_FAILURE;
    else if (good)
        print_table(options, description.row, results, options->batches.n);
    percept_close(model);
    return status;
}
