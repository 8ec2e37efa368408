/* Requests that are sent again: when, how often, and when not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/upstream_fixture.h"

#define UNAVAILABLE "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nlate"
#define GET "GET /a 1\nHost: a"

static void retry_on(struct rig *rig, unsigned causes, uint32_t attempts)
{
    rig->target_config.retries.on |= causes;
    rig->target_config.retries.attempts = attempts;
}

/* Begins a request without a body, and the target has it. */
static void ask(struct rig *rig, const char *head)
{
    upstream_begin_post(rig, head);
    rig_finish_request(rig);
    rig_accept(rig);
    rig_receive(rig);
}

/* It comes once more, over whatever connection. */
static void expect_again(struct rig *rig, bool on_another)
{
    rig_turn(rig);
    if (on_another) {
        assert_true(rig_has_connection(rig));
        rig_accept(rig);
    }
    rig_expect_request(rig, "GET /a ", "\r\n\r\n");
}

/* The answer counts. */
static void expect_unavailable(struct rig *rig)
{
    rig_take_answer(rig);
    assert_int_equal(rig->answer.status, 503);
    assert_int_equal(rig_take_body(rig, 100), UPSTREAM_END);
    assert_string_equal(rig->body, "late");
    rig_end(rig, true, OUTCOME_FORWARDED);
}

static void test_retry_of_an_answer_that_says_not_now(void **state)
{
    struct rig *rig = *state;

    retry_on(rig, 1u << RETRY_503, 1);
    ask(rig, GET);
    rig_send(rig, UNAVAILABLE);
    expect_again(rig, false); /* the answer was whole: the same connection serves */
    rig_send(rig, UPSTREAM_OK);
    upstream_expect_ok(rig);
    assert_int_equal(rig->metrics.retries.value, 1);
}

static void test_retry_of_an_answer_whose_body_is_still_to_come(void **state)
{
    struct rig *rig = *state;

    retry_on(rig, 1u << RETRY_502, 1);
    ask(rig, GET);
    rig_send(rig, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 10000\r\n\r\nlong");
    expect_again(rig, true);
    rig_send(rig, UPSTREAM_OK);
    upstream_expect_ok(rig);
}

static void test_retry_ends_with_the_attempts(void **state)
{
    struct rig *rig = *state;

    retry_on(rig, 1u << RETRY_503, 2);
    ask(rig, GET);
    for (int i = 0; i < 2; i++) {
        rig_send(rig, UNAVAILABLE);
        expect_again(rig, false);
    }
    rig_send(rig, UNAVAILABLE);
    expect_unavailable(rig);
}

static void test_retry_of_a_target_that_closes_or_answers_rubbish(void **state)
{
    struct rig *rig = *state;

    retry_on(rig, 1u << RETRY_502, 2);
    ask(rig, GET);
    rig_send(rig, "220 no HTTP\r\n\r\n");
    expect_again(rig, true);
    rig_close(rig);
    expect_again(rig, true);
    rig_send(rig, UPSTREAM_OK);
    upstream_expect_ok(rig);
}

static void test_retry_of_what_took_too_long_has_what_is_left_of_the_time(void **state)
{
    struct rig *rig = *state;

    retry_on(rig, 1u << RETRY_504, 10);
    rig->target_config.retries.per_try_ms = 1500;
    rig->target_config.times.response_ms = 4000;
    ask(rig, GET);
    rig_pass_ms(rig, 1700);
    expect_again(rig, true);
    rig_pass_ms(rig, 1700);
    expect_again(rig, true); /* with a second left */
    rig_pass_ms(rig, 1700);
    assert_false(rig_has_connection(rig));
    upstream_expect_status(rig, 504, OUTCOME_RESPONSE_TIMEOUT);
}

static void test_retry_is_not_for_what_may_do_harm(void **state)
{
    struct rig *rig = *state;

    retry_on(rig, RETRY_ON_ANSWERS, 5);
    ask(rig, "POST /a 1\nHost: a\nContent-Length: 0");
    rig_send(rig, UNAVAILABLE);
    expect_unavailable(rig);
    upstream_begin_post(rig, "PUT /a 1\nHost: a\nContent-Length: 5");
    rig_send_body(rig, "hello");
    rig_finish_request(rig);
    rig_receive(rig);
    rig_send(rig, UNAVAILABLE);
    expect_unavailable(rig);
}

static void test_retry_is_not_for_what_was_not_asked_for(void **state)
{
    struct rig *rig = *state;

    retry_on(rig, 1u << RETRY_502, 5);
    ask(rig, GET);
    rig_send(rig, UNAVAILABLE);
    expect_unavailable(rig);
    assert_int_equal(rig->metrics.retries.value, 0);
}

static void test_retry_ends_with_the_budget(void **state)
{
    struct rig *rig = *state;
    unsigned n_again = 0;

    retry_on(rig, 1u << RETRY_503, 10);
    rig->target_config.retries.budget_milli = 0;
    ask(rig, GET);
    for (;;) {
        rig_send(rig, UNAVAILABLE);
        rig_turn(rig);
        if (rig_receive(rig) <= 0)
            break;
        n_again++;
    }
    assert_int_equal(n_again, 10);
    expect_unavailable(rig);
    upstream_begin_post(rig, GET);
    rig_finish_request(rig);
    rig_receive(rig);
    rig_send(rig, UNAVAILABLE);
    expect_unavailable(rig);
    assert_int_equal(rig->metrics.retries.value, 10);
}

static void test_retry_budget_is_earned_by_requests(void **state)
{
    struct retry_budget budget = {0};

    (void)state;
    for (int i = 0; i < 10; i++)
        assert_true(retry_budget_spend(&budget));
    assert_false(retry_budget_spend(&budget));
    for (int i = 0; i < 4; i++)
        retry_budget_earn(&budget, 200);
    assert_false(retry_budget_spend(&budget));
    retry_budget_earn(&budget, 200);
    assert_true(retry_budget_spend(&budget));
    assert_false(retry_budget_spend(&budget));
    for (int i = 0; i < 100000; i++)
        retry_budget_earn(&budget, 1000);
    for (int i = 0; i < 10; i++)
        assert_true(retry_budget_spend(&budget)); /* and no more than at first */
    assert_false(retry_budget_spend(&budget));
}

#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(test_retry_of_an_answer_that_says_not_now),
        RIG_TEST(test_retry_of_an_answer_whose_body_is_still_to_come),
        RIG_TEST(test_retry_ends_with_the_attempts),
        RIG_TEST(test_retry_of_a_target_that_closes_or_answers_rubbish),
        RIG_TEST(test_retry_of_what_took_too_long_has_what_is_left_of_the_time),
        RIG_TEST(test_retry_is_not_for_what_may_do_harm),
        RIG_TEST(test_retry_is_not_for_what_was_not_asked_for),
        RIG_TEST(test_retry_ends_with_the_budget),
        cmocka_unit_test(test_retry_budget_is_earned_by_requests),
    };

    return cmocka_run_group_tests(tests, upstream_group_setup, NULL);
}
