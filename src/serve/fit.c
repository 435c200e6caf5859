/*
 * fit.c - does a manifest speak of this model? Asked at load, so that a mistake is found out there
 * and not by the first request. Names must exist, element types and dimensions must be such as the
 * description makes them. What cannot be known yet (free dimensions, unknown ranks) passes; the
 * shape check of a request will see it. Pure: reads both, changes nothing.
 *
 * A declaration (config.pbtxt) must say what the network says: of each input, of types, of every fixed dimension; free
 * ones it may fix. What the manifest makes of an input is judged by the declared dims, so the two cannot contradict
 * each other either.
 */
#include "serve/fit.h"

#include "base/err.h"
#include "serve/constant.h"
#include "serve/decoder.h"
#include "serve/floats.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* What is compared with the manifest: a network's ends, or a chain's. */
struct network {
    const struct percept_io *inputs, *outputs;
    int n_inputs, n_outputs;
    bool batch_free;
    const char *batch_reason; /* why not */
};

static const struct percept_io *inputs_of(const struct network *network, int *n)
{
    *n = network->n_inputs;
    return network->inputs;
}

static const struct percept_io *outputs_of(const struct network *network, int *n)
{
    *n = network->n_outputs;
    return network->outputs;
}

static const struct percept_io *find_io(const struct percept_io *ios, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (strcmp(ios[i].name, name) == 0)
            return &ios[i];
    return NULL;
}

/* "a, b, c", as many as there is room for. */
struct list {
    char text[200];
};

static struct list list_of(const struct percept_io *ios, int n)
{
    struct list list = {""};
    size_t used = 0;
    for (int i = 0; i < n && used + strlen(ios[i].name) + 3 < sizeof list.text; i++)
        used += (size_t)snprintf(list.text + used, sizeof list.text - used, "%s%s", i ? ", " : "", ios[i].name);
    return list;
}

static bool no_such(const char *what, const char *name, const struct percept_io *ios, int n, struct percept_err *err)
{
    return err_set(err, ERR_CONFIG, "the model has no %s '%s'; it has %s", what, name, list_of(ios, n).text);
}

static bool dim_is(int64_t dim, int64_t wanted)
{
    return dim < 0 || wanted <= 0 || dim == wanted;
}

/* --- what is declared --------------------------------------------------------------------------------------------- */

static const struct manifest_io *declared_of(const struct manifest_io *list, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (strcmp(list[i].name, name) == 0)
            return &list[i];
    return NULL;
}

/* The network's, with what is declared of it (or NULL). A scalar may be any tensor, and is then what is declared. */
static struct percept_io narrowed(const struct manifest *manifest, const struct percept_io *io,
                                  const struct manifest_io *declared)
{
    struct percept_io own = *io;
    if (manifest->max_batch_size == 0)
        own.batch_axis = -1;
    else if (manifest->declared_batch)
        own.batch_axis = 0; /* that of each request, whether others may be joined to it or not */
    if (!declared)
        return own;
    if (declared->labels) {
        own.n_labels = declared->n_labels;
        own.labels = declared->labels;
    }
    for (int i = 0; i < declared->rank; i++)
        own.dims[i] = io->rank > 0 && io->dims[i] >= 0 ? io->dims[i] : declared->dims[i];
    own.rank = declared->rank >= 0 ? declared->rank : own.rank;
    return own;
}

static struct percept_io narrowed_input(const struct manifest *manifest, const struct percept_io *io)
{
    return narrowed(manifest, io, declared_of(manifest->declared_inputs, manifest->n_declared_inputs, io->name));
}

static struct percept_io narrowed_output(const struct manifest *manifest, const struct percept_io *io)
{
    return narrowed(manifest, io, declared_of(manifest->declared_outputs, manifest->n_declared_outputs, io->name));
}

static void print_dims(char *text, size_t n_bytes, const int64_t *dims, int rank)
{
    size_t used = (size_t)snprintf(text, n_bytes, "[");
    for (int i = 0; i < rank && used + 24 < n_bytes; i++)
        used += (size_t)snprintf(text + used, n_bytes - used, "%s%" PRId64, i ? "," : "", dims[i]);
    snprintf(text + used, n_bytes - used, "]");
}

