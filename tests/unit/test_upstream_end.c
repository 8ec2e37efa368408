/* How requests end: with trailers, or with a switch to another protocol that the target agrees to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/upstream_fixture.h"

/* ---- trailers ---- */

#define POST_CHUNKED "POST /a 1\nHost: a\nTransfer-Encoding: chunked"

static void test_upstream_trailers_of_a_request_follow_its_last_chunk(void **state)
{
    struct rig *rig = *state;

    upstream_begin_post(rig, POST_CHUNKED);
    rig_send_body(rig, "hello");
    rig_finish_request_with(rig, "X-Sum: 1 \nHost: evil\nContent-Length:3\nAuthorization:a\nEmpty:");
    rig_accept(rig);
    rig_expect_request(rig, "POST /a ", "\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\nEmpty: \r\n\r\n");
    rig_send(rig, UPSTREAM_OK);
    upstream_expect_ok(rig);
}

static void test_upstream_trailers_without_a_body_travel_with_the_head(void **state)
{
    struct rig *rig = *state;

    upstream_begin_post(rig, POST_CHUNKED);
    rig_finish_request_with(rig, "X-Sum:1");
    rig_accept(rig);
    rig_expect_request(rig, "POST /a ", "\r\n\r\n0\r\nX-Sum: 1\r\n\r\n");
    rig_send(rig, UPSTREAM_OK);
    upstream_expect_ok(rig);
}

/* The target never learns that this was all. */
static void test_upstream_bad_trailers_break_the_request_off(void **state)
{
    static const char *const trailers[] = {"B ad: x", "X: a\x01", ":x", "X-A:b\n:"};
    struct rig *rig = *state;

    for (size_t i = 0; i < ARRAY_LENGTH(trailers); i++) {
        upstream_begin_post(rig, POST_CHUNKED);
        rig_send_body(rig, "hello");
        rig_accept(rig);
        rig_finish_request_with(rig, trailers[i]);
        rig_expect_request(rig, "POST /a ", "5\r\nhello\r\n");
        assert_int_equal(rig_receive(rig), -1);
        rig_take_answer(rig);
        assert_true(rig->answer.close);
        assert_int_equal(rig->answer.status, 400);
        rig_end(rig, true, OUTCOME_MALFORMED);
        assert_int_equal(target_n_open(rig->target), 0);
    }
}

/* ---- switching protocols ---- */

#define UPGRADING "Connection: upgrade\nUpgrade: echo"
#define GET_UPGRADING "GET /a 1\nHost: a\n" UPGRADING
#define POST_UPGRADING "POST /a 1\nHost: a\nContent-Length: 5\n" UPGRADING
#define SWITCHED "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"

/* The answer is a tunnel, which begins. */
static void expect_tunnel(struct rig *rig, const char *early, const char *from_target)
{
    struct tunnel_client client = rig_make_client(rig);
    char got[100] = "";

    rig_take_answer(rig);
    assert_int_equal(rig->answer.status, 101);
    assert_int_equal(rig->answer.body, ANSWER_TUNNEL);
    assert_string_equal(rig_field(rig, "upgrade"), "echo");
    assert_int_equal(exchange_tunnel(rig->exchange, &client, text_of(early)), 0);
    exchange_end(rig->exchange, true);
    rig->exchange = NULL;
    for (int i = 0; i < N_OUTCOMES; i++)
        assert_int_equal(rig_count(rig, (enum outcome)i), 0);
    rig_turn(rig);
    assert_int_equal(rig_receive(rig), strlen(early));
    assert_string_equal(rig->received, early);
    assert_int_equal(read(rig->client_fd, got, sizeof(got) - 1), *from_target ? (ssize_t)strlen(from_target) : -1);
    assert_string_equal(got, from_target);
    rig_send(rig, "ping");
    assert_int_equal(read(rig->client_fd, got, sizeof(got)), 4);
    close(rig->client_fd);
    rig->client_fd = -1;
    rig_turn(rig);
    assert_int_equal(rig_count(rig, OUTCOME_TUNNELED), 1);
    assert_int_equal(target_n_open(rig->target), 0);
    memset(&rig->metrics, 0, sizeof(rig->metrics));
}

static void test_upstream_switches_when_the_target_agrees(void **state)
{
    static const char *const answers[] = {SWITCHED, SWITCHED "early", "HTTP/1.1 100 Continue\r\n\r\n" SWITCHED "early"};
    struct rig *rig = *state;

    for (size_t i = 0; i < ARRAY_LENGTH(answers); i++) {
        upstream_begin_post(rig, GET_UPGRADING);
        rig_finish_request(rig);
        rig_accept(rig);
        rig_expect_request(rig, "GET /a ", "\r\n\r\n");
        assert_non_null(strstr(rig->received, "\r\nUpgrade: echo\r\n"));
        rig_send(rig, answers[i]);
        expect_tunnel(rig, i == 1 ? "bytes" : "", i == 0 ? "" : "early");
    }
}

static void test_upstream_switch_cut_anywhere_is_the_same(void **state)
{
    static const char switched[] = SWITCHED "early";
    struct rig *rig = *state;
    size_t length = strlen(switched);

    for (size_t cut = 1; cut < length; cut += 5) {
        upstream_begin_post(rig, GET_UPGRADING);
        rig_finish_request(rig);
        rig_accept(rig);
        rig_receive(rig);
        rig_send_bytes(rig, switched, cut);
        rig_send_bytes(rig, &switched[cut], length - cut);
        expect_tunnel(rig, "", "early");
    }
}

