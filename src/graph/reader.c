/*
 * reader.c - what all files that read ONNX's messages share.
 *
 * Sentences are made from the inside out: who finds something wrong says what, and each level on
 * the way out adds where, until there is enough of it.
 *
 * Imports say which version of an operator set a model or a function was written for. A version
 * that is newer than what is known here could mean anything: it is refused. The domains "" and
 * "ai.onnx" are one.
 *
 * Threads: the loader's. Ownership: lists are in the reader's scratch arena, names in the model's.
 */
#include "graph/reader.h"

#include <limits.h>

#define OPSET_NEWEST 28 /* of ONNX's own domain: what later versions change is not known here */
#define DEPTH_MAX 64
#define IMPORTS_MAX 64
#define PLACES_MAX_BYTES 256 /* of a sentence that gets no more places in front */

bool reader_short(struct reader *r, const char *what)
{
    return err_set(r->err, ERR_MEMORY, "out of memory while reading %s of the model", what);
}

bool reader_whole(struct reader *r, const struct wire *wire, const char *what)
{
    return !wire->broken || err_set(r->err, ERR_MODEL, "%s: %s", what, wire->broken);
}

/* A copy in the model's arena. Names are shown, looked up as C strings and put into URLs: no NUL.
 */
bool reader_name(struct reader *r, struct bytes text, struct bytes *name)
{
    size_t n = bytes_size(text);
    if (n && memchr(text.at, 0, n))
        return err_set(r->err, ERR_MODEL, "name '" BYTES_FMT "...' has a NUL byte", BYTES_ARG(text));
    const char *copy = arena_text(r->arena, text.at, n);
    if (!copy)
        return reader_short(r, "a name");
    *name = bytes_of(copy, n);
    return true;
}

/* Adds the place to a sentence, from the inside out, until there is enough of it: what is wrong
 * must not be pushed out by where it is. */
bool reader_place(struct reader *r, const char *kind, struct bytes name, struct bytes op_type)
{
    if (strlen(r->err->text) > PLACES_MAX_BYTES)
        return false;
    if (op_type.at == op_type.end)
        return err_prefix(r->err, "%s '" BYTES_FMT "': ", kind, BYTES_ARG(name));
    return err_prefix(r->err, "%s '" BYTES_FMT "' (" BYTES_FMT "): ", kind, BYTES_ARG(name), BYTES_ARG(op_type));
}

size_t reader_count(struct bytes message, uint32_t tag)
{
    struct wire wire = wire_of(message);
    struct bytes item;
    size_t n = 0;
    while (wire_find(&wire, tag, &item))
        n++;
    return n;
}

bool reader_enter(struct reader *r, const char *what)
{
    if (r->depth == DEPTH_MAX)
        return err_set(r->err, ERR_MODEL, "%s are nested more than %d deep", what, DEPTH_MAX);
    r->depth++;
    return true;
}

static bool read_import(struct reader *r, struct bytes message, struct imports *imports)
{
    struct wire wire = wire_of(message);
    struct wire_field field;
    struct bytes domain = {0};
    int64_t version = 0;
    while (wire_next(&wire, &field)) {
        if (field.tag == OPSET_DOMAIN)
            domain = field.bytes;
        else if (field.tag == OPSET_VERSION)
            version = (int64_t)field.value;
    }
    if (bytes_is(domain, "ai.onnx"))
        domain = (struct bytes){0};
    if (!reader_whole(r, &wire, "opset_import"))
        return false;
    bool own = domain.at == domain.end;
    if (version < 1 || version > (own ? OPSET_NEWEST : INT_MAX))
        return err_set(r->err, ERR_UNSUPPORTED,
                       "opset_import: version %lld of domain '" BYTES_FMT "'; 1 to %d are known", (long long)version,
                       BYTES_ARG(domain), own ? OPSET_NEWEST : INT_MAX);
    for (int i = 0; i < imports->n; i++)
        if (bytes_equal(imports->at[i].domain, domain) && imports->at[i].version != version)
            return err_set(r->err, ERR_MODEL, "opset_import: domain '" BYTES_FMT "' is imported in two versions",
                           BYTES_ARG(domain));
    imports->at[imports->n++] = (struct import){domain, (int)version};
    return true;
}

bool reader_imports(struct reader *r, struct bytes message, uint32_t tag, struct imports *imports)
{
    size_t n = reader_count(message, tag);
    if (n > IMPORTS_MAX)
        return err_set(r->err, ERR_MODEL, "it imports %zu operator sets; at most %d make sense", n, IMPORTS_MAX);
    imports->at = arena_array(&r->scratch, n, sizeof *imports->at);
    if (!imports->at)
        return reader_short(r, "the imports");
    struct wire wire = wire_of(message);
    struct bytes item;
    while (wire_find(&wire, tag, &item))
        if (!read_import(r, item, imports))
            return false;
    return true;
}

const struct import *reader_find_import(const struct imports *imports, struct bytes domain)
{
    for (int i = 0; i < imports->n; i++)
        if (bytes_equal(imports->at[i].domain, domain))
            return &imports->at[i];
    return NULL;
}
