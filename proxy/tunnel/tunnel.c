/* Tunnels in turns.
 *
 * Events only note what an end can do (tunnel_on_events) and put the tunnel on the ready list; the bytes move in its
 * turn (tunnel_turn), a few blocks each, after which it waits for events or for its next turn. So nothing is moved, and
 * no tunnel ends, from within somebody else's call: a target's answer (tunnel_on_ticket) is noted, too, since the
 * target may go with the last tunnel of its generation.
 *
 * What is asked of epoll is computed anew after each turn (tunnel_watch): edge-triggered, and for writing only while
 * something is held that its taker did not take. */
#include "proxy/tunnel/tunnel.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/base/unread.h"

#define MOST_SPARE_BLOCKS 4
#define LINGER_MS 5000u /* between two looks at what the target has taken since its client has gone */
#define CLIENT_EVENTS (EPOLLIN | EPOLLRDHUP | EPOLLET)

const struct state_machine tunnel_machine = {
    .name = "tunnel",
    .n_states = N_TUNNEL_STATES,
    .states =
        {
            [TUNNEL_CONNECTING] = {"CONNECTING",
                                   STATE_BIT(TUNNEL_OPEN) | STATE_BIT(TUNNEL_FAILED) | STATE_BIT(TUNNEL_OVER)},
            [TUNNEL_OPEN] = {"OPEN", STATE_BIT(TUNNEL_PARTING) | STATE_BIT(TUNNEL_OVER)},
            [TUNNEL_PARTING] = {"PARTING", STATE_BIT(TUNNEL_OVER)},
            [TUNNEL_FAILED] = {"FAILED", STATE_BIT(TUNNEL_OVER)},
            [TUNNEL_OVER] = {"OVER", 0},
        },
};

void tunnel_advance(struct tunnel *tunnel, enum tunnel_state to)
{
    state_check(&tunnel_machine, tunnel->state, to);
    tunnel->state = to;
}

/* ---- events ---- */

static void tunnel_get_ready(struct tunnel *tunnel)
{
    if (list_empty(&tunnel->ready))
        list_append(&tunnel->tunnels->ready, &tunnel->ready);
}

static void tunnel_on_events(struct tunnel *tunnel, enum tunnel_side side, uint32_t events)
{
    struct tunnel_end *end = &tunnel->pair.ends[side];

    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        end->readable = true;
    if (events & (EPOLLHUP | EPOLLERR))
        end->gone = true;
    if (events & EPOLLERR)
        end->broken = true;
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        end->writable = true;
    tunnel_get_ready(tunnel);
}

static void tunnel_on_client(struct source *source, uint32_t events)
{
    tunnel_on_events(CONTAINER_OF(source, struct tunnel, source), TUNNEL_CLIENT, events);
}

static void tunnel_on_target(void *closure, uint32_t events)
{
    tunnel_on_events(closure, TUNNEL_TARGET, events);
}

/* ---- life ---- */

/* NULL: it is not counted for its listener. */
static struct listener_slot *tunnel_slot(const struct tunnel *tunnel)
{
    const struct series *series = tunnel->client.listener->series;

    return series ? listener_slot(series, tunnel->tunnels->recorder->worker) : NULL;
}

static void tunnel_count_end(const struct tunnel *tunnel)
{
    struct listener_slot *slot = tunnel->opened.ns > 0 ? tunnel_slot(tunnel) : NULL;

    if (!slot)
        return;
    counter_add(&slot->tunnels_ended[tunnel->record.protocol], 1);
    histogram_observe(&slot->tunnel_duration, &histogram_tunnels,
                      loop_now(tunnel->tunnels->loop).ns - tunnel->opened.ns);
}

/* The exchange's record goes on. */
static void tunnel_report(struct tunnel *tunnel)
{
    struct record *record = &tunnel->record;

    record->outcome = tunnel->pair.outcome;
    record->reason = tunnel->reason;
    if (tunnel->ticket.endpoint)
        record->endpoint = endpoint_text(tunnel->ticket.endpoint);
    record->tunnel_received_bytes = tunnel->pair.halves[TUNNEL_CLIENT].bytes;
    record->tunnel_sent_bytes = tunnel->pair.halves[TUNNEL_TARGET].bytes;
    record->received_bytes += record->tunnel_received_bytes; /* behind a request's body */
    record->sent_bytes += record->tunnel_sent_bytes;
    tunnel_count_end(tunnel);
    recorder_end_tunnel(tunnel->tunnels->recorder, record);
}

