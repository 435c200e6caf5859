/*
 * tokenizer_json.c - reads Hugging Face's tokenizer.json.
 *
 * Tables say which types of normalizers, splitters ("pre_tokenizers") and decoders there are and which keys each has.
 * What is not in them is refused with its place: a tokenizer that is nearly right gives a network ids that it was not
 * taught, and nobody notices. The text is read by a cursor, not into a tree: vocabularies have some hundred thousand
 * tokens, which stay where they are in the file's text.
 *
 * Threads: a loader's.
 */
#include "serve/tokenizer_json.h"

#include "base/err.h"
#include "base/utf8.h"
#include "serve/json.h"
#include "serve/tokenizer_parts.h"

#include <stddef.h>
#include <stdio.h>

#define AFFIX_MOST 64    /* bytes of prefix and suffix */
#define ADDED_MOST 65536 /* added tokens */
#define GAPS_MOST 65536  /* ids that no token has */
#define NOT_SERVED "is not served: only what is computed exactly as it is meant"

struct reader {
    struct json json;
    struct tokenizer *tokenizer;
    struct arena *arena;
    struct percept_err *err;
};

static bool refuse(struct reader *reader, const char *format, ...) __attribute__((cold, format(printf, 2, 3)));

static bool refuse(struct reader *reader, const char *format, ...)
{
    char sentence[400];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    if (!reader->json.failed)
        err_set(reader->err, ERR_CONFIG, "%s", sentence);
    reader->json.failed = true;
    return false;
}

/* null is next, and stepped over. */
static bool is_null(struct reader *reader)
{
    return json_peek(&reader->json) == 'n' && json_skip(&reader->json);
}

static bool read_int(struct reader *reader, const char *what, int64_t most, int *value)
{
    uint64_t number;
    if (!json_uint(&reader->json, what, &number))
        return false;
    if (number > (uint64_t)most)
        return refuse(reader, "%s is %llu; at most %lld is taken", what, (unsigned long long)number, (long long)most);
    *value = (int)number;
    return true;
}

/* The text under "type" of the object that is next; the cursor stays before it. Empty: there is none. */
static bool peek_type(struct reader *reader, const char *section, struct bytes *type)
{
    const struct json before = reader->json;
    struct json_keys keys = {0};
    struct bytes key;
    *type = (struct bytes){0};
    if (json_peek(&reader->json) != '{')
        return refuse(reader, "%s: expected an object", section);
    if (!json_open(&reader->json, '{'))
        return false;
    while (json_key(&reader->json, &keys, &key)) {
        keys.n = keys.n > 32 ? 0 : keys.n;
        if (!(bytes_is(key, "type") ? json_text(&reader->json, "a type", type) : json_skip(&reader->json)))
            return false;
    }
    if (reader->json.failed)
        return false;
    reader->json = before;
    return true;
}

/* --- steps: which types there are, and their keys ----------------------------------------------------------------- */

enum field_type { FIELD_FLAG, FIELD_MAYBE, FIELD_TEXT, FIELD_COUNT, FIELD_CHOICE, FIELD_PATTERN, FIELD_IGNORED };

struct field {
    const char *key;
    enum field_type type;
    size_t at; /* in struct tokenizer_step */
    const char *const *choices;
};

#define FIELDS_MOST 5

struct type {
    const char *name;
    int kind;
    struct field fields[FIELDS_MOST];
};

static const char *const behaviors[] = {"Removed",        "Isolated",   "MergedWithPrevious",
                                        "MergedWithNext", "Contiguous", NULL};
static const char *const schemes[] = {"always", "first", "never", NULL};

#define AT(member) offsetof(struct tokenizer_step, member)
#define METASPACE_FIELDS                                                                                               \
    {                                                                                                                  \
        {"replacement", FIELD_TEXT, AT(from), NULL}, {"add_prefix_space", FIELD_FLAG, AT(add_prefix_space), NULL},     \
            {"prepend_scheme", FIELD_CHOICE, AT(scheme), schemes}, {"split", FIELD_FLAG, AT(split), NULL},             \
        {                                                                                                              \
            "str_rep", FIELD_IGNORED, 0, NULL                                                                          \
        }                                                                                                              \
    }
#define BYTE_LEVEL_FIELDS                                                                                              \
    {                                                                                                                  \
        {"add_prefix_space", FIELD_FLAG, AT(add_prefix_space), NULL}, {"trim_offsets", FIELD_IGNORED, 0, NULL},        \
        {                                                                                                              \
            "use_regex", FIELD_FLAG, AT(use_regex), NULL                                                               \
        }                                                                                                              \
    }
#define REPLACE_FIELDS                                                                                                 \
    {                                                                                                                  \
        {"pattern", FIELD_PATTERN, 0, NULL},                                                                           \
        {                                                                                                              \
            "content", FIELD_TEXT, AT(to), NULL                                                                        \
        }                                                                                                              \
    }