static bool refuse_dims(const struct manifest *manifest, const char *what, const struct percept_io *io,
                        const struct manifest_io *declared, struct percept_err *err)
{
    char ours[200], theirs[200];
    print_dims(ours, sizeof ours, io->dims, io->rank);
    print_dims(theirs, sizeof theirs, declared->dims, declared->rank);
    return err_set(err, ERR_CONFIG, "%s '%s': the model expects %d dimensions (shape %s), declared are %d (shape %s%s)",
                   what, io->name, io->rank, ours, declared->rank, theirs,
                   manifest->declared_batch ? ", the first for the batch because max_batch_size is above 0" : "");
}

static bool io_is_as_declared(const struct manifest *manifest, const char *what, const struct percept_io *io,
                              const struct manifest_io *declared, struct percept_err *err)
{
    if (declared->dtype != PERCEPT_UNDEFINED && declared->dtype != io->dtype)
        return err_set(err, ERR_CONFIG, "%s '%s': data_type is %s, but the model's is %s", what, io->name,
                       percept_dtype_name(declared->dtype), percept_dtype_name(io->dtype));
    if (io->rank <= 0 || declared->rank < 0)
        return true;
    bool same = io->rank == declared->rank;
    for (int i = 0; i < io->rank && same; i++)
        same = io->dims[i] < 0 || io->dims[i] == declared->dims[i];
    return same || refuse_dims(manifest, what, io, declared, err);
}

static bool ios_are_as_declared(const struct manifest *manifest, const char *what, const struct percept_io *ios, int n,
                                const struct manifest_io *declared, int n_declared, struct percept_err *err)
{
    for (int i = 0; i < n_declared; i++) {
        const struct percept_io *io = find_io(ios, n, declared[i].name);
        if (!io)
            return no_such(what, declared[i].name, ios, n, err);
        if (!io_is_as_declared(manifest, what, io, &declared[i], err))
            return false;
    }
    return true;
}

static bool warmup_fits(const struct manifest *manifest, const struct percept_io *ios, int n, struct percept_err *err)
{
    for (int i = 0; i < manifest->n_warmup_requests; i++) {
        const struct manifest_warmup *warmup = &manifest->warmup_requests[i];
        for (int k = 0; k < warmup->n_inputs; k++) {
            const struct manifest_warmup_input *input = &warmup->inputs[k];
            const struct percept_io *io = find_io(ios, n, input->name);
            if (!io)
                return no_such("input", input->name, ios, n, err) || err_prefix(err, "model_warmup: ");
            if (input->dtype != PERCEPT_UNDEFINED && input->dtype != io->dtype)
                return err_set(err, ERR_CONFIG, "model_warmup: input '%s': data_type is %s, but the model's is %s",
                               io->name, percept_dtype_name(input->dtype), percept_dtype_name(io->dtype));
        }
    }
    return true;
}

/* A state or a control of a sequence, which clients do not send. */
static bool is_kept(const struct manifest *manifest, const char *input)
{
    const struct manifest_sequence *sequence = &manifest->sequence;
    for (int i = 0; i < sequence->n_states; i++)
        if (strcmp(sequence->states[i].input, input) == 0)
            return true;
    for (int i = 0; i < sequence->n_controls; i++)
        if (strcmp(sequence->controls[i].input, input) == 0)
            return true;
    return false;
}

/* Outputs may be left out, since clients can name those that they want. */
static bool is_as_declared(const struct manifest *manifest, const struct network *network, struct percept_err *err)
{
    int n_in, n_out;
    const struct percept_io *in = inputs_of(network, &n_in), *out = outputs_of(network, &n_out);
    if (!ios_are_as_declared(manifest, "input", in, n_in, manifest->declared_inputs, manifest->n_declared_inputs,
                             err) ||
        !ios_are_as_declared(manifest, "output", out, n_out, manifest->declared_outputs, manifest->n_declared_outputs,
                             err))
        return false;
    for (int i = 0; i < n_in && manifest->n_declared_inputs; i++)
        if (!is_kept(manifest, in[i].name) &&
            !declared_of(manifest->declared_inputs, manifest->n_declared_inputs, in[i].name))
            return err_set(err, ERR_CONFIG, "the model has %d inputs, %d are declared: '%s' is missing", n_in,
                           manifest->n_declared_inputs, in[i].name);
    return warmup_fits(manifest, in, n_in, err);
}

