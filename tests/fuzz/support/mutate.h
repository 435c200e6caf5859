/*
 * mutate.h - changes a model as a whole of messages and not as bytes, so that what comes out is
 * still read: numbers, names, operators, types, shapes; fields twice, gone, elsewhere; another
 * graph beside.
 */
#ifndef TESTS_FUZZ_MUTATE_H
#define TESTS_FUZZ_MUTATE_H

#include <stddef.h>
#include <stdint.h>

/* For LLVMFuzzerCustomMutator: the new size, within `most`. What is no model becomes a drawn one.
 */
size_t mutate_model(uint8_t *data, size_t n, size_t most, unsigned seed);

#endif
