/*
 * sound_mp3.c - MP3 -> frames. The door to libmpg123, opened when the first MP3 comes.
 *
 * The decoder is fed piece by piece and told to be quiet. It is shown the file from its first frame on: tags are
 * stepped over here, and what has no frame of layer III behind them is refused. An MP3 has no length that could be
 * trusted and no checksums: it is taken for what is there, damaged frames as the decoder hears them.
 */
#include "serve/sound.h"

#include "base/err.h"

#include <dlfcn.h>
#include <mpg123.h>
#include <pthread.h>

#define FED 16384 /* bytes at a time */

static struct {
    __typeof__(&mpg123_new) new;
    __typeof__(&mpg123_delete) delete;
    __typeof__(&mpg123_param) param;
    __typeof__(&mpg123_open_feed) open_feed;
    __typeof__(&mpg123_feed) feed;
    __typeof__(&mpg123_read) read;
    __typeof__(&mpg123_getformat) getformat;
    bool there;
} library;

static void open_library(void)
{
    void *handle = dlopen("libmpg123.so.0", RTLD_LAZY | RTLD_LOCAL);
    if (!handle)
        return;
    int (*init)(void) = NULL;
    *(void **)&init = dlsym(handle, "mpg123_init");
    *(void **)&library.new = dlsym(handle, "mpg123_new");
    *(void **)&library.delete = dlsym(handle, "mpg123_delete");
    *(void **)&library.param = dlsym(handle, "mpg123_param");
    *(void **)&library.open_feed = dlsym(handle, "mpg123_open_feed");
    *(void **)&library.feed = dlsym(handle, "mpg123_feed");
    *(void **)&library.read = dlsym(handle, "mpg123_read");
    *(void **)&library.getformat = dlsym(handle, "mpg123_getformat");
    library.there = init && init() == MPG123_OK &&
                    library.new &&library.delete &&library.param &&library.open_feed &&library.feed &&library
                        .read &&library.getformat;
}

/* Past ID3v2 tags (id3.org, 2.4.0, 3.1: sizes are of 7 bits a byte), of which there may be several. */
static struct bytes past_tags(struct bytes body)
{
    while (bytes_size(body) >= 10 && bytes_begin_text(body, "ID3")) {
        const uint8_t *b = body.at;
        const size_t size = ((size_t)(b[6] & 127) << 21) + ((size_t)(b[7] & 127) << 14) + ((size_t)(b[8] & 127) << 7) +
                            (b[9] & 127) + 10 + (b[5] & 16 ? 10 : 0);
        body.at += size < bytes_size(body) ? size : bytes_size(body);
    }
    while (body.at < body.end && *body.at == 0) /* padding that the tag does not count */
        body.at++;
    return body;
}

/* The head of an MPEG frame of layer III (ISO 11172-3, 2.4.1.3). */
static bool is_mpeg_frame(struct bytes b)
{
    return bytes_size(b) >= 4 && b.at[0] == 0xff && (b.at[1] & 0xe6) == 0xe2 && (b.at[1] & 0x18) != 0x08 &&
           (b.at[2] & 0xf0) != 0xf0 && (b.at[2] & 0x0c) != 0x0c;
}

/* What the decoder says of the frames that come; it may not change on the way. */
static bool read_head(struct sound *sound, mpg123_handle *decoder)
{
    long rate = 0;
    int channels = 0, encoding = 0;
    if (library.getformat(decoder, &rate, &channels, &encoding) != MPG123_OK || encoding != MPG123_ENC_FLOAT_32)
        return err_set(sound->err, ERR_INTERNAL, "the MP3 could not be decoded to floats");
    if (!sound->channels)
        return sound_begin(sound, rate, channels);
    return (sound->from_rate == rate && sound->channels == channels) ||
           err_set(sound->err, ERR_INVALID, "the MP3 changes its rate or its channels after %.3f seconds",
                   (double)sound->n_frames / sound->from_rate);
}

/* What can be decoded of the bytes that were fed. */
static bool read_frames(struct sound *sound, mpg123_handle *decoder)
{
    for (;;) {
        float block[SOUND_BLOCK];
        size_t n_bytes = 0;
        const int told = library.read(decoder, (void *)block, sizeof block, &n_bytes);
        if (told == MPG123_NEW_FORMAT && !read_head(sound, decoder))
            return false;
        if (n_bytes && (!sound->channels || n_bytes > sizeof block))
            return err_set(sound->err, ERR_INTERNAL, "the MP3 could not be decoded");
        if (n_bytes && !sound_put(sound, block, (int64_t)(n_bytes / sizeof *block) / sound->channels))
            return false;
        if (told == MPG123_NEED_MORE || told == MPG123_DONE)
            return true;
        if (told != MPG123_OK && told != MPG123_NEW_FORMAT)
            return err_set(sound->err, ERR_INVALID, "the MP3 is broken after %.3f seconds",
                           sound->channels ? (double)sound->n_frames / sound->from_rate : 0);
        if (!watch_spend(sound->watch, 1))
            return watch_refuse(sound->watch, sound->err);
    }
}

static bool decode(struct sound *sound, mpg123_handle *decoder, struct bytes rest)
{
    if (library.param(decoder, MPG123_ADD_FLAGS, MPG123_QUIET | MPG123_FORCE_FLOAT, 0) != MPG123_OK ||
        library.open_feed(decoder) != MPG123_OK)
        return err_set(sound->err, ERR_INTERNAL, "the decoder of MP3s could not be started");
    while (rest.at < rest.end) {
        const size_t n = bytes_size(rest) < FED ? bytes_size(rest) : FED;
        if (!watch_spend(sound->watch, (int64_t)n))
            return watch_refuse(sound->watch, sound->err);
        if (library.feed(decoder, rest.at, n) != MPG123_OK)
            return err_set(sound->err, ERR_MEMORY, "out of memory to decode an MP3");
        rest.at += n;
        if (!read_frames(sound, decoder))
            return false;
    }
    return true;
}

bool sound_mp3_decode(struct sound *sound)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const struct bytes frames = past_tags(sound->body);
    if (!is_mpeg_frame(frames))
        return err_set(sound->err, ERR_INVALID,
                       "the body has no frame of MPEG layer III where an MP3 has its first one");
    pthread_once(&once, open_library);
    mpg123_handle *decoder = library.there ? library.new(NULL, NULL) : NULL;
    if (!decoder)
        return err_set(sound->err, ERR_MEDIA_TYPE,
                       "MP3s are read by libmpg123.so.0, which is not installed here; send a WAV");
    const bool ok = decode(sound, decoder, frames);
    library.delete(decoder);
    return ok;
}
