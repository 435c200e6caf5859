/*
 * text.c - text_* append; growth doubles, so that n appended bytes cost n moved ones.
 *
 * The three quotings share one walk over the value: valid UTF-8 sequences are copied, everything
 * else becomes U+FFFD, and a callback decides about the ASCII characters that its syntax treats
 * specially. After memory was short nothing more is appended, so callers check `failed` once, at
 * the end.
 */
#include "http/text.h"

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
    char *at = capacity - text->n_bytes < more
                   ? NULL
                   : arena_grow(text->arena, text->at, text->capacity, capacity);
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

/* Bytes of the UTF-8 sequence at the start of a NUL-ended text; 0 if it is not one. */
static size_t sequence_bytes(const unsigned char *at)
{
    unsigned char first = at[0];
    size_t n = first < 0x80 ? 1 : first >= 0xf0 && first <= 0xf4 ? 4 : first >= 0xe0 ? 3 : 2;
    if ((first >= 0x80 && first < 0xc2) || first > 0xf4)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    if ((first == 0xe0 && at[1] < 0xa0) || (first == 0xed && at[1] > 0x9f) ||
        (first == 0xf0 && at[1] < 0x90) || (first == 0xf4 && at[1] > 0x8f))
        return 0;
    return n;
}

/* `special` appends what stands for an ASCII character, or returns false to have it copied. */
static void quote(struct text *text, const char *value, bool (*special)(struct text *, char))
{
    if (!value) {
        text->failed = true;
        return;
    }
    for (const char *at = value; *at;) {
        size_t n = sequence_bytes((const unsigned char *)at);
        if (n == 0)
            text_add(text, "\xef\xbf\xbd");
        else if (n > 1 || !special(text, *at))
            text_bytes(text, at, n);
        at += n ? n : 1;
    }
}

static bool special_json(struct text *text, char c)
{
    if (c == '"' || c == '\\')
        text_printf(text, "\\%c", c);
    else if (c == '\n')
        text_add(text, "\\n");
    else if ((unsigned char)c < 0x20 || c == 0x7f)
        text_printf(text, "\\u%04x", (unsigned)c);
    else
        return false;
    return true;
}

void text_json(struct text *text, const char *value)
{
    text_add(text, "\"");
    quote(text, value, special_json);
    text_add(text, "\"");
}

static bool special_html(struct text *text, char c)
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
    else if (((unsigned char)c < 0x20 && c != '\n' && c != '\t') || c == 0x7f)
        text_add(text, "\xef\xbf\xbd");
    else
        return false;
    return true;
}

void text_html(struct text *text, const char *value)
{
    quote(text, value, special_html);
}

static bool special_label(struct text *text, char c)
{
    if (c == '"' || c == '\\')
        text_printf(text, "\\%c", c);
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
