/* Places: how many connections a target may have at once, whatever worker they are in, and who waits for one.
 *
 * The places are shared between the users on whose behalf they are taken (base/shares.h): nobody takes all of them, and
 * each has a queue of its own, so that who waits long is never behind somebody else's crowd. A place that becomes free
 * is given to whoever is next, in whichever worker: one that waits in another is found in its inbox.
 *
 * Where there is one worker only, nothing is locked. */
#ifndef PORTHOLE_REACH_PLACES_H
#define PORTHOLE_REACH_PLACES_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "proxy/base/error.h"
#include "proxy/base/shares.h"
#include "proxy/base/state.h"
#include "proxy/reach/inbox.h"

/* A few are not worth keeping any free. */
#define PLACES_LEAST_SHARED 8

/* What somebody asks for, and holds.
 *
 *   NONE ----------> HELD          a place was free
 *    | ^              ^ |
 *    | +--------------|-+          given back, or handed on
 *    v                |
 *   WAITING ------> GIVEN          one became free, in another worker: it is in the inbox
 */
enum place_state { PLACE_NONE, PLACE_WAITING, PLACE_GIVEN, PLACE_HELD, N_PLACE_STATES };

extern const struct state_machine place_machine;

/* Embedded in its holder, all zero at first. Of one thread, but while it waits or is being given. */
struct place {
    enum place_state state;
    struct list link;    /* in share->waiting while WAITING, in the inbox while GIVEN */
    struct share *share; /* unless NONE; borrowed from the places */
    struct inbox *inbox; /* borrowed; of the worker that asks */
};

/* One target's, of all workers. */
struct places {
    bool is_shared;       /* between workers */
    pthread_mutex_t lock; /* of all that follows, if so */
    uint32_t most_waiting;
    atomic_uint most, n_held, n_waiting; /* changed with it held, read without */
    struct shares shares;
};

void places_init(struct places *places, bool is_shared);
/* Nobody holds or waits any more. */
void places_deinit(struct places *places);
/* How many there are and how many may wait. `first_come`: there is nobody with whom a user could have to share. */
void places_configure(struct places *places, uint32_t most, uint32_t most_waiting, bool first_come);

enum places_answer {
    PLACES_HELD,
    PLACES_WAIT, /* it will be handed out by places_free, or found in the inbox */
    PLACES_FULL, /* as many wait as may */
};

/* Asks for a place on behalf of this user, or of SHARES_NOBODY. */
enum places_answer places_ask(struct places *places, struct place *place, uid_t uid, struct inbox *inbox) WARN_UNUSED;
/* Does not want it any more, whether it waits, was given or is held; harmless when NONE. Call places_next if it had
 * been given or held. */
void places_withdraw(struct places *places, struct place *place);
/* What was taken out of the inbox is held now. */
void place_accept(struct place *place);
/* Hands what is held to somebody who will give it back by the share alone. */
struct share *place_hand_on(struct place *place);
/* Gives back what was handed on. */
void places_give_back(struct places *places, struct share *share);

static inline bool places_any_wait(const struct places *places)
{
    return atomic_load_explicit(&places->n_waiting, memory_order_relaxed) > 0;
}

/* For places_next, where some wait. */
struct place *places_hand_out(struct places *places, struct inbox *inbox);

/* After a place has become free: the next of those who wait and may have one, if it is one of `inbox`, which is held
 * now; those of others are told. NULL when there is none: until then call again. */
static inline struct place *places_next(struct places *places, struct inbox *inbox)
{
    return places_any_wait(places) ? places_hand_out(places, inbox) : NULL;
}

static inline uint32_t places_most(const struct places *places)
{
    return atomic_load_explicit(&places->most, memory_order_relaxed);
}

static inline uint32_t places_n_held(const struct places *places)
{
    return atomic_load_explicit(&places->n_held, memory_order_relaxed);
}

#endif
