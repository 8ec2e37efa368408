/* Time is virtual here: it passes only while the loop sleeps, exactly as long as the loop asked to. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
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

static void run_until_fired(int n)
{
    for (int i = 0; n_probes_fired < n; i++) {
        assert_true(loop_run_once(loop, 1000000000) >= 0);
        assert_true(i < 1000000);
    }
}

static void test_timer_order_is_that_of_the_deadlines(void **state)
{
    static const uint64_t ms[] = {300, 40, 0, 8, 20000, 41, 1000};
    static const int order[] = {4, 2, 0, 1, 6, 2, 5};
    struct probe probes[ARRAY_LENGTH(ms)];

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(ms); i++) {
        probe_init(&probes[i], probe_fired);
        probe_arm(&probes[i], ms[i]);
    }
    run_until_fired(ARRAY_LENGTH(ms));
    for (size_t i = 0; i < ARRAY_LENGTH(ms); i++) {
        assert_int_equal(probes[i].n_fired, 1);
        /* 40 and 41 ms may share a tick, and then their order is free. */
        assert_in_range(probes[i].order, order[i], order[i] + (order[i] == 2));
    }
}

static void test_timer_armed_again_fires_once_at_the_last_deadline(void **state)
{
    struct probe later;
    struct probe sooner;

    (void)state;
    probe_init(&later, probe_fired);
    probe_init(&sooner, probe_fired);
    probe_arm(&later, 8);
    probe_arm(&later, 5000);
    probe_arm(&sooner, 5000);
    probe_arm(&sooner, 8);
    run_until_fired(2);
    assert_int_equal(sooner.order, 0);
    assert_int_equal(later.order, 1);
    assert_int_equal(loop_run_once(loop, 100000), 0);
    assert_int_equal(n_probes_fired, 2);
}

static void test_timer_disarmed_does_not_fire(void **state)
{
    struct probe probe;

    (void)state;
    probe_init(&probe, probe_fired);
    timer_disarm(&probe.timer);
    probe_arm(&probe, 8);
    assert_true(timer_armed(&probe.timer));
    timer_disarm(&probe.timer);
    timer_disarm(&probe.timer);
    assert_false(timer_armed(&probe.timer));
    assert_int_equal(loop_run_once(loop, 1000), 0);
    assert_int_equal(probe.n_fired, 0);
    probe_arm(&probe, 8);
    run_until_fired(1);
}

static void probe_disarms_victim(struct timer *timer)
{
    probe_fired(timer);
    timer_disarm(&probe_of(timer)->victim->timer);
}

static void test_timer_disarmed_by_another_of_the_same_tick_does_not_fire(void **state)
{
    struct probe probes[2];

    (void)state;
    for (int i = 0; i < 2; i++) {
        probe_init(&probes[i], probe_disarms_victim);
        probes[i].victim = &probes[1 - i];
        probe_arm(&probes[i], 100);
    }
    run_until_fired(1);
    assert_int_equal(loop_run_once(loop, 1000), 0);
    assert_int_equal(n_probes_fired, 1);
}

static void probe_postpones_victim(struct timer *timer)
{
    probe_fired(timer);
    if (probe_of(timer)->victim->n_fired == 0)
        probe_arm(probe_of(timer)->victim, 100);
}

static void test_timer_postponed_by_another_of_the_same_tick_fires_later(void **state)
{
    struct probe probes[2];

    (void)state;
    for (int i = 0; i < 2; i++) {
        probe_init(&probes[i], probe_postpones_victim);
        probes[i].victim = &probes[1 - i];
        probe_arm(&probes[i], 100);
    }
    run_until_fired(2);
    assert_true(probes[0].due.ns != probes[1].due.ns);
}

static void probe_frees_both(struct timer *timer)
{
    probe_fired(timer);
    timer_disarm(&probe_of(timer)->victim->timer);
    free(probe_of(timer)->victim);
    free(probe_of(timer));
}

static void test_timer_callback_may_free_itself_and_another(void **state)
{
    struct probe *probes[2];

    (void)state;
    for (int i = 0; i < 2; i++) {
        probes[i] = malloc(sizeof(*probes[i]));
        assert_non_null(probes[i]);
        probe_init(probes[i], probe_frees_both);
    }
    for (int i = 0; i < 2; i++) {
        probes[i]->victim = probes[1 - i];
        probe_arm(probes[i], 100);
    }
    run_until_fired(1);
    assert_int_equal(loop_run_once(loop, 1000), 0);
}

