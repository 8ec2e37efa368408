/* A reload: another configuration for everything that runs, or for nothing. Main thread.
 *
 *                    file is good                 all workers are ready, new sockets are published
 *   IDLE ----------------------------> PREPARING -------------------------------------> COMMITTING
 *     ^ ^                                 |                                                  |
 *     | |                                 | something fails, or a stop begins                |
 *     | |                                 v                                                  |
 *     | +----- all have let go ------ ABORTING                                               |
 *     |                                                                                      |
 *     +------------------------ all workers serve it, removed sockets are closed ------------+
 *     |                                                                                      |
 *     +------- nobody comes late any more ------ CLOSING <--- somebody may come late --------+
 *
 * Nothing here waits: hosts of new listeners are looked up by the resolver's threads, while PREPARING, and workers
 * answer through the main thread's mailbox. Until COMMITTING everything that can fail has been done, and can be undone;
 * from then on nothing fails. Another reload that is asked for meanwhile comes afterwards, once. */
#ifndef PORTHOLE_RELOAD_H
#define PORTHOLE_RELOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "config/problem.h"
#include "config/snapshot.h"
#include "proxy/base/clock.h"
#include "proxy/base/loop.h"
#include "proxy/base/mailbox.h"
#include "proxy/base/state.h"
#include "proxy/listeners.h"
#include "proxy/worker.h"

enum reload_phase { RELOAD_IDLE, RELOAD_PREPARING, RELOAD_COMMITTING, RELOAD_CLOSING, RELOAD_ABORTING };

extern const struct state_machine reload_machine;

struct reload;
struct reload_plan;

/* What the server lends, and what it does at each step. */
struct reload_host {
    struct loop *loop;
    struct mailbox *mailbox; /* whose messages are run in the loop's thread */
    struct listeners *listeners;
    struct keeper *keeper;
    struct succession_host *succession;
    struct resolver *resolver;
    struct series_book *series;
    struct worker **workers; /* borrowed, like all of these */
    size_t n_workers;
    /* Before anything else: makes workers that another snapshot needs besides, and lends them, too. 0 or a negative
     * errno with the error set. */
    int (*complete)(struct reload *reload, const struct snapshot *snapshot, struct error *error);
    /* Makes what the server itself needs for another snapshot, once the workers are ready for it and all sockets are
     * published. 0 or a negative errno with the error set, and nothing changed. */
    int (*prepare)(struct reload *reload, struct snapshot *snapshot, struct error *error);
    /* The snapshot is the one that runs, from now on. Cannot fail. */
    void (*commit)(struct reload *reload, struct snapshot *snapshot);
    /* Nothing changes, and that is told: what the file held (reload->tried) is nothing that anybody is to be told of
     * again. `problems`: the file is not good, and what it misses (problems->files) may come; or NULL. */
    void (*refused)(struct reload *reload, const struct problems *problems);
    void (*begun)(struct reload *reload); /* a file is about to be loaded */
    void (*ended)(struct reload *reload); /* it is served, or refused: the state says which; not when a stop came */
};

/* How the last one ended. */
struct reload_state {
    struct wall_time when;         /* ns 0: there was none */
    struct wall_time loaded;       /* when what runs was */
    bool good;                     /* what runs is what the file said then */
    char *problems;                /* owned; when it was not good: why, a line for each problem */
    char sha256[SHA256_HEX_BYTES]; /* of the file that runs */
    uint64_t n_reloads, n_refused;
};

/* Embedded in the server. */
struct reload {
    struct reload_host host;
    enum reload_phase phase;
    struct snapshot *running;     /* a reference */
    struct reload_plan *plan;     /* owned; NULL when IDLE */
    char tried[SHA256_HEX_BYTES]; /* of the file as it was read last; "": it could not be */
    bool again;                   /* another was asked for meanwhile */
    bool stopping;                /* none any more */
    struct reload_state state;    /* for whoever wants to know */
    struct timer remind;          /* while the file is not good */
    struct timer late;            /* CLOSING: until nobody can come late to a TCP socket that was removed */
    struct timer bury;            /* while listeners that were removed still have clients */
    struct list removed;          /* of struct served: these */
    struct instant bad_since;
};

/* `running`: what runs. The host is copied. */
void reload_init(struct reload *reload, const struct reload_host *host, struct snapshot *running);
/* The workers have been freed. Harmless on one of zeros. */
void reload_deinit(struct reload *reload);

/* Loads the file that runs anew, and begins. What is wrong with it is logged, and in the state. */
void reload_begin(struct reload *reload);
/* A stop has begun: what is not committed is given up, and none begins any more. Harmless twice. */
void reload_stop(struct reload *reload);
/* A stop, of listeners that were removed: nobody is to connect any more; nobody accepts any more. */
void reload_withdraw_removed(struct reload *reload);
void reload_close_removed(struct reload *reload);

/* Its one way from phase to phase. */
void reload_move(struct reload *reload, enum reload_phase to);

/* What is probably not meant in a configuration that is served all the same: a line for each. */
void reload_tell_warnings(const struct problems *warnings, const char *file);

#endif
