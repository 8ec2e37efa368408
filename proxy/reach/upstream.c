#include "proxy/reach/upstream.h"

#include <errno.h>
#include <string.h>

#include "proxy/http/trailers.h"
#include "proxy/reach/upstream_half.h"

#define IN_BYTES 16384u
#define MOST_SPARE 64

void upstream_store_init(struct upstream_store *store, size_t out_bytes)
{
    buffer_store_init(&store->out, out_bytes, MOST_SPARE);
    buffer_store_init(&store->in, IN_BYTES, MOST_SPARE);
}

void upstream_store_grow(struct upstream_store *store, size_t out_bytes)
{
    buffer_store_grow(&store->out, out_bytes);
}

void upstream_store_deinit(struct upstream_store *store)
{
    buffer_store_deinit(&store->out);
    buffer_store_deinit(&store->in);
}

/* ---- deadlines and ends ---- */

static void upstream_on_timer(struct timer *timer)
{
    struct upstream *upstream = CONTAINER_OF(timer, struct upstream, timer);

    if (upstream->response_half == UPSTREAM_RESPONSE_BODY)
        upstream_fail(upstream, OUTCOME_TARGET_STALLED, 0, NULL);
    else
        upstream_fail(upstream, OUTCOME_RESPONSE_TIMEOUT, 0, NULL);
    upstream->changed(upstream);
}

void upstream_watch(struct upstream *upstream, uint64_t ms)
{
    timer_arm(upstream->loop, &upstream->timer, ms);
}

/* The target has taken everything: from here on it is the client that is waited for, unless a piece of an early answer
 * is. */
static void upstream_unwatch(struct upstream *upstream)
{
    if (upstream->body_awaited)
        upstream_watch(upstream, upstream->target->config->idle_timeout_ms);
    else
        timer_disarm(&upstream->timer);
}

void upstream_init(struct upstream *upstream, struct loop *loop, struct upstream_store *store,
                   void (*changed)(struct upstream *upstream))
{
    /* The field array is not worth clearing: response.fields.n_items says how much of it counts. */
    memset(upstream, 0, offsetof(struct upstream, failure));
    memset(&upstream->chunked, 0, sizeof(*upstream) - offsetof(struct upstream, chunked));
    upstream->loop = loop;
    upstream->store = store;
    upstream->changed = changed;
    failure_init(&upstream->failure);
    timer_init(&upstream->timer, upstream_on_timer);
}

static void upstream_drop_connection(struct upstream *upstream, bool reusable)
{
    struct connection *connection = upstream->connection;

    if (!connection)
        return;
    upstream->connection = NULL;
    target_give(upstream->target, connection, reusable);
}

static void upstream_drop_out(struct upstream *upstream)
{
    buffer_give(&upstream->store->out, upstream->out);
    upstream->out = NULL;
}

void upstream_deinit(struct upstream *upstream)
{
    timer_disarm(&upstream->timer);
    target_withdraw(&upstream->ticket);
    upstream_drop_connection(upstream, false);
    upstream_drop_out(upstream);
    buffer_give(&upstream->store->in, upstream->in);
    upstream->in = NULL;
    buffer_give(&upstream->store->in, upstream->trailers);
    upstream->trailers = NULL;
}

/* What follows from a failure. */
static void upstream_give_up(struct upstream *upstream)
{
    timer_disarm(&upstream->timer);
    upstream_drop_connection(upstream, false);
    upstream_drop_out(upstream);
    upstream->request_abandoned = true;
}

void upstream_fail(struct upstream *upstream, enum outcome outcome, int error_number, const char *reason)
{
    failure_note(&upstream->failure, outcome, error_number, reason);
    upstream_give_up(upstream);
}

void upstream_finish(struct upstream *upstream)
{
    bool clean = upstream->request_half == UPSTREAM_REQUEST_SENT && upstream->response.reusable;

    if (upstream->response_half != UPSTREAM_RESPONSE_COMPLETE)
        return;
    timer_disarm(&upstream->timer);
    /* An answer that is complete while the request is not: nobody will read the rest (RFC 9112 9.5). */
    if (upstream->request_half != UPSTREAM_REQUEST_SENT)
        upstream->request_abandoned = true;
    upstream_drop_connection(upstream, clean);
    upstream_drop_out(upstream);
}

/* ---- request half ---- */

static void upstream_open(struct upstream *upstream, bool fresh);

static bool upstream_is_unix(const struct upstream *upstream)
{
    return endpoint_is_unix(endpoint_of(upstream->connection));
}

/* Whether the target cannot have acted on what was sent over a kept-alive connection that turned out dead.
 *
 * No head was sent whole: no. The head went out but no body is part of it: a Unix socket tells by ECONNRESET that its
 * owner closed it with the request unread (unix(7) gives a plain end of file when it was read); on TCP only a
 * safe method (RFC 9110 9.2.1) may be sent again. */
