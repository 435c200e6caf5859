/*
 * features.c - features of a short signal beside those that torchaudio 0.13 gives (its transforms for librosa's
 * definition, its compliance.kaldi for Kaldi's); settings that contradict each other.
 */
#include "serve/features.h"

#include "base/err.h"

#include <check.h>
#include <math.h>
#include <string.h>

Suite *serve_features_suite(void);

#define SAMPLES 50
#define MOST 64

static float samples[SAMPLES];

static void begin(void)
{
    for (int i = 0; i < SAMPLES; i++)
        samples[i] = (float)((i * 37 % 101) / 101.0 - 0.5 + (i % 7) / 14.0);
}

/* 1000 samples a second, so that lengths are small. */
static const struct {
    struct features with; /* what differs from the kind's defaults: numbers that are not 0 */
    enum features_kind kind;
    bool not_snipped, not_centred, no_emphasis, no_lifter, no_limit, plain; /* plain: HTK's scale, no norm */
    int frames, width;
    float want[MOST];
} cases[] = {
    {.kind = FEATURES_FBANK,
     .with = {.win_length = 20, .hop_length = 10, .n_mels = 4},
     .frames = 4,
     .width = 4,
     .want = {-1.82504f, 0.38060f, 1.92282f, 2.87641f, 0.51370f, 1.30584f, 2.17628f, 2.52604f, -1.77600f, 0.51198f,
              2.47968f, 3.09008f, -0.35870f, 0.46411f, 1.62367f, 2.73716f}},
    {.kind = FEATURES_FBANK,
     .with = {.win_length = 20, .hop_length = 10, .n_mels = 4},
     .not_snipped = true,
     .frames = 5,
     .width = 4,
     .want = {-0.08788f, 0.43648f, 2.37741f,  2.16788f, -0.71158f, 0.44354f, 2.72697f,  3.05196f,  0.21558f, 0.90243f,
              2.55198f,  2.75426f, -1.23903f, 0.38591f, 1.78059f,  2.68266f, -0.38382f, -0.86240f, 1.66554f, 2.74119f}},
    {.kind = FEATURES_FBANK,
     .with = {.win_length = 20, .hop_length = 20, .n_mels = 4, .taper = TAPER_HAMMING, .power = 1, .fmax = -100},
     .no_emphasis = true,
     .frames = 2,
     .width = 4,
     .want = {-0.32942f, -0.13973f, 0.59961f, 0.92848f, -0.36837f, -0.00859f, 0.71265f, 1.26272f}},
    {.kind = FEATURES_KALDI_MFCC,
     .with = {.win_length = 20, .hop_length = 10, .n_mels = 5, .n_mfcc = 3},
     .frames = 4,
     .width = 3,
     .want = {1.16948f, -10.86245f, -3.00586f, 3.11659f, -4.77444f, -1.98123f, 1.71835f, -11.41233f, -4.45521f,
              1.89864f, -7.16474f, 0.43760f}},
    {.kind = FEATURES_LOG_MEL,
     .with = {.n_fft = 16, .win_length = 12, .hop_length = 20, .n_mels = 3, .fmin = 50, .edges = EDGES_REFLECT},
     .plain = true,
     .no_limit = true,
     .frames = 3,
     .width = 3,
     .want = {-0.48497f, 0.49157f, 0.03173f, 0.69320f, 0.20253f, -0.39418f, -0.32492f, -1.30333f, 0.29328f}},
    {.kind = FEATURES_LOG_MEL,
     .with = {.n_fft = 16, .hop_length = 20, .n_mels = 3, .top_db = 5, .log = LOG_DB},
     .frames = 3,
     .width = 3,
     .want = {-21.49966f, -20.17085f, -20.17722f, -16.49966f, -18.55337f, -19.75196f, -20.19654f, -21.49966f,
              -17.70105f}},
    {.kind = FEATURES_LOG_MEL,
     .with = {.n_fft = 16,
              .hop_length = 16,
              .n_mels = 3,
              .taper = TAPER_HAMMING,
              .log = LOG_10,
              .power = 1,
              .guard = GUARD_ADD,
              .floor = 1e-3f},
     .plain = true,
     .no_limit = true,
     .not_centred = true,
     .frames = 3,
     .width = 3,
     .want = {-0.01685f, -0.03947f, 0.28280f, 0.12606f, 0.23410f, 0.37262f, 0.11622f, 0.03640f, 0.29074f}},
    {.kind = FEATURES_LOG_MEL,
     .with = {.n_fft = 16, .hop_length = 20, .n_mels = 3, .guard = GUARD_ADD, .floor = 0x1p-24f, .preemphasis = 0.97f},
     .no_limit = true,
     .frames = 3,
     .width = 3,
     .want = {-5.76904f, -3.91800f, -3.72437f, -4.39292f, -3.73232f, -3.29721f, -5.32759f, -4.63235f, -2.89650f}},
    {.kind = FEATURES_MFCC,
     .with = {.n_fft = 16, .hop_length = 20, .n_mels = 4, .n_mfcc = 2, .lifter = 4, .log = LOG_DB},
     .frames = 3,
     .width = 2,
     .want = {-102.02717f, -2.95882f, -89.25794f, 8.90702f, -98.53392f, -5.52675f}},
};

