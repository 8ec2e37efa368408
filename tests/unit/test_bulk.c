/* Bodies of answers that are moved beside the library: at every position, with requests behind them, and each way in
 * which either side can stop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/exchange/capture.h"
#include "proxy/exchange/report.h"
#include "proxy/serve/bulk.h"
#include "tests/unit/client_rig.h"

#define GET "GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
#define TEN "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
#define LARGE_BYTES 700000
#define LARGE "HTTP/1.1 200 OK\r\nContent-Length: 700000\r\nX-A: b\r\n\r\n"

static char large[LARGE_BYTES];

static int bulk_group_setup(void **state)
{
    (void)state;
    front_fill(large, LARGE_BYTES);
    return 0;
}

static bool is_moving(struct front *front)
{
    return front_client(front)->request.bulk != NULL;
}

/* Up to the head and the first bytes, which the client has. */
static void begin(struct front *front, const char *request, const char *answer, const char *body)
{
    front_open_moving(front);
    front_reach_target(front, request);
    front_target_say(front, answer);
    assert_true(is_moving(front));
    front_expect(front, "HTTP/1.1 200 OK\r\n", body);
}

/* The client has got exactly this since the last look. */
static void expect_got(struct front *front, const char *data)
{
    front_settle(front);
    front_receive(front);
    assert_string_equal(front->data, data);
    front->n_data = 0;
}

