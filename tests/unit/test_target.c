/* A target's connections and the queue of those who wait for one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/exchange_rig.h"
#include "tests/unit/state_walk.h"

/* Somebody who asks for a connection. */
struct asker {
    struct ticket ticket;
    struct connection *connection; /* held, NULL */
    enum outcome outcome;          /* OUTCOME_PENDING until there is an answer */
    unsigned order;                /* of the answer */
};

static unsigned n_answers;

static void asker_answered(struct ticket *ticket, struct connection *connection, const struct failure *failure)
{
    struct asker *asker = CONTAINER_OF(ticket, struct asker, ticket);

    assert_int_equal(asker->outcome, OUTCOME_PENDING);
    asker->connection = connection;
    asker->outcome = connection ? OUTCOME_FORWARDED : failure->outcome;
    asker->order = ++n_answers;
}

static void asker_on_event(void *closure, uint32_t events)
{
    (void)closure;
    (void)events;
}

static enum connect_result ask(struct rig *rig, struct asker *asker, bool fresh)
{
    enum connect_result result;
    struct failure failure;

    failure_init(&failure);
    *asker = (struct asker){.ticket.fn = asker_answered, .outcome = OUTCOME_PENDING};
    result = target_ask(rig->target, &asker->ticket, fresh, &asker->connection, &failure);
    asker->outcome = failure.outcome;
    if (result == CONNECT_DONE) {
        assert_non_null(asker->connection);
        connection_use(asker->connection, asker_on_event, asker);
    }
    return result;
}

static void give(struct rig *rig, struct asker *asker, bool reusable)
{
    target_give(rig->target, asker->connection, reusable);
    asker->connection = NULL;
}

static enum connect_result ask_as(struct rig *rig, struct asker *asker, uid_t uid)
{
    enum connect_result result;
    struct failure failure;

    failure_init(&failure);
    *asker = (struct asker){.ticket = {.fn = asker_answered, .uid = uid}, .outcome = OUTCOME_PENDING};
    result = target_ask(rig->target, &asker->ticket, false, &asker->connection, &failure);
    if (result == CONNECT_DONE)
        connection_use(asker->connection, asker_on_event, asker);
    return result;
}

/* What a test changes of the configuration counts from here on. */
static void reset(struct rig *rig)
{
    target_deinit(rig->target);
    assert_int_equal(target_init(rig->target, &rig->target_config, &rig->endpoints, false), 0);
    n_answers = 0;
}

static void test_target_ticket_moves_as_its_table_says(void **state)
{
    (void)state;
    state_walk(&ticket_machine, NULL,
               "IDLE: QUEUED CONNECTING HELD\nQUEUED: IDLE CONNECTING\nCONNECTING: IDLE\nHELD: IDLE\n");
}

static void test_target_idle_connections_are_taken_last_in_first_out(void **state)
{
    struct rig *rig = *state;
    struct asker askers[3];
    struct connection *given[3];

    for (int i = 0; i < 3; i++) {
        assert_int_equal(ask(rig, &askers[i], false), CONNECT_DONE);
        given[i] = askers[i].connection;
        assert_int_equal(given[i]->n_exchanges, 0);
    }
    assert_int_equal(target_n_open(rig->target), 3);
    for (int i = 0; i < 3; i++)
        give(rig, &askers[i], true);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ask(rig, &askers[i], false), CONNECT_DONE);
        assert_ptr_equal(askers[i].connection, given[2 - i]);
        assert_int_equal(askers[i].connection->n_exchanges, 1);
    }
    for (int i = 0; i < 3; i++)
        give(rig, &askers[i], false);
    assert_int_equal(target_n_open(rig->target), 0);
}

static void test_target_fresh_leaves_idle_connections(void **state)
{
    struct rig *rig = *state;
    struct asker first, second;

    assert_int_equal(ask(rig, &first, false), CONNECT_DONE);
    give(rig, &first, true);
    assert_int_equal(ask(rig, &second, true), CONNECT_DONE);
    assert_int_equal(second.connection->n_exchanges, 0);
    assert_int_equal(target_n_open(rig->target), 2);
    give(rig, &second, true);
}

