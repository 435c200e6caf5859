/* encoder_elements.h - a tensor's elements as JSON has them; see encoder_elements.c. */
#ifndef SERVE_ENCODER_ELEMENTS_H
#define SERVE_ENCODER_ELEMENTS_H

#include "percept.h"
#include "serve/writer.h"

/* `n` elements from the `first` on, with commas between. FP16 and BF16 have no form in JSON. */
void encoder_elements_put(struct writer *w, const struct percept_tensor *tensor, int64_t first, int64_t n);

/* One element of any type that is not a string, into NUMBER_TEXT_MAX bytes; returns its length. */
size_t encoder_elements_one(char *to, const struct percept_tensor *tensor, int64_t i);

/* Is it a type of whole numbers? The value of such an element; that of UINT64 as if it were INT64. */
bool encoder_elements_whole(enum percept_dtype dtype);
int64_t encoder_elements_int(const struct percept_tensor *tensor, int64_t i);

#endif