/* Another request on both connections, which is answered. */
static void expect_both_go_on(struct front *front)
{
    assert_int_equal(front->n_closed, 0);
    assert_int_equal(rig_n_idle(front->rig), 1);
    assert_int_equal(front_phase(front), CLIENT_IDLE);
    front_say(front, "GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
    rig_expect_request(front->rig, "GET /next HTTP/1.1\r\n", "\r\n\r\n");
    front_target_say(front, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    front_expect(front, "HTTP/1.1 200 OK\r\n", "\r\n\r\nok");
    assert_int_equal(front->n_closed, 0);
}

/* The target sends until nobody takes more; returns how much of `large` that was. */
static size_t fill_client(struct front *front)
{
    size_t n = 0;
    ssize_t r;

    while (n < LARGE_BYTES &&
           (r = send(front->rig->target_fd, large + n, LARGE_BYTES - n, MSG_NOSIGNAL | MSG_DONTWAIT)) > 0) {
        n += (size_t)r;
        front_settle(front);
    }
    return n;
}

/* The rest of `large` from `n` on, while the client reads. */
static void exchange_rest(struct front *front, size_t n)
{
    size_t n_got = 0;

    for (int i = 0; n_got < LARGE_BYTES; i++) {
        ssize_t r =
            n < LARGE_BYTES ? send(front->rig->target_fd, large + n, LARGE_BYTES - n, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;

        assert_true(i < 100000);
        n += r > 0 ? (size_t)r : 0;
        front_settle(front);
        front_receive(front);
        assert_true(n_got + front->n_data <= LARGE_BYTES);
        assert_memory_equal(front->data, large + n_got, front->n_data);
        n_got += front->n_data;
        front->n_data = 0;
    }
    front_settle(front);
}

/* ---- both ways on ---- */

static void test_bulk_body_arrives_and_both_connections_go_on(void **state)
{
    struct front *front = *state;

    begin(front, GET, TEN "abc", "\r\n\r\nabc");
    front_target_say(front, "defgh");
    expect_got(front, "defgh");
    front_target_say(front, "ij");
    expect_got(front, "ij");
    assert_int_equal(rig_count(front->rig, OUTCOME_FORWARDED), 1);
    expect_both_go_on(front);
}

static void test_bulk_body_is_the_same_wherever_it_is_parted(void **state)
{
    struct front *front = *state;
    char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabcdefghij";

    front_open_moving(front);
    front_reach_target(front, GET);
    for (size_t i = 1; i < sizeof(text) - 1; i++) {
        if (i > 1) {
            front_say(front, GET);
            assert_true(rig_receive(front->rig) > 0);
        }
        rig_send_bytes(front->rig, text, i);
        front_settle(front);
        rig_send_bytes(front->rig, text + i, sizeof(text) - 1 - i);
        front_expect(front, "HTTP/1.1 200 OK\r\n", "\r\n\r\nabcdefghij");
        assert_non_null(strstr(front->data, "\r\nContent-Length: 10\r\n"));
        assert_int_equal(rig_count(front->rig, OUTCOME_FORWARDED), i);
    }
    expect_both_go_on(front);
}

static void test_bulk_body_of_single_bytes_arrives(void **state)
{
    struct front *front = *state;

    begin(front, GET, TEN, "\r\n\r\n");
    for (const char *byte = "abcdefghij"; *byte; byte++)
        rig_send_bytes(front->rig, byte, 1);
    expect_got(front, "abcdefghij");
    expect_both_go_on(front);
}

/* Receiving ends behind it, however much more there is. */
static void test_bulk_body_with_a_descriptor_in_it_arrives(void **state)
{
    struct front *front = *state;

    begin(front, GET, TEN, "\r\n\r\n");
    rig_send_with_descriptor(front->rig->target_fd, "abcd", 4);
    rig_send_with_descriptor(front->rig->target_fd, "efgh", 4);
    front_target_say(front, "ij");
    expect_got(front, "abcdefghij");
    expect_both_go_on(front);
}

static void test_bulk_large_body_waits_for_a_slow_client(void **state)
{
    struct front *front = *state;
    size_t n;

    begin(front, GET, LARGE, "\r\n\r\n");
    n = fill_client(front);
    assert_true(n < LARGE_BYTES);
    assert_false(frontend_is_busy(front->frontend));
    exchange_rest(front, n);
    assert_int_equal(rig_count(front->rig, OUTCOME_FORWARDED), 1);
    expect_both_go_on(front);
}

static void test_bulk_without_a_pipe_is_copied(void **state)
{
    struct front *front = *state;
    struct pipe_store *pipes = &front->rig->env.tunnels.pipes;
    size_t n;

    pipes->n_pipes += 1000;
    begin(front, GET, LARGE, "\r\n\r\n");
    n = fill_client(front);
    exchange_rest(front, n);
    pipes->n_pipes -= 1000;
    assert_int_equal(rig_count(front->rig, OUTCOME_FORWARDED), 1);
    expect_both_go_on(front);
}

/* ---- requests behind it ---- */

static void test_bulk_pipelined_requests_wait_for_its_end(void **state)
{
    struct front *front = *state;

    begin(front, GET "GET /b HTTP/1.1\r\nHost: a\r\n\r\nGET /c HTTP/1.1\r\nHo", TEN "abc", "\r\n\r\nabc");
    front_say(front, "st: a\r\n\r\n");
    assert_int_equal(rig_receive(front->rig), 0);
    front_target_say(front, "defghij");
    expect_got(front, "defghij");
    rig_expect_request(front->rig, "GET /b HTTP/1.1\r\n", "\r\n\r\n");
    front_target_say(front, TEN "0123456789");
    front_expect(front, "HTTP/1.1 200 OK\r\n", "\r\n\r\n0123456789");
    rig_expect_request(front->rig, "GET /c HTTP/1.1\r\n", "\r\n\r\n");
    front_target_say(front, TEN "0");
    front_target_say(front, "123456789");
    front_expect(front, "HTTP/1.1 200 OK\r\n", "\r\n\r\n0123456789");
    assert_int_equal(rig_count(front->rig, OUTCOME_FORWARDED), 3);
    expect_both_go_on(front);
}

static void test_bulk_after_an_upload_leaves_what_is_behind_it(void **state)
{
    struct front *front = *state;

    begin(front, "PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /b HTTP/1.1\r\nHost: a\r\n\r\n",
          TEN "abc", "\r\n\r\nabc");
    front_target_say(front, "defghij");
    expect_got(front, "defghij");
    rig_expect_request(front->rig, "GET /b HTTP/1.1\r\n", "\r\n\r\n");
    front_target_say(front, "HTTP/1.1 204 No Content\r\n\r\n");
    front_expect(front, "HTTP/1.1 204 No Content\r\n", "\r\n\r\n");
    expect_both_go_on(front);
}

/* The library clears its memory before the body moves. */
static void test_bulk_request_is_recorded_as_it_came(void **state)
{
    struct front *front = *state;
    struct record record;

    begin(front, "PATCH /a?b HTTP/1.1\r\nHost: a\r\nX-Request-Id: own-id\r\n\r\n" GET, TEN "abc", "\r\n\r\nabc");
    record = exchange_describe(front_client(front)->request.exchange, OUTCOME_PENDING, false);
    assert_true(text_equal(record.method, TEXT_LITERAL("PATCH")));
    assert_true(text_equal(record.target, TEXT_LITERAL("/a?b")));
    assert_true(text_equal(record.request_id, TEXT_LITERAL("own-id")));
    assert_int_equal(record.sent_bytes, 3);
}

static void test_bulk_method_too_long_to_be_kept_is_copied(void **state)
{
    struct front *front = *state;
    char request[1000] = "";

    front_open_moving(front);
    memset(request, 'M', 600);
    snprintf(request + 600, sizeof(request) - 600, " /a HTTP/1.1\r\nHost: a\r\n\r\n");
    front_reach_target(front, request);
    front_target_say(front, TEN "abc");
    assert_false(is_moving(front));
    front_target_say(front, "defghij");
    front_expect(front, "HTTP/1.1 200 OK\r\n", "\r\n\r\nabcdefghij");
    expect_both_go_on(front);
}

/* ---- who closes ---- */

static void expect_copied_and_closed(struct front *front, const char *request, bool half_close)
{
    front_open_moving(front);
    front_reach_target(front, request);
    if (half_close)
        shutdown(front->fd, SHUT_WR);
    front_settle(front);
    front_target_say(front, TEN "abc");
    assert_false(is_moving(front));
    front_target_say(front, "defghij");
    front_await(front, OUTCOME_FORWARDED);
    front_expect(front, "HTTP/1.1 200 OK\r\n", "\r\n\r\nabcdefghij");
    front_expect_closed(front);
}

static void test_bulk_client_that_wants_to_close_is_copied(void **state)
{
    expect_copied_and_closed(*state, "GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false);
}

static void test_bulk_client_of_http_1_0_is_copied(void **state)
{
    expect_copied_and_closed(*state, "GET /a HTTP/1.0\r\nHost: a\r\n\r\n", false);
}

static void test_bulk_half_closed_client_is_copied(void **state)
{
    expect_copied_and_closed(*state, GET, true);
}

static void test_bulk_half_closed_client_of_a_pipeline_gets_all(void **state)
{
    struct front *front = *state;

    front_open_moving(front);
    front_reach_target(front, GET GET);
    shutdown(front->fd, SHUT_WR);
    front_target_say(front, TEN "abc");
    front_target_say(front, "defghij");
    front_expect(front, "HTTP/1.1 200 OK\r\n", "\r\n\r\nabcdefghij");
    rig_expect_request(front->rig, "GET /a HTTP/1.1\r\n", "\r\n\r\n");
    front_target_say(front, TEN "abc");
    front_target_say(front, "defghij");
    front_await(front, OUTCOME_FORWARDED);
    front_expect(front, "HTTP/1.1 200 OK\r\n", "\r\n\r\nabcdefghij");
    assert_int_equal(rig_count(front->rig, OUTCOME_FORWARDED), 2);
    front_expect_closed(front);
}

static void test_bulk_client_that_half_closes_meanwhile_gets_all(void **state)
{
    struct front *front = *state;

    begin(front, GET, TEN "abc", "\r\n\r\nabc");
    shutdown(front->fd, SHUT_WR);
    front_settle(front);
    front_target_say(front, "defghij");
    front_await(front, OUTCOME_FORWARDED);
    expect_got(front, "defghij");
    front_expect_closed(front);
}

static void test_bulk_target_that_says_too_much_is_not_used_again(void **state)
{
    struct front *front = *state;

    begin(front, GET, TEN "abc", "\r\n\r\nabc");
    front_target_say(front, "defghijHTTP/1.1 200 OK\r\n");
    expect_got(front, "defghij");
    assert_int_equal(rig_count(front->rig, OUTCOME_FORWARDED), 1);
    assert_int_equal(target_n_open(front->rig->target), 0);
    assert_int_equal(front->n_closed, 0);
}

static void test_bulk_worker_that_drains_meanwhile_lets_it_end(void **state)
{
    struct front *front = *state;

    begin(front, GET, TEN "abc", "\r\n\r\nabc");
    front->rig->env.closing = front->rig->env.stopping = true;
    clients_stop(frontend_clients(front->frontend));
    front_target_say(front, "defghij");
    expect_got(front, "defghij");
    assert_int_equal(rig_count(front->rig, OUTCOME_FORWARDED), 1);
    /* The next request has a moment, and the last answer. */
    front_say(front, GET);
    assert_true(rig_receive(front->rig) > 0);
    front_target_say(front, TEN "abc");
    assert_false(is_moving(front));
    front_target_say(front, "defghij");
    front_settle(front);
    front_expect(front, "HTTP/1.1 200 OK\r\n", "\r\n\r\nabcdefghij");
    assert_non_null(strstr(front->data, "\r\nConnection: close\r\n"));
    front_expect_closed(front);
}

/* ---- ends that are none ---- */

/* The client's connection ends before the body does, and the target's is gone. */
static void expect_cut(struct front *front, enum outcome outcome)
{
    front_await(front, outcome);
    assert_int_equal(front->n_closed, 1);
    assert_int_equal(target_n_open(front->rig->target), 0);
    assert_int_equal(rig_count(front->rig, OUTCOME_FORWARDED), 0);
}

static void test_bulk_truncated_body_is_cut_before_its_end(void **state)
{
    struct front *front = *state;

    begin(front, GET GET, TEN "abc", "\r\n\r\nabc");
    front_target_say(front, "defghi");
    rig_close(front->rig);
    expect_cut(front, OUTCOME_TARGET_TRUNCATED);
    expect_got(front, "defghi");
    front_expect_closed(front);
}

static void test_bulk_silent_target_is_cut_after_its_own_time(void **state)
{
    struct front *front = *state;

    front->rig->target_config.times.idle_ms = 100;
    begin(front, GET, TEN "abc", "\r\n\r\nabc");
    expect_cut(front, OUTCOME_TARGET_STALLED);
    front_expect_closed(front);
}

static void test_bulk_client_that_stops_reading_for_too_long_is_cut(void **state)
{
    struct front *front = *state;

    front->rig->listener.timeout_body_ms = 400;
    begin(front, GET, LARGE, "\r\n\r\n");
    fill_client(front);
    expect_cut(front, OUTCOME_CLIENT_STALLED);
}

static void test_bulk_client_that_leaves_frees_the_target(void **state)
{
    struct front *front = *state;

    begin(front, GET, TEN "abc", "\r\n\r\nabc");
    close(front->fd);
    front->fd = -1;
    expect_cut(front, OUTCOME_CLIENT_GONE);
    assert_int_equal(rig_receive(front->rig), -1);
}

static void test_bulk_client_that_leaves_with_its_body_untaken_is_gone(void **state)
{
    struct front *front = *state;

    begin(front, GET GET, LARGE, "\r\n\r\n");
    fill_client(front);
    close(front->fd);
    front->fd = -1;
    expect_cut(front, OUTCOME_CLIENT_GONE);
}

/* The target has said everything, and its connection is back: only the last piece is left to be taken. */
static void test_bulk_client_that_leaves_before_the_last_piece_is_gone(void **state)
{
    struct front *front = *state;

    begin(front, GET, "HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n", "\r\n\r\n");
    front_make_slow(front);
    rig_send_bytes(front->rig, large, 100000);
    rig_send_bytes(front->rig, large, 100000);
    front_settle(front);
    assert_int_equal(rig_n_idle(front->rig), 1);
    assert_true(is_moving(front));
    close(front->fd);
    front->fd = -1;
    front_await(front, OUTCOME_CLIENT_GONE);
    assert_int_equal(front->n_closed, 1);
}

static void test_bulk_is_stopped_with_all_clients(void **state)
{
    struct front *front = *state;

    begin(front, GET GET, LARGE, "\r\n\r\n");
    fill_client(front);
    clients_cut_all(frontend_clients(front->frontend));
    expect_cut(front, OUTCOME_STOPPED);
}

static void test_bulk_frontend_that_ends_meanwhile_leaves_nothing(void **state)
{
    struct front *front = *state;

    begin(front, GET GET, LARGE, "\r\n\r\n");
    fill_client(front);
}

/* ---- whose body it is ---- */

static void test_bulk_smaller_than_worthwhile_is_copied(void **state)
{
    struct front *front = *state;

    front->rig->env.bulk_bytes = 8;
    front_open(front);
    front_reach_target(front, GET);
    front_target_say(front, TEN "abc");
    assert_false(bulk_splices(front_client(front)));
    front_target_say(front, "defghij");
    front_expect(front, "HTTP/1.1 200 OK\r\n", "\r\n\r\nabcdefghij");
    front_say(front, GET);
    assert_true(rig_receive(front->rig) > 0);
    front_target_say(front, TEN "ab");
    assert_true(bulk_splices(front_client(front)));
    front_target_say(front, "cdefghij");
    front_expect(front, "HTTP/1.1 200 OK\r\n", "\r\n\r\nabcdefghij");
    expect_both_go_on(front);
}

/* It must go through our hands. */
static void test_bulk_is_no_body_that_a_tap_wants_to_see(void **state)
{
    struct front *front = *state;
    struct exchange *exchange;

    front_open_moving(front);
    front_reach_target(front, GET);
    exchange = front_client(front)->request.exchange;
    capture_begin(exchange, TAP_WANTS | TAP_WANTS_HEADS | 100u << TAP_BODY_SHIFT);
    front_target_say(front, TEN "abc");
    assert_false(bulk_splices(front_client(front)));
    front_target_say(front, "defghij");
    front_expect(front, "HTTP/1.1 200 OK\r\n", "\r\n\r\nabcdefghij");
    front_say(front, GET);
    assert_true(rig_receive(front->rig) > 0);
    exchange = front_client(front)->request.exchange;
    capture_begin(exchange, TAP_WANTS | TAP_WANTS_HEADS);
    front_target_say(front, TEN "abc");
    assert_true(bulk_splices(front_client(front)));
    front_target_say(front, "defghij");
    front_expect(front, "HTTP/1.1 200 OK\r\n", "\r\n\r\nabcdefghij");
}

#define FRONT_TEST(name) cmocka_unit_test_setup_teardown(name, front_setup, front_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRONT_TEST(test_bulk_body_arrives_and_both_connections_go_on),
        FRONT_TEST(test_bulk_body_is_the_same_wherever_it_is_parted),
        FRONT_TEST(test_bulk_body_of_single_bytes_arrives),
        FRONT_TEST(test_bulk_body_with_a_descriptor_in_it_arrives),
        FRONT_TEST(test_bulk_large_body_waits_for_a_slow_client),
        FRONT_TEST(test_bulk_without_a_pipe_is_copied),
        FRONT_TEST(test_bulk_pipelined_requests_wait_for_its_end),
        FRONT_TEST(test_bulk_after_an_upload_leaves_what_is_behind_it),
        FRONT_TEST(test_bulk_request_is_recorded_as_it_came),
        FRONT_TEST(test_bulk_method_too_long_to_be_kept_is_copied),
        FRONT_TEST(test_bulk_client_that_wants_to_close_is_copied),
        FRONT_TEST(test_bulk_client_of_http_1_0_is_copied),
        FRONT_TEST(test_bulk_half_closed_client_is_copied),
        FRONT_TEST(test_bulk_half_closed_client_of_a_pipeline_gets_all),
        FRONT_TEST(test_bulk_client_that_half_closes_meanwhile_gets_all),
        FRONT_TEST(test_bulk_target_that_says_too_much_is_not_used_again),
        FRONT_TEST(test_bulk_worker_that_drains_meanwhile_lets_it_end),
        FRONT_TEST(test_bulk_truncated_body_is_cut_before_its_end),
        FRONT_TEST(test_bulk_silent_target_is_cut_after_its_own_time),
        FRONT_TEST(test_bulk_client_that_stops_reading_for_too_long_is_cut),
        FRONT_TEST(test_bulk_client_that_leaves_frees_the_target),
        FRONT_TEST(test_bulk_client_that_leaves_with_its_body_untaken_is_gone),
        FRONT_TEST(test_bulk_client_that_leaves_before_the_last_piece_is_gone),
        FRONT_TEST(test_bulk_is_stopped_with_all_clients),
        FRONT_TEST(test_bulk_frontend_that_ends_meanwhile_leaves_nothing),
        FRONT_TEST(test_bulk_smaller_than_worthwhile_is_copied),
        FRONT_TEST(test_bulk_is_no_body_that_a_tap_wants_to_see),
    };

    return cmocka_run_group_tests(tests, bulk_group_setup, NULL);
}
