/* A listener's succession: from whom it came, and to whom it goes. Of listeners without a path; those with one are
 * published beside each other (publish, claim, keeper).
 *
 * A listener that was taken over is shared with whoever served it before until that one has left, and one that somebody
 * has asked for is shared until that one serves it or has gone. */
#ifndef PORTHOLE_LISTEN_SUCCESSION_H
#define PORTHOLE_LISTEN_SUCCESSION_H

#include "proxy/listen/handover.h"
#include "proxy/listen/listener.h"
#include "proxy/listen/offer.h"

struct succession;

/* What whoever serves the listener does. */
struct succession_host {
    /* Who shared it has gone, perhaps after it was woken for somebody who is still in the backlog. */
    void (*look)(struct succession_host *host, struct succession *succession);
    /* A successor serves it: nobody here is to accept on it any more. Its process (vigil_peer) is the host's to close,
     * and below 0 where there is no such thing. The succession has ended. */
    void (*leave)(struct succession_host *host, struct succession *succession, int successor);
    /* Who served it before serves it still, and will: we came too late, and are to stop. */
    void (*lost)(struct succession_host *host, struct succession *succession);
};

/* Embedded beside the listener; the main thread's. One of zeros has not begun. */
struct succession {
    struct succession_host *host; /* borrowed, like the next */
    struct listener *listener;
    struct offer_host offer_host;
    struct handover_host handover_host;
    struct offer *offer; /* owned; NULL: nobody is to have it */
    bool offer_is_shared;
    bool kept_by_others; /* whatever becomes of the offer */
};

/* The listener is served from now on: whoever served it before may leave, and it is offered to whoever comes next. Does
 * nothing for a listener with a path. What cannot be offered is logged and served all the same. */
void succession_begin(struct succession *succession, struct loop *loop, struct succession_host *host,
                      struct listener *listener);
/* We stop: whoever asks is told so. Harmless on one that has not begun. */
void succession_drain(struct succession *succession);
/* Offers it no more; before the listener is freed. Harmless twice, and on one that has not begun. */
void succession_end(struct succession *succession);

#endif
