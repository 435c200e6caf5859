/*
 * tokenizer_split.c - the splitters of tokenizer.json ("pre_tokenizers"). Each hands a piece on as soon as it is found,
 * through those behind it and the model; so the depth of calls is the number of splitters, and no list is made.
 *
 * Regular expressions are not interpreted: those that models of fame split by are written out here, and others refused.
 * Threads: any; the tokenizer is only read.
 */
#include "base/err.h"
#include "base/utf8.h"
#include "serve/tokenizer_parts.h"

/* What Llama 3 and Qwen 2 split by: as GPT-4 does, but for how many digits stay together. */
#define BEFORE_DIGITS "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}"
#define BEHIND_DIGITS "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

typedef bool splitter(struct tokenizer_run *run, int step, struct bytes piece);

static const struct tokenizer_step *step_of(const struct tokenizer_run *run, int step)
{
    return &run->tokenizer->splitters.at[step];
}

static bool hand_on(struct tokenizer_run *run, int step, const uint8_t *at, const uint8_t *end)
{
    return at == end || tokenizer_split(run, step + 1, (struct bytes){at, end});
}

static bool spend(struct tokenizer_run *run, int64_t units)
{
    return watch_spend(run->row->watch, units) || watch_refuse(run->row->watch, run->err);
}

/* --- by what is found, and what becomes of it --------------------------------------------------------------------- */

/* A part of the piece that waits for its neighbour. */
struct held {
    const uint8_t *at, *end;
    bool found, any;
};

static bool joins(enum tokenizer_behavior behavior, const struct held *held, bool found)
{
    switch (behavior) {
    case BEHAVIOR_CONTIGUOUS:
        return held->any && held->found == found;
    case BEHAVIOR_WITH_PREVIOUS:
        return held->any && found && !held->found;
    case BEHAVIOR_WITH_NEXT:
        return held->any && !found && held->found;
    default:
        return false;
    }
}

static bool take(struct tokenizer_run *run, int step, struct held *held, enum tokenizer_behavior behavior,
                 const uint8_t *at, const uint8_t *end, bool found)
{
    if (at == end || (found && behavior == BEHAVIOR_REMOVED))
        return true;
    if (joins(behavior, held, found)) {
        held->end = end;
        held->found = found;
        return true;
    }
    if (held->any && !hand_on(run, step, held->at, held->end))
        return false;
    *held = (struct held){at, end, found, true};
    return true;
}

/* The end of what is found at `at`, or NULL. */
typedef const uint8_t *match(const struct tokenizer_step *step, const uint8_t *at, const uint8_t *end);

static bool split_by(struct tokenizer_run *run, int step, struct bytes piece, match *find,
                     enum tokenizer_behavior behavior)
{
    const struct tokenizer_step *settings = step_of(run, step);
    const uint8_t *between = piece.at;
    struct held held = {0};
    for (const uint8_t *at = piece.at; at < piece.end && !tokenizer_full(run);) {
        const uint8_t *end = find(settings, at, piece.end);
        if (!spend(run, 1))
            return false;
        if (!end) {
            uint32_t code;
            at = utf8_read(at, piece.end, &code);
            continue;
        }
        if (!take(run, step, &held, behavior, between, at, settings->invert) ||
            !take(run, step, &held, behavior, at, end, !settings->invert))
            return false;
        between = at = end;
    }
    return take(run, step, &held, behavior, between, piece.end, settings->invert) &&
           (!held.any || hand_on(run, step, held.at, held.end));
}

static bool is_ascii_punctuation(uint32_t code)
{
    return (code >= '!' && code <= '/') || (code >= ':' && code <= '@') || (code >= '[' && code <= '`') ||
           (code >= '{' && code <= '~');
}

static bool is_punctuation(uint32_t code)
{
    return code < 0x80 ? is_ascii_punctuation(code) : unicode_is_punctuation(code);
}

static const uint8_t *find_punctuation(const struct tokenizer_step *step, const uint8_t *at, const uint8_t *end)
{
    (void)step;
    uint32_t code = 0;
    const uint8_t *next = utf8_read(at, end, &code);
    return is_punctuation(code) ? next : NULL;
}

static const uint8_t *find_number(const struct tokenizer_step *step, const uint8_t *at, const uint8_t *end)
{
    (void)step;
    uint32_t code = 0;
    const uint8_t *next = utf8_read(at, end, &code);
    return unicode_is_number(code) ? next : NULL;
}

