/*
 * pbtxt.c - reads protobuf's text format into a tree of fields: what people write by hand as config.pbtxt.
 *
 * Taken is what protobuf's own reader takes: # comments, messages in {} or <> with a colon before them or without,
 * lists in brackets, strings in either quote that go on behind each other, escapes, numbers in three bases, a comma or
 * semicolon behind a field. Not taken: names in brackets (extensions, Any), which no message that we read has.
 *
 * The text is somebody's file: depth and number of fields are bounded, and so is what they take, a small multiple of
 * the text. Strings are UTF-8 without NUL, since they become C strings. The lexer keeps count of lines, so that
 * whoever judges a field later can say where it stands.
 *
 * Threads: the caller's. Everything lies in the caller's arena.
 */
#include "serve/pbtxt.h"

#include "base/err.h"
#include "base/number.h"
#include "base/utf8.h"

#include <ctype.h>
#include <stdlib.h>

struct reader {
    const uint8_t *at, *end;
    const uint8_t *line_start;
    int line;
    int n_fields;
    struct arena *arena;
    struct percept_err *err;
};

/* --- what is wrong ------------------------------------------------------------------------------------------------ */

static int column_of(const struct reader *reader)
{
    return (int)(reader->at - reader->line_start) + 1;
}

static bool wrong(struct reader *reader, const char *what) __attribute__((cold));

static bool wrong(struct reader *reader, const char *what)
{
    return err_set(reader->err, ERR_CONFIG, "line %d, column %d: %s", reader->line, column_of(reader), what);
}

/* "expected ..., found ..." */
static bool expected(struct reader *reader, const char *what)
{
    const int line = reader->line, column = column_of(reader);
    if (reader->at == reader->end)
        return err_set(reader->err, ERR_CONFIG, "line %d, column %d: expected %s, found the end", line, column, what);
    if (*reader->at < 0x20 || *reader->at >= 0x7f)
        return err_set(reader->err, ERR_CONFIG, "line %d, column %d: expected %s, found the byte 0x%02x", line, column,
                       what, *reader->at);
    return err_set(reader->err, ERR_CONFIG, "line %d, column %d: expected %s, found '%c'", line, column, what,
                   *reader->at);
}

static bool no_memory(struct reader *reader)
{
    return err_memory(reader->err, "a text of fields", sizeof(struct pbtxt));
}

/* --- words -------------------------------------------------------------------------------------------------------- */

static bool is_letter(uint8_t c)
{
    return isalpha(c) || c == '_';
}

static void skip_comment(struct reader *reader)
{
    const uint8_t *newline = memchr(reader->at, '\n', (size_t)(reader->end - reader->at));
    reader->at = newline ? newline : reader->end;
}

/* White space and comments. */
static void skip(struct reader *reader)
{
    while (reader->at < reader->end) {
        if (*reader->at == '#') {
            skip_comment(reader);
        } else if (*reader->at == '\n') {
            reader->line_start = ++reader->at;
            reader->line++;
        } else if (*reader->at == ' ' || (*reader->at >= '\t' && *reader->at <= '\r')) {
            reader->at++;
        } else {
            return;
        }
    }
}

static bool next_is(struct reader *reader, uint8_t c)
{
    skip(reader);
    return reader->at < reader->end && *reader->at == c;
}

static bool take(struct reader *reader, uint8_t c)
{
    if (!next_is(reader, c))
        return false;
    reader->at++;
    return true;
}

static bool read_name(struct reader *reader, const char **name)
{
    skip(reader);
    const uint8_t *start = reader->at;
    if (start < reader->end && *start == '[')
        return wrong(reader, "a name in brackets is an extension's; there are none here");
    if (start == reader->end || !is_letter(*start))
        return expected(reader, "a field's name");
    while (reader->at < reader->end && (is_letter(*reader->at) || isdigit(*reader->at)))
        reader->at++;
    *name = arena_text(reader->arena, start, (size_t)(reader->at - start));
    return *name || no_memory(reader);
}

