/*
 * recognise.c - asks the recognisers, puts their claim together, and what they share. See recognise.h.
 *
 * Files beside the model are untrusted: they are found by fixed names in the model's own folder (and around one that is
 * called onnx), read beneath it and within bounds, and what is in them that is not ours is passed over without a word.
 */
#include "serve/recognise.h"

#include "base/err.h"
#include "base/file.h"
#include "base/utf8.h"
#include "serve/fit.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const double recognise_imagenet_mean[3] = {0.485, 0.456, 0.406}, recognise_imagenet_std[3] = {0.229, 0.224, 0.225};

/* --- what recognisers say ----------------------------------------------------------------------------------------- */

static const char *print(struct recognise *r, const char *format, va_list args)
{
    char text[600];
    vsnprintf(text, sizeof text, format, args);
    size_t n = strlen(text);
    while (n && ((uint8_t)text[n - 1] & 0xc0) == 0x80 && n + 1 >= sizeof text)
        n--; /* no half a character where it was cut */
    const char *own = arena_text(r->arena, text, n);
    r->short_of_memory |= !own;
    return own ? own : "";
}

void recognise_because(struct recognise *r, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (r->n_reasons < RECOGNISE_REASONS_MAX)
        r->reasons[r->n_reasons++] = print(r, format, args);
    va_end(args);
}

static const char *join(struct recognise *r, const char *before, const char *gap, const char *text)
{
    const char *joined = arena_printf(r->arena, "%s%s%s", before, *before ? gap : "", text);
    r->short_of_memory |= !joined;
    return joined ? joined : "";
}

enum recognise_verdict recognise_refuse(struct recognise *r, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const char *why = print(r, format, args);
    va_end(args);
    r->likely = join(r, r->likely, "; ", join(r, r->name, ", but ", why));
    return RECOGNISE_REFUSED;
}

void recognise_put(struct recognise *r, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    writer_put(&r->body, print(r, format, args));
    va_end(args);
}

void recognise_put_image(struct recognise *r, const char *input, int64_t height, int64_t width, const char *channels,
                         const char *more)
{
    writer_put(&r->body, ",\n  \"inputs\": {");
    writer_string(&r->body, input);
    recognise_put(r, ": {\"kind\": \"image\", \"size\": [%" PRId64 ", %" PRId64 "], \"channels\": \"%s\"%s}}", height,
                  width, channels, more);
}

void recognise_put_labels(struct recognise *r, const char *const *labels, int n)
{
    writer_put(&r->body, ",\n  \"labels\": [");
    for (int i = 0; i < n; i++) {
        writer_put(&r->body, i ? ", " : "");
        writer_string(&r->body, labels[i]);
    }
    writer_put(&r->body, "]");
}

const char *recognise_levels(struct recognise *r, double scale, const double mean[3], const double std[3],
                             const char *more)
{
    const char *text =
        arena_printf(r->arena, ", \"scale\": %.15g, \"mean\": [%.9g, %.9g, %.9g], \"std\": [%.9g, %.9g, %.9g]%s", scale,
                     mean[0], mean[1], mean[2], std[0], std[1], std[2], more);
    r->short_of_memory |= !text;
    return text ? text : "";
}

/* --- what recognisers ask ----------------------------------------------------------------------------------------- */

const char *recognise_property(const struct recognise *r, const char *key, bool *unclear)
{
    const char *value = NULL;
    for (int i = 0; i < r->description.n_properties; i++) {
        const struct percept_property *property = &r->description.properties[i];
        if (strcmp(property->key, key) != 0)
            continue;
        if (value && strcmp(value, property->value) != 0)
            *unclear = true;
        value = property->value;
    }
    return value;
}

/* The file of that name in a folder, whole; empty when there is none that can be read. */
static struct bytes read_beside(struct recognise *r, const char *folder, const char *name)
{
    struct bytes text = {0};
    struct file_stamp stamp;
    struct file_place place;
    const char *path = file_join(r->arena, folder, name);
    r->short_of_memory |= !path;
    if (!path || !file_look(path, &stamp) || !stamp.size || stamp.size > RECOGNISE_TEXT_MAX_BYTES ||
        !file_place_open(&place, path, NULL, NULL))
        return text;
    if (!file_read_beneath(&place, name, 0, (size_t)stamp.size, r->arena, &text, NULL, NULL))
        text = (struct bytes){0};
    file_place_close(&place);
    return text;
}

