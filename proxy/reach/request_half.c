#include "proxy/reach/request_half.h"

#include <errno.h>
#include <string.h>

#include "proxy/http/body.h"
#include "proxy/http/trailers.h"

const struct state_machine request_half_machine = {
    .name = "request half",
    .n_states = N_REQUEST_HALF_STATES,
    .states =
        {
            [REQUEST_HALF_IDLE] = {"IDLE", STATE_BIT(REQUEST_HALF_HEAD)},
            [REQUEST_HALF_HEAD] = {"HEAD", STATE_BIT(REQUEST_HALF_HEAD) | STATE_BIT(REQUEST_HALF_BODY) |
                                               STATE_BIT(REQUEST_HALF_ABANDONED)},
            [REQUEST_HALF_BODY] = {"BODY", STATE_BIT(REQUEST_HALF_HEAD) | STATE_BIT(REQUEST_HALF_SENT) |
                                               STATE_BIT(REQUEST_HALF_ABANDONED)},
            [REQUEST_HALF_SENT] = {"SENT", STATE_BIT(REQUEST_HALF_HEAD)},
            [REQUEST_HALF_ABANDONED] = {"ABANDONED", 0},
        },
};

static void request_half_move(struct request_half *half, enum request_half_state to)
{
    state_check(&request_half_machine, half->state, to);
    half->state = to;
}

static enum half_result request_half_fail(struct request_half *half, enum outcome outcome, int error_number,
                                          const char *reason)
{
    failure_note(half->failure, outcome, error_number, reason);
    return HALF_FAILED;
}

/* A head that has what a file holds leaves nothing of it behind. */
static void request_half_give(struct request_half *half)
{
    const struct forward_edit *edit = half->forward->edit;

    if (edit && edit->secret)
        explicit_bzero(half->out->data, half->out->end);
    buffer_give(half->store, half->out);
}

void request_half_drop(struct request_half *half)
{
    if (half->out)
        request_half_give(half);
    if (half->piped)
        pipe_give(half->pipes, half->piped);
    half->out = NULL;
    half->piped = NULL;
    half->chunk_bytes = 0;
    half->full = false;
}

void request_half_abandon(struct request_half *half)
{
    if (half->state == REQUEST_HALF_HEAD || half->state == REQUEST_HALF_BODY)
        request_half_move(half, REQUEST_HALF_ABANDONED);
    request_half_drop(half);
}

bool request_half_takes_body(const struct request_half *half, bool connected)
{
    if (half->state == REQUEST_HALF_ABANDONED)
        return true; /* discarded */
    return !half->full && (connected || half->state != REQUEST_HALF_HEAD);
}

/* ---- sending ---- */

/* The head, at the front of `out`. On a retry it may still be there, with a piece of body behind it. */
enum half_result request_half_begin(struct request_half *half)
{
    request_half_move(half, REQUEST_HALF_HEAD);
    half->sent_bytes = 0;
    half->full = false;
    if (half->out) {
        half->out->start = 0;
        return HALF_MORE;
    }
    half->out = buffer_take(half->store);
    if (!half->out)
        return request_half_fail(half, OUTCOME_INTERNAL, ENOMEM, NULL);
    half->out->end = forward_write(half->request, half->forward, half->out->data, half->out->size);
    half->head_bytes = half->out->end;
    if (half->head_bytes > 0)
        return HALF_MORE;
    return request_half_fail(half, OUTCOME_HEADER_TOO_LARGE, 0, "no room for the forwarded head");
}

void request_half_rest(struct request_half *half)
{
    struct buffer *narrow;

    /* The end of the chunks may be added to what a TLS library is writing: that must stay where it is. */
    if (!half->out || half->request->body == BODY_CHUNKED)
        return;
    narrow = buffer_narrow(half->out);
    if (!narrow)
        return;
    request_half_give(half);
    half->out = narrow;
}

/* What sending has returned: HALF_MORE when the target took something, or how it did not. */
static enum half_result request_half_has_sent(struct request_half *half, struct connection *connection, ssize_t n)
{
    if (n >= 0) {
        half->sent_bytes += (uint64_t)n;
        return HALF_MORE;
    }
    if (n != -EAGAIN) {
        half->error_number = (int)-n;
        return HALF_LOST;
    }
    if (connection_want_write(connection, true) < 0)
        return request_half_fail(half, OUTCOME_INTERNAL, ENOMEM, NULL);
    return HALF_WAIT;
}

