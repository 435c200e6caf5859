/* cgroup.h - what our control group, or one above it, is limited to. */
#ifndef COMMAND_CGROUP_H
#define COMMAND_CGROUP_H

#define CGROUP_ROOT "/sys/fs/cgroup"
#define CGROUP_MEMBERSHIP "/proc/self/cgroup"

/* How to read one limit of the group whose files lie in a folder; 0: there is none. */
struct cgroup_limit {
    const char *controller; /* of version 1: "cpu" */
    long long (*v2)(const char *folder);
    long long (*v1)(const char *folder);
};

/* The least; 0: none. `root` is where the hierarchies are mounted, `membership` the file that says where we are. */
long long cgroup_least(const char *root, const char *membership, const struct cgroup_limit *limit);

/* The first line of a file in a folder; for readers. False when it is not there. */
int cgroup_line(const char *folder, const char *name, char *line, int n);

#endif
