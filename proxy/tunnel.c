#include "proxy/tunnel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BLOCK_BYTES (64u * 1024)
#define MOST_SPARE_BLOCKS 4
#define STEPS_PER_TURN 16 /* of receiving or sending a block; then the next tunnel has its turn */
#define CLIENT_EVENTS (EPOLLIN | EPOLLRDHUP | EPOLLET)

enum tunnel_side { TUNNEL_CLIENT, TUNNEL_TARGET, N_SIDES };

/* One end. What epoll has said of it and system calls have not contradicted. */
struct tunnel_end {
    bool readable, writable;
    bool ending; /* its end of file, or worse, is there or close behind the last bytes */
    bool gone;   /* it has closed both ways: what is still to be given to it is for nobody */
};

/* What an end says, on its way to the other end. */
struct tunnel_half {
    struct buffer *kept; /* owned: received and not yet taken; NULL when there is nothing */
    bool ended;          /* nothing more will be received */
    bool closed;         /* and the taker has been told so; or it takes no more */
    uint64_t bytes;      /* taken */
};

struct tunnel {
    struct tunnels *tunnels;
    struct list link;          /* in tunnels.list */
    struct list ready;         /* in tunnels.ready, or alone */
    struct snapshot *snapshot; /* a reference */
    struct tunnel_client client;
    struct source source; /* the client's */
    struct target *target;
    struct ticket ticket;          /* while connecting */
    struct connection *connection; /* NULL while connecting */
    struct timer timer;
    struct instant moved; /* the last bytes, either way */
    struct instant begun;
    struct tunnel_end ends[N_SIDES];
    struct tunnel_half halves[N_SIDES]; /* by the side that speaks */
    enum outcome outcome;
    struct access_entry entry; /* its texts are in `texts` */
    char texts[];
};

static enum tunnel_side tunnel_other(enum tunnel_side side)
{
    return side == TUNNEL_CLIENT ? TUNNEL_TARGET : TUNNEL_CLIENT;
}

/* ---- ends ---- */

static void tunnel_get_ready(struct tunnel *tunnel)
{
    if (list_empty(&tunnel->ready))
        list_append(&tunnel->tunnels->ready, &tunnel->ready);
}

