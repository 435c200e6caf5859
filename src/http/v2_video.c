/*
 * v2_video.c - videos: POST /v2/models/NAME/infer with one as its body, and GET /v2/models/NAME/streams/ID, which tells
 * of its frames while they are computed.
 *
 * A frame is a job like any other, so that it shares batches, is refused when queues are full, and fails alone; the
 * model is looked up for each, so that a reload in the middle changes nothing but which version answers. Frames are
 * told in their order: a line of JSON each, which is the reply that its picture would have got with `frame` in front,
 * or a picture with what was found drawn on it.
 *
 *     body -> frames.c -> at[0] at[1] ... at[7] -> told in order -> the reply, readers
 *                            jobs under way
 *
 * When all are under way the body is left in the socket (server.c's on_paced). What microhttpd had read by then, at
 * most its buffer, waits in `rest`. So a video takes the memory of V2_VIDEO_FRAMES pictures, whoever sends it.
 *
 * microhttpd can reply before a body or behind it. The reply to the video follows its last frame, so what it tells is
 * kept, up to the limit of a body. Whoever wants to know earlier gives it an id, ?stream=ID, and reads it by a request
 * of his own. Then the kept reply may be cut short, and no video is too long.
 *
 * A video outlives its exchange while jobs of it are under way. Thread: the loop's.
 */
#include "http/v2_video.h"

#include "base/err.h"
#include "base/number.h"
#include "http/query.h"
#include "http/routes.h"
#include "http/v2_infer.h"
#include "serve/accept.h"
#include "serve/codec.h"
#include "serve/encoder.h"
#include "serve/frames.h"
#include "serve/lifecycle.h"
#include "serve/loop.h"
#include "serve/tracks.h"

#include <inttypes.h>
#include <stdio.h>

#define ID_MAX 64
#define REST_MAX ((size_t)128 << 10) /* several times what microhttpd has read and we have not */
#define LINES "application/x-ndjson"
#define PARTS "multipart/x-mixed-replace"

struct frame {
    struct job job;
    struct arena arena;
    struct video *video;
    struct tracks_marks *marks;
    int64_t number;
    double time;
    bool has_time;
    bool flying; /* its job is under way */
    size_t n_bytes;
};

/* Who reads along, by a request of his own; in its arena. */
struct reader {
    struct exchange *exchange;
    struct video *video;
    struct reader *next;
    int64_t since_ns; /* of the last frame that he was told, or of his coming */
};

struct video {
    struct site *site;
    struct exchange *exchange; /* NULL: it has gone */
    struct video *next;        /* of those that have an id */
    char *id, *model;          /* in the exchange's arena; "" without one */
    uint64_t owner;
    struct reader *readers;
    struct job wishes; /* what each frame's job begins as */
    struct frames frames;
    struct frame at[V2_VIDEO_FRAMES];
    bool open;  /* the frame that comes has its place */
    bool full;  /* no more is read */
    bool whole; /* the body is */
    bool drawn; /* pictures are told, not lines */
    bool track;
    int64_t n_begun, n_told, n_omitted; /* frames; left out of the kept reply */
    int n_flying;
    size_t held_bytes; /* of frames that are under way */
    uint8_t *rest;     /* of the body, not looked at yet */
    size_t n_rest;
    struct text answer;
    struct tracks tracks;
};

/* --- what is asked ------------------------------------------------------------------------------------------------ */

static bool accepts(struct bytes accept, const char *type)
{
    for (struct accept_range range; accept_next(&accept, &range);)
        if (range.weight > 0 && bytes_is(range.name, type))
            return true;
    return false;
}

/* JPEGs may come one behind another under their own type as well, where it is clear that they are no single one. */
static bool is_row_of_jpegs(const struct exchange *exchange)
{
    const struct framing *headers = &exchange->headers;
    return framing_same(headers->content_type, "image/jpeg") && headers->chunked &&
           (accepts(headers->accept, LINES) || accepts(headers->accept, PARTS) ||
            query_find(exchange->target, "stream").at || query_find(exchange->target, "track").at);
}

