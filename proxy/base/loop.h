/* One thread's event loop: epoll and timers. Nothing here is thread-safe except loop_wake. */
#ifndef PORTHOLE_BASE_LOOP_H
#define PORTHOLE_BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "proxy/base/clock.h"
#include "proxy/base/error.h"
#include "proxy/base/list.h"

struct loop;
struct source;
struct timer;

typedef void source_fn(struct source *source, uint32_t events);
typedef void timer_fn(struct timer *timer);
typedef void loop_hook(void *closure);

/* Interest in one descriptor, embedded in its owner. The descriptor stays the owner's. */
struct source {
    int fd;            /* borrowed, -1 when not in a loop */
    uint32_t events;   /* what epoll was asked for */
    int pending;       /* not 0: something has happened that it has not been called for yet; the place in the batch */
    source_fn *fn;     /* called with the events that happened */
    struct loop *loop; /* borrowed, NULL when not in a loop */
};

#define SOURCE_INIT \
    {               \
        .fd = -1    \
    }

/* A deadline, embedded in its owner. Arming and disarming is O(1); it fires at most once per arming,
 * never early, and late by at most the wheel's tick (LOOP_TICK_MS) plus what the loop is busy with. */
struct timer {
    struct list link;  /* linked while armed */
    uint64_t due_tick; /* in ticks of the loop */
    timer_fn *fn;      /* set by timer_init */
};

#define LOOP_TICK_MS 4

/* Makes an empty loop. NULL with errno when out of memory or descriptors. */
struct loop *loop_new(void);
/* Takes NULL. Sources and timers must have been removed or must never be touched again. */
void loop_free(struct loop *loop);

/* Adds fd with the given epoll events (EPOLLET, EPOLLEXCLUSIVE allowed). 0 or a negative errno. */
int loop_add(struct loop *loop, struct source *source, int fd, uint32_t events, source_fn *fn) WARN_UNUSED;
/* For loop_modify, where they are others. */
int loop_change(struct source *source, uint32_t events) WARN_UNUSED;
/* Changes the events; does nothing when they are the same already. 0 or a negative errno. */
static inline WARN_UNUSED int loop_modify(struct source *source, uint32_t events)
{
    return events == source->events ? 0 : loop_change(source, events);
}
/* Takes the source out (call before closing the descriptor) and forgets events already fetched for
 * it, so that its owner can be freed inside any callback. Harmless when it is in no loop. */
void loop_remove(struct source *source);

/* Waits at most timeout_ms (-1: until something happens; 0: just look) or until the next timer is due, then runs
 * callbacks: sources first, timers after. A timer fires only when every source that was ready by then has been called.
 * A signal ends the wait early. Returns how many callbacks ran, or a negative errno. */
int loop_run_once(struct loop *loop, int timeout_ms) WARN_UNUSED;

/* Somebody else has looked at descriptors of theirs, or is about to: what the loop knows is older than that. */
void loop_outdate(struct loop *loop);
/* Looks at what is ready if what is known is outdated: it is `pending`, to be called for in the next round. False when
 * there was more than could be looked at. One system call, after which many can rely on it. */
bool loop_look(struct loop *loop);
/* A source that knows what has happened: it need not be called for it. */
void loop_forget(struct source *source);

/* Before timers fire `hook` is called, so that what the sources have only noted is dealt with by then. NULL: none. */
void loop_before_timers(struct loop *loop, loop_hook *hook, void *closure);

/* Makes a loop_run_once that waits, now or next, return. Any thread, and async-signal-safe. */
void loop_wake(struct loop *loop);

/* The loop's idea of now: read once per wake-up, so cheap and equal for everything in one round. */
struct instant loop_now(const struct loop *loop);

static inline void timer_init(struct timer *timer, timer_fn *fn)
{
    list_init(&timer->link);
    timer->due_tick = 0;
    timer->fn = fn;
}

/* (Re)arms: fires `ms` from loop_now. */
void timer_arm(struct loop *loop, struct timer *timer, uint64_t ms);

static inline void timer_disarm(struct timer *timer)
{
    list_remove(&timer->link);
}

static inline bool timer_armed(const struct timer *timer)
{
    return list_linked(&timer->link);
}

#endif
