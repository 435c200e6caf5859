/*
 * json.c - the cursor of json.h.
 *
 * A text without escapes is a view of the body; one with escapes is decoded into the arena, where
 * it can only get shorter. Values that nobody asked for are walked recursively, which
 * JSON_DEPTH_MAX bounds. The bytes of a tensor's data are passed 64 at a time where no bracket or
 * quote is among them, which costs a twentieth of reading them.
 */
#include "serve/json.h"

#include "base/err.h"
#include "base/number.h"
#include "base/utf8.h"

#include <ctype.h>
#include <stdio.h>
#include <strings.h>

struct json json_of(struct bytes text, struct arena *arena, struct percept_err *err)
{
    return (struct json){.begin = text.at, .at = utf8_past_mark(text).at, .end = text.end, .arena = arena, .err = err};
}

bool json_fail(struct json *json, const char *format, ...)
{
    if (json->failed)
        return false;
    char sentence[300];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    json->failed = true;
    return err_set(json->err, ERR_INVALID, "failed to parse %s: %s at byte %td",
                   json->what ? json->what : "the request JSON", sentence, json->at - json->begin);
}

uint8_t json_peek(struct json *json)
{
    if (json->failed)
        return 0;
    json_space(json);
    return json->at < json->end ? *json->at : 0;
}

void json_space_more(struct json *json)
{
    const uint8_t *from = json->at;
    while (json->at < json->end && (*json->at == ' ' || *json->at == '\n' || *json->at == '\r' || *json->at == '\t')) {
        json->at++;
        if (json->at - from >= 4096) {
            if (!json_spend(json, json->at - from))
                json->at = json->end;
            from = json->at;
        }
    }
}

/* --- what people write that JSON does not have -------------------------------------------------------------------- */

static bool begins(const struct json *json, const char *word)
{
    size_t n = strlen(word);
    return (size_t)(json->end - json->at) >= n && strncasecmp((const char *)json->at, word, n) == 0;
}