static void tunnel_on_events(struct tunnel *tunnel, enum tunnel_side side, uint32_t events)
{
    struct tunnel_end *end = &tunnel->ends[side];

    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        end->readable = true;
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        end->ending = true;
    if (events & (EPOLLHUP | EPOLLERR))
        end->gone = true;
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

static ssize_t tunnel_recv(struct tunnel *tunnel, enum tunnel_side side, void *data, size_t size)
{
    ssize_t n;

    if (side == TUNNEL_TARGET)
        return channel_recv(&tunnel->connection->channel, data, size);
    do
        n = recv(tunnel->client.fd, data, size, 0);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

static ssize_t tunnel_send(struct tunnel *tunnel, enum tunnel_side side, const void *data, size_t length)
{
    ssize_t n;

    if (side == TUNNEL_TARGET)
        return channel_send(&tunnel->connection->channel, data, length);
    do
        n = send(tunnel->client.fd, data, length, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

/* Tells an end that nothing more will come. Below TLS this is an end of file without a close_notify: libcurl has no
 * half-close, and the other direction must stay open. */
static void tunnel_shut(const struct tunnel *tunnel, enum tunnel_side side)
{
    shutdown(side == TUNNEL_CLIENT ? tunnel->client.fd : tunnel->connection->channel.fd, SHUT_WR);
}

static bool tunnel_is_plain(const struct tunnel *tunnel, enum tunnel_side side)
{
    return side == TUNNEL_CLIENT || !tunnel->connection->channel.tls;
}

/* ---- halves ---- */

static void half_drop_kept(struct tunnel *tunnel, struct tunnel_half *half)
{
    buffer_give(&tunnel->tunnels->blocks, half->kept);
    half->kept = NULL;
}

/* The taker takes no more: what the speaker still says is not received any longer. */
static void half_break(struct tunnel *tunnel, struct tunnel_half *half)
{
    half_drop_kept(tunnel, half);
    half->ended = half->closed = true;
}

static void tunnel_blame(struct tunnel *tunnel, enum tunnel_side side)
{
    if (tunnel->outcome == OUTCOME_TUNNELED)
        tunnel->outcome = side == TUNNEL_CLIENT ? OUTCOME_CLIENT_GONE : OUTCOME_TARGET_RESET;
}

/* Gives the taker what is kept. False when it cannot go on now. */
static bool half_give(struct tunnel *tunnel, enum tunnel_side from)
{
    enum tunnel_side to = tunnel_other(from);
    struct tunnel_half *half = &tunnel->halves[from];
    struct buffer *kept = half->kept;
    ssize_t n;

    if (!tunnel->ends[to].writable)
        return false;
    n = tunnel_send(tunnel, to, kept->data + kept->start, buffer_length(kept));
    if (n == -EAGAIN) {
        tunnel->ends[to].writable = false;
        return false;
    }
    if (n < 0) {
        tunnel_blame(tunnel, to);
        half_break(tunnel, half);
        return false;
    }
    half->bytes += (uint64_t)n;
    counter_add(from == TUNNEL_CLIENT ? &tunnel->tunnels->metrics->tunnel_received_bytes
                                      : &tunnel->tunnels->metrics->tunnel_sent_bytes,
                (uint64_t)n);
    kept->start += (size_t)n;
    if (buffer_length(kept) == 0)
        half_drop_kept(tunnel, half);
    return true;
}

/* Receives a block. False when nothing came. */
static bool half_take(struct tunnel *tunnel, enum tunnel_side from)
{
    struct tunnel_end *end = &tunnel->ends[from];
    struct tunnel_half *half = &tunnel->halves[from];
    struct buffer *block = buffer_take(&tunnel->tunnels->blocks);
    ssize_t n;

    if (!block) {
        tunnel->outcome = OUTCOME_INTERNAL;
        half_break(tunnel, half);
        return false;
    }
    n = tunnel_recv(tunnel, from, block->data, block->size);
    if (n > 0) {
        block->end = (size_t)n;
        half->kept = block;
        /* There was no more than that; should more have come since, epoll says so. But an end of file may have been
         * reported together with these bytes. */
        if ((size_t)n < block->size && !end->ending && tunnel_is_plain(tunnel, from))
            end->readable = false;
        return true;
    }
    buffer_give(&tunnel->tunnels->blocks, block);
    end->readable = false;
    if (n == -EAGAIN)
        return false;
    half->ended = true;
    if (n < 0) {
        end->gone = true;
        tunnel_blame(tunnel, from);
    }
    return true;
}

/* Moves what one end says, a few blocks at most. */
static void half_move(struct tunnel *tunnel, enum tunnel_side from)
{
    struct tunnel_half *half = &tunnel->halves[from];

    for (int i = 0; i < STEPS_PER_TURN && !half->closed; i++) {
        if (half->kept && !half_give(tunnel, from))
            return;
        if (half->kept)
            continue;
        if (half->ended) {
            tunnel_shut(tunnel, tunnel_other(from));
            half->closed = true;
        } else if (!tunnel->ends[from].readable || !half_take(tunnel, from)) {
            return;
        }
    }
}

/* What is still to be given to an end that has gone is for nobody. */
static void half_bury(struct tunnel *tunnel, enum tunnel_side gone)
{
    struct tunnel_half *half = &tunnel->halves[tunnel_other(gone)];

    if (!tunnel->ends[gone].gone || !tunnel->halves[gone].closed || half->closed)
        return;
    if (half->kept)
        tunnel_blame(tunnel, gone);
    half_break(tunnel, half);
}

static bool half_has_more(const struct tunnel *tunnel, enum tunnel_side from)
{
    const struct tunnel_half *half = &tunnel->halves[from];

    if (half->closed)
        return false;
    if (half->kept)
        return tunnel->ends[tunnel_other(from)].writable;
    return half->ended || tunnel->ends[from].readable;
}

/* ---- life ---- */

static void tunnel_report(struct tunnel *tunnel)
{
    struct access_entry *entry = &tunnel->entry;

    entry->time = wall_time_now();
    entry->outcome = tunnel->outcome;
    entry->received_bytes += tunnel->halves[TUNNEL_CLIENT].bytes; /* behind a request's body */
    entry->sent_bytes += tunnel->halves[TUNNEL_TARGET].bytes;
    entry->total_us = instant_elapsed_us(tunnel->begun, instant_now());
    counter_add(&tunnel->tunnels->metrics->outcomes[tunnel->outcome], 1);
    access_log_report(tunnel->tunnels->access_log, entry);
}

static void tunnel_free(struct tunnel *tunnel)
{
    struct tunnels *tunnels = tunnel->tunnels;

    timer_disarm(&tunnel->timer);
    target_withdraw(&tunnel->ticket);
    for (int i = 0; i < N_SIDES; i++)
        half_drop_kept(tunnel, &tunnel->halves[i]);
    if (tunnel->connection)
        target_give(tunnel->target, tunnel->connection, false);
    loop_remove(&tunnel->source);
    close(tunnel->client.fd);
    list_remove(&tunnel->link);
    list_remove(&tunnel->ready);
    tunnels->n_tunnels--;
    snapshot_unref(tunnel->snapshot);
    free(tunnel);
}

static void tunnel_end(struct tunnel *tunnel, enum outcome outcome)
{
    struct tunnels *tunnels = tunnel->tunnels;
    struct tunnel_client client = tunnel->client;

    if (tunnel->outcome == OUTCOME_TUNNELED)
        tunnel->outcome = outcome;
    tunnel_report(tunnel);
    tunnel_free(tunnel);
    tunnels->closed(tunnels->closure, client.listener, client.uid);
}

static void tunnel_on_timer(struct timer *timer)
{
    struct tunnel *tunnel = CONTAINER_OF(timer, struct tunnel, timer);
    struct loop *loop = tunnel->tunnels->loop;
    uint64_t idle_ms = instant_elapsed_us(tunnel->moved, loop_now(loop)) / 1000;

    /* Armed once, not with every byte. */
    if (idle_ms < tunnel->target->config->tunnel_timeout_ms)
        timer_arm(loop, timer, tunnel->target->config->tunnel_timeout_ms - idle_ms);
    else
        tunnel_end(tunnel, OUTCOME_TUNNEL_IDLE);
}

/* Asks for exactly those events that something waits for. */
static int tunnel_watch(struct tunnel *tunnel)
{
    bool client_is_full = tunnel->halves[TUNNEL_TARGET].kept && !tunnel->ends[TUNNEL_CLIENT].writable;
    bool target_is_full = tunnel->halves[TUNNEL_CLIENT].kept && !tunnel->ends[TUNNEL_TARGET].writable;
    int r = loop_modify(&tunnel->source, CLIENT_EVENTS | (client_is_full ? EPOLLOUT : 0));

    return r < 0 ? r : connection_want_write(tunnel->connection, target_is_full);
}

static void tunnel_turn(struct tunnel *tunnel)
{
    uint64_t before = tunnel->halves[TUNNEL_CLIENT].bytes + tunnel->halves[TUNNEL_TARGET].bytes;

    for (enum tunnel_side side = 0; side < N_SIDES; side++)
        half_move(tunnel, side);
    for (enum tunnel_side side = 0; side < N_SIDES; side++)
        half_bury(tunnel, side);
    if (tunnel->halves[TUNNEL_CLIENT].bytes + tunnel->halves[TUNNEL_TARGET].bytes != before)
        tunnel->moved = loop_now(tunnel->tunnels->loop);
    if (tunnel->halves[TUNNEL_CLIENT].closed && tunnel->halves[TUNNEL_TARGET].closed)
        tunnel_end(tunnel, OUTCOME_TUNNELED);
    else if (tunnel_watch(tunnel) < 0)
        tunnel_end(tunnel, OUTCOME_INTERNAL);
    else if (half_has_more(tunnel, TUNNEL_CLIENT) || half_has_more(tunnel, TUNNEL_TARGET))
        tunnel_get_ready(tunnel);
}

void tunnels_turn(struct tunnels *tunnels)
{
    struct list now;

    /* Those that get ready meanwhile have their turn in the next round. */
    list_init(&now);
    list_move(&now, &tunnels->ready);
    while (!list_empty(&now)) {
        struct tunnel *tunnel = CONTAINER_OF(list_pop(&now), struct tunnel, ready);

        if (tunnel->connection)
            tunnel_turn(tunnel);
        else if (tunnel->ends[TUNNEL_CLIENT].gone)
            tunnel_end(tunnel, OUTCOME_CLIENT_GONE);
    }
}

/* ---- beginning ---- */

/* A copy of what the log will say; the names of listener, route and target live in the snapshot. */
static void tunnel_keep_entry(struct tunnel *tunnel, const struct access_entry *entry)
{
    struct text *const texts[] = {&tunnel->entry.request_id, &tunnel->entry.method, &tunnel->entry.target,
                                  &tunnel->entry.peer};
    char *at = tunnel->texts;

    tunnel->entry = *entry;
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
        if (texts[i]->length > 0)
            memcpy(at, texts[i]->data, texts[i]->length);
        texts[i]->data = at;
        at += texts[i]->length;
    }
}

/* NULL when out of memory; the descriptor is closed then. */
static struct tunnel *tunnel_new(struct tunnels *tunnels, const struct tunnel_client *client, struct target *target,
                                 struct snapshot *snapshot, const struct access_entry *entry)
{
    size_t texts_bytes = entry->request_id.length + entry->method.length + entry->target.length + entry->peer.length;
    struct tunnel *tunnel = calloc(1, sizeof(*tunnel) + texts_bytes);

    if (!tunnel) {
        close(client->fd);
        return NULL;
    }
    tunnel->tunnels = tunnels;
    tunnel->snapshot = snapshot_ref(snapshot);
    tunnel->client = *client;
    tunnel->source = (struct source)SOURCE_INIT;
    tunnel->target = target;
    tunnel->outcome = OUTCOME_TUNNELED;
    tunnel->moved = loop_now(tunnels->loop);
    tunnel->begun = tunnel->moved;
    tunnel->ends[TUNNEL_CLIENT] = (struct tunnel_end){.writable = true};
    /* Its connection may have been reported readable to somebody else. */
    tunnel->ends[TUNNEL_TARGET] = (struct tunnel_end){.writable = true, .readable = true};
    timer_init(&tunnel->timer, tunnel_on_timer);
    list_init(&tunnel->ready);
    list_append(&tunnels->list, &tunnel->link);
    tunnels->n_tunnels++;
    tunnel_keep_entry(tunnel, entry);
    return tunnel;
}

/* 0 or -ENOMEM. */
static int half_keep(struct tunnel *tunnel, enum tunnel_side from, struct text early)
{
    struct buffer *block;

    if (early.length == 0)
        return 0;
    block = buffer_take(&tunnel->tunnels->blocks);
    if (!block || buffer_room(block) < early.length) {
        buffer_give(&tunnel->tunnels->blocks, block);
        return -ENOMEM;
    }
    memcpy(block->data, early.data, early.length);
    block->end = early.length;
    tunnel->halves[from].kept = block;
    return 0;
}

static void tunnel_connected(struct tunnel *tunnel, struct connection *connection)
{
    tunnel->connection = connection;
    tunnel->ends[TUNNEL_TARGET].ending = connection->ended;
    connection_use(connection, tunnel_on_target, tunnel);
    counter_add(&tunnel->tunnels->metrics->tunnels, 1);
    timer_arm(tunnel->tunnels->loop, &tunnel->timer, tunnel->target->config->tunnel_timeout_ms);
    tunnel_get_ready(tunnel);
}

int tunnel_join(struct tunnels *tunnels, const struct tunnel_client *client, struct target *target,
                struct connection *connection, struct snapshot *snapshot, const struct access_entry *entry,
                struct instant begun, struct text from_client, struct text from_target)
{
    struct tunnel *tunnel = tunnel_new(tunnels, client, target, snapshot, entry);
    int r;

    if (!tunnel) {
        target_give(target, connection, false);
        return -ENOMEM;
    }
    tunnel->begun = begun;
    tunnel_connected(tunnel, connection);
    r = half_keep(tunnel, TUNNEL_CLIENT, from_client);
    if (r == 0)
        r = half_keep(tunnel, TUNNEL_TARGET, from_target);
    if (r == 0)
        r = loop_add(tunnels->loop, &tunnel->source, client->fd, CLIENT_EVENTS, tunnel_on_client);
    if (r < 0)
        tunnel_free(tunnel);
    return r;
}

static void tunnel_on_ticket(struct ticket *ticket, struct connection *connection, enum outcome outcome,
                             int error_number)
{
    struct tunnel *tunnel = CONTAINER_OF(ticket, struct tunnel, ticket);

    tunnel->entry.connect_us = (int64_t)instant_elapsed_us(tunnel->begun, loop_now(tunnel->tunnels->loop));
    if (connection) {
        tunnel_connected(tunnel, connection);
        return;
    }
    tunnel->entry.reason = error_number ? strerrordesc_np(error_number) : NULL;
    tunnel_end(tunnel, outcome);
}

int tunnel_open(struct tunnels *tunnels, const struct tunnel_client *client, struct target *target,
                struct snapshot *snapshot, const struct access_entry *entry)
{
    struct tunnel *tunnel = tunnel_new(tunnels, client, target, snapshot, entry);
    struct connection *connection = NULL;
    enum outcome outcome = OUTCOME_INTERNAL;
    int r, error_number = 0;

    if (!tunnel)
        return -ENOMEM;
    r = loop_add(tunnels->loop, &tunnel->source, client->fd, CLIENT_EVENTS, tunnel_on_client);
    if (r < 0) {
        tunnel_free(tunnel);
        return r;
    }
    tunnel->ticket.fn = tunnel_on_ticket;
    /* Never an idle one: what a target says first, it says on a connection of its own. */
    if (target_ask(target, &tunnel->ticket, true, &connection, &outcome, &error_number) != CONNECT_WAIT)
        tunnel_on_ticket(&tunnel->ticket, connection, outcome, error_number);
    return 0;
}

/* ---- all of them ---- */

void tunnels_init(struct tunnels *tunnels, size_t early_bytes)
{
    buffer_store_init(&tunnels->blocks, early_bytes > BLOCK_BYTES ? early_bytes : BLOCK_BYTES, MOST_SPARE_BLOCKS);
    list_init(&tunnels->list);
    list_init(&tunnels->ready);
    tunnels->n_tunnels = 0;
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
}
