/*
 * job.h - one run of a model that somebody asked for, from its inputs to its outputs.
 *
 *     http fills in what was asked -> lifecycle_start -> decode (worker, or loop when small) -> lane ->
 *     a batch runs it -> encode (worker) -> job->done on the loop
 *
 * The job and everything it points to lie in the exchange's arena; http zeroes it and fills in the
 * part "asked". It is touched by the loop, or by the worker that has it, never by both. `done` is
 * called exactly once for each lifecycle_start, always from the loop, never from within it. After
 * lifecycle_cancel `done` still comes, as soon as no worker has it.
 *
 * A job may be asked for by another one, its parent, instead of by a client: a chain of models, a loop over one. Then
 * the parent's maker zeroes the child and fills in that part, with an arena of its own (a worker writes to it while
 * another one works for its siblings), and frees both when `done` has told him that it ended, or later: what it kept
 * may be the input of the next. Its inputs are then tensors that somebody keeps, and its encoder is encoder_keep
 * (encoder.h). A parent itself is not run: it has a `begin`, and its children are what is.
 */
#ifndef SERVE_JOB_H
#define SERVE_JOB_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/watch.h"
#include "serve/client_shm.h"
#include "serve/coding.h"
#include "serve/loop.h"
#include "serve/picture.h"
#include "serve/served.h"
#include "serve/sound.h"

struct batch;
struct staged_run;
struct codec;
struct generation;
struct sequence;
struct sound_stream;
struct encoder;
struct tracks_marks;

enum job_state {
    JOB_NEW = 0,
    JOB_UNDECODED, /* in its lane, waiting for a core to decode it */
    JOB_DECODING,  /* a worker has it */
    JOB_FOLLOWING, /* in its lane, waiting for the step before it in its sequence */
    JOB_WAITING,   /* in its lane, waiting for a batch */
    JOB_RUNNING,   /* in a batch */
    JOB_PARENT,    /* begun; its children are run */
    JOB_UNWRITTEN, /* in its lane, waiting for a core to write its reply */
    JOB_WRITING,   /* a worker has it */
    JOB_ENDED,     /* done is about to be called or was */
};

/* Jobs linked by `next`, in order. */
struct job_list {
    struct job *first, *last;
    int n;
};

#define JOB_PRIORITIES 9
#define JOB_PRIORITY_DEFAULT 5

/* How masks of detections are told. */
enum job_masks {
    JOB_MASKS_NONE,
    JOB_MASKS_RLE,     /* run lengths */
    JOB_MASKS_POLYGON, /* outlines */
};

struct job_output {
    int index;                              /* of the model's outputs */
    bool binary;                            /* wanted as bytes behind the JSON */
    int classification;                     /* > 0: the classification extension's count */
    const struct client_shm_region *memory; /* it goes there instead of into the reply, or NULL */
    uint64_t memory_offset, memory_bytes;
};

/* Which sequence a request is a step of. */
struct job_sequence {
    bool asked;        /* it has an id */
    bool start, end;   /* it is the first, the last step */
    bool at_turn;      /* its body is read when its turn has come: what is left of the body before it comes first */
    bool kept;         /* the states behind it are there */
    uint64_t number;   /* its id, where it is no text */
    struct bytes text; /* its id; empty: a number */
    uint64_t owner;    /* whose: nobody else's steps are of this sequence */
    struct sequence *of;
    const char *before; /* of whose turn it is: what the step before left, states->n_bytes; NULL at the start */
    char *behind;       /* and room for what it leaves */
};

/* What a stage of a chain took, from when its inputs were there. */
struct job_time {
    const char *name;
    int64_t ns;
};

struct job {
    /* asked: set by http before lifecycle_start, or by a parent before lifecycle_child */
    struct arena *arena;
    struct served *served;
    const struct codec *codec;       /* of the request's media type; NULL: there is no body */
    struct client_shm_table *memory; /* regions of clients; NULL: not served. Its maker holds it until done */
    const struct encoder *encoder;   /* that Accept names, or NULL; then the one that wrote the reply */
    struct bytes body;               /* owned by the exchange; alive until done. Decoded, it is what was inflated */
    enum coding coding;              /* of the body */
    enum coding reply_coding;        /* that the client prefers; then that of the reply */
    size_t most_body_bytes;          /* when it is inflated */
    struct bytes content_type;       /* as it came, with its parameters; in the arena */
    bool outputs_asked;              /* of a posted picture, where what the task makes is all that most want */
    enum job_masks masks;            /* of detections; the body may say it as well */
    int64_t json_bytes;              /* Inference-Header-Content-Length, or -1 */
    int64_t arrived_ns;
    int priority;       /* of the body: 1 comes first, JOB_PRIORITIES last; 0: JOB_PRIORITY_DEFAULT */
    int64_t timeout_us; /* of the headers, then of the body: parameters.timeout; 0: none */
    /* [model's inputs]: tensors that are there already and stay as they are until done, such as a constant, a state
     * that is kept between requests, an output that another job kept; NULL: the body has it. NULL: the body has all. */
    const struct percept_tensor *const *sources;
    struct tracks_marks *marks;     /* of a frame of a video whose boxes are followed (tracks.h); or NULL */
    void (*begin)(struct job *job); /* of a parent, on the loop, once it is decoded: starts children; NULL: no parent */
    void (*progress)(struct job *job); /* of a request for a text, on the loop: there is more of it; NULL: no matter */
    void (*done)(struct job *job);
    void *user;