/* The same, and the word ends there. */
static bool begins_whole(const struct json *json, const char *word)
{
    const uint8_t *end = begins(json, word) ? json->at + strlen(word) : NULL;
    return end && (end == json->end || !(isalnum(*end) || *end == '_'));
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* The last byte before the cursor that is no white space, or 0. */
static uint8_t before(const struct json *json)
{
    for (const uint8_t *at = json->at; at > json->begin && json->at - at < 1024;)
        if (!strchr(" \t\r\n", *--at) || !*at)
            return *at;
    return 0;
}

static const char *misspelt(const struct json *json)
{
    static const struct {
        const char *word, *says;
    } words[] = {
        {"nan", "a word for not a number; in tensors' data it is written NaN, elsewhere not at all"},
        {"-nan", "a signed NaN; it is written NaN"},
        {"inf", "a word for infinity; in tensors' data it is written Infinity, elsewhere not at all"},
        {"infinity", "a word for infinity; in tensors' data it is written Infinity, elsewhere not at all"},
        {"-inf", "a word for infinity; in tensors' data it is written -Infinity"},
        {"-infinity", "a word for infinity; in tensors' data it is written -Infinity"},
        {"none", "Python's None; JSON has null"},
        {"true", "a capital letter in true"},
        {"false", "a capital letter in false"},
        {"null", "null"},
        {"undefined", "JavaScript's undefined; JSON has null"},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (begins_whole(json, words[i].word))
            return *json->at == 't' || *json->at == 'f' ? NULL : words[i].says;
    return NULL;
}

/* The cursor is inside of a number that JSON does not have, or behind one that it has. */
static const char *broken_number(const struct json *json)
{
    uint8_t c = *json->at, last = json->at > json->begin ? json->at[-1] : 0;
    if (c == '+')
        return "a plus sign, which JSON's numbers do not have,";
    if (last == '0' && (c | 0x20) == 'x')
        return "a hexadecimal number, which JSON does not have,";
    if (last == '0' && is_digit(c))
        return "a number with a zero in front, which JSON does not have,";
    if (is_digit(last) && c == '_')
        return "an underscore in a number, which JSON does not have,";
    const uint8_t *at = json->at + (c == '-');
    while (at < json->end && is_digit(*at))
        at++;
    if (at < json->end && *at == '.' && (at == json->at || at + 1 == json->end || !is_digit(at[1])))
        return "a decimal point without a digit on both sides";
    return NULL;
}

static const char *foreign(const struct json *json)
{
    uint8_t c = *json->at;
    if (c == '#' || begins(json, "//") || begins(json, "/*"))
        return "a comment, which JSON does not have,";
    if (c == '\'')
        return "a single quote; JSON has strings and keys in double quotes";
    if ((c == ']' || c == '}') && before(json) == ',')
        return c == ']' ? "a trailing comma before ']'" : "a trailing comma before '}'";
    if (c == ',' && strchr(",[{:", before(json)))
        return "a comma without a value before it";
    const char *found = broken_number(json);
    return found ? found : misspelt(json);
}

const char *json_found(const struct json *json, char text[static 24])
{
    if (json->at >= json->end)
        return "the end";
    const char *known = foreign(json);
    if (known)
        return known;
    if (*json->at > 0x20 && *json->at < 0x7f)
        snprintf(text, 24, "'%c'", *json->at);
    else
        snprintf(text, 24, "byte 0x%02x", *json->at);
    return text;
}

static bool expected(struct json *json, const char *what)
{
    char text[24];
    return json_fail(json, "expected %s, found %s", what, json_found(json, text));
}

bool json_open(struct json *json, char bracket)
{
    if (json_peek(json) != (uint8_t)bracket)
        return expected(json, bracket == '{' ? "an object" : "an array");
    if (json->depth == JSON_DEPTH_MAX)
        return json_fail(json, "nested deeper than %d levels", JSON_DEPTH_MAX);
    json->depth++;
    json->at++;
    return true;
}

static bool close_bracket(struct json *json)
{
    json->depth--;
    json->at++;
    return false;
}

/* Past the ',' before an element, or past the closing bracket: false then. */
static bool next(struct json *json, bool first, uint8_t bracket)
{
    uint8_t c = json_peek(json);
    if (json->failed)
        return false;
    if (c == bracket)
        return close_bracket(json);
    if (first)
        return true;
    if (c != ',')
        return expected(json, bracket == '}' ? "',' or '}'" : "',' or ']'");
    json->at++;
    uint8_t behind = json_peek(json);
    if (behind == bracket || behind == ',')
        return expected(json, "a value after ','");
    return json_spend(json, 1);
}

static bool hex4(const uint8_t *at, const uint8_t *end, uint32_t *value)
{
    if (end - at < 4)
        return false;
    *value = 0;
    for (int i = 0; i < 4; i++) {
        uint8_t c = at[i], low = c | 0x20;
        if (c >= '0' && c <= '9')
            *value = *value << 4 | (uint32_t)(c - '0');
        else if (low >= 'a' && low <= 'f')
            *value = *value << 4 | (uint32_t)(low - 'a' + 10);
        else
            return false;
    }
    return true;
}

/* What follows a backslash at *at; moves behind it. */
static bool escape(const uint8_t **at, const uint8_t *end, uint32_t *code)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (*at == end)
        return false;
    uint8_t c = *(*at)++;
    if (c != 'u') {
        const char *place = c ? strchr(from, c) : NULL;
        *code = place ? (uint32_t)to[place - from] : 0;
        return place != NULL;
    }
    if (!hex4(*at, end, code))
        return false;
    *at += 4;
    if (*code < 0xd800 || *code > 0xdfff)
        return true;
    uint32_t low;
    if (*code > 0xdbff || end - *at < 6 || (*at)[0] != '\\' || (*at)[1] != 'u' || !hex4(*at + 2, end, &low) ||
        low < 0xdc00 || low > 0xdfff)
        return false;
    *at += 6;
    *code = 0x10000 + ((*code - 0xd800) << 10) + (low - 0xdc00);
    return true;
}

/* Checks a string and leaves its inside in *raw; the cursor is at the quote that opens it. */
static bool string_raw(struct json *json, struct bytes *raw, bool *escaped)
{
    const uint8_t *from = ++json->at, *seen = from;
    *escaped = false;
    uint32_t code;
    while (json->at < json->end) {
        uint8_t c = *json->at;
        if (json->at - seen >= 4096) {
            if (!json_spend(json, json->at - seen))
                return false;
            seen = json->at;
        }
        if (c == '"') {
            *raw = (struct bytes){from, json->at++};
            return json_spend(json, json->at - seen);
        }
        if (c < 0x20)
            return json_fail(json, "control character 0x%02x in a string", c);
        if (c == '\\') {
            const uint8_t *at = json->at + 1;
            if (!escape(&at, json->end, &code))
                return json_fail(json, "escape that JSON does not have, or half a surrogate pair,");
            json->at = at;
            *escaped = true;
        } else if (c < 0x80) {
            json->at++;
        } else {
            const uint8_t *at = utf8_read(json->at, json->end, &code);
            if (!at)
                return json_fail(json, "malformed UTF-8 in a string");
            json->at = at;
        }
    }
    return json_fail(json, "string without its closing quote");
}

static bool unescape(struct json *json, struct bytes raw, struct bytes *text)
{
    uint8_t *to = arena_alloc(json->arena, bytes_size(raw));
    if (!to) {
        json->failed = true;
        return err_memory(json->err, "a string", bytes_size(raw));
    }
    *text = (struct bytes){to, to};
    if (!json_spend(json, 1))
        return false;
    for (const uint8_t *at = raw.at; at < raw.end;) {
        if (*at != '\\') {
            *to++ = *at++;
            continue;
        }
        if (!json_spend(json, 4))
            return false;
        at++;
        uint32_t code = 0;
        if (!escape(&at, raw.end, &code))
            return json_fail(json, "broken escape");
        to += utf8_write(to, code);
    }
    text->end = to;
    return true;
}

bool json_text(struct json *json, const char *what, struct bytes *text)
{
    if (json_peek(json) != '"')
        return expected(json, what);
    struct bytes raw;
    bool escaped;
    if (!string_raw(json, &raw, &escaped))
        return false;
    if (escaped)
        return unescape(json, raw, text);
    *text = raw;
    return true;
}

#define KEYS_MAX 256 /* of one object: each is compared with all before it */

static bool remember(struct json *json, struct json_keys *keys, struct bytes key)
{
    for (int i = 0; i < keys->n; i++)
        if (bytes_equal(keys->seen[i], key))
            return json_fail(json, "key '" BYTES_FMT "' comes twice in one object", BYTES_ARG(key));
    if (keys->n == KEYS_MAX)
        return json_fail(json, "more than %d keys in one object", KEYS_MAX);
    if (keys->n == keys->n_room) {
        int room = keys->n_room ? keys->n_room * 2 : 8;
        struct bytes *seen =
            arena_grow(json->arena, keys->seen, (size_t)keys->n_room * sizeof *seen, (size_t)room * sizeof *seen);
        if (!seen) {
            json->failed = true;
            return err_memory(json->err, "keys", (size_t)room * sizeof *seen);
        }
        keys->seen = seen;
        keys->n_room = room;
    }
    keys->seen[keys->n++] = key;
    return true;
}

bool json_key(struct json *json, struct json_keys *keys, struct bytes *key)
{
    bool first = !keys->begun;
    keys->begun = true;
    if (!next(json, first, '}') || !json_text(json, "a key in quotes", key))
        return false;
    if (json_peek(json) != ':')
        return expected(json, "':' after a key");
    json->at++;
    return remember(json, keys, *key);
}

static bool word(struct json *json, const char *text)
{
    size_t n = strlen(text);
    if ((size_t)(json->end - json->at) < n || memcmp(json->at, text, n) != 0)
        return false;
    json->at += n;
    return true;
}

bool json_member(struct json *json, struct json_keys *keys, struct bytes *key)
{
    while (json_key(json, keys, key)) {
        json_peek(json);
        if (!word(json, "null"))
            return true;
    }
    return false;
}

bool json_item(struct json *json, int64_t *n)
{
    if (!next(json, *n == 0, ']'))
        return false;
    ++*n;
    return true;
}

bool json_bool(struct json *json, const char *what, bool *value)
{
    json_peek(json);
    if (json->failed)
        return false;
    *value = word(json, "true");
    return *value || word(json, "false") || expected(json, what);
}

bool json_uint(struct json *json, const char *what, uint64_t *value)
{
    json_peek(json);
    if (json->failed)
        return false;
    const uint8_t *end = number_read_uint64((struct bytes){json->at, json->end}, value);
    if (!end)
        return expected(json, what);
    json->at = end;
    return true;
}

bool json_real(struct json *json, const char *what, double *value)
{
    const uint8_t first = json_peek(json);
    if (json->failed)
        return false;
    const uint8_t *end =
        first == '-' || is_digit(first) ? number_read_double((struct bytes){json->at, json->end}, value) : NULL;
    if (!end || *value - *value != 0)
        return expected(json, what);
    json->at = end;
    return true;
}

static bool skip_string(struct json *json)
{
    struct bytes raw;
    bool escaped;
    return string_raw(json, &raw, &escaped);
}

static bool skip_array(struct json *json)
{
    int64_t n = 0;
    if (!json_open(json, '['))
        return false;
    while (json_item(json, &n))
        if (!json_skip(json))
            return false;
    return !json->failed;
}

static bool skip_object(struct json *json)
{
    if (!json_open(json, '{'))
        return false;
    for (bool first = true; next(json, first, '}'); first = false) {
        if (json_peek(json) != '"')
            return expected(json, "a key in quotes");
        if (!skip_string(json))
            return false;
        if (json_peek(json) != ':')
            return expected(json, "':' after a key");
        json->at++;
        if (!json_skip(json))
            return false;
    }
    return !json->failed;
}

bool json_skip(struct json *json)
{
    uint8_t c = json_peek(json);
    if (json->failed)
        return false;
    if (c == '{')
        return skip_object(json);
    if (c == '[')
        return skip_array(json);
    if (c == '"')
        return skip_string(json);
    if (word(json, "true") || word(json, "false") || word(json, "null"))
        return true;
    double value;
    const uint8_t *end = number_read_double((struct bytes){json->at, json->end}, &value);
    if (!end || (end[-1] > '9')) /* NaN and Infinity are for tensors' data */
        return expected(json, "a value");
    json->at = end;
    return true;
}

/* --- past a tensor's data ----------------------------------------------------------------------------------------- */

typedef uint8_t sixteen __attribute__((vector_size(16)));

/* 0xff where a byte is '"', '[' or ']'. */
static inline sixteen marks(const uint8_t *at)
{
    sixteen bytes;
    memcpy(&bytes, at, sizeof bytes);
    return (sixteen)((bytes == '"') | (bytes == '[') | (bytes == ']'));
}

static inline bool any(sixteen found)
{
    uint64_t halves[2];
    memcpy(halves, &found, sizeof halves);
    return halves[0] | halves[1];
}

/* The first '"', '[' or ']', or stop. */
static const uint8_t *find_mark(const uint8_t *at, const uint8_t *stop)
{
    while (stop - at >= 64 && !any(marks(at) | marks(at + 16) | marks(at + 32) | marks(at + 48)))
        at += 64;
    while (stop - at >= 16 && !any(marks(at)))
        at += 16;
    while (at < stop && *at != '"' && *at != '[' && *at != ']')
        at++;
    return at;
}

#define PIECE_BYTES 65536 /* between two looks at the watch */

bool json_skip_data(struct json *json, struct bytes *span)
{
    if (json_peek(json) != '[')
        return expected(json, "an array of 'data'");
    const uint8_t *from = json->at;
    for (int64_t depth = 0; json->at < json->end;) {
        const uint8_t *stop = json->end - json->at > PIECE_BYTES ? json->at + PIECE_BYTES : json->end;
        const uint8_t *mark = find_mark(json->at, stop);
        if (!json_spend(json, 1 + (mark - json->at) / 8))
            return false;
        json->at = mark;
        if (mark == stop)
            continue;
        if (*mark == '"') {
            if (!skip_string(json))
                return false;
            continue;
        }
        depth += (*mark == '[') - (*mark == ']');
        if (depth > JSON_DATA_DEPTH_MAX)
            return json_fail(json, "'data' nested deeper than %d levels", JSON_DATA_DEPTH_MAX);
        json->at++;
        if (depth == 0) {
            *span = (struct bytes){from, json->at};
            return true;
        }
    }
    return json_fail(json, "'data' without its closing bracket");
}

/* --- the end ------------------------------------------------------------------------------------------------------ */

bool json_finish(struct json *json)
{
    json_peek(json);
    if (json->failed)
        return false;
    return json->at == json->end || expected(json, "nothing after the value");
}
