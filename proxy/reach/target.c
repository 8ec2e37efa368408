#include "proxy/reach/target.h"

#include <errno.h>

static void target_serve_queue(struct target *target);

static void target_on_closed(struct pool *pool)
{
    struct target *target = CONTAINER_OF(pool, struct target, pool);

    target->n_open--;
    target_serve_queue(target);
}

void target_init(struct target *target, const struct target_config *config, struct connector *connector,
                 struct loop *loop, uint32_t n_workers)
{
    uint32_t share = (config->connections_max + n_workers - 1) / n_workers;

    *target = (struct target){.config = config, .connector = connector, .loop = loop, .most_open = share};
    list_init(&target->queue);
    pool_init(&target->pool, loop, config->connections_idle, config->connections_idle_timeout_ms, target_on_closed);
}

void target_deinit(struct target *target)
{
    pool_deinit(&target->pool);
}

static void ticket_answer(struct ticket *ticket, struct connection *connection, const struct failure *failure)
{
    ticket->target = NULL;
    ticket->attempt = NULL;
    ticket->fn(ticket, connection, failure);
}

/* Turns a fresh channel into a connection; a failure gives its place back. */
static struct connection *target_adopt(struct target *target, struct channel *channel, struct failure *ret_failure)
{
    struct connection *connection = pool_adopt(&target->pool, channel);

    if (!connection) {
        failure_set(ret_failure, OUTCOME_INTERNAL, ENOMEM, NULL);
        target->n_open--;
    }
    return connection;
}

static void ticket_on_connected(void *closure, struct channel *channel, const struct failure *failure)
{
    struct ticket *ticket = closure;
    struct target *target = ticket->target;
    struct connection *connection = NULL;
    struct failure adopting;

    if (channel) {
        connection = target_adopt(target, channel, &adopting);
        failure = &adopting;
    } else {
        target->n_open--;
    }
    ticket_answer(ticket, connection, failure);
    if (!connection)
        target_serve_queue(target);
}

static enum connect_result target_connect(struct target *target, struct ticket *ticket,
                                          struct connection **ret_connection, struct failure *ret_failure)
{
    const struct target_config *config = target->config;
    const struct destination to = {&config->endpoints[0], &config->tls};
    struct channel channel = CHANNEL_INIT;
    enum connect_result result;

    target->n_open++;
    ticket->target = target;
    result = connect_start(target->connector, &to, config->connect_timeout_ms, ticket_on_connected, ticket, &channel,
                           &ticket->attempt, ret_failure);
    if (result == CONNECT_WAIT)
        return result;
    ticket->target = NULL;
    if (result == CONNECT_FAILED) {
        target->n_open--;
        return result;
    }
    *ret_connection = target_adopt(target, &channel, ret_failure);
    return *ret_connection ? CONNECT_DONE : CONNECT_FAILED;
}

static void ticket_on_timer(struct timer *timer)
{
    struct ticket *ticket = CONTAINER_OF(timer, struct ticket, timer);
    struct failure failure;

    list_remove(&ticket->link);
    failure_set(&failure, OUTCOME_TARGET_BUSY, 0, NULL);
    ticket_answer(ticket, NULL, &failure);
}

enum connect_result target_ask(struct target *target, struct ticket *ticket, bool fresh,
                               struct connection **ret_connection, struct failure *ret_failure)
{
    if (!fresh) {
        *ret_connection = pool_take(&target->pool);
        if (*ret_connection)
            return CONNECT_DONE;
    } else if (target->n_open >= target->most_open) {
        pool_drop_oldest(&target->pool);
    }
    ticket->fresh = fresh;
    if (target->n_open < target->most_open)
        return target_connect(target, ticket, ret_connection, ret_failure);
    list_init(&ticket->link);
    list_append(&target->queue, &ticket->link);
    ticket->target = target;
    timer_init(&ticket->timer, ticket_on_timer);
    timer_arm(target->loop, &ticket->timer, target->config->connect_timeout_ms);
    return CONNECT_WAIT;
}

void target_withdraw(struct ticket *ticket)
{
    struct target *target = ticket->target;

    if (!target)
        return;
    ticket->target = NULL;
    if (ticket->attempt) {
        connect_cancel(ticket->attempt);
        ticket->attempt = NULL;
        target->n_open--;
        target_serve_queue(target);
        return;
    }
    timer_disarm(&ticket->timer);
    list_remove(&ticket->link);
}

/* First come, first served: an idle connection, or the right to make one. */
static void target_serve_queue(struct target *target)
{
    while (!list_empty(&target->queue)) {
        struct ticket *ticket = CONTAINER_OF(target->queue.next, struct ticket, link);
        struct connection *connection = ticket->fresh ? NULL : pool_take(&target->pool);
        struct failure failure;

        if (!connection && target->n_open >= target->most_open) {
            /* Whose place then goes to the first in the queue. */
            if (ticket->fresh)
                pool_drop_oldest(&target->pool);
            return;
        }
        list_remove(&ticket->link);
        timer_disarm(&ticket->timer);
        if (!connection && target_connect(target, ticket, &connection, &failure) == CONNECT_WAIT)
            continue;
        ticket_answer(ticket, connection, &failure);
    }
}

void target_give(struct target *target, struct connection *connection, bool reusable)
{
    pool_give(connection, reusable);
    target_serve_queue(target);
}
