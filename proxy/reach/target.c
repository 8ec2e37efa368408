#include "proxy/reach/target.h"

#include <errno.h>
#include <stdlib.h>

static void target_pass_on(struct target *target);
static enum connect_result target_conclude(struct target *target, struct ticket *ticket, struct connection **connection,
                                           struct failure *failure);

/* ---- life ---- */

static void target_on_again(struct hold_guest *guest);
static void target_on_over(struct hold_guest *guest, const struct failure *why);

static int target_prepare_hold(struct target *target, struct lookout *lookout)
{
    const struct hold_config config = {target->loop, lookout, target_on_again, target_on_over};

    return hold_init(&target->hold, &config, target->config->endpoints, target->config->n_endpoints);
}

int target_init(struct target *target, const struct target_config *config, struct endpoints *table, bool first_come)
{
    int r;

    *target = (struct target){.config = config, .loop = table->loop, .worker = table->worker, .first_come = first_come};
    target->inbox = &table->commons->inboxes[table->worker];
    target->commons = commons_target(table->commons, config, first_come);
    if (!target->commons)
        return -ENOMEM;
    commons_join(target->commons, target->worker, &target->desk_link);
    r = roster_init(&target->roster, config, table, &target->commons->standings);
    if (r == 0 && config->hold_ms > 0)
        r = target_prepare_hold(target, &table->lookout);
    if (r < 0)
        target_deinit(target);
    return r;
}

void target_deinit(struct target *target)
{
    hold_deinit(&target->hold);
    roster_deinit(&target->roster);
    if (target->commons) {
        commons_leave(target->commons, target->worker, &target->desk_link);
        commons_target_unref(target->commons);
    }
    target->commons = NULL;
}

void target_count_retry(const struct target *target, enum retry_cause why)
{
    if (target->config->series)
        cells_add(&target_slot(target->config->series, target->worker)->retries, why, why, 1);
}

uint32_t target_n_open(const struct target *target)
{
    uint32_t n = places_n_held(&target->commons->places);

    for (size_t i = 0; i < target->roster.n; i++)
        n += target->roster.endpoints[i] ? site_n_idle(target->roster.endpoints[i]->site) : 0;
    return n;
}

/* ---- tickets ---- */

const struct state_machine ticket_machine = {
    .name = "ticket",
    .n_states = N_TICKET_STATES,
    .states =
        {
            [TICKET_IDLE] = {"IDLE", STATE_BIT(TICKET_QUEUED) | STATE_BIT(TICKET_CONNECTING) | STATE_BIT(TICKET_HELD)},
            [TICKET_QUEUED] = {"QUEUED", STATE_BIT(TICKET_IDLE) | STATE_BIT(TICKET_CONNECTING)},
            [TICKET_CONNECTING] = {"CONNECTING", STATE_BIT(TICKET_IDLE)},
            [TICKET_HELD] = {"HELD", STATE_BIT(TICKET_IDLE)},
        },
};

static uint32_t ticket_waited_us(const struct ticket *ticket, uint32_t before)
{
    uint64_t us = before + instant_elapsed_us(ticket->since, instant_now());

    return us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
}

/* Few wait: only for them the clock is read. */
static void ticket_measure(struct ticket *ticket, enum ticket_state to)
{
    if (ticket->state == TICKET_QUEUED)
        ticket->queue_us = ticket_waited_us(ticket, ticket->queue_us);
    else if (ticket->state == TICKET_HELD)
        ticket->held_us = ticket_waited_us(ticket, ticket->held_us);
    if (to == TICKET_QUEUED || to == TICKET_HELD)
        ticket->since = instant_now();
}

static void ticket_move(struct ticket *ticket, enum ticket_state to)
{
    state_check(&ticket_machine, ticket->state, to);
    ticket_measure(ticket, to);
    ticket->state = to;
}

/* Nothing is asked for any more. */
static void ticket_settle(struct ticket *ticket)
{
    ticket_move(ticket, TICKET_IDLE);
    ticket->target = NULL;
    ticket->attempt = NULL;
}