bool v2_video_is(const struct exchange *exchange)
{
    return exchange->route->handle == v2_infer && !(exchange->route->flags & ROUTE_V1) &&
           (frames_is_video(exchange->headers.content_type) || is_row_of_jpegs(exchange));
}

/* What is taken where Accept leaves it open; pictures only where they are named. */
static bool takes_lines(struct bytes accept)
{
    bool named = false;
    for (struct accept_range range; accept_next(&accept, &range);) {
        named |= bytes_size(range.name) > 0 && range.weight > 0;
        if (range.weight > 0 && (bytes_is(range.name, LINES) || bytes_is(range.name, "application/json") ||
                                 bytes_is(range.name, "application/*") || bytes_is(range.name, "*/*")))
            return true;
    }
    return !named;
}

static bool read_form(struct video *video, const struct served *served, struct bytes accept, struct percept_err *err)
{
    const struct encoder *jpeg = encoder_find(served, bytes_of_text("image/jpeg"));
    video->drawn = jpeg && accepts(accept, PARTS);
    if (video->drawn)
        video->wishes.encoder = jpeg;
    return video->drawn || takes_lines(accept) ||
           err_set(err, ERR_NOT_ACCEPTABLE, "the reply to a video for model '%s' can be %s%s", served->name, LINES,
                   jpeg ? ", " PARTS : "");
}

static bool is_id(struct bytes id)
{
    for (const uint8_t *at = id.at; at < id.end; at++)
        if (!(*at >= 'a' && *at <= 'z') && !(*at >= 'A' && *at <= 'Z') && !(*at >= '0' && *at <= '9') &&
            !strchr("._-", *at))
            return false;
    return bytes_size(id) > 0 && bytes_size(id) <= ID_MAX;
}

static struct video *find_live(const struct site *site, const char *model, const char *id)
{
    for (struct video *at = site->videos; at; at = at->next)
        if (strcmp(at->model, model) == 0 && strcmp(at->id, id) == 0)
            return at;
    return NULL;
}

static bool read_id(struct video *video, struct percept_err *err)
{
    struct exchange *exchange = video->exchange;
    struct site *site = video->site;
    const struct bytes id = query_find(exchange->target, "stream");
    if (!id.at)
        return true;
    if (!is_id(id))
        return err_set(err, ERR_INVALID, "the query's 'stream' has 1 to %d letters, digits, '.', '_' or '-'", ID_MAX);
    video->id = arena_text(&exchange->arena, id.at, bytes_size(id));
    video->model = arena_text(&exchange->arena, exchange->name, strlen(exchange->name));
    if (!video->id || !video->model)
        return err_memory(err, "an id", bytes_size(id));
    if (find_live(site, video->model, video->id))
        return err_set(err, ERR_CONFLICT, "a video of this model has the id '%s' and has not ended; choose another",
                       video->id);
    video->next = site->videos;
    site->videos = video;
    return true;
}

static bool read_track(struct video *video, const struct served *served, struct percept_err *err)
{
    if (!query_flag(video->exchange->target, "track", &video->track))
        return err_set(err, ERR_INVALID, "the query's 'track' is true or false");
    return !video->track || served->manifest->task == TASK_DETECT ||
           err_set(err, ERR_INVALID, "boxes are followed; the task of model '%s' finds none", served->name);
}

static bool open_video(struct video *video, struct percept_err *err)
{
    struct exchange *exchange = video->exchange;
    const struct site *site = exchange->site;
    const struct framing *headers = &exchange->headers;
    if (site->abandoning || catalog_draining(site->catalog))
        return err_set(err, ERR_UNAVAILABLE, "Server exiting");
    const struct served *served = catalog_find_ready(site->catalog, exchange->name, exchange->version, err);
    if (!served || !v2_infer_read_wishes(exchange, &video->wishes, err))
        return false;
    if (coding_find(headers->content_encoding) != CODING_IDENTITY)
        return err_set(err, ERR_MEDIA_TYPE, "a video is taken as it is, not compressed");
    return codec_find(served, bytes_of_text("image/jpeg"), err) && read_form(video, served, headers->accept, err) &&
           read_track(video, served, err) &&
           frames_start(&video->frames, headers->content_type, site->settings->max_body_bytes, err) &&
           read_id(video, err);
}

