/* The loop: one epoll instance and one wheel of timers.
 *
 * A round (loop_run_once) looks at descriptors, reads the clock, and calls the sources that are ready. When a timer is
 * due by that clock it looks again before the timer fires: at everything that was ready when the clock was read. A
 * process that was stopped, frozen or starved for longer than a time-out so finds what arrived meanwhile, and not the
 * time-out. What was found may lie in a library or on a list of things to do: whoever owns the loop deals with that in
 * the hook that runs between the two (loop_before_timers).
 *
 * It looks again, too, when there was more than a batch: what the owner does after the round (take an idle connection)
 * relies on having been told of everything that was ready in it (that the connection is of no use any more).
 *
 * "Everything" is bounded without counting time: epoll hands out what is ready in turns, and what is still ready after
 * its turn waits behind the others. After as many events as there are sources, each of them has had its turn. So busy
 * sources cannot put timers off for ever, and a round in which no timer is due and a batch is enough costs one
 * epoll_wait. */
#include "proxy/base/loop.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* How many events one epoll_wait fetches: enough to spread its cost over many connections, few enough
 * that loop_remove can search them. */
#define LOOP_BATCH 128

#define LOOP_TICK_NS (LOOP_TICK_MS * UINT64_C(1000000))

/* Seven digits of base 64: five centuries of ticks. */
#define WHEEL_DIGIT_BITS 6u
#define WHEEL_SLOTS (1u << WHEEL_DIGIT_BITS)
#define WHEEL_LEVELS 7u
#define WHEEL_LAST_TICK ((UINT64_C(1) << (WHEEL_DIGIT_BITS * WHEEL_LEVELS)) - 1)

/* Longer spans (35 years) are cut to this, so that no sum below can overflow. */
#define TIMER_MAX_MS (UINT64_C(1) << 40)

/* Timers by due tick, read as a number of base-64 digits. A timer lies at the level of the highest digit
 * in which its tick differs from the wheel's, in the slot of that digit's value. Everything at a level is
 * therefore due before everything at the next one, and the next slot is found by looking at bits.
 *
 * A timer may be due later than its slot says (timer_arm postpones without moving): whoever empties a
 * slot looks at due_tick and files again what is not due yet. */
struct wheel {
    uint64_t tick;                                /* everything due until here has fired */
    uint64_t occupied[WHEEL_LEVELS];              /* a bit for each slot; may be set for an empty one */
    struct list slots[WHEEL_LEVELS][WHEEL_SLOTS]; /* struct timer by link */
};

/* Owned by its thread; from loop_new to loop_free. */
struct loop {
    int epoll_fd; /* owned */
    int wake_fd;  /* owned; an eventfd, its event carries no source */
    struct instant now;
    struct wheel wheel;
    size_t n_sources;
    loop_hook *before_timers;             /* NULL: none */
    void *closure;                        /* of the hook */
    struct epoll_event batch[LOOP_BATCH]; /* data.ptr: the source, NULL when there is none any more */
    int batch_next;                       /* events from here to n_batch are still to be delivered */
    int n_batch;
    bool outdated; /* somebody else has looked later */
};

static_assert(UINT64_MAX / LOOP_TICK_NS / 2 <= WHEEL_LAST_TICK, "the wheel must hold 292 years of ticks");

static void wheel_init(struct wheel *wheel, uint64_t tick)
{
    wheel->tick = tick;
    for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
        wheel->occupied[level] = 0;
        for (unsigned slot = 0; slot < WHEEL_SLOTS; slot++)
            list_init(&wheel->slots[level][slot]);
    }
}

/* Files a timer that is in no list and due after wheel->tick. */
static void wheel_insert(struct wheel *wheel, struct timer *timer)
{
    unsigned highest_bit = 63u - (unsigned)__builtin_clzll(timer->due_tick ^ wheel->tick);
    unsigned level = highest_bit / WHEEL_DIGIT_BITS;
    unsigned slot = (timer->due_tick >> (level * WHEEL_DIGIT_BITS)) % WHEEL_SLOTS;

    wheel->occupied[level] |= UINT64_C(1) << slot;
    list_append(&wheel->slots[level][slot], &timer->link);
}

/* The first slot in use and, in *ret_tick, the tick at which it must be emptied. NULL when none is. */
static struct list *wheel_next(struct wheel *wheel, uint64_t *ret_tick)
{
    for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
        unsigned shift = level * WHEEL_DIGIT_BITS;

        while (wheel->occupied[level] != 0) {
            unsigned slot = (unsigned)__builtin_ctzll(wheel->occupied[level]);
            uint64_t higher_digits = wheel->tick >> shift >> WHEEL_DIGIT_BITS << WHEEL_DIGIT_BITS << shift;

            if (!list_empty(&wheel->slots[level][slot])) {
                *ret_tick = higher_digits | (uint64_t)slot << shift;
                return &wheel->slots[level][slot];
            }
            /* Disarming leaves the bit to us: it does not know the wheel. */
            wheel->occupied[level] &= ~(UINT64_C(1) << slot);
        }
    }
    return NULL;
}

