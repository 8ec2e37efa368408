/* The response half of an upstream: strict parsing, and a body that is pulled. */
#include <errno.h>
#include <string.h>

#include "proxy/http/upgrade.h"
#include "proxy/reach/upstream.h"
#include "proxy/reach/upstream_half.h"

#define MOST_INTERIM 64

static void upstream_bad(struct upstream *upstream, const char *why)
{
    upstream_fail(upstream, OUTCOME_BAD_RESPONSE, 0, why);
}

/* ---- the body ---- */

static void upstream_complete(struct upstream *upstream)
{
    upstream->response_half = UPSTREAM_RESPONSE_COMPLETE;
    upstream_finish(upstream);
}

/* Bytes after the end of a message: the target and we disagree about where it ended. */
static void upstream_complete_with_rest(struct upstream *upstream, size_t rest)
{
    if (rest > 0)
        upstream->response.reusable = false;
    upstream_complete(upstream);
}

/* Keeps a piece of the trailer section for a client that wants it. The decoder bounds the whole. */
static bool upstream_keep_trailers(struct upstream *upstream, struct text piece)
{
    if (!upstream->request->trailers || piece.length == 0)
        return true;
    if (!upstream->trailers)
        upstream->trailers = buffer_take(&upstream->store->in);
    if (!upstream->trailers || buffer_room(upstream->trailers) < piece.length)
        return false;
    memcpy(upstream->trailers->data + upstream->trailers->end, piece.data, piece.length);
    upstream->trailers->end += piece.length;
    return true;
}

struct text upstream_trailers(const struct upstream *upstream)
{
    if (!upstream->trailers)
        return (struct text){NULL, 0};
    return (struct text){upstream->trailers->data, upstream->trailers->end};
}

/* Whether there is a trailer field, not only the empty line. */
static bool upstream_has_trailers(const struct upstream *upstream)
{
    return upstream->trailers && upstream->trailers->end > 2;
}

/* Decodes chunks in place: payload moves down to `to`, which is never after the input. Returns the payload's
 * length, or UPSTREAM_CUT when they are malformed. */
static ssize_t upstream_unchunk(struct upstream *upstream, char *to, struct text in, size_t *ret_used)
{
    size_t length = 0, used_in_all = 0;

    for (;;) {
        struct text data = {NULL, 0};
        size_t used = 0;
        enum chunked_result result = chunked_decode(&upstream->chunked, in, &used, &data);

        if (result == CHUNKED_BAD || (result == CHUNKED_TRAILER && !upstream_keep_trailers(upstream, data)))
            return UPSTREAM_CUT;
        if (result == CHUNKED_DATA) {
            memmove(to + length, data.data, data.length);
            length += data.length;
        }
        used_in_all += used;
        in = (struct text){in.data + used, in.length - used};
        if (result == CHUNKED_DATA || result == CHUNKED_TRAILER)
            continue;
        *ret_used = used_in_all;
        if (result == CHUNKED_END)
            upstream_complete_with_rest(upstream, in.length);
        return (ssize_t)length;
    }
}

static ssize_t upstream_body_broke(struct upstream *upstream, int error_number)
{
    upstream_fail(upstream, OUTCOME_TARGET_TRUNCATED, error_number, channel_reason(&upstream->connection->channel));
    return UPSTREAM_CUT;
}

static void upstream_body_waits(struct upstream *upstream)
{
    upstream->body_awaited = true;
    upstream_watch(upstream, upstream->target->config->idle_timeout_ms);
}

/* Takes up to size bytes that arrived with the head. */
static size_t upstream_from_buffer(struct upstream *upstream, char *data, size_t size)
{
    size_t n = buffer_length(upstream->in);

    if (n > size)
        n = size;
    memcpy(data, upstream->in->data + upstream->in->start, n);
    upstream->in->start += n;
    return n;
}

/* The last piece of a body of known length: one byte more is asked for, so that a target that says too much is found
 * out now and not as the beginning of the next exchange's response. */
static ssize_t upstream_receive_last(struct upstream *upstream, char *data, size_t length)
{
    struct channel *channel = &upstream->connection->channel;
    char extra;
    ssize_t n = channel_recv_parts(channel, data, length, &extra, 1);

    if (n > 0 && (size_t)n > length) {
        upstream->response.reusable = false;
        n = (ssize_t)length;
    }
    return n;
}

