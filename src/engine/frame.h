/*
 * frame.h - a graph being run: the plans of the shapes it met last, and the memory they write to. A
 * session has one for the model's graph; a node with bodies (If, Loop, Scan, SequenceMap) gets one for each
 * body the first time it runs.
 *
 * One thread at a time. Running at shapes and data that were planned before allocates nothing.
 */
#ifndef ENGINE_FRAME_H
#define ENGINE_FRAME_H

#include "engine/plan.h"

struct frame;

struct frame *frame_new(const struct percept_model *model, const struct part *part, struct percept_err *err);
void frame_free(struct frame *frame);

/* [n_feeds] what the next run is given: dims are set by the caller; then frame_changed. rank -1: not set */
struct tensor *frame_feeds(struct frame *frame);
void frame_changed(struct frame *frame);

/* Plans for the feeds' dims; frame_plan is then theirs. */
bool frame_find(struct frame *frame, struct percept_err *err);

/* The same, and reserves memory. */
bool frame_prepare(struct frame *frame, struct percept_err *err);

/* After frame_prepare: where feed i's data go. */
void *frame_feed_data(struct frame *frame, int i);

struct frame_observer {
    /* Called around every step when set; for profiles. */
    void (*before)(void *user);
    void (*after)(void *user, const struct step *step);
    void *user;
};

/* Runs the steps. `context` and `observer` may be NULL. */
bool frame_run(struct frame *frame, const struct percept_run_context *context, const struct frame_observer *observer,
               struct percept_err *err);

/* An output of the last run that went well; NULL if there was none since the shapes changed. */
const struct tensor *frame_output(const struct frame *frame, int i);

/* Of the current plan, as far as it is known before a run. */
struct plan *frame_plan(struct frame *frame);

/* Bytes of memory that the frame and its bodies hold now. */
size_t frame_bytes(const struct frame *frame);

/* Of these the bytes that a run at the current shapes needs; 0 when there are none. */
size_t frame_needs(const struct frame *frame);

/* Frees what runs at other shapes left, bodies' too, or `all`. What feeds and outputs held is lost; the feeds' dims
 * stay, and the next run takes what it needs anew. */
void frame_trim(struct frame *frame, bool all);

#endif
