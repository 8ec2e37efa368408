/* Routes with rules on the body: nothing of a request is the target's until all of it was judged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/base/shares.h"
#include "proxy/exchange/held.h"
#include "proxy/http/json_media.h"
#include "proxy/http/json_tree.h"
#include "tests/unit/exchange_rig.h"
#include "tests/unit/http_text.h"

#define POST "POST /a 1\nHost: example.org\nContent-Type: application/json\n"
#define GOOD "{\"a\":null}"
#define BAD "{\"a\":true}"

static struct json_value nothing[] = {{JSON_VALUE_NULL, 0, NULL}};
static struct json_rule rule = {.at = (char *)"/a", .kind = JSON_RULE_IN, .optional = true, .in = nothing, .n_in = 1};

static int setup(void **state)
{
    struct json_rules_error error;
    struct rig *rig;

    if (rig_setup(state) != 0)
        return -1;
    rig = *state;
    rig->route.has_body = true;
    rig->route.body.rules = &rule;
    rig->route.body.n_rules = 1;
    rig->route.body.max_bytes = 1u << 20;
    return json_rules_new(&rule, 1, &rig->route.body.ready, &error);
}

/* Whatever happened, nothing is held any more. */
static int teardown(void **state)
{
    struct rig *rig = *state;

    json_rules_free(rig->route.body.ready);
    assert_int_equal(held_bytes_of_all(), 0);
    return rig_teardown(state);
}

static void expect_refusal(struct rig *rig, enum outcome outcome, unsigned status)
{
    rig_take_answer(rig);
    assert_int_equal(rig->answer.status, status);
    assert_int_equal(rig_take_body(rig, 1000), UPSTREAM_END);
    assert_false(rig_has_connection(rig));
    rig_end(rig, true, outcome);
}

static void answer(struct rig *rig)
{
    rig_send(rig, "HTTP/1.1 204 No\r\n\r\n");
    rig_take_answer(rig);
    assert_int_equal(rig->answer.status, 204);
    assert_int_equal(held_bytes_of_all(), 0);
    rig_end(rig, true, OUTCOME_FORWARDED);
}

static void test_judge_passes_head_and_body_on_together(void **state)
{
    struct rig *rig = *state;

    assert_int_equal(rig_begin(rig, POST "Content-Length: 10"), EXCHANGE_FORWARD);
    for (const char *c = GOOD; *c; c++) {
        assert_int_equal(rig_send_body(rig, (char[]){*c, '\0'}), EXCHANGE_BODY_MORE);
        rig_turn(rig);
        assert_false(rig_has_connection(rig));
    }
    assert_int_equal(held_bytes_of_all(), 4096);
    rig_finish_request(rig);
    exchanges_turn(&rig->env);
    rig_accept(rig);
    rig_expect_request(
        rig, "POST /a HTTP/1.1\r\nHost: example.org\r\nContent-Type: application/json\r\nContent-Length: 10\r\n",
        "\r\n\r\n" GOOD);
    answer(rig);
}

static void test_judge_keeps_chunks_and_trailers(void **state)
{
    struct rig *rig = *state;

    assert_int_equal(rig_begin(rig, POST "Transfer-Encoding: chunked"), EXCHANGE_FORWARD);
    assert_int_equal(rig_send_body(rig, "{\"a\":"), EXCHANGE_BODY_MORE);
    assert_int_equal(rig_send_body(rig, "null}"), EXCHANGE_BODY_MORE);
    rig_finish_request_with(rig, "X-A:b\nContent-Length:3\nX-C:d");
    exchanges_turn(&rig->env);
    rig_accept(rig);
    rig_expect_request(
        rig,
        "POST /a HTTP/1.1\r\nHost: example.org\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n",
        "\r\n\r\na\r\n" GOOD "\r\n0\r\nX-A: b\r\nX-C: d\r\n\r\n");
    answer(rig);
}

