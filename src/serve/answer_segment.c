/*
 * answer_segment.c - see answer_segment.h.
 *
 *     [N, C, h, w] scores    brought to the picture's size, then the best class of each pixel
 *     [N, 1, h, w] scores    after the activation: how much of each pixel is cut out
 *     [N, h, w] numbers      classes already, of the nearest pixel
 *
 * Scores are resized, not classes, so that edges are where the network put them between its own pixels. Where tensors
 * were posted the map has the output's size.
 */
#include "serve/answer_segment.h"

#include "base/err.h"
#include "serve/encoder_png.h"
#include "serve/floats.h"
#include "serve/resample.h"

#include <float.h>
#include <math.h>

#define CLASSES 256

/* One item of the output. */
struct scores {
    const float *at;
    int64_t channels, height, width;
    bool last;    /* channels are behind each other */
    bool classes; /* numbers of classes, no scores */
    struct picture_box box;
};

static bool is_whole(enum percept_dtype dtype)
{
    return dtype != PERCEPT_FLOAT && dtype != PERCEPT_DOUBLE && dtype != PERCEPT_FLOAT16 && dtype != PERCEPT_BFLOAT16;
}

static bool scores_of(struct job *job, const struct percept_tensor *tensor, int64_t item, int64_t n_items,
                      struct scores *s, struct percept_err *err)
{
    const int64_t *dims = tensor->dims;
    const bool channels = tensor->rank == 4, last = job->served->manifest->image.layout == IMAGE_NHWC;
    *s = (struct scores){.channels = channels ? dims[last ? 3 : 1] : 1,
                         .height = dims[channels && !last ? 2 : 1],
                         .width = dims[channels && !last ? 3 : 2],
                         .last = last && channels,
                         .classes = is_whole(tensor->dtype)};
    const int64_t n = s->channels * s->height * s->width;
    if (dims[0] != n_items || n == 0 || s->channels > CLASSES || (s->classes && s->channels != 1))
        return err_set(err, ERR_CONFIG, "the network gives no map of up to %d classes for each of %lld items", CLASSES,
                       (long long)n_items);
    s->box = resample_shown(job_view(job, item), s->width, s->height);
    s->at = floats_of(tensor, item * n, n, job->arena, &job->watch, err);
    return s->at != NULL;
}

/* A channel in the picture's size. */
static bool put_channel(struct job *job, const struct scores *s, int64_t channel, float *room, int width, int height,
                        float *to, struct percept_err *err)
{
    const int64_t n = s->height * s->width;
    const float *plane = s->at + channel * n;
    for (int64_t i = 0; s->last && i < n; i++)
        room[i] = s->at[i * s->channels + channel];
    return (watch_spend(&job->watch, n) &&
            resample_plane(s->last ? room : plane, s->width, s->height, s->box, width, height, to, &job->watch)) ||
           watch_refuse(&job->watch, err);
}

static void put_best(float *best, const float *plane, int64_t n, int channel, uint8_t *map)
{
    for (int64_t i = 0; i < n; i++)
        if (plane[i] > best[i]) {
            best[i] = plane[i];
            map[i] = (uint8_t)channel;
        }
}

static void put_alpha(const float *plane, int64_t n, bool sigmoid, uint8_t *map)
{
    for (int64_t i = 0; i < n; i++) {
        const float value = (sigmoid ? 1 / (1 + expf(-plane[i])) : plane[i]) * 255 + 0.5f;
        map[i] = value >= 255 ? 255 : value > 0 ? (uint8_t)value : 0;
    }
}

static bool put_nearest(struct job *job, const struct scores *s, struct picture *map, struct percept_err *err)
{
    const double across = (s->box.right - s->box.left) / map->width, down = (s->box.bottom - s->box.top) / map->height;
    for (int y = 0; y < map->height; y++) {
        const int64_t from_y = (int64_t)fmin(fmax(s->box.top + (y + 0.5) * down, 0), (double)(s->height - 1));
        if (!watch_spend(&job->watch, map->width))
            return watch_refuse(&job->watch, err);
        for (int x = 0; x < map->width; x++) {
            const int64_t from_x = (int64_t)fmin(fmax(s->box.left + (x + 0.5) * across, 0), (double)(s->width - 1));
            const float class = s->at[from_y * s->width + from_x];
            map->pixels[(int64_t)y * map->width + x] = class > 0 && class < CLASSES ? (uint8_t) class : 0;
        }
    }
    return true;
}

