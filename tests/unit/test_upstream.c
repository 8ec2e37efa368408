/* The request's way: reused connections that died, bodies and back-pressure, answers that come too early, and what the
 * target says before it answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/upstream_fixture.h"

#define POST_5 "POST /a 1\nHost: a\nContent-Length: 5"
#define POST_BIG "POST /a 1\nHost: a\nContent-Length: 100000000"

/* ---- reused connections ---- */

static void test_upstream_idle_connection_closed_is_not_used(void **state)
{
    struct rig *rig = *state;

    rig_one_exchange(rig);
    rig_close(rig);
    rig_turn(rig);
    assert_int_equal(target_n_open(rig->target), 0);
    rig_one_exchange(rig);
}

/* The end has not been seen yet: nothing of the request can be sent. */
static void test_upstream_reused_closed_before_the_request_is_retried(void **state)
{
    static const char *const heads[] = {"GET /a 1\nHost: a", "DELETE /a 1\nHost: a", POST_5,
                                        "POST /a 1\nHost: a\nTransfer-Encoding: chunked"};
    static const char *const ends[] = {"\r\n\r\n", "\r\n\r\n", "\r\n\r\nhello", "\r\n\r\n5\r\nhello\r\n0\r\n\r\n"};
    struct rig *rig = *state;

    for (size_t i = 0; i < ARRAY_LENGTH(heads); i++) {
        rig_one_exchange(rig);
        rig_close(rig);
        upstream_begin_post(rig, heads[i]);
        if (i >= 2)
            assert_int_equal(rig_send_body(rig, "hello"), EXCHANGE_BODY_MORE);
        rig_finish_request(rig);
        rig_accept(rig);
        rig_expect_request(rig, i == 0 ? "GET /a " : i == 1 ? "DELETE /a " : "POST /a ", ends[i]);
        rig_send(rig, UPSTREAM_OK);
        upstream_expect_ok(rig);
    }
}

static void test_upstream_reused_closed_with_the_request_unread_is_retried(void **state)
{
    struct rig *rig = *state;

    rig_one_exchange(rig);
    upstream_begin_post(rig, "DELETE /a 1\nHost: a");
    rig_finish_request(rig);
    rig_close(rig); /* with the request in its queue: a reset */
    rig_turn(rig);
    rig_accept(rig);
    rig_expect_request(rig, "DELETE /a ", "\r\n\r\n");
    rig_send(rig, UPSTREAM_OK);
    upstream_expect_ok(rig);
}

static void test_upstream_reused_closed_with_a_body_unread_is_not_retried(void **state)
{
    struct rig *rig = *state;

    rig_one_exchange(rig);
    upstream_begin_post(rig, POST_5);
    rig_send_body(rig, "hello");
    rig_finish_request(rig);
    rig_close(rig);
    rig_turn(rig);
    assert_false(rig_has_connection(rig));
    upstream_expect_status(rig, 502, OUTCOME_TARGET_RESET);
}

static void test_upstream_reused_closed_after_reading_is_not_retried(void **state)
{
    static const char *const heads[] = {"GET /a 1\nHost: a", "DELETE /a 1\nHost: a", POST_5};
    struct rig *rig = *state;

    for (size_t i = 0; i < ARRAY_LENGTH(heads); i++) {
        rig_one_exchange(rig);
        upstream_begin_post(rig, heads[i]);
        if (i == 2)
            rig_send_body(rig, "hello");
        rig_finish_request(rig);
        assert_true(rig_receive(rig) > 0);
        rig_close(rig);
        rig_turn(rig);
        assert_false(rig_has_connection(rig));
        upstream_expect_status(rig, 502, OUTCOME_TARGET_CLOSED);
        assert_int_equal(target_n_open(rig->target), 0);
    }
}

static void test_upstream_second_failure_is_final(void **state)
{
    struct rig *rig = *state;

    rig_one_exchange(rig);
    upstream_begin_post(rig, "GET /a 1\nHost: a");
    rig_finish_request(rig);
    rig_close(rig);
    rig_turn(rig);
    rig_accept(rig);
    rig_close(rig);
    rig_turn(rig);
    assert_false(rig_has_connection(rig));
    upstream_expect_status(rig, 502, OUTCOME_TARGET_RESET);
}

