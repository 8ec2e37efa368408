/* Exchanges between a client that is a struct and a target that is the test: what each ends as, what the client is
 * told, and what becomes of the connection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/exchange/state.h"
#include "tests/unit/exchange_rig.h"

#define GET "GET /a?b 1\nHost: example.org"
#define POST "POST /a 1\nHost: example.org\nContent-Length: 5"

static void begin_get(struct rig *rig)
{
    assert_int_equal(rig_begin(rig, GET), EXCHANGE_FORWARD);
    rig_finish_request(rig);
    rig_accept(rig);
    rig_expect_request(rig, "GET /a?b HTTP/1.1\r\nHost: example.org\r\n", "\r\n\r\n");
}

/* The client gets a problem of this status that names the outcome, and the exchange ends as that. */
static void expect_problem(struct rig *rig, enum outcome outcome, unsigned status)
{
    char name[64];

    rig_take_answer(rig);
    assert_int_equal(rig->answer.status, status);
    assert_int_equal(rig->answer.body, ANSWER_BUFFER);
    assert_string_equal(rig_field(rig, "content-type"), "application/problem+json");
    assert_int_equal(rig_take_body(rig, 1), UPSTREAM_END);
    snprintf(name, sizeof(name), "\"outcome\":\"%s\"", outcome_info(outcome)->name);
    if (!strstr(rig->body, name))
        fail_msg("no %s in %s", name, rig->body);
    rig_end(rig, true, outcome);
}

static void test_exchange_forwarded_returns_its_connection(void **state)
{
    struct rig *rig = *state;

    begin_get(rig);
    assert_false(exchange_answer(rig->exchange, &rig->answer));
    rig_send(rig, "HTTP/1.1 201 Made\r\nContent-Length: 3\r\nX-A: b\r\nConnection: X-Secret\r\nX-Secret: c\r\n\r\nabc");
    rig_take_answer(rig);
    assert_int_equal(rig->answer.status, 201);
    assert_string_equal(rig_field(rig, "x-a"), "b");
    assert_null(rig_field(rig, "x-secret"));
    assert_false(rig->answer.close);
    assert_int_equal(rig_take_body(rig, 100), UPSTREAM_END);
    assert_string_equal(rig->body, "abc");
    assert_int_equal(rig_n_idle(rig), 1);
    rig_end(rig, true, OUTCOME_FORWARDED);
    assert_int_equal(counter_read(&rig->metrics.sent_bytes), 3);
    rig_one_exchange(rig);
    assert_false(rig_has_connection(rig));
}

static void test_exchange_of_a_leaving_client_closes_its_connection(void **state)
{
    struct rig *rig = *state;

    begin_get(rig);
    exchange_fail(rig->exchange, OUTCOME_CLIENT_GONE);
    assert_true(exchange_failed(rig->exchange));
    assert_int_equal(rig_receive(rig), -1);
    assert_int_equal(target_n_open(rig->target), 0);
    rig_end(rig, false, OUTCOME_CLIENT_GONE);
}

