/*
 * sound_pcm.c - samples as numbers -> frames: in a WAV, or without any head.
 *
 * WAV is what everybody has, so it is read here, without a library: integers of 8 to 32 bits, floats of 32 and 64,
 * A-law and mu-law (ITU-T G.711). Other codings in a WAV are refused by their numbers. What the head says is judged
 * before anything is decoded; a data chunk that is longer than the file is an error, but for the sizes that programs
 * write who cannot go back to fill them in: then the file's end is the sound's.
 *
 * Samples without a head come as audio/L16 (RFC 3551, 4.5.11: big-endian) or as audio/x-raw in GStreamer's words
 * (format=S16LE, rate=, channels=), which the Content-Type says.
 */
#include "serve/sound.h"

#include "base/err.h"

#include <inttypes.h>
#include <math.h>
#include <strings.h>

#define SIZE_UNKNOWN 0x7ffff000u /* data of at least so many bytes: its writer did not know */

enum coding { PCM_INTEGER, PCM_UNSIGNED_8, PCM_FLOAT, PCM_A_LAW, PCM_MU_LAW };

struct pcm {
    enum coding coding;
    int n_bytes; /* of a sample */
    bool big_endian;
    int64_t rate, channels;
    struct bytes data;
};

/* --- one sample --------------------------------------------------------------------------------------------------- */

static uint64_t word(const uint8_t *at, int n, bool big_endian)
{
    uint64_t value = 0;
    for (int i = 0; i < n; i++)
        value |= (uint64_t)at[big_endian ? n - 1 - i : i] << (8 * i);
    return value;
}

static float of_float(uint64_t bits, int n_bytes)
{
    union {
        uint32_t bits;
        float value;
    } single = {.bits = (uint32_t)bits};
    union {
        uint64_t bits;
        double value;
    } twice = {.bits = bits};
    return n_bytes == 4 ? single.value : (float)twice.value;
}

/* G.711's laws as 16-bit numbers, mu-law first. */
static float of_law(uint8_t code, bool mu)
{
    code = mu ? (uint8_t)~code : code ^ 0x55;
    const int exponent = code >> 4 & 7, mantissa = code & 15;
    int value = mu ? (((mantissa << 3) + 132) << exponent) - 132 : (mantissa << 4) + (exponent ? 264 : 8);
    if (!mu && exponent > 1)
        value <<= exponent - 1;
    const bool negative = mu ? code & 0x80 : !(code & 0x80);
    return (float)(negative ? -value : value) / 32768;
}

static float sample(const struct pcm *pcm, const uint8_t *at)
{
    switch (pcm->coding) {
    case PCM_UNSIGNED_8:
        return (float)(*at - 128) / 128;
    case PCM_FLOAT:
        return of_float(word(at, pcm->n_bytes, pcm->big_endian), pcm->n_bytes);
    case PCM_A_LAW:
    case PCM_MU_LAW:
        return of_law(*at, pcm->coding == PCM_MU_LAW);
    default: {
        const int64_t high = (int64_t)(word(at, pcm->n_bytes, pcm->big_endian) << (64 - 8 * pcm->n_bytes));
        return (float)ldexp((double)high, -63);
    }
    }
}

static bool decode(struct sound *sound, const struct pcm *pcm)
{
    if (!sound_begin(sound, pcm->rate, pcm->channels))
        return false;
    const size_t frame = (size_t)pcm->channels * (size_t)pcm->n_bytes, most = SOUND_BLOCK / (size_t)pcm->channels;
    size_t left = bytes_size(pcm->data) / frame;
    const uint8_t *at = pcm->data.at;
    if (left > (size_t)sound->most_seconds * (size_t)pcm->rate)
        return err_set(sound->err, ERR_TOO_LARGE,
                       "the sound has %.1f seconds; at most %" PRId64 " are accepted (--max-audio-seconds)",
                       (double)left / (double)pcm->rate, sound->most_seconds);
    while (left) {
        float block[SOUND_BLOCK];
        const size_t n = left < most ? left : most;
        for (size_t i = 0; i < n * (size_t)pcm->channels; i++, at += pcm->n_bytes)
            block[i] = sample(pcm, at);
        if (!sound_put(sound, block, (int64_t)n))
            return false;
        left -= n;
    }
    return true;
}

/* --- WAV ---------------------------------------------------------------------------------------------------------- */

#define TAG_EXTENSIBLE 0xfffe

/* A chunk of a RIFF file. */
struct chunk {
    const uint8_t *name;
    uint32_t size;
    struct bytes data; /* as much of it as the file has */
};