static bool upstream_may_retry(const struct upstream *upstream, int error_number)
{
    if (!upstream->reused || upstream->retried || upstream->got_bytes)
        return false;
    if (upstream->sent_bytes < upstream->head_bytes)
        return upstream->request_half <= UPSTREAM_REQUEST_BODY && upstream->out != NULL;
    if (upstream->request->body != BODY_NONE)
        return false;
    if (upstream_is_unix(upstream))
        return error_number == ECONNRESET;
    return upstream->request->is_safe;
}

void upstream_lost(struct upstream *upstream, int error_number)
{
    if (upstream_may_retry(upstream, error_number)) {
        upstream->retried = true;
        timer_disarm(&upstream->timer);
        upstream_drop_connection(upstream, false);
        upstream_open(upstream, true);
        return;
    }
    upstream_fail(upstream, error_number == 0 || error_number == EPIPE ? OUTCOME_TARGET_CLOSED : OUTCOME_TARGET_RESET,
                  error_number, channel_reason(&upstream->connection->channel));
}

/* The head, at the front of `out`. On a retry it may still be there, with a piece of body behind it. */
static bool upstream_write_head(struct upstream *upstream)
{
    upstream->sent_bytes = 0;
    if (upstream->out) {
        upstream->out->start = 0;
        return true;
    }
    upstream->out = buffer_take(&upstream->store->out);
    if (!upstream->out) {
        upstream_fail(upstream, OUTCOME_INTERNAL, ENOMEM, NULL);
        return false;
    }
    upstream->out->end = forward_write(upstream->request, upstream->forward, upstream->out->data, upstream->out->size);
    upstream->head_bytes = upstream->out->end;
    if (upstream->head_bytes > 0)
        return true;
    upstream_fail(upstream, OUTCOME_HEADER_TOO_LARGE, 0, "no room for the forwarded head");
    return false;
}

/* The target stopped reading. If it said why, that answer counts and what is left of the request is discarded. */
static void upstream_send_failed(struct upstream *upstream, int error_number)
{
    bool retried = upstream->retried;

    if (upstream->response_half == UPSTREAM_RESPONSE_AWAITED) {
        upstream_receive_head(upstream);
        if (upstream->retried != retried || failure_is_set(&upstream->failure))
            return;
    }
    /* Without an answer, or with a 101 to a request that it does not want any more. */
    if (upstream->response_half == UPSTREAM_RESPONSE_AWAITED || upstream->response_half == UPSTREAM_RESPONSE_SWITCHED) {
        upstream_lost(upstream, error_number);
        return;
    }
    upstream->request_abandoned = true;
    upstream_drop_out(upstream);
}

/* Sends what it can. Returns what the target took, 0 when it is full, or -1 when the connection was lost. */
static ssize_t upstream_push(struct upstream *upstream, const char *data, size_t length)
{
    ssize_t n = channel_send(&upstream->connection->channel, data, length);

    if (n >= 0) {
        upstream->sent_bytes += (uint64_t)n;
        return n;
    }
    if (n == -EAGAIN) {
        if (connection_want_write(upstream->connection, true) < 0)
            upstream_fail(upstream, OUTCOME_INTERNAL, ENOMEM, NULL);
        return !failure_is_set(&upstream->failure) ? 0 : -1;
    }
    upstream_send_failed(upstream, (int)-n);
    return -1;
}

static void upstream_request_sent(struct upstream *upstream)
{
    upstream->request_half = UPSTREAM_REQUEST_SENT;
    if (upstream->response_half == UPSTREAM_RESPONSE_AWAITED)
        upstream_watch(upstream, upstream->target->config->response_timeout_ms);
    upstream_finish(upstream);
}

void upstream_flush(struct upstream *upstream)
{
    while (upstream->connection && upstream->out && !upstream->request_abandoned) {
        struct buffer *out = upstream->out;
        ssize_t n;

        if (buffer_length(out) == 0) {
            upstream_drop_out(upstream);
            break;
        }
        n = upstream_push(upstream, out->data + out->start, buffer_length(out));
        if (n < 0)
            return;
        if (n == 0) {
            upstream_watch(upstream, upstream->target->config->idle_timeout_ms);
            return;
        }
        out->start += (size_t)n;
    }
    if (!upstream->connection || upstream->out || upstream->request_abandoned)
        return;
    if (upstream->request_half == UPSTREAM_REQUEST_HEAD)
        upstream->request_half = UPSTREAM_REQUEST_BODY;
    if (upstream->request_half == UPSTREAM_REQUEST_BODY)
        upstream_unwatch(upstream);
    if (upstream->request_ended && upstream->request_half == UPSTREAM_REQUEST_BODY)
        upstream_request_sent(upstream);
}

static void upstream_on_event(void *closure, uint32_t events)
{
    struct upstream *upstream = closure;

    if ((events & EPOLLOUT) && upstream->out)
        upstream_flush(upstream);
    if (upstream->connection && upstream->response_half == UPSTREAM_RESPONSE_AWAITED &&
        (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)))
        upstream_receive_head(upstream);
    upstream->changed(upstream);
}

