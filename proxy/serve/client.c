#include "proxy/serve/client.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "proxy/base/give_back.h"
#include "proxy/exchange/answer.h"
#include "proxy/exchange/report.h"
#include "proxy/exchange/request.h"
#include "proxy/serve/raw.h"

#define SILENCE_MS 1000u
#define EXPECT_MS 1000u
#define EARLY_MS 250u /* for the rest of a body that is as good as here: a connection told by hand is lost */
#define LINGER_MS 2000u
#define CUT_MS 1000u /* for the library to see the end; one that is busy with nothing (0.9.75) does not */
#define RESPONSE_LOOKS 2
#define STOP_GRACE_MS 1000u /* for the next request, whose answer closes the connection */

/* Whether its answers close the connection, so that there is no point in waiting for long between them. */
static bool client_is_leaving(const struct client *client)
{
    return client->side.leaving || client->clients->env->stopping;
}

/* How long a phase may last; 0: for ever. */
static uint64_t client_deadline_ms(const struct client *client, enum client_phase phase)
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
        return (listener->timeout_body_ms + RESPONSE_LOOKS - 1) / RESPONSE_LOOKS;
    case CLIENT_IDLE:
        return client_is_leaving(client) ? STOP_GRACE_MS : listener->timeout_idle_ms;
    case CLIENT_LINGER:
        return LINGER_MS;
    case CLIENT_WAITING:
    case CLIENT_TUNNEL:
        break;
    }
    return 0;
}

/* In these phases it is the client that has something to send. Its silence is looked into after a while
 * (client_on_silence); so a client that does send costs no system call for being watched. */
static bool client_is_to_send(enum client_phase phase)
{
    return phase == CLIENT_NEW || phase == CLIENT_HEAD || phase == CLIENT_BODY || phase == CLIENT_IDLE;
}

void client_arm(struct client *client, enum client_phase phase)
{
    uint64_t ms = client_deadline_ms(client, phase);

    client->phase = phase;
    if (phase == CLIENT_NEW || phase == CLIENT_IDLE)
        admission_idle(&client->pass, loop_now(client->clients->env->loop));
    else
        admission_busy(&client->pass);
    client->silent = !client_is_to_send(phase) || ms <= SILENCE_MS;
    client->unsent_bytes = -1;
    client->stalled_looks = 0;
    if (ms == 0)
        timer_disarm(&client->timer);
    else
        timer_arm(client->clients->env->loop, &client->timer, client->silent ? ms : SILENCE_MS);
}

void client_stop_waiting(struct client *client)
{
    if (!client->waiting)
        return;
    client->waiting = false;
    client->clients->n_waiting--;
}

static void client_on_watch(struct source *source, uint32_t events);

void client_watch(struct client *client, uint32_t events)
{
    uint32_t all = events | EPOLLET | (client->peer.is_unix ? 0 : EPOLLRDHUP);
    int r;

    if (client->watch.loop)
        r = loop_modify(&client->watch, all);
    else
        r = loop_add(client->clients->env->loop, &client->watch, client->fd, all, client_on_watch);
    if (r < 0)
        log_warn("cannot watch a client's connection: %s", strerror(-r));
}

void client_suspend(struct client *client)
{
    client_stop_waiting(client);
    client->suspended = true;
    client->clients->suspend(client);
    if (!client->watch.loop)
        client_watch(client, 0);
}

void client_wake(struct client *client)
{
    client->clients->dirty = true;
    if (!client->suspended)
        return;
    client->suspended = false;
    client->clients->resume(client);
}

static void client_on_wake(struct exchange_client *side)
{
    struct client *client = CONTAINER_OF(side, struct client, side);

    if (client->phase == CLIENT_RELAY) {
        raw_wake(client);
        if (client->suspended && exchange_is_receiving(client->exchange))
            client_wake(client);
        return;
    }
    if ((client->phase == CLIENT_BODY || client->phase == CLIENT_WAITING) &&
        exchange_has_early_answer(client->exchange))
        client_arm(client, CLIENT_EARLY);
    else if (client->phase == CLIENT_WAITING && exchange_is_receiving(client->exchange))
        client_arm(client, CLIENT_BODY);
    client_wake(client);
}

