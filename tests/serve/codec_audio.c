/* codec_audio.c - sounds become windows of samples or features, and the reply knows where they lay. */
#include "base/err.h"
#include "fake_model.h"
#include "recorded.h"

#include <check.h>
#include <math.h>
#include <string.h>

Suite *serve_codec_audio_suite(void);

#define DIMS(...) ((const int64_t[]){__VA_ARGS__})

static struct recorded file;
static struct manifest_audio *audio;

/* A network of `most` items whose input is [N, -1]; a window of the sound is `window` samples. */
static struct fake_model *sound_model(int window, int most)
{
    struct fake_model *fake = fake_model_new("sounds");
    fake_model_input(fake, "x", PERCEPT_FLOAT, 2, DIMS(most > 1 ? -1 : 1, -1));
    fake_model_output(fake, "y", PERCEPT_FLOAT, 2, DIMS(-1, 2));
    if (most > 1)
        fake_model_batching(fake, most);
    audio = &fake_model_describe(fake, MANIFEST_AUDIO)->audio;
    *audio = (struct manifest_audio){.rate = 16000, .range = 1, .std = 1, .window = window, .hop = window};
    return fake;
}

/* n samples of 16 bits that count up from 1. */
static void count_up(int n)
{
    int16_t data[1000];
    for (int i = 0; i < n; i++)
        data[i] = (int16_t)(i + 1);
    recorded_wave(&file, 16000, 1, 1, 16, data, 2 * (size_t)n);
}

static struct job *post(struct fake_model *fake)
{
    return fake_model_post_bytes(fake, file.at, file.n);
}

static void expect_read(struct fake_model *fake)
{
    ck_assert_msg(codec_audio_decode(post(fake), &fake->err), "%s", fake->err.text);
}

static void expect_refused(struct fake_model *fake, enum err_code code, const char *part)
{
    fake->err = (struct percept_err){0};
    ck_assert(!codec_audio_decode(post(fake), &fake->err));
    ck_assert_msg(strstr(fake->err.text, part), "says: %s\nnot: %s", fake->err.text, part);
    ck_assert_str_eq(err_name(fake->err.code), err_name((int)code));
}

static void expect_values(const struct fake_model *fake, int rows, int columns, const float *values)
{
    const struct percept_tensor *x = &fake->job.inputs[0];
    ck_assert_int_eq(x->dims[0], rows);
    ck_assert_int_eq(x->dims[1], columns);
    for (int i = 0; i < rows * columns; i++)
        ck_assert_msg(((const float *)x->data)[i] == values[i], "element %d is %g, not %g", i,
                      (double)((const float *)x->data)[i], (double)values[i]);
}

START_TEST(a_sound_is_one_item_without_a_window)
{
    struct fake_model *fake = sound_model(0, 8);
    count_up(3);
    audio->range = 32768;
    expect_read(fake);
    expect_values(fake, 1, 3, (float[]){1, 2, 3});
    ck_assert(fake->job.predictions);
    ck_assert_int_eq(fake->job.n_outputs, 1);
    ck_assert_int_eq(fake->job.sound.n_windows, 1);
    ck_assert_int_eq(fake->job.sound.window, 3);
    ck_assert_int_eq(fake->job.sound.n_samples, 3);
    audio->zeros_before = 1;
    audio->zeros_after = 2;
    audio->range = 16384;
    expect_read(fake);
    expect_values(fake, 1, 6, (float[]){0, 0.5f, 1, 1.5f, 0, 0});
    ck_assert_int_eq(fake->job.sound.first, -1);
    fake_model_free(fake);
}
END_TEST

