/* A handover: taking a listener without a path over from the process that serves it. The successor's side; the other
 * one is an offer.
 *
 *   handover_ask: it has the socket, which the other process still serves, too
 *   handover_serve, when its own workers accept on it and everything else is published: the other may leave
 *   done, lost: how that ended
 *
 * Whoever frees one before it serves has changed nothing. */
#ifndef PORTHOLE_LISTEN_HANDOVER_H
#define PORTHOLE_LISTEN_HANDOVER_H

#include "proxy/base/loop.h"
#include "proxy/listen/handover_socket.h"

/* What came of asking once. A negative errno beside these: nothing will come of it. */
enum handover_verdict {
    HANDOVER_GOT,      /* 0 */
    HANDOVER_NOBODY,   /* nobody offers that address */
    HANDOVER_BUSY_NOW, /* another successor is to serve it in a moment */
    HANDOVER_DRAINS,   /* it will be free in a moment */
    HANDOVER_CLOSED,   /* who offers it has ended, or cannot give it now */
    HANDOVER_CROWDED,  /* too many ask */
};

struct handover;

/* What the successor does when it knows how it ended; the handover can be freed in either. */
struct handover_host {
    /* Nobody else goes on accepting on the socket: `left` says that the other process has said so, else it has ended,
     * and may have been woken for a client that is still in the backlog. */
    void (*done)(struct handover_host *host, struct handover *handover, bool left);
    /* The other process serves on, because this one came too late: it is to leave. */
    void (*lost)(struct handover_host *host, struct handover *handover);
};

/* Heap; the main thread's. */
struct handover {
    char address[HANDOVER_ADDRESS_BYTES];
    struct handover_peer peer;
    int connection;                  /* owned */
    int fds[HANDOVER_N_DESCRIPTORS]; /* owned, -1 when somebody has taken them out */
    struct loop *loop;               /* borrowed; since handover_serve, like what follows */
    struct handover_host *host;      /* borrowed */
    struct source source;
    struct timer patience;
};

/* Asks for the listener at an address (handover_address) and waits for the answer until `deadline`. HANDOVER_GOT with
 * the handover; another verdict; or -ETIMEDOUT (it does not answer), -EPERM (it is another user's), -EPROTO (another
 * version, or not a porthole), or another negative errno, each with the error set to what to do. */
int handover_ask(const char *address, struct instant deadline, struct handover **ret_handover,
                 struct error *error) WARN_UNUSED;

/* Says why nothing came of a verdict that was the same until somebody's patience was over. Returns -EADDRINUSE. */
int handover_fail(enum handover_verdict verdict, const char *address, struct error *error);

/* Its caller accepts on the socket: the other process may leave. The host is told how that ends, from the loop; one
 * that does not answer leaves when it can. A negative errno: it has been told, but its answer will not be heard. */
int handover_serve(struct handover *handover, struct loop *loop, struct handover_host *host) WARN_UNUSED;

/* Takes NULL. Closes what has not been taken out. */
void handover_free(struct handover *handover);

#endif
