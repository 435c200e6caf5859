/*
 * codec_text.c - texts -> token ids, as the manifest describes them. A body of text/plain is one
 * text.
 *
 * tokenizer.h and tokenizer_words.h cut them; here is what is put around and what fills up, and how texts become a
 * tensor. Texts of one request make one tensor, so they must come out equally long, unless the network's
 * length is fixed and the manifest has an id to pad with. A byte order mark is no part of a text.
 * Runs on any thread; allocates from the job's arena.
 */
#include "base/err.h"
#include "base/utf8.h"
#include "serve/codec_parts.h"
#include "serve/tokenizer.h"
#include "serve/tokenizer_words.h"

#define GROWTH 20 /* tokens per byte at most: a code point may become 18 when it is normalized */

/* Valid UTF-8, without a mark before it. */
static bool judge(struct bytes *text, struct watch *watch, struct percept_err *err)
{
    if (utf8_is_wide(*text))
        return err_set(err, ERR_INVALID, "the text is UTF-16 or UTF-32; texts are sent as UTF-8");
    *text = utf8_past_mark(*text);
    for (const uint8_t *at = text->at; at < text->end;) {
        uint32_t c = 0;
        const uint8_t *next = utf8_read(at, text->end, &c);
        if (!watch_spend(watch, 1))
            return watch_refuse(watch, err);
        if (!next)
            return err_set(err, ERR_INVALID, "the text is not UTF-8: byte %td (0x%02x) begins no character",
                           at - text->at, *at);
        at = next;
    }
    return true;
}

/* Adds a text's ids. */
static bool cut(const struct manifest_text *text, struct bytes raw, struct tokenizer_row *row, struct percept_err *err)
{
    if (!judge(&raw, row->watch, err))
        return false;
    return text->model ? tokenizer_cut(text->model, raw, row, err) : tokenizer_words_cut(text, raw, row, err);
}

bool codec_text_say(const struct manifest_text *text, int64_t id, bool first, struct unicode_text *to,
                    struct percept_err *err)
{
    return text->model ? tokenizer_say(text->model, id, first, to, err) : tokenizer_words_say(text, id, first, to, err);
}

int64_t codec_text_most(const struct manifest_text *text, size_t n_bytes)
{
    if (!text->model && text->normalize == UNICODE_AS_IS)
        return (int64_t)n_bytes + 2;
    const int64_t most = (int64_t)n_bytes * GROWTH + 2;
    return most < text->max_length + 1 ? most : text->max_length + 1;
}

static struct bytes without_newline(struct bytes text)
{
    while (text.at < text.end && (text.end[-1] == '\n' || text.end[-1] == '\r'))
        text.end--;
    return text;
}

/* Fills up to `n` ids. */
static void put_pads(const struct manifest_text *text, struct tokenizer_row *row, int64_t n)
{
    while (row->n < n)
        row->ids[row->n++] = text->pad;
}

/* The ids of one text, at most `most`, with those around it; *own without what fills them up. */
static bool tokenize(const struct manifest_text *text, struct bytes raw, int64_t most, int64_t *ids, int64_t *n,
                     int64_t *own, struct job *job, struct percept_err *err)
{
    struct tokenizer_row row = {.ids = ids, .arena = job->arena, .watch = &job->watch};
    int64_t around = (text->start >= 0) + (text->end >= 0) + 2 * text->margin;
    raw = text->model ? raw : without_newline(raw);
    if (bytes_size(utf8_past_mark(raw)) == 0)
        return err_set(err, ERR_INVALID, "the text is empty; send at least one character");
    put_pads(text, &row, row.n + text->margin);
    if (text->start >= 0)
        row.ids[row.n++] = text->start;
    const int64_t room = most > around ? most - around : 0, before = row.n;
    row.most = row.n + room + text->whole;
    if (!cut(text, raw, &row, err))
        return false;
    if (text->whole && row.n - before > room)
        return err_set(err, ERR_TOO_LARGE, "the text has more than %lld tokens, which is the most that is taken",
                       (long long)room);
    if (row.n == before)
        return err_set(err, ERR_INVALID, "the text has nothing but space in it");
    if (text->end >= 0)
        row.ids[row.n++] = text->end;
    put_pads(text, &row, row.n + text->margin);
    *own = row.n;
    if (text->multiple_of > 1)
        put_pads(text, &row, (row.n + text->multiple_of - 1) / text->multiple_of * text->multiple_of);
    *n = row.n;
    return true;
}

bool codec_text_prompt(struct job *job, const struct manifest_text *text, struct bytes prompt, int64_t most,
                       int64_t *ids, int64_t *n, struct percept_err *err)
{
    struct tokenizer_row row = {.ids = ids, .most = most, .arena = job->arena, .watch = &job->watch};
    if (!bytes_size(prompt) && text->start < 0)
        return err_set(err, ERR_INVALID, "the prompt is empty; send at least one character");
    if (text->start >= 0)
        row.ids[row.n++] = text->start;
    if (!cut(text, prompt, &row, err))
        return false;
    *n = row.n;
    if (row.n == 0)
        return err_set(err, ERR_INVALID, "the prompt has nothing but space in it");
    return row.n <= text->max_length ||
           err_set(err, ERR_TOO_LARGE, "the prompt has %lld tokens; at most %lld are taken", (long long)row.n,
                   (long long)text->max_length);
}

