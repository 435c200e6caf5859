/*
 * secure.h - for tests: certificates that are made when they are needed, and a client that speaks TLS.
 *
 *     struct identity ca, server;
 *     identity_make(&ca, "authority", NULL);               files beneath folder_root
 *     identity_make(&server, "localhost", &ca);            server.cert_path, server.key_path
 *     struct secure secure;
 *     secure_open(&secure, &daemon, SECURE_ANY, NULL);     at the daemon's second door; secure.status 0: it is let in
 *     secure_send(&secure, "GET /v2 HTTP/1.1\r\nHost: x\r\n\r\n");
 *     ck_assert_int_eq(secure_reply(&secure), 200);        the body is secure.body
 *     secure_close(&secure);
 *
 * Keys are on the curve P-256, which takes no time. A client gives up after some seconds.
 */
#ifndef TESTS_HTTP_SECURE_H
#define TESTS_HTTP_SECURE_H

#include "daemon.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#define SECURE_ANY "NORMAL"
#define SECURE_ONLY(version) "NORMAL:-VERS-ALL:+VERS-TLS" version

struct identity {
    gnutls_x509_crt_t crt;
    gnutls_x509_privkey_t key;
    const char *cert_path, *key_path;
};

void identity_make(struct identity *identity, const char *name, const struct identity *issuer);
void identity_free(struct identity *identity);

struct secure {
    int fd;
    gnutls_session_t session;
    gnutls_certificate_credentials_t credentials;
    int status; /* of the handshake */
    int alert;  /* that came last; -1: none */
    size_t n_bytes;
    char bytes[1 << 17]; /* came and not yet taken */
    char body[1 << 16];
    char peer[64]; /* the name on its certificate */
};

/* What stands before the handshakes of those that are opened from now on. */
extern const char *secure_header;

/* What a session before gave, to go on with it (gnutls_session_get_data2); without bytes: nothing. */
extern gnutls_datum_t secure_ticket;

void secure_open(struct secure *secure, const struct daemon *daemon, const char *priorities,
                 const struct identity *own);
void secure_send(struct secure *secure, const char *text);
int secure_reply(struct secure *secure); /* the next one's status; 0: the end, with goodbye; -1: without */
void secure_close(struct secure *secure);

#endif
