/* What the routes of a listener make of an exchange: who answers it. */
#ifndef PORTHOLE_EXCHANGE_RULES_H
#define PORTHOLE_EXCHANGE_RULES_H

#include <stdbool.h>

struct exchange;

/* Finds the route, and with it the source; a request that none takes is refused. Once the head was found good. */
void exchange_rule(struct exchange *exchange);

#endif
