/* Standing: how well an endpoint of a target does, for all workers together.
 *
 *   GOOD ----> EJECTED    as many failures in a row as eject.failures
 *    ^ ^          |
 *    | +----------+       its time is over and one exchange, the probe, went well; if not, it is ejected for longer
 *    v
 *   DOWN                  as many checks failed as health.fall; as many went well as health.rise
 *
 * Both may be true of one: an endpoint is good when neither is. Nothing here says that an endpoint is not to be used:
 * the choice takes the best there is, and goes down the ranks as long as a request finds no connection.
 *
 * Where nothing is wrong it costs a look at two counters to learn that. Whatever changes is changed with a lock held,
 * and told in the log, once. Time is what the caller says it is. */
#ifndef PORTHOLE_REACH_STANDING_H
#define PORTHOLE_REACH_STANDING_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "config/snapshot.h"
#include "proxy/base/clock.h"
#include "proxy/base/list.h"

/* An ejection is never longer than so many times eject.for, nor than so long, unless eject.for is. */
#define STANDING_MOST_TIMES 10
#define STANDING_MOST_MS 300000
/* Of what is remembered of why one is out, terminated; the rest is cut. */
#define STANDING_REASON_BYTES 160

/* From the best to the worst. */
enum standing_rank { STANDING_GOOD, STANDING_EJECTED, STANDING_DOWN, N_STANDING_RANKS };

/* What a failure was seen by. */
enum standing_cause { STANDING_BY_CONNECT, STANDING_BY_SILENCE, STANDING_BY_STATUS };

/* One target's. Embedded in what all workers share of it. */
struct standings {
    const char *target;   /* borrowed; its name */
    pthread_mutex_t lock; /* of all that is not atomic, and of every change but to zero */
    struct list list;     /* of struct standing */
    bool ejects;
    struct eject_config rules;
    atomic_uint n_out; /* that are ejected or down */
};

/* One endpoint's in one target. */
struct standing {
    struct list link;
    struct standings *standings;
    unsigned n_references;
    char *key, *text;                   /* owned; what it is found by, and its address as a user wrote it */
    bool is_chosen;                     /* it has a weight, in the newest generation */
    atomic_bool is_down;                /* so say the checks */
    atomic_uint n_failures;             /* in a row */
    _Atomic uint64_t ejected_until_ns;  /* 0: it is not */
    _Atomic uint64_t probed_until_ns;   /* how long the probe is waited for; 0: there is none */
    _Atomic uint64_t ejected_ns;        /* when it was, last */
    struct instant back;                /* when that was over, last */
    unsigned n_ejections;               /* that its next one grows by */
    enum standing_cause cause;          /* of the last one */
    unsigned n_good, n_bad;             /* checks in a row */
    bool was_seen_bad;                  /* by a check, since it was ejected */
    struct instant changed;             /* when it was in or out last, ns 0: it has always been in */
    char reason[STANDING_REASON_BYTES]; /* while it is out: why, in words */
};

void standings_init(struct standings *standings, const char *target);
/* No reference is left. */
void standings_deinit(struct standings *standings);
/* What an ejection has left to go is not more than it would be by these rules; without any there is none. */
void standings_configure(struct standings *standings, bool ejects, const struct eject_config *rules);

/* A reference to the standing of this endpoint. Texts are copied. NULL when out of memory. Any thread. */
struct standing *standing_find(struct standings *standings, const char *key, const char *text) WARN_UNUSED;
/* Those, and no others, are counted among whom some may be ejected. */
void standings_choose(struct standings *standings, struct standing *const *chosen, size_t n);
/* Calls fn for each that there is, with the lock held. Any thread. */
void standings_look(struct standings *standings,
                    void (*fn)(void *closure, const struct standing *standing, enum standing_rank rank), void *closure);
/* Another one. Takes NULL, as the next. */
void standing_ref(struct standing *standing);
void standing_unref(struct standing *standing);

static inline bool standings_are_good(const struct standings *standings)
{
    return atomic_load_explicit(&standings->n_out, memory_order_relaxed) == 0;
}

/* One whose ejection is over is good until somebody claims to be its probe. */
enum standing_rank standing_rank(const struct standing *standing, struct instant now);
/* Somebody is about to use a good one: false when it needs a probe, and somebody else has become that. */
bool standing_claim(struct standing *standing, struct instant now) WARN_UNUSED;
/* The probe has learned nothing. */
void standing_unclaim(struct standing *standing);

/* An exchange that was begun there at `begun` went well, or did not; `why` in words. */
void standing_succeed_slowly(struct standing *standing, struct instant begun, struct instant now);
void standing_fail(struct standing *standing, enum standing_cause cause, const char *why, struct instant begun,
                   struct instant now);
/* It is not checked any more. */
void standing_uncheck(struct standing *standing);
/* A check has ended; `why` it is no good one, else NULL. So many in a row count. */
void standing_check(struct standing *standing, unsigned rise, unsigned fall, const char *why, struct instant now);

static inline void standing_succeed(struct standing *standing, struct instant begun, struct instant now)
{
    if (atomic_load_explicit(&standing->n_failures, memory_order_relaxed) > 0 ||
        atomic_load_explicit(&standing->ejected_until_ns, memory_order_relaxed) > 0)
        standing_succeed_slowly(standing, begun, now);
}

#endif
