/* A target in one worker: its endpoints, the choice among them, and the queue of those who wait for a connection.
 *
 * Counted are the connections that its exchanges and tunnels hold or wait for. Those that are idle belong to their
 * endpoint; they count against connections.max, too, and give up their place to whoever needs a new one. */
#ifndef PORTHOLE_REACH_TARGET_H
#define PORTHOLE_REACH_TARGET_H

#include "config/snapshot.h"
#include "proxy/base/list.h"
#include "proxy/base/loop.h"
#include "proxy/reach/endpoint.h"

struct target {
    const struct target_config *config; /* borrowed from the generation's snapshot */
    struct loop *loop;                  /* borrowed */
    struct endpoint **endpoints;        /* owned; references */
    size_t n_endpoints;
    uint32_t n_busy;    /* held, or being made */
    uint32_t most_open; /* busy and idle; this worker's share of connections.max */
    struct list queue;  /* of struct ticket: waiting for n_busy to fall */
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

/* Embedded in its owner, all zero but for fn at first. */
struct ticket {
    enum ticket_state state;
    bool fresh;                /* no idle connection will do */
    struct list link;          /* in target.queue while QUEUED */
    struct timer timer;        /* while QUEUED */
    struct target *target;     /* unless IDLE; borrowed */
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
 * with *ret_failure. With `fresh` no idle connection is taken, but one may have to give up its place. */
enum connect_result target_ask(struct target *target, struct ticket *ticket, bool fresh,
                               struct connection **ret_connection, struct failure *ret_failure) WARN_UNUSED;
/* Withdraws a question; harmless when nothing is asked. */
void target_withdraw(struct ticket *ticket);
/* Gives a connection back; somebody who waits gets it at once. */
void target_give(struct target *target, struct connection *connection, bool reusable);

#endif
