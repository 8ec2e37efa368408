/* A worker's seats: its hold on each listener that the process serves.
 *
 * A seat joins an acceptor with the worker's desk of the listener's admission, by which it is found: neither has a
 * place in an array, for listeners come and go. It is told by other workers' threads through a message that lies in it:
 * one is enough, however often they tell.
 *
 *   fresh ---- open ----> served ---- close ----> closed ---- forget ----> gone
 *     |                                             |
 *     +-- dropped, with the change that needed it   +-- drain: what of its clients is still there is cut
 *
 * A seat that is closed stays until the last pass of its listener is back, in any worker: passes lead to its desk. */
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
    size_t worker;                     /* which desk of an admission is ours */
    struct list fresh, served, closed; /* of struct seat */
    /* A listener that is not served any more has had its time. */
    void (*cut)(struct seats *seats, const struct admission_desk *desk);
};

void seats_init(struct seats *seats, struct acceptor_host *host, struct mailbox *mailbox, size_t worker);
/* Closes without looking into backlogs. The mailbox has been closed. Harmless on one of zeros. */
void seats_deinit(struct seats *seats);

/* Makes a fresh seat at a listener. The configuration is borrowed from a generation that may become the worker's
 * newest. 0 or -ENOMEM. */
int seats_add(struct seats *seats, struct admission *admission, const struct listener_config *config) WARN_UNUSED;
/* Whether there is one. */
bool seats_have(const struct seats *seats, const struct admission *admission);
/* Takes the fresh ones away again. */
void seats_drop_fresh(struct seats *seats);
/* The fresh one at this listener is served from now on, on this descriptor, which is taken over; -1: it will be told
 * (seats_change). */
void seats_open(struct seats *seats, struct admission *admission, int fd);
/* What the newest generation says of a listener that is served. */
void seats_configure(struct seats *seats, struct admission *admission, const struct listener_config *config);
/* Nobody can begin to connect to it any more, but some may be about to get into the backlog: it is served on, for
 * clients of the generation before, until seats_close. */
void seats_wait_for_late(struct seats *seats, struct admission *admission);
/* Whether a client of this desk comes so late. */
bool seats_is_late(const struct admission_desk *desk);
/* Serves what is left in the backlog, then closes; `snapshot` is what its configuration is of. Its clients have
 * drain_ms. */
void seats_close(struct seats *seats, struct admission *admission, struct snapshot *snapshot, uint64_t drain_ms);
/* Serves what is left in all backlogs, then closes: a stop. */
void seats_empty(struct seats *seats);

/* Any thread: the seat at this listener is to turn to a duplicate of this descriptor, when the old one's backlog is
 * empty. What several ask for is done in their order. 0 or a negative errno. */
int seats_change(struct seats *seats, struct admission *admission, int fd) WARN_UNUSED;
/* Before the worker runs: the first seats_change of this seat will not fail for want of memory or descriptors. 0 or a
 * negative errno. */
int seats_reserve(struct seats *seats, struct admission *admission) WARN_UNUSED;
/* Any thread: the seat goes, which is closed; its admission is retired and over, and may be freed when it has no seats.
 * 0 or -ENOMEM. */
int seats_forget(struct seats *seats, struct admission *admission) WARN_UNUSED;
/* Any thread: a successor accepts on the listener's socket, which it shares. What is in the backlog is served, whoever
 * takes it, then the seat is closed. Takes no memory. */
void seats_leave(struct seats *seats, struct admission *admission);
/* Any thread: who shared the listener's socket has gone, and may have been woken in our place. */
void seats_watch_again(struct seats *seats, struct admission *admission);

#endif