static bool make_map(struct job *job, const struct scores *s, struct picture *map, struct percept_err *err)
{
    const int64_t n = (int64_t)map->width * map->height;
    const bool sigmoid = job->served->manifest->task_activation == ACTIVATION_SIGMOID;
    float *plane = arena_array(job->arena, (size_t)n + 1, sizeof *plane);
    float *best = s->channels > 1 ? arena_array(job->arena, (size_t)n + 1, sizeof *best) : plane;
    float *room = arena_array(job->arena, s->last ? (size_t)(s->height * s->width) : 1, sizeof *room);
    if (s->classes)
        return put_nearest(job, s, map, err);
    if (!plane || !best || !room)
        return err_memory(err, "a map", (size_t)n * sizeof *plane);
    for (int64_t i = 0; s->channels > 1 && i < n; i++)
        best[i] = -FLT_MAX;
    for (int64_t c = 0; c < s->channels; c++) {
        if (!put_channel(job, s, c, room, map->width, map->height, plane, err))
            return false;
        if (s->channels > 1)
            put_best(best, plane, n, (int)c, map->pixels);
        else
            put_alpha(plane, n, sigmoid, map->pixels);
        if (!watch_spend(&job->watch, n))
            return watch_refuse(&job->watch, err);
    }
    return true;
}

/* Which classes there are, and how much of each. */
static bool count(struct job *job, struct segments *to, struct percept_err *err)
{
    const struct manifest *manifest = job->served->manifest;
    const int64_t n = (int64_t)to->map.width * to->map.height;
    int64_t pixels[CLASSES] = {0};
    struct segment *at = arena_array(job->arena, CLASSES, sizeof *at);
    if (!at)
        return err_memory(err, "a list of classes", CLASSES * sizeof *at);
    to->least = (manifest->threshold > -FLT_MAX ? manifest->threshold : 0.5f) * 255;
    for (int64_t i = 0; i < n; i++)
        pixels[to->is_alpha ? manifest->class_offset + ((float)to->map.pixels[i] > to->least ? 0 : 1)
                            : to->map.pixels[i]]++;
    for (int c = manifest->class_offset; c < (to->is_alpha ? manifest->class_offset + 1 : CLASSES); c++) {
        const int index = c - manifest->class_offset;
        if (pixels[c])
            at[to->n++] = (struct segment){.label = index < manifest->n_labels ? manifest->labels[index] : NULL,
                                           .index = index,
                                           .pixels = pixels[c],
                                           .share = (float)((double)pixels[c] / (double)n)};
    }
    to->at = at;
    return watch_spend(&job->watch, n) || watch_refuse(&job->watch, err);
}

static bool segment_item(struct job *job, const struct percept_tensor *tensor, int64_t item, int64_t n_items,
                         struct segments *to, struct percept_err *err)
{
    const struct picture_view *view = job_view(job, item);
    struct scores s;
    if (!scores_of(job, tensor, item, n_items, &s, err))
        return false;
    const int width = view->width ? view->width : (int)s.width;
    const int height = view->width ? view->height : (int)s.height;
    to->is_alpha = s.channels == 1 && !s.classes;
    return picture_new(&to->map, width, height, 1, job->arena, err) && make_map(job, &s, &to->map, err) &&
           count(job, to, err);
}

bool answer_segment_make(struct job *job, const struct percept_tensor *results, const void **made,
                         struct percept_err *err)
{
    const int64_t n_items = job->n_items > 0 ? job->n_items : 1;
    const int output = served_task_output(job->served);
    bool replied = false;
    for (int i = 0; i < job->n_outputs; i++)
        replied |= job->outputs[i].index == output;
    if (output < 0 || !replied || results[output].rank < 3 || results[output].rank > 4)
        return true;
    struct segmented *segmented = arena_alloc(job->arena, sizeof *segmented);
    struct segments *items = arena_array(job->arena, (size_t)n_items, sizeof *items);
    if (!segmented || !items)
        return err_memory(err, "maps", (size_t)n_items * sizeof *items);
    for (int64_t i = 0; i < n_items; i++)
        if (!segment_item(job, &results[output], i, n_items, &items[i], err))
            return false;
    *segmented = (struct segmented){.n_items = n_items, .items = items};
    *made = segmented;
    return true;
}

/* --- the reply ---------------------------------------------------------------------------------------------------- */

static void put_segment(struct writer *w, const struct segment *segment)
{
    writer_put(w, "{");
    if (segment->label) {
        writer_put(w, "\"label\":");
        writer_string(w, segment->label);
        writer_put(w, ",");
    }
    writer_put(w, "\"index\":");
    writer_int(w, segment->index);
    writer_put(w, ",\"share\":");
    writer_float(w, segment->share);
    writer_put(w, "}");
}

void answer_segment_write(struct writer *w, const void *made)
{
    const struct segmented *segmented = made;
    writer_put(w, ",\"predictions\":[");
    for (int64_t i = 0; i < segmented->n_items && !w->failed; i++) {
        const struct segments *item = &segmented->items[i];
        writer_put(w, i ? ",{\"classes\":[" : "{\"classes\":[");
        for (int k = 0; k < item->n; k++) {
            writer_put(w, k ? "," : "");
            put_segment(w, &item->at[k]);
        }
        writer_put(w, "],");
        encoder_png_write_json(w, &item->map);
        writer_put(w, "}");
    }
    writer_put(w, "]");
}