static void test_upstream_retry_that_finds_nobody_says_so(void **state)
{
    struct rig *rig = *state;

    rig_one_exchange(rig);
    rig_close(rig);
    rig_stop_listening(rig);
    upstream_begin_post(rig, POST_5);
    rig_send_body(rig, "hello");
    rig_finish_request(rig);
    upstream_expect_status(rig, 503, OUTCOME_TARGET_ABSENT);
}

static void test_upstream_retry_takes_a_fresh_connection_before_an_idle_one(void **state)
{
    struct rig *rig = *state;
    struct exchange *first;
    int fd;

    upstream_begin_post(rig, "GET /1 1\nHost: a");
    rig_finish_request(rig);
    rig_accept(rig);
    fd = rig->target_fd;
    rig->target_fd = -1;
    first = rig->exchange;
    rig->exchange = NULL;
    rig_one_exchange(rig); /* its connection is now idle, and the first's will be the last used */
    assert_int_equal(dup2(fd, rig->target_fd), rig->target_fd);
    close(fd);
    rig_receive(rig);
    rig_send(rig, UPSTREAM_OK);
    exchange_end(first, true);
    assert_int_equal(rig_n_idle(rig), 1); /* the other end of one of them is gone with dup2 */
    upstream_begin_post(rig, "GET /2 1\nHost: a");
    rig_finish_request(rig);
    rig_close(rig);
    rig_turn(rig);
    rig_accept(rig);
    rig_expect_request(rig, "GET /2 ", "\r\n\r\n");
    rig_send(rig, UPSTREAM_OK);
    upstream_expect_ok(rig);
}

/* ---- bodies ---- */

static void test_upstream_head_travels_with_the_first_piece(void **state)
{
    struct rig *rig = *state;

    upstream_begin_post(rig, POST_5);
    rig_accept(rig);
    assert_int_equal(rig_receive(rig), 0);
    assert_int_equal(exchange_body(rig->exchange, "hel", 3), EXCHANGE_BODY_MORE);
    exchanges_turn(&rig->env);
    rig_expect_request(rig, "POST /a ", "\r\n\r\nhel");
    assert_int_equal(exchange_body(rig->exchange, "lo", 2), EXCHANGE_BODY_MORE);
    rig_expect_request(rig, "lo", "lo");
    rig_finish_request(rig);
    rig_finish_request(rig);
    rig_send(rig, UPSTREAM_OK);
    upstream_expect_ok(rig);
}

static void test_upstream_short_body_in_two_pieces_travels_with_the_head(void **state)
{
    struct rig *rig = *state;

    rig->env.bulk_bytes = rig->env.bulk_tcp_bytes = 8;
    upstream_begin_post(rig, POST_5);
    rig_accept(rig);
    assert_int_equal(exchange_body(rig->exchange, "hel", 3), EXCHANGE_BODY_MORE);
    assert_int_equal(rig_receive(rig), 0);
    assert_int_equal(exchange_body(rig->exchange, "lo", 2), EXCHANGE_BODY_MORE);
    rig_expect_request(rig, "POST /a ", "\r\n\r\nhello");
    rig_finish_request(rig);
    rig_send(rig, UPSTREAM_OK);
    upstream_expect_ok(rig);
}

static void test_upstream_head_without_a_piece_is_sent_at_the_end_of_the_round(void **state)
{
    struct rig *rig = *state;

    upstream_begin_post(rig, POST_5);
    exchanges_turn(&rig->env);
    rig_accept(rig);
    rig_expect_request(rig, "POST /a ", "\r\n\r\n");
    rig_send_body(rig, "hello");
    rig_expect_request(rig, "hello", "hello");
    rig_finish_request(rig);
    rig_send(rig, UPSTREAM_OK);
    upstream_expect_ok(rig);
}

static void test_upstream_chunked_pieces_are_chunks(void **state)
{
    struct rig *rig = *state;

    upstream_begin_post(rig, "POST /a 1\nHost: a\nTransfer-Encoding: chunked");
    rig_send_body(rig, "hello, world, 17!");
    rig_accept(rig);
    rig_expect_request(rig, "POST /a ", "\r\n\r\n11\r\nhello, world, 17!\r\n");
    assert_non_null(strstr(rig->received, "Transfer-Encoding: chunked\r\n"));
    rig_send_body(rig, "x");
    rig_expect_request(rig, "1\r\nx\r\n", "1\r\nx\r\n");
    rig_finish_request(rig);
    rig_expect_request(rig, "0\r\n\r\n", "0\r\n\r\n");
    rig_send(rig, UPSTREAM_OK);
    upstream_expect_ok(rig);
}

