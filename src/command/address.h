/*
 * address.h - where a client on this host finds the server that listens at "ADDRESS:PORT" or "unix:/PATH": the
 * loopback where it listens on all addresses, or a socket file.
 */
#ifndef COMMAND_ADDRESS_H
#define COMMAND_ADDRESS_H

#include <netinet/in.h>
#include <sys/un.h>

#include "percept.h"

struct address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un file;
    } socket;
    socklen_t n_bytes;
    char text[120]; /* "127.0.0.1:8080", "[::1]:8080", "unix:/run/perceptd.sock" */
};

/* `port` takes the place of the one in `listen` when it is not 0. Refuses what has no address
 * (fd:N). */
bool address_read(const char *listen, int port, struct address *address, struct percept_err *err);

#endif
