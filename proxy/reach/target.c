#include "proxy/reach/target.h"

#include <errno.h>
#include <stdlib.h>

static void target_pass_on(struct target *target);
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
        pool_configure(&endpoint->pool, config->connections_idle, config->connections_idle_timeout_ms,
                       config->connections_max_age_ms);
        follow_every(&endpoint->follow, config->resolve_every_ms);
        target->endpoints[target->n_endpoints++] = endpoint;
        if (target->items)
            target->items[i].weight = config->endpoints[i].weight;
    }
    return 0;
}

int target_init(struct target *target, const struct target_config *config, struct endpoints *table, bool first_come)
{
    int r;

    *target = (struct target){.config = config, .loop = table->loop, .worker = table->worker};
    target->inbox = &table->commons->inboxes[table->worker];
    target->random = instant_now().ns ^ (uintptr_t)target; /* so that workers do not draw alike */
    target->commons = commons_target(table->commons, config, first_come);
    if (!target->commons)
        return -ENOMEM;
    commons_join(target->commons, target->worker, &target->desk_link);
    r = target_take_endpoints(target, table);
    if (r < 0)
        target_deinit(target);
    return r;
}

void target_deinit(struct target *target)
{
    for (size_t i = 0; i < target->n_endpoints; i++)
        endpoint_unref(target->endpoints[i]);
    if (target->commons) {
        commons_leave(target->commons, target->worker, &target->desk_link);
        commons_target_unref(target->commons);
    }
    free(target->items);
    free(target->endpoints);
    target->commons = NULL;
    target->items = NULL;
    target->endpoints = NULL;
    target->n_endpoints = 0;
}

uint32_t target_n_open(const struct target *target)
{
    uint32_t n = places_n_held(&target->commons->places);

    for (size_t i = 0; i < target->n_endpoints; i++)
        n += site_n_idle(target->endpoints[i]->site);
    return n;
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

        target->items[i].load = site_n_busy(endpoint->site) + endpoint->n_connecting;
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
        target_pass_on(target);
}

static void ticket_on_timer(struct timer *timer)
{
    struct ticket *ticket = CONTAINER_OF(timer, struct ticket, timer);
    struct target *target = ticket->target;
    struct failure failure;

    places_withdraw(&target->commons->places, &ticket->place);
    ticket_settle(ticket);
    failure_set(&failure, OUTCOME_TARGET_BUSY, 0, NULL);
    ticket->fn(ticket, NULL, &failure);
    target_pass_on(target); /* one may just have been given to it */
}

/* ---- asking ---- */

/* Closes idle connections of this worker as long as more are open than may be. */
static void target_shed(struct target *target)
{
    for (size_t i = 0; i < target->n_endpoints; i++) {
        struct pool *pool = &target->endpoints[i]->pool;

        while (pool->n_idle > 0 && target_n_open(target) > places_most(&target->commons->places))
            pool_drop_oldest(pool);
    }
}

/* A new connection, which has its place, needs the room that an idle one may have; one of another worker is closed a
 * moment later. */
