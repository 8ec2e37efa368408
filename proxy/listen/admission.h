/* Admission: how many clients a listener has, how many of each user, who waits for a place, and who makes room.
 *
 *   house         the process: how many descriptors clients may have
 *     admission   one for each listener, shared by all workers: the counts
 *       desk      one worker's part of it: gives passes and takes them back, knows who is idle, and waits for a place
 *         pass    what a client or a tunnel holds from being accepted to its end
 *
 * A pass is for somebody whose user is known: who may not come in at all is gone before, and costs nobody a place. One
 * user may have limits.connections; all together a seventh more, of which each may take another only as base/shares
 * says, so that nobody is shut out. Who finds no place takes that of an idle client of its own user, or of a user who
 * has more: the one with the most, and of those the one that has been idle for longest. Only a desk's own worker
 * touches its clients: others ask it.
 *
 * Giving a pass back tells the desks that wait for one, in whichever worker they are.
 *
 * Listeners come and go while workers run. An admission is in the house as long as desks of it may be told of
 * something, and lives until the last of its passes is back (admission_is_over); it has copies of the limits, for no
 * two threads have the same configuration during a reload. */
#ifndef PORTHOLE_LISTEN_ADMISSION_H
#define PORTHOLE_LISTEN_ADMISSION_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "config/snapshot.h"
#include "proxy/base/clock.h"
#include "proxy/base/error.h"
#include "proxy/base/list.h"
#include "proxy/listen/brake.h"
#include "proxy/listen/episode.h"

struct admission;
struct admission_user;

/* Somebody whose user is not known, or not counted: a TCP peer, and a peer that does not tell. */
#define ADMISSION_NOBODY ((uid_t)-1)

/* Nobody who is idle for less makes room: a client that has just connected, or has just been answered, is about to send
 * its next request. */
#define ADMISSION_IDLE_LEAST_MS 50

enum admission_verdict {
    ADMISSION_IN,
    ADMISSION_FULL,           /* the listener has no place for another of this user */
    ADMISSION_USER_FULL,      /* the user has as many as limits.connections_per_uid */
    ADMISSION_NO_DESCRIPTORS, /* the process has as many as its descriptors allow */
    ADMISSION_NO_MEMORY,      /* as many as its memory allows for now: told of who has not been accepted yet only */
};

/* For whoever looks after the process, probes first of all: nobody else's clients get these. */
#define ADMISSION_ADMIN_DESCRIPTORS 8

/* The process. Embedded in the server, from before the first admission to after the last. */
struct admission_house {
    pthread_mutex_t lock;   /* of the next; held while desks of it are told */
    struct list admissions; /* of admission */
    /* Of all listeners together, but for those of admin listeners: the other descriptors are for these, targets, health
     * and logs. */
    atomic_uint most_clients;
    atomic_uint n_clients; /* with those who wait for a place */
    atomic_uint n_waiting; /* desks */
    struct brake brake;    /* memory */
    struct episode shortage;
};

/* Of a listener: limits.connections and limits.connections_per_uid. */
struct admission_limits {
    uint32_t connections, connections_per_uid;
};

/* One worker's part. Owned by the admission; what is not atomic belongs to the worker's thread. */
struct admission_desk {
    struct admission *admission; /* borrowed */
    struct list idle;            /* of admission_pass, longest first */
    /* Since when the first of them is, UINT64_MAX when there is none: for other workers. */
    atomic_uint_fast64_t idle_since_ns;
    atomic_uint n_idle, n_tunnels; /* written by the worker only */
    atomic_uint asked_for;         /* one is to make room for this user; if asked_by_user */
    atomic_bool asked_by_user;
    atomic_bool asked;                         /* the first of them is to make room, whoever it is */
    atomic_bool waiting;                       /* to be told of the next place */
    atomic_bool short_of;                      /* waits for a descriptor, or for memory: a place anywhere will do */
    void (*told)(struct admission_desk *desk); /* there may be a place, or it is asked; called by any thread */
    void *closure;                             /* of whoever is told */
};

/* Embedded in its holder; of one thread. */
struct admission_pass {
    struct admission_desk *desk; /* NULL: none is held */
    uid_t uid;                   /* whose it is, or ADMISSION_NOBODY */
    bool counted;                /* as that user's; not when out of memory */
    bool idle;                   /* its holder does nothing: it is in desk->idle by link */
    bool tunnel;                 /* its holder is one */
    bool yielded;                /* its place is another's: only the descriptor still counts */
    struct list link;
    struct instant idle_since;
};

struct admission {
    struct admission_house *house; /* borrowed */
    struct list link;              /* in house->admissions, or alone */
    struct admission_desk *desks;  /* owned; one for each worker */
    size_t n_desks;
    bool is_admin;         /* of a listener with pages; stays so */
    bool shared;           /* the listener's socket is (struct listener): for whoever empties its backlog */
    atomic_uint n_clients; /* changed with the lock held */
    atomic_uint n_passes;  /* those who have yielded, too */
    atomic_uint n_lodged;  /* who are accepted and wait */
    atomic_uint n_seats;   /* of workers: whom its desks tell */
    struct episode crowding;
    pthread_mutex_t lock; /* of what follows */
    struct admission_limits limits;
    struct admission_user *users; /* owned; those who have a client */
    size_t n_users, capacity;
};

/* Without a limit, until most_clients is set. */
void admission_house_init(struct admission_house *house);
void admission_house_deinit(struct admission_house *house);

