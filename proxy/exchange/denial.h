/* Requests that the rules of a listener refuse. */
#ifndef PORTHOLE_EXCHANGE_DENIAL_H
#define PORTHOLE_EXCHANGE_DENIAL_H

#include <stdbool.h>

struct exchange;

/* Where the listener only observes, what its rules refuse (reason: which one, for the log; NULL: the route) goes to the
 * target that it names for that, and is told. False where it does not. */
bool exchange_observe(struct exchange *exchange, const char *reason);

/* The rules refuse what the route has let in so far (reason: which one; for the log). False where the listener only
 * observes: that was told, and the exchange goes on. */
bool exchange_deny(struct exchange *exchange, const char *reason);

#endif
