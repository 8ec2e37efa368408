/* Requests that have been answered before their end, and what is still to come of them: whether it ends in time, so
 * that the connection goes on, or in any other way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/client_rig.h"

#define CHUNKED "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
#define ANOTHER "GET /b HTTP/1.1\r\nHost: a\r\n\r\n"
#define PIECE_BYTES 50000

/* All of the answer has been sent, and our end is shut. */
static void expect_end(struct front *front)
{
    char byte;

    front_settle(front);
    assert_int_equal(recv(front->fd, &byte, 1, 0), 0);
}

/* The client takes its leave; its one answer was delivered. */
static void close_and_await(struct front *front)
{
    close(front->fd);
    front->fd = -1;
    front_await(front, OUTCOME_FORWARDED);
    assert_int_equal(front->n_closed, 1);
    assert_int_equal(rig_count(front->rig, OUTCOME_FORWARDED), 1);
}

#define REFUSED "HTTP/1.1 403 Not you\r\n" DATE "Content-Length: 3\r\n\r\nno\n"

/* The target has answered, and left; the rest of the request is still to come. */
static void begin_rest(struct front *front, const char *request)
{
    struct instant end = instant_add_ms(instant_now(), RIG_PATIENCE_MS);

    front_open(front);
    front_reach_target(front, request);
    front_target_say(front, REFUSED);
    while (front_phase(front) != CLIENT_REST) {
        front_round(front, 5);
        assert_true(instant_before(instant_now(), end));
    }
    front_expect(front, REFUSED, "no\n");
    assert_int_equal(rig_receive(front->rig), -1);
}

static void expect_rest_to_end(struct front *front, const char *rest)
{
    front_say(front, rest);
    assert_int_equal(front_phase(front), CLIENT_IDLE);
    assert_int_equal(rig_count(front->rig, OUTCOME_FORWARDED), 1);
    front_exchange_again(front, true);
}

static void test_relay_rest_that_ends_in_time_keeps_the_connection(void **state)
{
    begin_rest(*state, "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabc");
    expect_rest_to_end(*state, "de");
}

static void test_relay_rest_in_chunks_that_ends_in_time_keeps_the_connection(void **state)
{
    begin_rest(*state, CHUNKED "3\r\nabc\r\n");
    expect_rest_to_end(*state, "2\r\nde\r\n0\r\nT: u\r\n\r\n");
}

static void test_relay_rest_is_followed_by_the_next_request(void **state)
{
    struct front *front = *state;

    begin_rest(front, CHUNKED "3\r\nabc\r\n");
    front_reach_target(front, "2\r\nde\r\n0\r\n\r\n" ANOTHER);
    front_target_say(front, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n2.");
    front_expect(front, "HTTP/1.1 200 OK\r\n", "\r\n\r\n2.");
    front_exchange_again(front, false);
    assert_int_equal(rig_count(front->rig, OUTCOME_FORWARDED), 3);
}

static void test_relay_rest_that_does_not_end_closes_the_connection(void **state)
{
    struct front *front = *state;

    begin_rest(front, "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabc");
    for (int i = 0; i < RIG_PATIENCE_MS && front_phase(front) == CLIENT_REST; i++)
        front_round(front, 5);
    assert_int_equal(front_phase(front), CLIENT_LINGER);
    expect_end(front);
    close_and_await(front);
}

static void test_relay_rest_that_is_too_much_closes_the_connection(void **state)
{
    static char piece[PIECE_BYTES + 1];
    struct front *front = *state;

    memset(piece, 'x', PIECE_BYTES);
    begin_rest(front, CHUNKED "3\r\nabc\r\n");
    for (int i = 0; i < 21; i++) {
        front_say(front, "C350\r\n");
        front_say(front, piece);
        front_say(front, "\r\n");
    }
    assert_int_equal(front_phase(front), CLIENT_LINGER);
    expect_end(front);
    close_and_await(front);
}

static void test_relay_rest_that_is_malformed_closes_the_connection(void **state)
{
    struct front *front = *state;

    begin_rest(front, CHUNKED "3\r\nabc\r\n");
    front_say(front, "no chunk\r\n");
    front_await(front, OUTCOME_FORWARDED);
    assert_int_equal(front->n_closed, 1);
}

static void test_relay_rest_with_bad_trailers_closes_the_connection(void **state)
{
    struct front *front = *state;

    begin_rest(front, CHUNKED "3\r\nabc\r\n");
    front_say(front, "0\r\nB ad: x\r\n\r\n" ANOTHER);
    for (int i = 0; i < RIG_PATIENCE_MS && front->n_closed == 0; i++)
        front_round(front, 1);
    assert_int_equal(front->n_closed, 1);
    assert_false(rig_has_connection(front->rig));
}

static void test_relay_client_that_leaves_in_the_rest_has_its_answer(void **state)
{
    struct front *front = *state;

    begin_rest(front, CHUNKED "3\r\nabc\r\n");
    close_and_await(front);
}

static void test_relay_rest_is_stopped_with_all_clients(void **state)
{
    struct front *front = *state;

    begin_rest(front, CHUNKED "3\r\nabc\r\n");
    clients_cut_all(frontend_clients(front->frontend));
    for (int i = 0; i < RIG_PATIENCE_MS && front->n_closed == 0; i++)
        front_round(front, 1);
    assert_int_equal(front->n_closed, 1);
}

#define FRONT_TEST(name) cmocka_unit_test_setup_teardown(name, front_setup, front_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRONT_TEST(test_relay_rest_that_ends_in_time_keeps_the_connection),
        FRONT_TEST(test_relay_rest_in_chunks_that_ends_in_time_keeps_the_connection),
        FRONT_TEST(test_relay_rest_is_followed_by_the_next_request),
        FRONT_TEST(test_relay_rest_that_does_not_end_closes_the_connection),
        FRONT_TEST(test_relay_rest_that_is_too_much_closes_the_connection),
        FRONT_TEST(test_relay_rest_that_is_malformed_closes_the_connection),
        FRONT_TEST(test_relay_rest_with_bad_trailers_closes_the_connection),
        FRONT_TEST(test_relay_client_that_leaves_in_the_rest_has_its_answer),
        FRONT_TEST(test_relay_rest_is_stopped_with_all_clients),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
