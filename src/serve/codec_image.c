/*
 * codec_image.c - a posted PNG or JPEG -> the network's input, as the manifest describes it.
 *
 *     sniff -> dimensions judged -> decode -> upright -> gray? -> ink? -> resize -> normalize
 *
 * The door to libspng and libjpeg-turbo. Both decode for strangers, so: dimensions are read from
 * the header and judged before any memory is taken; a JPEG may have only so many scans (each costs
 * a pass over the whole picture); whatever the decoder calls corrupt or cut short is an error, not
 * a guess. Transparent pixels lie on white paper. A JPEG much larger than the network needs is
 * shrunk while its blocks are decoded, and turned as its camera says.
 *
 * Runs on a worker. What is only needed on the way lies in an arena of its own, freed at the end:
 * the job keeps the tensor and nothing else.
 */
#include "base/err.h"
#include "serve/codec_parts.h"
#include "serve/picture.h"

#include <math.h>
#include <setjmp.h>
#include <stdio.h>

#include <jpeglib.h>

#include <jerror.h>
#include <spng.h>

#define SIDE_MAX 65535   /* of JPEG; a PNG may say more */
#define SCANS_MAX 64     /* a progressive JPEG has about 10 */
#define INK_SIDE_MIN 512 /* strokes are looked for in at least this many pixels */

enum format { FORMAT_UNKNOWN, FORMAT_PNG, FORMAT_JPEG };

/* One decoding. */
struct source {
    struct job *job;
    const struct percept_io *io;
    const struct manifest_image *image;
    struct arena *arena; /* freed at the end */
    struct percept_err *err;
};

static bool begins(struct bytes body, const char *magic, size_t n)
{
    return bytes_size(body) >= n && memcmp(body.at, magic, n) == 0;
}

static enum format format_of(struct bytes body)
{
    if (begins(body, "\x89PNG\r\n\x1a\n", 8))
        return FORMAT_PNG;
    return begins(body, "\xff\xd8\xff", 3) ? FORMAT_JPEG : FORMAT_UNKNOWN;
}

