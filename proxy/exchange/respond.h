/* The sources of routes that have their response in the configuration: an answer, or a refusal. (Of a route with rules
 * on bodies it is what they refuse; see judge.h.) */
#ifndef PORTHOLE_EXCHANGE_RESPOND_H
#define PORTHOLE_EXCHANGE_RESPOND_H

#include "proxy/exchange/source.h"

extern const struct exchange_source respond_source;
extern const struct exchange_source deny_source;

#endif