static void test_exchange_not_delivered_is_a_client_gone(void **state)
{
    struct rig *rig = *state;

    begin_get(rig);
    rig_send(rig, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc");
    rig_take_answer(rig);
    rig_end(rig, false, OUTCOME_CLIENT_GONE);
}

static void test_exchange_left_in_mid_stream_closes_its_connection(void **state)
{
    struct rig *rig = *state;

    begin_get(rig);
    rig_send(rig, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nabc");
    rig_take_answer(rig);
    assert_int_equal(rig->answer.body, ANSWER_STREAM);
    assert_int_equal(rig_take_body(rig, 2), UPSTREAM_WAIT);
    assert_string_equal(rig->body, "abc");
    exchange_fail(rig->exchange, OUTCOME_CLIENT_STALLED);
    assert_int_equal(rig_take_body(rig, 2), UPSTREAM_CUT);
    rig_end(rig, false, OUTCOME_CLIENT_STALLED);
    assert_int_equal(rig_receive(rig), -1);
}

static void test_exchange_refused_head_never_reaches_the_target(void **state)
{
    static const struct {
        const char *head;
        enum outcome outcome;
        unsigned status;
    } rows[] = {
        {"GET / 1\nHost: a\nHost: a", OUTCOME_MALFORMED, 400},
        {"GET / 1", OUTCOME_MALFORMED, 400},
        {"GET / 2\nHost: a", OUTCOME_MALFORMED, 505},
        {"GET / 1\nHost: a\nContent-Length: 1\nTransfer-Encoding: chunked", OUTCOME_MALFORMED, 400},
        {"PUT / 1\nHost: a\nContent-Length: 1\nExpect: cake", OUTCOME_MALFORMED, 417},
        {"CONNECT a:1 1\nHost: a", OUTCOME_NOT_SUPPORTED, 501},
    };
    struct rig *rig = *state;

    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        assert_int_equal(rig_begin(rig, rows[i].head), EXCHANGE_REFUSE);
        expect_problem(rig, rows[i].outcome, rows[i].status);
        assert_true(rig->answer.close);
        assert_false(rig_has_connection(rig));
    }
}

static void test_exchange_head_and_target_over_the_limit_are_refused(void **state)
{
    struct rig *rig = *state;
    static char head[4096];

    rig->listener.limit_header_bytes = 1024;
    snprintf(head, sizeof(head), "GET /%01024d 1\nHost: a", 0);
    assert_int_equal(rig_begin(rig, head), EXCHANGE_REFUSE);
    expect_problem(rig, OUTCOME_URI_TOO_LONG, 414);
    snprintf(head, sizeof(head), "GET / 1\nHost: a\nX: %01024d", 0);
    assert_int_equal(rig_begin(rig, head), EXCHANGE_REFUSE);
    expect_problem(rig, OUTCOME_HEADER_TOO_LARGE, 431);
    assert_false(rig_has_connection(rig));
    /* A long one that is allowed does not fit inside the exchange. */
    snprintf(head, sizeof(head), "GET /%0800d 1\nHost: a", 0);
    assert_int_equal(rig_begin(rig, head), EXCHANGE_FORWARD);
    rig_finish_request(rig);
    rig_accept(rig);
    rig_expect_request(rig, "GET /0000", "\r\n\r\n");
    rig_end(rig, false, OUTCOME_CLIENT_GONE);
}

static void test_exchange_without_route_keeps_the_client_connected(void **state)
{
    struct rig *rig = *state;

    rig->route.path = "/other";
    rig->listener.any_path_condition = true;
    assert_int_equal(rig_begin(rig, GET), EXCHANGE_FORWARD);
    exchange_body_end(rig->exchange, NULL);
    expect_problem(rig, OUTCOME_NO_ROUTE, 404);
    assert_false(rig->answer.close);
    assert_int_equal(rig_begin(rig, "GET /other/..%2fx 1\nHost: a"), EXCHANGE_FORWARD);
    expect_problem(rig, OUTCOME_AMBIGUOUS_PATH, 400);
    assert_true(rig->answer.close);
}

/* What it is kept in has been another one's. */
static void test_exchange_without_a_target_has_not_been_tried_again(void **state)
{
    struct rig *rig = *state;

    rig->route.path = "/other";
    rig->listener.any_path_condition = true;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(rig_begin(rig, GET), EXCHANGE_FORWARD);
        assert_int_equal(rig->exchange->upstream.n_retries, 0);
        assert_int_equal(rig->exchange->upstream.ticket.n_passed, 0);
        exchange_body_end(rig->exchange, NULL);
        expect_problem(rig, OUTCOME_NO_ROUTE, 404);
        assert_int_equal(counter_read(&rig->metrics.retries), 0);
        memset(&((struct exchange *)(void *)rig->env.exchanges.spare->data)->upstream, 1, sizeof(struct upstream));
    }
}

static void test_exchange_answered_by_a_route(void **state)
{
    struct rig *rig = *state;

    rig->route.action = ROUTE_RESPOND;
    rig->route.target = NULL;
    rig->route.respond.status = 403;
    rig->route.respond.body = "no\n";
    rig->route.respond.body_length = 3;
    assert_int_equal(rig_begin(rig, POST), EXCHANGE_FORWARD);
    assert_int_equal(rig_send_body(rig, "hello"), EXCHANGE_BODY_MORE);
    rig_finish_request(rig);
    rig_take_answer(rig);
    assert_int_equal(rig->answer.status, 403);
    assert_string_equal(rig_field(rig, "content-type"), "text/plain");
    rig_take_body(rig, 1);
    assert_string_equal(rig->body, "no\n");
    rig_end(rig, true, OUTCOME_RESPONDED);
    rig->route.respond.status = 204;
    assert_int_equal(rig_begin(rig, GET), EXCHANGE_FORWARD);
    rig_take_answer(rig);
    assert_int_equal(rig->answer.body, ANSWER_NONE);
    rig_end(rig, true, OUTCOME_RESPONDED);
}

