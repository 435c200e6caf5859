/*
 * resident.c - how a model goes and comes back.
 *
 *     IN -> GOING: its lane is held, runs under way end, no other begins
 *        -> its sessions are at home: a loader frees them and the model -> OUT
 *     OUT -> something waits in its lane, or is read there: it is wanted, for as long as it takes
 *        -> COMING: a loader opens and warms it -> IN, the lane goes on; or what waits fails
 *
 * Weights in a named region are counted once, at the first model that has it: their bytes are what memory they take.
 */
#include "serve/resident.h"

#include "base/err.h"
#include "base/log.h"
#include "serve/companion.h"

#include <assert.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

static struct entry *entry_at(struct idle *idle)
{
    return (struct entry *)(void *)((char *)idle - offsetof(struct entry, idle));
}

/* --- what each holds ---------------------------------------------------------------------------------------------- */

/* Again for all when one has come or gone. */
static void count_weights(const struct residents *residents)
{
    for (struct idle *at = residents->first; at; at = at->next) {
        struct entry *entry = entry_at(at);
        struct percept_description mine = {0}, other;
        entry->weight_bytes = 0;
        if (!entry->served.model)
            continue;
        percept_describe(entry->served.model, &mine);
        entry->weight_bytes = mine.region_bytes;
        for (struct idle *before = residents->first; *mine.region_name && before != at; before = before->next) {
            if (!entry_at(before)->served.model)
                continue;
            percept_describe(entry_at(before)->served.model, &other);
            if (strcmp(other.region_name, mine.region_name) == 0)
                entry->weight_bytes = 0;
        }
    }
}

static size_t bytes_of_entry(const struct entry *entry)
{
    return entry->weight_bytes + (size_t)entry->served.stats.session_bytes + companion_bytes(&entry->served);
}

size_t resident_bytes(const struct residents *residents)
{
    size_t n_bytes = 0;
    for (struct idle *at = residents->first; at; at = at->next)
        n_bytes += entry_at(at)->served.model ? bytes_of_entry(entry_at(at)) : 0;
    return n_bytes;
}

/* --- going -------------------------------------------------------------------------------------------------------- */

static void log_line(const struct entry *entry, const char *what, int64_t ns)
{
    char version[24], ms[32];
    snprintf(version, sizeof version, "%" PRId64, entry->served.version);
    snprintf(ms, sizeof ms, "%.1f", (double)ns / 1e6);
    log_debug(what, "model", entry->served.name, "#version", version, ns ? "#ms" : NULL, ms, NULL);
}

static void go_work(struct task *task)
{
    entry_free_parts(entry_of(task));
}

static void go_done(struct task *task)
{
    struct entry *entry = entry_of(task);
    struct residents *residents = entry->residents;
    residents->n_moving--;
    entry->idle.state = IDLE_OUT;
    entry->idle.wanted_ns = 0;
    loop_wake(residents->loop);
}

/* Its runs have ended. */
static void give_back(struct residents *residents, struct entry *entry)
{
    struct served *served = &entry->served;
    struct percept_description description = {0};
    percept_describe(served->model, &description);
    entry->idle.taken_bytes = description.region_bytes + (size_t)served->stats.session_bytes;
    entry_note_sizes(entry);
    entry->sessions = dispatch_lane_take_sessions(served->lane);
    entry->other_model = served->model;
    served->model = NULL;
    served->away = true;
    served->stats.departures++;
    count_weights(residents);
    log_line(entry, "model unloaded until it is asked for", 0);
    residents->n_moving++;
    entry->task = (struct task){.work = go_work, .done = go_done};
    loop_load(residents->loop, &entry->task);
}

static void go(struct entry *entry)
{
    entry->idle.state = IDLE_GOING;
    dispatch_lane_hold(entry->served.lane);
}

/* --- coming ------------------------------------------------------------------------------------------------------- */

static void come_work(struct task *task)
{
    entry_open_again(entry_of(task));
}

static void fail_waiting(struct entry *entry)
{
    struct served *served = &entry->served;
    struct percept_err why;
    err_set(&why, ERR_UNAVAILABLE, "Request for unknown model: '%s' version %" PRId64 " is not at ready state: %s",
            served->name, served->version, served->reason);
    dispatch_lane_fail(served->lane, &why);
}

/* FAILED, unless there may be memory the next time. */
static void stay_away(struct residents *residents, struct entry *entry)
{
    struct served *served = &entry->served;
    const enum served_state state = served->state;
    const bool again = entry->err.code == ERR_MEMORY || state != SERVED_READY;
    served->stats.load_failures++;
    entry->idle.state = IDLE_OUT;
    entry->idle.wanted_ns = 0;
    entry_log_failed(entry);
    entry_fail(entry);
    entry->err = (struct percept_err){0};
    fail_waiting(entry);
    if (again)
        served->state = state;
    else
        residents->failed(residents->user, served);
}

