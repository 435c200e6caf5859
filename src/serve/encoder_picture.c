/*
 * encoder_picture.c - pictures as replies (encoder.h): what the network made. A reply is one picture, so one item was
 * asked for.
 */
#include "base/err.h"
#include "serve/answer.h"
#include "serve/answer_image.h"
#include "serve/encoder.h"
#include "serve/encoder_jpeg.h"
#include "serve/encoder_png.h"

bool encoder_picture_serves(const struct served *served)
{
    return served->manifest->task == TASK_IMAGE;
}

bool encoder_picture_fits(const struct job *job)
{
    return job->n_items <= 1 && job->predictions;
}

static bool picture_of(struct job *job, const struct percept_tensor *results, const struct picture **picture,
                       struct percept_err *err)
{
    struct answer answer;
    if (!answer_make(job, results, &answer, err))
        return false;
    if (!answer.made)
        return err_set(err, ERR_INVALID, "the output that the picture is made of is not among those asked for");
    *picture = ((const struct imaged *)answer.made)->items;
    return true;
}

static bool write_as(bool (*write)(struct writer *, const struct picture *, struct percept_err *), struct job *job,
                     const struct percept_tensor *results, struct percept_err *err)
{
    const struct picture *picture = NULL;
    struct writer w = {.arena = job->arena, .watch = &job->watch};
    if (!picture_of(job, results, &picture, err) || !write(&w, picture, err))
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
