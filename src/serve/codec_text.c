/*
 * codec_text.c - texts -> token ids, as the manifest describes them. A body of text/plain is one
 * text.
 *
 * Small letters without a locale: the alphabets of Europe whose letters come in pairs (Latin with
 * its first extension, Greek, Cyrillic), by rule. A word is a run of letters, digits and
 * apostrophes; everything else but space is a token by itself. Letters are, beyond ASCII, all code
 * points that are not among the common blocks of signs and spaces: right for words, and unknown
 * scripts stay whole.
 *
 * Texts of one request make one tensor, so they must come out equally long, unless the network's
 * length is fixed and the manifest has an id to pad with. A byte order mark is no part of a text.
 * Runs on any thread; allocates from the job's arena.
 */
#include "base/err.h"
#include "base/utf8.h"
#include "serve/codec_parts.h"

#define TOKEN_UNITS 16 /* looking up a token, in watch_spend's units */

/* One text on its way to ids. */
struct tokens {
    const struct manifest_text *text;
    int64_t *ids;
    int64_t n, most; /* `most` may be reached, the rest is cut off */
    struct watch *watch;
    struct percept_err *err;
};

static uint32_t small_latin(uint32_t c)
{
    if (c == 0x130)
        return 'i';
    if (c == 0x178)
        return 0xff;
    bool odd_is_capital = (c >= 0x139 && c <= 0x148) || c >= 0x179;
    if (c == 0x138 || c == 0x149 || c == 0x17f)
        return c;
    return (c & 1) == odd_is_capital ? c + 1 : c;
}

static uint32_t small(uint32_t c)
{
    if (c < 0x80)
        return c >= 'A' && c <= 'Z' ? c + 32 : c;
    if (c >= 0xc0 && c <= 0xde)
        return c == 0xd7 ? c : c + 32;
    if (c >= 0x100 && c <= 0x17f)
        return small_latin(c);
    if ((c >= 0x391 && c <= 0x3a9 && c != 0x3a2) || (c >= 0x410 && c <= 0x42f))
        return c + 32;
    return c >= 0x400 && c <= 0x40f ? c + 80 : c;
}

struct range {
    uint32_t first, last;
};

static bool is_in(uint32_t c, const struct range *ranges, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (c >= ranges[i].first && c <= ranges[i].last)
            return true;
    return false;
}

static bool is_space(uint32_t c)
{
    static const struct range spaces[] = {{9, 13},          {0x1c, 0x20},     {0x85, 0x85},     {0xa0, 0xa0},
                                          {0x1680, 0x1680}, {0x2000, 0x200a}, {0x2028, 0x2029}, {0x202f, 0x202f},
                                          {0x205f, 0x205f}, {0x3000, 0x3000}};
    return is_in(c, spaces, sizeof spaces / sizeof *spaces);
}

static bool is_letter(uint32_t c)
{
    static const struct range signs[] = {
        {0x80, 0xa9},     {0xab, 0xb1},     {0xb4, 0xb4},     {0xb6, 0xb8},     {0xbb, 0xbb},      {0xbf, 0xbf},
        {0xd7, 0xd7},     {0xf7, 0xf7},     {0x2010, 0x206f}, {0x20a0, 0x20cf}, {0x2190, 0x245f},  {0x2500, 0x2bff},
        {0x3001, 0x3004}, {0x3008, 0x3020}, {0xff01, 0xff0f}, {0xfffc, 0xfffd}, {0x1f000, 0x1faff}};
    if (c < 0x80)
        return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '\'';
    return !is_in(c, signs, sizeof signs / sizeof *signs);
}

