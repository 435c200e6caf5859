/* sound.c - any bytes as a sound: the first byte chooses what the network wants of it, the second the Content-Type. */
#include "engine/model.h"
#include "serve/codec.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Types of bare samples are parameters of the media type, which is a client's as well: the body's first 64 bytes. */
static const char *const types[] = {"audio/wav",
                                    "audio/flac",
                                    "audio/ogg",
                                    "audio/mpeg",
                                    "audio/L16;rate=16000;channels=1",
                                    "audio/x-raw;format=F32LE;rate=8000",
                                    NULL};

#define N_TYPES (sizeof types / sizeof *types)
#define TYPE_BYTES 64

static void describe(struct manifest_audio *audio, uint8_t choice)
{
    *audio = (struct manifest_audio){.rate = choice & 1 ? 16000 : 8000,
                                     .range = 1,
                                     .std = 1,
                                     .window = choice & 2 ? 800 : 0,
                                     .hop = choice & 2 ? 400 : 0,
                                     .pad = choice & 4,
                                     .context = choice & 2 ? 16 : 0,
                                     .normalize = choice & 8 ? NORMALIZE_SAMPLES : NORMALIZE_NONE,
                                     .layout = AUDIO_NT};
    const int kind = choice >> 5 & 7;
    if (kind < 1 || kind > FEATURES_KALDI_MFCC)
        return;
    struct percept_err err;
    features_defaults(&audio->features, (enum features_kind)kind, audio->rate);
    features_complete(&audio->features, &err);
    audio->layout = choice & 16 ? AUDIO_NTF : AUDIO_NFT;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 2)
        return 0;
    struct percept_io input = {.name = "x", .dtype = PERCEPT_FLOAT, .rank = -1};
    struct percept_model model = {.n_inputs = 1, .inputs = &input};
    struct manifest_input described = {.name = "x", .kind = MANIFEST_AUDIO};
    describe(&described.audio, data[0]);
    struct manifest manifest = {.path = "", .n_inputs = 1, .inputs = &described};
    struct served served = {.name = "m",
                            .model = &model,
                            .manifest = &manifest,
                            .batching = true,
                            .max_batch_size = 64,
                            .max_audio_seconds = 20};
    struct arena arena = {.limit_bytes = (size_t)256 << 20};
    struct percept_err err = {0};
    struct job job = {.arena = &arena, .served = &served, .json_bytes = -1};
    const char *type = types[data[1] % N_TYPES];
    data += 2;
    n -= 2;
    job.content_type = type ? bytes_of_text(type) : bytes_of(data, n < TYPE_BYTES ? n : TYPE_BYTES);
    job.body =
        type ? bytes_of(data, n) : bytes_of(data + bytes_size(job.content_type), n - bytes_size(job.content_type));
    struct percept_err none;
    job.codec = codec_find(&served, job.content_type, &none);
    codec_audio_decode(&job, &err);
    arena_free(&arena);
    return 0;
}
