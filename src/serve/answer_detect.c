/*
 * answer_detect.c - see answer_detect.h.
 *
 *     outputs -> boxes above the threshold (decoder.h) -> the best without overlaps (boxes.h) -> the picture's pixels
 *
 * Where the input lies in the posted picture is told by the job's view. What a network draws around the filling of a
 * letterbox alone is no part of the picture and is left out. Coordinates are rounded to hundredths of a pixel: what is
 * finer says nothing, and takes half of a reply.
 */
#include "serve/answer_detect.h"

#include "base/err.h"
#include "serve/decoder.h"
#include "serve/tracks.h"

#include <math.h>

/* Pixels of the input -> those of the picture: left + x * across. */
struct mapping {
    double left, top, across, down;
    double width, height; /* of the picture; 0: unknown, nothing is clipped */
};

/* Height and width of an input that is a picture, by its layout; false: it is none. */
static bool input_size(const struct job *job, int i, int *width, int *height)
{
    int n;
    const char *name = served_own_inputs(job->served, &n)[i].name;
    const struct manifest_input *input = manifest_input(job->served->manifest, name);
    const struct percept_tensor *tensor = &job->inputs[i];
    const bool described = input && input->kind == MANIFEST_IMAGE;
    if (described && input->image.layout == IMAGE_FLAT) {
        *width = input->image.width;
        *height = input->image.height;
        return true;
    }
    if (tensor->rank != 4 && !(described && tensor->rank == 3))
        return false;
    const int64_t *dims = tensor->dims + tensor->rank - 3;
    const bool last = described ? input->image.layout == IMAGE_NHWC : dims[2] <= 4 && dims[0] > 4;
    const int64_t h = last ? dims[0] : dims[1], w = last ? dims[1] : dims[2];
    *width = w < INT16_MAX * 2 ? (int)w : 0;
    *height = h < INT16_MAX * 2 ? (int)h : 0;
    return true;
}

void answer_detect_input_size(const struct job *job, int64_t item, int *width, int *height)
{
    const struct picture_view *view = job_view(job, item);
    int n;
    served_own_inputs(job->served, &n);
    *width = view->input_width;
    *height = view->input_height;
    for (int i = 0; i < n && !view->width && job->inputs; i++)
        if (input_size(job, i, width, height))
            return;
}

static struct mapping mapping_of(const struct job *job, int64_t item, int width, int height)
{
    const struct picture_view *view = job_view(job, item);
    const bool picture = job->served->manifest->detect.units == UNITS_PICTURE;
    struct mapping m = {.across = 1, .down = 1, .width = width, .height = height};
    if (view->width) {
        m.width = view->width;
        m.height = view->height;
    } else if (picture) {
        m.width = m.height = 0;
    }
    if (view->width && !picture && view->input_width > 0 && view->input_height > 0) {
        m.left = view->shown.left;
        m.top = view->shown.top;
        m.across = (view->shown.right - view->shown.left) / view->input_width;
        m.down = (view->shown.bottom - view->shown.top) / view->input_height;
    }
    return m;
}

static float hundredths(double value)
{
    return (float)(round(value * 100) / 100);
}

static float within(double value, double most)
{
    return hundredths(most > 0 ? fmin(fmax(value, 0), most) : value);
}

/* False: no part of it lies in the picture. */
static bool map_box(const struct mapping *m, const struct box *box, struct detection *to)
{
    const double left = m->left + (double)box->left * m->across, right = m->left + (double)box->right * m->across;
    const double top = m->top + (double)box->top * m->down, bottom = m->top + (double)box->bottom * m->down;
    *to = (struct detection){.index = box->index,
                             .score = box->score,
                             .left = within(left, m->width),
                             .top = within(top, m->height),
                             .right = within(right, m->width),
                             .bottom = within(bottom, m->height)};
    return (to->right > to->left && to->bottom > to->top) || m->width <= 0;
}

/* Its centre is moved; its sides are as long as what they cover. With w >= h, the angle from 0 to pi. */
static void map_turned(const struct mapping *m, const struct box *box, struct detection *to)
{
    const double c = cos((double)box->angle), s = sin((double)box->angle);
    double w = (double)(box->right - box->left) * hypot(c * m->across, s * m->down);
    double h = (double)(box->bottom - box->top) * hypot(s * m->across, c * m->down);
    double x = m->left + (double)(box->left + box->right) / 2 * m->across;
    double y = m->top + (double)(box->top + box->bottom) / 2 * m->down, angle = atan2(s * m->down, c * m->across);
    if (h > w) {
        const double longer = h;
        h = w;
        w = longer;
        angle += M_PI / 2;
    }
    angle = fmod(fmod(angle, M_PI) + M_PI, M_PI);
    *to = (struct detection){.index = box->index,
                             .score = box->score,
                             .left = hundredths(x - w / 2),
                             .top = hundredths(y - h / 2),
                             .right = hundredths(x + w / 2),
                             .bottom = hundredths(y + h / 2),
                             .angle = (float)angle};
}

