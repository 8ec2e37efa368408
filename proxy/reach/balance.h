/* Balance: which of a target's endpoints serves next. Looks at their states and changes none. */
#ifndef PORTHOLE_REACH_BALANCE_H
#define PORTHOLE_REACH_BALANCE_H

#include "proxy/reach/endpoint.h"

/* The one with the fewest connections busy or being made, the first of several. */
struct endpoint *balance_least_loaded(struct endpoint *const *endpoints, size_t n_endpoints);

/* At least one must be given. Most targets have no more: there is nothing to compare then. */
static inline struct endpoint *balance_choose(struct endpoint *const *endpoints, size_t n_endpoints)
{
    return n_endpoints == 1 ? endpoints[0] : balance_least_loaded(endpoints, n_endpoints);
}

#endif
