/*
 * sound_stream.c - see sound_stream.h.
 *
 * The decoder, which runs once the job has its sequence's turn, makes all windows of the piece and writes what is left
 * of it behind the states that the sequence will have (job->sequence.behind). A step reads the states that the one
 * before kept, so two take turns; what they answer is copied behind each other. Behind the last step its states join
 * what is left, and the encoder finds answers of n items. A job without an id has a place of its own for all that.
 *
 * The steps' memory is given back when the last of them is told, which is before the parent ends.
 */
#include "serve/sound_stream.h"

#include "base/err.h"
#include "serve/codec_parts.h"
#include "serve/encoder.h"
#include "serve/lifecycle.h"
#include "serve/sound_rest.h"
#include "serve/states.h"

#include <inttypes.h>

struct sound_step {
    struct job job;
    struct arena arena;
    const struct percept_tensor **sources;
    struct percept_tensor window;
    struct job *parent;
};

struct sound_stream {
    bool start, end;
    const char *before; /* as job->sequence's */
    char *behind;
    struct sound_rest *rest; /* in it */
    struct sound_cut cut;
    const float *windows;
    int64_t stride;            /* elements from one to the next */
    struct percept_tensor one; /* the shape of one */
    int64_t n_heard;           /* windows */
    struct percept_tensor *answers;
    struct sound_step steps[2];
    int turn; /* the last */
};

static void begin(struct job *job);

static const struct states_sound *sound_of(const struct job *job)
{
    return job->served->states && job->served->states->sound.input >= 0 ? &job->served->states->sound : NULL;
}

bool sound_stream_take(struct job *job)
{
    const struct states_sound *sound = sound_of(job);
    if (job->begin)
        return job->begin == begin;
    if (!sound || !job->codec || job->codec->kind != MANIFEST_AUDIO || job->parent ||
        !(job->sequence.asked || job->served->states->n_states))
        return false;
    job->begin = begin;
    job->sequence.at_turn = job->sequence.asked;
    return true;
}

struct speech *sound_stream_speech(const struct job *job, bool *ends)
{
    *ends = job->stream->end;
    return &job->stream->rest->speech;
}

/* --- a piece ------------------------------------------------------------------------------------------------------ */

/* Where what is kept lies before and behind this piece. */
static bool take_places(struct job *job, const struct states_sound *sound, struct percept_err *err)
{
    struct sound_stream *stream = job->stream;
    const bool asked = job->sequence.asked;
    stream->before = asked ? job->sequence.before : NULL;
    stream->behind = asked ? job->sequence.behind : arena_alloc(job->arena, job->served->states->n_bytes);
    if (!stream->behind)
        return err_memory(err, "a sound", job->served->states->n_bytes);
    stream->start = !stream->before;
    stream->end = !asked || job->sequence.end;
    stream->rest = (struct sound_rest *)(void *)(stream->behind + sound->offset);
    if (stream->start)
        memset(stream->rest, 0, sound->n_bytes);
    else
        memcpy(stream->rest, stream->before + sound->offset, sound->n_bytes);
    return sound_rest_is_good(stream->rest, sound->audio) ||
           err_set(err, ERR_INVALID, "the state of the sequence holds no rest of a sound");
}

/* The bytes of frames that are whole, with those of the piece before in front; the rest is kept. */
static bool join_bytes(struct job *job, const struct sound_frame *frame, struct arena *arena, struct bytes *body,
                       struct percept_err *err)
{
    struct sound_rest *rest = job->stream->rest;
    const size_t n_before = (size_t)rest->n_bytes, n = n_before + bytes_size(job->body), over = n % frame->n_bytes;
    uint8_t *all = n_before ? arena_alloc(arena, n + 1) : NULL;
    if (n_before && !all)
        return err_memory(err, "a sound", n);
    if (n_before) {
        memcpy(all, rest->bytes, n_before);
        if (!watch_copy(&job->watch, all + n_before, job->body.at, n - n_before))
            return watch_refuse(&job->watch, err);
    }
    *body = n_before ? bytes_of(all, n - over) : bytes_of(job->body.at, n - over);
    if (over)
        memcpy(rest->bytes, body->end, over);
    rest->n_bytes = (int32_t)over;
    return !over || !job->stream->end ||
           err_set(err, ERR_INVALID, "the sound ends within a frame: of %zu bytes %zu are there", frame->n_bytes, over);
}

