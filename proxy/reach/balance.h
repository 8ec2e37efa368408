/* Balance: which of a target's endpoints serves next. Looks at their states and changes none. */
#ifndef PORTHOLE_REACH_BALANCE_H
#define PORTHOLE_REACH_BALANCE_H

#include "proxy/reach/endpoint.h"

/* The one with the fewest connections busy or being made, the first of several. At least one must be given. */
struct endpoint *balance_choose(struct endpoint *const *endpoints, size_t n_endpoints);

#endif
