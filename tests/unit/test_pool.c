/* Idle connections: how many, how long, and that a dead one is never given out. Channels are ends of socket pairs. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/reach/pool.h"
#include "tests/unit/publish_fixture.h"

#define MOST_PAIRS 8

struct bench {
    struct loop *loop;
    struct pool pool;
    int others[MOST_PAIRS];
    struct connection *connections[MOST_PAIRS];
    int descriptors;
};

static int bench_setup(void **state)
{
    struct bench *bench = calloc(1, sizeof(*bench));

    assert_non_null(bench);
    bench->descriptors = fixture_count_descriptors();
    bench->loop = loop_new();
    assert_non_null(bench->loop);
    for (int i = 0; i < MOST_PAIRS; i++)
        bench->others[i] = -1;
    *state = bench;
    return 0;
}

static int bench_teardown(void **state)
{
    struct bench *bench = *state;
    int left;

    pool_deinit(&bench->pool);
    for (int i = 0; i < MOST_PAIRS; i++)
        if (bench->others[i] >= 0)
            close(bench->others[i]);
    loop_free(bench->loop);
    left = fixture_count_descriptors() - bench->descriptors;
    free(bench);
    return left == 0 ? 0 : -1;
}

static void bench_fill(struct bench *bench, int n, uint32_t most_idle, uint64_t idle_timeout_ms)
{
    pool_init(&bench->pool, bench->loop);
    pool_configure(&bench->pool, most_idle, idle_timeout_ms, 3600000);
    for (int i = 0; i < n; i++) {
        struct channel channel = CHANNEL_INIT;
        int ends[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
        channel.fd = ends[0];
        bench->others[i] = ends[1];
        bench->connections[i] = pool_adopt(&bench->pool, &channel);
        assert_non_null(bench->connections[i]);
        assert_int_equal(channel.fd, -1);
    }
}

static bool bench_is_open(const struct bench *bench, int i)
{
    char byte;

    return recv(bench->others[i], &byte, 1, MSG_PEEK) < 0;
}

/* How many of those that were made are not open any more. */
static unsigned bench_n_closed(const struct bench *bench)
{
    unsigned n = 0;

    for (int i = 0; i < MOST_PAIRS && bench->connections[i]; i++)
        n++;
    return n - bench->pool.n_idle - bench->pool.n_busy;
}

static void bench_turn(struct bench *bench)
{
    while (loop_run_once(bench->loop, 0) > 0)
        ;
}

static void test_pool_empty_gives_nothing(void **state)
{
    struct bench *bench = *state;

    bench_fill(bench, 0, 4, 1000);
    assert_null(pool_take(&bench->pool));
}

static void test_pool_above_its_limit_closes_the_oldest(void **state)
{
    struct bench *bench = *state;

    bench_fill(bench, 3, 2, 100000);
    for (int i = 0; i < 3; i++)
        pool_give(bench->connections[i], true);
    assert_int_equal(bench_n_closed(bench), 1);
    assert_int_equal(bench->pool.n_idle, 2);
    assert_false(bench_is_open(bench, 0));
    assert_ptr_equal(pool_take(&bench->pool), bench->connections[2]);
    assert_ptr_equal(pool_take(&bench->pool), bench->connections[1]);
    assert_null(pool_take(&bench->pool));
    pool_give(bench->connections[1], false);
    pool_give(bench->connections[2], false);
    assert_int_equal(bench_n_closed(bench), 3);
}

static void test_pool_of_none_keeps_none(void **state)
{
    struct bench *bench = *state;

    bench_fill(bench, 1, 0, 100000);
    pool_give(bench->connections[0], true);
    assert_int_equal(bench_n_closed(bench), 1);
    assert_int_equal(bench->pool.n_idle, 0);
}

static void test_pool_dead_idle_connection_is_removed(void **state)
{
    struct bench *bench = *state;

    bench_fill(bench, 3, 4, 100000);
    for (int i = 0; i < 3; i++)
        pool_give(bench->connections[i], true);
    assert_int_equal(shutdown(bench->others[1], SHUT_WR), 0); /* half an end is an end */
    assert_int_equal(send(bench->others[2], "!", 1, 0), 1);   /* nobody asked */
    bench_turn(bench);
    assert_int_equal(bench_n_closed(bench), 2);
    assert_ptr_equal(pool_take(&bench->pool), bench->connections[0]);
    assert_null(pool_take(&bench->pool));
    pool_give(bench->connections[0], true);
}