static const uint8_t *find_space(const struct tokenizer_step *step, const uint8_t *at, const uint8_t *end)
{
    (void)step;
    uint32_t code = 0;
    const uint8_t *next = utf8_read(at, end, &code);
    return unicode_is_space(code) ? next : NULL;
}

static const uint8_t *find_text(const struct tokenizer_step *step, const uint8_t *at, const uint8_t *end)
{
    const size_t n = bytes_size(step->from);
    return bytes_begin((struct bytes){at, end}, step->from.at, n) ? at + n : NULL;
}

static bool punctuation(struct tokenizer_run *run, int step, struct bytes piece)
{
    return split_by(run, step, piece, find_punctuation, (enum tokenizer_behavior)step_of(run, step)->behavior);
}

static bool digits(struct tokenizer_run *run, int step, struct bytes piece)
{
    return split_by(run, step, piece, find_number,
                    step_of(run, step)->individual ? BEHAVIOR_ISOLATED : BEHAVIOR_CONTIGUOUS);
}

static bool whitespace_split(struct tokenizer_run *run, int step, struct bytes piece)
{
    return split_by(run, step, piece, find_space, BEHAVIOR_REMOVED);
}

static bool delimiter(struct tokenizer_run *run, int step, struct bytes piece)
{
    return split_by(run, step, piece, find_text, BEHAVIOR_REMOVED);
}

/* --- by kinds of characters --------------------------------------------------------------------------------------- */

enum part { PART_SPACE, PART_RUN, PART_OTHER, PART_ALONE };

static enum part part_of_bert(uint32_t code)
{
    return unicode_is_space(code) ? PART_SPACE : is_punctuation(code) ? PART_ALONE : PART_RUN;
}

static enum part part_of_words(uint32_t code)
{
    return unicode_is_space(code) ? PART_SPACE : unicode_is_word(code) ? PART_RUN : PART_OTHER;
}

/* Runs of one kind; space between them is left out. */
static bool split_parts(struct tokenizer_run *run, int step, struct bytes piece, enum part (*part_of)(uint32_t))
{
    const uint8_t *begin = piece.at;
    enum part before = PART_SPACE;
    for (const uint8_t *at = piece.at, *next; at < piece.end && !tokenizer_full(run); at = next) {
        uint32_t code = 0;
        next = utf8_read(at, piece.end, &code);
        const enum part part = part_of(code);
        if (!spend(run, 1))
            return false;
        if (part == before && part != PART_ALONE)
            continue;
        if (before != PART_SPACE && !hand_on(run, step, begin, at))
            return false;
        begin = at;
        before = part;
    }
    return before == PART_SPACE || hand_on(run, step, begin, piece.end);
}

static bool bert(struct tokenizer_run *run, int step, struct bytes piece)
{
    return split_parts(run, step, piece, part_of_bert);
}

static bool whitespace(struct tokenizer_run *run, int step, struct bytes piece)
{
    return split_parts(run, step, piece, part_of_words);
}

/* --- by known expressions ----------------------------------------------------------------------------------------- */

enum sort { SORT_END, SORT_SPACE, SORT_LETTER, SORT_NUMBER, SORT_OTHER };

static enum sort sort_at(const uint8_t *at, const uint8_t *end, const uint8_t **next)
{
    uint32_t code = 0;
    if (at == end)
        return SORT_END;
    *next = utf8_read(at, end, &code);
    if (unicode_is_space(code))
        return SORT_SPACE;
    if (code < 0x80)
        return (code | 32) >= 'a' && (code | 32) <= 'z' ? SORT_LETTER
               : code >= '0' && code <= '9'             ? SORT_NUMBER
                                                        : SORT_OTHER;
    return unicode_is_letter(code) ? SORT_LETTER : unicode_is_number(code) ? SORT_NUMBER : SORT_OTHER;
}

/* The end of a run of at most `most` of one sort. */
static const uint8_t *run_end(const uint8_t *at, const uint8_t *end, enum sort sort, size_t most)
{
    for (const uint8_t *next = at; most > 0 && sort_at(at, end, &next) == sort; at = next)
        most--;
    return at;
}

