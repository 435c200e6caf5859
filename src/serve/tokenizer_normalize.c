/*
 * tokenizer_normalize.c - the normalizers of tokenizer.json. Each makes a new text of the one before it, in the job's
 * arena. Threads: any; the tokenizer is only read.
 */
#include "base/err.h"
#include "base/letter.h"
#include "base/utf8.h"
#include "serve/tokenizer_parts.h"

#define REPLACED_MOST ((size_t)256 << 20) /* bytes of a text; what is put in may be longer than what is taken out */

typedef bool normalizer(struct tokenizer_run *run, const struct tokenizer_step *step, struct bytes from,
                        struct unicode_text *to);

static bool spend(struct tokenizer_run *run, int64_t units)
{
    return watch_spend(run->row->watch, units) || watch_refuse(run->row->watch, run->err);
}

/* The full mapping of one code point, whatever stands around it. */
static bool put_lower(struct unicode_text *to, uint32_t code, struct percept_err *err)
{
    if (code == 0x130)
        return unicode_put(to, "i\xcc\x87", 3, err);
    return unicode_put_code(to, letter_lower(code), err);
}

/* The blocks that BERT takes for Chinese; the gap before 0x2b920 is its own. */
static bool is_chinese(uint32_t code)
{
    return (code >= 0x4e00 && code <= 0x9fff) || (code >= 0x3400 && code <= 0x4dbf) ||
           (code >= 0x20000 && code <= 0x2a6df) || (code >= 0x2a700 && code <= 0x2b73f) ||
           (code >= 0x2b740 && code <= 0x2b81f) || (code >= 0x2b920 && code <= 0x2ceaf) ||
           (code >= 0xf900 && code <= 0xfaff) || (code >= 0x2f800 && code <= 0x2fa1f);
}

static bool is_dropped(uint32_t code)
{
    return code == 0 || code == 0xfffd || (code != '\t' && code != '\n' && code != '\r' && unicode_is_other(code));
}

static bool bert_clean(struct tokenizer_run *run, const struct tokenizer_step *step, struct bytes from,
                       struct unicode_text *to)
{
    for (const uint8_t *at = from.at; at < from.end;) {
        uint32_t code = 0;
        at = utf8_read(at, from.end, &code);
        if (step->clean_text && is_dropped(code))
            continue;
        if (step->clean_text && unicode_is_space(code))
            code = ' ';
        const bool spaced = step->chinese && is_chinese(code);
        if (!spend(run, 1) || (spaced && !unicode_put(to, " ", 1, run->err)) || !unicode_put_code(to, code, run->err) ||
            (spaced && !unicode_put(to, " ", 1, run->err)))
            return false;
    }
    return true;
}

static bool lowercase(struct tokenizer_run *run, const struct tokenizer_step *step, struct bytes from,
                      struct unicode_text *to)
{
    (void)step;
    for (const uint8_t *at = from.at; at < from.end;) {
        uint32_t code = 0;
        at = utf8_read(at, from.end, &code);
        if (!spend(run, 1) || !put_lower(to, code, run->err))
            return false;
    }
    return true;
}

/* Without the code points that `is` knows. */
static bool without(struct tokenizer_run *run, struct bytes from, bool (*is)(uint32_t), struct unicode_text *to)
{
    for (const uint8_t *at = from.at; at < from.end;) {
        uint32_t code = 0;
        at = utf8_read(at, from.end, &code);
        if (!spend(run, 1) || (!is(code) && !unicode_put_code(to, code, run->err)))
            return false;
    }
    return true;
}

static bool strip_accents(struct tokenizer_run *run, const struct tokenizer_step *step, struct bytes from,
                          struct unicode_text *to)
{
    (void)step;
    return without(run, from, unicode_is_mark, to);
}

