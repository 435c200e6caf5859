/*
 * accept.h - lists with weights, as the headers Accept and Accept-Encoding have them (RFC 9110, 12.4 and 12.5).
 *
 *     struct accept_range range;
 *     while (accept_next(&header, &range))
 *         ... range.name, range.weight
 *
 * Pure functions of bytes; any thread.
 */
#ifndef SERVE_ACCEPT_H
#define SERVE_ACCEPT_H

#include "base/bytes.h"

#define ACCEPT_WEIGHT_MAX 1000

struct accept_range {
    struct bytes name; /* without blanks around it and without parameters; may be empty */
    int weight;        /* of its q, in thousandths; 0: refused */
};

/* Takes the next entry off the front of the list; false at its end. What is no number as q is 1. */
bool accept_next(struct bytes *list, struct accept_range *range);

#endif
