/*
 * number.h - text <-> numbers: exact (correctly rounded both ways, shortest digits that read back the
 * same), fast, locale-independent, with NaN, Infinity and -Infinity. Used for JSON bodies, options and
 * manifests' replies alike.
 */
#ifndef BASE_NUMBER_H
#define BASE_NUMBER_H

#include "base/bytes.h"

#define NUMBER_TEXT_MAX 32 /* longest text that the writers make, without a NUL */

/* Reads a JSON number, or NaN, Infinity, -Infinity, at the start of text. Returns where it ends, or NULL
 * when there is none. Correctly rounded. Overflow gives infinity, underflow zero or a subnormal. */
const uint8_t *number_read_double(struct bytes text, double *value);
const uint8_t *number_read_float(struct bytes text, float *value); /* rounded once, from the text */

/* As many of a list's numbers, with ',' or ", " between them, as are short and plain, up to n: text->at becomes the end
 * of the last. Anything else ends it, to be read by the function above: less than n says nothing about the text. */
int64_t number_read_floats(struct bytes *text, float *values, int64_t n);

/* A JSON integer without fraction or exponent (-0 is 0); "1.0" and "1e2" are accepted when they are whole
 * numbers. NULL when there is none or it does not fit. */
const uint8_t *number_read_int64(struct bytes text, int64_t *value);
const uint8_t *number_read_uint64(struct bytes text, uint64_t *value);

/* Shortest text that reads back as the same value; "NaN", "Infinity", "-Infinity" (not JSON; V2 clients
 * read and write them). Returns the number of bytes written, at most NUMBER_TEXT_MAX; no NUL. Whole
 * numbers are printed with ".0", so that a reader sees a float. */
size_t number_write_float(char *to, float value);
size_t number_write_double(char *to, double value);
size_t number_write_int64(char *to, int64_t value);
size_t number_write_uint64(char *to, uint64_t value);

/* "64M", "1.5G", "4096": bytes with an optional K, M or G (powers of 1024). */
bool number_read_size(const char *text, size_t *n_bytes);

#endif
