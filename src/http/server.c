/*
 * server.c - libmicrohttpd 0.9.75 on the libuv loop, without threads of its own.
 *
 * The pump. microhttpd's epoll descriptor is one uv_poll. Its own epoll is edge-triggered, so one
 * MHD_run per event is not enough: run until MHD_get_timeout is not 0, at most PUMP_ROUNDS times,
 * then come back after others had their turn, by loop_wake (a uv_timer of 0 ms never leaves
 * libuv 1.44's timer phase). microhttpd can also say "0" for ever, about a connection that it
 * cannot serve: when nothing moved in STUCK pumps, the next is some milliseconds away. A resumed
 * connection is not looked at by itself, so a reply makes the server dirty and wakes the loop, and
 * its turn callback pumps: once per turn, however many replies there are.
 *
 * Doors. microhttpd has no listening socket: there may be several, so each is a uv_poll of ours, and
 * what comes in is accepted here and handed over (MHD_add_connection).
 *
 * Where TLS is spoken microhttpd gets one end of a pair of sockets instead, behind which tls.c takes it off.
 *
 * Deadlines. microhttpd's timeout is one of inactivity, which a byte a second defeats. Each
 * connection is in one phase (phases.h) with one limit. Past it a socket is shut down, never
 * closed: microhttpd then notices and closes it itself.
 *
 * Loss of clients. A suspended connection notices nothing, and microhttpd overlooks an end that
 * comes together with bytes. Each socket is registered once in an epoll descriptor of our own,
 * edge-triggered for EPOLLRDHUP alone (data wakes nobody), with one uv_poll. Not one uv_poll per
 * request: libuv aborts when its epoll_ctl fails. What an event means:
 *
 *     reset, any phase             nobody is there: the job is cancelled, the socket shut down
 *     end while a request works    the same: whoever wants the answer keeps his side open for it
 *     end while a reply is sent    it is sent
 *     end otherwise                PHASE_LEFT: what came before the end is read and answered, and
 *                                  when nothing moves any more, the socket is shut down (settle)
 *
 * A body that is used while it comes (v2_video.c) is not read on while there is no room for more: on_paced.
 *
 * Malformed bytes never reach microhttpd (receive.h). Its connection goes on with what came before
 * them, as if its client had closed its side; when that is answered, we write 400 and shut it down.
 *
 * Places. There are as many as --max-connections says, and microhttpd's own limit lies SPARE_PLACES
 * above. A connection over ours takes the place of the one that has been idle or half-sent longest.
 * Where there is none it is `over`: its head is read, and only what must always be answered is.
 *
 * microhttpd panics when it is stopped with a suspended connection, hence the order of the stop:
 * see server_drain in server.h and the section at the end. Handler calls never nest, and MHD_run is
 * not re-entrant: `pumping` guards it. Connections are suspended in the final handler call only.
 *
 * Thread: the loop's. Owns the daemon, the doors until they close, and one struct connection per
 * socket.
 */
#include "http/server.h"

#include "base/log.h"
#include "http/access.h"
#include "http/exchange.h"
#include "http/listen.h"
#include "http/phases.h"
#include "http/certificate.h"
#include "http/site.h"
#include "http/slices.h"
#include "http/tls.h"
#include "http/v2_video.h"
#include "http/websocket.h"

#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#define PUMP_ROUNDS 8
#define STUCK 64
#define STUCK_LONG 1024
#define TICK_MS 250           /* how late a deadline may be noticed, at most */
#define SILENT_MS 1000        /* what a connection without a request gets while draining */
#define STALLED_MS 2000       /* and one whose request has begun and does not go on */
#define PAUSE_MS 300          /* and one between two requests: the next may be on its way */
#define CONNECTION_POOL 32768 /* above that microhttpd maps and unmaps memory per connection */
#define RESERVED_FDS 64       /* for models, regions and the loop itself */
#define TLS_DESCRIPTORS 3     /* of a connection: the client's, and a pair */
#define SPARE_PLACES 32       /* of microhttpd, above ours */
#define CROWD (SPARE_PLACES / 2)
#define DISCARD_BYTES (1 << 20)
#define TURNOVER_BYTES ((size_t)64 << 20) /* after so much an idle server tidies up */
#define LOOKS 16                          /* at most so many are looked at for one place */
#define SETTLE 2                          /* pumps without a move, after which microhttpd holds nothing back */
#define DOOR_QUIET_MS 50                  /* for handshakes that have begun when the door closes */
#define DOOR_LOOK_MS 10
#define DOOR_PAUSE_MS 5 /* where a connection cannot be had, or not yet */
#define ACCEPTS 16      /* from one door, before others have their turn */
#define SLICE_NS 100000 /* of a long reply */
#define N_HANDLES 7     /* beside the doors' */

struct door {
    struct listener listener;
    uv_poll_t poll;
    bool tls;          /* is spoken here */
    uint64_t quiet_ms; /* since when nobody waits at it, while it closes */
};

/* Whom a connection came from, and at which door: what microhttpd is told as its address, and gives back. It has
 * room for no more than the largest address. */
struct origin {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un file;
    } from;
    uint16_t door; /* its number */
    bool proxied;  /* the header of a proxy comes first */
    int32_t uid;   /* of whom comes by a socket file; else -1 */
};

_Static_assert(sizeof(struct origin) <= sizeof(struct sockaddr_storage), "microhttpd keeps no more");

struct server {
    struct site site;
    struct loop *loop;
    uv_loop_t *uv;
    struct MHD_Daemon *daemon;
    struct door *doors;
    int n_doors;
    int watch; /* a descriptor, -1: none */
    struct tls *tls;
    int n_relayed; /* connections that it holds the other end of */
    unsigned most_connections;
    struct phases phases;
    uint64_t limits_ms[N_PHASES]; /* 0: none */
    uint64_t tick_ms, n_pumps;

    uv_poll_t daemon_poll, watch_poll, tls_poll;
    uv_timer_t daemon_timer, tick_timer, drain_timer, door_timer;
    uv_handle_t **handles;
    int n_handles, n_open_handles;