static void test_exchange_problem_carries_the_request_id(void **state)
{
    struct rig *rig = *state;

    rig->route.host = "nowhere";
    rig_begin(rig, "GET / 1\nHost: a\nX-Request-Id: my-own");
    rig_take_answer(rig);
    rig_take_body(rig, 1);
    assert_non_null(strstr(rig->body, "\"request_id\":\"my-own\""));
    assert_non_null(strstr(rig->body, "\"status\":404"));
    rig_end(rig, true, OUTCOME_NO_ROUTE);
}

static void test_exchange_request_ids_differ(void **state)
{
    struct rig *rig = *state;
    char first[33] = "";

    for (int i = 0; i < 2; i++) {
        const char *id;

        rig_begin(rig, GET);
        rig_finish_request(rig);
        rig_accept(rig);
        rig_receive(rig);
        id = strstr(rig->received, "X-Request-Id: ");
        assert_non_null(id);
        id += strlen("X-Request-Id: ");
        assert_int_equal(strspn(id, "0123456789abcdef"), 32);
        assert_int_not_equal(strncmp(first, id, 32), 0);
        memcpy(first, id, 32);
        exchange_fail(rig->exchange, OUTCOME_CLIENT_GONE);
        rig_end(rig, false, OUTCOME_CLIENT_GONE);
    }
}

static void test_exchange_target_absent_and_refused(void **state)
{
    struct rig *rig = *state;

    close(rig->listen_fd);
    rig->listen_fd = -1;
    rig_begin(rig, GET);
    expect_problem(rig, OUTCOME_TARGET_REFUSED, 503);
    unlink(rig->path);
    rig_begin(rig, POST);
    assert_int_equal(rig->verdict, EXCHANGE_FORWARD);
    assert_int_equal(rig_send_body(rig, "hello"), EXCHANGE_BODY_MORE);
    rig_finish_request(rig);
    expect_problem(rig, OUTCOME_TARGET_ABSENT, 503);
    assert_false(rig->answer.close);
    assert_int_equal(target_n_open(rig->target), 0);
}

/* Leaves an exchange that holds its connection, and returns it. */
static struct exchange *hold_one(struct rig *rig)
{
    struct exchange *held;

    begin_get(rig);
    held = rig->exchange;
    rig->exchange = NULL;
    return held;
}

