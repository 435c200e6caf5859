/*
 * address.c - reads --listen from a client's side: for --health, and for the URL that a start
 * prints. No names are looked up but "localhost", as http/listen.c does it for the server's side.
 */
#include "command/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "http/framing.h"
#include "http/place.h"

#define UNIX "unix:"

static bool refuse(const char *listen, struct percept_err *err)
{
    return err_set(err, ERR_CONFIG,
                   "'%s' is no address: expected ADDRESS:PORT with a numeric address, [IPv6]:PORT, "
                   ":PORT, PORT or unix:/PATH",
                   listen);
}

static bool read_port(const char *text, int *port)
{
    int64_t value;
    if (!framing_number(bytes_of_text(text), &value) || value > 65535)
        return false;
    *port = (int)value;
    return true;
}

/* The host without its brackets; empty for all addresses. */
static bool read_host(const char *listen, const char *colon, char *host, size_t n_bytes)
{
    size_t n = colon ? (size_t)(colon - listen) : 0;
    if (n >= 2 && listen[0] == '[' && listen[n - 1] == ']') {
        listen++;
        n -= 2;
    }
    if (n >= n_bytes)
        return false;
    memcpy(host, listen, n);
    host[n] = '\0';
    return true;
}

static void set_v4(struct address *address, const char *host, int port)
{
    address->n_bytes = sizeof address->socket.v4;
    snprintf(address->text, sizeof address->text, "%s:%d", host, port);
}

static bool read_file_name(const char *listen, struct address *address, struct percept_err *err)
{
    const char *path = listen + strlen(UNIX);
    size_t n = strlen(path);
    struct address made = {.socket.file = {.sun_family = AF_UNIX}, .n_bytes = sizeof made.socket.file};
    if (path[0] != '/' || n >= sizeof made.socket.file.sun_path)
        return refuse(listen, err);
    memcpy(made.socket.file.sun_path, path, n);
    snprintf(made.text, sizeof made.text, "%s", listen);
    *address = made;
    return true;
}

static bool read_bare(const char *listen, int port, struct address *address, struct percept_err *err)
{
    static const char *const loopback[] = {"", "*", "0.0.0.0", "localhost"};
    char host[64];
    int own_port;
    if (strncmp(listen, UNIX, strlen(UNIX)) == 0)
        return read_file_name(listen, address, err);
    const char *colon = strrchr(listen, ':');
    if (!read_port(colon ? colon + 1 : listen, &own_port) || !read_host(listen, colon, host, sizeof host))
        return refuse(listen, err);
    for (size_t i = 0; i < sizeof loopback / sizeof *loopback; i++)
        if (strcmp(host, loopback[i]) == 0)
            snprintf(host, sizeof host, "127.0.0.1");
    if (strcmp(host, "::") == 0)
        snprintf(host, sizeof host, "::1");
    int used = port ? port : own_port;
    struct address made = {.socket.v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)used)}};
    if (inet_pton(AF_INET, host, &made.socket.v4.sin_addr) == 1) {
        set_v4(&made, host, used);
    } else {
        made.socket.v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)used)};
        if (inet_pton(AF_INET6, host, &made.socket.v6.sin6_addr) != 1)
            return refuse(listen, err);
        made.n_bytes = sizeof made.socket.v6;
        snprintf(made.text, sizeof made.text, "[%s]:%d", host, used);
    }
    *address = made;
    return true;
}

bool address_read(const char *listen, int port, struct address *address, struct percept_err *err)
{
    struct place place;
    return place_read(listen, &place, err) && read_bare(place.address, port, address, err);
}
