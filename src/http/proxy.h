/*
 * proxy.h - the PROXY protocol, versions 1 and 2: what a proxy says of its client before the first byte of anything
 * else (HAProxy's proxy-protocol.txt, 2.1 and 2.2).
 *
 *     struct proxy proxy = {.expected = true};
 *     size_t n = proxy_take(&proxy, bytes, n_bytes);      the first n belong to the header
 *     proxy.state is PROXY_COMING, PROXY_DONE or PROXY_WRONG
 *     proxy.from                                          the client, or AF_UNSPEC: the proxy speaks for itself
 *
 * Bytes come in pieces of any size. A pure function of them; owns nothing, any thread.
 */
#ifndef HTTP_PROXY_H
#define HTTP_PROXY_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define PROXY_KEPT 108 /* version 1's longest line, and a NUL; version 2's head and addresses are shorter */

enum proxy_state { PROXY_COMING, PROXY_DONE, PROXY_WRONG };

struct proxy {
    bool expected; /* the caller's */
    enum proxy_state state;
    uint8_t kept[PROXY_KEPT];
    size_t n_kept;
    size_t n_left; /* of version 2's header, not kept */
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        sa_family_t family;
    } from;
};

size_t proxy_take(struct proxy *proxy, const void *bytes, size_t n_bytes);

#endif
