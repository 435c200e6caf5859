/*
 * listen.h - the door: "ADDRESS:PORT", ":PORT" (all addresses), "PORT" (127.0.0.1) or "fd:N" -> a
 * listening TCP socket, non-blocking and closed on exec. Addresses are numbers (or "localhost"):
 * nothing is looked up, so that a start never waits for a name server.
 */
#ifndef HTTP_LISTEN_H
#define HTTP_LISTEN_H

#include "percept.h"

/* -1 with a sentence when it cannot be had. The caller closes it. */
int listen_open(const char *where, struct percept_err *err);

/* Does `where` name a socket that somebody else opened, and may still hold? */
bool listen_passed(const char *where);

/* The port it got, 0 for a socket that has none. */
int listen_port(int fd);

#endif
