/* An exchange: one request with its response, from the first line to the log. Its states are drawn in state.h.
 *
 * It sees its client only through struct exchange_client (side.h), and whoever answers only through struct
 * exchange_source. One thread: its worker's. Here is its life; request.h is what the client says, answer.h what it is
 * told. */
#ifndef PORTHOLE_EXCHANGE_EXCHANGE_H
#define PORTHOLE_EXCHANGE_EXCHANGE_H

#include "proxy/exchange/env.h"
#include "proxy/exchange/side.h"
#include "proxy/report/failure.h"

struct exchange;

/* Begins when the request-target is known, which is copied. NULL when out of memory, which has been recorded. */
struct exchange *exchange_new(struct exchange_env *env, struct exchange_client *client, struct text target);

/* The exchange fails (first of all causes: later ones do not count); what it holds of its target is let go at once. */
void exchange_fail(struct exchange *exchange, enum outcome outcome);
void exchange_fail_as(struct exchange *exchange, const struct failure *failure);
/* The same for a request that we refuse: what is still to come of it is not waited for. */
void exchange_refuse(struct exchange *exchange, enum outcome outcome, const char *reason);
/* Whether it has ended badly already. */
bool exchange_failed(const struct exchange *exchange);

/* The end: records and frees. `delivered`: the client has been given the whole answer. Takes NULL. */
void exchange_end(struct exchange *exchange, bool delivered);

#endif
