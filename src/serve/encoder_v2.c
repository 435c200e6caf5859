/*
 * encoder_v2.c - a job's rows of the outputs -> the bytes of its reply: compact JSON, then the
 * outputs that were asked for as bytes. Every codec's reply is made here.
 *
 * Numbers, texts and bytes are written as long as somebody waits for them (the job's watch).
 *
 * The size is estimated once from the numbers of elements; the writer's buffer grows where that was too little. Floats
 * are written with the fewest digits that read back the same. NaN and Infinity are written as such, as V2's servers do:
 * JSON has no word for them.
 *
 * What the manifest's task makes of the outputs (answer.h) follows "outputs". V2's classification extension is here.
 */
#include "base/err.h"
#include "serve/answer.h"
#include "serve/codec_parts.h"
#include "serve/encoder.h"
#include "serve/encoder_elements.h"
#include "serve/writer.h"

#include <math.h>
#include <stdio.h>

#define LONG_BYTES 65536           /* of elements that become digits: half a millisecond of them */
#define CLASSIFICATION_MAX 1000000 /* elements of an output to be classified */

/* --- V2's classification extension -------------------------------------------------------------------------------- */

static double rank_value(const struct percept_tensor *tensor, int64_t i)
{
    switch (tensor->dtype) {
    case PERCEPT_FLOAT:
        return (double)((const float *)tensor->data)[i];
    case PERCEPT_DOUBLE:
        return ((const double *)tensor->data)[i];
    case PERCEPT_UINT64:
        return (double)((const uint64_t *)tensor->data)[i];
    default:
        return (double)encoder_elements_int(tensor, i);
    }
}

struct ranked {
    double value;
    int64_t index;
};

/* Best first; NaN last; equal ones by index. */
static bool is_before(struct ranked x, struct ranked y)
{
    bool x_nan = isnan(x.value), y_nan = isnan(y.value);
    if (x_nan != y_nan)
        return y_nan;
    if (!x_nan && x.value != y.value)
        return x.value > y.value;
    return x.index < y.index;
}

/* A heap of n with its last on top, but for element i. */
static void sift(struct ranked *heap, int64_t n, int64_t i)
{
    for (int64_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && is_before(heap[child], heap[child + 1]))
            child++;
        if (!is_before(heap[i], heap[child]))
            return;
        struct ranked swapped = heap[i];
        heap[i] = heap[child];
        heap[child] = swapped;
    }
}

#define SIFT_UNITS 128 /* in watch_spend's units, where the heap does not fit the caches */

/* The k > 0 best of n elements from `from` on, best first: through a heap of k. */
static bool rank_best(const struct percept_tensor *tensor, int64_t from, int64_t n, struct ranked *heap, int64_t k,
                      struct watch *watch)
{
    for (int64_t i = 0; i < k; i++)
        heap[i] = (struct ranked){rank_value(tensor, from + i), i};
    for (int64_t i = k / 2; i-- > 0;) {
        if (!watch_spend(watch, SIFT_UNITS))
            return false;
        sift(heap, k, i);
    }
    for (int64_t i = k; i < n; i++) {
        struct ranked next = {rank_value(tensor, from + i), i};
        bool better = is_before(next, heap[0]);
        if (!watch_spend(watch, better ? SIFT_UNITS : 1))
            return false;
        if (!better)
            continue;
        heap[0] = next;
        sift(heap, k, 0);
    }
    for (int64_t i = k - 1; i > 0; i--) {
        if (!watch_spend(watch, SIFT_UNITS))
            return false;
        struct ranked last = heap[0];
        heap[0] = heap[i];
        heap[i] = last;
        sift(heap, i, 0);
    }
    return true;
}

