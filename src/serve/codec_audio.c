/*
 * codec_audio.c - a posted sound -> the network's input, as the manifest describes it.
 *
 *     sniff -> decode, mix, resample (sound.h) -> silence around -> windows -> features -> a tensor
 *
 * Formats are rows of sounds.def. A sound that is longer than the network's window becomes several items of one
 * request, and job->sound keeps where each lies, so that replies can tell it in seconds. Windows count from the
 * sound's beginning, silence that the manifest puts before it among it; the last one is filled with zeros where the
 * manifest says so, and otherwise what does not fill a window is left out.
 *
 * Runs on a worker. What is only needed on the way lies in an arena of its own, freed at the end.
 */
#include "base/err.h"
#include "serve/codec_parts.h"
#include "serve/sound_stream.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#define FEATURE_ELEMENTS_MOST ((int64_t)1 << 27) /* of a request: half a gigabyte */

/* --- formats ------------------------------------------------------------------------------------------------------ */

static bool is_wave(struct bytes body)
{
    return bytes_size(body) >= 12 && bytes_begin_text(body, "RIFF") && memcmp(body.at + 8, "WAVE", 4) == 0;
}

static bool is_flac(struct bytes body)
{
    return bytes_begin_text(body, "fLaC");
}

static bool is_ogg(struct bytes body)
{
    return bytes_begin_text(body, "OggS");
}

/* ID3, or a frame of layer III; layer 0 is ADTS, which holds AAC. */
static bool is_mp3(struct bytes body)
{
    return bytes_begin_text(body, "ID3") ||
           (bytes_size(body) >= 4 && body.at[0] == 0xff && (body.at[1] & 0xe6) == 0xe2 && (body.at[1] & 0x18) != 0x08);
}

static const struct format {
    const char *name; /* "a WAV" */
    bool (*is)(struct bytes body);
    const char *media_type;
    bool (*decode)(struct sound *sound);
} formats[] = {
#define S(what, test, type, others, decoder) {.name = what, .is = test, .media_type = type, .decode = decoder},
#include "serve/sounds.def"
#undef S
};

#define N_FORMATS (sizeof formats / sizeof *formats)

/* One decoding. */
struct source {
    struct job *job;
    int index; /* of the model's inputs */
    const struct percept_io *io;
    const struct manifest_audio *audio;
    struct arena *arena; /* freed at the end */
    struct percept_err *err;
};

static const struct format *begins_as(struct bytes body)
{
    for (size_t i = 0; i < N_FORMATS; i++)
        if (formats[i].is && formats[i].is(body))
            return &formats[i];
    return NULL;
}

const char *codec_audio_type(struct bytes body)
{
    const struct format *format = begins_as(body);
    return format ? format->media_type : NULL;
}

static const struct format *raw_format(const struct codec *codec)
{
    for (size_t i = 0; i < N_FORMATS; i++)
        if (!formats[i].is && codec && strcmp(codec->media_type, formats[i].media_type) == 0)
            return &formats[i];
    return NULL;
}

bool codec_audio_is_raw(const struct codec *codec)
{
    return raw_format(codec);
}

/* Samples without a head are what their type says, whatever they begin with. */
static const struct format *format_of(const struct job *job)
{
    const struct format *raw = raw_format(job->codec);
    return raw ? raw : begins_as(job->body);
}

/* What else the body may be, for the sentence. */
static const char *other_format(struct bytes body)
{
    static const struct codec_magic others[] = {
        {"\x1a\x45\xdf\xa3", 4, 0, "a WebM or Matroska"},
        {"ftyp", 4, 4, "an M4A or MP4"},
        {"\xff\xf1", 2, 0, "an AAC"},
        {"\xff\xf9", 2, 0, "an AAC"},
        {"FORM", 4, 0, "an AIFF"},
        {"caff", 4, 0, "a CAF"},
        {".snd", 4, 0, "an AU"},
        {"RF64", 4, 0, "an RF64"},
        {"RIFX", 4, 0, "a big-endian WAV"},
        {"#!AMR", 5, 0, "an AMR"},
        {"{", 1, 0, "JSON"},
    };
    const char *name = codec_parts_magic(body, others, sizeof others / sizeof *others);
    return name ? name : "no sound that is known here";
}

