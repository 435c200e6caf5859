/*
 * access.h - a line for each request: who asked for what, what became of it, and how long it took.
 *
 *     access_begin(exchange, address);      its head has come
 *     access_end(exchange, whole);          the last byte of the reply is out, or the client has left
 *
 * Does nothing without --access-log. Thread: the loop's.
 */
#ifndef HTTP_ACCESS_H
#define HTTP_ACCESS_H

#include "http/exchange.h"

struct sockaddr;

void access_begin(struct exchange *exchange, const struct sockaddr *address);
void access_end(const struct exchange *exchange, bool whole);

#endif
