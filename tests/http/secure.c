/* secure.c - see secure.h. */
#include "secure.h"

#include "folder.h"

#include <check.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_S 20
#define PEM_BYTES 8192

const char *secure_header = "";
gnutls_datum_t secure_ticket;

static void good(int status)
{
    ck_assert_msg(status >= 0, "%s", gnutls_strerror(status));
}

static void set_up(struct identity *identity, const char *name, const struct identity *issuer)
{
    static unsigned char serial = 1;
    gnutls_x509_crt_t crt = identity->crt;
    serial++;
    good(gnutls_x509_crt_set_version(crt, 3));
    good(gnutls_x509_crt_set_serial(crt, &serial, 1));
    good(gnutls_x509_crt_set_activation_time(crt, time(NULL) - 3600));
    good(gnutls_x509_crt_set_expiration_time(crt, time(NULL) + 86400));
    good(gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, name, (unsigned)strlen(name)));
    good(gnutls_x509_crt_set_key(crt, identity->key));
    good(gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, "localhost", 9, GNUTLS_FSAN_SET));
    if (!issuer)
        good(gnutls_x509_crt_set_basic_constraints(crt, 1, -1));
    good(gnutls_x509_crt_sign2(crt, issuer ? issuer->crt : crt, issuer ? issuer->key : identity->key, GNUTLS_DIG_SHA256,
                               0));
}

static const char *put(const char *name, const char *ends, const void *bytes, size_t n)
{
    char file[64];
    snprintf(file, sizeof file, "%s.%s", name, ends);
    folder_put(file, bytes, n);
    return folder_at(file);
}

void identity_make(struct identity *identity, const char *name, const struct identity *issuer)
{
    char pem[PEM_BYTES];
    size_t n = sizeof pem;
    good(gnutls_x509_privkey_init(&identity->key));
    good(gnutls_x509_privkey_generate(identity->key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1),
                                      0));
    good(gnutls_x509_crt_init(&identity->crt));
    set_up(identity, name, issuer);
    good(gnutls_x509_crt_export(identity->crt, GNUTLS_X509_FMT_PEM, pem, &n));
    identity->cert_path = put(name, "crt", pem, n);
    n = sizeof pem;
    good(gnutls_x509_privkey_export(identity->key, GNUTLS_X509_FMT_PEM, pem, &n));
    identity->key_path = put(name, "key", pem, n);
}

void identity_free(struct identity *identity)
{
    gnutls_x509_crt_deinit(identity->crt);
    gnutls_x509_privkey_deinit(identity->key);
}

static void note_peer(struct secure *secure)
{
    unsigned n = 0;
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(secure->session, &n);
    gnutls_x509_crt_t crt;
    size_t n_bytes = sizeof secure->peer;
    if (!n)
        return;
    good(gnutls_x509_crt_init(&crt));
    good(gnutls_x509_crt_import(crt, chain, GNUTLS_X509_FMT_DER));
    good(gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, 0, secure->peer, &n_bytes));
    gnutls_x509_crt_deinit(crt);
}

void secure_open(struct secure *secure, const struct daemon *daemon, const char *priorities, const struct identity *own)
{
    static struct client client;
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    client_open_door(&client, daemon);
    client_send(&client, secure_header);
    secure->fd = client.fd;
    secure->n_bytes = 0;
    secure->alert = -1;
    secure->peer[0] = '\0';
    setsockopt(secure->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(secure->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    good(gnutls_certificate_allocate_credentials(&secure->credentials));
    if (own)
        good(gnutls_certificate_set_x509_key_file(secure->credentials, own->cert_path, own->key_path,
                                                  GNUTLS_X509_FMT_PEM));
    good(gnutls_init(&secure->session, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL));
    good(gnutls_priority_set_direct(secure->session, priorities, NULL));
    good(gnutls_credentials_set(secure->session, GNUTLS_CRD_CERTIFICATE, secure->credentials));
    if (secure_ticket.size)
        good(gnutls_session_set_data(secure->session, secure_ticket.data, secure_ticket.size));
    gnutls_transport_set_int(secure->session, secure->fd);
    do
        secure->status = gnutls_handshake(secure->session);
    while (secure->status < 0 && !gnutls_error_is_fatal(secure->status) && secure->status != GNUTLS_E_AGAIN);
    if (secure->status == GNUTLS_E_FATAL_ALERT_RECEIVED)
        secure->alert = (int)gnutls_alert_get(secure->session);
    if (secure->status == 0)
        note_peer(secure);
}

void secure_send(struct secure *secure, const char *text)
{
    for (size_t left = strlen(text); left;) {
        const ssize_t n = gnutls_record_send(secure->session, text, left);
        if (n < 0 && gnutls_error_is_fatal((int)n))
            return; /* the reply tells */
        text += n > 0 ? n : 0;
        left -= n > 0 ? (size_t)n : 0;
    }
}

/* 1: bytes came, 0: the end, -1: it was cut. */
static int receive(struct secure *secure)
{
    struct pollfd more = {.fd = secure->fd, .events = POLLIN};
    const size_t room = sizeof secure->bytes - 1 - secure->n_bytes;
    ssize_t n;
    do
        n = gnutls_record_recv(secure->session, secure->bytes + secure->n_bytes, room);
    while (n < 0 && !gnutls_error_is_fatal((int)n) && poll(&more, 1, PATIENCE_S * 1000) == 1);
    ck_assert_msg(n >= 0 || gnutls_error_is_fatal((int)n), "the server does not answer");
    if (n == GNUTLS_E_FATAL_ALERT_RECEIVED)
        secure->alert = (int)gnutls_alert_get(secure->session);
    secure->n_bytes += n > 0 ? (size_t)n : 0;
    secure->bytes[secure->n_bytes] = '\0';
    return n > 0 ? 1 : n == 0 ? 0 : -1;
}

int secure_reply(struct secure *secure)
{
    int came = 1;
    const char *end;
    secure->bytes[secure->n_bytes] = '\0';
    while (!(end = strstr(secure->bytes, "\r\n\r\n")) && came > 0)
        came = receive(secure);
    if (!end)
        return came;
    const char *length = strcasestr(secure->bytes, "\r\nContent-Length:");
    const size_t head = (size_t)(end - secure->bytes) + 4, n = length ? strtoul(length + 17, NULL, 10) : 0;
    ck_assert_uint_lt(n, sizeof secure->body);
    while (secure->n_bytes < head + n)
        ck_assert_int_eq(receive(secure), 1);
    const int status = atoi(secure->bytes + 9);
    memcpy(secure->body, secure->bytes + head, n);
    secure->body[n] = '\0';
    secure->n_bytes -= head + n;
    memmove(secure->bytes, secure->bytes + head + n, secure->n_bytes + 1);
    return status;
}

void secure_close(struct secure *secure)
{
    gnutls_deinit(secure->session);
    gnutls_certificate_free_credentials(secure->credentials);
    close(secure->fd);
}