static void test_upstream_empty_chunked_body_has_its_end(void **state)
{
    struct rig *rig = *state;

    upstream_begin_post(rig, "POST /a 1\nHost: a\nTransfer-Encoding: chunked");
    rig_finish_request(rig);
    rig_accept(rig);
    rig_expect_request(rig, "POST /a ", "\r\n\r\n0\r\n\r\n");
    rig_send(rig, UPSTREAM_OK);
    upstream_expect_ok(rig);
}

/* Every byte arrives once and in order, whatever the target takes at a time. */
static void test_upstream_full_target_holds_the_client_until_it_reads(void **state)
{
    struct rig *rig = *state;
    size_t n_sent, n_received = 0;

    upstream_begin_post(rig, POST_BIG);
    n_sent = upstream_fill_target(rig);
    rig_accept(rig);
    for (unsigned round = 0; round < 3; round++) {
        unsigned wakes = rig->n_wakes;

        while (rig_receive(rig) > 0) {
            n_received +=
                rig->n_received - (n_received ? 0 : (size_t)(strstr(rig->received, "\r\n\r\n") + 4 - rig->received));
            assert_int_equal(rig->received[rig->n_received - 1], 'x');
            rig_turn(rig);
        }
        assert_true(rig->n_wakes > wakes);
        assert_int_equal(n_received, n_sent);
        n_sent += upstream_fill_target(rig);
    }
    exchange_fail(rig->exchange, OUTCOME_CLIENT_GONE);
    rig_end(rig, false, OUTCOME_CLIENT_GONE);
}

static void test_upstream_target_that_never_reads_times_out(void **state)
{
    struct rig *rig = *state;

    rig->target_config.times.idle_ms = 20;
    upstream_begin_post(rig, POST_BIG);
    upstream_fill_target(rig);
    rig_await_wake(rig);
    upstream_expect_status(rig, 504, OUTCOME_RESPONSE_TIMEOUT);
}

/* Between two pieces the client is what is waited for, and it has a deadline of its own. */
static void test_upstream_client_pause_after_a_full_target_is_not_the_targets_fault(void **state)
{
    struct rig *rig = *state;

    rig->target_config.times.idle_ms = 40;
    upstream_begin_post(rig, POST_BIG);
    upstream_fill_target(rig);
    rig_accept(rig);
    while (rig_receive(rig) > 0)
        rig_turn(rig);
    rig_pass_ms(rig, 120);
    assert_false(exchange_failed(rig->exchange));
    exchange_fail(rig->exchange, OUTCOME_CLIENT_GONE);
    rig_end(rig, false, OUTCOME_CLIENT_GONE);
}

static void test_upstream_full_target_that_sends_news_wakes_nobody(void **state)
{
    struct rig *rig = *state;

    upstream_begin_post(rig, POST_BIG);
    upstream_fill_target(rig);
    rig_accept(rig);
    for (int i = 0; i < 3; i++) {
        unsigned wakes = rig->n_wakes;

        rig_send(rig, "HTTP/1.1 102 Processing\r\n\r\n");
        assert_int_equal(rig->n_wakes, wakes);
        assert_false(exchange_takes_body(rig->exchange));
        assert_false(exchange_failed(rig->exchange));
    }
    while (rig_receive(rig) > 0)
        rig_turn(rig);
    assert_true(exchange_takes_body(rig->exchange));
    exchange_fail(rig->exchange, OUTCOME_CLIENT_GONE);
    rig_end(rig, false, OUTCOME_CLIENT_GONE);
}

static void test_upstream_body_over_the_limit_is_refused(void **state)
{
    struct rig *rig = *state;

    rig->listener.limit_body_bytes = 4;
    assert_int_equal(rig_begin(rig, POST_5), EXCHANGE_REFUSE);
    upstream_expect_status(rig, 413, OUTCOME_BODY_TOO_LARGE);
    assert_false(rig_has_connection(rig));
    upstream_begin_post(rig, "POST /a 1\nHost: a\nTransfer-Encoding: chunked");
    assert_int_equal(rig_send_body(rig, "four"), EXCHANGE_BODY_MORE);
    rig_accept(rig);
    assert_int_equal(rig_send_body(rig, "!"), EXCHANGE_BODY_EARLY);
    rig_receive(rig);
    assert_null(strstr(rig->received, "0\r\n\r\n"));
    rig_take_answer(rig);
    assert_true(rig->answer.close);
    assert_int_equal(rig->answer.status, 413);
    rig_end(rig, true, OUTCOME_BODY_TOO_LARGE);
    assert_int_equal(target_n_open(rig->target), 0);
}

