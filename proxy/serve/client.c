/* The record of a client: its phase with the deadline of each, and how it waits.
 *
 * Waiting is late suspension: a client whose exchange has nothing for it stays with the library as it is (client_wait),
 * which asks again in its next run; it is suspended, and then watched by us, in the run before the loop sleeps, or when
 * the library has asked some times while the loop has other work.
 * Suspended and woken exactly once each, by our own flag: the library's lists do not bear it twice. */
#include "proxy/serve/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "proxy/serve/farewell.h"

#define EXPECT_MS 1000u
#define EARLY_MS 250u /* for the rest of a body that is as good as here: telling by hand costs more */
#define LINGER_MS 2000u
#define WAIT_RUNS 4u        /* of the library, in each of which it asks for all who wait */
#define CUT_MS 1000u        /* for the library to see the end; which needs an event */
#define STOP_GRACE_MS 1000u /* for the next request, whose answer closes the connection */

#define BIT(phase) STATE_BIT(CLIENT_##phase)

const struct state_machine client_machine =
    {
        .name = "client",
        .n_states = N_CLIENT_PHASES,
        .states =
            {
                [CLIENT_NEW] = {"NEW", BIT(HEAD) | BIT(LINGER)},
                [CLIENT_HEAD] = {"HEAD",
                                 BIT(EXPECT) | BIT(BODY) | BIT(RESPONSE) | BIT(IDLE) | BIT(LINGER) | BIT(RELAY)},
                [CLIENT_EXPECT] = {"EXPECT", BIT(BODY) | BIT(RESPONSE) | BIT(IDLE) | BIT(LINGER) | BIT(RELAY)},
                [CLIENT_BODY] = {"BODY",
                                 BIT(EARLY) | BIT(WAITING) | BIT(RESPONSE) | BIT(IDLE) | BIT(LINGER) | BIT(RELAY)},
                [CLIENT_EARLY] = {"EARLY", BIT(RESPONSE) | BIT(IDLE) | BIT(LINGER) | BIT(RELAY)},
                [CLIENT_WAITING] = {"WAITING",
                                    BIT(BODY) | BIT(EARLY) | BIT(RESPONSE) | BIT(IDLE) | BIT(LINGER) | BIT(RELAY)},
                [CLIENT_RESPONSE] = {"RESPONSE", BIT(WAITING) | BIT(IDLE) | BIT(TUNNEL)},
                [CLIENT_IDLE] = {"IDLE", BIT(HEAD)},
                [CLIENT_LINGER] = {"LINGER", 0},
                [CLIENT_RELAY] = {"RELAY", BIT(IDLE) | BIT(LINGER) | BIT(REST)},
                [CLIENT_REST] = {"REST", BIT(IDLE) | BIT(LINGER)},
                [CLIENT_TUNNEL] = {"TUNNEL", 0},
            },
};

bool client_is_leaving(const struct client *client)
{
    return client->side.leaving || client->clients->env->stopping;
}

uint64_t client_deadline_ms(const struct client *client, enum client_phase phase)
{
    const struct listener_config *listener = client->side.listener;

    switch (phase) {
    case CLIENT_NEW:
        return client_is_leaving(client) ? STOP_GRACE_MS : listener->timeout_head_ms;
    case CLIENT_HEAD:
        return listener->timeout_head_ms;
    case CLIENT_EXPECT:
        return EXPECT_MS;
    case CLIENT_EARLY:
        return EARLY_MS;
    case CLIENT_BODY:
    case CLIENT_RELAY:
        return listener->timeout_body_ms;
    case CLIENT_RESPONSE: /* client_on_slow_reader */
        return (listener->timeout_body_ms + CLIENT_RESPONSE_LOOKS - 1) / CLIENT_RESPONSE_LOOKS;
    case CLIENT_IDLE:
        return client_is_leaving(client) ? STOP_GRACE_MS : listener->timeout_idle_ms;
    case CLIENT_LINGER:
    case CLIENT_REST:
        return LINGER_MS;
    case CLIENT_WAITING:
    case CLIENT_TUNNEL:
    case N_CLIENT_PHASES:
        break;
    }
    return 0;
}

