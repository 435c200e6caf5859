/*
 * warmup.h - the requests that config.pbtxt's model_warmup wants run before the model is ready.
 *
 * Data are what Triton gives them: zeros, random ones, or a file of the folder "warmup" beside config.pbtxt with one
 * item, which is there as often as the batch is large. Texts of a file have their length in four bytes before them.
 * Random ones are numbers that any network takes (0 to 1, indices 0 and 1), the same at each run. States of a sequence
 * are zeros, its controls say that nothing is ready; an input that the request does not name is zeros.
 *
 * Threads: a loader's, which has the session.
 */
#ifndef SERVE_WARMUP_H
#define SERVE_WARMUP_H

#include "serve/served.h"

struct warmup {
    const struct served *served;
    struct percept_session *session;
    const int *cancel;         /* a flag: nobody waits for the model any more */
    size_t memory_limit_bytes; /* of what is read from files; 0: none */
    bool runs;                 /* false: plans and memory alone are made */
};

/* Runs those of the manifest in its order, each as often as it says. False with a sentence (CONFIG, or what a run
 * failed with) at the first that fails. */
bool warmup_all(const struct warmup *warmup, struct percept_err *err);

#endif
