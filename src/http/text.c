/*
 * text.c - text_* append; growth doubles, so that n appended bytes cost n moved ones.
 *
 * All quotings share one walk over the value: valid UTF-8 sequences are copied, everything else becomes U+FFFD, and a
 * callback decides about ASCII and the control characters above it (U+0080 to U+009F: terminals obey them as well),
 * which its syntax may treat specially. After memory was short nothing more is appended, so callers check `failed`
 * once, at the end.
 */
#include "http/text.h"

#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define FIRST_CAPACITY 512

static bool text_reserve(struct text *text, size_t more)
{
    if (text->failed)
        return false;
    if (more <= text->capacity - text->n_bytes)
        return true;
    size_t capacity = text->capacity ? text->capacity : FIRST_CAPACITY;
    while (capacity - text->n_bytes < more && capacity <= SIZE_MAX / 4)
        capacity *= 2;
    char *at = capacity - text->n_bytes < more ? NULL : arena_grow(text->arena, text->at, text->capacity, capacity);
    if (!at) {
        text->failed = true;
        return false;
    }
    text->at = at;
    text->capacity = capacity;
    return true;
}

void text_bytes(struct text *text, const void *at, size_t n_bytes)
{
    if (!n_bytes || !text_reserve(text, n_bytes))
        return;
    memcpy(text->at + text->n_bytes, at, n_bytes);
    text->n_bytes += n_bytes;
}

void text_add(struct text *text, const char *plain)
{
    text_bytes(text, plain, strlen(plain));
}

void text_printf(struct text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0 || !text_reserve(text, (size_t)n + 1))
        return;
    va_start(args, format);
    vsnprintf(text->at + text->n_bytes, (size_t)n + 1, format, args);
    va_end(args);
    text->n_bytes += (size_t)n;
}

#define PLAIN_FROM 0xa0 /* no syntax treats characters from here on specially */

static bool is_control(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < PLAIN_FROM);
}

/* `special` appends what stands for a character, or returns false to have it copied. */
static void quote_bytes(struct text *text, struct bytes value, bool (*special)(struct text *, uint32_t))
{
    const uint8_t *at = value.at, *end = value.end;
    for (const uint8_t *next; at < end; at = next) {
        uint32_t code;
        next = utf8_read(at, end, &code);
        if (!next) {
            text_add(text, "\xef\xbf\xbd");
            next = at + 1;
        } else if (code >= PLAIN_FROM || !special(text, code)) {
            text_bytes(text, at, (size_t)(next - at));
        }
    }
}

static void quote(struct text *text, const char *value, bool (*special)(struct text *, uint32_t))
{
    if (value)
        quote_bytes(text, bytes_of_text(value), special);
    else
        text->failed = true;
}

static bool special_control(struct text *text, uint32_t c)
{
    if (c == '\n')
        text_add(text, "\\n");
    else if (is_control(c))
        text_printf(text, "\\u%04x", c);
    else
        return false;
    return true;
}

void text_visible(struct text *text, const char *value)
{
    quote(text, value, special_control);
}

const char *text_escaped(struct arena *arena, const char *value)
{
    struct text text = {.arena = arena};
    text_visible(&text, value);
    text_bytes(&text, "", 1);
    return text.failed ? "(out of memory)" : text.at;
}

static bool special_json(struct text *text, uint32_t c)
{
    if (c != '"' && c != '\\')
        return special_control(text, c);
    text_printf(text, "\\%c", (int)c);
    return true;
}

void text_json(struct text *text, const char *value)
{
    text_add(text, "\"");
    quote(text, value, special_json);
    text_add(text, "\"");
}

void text_json_bytes(struct text *text, struct bytes value)
{
    text_add(text, "\"");
    quote_bytes(text, value, special_json);
    text_add(text, "\"");
}

static bool special_html(struct text *text, uint32_t c)
{
    if (c == '&')
        text_add(text, "&amp;");
    else if (c == '<')
        text_add(text, "&lt;");
    else if (c == '>')
        text_add(text, "&gt;");
    else if (c == '"')
        text_add(text, "&quot;");
    else if (c == '\'')
        text_add(text, "&#39;");
    else if (is_control(c) && c != '\n' && c != '\t')
        text_add(text, "\xef\xbf\xbd");
    else
        return false;
    return true;
}

void text_html(struct text *text, const char *value)
{
    quote(text, value, special_html);
}

static bool special_label(struct text *text, uint32_t c)
{
    if (c == '"' || c == '\\')
        text_printf(text, "\\%c", (int)c);
    else if (c == '\n')
        text_add(text, "\\n");
    else
        return false;
    return true;
}

void text_label(struct text *text, const char *value)
{
    text_add(text, "\"");
    quote(text, value, special_label);
    text_add(text, "\"");
}