/* "0.900000:3:three" */
static bool class_text(struct arena *arena, const struct percept_tensor *tensor, int64_t at, int64_t index,
                       const char *label, struct percept_string *to)
{
    char value[400]; /* %f of the largest double has 317 */
    size_t n;
    if (encoder_elements_whole(tensor->dtype))
        n = encoder_elements_one(value, tensor, at);
    else
        n = (size_t)snprintf(value, sizeof value, "%f", rank_value(tensor, at));
    char *text =
        arena_printf(arena, "%.*s:%lld%s%s", (int)n, value, (long long)index, label ? ":" : "", label ? label : "");
    if (!text)
        return false;
    *to = (struct percept_string){.at = text, .n_bytes = strlen(text)};
    return true;
}

/* -1: the job's model has none. */
static int batch_axis_of(const struct job *job, int output)
{
    int n;
    return served_has_batch(job->served) ? served_outputs(job->served, &n)[output].batch_axis : -1;
}

/* Where the batch is not in front: a copy with what is each item's together, [n, ...]. False when memory is short or
 * nobody waits any more. */
static bool items_first(struct job *job, struct percept_tensor *tensor, int axis)
{
    size_t outer = 1, inner = percept_dtype_bytes(tensor->dtype);
    for (int d = 0; d < tensor->rank; d++)
        *(d < axis ? &outer : &inner) *= d == axis ? 1 : (size_t)tensor->dims[d];
    const size_t n = (size_t)tensor->dims[axis];
    const char *from = tensor->data;
    char *to = arena_alloc(job->arena, outer * n * inner + 1);
    for (size_t o = 0; to && o < outer; o++)
        for (size_t i = 0; i < n; i++, from += inner)
            if (!watch_copy(&job->watch, to + (i * outer + o) * inner, from, inner))
                return false;
    tensor->data = to;
    return to != NULL;
}

/* The output's best classes as a tensor of BYTES, instead of the output. */
static bool classified(struct job *job, const struct job_output *output, const char *name,
                       struct percept_tensor *tensor, struct percept_err *err)
{
    int64_t n;
    if (!encoder_elements_whole(tensor->dtype) && tensor->dtype != PERCEPT_FLOAT && tensor->dtype != PERCEPT_DOUBLE)
        return err_set(err, ERR_INVALID, "output '%s': classification needs whole numbers, FP32 or FP64, this is %s",
                       name, codec_datatype(tensor->dtype));
    if (!codec_count(tensor->rank, tensor->dims, &n) || n > CLASSIFICATION_MAX)
        return err_set(err, ERR_INVALID, "output '%s': classification takes at most %d elements", name,
                       CLASSIFICATION_MAX);
    const int axis = batch_axis_of(job, output->index);
    int64_t n_rows = axis >= 0 && axis < tensor->rank ? tensor->dims[axis] : 1;
    if (n_rows > 1 && axis > 0 && !items_first(job, tensor, axis))
        return watch_over(&job->watch) ? watch_refuse(&job->watch, err) : err_memory(err, name, (size_t)n);
    int64_t each = n_rows ? n / n_rows : 0;
    int64_t k = output->classification < each ? output->classification : each;
    struct percept_tensor best = {.dtype = PERCEPT_STRING, .dims = {k}, .rank = 1};
    if (served_has_batch(job->served))
        best = (struct percept_tensor){.dtype = PERCEPT_STRING, .dims = {n_rows, k}, .rank = 2};
    struct percept_string *strings = arena_array(job->arena, (size_t)(n_rows * k) + 1, sizeof *strings);
    struct ranked *ranks = arena_array(job->arena, (size_t)k + 1, sizeof *ranks);
    bool room = strings && ranks;
    const struct answer_labels labels = answer_labels(job, output->index);
    for (int64_t row = 0; room && k && row < n_rows; row++) {
        if (!rank_best(tensor, row * each, each, ranks, k, &job->watch))
            return watch_refuse(&job->watch, err);
        for (int64_t i = 0; room && i < k; i++) {
            if (!watch_spend(&job->watch, SIFT_UNITS))
                return watch_refuse(&job->watch, err);
            room = class_text(job->arena, tensor, row * each + ranks[i].index, ranks[i].index,
                              ranks[i].index < labels.n ? labels.texts[ranks[i].index] : NULL, &strings[row * k + i]);
        }
    }
    if (!room)
        return err_memory(err, "classes of an output", (size_t)n * sizeof *ranks);
    best.data = strings;
    *tensor = best;
    return true;
}

