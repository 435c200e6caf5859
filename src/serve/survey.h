/*
 * survey.h - what lies on disk at one time under all paths that models come from, and in which state, so that two
 * looks can be compared.
 *
 *     struct survey survey = {0};
 *     survey_root(&survey, root, &err);              once for each path, in their order
 *     for (const struct sighting *at = survey.first; at; at = at->next) ...
 *     for (const struct omitted *at = survey.scan.first_omitted; at; at = at->next) ...
 *     survey_free(&survey);
 *
 * Each name and version is there once: of two the first one counts, and the other is among the omitted. Threads: the
 * caller's; nothing is opened but folders, and the manifests of models that have versions: which of these are served,
 * and what names they have, is said there.
 */
#ifndef SERVE_SURVEY_H
#define SERVE_SURVEY_H

#include "serve/scan.h"
#include "serve/served.h"

struct sighting {
    struct sighting *next;
    struct found found;
    const struct root *root;
    uint64_t stamp;   /* changes when one of the files does that the model is made of; never 0 */
    bool spared;      /* by its model's version policy */
    int64_t since_ns; /* when it was first seen like that; for whoever compares surveys */
};

struct survey {
    struct scan scan;
    struct sighting *first, *last; /* what is to be served */
    struct sighting *spared;       /* versions that their model's version policy leaves out */
    struct survey_label *labels;
    struct unseen *unseen;
};

/* A name for a version, from a manifest. */
struct survey_label {
    struct survey_label *next;
    const char *model, *name;
    int64_t version;
};

/* Looks at one more path. False with a sentence as scan_path; what else lies there is told all the same. */
bool survey_root(struct survey *survey, const struct root *root, struct percept_err *err);

/* Could it be looked at? What came from a path that could not be, or is not there any more, may still be good. */
bool survey_saw(const struct survey *survey, const struct root *root);

const struct sighting *survey_find(const struct survey *survey, const char *name, int64_t version);

void survey_free(struct survey *survey);

#endif
