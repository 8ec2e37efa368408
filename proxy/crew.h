/* The crew: the workers of the process. Those that serve are there from the start to the end. Admin listeners have one
 * more, the last, from the first of them on, be that at the start or by a reload: who has none has no thread of theirs.
 * It stays when the last of them is removed, and waits for the next. Main thread. */
#ifndef PORTHOLE_CREW_H
#define PORTHOLE_CREW_H

#include <stdatomic.h>
#include <stdbool.h>

#include "proxy/admin/admin.h"
#include "proxy/listeners.h"
#include "proxy/pulse.h"
#include "proxy/worker.h"

/* Embedded in the server. */
struct crew {
    struct worker_setup setup; /* lent: what they have in common */
    struct admin *admin;       /* lent, like the next two */
    struct pulse *pulse;
    struct loop *loop;       /* woken when a worker has drained or stopped */
    struct worker **workers; /* owned */
    size_t n;
    uint64_t n_descriptors_each; /* that one worker has from its making on */
    atomic_uint n_drained;       /* that accept no more */
    atomic_uint n_stopped;       /* whose last client has left */
};

/* What is lent is set already. Makes those that serve a snapshot's listeners, all of which are in the list. 0 or a
 * negative errno with the error set. */
int crew_make(struct crew *crew, struct snapshot *snapshot, const struct listeners *listeners,
              struct error *error) WARN_UNUSED;
/* Starts their threads. 0 or a negative errno with the error set. */
int crew_start(struct crew *crew, struct error *error) WARN_UNUSED;
/* After that: makes and starts what another snapshot needs besides, with no seats yet: the first admin listener's
 * worker. `running` is what the others serve. 0 or a negative errno with the error set, and nothing changed. */
int crew_complete(struct crew *crew, const struct snapshot *next, struct snapshot *running,
                  const struct listeners *listeners, struct error *error) WARN_UNUSED;
/* They have ended, or end now at once. Harmless on one of zeros. */
void crew_deinit(struct crew *crew);

/* Before crew_start: for the first socket of each listener nothing will be wanting. 0 or a negative errno. */
int crew_reserve(struct crew *crew, const struct listeners *listeners) WARN_UNUSED;
/* It has been published, perhaps again: all serve it. 0; or a negative errno, and it is told who cannot. */
int crew_serve(struct crew *crew, struct served *served);
/* All of worker_leave, worker_stop, worker_leave_listener, worker_watch_listener_again. */
void crew_leave(struct crew *crew);
void crew_stop(struct crew *crew, uint64_t deadline_ms);
void crew_leave_listener(struct crew *crew, struct served *served);
void crew_watch_listener_again(struct crew *crew, struct served *served);

/* Nobody accepts any more; nobody has a client any more. */
static inline bool crew_has_drained(const struct crew *crew)
{
    return atomic_load(&crew->n_drained) >= crew->n;
}
static inline bool crew_has_stopped(const struct crew *crew)
{
    return atomic_load(&crew->n_stopped) >= crew->n;
}

#endif
