/*
 * source.c - see source.h.
 *
 * A file is read in pieces, each of which is hashed while it is warm. Where the hash of this very file is noted beside
 * its packed weights (base/region.h) only what is no weight is read: the weights lie in the region already, and a file
 * of hundreds of megabytes opens like one of some hundred kilobytes. Then the buffer is as large as the file, but its
 * pages come to be when they are filled. A weight whose region is not there after all, or that something else than
 * packing asks for, is read when it is asked for (graph_read).
 *
 * Which weights stay unread is judged by who reads them: operators that look at shape and type of their weights when
 * they are checked, and at the numbers when they pack.
 *
 * Thread: the loader. Nothing is left when a model is open.
 */
#include "engine/source.h"

#include <string.h>
#include <time.h>

#include "base/err.h"

#define PIECE_BYTES ((size_t)1 << 18)
#define RECALL_LEAST ((size_t)1 << 20) /* of a file; smaller ones are read as fast */

static bool read_external(void *user, const char *name, size_t offset, size_t n, struct arena *arena,
                          struct bytes *bytes, struct percept_err *err)
{
    struct source *source = user;
    if (source->place.folder < 0 && !file_place_open(&source->place, source->path, &source->file.stamp, err))
        return false;
    if (!file_read_beneath(&source->place, name, offset, n, arena, bytes, NULL, err))
        return false;
    pack_digest_add(source->digest, *bytes);
    return true;
}

static bool begin(struct source *source, struct percept_err *err)
{
    *source = (struct source){.place = {-1, -1}, .file = {.fd = -1}, .digest = pack_digest_new()};
    return source->digest || err_memory(err, "a digest", 64);
}

static bool read_at(struct source *source, struct bytes to, struct percept_err *err)
{
    return file_read_at(&source->file, (uint8_t *)(uintptr_t)to.at, (size_t)(to.at - source->bytes.at), bytes_size(to),
                        err);
}

static bool read_payload(void *user, struct bytes to, struct percept_err *err)
{
    return read_at(user, to, err);
}

static bool fetch(void *user, struct bytes place)
{
    struct source *source = user;
    return read_at(source, place, &source->err);
}

/* The digest of what read_pieces or memory brings, into the note. */
static bool hash(struct source *source,
                 bool (*each)(struct source *source, struct bytes piece, struct percept_err *err),
                 struct percept_err *err)
{
    struct pack_digest *content = pack_digest_new();
    if (!content)
        return err_memory(err, "a digest", 64);
    bool good = true;
    for (struct bytes rest = source->bytes; good && rest.at < rest.end;) {
        const size_t n = bytes_size(rest) < PIECE_BYTES ? bytes_size(rest) : PIECE_BYTES;
        const struct bytes piece = bytes_of(rest.at, n);
        good = !each || each(source, piece, err);
        if (good)
            pack_digest_content(content, piece);
        rest.at = piece.end;
    }
    pack_digest_take(content, source->note.digest);
    pack_digest_free(content);
    return good;
}

static bool read_file(struct source *source, bool recall, const char *prefix, struct percept_err *err)
{
    const size_t n = (size_t)source->file.stamp.size;
    source->room = arena_buffer(n);
    if (!source->room)
        return err_memory(err, source->path, n);
    source->bytes = bytes_of(source->room, n);
    source->note.stamp = source->file.stamp;
    source->payload = (struct payload){.file = source->bytes, .read = read_payload, .user = source};
    if (recall && n >= RECALL_LEAST && region_recall(prefix, &source->note))
        return payload_skip(&source->payload, &source->arena, err);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    source->note.looked_ns = now.tv_sec * 1000000000 + now.tv_nsec;
    file_expect(source->room, n);
    return hash(source, read_at, err) && file_is_unchanged(&source->file, err) &&
           file_judge_head(&source->file, source->bytes, err);
}

bool source_open(struct source *source, const char *path, bool recall, const char *prefix, struct percept_err *err)
{
    if (!begin(source, err))
        return false;
    source->path = path;
    source->external = (struct onnx_external){.read = read_external, .user = source};
    if (!file_open(&source->file, path, err) || !read_file(source, recall, prefix, err))
        return false;
    pack_digest_add(source->digest, bytes_of(source->note.digest, sizeof source->note.digest));
    return true;
}

bool source_of_memory(struct source *source, struct bytes bytes, struct percept_err *err)
{
    if (!begin(source, err))
        return false;
    source->bytes = bytes;
    if (!hash(source, NULL, err))
        return false;
    pack_digest_add(source->digest, bytes_of(source->note.digest, sizeof source->note.digest));
    return true;
}

/* --- weights that stay unread ------------------------------------------------------------------------------------- */

/* Does the node look at the numbers of this input when it packs, and not before? */
static bool packs(const struct node *node, int input)
{
    static const struct {
        const char *name;
        int last;
    } rows[] = {{"Conv", 1}, {"ConvTranspose", 1}, {"Gemm", 1}, {"MatMul", 1}, {"RNN", 2}, {"GRU", 2}, {"LSTM", 2}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!bytes_size(node->domain) && bytes_is(node->op_type, rows[i].name))
            return input >= 1 && input <= rows[i].last;
    return false;
}

static void count_packed(const struct graph *graph, int *packed)
{
    for (int i = 0; i < graph->n_nodes; i++)
        for (int k = 0; k < graph->nodes[i].n_in; k++)
            if (graph->nodes[i].in[k] >= 0 && packs(&graph->nodes[i], k))
                packed[graph->nodes[i].in[k]]++;
}

bool source_mark(struct source *source, struct graph *graph, struct percept_err *err)
{
    if (!source->payload.n_holes)
        return true;
    int *packed = arena_array(&source->arena, (size_t)graph->n_values + 1, sizeof *packed);
    if (!packed)
        return err_memory(err, "a table of weights", (size_t)graph->n_values * sizeof *packed);
    graph_count_uses(graph);
    count_packed(graph, packed);
    source->fetch = (struct graph_fetch){.read = fetch, .user = source};
    graph->fetch = &source->fetch;
    for (int v = 0; v < graph->n_values; v++) {
        struct value *value = &graph->values[v];
        const struct bytes *hole = value->constant ? payload_find(&source->payload, value->constant->data) : NULL;
        if (!hole)
            continue;
        value->unread = *hole;
        value->constant->data = NULL;
        if (packed[v] != value->n_uses && !graph_read(graph, v))
            return err_set(err, source->err.code, "%s", source->err.text);
    }
    return true;
}

bool source_settle(struct source *source, struct graph *graph, struct region *region, struct percept_err *err)
{
    for (int v = 0; v < graph->n_values; v++)
        graph->values[v].unread = (struct bytes){0};
    graph->fetch = NULL;
    if (!source->path)
        return true;
    if (source->payload.n_holes && !file_is_unchanged(&source->file, err))
        return false;
    if (source->note.stamp.size >= RECALL_LEAST)
        region_remember(region, &source->note);
    return true;
}

void source_close(struct source *source)
{
    pack_digest_free(source->digest);
    file_place_close(&source->place);
    file_close(&source->file);
    arena_free(&source->arena);
    arena_buffer_free(source->room);
}
