/*
 * limits.c - limits that would otherwise end the process without a word: a stack that is too small
 * is a signal in the middle of a run, and libuv aborts when it cannot open its pipe for signals.
 * Memory and threads are tried where they are taken (base/arena.c, serve/loop.c).
 */
#include "command/limits.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/err.h"
#include "command/cgroup.h"

#define STACK_LEAST ((rlim_t)1 << 20) /* several times what the deepest call takes */
#define STACK_USUAL ((rlim_t)8 << 20)
#define DESCRIPTORS_MOST 64
#define MEMORY_MOST (INT64_C(1) << 60) /* how version 1 says that there is no limit: about 2^63 */

bool limits_stack(struct percept_err *err)
{
    struct rlimit stack;
    if (getrlimit(RLIMIT_STACK, &stack) != 0 || stack.rlim_cur >= STACK_LEAST)
        return true; /* no limit is the largest number */
    rlim_t had = stack.rlim_cur;
    stack.rlim_cur = stack.rlim_max < STACK_USUAL ? stack.rlim_max : STACK_USUAL;
    if (stack.rlim_cur >= STACK_LEAST && setrlimit(RLIMIT_STACK, &stack) == 0)
        return true;
    return err_set(err, ERR_SYSTEM, "the stack is limited to %llu bytes, at least %llu are needed: ulimit -s %llu",
                   (unsigned long long)had, (unsigned long long)STACK_LEAST, (unsigned long long)(STACK_USUAL >> 10));
}

bool limits_descriptors(int n, struct percept_err *err)
{
    int fds[DESCRIPTORS_MOST];
    int opened = 0, why = 0;
    while (opened < n && opened < DESCRIPTORS_MOST) {
        fds[opened] = eventfd(0, EFD_CLOEXEC);
        if (fds[opened] < 0) {
            why = errno;
            break;
        }
        opened++;
    }
    for (int i = 0; i < opened; i++)
        close(fds[i]);
    return !why || err_set(err, ERR_SYSTEM,
                           "%d more file descriptors are needed, only %d can be opened: %s; ulimit "
                           "-n 1024 is a usual limit",
                           n, opened, strerror(why));
}

static long long memory_in(const char *folder, const char *name)
{
    char line[64];
    long long n_bytes;
    if (!cgroup_line(folder, name, line, sizeof line) || sscanf(line, "%lld", &n_bytes) != 1)
        return 0; /* "max" */
    return n_bytes > 0 && n_bytes < MEMORY_MOST ? n_bytes : 0;
}

static long long memory_v2(const char *folder)
{
    return memory_in(folder, "memory.max");
}

static long long memory_v1(const char *folder)
{
    return memory_in(folder, "memory.limit_in_bytes");
}

size_t limits_memory(const char *root, const char *membership)
{
    static const struct cgroup_limit limit = {.controller = "memory", .v2 = memory_v2, .v1 = memory_v1};
    return (size_t)cgroup_least(root, membership, &limit);
}
