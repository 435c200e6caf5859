/*
 * certificate.c - reads certificates and keys, and makes GnuTLS' sessions of them (certificate.h).
 *
 * Resumption is by tickets, whose key is made with each certificate: who was let in by an authority that is trusted no
 * more has to show himself again. A session needs its certificate for the handshake alone, since it is never
 * negotiated again; so sessions under way are counted, and nothing else holds an old certificate.
 *
 * Thread: the loop's at the start, then tls.c's first one.
 */
#include "http/certificate.h"

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/file.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#define FILE_MAX_BYTES ((size_t)1 << 20)

/* RFC 9325, 3.1 and 4: nothing older than 1.2, no key exchange by RSA, no CBC. */
#define PRIORITIES                                                                                                     \
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-RSA:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305"

struct certificate {
    gnutls_certificate_credentials_t credentials;
    gnutls_priority_t priorities;
    gnutls_datum_t ticket_key;
    bool asks_clients; /* for a certificate of theirs */
    bool dropped;
    int n_handshakes; /* under way */
};

static void destroy(struct certificate *certificate)
{
    if (certificate->credentials)
        gnutls_certificate_free_credentials(certificate->credentials);
    if (certificate->priorities)
        gnutls_priority_deinit(certificate->priorities);
    if (certificate->ticket_key.data)
        gnutls_memset(certificate->ticket_key.data, 0, certificate->ticket_key.size);
    gnutls_free(certificate->ticket_key.data);
    arena_buffer_free(certificate);
}

static bool read_file(const char *option, const char *path, gnutls_datum_t *text, struct percept_err *err)
{
    struct bytes bytes;
    *text = (gnutls_datum_t){0};
    if (!file_read(path, FILE_MAX_BYTES, &bytes, NULL, err))
        return err_prefix(err, "%s: ", option) || err_config(err);
    *text = (gnutls_datum_t){(unsigned char *)(uintptr_t)bytes.at, (unsigned)bytes_size(bytes)};
    return true;
}

static void forget(gnutls_datum_t *text)
{
    if (text->data)
        gnutls_memset(text->data, 0, text->size);
    arena_buffer_free(text->data);
}

static bool set_pair(struct certificate *certificate, const struct settings *settings, struct percept_err *err)
{
    gnutls_datum_t chain, key = {0};
    bool good = read_file("--tls-cert", settings->tls_cert, &chain, err) &&
                read_file("--tls-key", settings->tls_key, &key, err);
    if (good) {
        const int status =
            gnutls_certificate_set_x509_key_mem2(certificate->credentials, &chain, &key, GNUTLS_X509_FMT_PEM, NULL, 0);
        good = status >= 0 || err_set(err, ERR_CONFIG,
                                      "--tls-cert '%s' and --tls-key '%s' are no certificate in PEM and its key, which "
                                      "no password protects: %s",
                                      settings->tls_cert, settings->tls_key, gnutls_strerror(status));
    }
    forget(&chain);
    forget(&key);
    return good;
}

static bool set_clients(struct certificate *certificate, const char *path, struct percept_err *err)
{
    gnutls_datum_t text;
    if (!path)
        return true;
    if (!read_file("--tls-client-ca", path, &text, err))
        return false;
    const int n = gnutls_certificate_set_x509_trust_mem(certificate->credentials, &text, GNUTLS_X509_FMT_PEM);
    forget(&text);
    certificate->asks_clients = true;
    return n > 0 || err_set(err, ERR_CONFIG, "--tls-client-ca '%s' holds no certificate in PEM%s%s", path,
                            n < 0 ? ": " : "", n < 0 ? gnutls_strerror(n) : "");
}

static bool fill(struct certificate *certificate, const struct settings *settings, struct percept_err *err)
{
    if (gnutls_certificate_allocate_credentials(&certificate->credentials) < 0 ||
        gnutls_session_ticket_key_generate(&certificate->ticket_key) < 0)
        return err_memory(err, "a certificate", FILE_MAX_BYTES);
    const int status = gnutls_priority_init(&certificate->priorities, PRIORITIES, NULL);
    if (status < 0)
        return err_set(err, ERR_CONFIG, "this host's GnuTLS does without TLS 1.2 and 1.3: %s", gnutls_strerror(status));
    return set_pair(certificate, settings, err) && set_clients(certificate, settings->tls_client_ca, err);
}

struct certificate *certificate_read(const struct settings *settings, struct percept_err *err)
{
    struct certificate *certificate;
    if (!settings->tls_cert || !settings->tls_key) {
        err_set(err, ERR_CONFIG, "TLS needs both --tls-cert and --tls-key");
        return NULL;
    }
    certificate = arena_buffer(sizeof *certificate);
    if (!certificate) {
        err_memory(err, "a certificate", sizeof *certificate);
        return NULL;
    }
    if (fill(certificate, settings, err))
        return certificate;
    destroy(certificate);
    return NULL;
}

static bool set_up(const struct certificate *certificate, gnutls_session_t session)
{
    static const gnutls_datum_t protocol = {(unsigned char *)(uintptr_t) "http/1.1", 8};
    if (gnutls_priority_set(session, certificate->priorities) < 0 ||
        gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, certificate->credentials) < 0 ||
        gnutls_alpn_set_protocols(session, &protocol, 1, 0) < 0 ||
        gnutls_session_ticket_enable_server(session, &certificate->ticket_key) < 0)
        return false;
    if (certificate->asks_clients) {
        static gnutls_typed_vdata_st purpose = {GNUTLS_DT_KEY_PURPOSE_OID,
                                                (unsigned char *)(uintptr_t)GNUTLS_KP_TLS_WWW_CLIENT, 0};
        gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUIRE);
        gnutls_session_set_verify_cert2(session, &purpose, 1, 0);
    }
    return true;
}

struct gnutls_session_int *certificate_session(struct certificate *certificate)
{
    gnutls_session_t session;
    if (gnutls_init(&session, GNUTLS_SERVER | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL) < 0)
        return NULL;
    if (!set_up(certificate, session)) {
        gnutls_deinit(session);
        return NULL;
    }
    certificate->n_handshakes++;
    return session;
}

void certificate_done(struct certificate *certificate, struct gnutls_session_int *session)
{
    gnutls_credentials_clear(session);
    if (--certificate->n_handshakes == 0 && certificate->dropped)
        destroy(certificate);
}

void certificate_drop(struct certificate *certificate)
{
    if (!certificate)
        return;
    certificate->dropped = true;
    if (!certificate->n_handshakes)
        destroy(certificate);
}

bool certificate_check(const struct settings *settings, struct percept_err *err)
{
    if (!settings->tls_cert && !settings->tls_key && !settings->tls_client_ca)
        return true;
    struct certificate *certificate = certificate_read(settings, err);
    certificate_drop(certificate);
    return certificate;
}