static void client_on_interim(struct exchange_client *side, unsigned status, const struct fields *fields)
{
    raw_interim(CONTAINER_OF(side, struct client, side), status, fields);
}

void client_wait(struct client *client)
{
    struct clients *clients = client->clients;

    if (!client->waiting) {
        client->waiting = true;
        client->waited_run = clients->run;
        clients->n_waiting++;
    } else if (clients->about_to_sleep && clients->run != client->waited_run) {
        client_suspend(client);
    }
}

void client_cut(struct client *client)
{
    if (client->phase == CLIENT_TUNNEL)
        return;
    client->cut = true;
    shutdown(client->fd, SHUT_RDWR);
    client_wake(client);
    timer_arm(client->clients->env->loop, &client->timer, CUT_MS);
}

/* ---- deadlines and hang-ups ---- */

/* Lets an idle client go. On a Unix socket our refusal to read reaches the client's next send at once, while what it
 * has sent already is still read and answered; on TCP only what has already arrived can be honoured. */
static void client_let_go(struct client *client)
{
    char byte;

    if (client->exchange || client->phase == CLIENT_HEAD || client->phase == CLIENT_LINGER)
        return;
    if (client->peer.is_unix)
        shutdown(client->fd, SHUT_RD);
    else if (recv(client->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0)
        client_cut(client);
}

/* When its deadline, which has just passed, was armed. */
static struct instant client_head_begun(const struct client *client)
{
    uint64_t ago_ns = client->side.listener->timeout_head_ms * UINT64_C(1000000);
    struct instant now = loop_now(client->clients->env->loop);

    return (struct instant){now.ns > ago_ns ? now.ns - ago_ns : 0};
}

/* Whether a byte of a request has come that the library has not made a request of yet. */
static bool client_has_begun(const struct client *client)
{
    char byte;

    /* Once there has been a request, the library's memory begins with what has come of the next. Before that, the first
     * byte was watched for (client_begin). */
    if (client->head_at && client->head_at[0] != '\0')
        return true;
    return recv(client->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

bool client_make_room(struct admission_pass *pass)
{
    struct client *client = CONTAINER_OF(pass, struct client, pass);

    if ((client->phase != CLIENT_NEW && client->phase != CLIENT_IDLE) || client->exchange || client->cut ||
        client_has_begun(client))
        return false;
    client_let_go(client);
    client->clients->dirty = true;
    return true;
}

/* A head that does not come: there may not even be an exchange yet. */
static void client_head_timeout(struct client *client)
{
    static const struct answer timeout = {.status = 408, .body = ANSWER_BUFFER, .data = "", .has_length = true};
    struct exchange_env *env = client->clients->env;

    if (client->exchange) {
        exchange_fail(client->exchange, OUTCOME_HEAD_TIMEOUT);
        raw_answer(client);
    } else {
        /* On a connection that has been served, a 408 out of nothing could be taken for the answer to a request that
         * crosses it. */
        if (!client->served)
            raw_tell(client, &timeout);
        exchange_report_none(env, &client->side, client_head_begun(client), OUTCOME_HEAD_TIMEOUT,
                             client->served ? 0 : timeout.status);
    }
    client_cut(client);
}

/* The client has gone in the middle of a message: it has closed its side and everything it sent has been read. The
 * library may not have noticed, because the end came in the same edge as the last bytes. */
bool client_has_left(const struct client *client)
{
    char byte;
    ssize_t n = recv(client->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

    return n == 0 || (n < 0 && errno != EAGAIN);
}

static void client_leave(struct client *client)
{
    if (client->exchange)
        exchange_fail(client->exchange, OUTCOME_CLIENT_GONE);
    client_cut(client);
}

/* Nothing for a while from a client that is to send. From now on it is watched: for its end, and between requests for
 * the first byte of the next, where the head's deadline begins.
 *
 * Between requests memory goes back, too. libmicrohttpd has cleared the whole pool after the request, so that it is
 * resident and full of zeros: most of what an idle connection costs. */
static void client_on_silence(struct client *client)
{
    client->silent = true;
    timer_arm(client->clients->env->loop, &client->timer, client_deadline_ms(client, client->phase) - SILENCE_MS);
    if (client->phase == CLIENT_IDLE) {
        client_watch(client, EPOLLIN);
        /* The cleared pool begins with what has already come of the next request. */
        if (client->pool && client->pool[0] != '\0')
            client_arm(client, CLIENT_HEAD);
        else if (client->pool)
            give_back_zero_pages(client->pool, client->clients->pool_bytes);
    } else if (client_has_left(client)) {
        client_leave(client);
    } else {
        client_watch(client, EPOLLRDHUP | (client->phase == CLIENT_NEW ? EPOLLIN : 0));
    }
}

/* The library asks for the next block only when most of the last one has been taken, which a slow reader may need
 * longer for than its deadline. So it is the kernel that is asked whether anything has been taken. */
static void client_on_slow_reader(struct client *client)
{
    int unsent_bytes = 0;

    if (ioctl(client->fd, SIOCOUTQ, &unsent_bytes) == 0 && unsent_bytes != client->unsent_bytes)
        client->stalled_looks = 0;
    client->unsent_bytes = unsent_bytes;
    if (++client->stalled_looks < RESPONSE_LOOKS) {
        timer_arm(client->clients->env->loop, &client->timer, client_deadline_ms(client, CLIENT_RESPONSE));
        return;
    }
    exchange_fail(client->exchange, OUTCOME_CLIENT_STALLED);
    client_cut(client);
}

static void client_on_timer(struct timer *timer)
{
    struct client *client = CONTAINER_OF(timer, struct client, timer);

    if (client->cut) {
        client->clients->expire(client);
        return;
    }
    if (!client->silent) {
        client_on_silence(client);
        return;
    }
    /* Between requests: the grace is over. */
    if (client_is_leaving(client) && (client->phase == CLIENT_NEW || client->phase == CLIENT_IDLE)) {
        client_let_go(client);
        return;
    }
    switch (client->phase) {
    case CLIENT_NEW:
    case CLIENT_HEAD:
        client_head_timeout(client);
        break;
    case CLIENT_EXPECT:
        client->expect_over = true;
        client_wake(client);
        break;
    case CLIENT_BODY:
        exchange_fail(client->exchange, OUTCOME_BODY_TIMEOUT);
        raw_answer(client);
        break;
    case CLIENT_EARLY:
        raw_answer(client);
        break;
    case CLIENT_RELAY:
        raw_timeout(client);
        break;
    case CLIENT_RESPONSE:
        client_on_slow_reader(client);
        break;
    case CLIENT_WAITING: /* armed only when a TCP client has finished sending */
        client_leave(client);
        break;
    case CLIENT_IDLE:
    case CLIENT_LINGER:
        client_cut(client);
        break;
    case CLIENT_TUNNEL:
        break;
    }
}

static void client_on_watch(struct source *source, uint32_t events)
{
    struct client *client = CONTAINER_OF(source, struct client, watch);

    if (events & (EPOLLHUP | EPOLLERR)) {
        raw_wake(client); /* what it has not taken of a relayed answer finds out */
        /* With the answer told whole, the library knows whether all of it was sent. */
        if (client->exchange && !client->cut && !exchange_is_told(client->exchange))
            client_leave(client);
        return;
    }
    if (client->phase == CLIENT_RELAY && (events & EPOLLOUT)) {
        client_watch(client, 0);
        raw_wake(client);
    }
    if (client->phase == CLIENT_NEW && (events & EPOLLIN) && client_has_begun(client)) {
        /* The head's deadline began when it came. */
        client->phase = CLIENT_HEAD;
        admission_busy(&client->pass);
        client_watch(client, 0);
        return;
    }
    if (client->phase == CLIENT_IDLE) {
        if (events & EPOLLIN) {
            client_watch(client, 0);
            client_arm(client, CLIENT_HEAD);
        }
    } else if (events & EPOLLRDHUP) {
        /* Inside a message the end is an end. Behind one, a client may still read; but on TCP it may also be gone: it
         * is given a body's time. */
        if (client_is_to_send(client->phase) && client_has_left(client))
            client_leave(client);
        else if (client->phase == CLIENT_WAITING && !client->peer.is_unix)
            timer_arm(client->clients->env->loop, &client->timer, client->side.listener->timeout_body_ms);
    }
}

/* ---- life ---- */

struct client *client_new(struct clients *clients, int fd, const struct listener_config *listener,
                          const struct peer *peer)
{
    struct client *client = calloc(1, sizeof(*client));

    if (!client)
        return NULL;
    client->clients = clients;
    client->fd = fd;
    client->peer = *peer;
    client->watch = (struct source)SOURCE_INIT;
    timer_init(&client->timer, client_on_timer);
    if (peer->is_unix)
        snprintf(client->node, sizeof(client->node), "_uid-%u.gid-%u", (unsigned)peer->uid, (unsigned)peer->gid);
    else
        snprintf(client->node, sizeof(client->node), strchr(peer->address, ':') ? "\"[%s]\"" : "%s", peer->address);
    peer_format(peer, client->peer_text, sizeof(client->peer_text));
    client->side = (struct exchange_client){.wake = client_on_wake,
                                            .interim = client_on_interim,
                                            .generation = generation_ref(clients->env->generation),
                                            .listener = listener,
                                            .address = text_of(client->peer.address),
                                            .node = text_of(client->node),
                                            .peer = text_of(client->peer_text)};
    list_append(&clients->list, &client->link);
    clients->n_clients++;
    return client;
}

void client_begin(struct client *client)
{
    if (client_has_begun(client)) {
        client_arm(client, CLIENT_HEAD);
        return;
    }
    client_arm(client, CLIENT_NEW);
    client_watch(client, EPOLLIN);
}

void client_free(struct client *client)
{
    client_stop_waiting(client);
    raw_drop(client);
    timer_disarm(&client->timer);
    loop_remove(&client->watch);
    list_remove(&client->link);
    client->clients->n_clients--;
    generation_unref(client->side.generation);
    admission_leave(&client->pass);
    free(client);
}

/* ---- generations ---- */

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
    side->listener = listener;
    generation_ref(newest);
    generation_unref(side->generation);
    side->generation = newest;
}

void clients_renew(struct clients *clients)
{
    struct list *link;

    for (link = clients->list.next; link != &clients->list; link = link->next) {
        struct client *client = CONTAINER_OF(link, struct client, link);

        if (client->exchange || client->phase == CLIENT_LINGER || client->phase == CLIENT_TUNNEL)
            continue;
        client_renew(client);
        if (client->side.leaving && client->phase != CLIENT_HEAD)
            client_arm(client, client->phase);
    }
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

void clients_cut_all(struct clients *clients)
{
    struct list *link;

    for (link = clients->list.next; link != &clients->list; link = link->next) {
        struct client *client = CONTAINER_OF(link, struct client, link);

        if (client->exchange)
            exchange_fail(client->exchange, OUTCOME_STOPPED);
        client_cut(client);
    }
}

void clients_init(struct clients *clients, struct exchange_env *env)
{
    *clients = (struct clients){.env = env};
    list_init(&clients->list);
    list_init(&clients->relays);
}