static bool check_format(const struct job *job, const struct format *format, struct percept_err *err)
{
    if (bytes_size(job->body) == 0)
        return err_set(err, ERR_INVALID, "the body is empty; it must be a sound");
    if (!format)
        return err_set(err, ERR_MEDIA_TYPE,
                       "the body is %s; send a WAV, FLAC, Ogg or MP3 (ffmpeg -i IN OUT.wav makes one of anything)",
                       other_format(job->body));
    if (job->codec && job->codec->kind == MANIFEST_AUDIO && strcmp(job->codec->media_type, format->media_type) != 0)
        return err_set(err, ERR_MEDIA_TYPE, "the body is %s but its Content-Type is %s; send it as %s", format->name,
                       job->codec->media_type, format->media_type);
    return true;
}

static bool decode(const struct source *source, const struct format *format, struct bytes body, struct sound *sound)
{
    const int64_t limit = source->job->served->max_audio_seconds;
    *sound = (struct sound){.body = body,
                            .content_type = source->job->content_type,
                            .rate = source->audio->rate,
                            .first_channel = source->audio->channels == SOUND_FIRST,
                            .most_seconds = limit > 0 ? limit : CODEC_MAX_AUDIO_SECONDS,
                            .watch = &source->job->watch,
                            .arena = source->arena,
                            .err = source->err};
    const bool ok = format->decode(sound) && sound_end(sound);
    sound_rate_close(sound);
    return ok;
}

/* --- to windows --------------------------------------------------------------------------------------------------- */

/* Mean 0 and variance 1 over the whole sound, as transformers' Wav2Vec2FeatureExtractor does it. */
static void normalize(float *samples, int64_t n)
{
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)samples[i];
    const double mean = sum / (double)n;
    for (int64_t i = 0; i < n; i++)
        squares += ((double)samples[i] - mean) * ((double)samples[i] - mean);
    const double deviation = sqrt(squares / (double)n + 1e-7);
    for (int64_t i = 0; i < n; i++)
        samples[i] = (float)(((double)samples[i] - mean) / deviation);
}

/* The samples as the network wants them, silence around: [context, zeros before, the sound, zeros after]. */
static float *surround(const struct source *source, const struct sound *sound, const struct sound_view *view,
                       int64_t *total)
{
    const struct manifest_audio *audio = source->audio;
    const int64_t covered = view->window + (view->n_windows - 1) * view->hop;
    int64_t n = (int64_t)audio->zeros_before + sound->n + audio->zeros_after;
    n = n > covered ? n : covered;
    *total = audio->context + n;
    float *all = arena_array(source->arena, (size_t)*total, sizeof *all);
    if (!all) {
        err_memory(source->err, "a sound", (size_t)*total * sizeof *all);
        return NULL;
    }
    float *to = all + audio->context + audio->zeros_before;
    memcpy(to, sound->samples, (size_t)sound->n * sizeof *to);
    if (audio->normalize == NORMALIZE_SAMPLES)
        normalize(to, sound->n);
    for (int64_t i = 0; i < sound->n; i++)
        to[i] *= audio->range;
    return all;
}

static bool refuse_short(const struct source *source, int64_t n)
{
    const struct manifest_audio *audio = source->audio;
    return err_set(source->err, ERR_INVALID,
                   "the sound has %.3f seconds; the network hears %.3f at a time, and its manifest has no 'pad'",
                   (double)n / audio->rate, (double)audio->window / audio->rate);
}

static bool refuse_long(const struct source *source, int64_t n_windows, int64_t most)
{
    const struct manifest_audio *audio = source->audio;
    return err_set(source->err, ERR_TOO_LARGE,
                   "the sound has %" PRId64 " windows of %.3f seconds; model '%s' takes %" PRId64
                   " in a request: send at "
                   "most %.3f seconds",
                   n_windows, (double)audio->window / audio->rate, source->job->served->name, most,
                   (double)(audio->window + (most - 1) * audio->hop) / audio->rate);
}

