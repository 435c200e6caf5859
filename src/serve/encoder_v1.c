/*
 * encoder_v1.c - a job's rows of the outputs -> the reply of a V1 predict request.
 *
 *     {"predictions": [VALUE, ...]}                  to instances: a row for each, of the only output
 *     {"predictions": [{"y": VALUE, "z": VALUE}]}    of several
 *     {"outputs": VALUE}                             to inputs: a whole tensor
 *     {"outputs": {"y": VALUE, "z": VALUE}}          several
 *
 * A VALUE is nested as the tensor's axes are. Texts are strings; those of an output whose name ends in "_bytes" are
 * {"b64": "..."}, as TensorFlow Serving has it. Runs on any thread; touches its job alone.
 */
#include "base/base64.h"
#include "base/err.h"
#include "serve/codec.h"
#include "serve/encoder.h"
#include "serve/encoder_elements.h"

#include <stdio.h>

#define EMPTY_MAX 65536 /* lists without elements in a reply */

/* An output while it is being written. */
struct shown {
    const char *name;
    struct percept_tensor tensor;
    bool base64;
    int64_t at; /* the next element */
};

/* --- values ------------------------------------------------------------------------------------------------------- */

#define PIECE ((size_t)3 << 14) /* bytes between two looks at the watch; whole groups */

static void put_base64(struct writer *w, struct bytes bytes)
{
    writer_put(w, "{\"b64\":\"");
    while (bytes_size(bytes)) {
        size_t n = bytes_size(bytes) < PIECE ? bytes_size(bytes) : PIECE;
        char *to = writer_spend(w, (int64_t)n) ? writer_reserve(w, BASE64_WRITE_MAX(n)) : NULL;
        if (!to)
            return;
        w->used += base64_write(to, bytes_of(bytes.at, n));
        bytes.at += n;
    }
    writer_put(w, "\"}");
}

static void put_elements(struct writer *w, struct shown *shown, int64_t n)
{
    const struct percept_string *strings = shown->tensor.data;
    if (!shown->base64)
        encoder_elements_put(w, &shown->tensor, shown->at, n);
    for (int64_t i = 0; shown->base64 && i < n && writer_spend(w, 1); i++) {
        if (i)
            writer_put(w, ",");
        put_base64(w, bytes_of(strings[shown->at + i].at, strings[shown->at + i].n_bytes));
    }
    shown->at += n;
}

/* From `axis` on. */
static void put_value(struct writer *w, struct shown *shown, int axis)
{
    const struct percept_tensor *tensor = &shown->tensor;
    if (axis >= tensor->rank) {
        put_elements(w, shown, 1);
        return;
    }
    writer_put(w, "[");
    if (axis == tensor->rank - 1)
        put_elements(w, shown, tensor->dims[axis]);
    for (int64_t i = 0; axis < tensor->rank - 1 && i < tensor->dims[axis] && writer_spend(w, 1); i++) {
        if (i)
            writer_put(w, ",");
        put_value(w, shown, axis + 1);
    }
    writer_put(w, "]");
}

/* The name is left out where there is one alone. */
static void put_all(struct writer *w, struct shown *shown, int n, int axis)
{
    for (int i = 0; i < n; i++) {
        if (n > 1) {
            writer_put(w, i ? "," : "{");
            writer_string(w, shown[i].name);
            writer_put(w, ":");
        }
        put_value(w, &shown[i], axis);
    }
    if (n > 1)
        writer_put(w, "}");
}

/* --- the reply ---------------------------------------------------------------------------------------------------- */

static bool is_base64(const char *name, enum percept_dtype dtype)
{
    static const char end[] = "_bytes";
    size_t n = strlen(name), n_end = sizeof end - 1;
    return dtype == PERCEPT_STRING && n >= n_end && strcmp(name + n - n_end, end) == 0;
}

/* A tensor without elements may have any number of lists. */
static bool too_many_lists(const struct percept_tensor *tensor)
{
    int64_t n = 1;
    for (int i = 0; i < tensor->rank && tensor->dims[i]; i++)
        if (__builtin_mul_overflow(n, tensor->dims[i], &n))
            return true;
    int64_t n_elements;
    return codec_count(tensor->rank, tensor->dims, &n_elements) && !n_elements && n > EMPTY_MAX;
}

static bool show(const struct job *job, int index, const struct percept_tensor *result, struct shown *shown,
                 struct percept_err *err)
{
    int n;
    const char *name = served_own_outputs(job->served, &n)[index].name;
    *shown = (struct shown){.name = name, .tensor = *result, .base64 = is_base64(name, result->dtype)};
    if (result->dtype == PERCEPT_FLOAT16 || result->dtype == PERCEPT_BFLOAT16 || !codec_datatype(result->dtype))
        return err_set(err, ERR_INVALID,
                       "sending %s data via JSON is not supported. Please use the binary data format of V2 for "
                       "output %s",
                       percept_dtype_name(result->dtype), name);
    if (job->n_rows && (result->rank < 1 || result->dims[0] != job->n_rows))
        return err_set(err, ERR_INVALID,
                       "output '%s' of model '%s' has no row for each of %lld instances; send whole tensors as "
                       "'inputs'",
                       name, job->served->name, (long long)job->n_rows);
    if (too_many_lists(result))
        return err_set(err, ERR_INVALID, "output '%s' has more than %d empty lists", name, EMPTY_MAX);
    return true;
}

/* A float32 takes 10 or 11 bytes with its comma. */
static size_t estimate(const struct shown *shown, int n)
{
    size_t n_bytes = 1024;
    for (int i = 0; i < n; i++) {
        int64_t n_elements = 0;
        codec_count(shown[i].tensor.rank, shown[i].tensor.dims, &n_elements);
        n_bytes += (size_t)n_elements * 13;
    }
    return n_bytes;
}

static void put_reply(struct writer *w, const struct job *job, struct shown *shown)
{
    writer_put(w, job->n_rows ? "{\"predictions\":[" : "{\"outputs\":");
    for (int64_t i = 0; i < job->n_rows && writer_spend(w, 1); i++) {
        writer_put(w, i ? "," : "");
        put_all(w, shown, job->n_outputs, 1);
    }
    if (!job->n_rows)
        put_all(w, shown, job->n_outputs, 0);
    writer_put(w, job->n_rows ? "]}\n" : "}\n");
}

bool encoder_v1_fits(const struct job *job)
{
    return job->codec == codec_v1();
}

bool encoder_v1_write(struct job *job, const struct percept_tensor *results, struct percept_err *err)
{
    struct shown *shown = arena_array(job->arena, (size_t)job->n_outputs + 1, sizeof *shown);
    if (!shown)
        return err_memory(err, "a reply", (size_t)job->n_outputs * sizeof *shown);
    for (int i = 0; i < job->n_outputs; i++)
        if (!show(job, job->outputs[i].index, &results[job->outputs[i].index], &shown[i], err))
            return false;
    struct writer w = {.arena = job->arena, .room = estimate(shown, job->n_outputs), .watch = &job->watch};
    w.at = arena_alloc(w.arena, w.room);
    w.failed = !w.at;
    put_reply(&w, job, shown);
    if (w.failed && watch_over(w.watch))
        return watch_refuse(w.watch, err);
    if (w.failed)
        return err_memory(err, "a reply", w.room * 2);
    job->reply = bytes_of(w.at, w.used);
    job->reply_json_bytes = -1;
    return true;
}
