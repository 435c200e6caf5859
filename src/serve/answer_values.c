/*
 * answer_values.c - see answer_values.h. Numbers beyond what JSON has (NaN, infinities) are null, so that the reply can
 * be read by everybody.
 */
#include "serve/answer_values.h"

#include "base/err.h"
#include "serve/codec.h"
#include "serve/floats.h"

#include <math.h>

struct values {
    int64_t n_items, each;
    const float *at; /* [n_items, each] */
    int n_labels;
    const char *const *labels;
};

bool answer_values_make(struct job *job, const struct percept_tensor *results, const void **made,
                        struct percept_err *err)
{
    const struct manifest *manifest = job->served->manifest;
    const int64_t n_items = job->n_items > 0 ? job->n_items : 1;
    const int output = served_task_output(job->served);
    bool replied = false;
    for (int i = 0; i < job->n_outputs; i++)
        replied |= job->outputs[i].index == output;
    int64_t n;
    if (output < 0 || !replied || !codec_count(results[output].rank, results[output].dims, &n) || n % n_items != 0)
        return true;
    struct values *values = arena_alloc(job->arena, sizeof *values);
    const float *at = floats_of(&results[output], 0, n, job->arena, &job->watch, err);
    if (!values)
        return err_memory(err, "predictions", sizeof *values);
    if (!at)
        return false;
    *values = (struct values){n_items, n / n_items, at, manifest->n_labels, manifest->labels};
    *made = values;
    return true;
}

static void put_number(struct writer *w, float value)
{
    if (isfinite(value))
        writer_float(w, value);
    else
        writer_put(w, "null");
}

static void put_value(struct writer *w, const struct values *values, int64_t item, int64_t i)
{
    writer_put(w, i ? ",{" : "{");
    if (i < values->n_labels && values->labels[i]) {
        writer_put(w, "\"label\":");
        writer_string(w, values->labels[i]);
        writer_put(w, ",");
    }
    writer_put(w, "\"index\":");
    writer_int(w, i);
    writer_put(w, ",\"value\":");
    put_number(w, values->at[item * values->each + i]);
    writer_put(w, "}");
}

void answer_values_write_regress(struct writer *w, const void *made)
{
    const struct values *values = made;
    writer_put(w, ",\"predictions\":[");
    for (int64_t item = 0; item < values->n_items; item++) {
        writer_put(w, item ? ",[" : "[");
        for (int64_t i = 0; i < values->each && writer_spend(w, 32); i++)
            put_value(w, values, item, i);
        writer_put(w, "]");
    }
    writer_put(w, "]");
}

/* NaN where one of them has no length. */
static float similarity(const float *a, const float *b, int64_t n)
{
    double both = 0, of_a = 0, of_b = 0;
    for (int64_t i = 0; i < n; i++) {
        both += (double)a[i] * (double)b[i];
        of_a += (double)a[i] * (double)a[i];
        of_b += (double)b[i] * (double)b[i];
    }
    return (float)(both / sqrt(of_a * of_b));
}

void answer_values_write_embed(struct writer *w, const void *made)
{
    const struct values *values = made;
    writer_put(w, ",\"predictions\":[");
    for (int64_t item = 0; item < values->n_items; item++) {
        writer_put(w, item ? ",{\"embedding\":[" : "{\"embedding\":[");
        for (int64_t i = 0; i < values->each && writer_spend(w, 16); i++) {
            writer_put(w, i ? "," : "");
            put_number(w, values->at[item * values->each + i]);
        }
        writer_put(w, "]}");
    }
    writer_put(w, "]");
    if (values->n_items != 2 || !writer_spend(w, values->each))
        return;
    writer_put(w, ",\"similarity\":");
    put_number(w, similarity(values->at, values->at + values->each, values->each));
}
