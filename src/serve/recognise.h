/*
 * recognise.h - a model without a manifest that says itself, or by files beside it, what it is.
 *
 *     struct recognise recognise = {.model = model, .path = "/m/best.onnx", .folder = "/m", .arena = &arena};
 *     if (!recognise_model(&recognise, &err)) ... memory is short ...
 *     if (recognise.by) ... recognise.text is its manifest.json ...
 *
 * A recogniser (recognisers.def) claims a model when everything that it knows of the family's exporters holds: names,
 * keys, element types, dims. What parsed as the family's but fails one test is refused, and no weaker recogniser is
 * asked. A claim is a text like that of a file, which goes through the same checks. One claim is taken; two are none.
 * Where nothing is claimed, a single file of labels with as many lines as there are classes still gives labels.
 *
 * Threads: a loader's.
 */
#ifndef SERVE_RECOGNISE_H
#define SERVE_RECOGNISE_H

#include "serve/literal.h"
#include "serve/manifest.h"
#include "serve/writer.h"

#define RECOGNISE_REASONS_MAX 16
#define RECOGNISE_TEXT_MAX_BYTES ((size_t)1 << 20) /* of a file beside the model */

struct recognise {
    /* given */
    const struct percept_model *model;
    const char *path;   /* of the .onnx */
    const char *folder; /* of what is its own beside it; NULL: nothing is */
    struct arena *arena;

    /* found */
    const char *by;      /* "ultralytics detect"; NULL: nothing is certain */
    const char *because; /* "a; b; c" */
    const char *text;    /* the manifest, also where nothing is certain */
    const char *likely;  /* what it resembles, and why that is not certain; "" */

    /* of the recogniser that is at work */
    const struct percept_io *inputs, *outputs;
    int n_inputs, n_outputs;
    struct percept_description description;
    const char *name;
    int n_reasons;
    const char *reasons[RECOGNISE_REASONS_MAX];
    struct writer body; /* members of the manifest */
    bool short_of_memory;
};

/* False when memory is short. */
bool recognise_model(struct recognise *recognise, struct percept_err *err);

/* `manifest` with what was recognised over it; itself where nothing was, or where that does not fit. The text that is
 * read is `text`; `likely` says why it does not fit. NULL: memory is short. */
const struct manifest *recognise_over(struct recognise *recognise, const struct manifest *manifest,
                                      struct percept_err *err);

/* --- for recognisers ---------------------------------------------------------------------------------------------- */

enum recognise_verdict { RECOGNISE_OTHER, RECOGNISE_REFUSED, RECOGNISE_CLAIMED };

enum recognise_verdict recognise_yolo_ultralytics(struct recognise *r);
enum recognise_verdict recognise_yolo_two_keys(struct recognise *r);
enum recognise_verdict recognise_config_transformers(struct recognise *r);
enum recognise_verdict recognise_config_timm(struct recognise *r);

enum recognise_verdict recognise_names_tf_detection(struct recognise *r);
enum recognise_verdict recognise_names_rf_detr(struct recognise *r);
enum recognise_verdict recognise_names_ultraface(struct recognise *r);
enum recognise_verdict recognise_names_yunet(struct recognise *r);
enum recognise_verdict recognise_names_nanodet(struct recognise *r);

/* Notes a reason for the claim. */
void recognise_because(struct recognise *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Notes the test that failed. Returns REFUSED. */
enum recognise_verdict recognise_refuse(struct recognise *r, const char *format, ...)
    __attribute__((cold, format(printf, 2, 3)));

/* Writes members of the manifest, JSON. */
void recognise_put(struct recognise *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A picture as an input's; `more` are further members, ", \"resize\": ...". */
void recognise_put_image(struct recognise *r, const char *input, int64_t height, int64_t width, const char *channels,
                         const char *more);

void recognise_put_labels(struct recognise *r, const char *const *labels, int n);

/* ", \"scale\": ..., \"mean\": [...], \"std\": [...]" and more in the arena; value = (v * scale - mean) / std. */
const char *recognise_levels(struct recognise *r, double scale, const double mean[3], const double std[3],
                             const char *more);

extern const double recognise_imagenet_mean[3], recognise_imagenet_std[3];

/* A property of the file, NULL where it has none. Where it has it twice and not alike, *unclear is set. */
const char *recognise_property(const struct recognise *r, const char *key, bool *unclear);

/* A JSON file among what is the model's own; NULL: there is none, or it is none. */
const struct literal *recognise_sidecar(struct recognise *r, const char *name);

const struct percept_io *recognise_input(const struct recognise *r, const char *name);
const struct percept_io *recognise_output(const struct recognise *r, const char *name);

/* Is dim `axis` that, or free? */
bool recognise_dim(const struct percept_io *io, int axis, int64_t wanted);

/* The outputs with the dims that they have for one item of these input dims [4]: as the file says, and where it leaves
 * some open, of a run on a grey picture. NULL with a reason in `likely`. */
const struct percept_io *recognise_real(struct recognise *r, const int64_t dims[4]);

/* "[1,84,8400]" in the arena */
const char *recognise_dims(struct recognise *r, const int64_t *dims, int rank);

/* The activation that makes probabilities of an output that should be `wanted` ("softmax", "sigmoid") of logits: "none"
 * where the graph has it already, NULL where it has another. */
const char *recognise_activation(const struct percept_io *io, const char *wanted);

#endif