    uint64_t progress; /* anything that a client or a handler did */
    uint64_t seen_progress;
    int stuck;
    bool pumping, dirty, polled, paused, unjudged;

    bool doors_closing, finishing, telling, freed;
    void (*drained)(void *user);
    void *drained_user;
};

static void pump(struct server *server);
static void pump_soon(struct server *server);
static void drain_check(struct server *server);

/* Connections and their phases. */

static void enter(struct server *server, struct connection *connection, enum phase phase)
{
    phases_enter(&server->phases, connection, phase, uv_now(server->uv));
    connection->n_pumps = server->n_pumps;
}

static void moved(struct server *server, struct connection *connection)
{
    phases_moved(&server->phases, connection, uv_now(server->uv));
    connection->n_pumps = server->n_pumps;
}

/* Whatever it was about, nobody waits for it any more. */
static void cut(struct server *server, struct connection *connection)
{
    connection->receiver.held = false;
    if (connection->exchange)
        exchange_cancel(connection->exchange);
    if (connection->phase == PHASE_CUT)
        return;
    enter(server, connection, PHASE_CUT);
    shutdown(connection->fd, SHUT_RDWR);
    server->progress++;
    pump_soon(server);
}

/* Bytes in the socket that microhttpd has not read yet. */
static bool has_bytes(const struct connection *connection)
{
    char byte;
    return recv(connection->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/* Before it is hung up upon: is a request on its way? Then it is not idle. */
static bool still_here(struct server *server, struct connection *connection)
{
    if (connection->receiver.stream.fault || !has_bytes(connection))
        return false;
    if (connection->phase == PHASE_IDLE)
        enter(server, connection, PHASE_HEADER);
    else
        moved(server, connection);
    return true;
}

static void cut_idle(struct server *server, struct connection *connection)
{
    if (!still_here(server, connection))
        cut(server, connection);
}

/* It goes on with what came so far. */
static void no_more(struct server *server, struct connection *connection)
{
    phases_end(&server->phases, connection, uv_now(server->uv));
    connection->n_pumps = server->n_pumps;
    pump_soon(server);
}

static void on_fault(void *user, struct receiver *receiver)
{
    no_more(user, (struct connection *)((char *)receiver - offsetof(struct connection, receiver)));
}

static void on_end(struct server *server, struct connection *connection, bool reset)
{
    connection->gone = true;
    if (reset || connection->phase == PHASE_WORK)
        cut(server, connection);
    else
        no_more(server, connection);
}

/* WebSockets. Each is watched for what it wants, in the same descriptor as the ends of all others. */

static void close_socket(struct server *server, struct connection *connection)
{
    websocket_free(connection->socket);
    connection->socket = NULL;
    epoll_ctl(server->watch, EPOLL_CTL_DEL, connection->fd, NULL);
    exchange_close_socket(connection->upgrade);
    server->site.n_sockets--;
    server->progress++;
    pump_soon(server);
}

static void watch_socket(struct server *server, struct connection *connection)
{
    const unsigned wants = websocket_wants(connection->socket);
    struct epoll_event event = {.events =
                                    (wants & WEBSOCKET_READ ? EPOLLIN : 0) | (wants & WEBSOCKET_WRITE ? EPOLLOUT : 0),
                                .data.ptr = connection};
    epoll_ctl(server->watch, EPOLL_CTL_MOD, connection->fd, &event);
}

static void on_socket(struct server *server, struct connection *connection, uint32_t events)
{
    const bool gone = events & (EPOLLERR | EPOLLHUP), readable = events & EPOLLIN || gone;
    if (!websocket_go_on(connection->socket, readable, events & EPOLLOUT, (int64_t)uv_now(server->uv)) || gone)
        close_socket(server, connection);
    else
        watch_socket(server, connection);
}

/* Something was sent, or it reads again: what it waits for is another. */
static void on_socket_changed(void *user)
{
    struct connection *connection = user;
    if (connection->socket)
        watch_socket(connection->server, connection);
}

static void tick_sockets(struct server *server)
{
    struct connection *after;
    for (struct connection *at = server->phases.lists[PHASE_SOCKET].first; at; at = after) {
        after = at->after;
        if (!at->socket)
            continue;
        if (websocket_tick(at->socket, (int64_t)uv_now(server->uv)))
            watch_socket(server, at);
        else
            close_socket(server, at);
    }
}

/* microhttpd has answered 101, and does not look at the socket any more. */
static void on_upgraded(struct exchange *exchange, int fd, struct bytes early, void *handle)
{
    struct server *server = (struct server *)(void *)exchange->site;
    struct connection *connection = exchange->connection;
    const bool judged = !connection->receiver.stream.fault; /* what came behind the head is no request */
    receive_forget(fd);
    connection->socket = exchange->socket;
    connection->upgrade = handle;
    connection->server = server;
    exchange->socket = NULL;
    server->site.n_sockets++;
    enter(server, connection, PHASE_SOCKET);
    const bool open =
        websocket_open(connection->socket, fd, early, (int64_t)uv_now(server->uv), on_socket_changed, connection);
    watch_socket(server, connection);
    if (!open || !judged || connection->gone || connection->phase != PHASE_SOCKET)
        shutdown(fd, SHUT_RDWR);
}

/* Clients that went away, and WebSockets. */
static void read_watch(struct server *server)
{
    struct epoll_event ready[64];
    int n = epoll_wait(server->watch, ready, 64, 0);
    for (int i = 0; i < n; i++) {
        struct connection *connection = ready[i].data.ptr;
        if (connection->socket)
            on_socket(server, connection, ready[i].events);
        else
            on_end(server, connection, ready[i].events & (EPOLLERR | EPOLLHUP));
    }
}

static void on_watch(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    loop_piece(((struct server *)poll->data)->loop);
    read_watch(poll->data);
}

static void cut_overdue(struct server *server, enum phase phase)
{
    uint64_t now = uv_now(server->uv), limit = server->limits_ms[phase];
    struct connection *after;
    for (struct connection *at = server->phases.lists[phase].first; limit && at; at = after) {
        after = at->after;
        if (now - at->since_ms < limit)
            continue;
        if (phase == PHASE_IDLE)
            cut_idle(server, at);
        else
            cut(server, at);
    }
}

/* When everybody has left, and it was much: the allocator keeps what is freed between what is not.
 */
static void trim_memory(struct server *server)
{
    if (server->site.turnover_bytes < TURNOVER_BYTES)
        return;
    server->site.turnover_bytes = 0;
    exchange_free_spare(&server->site);
    malloc_trim(0);
}

static void on_tick(uv_timer_t *timer)
{
    struct server *server = timer->data;
    loop_piece(server->loop);
    for (int phase = 0; phase < PHASE_CUT; phase++)
        cut_overdue(server, (enum phase)phase);
    v2_video_tick(&server->site, loop_now_ns());
    tick_sockets(server);
    if (server->site.n_connections == 0) {
        uv_timer_stop(timer);
        trim_memory(server);
    }
    if (server->site.draining)
        loop_wake(server->loop);
}

/* More than there are places, those that are about to be closed aside. */
static bool is_crowded(const struct server *server)
{
    int n = server->site.n_connections - server->phases.lists[PHASE_CUT].n;
    return (unsigned)n > server->most_connections;
}

/* Hangs up on the one whose client has been quiet longest. */
static bool evict_connection(struct server *server, bool over)
{
    struct connection *longest;
    for (int i = 0; i < LOOKS && (longest = phases_longest(&server->phases, over)); i++) {
        if (longest->phase != PHASE_REPLY && still_here(server, longest))
            continue;
        cut(server, longest);
        return true;
    }
    return false;
}

/* All places are taken: somebody makes way for this one, or it is over the limit. Of those that are
 * the silent ones go as well when they become many, and then those that do not read their reply, so
 * that microhttpd never comes to its own. */
static void make_room(struct server *server, struct connection *newcomer)
{
    if (is_crowded(server))
        read_watch(server); /* who is known to have left comes first */
    newcomer->over = is_crowded(server);
    if (newcomer->over)
        newcomer->over = !evict_connection(server, false);
    if (newcomer->over && (unsigned)server->site.n_connections > server->most_connections + CROWD) {
        newcomer->over = false; /* it is not the one */
        evict_connection(server, true);
        newcomer->over = true;
    }
}

/* What has come is refused (on_request), and nothing else waited for: of a connection that has no
 * phase nobody would notice that it is silent. */
static void connection_refused(const union MHD_ConnectionInfo *info)
{
    shutdown(info->connect_fd, SHUT_RD);
}

static const struct origin *origin_of(struct MHD_Connection *mhd)
{
    return (const void *)MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr;
}

static void connection_opened(struct server *server, struct MHD_Connection *mhd, void **context)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct connection *connection = arena_buffer(sizeof *connection);
    if (!connection) {
        connection_refused(info);
        return;
    }
    connection->fd = info->connect_fd;
    connection->origin = origin_of(mhd);
    connection->receiver =
        (struct receiver){.proxy.expected = connection->origin->proxied, .on_fault = on_fault, .user = server};
    if (!receive_watch(connection->fd, &connection->receiver)) {
        arena_buffer_free(connection);
        connection_refused(info);
        return;
    }
    phases_add(&server->phases, connection, uv_now(server->uv));
    connection->n_pumps = server->n_pumps;
    struct epoll_event event = {.events = EPOLLRDHUP | EPOLLET, .data.ptr = connection};
    if (epoll_ctl(server->watch, EPOLL_CTL_ADD, connection->fd, &event) != 0)
        log_warn("a connection's end will not be noticed", "why", strerror(errno), NULL);
    server->site.n_connections++;
    server->site.n_accepted++;
    make_room(server, connection);
    if (!uv_is_active((uv_handle_t *)&server->tick_timer))
        uv_timer_start(&server->tick_timer, on_tick, server->tick_ms, server->tick_ms);
    *context = connection;
}

static void connection_closed(struct server *server, struct connection *connection, void **context)
{
    epoll_ctl(server->watch, EPOLL_CTL_DEL, connection->fd, NULL);
    phases_remove(&server->phases, connection);
    receive_forget(connection->fd);
    arena_buffer_free(connection);
    *context = NULL;
    server->site.n_connections--;
}

static void on_connection(void *user, struct MHD_Connection *mhd, void **context,
                          enum MHD_ConnectionNotificationCode what)
{
    struct server *server = user;
    server->progress++;
    if (what == MHD_CONNECTION_NOTIFY_STARTED)
        connection_opened(server, mhd, context);
    else if (*context)
        connection_closed(server, *context, context);
}

/* An empty SETTINGS frame, and GOAWAY with HTTP_1_1_REQUIRED and the reason (RFC 9113, 6.5, 6.8 and 7): a gRPC client
 * tells its user. */
static struct bytes http_2_goodbye(void)
{
    static const char frames[] = "\0\0\0\4\0\0\0\0\0"
                                 "\0\0\x36\7\0\0\0\0\0"
                                 "\0\0\0\0\0\0\0\xd"
                                 "this server speaks HTTP/1.1, no HTTP/2 or gRPC";
    return bytes_of(frames, sizeof frames - 1);
}

static const struct sockaddr *client_of(const struct connection *connection)
{
    const struct proxy *proxy = &connection->receiver.proxy;
    return proxy->from.family == AF_UNSPEC ? &connection->origin->from.any : &proxy->from.any;
}

/* microhttpd knows nothing of this request. What is behind it is thrown away, as unread bytes would
 * turn our end into a reset. */
static void refuse_malformed(struct server *server, const struct connection *connection)
{
    if (connection->receiver.proxy.state == PROXY_WRONG) {
        log_info("a proxy's connection begins with no PROXY header, and is closed", NULL);
        return;
    }
    struct exchange *exchange = exchange_new(&server->site, "");
    if (!exchange)
        return;
    exchange->uid = connection->origin->uid;
    access_begin(exchange, client_of(connection));
    exchange_refuse(exchange, ERR_INVALID, "malformed request: %s", connection->receiver.stream.fault);
    struct bytes reply = connection->receiver.stream.http_2 ? http_2_goodbye() : exchange_written(exchange);
    recv(connection->fd, NULL, DISCARD_BYTES, MSG_TRUNC | MSG_DONTWAIT);
    send(connection->fd, reply.at, bytes_size(reply), MSG_NOSIGNAL | MSG_DONTWAIT);
    access_end(exchange, true);
    exchange_free(exchange);
}

/* After a pump: those whose clients sent their last byte long enough ago. */
static void settle(struct server *server)
{
    struct connection *after;
    for (struct connection *at = server->phases.lists[PHASE_LEFT].first; at; at = after) {
        after = at->after;
        bool malformed = at->receiver.stream.fault != NULL;
        if (!malformed && has_bytes(at))
            continue; /* microhttpd comes to them, or the deadline does */
        if (server->n_pumps - at->n_pumps < SETTLE) {
            pump_soon(server);
            continue;
        }
        if (malformed)
            refuse_malformed(server, at);
        cut(server, at);
    }
}

/* Requests: what microhttpd calls. */

static void *on_target(void *user, const char *target, struct MHD_Connection *mhd)
{
    struct server *server = user;
    server->progress++;
    loop_piece(server->loop);
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct connection *connection = info ? info->socket_context : NULL;
    struct exchange *exchange = connection ? exchange_new(&server->site, target ? target : "") : NULL;
    if (!exchange)
        return NULL;
    exchange->mhd = mhd;
    exchange->readable_ns = loop_pace(server->loop)->since_ns;
    exchange->connection = connection;
    connection->exchange = exchange;
    enter(server, connection, PHASE_HEADER);
    return exchange;
}

static enum MHD_Result send_reply(struct server *server, struct exchange *exchange)
{
    enter(server, exchange->connection, PHASE_REPLY);
    return exchange_send(exchange) ? MHD_YES : MHD_NO;
}

static enum MHD_Result on_head(struct server *server, struct exchange *exchange, const char *method,
                               const char *version)
{
    struct connection *connection = exchange->connection;
    enter(server, connection, PHASE_BODY);
    if (connection->over)
        make_room(server, connection);
    exchange->crowded = connection->over;
    exchange->ops = server->doors[connection->origin->door].listener.place.ops;
    if (!connection->receiver.stream.n_heads && !server->unjudged) {
        server->unjudged = true;
        log_warn("libmicrohttpd reads past us: bytes of requests are not judged", NULL);
    }
    exchange->uid = connection->origin->uid;
    exchange_read_headers(exchange, version);
    access_begin(exchange, client_of(connection));
    exchange_judge(exchange, method);
    return exchange->early ? send_reply(server, exchange) : MHD_YES;
}

/* The final call: the request is whole, or its answer is there. */
static enum MHD_Result on_whole(struct server *server, struct exchange *exchange)
{
    struct connection *connection = exchange->connection;
    loop_piece(server->loop);
    exchange_handle(exchange);
    loop_piece(server->loop);
    if (exchange->state != EXCHANGE_WAITING)
        return send_reply(server, exchange);
    enter(server, connection, PHASE_WORK);
    MHD_suspend_connection(exchange->mhd);
    if (connection->gone || connection->phase == PHASE_CUT)
        cut(server, connection);
    else if (server->site.abandoning)
        exchange_cancel(exchange);
    return MHD_YES;
}

static enum MHD_Result on_request(void *user, struct MHD_Connection *mhd, const char *url, const char *method,
                                  const char *version, const char *data, size_t *n_bytes, void **context)
{
    struct server *server = user;
    struct exchange *exchange = *context;
    (void)url;
    server->progress++;
    if (!exchange) /* on_target found no memory */
        return exchange_send_last_word(&server->site, mhd) ? MHD_YES : MHD_NO;
    if (exchange->state == EXCHANGE_HEAD)
        return on_head(server, exchange, method, version);
    if (*n_bytes == 0)
        return on_whole(server, exchange);
    moved(server, exchange->connection);
    bool taken = exchange_take(exchange, data, *n_bytes);
    *n_bytes = 0;
    return taken ? MHD_YES : MHD_NO;
}

static void on_completed(void *user, struct MHD_Connection *mhd, void **context, enum MHD_RequestTerminationCode why)
{
    struct server *server = user;
    struct exchange *exchange = *context;
    (void)mhd;
    server->progress++;
    loop_piece(server->loop);
    if (!exchange)
        return;
    exchange_end(exchange, loop_pace(server->loop)->piece_ns);
    access_end(exchange, why == MHD_REQUEST_TERMINATED_COMPLETED_OK);
    struct connection *connection = exchange->connection;
    connection->exchange = NULL;
    enter(server, connection, PHASE_IDLE);
    exchange_complete(exchange);
    if (server->site.n_leaving)
        loop_wake(server->loop);
    *context = NULL;
}

/* The pump. */

static void on_daemon_timer(uv_timer_t *timer)
{
    loop_piece(((struct server *)timer->data)->loop);
    pump(timer->data);
}

static void on_daemon_poll(uv_poll_t *poll, int status, int events)
{
    struct server *server = poll->data;
    (void)status;
    (void)events;
    loop_piece(server->loop);
    server->polled = true;
    pump(server);
    server->polled = false;
}

/* In this turn, before the loop may sleep. */
static void pump_soon(struct server *server)
{
    server->dirty = true;
    loop_wake(server->loop);
}

static void on_turn(void *user)
{
    struct server *server = user;
    if (server->dirty)
        pump(server);
    const bool freed = exchange_free_part(&server->site), written = slices_go_on(&server->site);
    if (!freed || !written)
        loop_wake(server->loop);
    if (server->site.draining)
        drain_check(server);
}

/* While a stream waits for more nothing is expected of its client, who is watched as one that waits for an answer is;
 * each piece has the time of a reply. */
static void on_held(struct exchange *exchange, bool held)
{
    struct server *server = (struct server *)(void *)exchange->site;
    struct connection *connection = exchange->connection;
    if (connection->phase != PHASE_CUT)
        enter(server, connection, held ? PHASE_WORK : PHASE_REPLY);
    if (held && connection->gone)
        cut(server, connection);
}

/* What has no room is left in the socket: our recv() has nothing, so that microhttpd, which epoll tells of edges alone,
 * rests; its client is watched as one that waits for an answer is. Later the connection is suspended and resumed, after
 * which microhttpd looks at it once. Each step gives the body its time anew. */
static void on_paced(struct exchange *exchange, enum exchange_pace pace)
{
    struct server *server = (struct server *)(void *)exchange->site;
    struct connection *connection = exchange->connection;
    const bool held = connection->receiver.held, full = pace == PACE_FULL;
    if (connection->phase == PHASE_CUT)
        return;
    connection->receiver.held = full;
    if (pace == PACE_WHOLE)
        return;
    enter(server, connection, full ? PHASE_WORK : PHASE_BODY);
    if (full && connection->gone)
        cut(server, connection);
    if (full || !held)
        return;
    MHD_suspend_connection(exchange->mhd);
    MHD_resume_connection(exchange->mhd);
    pump_soon(server);
}

static void on_resumed(struct site *site)
{
    pump_soon((struct server *)(void *)site); /* its first member */
}

/* Nothing moves: look again in a while. If it is microhttpd's descriptor that wakes us in vain, that
 * is not listened to meanwhile; other sockets' events may come. */
static void back_off(struct server *server)
{
    if (server->polled && !server->paused) {
        uv_poll_stop(&server->daemon_poll);
        server->paused = true;
    }
    uv_timer_start(&server->daemon_timer, on_daemon_timer, server->stuck > STUCK_LONG ? 20 : 1, 0);
}

/* What wakes the pump next. */
static void pump_later(struct server *server, bool busy, bool timed, uint64_t timeout_ms)
{
    if (server->stuck > STUCK && (busy || server->polled)) {
        back_off(server);
        return;
    }
    if (server->paused)
        uv_poll_start(&server->daemon_poll, UV_READABLE, on_daemon_poll);
    server->paused = false;
    if (busy)
        pump_soon(server);
    if (timed && !busy)
        uv_timer_start(&server->daemon_timer, on_daemon_timer, timeout_ms, 0);
    else
        uv_timer_stop(&server->daemon_timer);
}

/* Pumps in vain. Progress halves the count, so that good requests beside a stuck connection do
 * not buy it a new spin each. */
static void count_stuck(struct server *server)
{
    if (server->progress != server->seen_progress)
        server->stuck /= 2;
    else if (server->stuck <= STUCK_LONG)
        server->stuck++;
    server->seen_progress = server->progress;
}

static void pump(struct server *server)
{
    if (server->pumping || !server->daemon)
        return;
    server->pumping = true;
    server->dirty = false;
    bool timed = true;
    MHD_UNSIGNED_LONG_LONG timeout_ms = 0;
    for (int round = 0; round < PUMP_ROUNDS && timed && timeout_ms == 0; round++) {
        MHD_run(server->daemon);
        timed = MHD_get_timeout(server->daemon, &timeout_ms) == MHD_YES;
    }
    server->pumping = false;
    server->n_pumps++;
    settle(server);
    count_stuck(server);
    pump_later(server, timed && timeout_ms == 0, timed, timeout_ms);
    if (server->site.draining)
        loop_wake(server->loop); /* to look whether that was the last one */
}

/* Doors. */

enum accepted { ACCEPTED, NOBODY_WAITS, NO_ROOM };

static int n_held(const struct server *server)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);
    return info ? (int)info->num_connections : INT_MAX;
}

