/*
 * omissions.c - see omissions.h. Somebody's whole disk may be full of what is no model: beyond a
 * hundred they are counted, and only the log names them, so that answers about readiness end.
 */
#include "serve/omissions.h"

#include "base/err.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>

#define MORE_BYTES 64
#define OMISSIONS_MAX 100 /* told one by one in every answer about readiness */

static void say(const struct omissions *omissions, const char *name, const char *why, const char *path)
{
    const struct omitted *at = omissions->known ? omissions->known->first : NULL;
    while (at && (strcmp(at->path, path) != 0 || strcmp(at->why, why) != 0))
        at = at->next;
    if (!at && !(omissions->known && omissions->known->n > OMISSIONS_MAX))
        log_warn("left out", "name", name, "why", why, "path", path, NULL);
}

static void append(struct omissions *omissions, struct omitted *omitted)
{
    if (omissions->first)
        omissions->last->next = omitted;
    else
        omissions->first = omitted;
    omissions->last = omitted;
}

static bool count_more(struct omissions *omissions, struct percept_err *err)
{
    if (!omissions->more) {
        omissions->more = arena_alloc(&omissions->arena, sizeof *omissions->more);
        omissions->more_why = arena_alloc(&omissions->arena, MORE_BYTES);
        if (!omissions->more || !omissions->more_why) {
            omissions->more = NULL;
            return err_memory(err, "the list of what is left out", MORE_BYTES);
        }
        *omissions->more = (struct omitted){.name = "...", .path = "", .why = omissions->more_why};
        append(omissions, omissions->more);
    }
    int n = ++omissions->n - OMISSIONS_MAX;
    snprintf(omissions->more_why, MORE_BYTES, "%d more %s left out; the log names %s", n, n == 1 ? "is" : "are",
             n == 1 ? "it" : "them");
    return true;
}

bool omissions_add(struct omissions *omissions, const char *name, const char *path, const char *why,
                   struct percept_err *err)
{
    struct arena *arena = &omissions->arena;
    if (name && why && omissions->n >= OMISSIONS_MAX) {
        say(omissions, name, why, path);
        return count_more(omissions, err);
    }
    struct omitted *omitted = arena_alloc(arena, sizeof *omitted);
    const char *own_name = name ? arena_text(arena, name, strlen(name)) : NULL;
    const char *own_path = arena_text(arena, path, strlen(path));
    const char *own_why = why ? arena_text(arena, why, strlen(why)) : NULL;
    if (!omitted || !own_name || !own_path || !own_why)
        return err_memory(err, "the list of what is left out", sizeof *omitted);
    *omitted = (struct omitted){.name = own_name, .path = own_path, .why = own_why};
    append(omissions, omitted);
    omissions->n++;
    say(omissions, own_name, own_why, own_path);
    return true;
}

bool omissions_replace(struct omissions *omissions, const struct omitted *first, struct percept_err *err)
{
    struct omissions fresh = {.known = omissions};
    for (; first; first = first->next)
        if (!omissions_add(&fresh, first->name, first->path, first->why, err)) {
            omissions_free(&fresh);
            return false;
        }
    fresh.known = NULL;
    omissions_free(omissions);
    *omissions = fresh;
    return true;
}

void omissions_free(struct omissions *omissions)
{
    arena_free(&omissions->arena);
    *omissions = (struct omissions){0};
}
