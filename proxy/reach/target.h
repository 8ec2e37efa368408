/* A target in one worker: its endpoints, its pool, and the queue of those who wait for a connection. */
#ifndef PORTHOLE_REACH_TARGET_H
#define PORTHOLE_REACH_TARGET_H

#include "config/snapshot.h"
#include "proxy/base/list.h"
#include "proxy/base/loop.h"
#include "proxy/reach/connect.h"
#include "proxy/reach/pool.h"

struct target {
    const struct target_config *config; /* borrowed from the snapshot the worker holds */
    struct connector *connector;        /* borrowed */
    struct loop *loop;                  /* borrowed */
    struct pool pool;
    uint32_t n_open, most_open; /* busy, idle and being made; this worker's share of connections.max */
    struct list queue;          /* of struct ticket: waiting for n_open to fall, or for an idle connection */
};

/* One request for a connection, embedded in its owner. */
struct ticket {
    struct list link;        /* in target.queue while queued */
    struct target *target;   /* NULL when nothing is asked for */
    struct attempt *attempt; /* while connecting */
    struct timer timer;      /* while queued */
    bool fresh;              /* no idle connection will do */
    /* Called once when the answer was not immediate. connection is the owner's now, or NULL and *failure says why. */
    void (*fn)(struct ticket *ticket, struct connection *connection, const struct failure *failure);
};

void target_init(struct target *target, const struct target_config *config, struct connector *connector,
                 struct loop *loop, uint32_t n_workers);
/* Closes what is idle; nothing may be busy or asked for. */
void target_deinit(struct target *target);

/* Asks for a connection: CONNECT_DONE with *ret_connection, CONNECT_WAIT (ticket->fn will be called), or CONNECT_FAILED
 * with *ret_failure. With `fresh` no idle connection is taken, but one may have to give up its place. */
enum connect_result target_ask(struct target *target, struct ticket *ticket, bool fresh,
                               struct connection **ret_connection, struct failure *ret_failure) WARN_UNUSED;
/* Withdraws a question; harmless when nothing is asked. */
void target_withdraw(struct ticket *ticket);
/* Gives a connection back; somebody who waits gets it at once. */
void target_give(struct target *target, struct connection *connection, bool reusable);

#endif
