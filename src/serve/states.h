/*
 * states.h - which of a model's inputs and outputs a sequence keeps: made at load from what the manifest says, and
 * judged against the network. Constant afterwards; in the served model's arena.
 *
 * A state is an input that is given what an output was in the step before. A control is an input that is told what a
 * step is. Clients send neither, but for states of a first step, and get no state's output unless they ask for it.
 */
#ifndef SERVE_STATES_H
#define SERVE_STATES_H

#include "serve/served.h"

enum states_role { ROLE_BODY, ROLE_STATE, ROLE_CONTROL };

struct state {
    int input, output;
    struct percept_tensor shape; /* of one item; no data */
    size_t offset, n_bytes;      /* in what a sequence keeps */
    const void *initial;         /* what it begins with: n_bytes */
};

struct control {
    int input;
    enum manifest_control_kind kind;
    struct percept_tensor off, on; /* one item each; of a correlation id `on` is the shape, without data */
};

/* Of a sound that is heard window by window: what is left of it for the next one (sound_rest.h). */
struct states_sound {
    int input; /* -1: there is none */
    const struct manifest_audio *audio;
    size_t offset, n_bytes; /* in what a sequence keeps */
};

struct states {
    int n_states, n_controls; /* 0 of both: only pieces of a sound are steps */
    struct state *states;
    struct control *controls;
    enum states_role *roles; /* [inputs] */
    bool *kept;              /* [outputs]: it is a state's */
    bool answers;            /* some output is no state's */
    struct states_sound sound;
    size_t n_bytes; /* that a sequence keeps */
    int64_t max_idle_ns;
    int max_sequences;
};

/* NULL in *states where nothing is kept: the manifest has no `sequence`, and no input takes a sound by windows. Once
 * served->model and what it declares are there. False with a sentence (CONFIG) where names, types or shapes do not fit,
 * or memory is short. */
bool states_new(const struct served *served, struct arena *arena, const struct states **states,
                struct percept_err *err);

/* What clients do not send, and what they are not sent unasked; false where nothing is kept. */
static inline bool states_keep_input(const struct states *states, int input)
{
    return states && states->roles[input] != ROLE_BODY;
}

static inline bool states_keep_output(const struct states *states, int output)
{
    return states && states->answers && states->kept[output];
}

/* May it be kept? A sentence (DATA) where what a run gave is not shaped like the state before it. */
bool states_shaped(const struct state *state, const struct percept_tensor *result, struct percept_err *err);

#endif
