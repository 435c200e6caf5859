/*
 * codec_memory.c - inputs that lie in a client's shared memory, and outputs that go there.
 *
 * Bytes are copied once and judged on the copy: whoever owns the memory may write to it meanwhile. Runs on a worker
 * (lifecycle.c sees to it); what is taken counts as if it had come in the body.
 */
#include "base/err.h"
#include "serve/codec_parts.h"

#define PREFIX "shared_memory_"

bool codec_memory_is(struct bytes key)
{
    return bytes_begin_text(key, PREFIX);
}

bool codec_memory_parameter(struct json *json, struct bytes key, struct codec_place *place)
{
    key.at += strlen(PREFIX);
    if (bytes_is(key, "region"))
        place->named = json_text(json, "a string as 'shared_memory_region'", &place->region);
    else if (bytes_is(key, "byte_size"))
        place->sized = json_uint(json, "a whole number as 'shared_memory_byte_size'", &place->n_bytes);
    else if (bytes_is(key, "offset"))
        json_uint(json, "a whole number as 'shared_memory_offset'", &place->offset);
    else
        json_skip(json);
    return !json->failed;
}

const struct client_shm_region *codec_memory_find(const struct job *job, const struct codec_place *place,
                                                  const char *name, struct percept_err *err)
{
    if (!place->sized)
        return err_null(err, ERR_INVALID, "tensor '%s': 'shared_memory_region' needs a 'shared_memory_byte_size'",
                        name);
    const struct client_shm_region *region = client_shm_find(job->memory, place->region, err);
    return region && client_shm_fits(region, place->offset, place->n_bytes, err) ? region : NULL;
}

bool codec_memory_read(struct job *job, const struct codec_place *place, const char *name, struct bytes *raw,
                       struct percept_err *err)
{
    const struct client_shm_region *region = codec_memory_find(job, place, name, err);
    if (!region)
        return false;
    if (place->n_bytes > job->most_body_bytes || job->held_bytes > job->most_body_bytes - place->n_bytes)
        return err_set(err, ERR_TOO_LARGE,
                       "shared memory size of %zu bytes exceeds the maximum allowed input size of %zu bytes. "
                       "Use --max-body to increase the limit.",
                       job->held_bytes + (size_t)place->n_bytes, job->most_body_bytes);
    const size_t n_bytes = (size_t)place->n_bytes;
    uint8_t *at = arena_alloc(job->arena, n_bytes ? n_bytes : 1);
    if (!at)
        return err_memory(err, name, n_bytes);
    job->held_bytes += n_bytes;
    *raw = bytes_of(at, n_bytes);
    return client_shm_read(region, place->offset, at, n_bytes, &job->watch, err);
}

bool codec_memory_write(struct job *job, const struct job_output *output, const char *name,
                        const struct percept_tensor *tensor, size_t n_bytes, struct percept_err *err)
{
    const uint8_t *from = tensor->data;
    if (n_bytes > output->memory_bytes)
        return err_set(err, ERR_INVALID,
                       "shared memory size specified with the request for output '%s' (%llu bytes) should be at least "
                       "%zu bytes to hold the results",
                       name, (unsigned long long)output->memory_bytes, n_bytes);
    if (tensor->dtype == PERCEPT_STRING) {
        uint8_t *to = arena_alloc(job->arena, n_bytes + 1);
        if (!to)
            return err_memory(err, name, n_bytes);
        if (!codec_binary_write(to, tensor, &job->watch))
            return watch_refuse(&job->watch, err);
        from = to;
    }
    return client_shm_write(output->memory, output->memory_offset, from, n_bytes, &job->watch, err);
}
