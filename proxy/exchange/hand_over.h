/* Clients that become a tunnel's: an exchange that leaves HTTP, and those of stream listeners, who never were in it. */
#ifndef PORTHOLE_EXCHANGE_HAND_OVER_H
#define PORTHOLE_EXCHANGE_HAND_OVER_H

#include "proxy/exchange/exchange.h"

/* An ANSWER_TUNNEL has been told: the exchange goes on as a tunnel (tunnel_join) and its own end tells nothing more.
 * client->fd and its pass are taken over in any case. 0 or a negative errno: then it has failed. */
int exchange_tunnel(struct exchange *exchange, struct tunnel_client *client, struct text early) WARN_UNUSED;

/* Begins a stream listener's tunnel. The same contract; there is no exchange, and a failure has been recorded. */
int exchange_stream(struct exchange_env *env, struct tunnel_client *client, struct text peer) WARN_UNUSED;

#endif