static const struct type normalizers[] = {
    {"BertNormalizer",
     NORMALIZER_BERT,
     {{"clean_text", FIELD_FLAG, AT(clean_text), NULL},
      {"handle_chinese_chars", FIELD_FLAG, AT(chinese), NULL},
      {"strip_accents", FIELD_MAYBE, AT(strip_accents), NULL},
      {"lowercase", FIELD_FLAG, AT(lowercase), NULL}}},
    {"NFC", NORMALIZER_NFC, {{0}}},
    {"NFD", NORMALIZER_NFD, {{0}}},
    {"NFKC", NORMALIZER_NFKC, {{0}}},
    {"NFKD", NORMALIZER_NFKD, {{0}}},
    {"Lowercase", NORMALIZER_LOWERCASE, {{0}}},
    {"StripAccents", NORMALIZER_STRIP_ACCENTS, {{0}}},
    {"Strip",
     NORMALIZER_STRIP,
     {{"strip_left", FIELD_FLAG, AT(left), NULL}, {"strip_right", FIELD_FLAG, AT(right), NULL}}},
    {"Prepend", NORMALIZER_PREPEND, {{"prepend", FIELD_TEXT, AT(from), NULL}}},
    {"Replace", NORMALIZER_REPLACE, REPLACE_FIELDS},
    {0}};

static const struct type splitters[] = {
    {"BertPreTokenizer", SPLITTER_BERT, {{0}}},
    {"Whitespace", SPLITTER_WHITESPACE, {{0}}},
    {"WhitespaceSplit", SPLITTER_WHITESPACE_SPLIT, {{0}}},
    {"Punctuation", SPLITTER_PUNCTUATION, {{"behavior", FIELD_CHOICE, AT(behavior), behaviors}}},
    {"Digits", SPLITTER_DIGITS, {{"individual_digits", FIELD_FLAG, AT(individual), NULL}}},
    {"CharDelimiterSplit", SPLITTER_DELIMITER, {{"delimiter", FIELD_TEXT, AT(from), NULL}}},
    {"ByteLevel", SPLITTER_BYTE_LEVEL, BYTE_LEVEL_FIELDS},
    {"Metaspace", SPLITTER_METASPACE, METASPACE_FIELDS},
    {"Split",
     SPLITTER_SPLIT,
     {{"pattern", FIELD_PATTERN, 0, NULL},
      {"behavior", FIELD_CHOICE, AT(behavior), behaviors},
      {"invert", FIELD_FLAG, AT(invert), NULL}}},
    {0}};

static const struct type decoders[] = {
    {"ByteLevel", DECODER_BYTE_LEVEL, BYTE_LEVEL_FIELDS},
    {"WordPiece",
     DECODER_WORDPIECE,
     {{"prefix", FIELD_TEXT, AT(from), NULL}, {"cleanup", FIELD_FLAG, AT(cleanup), NULL}}},
    {"Metaspace", DECODER_METASPACE, METASPACE_FIELDS},
    {"BPEDecoder", DECODER_BPE, {{"suffix", FIELD_TEXT, AT(from), NULL}}},
    {"Replace", DECODER_REPLACE, REPLACE_FIELDS},
    {"ByteFallback", DECODER_BYTE_FALLBACK, {{0}}},
    {"Fuse", DECODER_FUSE, {{0}}},
    {"Strip",
     DECODER_STRIP,
     {{"content", FIELD_TEXT, AT(from), NULL},
      {"start", FIELD_COUNT, AT(start), NULL},
      {"stop", FIELD_COUNT, AT(stop), NULL}}},
    {0}};

/* A list of steps in the file: "normalizer" and so on. */
struct section {
    const char *name, *list; /* list: the key of a Sequence's parts */
    const struct type *types;
    struct tokenizer_steps *steps;
};

static bool read_choice(struct reader *reader, const struct field *field, int *value)
{
    struct bytes text;
    if (!json_text(&reader->json, field->key, &text))
        return false;
    for (int i = 0; field->choices[i]; i++)
        if (bytes_is(text, field->choices[i])) {
            *value = i;
            return true;
        }
    return refuse(reader, "%s '" BYTES_FMT "' " NOT_SERVED, field->key, BYTES_ARG(text));
}

/* {"String": "..."}, or {"Regex": "..."} of a known one. */
static bool read_pattern(struct reader *reader, struct tokenizer_step *step)
{
    struct json_keys keys = {0};
    struct bytes key, text = {0};
    bool expression = false;
    if (!json_open(&reader->json, '{'))
        return false;
    while (json_key(&reader->json, &keys, &key)) {
        expression = bytes_is(key, "Regex");
        if (text.at || (!expression && !bytes_is(key, "String")))
            return refuse(reader, "a pattern has one of 'String' and 'Regex'");
        if (!json_text(&reader->json, "a pattern", &text))
            return false;
    }
    step->regex_digits = expression ? tokenizer_split_expression(text) : 0;
    if (step->regex_digits < 0)
        return refuse(reader, "the expression '" BYTES_FMT "' " NOT_SERVED, BYTES_ARG(text));
    step->from = text;
    return !reader->json.failed;
}

static bool read_field(struct reader *reader, const struct field *field, struct tokenizer_step *step)
{
    void *at = (char *)step + field->at;
    bool flag;
    switch (field->type) {
    case FIELD_FLAG:
        return json_bool(&reader->json, field->key, at);
    case FIELD_MAYBE:
        *(int *)at = -1;
        if (is_null(reader))
            return true;
        if (!json_bool(&reader->json, field->key, &flag))
            return false;
        *(int *)at = flag;
        return true;
    case FIELD_TEXT:
        return json_text(&reader->json, field->key, at);
    case FIELD_COUNT:
        return read_int(reader, field->key, 1000000, at);
    case FIELD_CHOICE:
        return read_choice(reader, field, at);
    case FIELD_PATTERN:
        return read_pattern(reader, step);
    default:
        return json_skip(&reader->json);
    }
}

