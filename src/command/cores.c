/*
 * cores.c - a container with a quota of two cores on a machine of 64 shows 64 processors; a worker
 * for each would spend its time being throttled. So: the affinity mask, capped by the control
 * group's quota (cgroup.c).
 *
 *     v2   cpu.max              "200000 100000" or "max 100000"
 *     v1   cpu.cfs_quota_us     "200000" or "-1"
 *          cpu.cfs_period_us    "100000"
 *
 * A fraction of a core counts as a whole one.
 */
#include "command/cores.h"

#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "command/cgroup.h"
#include "serve/loop.h"

static long long whole_cores(long long quota, long long period)
{
    if (quota <= 0 || period <= 0 || quota / period > 100000)
        return 0;
    return (quota + period - 1) / period;
}

static long long quota_v2(const char *folder)
{
    char line[128];
    long long quota, period;
    if (!cgroup_line(folder, "cpu.max", line, sizeof line) || sscanf(line, "%lld %lld", &quota, &period) != 2)
        return 0;
    return whole_cores(quota, period);
}

static long long quota_v1(const char *folder)
{
    char line[128];
    long long quota, period;
    if (!cgroup_line(folder, "cpu.cfs_quota_us", line, sizeof line) || sscanf(line, "%lld", &quota) != 1)
        return 0;
    if (!cgroup_line(folder, "cpu.cfs_period_us", line, sizeof line) || sscanf(line, "%lld", &period) != 1)
        return 0;
    return whole_cores(quota, period);
}

int cores_of_cgroup(const char *root, const char *membership)
{
    static const struct cgroup_limit limit = {.controller = "cpu", .v2 = quota_v2, .v1 = quota_v1};
    return (int)cgroup_least(root, membership, &limit);
}

int cores_available(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    int quota = cores_of_cgroup(CGROUP_ROOT, CGROUP_MEMBERSHIP);
    n = quota && quota < n ? quota : n;
    return n < 1 ? 1 : n > 1024 ? 1024 : n;
}

int cores_threads(int available)
{
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    const int most = online > 0 && online < available * 4L ? (int)online : available * 4;
    return most < available ? available : most;
}

/* --- looking again ------------------------------------------------------------------------------------------------ */

void cores_watch_look(struct cores_watch *watch)
{
    const int before = loop_used(watch->loop).allowed;
    loop_allow(watch->loop, watch->available());
    const int now = loop_used(watch->loop).allowed;
    char text[16];
    snprintf(text, sizeof text, "%d", now);
    if (now != before)
        log_info("other cores are ours", "#cores", text, NULL);
}

static void on_time(void *user)
{
    struct cores_watch *watch = user;
    cores_watch_look(watch);
    loop_timer_start(watch->timer, CORES_LOOK_NS);
}

bool cores_watch_begin(struct cores_watch *watch, struct loop *loop, int (*available)(void), struct percept_err *err)
{
    *watch = (struct cores_watch){.loop = loop, .available = available};
    watch->timer = loop_timer_new(loop, on_time, watch);
    if (!watch->timer)
        return err_set(err, ERR_SYSTEM, "cannot make timers: memory or file descriptors are short");
    loop_timer_let_end(watch->timer);
    loop_allow(loop, available());
    loop_timer_start(watch->timer, CORES_LOOK_NS);
    return true;
}

void cores_watch_end(struct cores_watch *watch)
{
    loop_timer_free(watch->timer);
    watch->timer = NULL;
}
