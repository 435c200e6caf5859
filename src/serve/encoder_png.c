/*
 * encoder_png.c - see encoder_png.h. The door to libspng for writing; its memory comes from us, its bytes go to the
 * writer. Rows look at the watch.
 */
#include "base/base64.h"
#include "base/err.h"
#include "serve/encoder_png.h"

#include <spng.h>

#define LEVEL 2 /* of zlib's, and one filter for all rows: many times as fast as the defaults, some percent larger */

static int put(spng_ctx *ctx, void *user, void *from, size_t n_bytes)
{
    (void)ctx;
    struct writer *w = user;
    writer_bytes(w, from, n_bytes);
    return w->failed ? SPNG_IO_ERROR : 0;
}

static int write_rows(spng_ctx *ctx, const struct picture *picture, struct writer *w)
{
    const size_t pitch = (size_t)picture->width * (size_t)picture->channels;
    struct spng_ihdr header = {.width = (uint32_t)picture->width,
                               .height = (uint32_t)picture->height,
                               .bit_depth = 8,
                               .color_type = picture->channels == 4   ? SPNG_COLOR_TYPE_TRUECOLOR_ALPHA
                                             : picture->channels == 3 ? SPNG_COLOR_TYPE_TRUECOLOR
                                                                      : SPNG_COLOR_TYPE_GRAYSCALE};
    int code = spng_set_png_stream(ctx, put, w);
    if (!code)
        code = spng_set_option(ctx, SPNG_IMG_COMPRESSION_LEVEL, LEVEL);
    if (!code)
        code = spng_set_option(ctx, SPNG_FILTER_CHOICE, SPNG_FILTER_CHOICE_SUB);
    if (!code)
        code = spng_set_ihdr(ctx, &header);
    if (!code)
        code = spng_encode_image(ctx, NULL, 0, SPNG_FMT_PNG, SPNG_ENCODE_PROGRESSIVE | SPNG_ENCODE_FINALIZE);
    for (int y = 0; y < picture->height && !code; y++)
        code = writer_spend(w, (int64_t)pitch) ? spng_encode_row(ctx, picture->pixels + (size_t)y * pitch, pitch)
                                               : SPNG_IO_ERROR;
    return code == SPNG_EOI ? 0 : code;
}

bool encoder_png_write(struct writer *w, const struct picture *picture, struct percept_err *err)
{
    struct spng_alloc memory = {.malloc_fn = arena_buffer,
                                .realloc_fn = arena_buffer_grow,
                                .calloc_fn = arena_buffer_array,
                                .free_fn = arena_buffer_free};
    const size_t refusals = arena_refusals();
    spng_ctx *ctx = spng_ctx_new2(&memory, SPNG_CTX_ENCODER);
    int code = ctx ? write_rows(ctx, picture, w) : SPNG_EMEM;
    spng_ctx_free(ctx);
    if (!code && !w->failed)
        return true;
    if (watch_over(w->watch))
        return watch_refuse(w->watch, err);
    if (w->failed || arena_refusals() != refusals)
        return err_memory(err, "a PNG", (size_t)picture->width * (size_t)picture->height);
    return err_set(err, ERR_INTERNAL, "a PNG could not be written: %s", spng_strerror(code));
}

#define PIECE ((size_t)3 << 14) /* whole groups of base64 */

static void put_base64(struct writer *w, struct bytes bytes)
{
    while (bytes_size(bytes)) {
        const size_t n = bytes_size(bytes) < PIECE ? bytes_size(bytes) : PIECE;
        char *to = writer_spend(w, (int64_t)n) ? writer_reserve(w, BASE64_WRITE_MAX(n)) : NULL;
        if (!to)
            return;
        w->used += base64_write(to, bytes_of(bytes.at, n));
        bytes.at += n;
    }
}

void encoder_png_write_json(struct writer *w, const struct picture *picture)
{
    struct percept_err err = {0};
    struct writer png = {.arena = w->arena, .watch = w->watch};
    writer_put(w, "\"width\":");
    writer_int(w, picture->width);
    writer_put(w, ",\"height\":");
    writer_int(w, picture->height);
    writer_put(w, ",\"content_type\":\"image/png\",\"b64\":\"");
    if (encoder_png_write(&png, picture, &err))
        put_base64(w, bytes_of(png.at, png.used));
    else
        w->failed = true;
    writer_put(w, "\"");
}
