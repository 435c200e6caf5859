/*
 * tokenizer_words.c - the tokenizers of plain vocabularies: words, characters, bytes.
 *
 * Small letters without a locale: the alphabets of Europe whose letters come in pairs (Latin with
 * its first extension, Greek, Cyrillic), by rule. A word is a run of letters, digits and
 * apostrophes; everything else but space is a token by itself. Letters are, beyond ASCII, all code
 * points that are not among the common blocks of signs and spaces: right for words, and unknown
 * scripts stay whole. Networks were trained with these rules, so they stay as they are.
 *
 * Threads: any; allocates from the job's arena.
 */
#include "serve/tokenizer_words.h"

#include "base/err.h"
#include "base/utf8.h"

#define TOKEN_UNITS 16 /* looking up a token, in watch_spend's units */

/* One text on its way to ids. */
struct tokens {
    const struct manifest_text *text;
    struct tokenizer_row *row;
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

static bool is_full(const struct tokens *t)
{
    return t->row->n >= t->row->most;
}

static bool add(struct tokens *t, struct bytes token)
{
    if (is_full(t))
        return true;
    if (!watch_spend(t->row->watch, TOKEN_UNITS))
        return watch_refuse(t->row->watch, t->err);
    bool plain_byte = t->text->tokenizer == TOKENIZER_BYTES && t->text->n_tokens == 0;
    int64_t id = plain_byte ? *token.at : find(t->text, token);
    if (id < 0)
        id = t->text->unknown;
    if (id < 0)
        return err_set(t->err, ERR_INVALID,
                       "the vocabulary does not have '" BYTES_FMT "', and no id for unknown tokens", BYTES_ARG(token));
    t->row->ids[t->row->n++] = id;
    return true;
}

static bool cut_words(struct tokens *t, struct bytes text)
{
    const uint8_t *word = NULL;
    while (text.at < text.end && !is_full(t)) {
        uint32_t c = 0;
        const uint8_t *next = utf8_read(text.at, text.end, &c);
        if (!watch_spend(t->row->watch, 1))
            return watch_refuse(t->row->watch, t->err);
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
    while (text.at < text.end && !is_full(t)) {
        uint32_t c = 0;
        const uint8_t *next = bytes ? text.at + 1 : utf8_read(text.at, text.end, &c);
        if (!add(t, (struct bytes){text.at, next}))
            return false;
        text.at = next;
    }
    return true;
}

/* In small letters where these are wanted; the copy is never longer. */
static bool fold(struct tokens *t, struct bytes raw, struct bytes *ready)
{
    if (!t->text->lowercase) {
        *ready = raw;
        return true;
    }
    uint8_t *to = arena_alloc(t->row->arena, bytes_size(raw) + 1);
    if (!to)
        return err_memory(t->err, "a text", bytes_size(raw));
    *ready = (struct bytes){to, to};
    for (const uint8_t *at = raw.at; at < raw.end;) {
        uint32_t c = 0;
        at = utf8_read(at, raw.end, &c);
        if (!watch_spend(t->row->watch, 1))
            return watch_refuse(t->row->watch, t->err);
        to += utf8_write(to, small(c));
    }
    ready->end = to;
    return true;
}

bool tokenizer_words_cut(const struct manifest_text *text, struct bytes raw, struct tokenizer_row *row,
                         struct percept_err *err)
{
    struct tokens t = {.text = text, .row = row, .err = err};
    struct unicode_text normal = {.arena = row->arena};
    struct bytes ready = {0};
    if (text->normalize != UNICODE_AS_IS) {
        if (!unicode_normalize(text->normalize, raw, &normal, row->watch, err))
            return false;
        raw = unicode_bytes(&normal);
    }
    if (!fold(&t, raw, &ready))
        return false;
    return text->tokenizer == TOKENIZER_WORDS ? cut_words(&t, ready) : cut_characters(&t, ready);
}

bool tokenizer_words_say(const struct manifest_text *text, int64_t id, bool first, struct unicode_text *to,
                         struct percept_err *err)
{
    const uint8_t byte = (uint8_t)id;
    if (text->tokenizer == TOKENIZER_BYTES && !text->n_tokens)
        return unicode_put(to, &byte, 1, err);
    if (id < 0 || id >= text->n_tokens)
        return true; /* scores of no token that is known */
    const bool spaced = text->tokenizer == TOKENIZER_WORDS && !first;
    return (!spaced || unicode_put(to, " ", 1, err)) &&
           unicode_put(to, text->tokens[id], strlen(text->tokens[id]), err);
}
