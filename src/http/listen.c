/*
 * listen.c - opens listening sockets, and closes them so that nobody is lost (listen.h).
 *
 * "All addresses" is one IPv6 socket that takes IPv4 as well; where the host has no IPv6 it is
 * IPv4's. SO_REUSEADDR lets a restart listen while old connections are in TIME_WAIT; SO_REUSEPORT
 * is not set, as two daemons that share a port by mistake should be told.
 *
 * A socket file outlives whoever made it. Whether somebody still listens there is told by
 * connecting: a file that refuses is left over, and is replaced. It never is open to more than it
 * shall be: before bind() the mode is the socket's own, which the umask can only narrow, and chmod()
 * afterwards makes it what it should be.
 *
 * Closing a listening socket resets every connection in its queue, also one that joined after we
 * looked. Hence the bolt: nobody new is let in. Segments with SYN are dropped, so that their senders
 * believe in no connection, knock again a second later, and are refused then. A socket file goes,
 * and with it the way to the socket. Thread: the loop's.
 */
#include "http/listen.h"

#include "base/err.h"
#include "base/log.h"
#include "http/framing.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define UNIX "unix:"
#define TCP_FLAGS 13 /* where they are in a segment, and the one that asks for a connection */
#define TCP_SYN 2
#define BACKLOG 4096 /* as the kernel allows: who finds it full knocks again a second later */

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static bool refuse(const char *where, struct percept_err *err, const char *why)
{
    return err_set(err, ERR_CONFIG,
                   "cannot listen on '%s': %s; expected ADDRESS:PORT with a numeric address, [IPv6]:PORT, "
                   ":PORT for all addresses, PORT on 127.0.0.1, unix:/PATH, or fd:N",
                   where, why);
}

static bool failed(const char *where, struct percept_err *err)
{
    return err_set(err, ERR_SYSTEM, "cannot listen on '%s': %s", where, strerror(errno));
}

bool listen_descriptor(const char *where, int *fd, struct percept_err *err)
{
    int64_t number;
    if (!framing_number(bytes_of_text(where + 3), &number) || number > INT32_MAX)
        return refuse(where, err, "after 'fd:' comes a number");
    *fd = (int)number;
    return true;
}

static bool open_passed(struct listener *listener, struct percept_err *err)
{
    const char *where = listener->where;
    int fd;
    int listening = 0;
    socklen_t n_bytes = sizeof listening;
    if (!listen_descriptor(listener->place.address, &fd, err))
        return false;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &n_bytes) != 0 || !listening)
        return refuse(where, err, "that descriptor is no listening socket");
    listener->passed = true;
    listener->fd = fd;
    return (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0) ||
           failed(where, err);
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

/* --- socket files ------------------------------------------------------------------------------------------------- */

/* A file that nobody listens at any more. Whatever else is there is not ours to take away. */
static bool is_left_over(const struct sockaddr_un *address)
{
    struct stat file;
    if (lstat(address->sun_path, &file) != 0 || !S_ISSOCK(file.st_mode))
        return false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool refused =
        fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) != 0 && errno == ECONNREFUSED;
    if (fd >= 0)
        close(fd);
    return refused;
}

static bool bind_file(int fd, const struct sockaddr_un *address)
{
    if (bind(fd, (const struct sockaddr *)address, sizeof *address) == 0)
        return true;
    if (errno != EADDRINUSE)
        return false;
    if (is_left_over(address))
        return unlink(address->sun_path) == 0 && bind(fd, (const struct sockaddr *)address, sizeof *address) == 0;
    errno = EADDRINUSE;
    return false;
}

static bool open_file(struct listener *listener, struct percept_err *err)
{
    const char *where = listener->where, *path = listener->place.address + strlen(UNIX);
    const mode_t mode = listener->place.mode;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat file;
    if (path[0] != '/' || strlen(path) >= sizeof address.sun_path)
        return refuse(where, err, "after 'unix:' comes an absolute path of at most 107 bytes");
    memcpy(address.sun_path, path, strlen(path));
    listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener->fd < 0 || fchmod(listener->fd, mode) != 0 || !bind_file(listener->fd, &address) ||
        listen(listener->fd, BACKLOG) != 0)
        return errno != EADDRINUSE
                   ? failed(where, err)
                   : err_set(err, ERR_SYSTEM, "cannot listen on '%s': another program does, or it is no socket", where);
    listener->path = path;
    if (lstat(path, &file) == 0) {
        listener->device = file.st_dev;
        listener->inode = file.st_ino;
    }
    return chmod(path, mode) == 0 || failed(where, err);
}

static void remove_file(struct listener *listener)
{
    struct stat file;
    if (listener->path && lstat(listener->path, &file) == 0 && file.st_dev == listener->device &&
        file.st_ino == listener->inode)
        unlink(listener->path);
    listener->path = NULL;
}

/* --- one socket --------------------------------------------------------------------------------------------------- */

static int port_of(int fd)
{
    union address address = {.any = {.sa_family = AF_UNSPEC}};
    socklen_t n_bytes = sizeof address;
    if (getsockname(fd, &address.any, &n_bytes) != 0)
        return 0;
    if (address.any.sa_family == AF_INET)
        return ntohs(address.v4.sin_port);
    return address.any.sa_family == AF_INET6 ? ntohs(address.v6.sin6_port) : 0;
}

static bool open_address(struct listener *listener, struct percept_err *err)
{
    union address address;
    bool all;
    if (!parse(listener->place.address, &address, &all))
        return refuse(listener->where, err, "that is no address");
    listener->fd = open_socket(&address, all);
    if (listener->fd < 0 && all && errno == EAFNOSUPPORT) {
        address = (union address){.v4 = {.sin_family = AF_INET, .sin_port = address.v6.sin6_port}};
        listener->fd = open_socket(&address, all);
    }
    socklen_t n_bytes = address.any.sa_family == AF_INET ? sizeof address.v4 : sizeof address.v6;
    return (listener->fd >= 0 && bind(listener->fd, &address.any, n_bytes) == 0 &&
            listen(listener->fd, BACKLOG) == 0) ||
           failed(listener->where, err);
}

bool listen_passed(const char *where)
{
    return strncmp(where, "fd:", 3) == 0;
}

bool listen_open(const char *where, struct listener *listener, struct percept_err *err)
{
    *listener = (struct listener){.where = where, .fd = -1};
    if (!place_read(where, &listener->place, err))
        return false;
    bool opened = listen_passed(where)                      ? open_passed(listener, err)
                  : strncmp(where, UNIX, strlen(UNIX)) == 0 ? open_file(listener, err)
                                                            : open_address(listener, err);
    if (opened)
        listener->port = port_of(listener->fd);
    else
        listen_close(listener);
    return opened;
}

void listen_bolt(struct listener *listener)
{
    struct sock_filter program[] = {BPF_STMT(BPF_LD | BPF_B | BPF_ABS, TCP_FLAGS),
                                    BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, TCP_SYN, 0, 1), BPF_STMT(BPF_RET | BPF_K, 0),
                                    BPF_STMT(BPF_RET | BPF_K, UINT32_MAX)};
    const struct sock_fprog filter = {sizeof program / sizeof *program, program};
    if (listener->passed)
        return;
    if (listener->path)
        remove_file(listener);
    else if (setsockopt(listener->fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) != 0)
        log_debug("the door closes without a filter", "why", strerror(errno), NULL);
}

void listen_close(struct listener *listener)
{
    remove_file(listener);
    if (listener->fd >= 0)
        close(listener->fd);
    listener->fd = -1;
}
