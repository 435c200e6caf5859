/*
 * encoder.h - where a job's outputs go: into a reply's bytes, one row per form in encoders.def, or to whoever asked.
 *
 * Writers run on a worker (any thread), touch the job they are given and read its served model; what outlives the
 * call lies in the job's arena. `results` has one tensor per output of the model: the job's own rows, which may be
 * views of a session's memory and hold until the writer returns.
 */
#ifndef SERVE_ENCODER_H
#define SERVE_ENCODER_H

#include "serve/job.h"

struct encoder {
    const char *name;
    const char *media_type;                      /* of the reply */
    bool (*serves)(const struct served *served); /* has the model such replies? NULL: each one */
    bool (*fits)(const struct job *job);         /* may it answer this job? Asked once it is decoded; NULL: any */
    bool (*is_long)(const struct job *job, const struct percept_tensor *results); /* NULL: never */
    bool (*write)(struct job *job, const struct percept_tensor *results, struct percept_err *err);
};

/* Copies the outputs that were asked for, texts and all, into job->results: for a job that another one asked for. */
extern const struct encoder encoder_keep;

/* The row that an Accept header prefers, for job->encoder, among those of the model. NULL where it names none of them,
 * is missing or takes anything. Weights (q) count, wildcards do not, but for image/ and text/ of a model that has such:
 * who takes anything gets what was asked for in the body. */
const struct encoder *encoder_find(const struct served *served, struct bytes accept);

/* Can a reply of the model be what Accept names? One that is missing or names nothing takes anything. Refuses with the
 * list of what it could be. */
bool encoder_accept(const struct served *served, struct bytes accept, struct percept_err *err);

/* The form of replies to V1's predict requests. */
const struct encoder *encoder_v1(void);

/* The rows, for tests and documents; NULL at the end. */
const struct encoder *encoder_row(int i);

/* Would writing take longer than a trip to the pool and a copy? Then the session that holds the results should not wait
 * for it. */
bool encoder_is_long(const struct job *job, const struct percept_tensor *results);

/* Copies them into job->results, from which encoder_write can make the reply when the session is at home. */
void encoder_put_off(struct job *job, const struct percept_tensor *results, int64_t (*now_ns)(void));

/* Writes them by job->encoder where it fits, else by the first row that does, which job->encoder then is; or says in
 * job->err why not. `now_ns` is the clock of job->encode_ns. */
void encoder_write(struct job *job, const struct percept_tensor *results, int64_t (*now_ns)(void));

/* encoder_v2.c: V2's replies. JSON, and bytes behind it where an output was asked for as bytes. */
bool encoder_v2_all_json(const struct job *job);
bool encoder_v2_some_binary(const struct job *job);
bool encoder_v2_is_long(const struct job *job, const struct percept_tensor *results);
bool encoder_v2_write(struct job *job, const struct percept_tensor *results, struct percept_err *err);

/* encoder_wav.c: the task audio's sound. */
bool encoder_wav_serves(const struct served *served);
bool encoder_wav_fits(const struct job *job);
bool encoder_wav_write(struct job *job, const struct percept_tensor *results, struct percept_err *err);

/* encoder_v1.c: rows or columns, as the request had them. */
bool encoder_v1_fits(const struct job *job);
bool encoder_v1_write(struct job *job, const struct percept_tensor *results, struct percept_err *err);

/* encoder_picture.c: what the task made, as one picture, or what it found on the posted one. */
bool encoder_picture_serves(const struct served *served);
bool encoder_picture_serves_svg(const struct served *served);
bool encoder_picture_fits(const struct job *job);
bool encoder_picture_png(struct job *job, const struct percept_tensor *results, struct percept_err *err);
bool encoder_picture_jpeg(struct job *job, const struct percept_tensor *results, struct percept_err *err);
bool encoder_picture_svg(struct job *job, const struct percept_tensor *results, struct percept_err *err);

/* encoder_text.c: predictions as lines. */
bool encoder_text_serves(const struct served *served);
bool encoder_text_fits(const struct job *job);
bool encoder_text_plain(struct job *job, const struct percept_tensor *results, struct percept_err *err);
bool encoder_text_csv(struct job *job, const struct percept_tensor *results, struct percept_err *err);

#endif
