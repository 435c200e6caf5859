/*
 * codec_image.c - a posted picture -> the network's input, as the manifest describes it.
 *
 *     sniff -> dimensions judged -> decode -> upright -> prepare (gray? ink?) -> resize -> normalize
 *
 * Formats are rows of formats.def, what is prepared of preparations.def. Decoders decode for strangers, so: what a
 * picture will cost is read from the file's own words and judged before any memory is taken; every loop over pixels
 * looks at the request's watch; whatever the decoder calls corrupt or cut short is an error, not a guess. A picture
 * whose coded samples are all there is served, with or without its format's end mark. A JPEG may be
 * shrunk while its blocks are decoded, where the manifest says so (draft).
 *
 * Runs on a worker. What is only needed on the way lies in an arena of its own, freed at the end:
 * the job keeps the tensor, and where its pixels lie in what was posted (job->view), so that what a network finds in
 * its input can be told in the client's pixels.
 */
#include "base/err.h"
#include "serve/answer.h"
#include "serve/codec_parts.h"
#include "serve/resizing.h"

#include <stdio.h>

#define THEN_AT 8

static const struct format {
    const char *name; /* "a PNG" */
    const char *magic;
    size_t n_magic;
    const char *then; /* at byte THEN_AT */
    const char *media_type;
    bool (*decode)(const struct codec_picture *source, struct picture *picture);
} formats[] = {
#define F(what, begins, after, type, others, decoder)                                                                  \
    {.name = what, .magic = begins, .n_magic = sizeof begins - 1, .then = after, .media_type = type, .decode = decoder},
#include "serve/formats.def"
#undef F
};

#define N_FORMATS (sizeof formats / sizeof *formats)

/* One picture of an input's. */
struct source {
    struct job *job;
    struct bytes body;
    const char *what;    /* "the body" */
    int64_t item, n;     /* which of how many */
    int64_t most_pixels; /* that this one may have: all of a request's together have as many as one */
    int index;           /* of the model's inputs */
    const struct percept_io *io;
    const struct manifest_image *image;
    struct watch *watch; /* the job's */
    struct arena *arena; /* freed at the end */
    struct percept_err *err;
};

static bool has_at(struct bytes body, size_t at, const char *text)
{
    return !*text || (bytes_size(body) > at && bytes_begin_text((struct bytes){body.at + at, body.end}, text));
}

static const struct format *format_of(struct bytes body)
{
    for (size_t i = 0; i < N_FORMATS; i++)
        if (bytes_begin(body, formats[i].magic, formats[i].n_magic) && has_at(body, THEN_AT, formats[i].then))
            return &formats[i];
    return NULL;
}

const char *codec_image_type(struct bytes body)
{
    const struct format *format = format_of(body);
    return format ? format->media_type : NULL;
}

/* A name for what we do not read, so that the message can say it. */
static const char *other_format(struct bytes body)
{
    static const struct codec_magic others[] = {
        {"GIF8", 4, 0, "a GIF"},
        {"BM", 2, 0, "a BMP"},
        {"II*\0", 4, 0, "a TIFF"},
        {"MM\0*", 4, 0, "a TIFF"},
        {"ftypheic", 8, 4, "a HEIC, as telephones take it"},
        {"ftypheix", 8, 4, "a HEIC, as telephones take it"},
        {"ftyphevc", 8, 4, "a HEIC"},
        {"ftypmif1", 8, 4, "a HEIC or AVIF"},
        {"ftypmsf1", 8, 4, "a HEIC"},
        {"ftypavif", 8, 4, "an AVIF"},
        {"ftypavis", 8, 4, "an AVIF"},
        {"\0\0\0\x0cJXL ", 8, 0, "a JPEG XL"},
        {"\xff\x0a", 2, 0, "a JPEG XL"},
        {"\0\0\0\x0cjP  ", 8, 0, "a JPEG 2000"},
        {"<svg", 4, 0, "an SVG"},
        {"%PDF", 4, 0, "a PDF"},
        {"{", 1, 0, "JSON"},
        {"\x89PNG", 4, 0, "a PNG without its line ends (curl takes them out with -d, not with --data-binary)"},
    };
    const char *name = codec_parts_magic(body, others, sizeof others / sizeof *others);
    return name ? name : "no picture that is known here";
}

