/* Two clocks that cannot be mixed: instants for deadlines, wall time for logs. */
#ifndef PORTHOLE_BASE_CLOCK_H
#define PORTHOLE_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* A point on CLOCK_MONOTONIC. */
struct instant {
    uint64_t ns;
};

/* A point on CLOCK_REALTIME. */
struct wall_time {
    uint64_t ns; /* since 1970-01-01T00:00:00Z */
};

static inline struct instant instant_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (struct instant){(uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec};
}

static inline struct wall_time wall_time_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (struct wall_time){(uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec};
}

static inline struct instant instant_add_ms(struct instant at, uint64_t ms)
{
    return (struct instant){at.ns + ms * 1000000u};
}

static inline bool instant_before(struct instant a, struct instant b)
{
    return a.ns < b.ns;
}

/* Microseconds from `from` to `to`, 0 if `to` is earlier. */
static inline uint64_t instant_elapsed_us(struct instant from, struct instant to)
{
    return to.ns > from.ns ? (to.ns - from.ns) / 1000u : 0;
}

/* Whether so much has passed since a deadline that a process that runs would have noticed it: this one was stopped or
 * frozen, and what it waits for may have come in time. */
#define INSTANT_OVERSLEPT_MS 250
static inline bool instant_is_overslept(struct instant deadline, struct instant now)
{
    return instant_before(instant_add_ms(deadline, INSTANT_OVERSLEPT_MS), now);
}

#endif
