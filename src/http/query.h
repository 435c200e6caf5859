/*
 * query.h - what a request's target says behind '?'.
 *
 * Pure functions of a text; any thread.
 */
#ifndef HTTP_QUERY_H
#define HTTP_QUERY_H

#include "base/arena.h"
#include "base/bytes.h"
#include "percept.h"

/* The value of NAME=value, undecoded; NULL at `at` where it is not given. Of several the first. */
struct bytes query_find(const char *target, const char *name);

/* The same with its escapes decoded, in the arena; empty where it is not given. Refuses %00, broken escapes. */
bool query_text(const char *target, const char *name, struct arena *arena, struct bytes *text, struct percept_err *err);

/* true or false of NAME=true and NAME=false; `value` is untouched where it is not given. False for anything else. */
bool query_flag(const char *target, const char *name, bool *value);

#endif
