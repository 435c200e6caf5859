/*
 * tls.h - TLS at doors, taken off before microhttpd: each connection has a pair of sockets; microhttpd holds one end,
 * and threads of this file move bytes between the other and the client.
 *
 *     struct tls *tls = tls_new(settings, &err);
 *     tls_take(tls, fd, pair[1])         both are its own now; microhttpd gets pair[0]
 *     tls_ended_fd(tls)                  readable when some of them have ended;
 *     n -= tls_ended(tls, &n_failed)     how many since it was asked last
 *     tls_free(tls)                      cuts those that are left
 *
 * What happens at one end happens at the other: a client's goodbye (close_notify) ends what can be read from the pair,
 * and a client that is gone without one, or whose handshake fails, closes it. Where microhttpd's end is closed or shut
 * down the client is told goodbye behind the last byte, and its connection closed: at once, or when the client does
 * not take what is left for `body_timeout_ms`. No handshake is waited for: whoever holds the other end shuts it down.
 *
 * Thread: the loop's calls all of these; none waits for a handshake or a client.
 */
#ifndef HTTP_TLS_H
#define HTTP_TLS_H

#include <stdbool.h>
#include <stdint.h>

#include "percept.h"
#include "serve/settings.h"

struct tls;

/* Reads the files of the settings, which outlive it, and starts its threads. NULL with a sentence. */
struct tls *tls_new(const struct settings *settings, struct percept_err *err);

/* Has the files read again, for those who come from then on; those that cannot be leave what was, and a line in the
 * log. */
void tls_reload(struct tls *tls);

/* False where it cannot be had; both are closed then. `proxied`: a header of the PROXY protocol stands before the
 * handshake, and is passed on as it is. */
bool tls_take(struct tls *tls, int fd, int pair, bool proxied);

int tls_ended_fd(const struct tls *tls);

/* Adds to `n_failed` those of them whose handshake never was over. */
int tls_ended(struct tls *tls, uint64_t *n_failed);

/* Nobody waits long any more for clients that do not take what is left for them. */
void tls_stop_waiting(struct tls *tls);

/* NULL is accepted. */
void tls_free(struct tls *tls);

#endif