static bool divide(const struct source *source, int64_t n_samples, struct sound_view *view)
{
    const struct manifest_audio *audio = source->audio;
    const struct served *served = source->job->served;
    const int64_t n = (int64_t)audio->zeros_before + n_samples + audio->zeros_after;
    *view = (struct sound_view){
        .rate = audio->rate, .n_samples = n_samples, .first = -(int64_t)audio->zeros_before, .n_windows = 1};
    view->window = audio->window ? audio->window : n;
    view->hop = audio->window ? audio->hop : n;
    if (n < view->window && !audio->pad)
        return refuse_short(source, n);
    if (n > view->window)
        view->n_windows += (n - view->window) / view->hop + (audio->pad && (n - view->window) % view->hop != 0);
    const int64_t most = !served_has_batch(served)    ? 1
                         : served->max_batch_size > 0 ? served->max_batch_size
                                                      : INT64_MAX;
    return view->n_windows <= most || refuse_long(source, view->n_windows, most);
}

/* --- to a tensor -------------------------------------------------------------------------------------------------- */

static bool shape_of(const struct source *source, const struct sound_view *view, int64_t steps, int64_t width,
                     struct percept_tensor *tensor)
{
    const char *letters = manifest_audio_letters(source->audio->layout);
    *tensor = (struct percept_tensor){.dtype = PERCEPT_FLOAT};
    if (source->io->rank == (int)strlen(letters) - 1 && !source->job->served->batching)
        letters++;
    for (; *letters; letters++) {
        const int64_t dim = *letters == 'N' ? view->n_windows : *letters == 'T' ? steps : *letters == 'F' ? width : 1;
        tensor->dims[tensor->rank++] = dim;
    }
    const int64_t on_the_way =
        width > 1 && source->audio->features.n_mels > width ? source->audio->features.n_mels : width;
    int64_t n;
    return (codec_count(tensor->rank, tensor->dims, &n) && n <= FEATURE_ELEMENTS_MOST / on_the_way * width) ||
           err_set(source->err, ERR_TOO_LARGE, "the sound makes more than %" PRId64 " numbers for the network",
                   FEATURE_ELEMENTS_MOST);
}

/* One window's features, time after time or feature after feature. */
static bool put_features(const struct source *source, struct features_maker *maker, const float *samples, int64_t n,
                         float *rows, int64_t steps, int64_t width, float *to)
{
    const struct manifest_audio *audio = source->audio;
    const bool features_first = audio->layout == AUDIO_NFT || audio->layout == AUDIO_NCFT;
    struct watch *watch = &source->job->watch;
    struct arena room = {0};
    const bool made = features_make(maker, samples, n, rows, watch, &room, source->err);
    arena_free(&room);
    if (!made)
        return false;
    if (!watch_spend(watch, 4 * steps * width))
        return watch_refuse(watch, source->err);
    if (audio->normalize == NORMALIZE_FEATURES)
        features_normalize(rows, steps, (int)width);
    for (int64_t t = 0; t < steps; t++)
        for (int64_t c = 0; c < width; c++)
            to[features_first ? c * steps + t : t * width + c] = (rows[t * width + c] - audio->mean) / audio->std;
    return true;
}

static bool put_windows(const struct source *source, const struct sound_view *view, const float *all, int64_t n,
                        int64_t steps, int64_t width, float *to)
{
    const struct manifest_audio *audio = source->audio;
    if (audio->features.kind == FEATURES_NONE) {
        for (int64_t i = 0; i < view->n_windows; i++)
            if (!watch_copy(&source->job->watch, to + i * n, all + i * view->hop, (size_t)n * sizeof *to))
                return watch_refuse(&source->job->watch, source->err);
        return true;
    }
    struct features_maker *maker = features_new(&audio->features, source->arena, source->err);
    float *rows = arena_array(source->arena, (size_t)(steps * width) + 1, sizeof *rows);
    if (!maker || !rows)
        return err_memory(source->err, "features of a sound", (size_t)(steps * width) * sizeof *rows);
    for (int64_t i = 0; i < view->n_windows; i++)
        if (!put_features(source, maker, all + i * view->hop, n, rows, steps, width, to + i * steps * width))
            return false;
    return true;
}