/* Sends what it can: HALF_MORE with what the target took in *ret_n, or how it did not. */
static enum half_result request_half_push(struct request_half *half, struct connection *connection, const char *data,
                                          size_t length, size_t *ret_n)
{
    ssize_t n = channel_send(&connection->channel, data, length);

    if (n >= 0)
        *ret_n = (size_t)n;
    return request_half_has_sent(half, connection, n);
}

ssize_t request_half_splice(struct request_half *half, struct pipe_store *pipes, int fd, size_t most)
{
    struct pipe *pipe;
    ssize_t n;

    if (half->state != REQUEST_HALF_BODY || half->out || half->piped)
        return -EOPNOTSUPP;
    pipe = pipe_take(pipes);
    if (!pipe)
        return -EOPNOTSUPP;
    n = pipe_fill(pipe, fd, most);
    if (n > 0) {
        half->pipes = pipes;
        half->piped = pipe;
        return n;
    }
    pipe_give(pipes, pipe);
    /* A kernel or a sandbox without splice(2) for these. */
    return n == -EINVAL || n == -ENOSYS || n == -EPERM ? -EOPNOTSUPP : n;
}

enum half_result request_half_flush(struct request_half *half, struct connection *connection)
{
    struct buffer *out = half->out;

    while (half->piped && half->piped->bytes > 0) {
        enum half_result result =
            request_half_has_sent(half, connection, pipe_drain(half->piped, connection->channel.fd));

        half->full = result == HALF_WAIT;
        if (result != HALF_MORE)
            return result;
    }
    while (out && buffer_length(out) > 0) {
        size_t n = 0;
        enum half_result result = request_half_push(half, connection, out->data + out->start, buffer_length(out), &n);

        half->full = result == HALF_WAIT;
        if (result != HALF_MORE)
            return result;
        out->start += n;
    }
    request_half_drop(half);
    if (half->state == REQUEST_HALF_HEAD)
        request_half_move(half, REQUEST_HALF_BODY);
    if (!half->ended)
        return HALF_MORE;
    request_half_move(half, REQUEST_HALF_SENT);
    return HALF_DONE;
}

/* Makes room for so much in `out`, which request_half_takes_body has promised; what has rested moves. */
static bool request_half_make_room(struct request_half *half, size_t length)
{
    struct buffer *out = half->out, *whole;

    if (out && buffer_room(out) >= length)
        return true;
    whole = out && out->size >= half->store->size ? NULL : buffer_take(half->store);
    if (whole && out) {
        memcpy(whole->data, out->data, out->end);
        whole->start = out->start;
        whole->end = out->end;
        request_half_give(half);
    }
    if (whole)
        half->out = whole;
    if (whole && buffer_room(whole) >= length)
        return true;
    request_half_fail(half, OUTCOME_INTERNAL, ENOMEM, NULL);
    return false;
}

/* Puts bytes into `out`. */
static bool request_half_keep(struct request_half *half, const char *data, size_t length)
{
    struct buffer *out;

    if (!request_half_make_room(half, length))
        return false;
    out = half->out;
    memcpy(out->data + out->end, data, length);
    out->end += length;
    return true;
}

/* Adds a piece to the chunk that `out` ends with, or begins one. What is there is whole chunks at any time. */
static bool request_half_gather(struct request_half *half, const char *data, size_t length)
{
    char head[CHUNK_HEAD_BYTES];
    size_t had = half->chunk_bytes, had_head = had > 0 ? chunk_write_head(head, had) : 0;
    size_t n_head = chunk_write_head(head, had + length);
    struct buffer *out = half->out;
    char *chunk;

    if (!out)
        out = half->out = buffer_take(half->store);
    if (!out || buffer_room(out) < n_head + length + 2) {
        request_half_fail(half, OUTCOME_INTERNAL, ENOMEM, NULL);
        return false;
    }
    if (had > 0)
        out->end -= had_head + had + 2;
    chunk = out->data + out->end;
    if (n_head != had_head)
        memmove(chunk + n_head, chunk + had_head, had);
    memcpy(chunk, head, n_head);
    memcpy(chunk + n_head + had, data, length);
    memcpy(chunk + n_head + had + length, "\r\n", 2);
    out->end += n_head + had + length + 2;
    half->chunk_bytes = had + length;
    return true;
}

