/*
 * answer_image.c - see answer_image.h.
 *
 *     output [N, C, H, W] -> the part that shows the posted picture -> levels 0..255
 *
 * What a letterbox filled is cut off. The picture has the output's size, or where the manifest says so that of the
 * posted one. Where the network got the brightness alone (Y of YCbCr), the posted picture's colours are put back,
 * brought to the new size. In JSON it is a PNG in base64.
 */
#include "serve/answer_image.h"

#include "base/err.h"
#include "serve/encoder_png.h"
#include "serve/floats.h"
#include "serve/resample.h"

#include <math.h>

#define SIDE_MOST 16384 /* pixels of a reply's picture */

/* One item of the output. */
struct map {
    const float *at;
    int64_t channels, height, width;
    int64_t channel_step, pixel_step;
    const struct picture_view *view; /* of the item */
};

static uint8_t level(float value, float low, float high)
{
    const float scaled = (value - low) / (high - low) * 255 + 0.5f;
    return scaled >= 255 ? 255 : scaled > 0 ? (uint8_t)scaled : 0; /* NaN is black */
}

/* Sides of the reply's picture. */
static void size_of(const struct job *job, const struct picture_view *view, const struct picture_box *box, int *width,
                    int *height)
{
    double w = box->right - box->left, h = box->bottom - box->top;
    if (job->served->manifest->image.size == SIZE_PICTURE && view->width) {
        w = fmin(view->width, view->shown.right) - fmax(0, view->shown.left);
        h = fmin(view->height, view->shown.bottom) - fmax(0, view->shown.top);
    }
    *width = (int)fmin(fmax(round(w), 1), SIDE_MOST);
    *height = (int)fmin(fmax(round(h), 1), SIDE_MOST);
}

/* A channel's plane by itself. */
static const float *plane_of(struct job *job, const struct map *map, int64_t channel, struct percept_err *err)
{
    const int64_t n = map->width * map->height;
    if (map->pixel_step == 1)
        return map->at + channel * map->channel_step;
    float *plane = arena_array(job->arena, (size_t)n + 1, sizeof *plane);
    if (!plane)
        return err_null(err, ERR_MEMORY, "out of memory: a picture");
    for (int64_t i = 0; i < n; i++) {
        if (!watch_spend(&job->watch, 1)) {
            watch_refuse(&job->watch, err);
            return NULL;
        }
        plane[i] = map->at[channel * map->channel_step + i * map->pixel_step];
    }
    return plane;
}

static bool put_channel(struct job *job, const struct map *map, int64_t channel, const struct picture_box *box,
                        struct picture *to, struct percept_err *err)
{
    const struct manifest_made *image = &job->served->manifest->image;
    const int64_t n = (int64_t)to->width * to->height;
    const bool whole = to->width == map->width && to->height == map->height;
    const float *plane = plane_of(job, map, channel, err);
    if (!plane)
        return false;
    if (!whole) {
        float *resized = arena_array(job->arena, (size_t)n + 1, sizeof *resized);
        if (!resized)
            return err_memory(err, "a picture", (size_t)n * sizeof *resized);
        if (!resample_plane(plane, map->width, map->height, *box, to->width, to->height, resized, &job->watch))
            return watch_refuse(&job->watch, err);
        plane = resized;
    }
    const int at = image->channels == CHANNELS_BGR ? to->channels - 1 - (int)channel : (int)channel;
    for (int64_t i = 0; i < n; i++)
        to->pixels[i * to->channels + at] = level(plane[i], image->low, image->high);
    return watch_spend(&job->watch, n) || watch_refuse(&job->watch, err);
}

/* A channel of the picture that the network did not get, in the size of the one that it made. */
static const float *chroma(struct job *job, const struct picture_view *view, const uint8_t *plane,
                           const struct picture *size, struct percept_err *err)
{
    const int64_t n = (int64_t)view->input_width * view->input_height, n_to = (int64_t)size->width * size->height;
    const struct percept_tensor levels = {
        .dtype = PERCEPT_UINT8, .rank = 1, .dims = {n}, .data = (void *)(uintptr_t)plane};
    const float *from = floats_of(&levels, 0, n, job->arena, &job->watch, err);
    float *to = from ? arena_array(job->arena, (size_t)n_to + 1, sizeof *to) : NULL;
    if (!from)
        return NULL;
    if (!to)
        return err_null(err, ERR_MEMORY, "out of memory: a picture's colours");
    const struct picture_box box = resample_shown(view, view->input_width, view->input_height);
    if (resample_plane(from, view->input_width, view->input_height, box, size->width, size->height, to, &job->watch))
        return to;
    watch_refuse(&job->watch, err);
    return NULL;
}

