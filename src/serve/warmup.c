/*
 * warmup.c - see warmup.h. One request at a time: shapes, data straight into the session's inputs, runs.
 *
 * Texts of a file stay in the request's arena until the runs are over, and so does the file; the arena has the limit
 * that a run has. Runs go past batch.c: nobody is joined, and no answer is written.
 */
#include "serve/warmup.h"

#include "base/err.h"
#include "base/file.h"
#include "serve/loop.h"
#include "serve/states.h"

#include <inttypes.h>
#include <string.h>

#define FOLDER "warmup"
#define LENGTH_BYTES 4

/* A request that is made ready. */
struct making {
    const struct warmup *warmup;
    const struct manifest_warmup *said;
    const struct percept_io *inputs; /* as clients see them */
    int n_inputs;
    int64_t n_items;
    bool in_front; /* the first axis is the batch, which dims of config.pbtxt do not have */
    struct arena arena;
    uint64_t seed;
    struct percept_err *err;
};

static const struct manifest_warmup_input *said_of(const struct making *making, int input)
{
    for (int i = 0; i < making->said->n_inputs; i++)
        if (strcmp(making->said->inputs[i].name, making->inputs[input].name) == 0)
            return &making->said->inputs[i];
    return NULL;
}

/* --- shapes ------------------------------------------------------------------------------------------------------- */

/* One item of what a sequence keeps or tells; NULL: clients send it. */
static const struct percept_tensor *kept(const struct making *making, int input, const struct control **control)
{
    const struct states *states = making->warmup->served->states;
    *control = NULL;
    for (int i = 0; states && i < states->n_states; i++)
        if (states->states[i].input == input)
            return &states->states[i].shape;
    for (int i = 0; states && i < states->n_controls; i++)
        if (states->controls[i].input == input) {
            *control = &states->controls[i];
            return &states->controls[i].on;
        }
    return NULL;
}

/* Where the items lie; -1: the request is one. */
static int batch_axis(const struct making *making, int input)
{
    return making->warmup->served->batching ? making->inputs[input].batch_axis : making->in_front ? 0 : -1;
}

static bool shape_of(const struct making *making, int input, struct percept_tensor *shape)
{
    const struct percept_io *io = &making->inputs[input];
    const struct manifest_warmup_input *said = said_of(making, input);
    const struct control *control;
    const struct percept_tensor *one = kept(making, input, &control);
    const int front = making->in_front, axis = batch_axis(making, input);
    *shape = (struct percept_tensor){.dtype = io->dtype, .rank = io->rank > 0 ? io->rank : 0};
    memcpy(shape->dims, io->dims, (size_t)shape->rank * sizeof *shape->dims);
    if (one) {
        *shape = *one;
    } else if (said && said->rank) {
        if (said->rank + front > PERCEPT_RANK_MAX)
            return err_set(making->err, ERR_CONFIG, "input '%s' has more than %d dims", io->name, PERCEPT_RANK_MAX);
        shape->rank = said->rank + front;
        memcpy(shape->dims + front, said->dims, (size_t)said->rank * sizeof *said->dims);
    }
    if (axis >= 0 && axis < shape->rank)
        shape->dims[axis] = making->n_items;
    for (int i = 0; i < shape->rank; i++)
        if (shape->dims[i] < 0)
            return err_set(making->err, ERR_CONFIG, "input '%s' is free in axis %d: its dims have to be given",
                           io->name, i);
    return true;
}

/* --- data --------------------------------------------------------------------------------------------------------- */

/* A number of 53 bits; xorshift64*, Vigna 2016. */
static uint64_t next_random(struct making *making)
{
    making->seed ^= making->seed >> 12;
    making->seed ^= making->seed << 25;
    making->seed ^= making->seed >> 27;
    return (making->seed * UINT64_C(2685821657736338717)) >> 11;
}

static void fill_random(struct making *making, const struct percept_tensor *tensor, size_t n)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
    const size_t each = percept_dtype_bytes(tensor->dtype);
    for (size_t i = 0; i < n; i++) {
        const uint64_t random = next_random(making);
        if (tensor->dtype == PERCEPT_FLOAT)
            ((float *)tensor->data)[i] = (float)(random >> 29) * 0x1p-24f;
        else if (tensor->dtype == PERCEPT_DOUBLE)
            ((double *)tensor->data)[i] = (double)random * 0x1p-53;
        else if (tensor->dtype == PERCEPT_FLOAT16) /* below 1 */
            ((uint16_t *)tensor->data)[i] = (uint16_t)(random % 0x3c00);
        else if (tensor->dtype == PERCEPT_BFLOAT16)
            ((uint16_t *)tensor->data)[i] = (uint16_t)(random % 0x3f80);
        else if (tensor->dtype == PERCEPT_STRING)
            ((struct percept_string *)tensor->data)[i] = (struct percept_string){letters + random % 26, 1};
        else
            ((uint8_t *)tensor->data)[i * each] = random & 1; /* little-endian */
    }
}

static bool read_file(struct making *making, const char *file, size_t n_bytes, struct bytes *bytes)
{
    const char *path = making->warmup->served->manifest->config_path;
    const char *name = file_join(&making->arena, FOLDER, file);
    struct file_place place;
    if (!name)
        return err_memory(making->err, "a name", strlen(file));
    if (!file_place_open(&place, path, NULL, making->err))
        return false;
    const bool ok = file_read_beneath(&place, name, 0, n_bytes, &making->arena, bytes, NULL, making->err);
    file_place_close(&place);
    return ok;
}

