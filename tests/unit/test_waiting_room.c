/* The waiting room: who is next, who must leave when it is full, and that nobody's descriptor is forgotten. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/listen/waiting_room.h"

#define N_PLACES 2

struct rig {
    struct loop *loop;
    struct listener_config listener;
    struct admission_house house;
    struct admission admission;
    struct waiting_room room;
    unsigned n_left;
};

static void on_left(struct waiting_room *room)
{
    CONTAINER_OF(room, struct rig, room)->n_left++;
}

static void rig_open(struct rig *rig, size_t most)
{
    rig->listener =
        (struct listener_config){.name = "front", .limit_connections = N_PLACES, .limit_connections_per_uid = 1000};
    admission_house_init(&rig->house);
    assert_int_equal(admission_init(&rig->admission, &rig->house, &rig->listener, 1), 0);
    rig->loop = loop_new();
    assert_non_null(rig->loop);
    rig->n_left = 0;
    waiting_room_init(&rig->room, rig->loop, &rig->admission, most, on_left);
}

static void rig_close(struct rig *rig)
{
    waiting_room_deinit(&rig->room);
    admission_deinit(&rig->admission);
    admission_house_deinit(&rig->house);
    loop_free(rig->loop);
}

/* Somebody comes with that descriptor; who had to leave for it is closed, and in *ret_turned_away, or -1. */
static void comes_with(struct rig *rig, int fd, uid_t uid, int *ret_turned_away)
{
    struct peer peer = {.is_unix = true, .uid = uid, .gid = 1};
    struct guest *leaver = NULL;

    assert_true(waiting_room_add(&rig->room, fd, &peer, &leaver) >= 0);
    *ret_turned_away = -1;
    if (leaver) {
        *ret_turned_away = leaver->fd;
        close(leaver->fd);
        free(leaver);
    }
}

/* The same with a descriptor of its own, which is returned. */
static int comes(struct rig *rig, uid_t uid, int *ret_turned_away)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    comes_with(rig, fd, uid, ret_turned_away);
    return fd;
}

static uid_t next_uid(struct rig *rig)
{
    struct guest *guest = waiting_room_next(&rig->room);
    uid_t uid;

    assert_non_null(guest);
    uid = guest->peer.uid;
    waiting_room_take(&rig->room, guest);
    close(guest->fd);
    free(guest);
    return uid;
}

static void test_waiting_room_is_empty_at_first(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig, 4);
    assert_null(waiting_room_next(&rig.room));
    assert_int_equal(waiting_room_n_guests(&rig.room), 0);
    rig_close(&rig);
}

static void test_waiting_room_of_one_user_first_come_first_served(void **state)
{
    struct rig rig;
    struct guest *guest;
    int fds[3], away;

    (void)state;
    rig_open(&rig, 4);
    for (size_t i = 0; i < 3; i++)
        fds[i] = comes(&rig, 1000, &away);
    for (size_t i = 0; i < 3; i++) {
        guest = waiting_room_next(&rig.room);
        assert_int_equal(guest->fd, fds[i]);
        waiting_room_take(&rig.room, guest);
        close(guest->fd);
        free(guest);
    }
    assert_null(waiting_room_next(&rig.room));
    rig_close(&rig);
}

/* Who has clients already comes after who has none, however long the one has waited. */
static void test_waiting_room_next_is_who_has_the_fewest_clients(void **state)
{
    struct admission_pass passes[N_PLACES];
    struct rig rig;
    int away;

    (void)state;
    rig_open(&rig, 8);
    for (size_t i = 0; i < N_PLACES; i++)
        assert_int_equal(admission_enter(&rig.admission.desks[0], 1000, false, &passes[i]), ADMISSION_IN);
    comes(&rig, 1000, &away);
    comes(&rig, 1000, &away);
    comes(&rig, 1001, &away);
    assert_int_equal(next_uid(&rig), 1001);
    assert_int_equal(next_uid(&rig), 1000);
    assert_int_equal(next_uid(&rig), 1000);
    for (size_t i = 0; i < N_PLACES; i++)
        admission_leave(&passes[i]);
    rig_close(&rig);
}

/* The last of the crowd goes, not who has just come alone. */
static void test_waiting_room_that_is_full_turns_away_the_last_of_the_crowd(void **state)
{
    struct rig rig;
    int fds[4], away;

    (void)state;
    rig_open(&rig, 4);
    for (size_t i = 0; i < 4; i++) {
        fds[i] = comes(&rig, 1000, &away);
        assert_int_equal(away, -1);
    }
    comes(&rig, 1001, &away);
    assert_int_equal(away, fds[3]);
    assert_int_equal(waiting_room_n_guests(&rig.room), 4);
    fds[3] = comes(&rig, 1000, &away);
    assert_int_equal(away, fds[3]); /* of the crowd itself who has just come */
    rig_close(&rig);
}

static void test_waiting_room_closes_who_is_left(void **state)
{
    struct rig rig;
    int fd, away;

    (void)state;
    rig_open(&rig, 4);
    fd = comes(&rig, 1000, &away);
    assert_true(fcntl(fd, F_GETFD) >= 0);
    rig_close(&rig);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void test_waiting_room_who_hangs_up_leaves_and_who_half_closes_stays(void **state)
{
    int one[2], two[2], three[2], away;
    struct rig rig;

    (void)state;
    rig_open(&rig, 4);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, one), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, two), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, three), 0);
    comes_with(&rig, one[0], 1000, &away);
    comes_with(&rig, two[0], 1000, &away);
    comes_with(&rig, three[0], 1001, &away);
    assert_int_equal(loop_run_once(rig.loop, 0), 0);
    assert_int_equal(send(one[1], "GET", 3, 0), 3); /* whatever it has sent */
    assert_int_equal(shutdown(two[1], SHUT_WR), 0);
    close(one[1]);
    close(three[1]);
    while (loop_run_once(rig.loop, 0) > 0)
        ;
    assert_int_equal(rig.n_left, 2);
    assert_int_equal(waiting_room_n_guests(&rig.room), 1);
    assert_int_equal(waiting_room_next(&rig.room)->fd, two[0]);
    assert_int_equal(fcntl(one[0], F_GETFD), -1);
    assert_int_equal(fcntl(three[0], F_GETFD), -1);
    assert_int_equal(rig.house.n_clients, 1);
    close(two[1]);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_waiting_room_is_empty_at_first),
        cmocka_unit_test(test_waiting_room_of_one_user_first_come_first_served),
        cmocka_unit_test(test_waiting_room_next_is_who_has_the_fewest_clients),
        cmocka_unit_test(test_waiting_room_that_is_full_turns_away_the_last_of_the_crowd),
        cmocka_unit_test(test_waiting_room_closes_who_is_left),
        cmocka_unit_test(test_waiting_room_who_hangs_up_leaves_and_who_half_closes_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