/* In the folder of the file, in the model's, around one that is called onnx. */
static struct bytes find_beside(struct recognise *r, const char *name)
{
    struct bytes text = {0};
    const char *around = r->folder ? file_dirname(r->arena, r->path) : NULL;
    if (!around)
        return text;
    text = read_beside(r, around, name);
    if (!bytes_size(text) && strcmp(around, r->folder) != 0)
        text = read_beside(r, r->folder, name);
    const char *slash = strrchr(around, '/');
    if (!bytes_size(text) && slash && strcmp(slash, "/onnx") == 0)
        text = read_beside(r, file_dirname(r->arena, around), name);
    return text;
}

const struct literal *recognise_sidecar(struct recognise *r, const char *name)
{
    const struct bytes text = find_beside(r, name);
    struct percept_err unheard;
    return bytes_size(text) ? literal_json(text, r->arena, &unheard) : NULL;
}

static const struct percept_io *find_io(const struct percept_io *ios, int n, const char *name)
{
    for (int i = 0; i < n; i++) {
        const size_t length = strlen(name);
        if (strncmp(ios[i].name, name, length) == 0 &&
            (!ios[i].name[length] || strcmp(ios[i].name + length, ":0") == 0))
            return &ios[i];
    }
    return NULL;
}

const struct percept_io *recognise_input(const struct recognise *r, const char *name)
{
    return find_io(r->inputs, r->n_inputs, name);
}

const struct percept_io *recognise_output(const struct recognise *r, const char *name)
{
    return find_io(r->outputs, r->n_outputs, name);
}

bool recognise_dim(const struct percept_io *io, int axis, int64_t wanted)
{
    return axis < io->rank && (io->dims[axis] < 0 || io->dims[axis] == wanted);
}

const char *recognise_dims(struct recognise *r, const int64_t *dims, int rank)
{
    char text[PERCEPT_RANK_MAX * 24] = "[";
    size_t used = 1;
    for (int i = 0; i < rank && used + 24 < sizeof text; i++)
        used += (size_t)(dims[i] < 0 ? snprintf(text + used, 24, "%s?", i ? "," : "")
                                     : snprintf(text + used, 24, "%s%" PRId64, i ? "," : "", dims[i]));
    return join(r, text, "", "]");
}

const char *recognise_activation(const struct percept_io *io, const char *wanted)
{
    const enum percept_activation own =
        strcmp(wanted, "softmax") == 0 ? PERCEPT_ACTIVATION_SOFTMAX : PERCEPT_ACTIVATION_SIGMOID;
    if (io->activation == PERCEPT_ACTIVATION_NONE)
        return wanted;
    return io->activation == own ? "none" : NULL;
}

static bool is_fixed(const struct percept_io *io)
{
    for (int axis = 1; axis < io->rank; axis++)
        if (io->dims[axis] < 0)
            return false;
    return io->rank >= 0;
}

/* The dims of outputs after a run on a grey picture. */
static bool run_once(struct recognise *r, const int64_t dims[4], struct percept_io *real, struct percept_err *err)
{
    struct percept_session *session = percept_session_new(r->model, err);
    bool good = session && percept_resize(session, 0, 4, dims, err) && percept_prepare(session, err);
    float *picture = good ? percept_input(session, 0) : NULL;
    for (int64_t i = 0, n = dims[0] * dims[1] * dims[2] * dims[3]; picture && i < n; i++)
        picture[i] = 0.5f;
    good = picture && percept_run(session, NULL, err);
    for (int i = 0; good && i < r->n_outputs; i++) {
        const struct percept_tensor output = percept_output(session, i);
        real[i].rank = output.rank;
        memcpy(real[i].dims, output.dims, sizeof real[i].dims);
    }
    percept_session_free(session);
    return good;
}

const struct percept_io *recognise_real(struct recognise *r, const int64_t dims[4])
{
    struct percept_err err = {.text = "its input has no memory"};
    bool fixed = true;
    struct percept_io *real = arena_array(r->arena, (size_t)r->n_outputs + 1, sizeof *real);
    r->short_of_memory |= !real;
    for (int i = 0; real && i < r->n_outputs; i++) {
        real[i] = r->outputs[i];
        if (real[i].rank > 0)
            real[i].dims[0] = 1;
        fixed = fixed && is_fixed(&r->outputs[i]);
    }
    if (real && !fixed && (r->n_inputs != 1 || r->inputs->dtype != PERCEPT_FLOAT || !run_once(r, dims, real, &err))) {
        recognise_refuse(r, "a run on a grey picture fails: %s", err.text);
        return NULL;
    }
    return real;
}