static void test_judge_denies_what_a_rule_refuses(void **state)
{
    struct rig *rig = *state;

    assert_int_equal(rig_begin(rig, POST "Content-Length: 10"), EXCHANGE_FORWARD);
    assert_int_equal(rig_send_body(rig, BAD), EXCHANGE_BODY_MORE);
    rig_finish_request(rig);
    expect_refusal(rig, OUTCOME_DENIED, 403);
    assert_false(rig->answer.close);
}

static void test_judge_denies_what_cannot_be_judged(void **state)
{
    static const char *const heads[] = {
        "GET / 1\nHost: a",
        "HEAD / 1\nHost: a",
        "POST / 1\nHost: a",
        POST "Content-Length: 0",
        POST "Content-Length: 10\nContent-Encoding: gzip",
        POST "Content-Length: 10\nContent-Type: application/json",
        "POST / 1\nHost: a\nContent-Type: text/plain\nContent-Length: 10",
        "POST / 1\nHost: a\nContent-Type: application/json; charset=utf-16\nContent-Length: 10",
        POST "Content-Length: 10\nContent_Type: text/plain",
    };
    struct rig *rig = *state;

    for (size_t i = 0; i < ARRAY_LENGTH(heads); i++) {
        rig_begin(rig, heads[i]);
        rig_finish_request(rig);
        expect_refusal(rig, OUTCOME_DENIED, 403);
    }
    /* An empty one is no document. */
    assert_int_equal(rig_begin(rig, POST "Transfer-Encoding: chunked"), EXCHANGE_FORWARD);
    rig_finish_request(rig);
    expect_refusal(rig, OUTCOME_DENIED, 403);
}

static void test_judge_asks_for_the_body_itself(void **state)
{
    struct rig *rig = *state;

    assert_int_equal(rig_begin(rig, POST "Content-Length: 10\nExpect: 100-continue"), EXCHANGE_FORWARD);
    assert_int_equal(rig_send_body(rig, GOOD), EXCHANGE_BODY_MORE);
    rig_finish_request(rig);
    exchanges_turn(&rig->env);
    rig_accept(rig);
    rig_expect_request(rig, "POST /a HTTP/1.1\r\n", "\r\n\r\n" GOOD);
    assert_null(strstr(rig->received, "Expect"));
    answer(rig);
    /* But not where the head will not do. */
    assert_int_equal(rig_begin(rig, POST "Content-Length: 10\nContent-Encoding: gzip\nExpect: 100-continue"),
                     EXCHANGE_REFUSE);
    expect_refusal(rig, OUTCOME_DENIED, 403);
}

static void test_judge_holds_no_more_than_it_may(void **state)
{
    struct rig *rig = *state;

    rig->route.body.max_bytes = 10;
    assert_int_equal(rig_begin(rig, POST "Content-Length: 11"), EXCHANGE_REFUSE);
    expect_refusal(rig, OUTCOME_BODY_TOO_LARGE, 413);
    assert_int_equal(rig_begin(rig, POST "Transfer-Encoding: chunked"), EXCHANGE_FORWARD);
    assert_int_equal(rig_send_body(rig, GOOD), EXCHANGE_BODY_MORE);
    assert_int_equal(rig_send_body(rig, " "), EXCHANGE_BODY_EARLY);
    assert_int_equal(held_bytes_of_all(), 0);
    expect_refusal(rig, OUTCOME_BODY_TOO_LARGE, 413);
}

static void test_judge_lets_go_when_the_client_does(void **state)
{
    struct rig *rig = *state;

    assert_int_equal(rig_begin(rig, POST "Content-Length: 10"), EXCHANGE_FORWARD);
    assert_int_equal(rig_send_body(rig, "{\"a"), EXCHANGE_BODY_MORE);
    exchange_fail(rig->exchange, OUTCOME_CLIENT_GONE);
    assert_int_equal(held_bytes_of_all(), 0);
    rig_end(rig, false, OUTCOME_CLIENT_GONE);
    assert_false(rig_has_connection(rig));
}

