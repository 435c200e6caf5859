/*
 * v2_stream.c - GET /v2/models/NAME[/versions/N]/stream, a WebSocket: binary messages are pieces of a sound, answers
 * come as they are there.
 *
 *     message -> pending bytes -> a piece, one at a time -> job -> a text frame of V2's JSON, or samples
 *
 * A piece is a step of a sequence, as if it had been posted (serve/sound_stream.h); messages that come while one is
 * under way are one piece behind it, so that who sends small ones fast costs no more than who sends large ones. When
 * more than PENDING_MOST wait, or the client does not read its answers, the socket is left unread. Without a
 * `sequence_id` the sequence is the socket's own and ends with it.
 *
 * Thread: the loop. A stream outlives its socket while a worker has its piece, and its request.
 */
#include "http/exchange.h"
#include "http/query.h"
#include "http/routes.h"
#include "http/sequence_id.h"
#include "http/websocket.h"
#include "serve/codec.h"
#include "serve/encoder.h"
#include "serve/json.h"
#include "serve/lifecycle.h"
#include "serve/sequences.h"
#include "serve/sound_stream.h"
#include "serve/states.h"

#include <inttypes.h>
#include <stdio.h>

#define MESSAGE_MOST ((size_t)256 << 10)
#define PENDING_MOST ((size_t)256 << 10)
#define UNSENT_MOST ((size_t)1 << 20)
#define WAV_HEAD 44
#define PROTOCOL "perceptd"

struct live {
    struct site *site;
    struct websocket *socket; /* NULL: nobody is there any more */
    struct arena arena;       /* of what lasts */
    const char *name, *type;
    int64_t version;
    struct job_sequence id;
    bool own;              /* the sequence is the socket's own */
    bool begun, ends, end; /* a piece was taken; the client has said that it ends; its last piece was taken */
    bool heard;            /* its last piece has happened: the sequence has ended */
    bool leaving;          /* the server stops */
    bool refused;          /* goodbye was said because something is wrong */
    bool working;
    uint8_t *pending, *taken;
    size_t n_pending, room;
    struct arena job_arena;
    struct job job;
};

static void go_on(struct live *live);

/* --- its end ------------------------------------------------------------------------------------------------------ */

/* What its socket had kept is nobody's any more. */
static void end_sequence(struct live *live)
{
    struct percept_err err = {0};
    const struct served *served = catalog_find_ready(live->site->catalog, live->name, live->version, &err);
    if (served && served->states)
        sequences_end(served, &live->id, &err);
}

static void live_free(struct live *live)
{
    if (live->own && live->begun && !live->heard)
        end_sequence(live);
    arena_buffer_free(live->pending);
    arena_buffer_free(live->taken);
    arena_free(&live->job_arena);
    arena_free(&live->arena);
    arena_buffer_free(live);
}

static void on_over(void *user)
{
    struct live *live = user;
    live->socket = NULL;
    if (live->working)
        lifecycle_cancel(&live->job);
    else
        live_free(live);
}

/* --- answers ------------------------------------------------------------------------------------------------------ */

static enum websocket_code code_of(const struct percept_err *err)
{
    if (err->code == ERR_UNAVAILABLE || err->code == ERR_TIMEOUT)
        return WEBSOCKET_LATER;
    return err_status(err->code) >= 500 ? WEBSOCKET_BROKEN : WEBSOCKET_REFUSED;
}

/* The sentence as a message, since that of closing is short; then goodbye. */
static void refuse(struct live *live, const struct percept_err *err)
{
    struct arena arena = {0};
    struct text text = {.arena = &arena};
    live->refused = true;
    text_add(&text, "{\"error\":");
    text_json(&text, err->text);
    text_add(&text, "}");
    if (!text.failed)
        websocket_send(live->socket, true, bytes_of(text.at, text.n_bytes));
    arena_free(&arena);
    websocket_close(live->socket, code_of(err), err->text);
}

/* The samples of a WAV, in the order of bytes in which the client sends its own. */
static void send_samples(struct live *live)
{
    uint8_t *at = (uint8_t *)(uintptr_t)live->job.reply.at + WAV_HEAD; /* in the job's arena */
    const size_t n = bytes_size(live->job.reply) - WAV_HEAD;
    const bool big = strncasecmp(live->type, "audio/L16", strlen("audio/L16")) == 0;
    for (size_t i = 0; big && i + 1 < n; i += 2) {
        const uint8_t low = at[i];
        at[i] = at[i + 1];
        at[i + 1] = low;
    }
    websocket_send(live->socket, false, bytes_of(at, n));
}

static void answer(struct live *live)
{
    const struct job *job = &live->job;
    const bool is_sound = job->encoder && strcmp(job->encoder->media_type, "audio/wav") == 0;
    if (is_sound && job->n_items)
        send_samples(live);
    else if (!is_sound && (job->n_items || live->end))
        websocket_send(live->socket, true, job->reply);
}

