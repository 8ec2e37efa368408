/* The source of those who have failed: tells the outcome (RFC 9457), or cuts what another one has begun to tell. */
#ifndef PORTHOLE_EXCHANGE_PROBLEM_H
#define PORTHOLE_EXCHANGE_PROBLEM_H

#include "proxy/exchange/source.h"

extern const struct exchange_source problem_source;

/* Writes one, as snprintf does: what it is called in the log, and `detail`, in which nothing needs an escape. */
int problem_write(struct exchange *exchange, char *out, size_t size, unsigned status, const char *outcome,
                  const char *detail);

#endif
