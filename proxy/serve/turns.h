/* Turns: what a client may have of a round of the loop, before others have theirs.
 *
 * Work comes in pieces, of a tenth to a quarter of a microsecond each: a chunk of an upload is one, a trailer, a small
 * block of an answer (most of what came was framing) or a large one is as many as it costs. A client has a share of
 * them, and a small one when a round has given what it has to give; what it had in the rounds before counts, but for a
 * little in each. Whoever wants more waits in a line, suspended: at the end of each round those who wait longest have
 * another share. So a round is short however many want much of it, those who do have equally much in the end, and a
 * client that is content with little never waits in line.
 *
 * A turn is one share for everybody: a round's first, or that of those from the line. */
#ifndef PORTHOLE_SERVE_TURNS_H
#define PORTHOLE_SERVE_TURNS_H

#include "proxy/serve/client.h"

/* A turn begins. */
void turns_begin(struct clients *clients);
/* Whether this turn has no more to give than a little. */
bool turns_are_short(const struct clients *clients);
/* Those who wait longest in line get another share, and are resumed. False when nobody waits. */
bool turns_next(struct clients *clients);
static inline bool turns_are_wanted(const struct clients *clients)
{
    return !list_empty(&clients->line);
}

/* Moves what is ready beside the library, as much as the turn has room for. */
void turns_move(struct clients *clients, struct list *ready, void (*move)(struct list *link));

/* Whether something of its share is left. */
bool client_has_turn(struct client *client);
/* It has had so many pieces, and so many bytes, which count as pieces, too. */
void client_spend(struct client *client, unsigned n_pieces, size_t n_bytes);
/* Ends its turn: it waits in line, suspended, since only that keeps the library from going on with what it has read. */
void client_yield(struct client *client);

#endif