/* --- the reply ---------------------------------------------------------------------------------------------------- */

/* The outputs asked for, classified where that was asked for, and their sizes as bytes. */
struct shown {
    const char *name;
    struct percept_tensor tensor;
    bool binary, elsewhere; /* behind the JSON; in shared memory */
    size_t n_bytes;
};

static void put_output(struct writer *w, const struct shown *shown)
{
    const struct percept_tensor *tensor = &shown->tensor;
    writer_put(w, "{\"name\":");
    writer_string(w, shown->name);
    writer_put(w, ",\"datatype\":\"");
    writer_put(w, codec_datatype(tensor->dtype));
    writer_put(w, "\",\"shape\":[");
    for (int i = 0; i < tensor->rank; i++) {
        if (i)
            writer_put(w, ",");
        writer_int(w, tensor->dims[i]);
    }
    if (shown->elsewhere) {
        writer_put(w, "]}");
        return;
    }
    if (shown->binary) {
        writer_put(w, "],\"parameters\":{\"binary_data_size\":");
        writer_int(w, (int64_t)shown->n_bytes);
        writer_put(w, "}}");
        return;
    }
    int64_t n = 0;
    codec_count(tensor->rank, tensor->dims, &n);
    writer_put(w, "],\"data\":[");
    encoder_elements_put(w, tensor, 0, n);
    writer_put(w, "]}");
}

static bool show(struct job *job, const struct job_output *output, const struct percept_tensor *results,
                 struct shown *shown, struct percept_err *err)
{
    int n;
    const char *name = served_own_outputs(job->served, &n)[output->index].name;
    *shown = (struct shown){
        .name = name, .tensor = results[output->index], .binary = output->binary, .elsewhere = output->memory != NULL};
    if (output->classification > 0 && !classified(job, output, name, &shown->tensor, err))
        return false;
    enum percept_dtype dtype = shown->tensor.dtype;
    if (!codec_datatype(dtype))
        return err_set(err, ERR_UNSUPPORTED, "output '%s': V2 has no datatype for it", name);
    if (!output->binary && !output->memory && (dtype == PERCEPT_FLOAT16 || dtype == PERCEPT_BFLOAT16))
        return err_set(err, ERR_INVALID,
                       "sending %s data via JSON is not supported. Please use the binary data format "
                       "for output %s",
                       codec_datatype(dtype), name);
    if (!codec_binary_size(&shown->tensor, &shown->n_bytes))
        return err_set(err, ERR_INTERNAL, "output '%s' is too large for a reply", name);
    return !output->memory || codec_memory_write(job, output, name, &shown->tensor, shown->n_bytes, err);
}

static size_t estimate(const struct shown *shown, int n)
{
    size_t n_bytes = 4096;
    for (int i = 0; i < n; i++) {
        size_t each = percept_dtype_bytes(shown[i].tensor.dtype);
        bool text = shown[i].tensor.dtype == PERCEPT_STRING;
        n_bytes += 128 + strlen(shown[i].name);
        if (shown[i].elsewhere)
            continue;
        /* A float32 takes 10 or 11 bytes with its comma, other types about 3 for each of their own.
         */
        n_bytes += shown[i].binary || text ? shown[i].n_bytes + shown[i].n_bytes / 8
                                           : shown[i].n_bytes / (each ? each : 1) * (3 * each + 1);
    }
    return n_bytes;
}