/* n texts, each behind its length. */
static bool point_at_texts(struct making *making, struct bytes bytes, struct percept_string *texts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const uint8_t *at = bytes.at;
        if (bytes_size(bytes) < LENGTH_BYTES)
            return err_set(making->err, ERR_CONFIG, "there are %zu texts in the file; %zu are needed", i, n);
        const size_t n_bytes = (size_t)at[0] | (size_t)at[1] << 8 | (size_t)at[2] << 16 | (size_t)at[3] << 24;
        bytes.at += LENGTH_BYTES;
        if (n_bytes > bytes_size(bytes))
            return err_set(making->err, ERR_CONFIG, "text %zu has %zu bytes, and the file %zu more", i, n_bytes,
                           bytes_size(bytes));
        texts[i] = (struct percept_string){(const char *)bytes.at, n_bytes};
        bytes.at += n_bytes;
    }
    return true;
}

/* One item, and the same again behind it. */
static bool fill_from_file(struct making *making, const char *file, const struct percept_tensor *tensor, size_t n,
                           size_t n_items)
{
    const size_t each = n / n_items * percept_dtype_bytes(tensor->dtype);
    const bool texts = tensor->dtype == PERCEPT_STRING;
    struct bytes bytes;
    if (!read_file(making, file, texts ? SIZE_MAX : each, &bytes) ||
        (texts && !point_at_texts(making, bytes, tensor->data, n / n_items)))
        return err_prefix(making->err, FOLDER "/%.80s: ", file);
    for (size_t i = texts; i < n_items && each; i++)
        memcpy((char *)tensor->data + i * each, texts ? tensor->data : bytes.at, each);
    return true;
}

/* Zeros, or what says that nothing is ready. */
static void fill_same(const struct percept_tensor *tensor, const struct control *control, size_t n)
{
    static const struct percept_string no_text = {"", 0};
    const size_t each = percept_dtype_bytes(tensor->dtype);
    const void *value = control ? control->off.data : tensor->dtype == PERCEPT_STRING ? &no_text : NULL;
    memset(tensor->data, 0, n * each);
    for (size_t i = 0; value && i < n; i++)
        memcpy((char *)tensor->data + i * each, value, each);
}

static bool fill(struct making *making, int input)
{
    struct percept_tensor tensor;
    const struct control *control;
    const struct manifest_warmup_input *said = said_of(making, input);
    const bool is_kept = kept(making, input, &control) != NULL;
    size_t n = 1;
    if (!shape_of(making, input, &tensor))
        return false;
    for (int i = 0; i < tensor.rank; i++)
        n *= (size_t)tensor.dims[i]; /* the session has made room for them */
    tensor.data = percept_input(making->warmup->session, input);
    if (!tensor.data)
        return err_memory(making->err, making->inputs[input].name, n * percept_dtype_bytes(tensor.dtype));
    if (is_kept || !said || said->data == WARMUP_ZEROS)
        fill_same(&tensor, control, n);
    else if (said->data == WARMUP_RANDOM)
        fill_random(making, &tensor, n);
    else
        return fill_from_file(making, said->file, &tensor, n,
                              making->in_front && tensor.rank ? (size_t)tensor.dims[0] : 1) ||
               err_prefix(making->err, "input '%s': ", making->inputs[input].name);
    return true;
}

/* --- the whole ---------------------------------------------------------------------------------------------------- */

static bool prepare(struct making *making)
{
    struct percept_session *session = making->warmup->session;
    struct percept_tensor shape;
    for (int i = 0; i < making->n_inputs; i++)
        if (!shape_of(making, i, &shape) || !percept_resize(session, i, shape.rank, shape.dims, making->err))
            return false;
    return percept_prepare(session, making->err);
}

/* Networks of one short step do not look. */
static bool is_given_up(const struct making *making)
{
    const int *cancel = making->warmup->cancel;
    return cancel && loop_flag_raised(cancel) && !err_set(making->err, ERR_CANCELLED, "the model is unloaded");
}

/* Outputs may lie where inputs did: they are filled for each run. */
static bool run(struct making *making)
{
    const struct warmup *warmup = making->warmup;
    const struct percept_run_context context = {.cancel = warmup->cancel};
    for (int k = 0; warmup->runs && k < making->said->count; k++) {
        if (is_given_up(making))
            return false;
        arena_free(&making->arena);
        making->seed = 1;
        for (int i = 0; i < making->n_inputs; i++)
            if (!fill(making, i))
                return false;
        if (!percept_run(warmup->session, &context, making->err))
            return false;
    }
    return true;
}

static bool warm(const struct warmup *warmup, const struct manifest_warmup *said, struct percept_err *err)
{
    const struct served *served = warmup->served;
    struct making making = {.warmup = warmup, .said = said, .n_items = said->batch_size, .err = err};
    making.inputs = served_inputs(served, &making.n_inputs);
    making.in_front = served->manifest->declared_batch;
    making.arena.limit_bytes = warmup->memory_limit_bytes;
    if (served->batching && making.n_items > served->max_batch_size)
        making.n_items = served->max_batch_size;
    if (making.n_items < 1)
        making.n_items = 1;
    const bool ok = prepare(&making) && run(&making);
    arena_free(&making.arena);
    return ok || err_prefix(err, "%s: model_warmup '%s': ", served->manifest->config_path, said->name);
}

bool warmup_all(const struct warmup *warmup, struct percept_err *err)
{
    const struct manifest *manifest = warmup->served->manifest;
    for (int i = 0; i < manifest->n_warmup_requests; i++)
        if (!warm(warmup, &manifest->warmup_requests[i], err))
            return false;
    return true;
}
