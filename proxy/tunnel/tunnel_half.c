#include "proxy/tunnel/tunnel_half.h"

#include <assert.h>
#include <errno.h>
#include <sys/socket.h>

#define STEPS_PER_TURN 16 /* of receiving or sending a block; then the next tunnel has its turn */

/* ---- ends ---- */

static ssize_t tunnel_recv(struct tunnel *tunnel, enum tunnel_side side, void *data, size_t size)
{
    ssize_t n;

    if (side == TUNNEL_TARGET)
        return channel_recv(&tunnel->connection->channel, data, size);
    do
        n = recv(tunnel->client.fd, data, size, 0);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

static ssize_t tunnel_send(struct tunnel *tunnel, enum tunnel_side side, const void *data, size_t length)
{
    ssize_t n;

    if (side == TUNNEL_TARGET)
        return channel_send(&tunnel->connection->channel, data, length);
    do
        n = send(tunnel->client.fd, data, length, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

static int tunnel_fd(const struct tunnel *tunnel, enum tunnel_side side)
{
    return side == TUNNEL_CLIENT ? tunnel->client.fd : tunnel->connection->channel.fd;
}

/* Tells an end that nothing more will come. Below TLS this is an end of file without a close_notify: libcurl has no
 * half-close, and the other direction must stay open. */
static void tunnel_shut(const struct tunnel *tunnel, enum tunnel_side side)
{
    shutdown(tunnel_fd(tunnel, side), SHUT_WR);
}

/* ---- halves ---- */

void half_drop(struct tunnel *tunnel, struct tunnel_half *half)
{
    buffer_give(&tunnel->tunnels->blocks, half->kept);
    half->kept = NULL;
    pipe_give(&tunnel->tunnels->pipes, half->piped);
    half->piped = NULL;
}

/* The taker takes no more: what the speaker still says is not received any longer. */
static void half_break(struct tunnel *tunnel, struct tunnel_half *half)
{
    half_drop(tunnel, half);
    half->ended = half->closed = true;
}

static void tunnel_blame(struct tunnel *tunnel, enum tunnel_side side)
{
    if (tunnel->outcome == OUTCOME_TUNNELED)
        tunnel->outcome = side == TUNNEL_CLIENT ? OUTCOME_CLIENT_GONE : OUTCOME_TARGET_RESET;
}

static ssize_t half_send(struct tunnel *tunnel, struct tunnel_half *half, enum tunnel_side to)
{
    ssize_t n;

    if (half->piped)
        return pipe_drain(half->piped, tunnel_fd(tunnel, to));
    assert(half->kept);
    n = tunnel_send(tunnel, to, half->kept->data + half->kept->start, buffer_length(half->kept));
    if (n > 0)
        half->kept->start += (size_t)n;
    return n;
}

/* Gives the taker what is held. False when it cannot go on now. */
static bool half_give(struct tunnel *tunnel, enum tunnel_side from)
{
    enum tunnel_side to = tunnel_other(from);
    struct tunnel_half *half = &tunnel->halves[from];
    struct metrics *metrics = tunnel->tunnels->recorder->metrics;
    ssize_t n;

    if (!tunnel->ends[to].writable)
        return false;
    n = half_send(tunnel, half, to);
    if (n == -EAGAIN) {
        tunnel->ends[to].writable = false;
        return false;
    }
    if (n < 0) {
        tunnel_blame(tunnel, to);
        half_break(tunnel, half);
        return false;
    }
    half->bytes += (uint64_t)n;
    counter_add(from == TUNNEL_CLIENT ? &metrics->tunnel_received_bytes : &metrics->tunnel_sent_bytes, (uint64_t)n);
    if (half->piped ? half->piped->bytes == 0 : buffer_length(half->kept) == 0)
        half_drop(tunnel, half);
    return true;
}

/* Receives in bulk. -EAGAIN also where that cannot be done. */
static ssize_t half_splice(struct tunnel *tunnel, enum tunnel_side from)
{
    struct tunnel_half *half = &tunnel->halves[from];
    ssize_t n = -EAGAIN;

    half->piped = pipe_take(&tunnel->tunnels->pipes);
    if (half->piped)
        n = pipe_fill(half->piped, tunnel_fd(tunnel, from));
    if (n <= 0) {
        pipe_give(&tunnel->tunnels->pipes, half->piped);
        half->piped = NULL;
    }
    half->bulk = n >= (ssize_t)TUNNEL_BLOCK_BYTES;
    /* A kernel or a sandbox without splice(2) for these. */
    if (n == -EINVAL || n == -ENOSYS || n == -EPERM) {
        tunnel->spliceable = false;
        n = -EAGAIN;
    }
    return n;
}

/* Receives a block. A short one does not mean that there is no more: a passed descriptor (unix(7)) or an urgent mark
 * (tcp(7)) ends a receive, too. */
static ssize_t half_recv(struct tunnel *tunnel, enum tunnel_side from)
{
    struct tunnel_half *half = &tunnel->halves[from];
    struct buffer *block = buffer_take(&tunnel->tunnels->blocks);
    ssize_t n;

    if (!block)
        return -ENOMEM;
    n = tunnel_recv(tunnel, from, block->data, block->size);
    if (n <= 0) {
        buffer_give(&tunnel->tunnels->blocks, block);
        return n;
    }
    block->end = (size_t)n;
    half->kept = block;
    half->bulk = (size_t)n == block->size && tunnel->spliceable;
    return n;
}

/* Receives something. False when nothing came. */
static bool half_take(struct tunnel *tunnel, enum tunnel_side from)
{
    struct tunnel_half *half = &tunnel->halves[from];
    ssize_t n = half->bulk ? half_splice(tunnel, from) : -EAGAIN;

    if (n == -EAGAIN)
        n = half_recv(tunnel, from);
    if (n > 0)
        return true;
    tunnel->ends[from].readable = false;
    if (n == -EAGAIN)
        return false;
    half->ended = true;
    if (n == -ENOMEM) {
        tunnel->outcome = OUTCOME_INTERNAL;
        half_break(tunnel, half);
        half_break(tunnel, &tunnel->halves[tunnel_other(from)]);
    } else if (n < 0) {
        tunnel->ends[from].gone = true;
        tunnel_blame(tunnel, from);
    }
    return true;
}

/* Moves what one end says, a few blocks at most. */
void half_move(struct tunnel *tunnel, enum tunnel_side from)
{
    struct tunnel_half *half = &tunnel->halves[from];

    for (int i = 0; i < STEPS_PER_TURN && !half->closed; i++) {
        if (half_holds(half) && !half_give(tunnel, from))
            return;
        if (half_holds(half))
            continue;
        if (half->ended) {
            tunnel_shut(tunnel, tunnel_other(from));
            half->closed = true;
        } else if (!tunnel->ends[from].readable || !half_take(tunnel, from)) {
            return;
        }
    }
}

/* What is still to be given to an end that has gone is for nobody. */
void half_bury(struct tunnel *tunnel, enum tunnel_side gone)
{
    struct tunnel_half *half = &tunnel->halves[tunnel_other(gone)];

    if (!tunnel->ends[gone].gone || !tunnel->halves[gone].closed || half->closed)
        return;
    if (half_holds(half))
        tunnel_blame(tunnel, gone);
    half_break(tunnel, half);
}

bool half_has_more(const struct tunnel *tunnel, enum tunnel_side from)
{
    const struct tunnel_half *half = &tunnel->halves[from];

    if (half->closed)
        return false;
    if (half_holds(half))
        return tunnel->ends[tunnel_other(from)].writable;
    return half->ended || tunnel->ends[from].readable;
}