static const struct field *find_field(const struct type *type, struct bytes key)
{
    for (int i = 0; i < FIELDS_MOST && type->fields[i].key; i++)
        if (bytes_is(key, type->fields[i].key))
            return &type->fields[i];
    return NULL;
}

/* What is put together that means nothing, or something else than it seems. */
static bool check_step(struct reader *reader, const struct section *section, const struct type *type,
                       const struct tokenizer_step *step, bool schemed)
{
    const char *const name = type->name;
    const bool searched =
        !!find_field(type, bytes_of_text("pattern")) || !!find_field(type, bytes_of_text("delimiter")) ||
        !!find_field(type, bytes_of_text("replacement")) || !!find_field(type, bytes_of_text("suffix"));
    if (searched && bytes_size(step->from) == 0)
        return refuse(reader, "%s: %s looks for nothing", section->name, name);
    if (step->regex_digits && (section->types != splitters || step->behavior != BEHAVIOR_ISOLATED || step->invert))
        return refuse(reader, "%s: %s with an expression is served as a splitter whose behavior is Isolated",
                      section->name, name);
    uint32_t code;
    if (find_field(type, bytes_of_text("replacement")) &&
        utf8_read(step->from.at, step->from.end, &code) != step->from.end)
        return refuse(reader, "%s: replacement must be one character", section->name);
    if (!step->add_prefix_space && schemed && step->scheme != SCHEME_NEVER && strcmp(name, "Metaspace") == 0)
        return refuse(reader, "%s: add_prefix_space is false, but prepend_scheme is '%s'", section->name,
                      schemes[step->scheme]);
    return true;
}

static bool read_step(struct reader *reader, const struct section *section, const struct type *type)
{
    struct tokenizer_steps *steps = section->steps;
    struct json_keys keys = {0};
    struct bytes key;
    if (steps->n == TOKENIZER_STEPS_MAX)
        return refuse(reader, "%s has more than %d parts", section->name, TOKENIZER_STEPS_MAX);
    struct tokenizer_step *step = &steps->at[steps->n++];
    *step = (struct tokenizer_step){.kind = type->kind,
                                    .clean_text = true,
                                    .chinese = true,
                                    .lowercase = true,
                                    .strip_accents = -1,
                                    .add_prefix_space = true,
                                    .use_regex = true,
                                    .split = true,
                                    .cleanup = true,
                                    .behavior = BEHAVIOR_ISOLATED};
    bool schemed = false;
    if (!json_open(&reader->json, '{'))
        return false;
    while (json_key(&reader->json, &keys, &key)) {
        const struct field *field = find_field(type, key);
        schemed = schemed || bytes_is(key, "prepend_scheme");
        if (!field && !bytes_is(key, "type"))
            return refuse(reader, "%s: %s with '" BYTES_FMT "' " NOT_SERVED, section->name, type->name, BYTES_ARG(key));
        if (!(field ? read_field(reader, field, step) : json_skip(&reader->json)))
            return false;
    }
    if (reader->json.failed)
        return false;
    if (!schemed && !step->add_prefix_space)
        step->scheme = SCHEME_NEVER;
    return check_step(reader, section, type, step, schemed);
}

static bool read_steps(struct reader *reader, const struct section *section);

/* {"type": "Sequence", "normalizers": [...]} */
static bool read_sequence(struct reader *reader, const struct section *section)
{
    struct json_keys keys = {0};
    struct bytes key;
    int64_t n = 0;
    if (!json_open(&reader->json, '{'))
        return false;
    while (json_key(&reader->json, &keys, &key)) {
        if (bytes_is(key, "type")) {
            if (!json_skip(&reader->json))
                return false;
            continue;
        }
        if (!bytes_is(key, section->list))
            return refuse(reader, "%s: a Sequence with '" BYTES_FMT "' " NOT_SERVED, section->name, BYTES_ARG(key));
        if (!json_open(&reader->json, '['))
            return false;
        while (json_item(&reader->json, &n))
            if (!read_steps(reader, section))
                return false;
    }
    return !reader->json.failed;
}

static bool read_steps(struct reader *reader, const struct section *section)
{
    struct bytes name;
    if (is_null(reader))
        return true;
    if (!peek_type(reader, section->name, &name))
        return false;
    if (bytes_is(name, "Sequence"))
        return read_sequence(reader, section);
    for (const struct type *type = section->types; type->name; type++)
        if (bytes_is(name, type->name))
            return read_step(reader, section, type);
    return refuse(reader, "%s: '" BYTES_FMT "' " NOT_SERVED, section->name, BYTES_ARG(name));
}

/* --- the model ---------------------------------------------------------------------------------------------------- */

/* What is read of a model before it is put together: merges need all tokens. */
struct model {
    struct bytes unknown_token;
    int unknown_id;
    int n, n_room;
    struct named {
        struct bytes token;
        int id;
        double score;
    } * tokens;
    struct json merges; /* where they begin */
    bool has_merges;
};

