/*
 * sd.c - systemd's notify protocol: one datagram of "NAME=VALUE" lines to the Unix socket that
 * NOTIFY_SOCKET names. A name that begins with '@' is in the abstract namespace: the '@' stands for
 * a NUL byte, and the address has no NUL at its end. The datagram is sent without waiting: a
 * manager whose queue is full must not stop the loop, and the next sign of life will do.
 *
 * LISTEN_PID and WATCHDOG_PID guard against variables that a parent forgot to remove. A socket is
 * made per message; there are a handful a minute.
 */
#include "sd.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/number.h"

/* False for what is no address: systemd sends absolute and abstract ones only. */
static bool address_of(const char *path, struct sockaddr_un *address, socklen_t *n_bytes)
{
    size_t n = strlen(path);
    if ((path[0] != '/' && path[0] != '@') || n < 2 || n >= sizeof address->sun_path)
        return false;
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(address->sun_path, path, n);
    if (path[0] == '@')
        address->sun_path[0] = '\0';
    *n_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (path[0] == '/'));
    return true;
}

bool sd_tell(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address;
    socklen_t n_bytes;
    if (!path || !address_of(path, &address, &n_bytes))
        return false;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    size_t n = strlen(state);
    bool sent = sendto(fd, state, n, MSG_NOSIGNAL, (const struct sockaddr *)&address, n_bytes) == (ssize_t)n;
    close(fd);
    return sent;
}

bool sd_tellf(const char *format, ...)
{
    char state[512];
    va_list args;
    va_start(args, format);
    vsnprintf(state, sizeof state, format, args);
    va_end(args);
    return sd_tell(state);
}

bool sd_tell_status(const char *state, const char *status)
{
    char text[512];
    int n = snprintf(text, sizeof text, "%s%sSTATUS=", state, *state ? "\n" : "");
    for (size_t i = (size_t)n; *status && i + 1 < sizeof text; i++, status++) {
        text[i] = (unsigned char)*status < ' ' ? ' ' : *status;
        text[i + 1] = '\0';
    }
    return sd_tell(text);
}

bool sd_watched(void)
{
    return getenv("NOTIFY_SOCKET") != NULL || sd_sockets() > 0;
}

static bool read_variable(const char *name, int64_t *value)
{
    const char *text = getenv(name);
    if (!text)
        return false;
    struct bytes bytes = bytes_of_text(text);
    return number_read_int64(bytes, value) == bytes.end && *value > 0;
}

int64_t sd_watchdog_us(void)
{
    int64_t us, pid;
    if (!read_variable("WATCHDOG_USEC", &us))
        return 0;
    if (getenv("WATCHDOG_PID") && (!read_variable("WATCHDOG_PID", &pid) || pid != getpid()))
        return 0;
    return us;
}

int sd_sockets(void)
{
    int64_t pid, n;
    if (!read_variable("LISTEN_PID", &pid) || pid != getpid() || !read_variable("LISTEN_FDS", &n))
        return 0;
    return n < 1024 ? (int)n : 0;
}

bool sd_socket_name(int i, char *name, size_t n_bytes)
{
    const char *at = getenv("LISTEN_FDNAMES");
    for (; at && i > 0; i--)
        at = (at = strchr(at, ':')) ? at + 1 : NULL;
    const size_t n = at ? strcspn(at, ":") : 0;
    *name = '\0';
    if (n >= n_bytes)
        return false;
    memcpy(name, at ? at : "", n);
    name[n] = '\0';
    return true;
}
