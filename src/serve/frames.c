/*
 * frames.c - see frames.h.
 *
 * JPEG (ITU-T T.81, annex B): FF D8, then segments FF xx with a length, among them FF DA, behind whose segment lie
 * coded bytes, in which FF 00 and FF D0..D7 are no markers; then FF D9. Segments are walked, as the thumbnail in one
 * has an FF D9 of its own; coded bytes and whatever else is no segment are searched for the next FF.
 *
 * A multipart (RFC 2046, 5.1): lines up to one with the boundary, a head, an empty line, the picture. Its length is
 * that of Content-Length, else up to the next boundary, which is matched byte by byte: only its first byte is a CR, so
 * a mismatch begins anew there. Some cameras declare the boundary with the two dashes that come before it.
 *
 *     BETWEEN -> MARKERS <-> HIGH -> LOW -> SEGMENT        LINES -> HEAD -> COUNTED | SOUGHT -> LINES ... OVER
 *
 * Each state takes at least a byte. Nothing is copied but what belongs to a picture and lines of heads.
 */
#include "serve/frames.h"

#include "base/err.h"
#include "base/number.h"

#include <stdio.h>

#define FIRST_BYTES 16384
#define LEAST_BYTES 64 /* of what another picture interrupts: less is none */
#define LINES_MAX 32   /* of a part's head */

#define TOO_LONG "it has more bytes than a body may have (--max-body)"
#define NO_MEMORY "memory is short for it"
#define INTERRUPTED "another one begins before it ends"
#define CUT "the video ends within it"

enum { MARK = 0xff, STUFFED = 0, RESTART_FIRST = 0xd0, RESTART_LAST = 0xd7, BEGIN = 0xd8, END = 0xd9, TEMPORARY = 1 };

static bool is_multipart(struct bytes bare)
{
    return parameters_same(bare, "multipart/x-mixed-replace");
}

static struct bytes bare(struct bytes type)
{
    const uint8_t *semicolon = bytes_size(type) ? memchr(type.at, ';', bytes_size(type)) : NULL;
    return parameters_trim((struct bytes){type.at, semicolon ? semicolon : type.end});
}

bool frames_is_video(struct bytes content_type)
{
    static const char *const types[] = {"video/x-motion-jpeg", "video/x-mjpeg", "video/mjpeg"};
    const struct bytes type = bare(content_type);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (parameters_same(type, types[i]))
            return true;
    return is_multipart(type);
}

static bool read_boundary(struct frames *frames, struct bytes content_type, struct percept_err *err)
{
    memcpy(frames->delimiter, "\r\n--", 4);
    const int n = parameters_find(content_type, "boundary", frames->delimiter + 4, PARAMETERS_BOUNDARY_MAX);
    for (int i = 0; i < n; i++)
        if ((uint8_t)frames->delimiter[4 + i] < ' ' || (uint8_t)frames->delimiter[4 + i] > '~')
            return err_set(err, ERR_INVALID, "Content-Type: the boundary has a character that is not printable");
    frames->n_delimiter = 4 + (size_t)(n > 0 ? n : 0);
    return n > 0 ||
           err_set(err, ERR_INVALID, "Content-Type: multipart/x-mixed-replace needs a boundary of 1 to %d characters",
                   PARAMETERS_BOUNDARY_MAX);
}

bool frames_start(struct frames *frames, struct bytes content_type, size_t most_bytes, struct percept_err *err)
{
    *frames = (struct frames){.most_bytes = most_bytes, .state = FRAMES_BETWEEN};
    if (!is_multipart(bare(content_type)))
        return true;
    frames->state = FRAMES_LINES;
    return read_boundary(frames, content_type, err);
}

/* --- the picture -------------------------------------------------------------------------------------------------- */

static bool grow(struct frames *frames, size_t n_bytes)
{
    size_t room = frames->room ? frames->room * 2 : FIRST_BYTES;
    room = room < n_bytes ? n_bytes : room;
    room = room > frames->most_bytes ? frames->most_bytes : room;
    uint8_t *at = arena_grow(frames->arena, frames->at, frames->room, room);
    if (!at)
        return false;
    frames->at = at;
    frames->room = room;
    return true;
}

static void store(struct frames *frames, const void *at, size_t n)
{
    if (frames->lost || !n)
        return;
    if (n > frames->most_bytes - frames->n_bytes)
        frames->lost = TOO_LONG;
    else if (frames->n_bytes + n > frames->room && !grow(frames, frames->n_bytes + n))
        frames->lost = NO_MEMORY;
    else {
        memcpy(frames->at + frames->n_bytes, at, n);
        frames->n_bytes += n;
    }
}

static void begin_jpeg(struct frames *frames)
{
    store(frames, "\xff\xd8", 2);
    frames->state = FRAMES_MARKERS;
    frames->mark = false;
}

