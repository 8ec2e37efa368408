#include "proxy/reach/upstream.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "proxy/base/unread.h"
#include "proxy/http/authentication.h"

#define IN_BYTES 16384u /* holds most heads; the others are given more */
#define MOST_SPARE 64
#define INTERIM_PER_TURN 8
#define SLOW_LOOKS 4      /* the second look at a target that takes nothing comes after so much of its time */
#define SLOW_LOOK_MS 1000 /* or this */

void upstream_store_init(struct upstream_store *store, size_t out_bytes, size_t answer_head_bytes)
{
    buffer_store_init(&store->out, out_bytes, MOST_SPARE);
    buffer_store_init(&store->in, IN_BYTES, MOST_SPARE);
    store->in.wide_size = answer_head_bytes;
}

void upstream_store_grow(struct upstream_store *store, size_t out_bytes, size_t answer_head_bytes)
{
    buffer_store_grow(&store->out, out_bytes);
    if (answer_head_bytes > store->in.wide_size)
        store->in.wide_size = answer_head_bytes;
}

void upstream_store_empty(struct upstream_store *store)
{
    buffer_store_empty(&store->out);
    buffer_store_empty(&store->in);
}

void upstream_store_deinit(struct upstream_store *store)
{
    buffer_store_deinit(&store->out);
    buffer_store_deinit(&store->in);
}

/* ---- deadlines and ends ---- */

/* (Re)arms the target's deadline after progress: while a body is sent, a response awaited or a body read. */
static void upstream_watch(struct upstream *upstream, uint64_t ms)
{
    upstream->unread = 0;
    timer_arm(upstream->loop, &upstream->timer, ms);
}

static void upstream_await_body(struct upstream *upstream)
{
    upstream->body_awaited = true;
    upstream_watch(upstream, upstream->times->idle_ms);
}

/* The target has taken everything: from here on it is the client that is waited for, unless a piece of an early answer
 * is. */
static void upstream_unwatch(struct upstream *upstream)
{
    if (upstream->body_awaited)
        upstream_watch(upstream, upstream->times->idle_ms);
    else
        timer_disarm(&upstream->timer);
}

static void upstream_drop_connection(struct upstream *upstream, bool reusable)
{
    struct connection *connection = upstream->connection;

    if (!connection)
        return;
    upstream->connection = NULL;
    if (upstream->personal || upstream->response_half.personal) {
        connection_belong(connection, upstream->ticket.personal);
        reusable = reusable && upstream->ticket.personal;
    }
    target_give(upstream->target, connection, reusable);
}

/* How the endpoint does, which is nobody's business unless there are others. That there was no connection is told by
 * the target. */
static void upstream_tell_failure(const struct upstream *upstream, enum standing_cause cause, const char *why)
{
    if (upstream->ticket.standing)
        standing_fail(upstream->ticket.standing, cause, why, upstream->connected, loop_now(upstream->loop));
}

static void upstream_tell_answer(const struct upstream *upstream)
{
    struct standing *standing = upstream->ticket.standing;

    if (!standing)
        return;
    if (upstream->response_half.response.status >= 500 && upstream->target->config->eject.server_errors)
        upstream_tell_failure(upstream, STANDING_BY_STATUS, "answers with 500 to 599");
    else
        standing_succeed(standing, upstream->connected, loop_now(upstream->loop));
}

/* Ends both halves after a failure: the first one counts. */
static void upstream_give_up(struct upstream *upstream)
{
    timer_disarm(&upstream->timer);
    upstream_drop_connection(upstream, false);
    request_half_abandon(&upstream->request_half);
}

static void upstream_fail(struct upstream *upstream, enum outcome outcome, int error_number, const char *reason)
{
    failure_note(&upstream->failure, outcome, error_number, reason);
    upstream_give_up(upstream);
}

static bool upstream_asks_again(struct upstream *upstream, enum retry_cause cause, bool reusable);

/* Whether a target that makes no room in its socket may be a slow reader: there is room only when a whole piece has
 * been read. The first time it is only noted how much is unread; then that must have changed. */
static bool upstream_may_be_slow(struct upstream *upstream)
{
    uint64_t before = upstream->unread, ms = upstream->times->idle_ms;

    if (!upstream->connection || !upstream->request_half.full)
        return false;
    upstream->unread = 1 + (uint64_t)unread_look(upstream->connection->channel.fd);
    if (upstream->unread == before)
        return false;
    if (before == 0)
        ms = ms / SLOW_LOOKS < SLOW_LOOK_MS ? ms / SLOW_LOOKS : SLOW_LOOK_MS;
    timer_arm(upstream->loop, &upstream->timer, ms);
    return true;
}

