/*
 * websocket.c - see websocket.h.
 *
 * wslay is given bytes when it asks for them, at most TURN_BYTES in one turn of the loop, and none while the reader is
 * paused. It answers pings by itself; who sends many and does not read is left unread as well. What a message may be at
 * most it takes memory for when a frame begins, so that is bounded small.
 */
#include "http/websocket.h"

#include "base/arena.h"
#include "base/base64.h"
#include "base/err.h"
#include "base/sha1.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <wslay/wslay.h>

#define TURN_BYTES 65536
#define UNSENT_MESSAGES 32 /* beyond which nothing is read */
#define KEY_BYTES 24       /* 16 in base64 */

struct websocket {
    const struct websocket_calls *calls;
    void *user;
    wslay_event_context_ptr wslay;
    int fd;
    uint8_t *early; /* what came before it was open */
    size_t n_early, early_taken;
    size_t left; /* bytes that this turn may still read */
    bool paused, ended, failed, leaving, closing, pinged, told, busy, shut, broken;
    int64_t heard_ms, closing_ms, now_ms;
    void (*changed)(void *user);
    void *changed_user;
};

/* --- the handshake ------------------------------------------------------------------------------------------------ */

bool websocket_names(struct bytes list, const char *word)
{
    while (bytes_size(list)) {
        const uint8_t *comma = memchr(list.at, ',', bytes_size(list));
        struct bytes one = {list.at, comma ? comma : list.end};
        list.at = comma ? comma + 1 : list.end;
        while (bytes_size(one) && (*one.at == ' ' || *one.at == '\t'))
            one.at++;
        while (bytes_size(one) && (one.end[-1] == ' ' || one.end[-1] == '\t'))
            one.end--;
        if (framing_same(one, word))
            return true;
    }
    return false;
}

static bool is_key(struct bytes key)
{
    uint8_t bytes[BASE64_READ_MAX(KEY_BYTES)];
    size_t n = 0;
    return bytes_size(key) == KEY_BYTES && base64_read(key, bytes, &n) && n == 16;
}

bool websocket_handshake(const struct framing *headers, char accept[WEBSOCKET_ACCEPT], struct percept_err *err)
{
    static const char salt[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    uint8_t digest[SHA1_BYTES];
    char text[KEY_BYTES + sizeof salt];
    if (!headers->http_1_1 || !websocket_names(headers->connection, "upgrade") ||
        !websocket_names(headers->upgrade, "websocket"))
        return err_set(
            err, ERR_INVALID,
            "this path is a WebSocket: open ws://... with a client of WebSockets, or post a sound to /infer");
    if (!bytes_is(headers->ws_version, "13"))
        return err_set(err, ERR_INVALID, "Sec-WebSocket-Version must be 13");
    if (!is_key(headers->ws_key))
        return err_set(err, ERR_INVALID, "Sec-WebSocket-Key must be 16 bytes in base64");
    snprintf(text, sizeof text, "%.*s%s", KEY_BYTES, (const char *)headers->ws_key.at, salt);
    sha1(bytes_of(text, sizeof text - 1), digest);
    accept[base64_write(accept, bytes_of(digest, sizeof digest))] = '\0';
    return true;
}

/* --- what wslay asks for ------------------------------------------------------------------------------------------ */

static ssize_t take_early(struct websocket *ws, uint8_t *to, size_t room)
{
    const size_t left = ws->n_early - ws->early_taken, n = left < room ? left : room;
    memcpy(to, ws->early + ws->early_taken, n);
    ws->early_taken += n;
    return (ssize_t)n;
}

static ssize_t on_read(wslay_event_context_ptr wslay, uint8_t *to, size_t room, int flags, void *user)
{
    struct websocket *ws = user;
    (void)flags;
    if (ws->early_taken < ws->n_early)
        return take_early(ws, to, room);
    const bool may = !ws->paused && ws->left && wslay_event_get_queued_msg_count(wslay) < UNSENT_MESSAGES;
    ssize_t n = -1;
    if (may)
        do
            n = recv(ws->fd, to, room < ws->left ? room : ws->left, MSG_DONTWAIT);
        while (n < 0 && errno == EINTR);
    if (n > 0) {
        ws->left -= (size_t)n;
        ws->heard_ms = ws->now_ms;
        ws->pinged = false;
        return n;
    }
    ws->ended |= may && (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK));
    wslay_event_set_error(wslay, ws->ended ? WSLAY_ERR_CALLBACK_FAILURE : WSLAY_ERR_WOULDBLOCK);
    return -1;
}