/* ---- early answers ---- */

static void test_upstream_early_answer_discards_the_rest_up_to_a_mebibyte(void **state)
{
    struct rig *rig = *state;
    size_t n = 0;

    upstream_begin_post(rig, POST_BIG);
    rig_send_body(rig, upstream_piece);
    rig_accept(rig);
    rig_receive(rig);
    rig_send(rig, "HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno");
    assert_int_equal(rig_receive(rig), -1); /* nobody will read the rest: not reusable */
    while (rig_send_body(rig, upstream_piece) == EXCHANGE_BODY_MORE) {
        n += UPSTREAM_PIECE_BYTES;
        assert_true(n <= 1u << 20);
    }
    assert_true(n > 1000000);
    rig_take_answer(rig);
    assert_int_equal(rig->answer.status, 403);
    rig_take_body(rig, 10);
    assert_string_equal(rig->body, "no");
    rig_end(rig, true, OUTCOME_FORWARDED);
    assert_int_equal(target_n_open(rig->target), 0);
}

static void test_upstream_early_answer_of_a_target_that_leaves_counts(void **state)
{
    struct rig *rig = *state;

    upstream_begin_post(rig, POST_BIG);
    rig_send_body(rig, upstream_piece);
    rig_accept(rig);
    assert_int_equal(write(rig->target_fd, "HTTP/1.1 413 Big\r\nContent-Length: 2\r\n\r\nno", 41), 41);
    rig_close(rig);
    assert_int_equal(rig_send_body(rig, upstream_piece), EXCHANGE_BODY_MORE);
    rig_finish_request(rig);
    rig_take_answer(rig);
    assert_int_equal(rig->answer.status, 413);
    rig_take_body(rig, 10);
    assert_string_equal(rig->body, "no");
    rig_end(rig, true, OUTCOME_FORWARDED);
}

static void test_upstream_early_answer_in_two_pieces_to_a_full_target_arrives(void **state)
{
    struct rig *rig = *state;

    upstream_begin_post(rig, POST_BIG);
    upstream_fill_target(rig);
    rig_accept(rig);
    rig_send(rig, "HTTP/1.1 413 Too ");
    assert_false(exchange_has_early_answer(rig->exchange));
    rig_send(rig, "Large\r\nContent-Length: 3\r\n\r\nno\n");
    assert_true(exchange_has_early_answer(rig->exchange));
    assert_int_equal(rig_send_body(rig, upstream_piece), EXCHANGE_BODY_MORE);
    upstream_expect_status(rig, 413, OUTCOME_FORWARDED);
}

/* Neither side moves any more: the target waits for its answer to be read, we for it to read. */
static void test_upstream_streaming_answer_of_a_full_target_stalls(void **state)
{
    struct rig *rig = *state;

    rig->target_config.times.idle_ms = 40;
    upstream_begin_post(rig, POST_BIG);
    upstream_fill_target(rig);
    rig_accept(rig);
    rig_send(rig, "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\nxxx");
    rig_pass_ms(rig, 400);
    assert_true(exchange_failed(rig->exchange));
    rig_end(rig, false, OUTCOME_TARGET_STALLED);
}

static void test_upstream_target_that_stops_reading_and_says_nothing_is_502(void **state)
{
    struct rig *rig = *state;

    upstream_begin_post(rig, POST_BIG);
    rig_send_body(rig, upstream_piece);
    rig_accept(rig);
    rig_receive(rig);
    rig_close(rig);
    assert_int_equal(rig_send_body(rig, upstream_piece), EXCHANGE_BODY_MORE); /* discarded */
    upstream_expect_status(rig, 502, OUTCOME_TARGET_CLOSED);
}

/* ---- expectations ---- */

#define EXPECTING "PUT /a 1\nHost: a\nContent-Length: 5\nExpect: 100-continue"

static void begin_expecting(struct rig *rig)
{
    assert_int_equal(rig_begin(rig, EXPECTING), EXCHANGE_EXPECT);
    rig_accept(rig);
    rig_expect_request(rig, "PUT /a ", "\r\n\r\n");
    assert_non_null(strstr(rig->received, "Expect: 100-continue\r\n"));
    assert_int_equal(exchange_expectation(rig->exchange), EXCHANGE_EXPECT);
}

