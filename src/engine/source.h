/*
 * source.h - the bytes that a model is opened from: a file or memory, external data beside a file, and what all of them
 * hash to.
 */
#ifndef ENGINE_SOURCE_H
#define ENGINE_SOURCE_H

#include "base/file.h"
#include "base/region.h"
#include "engine/pack.h"
#include "graph/onnx.h"
#include "graph/payload.h"

struct source {
    const char *path; /* NULL: memory only */
    struct bytes bytes;
    struct pack_digest *digest; /* of all that packed bytes depend on */
    struct onnx_external external;
    struct file file;
    struct region_note note;  /* what the file hashes to */
    struct payload payload;   /* without holes where the file was read whole */
    struct graph_fetch fetch; /* fills them */
    struct arena arena;
    struct file_place place; /* opened when external data are first asked for */
    void *room;              /* ours, or NULL */
    struct percept_err err;  /* why a hole could not be filled */
};

/* Opens and reads a file. With `recall` large weights are left out where somebody noted under this prefix what the file
 * hashes to: source->payload has holes then. Closed with source_close, also on failure. */
bool source_open(struct source *source, const char *path, bool recall, const char *prefix, struct percept_err *err);

/* The same of bytes in memory, which stay the caller's. */
bool source_of_memory(struct source *source, struct bytes bytes, struct percept_err *err);

/* Of a graph that was read from the source: what packing alone will read stays unread, the rest is read now. */
bool source_mark(struct source *source, struct graph *graph, struct percept_err *err);

/* The model has its region: nothing is read any more. False: the file changed meanwhile. */
bool source_settle(struct source *source, struct graph *graph, struct region *region, struct percept_err *err);

void source_close(struct source *source);

#endif
