/*
 * codec.h - media types -> tensors. One row per media type in codecs.def.
 *
 * decode runs on any thread, touches the job it is given and reads its served model; what
 * outlives the call is allocated from the job's arena only. Errors name the input or the place in
 * the body.
 */
#ifndef SERVE_CODEC_H
#define SERVE_CODEC_H

#include "serve/job.h"

struct codec {
    const char *media_type;
    enum manifest_kind kind; /* what the model's input must be described as */
    bool worker_always;      /* never decoded on the loop, however small */
    bool by_route;           /* no media type finds it */
    bool form;               /* for any model with an input that is described as a medium */
    bool (*decode)(struct job *job, struct percept_err *err);
};

/* The codec for a request's Content-Type (parameters after ';' and case are ignored). Unknown,
 * missing and form types are V2 JSON, as clients send those; "image/..." and others that look like
 * media which no codec reads give NULL with 415 and the list of those that this model takes. */
const struct codec *codec_find(const struct served *served, struct bytes content_type, struct percept_err *err);

/* The codec for a body that nobody said the type of, by how it begins: the picture or sound that it is, where the model
 * takes such; a text where it takes texts; else V2 JSON. What is none of these goes to the codec of the model's medium,
 * which says what it takes. */
const struct codec *codec_of_body(const struct served *served, struct bytes body);

/* The codec of V1's predict requests, whatever their Content-Type. */
const struct codec *codec_v1(void);

/* What the model's only input is described as; with several, a body of one medium cannot feed it.
 */
enum manifest_kind codec_kind(const struct served *served);

/* Below this many body bytes JSON is decoded on the loop: a trip to the pool costs more. */
#define CODEC_LOOP_BYTES 16384

/* Of a posted picture, where served->max_pixels is 0. */
#define CODEC_MAX_PIXELS ((int64_t)64 << 20)

/* Of a posted sound, where served->max_audio_seconds is 0. */
#define CODEC_MAX_AUDIO_SECONDS ((int64_t)600)

/* Does it read samples without a head? */
bool codec_audio_is_raw(const struct codec *codec);

/* codec_json.c: the V2 body, with binary tails or without. */
bool codec_json_decode(struct job *job, struct percept_err *err);

/* codec_v1.c: TensorFlow Serving's body, in rows or columns. */
bool codec_v1_decode(struct job *job, struct percept_err *err);

/* codec_multipart.c: a form with files. codec_image.c, codec_audio.c, codec_text.c */
bool codec_multipart_decode(struct job *job, struct percept_err *err);
bool codec_image_decode(struct job *job, struct percept_err *err);
bool codec_audio_decode(struct job *job, struct percept_err *err);

/* The media type of a picture, a sound, by how it begins; NULL: it is none that is read here. */
const char *codec_image_type(struct bytes body);
const char *codec_audio_type(struct bytes body);

/* The picture that was posted, upright, at its full size; in the job's arena. For whoever draws on it: the body is
 * there until done. */
bool codec_image_posted(struct job *job, struct picture *picture, struct percept_err *err);
bool codec_text_decode(struct job *job, struct percept_err *err);

/* The tokens of a text that a network goes on with: without an end token, its line ends kept. At most `most` go into
 * `ids`; a longer one is refused. */
struct manifest_text;
bool codec_text_prompt(struct job *job, const struct manifest_text *text, struct bytes prompt, int64_t most,
                       int64_t *ids, int64_t *n, struct percept_err *err);

/* How many tokens a text of so many bytes may have; past max_length it counts no further. */
int64_t codec_text_most(const struct manifest_text *text, size_t n_bytes);

/* Adds what a token says to a text that goes on; `first`: nothing is before it. */
struct unicode_text;
bool codec_text_say(const struct manifest_text *text, int64_t id, bool first, struct unicode_text *to,
                    struct percept_err *err);

/* V2's name of an element type ("FP32"), NULL where V2 has none; and back, PERCEPT_UNDEFINED. */
const char *codec_datatype(enum percept_dtype dtype);
enum percept_dtype codec_dtype(struct bytes datatype);

/* For decoders: makes job->inputs and asks for every output, as JSON or as bytes. */
bool codec_begin(struct job *job, bool binary, struct percept_err *err);

/* For decoders: dims of input i judged against the model and the other inputs; keeps the tensor and
 * sets job->n_items. The sentences are the protocol's. */
bool codec_accept(struct job *job, int input, const struct percept_tensor *tensor, struct percept_err *err);

/* May the body feed this input of the job's? And with a state that a sequence begins with? Must it? A constant of the
 * manifest's need not be sent. */
bool codec_is_body(const struct job *job, int input);
bool codec_may_bring(const struct job *job, int input);
bool codec_is_needed(const struct job *job, int input);

/* The only input that the body must feed; -1: there are none or several. */
int codec_body_input(const struct job *job);

/* Takes over the inputs that the body does not feed, without copying; each is judged as one of a body is. */
bool codec_take_sources(struct job *job, struct percept_err *err);

/* The number of elements, or false when that is over 2^63-1 or a dimension is negative. */
bool codec_count(int rank, const int64_t *dims, int64_t *n);

#endif
