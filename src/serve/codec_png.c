/*
 * codec_png.c - a PNG's bytes -> pixels. The door to libspng.
 *
 * The library reads from a stream that we make of the file: the chunks that decide about pixels
 * (IHDR, PLTE, tRNS, IDAT, other critical ones) and nothing else, so that no profile, text or date
 * costs more than stepping over it. Rows are decoded one by one, and rows and stream look at the
 * watch. What a PNG may cost is known from its first chunk and judged before any memory is taken:
 * what its rows inflate to is pixels times at most eight bytes, and nothing else is inflated.
 *
 * A file that is cut short is read as far as it goes: its last IDAT is handed on as if it ended
 * where the file does. Then either every row is there or the library asks for more. So a PNG whose
 * rows are all there is a picture, with or without its end mark, and one that lacks a row or an
 * interlacing pass is not.
 *
 * Transparent pixels lie on white paper. Runs on a worker.
 */
#include "base/err.h"
#include "serve/codec_parts.h"

#include <spng.h>

#define CHUNK_HEAD 8 /* length and type */
#define CHUNK_TAIL 4 /* CRC */

/* The file as the library sees it: what is handed out next, in order. */
struct stream {
    const struct codec_picture *source;
    struct bytes parts[3];
    const uint8_t *next, *end; /* the chunk behind them, and the file's end */
    uint8_t head[CHUNK_HEAD], tail[CHUNK_TAIL];
};

static uint32_t big_endian_32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void put_big_endian_32(uint8_t *to, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(value >> (24 - 8 * i));
}

/* PNG's CRC (specification, annex D), four bits at a time. */
static uint32_t crc_of(uint32_t crc, struct bytes bytes)
{
    uint32_t table[16];
    for (uint32_t i = 0; i < 16; i++) {
        table[i] = i;
        for (int k = 0; k < 4; k++)
            table[i] = table[i] & 1 ? 0xedb88320 ^ table[i] >> 1 : table[i] >> 1;
    }
    for (const uint8_t *at = bytes.at; at < bytes.end; at++) {
        crc ^= *at;
        crc = table[crc & 15] ^ crc >> 4;
        crc = table[crc & 15] ^ crc >> 4;
    }
    return crc;
}

/* An IDAT that the file's end cuts, made to end there. */
static bool hand_out_cut(struct stream *stream, struct bytes data)
{
    uint32_t crc = UINT32_MAX;
    memcpy(stream->head, stream->next, CHUNK_HEAD);
    put_big_endian_32(stream->head, (uint32_t)bytes_size(data));
    crc = crc_of(crc, bytes_of(stream->head + 4, 4));
    for (struct bytes rest = data; rest.at < rest.end;) {
        size_t n = bytes_size(rest) < 65536 ? bytes_size(rest) : 65536;
        if (!watch_spend(stream->source->watch, (int64_t)n))
            return false;
        crc = crc_of(crc, bytes_of(rest.at, n));
        rest.at += n;
    }
    put_big_endian_32(stream->tail, ~crc);
    stream->parts[0] = bytes_of(stream->head, CHUNK_HEAD);
    stream->parts[1] = data;
    stream->parts[2] = bytes_of(stream->tail, CHUNK_TAIL);
    stream->next = stream->end;
    return true;
}

/* The next chunk that the library shall see; false at the file's end, or when nobody waits any
 * more. */
static bool hand_out_chunk(struct stream *stream)
{
    while (stream->end - stream->next > CHUNK_HEAD) {
        if (!watch_spend(stream->source->watch, 1))
            return false;
        const uint8_t *type = stream->next + 4, *data = stream->next + CHUNK_HEAD;
        size_t n = big_endian_32(stream->next), left = (size_t)(stream->end - data);
        bool whole = left >= n && left - n >= CHUNK_TAIL;
        bool pixels = memcmp(type, "IDAT", 4) == 0;
        bool wanted = pixels ? n > 0 : !(*type & 0x20) || memcmp(type, "tRNS", 4) == 0;
        if (!whole)
            return pixels && n && hand_out_cut(stream, bytes_of(data, left < n ? left : n));
        const uint8_t *at = stream->next;
        stream->next = data + n + CHUNK_TAIL;
        if (wanted) {
            stream->parts[0] = (struct bytes){at, stream->next};
            return true;
        }
    }
    return false;
}

