/* What happens to a client besides what it says: its deadlines, its leaving, and the wakes of its exchange.
 *
 * A client that is to send costs no system call for being watched as long as it does: only its silence is looked into,
 * after a while. One that is suspended is watched from the start, since the library does not see it leave. */
#include "proxy/serve/client_events.h"

#include <sys/socket.h>

#include "proxy/base/give_back.h"
#include "proxy/base/unread.h"
#include "proxy/exchange/answer.h"
#include "proxy/exchange/report.h"
#include "proxy/exchange/request.h"
#include "proxy/serve/bulk.h"
#include "proxy/serve/early_answer.h"
#include "proxy/serve/relay.h"
#include "proxy/serve/upload.h"

/* ---- its exchange ---- */

static void client_on_wake(struct exchange_client *side)
{
    struct client *client = CONTAINER_OF(side, struct client, side);

    if (bulk_wake(client) || upload_wake(client))
        return;
    if (client->phase == CLIENT_RELAY) {
        relay_wake(client);
        if (client->suspended && exchange_is_receiving(client->request.exchange))
            client_wake(client);
        return;
    }
    if ((client->phase == CLIENT_BODY || client->phase == CLIENT_WAITING) &&
        exchange_has_early_answer(client->request.exchange))
        client_arm(client, CLIENT_EARLY);
    else if (client->phase == CLIENT_WAITING && exchange_is_receiving(client->request.exchange))
        client_arm(client, CLIENT_BODY);
    else if (client->phase == CLIENT_BODY && !exchange_takes_body(client->request.exchange))
        client_arm(client, CLIENT_WAITING);
    client_wake(client);
}

static void client_on_interim(struct exchange_client *side, unsigned status, struct text reason,
                              const struct fields *fields)
{
    early_answer_interim(CONTAINER_OF(side, struct client, side), status, reason, fields);
}

/* ---- leaving ---- */

/* Lets an idle client go. On a Unix socket our refusal to read reaches the client's next send at once, while what it
 * has sent already is still read and answered; on TCP only what has already arrived can be honoured. */
