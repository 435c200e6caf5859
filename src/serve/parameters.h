/*
 * parameters.h - what stands behind the value of a header: '; name=value' or '; name="value"' (RFC 9110, 5.6.6).
 *
 *     char boundary[PARAMETERS_BOUNDARY_MAX];
 *     int n = parameters_find(content_type, "boundary", boundary, sizeof boundary);
 *
 * Pure functions of bytes; any thread.
 */
#ifndef SERVE_PARAMETERS_H
#define SERVE_PARAMETERS_H

#include "base/bytes.h"

#define PARAMETERS_BOUNDARY_MAX 70 /* characters of a multipart's boundary, by RFC 2046 */

/* The parameter's value without quotes, in a buffer; its length, -1: there is none, or it is longer. */
int parameters_find(struct bytes field, const char *wanted, char *to, size_t n_bytes);

/* A blank or a tab; without these around; the same but for capitals. */
bool parameters_blank(uint8_t c);
struct bytes parameters_trim(struct bytes text);
bool parameters_same(struct bytes text, const char *word);

#endif
