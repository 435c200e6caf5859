/*
 * recognise_names.c - detectors that no metadata_props and no files declare, but whose names, types and dims only one
 * exporter writes: TensorFlow's detection API (models:research/object_detection/exporter.py, through tf2onnx), RF-DETR
 * (roboflow/rf-detr:rfdetr/deploy/export.py), UltraFace (Linzaer/Ultra-Light-Fast-Generic-Face-Detector-1MB), YuNet
 * (ShiqiYu/libfacedetection.train) and NanoDet's first export (RangiLyu/nanodet).
 *
 * The names decide whether a model is asked further; what then fails one test is refused. Where two releases share
 * names and dims and differ in meaning, the graph decides: UltraFace's boxes are decoded where an Exp lies between them
 * and the nearest weights. Of NanoDet the picture is not certain (stretched or letterboxed, by its config), so its
 * input stays a tensor, and boxes are in the input's pixels.
 *
 * Not here: YOLOX, SCRFD and others that share names or dims with networks of other meanings.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "serve/recognise.h"

#define BOXES_MOST_DIM 1000000

static bool has_outputs(const struct recognise *r, const char *const *names, int n)
{
    for (int i = 0; i < n; i++)
        if (!recognise_output(r, names[i]))
            return false;
    return true;
}

static bool is_floats(const struct percept_io *io, int rank)
{
    return io->dtype == PERCEPT_FLOAT && io->rank == rank;
}

static void put_outputs(struct recognise *r, const char *const *roles, const char *const *names, int n)
{
    recognise_put(r, ", \"outputs\": {");
    for (int i = 0; i < n; i++) {
        recognise_put(r, "%s\"%s\": ", i ? ", " : "", roles[i]);
        writer_string(&r->body, recognise_output(r, names[i])->name);
    }
    recognise_put(r, "}");
}

/* --- TensorFlow's detection API ----------------------------------------------------------------------------------- */

static const struct percept_io *tf_input(const struct recognise *r)
{
    static const char *const names[] = {"input_tensor", "image_tensor", "inputs"};
    const struct percept_io *input = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && !input; i++)
        input = recognise_input(r, names[i]);
    return r->n_inputs == 1 ? input : NULL;
}

/* Boxes, scores and classes of the same number, or free. */
static bool tf_lists_fit(const struct recognise *r, const char *const *names)
{
    const struct percept_io *boxes = recognise_output(r, names[0]), *count = recognise_output(r, names[3]);
    if (!is_floats(boxes, 3) || !recognise_dim(boxes, 2, 4) || count->dtype != PERCEPT_FLOAT || count->rank > 1)
        return false;
    for (int i = 1; i < 3; i++) {
        const struct percept_io *io = recognise_output(r, names[i]);
        if (!is_floats(io, 2) || (boxes->dims[1] >= 0 && !recognise_dim(io, 1, boxes->dims[1])))
            return false;
    }
    return true;
}

enum recognise_verdict recognise_names_tf_detection(struct recognise *r)
{
    static const char *const roles[] = {"boxes", "scores", "classes", "count"};
    static const char *const names[] = {"detection_boxes", "detection_scores", "detection_classes", "num_detections"};
    const struct percept_io *input = tf_input(r);
    if (!has_outputs(r, names, 4) || !input)
        return RECOGNISE_OTHER;
    if (input->dtype != PERCEPT_UINT8 || input->rank != 4 || !recognise_dim(input, 3, 3))
        return recognise_refuse(r, "its input '%.40s' is not uint8 [?,height,width,3]", input->name);
    if (input->dims[1] >= 0 || input->dims[2] >= 0)
        return recognise_refuse(r, "its input '%.40s' has fixed sides: nothing says how pictures are brought to them",
                                input->name);
    if (!tf_lists_fit(r, names))
        return recognise_refuse(r, "its outputs are not float32 boxes [?,n,4], scores and classes [?,n] and a count");
    writer_put(&r->body, ",\n  \"inputs\": {");
    writer_string(&r->body, input->name);
    recognise_put(r, ": {\"kind\": \"image\", \"size\": \"picture\", \"channels\": \"rgb\", \"layout\": \"NHWC\"}}");
    recognise_put(r, ",\n  \"task\": {\"kind\": \"detect\", \"decoder\": \"tf_detection\"");
    put_outputs(r, roles, names, 4);
    recognise_put(r, "}");
    recognise_because(r, "it has the outputs of TensorFlow's detection API, and takes pictures of uint8 as they are");
    return RECOGNISE_CLAIMED;
}

/* --- RF-DETR ------------------------------------------------------------------------------------------------------ */

