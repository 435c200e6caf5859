/*
 * features.h - samples of a sound -> what speech networks are trained on: logarithms of mel spectra, or cepstra.
 *
 * Two families of definitions are in use, and differ in every detail:
 *   - librosa's (0.10: feature.melspectrogram, power_to_db, feature.mfcc), which torchaudio.transforms, Whisper and
 *     NeMo follow with other settings: pre-emphasis over the whole signal, periodic window in the middle of n_fft,
 *     frames that may be centred, filters in Hz;
 *   - Kaldi's (feat/feature-window.cc, mel-computations.cc, feature-fbank.cc, feature-mfcc.cc), which
 *     torchaudio.compliance.kaldi follows: each frame loses its mean, is pre-emphasized and windowed symmetrically;
 *     filters are triangles on the mel axis. Nothing is dithered, no energy is added.
 *
 * A module without knowledge of HTTP or networks. Threads: any, one at a time for a maker.
 */
#ifndef SERVE_FEATURES_H
#define SERVE_FEATURES_H

#include "base/arena.h"
#include "base/watch.h"
#include "percept.h"

enum features_kind { FEATURES_NONE, FEATURES_LOG_MEL, FEATURES_MFCC, FEATURES_FBANK, FEATURES_KALDI_MFCC };
enum features_taper { TAPER_HANN, TAPER_HAMMING, TAPER_BLACKMAN, TAPER_POVEY, TAPER_RECTANGULAR };
enum features_mel { MEL_HTK, MEL_SLANEY };
enum features_norm { NORM_NONE, NORM_SLANEY };
enum features_log { LOG_NATURAL, LOG_10, LOG_DB };
enum features_guard { GUARD_CLAMP, GUARD_ADD };
enum features_edges { EDGES_ZEROS, EDGES_REFLECT };

#define FEATURES_WIDTH_MOST 1024

struct features {
    enum features_kind kind;
    int rate;                   /* samples in a second */
    int n_fft;                  /* samples of a transform */
    int win_length, hop_length; /* samples of a frame, and between frames */
    int n_mels, n_mfcc;         /* filters, and cepstra that are kept of them */
    float fmin, fmax;           /* Hz; fmax at or below 0: so much below half the rate */
    enum features_mel mel;      /* of librosa's; Kaldi's is HTK's */
    enum features_norm norm;    /* of filters: NORM_SLANEY makes their areas equal */
    int power;                  /* 1: magnitudes, 2: their squares */
    enum features_taper taper;  /* what a frame is multiplied by */
    enum features_log log;
    enum features_guard guard; /* what keeps the logarithm from 0: max(x, floor) or x + floor */
    float floor;
    float top_db;              /* what lies so far below the loudest is raised to there; 0: nothing */
    float preemphasis;         /* x[t] - p x[t-1]; 0: none */
    bool center;               /* librosa's: frame t is around sample t * hop_length */
    enum features_edges edges; /* what lies outside of the signal then */
    bool snip_edges;           /* Kaldi's: only frames that lie wholly in the signal */
    float lifter;              /* of cepstra; 0: none */
};

bool features_is_kaldi(const struct features *features);

/* The usual settings of this kind at this rate: librosa's of feature.melspectrogram and feature.mfcc, Kaldi's of
 * compute-fbank-feats and compute-mfcc-feats, without dither and energy. Lengths that follow from others are 0. */
void features_defaults(struct features *features, enum features_kind kind, int rate);

/* Gives lengths that were left at 0 their values: librosa's win_length is n_fft and its hop a quarter of that, Kaldi's
 * are 25 and 10 ms and its n_fft the next power of two. Then: can it be computed? Sentences name what is at odds. */
bool features_complete(struct features *features, struct percept_err *err);

/* How many numbers a frame has, and how many frames so many samples give (0: too few). */
int features_width(const struct features *features);
int64_t features_frames(const struct features *features, int64_t n_samples);

/* Tables and room; lives in the arena. NULL only when memory is short. */
struct features_maker *features_new(const struct features *features, struct arena *arena, struct percept_err *err);

/* rows[frames][width]. False when memory is short or the watch (or NULL) is over. `arena` has room on the way. */
bool features_make(struct features_maker *maker, const float *samples, int64_t n_samples, float *rows,
                   struct watch *watch, struct arena *arena, struct percept_err *err);

/* Each column minus its mean, by its standard deviation (of n - 1) plus 1e-5: NeMo's "per_feature". */
void features_normalize(float *rows, int64_t n_frames, int width);

#endif
