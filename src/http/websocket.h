/*
 * websocket.h - one WebSocket (RFC 6455): what its handshake must say, then messages over a socket that somebody else
 * watches. The door to wslay, which reads and writes frames: fragments, control frames between them, masks, reserved
 * bits, UTF-8, codes of closing.
 *
 *     ws = websocket_new(&calls, user, most, &err);      before the handshake is answered
 *     websocket_open(ws, fd, early, now_ms);             the socket is there, with what came behind the head
 *     loop: wait for what websocket_wants() says
 *           if (!websocket_go_on(ws, readable, writable, now_ms)) ... it is over: close the socket
 *           every so often: if (!websocket_tick(ws, now_ms)) ... the same
 *     websocket_free(ws)
 *
 * Messages are whole when they are told. Who has enough for now pauses it: the socket is left unread. A peer that has
 * sent nothing for 20 s is pinged, one that then says nothing for as long is gone; one that is told goodbye has 5 s to
 * say it too. Time is a parameter, of any clock that never goes back. Thread: the loop's.
 */
#ifndef HTTP_WEBSOCKET_H
#define HTTP_WEBSOCKET_H

#include "base/bytes.h"
#include "http/framing.h"
#include "percept.h"

#define WEBSOCKET_PING_MS 20000
#define WEBSOCKET_CLOSE_MS 5000
#define WEBSOCKET_ACCEPT 29 /* bytes of an answer to a key, with its end */

/* Codes of closing (RFC 6455, 7.4.1, and IANA's registry). */
enum websocket_code {
    WEBSOCKET_NORMAL = 1000,
    WEBSOCKET_AWAY = 1001,
    WEBSOCKET_MALFORMED = 1002,
    WEBSOCKET_REFUSED = 1008,
    WEBSOCKET_BROKEN = 1011,
    WEBSOCKET_LATER = 1013,
};

enum { WEBSOCKET_READ = 1, WEBSOCKET_WRITE = 2 };

struct websocket;

struct websocket_calls {
    void (*message)(void *user, bool is_text, struct bytes message); /* gone when it returns */
    void (*sent)(void *user);                                        /* what waited to be sent is less */
    void (*leave)(void *user);                                       /* the server stops: end soon */
    void (*over)(void *user);                                        /* the last: nobody is there any more */
};

/* Does the request want a WebSocket, in a way that is understood? The answer to its key; false with a sentence. */
bool websocket_handshake(const struct framing *headers, char accept[WEBSOCKET_ACCEPT], struct percept_err *err);

/* Is one of the words of a header's list this one, whatever the case? */
bool websocket_names(struct bytes list, const char *word);

/* Messages of at most so many bytes are taken; a longer one closes it (1009). NULL: memory is short. */
struct websocket *websocket_new(const struct websocket_calls *calls, void *user, size_t most_bytes,
                                struct percept_err *err);

/* `changed` is called when something happened outside of go_on and tick, so that wants() may be another. The socket
 * stays the caller's. */
bool websocket_open(struct websocket *ws, int fd, struct bytes early, int64_t now_ms, void (*changed)(void *user),
                    void *changed_user);

unsigned websocket_wants(const struct websocket *ws);
bool websocket_go_on(struct websocket *ws, bool readable, bool writable, int64_t now_ms);
bool websocket_tick(struct websocket *ws, int64_t now_ms);

/* For whom it belongs to. What cannot be kept for want of memory ends it. */
void websocket_send(struct websocket *ws, bool is_text, struct bytes message);
void websocket_close(struct websocket *ws, enum websocket_code code, const char *reason);
void websocket_pause(struct websocket *ws, bool paused);
size_t websocket_unsent(const struct websocket *ws); /* bytes that wait */

/* The server stops. */
void websocket_leave(struct websocket *ws);

/* Tells `over`, once. NULL is accepted. */
void websocket_free(struct websocket *ws);

#endif