enum recognise_verdict recognise_names_rf_detr(struct recognise *r)
{
    static const char *const names[] = {"dets", "labels"};
    const struct percept_io *input = recognise_input(r, "input");
    if (!has_outputs(r, names, 2) || !input || r->n_inputs != 1)
        return RECOGNISE_OTHER;
    const struct percept_io *dets = recognise_output(r, "dets"), *labels = recognise_output(r, "labels");
    if (labels->dtype != PERCEPT_FLOAT)
        return RECOGNISE_OTHER; /* MMDetection's, whose labels are whole numbers */
    if (!is_floats(input, 4) || !recognise_dim(input, 1, 3) || input->dims[2] < 1 || input->dims[2] != input->dims[3])
        return recognise_refuse(r, "its input is not float32 [?,3,side,side]");
    if (r->n_outputs != 2)
        return recognise_refuse(r, "it has %d outputs; boxes and scores alone are served", r->n_outputs);
    if (!is_floats(dets, 3) || dets->dims[2] != 4 || dets->dims[1] < 1)
        return recognise_refuse(r, "dets is not float32 [?,queries,4]");
    if (labels->rank != 3 || labels->dims[1] != dets->dims[1] || labels->dims[2] < 1)
        return recognise_refuse(r, "labels is not float32 [?,queries,classes]");
    if (labels->activation != PERCEPT_ACTIVATION_NONE)
        return recognise_refuse(r, "labels went through an activation; its authors' are logits");
    recognise_put_image(r, "input", input->dims[2], input->dims[3], "rgb",
                        recognise_levels(r, 1.0 / 255, recognise_imagenet_mean, recognise_imagenet_std, ""));
    recognise_put(r, ",\n  \"task\": {\"kind\": \"detect\", \"decoder\": \"rf_detr\"}");
    recognise_because(r, "dets and labels are RF-DETR's boxes and logits of %" PRId64 " classes", labels->dims[2]);
    return RECOGNISE_CLAIMED;
}

/* --- UltraFace ---------------------------------------------------------------------------------------------------- */

/* Boxes of both sizes that it was published for. */
static int64_t ultraface_boxes(int64_t height, int64_t width)
{
    return height == 240 && width == 320 ? 4420 : height == 480 && width == 640 ? 17640 : -1;
}

enum recognise_verdict recognise_names_ultraface(struct recognise *r)
{
    static const char *const names[] = {"scores", "boxes"};
    static const double mean[3] = {127, 127, 127}, std[3] = {128, 128, 128};
    const struct percept_io *input = recognise_input(r, "input");
    if (r->n_inputs != 1 || r->n_outputs != 2 || !input || !has_outputs(r, names, 2) || !is_floats(input, 4))
        return RECOGNISE_OTHER;
    const struct percept_io *scores = recognise_output(r, "scores"), *boxes = recognise_output(r, "boxes");
    const int64_t n = ultraface_boxes(input->dims[2], input->dims[3]);
    if (n < 0 || !is_floats(scores, 3) || !is_floats(boxes, 3) || scores->dims[1] != n)
        return RECOGNISE_OTHER; /* many detectors have boxes and scores */
    if (input->dims[1] != 3)
        return recognise_refuse(r, "its input has %" PRId64 " channels, not 3", input->dims[1]);
    if (scores->dims[2] != 2)
        return recognise_refuse(r, "scores has %" PRId64 " columns, not 2", scores->dims[2]);
    if (boxes->dims[1] != n || boxes->dims[2] != 4)
        return recognise_refuse(r, "boxes is not [?,%" PRId64 ",4]", n);
    if (scores->activation != PERCEPT_ACTIVATION_SOFTMAX)
        return recognise_refuse(r, "scores went through no Softmax");
    if (!boxes->has_exp)
        return recognise_refuse(r, "boxes are not decoded: no Exp lies before them");
    recognise_put_image(r, "input", input->dims[2], input->dims[3], "rgb", recognise_levels(r, 1, mean, std, ""));
    recognise_put_labels(r, (const char *const[]){"face"}, 1);
    recognise_put(r, ",\n  \"task\": {\"kind\": \"detect\", \"decoder\": \"ultraface\"}");
    recognise_because(r, "scores and boxes are UltraFace's %" PRId64 ", softmaxed and decoded", n);
    return RECOGNISE_CLAIMED;
}

/* --- YuNet -------------------------------------------------------------------------------------------------------- */

#define YUNET_SIDE_H 256 /* where its sides are free: a photo's shape */
#define YUNET_SIDE_W 320

/* Free, or a multiple of the largest stride. */
static int64_t yunet_side(int64_t dim, int64_t otherwise)
{
    return dim < 0 ? otherwise : dim > 0 && dim % 32 == 0 ? dim : -1;
}

static bool yunet_output_fits(const struct recognise *r, const char *kind, int stride, int64_t columns, bool sigmoid)
{
    char name[16];
    snprintf(name, sizeof name, "%s_%d", kind, stride);
    const struct percept_io *io = recognise_output(r, name);
    return is_floats(io, 3) && io->dims[2] == columns && (!sigmoid || io->activation == PERCEPT_ACTIVATION_SIGMOID);
}