static bool next_chunk(struct bytes *rest, struct chunk *chunk)
{
    if (bytes_size(*rest) < 8)
        return false;
    const uint8_t *head = rest->at;
    *chunk = (struct chunk){.name = head, .size = (uint32_t)word(head + 4, 4, false)};
    rest->at += 8;
    const size_t left = bytes_size(*rest), n = chunk->size < left ? chunk->size : left;
    chunk->data = bytes_of(rest->at, n);
    rest->at += n < left ? n + (n & 1) : n; /* chunks begin at even bytes */
    return true;
}

static bool is_chunk(const struct chunk *chunk, const char *name)
{
    return memcmp(chunk->name, name, 4) == 0;
}

/* The codings that are read, by their numbers in a WAV's format and their bits. */
static bool find_coding(const struct sound *sound, unsigned tag, unsigned bits, struct pcm *pcm)
{
    static const struct {
        unsigned tag, bits;
        enum coding coding;
    } rows[] = {
        {1, 8, PCM_UNSIGNED_8}, {1, 16, PCM_INTEGER}, {1, 24, PCM_INTEGER}, {1, 32, PCM_INTEGER},
        {3, 32, PCM_FLOAT},     {3, 64, PCM_FLOAT},   {6, 8, PCM_A_LAW},    {7, 8, PCM_MU_LAW},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].tag == tag && rows[i].bits == bits) {
            pcm->coding = rows[i].coding;
            pcm->n_bytes = (int)bits / 8;
            return true;
        }
    return err_set(sound->err, ERR_MEDIA_TYPE,
                   "the WAV holds samples of the coding 0x%04x with %u bits; send integers of 8, 16, 24 or 32 bits, "
                   "floats of 32 or 64, A-law or mu-law",
                   tag, bits);
}

static bool read_format(const struct sound *sound, struct bytes format, struct pcm *pcm)
{
    static const uint8_t guid[14] = {0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71};
    const uint8_t *at = format.at;
    if (bytes_size(format) < 16)
        return err_set(sound->err, ERR_INVALID, "the WAV's format chunk has %zu bytes; it has at least 16",
                       bytes_size(format));
    unsigned tag = (unsigned)word(at, 2, false);
    if (tag == TAG_EXTENSIBLE && bytes_size(format) >= 40 && memcmp(at + 26, guid, sizeof guid) == 0)
        tag = (unsigned)word(at + 24, 2, false);
    pcm->channels = (int64_t)word(at + 2, 2, false);
    pcm->rate = (int64_t)word(at + 4, 4, false);
    if (!find_coding(sound, tag, (unsigned)word(at + 14, 2, false), pcm))
        return false;
    const int64_t frame = (int64_t)word(at + 12, 2, false);
    return frame == pcm->channels * pcm->n_bytes || err_set(sound->err, ERR_INVALID,
                                                            "the WAV says that a frame has %" PRId64 " bytes; %" PRId64
                                                            " channels of %d bytes have another size",
                                                            frame, pcm->channels, pcm->n_bytes);
}

bool sound_pcm_wave(struct sound *sound)
{
    struct bytes rest = {sound->body.at + (bytes_size(sound->body) < 12 ? bytes_size(sound->body) : 12),
                         sound->body.end};
    struct pcm pcm = {0};
    struct chunk chunk;
    while (next_chunk(&rest, &chunk)) {
        if (!watch_spend(sound->watch, 8))
            return watch_refuse(sound->watch, sound->err);
        if (is_chunk(&chunk, "fmt ") && !read_format(sound, chunk.data, &pcm))
            return false;
        if (!is_chunk(&chunk, "data"))
            continue;
        if (!pcm.n_bytes)
            return err_set(sound->err, ERR_INVALID, "the WAV has no format chunk before its data");
        if (chunk.size > bytes_size(chunk.data) && chunk.size < SIZE_UNKNOWN)
            return err_set(sound->err, ERR_INVALID, "the WAV is cut short: of %" PRIu32 " bytes of samples it has %zu",
                           chunk.size, bytes_size(chunk.data));
        pcm.data = chunk.data;
        return decode(sound, &pcm);
    }
    return err_set(sound->err, ERR_INVALID, "the WAV is cut short: it has no samples");
}

/* --- without a head ----------------------------------------------------------------------------------------------- */

/* The value of `name=` among a media type's parameters; empty when there is none. Quotes are taken off. */
static struct bytes parameter(struct bytes type, const char *name)
{
    const size_t n = strlen(name);
    for (const uint8_t *at = type.at; at < type.end; at++) {
        if (*at != ';')
            continue;
        do
            at++;
        while (at < type.end && (*at == ' ' || *at == '\t'));
        struct bytes rest = {at, type.end};
        const uint8_t *end = bytes_size(rest) ? memchr(at, ';', bytes_size(rest)) : NULL;
        rest.end = end ? end : type.end;
        at--; /* the next one's ';' */
        if (bytes_size(rest) <= n || strncasecmp((const char *)rest.at, name, n) != 0 || rest.at[n] != '=')
            continue;
        struct bytes value = {rest.at + n + 1, rest.end};
        while (value.at < value.end && (value.end[-1] == ' ' || value.end[-1] == '\t'))
            value.end--;
        if (bytes_size(value) >= 2 && *value.at == '"' && value.end[-1] == '"')
            value = (struct bytes){value.at + 1, value.end - 1};
        return value;
    }
    return (struct bytes){0};
}

