/*
 * tls.c - the threads between TLS clients and microhttpd (tls.h).
 *
 *     client <-- TLS --> fd  [ greeter, then mover ]  pair <-- bytes --> microhttpd's end, on the loop
 *
 * microhttpd could speak TLS itself, and would then read past receive.c, which judges what it reads; and a handshake
 * costs about a millisecond, which is not the loop's to spend. A pair of sockets keeps everything else as it is:
 * limits, deadlines, judging, the watch for lost clients and the stop see a connection like any other. It costs two
 * descriptors and some system calls for each connection.
 *
 * Two threads: the greeter has those whose handshake is not over, and runs below others in priority, so that a crowd at
 * the door does not slow down those who are in; the mover has all others. A connection belongs to one of them at a
 * time, and is handed over through a pipe, whose writes are whole: no lock is needed. Descriptors are watched
 * edge-triggered, and each event has everything tried that can move, so nothing need be kept about who waits for what.
 *
 * A client that speaks no TLS is told so in HTTP, if HTTP it is; one that offers nothing newer than TLS 1.1, or
 * nonsense, gets GnuTLS' alert. Renegotiation is refused, and a second try ends the connection.
 *
 * GnuTLS would read with recv(), which is ours (receive.c) and the loop's alone: so it reads by read() here.
 */
#include "http/tls.h"

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/log.h"
#include "http/certificate.h"
#include "http/proxy.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define RECORD_BYTES 16384 /* the most that one holds: RFC 8446, 5.1 */
#define ROUNDS 8           /* records in one direction, before others have their turn */
#define EVENTS 64
#define TICK_MS 250
#define FAILED (UINT64_C(1) << 32) /* in the count of those that ended */
#define GREETER_NICE 5
#define ORDERS_BYTES (1 << 20) /* of the pipe: 65,536 connections */
#define DISCARD_BYTES (1 << 20)
#define HANDSHAKE_BYTE 0x16 /* a TLS connection begins with it: RFC 8446, 5.1 */
#define PLAIN_REPLY "{\"error\":\"this port speaks TLS: ask https:// instead of http://\"}\n"
#define PAIR_TAG 1 /* in an event: it is about the pair, not the client */

struct relay {
    struct relay *before, *after; /* in its thread */
    struct relay *next_again;     /* of those that go on in the next round */
    struct relay *next_over;      /* of those that are over in this one */
    int fd, pair;
    struct proxy proxy;
    gnutls_session_t session;        /* NULL: nothing has come yet */
    struct certificate *certificate; /* until the handshake is over */
    uint8_t *rest;                   /* decrypted, and the pair had no room for it; or NULL */
    size_t n_rest, n_written;        /* of it */
    bool blocked;                    /* what GnuTLS wanted last the socket could not do */
    bool sending;                    /* GnuTLS has a record that the client did not take */
    bool said_all;                   /* the client, */
    bool heard_all;                  /* the server */
    bool shaken;                     /* the handshake is over, and the mover waits for it */
    bool over;                       /* of this thread */
    bool again;
    int n_renegotiations;
    int64_t deadline_ms; /* for what is left, where the server is gone; 0: it is there */
};

struct order {
    enum { TAKE, RELOAD, HASTEN, QUIT } what;
    struct relay *relay;
};

struct mover {
    struct tls *tls;
    pthread_t thread;
    bool started;
    int epoll, orders[2]; /* a pipe */
    int n_waiting;        /* with a deadline */
    int64_t patience_ms;
    struct relay *first, *again, *over;
    uint8_t scratch[RECORD_BYTES];
};

struct tls {
    const struct settings *settings;
    struct certificate *certificate; /* for those who come; the greeter's, once it runs */
    struct mover greeter, mover;
    int ended;
};

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* False where the pipe is full, and nobody may wait. */
static bool send_order(const struct mover *to, const struct order *order, bool wait)
{
    while (write(to->orders[1], order, sizeof *order) != (ssize_t)sizeof *order) {
        struct pollfd room = {.fd = to->orders[1], .events = POLLOUT};
        if (errno != EINTR && (errno != EAGAIN || !wait))
            return false;
        poll(&room, 1, -1);
    }
    return true;
}

