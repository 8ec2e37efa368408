/* libcurl tells neither the version nor, but by writing out a whole chain as text for each connection, until when a
 * certificate is good. It gives OpenSSL's own connection, though, which tells both for next to nothing. The functions
 * are weak: they are there with the libcurl that needs them, and nothing is linked for them besides. libcurl gives it
 * as long as the transfer has the connection: it is asked for when the connection stands and nothing was sent. */
#include "proxy/reach/connect_tls.h"

#include <curl/curl.h>
#include <time.h>

#include "proxy/reach/tls_setup.h"

#define WEAK __attribute__((weak))

/* <openssl/ssl.h>, <openssl/x509.h> and <openssl/asn1.h>, with all that they take as nothing but addresses. */
WEAK const char *SSL_get_version(const void *ssl);
WEAK void *SSL_get0_peer_certificate(const void *ssl); /* OpenSSL 3.0 */
WEAK void *SSL_get_certificate(const void *ssl);
WEAK const void *X509_get0_notAfter(const void *certificate);
WEAK int ASN1_TIME_to_tm(const void *time, struct tm *tm);

static bool connect_tls_can_look(void)
{
    return SSL_get_version && SSL_get0_peer_certificate && SSL_get_certificate && X509_get0_notAfter && ASN1_TIME_to_tm;
}

/* 0: there is none. */
static int64_t connect_tls_not_after(const void *certificate)
{
    struct tm tm;

    if (!certificate || !ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &tm))
        return 0;
    return timegm(&tm);
}

static void connect_tls_look(struct connect_tls *tls)
{
    struct curl_tlssessioninfo *session = NULL;
    const void *ssl;

    if (!connect_tls_can_look() || curl_easy_getinfo(tls->easy, CURLINFO_TLS_SSL_PTR, &session) != CURLE_OK ||
        !session || session->backend != CURLSSLBACKEND_OPENSSL || !session->internals)
        return;
    ssl = session->internals;
    tls->facts = (struct channel_tls_facts){.version = tls_label(SSL_get_version(ssl)),
                                            .not_after = connect_tls_not_after(SSL_get0_peer_certificate(ssl)),
                                            .own_not_after = connect_tls_not_after(SSL_get_certificate(ssl))};
}

static int connect_tls_on_standing(void *closure, char *there, char *here, int port_there, int port_here)
{
    (void)there;
    (void)here;
    (void)port_there;
    (void)port_here;
    connect_tls_look(closure);
    return CURL_PREREQFUNC_OK;
}

void connect_tls_begin(struct connect_tls *tls, void *easy)
{
    tls_setup_make_up();
    *tls = (struct connect_tls){.easy = easy};
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, connect_tls_on_standing);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, tls);
}

void connect_tls_end(struct connect_tls *tls)
{
    curl_easy_setopt(tls->easy, CURLOPT_PREREQFUNCTION, NULL);
    curl_easy_setopt(tls->easy, CURLOPT_PREREQDATA, NULL);
}
