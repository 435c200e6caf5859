/*
 * codec_jpeg.c - a JPEG's bytes -> pixels, turned as its camera says. The door to libjpeg-turbo.
 *
 * Before the library sees the file its segments are surveyed (ITU-T T.81, annex B): which scans
 * there are, of which components, and what decoding them will cost. Each scan is a pass over all
 * its samples, however few bytes it has, so the bound is on scans times samples, and it is judged
 * before any memory is taken. The library gets the file in pieces, and pieces, rows of blocks and
 * rows look at the watch.
 *
 * A JPEG is a picture when every coded sample is there. The library says so for the samples of a
 * scan (it warns where it would invent some, which ends the decoding here); the survey says so for
 * the scans where the file has no end mark: of a sequential file every component has had its scan,
 * of a progressive one every coefficient all its bits. Of arithmetic coding, where missing bytes
 * read as zeros, nobody can say: it needs its end mark.
 *
 * A JPEG much larger than needed is shrunk while its blocks are decoded. Runs on a worker.
 */
#include "base/err.h"
#include "serve/codec_parts.h"

#include <setjmp.h>
#include <stdio.h>

#include <jpeglib.h>

#include <jerror.h>

#define SCANS_MAX 64         /* a progressive JPEG has about 10 */
#define SEGMENTS_MAX 4096    /* a camera writes about 20 */
#define SAMPLES_PER_PIXEL 16 /* of all scans together: a progressive JPEG without subsampling has 13 */
#define PIECE_BYTES 131072   /* that the library gets at a time */
#define COMPONENTS_MAX 4

/* --- the survey --------------------------------------------------------------------------------------------------- */

struct survey {
    const struct codec_picture *source;
    const uint8_t *at, *end;
    int64_t width, height;
    int n_components, most_sampling;
    uint8_t ids[COMPONENTS_MAX];
    int sampling[COMPONENTS_MAX];       /* samples of a component for most_sampling pixels */
    int8_t missing[COMPONENTS_MAX][64]; /* bits of each coefficient; -1: never coded */
    bool progressive, arithmetic, has_end;
    int n_scans, n_segments;
    int64_t n_samples; /* to be decoded, of all scans */
};

static size_t segment_bytes(const struct survey *s)
{
    return s->end - s->at < 2 ? 0 : (size_t)(s->at[0] << 8 | s->at[1]);
}

/* The frame's header: size, components, how they are coded. */
static void survey_frame(struct survey *s, uint8_t marker, struct bytes data)
{
    if (bytes_size(data) < 6 || s->n_components)
        return;
    int n = data.at[5];
    if (n > COMPONENTS_MAX || bytes_size(data) < 6 + 3 * (size_t)n)
        return;
    s->height = data.at[1] << 8 | data.at[2];
    s->width = data.at[3] << 8 | data.at[4];
    s->progressive = marker == 0xc2 || marker == 0xca;
    s->arithmetic = marker >= 0xc9;
    s->n_components = n;
    int across = 1, down = 1;
    for (int i = 0; i < n; i++) {
        const uint8_t *at = data.at + 6 + 3 * i;
        s->ids[i] = at[0];
        s->sampling[i] = (at[1] >> 4) * (at[1] & 15);
        across = at[1] >> 4 > across ? at[1] >> 4 : across;
        down = (at[1] & 15) > down ? at[1] & 15 : down;
    }
    s->most_sampling = across * down;
    memset(s->missing, -1, sizeof s->missing);
}

static void survey_component(struct survey *s, int i, const uint8_t *spectrum)
{
    s->n_samples += s->width * s->height * s->sampling[i] / s->most_sampling;
    if (!s->progressive) {
        memset(s->missing[i], 0, sizeof s->missing[i]);
        return;
    }
    for (int k = spectrum[0]; k <= spectrum[1] && k < 64; k++)
        s->missing[i][k] = (int8_t)(spectrum[2] & 15);
}