static struct features settings_of(int i)
{
    const struct features *with = &cases[i].with;
    struct features f;
    features_defaults(&f, cases[i].kind, 1000);
    f.n_fft = with->n_fft;
    f.win_length = with->win_length;
    f.hop_length = with->hop_length;
    f.n_mels = with->n_mels;
    f.n_mfcc = with->n_mfcc ? with->n_mfcc : 1;
    f.fmin = with->fmin > 0 ? with->fmin : f.fmin;
    f.fmax = with->fmax;
    f.taper = with->taper ? with->taper : f.taper;
    f.power = with->power ? with->power : f.power;
    f.log = with->log;
    f.guard = with->guard;
    f.edges = with->edges;
    f.floor = with->floor > 0 ? with->floor : f.floor;
    f.top_db = cases[i].no_limit ? 0 : with->top_db > 0 ? with->top_db : f.top_db;
    f.preemphasis = cases[i].no_emphasis ? 0 : with->preemphasis > 0 ? with->preemphasis : f.preemphasis;
    f.lifter = with->lifter > 0 ? with->lifter : f.lifter;
    f.snip_edges = !cases[i].not_snipped;
    f.center = !cases[i].not_centred;
    f.mel = cases[i].plain ? MEL_HTK : f.mel;
    f.norm = cases[i].plain ? NORM_NONE : f.norm;
    return f;
}

START_TEST(features_are_torchaudios)
{
    struct arena arena = {0};
    struct percept_err err = {0};
    struct features f = settings_of(_i);
    float rows[MOST] = {0};
    ck_assert_msg(features_complete(&f, &err), "%s", err.text);
    ck_assert_int_eq(features_frames(&f, SAMPLES), cases[_i].frames);
    ck_assert_int_eq(features_width(&f), cases[_i].width);
    struct features_maker *maker = features_new(&f, &arena, &err);
    ck_assert_ptr_nonnull(maker);
    ck_assert(features_make(maker, samples, SAMPLES, rows, NULL, &arena, &err));
    for (int i = 0; i < cases[_i].frames * cases[_i].width; i++)
        ck_assert_msg(fabsf(rows[i] - cases[_i].want[i]) < 2e-4f, "case %d, number %d is %.5f, not %.5f", _i, i,
                      (double)rows[i], (double)cases[_i].want[i]);
    arena_free(&arena);
}
END_TEST

START_TEST(silence_lies_at_the_floor)
{
    static const float silence[400];
    struct arena arena = {0};
    struct percept_err err = {0};
    struct features f;
    float row[23];
    features_defaults(&f, FEATURES_FBANK, 16000);
    ck_assert(features_complete(&f, &err));
    ck_assert_int_eq(f.win_length, 400);
    ck_assert_int_eq(f.hop_length, 160);
    ck_assert_int_eq(f.n_fft, 512);
    ck_assert_int_eq(features_frames(&f, 399), 0);
    ck_assert_int_eq(features_frames(&f, 0), 0);
    struct features_maker *maker = features_new(&f, &arena, &err);
    ck_assert_ptr_nonnull(maker);
    ck_assert(features_make(maker, silence, 400, row, NULL, &arena, &err));
    for (int i = 0; i < 23; i++)
        ck_assert_float_eq_tol(row[i], -15.94239f, 1e-5f);
    arena_free(&arena);
}
END_TEST

/* A signal that is shorter than what is reflected around it. */
START_TEST(a_single_sample_has_features)
{
    struct arena arena = {0};
    struct percept_err err = {0};
    for (int kind = FEATURES_LOG_MEL; kind <= FEATURES_KALDI_MFCC; kind++) {
        struct features f;
        float rows[2 * 128];
        features_defaults(&f, (enum features_kind)kind, 16000);
        f.edges = EDGES_REFLECT;
        f.snip_edges = false;
        f.hop_length = 1;
        ck_assert(features_complete(&f, &err));
        ck_assert_int_eq(features_frames(&f, 1), kind <= FEATURES_MFCC ? 2 : 1);
        struct features_maker *maker = features_new(&f, &arena, &err);
        ck_assert(features_make(maker, samples, 1, rows, NULL, &arena, &err));
        ck_assert(isfinite(rows[0]));
    }
    arena_free(&arena);
}
END_TEST

