/*
 * manifest.h - a model's manifest.json: what the network means. Schema version 1; `perceptd
 * --manifest-schema` prints it as JSON Schema, api.md explains it. Unknown or wrong keys are
 * refused with their path ("inputs.image.size[1]: expected a whole number of at least 1"); what the
 * schema knows but this version does not serve is refused by name. A model without a manifest has a
 * default one. Immutable once read; lives in its served model's arena. What a repository of Triton says in config.pbtxt
 * (triton_config.h) becomes the same struct, and manifest.json is read over it.
 */
#ifndef SERVE_MANIFEST_H
#define SERVE_MANIFEST_H

#include "base/arena.h"
#include "base/bytes.h"
#include "percept.h"
#include "serve/features.h"
#include "serve/speech.h"
#include "serve/unicode.h"

struct stages; /* stages.h */

enum manifest_kind { MANIFEST_TENSOR = 0, MANIFEST_IMAGE, MANIFEST_TEXT, MANIFEST_AUDIO, MANIFEST_CONSTANT };
enum manifest_channels { CHANNELS_GRAY, CHANNELS_RGB, CHANNELS_BGR, CHANNELS_Y /* of YCbCr */ };
enum manifest_image_layout { IMAGE_NCHW, IMAGE_NHWC, IMAGE_FLAT };
enum manifest_resize { RESIZE_STRETCH, RESIZE_LETTERBOX, RESIZE_CROP };
enum manifest_placement { PLACEMENT_CENTER, PLACEMENT_TOP_LEFT };
enum manifest_rounding { ROUNDING_ROUND /* ties to even */, ROUNDING_FLOOR, ROUNDING_CEIL };
enum manifest_filter { FILTER_BILINEAR, FILTER_BICUBIC, FILTER_NEAREST, FILTER_LANCZOS, FILTER_AREA };
enum manifest_ink { INK_AS_IS, INK_LIGHT, INK_DARK };
enum manifest_tokenizer { TOKENIZER_WORDS, TOKENIZER_CHARACTERS, TOKENIZER_BYTES, TOKENIZER_WORDPIECE, TOKENIZER_BPE };

struct manifest_image {
    int width, height;        /* 0: the picture's own; 0 as width alone: what the shape asks for */
    int min_width, max_width; /* of a width by shape */
    int multiple_of;          /* sides that the picture decides are rounded up to */
    enum manifest_channels channels;
    enum manifest_image_layout layout;
    enum manifest_resize resize;
    int resize_width, resize_height; /* of RESIZE_CROP, before the cut; no width: the shorter side; both 0: none */
    enum manifest_placement placement;
    enum manifest_rounding rounding;
    bool enlarge; /* of letterboxing */
    enum manifest_filter filter;
    bool antialias;
    bool draft;    /* JPEGs may be decoded smaller than they are */
    float fill[3]; /* of letterboxing, 0..255, in the order of the channels */
    float scale;   /* value = (v * scale - mean[c]) / std[c], v in 0..255 */
    float mean[3], std[3];
    enum manifest_ink ink; /* which strokes the network expects; the picture's border decides */
    int ink_box;           /* 0: off; else crop to the ink, fit a box of this size, centre by mass */
};

/* How many the network gets of a pixel. */
static inline int manifest_channels(const struct manifest_image *image)
{
    return image->channels == CHANNELS_GRAY || image->channels == CHANNELS_Y ? 1 : 3;
}

struct manifest_text {
    enum manifest_tokenizer tokenizer;
    bool lowercase;
    int64_t max_length;
    int64_t unknown, pad; /* ids; -1: none */
    int64_t start, end;   /* ids put around the text; -1: none */
    int64_t margin;       /* ids of pad put around that */
    int64_t multiple_of;  /* the length is filled up with pad; 0 or 1: as it is */
    bool whole;           /* a text that is longer than max_length is refused instead of cut */
    int n_tokens;
    const char *const *tokens; /* the vocabulary; index = id */
    const int *sorted;         /* ids in the order of strcmp, for look-ups */
    enum unicode_form normalize;
    const char *merges_file, *tokenizer_json; /* NULL: none */
    const struct tokenizer *model;            /* of wordpiece, bpe and tokenizer.json; NULL: those above alone */
};

