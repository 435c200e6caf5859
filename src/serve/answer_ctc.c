/*
 * answer_ctc.c - the task ctc: for every item the texts that an output's steps spell, best first, by ctc.c.
 *
 * The output is [N, steps, classes] or transposed as the manifest's ctc_layout says, or one item without N. Steps are
 * brought to logs of probabilities, by the activation: none where the network gives probabilities, exp where it gives
 * their logs, softmax where it gives scores.
 */
#include "base/err.h"
#include "serve/answer.h"
#include "serve/ctc.h"

#include <math.h>

struct item {
    int n;
    struct ctc_text *texts;
};

struct spelled {
    int64_t n_items;
    struct item *items;
};

/* Where step t, class c of an item lies. */
struct steps {
    int64_t n, n_classes;
    int64_t item, step, class; /* distances */
};

static bool find_steps(const struct manifest *manifest, const struct percept_tensor *scores, int64_t n_items,
                       struct steps *steps)
{
    const int64_t *dims = scores->dims + (scores->rank == 3 && manifest->ctc_layout != CTC_TNC);
    const int64_t a = dims[0], b = scores->rank == 3 && manifest->ctc_layout == CTC_TNC ? dims[2] : dims[1];
    if (scores->rank != 3 && !(scores->rank == 2 && n_items == 1))
        return false;
    if (scores->rank == 3 && scores->dims[manifest->ctc_layout == CTC_TNC] != n_items)
        return false;
    if (manifest->ctc_layout == CTC_NCT)
        *steps = (struct steps){.n = b, .n_classes = a, .item = a * b, .step = 1, .class = b};
    else if (manifest->ctc_layout == CTC_TNC)
        *steps = (struct steps){.n = a, .n_classes = b, .item = b, .step = n_items * b, .class = 1};
    else
        *steps = (struct steps){.n = a, .n_classes = b, .item = a * b, .step = b, .class = 1};
    return true;
}

/* One step's scores as logs of probabilities. */
static void put_logs(const float *from, const struct steps *steps, enum manifest_activation activation, float *to)
{
    double largest = -(double)INFINITY, sum = 0;
    for (int64_t c = 0; c < steps->n_classes; c++) {
        to[c] = from[c * steps->class];
        largest = (double)to[c] > largest ? (double)to[c] : largest;
    }
    for (int64_t c = 0; activation == ACTIVATION_SOFTMAX && c < steps->n_classes; c++)
        sum += exp((double)to[c] - largest);
    for (int64_t c = 0; c < steps->n_classes; c++) {
        if (activation == ACTIVATION_SOFTMAX)
            to[c] = (float)((double)to[c] - largest - log(sum));
        else if (activation == ACTIVATION_SIGMOID)
            to[c] = (float)-log1p(exp(-(double)to[c]));
        else if (activation == ACTIVATION_NONE)
            to[c] = logf(to[c] > 0 ? to[c] : 0);
    }
}

static bool spell_item(struct job *job, const struct ctc *ctc, const struct steps *steps, const float *scores,
                       struct item *item, struct percept_err *err)
{
    const struct manifest *manifest = job->served->manifest;
    float *rows = arena_array(job->arena, (size_t)(steps->n * steps->n_classes) + 1, sizeof *rows);
    item->texts = arena_array(job->arena, (size_t)manifest->top_k, sizeof *item->texts);
    if (!rows || !item->texts)
        return err_memory(err, "texts", (size_t)(steps->n * steps->n_classes) * sizeof *rows);
    for (int64_t t = 0; t < steps->n; t++) {
        if (!watch_spend(&job->watch, 2 * steps->n_classes))
            return watch_refuse(&job->watch, err);
        put_logs(scores + t * steps->step, steps, manifest->task_activation, rows + t * steps->n_classes);
    }
    item->n = ctc_decode(ctc, rows, steps->n, manifest->top_k, item->texts, &job->watch, job->arena, err);
    return item->n >= 0;
}

bool answer_ctc_make(struct job *job, const struct percept_tensor *results, const void **made, struct percept_err *err)
{
    const struct manifest *manifest = job->served->manifest;
    const int output = answer_scores(job, results);
    const int64_t n_items = job->n_items > 0 ? job->n_items : 1;
    struct steps steps;
    if (output < 0 || results[output].dtype != PERCEPT_FLOAT ||
        !find_steps(manifest, &results[output], n_items, &steps) || steps.n_classes < 1)
        return true;
    const struct answer_labels labels = answer_labels(job, output);
    const struct ctc ctc = {.n_classes = (int)steps.n_classes,
                            .blank = manifest->blank < 0 ? (int)steps.n_classes - 1 : manifest->blank,
                            .n_labels = labels.n,
                            .labels = labels.texts,
                            .space = manifest->space,
                            .n_skipped = manifest->n_skipped,
                            .skipped = manifest->skipped,
                            .beam = manifest->beam,
                            .n_words = manifest->n_words,
                            .words = manifest->words};
    if (ctc.blank >= ctc.n_classes)
        return true;
    struct spelled *spelled = arena_alloc(job->arena, sizeof *spelled);
    struct item *items = arena_array(job->arena, (size_t)n_items, sizeof *items);
    if (!spelled || !items)
        return err_memory(err, "predictions", (size_t)n_items * sizeof *items);
    for (int64_t i = 0; i < n_items; i++)
        if (!spell_item(job, &ctc, &steps, (const float *)results[output].data + i * steps.item, &items[i], err))
            return false;
    *spelled = (struct spelled){.n_items = n_items, .items = items};
    *made = spelled;
    return true;
}

void answer_ctc_write(struct writer *w, const void *made)
{
    const struct spelled *spelled = made;
    writer_put(w, ",\"predictions\":[");
    for (int64_t i = 0; i < spelled->n_items && writer_spend(w, 1); i++) {
        writer_put(w, i ? ",[" : "[");
        for (int k = 0; k < spelled->items[i].n; k++) {
            writer_put(w, k ? ",{\"text\":" : "{\"text\":");
            writer_string(w, spelled->items[i].texts[k].text);
            writer_put(w, ",\"score\":");
            writer_float(w, spelled->items[i].texts[k].score);
            writer_put(w, "}");
        }
        writer_put(w, "]");
    }
    writer_put(w, "]");
}
