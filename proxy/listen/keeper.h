/* The keeper: whether our sockets are still ours, and what is done when they are not.
 *
 *             nothing of use is there, and it cannot be made again
 *   OURS  <------------------------------------------------------------->  LOST
 *     ^                                                                      ^
 *     |      a successor serves the path                 its socket goes     |
 *     +--------------------------------> TAKEN <-----------------------------+
 *
 * A path that is gone, or where anybody but a successor (claim) has put a socket, is published again: at once, and when
 * that happens again and again, after pauses that grow to a second, so that whoever may write the directory can have
 * the path, but not our time. A listener without a path is a successor's when that one has taken it over (succession).
 * When all of them are a successor's, we are to finish and leave. inotify tells of changes in the directories, at most
 * ten times a second whatever happens there, and a successor's end is told at once (vigil); what neither sees (a
 * directory that was replaced) is looked for every other second. */
#ifndef PORTHOLE_LISTEN_KEEPER_H
#define PORTHOLE_LISTEN_KEEPER_H

#include "proxy/base/loop.h"
#include "proxy/base/state.h"
#include "proxy/listen/listener.h"
#include "proxy/listen/vigil.h"

enum keeper_state { KEEPER_OURS, KEEPER_LOST, KEEPER_TAKEN };

extern const struct state_machine keeper_machine;

/* Something that may happen again and again, and is told once in a while. */
struct keeper_news {
    struct instant next_line;
    uint64_t n_untold;
};

/* One listener's socket. Embedded beside the listener, and there as long as the keeper has it. */
struct keeper_charge {
    struct list link;          /* in keeper.charges, or alone */
    struct keeper *keeper;     /* borrowed; who has it */
    struct listener *listener; /* borrowed */
    enum keeper_state state;
    int watch;                 /* of its directory, -1 */
    struct instant not_before; /* when it may be published again */
    uint64_t pause_ms;         /* what lies between not_before and the last time */
    struct instant asked;      /* since when somebody serves it who cannot be asked who it is; 0: nobody does */
    struct vigil successor;    /* who serves it, when TAKEN */
    struct keeper_news republished, lost, taken;
};

/* Embedded in the server; one thread's. */
struct keeper {
    struct loop *loop;   /* borrowed */
    struct list charges; /* of keeper_charge */
    int inotify_fd;      /* owned, -1 */
    struct source directories;
    struct timer look;
    struct timer rest; /* armed while the directories are not listened to */
    /* A listener has been published again: its new descriptor is to be served, the old one is closed afterwards. */
    void (*republished)(struct keeper *keeper, struct keeper_charge *charge);
    /* Every listener is another process's. The last thing that is done: the keeper may be stopped in it. */
    void (*succeeded)(struct keeper *keeper);
};

/* loop, republished and succeeded have been set. Begins to watch; without inotify it works all the same. */
void keeper_start(struct keeper *keeper);
/* Watches no more, and lets go of all its charges; harmless twice, and on one of zeros that was never started. */
void keeper_stop(struct keeper *keeper);

/* Keeps another listener. It is looked at in the loop's next round, for what has happened since it was published. */
void keeper_add(struct keeper *keeper, struct keeper_charge *charge, struct listener *listener);
/* A successor serves a listener without a path, whose socket we have closed: it is TAKEN, until nobody serves it.
 * `process` is that one (vigil_peer), which is taken over, or below 0. */
void keeper_give(struct keeper *keeper, struct keeper_charge *charge, int process);
/* Not any more; harmless on one that is not kept. Not from within `republished`. */
void keeper_remove(struct keeper *keeper, struct keeper_charge *charge);

/* Its one way from state to state. */
void keeper_move(struct keeper_charge *charge, enum keeper_state to);

#endif
