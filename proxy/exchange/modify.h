/* What a route changes about an exchange's messages: the head for its target, and the fields of its answer.
 *
 * References are expanded once for each, into a worker's scratch memory, and what comes out is copied into one block
 * that the exchange owns: it outlives a secret that changes meanwhile, and a head may have to be written twice. Routes
 * that change nothing cost a look. */
#ifndef PORTHOLE_EXCHANGE_MODIFY_H
#define PORTHOLE_EXCHANGE_MODIFY_H

#include <stdbool.h>

#include "proxy/exchange/source.h"
#include "proxy/http/template.h"

struct exchange;

/* Sets exchange.forward.edit where the route changes the request. False when it cannot: the exchange has failed. */
bool modify_request(struct exchange *exchange);
/* Changes the fields of an answer where the route does. False when it cannot: the exchange has failed, and the problem
 * is to answer. */
bool modify_answer(struct exchange *exchange, struct answer *answer);
/* Marks what is not passed on of fields that come before the answer's head or behind it, and of the request's trailers.
 */
void modify_response_fields(struct exchange *exchange, struct fields *fields);
void modify_request_trailers(struct exchange *exchange, struct fields *trailers);

#endif