static const struct percept_io *narrowed_all(const struct manifest *manifest, const struct percept_io *ios, int n,
                                             struct percept_io (*one)(const struct manifest *,
                                                                      const struct percept_io *),
                                             struct arena *arena, struct percept_err *err)
{
    struct percept_io *own = arena_array(arena, (size_t)n + 1, sizeof *own);
    if (!own) {
        err_memory(err, "a list of inputs", (size_t)n * sizeof *own);
        return NULL;
    }
    for (int i = 0; i < n; i++)
        own[i] = one(manifest, &ios[i]);
    return own;
}

bool fit_declare(const struct manifest *manifest, const struct percept_model *model, struct arena *arena,
                 const struct percept_io **inputs, const struct percept_io **outputs, struct percept_err *err)
{
    int n_in, n_out;
    const struct percept_io *in = percept_inputs(model, &n_in), *out = percept_outputs(model, &n_out);
    if (!manifest->config_path)
        return true;
    *inputs = narrowed_all(manifest, in, n_in, narrowed_input, arena, err);
    *outputs = narrowed_all(manifest, out, n_out, narrowed_output, arena, err);
    return *inputs && *outputs;
}

/* --- what the manifest makes of it -------------------------------------------------------------------------------- */

/* The dimensions of one picture or text, behind the batch where there is one. False when this input
 * cannot take a single item. */
static bool item_dims(const struct percept_io *io, int rank, bool batching, const int64_t **dims)
{
    *dims = io->dims + (io->rank > rank);
    return io->rank == rank ? !batching : io->rank == rank + 1 && dim_is(io->dims[0], 1);
}

/* Levels go into bytes as they are: there is no room for fractions. */
static bool levels_fit(const struct manifest_input *input, struct percept_err *err)
{
    const struct manifest_image *image = &input->image;
    const char *key = image->scale != 1 ? "scale" : NULL;
    for (int c = 0; c < 3 && !key; c++)
        key = image->mean[c] != 0 ? "mean" : image->std[c] != 1 ? "std" : NULL;
    return !key || err_set(err, ERR_CONFIG,
                           "inputs.%s.%s: the input takes uint8, which holds the levels 0 to 255 "
                           "as they are; leave it out",
                           input->name, key);
}

static bool refuse_picture(const struct manifest_image *image, const struct percept_io *io, int64_t channels,
                           struct percept_err *err)
{
    static const char *const layouts[] = {"NCHW", "NHWC", "flat"};
    char dims[200] = "", size[40] = "any size";
    for (int i = 0, used = 0; i < io->rank && used < (int)sizeof dims - 24; i++)
        used += io->dims[i] < 0 ? snprintf(dims + used, 24, "%s?", i ? "," : "")
                                : snprintf(dims + used, 24, "%s%" PRId64, i ? "," : "", io->dims[i]);
    if (image->width > 0)
        snprintf(size, sizeof size, "%d x %d", image->height, image->width);
    else if (image->height > 0)
        snprintf(size, sizeof size, "%d x what its shape asks for", image->height);
    else if (image->multiple_of > 1)
        snprintf(size, sizeof size, "any multiples of %d", image->multiple_of);
    return err_set(err, ERR_CONFIG,
                   "input '%s' has the dimensions [%s]; they do not fit a picture of %s with %d "
                   "channel%s in the layout %s",
                   io->name, dims, size, (int)channels, channels > 1 ? "s" : "", layouts[image->layout]);
}

/* Can the picture's side be this one of the network's? */
static bool side_fits(int64_t dim, int side, const struct manifest_image *image, bool by_aspect)
{
    if (dim < 0 || side > 0)
        return dim_is(dim, side);
    return dim % image->multiple_of == 0 && (!by_aspect || (image->min_width == dim && image->max_width == dim));
}

static bool sides_fit(int64_t height, int64_t width, const struct manifest_image *image)
{
    return side_fits(height, image->height, image, false) &&
           side_fits(width, image->width, image, image->height > 0 && !image->width);
}