/* The end of 's, 't, 're, 've, 'm, 'll, 'd; or NULL. In any case: also with the long s. */
static const uint8_t *contraction(const uint8_t *at, const uint8_t *end, bool any_case)
{
    static const char *const tails[] = {"s", "t", "re", "ve", "m", "ll", "d"};
    if (end - at < 2 || *at != '\'')
        return NULL;
    at++;
    if (any_case && end - at >= 2 && at[0] == 0xc5 && at[1] == 0xbf)
        return at + 2;
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        const size_t n = strlen(tails[i]);
        size_t same = 0;
        while (same < n && at + same < end &&
               (any_case && at[same] < 0x80 ? at[same] | 32 : at[same]) == tails[i][same])
            same++;
        if (same == n)
            return at + n;
    }
    return NULL;
}

/* Space up to what is no space; its last one stays for what follows, if there is another before it. */
static const uint8_t *space(const uint8_t *at, const uint8_t *end)
{
    const uint8_t *last = at, *next = at;
    size_t n = 0;
    for (const uint8_t *p = at; sort_at(p, end, &next) == SORT_SPACE; p = next, n++)
        last = p;
    const uint8_t *stop = n ? run_end(last, end, SORT_SPACE, 1) : at;
    return stop < end && n > 1 ? last : stop;
}

/* GPT-2: 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
static const uint8_t *next_gpt2(const uint8_t *at, const uint8_t *end)
{
    const uint8_t *next = at, *short_end = contraction(at, end, false);
    if (short_end)
        return short_end;
    const uint8_t *body = *at == ' ' ? at + 1 : at;
    const enum sort sort = sort_at(body, end, &next);
    return sort == SORT_SPACE || sort == SORT_END ? space(at, end) : run_end(body, end, sort, SIZE_MAX);
}

static bool is_line_end(uint8_t byte)
{
    return byte == '\r' || byte == '\n';
}

/* Behind the last line end of the space that begins here; NULL: it has none. */
static const uint8_t *line_ends(const uint8_t *at, const uint8_t *end)
{
    const uint8_t *found = NULL;
    for (const uint8_t *next = at; sort_at(at, end, &next) == SORT_SPACE; at = next)
        if (is_line_end(*at))
            found = next;
    return found;
}

static const uint8_t *next_llama(const uint8_t *at, const uint8_t *end, size_t most_digits)
{
    const uint8_t *next = at, *behind = at, *short_end = contraction(at, end, true);
    if (short_end)
        return short_end;
    const enum sort sort = sort_at(at, end, &next);
    if (sort == SORT_LETTER)
        return run_end(at, end, sort, SIZE_MAX);
    if (sort != SORT_NUMBER && !is_line_end(*at) && sort_at(next, end, &behind) == SORT_LETTER)
        return run_end(next, end, SORT_LETTER, SIZE_MAX);
    if (sort == SORT_NUMBER)
        return run_end(at, end, sort, most_digits);
    const uint8_t *body = *at == ' ' ? at + 1 : at;
    if (sort_at(body, end, &next) == SORT_OTHER) {
        body = run_end(body, end, SORT_OTHER, SIZE_MAX);
        while (body < end && is_line_end(*body))
            body++;
        return body;
    }
    const uint8_t *lines = line_ends(at, end);
    return lines ? lines : space(at, end);
}

int tokenizer_split_expression(struct bytes pattern)
{
    if (bytes_is(pattern, BEFORE_DIGITS BEHIND_DIGITS))
        return 1;
    return bytes_is(pattern, BEFORE_DIGITS "{1,3}" BEHIND_DIGITS) ? 3 : -1;
}

static bool split_text(struct tokenizer_run *run, int step, struct bytes piece)
{
    const struct tokenizer_step *settings = step_of(run, step);
    if (!settings->regex_digits)
        return split_by(run, step, piece, find_text, (enum tokenizer_behavior)settings->behavior);
    for (const uint8_t *at = piece.at, *next; at < piece.end && !tokenizer_full(run); at = next) {
        next = next_llama(at, piece.end, (size_t)settings->regex_digits);
        if (!spend(run, next - at) || !hand_on(run, step, at, next))
            return false;
    }
    return true;
}

/* --- byte level --------------------------------------------------------------------------------------------------- */