/* There was no connection to be had; for a stream, that there is one is all that is heard of an endpoint. */
static void ticket_tell_failure(const struct ticket *ticket, const struct failure *failure)
{
    const struct outcome_info *outcome = outcome_info(failure->outcome);
    const char *why = failure_reason(failure);

    if (ticket->standing && outcome->fault == FAULT_TARGET)
        standing_fail(ticket->standing, STANDING_BY_CONNECT, why ? why : outcome->sentence, ticket->chosen,
                      loop_now(ticket->endpoint->table->loop));
}

/* What came of the attempt. */
static void ticket_count(const struct ticket *ticket, const struct target *target, const struct channel *channel,
                         enum outcome outcome)
{
    struct series *endpoint = target->roster.series[ticket->index], *series = target->config->series;

    if (channel && channel->tls) {
        series_certify(endpoint, channel->tls->facts.not_after);
        series_certify(series, channel->tls->facts.own_not_after);
    }
    if (endpoint)
        series_count_connect(endpoint, target->worker, outcome);
    if (series && outcome == OUTCOME_FORWARDED)
        histogram_observe(&target_slot(series, target->worker)->connect, &histogram_requests,
                          instant_now().ns - ticket->chosen.ns);
}

/* The attempt is over, well or badly: turns a channel into a connection. The ticket is settled. */
static struct connection *ticket_adopt(struct ticket *ticket, struct channel *channel, struct failure *ret_failure)
{
    struct connection *connection = NULL;

    ticket_count(ticket, ticket->target, channel, channel ? OUTCOME_FORWARDED : ret_failure->outcome);
    ticket_settle(ticket);
    ticket->endpoint->n_connecting--;
    if (channel) {
        follow_catch_up(&ticket->endpoint->follow);
        connection = pool_adopt(&ticket->endpoint->pool, channel);
        if (connection)
            connection->epoch = ticket->epoch;
        else
            failure_set(ret_failure, OUTCOME_INTERNAL, ENOMEM, NULL);
    } else {
        ticket_tell_failure(ticket, ret_failure);
    }
    return connection;
}

static void ticket_on_connected(void *closure, struct channel *channel, const struct failure *why)
{
    struct ticket *ticket = closure;
    struct target *target = ticket->target;
    struct failure failure = *why;
    struct connection *connection = ticket_adopt(ticket, channel, &failure);

    if (target_conclude(target, ticket, &connection, &failure) != CONNECT_WAIT)
        ticket->fn(ticket, connection, &failure);
    if (!connection)
        target_pass_on(target);
}

static void ticket_queue(struct ticket *ticket)
{
    timer_arm(ticket->target->loop, &ticket->guest.timer, ticket->target->config->connect_timeout_ms);
}

/* A process that was stopped or frozen finds the deadline of everybody who waits passed, although the answers may be
 * there that those before them wait for: they have their turns first. */
static bool ticket_puts_off(struct ticket *ticket)
{
    struct instant due = instant_add_ms(ticket->since, ticket->target->config->connect_timeout_ms);

    if (ticket->overslept || !instant_is_overslept(due, instant_now()))
        return false;
    ticket->overslept = true;
    ticket_queue(ticket);
    return true;
}

static void ticket_on_timer(struct timer *timer)
{
    struct ticket *ticket = CONTAINER_OF(timer, struct ticket, guest.timer);
    struct target *target = ticket->target;
    struct failure failure;

    if (ticket_puts_off(ticket))
        return;
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
    for (size_t i = 0; i < target->roster.n; i++) {
        struct endpoint *endpoint = target->roster.endpoints[i];
        struct pool *pool = endpoint ? &endpoint->pool : NULL;

        while (pool && pool->n_idle > 0 && target_n_open(target) > places_most(&target->commons->places))
            pool_drop_oldest(pool);
    }
}

void target_take_effect(struct target *target)
{
    const struct list *targets = &target->commons->desks[target->worker].targets;

    for (struct list *at = targets->next; at != targets; at = at->next)
        roster_retire(&CONTAINER_OF(at, struct target, desk_link)->roster);
    commons_configure(target->commons, target->config, target->first_come);
    roster_take_effect(&target->roster);
    target_shed(target);
    target_pass_on(target);
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
    ticket->epoch = endpoint->pool.epoch;
    ticket_move(ticket, TICKET_CONNECTING);
    ticket->target = target;
    result = connect_start(endpoint->table->connector, &to, target->config->connect_timeout_ms, ticket_on_connected,
                           ticket, &channel, &ticket->attempt, ret_failure);
    if (result == CONNECT_WAIT)
        return result;
    *ret_connection = ticket_adopt(ticket, result == CONNECT_DONE ? &channel : NULL, ret_failure);
    return *ret_connection ? CONNECT_DONE : CONNECT_FAILED;
}