void tunnel_client_drop(struct tunnel_client *client)
{
    if (client->fd >= 0)
        close(client->fd);
    client->fd = -1;
    admission_leave(&client->pass);
}

static void tunnel_free(struct tunnel *tunnel)
{
    struct tunnels *tunnels = tunnel->tunnels;

    timer_disarm(&tunnel->timer);
    target_withdraw(&tunnel->ticket);
    for (enum tunnel_side side = 0; side < N_SIDES; side++)
        half_drop(&tunnel->pair, side);
    if (tunnel->pair.connection)
        target_give(tunnel->target, tunnel->pair.connection, false);
    target_forget(&tunnel->ticket);
    loop_remove(&tunnel->source);
    tunnel_client_drop(&tunnel->client);
    list_remove(&tunnel->link);
    list_remove(&tunnel->ready);
    tunnels->n_tunnels--;
    generation_unref(tunnel->client.generation);
    free(tunnel->reason);
    free(tunnel);
}

/* One that parts has been told of. */
static void tunnel_end(struct tunnel *tunnel, enum outcome outcome)
{
    if (tunnel->state != TUNNEL_PARTING) {
        if (tunnel->pair.outcome == OUTCOME_TUNNELED)
            tunnel->pair.outcome = outcome;
        tunnel_report(tunnel);
    }
    tunnel_advance(tunnel, TUNNEL_OVER);
    tunnel_free(tunnel);
}

/* ---- parting ---- */

static void tunnel_part_from(struct tunnel *tunnel, enum tunnel_side side)
{
    tunnel->partings[side] = (struct parting)PARTING_INIT;
    if (side == TUNNEL_CLIENT) {
        loop_remove(&tunnel->source);
        tunnel_client_drop(&tunnel->client);
    } else {
        target_give(tunnel->target, tunnel->pair.connection, false);
        tunnel->pair.connection = NULL;
    }
}

/* Drops what has come from those who still speak. When nobody does any more, the tunnel is over. */
static void tunnel_part_on(struct tunnel *tunnel)
{
    for (enum tunnel_side side = 0; side < N_SIDES; side++) {
        struct tunnel_end *end = &tunnel->pair.ends[side];

        if (!parting_is_on(&tunnel->partings[side]) || !end->readable)
            continue;
        switch (parting_drop(&tunnel->partings[side])) {
        case PARTING_OVER:
            tunnel_part_from(tunnel, side);
            break;
        case PARTING_WAIT:
            end->readable = false;
            break;
        case PARTING_MORE:
            tunnel_get_ready(tunnel);
            break;
        }
    }
    if (!parting_is_on(&tunnel->partings[TUNNEL_CLIENT]) && !parting_is_on(&tunnel->partings[TUNNEL_TARGET]))
        tunnel_end(tunnel, OUTCOME_TUNNELED);
}

static void tunnel_part_look(struct tunnel *tunnel)
{
    bool is_long = instant_elapsed_us(tunnel->moved, loop_now(tunnel->tunnels->loop)) / 1000 >= PARTING_MOST_MS;

    for (enum tunnel_side side = 0; side < N_SIDES; side++)
        if (parting_is_on(&tunnel->partings[side]) && (is_long || !parting_is_taken(&tunnel->partings[side])))
            tunnel_part_from(tunnel, side);
    timer_arm(tunnel->tunnels->loop, &tunnel->timer, PARTING_LOOK_MS);
    tunnel_part_on(tunnel);
}

/* Whether it is a side over TCP of which nobody knows that it will say no more. */
static bool tunnel_may_speak(const struct tunnel *tunnel, enum tunnel_side side)
{
    const struct tunnel_end *end = &tunnel->pair.ends[side];
    bool is_unix =
        side == TUNNEL_CLIENT ? tunnel->client.is_unix : endpoint_is_unix(endpoint_of(tunnel->pair.connection));

    return !is_unix && !end->ended && !end->gone;
}

