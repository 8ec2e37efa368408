/* Farewells: a connection that ends in stages. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/serve/farewell.h"

#define PATIENCE_ROUNDS 1000
#define TOO_LONG_MS 60000

/* A connection with its pass, of which our end has just said farewell. */
struct rig {
    struct loop *loop;
    struct list farewells;
    struct admission_house house;
    struct admission admission;
    struct listener_config listener;
    struct admission_pass pass;
    int peer;
};

static void rig_begin(struct rig *rig)
{
    int fds[2];

    memset(rig, 0, sizeof(*rig));
    rig->listener = (struct listener_config){.limit_connections = 1, .limit_connections_per_uid = 1};
    rig->loop = loop_new();
    assert_non_null(rig->loop);
    list_init(&rig->farewells);
    admission_house_init(&rig->house);
    assert_int_equal(admission_init(&rig->admission, &rig->house, &rig->listener, 1), 0);
    assert_int_equal(admission_enter(&rig->admission.desks[0], 0, false, &rig->pass), ADMISSION_IN);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(send(fds[0], "bye", 3, 0), 3);
    assert_int_equal(send(fds[1], "more", 4, 0), 4);
    farewell_begin(&rig->farewells, rig->loop, fds[0], &rig->pass);
    close(fds[0]);
    rig->peer = fds[1];
}

static void rig_end(struct rig *rig)
{
    assert_true(list_empty(&rig->farewells));
    assert_int_equal(rig->admission.n_clients, 0);
    close(rig->peer);
    admission_deinit(&rig->admission);
    admission_house_deinit(&rig->house);
    loop_free(rig->loop);
}

static void rig_turn(struct rig *rig)
{
    for (int i = 0; loop_run_once(rig->loop, 0) > 0; i++)
        assert_true(i < PATIENCE_ROUNDS);
}

static void test_farewell_peer_reads_all_and_goes_on_sending(void **state)
{
    struct rig rig;
    char data[8];

    (void)state;
    rig_begin(&rig);
    assert_null(rig.pass.desk);
    assert_int_equal(recv(rig.peer, data, sizeof(data), 0), 3);
    assert_int_equal(recv(rig.peer, data, sizeof(data), 0), 0);
    for (int i = 0; i < 3; i++) {
        rig_turn(&rig);
        assert_int_equal(send(rig.peer, "more", 4, MSG_NOSIGNAL), 4);
    }
    assert_int_equal(rig.admission.n_clients, 1);
    shutdown(rig.peer, SHUT_WR);
    rig_turn(&rig);
    assert_int_equal(recv(rig.peer, data, sizeof(data), 0), 0);
    rig_end(&rig);
}

static void test_farewell_peer_that_stays_is_left_after_a_while(void **state)
{
    struct rig rig;
    struct instant limit;

    (void)state;
    rig_begin(&rig);
    limit = instant_add_ms(instant_now(), TOO_LONG_MS);
    while (!list_empty(&rig.farewells) && instant_before(instant_now(), limit))
        assert_true(loop_run_once(rig.loop, -1) >= 0);
    assert_int_equal(send(rig.peer, "more", 4, MSG_NOSIGNAL), -1);
    rig_end(&rig);
}

static void test_farewells_end_closes_all(void **state)
{
    struct rig rig;

    (void)state;
    rig_begin(&rig);
    farewells_end(&rig.farewells);
    assert_int_equal(send(rig.peer, "more", 4, MSG_NOSIGNAL), -1);
    rig_end(&rig);
}

static void test_farewell_without_a_descriptor_leaves_the_pass(void **state)
{
    struct rig rig;
    struct admission_pass pass;

    (void)state;
    rig_begin(&rig);
    farewells_end(&rig.farewells);
    assert_int_equal(admission_enter(&rig.admission.desks[0], 0, false, &pass), ADMISSION_IN);
    farewell_begin(&rig.farewells, rig.loop, -1, &pass);
    assert_ptr_equal(pass.desk, &rig.admission.desks[0]);
    admission_leave(&pass);
    rig_end(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_farewell_peer_reads_all_and_goes_on_sending),
        cmocka_unit_test(test_farewell_peer_that_stays_is_left_after_a_while),
        cmocka_unit_test(test_farewells_end_closes_all),
        cmocka_unit_test(test_farewell_without_a_descriptor_leaves_the_pass),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