static bool bert(struct tokenizer_run *run, const struct tokenizer_step *step, struct bytes from,
                 struct unicode_text *to)
{
    struct unicode_text cleaned = {.arena = to->arena}, decomposed = {.arena = to->arena}, bare = {.arena = to->arena};
    if (!bert_clean(run, step, from, &cleaned))
        return false;
    struct bytes text = unicode_bytes(&cleaned);
    if (step->strip_accents < 0 ? step->lowercase : step->strip_accents > 0) {
        if (!unicode_normalize(UNICODE_NFD, text, &decomposed, run->row->watch, run->err) ||
            !without(run, unicode_bytes(&decomposed), unicode_is_nonspacing, &bare))
            return false;
        text = unicode_bytes(&bare);
    }
    return step->lowercase ? lowercase(run, step, text, to) : unicode_put(to, text.at, bytes_size(text), run->err);
}

static bool normal_form(struct tokenizer_run *run, const struct tokenizer_step *step, struct bytes from,
                        struct unicode_text *to)
{
    const enum unicode_form form = step->kind == NORMALIZER_NFC    ? UNICODE_NFC
                                   : step->kind == NORMALIZER_NFD  ? UNICODE_NFD
                                   : step->kind == NORMALIZER_NFKC ? UNICODE_NFKC
                                                                   : UNICODE_NFKD;
    return unicode_normalize(form, from, to, run->row->watch, run->err);
}

static bool strip(struct tokenizer_run *run, const struct tokenizer_step *step, struct bytes from,
                  struct unicode_text *to)
{
    const uint8_t *first = NULL, *last = from.at;
    for (const uint8_t *at = from.at; at < from.end;) {
        uint32_t code = 0;
        const uint8_t *next = utf8_read(at, from.end, &code);
        if (!spend(run, 1))
            return false;
        if (!unicode_is_space(code)) {
            first = first ? first : at;
            last = next;
        }
        at = next;
    }
    if (!first) /* nothing but space; each end takes all of it */
        return (step->left || step->right) || unicode_put(to, from.at, bytes_size(from), run->err);
    first = step->left ? first : from.at;
    last = step->right ? last : from.end;
    return unicode_put(to, first, (size_t)(last - first), run->err);
}

static bool prepend(struct tokenizer_run *run, const struct tokenizer_step *step, struct bytes from,
                    struct unicode_text *to)
{
    return bytes_size(from) == 0 || (unicode_put(to, step->from.at, bytes_size(step->from), run->err) &&
                                     unicode_put(to, from.at, bytes_size(from), run->err));
}

static bool replace(struct tokenizer_run *run, const struct tokenizer_step *step, struct bytes from,
                    struct unicode_text *to)
{
    const size_t n = bytes_size(step->from);
    for (const uint8_t *at = from.at; at < from.end;) {
        const bool found = bytes_begin((struct bytes){at, from.end}, step->from.at, n);
        if (!spend(run, 1))
            return false;
        if (to->n > REPLACED_MOST)
            return err_set(run->err, ERR_TOO_LARGE, "the text becomes longer than %zu MiB when it is normalized",
                           REPLACED_MOST >> 20);
        if (!(found ? unicode_put(to, step->to.at, bytes_size(step->to), run->err) : unicode_put(to, at, 1, run->err)))
            return false;
        at += found ? n : 1;
    }
    return true;
}

static normalizer *const normalizers[] = {
    [NORMALIZER_BERT] = bert,
    [NORMALIZER_NFC] = normal_form,
    [NORMALIZER_NFD] = normal_form,
    [NORMALIZER_NFKC] = normal_form,
    [NORMALIZER_NFKD] = normal_form,
    [NORMALIZER_LOWERCASE] = lowercase,
    [NORMALIZER_STRIP_ACCENTS] = strip_accents,
    [NORMALIZER_STRIP] = strip,
    [NORMALIZER_PREPEND] = prepend,
    [NORMALIZER_REPLACE] = replace,
};

bool tokenizer_normalize(struct tokenizer_run *run, struct bytes from, struct bytes *to)
{
    const struct tokenizer_steps *steps = &run->tokenizer->normalizers;
    for (int i = 0; i < steps->n; i++) {
        struct unicode_text made = {.arena = run->row->arena};
        if (!normalizers[steps->at[i].kind](run, &steps->at[i], from, &made))
            return false;
        from = unicode_bytes(&made);
    }
    *to = from;
    return true;
}