/* What a sentence says of all formats: "a PNG or JPEG", "a PNG as image/png or a JPEG as image/jpeg". */
struct list {
    char text[256];
};

static struct list list_formats(bool with_types)
{
    struct list list = {""};
    size_t used = 0;
    for (size_t i = 0; i < N_FORMATS && used < sizeof list.text; i++) {
        const char *between = i == 0 ? "" : i + 1 < N_FORMATS ? ", " : " or ";
        const char *name = formats[i].name;
        if (with_types)
            used += (size_t)snprintf(list.text + used, sizeof list.text - used, "%s%s as %s", between, name,
                                     formats[i].media_type);
        else
            used += (size_t)snprintf(list.text + used, sizeof list.text - used, "%s%s", between,
                                     i == 0 ? name : strchr(name, ' ') + 1);
    }
    return list;
}

static bool check_format(const struct source *source, const struct format *format)
{
    if (bytes_size(source->body) == 0)
        return err_set(source->err, ERR_INVALID, "%s is empty; it must be %s picture", source->what,
                       list_formats(false).text);
    return format || err_set(source->err, ERR_MEDIA_TYPE, "%s is %s; send %s", source->what, other_format(source->body),
                             list_formats(true).text);
}

static bool decode(const struct source *source, const struct format *format, struct picture *picture)
{
    const struct codec_picture posted = {.body = source->body,
                                         .most_pixels = source->most_pixels,
                                         .need = resizing_enough(source->image),
                                         .watch = source->watch,
                                         .arena = source->arena,
                                         .err = source->err};
    return format->decode(&posted, picture);
}

/* --- to a tensor -------------------------------------------------------------------------------------------------- */

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
#define PUT_CHANNEL(name, element, of_level)                                                                           \
    static bool name(const struct resizing *framed, const struct manifest_image *image, int channel,                   \
                     int source_channel, struct strides strides, element *to, struct watch *watch)                     \
    {                                                                                                                  \
        const struct picture *p = &framed->picture;                                                                    \
        const element fill = of_level(image, channel, image->fill[channel]);                                           \
        element table[256];                                                                                            \
        for (int i = 0; i < 256; i++)                                                                                  \
            table[i] = of_level(image, channel, (float)i);                                                             \
        bool covered = p->width == framed->width && p->height == framed->height;                                       \
        for (int y = 0; !covered && y < framed->height; y++) {                                                         \
            if (!watch_spend(watch, framed->width))                                                                    \
                return false;                                                                                          \
            for (int x = 0; x < framed->width; x++)                                                                    \
                to[(size_t)y * strides.row + (size_t)x * strides.column] = fill;                                       \
        }                                                                                                              \
        to += (size_t)framed->top * strides.row + (size_t)framed->left * strides.column;                               \
        const uint8_t *from = p->pixels + source_channel;                                                              \
        for (int y = 0; y < p->height; y++) {                                                                          \
            if (!watch_spend(watch, p->width))                                                                         \
                return false;                                                                                          \
            for (int x = 0; x < p->width; x++, from += p->channels)                                                    \
                to[(size_t)y * strides.row + (size_t)x * strides.column] = table[*from];                               \
        }                                                                                                              \
        return true;                                                                                                   \
    }
PUT_CHANNEL(put_floats, float, normal)
PUT_CHANNEL(put_bytes, uint8_t, level)

