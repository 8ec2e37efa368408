#include "proxy/base/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/state_walk.h"

enum door { DOOR_SHUT, DOOR_OPEN, DOOR_LOCKED, DOOR_GONE, N_DOORS };

static const struct state_machine door_machine = {
    .name = "door",
    .n_states = N_DOORS,
    .states =
        {
            [DOOR_SHUT] = {"SHUT", STATE_BIT(DOOR_OPEN) | STATE_BIT(DOOR_LOCKED)},
            [DOOR_OPEN] = {"OPEN", STATE_BIT(DOOR_SHUT) | STATE_BIT(DOOR_GONE)},
            [DOOR_LOCKED] = {"LOCKED", STATE_BIT(DOOR_SHUT)},
            [DOOR_GONE] = {"GONE", 0},
        },
};

static unsigned door_move(unsigned from, unsigned to)
{
    state_check(&door_machine, from, to);
    return to;
}

static void test_state_table_is_walked(void **state)
{
    (void)state;
    state_walk(&door_machine, door_move, "SHUT: OPEN LOCKED\nOPEN: SHUT GONE\nLOCKED: SHUT\n");
}

static void test_state_outside_of_the_table_may_not_move(void **state)
{
    (void)state;
    assert_true(state_may_move(&door_machine, DOOR_SHUT, DOOR_OPEN));
    assert_false(state_may_move(&door_machine, DOOR_SHUT, DOOR_SHUT));
    assert_false(state_may_move(&door_machine, DOOR_GONE, DOOR_SHUT));
    assert_false(state_may_move(&door_machine, N_DOORS, DOOR_SHUT));
    assert_false(state_may_move(&door_machine, DOOR_SHUT, N_DOORS));
    assert_false(state_may_move(&door_machine, DOOR_SHUT, 40));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_state_table_is_walked),
        cmocka_unit_test(test_state_outside_of_the_table_may_not_move),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