static void test_upstream_expectation_agreed(void **state)
{
    struct rig *rig = *state;

    begin_expecting(rig);
    rig_send(rig, "HTTP/1.1 100 Continue\r\n\r\n");
    assert_int_equal(rig->n_wakes, 1);
    assert_int_equal(exchange_expectation(rig->exchange), EXCHANGE_FORWARD);
    rig_send_body(rig, "hello");
    rig_finish_request(rig);
    rig_expect_request(rig, "hello", "hello");
    rig_send(rig, UPSTREAM_OK);
    upstream_expect_ok(rig);
}

static void test_upstream_expectation_refused(void **state)
{
    struct rig *rig = *state;

    begin_expecting(rig);
    rig_send(rig, "HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(exchange_expectation(rig->exchange), EXCHANGE_REFUSE);
    upstream_expect_status(rig, 417, OUTCOME_FORWARDED);
    assert_int_equal(target_n_open(rig->target), 0);
}

static void test_upstream_expectation_of_an_impatient_client(void **state)
{
    struct rig *rig = *state;

    begin_expecting(rig);
    rig_send_body(rig, "hello");
    rig_finish_request(rig);
    rig_expect_request(rig, "hello", "hello");
    rig_send(rig, "HTTP/1.1 100 Continue\r\n\r\n" UPSTREAM_OK);
    upstream_expect_ok(rig);
    assert_int_equal(rig_n_idle(rig), 1);
}

static void test_upstream_expectation_of_a_lost_target_is_refused(void **state)
{
    struct rig *rig = *state;

    begin_expecting(rig);
    rig_close(rig);
    rig_turn(rig);
    assert_int_equal(exchange_expectation(rig->exchange), EXCHANGE_REFUSE);
    upstream_expect_status(rig, 502, OUTCOME_TARGET_CLOSED);
    rig_stop_listening(rig);
    assert_int_equal(rig_begin(rig, EXPECTING), EXCHANGE_REFUSE);
    upstream_expect_status(rig, 503, OUTCOME_TARGET_ABSENT);
}

#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(test_upstream_idle_connection_closed_is_not_used),
        RIG_TEST(test_upstream_reused_closed_before_the_request_is_retried),
        RIG_TEST(test_upstream_reused_closed_with_the_request_unread_is_retried),
        RIG_TEST(test_upstream_reused_closed_with_a_body_unread_is_not_retried),
        RIG_TEST(test_upstream_reused_closed_after_reading_is_not_retried),
        RIG_TEST(test_upstream_second_failure_is_final),
        RIG_TEST(test_upstream_retry_that_finds_nobody_says_so),
        RIG_TEST(test_upstream_retry_takes_a_fresh_connection_before_an_idle_one),
        RIG_TEST(test_upstream_head_travels_with_the_first_piece),
        RIG_TEST(test_upstream_short_body_in_two_pieces_travels_with_the_head),
        RIG_TEST(test_upstream_head_without_a_piece_is_sent_at_the_end_of_the_round),
        RIG_TEST(test_upstream_chunked_pieces_are_chunks),
        RIG_TEST(test_upstream_empty_chunked_body_has_its_end),
        RIG_TEST(test_upstream_full_target_holds_the_client_until_it_reads),
        RIG_TEST(test_upstream_target_that_never_reads_times_out),
        RIG_TEST(test_upstream_client_pause_after_a_full_target_is_not_the_targets_fault),
        RIG_TEST(test_upstream_full_target_that_sends_news_wakes_nobody),
        RIG_TEST(test_upstream_body_over_the_limit_is_refused),
        RIG_TEST(test_upstream_early_answer_discards_the_rest_up_to_a_mebibyte),
        RIG_TEST(test_upstream_early_answer_of_a_target_that_leaves_counts),
        RIG_TEST(test_upstream_early_answer_in_two_pieces_to_a_full_target_arrives),
        RIG_TEST(test_upstream_streaming_answer_of_a_full_target_stalls),
        RIG_TEST(test_upstream_target_that_stops_reading_and_says_nothing_is_502),
        RIG_TEST(test_upstream_expectation_agreed),
        RIG_TEST(test_upstream_expectation_refused),
        RIG_TEST(test_upstream_expectation_of_an_impatient_client),
        RIG_TEST(test_upstream_expectation_of_a_lost_target_is_refused),
    };

    return cmocka_run_group_tests(tests, upstream_group_setup, NULL);
}
