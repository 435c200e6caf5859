/*
 * address.h - where a client on this host finds the server that listens at "ADDRESS:PORT": the
 * loopback where it listens on all addresses.
 */
#ifndef COMMAND_ADDRESS_H
#define COMMAND_ADDRESS_H

#include <netinet/in.h>

#include "percept.h"

struct address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } socket;
    socklen_t n_bytes;
    char text[64]; /* "127.0.0.1:8080", "[::1]:8080" */
};

/* `port` takes the place of the one in `listen` when it is not 0. Refuses what has no address
 * (fd:N). */
bool address_read(const char *listen, int port, struct address *address, struct percept_err *err);

#endif
