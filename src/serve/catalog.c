/*
 * catalog.c - the list of what is served, as it changes, and telling the world how it stands.
 *
 *     catalog_place -> an entry, LOADING
 *                  -> a turn of the loop in which all that it needs is READY
 *                  -> a loader's thread: manifest, open, first session (entry.c)
 *                  -> back on the loop: a lane, READY; or FAILED with the reason, which is kept
 *     catalog_remove -> UNLOADING: no new jobs -> the last holder has left -> gone
 *     catalog_place of what is listed -> another entry, not listed, loads beside the one that stands
 *                  -> it is READY: they swap in the list, and the old one leaves; or it FAILED:
 *                     it leaves, and the old one stays
 *
 * A failed model is no reason to stop: the others serve, /ready names it. Whoever wants the opposite
 * has strict readiness.
 *
 * Which version is meant by "none in particular": the highest that is ready, so that a broken new
 * version does not take the model away. All versions in a folder are loaded.
 *
 * Leaving needs no lock and no count that others keep. Holders are a loader, jobs (served.n_holders)
 * and workers, helpers among them (its lane says whether it rests). Each of them lets go on the loop
 * and wakes it, and the turn behind that looks whether what is leaving is left. So nothing that a
 * caller has just been given goes away before the turn is over.
 *
 * Draining: jobs end, queued loads are skipped by a flag, loads under way are waited for.
 */
#include "serve/catalog.h"

#include "base/err.h"
#include "serve/companion.h"
#include "serve/entry.h"
#include "serve/labels.h"
#include "serve/needs.h"
#include "serve/omissions.h"
#include "serve/depends.h"
#include "serve/resident.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct catalog {
    struct loop *loop;
    const struct settings *settings;
    struct dispatch *dispatch;
    struct served *first;  /* what is listed */
    struct entry *entries; /* all */
    struct labels labels;
    struct omissions omissions;
    struct residents residents;
    int n_waiting;    /* to be loaded */
    int n_loading;    /* those among them, and those that a loader has */
    int n_leaving;    /* UNLOADING */
    bool moved;       /* something has become READY, or is not READY any more, since parts were looked at */
    int stop_loading; /* a flag */
    bool leaving;
    bool may_be_empty;
    bool private_told;
    void (*changed)(void *user, struct served *served);
    void *changed_user;
    void (*drained)(void *user);
    void *drained_user;
    bool jobs_drained;
};

const char *catalog_state_name(enum served_state state)
{
    switch (state) {
    case SERVED_LOADING:
        return "LOADING";
    case SERVED_READY:
        return "READY";
    case SERVED_FAILED:
        return "UNAVAILABLE";
    case SERVED_UNLOADING:
        return "UNLOADING";
    }
    return "UNKNOWN";
}

/* The list of what is served */

static struct entry *entry_at(struct served *served)
{
    return (struct entry *)(void *)served;
}

static void list(struct catalog *catalog, struct served *served)
{
    struct served **at = &catalog->first;
    for (; *at; at = &(*at)->next) {
        int order = strcmp((*at)->name, served->name);
        if (order > 0 || (order == 0 && (*at)->version > served->version))
            break;
    }
    served->next = *at;
    *at = served;
    entry_at(served)->listed = true;
}

static void unlist(struct catalog *catalog, struct served *served)
{
    struct served **at = &catalog->first;
    while (*at != served)
        at = &(*at)->next;
    *at = served->next;
    entry_at(served)->listed = false;
}

static void report(struct catalog *catalog, struct served *served)
{
    catalog->moved = true;
    if (catalog->changed)
        catalog->changed(catalog->changed_user, served);
}

/* Leaving, of one */

static void close_work(struct task *task)
{
    entry_close(entry_of(task));
}

static void close_done(struct task *task)
{
    struct entry *entry = entry_of(task);
    catalog_release(entry->catalog);
    entry_free(entry);
}

