/* Bodies that go from socket to socket without a copy (splice(2)): what upstream_read and upstream_send_body are for
 * the others. */
#include <errno.h>

#include "proxy/reach/upstream.h"

static bool upstream_can_splice(const struct upstream *upstream)
{
    return upstream->connection && !upstream->connection->channel.tls;
}

bool upstream_is_unix(const struct upstream *upstream)
{
    return upstream->connection && endpoint_is_unix(endpoint_of(upstream->connection));
}

bool upstream_splices_body(const struct upstream *upstream)
{
    return upstream_can_splice(upstream) && !failure_is_set(&upstream->failure) &&
           upstream->request_half.state == REQUEST_HALF_BODY;
}

ssize_t upstream_splice_body(struct upstream *upstream, struct pipe_store *pipes, int fd, uint64_t most)
{
    struct request_half *half = &upstream->request_half;
    enum half_result result;
    ssize_t n = request_half_splice(half, pipes, fd, most < PIPE_BYTES ? (size_t)most : PIPE_BYTES);

    if (n <= 0)
        return n == -EAGAIN ? UPSTREAM_WAIT : n == -EOPNOTSUPP ? UPSTREAM_COPY : UPSTREAM_END;
    result = request_half_flush(half, upstream->connection);
    upstream_sent(upstream, result);
    return n;
}

uint64_t upstream_spliceable(const struct upstream *upstream)
{
    return upstream_can_splice(upstream) ? response_half_to_come(&upstream->response_half) : 0;
}

bool upstream_flows(const struct upstream *upstream)
{
    const struct response_half *half = &upstream->response_half;

    return upstream_can_splice(upstream) && half->state == RESPONSE_HALF_BODY && half->response.body != BODY_LENGTH;
}

ssize_t upstream_splice(struct upstream *upstream, struct pipe *pipe, uint64_t least_of_chunk)
{
    struct response_half *half = &upstream->response_half;

    if (failure_is_set(&upstream->failure))
        return UPSTREAM_CUT;
    if (half->state == RESPONSE_HALF_COMPLETE)
        return upstream_is_read(upstream) ? UPSTREAM_END : UPSTREAM_COPY;
    timer_disarm(&upstream->timer);
    upstream->body_awaited = false;
    return upstream_has_read(upstream,
                             response_half_splice(half, &upstream->connection->channel, pipe, least_of_chunk));
}
