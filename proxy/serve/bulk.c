#include "proxy/serve/bulk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "proxy/exchange/answer.h"
#include "proxy/exchange/request.h"
#include "proxy/http/body.h"
#include "proxy/serve/turns.h"

#define PIECES_PER_TURN 16 /* then the next client has its turn, or after so many bytes */
#define BYTES_PER_TURN (256u * 1024)
#define SPARING_BYTES (16u * 1024)             /* of a block, while many others are in use */
#define SMALL_BYTES 1024                       /* a piece of less may be what is left of hundreds of chunks */
#define SMALL_PIECE_BYTES (BYTES_PER_TURN / 2) /* that could have been moved meanwhile */

/* A body on its way. Owned by its client's request.
 *
 * A chunk in the pipe has its frame beside it, which leaves first; the line end behind it leaves with the frame of the
 * next one, or when there is nothing more for now. One in the block is framed there, so that it leaves in one call. */
struct bulk {
    struct client *client;
    struct list ready;    /* in clients.bulks, or alone */
    struct pipe *pipe;    /* owned; of env->tunnels.pipes; empty or with what the client has not taken; or NULL */
    struct buffer *block; /* owned; of env->tunnels.blocks: what had to be copied; NULL when there is nothing */
    bool begun;           /* the head has left, and what the block had then */
    bool watches;         /* for room in the client's socket */
    bool streams;         /* of unknown length */
    bool copies;          /* piece by piece: it is short, or somebody wants to see it */
    bool framed;          /* in chunks */
    bool open;            /* the line end of the last chunk is still to be said */
    unsigned char frame_start, frame_end;
    char frame[CHUNK_HEAD_BYTES];
};

/* ---- beginning and end ---- */

static struct bulk *bulk_new(struct client *client)
{
    struct bulk *bulk = calloc(1, sizeof(*bulk));

    if (!bulk)
        return NULL;
    bulk->client = client;
    list_init(&bulk->ready);
    client->request.bulk = bulk;
    return bulk;
}

