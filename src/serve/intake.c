/*
 * intake.c - see intake.h. One text is one item. Texts of equal length share batches; with a `multiple_of` and a mask
 * more do, since pads are then part of what a text is.
 */
#include "serve/intake.h"

#include "base/err.h"
#include "serve/codec_parts.h"
#include "serve/encoder.h"
#include "serve/lifecycle.h"

static void store(const struct percept_tensor *tensor, int64_t at, int64_t value)
{
    switch (tensor->dtype) {
    case PERCEPT_INT64:
        ((int64_t *)tensor->data)[at] = value;
        return;
    case PERCEPT_INT32:
        ((int32_t *)tensor->data)[at] = (int32_t)value;
        return;
    case PERCEPT_FLOAT:
        ((float *)tensor->data)[at] = (float)value;
        return;
    default:
        ((uint8_t *)tensor->data)[at] = value != 0;
    }
}

/* Of the model's encoder, whose text this is. */
static const struct manifest_text *text_of(const struct companion *companion)
{
    int n;
    const struct percept_io *ios = served_inputs(&companion->served, &n);
    return &manifest_input(companion->served.manifest, ios[companion->text].name)->text;
}

static int64_t id_at(const struct percept_tensor *ids, int64_t at)
{
    return ids->dtype == PERCEPT_INT64   ? ((const int64_t *)ids->data)[at]
           : ids->dtype == PERCEPT_INT32 ? ((const int32_t *)ids->data)[at]
                                         : ((const uint8_t *)ids->data)[at];
}

/* A tensor of one item for an input; `like` has the shape, or NULL: one number. */
static struct percept_tensor *make(struct job *parent, const struct percept_io *io, const struct percept_tensor *like,
                                   int64_t n, struct percept_err *err)
{
    struct percept_tensor *tensor = arena_alloc(parent->arena, sizeof *tensor);
    void *data = arena_array(parent->arena, (size_t)n + 1, percept_dtype_bytes(io->dtype));
    if (!tensor || !data) {
        err_memory(err, "an encoder's input", (size_t)n * percept_dtype_bytes(io->dtype));
        return NULL;
    }
    *tensor = (struct percept_tensor){.dtype = io->dtype, .rank = like ? like->rank : io->rank, .data = data};
    for (int i = 0; i < tensor->rank; i++)
        tensor->dims[i] = like ? like->dims[i] : 1;
    return tensor;
}

static bool count(struct job *parent, struct intake *intake, const struct percept_tensor *ids, struct percept_err *err)
{
    const struct companion *companion = parent->served->companion;
    const int64_t pad = text_of(companion)->pad;
    int n_inputs;
    int64_t n;
    const struct percept_io *ios = served_inputs(&companion->served, &n_inputs);
    if (!codec_count(ids->rank, ids->dims, &n) || !watch_spend(&parent->watch, 2 * n))
        return watch_refuse(&parent->watch, err);
    intake->n_tokens = n;
    while (pad >= 0 && intake->n_tokens > 0 && id_at(ids, intake->n_tokens - 1) == pad)
        intake->n_tokens--;
    if (companion->lengths >= 0) {
        struct percept_tensor *lengths = make(parent, &ios[companion->lengths], NULL, 1, err);
        if (!lengths)
            return false;
        store(lengths, 0, intake->n_tokens);
        intake->sources[companion->lengths] = lengths;
    }
    if (companion->mask >= 0) {
        struct percept_tensor *mask = make(parent, &ios[companion->mask], ids, n, err);
        if (!mask)
            return false;
        for (int64_t i = 0; i < intake->n_tokens; i++)
            store(mask, i, 1);
        intake->sources[companion->mask] = mask;
    }
    return true;
}

struct intake *intake_cut(struct job *parent, struct bytes text, struct percept_err *err)
{
    struct companion *companion = parent->served->companion;
    struct intake *intake = arena_alloc(parent->arena, sizeof *intake);
    int n;
    served_inputs(&companion->served, &n);
    const struct percept_tensor **sources = arena_array(parent->arena, (size_t)n + 1, sizeof *sources);
    struct job *draft = arena_alloc(parent->arena, sizeof *draft);
    if (!intake || !sources || !draft) {
        err_memory(err, "an encoder's inputs", (size_t)n * sizeof *sources);
        return NULL;
    }
    intake->companion = companion;
    intake->sources = sources;
    *draft = (struct job){.arena = parent->arena, .served = &companion->served, .watch = parent->watch};
    const struct percept_string string = {.at = (const char *)text.at, .n_bytes = bytes_size(text)};
    const bool good =
        codec_begin(draft, false, err) && codec_text_fill(draft, companion->text, text_of(companion), &string, 1, err);
    parent->watch = draft->watch;
    if (!good)
        return NULL;
    sources[companion->text] = &draft->inputs[companion->text];
    return count(parent, intake, sources[companion->text], err) ? intake : NULL;
}

void intake_begin(struct job *parent, struct intake *intake, void (*told)(struct job *job))
{
    intake->job = (struct job){.arena = &intake->arena,
                               .served = &intake->companion->served,
                               .encoder = &encoder_keep,
                               .sources = intake->sources,
                               .priority = parent->priority,
                               .done = told,
                               .user = parent};
    lifecycle_child(parent, &intake->job);
}

const struct percept_tensor *intake_give(const struct intake *intake, int input)
{
    const struct companion_feed *feed = &intake->companion->feeds[input];
    if (feed->output >= 0)
        return &intake->job.results[feed->output];
    return feed->input >= 0 ? &intake->job.inputs[feed->input] : NULL;
}

void intake_end(struct intake *intake)
{
    if (intake)
        arena_free(&intake->arena);
}
