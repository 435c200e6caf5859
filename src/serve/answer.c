/*
 * answer.c - the tasks: what is made of outputs, and how that is written.
 *
 * A classification is for every item a list of the best scores of one output, after the activation that the manifest
 * asks for: label, index, score; of those from the threshold on, where it has one: several or none may be true then.
 *
 * Ranking looks at the scores as they are: every activation keeps their order, and rounding cannot
 * make two of them equal that were not. The softmax's sum is taken in double, from the largest
 * score down, so that nothing overflows. Scores that are NaN count for nothing and come last, as
 * NaN.
 */
#include "serve/answer.h"

#include "base/err.h"
#include "serve/answer_detect.h"
#include "serve/answer_image.h"
#include "serve/answer_keypoints.h"
#include "serve/answer_segment.h"
#include "serve/answer_values.h"
#include "serve/codec.h"

#include <float.h>
#include <math.h>

/* What the activation needs to know of all the scores. */
struct total {
    double largest;
    double sum; /* of exp(score - largest) */
};

static double above(double score, double largest)
{
    return score == largest ? 1 : exp(score - largest); /* inf - inf is no number */
}

static struct total total_of(const float *scores, int64_t n, struct watch *watch)
{
    struct total total = {.largest = -(double)INFINITY};
    for (int64_t i = 0; i < n && watch_spend(watch, 1); i++)
        if ((double)scores[i] > total.largest)
            total.largest = (double)scores[i];
    for (int64_t i = 0; i < n && watch_spend(watch, 1); i++)
        if (!isnan(scores[i]))
            total.sum += above((double)scores[i], total.largest);
    return total;
}

static float activated(float score, enum manifest_activation activation, const struct total *total)
{
    double x = (double)score;
    switch (activation) {
    case ACTIVATION_SOFTMAX:
        return isnan(score) ? score : (float)(above(x, total->largest) / total->sum);
    case ACTIVATION_SIGMOID:
        return (float)(1 / (1 + exp(-x)));
    case ACTIVATION_EXP:
        return (float)exp(x);
    default:
        return score;
    }
}

static bool is_better(float a, float b)
{
    return a > b || (isnan(b) && !isnan(a));
}

int answer_classify(const float *scores, int64_t n, enum manifest_activation activation, int k,
                    const char *const *labels, int n_labels, struct answer_prediction *best, struct watch *watch)
{
    int n_best = 0;
    for (int64_t i = 0; i < n && k > 0 && watch_spend(watch, 1); i++) {
        if (n_best == k && !is_better(scores[i], best[k - 1].score))
            continue;
        int at = n_best < k ? n_best++ : k - 1;
        if (!watch_spend(watch, n_best))
            break;
        for (; at > 0 && is_better(scores[i], best[at - 1].score); at--)
            best[at] = best[at - 1];
        best[at] = (struct answer_prediction){.label = i < n_labels ? labels[i] : NULL, .index = i, .score = scores[i]};
    }
    struct total total = {0};
    if (activation == ACTIVATION_SOFTMAX)
        total = total_of(scores, n, watch);
    for (int i = 0; i < n_best; i++)
        best[i].score = activated(best[i].score, activation, &total);
    return n_best;
}

struct answer_labels answer_labels(const struct job *job, int output)
{
    int n;
    const struct manifest *manifest = job->served->manifest;
    const struct percept_io *io = &served_outputs(job->served, &n)[output];
    bool meant = !manifest->task_output || strcmp(manifest->task_output, io->name) == 0;
    return meant && manifest->n_labels ? (struct answer_labels){manifest->n_labels, manifest->labels}
                                       : (struct answer_labels){io->n_labels, io->labels};
}

/* --- classify ----------------------------------------------------------------------------------------------------- */

/* A manifest that names no output is of a model with one (fit.c). */
int answer_scores(const struct job *job, const struct percept_tensor *results)
{
    const struct manifest *manifest = job->served->manifest;
    int n;
    const struct percept_io *io = served_own_outputs(job->served, &n);
    for (int i = 0; i < job->n_outputs; i++) {
        int index = job->outputs[i].index;
        if (!manifest->task_output || strcmp(io[index].name, manifest->task_output) == 0)
            return results[index].dtype == PERCEPT_FLOAT || results[index].dtype == PERCEPT_DOUBLE ? index : -1;
    }
    return -1;
}

/* Scores of one item as floats: themselves, or narrowed into `room`. */
static const float *item_scores(const struct percept_tensor *tensor, int64_t from, int64_t n, float *room,
                                struct watch *watch)
{
    if (tensor->dtype == PERCEPT_FLOAT)
        return (const float *)tensor->data + from;
    for (int64_t i = 0; i < n && watch_spend(watch, 1); i++)
        room[i] = (float)((const double *)tensor->data)[from + i];
    return room;
}

/* Of k predictions, best first, those from the threshold on. Without one also those that are NaN. */
static int above_threshold(const struct answer_prediction *best, int k, float threshold)
{
    while (k > 0 && threshold > -FLT_MAX && !(best[k - 1].score >= threshold))
        k--;
    return k;
}