/* How long a text may become: by the manifest, by the network, by its bytes. */
static int64_t longest(const struct manifest_text *text, int64_t fixed, size_t n_bytes)
{
    int64_t most = codec_text_most(text, n_bytes) + 2 * text->margin;
    if (text->max_length > 0 && text->max_length < most)
        most = text->max_length;
    return fixed >= 0 && fixed < most ? fixed : most;
}

static void store(const struct percept_tensor *tensor, int64_t at, int64_t id)
{
    if (tensor->dtype == PERCEPT_UINT8)
        ((uint8_t *)tensor->data)[at] = (uint8_t)id;
    else if (tensor->dtype == PERCEPT_INT32)
        ((int32_t *)tensor->data)[at] = (int32_t)id;
    else
        ((int64_t *)tensor->data)[at] = id;
}

static bool check_length(const struct percept_io *io, int64_t i, int64_t n, int64_t want, bool padded,
                         struct percept_err *err)
{
    if (n == want || padded)
        return true;
    return err_set(err, ERR_INVALID,
                   "input '%s': text %lld has %lld tokens and %lld are wanted; the texts of one request "
                   "must have equal length, and be as long as a network of fixed length",
                   io->name, (long long)i, (long long)n, (long long)want);
}

bool codec_text_fill(struct job *job, int input, const struct manifest_text *text, const struct percept_string *texts,
                     int64_t n_texts, struct percept_err *err)
{
    int n_inputs;
    const struct percept_io *io = &served_inputs(job->served, &n_inputs)[input];
    int rank = io->rank < 0 ? 2 : io->rank; /* a rank that the model does not tell */
    const bool ids_fit = io->dtype == PERCEPT_INT64 || io->dtype == PERCEPT_INT32 || io->dtype == PERCEPT_UINT8;
    if (!ids_fit || rank < 1 || rank > 2)
        return err_set(err, ERR_UNSUPPORTED,
                       "input '%s' does not take a text's ids: it must be INT64, INT32 or UINT8 of shape "
                       "[length] or [batch,length]",
                       io->name);
    const bool turned = rank == 2 && served_has_batch(job->served) && io->batch_axis == 1; /* [length,batch] */
    const int along = turned ? 0 : rank - 1;
    int64_t fixed = io->rank < 0 ? -1 : io->dims[along], width = fixed;
    struct percept_tensor tensor = {.dtype = io->dtype, .rank = rank};
    int64_t *lengths = arena_array(job->arena, (size_t)n_texts + 1, sizeof *lengths);
    if (!lengths)
        return err_memory(err, "lengths of texts", (size_t)n_texts * sizeof *lengths);
    job->text_lengths = lengths;
    for (int64_t i = 0; i < n_texts; i++) {
        struct bytes raw = bytes_of(texts[i].at, texts[i].n_bytes);
        int64_t n = 0, most = longest(text, fixed, bytes_size(raw));
        const size_t room = (size_t)(most + 3 + 2 * text->margin + text->multiple_of);
        int64_t *ids = arena_array(job->arena, room, sizeof *ids);
        if (!ids)
            return err_memory(err, "a text's ids", (size_t)most * sizeof *ids);
        if (!tokenize(text, raw, most, ids, &n, &lengths[i], job, err))
            return false;
        width = width < 0 ? n : width;
        if (!check_length(io, i, n, width, text->pad >= 0 && fixed >= 0, err))
            return false;
        if (!tensor.data && !codec_parts_reserve(job, io->name, &tensor, n_texts * width, err))
            return false;
        if (!watch_spend(&job->watch, width))
            return watch_refuse(&job->watch, err);
        for (int64_t k = 0; k < width; k++)
            store(&tensor, turned ? k * n_texts + i : i * width + k, k < n ? ids[k] : text->pad);
    }
    if (rank == 1 && n_texts != 1)
        return err_set(err, ERR_INVALID, "input '%s' takes one text, not %lld", io->name, (long long)n_texts);
    tensor.dims[rank == 2 ? 1 - along : 0] = n_texts;
    tensor.dims[along] = width;
    return codec_accept(job, input, &tensor, err);
}

bool codec_text_decode(struct job *job, struct percept_err *err)
{
    int n_inputs, at = codec_body_input(job);
    const struct percept_io *io = served_inputs(job->served, &n_inputs);
    const struct manifest_input *input = at >= 0 ? manifest_input(job->served->manifest, io[at].name) : NULL;
    if (!input || input->kind != MANIFEST_TEXT)
        return err_set(err, ERR_MEDIA_TYPE, "model '%s' does not take a text; send V2 JSON", job->served->name);
    if (!codec_begin(job, false, err))
        return false;
    job->predictions = true;
    job->text = without_newline(utf8_past_mark(job->body));
    struct percept_string body = {.at = (const char *)job->text.at, .n_bytes = bytes_size(job->text)};
    return codec_text_fill(job, at, &input->text, &body, 1, err);
}
