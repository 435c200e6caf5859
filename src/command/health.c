/*
 * health.c - `perceptd --health`: asks the daemon at the first --listen without TLS whether it is ready, and exits
 * with 0 if so. For container health checks, where no other HTTP client is at hand. One request, two
 * seconds at most, the answer's sentence on standard error when it is not 200.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/err.h"
#include "command/address.h"
#include "command/command.h"
#include "http/place.h"

#define PATIENCE_S 2
#define ANSWER_BYTES 4096

static const char request[] = "GET /v2/health/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

static int connect_to(const struct address *address, struct percept_err *err)
{
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    int fd = socket(address->socket.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        if (connect(fd, &address->socket.any, address->n_bytes) == 0)
            return fd;
    }
    err_set(err, ERR_UNAVAILABLE, "nobody answers at %s: %s", address->text, strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

/* Everything up to the end of the connection, or as much as has room. */
static size_t read_answer(int fd, char *answer, size_t n_bytes)
{
    size_t used = 0;
    ssize_t n = 1;
    while (n > 0 && used + 1 < n_bytes) {
        n = recv(fd, answer + used, n_bytes - 1 - used, 0);
        used += n > 0 ? (size_t)n : 0;
    }
    answer[used] = '\0';
    return used;
}

static bool judge(const char *answer, const struct address *address, struct percept_err *err)
{
    if (strncmp(answer, "HTTP/1.1 ", 9) != 0)
        return err_set(err, ERR_UNAVAILABLE, "%s does not answer in HTTP within %d seconds", address->text, PATIENCE_S);
    if (strncmp(answer + 9, "200", 3) == 0)
        return true;
    const char *body = strstr(answer, "\r\n\r\n");
    return err_set(err, ERR_UNAVAILABLE, "not ready: %.3s %.300s", answer + 9, body ? body + 4 : "");
}

/* The first that asks for neither TLS nor a proxy's header. */
static bool find_place(const struct options *options, struct address *address, struct percept_err *err)
{
    struct place place;
    for (int i = 0; i < options->listen.n; i++) {
        if (!place_read(options->listen.at[i], &place, err))
            return false;
        const bool is_file = strncmp(place.address, "unix:", 5) == 0;
        if (!place.proxy && !place_speaks_tls(&place, is_file, options->settings.tls_cert))
            return address_read(place.address, 0, address, err);
    }
    return err_set(err, ERR_UNAVAILABLE,
                   "TLS or PROXY is spoken wherever the daemon listens; have it listen for this as well: --listen "
                   "127.0.0.1:9090+ops+plain");
}

int health_command(const struct options *options)
{
    struct percept_err err;
    struct address address;
    char answer[ANSWER_BYTES];
    if (!find_place(options, &address, &err))
        return command_fail(&err);
    int fd = connect_to(&address, &err);
    if (fd < 0)
        return command_fail(&err);
    ssize_t n = (ssize_t)sizeof request - 1;
    bool sent = send(fd, request, (size_t)n, MSG_NOSIGNAL) == n;
    answer[0] = '\0';
    if (sent)
        read_answer(fd, answer, sizeof answer);
    close(fd);
    return judge(answer, &address, &err) ? EXIT_SUCCESS : command_fail(&err);
}