static void upstream_connected(struct upstream *upstream, struct connection *connection)
{
    upstream->connection = connection;
    upstream->reused = connection->n_exchanges > 0;
    upstream->connected = loop_now(upstream->loop);
    connection_use(connection, upstream_on_event, upstream);
    upstream->response_half = UPSTREAM_RESPONSE_AWAITED;
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

    upstream->request_half = UPSTREAM_REQUEST_HEAD;
    upstream->response_half = UPSTREAM_RESPONSE_IDLE;
    upstream->ticket.fn = upstream_on_ticket;
    if (!upstream_write_head(upstream))
        return;
    switch (target_ask(upstream->target, &upstream->ticket, fresh, &connection, &upstream->failure)) {
    case CONNECT_DONE:
        upstream_connected(upstream, connection);
        /* A head with a body travels with its first piece; upstream_flush comes soon in any case. */
        if (upstream->request_ended || upstream->retried)
            upstream_flush(upstream);
        break;
    case CONNECT_WAIT:
        break;
    case CONNECT_FAILED:
        upstream_give_up(upstream);
        break;
    }
}

void upstream_start(struct upstream *upstream, struct target *target, const struct request *request,
                    const struct forward *forward)
{
    upstream->target = target;
    upstream->request = request;
    upstream->forward = forward;
    upstream->started = loop_now(upstream->loop);
    upstream->request_ended = request->body == BODY_NONE;
    upstream_open(upstream, false);
}

bool upstream_takes_body(const struct upstream *upstream)
{
    if (upstream->request_abandoned || failure_is_set(&upstream->failure))
        return true; /* discarded */
    if (upstream->request_half == UPSTREAM_REQUEST_HEAD)
        return upstream->connection && upstream->sent_bytes == 0 && upstream->out->end == upstream->head_bytes;
    return !upstream->out;
}

/* Puts bytes into `out`, which upstream_takes_body has promised room for. */
static bool upstream_keep(struct upstream *upstream, const char *data, size_t length)
{
    struct buffer *out = upstream->out;

    if (!out)
        out = upstream->out = buffer_take(&upstream->store->out);
    if (!out || buffer_room(out) < length) {
        upstream_fail(upstream, OUTCOME_INTERNAL, ENOMEM, NULL);
        return false;
    }
    memcpy(out->data + out->end, data, length);
    out->end += length;
    return true;
}

static void upstream_send_chunk(struct upstream *upstream, const char *data, size_t length)
{
    char head[CHUNK_HEAD_BYTES];
    size_t n = chunk_write_head(head, length);

    if (upstream_keep(upstream, head, n) && upstream_keep(upstream, data, length) && upstream_keep(upstream, "\r\n", 2))
        upstream_flush(upstream);
}

void upstream_send_body(struct upstream *upstream, const char *data, size_t length)
{
    size_t taken = 0;

    if (upstream->request_abandoned || failure_is_set(&upstream->failure) || length == 0)
        return;
    if (upstream->request->body == BODY_CHUNKED) {
        upstream_send_chunk(upstream, data, length);
        return;
    }
    /* A TLS library wants a write that did not succeed repeated from the same address: not the library's buffer, which
     * is gone by then. */
    if (upstream->out || upstream->connection->channel.tls) {
        if (upstream_keep(upstream, data, length))
            upstream_flush(upstream);
        return;
    }
    while (taken < length) {
        ssize_t n = upstream_push(upstream, data + taken, length - taken);

        if (n < 0)
            return;
        if (n == 0) {
            if (upstream_keep(upstream, data + taken, length - taken))
                upstream_watch(upstream, upstream->target->config->idle_timeout_ms);
            return;
        }
        taken += (size_t)n;
    }
    upstream_unwatch(upstream);
}

/* The last chunk, the trailer section and the empty line (RFC 9112 7.1.2). */
static bool upstream_end_chunks(struct upstream *upstream, const struct fields *trailers)
{
    size_t n;

    if (!upstream_keep(upstream, CHUNK_LAST, sizeof(CHUNK_LAST) - 1))
        return false;
    if (trailers) {
        n = trailers_write(trailers, upstream->out->data + upstream->out->end, buffer_room(upstream->out));
        if (n == SIZE_MAX) {
            upstream_fail(upstream, OUTCOME_HEADER_TOO_LARGE, 0, "no room for the trailers");
            return false;
        }
        upstream->out->end += n;
    }
    return upstream_keep(upstream, "\r\n", 2);
}

void upstream_end_body(struct upstream *upstream, const struct fields *trailers)
{
    if (upstream->request_ended)
        return;
    upstream->request_ended = true;
    if (upstream->request_abandoned || failure_is_set(&upstream->failure))
        return;
    if (upstream->request->body == BODY_CHUNKED && !upstream_end_chunks(upstream, trailers))
        return;
    upstream_flush(upstream);
}

bool upstream_has_switched(const struct upstream *upstream)
{
    return upstream->response_half == UPSTREAM_RESPONSE_SWITCHED && upstream->request_half == UPSTREAM_REQUEST_SENT;
}

struct connection *upstream_take_connection(struct upstream *upstream, struct text *ret_early)
{
    struct connection *connection = upstream->connection;

    timer_disarm(&upstream->timer);
    upstream->connection = NULL;
    *ret_early = (struct text){upstream->in->data + upstream->in->start, buffer_length(upstream->in)};
    return connection;
}
