/* Acceptors: a worker's hold on a listener. One accepts, asks admission, and hands the client on.
 *
 *               change               no descriptors for clients, or no memory
 *   CLOSED ------------------> OPEN <------------------------------> WAITING
 *     ^                          |    a place was given back, or        |
 *     |                          |    some time has passed              |
 *     |        empty             v                                      |
 *     +--------------------- EMPTYING <---------------------------------+
 *
 * The peer is looked at before anything else: who may not come in is closed at once, and costs nobody a place, nor
 * anybody's idle client. Many of those are taken in a turn, since they cost little and stand in front of others.
 *
 * Who may come in and finds no place takes that of an idle client (admission), or waits in the waiting room. A user who
 * has limits.connections_per_uid clients lets the longest idle of its own go, never somebody else's, and is turned away
 * when none is. Accepting stops only for want of descriptors, and of memory (brake).
 *
 * But what is left in the backlog of a socket that is going away has nobody else to serve it: who empties it takes
 * everybody. */
#ifndef PORTHOLE_LISTEN_ACCEPTOR_H
#define PORTHOLE_LISTEN_ACCEPTOR_H

#include "config/snapshot.h"
#include "proxy/base/loop.h"
#include "proxy/base/state.h"
#include "proxy/listen/acceptor_news.h"
#include "proxy/listen/admission.h"
#include "proxy/listen/peer.h"
#include "proxy/listen/waiting_room.h"
#include "proxy/report/metrics.h"
#include "proxy/report/series.h"

enum acceptor_state { ACCEPTOR_CLOSED, ACCEPTOR_OPEN, ACCEPTOR_WAITING, ACCEPTOR_EMPTYING };

extern const struct state_machine acceptor_machine;

/* What a worker lends to its acceptors. */
struct acceptor_host {
    struct loop *loop;
    struct metrics *metrics;
    size_t worker; /* its slot of series */
    /* Begins to serve somebody; takes descriptor and pass over in any case. 0 or a negative errno. */
    int (*serve)(struct acceptor_host *host, const struct listener_config *config, int fd, const struct peer *peer,
                 struct admission_pass pass);
    /* Begins to let an idle client go, for another. False when it turns out to have something under way. */
    bool (*let_go)(struct acceptor_host *host, struct admission_pass *pass);
};

/* Somebody whose user has as many clients as it may, while other workers are asked to let an idle one of them go. */
struct acceptor_petitioner {
    int fd; /* owned, -1: none */
    struct peer peer;
    struct timer patience;
};

/* Embedded; one thread's. */
struct acceptor {
    struct acceptor_host *host;           /* borrowed */
    const struct listener_config *config; /* borrowed from the worker's newest generation (acceptor_configure) */
    struct admission_desk *desk;          /* borrowed */
    enum acceptor_state state;
    int fd;       /* owned: a duplicate of the listener's, -1 when closed */
    bool is_unix; /* and not TCP */
    struct source source;
    struct timer retry; /* while WAITING, and while somebody waits */
    struct waiting_room room;
    struct acceptor_petitioner petitioner;
    struct acceptor_lines lines;
};

void acceptor_init(struct acceptor *acceptor, struct acceptor_host *host, const struct listener_config *config,
                   struct admission_desk *desk);
/* Its one way from state to state. */
void acceptor_move(struct acceptor *acceptor, enum acceptor_state to);
/* Closes without looking into the backlog. */
void acceptor_deinit(struct acceptor *acceptor);

/* What another generation says of the same listener. Whoever waits is judged by it when its turn comes. */
void acceptor_configure(struct acceptor *acceptor, const struct listener_config *config);
/* Serves what is left in the old backlog, then turns to the new descriptor, which is taken over. */
void acceptor_change(struct acceptor *acceptor, int fd);
/* Serves what is left in the backlog, then closes. Unless it is shared (struct listener), nobody gets into it any more.
 */
void acceptor_empty(struct acceptor *acceptor, bool shared);
/* Another process that shared the socket has gone, and may have been woken for somebody who is still in the backlog. */
void acceptor_watch_again(struct acceptor *acceptor);
/* Its desk was told: there may be a place again, or somebody else wants one of its idle clients gone. */
void acceptor_look(struct acceptor *acceptor);

#endif
