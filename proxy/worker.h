/* A worker: a thread with one loop, its daemon, its targets, and the connections it owns for their whole life. */
#ifndef PORTHOLE_WORKER_H
#define PORTHOLE_WORKER_H

#include "config/snapshot.h"
#include "proxy/base/error.h"
#include "proxy/base/mailbox.h"
#include "proxy/listen/admission.h"
#include "proxy/reach/commons.h"
#include "proxy/report/metrics.h"
#include "proxy/report/series.h"

struct worker;
struct tap;
struct worker_change;
struct pages_host;
struct clients;
struct tunnels;

/* What the server lends to its workers. */
struct worker_setup {
    struct snapshot *snapshot;      /* the first; borrowed for worker_new only, like the next */
    struct admission **admissions;  /* by listener_config.index; each is shared by all workers */
    struct commons *commons;        /* shared by all workers */
    struct resolver *resolver;      /* borrowed; shared by all workers */
    struct tap *tap;                /* borrowed; the worker's; NULL: nobody can listen */
    struct series_book *series;     /* the same; NULL: nobody asks what threads cost */
    const struct brake *brake;      /* the same; while it is on, what is kept for later is given back; NULL: none */
    size_t index;                   /* of the worker: which desk is its */
    bool is_admin;                  /* it serves the listeners with pages, and no others */
    struct pages_host *pages;       /* borrowed; who answers there; NULL: nobody */
    void (*drained)(void *closure); /* called from the worker's thread: it will accept no more */
    void (*stopped)(void *closure); /* the same: its last client has left */
    void *closure;
};

/* Makes a worker; its thread starts with worker_start. NULL with the error set. */
struct worker *worker_new(const struct worker_setup *setup, struct error *error);
int worker_start(struct worker *worker, struct error *error) WARN_UNUSED;
/* From the thread that made it: serves on, but each answer closes its connection. Once. */
void worker_leave(struct worker *worker);
/* From the thread that made it: takes what is in the backlogs, then no more; finishes exchanges until deadline_ms from
 * now, cuts the rest. A second time: another deadline; later ones do nothing. */
void worker_stop(struct worker *worker, uint64_t deadline_ms);
/* Before worker_start, once: for the first of these nothing will be wanting. 0 or a negative errno. */
int worker_reserve_listener(struct worker *worker, struct admission *admission) WARN_UNUSED;
/* From any thread: a listener has been published, perhaps again: a duplicate of this descriptor is to be served; what
 * is in its old backlog is still served. What several ask for is done in their order. 0 or a negative errno. */
int worker_change_listener(struct worker *worker, struct admission *admission, int fd) WARN_UNUSED;
/* From any thread, a listener that is not served any more and of which the last pass is back: seats_forget. */
int worker_forget_listener(struct worker *worker, struct admission *admission) WARN_UNUSED;

/* Another generation for a worker, in two steps: everything that can fail, and then, when all workers are ready for it,
 * what cannot. Owned by who asks (the main thread), and lent to the worker from each step until it is answered. */
enum worker_step {
    WORKER_PREPARE, /* makes the generation, and what it needs */
    WORKER_COMMIT,  /* serves it from now on */
    WORKER_CLOSE,   /* nobody comes late to listeners that were removed any more */
    WORKER_ABORT,   /* lets go of what was prepared, if anything was */
};

struct worker_change {
    struct message message;
    struct worker *worker;
    enum worker_step step;
    struct snapshot *snapshot;     /* borrowed, like the next three */
    struct admission **admissions; /* of the snapshot's listeners, by listener_config.index */
    struct admission **removed;    /* of those that are served so far, and not by the snapshot */
    const bool *late;              /* the same: it is shut, and served on until WORKER_CLOSE */
    size_t n_removed;
    int *fds; /* owned, like each; by listener_config.index; -1 where it is served so far; taken by a commit */
    struct mailbox *answers; /* borrowed: where it comes back, as a message to be run */
    void (*answered)(struct worker_change *change);
    void *closure;      /* of whoever is answered */
    struct error error; /* of WORKER_PREPARE, or 0; nothing is prepared then. A worker that has ended: -ESHUTDOWN */
};

/* From the thread that answers come to. What a step leads to comes back through `answers`, in any case: from this
 * thread or the worker's. */
void worker_step(struct worker *worker, struct worker_change *change, enum worker_step step);

/* From any thread: a successor serves the listener, or whoever shared its socket has gone (seats). */
void worker_leave_listener(struct worker *worker, struct admission *admission);
void worker_watch_listener_again(struct worker *worker, struct admission *admission);
/* Waits for the thread. Workers tell each other of places: all must have been joined before the first is freed. */
void worker_join(struct worker *worker);
/* Joins and frees. Takes NULL. */
void worker_free(struct worker *worker);

const struct metrics *worker_metrics(const struct worker *worker);
/* For messages that say themselves what to do (message.run), from the worker's making to its end. */
struct mailbox *worker_mailbox(struct worker *worker);
/* Of its thread. */
const struct clients *worker_clients(const struct worker *worker);
const struct tunnels *worker_tunnels(const struct worker *worker);

#endif