static bool image_fits(const struct manifest_input *input, const struct percept_io *io, bool batching,
                       struct percept_err *err)
{
    const struct manifest_image *image = &input->image;
    int64_t channels = manifest_channels(image);
    if (io->dtype != PERCEPT_FLOAT && io->dtype != PERCEPT_UINT8)
        return err_set(err, ERR_CONFIG,
                       "input '%s' is described as a picture but takes %s; float32 or uint8 can hold one", io->name,
                       percept_dtype_name(io->dtype));
    if (io->dtype == PERCEPT_UINT8 && !levels_fit(input, err))
        return false;
    if (io->rank < 0)
        return true;
    const int64_t *dims;
    bool fits = item_dims(io, image->layout == IMAGE_FLAT ? 1 : 3, batching, &dims);
    if (image->layout == IMAGE_FLAT)
        fits = fits && dim_is(dims[0], channels * image->width * image->height);
    else if (image->layout == IMAGE_NCHW)
        fits = fits && dim_is(dims[0], channels) && sides_fit(dims[1], dims[2], image);
    else
        fits = fits && dim_is(dims[2], channels) && sides_fit(dims[0], dims[1], image);
    return fits || refuse_picture(image, io, channels, err);
}

static bool text_fits(const struct manifest_input *input, const struct percept_io *io, bool batching,
                      struct percept_err *err)
{
    const struct manifest_text *text = &input->text;
    const int64_t *dims;
    if (io->dtype == PERCEPT_UINT8 && (text->n_tokens || text->model))
        return err_set(err, ERR_CONFIG, "input '%s' takes uint8: that is for bytes without a vocabulary", io->name);
    if (io->dtype != PERCEPT_INT64 && io->dtype != PERCEPT_INT32 && io->dtype != PERCEPT_UINT8)
        return err_set(err, ERR_CONFIG, "input '%s' is described as a text but takes %s; token ids are int64 or int32",
                       io->name, percept_dtype_name(io->dtype));
    if (io->rank < 0)
        return true;
    if (!item_dims(io, 1, batching, &dims))
        return err_set(err, ERR_CONFIG,
                       "input '%s' is described as a text: it needs the dimensions [batch, length], "
                       "or [length] where the model has no batch; it has %d",
                       io->name, io->rank);
    if (dims[0] < 0)
        return true;
    if (dims[0] != text->max_length)
        return err_set(err, ERR_CONFIG, "input '%s' takes %" PRId64 " tokens; max_length is %" PRId64, io->name,
                       dims[0], text->max_length);
    return text->pad >= 0 ||
           err_set(err, ERR_CONFIG, "input '%s' takes exactly %" PRId64 " tokens: 'pad' is needed", io->name, dims[0]);
}

static bool refuse_sound(const struct manifest_audio *audio, const struct percept_io *io, int64_t time, int64_t width,
                         struct percept_err *err)
{
    char dims[200], steps[40] = "any number of", features[40] = "";
    print_dims(dims, sizeof dims, io->dims, io->rank);
    if (time > 0)
        snprintf(steps, sizeof steps, "%" PRId64, time);
    if (width > 0)
        snprintf(features, sizeof features, " of %" PRId64 " features", width);
    return err_set(err, ERR_CONFIG, "input '%s' has the dimensions %s; they do not fit %s %s%s in the layout %s%s",
                   io->name, dims, steps, width > 0 ? "frames" : "samples", features,
                   manifest_audio_letters(audio->layout),
                   time > 0 ? "" : ": a network of fixed length needs a 'window'");
}

static bool audio_fits(const struct manifest_input *input, const struct percept_io *io, bool batching,
                       struct percept_err *err)
{
    const struct manifest_audio *audio = &input->audio;
    const bool features = audio->features.kind != FEATURES_NONE;
    const char *letters = manifest_audio_letters(audio->layout) + 1; /* behind the batch */
    int64_t time = audio->window ? audio->window + audio->context : -1, width = -1;
    if (io->dtype != PERCEPT_FLOAT)
        return err_set(err, ERR_CONFIG, "input '%s' is described as a sound but takes %s; float32 can hold one",
                       io->name, percept_dtype_name(io->dtype));
    if (io->rank < 0)
        return true;
    if (features) {
        width = features_width(&audio->features);
        time = time < 0 ? -1 : features_frames(&audio->features, time);
    }
    const int64_t *dims;
    bool fits = item_dims(io, (int)strlen(letters), batching, &dims);
    for (int i = 0; fits && letters[i]; i++)
        fits = letters[i] == 'T' ? dims[i] < 0 || dims[i] == time : dim_is(dims[i], letters[i] == 'F' ? width : 1);
    return fits || refuse_sound(audio, io, time, width, err);
}

