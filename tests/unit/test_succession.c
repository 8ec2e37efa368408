/* Listeners without a path, from process to process: what is shared when, and who is told. The other process is another
 * listener in this one. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/listen/succession.h"
#include "tests/unit/await.h"
#include "tests/unit/publish_fixture.h"

/* One process with its listener. */
struct side {
    struct succession_host host;
    struct succession succession;
    struct listener *listener;
    unsigned n_looks, n_leaves, n_lost;
};

struct rig {
    char name[64];
    struct listener_config config;
    struct loop *loop;
    struct side old, new;
    pthread_t thread;
    atomic_bool over;
};

static void on_look(struct succession_host *host, struct succession *succession)
{
    struct side *side = CONTAINER_OF(host, struct side, host);

    assert_ptr_equal(succession, &side->succession);
    side->n_looks++;
}

static void on_leave(struct succession_host *host, struct succession *succession, int successor)
{
    struct side *side = CONTAINER_OF(host, struct side, host);

    assert_true(successor >= 0);
    close(successor);
    assert_null(succession->offer);
    assert_true(side->listener->shared);
    side->n_leaves++;
}

static void on_lost(struct succession_host *host, struct succession *succession)
{
    struct side *side = CONTAINER_OF(host, struct side, host);

    assert_ptr_equal(succession, &side->succession);
    assert_true(side->listener->shared);
    side->n_lost++;
}

static void side_begin(struct side *side, struct loop *loop)
{
    side->host = (struct succession_host){on_look, on_leave, on_lost};
    succession_begin(&side->succession, loop, &side->host, side->listener);
}

static void side_end(struct side *side)
{
    succession_end(&side->succession);
    succession_end(&side->succession);
    listener_free(side->listener);
    *side = (struct side){.listener = NULL};
}

static void rig_open(struct rig *rig)
{
    *rig = (struct rig){.loop = loop_new()};
    snprintf(rig->name, sizeof(rig->name), "porthole-succession-%d", getpid());
    rig->config = fixture_config(rig->name);
    rig->config.bind.kind = ADDRESS_ABSTRACT;
    rig->old.listener = fixture_publish(&rig->config, false);
    side_begin(&rig->old, rig->loop);
    assert_false(rig->old.listener->shared);
}

static void rig_close(struct rig *rig)
{
    side_end(&rig->new);
    side_end(&rig->old);
    loop_free(rig->loop);
}

static void *rig_publish_main(void *closure)
{
    struct rig *rig = closure;

    rig->new.listener = fixture_publish(&rig->config, true);
    atomic_store(&rig->over, true);
    loop_wake(rig->loop);
    return NULL;
}

/* The new side has the listener, and does not serve it yet. */
static void rig_take_over(struct rig *rig)
{
    atomic_store(&rig->over, false);
    assert_int_equal(pthread_create(&rig->thread, NULL, rig_publish_main, rig), 0);
    AWAIT(rig->loop, atomic_load(&rig->over));
    pthread_join(rig->thread, NULL);
    assert_non_null(rig->new.listener->handover);
    assert_true(rig->new.listener->shared);
    assert_true(rig->old.listener->shared);
}

static void test_succession_is_shared_until_the_old_one_has_left(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    rig_take_over(&rig);
    side_begin(&rig.new, rig.loop);
    assert_true(rig.new.listener->shared);
    AWAIT(rig.loop, !rig.new.listener->shared);
    assert_int_equal(rig.old.n_leaves, 1);
    assert_null(rig.new.listener->handover);
    assert_int_equal(rig.old.n_looks + rig.new.n_looks + rig.old.n_lost + rig.new.n_lost, 0);
    rig_close(&rig);
}

/* And the new one offers it in its turn. */
static void test_succession_goes_on(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    for (int i = 0; i < 20; i++) {
        rig_take_over(&rig);
        side_begin(&rig.new, rig.loop);
        AWAIT(rig.loop, !rig.new.listener->shared);
        side_end(&rig.old);
        /* Both sides begin anew, for they know where they lie. */
        rig.old.listener = rig.new.listener;
        succession_end(&rig.new.succession);
        rig.new = (struct side){.listener = NULL};
        side_begin(&rig.old, rig.loop);
    }
    rig_close(&rig);
}

static void test_succession_that_fails_leaves_the_old_one_alone_with_its_backlog(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    rig_take_over(&rig);
    side_end(&rig.new);
    AWAIT(rig.loop, !rig.old.listener->shared);
    assert_int_equal(rig.old.n_looks, 1);
    assert_int_equal(rig.old.n_leaves, 0);
    rig_close(&rig);
}

static void test_succession_of_one_that_has_ended_is_the_new_ones_alone(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    rig_take_over(&rig);
    side_end(&rig.old);
    side_begin(&rig.new, rig.loop);
    AWAIT(rig.loop, !rig.new.listener->shared);
    assert_int_equal(rig.new.n_looks, 1);
    rig_close(&rig);
}

static void test_succession_that_comes_late_is_lost_and_stays_shared(void **state)
{
    struct timer *patience;
    struct rig rig;

    (void)state;
    rig_open(&rig);
    rig_take_over(&rig);
    patience = &rig.old.succession.offer->successor->patience;
    timer_disarm(patience);
    patience->fn(patience);
    assert_false(rig.old.listener->shared);
    side_begin(&rig.new, rig.loop);
    AWAIT(rig.loop, rig.new.n_lost == 1);
    assert_true(rig.new.listener->shared);
    assert_int_equal(rig.old.n_leaves, 0);
    rig_close(&rig);
}

static void test_succession_of_one_that_stops_stays_shared_while_a_successor_has_it(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    rig_take_over(&rig);
    succession_drain(&rig.old.succession);
    assert_true(rig.old.listener->shared);
    side_begin(&rig.new, rig.loop);
    AWAIT(rig.loop, !rig.new.listener->shared);
    assert_int_equal(rig.old.n_leaves, 0); /* it leaves anyway */
    rig_close(&rig);
}

static void test_succession_of_a_listener_with_a_path_is_none(void **state)
{
    struct fixture *fixture;
    struct side side = {.listener = NULL};
    struct loop *loop = loop_new();

    assert_int_equal(fixture_setup(state), 0);
    fixture = *state;
    side.listener = fixture_publish(&fixture->config, false);
    side_begin(&side, loop);
    assert_null(side.succession.offer);
    succession_drain(&side.succession);
    side_end(&side);
    loop_free(loop);
    fixture_teardown(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_succession_is_shared_until_the_old_one_has_left),
        cmocka_unit_test(test_succession_goes_on),
        cmocka_unit_test(test_succession_that_fails_leaves_the_old_one_alone_with_its_backlog),
        cmocka_unit_test(test_succession_of_one_that_has_ended_is_the_new_ones_alone),
        cmocka_unit_test(test_succession_that_comes_late_is_lost_and_stays_shared),
        cmocka_unit_test(test_succession_of_one_that_stops_stays_shared_while_a_successor_has_it),
        cmocka_unit_test(test_succession_of_a_listener_with_a_path_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
