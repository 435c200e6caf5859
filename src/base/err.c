/*
 * err.c - sentences for failures. No allocation, so that running out of memory can be told as well.
 */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int status;
    const char *meaning;
} rows[ERR_COUNT] = {
    [ERR_NONE] = {"NONE", 200, "no error"},
#define E(name, status, sentence) [ERR_##name] = {#name, status, sentence},
#include "base/errors.def"
#undef E
};

bool err_set(struct percept_err *err, enum err_code code, const char *format, ...)
{
    if (!err)
        return false;
    va_list args;
    va_start(args, format);
    err->code = (int)code;
    vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    return false;
}

bool err_prefix(struct percept_err *err, const char *format, ...)
{
    if (!err)
        return false;
    char tail[sizeof err->text];
    memcpy(tail, err->text, sizeof tail);
    va_list args;
    va_start(args, format);
    int n = vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    if (n >= 0 && (size_t)n < sizeof err->text)
        snprintf(err->text + n, sizeof err->text - (size_t)n, "%s", tail);
    return false;
}

bool err_config(struct percept_err *err)
{
    if (err && err->code != ERR_MEMORY)
        err->code = ERR_CONFIG;
    return false;
}

bool err_memory(struct percept_err *err, const char *what, size_t n_bytes)
{
    return err_set(err, ERR_MEMORY, "out of memory: %s needs %zu bytes", what, n_bytes);
}

static int known(int code)
{
    return code > ERR_NONE && code < ERR_COUNT ? code : ERR_INTERNAL;
}

const char *err_name(int code)
{
    return rows[known(code)].name;
}

int err_status(int code)
{
    return rows[known(code)].status;
}

const char *err_meaning(int code)
{
    return rows[known(code)].meaning;
}
