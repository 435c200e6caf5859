/*
 * limits.c - limits that would otherwise end the process without a word: a stack that is too small
 * is a signal in the middle of a run, and libuv aborts when it cannot open its pipe for signals.
 * Memory and threads are tried where they are taken (base/arena.c, serve/loop.c).
 */
#include "command/limits.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/err.h"

#define STACK_LEAST ((rlim_t)1 << 20) /* several times what the deepest call takes */
#define STACK_USUAL ((rlim_t)8 << 20)
#define DESCRIPTORS_MOST 64

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