static void test_exchange_upload_waits_in_the_queue_with_its_body(void **state)
{
    struct rig *rig = *state;
    struct exchange *held;

    rig->target->commons->places.most = 1;
    held = hold_one(rig);
    assert_int_equal(rig_begin(rig, POST), EXCHANGE_FORWARD);
    rig_turn(rig);
    assert_false(exchange_takes_body(rig->exchange));
    rig_send(rig, "HTTP/1.1 204 No Content\r\n\r\n");
    exchange_end(held, true);
    assert_true(exchange_takes_body(rig->exchange));
    rig_send_body(rig, "hello");
    rig_finish_request(rig);
    assert_false(rig_has_connection(rig));
    rig_expect_request(rig, "POST /a HTTP/1.1\r\n", "\r\n\r\nhello");
    rig_send(rig, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    rig_take_answer(rig);
    rig_end(rig, true, OUTCOME_FORWARDED);
}

static void test_exchange_in_the_queue_for_too_long_is_busy(void **state)
{
    struct rig *rig = *state;
    struct exchange *held;

    rig->target->commons->places.most = 1;
    rig->target_config.connect_timeout_ms = 20;
    held = hold_one(rig);
    assert_int_equal(rig_begin(rig, GET), EXCHANGE_FORWARD);
    rig_await_wake(rig);
    expect_problem(rig, OUTCOME_TARGET_BUSY, 503);
    assert_int_equal(rig_begin(rig, GET), EXCHANGE_FORWARD); /* one that does not wait so long */
    exchange_fail(rig->exchange, OUTCOME_CLIENT_GONE);
    rig_end(rig, false, OUTCOME_CLIENT_GONE);
    exchange_end(held, false);
}

static void test_exchange_of_a_full_backlog_is_503(void **state)
{
    struct rig *rig = *state;
    struct exchange *held;

    assert_int_equal(listen(rig->listen_fd, 0), 0);
    rig->target_config.connect_timeout_ms = 20;
    rig_begin(rig, GET);
    held = rig->exchange;
    rig->exchange = NULL;
    rig_begin(rig, GET);
    assert_false(exchange_answer(rig->exchange, &rig->answer));
    rig_await_wake(rig);
    expect_problem(rig, OUTCOME_TARGET_FULL, 503);
    assert_int_equal(target_n_open(rig->target), 1);
    exchange_end(held, false);
}

static void test_exchange_target_closes_without_an_answer(void **state)
{
    struct rig *rig = *state;

    begin_get(rig);
    rig_close(rig);
    rig_await_wake(rig);
    expect_problem(rig, OUTCOME_TARGET_CLOSED, 502);
    assert_int_equal(target_n_open(rig->target), 0);
    assert_false(rig_has_connection(rig));
}

static void test_exchange_target_resets_a_fresh_connection(void **state)
{
    struct rig *rig = *state;

    rig_begin(rig, GET);
    rig_finish_request(rig);
    rig_accept(rig);
    rig_close(rig);
    rig_await_wake(rig);
    expect_problem(rig, OUTCOME_TARGET_RESET, 502);
    assert_false(rig_has_connection(rig));
}

static void test_exchange_bad_answers_are_502(void **state)
{
    static const char *const answers[] = {
        "SSH-2.0-OpenSSH\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA B: c\r\n\r\n",
    };
    struct rig *rig = *state;

    for (size_t i = 0; i < ARRAY_LENGTH(answers); i++) {
        begin_get(rig);
        rig_send(rig, answers[i]);
        expect_problem(rig, OUTCOME_BAD_RESPONSE, 502);
        assert_int_equal(rig_receive(rig), -1);
        assert_int_equal(target_n_open(rig->target), 0);
    }
}

static void test_exchange_target_ends_inside_the_head(void **state)
{
    struct rig *rig = *state;

    begin_get(rig);
    rig_send(rig, "HTTP/1.1 200 OK\r\nContent-Le");
    assert_false(exchange_answer(rig->exchange, &rig->answer));
    rig_close(rig);
    rig_await_wake(rig);
    expect_problem(rig, OUTCOME_BAD_RESPONSE, 502);
}

static void test_exchange_too_large_head_is_refused(void **state)
{
    struct rig *rig = *state;
    char *head = malloc(40000);

    assert_non_null(head);
    begin_get(rig);
    snprintf(head, 40000, "HTTP/1.1 200 OK\r\nX: %033000d\r\n\r\n", 0);
    rig_send(rig, head);
    expect_problem(rig, OUTCOME_RESPONSE_HEAD_TOO_LARGE, 502);
    /* One that fits alone, but not beside the request's. */
    begin_get(rig);
    snprintf(head, 40000, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nX: %032720d\r\n\r\n", 0);
    rig_send(rig, head);
    expect_problem(rig, OUTCOME_RESPONSE_HEAD_TOO_LARGE, 502);
    /* Of more than one buffer. */
    begin_get(rig);
    snprintf(head, 40000, "HTTP/1.1 200 OK\r\nX: %032000d\r\n\r\n", 0);
    rig_send(rig, head);
    rig_take_answer(rig);
    assert_int_equal(rig->answer.status, 200);
    assert_int_equal(rig->answer.fields[0].value.length, 32000);
    rig_end(rig, false, OUTCOME_CLIENT_GONE);
    free(head);
}

static void test_exchange_silent_target_times_out(void **state)
{
    struct rig *rig = *state;

    rig->target_config.times.response_ms = 500;
    begin_get(rig);
    rig_await_wake(rig);
    assert_int_equal(rig_receive(rig), -1);
    expect_problem(rig, OUTCOME_RESPONSE_TIMEOUT, 504);
    begin_get(rig);
    rig_send(rig, "HTTP/1.1 200 OK\r\nContent-"); /* what is incomplete is no progress */
    rig_await_wake(rig);
    expect_problem(rig, OUTCOME_RESPONSE_TIMEOUT, 504);
}

static void test_exchange_stalling_body_is_cut(void **state)
{
    struct rig *rig = *state;

    rig->target_config.times.idle_ms = 20;
    begin_get(rig);
    rig_send(rig, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc");
    rig_take_answer(rig);
    assert_int_equal(rig_take_body(rig, 100), UPSTREAM_WAIT);
    rig_await_wake(rig);
    assert_int_equal(rig_take_body(rig, 100), UPSTREAM_CUT);
    assert_int_equal(rig_receive(rig), -1);
    rig_end(rig, false, OUTCOME_TARGET_STALLED);
}

/* Each way in which a body can fail to end. */
static void test_exchange_truncated_body_is_cut(void **state)
{
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nabc",
    };
    struct rig *rig = *state;

    for (size_t i = 0; i < ARRAY_LENGTH(answers); i++) {
        begin_get(rig);
        rig_send(rig, answers[i]);
        rig_take_answer(rig);
        assert_int_equal(rig->answer.body, ANSWER_STREAM);
        assert_int_equal(rig_take_body(rig, 100), UPSTREAM_WAIT);
        rig_close(rig);
        rig_await_wake(rig);
        assert_int_equal(rig_take_body(rig, 100), UPSTREAM_CUT);
        assert_string_equal(rig->body, "abc");
        rig_end(rig, false, OUTCOME_TARGET_TRUNCATED);
        assert_int_equal(target_n_open(rig->target), 0);
    }
}

static void test_exchange_malformed_chunk_is_cut(void **state)
{
    struct rig *rig = *state;

    begin_get(rig);
    rig_send(rig, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    rig_take_answer(rig);
    assert_int_equal(rig_take_body(rig, 100), UPSTREAM_WAIT);
    rig_send(rig, "zz\r\n");
    assert_int_equal(rig_take_body(rig, 100), UPSTREAM_CUT);
    assert_string_equal(rig->body, "abc");
    rig_end(rig, false, OUTCOME_TARGET_TRUNCATED);
}

static void test_exchange_stopped_and_stopping(void **state)
{
    struct rig *rig = *state;

    begin_get(rig);
    rig->env.closing = true;
    rig_send(rig, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    rig_take_answer(rig);
    assert_true(rig->answer.close);
    rig_end(rig, true, OUTCOME_FORWARDED);
    rig_begin(rig, GET);
    rig_finish_request(rig);
    exchange_fail(rig->exchange, OUTCOME_STOPPED);
    expect_problem(rig, OUTCOME_STOPPED, 503);
}

static void test_exchange_client_timeouts_have_their_problems(void **state)
{
    struct rig *rig = *state;

    rig_begin(rig, POST);
    rig_turn(rig);
    exchange_fail(rig->exchange, OUTCOME_BODY_TIMEOUT);
    exchange_fail(rig->exchange, OUTCOME_CLIENT_GONE); /* the first one counts */
    expect_problem(rig, OUTCOME_BODY_TIMEOUT, 408);
}

static void test_exchange_refused_by_the_library_is_malformed(void **state)
{
    struct rig *rig = *state;

    rig->exchange = exchange_new(&rig->env, &rig->client, TEXT_LITERAL("/"));
    rig_end(rig, true, OUTCOME_MALFORMED);
}

#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(test_exchange_forwarded_returns_its_connection),
        RIG_TEST(test_exchange_of_a_leaving_client_closes_its_connection),
        RIG_TEST(test_exchange_not_delivered_is_a_client_gone),
        RIG_TEST(test_exchange_left_in_mid_stream_closes_its_connection),
        RIG_TEST(test_exchange_refused_head_never_reaches_the_target),
        RIG_TEST(test_exchange_head_and_target_over_the_limit_are_refused),
        RIG_TEST(test_exchange_without_route_keeps_the_client_connected),
        RIG_TEST(test_exchange_without_a_target_has_not_been_tried_again),
        RIG_TEST(test_exchange_answered_by_a_route),
        RIG_TEST(test_exchange_problem_carries_the_request_id),
        RIG_TEST(test_exchange_request_ids_differ),
        RIG_TEST(test_exchange_target_absent_and_refused),
        RIG_TEST(test_exchange_upload_waits_in_the_queue_with_its_body),
        RIG_TEST(test_exchange_in_the_queue_for_too_long_is_busy),
        RIG_TEST(test_exchange_of_a_full_backlog_is_503),
        RIG_TEST(test_exchange_target_closes_without_an_answer),
        RIG_TEST(test_exchange_target_resets_a_fresh_connection),
        RIG_TEST(test_exchange_bad_answers_are_502),
        RIG_TEST(test_exchange_target_ends_inside_the_head),
        RIG_TEST(test_exchange_too_large_head_is_refused),
        RIG_TEST(test_exchange_silent_target_times_out),
        RIG_TEST(test_exchange_stalling_body_is_cut),
        RIG_TEST(test_exchange_truncated_body_is_cut),
        RIG_TEST(test_exchange_malformed_chunk_is_cut),
        RIG_TEST(test_exchange_stopped_and_stopping),
        RIG_TEST(test_exchange_client_timeouts_have_their_problems),
        RIG_TEST(test_exchange_refused_by_the_library_is_malformed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
