/* A target in two generations: what they share has the limits of the newer one, from when that takes effect. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/exchange_rig.h"

#define OTHER_PATH "/nowhere/other.sock"

/* Somebody who asks for a connection. */
struct asker {
    struct ticket ticket;
    struct connection *connection; /* held, NULL */
    unsigned n_answers;
};

/* The rig's target is that of the older generation. */
struct pair {
    struct rig *rig;
    struct target_config config;
    struct endpoint_config endpoints[2];
    struct target newer;
};

static void asker_on_event(void *closure, uint32_t events)
{
    (void)closure;
    (void)events;
}

static void asker_answered(struct ticket *ticket, struct connection *connection, const struct failure *failure)
{
    struct asker *asker = CONTAINER_OF(ticket, struct asker, ticket);

    (void)failure;
    asker->connection = connection;
    asker->n_answers++;
    if (connection)
        connection_use(connection, asker_on_event, asker);
}

static enum connect_result ask(struct target *target, struct asker *asker)
{
    struct failure failure;
    enum connect_result result;

    failure_init(&failure);
    *asker = (struct asker){.ticket.fn = asker_answered};
    result = target_ask(target, &asker->ticket, false, &asker->connection, &failure);
    if (result == CONNECT_DONE)
        connection_use(asker->connection, asker_on_event, asker);
    return result;
}

static void give(struct target *target, struct asker *asker)
{
    target_give(target, asker->connection, true);
    asker->connection = NULL;
}

static int setup(void **state)
{
    struct pair *pair = calloc(1, sizeof(*pair));

    rig_setup((void **)&pair->rig);
    pair->config = pair->rig->target_config;
    *state = pair;
    return 0;
}

static int teardown(void **state)
{
    struct pair *pair = *state;

    target_deinit(&pair->newer);
    rig_teardown((void **)&pair->rig);
    free(pair);
    return 0;
}

static void prepare(struct pair *pair)
{
    assert_int_equal(target_init(&pair->newer, &pair->config, &pair->rig->endpoints, true), 0);
}

static struct pool *pool_of(const struct target *target)
{
    return &target->roster.endpoints[0]->pool;
}

/* A reload that fails in another worker leaves everything as it was. */
static void test_target_that_is_prepared_changes_nothing(void **state)
{
    struct pair *pair = *state;
    struct target *older = pair->rig->target;

    pair->config.connections_max = 1;
    pair->config.connections_idle = 0;
    pair->config.connections_idle_timeout_ms = 10;
    prepare(pair);
    assert_ptr_equal(pair->newer.commons, older->commons);
    assert_ptr_equal(pool_of(&pair->newer), pool_of(older));
    assert_int_equal(places_most(&older->commons->places), 16);
    assert_int_equal(pool_of(older)->most_idle, 16);
    assert_int_equal(pool_of(older)->idle_timeout_ms, RIG_PATIENCE_MS);
    target_take_effect(&pair->newer);
    assert_int_equal(places_most(&older->commons->places), 1);
    assert_int_equal(pool_of(older)->most_idle, 0);
    assert_int_equal(pool_of(older)->idle_timeout_ms, 10);
}

static void test_target_whose_places_become_fewer_cuts_nobody(void **state)
{
    struct pair *pair = *state;
    struct target *older = pair->rig->target;
    struct asker held[3], late;

    for (int i = 0; i < 3; i++)
        assert_int_equal(ask(older, &held[i]), CONNECT_DONE);
    pair->config.connections_max = 2;
    prepare(pair);
    target_take_effect(&pair->newer);
    assert_int_equal(ask(&pair->newer, &late), CONNECT_WAIT);
    give(older, &held[0]);
    assert_int_equal(late.n_answers, 0); /* two are held */
    give(older, &held[1]);
    assert_int_equal(late.n_answers, 1);
    assert_non_null(late.connection);
    give(&pair->newer, &late);
    give(older, &held[2]);
}

static void test_target_whose_places_become_more_serves_who_waits(void **state)
{
    struct pair *pair = *state;
    struct target *older = pair->rig->target;
    struct asker held, waits[3];

    places_configure(&older->commons->places, 1, 16, true);
    assert_int_equal(ask(older, &held), CONNECT_DONE);
    for (int i = 0; i < 3; i++)
        assert_int_equal(ask(older, &waits[i]), CONNECT_WAIT);
    pair->config.connections_max = 3;
    prepare(pair);
    assert_int_equal(waits[0].n_answers, 0);
    target_take_effect(&pair->newer);
    assert_int_equal(waits[0].n_answers, 1);
    assert_int_equal(waits[1].n_answers, 1);
    assert_int_equal(waits[2].n_answers, 0);
    give(older, &held);
    assert_int_equal(waits[2].n_answers, 1);
    for (int i = 0; i < 3; i++)
        give(older, &waits[i]);
}