static bool take(struct exchange *exchange, struct bytes piece);
static void end_body(struct exchange *exchange);
static void leave(struct exchange *exchange);

static const struct exchange_taker taker = {take, end_body, leave};

void v2_video_judge(struct exchange *exchange)
{
    struct percept_err err = {0};
    struct video *video = arena_buffer_from(exchange->site->settings->budget, sizeof *video);
    if (!video) {
        exchange_refuse(exchange, ERR_MEMORY, "memory is short for a video");
        return;
    }
    video->site = exchange->site;
    video->exchange = exchange;
    video->id = video->model = "";
    video->owner = exchange->owner;
    video->answer.arena = &exchange->arena;
    exchange->arena.budget = exchange->site->settings->budget;
    exchange->video = video;
    exchange->taker = &taker;
    if (!open_video(video, &err))
        exchange_error(exchange, &err);
}

/* --- readers ------------------------------------------------------------------------------------------------------ */

static void end_reader(struct reader *reader)
{
    struct reader **at = &reader->video->readers;
    while (*at != reader)
        at = &(*at)->next;
    *at = reader->next;
    reader->exchange->give_up = NULL;
    if (reader->video->drawn)
        text_add(&reader->exchange->stream, "--frame--\r\n");
    exchange_stream_end(reader->exchange);
}

static void give_up_reading(struct exchange *exchange)
{
    for (struct video *video = exchange->site->videos; video; video = video->next)
        for (struct reader *at = video->readers; at; at = at->next)
            if (at->exchange == exchange) {
                end_reader(at);
                return;
            }
}

/* Its id is free for the next one. */
static void end_live(struct video *video)
{
    struct video **at = &video->site->videos;
    while (video->readers)
        end_reader(video->readers);
    while (*at && *at != video)
        at = &(*at)->next;
    if (*at)
        *at = video->next;
}

void v2_video_tick(struct site *site, int64_t now_ns)
{
    const int64_t limit_ns = site->settings->body_timeout_ms * 1000000;
    for (struct video *video = site->videos; video; video = video->next)
        for (struct reader *at = video->readers, *next; at; at = next) {
            next = at->next;
            if (limit_ns && now_ns - at->since_ns >= limit_ns)
                end_reader(at);
        }
}

static const char *type_of(const struct video *video)
{
    return video->drawn ? PARTS "; boundary=frame" : LINES;
}

void v2_video_live(struct exchange *exchange)
{
    struct video *video = find_live(exchange->site, exchange->name, exchange->item);
    int n = 0;
    if (!video || video->owner != exchange->owner) {
        exchange_refuse(exchange, ERR_NOT_FOUND, "no video of model '%s' with the id '%s' is coming in", exchange->name,
                        exchange->item);
        return;
    }
    for (const struct reader *at = video->readers; at; at = at->next)
        n++;
    struct reader *reader = n < V2_VIDEO_READERS ? arena_alloc(&exchange->arena, sizeof *reader) : NULL;
    if (!reader) {
        exchange_refuse(exchange, ERR_UNAVAILABLE, "this video has %d readers, and takes no more", n);
        return;
    }
    *reader = (struct reader){.exchange = exchange, .video = video, .next = video->readers, .since_ns = loop_now_ns()};
    video->readers = reader;
    exchange->give_up = give_up_reading;
    exchange_add_header(exchange, "Cache-Control", "no-store");
    exchange_stream(exchange, type_of(video));
}

/* --- what is told of a frame -------------------------------------------------------------------------------------- */

static void add_time(struct text *text, const char *before, double time, const char *behind)
{
    char digits[NUMBER_TEXT_MAX];
    text_add(text, before);
    text_bytes(text, digits, number_write_double(digits, time));
    text_add(text, behind);
}