/* Fires what is due in a slot and files the rest again. The slot is emptied first: callbacks may arm,
 * disarm and free any timer. */
static int wheel_empty_slot(struct wheel *wheel, struct list *slot)
{
    struct list taken = LIST_INIT(taken);
    struct list *link;
    int n_fired = 0;

    list_append(slot, &taken);
    list_remove(slot);
    while ((link = list_pop(&taken))) {
        struct timer *timer = CONTAINER_OF(link, struct timer, link);

        if (timer->due_tick > wheel->tick) {
            wheel_insert(wheel, timer);
            continue;
        }
        n_fired++;
        timer->fn(timer);
    }
    return n_fired;
}

/* Whether a slot is to be emptied on the way to `tick`. If none is, the wheel turns there. */
static bool wheel_is_due(struct wheel *wheel, uint64_t tick)
{
    uint64_t slot_tick;

    if (tick <= wheel->tick)
        return false;
    if (wheel_next(wheel, &slot_tick) && slot_tick <= tick)
        return true;
    wheel->tick = tick;
    return false;
}

/* Turns the wheel to `tick`. Returns how many timers fired. */
static int wheel_advance(struct wheel *wheel, uint64_t tick)
{
    struct list *slot;
    uint64_t slot_tick;
    int n_fired = 0;

    while ((slot = wheel_next(wheel, &slot_tick)) && slot_tick <= tick) {
        wheel->tick = slot_tick;
        n_fired += wheel_empty_slot(wheel, slot);
    }
    wheel->tick = tick;
    return n_fired;
}

struct loop *loop_new(void)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = NULL};
    struct loop *loop = calloc(1, sizeof(*loop));

    if (!loop)
        return NULL;
    loop->now = instant_now();
    wheel_init(&loop->wheel, loop->now.ns / LOOP_TICK_NS);
    loop->wake_fd = -1;
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd >= 0)
        loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    /* Edge-triggered: every write is an event of its own, so that nobody ever has to read. */
    if (loop->wake_fd < 0 || epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->wake_fd, &event) < 0) {
        loop_free(loop);
        return NULL;
    }
    return loop;
}

void loop_free(struct loop *loop)
{
    int saved_errno = errno;

    if (!loop)
        return;
    if (loop->wake_fd >= 0)
        close(loop->wake_fd);
    if (loop->epoll_fd >= 0)
        close(loop->epoll_fd);
    free(loop);
    errno = saved_errno;
}

static int loop_control(struct loop *loop, int operation, struct source *source, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = source};

    return epoll_ctl(loop->epoll_fd, operation, fd, &event) < 0 ? -errno : 0;
}

int loop_add(struct loop *loop, struct source *source, int fd, uint32_t events, source_fn *fn)
{
    int r;

    assert(!source->loop);
    r = loop_control(loop, EPOLL_CTL_ADD, source, fd, events);
    if (r < 0)
        return r;
    *source = (struct source){.fd = fd, .events = events, .fn = fn, .loop = loop};
    loop->n_sources++;
    return 0;
}

int loop_change(struct source *source, uint32_t events)
{
    int r;

    if ((events | source->events) & EPOLLEXCLUSIVE) {
        /* Linux refuses to modify an exclusive interest: it has to be made anew. */
        struct source old = *source;

        loop_remove(source);
        return loop_add(old.loop, source, old.fd, events, old.fn);
    }
    r = loop_control(source->loop, EPOLL_CTL_MOD, source, source->fd, events);
    if (r < 0)
        return r;
    source->events = events;
    return 0;
}

void loop_forget(struct source *source)
{
    struct loop *loop = source->loop;

    if (source->pending > 0)
        loop->batch[source->pending - 1].data.ptr = NULL;
    source->pending = 0;
}

void loop_remove(struct source *source)
{
    struct loop *loop = source->loop;

    if (!loop)
        return;
    loop_control(loop, EPOLL_CTL_DEL, source, source->fd, 0);
    loop->n_sources--;
    loop_forget(source);
    source->fd = -1;
    source->events = 0;
    source->loop = NULL;
}

/* How long epoll_wait may sleep: at most timeout_ms (-1: for ever) and until the next slot is due. */
static int loop_sleep_ms(struct loop *loop, int timeout_ms)
{
    uint64_t tick;
    uint64_t sleep_ms;

    if (timeout_ms == 0 || !wheel_next(&loop->wheel, &tick))
        return timeout_ms;
    if (tick * LOOP_TICK_NS <= loop->now.ns)
        return 0;
    sleep_ms = (tick * LOOP_TICK_NS - loop->now.ns + 999999) / 1000000;
    if (sleep_ms > INT_MAX)
        sleep_ms = INT_MAX;
    return timeout_ms < 0 || sleep_ms < (uint64_t)timeout_ms ? (int)sleep_ms : timeout_ms;
}