static void test_pool_idle_timeout_closes_only_what_is_due(void **state)
{
    struct bench *bench = *state;
    struct instant given;

    bench_fill(bench, 2, 4, 2000);
    pool_give(bench->connections[0], true);
    for (struct instant end = instant_add_ms(instant_now(), 1000); instant_before(instant_now(), end);)
        assert_true(loop_run_once(bench->loop, 5) >= 0);
    given = instant_now();
    pool_give(bench->connections[1], true);
    for (int i = 0; i < 10000 && bench_n_closed(bench) == 0; i++)
        assert_true(loop_run_once(bench->loop, 1) >= 0);
    assert_false(bench_is_open(bench, 0));
    /* Both at once only where this machine has let the time of both go by. */
    if (!bench_is_open(bench, 1))
        assert_true(instant_elapsed_us(given, instant_now()) >= 1990000);
    else
        assert_int_equal(bench_n_closed(bench), 1);
    for (int i = 0; i < 10000 && bench_n_closed(bench) == 1; i++)
        assert_true(loop_run_once(bench->loop, 1) >= 0);
    assert_int_equal(bench_n_closed(bench), 2);
    assert_false(timer_armed(&bench->pool.timer));
}

/* Lets time pass until so many have been closed; the pool's window or idle_timeout must end. */
static void bench_await_closed(struct bench *bench, unsigned n)
{
    struct instant end = instant_add_ms(instant_now(), 10000);

    while (bench_n_closed(bench) < n && instant_before(instant_now(), end))
        assert_true(loop_run_once(bench->loop, 5) >= 0);
    assert_int_equal(bench_n_closed(bench), n);
}

/* The end of a window, as if so much time had passed. */
static void bench_end_window(struct bench *bench)
{
    bench->pool.window_end = loop_now(bench->loop);
    assert_true(timer_armed(&bench->pool.timer));
    bench->pool.timer.fn(&bench->pool.timer);
}

static void bench_take_and_give(struct bench *bench, int n)
{
    struct connection *taken[MOST_PAIRS];

    for (int i = 0; i < n; i++) {
        taken[i] = pool_take(&bench->pool);
        assert_non_null(taken[i]);
    }
    for (int i = 0; i < n; i++)
        pool_give(taken[i], true);
}

/* Eight were busy; then two are. Half of what was not needed in either of two windows goes at the end of each. */
static void test_pool_keeps_what_was_lately_in_use(void **state)
{
    static const uint32_t n_left[] = {8, 5, 3, 2, 2, 2};
    struct bench *bench = *state;

    bench_fill(bench, 8, 100, 100000);
    for (int i = 0; i < 8; i++)
        pool_give(bench->connections[i], true);
    bench_end_window(bench);
    assert_int_equal(bench->pool.n_idle, 8);
    for (size_t i = 0; i < sizeof(n_left) / sizeof(n_left[0]); i++) {
        bench_take_and_give(bench, 2);
        bench_end_window(bench);
        assert_int_equal(bench->pool.n_idle, n_left[i]);
    }
    assert_true(bench_is_open(bench, 7)); /* the oldest went first */
    assert_true(bench_is_open(bench, 6));
}

static void test_pool_of_a_steady_crowd_closes_nothing(void **state)
{
    struct bench *bench = *state;

    bench_fill(bench, 8, 100, 100000);
    for (int i = 0; i < 8; i++)
        pool_give(bench->connections[i], true);
    for (int i = 0; i < 20; i++) {
        bench_take_and_give(bench, 8);
        bench_end_window(bench);
    }
    assert_int_equal(bench->pool.n_idle, 8);
}

/* Busy connections are needed, whatever the pool keeps beside them. */
static void test_pool_counts_busy_connections_as_needed(void **state)
{
    struct bench *bench = *state;
    struct connection *busy[3];

    bench_fill(bench, 4, 100, 100000);
    for (int i = 0; i < 4; i++)
        pool_give(bench->connections[i], true);
    for (int i = 0; i < 3; i++)
        busy[i] = pool_take(&bench->pool);
    for (int i = 0; i < 6; i++)
        bench_end_window(bench);
    assert_int_equal(bench->pool.n_busy, 3);
    assert_int_equal(bench->pool.n_idle, 0); /* the fourth was not needed */
    for (int i = 0; i < 3; i++)
        pool_give(busy[i], true);
    assert_int_equal(bench->pool.n_idle, 3);
}

