#include "proxy/serve/census.h"

#include "proxy/exchange/report.h"

/* What is said of an exchange is said of it as if it ended now. */
static void census_add_record(struct census_entry *entry, const struct record *record, struct instant now)
{
    entry->method = record->method;
    entry->request = record->target;
    entry->route = record->route;
    entry->target = record->upstream;
    entry->age_us = instant_elapsed_us(record->begun, now);
    entry->received_bytes = record->received_bytes;
    entry->sent_bytes = record->sent_bytes;
}

static void census_add_client(const struct client *client, struct instant now, census_fn *fn, void *closure)
{
    struct census_entry entry = {.state = CENSUS_IDLE,
                                 .listener = text_of(client->side.listener->name),
                                 .peer = client->side.peer,
                                 .has_uid = client->side.has_peer,
                                 .uid = client->side.uid,
                                 .pid = client->side.pid,
                                 .here_us = instant_elapsed_us(client->since, now)};

    if (client->request.exchange) {
        struct record record = exchange_describe(client->request.exchange, OUTCOME_PENDING, false);

        entry.state = CENSUS_EXCHANGE;
        census_add_record(&entry, &record, now);
    }
    fn(closure, &entry);
}

static void census_add_tunnel(const struct tunnel *tunnel, struct instant now, census_fn *fn, void *closure)
{
    struct census_entry entry = {.state = CENSUS_TUNNEL,
                                 .listener = tunnel->record.listener,
                                 .peer = tunnel->record.peer,
                                 .has_uid = tunnel->client.is_unix && tunnel->client.uid != (uid_t)-1,
                                 .uid = tunnel->client.uid,
                                 .here_us = instant_elapsed_us(tunnel->record.begun, now)};

    census_add_record(&entry, &tunnel->record, now);
    entry.received_bytes += tunnel->pair.halves[TUNNEL_CLIENT].bytes;
    entry.sent_bytes += tunnel->pair.halves[TUNNEL_TARGET].bytes;
    fn(closure, &entry);
}

size_t census_take(const struct clients *clients, const struct tunnels *tunnels, size_t most, census_fn *fn,
                   void *closure)
{
    struct instant now = loop_now(tunnels->loop);
    size_t n = 0;

    for (const struct list *link = clients->list.next; link != &clients->list; link = link->next, n++)
        if (n < most)
            census_add_client(CONTAINER_OF(link, const struct client, link), now, fn, closure);
    for (const struct list *link = tunnels->list.next; link != &tunnels->list; link = link->next, n++)
        if (n < most)
            census_add_tunnel(CONTAINER_OF(link, const struct tunnel, link), now, fn, closure);
    return n > most ? n - most : 0;
}