static bool put_channels(const struct source *source, const struct resizing *framed)
{
    const struct manifest_image *image = source->image;
    const struct percept_tensor *tensor = &source->job->inputs[source->index];
    bool bgr = image->channels == CHANNELS_BGR;
    int n = manifest_channels(image);
    size_t width = (size_t)framed->width, plane = width * (size_t)framed->height;
    size_t first = (size_t)source->item * plane * (size_t)n;
    struct strides strides = {plane, width, 1};
    if (image->layout == IMAGE_NHWC)
        strides = (struct strides){1, width * (size_t)n, (size_t)n};
    for (int c = 0; c < n; c++) {
        int from = framed->picture.channels == 1 ? 0 : bgr ? 2 - c : c;
        size_t at = first + (size_t)c * strides.channel;
        bool ok = tensor->dtype == PERCEPT_UINT8
                      ? put_bytes(framed, image, c, from, strides, (uint8_t *)tensor->data + at, source->watch)
                      : put_floats(framed, image, c, from, strides, (float *)tensor->data + at, source->watch);
        if (!ok)
            return watch_refuse(source->watch, source->err);
    }
    return true;
}

/* [n,C,H,W], [n,H,W,C] or [n,C*H*W]; without the n, which is 1, where the model has one axis less. */
static struct percept_tensor shape_of(const struct source *source, const struct resizing *framed)
{
    const struct manifest_image *image = source->image;
    int64_t c = manifest_channels(image), h = framed->height, w = framed->width;
    enum percept_dtype dtype = source->io->dtype;
    struct percept_tensor tensor = {.dtype = dtype, .rank = 4, .dims = {source->n, c, h, w}};
    if (image->layout == IMAGE_NHWC)
        tensor = (struct percept_tensor){.dtype = dtype, .rank = 4, .dims = {source->n, h, w, c}};
    else if (image->layout == IMAGE_FLAT)
        tensor = (struct percept_tensor){.dtype = dtype, .rank = 2, .dims = {source->n, c * h * w}};
    if (source->io->rank == tensor.rank - 1 && source->n == 1 && !source->job->served->batching) {
        tensor.rank--;
        for (int i = 0; i < tensor.rank; i++)
            tensor.dims[i] = tensor.dims[i + 1];
    }
    return tensor;
}

/* The first picture says how large the input is. */
static bool begin_input(const struct source *source, const struct resizing *framed)
{
    struct job *job = source->job;
    struct percept_tensor tensor = shape_of(source, framed);
    struct percept_tensor *input = &job->inputs[source->index];
    int64_t n, pixels = (int64_t)framed->width * framed->height;
    if (!codec_count(tensor.rank, tensor.dims, &n) ||
        (source->n > 1 && !source->image->width && pixels > source->most_pixels / source->n))
        return err_set(source->err, ERR_TOO_LARGE, "the pictures have too many pixels for one request");
    if (!codec_accept(job, source->index, &tensor, source->err) ||
        !codec_parts_reserve(job, source->io->name, input, n, source->err))
        return false;
    job->views = NULL;
    if (source->n == 1)
        return true;
    job->views = arena_array(job->arena, (size_t)source->n, sizeof *job->views);
    return job->views || err_memory(source->err, "pictures' places", (size_t)source->n * sizeof *job->views);
}

static bool same_size(const struct source *source, const struct resizing *framed)
{
    const struct picture_view *first = &source->job->view;
    return (first->input_width == framed->width && first->input_height == framed->height) ||
           err_set(source->err, ERR_INVALID,
                   "it comes to %dx%d and the first to %dx%d; pictures of one request must come to one size: give the "
                   "manifest a 'size', or send them one by one",
                   framed->width, framed->height, first->input_width, first->input_height);
}

static bool to_tensor(const struct source *source, const struct resizing *framed)
{
    return (source->item ? same_size(source, framed) : begin_input(source, framed)) && put_channels(source, framed);
}

/* --- the way ------------------------------------------------------------------------------------------------------ */

static bool wants_gray(const struct manifest_image *image)
{
    return image->channels == CHANNELS_GRAY;
}

