#include "proxy/reach/target.h"

#include <errno.h>
#include <stdlib.h>

static void target_serve_queue(struct target *target);
static enum connect_result target_conclude(struct target *target, struct ticket *ticket, struct connection **connection,
                                           struct failure *failure);

/* ---- life ---- */

/* A reference to each endpoint, and what the choice needs to know if there are several. */
static int target_take_endpoints(struct target *target, struct endpoints *table)
{
    const struct target_config *config = target->config;

    target->endpoints = calloc(config->n_endpoints, sizeof(struct endpoint *));
    target->items = config->n_endpoints > 1 ? calloc(config->n_endpoints, sizeof(*target->items)) : NULL;
    if (!target->endpoints || (config->n_endpoints > 1 && !target->items))
        return -ENOMEM;
    for (size_t i = 0; i < config->n_endpoints; i++) {
        struct endpoint *endpoint = endpoints_find(table, &config->endpoints[i].address, &config->tls);

        if (!endpoint)
            return -ENOMEM;
        /* Where several share it, the one that was configured last has the say. */
        pool_configure(&endpoint->pool, config->connections_idle, config->connections_idle_timeout_ms);
        follow_every(&endpoint->follow, config->resolve_every_ms);
        target->endpoints[target->n_endpoints++] = endpoint;
        if (target->items)
            target->items[i].weight = config->endpoints[i].weight;
    }
    return 0;
}

int target_init(struct target *target, const struct target_config *config, struct endpoints *table, uint32_t n_workers)
{
    uint32_t share = (config->connections_max + n_workers - 1) / n_workers;
    int r;

    *target = (struct target){.config = config, .loop = table->loop, .most_open = share};
    target->random = instant_now().ns ^ (uintptr_t)target; /* so that workers do not draw alike */
    shares_init(&target->shares);
    target->shares.first_come = share < TARGET_LEAST_SHARED;
    r = target_take_endpoints(target, table);
    if (r < 0)
        target_deinit(target);
    return r;
}

void target_deinit(struct target *target)
{
    for (size_t i = 0; i < target->n_endpoints; i++)
        endpoint_unref(target->endpoints[i]);
    if (target->endpoints)
        shares_deinit(&target->shares);
    free(target->items);
    free(target->endpoints);
    target->items = NULL;
    target->endpoints = NULL;
    target->n_endpoints = 0;
}

uint32_t target_n_open(const struct target *target)
{
    uint32_t n = target->n_busy;

    for (size_t i = 0; i < target->n_endpoints; i++)
        n += target->endpoints[i]->pool.n_idle;
    return n;
}

/* ---- places ---- */

static uint32_t target_n_free(const struct target *target)
{
    return target->most_open - target->n_busy;
}

static bool target_has_place(const struct target *target, const struct share *share)
{
    return shares_allow(&target->shares, share, target_n_free(target));
}

static void target_take_place(struct target *target, struct share *share)
{
    target->n_busy++;
    share->n_held++;
}

static void target_free_place(struct target *target, struct share *share)
{
    target->n_busy--;
    share->n_held--;
}

/* ---- the choice ---- */

/* xorshift64 (Marsaglia, "Xorshift RNGs", 2003): even enough to spread load. */
static uint64_t target_draw(struct target *target)
{
    uint64_t x = target->random | 1;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return target->random = x;
}

static size_t target_choose_of_several(struct target *target, const struct ticket *ticket)
{
    for (size_t i = 0; i < target->n_endpoints; i++) {
        const struct endpoint *endpoint = target->endpoints[i];

        target->items[i].load = endpoint->pool.n_busy + endpoint->n_connecting;
        target->items[i].out = ticket->tried >> i & 1;
    }
    return balance_choose(target->config->balance, target->items, target->n_endpoints, target_draw(target));
}

/* Where the ticket goes next; BALANCE_NOBODY when it has been everywhere. */
static size_t target_choose(struct target *target, const struct ticket *ticket)
{
    if (target->n_endpoints > 1)
        return target_choose_of_several(target, ticket);
    return ticket->tried & 1 ? BALANCE_NOBODY : 0;
}

/* ---- tickets ---- */

const struct state_machine ticket_machine = {
    .name = "ticket",
    .n_states = N_TICKET_STATES,
    .states =
        {
            [TICKET_IDLE] = {"IDLE", STATE_BIT(TICKET_QUEUED) | STATE_BIT(TICKET_CONNECTING)},
            [TICKET_QUEUED] = {"QUEUED", STATE_BIT(TICKET_IDLE) | STATE_BIT(TICKET_CONNECTING)},
            [TICKET_CONNECTING] = {"CONNECTING", STATE_BIT(TICKET_IDLE)},
        },
};

