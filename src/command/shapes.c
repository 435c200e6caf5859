/*
 * shapes.c - shapes for inputs that nobody gives arrays for.
 *
 * The batch axis. Where the library has proved along which axes items lie, these are it. Otherwise names tell:
 *
 *     an axis that is called as people call a batch ("batch_size", "N")      [length,batch,40]
 *     else the one name that every input and output with named axes has      [s0,s1,40] -> [s1,8]
 *
 * and without them places do: the first axis if it is free and not called like a length, else the
 * second one behind a first of more than 1 (directions, steps). A first axis of 1 before a free
 * one, [1,?,80], is a batch fixed at 1 before a length, unless another input has its batch on the
 * second axis as well.
 *
 * Every other free axis needs a number from somebody: --dim NAME=N for an axis that has a name in
 * the file, --dim INPUT:AXIS=N for any, --shape INPUT=NxNxN for all of an input's axes; otherwise
 * it is 24, or 224 for both sides of a picture: networks halve these five times, and what a smaller
 * one takes says little.
 */
#include "command/shapes.h"

#include <string.h>
#include <strings.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/number.h"
#include "command/command.h"

#define FREE_AXIS 24
#define FREE_SIDE 224 /* of a picture */

struct shapes_model shapes_of(const struct percept_model *model)
{
    struct shapes_model shapes;
    shapes.inputs = percept_inputs(model, &shapes.n_inputs);
    shapes.outputs = percept_outputs(model, &shapes.n_outputs);
    return shapes;
}

/* --- the batch axis ----------------------------------------------------------------------------------------------- */

/* "batch", "batch_size", "Batch", "n_batch", "N", "B", "BS". */
static bool names_a_batch(const char *name)
{
    static const char *const whole[] = {"n", "b", "bs"};
    for (size_t i = 0; name && i < sizeof whole / sizeof *whole; i++)
        if (strcasecmp(name, whole[i]) == 0)
            return true;
    return name && strcasestr(name, "batch");
}

/* "seq_length", "time", "T": along which one item lies. */
static bool names_a_length(const char *name)
{
    static const char *const parts[] = {"seq", "time", "len", "step", "frame", "token"};
    if (!name)
        return false;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strcasestr(name, parts[i]))
            return true;
    return strcasecmp(name, "t") == 0 || strcasecmp(name, "l") == 0;
}

static int axis_called(const struct percept_io *io, const char *name)
{
    for (int d = 0; d < io->rank; d++)
        if (io->dims[d] < 0 && io->dim_names[d] && strcmp(io->dim_names[d], name) == 0)
            return d;
    return -1;
}

static bool is_named(const struct percept_io *io)
{
    for (int d = 0; d < io->rank; d++)
        if (io->dims[d] < 0 && io->dim_names[d])
            return true;
    return false;
}

static bool everywhere(const struct percept_io *ios, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (is_named(&ios[i]) && axis_called(&ios[i], name) < 0)
            return false;
    return true;
}

/* The only name that all have and that is not called like a length; NULL when there is none or
 * several. */
static const char *common_name(const struct shapes_model *model)
{
    const char *found = NULL;
    const struct percept_io *first = NULL;
    for (int i = 0; i < model->n_inputs && !first; i++)
        if (is_named(&model->inputs[i]))
            first = &model->inputs[i];
    for (int d = 0; first && d < first->rank; d++) {
        const char *name = first->dims[d] < 0 ? first->dim_names[d] : NULL;
        if (!name || names_a_length(name) || !everywhere(model->inputs, model->n_inputs, name) ||
            !everywhere(model->outputs, model->n_outputs, name))
            continue;
        if (found)
            return NULL;
        found = name;
    }
    return found;
}

static int by_name(const struct shapes_model *model, int input)
{
    const struct percept_io *io = &model->inputs[input];
    for (int d = 0; d < io->rank; d++)
        if (io->dims[d] < 0 && names_a_batch(io->dim_names[d]))
            return d;
    const char *name = common_name(model);
    return name ? axis_called(io, name) : -1;
}

static bool may_be_batch(const struct percept_io *io, int axis)
{
    return io->dims[axis] < 0 && !names_a_length(io->dim_names[axis]);
}

/* The second axis, where the first one cannot be it. */
static bool second_may_be_batch(const struct percept_io *io)
{
    return io->rank > 2 && !may_be_batch(io, 0) && may_be_batch(io, 1);
}

static int by_place(const struct shapes_model *model, int input)
{
    const struct percept_io *io = &model->inputs[input];
    if (may_be_batch(io, 0))
        return 0;
    bool other = false;
    for (int i = 0; i < model->n_inputs; i++)
        other = other || (second_may_be_batch(&model->inputs[i]) && model->inputs[i].dims[0] != 1);
    return second_may_be_batch(io) && other ? 1 : -1;
}