/* Y of the network, Cb and Cr of the posted picture: red, green, blue, as JFIF has them (full range, ITU-R 601). */
static bool put_colours(struct job *job, const struct picture_view *view, struct picture *picture,
                        struct percept_err *err)
{
    const struct picture y = *picture;
    const int64_t n = (int64_t)y.width * y.height;
    const float *cb = chroma(job, view, view->cb, &y, err), *cr = cb ? chroma(job, view, view->cr, &y, err) : NULL;
    if (!cr || !picture_new(picture, y.width, y.height, 3, job->arena, err))
        return false;
    for (int64_t i = 0; i < n; i++) {
        const float luma = y.pixels[i], blue = cb[i] - 128, red = cr[i] - 128;
        picture->pixels[i * 3] = level(luma + 1.402f * red, 0, 255);
        picture->pixels[i * 3 + 1] = level(luma - 0.344136f * blue - 0.714136f * red, 0, 255);
        picture->pixels[i * 3 + 2] = level(luma + 1.772f * blue, 0, 255);
    }
    return watch_spend(&job->watch, n) || watch_refuse(&job->watch, err);
}

static bool make_picture(struct job *job, const struct map *map, struct picture *to, struct percept_err *err)
{
    const struct picture_box box = resample_shown(map->view, map->width, map->height);
    int width, height;
    size_of(job, map->view, &box, &width, &height);
    if (!picture_new(to, width, height, (int)map->channels, job->arena, err))
        return false;
    for (int64_t c = 0; c < map->channels; c++)
        if (!put_channel(job, map, c, &box, to, err))
            return false;
    return map->channels > 1 || !map->view->cb || put_colours(job, map->view, to, err);
}

/* [N, C, H, W] or [N, H, W, C], without the N where there is one item. */
static bool map_of(struct job *job, const struct percept_tensor *tensor, int64_t item, int64_t n_items, struct map *map,
                   struct percept_err *err)
{
    const bool last = job->served->manifest->image.layout == IMAGE_NHWC;
    const int64_t *dims = tensor->dims + tensor->rank - 3;
    *map = (struct map){.channels = dims[last ? 2 : 0],
                        .height = dims[last ? 0 : 1],
                        .width = dims[last ? 1 : 2],
                        .view = job_view(job, item)};
    const int64_t pixels = map->width * map->height;
    map->channel_step = last ? 1 : pixels;
    map->pixel_step = last ? map->channels : 1;
    if ((tensor->rank == 4 ? tensor->dims[0] : 1) != n_items || (map->channels != 1 && map->channels != 3) || !pixels)
        return err_set(err, ERR_CONFIG, "the network gives no picture of 1 or 3 channels for each of %lld items",
                       (long long)n_items);
    map->at = floats_of(tensor, item * map->channels * pixels, map->channels * pixels, job->arena, &job->watch, err);
    return map->at != NULL;
}

bool answer_image_make(struct job *job, const struct percept_tensor *results, const void **made,
                       struct percept_err *err)
{
    const int64_t n_items = job->n_items > 0 ? job->n_items : 1;
    const int output = served_task_output(job->served);
    bool replied = false;
    if (output < 0)
        return true;
    for (int i = 0; i < job->n_outputs; i++)
        replied |= job->outputs[i].index == output;
    if (!replied || results[output].rank < 3 || results[output].rank > 4)
        return true;
    struct imaged *imaged = arena_alloc(job->arena, sizeof *imaged);
    struct picture *items = arena_array(job->arena, (size_t)n_items, sizeof *items);
    if (!imaged || !items)
        return err_memory(err, "pictures", (size_t)n_items * sizeof *items);
    *imaged = (struct imaged){.n_items = n_items, .items = items};
    for (int64_t i = 0; i < n_items; i++) {
        struct map map;
        if (!map_of(job, &results[output], i, n_items, &map, err) || !make_picture(job, &map, &items[i], err))
            return false;
    }
    *made = imaged;
    return true;
}

/* --- the reply ---------------------------------------------------------------------------------------------------- */

void answer_image_write(struct writer *w, const void *made)
{
    const struct imaged *imaged = made;
    writer_put(w, ",\"predictions\":[");
    for (int64_t i = 0; i < imaged->n_items && !w->failed; i++) {
        writer_put(w, i ? ",{" : "{");
        encoder_png_write_json(w, &imaged->items[i]);
        writer_put(w, "}");
    }
    writer_put(w, "]");
}
