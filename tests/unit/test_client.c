/* Clients on a socket pair, through the frontend: who is waited for and how long, and what everybody is told. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/client_rig.h"

#define GET "GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST_HEAD "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n"
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static void test_client_is_served_again_and_again(void **state)
{
    struct front *front = *state;

    front_open(front);
    for (int i = 0; i < 3; i++) {
        front_say(front, GET);
        if (i == 0)
            rig_accept(front->rig);
        rig_expect_request(front->rig, "GET /a HTTP/1.1\r\n", "\r\n\r\n");
        assert_non_null(strstr(front->rig->received, "Forwarded: for=_uid-7.gid-8;host=a;proto=http\r\n"));
        front_target_say(front, OK);
        front_expect(front, "HTTP/1.1 200 OK\r\n", "\r\n\r\nok");
    }
    assert_int_equal(rig_count(front->rig, OUTCOME_FORWARDED), 3);
    assert_int_equal(front->n_closed, 0);
}

static void test_client_with_large_header_limit_is_served(void **state)
{
    struct front *front = *state;
    char *request = malloc(50000);

    assert_non_null(request);
    front->rig->listener.limit_header_bytes = 65536;
    rig_renew(front->rig);
    front_open(front);
    snprintf(request, 50000, "GET /a HTTP/1.1\r\nHost: a\r\nX: %040000d\r\n\r\n", 0);
    front_reach_target(front, request);
    assert_true(front->rig->n_received > 40000);
    front_target_say(front, OK);
    front_expect(front, "HTTP/1.1 200 OK\r\n", "ok");
    free(request);
}

static void test_client_that_leaves_while_waiting_frees_the_target(void **state)
{
    struct front *front = *state;

    front_open(front);
    front_reach_target(front, GET);
    close(front->fd);
    front->fd = -1;
    front_await(front, OUTCOME_CLIENT_GONE);
    assert_int_equal(rig_receive(front->rig), -1);
    assert_int_equal(target_n_open(front->rig->target), 0);
    assert_int_equal(front->n_closed, 1);
}

static void test_client_that_has_finished_sending_gets_its_answer(void **state)
{
    struct front *front = *state;

    front_open(front);
    front_reach_target(front, GET);
    assert_int_equal(shutdown(front->fd, SHUT_WR), 0);
    front_settle(front);
    front_target_say(front, OK);
    front_expect(front, "HTTP/1.1 200 OK\r\n", "ok");
    assert_int_equal(rig_count(front->rig, OUTCOME_FORWARDED), 1);
}

static void test_client_silent_after_connecting_gets_408(void **state)
{
    struct front *front = *state;

    front->rig->listener.timeout_head_ms = 40;
    front_open(front);
    front_await(front, OUTCOME_HEAD_TIMEOUT);
    front_expect(front, "HTTP/1.1 408 ", "\r\n\r\n");
    front_expect_closed(front);
}

/* Progress does not help: the head has one deadline. */
static void test_client_trickling_its_head_gets_408(void **state)
{
    static const char head[] =
        "GET /a HTTP/1.1\r\nHost: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    struct front *front = *state;

    front->rig->listener.timeout_head_ms = 100;
    front_open(front);
    for (size_t i = 0; i < sizeof(head) - 1 && rig_count(front->rig, OUTCOME_HEAD_TIMEOUT) == 0; i++) {
        send(front->fd, head + i, 1, MSG_NOSIGNAL);
        front_round(front, 10);
    }
    front_await(front, OUTCOME_HEAD_TIMEOUT);
    front_expect(front, "HTTP/1.1 408 ", "}\n");
    front_expect_closed(front);
    assert_false(rig_has_connection(front->rig));
}

static void test_client_that_stops_its_body_gets_408(void **state)
{
    struct front *front = *state;

    front->rig->listener.timeout_body_ms = 40;
    front_open(front);
    front_reach_target(front, POST_HEAD "abc");
    front_await(front, OUTCOME_BODY_TIMEOUT);
    front_expect(front, "HTTP/1.1 408 ", "}\n");
    assert_int_equal(rig_receive(front->rig), -1);
}