/* The bytes that this piece brings for the decoder. */
static bool take_bytes(struct job *job, const struct manifest_audio *audio, struct arena *arena, struct bytes *body,
                       struct percept_err *err)
{
    struct sound_stream *stream = job->stream;
    struct sound_frame frame;
    *body = job->body;
    if (!codec_audio_is_raw(job->codec))
        return !stream->rest->n_bytes ||
               err_set(err, ERR_INVALID, "the piece before this one ended within a frame of samples without a head");
    if (!sound_pcm_frame(job->content_type, &frame, err))
        return false;
    if (stream->rest->type && stream->rest->type != frame.kind)
        return err_set(err, ERR_INVALID, "the pieces before this one had another Content-Type");
    if (frame.rate != audio->rate && !(stream->start && stream->end))
        return err_set(err, ERR_INVALID,
                       "the sound has %" PRId64 " samples a second; pieces must have %d, as the network takes them",
                       frame.rate, audio->rate);
    stream->rest->type = frame.kind;
    return join_bytes(job, &frame, arena, body, err);
}

/* The samples of this piece; a piece without any may say that a sound is over. */
static bool take_samples(struct job *job, const struct manifest_audio *audio, struct arena *arena, struct sound *sound,
                         struct percept_err *err)
{
    struct bytes body;
    *sound = (struct sound){0};
    if (!take_bytes(job, audio, arena, &body, err))
        return false;
    if (!bytes_size(body) && job->sequence.asked && (codec_audio_is_raw(job->codec) || job->stream->end))
        return true;
    if (!codec_audio_read(job, audio, body, arena, sound, err))
        return false;
    return sound->from_rate == audio->rate || (job->stream->start && job->stream->end) ||
           err_set(err, ERR_INVALID,
                   "the sound has %d samples a second; pieces must have %d, as the network takes them",
                   sound->from_rate, audio->rate);
}

static bool refuse_short(const struct job *job, const struct manifest_audio *audio, struct percept_err *err)
{
    return err_set(err, ERR_INVALID,
                   "the sound has %.3f seconds; the network hears %.3f at a time, and its manifest has no 'pad'",
                   (double)job->stream->rest->n_posted / audio->rate, (double)audio->window / audio->rate);
}

static bool cut(struct job *job, const struct states_sound *sound, const float *samples, int64_t n,
                struct percept_err *err)
{
    struct sound_stream *stream = job->stream;
    const struct manifest_audio *audio = sound->audio;
    stream->cut = sound_rest_cut(stream->rest, audio, n, stream->start, stream->end);
    float *row = arena_array(job->arena, (size_t)stream->cut.total + 1, sizeof *row);
    if (!row)
        return err_memory(err, "a sound", (size_t)stream->cut.total * sizeof *row);
    sound_rest_join(stream->rest, &stream->cut, stream->start, samples, audio->range, row);
    sound_rest_keep(stream->rest, audio, &stream->cut, n, stream->start, row, stream->rest);
    if (!stream->cut.n_windows)
        return job->sequence.asked || refuse_short(job, audio, err);
    stream->stride = audio->hop;
    if (!codec_audio_windows(job, sound->input, audio, stream->cut.n_windows, row, &stream->windows, &stream->one, err))
        return false;
    return stream->windows == row || codec_count(stream->one.rank, stream->one.dims, &stream->stride);
}

static void describe(struct job *job, const struct manifest_audio *audio)
{
    const struct sound_stream *stream = job->stream;
    job->predictions = true;
    job->n_items = stream->cut.n_windows;
    job->sound = (struct sound_view){.rate = audio->rate,
                                     .n_samples = stream->rest->n_posted,
                                     .window = audio->window,
                                     .hop = audio->hop,
                                     .first = stream->cut.first,
                                     .n_windows = stream->cut.n_windows,
                                     .piece = !(stream->start && stream->end)};
}

