/*
 * tokenizer.c - a text through a tokenizer, and ids back to texts. tokenizer_parts.h says in which order things happen.
 *
 * Threads: any; a tokenizer is only read, what a text needs lies in its job's arena.
 */
#include "serve/tokenizer.h"

#include "base/err.h"
#include "base/utf8.h"
#include "serve/tokenizer_parts.h"

#include <stdio.h>

bool tokenizer_put(struct tokenizer_run *run, int id)
{
    if (!tokenizer_full(run))
        run->row->ids[run->row->n++] = id;
    return true;
}

void *tokenizer_scratch(struct tokenizer_run *run, size_t n_bytes)
{
    if (run->scratch_bytes < n_bytes) {
        run->scratch = arena_alloc(run->row->arena, 2 * n_bytes);
        run->scratch_bytes = 2 * n_bytes;
        if (!run->scratch)
            err_memory(run->err, "a text's tokens", 2 * n_bytes);
    }
    return run->scratch;
}

bool tokenizer_put_bytes(struct tokenizer_run *run, struct bytes piece, bool *done)
{
    *done = true;
    for (const uint8_t *at = piece.at; at < piece.end; at++)
        *done = *done && run->tokenizer->byte_ids[*at] >= 0;
    for (const uint8_t *at = piece.at; *done && at < piece.end; at++)
        if (!tokenizer_put(run, run->tokenizer->byte_ids[*at]))
            return false;
    return true;
}

/* --- added tokens ------------------------------------------------------------------------------------------------- */

struct hit {
    const uint8_t *at, *end;
    const struct tokenizer_added *added;
};

/* The first one from `from` on, of those that begin there the longest. */
static bool next_added(struct tokenizer_run *run, const struct tokenizer_finder *finder, const uint8_t *from,
                       const uint8_t *end, struct hit *hit)
{
    hit->added = NULL;
    if (!finder->vocab.longest)
        return true;
    for (const uint8_t *at = from; at < end && !hit->added; at++) {
        uint64_t hash = TOKENIZER_HASH;
        if (!watch_spend(run->row->watch, finder->begins[*at] ? (int64_t)finder->vocab.longest : 1))
            return watch_refuse(run->row->watch, run->err);
        for (size_t n = 0; finder->begins[*at] && n < finder->vocab.longest && at + n < end;) {
            hash = tokenizer_hash(hash, at[n++]);
            const int i = tokenizer_vocab_at(&finder->vocab, hash, bytes_of(at, n));
            if (i >= 0)
                *hit = (struct hit){at, at + n, &run->tokenizer->added[i]};
        }
    }
    return true;
}

static bool is_space_at(const uint8_t *at, const uint8_t *end, const uint8_t **next)
{
    uint32_t code = 0;
    *next = utf8_read(at, end, &code);
    return unicode_is_space(code);
}

/* Takes in the space before and behind, where the token says so. */
static void widen(struct hit *hit, const uint8_t *from, const uint8_t *end)
{
    const uint8_t *next;
    while (hit->added->rstrip && hit->end < end && is_space_at(hit->end, end, &next))
        hit->end = next;
    while (hit->added->lstrip && hit->at > from) {
        const uint8_t *before = hit->at - 1;
        while (before > from && (*before & 0xc0) == 0x80)
            before--;
        if (!is_space_at(before, hit->at, &next))
            break;
        hit->at = before;
    }
}

typedef bool section(struct tokenizer_run *run, struct bytes text);

/* Added tokens become their ids; what is between goes to `between`. */
static bool take_added(struct tokenizer_run *run, const struct tokenizer_finder *finder, struct bytes text,
                       section *between)
{
    for (const uint8_t *from = text.at; from < text.end && !tokenizer_full(run);) {
        struct hit hit;
        if (!next_added(run, finder, from, text.end, &hit))
            return false;
        if (!hit.added)
            return between(run, (struct bytes){from, text.end});
        widen(&hit, from, text.end);
        if (hit.at > from && !between(run, (struct bytes){from, hit.at}))
            return false;
        if (!tokenizer_put(run, hit.added->id))
            return false;
        from = hit.end;
    }
    return true;
}