/* --- labels alone ------------------------------------------------------------------------------------------------- */

static const char *const label_files[] = {"labels.txt", "classes.txt", "classes.names", "coco.names", "synset.txt"};

static bool is_text(struct bytes text)
{
    for (const uint8_t *at = text.at; at < text.end;) {
        uint32_t code;
        at = utf8_read(at, text.end, &code);
        if (!at || !code)
            return false;
    }
    return true;
}

/* "17 teapot" in line 17 -> "teapot" */
static struct bytes past_number(struct bytes line, int64_t number)
{
    char digits[24];
    const size_t n = (size_t)snprintf(digits, sizeof digits, "%" PRId64, number);
    if (bytes_size(line) > n + 1 && memcmp(line.at, digits, n) == 0 && (line.at[n] == ' ' || line.at[n] == '\t'))
        line.at += n + 1;
    return line;
}

static struct bytes next_line(struct bytes *text)
{
    const uint8_t *end = memchr(text->at, '\n', bytes_size(*text));
    struct bytes line = {text->at, end ? end : text->end};
    text->at = end ? end + 1 : text->end;
    if (line.end > line.at && line.end[-1] == '\r')
        line.end--;
    return line;
}

/* Exactly n lines that say something, numbered or not; NULL. */
static const char *const *lines_of(struct recognise *r, struct bytes text, int64_t n)
{
    int64_t i = 0, n_numbered = 0;
    text = utf8_past_mark(text);
    while (text.end > text.at && (text.end[-1] == '\n' || text.end[-1] == '\r'))
        text.end--;
    const char **lines = is_text(text) && n <= 1000000 ? arena_array(r->arena, (size_t)n + 1, sizeof *lines) : NULL;
    for (struct bytes rest = text; lines && rest.at < rest.end && i < n; i++) {
        const struct bytes line = next_line(&rest);
        n_numbered += past_number(line, i).at != line.at;
        text = rest;
        lines[i] = arena_text(r->arena, line.at, bytes_size(line));
        if (!bytes_size(line) || !lines[i])
            return NULL;
    }
    if (!lines || i != n || bytes_size(text))
        return NULL;
    for (i = 0; i < n && n_numbered == n; i++) {
        const struct bytes line = bytes_of_text(lines[i]);
        lines[i] = (const char *)past_number(line, i).at;
    }
    return lines;
}

static void labels_alone(struct recognise *r)
{
    const struct percept_io *io = r->n_outputs == 1 ? r->outputs : NULL;
    const char *found = NULL;
    struct bytes text = {0};
    int n_files = 0;
    if (!io || io->dtype != PERCEPT_FLOAT || io->rank != 2 || io->dims[1] < 2 || io->n_labels)
        return;
    for (size_t i = 0; i < sizeof label_files / sizeof *label_files; i++) {
        const struct bytes one = find_beside(r, label_files[i]);
        if (!bytes_size(one))
            continue;
        n_files++;
        found = label_files[i];
        text = one;
    }
    const char *const *labels = n_files == 1 ? lines_of(r, text, io->dims[1]) : NULL;
    if (!labels)
        return;
    r->by = "labels";
    r->n_reasons = 0;
    recognise_because(r,
                      "%s is the only file of labels and has %" PRId64 " lines, as many as output '%.80s' has classes",
                      found, io->dims[1], io->name);
    recognise_put_labels(r, labels, (int)io->dims[1]);
}

/* --- what is not certain ------------------------------------------------------------------------------------------ */

/* Shapes that several families share, for whoever looks why a model is served as tensors. */
static void resembles(struct recognise *r)
{
    const struct percept_io *in = r->inputs, *out = r->outputs;
    if (r->n_inputs != 1 || in->rank != 4 || in->dtype != PERCEPT_FLOAT || *r->likely)
        return;
    if (r->n_outputs == 1 && out->rank == 2 && (out->dims[1] == 1000 || out->dims[1] == 1001))
        r->likely = "a classifier of ImageNet, but nothing says how its pictures are prepared";
    else if (strcmp(in->name, "images") == 0 && r->n_outputs == 1 && out->rank == 3 && out->dims[2] > 5)
        r->likely = "YOLOX, YOLOv5, YOLOv6 or YOLOv7, but these share their dims and no metadata_props tell them apart";
    else if (r->n_outputs == 1 && out->rank == 4 && recognise_dim(in, 1, 3) && recognise_dim(out, 1, 3))
        r->likely = "a network that makes pictures of pictures, but nothing says from what range to what range";
}

