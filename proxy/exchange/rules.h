/* What the routes of a listener make of an exchange: who answers it. */
#ifndef PORTHOLE_EXCHANGE_RULES_H
#define PORTHOLE_EXCHANGE_RULES_H

#include <stdbool.h>

struct exchange;
struct fields;

/* Finds the route, and with it the source; a request that none takes is refused. Once the head was found good. */
void exchange_rule(struct exchange *exchange);

/* Drops the trailers under whose names a condition of some route has looked for a field of the head, in any spelling: a
 * server may take them for that. */
void exchange_rule_trailers(const struct exchange *exchange, struct fields *trailers);

#endif
