#include "recorded.h"

#include <check.h>
#include <math.h>
#include <sndfile.h>
#include <string.h>

static void put(struct recorded *file, const void *data, size_t n)
{
    ck_assert(file->n + n <= sizeof file->at);
    memcpy(file->at + file->n, data, n);
    file->n += n;
}

static void put_number(struct recorded *file, uint32_t value, size_t n)
{
    put(file, &value, n);
}

void recorded_wave(struct recorded *file, int rate, int channels, int tag, int bits, const void *data, size_t n)
{
    const uint32_t frame = (uint32_t)(channels * bits / 8);
    file->n = 0;
    put(file, "RIFF", 4);
    put_number(file, (uint32_t)n + 36, 4);
    put(file, "WAVEfmt ", 8);
    put_number(file, 16, 4);
    put_number(file, (uint32_t)tag, 2);
    put_number(file, (uint32_t)channels, 2);
    put_number(file, (uint32_t)rate, 4);
    put_number(file, (uint32_t)rate * frame, 4);
    put_number(file, frame, 2);
    put_number(file, (uint32_t)bits, 2);
    put(file, "data", 4);
    put_number(file, (uint32_t)n, 4);
    if (n)
        put(file, data, n);
}

static sf_count_t length(void *user)
{
    return (sf_count_t)((struct recorded *)user)->n;
}

static sf_count_t seek(sf_count_t offset, int whence, void *user)
{
    struct recorded *file = user;
    const sf_count_t from = whence == SEEK_SET ? 0 : (sf_count_t)(whence == SEEK_CUR ? file->place : file->n);
    file->place = (size_t)(from + offset);
    return from + offset;
}

static sf_count_t read_back(void *to, sf_count_t n, void *user)
{
    struct recorded *file = user;
    const size_t left = file->n - file->place, some = (size_t)n < left ? (size_t)n : left;
    memcpy(to, file->at + file->place, some);
    file->place += some;
    return (sf_count_t)some;
}

static sf_count_t write_on(const void *from, sf_count_t n, void *user)
{
    struct recorded *file = user;
    ck_assert(file->place + (size_t)n <= sizeof file->at);
    memcpy(file->at + file->place, from, (size_t)n);
    file->place += (size_t)n;
    file->n = file->n > file->place ? file->n : file->place;
    return n;
}

static sf_count_t tell(void *user)
{
    return (sf_count_t)((struct recorded *)user)->place;
}

void recorded_write(struct recorded *file, enum recorded_kind kind, int rate, int channels, const float *frames,
                    int64_t n)
{
    static const int formats[] = {SF_FORMAT_FLAC | SF_FORMAT_PCM_16, SF_FORMAT_OGG | SF_FORMAT_OPUS,
                                  SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III};
    SF_VIRTUAL_IO io = {length, seek, read_back, write_on, tell};
    SF_INFO info = {.samplerate = rate, .channels = channels, .format = formats[kind]};
    file->n = file->place = 0;
    SNDFILE *out = sf_open_virtual(&io, SFM_WRITE, &info, file);
    ck_assert_msg(out != NULL, "%s", sf_strerror(NULL));
    ck_assert_int_eq(sf_writef_float(out, frames, n), n);
    sf_close(out);
}

void recorded_tone(float *frames, int64_t n, int channels, int rate, double hz)
{
    for (int64_t i = 0; i < n * channels; i++)
        frames[i] = (float)(0.5 * sin(2 * M_PI * hz * (double)(i / channels) / rate));
}