static void map_points(const struct mapping *m, float *points, int n, int size)
{
    for (int i = 0; i < n; i++) {
        points[i * size] = hundredths(m->left + (double)points[i * size] * m->across);
        points[i * size + 1] = hundredths(m->top + (double)points[i * size + 1] * m->down);
    }
}

void answer_detect_map_points(const struct job *job, int64_t item, float *points, int n, int size)
{
    int width, height;
    answer_detect_input_size(job, item, &width, &height);
    const struct mapping m = mapping_of(job, item, width, height);
    map_points(&m, points, n, size);
}

static bool begin_masks(struct job *job, const struct decoding *decoding, int64_t item, const struct detections *to,
                        struct detected *detected, struct masking *masking, struct percept_err *err)
{
    if (to->width <= 0 || to->height <= 0 || decoding->width <= 0 || decoding->height <= 0)
        return err_set(err, ERR_INVALID, "masks have the size of a picture; post one");
    return mask_begin(masking, decoding, job_view(job, item), to->width, to->height, detected->masks, job->arena,
                      &job->watch, &detected->n_mask_pixels, err);
}

/* What is kept of one item, in the picture. */
static bool tell(struct job *job, struct decoding *decoding, const struct mapping *m, int64_t item,
                 struct detected *detected, struct detections *to, struct percept_err *err)
{
    const struct boxes *boxes = decoding->boxes;
    const struct manifest *manifest = job->served->manifest;
    const int n_points = decoder_n_points(decoding, &detected->point_size);
    const size_t n_numbers = (size_t)n_points * (size_t)detected->point_size;
    struct masking masking;
    struct detection *at = arena_array(job->arena, (size_t)boxes->n + 1, sizeof *at);
    float *points = arena_array(job->arena, (size_t)boxes->n * n_numbers + 1, sizeof *points);
    if (!at || !points)
        return err_memory(err, "detections", (size_t)boxes->n * sizeof *at);
    detected->n_points = n_points;
    *to = (struct detections){.at = at, .width = (int)m->width, .height = (int)m->height};
    if (detected->masks && !begin_masks(job, decoding, item, to, detected, &masking, err))
        return false;
    for (int i = 0; i < boxes->n; i++, points += n_numbers) {
        const struct box *box = &boxes->at[i];
        struct detection *one = &at[to->n];
        if (!watch_spend(&job->watch, 8 + (int64_t)n_numbers))
            return watch_refuse(&job->watch, err);
        if (detected->turned)
            map_turned(m, box, one);
        else if (!map_box(m, box, one))
            continue;
        one->label = box->index < manifest->n_labels ? manifest->labels[box->index] : NULL;
        one->points = points;
        decoder_points(decoding, box, points);
        map_points(m, points, n_points, detected->point_size);
        if (detected->masks && !mask_make(&masking, box, &one->mask, err))
            return false;
        to->n++;
    }
    return true;
}

static bool detect_item(struct job *job, const struct percept_tensor *results, const struct decoder_outputs *outputs,
                        int64_t item, struct detected *detected, struct detections *to, struct percept_err *err)
{
    const struct manifest *manifest = job->served->manifest;
    const struct manifest_detect *detect = &manifest->detect;
    struct decoding decoding;
    struct boxes boxes;
    if (!decoder_open(&decoding, manifest, results, outputs, item, detected->n_items, job->arena, &job->watch, err) ||
        !boxes_begin(&boxes, manifest->threshold, detect->obb, job->arena, &job->watch, err))
        return false;
    decoding.boxes = &boxes;
    answer_detect_input_size(job, item, &decoding.width, &decoding.height);
    const struct mapping m = mapping_of(job, item, decoding.width, decoding.height);
    return decoder_run(&decoding, err) &&
           boxes_suppress(&boxes, detect->nms, detect->overlap, detect->max_detections, err) &&
           tell(job, &decoding, &m, item, detected, to, err);
}

/* The model's outputs with the dims of a run. */
static const struct percept_io *ios_of_run(struct job *job, const struct percept_tensor *results, int n)
{
    int n_ios;
    const struct percept_io *ios = served_own_outputs(job->served, &n_ios);
    struct percept_io *own = arena_array(job->arena, (size_t)n + 1, sizeof *own);
    for (int i = 0; own && i < n; i++) {
        own[i] = ios[i];
        own[i].rank = results[i].rank;
        own[i].dtype = results[i].dtype;
        for (int d = 0; d < results[i].rank; d++)
            own[i].dims[d] = results[i].dims[d];
    }
    return own;
}

/* Are all the outputs that the decoder reads among those that are replied? */
static bool has_outputs(const struct job *job, const struct decoder_outputs *outputs)
{
    uint64_t needed = 0, there = 0;
    if (outputs->prototypes >= 0 && outputs->prototypes < 64)
        needed |= (uint64_t)1 << outputs->prototypes;
    for (int role = 0; role < MANIFEST_ROLES; role++)
        for (int level = 0; level < MANIFEST_LEVELS; level++)
            if (outputs->at[role][level] >= 0)
                needed |= (uint64_t)1 << (outputs->at[role][level] & 63);
    for (int i = 0; i < job->n_outputs; i++)
        there |= (uint64_t)1 << (job->outputs[i].index & 63);
    return (needed & ~there) == 0;
}

