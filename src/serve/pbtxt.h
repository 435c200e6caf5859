/*
 * pbtxt.h - protobuf's text format (https://protobuf.dev/reference/protobuf/textformat-spec/) as a tree. It knows no
 * message: names and types are its reader's to judge.
 *
 *     struct pbtxt *root = pbtxt_read(text, &arena, &err);
 *     for (const struct pbtxt *field = root ? root->first : NULL; field; field = field->next) ...
 *
 * Everything lies in the arena; the text may go. A list is as many fields of one name.
 */
#ifndef SERVE_PBTXT_H
#define SERVE_PBTXT_H

#include "base/arena.h"
#include "base/bytes.h"
#include "percept.h"

#define PBTXT_DEPTH_MAX 32
#define PBTXT_FIELDS_MAX 65536 /* in one text */

enum pbtxt_kind {
    PBTXT_MESSAGE,
    PBTXT_STRING, /* decoded: UTF-8 without a NUL */
    PBTXT_WORD,   /* a number, true, an enumerator; as it is written */
};

struct pbtxt {
    struct pbtxt *next; /* in the same message, in the order of the text */
    const char *name;   /* "" for the root */
    int line, column;   /* of the name, or of the value within a list; bytes, from 1 */
    enum pbtxt_kind kind;
    const char *text;    /* of a string or word */
    struct pbtxt *first; /* of a message: its fields */
};

/* The root message. NULL with "line 3, column 5: ..." (ERR_CONFIG) when it is no such text. */
struct pbtxt *pbtxt_read(struct bytes text, struct arena *arena, struct percept_err *err);

/* What a word says: decimal, 0x.. and 0.. (octal). False when it is no such number, or too large. */
bool pbtxt_int64(const struct pbtxt *field, int64_t *value);
bool pbtxt_uint64(const struct pbtxt *field, uint64_t *value);
bool pbtxt_double(const struct pbtxt *field, double *value);
/* true, True, t, 1 and their opposites */
bool pbtxt_bool(const struct pbtxt *field, bool *value);

#endif