/* A number of at most nine digits; -1: none. */
static int64_t number(struct bytes text)
{
    int64_t value = 0;
    if (bytes_size(text) < 1 || bytes_size(text) > 9)
        return -1;
    for (const uint8_t *at = text.at; at < text.end; at++) {
        if (*at < '0' || *at > '9')
            return -1;
        value = value * 10 + (*at - '0');
    }
    return value;
}

static bool same(struct bytes text, const char *word)
{
    return bytes_size(text) == strlen(word) && strncasecmp((const char *)text.at, word, strlen(word)) == 0;
}

static bool read_coding(const struct sound *sound, struct pcm *pcm)
{
    static const struct {
        const char *name;
        enum coding coding;
        int n_bytes;
        bool big_endian;
    } rows[] = {
        {"S16LE", PCM_INTEGER, 2, false}, {"S16BE", PCM_INTEGER, 2, true},  {"U8", PCM_UNSIGNED_8, 1, false},
        {"S24LE", PCM_INTEGER, 3, false}, {"S32LE", PCM_INTEGER, 4, false}, {"F32LE", PCM_FLOAT, 4, false},
        {"F64LE", PCM_FLOAT, 8, false},
    };
    const struct bytes format = parameter(sound->content_type, "format");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (same(format, rows[i].name)) {
            pcm->coding = rows[i].coding;
            pcm->n_bytes = rows[i].n_bytes;
            pcm->big_endian = rows[i].big_endian;
            return true;
        }
    return err_set(sound->err, ERR_MEDIA_TYPE,
                   "audio/x-raw needs format=S16LE, S16BE, S24LE, S32LE, U8, F32LE or F64LE in its Content-Type");
}

/* What its Content-Type says. */
static bool read_type(const struct sound *sound, struct pcm *pcm)
{
    static const char l16[] = "audio/L16";
    const struct bytes type = sound->content_type;
    const bool is_l16 = bytes_size(type) >= strlen(l16) && strncasecmp((const char *)type.at, l16, strlen(l16)) == 0;
    const struct bytes channels = parameter(type, "channels");
    *pcm = (struct pcm){.coding = PCM_INTEGER,
                        .n_bytes = 2,
                        .big_endian = true,
                        .rate = number(parameter(type, "rate")),
                        .channels = bytes_size(channels) ? number(channels) : 1,
                        .data = sound->body};
    if (!is_l16 && !read_coding(sound, pcm))
        return false;
    return (pcm->rate >= 0 && pcm->channels >= 0) ||
           err_set(sound->err, ERR_MEDIA_TYPE,
                   "samples without a head need their rate in the Content-Type, as in audio/L16;rate=16000;channels=1");
}

bool sound_pcm_frame(struct bytes content_type, struct sound_frame *frame, struct percept_err *err)
{
    const struct sound sound = {.content_type = content_type, .err = err};
    struct pcm pcm;
    if (!read_type(&sound, &pcm))
        return false;
    if (pcm.channels < 1 || pcm.channels > SOUND_CHANNELS_MOST)
        return err_set(err, ERR_INVALID, "the sound has %" PRId64 " channels; 1 to %d are accepted", pcm.channels,
                       SOUND_CHANNELS_MOST);
    const uint64_t coding = (uint64_t)pcm.coding << 8 | (uint64_t)pcm.n_bytes << 1 | pcm.big_endian;
    *frame = (struct sound_frame){.n_bytes = (size_t)(pcm.channels * pcm.n_bytes),
                                  .rate = pcm.rate,
                                  .kind = (uint64_t)pcm.rate << 32 | (uint64_t)pcm.channels << 16 | coding | 1 << 15};
    return true;
}

bool sound_pcm_raw(struct sound *sound)
{
    struct pcm pcm;
    if (!read_type(sound, &pcm))
        return false;
    if (pcm.channels >= 1 && pcm.channels <= SOUND_CHANNELS_MOST &&
        bytes_size(sound->body) % (size_t)(pcm.channels * pcm.n_bytes) != 0)
        return err_set(sound->err, ERR_INVALID,
                       "the body has %zu bytes; frames of %" PRId64 " x %d bytes do not fill it",
                       bytes_size(sound->body), pcm.channels, pcm.n_bytes);
    return decode(sound, &pcm);
}
