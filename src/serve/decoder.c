/*
 * decoder.c - what decoders share: which outputs they read, what dims these must have, planes of floats, the best class
 * of a row. See decoder.h.
 *
 * Outputs are found by the names that the manifest gives, else by those of the decoder's authors (":0" behind a name
 * does not matter), else, where exporters number them, by their last dimension. The dims are judged twice by the same
 * function: of the network at load, with what is free let through, and of each run.
 */
#include "serve/decoder.h"

#include "base/err.h"
#include "serve/floats.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct row {
    bool (*decode)(struct decoding *decoding, struct percept_err *err);
    bool lists;
    const char *names[MANIFEST_ROLES];
} rows[] = {
#define D(id, threshold, overlap, nms, most, boxes, units, activation, offset, score, function, lists, ...)            \
    {function, lists, {__VA_ARGS__}},
#include "serve/decoders.def"
#undef D
};

static const char *const role_words[] = {"boxes", "scores", "classes", "count", "objects", "points"};

/* --- which outputs ------------------------------------------------------------------------------------------------ */

static int find(const struct percept_io *ios, int n, const char *name, size_t length)
{
    for (int i = 0; i < n; i++) {
        const char *own = ios[i].name;
        if (strncmp(own, name, length) == 0 && (!own[length] || strcmp(own + length, ":0") == 0))
            return i;
    }
    return -1;
}

static bool no_output(const char *name, size_t length, int role, const struct percept_io *ios, int n,
                      struct percept_err *err)
{
    char has[200] = "";
    for (int i = 0, used = 0; i < n && used + (int)strlen(ios[i].name) + 3 < (int)sizeof has; i++)
        used += snprintf(has + used, sizeof has - (size_t)used, "%s%s", used ? ", " : "", ios[i].name);
    return err_set(err, ERR_CONFIG, "the model has no output '%.*s'; it has %s: name it as task.outputs.%s",
                   (int)length, name, has, role_words[role]);
}

/* Names parted by blanks. */
static bool bind_names(const char *names, int role, const struct percept_io *ios, int n,
                       struct decoder_outputs *outputs, struct percept_err *err)
{
    for (int level = 0; *names && level < MANIFEST_LEVELS; level++) {
        size_t length = strcspn(names, " ");
        int at = find(ios, n, names, length);
        if (at < 0)
            return no_output(names, length, role, ios, n, err);
        outputs->at[role][level] = at;
        outputs->n_levels = level + 1 > outputs->n_levels ? level + 1 : outputs->n_levels;
        names += length + (names[length] == ' ');
    }
    return true;
}

static bool bind_given(const struct manifest_names *names, int role, const struct percept_io *ios, int n,
                       struct decoder_outputs *outputs, struct percept_err *err)
{
    for (int level = 0; level < names->n; level++) {
        outputs->at[role][level] = find(ios, n, names->at[level], strlen(names->at[level]));
        if (outputs->at[role][level] < 0)
            return no_output(names->at[level], strlen(names->at[level]), role, ios, n, err);
    }
    outputs->n_levels = names->n > outputs->n_levels ? names->n : outputs->n_levels;
    return true;
}

/* Numbered outputs, in the order of their strides: 1 score, 4 distances, 10 coordinates of points. */
static void bind_by_dims(int role, const struct percept_io *ios, int n, struct decoder_outputs *outputs)
{
    const int64_t wanted = role == ROLE_BOXES ? 4 : role == ROLE_SCORES ? 1 : 10;
    int level = 0;
    for (int i = 0; i < n && level < MANIFEST_LEVELS; i++)
        if (ios[i].rank >= 2 && ios[i].dims[ios[i].rank - 1] == wanted)
            outputs->at[role][level++] = i;
    outputs->n_levels = level > outputs->n_levels ? level : outputs->n_levels;
}