static const struct {
    struct features f;
    const char *says;
} wrong[] = {
    {{.n_fft = 16, .hop_length = 4, .n_mels = 4, .floor = 1, .win_length = 17}, "n_fft is 16; it must be at least"},
    {{.n_fft = 20000, .hop_length = 4, .n_mels = 4, .floor = 1}, "at most 16384"},
    {{.n_fft = 1, .hop_length = 4, .n_mels = 4, .floor = 1}, "a frame has at least 2 samples"},
    {{.n_fft = 2, .n_mels = 4, .floor = 1}, "frames are at least 1 apart"},
    {{.n_fft = 16, .hop_length = 4, .n_mels = 4, .floor = 1, .fmin = 600}, "they must rise"},
    {{.n_fft = 16, .hop_length = 4, .n_mels = 4, .floor = 1, .fmax = 501}, "half the rate is 500"},
    {{.n_fft = 16, .hop_length = 4, .n_mels = 4, .floor = 1, .fmax = -500}, "they must rise"},
    {{.n_fft = 16, .hop_length = 4, .n_mels = 4}, "it keeps a logarithm from 0"},
    {{.kind = FEATURES_MFCC, .n_fft = 16, .hop_length = 4, .n_mels = 4, .n_mfcc = 5, .floor = 1},
     "there are 4 filters"},
};

START_TEST(what_cannot_be_computed_is_named)
{
    struct percept_err err = {0};
    struct features f = wrong[_i].f;
    f.rate = 1000;
    f.kind = f.kind ? f.kind : FEATURES_LOG_MEL;
    ck_assert(!features_complete(&f, &err));
    ck_assert_msg(strstr(err.text, wrong[_i].says), "says: %s", err.text);
    ck_assert_int_eq(err.code, ERR_CONFIG);
}
END_TEST

START_TEST(columns_are_normalized)
{
    float rows[] = {1, 5, 2, 5, 3, 5};
    features_normalize(rows, 3, 2);
    const float want[] = {-0.99999f, 0, 0, 0, 0.99999f, 0};
    for (int i = 0; i < 6; i++)
        ck_assert_float_eq_tol(rows[i], want[i], 1e-5f);
    features_normalize(rows, 0, 2);
    features_normalize(rows, 1, 2);
    ck_assert_float_eq_tol(rows[0], 0, 1e-6f);
}
END_TEST

START_TEST(nobody_waits_and_no_memory)
{
    struct features f;
    struct percept_err err = {0};
    float rows[2 * 13];
    features_defaults(&f, FEATURES_KALDI_MFCC, 1000);
    ck_assert(features_complete(&f, &err));
    for (size_t nth = 1, done = 0; !done; nth++) {
        struct arena arena = {0};
        arena_fail_at(nth, true);
        struct features_maker *maker = features_new(&f, &arena, &err);
        done = maker && features_make(maker, samples, 35, rows, NULL, &arena, &err);
        arena_fail_at(0, false);
        ck_assert(done || err.code == ERR_MEMORY);
        arena_free(&arena);
    }
    struct arena arena = {0};
    int cancel = 1;
    struct watch watch = {.cancel = &cancel};
    err = (struct percept_err){0};
    ck_assert(!features_make(features_new(&f, &arena, &err), samples, 35, rows, &watch, &arena, &err));
    ck_assert_int_eq(err.code, ERR_CANCELLED);
    arena_free(&arena);
}
END_TEST

Suite *serve_features_suite(void)
{
    Suite *suite = suite_create("serve/features");
    TCase *tests = tcase_create("features");
    tcase_add_checked_fixture(tests, begin, NULL);
    tcase_add_loop_test(tests, features_are_torchaudios, 0, (int)(sizeof cases / sizeof *cases));
    tcase_add_test(tests, silence_lies_at_the_floor);
    tcase_add_test(tests, a_single_sample_has_features);
    tcase_add_loop_test(tests, what_cannot_be_computed_is_named, 0, (int)(sizeof wrong / sizeof *wrong));
    tcase_add_test(tests, columns_are_normalized);
    tcase_add_test(tests, nobody_waits_and_no_memory);
    suite_add_tcase(suite, tests);
    return suite;
}
