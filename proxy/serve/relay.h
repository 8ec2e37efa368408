/* Answers past the library that do not leave at once: relayed piece by piece as the client takes them, while the
 * library goes on receiving the request. Both directions of an exchange at the same time.
 *
 * The connection goes on when the request ends in time: before its answer does, or soon after (CLIENT_REST), if what is
 * still to come is little. */
#ifndef PORTHOLE_SERVE_RELAY_H
#define PORTHOLE_SERVE_RELAY_H

#include "proxy/exchange/source.h"
#include "proxy/serve/client.h"

/* Tells the exchange's answer, or begins to relay it; cuts the client when there is none. */
void relay_answer(struct client *client);
/* Begins to relay an answer of any kind but a tunnel, after which the connection ends if the answer says so. */
void relay_begin(struct client *client, const struct answer *answer);

/* A relayed answer may be able to go on: the target has something, or the client's socket has room. */
void relay_wake(struct client *client);
/* Whether relays_turn has something to do. */
bool relays_are_ready(const struct clients *clients);
/* Moves relayed answers on; not from within the library. */
void relays_turn(struct clients *clients);
/* Neither direction has moved for the body's time. */
void relay_timeout(struct client *client);
/* Gives back what a relay holds; harmless when there is none. */
void relay_drop(struct client *client);

#endif