static void probe_arms_itself(struct timer *timer)
{
    probe_fired(timer);
    probe_arm(probe_of(timer), 0);
}

static void test_timer_armed_with_zero_in_its_callback_does_not_spin(void **state)
{
    struct probe probe;
    struct instant begin = loop_now(loop);

    (void)state;
    probe_init(&probe, probe_arms_itself);
    probe_arm(&probe, 0);
    for (int i = 1; i <= 10; i++)
        assert_int_equal(loop_run_once(loop, -1), 1);
    assert_int_equal(probe.n_fired, 10);
    assert_true(loop_now(loop).ns - begin.ns >= 9 * LOOP_TICK_MS * UINT64_C(1000000));
    timer_disarm(&probe.timer);
}

static void test_timer_armed_with_zero_on_the_very_tick_fires_at_the_next(void **state)
{
    struct probe probe;

    (void)state;
    virtual_ns += LOOP_TICK_MS * UINT64_C(1000000) - virtual_ns % (LOOP_TICK_MS * UINT64_C(1000000));
    assert_int_equal(loop_run_once(loop, 0), 0);
    probe_init(&probe, probe_fired);
    probe_arm(&probe, 0);
    assert_int_equal(loop_run_once(loop, -1), 1);
    assert_int_equal(loop_now(loop).ns - probe.due.ns, LOOP_TICK_MS * UINT64_C(1000000));
}

/* Spans of every level of the wheel, armed, moved and disarmed at random, against the deadline each must keep. */
static void test_timer_random_spans_keep_their_deadlines(void **state)
{
    enum { N_PROBES = 400, N_STEPS = 20000 };
    static struct probe probes[N_PROBES];
    unsigned seed = 1;

    (void)state;
    for (int i = 0; i < N_PROBES; i++)
        probe_init(&probes[i], probe_fired);
    for (int step = 0; step < N_STEPS; step++) {
        struct probe *probe = &probes[(unsigned)rand_r(&seed) % N_PROBES];
        unsigned bits = 1 + (unsigned)rand_r(&seed) % 40;
        uint64_t ms = ((uint64_t)(unsigned)rand_r(&seed) << 16 ^ (unsigned)rand_r(&seed)) & ((UINT64_C(1) << bits) - 1);

        if (rand_r(&seed) % 4 == 0)
            timer_disarm(&probe->timer);
        else
            probe_arm(probe, ms);
        assert_true(loop_run_once(loop, rand_r(&seed) % 3 ? 0 : rand_r(&seed) % 100000) >= 0);
        for (int i = 0; i < N_PROBES; i++) {
            if (timer_armed(&probes[i].timer))
                assert_true(loop_now(loop).ns < probes[i].due.ns + LOOP_TICK_MS * UINT64_C(1000000));
        }
    }
    assert_true(n_probes_fired > N_STEPS / 20);
}

static void test_timer_of_endless_span_neither_fires_nor_overflows(void **state)
{
    struct probe probe;

    (void)state;
    probe_init(&probe, probe_fired);
    timer_arm(loop, &probe.timer, UINT64_MAX);
    assert_int_equal(loop_run_once(loop, 2000000000), 0);
    assert_true(timer_armed(&probe.timer));
    timer_disarm(&probe.timer);
}

static void test_timer_survives_a_jump_over_many_slots(void **state)
{
    static const uint64_t ms[] = {4, 500, 70000, 5000000};
    struct probe probes[ARRAY_LENGTH(ms)];

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(ms); i++) {
        probe_init(&probes[i], probe_fired);
        probe_arm(&probes[i], ms[i]);
        /* Late by what the loop was busy with. */
        probes[i].due = instant_add_ms(loop_now(loop), 3600000);
    }
    virtual_ns += UINT64_C(3600000) * 1000000;
    assert_int_equal(loop_run_once(loop, 0), 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(probes[i].order, i);
    timer_disarm(&probes[3].timer);
}

/* A readable descriptor whose callback takes out another one, and itself. */
struct reader {
    struct source source;
    int ends[2];
    int n_called;
    uint32_t events;
    struct reader *victim;
};

static void reader_init(struct reader *reader, uint32_t events, source_fn *fn)
{
    *reader = (struct reader){.source = SOURCE_INIT};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, reader->ends), 0);
    assert_int_equal(write(reader->ends[1], "x", 1), 1);
    assert_int_equal(loop_add(loop, &reader->source, reader->ends[0], events, fn), 0);
}

static void reader_deinit(struct reader *reader)
{
    loop_remove(&reader->source);
    close(reader->ends[0]);
    close(reader->ends[1]);
}