static ssize_t upstream_read_length(struct upstream *upstream, char *data, size_t size)
{
    ssize_t n;

    if (upstream->remaining_bytes == 0)
        return UPSTREAM_END;
    if (buffer_length(upstream->in) > 0) {
        n = (ssize_t)upstream_from_buffer(upstream, data,
                                          size < upstream->remaining_bytes ? size : (size_t)upstream->remaining_bytes);
    } else {
        n = size >= upstream->remaining_bytes ? upstream_receive_last(upstream, data, (size_t)upstream->remaining_bytes)
                                              : channel_recv(&upstream->connection->channel, data, size);
        if (n == -EAGAIN) {
            upstream_body_waits(upstream);
            return UPSTREAM_WAIT;
        }
        if (n <= 0)
            return upstream_body_broke(upstream, (int)-n);
    }
    upstream->remaining_bytes -= (uint64_t)n;
    if (upstream->remaining_bytes == 0)
        upstream_complete_with_rest(upstream, buffer_length(upstream->in));
    return n;
}

static ssize_t upstream_read_chunked(struct upstream *upstream, char *data, size_t size)
{
    /* What came with the head is decoded already (upstream_gather_body). */
    if (buffer_length(upstream->in) > 0)
        return (ssize_t)upstream_from_buffer(upstream, data, size);
    for (;;) {
        size_t used;
        ssize_t n = channel_recv(&upstream->connection->channel, data, size);

        if (n == -EAGAIN) {
            upstream_body_waits(upstream);
            return UPSTREAM_WAIT;
        }
        if (n <= 0)
            return upstream_body_broke(upstream, (int)-n);
        n = upstream_unchunk(upstream, data, (struct text){data, (size_t)n}, &used);
        if (n < 0)
            upstream_fail(upstream, OUTCOME_TARGET_TRUNCATED, 0, "malformed chunk");
        if (n != 0)
            return n;
        if (upstream->response_half == UPSTREAM_RESPONSE_COMPLETE)
            return UPSTREAM_END;
    }
}

static ssize_t upstream_read_until_close(struct upstream *upstream, char *data, size_t size)
{
    ssize_t n;

    if (buffer_length(upstream->in) > 0)
        return (ssize_t)upstream_from_buffer(upstream, data, size);
    n = channel_recv(&upstream->connection->channel, data, size);
    if (n == -EAGAIN) {
        upstream_body_waits(upstream);
        return UPSTREAM_WAIT;
    }
    if (n < 0)
        return upstream_body_broke(upstream, (int)-n);
    if (n > 0)
        return n;
    upstream_complete(upstream);
    return UPSTREAM_END;
}

ssize_t upstream_read(struct upstream *upstream, char *data, size_t size)
{
    ssize_t n;

    if (failure_is_set(&upstream->failure))
        return UPSTREAM_CUT;
    if (upstream->response_half == UPSTREAM_RESPONSE_COMPLETE) {
        /* A chunked body that came with its head, but could not leave with it because of its trailers. */
        if (upstream_has_trailers(upstream) && buffer_length(upstream->in) > 0)
            return (ssize_t)upstream_from_buffer(upstream, data, size);
        return UPSTREAM_END;
    }
    timer_disarm(&upstream->timer);
    upstream->body_awaited = false;
    switch (upstream->response.body) {
    case BODY_LENGTH:
        n = upstream_read_length(upstream, data, size);
        break;
    case BODY_CHUNKED:
        n = upstream_read_chunked(upstream, data, size);
        break;
    case BODY_UNTIL_CLOSE:
        n = upstream_read_until_close(upstream, data, size);
        break;
    default:
        n = UPSTREAM_END;
    }
    return n;
}

/* ---- the head ---- */

/* Receives what fits behind what is there. False when nothing came (the rest has been dealt with). */
static bool upstream_fill(struct upstream *upstream)
{
    struct buffer *in = upstream->in;
    ssize_t n = channel_recv(&upstream->connection->channel, in->data + in->end, buffer_room(in));

    if (n > 0) {
        in->end += (size_t)n;
        upstream->got_bytes = true;
        return true;
    }
    if (n == -EAGAIN)
        return false;
    if (n == 0 && buffer_length(in) > 0)
        upstream_bad(upstream, "the connection ended inside the response head");
    else
        upstream_lost(upstream, (int)-n);
    return false;
}

static bool upstream_body_is_small(const struct upstream *upstream)
{
    return upstream->response.body == BODY_LENGTH &&
           upstream->remaining_bytes <= upstream->in->size - upstream->in->start;
}

/* Keeps a body that is short enough in the buffer, where it can leave together with the head. Whatever has not arrived
 * yet is asked for once; a target that is not done by then is streamed. */
static void upstream_gather_body(struct upstream *upstream)
{
    struct buffer *in = upstream->in;
    size_t used;
    ssize_t n;

    if (upstream->response.body == BODY_CHUNKED && buffer_length(in) > 0) {
        char *body = in->data + in->start;

        n = upstream_unchunk(upstream, body, (struct text){body, buffer_length(in)}, &used);
        if (n < 0) {
            upstream_bad(upstream, "malformed chunk");
            return;
        }
        in->end = in->start + (size_t)n;
        upstream->body_in_buffer =
            upstream->response_half == UPSTREAM_RESPONSE_COMPLETE && !upstream_has_trailers(upstream);
        return;
    }
    if (!upstream_body_is_small(upstream))
        return;
    if (buffer_length(in) < upstream->remaining_bytes && buffer_room(in) > 0) {
        n = channel_recv(&upstream->connection->channel, in->data + in->end, buffer_room(in));
        if (n > 0)
            in->end += (size_t)n;
    }
    if (buffer_length(in) < upstream->remaining_bytes)
        return;
    upstream->body_in_buffer = true;
    used = buffer_length(in) - (size_t)upstream->remaining_bytes;
    in->end -= used;
    upstream_complete_with_rest(upstream, used);
}