/* A name for what we do not read, so that the message can say it. */
static const char *other_format(struct bytes body)
{
    static const struct {
        const char *magic;
        size_t n, at;
        const char *name;
    } others[] = {
        {"GIF8", 4, 0, "a GIF"},
        {"BM", 2, 0, "a BMP"},
        {"WEBP", 4, 8, "a WebP"},
        {"II*\0", 4, 0, "a TIFF"},
        {"MM\0*", 4, 0, "a TIFF"},
        {"ftypheic", 8, 4, "a HEIC"},
        {"ftypavif", 8, 4, "an AVIF"},
        {"<svg", 4, 0, "an SVG"},
        {"%PDF", 4, 0, "a PDF"},
        {"{", 1, 0, "JSON"},
        {"\x89PNG", 4, 0,
         "a PNG without its line ends (curl takes them out with -d, not with --data-binary)"},
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (bytes_size(body) > others[i].at &&
            begins((struct bytes){body.at + others[i].at, body.end}, others[i].magic, others[i].n))
            return others[i].name;
    return "no picture that is known here";
}

static bool check_format(const struct job *job, enum format format, struct percept_err *err)
{
    if (bytes_size(job->body) == 0)
        return err_set(err, ERR_INVALID, "the body is empty; it must be a PNG or JPEG picture");
    if (format == FORMAT_UNKNOWN)
        return err_set(err, ERR_MEDIA_TYPE,
                       "the body is %s; send a PNG as image/png or a JPEG as image/jpeg",
                       other_format(job->body));
    const char *type = format == FORMAT_PNG ? "image/png" : "image/jpeg";
    if (job->codec && job->codec->kind == MANIFEST_IMAGE &&
        strcmp(job->codec->media_type, type) != 0)
        return err_set(err, ERR_MEDIA_TYPE,
                       "the body is %s but its Content-Type is %s; send it as %s",
                       format == FORMAT_PNG ? "a PNG" : "a JPEG", job->codec->media_type, type);
    return true;
}

static bool check_size(const struct source *source, uint64_t width, uint64_t height)
{
    int64_t limit = source->job->served->max_pixels;
    uint64_t most = limit > 0 ? (uint64_t)limit : (uint64_t)CODEC_MAX_PIXELS;
    if (width == 0 || height == 0)
        return err_set(source->err, ERR_INVALID,
                       "the picture has %llux%llu pixels; both must be over 0",
                       (unsigned long long)width, (unsigned long long)height);
    if (width > SIDE_MAX || height > SIDE_MAX || width * height > most)
        return err_set(
            source->err, ERR_TOO_LARGE,
            "the picture has %llux%llu pixels; at most %llu are accepted, and %d along a "
            "side",
            (unsigned long long)width, (unsigned long long)height, (unsigned long long)most,
            SIDE_MAX);
    return true;
}

/* ---- PNG ---- */

/* RGBA on white -> RGB, in place. */
static void flatten(struct picture *picture)
{
    size_t n = (size_t)picture->width * (size_t)picture->height;
    const uint8_t *from = picture->pixels;
    uint8_t *to = picture->pixels;
    for (size_t i = 0; i < n; i++, from += 4) {
        unsigned alpha = from[3];
        for (int c = 0; c < 3; c++)
            *to++ = (uint8_t)((from[c] * alpha + 255 * (255 - alpha) + 127) / 255);
    }
    picture->channels = 3;
}

static bool png_failed(const struct source *source, int code)
{
    return err_set(
        source->err, ERR_INVALID,
        "the PNG cannot be decoded: %s; is it complete? Any PNG that a viewer opens will do",
        spng_strerror(code));
}

static bool png_read(const struct source *source, spng_ctx *ctx, struct picture *picture)
{
    struct spng_ihdr header;
    struct spng_trns transparent;
    struct bytes body = source->job->body;
    spng_set_image_limits(ctx, SIDE_MAX, SIDE_MAX);
    spng_set_chunk_limits(ctx, (size_t)8 << 20, (size_t)16 << 20);
    spng_set_crc_action(ctx, SPNG_CRC_ERROR, SPNG_CRC_DISCARD);
    int code = spng_set_png_buffer(ctx, body.at, bytes_size(body));
    if (!code)
        code = spng_get_ihdr(ctx, &header);
    if (code == SPNG_EUSER_WIDTH || code == SPNG_EUSER_HEIGHT)
        return err_set(source->err, ERR_TOO_LARGE, "the picture has a side of more than %d pixels",
                       SIDE_MAX);
    if (code)
        return png_failed(source, code);
    if (!check_size(source, header.width, header.height))
        return false;
    code = spng_get_trns(ctx, &transparent); /* reads on to the pixels: a cut file ends here */
    if (code && code != SPNG_ECHUNKAVAIL)
        return png_failed(source, code);
    bool has_alpha = (header.color_type & 4) || code == 0;
    bool gray =
        header.color_type == SPNG_COLOR_TYPE_GRAYSCALE && header.bit_depth <= 8 && !has_alpha;
    int format = has_alpha ? SPNG_FMT_RGBA8 : gray ? SPNG_FMT_G8 : SPNG_FMT_RGB8;
    int channels = has_alpha ? 4 : gray ? 1 : 3;
    if (!picture_new(picture, (int)header.width, (int)header.height, channels, source->arena,
                     source->err))
        return false;
    size_t n_bytes = (size_t)header.width * header.height * (size_t)channels;
    code =
        spng_decode_image(ctx, picture->pixels, n_bytes, format, has_alpha ? SPNG_DECODE_TRNS : 0);
    if (code)
        return png_failed(source, code);
    if (has_alpha)
        flatten(picture);
    return true;
}

static bool decode_png(const struct source *source, struct picture *picture)
{
    spng_ctx *ctx = spng_ctx_new(0);
    if (!ctx)
        return err_memory(source->err, "the PNG decoder", 1);
    bool ok = png_read(source, ctx, picture);
    spng_ctx_free(ctx);
    return ok;
}

/* ---- JPEG ---- */

struct jpeg {
    struct jpeg_error_mgr errors; /* first: the library hands this address back */
    struct jpeg_progress_mgr progress;
    jmp_buf escape;
    char reason[JMSG_LENGTH_MAX];
    const struct source *source;
    struct picture *picture;
    int orientation;
};

static void jpeg_escape(j_common_ptr common)
{
    struct jpeg *jpeg = (struct jpeg *)common->err;
    if (!jpeg->reason[0])
        common->err->format_message(common, jpeg->reason);
    longjmp(jpeg->escape, 1);
}

/* Warnings that mean that pixels are missing or invented end the decoding; others are harmless. */
static void jpeg_message(j_common_ptr common, int severity)
{
    int code = common->err->msg_code;
    if (severity < 0 && (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER ||
                         code == JWRN_HUFF_BAD_CODE || code == JWRN_MUST_RESYNC))
        jpeg_escape(common);
}

static void jpeg_silent(j_common_ptr common)
{
    (void)common;
}

static void jpeg_watch(j_common_ptr common)
{
    struct jpeg *jpeg = (struct jpeg *)common->err;
    if (common->is_decompressor && ((j_decompress_ptr)common)->input_scan_number > SCANS_MAX) {
        snprintf(jpeg->reason, sizeof jpeg->reason, "it has more than %d scans", SCANS_MAX);
        longjmp(jpeg->escape, 1);
    }
}

/* TIFF's numbers in the byte order that its header tells. */
struct tiff {
    struct bytes all;
    bool big;
};

static uint32_t tiff_number(const struct tiff *tiff, size_t at, size_t n)
{
    if (at > bytes_size(tiff->all) || n > bytes_size(tiff->all) - at)
        return 0;
    uint32_t value = 0;
    for (size_t i = 0; i < n; i++)
        value |= (uint32_t)tiff->all.at[at + i] << 8 * (tiff->big ? n - 1 - i : i);
    return value;
}

/* EXIF's orientation, 1 when the segment has none. */
static int exif_orientation(struct bytes segment)
{
    if (!begins(segment, "Exif\0", 6))
        return 1;
    segment.at += 6;
    struct tiff tiff = {.all = segment, .big = begins(segment, "MM", 2)};
    if (!tiff.big && !begins(segment, "II", 2))
        return 1;
    size_t folder = tiff_number(&tiff, 4, 4);
    size_t n = tiff_number(&tiff, folder, 2);
    for (size_t i = 0; i < n && folder + 14 + i * 12 <= bytes_size(segment); i++)
        if (tiff_number(&tiff, folder + 2 + i * 12, 2) == 0x0112)
            return (int)tiff_number(&tiff, folder + 10 + i * 12, 2);
    return 1;
}

static int jpeg_orientation(const struct jpeg_decompress_struct *info)
{
    for (jpeg_saved_marker_ptr marker = info->marker_list; marker; marker = marker->next)
        if (marker->marker == JPEG_APP0 + 1) {
            int found = exif_orientation(bytes_of(marker->data, marker->data_length));
            if (found > 1)
                return found;
        }
    return 1;
}

/* How much smaller the picture may be decoded: still twice what the network needs, both ways. */
static unsigned jpeg_shrink(const struct source *source, unsigned width, unsigned height)
{
    const struct manifest_image *image = source->image;
    if (image->width <= 0 || image->height <= 0)
        return 1;
    unsigned need = 2 * (unsigned)(image->width > image->height ? image->width : image->height);
    if (image->ink_box > 0 && need < INK_SIDE_MIN)
        need = INK_SIDE_MIN;
    unsigned shrink = 8;
    while (shrink > 1 && (width / shrink < need || height / shrink < need))
        shrink /= 2;
    return shrink;
}

/* Printers' colours to light; Adobe stores them inverted. */
static void uncmyk(struct picture *picture, bool inverted)
{
    size_t n = (size_t)picture->width * (size_t)picture->height;
    const uint8_t *from = picture->pixels;
    uint8_t *to = picture->pixels;
    for (size_t i = 0; i < n; i++, from += 4) {
        unsigned light = inverted ? from[3] : 255u - from[3];
        for (int c = 0; c < 3; c++) {
            unsigned colour = inverted ? from[c] : 255u - from[c];
            *to++ = (uint8_t)((colour * light + 127) / 255);
        }
    }
    picture->channels = 3;
}

static bool jpeg_read(struct jpeg *jpeg, struct jpeg_decompress_struct *info)
{
    const struct source *source = jpeg->source;
    struct bytes body = source->job->body;
    jpeg_mem_src(info, body.at, bytes_size(body));
    jpeg_save_markers(info, JPEG_APP0 + 1, 0xffff);
    jpeg_read_header(info, TRUE);
    if (!check_size(source, info->image_width, info->image_height))
        return false;
    jpeg->orientation = jpeg_orientation(info);
    bool gray = info->jpeg_color_space == JCS_GRAYSCALE;
    bool inks = info->jpeg_color_space == JCS_CMYK || info->jpeg_color_space == JCS_YCCK;
    info->out_color_space = gray ? JCS_GRAYSCALE : inks ? JCS_CMYK : JCS_RGB;
    info->scale_num = 1;
    info->scale_denom = jpeg_shrink(source, info->image_width, info->image_height);
    jpeg_start_decompress(info);
    struct picture *picture = jpeg->picture;
    if (!picture_new(picture, (int)info->output_width, (int)info->output_height,
                     info->output_components, source->arena, source->err))
        return false;
    size_t pitch = (size_t)info->output_width * (size_t)info->output_components;
    while (info->output_scanline < info->output_height) {
        JSAMPROW row = picture->pixels + info->output_scanline * pitch;
        jpeg_read_scanlines(info, &row, 1);
    }
    jpeg_finish_decompress(info);
    if (inks)
        uncmyk(picture, info->saw_Adobe_marker);
    return true;
}

static bool decode_jpeg(const struct source *source, struct picture *picture)
{
    struct picture decoded = {0};
    struct jpeg jpeg = {.source = source, .picture = &decoded, .orientation = 1};
    struct jpeg_decompress_struct info = {.err = jpeg_std_error(&jpeg.errors)};
    jpeg.errors.error_exit = jpeg_escape;
    jpeg.errors.emit_message = jpeg_message;
    jpeg.errors.output_message = jpeg_silent;
    jpeg.progress.progress_monitor = jpeg_watch;
    if (setjmp(jpeg.escape)) {
        jpeg_destroy_decompress(&info);
        return err_set(
            source->err, ERR_INVALID,
            "the JPEG cannot be decoded: %s; is it complete? Any JPEG that a viewer opens "
            "will do",
            jpeg.reason);
    }
    jpeg_create_decompress(&info);
    info.progress = &jpeg.progress;
    bool ok = jpeg_read(&jpeg, &info);
    jpeg_destroy_decompress(&info);
    return ok && picture_turn(&decoded, jpeg.orientation, picture, source->arena, source->err);
}

/* ---- to the network's size ---- */

/* The middle of a picture that has the shape of the target. */
static struct picture_box middle(const struct picture *picture, int width, int height)
{
    double w = picture->width, h = picture->height;
    double scale = fmin(w / width, h / height);
    double left = (w - width * scale) / 2, top = (h - height * scale) / 2;
    return (struct picture_box){left, top, left + width * scale, top + height * scale};
}

/* A picture in a frame of the target's size: what is around it is filled. */
struct framed {
    struct picture picture;
    int left, top, width, height;
};

static int scaled_side(int side, double scale, int most)
{
    int n = (int)floor(side * scale + 0.5);
    return n < 1 ? 1 : n > most ? most : n;
}

static bool frame(const struct source *source, const struct picture *from, struct framed *framed)
{
    const struct manifest_image *image = source->image;
    int width = image->width > 0 ? image->width : from->width;
    int height = image->height > 0 ? image->height : from->height;
    *framed = (struct framed){.width = width, .height = height};
    struct picture_box box = picture_whole(from);
    int w = width, h = height;
    if (image->resize == RESIZE_CROP) {
        box = middle(from, width, height);
    } else if (image->resize == RESIZE_LETTERBOX) {
        double scale = fmin((double)width / from->width, (double)height / from->height);
        w = scaled_side(from->width, scale, width);
        h = scaled_side(from->height, scale, height);
        framed->left = (width - w) / 2;
        framed->top = (height - h) / 2;
    }
    return picture_resize(from, box, w, h, (enum picture_filter)image->filter, &framed->picture,
                          source->arena, source->err);
}

/* ---- to a tensor ---- */

static float normal(const struct manifest_image *image, int channel, float value)
{
    return (value * image->scale - image->mean[channel]) / image->std[channel];
}

/* A level for an input of bytes; fit.c saw to it that there is nothing to normalize. */
static uint8_t level(const struct manifest_image *image, int channel, float value)
{
    float nearest = normal(image, channel, value) + 0.5f;
    return nearest < 0 ? 0 : nearest > 255 ? 255 : (uint8_t)nearest;
}

/* How many elements lie between channels, rows and columns. */
struct strides {
    size_t channel, row, column;
};

/* One channel of the input: the picture's levels through a table, the frame around them filled. */
#define PUT_CHANNEL(name, element, of_level)                                                       \
    static void name(const struct framed *framed, const struct manifest_image *image, int channel, \
                     int source_channel, struct strides strides, element *to)                      \
    {                                                                                              \
        const struct picture *p = &framed->picture;                                                \
        const element fill = of_level(image, channel, image->fill);                                \
        element table[256];                                                                        \
        for (int i = 0; i < 256; i++)                                                              \
            table[i] = of_level(image, channel, (float)i);                                         \
        bool covered = p->width == framed->width && p->height == framed->height;                   \
        for (int y = 0; !covered && y < framed->height; y++)                                       \
            for (int x = 0; x < framed->width; x++)                                                \
                to[(size_t)y * strides.row + (size_t)x * strides.column] = fill;                   \
        to += (size_t)framed->top * strides.row + (size_t)framed->left * strides.column;           \
        const uint8_t *from = p->pixels + source_channel;                                          \
        for (int y = 0; y < p->height; y++)                                                        \
            for (int x = 0; x < p->width; x++, from += p->channels)                                \
                to[(size_t)y * strides.row + (size_t)x * strides.column] = table[*from];           \
    }
PUT_CHANNEL(put_floats, float, normal)
PUT_CHANNEL(put_bytes, uint8_t, level)

static void put_channels(const struct framed *framed, const struct manifest_image *image,
                         const struct percept_tensor *tensor)
{
    bool gray = image->channels == CHANNELS_GRAY, bgr = image->channels == CHANNELS_BGR;
    int n = gray ? 1 : 3;
    size_t width = (size_t)framed->width, plane = width * (size_t)framed->height;
    struct strides strides = {plane, width, 1};
    if (image->layout == IMAGE_NHWC)
        strides = (struct strides){1, width * (size_t)n, (size_t)n};
    for (int c = 0; c < n; c++) {
        int from = framed->picture.channels == 1 ? 0 : bgr ? 2 - c : c;
        size_t at = (size_t)c * strides.channel;
        if (tensor->dtype == PERCEPT_UINT8)
            put_bytes(framed, image, c, from, strides, (uint8_t *)tensor->data + at);
        else
            put_floats(framed, image, c, from, strides, (float *)tensor->data + at);
    }
}

/* [1,C,H,W], [1,H,W,C] or [1,C*H*W]; without the 1 where the model has one axis less. */
static struct percept_tensor shape_of(const struct source *source, const struct framed *framed)
{
    const struct manifest_image *image = source->image;
    int64_t c = image->channels == CHANNELS_GRAY ? 1 : 3, h = framed->height, w = framed->width;
    enum percept_dtype dtype = source->io->dtype;
    struct percept_tensor tensor = {.dtype = dtype, .rank = 4, .dims = {1, c, h, w}};
    if (image->layout == IMAGE_NHWC)
        tensor = (struct percept_tensor){.dtype = dtype, .rank = 4, .dims = {1, h, w, c}};
    else if (image->layout == IMAGE_FLAT)
        tensor = (struct percept_tensor){.dtype = dtype, .rank = 2, .dims = {1, c * h * w}};
    if (source->io->rank == tensor.rank - 1 && !source->job->served->batching) {
        tensor.rank--;
        for (int i = 0; i < tensor.rank; i++)
            tensor.dims[i] = tensor.dims[i + 1];
    }
    return tensor;
}

static bool to_tensor(const struct source *source, const struct framed *framed)
{
    struct percept_tensor tensor = shape_of(source, framed);
    int64_t n;
    if (!codec_count(tensor.rank, tensor.dims, &n))
        return err_set(source->err, ERR_TOO_LARGE, "the picture has too many pixels");
    struct percept_tensor *input = &source->job->inputs[0];
    if (!codec_accept(source->job, 0, &tensor, source->err) ||
        !codec_reserve(source->job, source->io->name, input, n, source->err))
        return false;
    put_channels(framed, source->image, input);
    return true;
}

static bool convert(const struct source *source, enum format format)
{
    struct picture decoded, toned;
    struct framed framed;
    bool ok = format == FORMAT_PNG ? decode_png(source, &decoded) : decode_jpeg(source, &decoded);
    if (!ok)
        return false;
    toned = decoded;
    if (source->image->channels == CHANNELS_GRAY &&
        (!picture_gray(&decoded, &toned, source->arena, source->err) ||
         !ink_prepare(&toned, source->image, &toned, source->arena, source->err)))
        return false;
    return frame(source, &toned, &framed) && to_tensor(source, &framed);
}

bool codec_image_decode(struct job *job, struct percept_err *err)
{
    int n_inputs;
    const struct percept_io *io = percept_inputs(job->served->model, &n_inputs);
    const struct manifest_input *input =
        n_inputs == 1 ? manifest_input(job->served->manifest, io[0].name) : NULL;
    if (!input || input->kind != MANIFEST_IMAGE)
        return err_set(err, ERR_MEDIA_TYPE, "model '%s' does not take a picture; send V2 JSON",
                       job->served->name);
    enum format format = format_of(job->body);
    if (!check_format(job, format, err) || !codec_begin(job, false, err))
        return false;
    job->predictions = true;
    struct arena arena = {0};
    struct source source = {
        .job = job, .io = io, .image = &input->image, .arena = &arena, .err = err};
    bool ok = convert(&source, format);
    arena_free(&arena);
    return ok;
}
