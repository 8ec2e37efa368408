/* The state machines of the middle of the data plane: which state may follow which, said once more than in their
 * tables, and every other move ends the process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proxy/exchange/state.h"
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
               "WAITING: ANSWERED\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exchange_states_follow_their_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
