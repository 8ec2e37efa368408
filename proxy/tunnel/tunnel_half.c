#include "proxy/tunnel/tunnel_half.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

/* Then the next tunnel has its turn. */
#define STEPS_PER_TURN 16 /* of receiving or sending a block */
#define BYTES_PER_TURN (2 * TUNNEL_BLOCK_BYTES)

/* ---- ends ---- */

static ssize_t tunnel_recv(struct tunnel_pair *pair, enum tunnel_side side, void *data, size_t size)
{
    ssize_t n;

    if (side == TUNNEL_TARGET)
        return channel_recv(&pair->connection->channel, data, size);
    do
        n = recv(pair->client_fd, data, size, 0);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

static ssize_t tunnel_send(struct tunnel_pair *pair, enum tunnel_side side, const void *data, size_t length)
{
    ssize_t n;

    if (side == TUNNEL_TARGET)
        return channel_send(&pair->connection->channel, data, length);
    do
        n = send(pair->client_fd, data, length, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

static int tunnel_fd(const struct tunnel_pair *pair, enum tunnel_side side)
{
    return side == TUNNEL_CLIENT ? pair->client_fd : pair->connection->channel.fd;
}

/* Tells an end that nothing more will come. Below TLS this is an end of file without a close_notify: libcurl has no
 * half-close, and the other direction must stay open. */
static void tunnel_shut(const struct tunnel_pair *pair, enum tunnel_side side)
{
    shutdown(tunnel_fd(pair, side), SHUT_WR);
}

/* ---- halves ---- */

const struct state_machine half_machine = {
    .name = "half of a tunnel",
    .n_states = N_HALF_STATES,
    .states =
        {
            [HALF_FLOWING] = {"FLOWING", STATE_BIT(HALF_ENDED) | STATE_BIT(HALF_CLOSED)},
            [HALF_ENDED] = {"ENDED", STATE_BIT(HALF_CLOSED)},
            [HALF_CLOSED] = {"CLOSED", 0},
        },
};

void half_advance(struct tunnel_half *half, enum half_state to)
{
    state_check(&half_machine, half->state, to);
    half->state = to;
}

int half_keep(struct tunnel_pair *pair, enum tunnel_side from, struct text early)
{
    struct buffer *block;

    if (early.length == 0)
        return 0;
    block = buffer_take(pair->blocks);
    if (!block || buffer_room(block) < early.length) {
        buffer_give(pair->blocks, block);
        return -ENOMEM;
    }
    memcpy(block->data, early.data, early.length);
    block->end = early.length;
    pair->halves[from].kept = block;
    return 0;
}

void half_drop(struct tunnel_pair *pair, enum tunnel_side from)
{
    struct tunnel_half *half = &pair->halves[from];

    buffer_give(pair->blocks, half->kept);
    half->kept = NULL;
    pipe_give(pair->pipes, half->piped);
    half->piped = NULL;
}

/* The taker takes no more: what the speaker still says is not received any longer. */
static void half_break(struct tunnel_pair *pair, enum tunnel_side from)
{
    half_drop(pair, from);
    if (pair->halves[from].state != HALF_CLOSED)
        half_advance(&pair->halves[from], HALF_CLOSED);
}

static void tunnel_blame(struct tunnel_pair *pair, enum tunnel_side side)
{
    if (pair->outcome == OUTCOME_TUNNELED)
        pair->outcome = side == TUNNEL_CLIENT ? OUTCOME_CLIENT_GONE : OUTCOME_TARGET_RESET;
}

static ssize_t half_send(struct tunnel_pair *pair, struct tunnel_half *half, enum tunnel_side to)
{
    ssize_t n;

    if (half->piped)
        return pipe_drain(half->piped, tunnel_fd(pair, to));
    assert(half->kept);
    n = tunnel_send(pair, to, half->kept->data + half->kept->start, buffer_length(half->kept));
    if (n > 0)
        half->kept->start += (size_t)n;
    return n;
}

/* Gives the taker what is held. False when it cannot go on now. */
static bool half_give(struct tunnel_pair *pair, enum tunnel_side from)
{
    enum tunnel_side to = tunnel_other(from);
    struct tunnel_half *half = &pair->halves[from];
    ssize_t n;

    if (!pair->ends[to].writable)
        return false;
    n = half_send(pair, half, to);
    if (n == -EAGAIN) {
        pair->ends[to].writable = false;
        return false;
    }
    if (n < 0) {
        tunnel_blame(pair, to);
        half_break(pair, from);
        return false;
    }
    half->bytes += (uint64_t)n;
    if (half->piped ? half->piped->bytes == 0 : buffer_length(half->kept) == 0)
        half_drop(pair, from);
    return true;
}

/* Receives in bulk. -EAGAIN also where that cannot be done. */
static ssize_t half_splice(struct tunnel_pair *pair, enum tunnel_side from)
{
    struct tunnel_half *half = &pair->halves[from];
    ssize_t n = -EAGAIN;

    half->piped = pipe_take(pair->pipes);
    if (half->piped)
        n = pipe_fill(half->piped, tunnel_fd(pair, from), PIPE_BYTES);
    if (n <= 0) {
        pipe_give(pair->pipes, half->piped);
        half->piped = NULL;
    }
    half->bulk = n >= (ssize_t)TUNNEL_BLOCK_BYTES;
    /* A kernel or a sandbox without splice(2) for these. */
    if (n == -EINVAL || n == -ENOSYS || n == -EPERM) {
        pair->spliceable = false;
        n = -EAGAIN;
    }
    return n;
}

/* Receives a block. A short one does not mean that there is no more: a passed descriptor (unix(7)) or an urgent mark
 * (tcp(7)) ends a receive, too. */
static ssize_t half_recv(struct tunnel_pair *pair, enum tunnel_side from)
{
    struct tunnel_half *half = &pair->halves[from];
    struct buffer *block = buffer_take(pair->blocks);
    ssize_t n;

    if (!block)
        return -ENOMEM;
    n = tunnel_recv(pair, from, block->data, block->size);
    if (n <= 0) {
        buffer_give(pair->blocks, block);
        return n;
    }
    block->end = (size_t)n;
    half->kept = block;
    half->bulk = (size_t)n == block->size && pair->spliceable;
    return n;
}

/* Receives something. False when nothing came. */
static bool half_take(struct tunnel_pair *pair, enum tunnel_side from)
{
    struct tunnel_half *half = &pair->halves[from];
    ssize_t n = half->bulk ? half_splice(pair, from) : -EAGAIN;

    if (n == -EAGAIN)
        n = half_recv(pair, from);
    if (n > 0)
        return true;
    pair->ends[from].readable = false;
    if (n == -EAGAIN)
        return false;
    half_advance(half, HALF_ENDED);
    if (n == -ENOMEM) {
        pair->outcome = OUTCOME_INTERNAL;
        half_break(pair, from);
        half_break(pair, tunnel_other(from));
    } else if (n == 0) {
        pair->ends[from].ended = true;
    } else {
        pair->ends[from].gone = true;
        tunnel_blame(pair, from);
    }
    return true;
}

/* Moves what one end says, a few blocks at most. */
void half_move(struct tunnel_pair *pair, enum tunnel_side from)
{
    struct tunnel_half *half = &pair->halves[from];
    uint64_t most = half->bytes + BYTES_PER_TURN;

    for (int i = 0; i < STEPS_PER_TURN && half->bytes < most && half->state != HALF_CLOSED; i++) {
        if (half_holds(half) && !half_give(pair, from))
            return;
        if (half_holds(half))
            continue;
        if (half->state == HALF_ENDED) {
            tunnel_shut(pair, tunnel_other(from));
            half_advance(half, HALF_CLOSED);
        } else if (!pair->ends[from].readable || !half_take(pair, from)) {
            return;
        }
    }
}

/* What is still to be given to an end that has gone is for nobody. */
void half_bury(struct tunnel_pair *pair, enum tunnel_side gone)
{
    enum tunnel_side from = tunnel_other(gone);
    const struct tunnel_half *half = &pair->halves[from];

    if (!pair->ends[gone].gone || pair->halves[gone].state != HALF_CLOSED || half->state == HALF_CLOSED)
        return;
    if (half_holds(half))
        tunnel_blame(pair, gone);
    half_break(pair, from);
}

bool half_has_more(const struct tunnel_pair *pair, enum tunnel_side from)
{
    const struct tunnel_half *half = &pair->halves[from];

    if (half->state == HALF_CLOSED)
        return false;
    if (half_holds(half))
        return pair->ends[tunnel_other(from)].writable;
    return half->state == HALF_ENDED || pair->ends[from].readable;
}
