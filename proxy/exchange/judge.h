/* What stands before a route's target when the route has rules on the body: holds the body, judges it when all of it
 * has come, and lets fetch have head and body only then. */
#ifndef PORTHOLE_EXCHANGE_JUDGE_H
#define PORTHOLE_EXCHANGE_JUDGE_H

#include "proxy/exchange/source.h"

extern const struct exchange_source judge_source;

#endif