/* The only output that it reads: the task's, or the only one but for the prototypes. */
static bool bind_one(const struct manifest *manifest, const struct percept_io *ios, int n,
                     struct decoder_outputs *outputs, struct percept_err *err)
{
    const char *name = manifest->task_output;
    int at = name ? find(ios, n, name, strlen(name)) : -1, n_left = 0;
    if (name && at < 0)
        return no_output(name, strlen(name), ROLE_BOXES, ios, n, err);
    for (int i = 0; i < n && !name; i++)
        if (i != outputs->prototypes) {
            at = i;
            n_left++;
        }
    if (!name && n_left != 1)
        return err_set(err, ERR_CONFIG, "task.output is missing: which of %d outputs has the boxes?", n_left);
    outputs->at[ROLE_BOXES][0] = at;
    outputs->n_levels = 1;
    return true;
}

static bool levels_agree(const struct decoder_outputs *outputs, struct percept_err *err)
{
    for (int role = 0; role < MANIFEST_ROLES; role++) {
        int n = 0;
        while (n < MANIFEST_LEVELS && outputs->at[role][n] >= 0)
            n++;
        if (n && n != outputs->n_levels)
            return err_set(err, ERR_CONFIG, "there are %d outputs with %s, but %d of another kind: each grid needs one",
                           n, role_words[role], outputs->n_levels);
    }
    return true;
}

bool decoder_bind(const struct manifest *manifest, const struct percept_io *ios, int n, struct decoder_outputs *outputs,
                  struct percept_err *err)
{
    const struct manifest_detect *detect = &manifest->detect;
    const struct row *row = &rows[detect->decoder];
    memset(outputs, -1, sizeof *outputs);
    outputs->n_levels = 0;
    if (detect->prototypes) {
        outputs->prototypes = find(ios, n, detect->prototypes, strlen(detect->prototypes));
        if (outputs->prototypes < 0)
            return no_output(detect->prototypes, strlen(detect->prototypes), ROLE_BOXES, ios, n, err);
    }
    if (!*row->names[ROLE_BOXES] && !detect->outputs[ROLE_BOXES].n)
        return bind_one(manifest, ios, n, outputs, err);
    for (int role = 0; role < MANIFEST_ROLES; role++) {
        const struct manifest_names *given = &detect->outputs[role];
        if (given->n && !bind_given(given, role, ios, n, outputs, err))
            return false;
        if (!given->n && *row->names[role] == '?')
            bind_by_dims(role, ios, n, outputs);
        else if (!given->n && !bind_names(row->names[role], role, ios, n, outputs, err))
            return false;
    }
    if (outputs->at[ROLE_BOXES][0] < 0 || (*row->names[ROLE_SCORES] && outputs->at[ROLE_SCORES][0] < 0))
        return err_set(err, ERR_CONFIG, "which outputs have boxes and scores? Name them as task.outputs");
    return levels_agree(outputs, err);
}

/* --- do they fit? ------------------------------------------------------------------------------------------------- */

/* Axes of one item's. */
static int item_rank(const struct row *row, int role)
{
    if (role == ROLE_COUNT)
        return 0;
    return row->lists && role != ROLE_BOXES ? 1 : 2;
}

/* Does a row of this role's plane lie along the last axis but one, as columns do elsewhere? */
static bool is_transposed(enum manifest_decoder decoder, int role)
{
    return decoder == DECODER_YOLOV8 && role == ROLE_BOXES;
}

static int64_t columns_of(const struct manifest *manifest, const struct percept_io *io, int role)
{
    const int axis = is_transposed(manifest->detect.decoder, role) ? io->rank - 2 : io->rank - 1;
    return axis < 0 ? -1 : io->dims[axis];
}

/* Numbers of a detection besides its box and its classes: coefficients, points, an angle. */
static int64_t n_extra(const struct manifest_detect *detect, int64_t n_coefficients)
{
    return n_coefficients + (int64_t)detect->n_points * detect->point_size + detect->obb;
}

/* Columns that are no classes, where boxes and classes share an output; -1: they do not. */
static int64_t n_fixed(const struct manifest_detect *detect, int64_t n_coefficients)
{
    switch (detect->decoder) {
    case DECODER_YOLOV8:
    case DECODER_RTDETR:
        return 4 + n_extra(detect, n_coefficients);
    case DECODER_YOLOV5:
    case DECODER_YOLOX:
        return 5 + n_extra(detect, n_coefficients);
    case DECODER_NANODET_PLUS:
        return 32;
    default:
        return -1;
    }
}