/* What goes with tokens needs a text that they are of. */
static bool has_its_text(const struct manifest *manifest, const struct manifest_input *input, struct percept_err *err)
{
    int n_texts = 0;
    for (int i = 0; i < manifest->n_inputs; i++)
        n_texts += manifest->inputs[i].kind == MANIFEST_TEXT;
    return !input->constant.tokens || n_texts == 1 ||
           err_set(err, ERR_CONFIG, "inputs.%s.text: it goes with the tokens of one input of kind text; there are %d",
                   input->name, n_texts);
}

static bool inputs_fit(const struct manifest *manifest, const struct network *network, struct percept_err *err)
{
    int n;
    const struct percept_io *ios = inputs_of(network, &n);
    for (int i = 0; i < manifest->n_inputs; i++) {
        const struct manifest_input *input = &manifest->inputs[i];
        const struct percept_io *io = find_io(ios, n, input->name);
        if (!io)
            return no_such("input", input->name, ios, n, err);
        const struct percept_io own = narrowed_input(manifest, io);
        const bool batching = network->batch_free && own.batch_axis == 0;
        if (input->kind == MANIFEST_IMAGE && !image_fits(input, &own, batching, err))
            return false;
        const bool goes_on = manifest->generate.given && manifest->generate.input &&
                             strcmp(manifest->generate.input, input->name) == 0; /* token by token, if need be */
        if (input->kind == MANIFEST_TEXT && !goes_on && !text_fits(input, &own, batching, err))
            return false;
        if (input->kind == MANIFEST_AUDIO && !audio_fits(input, &own, batching, err))
            return false;
        if (input->kind == MANIFEST_CONSTANT &&
            (!constant_fits(input, &own, batching, err) || !has_its_text(manifest, input, err)))
            return false;
    }
    return true;
}

/* The elements of one item, which are its scores; -1 when some dimension is free. */
static int64_t classes_of(const struct percept_io *io, bool batching)
{
    int64_t n = io->rank < 0 ? -1 : 1;
    for (int axis = batching; axis < io->rank && n >= 0; axis++)
        if (io->dims[axis] < 0 || __builtin_mul_overflow(n, io->dims[axis], &n))
            n = -1;
    return n;
}

/* The output that the task reads, in float32; `what` it holds. */
static const struct percept_io *task_output(const struct manifest *manifest, const struct network *network,
                                            const char *what, struct percept_err *err)
{
    int n;
    const struct percept_io *ios = outputs_of(network, &n);
    if (!manifest->task_output && n != 1)
        return err_null(err, ERR_CONFIG, "task.output is missing: which of %s holds the %s?", list_of(ios, n).text,
                        what);
    const struct percept_io *io = manifest->task_output ? find_io(ios, n, manifest->task_output) : ios;
    if (!io) {
        no_such("output", manifest->task_output, ios, n, err);
        return NULL;
    }
    if (io->dtype != PERCEPT_FLOAT)
        return err_null(err, ERR_CONFIG, "output '%s' is %s; the %s are read as float32", io->name,
                        percept_dtype_name(io->dtype), what);
    return io;
}

/* A letter for a space between words that have none is of no use; the blank may have no label. */
static bool fit_ctc(const struct manifest *manifest, const struct network *network, struct percept_err *err)
{
    const struct percept_io *io = task_output(manifest, network, "classes", err);
    if (!io)
        return false;
    if (!manifest->n_labels || manifest->labels_have_gaps)
        return err_set(err, ERR_CONFIG, "labels are missing: what does each class write?");
    if (io->rank < 0)
        return true;
    if (io->rank != 3 && io->rank != 2)
        return err_set(err, ERR_CONFIG, "output '%s' has %d dimensions; the task ctc reads 3, or 2 of one item",
                       io->name, io->rank);
    const int64_t classes = io->dims[manifest->ctc_layout == CTC_NCT ? io->rank - 2 : io->rank - 1];
    if (classes >= 0 && manifest->n_labels != classes && manifest->n_labels != classes - 1)
        return err_set(err, ERR_CONFIG,
                       "output '%s' has %" PRId64
                       " classes, but there are %d labels; one for each is needed, or for each "
                       "but the blank",
                       io->name, classes, manifest->n_labels);
    return classes < 0 || manifest->blank < classes ||
           err_set(err, ERR_CONFIG, "blank is %d, but output '%s' has %" PRId64 " classes", manifest->blank, io->name,
                   classes);
}