static void ticket_move(struct ticket *ticket, enum ticket_state to)
{
    state_check(&ticket_machine, ticket->state, to);
    ticket->state = to;
}

/* Nothing is asked for any more. */
static void ticket_settle(struct ticket *ticket)
{
    ticket_move(ticket, TICKET_IDLE);
    ticket->target = NULL;
    ticket->attempt = NULL;
}

static void ticket_leave_queue(struct ticket *ticket)
{
    shares_unwait(&ticket->target->shares, ticket->share, &ticket->link);
    timer_disarm(&ticket->timer);
}

/* The attempt is over, well or badly: turns a channel into a connection. The ticket is settled. */
static struct connection *ticket_adopt(struct ticket *ticket, struct channel *channel, struct failure *ret_failure)
{
    struct connection *connection = NULL;

    ticket_settle(ticket);
    ticket->endpoint->n_connecting--;
    if (channel) {
        follow_catch_up(&ticket->endpoint->follow);
        connection = pool_adopt(&ticket->endpoint->pool, channel);
        if (!connection)
            failure_set(ret_failure, OUTCOME_INTERNAL, ENOMEM, NULL);
    }
    return connection;
}

static void ticket_on_connected(void *closure, struct channel *channel, const struct failure *why)
{
    struct ticket *ticket = closure;
    struct target *target = ticket->target;
    struct failure failure = *why;
    struct connection *connection = ticket_adopt(ticket, channel, &failure);

    if (target_conclude(target, ticket, &connection, &failure) == CONNECT_WAIT)
        return;
    ticket->fn(ticket, connection, &failure);
    if (!connection)
        target_serve_queue(target);
}

static void ticket_on_timer(struct timer *timer)
{
    struct ticket *ticket = CONTAINER_OF(timer, struct ticket, timer);
    struct failure failure;

    ticket_leave_queue(ticket);
    ticket_settle(ticket);
    failure_set(&failure, OUTCOME_TARGET_BUSY, 0, NULL);
    ticket->fn(ticket, NULL, &failure);
}

/* ---- asking ---- */

/* A new connection, which has its place, needs the room that an idle one may have. */
static void target_make_room(struct target *target)
{
    for (size_t i = 0; i < target->n_endpoints && target_n_open(target) > target->most_open; i++)
        pool_drop_oldest(&target->endpoints[i]->pool);
}

/* Seldom, beside taking one that is there: not to be inlined where that is done. */
static __attribute__((noinline)) enum connect_result target_connect(struct target *target, struct ticket *ticket,
                                                                    struct connection **ret_connection,
                                                                    struct failure *ret_failure)
{
    struct endpoint *endpoint = ticket->endpoint;
    const struct destination to = {&endpoint->address, &endpoint->tls, target->config->resolve_every_ms};
    struct channel channel = CHANNEL_INIT;
    enum connect_result result;

    target_make_room(target);
    endpoint->n_connecting++;
    ticket_move(ticket, TICKET_CONNECTING);
    ticket->target = target;
    result = connect_start(endpoint->table->connector, &to, target->config->connect_timeout_ms, ticket_on_connected,
                           ticket, &channel, &ticket->attempt, ret_failure);
    if (result == CONNECT_WAIT)
        return result;
    *ret_connection = ticket_adopt(ticket, result == CONNECT_DONE ? &channel : NULL, ret_failure);
    return *ret_connection ? CONNECT_DONE : CONNECT_FAILED;
}

/* An idle connection to the endpoint, or one to be made. Settles a ticket that was queued. */
static enum connect_result target_reach(struct target *target, struct ticket *ticket, size_t index,
                                        struct connection **ret_connection, struct failure *ret_failure)
{
    ticket->endpoint = target->endpoints[index];
    ticket->index = index;
    follow_look(&ticket->endpoint->follow);
    if (!ticket->fresh && (*ret_connection = pool_take(&ticket->endpoint->pool))) {
        if (ticket->state != TICKET_IDLE)
            ticket_settle(ticket);
        return CONNECT_DONE;
    }
    return target_connect(target, ticket, ret_connection, ret_failure);
}

/* Whether another endpoint may do better: it is not for want of something of ours. */
static bool target_may_go_on(const struct failure *failure)
{
    return outcome_info(failure->outcome)->fault == FAULT_TARGET;
}