/* A scan's header: which components it has, and which of their bits. */
static void survey_scan(struct survey *s, struct bytes data)
{
    size_t n = bytes_size(data) ? data.at[0] : 0;
    s->n_scans++;
    if (bytes_size(data) < 4 + 2 * n)
        return;
    for (size_t c = 0; c < n; c++)
        for (int i = 0; i < s->n_components; i++)
            if (s->ids[i] == data.at[1 + 2 * c])
                survey_component(s, i, data.at + 1 + 2 * n);
}

/* To the next marker behind coded samples, or between segments; false at the file's end. */
static bool survey_marker(struct survey *s, uint8_t *marker)
{
    while (s->at < s->end && watch_spend(s->source->watch, 1)) {
        size_t left = (size_t)(s->end - s->at);
        const uint8_t *mark = memchr(s->at, 0xff, left < 65536 ? left : 65536);
        if (!mark) {
            s->at += left < 65536 ? left : 65536;
            (void)watch_spend(s->source->watch, 8192);
            continue;
        }
        s->at = mark + 1;
        if (s->at == s->end || *s->at == 0xff)
            continue;
        uint8_t code = *s->at++;
        if (code == 0 || code == 1 || (code >= 0xd0 && code <= 0xd7)) /* a byte, TEM, RSTn */
            continue;
        *marker = code;
        return true;
    }
    return false;
}

/* Walks the segments; afterwards `end` is where the last whole one ends, if the file has no end
 * mark. */
static void survey_file(struct survey *s)
{
    uint8_t marker;
    const uint8_t *end = s->end;
    s->at += 2;
    while (survey_marker(s, &marker)) {
        s->has_end = marker == 0xd9;
        if (s->has_end)
            return;
        size_t n = segment_bytes(s);
        if (n < 2 || n > (size_t)(s->end - s->at)) {
            end = s->at - 2; /* cut within: of no use to the library */
            break;
        }
        struct bytes data = {s->at + 2, s->at + n};
        s->n_segments++;
        if ((marker & 0xf0) == 0xc0 && marker != 0xc4 && marker != 0xc8 && marker != 0xcc)
            survey_frame(s, marker, data);
        else if (marker == 0xda)
            survey_scan(s, data);
        s->at += n;
        if (s->n_segments > SEGMENTS_MAX || s->n_scans > SCANS_MAX)
            break;
    }
    s->end = end;
}

/* The bounds, before anything is decoded. */
static bool check_cost(const struct survey *s)
{
    const struct codec_picture *source = s->source;
    int64_t most =
        source->most_pixels < INT64_MAX / SAMPLES_PER_PIXEL ? source->most_pixels * SAMPLES_PER_PIXEL : INT64_MAX;
    if (watch_over(source->watch))
        return watch_refuse(source->watch, source->err);
    if (s->n_scans > SCANS_MAX)
        return err_set(source->err, ERR_TOO_LARGE,
                       "the JPEG cannot be decoded: it has more than %d scans; save it with fewer, or "
                       "as a baseline JPEG",
                       SCANS_MAX);
    if (s->n_segments > SEGMENTS_MAX)
        return err_set(source->err, ERR_TOO_LARGE,
                       "the JPEG cannot be decoded: it has more than %d segments; save it without "
                       "comments and metadata",
                       SEGMENTS_MAX);
    if (s->n_samples > most)
        return err_set(source->err, ERR_TOO_LARGE,
                       "the JPEG's %d scans over %lldx%lld pixels have %lld samples to decode; at most "
                       "%lld are accepted: save it with fewer scans, or as a baseline JPEG",
                       s->n_scans, (long long)s->width, (long long)s->height, (long long)s->n_samples, (long long)most);
    return true;
}

/* Has every component a scan, and without an end mark every coefficient all its bits? */
static bool check_scans(const struct survey *s)
{
    bool any = true, whole = !s->arithmetic;
    for (int i = 0; i < s->n_components; i++) {
        any &= s->missing[i][0] >= 0;
        for (int k = 0; k < 64; k++)
            whole &= s->missing[i][k] == 0;
    }
    return (any && (s->has_end || whole)) ||
           err_set(s->source->err, ERR_INVALID,
                   "the JPEG cannot be decoded: it ends before its last scan; is it complete? Any JPEG "
                   "that a viewer opens will do");
}

