#include "proxy/serve/turns.h"

#define SHARE_PIECES 512u
#define LEAST_PIECES 16u  /* a share, when the turn has no more to give */
#define TURN_PIECES 4096u /* of all clients, until shares are small: about half a millisecond */
#define NEXT_CLIENTS 8u   /* from the line in one turn: they have as much again */
#define PIECE_BYTES 512u  /* that are moved at the cost of a piece */

void turns_begin(struct clients *clients)
{
    clients->turn++;
    clients->n_pieces = 0;
}

bool turns_are_short(const struct clients *clients)
{
    return clients->n_pieces >= TURN_PIECES;
}

bool turns_next(struct clients *clients)
{
    if (list_empty(&clients->line))
        return false;
    turns_begin(clients);
    for (unsigned i = 0; i < NEXT_CLIENTS && !list_empty(&clients->line); i++)
        client_wake(CONTAINER_OF(list_pop(&clients->line), struct client, line));
    return true;
}

void turns_move(struct clients *clients, struct list *ready, void (*move)(struct list *link))
{
    struct list now, *link;

    if (list_empty(ready))
        return;
    list_init(&now);
    list_move(&now, ready);
    while (!list_empty(&now) && !turns_are_short(clients))
        move(list_pop(&now));
    /* Who has not had a turn is among the first in the next. */
    while (!list_empty(&now)) {
        link = now.previous;
        list_remove(link);
        list_prepend(ready, link);
    }
}

/* What it has had and does not owe any more: a little is forgiven with each turn. */
static unsigned *client_pieces(struct client *client)
{
    unsigned n_turns = client->clients->turn - client->turn;

    client->turn = client->clients->turn;
    if (n_turns > client->n_pieces / LEAST_PIECES)
        client->n_pieces = 0;
    else
        client->n_pieces -= n_turns * LEAST_PIECES;
    return &client->n_pieces;
}

bool client_has_turn(struct client *client)
{
    return *client_pieces(client) < (turns_are_short(client->clients) ? LEAST_PIECES : SHARE_PIECES);
}

void client_spend(struct client *client, unsigned n_pieces, size_t n_bytes)
{
    n_pieces += (unsigned)(n_bytes / PIECE_BYTES);
    *client_pieces(client) += n_pieces;
    client->clients->n_pieces += n_pieces;
}

void client_yield(struct client *client)
{
    client_suspend(client);
    client->n_pieces = 0;
    list_append(&client->clients->line, &client->line);
}
