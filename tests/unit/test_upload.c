/* Bodies of requests that are moved beside the library: at every position, with requests behind them, and each way in
 * which either side can stop. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/exchange/capture.h"
#include "tests/unit/client_rig.h"

#define TEN "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"
#define GET "GET /b HTTP/1.1\r\nHost: a\r\n\r\n"
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define LARGE_BYTES 900000
#define LARGE "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n"

static char large[LARGE_BYTES];

static int upload_group_setup(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN); /* as the server does: splice(2) has no flag for it */
    front_fill(large, LARGE_BYTES);
    return 0;
}

static bool is_moving(struct front *front)
{
    return front_client(front)->request.upload != NULL;
}

/* Up to the head and the first bytes, which the target has. */
static void begin(struct front *front, const char *request, const char *body)
{
    front_open_moving(front);
    front_say(front, request);
    assert_true(is_moving(front));
    rig_accept(front->rig);
    rig_expect_request(front->rig, "POST /a HTTP/1.1\r\n", body);
}

/* The target has got exactly this since the last look. */
static void expect_passed(struct front *front, const char *data)
{
    front_settle(front);
    rig_receive(front->rig);
    assert_string_equal(front->rig->received, data);
}

/* The answer, and another request on both connections. */
static void answer_and_go_on(struct front *front)
{
    front_target_say(front, OK);
    front_expect(front, "HTTP/1.1 200 OK\r\n", "\r\n\r\nok");
    assert_null(strstr(front->data, "Connection"));
    assert_int_equal(front->n_closed, 0);
    assert_int_equal(rig_n_idle(front->rig), 1);
    front_say(front, GET);
    rig_expect_request(front->rig, "GET /b HTTP/1.1\r\n", "\r\n\r\n");
    front_target_say(front, OK);
    front_expect(front, "HTTP/1.1 200 OK\r\n", "\r\n\r\nok");
    assert_int_equal(front->n_closed, 0);
}

/* The client sends `large` from `n` on, until we take no more; returns up to where. */
static size_t fill_target(struct front *front, size_t n)
{
    ssize_t r;

    while (n < LARGE_BYTES && (r = send(front->fd, large + n, LARGE_BYTES - n, MSG_NOSIGNAL)) > 0) {
        n += (size_t)r;
        front_settle(front);
    }
    return n;
}

/* The target reads all of `large`, of which `n` have been sent and `n_got` read. */
static void exchange_rest(struct front *front, size_t n, size_t n_got)
{
    for (int i = 0; n_got < LARGE_BYTES; i++) {
        ssize_t r;

        assert_true(i < 100000);
        n = fill_target(front, n);
        r = rig_receive(front->rig);
        assert_true(r >= 0 && n_got + (size_t)r <= LARGE_BYTES);
        assert_memory_equal(front->rig->received, large + n_got, (size_t)r);
        n_got += (size_t)r;
        front_settle(front);
    }
}

/* ---- both ways on ---- */

static void test_upload_body_arrives_and_both_connections_go_on(void **state)
{
    struct front *front = *state;

    begin(front, TEN "abc", "\r\n\r\nabc");
    front_say(front, "defg");
    expect_passed(front, "defg");
    assert_true(is_moving(front));
    front_say(front, "hij");
    expect_passed(front, "hij");
    answer_and_go_on(front);
    assert_int_equal(rig_count(front->rig, OUTCOME_FORWARDED), 2);
}

static void test_upload_body_is_the_same_wherever_it_is_parted(void **state)
{
    struct front *front = *state;
    char text[] = TEN "abcdefghij";

    front_open_moving(front);
    for (size_t i = 1; i < sizeof(text) - 1; i++) {
        assert_int_equal(send(front->fd, text, i, MSG_NOSIGNAL), i);
        front_settle(front);
        front_say(front, text + i);
        if (i == 1)
            rig_accept(front->rig);
        rig_expect_request(front->rig, "POST /a HTTP/1.1\r\n", "\r\n\r\nabcdefghij");
        front_target_say(front, OK);
        front_expect(front, "HTTP/1.1 200 OK\r\n", "\r\n\r\nok");
        assert_int_equal(rig_count(front->rig, OUTCOME_FORWARDED), i);
    }
    assert_int_equal(front->n_closed, 0);
}

static void test_upload_body_of_single_bytes_arrives(void **state)
{
    struct front *front = *state;

    begin(front, TEN "a", "\r\n\r\na");
    for (const char *byte = "bcdefghij"; *byte; byte++)
        assert_int_equal(send(front->fd, byte, 1, MSG_NOSIGNAL), 1);
    expect_passed(front, "bcdefghij");
    answer_and_go_on(front);
}

