/*
 * bulk.h - `perceptd run MODEL FILE|FOLDER...`: files are read, computed and answered as posted ones are, on all cores.
 */
#ifndef COMMAND_BULK_H
#define COMMAND_BULK_H

#include "options.h"

/* Returns the program's exit status: 1 when the model or one of the files failed, each of which has its line on
 * standard error. */
int bulk_run(const struct options *options);

#endif