static void come_back(struct residents *residents, struct entry *entry)
{
    struct served *served = &entry->served;
    served->model = entry->other_model;
    entry->other_model = NULL;
    entry->session = NULL; /* the lane's */
    served->away = false;
    served->stats.returns++;
    served->stats.loads++;
    served->load_ms = (double)entry->load_ns / 1e6;
    served->reason[0] = '\0';
    entry->idle.state = IDLE_IN;
    entry->idle.load_ns = entry->load_ns;
    entry->idle.since_ns = entry->idle.used_ns = residents->now_ns();
    count_weights(residents);
    log_line(entry, "model loaded as it was asked for", entry->load_ns);
}

static void come_done(struct task *task)
{
    struct entry *entry = entry_of(task);
    struct residents *residents = entry->residents;
    residents->n_moving--;
    if (entry->loaded && dispatch_lane_go_on(entry->served.lane, entry->session, &entry->err))
        come_back(residents, entry);
    else
        stay_away(residents, entry);
    loop_wake(residents->loop);
}

static void come(struct residents *residents, struct entry *entry)
{
    entry->idle.state = IDLE_COMING;
    residents->n_moving++;
    entry->task = (struct task){.work = come_work, .done = come_done};
    loop_load(residents->loop, &entry->task);
}

/* --- the turn ----------------------------------------------------------------------------------------------------- */

static bool has_limits(const struct residents *residents)
{
    return residents->limits.max_idle_ns || residents->limits.max_bytes;
}

static void look_at(struct residents *residents, struct entry *entry, int64_t now_ns)
{
    struct idle *idle = &entry->idle;
    const struct lane *lane = entry->served.lane;
    const bool entered = lane->n_entered != entry->n_entered;
    entry->n_entered = lane->n_entered;
    idle->rests = dispatch_lane_rests(lane) && !entry->served.n_holders;
    idle->held_bytes = bytes_of_entry(entry);
    if (entered || !idle->rests)
        idle->used_ns = now_ns;
    if (idle->state == IDLE_GOING && dispatch_lane_is_home(lane) && entry->served.model)
        give_back(residents, entry);
    if (entry->served.state == SERVED_FAILED && idle->state == IDLE_OUT)
        fail_waiting(entry);
    else if (idle->state == IDLE_OUT && !idle->wanted_ns && (entered || lane->n_pending))
        idle->wanted_ns = now_ns;
}

void resident_turn(struct residents *residents)
{
    if (!has_limits(residents))
        return;
    const int64_t now_ns = residents->now_ns();
    int64_t look_ns = IDLE_NEVER;
    struct idle *next;
    for (struct idle *at = residents->first; at; at = at->next)
        look_at(residents, entry_at(at), now_ns);
    while ((next = idle_next(residents->first, &residents->limits, now_ns, &look_ns))) {
        if (next->state == IDLE_OUT) {
            come(residents, entry_at(next));
            continue;
        }
        go(entry_at(next));
        look_at(residents, entry_at(next), now_ns);
    }
    if (look_ns != IDLE_NEVER)
        loop_timer_start(residents->timer, look_ns - now_ns);
}

static void on_time(void *user)
{
    loop_wake(((struct residents *)user)->loop);
}

/* --- who is watched ----------------------------------------------------------------------------------------------- */

void resident_add(struct residents *residents, struct entry *entry)
{
    struct idle **at = &residents->first;
    while (*at)
        at = &(*at)->next;
    *at = &entry->idle;
    entry->residents = residents;
    entry->idle.state = IDLE_IN;
    entry->idle.stays = entry->sent || entry->served.companion;
    entry->idle.load_ns = entry->load_ns;
    entry->idle.since_ns = entry->idle.used_ns = residents->now_ns();
    count_weights(residents);
}

void resident_remove(struct residents *residents, struct entry *entry)
{
    struct idle **at = &residents->first;
    while (*at && *at != &entry->idle)
        at = &(*at)->next;
    if (!*at)
        return;
    *at = entry->idle.next;
    count_weights(residents);
}

bool resident_begin(struct residents *residents, struct loop *loop, const struct settings *settings,
                    struct percept_err *err)
{
    residents->loop = loop;
    residents->now_ns = loop_now_ns;
    residents->limits =
        (struct idle_limits){.max_idle_ns = settings->max_idle_ms * 1000000, .max_bytes = settings->max_resident_bytes};
    if (has_limits(residents))
        residents->timer = loop_timer_new(loop, on_time, residents);
    if (residents->timer)
        loop_timer_let_end(residents->timer);
    return !has_limits(residents) || residents->timer ||
           err_set(err, ERR_SYSTEM, "cannot make a timer: memory or file descriptors are short");
}

void resident_end(struct residents *residents)
{
    assert(!residents->n_moving);
    loop_timer_free(residents->timer);
}
