/*
 * encoder_picture.c - pictures as replies (encoder.h): what the network made, or the posted picture
 * with what it found, or that alone (SVG). A reply is one picture, so one item was asked for.
 */
#include "base/err.h"
#include "serve/answer.h"
#include "serve/answer_image.h"
#include "serve/drawing.h"
#include "serve/encoder.h"
#include "serve/encoder_jpeg.h"
#include "serve/encoder_png.h"

bool encoder_picture_serves(const struct served *served)
{
    const enum manifest_task task = served->manifest->task;
    return task == TASK_IMAGE || encoder_picture_serves_svg(served);
}

bool encoder_picture_serves_svg(const struct served *served)
{
    const enum manifest_task task = served->manifest->task;
    return task == TASK_DETECT || task == TASK_SEGMENT || task == TASK_KEYPOINTS;
}

bool encoder_picture_fits(const struct job *job)
{
    const bool drawn = job->served->manifest->task != TASK_IMAGE;
    return job->n_items <= 1 && job->predictions && (!drawn || job->view.width);
}

/* Masks are drawn wherever the network has them. */
static bool make(struct job *job, const struct percept_tensor *results, enum job_masks masks, struct answer *answer,
                 struct percept_err *err)
{
    const struct manifest *manifest = job->served->manifest;
    if (manifest->task == TASK_DETECT && manifest->detect.prototypes)
        job->masks = masks;
    return answer_make(job, results, answer, err) &&
           (answer->made ||
            err_set(err, ERR_INVALID, "the output that the picture is made of is not among those asked for"));
}

static bool picture_of(struct job *job, const struct percept_tensor *results, struct picture *picture,
                       struct percept_err *err)
{
    struct answer answer;
    if (!make(job, results, JOB_MASKS_RLE, &answer, err))
        return false;
    if (answer.task == TASK_DETECT || answer.task == TASK_KEYPOINTS)
        return drawing_make(job, answer.made, picture, err);
    if (answer.task == TASK_SEGMENT)
        return drawing_make_segments(job, answer.made, picture, err);
    *picture = ((const struct imaged *)answer.made)->items[0];
    return true;
}

static bool write_as(bool (*write)(struct writer *, const struct picture *, struct percept_err *), struct job *job,
                     const struct percept_tensor *results, struct percept_err *err)
{
    struct picture picture = {0};
    struct writer w = {.arena = job->arena, .watch = &job->watch};
    if (!picture_of(job, results, &picture, err) || !write(&w, &picture, err))
        return false;
    job->reply = bytes_of(w.at, w.used);
    job->reply_json_bytes = -1;
    return true;
}

bool encoder_picture_png(struct job *job, const struct percept_tensor *results, struct percept_err *err)
{
    return write_as(encoder_png_write, job, results, err);
}

bool encoder_picture_jpeg(struct job *job, const struct percept_tensor *results, struct percept_err *err)
{
    return write_as(encoder_jpeg_write, job, results, err);
}

bool encoder_picture_svg(struct job *job, const struct percept_tensor *results, struct percept_err *err)
{
    struct answer answer;
    struct writer w = {.arena = job->arena, .watch = &job->watch};
    if (!make(job, results, JOB_MASKS_POLYGON, &answer, err))
        return false;
    if (answer.task == TASK_DETECT || answer.task == TASK_KEYPOINTS)
        drawing_write_svg(&w, answer.made);
    else if (!drawing_write_svg_segments(job, &w, answer.made, err))
        return false;
    if (w.failed)
        return watch_over(w.watch) ? watch_refuse(w.watch, err) : err_memory(err, "an SVG", w.room * 2);
    job->reply = bytes_of(w.at, w.used);
    job->reply_json_bytes = -1;
    return true;
}