static void on_done(struct job *job)
{
    struct live *live = job->user;
    live->working = false;
    live->heard = live->end && job->err.code == ERR_NONE;
    if (!live->socket) {
        live_free(live);
        return;
    }
    if (job->err.code != ERR_NONE)
        refuse(live, &job->err);
    else
        answer(live);
    arena_free(&live->job_arena);
    go_on(live);
}

/* --- pieces ------------------------------------------------------------------------------------------------------- */

/* The job of a piece, but for its bytes. False with a sentence: the model takes none. */
static bool aim(struct live *live, struct job *job, struct percept_err *err)
{
    job->served = catalog_find_ready(live->site->catalog, live->name, live->version, err);
    job->codec = job->served ? codec_find(job->served, job->content_type, err) : NULL;
    if (!job->codec)
        return false;
    if (!sound_stream_take(job) || !codec_audio_is_raw(job->codec))
        return err_set(err, ERR_MEDIA_TYPE,
                       "a stream takes samples without a head, for a model whose input is a sound of windows: ask with "
                       "?type=audio/L16;rate=16000, or audio/x-raw");
    const struct manifest_audio *audio = job->served->states->sound.audio;
    if (job->served->manifest->task == TASK_AUDIO && audio->hop >= audio->window)
        job->encoder = encoder_find(job->served, bytes_of_text("audio/wav"));
    return true;
}

static struct job job_of(struct live *live)
{
    struct job job = {.arena = &live->job_arena,
                      .content_type = bytes_of_text(live->type),
                      .json_bytes = -1,
                      .most_body_bytes = live->site->settings->max_body_bytes,
                      .arrived_ns = loop_now_ns(),
                      .sequence = live->id,
                      .done = on_done,
                      .user = live};
    job.sequence.start = live->begun ? false : live->id.start;
    job.sequence.end = live->ends;
    return job;
}

/* Takes what waits as the next piece. */
static void take_piece(struct live *live)
{
    struct percept_err err = {0};
    static const uint8_t nothing[1];
    uint8_t *before = live->taken;
    live->job = job_of(live);
    live->taken = live->pending;
    live->pending = before;
    live->job.body = bytes_of(live->taken ? live->taken : nothing, live->n_pending);
    live->n_pending = 0;
    arena_buffer_free(live->pending); /* its size is that of a burst */
    live->pending = NULL;
    live->room = 0;
    live->job_arena.budget = live->site->settings->budget;
    if (live->site->abandoning || catalog_draining(live->site->catalog))
        err_set(&err, ERR_UNAVAILABLE, "Server exiting");
    if (err.code != ERR_NONE || !aim(live, &live->job, &err)) {
        refuse(live, &err);
        return;
    }
    live->begun = true;
    live->end = live->ends;
    live->working = true;
    lifecycle_start(&live->job);
}

static void go_on(struct live *live)
{
    if (live->working || !live->socket || live->refused)
        return;
    const bool has_piece = live->n_pending || (live->ends && !live->end);
    if (has_piece && websocket_unsent(live->socket) < UNSENT_MOST)
        take_piece(live);
    else if (live->end)
        websocket_close(live->socket, WEBSOCKET_NORMAL, "");
    else if (live->leaving && !live->n_pending)
        websocket_close(live->socket, WEBSOCKET_AWAY, "the server stops");
    if (live->socket)
        websocket_pause(live->socket, live->n_pending >= PENDING_MOST);
}

/* --- what the socket tells ---------------------------------------------------------------------------------------- */

static bool read_control(struct live *live, struct bytes message, struct percept_err *err)
{
    struct arena arena = {0};
    struct json json = json_of(message, &arena, err);
    struct json_keys keys = {0};
    struct bytes key;
    bool good = json_open(&json, '{');
    json.what = "the message";
    while (good && json_member(&json, &keys, &key))
        good = bytes_is(key, "end") ? json_bool(&json, "true or false as 'end'", &live->ends)
                                    : json_fail(&json, "'end', which is all that a message may say,");
    good = good && json_finish(&json);
    arena_free(&arena);
    return good;
}

static bool keep(struct live *live, struct bytes message, struct percept_err *err)
{
    const size_t n = live->n_pending + bytes_size(message);
    if (n > live->room) {
        const size_t room = n > 2 * live->room ? n : 2 * live->room;
        uint8_t *grown = arena_buffer_grow(live->pending, room);
        if (!grown)
            return err_memory(err, "a piece of a sound", room);
        live->pending = grown;
        live->room = room;
    }
    if (bytes_size(message))
        memcpy(live->pending + live->n_pending, message.at, bytes_size(message));
    live->n_pending = n;
    return true;
}