/* --- one connection ----------------------------------------------------------------------------------------------- */

static void link_relay(struct mover *mover, struct relay *relay)
{
    relay->before = NULL;
    relay->after = mover->first;
    if (relay->after)
        relay->after->before = relay;
    mover->first = relay;
}

static void unlink_relay(struct mover *mover, struct relay *relay)
{
    *(relay->before ? &relay->before->after : &mover->first) = relay->after;
    if (relay->after)
        relay->after->before = relay->before;
    mover->n_waiting -= relay->deadline_ms != 0;
}

static bool is_greeter(const struct mover *mover)
{
    return mover == &mover->tls->greeter;
}

/* It stays where it is until no event of this round can be about it. */
static void let_go(struct mover *mover, struct relay *relay)
{
    unlink_relay(mover, relay);
    relay->over = true;
    relay->next_over = mover->over;
    mover->over = relay;
}

static void end_relay(struct mover *mover, struct relay *relay)
{
    const uint64_t one = 1 + (is_greeter(mover) ? FAILED : 0);
    let_go(mover, relay);
    if (relay->certificate)
        certificate_done(relay->certificate, relay->session);
    if (relay->session)
        gnutls_deinit(relay->session);
    close(relay->fd);
    close(relay->pair);
    arena_buffer_free(relay->rest);
    if (write(mover->tls->ended, &one, sizeof one) != (ssize_t)sizeof one)
        log_debug("the end of a TLS connection was not told", "why", strerror(errno), NULL);
}

/* At the end of a round: it is the mover's from now on, and this thread looks at it no more. */
static void hand_over(struct mover *mover, struct relay *relay)
{
    relay->over = relay->shaken = relay->again = false;
    send_order(&mover->tls->mover, &(struct order){TAKE, relay}, true);
}

static void release_over(struct mover *mover)
{
    struct relay *relay;
    for (struct relay **at = &mover->again; *at;)
        if ((*at)->over)
            *at = (*at)->next_again;
        else
            at = &(*at)->next_again;
    while ((relay = mover->over)) {
        mover->over = relay->next_over;
        if (relay->shaken)
            hand_over(mover, relay);
        else
            arena_buffer_free(relay);
    }
}

static bool watch_relay(const struct mover *mover, struct relay *relay)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.u64 = (uintptr_t)relay};
    if (epoll_ctl(mover->epoll, EPOLL_CTL_ADD, relay->fd, &event) != 0)
        return false;
    event.data.u64 |= PAIR_TAG;
    return epoll_ctl(mover->epoll, EPOLL_CTL_ADD, relay->pair, &event) == 0;
}

static void unwatch_relay(const struct mover *mover, const struct relay *relay)
{
    epoll_ctl(mover->epoll, EPOLL_CTL_DEL, relay->fd, NULL);
    epoll_ctl(mover->epoll, EPOLL_CTL_DEL, relay->pair, NULL);
}

static void go_on(struct mover *mover, struct relay *relay)
{
    if (relay->again)
        return;
    relay->again = true;
    relay->next_again = mover->again;
    mover->again = relay;
}

/* --- greeting ----------------------------------------------------------------------------------------------------- */

/* GnuTLS says "again" as well when it took a message of its own: only what is blocked has its event to come. */
static ssize_t noted(struct relay *relay, ssize_t n)
{
    relay->blocked = n < 0 && errno == EAGAIN;
    return n;
}

static ssize_t pull(gnutls_transport_ptr_t user, void *to, size_t n_bytes)
{
    struct relay *relay = user;
    return noted(relay, read(relay->fd, to, n_bytes));
}

static ssize_t push(gnutls_transport_ptr_t user, const giovec_t *parts, int n)
{
    struct relay *relay = user;
    const struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)parts, .msg_iovlen = (size_t)n};
    return noted(relay, sendmsg(relay->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT));
}