static void reader_called(struct source *source, uint32_t events)
{
    struct reader *reader = CONTAINER_OF(source, struct reader, source);

    reader->n_called++;
    reader->events = events;
}

static void reader_frees_both(struct source *source, uint32_t events)
{
    struct reader *reader = CONTAINER_OF(source, struct reader, source);

    (void)events;
    n_probes_fired++;
    reader_deinit(reader->victim);
    free(reader->victim);
    reader_deinit(reader);
    free(reader);
}

static void test_source_is_called_with_its_events(void **state)
{
    struct reader reader;

    (void)state;
    reader_init(&reader, EPOLLIN, reader_called);
    assert_int_equal(loop_run_once(loop, -1), 1);
    assert_int_equal(reader.events, EPOLLIN);
    shutdown(reader.ends[1], SHUT_RDWR);
    assert_int_equal(loop_run_once(loop, -1), 1);
    assert_int_equal(reader.events, EPOLLIN | EPOLLHUP);
    reader_deinit(&reader);
    assert_int_equal(reader.source.fd, -1);
    assert_int_equal(loop_run_once(loop, 0), 0);
}

static void test_source_removed_in_a_callback_loses_its_fetched_events(void **state)
{
    struct reader *readers[2];

    (void)state;
    for (int i = 0; i < 2; i++) {
        readers[i] = malloc(sizeof(*readers[i]));
        assert_non_null(readers[i]);
        reader_init(readers[i], EPOLLIN, reader_frees_both);
    }
    for (int i = 0; i < 2; i++)
        readers[i]->victim = readers[1 - i];
    assert_int_equal(loop_run_once(loop, 0), 1);
    assert_int_equal(n_probes_fired, 1);
}

static void test_source_modified_waits_for_the_new_events(void **state)
{
    struct reader reader;

    (void)state;
    reader_init(&reader, EPOLLIN, reader_called);
    assert_int_equal(loop_modify(&reader.source, EPOLLIN), 0);
    assert_int_equal(loop_modify(&reader.source, EPOLLOUT), 0);
    assert_int_equal(loop_run_once(loop, 0), 1);
    assert_int_equal(reader.events, EPOLLOUT);
    assert_int_equal(loop_modify(&reader.source, 0), 0);
    assert_int_equal(loop_run_once(loop, 0), 0);
    reader_deinit(&reader);
}

static void test_source_exclusive_can_be_paused_and_resumed(void **state)
{
    struct reader reader;

    (void)state;
    reader_init(&reader, EPOLLIN | EPOLLEXCLUSIVE, reader_called);
    assert_int_equal(loop_modify(&reader.source, 0), 0);
    assert_int_equal(loop_run_once(loop, 0), 0);
    assert_int_equal(loop_modify(&reader.source, EPOLLIN | EPOLLEXCLUSIVE), 0);
    assert_int_equal(loop_run_once(loop, 0), 1);
    reader_deinit(&reader);
}

static void test_source_that_epoll_refuses_stays_out(void **state)
{
    struct source source = SOURCE_INIT;
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(loop_add(loop, &source, fd, EPOLLIN, reader_called), -EPERM);
    assert_int_equal(source.fd, -1);
    assert_null(source.loop);
    loop_remove(&source);
    close(fd);
}

static void test_loop_runs_sources_before_timers(void **state)
{
    struct reader reader;
    struct probe probe;

    (void)state;
    probe_init(&probe, probe_fired);
    probe_arm(&probe, 4);
    virtual_ns += 8000000;
    probe.due = (struct instant){virtual_ns};
    reader_init(&reader, EPOLLIN, reader_frees_both);
    reader.source.fn = reader_called;
    assert_int_equal(loop_run_once(loop, 0), 3);
    assert_int_equal(reader.n_called, 2);
    assert_int_equal(probe.n_fired, 1);
    reader_deinit(&reader);
}

/* An exchange, more or less: its answer lies in the socket and ends the wait for it. */
struct waiter {
    struct reader reader;
    struct probe time_out;
};

static void waiter_is_answered(struct source *source, uint32_t events)
{
    struct waiter *waiter = CONTAINER_OF(source, struct waiter, reader.source);

    reader_called(source, events);
    timer_disarm(&waiter->time_out.timer);
}

static void waiter_init(struct waiter *waiter, bool answered)
{
    char byte;

    reader_init(&waiter->reader, EPOLLIN, waiter_is_answered);
    if (!answered)
        assert_int_equal(read(waiter->reader.ends[0], &byte, 1), 1);
    probe_init(&waiter->time_out, probe_fired);
    probe_arm(&waiter->time_out, 1000);
}

