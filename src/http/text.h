/*
 * text.h - a growing piece of text in an arena, for replies.
 *
 *     struct text text = {.arena = &exchange->arena};
 *     text_add(&text, "{\"name\":");
 *     text_json(&text, name);
 *     text_add(&text, "}");
 *     if (text.failed) ... memory was short; what is there is cut
 *
 * Quoting is done here and nowhere else: text_json writes a JSON string with its quotes, text_html
 * what may stand between tags or in a quoted attribute, text_label a Prometheus label's value with
 * its quotes, text_visible and text_escaped what may be printed on a terminal. Bytes that are not UTF-8 become
 * U+FFFD in all of them, so that a reply always is valid.
 * A value of NULL, which is what arena_printf gives when memory is short, sets `failed`.
 */
#ifndef HTTP_TEXT_H
#define HTTP_TEXT_H

#include "base/arena.h"
#include "base/bytes.h"

struct text {
    struct arena *arena;
    char *at;
    size_t n_bytes;
    size_t capacity;
    bool failed;
};

void text_bytes(struct text *text, const void *at, size_t n_bytes);
void text_add(struct text *text, const char *plain);
void text_printf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_json(struct text *text, const char *value);
void text_json_bytes(struct text *text, struct bytes value);
void text_html(struct text *text, const char *value);
/* For a terminal: control characters are escaped as in JSON. */
void text_visible(struct text *text, const char *value);
void text_label(struct text *text, const char *value);

/* The same by itself, so that a name from a model's file cannot speak to a terminal: a text in the arena,
 * or "(out of memory)". */
const char *text_escaped(struct arena *arena, const char *value);

#endif
