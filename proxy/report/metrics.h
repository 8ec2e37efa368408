/* Counters of one worker: written by it alone, readable by any thread at any time. */
#ifndef PORTHOLE_REPORT_METRICS_H
#define PORTHOLE_REPORT_METRICS_H

#include <stdatomic.h>
#include <stdint.h>

#include "proxy/report/outcome.h"

/* One writer, so that counting is a plain load and store, without a locked instruction. */
struct counter {
    _Atomic uint64_t value;
};

static inline void counter_add(struct counter *counter, uint64_t n)
{
    uint64_t old = atomic_load_explicit(&counter->value, memory_order_relaxed);

    atomic_store_explicit(&counter->value, old + n, memory_order_relaxed);
}

/* For what is not counted: remembers the most that there was. */
static inline void counter_raise(struct counter *counter, uint64_t n)
{
    if (n > atomic_load_explicit(&counter->value, memory_order_relaxed))
        atomic_store_explicit(&counter->value, n, memory_order_relaxed);
}

static inline uint64_t counter_read(const struct counter *counter)
{
    return atomic_load_explicit(&counter->value, memory_order_relaxed);
}

struct metrics {
    struct counter outcomes[N_OUTCOMES];
    struct counter connections;     /* accepted */
    struct counter longest_wait_ms; /* of a client that found no place, until it had one */
    struct counter peers_refused;   /* closed at once: no peer rule matched, or too many of one user */
    struct counter received_bytes;  /* request bodies */
    struct counter sent_bytes;      /* response bodies */
    struct counter retries;         /* connections and requests that were tried again */
    struct counter dropped_lines;   /* of the access log */
    struct counter tunnels;         /* begun */
    struct counter tunnel_received_bytes, tunnel_sent_bytes;
};

#endif