static void test_loop_after_a_stop_finds_300_answers_and_no_time_out(void **state)
{
    static struct waiter waiters[300];

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(waiters); i++)
        waiter_init(&waiters[i], true);
    virtual_ns += UINT64_C(2500) * 1000000;
    interrupt_next_wait = true;
    assert_true(loop_run_once(loop, -1) >= (int)ARRAY_LENGTH(waiters));
    assert_int_equal(n_probes_fired, 0);
    for (size_t i = 0; i < ARRAY_LENGTH(waiters); i++) {
        assert_true(waiters[i].reader.n_called > 0);
        reader_deinit(&waiters[i].reader);
    }
}

static void test_loop_stopped_between_its_look_and_the_clock_finds_the_answer(void **state)
{
    struct waiter waiter;

    (void)state;
    waiter_init(&waiter, false);
    arrives_at = waiter.reader.ends[1];
    assert_true(loop_run_once(loop, 0) >= 1);
    assert_int_equal(waiter.reader.n_called, 1);
    assert_int_equal(n_probes_fired, 0);
    reader_deinit(&waiter.reader);
}

static void test_loop_busy_without_end_still_fires_timers(void **state)
{
    static struct reader readers[300];
    struct probe probe;

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(readers); i++)
        reader_init(&readers[i], EPOLLIN, reader_called);
    probe_init(&probe, probe_fired);
    timer_arm(loop, &probe.timer, 1000);
    virtual_ns += UINT64_C(1000) * 1000000;
    for (int i = 0; i < 2 && probe.n_fired == 0; i++) {
        virtual_ns += LOOP_TICK_MS * UINT64_C(1000000);
        probe.due = (struct instant){virtual_ns};
        assert_true(loop_run_once(loop, -1) > 0);
    }
    assert_int_equal(probe.n_fired, 1);
    for (size_t i = 0; i < ARRAY_LENGTH(readers); i++) {
        assert_true(readers[i].n_called > 0);
        reader_deinit(&readers[i]);
    }
}

static void test_loop_calls_all_that_is_ready_in_one_round(void **state)
{
    static struct reader readers[300]; /* more than a batch */

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(readers); i++)
        reader_init(&readers[i], EPOLLIN | EPOLLET, reader_called);
    assert_int_equal(loop_run_once(loop, -1), (int)ARRAY_LENGTH(readers));
    for (size_t i = 0; i < ARRAY_LENGTH(readers); i++) {
        assert_int_equal(readers[i].n_called, 1);
        reader_deinit(&readers[i]);
    }
}

/* Something of its victim's is still to be delivered when this looks again, after more has happened there. */
static void reader_looks(struct source *source, uint32_t events)
{
    struct reader *reader = CONTAINER_OF(source, struct reader, source);

    reader_called(source, events);
    if (reader->victim->n_called > 0)
        return;
    shutdown(reader->victim->ends[1], SHUT_WR);
    loop_outdate(loop);
    assert_true(loop_look(loop));
    assert_int_not_equal(reader->victim->source.pending, 0);
}

/* Removed while it is called, as a client that has gone is. */
static void reader_leaves(struct source *source, uint32_t events)
{
    reader_called(source, events);
    loop_remove(source);
}

static void test_loop_calls_once_who_was_seen_again_before_it_was_called(void **state)
{
    struct reader readers[2];

    (void)state;
    reader_init(&readers[0], EPOLLIN, reader_looks);
    reader_init(&readers[1], EPOLLIN | EPOLLRDHUP | EPOLLET, reader_leaves);
    readers[0].victim = &readers[1];
    assert_true(loop_run_once(loop, -1) >= 2);
    assert_true(loop_run_once(loop, 0) >= 0);
    assert_int_equal(readers[1].n_called, 1);
    assert_int_equal(readers[1].events, EPOLLIN | EPOLLRDHUP);
    reader_deinit(&readers[0]);
    reader_deinit(&readers[1]);
}

static void test_loop_looks_once_where_no_timer_is_due(void **state)
{
    struct reader reader;
    struct probe probe;

    (void)state;
    probe_init(&probe, probe_fired);
    probe_arm(&probe, 1000);
    reader_init(&reader, EPOLLIN, reader_called);
    n_waits = 0;
    assert_int_equal(loop_run_once(loop, -1), 1);
    assert_int_equal(n_waits, 1);
    timer_disarm(&probe.timer);
    reader_deinit(&reader);
}