/* Back-pressure stops the client's clock; once the target has taken everything, it is the client's turn again. */
static void test_client_that_stops_its_body_after_back_pressure_gets_408(void **state)
{
    struct front *front = *state;
    static char piece[1001];

    memset(piece, 'x', sizeof(piece) - 1);
    front->rig->listener.timeout_body_ms = 300;
    front_open(front);
    front_reach_target(front, POST_HEAD);
    for (int i = 0; front_phase(front) != CLIENT_WAITING; i++) {
        assert_true(i < 5000);
        front_say(front, piece);
    }
    for (int i = 0; i < 20; i++) {
        rig_receive(front->rig);
        front_settle(front);
    }
    front_await(front, OUTCOME_BODY_TIMEOUT);
    front_expect(front, "HTTP/1.1 408 ", "}\n");
}

static void test_client_that_takes_nothing_is_cut(void **state)
{
    struct front *front = *state;
    static char piece[50000];

    front->rig->listener.timeout_body_ms = 100;
    front_open(front);
    front_reach_target(front, GET);
    front_target_say(front, "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
    while (send(front->rig->target_fd, piece, sizeof(piece), MSG_NOSIGNAL) > 0)
        front_settle(front);
    front_await(front, OUTCOME_CLIENT_STALLED);
    assert_int_equal(front->n_closed, 1);
    assert_int_equal(target_n_open(front->rig->target), 0);
}

static void test_client_idle_for_too_long_is_closed(void **state)
{
    struct front *front = *state;

    front->rig->listener.timeout_idle_ms = 60;
    front_open(front);
    front_reach_target(front, GET);
    front_target_say(front, OK);
    front_expect(front, "HTTP/1.1 200 OK\r\n", "ok");
    for (int i = 0; i < RIG_PATIENCE_MS && front->n_closed == 0; i++)
        front_round(front, 1);
    front_expect_closed(front);
    assert_int_equal(rig_count(front->rig, OUTCOME_FORWARDED), 1);
    assert_int_equal(rig_count(front->rig, OUTCOME_HEAD_TIMEOUT), 0);
}

static void test_client_idle_longer_than_a_second_is_served(void **state)
{
    struct front *front = *state;
    struct instant end;

    front_open(front);
    front_reach_target(front, GET);
    front_target_say(front, OK);
    front_expect(front, "HTTP/1.1 200 OK\r\n", "ok");
    end = instant_add_ms(instant_now(), 1200); /* its memory has been given back */
    while (instant_before(instant_now(), end))
        front_round(front, 10);
    front_say(front, GET);
    rig_expect_request(front->rig, "GET /a HTTP/1.1\r\nHost: a\r\n", "\r\n\r\n");
    front_target_say(front, OK);
    front_expect(front, "HTTP/1.1 200 OK\r\n", "ok");
}

static void test_client_truncated_answer_is_cut_before_its_end(void **state)
{
    struct front *front = *state;

    front_open(front);
    front_reach_target(front, GET);
    front_target_say(front, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    rig_close(front->rig);
    front_await(front, OUTCOME_TARGET_TRUNCATED);
    front_receive(front);
    assert_non_null(strstr(front->data, "abc"));
    assert_null(strstr(front->data, "0\r\n\r\n"));
    front_expect_closed(front);
}

static void test_client_early_refusal_of_a_large_body_arrives(void **state)
{
    struct front *front = *state;

    front->rig->listener.limit_body_bytes = 1000;
    front_open(front);
    front_say(front, POST_HEAD);
    front_expect(front, "HTTP/1.1 413 ", "}\n");
    front_await(front, OUTCOME_BODY_TOO_LARGE);
    front_expect_closed(front);
    assert_false(rig_has_connection(front->rig));
}

static void test_client_garbage_gets_400_and_reaches_nobody(void **state)
{
    struct front *front = *state;

    front_open(front);
    front_say(front, "G(T /a HTTP/1.1\r\nHost: a\r\n\r\n");
    front_expect(front, "HTTP/1.1 400 ", "}\n");
    front_await(front, OUTCOME_MALFORMED);
    front_expect_closed(front);
    assert_false(rig_has_connection(front->rig));
}

static void test_client_stop_lets_idle_ones_go_and_finishes_the_others(void **state)
{
    struct front *front = *state;

    front_open(front);
    front_reach_target(front, GET);
    front->rig->env.stopping = true;
    clients_stop(frontend_clients(front->frontend));
    front_settle(front);
    assert_int_equal(front->n_closed, 0);
    front_target_say(front, OK);
    front_expect(front, "HTTP/1.1 200 OK\r\n", "ok");
    front_await(front, OUTCOME_FORWARDED);
    front_expect_closed(front);
}

static void test_client_cut_all_is_stopped(void **state)
{
    struct front *front = *state;

    front_open(front);
    front_reach_target(front, GET);
    clients_cut_all(frontend_clients(front->frontend));
    front_await(front, OUTCOME_STOPPED);
    assert_int_equal(front->n_closed, 1);
    assert_int_equal(target_n_open(front->rig->target), 0);
    assert_int_equal(rig_receive(front->rig), -1);
}

/* ---- tunnels ---- */

#define UPGRADE "GET /a HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
#define SWITCHED "HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"

/* The client is the tunnel's: the library has nothing left, but its listener still counts it. */
static void test_client_becomes_a_tunnel_and_is_counted_out_with_it(void **state)
{
    struct front *front = *state;

    front_open(front);
    front_reach_target(front, UPGRADE);
    front_target_say(front, SWITCHED "welcome");
    front_expect(front, "HTTP/1.1 101 S\r\n", "\r\n\r\nwelcome");
    assert_non_null(strstr(front->data, "\r\nUpgrade: echo\r\n"));
    assert_int_equal(frontend_clients(front->frontend)->n_clients, 0);
    assert_int_equal(front->rig->env.tunnels.n_tunnels, 1);
    assert_int_equal(front->n_closed, 0);
    front_say(front, "hello");
    rig_expect_request(front->rig, "hello", "hello");
    close(front->fd);
    front->fd = -1;
    front_await(front, OUTCOME_TUNNELED);
    assert_int_equal(front->n_closed, 1);
    assert_int_equal(target_n_open(front->rig->target), 0);
}

/* An impatient client does not wait for the 101. */
static void test_client_that_speaks_behind_its_upgrade_is_heard_by_the_tunnel(void **state)
{
    struct front *front = *state;

    front_open(front);
    front_reach_target(front, UPGRADE "early");
    assert_null(strstr(front->rig->received, "early"));
    front_say(front, " bird");
    front_target_say(front, SWITCHED);
    front_expect(front, "HTTP/1.1 101 ", "\r\n\r\n");
    rig_expect_request(front->rig, "early bird", "early bird");
}

static void test_client_whose_upgrade_is_declined_goes_on_with_http(void **state)
{
    struct front *front = *state;

    front_open(front);
    front_reach_target(front, UPGRADE);
    front_target_say(front, OK);
    front_expect(front, "HTTP/1.1 200 OK\r\n", "\r\n\r\nok");
    front_say(front, GET);
    rig_expect_request(front->rig, "GET /a HTTP/1.1\r\n", "\r\n\r\n");
    front_target_say(front, OK);
    front_expect(front, "HTTP/1.1 200 OK\r\n", "\r\n\r\nok");
    assert_int_equal(rig_count(front->rig, OUTCOME_FORWARDED), 2);
}

static void test_client_that_leaves_before_its_switch_is_gone(void **state)
{
    struct front *front = *state;

    front_open(front);
    front_reach_target(front, UPGRADE);
    close(front->fd);
    front->fd = -1;
    front_await(front, OUTCOME_CLIENT_GONE);
    assert_int_equal(front->n_closed, 1);
    assert_int_equal(front->rig->env.tunnels.n_tunnels, 0);
    assert_int_equal(target_n_open(front->rig->target), 0);
}

/* The client's deadlines are not the tunnel's. */
static void test_client_that_became_a_tunnel_has_no_deadline_of_its_own(void **state)
{
    struct front *front = *state;
    struct instant end;

    front->rig->listener.timeout_head_ms = front->rig->listener.timeout_body_ms = front->rig->listener.timeout_idle_ms =
        300;
    front->rig->target_config.times.idle_ms = front->rig->target_config.times.response_ms = 300;
    front_open(front);
    front_reach_target(front, UPGRADE);
    front_target_say(front, SWITCHED);
    end = instant_add_ms(instant_now(), 900);
    while (instant_before(instant_now(), end))
        front_round(front, 10);
    front_say(front, "still here");
    rig_expect_request(front->rig, "still here", "here");
    assert_int_equal(front->n_closed, 0);
}

/* 5,000 chunks of a byte in one write: each turn has its share, which goes on in one piece and before the loop sleeps.
 */
static void test_client_of_tiny_chunks_has_a_share_of_each_turn(void **state)
{
    struct front *front = *state;
    char request[40000];
    int length =
        snprintf(request, sizeof(request), "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    size_t n_chunks = 0, n_content = 0, most = 0;
    bool busy = true;

    for (int i = 0; i < 5000; i++)
        length += snprintf(request + length, sizeof(request) - (size_t)length, "1\r\nx\r\n");
    front_open(front);
    assert_int_equal(send(front->fd, request, (size_t)length, MSG_NOSIGNAL), length);
    while (busy) {
        const char *at;

        busy = front_round(front, 0);
        if (front->rig->target_fd < 0 && rig_has_connection(front->rig))
            rig_accept(front->rig);
        if (front->rig->target_fd < 0 || rig_receive(front->rig) <= 0)
            continue;
        at = strstr(front->rig->received, "\r\n\r\n");
        at = at ? at + 4 : front->rig->received;
        while (*at) {
            size_t n = strtoul(at, NULL, 16);

            n_chunks++;
            n_content += n;
            most = n > most ? n : most;
            at = strchr(at, '\n') + 1 + n + 2;
        }
    }
    assert_int_equal(n_content, 5000);
    assert_true(n_chunks < 100);
    assert_true(most <= 1024); /* the library may run more than once in a round */
    front_say(front, "1\r\ny\r\n");
    rig_expect_request(front->rig, "1\r\ny", "y\r\n");
}

/* Of its next turn, when there is little to share. */
static void test_client_pays_for_its_trailers(void **state)
{
    struct front *front = *state;
    const struct clients *clients;
    char request[2000];
    int length = snprintf(request, sizeof(request),
                          "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n");

    for (int i = 0; i < 50; i++)
        length += snprintf(request + length, sizeof(request) - (size_t)length, "A%d: b\r\n", i);
    snprintf(request + length, sizeof(request) - (size_t)length, "\r\n");
    front_open(front);
    front_reach_target(front, request);
    clients = frontend_clients(front->frontend);
    assert_true(CONTAINER_OF(clients->list.next, struct client, link)->n_pieces > 50);
}

#define FRONT_TEST(name) cmocka_unit_test_setup_teardown(name, front_setup, front_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRONT_TEST(test_client_is_served_again_and_again),
        FRONT_TEST(test_client_with_large_header_limit_is_served),
        FRONT_TEST(test_client_that_leaves_while_waiting_frees_the_target),
        FRONT_TEST(test_client_that_has_finished_sending_gets_its_answer),
        FRONT_TEST(test_client_silent_after_connecting_gets_408),
        FRONT_TEST(test_client_trickling_its_head_gets_408),
        FRONT_TEST(test_client_that_stops_its_body_gets_408),
        FRONT_TEST(test_client_that_stops_its_body_after_back_pressure_gets_408),
        FRONT_TEST(test_client_that_takes_nothing_is_cut),
        FRONT_TEST(test_client_idle_for_too_long_is_closed),
        FRONT_TEST(test_client_idle_longer_than_a_second_is_served),
        FRONT_TEST(test_client_truncated_answer_is_cut_before_its_end),
        FRONT_TEST(test_client_early_refusal_of_a_large_body_arrives),
        FRONT_TEST(test_client_garbage_gets_400_and_reaches_nobody),
        FRONT_TEST(test_client_stop_lets_idle_ones_go_and_finishes_the_others),
        FRONT_TEST(test_client_cut_all_is_stopped),
        FRONT_TEST(test_client_becomes_a_tunnel_and_is_counted_out_with_it),
        FRONT_TEST(test_client_that_speaks_behind_its_upgrade_is_heard_by_the_tunnel),
        FRONT_TEST(test_client_whose_upgrade_is_declined_goes_on_with_http),
        FRONT_TEST(test_client_that_leaves_before_its_switch_is_gone),
        FRONT_TEST(test_client_that_became_a_tunnel_has_no_deadline_of_its_own),
        FRONT_TEST(test_client_of_tiny_chunks_has_a_share_of_each_turn),
        FRONT_TEST(test_client_pays_for_its_trailers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
