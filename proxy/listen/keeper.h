/* The keeper: whether our sockets are still ours, and what is done when they are not.
 *
 *             nobody serves what is there, and it cannot be made again
 *   OURS  <------------------------------------------------------------->  LOST
 *     ^                                                                      ^
 *     |      another process serves the path             its socket goes     |
 *     +--------------------------------> TAKEN <-----------------------------+
 *
 * A path that is gone, or that a dead process left behind, is published again at once: nobody could reach us. One that
 * another process serves is let be. When all of them are, we have a successor and are to finish and leave. inotify
 * tells of changes in the directories; what it cannot see (a directory that was replaced, a successor that died) is
 * looked for every other second. */
#ifndef PORTHOLE_LISTEN_KEEPER_H
#define PORTHOLE_LISTEN_KEEPER_H

#include "proxy/base/loop.h"
#include "proxy/base/state.h"
#include "proxy/listen/listener.h"

enum keeper_state { KEEPER_OURS, KEEPER_LOST, KEEPER_TAKEN };

extern const struct state_machine keeper_machine;

/* One listener's socket. */
struct keeper_charge {
    struct listener *listener; /* borrowed */
    enum keeper_state state;
};

/* Embedded in the server; one thread's. */
struct keeper {
    struct loop *loop;             /* borrowed */
    struct keeper_charge *charges; /* owned */
    size_t n_charges;
    int inotify_fd; /* owned, -1 */
    struct source directories;
    struct timer look;
    /* A listener has been published again: its new descriptor is to be served, the old one is closed afterwards. */
    void (*republished)(struct keeper *keeper, size_t index);
    /* Every path is another process's. The last thing that is done: the keeper may be stopped in it. */
    void (*succeeded)(struct keeper *keeper);
};

/* loop, republished and succeeded have been set. Begins to watch, and looks at once, for what has happened since the
 * listeners were published. 0 or -ENOMEM; without inotify it works all the same. */
int keeper_start(struct keeper *keeper, struct listener **listeners, size_t n_listeners) WARN_UNUSED;
/* Watches no more; harmless twice, and on one of zeros that was never started. */
void keeper_stop(struct keeper *keeper);

/* Its one way from state to state. */
void keeper_move(struct keeper_charge *charge, enum keeper_state to);

#endif
