/* The halves of a tunnel, and what epoll has said of its ends. Private to tunnel*.c. */
#ifndef PORTHOLE_TUNNEL_TUNNEL_HALF_H
#define PORTHOLE_TUNNEL_TUNNEL_HALF_H

#include "proxy/tunnel/tunnel.h"

#define TUNNEL_BLOCK_BYTES (64u * 1024)

enum tunnel_side { TUNNEL_CLIENT, TUNNEL_TARGET, N_SIDES };

/* One end. What epoll has said of it and system calls have not contradicted. */
struct tunnel_end {
    bool readable, writable;
    bool gone; /* it has closed both ways: what is still to be given to it is for nobody */
};

/* What an end says, on its way to the other end. */
struct tunnel_half {
    struct buffer *kept; /* owned: received and not yet taken; NULL when there is nothing */
    struct pipe *piped;  /* owned: the same, in bulk */
    bool bulk;           /* the last block was full: more is moved at once, and without a copy */
    bool ended;          /* nothing more will be received */
    bool closed;         /* and the taker has been told so; or it takes no more */
    uint64_t bytes;      /* taken */
};

struct tunnel {
    struct tunnels *tunnels;
    struct list link;            /* in tunnels.list */
    struct list ready;           /* in tunnels.ready, or alone */
    struct tunnel_client client; /* its generation is a reference here */
    struct source source;        /* the client's */
    struct target *target;
    struct ticket ticket;          /* while connecting */
    struct connection *connection; /* NULL while connecting */
    struct timer timer;
    bool spliceable;      /* both ends are Unix sockets; with TCP, splice(2) costs more than it saves */
    struct instant moved; /* the last bytes, either way */
    struct tunnel_end ends[N_SIDES];
    struct tunnel_half halves[N_SIDES]; /* by the side that speaks */
    enum outcome outcome;
    char *reason;         /* owned; of a failure to connect, else NULL */
    struct record record; /* its texts are in `texts` */
    char texts[];
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

/* Gives up what is held. */
void half_drop(struct tunnel *tunnel, struct tunnel_half *half);
/* Moves what one end says, a few blocks at most, its end of file included. */
void half_move(struct tunnel *tunnel, enum tunnel_side from);
/* Whether half_move would do something at once. */
bool half_has_more(const struct tunnel *tunnel, enum tunnel_side from);
/* If this end has gone and all it said was given: what is still to be given to it is for nobody. */
void half_bury(struct tunnel *tunnel, enum tunnel_side gone);

#endif
