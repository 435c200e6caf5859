/*
 * sound_file.c - FLAC and Ogg -> frames. The door to libsndfile, opened when the first such sound comes.
 *
 * The library recognises dozens of formats by their contents, among them some that hardly anybody has read with hostile
 * bytes. So it is shown only what begins as one of these two does, an Ogg only if its first page says Opus or FLAC; and
 * what it then calls something else is refused. Vorbis is refused: of one with broken heads libsndfile 1.2 keeps some
 * kilobytes for ever. It reads the body through callbacks that look at the watch, and frames come in small blocks. (It
 * reads MP3s as well, but lets its decoder write to stderr what it thinks of them: sound_mp3.c.)
 *
 * A FLAC says how many frames it has, and fewer are an error. An Ogg that is cut short ends earlier, and is taken for
 * what is there.
 */
#include "serve/sound.h"

#include "base/err.h"

#include <dlfcn.h>
#include <inttypes.h>
#include <pthread.h>
#include <sndfile.h>

static struct {
    __typeof__(&sf_open_virtual) open_virtual;
    __typeof__(&sf_readf_float) read;
    __typeof__(&sf_close) close;
    __typeof__(&sf_error) error;
    bool there;
} library;

static void open_library(void)
{
    void *handle = dlopen("libsndfile.so.1", RTLD_LAZY | RTLD_LOCAL);
    if (!handle)
        return;
    *(void **)&library.open_virtual = dlsym(handle, "sf_open_virtual");
    *(void **)&library.read = dlsym(handle, "sf_readf_float");
    *(void **)&library.close = dlsym(handle, "sf_close");
    *(void **)&library.error = dlsym(handle, "sf_error");
    library.there = library.open_virtual && library.read && library.close && library.error;
}

/* --- the body as a file ------------------------------------------------------------------------------------------- */

struct stream {
    struct bytes bytes;
    sf_count_t at;
    struct watch *watch;
};

static sf_count_t stream_length(void *user)
{
    const struct stream *stream = user;
    return (sf_count_t)bytes_size(stream->bytes);
}

static sf_count_t stream_seek(sf_count_t offset, int whence, void *user)
{
    struct stream *stream = user;
    const sf_count_t size = stream_length(user), from = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? stream->at : size;
    sf_count_t to;
    if (__builtin_add_overflow(from, offset, &to) || to < 0 || to > size)
        return -1;
    return stream->at = to;
}

static sf_count_t stream_read(void *to, sf_count_t n, void *user)
{
    struct stream *stream = user;
    const sf_count_t left = stream_length(user) - stream->at;
    n = n < left ? n : left;
    if (n <= 0 || !watch_spend(stream->watch, n))
        return 0;
    memcpy(to, stream->bytes.at + stream->at, (size_t)n);
    stream->at += n;
    return n;
}

static sf_count_t stream_write(const void *from, sf_count_t n, void *user)
{
    (void)from, (void)n, (void)user;
    return 0;
}

static sf_count_t stream_tell(void *user)
{
    return ((struct stream *)user)->at;
}

/* --- what it is --------------------------------------------------------------------------------------------------- */

/* The first packet of an Ogg's first page (RFC 3533, 6). */
static struct bytes first_packet(struct bytes body)
{
    const size_t head = 27 + (bytes_size(body) > 27 ? body.at[26] : 0);
    return (struct bytes){body.at + (head < bytes_size(body) ? head : bytes_size(body)), body.end};
}

/* What the library must call it. */
static bool judge(const struct sound *sound, int *format)
{
    if (bytes_begin_text(sound->body, "fLaC")) {
        *format = SF_FORMAT_FLAC;
        return true;
    }
    if (bytes_begin_text(sound->body, "OggS")) {
        const struct bytes packet = first_packet(sound->body);
        *format = SF_FORMAT_OGG;
        return bytes_begin_text(packet, "OpusHead") ||
               bytes_begin(packet,
                           "\x7f"
                           "FLAC",
                           5) ||
               err_set(sound->err, ERR_MEDIA_TYPE, "the body is an Ogg that holds %s; send Opus or FLAC, or a WAV",
                       bytes_begin(packet, "\x01vorbis", 7) ? "Vorbis" : "neither Opus nor FLAC");
    }
    return err_set(sound->err, ERR_INVALID, "the body is neither a FLAC nor an Ogg");
}

/* --- decoding ----------------------------------------------------------------------------------------------------- */

static bool read_frames(struct sound *sound, SNDFILE *file, const SF_INFO *info)
{
    float block[SOUND_BLOCK];
    const sf_count_t most = SOUND_BLOCK / info->channels;
    sf_count_t n, total = 0;
    while ((n = library.read(file, block, most)) > 0) {
        total += n;
        if (n > most || !sound_put(sound, block, n))
            return false;
    }
    if (watch_over(sound->watch))
        return watch_refuse(sound->watch, sound->err);
    const bool short_flac =
        (info->format & SF_FORMAT_TYPEMASK) == SF_FORMAT_FLAC && info->frames > total && info->frames < INT64_MAX / 2;
    if (library.error(file) || short_flac)
        return err_set(sound->err, ERR_INVALID, "the sound is broken or cut short after %.3f seconds",
                       (double)total / sound->from_rate);
    return true;
}

static bool decode(struct sound *sound, struct stream *stream, int format)
{
    SF_VIRTUAL_IO io = {.get_filelen = stream_length,
                        .seek = stream_seek,
                        .read = stream_read,
                        .write = stream_write,
                        .tell = stream_tell};
    SF_INFO info = {0};
    SNDFILE *file = library.open_virtual(&io, SFM_READ, &info, stream);
    if (!file)
        return watch_over(sound->watch) ? watch_refuse(sound->watch, sound->err)
                                        : err_set(sound->err, ERR_INVALID, "the sound's head is broken or cut short");
    bool ok = (info.format & SF_FORMAT_TYPEMASK) == format ||
              err_set(sound->err, ERR_INVALID, "the sound is not what it begins as");
    ok = ok && sound_begin(sound, info.samplerate, info.channels) && read_frames(sound, file, &info);
    library.close(file);
    return ok;
}

bool sound_file_decode(struct sound *sound)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct stream stream = {.bytes = sound->body, .watch = sound->watch};
    int format;
    if (!judge(sound, &format))
        return false;
    pthread_once(&once, open_library);
    if (!library.there)
        return err_set(sound->err, ERR_MEDIA_TYPE,
                       "FLAC and Ogg are read by libsndfile.so.1, which is not installed here; send a WAV");
    return decode(sound, &stream, format);
}
