/*
 * fit.c - does a manifest speak of this model? Asked at load, so that a mistake is found out there
 * and not by the first request. Names must exist, element types and dimensions must be such as the
 * description makes them. What cannot be known yet (free dimensions, unknown ranks) passes; the
 * shape check of a request will see it. Pure: reads both, changes nothing.
 */
#include "serve/fit.h"

#include "base/err.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct percept_io *find_io(const struct percept_io *ios, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (strcmp(ios[i].name, name) == 0)
            return &ios[i];
    return NULL;
}

static bool no_such(const char *what, const char *name, const struct percept_io *ios, int n,
                    struct percept_err *err)
{
    char known[200] = "";
    size_t used = 0;
    for (int i = 0; i < n && used + strlen(ios[i].name) + 3 < sizeof known; i++)
        used +=
            (size_t)snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", ios[i].name);
    return err_set(err, ERR_CONFIG, "the model has no %s '%s'; it has %s", what, name, known);
}

static bool dim_is(int64_t dim, int64_t wanted)
{
    return dim < 0 || wanted <= 0 || dim == wanted;
}

static bool image_fits(const struct manifest_input *input, const struct percept_io *io,
                       struct percept_err *err)
{
    const struct manifest_image *image = &input->image;
    int64_t channels = image->channels == CHANNELS_GRAY ? 1 : 3;
    if (io->dtype != PERCEPT_FLOAT && io->dtype != PERCEPT_UINT8)
        return err_set(
            err, ERR_CONFIG,
            "input '%s' is described as a picture but takes %s; float32 or uint8 can hold one",
            io->name, percept_dtype_name(io->dtype));
    if (io->rank < 0)
        return true;
    const int64_t *dims = io->dims;
    bool fits;
    if (image->layout == IMAGE_FLAT)
        fits = io->rank == 2 && dim_is(dims[1], channels * image->width * image->height);
    else if (image->layout == IMAGE_NCHW)
        fits = io->rank == 4 && dim_is(dims[1], channels) && dim_is(dims[2], image->height) &&
               dim_is(dims[3], image->width);
    else
        fits = io->rank == 4 && dim_is(dims[3], channels) && dim_is(dims[1], image->height) &&
               dim_is(dims[2], image->width);
    if (fits)
        return true;
    return err_set(
        err, ERR_CONFIG,
        "input '%s' has %d dimensions that do not fit a picture of %d x %d with %d channels "
        "in this layout",
        io->name, io->rank, image->height, image->width, (int)channels);
}

static bool text_fits(const struct manifest_input *input, const struct percept_io *io,
                      struct percept_err *err)
{
    const struct manifest_text *text = &input->text;
    if (io->dtype != PERCEPT_INT64 && io->dtype != PERCEPT_INT32)
        return err_set(
            err, ERR_CONFIG,
            "input '%s' is described as a text but takes %s; token ids are int64 or int32",
            io->name, percept_dtype_name(io->dtype));
    if (io->rank >= 0 && io->rank != 2)
        return err_set(err, ERR_CONFIG,
                       "input '%s' is described as a text: it needs 2 dimensions, not %d", io->name,
                       io->rank);
    if (io->rank != 2 || io->dims[1] < 0)
        return true;
    if (io->dims[1] != text->max_length)
        return err_set(err, ERR_CONFIG,
                       "input '%s' takes %" PRId64 " tokens; max_length is %" PRId64, io->name,
                       io->dims[1], text->max_length);
    return text->pad >= 0 ||
           err_set(err, ERR_CONFIG, "input '%s' takes exactly %" PRId64 " tokens: 'pad' is needed",
                   io->name, io->dims[1]);
}

static bool inputs_fit(const struct manifest *manifest, const struct percept_model *model,
                       struct percept_err *err)
{
    int n;
    const struct percept_io *ios = percept_inputs(model, &n);
    for (int i = 0; i < manifest->n_inputs; i++) {
        const struct manifest_input *input = &manifest->inputs[i];
        const struct percept_io *io = find_io(ios, n, input->name);
        if (!io)
            return no_such("input", input->name, ios, n, err);
        if (input->kind == MANIFEST_IMAGE && !image_fits(input, io, err))
            return false;
        if (input->kind == MANIFEST_TEXT && !text_fits(input, io, err))
            return false;
    }
    return true;
}

static bool task_fits(const struct manifest *manifest, const struct percept_model *model,
                      struct percept_err *err)
{
    int n;
    const struct percept_io *ios = percept_outputs(model, &n);
    if (manifest->task == TASK_NONE)
        return true;
    if (!manifest->task_output && n != 1)
        return err_set(err, ERR_CONFIG, "task.output is missing, and the model has %d outputs", n);
    const struct percept_io *io =
        manifest->task_output ? find_io(ios, n, manifest->task_output) : ios;
    if (!io)
        return no_such("output", manifest->task_output, ios, n, err);
    if (io->dtype != PERCEPT_FLOAT)
        return err_set(err, ERR_CONFIG, "output '%s' is %s; a classification reads float32",
                       io->name, percept_dtype_name(io->dtype));
    int64_t classes = io->rank > 0 ? io->dims[io->rank - 1] : -1;
    if (manifest->n_labels && classes >= 0 && classes != manifest->n_labels)
        return err_set(err, ERR_CONFIG,
                       "output '%s' has %" PRId64 " classes, but there are %d labels", io->name,
                       classes, manifest->n_labels);
    return true;
}

bool fit_model(const struct manifest *manifest, const struct percept_model *model,
               struct percept_err *err)
{
    if (inputs_fit(manifest, model, err) && task_fits(manifest, model, err))
        return true;
    return err_prefix(err, "%s: ", manifest->path);
}
