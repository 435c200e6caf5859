/*
 * sound_rate.c - the door to libsoxr, which changes the rate of samples.
 *
 * Opened when the first sound comes whose rate is another than the network's: a program that is linked with it starts
 * later and larger, whether or not a sound ever comes. Its high quality (20 bits) is what the tools that networks are
 * trained with use. One stream per sound, on the thread that has the sound; it is told to use no other.
 */
#include "serve/sound.h"

#include "base/err.h"

#include <dlfcn.h>
#include <pthread.h>
#include <soxr.h>

#define DRAWN 4096 /* samples that are taken out at a time */

static struct {
    __typeof__(&soxr_create) create;
    __typeof__(&soxr_process) process;
    __typeof__(&soxr_delete) delete;
    __typeof__(&soxr_io_spec) io_spec;
    __typeof__(&soxr_quality_spec) quality_spec;
    __typeof__(&soxr_runtime_spec) runtime_spec;
    bool there;
} library;

struct sound_rate {
    soxr_t stream;
};

static void open_library(void)
{
    void *handle = dlopen("libsoxr.so.0", RTLD_LAZY | RTLD_LOCAL);
    if (!handle)
        return;
    *(void **)&library.create = dlsym(handle, "soxr_create");
    *(void **)&library.process = dlsym(handle, "soxr_process");
    *(void **)&library.delete = dlsym(handle, "soxr_delete");
    *(void **)&library.io_spec = dlsym(handle, "soxr_io_spec");
    *(void **)&library.quality_spec = dlsym(handle, "soxr_quality_spec");
    *(void **)&library.runtime_spec = dlsym(handle, "soxr_runtime_spec");
    library.there = library.create && library.process && library.delete &&library.io_spec && library.quality_spec &&
                    library.runtime_spec;
}

bool sound_rate_open(struct sound *sound)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, open_library);
    if (!library.there)
        return err_set(sound->err, ERR_UNSUPPORTED,
                       "the sound has %d samples a second and the network takes %d; libsoxr.so.0, which changes that, "
                       "is not installed here: send %d",
                       sound->from_rate, sound->rate, sound->rate);
    struct sound_rate *changed = arena_alloc(sound->arena, sizeof *changed);
    if (!changed)
        return err_memory(sound->err, "a sound", sizeof *changed);
    const soxr_io_spec_t io = library.io_spec(SOXR_FLOAT32_I, SOXR_FLOAT32_I);
    const soxr_quality_spec_t quality = library.quality_spec(SOXR_HQ, 0);
    const soxr_runtime_spec_t runtime = library.runtime_spec(1);
    soxr_error_t failed = NULL;
    changed->stream = library.create(sound->from_rate, sound->rate, 1, &failed, &io, &quality, &runtime);
    if (!changed->stream)
        return err_set(sound->err, ERR_MEMORY, "out of memory to change a sound's rate from %d to %d", sound->from_rate,
                       sound->rate);
    sound->changed = changed;
    return true;
}

bool sound_rate_put(struct sound *sound, const float *samples, int64_t n)
{
    float drawn[DRAWN];
    size_t used = 0, n_drawn = 0, at = 0;
    do {
        if (library.process(sound->changed->stream, samples ? samples + at : NULL, samples ? (size_t)n - at : 0, &used,
                            drawn, DRAWN, &n_drawn))
            return err_set(sound->err, ERR_MEMORY, "a sound's rate could not be changed: out of memory");
        if (!used && !n_drawn && at < (size_t)n)
            return err_set(sound->err, ERR_INTERNAL, "a sound's rate could not be changed");
        at += samples ? used : 0;
        if (!watch_spend(sound->watch, 8 * (int64_t)(n_drawn + used)))
            return watch_refuse(sound->watch, sound->err);
        if (!sound_keep(sound, drawn, (int64_t)n_drawn))
            return false;
    } while (n_drawn || at < (size_t)n);
    return true;
}

void sound_rate_close(struct sound *sound)
{
    if (sound->changed)
        library.delete(sound->changed->stream);
    sound->changed = NULL;
}