bool answer_detect_make(struct job *job, const struct percept_tensor *results, const void **made,
                        struct percept_err *err)
{
    const struct manifest *manifest = job->served->manifest;
    struct decoder_outputs outputs;
    int n;
    const struct percept_io *ios = served_own_outputs(job->served, &n);
    if (!decoder_bind(manifest, ios, n, &outputs, err))
        return false;
    if (!has_outputs(job, &outputs))
        return true;
    ios = ios_of_run(job, results, n);
    struct detected *detected = arena_alloc(job->arena, sizeof *detected);
    const int64_t n_items = job->n_items > 0 ? job->n_items : 1;
    struct detections *items = arena_array(job->arena, (size_t)n_items, sizeof *items);
    if (!ios || !detected || !items)
        return err_memory(err, "detections", (size_t)n_items * sizeof *items);
    if (!decoder_fits(manifest, ios, &outputs, err))
        return false;
    *detected = (struct detected){.n_items = n_items,
                                  .items = items,
                                  .turned = manifest->detect.obb,
                                  .masks = job->masks,
                                  .least_point = 0.5f,
                                  .marks = job->marks};
    for (int64_t i = 0; i < n_items; i++)
        if (!detect_item(job, results, &outputs, i, detected, &items[i], err))
            return false;
    *made = detected;
    return true;
}

/* --- the reply ---------------------------------------------------------------------------------------------------- */

static void put_list(struct writer *w, const uint32_t *numbers, size_t n)
{
    for (size_t i = 0; i < n && writer_spend(w, 8); i++) {
        writer_put(w, i ? "," : "[");
        writer_int(w, numbers[i]);
    }
    writer_put(w, n ? "]" : "[]");
}

/* COCO's: run lengths that are not packed any further, or a list of polygons. */
static void put_mask(struct writer *w, enum job_masks form, const struct mask *mask, const struct detections *item)
{
    if (form == JOB_MASKS_RLE) {
        writer_put(w, ",\"mask\":{\"size\":[");
        writer_int(w, item->height);
        writer_put(w, ",");
        writer_int(w, item->width);
        writer_put(w, "],\"counts\":");
        put_list(w, mask->counts, mask->n_counts);
        writer_put(w, "}");
        return;
    }
    writer_put(w, ",\"mask\":[");
    for (size_t at = 0; at < mask->n_outlines && !w->failed; at = outline_next(mask->outlines, at)) {
        writer_put(w, at ? "," : "");
        put_list(w, mask->outlines + at + 2, mask->outlines[at + 1] * (size_t)2);
    }
    writer_put(w, "]");
}

static void put_detection(struct writer *w, const struct detected *detected, const struct detections *item,
                          const struct detection *d)
{
    const float box[] = {d->left, d->top, d->right, d->bottom};
    writer_put(w, "{");
    if (d->label) {
        writer_put(w, "\"label\":");
        writer_string(w, d->label);
        writer_put(w, ",");
    }
    writer_put(w, "\"index\":");
    writer_int(w, d->index);
    writer_put(w, ",\"score\":");
    writer_float(w, d->score);
    writer_put(w, ",\"box\":");
    writer_floats(w, box, 4);
    if (detected->turned) {
        writer_put(w, ",\"angle\":");
        writer_float(w, d->angle);
    }
    for (int i = 0; i < detected->n_points; i++) {
        writer_put(w, i ? "," : ",\"points\":[");
        writer_floats(w, d->points + i * detected->point_size, detected->point_size);
    }
    writer_put(w, detected->n_points ? "]" : "");
    if (detected->masks)
        put_mask(w, detected->masks, &d->mask, item);
}

/* The number of its track will stand here. */
static void mark(const struct writer *w, struct tracks_marks *marks, const struct detection *d)
{
    if (!marks || marks->n == TRACKS_BOXES)
        return;
    marks->at[marks->n] = w->used;
    marks->boxes[marks->n++] = (struct box){
        .left = d->left, .top = d->top, .right = d->right, .bottom = d->bottom, .score = d->score, .index = d->index};
}

void answer_detect_write(struct writer *w, const void *made)
{
    const struct detected *detected = made;
    writer_put(w, ",\"predictions\":[");
    for (int64_t i = 0; i < detected->n_items; i++) {
        const struct detections *item = &detected->items[i];
        writer_put(w, i ? ",[" : "[");
        for (int k = 0; k < item->n && writer_spend(w, 64); k++) {
            if (k)
                writer_put(w, ",");
            put_detection(w, detected, item, &item->at[k]);
            mark(w, i ? NULL : detected->marks, &item->at[k]);
            writer_put(w, "}");
        }
        writer_put(w, "]");
    }
    writer_put(w, "]");
}