/* Printable Latin-1 stands for itself, the rest for what follows U+0100, in order. */
static bool is_itself(int byte)
{
    return (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

uint32_t tokenizer_split_code(uint8_t byte)
{
    if (is_itself(byte))
        return byte;
    return byte <= ' ' ? 0x100u + byte : byte == 0xad ? 0x143 : 0x100u + 33 + (byte - 0x7fu);
}

int tokenizer_split_byte(uint32_t code)
{
    if (code < 0x100)
        return is_itself((int)code) ? (int)code : -1;
    if (code > 0x143)
        return -1;
    return code == 0x143 ? 0xad : code <= 0x120 ? (int)code - 0x100 : (int)code - 0x121 + 0x7f;
}

static bool map_bytes(struct tokenizer_run *run, int step, const uint8_t *at, const uint8_t *end)
{
    struct unicode_text *mapped = &run->mapped[step];
    mapped->n = 0;
    for (; at < end; at++)
        if (!unicode_put_code(mapped, tokenizer_split_code(*at), run->err))
            return false;
    return hand_on(run, step, mapped->at, mapped->at + mapped->n);
}

static bool byte_level(struct tokenizer_run *run, int step, struct bytes piece)
{
    const struct tokenizer_step *settings = step_of(run, step);
    struct unicode_text *prefixed = &run->prefixed[step];
    if (settings->add_prefix_space && *piece.at != ' ') {
        prefixed->n = 0;
        if (!unicode_put(prefixed, " ", 1, run->err) || !unicode_put(prefixed, piece.at, bytes_size(piece), run->err))
            return false;
        piece = unicode_bytes(prefixed);
    }
    for (const uint8_t *at = piece.at, *next; at < piece.end && !tokenizer_full(run); at = next) {
        next = settings->use_regex ? next_gpt2(at, piece.end) : piece.end;
        if (!spend(run, next - at) || !map_bytes(run, step, at, next))
            return false;
    }
    return true;
}

/* --- metaspace ---------------------------------------------------------------------------------------------------- */

static bool metaspace(struct tokenizer_run *run, int step, struct bytes piece)
{
    const struct tokenizer_step *settings = step_of(run, step);
    const struct bytes sign = settings->from;
    struct unicode_text *to = &run->mapped[step];
    const bool first = piece.at == run->begin,
               spaced = *piece.at == ' ' || bytes_begin(piece, sign.at, bytes_size(sign));
    to->n = 0;
    if (!spaced && (settings->scheme == SCHEME_ALWAYS || (settings->scheme == SCHEME_FIRST && first)) &&
        !unicode_put(to, sign.at, bytes_size(sign), run->err))
        return false;
    if (!spend(run, (int64_t)bytes_size(piece)))
        return false;
    for (const uint8_t *at = piece.at; at < piece.end; at++)
        if (!(*at == ' ' ? unicode_put(to, sign.at, bytes_size(sign), run->err) : unicode_put(to, at, 1, run->err)))
            return false;
    if (first)
        run->begin = to->at;
    return settings->split ? split_by(run, step, unicode_bytes(to), find_text, BEHAVIOR_WITH_NEXT)
                           : hand_on(run, step, to->at, to->at + to->n);
}

/* --- all ---------------------------------------------------------------------------------------------------------- */

static splitter *const splitters[] = {
    [SPLITTER_BERT] = bert,
    [SPLITTER_WHITESPACE] = whitespace,
    [SPLITTER_WHITESPACE_SPLIT] = whitespace_split,
    [SPLITTER_PUNCTUATION] = punctuation,
    [SPLITTER_DIGITS] = digits,
    [SPLITTER_DELIMITER] = delimiter,
    [SPLITTER_BYTE_LEVEL] = byte_level,
    [SPLITTER_METASPACE] = metaspace,
    [SPLITTER_SPLIT] = split_text,
};

static bool run_model(struct tokenizer_run *run, struct bytes piece)
{
    if (bytes_size(piece) > TOKENIZER_PIECE_MAX)
        return err_set(run->err, ERR_TOO_LARGE,
                       "the text has %zu bytes that the tokenizer does not split; at most %zu are taken",
                       bytes_size(piece), TOKENIZER_PIECE_MAX);
    switch (run->tokenizer->kind) {
    case MODEL_BPE:
        return tokenizer_bpe_cut(run, piece);
    case MODEL_UNIGRAM:
        return tokenizer_unigram_cut(run, piece);
    default:
        return tokenizer_wordpiece_cut(run, piece);
    }
}

bool tokenizer_split(struct tokenizer_run *run, int step, struct bytes piece)
{
    if (tokenizer_full(run) || bytes_size(piece) == 0)
        return true;
    if (step == run->tokenizer->splitters.n)
        return run_model(run, piece);
    return splitters[step_of(run, step)->kind](run, step, piece);
}