/* Both halves are closed. */
static void tunnel_part(struct tunnel *tunnel)
{
    const int fds[N_SIDES] = {tunnel->client.fd, tunnel->pair.connection->channel.fd};
    const bool may_speak[N_SIDES] = {tunnel_may_speak(tunnel, TUNNEL_CLIENT), tunnel_may_speak(tunnel, TUNNEL_TARGET)};

    if (!may_speak[TUNNEL_CLIENT] && !may_speak[TUNNEL_TARGET]) {
        tunnel_end(tunnel, OUTCOME_TUNNELED);
        return;
    }
    tunnel_report(tunnel);
    tunnel_advance(tunnel, TUNNEL_PARTING);
    tunnel->moved = loop_now(tunnel->tunnels->loop);
    timer_arm(tunnel->tunnels->loop, &tunnel->timer, PARTING_LOOK_MS);
    for (enum tunnel_side side = 0; side < N_SIDES; side++) {
        if (may_speak[side])
            parting_begin(&tunnel->partings[side], fds[side]);
        else
            tunnel_part_from(tunnel, side);
        tunnel->pair.ends[side].readable = true;
    }
    tunnel_part_on(tunnel);
}

/* ---- time ---- */

/* Whether the target has taken anything since the last look, however slow it is. */
static bool tunnel_is_taken(struct tunnel *tunnel)
{
    struct tunnel_taken before = tunnel->lingered, *now = &tunnel->lingered;

    now->sent_bytes = tunnel->pair.halves[TUNNEL_CLIENT].bytes;
    now->unread = unread_look(tunnel->pair.connection->channel.fd);
    return now->sent_bytes != before.sent_bytes || now->unread != before.unread;
}

/* Until nothing has moved for timeouts.tunnel; 0: that is now. */
static uint64_t tunnel_left_ms(const struct tunnel *tunnel)
{
    uint64_t idle_ms = instant_elapsed_us(tunnel->moved, loop_now(tunnel->tunnels->loop)) / 1000;
    uint64_t most_ms = tunnel->most_idle_ms;

    return idle_ms < most_ms ? most_ms - idle_ms : 0;
}

/* Armed once, not with every byte. */
static void tunnel_arm(struct tunnel *tunnel)
{
    uint64_t left_ms = tunnel_left_ms(tunnel);

    timer_arm(tunnel->tunnels->loop, &tunnel->timer, tunnel->lingers && left_ms > LINGER_MS ? LINGER_MS : left_ms);
}

/* The client has gone, and the target is still to take what it said. */
static void tunnel_linger(struct tunnel *tunnel)
{
    tunnel->lingers = true;
    (void)tunnel_is_taken(tunnel);
    tunnel_arm(tunnel);
}

static void tunnel_on_timer(struct timer *timer)
{
    struct tunnel *tunnel = CONTAINER_OF(timer, struct tunnel, timer);

    if (tunnel->state == TUNNEL_PARTING)
        tunnel_part_look(tunnel);
    else if (tunnel_left_ms(tunnel) == 0)
        tunnel_end(tunnel, OUTCOME_TUNNEL_IDLE);
    else if (tunnel->lingers && !tunnel_is_taken(tunnel))
        tunnel_end(tunnel, OUTCOME_CLIENT_GONE);
    else
        tunnel_arm(tunnel);
}

/* ---- moving ---- */

/* Asks for exactly those events that something waits for. */
static int tunnel_watch(struct tunnel *tunnel)
{
    bool client_is_full = half_holds(&tunnel->pair.halves[TUNNEL_TARGET]) && !tunnel->pair.ends[TUNNEL_CLIENT].writable;
    bool target_is_full = half_holds(&tunnel->pair.halves[TUNNEL_CLIENT]) && !tunnel->pair.ends[TUNNEL_TARGET].writable;
    int r = loop_modify(&tunnel->source, CLIENT_EVENTS | (client_is_full ? EPOLLOUT : 0));

    return r < 0 ? r : connection_want_write(tunnel->pair.connection, target_is_full);
}

