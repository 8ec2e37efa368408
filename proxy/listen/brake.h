/* The brake: how many clients there is memory for. The main thread sets it at each look at the memory that is used;
 * acceptors of all workers heed it before they accept, at the cost of reading two numbers.
 *
 *   OFF <------> SLOW <------> FULL        each also straight to each: a look is a sample
 *
 *   OFF    all come that the free memory would bear if each took all that a client can; then a look, at once
 *   SLOW   some for each look, which are rarer; besides, whoever is idle for longest makes room for who comes
 *   FULL   nobody; and whoever is idle leaves
 *
 * Who is not let in stays in the backlog, and costs us nothing. Admin listeners are not braked. As many clients as take
 * a quarter of the limit at their worst are let in whatever is used, and BRAKE_LEAST in any case: so few are not what
 * memory is short of; it may be others in the control group, or memory that the C library cannot give back. */
#ifndef PORTHOLE_LISTEN_BRAKE_H
#define PORTHOLE_LISTEN_BRAKE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "proxy/base/memory_gauge.h"
#include "proxy/base/state.h"

/* Of the limit, in percent: where a state begins, and down to where it stays. */
#define BRAKE_SLOW_FROM 65u
#define BRAKE_SLOW_TO 60u
#define BRAKE_FULL_FROM 80u
#define BRAKE_FULL_TO 75u

#define BRAKE_LEAST 16u
#define BRAKE_LEAST_PART 4u /* of the limit a part of as many */
#define BRAKE_SLOWNESS 8u   /* for a look in SLOW a part of as many come */

enum brake_state { BRAKE_OFF, BRAKE_SLOW, BRAKE_FULL, N_BRAKE_STATES };

extern const struct state_machine brake_machine;

/* Embedded in the house of admissions. Set by the main thread, read by all. */
struct brake {
    atomic_uint state;                 /* enum brake_state */
    atomic_uint most;                  /* clients of all listeners until the next look; UINT32_MAX: as many as come */
    atomic_bool wanted;                /* a look, and `want` has been called for it */
    void (*want)(struct brake *brake); /* any thread; NULL: nobody looks */
    void *closure;
};

void brake_init(struct brake *brake);
/* Its one way from state to state. */
void brake_move(struct brake *brake, enum brake_state to);

/* Which state follows, for what a look has found. Without a limit OFF. */
enum brake_state brake_judge(enum brake_state state, const struct memory_figures *figures);
/* How many clients more may come until the next look, if each takes `each_bytes` at most. UINT32_MAX without a limit.
 */
uint32_t brake_room(enum brake_state state, const struct memory_figures *figures, uint64_t each_bytes);
/* How many are let in whatever is used. */
uint32_t brake_least(const struct memory_figures *figures, uint64_t each_bytes);
/* What a look has led to: the state has been set. */
void brake_allow(struct brake *brake, uint32_t n_clients, uint32_t room, uint32_t least);

/* NULL: OFF. */
static inline enum brake_state brake_state(const struct brake *brake)
{
    return !brake ? BRAKE_OFF : (enum brake_state)atomic_load_explicit(&brake->state, memory_order_relaxed);
}
/* Whether one may come beside n_clients. */
static inline bool brake_lets_in(const struct brake *brake, uint32_t n_clients)
{
    return n_clients < atomic_load_explicit(&brake->most, memory_order_relaxed);
}
/* Any thread: somebody would come if there were room. */
void brake_want_look(struct brake *brake);

#endif
