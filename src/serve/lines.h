/*
 * lines.h - a text file as an array of strings: vocabularies and labels. Line n from 0 is string n.
 */
#ifndef SERVE_LINES_H
#define SERVE_LINES_H

#include "base/arena.h"
#include "base/file.h"
#include "percept.h"

/* Reads the file `name` beneath the place; strings lie in the arena. Returns how many, or -1. */
int lines_read(const struct file_place *place, const char *name, struct arena *arena, const char *const **list,
               struct percept_err *err);

#endif