enum manifest_sound_channels { SOUND_MEAN, SOUND_FIRST };
enum manifest_normalize { NORMALIZE_NONE, NORMALIZE_SAMPLES, NORMALIZE_FEATURES };
enum manifest_audio_layout {
    AUDIO_NT,
    AUDIO_NCT,
    AUDIO_NTC,
    AUDIO_NTF,
    AUDIO_NFT,
    AUDIO_NCTF,
    AUDIO_NCFT,
    AUDIO_NTFC,
    AUDIO_LAYOUT_UNSAID = -1 /* while it is read */
};

/* Lengths are in samples at `rate`. */
struct manifest_audio {
    int rate;
    enum manifest_sound_channels channels;
    float range; /* what full scale becomes */
    int window;  /* 0: a sound is one item, however long */
    int hop, context, zeros_before, zeros_after;
    bool pad; /* the last window with zeros */
    enum manifest_normalize normalize;
    enum manifest_audio_layout layout;
    struct features features;
    float mean, std; /* of features: (v - mean) / std */
};

/* The letters of a layout: N, C, T, F. */
const char *manifest_audio_letters(enum manifest_audio_layout layout);

/* What a constant may be of the posted picture: its size, that of the network's input, input pixels per posted pixel;
 * in both orders of width and height. */
enum manifest_fact {
    FACT_NONE,
    FACT_SIZE_WH,
    FACT_SIZE_HW,
    FACT_INPUT_WH,
    FACT_INPUT_HW,
    FACT_SCALE_WH,
    FACT_SCALE_HW
};

#define MANIFEST_VALUES_MAX 65536

/* Of the text's tokens, as transformers' networks take them beside the ids. */
enum manifest_tokens {
    TOKENS_NONE,
    TOKENS_MASK,     /* 1 for each, 0 for what fills the row up */
    TOKENS_TYPES,    /* 0: there is one text */
    TOKENS_POSITIONS /* 0, 1, 2, ... */
};

struct manifest_constant {
    enum manifest_fact fact;     /* or */
    enum manifest_tokens tokens; /* or */
    int n_values;                /* of one item */
    const double *values;
};

struct manifest_input {
    const char *name;
    enum manifest_kind kind;
    struct manifest_image image;
    struct manifest_text text;
    struct manifest_audio audio;
    struct manifest_constant constant;
};

enum manifest_task {
#define T(id, word, fit, make, write) TASK_##id,
#include "serve/tasks.def"
#undef T
    MANIFEST_TASKS /* how many there are */
};
enum manifest_ctc_layout { CTC_NTC, CTC_NCT, CTC_TNC };
enum manifest_activation { ACTIVATION_NONE, ACTIVATION_SOFTMAX, ACTIVATION_SIGMOID, ACTIVATION_EXP };

enum manifest_decoder {
#define D(id, ...) DECODER_##id,
#include "serve/decoders.def"
#undef D
    MANIFEST_DECODERS
};
enum manifest_boxes { BOXES_XYXY, BOXES_CXCYWH, BOXES_YXYX, BOXES_XYWH };
enum manifest_units { UNITS_PIXELS, UNITS_RELATIVE, UNITS_PICTURE };
enum manifest_score { SCORE_CLASS, SCORE_PRODUCT, SCORE_ROOT };
enum manifest_nms { NMS_CLASS, NMS_AGNOSTIC, NMS_NONE };

/* What an output is to a decoder. */
enum manifest_role { ROLE_BOXES, ROLE_SCORES, ROLE_CLASSES, ROLE_COUNT, ROLE_OBJECTS, ROLE_POINTS, MANIFEST_ROLES };
#define MANIFEST_ROLE_WORDS "boxes|scores|classes|count|objects|points"
#define MANIFEST_LEVELS 5 /* grids of a decoder, each with a stride */

struct manifest_names {
    int n; /* 0: those of the decoder's authors */
    const char *at[MANIFEST_LEVELS];
};

/* Of the task detect; where the manifest leaves a key out, what decoders.def says of the decoder. */
struct manifest_detect {
    enum manifest_decoder decoder;
    enum manifest_boxes boxes;
    enum manifest_units units;
    enum manifest_score score;
    enum manifest_nms nms;
    float overlap;
    int max_detections;
    int n_points, point_size; /* [n_points, point_size] of each detection; 0: none */
    const char *prototypes;   /* an output; NULL: no masks */
    bool obb;
    struct manifest_names outputs[MANIFEST_ROLES];
};

