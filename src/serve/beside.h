/*
 * beside.h - what lies beside a model's file and says how it is served: config.pbtxt, manifest.json, another file that
 * is meant.
 *
 *     struct beside beside = {.name = "m", .path = "/repo/m/1/model.onnx", .folder = "/repo/m", .named = "/repo"};
 *     if (beside_read(&beside, &arena, &err)) ... beside.manifest, beside.file ...
 */
#ifndef SERVE_BESIDE_H
#define SERVE_BESIDE_H

#include "serve/manifest.h"

struct beside {
    /* given */
    const char *name;   /* that the model is served under */
    const char *path;   /* of the .onnx that was found */
    const char *folder; /* of its manifest; NULL: what lies there is not its own */
    const char *named;  /* what somebody had served, PATH or NAME=PATH; NULL: unknown */
    bool overridden;    /* a configuration was given instead of config.pbtxt */

    /* found */
    const struct manifest *manifest;
    const char *config; /* path of config.pbtxt, or NULL; also after a failure */
    const char *file;   /* path of the .onnx that is meant */
};

/* Everything goes into the arena. False with a sentence that begins with the path of what is wrong. Any thread. */
bool beside_read(struct beside *beside, struct arena *arena, struct percept_err *err);

/* The .onnx that is meant, for whom nothing else matters that lies beside it; in the arena. NULL: it cannot be told. */
const char *beside_file(const char *path, const char *folder, struct arena *arena, struct percept_err *err);

#endif