/* The end of a pair behind which TLS is taken off; -1: there is none. */
static int behind_tls(struct server *server, int fd, bool proxied)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0) {
        close(fd);
        return -1;
    }
    if (!tls_take(server->tls, fd, pair[1], proxied)) {
        close(pair[0]);
        return -1;
    }
    server->n_relayed++;
    return pair[0];
}

static void on_tls_poll(uv_poll_t *poll, int status, int events)
{
    struct server *server = poll->data;
    (void)status, (void)events;
    server->n_relayed -= tls_ended(server->tls, &server->site.n_handshakes_failed);
    if (server->site.draining)
        loop_wake(server->loop);
}

/* As the kernel knows it (SO_PEERCRED), when it connected. */
static int32_t uid_of(int fd, const struct sockaddr *from)
{
    struct ucred who;
    socklen_t n_bytes = sizeof who;
    if (from->sa_family != AF_UNIX || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n_bytes) != 0)
        return -1;
    return (int32_t)who.uid;
}

/* Takes in one of those whom the kernel has accepted. */
static enum accepted take_in(struct server *server, struct door *door, unsigned most)
{
    struct origin origin = {.door = (uint16_t)(door - server->doors), .uid = -1};
    socklen_t n_bytes = sizeof origin.from;
    if ((unsigned)n_held(server) >= most)
        return NO_ROOM;
    int fd = accept4(door->listener.fd, &origin.from.any, &n_bytes, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return errno == EAGAIN ? NOBODY_WAITS : errno == ECONNABORTED || errno == EINTR ? ACCEPTED : NO_ROOM;
    origin.uid = uid_of(fd, &origin.from.any);
    origin.proxied = door->listener.place.proxy && peer_is_trusted(&server->site.trusted, &origin.from.any);
    if (door->tls && (fd = behind_tls(server, fd, origin.proxied)) < 0)
        return NO_ROOM;
    MHD_add_connection(server->daemon, fd, &origin.from.any, sizeof origin); /* or closes it */
    return ACCEPTED;
}

static void on_door_poll(uv_poll_t *poll, int status, int events);

static void watch_doors(struct server *server)
{
    for (int i = 0; i < server->n_doors; i++)
        uv_poll_start(&server->doors[i].poll, UV_READABLE, on_door_poll);
}

static void ignore_doors(struct server *server)
{
    for (int i = 0; i < server->n_doors; i++)
        uv_poll_stop(&server->doors[i].poll);
}

static void on_pause_over(uv_timer_t *timer)
{
    watch_doors(timer->data);
}

/* Descriptors or memory are out, or microhttpd is full: whoever knocks waits a moment in the kernel's queue. */
static void on_door_poll(uv_poll_t *poll, int status, int events)
{
    struct server *server = poll->data;
    struct door *door = (struct door *)(void *)((char *)poll - offsetof(struct door, poll));
    enum accepted accepted = ACCEPTED;
    (void)status, (void)events;
    loop_piece(server->loop);
    if (server->site.n_connections > 0)
        pump(server); /* who has left goes before others come */
    for (int i = 0; i < ACCEPTS && accepted == ACCEPTED; i++)
        accepted = take_in(server, door, server->most_connections + SPARE_PLACES);
    if (accepted == NO_ROOM) {
        ignore_doors(server);
        uv_timer_start(&server->door_timer, on_pause_over, DOOR_PAUSE_MS, 0);
    }
    pump(server);
}

/* Birth. */

static void on_panic(void *user, const char *file, unsigned line, const char *why)
{
    char where[200];
    (void)user;
    snprintf(where, sizeof where, "%s:%u", file, line);
    log_error("libmicrohttpd gave up", "where", where, "why", why ? why : "", NULL);
    abort();
}

static void on_message(void *user, const char *format, va_list args)
{
    char text[256];
    (void)user;
    vsnprintf(text, sizeof text, format, args);
    text[strcspn(text, "\r\n")] = '\0';
    log_debug("libmicrohttpd", "says", text, NULL);
}

/* Descriptors are what runs out first: ask for all that we may have, keep some for models. */
static unsigned connection_limit(int wanted, int each)
{
    struct rlimit fds;
    if (getrlimit(RLIMIT_NOFILE, &fds) != 0)
        return (unsigned)wanted;
    fds.rlim_cur = fds.rlim_max;
    setrlimit(RLIMIT_NOFILE, &fds);
    getrlimit(RLIMIT_NOFILE, &fds);
    const rlim_t kept = RESERVED_FDS + SPARE_PLACES;
    if (fds.rlim_cur >= (rlim_t)wanted * (rlim_t)each + kept)
        return (unsigned)wanted;
    rlim_t left = (fds.rlim_cur > 2 * kept ? fds.rlim_cur - kept : RESERVED_FDS) / (rlim_t)each;
    char allowed[24];
    snprintf(allowed, sizeof allowed, "%lu", (unsigned long)left);
    log_warn("fewer connections than asked for, as descriptors are limited", "#connections", allowed, NULL);
    return (unsigned)left;
}

static bool start_daemon(struct server *server, struct percept_err *err)
{
    MHD_set_panic_func(on_panic, NULL);
    server->most_connections =
        connection_limit(server->site.settings->max_connections, server->tls ? TLS_DESCRIPTORS : 1);
    server->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_ALLOW_UPGRADE | MHD_USE_ERROR_LOG | MHD_USE_NO_LISTEN_SOCKET, 0,
        NULL, NULL, on_request, server, MHD_OPTION_EXTERNAL_LOGGER, on_message, NULL, MHD_OPTION_URI_LOG_CALLBACK,
        on_target, server, MHD_OPTION_NOTIFY_COMPLETED, on_completed, server, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, server, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_POOL, MHD_OPTION_CONNECTION_LIMIT,
        server->most_connections + SPARE_PLACES, MHD_OPTION_CONNECTION_TIMEOUT, 0u, MHD_OPTION_STRICT_FOR_CLIENT,
        0 /* a missing Host is ours: 1 answers it twice */, MHD_OPTION_END);
    return server->daemon ||
           err_set(err, ERR_SYSTEM, "libmicrohttpd did not start: memory or file descriptors are short");
}