/* The states are not the client's, also where it gave no id. */
static void drop_states(struct job *job)
{
    int n = 0;
    for (int i = 0; i < job->n_outputs; i++)
        if (!states_keep_output(job->served->states, job->outputs[i].index))
            job->outputs[n++] = job->outputs[i];
    job->n_outputs = n;
}

bool sound_stream_decode(struct job *job, struct percept_err *err)
{
    const struct states_sound *sound = sound_of(job);
    struct arena arena = {0};
    struct sound heard;
    if (!sound)
        return err_set(err, ERR_INVALID,
                       "the sequence began with a version of model '%s' that takes no pieces of sound",
                       job->served->name);
    job->stream = arena_alloc(job->arena, sizeof *job->stream);
    if (!job->stream || !codec_begin(job, false, err))
        return err_memory(err, "a sound", sizeof *job->stream);
    drop_states(job);
    const bool ok = take_places(job, sound, err) && take_samples(job, sound->audio, &arena, &heard, err) &&
                    cut(job, sound, heard.samples, heard.n, err);
    arena_free(&arena);
    if (ok)
        describe(job, sound->audio);
    return ok;
}

/* --- its windows -------------------------------------------------------------------------------------------------- */

static void finish(struct job *parent, const struct percept_err *err)
{
    struct sound_stream *stream = parent->stream;
    for (int i = 0; i < 2; i++)
        arena_free(&stream->steps[i].arena);
    if (err && parent->err.code == ERR_NONE)
        parent->err = *err;
    parent->results = parent->err.code == ERR_NONE ? stream->answers : NULL;
    parent->sequence.kept = parent->err.code == ERR_NONE;
    lifecycle_finish(parent);
}

/* Of an output so many windows' answers, like this one's. */
static bool reserve(struct job *parent, int output, const struct percept_tensor *like, struct percept_err *err)
{
    struct percept_tensor *all = &parent->stream->answers[output];
    const int from = like->rank > 0 && like->dims[0] == 1; /* an axis of 1 becomes that of windows */
    int64_t n;
    size_t n_bytes;
    *all = (struct percept_tensor){.dtype = like->dtype, .rank = like->rank - from + 1};
    all->dims[0] = parent->stream->cut.n_windows;
    for (int i = from; i < like->rank; i++)
        all->dims[i - from + 1] = like->dims[i];
    if (like->rank - from + 1 > PERCEPT_RANK_MAX || like->dtype == PERCEPT_STRING)
        return err_set(err, ERR_UNSUPPORTED, "an output of texts, or of too many dimensions, cannot be streamed");
    if (!codec_count(all->rank, all->dims, &n) || !arena_multiply((size_t)n, percept_dtype_bytes(all->dtype), &n_bytes))
        return err_set(err, ERR_TOO_LARGE, "the answers to the sound are too large");
    all->data = arena_alloc(parent->arena, n_bytes + 1);
    return all->data || err_memory(err, "answers to a sound", n_bytes);
}

static bool append(struct job *parent, int output, const struct percept_tensor *answer, struct percept_err *err)
{
    struct sound_stream *stream = parent->stream;
    struct percept_tensor *all = &stream->answers[output];
    int64_t n, n_all;
    if (!stream->n_heard && !reserve(parent, output, answer, err))
        return false;
    if (!codec_count(answer->rank, answer->dims, &n) || !codec_count(all->rank, all->dims, &n_all) ||
        n * stream->cut.n_windows != n_all || answer->dtype != all->dtype)
        return err_set(err, ERR_DATA, "the network answers windows of one size with outputs of several");
    const size_t n_bytes = (size_t)n * percept_dtype_bytes(all->dtype);
    if (n_bytes)
        memcpy((char *)all->data + (size_t)stream->n_heard * n_bytes, answer->data, n_bytes);
    return true;
}

/* The states behind the last window; where there was none, those before. */
static bool keep_states(struct job *parent, const struct percept_tensor *results, struct percept_err *err)
{
    const struct sound_stream *stream = parent->stream;
    const struct states *states = parent->served->states;
    for (int i = 0; i < states->n_states; i++) {
        const struct state *state = &states->states[i];
        const char *from = stream->before ? stream->before + state->offset : state->initial;
        if (results && !states_shaped(state, &results[state->output], err))
            return false;
        if (state->n_bytes)
            memcpy(stream->behind + state->offset, results ? results[state->output].data : from, state->n_bytes);
    }
    return true;
}