/* Must it be asked again without anything having happened? */
static bool is_unfinished(const struct relay *relay, ssize_t status)
{
    return status < 0 && !gnutls_error_is_fatal((int)status) && !relay->blocked;
}

/* What came and nobody reads would turn our end into a reset, which overtakes what we said last. */
static void discard(const struct relay *relay)
{
    for (int i = 0; i < ROUNDS; i++)
        if (recvfrom(relay->fd, NULL, DISCARD_BYTES, MSG_TRUNC | MSG_DONTWAIT, NULL, NULL) <= 0)
            return;
}

static bool begin_session(struct mover *mover, struct relay *relay)
{
    relay->session = certificate_session(mover->tls->certificate);
    if (!relay->session)
        return false;
    relay->certificate = mover->tls->certificate;
    gnutls_transport_set_ptr(relay->session, relay);
    gnutls_transport_set_pull_function(relay->session, pull);
    gnutls_transport_set_vec_push_function(relay->session, push);
    return true;
}

/* HTTP's methods are capital letters. */
static void refuse_plain(const struct relay *relay, uint8_t first)
{
    static const char reply[] = "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: 66\r\n"
                                "Connection: close\r\n\r\n" PLAIN_REPLY;
    _Static_assert(sizeof PLAIN_REPLY == 66 + 1, "its Content-Length");
    discard(relay);
    if (first < 'A' || first > 'Z')
        return;
    send(relay->fd, reply, sizeof reply - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    shutdown(relay->fd, SHUT_WR);
    log_debug("a client spoke HTTP at a TLS door", NULL);
}

/* The header is looked at, and then taken as far as it goes. False where it has not come whole, or is wrong. */
static bool pass_header(struct mover *mover, struct relay *relay)
{
    struct proxy *proxy = &relay->proxy;
    uint8_t *bytes = mover->scratch;
    while (proxy->expected && proxy->state == PROXY_COMING) {
        ssize_t n = recvfrom(relay->fd, bytes, sizeof mover->scratch, MSG_PEEK | MSG_DONTWAIT, NULL, NULL);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return false;
        n = n > 0 ? read(relay->fd, bytes, proxy_take(proxy, bytes, (size_t)n)) : n;
        if (n <= 0 || proxy->state == PROXY_WRONG || send(relay->pair, bytes, (size_t)n, MSG_NOSIGNAL) != n) {
            end_relay(mover, relay);
            return false;
        }
    }
    return true;
}

/* Is there a session? False where nothing has come, or the connection is over. */
static bool greet(struct mover *mover, struct relay *relay)
{
    uint8_t first;
    if (relay->session)
        return true;
    if (!pass_header(mover, relay))
        return false;
    const ssize_t n = recvfrom(relay->fd, &first, 1, MSG_PEEK | MSG_DONTWAIT, NULL, NULL);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n == 1 && first == HANDSHAKE_BYTE && begin_session(mover, relay))
        return true;
    if (n == 1 && first != HANDSHAKE_BYTE)
        refuse_plain(relay, first);
    end_relay(mover, relay);
    return false;
}

static void finish_greeting(struct mover *mover, struct relay *relay)
{
    certificate_done(relay->certificate, relay->session);
    relay->certificate = NULL;
    unwatch_relay(mover, relay);
    relay->shaken = true;
    let_go(mover, relay);
}

static void shake_hands(struct mover *mover, struct relay *relay)
{
    if (!greet(mover, relay))
        return;
    relay->blocked = false;
    const int status = gnutls_handshake(relay->session);
    if (status == GNUTLS_E_SUCCESS) {
        finish_greeting(mover, relay);
    } else if (gnutls_error_is_fatal(status)) {
        gnutls_alert_send_appropriate(relay->session, status);
        log_debug("a TLS handshake failed", "why", gnutls_strerror(status), NULL);
        discard(relay);
        end_relay(mover, relay);
    } else if (is_unfinished(relay, status))
        go_on(mover, relay);
}

/* --- moving ------------------------------------------------------------------------------------------------------- */

