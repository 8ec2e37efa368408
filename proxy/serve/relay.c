/* Answers that are relayed.
 *
 * A relay has one block: what was framed and its client has not taken yet, the head first. It moves in turns
 * (relays_turn), not from within the library, when the target has something or the client's socket has room; the
 * library goes on receiving the request meanwhile. It is gone with the request. */
#include "proxy/serve/relay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "proxy/exchange/answer.h"
#include "proxy/exchange/request.h"
#include "proxy/http/body.h"
#include "proxy/http/trailers.h"
#include "proxy/serve/early_answer.h"
#include "proxy/serve/frontend_memory.h"

#define TOLD_AT_ONCE_BYTES 16384u /* a client's socket takes that much without waiting, as a rule */
#define PIECES_PER_TURN 8         /* then the next client has its turn, or after so many bytes */
#define BYTES_PER_TURN (128u * 1024)

/* An answer that is relayed, of which the head is the first block. Owned by its client. */
struct relay {
    struct client *client;
    struct list ready;    /* in clients.relays, or alone */
    struct buffer *block; /* owned: framed, and not yet taken by the client; of env->tunnels.blocks */
    struct text rest;     /* of a body that lies in the exchange's memory */
    bool streams;         /* the body is the exchange's to read */
    bool chunked;
    bool keeps; /* the connection may go on */
    bool ended; /* the block is the last one */
};

/* ---- beginning and end ---- */

void relay_drop(struct client *client)
{
    struct relay *relay = client->request.relay;

    if (!relay)
        return;
    client->request.relay = NULL;
    list_remove(&relay->ready);
    buffer_give(early_answer_blocks(client), relay->block);
    free(relay);
}

/* One that has told an answer of HTTP/1.0, or whose memory is too small by now, ends. What nobody reads of the request
 * is taken as far as it is little. */
static bool relay_may_keep(const struct client *client, const struct answer *answer)
{
    return !answer->close && answer->chunkable && !frontend_memory_is_outgrown(client) &&
           (exchange_rest_is_short(client->request.exchange) || !exchange_is_told(client->request.exchange));
}

void relay_begin(struct client *client, const struct answer *answer)
{
    struct relay *relay = calloc(1, sizeof(*relay));
    struct buffer *block = buffer_take(early_answer_blocks(client));

    if (relay && block) {
        relay->client = client;
        /* Should the library find fault with a chunk of the request it writes an answer of its own: into chunks it does
         * not fit, but with a length it could be taken for content. */
        relay->streams = answer->body == ANSWER_STREAM;
        relay->chunked = relay->streams && answer->chunkable &&
                         (!answer->has_length || (exchange_is_chunked(client->request.exchange) &&
                                                  !exchange_has_request(client->request.exchange)));
        if (early_answer_has_body(answer))
            relay->rest = (struct text){answer->data, (size_t)answer->length};
        relay->keeps = relay_may_keep(client, answer);
        list_init(&relay->ready);
        block->end = early_answer_write_head(answer, relay->chunked, !relay->keeps, block->data, block->size);
    }
    if (!relay || !block || block->end == 0) {
        free(relay);
        buffer_give(early_answer_blocks(client), block);
        client_cut(client);
        return;
    }
    relay->block = block;
    client->request.relay = relay;
    client_arm(client, CLIENT_RELAY);
    relay_wake(client);
}

/* ---- moving ---- */

void relay_wake(struct client *client)
{
    if (client->request.relay && list_empty(&client->request.relay->ready))
        list_append(&client->clients->relays, &client->request.relay->ready);
}

bool relays_are_ready(const struct clients *clients)
{
    return !list_empty(&clients->relays);
}

/* Gives the client what is there. False when it takes no more for now, or never again. */
static bool relay_give(struct relay *relay)
{
    struct client *client = relay->client;
    struct buffer *block = relay->block;
    ssize_t n;

    do {
        n = sendto(client->fd, block->data + block->start, buffer_length(block), MSG_NOSIGNAL | MSG_DONTWAIT, NULL, 0);
        if (n > 0) {
            block->start += (size_t)n;
            client_arm(client, CLIENT_RELAY);
        }
        if (buffer_length(block) == 0)
            return true;
    } while (n >= 0 || errno == EINTR);
    if (errno == EAGAIN) {
        client_watch(client, EPOLLOUT);
        return false;
    }
    exchange_fail(client->request.exchange, OUTCOME_CLIENT_GONE);
    client_cut(client);
    return false;
}