/* Nobody has anything of it: it goes, and whoever looks on may look once more. The kernel takes its time for what is
 * large, so a loader gives it back. */
static void let_go(struct catalog *catalog, struct entry *entry)
{
    catalog->n_leaving--;
    resident_remove(&catalog->residents, entry);
    if (entry->listed) {
        unlist(catalog, &entry->served);
        report(catalog, &entry->served);
    }
    if (!entry->served.lane) {
        entry_free(entry);
        return;
    }
    entry_log_unloaded(entry); /* it was ready */
    dispatch_lane_part(entry->served.lane);
    companion_part(&entry->served);
    entry->task = (struct task){.work = close_work, .done = close_done};
    catalog_hold(catalog);
    loop_load(catalog->loop, &entry->task);
}

/* In the turn behind whoever let go of it. */
static void let_go_all(struct catalog *catalog)
{
    for (struct entry **at = &catalog->entries; catalog->n_leaving && *at;) {
        struct entry *entry = *at;
        if (!entry_is_left(entry)) {
            at = &entry->next;
            continue;
        }
        *at = entry->next;
        let_go(catalog, entry);
    }
}

/* It takes no more; the loop's turns see when it is left. */
static void leave(struct catalog *catalog, struct entry *entry)
{
    assert(entry->served.state != SERVED_UNLOADING);
    if (entry->successor)
        leave(catalog, entry->successor);
    if (entry->stands)
        entry->stands->successor = NULL;
    entry->stands = NULL;
    entry->served.state = SERVED_UNLOADING;
    loop_flag_raise(&entry->given_up);
    catalog->n_leaving++;
    catalog->moved = true;
    loop_wake(catalog->loop);
}

/* Nobody shall go on with a sequence of this version, or of one that another took the place of, whichever instance has
 * it. */
static void forget(struct catalog *catalog, const struct served *served)
{
    for (struct entry *at = catalog->entries; at; at = at->next)
        if (at->served.lane && (at->served.version == served->version || !at->listed) &&
            strcmp(at->served.name, served->name) == 0)
            dispatch_lane_forget(at->served.lane);
}

static bool is_needed(const struct catalog *catalog, const struct served *served, struct percept_err *err)
{
    const struct entry *holder = needs_holder(catalog->entries, catalog->first, served);
    return holder &&
           !err_set(err, ERR_INVALID,
                    "model '%s' version %" PRId64 " is needed by '%s' version %" PRId64 ": remove that before",
                    served->name, served->version, holder->served.name, holder->served.version);
}

bool catalog_remove(struct catalog *catalog, struct served *served, struct percept_err *err)
{
    if (served->state == SERVED_UNLOADING)
        return true;
    if (is_needed(catalog, served, err))
        return false;
    leave(catalog, entry_at(served));
    forget(catalog, served);
    report(catalog, served);
    return true;
}

bool catalog_supersede(struct catalog *catalog, struct served *served, struct percept_err *err)
{
    if (served->state != SERVED_READY)
        return catalog_remove(catalog, served, err);
    if (is_needed(catalog, served, err))
        return false;
    leave(catalog, entry_at(served));
    unlist(catalog, served);
    report(catalog, served);
    return true;
}

/* Replacing */

/* In the list it takes the other's place; what the other has accepted is the other's to answer. */
static void swap(struct catalog *catalog, struct entry *entry)
{
    struct entry *old = entry->stands;
    unlist(catalog, &old->served);
    list(catalog, &entry->served);
    entry->stands = old->successor = NULL;
    leave(catalog, old);
}

/* What stands stays, and says why it was not replaced. */
static void stay(struct catalog *catalog, struct entry *entry)
{
    struct served *old = &entry->stands->served;
    memcpy(old->reason, entry->served.reason, sizeof old->reason);
    old->stamp = entry->served.stamp;
    old->stats.load_failures++;
    if (old->state == SERVED_READY && !loop_flag_raised(&catalog->stop_loading))
        entry_log_stands(entry->stands);
    leave(catalog, entry);
    report(catalog, old);
}

