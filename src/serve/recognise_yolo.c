/*
 * recognise_yolo.c - models of the YOLO family by the metadata_props that their exporters write, as
 * ultralytics/ultralytics:ultralytics/engine/exporter.py, ultralytics/yolov5:export.py and WongKinYiu/yolov9:export.py
 * have them. All values are texts of Python.
 *
 * Ultralytics 8 declares author, task, names, imgsz, stride and batch; the layout of its output depends on the release
 * and on how it was exported, so it is read off the dims, of which exactly one layout must fit. YOLOv5 and YOLOv9 write
 * names and stride alone, and are told apart by the dims. Other tools copy single keys so that viewers work: hence
 * everything is asked for.
 *
 * Not here: older exports without keys, which share their dims with other families.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "serve/recognise.h"

#define CLASSES_MAX 100000
#define LETTERBOX ", \"resize\": \"letterbox\", \"fill\": 114, \"antialias\": false, \"scale\": 0.00392156862745098"

enum said { UNSAID, NO, YES };

enum task { DETECT, SEGMENT, CLASSIFY, POSE, OBB, N_TASKS };

static const char *const task_words[N_TASKS] = {"detect", "segment", "classify", "pose", "obb"};

struct export
{
    enum task task;
    const char *const *names;
    int n_names;
    int64_t height, width, channels;
    int64_t n_points, point_size;
    int64_t n_extra; /* columns behind the classes */
    enum said end2end, nms;
    bool rtdetr;
};

static const struct literal *property(struct recognise *r, const char *key, bool *unclear)
{
    struct percept_err unheard;
    const char *text = recognise_property(r, key, unclear);
    return text ? literal_python(bytes_of_text(text), r->arena, &unheard) : NULL;
}

static enum said said(const struct literal *literal)
{
    return !literal || literal->kind != LITERAL_BOOL ? UNSAID : literal->truth ? YES : NO;
}

/* --- grids -------------------------------------------------------------------------------------------------------- */

/* Cells of grids with the strides from 2^from to 2^to. */
static int64_t cells(int64_t height, int64_t width, int from, int to)
{
    int64_t n = 0;
    for (int i = from; i <= to; i++)
        n += (height >> i) * (width >> i);
    return n;
}

/* Is it the cells of grids down to 8, with 64 or with 4 as well, times so many boxes? */
static bool is_cells(int64_t n, int64_t height, int64_t width, int64_t anchors)
{
    return n == anchors * cells(height, width, 3, 5) || n == anchors * cells(height, width, 3, 6) ||
           (anchors == 1 && n == cells(height, width, 2, 5));
}

/* --- Ultralytics 8 ------------------------------------------------------------------------------------------------ */

static bool is_by_ultralytics(const struct recognise *r)
{
    bool unclear = false;
    const char *author = recognise_property(r, "author", &unclear),
               *description = recognise_property(r, "description", &unclear);
    return (author && strcmp(author, "Ultralytics") == 0) ||
           (description && strncmp(description, "Ultralytics ", strlen("Ultralytics ")) == 0);
}

static bool read_task(const struct recognise *r, struct export *export, bool *unclear)
{
    const char *word = recognise_property(r, "task", unclear);
    int task = 0;
    while (word && task < N_TASKS && strcmp(task_words[task], word) != 0)
        task++;
    export->task = (enum task)task;
    return word && task < N_TASKS;
}

static bool read_sides(const struct literal *imgsz, struct export *export)
{
    return imgsz && imgsz->kind == LITERAL_LIST && imgsz->n == 2 &&
           literal_whole(imgsz->first, 1, 16384, &export->height) &&
           literal_whole(imgsz->first->next, 1, 16384, &export->width);
}

static bool read_points(const struct literal *shape, struct export *export)
{
    return shape && shape->kind == LITERAL_LIST && shape->n == 2 &&
           literal_whole(shape->first, 1, 1000, &export->n_points) &&
           literal_whole(shape->first->next, 2, 3, &export->point_size);
}

static void read_switches(struct recognise *r, struct export *export, bool *unclear)
{
    const char *head = recognise_property(r, "head", unclear);
    const char *description = recognise_property(r, "description", unclear);
    export->nms = said(literal_get(property(r, "args", unclear), "nms"));
    export->end2end = said(property(r, "end2end", unclear));
    export->rtdetr = (head && strcmp(head, "RTDETRDecoder") == 0) ||
                     (!head && description && strncmp(description, "Ultralytics rtdetr", 18) == 0);
}