static bool add_named(struct reader *reader, struct model *model, struct named named)
{
    if (model->n == TOKENIZER_IDS_MAX)
        return refuse(reader, "model.vocab has more than %d tokens", TOKENIZER_IDS_MAX);
    if (model->n == model->n_room) {
        const int room = 2 * model->n_room + 1024;
        struct named *grown =
            arena_grow(reader->arena, model->tokens, (size_t)model->n_room * sizeof named, (size_t)room * sizeof named);
        if (!grown)
            return err_memory(reader->err, "a vocabulary", (size_t)room * sizeof named);
        model->tokens = grown;
        model->n_room = room;
    }
    model->tokens[model->n++] = named;
    return true;
}

/* {"token": id, ...} */
static bool read_vocab(struct reader *reader, struct model *model)
{
    struct json_keys keys = {0};
    struct named named = {0};
    if (!json_open(&reader->json, '{'))
        return false;
    while (json_key(&reader->json, &keys, &named.token)) {
        keys.n = 0; /* equal ones are found when they are put in a table */
        if (!read_int(reader, "an id of model.vocab", TOKENIZER_IDS_MAX - 1, &named.id) ||
            !add_named(reader, model, named))
            return false;
    }
    return !reader->json.failed;
}

/* [["token", score], ...] */
static bool read_scores(struct reader *reader, struct model *model)
{
    struct named named = {0};
    int64_t n = 0, part;
    if (!json_open(&reader->json, '['))
        return false;
    while (json_item(&reader->json, &n)) {
        part = 0;
        named.id = (int)(n - 1);
        if (!json_open(&reader->json, '[') || !json_item(&reader->json, &part) ||
            !json_text(&reader->json, "a token", &named.token) || !json_item(&reader->json, &part) ||
            !json_real(&reader->json, "a score", &named.score))
            return false;
        if (json_item(&reader->json, &part))
            return refuse(reader, "model.vocab: a token has more than a score");
        if (reader->json.failed || !add_named(reader, model, named))
            return false;
    }
    return !reader->json.failed;
}

static bool read_affix(struct reader *reader, const char *key, struct bytes *affix)
{
    if (is_null(reader))
        return true;
    if (!json_text(&reader->json, key, affix))
        return false;
    return bytes_size(*affix) <= AFFIX_MOST || refuse(reader, "model.%s is longer than %d bytes", key, AFFIX_MOST);
}

/* The merges wait until all tokens are known. */
static bool note_merges(struct reader *reader, struct model *model)
{
    json_peek(&reader->json);
    model->merges = reader->json;
    model->has_merges = true;
    return json_skip(&reader->json);
}

static bool read_dropout(struct reader *reader)
{
    double dropout = 0;
    if (is_null(reader))
        return true;
    return json_real(&reader->json, "dropout", &dropout) &&
           (dropout == 0 || refuse(reader, "model.dropout " NOT_SERVED));
}

static bool read_bpe_key(struct reader *reader, struct model *model, struct bytes key)
{
    struct tokenizer *tokenizer = reader->tokenizer;
    if (bytes_is(key, "merges"))
        return note_merges(reader, model);
    if (bytes_is(key, "dropout"))
        return read_dropout(reader);
    if (bytes_is(key, "end_of_word_suffix"))
        return read_affix(reader, "end_of_word_suffix", &tokenizer->suffix);
    if (bytes_is(key, "fuse_unk"))
        return json_bool(&reader->json, "fuse_unk", &tokenizer->fuse_unknown);
    if (bytes_is(key, "ignore_merges"))
        return json_bool(&reader->json, "ignore_merges", &tokenizer->ignore_merges);
    return refuse(reader, "model: BPE with '" BYTES_FMT "' " NOT_SERVED, BYTES_ARG(key));
}

static bool read_model_key(struct reader *reader, struct model *model, struct bytes key)
{
    struct tokenizer *tokenizer = reader->tokenizer;
    const enum tokenizer_kind kind = tokenizer->kind;
    if (bytes_is(key, "type"))
        return json_skip(&reader->json);
    if (bytes_is(key, "vocab"))
        return kind == MODEL_UNIGRAM ? read_scores(reader, model) : read_vocab(reader, model);
    if (bytes_is(key, "unk_id") && kind == MODEL_UNIGRAM)
        return is_null(reader) || read_int(reader, "model.unk_id", TOKENIZER_IDS_MAX - 1, &model->unknown_id);
    if (bytes_is(key, "unk_token") && kind != MODEL_UNIGRAM)
        return is_null(reader) || json_text(&reader->json, "unk_token", &model->unknown_token);
    if (bytes_is(key, "byte_fallback") && (kind == MODEL_UNIGRAM || kind == MODEL_BPE))
        return json_bool(&reader->json, "byte_fallback", &tokenizer->byte_fallback);
    if (bytes_is(key, "continuing_subword_prefix") && (kind == MODEL_WORDPIECE || kind == MODEL_BPE))
        return read_affix(reader, "continuing_subword_prefix", &tokenizer->prefix);
    if (bytes_is(key, "max_input_chars_per_word") && kind == MODEL_WORDPIECE)
        return read_int(reader, "model.max_input_chars_per_word", TOKENIZER_WORD_MAX, &tokenizer->word_max);
    if (kind == MODEL_BPE)
        return read_bpe_key(reader, model, key);
    return refuse(reader, "model: '" BYTES_FMT "' " NOT_SERVED, BYTES_ARG(key));
}