static void test_judge_waits_for_a_slow_target(void **state)
{
    static char piece[30001];
    struct rig *rig = *state;
    size_t n = 0;
    char head[128];

    memset(piece, ' ', sizeof(piece) - 1);
    snprintf(head, sizeof(head), POST "Content-Length: %zu", 30 * (sizeof(piece) - 1) + 2);
    assert_int_equal(rig_begin(rig, head), EXCHANGE_FORWARD);
    for (int i = 0; i < 30; i++)
        assert_int_equal(rig_send_body(rig, piece), EXCHANGE_BODY_MORE);
    assert_int_equal(rig_send_body(rig, "{}"), EXCHANGE_BODY_MORE);
    rig_finish_request(rig);
    for (int i = 0; i < 20; i++)
        exchanges_turn(&rig->env);
    assert_true(held_bytes_of_all() > 0);
    assert_false(exchanges_are_ready(&rig->env));
    rig_accept(rig);
    for (int i = 0; i < 1000 && held_bytes_of_all() > 0; i++) {
        ssize_t got = rig_receive(rig);

        n += got > 0 ? (size_t)got : 0;
        rig_turn(rig);
        exchanges_turn(&rig->env);
    }
    while (rig_receive(rig) > 0) {
        n += rig->n_received;
        rig_turn(rig);
        exchanges_turn(&rig->env);
    }
    assert_true(n > 30 * (sizeof(piece) - 1) + 2);
    answer(rig);
}

static void test_judge_drops_what_an_early_answer_does_not_want(void **state)
{
    static char piece[30001];
    struct rig *rig = *state;

    memset(piece, ' ', sizeof(piece) - 1);
    assert_int_equal(rig_begin(rig, POST "Transfer-Encoding: chunked"), EXCHANGE_FORWARD);
    for (int i = 0; i < 30; i++)
        assert_int_equal(rig_send_body(rig, piece), EXCHANGE_BODY_MORE);
    assert_int_equal(rig_send_body(rig, "{}"), EXCHANGE_BODY_MORE);
    rig_finish_request(rig);
    for (int i = 0; i < 20; i++)
        exchanges_turn(&rig->env);
    rig_accept(rig);
    rig_send(rig, "HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n");
    for (int i = 0; i < 20; i++)
        exchanges_turn(&rig->env);
    rig_take_answer(rig);
    assert_int_equal(rig->answer.status, 400);
    rig_end(rig, true, OUTCOME_FORWARDED);
}

static void test_judge_fails_with_its_target(void **state)
{
    struct rig *rig = *state;

    rig_stop_listening(rig);
    assert_int_equal(rig_begin(rig, POST "Content-Length: 10"), EXCHANGE_FORWARD);
    assert_int_equal(rig_send_body(rig, GOOD), EXCHANGE_BODY_MORE);
    rig_finish_request(rig);
    rig_take_answer(rig);
    assert_int_equal(rig->answer.status, 503);
    assert_int_equal(held_bytes_of_all(), 0);
    rig_end(rig, true, OUTCOME_TARGET_ABSENT);
}

static void test_judge_lets_pass_what_is_only_observed(void **state)
{
    struct rig *rig = *state;

    rig->listener.observe = &rig->target_config;
    assert_int_equal(rig_begin(rig, POST "Content-Length: 10"), EXCHANGE_FORWARD);
    assert_int_equal(rig_send_body(rig, BAD), EXCHANGE_BODY_MORE);
    rig_finish_request(rig);
    exchanges_turn(&rig->env);
    rig_accept(rig);
    rig_expect_request(rig, "POST /a HTTP/1.1\r\n", "\r\n\r\n" BAD);
    rig_send(rig, "HTTP/1.1 204 No\r\n\r\n");
    rig_take_answer(rig);
    rig_end(rig, true, OUTCOME_OBSERVED);
    /* What cannot be judged is not held. */
    assert_int_equal(rig_begin(rig, "GET / 1\nHost: a"), EXCHANGE_FORWARD);
    rig_finish_request(rig);
    rig_expect_request(rig, "GET / HTTP/1.1\r\n", "\r\n\r\n");
    rig_send(rig, "HTTP/1.1 204 No\r\n\r\n");
    rig_take_answer(rig);
    rig_end(rig, true, OUTCOME_OBSERVED);
}

