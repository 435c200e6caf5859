/*
 * light.c - the nine architectures that ONNX ships without weights: every weight is a ConstantOfShape
 * there. A model is rewritten field by field, each of these nodes becoming an initializer of random
 * numbers: matrices and kernels are normal with He's deviation, sqrt(2 / fan in), vectors (biases and all of
 * a batch normalization, whose variance must be positive) lie in [0.2, 1). Both engines then read the
 * filled file and the same picture.
 *
 * Tolerance: 1e-3 of the largest output, what float32 keeps through a hundred layers in two orders of
 * summation.
 */
#include "differential/light.h"

#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "differential/answer.h"
#include "graph/lone.h"

#define TOLERANCE 1e-3
#define SEED 20240

/* The initializer with this name: its dims as int64 elements. */
static bool find_shape(struct bytes graph, struct bytes name, struct arena *arena, struct tensor *shape)
{
    struct wire wire = wire_of(graph);
    struct wire_field field;
    while (wire_next(&wire, &field)) {
        struct bytes own = {0};
        struct percept_err err;
        if (field.tag == GRAPH_INITIALIZER && lone_read(field.bytes, arena, shape, &own, &err) &&
            bytes_equal(own, name))
            return true;
    }
    return false;
}

static double normal(struct example *e)
{
    double u = example_real(e, 1e-12, 1), v = example_real(e, 0, 1);
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

static struct proto weights(struct example *e, struct bytes name, const struct tensor *shape)
{
    int64_t dims[RANK_MAX], fan_in = 1, n = 1;
    int rank = (int)tensor_elements(shape);
    for (int i = 0; i < rank; i++) {
        dims[i] = ((const int64_t *)shape->data)[i];
        n *= dims[i];
        fan_in *= i ? dims[i] : 1;
    }
    float *data = malloc((size_t)n * sizeof *data + 1);
    double deviation = sqrt(2 / (double)fan_in);
    for (int64_t i = 0; data && i < n; i++)
        data[i] = (float)(rank > 1 ? deviation * normal(e) : example_real(e, 0.2, 1));
    char text[200];
    snprintf(text, sizeof text, BYTES_FMT, BYTES_ARG(name));
    struct proto tensor = proto_tensor(text, PERCEPT_FLOAT, rank, dims, data, (size_t)n * sizeof *data);
    free(data);
    return tensor;
}

/* The last Softmax would hide every difference behind a one: what goes into it is compared. */
static struct proto without_softmax(struct bytes node)
{
    struct proto copy = {0};
    struct wire wire = wire_of(node);
    struct wire_field field;
    while (wire_next(&wire, &field))
        if (field.tag == NODE_OP_TYPE)
            proto_text(&copy, NODE_OP_TYPE, "Identity");
        else if (field.tag != NODE_ATTRIBUTE)
            proto_bytes(&copy, field.tag, field.bytes.at, bytes_size(field.bytes));
    return copy;
}

/* A ConstantOfShape becomes an initializer; everything else is copied. */
static void rewrite_node(struct example *e, struct bytes graph, struct bytes node, struct proto *out)
{
    struct wire in = wire_of(node), to = wire_of(node), type = wire_of(node);
    struct bytes input, output, op_type;
    struct tensor shape;
    if (wire_find(&type, NODE_OP_TYPE, &op_type) && bytes_is(op_type, "ConstantOfShape") &&
        wire_find(&in, NODE_INPUT, &input) && wire_find(&to, NODE_OUTPUT, &output) &&
        find_shape(graph, input, e->arena, &shape))
        proto_add(out, GRAPH_INITIALIZER, weights(e, output, &shape));
    else if (bytes_is(op_type, "Softmax"))
        proto_add(out, GRAPH_NODE, without_softmax(node));
    else
        proto_bytes(out, GRAPH_NODE, node.at, bytes_size(node));
}

static void copy_field(struct proto *out, const struct wire_field *field)
{
    if ((field->tag & 7u) == 2u)
        proto_bytes(out, field->tag, field->bytes.at, bytes_size(field->bytes));
    else
        proto_int(out, field->tag, (int64_t)field->value); /* these files have no fixed fields here */
}

static struct proto filled(struct example *e, struct bytes file)
{
    struct proto model = {0};
    struct wire wire = wire_of(file);
    struct wire_field field;
    while (wire_next(&wire, &field)) {
        if (field.tag != MODEL_GRAPH) {
            copy_field(&model, &field);
            continue;
        }
        struct proto graph = {0};
        struct wire inner = wire_of(field.bytes);
        struct wire_field part;
        while (wire_next(&inner, &part))
            if (part.tag == GRAPH_NODE)
                rewrite_node(e, field.bytes, part.bytes, &graph);
            else
                copy_field(&graph, &part);
        proto_add(&model, MODEL_GRAPH, graph);
    }
    return model;
}

/* A picture of random numbers for every input of the model. */
static int draw_feeds(struct example *e, struct bytes file, struct feed *feeds)
{
    struct percept_err err;
    struct percept_options options = {.size = sizeof options, .region = PERCEPT_REGION_PRIVATE};
    struct percept_model *model = percept_open_memory(file.at, bytes_size(file), &options, &err);
    int n = 0;
    if (!model)
        return 0;
    const struct percept_io *inputs = percept_inputs(model, &n);
    for (int i = 0; i < n && i < 4; i++) {
        int64_t dims[RANK_MAX];
        for (int d = 0; d < inputs[i].rank; d++)
            dims[d] = inputs[i].dims[d] < 0 ? 1 : inputs[i].dims[d];
        snprintf(feeds[i].name, sizeof feeds[i].name, "%s", inputs[i].name);
        feeds[i].tensor = example_tensor(e->arena, inputs[i].dtype, inputs[i].rank, dims);
        for (int64_t k = 0; k < tensor_elements(&feeds[i].tensor); k++)
            example_set(&feeds[i].tensor, k, example_real(e, -1, 1));
    }
    percept_close(model);
    return n < 4 ? n : 4;
}

static double worst_of(const struct answer *ours, const struct answer *theirs)
{
    double worst = ours->n_out == theirs->n_out ? 0 : INFINITY;
    for (int i = 0; i < ours->n_out && isfinite(worst); i++) {
        const struct tensor *got = &ours->out[i], *want = &theirs->out[i];
        double largest = 0, difference = 0;
        if (!tensor_same_dims(got, want))
            return INFINITY;
        for (int64_t k = 0; k < tensor_elements(want); k++) {
            double d = fabs(example_get(got, k) - example_get(want, k));
            largest = fmax(largest, fabs(example_get(want, k)));
            difference = isnan(d) ? INFINITY : fmax(difference, d);
        }
        worst = fmax(worst, difference / fmax(largest, 1e-30));
    }
    return worst;
}

static bool run_one(const char *path, const char *name, const char *work)
{
    struct arena arena = {0};
    struct percept_err err = {0};
    struct bytes file;
    struct example e;
    struct feed feeds[4];
    struct answer ours = {0}, theirs = {.outcome = OUTCOME_REFUSED, .why = "it did not answer"};
    char filled_at[500];
    if (!file_read(path, 0, &file, NULL, &err)) {
        printf("%s: %s\n", name, err.text);
        return false;
    }
    example_begin(&e, &arena, name, "", 7, 0, SEED);
    struct proto model = filled(&e, file);
    int n_feeds = draw_feeds(&e, proto_view(&model), feeds);
    /* too large to go through the pipe: "@" and a path stands for the file */
    snprintf(filled_at, sizeof filled_at, "@%s/%s", work, name);
    struct proto request = {0};
    theirs_add(&request, bytes_of(filled_at, strlen(filled_at)), n_feeds, feeds);
    if (file_write(filled_at + 1, model.at, model.n, &err) && theirs_ask(&request, 1)) {
        ours_run(proto_view(&model), n_feeds, feeds, &arena, &ours);
        theirs_answers(1, &arena, &theirs);
    }
    unlink(filled_at + 1);
    double worst = worst_of(&ours, &theirs);
    bool good = ours.outcome == OUTCOME_RAN && theirs.outcome == OUTCOME_RAN && worst <= TOLERANCE;
    printf("%s: %.3g of the largest output%s%s%s\n", name, worst, good ? "" : ", disagrees ", ours.why, theirs.why);
    proto_free(&request);
    proto_free(&model);
    arena_free(&arena);
    arena_buffer_free((void *)(uintptr_t)file.at);
    return good;
}

void light_run(const char *folder, const char *work, const char *script, int *passed, int *failed)
{
    struct arena arena = {0};
    struct percept_err err = {0};
    char **names;
    int n = file_list(&arena, folder, &names, &err);
    if (n < 1 || !theirs_start(script)) {
        printf("skipped: no light models at %s\n", folder);
        return;
    }
    for (int i = 0; i < n; i++) {
        const char *end = strrchr(names[i], '.');
        if (!end || strcmp(end, ".onnx") != 0)
            continue;
        bool good = run_one(file_join(&arena, folder, names[i]), names[i], work);
        *passed += good;
        *failed += !good;
        fflush(stdout);
    }
    theirs_stop();
    arena_free(&arena);
}
