#include "proxy/serve/raw.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "proxy/exchange/answer.h"
#include "proxy/exchange/request.h"
#include "proxy/http/body.h"
#include "proxy/http/head_writer.h"
#include "proxy/http/status.h"
#include "proxy/http/trailers.h"

#define TOLD_AT_ONCE_BYTES 16384u /* a client's socket takes that much without waiting, as a rule */
#define STATUS_LINE_BYTES 80
#define PIECES_PER_TURN 8 /* then the next client has its turn */

/* An answer that is relayed, of which the head is the first block. Owned by its client. */
struct relay {
    struct client *client;
    struct list ready;    /* in clients.relays, or alone */
    struct buffer *block; /* owned: framed, and not yet taken by the client; of env->tunnels.blocks */
    struct text rest;     /* of a body that lies in the exchange's memory */
    bool streams;         /* the body is the exchange's to read */
    bool chunked;
    bool ended; /* the block is the last one */
};

/* ---- heads ---- */

static void raw_put_status(struct head_writer *writer, unsigned status)
{
    char line[STATUS_LINE_BYTES];
    int n = snprintf(line, sizeof(line), "HTTP/1.1 %u %s\r\n", status, status_phrase(status));

    head_put(writer, (struct text){line, (size_t)n});
}

/* What is for the client, and the empty line. Returns the length of the whole head, 0 when it does not fit. */
static size_t raw_put_fields(struct head_writer *writer, const struct field *fields, size_t n_fields)
{
    for (size_t i = 0; i < n_fields; i++)
        if (!fields[i].drop)
            head_put_field(writer, fields[i].name, fields[i].value);
    HEAD_PUT(writer, "\r\n");
    return writer->full ? 0 : writer->length;
}

/* The head of the last answer on a connection. Returns its length, 0 when it does not fit. */
static size_t raw_put_head(const struct answer *answer, bool chunked, char *out, size_t size)
{
    struct head_writer writer = {.out = out, .size = size};
    char digits[24];
    int n;

    raw_put_status(&writer, answer->status);
    HEAD_PUT(&writer, "Connection: close\r\n");
    if (chunked) {
        HEAD_PUT(&writer, "Transfer-Encoding: chunked\r\n");
    } else if (answer->has_length) {
        n = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)answer->length);
        head_put_field(&writer, TEXT_LITERAL("Content-Length"), (struct text){digits, (size_t)n});
    }
    return raw_put_fields(&writer, answer->fields, answer->n_fields);
}

/* ---- whole answers ---- */

static struct buffer_store *raw_blocks(const struct client *client)
{
    return &client->clients->env->tunnels.blocks;
}

static bool raw_send(const struct client *client, const char *data, size_t length)
{
    return send(client->fd, data, length, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)length;
}

/* Closes our half, and takes what the client still sends for a moment, so that it reads the answer instead of a reset.
 */
static void raw_end(struct client *client)
{
    shutdown(client->fd, SHUT_WR);
    client_arm(client, CLIENT_LINGER);
    if (client->suspended)
        client_wake(client);
}

/* The answer before it has left the library whole, so that nothing can come in between. What has no room now is not
 * worth waiting for; half of it would be the end. The exchange is left alone: this is called from where its answer is
 * parsed. */
