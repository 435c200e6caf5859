/*
 * families.h - which generator makes models of which operator: families.def, one row each.
 */
#ifndef DIFFERENTIAL_FAMILIES_H
#define DIFFERENTIAL_FAMILIES_H

#include "differential/example.h"

struct family {
    const char *op, *domain;
    int first; /* opset from which models are made */
    void (*make)(struct example *e);
    int variant; /* for generators that make several operators */
};

extern const struct family families[]; /* ended by a row without a name */

#endif
