/* Checks: all endpoints of all targets that have `health`, again and again, on the main thread.
 *
 *   RESTING ---> WAITING ---> AT WORK    its time has come; fewer than CHECKS_MOST_AT_ONCE are
 *      ^                         |
 *      +-------------------------+       it has ended: its standing is told, and the next is due an interval later
 *
 * What they find is in the standings that all workers share; nothing else is known to those. */
#ifndef PORTHOLE_REACH_CHECKS_H
#define PORTHOLE_REACH_CHECKS_H

#include "config/snapshot.h"
#include "proxy/base/loop.h"
#include "proxy/reach/commons.h"
#include "proxy/reach/resolver.h"

#define CHECKS_MOST_AT_ONCE 32

struct checks;

/* Of the snapshot's targets, which the commons know by now: some worker has them. Everything is borrowed. *ret_checks
 * is NULL where there is nothing to check. 0 or -ENOMEM. */
int checks_new(struct loop *loop, struct commons *commons, struct resolver *resolver, const struct snapshot *snapshot,
               struct checks **ret_checks) WARN_UNUSED;
/* Takes NULL. */
void checks_free(struct checks *checks);

/* The first of each begins in the loop's next round. Takes NULL, as the next two. */
void checks_start(struct checks *checks);
/* Once per round of the loop: what other threads have for the checks. */
void checks_attend(struct checks *checks);
/* How many descriptors they use at most. */
unsigned checks_n_descriptors(const struct checks *checks);

#endif