/* A token must be found in the text again, so it is a byte or a character. */
static bool fit_text(const struct manifest *manifest, const struct network *network, struct percept_err *err)
{
    const struct percept_io *io = task_output(manifest, network, "scores of tokens", err);
    if (!io)
        return false;
    if (manifest->labels_have_gaps)
        return err_set(err, ERR_CONFIG, "labels have gaps; the task text needs one for each column");
    if (manifest->n_inputs != 1 || manifest->inputs[0].kind != MANIFEST_TEXT ||
        manifest->inputs[0].text.tokenizer == TOKENIZER_WORDS || manifest->inputs[0].text.model ||
        manifest->inputs[0].text.normalize != UNICODE_AS_IS)
        return err_set(err, ERR_CONFIG,
                       "the task text needs one input, of kind text and cut into bytes or characters as it is");
    const int64_t columns = io->rank > 0 ? io->dims[io->rank - 1] : -1;
    if (io->rank >= 0 && io->rank != 3 && io->rank != 2)
        return err_set(err, ERR_CONFIG, "output '%s' has %d dimensions; the task text reads [N, length, columns]",
                       io->name, io->rank);
    if (columns >= 0 && manifest->splits >= columns)
        return err_set(err, ERR_CONFIG, "splits is %d, but output '%s' has %" PRId64 " columns", manifest->splits,
                       io->name, columns);
    return manifest->splits >= 0 || columns < 0 || !manifest->n_labels || columns == manifest->n_labels ||
           err_set(err, ERR_CONFIG, "output '%s' has %" PRId64 " columns, but there are %d labels", io->name, columns,
                   manifest->n_labels);
}

/* [N, samples], with axes of 1. */
static bool fit_audio(const struct manifest *manifest, const struct network *network, struct percept_err *err)
{
    const struct percept_io *io = task_output(manifest, network, "samples", err);
    bool rate = manifest->sound_rate > 0;
    if (!io)
        return false;
    for (int i = 0; i < manifest->n_inputs; i++)
        rate |= manifest->inputs[i].kind == MANIFEST_AUDIO;
    if (!rate)
        return err_set(err, ERR_CONFIG, "task.rate is missing: how many samples a second does output '%s' have?",
                       io->name);
    for (int axis = 1; axis < io->rank - 1; axis++)
        if (!dim_is(io->dims[axis], 1))
            return err_set(err, ERR_CONFIG, "output '%s' has several channels; the task audio writes one", io->name);
    return true;
}

/* A score for each window of a sound. */
static bool fit_speech(const struct manifest *manifest, const struct network *network, struct percept_err *err)
{
    const struct percept_io *io = task_output(manifest, network, "scores of windows", err);
    bool sound = false;
    if (!io)
        return false;
    for (int i = 0; i < manifest->n_inputs; i++)
        sound |= manifest->inputs[i].kind == MANIFEST_AUDIO && manifest->inputs[i].audio.window > 0;
    if (!sound)
        return err_set(err, ERR_CONFIG, "the task vad needs an input of kind audio with a 'window'");
    if (manifest->task_activation != ACTIVATION_NONE && manifest->task_activation != ACTIVATION_SIGMOID)
        return err_set(err, ERR_CONFIG, "the task vad reads one score of a window: its activation is none or sigmoid");
    for (int axis = 1; axis < io->rank; axis++)
        if (!dim_is(io->dims[axis], 1))
            return err_set(err, ERR_CONFIG, "output '%s' has several scores; the task vad reads one", io->name);
    return true;
}

