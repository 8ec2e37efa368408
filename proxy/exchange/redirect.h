/* The source of routes that send their clients elsewhere. */
#ifndef PORTHOLE_EXCHANGE_REDIRECT_H
#define PORTHOLE_EXCHANGE_REDIRECT_H

#include "proxy/exchange/source.h"

extern const struct exchange_source redirect_source;

#endif
