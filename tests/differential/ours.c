/*
 * ours.c - runs a model in the engine of this tree, through its public face alone, and copies what came
 * out. Weights stay private: thousands of little models should leave nothing in shared memory.
 */
#include <stdio.h>

#include "differential/answer.h"

static bool refuse(struct answer *answer, enum outcome outcome, const char *why)
{
    answer->outcome = outcome;
    snprintf(answer->why, sizeof answer->why, "%s", why);
    return false;
}

static const struct feed *find(int n_feeds, const struct feed *feeds, const char *name)
{
    for (int i = 0; i < n_feeds; i++)
        if (strcmp(feeds[i].name, name) == 0)
            return &feeds[i];
    return NULL;
}

static bool fill_inputs(struct percept_model *model, struct percept_session *session, int n_feeds,
                        const struct feed *feeds, struct answer *answer)
{
    struct percept_err err = {0};
    int n;
    const struct percept_io *inputs = percept_inputs(model, &n);
    for (int i = 0; i < n; i++) {
        const struct feed *feed = find(n_feeds, feeds, inputs[i].name);
        if (!feed || feed->tensor.dtype != inputs[i].dtype)
            return refuse(answer, OUTCOME_FAILED, "the model asks for an input that was not declared");
        if (!percept_resize(session, i, feed->tensor.rank, feed->tensor.dims, &err))
            return refuse(answer, OUTCOME_FAILED, err.text);
    }
    if (!percept_prepare(session, &err))
        return refuse(answer, OUTCOME_FAILED, err.text);
    for (int i = 0; i < n; i++) {
        const struct tensor *t = &find(n_feeds, feeds, inputs[i].name)->tensor;
        size_t n_bytes = (size_t)tensor_elements(t) * percept_dtype_bytes(t->dtype);
        if (n_bytes)
            memcpy(percept_input(session, i), t->data, n_bytes);
    }
    return percept_run(session, NULL, &err) || refuse(answer, OUTCOME_FAILED, err.text);
}

static void copy_outputs(struct percept_model *model, struct percept_session *session, struct arena *arena,
                         struct answer *answer)
{
    percept_outputs(model, &answer->n_out);
    if (answer->n_out > EXAMPLE_OUTPUTS)
        answer->n_out = EXAMPLE_OUTPUTS;
    for (int i = 0; i < answer->n_out; i++) {
        struct percept_tensor got = percept_output(session, i);
        struct tensor t = example_tensor(arena, got.dtype, got.rank, got.dims);
        size_t n_bytes = (size_t)tensor_elements(&t) * percept_dtype_bytes(got.dtype);
        if (n_bytes)
            memcpy(t.data, got.data, n_bytes);
        if (t.dtype == PERCEPT_STRING) /* the bytes may belong to the model, which ends before us */
            for (int64_t k = 0; k < tensor_elements(&t); k++) {
                struct percept_string *s = &((struct percept_string *)t.data)[k];
                s->at = arena_text(arena, s->n_bytes ? s->at : "", s->n_bytes);
            }
        answer->out[i] = t;
    }
}

void ours_run(struct bytes file, int n_feeds, const struct feed *feeds, struct arena *arena, struct answer *answer)
{
    struct percept_err err = {0};
    struct percept_options options = {
        .size = sizeof options, .level = getenv("PERCEPTD_KERNELS"), .region = PERCEPT_REGION_PRIVATE};
    *answer = (struct answer){0};
    struct percept_model *model = percept_open_memory(file.at, bytes_size(file), &options, &err);
    if (!model) {
        refuse(answer, OUTCOME_REFUSED, err.text);
        return;
    }
    struct percept_session *session = percept_session_new(model, &err);
    if (!session)
        refuse(answer, OUTCOME_REFUSED, err.text);
    else if (fill_inputs(model, session, n_feeds, feeds, answer))
        copy_outputs(model, session, arena, answer);
    percept_session_free(session);
    percept_close(model);
}
