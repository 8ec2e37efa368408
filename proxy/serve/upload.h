/* Large bodies of requests, moved beside the library: from the client's socket to the target's without a copy
 * (splice(2)), where the length is known.
 *
 * The library has called with what it had read of the body, which is all that it had. If enough is still to come, the
 * connection stays suspended while we move it. In the end, or when something else comes up (an answer before the end, a
 * failure, a client that has closed its side), the library is told how much that was (receipt.h) and goes on as if it
 * had received it. */
#ifndef PORTHOLE_SERVE_UPLOAD_H
#define PORTHOLE_SERVE_UPLOAD_H

#include "proxy/serve/client.h"

/* From within the library, when the exchange has taken what it called with: moves what is there, and suspends the
 * client when more is to come, if the body is one that is moved. */
void upload_begin(struct client *client);
/* The body may be able to go on. False when none is being moved. */
bool upload_wake(struct client *client);
/* Whether a body is being moved that waits for the client to send. */
bool upload_listens(const struct client *client);
/* Whether uploads_turn has something to do. */
bool uploads_are_ready(const struct clients *clients);
/* Moves bodies on, as many as a turn has room for; not from within the library. */
void uploads_turn(struct clients *clients);
/* Gives the body back to the library; harmless when none is being moved. */
void upload_end(struct client *client);
/* Forgets it; harmless when there is none. */
void upload_drop(struct client *client);

#endif
