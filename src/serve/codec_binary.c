/*
 * codec_binary.c - tensors as bytes behind the JSON, both ways, and bodies that are one tensor
 * alone.
 *
 * The bytes are little-endian, dense, aligned to nothing; BYTES elements are a 4-byte length and
 * that many bytes. Tensors read are copied into the arena (aligned, as kernels like it), but for
 * the texts of BYTES elements, which stay in the body: it lives as long as the job.
 */
#include "base/err.h"
#include "serve/codec_parts.h"

bool codec_binary_slice(struct job *job, struct codec_input *inputs, int n, struct bytes tail, struct percept_err *err)
{
    for (int i = 0; i < n; i++) {
        struct codec_input *input = &inputs[i];
        if (!input->has_binary)
            continue;
        if (input->binary_bytes > bytes_size(tail))
            return err_set(err, ERR_INVALID,
                           "unexpected size for input '" BYTES_FMT "', expecting %llu additional bytes for model '%s'",
                           BYTES_ARG(input->name), (unsigned long long)(input->binary_bytes - bytes_size(tail)),
                           job->served->name);
        input->binary = bytes_of(tail.at, input->binary_bytes);
        tail.at += input->binary_bytes;
    }
    if (bytes_size(tail))
        return err_set(err, ERR_INVALID, "unexpected additional input data for model '%s': %zu bytes",
                       job->served->name, bytes_size(tail));
    return true;
}

static uint32_t little_endian_32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static bool read_strings(struct bytes raw, const char *name, struct percept_string *to, int64_t n, struct watch *watch,
                         struct percept_err *err)
{
    for (int64_t i = 0; i < n; i++) {
        if (!watch_spend(watch, 1))
            return watch_refuse(watch, err);
        uint32_t size = bytes_size(raw) < 4 ? 0 : little_endian_32(raw.at);
        if (bytes_size(raw) < 4 || size > bytes_size(raw) - 4)
            return err_set(err, ERR_INVALID, "input '%s': element %lld of %lld ends past its binary data", name,
                           (long long)i, (long long)n);
        to[i] = (struct percept_string){.at = (const char *)raw.at + 4, .n_bytes = size};
        raw.at += 4 + (size_t)size;
    }
    if (bytes_size(raw))
        return err_set(err, ERR_INVALID, "input '%s': %zu bytes follow its %lld BYTES elements", name, bytes_size(raw),
                       (long long)n);
    return true;
}

static bool bools_fit(struct bytes raw, const char *name, struct watch *watch, struct percept_err *err)
{
    for (const uint8_t *at = raw.at; at < raw.end; at++) {
        if (!watch_spend(watch, 1))
            return watch_refuse(watch, err);
        if (*at > 1)
            return err_set(err, ERR_INVALID, "input '%s': element %td of BOOL is %d, not 0 or 1", name, at - raw.at,
                           *at);
    }
    return true;
}

/* Sizes are compared before memory is taken: a few bytes cannot ask for much. */
bool codec_binary_read(struct job *job, struct bytes raw, const char *name, struct percept_tensor *tensor, int64_t n,
                       struct percept_err *err)
{
    bool strings = tensor->dtype == PERCEPT_STRING;
    size_t size = strings ? 4 : percept_dtype_bytes(tensor->dtype), n_bytes;
    if (!arena_multiply((size_t)n, size, &n_bytes))
        return err_set(err, ERR_INVALID, "byte size overflow for input '%s'", name);
    if (strings ? n_bytes > bytes_size(raw) : n_bytes != bytes_size(raw))
        return err_set(err, ERR_INVALID,
                       "input byte size mismatch for input '%s' for model '%s'. Expected %s%zu, got %zu", name,
                       job->served->name, strings ? "at least " : "", n_bytes, bytes_size(raw));
    if (!codec_parts_reserve(job, name, tensor, n, err))
        return false;
    if (strings)
        return read_strings(raw, name, tensor->data, n, &job->watch, err);
    if (!watch_copy(&job->watch, tensor->data, raw.at, n_bytes))
        return watch_refuse(&job->watch, err);
    return tensor->dtype != PERCEPT_BOOL || bools_fit(raw, name, &job->watch, err);
}

