/* Acceptors while memory is short: who is taken, who waits in the backlog, and who makes room. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/acceptor_rig.h"

static void test_acceptor_without_memory_leaves_who_comes_in_the_backlog(void **state)
{
    struct acceptor_rig rig;
    int fds[5];

    (void)state;
    acceptor_rig_open(&rig, 16);
    rig.house.brake.most = 2;
    for (size_t i = 0; i < 5; i++)
        fds[i] = acceptor_rig_connect(&rig);
    acceptor_rig_expect(&rig, 2, ACCEPTOR_WAITING);
    acceptor_rig_expect_waiting(&rig, 0);
    acceptor_rig_let_go(&rig, 0);
    acceptor_rig_expect(&rig, 3, ACCEPTOR_WAITING);
    /* As a look does. */
    rig.house.brake.most = 5;
    admission_tell_short(&rig.house);
    acceptor_rig_expect(&rig, 5, ACCEPTOR_OPEN);
    for (size_t i = 0; i < 5; i++)
        close(fds[i]);
    acceptor_rig_close(&rig);
}

/* Of a stop: nobody else would serve them. */
static void test_acceptor_emptied_takes_everybody_whatever_the_memory(void **state)
{
    struct acceptor_rig rig;
    int fds[3];

    (void)state;
    acceptor_rig_open(&rig, 16);
    rig.house.brake.most = 1;
    for (size_t i = 0; i < 3; i++)
        fds[i] = acceptor_rig_connect(&rig);
    acceptor_rig_expect(&rig, 1, ACCEPTOR_WAITING);
    acceptor_empty(&rig.acceptor, false);
    assert_int_equal(rig.n_served, 3);
    for (size_t i = 0; i < 3; i++)
        close(fds[i]);
    acceptor_rig_close(&rig);
}

static void test_acceptor_of_admin_listeners_needs_no_memory(void **state)
{
    struct acceptor_rig rig;
    int fd;

    (void)state;
    acceptor_rig_open(&rig, 16);
    rig.admission.is_admin = true;
    rig.house.brake.most = 0;
    fd = acceptor_rig_connect(&rig);
    acceptor_rig_expect(&rig, 1, ACCEPTOR_OPEN);
    close(fd);
    acceptor_rig_close(&rig);
}

static unsigned n_told;

/* Who asks holds the house's lock. */
static void tell_later(struct admission_desk *desk)
{
    (void)desk;
    n_told++;
}

/* Slow: one makes room for one who comes. Full: all of them go, for nobody. */
static void test_acceptor_without_memory_lets_idle_clients_go(void **state)
{
    struct instant long_ago;
    struct acceptor_rig rig;
    int fds[6];

    (void)state;
    acceptor_rig_open(&rig, 16);
    rig.host.let_go = acceptor_rig_let_go_idle;
    for (size_t i = 0; i < 5; i++)
        fds[i] = acceptor_rig_connect(&rig);
    acceptor_rig_expect(&rig, 5, ACCEPTOR_OPEN);
    long_ago = (struct instant){loop_now(rig.host.loop).ns - 1000000000u};
    for (size_t i = 0; i < 4; i++)
        admission_idle(&rig.passes[i], long_ago);
    brake_move(&rig.house.brake, BRAKE_SLOW);
    rig.house.brake.most = 5;
    acceptor_rig_turn(&rig);
    assert_int_equal(rig.n_let_go, 0);
    fds[5] = acceptor_rig_connect(&rig);
    acceptor_rig_expect(&rig, 5, ACCEPTOR_WAITING);
    assert_int_equal(rig.n_let_go, 1);
    acceptor_rig_let_go(&rig, 0);
    acceptor_rig_expect(&rig, 6, ACCEPTOR_WAITING);
    brake_move(&rig.house.brake, BRAKE_FULL);
    rig.admission.desks[0].told = tell_later;
    admission_ask_all(&rig.house);
    assert_int_equal(n_told, 1);
    acceptor_look(&rig.acceptor);
    assert_int_equal(rig.n_let_go, 4);
    for (size_t i = 0; i < 6; i++)
        close(fds[i]);
    acceptor_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_acceptor_without_memory_leaves_who_comes_in_the_backlog),
        cmocka_unit_test(test_acceptor_emptied_takes_everybody_whatever_the_memory),
        cmocka_unit_test(test_acceptor_of_admin_listeners_needs_no_memory),
        cmocka_unit_test(test_acceptor_without_memory_lets_idle_clients_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
