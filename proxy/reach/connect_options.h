/* What is set on an easy handle so that it connects to one endpoint, and does nothing else. */
#ifndef PORTHOLE_REACH_CONNECT_OPTIONS_H
#define PORTHOLE_REACH_CONNECT_OPTIONS_H

#include <stdint.h>

#include "config/snapshot.h"
#include "proxy/reach/addresses.h"

struct curl_slist;

/* Where to: an address, and who is believed and shown there. Texts are borrowed from its owner. */
struct destination {
    const struct address *address;
    const struct tls_config *tls; /* of an https address */
    uint64_t resolve_every_ms;    /* how old may be what is known of its host name */
};

/* 0; or -ENOMEM. *ret_list is the caller's, who must keep it as long as the handle; NULL when there is none. */
int connect_options_set(void *easy, const struct destination *to, uint64_t timeout_ms,
                        struct curl_slist **ret_list) WARN_UNUSED;

/* Where the destination's host name leads to, so that libcurl does not ask. 0; or -ENOMEM. *ret_list is the caller's,
 * who must keep it until the handle has connected, and then set CURLOPT_RESOLVE to NULL where the handle lives on. */
int connect_options_set_addresses(void *easy, const struct address *to, const struct addresses *addresses,
                                  struct curl_slist **ret_list) WARN_UNUSED;

#endif
