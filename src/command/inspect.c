/*
 * inspect.c - `perceptd inspect MODEL`: what is in the file, what we made of it, and what a run
 * costs. Opening the model is the judgement whether it can be served; costs come from planning a
 * session, nothing is run.
 *
 * JSON on request, for programs: one object, the same facts. Names come from the file: people see
 * them escaped.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "command/command.h"
#include "command/shapes.h"
#include "http/text.h"
#include "serve/recognise.h"

#define COSTS 3

static const int cost_batches[COSTS] = {1, 8, 32};

struct cost {
    int batch;
    double flops;
    size_t n_bytes;
};

struct facts {
    const char *path;
    double load_ms;
    struct percept_description description;
    const struct percept_io *inputs, *outputs;
    int n_inputs, n_outputs;
    int n_costs;
    struct cost costs[COSTS];
    struct percept_err cost_err; /* why there are none */
    struct recognise recognised; /* by NULL: nothing is certain */
    struct manifest_generate generate;
};

static bool find_cost(const struct percept_model *model, const struct shapes_model *shapes,
                      const struct shapes_wish *wish, struct cost *cost, struct percept_err *err)
{
    struct percept_session *session = percept_session_new(model, err);
    bool good = session && shapes_resize(session, shapes, wish, err) && percept_prepare(session, err);
    if (good)
        *cost = (struct cost){
            .batch = wish->batch, .flops = percept_session_flops(session), .n_bytes = percept_session_needs(session)};
    percept_session_free(session);
    return good;
}

static void gather(const struct percept_model *model, const struct options *options, struct facts *facts)
{
    percept_describe(model, &facts->description);
    facts->inputs = percept_inputs(model, &facts->n_inputs);
    facts->outputs = percept_outputs(model, &facts->n_outputs);
    const struct shapes_model shapes = shapes_of(model);
    int n = shapes_batch_is_free(&shapes) ? COSTS : 1;
    for (bool good = true; good && facts->n_costs < n; facts->n_costs += good) {
        const struct shapes_wish wish = {
            .batch = cost_batches[facts->n_costs], .dims = &options->dims, .given = &options->shapes};
        good = find_cost(model, &shapes, &wish, &facts->costs[facts->n_costs], &facts->cost_err);
    }
}

/* --- for people --------------------------------------------------------------------------------------------------- */

static void print_ios(const char *title, const struct percept_io *ios, int n, struct arena *arena)
{
    printf("%s\n", title);
    for (int i = 0; i < n; i++) {
        char shape[300];
        command_shape_text(ios[i].rank, ios[i].dims, ios[i].dim_names, shape, sizeof shape);
        printf("  %-24s %s%s", text_escaped(arena, ios[i].name), percept_dtype_name(ios[i].dtype),
               text_escaped(arena, shape));
        if (ios[i].batch_axis > 0)
            printf(", batch along axis %d", ios[i].batch_axis);
        putchar('\n');
    }
}

static void print_operators(const struct percept_description *description, struct arena *arena)
{
    printf("operators (%d nodes)\n ", description->n_nodes);
    int column = 1;
    for (int i = 0; i < description->n_operators; i++) {
        char text[120];
        int n = snprintf(text, sizeof text, " %s x%d", text_escaped(arena, description->operators[i].op_type),
                         description->operators[i].count);
        if (column + n > 96) {
            fputs("\n ", stdout);
            column = 1;
        }
        fputs(text, stdout);
        column += n;
    }
    putchar('\n');
}

/* What may be joined, and by whose word. */
static void print_batch(const struct percept_description *d, struct arena *arena)
{
    printf("  batch %s%s: ", d->batch_free ? "free" : "not joined", d->batch_rewritten ? " (1 in the file)" : "");
    if (d->batch_asserted)
        printf("its owner says that items stay apart; not proved: ");
    puts(*d->batch_reason ? text_escaped(arena, d->batch_reason) : "items are proved apart");
}

static void print_layers(const struct percept_description *d, struct arena *arena)
{
    if (d->n_layers)
        puts("algorithms");
    for (int i = 0; i < d->n_layers; i++)
        printf("  %-10s %s (%s)\n", d->layers[i].algorithm, text_escaped(arena, d->layers[i].node),
               text_escaped(arena, d->layers[i].op_type));
}

static void print_recognised(const struct recognise *recognised, struct arena *arena)
{
    if (recognised->by)
        printf("recognised as %s\n  because %s\n", text_escaped(arena, recognised->by),
               text_escaped(arena, recognised->because));
    else if (recognised->likely && *recognised->likely)
        printf("not recognised\n  looks like %s\n", text_escaped(arena, recognised->likely));
}