static void test_pool_left_alone_shrinks_by_its_timer(void **state)
{
    struct bench *bench = *state;

    bench_fill(bench, 8, 100, 100000);
    bench->pool.window_ms = 10;
    for (int i = 0; i < 8; i++)
        pool_give(bench->connections[i], true);
    bench_await_closed(bench, 8);
    assert_false(timer_armed(&bench->pool.timer));
}

/* ---- how old ---- */

/* Milliseconds for which a connection that has become idle is good. */
static uint64_t bench_good_ms(struct bench *bench, int i)
{
    return (bench->connections[i]->good_until.ns - loop_now(bench->loop).ns) / 1000000u;
}

static void test_pool_max_age_counts_less_up_to_a_tenth(void **state)
{
    struct bench *bench = *state;
    uint64_t least = UINT64_MAX, most = 0;

    bench_fill(bench, 8, 8, 100000);
    pool_configure(&bench->pool, 8, 100000, 1000000);
    for (int i = 0; i < 8; i++) {
        uint64_t ms;

        pool_give(bench->connections[i], true);
        ms = bench_good_ms(bench, i);
        assert_in_range(ms, 900000, 1000000);
        least = ms < least ? ms : least;
        most = ms > most ? ms : most;
    }
    assert_true(most > least);
}

static void test_pool_targets_own_time_counts_less_a_margin(void **state)
{
    static const struct {
        uint64_t keep_ms, good_ms;
    } rows[] = {{1000, 500}, {2000, 1000}, {5000, 4000}, {60000, 59000}, {86400000, 86399000}};
    struct bench *bench = *state;

    bench_fill(bench, 1, 8, 100000);
    pool_configure(&bench->pool, 8, 100000, 1000000000);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        bench->connections[0]->keep_ms = rows[i].keep_ms;
        pool_give(bench->connections[0], true);
        assert_int_equal(bench_good_ms(bench, 0), rows[i].good_ms);
        assert_ptr_equal(pool_take(&bench->pool), bench->connections[0]);
    }
    pool_configure(&bench->pool, 8, 100000, 20000);
    pool_give(bench->connections[0], true); /* it will be too old before that */
    assert_in_range(bench_good_ms(bench, 0), 18000, 20000);
}

static void test_pool_what_is_too_old_is_not_used_again(void **state)
{
    struct bench *bench = *state;
    struct personal mine = {NULL};

    bench_fill(bench, 4, 8, 100000);
    connection_belong(bench->connections[2], &mine);
    for (int i = 0; i < 3; i++)
        pool_give(bench->connections[i], true);
    bench->connections[1]->good_until = loop_now(bench->loop);
    bench->connections[2]->good_until = loop_now(bench->loop);
    assert_null(personal_take(&mine));
    assert_ptr_equal(pool_take(&bench->pool), bench->connections[0]);
    assert_int_equal(bench_n_closed(bench), 2);
    bench->connections[0]->begun = (struct instant){0};
    pool_configure(&bench->pool, 8, 100000, 1);
    pool_give(bench->connections[0], true); /* at once */
    assert_int_equal(bench_n_closed(bench), 3);
    pool_configure(&bench->pool, 8, 100000, 1000000);
    pool_give(bench->connections[3], true);
    bench->connections[3]->good_until = loop_now(bench->loop);
    bench_end_window(bench); /* though nobody asks */
    assert_int_equal(bench_n_closed(bench), 4);
}

/* ---- connections of one client ---- */

static void test_pool_personal_connection_is_its_clients_alone(void **state)
{
    struct bench *bench = *state;
    struct personal mine = {NULL};

    bench_fill(bench, 2, 4, 100000);
    connection_belong(bench->connections[0], &mine);
    pool_give(bench->connections[0], true);
    assert_ptr_equal(mine.connection, bench->connections[0]);
    assert_null(pool_take(&bench->pool));
    pool_give(bench->connections[1], true);
    assert_ptr_equal(pool_take(&bench->pool), bench->connections[1]);
    for (int i = 0; i < 3; i++) {
        assert_ptr_equal(personal_take(&mine), bench->connections[0]);
        assert_null(mine.connection);
        assert_int_equal(bench->pool.n_busy, 2);
        pool_give(bench->connections[0], true);
    }
    personal_end(&mine);
    assert_null(mine.connection);
    personal_end(&mine);
    assert_int_equal(bench_n_closed(bench), 1);
    assert_false(bench_is_open(bench, 0));
    pool_give(bench->connections[1], true);
    assert_int_equal(bench->pool.n_personal, 0);
}