static void upstream_on_timer(struct timer *timer)
{
    struct upstream *upstream = CONTAINER_OF(timer, struct upstream, timer);

    if (upstream_may_be_slow(upstream))
        return;
    if (upstream->response_half.state == RESPONSE_HALF_BODY) {
        upstream_fail(upstream, OUTCOME_TARGET_STALLED, 0, NULL);
    } else {
        upstream_tell_failure(upstream, STANDING_BY_SILENCE, outcome_info(OUTCOME_RESPONSE_TIMEOUT)->sentence);
        if (!upstream_asks_again(upstream, RETRY_504, false))
            upstream_fail(upstream, OUTCOME_RESPONSE_TIMEOUT, 0, NULL);
    }
    upstream->changed(upstream);
}

void upstream_init(struct upstream *upstream, struct loop *loop, struct upstream_store *store,
                   void (*changed)(struct upstream *upstream))
{
    memset(upstream, 0, offsetof(struct upstream, response_half.room.few));
    upstream->loop = loop;
    upstream->changed = changed;
    upstream->request_half.store = &store->out;
    upstream->request_half.failure = &upstream->failure;
    upstream->response_half.store = &store->in;
    upstream->response_half.failure = &upstream->failure;
    failure_init(&upstream->failure);
    timer_init(&upstream->timer, upstream_on_timer);
}

void upstream_deinit(struct upstream *upstream)
{
    timer_disarm(&upstream->timer);
    if (upstream->ticket.state != TICKET_IDLE)
        target_withdraw(&upstream->ticket);
    upstream_drop_connection(upstream, false);
    request_half_drop(&upstream->request_half);
    response_half_drop(&upstream->response_half);
}

/* The response is complete. An answer that is so while the request is not: nobody will read the rest (RFC 9112 9.5). */
static void upstream_finish(struct upstream *upstream)
{
    bool clean = upstream->request_half.state == REQUEST_HALF_SENT && upstream->response_half.response.reusable;

    timer_disarm(&upstream->timer);
    if (upstream->connection)
        upstream->connection->keep_ms = upstream->response_half.response.keep_ms;
    upstream_drop_connection(upstream, clean);
    if (upstream->request_half.state != REQUEST_HALF_SENT)
        request_half_abandon(&upstream->request_half);
}

/* ---- once more ---- */

static void upstream_open(struct upstream *upstream, bool fresh);

/* How long a response may still take: what is left for all tries together, and not more than one may take. */
static uint64_t upstream_response_ms(const struct upstream *upstream)
{
    const struct retry_config *retries = upstream->retries;
    uint64_t left_ms = upstream->times->response_ms;

    if (upstream->n_retries > 0 && upstream->asked.ns > 0) {
        uint64_t gone_ms = instant_elapsed_us(upstream->asked, loop_now(upstream->loop)) / 1000;

        left_ms = gone_ms < left_ms ? left_ms - gone_ms : 0;
    }
    return retries->per_try_ms < left_ms ? retries->per_try_ms : left_ms;
}

/* Whether the target cannot have acted on what was sent over a kept-alive connection that turned out dead.
 *
 * No head was sent whole: no. The head went out but no body is part of it: a Unix socket tells by ECONNRESET that its
 * owner closed it with the request unread (unix(7) gives a plain end of file when it was read); on TCP only a
 * safe method (RFC 9110 9.2.1) may be sent again. */
static bool upstream_is_unheard(const struct upstream *upstream, int error_number)
{
    const struct request_half *half = &upstream->request_half;

    if (!upstream->reused || upstream->response_half.got_bytes)
        return false;
    if (request_half_is_unsent(half))
        return !request_half_is_abandoned(half);
    if (half->request->body != BODY_NONE)
        return false;
    if (endpoint_is_unix(endpoint_of(upstream->connection)))
        return error_number == ECONNRESET;
    return half->request->is_safe;
}

/* Leaves the connection, forgets what came over it, and sends the request again. */
static void upstream_once_more(struct upstream *upstream, enum retry_cause why, bool fresh, bool reusable)
{
    upstream->n_retries++;
    target_count_retry(upstream->target, why);
    timer_disarm(&upstream->timer);
    response_half_leave(&upstream->response_half);
    upstream_drop_connection(upstream, reusable);
    upstream_open(upstream, fresh);
}

