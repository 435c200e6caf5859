/* cores.h - how many cores this process may use: its affinity, and what its control group is
 * granted. */
#ifndef COMMAND_CORES_H
#define COMMAND_CORES_H

/* At least 1. */
int cores_available(void);

/* The quota of a control group in whole cores, rounded up; 0: none. `root` is where the hierarchies
 * are mounted ("/sys/fs/cgroup"), `membership` the file that says where we are
 * ("/proc/self/cgroup"). */
int cores_of_cgroup(const char *root, const char *membership);

#endif