/* Tokens by id, and their table. */
static bool place_tokens(struct reader *reader, const struct model *model)
{
    struct tokenizer *tokenizer = reader->tokenizer;
    struct tokenizer_vocab *vocab = &tokenizer->vocab;
    for (int i = 0; i < model->n; i++)
        vocab->n = model->tokens[i].id >= vocab->n ? model->tokens[i].id + 1 : vocab->n;
    if (vocab->n > model->n + GAPS_MOST)
        return refuse(reader, "model.vocab has ids to %d for %d tokens", vocab->n - 1, model->n);
    vocab->tokens = arena_array(reader->arena, (size_t)vocab->n + GAPS_MOST, sizeof *vocab->tokens);
    tokenizer->scores =
        tokenizer->kind == MODEL_UNIGRAM ? arena_array(reader->arena, (size_t)vocab->n + 1, sizeof(double)) : NULL;
    if (!vocab->tokens || (tokenizer->kind == MODEL_UNIGRAM && !tokenizer->scores))
        return err_memory(reader->err, "a vocabulary", (size_t)vocab->n * sizeof *vocab->tokens);
    for (int i = 0; i < model->n; i++) {
        const struct named *named = &model->tokens[i];
        if (vocab->tokens[named->id].at)
            return refuse(reader, "model.vocab: the id %d is that of '" BYTES_FMT "' and of another token", named->id,
                          BYTES_ARG(named->token));
        vocab->tokens[named->id] = named->token;
        if (tokenizer->scores) {
            tokenizer->scores[named->id] = named->score;
            tokenizer->lowest = i == 0 || named->score < tokenizer->lowest ? named->score : tokenizer->lowest;
        }
    }
    return tokenizer_vocab_index(vocab, reader->arena, reader->err) || err_prefix(reader->err, "model.vocab: ");
}

/* "a b" or ["a", "b"] */
static bool read_pair(struct reader *reader, struct bytes *left, struct bytes *right)
{
    int64_t n = 0;
    if (json_peek(&reader->json) == '[') {
        if (!json_open(&reader->json, '[') || !json_item(&reader->json, &n) ||
            !json_text(&reader->json, "a token", left) || !json_item(&reader->json, &n) ||
            !json_text(&reader->json, "a token", right))
            return false;
        return !json_item(&reader->json, &n) && !reader->json.failed;
    }
    if (!json_text(&reader->json, "a merge", left))
        return false;
    const uint8_t *space = memchr(left->at, ' ', bytes_size(*left));
    if (!space || memchr(space + 1, ' ', (size_t)(left->end - space - 1)))
        return refuse(reader, "model.merges: '" BYTES_FMT "' is not two tokens with a space between", BYTES_ARG(*left));
    *right = (struct bytes){space + 1, left->end};
    left->end = space;
    return true;
}

static bool read_merges(struct reader *reader, const struct model *model)
{
    const struct json behind = reader->json;
    struct tokenizer_merge *merges = NULL;
    size_t n_room = 0;
    int64_t n = 0;
    if (!model->has_merges)
        return refuse(reader, "model: BPE without 'merges'");
    reader->json = model->merges;
    if (!json_open(&reader->json, '['))
        return false;
    while (json_item(&reader->json, &n)) {
        struct bytes left, right;
        if ((size_t)n > n_room) {
            const size_t room = 2 * n_room + 1024;
            merges = arena_grow(reader->arena, merges, n_room * sizeof *merges, room * sizeof *merges);
            n_room = room;
            if (!merges)
                return err_memory(reader->err, "merges", room * sizeof *merges);
        }
        if (!read_pair(reader, &left, &right))
            return refuse(reader, "model.merges: merge %lld is not two tokens", (long long)n - 1);
        if (!tokenizer_bpe_merge(reader->tokenizer, left, right, &merges[n - 1], reader->err))
            return err_prefix(reader->err, "model.merges: ");
    }
    if (reader->json.failed)
        return false;
    reader->json = behind;
    return tokenizer_bpe_index(reader->tokenizer, merges, (size_t)n, reader->arena, reader->err);
}

static bool find_unknown(struct reader *reader, const struct model *model)
{
    struct tokenizer *tokenizer = reader->tokenizer;
    tokenizer->unknown = model->unknown_id;
    if (tokenizer->kind == MODEL_UNIGRAM)
        return tokenizer->unknown < tokenizer->vocab.n ||
               refuse(reader, "model.unk_id is %d; there are %d tokens", tokenizer->unknown, tokenizer->vocab.n);
    if (!model->unknown_token.at)
        return true;
    tokenizer->unknown = tokenizer_vocab_find(&tokenizer->vocab, model->unknown_token);
    /* Word level and WordPiece may be told a token that they have not: then they have none. */
    return tokenizer->unknown >= 0 || tokenizer->kind != MODEL_BPE ||
           refuse(reader, "model.unk_token '" BYTES_FMT "' is no token", BYTES_ARG(model->unknown_token));
}

