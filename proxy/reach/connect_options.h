/* What is set on an easy handle so that it connects to one endpoint, and does nothing else. */
#ifndef PORTHOLE_REACH_CONNECT_OPTIONS_H
#define PORTHOLE_REACH_CONNECT_OPTIONS_H

#include <stdint.h>

#include "config/snapshot.h"

struct curl_slist;

/* Where to: an address, and who is believed and shown there. Texts are borrowed from its owner. */
struct destination {
    const struct address *address;
    const struct tls_config *tls; /* of an https address */
};

/* 0; or -ENOMEM. *ret_list is the caller's, who must keep it as long as the handle; NULL when there is none. */
int connect_options_set(void *easy, const struct destination *to, uint64_t timeout_ms,
                        struct curl_slist **ret_list) WARN_UNUSED;

#endif