/* --- decoding ----------------------------------------------------------------------------------------------------- */

struct jpeg {
    struct jpeg_error_mgr errors; /* first: the library hands this address back */
    struct jpeg_source_mgr feed;
    struct jpeg_progress_mgr progress;
    jmp_buf escape;
    char reason[JMSG_LENGTH_MAX];
    const struct codec_picture *source;
    const uint8_t *at, *end; /* what the library has not got yet */
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
    if (severity < 0 && (code == JWRN_HIT_MARKER || code == JWRN_HUFF_BAD_CODE || code == JWRN_MUST_RESYNC))
        jpeg_escape(common);
}

static void jpeg_silent(j_common_ptr common)
{
    (void)common;
}

/* Gives up when nobody waits any more. */
static void jpeg_spend(j_common_ptr common, int64_t units)
{
    if (!watch_spend(((struct jpeg *)common->err)->source->watch, units))
        jpeg_escape(common);
}

/* Once for each row of blocks of a scan, and for each row of the picture. */
static void jpeg_progress(j_common_ptr common)
{
    const struct jpeg_decompress_struct *info = (const struct jpeg_decompress_struct *)common;
    jpeg_spend(common, (int64_t)info->image_width * info->max_v_samp_factor * 4);
}

static void feed_begin(j_decompress_ptr info)
{
    (void)info;
}

/* The next piece of the file; behind its end, an end mark. */
static boolean feed_fill(j_decompress_ptr info)
{
    static const JOCTET end_mark[] = {0xff, JPEG_EOI};
    struct jpeg *jpeg = (struct jpeg *)info->err;
    size_t left = (size_t)(jpeg->end - jpeg->at), n = left < PIECE_BYTES ? left : PIECE_BYTES;
    jpeg_spend((j_common_ptr)info, (int64_t)n);
    jpeg->feed.next_input_byte = n ? jpeg->at : end_mark;
    jpeg->feed.bytes_in_buffer = n ? n : sizeof end_mark;
    jpeg->at += n;
    return TRUE;
}

static void feed_skip(j_decompress_ptr info, long n_bytes)
{
    struct jpeg *jpeg = (struct jpeg *)info->err;
    size_t n = n_bytes < 0 ? 0 : (size_t)n_bytes, left = (size_t)(jpeg->end - jpeg->at);
    if (n <= jpeg->feed.bytes_in_buffer) {
        jpeg->feed.next_input_byte += n;
        jpeg->feed.bytes_in_buffer -= n;
        return;
    }
    n -= jpeg->feed.bytes_in_buffer;
    jpeg->at += n < left ? n : left;
    jpeg->feed.bytes_in_buffer = 0; /* the library asks for more */
}