/* Instead of an answer that would be 502, 503 or 504: sends an idempotent request again, to another endpoint if there
 * is one. Nothing but its head has been sent. */
static bool upstream_asks_again(struct upstream *upstream, enum retry_cause cause, bool reusable)
{
    const struct request_half *half = &upstream->request_half;

    if (!retry_is_wanted(upstream->retries, cause) || upstream->n_retries >= upstream->retries->attempts)
        return false;
    if (!half->request->is_idempotent || half->request->body != BODY_NONE || request_half_is_abandoned(half))
        return false;
    if (upstream_response_ms(upstream) == 0 || !retry_budget_spend(&upstream->target->commons->budget))
        return false;
    failure_init(&upstream->failure);
    ticket_avoid(&upstream->ticket);
    upstream_once_more(upstream, cause, false, reusable);
    return true;
}

/* The connection broke before any byte of a response: tries again on a fresh one where nothing of the request can
 * have been processed, or where it does no harm; else fails. */
static void upstream_lost(struct upstream *upstream, int error_number)
{
    enum outcome outcome = error_number == 0 || error_number == EPIPE ? OUTCOME_TARGET_CLOSED : OUTCOME_TARGET_RESET;

    if (retry_is_wanted(upstream->retries, RETRY_REUSED) && upstream->n_retries < upstream->retries->attempts &&
        upstream_is_unheard(upstream, error_number)) {
        if (upstream->ticket.standing)
            standing_unclaim(upstream->ticket.standing);
        upstream_once_more(upstream, RETRY_REUSED, true, false);
        return;
    }
    upstream_tell_failure(upstream, STANDING_BY_SILENCE, outcome_info(outcome)->sentence);
    if (!upstream_asks_again(upstream, retry_cause_of_outcome(outcome), false))
        upstream_fail(upstream, outcome, error_number, channel_reason(&upstream->connection->channel));
}

/* ---- receiving a head ---- */

/* Whether the final head is one that another try may better, which begins then. */
static bool upstream_passes_over(struct upstream *upstream)
{
    const struct response_half *half = &upstream->response_half;
    enum retry_cause cause = retry_cause_of_status(half->response.status);
    bool clean = half->state == RESPONSE_HALF_COMPLETE && half->response.reusable &&
                 upstream->request_half.state == REQUEST_HALF_SENT;

    return cause != RETRY_NEVER && half->state != RESPONSE_HALF_SWITCHED && upstream_asks_again(upstream, cause, clean);
}

static void upstream_count_answer(const struct upstream *upstream)
{
    const struct target *target = upstream->target;
    const struct series *series = target->config->series, *endpoint = target->roster.series[upstream->ticket.index];
    uint64_t ns;

    if (!series || upstream->asked.ns == 0)
        return;
    ns = instant_now().ns - upstream->asked.ns;
    histogram_observe(&target_slot(series, target->worker)->response_head, &histogram_requests, ns);
    if (endpoint)
        histogram_observe(&endpoint_slot(endpoint, target->worker)->response_head, &histogram_requests, ns);
}

/* The final head is there. An early answer of a target that has stopped reading: its deadline goes on, or nothing would
 * end the exchange; the same holds for a request of which something is still to be sent, after a 101. */
static void upstream_answered(struct upstream *upstream)
{
    upstream->answered = loop_now(upstream->loop);
    upstream_count_answer(upstream);
    if (upstream->response_half.state == RESPONSE_HALF_COMPLETE)
        upstream_finish(upstream);
    else if (!upstream->request_half.full)
        timer_disarm(&upstream->timer);
    else if (upstream->response_half.state == RESPONSE_HALF_BODY)
        upstream_await_body(upstream);
}

/* What came is no answer. True when another try has begun. */
static bool upstream_goes_elsewhere(struct upstream *upstream)
{
    const struct outcome_info *outcome = outcome_info(upstream->failure.outcome);

    if (outcome->fault == FAULT_TARGET)
        upstream_tell_failure(upstream, STANDING_BY_SILENCE, outcome->sentence);
    return upstream_asks_again(upstream, retry_cause_of_outcome(upstream->failure.outcome), false);
}

