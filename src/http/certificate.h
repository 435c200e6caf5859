/*
 * certificate.h - whom a TLS door shows itself to be and whom it lets in: the files of --tls-cert, --tls-key and
 * --tls-client-ca, read, and sessions of GnuTLS made of them.
 *
 *     struct certificate *certificate = certificate_read(settings, &err);
 *     struct gnutls_session_int *session = certificate_session(certificate);
 *     certificate_done(certificate, session);        its handshake is over, well or not
 *     certificate_drop(certificate);                 another one takes its place: freed behind its last handshake
 *
 * TLS 1.3 and 1.2, with forward secrecy and authenticated encryption alone. Owned by one thread at a time.
 */
#ifndef HTTP_CERTIFICATE_H
#define HTTP_CERTIFICATE_H

#include "percept.h"
#include "serve/settings.h"

struct certificate;
struct gnutls_session_int; /* gnutls_session_t points at it */

/* NULL with a sentence that names the file. The key's bytes are overwritten where they were read to. */
struct certificate *certificate_read(const struct settings *settings, struct percept_err *err);

/* Of the server's side, without a transport; NULL: memory is short. The caller frees it (gnutls_deinit). */
struct gnutls_session_int *certificate_session(struct certificate *certificate);

/* The session goes on without it. */
void certificate_done(struct certificate *certificate, struct gnutls_session_int *session);
void certificate_drop(struct certificate *certificate);

/* Do the files make one? True as well where none are named. */
bool certificate_check(const struct settings *settings, struct percept_err *err);

#endif