static bool read_model(struct reader *reader)
{
    static const char *const names[] = {"WordLevel", "WordPiece", "BPE", "Unigram"};
    struct model model = {.unknown_id = -1};
    struct json_keys keys = {0};
    struct bytes type, key;
    size_t kind = 0;
    if (!peek_type(reader, "model", &type))
        return false;
    while (kind < sizeof names / sizeof *names && !bytes_is(type, names[kind]))
        kind++;
    if (kind == sizeof names / sizeof *names)
        return refuse(reader, "model: the type '" BYTES_FMT "' " NOT_SERVED, BYTES_ARG(type));
    reader->tokenizer->kind = (enum tokenizer_kind)kind;
    reader->tokenizer->fuse_unknown = kind == MODEL_UNIGRAM;
    reader->tokenizer->word_max = 100;
    if (kind == MODEL_WORDPIECE)
        reader->tokenizer->prefix = bytes_of_text("##");
    if (!json_open(&reader->json, '{'))
        return false;
    while (json_key(&reader->json, &keys, &key))
        if (!read_model_key(reader, &model, key))
            return false;
    if (reader->json.failed)
        return false;
    if (!model.n)
        return refuse(reader, "model.vocab has no tokens");
    return place_tokens(reader, &model) && find_unknown(reader, &model) &&
           (kind != MODEL_BPE || read_merges(reader, &model));
}

/* --- added tokens ------------------------------------------------------------------------------------------------- */

static bool read_added(struct reader *reader, struct tokenizer_added *added)
{
    struct json_keys keys = {0};
    struct bytes key;
    bool single_word = false;
    *added = (struct tokenizer_added){.id = -1};
    if (!json_open(&reader->json, '{'))
        return false;
    while (json_key(&reader->json, &keys, &key)) {
        struct json *json = &reader->json;
        const bool read =
            bytes_is(key, "id")            ? read_int(reader, "an added token's id", TOKENIZER_IDS_MAX - 1, &added->id)
            : bytes_is(key, "content")     ? json_text(json, "content", &added->content)
            : bytes_is(key, "single_word") ? json_bool(json, "single_word", &single_word)
            : bytes_is(key, "lstrip")      ? json_bool(json, "lstrip", &added->lstrip)
            : bytes_is(key, "rstrip")      ? json_bool(json, "rstrip", &added->rstrip)
            : bytes_is(key, "normalized")  ? json_bool(json, "normalized", &added->normalized)
            : bytes_is(key, "special")     ? json_bool(json, "special", &added->special)
                                       : refuse(reader, "added_tokens: '" BYTES_FMT "' " NOT_SERVED, BYTES_ARG(key));
        if (!read)
            return false;
    }
    if (reader->json.failed)
        return false;
    if (added->id < 0 || bytes_size(added->content) == 0)
        return refuse(reader, "added_tokens: a token needs an id and content");
    return !single_word ||
           refuse(reader, "added_tokens: single_word of '" BYTES_FMT "' " NOT_SERVED, BYTES_ARG(added->content));
}

static bool read_all_added(struct reader *reader)
{
    struct tokenizer *tokenizer = reader->tokenizer;
    size_t n_room = 0;
    int64_t n = 0;
    if (is_null(reader))
        return true;
    if (!json_open(&reader->json, '['))
        return false;
    while (json_item(&reader->json, &n)) {
        if (n > ADDED_MOST)
            return refuse(reader, "added_tokens: more than %d", ADDED_MOST);
        if ((size_t)n > n_room) {
            const size_t room = 2 * n_room + 16, size = sizeof *tokenizer->added;
            tokenizer->added = arena_grow(reader->arena, tokenizer->added, n_room * size, room * size);
            n_room = room;
            if (!tokenizer->added)
                return err_memory(reader->err, "added tokens", room * size);
        }
        if (!read_added(reader, &tokenizer->added[n - 1]))
            return false;
        tokenizer->n_added = (int)n;
    }
    return !reader->json.failed;
}

/* Added tokens have ids of their own, or those that the model has for them. They are found in texts by the finders
 * alone, so the model's table does not get them. */
static bool place_added(struct reader *reader)
{
    struct tokenizer *tokenizer = reader->tokenizer;
    struct tokenizer_vocab *vocab = &tokenizer->vocab;
    const int n = vocab->n;
    for (int i = 0; i < tokenizer->n_added; i++) {
        const struct tokenizer_added *added = &tokenizer->added[i];
        const int known = tokenizer_vocab_find(vocab, added->content);
        if (known >= 0 && known != added->id)
            return refuse(reader, "added_tokens: '" BYTES_FMT "' has the id %d, but %d in model.vocab",
                          BYTES_ARG(added->content), added->id, known);
        if (added->id >= n + GAPS_MOST)
            return refuse(reader, "added_tokens: the id %d of '" BYTES_FMT "' is far from the others", added->id,
                          BYTES_ARG(added->content));
        if (known < 0 && vocab->tokens[added->id].at)
            return refuse(reader, "added_tokens: the id %d is that of '" BYTES_FMT "' and of another token", added->id,
                          BYTES_ARG(added->content));
        vocab->tokens[added->id] = added->content;
        vocab->n = added->id >= vocab->n ? added->id + 1 : vocab->n;
    }
    return true;
}

/* --- what is put around a text ------------------------------------------------------------------------------------ */

/* ["[SEP]", 102] */
static bool read_special(struct reader *reader, int *id)
{
    struct bytes token;
    int64_t n = 0;
    if (!json_open(&reader->json, '[') || !json_item(&reader->json, &n) ||
        !json_text(&reader->json, "a token", &token) || !json_item(&reader->json, &n) ||
        !read_int(reader, "an id of post_processor", TOKENIZER_IDS_MAX - 1, id))
        return false;
    return !json_item(&reader->json, &n) && !reader->json.failed;
}