/* The reply without its brace, and with the numbers of tracks. */
static void add_reply(struct video *video, struct frame *frame, struct text *text)
{
    int64_t numbers[TRACKS_BOXES];
    const struct tracks_marks *marks = frame->marks;
    const uint8_t *at = frame->job.reply.at + 1;
    if (marks)
        tracks_follow(&video->tracks, marks->boxes, marks->n, numbers);
    for (int i = 0; marks && i < marks->n; i++) {
        const uint8_t *to = frame->job.reply.at + marks->at[i];
        text_bytes(text, at, (size_t)(to - at));
        text_printf(text, ",\"track\":%" PRId64, numbers[i]);
        at = to;
    }
    text_bytes(text, at, (size_t)(frame->job.reply.end - at));
}

static void add_line(struct video *video, struct frame *frame, struct text *text)
{
    text_printf(text, "{\"frame\":%" PRId64 ",", frame->number);
    if (frame->has_time)
        add_time(text, "\"time\":", frame->time, ",");
    if (frame->job.err.code == ERR_NONE) {
        add_reply(video, frame, text);
        return;
    }
    text_add(text, "\"error\":");
    text_json(text, frame->job.err.text);
    text_add(text, "}\n");
}

/* One that failed is left out. */
static void add_part(const struct frame *frame, struct text *text)
{
    const struct bytes picture = frame->job.reply;
    if (frame->job.err.code != ERR_NONE)
        return;
    text_printf(text, "--frame\r\nContent-Type: %s\r\nContent-Length: %zu\r\n", frame->job.encoder->media_type,
                bytes_size(picture));
    if (frame->has_time)
        add_time(text, "X-Timestamp: ", frame->time, "\r\n");
    text_add(text, "\r\n");
    text_bytes(text, picture.at, bytes_size(picture));
    text_add(text, "\r\n");
}

/* Who is slow misses frames. */
static void tell_readers(struct video *video, const struct text *text, int64_t now_ns)
{
    for (struct reader *at = video->readers; at; at = at->next) {
        struct text *stream = &at->exchange->stream;
        at->since_ns = now_ns;
        if (stream->n_bytes + text->n_bytes > V2_VIDEO_LIVE_BYTES)
            continue;
        text_bytes(stream, text->at, text->n_bytes);
        exchange_stream_on(at->exchange);
    }
}

static void refuse(struct video *video, const struct percept_err *err);

/* Keeps it for the reply; false where there is no room for it, and nobody reads along. */
static bool keep(struct video *video, const struct text *text)
{
    const size_t limit = video->site->settings->max_body_bytes;
    struct percept_err err = {0};
    if (!video->n_omitted && !text->failed && text->n_bytes <= limit - video->answer.n_bytes) {
        text_bytes(&video->answer, text->at, text->n_bytes);
        if (!video->answer.failed)
            return true;
    }
    video->n_omitted++;
    if (*video->id)
        return true;
    err_set(&err, ERR_TOO_LARGE,
            "what %" PRId64 " frames of this video are takes more than the %zu bytes of a reply (--max-body): give it "
            "an id (?stream=ID) and read along at /v2/models/%s/streams/ID",
            video->n_told, limit, video->exchange->name);
    refuse(video, &err);
    return false;
}

static void release(struct video *video, struct frame *frame)
{
    video->held_bytes -= frame->n_bytes;
    video->site->body_bytes -= frame->n_bytes;
    exchange_release(video->site, &frame->arena);
    frame->arena = (struct arena){0};
    frame->n_bytes = 0;
}

/* False: the video was refused. */
static bool tell(struct video *video, struct frame *frame)
{
    struct text text = {.arena = &frame->arena};
    if (video->drawn)
        add_part(frame, &text);
    else
        add_line(video, frame, &text);
    tell_readers(video, &text, loop_now_ns());
    const bool kept = keep(video, &text);
    release(video, frame);
    return kept;
}

/* --- frames ------------------------------------------------------------------------------------------------------- */

static struct frame *place(struct video *video, int64_t number)
{
    return &video->at[number % V2_VIDEO_FRAMES];
}

static bool is_full(const struct video *video)
{
    return video->n_begun - video->n_told == V2_VIDEO_FRAMES ||
           video->held_bytes > video->site->settings->max_body_bytes;
}

