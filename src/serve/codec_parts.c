/*
 * codec_parts.c - what every decoder asks before it takes memory: is it too much?
 */
#include "serve/codec_parts.h"

#include "base/err.h"

bool codec_parts_reserve(struct job *job, const char *name, struct percept_tensor *tensor, int64_t n,
                         struct percept_err *err)
{
    size_t n_bytes;
    if (!arena_multiply((size_t)n, percept_dtype_bytes(tensor->dtype), &n_bytes) || n_bytes > INT64_MAX)
        return err_set(err, ERR_INVALID, "byte size overflow for input '%s'", name);
    tensor->data = arena_alloc(job->arena, n_bytes ? n_bytes : 1);
    if (!tensor->data)
        return err_memory(err, name, n_bytes);
    return true;
}

bool codec_parts_check_size(const struct codec_picture *picture, uint64_t width, uint64_t height)
{
    uint64_t most = (uint64_t)picture->most_pixels;
    if (width == 0 || height == 0)
        return err_set(picture->err, ERR_INVALID, "the picture has %llux%llu pixels; both must be over 0",
                       (unsigned long long)width, (unsigned long long)height);
    if (width > CODEC_SIDE_MAX || height > CODEC_SIDE_MAX || width * height > most)
        return err_set(picture->err, ERR_TOO_LARGE,
                       "the picture has %llux%llu pixels; at most %llu are accepted, and %d along a "
                       "side",
                       (unsigned long long)width, (unsigned long long)height, (unsigned long long)most, CODEC_SIDE_MAX);
    return true;
}
