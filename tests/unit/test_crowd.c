/* Many clients at once, through the frontend: a turn takes some of them, and nobody loses by waiting for theirs. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/client_rig.h"

#define CROWD 200
#define HEAD_MS 1000 /* within which a busy machine lets all of them connect and speak */
#define GET "GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
#define REFUSED "GET /a HTTP/1.1\r\n\r\n" /* without a Host */
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

/* The clients' ends, and those of the target. */
struct crowd {
    int fds[CROWD];
    int targets[CROWD];
    int n_targets;
};

static void crowd_open(struct crowd *crowd, struct front *front)
{
    struct peer peer = {.is_unix = true, .uid = 7, .gid = 8};

    *crowd = (struct crowd){.n_targets = 0};
    front->rig->target_config.connections_max = front->rig->target_config.connections_idle = 2 * CROWD;
    front->rig->listener.limit_connections = front->rig->listener.limit_connections_per_uid = CROWD + 1;
    rig_renew(front->rig);
    admission_limit(&front->rig->admission, &front->rig->listener);
    front_open(front);
    close(front->fd);
    front->fd = -1;
    for (int i = 0; i < CROWD; i++) {
        int ends[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
        assert_int_equal(frontend_add(front->frontend, ends[0], front->rig->env.generation, &front->rig->listener,
                                      &peer, rig_pass(front->rig)),
                         0);
        crowd->fds[i] = ends[1];
    }
    front_settle(front);
}

static void crowd_say(const struct crowd *crowd, const char *request)
{
    for (int i = 0; i < CROWD; i++)
        assert_int_equal(send(crowd->fds[i], request, strlen(request), MSG_NOSIGNAL), strlen(request));
}

static void crowd_expect(const struct crowd *crowd, const char *first)
{
    char data[4096];

    for (int i = 0; i < CROWD; i++) {
        ssize_t n = recv(crowd->fds[i], data, sizeof(data) - 1, 0);

        assert_true(n > 0);
        data[n] = '\0';
        assert_memory_equal(data, first, strlen(first));
    }
}

static void crowd_close(const struct crowd *crowd, struct front *front)
{
    for (int i = 0; i < CROWD; i++)
        close(crowd->fds[i]);
    for (int i = 0; i < crowd->n_targets; i++)
        close(crowd->targets[i]);
    front_settle(front);
}

static void crowd_accept(struct crowd *crowd, struct front *front)
{
    while (rig_has_connection(front->rig)) {
        rig_accept(front->rig);
        crowd->targets[crowd->n_targets++] = front->rig->target_fd;
        front->rig->target_fd = -1;
    }
}

/* The target answers whatever has come: how many requests. */
static int crowd_answer(struct crowd *crowd, struct front *front)
{
    char data[4096];
    int n = 0;

    crowd_accept(crowd, front);
    for (int i = 0; i < crowd->n_targets; i++) {
        if (recv(crowd->targets[i], data, sizeof(data), 0) <= 0)
            continue;
        n++;
        assert_int_equal(send(crowd->targets[i], OK, strlen(OK), MSG_NOSIGNAL), strlen(OK));
    }
    return n;
}

static void test_crowd_that_speaks_at_once_takes_few_connections(void **state)
{
    struct front *front = *state;
    struct crowd crowd;
    int n_answered = 0;

    crowd_open(&crowd, front);
    if (!front_client(front)->interest.set) { /* of a sanitizer, whose calls stand before ours */
        crowd_close(&crowd, front);
        skip();
    }
    crowd_say(&crowd, GET);
    while (front_round(front, 0) || n_answered < CROWD)
        n_answered += crowd_answer(&crowd, front);
    crowd_expect(&crowd, "HTTP/1.1 200 OK\r\n");
    assert_int_equal(n_answered, CROWD);
    assert_in_range(crowd.n_targets, 1, CROWD / 2);
    crowd_close(&crowd, front);
}

static void crowd_before_timers(void *closure)
{
    struct front *front = closure;

    frontend_turn(front->frontend, INT_MAX);
}

/* As after a process was frozen: all of them have spoken, and the deadlines of all of them have passed. */
static void test_crowd_that_has_spoken_in_time_has_no_deadline_while_it_waits(void **state)
{
    struct front *front = *state;
    struct crowd crowd;

    front->rig->listener.timeout_head_ms = HEAD_MS;
    crowd_open(&crowd, front);
    loop_before_timers(front->rig->loop, crowd_before_timers, front);
    crowd_say(&crowd, REFUSED);
    usleep(2 * HEAD_MS * 1000);
    front_settle(front);
    crowd_expect(&crowd, "HTTP/1.1 400 ");
    assert_int_equal(rig_count(front->rig, OUTCOME_HEAD_TIMEOUT), 0);
    crowd_close(&crowd, front);
}

/* A target that says nothing while the loop always has other work: who waits for it is not asked for again and again.
 */
static void test_crowd_whose_target_is_slow_is_suspended_while_others_work(void **state)
{
    struct front *front = *state;
    struct crowd crowd;
    struct clients *clients;

    crowd_open(&crowd, front);
    clients = frontend_clients(front->frontend);
    crowd_say(&crowd, GET);
    for (int i = 0; i < 40; i++) {
        clients->dirty = true;
        front_round(front, 0);
        crowd_accept(&crowd, front);
    }
    assert_int_equal(clients->n_waiting, 0);
    assert_int_equal(crowd_answer(&crowd, front), CROWD);
    front_settle(front);
    crowd_expect(&crowd, "HTTP/1.1 200 OK\r\n");
    crowd_close(&crowd, front);
}

#define CROWD_TEST(name) cmocka_unit_test_setup_teardown(name, front_setup, front_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CROWD_TEST(test_crowd_that_speaks_at_once_takes_few_connections),
        CROWD_TEST(test_crowd_that_has_spoken_in_time_has_no_deadline_while_it_waits),
        CROWD_TEST(test_crowd_whose_target_is_slow_is_suspended_while_others_work),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
