#include "proxy/reach/connect_options.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/reach/connect_socket.h"
#include "proxy/reach/trust.h"

/* How long one family of addresses has before the other one is tried beside it (RFC 8305 5 recommends 250 ms, libcurl
 * takes 200). */
#define OTHER_FAMILY_MS 200

static void connect_options_set_address(void *easy, const struct address *address)
{
    char url[512];

    switch (address->kind) {
    case ADDRESS_UNIX:
        curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, connect_socket_path(address));
        curl_easy_setopt(easy, CURLOPT_URL, "http://localhost/");
        return;
    case ADDRESS_ABSTRACT:
        curl_easy_setopt(easy, CURLOPT_ABSTRACT_UNIX_SOCKET, address->name);
        curl_easy_setopt(easy, CURLOPT_URL, "http://localhost/");
        return;
    default:
        snprintf(url, sizeof(url), strchr(address->name, ':') ? "%s://[%s]:%u/" : "%s://%s:%u/",
                 address->kind == ADDRESS_HTTPS ? "https" : "http", address->name, (unsigned)address->port);
        curl_easy_setopt(easy, CURLOPT_URL, url);
    }
}

static void connect_options_set_tls(void *easy, const struct tls_config *tls)
{
    static const long versions[] = {
        [TLS_VERSION_1_2] = CURL_SSLVERSION_TLSv1_2, [TLS_VERSION_1_3] = CURL_SSLVERSION_TLSv1_3};
    const char *ca = trust_ca_file(tls), *directory = trust_ca_directory(tls);

    curl_easy_setopt(easy, CURLOPT_SSL_ENABLE_ALPN, 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, tls->verify ? 1L : 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, tls->verify ? 2L : 0L);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, versions[tls->min_version]);
    if (tls->ca)
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    if (ca)
        curl_easy_setopt(easy, CURLOPT_CAINFO, ca);
    if (directory)
        curl_easy_setopt(easy, CURLOPT_CAPATH, directory);
    /* What was read once says nothing of what is believed now; and who resumes a session does not look at all. */
    curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L);
    if (tls->cert)
        curl_easy_setopt(easy, CURLOPT_SSLCERT, tls->cert);
    if (tls->key)
        curl_easy_setopt(easy, CURLOPT_SSLKEY, tls->key);
}

/* The certificate is checked against the host of the URL, so a server_name becomes the URL's host and
 * CURLOPT_CONNECT_TO leads back to the endpoint. */
static int connect_options_set_server_name(void *easy, const struct destination *to, struct curl_slist **ret_list)
{
    const struct address *address = to->address;
    char text[1024];

    snprintf(text, sizeof(text), strchr(address->name, ':') ? "::[%s]:%u" : "::%s:%u", address->name,
             (unsigned)address->port);
    *ret_list = curl_slist_append(NULL, text);
    if (!*ret_list)
        return -ENOMEM;
    snprintf(text, sizeof(text), "https://%s:%u/", to->tls->server_name, (unsigned)address->port);
    curl_easy_setopt(easy, CURLOPT_URL, text);
    curl_easy_setopt(easy, CURLOPT_CONNECT_TO, *ret_list);
    return 0;
}

int connect_options_set(void *easy, const struct destination *to, uint64_t timeout_ms, struct curl_slist **ret_list)
{
    *ret_list = NULL;
    connect_options_set_address(easy, to->address);
    curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)(timeout_ms ? timeout_ms : 1));
    /* However little time there is, half of it is the other family's. */
    curl_easy_setopt(easy, CURLOPT_HAPPY_EYEBALLS_TIMEOUT_MS,
                     (long)(timeout_ms / 2 < OTHER_FAMILY_MS ? timeout_ms / 2 : OTHER_FAMILY_MS));
    if (to->address->kind != ADDRESS_HTTPS)
        return 0;
    connect_options_set_tls(easy, to->tls);
    return to->tls->server_name ? connect_options_set_server_name(easy, to, ret_list) : 0;
}

/* The entry is put in the multi handle's cache when the transfer begins, in the place of the one before, and used in
 * the same turn: that it stays there does no harm, since no transfer to a host name begins without one. */
int connect_options_set_addresses(void *easy, const struct address *to, const struct addresses *addresses,
                                  struct curl_slist **ret_list)
{
    char *entry = addresses_for_libcurl(addresses, to->name, to->port);

    *ret_list = entry ? curl_slist_append(NULL, entry) : NULL;
    free(entry);
    if (!*ret_list)
        return -ENOMEM;
    curl_easy_setopt(easy, CURLOPT_RESOLVE, *ret_list);
    return 0;
}
