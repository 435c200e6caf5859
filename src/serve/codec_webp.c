/*
 * codec_webp.c - a WebP's bytes -> pixels. The door to libwebp, which is opened when the first WebP comes: linked, it
 * would cost every start, and few clients send any. Where it is absent the sentence says so.
 *
 * The library gets the file in pieces, so that pieces look at the watch: at least PIECE_BYTES, and a sixteenth of the
 * file, since it reads the head of a lossless picture anew with each. What a picture will cost is known from its first
 * bytes and judged before memory is taken. A file whose coded samples are not all there is refused, an animation too.
 * Transparent pixels lie on white. Runs on a worker; several may open the library at once, pthread_once lets one.
 */
#include "base/err.h"
#include "serve/codec_parts.h"

#include <dlfcn.h>
#include <pthread.h>

#include <webp/decode.h>

#define PIECE_BYTES 131072
#define PIECES_MAX 16

static struct {
    __typeof__(&WebPGetFeaturesInternal) features;
    __typeof__(&WebPINewRGB) begin;
    __typeof__(&WebPIUpdate) update;
    __typeof__(&WebPIDelete) end;
} library;

static void open_library(void)
{
    void *opened = dlopen("libwebp.so.7", RTLD_LAZY | RTLD_LOCAL);
    if (!opened)
        return;
    *(void **)&library.features = dlsym(opened, "WebPGetFeaturesInternal");
    *(void **)&library.begin = dlsym(opened, "WebPINewRGB");
    *(void **)&library.update = dlsym(opened, "WebPIUpdate");
    *(void **)&library.end = dlsym(opened, "WebPIDelete");
}

static bool has_library(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, open_library);
    return library.features && library.begin && library.update && library.end;
}

static bool failed(const struct codec_picture *source, VP8StatusCode code)
{
    if (watch_over(source->watch))
        return watch_refuse(source->watch, source->err);
    if (code == VP8_STATUS_OUT_OF_MEMORY)
        return err_memory(source->err, "the WebP decoder", bytes_size(source->body));
    const char *why = code == VP8_STATUS_SUSPENDED || code == VP8_STATUS_NOT_ENOUGH_DATA ? "it is cut short"
                      : code == VP8_STATUS_UNSUPPORTED_FEATURE ? "it has a feature that libwebp does not know"
                                                               : "its bytes are damaged";
    return err_set(source->err, ERR_INVALID,
                   "the WebP cannot be decoded: %s; is it complete? Any WebP that a viewer opens will do", why);
}

static bool read_pieces(const struct codec_picture *source, WebPIDecoder *decoder)
{
    const size_t size = bytes_size(source->body), part = size / PIECES_MAX + 1;
    const size_t piece = part > PIECE_BYTES ? part : PIECE_BYTES;
    VP8StatusCode code = VP8_STATUS_SUSPENDED;
    for (size_t n = 0; code == VP8_STATUS_SUSPENDED && n < size;) {
        n = size - n < piece ? size : n + piece;
        if (!watch_spend(source->watch, (int64_t)piece))
            break;
        code = library.update(decoder, source->body.at, n);
    }
    return code == VP8_STATUS_OK || failed(source, code);
}

static bool read_pixels(const struct codec_picture *source, struct picture *picture)
{
    const size_t pitch = (size_t)picture->width * (size_t)picture->channels;
    WebPIDecoder *decoder = library.begin(picture->channels == 4 ? MODE_RGBA : MODE_RGB, picture->pixels,
                                          pitch * (size_t)picture->height, (int)pitch);
    if (!decoder)
        return err_memory(source->err, "the WebP decoder", bytes_size(source->body));
    bool ok = read_pieces(source, decoder);
    library.end(decoder);
    return ok;
}

bool codec_webp_decode(const struct codec_picture *source, struct picture *picture)
{
    WebPBitstreamFeatures features;
    if (!has_library())
        return err_set(
            source->err, ERR_MEDIA_TYPE,
            "the picture is a WebP, and libwebp.so.7, which reads it, is not installed here; send a PNG or JPEG");
    VP8StatusCode code =
        library.features(source->body.at, bytes_size(source->body), &features, WEBP_DECODER_ABI_VERSION);
    if (code != VP8_STATUS_OK)
        return failed(source, code);
    if (!codec_parts_check_size(source, (uint64_t)features.width, (uint64_t)features.height))
        return false;
    if (features.has_animation)
        return err_set(source->err, ERR_MEDIA_TYPE, "the WebP is an animation; send one of its frames as a picture");
    if (!picture_new(picture, features.width, features.height, features.has_alpha ? 4 : 3, source->arena,
                     source->err) ||
        !read_pixels(source, picture))
        return false;
    return !features.has_alpha || picture_flatten(picture, source->watch) || watch_refuse(source->watch, source->err);
}