bool client_is_to_send(enum client_phase phase)
{
    return phase == CLIENT_NEW || phase == CLIENT_HEAD || phase == CLIENT_BODY || phase == CLIENT_IDLE;
}

void client_move(struct client *client, enum client_phase to)
{
    state_check(&client_machine, client->phase, to);
    client->phase = to;
}

/* ---- its descriptor ---- */

/* (Re)registers the descriptor: what is so already shows again. */
static int client_register(struct client *client)
{
    uint32_t events =
        EPOLLET | client->watched | interest_events(&client->interest) | (client->peer.is_unix ? 0 : EPOLLRDHUP);
    int r;

    if (client->watch.loop)
        r = loop_change(&client->watch, events);
    else
        r = loop_add(client->clients->env->loop, &client->watch, client->fd, events, client->clients->events->watch);
    if (r < 0)
        LOG_EVENT(LOG_LEVEL_WARN, "cannot watch a client's connection", LOG_STRING("peer", client->peer_text),
                  LOG_STRING("error", strerror(-r)));
    return r;
}

static void client_on_full(struct interest *interest)
{
    (void)client_register(CONTAINER_OF(interest, struct client, interest));
}

void client_attend(struct client *client, struct interest_set *set)
{
    if (!set)
        return;
    if (interest_begin(&client->interest, set, client->fd, client->connection, client_on_full) < 0 ||
        client_register(client) < 0)
        client_cut(client);
}

void client_watch(struct client *client, uint32_t events)
{
    bool same = client->watching && events == client->watched && client->watch.loop;
    bool begins = !client->watching && events == 0 && client->watch.loop && !client->interest.ended;

    client->watching = true;
    client->watched = events;
    if (!same && !begins)
        (void)client_register(client);
}

uint32_t client_hears(struct client *client, uint32_t events)
{
    if (interest_note(&client->interest, events, !client->suspended))
        client->clients->dirty = true;
    if (!client->watching)
        return 0;
    return events & (client->watched | EPOLLHUP | EPOLLERR | (client->peer.is_unix ? 0 : EPOLLRDHUP));
}

/* The library has sent everything. */
static void client_needs_no_room(struct client *client)
{
    client->interest.full = false;
    (void)client_register(client);
}

/* ---- waiting ---- */

void client_arm(struct client *client, enum client_phase phase)
{
    uint64_t ms = client_deadline_ms(client, phase);
    bool is_over = phase == CLIENT_IDLE && phase != client->phase;

    if (phase != client->phase)
        client_move(client, phase);
    client->interest.silenced = phase == CLIENT_RELAY || phase == CLIENT_REST;
    if (phase == CLIENT_NEW || phase == CLIENT_IDLE)
        admission_idle(&client->pass, loop_now(client->clients->env->loop));
    else
        admission_busy(&client->pass);
    client->silent = !client_is_to_send(phase) || ms <= CLIENT_SILENCE_MS;
    client->unread = -1;
    client->stalled_looks = 0;
    client->let_go = false;
    if (is_over && client->interest.full)
        client_needs_no_room(client);
    if (ms == 0)
        timer_disarm(&client->timer);
    else
        timer_arm(client->clients->env->loop, &client->timer, client->silent ? ms : CLIENT_SILENCE_MS);
}

void client_stop_waiting(struct client *client)
{
    if (!client->request.waiting)
        return;
    client->request.waiting = false;
    client->clients->n_waiting--;
}

void client_suspend(struct client *client)
{
    client_stop_waiting(client);
    client->suspended = true;
    client->clients->suspend(client);
    interest_forget(&client->interest);
    if (!client->watching)
        client_watch(client, 0);
}

void client_wake(struct client *client)
{
    if (list_linked(&client->line) && !client->cut)
        return;
    list_remove(&client->line);
    client->clients->dirty = true;
    if (!client->suspended)
        return;
    client->suspended = false;
    client->clients->resume(client);
}

void client_wait(struct client *client)
{
    struct clients *clients = client->clients;

    if (!client->request.waiting) {
        client->request.waiting = true;
        client->request.waited_run = clients->run;
        clients->n_waiting++;
    } else if (clients->run - client->request.waited_run >= (clients->about_to_sleep ? 1u : WAIT_RUNS)) {
        client_suspend(client);
    }
}

