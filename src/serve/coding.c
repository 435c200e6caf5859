/*
 * coding.c - inflating and deflating in slices, each announced to the watch.
 *
 * A bomb is a body that grows a thousandfold. Two limits end it while it grows: the one for bodies, and a ratio,
 * because what costs its sender a kilobyte shall not cost us 64 MiB. Deflate itself ends at 1032 to 1; a tensor of
 * zeros comes near that, hence a first megabyte that is free. zlib's own memory (some 40 KiB to read, 256 KiB to write)
 * is taken from arena.c and given back at once.
 *
 * Replies are written at zlib's level 1: digits of floats become half as long at 50 MB/s; level 6 takes six times as
 * long for a tenth of that. What does not get smaller, such as floats as bytes, is noticed in its first slices and left
 * as it is.
 */
#include "serve/coding.h"

#include "base/err.h"
#include "serve/accept.h"

#include <limits.h>
#include <strings.h>
#include <zlib.h>

#define SLICE ((size_t)64 << 10)
#define EITHER (15 + 32) /* zlib's word for: gzip or zlib, as its head says */
#define GZIP (15 + 16)
#define LEVEL 1
#define MEMORY 8        /* zlib's default */
#define INFLATE_UNITS 4 /* a byte of input or output, in watch_spend's units of some ns */
#define DEFLATE_UNITS 8
#define TRIAL_SLICES 4 /* after so many it is known whether a reply gets smaller */
#define WORTH_PERCENT 95

static const struct {
    const char *name;
    enum coding coding;
} names[] = {
    {"gzip", CODING_GZIP},
    {"x-gzip", CODING_GZIP}, /* RFC 9110, 8.4.1.3 */
    {"deflate", CODING_DEFLATE},
    {"identity", CODING_IDENTITY},
};

enum coding coding_find(struct bytes content_encoding)
{
    if (!content_encoding.at)
        return CODING_IDENTITY;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (bytes_size(content_encoding) == strlen(names[i].name) &&
            strncasecmp((const char *)content_encoding.at, names[i].name, strlen(names[i].name)) == 0)
            return names[i].coding;
    return CODING_UNKNOWN;
}

enum coding coding_prefer(struct bytes accept_encoding)
{
    enum coding best = CODING_IDENTITY;
    int best_weight = 0;
    struct accept_range range;
    while (accept_next(&accept_encoding, &range)) {
        enum coding coding = bytes_size(range.name) ? coding_find(range.name) : CODING_UNKNOWN;
        if (coding == CODING_UNKNOWN || range.weight <= best_weight)
            continue;
        best = coding;
        best_weight = range.weight;
    }
    return best;
}

const char *coding_name(enum coding coding)
{
    return coding == CODING_GZIP ? "gzip" : coding == CODING_DEFLATE ? "deflate" : "identity";
}

/* --- zlib's memory ------------------------------------------------------------------------------------------------ */

static voidpf take(voidpf user, uInt n, uInt size)
{
    (void)user;
    return arena_buffer_array(n, size);
}

static void give_back(voidpf user, voidpf memory)
{
    (void)user;
    arena_buffer_free(memory);
}

/* --- inflating ---------------------------------------------------------------------------------------------------- */

/* A body on its way. */
struct inflating {
    z_stream z;
    struct bytes body;
    size_t limit, most; /* the lower of both limits, and that for bodies */
    struct arena *arena;
    uint8_t *at;
    size_t used, room;
    struct watch *watch;
    struct percept_err *err;
};

static bool refuse_size(const struct inflating *in)
{
    if (in->used > in->most)
        return err_set(in->err, ERR_TOO_LARGE,
                       "decompressed request size of %zu bytes exceeds the maximum allowed input size of %zu bytes. "
                       "Use --max-body to increase the limit.",
                       in->used, in->most);
    return err_set(in->err, ERR_TOO_LARGE,
                   "decompressed request size of %zu bytes exceeds %d times the %zu bytes that were sent; send such a "
                   "body without compression",
                   in->used, CODING_RATIO, bytes_size(in->body));
}

/* Room for one slice more, and for the one byte that is too many. */
static bool make_room(struct inflating *in)
{
    if (in->used < in->room)
        return true;
    size_t room = in->room ? in->room * 2 : bytes_size(in->body) * 2 + 4096;
    if (room > in->limit + 1)
        room = in->limit + 1;
    uint8_t *at = arena_grow(in->arena, in->at, in->room, room);
    if (!at)
        return err_memory(in->err, "a decompressed body", room);
    in->at = at;
    in->room = room;
    return true;
}

static uInt slice_of(size_t n_bytes)
{
    return (uInt)(n_bytes < SLICE ? n_bytes : SLICE);
}

