/* Rates: evenly, in bursts, for each key, and never more than they say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proxy/base/rate.h"

#define MS UINT64_C(1000000)

static struct instant at_ms(uint64_t ms)
{
    return (struct instant){(ms + 1000) * MS};
}

static unsigned take_all(struct rate *rate, uint32_t key, uint64_t ms)
{
    unsigned n = 0;
    uint64_t wait_ms;

    while (rate_take(rate, key, at_ms(ms), &wait_ms))
        n++;
    return n;
}

static void test_rate_lets_a_burst_pass_and_then_so_many(void **state)
{
    struct rate *rate = rate_new(10, 1000, 20, false);
    unsigned n = 0;

    (void)state;
    assert_int_equal(take_all(rate, 1, 0), 20);
    assert_int_equal(take_all(rate, 2, 99), 0);
    assert_int_equal(take_all(rate, 3, 100), 1);
    for (uint64_t ms = 101; ms <= 10100; ms++)
        n += take_all(rate, 1, ms);
    assert_int_equal(n, 100);
    assert_int_equal(take_all(rate, 1, 1000000), 20);
    rate_unref(rate);
}

static void test_rate_says_how_long_to_wait(void **state)
{
    struct rate *rate = rate_new(2, 60000, 1, false);
    uint64_t wait_ms = 0;

    (void)state;
    assert_true(rate_take(rate, 1, at_ms(0), &wait_ms));
    assert_false(rate_take(rate, 1, at_ms(0), &wait_ms));
    assert_int_equal(wait_ms, 30000);
    assert_false(rate_take(rate, 1, at_ms(29999), &wait_ms));
    assert_int_equal(wait_ms, 1);
    assert_true(rate_take(rate, 1, at_ms(30000), &wait_ms));
    rate_unref(rate);
}

static void test_rate_for_each_key(void **state)
{
    struct rate *rate = rate_new(1, 1000, 3, true);

    (void)state;
    for (uint32_t key = 0; key < 600; key++)
        assert_int_equal(take_all(rate, key, 0), 3);
    for (uint32_t key = 0; key < 600; key++)
        assert_int_equal(take_all(rate, key, 0), 0);
    for (uint32_t key = 0; key < 600; key++)
        assert_int_equal(take_all(rate, key, 1000), 1);
    rate_unref(rate);
}

/* Whoever comes when no place is left is not let in for nothing, and nobody who has a place loses it. */
static void test_rate_beyond_its_places_is_shared(void **state)
{
    struct rate *rate = rate_new(1, 1000, 1, true);
    unsigned n = 0, again = 0;

    (void)state;
    for (uint32_t key = 0; key < 100000; key++)
        n += take_all(rate, key, 0);
    assert_in_range(n, 512, RATE_MOST_KEYS + 1);
    for (uint32_t key = 0; key < 100000; key++)
        again += take_all(rate, key, 0);
    assert_int_equal(again, 0);
    assert_int_equal(take_all(rate, 4711, 2000), 1);
    rate_unref(rate);
}

static void test_rate_of_extremes_does_not_overflow(void **state)
{
    struct rate *slow = rate_new(1, 86400000, 50000, false), *fast = rate_new(1000000, 10, 1000000, false);

    (void)state;
    assert_int_equal(take_all(slow, 0, 0), 50000);
    assert_int_equal(take_all(slow, 0, 86399999), 0);
    assert_int_equal(take_all(slow, 0, 86400000), 1);
    assert_int_equal(take_all(fast, 0, 0), 1000000);
    assert_int_equal(take_all(fast, 0, 10), 1000000);
    rate_unref(slow);
    rate_unref(fast);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rate_lets_a_burst_pass_and_then_so_many),
        cmocka_unit_test(test_rate_says_how_long_to_wait),
        cmocka_unit_test(test_rate_for_each_key),
        cmocka_unit_test(test_rate_beyond_its_places_is_shared),
        cmocka_unit_test(test_rate_of_extremes_does_not_overflow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
