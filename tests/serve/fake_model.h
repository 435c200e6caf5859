/*
 * fake_model.h - a served model and a job for tests of codecs, filled by hand: no file, no engine,
 * no loop.
 *
 *     struct fake_model *fake = fake_model_new("m");
 *     fake_model_input(fake, "x", PERCEPT_FLOAT, 2, (int64_t[]){-1, 3});
 *     ck_assert(codec_json_decode(fake_model_post(fake, "{...}"), &fake->err));
 *     fake_model_free(fake);
 */
#ifndef TESTS_SERVE_FAKE_MODEL_H
#define TESTS_SERVE_FAKE_MODEL_H

#include "engine/model.h"
#include "serve/codec.h"

#define FAKE_MODEL_IO 16

struct fake_model {
    struct percept_model model;
    struct percept_io inputs[FAKE_MODEL_IO], outputs[FAKE_MODEL_IO];
    struct manifest manifest;
    struct manifest_input described[FAKE_MODEL_IO];
    struct served served;
    struct arena arena; /* of the job */
    struct job job;
    struct percept_err err;
    void *body; /* exactly as long as what was posted, so that reading past it shows */
};

struct fake_model *fake_model_new(const char *name);
void fake_model_free(struct fake_model *fake);

void fake_model_input(struct fake_model *fake, const char *name, enum percept_dtype dtype, int rank,
                      const int64_t *dims);
void fake_model_output(struct fake_model *fake, const char *name, enum percept_dtype dtype, int rank,
                       const int64_t *dims);

/* The first axis is the batch. */
void fake_model_batching(struct fake_model *fake, int max_batch_size);

/* The description of the newest input, of this kind. */
struct manifest_input *fake_model_describe(struct fake_model *fake, enum manifest_kind kind);

/* A fresh job with this body; the one before is gone. */
struct job *fake_model_post(struct fake_model *fake, const char *text);
struct job *fake_model_post_bytes(struct fake_model *fake, const void *at, size_t n);

/* Writes manifest.json into the test's folder (folder.h) and reads it; fails the test when that
 * fails. */
const struct manifest *fake_model_manifest(const char *text, struct arena *arena);

#endif
