/*
 * answer.h - what an engine made of a model: outputs, or a refusal with its reason. ours.c asks the engine
 * of this tree, theirs.c ONNX Runtime, compare.c puts the two side by side.
 */
#ifndef DIFFERENTIAL_ANSWER_H
#define DIFFERENTIAL_ANSWER_H

#include "differential/example.h"

enum outcome { OUTCOME_RAN, OUTCOME_REFUSED, OUTCOME_FAILED };

struct answer {
    enum outcome outcome; /* REFUSED when opened, FAILED when planned or run */
    char why[600];
    int n_out;
    struct tensor out[EXAMPLE_OUTPUTS]; /* in the arena that was given */
};

/* One input of a run. */
struct feed {
    char name[64];
    struct tensor tensor;
};

/* Runs the file. `arena` keeps the outputs. */
void ours_run(struct bytes model, int n_feeds, const struct feed *feeds, struct arena *arena, struct answer *answer);

/* ONNX Runtime in a process of its own: ask once for many models, then read as many answers. False when
 * the process is not there (any more); theirs_start may then be called again. */
bool theirs_start(const char *script);
void theirs_stop(void);
void theirs_add(struct proto *request, struct bytes model, int n_feeds, const struct feed *feeds);
bool theirs_ask(const struct proto *request, uint32_t n_models);
bool theirs_answers(uint32_t n_models, struct arena *arena, struct answer *answers);

/* Whether `got` is `want` within the tolerances; else a sentence in `why`. T is the type that `want`'s wider
 * one stands for (types equal: compared as they are). */
struct tolerance {
    double absolute, relative;
    bool float_inside, shapes_only;
};
bool compare_tensors(const struct tensor *got, const struct tensor *want, enum percept_dtype type,
                     enum percept_dtype wide, struct tolerance tolerance, char *why, size_t n);

#endif