static bool to_tensor(const struct source *source, const struct sound *sound)
{
    const struct manifest_audio *audio = source->audio;
    const bool features = audio->features.kind != FEATURES_NONE;
    struct sound_view view;
    struct percept_tensor tensor;
    int64_t total, count;
    if (!divide(source, sound->n, &view))
        return false;
    const int64_t n = audio->context + view.window; /* samples of an item */
    const int64_t steps = features ? features_frames(&audio->features, n) : n;
    const int64_t width = features ? features_width(&audio->features) : 1;
    if (steps < 1)
        return err_set(source->err, ERR_INVALID, "the sound has %.3f seconds; that is too short for a frame",
                       (double)sound->n / audio->rate);
    if (!shape_of(source, &view, steps, width, &tensor))
        return false;
    const float *all = surround(source, sound, &view, &total);
    struct percept_tensor *input = &source->job->inputs[source->index];
    if (!all || !codec_accept(source->job, source->index, &tensor, source->err))
        return false;
    codec_count(tensor.rank, tensor.dims, &count);
    if (!codec_parts_reserve(source->job, source->io->name, input, count, source->err) ||
        !put_windows(source, &view, all, n, steps, width, input->data))
        return false;
    source->job->sound = view;
    return true;
}

/* --- the way ------------------------------------------------------------------------------------------------------ */

bool codec_audio_decode(struct job *job, struct percept_err *err)
{
    int n_inputs, at = codec_body_input(job);
    const struct percept_io *io = served_inputs(job->served, &n_inputs);
    const struct manifest_input *input = at >= 0 ? manifest_input(job->served->manifest, io[at].name) : NULL;
    if (!input || input->kind != MANIFEST_AUDIO)
        return err_set(err, ERR_MEDIA_TYPE, "model '%s' does not take a sound; send V2 JSON", job->served->name);
    if (sound_stream_take(job))
        return sound_stream_decode(job, err);
    const struct format *format = format_of(job);
    if (!check_format(job, format, err) || !codec_begin(job, false, err))
        return false;
    job->predictions = true;
    struct arena arena = {0};
    const struct source source = {
        .job = job, .index = at, .io = &io[at], .audio = &input->audio, .arena = &arena, .err = err};
    struct sound sound;
    const bool ok = decode(&source, format, job->body, &sound) && to_tensor(&source, &sound);
    arena_free(&arena);
    return ok;
}

/* --- for sounds that are heard window by window ------------------------------------------------------------------- */

bool codec_audio_read(struct job *job, const struct manifest_audio *audio, struct bytes body, struct arena *arena,
                      struct sound *sound, struct percept_err *err)
{
    const struct source source = {.job = job, .audio = audio, .arena = arena, .err = err};
    const struct format *format = format_of(job);
    return check_format(job, format, err) && decode(&source, format, body, sound);
}

bool codec_audio_windows(struct job *job, int input, const struct manifest_audio *audio, int64_t n_windows,
                         const float *row, const float **windows, struct percept_tensor *one, struct percept_err *err)
{
    int n_inputs;
    struct arena arena = {0};
    const struct source source = {.job = job,
                                  .index = input,
                                  .io = &served_inputs(job->served, &n_inputs)[input],
                                  .audio = audio,
                                  .arena = &arena,
                                  .err = err};
    const bool features = audio->features.kind != FEATURES_NONE;
    const struct sound_view view = {.n_windows = n_windows, .hop = audio->hop}, single = {.n_windows = 1};
    const int64_t n = (int64_t)audio->context + audio->window;
    const int64_t steps = features ? features_frames(&audio->features, n) : n;
    const int64_t width = features ? features_width(&audio->features) : 1;
    struct percept_tensor all = {.dtype = PERCEPT_FLOAT, .rank = 3, .dims = {n_windows, steps, width}};
    struct percept_tensor bounded;
    *windows = row;
    if (!shape_of(&source, &single, steps, width, one) || !features)
        return one->rank > 0;
    if (!shape_of(&source, &view, steps, width, &bounded) ||
        !codec_parts_reserve(job, source.io->name, &all, n_windows * steps * width, err))
        return false;
    const bool ok = put_windows(&source, &view, row, n, steps, width, all.data);
    *windows = all.data;
    arena_free(&arena);
    return ok;
}
