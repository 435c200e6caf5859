/*
 * receive.h - stands between microhttpd and the sockets it reads, so that it gets only bytes that
 * stream.h has judged.
 *
 *     connection->receiver = (struct receiver){.on_fault = on_fault, .user = server};
 *     receive_watch(fd, &connection->receiver)          false: memory is short
 *     receive_forget(fd)                                before the descriptor is closed
 *     receive_end()                                     with the server: gives the table back
 *
 * What comes before the bad request is passed on. From the fault on nothing is, and `on_fault` is
 * called, once, from within microhttpd's reading: it may not call microhttpd. Thread: the loop's;
 * a descriptor that is not watched is read as ever.
 *
 * A header of the PROXY protocol that is no such thing is a fault as well; its state tells.
 */
#ifndef HTTP_RECEIVE_H
#define HTTP_RECEIVE_H

#include "http/proxy.h"
#include "http/stream.h"

struct receiver {
    struct proxy proxy; /* where one is expected, it comes first, and is kept from microhttpd */
    struct stream stream;
    bool held; /* what has come stays in the socket */
    void (*on_fault)(void *user, struct receiver *receiver);
    void *user;
};

bool receive_watch(int fd, struct receiver *receiver);
void receive_forget(int fd);
void receive_end(void);

#endif
