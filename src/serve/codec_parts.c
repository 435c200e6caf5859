/*
 * codec_parts.c - what every decoder asks before it takes memory: is it too much?
 */
#include "serve/codec_parts.h"

#include "base/base64.h"
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

const struct manifest_input *codec_parts_described(const struct job *job, int input)
{
    int n;
    const struct percept_io *io = &served_own_inputs(job->served, &n)[input];
    const struct manifest_input *described = manifest_input(job->served->manifest, io->name);
    if (!described || io->dtype == PERCEPT_STRING)
        return NULL;
    return described->kind == MANIFEST_TEXT || described->kind == MANIFEST_IMAGE ? described : NULL;
}

bool codec_parts_fill(struct job *job, int input, const struct manifest_input *described,
                      const struct percept_string *items, int64_t n, struct percept_err *err)
{
    const bool picture = described->kind == MANIFEST_IMAGE;
    if (n == 0)
        return err_set(err, ERR_INVALID, "input '%s' has no %s", described->name, picture ? "pictures" : "texts");
    return picture ? codec_image_fill(job, input, &described->image, items, n, err)
                   : codec_text_fill(job, input, &described->text, items, n, err);
}

#define PIECE ((size_t)1 << 16) /* characters between two looks at the watch; whole groups */

/* Padding ends the last piece alone: the others have all their bytes. */
bool codec_parts_base64(struct bytes text, uint8_t *to, size_t *n_bytes, struct watch *watch)
{
    for (*n_bytes = 0; bytes_size(text);) {
        size_t n = bytes_size(text) < PIECE ? bytes_size(text) : PIECE, n_read;
        if (!watch_spend(watch, (int64_t)n))
            return false;
        if (!base64_read(bytes_of(text.at, n), to + *n_bytes, &n_read) || (n < bytes_size(text) && n_read != n / 4 * 3))
            return false;
        *n_bytes += n_read;
        text.at += n;
    }
    return true;
}

const char *codec_parts_magic(struct bytes body, const struct codec_magic *rows, size_t n_rows)
{
    for (size_t i = 0; i < n_rows; i++)
        if (bytes_size(body) > rows[i].at &&
            bytes_begin((struct bytes){body.at + rows[i].at, body.end}, rows[i].magic, rows[i].n))
            return rows[i].name;
    return NULL;
}
