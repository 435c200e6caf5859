/*
 * codec_parts.h - what the files of the V2 codec share and nobody else sees: a request's inputs
 * while they are being read, elements from JSON and from bytes.
 */
#ifndef SERVE_CODEC_PARTS_H
#define SERVE_CODEC_PARTS_H

#include "serve/codec.h"
#include "serve/json.h"
#include "serve/picture.h"

/* A part of a client's shared memory, as the request names it. */
struct codec_place {
    bool named, sized;
    struct bytes region;
    uint64_t offset, n_bytes;
};

/* An input as the request lists it. Everything points into the body or the job's arena. */
struct codec_input {
    struct bytes name;
    struct bytes datatype;
    int rank; /* -1: no shape was given */
    int64_t dims[PERCEPT_RANK_MAX];
    bool has_data;
    struct bytes data; /* the JSON array */
    bool base64;       /* its texts are, says parameters.content_type */
    bool has_binary;
    uint64_t binary_bytes;
    struct bytes binary; /* its part of what follows the JSON, or a copy of its part of shared memory */
    struct codec_place place;
    int index; /* of the model's inputs */
};

#define CODEC_SIDE_MAX 65535 /* of a picture; JPEG has no more, a PNG may say so */

/* A posted picture while it is being decoded. */
struct codec_picture {
    struct bytes body;   /* begins as its format does */
    int64_t most_pixels; /* that are accepted */
    unsigned need;       /* pixels along both sides that are enough; 0: all */
    struct watch *watch;
    struct arena *arena;
    struct percept_err *err;
};

/* codec_png.c, codec_jpeg.c, codec_webp.c: its pixels, in the arena. */
bool codec_png_decode(const struct codec_picture *source, struct picture *picture);
bool codec_jpeg_decode(const struct codec_picture *source, struct picture *picture);
bool codec_webp_decode(const struct codec_picture *source, struct picture *picture);

/* Are so many pixels accepted? */
bool codec_parts_check_size(const struct codec_picture *picture, uint64_t width, uint64_t height);

/* codec_elements.c: gives a tensor its `n` elements from a JSON array. */
bool codec_elements_read(struct job *job, struct bytes data, const char *name, struct percept_tensor *tensor, int64_t n,
                         struct percept_err *err);

/* codec_binary.c: gives every input with a binary_data_size its part of the tail. */
bool codec_binary_slice(struct job *job, struct codec_input *inputs, int n, struct bytes tail, struct percept_err *err);

/* Gives a tensor its `n` elements from raw bytes. */
bool codec_binary_read(struct job *job, struct bytes raw, const char *name, struct percept_tensor *tensor, int64_t n,
                       struct percept_err *err);

/* The whole body is the only input. */
bool codec_binary_raw(struct job *job, struct percept_err *err);

/* Size of a tensor's bytes in a reply, and these bytes; false when the watch is over. */
bool codec_binary_size(const struct percept_tensor *tensor, size_t *n_bytes);
bool codec_binary_write(uint8_t *to, const struct percept_tensor *tensor, struct watch *watch);

/* codec_memory.c: is this the key of a parameter about shared memory? Then it is read. */
bool codec_memory_is(struct bytes key);
bool codec_memory_parameter(struct json *json, struct bytes key, struct codec_place *place);

/* The region, if the place lies in it. */
const struct client_shm_region *codec_memory_find(const struct job *job, const struct codec_place *place,
                                                  const char *name, struct percept_err *err);

/* A copy of the place, in the job's arena. */
bool codec_memory_read(struct job *job, const struct codec_place *place, const char *name, struct bytes *raw,
                       struct percept_err *err);

/* Puts an output's bytes where it was asked for. */
bool codec_memory_write(struct job *job, const struct job_output *output, const char *name,
                        const struct percept_tensor *tensor, size_t n_bytes, struct percept_err *err);

/* codec_text.c: gives an input the ids of `n_texts` texts, which must come out equally long. */
bool codec_text_fill(struct job *job, int input, const struct manifest_text *text, const struct percept_string *texts,
                     int64_t n_texts, struct percept_err *err);

/* codec_image.c: gives an input n pictures, which must come to one size. */
bool codec_image_fill(struct job *job, int input, const struct manifest_image *image,
                      const struct percept_string *pictures, int64_t n, struct percept_err *err);

/* Gives an input what `n` texts or pictures are by its description. */
bool codec_parts_fill(struct job *job, int input, const struct manifest_input *described,
                      const struct percept_string *items, int64_t n, struct percept_err *err);

/* The description of an input that takes texts or pictures instead of its numbers; NULL: it takes numbers, or texts as
 * they are. */
const struct manifest_input *codec_parts_described(const struct job *job, int input);

/* What a text stands for, into room for BASE64_READ_MAX. False: it is no base64, or the watch is over. */
bool codec_parts_base64(struct bytes text, uint8_t *to, size_t *n_bytes, struct watch *watch);

/* What files of a kind have at a place. */
struct codec_magic {
    const char *magic;
    size_t n, at;
    const char *name;
};

/* The name of the first row that the body has, or NULL. */
const char *codec_parts_magic(struct bytes body, const struct codec_magic *rows, size_t n_rows);

/* codec_audio.c, for sounds that are heard window by window: the samples of `body`, judged and decoded as the job's. */
bool codec_audio_read(struct job *job, const struct manifest_audio *audio, struct bytes body, struct arena *arena,
                      struct sound *sound, struct percept_err *err);

/* Windows, a hop apart in a row of samples, as the input takes them: window i begins at `windows` + i * the elements of
 * `one`, its shape; but where they are the samples themselves at `windows` + i * hop, and nothing is copied. */
bool codec_audio_windows(struct job *job, int input, const struct manifest_audio *audio, int64_t n_windows,
                         const float *row, const float **windows, struct percept_tensor *one, struct percept_err *err);

/* Memory for a tensor's elements, from the job's arena. */
bool codec_parts_reserve(struct job *job, const char *name, struct percept_tensor *tensor, int64_t n,
                         struct percept_err *err);

#endif