static int n_hooked;

/* What a library had read, and only now tells. */
static void hook_disarms(void *closure)
{
    struct probe *probe = closure;

    n_hooked++;
    assert_int_equal(probe->n_fired, 0);
    timer_disarm(&probe->timer);
}

static void test_loop_hook_runs_before_timers_and_only_then(void **state)
{
    struct reader reader;
    struct probe probe;

    (void)state;
    n_hooked = 0;
    loop_before_timers(loop, hook_disarms, &probe);
    probe_init(&probe, probe_fired);
    probe_arm(&probe, 1000);
    reader_init(&reader, EPOLLIN, reader_called);
    assert_int_equal(loop_run_once(loop, 0), 1);
    assert_int_equal(n_hooked, 0);
    virtual_ns += UINT64_C(2500) * 1000000;
    assert_int_equal(loop_run_once(loop, 0), 2);
    assert_int_equal(n_hooked, 1);
    assert_int_equal(probe.n_fired, 0);
    reader_deinit(&reader);
}

static void test_loop_interrupted_by_a_signal_goes_on(void **state)
{
    (void)state;
    interrupt_next_wait = true;
    assert_int_equal(loop_run_once(loop, -1), 0);
}

static void *wake_later(void *arg)
{
    usleep(20000);
    loop_wake(arg);
    return NULL;
}

static void test_loop_wake_from_another_thread_ends_the_wait(void **state)
{
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, wake_later, loop), 0);
    assert_int_equal(loop_run_once(loop, -1), 0);
    pthread_join(thread, NULL);
}

static void test_loop_wake_ends_the_next_wait_and_only_that(void **state)
{
    struct instant begin = loop_now(loop);

    (void)state;
    for (int i = 0; i < 3; i++) {
        loop_wake(loop);
        loop_wake(loop);
        assert_int_equal(loop_run_once(loop, -1), 0);
        assert_int_equal(loop_now(loop).ns, begin.ns);
    }
    assert_int_equal(loop_run_once(loop, 50), 0);
    assert_int_equal(loop_now(loop).ns, begin.ns + 50000000);
}

#define LOOP_TEST(name) cmocka_unit_test_setup_teardown(name, probe_setup, probe_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP_TEST(test_timer_order_is_that_of_the_deadlines),
        LOOP_TEST(test_timer_armed_again_fires_once_at_the_last_deadline),
        LOOP_TEST(test_timer_disarmed_does_not_fire),
        LOOP_TEST(test_timer_disarmed_by_another_of_the_same_tick_does_not_fire),
        LOOP_TEST(test_timer_postponed_by_another_of_the_same_tick_fires_later),
        LOOP_TEST(test_timer_callback_may_free_itself_and_another),
        LOOP_TEST(test_timer_armed_with_zero_in_its_callback_does_not_spin),
        LOOP_TEST(test_timer_armed_with_zero_on_the_very_tick_fires_at_the_next),
        LOOP_TEST(test_timer_random_spans_keep_their_deadlines),
        LOOP_TEST(test_timer_of_endless_span_neither_fires_nor_overflows),
        LOOP_TEST(test_timer_survives_a_jump_over_many_slots),
        LOOP_TEST(test_source_is_called_with_its_events),
        LOOP_TEST(test_source_removed_in_a_callback_loses_its_fetched_events),
        LOOP_TEST(test_source_modified_waits_for_the_new_events),
        LOOP_TEST(test_source_exclusive_can_be_paused_and_resumed),
        LOOP_TEST(test_source_that_epoll_refuses_stays_out),
        LOOP_TEST(test_loop_runs_sources_before_timers),
        LOOP_TEST(test_loop_after_a_stop_finds_300_answers_and_no_time_out),
        LOOP_TEST(test_loop_stopped_between_its_look_and_the_clock_finds_the_answer),
        LOOP_TEST(test_loop_busy_without_end_still_fires_timers),
        LOOP_TEST(test_loop_calls_all_that_is_ready_in_one_round),
        LOOP_TEST(test_loop_calls_once_who_was_seen_again_before_it_was_called),
        LOOP_TEST(test_loop_looks_once_where_no_timer_is_due),
        LOOP_TEST(test_loop_hook_runs_before_timers_and_only_then),
        LOOP_TEST(test_loop_interrupted_by_a_signal_goes_on),
        LOOP_TEST(test_loop_wake_from_another_thread_ends_the_wait),
        LOOP_TEST(test_loop_wake_ends_the_next_wait_and_only_that),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