static void add_handle(struct server *server, void *handle)
{
    server->handles[server->n_handles++] = handle;
    server->n_open_handles++;
    ((uv_handle_t *)handle)->data = server;
}

static bool add_poll(struct server *server, uv_poll_t *poll, int fd, struct percept_err *err)
{
    int status = uv_poll_init(server->uv, poll, fd);
    if (status != 0)
        return err_set(err, ERR_SYSTEM, "the loop cannot watch a descriptor: %s", uv_strerror(status));
    add_handle(server, poll);
    return true;
}

static bool add_handles(struct server *server, struct percept_err *err)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (!add_poll(server, &server->daemon_poll, info->epoll_fd, err) ||
        !add_poll(server, &server->watch_poll, server->watch, err))
        return false;
    for (int i = 0; i < server->n_doors; i++)
        if (!add_poll(server, &server->doors[i].poll, server->doors[i].listener.fd, err))
            return false;
    if (server->tls && !add_poll(server, &server->tls_poll, tls_ended_fd(server->tls), err))
        return false;
    uv_timer_init(server->uv, &server->daemon_timer);
    uv_timer_init(server->uv, &server->tick_timer);
    uv_timer_init(server->uv, &server->drain_timer);
    uv_timer_init(server->uv, &server->door_timer);
    add_handle(server, &server->daemon_timer);
    add_handle(server, &server->tick_timer);
    add_handle(server, &server->drain_timer);
    add_handle(server, &server->door_timer);
    uv_poll_start(&server->daemon_poll, UV_READABLE, on_daemon_poll);
    uv_poll_start(&server->watch_poll, UV_READABLE, on_watch);
    if (server->tls)
        uv_poll_start(&server->tls_poll, UV_READABLE, on_tls_poll);
    watch_doors(server);
    loop_on_turn(server->loop, on_turn, server);
    return true;
}