START_TEST(a_longer_sound_is_cut_into_windows)
{
    struct fake_model *fake = sound_model(4, 3);
    audio->range = 32768;
    audio->hop = 2;
    count_up(7);
    expect_read(fake); /* the seventh fills no window */
    expect_values(fake, 2, 4, (float[]){1, 2, 3, 4, 3, 4, 5, 6});
    audio->pad = true;
    expect_read(fake);
    expect_values(fake, 3, 4, (float[]){1, 2, 3, 4, 3, 4, 5, 6, 5, 6, 7, 0});
    ck_assert_int_eq(fake->job.sound.n_windows, 3);
    ck_assert_int_eq(fake->job.sound.hop, 2);
    audio->context = 1;
    expect_read(fake);
    expect_values(fake, 3, 5, (float[]){0, 1, 2, 3, 4, 2, 3, 4, 5, 6, 4, 5, 6, 7, 0});
    count_up(8);
    audio->context = 0;
    expect_read(fake);
    expect_values(fake, 3, 4, (float[]){1, 2, 3, 4, 3, 4, 5, 6, 5, 6, 7, 8});
    count_up(9);
    expect_refused(fake, ERR_TOO_LARGE, "the sound has 4 windows");
    ck_assert_ptr_nonnull(strstr(fake->err.text, "model 'sounds' takes 3 in a request: send at most 0.001 seconds"));
    fake_model_free(fake);
}
END_TEST

START_TEST(a_short_sound_is_filled_where_it_may_be)
{
    struct fake_model *fake = sound_model(4, 3);
    audio->range = 32768;
    count_up(3);
    expect_refused(fake, ERR_INVALID, "its manifest has no 'pad'");
    audio->pad = true;
    expect_read(fake);
    expect_values(fake, 1, 4, (float[]){1, 2, 3, 0});
    fake_model_free(fake);
}
END_TEST

START_TEST(a_model_without_a_batch_takes_one_window)
{
    struct fake_model *fake = sound_model(2, 1);
    audio->range = 32768;
    count_up(3);
    expect_read(fake);
    expect_values(fake, 1, 2, (float[]){1, 2});
    count_up(4);
    expect_refused(fake, ERR_TOO_LARGE, "takes 1 in a request");
    fake->inputs[0].rank = 1;
    fake->inputs[0].dims[0] = 2;
    count_up(2);
    expect_read(fake);
    ck_assert_int_eq(fake->job.inputs[0].rank, 1);
    fake_model_free(fake);
}
END_TEST

START_TEST(samples_are_normalized_before_silence_is_put_around)
{
    struct fake_model *fake = sound_model(0, 8);
    recorded_wave(&file, 16000, 1, 3, 32, (float[]){0.5f, 1.5f, 0.5f, 1.5f}, 16);
    audio->normalize = NORMALIZE_SAMPLES;
    audio->zeros_after = 1;
    expect_read(fake);
    const float *x = fake->job.inputs[0].data;
    const float want[] = {-1, 1, -1, 1, 0};
    for (int i = 0; i < 5; i++)
        ck_assert_float_eq_tol(x[i], want[i], 1e-5f);
    fake_model_free(fake);
}
END_TEST

