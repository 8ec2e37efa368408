/* A target in one worker: its endpoints, the choice among them, and those who wait for a connection.
 *
 * Counted are the connections that its exchanges and tunnels hold or wait for. Those that are idle belong to their
 * endpoint; they count against connections.max, too, and give up their place to whoever needs a new one.
 *
 * The places are shared between the users on whose behalf they are taken (shares.h): nobody takes all of them, and each
 * has a queue of its own, so that who waits long is never behind somebody else's crowd. */
#ifndef PORTHOLE_REACH_TARGET_H
#define PORTHOLE_REACH_TARGET_H

#include "config/snapshot.h"
#include "proxy/base/list.h"
#include "proxy/base/loop.h"
#include "proxy/base/shares.h"
#include "proxy/reach/balance.h"
#include "proxy/reach/endpoint.h"

/* A few are not worth keeping any free. */
#define TARGET_LEAST_SHARED 4

struct target {
    const struct target_config *config; /* borrowed from the generation's snapshot */
    struct loop *loop;                  /* borrowed */
    struct endpoint **endpoints;        /* owned; references; of each config->endpoints */
    size_t n_endpoints;
    struct balance_item *items; /* owned; the same, as the choice sees them; NULL: there is one endpoint */
    uint64_t random;            /* the state of its lots */
    uint32_t n_busy;            /* held, or being made */
    uint32_t most_open;         /* busy and idle; this worker's share of connections.max */
    struct shares shares;       /* who holds those that are busy; struct ticket waits in them for n_busy to fall */
};

/* One request for a connection.
 *
 *   IDLE ---> QUEUED ---> CONNECTING   connections.max is reached; a place is free
 *    ^ |        |         ^     |
 *    | +--------|---------+     |
 *    +----------+---------------+      answered, or withdrawn
 */
enum ticket_state { TICKET_IDLE, TICKET_QUEUED, TICKET_CONNECTING, N_TICKET_STATES };

extern const struct state_machine ticket_machine;

/* Embedded in its owner, all zero but for fn and uid at first. */
struct ticket {
    enum ticket_state state;
    bool fresh;                /* no idle connection will do */
    uid_t uid;                 /* on whose behalf; or SHARES_NOBODY */
    struct personal *personal; /* the connection that may be its alone, borrowed; NULL: it has none ever */
    struct share *share;       /* that user's, unless IDLE; borrowed from the target */
    struct list link;          /* in share->waiting while QUEUED */
    struct timer timer;        /* while QUEUED */
    struct target *target;     /* unless IDLE; borrowed */
    uint64_t tried;            /* endpoints that it was not to be had from, by a bit for each */
    size_t index;              /* of the next in the target's */
    struct endpoint *endpoint; /* the one that was chosen last, or NULL; borrowed from the target */
    struct attempt *attempt;   /* while CONNECTING, once connect_start has returned */
    /* Called once when the answer was not immediate. connection is the owner's now, or NULL and *failure says why. */
    void (*fn)(struct ticket *ticket, struct connection *connection, const struct failure *failure);
};

/* 0 or -ENOMEM; then there is nothing to undo. */
int target_init(struct target *target, const struct target_config *config, struct endpoints *table,
                uint32_t n_workers) WARN_UNUSED;
/* Lets go of its endpoints; nothing may be busy or asked for. Harmless twice, and when all is zero. */
void target_deinit(struct target *target);

/* Connections open and being made, idle ones included. */
uint32_t target_n_open(const struct target *target);
/* Asks for a connection: CONNECT_DONE with *ret_connection, CONNECT_WAIT (ticket->fn will be called), or CONNECT_FAILED
 * with *ret_failure. With `fresh` no idle connection is taken, but one may have to give up its place. An endpoint to
 * which no connection could be made is not asked again for this ticket while there is another. */
enum connect_result target_ask(struct target *target, struct ticket *ticket, bool fresh,
                               struct connection **ret_connection, struct failure *ret_failure) WARN_UNUSED;
/* Withdraws a question; harmless when nothing is asked. */
void target_withdraw(struct ticket *ticket);
/* Gives a connection back; somebody who waits may get it at once. */
void target_give(struct target *target, struct connection *connection, bool reusable);

#endif
