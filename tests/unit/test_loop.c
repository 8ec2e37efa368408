/* Sources and rounds of a loop. */
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/loop_rig.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
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
