/* The source of a route with a target: the answer is fetched from there, the request's body goes there. */
#ifndef PORTHOLE_EXCHANGE_FETCH_H
#define PORTHOLE_EXCHANGE_FETCH_H

#include "proxy/exchange/source.h"

extern const struct exchange_source fetch_source;

#endif