/* The key that cannot be read, or NULL. */
static const char *read_keys(struct recognise *r, struct export *export)
{
    bool unclear = false;
    int64_t number;
    const struct literal *names = property(r, "names", &unclear);
    const struct literal *channels = property(r, "channels", &unclear);
    if (!read_task(r, export, &unclear))
        return "task";
    export->names =
        names && names->n > 0 && names->n <= CLASSES_MAX && names->kind == LITERAL_MAP && names->first->key_is_number
            ? literal_texts(names, r->arena, &export->n_names)
            : NULL;
    if (!export->names)
        return "names";
    if (!read_sides(property(r, "imgsz", &unclear), export))
        return "imgsz";
    if (!literal_whole(property(r, "stride", &unclear), 1, 1024, &number))
        return "stride";
    if (!literal_whole(property(r, "batch", &unclear), 1, 65536, &number))
        return "batch";
    export->channels = 3;
    if (recognise_property(r, "channels", &unclear) && !literal_whole(channels, 1, 1024, &export->channels))
        return "channels";
    if (export->task == POSE && !read_points(property(r, "kpt_shape", &unclear), export))
        return "kpt_shape";
    read_switches(r, export, &unclear);
    return unclear ? "of which one comes twice and not alike" : NULL;
}

static bool input_is(const struct recognise *r, const struct export *export)
{
    const struct percept_io *input = r->inputs;
    return r->n_inputs == 1 && strcmp(input->name, "images") == 0 && input->dtype == PERCEPT_FLOAT &&
           input->rank == 4 && recognise_dim(input, 1, export->channels) && recognise_dim(input, 2, export->height) &&
           recognise_dim(input, 3, export->width) && input->layout != PERCEPT_LAYOUT_NHWC;
}

static bool outputs_are(const struct recognise *r, const struct export *export)
{
    return r->n_outputs == (export->task == SEGMENT ? 2 : 1) && strcmp(r->outputs[0].name, "output0") == 0 &&
           r->outputs[0].dtype == PERCEPT_FLOAT &&
           (r->n_outputs == 1 || (strcmp(r->outputs[1].name, "output1") == 0 && r->outputs[1].dtype == PERCEPT_FLOAT));
}

static void put_points(struct recognise *r, const struct export *export)
{
    if (export->task == POSE)
        recognise_put(r, ", \"kpt_shape\": [%" PRId64 ", %" PRId64 "]", export->n_points, export->point_size);
    if (export->task == SEGMENT)
        recognise_put(r, ", \"prototypes\": \"output1\"");
    if (export->task == OBB)
        recognise_put(r, ", \"obb\": true");
}

static enum recognise_verdict classify(struct recognise *r, const struct export *export)
{
    const struct percept_io *output = &r->outputs[0];
    const char *activation = recognise_activation(output, "softmax");
    if (output->rank != 2 || output->dims[1] != export->n_names)
        return recognise_refuse(r, "output0 is %s, not [?,%d] as names says",
                                recognise_dims(r, output->dims, output->rank), export->n_names);
    if (!activation)
        return recognise_refuse(r, "the scores of output0 went through something else than Softmax");
    if (export->height != export->width)
        return recognise_refuse(r, "a classifier's imgsz is square");
    char more[160];
    snprintf(more, sizeof more,
             ", \"resize\": \"crop\", \"resize_size\": %" PRId64
             ", \"rounding\": \"floor\", \"scale\": 0.00392156862745098",
             export->height);
    recognise_put_image(r, "images", export->height, export->width, "rgb", more);
    recognise_put_labels(r, export->names, export->n_names);
    recognise_put(r, ",\n  \"task\": {\"kind\": \"classify\", \"activation\": \"%s\"}", activation);
    recognise_because(r, "output0 is [?,%d], as many as names", export->n_names);
    recognise_because(r, "its scores %s", *activation == 'n' ? "went through Softmax" : "are logits");
    return RECOGNISE_CLAIMED;
}

/* Coefficients of masks are as many as prototypes, which are a quarter as large as the picture. */
static bool prototypes_are(const struct percept_io *real, struct export *export)
{
    if (real[1].rank != 4 || real[1].dims[2] != export->height / 4 || real[1].dims[3] != export->width / 4)
        return false;
    export->n_extra = real[1].dims[1];
    return export->n_extra >= 1 && export->n_extra <= 1024;
}

enum layout { NO_LAYOUT, RAW, ROWS, RTDETR };