static void client_let_go(struct client *client)
{
    char byte;

    if (client->request.exchange || client->phase == CLIENT_HEAD || client->phase == CLIENT_LINGER)
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
    if (client->pool && client->pool[0] != '\0')
        return true;
    return recv(client->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

bool client_make_room(struct admission_pass *pass)
{
    struct client *client = CONTAINER_OF(pass, struct client, pass);

    if ((client->phase != CLIENT_NEW && client->phase != CLIENT_IDLE) || client->request.exchange || client->cut ||
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

    if (client->request.exchange) {
        exchange_fail(client->request.exchange, OUTCOME_HEAD_TIMEOUT);
        relay_answer(client);
    } else {
        /* On a connection that has been served, a 408 out of nothing could be taken for the answer to a request that
         * crosses it. */
        if (!client->served)
            early_answer_tell(client, &timeout);
        exchange_report_none(env, &client->side, client_head_begun(client), OUTCOME_HEAD_TIMEOUT,
                             client->served ? 0 : timeout.status);
    }
    client_cut(client);
}

static void client_leave(struct client *client)
{
    if (client->request.exchange)
        exchange_fail(client->request.exchange, OUTCOME_CLIENT_GONE);
    client_cut(client);
}

/* Before the library's memory for a connection is touched: it frees that when it closes the connection, which it may
 * tell of only when it looks at the connection again. Now it does, in the next run. True when that has been. */
static bool client_is_looked_at(struct client *client)
{
    bool looked = client->looked;

    client->looked = !looked;
    client->clients->look(client, !looked);
    if (!looked) {
        client->clients->dirty = true;
        timer_arm(client->clients->env->loop, &client->timer, 1);
    }
    return looked;
}

/* Nothing for a while from a client that is to send. From now on it is watched: for its end, and between requests for
 * the first byte of the next, where the head's deadline begins.
 *
 * Between requests memory goes back, too. libmicrohttpd has cleared the whole pool after the request, so that it is
 * resident and full of zeros: most of what an idle connection costs. */
static void client_on_silence(struct client *client)
{
    if ((client->looked || (client->phase == CLIENT_IDLE && client->pool)) && !client_is_looked_at(client))
        return;
    client->silent = true;
    timer_arm(client->clients->env->loop, &client->timer,
              client_deadline_ms(client, client->phase) - CLIENT_SILENCE_MS);
    /* The library may not have seen that, or have closed without a word: then its memory is gone. */
    if (client_has_left(client)) {
        client_leave(client);
    } else if (client->phase == CLIENT_IDLE) {
        client_watch(client, EPOLLIN);
        /* The cleared pool begins with what has already come of the next request. */
        if (client->pool && client->pool[0] != '\0')
            client_arm(client, CLIENT_HEAD);
        else if (client->pool)
            give_back_zero_pages(client->pool, client->pool_bytes);
    } else {
        client_watch(client, EPOLLRDHUP | (client->phase == CLIENT_NEW || upload_listens(client) ? EPOLLIN : 0));
    }
}

/* The library asks for the next block only when most of the last one has been taken, which a slow reader may need
 * longer for than its deadline. So it is the kernel that is asked whether anything has been taken. */
static void client_on_slow_reader(struct client *client)
{
    int64_t unread = unread_look(client->fd);

    if (unread != client->unread)
        client->stalled_looks = 0;
    client->unread = unread;
    if (++client->stalled_looks < CLIENT_RESPONSE_LOOKS) {
        timer_arm(client->clients->env->loop, &client->timer, client_deadline_ms(client, CLIENT_RESPONSE));
        return;
    }
    exchange_fail(client->request.exchange, OUTCOME_CLIENT_STALLED);
    client_cut(client);
}

/* Between requests, and the grace is over. It may still be in the way of its own leaving: while it does not read the
 * library's refusal of a request's head, of which we do not hear. */
static void client_on_grace(struct client *client)
{
    if (client->let_go) {
        client_cut(client);
        return;
    }
    client->let_go = true;
    client_let_go(client);
    if (!client->cut)
        timer_arm(client->clients->env->loop, &client->timer, client_deadline_ms(client, CLIENT_LINGER));
}

static void client_on_timer(struct timer *timer)
{
    struct client *client = CONTAINER_OF(timer, struct client, timer);

    if (client->cut) {
        client->clients->expire(client);
        return;
    }
    /* It has said something, which waits for the library's next turn. */
    if (interest_waits(&client->interest)) {
        timer_arm(client->clients->env->loop, &client->timer, 1);
        return;
    }
    if (!client->silent) {
        client_on_silence(client);
        return;
    }
    if (client_is_leaving(client) && (client->phase == CLIENT_NEW || client->phase == CLIENT_IDLE)) {
        client_on_grace(client);
        return;
    }
    switch (client->phase) {
    case CLIENT_NEW:
    case CLIENT_HEAD:
        client_head_timeout(client);
        break;
    case CLIENT_EXPECT:
        client->request.expect_over = true;
        client_wake(client);
        break;
    case CLIENT_BODY:
        exchange_refuse(client->request.exchange, OUTCOME_BODY_TIMEOUT, NULL);
        upload_end(client);
        relay_answer(client);
        break;
    case CLIENT_EARLY:
        relay_answer(client);
        break;
    case CLIENT_RELAY:
        relay_timeout(client);
        break;
    case CLIENT_REST:
        early_answer_end(client);
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
    case N_CLIENT_PHASES:
        break;
    }
}

/* Its hang-up is ours to act on: in mid-exchange, or idle. With the answer told whole, the library knows whether all of
 * it was sent. */
static bool client_left_unseen(const struct client *client)
{
    if (client->request.exchange && (client->request.bulk || !exchange_is_told(client->request.exchange)))
        return true;
    return client->phase == CLIENT_IDLE && client_has_left(client);
}

static void client_on_watch(struct source *source, uint32_t events)
{
    struct client *client = CONTAINER_OF(source, struct client, watch);

    events = client_hears(client, events);
    if (events & (EPOLLHUP | EPOLLERR)) {
        relay_wake(client); /* what it has not taken of a relayed answer finds out */
        if (!client->cut && client_left_unseen(client))
            client_leave(client);
        return;
    }
    if ((events & EPOLLOUT) && bulk_wake(client))
        return;
    if ((events & (EPOLLIN | EPOLLRDHUP)) && upload_wake(client))
        return;
    if (client->phase == CLIENT_RELAY && (events & EPOLLOUT)) {
        client_watch(client, 0);
        relay_wake(client);
    }
    if (client->phase == CLIENT_NEW && (events & EPOLLIN) && client_has_begun(client)) {
        /* The head's deadline began when it came. */
        client_move(client, CLIENT_HEAD);
        admission_busy(&client->pass);
        client_watch(client, 0);
        return;
    }
    if (client->phase == CLIENT_IDLE) {
        /* It may have been the request that has been answered by now. */
        if ((events & EPOLLIN) && client_has_begun(client)) {
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

/* ---- the beginning ---- */

void client_begin(struct client *client)
{
    if (client_has_begun(client)) {
        client_arm(client, CLIENT_HEAD);
        return;
    }
    client_arm(client, CLIENT_NEW);
    client_watch(client, EPOLLIN);
}

const struct client_events client_events = {
    .timer = client_on_timer, .watch = client_on_watch, .wake = client_on_wake, .interim = client_on_interim};
