/* A loop in which time is virtual: it passes only while the loop sleeps, exactly as long as the loop asked to. Included
 * once in a program, for what it defines takes the place of the C library's. */
#ifndef PORTHOLE_TESTS_LOOP_RIG_H
#define PORTHOLE_TESTS_LOOP_RIG_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/base/loop.h"

static uint64_t virtual_ns = UINT64_C(1234567890123);
static bool interrupt_next_wait;
static int n_waits;
/* At the next look that finds nothing the process is stopped for a while, during which a byte is written here. */
static int arrives_at = -1;

/* These two take the place of the C library's. */
int clock_gettime(clockid_t clock, struct timespec *ts)
{
    (void)clock;
    ts->tv_sec = (time_t)(virtual_ns / 1000000000);
    ts->tv_nsec = (long)(virtual_ns % 1000000000);
    return 0;
}

int epoll_wait(int epoll_fd, struct epoll_event *events, int n_max, int timeout_ms)
{
    int n;

    n_waits++;
    if (interrupt_next_wait) {
        interrupt_next_wait = false;
        errno = EINTR;
        return -1;
    }
    n = epoll_pwait(epoll_fd, events, n_max, timeout_ms < 0 ? -1 : 0, NULL);
    if (n == 0)
        virtual_ns += (uint64_t)timeout_ms * 1000000;
    if (n == 0 && arrives_at >= 0) {
        virtual_ns += UINT64_C(2500) * 1000000;
        assert_int_equal(write(arrives_at, "x", 1), 1);
        arrives_at = -1;
    }
    return n;
}

/* A timer that writes down when it fired. */
struct probe {
    struct timer timer;
    struct instant due;
    int n_fired;
    int order;            /* how many probes had fired before */
    struct probe *victim; /* what the callback acts on */
};

static struct loop *loop;
static int n_probes_fired;

static int probe_setup(void **state)
{
    (void)state;
    n_probes_fired = 0;
    loop = loop_new();
    return loop ? 0 : -1;
}

static int probe_teardown(void **state)
{
    (void)state;
    loop_free(loop);
    return 0;
}

static struct probe *probe_of(struct timer *timer)
{
    return CONTAINER_OF(timer, struct probe, timer);
}

/* Fires never early, and late by no more than a tick and the millisecond that epoll counts in. */
static void probe_fired(struct timer *timer)
{
    struct probe *probe = probe_of(timer);
    struct instant now = loop_now(loop);

    assert_false(timer_armed(timer));
    assert_true(now.ns >= probe->due.ns);
    assert_true(now.ns <= probe->due.ns + (LOOP_TICK_MS + 1) * UINT64_C(1000000));
    probe->n_fired++;
    probe->order = n_probes_fired++;
}

static void probe_arm(struct probe *probe, uint64_t ms)
{
    probe->due = instant_add_ms(loop_now(loop), ms);
    timer_arm(loop, &probe->timer, ms);
}

static void probe_init(struct probe *probe, timer_fn *fn)
{
    *probe = (struct probe){.order = -1};
    timer_init(&probe->timer, fn);
}

#define LOOP_TEST(name) cmocka_unit_test_setup_teardown(name, probe_setup, probe_teardown)

#endif