static bool refuse_damage(const struct inflating *in, int status)
{
    if (status == Z_MEM_ERROR)
        return err_memory(in->err, "a body that is decompressed", SLICE);
    if (status == Z_BUF_ERROR)
        return err_set(in->err, ERR_INVALID, "the compressed body ends after %zu bytes and is not whole",
                       bytes_size(in->body));
    if (!in->used && in->z.total_in <= 2)
        return err_set(in->err, ERR_INVALID,
                       "the compressed body is neither gzip nor zlib (Content-Encoding gzip, deflate)");
    return err_set(in->err, ERR_INVALID, "the compressed body is damaged: %s",
                   in->z.msg ? in->z.msg : "it cannot be read");
}

/* One member ended: is there another one behind it? gzip has them, zlib has not. */
static bool next_member(struct inflating *in, bool *ended)
{
    size_t left = (size_t)(in->body.end - in->z.next_in);
    *ended = left == 0;
    if (*ended)
        return true;
    if (in->body.at[0] != 0x1f || in->z.next_in[0] != 0x1f)
        return err_set(in->err, ERR_INVALID, "%zu bytes follow the compressed body's end", left);
    return inflateReset(&in->z) == Z_OK || refuse_damage(in, Z_DATA_ERROR);
}

/* Up to a slice of output; `ended` when all of the body has been read. */
static bool inflate_slice(struct inflating *in, bool *ended)
{
    if (!make_room(in))
        return false;
    in->z.avail_in = slice_of((size_t)(in->body.end - in->z.next_in));
    in->z.next_out = in->at + in->used;
    const uInt from_in = in->z.avail_in, from_out = in->z.avail_out = slice_of(in->room - in->used);
    if (!watch_spend(in->watch, (int64_t)INFLATE_UNITS * (from_in + from_out)))
        return watch_refuse(in->watch, in->err);
    int status = inflate(&in->z, Z_NO_FLUSH);
    in->used += from_out - in->z.avail_out;
    if (in->used > in->limit)
        return refuse_size(in);
    if (status == Z_STREAM_END)
        return next_member(in, ended);
    return status == Z_OK || refuse_damage(in, status);
}

bool coding_inflate(struct bytes body, size_t most, struct arena *arena, struct watch *watch, struct bytes *inflated,
                    struct percept_err *err)
{
    struct inflating in = {
        .z = {.zalloc = take, .zfree = give_back}, .body = body, .arena = arena, .watch = watch, .err = err};
    in.most = most;
    if (!arena_multiply(bytes_size(body), CODING_RATIO, &in.limit) || in.limit > SIZE_MAX / 2)
        in.limit = SIZE_MAX / 2;
    if (in.limit < CODING_FREE_BYTES)
        in.limit = CODING_FREE_BYTES;
    if (in.limit > most)
        in.limit = most;
    if (!bytes_size(body))
        return err_set(err, ERR_INVALID, "the compressed body is empty");
    in.z.next_in = (Bytef *)(uintptr_t)body.at;
    int status = inflateInit2(&in.z, EITHER);
    if (status != Z_OK)
        return refuse_damage(&in, status);
    bool ended = false, good = true;
    while (good && !ended)
        good = inflate_slice(&in, &ended);
    inflateEnd(&in.z);
    *inflated = bytes_of(in.at, in.used);
    return good;
}

/* --- deflating ---------------------------------------------------------------------------------------------------- */

/* Does it get smaller? What zlib still holds back is less than what it was given. */
static bool worth_it(const z_stream *z, size_t n_slices)
{
    return n_slices < TRIAL_SLICES || z->total_out < z->total_in / 100 * WORTH_PERCENT;
}

static bool deflate_all(z_stream *z, struct bytes reply, struct watch *watch)
{
    int status = Z_OK;
    z->next_in = (Bytef *)(uintptr_t)reply.at;
    for (size_t n = 0; status == Z_OK; n++) {
        const size_t left = (size_t)(reply.end - z->next_in);
        z->avail_in = slice_of(left);
        if (!watch_spend(watch, (int64_t)DEFLATE_UNITS * z->avail_in) || !worth_it(z, n))
            return false;
        status = deflate(z, left <= SLICE ? Z_FINISH : Z_NO_FLUSH);
        if (z->avail_out == 0)
            break;
    }
    return status == Z_STREAM_END;
}

bool coding_deflate(enum coding coding, struct bytes reply, struct arena *arena, struct watch *watch,
                    struct bytes *deflated)
{
    size_t room = bytes_size(reply) / 100 * WORTH_PERCENT;
    if ((coding != CODING_GZIP && coding != CODING_DEFLATE) || bytes_size(reply) < CODING_LEAST_BYTES ||
        room > UINT_MAX)
        return false;
    uint8_t *at = arena_alloc(arena, room);
    z_stream z = {.zalloc = take, .zfree = give_back};
    if (!at ||
        deflateInit2(&z, LEVEL, Z_DEFLATED, coding == CODING_GZIP ? GZIP : 15, MEMORY, Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    z.next_out = at;
    z.avail_out = (uInt)room;
    bool done = deflate_all(&z, reply, watch);
    *deflated = bytes_of(at, room - z.avail_out);
    deflateEnd(&z);
    return done;
}