enum manifest_size { SIZE_OUTPUT, SIZE_PICTURE };

/* Of the task image. */
struct manifest_made {
    float low, high; /* black and white */
    enum manifest_channels channels;
    enum manifest_image_layout layout;
    enum manifest_size size;
};

/* What its author measured; free information. Negative: not given. */
struct manifest_accuracy {
    const char *metric, *data, *split; /* NULL: not given */
    double value, low, high;           /* the interval's ends */
    double macro, precision, recall;
    int64_t n;
};

#define MANIFEST_WARMUP_MAX 16

enum manifest_format { FORMAT_NONE, FORMAT_NHWC, FORMAT_NCHW };

/* One of the network's inputs or outputs, as config.pbtxt declares it. */
struct manifest_io {
    const char *name;
    enum percept_dtype dtype;
    int rank;
    int64_t dims[PERCEPT_RANK_MAX]; /* of a whole tensor, the batch among them; -1: free */
    enum manifest_format format;    /* of an input */
    bool is_shape_tensor, optional;
    const char *label_filename; /* of an output; NULL: none */
    int n_labels;
    const char *const *labels;
};

/* Which of a model's versions are served. */
enum manifest_versions { VERSIONS_UNSAID, VERSIONS_LATEST, VERSIONS_ALL, VERSIONS_SPECIFIC };

struct manifest_version_policy {
    enum manifest_versions kind;
    int64_t n_latest; /* of VERSIONS_LATEST: so many, the highest */
    int n_versions;   /* of VERSIONS_SPECIFIC */
    const int64_t *versions;
};

/* A name for a version. */
struct manifest_label {
    const char *name;
    int64_t version;
};

/* What is kept between the requests of a sequence: an input that is given what the output was in the step before. */
struct manifest_state {
    const char *input, *output;
    const struct bytes *initial; /* at the start, as raw elements; NULL: zeros */
    const char *initial_file;    /* where config.pbtxt has them; NULL: nowhere */
};

enum manifest_control_kind { CONTROL_START, CONTROL_END, CONTROL_READY, CONTROL_CORRELATION_ID };

/* An input that is told what a step is. */
struct manifest_control {
    const char *input;
    enum manifest_control_kind kind;
    double off, on; /* not of CONTROL_CORRELATION_ID */
};

#define MANIFEST_STATES_MAX 64 /* and as many controls */

/* An input of the model's that is given what the encoder's output, or input, of that name is. */
struct manifest_feed {
    const char *input, *from;
};

/* The network that reads a text once, before another one makes a text of it. */
struct manifest_encoder {
    const char *file;          /* beside the model's own */
    struct manifest *manifest; /* its inputs alone */
    const char *lengths, *mask;
    int n_feeds;
    struct manifest_feed *feeds;
};

/* How a text goes on. */
struct manifest_generate {
    bool given;
    const char *input, *output;
    int scores; /* 0 logits, 1 probabilities */
    int64_t max_new_tokens;
    double temperature;               /* of requests that say none; below 0: not said */
    double length_penalty;            /* of a search; see beam.h */
    int beams;                        /* that a request follows which says nothing; 1: none are */
    struct manifest_encoder *encoder; /* NULL: there is none, and the text is a prompt */
};

struct manifest_sequence {
    bool given;
    int n_states, n_controls;
    struct manifest_state *states;
    struct manifest_control *controls;
    int64_t max_idle_us; /* 0: not said */
    int max_sequences;   /* 0: not said */
};

/* A run that is wanted before the model is ready. */
enum manifest_warmup_data { WARMUP_ZEROS, WARMUP_RANDOM, WARMUP_FILE };

struct manifest_warmup_input {
    const char *name;
    enum percept_dtype dtype;
    int rank;
    int64_t dims[PERCEPT_RANK_MAX]; /* of one item, as config.pbtxt has them */
    enum manifest_warmup_data data;
    const char *file; /* of WARMUP_FILE */
};

struct manifest_warmup {
    const char *name;
    int batch_size, count; /* count runs of so many items */
    int n_inputs;
    struct manifest_warmup_input *inputs;
};

struct manifest_parameter {
    const char *key, *value;
};