static bool make_gray(const struct picture *from, const struct manifest_image *image, struct picture *to,
                      struct watch *watch, struct arena *arena, struct percept_err *err)
{
    (void)image;
    return picture_gray(from, to, watch, arena, err);
}

static bool wants_ycbcr(const struct manifest_image *image)
{
    return image->channels == CHANNELS_Y;
}

static bool make_ycbcr(const struct picture *from, const struct manifest_image *image, struct picture *to,
                       struct watch *watch, struct arena *arena, struct percept_err *err)
{
    (void)image;
    return picture_ycbcr(from, to, watch, arena, err);
}

static bool wants_foreground(const struct manifest_image *image)
{
    return wants_gray(image) && image->ink != INK_AS_IS;
}

static bool prepare(const struct source *source, struct picture *picture)
{
    static const struct {
        bool (*wanted)(const struct manifest_image *image);
        bool (*prepare)(const struct picture *from, const struct manifest_image *image, struct picture *to,
                        struct watch *watch, struct arena *arena, struct percept_err *err);
    } rows[] = {
#define P(name, wants, function) {wants, function},
#include "serve/preparations.def"
#undef P
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct picture before = *picture;
        if (rows[i].wanted(source->image) &&
            !rows[i].prepare(&before, source->image, picture, source->watch, source->arena, source->err))
            return false;
    }
    return true;
}

/* Cb and Cr, in the job's arena: whoever makes a picture of the network's Y needs them. */
static bool keep_chroma(const struct source *source, const struct resizing *framed, struct picture_view *view)
{
    const size_t n = (size_t)framed->width * (size_t)framed->height;
    uint8_t *planes = arena_alloc(source->job->arena, 2 * n);
    if (!planes)
        return err_memory(source->err, "a picture's colours", 2 * n);
    const struct picture *p = &framed->picture;
    memset(planes, 128, 2 * n);
    for (int y = 0; y < p->height; y++) {
        if (!watch_spend(source->watch, p->width))
            return watch_refuse(source->watch, source->err);
        uint8_t *to = planes + (size_t)(framed->top + y) * (size_t)framed->width + (size_t)framed->left;
        const uint8_t *from = p->pixels + 3 * (size_t)y * (size_t)p->width;
        for (int x = 0; x < p->width; x++) {
            to[x] = from[3 * x + 1];
            to[n + (size_t)x] = from[3 * x + 2];
        }
    }
    view->cb = planes;
    view->cr = planes + n;
    return true;
}

/* What the input shows of the picture that was posted. */
static bool keep_view(const struct source *source, const struct picture *posted, const struct resizing *framed)
{
    struct job *job = source->job;
    struct picture_view view = {.width = (int)posted->shows.right,
                                .height = (int)posted->shows.bottom,
                                .input_width = framed->width,
                                .input_height = framed->height,
                                .shown = resizing_shown(framed)};
    if (source->image->channels == CHANNELS_Y && !keep_chroma(source, framed, &view))
        return false;
    if (source->item == 0)
        job->view = view;
    if (job->views)
        job->views[source->item] = view;
    return true;
}

static bool convert(const struct source *source, int64_t *n_pixels)
{
    struct picture posted, picture;
    struct resizing framed;
    const struct format *format = format_of(source->body);
    if (!check_format(source, format) || !decode(source, format, &posted))
        return false;
    picture = posted;
    *n_pixels = (int64_t)posted.shows.right * (int64_t)posted.shows.bottom;
    return prepare(source, &picture) &&
           resizing_frame(&picture, source->image, source->most_pixels, &framed, source->watch, source->arena,
                          source->err) &&
           to_tensor(source, &framed) && keep_view(source, &posted, &framed);
}

