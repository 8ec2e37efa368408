/* The choice among endpoints, from arrays of what is known of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/reach/balance.h"

/* The next n choices, a letter for each endpoint, '-' for nobody. */
static void expect(enum target_balance how, struct balance_item *items, size_t n_items, const char *wanted)
{
    char found[64] = "";

    for (size_t i = 0; i < strlen(wanted); i++) {
        size_t next = balance_choose(how, items, n_items, 0);

        assert_true(next == BALANCE_NOBODY || next < n_items);
        found[i] = next == BALANCE_NOBODY ? '-' : (char)('a' + next);
    }
    assert_string_equal(found, wanted);
}

static void test_balance_in_turn(void **state)
{
    struct balance_item items[] = {{.weight = 1}, {.weight = 1}, {.weight = 1}};

    (void)state;
    expect(BALANCE_ROUND_ROBIN, items, 3, "abcabcabc");
}

/* The sequence that the algorithm is known for: five, one, one. */
static void test_balance_in_turn_by_weight_is_smooth(void **state)
{
    struct balance_item items[] = {{.weight = 5}, {.weight = 1}, {.weight = 1}};

    (void)state;
    expect(BALANCE_ROUND_ROBIN, items, 3, "aabacaaaabacaa");
}

static void test_balance_in_turn_passes_over_who_is_out(void **state)
{
    struct balance_item items[] = {{.weight = 1}, {.weight = 1, .out = true}, {.weight = 1}, {.weight = 0}};

    (void)state;
    expect(BALANCE_ROUND_ROBIN, items, 4, "acac");
    items[1].out = false;
    expect(BALANCE_ROUND_ROBIN, items, 4, "abcabc");
    items[0].out = items[1].out = items[2].out = true;
    expect(BALANCE_ROUND_ROBIN, items, 4, "--");
}

/* However long it was out, nobody makes up for it. */
static void test_balance_who_comes_back_gets_no_burst(void **state)
{
    struct balance_item items[] = {{.weight = 1}, {.weight = 1}};

    (void)state;
    items[1].out = true;
    for (int i = 0; i < 1000; i++)
        assert_int_equal(balance_choose(BALANCE_ROUND_ROBIN, items, 2, 0), 0);
    items[1].out = false;
    expect(BALANCE_ROUND_ROBIN, items, 2, "abab");
}

static void test_balance_least_load_for_its_weight(void **state)
{
    struct balance_item items[] = {{.weight = 1, .load = 2}, {.weight = 4, .load = 7}, {.weight = 2, .load = 4}};

    (void)state;
    expect(BALANCE_LEAST_CONNECTIONS, items, 3, "bbb");
    items[1].load = 8;
    expect(BALANCE_LEAST_CONNECTIONS, items, 3, "bcbabcb");
    items[0].load = 0;
    expect(BALANCE_LEAST_CONNECTIONS, items, 3, "aaa");
    items[0].out = true;
    items[2].load = 1;
    expect(BALANCE_LEAST_CONNECTIONS, items, 3, "ccc");
    items[1].out = items[2].out = true;
    expect(BALANCE_LEAST_CONNECTIONS, items, 3, "-");
}

static void test_balance_first_that_is_not_out(void **state)
{
    struct balance_item items[] = {{.weight = 0}, {.weight = 1, .load = 9}, {.weight = 9}};

    (void)state;
    expect(BALANCE_FAILOVER, items, 3, "bbb");
    items[1].out = true;
    expect(BALANCE_FAILOVER, items, 3, "ccc");
    items[2].out = true;
    expect(BALANCE_FAILOVER, items, 3, "-");
}

/* A generator that is good enough to count with (Knuth's MMIX). */
static uint64_t draw(void)
{
    static uint64_t seed = 1;

    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return seed ^ seed >> 29;
}

static void test_balance_of_two_that_are_drawn_takes_the_freer(void **state)
{
    struct balance_item items[] = {{.weight = 1, .load = 0}, {.weight = 1, .load = 5}, {.weight = 1, .load = 9}};
    unsigned n[3] = {0};

    (void)state;
    for (int i = 0; i < 6000; i++)
        n[balance_choose(BALANCE_RANDOM, items, 3, draw())]++;
    /* Of the three pairs, two have the first in them, one has the second and not the first. */
    assert_in_range(n[0], 3800, 4200);
    assert_in_range(n[1], 1800, 2200);
    assert_int_equal(n[2], 0);
}

static void test_balance_draws_by_weight_and_never_who_is_out(void **state)
{
    struct balance_item items[] = {{.weight = 1}, {.weight = 3}, {.weight = 5, .out = true}, {.weight = 0}};
    unsigned n[4] = {0};

    (void)state;
    for (int i = 0; i < 4000; i++)
        n[balance_choose(BALANCE_RANDOM, items, 4, draw())]++;
    /* Of two with equal load the one that was drawn first stays. */
    assert_in_range(n[0], 850, 1150);
    assert_in_range(n[1], 2850, 3150);
    items[1].out = true;
    expect(BALANCE_RANDOM, items, 4, "aaa");
    items[0].out = true;
    expect(BALANCE_RANDOM, items, 4, "-");
    assert_int_equal(balance_choose(BALANCE_RANDOM, items, 4, UINT64_MAX), BALANCE_NOBODY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_balance_in_turn),
        cmocka_unit_test(test_balance_in_turn_by_weight_is_smooth),
        cmocka_unit_test(test_balance_in_turn_passes_over_who_is_out),
        cmocka_unit_test(test_balance_who_comes_back_gets_no_burst),
        cmocka_unit_test(test_balance_least_load_for_its_weight),
        cmocka_unit_test(test_balance_first_that_is_not_out),
        cmocka_unit_test(test_balance_of_two_that_are_drawn_takes_the_freer),
        cmocka_unit_test(test_balance_draws_by_weight_and_never_who_is_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