struct manifest {
    const char *path;                               /* "" for a default one */
    const char *recognised_by, *recognised_because; /* recognise.h made it; NULL: nobody did */
    const char *likely;                             /* what it resembles that is not certain; NULL or "": nothing */
    const char *config_path;                        /* of config.pbtxt; NULL: there is none */
    const char *description;                        /* "" when not given */
    const char *license;
    int precision; /* 0 exact, 1 fast, 2 bf16 (settings_precision); -1: the daemon's */
    int n_inputs;
    struct manifest_input *inputs;
    int n_labels;
    const char *const *labels; /* by class; NULL: it has none (then labels_have_gaps) */
    bool labels_have_gaps;
    enum manifest_task task;
    const char *task_output; /* name of the output it reads; NULL: the only one */
    enum manifest_activation task_activation;
    int top_k;
    float threshold; /* least score; -FLT_MAX: none. Of the task text, from where on a piece ends */
    int class_offset;
    struct manifest_detect detect;
    struct manifest_made image;
    enum manifest_ctc_layout ctc_layout; /* of the task ctc, and so on to words */
    int blank;                           /* -1: the last class */
    const char *space;                   /* NULL: labels have their own */
    int n_skipped;
    const char *const *skipped;
    int beam; /* 0: greedy */
    int n_words;
    const char *const *words; /* in the order of strcmp */
    int splits;               /* of the task text; -1: runs of one column */
    int sound_rate;           /* of the task audio; 0: the input's */
    float sound_range;
    struct speech_rules speech; /* of the task vad; its threshold is `threshold` */
    int max_batch_size;         /* -1: the daemon's; 0: no axis is a batch */
    int64_t max_queue_delay_us; /* -1: the daemon's */
    int max_queue_size;         /* -1: the daemon's */
    bool independent;           /* the owner's word, where no proof is found */
    int64_t default_timeout_us; /* of a request that brings none; 0: the daemon's, -1: none */
    int n_warmup;
    int warmup[MANIFEST_WARMUP_MAX]; /* batch sizes made ready at load, besides 1 */
    struct manifest_accuracy accuracy;
    struct manifest_sequence sequence;
    struct manifest_generate generate;
    struct stages *stages; /* NULL: it is no chain */
    int n_version_labels;
    const struct manifest_label *version_labels;

    /* what config.pbtxt alone can say */
    const char *model_name;                    /* NULL: not said */
    const char *model_file;                    /* beside the one that was found; NULL: that one */
    bool declared_batch;                       /* the first of all declared dims is the batch */
    int n_declared_inputs, n_declared_outputs; /* 0: none is declared, which says nothing */
    struct manifest_io *declared_inputs, *declared_outputs;
    struct manifest_version_policy version_policy;
    int n_preferred_batch_sizes;
    const int *preferred_batch_sizes;
    int64_t priority_levels, default_priority_level; /* 0: none */
    int n_instances;                                 /* 0: not said */
    int n_parameters;
    struct manifest_parameter *parameters;
    int n_warmup_requests;
    struct manifest_warmup *warmup_requests;
    const char *ignored; /* fields without effect on what is answered, "a, b"; NULL: none */
};

/* One that says nothing. NULL when memory is short. */
struct manifest *manifest_new(struct arena *arena, struct percept_err *err);

/* Reads FOLDER/manifest.json, where there is one, over what the manifest says so far. */
bool manifest_read_over(struct manifest *manifest, const char *folder, struct arena *arena, struct percept_err *err);

/* Reads the text of one, of `origin` as sentences name it. Files are not beside it. */
bool manifest_read_text(struct manifest *manifest, const char *text, const char *origin, struct arena *arena,
                        struct percept_err *err);

/* Reads FOLDER/manifest.json (NULL folder or no such file: a default manifest). Everything goes
 * into the arena. Files it names (labels, vocabulary) are read from beneath the folder only. */
const struct manifest *manifest_read(const char *folder, struct arena *arena, struct percept_err *err);

/* The description of an input, or NULL. */
const struct manifest_input *manifest_input(const struct manifest *manifest, const char *name);

/* The JSON Schema text of manifest.json. */
const char *manifest_schema(void);

/* The known keys, for tests and documents: the i-th section's name and its i-th key, NULL at the
 * end. */
const char *manifest_section(int section);
const char *manifest_key(int section, int key);

#endif
