/*
 * encoder_jpeg.c - see encoder_jpeg.h. The door to libjpeg-turbo for writing: what it makes goes to the writer in
 * pieces; what it calls an error comes back by longjmp. Rows look at the watch.
 */
#include "base/err.h"
#include "serve/encoder_jpeg.h"

#include <setjmp.h>
#include <stdio.h>

#include <jpeglib.h>

#define QUALITY 90
#define PIECE_BYTES 16384

struct target {
    struct jpeg_destination_mgr manager; /* first: the library hands us this */
    struct jpeg_error_mgr errors;
    jmp_buf escape;
    struct writer *w;
    JOCTET piece[PIECE_BYTES];
};

static void target_begin(j_compress_ptr info)
{
    struct target *target = (struct target *)info->dest;
    target->manager.next_output_byte = target->piece;
    target->manager.free_in_buffer = PIECE_BYTES;
}

static boolean target_flush(j_compress_ptr info)
{
    struct target *target = (struct target *)info->dest;
    writer_bytes(target->w, target->piece, PIECE_BYTES);
    target_begin(info);
    return TRUE; /* a writer that failed stays so; rows look at it */
}

static void target_end(j_compress_ptr info)
{
    struct target *target = (struct target *)info->dest;
    writer_bytes(target->w, target->piece, PIECE_BYTES - target->manager.free_in_buffer);
}

static void jpeg_escape(j_common_ptr common)
{
    struct target *target = common->client_data;
    longjmp(target->escape, 1);
}

static void jpeg_silent(j_common_ptr common)
{
    (void)common;
}

static void write_rows(struct target *target, j_compress_ptr info, const struct picture *picture)
{
    const size_t pitch = (size_t)picture->width * (size_t)picture->channels;
    info->image_width = (JDIMENSION)picture->width;
    info->image_height = (JDIMENSION)picture->height;
    info->input_components = picture->channels;
    info->in_color_space = picture->channels == 3 ? JCS_RGB : JCS_GRAYSCALE;
    jpeg_set_defaults(info);
    jpeg_set_quality(info, QUALITY, TRUE);
    jpeg_start_compress(info, TRUE);
    for (int y = 0; y < picture->height && writer_spend(target->w, (int64_t)pitch); y++) {
        JSAMPROW row = picture->pixels + (size_t)y * pitch;
        jpeg_write_scanlines(info, &row, 1);
    }
    if (!target->w->failed)
        jpeg_finish_compress(info);
}

bool encoder_jpeg_write(struct writer *w, const struct picture *picture, struct percept_err *err)
{
    struct target target = {.w = w};
    struct jpeg_compress_struct info = {.err = jpeg_std_error(&target.errors), .client_data = &target};
    target.errors.error_exit = jpeg_escape;
    target.errors.output_message = jpeg_silent;
    target.manager.init_destination = target_begin;
    target.manager.empty_output_buffer = target_flush;
    target.manager.term_destination = target_end;
    if (setjmp(target.escape)) {
        jpeg_destroy_compress(&info);
        return err_set(err, ERR_INTERNAL, "a JPEG of %d x %d pixels could not be written", picture->height,
                       picture->width);
    }
    jpeg_create_compress(&info);
    info.dest = &target.manager;
    write_rows(&target, &info, picture);
    jpeg_destroy_compress(&info);
    if (!w->failed)
        return true;
    return watch_over(w->watch) ? watch_refuse(w->watch, err)
                                : err_memory(err, "a JPEG", (size_t)picture->width * (size_t)picture->height);
}
