/*
 * listen.c - opens the listening socket (listen.h).
 *
 * "All addresses" is one IPv6 socket that takes IPv4 as well; where the host has no IPv6 it is
 * IPv4's. SO_REUSEADDR lets a restart listen while old connections are in TIME_WAIT; SO_REUSEPORT
 * is not set, as two daemons that share a port by mistake should be told. Thread: the loop's, at
 * start.
 */
#include "http/listen.h"

#include "base/err.h"
#include "http/framing.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 4096 /* as the kernel allows: who finds it full knocks again a second later */

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static int refuse(const char *where, struct percept_err *err, const char *why)
{
    err_set(err, ERR_CONFIG,
            "cannot listen on '%s': %s; expected ADDRESS:PORT with a numeric address, [IPv6]:PORT, "
            ":PORT for all addresses, PORT on 127.0.0.1, or fd:N",
            where, why);
    return -1;
}

static int failed(int fd, const char *where, struct percept_err *err)
{
    err_set(err, ERR_SYSTEM, "cannot listen on '%s': %s", where, strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

static int passed(const char *where, struct percept_err *err)
{
    int64_t fd;
    int listening = 0;
    socklen_t n_bytes = sizeof listening;
    if (!framing_number(bytes_of_text(where + 3), &fd) || fd > INT32_MAX)
        return refuse(where, err, "after 'fd:' comes a number");
    if (getsockopt((int)fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &n_bytes) != 0 || !listening)
        return refuse(where, err, "that descriptor is no listening socket");
    if (fcntl((int)fd, F_SETFL, fcntl((int)fd, F_GETFL) | O_NONBLOCK) != 0 || fcntl((int)fd, F_SETFD, FD_CLOEXEC) != 0)
        return failed((int)fd, where, err);
    return (int)fd;
}

/* Splits "HOST:PORT" at the last colon; host is empty for all addresses. A port alone is on
 * loopback, like the default: nobody shall be let in by a colon that was left out. */
static bool split(const char *where, char *host, size_t host_bytes, in_port_t *port)
{
    const char *colon = strrchr(where, ':');
    const char *digits = colon ? colon + 1 : where;
    size_t n = colon ? (size_t)(colon - where) : 0;
    int64_t number;
    if (!framing_number(bytes_of_text(digits), &number) || number > 65535)
        return false;
    *port = htons((uint16_t)number);
    if (n >= 2 && where[0] == '[' && where[n - 1] == ']') {
        where++;
        n -= 2;
    }
    if (n >= host_bytes)
        return false;
    memcpy(host, where, n);
    host[n] = '\0';
    if (!colon)
        snprintf(host, host_bytes, "127.0.0.1");
    return true;
}

static bool parse(const char *where, union address *address, bool *all)
{
    char host[64];
    in_port_t port;
    if (!split(where, host, sizeof host, &port))
        return false;
    *address = (union address){.v6 = {.sin6_family = AF_INET6, .sin6_port = port}};
    *all = host[0] == '\0' || strcmp(host, "*") == 0;
    if (*all || inet_pton(AF_INET6, host, &address->v6.sin6_addr) == 1)
        return true;
    *address = (union address){.v4 = {.sin_family = AF_INET, .sin_port = port}};
    const char *number = strcmp(host, "localhost") == 0 ? "127.0.0.1" : host;
    return inet_pton(AF_INET, number, &address->v4.sin_addr) == 1;
}

static int open_socket(const union address *address, bool all)
{
    int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;
    int only = !all;
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (address->any.sa_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
    return fd;
}

bool listen_passed(const char *where)
{
    return strncmp(where, "fd:", 3) == 0;
}

int listen_open(const char *where, struct percept_err *err)
{
    union address address;
    bool all;
    if (listen_passed(where))
        return passed(where, err);
    if (!parse(where, &address, &all))
        return refuse(where, err, "that is no address");
    int fd = open_socket(&address, all);
    if (fd < 0 && all && errno == EAFNOSUPPORT) {
        address = (union address){.v4 = {.sin_family = AF_INET, .sin_port = address.v6.sin6_port}};
        fd = open_socket(&address, all);
    }
    socklen_t n_bytes = address.any.sa_family == AF_INET ? sizeof address.v4 : sizeof address.v6;
    if (fd < 0 || bind(fd, &address.any, n_bytes) != 0 || listen(fd, BACKLOG) != 0)
        return failed(fd, where, err);
    return fd;
}

int listen_port(int fd)
{
    union address address = {.any = {.sa_family = AF_UNSPEC}};
    socklen_t n_bytes = sizeof address;
    if (getsockname(fd, &address.any, &n_bytes) != 0)
        return 0;
    if (address.any.sa_family == AF_INET)
        return ntohs(address.v4.sin_port);
    return address.any.sa_family == AF_INET6 ? ntohs(address.v6.sin6_port) : 0;
}
