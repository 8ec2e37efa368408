/* The waiting room of an acceptor: those who have been accepted, may come in, and find no place yet.
 *
 * Whose a connection is shows only when it has been accepted. So whoever finds no place waits here and not in the
 * backlog, where one user's crowd would stand in front of everybody else. The room is as large as the backlog; when it
 * is full, the last of the user who has the most in it is turned away.
 *
 * Who hangs up leaves the room, so that nobody's room and descriptor is kept for somebody who is gone. That can be seen
 * of Unix sockets only: a TCP client that has closed looks like one that has said all it has to say. */
#ifndef PORTHOLE_LISTEN_WAITING_ROOM_H
#define PORTHOLE_LISTEN_WAITING_ROOM_H

#include "proxy/base/loop.h"
#include "proxy/base/shares.h"
#include "proxy/listen/admission.h"
#include "proxy/listen/peer.h"
#include "proxy/report/series.h"

/* Owned by the room until it is taken out; then by who took it. */
struct guest {
    struct list link;    /* in share->waiting */
    struct share *share; /* its user's; borrowed from the room */
    int fd;              /* owned */
    struct peer peer;
    struct waiting_room *room; /* borrowed */
    struct instant since;      /* it has been here */
    struct source source;      /* for its hang-up, while it is in the room */
};

/* Embedded in its acceptor. */
struct waiting_room {
    struct loop *loop;           /* borrowed */
    struct admission *admission; /* borrowed; counts their descriptors */
    /* Somebody has hung up and left: there is a descriptor for another. */
    void (*left)(struct waiting_room *room);
    struct shares shares; /* of the listener's places; how many a user has is looked up when it matters */
    size_t most;
    struct series *crowded; /* borrowed: where it counts that limits.connections keeps them here; NULL: nowhere */
};

void waiting_room_init(struct waiting_room *room, struct loop *loop, struct admission *admission, size_t most,
                       void (*left)(struct waiting_room *room));
/* Closes those who are still there. */
void waiting_room_deinit(struct waiting_room *room);

static inline size_t waiting_room_n_guests(const struct waiting_room *room)
{
    return room->shares.n_waiting;
}

enum { WAITING_ROOM_OPEN, WAITING_ROOM_LAST };
/* Takes somebody in. Stores who must leave for that (perhaps the same; the caller's now), or NULL. LAST: there is no
 * descriptor for another. -ENOMEM: the descriptor is still the caller's. */
int waiting_room_add(struct waiting_room *room, int fd, const struct peer *peer, struct guest **ret_leaver) WARN_UNUSED;
/* Who is next: of the user who has the fewest clients, the one who came first. Still in the room. NULL when it is
 * empty.
 */
struct guest *waiting_room_next(struct waiting_room *room);
void waiting_room_take(struct waiting_room *room, struct guest *guest);
/* As long as somebody is here, it is for limits.connections, which counts in this listener's series; NULL: it is not.
 */
void waiting_room_crowd(struct waiting_room *room, struct series *series);

#endif