int shapes_batch_axis(const struct shapes_model *model, int input)
{
    const struct percept_io *io = &model->inputs[input];
    if (io->rank <= 0)
        return -1;
    if (io->batch_axis >= 0)
        return io->batch_axis;
    int axis = by_name(model, input);
    return axis >= 0 ? axis : by_place(model, input);
}

static bool has_free_axis(const struct percept_io *io)
{
    for (int d = 0; d < io->rank; d++)
        if (io->dims[d] < 0)
            return true;
    return io->rank < 0;
}

bool shapes_batch_is_free(const struct shapes_model *model)
{
    bool any = false;
    for (int i = 0; i < model->n_inputs; i++) {
        bool has = shapes_batch_axis(model, i) >= 0;
        if (!has && has_free_axis(&model->inputs[i]))
            return false;
        any = any || has;
    }
    return any;
}

/* --- --shape ------------------------------------------------------------------------------------------------------ */

/* "2x3x4", or "" for a scalar; the rank, -1 when it is neither. */
static int read_shape(const char *text, int64_t *shape)
{
    struct bytes rest = bytes_of_text(text);
    int rank = 0;
    while (rest.at < rest.end) {
        const uint8_t *end = rank < PERCEPT_RANK_MAX ? number_read_int64(rest, &shape[rank]) : NULL;
        if (!end || shape[rank] < 0 || (end < rest.end && *end != 'x') || end + 1 == rest.end)
            return -1;
        rank++;
        rest.at = end < rest.end ? end + 1 : end;
    }
    return rank;
}

/* The input that is meant, and where its shape begins; -1: none. The name may be left out when
 * there is one input. */
static int input_meant(const struct shapes_model *model, const char *given, const char **shape)
{
    const char *equals = strrchr(given, '=');
    *shape = equals ? equals + 1 : given;
    if (!equals)
        return model->n_inputs == 1 ? 0 : -1;
    size_t n = (size_t)(equals - given);
    for (int i = 0; i < model->n_inputs; i++)
        if (strlen(model->inputs[i].name) == n && memcmp(model->inputs[i].name, given, n) == 0)
            return i;
    return -1;
}

static bool refuse_unknown(const struct shapes_model *model, const char *given, struct percept_err *err)
{
    char names[256];
    command_input_names(model->inputs, model->n_inputs, names, sizeof names);
    if (!strchr(given, '='))
        return err_set(err, ERR_CONFIG, "--shape '%s': say which input: NAME=%s with one of %s", given, given, names);
    return err_set(err, ERR_CONFIG, "--shape '%s': the model has no such input; it has %s", given, names);
}

/* Does the shape keep to what the file fixes? */
static bool fits(const struct percept_io *io, int rank, const int64_t *shape)
{
    bool good = io->rank < 0 || rank == io->rank;
    for (int d = 0; good && io->rank >= 0 && d < rank; d++)
        good = io->dims[d] < 0 || shape[d] == io->dims[d];
    return good;
}

static bool shapes_are_good(const struct shapes_model *model, const struct options_list *given, struct percept_err *err)
{
    for (int k = 0; k < given->n; k++) {
        const char *text;
        int64_t shape[PERCEPT_RANK_MAX];
        int input = input_meant(model, given->at[k], &text);
        if (input < 0)
            return refuse_unknown(model, given->at[k], err);
        int rank = read_shape(text, shape);
        if (rank < 0)
            return err_set(err, ERR_CONFIG, "--shape '%s': expected INPUT=NxNxN, as in %s=1x24x40", given->at[k],
                           model->inputs[input].name);
        if (!fits(&model->inputs[input], rank, shape))
            return err_set(err, ERR_CONFIG,
                           "--shape '%s': the model fixes other dimensions of '%s'; 'perceptd "
                           "inspect' tells which",
                           given->at[k], model->inputs[input].name);
    }
    return true;
}

/* The rank, -1 when the input's shape is not given. The last one counts, as with other options. */
static int given_shape(const struct shapes_model *model, int input, const struct options_list *given, int64_t *shape)
{
    int rank = -1;
    for (int k = 0; k < given->n; k++) {
        const char *text;
        if (input_meant(model, given->at[k], &text) == input)
            rank = read_shape(text, shape);
    }
    return rank;
}

/* --- --dim -------------------------------------------------------------------------------------------------------- */