static bool is_over(const struct video *video)
{
    return !video->exchange || video->exchange->state == EXCHANGE_ANSWERED;
}

static void go_on(struct video *video);

static void free_video(struct video *video)
{
    for (int i = 0; i < V2_VIDEO_FRAMES; i++)
        release(video, &video->at[i]);
    arena_buffer_free(video->rest);
    arena_buffer_free(video);
}

static void frame_done(struct job *job)
{
    struct frame *frame = job->user;
    struct video *video = frame->video;
    frame->flying = false;
    video->n_flying--;
    if (video->exchange)
        go_on(video);
    else if (!video->n_flying)
        free_video(video);
}

static bool start(struct video *video, struct frame *frame, struct bytes picture)
{
    const struct exchange *exchange = video->exchange;
    struct catalog *catalog = video->site->catalog;
    struct job *job = &frame->job;
    if (catalog_draining(catalog))
        return err_set(&job->err, ERR_UNAVAILABLE, "Server exiting");
    struct served *served = catalog_find_ready(catalog, exchange->name, exchange->version, &job->err);
    if (!served || !codec_find(served, bytes_of_text("image/jpeg"), &job->err))
        return false;
    if (video->track && !(frame->marks = arena_alloc(&frame->arena, sizeof *frame->marks)))
        return err_memory(&job->err, "a frame", sizeof *frame->marks);
    job->served = served;
    job->codec = codec_of_body(served, picture);
    job->body = picture;
    job->marks = frame->marks;
    frame->flying = true;
    video->n_flying++;
    lifecycle_start(job);
    return true;
}

/* The frame that was coming is whole, or lost. */
static void begin_frame(struct video *video)
{
    const struct frames *frames = &video->frames;
    struct frame *frame = place(video, video->n_begun);
    frame->video = video;
    frame->marks = NULL;
    frame->number = video->n_begun++;
    frame->has_time = frames->has_time;
    frame->time = frames->time;
    frame->n_bytes = frames->n_bytes;
    frame->job = video->wishes;
    frame->job.arena = &frame->arena;
    frame->job.json_bytes = -1;
    frame->job.arrived_ns = loop_now_ns();
    frame->job.sequence.owner = video->owner;
    frame->job.done = frame_done;
    frame->job.user = frame;
    video->open = false;
    video->held_bytes += frame->n_bytes;
    video->site->body_bytes += frame->n_bytes;
    if (frames->lost)
        err_set(&frame->job.err, ERR_INVALID, "frame %" PRId64 " is lost: %s", frame->number, frames->lost);
    else
        start(video, frame, bytes_of(frames->at ? frames->at : (const uint8_t *)"", frames->n_bytes));
}

static void open_place(struct video *video)
{
    struct frame *frame = place(video, video->n_begun);
    frame->arena.budget = video->site->settings->budget;
    frames_next(&video->frames, &frame->arena);
    video->open = true;
}

/* Those that have ended, in order. */
static void tell_ended(struct video *video)
{
    while (!is_over(video) && video->n_told < video->n_begun && !place(video, video->n_told)->flying) {
        struct frame *frame = place(video, video->n_told++);
        if (!tell(video, frame))
            return;
    }
}

/* As much as there is room for. */
static void split(struct video *video, struct bytes *bytes)
{
    struct percept_err err = {0};
    while (!is_over(video) && bytes->at < bytes->end && !is_full(video)) {
        if (!video->open)
            open_place(video);
        if (frames_take(&video->frames, bytes, &err)) {
            begin_frame(video);
            tell_ended(video);
        } else if (err.code != ERR_NONE)
            refuse(video, &err);
    }
}

/* --- the body ----------------------------------------------------------------------------------------------------- */

static void cancel_all(struct video *video)
{
    for (int i = 0; i < V2_VIDEO_FRAMES; i++)
        if (video->at[i].flying)
            lifecycle_cancel(&video->at[i].job);
}

static void set_full(struct video *video, bool full)
{
    if (video->full == full)
        return;
    video->full = full;
    video->site->paced(video->exchange, full ? PACE_FULL : PACE_ON);
}