static void feed_end(j_decompress_ptr info)
{
    (void)info;
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
    if (!bytes_begin(segment, "Exif\0", 6))
        return 1;
    segment.at += 6;
    struct tiff tiff = {.all = segment, .big = bytes_begin(segment, "MM", 2)};
    if (!tiff.big && !bytes_begin(segment, "II", 2))
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

/* How much smaller the picture may be decoded: still as much as is needed, both ways. */
static unsigned jpeg_shrink(unsigned need, unsigned width, unsigned height)
{
    unsigned shrink = need ? 8 : 1;
    while (shrink > 1 && (width / shrink < need || height / shrink < need))
        shrink /= 2;
    return shrink;
}

/* Printers' colours to light; Adobe stores them inverted. */
static bool uncmyk(struct picture *picture, bool inverted, struct watch *watch)
{
    const uint8_t *from = picture->pixels;
    uint8_t *to = picture->pixels;
    for (int y = 0; y < picture->height; y++) {
        if (!watch_spend(watch, picture->width))
            return false;
        for (int x = 0; x < picture->width; x++, from += 4) {
            unsigned light = inverted ? from[3] : 255u - from[3];
            for (int c = 0; c < 3; c++) {
                unsigned colour = inverted ? from[c] : 255u - from[c];
                *to++ = (uint8_t)((colour * light + 127) / 255);
            }
        }
    }
    picture->channels = 3;
    return true;
}

/* Ends with the last row: what follows it is nobody's, so it is not read. */
static bool jpeg_rows(struct jpeg *jpeg, struct jpeg_decompress_struct *info)
{
    const struct codec_picture *source = jpeg->source;
    struct picture *picture = jpeg->picture;
    if (!picture_new(picture, (int)info->output_width, (int)info->output_height, info->output_components, source->arena,
                     source->err))
        return false;
    picture->shows = (struct picture_box){.right = info->image_width, .bottom = info->image_height};
    size_t pitch = (size_t)info->output_width * (size_t)info->output_components;
    while (info->output_scanline < info->output_height) {
        JSAMPROW row = picture->pixels + info->output_scanline * pitch;
        jpeg_read_scanlines(info, &row, 1);
    }
    return info->out_color_space != JCS_CMYK || uncmyk(picture, info->saw_Adobe_marker, source->watch) ||
           watch_refuse(source->watch, source->err);
}

static bool jpeg_read(struct jpeg *jpeg, struct jpeg_decompress_struct *info)
{
    const struct codec_picture *source = jpeg->source;
    struct survey survey = {.source = source, .at = source->body.at, .end = source->body.end};
    survey_file(&survey);
    if (survey.n_components && !codec_parts_check_size(source, (uint64_t)survey.width, (uint64_t)survey.height))
        return false;
    if (!check_cost(&survey) || !check_scans(&survey))
        return false;
    jpeg->at = source->body.at;
    jpeg->end = survey.has_end ? source->body.end : survey.end;
    jpeg_save_markers(info, JPEG_APP0 + 1, 0xffff);
    jpeg_read_header(info, TRUE);
    if (!codec_parts_check_size(source, info->image_width, info->image_height))
        return false;
    jpeg->orientation = jpeg_orientation(info);
    bool gray = info->jpeg_color_space == JCS_GRAYSCALE;
    bool inks = info->jpeg_color_space == JCS_CMYK || info->jpeg_color_space == JCS_YCCK;
    info->out_color_space = gray ? JCS_GRAYSCALE : inks ? JCS_CMYK : JCS_RGB;
    info->scale_num = 1;
    info->scale_denom = jpeg_shrink(source->need, info->image_width, info->image_height);
    jpeg_start_decompress(info);
    return jpeg_rows(jpeg, info);
}

static bool jpeg_failed(const struct jpeg *jpeg)
{
    const struct codec_picture *source = jpeg->source;
    if (watch_over(source->watch))
        return watch_refuse(source->watch, source->err);
    if (jpeg->errors.msg_code == JERR_OUT_OF_MEMORY)
        return err_memory(source->err, "the JPEG decoder", bytes_size(source->body));
    return err_set(source->err, ERR_INVALID,
                   "the JPEG cannot be decoded: %s; is it complete? Any JPEG that a viewer opens "
                   "will do",
                   jpeg->reason);
}

bool codec_jpeg_decode(const struct codec_picture *source, struct picture *picture)
{
    struct picture decoded = {0};
    struct jpeg jpeg = {.source = source, .picture = &decoded, .orientation = 1};
    struct jpeg_decompress_struct info = {.err = jpeg_std_error(&jpeg.errors)};
    jpeg.errors.error_exit = jpeg_escape;
    jpeg.errors.emit_message = jpeg_message;
    jpeg.errors.output_message = jpeg_silent;
    jpeg.progress.progress_monitor = jpeg_progress;
    jpeg.feed = (struct jpeg_source_mgr){.init_source = feed_begin,
                                         .fill_input_buffer = feed_fill,
                                         .skip_input_data = feed_skip,
                                         .resync_to_restart = jpeg_resync_to_restart,
                                         .term_source = feed_end};
    if (setjmp(jpeg.escape)) {
        jpeg_destroy_decompress(&info);
        return jpeg_failed(&jpeg);
    }
    jpeg_create_decompress(&info);
    info.src = &jpeg.feed;
    info.progress = &jpeg.progress;
    bool ok = jpeg_read(&jpeg, &info);
    jpeg_destroy_decompress(&info);
    return ok && picture_turn(&decoded, jpeg.orientation, picture, source->watch, source->arena, source->err);
}