static void maybe_drained(struct catalog *catalog)
{
    if (!catalog->drained || !catalog->jobs_drained || catalog->n_loading || catalog->residents.n_moving)
        return;
    void (*drained)(void *user) = catalog->drained;
    catalog->drained = NULL;
    drained(catalog->drained_user);
}

/* Loading */

static void load_work(struct task *task)
{
    struct entry *entry = entry_of(task);
    if (loop_flag_raised(&entry->catalog->stop_loading))
        err_set(&entry->err, ERR_UNAVAILABLE, "Server exiting");
    else if (!loop_flag_raised(&entry->given_up))
        entry_load(entry);
}

static void load_ended(struct catalog *catalog, struct entry *entry)
{
    bool ready = entry->loaded && entry_open(entry, catalog->dispatch, &entry->err);
    entry->served.stats.loads += ready;
    entry->served.stats.load_failures += !ready;
    if (ready) {
        if (entry->served.model)
            resident_add(&catalog->residents, entry);
        loop_load_gently(catalog->loop);
        entry_log_ready(entry, &catalog->private_told);
    } else {
        entry_fail(entry);
        if (!loop_flag_raised(&catalog->stop_loading)) /* else it was skipped and is not broken */
            entry_log_failed(entry);
    }
    if (!entry->stands) {
        report(catalog, &entry->served);
    } else if (ready) {
        swap(catalog, entry);
        report(catalog, &entry->served);
    } else {
        stay(catalog, entry);
    }
}

static void tell_ended(struct entry *entry)
{
    struct served *served = &entry->served;
    entry->override = NULL;
    if (served->state == SERVED_UNLOADING && !served->lane) {
        if (!*served->reason)
            snprintf(served->reason, sizeof served->reason, "it was unloaded, or loaded anew, meanwhile");
        err_set(&entry->err, entry->err.code ? (enum err_code)entry->err.code : ERR_UNAVAILABLE, "%s", served->reason);
    }
    if (entry->ended)
        entry->ended(entry->ended_user, served, served->lane ? NULL : &entry->err);
}

static void end_load(struct catalog *catalog, struct entry *entry)
{
    entry->lacking = entry->fitting && !entry->loaded && entry->err.code == ERR_UNAVAILABLE;
    entry->fitting = false;
    catalog->n_loading--;
    entry->loading = false;
    entry->served.load_ms = (double)entry->load_ns / 1e6;
    if (entry->served.state == SERVED_LOADING)
        load_ended(catalog, entry);
    tell_ended(entry);
    loop_wake(catalog->loop); /* others may have waited for it */
}

/* Its files name others that it runs: these come first. */
static bool need_parts(struct catalog *catalog, struct entry *entry)
{
    const struct depends *parts = entry->served.depends;
    for (int i = 0; i < parts->n; i++)
        if (!needs_add(entry, parts->at[i].name, parts->at[i].version, catalog->entries, &entry->err))
            return false;
    return true;
}

static void load_done(struct task *task)
{
    struct entry *entry = entry_of(task);
    struct catalog *catalog = entry->catalog;
    const bool has_parts = entry->loaded && entry->served.depends && entry->served.state == SERVED_LOADING;
    if (has_parts && need_parts(catalog, entry)) {
        entry->fitting = entry->waiting = true;
        catalog->n_waiting++;
        loop_wake(catalog->loop);
        return;
    }
    entry->loaded &= !has_parts;
    end_load(catalog, entry);
}

