/*
 * peer.h - who a client is: the other end of its connection, or, where that is a proxy that we trust, who the proxy
 * says it speaks for (X-Forwarded-For).
 *
 *     struct peers trusted;
 *     peer_read((const char *const[]){"10.0.0.0/8", "::1", "unix"}, 3, &trusted, &err);
 *     char text[PEER_TEXT];
 *     peer_client(&trusted, address, forwarded, n, text);
 *
 * Pure functions but for the list's memory; any thread.
 */
#ifndef HTTP_PEER_H
#define HTTP_PEER_H

#include <stdbool.h>
#include <sys/socket.h>

#include "base/bytes.h"
#include "percept.h"

#define PEER_TEXT 64 /* room for any address */

struct peer_range {
    uint8_t address[16]; /* IPv6, or IPv4 as ::ffff:a.b.c.d */
    int bits;
};

struct peers {
    int n;
    struct peer_range *ranges;
    bool local; /* whoever comes by a socket file */
};

/* ADDRESS, ADDRESS/BITS or "unix". False with a sentence that names the wrong one. */
bool peer_read(const char *const *texts, int n, struct peers *peers, struct percept_err *err);
void peer_free(struct peers *peers);

/* Is that one of them? */
bool peer_is_trusted(const struct peers *trusted, const struct sockaddr *from);

/* The client's address, without port; "unix" for a socket file, "?" where it is not known. `forwarded` are the values
 * of X-Forwarded-For, in their order: they are read from the right, past those that are trusted. */
void peer_client(const struct peers *trusted, const struct sockaddr *from, const struct bytes *forwarded, int n,
                 char text[PEER_TEXT]);

#endif
