/* Large bodies of answers, moved beside the library: from the target's socket to the client's without a copy
 * (splice(2)), or in large blocks where that cannot be.
 *
 * Of known length: the library tells the head, with the body's length, and what has arrived of the body, as if that
 * were all of it: both leave in one call. When they have left whole, and before it looks for another request, it
 * reports the end of this one: there we move what is still to come, and the connection is suspended until that is done.
 * What the library has read of the next request stays where it is meanwhile. What would be spliced is not received for
 * that. A body that is copied, since it is short, or a tap wants to see it, or the target speaks TLS, is as a rule
 * there whole.
 *
 * Of unknown length: when much of it comes at once, and what the library has been given has left, it is told that there
 * is nothing for now, and the connection is suspended while we move the rest, in chunks of our own if the client knows
 * them. In the end the library asks again, is told that it is the end, and says so to the client in its way: by the
 * last chunk and trailers, or by closing. */
#ifndef PORTHOLE_SERVE_BULK_H
#define PORTHOLE_SERVE_BULK_H

#include "proxy/exchange/source.h"
#include "proxy/serve/client.h"

/* Whether this answer's body is to be moved, of which the library is to tell only the head and the beginning: then the
 * client's request has a bulk. `close`: the connection ends after it. */
bool bulk_prepare(struct client *client, const struct answer *answer, bool close);
/* What is to leave with the head; good until bulk_begin. It may be empty. */
struct text bulk_beginning(const struct client *client);
/* Whether what is still to come of the answer is spliced, where it can be. */
bool bulk_splices(const struct client *client);
/* From within the library: the head has left, and the body follows. The request has ended or is under way when this
 * returns, then with the client suspended. */
void bulk_begin(struct client *client);
/* From within the library, which asks for the next piece of a body of unknown length: moves what is there, and suspends
 * the client. False when the library is to be told as ever: the end is there, the client has been cut, or there was no
 * memory. */
bool bulk_stream(struct client *client);

/* The body may be able to go on: the target has something, or the client's socket has room. False when no body is being
 * moved. */
bool bulk_wake(struct client *client);
/* Whether bulks_turn has something to do. */
bool bulks_are_ready(const struct clients *clients);
/* Moves bodies on, as many as a turn has room for; not from within the library. */
void bulks_turn(struct clients *clients);
/* Gives back what a bulk holds; harmless when there is none. */
void bulk_drop(struct client *client);

#endif