/* To be loaded in a turn: until then it can be said what it needs. */
static void load(struct catalog *catalog, struct entry *entry, const struct catalog_order *order)
{
    struct entry **at = &catalog->entries;
    while (*at)
        at = &(*at)->next;
    *at = entry;
    entry->catalog = catalog;
    entry->override = order->override;
    entry->ended = order->ended;
    entry->ended_user = order->user;
    entry->served.stamp = order->stamp;
    entry->served.overridden = order->override != NULL;
    entry->task = (struct task){.work = load_work, .done = load_done};
    entry->waiting = entry->loading = true;
    catalog->n_waiting++;
    catalog->n_loading++;
    if (entry->listed)
        report(catalog, &entry->served);
    loop_wake(catalog->loop);
}

/* What nobody waits for goes to a loader all the same, who passes it over. */
static void begin_load(struct catalog *catalog, struct entry *entry)
{
    bool skipped = loop_flag_raised(&catalog->stop_loading) || entry->served.state != SERVED_LOADING;
    enum needs_state needs = skipped ? NEEDS_MET : needs_look(entry, catalog->first, &entry->err);
    if (needs == NEEDS_WAITING)
        return;
    entry->waiting = false;
    catalog->n_waiting--;
    if (entry->fitting) {
        if (skipped)
            err_set(&entry->err, ERR_UNAVAILABLE, "Server exiting");
        entry->loaded = needs == NEEDS_MET && !skipped && depends_bind(&entry->served, catalog->first, &entry->err);
        end_load(catalog, entry);
    } else if (needs == NEEDS_MET) {
        loop_load(catalog->loop, &entry->task);
    } else {
        end_load(catalog, entry);
    }
}

static void begin_loads(struct catalog *catalog)
{
    for (struct entry *entry = catalog->entries; entry && catalog->n_waiting; entry = entry->next)
        if (entry->waiting)
            begin_load(catalog, entry);
}

/* Parts that come and go */

/* All of its parts are there: READY, as it was, or for the first time. */
static bool join(struct catalog *catalog, struct entry *entry)
{
    struct served *served = &entry->served;
    if (!depends_bind(served, catalog->first, &entry->err))
        return false;
    if (!served->lane && !entry_open(entry, catalog->dispatch, &entry->err))
        return false;
    served->state = SERVED_READY;
    served->reason[0] = '\0';
    entry->lacking = false;
    return true;
}

/* A part is replaced by one that is used otherwise: the whole is loaded anew, beside what there is. */
static void load_anew(struct catalog *catalog, struct entry *entry)
{
    struct percept_err why = {0};
    if (!entry->successor && !catalog_draining(catalog))
        catalog_replace(catalog, &entry->served, &why);
}

static void look_at_parts(struct catalog *catalog, struct entry *entry)
{
    struct served *served = &entry->served;
    const enum served_state before = served->state;
    const bool was_ready = before == SERVED_READY;
    entry->err = (struct percept_err){0};
    const enum needs_state needs = needs_look(entry, catalog->first, &entry->err);
    const bool can_join = served->lane || served->staged; /* else its network was given back */
    if (needs == NEEDS_MET && can_join && join(catalog, entry)) {
        served->stats.loads += !was_ready;
    } else {
        depends_loosen(served);
        if (needs == NEEDS_MET)
            load_anew(catalog, entry);
        entry_lack(entry, needs == NEEDS_WAITING);
    }
    if (served->state != before)
        report(catalog, served);
}

/* Those that run others are READY while all of these are; one may be a part itself, so it goes on until nothing
 * changes. */
static void look_at_all_parts(struct catalog *catalog)
{
    while (catalog->moved) {
        catalog->moved = false;
        for (struct entry *entry = catalog->entries; entry; entry = entry->next) {
            const enum served_state state = entry->served.state;
            if (entry->listed && !entry->loading && entry->served.depends && state != SERVED_UNLOADING &&
                (state == SERVED_READY || entry->lacking))
                look_at_parts(catalog, entry);
        }
    }
}

/* The loop's turns: what may be loaded is, and what nobody has is freed. */
static void on_turn(void *user)
{
    struct catalog *catalog = user;
    begin_loads(catalog);
    look_at_all_parts(catalog);
    let_go_all(catalog);
    resident_turn(&catalog->residents);
    maybe_drained(catalog);
}

