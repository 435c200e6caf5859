/*
 * omissions.h - what was found and cannot be served as it lies there: kept with its reason, for
 * readiness and the page, and logged.
 *
 *     struct omissions omissions = {0};
 *     omissions_add(&omissions, "net/", "/srv/models/net", "there is no .onnx in it", &err);
 *     for (const struct omitted *at = omissions.first; at; at = at->next) ...
 *     omissions_free(&omissions);
 *
 * Threads: the loop's.
 */
#ifndef SERVE_OMISSIONS_H
#define SERVE_OMISSIONS_H

#include "serve/scan.h"

struct omissions {
    struct arena arena;
    struct omitted *first, *last; /* in the order of finding */
    struct omitted *more;         /* stands for all beyond the first hundred */
    char *more_why;
    int n;                         /* all of them */
    const struct omissions *known; /* whose lines the log has; while replacing */
};

/* Copies the texts. A name or reason that is NULL was lost for want of memory, and is told as that. */
bool omissions_add(struct omissions *omissions, const char *name, const char *path, const char *why,
                   struct percept_err *err);

/* The list as it is now, from a scan's. What was in it before is not logged again. On failure it is as it was. */
bool omissions_replace(struct omissions *omissions, const struct omitted *first, struct percept_err *err);

void omissions_free(struct omissions *omissions);

#endif