/* Classes before the offset are out of the running; the scores of all make probabilities. */
static int classify_item(const struct manifest *manifest, const float *scores, int64_t n, int k,
                         const struct answer_labels *labels, struct answer_prediction *best, struct watch *watch)
{
    const int64_t offset = manifest->class_offset < n ? manifest->class_offset : n;
    const enum manifest_activation activation = manifest->task_activation;
    const bool own = !offset || activation != ACTIVATION_SOFTMAX;
    int n_best = answer_classify(scores + offset, n - offset, own ? activation : ACTIVATION_NONE, k, labels->texts,
                                 labels->n, best, watch);
    if (!own) {
        const struct total total = total_of(scores, n, watch);
        for (int i = 0; i < n_best; i++)
            best[i].score = activated(best[i].score, activation, &total);
    }
    return above_threshold(best, n_best, manifest->threshold);
}

static bool make_classes(struct job *job, const struct percept_tensor *results, const void **made,
                         struct percept_err *err)
{
    const struct manifest *manifest = job->served->manifest;
    int output = answer_scores(job, results);
    const struct percept_tensor *scores = output < 0 ? NULL : &results[output];
    int64_t n, n_items = job->n_items > 0 ? job->n_items : 1;
    if (!scores || !codec_count(scores->rank, scores->dims, &n) || n % n_items != 0)
        return true;
    int64_t each = n / n_items;
    int k = each < manifest->top_k ? (int)each : manifest->top_k;
    struct answer_classes *classes = arena_alloc(job->arena, sizeof *classes);
    struct answer_prediction *best = arena_array(job->arena, (size_t)n_items * (size_t)k + 1, sizeof *best);
    int *n_best = arena_array(job->arena, (size_t)n_items + 1, sizeof *n_best);
    float *room = scores->dtype == PERCEPT_FLOAT ? NULL : arena_array(job->arena, (size_t)each + 1, sizeof *room);
    if (!classes || !best || !n_best || (!room && scores->dtype != PERCEPT_FLOAT))
        return err_memory(err, "predictions", (size_t)n_items * (size_t)k * sizeof *best);
    const struct answer_labels labels = answer_labels(job, output);
    for (int64_t i = 0; i < n_items && watch_spend(&job->watch, 1); i++)
        n_best[i] = classify_item(manifest, item_scores(scores, i * each, each, room, &job->watch), each, k, &labels,
                                  best + i * k, &job->watch);
    *classes = (struct answer_classes){.n_items = n_items, .k = k, .n = n_best, .best = best};
    *made = classes;
    return !watch_over(&job->watch) || watch_refuse(&job->watch, err);
}

static void write_prediction(struct writer *w, const struct answer_prediction *prediction)
{
    writer_put(w, "{");
    if (prediction->label) {
        writer_put(w, "\"label\":");
        writer_string(w, prediction->label);
        writer_put(w, ",");
    }
    writer_put(w, "\"index\":");
    writer_int(w, prediction->index);
    writer_put(w, ",\"score\":");
    writer_float(w, prediction->score);
    writer_put(w, "}");
}

static void write_classes(struct writer *w, const void *made)
{
    const struct answer_classes *classes = made;
    writer_put(w, ",\"predictions\":[");
    for (int64_t i = 0; i < classes->n_items && writer_spend(w, 1); i++) {
        writer_put(w, i ? ",[" : "[");
        for (int p = 0; p < classes->n[i]; p++) {
            if (p)
                writer_put(w, ",");
            write_prediction(w, &classes->best[i * classes->k + p]);
        }
        writer_put(w, "]");
    }
    writer_put(w, "]");
}

/* --- the table ---------------------------------------------------------------------------------------------------- */

static const struct {
    bool (*make)(struct job *job, const struct percept_tensor *results, const void **made, struct percept_err *err);
    void (*write)(struct writer *w, const void *made);
} tasks[] = {
#define T(id, word, fit, make, write) [TASK_##id] = {make, write},
#include "serve/tasks.def"
#undef T
};

bool answer_is_whole(const struct served *served)
{
    const enum manifest_task task = served->manifest->task;
    return task == TASK_DETECT || task == TASK_IMAGE || task == TASK_SEGMENT || task == TASK_KEYPOINTS;
}

bool answer_make(struct job *job, const struct percept_tensor *results, struct answer *answer, struct percept_err *err)
{
    const enum manifest_task task = job->served->manifest->task;
    *answer = (struct answer){.task = TASK_NONE};
    if (!job->predictions)
        return true;
    if (job->masks && !job->served->manifest->detect.prototypes)
        return err_set(err, ERR_INVALID, "model '%s' gives no masks: its manifest names no prototypes; ask without",
                       job->served->name);
    if (!tasks[task].make || (job->stream && !job->n_items && task != TASK_VAD)) /* no window is full */
        return true;
    if (!tasks[task].make(job, results, &answer->made, err))
        return false;
    if (answer->made)
        answer->task = task;
    return true;
}

void answer_write(struct writer *w, const struct answer *answer)
{
    if (tasks[answer->task].write)
        tasks[answer->task].write(w, answer->made);
}
