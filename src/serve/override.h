/*
 * override.h - what a request to load a model says instead of its files: Triton's parameters `config`, a ModelConfig as
 * JSON in a string, and `file:VERSION/model.onnx`, a file in base64. It holds for what is loaded by that request, in
 * memory alone.
 *
 *     struct override override;
 *     if (!override_read(&override, "net", body, &err)) ...
 *     override_free(&override);                      also after a failure
 *
 * Threads: the caller's. The body is no longer needed afterwards.
 */
#ifndef SERVE_OVERRIDE_H
#define SERVE_OVERRIDE_H

#include "base/arena.h"
#include "base/bytes.h"
#include "percept.h"

struct override_file {
    struct override_file *next;
    int64_t version;
    struct bytes bytes; /* of an .onnx */
};

struct override {
    struct arena arena;
    bool has_config;
    int max_batch_size;         /* -1: not said; 0: requests are not joined */
    int64_t max_queue_delay_us; /* -1: not said */
    struct override_file *files;
};

/* An empty body says nothing. False with a sentence (INVALID, UNSUPPORTED): what is no JSON, or cannot be meant. */
bool override_read(struct override *override, const char *model, struct bytes body, struct percept_err *err);
void override_free(struct override *override);

#endif
