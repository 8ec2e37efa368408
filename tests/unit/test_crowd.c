/* A listener's crowd: who is let in, who makes room, and what two workers do to the counts at once. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/listen/crowd.h"

#define N_ROUNDS 100000
#define N_UIDS 5

static struct listener_config listener_with(uint32_t connections, uint32_t per_uid)
{
    return (struct listener_config){
        .name = "front", .limit_connections = connections, .limit_connections_per_uid = per_uid};
}

/* A whole entrance, as the worker does it. */
static bool come_in(struct crowd *crowd, const struct listener_config *listener, uid_t uid)
{
    if (!crowd_enter(crowd, listener, false))
        return false;
    if (crowd_know(crowd, listener, uid))
        return true;
    crowd_leave(crowd, listener, CROWD_NOBODY);
    return false;
}

static unsigned crowd_size(struct crowd *crowd)
{
    return atomic_load(&crowd->n_clients);
}

static void test_crowd_full_listener_takes_nobody_until_one_leaves(void **state)
{
    struct listener_config listener = listener_with(2, 2);
    struct crowd crowd;

    (void)state;
    crowd_init(&crowd);
    assert_true(come_in(&crowd, &listener, 1));
    assert_true(come_in(&crowd, &listener, 2));
    for (int i = 0; i < 3; i++)
        assert_false(crowd_enter(&crowd, &listener, false));
    assert_int_equal(crowd_size(&crowd), 2);
    crowd_leave(&crowd, &listener, 1);
    assert_true(come_in(&crowd, &listener, 3));
    assert_false(crowd_enter(&crowd, &listener, false));
    crowd_leave(&crowd, &listener, 2);
    crowd_leave(&crowd, &listener, 3);
    assert_int_equal(crowd_size(&crowd), 0);
    crowd_deinit(&crowd);
}

/* A listener that is being left takes all who wait in its backlog. */
static void test_crowd_full_listener_takes_anyway_who_must_be_taken(void **state)
{
    struct listener_config listener = listener_with(1, 1);
    struct crowd crowd;

    (void)state;
    crowd_init(&crowd);
    assert_true(crowd_enter(&crowd, &listener, true));
    assert_true(crowd_enter(&crowd, &listener, true));
    assert_int_equal(crowd_size(&crowd), 2);
    assert_false(crowd_enter(&crowd, &listener, false));
    crowd_leave(&crowd, &listener, CROWD_NOBODY);
    assert_false(crowd_enter(&crowd, &listener, false)); /* one over the limit has left, one at the limit is here */
    crowd_leave(&crowd, &listener, CROWD_NOBODY);
    assert_true(crowd_enter(&crowd, &listener, false));
    crowd_leave(&crowd, &listener, CROWD_NOBODY);
    crowd_deinit(&crowd);
}

static void test_crowd_user_at_the_limit_does_not_keep_others_out(void **state)
{
    struct listener_config listener = listener_with(100, 3);
    struct crowd crowd;

    (void)state;
    crowd_init(&crowd);
    for (int i = 0; i < 3; i++)
        assert_true(come_in(&crowd, &listener, 0));
    for (int i = 0; i < 5; i++)
        assert_false(come_in(&crowd, &listener, 0));
    assert_int_equal(crowd_size(&crowd), 3); /* who was turned away is not counted */
    assert_true(come_in(&crowd, &listener, 1));
    crowd_leave(&crowd, &listener, 0);
    assert_true(come_in(&crowd, &listener, 0));
    assert_false(come_in(&crowd, &listener, 0));
    assert_int_equal(crowd.n_users, 2);
    for (int i = 0; i < 3; i++)
        crowd_leave(&crowd, &listener, 0);
    crowd_leave(&crowd, &listener, 1);
    assert_int_equal(crowd.n_users, 0);
    assert_int_equal(crowd_size(&crowd), 0);
    crowd_deinit(&crowd);
}

/* The place of a user who left is taken by another: everybody's count stays with them. */
static void test_crowd_many_users_come_and_go_in_any_order(void **state)
{
    struct listener_config listener = listener_with(1000, 2);
    struct crowd crowd;

    (void)state;
    crowd_init(&crowd);
    for (uid_t uid = 0; uid < 100; uid++) {
        assert_true(come_in(&crowd, &listener, uid));
        if (uid % 2 == 0)
            assert_true(come_in(&crowd, &listener, uid));
    }
    assert_int_equal(crowd.n_users, 100);
    for (uid_t uid = 1; uid < 100; uid += 2)
        crowd_leave(&crowd, &listener, uid);
    assert_int_equal(crowd.n_users, 50);
    for (uid_t uid = 0; uid < 100; uid += 2)
        assert_false(come_in(&crowd, &listener, uid));
    for (uid_t uid = 1; uid < 100; uid += 2) {
        assert_true(come_in(&crowd, &listener, uid));
        assert_true(come_in(&crowd, &listener, uid));
        assert_false(come_in(&crowd, &listener, uid));
    }
    for (uid_t uid = 100; uid-- > 0;) {
        crowd_leave(&crowd, &listener, uid);
        crowd_leave(&crowd, &listener, uid);
    }
    assert_int_equal(crowd.n_users, 0);
    assert_int_equal(crowd_size(&crowd), 0);
    crowd_deinit(&crowd);
}

