/* Connections to one endpoint in one worker: idle ones are kept for the next exchange.
 *
 *      connect            taken by an exchange           idle
 *   ------------> BUSY  <------------------------->  IDLE ---> closed: the target closed it, too many, too old
 *
 * As many are kept as were lately in use. A pool remembers the most that were busy at once in this window of time and
 * in the one before; at the end of each, half of what is open beyond that is closed, those first that have been idle
 * for longest. So a crowd finds its connections again as long as it is there, and a pool shrinks within a few windows
 * when it has left.
 *
 * A connection over which a client has said who it is (NTLM, Negotiate) is personal: that client's alone, as long as it
 * is there. Idle, it waits in a list of its own, and in the client's hand. */
#ifndef PORTHOLE_REACH_POOL_H
#define PORTHOLE_REACH_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/base/list.h"
#include "proxy/base/loop.h"
#include "proxy/base/lots.h"
#include "proxy/http/keep_alive.h"
#include "proxy/reach/channel.h"

struct connection;
struct share;
struct site;
struct site_part;

/* Events of a connection that an exchange holds. */
typedef void connection_fn(void *closure, uint32_t events);

/* A client's personal connection while that is idle: the last one, of several. Embedded in the client; all zero at
 * first. */
struct personal {
    struct connection *connection; /* NULL: none; the pool's, which clears this when it closes it */
};

/* One connection to an endpoint. Owned by its user while busy, by the pool while idle. */
struct connection {
    struct list link;  /* in pool.idle or pool.personal while idle */
    struct pool *pool; /* borrowed */
    struct channel channel;
    struct source source; /* registered once, edge-triggered: EPOLLIN | EPOLLRDHUP, EPOLLOUT only on demand */
    struct instant begun, idle_since;
    struct instant good_until; /* while idle: then it is not used any more */
    uint64_t keep_ms;          /* what its target has said last about how long it keeps it, or KEEP_ALIVE_SILENT */
    unsigned early;            /* so much of max_age it loses, so that not all end at once: in 10240ths, below 1024 */
    bool gone;                 /* it has closed both, or the connection broke */
    bool ended;                /* the target has closed its side: edge-triggered, so it is told only once */
    uint32_t epoch;            /* the pool's when it was begun to be made, or has stood a review since */
    uint32_t n_exchanges;      /* carried so far; above 0 the connection may have died idle */
    struct share *share;       /* whose place it takes: the target's, while busy */
    struct personal *owner;    /* whose alone it is, borrowed; NULL: anybody's */
    connection_fn *fn;         /* the user's; NULL while idle */
    void *closure;
};

/* Whether a connection leads to where its pool leads by now. */
typedef bool pool_stands_fn(const struct pool *pool, int fd);

/* Embedded in its endpoint. */
struct pool {
    struct loop *loop;
    struct list idle;                     /* anybody's; most recently used first, like the next */
    struct list personal;                 /* idle, too */
    uint32_t n_idle, n_personal, n_busy;  /* of those that are idle n_personal are */
    struct site *site;                    /* borrowed; of all workers; NULL: there is no other */
    struct site_part *shown;              /* borrowed; where the others see n_idle and n_busy; NULL like that */
    uint32_t most_busy, most_busy_before; /* at once: in this window, in the one before */
    uint32_t most_idle;                   /* a ceiling */
    uint64_t idle_timeout_ms, max_age_ms, window_ms;
    struct instant window_end;
    struct timer timer;     /* armed while something is idle */
    uint32_t epoch;         /* counts reviews */
    uint32_t first_epoch;   /* what is of an earlier one is not used again */
    pool_stands_fn *stands; /* says whether what is of an earlier one than now is */
    struct lots lots;
};

/* Keeps nothing until it is told what to. */
void pool_init(struct pool *pool, struct loop *loop);
/* How connections are kept from now on, those that are idle, too; most_idle is for all workers together. */
void pool_configure(struct pool *pool, uint32_t most_idle, uint64_t idle_timeout_ms, uint64_t max_age_ms);
/* Closes everything that is idle; nothing may be busy. */
void pool_deinit(struct pool *pool);

/* Makes a connection of a channel, which it takes over in any case. Busy, held by the caller. NULL when out of memory.
 */
struct connection *pool_adopt(struct pool *pool, struct channel *channel);
/* The most recently used idle connection, now busy; NULL when there is none. */
struct connection *pool_take(struct pool *pool);
/* The client's personal connection, now busy; NULL when it is not to be used any more. There is one. */
struct connection *personal_take(struct personal *personal);
/* Closes it: the client leaves. Harmless without one. */
void personal_end(struct personal *personal);
/* Since when the one has been that has been idle for longest; there is one. */
struct instant pool_idle_since(const struct pool *pool);
/* Closes the connection that has been idle for longest; false when there is none. */
bool pool_drop_oldest(struct pool *pool);
/* The endpoint is not what it was: connections that do not stand end, idle ones at once and the others when they are
 * given back. NULL: none stands that there is. A connection that is being made meanwhile counts as made before, if its
 * `epoch` is set to what the pool's was. */
void pool_review(struct pool *pool, pool_stands_fn *stands);
/* Who gets the events from now on. */
void connection_use(struct connection *connection, connection_fn *fn, void *closure);
/* Asks for (or stops asking for) EPOLLOUT. 0 or a negative errno. */
int connection_want_write(struct connection *connection, bool want) WARN_UNUSED;
/* From now on it is this client's alone; the client outlives its use of it. */
void connection_belong(struct connection *connection, struct personal *owner);
/* Gives a busy connection back: kept idle if `reusable` and there is room, else closed. */
void pool_give(struct connection *connection, bool reusable);

#endif
