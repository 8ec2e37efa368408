/* The source of a route that has its response in the configuration. */
#ifndef PORTHOLE_EXCHANGE_RESPOND_H
#define PORTHOLE_EXCHANGE_RESPOND_H

#include "proxy/exchange/source.h"

extern const struct exchange_source respond_source;

#endif