/* "-0x1f", "1.5e-3", "TYPE_FP32": the sign may stand apart. */
static bool read_word(struct reader *reader, struct pbtxt *field)
{
    const bool negative = take(reader, '-');
    skip(reader);
    const uint8_t *start = reader->at;
    while (reader->at < reader->end) {
        const uint8_t c = *reader->at;
        const bool sign = (c == '+' || c == '-') && reader->at > start && (reader->at[-1] | 0x20) == 'e' &&
                          (isdigit(*start) || *start == '.');
        if (!is_letter(c) && !isdigit(c) && c != '.' && !sign)
            break;
        reader->at++;
    }
    if (reader->at == start)
        return expected(reader, "a value");
    field->kind = PBTXT_WORD;
    field->text = arena_printf(reader->arena, "%s%.*s", negative ? "-" : "", (int)(reader->at - start), start);
    return field->text || no_memory(reader);
}

/* --- strings ------------------------------------------------------------------------------------------------------ */

struct buffer {
    char *at;
    size_t n, n_room;
};

static bool put(struct reader *reader, struct buffer *buffer, const void *from, size_t n)
{
    if (buffer->n + n + 1 > buffer->n_room) {
        const size_t room = (buffer->n + n + 1) * 2;
        char *grown = arena_grow(reader->arena, buffer->at, buffer->n_room, room);
        if (!grown)
            return no_memory(reader);
        buffer->at = grown;
        buffer->n_room = room;
    }
    memcpy(buffer->at + buffer->n, from, n);
    buffer->n += n;
    buffer->at[buffer->n] = '\0';
    return true;
}

static int digit_of(uint8_t c)
{
    return isdigit(c) ? c - '0' : isxdigit(c) ? (c | 0x20) - 'a' + 10 : 16;
}

/* At most n digits of the base; how many there were. */
static int read_digits(struct reader *reader, int base, int n, uint32_t *value)
{
    int i = 0;
    *value = 0;
    for (; i < n && reader->at < reader->end && digit_of(*reader->at) < base; i++, reader->at++)
        *value = *value * (uint32_t)base + (uint32_t)digit_of(*reader->at);
    return i;
}