static void set_limits(struct server *server)
{
    const struct settings *settings = server->site.settings;
    server->limits_ms[PHASE_HEADER] = (uint64_t)settings->header_timeout_ms;
    server->limits_ms[PHASE_BODY] = (uint64_t)settings->body_timeout_ms;
    server->limits_ms[PHASE_REPLY] = (uint64_t)settings->body_timeout_ms;
    server->limits_ms[PHASE_IDLE] = (uint64_t)settings->idle_timeout_ms;
    server->limits_ms[PHASE_LEFT] = (uint64_t)settings->body_timeout_ms;
    server->tick_ms = TICK_MS;
    for (int phase = 0; phase < N_PHASES; phase++) {
        uint64_t limit = server->limits_ms[phase];
        if (limit && limit / 4 < server->tick_ms)
            server->tick_ms = limit / 4 + 1;
    }
}

static bool speaks_tls(const struct server *server, const struct listener *listener)
{
    return place_speaks_tls(&listener->place, !listener->port, server->site.settings->tls_cert);
}

/* Where no door speaks it, wrong files are wrong all the same. */
static bool open_tls(struct server *server, struct percept_err *err)
{
    bool spoken = false;
    for (int i = 0; i < server->n_doors; i++)
        spoken |= server->doors[i].tls;
    if (!spoken)
        return certificate_check(server->site.settings, err);
    server->tls = tls_new(server->site.settings, err);
    return server->tls;
}

