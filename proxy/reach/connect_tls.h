/* What a TLS connection agrees on, for logs and metrics. */
#ifndef PORTHOLE_REACH_CONNECT_TLS_H
#define PORTHOLE_REACH_CONNECT_TLS_H

#include "proxy/reach/channel.h"

/* Embedded in its owner, for as long as the transfer is at work. */
struct connect_tls {
    void *easy; /* borrowed */
    struct channel_tls_facts
        facts; /* all zero before it stands, and where libcurl has TLS from elsewhere than OpenSSL */
};

/* Before `easy` is set to work. */
void connect_tls_begin(struct connect_tls *tls, void *easy);
/* After it: the handle may outlive `tls`. */
void connect_tls_end(struct connect_tls *tls);

#endif