static void on_message(void *user, bool is_text, struct bytes message)
{
    struct live *live = user;
    struct percept_err err = {0};
    if (live->refused)
        return;
    if (live->ends && !is_text)
        err_set(&err, ERR_INVALID, "the sound has ended: nothing may come behind {\"end\":true}");
    else if (is_text)
        read_control(live, message, &err);
    else
        keep(live, message, &err);
    if (err.code != ERR_NONE)
        refuse(live, &err);
    else
        go_on(live);
}

static void on_sent(void *user)
{
    go_on(user);
}

static void on_leave(void *user)
{
    struct live *live = user;
    live->leaving = true;
    go_on(live);
}

static const struct websocket_calls calls = {
    .message = on_message, .sent = on_sent, .leave = on_leave, .over = on_over};

/* --- the handshake ------------------------------------------------------------------------------------------------ */

/* A page of another origin is not let in unasked: browsers send it, and no preflight. */
static bool is_from_here(const struct exchange *exchange, struct percept_err *err)
{
    const struct bytes origin = exchange->headers.origin, host = exchange->headers.host;
    const size_t n = bytes_size(origin), n_host = bytes_size(host);
    if (!origin.at || exchange->origin)
        return true;
    const bool ours = n > n_host + 3 && memcmp(origin.end - n_host - 3, "://", 3) == 0 &&
                      memcmp(origin.end - n_host, host.at, n_host) == 0;
    return ours || err_set(err, ERR_FORBIDDEN, "pages of this origin may not open a WebSocket here (--cors-origin)");
}

static bool has_place(const struct exchange *exchange, struct percept_err *err)
{
    const struct site *site = exchange->site;
    if (site->draining || catalog_draining(site->catalog))
        return err_set(err, ERR_UNAVAILABLE, "Server exiting");
    return site->n_sockets < site->settings->max_connections / 2 ||
           err_set(err, ERR_UNAVAILABLE, "half of all connections are WebSockets; try again");
}

/* The sequence that the query names, else one of the socket's own, called like its request. */
static bool read_id(const struct exchange *exchange, struct live *live, struct percept_err *err)
{
    struct bytes id = {0};
    live->id = (struct job_sequence){.owner = exchange->owner, .start = true};
    if (!sequence_id_query(exchange->target, &live->arena, &live->id, err))
        return false;
    if (live->id.end)
        return err_set(err, ERR_INVALID, "a stream ends by the message {\"end\":true}, not by its query");
    live->own = !live->id.asked;
    if (live->own) {
        const char *made = arena_printf(&live->arena, "stream-%s", exchange->made_id);
        id = made ? bytes_of_text(made) : id;
        live->id.asked = live->id.start = true;
        live->id.text = id;
        return made || err_memory(err, "a stream", 1);
    }
    return true;
}

static bool set_up(const struct exchange *exchange, struct live *live, struct percept_err *err)
{
    struct bytes type;
    if (!query_text(exchange->target, "type", &live->arena, &type, err) || !read_id(exchange, live, err))
        return false;
    if (!bytes_size(type))
        return err_set(err, ERR_MEDIA_TYPE,
                       "what are the samples? Ask with ?type=audio/L16;rate=16000, or audio/x-raw");
    live->site = exchange->site;
    live->version = exchange->version;
    live->name = arena_text(&live->arena, exchange->name, strlen(exchange->name));
    live->type = arena_text(&live->arena, type.at, bytes_size(type));
    if (!live->name || !live->type)
        return err_memory(err, "a stream", 1);
    struct job probe = job_of(live);
    struct sound_frame frame;
    return aim(live, &probe, err) && sound_pcm_frame(probe.content_type, &frame, err);
}

static void begin(struct exchange *exchange, const char *accept)
{
    struct percept_err err = {0};
    struct live *live = arena_buffer(sizeof *live);
    if (!live)
        err_memory(&err, "a stream", sizeof *live);
    else if (set_up(exchange, live, &err))
        live->socket = websocket_new(&calls, live, MESSAGE_MOST, &err);
    if (err.code == ERR_NONE) {
        const bool named = websocket_names(exchange->headers.ws_protocol, PROTOCOL);
        exchange_upgrade(exchange, live->socket, accept, named ? PROTOCOL : NULL);
        return;
    }
    if (live)
        live_free(live);
    exchange_error(exchange, &err);
}

void v2_stream(struct exchange *exchange)
{
    struct percept_err err = {0};
    char accept[WEBSOCKET_ACCEPT];
    if (!websocket_handshake(&exchange->headers, accept, &err)) {
        exchange_add_header(exchange, "Sec-WebSocket-Version", "13");
        exchange_error(exchange, &err);
    } else if (strcmp(exchange->method, "GET") != 0 || exchange->received_bytes) {
        exchange_refuse(exchange, ERR_INVALID, "a WebSocket begins with GET, without a body");
    } else if (!is_from_here(exchange, &err) || !has_place(exchange, &err)) {
        exchange_error(exchange, &err);
    } else {
        begin(exchange, accept);
    }
}