static bool open_doors(struct server *server, const char *const *places, int n_places, struct percept_err *err)
{
    server->doors = arena_buffer((size_t)n_places * sizeof *server->doors);
    server->handles = arena_buffer((size_t)(n_places + N_HANDLES) * sizeof(uv_handle_t *));
    if (!server->doors || !server->handles)
        return err_memory(err, "the server's doors", (size_t)n_places * sizeof *server->doors);
    for (int i = 0; i < n_places; i++) {
        if (!listen_open(places[i], &server->doors[i].listener, err))
            return false;
        server->n_doors++;
        if (server->doors[i].listener.place.proxy && !server->site.settings->n_trusted_proxies)
            return err_set(err, ERR_CONFIG,
                           "cannot listen on '%s': proxy without --trusted-proxy: nobody would be believed", places[i]);
        server->doors[i].tls = speaks_tls(server, &server->doors[i].listener);
        if (!server->site.port)
            server->site.port = server->doors[i].listener.port;
    }
    return true;
}

static bool set_up(struct server *server, const char *const *places, int n_places, struct percept_err *err)
{
    if (!site_open(&server->site, err) || !open_doors(server, places, n_places, err) || !open_tls(server, err))
        return false;
    server->watch = epoll_create1(EPOLL_CLOEXEC);
    if (server->watch < 0)
        return err_set(err, ERR_SYSTEM, "epoll_create1: %s", strerror(errno));
    return start_daemon(server, err) && add_handles(server, err);
}