void frames_next(struct frames *frames, struct arena *arena)
{
    const bool pending = frames->pending;
    frames->arena = arena;
    frames->at = NULL;
    frames->n_bytes = frames->room = 0;
    frames->lost = NULL;
    frames->has_time = frames->pending = false;
    if (pending)
        begin_jpeg(frames);
}

/* --- JPEGs -------------------------------------------------------------------------------------------------------- */

static const uint8_t *take_between(struct frames *frames, const uint8_t *at, const uint8_t *end)
{
    if (!frames->mark) {
        const uint8_t *mark = memchr(at, MARK, (size_t)(end - at));
        frames->mark = mark != NULL;
        return mark ? mark + 1 : end;
    }
    if (*at == BEGIN)
        begin_jpeg(frames);
    else
        frames->mark = *at == MARK;
    return at + 1;
}

/* What follows an FF. True: the picture ends with it. */
static bool take_marker(struct frames *frames, uint8_t code)
{
    frames->mark = code == MARK;
    if (code == BEGIN && frames->n_bytes < LEAST_BYTES && !frames->lost) {
        frames->n_bytes = 0;
        begin_jpeg(frames);
        return false;
    }
    if (code == BEGIN) {
        frames->lost = frames->lost ? frames->lost : INTERRUPTED;
        frames->pending = true;
        frames->state = FRAMES_BETWEEN;
        return true;
    }
    store(frames, &code, 1);
    if (code == END) {
        frames->state = FRAMES_BETWEEN;
        return true;
    }
    const bool alone =
        code == MARK || code == STUFFED || code == TEMPORARY || (code >= RESTART_FIRST && code <= RESTART_LAST);
    if (!alone)
        frames->state = FRAMES_HIGH;
    return false;
}

static const uint8_t *take_markers(struct frames *frames, const uint8_t *at, const uint8_t *end, bool *whole)
{
    if (frames->mark) {
        *whole = take_marker(frames, *at);
        return at + 1;
    }
    const uint8_t *mark = memchr(at, MARK, (size_t)(end - at));
    const uint8_t *to = mark ? mark + 1 : end;
    frames->mark = mark != NULL;
    store(frames, at, (size_t)(to - at));
    return to;
}

static const uint8_t *take_length(struct frames *frames, const uint8_t *at)
{
    store(frames, at, 1);
    if (frames->state == FRAMES_HIGH) {
        frames->left = (size_t)*at << 8;
        frames->state = FRAMES_LOW;
        return at + 1;
    }
    frames->left |= *at;
    frames->left -= frames->left < 2 ? frames->left : 2; /* it counts itself */
    frames->state = frames->left ? FRAMES_SEGMENT : FRAMES_MARKERS;
    return at + 1;
}

/* Of a segment, or of a part whose length is known. True: that was the last of it. */
static bool take_left(struct frames *frames, const uint8_t **at, const uint8_t *end)
{
    const size_t there = (size_t)(end - *at), n = there < frames->left ? there : frames->left;
    store(frames, *at, n);
    *at += n;
    frames->left -= n;
    return frames->left == 0;
}

/* --- parts -------------------------------------------------------------------------------------------------------- */

static bool line_begins(const struct frames *frames, const char *with, size_t n)
{
    return frames->n_line >= n && memcmp(frames->line, with, n) == 0;
}

/* A line before a part: is it a boundary? */
static void read_between(struct frames *frames)
{
    const char *dashes = frames->delimiter + 2;
    size_t n = frames->n_delimiter - 2;
    if (!line_begins(frames, dashes, n)) {
        if (memcmp(dashes + 2, "--", n < 4 ? 0 : 2) != 0 || n < 5 || !line_begins(frames, dashes + 2, n - 2))
            return;
        memmove(frames->delimiter + 2, dashes + 2, n - 2); /* it was declared with its dashes */
        frames->n_delimiter -= 2;
        n -= 2;
    }
    struct bytes rest = parameters_trim(bytes_of(frames->line + n, frames->n_line - n));
    if (bytes_is(rest, "--"))
        frames->state = FRAMES_OVER;
    else if (!bytes_size(rest))
        frames->state = FRAMES_HEAD;
    frames->n_lines = 0;
    frames->counted = false;
}