static void upstream_receive_head(struct upstream *upstream)
{
    struct response_half *half = &upstream->response_half;
    enum half_result result;
    int n_interim = 0;

    while ((result = response_half_receive(half, &upstream->connection->channel)) == HALF_MORE) {
        if (half->response.status != 100 && upstream->interim)
            upstream->interim(upstream);
        half->more = ++n_interim == INTERIM_PER_TURN;
        if (half->more)
            return;
    }
    if (result == HALF_DONE) {
        upstream_tell_answer(upstream);
        if (!upstream_passes_over(upstream))
            upstream_answered(upstream);
    } else if (result == HALF_LOST) {
        upstream_lost(upstream, half->error_number);
    } else if (result == HALF_FAILED) {
        if (half->state == RESPONSE_HALF_BODY)
            upstream->answered = loop_now(upstream->loop);
        else if (upstream_goes_elsewhere(upstream))
            return;
        upstream_give_up(upstream);
    }
}

/* ---- sending ---- */

/* The target stopped reading. If it said why, that answer counts and what is left of the request is discarded. */
static void upstream_send_failed(struct upstream *upstream, int error_number)
{
    uint32_t n_retries = upstream->n_retries;

    if (upstream->response_half.state == RESPONSE_HALF_AWAITED) {
        upstream_receive_head(upstream);
        if (upstream->n_retries != n_retries || failure_is_set(&upstream->failure))
            return;
    }
    /* Without an answer, or with a 101 to a request that it does not want any more. */
    if (upstream->response_half.state == RESPONSE_HALF_AWAITED || upstream_is_switching(upstream))
        upstream_lost(upstream, error_number);
    else
        request_half_abandon(&upstream->request_half);
}

/* Acts on a step of the request half. */
void upstream_sent(struct upstream *upstream, enum half_result result)
{
    switch (result) {
    case HALF_MORE:
        upstream_unwatch(upstream);
        break;
    case HALF_WAIT:
        upstream_watch(upstream, upstream->times->idle_ms);
        break;
    case HALF_DONE:
        if (upstream->asked.ns == 0)
            upstream->asked = loop_now(upstream->loop);
        if (upstream->response_half.state == RESPONSE_HALF_AWAITED)
            upstream_watch(upstream, upstream_response_ms(upstream));
        else
            upstream_unwatch(upstream);
        break;
    case HALF_LOST:
        upstream_send_failed(upstream, upstream->request_half.error_number);
        break;
    case HALF_FAILED:
        upstream_give_up(upstream);
        break;
    }
}

void upstream_flush(struct upstream *upstream)
{
    struct request_half *half = &upstream->request_half;

    if (upstream->connection && (half->state == REQUEST_HALF_HEAD || half->state == REQUEST_HALF_BODY))
        upstream_sent(upstream, request_half_flush(half, upstream->connection));
}

void upstream_turn(struct upstream *upstream)
{
    struct response_half *half = &upstream->response_half;

    if (request_half_keeps_back(&upstream->request_half))
        upstream_flush(upstream);
    if (half->more && upstream->connection && half->state == RESPONSE_HALF_AWAITED)
        upstream_receive_head(upstream);
    else
        half->more = false;
}

bool upstream_takes_body(const struct upstream *upstream)
{
    return failure_is_set(&upstream->failure) ||
           request_half_takes_body(&upstream->request_half, upstream->connection != NULL);
}

void upstream_send_body(struct upstream *upstream, const char *data, size_t length, uint64_t company)
{
    struct request_half *half = &upstream->request_half;

    if (!upstream->connection || request_half_is_abandoned(half) || length == 0)
        return;
    upstream_sent(upstream, request_half_send(half, upstream->connection, data, length, company));
}

void upstream_end_body(struct upstream *upstream, const struct fields *trailers)
{
    if (upstream->request_half.ended)
        return;
    if (request_half_end(&upstream->request_half, trailers) == HALF_FAILED)
        upstream_give_up(upstream);
    else
        upstream_flush(upstream);
}

/* ---- connecting ---- */

static void upstream_on_event(void *closure, uint32_t events)
{
    struct upstream *upstream = closure;

    if ((events & EPOLLOUT) && upstream->request_half.full)
        upstream_flush(upstream);
    if (upstream->connection && upstream->response_half.state == RESPONSE_HALF_AWAITED &&
        (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)))
        upstream_receive_head(upstream);
    upstream->changed(upstream);
}

static void upstream_connected(struct upstream *upstream, struct connection *connection)
{
    upstream->connection = connection;
    upstream->reused = connection->n_exchanges > 0;
    upstream->connected = loop_now(upstream->loop);
    upstream->tls = channel_tls_version(&connection->channel);
    connection_use(connection, upstream_on_event, upstream);
    response_half_await(&upstream->response_half);
}

