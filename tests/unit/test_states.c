/* The state machines of the middle of the data plane: which state may follow which, said once more than in their
 * tables, and every other move ends the process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proxy/exchange/state.h"
#include "proxy/serve/client.h"
#include "tests/unit/state_walk.h"

static unsigned exchange_step(unsigned from, unsigned to)
{
    static struct exchange exchange;

    exchange.state = (enum exchange_state)from;
    exchange_move(&exchange, (enum exchange_state)to);
    return exchange.state;
}

static void test_exchange_states_follow_their_table(void **state)
{
    (void)state;
    state_walk(&exchange_machine, exchange_step,
               "NEW: RECEIVING WAITING ANSWERED\n"
               "RECEIVING: WAITING ANSWERED\n"
               "WAITING: ANSWERED\n"
               "ANSWERED: ANSWERED\n");
}

static unsigned half_step(unsigned from, unsigned to)
{
    struct tunnel_half half = {.state = (enum half_state)from};

    half_advance(&half, (enum half_state)to);
    return half.state;
}

static void test_tunnel_half_states_follow_their_table(void **state)
{
    (void)state;
    state_walk(&half_machine, half_step, "FLOWING: ENDED CLOSED\nENDED: CLOSED\n");
}

static unsigned tunnel_step(unsigned from, unsigned to)
{
    static struct tunnel tunnel;

    tunnel.state = (enum tunnel_state)from;
    tunnel_advance(&tunnel, (enum tunnel_state)to);
    return tunnel.state;
}

static void test_tunnel_states_follow_their_table(void **state)
{
    (void)state;
    state_walk(&tunnel_machine, tunnel_step,
               "CONNECTING: OPEN FAILED OVER\nOPEN: PARTING OVER\nPARTING: OVER\nFAILED: OVER\n");
}

/* What 100,000 idle ones cost is this many times 100,000. */
static void test_tunnel_record_is_below_a_kibibyte(void **state)
{
    (void)state;
    assert_true(sizeof(struct tunnel) < 870);
}

static unsigned client_step(unsigned from, unsigned to)
{
    static struct client client;

    client.phase = (enum client_phase)from;
    client_move(&client, (enum client_phase)to);
    return client.phase;
}

static void test_client_phases_follow_their_table(void **state)
{
    (void)state;
    state_walk(&client_machine, client_step,
               "NEW: HEAD LINGER\n"
               "HEAD: EXPECT BODY RESPONSE IDLE LINGER RELAY\n"
               "EXPECT: BODY RESPONSE IDLE LINGER RELAY\n"
               "BODY: EARLY WAITING RESPONSE IDLE LINGER RELAY\n"
               "EARLY: RESPONSE IDLE LINGER RELAY\n"
               "WAITING: BODY EARLY RESPONSE IDLE LINGER RELAY\n"
               "RESPONSE: WAITING IDLE TUNNEL\n"
               "IDLE: HEAD\n"
               "RELAY: IDLE LINGER REST\n"
               "REST: IDLE LINGER\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exchange_states_follow_their_table),
        cmocka_unit_test(test_client_phases_follow_their_table),
        cmocka_unit_test(test_tunnel_half_states_follow_their_table),
        cmocka_unit_test(test_tunnel_states_follow_their_table),
        cmocka_unit_test(test_tunnel_record_is_below_a_kibibyte),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
