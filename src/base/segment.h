/*
 * segment.h - objects in /dev/shm that other processes made, read and written by descriptor.
 *
 * They are never mapped: whoever made one may shrink it at any time, and a mapping that reaches beyond its end kills
 * the process (SIGBUS), where pread only comes back short. Threads: any; a descriptor may be used by several at a time.
 */
#ifndef BASE_SEGMENT_H
#define BASE_SEGMENT_H

#include "base/watch.h"
#include "percept.h"

/* The descriptor of a regular object, with a single name, for reading and writing, and its size; or -1. The name is a
 * file's in /dev/shm: no path, and a symbolic link is not followed. */
int segment_open(const char *name, uint64_t *n_bytes, struct percept_err *err);
void segment_close(int fd);

/* Whole, or an error: INVALID where it ends before that. A write past the end makes it longer. */
bool segment_read(int fd, uint64_t offset, void *to, size_t n_bytes, struct watch *watch, struct percept_err *err);
bool segment_write(int fd, uint64_t offset, const void *from, size_t n_bytes, struct watch *watch,
                   struct percept_err *err);

#endif