static void test_pool_client_keeps_its_last_personal_connection(void **state)
{
    struct bench *bench = *state;
    struct personal mine = {NULL};

    bench_fill(bench, 2, 4, 100000);
    for (int i = 0; i < 2; i++) {
        connection_belong(bench->connections[i], &mine);
        pool_give(bench->connections[i], true);
    }
    assert_ptr_equal(mine.connection, bench->connections[1]);
    assert_int_equal(bench_n_closed(bench), 1);
    assert_false(bench_is_open(bench, 0));
    assert_int_equal(bench->pool.n_personal, 1);
    personal_end(&mine);
}

/* Whoever closes it, its client is told: what the target ended, too many, too old, the endpoint gone. */
static void test_pool_personal_connection_that_ends_is_forgotten(void **state)
{
    struct bench *bench = *state;
    struct personal clients[4] = {{NULL}};

    bench_fill(bench, 4, 3, 100000);
    for (int i = 0; i < 4; i++) {
        connection_belong(bench->connections[i], &clients[i]);
        pool_give(bench->connections[i], true);
    }
    assert_null(clients[0].connection);
    assert_int_equal(bench->pool.n_idle, 3);
    assert_int_equal(shutdown(bench->others[1], SHUT_WR), 0);
    bench_turn(bench);
    assert_null(clients[1].connection);
    assert_int_equal(send(bench->others[3], "!", 1, 0), 1);
    loop_outdate(bench->loop);
    assert_null(personal_take(&clients[3])); /* looked at anew, at the last moment */
    assert_null(clients[3].connection);
    pool_deinit(&bench->pool);
    assert_null(clients[2].connection);
    assert_int_equal(bench->pool.n_idle + bench->pool.n_personal, 0);
}

static void test_pool_shrinks_by_what_is_anybodys(void **state)
{
    struct bench *bench = *state;
    struct personal clients[4] = {{NULL}};

    bench_fill(bench, 8, 100, 100000);
    for (int i = 0; i < 8; i++) {
        if (i % 2 == 0)
            connection_belong(bench->connections[i], &clients[i / 2]);
        pool_give(bench->connections[i], true);
    }
    for (int i = 0; i < 6; i++)
        bench_end_window(bench);
    assert_int_equal(bench->pool.n_idle, 4);
    assert_int_equal(bench->pool.n_personal, 4);
    assert_true(bench_is_open(bench, 0));
    pool_drop_oldest(&bench->pool);
    assert_false(bench_is_open(bench, 0));
    assert_null(clients[0].connection);
    pool_deinit(&bench->pool);
}

struct listener_of_events {
    unsigned n;
    uint32_t events;
};

static void on_event(void *closure, uint32_t events)
{
    struct listener_of_events *listener = closure;

    listener->n++;
    listener->events |= events;
}

static void test_pool_busy_connection_tells_its_user(void **state)
{
    struct bench *bench = *state;
    struct listener_of_events listener = {0, 0};

    bench_fill(bench, 1, 4, 1000);
    connection_use(bench->connections[0], on_event, &listener);
    bench_turn(bench);
    assert_int_equal(listener.n, 0);
    assert_int_equal(connection_want_write(bench->connections[0], true), 0);
    bench_turn(bench);
    assert_true(listener.events & EPOLLOUT);
    assert_int_equal(send(bench->others[0], "!", 1, 0), 1);
    bench_turn(bench);
    assert_true(listener.events & EPOLLIN);
    assert_false(listener.events & EPOLLRDHUP);
    close(bench->others[0]);
    bench->others[0] = -1;
    bench_turn(bench);
    assert_true(listener.events & EPOLLRDHUP);
    assert_int_equal(bench_n_closed(bench), 0); /* the user decides */
    pool_give(bench->connections[0], false);
    assert_int_equal(bench_n_closed(bench), 1);
}

