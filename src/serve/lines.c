/*
 * lines.c - UTF-8 text, one entry a line. A newline ends a line; the last line may lack it. A line
 * may be empty or a single space: nothing is trimmed, since a space is a token like others. Hence a
 * carriage return before a newline is refused instead of kept (no token would ever match) or
 * dropped (it might be meant). Nothing is opened outside the place (file_read_beneath). A byte order mark is
 * no part of the first line.
 */
#include "serve/lines.h"

#include "base/err.h"
#include "base/file.h"
#include "base/utf8.h"

#include <string.h>

#define MAX_BYTES ((size_t)64 << 20)

/* No NUL either: lines become strings. */
static bool utf8(struct bytes text)
{
    for (const uint8_t *at = text.at; at < text.end;) {
        uint32_t code;
        at = utf8_read(at, text.end, &code);
        if (!at || code == 0)
            return false;
    }
    return true;
}

static int count(struct bytes text)
{
    int n = 0;
    for (const uint8_t *at = text.at; at < text.end; n++) {
        const uint8_t *end = memchr(at, '\n', (size_t)(text.end - at));
        at = end ? end + 1 : text.end;
    }
    return n;
}

static bool split(struct bytes text, const char **list, const char *name, struct arena *arena, struct percept_err *err)
{
    const uint8_t *at = text.at;
    for (int i = 0; at < text.end; i++) {
        const uint8_t *end = memchr(at, '\n', (size_t)(text.end - at));
        end = end ? end : text.end;
        if (end > at && end[-1] == '\r')
            return err_set(err, ERR_CONFIG, "'%s': line %d ends in a carriage return; lines end in \\n alone", name,
                           i + 1);
        list[i] = arena_text(arena, at, (size_t)(end - at));
        if (!list[i])
            return err_memory(err, "lines", bytes_size(text));
        at = end + (end < text.end);
    }
    return true;
}

int lines_read(const struct file_place *place, const char *name, struct arena *arena, const char *const **list,
               struct percept_err *err)
{
    struct bytes text;
    if (!file_read_beneath(place, name, 0, SIZE_MAX, arena, &text, NULL, err))
        return -1;
    if (utf8_is_wide(text)) {
        err_set(err, ERR_CONFIG, "'%s' is UTF-16 or UTF-32; store it as UTF-8", name);
        return -1;
    }
    text = utf8_past_mark(text);
    if (bytes_size(text) > MAX_BYTES || !utf8(text)) {
        err_set(err, ERR_CONFIG, "'%s' is not UTF-8 text of at most 64 MiB", name);
        return -1;
    }
    int n = count(text);
    const char **lines = arena_array(arena, (size_t)n + 1, sizeof *lines);
    if (!lines) {
        err_memory(err, "lines", bytes_size(text));
        return -1;
    }
    if (!split(text, lines, name, arena, err))
        return -1;
    *list = lines;
    return n;
}
