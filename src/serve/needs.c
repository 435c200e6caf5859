/*
 * needs.c - see needs.h. Circles are looked for when a need is added and by names alone, whatever the
 * versions: among what was there before there is none, so the walk ends.
 */
#include "serve/needs.h"

#include "base/err.h"

#include <inttypes.h>
#include <string.h>

struct need {
    struct need *next; /* of the same entry */
    const char *name;
    int64_t version; /* 0: any */
};

/* Does `name` need `wanted`, itself or through others? Each is walked through once. */
static bool reaches(struct entry *all, const char *name, const char *wanted)
{
    for (struct entry *entry = all; entry; entry = entry->next) {
        if (entry->walked || strcmp(entry->served.name, name) != 0)
            continue;
        entry->walked = true;
        for (const struct need *need = entry->needs; need; need = need->next)
            if (strcmp(need->name, wanted) == 0 || reaches(all, need->name, wanted))
                return true;
    }
    return false;
}

bool needs_add(struct entry *entry, const char *name, int64_t version, struct entry *all, struct percept_err *err)
{
    const char *own = entry->served.name;
    if (strcmp(name, own) == 0)
        return err_set(err, ERR_INVALID, "model '%s' cannot need itself", own);
    for (struct entry *at = all; at; at = at->next)
        at->walked = false;
    if (reaches(all, name, own))
        return err_set(err, ERR_INVALID, "model '%s' cannot need '%s', which needs '%s': a circle", own, name, own);
    struct arena *arena = &entry->served.arena;
    struct need *need = arena_alloc(arena, sizeof *need);
    const char *own_name = arena_text(arena, name, strlen(name));
    if (!need || !own_name)
        return err_memory(err, "what a model needs", sizeof *need);
    *need = (struct need){.next = entry->needs, .name = own_name, .version = version};
    entry->needs = need;
    return true;
}

static bool meets(const struct served *served, const struct need *need)
{
    return (!need->version || need->version == served->version) && strcmp(need->name, served->name) == 0;
}

/* May it become READY without anybody's doing? */
static bool is_coming(const struct served *served)
{
    const struct entry *entry = (const struct entry *)(const void *)served;
    return served->state == SERVED_LOADING || (served->state == SERVED_FAILED && entry->successor);
}

static enum needs_state look(const struct need *need, const struct served *listed, struct percept_err *err)
{
    const struct served *failed = NULL;
    bool comes = false;
    for (const struct served *served = listed; served; served = served->next) {
        if (!meets(served, need))
            continue;
        if (served->state == SERVED_READY)
            return NEEDS_MET;
        comes |= is_coming(served);
        if (served->state == SERVED_FAILED)
            failed = served;
    }
    if (comes)
        return NEEDS_WAITING;
    if (failed)
        err_set(err, ERR_UNAVAILABLE, "it needs model '%s', which failed to load: %s", need->name, failed->reason);
    else if (need->version)
        err_set(err, ERR_UNAVAILABLE, "it needs model '%s' version %" PRId64 ", which is not served", need->name,
                need->version);
    else
        err_set(err, ERR_UNAVAILABLE, "it needs model '%s', which is not served", need->name);
    return NEEDS_FAILED;
}

enum needs_state needs_look(const struct entry *entry, const struct served *listed, struct percept_err *err)
{
    enum needs_state worst = NEEDS_MET;
    for (const struct need *need = entry->needs; need && worst != NEEDS_FAILED; need = need->next) {
        enum needs_state state = look(need, listed, err);
        if (state > worst)
            worst = state;
    }
    return worst;
}

/* Another version that does as well. */
static bool has_stand_in(const struct served *listed, const struct served *served, const struct need *need)
{
    for (const struct served *other = listed; other; other = other->next)
        if (other != served && meets(other, need) &&
            (other->state == SERVED_READY || (other->state == SERVED_LOADING && served->state == SERVED_LOADING)))
            return true;
    return false;
}

const struct entry *needs_holder(const struct entry *all, const struct served *listed, const struct served *served)
{
    for (const struct entry *entry = all; entry; entry = entry->next) {
        const bool leaves = entry->served.state == SERVED_UNLOADING && !entry->loading &&
                            entry->served.depends; /* its jobs hold them */
        if (entry->served.state == SERVED_FAILED || leaves || entry_is_left(entry))
            continue;
        for (const struct need *need = entry->needs; need; need = need->next)
            if (meets(served, need) && !has_stand_in(listed, served, need))
                return entry;
    }
    return NULL;
}