static void on_not_back(void *user, struct served *served)
{
    report(user, served);
}

/* Birth and death */

struct catalog *catalog_new(struct loop *loop, const struct settings *settings, struct percept_err *err)
{
    struct catalog *catalog = arena_buffer(sizeof *catalog);
    if (!catalog)
        return err_null(err, ERR_MEMORY, "out of memory: the catalog");
    catalog->loop = loop;
    catalog->settings = settings;
    catalog->dispatch = dispatch_new_on(loop, &batch_percept, err);
    if (!catalog->dispatch || !resident_begin(&catalog->residents, loop, settings, err)) {
        dispatch_free(catalog->dispatch);
        arena_buffer_free(catalog);
        return NULL;
    }
    dispatch_set_budget(catalog->dispatch, settings->budget);
    catalog->residents.failed = on_not_back;
    catalog->residents.user = catalog;
    loop_on_turn(loop, on_turn, catalog); /* behind the dispatcher's, which ends jobs */
    return catalog;
}

void catalog_free(struct catalog *catalog)
{
    if (!catalog)
        return;
    assert(!catalog->n_loading);
    loop_off_turn(catalog->loop, catalog);
    resident_end(&catalog->residents);
    for (struct entry *entry = catalog->entries; entry;) {
        struct entry *next = entry->next;
        entry_free(entry);
        entry = next;
    }
    dispatch_free(catalog->dispatch);
    labels_free(&catalog->labels);
    omissions_free(&catalog->omissions);
    arena_buffer_free(catalog);
}

bool catalog_need(struct catalog *catalog, struct served *served, const char *name, int64_t version,
                  struct percept_err *err)
{
    assert(entry_at(served)->waiting);
    return needs_add(entry_at(served), name, version, catalog->entries, err);
}

/* Adding */

/* Who has this name and version; one that is leaving no longer does. */
static struct served *exact(const struct catalog *catalog, const char *name, int64_t version)
{
    for (struct served *served = catalog->first; served; served = served->next)
        if (served->version == version && served->state != SERVED_UNLOADING && strcmp(served->name, name) == 0)
            return served;
    return NULL;
}

/* Names are listed once: one that is leaving makes way. */
static void make_way(struct catalog *catalog, const struct served *newcomer)
{
    for (struct served *served = catalog->first, *next; served; served = next) {
        next = served->next;
        if (served->version == newcomer->version && strcmp(served->name, newcomer->name) == 0)
            unlist(catalog, served);
    }
}

static struct served *place_new(struct catalog *catalog, const struct catalog_order *order, struct percept_err *err)
{
    struct entry *entry = entry_new(order->found, order->root, catalog->settings, err);
    if (!entry)
        return NULL;
    make_way(catalog, &entry->served);
    list(catalog, &entry->served);
    load(catalog, entry, order);
    return &entry->served;
}

static struct served *place_beside(struct catalog *catalog, struct entry *stands, const struct catalog_order *order,
                                   struct percept_err *err)
{
    struct entry *entry = entry_new_beside(stands, order->found, order->root, err);
    if (!entry)
        return NULL;
    if (stands->successor)
        leave(catalog, stands->successor); /* the files have changed once more */
    stands->successor = entry;
    load(catalog, entry, order);
    return &entry->served;
}

struct served *catalog_place(struct catalog *catalog, const struct catalog_order *order, struct percept_err *err)
{
    if (catalog_draining(catalog))
        return err_null(err, ERR_UNAVAILABLE, "Server exiting");
    struct served *stands = exact(catalog, order->found->name, order->found->version);
    return stands ? place_beside(catalog, entry_at(stands), order, err) : place_new(catalog, order, err);
}

