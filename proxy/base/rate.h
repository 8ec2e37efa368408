/* A rate of events, counted by all threads: a token bucket, for everybody or for each of many.
 *
 * A bucket is one number, the time at which it would be full again (the "generic cell rate algorithm" of ATM, ITU-T
 * I.371): nothing ticks. Whoever has not come for so long that its bucket is full needs none, so that memory is bounded
 * without forgetting anybody who counts. */
#ifndef PORTHOLE_BASE_RATE_H
#define PORTHOLE_BASE_RATE_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/base/clock.h"
#include "proxy/base/error.h"

/* Whose buckets are not full at the same time; those beyond share one. */
#define RATE_MOST_KEYS 1024

struct rate;

/* `n` events in `per_ms`, evenly, and `burst` at once after a pause; all at least 1. `keyed`: one bucket for each key
 * rather than one for all. NULL when out of memory. */
struct rate *rate_new(uint32_t n, uint64_t per_ms, uint32_t burst, bool keyed) WARN_UNUSED;
/* Another reference to the one that rate_new gave; and one back, the last of which frees it. Any thread. unref takes
 * NULL. */
struct rate *rate_ref(struct rate *rate);
void rate_unref(struct rate *rate);

/* Whether one more event is within the rate, which then counts; else after how many milliseconds one would be. Any
 * thread. */
bool rate_take(struct rate *rate, uint32_t key, struct instant now, uint64_t *ret_wait_ms);

#endif