/* The one that fits the dims and what the keys say of it; NO_LAYOUT with a sentence. */
static enum layout find_layout(struct recognise *r, const struct export *export, const struct percept_io *output)
{
    const int64_t rows = 4 + export->n_names + export->n_extra, *dims = output->dims;
    const bool raw = output->rank == 3 && dims[1] == rows && is_cells(dims[2], export->height, export->width, 1);
    const bool done = output->rank == 3 && dims[2] == 6 + export->n_extra;
    const bool detr = output->rank == 3 && export->task == DETECT && dims[2] == rows && dims[1] != rows;
    const bool ends = export->end2end == YES || export->nms == YES,
               goes_on = export->end2end == NO && export->nms == NO;
    enum layout layout = raw ? RAW : done ? ROWS : detr ? RTDETR : NO_LAYOUT;
    if (raw + done + detr > 1)
        layout = export->rtdetr && detr ? RTDETR : ends && done ? ROWS : goes_on && raw ? RAW : NO_LAYOUT;
    const char *is = recognise_dims(r, dims, output->rank);
    if (layout == NO_LAYOUT)
        recognise_refuse(r, "output0 is %s, which %s of the layouts for %d names", is,
                         raw + done + detr ? "fits several" : "fits none", export->n_names);
    else if ((layout == ROWS && goes_on) || (layout == RAW && ends) || (layout == RAW && export->rtdetr)) {
        recognise_refuse(r, "output0 is %s, which is not what end2end, nms and head say", is);
        return NO_LAYOUT;
    }
    return layout;
}

static enum recognise_verdict find_boxes(struct recognise *r, struct export *export)
{
    const struct percept_io *real = recognise_real(r, (int64_t[]){1, export->channels, export->height, export->width});
    if (!real)
        return RECOGNISE_REFUSED;
    if (export->task == SEGMENT && !prototypes_are(real, export))
        return recognise_refuse(r, "output1 is %s, not prototypes of a quarter of imgsz",
                                recognise_dims(r, real[1].dims, real[1].rank));
    if (export->task == POSE)
        export->n_extra = export->n_points * export->point_size;
    if (export->task == OBB)
        export->n_extra = 1;
    const enum layout layout = find_layout(r, export, &real[0]);
    if (layout == NO_LAYOUT)
        return RECOGNISE_REFUSED;
    static const char *const decoders[] = {[RAW] = "yolov8", [ROWS] = "rows", [RTDETR] = "rtdetr"};
    static const char *const what[] = {[RAW] = "a box and scores for each cell",
                                       [ROWS] = "rows that are done",
                                       [RTDETR] = "a box and scores in each row"};
    recognise_because(r, "output0 is %s, %s of %d names", recognise_dims(r, real[0].dims, real[0].rank), what[layout],
                      export->n_names);
    recognise_put_image(r, "images", export->height, export->width, export->channels == 1 ? "gray" : "rgb",
                        layout == RTDETR ? ", \"antialias\": false, \"scale\": 0.00392156862745098" : LETTERBOX);
    recognise_put_labels(r, export->names, export->n_names);
    recognise_put(r, ",\n  \"task\": {\"kind\": \"detect\", \"decoder\": \"%s\", \"output\": \"output0\"",
                  decoders[layout]);
    if (export->task == OBB && layout == ROWS)
        recognise_put(r, ", \"boxes\": \"cxcywh\"");
    put_points(r, export);
    recognise_put(r, "}");
    return RECOGNISE_CLAIMED;
}

enum recognise_verdict recognise_yolo_ultralytics(struct recognise *r)
{
    struct export export = {.task = DETECT};
    bool unclear = false;
    if (!is_by_ultralytics(r))
        return RECOGNISE_OTHER;
    if (recognise_property(r, "model_family", &unclear) || r->description.n_properties_left_out)
        return recognise_refuse(r, "its metadata_props have more than that exporter writes");
    const char *key = read_keys(r, &export);
    if (key)
        return recognise_refuse(r, "its metadata_props have no '%s' that can be read", key);
    if ((export.channels != 1 && export.channels != 3) || !input_is(r, &export))
        return recognise_refuse(
            r, "its input is '%.40s' %s, not 'images' of float32 [?,3,%" PRId64 ",%" PRId64 "] as imgsz says",
            r->n_inputs ? r->inputs->name : "", r->n_inputs ? recognise_dims(r, r->inputs->dims, r->inputs->rank) : "",
            export.height, export.width);
    if (!outputs_are(r, &export))
        return recognise_refuse(r, "its outputs are not those of the task %s", task_words[export.task]);
    recognise_because(r,
                      "metadata_props say author Ultralytics, task %s, imgsz [%" PRId64 ", %" PRId64 "] and %d names",
                      task_words[export.task], export.height, export.width, export.n_names);
    return export.task == CLASSIFY ? classify(r, &export) : find_boxes(r, &export);
}

/* --- YOLOv5, YOLOv9 ----------------------------------------------------------------------------------------------- */

/* Exactly these two. */
static bool has_two_keys(const struct recognise *r)
{
    bool names = false, stride = false;
    for (int i = 0; i < r->description.n_properties; i++) {
        const char *key = r->description.properties[i].key;
        names |= strcmp(key, "names") == 0;
        stride |= strcmp(key, "stride") == 0;
        if (strcmp(key, "names") != 0 && strcmp(key, "stride") != 0)
            return false;
    }
    return names && stride;
}

