/* A reload's phases; what one does is tested with a whole process (cli/reload.bats). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proxy/reload.h"
#include "tests/unit/state_walk.h"

static unsigned walk(unsigned from, unsigned to)
{
    struct reload reload = {.phase = (enum reload_phase)from};

    reload_move(&reload, (enum reload_phase)to);
    return reload.phase;
}

static void test_reload_makes_every_move_of_its_table_and_no_other(void **state)
{
    (void)state;
    state_walk(&reload_machine, walk,
               "IDLE: PREPARING\n"
               "PREPARING: COMMITTING ABORTING\n"
               "COMMITTING: IDLE CLOSING\n"
               "CLOSING: IDLE\n"
               "ABORTING: IDLE\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reload_makes_every_move_of_its_table_and_no_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
