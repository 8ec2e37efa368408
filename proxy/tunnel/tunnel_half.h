/* The two directions of a tunnel: what one end says is taken by the other, its end of file included.
 *
 *   a half:   FLOWING ----> ENDED -----------> CLOSED
 *                |  nothing    | what was held    ^ nothing more will move, and the taker knows
 *                |  more will  | has been given   |
 *                |  come       +------------------+
 *                +--------------------------------+ the taker takes no more, or there is no memory
 *
 * A half holds memory only while it has bytes that its taker has not taken. Nothing here knows whose tunnel it is. */
#ifndef PORTHOLE_TUNNEL_TUNNEL_HALF_H
#define PORTHOLE_TUNNEL_TUNNEL_HALF_H

#include "proxy/base/buffer.h"
#include "proxy/base/pipe.h"
#include "proxy/base/state.h"
#include "proxy/base/text.h"
#include "proxy/reach/pool.h"
#include "proxy/report/outcome.h"

#define TUNNEL_BLOCK_BYTES (64u * 1024)

enum tunnel_side { TUNNEL_CLIENT, TUNNEL_TARGET, N_SIDES };

enum half_state { HALF_FLOWING, HALF_ENDED, HALF_CLOSED, N_HALF_STATES };

extern const struct state_machine half_machine;

/* One end. What epoll has said of it and system calls have not contradicted. */
struct tunnel_end {
    bool readable, writable;
    bool ended;  /* it has said that nothing more will come */
    bool gone;   /* it has closed both ways: what is still to be given to it is for nobody */
    bool broken; /* and not in good order */
};

/* What an end says, on its way to the other end. */
struct tunnel_half {
    struct buffer *kept; /* owned: received and not yet taken; NULL when there is nothing */
    struct pipe *piped;  /* owned: the same, in bulk */
    enum half_state state;
    bool bulk;      /* the last block was full: more is moved at once, and without a copy */
    uint64_t bytes; /* taken */
};

/* Both ends and what goes between them. Embedded in its tunnel; what is borrowed outlives it. */
struct tunnel_pair {
    struct buffer_store *blocks; /* borrowed, like the next */
    struct pipe_store *pipes;
    int client_fd;                 /* borrowed */
    struct connection *connection; /* the target's; NULL while connecting */
    bool spliceable;               /* both ends are Unix sockets; with TCP, splice(2) costs more than it saves */
    enum outcome outcome;          /* OUTCOME_TUNNELED as long as nothing has gone wrong */
    struct tunnel_end ends[N_SIDES];
    struct tunnel_half halves[N_SIDES]; /* by the side that speaks */
};

static inline enum tunnel_side tunnel_other(enum tunnel_side side)
{
    return side == TUNNEL_CLIENT ? TUNNEL_TARGET : TUNNEL_CLIENT;
}

/* Whether something was received that the taker has not taken. */
static inline bool half_holds(const struct tunnel_half *half)
{
    return half->kept || half->piped;
}

/* Whether nothing will ever move again. */
static inline bool pair_is_over(const struct tunnel_pair *pair)
{
    return pair->halves[TUNNEL_CLIENT].state == HALF_CLOSED && pair->halves[TUNNEL_TARGET].state == HALF_CLOSED;
}

/* Goes on to another state. */
void half_advance(struct tunnel_half *half, enum half_state to);
/* Keeps what an end has said before the tunnel began: at most a block, copied. 0 or -ENOMEM. */
int half_keep(struct tunnel_pair *pair, enum tunnel_side from, struct text early) WARN_UNUSED;
/* Gives up what is held. */
void half_drop(struct tunnel_pair *pair, enum tunnel_side from);
/* Moves what one end says, a few blocks at most, its end of file included. */
void half_move(struct tunnel_pair *pair, enum tunnel_side from);
/* Whether half_move would do something at once. */
bool half_has_more(const struct tunnel_pair *pair, enum tunnel_side from);
/* If this end has gone and all it said was given: what is still to be given to it is for nobody. */
void half_bury(struct tunnel_pair *pair, enum tunnel_side gone);

#endif