/* The id of a token, -1 when the vocabulary does not have it. */
static int64_t find(const struct manifest_text *text, struct bytes token)
{
    int low = 0, high = text->n_tokens;
    while (low < high) {
        int middle = low + (high - low) / 2;
        struct bytes known = bytes_of_text(text->tokens[text->sorted[middle]]);
        size_t n = bytes_size(known) < bytes_size(token) ? bytes_size(known) : bytes_size(token);
        int order = memcmp(known.at, token.at, n);
        if (order == 0 && bytes_size(known) == bytes_size(token))
            return text->sorted[middle];
        if (order < 0 || (order == 0 && bytes_size(known) < bytes_size(token)))
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

static bool add(struct tokens *t, struct bytes token)
{
    if (t->n == t->most)
        return true;
    if (!watch_spend(t->watch, TOKEN_UNITS))
        return watch_refuse(t->watch, t->err);
    bool plain_byte = t->text->tokenizer == TOKENIZER_BYTES && t->text->n_tokens == 0;
    int64_t id = plain_byte ? *token.at : find(t->text, token);
    if (id < 0)
        id = t->text->unknown;
    if (id < 0)
        return err_set(t->err, ERR_INVALID,
                       "the vocabulary does not have '" BYTES_FMT "', and no id for unknown tokens", BYTES_ARG(token));
    t->ids[t->n++] = id;
    return true;
}

static bool cut_words(struct tokens *t, struct bytes text)
{
    const uint8_t *word = NULL;
    while (text.at < text.end && t->n < t->most) {
        uint32_t c = 0;
        const uint8_t *next = utf8_read(text.at, text.end, &c);
        if (!watch_spend(t->watch, 1))
            return watch_refuse(t->watch, t->err);
        if (is_letter(c) && !is_space(c)) {
            word = word ? word : text.at;
        } else {
            if (word && !add(t, (struct bytes){word, text.at}))
                return false;
            word = NULL;
            if (!is_space(c) && !add(t, (struct bytes){text.at, next}))
                return false;
        }
        text.at = next;
    }
    return !word || add(t, (struct bytes){word, text.at});
}

static bool cut_characters(struct tokens *t, struct bytes text)
{
    bool bytes = t->text->tokenizer == TOKENIZER_BYTES;
    while (text.at < text.end && t->n < t->most) {
        uint32_t c = 0;
        const uint8_t *next = bytes ? text.at + 1 : utf8_read(text.at, text.end, &c);
        if (!add(t, (struct bytes){text.at, next}))
            return false;
        text.at = next;
    }
    return true;
}

/* Valid UTF-8, in small letters where these are wanted; the copy is never longer. */
static bool prepare(const struct manifest_text *text, struct bytes raw, struct bytes *ready, struct job *job,
                    struct percept_err *err)
{
    if (utf8_is_wide(raw))
        return err_set(err, ERR_INVALID, "the text is UTF-16 or UTF-32; texts are sent as UTF-8");
    raw = utf8_past_mark(raw);
    uint8_t *to = arena_alloc(job->arena, bytes_size(raw) + 1);
    if (!to)
        return err_memory(err, "a text", bytes_size(raw));
    *ready = (struct bytes){to, to};
    for (const uint8_t *at = raw.at; at < raw.end;) {
        uint32_t c = 0;
        const uint8_t *next = utf8_read(at, raw.end, &c);
        if (!watch_spend(&job->watch, 1))
            return watch_refuse(&job->watch, err);
        if (!next)
            return err_set(err, ERR_INVALID, "the text is not UTF-8: byte %td (0x%02x) begins no character",
                           at - raw.at, *at);
        to += utf8_write(to, text->lowercase ? small(c) : c);
        at = next;
    }
    ready->end = to;
    return true;
}

static struct bytes without_newline(struct bytes text)
{
    while (text.at < text.end && (text.end[-1] == '\n' || text.end[-1] == '\r'))
        text.end--;
    return text;
}

/* Fills up to `n` ids. */
static void put_pads(struct tokens *t, int64_t n)
{
    while (t->n < n)
        t->ids[t->n++] = t->text->pad;
}

/* The ids of one text, at most `most`, with those around it. */
static bool tokenize(const struct manifest_text *text, struct bytes raw, int64_t most, int64_t *ids, int64_t *n,
                     struct job *job, struct percept_err *err)
{
    struct bytes ready = {0};
    int64_t around = (text->start >= 0) + (text->end >= 0) + 2 * text->margin;
    raw = without_newline(raw);
    if (bytes_size(utf8_past_mark(raw)) == 0)
        return err_set(err, ERR_INVALID, "the text is empty; send at least one character");
    if (!prepare(text, raw, &ready, job, err))
        return false;
    struct tokens t = {.text = text, .ids = ids, .watch = &job->watch, .err = err};
    put_pads(&t, t.n + text->margin);
    if (text->start >= 0)
        t.ids[t.n++] = text->start;
    t.most = t.n + (most > around ? most - around : 0);
    int64_t before = t.n;
    if (!(text->tokenizer == TOKENIZER_WORDS ? cut_words(&t, ready) : cut_characters(&t, ready)))
        return false;
    if (t.n == before)
        return err_set(err, ERR_INVALID, "the text has nothing but space in it");
    if (text->end >= 0)
        t.ids[t.n++] = text->end;
    put_pads(&t, t.n + text->margin);
    if (text->multiple_of > 1)
        put_pads(&t, (t.n + text->multiple_of - 1) / text->multiple_of * text->multiple_of);
    *n = t.n;
    return true;
}

bool codec_text_prompt(struct job *job, const struct manifest_text *text, struct bytes prompt, int64_t most,
                       int64_t *ids, int64_t *n, struct percept_err *err)
{
    struct bytes ready = {0};
    struct tokens t = {.text = text, .ids = ids, .most = most, .watch = &job->watch, .err = err};
    if (!bytes_size(prompt) && text->start < 0)
        return err_set(err, ERR_INVALID, "the prompt is empty; send at least one character");
    if (!prepare(text, prompt, &ready, job, err))
        return false;
    if (text->start >= 0)
        t.ids[t.n++] = text->start;
    if (!(text->tokenizer == TOKENIZER_WORDS ? cut_words(&t, ready) : cut_characters(&t, ready)))
        return false;
    *n = t.n;
    if (t.n == 0)
        return err_set(err, ERR_INVALID, "the prompt has nothing but space in it");
    return t.n <= text->max_length || err_set(err, ERR_TOO_LARGE, "the prompt has %lld tokens; at most %lld are taken",
                                              (long long)t.n, (long long)text->max_length);
}

/* How long a text may become: by the manifest, by the network, by its bytes. */
static int64_t longest(const struct manifest_text *text, int64_t fixed, size_t n_bytes)
{
    int64_t most = (int64_t)n_bytes + 2 + 2 * text->margin;
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
    for (int64_t i = 0; i < n_texts; i++) {
        struct bytes raw = bytes_of(texts[i].at, texts[i].n_bytes);
        int64_t n = 0, most = longest(text, fixed, bytes_size(raw));
        const size_t room = (size_t)(most + 2 + 2 * text->margin + text->multiple_of);
        int64_t *ids = arena_array(job->arena, room, sizeof *ids);
        if (!ids)
            return err_memory(err, "a text's ids", (size_t)most * sizeof *ids);
        if (!tokenize(text, raw, most, ids, &n, job, err))
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
    struct percept_string body = {.at = (const char *)job->body.at, .n_bytes = bytes_size(job->body)};
    return codec_text_fill(job, at, &input->text, &body, 1, err);
}