/* --- all together ------------------------------------------------------------------------------------------------- */

static const struct row {
    const char *name;
    enum recognise_verdict (*recognise)(struct recognise *r);
} rows[] = {
#define R(name, function, what) {name, function},
#include "serve/recognisers.def"
#undef R
};

#define N_ROWS (sizeof rows / sizeof *rows)

static const char *reasons(struct recognise *r)
{
    const char *text = "";
    for (int i = 0; i < r->n_reasons; i++)
        text = join(r, text, "; ", r->reasons[i]);
    return text;
}

static void begin(struct recognise *r, const char *name)
{
    r->name = name;
    r->n_reasons = 0;
    r->body = (struct writer){.arena = r->arena};
}

/* What one of them claims; the number of claims. */
static int ask_all(struct recognise *r, struct writer *body, bool *refused)
{
    int n_claims = 0;
    for (size_t i = 0; i < N_ROWS; i++) {
        begin(r, rows[i].name);
        const enum recognise_verdict verdict = rows[i].recognise(r);
        r->short_of_memory |= r->body.failed;
        *refused |= verdict == RECOGNISE_REFUSED;
        if (verdict != RECOGNISE_CLAIMED)
            continue;
        r->likely = n_claims ? join(r, join(r, r->by, " or ", r->name), ", but", " both claim it") : r->likely;
        n_claims++;
        r->by = r->name;
        r->because = reasons(r);
        *body = r->body;
    }
    return n_claims;
}

/* The text of the manifest around its members. */
static void put_together(struct recognise *r, const struct writer *body)
{
    struct writer text = {.arena = r->arena};
    writer_put(&text, "{\n  \"$comment\": ");
    if (r->by)
        writer_string(&text, join(r, join(r, "recognised as ", "", r->by), ": ", r->because));
    else
        writer_string(&text, *r->likely ? join(r, "not recognised; it looks like ", "", r->likely)
                                        : "not recognised: say what its inputs and outputs mean");
    writer_put(&text, ",\n  \"manifest\": 1");
    writer_bytes(&text, body->at, body->used);
    if (!r->by) {
        writer_put(&text, ",\n  \"inputs\": {");
        for (int i = 0; i < r->n_inputs; i++) {
            writer_put(&text, i ? ", " : "");
            writer_string(&text, r->inputs[i].name);
            writer_put(&text, ": {\"kind\": \"tensor\"}");
        }
        writer_put(&text, "}");
    }
    writer_bytes(&text, "\n}\n", 4);
    r->text = text.failed ? NULL : text.at;
}

bool recognise_model(struct recognise *r, struct percept_err *err)
{
    struct writer body = {.arena = r->arena};
    bool refused = false;
    r->by = r->text = NULL;
    r->because = r->likely = "";
    r->inputs = percept_inputs(r->model, &r->n_inputs);
    r->outputs = percept_outputs(r->model, &r->n_outputs);
    percept_describe(r->model, &r->description);
    const int n_claims = ask_all(r, &body, &refused);
    if (n_claims != 1 || refused) {
        r->by = NULL;
        body = (struct writer){.arena = r->arena};
        begin(r, "labels");
        resembles(r);
        labels_alone(r);
        r->because = reasons(r);
        if (r->by)
            body = r->body;
    }
    put_together(r, &body);
    return (r->text && !r->short_of_memory) || err_set(err, ERR_MEMORY, "out of memory while recognising %s", r->path);
}

const struct manifest *recognise_over(struct recognise *r, const struct manifest *manifest, struct percept_err *err)
{
    struct percept_err why = {0};
    struct manifest *own = arena_alloc(r->arena, sizeof *own);
    if (!own)
        return err_null(err, ERR_MEMORY, "out of memory while recognising %s", r->path);
    *own = *manifest;
    own->likely = r->likely;
    if (!r->by)
        return own;
    if (manifest_read_text(own, r->text, "(recognised)", r->arena, &why) && fit_model(own, r->model, &why)) {
        own->recognised_by = r->by;
        own->recognised_because = r->because;
        return own;
    }
    if (why.code == ERR_MEMORY)
        return *err = why, NULL;
    *own = *manifest;
    own->likely = join(r, join(r, r->by, ", but ", why.text), "", "");
    r->by = NULL;
    return own;
}
