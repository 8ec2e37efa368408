/* The trace that an exchange belongs to, where its listener traces. */
#ifndef PORTHOLE_EXCHANGE_TRACING_H
#define PORTHOLE_EXCHANGE_TRACING_H

struct exchange;

/* The client's trace goes on with a span of ours; one that is absent, unreadable or given twice begins anew. */
void exchange_trace(struct exchange *exchange);

#endif
