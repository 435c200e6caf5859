/*
 * err.h - filling a struct percept_err. The caller owns it and passes it last; a function that fails
 * writes
 *
 *     return err_set(err, ERR_UNSUPPORTED, "node '%s': ...", name);
 *
 * because err_set returns false (err_null is the same for functions that return pointers). The first
 * error wins: set it where it is known best, add the place on the way up with err_prefix.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "percept.h"

enum err_code {
    ERR_NONE = 0,
#define E(name, status, sentence) ERR_##name,
#include "base/errors.def"
#undef E
    ERR_COUNT
};

/* Sets code and sentence; returns false. `err` may be NULL. */
bool err_set(struct percept_err *err, enum err_code code, const char *format, ...)
    __attribute__((cold, format(printf, 3, 4)));

/* The same as an expression of type void *, always NULL. */
#define err_null(...) (err_set(__VA_ARGS__), (void *)0)

/* Puts "prefix" before the sentence that is there; returns false. */
bool err_prefix(struct percept_err *err, const char *format, ...) __attribute__((cold, format(printf, 2, 3)));

/* Whatever went wrong, short memory aside, is the configuration's fault: ERR_CONFIG; returns false. */
bool err_config(struct percept_err *err) __attribute__((cold));

/* Out of memory while making `what`. */
bool err_memory(struct percept_err *err, const char *what, size_t n_bytes) __attribute__((cold));

const char *err_name(int code); /* "NOT_FOUND" */
int err_status(int code);       /* HTTP status */
const char *err_meaning(int code);

#endif