/* Layouts of features: rows of times or of features, with a channel or without. */
START_TEST(features_lie_as_the_layout_says)
{
    static const struct {
        enum manifest_audio_layout layout;
        int rank, time, width; /* axes */
    } rows[] = {{AUDIO_NTF, 3, 1, 2},
                {AUDIO_NFT, 3, 2, 1},
                {AUDIO_NCTF, 4, 2, 3},
                {AUDIO_NCFT, 4, 3, 2},
                {AUDIO_NTFC, 4, 1, 2}};
    float first[6] = {0};
    int16_t noise[200];
    for (int i = 0; i < 200; i++)
        noise[i] = (int16_t)(i * i * 37 % 1009 * (1 + i / 50));
    recorded_wave(&file, 16000, 1, 1, 16, noise, sizeof noise);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fake_model *fake = sound_model(0, 4);
        fake->inputs[0].rank = rows[i].rank;
        for (int k = 1; k < 4; k++)
            fake->inputs[0].dims[k] = -1;
        features_defaults(&audio->features, FEATURES_FBANK, 16000);
        audio->features.win_length = 80;
        audio->features.hop_length = 60;
        audio->features.n_mels = 2;
        ck_assert_msg(features_complete(&audio->features, &fake->err), "%s", fake->err.text);
        audio->layout = rows[i].layout;
        audio->mean = 1;
        audio->std = 2;
        expect_read(fake);
        const struct percept_tensor *x = &fake->job.inputs[0];
        ck_assert_int_eq(x->rank, rows[i].rank);
        ck_assert_int_eq(x->dims[rows[i].time], 3);
        ck_assert_int_eq(x->dims[rows[i].width], 2);
        for (int t = 0; t < 3; t++)
            for (int c = 0; c < 2; c++) {
                const float v = ((const float *)x->data)[rows[i].time < rows[i].width ? t * 2 + c : c * 3 + t];
                if (i == 0)
                    first[t * 2 + c] = v;
                ck_assert_float_eq(v, first[t * 2 + c]);
            }
        audio->mean = 0;
        audio->std = 1;
        audio->normalize = NORMALIZE_FEATURES;
        expect_read(fake);
        const float *y = fake->job.inputs[0].data;
        const float sum = rows[i].time < rows[i].width ? y[0] + y[2] + y[4] : y[0] + y[1] + y[2];
        ck_assert_float_eq_tol(sum, 0, 1e-4f);
        fake_model_free(fake);
    }
    ck_assert(first[0] != first[1] && first[0] != first[2]);
}
END_TEST

START_TEST(what_is_too_short_for_a_frame_is_refused)
{
    struct fake_model *fake = sound_model(0, 4);
    features_defaults(&audio->features, FEATURES_FBANK, 16000);
    ck_assert(features_complete(&audio->features, &fake->err));
    audio->layout = AUDIO_NTF;
    fake->inputs[0].rank = 3;
    fake->inputs[0].dims[2] = 23;
    count_up(399);
    expect_refused(fake, ERR_INVALID, "too short for a frame");
    count_up(400);
    expect_read(fake);
    ck_assert_int_eq(fake->job.inputs[0].dims[1], 1);
    fake_model_free(fake);
}
END_TEST

START_TEST(a_request_is_bounded)
{
    static int16_t silence[400000];
    struct fake_model *fake = sound_model(16000, 1000000);
    audio->hop = 1;
    recorded_wave(&file, 16000, 1, 1, 16, silence, sizeof silence);
    expect_refused(fake, ERR_TOO_LARGE, "numbers for the network");
    fake->served.max_audio_seconds = 2;
    expect_refused(fake, ERR_TOO_LARGE, "has 25.0 seconds; at most 2");
    fake_model_free(fake);
}
END_TEST

START_TEST(files_of_all_kinds_are_read)
{
    static float frames[16000];
    struct fake_model *fake = sound_model(0, 4);
    recorded_tone(frames, 8000, 2, 48000, 300);
    recorded_write(&file, (enum recorded_kind)_i, 48000, 2, frames, 8000);
    expect_read(fake);
    ck_assert_int_gt(fake->job.inputs[0].dims[1], 2000);
    ck_assert_int_lt(fake->job.inputs[0].dims[1], 4000);
    fake_model_free(fake);
}
END_TEST

static const struct {
    const char *data;
    size_t n;
    const char *says;
} foreign[] = {
    {"\x1a\x45\xdf\xa3", 4, "the body is a WebM or Matroska; send a WAV, FLAC, Ogg or MP3 (ffmpeg"},
    {"\0\0\0\x20"
     "ftypM4A ",
     12, "an M4A or MP4"},
    {"\xff\xf1\x50\x80", 4, "an AAC"},
    {"FORM\0\0\0\0AIFF", 12, "an AIFF"},
    {"caff", 4, "a CAF"},
    {".snd", 4, "an AU"},
    {"RF64", 4, "an RF64"},
    {"RIFX", 4, "a big-endian WAV"},
    {"#!AMR", 5, "an AMR"},
    {"{}", 2, "JSON"},
    {"RIFF\0\0\0\0AVI ", 12, "no sound that is known here"},
    {"RIFF", 4, "no sound that is known here"},
    {"x", 1, "no sound that is known here"},
};

