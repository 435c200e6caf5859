/*
 * answer_keypoints.c - see answer_keypoints.h.
 *
 * Maps: a point is where its map is largest, moved by a quarter of a cell towards the larger of its two neighbours
 * along each axis, and its score is the value there (Xiao, Wu, Wei: "Simple Baselines for Human Pose Estimation and
 * Tracking", 2018, and the code that came with it, which leaves cells at the edge where they are). Cell c of n lies at
 * c / n of the input. Lists and rows have the points as they are, in `units`.
 *
 * Where a map has no number, or a list has none, the point is at 0, 0 with the score 0.
 */
#include "serve/answer_keypoints.h"

#include "base/err.h"
#include "serve/codec.h"
#include "serve/floats.h"

#include <math.h>

#define QUARTER 0.25f

/* A point's cells: the first, from one to the next along x and along y. */
struct map {
    const float *at;
    int64_t width, height, across, down;
};

static float cell(const struct map *map, int64_t x, int64_t y)
{
    return map->at[y * map->down + x * map->across];
}

/* A quarter towards the larger one of the neighbours; none at the edge. */
static float towards(float before, float behind)
{
    return behind > before ? QUARTER : behind < before ? -QUARTER : 0;
}

static float activated(float score, enum manifest_activation activation)
{
    return activation == ACTIVATION_SIGMOID ? 1 / (1 + expf(-score)) : score;
}

/* In parts of the map's sides. */
static void find_peak(const struct map *map, enum manifest_activation activation, float point[3])
{
    int64_t x = -1, y = -1;
    float best = -INFINITY;
    for (int64_t i = 0; i < map->height; i++)
        for (int64_t k = 0; k < map->width; k++)
            if (cell(map, k, i) > best && isfinite(cell(map, k, i))) {
                best = cell(map, k, i);
                x = k;
                y = i;
            }
    point[0] = point[1] = point[2] = 0;
    if (x < 0)
        return;
    const bool inner = x > 0 && x < map->width - 1 && y > 0 && y < map->height - 1;
    point[0] = (float)x + (inner ? towards(cell(map, x - 1, y), cell(map, x + 1, y)) : 0);
    point[1] = (float)y + (inner ? towards(cell(map, x, y - 1), cell(map, x, y + 1)) : 0);
    point[0] /= (float)map->width;
    point[1] /= (float)map->height;
    point[2] = activated(best, activation);
}

/* The output of one item. */
struct source {
    const float *at;
    int rank; /* with the batch */
    int64_t n_points, height, width;
    int size; /* numbers of a point */
    bool nhwc;
    enum manifest_activation activation;
};

static void read_maps(const struct source *source, struct watch *watch, float *points)
{
    const int64_t area = source->height * source->width;
    for (int64_t i = 0; i < source->n_points && watch_spend(watch, area); i++) {
        struct map map = {source->at + i * area, source->width, source->height, 1, source->width};
        if (source->nhwc)
            map = (struct map){source->at + i, source->width, source->height, source->n_points,
                               source->width * source->n_points};
        find_peak(&map, source->activation, points + i * 3);
    }
}

static void read_list(const struct source *source, float *points)
{
    for (int64_t i = 0; i < source->n_points; i++) {
        const float *from = source->at + i * source->size;
        float *point = points + i * source->size;
        memcpy(point, from, (size_t)source->size * sizeof *point);
        if (source->size == 3)
            point[2] = activated(point[2], source->activation);
        if (!isfinite(point[0]) || !isfinite(point[1]) || (source->size == 3 && !isfinite(point[2])))
            memset(point, 0, (size_t)source->size * sizeof *point);
    }
}

static float mean_score(const float *points, int64_t n, int size)
{
    double sum = 0;
    if (size < 3)
        return 1;
    for (int64_t i = 0; i < n; i++)
        sum += (double)points[i * 3 + 2];
    return n ? (float)(sum / (double)n) : 0;
}

/* In the posted picture's pixels. */
static void place(struct job *job, int64_t item, bool relative, float *points, int n, int size)
{
    int width = 1, height = 1;
    if (relative)
        answer_detect_input_size(job, item, &width, &height);
    for (int i = 0; i < n; i++) {
        points[i * size] *= (float)width;
        points[i * size + 1] *= (float)height;
    }
    answer_detect_map_points(job, item, points, n, size);
}