static void test_crowd_who_does_not_tell_is_nobody_of_whom_there_may_be_many(void **state)
{
    struct listener_config listener = listener_with(10, 1);
    struct crowd crowd;

    (void)state;
    crowd_init(&crowd);
    for (int i = 0; i < 10; i++)
        assert_true(come_in(&crowd, &listener, CROWD_NOBODY));
    assert_false(come_in(&crowd, &listener, CROWD_NOBODY));
    assert_int_equal(crowd.n_users, 0);
    for (int i = 0; i < 10; i++)
        crowd_leave(&crowd, &listener, CROWD_NOBODY);
    assert_int_equal(crowd_size(&crowd), 0);
    crowd_deinit(&crowd);
}

static void test_crowd_without_a_limit_for_users_does_not_count_them(void **state)
{
    struct listener_config listener = listener_with(20, 20);
    struct crowd crowd;

    (void)state;
    crowd_init(&crowd);
    for (uid_t uid = 0; uid < 20; uid++)
        assert_true(come_in(&crowd, &listener, uid));
    assert_null(crowd.users);
    assert_int_equal(crowd.n_users, 0);
    for (uid_t uid = 0; uid < 20; uid++)
        crowd_leave(&crowd, &listener, uid);
    assert_int_equal(crowd_size(&crowd), 0);
    crowd_deinit(&crowd);
}

/* ---- two workers ---- */

struct workers {
    struct listener_config listener;
    struct crowd crowd;
    atomic_uint inside, inside_of[N_UIDS];
    atomic_bool broken;
    pthread_barrier_t start; /* or one is done before the other begins */
};

static void *worker_come_and_go(void *closure)
{
    struct workers *workers = closure;

    pthread_barrier_wait(&workers->start);
    for (unsigned i = 0; i < N_ROUNDS; i++) {
        uid_t uid = i % N_UIDS;

        if (!come_in(&workers->crowd, &workers->listener, uid))
            continue;
        if (atomic_fetch_add(&workers->inside, 1) >= workers->listener.limit_connections ||
            atomic_fetch_add(&workers->inside_of[uid], 1) >= workers->listener.limit_connections_per_uid)
            atomic_store(&workers->broken, true);
        atomic_fetch_sub(&workers->inside_of[uid], 1);
        atomic_fetch_sub(&workers->inside, 1);
        crowd_leave(&workers->crowd, &workers->listener, uid);
    }
    return NULL;
}

static void test_crowd_two_workers_keep_its_limits_and_its_counts(void **state)
{
    static const struct {
        uint32_t connections, per_uid;
    } limits[] = {{1, 1}, {2, 1}, {3, 2}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(limits); i++) {
        struct workers workers = {.listener = listener_with(limits[i].connections, limits[i].per_uid)};
        pthread_t thread;

        crowd_init(&workers.crowd);
        assert_int_equal(pthread_barrier_init(&workers.start, NULL, 2), 0);
        assert_int_equal(pthread_create(&thread, NULL, worker_come_and_go, &workers), 0);
        worker_come_and_go(&workers);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_false(atomic_load(&workers.broken));
        assert_int_equal(crowd_size(&workers.crowd), 0);
        assert_int_equal(workers.crowd.n_users, 0);
        pthread_barrier_destroy(&workers.start);
        crowd_deinit(&workers.crowd);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crowd_full_listener_takes_nobody_until_one_leaves),
        cmocka_unit_test(test_crowd_full_listener_takes_anyway_who_must_be_taken),
        cmocka_unit_test(test_crowd_user_at_the_limit_does_not_keep_others_out),
        cmocka_unit_test(test_crowd_many_users_come_and_go_in_any_order),
        cmocka_unit_test(test_crowd_who_does_not_tell_is_nobody_of_whom_there_may_be_many),
        cmocka_unit_test(test_crowd_without_a_limit_for_users_does_not_count_them),
        cmocka_unit_test(test_crowd_two_workers_keep_its_limits_and_its_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
