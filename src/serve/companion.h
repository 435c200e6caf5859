/*
 * companion.h - the second network of a model that makes texts: an encoder, which reads a text once, and whose outputs
 * feed the steps of the model's own network, the decoder.
 *
 * It lies beside the model's file, is opened, queued, replaced and freed with it, and has no name of its own: both are
 * one model, so that a reload never pairs one with an older other. Its runs are jobs in a lane of its own, which share
 * batches with those of other callers. It is a served model (served.h) that no list has.
 *
 * Threads: a loader's until it is open, then the loop's; workers read it.
 */
#ifndef SERVE_COMPANION_H
#define SERVE_COMPANION_H

#include "serve/dispatch.h"

/* What an input of the model is given: an output of the companion, one of its inputs, or neither (-1). */
struct companion_feed {
    int output, input;
};

struct companion {
    struct served served;               /* its arena is empty: all lies in the model's */
    struct percept_session *session;    /* warm; the lane's once there is one */
    int text, lengths, mask;            /* of its inputs; the last two -1: none */
    const struct companion_feed *feeds; /* [inputs of the model] */
};

/* What the manifest has as generate.encoder, from the folder of `file`, which is the model's; nothing where it has
 * none. Once the model's inputs, outputs and states are known. `max_batch_size`: where the manifest says nothing. False
 * with a sentence (CONFIG, or why it cannot be opened). */
bool companion_load(struct served *served, const char *file, const struct percept_options *options, int max_batch_size,
                    struct percept_err *err);

/* It gets its queue. */
bool companion_open(struct served *served, struct dispatch *dispatch, const struct settings *settings,
                    struct percept_err *err);

/* Nobody has anything of it. The next two: see dispatch_lane_part and dispatch_lane_free. */
bool companion_rests(const struct served *served);
void companion_part(struct served *served);
void companion_close(struct served *served);

/* What it has in memory: packed weights, and what sessions hold. */
size_t companion_bytes(const struct served *served);

/* Is this input of the model fed by it? */
static inline bool companion_feeds(const struct companion *companion, int input)
{
    return companion && (companion->feeds[input].output >= 0 || companion->feeds[input].input >= 0);
}

#endif
