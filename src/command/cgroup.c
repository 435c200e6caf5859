/*
 * cgroup.c - finds the folders that say what a control group may have.
 *
 *     v2   0::/a/b           ROOT/a/b/cpu.max, ROOT/a/b/memory.max
 *     v1   3:cpu,cpuacct:/a  ROOT/cpu/a/cpu.cfs_quota_us ...
 *
 * A parent's limit binds its children, so the least on the way up to the root counts. Within a
 * container the path may be the host's and not exist under the mount: then what is at the mount
 * itself is ours, and the way up reaches it.
 */
#include "command/cgroup.h"

#include <stdio.h>
#include <string.h>

#define PATH_BYTES 1024

int cgroup_line(const char *folder, const char *name, char *line, int n)
{
    char path[PATH_BYTES + 64];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    int got = fgets(line, n, file) != NULL;
    fclose(file);
    return got;
}

static long long least(long long a, long long b)
{
    return !a ? b : !b ? a : a < b ? a : b;
}

/* Of ROOT/PATH and the folders above it, ROOT included. */
static long long climb(const char *root, const char *path, long long (*limit)(const char *folder))
{
    char folder[PATH_BYTES];
    int n = snprintf(folder, sizeof folder, "%s%s", root, path);
    size_t root_bytes = strlen(root);
    if (n < 0 || (size_t)n >= sizeof folder)
        return 0;
    long long most = 0;
    for (;;) {
        most = least(most, limit(folder));
        char *slash = strrchr(folder, '/');
        if (!slash || (size_t)(slash - folder) < root_bytes)
            return most;
        *slash = '\0';
    }
}

/* Is "cpu" among "cpu,cpuacct"? */
static int has(const char *controllers, const char *controller)
{
    for (const char *at = controllers; *at;) {
        size_t n = strcspn(at, ",");
        if (n == strlen(controller) && memcmp(at, controller, n) == 0)
            return 1;
        at += n + (at[n] == ',');
    }
    return 0;
}

long long cgroup_least(const char *root, const char *membership, const struct cgroup_limit *limit)
{
    char line[PATH_BYTES];
    long long most = 0;
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
        int n = snprintf(v1_root, sizeof v1_root, "%s/%s", root, limit->controller);
        if (!*controllers)
            most = least(most, climb(root, path, limit->v2));
        else if (has(controllers, limit->controller) && n > 0 && (size_t)n < sizeof v1_root)
            most = least(most, climb(v1_root, path, limit->v1));
    }
    if (file)
        fclose(file);
    return most;
}
