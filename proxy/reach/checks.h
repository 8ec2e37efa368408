/* Checks: all endpoints of all targets that have `health`, again and again, on the main thread.
 *
 *   RESTING ---> WAITING ---> AT WORK    its time has come; fewer than CHECKS_MOST_AT_ONCE are
 *      ^                         |
 *      +-------------------------+       it has ended: its standing is told, and the next is due an interval later
 *
 * What they find is in the standings that all workers share; nothing else is known to those. A reload takes two steps:
 * a plan has all that the next snapshot needs, and changes nothing; when it is adopted, the check of an endpoint that
 * stays, with the same `health`, goes on as if nothing had happened, whoever is new begins, and the others end. */
#ifndef PORTHOLE_REACH_CHECKS_H
#define PORTHOLE_REACH_CHECKS_H

#include "config/snapshot.h"
#include "proxy/base/loop.h"
#include "proxy/reach/commons.h"
#include "proxy/reach/resolver.h"

#define CHECKS_MOST_AT_ONCE 32

struct checks;
struct checks_plan;

/* Checks nothing yet. Everything is borrowed. NULL when out of memory. */
struct checks *checks_new(struct loop *loop, struct commons *commons, struct resolver *resolver) WARN_UNUSED;
/* Takes NULL. */
void checks_free(struct checks *checks);

/* What the snapshot asks for. It is kept, by references, for as long as its checks are. 0 with *ret_plan, or -ENOMEM.
 */
int checks_plan(struct checks *checks, struct snapshot *snapshot, struct checks_plan **ret_plan) WARN_UNUSED;
/* This is what is checked from now on. Takes the plan over. */
void checks_adopt(struct checks *checks, struct checks_plan *plan);
/* It comes to nothing. Takes NULL. */
void checks_plan_free(struct checks_plan *plan);

/* The first of each begins in the loop's next round, as of all that are adopted later. Takes NULL, as the next two. */
void checks_start(struct checks *checks);
/* Once per round of the loop: what other threads have for the checks. */
void checks_attend(struct checks *checks);
/* How many descriptors they use at most. */
unsigned checks_n_descriptors(const struct checks *checks);

#endif