struct served *catalog_replace(struct catalog *catalog, struct served *served, struct percept_err *err)
{
    if (catalog_draining(catalog))
        return err_null(err, ERR_UNAVAILABLE, "Server exiting");
    if (served->state == SERVED_UNLOADING)
        return err_null(err, ERR_UNAVAILABLE, "model '%s' version %" PRId64 " is unloading", served->name,
                        served->version);
    struct entry *stands = entry_at(served);
    if (stands->stands)
        stands = stands->stands; /* one that is to take a place itself: the later one counts */
    const struct found found = entry_found(stands);
    const struct catalog_order order = {.found = &found, .root = served->root};
    return place_beside(catalog, stands, &order, err);
}

/* Labels */

bool catalog_label(struct catalog *catalog, const char *name, const char *label, int64_t version,
                   struct percept_err *err)
{
    if (version && !catalog_find(catalog, name, version, err))
        return false;
    return labels_set(&catalog->labels, name, label, version, err);
}

struct served *catalog_find_label(struct catalog *catalog, const char *name, const char *label, struct percept_err *err)
{
    int64_t version = labels_find(&catalog->labels, name, label);
    if (version || !catalog_find(catalog, name, 0, err))
        return catalog_find(catalog, name, version, err);
    return err_null(err, ERR_NOT_FOUND, "Request for unknown model: '%s' label '%s' is not found", name, label);
}

/* Asking */

struct served *catalog_first(struct catalog *catalog)
{
    return catalog->first;
}

size_t catalog_resident_bytes(const struct catalog *catalog)
{
    return resident_bytes(&catalog->residents);
}

struct loop_use catalog_cores(const struct catalog *catalog)
{
    return loop_used(catalog->loop);
}

void catalog_set_clock(struct catalog *catalog, int64_t (*now_ns)(void))
{
    catalog->residents.now_ns = now_ns;
}

const struct omitted *catalog_omitted(const struct catalog *catalog)
{
    return catalog->omissions.first;
}

bool catalog_omit(struct catalog *catalog, const struct omitted *first, struct percept_err *err)
{
    return omissions_replace(&catalog->omissions, first, err);
}

int catalog_n_omitted(const struct catalog *catalog)
{
    return catalog->omissions.n;
}

/* Of several versions: one that is ready, else one that may become so. */
static int rank(const struct served *served)
{
    return served->state == SERVED_READY ? 2 : served->state != SERVED_UNLOADING;
}

struct served *catalog_find(struct catalog *catalog, const char *name, int64_t version, struct percept_err *err)
{
    struct served *best = NULL;
    bool known = false;
    for (struct served *served = catalog->first; served; served = served->next) {
        if (strcmp(served->name, name) != 0)
            continue;
        known = true;
        if (version ? served->version == version : !best || rank(served) >= rank(best))
            best = served;
    }
    if (best)
        return best;
    if (known)
        return err_null(err, ERR_NOT_FOUND, "Request for unknown model: '%s' version %" PRId64 " is not found", name,
                        version);
    return err_null(err, ERR_NOT_FOUND, "Request for unknown model: '%s' is not found", name);
}

struct served *catalog_find_ready(struct catalog *catalog, const char *name, int64_t version, struct percept_err *err)
{
    if (catalog_draining(catalog))
        return err_null(err, ERR_UNAVAILABLE, "Server exiting");
    struct served *served = catalog_find(catalog, name, version, err);
    if (!served || served->state == SERVED_READY)
        return served;
    const char *why = served->state == SERVED_FAILED      ? served->reason
                      : served->state == SERVED_UNLOADING ? "it is unloading"
                                                          : "it is loading";
    return err_null(err, ERR_UNAVAILABLE,
                    "Request for unknown model: '%s' version %" PRId64 " is not at ready state: %s", name,
                    served->version, why);
}

bool catalog_loading(const struct catalog *catalog)
{
    return catalog->n_loading > 0;
}

void catalog_hold(struct catalog *catalog)
{
    catalog->n_loading++;
}

void catalog_release(struct catalog *catalog)
{
    catalog->n_loading--;
    loop_wake(catalog->loop);
}

