/* A worker's seats: its hold on each listener that the process serves.
 *
 * A seat joins an acceptor with the worker's desk of the listener's admission, by which it is found: neither has a
 * place in an array, for listeners come and go. It is told by other workers' threads through a message that lies in it:
 * one is enough, however often they tell. */
#ifndef PORTHOLE_SEATS_H
#define PORTHOLE_SEATS_H

#include "config/snapshot.h"
#include "proxy/base/mailbox.h"
#include "proxy/listen/acceptor.h"
#include "proxy/listen/admission.h"

/* Embedded in the worker. */
struct seats {
    struct acceptor_host *host; /* borrowed, like the next */
    struct mailbox *mailbox;
    size_t worker;    /* which desk of an admission is ours */
    struct list list; /* of struct seat */
};

void seats_init(struct seats *seats, struct acceptor_host *host, struct mailbox *mailbox, size_t worker);
/* Closes without looking into backlogs. The mailbox has been closed. Harmless on one of zeros. */
void seats_deinit(struct seats *seats);

/* Makes a seat at a listener, closed. The configuration is borrowed from the worker's generation. 0 or -ENOMEM. */
int seats_add(struct seats *seats, struct admission *admission, const struct listener_config *config) WARN_UNUSED;
/* Serves what is left in all backlogs, then closes. */
void seats_empty(struct seats *seats);

/* Any thread: the seat at this listener is to turn to a duplicate of this descriptor, when the old one's backlog is
 * empty. What several ask for is done in their order. 0 or a negative errno. */
int seats_change(struct seats *seats, struct admission *admission, int fd) WARN_UNUSED;

#endif