/* Classes that `n` columns are for: with labels for each of them, unless these have gaps. */
static bool classes_fit(const struct manifest *manifest, const char *name, int64_t n, struct percept_err *err)
{
    const int64_t n_classes = n - manifest->class_offset;
    if (n_classes < 1)
        return err_set(err, ERR_CONFIG, "output '%s' has no room for classes: %" PRId64 " columns are left for them",
                       name, n);
    bool fits = !manifest->n_labels ||
                (manifest->labels_have_gaps ? manifest->n_labels <= n_classes : manifest->n_labels == n_classes);
    return fits || err_set(err, ERR_CONFIG, "output '%s' has %" PRId64 " classes, but there are %d labels", name,
                           n_classes, manifest->n_labels);
}

static bool columns_fit(const struct manifest *manifest, const struct percept_io *io, int role, int64_t n_coefficients,
                        struct percept_err *err)
{
    const struct manifest_detect *detect = &manifest->detect;
    const int64_t n = columns_of(manifest, io, role), fixed = n_fixed(detect, n_coefficients);
    bool fits = true;
    if (n < 0 || n_coefficients < 0)
        return true;
    if (role == ROLE_SCORES && !rows[detect->decoder].lists && detect->decoder != DECODER_SCRFD)
        return classes_fit(manifest, io->name,
                           n - (detect->decoder == DECODER_DETR && manifest->task_activation == ACTIVATION_SOFTMAX),
                           err);
    if (role == ROLE_POINTS)
        fits = n >= 2 && n % 2 == 0;
    else if (role == ROLE_OBJECTS)
        fits = n == 1;
    else if (role == ROLE_BOXES && fixed > 0)
        return classes_fit(manifest, io->name, n - fixed, err);
    else if (role == ROLE_BOXES && (detect->decoder == DECODER_ROWS || detect->decoder == DECODER_PADDLE))
        fits = n == 6 + n_extra(detect, n_coefficients);
    else if (role == ROLE_BOXES && detect->decoder == DECODER_NANODET)
        fits = n >= 8 && n % 4 == 0;
    else if (role == ROLE_BOXES)
        fits = n == 4;
    return fits || err_set(err, ERR_CONFIG, "output '%s' has %" PRId64 " columns, which are not those of %s", io->name,
                           n, role_words[role]);
}

static bool output_fits(const struct manifest *manifest, const struct percept_io *io, int role, int64_t n_coefficients,
                        struct percept_err *err)
{
    const int rank = item_rank(&rows[manifest->detect.decoder], role);
    if (!floats_can(io->dtype))
        return err_set(err, ERR_CONFIG, "output '%s' is %s; detections are read from numbers", io->name,
                       percept_dtype_name(io->dtype));
    if (io->rank < 0)
        return true;
    if (io->rank != rank && io->rank != rank + 1 && !(role == ROLE_COUNT && io->rank == 2))
        return err_set(err, ERR_CONFIG,
                       "output '%s' has %d dimensions; the decoder's %s have %d, with or without the "
                       "batch in front",
                       io->name, io->rank, role_words[role], rank);
    return rank < 2 || columns_fit(manifest, io, role, n_coefficients, err);
}

bool decoder_fits(const struct manifest *manifest, const struct percept_io *ios, const struct decoder_outputs *outputs,
                  struct percept_err *err)
{
    int64_t n_coefficients = 0;
    if (outputs->prototypes >= 0) {
        const struct percept_io *io = &ios[outputs->prototypes];
        if (!floats_can(io->dtype) || (io->rank >= 0 && io->rank != 3 && io->rank != 4))
            return err_set(err, ERR_CONFIG, "output '%s' has %d dimensions; prototypes are [batch, n, height, width]",
                           io->name, io->rank);
        n_coefficients = io->rank < 0 ? -1 : io->dims[io->rank - 3];
    }
    for (int role = 0; role < MANIFEST_ROLES; role++)
        for (int level = 0; level < MANIFEST_LEVELS; level++)
            if (outputs->at[role][level] >= 0 &&
                !output_fits(manifest, &ios[outputs->at[role][level]], role, n_coefficients, err))
                return false;
    return true;
}

