/*
 * ios.c - see ios.h. A copy points to nothing of the model's.
 */
#include "serve/ios.h"

#include <string.h>

static const char *keep_text(const char *text, struct arena *arena, bool *whole)
{
    const char *own = text ? arena_text(arena, text, strlen(text)) : NULL;
    *whole = *whole && (own || !text);
    return own;
}

static const char *const *keep_labels(const struct percept_io *io, struct arena *arena, bool *whole)
{
    if (!io->labels)
        return NULL;
    const char **own = arena_array(arena, (size_t)io->n_labels + 1, sizeof *own);
    for (int i = 0; own && i < io->n_labels; i++)
        own[i] = keep_text(io->labels[i], arena, whole);
    *whole = *whole && own;
    return own;
}

const struct percept_io *ios_keep(const struct percept_io *ios, int n, struct arena *arena)
{
    bool whole = true;
    struct percept_io *own = arena_array(arena, (size_t)n + 1, sizeof *own);
    for (int i = 0; own && i < n; i++) {
        own[i] = ios[i];
        own[i].name = keep_text(ios[i].name, arena, &whole);
        for (int axis = 0; axis < PERCEPT_RANK_MAX; axis++)
            own[i].dim_names[axis] = keep_text(ios[i].dim_names[axis], arena, &whole);
        own[i].labels = keep_labels(&ios[i], arena, &whole);
    }
    return whole ? own : NULL;
}

static bool equal(const struct percept_io *a, const struct percept_io *b)
{
    if (strcmp(a->name, b->name) != 0 || a->dtype != b->dtype || a->rank != b->rank || a->batch_axis != b->batch_axis ||
        a->n_labels != b->n_labels)
        return false;
    for (int axis = 0; axis < a->rank; axis++)
        if (a->dims[axis] != b->dims[axis])
            return false;
    for (int i = 0; i < a->n_labels; i++)
        if (strcmp(a->labels[i], b->labels[i]) != 0)
            return false;
    return true;
}

bool ios_equal(const struct percept_io *a, int n_a, const struct percept_io *b, int n_b)
{
    if (n_a != n_b)
        return false;
    for (int i = 0; i < n_a; i++)
        if (!equal(&a[i], &b[i]))
            return false;
    return true;
}