static bool keypoints_of(struct job *job, const struct source *source, int64_t item, struct detections *to,
                         struct percept_err *err)
{
    const bool maps = source->rank == 4;
    const int n = (int)source->n_points, size = source->size;
    struct detection *one = arena_alloc(job->arena, sizeof *one);
    float *points = arena_array(job->arena, (size_t)source->n_points + 1, 3 * sizeof *points);
    if (!one || !points)
        return err_memory(err, "keypoints", (size_t)n * sizeof *points);
    if (maps)
        read_maps(source, &job->watch, points);
    else
        read_list(source, points);
    if (watch_over(&job->watch))
        return watch_refuse(&job->watch, err);
    place(job, item, maps || job->served->manifest->detect.units == UNITS_RELATIVE, points, n, size);
    *one = (struct detection){.score = mean_score(points, n, size), .points = points};
    const struct picture_view *view = job_view(job, item);
    *to = (struct detections){.n = 1, .at = one, .width = view->width, .height = view->height};
    if (!view->width)
        answer_detect_input_size(job, item, &to->width, &to->height);
    return true;
}

/* What the output's dims say of an item; false where they are no keypoints'. */
static bool read_dims(const struct manifest *manifest, const struct percept_tensor *tensor, struct source *source)
{
    const int64_t *dims = tensor->dims;
    const bool nhwc = manifest->image.layout == IMAGE_NHWC;
    *source = (struct source){.rank = tensor->rank, .size = 3, .nhwc = nhwc, .activation = manifest->task_activation};
    if (tensor->rank == 4) {
        source->n_points = dims[nhwc ? 3 : 1];
        source->height = dims[nhwc ? 1 : 2];
        source->width = dims[nhwc ? 2 : 3];
    } else if (tensor->rank == 3) {
        source->n_points = dims[1];
        source->size = (int)dims[2];
    } else {
        source->n_points = manifest->detect.n_points;
        source->size = manifest->detect.point_size;
    }
    const bool fits = tensor->rank != 2 || dims[1] == source->n_points * source->size;
    return fits && (source->size == 2 || source->size == 3) && source->n_points < INT32_MAX / 3;
}

static int replied_output(const struct job *job)
{
    const int output = served_task_output(job->served);
    for (int i = 0; i < job->n_outputs; i++)
        if (job->outputs[i].index == output)
            return output;
    return -1;
}

bool answer_keypoints_make(struct job *job, const struct percept_tensor *results, const void **made,
                           struct percept_err *err)
{
    const int output = replied_output(job);
    const int64_t n_items = job->n_items > 0 ? job->n_items : 1;
    struct source source;
    int64_t n;
    if (output < 0)
        return true;
    const struct percept_tensor *tensor = &results[output];
    if (!codec_count(tensor->rank, tensor->dims, &n) || n % n_items != 0 ||
        !read_dims(job->served->manifest, tensor, &source))
        return err_set(err, ERR_DATA, "the output with the keypoints has other dimensions than they have");
    const float *at = floats_of(tensor, 0, n, job->arena, &job->watch, err);
    struct detected *detected = arena_alloc(job->arena, sizeof *detected);
    struct detections *items = arena_array(job->arena, (size_t)n_items, sizeof *items);
    if (!at)
        return false;
    if (!detected || !items)
        return err_memory(err, "keypoints", (size_t)n_items * sizeof *items);
    for (int64_t i = 0; i < n_items; i++) {
        source.at = at + i * (n / n_items);
        if (!keypoints_of(job, &source, i, &items[i], err))
            return false;
    }
    *detected = (struct detected){.n_items = n_items,
                                  .items = items,
                                  .bare = true,
                                  .n_points = (int)source.n_points,
                                  .point_size = source.size,
                                  .least_point = job->served->manifest->threshold};
    *made = detected;
    return true;
}

/* --- the reply ---------------------------------------------------------------------------------------------------- */

void answer_keypoints_write(struct writer *w, const void *made)
{
    const struct detected *detected = made;
    writer_put(w, ",\"predictions\":[");
    for (int64_t i = 0; i < detected->n_items; i++) {
        const struct detection *one = detected->items[i].at;
        writer_put(w, i ? ",[{\"score\":" : "[{\"score\":");
        writer_float(w, one->score);
        writer_put(w, ",\"points\":[");
        for (int k = 0; k < detected->n_points && writer_spend(w, 48); k++) {
            writer_put(w, k ? "," : "");
            writer_floats(w, one->points + k * detected->point_size, detected->point_size);
        }
        writer_put(w, "]}]");
    }
    writer_put(w, "]");
}
