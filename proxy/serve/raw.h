/* Answers past the library, which cannot queue one while the client is still sending: written to the client's
 * descriptor by hand, after which the connection ends.
 *
 * A short answer is told at once. A stream is relayed, piece by piece as the client takes it, while the library goes on
 * receiving the request: both directions of an exchange at the same time. */
#ifndef PORTHOLE_SERVE_RAW_H
#define PORTHOLE_SERVE_RAW_H

#include "proxy/exchange/source.h"
#include "proxy/serve/client.h"

/* Sends an interim response, unless the client has no room for it. Never ends the exchange. */
void raw_interim(struct client *client, unsigned status, const struct fields *fields);
/* Sends a whole answer that lies in memory. */
void raw_tell(struct client *client, const struct answer *answer);
/* Tells the exchange's answer, or begins to relay it; cuts the client when there is none. */
void raw_answer(struct client *client);
/* Begins to relay an answer of any kind but a tunnel. */
void raw_relay(struct client *client, const struct answer *answer);

/* A relayed answer may be able to go on: the target has something, or the client's socket has room. */
void raw_wake(struct client *client);
/* Whether raw_turn has something to do. */
bool raw_is_ready(const struct clients *clients);
/* Moves relayed answers on; not from within the library. */
void raw_turn(struct clients *clients);
/* Neither direction has moved for the body's time. */
void raw_timeout(struct client *client);
/* Gives back what a relay holds; harmless when there is none. */
void raw_drop(struct client *client);

#endif