/* Receiving ends behind it, however much more there is. */
static void test_upload_body_with_a_descriptor_in_it_arrives(void **state)
{
    struct front *front = *state;

    begin(front, TEN "a", "\r\n\r\na");
    rig_send_with_descriptor(front->fd, "bcd", 3);
    rig_send_with_descriptor(front->fd, "efg", 3);
    front_say(front, "hij");
    expect_passed(front, "bcdefghij");
    answer_and_go_on(front);
}

/* The library has received less than it had room for, which it takes for a sign that nothing more is there; but there
 * is, as with a client that writes in that moment, and it is moved at once. */
static void test_upload_that_is_over_at_once_is_told_of(void **state)
{
    struct front *front = *state;

    front_open_moving(front);
    rig_send_with_descriptor(front->fd, TEN "abc", sizeof(TEN "abc") - 1);
    front_say(front, "defghij");
    rig_accept(front->rig);
    rig_expect_request(front->rig, "POST /a HTTP/1.1\r\n", "\r\n\r\nabcdefghij");
    answer_and_go_on(front);
}

static void test_upload_large_body_waits_for_a_slow_target(void **state)
{
    struct front *front = *state;
    size_t n;

    begin(front, LARGE "a", "\r\n\r\na");
    n = fill_target(front, 1);
    assert_true(n < LARGE_BYTES);
    assert_int_equal(front_phase(front), CLIENT_WAITING);
    assert_false(frontend_is_busy(front->frontend));
    exchange_rest(front, n, 1);
    answer_and_go_on(front);
}

static void test_upload_without_a_pipe_is_copied(void **state)
{
    struct front *front = *state;
    struct pipe_store *pipes = &front->rig->env.tunnels.pipes;

    pipes->n_pipes += 1000;
    front_open_moving(front);
    front_reach_target(front, LARGE "a");
    exchange_rest(front, 1, 1);
    pipes->n_pipes -= 1000;
    answer_and_go_on(front);
}

static void test_upload_answer_before_the_library_knows_the_end_keeps_the_connection(void **state)
{
    struct front *front = *state;

    begin(front, TEN "a", "\r\n\r\na");
    assert_int_equal(send(front->fd, "bcdefghij", 9, MSG_NOSIGNAL), 9);
    /* All has been moved in this round, and answered before the next. */
    assert_true(loop_run_once(front->rig->loop, 0) >= 0);
    frontend_turn(front->frontend, 2);
    assert_int_equal(send(front->rig->target_fd, OK, sizeof(OK) - 1, MSG_NOSIGNAL), sizeof(OK) - 1);
    front_expect(front, "HTTP/1.1 200 OK\r\n", "\r\n\r\nok");
    assert_int_equal(rig_n_idle(front->rig), 1);
    assert_int_equal(front->n_closed, 0);
}

