/* Spells: how long they last. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <unistd.h>

#include "proxy/base/spell.h"

static void test_spell_lasts_as_long_as_it_is_so_for_one(void **state)
{
    struct spell spell;
    struct instant began, ended;
    uint64_t ns;

    (void)state;
    spell_init(&spell);
    assert_int_equal(spell_ns(&spell), 0);
    began = instant_now();
    spell_begin(&spell);
    spell_begin(&spell);
    usleep(2000);
    spell_end(&spell);
    ns = spell_ns(&spell);
    assert_in_range(ns, 2000000, instant_now().ns - began.ns);
    usleep(1000);
    spell_end(&spell);
    ended = instant_now();
    assert_in_range(spell_ns(&spell), ns + 1000000, ended.ns - began.ns);
    ns = spell_ns(&spell);
    usleep(1000);
    assert_int_equal(spell_ns(&spell), ns);
    spell_begin(&spell);
    usleep(1000);
    assert_true(spell_ns(&spell) >= ns + 1000000);
    spell_end(&spell);
    spell_deinit(&spell);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_spell_lasts_as_long_as_it_is_so_for_one)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