/* Adds what has arrived to the block; one that is to be spliced is not received. */
static size_t bulk_gather(struct bulk *bulk)
{
    struct buffer *block = bulk->block;
    size_t n =
        exchange_gather(bulk->client->request.exchange, block->data + block->end, buffer_room(block), bulk->copies);

    block->end += n;
    return n;
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

/* A client that has closed its side: the library may have seen that, and then closes after the head. It has not when
 * the last it has received was all that was there (interest.h). */
static bool bulk_may_be_closed(const struct client *client)
{
    const struct interest *interest = &client->interest;

    return (!interest->set || !interest->nothing_there || interest->ended) && client_has_left(client);
}

bool bulk_prepare(struct client *client, const struct answer *answer, bool close)
{
    struct bulk *bulk;

    if (answer->body != ANSWER_STREAM || !answer->has_length || close || !answer->chunkable ||
        !exchange_has_request(client->request.exchange) || bulk_may_be_closed(client) ||
        !exchange_keep_request(client->request.exchange))
        return false;
    bulk = bulk_new(client);
    if (!bulk)
        return false;
    bulk->copies = !answer->spliceable;
    /* Where many are told at once, each of them would wait in a block of its own. */
    if (bulk->copies || !clients_are_many(client->clients))
        bulk->block = buffer_take_sparing(&client->clients->env->tunnels.blocks, SPARING_BYTES);
    if (bulk->block) {
        client_spend(client, 1, bulk_gather(bulk));
        bulk_rest(bulk);
    }
    return true;
}

struct text bulk_beginning(const struct client *client)
{
    const struct buffer *block = client->request.bulk->block;

    return block ? (struct text){block->data + block->start, buffer_length(block)} : (struct text){NULL, 0};
}

bool bulk_splices(const struct client *client)
{
    return client->request.bulk && !client->request.bulk->copies;
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
    bool streams = client->request.bulk->streams;

    bulk_drop(client);
    if (streams)
        client->request.flows = client->request.movable = false;
    else
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

static bool bulk_has_piped(const struct bulk *bulk)
{
    return bulk->pipe && bulk->pipe->bytes > 0;
}

static bool bulk_holds(const struct bulk *bulk)
{
    return bulk->block || bulk->frame_start < bulk->frame_end || bulk_has_piped(bulk);
}

static ssize_t bulk_send_text(const struct bulk *bulk, const char *data, size_t length, int flags)
{
    ssize_t n;

    do
        n = sendto(bulk->client->fd, data, length, MSG_NOSIGNAL | MSG_DONTWAIT | flags, NULL, 0);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

static ssize_t bulk_send(struct bulk *bulk)
{
    struct buffer *block = bulk->block;
    ssize_t n;

    if (block) {
        n = bulk_send_text(bulk, block->data + block->start, buffer_length(block), 0);
        block->start += n > 0 ? (size_t)n : 0;
    } else if (bulk->frame_start < bulk->frame_end) {
        n = bulk_send_text(bulk, bulk->frame + bulk->frame_start, bulk->frame_end - bulk->frame_start,
                           bulk_has_piped(bulk) ? MSG_MORE : 0);
        bulk->frame_start += n > 0 ? (unsigned char)n : 0;
    } else {
        n = pipe_drain(bulk->pipe, bulk->client->fd);
    }
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

/* What comes before the data of a chunk, with the line end of the one before it. */
static size_t bulk_write_frame(struct bulk *bulk, char out[CHUNK_HEAD_BYTES], size_t n)
{
    size_t length = 0;

    if (bulk->open) {
        memcpy(out, "\r\n", 2);
        length = 2;
    }
    return length + chunk_write_head(out + length, n);
}

static void bulk_frame_block(struct bulk *bulk, size_t n)
{
    struct buffer *block = bulk->block;
    char frame[CHUNK_HEAD_BYTES];
    size_t length = bulk_write_frame(bulk, frame, n);

    block->start -= length;
    memcpy(block->data + block->start, frame, length);
    memcpy(block->data + block->end, "\r\n", 2);
    block->end += 2;
    bulk->open = false;
}

static void bulk_frame_pipe(struct bulk *bulk, size_t n)
{
    bulk->frame_start = 0;
    bulk->frame_end = (unsigned char)bulk_write_frame(bulk, bulk->frame, n);
    bulk->open = true;
}

/* The last chunk is whole before the target is waited for, and in the end. */
static void bulk_close_chunk(struct bulk *bulk)
{
    if (!bulk->open)
        return;
    memcpy(bulk->frame, "\r\n", 2);
    bulk->frame_start = 0;
    bulk->frame_end = 2;
    bulk->open = false;
}

/* The next piece as a copy: what came with the head, what framing is in, or where there are pipes enough already. */
static ssize_t bulk_read(struct bulk *bulk)
{
    struct exchange *exchange = bulk->client->request.exchange;
    size_t before = bulk->framed ? CHUNK_HEAD_BYTES : 0, after = bulk->framed ? 2 : 0;
    struct buffer *block;
    ssize_t n;

    block = bulk->block = buffer_take_sparing(&bulk->client->clients->env->tunnels.blocks, SPARING_BYTES);
    if (!block) {
        exchange_fail(exchange, OUTCOME_INTERNAL);
        return SOURCE_CUT;
    }
    n = exchange_read(exchange, block->data + before, block->size - before - after);
    if (n <= 0)
        return n;
    block->start = before;
    block->end = before + (size_t)n;
    if (bulk->framed)
        bulk_frame_block(bulk, (size_t)n);
    else if (bulk->copies)
        n += (ssize_t)bulk_gather(bulk);
    return n;
}

static ssize_t bulk_take(struct bulk *bulk)
{
    ssize_t n = SOURCE_COPY;

    if (bulk->copies)
        return bulk_read(bulk);
    if (!bulk->pipe)
        bulk->pipe = pipe_take(&bulk->client->clients->env->tunnels.pipes);
    if (bulk->pipe)
        n = exchange_splice(bulk->client->request.exchange, bulk->pipe);
    if (n == SOURCE_COPY)
        return bulk_read(bulk);
    if (n > 0 && bulk->framed)
        bulk_frame_pipe(bulk, (size_t)n);
    return n;
}

/* Takes the next piece. False when there is none for now, or never will be. */
static bool bulk_go_on(struct bulk *bulk, size_t *bytes)
{
    struct client *client = bulk->client;
    ssize_t n = bulk_take(bulk);

    if (n > 0) {
        *bytes += bulk->streams && n < SMALL_BYTES ? SMALL_PIECE_BYTES : (size_t)n;
        return true;
    }
    bulk_rest(bulk);
    if (n != SOURCE_CUT) {
        bulk_close_chunk(bulk);
        if (!bulk_give(bulk))
            return false;
    }
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
    if (bulk->block) {
        bulk->block->start = bulk->block->end;
        bulk_rest(bulk);
    }
    if (turns_are_short(client->clients)) {
        bulk_wake(client);
    } else {
        bulk_move(bulk);
    }
    if (client->request.bulk && !client->cut)
        client_suspend(client);
}

bool bulk_stream(struct client *client)
{
    struct bulk *bulk = bulk_new(client);

    if (!bulk)
        return false;
    bulk->streams = true;
    bulk->framed = client->request.framed;
    bulk->begun = true;
    bulk_move(bulk);
    if (client->cut || !client->request.bulk)
        return false;
    client_suspend(client);
    return true;
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