static enum recognise_verdict claim_classes(struct recognise *r, const struct export *export)
{
    const char *activation = recognise_activation(&r->outputs[0], "softmax");
    if (!activation || export->height != export->width)
        return recognise_refuse(r, activation ? "a classifier's picture is square"
                                              : "its scores went through something else than Softmax");
    recognise_put_image(r, "images", export->height, export->width, "rgb",
                        recognise_levels(r, 1.0 / 255, recognise_imagenet_mean, recognise_imagenet_std,
                                         ", \"resize\": \"crop\", \"antialias\": false"));
    recognise_put_labels(r, export->names, export->n_names);
    recognise_put(r, ",\n  \"task\": {\"kind\": \"classify\", \"activation\": \"%s\"}", activation);
    recognise_because(r, "its only output has a score for each of %d names: a classifier of YOLOv5", export->n_names);
    return RECOGNISE_CLAIMED;
}

static enum recognise_verdict claim_boxes(struct recognise *r, const struct export *export, int output,
                                          const char *decoder, const char *more)
{
    recognise_put_image(r, "images", export->height, export->width, "rgb", LETTERBOX);
    recognise_put_labels(r, export->names, export->n_names);
    recognise_put(r, ",\n  \"task\": {\"kind\": \"detect\", \"decoder\": \"%s\", \"output\": ", decoder);
    writer_string(&r->body, r->outputs[output].name);
    if (export->task == SEGMENT) {
        recognise_put(r, ", \"prototypes\": ");
        writer_string(&r->body, r->outputs[1].name);
    }
    recognise_put(r, "%s}", more);
    recognise_because(r, "output '%.40s' is %s: %s", r->outputs[output].name,
                      recognise_dims(r, r->outputs[output].dims, r->outputs[output].rank),
                      *decoder && decoder[strlen(decoder) - 1] == '5'
                          ? "YOLOv5's boxes, objectness and a score for each name"
                          : "YOLOv9's boxes and a score for each name");
    return RECOGNISE_CLAIMED;
}

static bool is_v5(const struct percept_io *output, const struct export *export)
{
    return output->rank == 3 && output->dims[2] == 5 + export->n_names + export->n_extra &&
           is_cells(output->dims[1], export->height, export->width, 3);
}

static bool is_v9(const struct percept_io *output, const struct export *export)
{
    return output->rank == 3 && output->dims[1] == 4 + export->n_names &&
           is_cells(output->dims[2], export->height, export->width, 1);
}

/* By the dims of all outputs. */
static enum recognise_verdict tell_apart(struct recognise *r, struct export *export)
{
    const struct percept_io *outputs = r->outputs;
    const bool v9 = is_v9(&outputs[r->n_outputs - 1], export) && (r->n_outputs == 1 || is_v9(&outputs[0], export));
    if (r->n_outputs == 1 && outputs->rank == 2 && outputs->dims[1] == export->n_names)
        return claim_classes(r, export);
    if (r->n_outputs == 2 && prototypes_are(outputs, export) && export->n_extra == 32)
        export->task = SEGMENT;
    else
        export->n_extra = 0;
    const bool v5 = (r->n_outputs == 1 || export->task == SEGMENT) && is_v5(&outputs[0], export);
    if (v5 == v9 || r->n_outputs > 2)
        return recognise_refuse(r, "output '%.40s' is %s, which is neither YOLOv5's nor YOLOv9's for %d names",
                                outputs->name, recognise_dims(r, outputs->dims, outputs->rank), export->n_names);
    return v5 ? claim_boxes(r, export, 0, "yolov5", "")
              : claim_boxes(r, export, r->n_outputs - 1, "yolov8", ", \"overlap\": 0.45, \"max_detections\": 1000");
}

enum recognise_verdict recognise_yolo_two_keys(struct recognise *r)
{
    struct export export = {.task = DETECT, .channels = 3};
    bool unclear = false;
    int64_t stride;
    if (!has_two_keys(r))
        return RECOGNISE_OTHER;
    export.names = literal_texts(property(r, "names", &unclear), r->arena, &export.n_names);
    if (!export.names || !export.n_names || export.n_names > CLASSES_MAX || unclear ||
        !literal_whole(property(r, "stride", &unclear), 1, 1024, &stride) || unclear)
        return RECOGNISE_OTHER; /* anybody may call keys so */
    if (r->n_inputs == 1 && r->inputs->rank == 4) {
        export.height = r->inputs->dims[2];
        export.width = r->inputs->dims[3];
    }
    if (export.height < 1 || export.width < 1 || export.height > 16384 || export.width > 16384 ||
        !input_is(r, &export) || r->n_outputs < 1 || r->outputs->dtype != PERCEPT_FLOAT)
        return recognise_refuse(r, "its input is not 'images' of float32 [?,3,height,width] with fixed sides");
    recognise_because(r, "metadata_props have stride and %d names, and nothing else", export.n_names);
    return tell_apart(r, &export);
}
