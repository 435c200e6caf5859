/*
 * npy.h - arrays in numpy's file format, versions 1 to 3.
 *
 * Read: little-endian numbers and bool; texts of fixed length (S, U) as PERCEPT_STRING, without the
 * NULs that fill them; column-major files are transposed. Written: row-major, version 1 where that
 * has room; texts as U of the longest, or S where one is not UTF-8; bfloat16, which numpy has no
 * name for, as V2 and read from it.
 */
#ifndef COMMAND_NPY_H
#define COMMAND_NPY_H

#include "base/arena.h"
#include "base/bytes.h"
#include "percept.h"

/* The tensor's elements are in the arena. */
bool npy_read(const char *path, struct arena *arena, struct percept_tensor *tensor, struct percept_err *err);
bool npy_write(const char *path, const struct percept_tensor *tensor, struct percept_err *err);

/* The same from and to memory. */
bool npy_decode(struct bytes file, struct arena *arena, struct percept_tensor *tensor, struct percept_err *err);
bool npy_encode(const struct percept_tensor *tensor, struct arena *arena, struct bytes *file, struct percept_err *err);

#endif
