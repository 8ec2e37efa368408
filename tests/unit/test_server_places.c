/* A server that is full: who lets whom in, whichever worker they are in. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/server_rig.h"

static void test_server_full_of_busy_clients_serves_the_next_when_one_leaves(void **state)
{
    struct fixture *fixture = *state;
    int listening = running_target(fixture), fds[3], targets[2];
    struct running running;

    running_begin(&running, fixture, ONE "\"limits\": { \"connections\": 2 }, " FORWARDS "} ] }", false);
    for (int i = 0; i < 2; i++) {
        fds[i] = running_say(fixture->path, GET);
        targets[i] = accept(listening, NULL, NULL);
        running_expect(targets[i], "\r\n\r\n");
    }
    fds[2] = running_say(fixture->path, GET);
    assert_int_equal(poll(&(struct pollfd){.fd = listening, .events = POLLIN}, 1, 300), 0);
    assert_int_equal(poll(&(struct pollfd){.fd = fds[0], .events = POLLIN}, 1, 0), 0);
    close(fds[0]);
    close(targets[0]);
    targets[0] = accept(listening, NULL, NULL);
    running_expect(targets[0], "\r\n\r\n");
    for (int i = 0; i < 2; i++)
        close(targets[i]);
    close(fds[1]);
    close(fds[2]);
    close(listening);
    running_end(&running);
    unlink(fixture_path(fixture, "target.sock"));
}

/* Nothing but making room ends the wait of these tests: the time-outs are longer than their patience. */
#define PATIENT "\"timeouts\": { \"head\": \"10m\", \"idle\": \"10m\" }, "

/* Those who have only come and those who have been answered, the longest idle first. */
static void test_server_full_of_idle_clients_lets_the_longest_go(void **state)
{
    struct fixture *fixture = *state;
    struct running running;
    int fds[6];

    running_begin(&running, fixture, ONE PATIENT "\"limits\": { \"connections\": 4 }, " RESPONDS "} ] }", false);
    for (int i = 0; i < 4; i++) {
        if (i == 2)
            usleep(500 * 1000);
        fds[i] = i % 2 == 0 ? fixture_connect(fixture->path) : running_say(fixture->path, GET);
        if (i % 2 == 1)
            running_expect(fds[i], "hi");
    }
    for (int i = 4; i < 6; i++) {
        fds[i] = running_say(fixture->path, GET);
        running_expect(fds[i], "hi");
    }
    for (int i = 0; i < 2; i++)
        running_expect(fds[i], NULL);
    for (int i = 2; i < 6; i++) {
        assert_int_equal(send(fds[i], GET, strlen(GET), MSG_NOSIGNAL), strlen(GET));
        running_expect(fds[i], "hi");
    }
    for (int i = 0; i < 6; i++)
        close(fds[i]);
    running_end(&running);
}

/* A part of a request is a request: who is slow keeps its place. */
static void test_server_client_that_has_begun_a_request_makes_no_room(void **state)
{
    struct fixture *fixture = *state;
    struct running running;
    int fds[3];

    running_begin(&running, fixture, ONE PATIENT "\"limits\": { \"connections\": 2 }, " RESPONDS "} ] }", false);
    fds[0] = running_say(fixture->path, "G");
    fds[1] = running_say(fixture->path, GET "G");
    running_expect(fds[1], "hi");
    fds[2] = running_say(fixture->path, GET);
    assert_int_equal(poll(&(struct pollfd){.fd = fds[2], .events = POLLIN}, 1, 300), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(send(fds[i], &GET[1], strlen(GET) - 1, MSG_NOSIGNAL), strlen(GET) - 1);
        running_expect(fds[i], "hi");
    }
    running_expect(fds[2], "hi");
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    running_end(&running);
}

/* Waits until so many of them have seen the end. */
static void await_ends(const int *fds, size_t n, size_t n_wanted)
{
    size_t n_ended = 0;

    for (int i = 0; i < PATIENCE_MS && n_ended < n_wanted; i++) {
        n_ended = 0;
        for (size_t j = 0; j < n; j++)
            n_ended += poll(&(struct pollfd){.fd = fds[j], .events = POLLIN}, 1, 0) == 1;
        usleep(1000);
    }
    assert_true(n_ended >= n_wanted);
}

/* In whichever worker it is. */
static void test_server_full_of_idle_clients_lets_those_of_other_workers_go(void **state)
{
    struct fixture *fixture = *state;
    struct running running;
    int fds[24];

    running_begin(&running, fixture,
                  "{ \"workers\": 4, \"log\": { \"level\": \"error\" }, \"listeners\": [ { \"bind\": "
                  "\"unix:%s/app.sock\", " PATIENT "\"limits\": { \"connections\": 8 }, " RESPONDS "} ] }",
                  false);
    for (size_t i = 0; i < ARRAY_LENGTH(fds); i++) {
        fds[i] = running_say(fixture->path, GET);
        running_expect(fds[i], "hi");
    }
    await_ends(fds, ARRAY_LENGTH(fds), ARRAY_LENGTH(fds) - 8);
    for (size_t i = 0; i < ARRAY_LENGTH(fds); i++)
        close(fds[i]);
    running_end(&running);
}

static void test_server_user_with_all_its_places_idle_lets_its_own_go(void **state)
{
    struct fixture *fixture = *state;
    struct running running;
    int fds[5];

    running_begin(&running, fixture, ONE PATIENT "\"limits\": { \"connections_per_uid\": 2 }, " RESPONDS "} ] }",
                  false);
    for (int i = 0; i < 5; i++) {
        fds[i] = running_say(fixture->path, GET);
        running_expect(fds[i], "hi");
        if (i >= 2)
            running_expect(fds[i - 2], NULL);
    }
    for (int i = 0; i < 5; i++)
        close(fds[i]);
    running_end(&running);
}

/* In whichever worker they are. */
static void test_server_user_with_idle_clients_in_other_workers_lets_them_go(void **state)
{
    struct fixture *fixture = *state;
    struct running running;
    int fds[24];

    running_begin(&running, fixture,
                  "{ \"workers\": 4, \"log\": { \"level\": \"error\" }, \"listeners\": [ { \"bind\": "
                  "\"unix:%s/app.sock\", " PATIENT "\"limits\": { \"connections_per_uid\": 4 }, " RESPONDS "} ] }",
                  false);
    for (size_t i = 0; i < ARRAY_LENGTH(fds); i++) {
        fds[i] = running_say(fixture->path, GET);
        running_expect(fds[i], "hi");
    }
    await_ends(fds, ARRAY_LENGTH(fds), ARRAY_LENGTH(fds) - 4);
    for (size_t i = 0; i < ARRAY_LENGTH(fds); i++)
        close(fds[i]);
    running_end(&running);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVER_TEST(test_server_full_of_busy_clients_serves_the_next_when_one_leaves),
        SERVER_TEST(test_server_full_of_idle_clients_lets_the_longest_go),
        SERVER_TEST(test_server_client_that_has_begun_a_request_makes_no_room),
        SERVER_TEST(test_server_full_of_idle_clients_lets_those_of_other_workers_go),
        SERVER_TEST(test_server_user_with_all_its_places_idle_lets_its_own_go),
        SERVER_TEST(test_server_user_with_idle_clients_in_other_workers_lets_them_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
