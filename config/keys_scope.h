/* Where keys have a meaning (struct key_scope), for the tables of keys. */
#ifndef PORTHOLE_CONFIG_KEYS_SCOPE_H
#define PORTHOLE_CONFIG_KEYS_SCOPE_H

#include "config/key.h"

extern const struct key_scope keys_scope_file, keys_scope_peers, keys_scope_made, keys_scope_http, keys_scope_http_time,
    keys_scope_tls, keys_scope_forwards, keys_scope_responds, keys_scope_denies, keys_scope_redirects,
    keys_scope_no_file;

#endif
