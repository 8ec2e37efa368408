/* Turns: shares of a round, and the line of those who want more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/serve/turns.h"

#define CROWD 300u
#define SHORT_ROUND 16384u /* pieces: about two milliseconds */

/* Clients without connections; the library's part of suspending is counted. */
struct rig {
    struct exchange_env env;
    struct clients clients;
    struct client crowd[CROWD];
};

static void rig_on_suspend(struct client *client)
{
    (void)client;
}

static int rig_begin(void **state)
{
    static const struct client_events no_events = {0};
    static struct rig rig;

    memset(&rig, 0, sizeof(rig));
    clients_init(&rig.clients, &rig.env, &no_events);
    rig.clients.suspend = rig.clients.resume = rig_on_suspend;
    for (size_t i = 0; i < CROWD; i++) {
        rig.crowd[i].clients = &rig.clients;
        rig.crowd[i].watching = true;
        list_init(&rig.crowd[i].line);
    }
    *state = &rig;
    return 0;
}

/* What a client gets of `want` pieces before it must wait. */
static unsigned client_take(struct client *client, unsigned want)
{
    unsigned n = 0;

    if (client->suspended)
        return 0;
    for (; n < want; n++) {
        if (!client_has_turn(client)) {
            client_yield(client);
            break;
        }
        client_spend(client, 1, 0);
    }
    return n;
}

/* A round in which the first n_clients want more than there is: the pieces that are worked on. */
static unsigned rig_round(struct rig *rig, size_t n_clients, unsigned *ret_gets)
{
    unsigned n = 0;

    turns_begin(&rig->clients);
    for (int i = 0; i < 2; i++) {
        if (i > 0 && !turns_next(&rig->clients))
            break;
        for (size_t k = 0; k < n_clients; k++) {
            unsigned got = client_take(&rig->crowd[k], 100000);

            n += got;
            if (ret_gets)
                ret_gets[k] += got;
        }
    }
    return n;
}

static void test_turns_of_a_lone_client_go_on_in_each_round(void **state)
{
    struct rig *rig = *state;

    for (int i = 0; i < 10; i++) {
        unsigned n = rig_round(rig, 1, NULL);

        assert_in_range(n, 64, 1024);
        assert_true(turns_are_wanted(&rig->clients));
    }
}

static void test_turns_of_a_crowd_make_no_long_round(void **state)
{
    struct rig *rig = *state;
    unsigned gets[CROWD] = {0}, least = 1000000, most = 0;

    assert_true(rig_round(rig, CROWD, gets) <= SHORT_ROUND);
    for (int i = 0; i < 400; i++)
        assert_true(rig_round(rig, CROWD, gets) <= SHORT_ROUND / 2);
    for (size_t k = 0; k < CROWD; k++) {
        least = gets[k] < least ? gets[k] : least;
        most = gets[k] > most ? gets[k] : most;
    }
    assert_true(least > 0 && most <= 2 * least);
}

static void test_turns_never_make_the_modest_wait(void **state)
{
    struct rig *rig = *state;
    struct client *modest = &rig->crowd[CROWD - 1];

    for (int i = 0; i < 100; i++) {
        rig_round(rig, CROWD - 1, NULL);
        turns_begin(&rig->clients);
        for (size_t k = 0; k < CROWD - 1; k++)
            client_take(&rig->crowd[k], 100000);
        assert_int_equal(client_take(modest, 10), 10);
        assert_false(modest->suspended);
    }
}

static void test_turns_remember_what_a_client_has_had(void **state)
{
    struct rig *rig = *state;
    struct client *client = &rig->crowd[0];

    turns_begin(&rig->clients);
    assert_int_equal(client_take(client, 100), 100);
    turns_begin(&rig->clients);
    client_spend(&rig->crowd[1], 100000, 0); /* the round has no more to give */
    assert_true(turns_are_short(&rig->clients));
    assert_false(client_has_turn(client));
    for (int i = 0; i < 100; i++)
        turns_begin(&rig->clients);
    client_spend(&rig->crowd[1], 100000, 0);
    assert_true(client_has_turn(client));
}

static void test_turns_count_what_is_moved_in_large_blocks(void **state)
{
    struct rig *rig = *state;

    turns_begin(&rig->clients);
    for (int i = 0; i < 8; i++)
        client_spend(&rig->crowd[0], 1, 65536);
    assert_false(client_has_turn(&rig->crowd[0]));
    assert_true(client_has_turn(&rig->crowd[1]));
}

static void test_turns_are_kept_in_line_by_wakes_and_left_when_cut(void **state)
{
    struct rig *rig = *state;
    struct client *client = &rig->crowd[0];

    turns_begin(&rig->clients);
    client_yield(client);
    client_wake(client);
    assert_true(client->suspended);
    client->cut = true;
    client_wake(client);
    assert_false(client->suspended);
    assert_false(turns_are_wanted(&rig->clients));
}

#define TURNS_TEST(name) cmocka_unit_test_setup(name, rig_begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TURNS_TEST(test_turns_of_a_lone_client_go_on_in_each_round),
        TURNS_TEST(test_turns_of_a_crowd_make_no_long_round),
        TURNS_TEST(test_turns_never_make_the_modest_wait),
        TURNS_TEST(test_turns_remember_what_a_client_has_had),
        TURNS_TEST(test_turns_count_what_is_moved_in_large_blocks),
        TURNS_TEST(test_turns_are_kept_in_line_by_wakes_and_left_when_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
