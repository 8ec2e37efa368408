#include "proxy/serve/upload.h"

#include <stdlib.h>

#include "proxy/exchange/answer.h"
#include "proxy/exchange/request.h"
#include "proxy/serve/turns.h"

#define PIECES_PER_TURN 16 /* then the next client has its turn, or after so many bytes */
#define BYTES_PER_TURN (256u * 1024)

/* A body on its way. Owned by its client's request. */
struct upload {
    struct client *client;
    struct list ready;    /* in clients.uploads, or alone */
    uint64_t moved_bytes; /* of which the library does not know */
    bool watches;         /* for what the client sends */
};

/* ---- beginning and end ---- */

void upload_drop(struct client *client)
{
    struct upload *upload = client->request.upload;

    if (!upload)
        return;
    client->request.upload = NULL;
    list_remove(&upload->ready);
    if (upload->watches)
        client_watch(client, 0);
    free(upload);
}

void upload_end(struct client *client)
{
    struct upload *upload = client->request.upload;

    if (!upload)
        return;
    client->request.memory.told = client->request.memory.told || upload->moved_bytes > 0;
    receipt_write(&client->receipt, &client->clients->receipts, client->fd, upload->moved_bytes);
    upload_drop(client);
    if ((client->phase == CLIENT_BODY || client->phase == CLIENT_WAITING) &&
        exchange_has_early_answer(client->request.exchange))
        client_arm(client, CLIENT_EARLY);
    if (client->suspended)
        client_wake(client);
}

/* ---- moving ---- */

bool upload_wake(struct client *client)
{
    struct upload *upload = client->request.upload;

    if (!upload)
        return false;
    if (list_empty(&upload->ready))
        list_append(&client->clients->uploads, &upload->ready);
    return true;
}

bool upload_listens(const struct client *client)
{
    return client->request.upload && client->request.upload->watches;
}

bool uploads_are_ready(const struct clients *clients)
{
    return !list_empty(&clients->uploads);
}

static bool upload_is_over(const struct client *client)
{
    const struct exchange *exchange = client->request.exchange;

    return exchange_failed(exchange) || exchange_has_early_answer(exchange) || exchange_spliceable_body(exchange) == 0;
}

/* Takes the next piece. False when there is none for now, or never will be. */
static bool upload_go_on(struct upload *upload, size_t *bytes)
{
    struct client *client = upload->client;
    struct exchange *exchange = client->request.exchange;
    ssize_t n;

    if (!exchange_takes_body(exchange)) {
        if (client->phase != CLIENT_WAITING)
            client_arm(client, CLIENT_WAITING);
        return false;
    }
    n = exchange_splice_body(exchange, client->fd);
    if (n > 0) {
        upload->moved_bytes += (uint64_t)n;
        *bytes += (size_t)n;
        client_arm(client, CLIENT_BODY);
        return true;
    }
    /* It is the client's turn again, also when it has ended: then nobody tells of that any more, and who is to send is
     * looked at after a second. */
    if (client->phase == CLIENT_WAITING)
        client_arm(client, CLIENT_BODY);
    if (n != SOURCE_WAIT) {
        upload_end(client);
        return false;
    }
    if (!upload->watches)
        client_watch(client, EPOLLIN | EPOLLRDHUP);
    upload->watches = true;
    return false;
}

static void upload_move(struct upload *upload)
{
    struct client *client = upload->client;
    size_t bytes = 0;
    int i;

    for (i = 0; i < PIECES_PER_TURN && bytes < BYTES_PER_TURN && !upload_is_over(client); i++)
        if (!upload_go_on(upload, &bytes))
            break;
    client_spend(client, 1, bytes);
    if (!client->request.upload)
        return;
    if (upload_is_over(client))
        upload_end(client);
    else if (i == PIECES_PER_TURN || bytes >= BYTES_PER_TURN)
        upload_wake(client);
}

void upload_begin(struct client *client)
{
    struct upload *upload;

    if ((client->phase != CLIENT_BODY && client->phase != CLIENT_WAITING) || client->cut || !receipts_are_heard() ||
        !exchange_has_bulk(client->request.exchange))
        return;
    upload = calloc(1, sizeof(*upload));
    if (!upload)
        return;
    upload->client = client;
    list_init(&upload->ready);
    client->request.upload = upload;
    if (client->suspended || turns_are_short(client->clients))
        upload_wake(client);
    else
        upload_move(upload);
    if (client->suspended || (!client->request.upload && client->receipt.untold == 0))
        return;
    client_suspend(client);
    /* What is over already: a library that was told of nothing more to receive asks again when it is resumed. */
    if (!client->request.upload)
        client_wake(client);
}

static void upload_on_turn(struct list *link)
{
    struct upload *upload = CONTAINER_OF(link, struct upload, ready);

    if (!upload->client->cut)
        upload_move(upload);
}

void uploads_turn(struct clients *clients)
{
    turns_move(clients, &clients->uploads, upload_on_turn);
}
