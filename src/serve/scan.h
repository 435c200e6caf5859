/*
 * scan.h - finding models on disk: names, versions, files, and what was passed over though somebody
 * may have meant it.
 *
 *     struct scan scan = {0};
 *     if (scan_path(&scan, "models", &err))
 *         for (const struct found *found = scan.first; found; found = found->next) ...
 *     for (const struct omitted *at = scan.first_omitted; at; at = at->next) ...
 *     arena_free(&scan.arena);
 */
#ifndef SERVE_SCAN_H
#define SERVE_SCAN_H

#include "base/arena.h"
#include "percept.h"

struct found {
    struct found *next;
    const char *name;
    int64_t version;    /* 1 where there are none */
    const char *path;   /* of the .onnx, absolute; its last part may be a link */
    const char *folder; /* of the manifest, or NULL: it has none */
};

/* Something that cannot be served as it lies there. */
struct omitted {
    struct omitted *next;
    const char *name; /* within the folder of models; a folder's ends in '/' */
    const char *path; /* for the log */
    const char *why;  /* and what would work; names no path of this host */
};

struct scan {
    struct arena arena;
    struct found *first, *last;
    struct omitted *first_omitted, *last_omitted;
    bool memory_short; /* noticed where a file was taken for one that is not there */
};

/* Is it a name that a model may have? */
bool scan_name(const char *name);

/* The number that a version's folder has for a name: "3", "v3", "003"; 0: it has none. */
int64_t scan_number(const char *name);

/* "NAME=PATH" -> PATH, in the same text; what is no such thing is a path itself. */
const char *scan_place(const char *path);

/* The config.pbtxt that speaks of the model file at this path: beside it or, where its folder is a version, around
 * that. NULL: there is none, or memory is short. */
const char *scan_config(struct arena *arena, const char *path);

/* Is it the only .onnx of its folder, or is one of them called model.onnx? */
bool scan_is_only(const char *path);

/* What a model was taken for, for the log: "numbered versions". `configured`: with a config.pbtxt. */
const char *scan_form(const char *name, const char *path, bool configured);

/* Notes what cannot be served. The texts lie in the scan's arena, or outlive it; NULL: memory is short. */
bool scan_omit(struct scan *scan, const char *name, const char *path, const char *why, struct percept_err *err);

/* Looks at a path as catalog.h describes. False with a sentence when there is no model (NOT_FOUND),
 * or it is not what it should be; `omitted` is then told as well. */
bool scan_path(struct scan *scan, const char *path, struct percept_err *err);

#endif