/* --- planes ------------------------------------------------------------------------------------------------------- */

static bool item_of(const struct percept_tensor *tensor, int rank, int64_t item, int64_t n_items, int64_t *from,
                    int64_t *n, struct percept_err *err)
{
    *n = 1;
    for (int i = 0; i < tensor->rank; i++)
        *n *= tensor->dims[i];
    const bool batch = tensor->rank > rank;
    if ((batch ? tensor->dims[0] : 1) != n_items)
        return err_set(err, ERR_CONFIG, "an output with detections has no row for each of %" PRId64 " items", n_items);
    *n /= n_items;
    *from = item * *n;
    return true;
}

static bool open_plane(const struct manifest *manifest, const struct percept_tensor *tensor, int role, int64_t item,
                       int64_t n_items, struct plane *plane, struct arena *arena, struct watch *watch,
                       struct percept_err *err)
{
    const int rank = item_rank(&rows[manifest->detect.decoder], role);
    int64_t from = 0, n = 0;
    if (!item_of(tensor, rank, item, n_items, &from, &n, err))
        return false;
    const int64_t last = rank == 2 ? tensor->dims[tensor->rank - 1] : 1;
    *plane = (struct plane){.at = floats_of(tensor, from, n, arena, watch, err),
                            .n_rows = last ? n / last : 0,
                            .n_columns = last,
                            .row_step = last,
                            .column_step = 1};
    if (is_transposed(manifest->detect.decoder, role))
        *plane = (struct plane){plane->at, plane->n_columns, plane->n_rows, 1, plane->n_columns};
    return plane->at != NULL;
}

static bool open_prototypes(struct decoding *decoding, const struct percept_tensor *tensor, int64_t item,
                            int64_t n_items, struct arena *arena, struct percept_err *err)
{
    int64_t from = 0, n = 0;
    if (!item_of(tensor, 3, item, n_items, &from, &n, err))
        return false;
    decoding->n_coefficients = tensor->dims[tensor->rank - 3];
    decoding->prototype_height = tensor->dims[tensor->rank - 2];
    decoding->prototype_width = tensor->dims[tensor->rank - 1];
    decoding->prototypes = floats_of(tensor, from, n, arena, decoding->watch, err);
    return decoding->prototypes != NULL;
}

bool decoder_open(struct decoding *decoding, const struct manifest *manifest, const struct percept_tensor *results,
                  const struct decoder_outputs *outputs, int64_t item, int64_t n_items, struct arena *arena,
                  struct watch *watch, struct percept_err *err)
{
    *decoding = (struct decoding){.manifest = manifest, .n_levels = outputs->n_levels, .watch = watch};
    for (int role = 0; role < MANIFEST_ROLES; role++)
        for (int level = 0; level < MANIFEST_LEVELS; level++) {
            const int at = outputs->at[role][level];
            if (at >= 0 && !open_plane(manifest, &results[at], role, item, n_items, &decoding->planes[role][level],
                                       arena, watch, err))
                return false;
        }
    if (outputs->prototypes >= 0 &&
        !open_prototypes(decoding, &results[outputs->prototypes], item, n_items, arena, err))
        return false;
    const int64_t extra = n_extra(&manifest->detect, decoding->n_coefficients);
    decoding->first_extra = extra ? decoding->planes[ROLE_BOXES][0].n_columns - extra : 0;
    return true;
}

bool decoder_run(struct decoding *decoding, struct percept_err *err)
{
    return rows[decoding->manifest->detect.decoder].decode(decoding, err);
}

/* --- boxes -------------------------------------------------------------------------------------------------------- */

void decoder_place(const struct decoding *decoding, const float numbers[4], struct box *box)
{
    const bool relative = decoding->manifest->detect.units == UNITS_RELATIVE;
    const enum manifest_boxes layout = decoding->manifest->detect.boxes;
    const float x = relative ? (float)decoding->width : 1, y = relative ? (float)decoding->height : 1;
    const int first = layout == BOXES_YXYX;
    const float a = numbers[first] * x, b = numbers[1 - first] * y;
    const float c = numbers[2 + first] * x, d = numbers[3 - first] * y;
    box->left = layout == BOXES_CXCYWH ? a - c / 2 : a;
    box->top = layout == BOXES_CXCYWH ? b - d / 2 : b;
    box->right = layout == BOXES_CXCYWH ? a + c / 2 : layout == BOXES_XYWH ? a + c : c;
    box->bottom = layout == BOXES_CXCYWH ? b + d / 2 : layout == BOXES_XYWH ? b + d : d;
}