/* This endpoint is next. */
static inline void ticket_choose(struct ticket *ticket, struct target *target, size_t index)
{
    struct endpoint *endpoint = target->roster.endpoints[index];

    if (ticket->held)
        target_forget(ticket);
    ticket->endpoint = endpoint;
    ticket->index = index;
    ticket->standing = roster_standing(&target->roster, index);
    ticket->chosen = loop_now(target->loop);
    if (target->roster.n_names > 0) {
        ticket->held = endpoint_ref(endpoint);
        standing_ref(ticket->standing);
    }
}

void target_forget(struct ticket *ticket)
{
    if (ticket->held)
        standing_unref(ticket->standing);
    endpoint_unref(ticket->held);
    ticket->held = ticket->endpoint = NULL;
    ticket->standing = NULL;
}

/* An idle connection to the endpoint, which is chosen; or NULL. Settles a ticket that was queued. */
static inline struct connection *target_take(struct target *target, struct ticket *ticket, size_t index)
{
    struct connection *connection = NULL;

    ticket_choose(ticket, target, index);
    follow_look(&ticket->endpoint->follow);
    endpoint_look(ticket->endpoint);
    if (!ticket->fresh)
        connection = pool_take(&ticket->endpoint->pool);
    if (connection && ticket->state != TICKET_IDLE)
        ticket_settle(ticket);
    return connection;
}

/* An idle connection to the endpoint, or one to be made. */
static enum connect_result target_reach(struct target *target, struct ticket *ticket, size_t index,
                                        struct connection **ret_connection, struct failure *ret_failure)
{
    *ret_connection = target_take(target, ticket, index);
    return *ret_connection ? CONNECT_DONE : target_connect(target, ticket, ret_connection, ret_failure);
}

/* Whether another endpoint may do better: it is not for want of something of ours. */
static bool target_may_go_on(const struct target *target, const struct failure *failure)
{
    return retry_is_wanted(&target->config->retries, RETRY_CONNECT) &&
           outcome_info(failure->outcome)->fault == FAULT_TARGET;
}

/* Whether this may mean that it is only not there yet. */
static bool target_may_appear(enum outcome outcome)
{
    return outcome == OUTCOME_TARGET_ABSENT || outcome == OUTCOME_TARGET_REFUSED || outcome == OUTCOME_TARGET_DENIED ||
           outcome == OUTCOME_CONNECT_FAILED || outcome == OUTCOME_CONNECT_TIMEOUT;
}

/* Whether the ticket waits for an endpoint to appear. It may be gone when another thread has just filled the last place
 * for those who do, which is no harm. */
static bool target_holds(struct target *target, struct ticket *ticket, const struct failure *failure)
{
    atomic_uint *n_held = &target->commons->n_held;

    if (target->config->hold_ms == 0 || !target_may_appear(failure->outcome) ||
        atomic_load_explicit(n_held, memory_order_relaxed) >= target->config->connections_queue ||
        !hold_receive(&target->hold, &ticket->guest, target->config->hold_ms, failure))
        return false;
    atomic_fetch_add_explicit(n_held, 1, memory_order_relaxed);
    ticket_move(ticket, TICKET_HELD);
    ticket->target = target;
    ticket->tried = 0;
    return true;
}

/* There is a connection, which has the ticket's place from now on. */
static inline void target_hand_over(struct target *target, struct ticket *ticket, struct connection *connection)
{
    connection->share = place_hand_on(&ticket->place);
    if (hold_has_guests(&target->hold))
        hold_open(&target->hold);
}

/* There is a connection, or there was none to be had, and another endpoint is tried until there is no other. Then the
 * place is free again. */
static enum connect_result target_conclude(struct target *target, struct ticket *ticket, struct connection **connection,
                                           struct failure *failure)
{
    enum connect_result result = *connection ? CONNECT_DONE : CONNECT_FAILED;