static void test_upload_moves_its_answer_too(void **state)
{
    struct front *front = *state;

    begin(front, TEN "a", "\r\n\r\na");
    front_say(front, "bcdefghij" GET);
    expect_passed(front, "bcdefghij");
    front_target_say(front, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab");
    assert_non_null(front_client(front)->request.bulk);
    front_target_say(front, "cde");
    front_expect(front, "HTTP/1.1 200 OK\r\n", "\r\n\r\nabcde");
    rig_expect_request(front->rig, "GET /b HTTP/1.1\r\n", "\r\n\r\n");
    front_target_say(front, OK);
    front_expect(front, "HTTP/1.1 200 OK\r\n", "\r\n\r\nok");
}

/* ---- requests behind it ---- */

static void test_upload_pipelined_requests_come_after_it(void **state)
{
    struct front *front = *state;

    begin(front, TEN "abc", "\r\n\r\nabc");
    front_say(front, "defghij" GET TEN "0123");
    expect_passed(front, "defghij");
    front_target_say(front, OK);
    rig_expect_request(front->rig, "GET /b HTTP/1.1\r\n", "\r\n\r\n");
    front_target_say(front, OK);
    rig_expect_request(front->rig, "POST /a HTTP/1.1\r\n", "\r\n\r\n0123");
    front_say(front, "456789");
    expect_passed(front, "456789");
    front_receive(front);
    front->n_data = 0;
    answer_and_go_on(front);
    assert_int_equal(rig_count(front->rig, OUTCOME_FORWARDED), 4);
}

/* ---- answers before the end ---- */

static void test_upload_early_answer_is_told_beside_it(void **state)
{
    struct front *front = *state;

    begin(front, LARGE "a", "\r\n\r\na");
    front_say(front, "bcd");
    expect_passed(front, "bcd");
    front_target_say(front, "HTTP/1.1 403 Forbidden\r\n" DATE "Content-Length: 3\r\n\r\nno\n");
    assert_false(is_moving(front));
    for (int i = 0; i < RIG_PATIENCE_MS && front_phase(front) != CLIENT_REST; i++)
        front_round(front, 5);
    front_expect(front, "HTTP/1.1 403 Forbidden\r\n" DATE "Content-Length: 3\r\n", "\r\n\r\nno\n");
    /* The library counts on from what it was told. */
    for (size_t n = 4; n < LARGE_BYTES; front_settle(front)) {
        ssize_t sent = send(front->fd, large, LARGE_BYTES - n < 50000 ? LARGE_BYTES - n : 50000, MSG_NOSIGNAL);

        assert_true(sent > 0);
        n += (size_t)sent;
    }
    assert_int_equal(front_phase(front), CLIENT_IDLE);
    front_exchange_again(front, true);
}

static void test_upload_early_answer_waits_for_an_end_that_comes_soon(void **state)
{
    struct front *front = *state;

    begin(front, TEN "a", "\r\n\r\na");
    front_say(front, "bcd");
    expect_passed(front, "bcd");
    front_target_say(front, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
    assert_int_equal(front_phase(front), CLIENT_EARLY);
    front_say(front, "efghij");
    expect_passed(front, "efghij");
    front_target_say(front, "ok");
    front_expect(front, "HTTP/1.1 200 OK\r\n", "\r\n\r\nok");
    assert_null(strstr(front->data, "Connection: close"));
    assert_int_equal(front->n_closed, 0);
}

/* ---- ends that are none ---- */

static void test_upload_client_that_leaves_frees_the_target(void **state)
{
    struct front *front = *state;

    begin(front, TEN "abc", "\r\n\r\nabc");
    front_say(front, "de");
    close(front->fd);
    front->fd = -1;
    front_await(front, OUTCOME_CLIENT_GONE);
    assert_int_equal(front->n_closed, 1);
    expect_passed(front, "de");
    assert_int_equal(rig_receive(front->rig), -1);
}

static void test_upload_client_that_leaves_a_full_target_frees_it(void **state)
{
    struct front *front = *state;

    begin(front, LARGE "a", "\r\n\r\na");
    fill_target(front, 1);
    close(front->fd);
    front->fd = -1;
    front_await(front, OUTCOME_CLIENT_GONE);
    assert_int_equal(front->n_closed, 1);
    assert_int_equal(target_n_open(front->rig->target), 0);
}

static void test_upload_half_closed_client_is_gone(void **state)
{
    struct front *front = *state;

    begin(front, TEN "abc", "\r\n\r\nabc");
    front_say(front, "de");
    shutdown(front->fd, SHUT_WR);
    front_await(front, OUTCOME_CLIENT_GONE);
    assert_int_equal(front->n_closed, 1);
    assert_int_equal(target_n_open(front->rig->target), 0);
}

static void test_upload_client_that_stops_sending_is_told(void **state)
{
    struct front *front = *state;

    front->rig->listener.timeout_body_ms = 300;
    begin(front, TEN "abc", "\r\n\r\nabc");
    front_say(front, "de");
    front_await(front, OUTCOME_BODY_TIMEOUT);
    front_expect(front, "HTTP/1.1 408 ", "}\n");
}

static void test_upload_client_that_sends_after_a_silence_is_heard(void **state)
{
    struct front *front = *state;

    front->rig->listener.timeout_body_ms = 5000;
    begin(front, TEN "abc", "\r\n\r\nabc");
    for (struct instant end = instant_add_ms(instant_now(), CLIENT_SILENCE_MS + 200);
         instant_before(instant_now(), end);)
        front_round(front, 20);
    assert_true(is_moving(front));
    front_say(front, "defghij");
    expect_passed(front, "defghij");
    answer_and_go_on(front);
}

static void test_upload_target_that_stops_reading_is_cut(void **state)
{
    struct front *front = *state;

    front->rig->target_config.times.idle_ms = 300;
    begin(front, LARGE "a", "\r\n\r\na");
    fill_target(front, 1);
    front_await(front, OUTCOME_RESPONSE_TIMEOUT);
    front_receive(front);
    assert_int_equal(strncmp(front->data, "HTTP/1.1 504 ", 13), 0);
    assert_int_equal(target_n_open(front->rig->target), 0);
}

static void test_upload_target_that_closes_is_told_of(void **state)
{
    struct front *front = *state;

    begin(front, LARGE "a", "\r\n\r\na");
    front_say(front, "bcd");
    rig_receive(front->rig);
    rig_close(front->rig);
    front_await(front, OUTCOME_TARGET_CLOSED);
    front_expect(front, "HTTP/1.1 502 ", "}\n");
}

static void test_upload_target_that_breaks_off_with_much_unread_is_told_of(void **state)
{
    struct front *front = *state;

    begin(front, LARGE "a", "\r\n\r\na");
    fill_target(front, 1);
    rig_close(front->rig);
    front_await(front, OUTCOME_TARGET_RESET);
    front_receive(front);
    assert_int_equal(strncmp(front->data, "HTTP/1.1 502 ", 13), 0);
}

static void test_upload_is_stopped_with_all_clients(void **state)
{
    struct front *front = *state;

    begin(front, LARGE "a", "\r\n\r\na");
    fill_target(front, 1);
    clients_cut_all(frontend_clients(front->frontend));
    front_await(front, OUTCOME_STOPPED);
    assert_int_equal(front->n_closed, 1);
    assert_int_equal(target_n_open(front->rig->target), 0);
}

static void test_upload_frontend_that_ends_meanwhile_leaves_nothing(void **state)
{
    struct front *front = *state;

    begin(front, LARGE "a", "\r\n\r\na");
    fill_target(front, 1);
}

static void test_upload_worker_that_drains_meanwhile_lets_it_end(void **state)
{
    struct front *front = *state;

    begin(front, TEN "abc", "\r\n\r\nabc");
    front->rig->env.closing = front->rig->env.stopping = true;
    clients_stop(frontend_clients(front->frontend));
    front_say(front, "defghij");
    expect_passed(front, "defghij");
    front_target_say(front, OK);
    front_expect(front, "HTTP/1.1 200 OK\r\n", "\r\n\r\nok");
    front_expect_closed(front);
}

/* ---- whose body it is ---- */

static void test_upload_smaller_than_worthwhile_is_copied(void **state)
{
    struct front *front = *state;

    front->rig->env.bulk_bytes = 8;
    front_open(front);
    front_reach_target(front, TEN "abc");
    assert_false(is_moving(front));
    front_say(front, "defghij");
    expect_passed(front, "defghij");
    answer_and_go_on(front);
    front_say(front, TEN "ab");
    assert_true(is_moving(front));
}

static void test_upload_is_no_chunked_body(void **state)
{
    struct front *front = *state;

    front_open_moving(front);
    front_reach_target(front, "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    assert_false(is_moving(front));
    front_say(front, "0\r\n\r\n");
    rig_receive(front->rig);
    answer_and_go_on(front);
}

/* It must go through our hands. */
static void test_upload_is_no_body_that_a_tap_wants_to_see(void **state)
{
    struct front *front = *state;

    front_open_moving(front);
    front_reach_target(front, TEN);
    capture_begin(front_client(front)->request.exchange, TAP_WANTS | 100u << TAP_BODY_SHIFT);
    front_say(front, "abc");
    assert_false(is_moving(front));
    front_say(front, "defghij");
    rig_receive(front->rig);
    answer_and_go_on(front);
}

#define FRONT_TEST(name) cmocka_unit_test_setup_teardown(name, front_setup, front_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRONT_TEST(test_upload_body_arrives_and_both_connections_go_on),
        FRONT_TEST(test_upload_body_is_the_same_wherever_it_is_parted),
        FRONT_TEST(test_upload_body_of_single_bytes_arrives),
        FRONT_TEST(test_upload_body_with_a_descriptor_in_it_arrives),
        FRONT_TEST(test_upload_that_is_over_at_once_is_told_of),
        FRONT_TEST(test_upload_large_body_waits_for_a_slow_target),
        FRONT_TEST(test_upload_without_a_pipe_is_copied),
        FRONT_TEST(test_upload_answer_before_the_library_knows_the_end_keeps_the_connection),
        FRONT_TEST(test_upload_moves_its_answer_too),
        FRONT_TEST(test_upload_pipelined_requests_come_after_it),
        FRONT_TEST(test_upload_early_answer_is_told_beside_it),
        FRONT_TEST(test_upload_early_answer_waits_for_an_end_that_comes_soon),
        FRONT_TEST(test_upload_client_that_leaves_frees_the_target),
        FRONT_TEST(test_upload_client_that_leaves_a_full_target_frees_it),
        FRONT_TEST(test_upload_half_closed_client_is_gone),
        FRONT_TEST(test_upload_client_that_stops_sending_is_told),
        FRONT_TEST(test_upload_client_that_sends_after_a_silence_is_heard),
        FRONT_TEST(test_upload_target_that_stops_reading_is_cut),
        FRONT_TEST(test_upload_target_that_closes_is_told_of),
        FRONT_TEST(test_upload_target_that_breaks_off_with_much_unread_is_told_of),
        FRONT_TEST(test_upload_is_stopped_with_all_clients),
        FRONT_TEST(test_upload_frontend_that_ends_meanwhile_leaves_nothing),
        FRONT_TEST(test_upload_worker_that_drains_meanwhile_lets_it_end),
        FRONT_TEST(test_upload_smaller_than_worthwhile_is_copied),
        FRONT_TEST(test_upload_is_no_chunked_body),
        FRONT_TEST(test_upload_is_no_body_that_a_tap_wants_to_see),
    };

    return cmocka_run_group_tests(tests, upload_group_setup, NULL);
}
