/* The source of those who have failed: tells the outcome (RFC 9457), or cuts what another one has begun to tell. */
#ifndef PORTHOLE_EXCHANGE_PROBLEM_H
#define PORTHOLE_EXCHANGE_PROBLEM_H

#include "proxy/exchange/source.h"

extern const struct exchange_source problem_source;

#endif