/* What its manifest says of texts. */
static void print_generate(const struct manifest_generate *generate, struct arena *arena)
{
    if (!generate->given || !generate->input || !generate->output)
        return;
    printf("makes texts\n  tokens go to '%s'", text_escaped(arena, generate->input));
    printf(", the next one is scored by '%s'; at most %" PRId64 " tokens\n", text_escaped(arena, generate->output),
           generate->max_new_tokens);
    if (generate->encoder)
        printf("  of another text, which %s reads\n", text_escaped(arena, generate->encoder->file));
}

static void print_facts(const struct facts *facts, struct arena *arena)
{
    const struct percept_description *d = &facts->description;
    printf("%s\n", facts->path);
    printf("  opset %" PRId64 ", IR %" PRId64 "%s%s, %zu bytes, %" PRId64 " parameters\n", d->opset, d->ir_version,
           *d->producer ? ", by " : "", text_escaped(arena, d->producer), d->file_bytes, d->n_parameters);
    print_ios("inputs", facts->inputs, facts->n_inputs, arena);
    print_ios("outputs", facts->outputs, facts->n_outputs, arena);
    print_operators(d, arena);
    printf("made of it\n  %d steps: %d nodes computed at load, %d fused into others\n", d->n_steps, d->n_folded,
           d->n_fused);
    printf("  kernels %s, precision %s, %zu bytes of packed weights %s%s%s\n", d->level, d->precision, d->region_bytes,
           *d->region_name ? "in /dev/shm/" : "in private memory", d->region_name,
           d->region_adopted ? " (adopted)" : "");
    printf("  loaded in %.1f ms\n", facts->load_ms);
    print_batch(d, arena);
    for (int i = 0; i < d->n_notes; i++)
        printf("  note: %s\n", text_escaped(arena, d->notes[i]));
    print_layers(d, arena);
    print_recognised(&facts->recognised, arena);
    print_generate(&facts->generate, arena);
    puts("a run");
    for (int i = 0; i < facts->n_costs; i++)
        printf("  batch %-3d %12.3f MFLOP %12zu bytes of memory\n", facts->costs[i].batch, facts->costs[i].flops / 1e6,
               facts->costs[i].n_bytes);
    if (!facts->n_costs)
        printf("  not known: %s\n", text_escaped(arena, facts->cost_err.text));
}

/* --- for programs ------------------------------------------------------------------------------------------------- */

static void add_io(struct text *text, const struct percept_io *io)
{
    text_add(text, "{\"name\": ");
    text_json(text, io->name);
    text_printf(text, ", \"datatype\": \"%s\", \"shape\": ", percept_dtype_name(io->dtype));
    text_add(text, io->rank < 0 ? "null" : "[");
    for (int d = 0; d < io->rank; d++)
        text_printf(text, "%s%" PRId64, d ? ", " : "", io->dims[d]);
    text_add(text, io->rank < 0 ? ", \"dim_names\": [" : "], \"dim_names\": [");
    for (int d = 0; d < io->rank; d++) {
        text_add(text, d ? ", " : "");
        if (io->dim_names[d])
            text_json(text, io->dim_names[d]);
        else
            text_add(text, "null");
    }
    text_add(text, "], \"batch_axis\": ");
    if (io->batch_axis >= 0)
        text_printf(text, "%d}", io->batch_axis);
    else
        text_add(text, "null}");
}

static void add_ios(struct text *text, const char *key, const struct percept_io *ios, int n)
{
    text_printf(text, ",\n \"%s\": [", key);
    for (int i = 0; i < n; i++) {
        text_add(text, i ? ",\n  " : "");
        add_io(text, &ios[i]);
    }
    text_add(text, "]");
}

static void add_operators(struct text *text, const struct percept_description *description)
{
    text_add(text, ",\n \"operators\": {");
    for (int i = 0; i < description->n_operators; i++) {
        text_add(text, i ? ", " : "");
        text_json(text, description->operators[i].op_type);
        text_printf(text, ": %d", description->operators[i].count);
    }
    text_add(text, "}");
}

static void add_layers(struct text *text, const struct percept_description *d)
{
    text_add(text, ",\n \"layers\": [");
    for (int i = 0; i < d->n_layers; i++) {
        text_add(text, i ? ",\n  {\"node\": " : "{\"node\": ");
        text_json(text, d->layers[i].node);
        text_add(text, ", \"operator\": ");
        text_json(text, d->layers[i].op_type);
        text_printf(text, ", \"algorithm\": \"%s\"}", d->layers[i].algorithm);
    }
    text_add(text, "]");
}

