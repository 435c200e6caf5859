/* fake_model.c - see fake_model.h. */
#include "fake_model.h"

#include "folder.h"

#include <check.h>
#include <float.h>
#include <stdlib.h>

struct fake_model *fake_model_new(const char *name)
{
    struct fake_model *fake = calloc(1, sizeof *fake);
    fake->model.inputs = fake->inputs;
    fake->model.outputs = fake->outputs;
    fake->manifest.path = "";
    fake->manifest.threshold = -FLT_MAX;
    fake->manifest.inputs = fake->described;
    fake->served.name = name;
    fake->served.version = 1;
    fake->served.model = &fake->model;
    fake->served.manifest = &fake->manifest;
    return fake;
}

void fake_model_free(struct fake_model *fake)
{
    arena_free(&fake->arena);
    free(fake->body);
    free(fake);
}

static void io_fill(struct percept_io *io, const char *name, enum percept_dtype dtype, int rank, const int64_t *dims)
{
    *io = (struct percept_io){.name = name, .dtype = dtype, .rank = rank};
    for (int i = 0; i < rank; i++)
        io->dims[i] = dims[i];
}

void fake_model_input(struct fake_model *fake, const char *name, enum percept_dtype dtype, int rank,
                      const int64_t *dims)
{
    io_fill(&fake->inputs[fake->model.n_inputs++], name, dtype, rank, dims);
}

void fake_model_output(struct fake_model *fake, const char *name, enum percept_dtype dtype, int rank,
                       const int64_t *dims)
{
    io_fill(&fake->outputs[fake->model.n_outputs++], name, dtype, rank, dims);
}

void fake_model_batching(struct fake_model *fake, int max_batch_size)
{
    fake->served.batching = true;
    fake->served.max_batch_size = max_batch_size;
}

struct manifest_input *fake_model_describe(struct fake_model *fake, enum manifest_kind kind)
{
    struct manifest_input *input = &fake->described[fake->manifest.n_inputs++];
    *input = (struct manifest_input){.name = fake->inputs[fake->model.n_inputs - 1].name,
                                     .kind = kind,
                                     .image = {.min_width = 1,
                                               .max_width = 16384,
                                               .multiple_of = 1,
                                               .enlarge = true,
                                               .antialias = true,
                                               .scale = 1,
                                               .std = {1, 1, 1}},
                                     .text = {.unknown = -1, .pad = -1, .start = -1, .end = -1}};
    return input;
}

struct job *fake_model_post_bytes(struct fake_model *fake, const void *at, size_t n)
{
    arena_free(&fake->arena);
    free(fake->body);
    fake->body = malloc(n ? n : 1);
    if (n)
        memcpy(fake->body, at, n);
    fake->job = (struct job){.arena = &fake->arena,
                             .served = &fake->served,
                             .body = bytes_of(fake->body, n),
                             .json_bytes = -1,
                             .reply_json_bytes = -1};
    fake->err = (struct percept_err){0};
    return &fake->job;
}

struct job *fake_model_post(struct fake_model *fake, const char *text)
{
    return fake_model_post_bytes(fake, text, strlen(text));
}

const struct manifest *fake_model_manifest(const char *text, struct arena *arena)
{
    struct percept_err err = {0};
    folder_text("manifest.json", text);
    const struct manifest *manifest = manifest_read(folder_root, arena, &err);
    ck_assert_msg(manifest != NULL, "%s: %s", text, err.text);
    return manifest;
}
