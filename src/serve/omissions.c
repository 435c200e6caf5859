/*
 * omissions.c - see omissions.h. Somebody's whole disk may be full of what is no model: beyond a
 * hundred they are counted, and only the log names them, so that answers about readiness end.
 */
#include "serve/omissions.h"

#include "base/err.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>

#define OMISSIONS_MAX 100 /* told one by one in every answer about readiness */

static void append(struct omissions *omissions, struct omitted *omitted)
{
    if (omissions->first)
        omissions->last->next = omitted;
    else
        omissions->first = omitted;
    omissions->last = omitted;
}

static void count_more(struct omissions *omissions)
{
    int n = omissions->n - OMISSIONS_MAX;
    snprintf(omissions->more_why, sizeof omissions->more_why, "%d more %s left out; the log names %s", n,
             n == 1 ? "is" : "are", n == 1 ? "it" : "them");
    if (n > 1)
        return;
    omissions->more = (struct omitted){.name = "...", .path = "", .why = omissions->more_why};
    append(omissions, &omissions->more);
}

bool omissions_add(struct omissions *omissions, const char *name, const char *path, const char *why,
                   struct percept_err *err)
{
    struct arena *arena = &omissions->arena;
    if (name && why && omissions->n >= OMISSIONS_MAX) {
        omissions->n++;
        count_more(omissions);
        log_warn("left out", "name", name, "why", why, "path", path, NULL);
        return true;
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
    log_warn("left out", "name", own_name, "why", own_why, "path", own_path, NULL);
    return true;
}

void omissions_free(struct omissions *omissions)
{
    arena_free(&omissions->arena);
    *omissions = (struct omissions){0};
}
