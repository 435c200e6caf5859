/*
 * handover.c - see handover.h. Thread: the loop's; a state is small (a step's, not a text's).
 */
#include "serve/handover.h"

#include "base/err.h"
#include "serve/json.h"
#include "serve/states.h"
#include "serve/writer.h"

#include <inttypes.h>

#define MAGIC "perceptd sequence 1\n"
#define DIGEST_BYTES 16

/* Every step is a bijection of `hash` and of the word, so that a change within one word is never overlooked. */
static uint64_t step(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * 0x9fb21c651e98df25;
    return hash ^ hash >> 32;
}

static void digest(struct bytes data, uint64_t hashes[2])
{
    const size_t n = bytes_size(data);
    hashes[0] = step(0x243f6a8885a308d3, n);
    hashes[1] = step(0x13198a2e03707344, n);
    for (size_t i = 0; i < n; i += sizeof(uint64_t)) {
        uint64_t word = 0;
        memcpy(&word, data.at + i, n - i < sizeof word ? n - i : sizeof word);
        hashes[0] = step(hashes[0], word);
        hashes[1] = step(hashes[1], word + hashes[0]);
    }
}

static const char *known(const char *text)
{
    return text ? text : "";
}

static void put_member(struct writer *w, const char *name, const char *text)
{
    writer_put(w, name);
    writer_string(w, text);
}

static void put_bytes(struct writer *w, const void *at, size_t n)
{
    char *to = writer_reserve(w, n);
    if (to && n) {
        memcpy(to, at, n);
        w->used += n;
    }
}

bool handover_write(const struct sequence_view *view, struct arena *arena, struct bytes *blob, struct percept_err *err)
{
    struct writer w = {.arena = arena};
    struct percept_description description = {0};
    uint64_t hashes[2];
    percept_describe(view->served->model, &description);
    writer_put(&w, MAGIC);
    put_member(&w, "{\"model\":", view->served->name);
    writer_put(&w, ",\"version\":");
    writer_int(&w, view->served->version);
    put_member(&w, ",\"level\":", known(description.level));
    put_member(&w, ",\"precision\":", known(description.precision));
    writer_put(&w, ",\"steps\":");
    writer_int(&w, (int64_t)view->steps);
    writer_put(&w, ",\"bytes\":");
    writer_int(&w, (int64_t)bytes_size(view->states));
    writer_put(&w, "}\n");
    put_bytes(&w, view->states.at, bytes_size(view->states));
    if (!w.failed) {
        digest(bytes_of(w.at, w.used), hashes);
        put_bytes(&w, hashes, sizeof hashes);
    }
    *blob = bytes_of(w.at, w.used);
    return !w.failed || err_memory(err, "a sequence's state", bytes_size(view->states));
}

struct head {
    struct bytes model, level, precision;
    uint64_t version, steps, n_bytes;
};

static bool read_head(struct json *json, struct head *head)
{
    struct json_keys keys = {0};
    struct bytes key;
    if (!json_open(json, '{'))
        return false;
    while (json_member(json, &keys, &key)) {
        if (bytes_is(key, "model"))
            json_text(json, "a string as 'model'", &head->model);
        else if (bytes_is(key, "level"))
            json_text(json, "a string as 'level'", &head->level);
        else if (bytes_is(key, "precision"))
            json_text(json, "a string as 'precision'", &head->precision);
        else if (bytes_is(key, "version"))
            json_uint(json, "a whole number as 'version'", &head->version);
        else if (bytes_is(key, "steps"))
            json_uint(json, "a whole number as 'steps'", &head->steps);
        else if (bytes_is(key, "bytes"))
            json_uint(json, "a whole number as 'bytes'", &head->n_bytes);
        else
            json_skip(json);
    }
    return json_finish(json);
}

static bool fits(const struct head *head, const struct served *served, const struct percept_description *ours,
                 struct percept_err *err)
{
    if (!bytes_is(head->model, served->name) || head->version != (uint64_t)served->version)
        return err_set(err, ERR_INVALID,
                       "the state is of model '" BYTES_FMT "' version %" PRIu64
                       "; it cannot go on in '%s' version %" PRId64,
                       BYTES_ARG(head->model), head->version, served->name, served->version);
    if (!bytes_is(head->precision, known(ours->precision)))
        return err_set(err, ERR_INVALID, "the state was computed in precision '" BYTES_FMT "'; here it is '%s'",
                       BYTES_ARG(head->precision), ours->precision);
    return head->n_bytes == served->states->n_bytes ||
           err_set(err, ERR_INVALID, "the state has %" PRIu64 " bytes; model '%s' keeps %zu", head->n_bytes,
                   served->name, served->states->n_bytes);
}

/* Where the head's line ends, or NULL. */
static const uint8_t *end_of_head(struct bytes blob)
{
    const size_t n = sizeof MAGIC - 1;
    if (bytes_size(blob) < n + DIGEST_BYTES || memcmp(blob.at, MAGIC, n) != 0)
        return NULL;
    return memchr(blob.at + n, '\n', bytes_size(blob) - n - DIGEST_BYTES);
}

bool handover_read(struct bytes blob, const struct served *served, struct arena *arena, struct handover *handover,
                   struct percept_err *err)
{
    struct percept_description ours = {0};
    struct head head = {0};
    uint64_t hashes[2];
    const uint8_t *end = end_of_head(blob);
    if (!end)
        return err_set(err, ERR_INVALID, "the body is no state of a sequence: it comes from GET of the same path");
    const struct bytes sealed = {blob.at, blob.end - DIGEST_BYTES};
    digest(sealed, hashes);
    if (memcmp(hashes, sealed.end, DIGEST_BYTES) != 0)
        return err_set(err, ERR_INVALID, "the state is damaged: its digest is another one");
    struct json json = json_of((struct bytes){blob.at + sizeof MAGIC - 1, end}, arena, err);
    percept_describe(served->model, &ours);
    if (!read_head(&json, &head) || !fits(&head, served, &ours, err))
        return false;
    handover->states = (struct bytes){end + 1, sealed.end};
    if (bytes_size(handover->states) != head.n_bytes)
        return err_set(err, ERR_INVALID, "the state has %zu bytes and says %" PRIu64, bytes_size(handover->states),
                       head.n_bytes);
    handover->steps = head.steps;
    handover->other_level =
        bytes_is(head.level, known(ours.level)) ? NULL : arena_text(arena, head.level.at, bytes_size(head.level));
    return true;
}
