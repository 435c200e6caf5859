/*
 * labels.h - names for versions: "stable" of a model may be version 3, and tomorrow 4.
 *
 *     struct labels labels = {0};
 *     labels_set(&labels, "digits", "stable", 3, &err);
 *     labels_find(&labels, "digits", "stable")          3; 0: there is no such label
 *     labels_free(&labels);
 *
 * A label says nothing about whether its version is served: catalog.h asks that. Threads: the loop's.
 */
#ifndef SERVE_LABELS_H
#define SERVE_LABELS_H

#include "base/arena.h"
#include "percept.h"

struct label;

struct labels {
    struct arena arena;
    struct label *first;
};

/* Can it be a label? Written like a model's name, the first a letter. */
bool labels_name(const char *name);

/* Version 0 takes the label away. False, and nothing is changed: it is no name (INVALID), or memory is short. */
bool labels_set(struct labels *labels, const char *model, const char *label, int64_t version, struct percept_err *err);

int64_t labels_find(const struct labels *labels, const char *model, const char *label);

void labels_free(struct labels *labels);

#endif