START_TEST(other_bodies_are_refused_by_name)
{
    struct fake_model *fake = sound_model(0, 4);
    memcpy(file.at, foreign[_i].data, foreign[_i].n);
    file.n = foreign[_i].n;
    expect_refused(fake, ERR_MEDIA_TYPE, foreign[_i].says);
    fake_model_free(fake);
}
END_TEST

static const struct codec *codec_of(struct fake_model *fake, const char *type)
{
    fake->err = (struct percept_err){0};
    return codec_find(&fake->served, bytes_of_text(type), &fake->err);
}

START_TEST(media_types_are_found_and_compared)
{
    struct fake_model *fake = sound_model(0, 4);
    static const char *const types[][2] = {{"audio/wav", "audio/wav"},           {"audio/X-WAV", "audio/wav"},
                                           {"audio/opus", "audio/ogg"},          {"application/ogg", "audio/ogg"},
                                           {"audio/mp3", "audio/mpeg"},          {"audio/x-flac", "audio/flac"},
                                           {"audio/l16;rate=8000", "audio/L16"}, {"audio/x-raw", "audio/x-raw"}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        const struct codec *codec = codec_of(fake, types[i][0]);
        ck_assert_msg(codec != NULL, "%s", fake->err.text);
        ck_assert_str_eq(codec->media_type, types[i][1]);
        ck_assert(codec->worker_always);
    }
    ck_assert_ptr_null(codec_of(fake, "audio/mp4"));
    ck_assert_int_eq(fake->err.code, ERR_MEDIA_TYPE);
    ck_assert_ptr_nonnull(strstr(fake->err.text, "audio/x-raw (ffmpeg"));
    count_up(3);
    post(fake)->codec = codec_of(fake, "audio/flac");
    ck_assert(!codec_audio_decode(&fake->job, &fake->err));
    ck_assert_ptr_nonnull(strstr(fake->err.text, "the body is a WAV but its Content-Type is audio/flac"));
    post(fake)->codec = codec_of(fake, "audio/L16;rate=16000");
    fake->job.content_type = bytes_of_text("audio/L16;rate=16000");
    ck_assert(codec_audio_decode(&fake->job, &fake->err)); /* whatever it begins with */
    ck_assert_int_eq(fake->job.inputs[0].dims[1], 25);
    fake_model_free(fake);
}
END_TEST

START_TEST(without_a_body_or_an_input_nothing_is_read)
{
    struct fake_model *fake = sound_model(0, 4);
    file.n = 0;
    expect_refused(fake, ERR_INVALID, "the body is empty");
    fake->described[0].kind = MANIFEST_TENSOR;
    count_up(1);
    expect_refused(fake, ERR_MEDIA_TYPE, "does not take a sound");
    fake_model_free(fake);
}
END_TEST

Suite *serve_codec_audio_suite(void)
{
    Suite *suite = suite_create("serve/codec_audio");
    TCase *tests = tcase_create("codec_audio");
    tcase_add_test(tests, a_sound_is_one_item_without_a_window);
    tcase_add_test(tests, a_longer_sound_is_cut_into_windows);
    tcase_add_test(tests, a_short_sound_is_filled_where_it_may_be);
    tcase_add_test(tests, a_model_without_a_batch_takes_one_window);
    tcase_add_test(tests, samples_are_normalized_before_silence_is_put_around);
    tcase_add_test(tests, features_lie_as_the_layout_says);
    tcase_add_test(tests, what_is_too_short_for_a_frame_is_refused);
    tcase_add_test(tests, a_request_is_bounded);
    tcase_add_loop_test(tests, files_of_all_kinds_are_read, 0, RECORDED_KINDS);
    tcase_add_loop_test(tests, other_bodies_are_refused_by_name, 0, (int)(sizeof foreign / sizeof *foreign));
    tcase_add_test(tests, media_types_are_found_and_compared);
    tcase_add_test(tests, without_a_body_or_an_input_nothing_is_read);
    suite_add_tcase(suite, tests);
    return suite;
}