static void upstream_head_done(struct upstream *upstream, size_t head_bytes)
{
    upstream->in->start += head_bytes;
    upstream->answered = loop_now(upstream->loop);
    upstream->response_half = UPSTREAM_RESPONSE_BODY;
    /* An early answer of a target that has stopped reading: its deadline goes on, or nothing would end the exchange. */
    if (upstream->out)
        upstream_body_waits(upstream);
    else
        timer_disarm(&upstream->timer);
    if (upstream->response.body == BODY_NONE) {
        upstream->body_in_buffer = true;
        upstream_complete_with_rest(upstream, buffer_length(upstream->in));
        upstream->in->end = upstream->in->start;
        return;
    }
    upstream->remaining_bytes = upstream->response.body == BODY_LENGTH ? upstream->response.content_length : 0;
    upstream_gather_body(upstream);
}

/* An interim response (RFC 9110 15.2): 100 is news for a client that expects it, others are passed on. */
static void upstream_interim(struct upstream *upstream, size_t head_bytes)
{
    if (++upstream->n_interim > MOST_INTERIM) {
        upstream_bad(upstream, "too many interim responses");
        return;
    }
    upstream->in->start += head_bytes;
    upstream->scanned = 0;
    if (upstream->response.status == 100)
        upstream->continue_seen = true;
    else if (upstream->interim)
        upstream->interim(upstream);
}

/* 101 Switching Protocols (RFC 9110 7.8, 15.2.2). A request of which something is still to be sent keeps its deadline.
 */
static void upstream_switch(struct upstream *upstream, size_t head_bytes)
{
    char *const *allowed = upstream->forward->upgrade_allowed;

    if (!upgrade_is_offered(upstream->request, allowed)) {
        upstream_bad(upstream, "101 without a request to upgrade");
        return;
    }
    if (!upstream->response.upgrade || !upgrade_is_agreed(upstream->request, allowed, &upstream->response.fields)) {
        upstream_bad(upstream, "101 to a protocol that was not offered");
        return;
    }
    upstream->in->start += head_bytes;
    upstream->answered = loop_now(upstream->loop);
    upstream->response_half = UPSTREAM_RESPONSE_SWITCHED;
    if (!upstream->out)
        timer_disarm(&upstream->timer);
}

/* Parses what is there. True when more bytes are needed. */
static bool upstream_parse(struct upstream *upstream)
{
    struct buffer *in = upstream->in;

    while (!failure_is_set(&upstream->failure)) {
        const char *why = NULL;
        size_t used = 0;

        upstream->response.fields = (struct fields){.items = upstream->field_items, .capacity = UPSTREAM_MOST_FIELDS};
        switch (response_parse(in->data + in->start, buffer_length(in), &upstream->scanned, upstream->request->is_head,
                               &upstream->response, &used, &why)) {
        case RESPONSE_MORE:
            buffer_compact(in);
            if (buffer_room(in) == 0)
                upstream_bad(upstream, "the response head is too large");
            return !failure_is_set(&upstream->failure);
        case RESPONSE_BAD:
            upstream_bad(upstream, why);
            return false;
        case RESPONSE_DONE:
            break;
        }
        if (upstream->response.status >= 200) {
            upstream_head_done(upstream, used);
            return false;
        }
        if (upstream->response.status == 101) {
            upstream_switch(upstream, used);
            return false;
        }
        upstream_interim(upstream, used);
        if (buffer_length(in) == 0) {
            buffer_compact(in);
            return !failure_is_set(&upstream->failure);
        }
    }
    return false;
}

void upstream_receive_head(struct upstream *upstream)
{
    if (!upstream->in)
        upstream->in = buffer_take(&upstream->store->in);
    if (!upstream->in) {
        upstream_fail(upstream, OUTCOME_INTERNAL, ENOMEM, NULL);
        return;
    }
    /* Edge-triggered: read until there is nothing left or the head is there. */
    while (upstream->connection && upstream->response_half == UPSTREAM_RESPONSE_AWAITED) {
        if (!upstream_fill(upstream))
            return;
        if (!upstream_parse(upstream))
            return;
    }
}

bool upstream_has_response(const struct upstream *upstream)
{
    return upstream->response_half >= UPSTREAM_RESPONSE_BODY;
}