/* What the client said and the target does not take is for nobody any more. */
static bool tunnel_is_broken_off(const struct tunnel *tunnel)
{
    return tunnel->pair.ends[TUNNEL_CLIENT].broken && !tunnel->client.is_unix &&
           half_holds(&tunnel->pair.halves[TUNNEL_CLIENT]) && !tunnel->pair.ends[TUNNEL_TARGET].writable;
}

/* A tunnel may last for days: what goes through it is counted as it goes. */
static void tunnel_count_bytes(const struct tunnel *tunnel, uint64_t received, uint64_t sent)
{
    struct metrics *metrics = tunnel->tunnels->recorder->metrics;
    struct listener_slot *slot = tunnel_slot(tunnel);

    counter_add(&metrics->tunnel_received_bytes, received);
    counter_add(&metrics->tunnel_sent_bytes, sent);
    if (!slot)
        return;
    counter_add(&slot->tunnel_received, received);
    counter_add(&slot->tunnel_sent, sent);
}

/* Whether anything was moved. */
static bool tunnel_move(struct tunnel *tunnel)
{
    struct tunnel_half *halves = tunnel->pair.halves;
    uint64_t received = halves[TUNNEL_CLIENT].bytes, sent = halves[TUNNEL_TARGET].bytes;

    for (enum tunnel_side side = 0; side < N_SIDES; side++)
        half_move(&tunnel->pair, side);
    received = halves[TUNNEL_CLIENT].bytes - received;
    sent = halves[TUNNEL_TARGET].bytes - sent;
    if (received + sent > 0)
        tunnel_count_bytes(tunnel, received, sent);
    return received + sent > 0;
}

static void tunnel_turn(struct tunnel *tunnel)
{
    if (tunnel_move(tunnel))
        tunnel->moved = loop_now(tunnel->tunnels->loop);
    for (enum tunnel_side side = 0; side < N_SIDES; side++)
        half_bury(&tunnel->pair, side);
    if (pair_is_over(&tunnel->pair))
        tunnel_part(tunnel);
    else if (tunnel_is_broken_off(tunnel))
        tunnel_end(tunnel, OUTCOME_CLIENT_GONE);
    else if (tunnel_watch(tunnel) < 0)
        tunnel_end(tunnel, OUTCOME_INTERNAL);
    else if (half_has_more(&tunnel->pair, TUNNEL_CLIENT) || half_has_more(&tunnel->pair, TUNNEL_TARGET))
        tunnel_get_ready(tunnel);
    else if (tunnel->pair.ends[TUNNEL_CLIENT].gone && !tunnel->lingers)
        tunnel_linger(tunnel);
}

/* While connecting: the client has gone, and has left nothing that could still be delivered. */
static bool tunnel_is_forsaken(const struct tunnel *tunnel)
{
    char byte;

    return tunnel->pair.ends[TUNNEL_CLIENT].gone && recv(tunnel->client.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0;
}

void tunnels_turn_ready(struct tunnels *tunnels)
{
    struct list now;

    /* Those that get ready meanwhile have their turn in the next round. */
    list_init(&now);
    list_move(&now, &tunnels->ready);
    while (!list_empty(&now)) {
        struct tunnel *tunnel = CONTAINER_OF(list_pop(&now), struct tunnel, ready);

        if (tunnel->state == TUNNEL_OPEN)
            tunnel_turn(tunnel);
        else if (tunnel->state == TUNNEL_PARTING)
            tunnel_part_on(tunnel);
        else if (tunnel->state == TUNNEL_FAILED)
            tunnel_end(tunnel, tunnel->pair.outcome);
        else if (tunnel_is_forsaken(tunnel))
            tunnel_end(tunnel, OUTCOME_CLIENT_GONE);
    }
}

/* ---- beginning ---- */

/* A copy of what the log will say; the names of listener, route and target live in the snapshot. */
static void tunnel_keep_record(struct tunnel *tunnel, const struct record *record)
{
    struct text *const texts[] = {&tunnel->record.request_id, &tunnel->record.method,  &tunnel->record.target,
                                  &tunnel->record.peer,       &tunnel->record.upgrade, &tunnel->record.trace};
    char *at = tunnel->texts;

    tunnel->record = *record;
    tunnel->record.message = NULL;
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
        if (texts[i]->length > 0)
            memcpy(at, texts[i]->data, texts[i]->length);
        texts[i]->data = at;
        at += texts[i]->length;
    }
}