static int loop_dispatch(struct loop *loop)
{
    int n_called = 0;

    while (loop->batch_next < loop->n_batch) {
        struct epoll_event *event = &loop->batch[loop->batch_next++];
        struct source *source = event->data.ptr;

        if (!source)
            continue;
        n_called++;
        source->pending = 0;
        source->fn(source, event->events);
    }
    return n_called;
}

/* Takes n events behind the batch into it. A source is in it once: what has happened since is called for together. */
static void loop_file(struct loop *loop, int n)
{
    const struct epoll_event *events = loop->batch + loop->n_batch;

    for (int i = 0; i < n; i++) {
        struct epoll_event event = events[i];
        struct source *source = event.data.ptr;

        if (source && source->pending > 0) {
            loop->batch[source->pending - 1].events |= event.events;
            continue;
        }
        loop->batch[loop->n_batch++] = event;
        if (source)
            source->pending = loop->n_batch;
    }
}

/* Fetches a batch, or what finds room behind what is still to be delivered. A signal (that of being continued after a
 * stop, too) ends the sleep, not the look. Returns how many events there are, or a negative errno. */
static int loop_fetch(struct loop *loop, int sleep_ms)
{
    int n, n_room;

    if (loop->batch_next == loop->n_batch)
        loop->batch_next = loop->n_batch = 0;
    n_room = LOOP_BATCH - loop->n_batch;
    n = epoll_wait(loop->epoll_fd, loop->batch + loop->n_batch, n_room, sleep_ms);
    while (n < 0 && errno == EINTR)
        n = epoll_wait(loop->epoll_fd, loop->batch + loop->n_batch, n_room, 0);
    if (n < 0)
        return -errno;
    loop_file(loop, n);
    loop->outdated = loop->outdated && n == n_room;
    return n;
}

void loop_outdate(struct loop *loop)
{
    loop->outdated = true;
}

bool loop_look(struct loop *loop)
{
    if (loop->outdated && (loop->n_batch < LOOP_BATCH || loop->batch_next == loop->n_batch))
        (void)loop_fetch(loop, 0);
    return !loop->outdated;
}

/* Calls every source that was ready when this began. Returns how many were called, or a negative errno. */
static int loop_dispatch_all(struct loop *loop)
{
    size_t n_seen = 0, n_most = loop->n_sources + 1; /* and wake_fd */
    int n_called = 0;
    int n;

    do {
        n = loop_fetch(loop, 0);
        if (n < 0)
            return n;
        n_seen += (size_t)n;
        n_called += loop_dispatch(loop);
    } while (n == LOOP_BATCH && n_seen < n_most);
    return n_called;
}

int loop_run_once(struct loop *loop, int timeout_ms)
{
    int n_called, r = loop->n_batch - loop->batch_next;
    uint64_t tick;
    bool due;

    /* What loop_look has found is delivered first. */
    if (r == 0)
        r = loop_fetch(loop, loop_sleep_ms(loop, timeout_ms));
    if (r < 0)
        return r;
    loop->now = instant_now();
    tick = loop->now.ns / LOOP_TICK_NS;
    n_called = loop_dispatch(loop);
    due = wheel_is_due(&loop->wheel, tick);
    r = due || r == LOOP_BATCH ? loop_dispatch_all(loop) : 0;
    if (r < 0)
        return r;
    n_called += r;
    if (!due)
        return n_called;
    if (loop->before_timers)
        loop->before_timers(loop->closure);
    return n_called + wheel_advance(&loop->wheel, tick);
}

void loop_before_timers(struct loop *loop, loop_hook *hook, void *closure)
{
    loop->before_timers = hook;
    loop->closure = closure;
}

void loop_wake(struct loop *loop)
{
    int saved_errno = errno;
    const uint64_t one = 1;
    ssize_t n = write(loop->wake_fd, &one, sizeof(one));

    /* It cannot fail before 2^64 wake-ups. */
    (void)n;
    errno = saved_errno;
}

struct instant loop_now(const struct loop *loop)
{
    return loop->now;
}

void timer_arm(struct loop *loop, struct timer *timer, uint64_t ms)
{
    struct wheel *wheel = &loop->wheel;
    struct instant due = instant_add_ms(loop->now, ms < TIMER_MAX_MS ? ms : TIMER_MAX_MS);
    uint64_t tick = (due.ns + LOOP_TICK_NS - 1) / LOOP_TICK_NS;
    bool postponed = timer_armed(timer) && tick >= timer->due_tick;

    timer->due_tick = tick > wheel->tick ? tick : wheel->tick + 1;
    /* Time-outs are mostly pushed back, again and again, and seldom fire: their slot can wait. */
    if (postponed)
        return;
    list_remove(&timer->link);
    wheel_insert(wheel, timer);
}