/* ---- memory ---- */

static void test_held_is_bounded_and_shared(void **state)
{
    static char megabyte[1 << 20];
    struct held *of_7[80] = {NULL}, *of_8;
    struct rig *rig = *state;
    size_t n = 0;

    for (; n < ARRAY_LENGTH(of_7); n++) {
        of_7[n] = held_new(7, sizeof(megabyte));
        assert_non_null(of_7[n]);
        if (held_add(of_7[n], megabyte, sizeof(megabyte)) != HELD_DONE)
            break;
    }
    assert_int_equal(n, 56);
    /* Somebody else has room. */
    of_8 = held_new(8, sizeof(megabyte));
    assert_non_null(of_8);
    assert_int_equal(held_add(of_8, megabyte, sizeof(megabyte)), HELD_DONE);
    held_free(of_8);
    /* A request of that user is told to come again. */
    rig->client.uid = 7;
    assert_int_equal(rig_begin(rig, POST "Transfer-Encoding: chunked"), EXCHANGE_FORWARD);
    for (unsigned i = 0; i < 200 && !exchange_failed(rig->exchange); i++)
        rig_send_body(rig, "                                                                                ");
    while (!exchange_failed(rig->exchange)) {
        of_8 = held_new(7, 4096);
        if (held_add(of_8, "a", 1) == HELD_FULL)
            rig_send_body(rig, "                                                                                ");
        else
            of_7[++n] = of_8;
        if (of_7[n] != of_8)
            held_free(of_8);
    }
    rig_take_answer(rig);
    assert_int_equal(rig->answer.status, 503);
    assert_string_equal(rig_field(rig, "retry-after"), "1");
    rig_end(rig, true, OUTCOME_BODIES_FULL);
    for (size_t i = 0; i <= n; i++)
        held_free(of_7[i]);
}

/* More users than are told apart: whoever shared a count when it began still does when it ends. */
static void test_held_by_many_users_is_counted_where_it_was(void **state)
{
    static struct held *of[2 * SHARES_MOST_USERS];
    struct held *again;

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(of); i++) {
        of[i] = held_new((uid_t)(1000 + i), 1 << 20);
        assert_non_null(of[i]);
        assert_int_equal(held_add(of[i], "a", 1), HELD_DONE);
    }
    for (size_t i = 0; i < SHARES_MOST_USERS; i++)
        of[i] = held_free(of[i]);
    for (size_t i = SHARES_MOST_USERS; i < ARRAY_LENGTH(of); i++) {
        static char more[8192];

        assert_int_equal(held_add(of[i], more, sizeof(more)), HELD_DONE);
        of[i] = held_free(of[i]);
    }
    assert_int_equal(held_bytes_of_all(), 0);
    for (size_t i = 0; i < ARRAY_LENGTH(of); i++) {
        again = held_new((uid_t)(1000 + i), 1 << 20);
        assert_non_null(again);
        assert_int_equal(held_add(again, "a", 1), HELD_DONE);
        held_free(again);
    }
}

static void test_held_takes_as_much_as_has_come(void **state)
{
    struct held *held = held_new(SHARES_NOBODY, (uint64_t)16 << 20);
    struct text piece;

    (void)state;
    assert_non_null(held);
    assert_int_equal(held_bytes_of_all(), 0);
    assert_int_equal(held_add(held, "abc", 3), HELD_DONE);
    assert_int_equal(held_bytes_of_all(), 4096);
    assert_int_equal(held_add(held, "def", 3), HELD_DONE);
    assert_int_equal(held_bytes_of_all(), 4096);
    piece = held_take(held, 4);
    assert_true(text_equal(piece, TEXT_LITERAL("abcd")));
    piece = held_take(held, 4);
    assert_true(text_equal(piece, TEXT_LITERAL("ef")));
    assert_int_equal(held_take(held, 4).length, 0);
    assert_true(text_equal(held_body(held), TEXT_LITERAL("abcdef")));
    assert_null(held_trailers(held));
    assert_null(held_free(held));
    assert_null(held_free(NULL));
}