static void test_target_full_serves_its_queue_in_order(void **state)
{
    struct rig *rig = *state;
    struct asker busy[2], queued[4];

    rig->target_config.connections_max = 2;
    reset(rig);
    for (int i = 0; i < 2; i++)
        assert_int_equal(ask(rig, &busy[i], false), CONNECT_DONE);
    for (int i = 0; i < 4; i++)
        assert_int_equal(ask(rig, &queued[i], false), CONNECT_WAIT);
    rig_turn(rig);
    assert_int_equal(n_answers, 0);
    give(rig, &busy[0], true); /* handed on */
    assert_int_equal(queued[0].order, 1);
    assert_int_equal(queued[0].connection->n_exchanges, 1);
    give(rig, &busy[1], false); /* replaced by a new one */
    assert_int_equal(queued[1].order, 2);
    assert_int_equal(queued[1].connection->n_exchanges, 0);
    assert_int_equal(n_answers, 2);
    assert_int_equal(target_n_open(rig->target), 2);
    target_withdraw(&queued[2].ticket);
    give(rig, &queued[0], true);
    assert_int_equal(queued[3].order, 3);
    give(rig, &queued[1], true);
    give(rig, &queued[3], true);
    assert_int_equal(target_n_open(rig->target), 2);
    assert_int_equal(queued[2].outcome, OUTCOME_PENDING);
}

static void test_target_full_for_too_long_is_busy(void **state)
{
    struct rig *rig = *state;
    struct asker busy, queued;

    rig->target_config.connections_max = 1;
    rig->target_config.connect_timeout_ms = 300;
    reset(rig);
    assert_int_equal(ask(rig, &busy, false), CONNECT_DONE);
    assert_int_equal(ask(rig, &queued, false), CONNECT_WAIT);
    for (int i = 0; i < RIG_PATIENCE_MS && n_answers == 0; i++)
        assert_true(loop_run_once(rig->loop, 1) >= 0);
    assert_int_equal(queued.outcome, OUTCOME_TARGET_BUSY);
    assert_null(queued.connection);
    target_withdraw(&queued.ticket);
    assert_int_equal(rig->target->commons->places.shares.n_waiting, 0);
    give(rig, &busy, true);
    assert_int_equal(n_answers, 1);
    assert_int_equal(rig_n_idle(rig), 1);
}

static void test_target_gone_fails_the_whole_queue(void **state)
{
    struct rig *rig = *state;
    struct asker busy, queued[3];

    rig->target_config.connections_max = 1;
    reset(rig);
    assert_int_equal(ask(rig, &busy, false), CONNECT_DONE);
    for (int i = 0; i < 3; i++)
        assert_int_equal(ask(rig, &queued[i], false), CONNECT_WAIT);
    rig_stop_listening(rig);
    give(rig, &busy, false);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(queued[i].outcome, OUTCOME_TARGET_ABSENT);
        assert_int_equal(queued[i].order, i + 1);
    }
    assert_int_equal(target_n_open(rig->target), 0);
}

/* A backlog of 0 takes one connection; the next attempt backs off and holds its place meanwhile. */
static void test_target_withdrawn_while_connecting_frees_its_place(void **state)
{
    struct rig *rig = *state;
    struct asker busy, connecting, queued;

    assert_int_equal(listen(rig->listen_fd, 0), 0);
    rig->target_config.connections_max = 2;
    reset(rig);
    assert_int_equal(ask(rig, &busy, false), CONNECT_DONE);
    assert_int_equal(ask(rig, &connecting, true), CONNECT_WAIT);
    assert_int_equal(target_n_open(rig->target), 2);
    assert_int_equal(ask(rig, &queued, false), CONNECT_WAIT);
    assert_int_equal(rig->target->commons->places.shares.n_waiting, 1);
    target_withdraw(&connecting.ticket);
    target_withdraw(&connecting.ticket);
    assert_int_equal(rig->target->commons->places.shares.n_waiting, 0); /* it is connecting now, in that place */
    assert_int_equal(target_n_open(rig->target), 2);
    target_withdraw(&queued.ticket);
    assert_int_equal(target_n_open(rig->target), 1);
    give(rig, &busy, true);
    assert_int_equal(connecting.outcome, OUTCOME_PENDING);
    assert_int_equal(queued.outcome, OUTCOME_PENDING);
}

static void test_target_withdraw_without_a_question_is_harmless(void **state)
{
    struct asker asker = {.outcome = OUTCOME_PENDING};

    (void)state;
    target_withdraw(&asker.ticket);
}

