/*
 * answering.h - what a manifest's task makes of outputs that a test writes down, as the reply has it.
 *
 *     const struct answering_output outputs[] = {{"y", PERCEPT_FLOAT, 3, {1, 2, 6}, rows}};
 *     answering(&(struct answering){.manifest = "{...}", .width = 64, .height = 64, .outputs = outputs,
 *                                   .n_outputs = 1})
 *
 * gives "[[{...}]]", or the sentence of the refusal. The text is the next call's.
 */
#ifndef TESTS_SERVE_ANSWERING_H
#define TESTS_SERVE_ANSWERING_H

#include "serve/job.h"

/* A picture of w x h of which an input shows the part from (l, t) to (r, b). */
#define VIEW(w, h, input_w, input_h, l, t, r, b)                                                                       \
    {                                                                                                                  \
        .width = (w), .height = (h), .input_width = (input_w), .input_height = (input_h), .shown = { l, t, r, b }      \
    }

struct answering_output {
    const char *name;
    enum percept_dtype dtype;
    int rank;
    int64_t dims[5];
    const void *data;
};

struct answering {
    const char *manifest;
    int width, height; /* of the input "x", [N, 3, height, width] */
    struct picture_view view;
    struct bytes body; /* that was posted */
    int n_items;       /* 0: 1 */
    const struct answering_output *outputs;
    int n_outputs;
    int n_replied; /* the first ones alone; 0: all */
    bool cancelled;
    enum job_masks masks;
    struct tracks_marks *marks;
};

const char *answering(const struct answering *asked);

/* The whole reply, as Accept wants it, and its media type: what encoder_write makes. */
const char *answering_as(const struct answering *asked, const char *accept, const char **media_type);

/* How long the last one is: a picture may have any bytes. */
size_t answering_bytes(void);

/* For fixtures: a folder for the manifest. */
void answering_begin(void);
void answering_end(void);

#endif
