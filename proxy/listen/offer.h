/* An offer: a listener without a path, for a successor to take over. The side of the process that serves.
 *
 *                take: it gets the socket                    serving
 *   OPEN <--------------------------------------> GRANTED ------------> LEFT
 *     |      it has gone, or takes too long          |
 *     |                                              |
 *     +------------------> DRAINING <----------------+
 *                  we stop
 *
 * The successor gets the very socket, so that nobody in its backlog is lost, and the private one by which it asked, so
 * that the name of that is never free. While GRANTED both hold the socket: it is not to be shut down, and if the
 * successor goes before it serves, nothing has happened. When it serves, whoever still accepts here leaves.
 *
 * Anybody of the network namespace can connect. Who is not of our user is closed at once and told in a line now and
 * then; after some of those nobody is heard for a while. Who is, and says nothing or rubbish, has one of a few places
 * for a moment. Nothing waits for anybody: the main loop calls. */
#ifndef PORTHOLE_LISTEN_OFFER_H
#define PORTHOLE_LISTEN_OFFER_H

#include "proxy/base/loop.h"
#include "proxy/base/state.h"
#include "proxy/listen/handover_socket.h"

#define OFFER_MOST_GUESTS 4

enum offer_state { OFFER_OPEN, OFFER_GRANTED, OFFER_DRAINING, OFFER_LEFT };

extern const struct state_machine offer_machine;

struct offer;

/* One who has connected. */
struct offer_guest {
    struct offer *offer; /* the one it lies in */
    int fd;              /* owned, -1: the place is free */
    pid_t pid;
    struct source source;
    struct timer patience;
};

/* What whoever owns the listener does. */
struct offer_host {
    /* Another process has the socket, too (it must not be shut down), or has not any more and may have been woken for a
     * client that is still in the backlog. */
    void (*shared)(struct offer_host *host, bool shared);
    /* A successor serves it: its process (vigil_peer) is the host's to close, and below 0 where there is no such thing.
     * The offer is LEFT; it can be freed here. */
    void (*taken)(struct offer_host *host, int successor);
};

/* Heap; the main thread's. */
struct offer {
    struct loop *loop;       /* borrowed */
    struct offer_host *host; /* borrowed */
    char *name;              /* owned; of the listener, for logs */
    char address[HANDOVER_ADDRESS_BYTES];
    int listener_fd; /* borrowed */
    int fd;          /* owned; the private socket, -1 while somebody else has its name */
    enum offer_state state;
    struct source source;
    struct timer again; /* until it listens again, or tries to have the name */
    struct offer_guest guests[OFFER_MOST_GUESTS];
    struct offer_guest *successor; /* of these; GRANTED, and DRAINING after that */
    struct instant next_line;      /* about strangers */
    uint64_t n_strangers;          /* since the last one */
    bool name_is_taken;            /* has been told */
};

/* Offers the listener `name` whose socket is `listener_fd`. `private_fd`: the private socket as a predecessor has left
 * it, which is taken over in any case; -1: it is made, now or when its name is free. -EAFNOSUPPORT for a listener with
 * a path. 0 or a negative errno. */
int offer_new(struct loop *loop, struct offer_host *host, const char *name, int listener_fd, int private_fd,
              struct offer **ret_offer) WARN_UNUSED;
/* Takes NULL. */
void offer_free(struct offer *offer);

/* We stop: who asks is told so. */
void offer_drain(struct offer *offer);

/* Its one way from state to state. */
void offer_move(struct offer *offer, enum offer_state to);

#endif
