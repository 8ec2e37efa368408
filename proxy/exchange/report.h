/* The record of an exchange's end. */
#ifndef PORTHOLE_EXCHANGE_REPORT_H
#define PORTHOLE_EXCHANGE_REPORT_H

#include "proxy/exchange/env.h"
#include "proxy/exchange/side.h"

struct exchange;

/* What there is to say of an exchange up to now; texts are borrowed from it. */
struct record exchange_describe(struct exchange *exchange, enum outcome outcome, bool delivered);
/* Records its end, once. */
void exchange_report(struct exchange *exchange, bool delivered);
/* Records the end of a request that never was an exchange. status: what the client was told, 0 for nothing. */
void exchange_report_none(struct exchange_env *env, const struct exchange_client *client, struct instant begun,
                          enum outcome outcome, unsigned status);

#endif
