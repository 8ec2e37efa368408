/* Lots, which are to be even and nobody else's. */
#include "proxy/base/lots.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_lots_are_even_in_their_first_and_last_bits(void **state)
{
    unsigned high[16] = {0}, low[16] = {0};
    struct lots lots = {1};

    (void)state;
    for (int i = 0; i < 16000; i++) {
        uint64_t lot = lots_draw(&lots);

        high[lot >> 60]++;
        low[lot & 15]++;
    }
    for (int i = 0; i < 16; i++) {
        assert_in_range(high[i], 850, 1150); /* five times what they differ by as a rule */
        assert_in_range(low[i], 850, 1150);
    }
}

static void test_lots_of_neighbours_differ_from_the_first_on(void **state)
{
    struct lots lots[64];
    uint64_t seen = 0;
    int n = 0;

    (void)state;
    for (int i = 0; i < 64; i++) {
        lots[i].state = (uint64_t)i;
        seen |= UINT64_C(1) << (lots_draw(&lots[i]) >> 58);
    }
    for (; seen; seen &= seen - 1)
        n++;
    assert_in_range(n, 30, 64); /* of 64 that are drawn blindly 41 */
}

static void test_lots_begin_somewhere_else_each_time(void **state)
{
    struct lots one, other;

    (void)state;
    lots_init(&one);
    lots_init(&other);
    assert_true(lots_draw(&one) != lots_draw(&other));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lots_are_even_in_their_first_and_last_bits),
        cmocka_unit_test(test_lots_of_neighbours_differ_from_the_first_on),
        cmocka_unit_test(test_lots_begin_somewhere_else_each_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