static ssize_t on_write(wslay_event_context_ptr wslay, const uint8_t *from, size_t n_bytes, int flags, void *user)
{
    struct websocket *ws = user;
    ssize_t n;
    (void)flags;
    do
        n = send(ws->fd, from, n_bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n >= 0)
        return n;
    ws->ended |= errno != EAGAIN && errno != EWOULDBLOCK;
    wslay_event_set_error(wslay, ws->ended ? WSLAY_ERR_CALLBACK_FAILURE : WSLAY_ERR_WOULDBLOCK);
    return -1;
}

static void on_message(wslay_event_context_ptr wslay, const struct wslay_event_on_msg_recv_arg *message, void *user)
{
    struct websocket *ws = user;
    (void)wslay;
    if (!wslay_is_ctrl_frame(message->opcode) && !ws->closing)
        ws->calls->message(ws->user, message->opcode == WSLAY_TEXT_FRAME, bytes_of(message->msg, message->msg_length));
}

static const struct wslay_event_callbacks callbacks = {
    .recv_callback = on_read, .send_callback = on_write, .on_msg_recv_callback = on_message};

/* --- life --------------------------------------------------------------------------------------------------------- */

struct websocket *websocket_new(const struct websocket_calls *calls, void *user, size_t most_bytes,
                                struct percept_err *err)
{
    struct websocket *ws = arena_buffer(sizeof *ws);
    if (ws && wslay_event_context_server_init(&ws->wslay, &callbacks, ws) != 0) {
        arena_buffer_free(ws);
        ws = NULL;
    }
    if (!ws) {
        err_memory(err, "a WebSocket", sizeof *ws);
        return NULL;
    }
    ws->calls = calls;
    ws->user = user;
    ws->fd = -1;
    wslay_event_config_set_max_recv_msg_length(ws->wslay, most_bytes);
    return ws;
}

