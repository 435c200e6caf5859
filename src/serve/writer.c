/*
 * writer.c - bytes behind each other in a buffer that grows, and the texts and numbers of JSON.
 *
 * The buffer lies in an arena and grows by doubling. Whatever fails, for want of memory or because nobody waits any
 * more, leaves `failed`, which every later call respects, so that callers look once, at the end.
 */
#include "serve/writer.h"

#include "base/number.h"
#include "base/utf8.h"

char *writer_reserve(struct writer *w, size_t n)
{
    if (w->failed)
        return NULL;
    if (n > w->room - w->used) {
        size_t room = w->room * 2 > w->used + n ? w->room * 2 : w->used + n;
        char *grown = room > w->used ? arena_alloc(w->arena, room) : NULL;
        if (!grown || !watch_copy(w->watch, grown, w->at, w->used)) {
            w->failed = true;
            return NULL;
        }
        w->at = grown;
        w->room = room;
    }
    return w->at + w->used;
}

bool writer_spend(struct writer *w, int64_t units)
{
    w->failed |= !watch_spend(w->watch, units);
    return !w->failed;
}

void writer_bytes(struct writer *w, const void *at, size_t n)
{
    char *to = n ? writer_reserve(w, n) : NULL;
    if (!to)
        return;
    memcpy(to, at, n);
    w->used += n;
}

void writer_put(struct writer *w, const char *text)
{
    writer_bytes(w, text, strlen(text));
}

void writer_int(struct writer *w, int64_t value)
{
    char *to = writer_reserve(w, NUMBER_TEXT_MAX);
    if (to)
        w->used += number_write_int64(to, value);
}

/* One character as JSON has it, at most 6 bytes. */
static size_t escape(char *to, uint32_t code)
{
    static const char hex[] = "0123456789abcdef";
    const char *place = NULL;
    static const char from[] = "\"\\\b\f\n\r\t", names[] = "\"\\bfnrt";
    if (code && code < 0x80)
        place = strchr(from, (int)code);
    if (place) {
        to[0] = '\\';
        to[1] = names[place - from];
        return 2;
    }
    if (code >= 0x20)
        return utf8_write(to, code);
    memcpy(to, "\\u00", 4);
    to[4] = hex[code >> 4];
    to[5] = hex[code & 15];
    return 6;
}

void writer_text(struct writer *w, struct bytes text)
{
    writer_put(w, "\"");
    while (text.at < text.end) {
        size_t n = bytes_size(text) < 256 ? bytes_size(text) : 256;
        char *from = writer_spend(w, (int64_t)n) ? writer_reserve(w, n * 6 + 6) : NULL, *to = from;
        if (!to)
            return;
        const uint8_t *stop = text.at + n;
        while (text.at < stop) {
            uint32_t code;
            const uint8_t *next = utf8_read(text.at, text.end, &code);
            to += escape(to, next ? code : 0xfffd);
            text.at = next ? next : text.at + 1;
        }
        w->used += (size_t)(to - from);
    }
    writer_put(w, "\"");
}

void writer_string(struct writer *w, const char *text)
{
    writer_text(w, bytes_of_text(text));
}

void writer_float(struct writer *w, float value)
{
    char *to = writer_reserve(w, NUMBER_TEXT_MAX);
    if (to)
        w->used += number_write_float(to, value);
}

void writer_floats(struct writer *w, const float *values, int n)
{
    for (int i = 0; i < n; i++) {
        writer_put(w, i ? "," : "[");
        writer_float(w, values[i]);
    }
    writer_put(w, "]");
}