static void test_pool_given_back_while_writable_is_still_idle(void **state)
{
    struct bench *bench = *state;

    bench_fill(bench, 1, 4, 100000);
    assert_int_equal(connection_want_write(bench->connections[0], true), 0);
    pool_give(bench->connections[0], true);
    bench_turn(bench);
    assert_int_equal(bench_n_closed(bench), 0);
    assert_int_equal(bench->pool.n_idle, 1);
}

static void test_pool_adopting_what_epoll_refuses_closes_it(void **state)
{
    struct bench *bench = *state;
    struct channel channel = {.fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC)};

    bench_fill(bench, 0, 4, 1000);
    assert_null(pool_adopt(&bench->pool, &channel));
    assert_int_equal(channel.fd, -1);
}

static int stands_fd; /* the only one that stands */

static bool only_one_stands(const struct pool *pool, int fd)
{
    (void)pool;
    return fd == stands_fd;
}

static void test_pool_review_ends_what_does_not_stand(void **state)
{
    struct bench *bench = *state;
    struct connection **c = bench->connections;

    bench_fill(bench, 4, 8, 100000);
    pool_give(c[0], true);
    pool_give(c[1], true);
    stands_fd = c[1]->channel.fd;
    pool_review(&bench->pool, only_one_stands);
    assert_false(bench_is_open(bench, 0));
    assert_true(bench_is_open(bench, 1));
    /* Those that are busy end when they are given back. */
    assert_true(bench_is_open(bench, 2));
    pool_give(c[2], true);
    assert_false(bench_is_open(bench, 2));
    stands_fd = c[3]->channel.fd;
    pool_give(c[3], true);
    assert_true(bench_is_open(bench, 3));
    /* What has stood a review is not asked about again. */
    stands_fd = -1;
    pool_give(pool_take(&bench->pool), true);
    assert_int_equal(bench->pool.n_idle, 2);
}

static void test_pool_review_by_nobody_ends_all_that_was_before(void **state)
{
    struct bench *bench = *state;
    struct connection **c = bench->connections;

    bench_fill(bench, 4, 8, 100000);
    pool_give(c[0], true);
    pool_review(&bench->pool, NULL);
    assert_false(bench_is_open(bench, 0));
    /* Nor does a later review bring them back. */
    stands_fd = c[1]->channel.fd;
    pool_review(&bench->pool, only_one_stands);
    pool_give(c[1], true);
    assert_false(bench_is_open(bench, 1));
    /* One that was begun in between is the later review's to judge, one that was begun after both is not. */
    c[2]->epoch = bench->pool.epoch - 1;
    stands_fd = c[2]->channel.fd;
    pool_give(c[2], true);
    assert_true(bench_is_open(bench, 2));
    c[3]->epoch = bench->pool.epoch;
    pool_give(c[3], true);
    assert_true(bench_is_open(bench, 3));
}

#define BENCH_TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(test_pool_empty_gives_nothing),
        BENCH_TEST(test_pool_above_its_limit_closes_the_oldest),
        BENCH_TEST(test_pool_of_none_keeps_none),
        BENCH_TEST(test_pool_dead_idle_connection_is_removed),
        BENCH_TEST(test_pool_idle_timeout_closes_only_what_is_due),
        BENCH_TEST(test_pool_keeps_what_was_lately_in_use),
        BENCH_TEST(test_pool_of_a_steady_crowd_closes_nothing),
        BENCH_TEST(test_pool_counts_busy_connections_as_needed),
        BENCH_TEST(test_pool_left_alone_shrinks_by_its_timer),
        BENCH_TEST(test_pool_max_age_counts_less_up_to_a_tenth),
        BENCH_TEST(test_pool_targets_own_time_counts_less_a_margin),
        BENCH_TEST(test_pool_what_is_too_old_is_not_used_again),
        BENCH_TEST(test_pool_personal_connection_is_its_clients_alone),
        BENCH_TEST(test_pool_client_keeps_its_last_personal_connection),
        BENCH_TEST(test_pool_personal_connection_that_ends_is_forgotten),
        BENCH_TEST(test_pool_shrinks_by_what_is_anybodys),
        BENCH_TEST(test_pool_busy_connection_tells_its_user),
        BENCH_TEST(test_pool_given_back_while_writable_is_still_idle),
        BENCH_TEST(test_pool_adopting_what_epoll_refuses_closes_it),
        BENCH_TEST(test_pool_review_ends_what_does_not_stand),
        BENCH_TEST(test_pool_review_by_nobody_ends_all_that_was_before),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
