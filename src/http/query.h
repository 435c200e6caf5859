/*
 * query.h - what a request's target says behind '?'.
 *
 * Pure functions of a text; any thread.
 */
#ifndef HTTP_QUERY_H
#define HTTP_QUERY_H

#include "base/bytes.h"

/* The value of NAME=value, undecoded; NULL at `at` where it is not given. Of several the first. */
struct bytes query_find(const char *target, const char *name);

/* true or false of NAME=true and NAME=false; `value` is untouched where it is not given. False for anything else. */
bool query_flag(const char *target, const char *name, bool *value);

#endif
