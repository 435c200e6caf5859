/* cast.h - numbers of one type into another; the rules about what does not fit stand in cast.c. */
#ifndef OP_CAST_H
#define OP_CAST_H

#include "percept.h"

/* Every pair of types except strings. y may not overlap x. */
void cast_numbers(enum percept_dtype to, void *y, enum percept_dtype from, const void *x, int64_t n);

#endif
