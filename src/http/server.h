/*
 * server.h - HTTP/1.1 on the loop: listening sockets, their connections, their deadlines, and a
 * stop that answers everything it accepted.
 *
 *     const char *const places[] = {"127.0.0.1:8000", "unix:/run/perceptd.sock"};
 *     struct server *server = server_new(loop, catalog, settings, places, 2, &err);
 *     loop_run(loop);                        ... a signal arrives:
 *     server_drain(server, drained, user);   the first time
 *     server_stop(server);                   the second time: requests that still run are given up
 *
 *     static void drained(void *user) { server_free(server); loop_stop(loop); }
 *
 * The loop, the catalog and the settings are the caller's and outlive the server. Threads: the
 * loop's only. A server must be drained before it is freed, and the catalog is drained by it: see
 * server_drain.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include "serve/catalog.h"
#include "serve/loop.h"
#include "serve/repository.h"
#include "serve/settings.h"

struct server;

/* Reads the API keys, opens the doors and answers from the next turn of the loop on. A place is
 * ADDRESS:PORT ("127.0.0.1:8000", "[::1]:8000", "localhost:8000"), "PORT" on 127.0.0.1, ":PORT"
 * for all addresses of this host, "unix:/PATH", or "fd:N" for a listening socket that somebody passed
 * (systemd: fd:3 and on). Port 0 takes a free one. What can be asked is the same at all of them. The texts
 * outlive the server. NULL with a sentence, which names the place, when that is impossible. */
struct server *server_new(struct loop *loop, struct catalog *catalog, struct repository *repository,
                          const struct settings *settings, const char *const *places, int n_places,
                          struct percept_err *err);

/* Reads the API keys again. On failure those that were there stay. */
bool server_read_keys(struct server *server, struct percept_err *err);

/* Has the TLS certificate read again, for connections to come; the log says what became of it. */
void server_read_certificate(struct server *server);
bool server_speaks_tls(const struct server *server, int place);

/* The port that is listened on at that place; 0 for a socket without one (Unix). */
int server_port(const struct server *server, int place);

/* Clients that are connected. */
int server_connections(const struct server *server);

/* Begins the orderly stop; `done` is called once, from the loop, when the last reply is out,
 * the doors are closed and the catalog has drained. At once: /v2/health/ready says 503 and
 * replies say "Connection: close"; requests are still served. After settings->drain_delay_ms:
 * the doors close, idle connections end, requests that were accepted are still served. After
 * settings->drain_timeout_ms more: what still runs is abandoned with 503 "Server exiting". The
 * server calls catalog_drain itself, at the end. */
void server_drain(struct server *server, void (*done)(void *user), void *user);

/* After server_drain: skips what is left of its waits; `done` follows as soon as no worker has
 * a request. */
void server_stop(struct server *server);

/* After `done` (also from within it), or when server_drain was never called and nothing was
 * accepted. Its handles leave the loop in the next turn. NULL is accepted. */
void server_free(struct server *server);

#endif
