/* The client's side of an exchange, as the exchange sees it: implemented by the frontend (and by tests). */
#ifndef PORTHOLE_EXCHANGE_SIDE_H
#define PORTHOLE_EXCHANGE_SIDE_H

#include <sys/types.h>

#include "config/snapshot.h"
#include "proxy/http/fields.h"
#include "proxy/reach/generation.h"

struct exchange_client {
    /* Something changed: look at the exchange again (body room, answer, bytes of a body). May be called at any time
     * outside of a call into the exchange; must not call back at once. */
    void (*wake)(struct exchange_client *client);
    /* NULL, or: tells a 1xx before the answer; must not call back. Names and values are terminated. */
    void (*interim)(struct exchange_client *client, unsigned status, struct text reason, const struct fields *fields);
    /* Whether one of the rules fits the peer; `unknown_fits` is for what cannot be found out. */
    bool (*peer_fits)(struct exchange_client *client, const struct peer_rule *rules, size_t n_rules, bool unknown_fits);
    struct generation *generation;          /* a reference; stays what it is as long as there is an exchange */
    const struct listener_config *listener; /* borrowed from the generation */
    bool leaving;                           /* its listener is not served any more: answers close the connection */
    bool trusted;                           /* struct request */
    struct text address;                    /* struct forward: client_address, client_node */
    struct text node;
    struct text peer;         /* for the log */
    uid_t uid;                /* whose share of a target's places it takes; or SHARES_NOBODY */
    gid_t gid;                /* of the peer, like the next, when has_peer */
    pid_t pid;                /* 0: of another pid namespace */
    struct personal personal; /* connection of its own to a target */
    bool has_peer;            /* uid, gid and pid are the peer's */
    bool is_unix;             /* it came over a Unix socket */
};

#endif