void raw_interim(struct client *client, unsigned status, const struct fields *fields)
{
    struct buffer *block = buffer_take(raw_blocks(client));
    struct head_writer writer = {.out = block ? block->data : NULL, .size = block ? block->size : 0};
    size_t length;
    ssize_t sent;

    raw_put_status(&writer, status);
    length = raw_put_fields(&writer, fields->items, fields->n_items);
    sent = length > 0 ? send(client->fd, writer.out, length, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;
    if (sent > 0 && (size_t)sent < length)
        client_cut(client);
    buffer_give(raw_blocks(client), block);
}

static bool raw_has_body(const struct answer *answer)
{
    return answer->body == ANSWER_BUFFER && answer->length > 0 && !answer->is_head;
}

void raw_tell(struct client *client, const struct answer *answer)
{
    struct buffer *block = buffer_take(raw_blocks(client));
    size_t n = block ? raw_put_head(answer, false, block->data, block->size) : 0;

    client->told = n > 0 && raw_send(client, block->data, n) &&
                   (!raw_has_body(answer) || raw_send(client, answer->data, (size_t)answer->length));
    buffer_give(raw_blocks(client), block);
    raw_end(client);
}

/* ---- relayed answers ---- */

void raw_drop(struct client *client)
{
    struct relay *relay = client->relay;

    if (!relay)
        return;
    client->relay = NULL;
    list_remove(&relay->ready);
    buffer_give(raw_blocks(client), relay->block);
    free(relay);
}

void raw_relay(struct client *client, const struct answer *answer)
{
    struct relay *relay = calloc(1, sizeof(*relay));
    struct buffer *block = buffer_take(raw_blocks(client));

    if (relay && block) {
        relay->client = client;
        /* Should the library find fault with a chunk of the request it writes an answer of its own: into chunks it does
         * not fit, but with a length it could be taken for content. */
        relay->streams = answer->body == ANSWER_STREAM;
        relay->chunked =
            relay->streams && answer->chunkable && (!answer->has_length || exchange_is_chunked(client->exchange));
        if (raw_has_body(answer))
            relay->rest = (struct text){answer->data, (size_t)answer->length};
        list_init(&relay->ready);
        block->end = raw_put_head(answer, relay->chunked, block->data, block->size);
    }
    if (!relay || !block || block->end == 0) {
        free(relay);
        buffer_give(raw_blocks(client), block);
        client_cut(client);
        return;
    }
    relay->block = block;
    client->relay = relay;
    client_arm(client, CLIENT_RELAY);
    raw_wake(client);
}

static size_t raw_body_and_fields_bytes(const struct answer *answer)
{
    size_t bytes = raw_has_body(answer) ? (size_t)answer->length : 0;

    for (size_t i = 0; i < answer->n_fields; i++)
        bytes += answer->fields[i].name.length + answer->fields[i].value.length;
    return bytes;
}

void raw_answer(struct client *client)
{
    struct answer answer;

    if (!exchange_answer(client->exchange, &answer))
        client_cut(client);
    else if (answer.body == ANSWER_STREAM || raw_body_and_fields_bytes(&answer) > TOLD_AT_ONCE_BYTES)
        raw_relay(client, &answer);
    else
        raw_tell(client, &answer);
}

void raw_wake(struct client *client)
{
    if (client->relay && list_empty(&client->relay->ready))
        list_append(&client->clients->relays, &client->relay->ready);
}

bool raw_is_ready(const struct clients *clients)
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
        n = send(client->fd, block->data + block->start, buffer_length(block), MSG_NOSIGNAL | MSG_DONTWAIT);
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
    exchange_fail(client->exchange, OUTCOME_CLIENT_GONE);
    client_cut(client);
    return false;
}

/* The end of the chunked coding. */
static void relay_put_end(struct relay *relay)
{
    struct buffer *block = relay->block;
    const struct fields *trailers = exchange_trailers(relay->client->exchange);
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

    if (n > 0)
        memcpy(block->data, relay->rest.data, n);
    block->end = n;
    relay->rest.data += n;
    relay->rest.length -= n;
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
    n = exchange_read(client->exchange, block->data + before, block->size - before - after);
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

static void relay_move(struct relay *relay)
{
    struct client *client = relay->client;

    for (int i = 0; i < PIECES_PER_TURN; i++) {
        if (buffer_length(relay->block) > 0 && !relay_give(relay))
            return;
        if (relay->ended) {
            client->told = true;
            raw_drop(client);
            raw_end(client);
            return;
        }
        if (!relay_take(relay))
            return;
    }
    raw_wake(client);
}

void raw_turn(struct clients *clients)
{
    struct list now;

    list_init(&now);
    list_move(&now, &clients->relays);
    while (!list_empty(&now)) {
        struct relay *relay = CONTAINER_OF(list_pop(&now), struct relay, ready);

        if (!relay->client->cut)
            relay_move(relay);
    }
}

void raw_timeout(struct client *client)
{
    if (exchange_failed(client->exchange)) {
        client_cut(client);
    } else if (client->relay && buffer_length(client->relay->block) > 0) {
        exchange_fail(client->exchange, OUTCOME_CLIENT_STALLED);
        client_cut(client);
    } else if (exchange_is_receiving(client->exchange)) {
        exchange_fail(client->exchange, OUTCOME_BODY_TIMEOUT);
        client_cut(client);
    } else {
        /* It is the target that is waited for, which has deadlines of its own. */
        client_arm(client, CLIENT_RELAY);
    }
}