static bool read_field(struct frames *frames, struct percept_err *err)
{
    const struct bytes line = bytes_of(frames->line, frames->n_line);
    const uint8_t *colon = memchr(line.at, ':', bytes_size(line));
    if (!colon)
        return true;
    const struct bytes name = parameters_trim((struct bytes){line.at, colon});
    const struct bytes value = parameters_trim((struct bytes){colon + 1, line.end});
    if (parameters_same(name, "Content-Length")) {
        uint64_t length;
        if (number_read_uint64(value, &length) != value.end)
            return err_set(err, ERR_INVALID, "the Content-Length of a part of the video is no number: " BYTES_FMT,
                           BYTES_ARG(value));
        frames->left = length;
        frames->counted = true;
    } else if (parameters_same(name, "X-Timestamp")) {
        double time;
        frames->has_time = number_read_double(value, &time) == value.end && time >= 0 && time < 1e15;
        frames->time = frames->has_time ? time : 0;
    }
    return true;
}

static bool read_head(struct frames *frames, bool *whole, struct percept_err *err)
{
    if (++frames->n_lines > LINES_MAX)
        return err_set(err, ERR_INVALID, "the head of a part of the video has more than %d lines", LINES_MAX);
    if (frames->n_line)
        return read_field(frames, err);
    frames->state = frames->counted && frames->left ? FRAMES_COUNTED : frames->counted ? FRAMES_LINES : FRAMES_SOUGHT;
    frames->matched = 0;
    *whole = frames->state == FRAMES_LINES;
    return true;
}

/* Up to the line's end; of a long line the beginning counts. */
static const uint8_t *take_line(struct frames *frames, const uint8_t *at, const uint8_t *end, bool *whole,
                                struct percept_err *err)
{
    const uint8_t *feed = memchr(at, '\n', (size_t)(end - at)), *to = feed ? feed : end;
    const size_t room = FRAMES_LINE - frames->n_line, n = (size_t)(to - at);
    memcpy(frames->line + frames->n_line, at, n < room ? n : room);
    frames->n_line += n < room ? n : room;
    if (!feed)
        return end;
    frames->n_line -= frames->n_line && frames->line[frames->n_line - 1] == '\r';
    if (frames->state == FRAMES_LINES)
        read_between(frames);
    else
        read_head(frames, whole, err);
    frames->n_line = 0;
    return feed + 1;
}

/* The delimiter is there: its line goes on behind it. */
static void found_delimiter(struct frames *frames)
{
    frames->n_line = frames->n_delimiter - 2;
    memcpy(frames->line, frames->delimiter + 2, frames->n_line);
    frames->matched = 0;
    frames->state = FRAMES_LINES;
}

static const uint8_t *take_sought(struct frames *frames, const uint8_t *at, const uint8_t *end, bool *whole)
{
    if (!frames->matched) {
        const uint8_t *line = memchr(at, '\r', (size_t)(end - at)), *to = line ? line : end;
        store(frames, at, (size_t)(to - at));
        frames->matched = line != NULL;
        return line ? line + 1 : end;
    }
    if (*at != (uint8_t)frames->delimiter[frames->matched]) {
        store(frames, frames->delimiter, frames->matched);
        frames->matched = 0;
        return at;
    }
    *whole = ++frames->matched == frames->n_delimiter;
    if (*whole)
        found_delimiter(frames);
    return at + 1;
}

/* --- the video ---------------------------------------------------------------------------------------------------- */

static const uint8_t *take(struct frames *frames, const uint8_t *at, const uint8_t *end, bool *whole,
                           struct percept_err *err)
{
    switch (frames->state) {
    case FRAMES_BETWEEN:
        return take_between(frames, at, end);
    case FRAMES_MARKERS:
        return take_markers(frames, at, end, whole);
    case FRAMES_HIGH:
    case FRAMES_LOW:
        return take_length(frames, at);
    case FRAMES_SEGMENT:
        if (take_left(frames, &at, end))
            frames->state = FRAMES_MARKERS;
        return at;
    case FRAMES_LINES:
    case FRAMES_HEAD:
        return take_line(frames, at, end, whole, err);
    case FRAMES_COUNTED:
        *whole = take_left(frames, &at, end);
        if (*whole)
            frames->state = FRAMES_LINES;
        return at;
    case FRAMES_SOUGHT:
        return take_sought(frames, at, end, whole);
    case FRAMES_OVER:
        return end;
    }
    return end;
}

bool frames_take(struct frames *frames, struct bytes *bytes, struct percept_err *err)
{
    bool whole = false;
    while (bytes->at < bytes->end && !whole && err->code == ERR_NONE)
        bytes->at = take(frames, bytes->at, bytes->end, &whole, err);
    return whole && err->code == ERR_NONE;
}

bool frames_end(struct frames *frames)
{
    const enum frames_state state = frames->state;
    frames->state = FRAMES_OVER;
    if (state == FRAMES_SOUGHT)
        return frames->n_bytes || frames->lost;
    if (state == FRAMES_BETWEEN || state == FRAMES_LINES || state == FRAMES_HEAD || state == FRAMES_OVER)
        return false;
    frames->lost = frames->lost ? frames->lost : CUT;
    return true;
}