/* The limits are those of `config`, which is not kept. 0 or -ENOMEM. Deinit takes one of zeros. */
int admission_init(struct admission *admission, struct admission_house *house, const struct listener_config *config,
                   size_t n_workers) WARN_UNUSED;
void admission_deinit(struct admission *admission);

/* Other limits from now on: those who are in stay, and who waits may have a place now. Any thread. */
void admission_limit(struct admission *admission, const struct listener_config *config);
/* Out of the house: its desks are told of nothing any more, once this returns. Nobody may come in. Harmless twice. */
void admission_retire(struct admission *admission);
/* Whether the last pass is back. */
static inline bool admission_is_over(const struct admission *admission)
{
    return atomic_load(&admission->n_passes) == 0;
}

static inline uint32_t admission_most_for(uint32_t limit_connections)
{
    return limit_connections + (limit_connections + 6) / 7;
}
/* How many clients a listener may have, of all users. */
static inline uint32_t admission_most(const struct listener_config *config)
{
    return admission_most_for(config->limit_connections);
}

/* A pass for one of this user, or of ADMISSION_NOBODY; with `anyway` whatever the limits. */
enum admission_verdict admission_enter(struct admission_desk *desk, uid_t uid, bool anyway,
                                       struct admission_pass *ret_pass) WARN_UNUSED;
/* Gives it back; harmless when none is held. */
void admission_leave(struct admission_pass *pass);
/* Its holder is going: the place is another's from now on, its descriptor is not. */
void admission_yield(struct admission_pass *pass);
/* The same, and the place is this user's: a pass for it, unless there is no descriptor for another. */
enum admission_verdict admission_replace(struct admission_pass *old, uid_t uid,
                                         struct admission_pass *ret_pass) WARN_UNUSED;
/* Hands a pass on: `from` holds none any more. */
struct admission_pass admission_steal(struct admission_pass *from);

/* Its holder has become a tunnel, for the counts. */
void admission_tunnel(struct admission_pass *pass);

/* What a listener's clients are doing, at about the same time; by any thread. */
struct admission_counts {
    unsigned n_clients, n_tunnels, n_idle; /* of them */
    unsigned n_waiting;                    /* besides: for a place, or for a descriptor */
};

struct admission_counts admission_count(const struct admission *admission);

/* ---- who could make room ---- */

/* The holder has nothing under way, or has. Each harmless twice. */
void admission_idle(struct admission_pass *pass, struct instant now);
void admission_busy(struct admission_pass *pass);
/* Whose place, of this desk's, is for one of this user who was told `why`. NULL when there is none.
 *
 * FULL: its own, or one of a user who has at least two more. USER_FULL: its own, and however short it has been idle,
 * since the other choice is to turn another client of the same user away. NO_DESCRIPTORS: whoever has been idle for
 * longest. */
struct admission_pass *admission_longest(struct admission_desk *desk, uid_t uid, enum admission_verdict why,
                                         struct instant now);

#define ADMISSION_NOBODY_IS_IDLE UINT64_MAX
/* Who has been idle for longest, on any listener? Stores its desk in *ret_desk, and asks that to let it go unless it is
 * the caller's own: any other may go at any time. 0, or in how many milliseconds somebody will have been idle for long
 * enough, or ADMISSION_NOBODY_IS_IDLE. */
uint64_t admission_ask(struct admission_desk *desk, struct instant now, struct admission_desk **ret_desk);
/* In how many milliseconds the first of this desk will have been; or ADMISSION_NOBODY_IS_IDLE. */
uint64_t admission_idle_in_ms(const struct admission_desk *desk, struct instant now);

/* There is no place for one of this user, and the caller's own desk cannot make one: asks the others who have somebody
 * idle. False when there is none. */
bool admission_ask_for(struct admission_desk *desk, uid_t uid);
/* What one of this user would be told now, and whether it may have somebody else's place. */
enum admission_verdict admission_look(struct admission *admission, uid_t uid);
/* How many a user has. */
uint32_t admission_n_of(struct admission *admission, uid_t uid);

/* ---- those who are accepted and wait: only their descriptors count ---- */

/* Whether there was one for it. It counts in any case. */
bool admission_lodge(struct admission *admission);
/* How many the process may have when one of this listener is to be among them. */
static inline uint32_t admission_most_clients(const struct admission *admission)
{
    uint32_t most = atomic_load(&admission->house->most_clients);

    return admission->is_admin && most < UINT32_MAX - ADMISSION_ADMIN_DESCRIPTORS ? most + ADMISSION_ADMIN_DESCRIPTORS
                                                                                  : most;
}
/* Whether there is one for another. */
static inline bool admission_has_descriptor(const struct admission *admission)
{
    return atomic_load(&admission->house->n_clients) < admission_most_clients(admission);
}
void admission_unlodge(struct admission *admission);
/* Whether there is memory for another. */
static inline bool admission_has_memory(const struct admission *admission)
{
    return admission->is_admin || brake_lets_in(&admission->house->brake, atomic_load(&admission->house->n_clients));
}

/* ---- waiting ---- */

/* There was no pass: desk->told will be called, at least once, after the next one is given back. Ask again after this,
 * and wait only then. Harmless twice. */
void admission_wait(struct admission_desk *desk, enum admission_verdict want);
/* There may be memory: whoever waits for that, or for descriptors, is told. */
void admission_tell_short(struct admission_house *house);
/* All desks that have somebody idle are asked to let them go, but for those of admin listeners. */
void admission_ask_all(struct admission_house *house);
/* Does not wait any more; harmless when it did not. */
void admission_stop_waiting(struct admission_desk *desk);

#endif
