/*
 * bench.c - `perceptd bench MODEL --batch 1,8,32`: what one run takes, without a server around it.
 *
 * Inputs are drawn from a generator with a fixed seed, so that two programs, or two days, time the
 * same work: floats in [-1, 1), integers 0 or 1, which are valid indices nearly everywhere. Each
 * batch size gets its own session, two runs to warm up, then runs for --seconds and five at least.
 * The median is the answer, the least is what the machine can do when nobody disturbs it. Shapes
 * are told with the times: shapes.c may have guessed them.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "command/command.h"
#include "command/profile.h"
#include "command/shapes.h"
#include "http/text.h"

#define WARM_UPS 2
#define CALLS_LEAST 5
#define CALLS_MOST 1000000
#define SEED UINT64_C(0x9e3779b97f4a7c15)

struct result {
    int batch;
    int64_t n_items; /* of one call */
    int n_calls;
    double median_ms, min_ms;
    struct profile profile; /* with --profile; in the command's arena */
};

/* --- inputs ------------------------------------------------------------------------------------------------------- */

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

static bool draw_inputs(struct filling *filling, const struct shapes_model *model, const struct shapes_wish *wish,
                        struct percept_err *err)
{
    uint64_t state = SEED;
    const struct percept_io *inputs = model->inputs;
    filling->n = model->n_inputs;
    filling->data = arena_array(&filling->arena, (size_t)filling->n + 1, sizeof *filling->data);
    filling->n_bytes = arena_array(&filling->arena, (size_t)filling->n + 1, sizeof *filling->n_bytes);
    if (!filling->data || !filling->n_bytes)
        return err_memory(err, "the inputs", (size_t)filling->n);
    for (int i = 0; i < filling->n; i++) {
        int64_t shape[PERCEPT_RANK_MAX];
        int rank = shapes_input(model, i, wish, shape, err);
        if (rank < 0)
            return false;
        size_t size = percept_dtype_bytes(inputs[i].dtype);
        size_t count = (size_t)command_count(rank, shape);
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

static bool place_inputs(const struct filling *filling, struct percept_session *session, struct percept_err *err)
{
    for (int i = 0; i < filling->n; i++) {
        void *to = percept_input(session, i);
        if (!to)
            return err_memory(err, "an input", filling->n_bytes[i]);
        memcpy(to, filling->data[i], filling->n_bytes[i]);
    }
    return true;
}

/* --- timing ------------------------------------------------------------------------------------------------------- */

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
                     const struct percept_run_context *context, int64_t bench_ms, struct result *result,
                     struct percept_err *err)
{
    double *times = NULL;
    double until = command_now_ms() + (double)bench_ms;
    while (result->n_calls < CALLS_LEAST || (command_now_ms() < until && result->n_calls < CALLS_MOST)) {
        size_t n = (size_t)result->n_calls;
        if ((n & (n - 1)) == 0) /* 0, 1, 2, 4, ...: room for as many again */
            times = arena_grow(&filling->arena, times, n * sizeof *times, (2 * n + 1) * sizeof *times);
        if (!times)
            return err_memory(err, "the times", n * sizeof *times);
        if (!run_once(filling, session, context, &times[n], err))
            return false;
        result->n_calls++;
    }
    sum_up(times, result);
    return true;
}

/* Runs that look at the clock between steps are no part of the times above. */
static bool profile_many(struct filling *filling, struct percept_session *session,
                         const struct percept_run_context *context, int64_t bench_ms, struct arena *arena,
                         struct profile *profile, struct percept_err *err)
{
    double until = command_now_ms() + (double)bench_ms, ms;
    percept_set_profiling(session, true);
    for (int i = 0; i < CALLS_LEAST || (command_now_ms() < until && i < CALLS_MOST); i++)
        if (!run_once(filling, session, context, &ms, err) || !profile_add(profile, session, arena, err))
            return false;
    percept_set_profiling(session, false);
    return true;
}

static struct shapes_wish wish_of(const struct options *options, int batch)
{
    return (struct shapes_wish){.batch = batch, .dims = &options->dims, .given = &options->shapes};
}

static bool time_batch(const struct options *options, const struct percept_model *model, struct command_team *team,
                       struct arena *arena, struct result *result, struct percept_err *err)
{
    struct filling filling = {.n = 0};
    const struct percept_run_context context = {.team = team->team};
    const struct shapes_model shapes = shapes_of(model);
    const struct shapes_wish wish = wish_of(options, result->batch);
    struct percept_session *session = percept_session_new(model, err);
    bool good = session && shapes_resize(session, &shapes, &wish, err) && percept_prepare(session, err) &&
                draw_inputs(&filling, &shapes, &wish, err);
    result->n_items = good ? shapes_items(&shapes, &wish) : 0;
    double ms;
    for (int i = 0; good && i < WARM_UPS; i++)
        good = run_once(&filling, session, &context, &ms, err);
    good = good && run_many(&filling, session, &context, options->bench_ms, result, err);
    if (options->profile)
        good = good && profile_many(&filling, session, &context, options->bench_ms, arena, &result->profile, err);
    percept_session_free(session);
    arena_free(&filling.arena);
    return good || err_prefix(err, "batch %d: ", result->batch);
}

/* --- telling ------------------------------------------------------------------------------------------------------ */

static double items_per_s(const struct result *result)
{
    return result->median_ms > 0 ? (double)result->n_items * 1e3 / result->median_ms : 0;
}

/* "  x [8,3] h [1,8,64]", or as members of an object. */
static void add_shapes(struct text *text, const struct shapes_model *model, const struct shapes_wish *wish, bool json)
{
    for (int i = 0; i < model->n_inputs; i++) {
        int64_t shape[PERCEPT_RANK_MAX];
        char dims[300];
        int rank = shapes_input(model, i, wish, shape, NULL);
        command_shape_text(rank, shape, NULL, dims, sizeof dims);
        text_add(text, i && json ? ", " : i ? " " : "");
        if (json)
            text_json(text, model->inputs[i].name);
        else
            text_visible(text, model->inputs[i].name);
        text_printf(text, json ? ": %s" : " %s", dims);
    }
}

static void add_table(struct text *text, const struct options *options, const struct percept_model *model,
                      const struct percept_machine *machine, const struct result *results)
{
    const struct shapes_model shapes = shapes_of(model);
    struct percept_description description;
    percept_describe(model, &description);
    text_printf(text, "%s, kernels %s, %d core%s\n", options->paths.at[0], description.level, options->cores,
                options->cores == 1 ? "" : "s");
    text_printf(text, "%8s %12s %12s %12s %8s  %s\n", "batch", "median ms", "min ms", "items/s", "calls", "inputs");
    for (int i = 0; i < options->batches.n; i++) {
        const struct shapes_wish wish = wish_of(options, results[i].batch);
        text_printf(text, "%8" PRId64 " %12.4f %12.4f %12.1f %8d  ", results[i].n_items, results[i].median_ms,
                    results[i].min_ms, items_per_s(&results[i]), results[i].n_calls);
        add_shapes(text, &shapes, &wish, false);
        text_add(text, "\n");
    }
    for (int i = 0; options->profile && i < options->batches.n; i++) {
        if (options->batches.n > 1)
            text_printf(text, "\nbatch %" PRId64 "\n", results[i].n_items);
        profile_text(text, &results[i].profile, machine, options->cores);
    }
}

static void add_json(struct text *text, const struct options *options, const struct percept_model *model,
                     const struct percept_machine *machine, const struct result *results)
{
    const struct shapes_model shapes = shapes_of(model);
    struct percept_description description;
    percept_describe(model, &description);
    text_add(text, "[");
    for (int i = 0; i < options->batches.n; i++) {
        const struct shapes_wish wish = wish_of(options, results[i].batch);
        text_add(text, i ? ",\n {\"model\": " : "{\"model\": ");
        text_json(text, options->paths.at[0]);
        text_printf(text, ", \"batch\": %" PRId64 ", \"inputs\": {", results[i].n_items);
        add_shapes(text, &shapes, &wish, true);
        text_printf(text,
                    "}, \"cores\": %d, \"precision\": \"%s\", \"median_ms\": %.6f, "
                    "\"min_ms\": %.6f, \"items_per_s\": %.3f",
                    options->cores, description.precision, results[i].median_ms, results[i].min_ms,
                    items_per_s(&results[i]));
        if (options->profile) {
            text_add(text, ",\n \"steps\": ");
            profile_json(text, &results[i].profile, machine, options->cores);
        }
        text_add(text, "}");
    }
    text_add(text, "]\n");
}

static bool time_all(const struct options *options, const struct percept_model *model, struct arena *arena,
                     struct result *results, struct percept_err *err)
{
    struct command_team team;
    bool good = command_team_start(&team, options->cores, err);
    for (int i = 0; good && i < options->batches.n; i++) {
        results[i] = (struct result){.batch = options->batches.at[i]};
        good = time_batch(options, model, &team, arena, &results[i], err);
    }
    command_team_end(&team);
    return good;
}

int bench_command(const struct options *options)
{
    struct result results[OPTIONS_NUMBERS_MAX];
    struct percept_err err;
    struct arena arena = {0};
    struct text text = {.arena = &arena};
    double load_ms;
    struct percept_model *model = command_open(options, &load_ms, &err);
    if (!model)
        return command_fail(&err);
    struct percept_machine machine = {0};
    bool good = time_all(options, model, &arena, results, &err) &&
                (!options->profile || percept_measure(model, &machine, &err));
    if (good)
        (options->json ? add_json : add_table)(&text, options, model, &machine, results);
    good = good && command_print(&text, &err);
    arena_free(&arena);
    percept_close(model);
    return good ? EXIT_SUCCESS : command_fail(&err);
}
