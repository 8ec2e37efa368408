/* The library's daemons in a worker. Private to frontend*.c.
 *
 * How much memory the library has for a connection is a daemon's, once and for all, and a reload may change how large
 * heads may be. So there is a daemon for each size that somebody has a connection with: new clients go to the newest,
 * the others stay with theirs, and one that is empty goes. Nearly always there is one. */
#ifndef PORTHOLE_SERVE_FRONTEND_DAEMON_H
#define PORTHOLE_SERVE_FRONTEND_DAEMON_H

#include <microhttpd.h>

#include "proxy/base/error.h"
#include "proxy/base/list.h"
#include "proxy/base/loop.h"
#include "proxy/serve/connection_memory.h"
#include "proxy/serve/interest.h"

/* One of them. */
struct frontend_daemon {
    struct list link; /* in daemons.list */
    struct daemons *daemons;
    struct MHD_Daemon *library; /* owned */
    struct interest_set set;    /* its epoll set */
    struct source source;       /* of that, where the library is not heard */
    size_t pool_bytes;          /* of each of its connections */
    struct connection_memory memory;
    size_t n_clients;
};

/* All of a worker. Embedded in the frontend, which sets what comes first. */
struct daemons {
    struct loop *loop; /* borrowed */
    void (*ready)(void *closure);
    /* Starts the library's with so much memory for each connection; NULL when it cannot. */
    struct MHD_Daemon *(*start)(struct frontend_daemon *daemon);
    void *closure;

    struct interests interests; /* of all of them */
    struct list list;
    struct frontend_daemon *newest; /* for new clients */
    struct frontend_daemon *next;   /* will be the newest; NULL: the newest will do */
    bool want_run;                  /* at the end of its last run one of them had more to do by itself */
};

void daemons_init(struct daemons *daemons);
/* No client is left. */
void daemons_deinit(struct daemons *daemons);

/* There will be one for this size. 0 or a negative errno with the error set; in any case what there is goes on. */
int daemons_prepare(struct daemons *daemons, size_t pool_bytes, struct error *error) WARN_UNUSED;
/* What was prepared last is the newest from now on. */
void daemons_turn_to_next(struct daemons *daemons);

/* Hands it a connection, whose descriptor is the library's from now on in any case. */
bool frontend_daemon_add(struct frontend_daemon *daemon, int fd);
/* Lets each of them run once. Those that are of no use any more go. */
void daemons_run(struct daemons *daemons);
/* connection_memory_rest for each. */
void daemons_rest(struct daemons *daemons);

#endif