/* Bytes go on as they come: what Nagle's algorithm would wait for is not ours to know. */
static void tunnel_send_at_once(int fd)
{
    int on = 1;

    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
        LOG_EVENT(LOG_LEVEL_DEBUG, "a tunnel's client goes on with delays", LOG_STRING("error", strerror(errno)));
}

/* NULL when out of memory; the descriptor is closed then. */
static struct tunnel *tunnel_new(struct tunnels *tunnels, struct tunnel_client *client, struct target *target,
                                 const struct record *record)
{
    size_t texts_bytes = record->request_id.length + record->method.length + record->target.length +
                         record->peer.length + record->upgrade.length + record->trace.length;
    struct tunnel *tunnel = calloc(1, sizeof(*tunnel) + texts_bytes);

    if (!tunnel) {
        tunnel_client_drop(client);
        return NULL;
    }
    tunnel->tunnels = tunnels;
    tunnel->client = *client;
    admission_tunnel(&tunnel->client.pass);
    generation_ref(client->generation);
    tunnel->source = (struct source)SOURCE_INIT;
    tunnel->target = target;
    tunnel->most_idle_ms = target->config->times.tunnel_ms;
    tunnel->pair = (struct tunnel_pair){
        .blocks = &tunnels->blocks, .pipes = &tunnels->pipes, .client_fd = client->fd, .outcome = OUTCOME_TUNNELED};
    tunnel->moved = loop_now(tunnels->loop);
    tunnel->pair.ends[TUNNEL_CLIENT] = (struct tunnel_end){.writable = true};
    /* Its connection may have been reported readable to somebody else. */
    tunnel->pair.ends[TUNNEL_TARGET] = (struct tunnel_end){.writable = true, .readable = true};
    timer_init(&tunnel->timer, tunnel_on_timer);
    list_init(&tunnel->ready);
    list_append(&tunnels->list, &tunnel->link);
    tunnels->n_tunnels++;
    tunnel_keep_record(tunnel, record);
    if (!client->is_unix)
        tunnel_send_at_once(client->fd);
    return tunnel;
}

static void tunnel_connected(struct tunnel *tunnel, struct connection *connection)
{
    struct listener_slot *slot = tunnel_slot(tunnel);

    tunnel_advance(tunnel, TUNNEL_OPEN);
    tunnel->pair.connection = connection;
    tunnel->record.tls = channel_tls_version(&connection->channel);
    tunnel->pair.spliceable = tunnel->client.is_unix && endpoint_is_unix(endpoint_of(connection));
    tunnel->pair.ends[TUNNEL_TARGET].gone = connection->gone;
    connection_use(connection, tunnel_on_target, tunnel);
    counter_add(&tunnel->tunnels->recorder->metrics->tunnels, 1);
    tunnel->opened = loop_now(tunnel->tunnels->loop);
    if (slot)
        counter_add(&slot->tunnels_begun[tunnel->record.protocol], 1);
    tunnel_arm(tunnel);
    tunnel_get_ready(tunnel);
}

int tunnel_join(struct tunnels *tunnels, struct tunnel_client *client, struct target *target, uint64_t most_idle_ms,
                struct connection *connection, const struct record *record, struct text from_client,
                struct text from_target)
{
    struct tunnel *tunnel = tunnel_new(tunnels, client, target, record);
    int r;

