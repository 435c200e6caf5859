/* cores.h - how many cores this process may use: its affinity, and what its control group is
 * granted. */
#ifndef COMMAND_CORES_H
#define COMMAND_CORES_H

#include "percept.h"

/* At least 1. */
int cores_available(void);

/* The quota of a control group in whole cores, rounded up; 0: none. `root` is where the hierarchies
 * are mounted ("/sys/fs/cgroup"), `membership` the file that says where we are
 * ("/proc/self/cgroup"). */
int cores_of_cgroup(const char *root, const char *membership);

struct loop;
struct loop_timer;

#define CORES_LOOK_NS INT64_C(5000000000)

/* Looks again every CORES_LOOK_NS, and tells the loop (loop_allow). */
struct cores_watch {
    struct loop *loop;
    int (*available)(void); /* cores_available, or a test's */
    struct loop_timer *timer;
};

/* False when memory or descriptors are short. */
bool cores_watch_begin(struct cores_watch *watch, struct loop *loop, int (*available)(void), struct percept_err *err);
void cores_watch_look(struct cores_watch *watch); /* what the timer does */
void cores_watch_end(struct cores_watch *watch);

/* Threads that are made where so many cores are ours now: four times as many, if the machine has them, since a quota
 * and an affinity may grow. Those that are not needed sleep. */
int cores_threads(int available);

#endif