struct server *server_new(struct loop *loop, struct catalog *catalog, struct repository *repository,
                          const struct settings *settings, const char *const *places, int n_places,
                          struct percept_err *err)
{
    struct server *server = arena_buffer(sizeof *server);
    struct timespec now;
    if (!server) {
        err_memory(err, "the server", sizeof *server);
        return NULL;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    server->site = (struct site){.catalog = catalog,
                                 .repository = repository,
                                 .settings = settings,
                                 .started_ms = now.tv_sec * 1000 + now.tv_nsec / 1000000,
                                 .held = on_held,
                                 .paced = on_paced,
                                 .upgraded = on_upgraded,
                                 .resumed = on_resumed};
    ids_start(&server->site.ids);
    server->site.slice_ns = SLICE_NS;
    server->site.pace = loop_pace(loop);
    server->loop = loop;
    server->uv = loop_uv(loop);
    server->watch = -1;
    set_limits(server);
    if (!exchange_make_last_word(&server->site, err) || !set_up(server, places, n_places, err)) {
        server_free(server);
        return NULL;
    }
    pump_soon(server);
    return server;
}

void server_read_certificate(struct server *server)
{
    if (server->tls)
        tls_reload(server->tls);
}

bool server_speaks_tls(const struct server *server, int place)
{
    return server->doors[place].tls;
}

bool server_read_keys(struct server *server, struct percept_err *err)
{
    struct keys keys;
    if (!keys_read(server->site.settings->api_key_file, &keys, err))
        return false;
    keys_free(&server->site.keys);
    server->site.keys = keys;
    return true;
}

int server_port(const struct server *server, int place)
{
    return server->doors[place].listener.port;
}

int server_connections(const struct server *server)
{
    return server->site.n_connections;
}

/* Death. */

static void destroy(struct server *server)
{
    if (server->watch >= 0)
        close(server->watch);
    tls_free(server->tls);
    exchange_free_spare(&server->site);
    exchange_free_last_word(&server->site);
    receive_end();
    site_close(&server->site);
    arena_buffer_free(server->handles);
    arena_buffer_free(server->doors);
    arena_buffer_free(server);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct server *server = handle->data;
    if (--server->n_open_handles > 0)
        return;
    server->telling = true;
    if (server->drained)
        server->drained(server->drained_user); /* may call server_free */
    server->telling = false;
    if (server->freed)
        destroy(server);
}

/* Nothing is suspended any more: microhttpd may end. Handles first, as they watch its descriptor.
 */
static void close_all(struct server *server)
{
    server->pumping = true;
    loop_off_turn(server->loop, server);
    for (int i = 0; i < server->n_handles; i++)
        uv_close(server->handles[i], on_handle_closed);
    server->n_handles = 0;
    if (server->daemon)
        MHD_stop_daemon(server->daemon);
    server->daemon = NULL;
    for (int i = 0; i < server->n_doors; i++)
        listen_close(&server->doors[i].listener);
}

static void on_catalog_drained(void *user)
{
    struct server *server = user;
    close_all(server);
}

/* While the doors close nobody has to make way: who has no place waits in the queue. True when nobody is left. */
static bool take_queue(struct server *server, struct door *door)
{
    enum accepted accepted;
    while ((accepted = take_in(server, door, server->most_connections)) == ACCEPTED)
        door->quiet_ms = uv_now(server->uv);
    return accepted == NOBODY_WAITS;
}

/* How many are open. */
static int n_open(const struct server *server)
{
    int n = 0;
    for (int i = 0; i < server->n_doors; i++)
        n += server->doors[i].listener.fd >= 0;
    return n;
}

/* libuv lets go of a descriptor before it is closed: its number may soon be another's. */
static void shut(struct server *server, struct door *door)
{
    int i = 0;
    while (server->handles[i] != (uv_handle_t *)&door->poll)
        i++;
    server->handles[i] = server->handles[--server->n_handles];
    uv_close((uv_handle_t *)&door->poll, on_handle_closed);
    listen_close(&door->listener);
}

/* A handshake that had begun when the bolt fell can end, within DOOR_QUIET_MS. A door that somebody
 * passed stays theirs: what comes later waits for whoever serves there next. */
static void shut_when_quiet(struct server *server, struct door *door)
{
    uint64_t now = uv_now(server->uv);
    if (!take_queue(server, door))
        door->quiet_ms = now;
    else if (door->listener.passed || now - door->quiet_ms >= DOOR_QUIET_MS)
        shut(server, door);
}

static void on_doors_timer(uv_timer_t *timer)
{
    struct server *server = timer->data;
    for (int i = 0; i < server->n_doors; i++)
        if (server->doors[i].listener.fd >= 0)
            shut_when_quiet(server, &server->doors[i]);
    if (!n_open(server))
        uv_timer_stop(timer);
    pump(server);
}

static void close_doors(struct server *server)
{
    server->doors_closing = true;
    ignore_doors(server);
    pump(server);
    for (int i = 0; i < server->n_doors; i++) {
        server->doors[i].quiet_ms = uv_now(server->uv);
        listen_bolt(&server->doors[i].listener);
    }
    catalog_end_queue_delay(server->site.catalog);
    uv_timer_start(&server->door_timer, on_doors_timer, DOOR_LOOK_MS, DOOR_LOOK_MS);
    on_doors_timer(&server->door_timer);
}

static void shut_doors(struct server *server)
{
    uv_timer_stop(&server->door_timer);
    for (int i = 0; i < server->n_doors; i++)
        if (server->doors[i].listener.fd >= 0)
            shut(server, &server->doors[i]);
}

/* Requests that run are told to stop and answered 503; everything else is cut. */
static void abandon(struct server *server)
{
    shut_doors(server);
    server->site.abandoning = true;
    for (int phase = 0; phase < PHASE_CUT; phase++)
        while (phase != PHASE_WORK && server->phases.lists[phase].first)
            cut(server, server->phases.lists[phase].first);
    struct connection *after;
    for (struct connection *at = server->phases.lists[PHASE_WORK].first; at; at = after) {
        after = at->after;
        if (at->receiver.held)
            cut(server, at); /* the rest of its body would be waited for */
        else
            exchange_cancel(at->exchange);
    }
    server->limits_ms[PHASE_REPLY] = TICK_MS;
    if (server->tls)
        tls_stop_waiting(server->tls);
    loop_wake(server->loop); /* where nobody was connected, nothing else would */
}

static void on_abandon(uv_timer_t *timer)
{
    abandon(timer->data);
}

static void on_doors_due(uv_timer_t *timer)
{
    struct server *server = timer->data;
    close_doors(server);
    uv_timer_start(timer, on_abandon, (uint64_t)server->site.settings->drain_timeout_ms, 0);
}

/* For how long its client has sent nothing. The kernel counts each byte, we know of lines and
 * pieces. */
static uint64_t quiet_ms(const struct server *server, const struct connection *connection)
{
    struct tcp_info info;
    socklen_t n_bytes = sizeof info;
    uint64_t ms = uv_now(server->uv) - connection->moved_ms;
    if (getsockopt(connection->fd, IPPROTO_TCP, TCP_INFO, &info, &n_bytes) == 0 && info.tcpi_last_data_recv < ms)
        ms = info.tcpi_last_data_recv;
    return ms;
}

/* Bytes that microhttpd does not take, pump after pump, are no progress. */
static bool stalled(const struct server *server, const struct connection *connection)
{
    return !has_bytes(connection) || server->n_pumps - connection->n_pumps >= STUCK;
}

static void cut_quiet(struct server *server, enum phase phase)
{
    struct connection *after;
    for (struct connection *at = server->phases.lists[phase].first; at; at = after) {
        after = at->after;
        uint64_t ms = quiet_ms(server, at);
        if (at->exchange && ms >= STALLED_MS && stalled(server, at))
            cut(server, at);
        else if (!at->exchange && ms >= (phase == PHASE_IDLE ? PAUSE_MS : SILENT_MS))
            cut_idle(server, at);
    }
}

/* Hangs up on those that are between requests, unless they were answered just now: a busy client's
 * next request would cross our goodbye and be lost. On those that came and have said nothing. And
 * on those that stopped in the middle of a request. */
static void cut_silent(struct server *server)
{
    cut_quiet(server, PHASE_IDLE);
    cut_quiet(server, PHASE_HEADER);
    cut_quiet(server, PHASE_BODY);
    cut_quiet(server, PHASE_LEFT);
    for (struct connection *at = server->phases.lists[PHASE_SOCKET].first; at; at = at->after)
        if (at->socket)
            websocket_leave(at->socket);
}

/* Each turn while draining: silent connections end, and with the last one everything. */
static void drain_check(struct server *server)
{
    if (!server->doors_closing || server->finishing || !server->daemon)
        return;
    cut_silent(server);
    if (server->site.n_connections > 0 || server->n_relayed > 0 || n_open(server))
        return;
    server->finishing = true; /* what the drain timer still does is done to nobody */
    catalog_drain(server->site.catalog, on_catalog_drained, server);
}

void server_drain(struct server *server, void (*done)(void *user), void *user)
{
    if (server->site.draining)
        return;
    server->site.draining = true;
    catalog_leave(server->site.catalog);
    server->drained = done;
    server->drained_user = user;
    uv_timer_start(&server->drain_timer, on_doors_due, (uint64_t)server->site.settings->drain_delay_ms, 0);
}

void server_stop(struct server *server)
{
    if (!server->site.draining || server->finishing || !server->daemon)
        return;
    if (!server->doors_closing)
        close_doors(server);
    uv_timer_stop(&server->drain_timer);
    abandon(server);
}

void server_free(struct server *server)
{
    if (!server)
        return;
    server->freed = true;
    close_all(server);
    if (server->n_open_handles == 0 && !server->telling)
        destroy(server);
}
