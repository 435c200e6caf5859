/*
 * cores.c - a container with a quota of two cores on a machine of 64 shows 64 processors; a worker
 * for each would spend its time being throttled. So: the affinity mask, capped by the control
 * group's quota.
 *
 *     v2   0::/a/b           ROOT/a/b/cpu.max              "200000 100000" or "max 100000"
 *     v1   3:cpu,cpuacct:/a  ROOT/cpu/a/cpu.cfs_quota_us   "200000" or "-1"
 *                            ROOT/cpu/a/cpu.cfs_period_us  "100000"
 *
 * A parent's quota binds its children, so the least on the way up to the root counts. Within a
 * container the path may be the host's and not exist under the mount: then what is at the mount
 * itself is ours, and the way up reaches it. A fraction of a core counts as a whole one.
 */
#include "command/cores.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

#define PATH_BYTES 1024

/* The file's first line. */
static int read_line(const char *path, char *line, int n)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    int got = fgets(line, n, file) != NULL;
    fclose(file);
    return got;
}

static int whole_cores(long long quota, long long period)
{
    if (quota <= 0 || period <= 0 || quota / period > 100000)
        return 0;
    return (int)((quota + period - 1) / period);
}

static int quota_v2(const char *folder)
{
    char path[PATH_BYTES + 32], line[128];
    long long quota, period;
    snprintf(path, sizeof path, "%s/cpu.max", folder);
    if (!read_line(path, line, sizeof line) || sscanf(line, "%lld %lld", &quota, &period) != 2)
        return 0;
    return whole_cores(quota, period);
}

static int quota_v1(const char *folder)
{
    char path[PATH_BYTES + 32], line[128];
    long long quota, period;
    snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", folder);
    if (!read_line(path, line, sizeof line) || sscanf(line, "%lld", &quota) != 1)
        return 0;
    snprintf(path, sizeof path, "%s/cpu.cfs_period_us", folder);
    if (!read_line(path, line, sizeof line) || sscanf(line, "%lld", &period) != 1)
        return 0;
    return whole_cores(quota, period);
}

static int least(int a, int b)
{
    return !a ? b : !b ? a : a < b ? a : b;
}

/* The least quota of ROOT/PATH and the folders above it, ROOT included. */
static int climb(const char *root, const char *path, int (*quota)(const char *folder))
{
    char folder[PATH_BYTES];
    int n = snprintf(folder, sizeof folder, "%s%s", root, path);
    size_t root_bytes = strlen(root);
    if (n < 0 || (size_t)n >= sizeof folder)
        return 0;
    int most = 0;
    for (;;) {
        most = least(most, quota(folder));
        char *slash = strrchr(folder, '/');
        if (!slash || (size_t)(slash - folder) < root_bytes)
            return most;
        *slash = '\0';
    }
}

/* Is "cpu" among "cpu,cpuacct"? */
static int has_cpu(const char *controllers)
{
    for (const char *at = controllers; *at;) {
        size_t n = strcspn(at, ",");
        if (n == 3 && memcmp(at, "cpu", 3) == 0)
            return 1;
        at += n + (at[n] == ',');
    }
    return 0;
}

int cores_of_cgroup(const char *root, const char *membership)
{
    char line[PATH_BYTES];
    int most = 0;
    FILE *file = fopen(membership, "re");
    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path)
            continue;
        *path++ = '\0';
        controllers++;
        char v1_root[PATH_BYTES];
        int n = snprintf(v1_root, sizeof v1_root, "%s/cpu", root);
        if (!*controllers)
            most = least(most, climb(root, path, quota_v2));
        else if (has_cpu(controllers) && n > 0 && (size_t)n < sizeof v1_root)
            most = least(most, climb(v1_root, path, quota_v1));
    }
    if (file)
        fclose(file);
    return most;
}

int cores_available(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    int quota = cores_of_cgroup("/sys/fs/cgroup", "/proc/self/cgroup");
    n = least(n, quota);
    return n < 1 ? 1 : n > 1024 ? 1024 : n;
}
