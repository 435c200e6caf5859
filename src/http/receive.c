/*
 * receive.c - recv() as microhttpd calls it.
 *
 * microhttpd reads plain sockets with recv() and has no hook there. A program's own definition of a
 * function comes before a library's (ELF's gABI, chapter 5, "Shared Object Dependencies"; it is how
 * other allocators replace malloc), so the recv() of libmicrohttpd.so is the one below, which is
 * recvfrom() and, for the descriptors of connections, a judge. A relay over a socket pair would
 * cost four more system calls a request; a look with MSG_PEEK would judge other bytes than are
 * read. The tests of malformed requests (http/rude.c) fail where a link goes past this file, and
 * server.c logs it.
 *
 * The receivers stand in a table by descriptor, which grows with it. Thread: the loop's. No other
 * calls recv() while a server runs: microhttpd has no threads here, and libuv reads with read().
 */
#include "http/receive.h"

#include "base/arena.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>

#define FIRST_ENTRIES 256

static struct {
    struct receiver **at;
    int n;
} table;

ssize_t receive(int fd, void *to, size_t n_bytes, int flags) __asm__("recv") __attribute__((visibility("default")));

static bool grow(int fd)
{
    int n = table.n ? table.n : FIRST_ENTRIES;
    while (n <= fd)
        n *= 2;
    struct receiver **at = arena_buffer_grow(table.at, (size_t)n * sizeof *at); /* zeroed behind */
    if (!at)
        return false;
    table.at = at;
    table.n = n;
    return true;
}

bool receive_watch(int fd, struct receiver *receiver)
{
    if (fd >= table.n && !grow(fd))
        return false;
    table.at[fd] = receiver;
    return true;
}

void receive_forget(int fd)
{
    if (fd < table.n)
        table.at[fd] = NULL;
}

void receive_end(void)
{
    arena_buffer_free(table.at);
    table.at = NULL;
    table.n = 0;
}

static ssize_t nothing(void)
{
    errno = EAGAIN;
    return -1;
}

static ssize_t judged(struct receiver *receiver, const void *bytes, ssize_t n_bytes)
{
    size_t n = stream_judge(&receiver->stream, bytes, (size_t)n_bytes);
    if (receiver->stream.fault)
        receiver->on_fault(receiver->user, receiver);
    return n ? (ssize_t)n : nothing();
}

/* Takes the header off, or as much of it as has come. True when nothing is left for microhttpd. */
static bool take_header(struct receiver *receiver, void *to, ssize_t *n)
{
    struct proxy *proxy = &receiver->proxy;
    const size_t taken = proxy_take(proxy, to, (size_t)*n);
    *n -= (ssize_t)taken;
    memmove(to, (const char *)to + taken, (size_t)*n);
    if (proxy->state == PROXY_WRONG) {
        receiver->stream.fault = "the PROXY header";
        receiver->on_fault(receiver->user, receiver);
    }
    return proxy->state == PROXY_WRONG || *n == 0;
}

ssize_t receive(int fd, void *to, size_t n_bytes, int flags)
{
    struct receiver *receiver = fd >= 0 && fd < table.n && !flags ? table.at[fd] : NULL;
    if (receiver && (receiver->stream.fault || receiver->held))
        return nothing();
    ssize_t n = recvfrom(fd, to, n_bytes, flags, NULL, NULL);
    while (receiver && receiver->proxy.expected && receiver->proxy.state == PROXY_COMING && n > 0) {
        if (!take_header(receiver, to, &n))
            break;
        if (receiver->stream.fault)
            return nothing();
        n = recvfrom(fd, to, n_bytes, flags, NULL, NULL); /* there may be more than had room */
    }
    return receiver && n > 0 ? judged(receiver, to, n) : n;
}