static enum half_result request_half_send_chunk(struct request_half *half, struct connection *connection,
                                                const char *data, size_t length)
{
    if (!request_half_gather(half, data, length))
        return HALF_FAILED;
    if (half->out->end < half->head_bytes + REQUEST_HALF_GATHER_BYTES)
        return HALF_MORE;
    return request_half_flush(half, connection);
}

/* Sends what waits and the piece behind it in one call. While the head has not been sent whole it may have to be sent
 * again, over another connection: then all of the piece is kept. */
static enum half_result request_half_send_behind(struct request_half *half, struct connection *connection,
                                                 const char *data, size_t length)
{
    struct buffer *out = half->out;
    size_t waiting = buffer_length(out), taken;
    ssize_t n = channel_send_parts(&connection->channel, out->data + out->start, waiting, data, length);
    enum half_result result = request_half_has_sent(half, connection, n);

    taken = n > (ssize_t)waiting ? (size_t)n - waiting : 0;
    out->start += n > 0 ? (size_t)n - taken : 0;
    half->full = result == HALF_WAIT;
    if (taken < length && !request_half_keep(half, data + taken, length - taken))
        return HALF_FAILED;
    return result == HALF_MORE ? request_half_flush(half, connection) : result;
}

/* Whether a piece waits for what is soon to come: all of it fits behind the head, to leave in one call. */
static bool request_half_awaits_company(const struct request_half *half, size_t length, uint64_t company)
{
    return company > 0 && half->state == REQUEST_HALF_HEAD && half->out && company <= REQUEST_HALF_GATHER_BYTES &&
           length + company <= buffer_room(half->out);
}

/* What the target does not take of a piece, to which nothing will be added. */
static enum half_result request_half_keep_rest(struct request_half *half, const char *data, size_t length)
{
    half->out = buffer_of(data, length);
    return half->out ? HALF_WAIT : request_half_fail(half, OUTCOME_INTERNAL, ENOMEM, NULL);
}

enum half_result request_half_send(struct request_half *half, struct connection *connection, const char *data,
                                   size_t length, uint64_t company)
{
    size_t taken = 0;

    if (half->request->body == BODY_CHUNKED)
        return request_half_send_chunk(half, connection, data, length);
    if (request_half_awaits_company(half, length, company))
        return request_half_keep(half, data, length) ? HALF_MORE : HALF_FAILED;
    /* A TLS library wants a write that did not succeed repeated from the same address: not the library's buffer, which
     * is gone by then. */
    if (connection->channel.tls)
        return request_half_keep(half, data, length) ? request_half_flush(half, connection) : HALF_FAILED;
    if (half->out)
        return request_half_send_behind(half, connection, data, length);
    while (taken < length) {
        size_t n = 0;
        enum half_result result = request_half_push(half, connection, data + taken, length - taken, &n);

        half->full = result == HALF_WAIT;
        if (half->full)
            return request_half_keep_rest(half, data + taken, length - taken);
        if (result != HALF_MORE)
            return result;
        taken += n;
    }
    return HALF_MORE;
}

/* The last chunk, the trailer section and the empty line (RFC 9112 7.1.2). */
static bool request_half_end_chunks(struct request_half *half, const struct fields *trailers)
{
    size_t n;

    if (!request_half_keep(half, CHUNK_LAST, sizeof(CHUNK_LAST) - 1))
        return false;
    if (trailers) {
        n = trailers_write(trailers, half->out->data + half->out->end, buffer_room(half->out));
        if (n == SIZE_MAX) {
            request_half_fail(half, OUTCOME_HEADER_TOO_LARGE, 0, "no room for the trailers");
            return false;
        }
        half->out->end += n;
    }
    return request_half_keep(half, "\r\n", 2);
}

enum half_result request_half_end(struct request_half *half, const struct fields *trailers)
{
    half->ended = true;
    if (half->state == REQUEST_HALF_ABANDONED || half->request->body != BODY_CHUNKED)
        return HALF_MORE;
    return request_half_end_chunks(half, trailers) ? HALF_MORE : HALF_FAILED;
}
