/* Tunnels: bytes after HTTP (101 Switching Protocols, RFC 9110 7.8), and the connections of stream listeners.
 *
 *   CONNECTING ----> OPEN ----------------> OVER     both halves closed, idle for too long, broken, or cut
 *     |  |             |                     ^
 *     |  |             +----> PARTING -------+       both halves closed, but an end may still be sending over TCP
 *     |  +---> FAILED -----------------------+       nobody to connect to: over in its next turn
 *     +--------------------------------------+       the client has left, or the tunnel is cut
 *
 * A tunnel is two halves, one for each direction: what an end says is given to the other end, its end of file too
 * (half-close), and an end that does not take what it is given holds the other one back. An idle tunnel costs its
 * record and two descriptors.
 *
 * A client that has gone does not hold its places for as long as it likes: one that broke off a TCP connection ends the
 * tunnel as soon as the target does not take at once what is left. One that has closed both ways may only have said all
 * that it had to: the target is given that, as long as it takes some of it at each look (tunnel_linger).
 *
 * A tunnel that parts has been recorded, and keeps of its two connections, with their places, those that are to be
 * closed in stages (parting.h). */
#ifndef PORTHOLE_TUNNEL_TUNNEL_H
#define PORTHOLE_TUNNEL_TUNNEL_H

#include <sys/types.h>

#include "config/snapshot.h"
#include "proxy/base/buffer.h"
#include "proxy/base/loop.h"
#include "proxy/base/pipe.h"
#include "proxy/listen/admission.h"
#include "proxy/reach/generation.h"
#include "proxy/report/recorder.h"
#include "proxy/tunnel/parting.h"
#include "proxy/tunnel/tunnel_half.h"

enum tunnel_state { TUNNEL_CONNECTING, TUNNEL_OPEN, TUNNEL_PARTING, TUNNEL_FAILED, TUNNEL_OVER, N_TUNNEL_STATES };

extern const struct state_machine tunnel_machine;

/* Whose descriptor it is, and its place on the listener. */
struct tunnel_client {
    int fd;                                 /* non-blocking, -1: none */
    struct generation *generation;          /* borrowed: the tunnel takes a reference of its own */
    const struct listener_config *listener; /* borrowed from the generation */
    struct admission_pass pass;
    bool is_unix; /* and not TCP */
    uid_t uid;    /* whose share of the target's places it takes; or SHARES_NOBODY */
};

/* How much of what the client said the target has taken. */
struct tunnel_taken {
    uint64_t sent_bytes; /* to the target's socket */
    int64_t unread;      /* of these, unread_look */
};

/* All tunnels of one worker, and what they share. Embedded in the exchange_env. */
struct tunnels {
    struct loop *loop; /* borrowed, like the recorder */
    struct recorder *recorder;
    struct buffer_store blocks;
    struct pipe_store pipes;
    struct list list;  /* of tunnel */
    struct list ready; /* of tunnel: to be turned */
    size_t n_tunnels;
};

/* One tunnel. Owned by itself: it ends in its turn, in its timer, or when all are cut. */
struct tunnel {
    struct tunnels *tunnels;
    struct list link;            /* in tunnels.list */
    struct list ready;           /* in tunnels.ready, or alone */
    struct tunnel_client client; /* its generation is a reference here */
    struct source source;        /* the client's */
    struct target *target;
    struct ticket ticket; /* while connecting */
    struct timer timer;
    enum tunnel_state state;
    bool lingers;          /* the client has gone, and the target has not taken all that it said */
    uint64_t most_idle_ms; /* timeouts.tunnel */
    struct instant moved;  /* the last bytes, either way; while PARTING: when that began */
    struct instant opened; /* ns 0: it was not */
    union {
        struct tunnel_taken lingered;     /* while OPEN: what it had taken at the last look */
        struct parting partings[N_SIDES]; /* while PARTING */
    };
    struct tunnel_pair pair;
    char *reason;         /* owned; of a failure to connect, else NULL */
    struct record record; /* its texts are in `texts` */
    char texts[];
};

/* Goes on to another state. */
void tunnel_advance(struct tunnel *tunnel, enum tunnel_state to);

/* loop and recorder have been set. */
void tunnels_init(struct tunnels *tunnels);
/* From now on a block holds at least `early_bytes`. */
void tunnels_grow(struct tunnels *tunnels, size_t early_bytes);
/* Closes the descriptor and gives the pass back; harmless twice. */
void tunnel_client_drop(struct tunnel_client *client);
/* Cuts all. */
void tunnels_deinit(struct tunnels *tunnels);

/* Joins a client with a target's connection that have left HTTP, until nothing has moved for so long. `record` is what
 * there is to say of the exchange (texts are copied; outcome, reason and what went through the tunnel are added at the
 * end). from_client and from_target have been received already: at most a block each, copied. Takes over client->fd,
 * its pass and the connection, in any case. 0 or a negative errno. Holds the client's generation, which the target is
 * one of. */
int tunnel_join(struct tunnels *tunnels, struct tunnel_client *client, struct target *target, uint64_t most_idle_ms,
                struct connection *connection, const struct record *record, struct text from_client,
                struct text from_target) WARN_UNUSED;

/* Joins the client of a stream listener with its target, to which a connection is opened first. The same contract. */
int tunnel_open(struct tunnels *tunnels, struct tunnel_client *client, struct target *target,
                const struct record *record) WARN_UNUSED;

/* Whether tunnels_turn has something to do, so that the loop must not sleep. */
static inline bool tunnels_are_ready(const struct tunnels *tunnels)
{
    return !list_empty(&tunnels->ready);
}

/* For tunnels_turn, where there is something to do. */
void tunnels_turn_ready(struct tunnels *tunnels);

/* Moves what can be moved; once per round of the loop. */
static inline void tunnels_turn(struct tunnels *tunnels)
{
    if (tunnels_are_ready(tunnels))
        tunnels_turn_ready(tunnels);
}

/* Ends every tunnel, with outcome STOPPED. */
void tunnels_cut_all(struct tunnels *tunnels);
/* The same of those whose clients have a pass of this desk. */
void tunnels_cut_of(struct tunnels *tunnels, const struct admission_desk *desk);

#endif