/* One of several says which it is. */
static bool convert_one(struct source *source)
{
    struct arena arena = {0};
    int64_t n_pixels = 0;
    source->arena = &arena;
    bool ok = convert(source, &n_pixels);
    arena_free(&arena);
    source->most_pixels -= n_pixels;
    return ok ||
           (source->n > 1 && source->err->code != ERR_TIMEOUT && source->err->code != ERR_CANCELLED
                ? err_prefix(source->err, "picture %lld of %lld: ", (long long)source->item + 1, (long long)source->n)
                : false);
}

static bool fill(struct source *source, const struct percept_string *pictures)
{
    struct job *job = source->job;
    if (source->n > 1 && !served_has_batch(job->served) && source->io->rank > 0 && source->io->dims[0] >= 0 &&
        source->io->dims[0] != source->n)
        return err_set(source->err, ERR_INVALID, "input '%s' takes one picture, not %lld", source->io->name,
                       (long long)source->n);
    if (source->n > 0)
        job->posted = bytes_of(pictures[0].at, pictures[0].n_bytes);
    source->most_pixels = job->served->max_pixels > 0 ? job->served->max_pixels : CODEC_MAX_PIXELS;
    for (source->item = 0; source->item < source->n; source->item++) {
        source->body = bytes_of(pictures[source->item].at, pictures[source->item].n_bytes);
        if (!convert_one(source))
            return false;
    }
    return true;
}

static struct source source_of(struct job *job, int input, const struct manifest_image *image, int64_t n,
                               struct percept_err *err)
{
    int n_inputs;
    return (struct source){.job = job,
                           .index = input,
                           .io = &served_inputs(job->served, &n_inputs)[input],
                           .image = image,
                           .n = n,
                           .what = "it",
                           .watch = &job->watch,
                           .err = err};
}

bool codec_image_fill(struct job *job, int input, const struct manifest_image *image,
                      const struct percept_string *pictures, int64_t n, struct percept_err *err)
{
    struct source source = source_of(job, input, image, n, err);
    return fill(&source, pictures) || (n > 1 ? false : err_prefix(err, "input '%s': ", source.io->name));
}

/* Whoever says what it is, is taken at his word. */
static bool check_type(const struct job *job, struct percept_err *err)
{
    const struct format *format = format_of(job->body);
    const struct codec *codec = job->codec;
    if (!format || !codec || codec->kind != MANIFEST_IMAGE || strcmp(codec->media_type, format->media_type) == 0)
        return true;
    return err_set(err, ERR_MEDIA_TYPE, "the body is %s but its Content-Type is %s; send it as %s", format->name,
                   codec->media_type, format->media_type);
}

bool codec_image_decode(struct job *job, struct percept_err *err)
{
    int n_inputs, at = codec_body_input(job);
    const struct percept_io *io = served_inputs(job->served, &n_inputs);
    const struct manifest_input *input = at >= 0 ? manifest_input(job->served->manifest, io[at].name) : NULL;
    if (!input || input->kind != MANIFEST_IMAGE)
        return err_set(err, ERR_MEDIA_TYPE, "model '%s' does not take a picture; send V2 JSON", job->served->name);
    if (!check_type(job, err) || !codec_begin(job, false, err))
        return false;
    job->predictions = true;
    job->outputs_hidden = !job->outputs_asked && answer_is_whole(job->served);
    struct percept_string body = {.at = (const char *)job->body.at, .n_bytes = bytes_size(job->body)};
    struct source source = source_of(job, at, &input->image, 1, err);
    source.what = "the body";
    return fill(&source, &body);
}

bool codec_image_posted(struct job *job, struct picture *picture, struct percept_err *err)
{
    const struct format *format = format_of(job->posted);
    if (!job->view.width || !format)
        return err_set(err, ERR_INVALID, "no picture was posted that could be drawn on");
    const int64_t limit = job->served->max_pixels;
    const struct codec_picture posted = {.body = job->posted,
                                         .most_pixels = limit > 0 ? limit : CODEC_MAX_PIXELS,
                                         .watch = &job->watch,
                                         .arena = job->arena,
                                         .err = err};
    return format->decode(&posted, picture);
}