static void next_step(struct job *parent);

static void told(struct job *job)
{
    struct sound_step *step = job->user;
    struct job *parent = step->parent;
    struct sound_stream *stream = parent->stream;
    struct percept_err err = job->err;
    for (int i = 0; i < parent->n_outputs && err.code == ERR_NONE; i++)
        append(parent, parent->outputs[i].index, &job->results[parent->outputs[i].index], &err);
    parent->batch_size = job->batch_size;
    stream->n_heard += err.code == ERR_NONE;
    if (err.code == ERR_NONE && stream->n_heard < stream->cut.n_windows)
        next_step(parent);
    else if (err.code == ERR_NONE && keep_states(parent, job->results, &err))
        finish(parent, NULL);
    else
        finish(parent, &err);
}

static bool make_states(struct sound_step *step, const struct sound_step *before, struct percept_err *err)
{
    const struct sound_stream *stream = step->parent->stream;
    const struct states *states = step->job.served->states;
    for (int i = 0; i < states->n_states; i++) {
        const struct state *state = &states->states[i];
        if (stream->n_heard) {
            step->sources[state->input] = &before->job.results[state->output];
            continue;
        }
        struct percept_tensor *first = arena_alloc(&step->arena, sizeof *first);
        if (!first)
            return err_memory(err, "a state", sizeof *first);
        *first = state->shape;
        first->data = (void *)(uintptr_t)(stream->before ? stream->before + state->offset : state->initial);
        step->sources[state->input] = first;
    }
    return true;
}

static void next_step(struct job *parent)
{
    struct sound_stream *stream = parent->stream;
    const struct sound_step *before = &stream->steps[stream->turn];
    struct sound_step *step = &stream->steps[stream->turn ^= 1];
    struct percept_err err = {0};
    int n;
    arena_free(&step->arena); /* of the step before the last */
    served_own_inputs(parent->served, &n);
    *step = (struct sound_step){.parent = parent, .window = stream->one};
    step->window.data = (void *)(uintptr_t)(stream->windows + stream->n_heard * stream->stride); /* is read alone */
    step->sources = arena_array(&step->arena, (size_t)n + 1, sizeof *step->sources);
    step->job = (struct job){.arena = &step->arena,
                             .served = parent->served,
                             .encoder = &encoder_keep,
                             .sources = step->sources,
                             .priority = parent->priority,
                             .done = told,
                             .user = step};
    if (!step->sources || !make_states(step, before, &err)) {
        err_memory(&err, "a step", (size_t)n * sizeof *step->sources);
        finish(parent, &err);
        return;
    }
    step->sources[parent->served->states->sound.input] = &step->window;
    lifecycle_child(parent, &step->job);
}

/* No window is full: the answers are none. */
static void answer_nothing(struct job *job)
{
    int n;
    const struct percept_io *ios = served_outputs(job->served, &n);
    for (int i = 0; i < n; i++) {
        struct percept_tensor *none = &job->stream->answers[i];
        *none = (struct percept_tensor){.dtype = ios[i].dtype, .rank = ios[i].rank > 0 ? ios[i].rank : 1};
        for (int d = 1; d < none->rank; d++)
            none->dims[d] = ios[i].dims[d] > 0 ? ios[i].dims[d] : 0;
        none->data = none;
    }
    struct percept_err err = {0};
    keep_states(job, NULL, &err);
    finish(job, NULL);
}

static void begin(struct job *job)
{
    struct percept_err err = {0};
    int n;
    served_own_outputs(job->served, &n);
    job->stream->answers = arena_array(job->arena, (size_t)n + 1, sizeof *job->stream->answers);
    if (!job->stream->answers) {
        err_memory(&err, "answers to a sound", (size_t)n * sizeof *job->stream->answers);
        finish(job, &err);
    } else if (job->stream->cut.n_windows) {
        next_step(job);
    } else {
        answer_nothing(job);
    }
}