static void upstream_on_ticket(struct ticket *ticket, struct connection *connection, const struct failure *failure)
{
    struct upstream *upstream = CONTAINER_OF(ticket, struct upstream, ticket);

    if (connection) {
        upstream_connected(upstream, connection);
        upstream_flush(upstream);
    } else {
        upstream->failure = *failure;
        upstream_give_up(upstream);
    }
    upstream->changed(upstream);
}

static void upstream_open(struct upstream *upstream, bool fresh)
{
    struct connection *connection = NULL;

    upstream->ticket.fn = upstream_on_ticket;
    upstream->tls = TLS_NONE;
    if (request_half_begin(&upstream->request_half) == HALF_FAILED) {
        upstream_give_up(upstream);
        return;
    }
    switch (target_ask(upstream->target, &upstream->ticket, fresh, &connection, &upstream->failure)) {
    case CONNECT_DONE:
        upstream_connected(upstream, connection);
        /* A head with a body travels with its first piece; upstream_flush comes soon in any case. */
        if (upstream->request_half.ended || upstream->n_retries > 0)
            upstream_flush(upstream);
        break;
    case CONNECT_WAIT:
        request_half_rest(&upstream->request_half);
        break;
    case CONNECT_FAILED:
        upstream_give_up(upstream);
        break;
    }
}

void upstream_start(struct upstream *upstream, struct target *target, const struct target_times *times,
                    const struct retry_config *retries, const struct request *request, const struct forward *forward)
{
    upstream->target = target;
    upstream->times = times;
    upstream->retries = retries;
    if (retry_is_budgeted(retries))
        retry_budget_earn(&target->commons->budget, retries->budget_milli);
    upstream->started = loop_now(upstream->loop);
    upstream->personal =
        request->personal || (forward->edit && authentication_lines_are_personal(forward->edit->lines));
    request_half_start(&upstream->request_half, request, forward);
    response_half_start(&upstream->response_half, request, forward);
    upstream_open(upstream, false);
}

/* ---- the response ---- */

struct connection *upstream_take_connection(struct upstream *upstream, struct text *ret_early)
{
    const struct buffer *in = upstream->response_half.in;
    struct connection *connection = upstream->connection;

    timer_disarm(&upstream->timer);
    upstream->connection = NULL;
    *ret_early = (struct text){in->data + in->start, buffer_length(in)};
    return connection;
}

bool upstream_has_body(const struct upstream *upstream, struct text *ret_body)
{
    const struct response_half *half = &upstream->response_half;

    if (!half->body_in_buffer)
        return false;
    *ret_body = (struct text){half->in->data + half->in->start, buffer_length(half->in)};
    return true;
}

bool upstream_is_read(const struct upstream *upstream)
{
    const struct response_half *half = &upstream->response_half;

    return half->body_in_buffer || (half->state == RESPONSE_HALF_COMPLETE && buffer_length(half->in) == 0);
}

/* What reading or splicing has returned, after which the response may be complete, or broken. */
ssize_t upstream_has_read(struct upstream *upstream, ssize_t n)
{
    if (n == UPSTREAM_CUT)
        upstream_give_up(upstream);
    else if (upstream->response_half.state == RESPONSE_HALF_COMPLETE)
        upstream_finish(upstream);
    else if (n == UPSTREAM_WAIT)
        upstream_await_body(upstream);
    return n;
}

ssize_t upstream_read(struct upstream *upstream, char *data, size_t size)
{
    struct response_half *half = &upstream->response_half;

    if (failure_is_set(&upstream->failure))
        return UPSTREAM_CUT;
    if (half->state == RESPONSE_HALF_COMPLETE)
        return response_half_read(half, NULL, data, size);
    timer_disarm(&upstream->timer);
    upstream->body_awaited = false;
    return upstream_has_read(upstream, response_half_read(half, &upstream->connection->channel, data, size));
}

size_t upstream_gather(struct upstream *upstream, char *data, size_t size, bool receive)
{
    struct response_half *half = &upstream->response_half;
    size_t n;

    if (failure_is_set(&upstream->failure) || half->state != RESPONSE_HALF_BODY)
        return 0;
    n = response_half_gather(half, &upstream->connection->channel, data, size, receive);
    if (n > 0)
        upstream_has_read(upstream, (ssize_t)n);
    return n;
}

struct text upstream_trailers(const struct upstream *upstream)
{
    return response_half_trailers(&upstream->response_half);
}

struct fields *upstream_empty_fields(struct upstream *upstream)
{
    upstream->response_half.response.fields = field_room_fields(&upstream->response_half.room);
    return &upstream->response_half.response.fields;
}