/* The shape of a raw request's tensor: the batch is 1 and one free axis follows from the size. */
static bool deduce(const struct job *job, const struct percept_io *io, struct percept_tensor *tensor, int64_t *n,
                   struct percept_err *err)
{
    int free_axis = -1;
    *tensor = (struct percept_tensor){.dtype = io->dtype, .rank = io->rank};
    if (io->rank < 0)
        return err_set(err, ERR_INVALID,
                       "The shape of the raw input '%s' can not be deduced because the model does not "
                       "tell its rank",
                       io->name);
    for (int i = 0; i < io->rank; i++) {
        tensor->dims[i] = i == io->batch_axis && served_has_batch(job->served) ? 1 : io->dims[i];
        if (tensor->dims[i] >= 0)
            continue;
        if (free_axis >= 0)
            return err_set(err, ERR_INVALID,
                           "The shape of the raw input '%s' can not be deduced because there are more "
                           "than one variable-sized dimension",
                           io->name);
        free_axis = i;
        tensor->dims[i] = 1;
    }
    if (!codec_count(tensor->rank, tensor->dims, n))
        return err_set(err, ERR_INVALID, "byte size overflow for input '%s'", io->name);
    size_t others;
    if (free_axis < 0 || *n == 0 || io->dtype == PERCEPT_STRING ||
        !arena_multiply((size_t)*n, percept_dtype_bytes(io->dtype), &others))
        return true;
    if (!bytes_size(job->body))
        return err_set(err, ERR_INVALID,
                       "the body is empty: expected the elements of input '%s' for model '%s', a "
                       "multiple of %zu bytes",
                       io->name, job->served->name, others);
    if (others == 0 || bytes_size(job->body) % others != 0)
        return err_set(err, ERR_INVALID,
                       "input byte size mismatch for input '%s' for model '%s'. Expected a multiple of "
                       "%zu, got %zu",
                       io->name, job->served->name, others, bytes_size(job->body));
    tensor->dims[free_axis] = (int64_t)(bytes_size(job->body) / others);
    return codec_count(tensor->rank, tensor->dims, n);
}

bool codec_binary_raw(struct job *job, struct percept_err *err)
{
    int n_inputs, at = codec_body_input(job);
    const struct percept_io *io = served_inputs(job->served, &n_inputs);
    if (at < 0)
        return err_set(err, ERR_INVALID,
                       "Raw request must only have 1 input (found 1) to be deduced but got %d inputs "
                       "in '%s' model configuration",
                       n_inputs, job->served->name);
    io += at;
    struct percept_tensor tensor;
    int64_t n;
    if (!codec_begin(job, true, err) || !deduce(job, io, &tensor, &n, err))
        return false;
    if (io->dtype == PERCEPT_STRING && n != 1)
        return err_set(err, ERR_INVALID, "For BYTE datatype raw input '%s', the model must have input shape [1]",
                       io->name);
    if (io->dtype != PERCEPT_STRING) {
        if (!codec_binary_read(job, job->body, io->name, &tensor, n, err))
            return false;
    } else {
        if (!codec_parts_reserve(job, io->name, &tensor, n, err))
            return false;
        *(struct percept_string *)tensor.data =
            (struct percept_string){.at = (const char *)job->body.at, .n_bytes = bytes_size(job->body)};
    }
    return codec_accept(job, at, &tensor, err);
}

bool codec_binary_size(const struct percept_tensor *tensor, size_t *n_bytes)
{
    int64_t n;
    if (!codec_count(tensor->rank, tensor->dims, &n))
        return false;
    if (tensor->dtype != PERCEPT_STRING)
        return arena_multiply((size_t)n, percept_dtype_bytes(tensor->dtype), n_bytes);
    const struct percept_string *strings = tensor->data;
    *n_bytes = 0;
    for (int64_t i = 0; i < n; i++)
        if (strings[i].n_bytes > UINT32_MAX || __builtin_add_overflow(*n_bytes, strings[i].n_bytes + 4, n_bytes))
            return false;
    return true;
}

bool codec_binary_write(uint8_t *to, const struct percept_tensor *tensor, struct watch *watch)
{
    int64_t n;
    if (!codec_count(tensor->rank, tensor->dims, &n))
        return true;
    if (tensor->dtype != PERCEPT_STRING)
        return watch_copy(watch, to, tensor->data, (size_t)n * percept_dtype_bytes(tensor->dtype));
    const struct percept_string *strings = tensor->data;
    for (int64_t i = 0; i < n; i++) {
        uint32_t size = (uint32_t)strings[i].n_bytes;
        for (int k = 0; k < 4; k++)
            *to++ = (uint8_t)(size >> 8 * k);
        if (!watch_spend(watch, 1) || !watch_copy(watch, to, strings[i].at, size))
            return false;
        to += size;
    }
    return true;
}
