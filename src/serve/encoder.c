/*
 * encoder.c - which form a reply has, and outputs that stay in the house.
 *
 * Accept is a wish: clients send what their libraries put there ("application/json, text/plain, anything"), and V2 says
 * in the body what it wants. So a row has to be named to be taken, and to fit what was asked. Only a header that leaves
 * nothing to choose refuses (406), and a picture or a text that was asked for and cannot be made of this request.
 *
 * encoder_keep is no row: it is how a job is asked by another one. It copies, because a session's outputs are gone
 * with its next run, and may be views of its inputs; the texts of outputs may lie in the body of whoever asked.
 */
#include "serve/encoder.h"

#include "base/err.h"
#include "serve/accept.h"
#include "serve/codec.h"

#include <stdio.h>
#include <strings.h>

static bool always_long(const struct job *job, const struct percept_tensor *results)
{
    (void)job;
    (void)results;
    return true;
}

static const struct encoder rows[] = {
#define E(id, type, test, long_test, function)                                                                         \
    {.name = #id, .media_type = type, .fits = test, .is_long = long_test, .write = function},
#define M(id, type, model_test, test, function)                                                                        \
    {.name = #id, .media_type = type, .serves = model_test, .fits = test, .is_long = always_long, .write = function},
#include "serve/encoders.def"
#undef E
};

#define LONG_CODED_BYTES 8192 /* of elements, to be compressed: half a millisecond where they become digits */

#define N_ROWS ((int)(sizeof rows / sizeof *rows))

const struct encoder *encoder_v1(void)
{
    int i = 0;
    while (rows[i].write != encoder_v1_write)
        i++;
    return &rows[i];
}

const struct encoder *encoder_row(int i)
{
    return i >= 0 && i < N_ROWS ? &rows[i] : NULL;
}

/* --- Accept ------------------------------------------------------------------------------------------------------- */

static bool serves(const struct encoder *encoder, const struct served *served)
{
    return !encoder->serves || (served && encoder->serves(served));
}

/* "image" of "image" and "*", where the row's type begins with it; only of forms that not every model has. */
static bool is_kind(struct bytes range, const struct encoder *row)
{
    const size_t n = bytes_size(range);
    return row->serves && n > 2 && memcmp(range.end - 2, "/*", 2) == 0 &&
           strncasecmp((const char *)range.at, row->media_type, n - 1) == 0;
}

static const struct encoder *row_of(const struct served *served, struct bytes type)
{
    for (int i = 0; i < N_ROWS; i++) {
        bool named = bytes_size(type) == strlen(rows[i].media_type) &&
                     strncasecmp((const char *)type.at, rows[i].media_type, bytes_size(type)) == 0;
        if ((named || is_kind(type, &rows[i])) && serves(&rows[i], served))
            return &rows[i];
    }
    return NULL;
}

const struct encoder *encoder_find(const struct served *served, struct bytes accept)
{
    const struct encoder *best = NULL;
    int best_weight = 0; /* q=0 is a refusal */
    struct accept_range range;
    while (accept_next(&accept, &range)) {
        const struct encoder *row = row_of(served, range.name);
        if (row && range.weight > best_weight) {
            best = row;
            best_weight = range.weight;
        }
    }
    return best;
}

/* Does a range without a row of its own take one? Wildcards of what every reply may be do, and pages: browsers ask for
 * one whatever they are about to get. */
static bool takes_any(struct bytes range)
{
    return bytes_is(range, "*/*") || bytes_is(range, "*") || bytes_is(range, "application/*") ||
           bytes_is(range, "text/html");
}

bool encoder_accept(const struct served *served, struct bytes accept, struct percept_err *err)
{
    bool named = false;
    for (struct accept_range range; accept_next(&accept, &range);) {
        if (range.weight > 0 && (takes_any(range.name) || row_of(served, range.name)))
            return true;
        named |= memchr(range.name.at, '/', bytes_size(range.name)) != NULL && range.weight > 0;
    }
    if (!named)
        return true;
    char list[200] = "";
    for (int i = 0, used = 0; i < N_ROWS && used < (int)sizeof list; i++)
        if (serves(&rows[i], served) && rows[i].write != encoder_v1_write)
            used += snprintf(list + used, sizeof list - (size_t)used, "%s%s", used ? ", " : "", rows[i].media_type);
    return err_set(err, ERR_NOT_ACCEPTABLE, "Accept names nothing that a reply of model '%s' can be; it can be %s",
                   served->name, list);
}

/* --- the choice --------------------------------------------------------------------------------------------------- */

static bool fits(const struct encoder *encoder, const struct job *job)
{
    return !encoder->fits || encoder->fits(job);
}

static const struct encoder *choose(const struct job *job)
{
    if (job->encoder && fits(job->encoder, job))
        return job->encoder;
    int i = 0;
    while (i < N_ROWS - 1 && !fits(&rows[i], job))
        i++;
    return &rows[i];
}

/* --- keeping ------------------------------------------------------------------------------------------------------ */

static bool copy_bytes(struct job *job, const void *from, size_t n_bytes, void **to, struct percept_err *err)
{
    *to = arena_alloc(job->arena, n_bytes ? n_bytes : 1);
    if (!*to)
        return err_memory(err, "an output", n_bytes);
    return !n_bytes || watch_copy(&job->watch, *to, from, n_bytes) || watch_refuse(&job->watch, err);
}

/* The texts behind each other in a copy of their own. */
static bool copy_texts(struct job *job, struct percept_string *strings, int64_t n, struct percept_err *err)
{
    size_t n_bytes = 0;
    for (int64_t i = 0; i < n; i++)
        n_bytes += strings[i].n_bytes;
    char *to = arena_alloc(job->arena, n_bytes ? n_bytes : 1);
    if (!to)
        return err_memory(err, "an output's texts", n_bytes);
    for (int64_t i = 0; i < n; i++) {
        if (!watch_spend(&job->watch, 1) || !watch_copy(&job->watch, to, strings[i].at, strings[i].n_bytes))
            return watch_refuse(&job->watch, err);
        strings[i].at = to;
        to += strings[i].n_bytes;
    }
    return true;
}

static bool copy(struct job *job, const struct percept_tensor *from, struct percept_tensor *to, struct percept_err *err)
{
    int64_t n;
    size_t n_bytes;
    if (!codec_count(from->rank, from->dims, &n) ||
        !arena_multiply((size_t)n, percept_dtype_bytes(from->dtype), &n_bytes))
        return err_set(err, ERR_INTERNAL, "an output is too large to be kept");
    *to = *from;
    return copy_bytes(job, from->data, n_bytes, &to->data, err) &&
           (from->dtype != PERCEPT_STRING || copy_texts(job, to->data, n, err));
}

static bool keep(struct job *job, const struct percept_tensor *results, struct percept_err *err)
{
    int n;
    served_own_outputs(job->served, &n);
    struct percept_tensor *kept = arena_array(job->arena, (size_t)n + 1, sizeof *kept);
    if (!kept)
        return err_memory(err, "a list of outputs", (size_t)n * sizeof *kept);
    for (int i = 0; i < job->n_outputs; i++) {
        int index = job->outputs[i].index;
        if (!copy(job, &results[index], &kept[index], err))
            return false;
    }
    job->results = kept;
    return true;
}

const struct encoder encoder_keep = {.name = "keep", .write = keep};

/* --- writing ------------------------------------------------------------------------------------------------------ */

/* As its client prefers, where it pays. */
static void compress(struct job *job)
{
    struct bytes deflated;
    if (coding_deflate(job->reply_coding, job->reply, job->arena, &job->watch, &deflated))
        job->reply = deflated;
    else
        job->reply_coding = CODING_IDENTITY;
}

static void write_by(const struct encoder *encoder, struct job *job, const struct percept_tensor *results,
                     int64_t (*now_ns)(void))
{
    if (loop_flag_raised(&job->cancelled)) {
        job_give_up(job);
        return;
    }
    int64_t from_ns = now_ns();
    job->watch.left = WATCH_STRIDE; /* a small answer that is there is given, if late */
    if (!encoder->write(job, results, &job->err) && job->err.code == ERR_NONE)
        err_set(&job->err, ERR_INTERNAL, "the reply could not be written");
    if (job->err.code != ERR_NONE && watch_over(&job->watch))
        watch_refuse(&job->watch, &job->err);
    if (job->err.code == ERR_NONE && encoder != &encoder_keep)
        compress(job);
    job->encode_ns += now_ns() - from_ns;
}

/* Of the outputs asked for, as they are. */
static size_t wanted_bytes(const struct job *job, const struct percept_tensor *results)
{
    size_t n_bytes = 0;
    for (int i = 0; i < job->n_outputs; i++) {
        const struct percept_tensor *tensor = &results[job->outputs[i].index];
        int64_t n;
        if (codec_count(tensor->rank, tensor->dims, &n) && !job->outputs[i].classification && !job->outputs[i].memory)
            n_bytes += (size_t)n * percept_dtype_bytes(tensor->dtype);
    }
    return n_bytes;
}

bool encoder_is_long(const struct job *job, const struct percept_tensor *results)
{
    const struct encoder *encoder = choose(job);
    return (encoder->is_long && encoder->is_long(job, results)) ||
           (job->reply_coding != CODING_IDENTITY && encoder != &encoder_keep &&
            wanted_bytes(job, results) > LONG_CODED_BYTES);
}

void encoder_put_off(struct job *job, const struct percept_tensor *results, int64_t (*now_ns)(void))
{
    write_by(&encoder_keep, job, results, now_ns);
}

/* What only Accept asks for is not replaced by something else. */
static bool can_be_made(struct job *job)
{
    const struct encoder *encoder = job->encoder;
    if (!encoder || !encoder->serves || fits(encoder, job))
        return true;
    return err_set(&job->err, ERR_NOT_ACCEPTABLE,
                   "the reply to this request cannot be %s, which Accept names: it is made of what the task makes "
                   "of one posted item; application/json can be",
                   encoder->media_type);
}

void encoder_write(struct job *job, const struct percept_tensor *results, int64_t (*now_ns)(void))
{
    if (!can_be_made(job))
        return;
    job->encoder = choose(job);
    write_by(job->encoder, job, results, now_ns);
}