static void test_upstream_switch_that_was_not_offered_is_refused(void **state)
{
    static const struct {
        const char *head, *answer;
    } rows[] = {
        {"GET /a 1\nHost: a", SWITCHED},
        {"GET /a 1\nHost: a\nUpgrade: echo", SWITCHED},
        {"GET /a 0\nHost: a\n" UPGRADING, SWITCHED},
        {"GET /a 1\nHost: a\nConnection: upgrade\nUpgrade: h2c",
         "HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"},
        {GET_UPGRADING, "HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n"},
        {GET_UPGRADING, "HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: echo, other\r\n\r\n"},
        {GET_UPGRADING, "HTTP/1.1 101 S\r\nConnection: Upgrade\r\n\r\n"},
        {GET_UPGRADING, "HTTP/1.1 101 S\r\nUpgrade: echo\r\n\r\n"},
    };
    struct rig *rig = *state;

    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        upstream_begin_post(rig, rows[i].head);
        rig_finish_request(rig);
        rig_accept(rig);
        rig_receive(rig);
        rig_send(rig, rows[i].answer);
        upstream_expect_status(rig, 502, OUTCOME_BAD_RESPONSE);
        assert_int_equal(target_n_open(rig->target), 0);
    }
}

/* A target may agree before it has the body; the switch comes behind the request. */
static void test_upstream_switch_waits_for_the_end_of_the_request(void **state)
{
    struct rig *rig = *state;

    upstream_begin_post(rig, POST_UPGRADING);
    rig_send_body(rig, "he");
    rig_accept(rig);
    rig_expect_request(rig, "POST /a ", "\r\n\r\nhe");
    rig_send(rig, SWITCHED "early");
    assert_false(exchange_has_early_answer(rig->exchange));
    assert_false(exchange_answer(rig->exchange, &rig->answer));
    assert_true(exchange_takes_body(rig->exchange));
    assert_int_equal(rig_send_body(rig, "llo"), EXCHANGE_BODY_MORE);
    assert_false(exchange_answer(rig->exchange, &rig->answer));
    rig_expect_request(rig, "llo", "llo");
    rig_finish_request(rig);
    expect_tunnel(rig, "", "early");
}

/* The body is ended, but the target has not taken all of it. */
static void test_upstream_switch_waits_until_the_request_was_sent(void **state)
{
    struct rig *rig = *state;
    unsigned wakes;

    upstream_begin_post(rig, POST_CHUNKED "\n" UPGRADING);
    upstream_fill_target(rig);
    rig_accept(rig);
    rig_finish_request(rig);
    rig_send(rig, SWITCHED);
    assert_false(exchange_answer(rig->exchange, &rig->answer));
    wakes = rig->n_wakes;
    while (rig_receive(rig) > 0)
        rig_turn(rig);
    assert_true(rig->n_wakes > wakes);
    expect_tunnel(rig, "", "");
}

static void test_upstream_switch_of_a_target_that_takes_no_more_times_out(void **state)
{
    struct rig *rig = *state;

    rig->target_config.times.idle_ms = 40;
    upstream_begin_post(rig, POST_CHUNKED "\n" UPGRADING);
    upstream_fill_target(rig);
    rig_accept(rig);
    rig_finish_request(rig);
    rig_send(rig, SWITCHED);
    rig_await_wake(rig);
    upstream_expect_status(rig, 504, OUTCOME_RESPONSE_TIMEOUT);
}

/* It agreed, and left before it had the request. */
static void test_upstream_switch_of_a_target_that_leaves_in_mid_request_fails(void **state)
{
    struct rig *rig = *state;

    upstream_begin_post(rig, POST_UPGRADING);
    rig_send_body(rig, "he");
    rig_accept(rig);
    rig_receive(rig);
    rig_send(rig, SWITCHED);
    rig_close(rig);
    rig_turn(rig);
    assert_int_equal(rig_send_body(rig, "llo"), EXCHANGE_BODY_MORE);
    rig_finish_request(rig);
    assert_true(exchange_failed(rig->exchange));
    rig_take_answer(rig);
    assert_int_equal(rig->answer.status, 502);
    exchange_end(rig->exchange, true);
    rig->exchange = NULL;
}

/* 100 must come first (RFC 9110 10.1.1); and the client is told something. */
static void test_upstream_switch_instead_of_continue_is_answered(void **state)
{
    struct rig *rig = *state;

    assert_int_equal(rig_begin(rig, "PUT /a 1\nHost: a\nContent-Length: 5\nExpect: 100-continue\n" UPGRADING),
                     EXCHANGE_EXPECT);
    rig_accept(rig);
    rig_receive(rig);
    rig_send(rig, SWITCHED);
    if (exchange_expectation(rig->exchange) == EXCHANGE_REFUSE)
        rig_take_answer(rig);
    exchange_end(rig->exchange, false);
    rig->exchange = NULL;
}

#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(test_upstream_trailers_of_a_request_follow_its_last_chunk),
        RIG_TEST(test_upstream_trailers_without_a_body_travel_with_the_head),
        RIG_TEST(test_upstream_bad_trailers_break_the_request_off),
        RIG_TEST(test_upstream_switches_when_the_target_agrees),
        RIG_TEST(test_upstream_switch_cut_anywhere_is_the_same),
        RIG_TEST(test_upstream_switch_that_was_not_offered_is_refused),
        RIG_TEST(test_upstream_switch_waits_for_the_end_of_the_request),
        RIG_TEST(test_upstream_switch_waits_until_the_request_was_sent),
        RIG_TEST(test_upstream_switch_of_a_target_that_takes_no_more_times_out),
        RIG_TEST(test_upstream_switch_of_a_target_that_leaves_in_mid_request_fails),
        RIG_TEST(test_upstream_switch_instead_of_continue_is_answered),
    };

    return cmocka_run_group_tests(tests, upstream_group_setup, NULL);
}