/* There is a connection, which has the ticket's place from now on; or there was none to be had, and another endpoint is
 * tried until there is no other. Then the place is free again. */
static enum connect_result target_conclude(struct target *target, struct ticket *ticket, struct connection **connection,
                                           struct failure *failure)
{
    enum connect_result result = *connection ? CONNECT_DONE : CONNECT_FAILED;

    while (result == CONNECT_FAILED && target_may_go_on(failure)) {
        size_t index;

        ticket->tried |= UINT64_C(1) << ticket->index;
        index = target_choose(target, ticket);
        if (index == BALANCE_NOBODY)
            break;
        result = target_reach(target, ticket, index, connection, failure);
    }
    if (result == CONNECT_DONE)
        (*connection)->share = ticket->share;
    else if (result == CONNECT_FAILED)
        target_free_place(target, ticket->share);
    return result;
}

/* The client's own connection, if it has one that leads here. */
static __attribute__((noinline)) struct connection *target_take_own(struct target *target, struct ticket *ticket)
{
    const struct pool *pool = ticket->personal->connection->pool;
    struct connection *own = NULL;

    for (size_t i = 0; i < target->n_endpoints; i++) {
        if (pool != &target->endpoints[i]->pool)
            continue;
        own = personal_take(ticket->personal);
        ticket->endpoint = target->endpoints[i];
        ticket->index = i;
        break;
    }
    if (!own)
        return NULL;
    target_take_place(target, ticket->share);
    own->share = ticket->share;
    if (ticket->state != TICKET_IDLE)
        ticket_settle(ticket);
    return own;
}

/* There is a place. */
static enum connect_result target_serve(struct target *target, struct ticket *ticket,
                                        struct connection **ret_connection, struct failure *ret_failure)
{
    struct failure failure; /* of one endpoint, which another may make good */
    enum connect_result result;
    size_t index;

    if (!ticket->fresh && ticket->personal && ticket->personal->connection &&
        (*ret_connection = target_take_own(target, ticket)))
        return CONNECT_DONE;
    index = target_choose(target, ticket);
    if (index == BALANCE_NOBODY) {
        ticket->tried = 0;
        index = target_choose(target, ticket);
    }
    target_take_place(target, ticket->share);
    *ret_connection = NULL;
    result = target_reach(target, ticket, index, ret_connection, &failure);
    if (result != CONNECT_WAIT)
        result = target_conclude(target, ticket, ret_connection, &failure);
    if (result == CONNECT_FAILED)
        *ret_failure = failure;
    return result;
}

enum connect_result target_ask(struct target *target, struct ticket *ticket, bool fresh,
                               struct connection **ret_connection, struct failure *ret_failure)
{
    ticket->fresh = fresh;
    ticket->share = shares_find(&target->shares, ticket->uid);
    if (target_has_place(target, ticket->share))
        return target_serve(target, ticket, ret_connection, ret_failure);
    ticket_move(ticket, TICKET_QUEUED);
    ticket->target = target;
    shares_wait(&target->shares, ticket->share, &ticket->link);
    timer_init(&ticket->timer, ticket_on_timer);
    timer_arm(target->loop, &ticket->timer, target->config->connect_timeout_ms);
    return CONNECT_WAIT;
}

void target_withdraw(struct ticket *ticket)
{
    struct target *target = ticket->target;

    switch (ticket->state) {
    case TICKET_QUEUED:
        ticket_leave_queue(ticket);
        ticket_settle(ticket);
        break;
    case TICKET_CONNECTING:
        connect_cancel(ticket->attempt);
        ticket_settle(ticket);
        ticket->endpoint->n_connecting--;
        target_free_place(target, ticket->share);
        target_serve_queue(target);
        break;
    default:
        break;
    }
}

/* Of one user, first come, first served. */
static void target_serve_queue(struct target *target)
{
    struct share *share;

    while (target->shares.n_waiting > 0 && (share = shares_choose(&target->shares, target_n_free(target)))) {
        struct ticket *ticket = CONTAINER_OF(share->waiting.next, struct ticket, link);
        struct connection *connection = NULL;
        struct failure failure;

        ticket_leave_queue(ticket);
        if (target_serve(target, ticket, &connection, &failure) != CONNECT_WAIT)
            ticket->fn(ticket, connection, &failure);
    }
}

void target_give(struct target *target, struct connection *connection, bool reusable)
{
    struct share *share = connection->share;

    pool_give(connection, reusable);
    target_free_place(target, share);
    if (target->shares.n_waiting > 0)
        target_serve_queue(target);
}