/* Who must have a new connection does not wait for an idle one to die, and is not given one. */
static void test_target_fresh_takes_the_place_of_an_idle_one(void **state)
{
    struct rig *rig = *state;
    struct asker first, second;

    rig->target_config.connections_max = 1;
    reset(rig);
    assert_int_equal(ask(rig, &first, false), CONNECT_DONE);
    rig_accept(rig);
    give(rig, &first, true);
    assert_int_equal(ask(rig, &second, true), CONNECT_DONE);
    assert_int_equal(second.connection->n_exchanges, 0);
    assert_int_equal(target_n_open(rig->target), 1);
    give(rig, &second, true);
}

static void test_target_fresh_in_the_queue_stays_fresh(void **state)
{
    struct rig *rig = *state;
    struct asker first, second;

    rig->target_config.connections_max = 1;
    reset(rig);
    assert_int_equal(ask(rig, &first, false), CONNECT_DONE);
    assert_int_equal(ask(rig, &second, true), CONNECT_WAIT);
    give(rig, &first, true);
    assert_int_equal(second.outcome, OUTCOME_FORWARDED);
    assert_int_equal(second.connection->n_exchanges, 0);
    assert_int_equal(target_n_open(rig->target), 1);
    give(rig, &second, true);
}

/* One user who takes what it can get leaves a place for the next, and who has fewest is served first. */
static void test_target_user_that_takes_all_leaves_places_for_others(void **state)
{
    struct rig *rig = *state;
    struct asker greedy[8], modest[2];

    rig->target_config.connections_max = 8;
    reset(rig);
    for (int i = 0; i < 7; i++)
        assert_int_equal(ask_as(rig, &greedy[i], 1), CONNECT_DONE);
    assert_int_equal(ask_as(rig, &greedy[7], 1), CONNECT_WAIT);
    assert_int_equal(ask_as(rig, &modest[0], 2), CONNECT_DONE);
    assert_int_equal(ask_as(rig, &modest[1], 2), CONNECT_WAIT);
    rig_accept(rig);
    give(rig, &greedy[0], true); /* to neither: the last place is for somebody who has none */
    assert_int_equal(n_answers, 0);
    give(rig, &greedy[1], true);
    assert_int_equal(modest[1].order, 1);
    assert_int_equal(greedy[7].outcome, OUTCOME_PENDING);
    give(rig, &modest[0], true);
    give(rig, &modest[1], true);
    assert_int_equal(greedy[7].order, 2);
    for (int i = 2; i < 8; i++)
        give(rig, &greedy[i], true);
    assert_int_equal(places_n_held(&rig->target->commons->places), 0);
}

/* Nothing is kept free for others where there are none. */
static void test_target_of_one_user_gives_it_all_places(void **state)
{
    struct rig *rig = *state;
    struct asker askers[9];

    rig->target_config.connections_max = 8;
    reset(rig);
    rig->target->commons->places.shares.first_come = true;
    for (int i = 0; i < 8; i++)
        assert_int_equal(ask_as(rig, &askers[i], 1), CONNECT_DONE);
    assert_int_equal(ask_as(rig, &askers[8], 1), CONNECT_WAIT);
    target_withdraw(&askers[8].ticket);
    for (int i = 0; i < 8; i++)
        give(rig, &askers[i], false);
}

#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_target_ticket_moves_as_its_table_says),
        RIG_TEST(test_target_idle_connections_are_taken_last_in_first_out),
        RIG_TEST(test_target_fresh_leaves_idle_connections),
        RIG_TEST(test_target_full_serves_its_queue_in_order),
        RIG_TEST(test_target_full_for_too_long_is_busy),
        RIG_TEST(test_target_gone_fails_the_whole_queue),
        RIG_TEST(test_target_withdrawn_while_connecting_frees_its_place),
        RIG_TEST(test_target_withdraw_without_a_question_is_harmless),
        RIG_TEST(test_target_fresh_takes_the_place_of_an_idle_one),
        RIG_TEST(test_target_fresh_in_the_queue_stays_fresh),
        RIG_TEST(test_target_user_that_takes_all_leaves_places_for_others),
        RIG_TEST(test_target_of_one_user_gives_it_all_places),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
