#include "proxy/serve/bulk.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "proxy/exchange/answer.h"
#include "proxy/exchange/request.h"
#include "proxy/serve/turns.h"

#define PIECES_PER_TURN 16 /* then the next client has its turn, or after so many bytes */
#define BYTES_PER_TURN (256u * 1024)

/* A body on its way. Owned by its client's request. */
struct bulk {
    struct client *client;
    struct list ready;    /* in clients.bulks, or alone */
    struct pipe *pipe;    /* owned; of env->tunnels.pipes; empty or with what the client has not taken; or NULL */
    struct buffer *block; /* owned; of env->tunnels.blocks: what had to be copied; NULL when there is nothing */
    bool begun;           /* the head has left */
    bool watches;         /* for room in the client's socket */
};

/* ---- beginning and end ---- */

/* A client that has closed its side: the library may have seen that, and then closes after the head. */
bool bulk_prepare(struct client *client, const struct answer *answer, bool close)
{
    struct bulk *bulk;

    if (!answer->spliceable || close || !answer->chunkable ||
        !exchange_has_request(client->request.exchange) || client_has_left(client) ||
        !exchange_keep_request(client->request.exchange))
        return false;
    bulk = calloc(1, sizeof(*bulk));
    if (!bulk)
        return false;
    bulk->client = client;
    list_init(&bulk->ready);
    client->request.bulk = bulk;
    return true;
}

/* What holds nothing is of use to others. */
static void bulk_rest(struct bulk *bulk)
{
    struct tunnels *tunnels = &bulk->client->clients->env->tunnels;

    if (bulk->pipe && bulk->pipe->bytes == 0) {
        pipe_give(&tunnels->pipes, bulk->pipe);
        bulk->pipe = NULL;
    }
    if (bulk->block && buffer_length(bulk->block) == 0) {
        buffer_give(&tunnels->blocks, bulk->block);
        bulk->block = NULL;
    }
}

void bulk_drop(struct client *client)
{
    struct bulk *bulk = client->request.bulk;
    struct tunnels *tunnels = &client->clients->env->tunnels;

    if (!bulk)
        return;
    client->request.bulk = NULL;
    list_remove(&bulk->ready);
    pipe_give(&tunnels->pipes, bulk->pipe);
    buffer_give(&tunnels->blocks, bulk->block);
    if (bulk->watches)
        client_watch(client, 0);
    free(bulk);
}

static void bulk_finish(struct client *client)
{
    bulk_drop(client);
    client_end_request(client, true);
    if (client->suspended)
        client_wake(client);
}

/* ---- moving ---- */

bool bulk_wake(struct client *client)
{
    struct bulk *bulk = client->request.bulk;

    if (!bulk || !bulk->begun)
        return false;
    if (list_empty(&bulk->ready))
        list_append(&client->clients->bulks, &bulk->ready);
    return true;
}

bool bulks_are_ready(const struct clients *clients)
{
    return !list_empty(&clients->bulks);
}

static bool bulk_holds(const struct bulk *bulk)
{
    return bulk->block || (bulk->pipe && bulk->pipe->bytes > 0);
}

static ssize_t bulk_send(struct bulk *bulk)
{
    struct buffer *block = bulk->block;
    ssize_t n;

    if (!block)
        return pipe_drain(bulk->pipe, bulk->client->fd);
    do
        n = send(bulk->client->fd, block->data + block->start, buffer_length(block), MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    block->start += (size_t)n;
    return n;
}

/* Gives the client what is there. False when it takes no more for now, or never again. */
static bool bulk_give(struct bulk *bulk)
{
    struct client *client = bulk->client;

    while (bulk_holds(bulk)) {
        ssize_t n = bulk_send(bulk);

        if (n == -EAGAIN) {
            if (client->phase == CLIENT_WAITING)
                client_arm(client, CLIENT_RESPONSE);
            if (!bulk->watches)
                client_watch(client, EPOLLOUT);
            bulk->watches = true;
            return false;
        }
        if (n < 0) {
            exchange_fail(client->request.exchange, OUTCOME_CLIENT_GONE);
            client_cut(client);
            return false;
        }
        client_arm(client, CLIENT_RESPONSE);
        if (bulk->block)
            bulk_rest(bulk);
    }
    return true;
}

/* The next piece as a copy: what came with the head, or where there are pipes enough already. */
static ssize_t bulk_read(struct bulk *bulk)
{
    struct exchange *exchange = bulk->client->request.exchange;
    ssize_t n;

    bulk->block = buffer_take(&bulk->client->clients->env->tunnels.blocks);
    if (!bulk->block) {
        exchange_fail(exchange, OUTCOME_INTERNAL);
        return SOURCE_CUT;
    }
    n = exchange_read(exchange, bulk->block->data, bulk->block->size);
    bulk->block->end = n > 0 ? (size_t)n : 0;
    return n;
}

static ssize_t bulk_take(struct bulk *bulk)
{
    ssize_t n = SOURCE_COPY;

    if (!bulk->pipe)
        bulk->pipe = pipe_take(&bulk->client->clients->env->tunnels.pipes);
    if (bulk->pipe)
        n = exchange_splice(bulk->client->request.exchange, bulk->pipe);
    return n == SOURCE_COPY ? bulk_read(bulk) : n;
}

/* Takes the next piece. False when there is none for now, or never will be. */
static bool bulk_go_on(struct bulk *bulk, size_t *bytes)
{
    struct client *client = bulk->client;
    ssize_t n = bulk_take(bulk);

    if (n > 0) {
        *bytes += (size_t)n;
        return true;
    }
    bulk_rest(bulk);
    if (n == SOURCE_END) {
        bulk_finish(client);
    } else if (n == SOURCE_CUT) {
        client_cut(client);
    } else if (client->phase != CLIENT_WAITING) {
        client_arm(client, CLIENT_WAITING);
    }
    return false;
}

static void bulk_move(struct bulk *bulk)
{
    struct client *client = bulk->client;
    size_t bytes = 0;

    if (exchange_has_broken_off(client->request.exchange)) {
        client_cut(client);
        return;
    }
    for (int i = 0; i < PIECES_PER_TURN && bytes < BYTES_PER_TURN; i++)
        if (!bulk_give(bulk) || !bulk_go_on(bulk, &bytes)) {
            client_spend(client, 1, bytes);
            return;
        }
    client_spend(client, 1, bytes);
    bulk_wake(client);
}

void bulk_begin(struct client *client)
{
    struct bulk *bulk = client->request.bulk;

    bulk->begun = true;
    if (turns_are_short(client->clients)) {
        bulk_wake(client);
    } else {
        bulk_move(bulk);
    }
    if (client->request.bulk && !client->cut)
        client_suspend(client);
}

static void bulk_on_turn(struct list *link)
{
    struct bulk *bulk = CONTAINER_OF(link, struct bulk, ready);

    if (!bulk->client->cut)
        bulk_move(bulk);
}

void bulks_turn(struct clients *clients)
{
    turns_move(clients, &clients->bulks, bulk_on_turn);
}