void catalog_may_be_empty(struct catalog *catalog, bool may)
{
    catalog->may_be_empty = may;
}

static bool say_loading(const struct catalog *catalog, struct percept_err *err)
{
    char names[400] = "";
    size_t used = 0;
    for (const struct served *served = catalog->first; served; served = served->next) {
        if (served->state != SERVED_LOADING)
            continue;
        int n = snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", served->name);
        if (n < 0 || (size_t)n >= sizeof names - used)
            break;
        used += (size_t)n;
    }
    return err_set(err, ERR_UNAVAILABLE, "loading: %s", names);
}

static const struct served *first_in(const struct catalog *catalog, enum served_state state)
{
    const struct served *served = catalog->first;
    while (served && served->state != state)
        served = served->next;
    return served;
}

/* Nothing is ready: why, by what is left out or failed first. */
static bool say_nothing_served(const struct catalog *catalog, struct percept_err *err)
{
    const struct omitted *omitted = catalog->omissions.first;
    const struct served *served = first_in(catalog, SERVED_FAILED);
    if (served)
        return err_set(err, ERR_UNAVAILABLE, "no model is served: '%s' version %" PRId64 " failed to load: %s",
                       served->name, served->version, served->reason);
    return err_set(err, ERR_UNAVAILABLE, omitted ? "no model is served: %s: %s" : "no model is served",
                   omitted ? omitted->name : "", omitted ? omitted->why : "");
}

static bool say_not_whole(const struct catalog *catalog, struct percept_err *err)
{
    const struct served *served = first_in(catalog, SERVED_FAILED);
    if (served)
        return err_set(err, ERR_UNAVAILABLE, "model '%s' version %" PRId64 " failed to load: %s", served->name,
                       served->version, served->reason);
    const struct omitted *omitted = catalog->omissions.first;
    return !omitted || err_set(err, ERR_UNAVAILABLE, "'%s' is left out: %s", omitted->name, omitted->why);
}

bool catalog_ready(const struct catalog *catalog, struct percept_err *err)
{
    if (catalog->leaving)
        return err_set(err, ERR_UNAVAILABLE, "Server exiting");
    if (first_in(catalog, SERVED_LOADING))
        return say_loading(catalog, err);
    bool empty = !first_in(catalog, SERVED_READY) && !catalog->settings->ready_when_empty;
    if (empty && !(catalog->may_be_empty && !first_in(catalog, SERVED_FAILED)))
        return say_nothing_served(catalog, err);
    return !catalog->settings->strict_readiness || say_not_whole(catalog, err);
}

void catalog_on_change(struct catalog *catalog, void (*changed)(void *user, struct served *served), void *user)
{
    catalog->changed = changed;
    catalog->changed_user = user;
}

/* Leaving */

static void on_jobs_drained(void *user)
{
    struct catalog *catalog = user;
    catalog->jobs_drained = true;
    maybe_drained(catalog);
}

void catalog_leave(struct catalog *catalog)
{
    catalog->leaving = true;
}

void catalog_end_queue_delay(struct catalog *catalog)
{
    dispatch_end_queue_delay(catalog->dispatch);
}

void catalog_drain(struct catalog *catalog, void (*drained)(void *user), void *user)
{
    catalog->leaving = true;
    catalog->drained = drained;
    catalog->drained_user = user;
    loop_flag_raise(&catalog->stop_loading);
    for (struct entry *at = catalog->entries; at; at = at->next)
        if (at->loading)
            loop_flag_raise(&at->given_up); /* runs to warm it up end */
    dispatch_drain(catalog->dispatch, on_jobs_drained, catalog);
}

bool catalog_draining(const struct catalog *catalog)
{
    return dispatch_draining(catalog->dispatch);
}

int catalog_in_flight(const struct catalog *catalog)
{
    return dispatch_in_flight(catalog->dispatch);
}