    /* decoded: set by the codec */
    struct bytes id; /* of the request, empty when it has none */
    bool has_id;
    size_t short_bytes;            /* that the budget refused it, where its err is MEMORY for that; or 0 */
    int n_unwritten;               /* runs whose results found no memory of the budget */
    size_t held_bytes;             /* taken beside the body: inflated, read from shared memory */
    int64_t n_items;               /* along the batch axis; 1 where the model has none */
    int64_t n_rows;                /* V1: instances, each of which gets a row; 0: whole tensors are sent and returned */
    struct percept_tensor *inputs; /* [model's inputs], batch axis included; data in the arena */
    struct picture_view view;      /* of a posted picture; of several the first */
    struct bytes posted;           /* that picture's file; alive until done */
    struct picture_view *views;    /* [n_items] where several were posted; NULL: `view` is all there is */
    struct sound_view sound;       /* of a posted sound */
    const int64_t *text_lengths;   /* [texts] tokens of each, without what fills rows up; NULL: none came */
    struct bytes text;             /* of a posted text, without its mark and the line ends behind it */
    int n_outputs;
    struct job_output *outputs; /* in the order of the reply */
    struct job_sequence sequence;
    struct generation *generation; /* of a request for a text (generate.h) */
    struct sound_stream *stream;   /* of a sound that is heard window by window (sound_stream.h) */
    bool outputs_hidden;           /* from the reply: predictions are made of them */
    bool predictions;              /* add what the manifest's task makes of the output */

    /* answered */
    struct percept_err err;               /* code 0: the reply is the answer */
    struct bytes reply;                   /* JSON, then raw tensors if reply_json_bytes >= 0 */
    int64_t reply_json_bytes;             /* Inference-Header-Content-Length of the reply, or -1 */
    const struct percept_tensor *results; /* [model's outputs] what it kept; what a parent answers with */

    /* times, CLOCK_MONOTONIC ns; differences go to the statistics */
    int64_t decode_ns; /* spent */
    int64_t queued_ns; /* when it joined the lane */
    int64_t started_ns,
        finished_ns;   /* of its batch: gathering, and the run's end; of a parent: its beginning and end */
    int64_t gather_ns; /* spent by its batch between started_ns and the run */
    int64_t encode_ns; /* spent */
    int64_t kept_ns;   /* of that before it was written on a trip of its own */
    int batch_size;    /* items of the batch it ran in; of a parent the largest of its children's */
    int n_times;
    struct job_time *times; /* of a chain's stages, in their order; in the arena */

    /* the serve layer's own */
    struct job *next;
    struct task task;
    struct batch *batch;        /* while RUNNING */
    int cancelled;              /* loop_flag_raise; polled by the run */
    int64_t default_timeout_ns; /* its model's; 0: none */
    enum job_state state;
    bool pending;           /* counted by its lane */
    size_t pending_bytes;   /* of its body, while it is */
    bool spared;            /* what its deadline leaves is too little, and it is tried nevertheless */
    bool late;              /* run, and its reply is still to be written from results */
    bool leaving;           /* a parent that ends when its last child has */
    struct staged_run *run; /* of a job of a chain, while it is a parent (staged.c) */
    struct job *parent;     /* NULL: a client's */
    struct job *children;   /* under way */
    int n_children;
    struct job *sibling; /* the next of the parent's children */
    struct watch watch;  /* deadline and flag, for whoever works on it: decoding, then encoding */
    int64_t offset;      /* of its first item in the batch */
};

/* Where item i of its input lies in the picture that was posted for it. */
static inline const struct picture_view *job_view(const struct job *job, int64_t item)
{
    return job->views ? &job->views[item] : &job->view;
}

/* "rle" or "polygon"; false: another word. */
bool job_read_masks(struct bytes word, enum job_masks *masks);

/* By its own timeout, else by its model's; a child's is its parent's; 0: none. */
int64_t job_deadline(const struct job *job);

/* For whoever works on it from now on. For decoders once the body said a timeout. */
void job_set_deadline(struct job *job);

/* Its place among those that wait: the smaller one first. */
int64_t job_rank(const struct job *job);

/* If it failed for want of memory, and this thread was refused some of the budget since it had been so many times:
 * that was why, and is kept as short_bytes. Workers call it. */
void job_note_shortage(struct job *job, size_t refusals);

/* The failures that are ours to name; the codes' sentences are the protocol's. */
void job_expire(struct job *job);
void job_give_up(struct job *job);
void job_fall_short(struct job *job, size_t limit_bytes); /* of the budget */

void job_list_push(struct job_list *list, struct job *job);
struct job *job_list_pop(struct job_list *list);

/* Behind those that rank like it or before it. */
void job_list_insert(struct job_list *list, struct job *job);
bool job_list_remove(struct job_list *list, struct job *job);

#endif
