/*
 * scan.h - finding models on disk: names, versions, files.
 *
 *     struct scan scan = {0};
 *     if (scan_path(&scan, "models", &err))
 *         for (const struct found *found = scan.first; found; found = found->next) ...
 *     arena_free(&scan.arena);
 */
#ifndef SERVE_SCAN_H
#define SERVE_SCAN_H

#include "base/arena.h"
#include "percept.h"

struct found {
    struct found *next;
    char *name;
    int64_t version; /* 1 where there are none */
    char *path;      /* of the .onnx, absolute */
    char *folder;    /* of the manifest, or NULL: it has none */
};

struct scan {
    struct arena arena;
    struct found *first, *last;
};

/* Is it a name that a model may have? */
bool scan_name(const char *name);

/* Looks at a path as catalog.h describes. False with a sentence when nothing is there
 * (NOT_FOUND), or it is not what it should be. */
bool scan_path(struct scan *scan, const char *path, struct percept_err *err);

#endif