static int stream_read(spng_ctx *ctx, void *user, void *to, size_t n_bytes)
{
    struct stream *stream = user;
    (void)ctx;
    if (!watch_spend(stream->source->watch, (int64_t)n_bytes))
        return SPNG_IO_ERROR;
    for (uint8_t *at = to; n_bytes;) {
        struct bytes *part = stream->parts;
        while (part < stream->parts + 3 && !bytes_size(*part))
            part++;
        if (part == stream->parts + 3) {
            if (!hand_out_chunk(stream))
                return SPNG_IO_EOF;
            continue;
        }
        size_t n = bytes_size(*part) < n_bytes ? bytes_size(*part) : n_bytes;
        memcpy(at, part->at, n);
        part->at += n;
        at += n;
        n_bytes -= n;
    }
    return 0;
}

static bool failed(const struct codec_picture *source, int code)
{
    if (watch_over(source->watch))
        return watch_refuse(source->watch, source->err);
    return err_set(source->err, ERR_INVALID,
                   "the PNG cannot be decoded: %s; is it complete? Any PNG that a viewer opens will do",
                   spng_strerror(code));
}

/* Rows in the order of the file: with interlacing a row of the picture comes several times. */
static int read_rows(const struct codec_picture *source, spng_ctx *ctx, struct picture *picture)
{
    size_t pitch = (size_t)picture->width * (size_t)picture->channels;
    int code = 0;
    while (!code) {
        struct spng_row_info row;
        code = spng_get_row_info(ctx, &row);
        if (!code && !watch_spend(source->watch, picture->width))
            return SPNG_IO_ERROR;
        if (!code)
            code = spng_decode_row(ctx, picture->pixels + row.row_num * pitch, pitch);
    }
    return code == SPNG_EOI ? 0 : code;
}

static bool read_picture(const struct codec_picture *source, spng_ctx *ctx, struct stream *stream,
                         struct picture *picture)
{
    struct spng_ihdr header;
    struct spng_trns transparent;
    spng_set_image_limits(ctx, CODEC_SIDE_MAX, CODEC_SIDE_MAX);
    spng_set_crc_action(ctx, SPNG_CRC_ERROR, SPNG_CRC_DISCARD);
    int code = spng_set_png_stream(ctx, stream_read, stream);
    if (!code)
        code = spng_get_ihdr(ctx, &header);
    if (code == SPNG_EUSER_WIDTH || code == SPNG_EUSER_HEIGHT)
        return err_set(source->err, ERR_TOO_LARGE, "the picture has a side of more than %d pixels", CODEC_SIDE_MAX);
    if (code)
        return failed(source, code);
    if (!codec_parts_check_size(source, header.width, header.height))
        return false;
    code = spng_get_trns(ctx, &transparent); /* reads on to the pixels: a cut file ends here */
    if (code && code != SPNG_ECHUNKAVAIL)
        return failed(source, code);
    bool has_alpha = (header.color_type & 4) || code == 0;
    bool gray = header.color_type == SPNG_COLOR_TYPE_GRAYSCALE && header.bit_depth <= 8 && !has_alpha;
    int format = has_alpha ? SPNG_FMT_RGBA8 : gray ? SPNG_FMT_G8 : SPNG_FMT_RGB8;
    int channels = has_alpha ? 4 : gray ? 1 : 3;
    if (!picture_new(picture, (int)header.width, (int)header.height, channels, source->arena, source->err))
        return false;
    code = spng_decode_image(ctx, NULL, 0, format, SPNG_DECODE_PROGRESSIVE | (has_alpha ? SPNG_DECODE_TRNS : 0));
    if (!code)
        code = read_rows(source, ctx, picture);
    if (code)
        return failed(source, code);
    return !has_alpha || picture_flatten(picture, source->watch) || failed(source, 0);
}

bool codec_png_decode(const struct codec_picture *source, struct picture *picture)
{
    struct stream stream = {.source = source,
                            .parts[0] = bytes_of(source->body.at, 8), /* the signature */
                            .next = source->body.at + 8,
                            .end = source->body.end};
    struct spng_alloc memory = {.malloc_fn = arena_buffer,
                                .realloc_fn = arena_buffer_grow,
                                .calloc_fn = arena_buffer_array,
                                .free_fn = arena_buffer_free};
    size_t refusals = arena_refusals();
    spng_ctx *ctx = spng_ctx_new2(&memory, 0);
    bool ok = ctx && read_picture(source, ctx, &stream, picture);
    spng_ctx_free(ctx);
    if (!ok && arena_refusals() != refusals) /* libspng and zlib call it many names */
        return err_memory(source->err, "the PNG decoder", bytes_size(source->body));
    return ok;
}