static void test_target_with_less_room_for_idle_connections_closes_some(void **state)
{
    struct pair *pair = *state;
    struct target *older = pair->rig->target;
    struct asker askers[4];

    for (int i = 0; i < 4; i++)
        assert_int_equal(ask(older, &askers[i]), CONNECT_DONE);
    for (int i = 0; i < 4; i++)
        give(older, &askers[i]);
    assert_int_equal(pool_of(older)->n_idle, 4);
    pair->config.connections_idle = 3;
    prepare(pair);
    target_take_effect(&pair->newer);
    assert_int_equal(pool_of(older)->n_idle, 3);
    target_deinit(&pair->newer);
    pair->config.connections_max = 1;
    prepare(pair);
    target_take_effect(&pair->newer);
    assert_int_equal(pool_of(older)->n_idle, 1);
}

static void test_target_whose_connections_may_be_less_old_keeps_none_that_are(void **state)
{
    struct pair *pair = *state;
    struct target *older = pair->rig->target;
    struct asker asker;

    assert_int_equal(ask(older, &asker), CONNECT_DONE);
    give(older, &asker);
    pair->config.connections_max_age_ms = 0;
    prepare(pair);
    target_take_effect(&pair->newer);
    assert_int_equal(ask(&pair->newer, &asker), CONNECT_DONE);
    assert_int_equal(asker.connection->n_exchanges, 0);
    give(&pair->newer, &asker);
    assert_int_equal(pool_of(older)->n_idle, 0);
}

/* What the older one still admits does not give the say back to it. */
static void test_target_of_before_has_no_say_any_more(void **state)
{
    struct pair *pair = *state;
    struct target *older = pair->rig->target;

    assert_true(older->roster.order > 0);
    prepare(pair);
    target_take_effect(&pair->newer);
    assert_int_equal(older->roster.order, 0);
    assert_true(pair->newer.roster.order > 0);
    assert_int_equal(pool_of(older)->most_idle, 16);
}

/* A standing belongs to the address, wherever that stands in the list. */
static void test_target_standings_are_found_by_endpoint(void **state)
{
    struct pair *pair = *state;
    struct target_config older_config;
    struct target older;
    struct standings *standings;

    pair->endpoints[0] = pair->rig->endpoint;
    pair->endpoints[1] = (struct endpoint_config){
        .address = {.kind = ADDRESS_UNIX, .name = (char *)(uintptr_t)OTHER_PATH, .text = (char *)(uintptr_t)OTHER_PATH},
        .weight = 1};
    pair->endpoints[0].weight = 1;
    pair->config.name = (char *)(uintptr_t) "two";
    pair->config.endpoints = pair->endpoints;
    pair->config.n_endpoints = 2;
    pair->config.ejects = true;
    pair->config.eject = (struct eject_config){.failures = 1, .for_ms = 60000, .most = 500};
    older_config = pair->config;
    older_config.endpoints = (struct endpoint_config[]){pair->endpoints[1], pair->endpoints[0]};
    assert_int_equal(target_init(&older, &older_config, &pair->rig->endpoints, true), 0);
    target_take_effect(&older);
    standings = &older.commons->standings;
    standing_fail(older.roster.standings[0], STANDING_BY_CONNECT, "gone", instant_now(), instant_now());
    assert_false(standings_are_good(standings));
    prepare(pair);
    target_take_effect(&pair->newer);
    assert_ptr_equal(pair->newer.roster.standings[1], older.roster.standings[0]);
    assert_int_equal(standing_rank(pair->newer.roster.standings[1], instant_now()), STANDING_EJECTED);
    assert_int_equal(roster_choose(&pair->newer.roster, 0), 0);
    assert_int_equal(roster_choose(&pair->newer.roster, 0), 0);
    /* The endpoint leaves: with the last generation that has it, its standing goes. */
    target_deinit(&pair->newer);
    pair->config.n_endpoints = 1;
    prepare(pair);
    target_take_effect(&pair->newer);
    assert_false(older.roster.standings[0]->is_chosen);
    target_deinit(&older);
    assert_true(standings_are_good(standings));
}

#define PAIR_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PAIR_TEST(test_target_that_is_prepared_changes_nothing),
        PAIR_TEST(test_target_whose_places_become_fewer_cuts_nobody),
        PAIR_TEST(test_target_whose_places_become_more_serves_who_waits),
        PAIR_TEST(test_target_with_less_room_for_idle_connections_closes_some),
        PAIR_TEST(test_target_whose_connections_may_be_less_old_keeps_none_that_are),
        PAIR_TEST(test_target_of_before_has_no_say_any_more),
        PAIR_TEST(test_target_standings_are_found_by_endpoint),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
