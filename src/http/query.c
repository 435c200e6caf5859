/*
 * query.c - see query.h. Names and most words that we ask for have nothing to decode. What nobody asks for is not
 * looked at.
 */
#include "http/query.h"

#include "base/err.h"

struct bytes query_find(const char *target, const char *name)
{
    const size_t n = strlen(name);
    const char *at = target + strcspn(target, "?#");
    while (*at == '?' || *at == '&') {
        at++;
        const size_t length = strcspn(at, "&#");
        if (length > n && strncmp(at, name, n) == 0 && at[n] == '=')
            return bytes_of(at + n + 1, length - n - 1);
        at += length;
    }
    return (struct bytes){0};
}

static int hex(uint8_t c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

/* One byte of the value, or -1. */
static int decoded(const uint8_t **at, const uint8_t *end)
{
    const uint8_t *from = *at;
    if (*from != '%') {
        *at = from + 1;
        return *from == '+' ? ' ' : *from;
    }
    const int high = end - from > 2 ? hex(from[1]) : -1, low = high < 0 ? -1 : hex(from[2]);
    *at = from + 3;
    return low < 0 || high * 16 + low == 0 ? -1 : high * 16 + low;
}

bool query_text(const char *target, const char *name, struct arena *arena, struct bytes *text, struct percept_err *err)
{
    const struct bytes value = query_find(target, name);
    uint8_t *made = arena_alloc(arena, bytes_size(value) + 1), *to = made;
    if (!made)
        return err_memory(err, "a query", bytes_size(value));
    for (const uint8_t *at = value.at; at < value.end;) {
        const int byte = decoded(&at, value.end);
        if (byte < 0)
            return err_set(err, ERR_INVALID, "the query's '%s' holds %%00 or a broken escape", name);
        *to++ = (uint8_t)byte;
    }
    *text = bytes_of(made, (size_t)(to - made));
    return true;
}

bool query_flag(const char *target, const char *name, bool *value)
{
    const struct bytes text = query_find(target, name);
    if (!text.at)
        return true;
    if (!bytes_is(text, "true") && !bytes_is(text, "false"))
        return false;
    *value = bytes_is(text, "true");
    return true;
}
