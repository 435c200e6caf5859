/*
 * limits.h - what the system must allow before anything starts.
 */
#ifndef COMMAND_LIMITS_H
#define COMMAND_LIMITS_H

#include "percept.h"

/* Stacks of this process and of its threads to come: raised when they are limited to less than we need
 * and may be raised. */
bool limits_stack(struct percept_err *err);

/* Can `n` more file descriptors be opened at a time? */
bool limits_descriptors(int n, struct percept_err *err);

/* Bytes of memory that our control group may have (cgroup.h); 0: no limit is said. */
size_t limits_memory(const char *root, const char *membership);

#endif