enum recognise_verdict recognise_names_yunet(struct recognise *r)
{
    static const char *const names[] = {"cls_8",  "cls_16",  "cls_32",  "obj_8", "obj_16", "obj_32",
                                        "bbox_8", "bbox_16", "bbox_32", "kps_8", "kps_16", "kps_32"};
    static const struct {
        const char *kind;
        int64_t columns;
        bool sigmoid;
    } kinds[] = {{"cls", 1, true}, {"obj", 1, true}, {"bbox", 4, false}, {"kps", 10, false}};
    const struct percept_io *input = recognise_input(r, "input");
    if (r->n_inputs != 1 || r->n_outputs != 12 || !input || !has_outputs(r, names, 12))
        return RECOGNISE_OTHER;
    if (!is_floats(input, 4) || !recognise_dim(input, 1, 3))
        return recognise_refuse(r, "its input is not float32 [?,3,height,width]");
    const int64_t height = yunet_side(input->dims[2], YUNET_SIDE_H), width = yunet_side(input->dims[3], YUNET_SIDE_W);
    if (height < 0 || width < 0)
        return recognise_refuse(r, "its sides are no multiples of 32");
    for (int i = 0; i < 4; i++)
        for (int stride = 8; stride <= 32; stride *= 2)
            if (!yunet_output_fits(r, kinds[i].kind, stride, kinds[i].columns, kinds[i].sigmoid))
                return recognise_refuse(r, "%s_%d is not float32 [?,cells,%" PRId64 "]%s", kinds[i].kind, stride,
                                        kinds[i].columns, kinds[i].sigmoid ? " behind a Sigmoid" : "");
    recognise_put_image(r, "input", height, width, "bgr", "");
    recognise_put_labels(r, (const char *const[]){"face"}, 1);
    recognise_put(r, ",\n  \"task\": {\"kind\": \"detect\", \"decoder\": \"yunet\"}");
    recognise_because(r, "its twelve outputs are YuNet's");
    return RECOGNISE_CLAIMED;
}

/* --- NanoDet ------------------------------------------------------------------------------------------------------ */

#define NANODET_BINS 8 /* of each edge's distribution */

static const char *nanodet_fault(struct recognise *r, const struct percept_io *input)
{
    int64_t classes = -1;
    for (int stride = 8; stride <= 32; stride *= 2) {
        char name[24];
        snprintf(name, sizeof name, "cls_pred_stride_%d", stride);
        const struct percept_io *scores = recognise_output(r, name);
        snprintf(name, sizeof name, "dis_pred_stride_%d", stride);
        const struct percept_io *edges = recognise_output(r, name);
        const int64_t cells = (input->dims[2] / stride) * (input->dims[3] / stride);
        if (!is_floats(scores, 3) || scores->dims[1] != cells || scores->dims[2] < 1 ||
            (classes >= 0 && scores->dims[2] != classes))
            return "its scores are not float32 [?,cells,classes]";
        if (!is_floats(edges, 3) || edges->dims[1] != cells || edges->dims[2] != 4 * NANODET_BINS)
            return "its distances are not float32 [?,cells,32]";
        if (scores->activation != PERCEPT_ACTIVATION_SIGMOID)
            return "its scores went through no Sigmoid";
        classes = scores->dims[2];
    }
    return NULL;
}

enum recognise_verdict recognise_names_nanodet(struct recognise *r)
{
    static const char *const names[] = {"cls_pred_stride_8", "cls_pred_stride_16", "cls_pred_stride_32",
                                        "dis_pred_stride_8", "dis_pred_stride_16", "dis_pred_stride_32"};
    if (r->n_inputs != 1 || r->n_outputs != 6 || !has_outputs(r, names, 6))
        return RECOGNISE_OTHER;
    const struct percept_io *input = r->inputs;
    if (!is_floats(input, 4) || !recognise_dim(input, 1, 3) || input->dims[2] < 32 || input->dims[3] < 32 ||
        input->dims[2] % 32 || input->dims[3] % 32 || input->dims[2] > BOXES_MOST_DIM ||
        input->dims[3] > BOXES_MOST_DIM)
        return recognise_refuse(r, "its input is not float32 [?,3,height,width] with fixed multiples of 32");
    const char *fault = nanodet_fault(r, input);
    if (fault)
        return recognise_refuse(r, "%s", fault);
    recognise_put(r, ",\n  \"task\": {\"kind\": \"detect\", \"decoder\": \"nanodet\"}");
    recognise_because(r, "its outputs are NanoDet's three grids of scores and distances; how pictures are prepared is "
                         "not said, so tensors are taken");
    return RECOGNISE_CLAIMED;
}
