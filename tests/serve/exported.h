/*
 * exported.h - networks as exporters leave them, for recognisers: metadata_props, names, types and dims are right,
 * numbers are not.
 *
 *     struct percept_model *model = exported_open("task=detect\nnames={0: 'a'}", "images|float32|1,3,64,64",
 *                                                 "output0|float32|1,5,84");
 *
 * Properties are "key=value" with newlines between. Inputs and outputs are "name|type|dims" with blanks between; behind
 * an output's dims may stand "@Softmax" and further operators, each of which it goes through. "?" is a free axis, which
 * has 2 elements.
 */
#ifndef TESTS_SERVE_EXPORTED_H
#define TESTS_SERVE_EXPORTED_H

#include "percept.h"

struct percept_model *exported_open(const char *properties, const char *inputs, const char *outputs);

/* Writes such a model to a file. */
void exported_write(const char *path, const char *properties, const char *inputs, const char *outputs);

/* The properties but for one, which has another value, or NULL: is left out. In a buffer of the function's. */
const char *exported_but(const char *properties, const char *key, const char *value);

/* Where the model is taken to lie, alone; NULL: among others. */
extern const char *exported_folder;

/* It is recognised by this recogniser, and its manifest, which fits, has this part. */
void exported_claimed(const char *by, const char *properties, const char *inputs, const char *outputs,
                      const char *part);

/* It is not recognised, and what is said of it has this part. */
void exported_refused(const char *properties, const char *inputs, const char *outputs, const char *part);

#endif
