/* Admission: how many clients a listener has, how many of each user, and who waits for a place.
 *
 *   admission   one for each listener, shared by all workers: the counts
 *     desk      one worker's part of it: gives passes and takes them back, and waits when there is none
 *       pass    what a client or a tunnel holds from being accepted to its end
 *
 * Giving a pass back tells every desk that waits for one, in whichever worker it is. */
#ifndef PORTHOLE_LISTEN_ADMISSION_H
#define PORTHOLE_LISTEN_ADMISSION_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "config/snapshot.h"
#include "proxy/base/error.h"

struct admission;
struct admission_user;

/* Somebody whose user is not known, or not counted: a TCP peer, and a peer that does not tell. */
#define ADMISSION_NOBODY ((uid_t)-1)

/* One worker's part. Owned by the admission; what is not atomic belongs to the worker's thread. */
struct admission_desk {
    struct admission *admission;               /* borrowed */
    atomic_bool waiting;                       /* to be told of the next place */
    void (*told)(struct admission_desk *desk); /* there may be a place; called by any thread */
    void *closure;                             /* of whoever is told */
};

/* Embedded in its holder; of one thread. */
struct admission_pass {
    struct admission_desk *desk; /* NULL: none is held */
    uid_t uid;                   /* whose it is counted as, or ADMISSION_NOBODY */
};

#define ADMISSION_PASS_INIT    \
    {                          \
        NULL, ADMISSION_NOBODY \
    }

struct admission {
    const struct listener_config *config; /* borrowed from the snapshot that the server holds */
    struct admission_desk *desks;         /* owned; one for each worker */
    size_t n_desks;
    atomic_uint n_clients;
    atomic_uint n_waiting;        /* desks */
    pthread_mutex_t lock;         /* of what follows */
    struct admission_user *users; /* owned; those who have a client */
    size_t n_users, capacity;
};

/* 0 or -ENOMEM. Deinit takes one of zeros. */
int admission_init(struct admission *admission, const struct listener_config *config, size_t n_workers) WARN_UNUSED;
void admission_deinit(struct admission *admission);

/* A pass for somebody whose user is not known yet; false when the listener has as many as it may (unless `anyway`). */
bool admission_enter(struct admission_desk *desk, bool anyway, struct admission_pass *ret_pass) WARN_UNUSED;
/* Its user turned out to be this one; false when that user has as many as it may, or when out of memory: the client is
 * to be turned away. Costs nothing on a listener without such a limit. */
bool admission_know(struct admission_pass *pass, uid_t uid) WARN_UNUSED;
/* Gives it back; harmless when none is held. */
void admission_leave(struct admission_pass *pass);
/* Hands a pass on: `from` holds none any more. */
struct admission_pass admission_steal(struct admission_pass *from);

/* There was no pass: desk->told will be called, at least once, after the next one is given back. Ask again after this,
 * and wait only then. */
void admission_wait(struct admission_desk *desk);
/* Does not wait any more; harmless when it did not. */
void admission_stop_waiting(struct admission_desk *desk);

#endif