/* BertProcessing, RobertaProcessing: cls before, sep behind. */
static bool read_pair_processor(struct reader *reader)
{
    struct json_keys keys = {0};
    struct bytes key;
    if (!json_open(&reader->json, '{'))
        return false;
    while (json_key(&reader->json, &keys, &key)) {
        const bool read = bytes_is(key, "sep")   ? read_special(reader, &reader->tokenizer->end)
                          : bytes_is(key, "cls") ? read_special(reader, &reader->tokenizer->start)
                          : bytes_is(key, "type") || bytes_is(key, "trim_offsets") || bytes_is(key, "add_prefix_space")
                              ? json_skip(&reader->json)
                              : refuse(reader, "post_processor: '" BYTES_FMT "' " NOT_SERVED, BYTES_ARG(key));
        if (!read)
            return refuse(reader, "post_processor: sep and cls are a token and its id each");
    }
    return !reader->json.failed;
}

struct template
{
    int n_before, n_behind, n_texts;
    struct bytes before, behind; /* names of special tokens */
};

/* {"SpecialToken": {"id": "[CLS]", "type_id": 0}} or {"Sequence": {"id": "A", "type_id": 0}} */
static bool read_piece(struct reader *reader, struct template *template)
{
    struct json_keys keys = {0}, inner = {0};
    struct bytes kind, key, id = {0};
    if (!json_open(&reader->json, '{') || !json_key(&reader->json, &keys, &kind) || !json_open(&reader->json, '{'))
        return false;
    while (json_key(&reader->json, &inner, &key))
        if (!(bytes_is(key, "id") ? json_text(&reader->json, "id", &id) : json_skip(&reader->json)))
            return false;
    const bool text = bytes_is(kind, "Sequence");
    struct bytes again;
    if (json_key(&reader->json, &keys, &again) || reader->json.failed)
        return false;
    if (!text && !bytes_is(kind, "SpecialToken"))
        return false;
    if (text) {
        template->n_texts++;
        return bytes_is(id, "A");
    }
    template->n_before += !template->n_texts;
    template->n_behind += template->n_texts > 0;
    *(template->n_texts ? &template->behind : &template->before) = id;
    return true;
}

static bool read_single(struct reader *reader, struct template *template)
{
    int64_t n = 0;
    if (!json_open(&reader->json, '['))
        return false;
    while (json_item(&reader->json, &n))
        if (!read_piece(reader, template))
            return refuse(reader, "post_processor: part %lld of 'single' " NOT_SERVED, (long long)n - 1);
    if (!reader->json.failed && (template->n_texts != 1 || template->n_before > 1 || template->n_behind > 1))
        return refuse(reader, "post_processor: 'single' is served with the text once, and at most one token before it "
                              "and one behind it");
    return !reader->json.failed;
}

/* Reads each item of the list under a key of the object that is next, past its other members; `n` counts them. */
static bool read_each(struct reader *reader, const char *list, bool (*read)(struct reader *, int *), int *to,
                      int64_t *n)
{
    struct json_keys keys = {0};
    struct bytes key;
    *n = 0;
    if (!json_open(&reader->json, '{'))
        return false;
    while (json_key(&reader->json, &keys, &key)) {
        if (!(bytes_is(key, list) ? json_open(&reader->json, '[') : json_skip(&reader->json)))
            return false;
        while (bytes_is(key, list) && json_item(&reader->json, n))
            if (!read(reader, to))
                return false;
    }
    return !reader->json.failed;
}

static bool read_special_id(struct reader *reader, int *id)
{
    return read_int(reader, "an id of post_processor", TOKENIZER_IDS_MAX - 1, id);
}

/* {"id": "[CLS]", "ids": [101], "tokens": ["[CLS]"]} */
static bool read_special_ids(struct reader *reader, int *id)
{
    int64_t n;
    return read_each(reader, "ids", read_special_id, id, &n) &&
           (n == 1 || refuse(reader, "post_processor: a special token is served with one id"));
}

static bool read_specials(struct reader *reader, const struct template *template)
{
    struct tokenizer *tokenizer = reader->tokenizer;
    struct json_keys keys = {0};
    struct bytes key;
    if (!json_open(&reader->json, '{'))
        return false;
    while (json_key(&reader->json, &keys, &key)) {
        int id = -1;
        if (!read_special_ids(reader, &id))
            return false;
        if (template->n_before && bytes_equal(key, template->before))
            tokenizer->start = id;
        if (template->n_behind && bytes_equal(key, template->behind))
            tokenizer->end = id;
    }
    if (reader->json.failed)
        return false;
    if ((template->n_before && tokenizer->start < 0) || (template->n_behind && tokenizer->end < 0))
        return refuse(reader, "post_processor: 'single' has a token that special_tokens does not");
    return true;
}