/* An answer leaves at once: wslay writes its head by itself, and microhttpd may have held packets back. */
static void hurry(int fd)
{
    const int on = 1, off = 0;
    setsockopt(fd, IPPROTO_TCP, TCP_CORK, &off, sizeof off);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

bool websocket_open(struct websocket *ws, int fd, struct bytes early, int64_t now_ms, void (*changed)(void *user),
                    void *changed_user)
{
    ws->fd = fd;
    hurry(fd);
    ws->heard_ms = ws->now_ms = now_ms;
    ws->changed = changed;
    ws->changed_user = changed_user;
    ws->n_early = bytes_size(early);
    ws->early = ws->n_early ? arena_buffer(ws->n_early) : NULL;
    if (!ws->n_early)
        return true;
    if (ws->early)
        memcpy(ws->early, early.at, ws->n_early);
    return ws->early;
}

void websocket_free(struct websocket *ws)
{
    if (!ws)
        return;
    ws->fd = -1;
    ws->failed = true;
    if (!ws->told)
        ws->calls->over(ws->user);
    ws->told = true;
    wslay_event_context_free(ws->wslay);
    arena_buffer_free(ws->early);
    arena_buffer_free(ws);
}

/* Nothing will be read or written any more. */
static bool is_silent(const struct websocket *ws)
{
    if (ws->broken)
        return true;
    return !wslay_event_want_read(ws->wslay) && !wslay_event_want_write(ws->wslay);
}

static bool is_over(const struct websocket *ws)
{
    return ws->failed || ws->ended || (!ws->broken && is_silent(ws) && wslay_event_get_close_received(ws->wslay));
}

/* A peer that was told goodbye before it said it may be sending still, and would never read ours if the socket were
 * closed with that unread. */
static void discard(struct websocket *ws)
{
    uint8_t nowhere[4096];
    ssize_t n = 1;
    if (!ws->shut)
        shutdown(ws->fd, SHUT_WR);
    ws->shut = true;
    for (size_t left = TURN_BYTES; left && n > 0; left -= n > 0 ? (size_t)n : 0)
        n = recv(ws->fd, nowhere, sizeof nowhere, MSG_DONTWAIT);
    ws->ended |= n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

unsigned websocket_wants(const struct websocket *ws)
{
    const bool full = wslay_event_get_queued_msg_count(ws->wslay) >= UNSENT_MESSAGES;
    const bool reads = (wslay_event_want_read(ws->wslay) && !ws->paused && !full) || is_silent(ws);
    const bool writes = (wslay_event_want_write(ws->wslay) && !ws->broken) || ws->failed || ws->ended;
    return (reads ? WEBSOCKET_READ : 0) | (writes || ws->early_taken < ws->n_early ? WEBSOCKET_WRITE : 0);
}

/* Goodbye was said, whoever began. */
static void note_closing(struct websocket *ws)
{
    if (ws->closing ||
        (!ws->broken && wslay_event_get_read_enabled(ws->wslay) && !wslay_event_get_close_received(ws->wslay)))
        return;
    ws->closing = true;
    ws->closing_ms = ws->now_ms;
}

/* A head that no frame has, as a length above 2^63: wslay has no code for it, and only its own goodbye waits. */
static void break_off(struct websocket *ws)
{
    static const uint8_t goodbye[] = {0x88, 2, WEBSOCKET_MALFORMED >> 8, WEBSOCKET_MALFORMED & 255};
    ws->broken = true;
    ws->failed |= wslay_event_get_queued_msg_count(ws->wslay) > 1 ||
                  send(ws->fd, goodbye, sizeof goodbye, MSG_DONTWAIT | MSG_NOSIGNAL) != sizeof goodbye;
}

static void write_some(struct websocket *ws)
{
    const size_t before = wslay_event_get_queued_msg_length(ws->wslay);
    if (ws->failed || ws->ended || ws->broken)
        return;
    ws->failed |= wslay_event_want_write(ws->wslay) && wslay_event_send(ws->wslay) != 0;
    if (!ws->failed && wslay_event_get_queued_msg_length(ws->wslay) < before && !ws->told)
        ws->calls->sent(ws->user);
}

bool websocket_go_on(struct websocket *ws, bool readable, bool writable, int64_t now_ms)
{
    ws->now_ms = now_ms;
    ws->busy = true;
    ws->left = TURN_BYTES;
    if ((readable || ws->early_taken < ws->n_early) && !is_over(ws) && !ws->broken &&
        wslay_event_recv(ws->wslay) != 0 && !ws->ended)
        break_off(ws);
    (void)writable;
    write_some(ws);
    note_closing(ws);
    if (!is_over(ws) && is_silent(ws))
        discard(ws);
    ws->busy = false;
    return !is_over(ws);
}

bool websocket_tick(struct websocket *ws, int64_t now_ms)
{
    ws->now_ms = now_ms;
    if (ws->closing)
        return now_ms - ws->closing_ms < WEBSOCKET_CLOSE_MS && !is_over(ws);
    const int64_t silent_ms = now_ms - ws->heard_ms;
    if (ws->paused || silent_ms < WEBSOCKET_PING_MS)
        return !is_over(ws);
    if (ws->pinged)
        return silent_ms < 2 * WEBSOCKET_PING_MS && !is_over(ws);
    const struct wslay_event_msg ping = {.opcode = WSLAY_PING};
    ws->pinged = true;
    ws->failed |= wslay_event_queue_msg(ws->wslay, &ping) != 0;
    return websocket_go_on(ws, false, true, now_ms);
}

/* What is queued is written at once, as far as the socket takes it; but not from within wslay. */
static void flush(struct websocket *ws)
{
    if (ws->busy || ws->fd < 0)
        return;
    ws->busy = true;
    write_some(ws);
    ws->busy = false;
    ws->changed(ws->changed_user);
}

void websocket_send(struct websocket *ws, bool is_text, struct bytes message)
{
    const struct wslay_event_msg out = {.opcode = is_text ? WSLAY_TEXT_FRAME : WSLAY_BINARY_FRAME,
                                        .msg = message.at,
                                        .msg_length = bytes_size(message)};
    if (ws->failed || ws->ended || ws->closing || ws->broken)
        return;
    ws->failed |= wslay_event_queue_msg(ws->wslay, &out) == WSLAY_ERR_NOMEM;
    flush(ws);
}

void websocket_close(struct websocket *ws, enum websocket_code code, const char *reason)
{
    if (ws->failed || ws->ended || ws->closing || ws->broken)
        return;
    size_t n = strlen(reason);
    n = n < 123 ? n : 123; /* of a control frame, behind the code */
    while (n && ((unsigned char)reason[n] & 0xc0) == 0x80)
        n--; /* a character is whole */
    ws->failed |= wslay_event_queue_close(ws->wslay, (uint16_t)code, (const uint8_t *)reason, n) == WSLAY_ERR_NOMEM;
    ws->closing = true;
    ws->closing_ms = ws->now_ms;
    ws->paused = false; /* for its goodbye */
    flush(ws);
}

void websocket_pause(struct websocket *ws, bool paused)
{
    const bool change = ws->paused != paused && !ws->closing;
    if (!change)
        return;
    ws->paused = paused;
    ws->heard_ms = ws->now_ms;
    flush(ws);
}

size_t websocket_unsent(const struct websocket *ws)
{
    return wslay_event_get_queued_msg_length(ws->wslay);
}

void websocket_leave(struct websocket *ws)
{
    if (ws->leaving)
        return;
    ws->leaving = true;
    ws->calls->leave(ws->user);
}