void client_cut(struct client *client)
{
    if (client->phase == CLIENT_TUNNEL)
        return;
    client->cut = true;
    detour_end(&client->detour);
    shutdown(client->fd, SHUT_RDWR);
    client_wake(client);
    timer_arm(client->clients->env->loop, &client->timer, CUT_MS);
}

bool client_has_left(const struct client *client)
{
    char byte;
    ssize_t n = recv(client->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

    return n == 0 || (n < 0 && errno != EAGAIN);
}

/* ---- life ---- */

/* Asked once for each generation: groups cost a system call. */
static bool client_is_trusted(const struct client *client, const struct listener_config *listener)
{
    switch (listener->forwarded) {
    case FORWARDED_APPEND:
        return true;
    case FORWARDED_TRUST:
        return peer_is_allowed(&client->peer, client->fd, listener->trusted, listener->n_trusted);
    case FORWARDED_REPLACE:
    case FORWARDED_OFF:
        break;
    }
    return false;
}

static bool client_peer_fits(struct exchange_client *side, const struct peer_rule *rules, size_t n_rules,
                             bool unknown_fits)
{
    struct client *client = CONTAINER_OF(side, struct client, side);

    return peer_fits(&client->peer, client->fd, rules, n_rules, unknown_fits, &client->groups);
}

struct client *client_new(struct clients *clients, int fd, struct generation *generation,
                          const struct listener_config *listener, const struct peer *peer)
{
    struct client *client = calloc(1, sizeof(*client));

    if (!client)
        return NULL;
    client->clients = clients;
    client->fd = fd;
    client->since = loop_now(clients->env->loop);
    client->peer = *peer;
    client->watch = (struct source)SOURCE_INIT;
    client->detour = (struct detour)DETOUR_INIT;
    list_init(&client->line);
    list_init(&client->receipt.link);
    interest_init(&client->interest);
    timer_init(&client->timer, clients->events->timer);
    if (peer->is_unix)
        snprintf(client->node, sizeof(client->node), "_uid-%u.gid-%u", (unsigned)peer->uid, (unsigned)peer->gid);
    else
        snprintf(client->node, sizeof(client->node), strchr(peer->address, ':') ? "\"[%s]\"" : "%s", peer->address);
    peer_format(peer, client->peer_text, sizeof(client->peer_text));
    client->side = (struct exchange_client){.wake = clients->events->wake,
                                            .interim = clients->events->interim,
                                            .peer_fits = client_peer_fits,
                                            .generation = generation_ref(generation),
                                            .listener = listener,
                                            .trusted = client_is_trusted(client, listener),
                                            .address = text_of(client->peer.address),
                                            .node = text_of(client->node),
                                            .peer = text_of(client->peer_text),
                                            .uid = peer->uid,
                                            .gid = peer->gid,
                                            .pid = peer->pid,
                                            .has_peer = peer->is_unix && peer->uid != (uid_t)-1,
                                            .is_unix = peer->is_unix};
    list_append(&clients->list, &client->link);
    clients->n_clients++;
    return client;
}

void client_free(struct client *client)
{
    client_stop_waiting(client);
    timer_disarm(&client->timer);
    interest_end(&client->interest);
    loop_remove(&client->watch);
    list_remove(&client->link);
    list_remove(&client->line);
    receipt_drop(&client->receipt);
    detour_end(&client->detour);
    client->clients->n_clients--;
    personal_end(&client->side.personal);
    generation_unref(client->side.generation);
    admission_leave(&client->pass);
    peer_groups_free(client->groups);
    free(client);
}

/* ---- generations ---- */

/* Whether whom its peer is may still come in. */
static bool client_is_welcome(const struct client *client, const struct listener_config *listener)
{
    return !peer_is_denied(&client->peer, client->fd, listener->denied, listener->n_denied) &&
           peer_is_allowed(&client->peer, client->fd, listener->peers, listener->n_peers);
}

/* It is between two requests: nothing of it is lost that it could have had. */
static void client_evict(struct client *client, const struct listener_config *listener)
{
    client->side.leaving = true;
    client_cut(client);
    LOG_EVENT(LOG_LEVEL_INFO, "a client is let go: its peer is not allowed any more",
              LOG_STRING("listener", listener->name), LOG_STRING("peer", client->peer_text));
}

void client_renew(struct client *client)
{
    struct exchange_client *side = &client->side;
    struct generation *newest = client->clients->env->generation;
    const struct listener_config *listener;

    if (side->generation == newest || side->leaving)
        return;
    listener = generation_listener(newest, side->generation, side->listener);
    side->leaving = !listener;
    if (!listener)
        return;
    if (!client_is_welcome(client, listener)) {
        client_evict(client, listener);
        return;
    }
    side->listener = listener;
    side->trusted = client_is_trusted(client, listener);
    generation_ref(newest);
    generation_unref(side->generation);
    side->generation = newest;
}

/* Its phase lasts as long as its listener says by now, which was another time before. One that is to be looked into
 * first is told apart only then. */
static void client_follow_deadline(struct client *client, uint64_t before_ms)
{
    struct loop *loop = client->clients->env->loop;
    uint64_t ms = client_deadline_ms(client, client->phase);

    if (client->cut || ms == before_ms)
        return;
    if (ms <= CLIENT_SILENCE_MS) {
        client->silent = true;
        timer_arm(loop, &client->timer, ms);
    } else if (client->silent) {
        timer_arm(loop, &client->timer, ms - CLIENT_SILENCE_MS);
    }
}

void clients_renew(struct clients *clients)
{
    struct list *link;

    for (link = clients->list.next; link != &clients->list; link = link->next) {
        struct client *client = CONTAINER_OF(link, struct client, link);
        uint64_t before_ms;

        if (client->request.exchange || client->phase == CLIENT_LINGER || client->phase == CLIENT_TUNNEL)
            continue;
        before_ms = client_deadline_ms(client, client->phase);
        client_renew(client);
        if (client->side.leaving && !client->cut && client->phase != CLIENT_HEAD)
            client_arm(client, client->phase);
        else
            client_follow_deadline(client, before_ms);
    }
}

void clients_leave(struct clients *clients, const struct admission_desk *desk)
{
    struct list *link;

    for (link = clients->list.next; link != &clients->list; link = link->next) {
        struct client *client = CONTAINER_OF(link, struct client, link);

        if (client->pass.desk != desk)
            continue;
        client->side.leaving = true;
        if (client->phase == CLIENT_NEW || client->phase == CLIENT_IDLE)
            client_arm(client, client->phase);
    }
    clients->dirty = true;
}

void client_end_request(struct client *client, bool delivered)
{
    exchange_end(client->request.exchange, delivered);
    client->request = (struct client_request){0};
    client->served = true;
    client_renew(client);
    client_arm(client, CLIENT_IDLE);
}

/* ---- stopping ---- */

void clients_stop(struct clients *clients)
{
    struct list *link;

    for (link = clients->list.next; link != &clients->list; link = link->next) {
        struct client *client = CONTAINER_OF(link, struct client, link);

        /* Whoever has just connected, or is between two requests, may be about to send. */
        if (client->phase == CLIENT_NEW || client->phase == CLIENT_IDLE)
            client_arm(client, client->phase);
    }
    clients->dirty = true;
}

static void clients_cut(struct clients *clients, const struct admission_desk *desk)
{
    struct list *link;

    for (link = clients->list.next; link != &clients->list; link = link->next) {
        struct client *client = CONTAINER_OF(link, struct client, link);

        if (desk && client->pass.desk != desk)
            continue;
        if (client->request.exchange)
            exchange_fail(client->request.exchange, OUTCOME_STOPPED);
        client_cut(client);
    }
}

void clients_cut_of(struct clients *clients, const struct admission_desk *desk)
{
    clients_cut(clients, desk);
    clients->dirty = true;
}

void clients_cut_all(struct clients *clients)
{
    clients_cut(clients, NULL);
    farewells_end(&clients->farewells);
}

void clients_init(struct clients *clients, struct exchange_env *env, const struct client_events *events)
{
    *clients = (struct clients){.env = env, .events = events};
    list_init(&clients->list);
    list_init(&clients->relays);
    list_init(&clients->bulks);
    list_init(&clients->uploads);
    list_init(&clients->receipts);
    list_init(&clients->line);
    list_init(&clients->farewells);
}
