/* pbtxt.c - any bytes as protobuf's text format: what is read has texts that are UTF-8 and numbers that are judged, and
 * takes no more memory than a small multiple of its bytes. */
#include "serve/pbtxt.h"

#include "base/utf8.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_text(const char *text)
{
    const uint8_t *at = (const uint8_t *)text, *end = at + strlen(text);
    uint32_t code;
    while (at < end)
        if (!(at = utf8_read(at, end, &code)))
            abort();
}

static void walk(const struct pbtxt *message)
{
    for (const struct pbtxt *field = message->first; field; field = field->next) {
        int64_t whole;
        uint64_t natural;
        double number;
        bool flag;
        if (field->kind == PBTXT_MESSAGE)
            walk(field);
        else
            check_text(field->text);
        if (pbtxt_int64(field, &whole) && whole >= 0 && field->text[0] != '-' &&
            (!pbtxt_uint64(field, &natural) || natural != (uint64_t)whole))
            abort();
        pbtxt_double(field, &number);
        pbtxt_bool(field, &flag);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct arena arena = {0};
    struct percept_err err;
    const struct pbtxt *root = pbtxt_read(bytes_of(data, n), &arena, &err);
    if (root)
        walk(root);
    if (arena.used_bytes > 4096 + 128 * n)
        abort();
    arena_free(&arena);
    return 0;
}