    if (!tunnel) {
        target_give(target, connection, false);
        return -ENOMEM;
    }
    tunnel->most_idle_ms = most_idle_ms;
    /* The record has its text. */
    tunnel->ticket.endpoint = tunnel->ticket.held = endpoint_ref(endpoint_of(connection));
    tunnel_connected(tunnel, connection);
    r = half_keep(&tunnel->pair, TUNNEL_CLIENT, from_client);
    if (r == 0)
        r = half_keep(&tunnel->pair, TUNNEL_TARGET, from_target);
    if (r == 0)
        r = loop_add(tunnels->loop, &tunnel->source, client->fd, CLIENT_EVENTS, tunnel_on_client);
    if (r < 0)
        tunnel_free(tunnel);
    return r;
}

/* A stream's; of an exchange it is told with its heads. */
static void tunnel_tell_begin(struct tunnel *tunnel)
{
    struct record record = tunnel->record;

    record.outcome = OUTCOME_TUNNELED;
    recorder_begin_tunnel(tunnel->tunnels->recorder, &record);
}

/* A failure ends the tunnel in its next turn: here the target still has something to do, which may go with the tunnel.
 */
static void tunnel_on_ticket(struct ticket *ticket, struct connection *connection, const struct failure *failure)
{
    struct tunnel *tunnel = CONTAINER_OF(ticket, struct tunnel, ticket);

    if (connection) {
        if (tunnel->ticket.standing)
            standing_succeed(tunnel->ticket.standing, tunnel->ticket.chosen, loop_now(tunnel->tunnels->loop));
        tunnel->record.connect_us = (int64_t)instant_elapsed_us(tunnel->record.begun, loop_now(tunnel->tunnels->loop));
        tunnel_connected(tunnel, connection);
        tunnel_tell_begin(tunnel);
        return;
    }
    tunnel_advance(tunnel, TUNNEL_FAILED);
    tunnel->pair.outcome = failure->outcome;
    tunnel->reason = failure_reason(failure) ? strdup(failure_reason(failure)) : NULL;
    tunnel_get_ready(tunnel);
}

int tunnel_open(struct tunnels *tunnels, struct tunnel_client *client, struct target *target,
                const struct record *record)
{
    struct tunnel *tunnel = tunnel_new(tunnels, client, target, record);
    struct connection *connection = NULL;
    struct failure failure;
    int r;

    if (!tunnel)
        return -ENOMEM;
    r = loop_add(tunnels->loop, &tunnel->source, client->fd, CLIENT_EVENTS, tunnel_on_client);
    if (r < 0) {
        tunnel_free(tunnel);
        return r;
    }
    tunnel->ticket.fn = tunnel_on_ticket;
    tunnel->ticket.uid = client->uid;
    /* Never an idle one: what a target says first, it says on a connection of its own. */
    if (target_ask(target, &tunnel->ticket, true, &connection, &failure) != CONNECT_WAIT)
        tunnel_on_ticket(&tunnel->ticket, connection, &failure);
    return 0;
}

/* ---- all of them ---- */

void tunnels_init(struct tunnels *tunnels)
{
    buffer_store_init(&tunnels->blocks, TUNNEL_BLOCK_BYTES, MOST_SPARE_BLOCKS);
    list_init(&tunnels->list);
    list_init(&tunnels->ready);
    tunnels->n_tunnels = 0;
}

void tunnels_grow(struct tunnels *tunnels, size_t early_bytes)
{
    buffer_store_grow(&tunnels->blocks, early_bytes);
}

void tunnels_cut_of(struct tunnels *tunnels, const struct admission_desk *desk)
{
    struct list *next;

    for (struct list *link = tunnels->list.next; link != &tunnels->list; link = next) {
        struct tunnel *tunnel = CONTAINER_OF(link, struct tunnel, link);

        next = link->next;
        if (tunnel->client.pass.desk == desk)
            tunnel_end(tunnel, OUTCOME_STOPPED);
    }
}

void tunnels_cut_all(struct tunnels *tunnels)
{
    while (!list_empty(&tunnels->list))
        tunnel_end(CONTAINER_OF(tunnels->list.next, struct tunnel, link), OUTCOME_STOPPED);
}

void tunnels_deinit(struct tunnels *tunnels)
{
    tunnels_cut_all(tunnels);
    buffer_store_deinit(&tunnels->blocks);
    pipe_store_deinit(&tunnels->pipes);
}