    while (result == CONNECT_FAILED) {
        size_t index;

        roster_doubt(&target->roster, ticket->index);
        if (!target_may_go_on(target, failure))
            break;
        ticket_avoid(ticket);
        index = roster_choose(&target->roster, ticket->tried);
        if (index == ROSTER_NOBODY)
            break;
        ticket->n_passed++;
        target_count_retry(target, RETRY_CONNECT);
        result = target_reach(target, ticket, index, connection, failure);
    }
    if (result == CONNECT_DONE) {
        target_hand_over(target, ticket, *connection);
    } else if (result == CONNECT_FAILED) {
        places_withdraw(&target->commons->places, &ticket->place);
        if (target_holds(target, ticket, failure))
            return CONNECT_WAIT;
    }
    return result;
}

/* The client's own connection, if it has one that leads here. */
static __attribute__((noinline)) struct connection *target_take_own(struct target *target, struct ticket *ticket)
{
    const struct pool *pool = ticket->personal->connection->pool;
    struct connection *own = NULL;

    for (size_t i = 0; i < target->roster.n; i++) {
        if (!target->roster.endpoints[i] || pool != &target->roster.endpoints[i]->pool)
            continue;
        endpoint_look(target->roster.endpoints[i]);
        own = ticket->personal->connection ? personal_take(ticket->personal) : NULL;
        ticket_choose(ticket, target, i);
        break;
    }
    if (!own)
        return NULL;
    if (ticket->state != TICKET_IDLE)
        ticket_settle(ticket);
    return own;
}

/* No connection to the endpoint is idle. Seldom, like target_connect. */
static __attribute__((noinline)) enum connect_result target_try(struct target *target, struct ticket *ticket,
                                                                struct connection **ret_connection,
                                                                struct failure *ret_failure)
{
    struct failure failure; /* of one endpoint, which another may make good */
    enum connect_result result = target_connect(target, ticket, ret_connection, &failure);

    if (result != CONNECT_WAIT)
        result = target_conclude(target, ticket, ret_connection, &failure);
    if (result == CONNECT_FAILED)
        *ret_failure = failure;
    return result;
}

/* The ticket has a place. */
static enum connect_result target_serve(struct target *target, struct ticket *ticket,
                                        struct connection **ret_connection, struct failure *ret_failure)
{
    struct connection *connection = NULL;
    size_t index;

    if (!ticket->fresh && ticket->personal && ticket->personal->connection)
        connection = target_take_own(target, ticket);
    if (!connection) {
        roster_look(&target->roster);
        index = roster_choose(&target->roster, ticket->tried);
        if (index == ROSTER_NOBODY) {
            ticket->tried = 0;
            index = roster_choose(&target->roster, 0);
        }
        connection = target_take(target, ticket, index);
    }
    *ret_connection = connection;
    if (!connection)
        return target_try(target, ticket, ret_connection, ret_failure);
    target_hand_over(target, ticket, connection);
    return CONNECT_DONE;
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
    timer_init(&ticket->guest.timer, ticket_on_timer);
    ticket->overslept = false;
    ticket_queue(ticket);
    return CONNECT_WAIT;
}

/* It is held no more. */
static void ticket_leave_hold(struct ticket *ticket)
{
    atomic_fetch_sub_explicit(&ticket->target->commons->n_held, 1, memory_order_relaxed);
    hold_dismiss(&ticket->guest);
    ticket_settle(ticket);
}

static void target_on_again(struct hold_guest *guest)
{
    struct ticket *ticket = CONTAINER_OF(guest, struct ticket, guest);
    struct target *target = ticket->target;
    struct connection *connection = NULL;
    struct failure failure;

    ticket_leave_hold(ticket);
    if (target_ask(target, ticket, ticket->fresh, &connection, &failure) != CONNECT_WAIT)
        ticket->fn(ticket, connection, &failure);
}

static void target_on_over(struct hold_guest *guest, const struct failure *why)
{
    struct ticket *ticket = CONTAINER_OF(guest, struct ticket, guest);

    ticket_leave_hold(ticket);
    ticket->fn(ticket, NULL, why);
}

void target_withdraw(struct ticket *ticket)
{
    struct target *target = ticket->target;

    if (ticket->state == TICKET_IDLE)
        return;
    if (ticket->state == TICKET_HELD) {
        ticket_leave_hold(ticket);
        return;
    }
    if (ticket->state == TICKET_QUEUED) {
        timer_disarm(&ticket->guest.timer);
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

    timer_disarm(&ticket->guest.timer);
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