static void add_costs(struct text *text, const struct facts *facts)
{
    text_add(text, ",\n \"runs\": [");
    for (int i = 0; i < facts->n_costs; i++)
        text_printf(text, "%s{\"batch\": %d, \"flops\": %.0f, \"memory_bytes\": %zu}", i ? ", " : "",
                    facts->costs[i].batch, facts->costs[i].flops, facts->costs[i].n_bytes);
    text_add(text, "]");
}

static void add_recognised(struct text *text, const struct recognise *recognised)
{
    text_add(text, ",\n \"recognised\": ");
    if (!recognised->by) {
        text_add(text, "null");
        return;
    }
    text_add(text, "{\"by\": ");
    text_json(text, recognised->by);
    text_add(text, ", \"because\": ");
    text_json(text, recognised->because);
    text_add(text, "}");
}

static void add_name(struct text *text, const char *key, const char *name)
{
    text_printf(text, "%s", key);
    if (name)
        text_json(text, name);
    else
        text_add(text, "null");
}

static void add_generate(struct text *text, const struct manifest_generate *generate)
{
    text_add(text, ",\n \"generate\": ");
    if (!generate->given) {
        text_add(text, "null");
        return;
    }
    add_name(text, "{\"input\": ", generate->input);
    add_name(text, ", \"output\": ", generate->output);
    add_name(text, ", \"encoder\": ", generate->encoder ? generate->encoder->file : NULL);
    text_add(text, "}");
}

static void add_facts(struct text *text, const struct facts *facts)
{
    const struct percept_description *d = &facts->description;
    text_add(text, "{\"model\": ");
    text_json(text, facts->path);
    text_add(text, ",\n \"producer\": ");
    text_json(text, d->producer);
    text_printf(text, ",\n \"ir_version\": %" PRId64 ", \"opset\": %" PRId64, d->ir_version, d->opset);
    add_ios(text, "inputs", facts->inputs, facts->n_inputs);
    add_ios(text, "outputs", facts->outputs, facts->n_outputs);
    add_operators(text, d);
    text_printf(text, ",\n \"nodes\": %d, \"steps\": %d, \"folded\": %d, \"fused\": %d", d->n_nodes, d->n_steps,
                d->n_folded, d->n_fused);
    text_printf(text, ",\n \"parameters\": %" PRId64 ", \"file_bytes\": %zu", d->n_parameters, d->file_bytes);
    text_printf(text, ",\n \"level\": \"%s\", \"precision\": \"%s\"", d->level, d->precision);
    text_printf(text, ",\n \"region_bytes\": %zu, \"region\": ", d->region_bytes);
    text_json(text, d->region_name);
    text_printf(text, ", \"region_adopted\": %s", d->region_adopted ? "true" : "false");
    text_printf(text, ",\n \"batch_free\": %s, \"batch_rewritten\": %s, \"load_ms\": %.3f",
                d->batch_free ? "true" : "false", d->batch_rewritten ? "true" : "false", facts->load_ms);
    text_printf(text, ",\n \"batch_asserted\": %s, \"batch_reason\": ", d->batch_asserted ? "true" : "false");
    text_json(text, d->batch_reason);
    text_add(text, ",\n \"notes\": [");
    for (int i = 0; i < d->n_notes; i++) {
        text_add(text, i ? ", " : "");
        text_json(text, d->notes[i]);
    }
    text_add(text, "]");
    add_recognised(text, &facts->recognised);
    add_generate(text, &facts->generate);
    add_layers(text, d);
    add_costs(text, facts);
    text_add(text, "}\n");
}

static bool print_json(const struct facts *facts, struct arena *arena, struct percept_err *err)
{
    struct text text = {.arena = arena};
    add_facts(&text, facts);
    return command_print(&text, err);
}

int inspect_command(const struct options *options)
{
    struct facts facts = {.path = options->paths.at[0]};
    struct percept_err err = {0};
    struct arena arena = {0};
    struct command_place place;
    struct percept_model *model = command_open_at(options, &arena, &place, &facts.load_ms, &err);
    if (!model)
        return command_fail(&err);
    gather(model, options, &facts);
    facts.recognised = (struct recognise){.model = model, .path = place.path, .folder = place.folder, .arena = &arena};
    const struct manifest *manifest = manifest_read(place.folder, &arena, NULL); /* that it is wrong `serve` says */
    facts.generate = manifest ? manifest->generate : facts.generate;
    bool good = options->settings.no_recognise || recognise_model(&facts.recognised, &err);
    if (good && options->json)
        good = print_json(&facts, &arena, &err);
    else if (good)
        print_facts(&facts, &arena);
    arena_free(&arena);
    percept_close(model);
    return good ? EXIT_SUCCESS : command_fail(&err);
}
