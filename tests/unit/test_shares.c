/* Shares: how much one user may take, who is next, and that there is always room for one more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/base/shares.h"

#define MOST_USERS 64

/* Everybody takes what it may, one after the other, until nobody may any more. Returns how many are free. */
static uint32_t everybody_takes(uint32_t *held, size_t n_users, uint32_t n_places)
{
    uint32_t n_free = n_places;
    bool any;

    do {
        any = false;
        for (size_t i = 0; i < n_users; i++) {
            if (!share_allows(held[i], n_free))
                continue;
            held[i]++;
            n_free--;
            any = true;
        }
    } while (any);
    return n_free;
}

static void test_share_one_user_takes_seven_eighths(void **state)
{
    static const struct {
        uint32_t n_places, most;
    } cases[] = {{0, 0}, {1, 1}, {2, 1}, {3, 2}, {4, 3}, {5, 4}, {8, 7}, {9, 7}, {16, 14}, {256, 224}, {100000, 87500}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint32_t held = 0, n_free = everybody_takes(&held, 1, cases[i].n_places);

        assert_int_equal(held, cases[i].most);
        assert_int_equal(n_free, cases[i].n_places - cases[i].most);
    }
}

/* Whatever the others have taken, and in which order, the next who comes finds a place: until there are many. */
static void test_share_who_has_none_finds_a_place(void **state)
{
    (void)state;
    for (uint32_t n_places = 2; n_places <= 256; n_places++) {
        uint32_t held[MOST_USERS] = {0}, n_free;

        for (size_t n_users = 1; n_users <= n_places / 8 && n_users < MOST_USERS; n_users++) {
            n_free = everybody_takes(held, n_users, n_places);
            assert_true(n_free > 0);
            assert_true(share_allows(0, n_free));
        }
    }
}

static void test_share_users_who_come_together_get_the_same(void **state)
{
    uint32_t held[3] = {0}, n_free = everybody_takes(held, 3, 256);

    (void)state;
    assert_int_equal(n_free, 256 - held[0] - held[1] - held[2]);
    assert_in_range(n_free, 1, 256 / 16);
    for (int i = 1; i < 3; i++)
        assert_in_range(held[0] - held[i], 0, 1);
}

static void test_shares_know_a_user_again(void **state)
{
    struct shares shares;
    struct share *first;

    (void)state;
    shares_init(&shares);
    first = shares_find(&shares, 1);
    first->n_held = 1;
    assert_ptr_not_equal(shares_find(&shares, 0), first);
    assert_ptr_equal(shares_find(&shares, 1), first);
    assert_int_equal(first->uid, 1);
    assert_int_equal(shares.n_shares, 2);
    assert_ptr_equal(shares_find(&shares, SHARES_NOBODY), &shares.rest);
    shares_deinit(&shares);
}

/* Users who come once and leave take no memory; those who stay are told apart up to a ceiling. */
static void test_shares_are_bounded(void **state)
{
    struct shares shares;

    (void)state;
    shares_init(&shares);
    for (uid_t uid = 0; uid < 10000; uid++)
        assert_ptr_not_equal(shares_find(&shares, uid), &shares.rest);
    assert_in_range(shares.n_shares, 1, 16);
    for (uid_t uid = 0; uid < 10000; uid++)
        shares_find(&shares, uid)->n_held++;
    assert_int_equal(shares.n_shares, SHARES_MOST_USERS);
    assert_int_equal(shares.rest.n_held, 10000 - SHARES_MOST_USERS);
    shares_deinit(&shares);
}

static void test_shares_choose_who_waits_and_has_fewest(void **state)
{
    struct shares shares;
    struct share *many, *few, *none;
    struct list links[3];

    (void)state;
    shares_init(&shares);
    none = shares_find(&shares, 3);
    few = shares_find(&shares, 2);
    few->n_held = 2;
    many = shares_find(&shares, 1);
    many->n_held = 10;
    assert_null(shares_choose(&shares, 4));
    shares_wait(&shares, many, &links[0]);
    assert_ptr_equal(shares_choose(&shares, 4), many);
    assert_null(shares_choose(&shares, 2)); /* would leave too little for others */
    assert_ptr_equal(shares_crowd(&shares), many);
    shares_wait(&shares, few, &links[1]);
    assert_ptr_equal(shares_choose(&shares, 4), few);
    shares_wait(&shares, &shares.rest, &links[2]);
    assert_ptr_equal(shares_choose(&shares, 1), &shares.rest);
    shares_unwait(&shares, &shares.rest, &links[2]);
    shares_wait(&shares, none, &links[2]);
    assert_ptr_equal(shares_choose(&shares, 1), none);
    assert_null(shares_choose(&shares, 0));
    shares_deinit(&shares);
}

static void test_shares_equals_take_turns(void **state)
{
    struct shares shares;
    struct share *users[3];
    struct list links[3];

    (void)state;
    shares_init(&shares);
    shares.first_come = true;
    for (uid_t i = 0; i < 3; i++) {
        users[i] = shares_find(&shares, i);
        users[i]->n_held = 5;
        shares_wait(&shares, users[i], &links[i]);
    }
    for (int i = 0; i < 9; i++) {
        struct share *next = shares_choose(&shares, 1);

        assert_non_null(next);
        next->n_held++;
    }
    for (int i = 0; i < 3; i++)
        assert_int_equal(users[i]->n_held, 8);
    shares_deinit(&shares);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_share_one_user_takes_seven_eighths),
        cmocka_unit_test(test_share_who_has_none_finds_a_place),
        cmocka_unit_test(test_share_users_who_come_together_get_the_same),
        cmocka_unit_test(test_shares_know_a_user_again),
        cmocka_unit_test(test_shares_are_bounded),
        cmocka_unit_test(test_shares_choose_who_waits_and_has_fewest),
        cmocka_unit_test(test_shares_equals_take_turns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