/* Does "NAME=N" mean this axis? */
static bool means(const char *dim, const struct percept_io *io, int axis)
{
    const char *equals = strrchr(dim, '=');
    size_t n = (size_t)(equals - dim);
    const char *name = io->dim_names[axis];
    if (name && strlen(name) == n && memcmp(name, dim, n) == 0)
        return true;
    char place[200];
    int length = snprintf(place, sizeof place, "%s:%d", io->name, axis);
    return length >= 0 && (size_t)length == n && (size_t)length < sizeof place && memcmp(place, dim, n) == 0;
}

static bool read_dim(const char *dim, int64_t *value, struct percept_err *err)
{
    const char *equals = strrchr(dim, '=');
    struct bytes digits = bytes_of_text(equals ? equals + 1 : "");
    if (equals && number_read_int64(digits, value) == digits.end && *value >= 0)
        return true;
    return err_set(err, ERR_CONFIG, "--dim '%s': expected NAME=N or INPUT:AXIS=N", dim);
}

/* A --dim that means nothing is a typing error. */
static bool dims_are_good(const struct shapes_model *model, const struct options_list *dims, struct percept_err *err)
{
    for (int k = 0; k < dims->n; k++) {
        bool used = false;
        int64_t value;
        if (!read_dim(dims->at[k], &value, err))
            return false;
        for (int i = 0; i < model->n_inputs; i++)
            for (int d = 0; d < model->inputs[i].rank; d++)
                used = used || (model->inputs[i].dims[d] < 0 && means(dims->at[k], &model->inputs[i], d));
        if (!used)
            return err_set(err, ERR_CONFIG, "--dim '%s' names no free axis of the model's inputs", dims->at[k]);
    }
    return true;
}

/* Is the axis a side of a picture, channels second or last, whose sides are both free? */
static bool is_side(const struct percept_io *io, int axis)
{
    const int64_t *dims = io->dims;
    if (io->rank != 4)
        return false;
    return (axis >= 2 && dims[2] < 0 && dims[3] < 0) ||
           ((axis == 1 || axis == 2) && dims[1] < 0 && dims[2] < 0 && dims[3] >= 0 && dims[3] <= 4);
}

/* The last --dim that fits counts, as with other options. */
static bool free_axis(const struct percept_io *io, int axis, const struct options_list *dims, int64_t *value,
                      struct percept_err *err)
{
    *value = is_side(io, axis) ? FREE_SIDE : FREE_AXIS;
    for (int i = 0; i < dims->n; i++) {
        int64_t given;
        if (!read_dim(dims->at[i], &given, err))
            return false;
        if (means(dims->at[i], io, axis))
            *value = given;
    }
    return true;
}

/* --- shapes ------------------------------------------------------------------------------------------------------- */

int shapes_input(const struct shapes_model *model, int input, const struct shapes_wish *wish, int64_t *shape,
                 struct percept_err *err)
{
    const struct percept_io *io = &model->inputs[input];
    int rank = given_shape(model, input, wish->given, shape);
    if (rank >= 0)
        return rank;
    if (io->rank < 0) {
        err_set(err, ERR_UNSUPPORTED, "the model does not say how many axes input '%s' has: --shape %s=NxNxN does",
                io->name, io->name);
        return -1;
    }
    int batch_axis = shapes_batch_axis(model, input);
    for (int d = 0; d < io->rank; d++) {
        int64_t value;
        if (!free_axis(io, d, wish->dims, &value, err))
            return -1;
        shape[d] = io->dims[d] >= 0 ? io->dims[d] : d == batch_axis ? wish->batch : value;
    }
    return io->rank;
}

bool shapes_resize(struct percept_session *session, const struct shapes_model *model, const struct shapes_wish *wish,
                   struct percept_err *err)
{
    if (!dims_are_good(model, wish->dims, err) || !shapes_are_good(model, wish->given, err))
        return false;
    if (wish->batch != 1 && !shapes_batch_is_free(model))
        return err_set(err, ERR_UNSUPPORTED,
                       "the model has no batch axis that is free, or none that its names tell: %d items "
                       "cannot be run at a time",
                       wish->batch);
    for (int i = 0; i < model->n_inputs; i++) {
        int64_t shape[PERCEPT_RANK_MAX];
        int rank = shapes_input(model, i, wish, shape, err);
        if (rank < 0 || !percept_resize(session, i, rank, shape, err))
            return false;
    }
    return true;
}

int64_t shapes_items(const struct shapes_model *model, const struct shapes_wish *wish)
{
    for (int i = 0; i < model->n_inputs; i++) {
        int64_t shape[PERCEPT_RANK_MAX];
        int axis = shapes_batch_axis(model, i);
        if (axis >= 0 && shapes_input(model, i, wish, shape, NULL) > axis)
            return shape[axis];
    }
    return wish->batch;
}
