/* What a worker lends to its exchanges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/exchange_rig.h"

static void test_env_ids_count_and_carry(void **state)
{
    struct rig *rig = *state;
    char id[ID_BYTES], prefix[ID_BYTES / 2];

    memcpy(prefix, rig->env.id, sizeof(prefix));
    for (unsigned i = 1; i <= 0x1234; i++) {
        char want[32];

        snprintf(want, sizeof(want), "%016x", i);
        exchange_env_make_id(&rig->env, id);
        assert_memory_equal(id, prefix, sizeof(prefix));
        assert_memory_equal(id + sizeof(prefix), want, ID_BYTES - sizeof(prefix));
    }
}

static void test_env_ids_of_two_workers_differ(void **state)
{
    struct rig *rig = *state;
    struct exchange_env other = {.loop = rig->loop, .recorder = rig->env.recorder};

    assert_int_equal(exchange_env_init(&other, rig->generation), 0);
    assert_memory_not_equal(other.id, rig->env.id, ID_BYTES / 2);
    exchange_env_deinit(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_env_ids_count_and_carry, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(test_env_ids_of_two_workers_differ, rig_setup, rig_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