static bool split(struct tokenizer_run *run, struct bytes text)
{
    return tokenizer_split(run, 0, text);
}

static bool normalize(struct tokenizer_run *run, struct bytes text)
{
    const bool first = text.at == run->begin;
    struct bytes normal;
    if (!tokenizer_normalize(run, text, &normal))
        return false;
    run->begin = first ? normal.at : NULL;
    return take_added(run, &run->tokenizer->normalized, normal, split);
}

bool tokenizer_cut(const struct tokenizer *tokenizer, struct bytes text, struct tokenizer_row *row,
                   struct percept_err *err)
{
    struct tokenizer_run run = {.tokenizer = tokenizer, .row = row, .err = err, .begin = text.at};
    for (int i = 0; i < TOKENIZER_STEPS_MAX; i++)
        run.prefixed[i].arena = run.mapped[i].arena = row->arena;
    return take_added(&run, &tokenizer->raw, text, normalize);
}

static bool fill_finder(const struct tokenizer *tokenizer, bool normalized, struct tokenizer_finder *finder,
                        struct arena *arena, struct percept_err *err)
{
    struct tokenizer_row none = {.arena = arena};
    struct tokenizer_run run = {.tokenizer = tokenizer, .row = &none, .err = err};
    finder->vocab = (struct tokenizer_vocab){
        .n = tokenizer->n_added,
        .tokens = arena_array(arena, (size_t)tokenizer->n_added + 1, sizeof *finder->vocab.tokens)};
    if (!finder->vocab.tokens)
        return err_memory(err, "added tokens", (size_t)tokenizer->n_added * sizeof *finder->vocab.tokens);
    for (int i = 0; i < tokenizer->n_added; i++) {
        struct bytes content = tokenizer->added[i].content;
        if (tokenizer->added[i].normalized != normalized)
            continue;
        if (normalized && !tokenizer_normalize(&run, content, &content))
            return false;
        if (bytes_size(content) == 0)
            return err_set(err, ERR_CONFIG, "nothing is left of the added token '" BYTES_FMT "' when it is normalized",
                           BYTES_ARG(tokenizer->added[i].content));
        finder->vocab.tokens[i] = content;
        finder->begins[*content.at] = true;
    }
    return tokenizer_vocab_index(&finder->vocab, arena, err) || err_prefix(err, "added tokens: ");
}

bool tokenizer_finish(struct tokenizer *tokenizer, struct arena *arena, struct percept_err *err)
{
    if (!unicode_open(err))
        return false;
    for (int i = 0; i < 256; i++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", (unsigned)i & 0xff);
        tokenizer->byte_ids[i] = tokenizer_vocab_find(&tokenizer->vocab, bytes_of_text(name));
    }
    return fill_finder(tokenizer, false, &tokenizer->raw, arena, err) &&
           fill_finder(tokenizer, true, &tokenizer->normalized, arena, err);
}

/* --- back to texts ------------------------------------------------------------------------------------------------ */

/* A token while it is decoded: the text's bytes from `at` to `end`; what is made of them is put behind. */
struct saying {
    struct unicode_text *text;
    size_t at, end;
    bool first; /* nothing is before it */
    struct percept_err *err;
};

static bool say(struct saying *saying, struct bytes more)
{
    return unicode_put(saying->text, more.at, bytes_size(more), saying->err);
}

static bool say_byte(struct saying *saying, uint8_t byte)
{
    return unicode_put(saying->text, &byte, 1, saying->err);
}

/* Copies one by one, since the text may move when it grows. */
static bool say_rest(struct saying *saying, size_t from)
{
    for (size_t i = from; i < saying->end; i++)
        if (!say_byte(saying, saying->text->at[i]))
            return false;
    return true;
}

static struct bytes rest_of(const struct saying *saying, size_t from)
{
    return bytes_of(saying->text->at + from, saying->end - from);
}

static bool say_byte_level(struct saying *saying)
{
    for (size_t i = saying->at; i < saying->end;) {
        const struct bytes rest = rest_of(saying, i);
        uint32_t code = 0;
        const size_t n = (size_t)(utf8_read(rest.at, rest.end, &code) - rest.at);
        const int byte = tokenizer_split_byte(code);
        if (!(byte >= 0 ? say_byte(saying, (uint8_t)byte) : unicode_put_code(saying->text, code, saying->err)))
            return false;
        i += n;
    }
    return true;
}