/* What is left goes on when the pair has room. The server's end may be gone: then nobody wants it. */
static bool write_rest(struct relay *relay)
{
    while (relay->rest && relay->n_written < relay->n_rest) {
        const ssize_t n = send(relay->pair, relay->rest + relay->n_written, relay->n_rest - relay->n_written,
                               MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
            return false;
        relay->said_all |= n < 0;
        relay->n_written += n < 0 ? relay->n_rest - relay->n_written : (size_t)n;
    }
    arena_buffer_free(relay->rest);
    relay->rest = NULL;
    return true;
}

/* False when there is no memory for what the pair does not take. */
static bool pass_on(struct relay *relay, const uint8_t *bytes, size_t n_bytes)
{
    ssize_t n = send(relay->pair, bytes, n_bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
    relay->said_all |= n < 0 && errno != EAGAIN;
    n = n < 0 ? 0 : n;
    if (relay->said_all || (size_t)n == n_bytes)
        return true;
    relay->n_rest = n_bytes - (size_t)n;
    relay->n_written = 0;
    relay->rest = arena_buffer(relay->n_rest);
    if (relay->rest)
        memcpy(relay->rest, bytes + n, relay->n_rest);
    return relay->rest;
}

/* A client may ask once, and is told that nothing will come of it. */
static bool refuse_renegotiation(struct relay *relay)
{
    gnutls_alert_send(relay->session, GNUTLS_AL_WARNING, GNUTLS_A_NO_RENEGOTIATION);
    return ++relay->n_renegotiations == 1;
}

/* From the client to the server. False: the connection is over. */
static bool move_in(struct mover *mover, struct relay *relay)
{
    for (int round = 0; !relay->said_all && write_rest(relay); round++) {
        if (round == ROUNDS) {
            go_on(mover, relay);
            return true;
        }
        relay->blocked = false;
        const ssize_t n = gnutls_record_recv(relay->session, mover->scratch, sizeof mover->scratch);
        if (n == GNUTLS_E_AGAIN && relay->blocked)
            return true;
        if (n == 0) {
            relay->said_all = true;
            shutdown(relay->pair, SHUT_WR);
        } else if (n > 0                       ? !pass_on(relay, mover->scratch, (size_t)n)
                   : n == GNUTLS_E_REHANDSHAKE ? !refuse_renegotiation(relay)
                                               : gnutls_error_is_fatal((int)n))
            return false;
    }
    return true;
}

/* True when GnuTLS has nothing more for the client. A record that it could not take is kept by GnuTLS. */
static bool send_record(struct mover *mover, struct relay *relay, const uint8_t *bytes, size_t n_bytes, bool *failed)
{
    relay->blocked = false;
    if (n_bytes) {
        gnutls_record_cork(relay->session);
        *failed = gnutls_record_send(relay->session, bytes, n_bytes) < 0;
    }
    if (*failed)
        return false;
    const int status = gnutls_record_uncork(relay->session, 0);
    relay->sending = status < 0;
    *failed = status < 0 && gnutls_error_is_fatal(status);
    if (is_unfinished(relay, status))
        go_on(mover, relay);
    return !relay->sending;
}

/* Behind the last byte. The client need not answer. */
static bool say_goodbye(struct mover *mover, struct relay *relay)
{
    relay->blocked = false;
    const int status = gnutls_bye(relay->session, GNUTLS_SHUT_WR);
    if (is_unfinished(relay, status))
        go_on(mover, relay);
    if (status < 0 && !gnutls_error_is_fatal(status))
        return true;
    shutdown(relay->fd, SHUT_WR);
    discard(relay);
    return false;
}

/* From the server to the client. False: the connection is over. */
static bool move_out(struct mover *mover, struct relay *relay)
{
    bool failed = false;
    for (int round = 0; !relay->heard_all; round++) {
        if (relay->sending && !send_record(mover, relay, NULL, 0, &failed))
            return !failed;
        if (round == ROUNDS) {
            go_on(mover, relay);
            return true;
        }
        const ssize_t n = read(relay->pair, mover->scratch, sizeof mover->scratch);
        if (n < 0 && errno == EAGAIN)
            return true;
        relay->heard_all = n == 0 || (n < 0 && errno != EINTR); /* reset: it had not read all that the client sent */
        if (n > 0 && !send_record(mover, relay, mover->scratch, (size_t)n, &failed))
            return !failed;
    }
    return say_goodbye(mover, relay);
}

static void move(struct mover *mover, struct relay *relay)
{
    if (!move_in(mover, relay) || !move_out(mover, relay))
        end_relay(mover, relay);
}

/* --- a thread ----------------------------------------------------------------------------------------------------- */

static void step(struct mover *mover, struct relay *relay)
{
    if (relay->over)
        return;
    if (is_greeter(mover))
        shake_hands(mover, relay);
    else
        move(mover, relay);
}

/* One side is closed, or shut down. Where it is the server's, what is left for the client has some time yet. */
static void hung_up(struct mover *mover, struct relay *relay, bool by_server)
{
    if (relay->over)
        return;
    if (is_greeter(mover) || !by_server) {
        end_relay(mover, relay);
        return;
    }
    if (relay->deadline_ms)
        return;
    relay->deadline_ms = now_ms() + mover->patience_ms;
    mover->n_waiting++;
}

static void end_overdue(struct mover *mover)
{
    const int64_t now = now_ms();
    struct relay *after;
    for (struct relay *at = mover->first; at && mover->n_waiting; at = after) {
        after = at->after;
        if (at->deadline_ms && (now >= at->deadline_ms || at->deadline_ms - now > mover->patience_ms))
            end_relay(mover, at);
    }
}

static void take_relay(struct mover *mover, struct relay *relay)
{
    link_relay(mover, relay);
    if (!watch_relay(mover, relay))
        end_relay(mover, relay);
}

static void read_again(struct tls *tls)
{
    struct percept_err err;
    struct certificate *fresh = certificate_read(tls->settings, &err);
    if (!fresh) {
        log_error("the TLS certificate stays as it was", "why", err.text, NULL);
        return;
    }
    certificate_drop(tls->certificate);
    tls->certificate = fresh;
    log_info("the TLS certificate was read again", NULL);
}

/* False: it is time to end. */
static bool obey(struct mover *mover)
{
    struct order orders[EVENTS];
    const ssize_t n = read(mover->orders[0], orders, sizeof orders);
    bool goes_on = true;
    for (size_t i = 0; n > 0 && i < (size_t)n / sizeof *orders; i++)
        switch (orders[i].what) {
        case TAKE:
            take_relay(mover, orders[i].relay);
            break;
        case RELOAD:
            read_again(mover->tls);
            break;
        case HASTEN:
            mover->patience_ms = TICK_MS;
            break;
        case QUIT:
            goes_on = false;
        }
    return goes_on;
}

static void run_again(struct mover *mover)
{
    struct relay *at = mover->again;
    mover->again = NULL;
    while (at) {
        struct relay *next = at->next_again;
        at->again = false;
        step(mover, at);
        at = next;
    }
}

static bool run_once(struct mover *mover)
{
    struct epoll_event events[EVENTS];
    bool goes_on = true;
    const int n = epoll_wait(mover->epoll, events, EVENTS, mover->again ? 0 : mover->n_waiting ? TICK_MS : -1);
    run_again(mover);
    for (int i = 0; i < n; i++) {
        struct relay *relay = (struct relay *)(uintptr_t)(events[i].data.u64 & ~(uint64_t)PAIR_TAG);
        if (!relay) {
            goes_on &= obey(mover);
            continue;
        }
        step(mover, relay);
        if (events[i].events & (EPOLLHUP | EPOLLERR))
            hung_up(mover, relay, events[i].data.u64 & PAIR_TAG);
    }
    end_overdue(mover);
    release_over(mover);
    return goes_on;
}

static void *run(void *user)
{
    struct mover *mover = user;
    if (is_greeter(mover)) {
        const id_t thread = (id_t)syscall(SYS_gettid);
        (void)setpriority(PRIO_PROCESS, thread, getpriority(PRIO_PROCESS, thread) + GREETER_NICE);
    }
    while (run_once(mover))
        ;
    while (mover->first)
        end_relay(mover, mover->first);
    release_over(mover);
    return NULL;
}

/* --- the loop's side ---------------------------------------------------------------------------------------------- */

static bool open_mover(struct tls *tls, struct mover *mover, struct percept_err *err)
{
    struct epoll_event event = {.events = EPOLLIN};
    sigset_t all, before;
    mover->tls = tls;
    mover->patience_ms = tls->settings->body_timeout_ms > 0 ? tls->settings->body_timeout_ms : INT32_MAX;
    mover->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (pipe2(mover->orders, O_CLOEXEC | O_NONBLOCK) != 0 || mover->epoll < 0 ||
        epoll_ctl(mover->epoll, EPOLL_CTL_ADD, mover->orders[0], &event) != 0)
        return err_set(err, ERR_SYSTEM, "cannot make what the TLS threads need: %s", strerror(errno));
    (void)fcntl(mover->orders[1], F_SETPIPE_SZ, ORDERS_BYTES);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int status = pthread_create(&mover->thread, NULL, run, mover);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    mover->started = status == 0;
    return mover->started || err_set(err, ERR_SYSTEM, "cannot start a thread for TLS: %s", strerror(status));
}

static void close_mover(struct mover *mover)
{
    if (mover->started) {
        send_order(mover, &(struct order){QUIT, NULL}, true);
        pthread_join(mover->thread, NULL);
    }
    const int fds[] = {mover->epoll, mover->orders[0], mover->orders[1]};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

struct tls *tls_new(const struct settings *settings, struct percept_err *err)
{
    struct tls *tls = arena_buffer(sizeof *tls);
    if (!tls) {
        err_memory(err, "TLS", sizeof *tls);
        return NULL;
    }
    tls->settings = settings;
    tls->greeter.epoll = tls->greeter.orders[0] = tls->greeter.orders[1] = -1;
    tls->mover.epoll = tls->mover.orders[0] = tls->mover.orders[1] = -1;
    tls->ended = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    tls->certificate = certificate_read(settings, err);
    bool good = tls->certificate != NULL;
    if (good && tls->ended < 0)
        good = err_set(err, ERR_SYSTEM, "eventfd: %s", strerror(errno));
    if (good && open_mover(tls, &tls->mover, err) && open_mover(tls, &tls->greeter, err))
        return tls;
    tls_free(tls);
    return NULL;
}

/* The greeter first: what it has handed over lies in the mover's pipe before the order to end. */
void tls_free(struct tls *tls)
{
    if (!tls)
        return;
    close_mover(&tls->greeter);
    close_mover(&tls->mover);
    certificate_drop(tls->certificate);
    if (tls->ended >= 0)
        close(tls->ended);
    arena_buffer_free(tls);
}

void tls_reload(struct tls *tls)
{
    send_order(&tls->greeter, &(struct order){RELOAD, NULL}, true);
}

bool tls_take(struct tls *tls, int fd, int pair, bool proxied)
{
    struct relay *relay = arena_buffer(sizeof *relay);
    const int on = 1;
    if (relay) {
        relay->fd = fd;
        relay->pair = pair;
        relay->proxy.expected = proxied;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* a socket file has none */
        if (send_order(&tls->greeter, &(struct order){TAKE, relay}, false))
            return true;
    }
    arena_buffer_free(relay);
    close(fd);
    close(pair);
    return false;
}

int tls_ended_fd(const struct tls *tls)
{
    return tls->ended;
}

int tls_ended(struct tls *tls, uint64_t *n_failed)
{
    uint64_t n = 0;
    if (read(tls->ended, &n, sizeof n) != (ssize_t)sizeof n)
        return 0;
    *n_failed += n / FAILED;
    return (int)(n % FAILED);
}

void tls_stop_waiting(struct tls *tls)
{
    send_order(&tls->mover, &(struct order){HASTEN, NULL}, true);
}
