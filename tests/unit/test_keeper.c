/* The keeper: sockets that are removed, replaced by a dead process's, or taken over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/listen/keeper.h"
#include "tests/unit/publish_fixture.h"
#include "tests/unit/state_walk.h"

#define PATIENCE_MS 20000

struct rig {
    struct fixture *fixture;
    struct loop *loop;
    struct listener *listener;
    struct keeper keeper;
    unsigned n_republished, n_succeeded;
};

static void on_republished(struct keeper *keeper, size_t index)
{
    assert_int_equal(index, 0);
    CONTAINER_OF(keeper, struct rig, keeper)->n_republished++;
}

static void on_succeeded(struct keeper *keeper)
{
    CONTAINER_OF(keeper, struct rig, keeper)->n_succeeded++;
}

static void rig_open(struct rig *rig, struct fixture *fixture)
{
    *rig = (struct rig){.fixture = fixture, .loop = loop_new()};
    rig->listener = fixture_publish(&fixture->config, false);
    rig->keeper = (struct keeper){.loop = rig->loop, .republished = on_republished, .succeeded = on_succeeded};
    assert_int_equal(keeper_start(&rig->keeper, &rig->listener, 1), 0);
}

static void rig_close(struct rig *rig)
{
    keeper_stop(&rig->keeper);
    keeper_stop(&rig->keeper);
    listener_free(rig->listener);
    loop_free(rig->loop);
}

/* Turns until the socket is in that state and one of the counters has been moved. */
static void rig_await(struct rig *rig, enum keeper_state state, const unsigned *counter, unsigned least)
{
    struct instant end = instant_add_ms(instant_now(), PATIENCE_MS);

    while (rig->keeper.charges[0].state != state || *counter < least) {
        assert_true(loop_run_once(rig->loop, 100) >= 0);
        assert_true(instant_before(instant_now(), end));
    }
}

static void test_keeper_removed_socket_is_published_again(void **state)
{
    struct rig rig;
    int fd;

    rig_open(&rig, *state);
    for (unsigned i = 1; i <= 3; i++) {
        assert_int_equal(unlink(rig.fixture->path), 0);
        rig_await(&rig, KEEPER_OURS, &rig.n_republished, i);
        fd = fixture_connect(rig.fixture->path);
        assert_true(fd >= 0);
        close(fd);
    }
    assert_int_equal(rig.n_succeeded, 0);
    rig_close(&rig);
}

static void test_keeper_socket_that_nobody_serves_is_replaced(void **state)
{
    struct rig rig;

    rig_open(&rig, *state);
    assert_int_equal(unlink(rig.fixture->path), 0);
    fixture_make_stale(rig.fixture->path);
    rig_await(&rig, KEEPER_OURS, &rig.n_republished, 1);
    assert_int_equal(listener_look(rig.listener), LISTENER_OURS);
    rig_close(&rig);
}

static void test_keeper_successor_is_let_be_until_it_dies(void **state)
{
    struct listener *successor;
    struct rig rig;

    rig_open(&rig, *state);
    successor = fixture_publish(&rig.fixture->config, true);
    rig_await(&rig, KEEPER_TAKEN, &rig.n_succeeded, 1);
    assert_int_equal(rig.n_republished, 0);
    assert_int_equal(listener_look(successor), LISTENER_OURS);
    /* As when it is killed: its file stays. Nothing tells of that but a look. */
    listener_close(successor);
    rig_await(&rig, KEEPER_OURS, &rig.n_republished, 1);
    listener_free(successor);
    rig_close(&rig);
}

/* What cannot be made again is tried again. */
static void test_keeper_lost_socket_comes_back_when_its_place_does(void **state)
{
    struct rig rig;

    rig_open(&rig, *state);
    assert_int_equal(unlink(rig.fixture->path), 0);
    assert_int_equal(mkdir(rig.fixture->path, 0700), 0);
    rig_await(&rig, KEEPER_LOST, &rig.n_succeeded, 0);
    assert_int_equal(rig.n_republished, 0);
    assert_int_equal(rmdir(rig.fixture->path), 0);
    rig_await(&rig, KEEPER_OURS, &rig.n_republished, 1);
    rig_close(&rig);
}

static unsigned walk(unsigned from, unsigned to)
{
    struct keeper_charge charge = {.state = (enum keeper_state)from};

    keeper_move(&charge, (enum keeper_state)to);
    return charge.state;
}

static void test_keeper_makes_every_move_of_its_table_and_no_other(void **state)
{
    (void)state;
    state_walk(&keeper_machine, walk,
               "OURS: LOST TAKEN\n"
               "LOST: OURS TAKEN\n"
               "TAKEN: OURS LOST\n");
}

#define KEEPER_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        KEEPER_TEST(test_keeper_removed_socket_is_published_again),
        KEEPER_TEST(test_keeper_socket_that_nobody_serves_is_replaced),
        KEEPER_TEST(test_keeper_successor_is_let_be_until_it_dies),
        KEEPER_TEST(test_keeper_lost_socket_comes_back_when_its_place_does),
        cmocka_unit_test(test_keeper_makes_every_move_of_its_table_and_no_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
