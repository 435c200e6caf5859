/*
 * listen.h - a listening socket: "ADDRESS:PORT", ":PORT" (all addresses), "PORT" (127.0.0.1),
 * "unix:/PATH" or "fd:N" for one that somebody passed, and behind it what place.h reads. Non-blocking
 * and closed on exec. Addresses are numbers (or "localhost"): nothing is looked up, so that a start
 * never waits for a name server.
 *
 *     struct listener listener;
 *     if (listen_open("127.0.0.1:8080", &listener, &err)) ...
 *     listen_bolt(&listener);       nobody new comes; accept() takes in whoever is in the queue
 *     listen_close(&listener);
 */
#ifndef HTTP_LISTEN_H
#define HTTP_LISTEN_H

#include <sys/types.h>

#include "http/place.h"
#include "percept.h"

/* One place; what holds for it alone belongs here. */
struct listener {
    const char *where;  /* as it was asked for; the caller's */
    struct place place; /* the same, read */
    bool passed;        /* others may hold it as well, and go on with it */
    const char *path;   /* of a socket file of ours, or NULL */
    dev_t device;       /* of the file, */
    ino_t inode;        /* for another may be in its place */
    int fd;             /* -1: closed */
    int port;           /* that it got; 0: it has none */
};

/* False with a sentence when it cannot be had; the listener is then closed. A socket file is made
 * with mode 0660, if none is said; one that is there and that nobody listens at is replaced. */
bool listen_open(const char *where, struct listener *listener, struct percept_err *err);

/* Does `where` name a socket that somebody else opened, and may still hold? */
bool listen_passed(const char *where);

/* Its descriptor, whether or not it is open. False with a sentence when no number stands there. */
bool listen_descriptor(const char *where, int *fd, struct percept_err *err);

/* Before it is closed: who is in the queue stays there, and nobody joins. Not where it was passed:
 * what comes there waits for whoever serves next. */
void listen_bolt(struct listener *listener);

/* Resets whoever is in the queue. Removes the socket file, if it is still ours. */
void listen_close(struct listener *listener);

#endif