static void put_head(struct writer *w, const struct job *job)
{
    writer_put(w, "{");
    if (job->has_id) {
        writer_put(w, "\"id\":");
        writer_text(w, job->id);
        writer_put(w, ",");
    }
    writer_put(w, "\"model_name\":");
    writer_string(w, job->served->name);
    writer_put(w, ",\"model_version\":\"");
    writer_int(w, job->served->version);
    writer_put(w, "\",\"outputs\":[");
}

static void put_tail(struct writer *w, const struct shown *shown, int n)
{
    for (int i = 0; i < n; i++) {
        char *to = shown[i].binary ? writer_reserve(w, shown[i].n_bytes) : NULL;
        if (!to)
            continue;
        w->failed |= !codec_binary_write((uint8_t *)to, &shown[i].tensor, w->watch);
        w->used += shown[i].n_bytes;
    }
}

/* Where the items lie in the sound that was posted, in seconds. */
static void put_windows(struct writer *w, const struct sound_view *view)
{
    for (int64_t i = 0; i < view->n_windows && writer_spend(w, 2); i++) {
        const int64_t from = view->first + i * view->hop, to = from + view->window;
        writer_put(w, i ? ",{\"start\":" : ",\"windows\":[{\"start\":");
        writer_float(w, (float)((double)(from > 0 ? from : 0) / view->rate));
        writer_put(w, ",\"end\":");
        writer_float(w, (float)((double)(to < view->n_samples ? to : view->n_samples) / view->rate));
        writer_put(w, "}");
    }
    if (view->n_windows)
        writer_put(w, "]");
}

bool encoder_v2_some_binary(const struct job *job)
{
    for (int i = 0; i < job->n_outputs; i++)
        if (job->outputs[i].binary)
            return true;
    return false;
}

bool encoder_v2_all_json(const struct job *job)
{
    return !encoder_v2_some_binary(job);
}

bool encoder_v2_is_long(const struct job *job, const struct percept_tensor *results)
{
    size_t n_bytes = 0;
    for (int i = 0; i < job->n_outputs; i++) {
        const struct percept_tensor *tensor = &results[job->outputs[i].index];
        int64_t n;
        if (job->outputs[i].binary || job->outputs[i].classification > 0 || job->outputs[i].memory)
            continue;
        if (!codec_count(tensor->rank, tensor->dims, &n))
            return false; /* it will be refused */
        n_bytes += (size_t)n * percept_dtype_bytes(tensor->dtype);
    }
    return n_bytes > LONG_BYTES || (job->masks && job->predictions);
}

bool encoder_v2_write(struct job *job, const struct percept_tensor *results, struct percept_err *err)
{
    const int n = job->outputs_hidden ? 0 : job->n_outputs;
    struct shown *shown = arena_array(job->arena, (size_t)n + 1, sizeof *shown);
    if (!shown)
        return err_memory(err, "a reply", (size_t)n * sizeof *shown);
    bool binary = false;
    for (int i = 0; i < n; i++) {
        if (!show(job, &job->outputs[i], results, &shown[i], err))
            return false;
        binary |= shown[i].binary;
    }
    struct answer answer;
    if (!answer_make(job, results, &answer, err))
        return false;
    struct writer w = {.arena = job->arena, .room = estimate(shown, n), .watch = &job->watch};
    w.at = arena_alloc(w.arena, w.room);
    w.failed = !w.at;
    put_head(&w, job);
    for (int i = 0; i < n; i++) {
        if (i)
            writer_put(&w, ",");
        put_output(&w, &shown[i]);
    }
    writer_put(&w, "]");
    answer_write(&w, &answer);
    put_windows(&w, &job->sound);
    writer_put(&w, binary ? "}" : "}\n"); /* for terminals */
    size_t json_bytes = w.used;
    put_tail(&w, shown, n);
    if (w.failed && watch_over(w.watch))
        return watch_refuse(w.watch, err);
    if (w.failed)
        return err_memory(err, "a reply", w.room * 2);
    job->reply = bytes_of(w.at, w.used);
    job->reply_json_bytes = binary ? (int64_t)json_bytes : -1;
    return true;
}