/* The end of the chunked coding. */
static void relay_put_end(struct relay *relay)
{
    struct buffer *block = relay->block;
    const struct fields *trailers = exchange_trailers(relay->client->request.exchange);
    size_t n;

    relay->ended = true;
    if (!relay->chunked)
        return;
    memcpy(block->data, CHUNK_LAST, sizeof(CHUNK_LAST) - 1);
    block->end = sizeof(CHUNK_LAST) - 1;
    n = trailers ? trailers_write(trailers, block->data + block->end, block->size - block->end - 2) : 0;
    if (n != SIZE_MAX)
        block->end += n;
    memcpy(block->data + block->end, "\r\n", 2);
    block->end += 2;
}

/* The next piece of a body in memory; the last one may be empty. */
static void relay_take_rest(struct relay *relay)
{
    struct buffer *block = relay->block;
    size_t n = relay->rest.length < block->size ? relay->rest.length : block->size;

    /* What is empty has no address that one could add to. */
    if (n > 0) {
        memcpy(block->data, relay->rest.data, n);
        relay->rest.data += n;
        relay->rest.length -= n;
    }
    block->end = n;
    relay->ended = relay->rest.length == 0;
}

/* Fills the block with the next piece, in its frame. False when there is none for now, or never will be. */
static bool relay_take(struct relay *relay)
{
    struct client *client = relay->client;
    struct buffer *block = relay->block;
    size_t before = relay->chunked ? CHUNK_HEAD_BYTES : 0, after = relay->chunked ? 2 : 0;
    char head[CHUNK_HEAD_BYTES];
    ssize_t n;

    block->start = block->end = 0;
    if (!relay->streams) {
        relay_take_rest(relay);
        return true;
    }
    n = exchange_read(client->request.exchange, block->data + before, block->size - before - after);
    if (n == SOURCE_WAIT)
        return false;
    if (n == SOURCE_CUT) {
        client_cut(client);
        return false;
    }
    if (n == SOURCE_END) {
        relay_put_end(relay);
        return true;
    }
    block->start = before;
    block->end = before + (size_t)n;
    if (relay->chunked) {
        size_t head_bytes = chunk_write_head(head, (uint64_t)n);

        block->start -= head_bytes;
        memcpy(block->data + block->start, head, head_bytes);
        memcpy(block->data + block->end, "\r\n", 2);
        block->end += 2;
    }
    return true;
}

/* All of the answer has left. */
static void relay_finish(struct relay *relay)
{
    struct client *client = relay->client;
    bool keeps = relay->keeps && exchange_rest_is_short(client->request.exchange);

    client->request.told = true;
    relay_drop(client);
    if (!keeps) {
        early_answer_end(client);
        return;
    }
    client_arm(client, CLIENT_REST);
    client_wake(client);
}

static void relay_move(struct relay *relay)
{
    struct client *client = relay->client;
    size_t bytes = 0;

    if (exchange_has_broken_off(client->request.exchange)) {
        client_cut(client);
        return;
    }
    for (int i = 0; i < PIECES_PER_TURN && bytes < BYTES_PER_TURN; i++) {
        if (buffer_length(relay->block) > 0 && !relay_give(relay))
            return;
        if (relay->ended) {
            relay_finish(relay);
            return;
        }
        if (!relay_take(relay))
            return;
        bytes += buffer_length(relay->block);
    }
    relay_wake(client);
}

/* Whether it can leave at once, as a rule. If there is no room because the client has not read what came before, the
 * rest is relayed like any other. */
static bool relay_is_short(const struct answer *answer)
{
    return answer->body != ANSWER_STREAM && (!early_answer_has_body(answer) || answer->length <= TOLD_AT_ONCE_BYTES);
}

void relay_answer(struct client *client)
{
    struct answer answer;

    if (!exchange_answer(client->request.exchange, &answer)) {
        client_cut(client);
        return;
    }
    relay_begin(client, &answer);
    if (client->request.relay && relay_is_short(&answer))
        relay_move(client->request.relay);
}

void relays_turn(struct clients *clients)
{
    struct list now;

    if (list_empty(&clients->relays))
        return;
    list_init(&now);
    list_move(&now, &clients->relays);
    while (!list_empty(&now)) {
        struct relay *relay = CONTAINER_OF(list_pop(&now), struct relay, ready);

        if (!relay->client->cut)
            relay_move(relay);
    }
}

void relay_timeout(struct client *client)
{
    if (exchange_failed(client->request.exchange)) {
        client_cut(client);
    } else if (client->request.relay && buffer_length(client->request.relay->block) > 0) {
        exchange_fail(client->request.exchange, OUTCOME_CLIENT_STALLED);
        client_cut(client);
    } else if (exchange_is_receiving(client->request.exchange)) {
        exchange_fail(client->request.exchange, OUTCOME_BODY_TIMEOUT);
        client_cut(client);
    } else {
        /* It is the target that is waited for, which has deadlines of its own. */
        client_arm(client, CLIENT_RELAY);
    }
}