static void refuse(struct video *video, const struct percept_err *err)
{
    struct exchange *exchange = video->exchange;
    exchange->give_up = NULL;
    exchange->arena.budget = NULL; /* a sentence takes little */
    exchange->received_bytes = 0;  /* what comes now is thrown away, and not for ever */
    exchange_error(exchange, err);
    end_live(video);
    cancel_all(video);
    video->n_rest = 0;
    set_full(video, false);
}

static bool keep_rest(struct video *video, struct bytes bytes)
{
    const size_t n = bytes_size(bytes);
    if (video->n_rest + n > REST_MAX)
        return false;
    if (!video->rest && !(video->rest = arena_buffer_from(video->site->settings->budget, REST_MAX)))
        return false;
    memcpy(video->rest + video->n_rest, bytes.at, n);
    video->n_rest += n;
    return true;
}

static bool take(struct exchange *exchange, struct bytes piece)
{
    struct video *video = exchange->video;
    const int64_t n_begun = video->n_begun;
    if (!video->n_rest)
        split(video, &piece);
    if (is_over(video))
        return true;
    if (bytes_size(piece) && !keep_rest(video, piece))
        return false;
    if (is_full(video) || video->n_rest)
        set_full(video, true);
    else if (video->n_begun > n_begun)
        video->site->paced(exchange, PACE_ON);
    return true;
}

static void take_rest(struct video *video)
{
    struct bytes bytes = bytes_of(video->rest, video->n_rest);
    if (!video->n_rest)
        return;
    split(video, &bytes);
    if (is_over(video))
        return;
    video->n_rest = bytes_size(bytes);
    memmove(video->rest, bytes.at, video->n_rest);
}

static void answer(struct video *video)
{
    struct exchange *exchange = video->exchange;
    struct percept_err err = {0};
    if (!video->n_begun) {
        err_set(&err, ERR_INVALID,
                "there is no picture in the %zu bytes of this video: JPEGs behind each other are read",
                exchange->received_bytes);
        refuse(video, &err);
        return;
    }
    exchange->give_up = NULL;
    exchange->arena.budget = NULL;
    if (video->drawn)
        text_add(&video->answer, "--frame--\r\n");
    else if (video->n_omitted)
        text_printf(&video->answer, "{\"frames\":%" PRId64 ",\"omitted\":%" PRId64 "}\n", video->n_told,
                    video->n_omitted);
    end_live(video);
    exchange_reply_text(exchange, 200, type_of(video), &video->answer);
}

/* The last frame has no more behind it. */
static void end_frames(struct video *video)
{
    if (video->n_rest || is_full(video) || !video->open)
        return;
    if (frames_end(&video->frames))
        begin_frame(video);
}

/* Something has ended, or come: what follows from it. */
static void go_on(struct video *video)
{
    tell_ended(video);
    take_rest(video);
    if (is_over(video))
        return;
    if (!video->whole) {
        set_full(video, is_full(video) || video->n_rest);
        return;
    }
    end_frames(video);
    tell_ended(video);
    if (!is_over(video) && !video->n_rest && video->n_told == video->n_begun)
        answer(video);
}

static void give_up(struct exchange *exchange)
{
    struct percept_err err = {0};
    const bool abandoning = exchange->site->abandoning;
    err_set(&err, abandoning ? ERR_UNAVAILABLE : ERR_CANCELLED, "Server exiting");
    refuse(exchange->video, &err);
}

static void end_body(struct exchange *exchange)
{
    struct video *video = exchange->video;
    video->whole = true;
    video->full = false;
    video->site->paced(exchange, PACE_WHOLE);
    go_on(video);
    if (is_over(video))
        return;
    exchange_wait(exchange);
    exchange->give_up = give_up;
}

static void leave(struct exchange *exchange)
{
    struct video *video = exchange->video;
    end_live(video);
    video->exchange = NULL;
    exchange->video = NULL;
    exchange->taker = NULL;
    cancel_all(video);
    if (!video->n_flying)
        free_video(video);
}