static bool say_replaced(struct saying *saying, struct bytes from, struct bytes to)
{
    for (size_t i = saying->at; i < saying->end;) {
        const bool found = bytes_begin(rest_of(saying, i), from.at, bytes_size(from));
        if (!(found ? say(saying, to) : say_byte(saying, saying->text->at[i])))
            return false;
        i += found ? bytes_size(from) : 1;
    }
    return true;
}

/* Words have space between them but for signs and what English cuts off ("don't"), where the file wants that. */
static bool say_wordpiece(struct saying *saying, const struct tokenizer_step *step)
{
    static const char *const close[] = {".", "?", "!", ",", "n't", "'m", "'s", "'ve", "'re"};
    const struct bytes token = rest_of(saying, saying->at);
    bool spaced = !saying->first;
    if (spaced && bytes_begin(token, step->from.at, bytes_size(step->from)))
        return say_rest(saying, saying->at + bytes_size(step->from));
    for (size_t i = 0; step->cleanup && i < sizeof close / sizeof *close; i++)
        spaced = spaced && !bytes_begin_text(token, close[i]);
    return (!spaced || say_byte(saying, ' ')) && say_rest(saying, saying->at);
}

static int hex_digit(uint8_t c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool say_fallback(struct saying *saying)
{
    const struct bytes token = rest_of(saying, saying->at);
    if (bytes_size(token) == 6 && bytes_begin_text(token, "<0x") && token.at[5] == '>' && hex_digit(token.at[3]) >= 0 &&
        hex_digit(token.at[4]) >= 0)
        return say_byte(saying, (uint8_t)(hex_digit(token.at[3]) << 4 | hex_digit(token.at[4])));
    return say_rest(saying, saying->at);
}

/* One decoder; the texts of Fuse and Strip are of a whole text, which ours goes on. */
static bool decode(struct saying *saying, const struct tokenizer_step *step)
{
    switch ((enum tokenizer_decoder)step->kind) {
    case DECODER_BYTE_LEVEL:
        return say_byte_level(saying);
    case DECODER_WORDPIECE:
        return say_wordpiece(saying, step);
    case DECODER_METASPACE:
    case DECODER_BPE:
        return say_replaced(saying, step->from, bytes_of_text(" "));
    case DECODER_REPLACE:
        return say_replaced(saying, step->from, step->to);
    case DECODER_BYTE_FALLBACK:
        return say_fallback(saying);
    default:
        return say_rest(saying, saying->at);
    }
}

static const struct tokenizer_added *added_of(const struct tokenizer *tokenizer, int64_t id)
{
    for (int i = 0; i < tokenizer->n_added; i++)
        if (tokenizer->added[i].id == id)
            return &tokenizer->added[i];
    return NULL;
}

bool tokenizer_say(const struct tokenizer *tokenizer, int64_t id, bool first, struct unicode_text *text,
                   struct percept_err *err)
{
    const struct tokenizer_added *added = added_of(tokenizer, id);
    if (id < 0 || id >= tokenizer->vocab.n || !tokenizer->vocab.tokens[id].at || (added && added->special))
        return true;
    struct saying saying = {.text = text, .at = text->n, .first = first, .err = err};
    const struct bytes token = tokenizer->vocab.tokens[id];
    if (!tokenizer->decoders.n && !first && !say_byte(&saying, ' '))
        return false;
    if (!say(&saying, token))
        return false;
    for (int i = 0; i < tokenizer->decoders.n; i++) {
        saying.end = text->n;
        if (!decode(&saying, &tokenizer->decoders.at[i]))
            return false;
        memmove(text->at + saying.at, text->at + saying.end, text->n - saying.end);
        text->n -= saying.end - saying.at;
    }
    return true;
}

int64_t tokenizer_size(const struct tokenizer *tokenizer)
{
    return tokenizer->vocab.n;
}

int64_t tokenizer_start(const struct tokenizer *tokenizer)
{
    return tokenizer->start;
}

int64_t tokenizer_end(const struct tokenizer *tokenizer)
{
    return tokenizer->end;
}