static bool read_template(struct reader *reader)
{
    const struct json before = reader->json;
    struct template template = {0};
    for (int pass = 0; pass < 2; pass++) { /* special_tokens may come before what they are for */
        struct json_keys keys = {0};
        struct bytes key;
        bool seen = false;
        reader->json = before;
        if (!json_open(&reader->json, '{'))
            return false;
        while (json_key(&reader->json, &keys, &key)) {
            const bool mine = bytes_is(key, pass ? "special_tokens" : "single");
            seen = seen || mine;
            if (!mine && !bytes_is(key, "type") && !bytes_is(key, "single") && !bytes_is(key, "pair") &&
                !bytes_is(key, "special_tokens"))
                return refuse(reader, "post_processor: '" BYTES_FMT "' " NOT_SERVED, BYTES_ARG(key));
            if (!(!mine  ? json_skip(&reader->json)
                  : pass ? read_specials(reader, &template)
                         : read_single(reader, &template)))
                return false;
        }
        if (reader->json.failed)
            return false;
        if (!seen && (!pass || template.n_before || template.n_behind))
            return refuse(reader, "post_processor: a template needs 'single' and 'special_tokens'");
    }
    return true;
}

static bool read_processor(struct reader *reader, int *unused)
{
    int64_t n;
    struct bytes type;
    if (is_null(reader))
        return true;
    if (!peek_type(reader, "post_processor", &type))
        return false;
    if (bytes_is(type, "ByteLevel"))
        return json_skip(&reader->json); /* it sets places of tokens in the text, no ids */
    if (bytes_is(type, "Sequence"))
        return read_each(reader, "processors", read_processor, unused, &n);
    if (reader->tokenizer->start >= 0 || reader->tokenizer->end >= 0)
        return refuse(reader, "post_processor: two that put tokens around a text");
    if (bytes_is(type, "BertProcessing") || bytes_is(type, "RobertaProcessing"))
        return read_pair_processor(reader);
    if (bytes_is(type, "TemplateProcessing"))
        return read_template(reader);
    return refuse(reader, "post_processor: '" BYTES_FMT "' " NOT_SERVED, BYTES_ARG(type));
}

/* --- the file ----------------------------------------------------------------------------------------------------- */

static bool read_key(struct reader *reader, struct bytes key, unsigned *seen)
{
    struct tokenizer *tokenizer = reader->tokenizer;
    if (bytes_is(key, "version") || bytes_is(key, "truncation") || bytes_is(key, "padding"))
        return json_skip(&reader->json);
    if (bytes_is(key, "normalizer"))
        return read_steps(reader, &(struct section){"normalizer", "normalizers", normalizers, &tokenizer->normalizers});
    if (bytes_is(key, "pre_tokenizer"))
        return read_steps(reader,
                          &(struct section){"pre_tokenizer", "pretokenizers", splitters, &tokenizer->splitters});
    if (bytes_is(key, "decoder"))
        return read_steps(reader, &(struct section){"decoder", "decoders", decoders, &tokenizer->decoders});
    if (bytes_is(key, "post_processor"))
        return read_processor(reader, NULL);
    if (bytes_is(key, "added_tokens"))
        return read_all_added(reader);
    if (!bytes_is(key, "model"))
        return refuse(reader, "'" BYTES_FMT "' " NOT_SERVED, BYTES_ARG(key));
    *seen = 1;
    return read_model(reader);
}

/* What stands in the beginning of a text is known only while nothing is taken away there. */
static bool check_first(struct reader *reader)
{
    const struct tokenizer *tokenizer = reader->tokenizer;
    bool first = false;
    for (int i = 0; i < tokenizer->splitters.n; i++)
        first = first || (tokenizer->splitters.at[i].kind == SPLITTER_METASPACE &&
                          tokenizer->splitters.at[i].scheme == SCHEME_FIRST);
    for (int i = 0; first && i < tokenizer->normalizers.n; i++) {
        const struct tokenizer_step *step = &tokenizer->normalizers.at[i];
        if (step->kind == NORMALIZER_BERT || step->kind == NORMALIZER_STRIP || step->kind == NORMALIZER_STRIP_ACCENTS ||
            (step->kind == NORMALIZER_REPLACE && bytes_size(step->to) == 0))
            return refuse(reader, "pre_tokenizer: prepend_scheme 'first' behind a normalizer that takes away "
                                  "characters " NOT_SERVED);
    }
    return true;
}

static bool read_file(struct reader *reader)
{
    struct json_keys keys = {0};
    struct bytes key;
    unsigned seen = 0;
    if (!json_open(&reader->json, '{'))
        return false;
    while (json_key(&reader->json, &keys, &key))
        if (!read_key(reader, key, &seen))
            return false;
    if (!json_finish(&reader->json))
        return false;
    if (!seen)
        return refuse(reader, "there is no 'model'");
    return check_first(reader) && place_added(reader) &&
           tokenizer_finish(reader->tokenizer, reader->arena, reader->err);
}

const struct tokenizer *tokenizer_json_read(struct bytes text, struct arena *arena, struct percept_err *err)
{
    struct tokenizer *tokenizer = arena_alloc(arena, sizeof *tokenizer);
    if (!tokenizer)
        return err_null(err, ERR_MEMORY, "out of memory for a tokenizer");
    *tokenizer = (struct tokenizer){.unknown = -1, .start = -1, .end = -1};
    struct reader reader = {.json = json_of(text, arena, err), .tokenizer = tokenizer, .arena = arena, .err = err};
    reader.json.what = "the file";
    return read_file(&reader) ? tokenizer : NULL;
}