static bool fit_classes(const struct manifest *manifest, const struct network *network, struct percept_err *err)
{
    const struct percept_io *io = task_output(manifest, network, "classes", err);
    if (!io)
        return false;
    const struct percept_io own = narrowed_output(manifest, io);
    int64_t classes = classes_of(&own, network->batch_free && own.batch_axis == 0);
    if (classes >= 0 && classes <= manifest->class_offset)
        return err_set(err, ERR_CONFIG,
                       "output '%s' has %" PRId64 " classes, so that none is left from class_offset %d on", io->name,
                       classes, manifest->class_offset);
    classes -= classes < 0 ? 0 : manifest->class_offset;
    const bool fits = manifest->labels_have_gaps ? classes >= manifest->n_labels : classes == manifest->n_labels;
    if (manifest->n_labels && classes >= 0 && !fits)
        return err_set(err, ERR_CONFIG, "output '%s' has %" PRId64 " classes, but there are %d labels", io->name,
                       classes, manifest->n_labels);
    return true;
}

static bool fit_detect(const struct manifest *manifest, const struct network *network, struct percept_err *err)
{
    int n;
    const struct percept_io *ios = outputs_of(network, &n);
    struct decoder_outputs outputs;
    return decoder_bind(manifest, ios, n, &outputs, err) && decoder_fits(manifest, ios, &outputs, err);
}

/* The output that the task reads, numbers; NULL with a sentence. */
static const struct percept_io *task_numbers(const struct manifest *manifest, const struct network *network,
                                             struct percept_err *err)
{
    int n;
    const struct percept_io *ios = outputs_of(network, &n);
    if (!manifest->task_output && n != 1)
        return err_null(err, ERR_CONFIG, "task.output is missing: which of %s is meant?", list_of(ios, n).text);
    const struct percept_io *io = manifest->task_output ? find_io(ios, n, manifest->task_output) : ios;
    if (!io)
        no_such("output", manifest->task_output, ios, n, err);
    else if (!floats_can(io->dtype))
        return err_null(err, ERR_CONFIG, "output '%s' is %s; the task reads numbers", io->name,
                        percept_dtype_name(io->dtype));
    return io;
}

static bool fit_image(const struct manifest *manifest, const struct network *network, struct percept_err *err)
{
    const struct percept_io *io = task_numbers(manifest, network, err);
    if (!io || io->rank < 0)
        return io != NULL;
    if (io->rank != 3 && io->rank != 4)
        return err_set(err, ERR_CONFIG, "output '%s' has %d dimensions; a picture has those of task.layout", io->name,
                       io->rank);
    const int64_t channels = io->dims[io->rank - (manifest->image.layout == IMAGE_NHWC ? 1 : 3)];
    return channels < 0 || channels == 1 || channels == 3 ||
           err_set(err, ERR_CONFIG, "output '%s' has %" PRId64 " channels; a picture has 1 or 3", io->name, channels);
}

/* [N, classes, h, w] or [N, h, w]. */
static bool fit_segment(const struct manifest *manifest, const struct network *network, struct percept_err *err)
{
    const struct percept_io *io = task_numbers(manifest, network, err);
    if (!io || io->rank < 0)
        return io != NULL;
    if (io->rank != 3 && io->rank != 4)
        return err_set(err, ERR_CONFIG, "output '%s' has %d dimensions; a map of classes has 3 or 4", io->name,
                       io->rank);
    const int64_t classes = io->rank == 3 ? 1 : io->dims[manifest->image.layout == IMAGE_NHWC ? 3 : 1];
    if (classes > 256)
        return err_set(err, ERR_CONFIG, "output '%s' has %" PRId64 " classes; a map has 256 at most", io->name,
                       classes);
    const bool fits = classes < 2 || !manifest->n_labels || manifest->labels_have_gaps ||
                      manifest->n_labels == classes - manifest->class_offset;
    return fits || err_set(err, ERR_CONFIG, "output '%s' has %" PRId64 " classes, but there are %d labels", io->name,
                           classes - manifest->class_offset, manifest->n_labels);
}