/* Behind "\u" or "\U". */
static bool read_code_point(struct reader *reader, struct buffer *buffer, int n_digits)
{
    uint32_t code;
    char utf8[UTF8_MAX];
    if (read_digits(reader, 16, n_digits, &code) != n_digits || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
        return wrong(reader, "this escape is no code point");
    return put(reader, buffer, utf8, utf8_write(utf8, code));
}

/* Behind a backslash. */
static bool read_escape(struct reader *reader, struct buffer *buffer)
{
    static const char from[] = "abfnrtv\\'\"?", to[] = "\a\b\f\n\r\t\v\\'\"?";
    if (reader->at == reader->end)
        return wrong(reader, "a string is not closed");
    const uint8_t c = *reader->at;
    const char *simple = c ? strchr(from, c) : NULL;
    uint32_t value;
    if (simple) {
        reader->at++;
        return put(reader, buffer, &to[simple - from], 1);
    }
    if (c == 'u' || c == 'U') {
        reader->at++;
        return read_code_point(reader, buffer, c == 'u' ? 4 : 8);
    }
    const bool hex = c == 'x' || c == 'X';
    reader->at += hex;
    if (!read_digits(reader, hex ? 16 : 8, hex ? 2 : 3, &value) || value > 255)
        return wrong(reader, "there is no such escape in a string");
    const char byte = (char)value;
    return put(reader, buffer, &byte, 1);
}

/* One piece in quotes, at its opening. */
static bool read_piece(struct reader *reader, struct buffer *buffer)
{
    const uint8_t quote = *reader->at++;
    while (reader->at < reader->end && *reader->at != quote) {
        const uint8_t *start = reader->at;
        if (*start == '\n')
            return wrong(reader, "a string is not closed in its line");
        if (*start == '\\') {
            reader->at++;
            if (!read_escape(reader, buffer))
                return false;
            continue;
        }
        while (reader->at < reader->end && *reader->at != quote && *reader->at != '\\' && *reader->at != '\n')
            reader->at++;
        if (!put(reader, buffer, start, (size_t)(reader->at - start)))
            return false;
    }
    if (reader->at == reader->end)
        return wrong(reader, "a string is not closed");
    reader->at++;
    return true;
}

static bool is_text(const char *text, size_t n)
{
    const uint8_t *at = (const uint8_t *)text, *end = at + n;
    while (at < end) {
        uint32_t code;
        at = utf8_read(at, end, &code);
        if (!at || !code)
            return false;
    }
    return true;
}

static bool quote_is_next(struct reader *reader)
{
    return next_is(reader, '"') || next_is(reader, '\'');
}

/* Pieces behind each other are one string. */
static bool read_string(struct reader *reader, struct pbtxt *field)
{
    struct buffer buffer = {0};
    if (!put(reader, &buffer, "", 0))
        return false;
    while (quote_is_next(reader))
        if (!read_piece(reader, &buffer))
            return false;
    if (!is_text(buffer.at, buffer.n))
        return wrong(reader, "a string before here is not UTF-8, or has a NUL in it");
    field->kind = PBTXT_STRING;
    field->text = buffer.at;
    return true;
}

/* --- fields ------------------------------------------------------------------------------------------------------- */

static bool read_fields(struct reader *reader, struct pbtxt *message, uint8_t close, int depth);

static bool message_is_next(struct reader *reader)
{
    return next_is(reader, '{') || next_is(reader, '<');
}

static bool read_value(struct reader *reader, struct pbtxt *field, int depth)
{
    if (message_is_next(reader)) {
        const uint8_t open = *reader->at++;
        return read_fields(reader, field, open == '{' ? '}' : '>', depth + 1);
    }
    return quote_is_next(reader) ? read_string(reader, field) : read_word(reader, field);
}

static struct pbtxt *append(struct reader *reader, struct pbtxt ***last, const struct pbtxt *like)
{
    if (++reader->n_fields > PBTXT_FIELDS_MAX) {
        err_set(reader->err, ERR_CONFIG, "line %d: there are more than %d fields", reader->line, PBTXT_FIELDS_MAX);
        return NULL;
    }
    struct pbtxt *field = arena_alloc(reader->arena, sizeof *field);
    if (!field) {
        no_memory(reader);
        return NULL;
    }
    *field = *like;
    **last = field;
    *last = &field->next;
    return field;
}

/* Behind '['. Without a colon only messages may be in it. */
static bool read_list(struct reader *reader, struct pbtxt ***last, struct pbtxt *like, bool colon, int depth)
{
    if (take(reader, ']'))
        return true;
    do {
        skip(reader);
        like->line = reader->line;
        like->column = column_of(reader);
        if (!colon && !message_is_next(reader))
            return expected(reader, "a ':' before the list, or '{'");
        struct pbtxt *field = append(reader, last, like);
        if (!field || !read_value(reader, field, depth))
            return false;
    } while (take(reader, ','));
    return take(reader, ']') || expected(reader, "',' or ']'");
}

static bool read_field(struct reader *reader, struct pbtxt ***last, int depth)
{
    skip(reader);
    struct pbtxt like = {.line = reader->line, .column = column_of(reader)};
    if (!read_name(reader, &like.name))
        return false;
    const bool colon = take(reader, ':');
    if (take(reader, '[')) {
        if (!read_list(reader, last, &like, colon, depth))
            return false;
    } else {
        if (!colon && !message_is_next(reader))
            return expected(reader, "':', '{' or '['");
        struct pbtxt *field = append(reader, last, &like);
        if (!field || !read_value(reader, field, depth))
            return false;
    }
    if (!take(reader, ','))
        take(reader, ';');
    return true;
}

/* To `close`, or to the end where that is 0. */
static bool read_fields(struct reader *reader, struct pbtxt *message, uint8_t close, int depth)
{
    struct pbtxt **last = &message->first;
    message->kind = PBTXT_MESSAGE;
    if (depth > PBTXT_DEPTH_MAX)
        return err_set(reader->err, ERR_CONFIG, "line %d, column %d: messages lie more than %d deep", reader->line,
                       column_of(reader), PBTXT_DEPTH_MAX);
    for (;;) {
        skip(reader);
        if (reader->at == reader->end)
            return !close || expected(reader, close == '}' ? "'}'" : "'>'");
        if (close && take(reader, close))
            return true;
        if (!read_field(reader, &last, depth))
            return false;
    }
}

struct pbtxt *pbtxt_read(struct bytes text, struct arena *arena, struct percept_err *err)
{
    if (utf8_is_wide(text))
        return err_null(err, ERR_CONFIG, "it is UTF-16 or UTF-32; store it as UTF-8");
    text = utf8_past_mark(text);
    struct reader reader = {
        .at = text.at, .end = text.end, .line_start = text.at, .line = 1, .arena = arena, .err = err};
    struct pbtxt *root = arena_alloc(arena, sizeof *root);
    if (!root) {
        no_memory(&reader);
        return NULL;
    }
    *root = (struct pbtxt){.name = "", .line = 1, .column = 1};
    return read_fields(&reader, root, 0, 0) ? root : NULL;
}

/* --- values ------------------------------------------------------------------------------------------------------- */

static bool magnitude(const char *text, uint64_t *value)
{
    const int base = text[0] != '0' ? 10 : (text[1] | 0x20) == 'x' ? 16 : 8;
    const char *at = text + (base == 16 ? 2 : 0);
    *value = 0;
    for (; *at; at++) {
        const int digit = digit_of((uint8_t)*at);
        if (digit >= base || __builtin_mul_overflow(*value, (uint64_t)base, value) ||
            __builtin_add_overflow(*value, (uint64_t)digit, value))
            return false;
    }
    return at > text + (base == 16 ? 2 : 0);
}

bool pbtxt_uint64(const struct pbtxt *field, uint64_t *value)
{
    uint64_t number;
    if (field->kind != PBTXT_WORD || !magnitude(field->text, &number))
        return false;
    *value = number;
    return true;
}

bool pbtxt_int64(const struct pbtxt *field, int64_t *value)
{
    uint64_t number;
    const bool negative = field->kind == PBTXT_WORD && field->text[0] == '-';
    if (field->kind != PBTXT_WORD || !magnitude(field->text + negative, &number) ||
        number > (uint64_t)INT64_MAX + negative)
        return false;
    *value = negative ? (int64_t)(0 - number) : (int64_t)number;
    return true;
}

bool pbtxt_double(const struct pbtxt *field, double *value)
{
    if (field->kind != PBTXT_WORD)
        return false;
    const char *digits = field->text + (field->text[0] == '-');
    if (!isdigit((unsigned char)*digits) && *digits != '.' && strcasecmp(digits, "inf") != 0 &&
        strcasecmp(digits, "infinity") != 0 && strcasecmp(digits, "nan") != 0)
        return false;
    char *end;
    const double number = strtod(field->text, &end);
    if (*end && strcasecmp(end, "f") != 0)
        return false;
    *value = number;
    return true;
}

bool pbtxt_bool(const struct pbtxt *field, bool *value)
{
    static const char *const words[] = {"false", "true", "False", "True", "f", "t", "0", "1"};
    for (size_t i = 0; field->kind == PBTXT_WORD && i < sizeof words / sizeof *words; i++)
        if (strcmp(field->text, words[i]) == 0) {
            *value = i % 2;
            return true;
        }
    return false;
}