static void test_json_media_by_all_fields(void **state)
{
    static const struct {
        const char *lines;
        bool good;
    } rows[] = {
        {"", true},
        {"Content-Type: application/json", true},
        {"content-type: Application/JSON", true},
        {"Content-Type: application/json; charset=utf-8", true},
        {"Content-Type: application/json;charset=\"UTF-8\"", true},
        {"Content-Type: application/json ; Charset=Utf-8", true},
        {"Content-Type: application/merge-patch+json", true},
        {"Content-Encoding: identity", true},
        {"Content-Type: application/json\nContent-Encoding: Identity", true},
        {"Content-Types: text/plain", true},
        {"Content-Type: ", false},
        {"Content-Type: json", false},
        {"Content-Type: application/", false},
        {"Content-Type: /json", false},
        {"Content-Type: application/+json", false},
        {"Content-Type: application/jsonx", false},
        {"Content-Type: application/x-json", false},
        {"Content-Type: text/json", false},
        {"Content-Type: text/plain", false},
        {"Content-Type: application/x-www-form-urlencoded", false},
        {"Content-Type: multipart/form-data; boundary=a", false},
        {"Content-Type: application/json;", false},
        {"Content-Type: application/json; charset=utf-16", false},
        {"Content-Type: application/json; charset=iso-8859-1", false},
        {"Content-Type: application/json; charset=", false},
        {"Content-Type: application/json; charset=\"utf-8", false},
        {"Content-Type: application/json; charset=utf-8; charset=utf-16", false},
        {"Content-Type: application/json; a=b", false},
        {"Content-Type: application/json, text/plain", false},
        {"Content-Type: application/json\nContent-Type: application/json", false},
        {"Content-Type: application/json\nContent-Type: text/plain", false},
        {"Content-Type: application/json\nContent_Type: text/plain", false},
        {"Content_Type: application/json", false},
        {"Content-Encoding: gzip", false},
        {"Content-Encoding: ", false},
        {"Content-Encoding: identity, gzip", false},
        {"Content-Encoding: identity\nContent-Encoding: gzip", false},
        {"Content.Encoding: gzip", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct request_text message;
        char text[256];

        snprintf(text, sizeof(text), "POST / 1\n%s", rows[i].lines);
        assert_true(request_from_text(&message, text_of(text)));
        if ((json_media_objection(&message.request.fields) == NULL) != rows[i].good)
            fail_msg("%s", rows[i].lines);
    }
}

#define JUDGE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        JUDGE_TEST(test_judge_passes_head_and_body_on_together),
        JUDGE_TEST(test_judge_keeps_chunks_and_trailers),
        JUDGE_TEST(test_judge_denies_what_a_rule_refuses),
        JUDGE_TEST(test_judge_denies_what_cannot_be_judged),
        JUDGE_TEST(test_judge_asks_for_the_body_itself),
        JUDGE_TEST(test_judge_holds_no_more_than_it_may),
        JUDGE_TEST(test_judge_lets_go_when_the_client_does),
        JUDGE_TEST(test_judge_waits_for_a_slow_target),
        JUDGE_TEST(test_judge_drops_what_an_early_answer_does_not_want),
        JUDGE_TEST(test_judge_fails_with_its_target),
        JUDGE_TEST(test_judge_lets_pass_what_is_only_observed),
        JUDGE_TEST(test_held_is_bounded_and_shared),
        cmocka_unit_test(test_held_by_many_users_is_counted_where_it_was),
        cmocka_unit_test(test_held_takes_as_much_as_has_come),
        cmocka_unit_test(test_json_media_by_all_fields),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