/* [N, points, h, w] or [N, h, w, points]; [N, points, 2 or 3]; [N, numbers] by kpt_shape. */
static bool fit_keypoints(const struct manifest *manifest, const struct network *network, struct percept_err *err)
{
    const struct percept_io *io = task_numbers(manifest, network, err);
    const struct manifest_detect *detect = &manifest->detect;
    if (!io || io->rank < 0)
        return io != NULL;
    const int64_t last = io->rank > 0 ? io->dims[io->rank - 1] : 0;
    int64_t n = detect->n_points ? detect->n_points : -1;
    if (io->rank < 2 || io->rank > 4)
        return err_set(err, ERR_CONFIG,
                       "output '%s' has %d dimensions; keypoints are maps [N, points, h, w], lists [N, points, 2 or 3] "
                       "or rows [N, numbers] of which kpt_shape says what they are",
                       io->name, io->rank);
    if (io->rank == 2 && (!detect->n_points || !dim_is(last, (int64_t)detect->n_points * detect->point_size)))
        return err_set(err, ERR_CONFIG, "output '%s' has rows of %" PRId64 " numbers; kpt_shape must say what they are",
                       io->name, last);
    if (io->rank == 3 && last >= 0 && last != 2 && last != 3)
        return err_set(err, ERR_CONFIG, "output '%s' has %" PRId64 " numbers for each point; 2 or 3 are read", io->name,
                       last);
    if (io->rank > 2)
        n = io->dims[io->rank == 4 && manifest->image.layout == IMAGE_NHWC ? 3 : 1];
    return n < 0 || !manifest->n_labels || manifest->labels_have_gaps || n == manifest->n_labels ||
           err_set(err, ERR_CONFIG, "output '%s' has %" PRId64 " points, but there are %d labels", io->name, n,
                   manifest->n_labels);
}

static bool fit_values(const struct manifest *manifest, const struct network *network, struct percept_err *err)
{
    const struct percept_io *io = task_numbers(manifest, network, err);
    if (!io)
        return false;
    const struct percept_io own = narrowed_output(manifest, io);
    const int64_t n = classes_of(&own, network->batch_free && own.batch_axis == 0);
    return n < 0 || !manifest->n_labels || manifest->labels_have_gaps || n == manifest->n_labels ||
           err_set(err, ERR_CONFIG, "output '%s' has %" PRId64 " numbers, but there are %d labels", io->name, n,
                   manifest->n_labels);
}

static bool task_fits(const struct manifest *manifest, const struct network *network, struct percept_err *err)
{
    static bool (*const fits[])(const struct manifest *, const struct network *, struct percept_err *) = {
#define T(id, word, fit, make, write) [TASK_##id] = (fit),
#include "serve/tasks.def"
#undef T
    };
    return !fits[manifest->task] || fits[manifest->task](manifest, network, err);
}

/* Somebody who vouches for his model wants its requests joined. */
static bool batching_fits(const struct manifest *manifest, const struct network *network, struct percept_err *err)
{
    if (!manifest->independent || network->batch_free)
        return true;
    return err_set(err, ERR_CONFIG, "batching.independent is true, but this model has no batch to join: %s",
                   network->batch_reason ? network->batch_reason : "");
}

bool fit_model(const struct manifest *manifest, const struct percept_model *model, struct percept_err *err)
{
    struct percept_description description = {0};
    struct network network;
    percept_describe(model, &description);
    network.inputs = percept_inputs(model, &network.n_inputs);
    network.outputs = percept_outputs(model, &network.n_outputs);
    network.batch_free = description.batch_free;
    network.batch_reason = description.batch_reason;
    if (!is_as_declared(manifest, &network, err))
        return err_prefix(err, "%s: ", manifest->config_path);
    if (inputs_fit(manifest, &network, err) && task_fits(manifest, &network, err) &&
        batching_fits(manifest, &network, err))
        return true;
    return err_prefix(err, "%s: ", manifest->path);
}

bool fit_chain(const struct manifest *manifest, const struct percept_io *inputs, int n_inputs,
               const struct percept_io *outputs, int n_outputs, struct percept_err *err)
{
    const struct network network = {.inputs = inputs,
                                    .n_inputs = n_inputs,
                                    .outputs = outputs,
                                    .n_outputs = n_outputs,
                                    .batch_reason = "requests of a chain meet at its models"};
    return inputs_fit(manifest, &network, err) && task_fits(manifest, &network, err) &&
           batching_fits(manifest, &network, err);
}