void decoder_add(struct decoding *decoding, struct box *box, float class, float score)
{
    const float index = class - (float)decoding->manifest->class_offset;
    if (!(index >= 0 && index < 0x1p24f))
        return;
    box->index = (int32_t)lrintf(index);
    box->score = score;
    boxes_add(decoding->boxes, box);
}

static float softmax_of(const struct plane *scores, int64_t row, int64_t first, int64_t n, float best)
{
    double sum = 0;
    for (int64_t c = 0; c < n; c++)
        sum += exp((double)(plane_get(scores, row, first + c) - best));
    return (float)(1 / sum);
}

static float activated(enum manifest_activation activation, const struct plane *scores, int64_t row, int64_t first,
                       int64_t n, float best, float largest)
{
    switch (activation) {
    case ACTIVATION_SOFTMAX:
        return softmax_of(scores, row, first, n, largest) * expf(best - largest);
    case ACTIVATION_SIGMOID:
        return 1 / (1 + expf(-best));
    case ACTIVATION_EXP:
        return expf(best);
    default:
        return best;
    }
}

void decoder_add_best(struct decoding *decoding, struct box *box, const struct plane *scores, int64_t first, int64_t n,
                      float object)
{
    const struct manifest *manifest = decoding->manifest;
    const enum manifest_score rule = manifest->detect.score;
    int64_t best = -1;
    float score = -INFINITY, largest = -INFINITY;
    if (rule == SCORE_PRODUCT && !(object > manifest->threshold))
        return; /* no class is more than 1 */
    for (int64_t c = 0; c < n; c++) {
        const float value = plane_get(scores, box->row, first + c);
        largest = value > largest ? value : largest;
        if (c >= manifest->class_offset && value > score) {
            score = value;
            best = c;
        }
    }
    if (best < 0)
        return;
    score = activated(manifest->task_activation, scores, box->row, first, n, score, largest);
    if (rule == SCORE_PRODUCT)
        score *= object;
    else if (rule == SCORE_ROOT)
        score = sqrtf(score * object);
    decoder_add(decoding, box, (float)best, score);
}

/* --- points ------------------------------------------------------------------------------------------------------- */

int decoder_n_points(const struct decoding *decoding, int *size)
{
    const struct manifest_detect *detect = &decoding->manifest->detect;
    if (decoding->planes[ROLE_POINTS][0].at) {
        *size = 2;
        return (int)(decoding->planes[ROLE_POINTS][0].n_columns / 2);
    }
    *size = detect->point_size;
    return detect->n_points;
}

void decoder_points(const struct decoding *decoding, const struct box *box, float *points)
{
    const struct plane *own = &decoding->planes[ROLE_POINTS][box->level], *boxes = &decoding->planes[ROLE_BOXES][0];
    const bool relative = decoding->manifest->detect.units == UNITS_RELATIVE;
    int size, n = decoder_n_points(decoding, &size);
    float scale_x = relative ? (float)decoding->width : 1, scale_y = relative ? (float)decoding->height : 1;
    float left = 0, top = 0;
    if (own->at) {
        const struct decoder_grid *grid = &decoding->grids[box->level];
        const int64_t cell = box->row / grid->anchors;
        scale_x = scale_y = (float)grid->stride;
        left = (float)(cell % grid->width * grid->stride);
        top = (float)(cell / grid->width * grid->stride);
    }
    for (int i = 0; i < n; i++)
        for (int k = 0; k < size; k++) {
            const float value = own->at ? plane_get(own, box->row, i * 2 + k)
                                        : plane_get(boxes, box->row, decoding->first_extra + (int64_t)i * size + k);
            points[i * size + k] = k == 0 ? left + value * scale_x : k == 1 ? top + value * scale_y : value;
        }
}