static void target_make_room(struct target *target)
{
    target_shed(target);
    if (target->commons->places.is_shared && target_n_open(target) > places_most(&target->commons->places))
        commons_tell(target->commons, target->worker);
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
static bool target_may_go_on(const struct target *target, const struct failure *failure)
{
    return retry_is_wanted(&target->config->retries, RETRY_CONNECT) &&
           outcome_info(failure->outcome)->fault == FAULT_TARGET;
}

/* There is a connection, which has the ticket's place from now on; or there was none to be had, and another endpoint is
 * tried until there is no other. Then the place is free again. */
static enum connect_result target_conclude(struct target *target, struct ticket *ticket, struct connection **connection,
                                           struct failure *failure)
{
    enum connect_result result = *connection ? CONNECT_DONE : CONNECT_FAILED;

    while (result == CONNECT_FAILED && target_may_go_on(target, failure)) {
        size_t index;

        ticket_avoid(ticket);
        index = target_choose(target, ticket);
        if (index == BALANCE_NOBODY)
            break;
        ticket->n_passed++;
        result = target_reach(target, ticket, index, connection, failure);
    }
    if (result == CONNECT_DONE)
        (*connection)->share = place_hand_on(&ticket->place);
    else if (result == CONNECT_FAILED)
        places_withdraw(&target->commons->places, &ticket->place);
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
    if (ticket->state != TICKET_IDLE)
        ticket_settle(ticket);
    return own;
}

/* The ticket has a place. */
static enum connect_result target_serve(struct target *target, struct ticket *ticket,
                                        struct connection **ret_connection, struct failure *ret_failure)
{
    struct failure failure; /* of one endpoint, which another may make good */
    enum connect_result result;
    size_t index;

    if (!ticket->fresh && ticket->personal && ticket->personal->connection &&
        (*ret_connection = target_take_own(target, ticket))) {
        (*ret_connection)->share = place_hand_on(&ticket->place);
        return CONNECT_DONE;
    }
    index = target_choose(target, ticket);
    if (index == BALANCE_NOBODY) {
        ticket->tried = 0;
        index = target_choose(target, ticket);
    }
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
    switch (places_ask(&target->commons->places, &ticket->place, ticket->uid, target->inbox)) {
    case PLACES_HELD:
        return target_serve(target, ticket, ret_connection, ret_failure);
    case PLACES_FULL:
        failure_set(ret_failure, OUTCOME_QUEUE_FULL, 0, NULL);
        return CONNECT_FAILED;
    case PLACES_WAIT:
        break;
    }
    ticket_move(ticket, TICKET_QUEUED);
    ticket->target = target;
    timer_init(&ticket->timer, ticket_on_timer);
    timer_arm(target->loop, &ticket->timer, target->config->connect_timeout_ms);
    return CONNECT_WAIT;
}

void target_withdraw(struct ticket *ticket)
{
    struct target *target = ticket->target;

    if (ticket->state == TICKET_IDLE)
        return;
    if (ticket->state == TICKET_QUEUED) {
        timer_disarm(&ticket->timer);
    } else {
        connect_cancel(ticket->attempt);
        ticket->endpoint->n_connecting--;
    }
    places_withdraw(&target->commons->places, &ticket->place);
    ticket_settle(ticket);
    target_pass_on(target);
}

/* ---- the queue ---- */

/* One that was queued has a place now. */
static void ticket_serve(struct ticket *ticket)
{
    struct connection *connection = NULL;
    struct failure failure;

    timer_disarm(&ticket->timer);
    if (target_serve(ticket->target, ticket, &connection, &failure) != CONNECT_WAIT)
        ticket->fn(ticket, connection, &failure);
}

/* A place is free: who waits for one? Of one user, first come, first served. */
static void target_pass_on(struct target *target)
{
    struct place *place;

    while ((place = places_next(&target->commons->places, target->inbox)))
        ticket_serve(CONTAINER_OF(place, struct ticket, place));
}

void target_give(struct target *target, struct connection *connection, bool reusable)
{
    struct share *share = connection->share;

    pool_give(connection, reusable);
    places_give_back(&target->commons->places, share);
    target_pass_on(target);
}

void targets_attend(struct inbox *inbox)
{
    struct list *link;

    inbox_open(inbox);
    while ((link = inbox_take(inbox, INBOX_PLACES))) {
        struct place *place = CONTAINER_OF(link, struct place, link);

        place_accept(place);
        ticket_serve(CONTAINER_OF(place, struct ticket, place));
    }
    while ((link = inbox_take(inbox, INBOX_TARGETS))) {
        const struct list *targets = &CONTAINER_OF(link, struct commons_desk, link)->targets;

        for (struct list *at = targets->next; at != targets; at = at->next)
            target_shed(CONTAINER_OF(at, struct target, desk_link));
    }
}
