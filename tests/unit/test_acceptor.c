/* Acceptors: who is taken, who waits in the backlog, and what happens to a backlog that is left. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/listen/acceptor.h"
#include "tests/unit/acceptor_rig.h"
#include "tests/unit/state_walk.h"

/* A kernel that watches no more descriptors (max_user_watches). This definition wins over the C library's. */
static bool kernel_refuses_to_watch;

int epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event)
{
    if (kernel_refuses_to_watch && operation == EPOLL_CTL_ADD) {
        errno = ENOSPC;
        return -1;
    }
    return (int)syscall(SYS_epoll_ctl, epoll_fd, operation, fd, event);
}

static void test_acceptor_takes_who_comes(void **state)
{
    struct acceptor_rig rig;
    int fds[3];

    (void)state;
    acceptor_rig_open(&rig, 16);
    for (size_t i = 0; i < 3; i++)
        fds[i] = acceptor_rig_connect(&rig);
    acceptor_rig_expect(&rig, 3, ACCEPTOR_OPEN);
    assert_int_equal(counter_read(&rig.metrics.connections), 3);
    for (size_t i = 0; i < 3; i++)
        close(fds[i]);
    acceptor_rig_close(&rig);
}

static void test_acceptor_full_waits_until_a_pass_is_given_back(void **state)
{
    struct acceptor_rig rig;
    int fds[4];

    (void)state;
    acceptor_rig_open(&rig, 2);
    for (size_t i = 0; i < 4; i++)
        fds[i] = acceptor_rig_connect(&rig);
    acceptor_rig_expect(&rig, 2, ACCEPTOR_OPEN);
    acceptor_rig_expect_waiting(&rig, 2);
    acceptor_rig_let_go(&rig, 0);
    acceptor_rig_expect(&rig, 3, ACCEPTOR_OPEN);
    acceptor_rig_let_go(&rig, 1);
    acceptor_rig_turn(&rig);
    assert_int_equal(rig.n_served, 4);
    acceptor_rig_expect_waiting(&rig, 0);
    for (size_t i = 0; i < 4; i++)
        close(fds[i]);
    acceptor_rig_close(&rig);
}

static void test_acceptor_nothing_is_told(struct admission_desk *desk)
{
    (void)desk;
}

/* A place is free, who waits for it has not heard yet, and somebody comes. */
static void test_acceptor_who_waits_is_served_before_who_comes(void **state)
{
    struct acceptor_rig rig;
    int fds[3];
    char byte;

    (void)state;
    acceptor_rig_open(&rig, 1);
    for (size_t i = 0; i < 2; i++)
        fds[i] = acceptor_rig_connect(&rig);
    acceptor_rig_expect(&rig, 1, ACCEPTOR_OPEN);
    acceptor_rig_expect_waiting(&rig, 1);
    rig.admission.desks[0].told = test_acceptor_nothing_is_told;
    acceptor_rig_let_go(&rig, 0);
    fds[2] = acceptor_rig_connect(&rig);
    assert_int_equal(send(fds[1], "1", 1, 0), 1);
    assert_int_equal(send(fds[2], "2", 1, 0), 1);
    acceptor_rig_expect(&rig, 2, ACCEPTOR_OPEN);
    acceptor_rig_expect_waiting(&rig, 1);
    assert_int_equal(recv(rig.served[1], &byte, 1, MSG_DONTWAIT), 1);
    assert_int_equal(byte, '1');
    for (size_t i = 0; i < 3; i++)
        close(fds[i]);
    acceptor_rig_close(&rig);
}

/* The same for who waits since its user has as many as it may: idle ones of other workers are asked. */
static void test_acceptor_who_asks_for_a_place_is_served_before_who_comes(void **state)
{
    struct acceptor_rig rig;
    int fds[2], asking[2];
    char byte;

    (void)state;
    acceptor_rig_open(&rig, 16);
    rig.listener.limit_connections_per_uid = 1;
    admission_limit(&rig.admission, &rig.listener);
    fds[0] = acceptor_rig_connect(&rig);
    acceptor_rig_expect(&rig, 1, ACCEPTOR_OPEN);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, asking), 0);
    rig.acceptor.petitioner.fd = asking[0];
    rig.acceptor.petitioner.peer.uid = geteuid();
    rig.admission.desks[0].told = test_acceptor_nothing_is_told;
    acceptor_rig_let_go(&rig, 0);
    fds[1] = acceptor_rig_connect(&rig);
    assert_int_equal(send(asking[1], "1", 1, 0), 1);
    acceptor_rig_expect(&rig, 2, ACCEPTOR_OPEN);
    assert_int_equal(recv(rig.served[1], &byte, 1, MSG_DONTWAIT), 1);
    assert_int_equal(byte, '1');
    assert_int_equal(recv(fds[1], &byte, 1, MSG_DONTWAIT), 0);
    for (size_t i = 0; i < 2; i++)
        close(fds[i]);
    close(asking[1]);
    acceptor_rig_close(&rig);
}

/* As many as the backlog holds wait; the next is closed, for all are one user's. */
static void test_acceptor_full_turns_away_who_is_too_many_to_wait(void **state)
{
    int fds[BACKLOG + 3];
    struct acceptor_rig rig;
    char byte;

    (void)state;
    acceptor_rig_open(&rig, 1);
    for (size_t i = 0; i < ARRAY_LENGTH(fds); i++) {
        fds[i] = acceptor_rig_connect(&rig);
        acceptor_rig_turn(&rig);
    }
    acceptor_rig_expect(&rig, 1, ACCEPTOR_OPEN);
    acceptor_rig_expect_waiting(&rig, BACKLOG);
    for (size_t i = 0; i < ARRAY_LENGTH(fds); i++) {
        assert_int_equal(recv(fds[i], &byte, 1, MSG_DONTWAIT), i <= BACKLOG ? -1 : 0);
        close(fds[i]);
    }
    acceptor_rig_close(&rig);
}

/* Rules that came while somebody waited hold when its turn comes. */
static void test_acceptor_who_waits_is_judged_by_the_newest_rules(void **state)
{
    struct peer_rule somebody_else = {.has_uid = true, .uid = geteuid() + 1};
    struct listener_config closed;
    struct acceptor_rig rig;
    int fds[3];

    (void)state;
    acceptor_rig_open(&rig, 1);
    for (size_t i = 0; i < 3; i++)
        fds[i] = acceptor_rig_connect(&rig);
    acceptor_rig_expect(&rig, 1, ACCEPTOR_OPEN);
    acceptor_rig_expect_waiting(&rig, 2);
    closed = rig.listener;
    closed.peers = &somebody_else;
    closed.n_peers = 1;
    acceptor_configure(&rig.acceptor, &closed);
    acceptor_rig_let_go(&rig, 0);
    acceptor_rig_expect(&rig, 1, ACCEPTOR_OPEN);
    acceptor_rig_expect_waiting(&rig, 0);
    assert_int_equal(rig.admission.n_clients, 0);
    assert_int_equal(counter_read(&rig.metrics.peers_refused), 2);
    for (size_t i = 0; i < 3; i++)
        close(fds[i]);
    acceptor_rig_close(&rig);
}

/* Without descriptors for clients nobody is accepted beyond the one who finds that out. */
static void test_acceptor_without_descriptors_leaves_who_comes_in_the_backlog(void **state)
{
    struct acceptor_rig rig;
    int fds[5];

    (void)state;
    acceptor_rig_open(&rig, 16);
    rig.house.most_clients = 2;
    for (size_t i = 0; i < 5; i++)
        fds[i] = acceptor_rig_connect(&rig);
    acceptor_rig_expect(&rig, 2, ACCEPTOR_WAITING);
    acceptor_rig_expect_waiting(&rig, 1);
    for (size_t i = 0; i < 3; i++) {
        acceptor_rig_let_go(&rig, i);
        for (int n = 0; n < PATIENCE_ROUNDS && rig.n_served < i + 3; n++)
            assert_true(loop_run_once(rig.host.loop, 100) >= 0);
        assert_int_equal(rig.n_served, i + 3);
    }
    for (size_t i = 0; i < 5; i++)
        close(fds[i]);
    acceptor_rig_close(&rig);
}

/* The one who found out that there are no descriptors hangs up: the next one in the backlog waits in its place. */
static void test_acceptor_without_descriptors_forgets_who_hangs_up(void **state)
{
    struct acceptor_rig rig;
    int fds[4];

    (void)state;
    acceptor_rig_open(&rig, 16);
    rig.house.most_clients = 2;
    for (size_t i = 0; i < 3; i++) {
        fds[i] = acceptor_rig_connect(&rig);
        acceptor_rig_turn(&rig);
    }
    acceptor_rig_expect(&rig, 2, ACCEPTOR_WAITING);
    acceptor_rig_expect_waiting(&rig, 1);
    close(fds[2]);
    acceptor_rig_turn(&rig);
    acceptor_rig_expect_waiting(&rig, 0);
    fds[2] = acceptor_rig_connect(&rig);
    fds[3] = acceptor_rig_connect(&rig);
    acceptor_rig_turn(&rig);
    acceptor_rig_expect_waiting(&rig, 1);
    acceptor_rig_let_go(&rig, 0);
    for (int n = 0; n < PATIENCE_ROUNDS && rig.n_served < 3; n++)
        assert_true(loop_run_once(rig.host.loop, 100) >= 0);
    assert_int_equal(rig.n_served, 3);
    for (size_t i = 0; i < 4; i++)
        close(fds[i]);
    acceptor_rig_close(&rig);
}

/* A room that is full of those who are gone turns nobody away. */
static void test_acceptor_full_keeps_no_place_to_wait_for_who_has_hung_up(void **state)
{
    int fds[BACKLOG + 1], late;
    struct acceptor_rig rig;
    char byte;

    (void)state;
    acceptor_rig_open(&rig, 1);
    for (size_t i = 0; i < ARRAY_LENGTH(fds); i++) {
        fds[i] = acceptor_rig_connect(&rig);
        acceptor_rig_turn(&rig);
    }
    acceptor_rig_expect_waiting(&rig, BACKLOG);
    for (size_t i = 1; i < ARRAY_LENGTH(fds); i++)
        close(fds[i]);
    late = acceptor_rig_connect(&rig);
    acceptor_rig_turn(&rig);
    acceptor_rig_expect_waiting(&rig, 1);
    assert_int_equal(recv(late, &byte, 1, MSG_DONTWAIT), -1);
    acceptor_rig_let_go(&rig, 0);
    acceptor_rig_expect(&rig, 2, ACCEPTOR_OPEN);
    close(late);
    close(fds[0]);
    acceptor_rig_close(&rig);
}

/* An idle client makes room for who may come in, and for nobody else. */
static void test_acceptor_refused_peer_costs_no_idle_client_its_place(void **state)
{
    struct peer_rule rule = {.has_uid = true, .uid = geteuid() + 1};
    struct acceptor_rig rig;
    int fds[3];

    (void)state;
    acceptor_rig_open(&rig, 1);
    rig.host.let_go = acceptor_rig_let_go_idle;
    fds[0] = acceptor_rig_connect(&rig);
    acceptor_rig_expect(&rig, 1, ACCEPTOR_OPEN);
    admission_idle(&rig.passes[0], (struct instant){1});
    rig.listener.peers = &rule;
    rig.listener.n_peers = 1;
    fds[1] = acceptor_rig_connect(&rig);
    acceptor_rig_expect(&rig, 1, ACCEPTOR_OPEN);
    assert_int_equal(rig.n_let_go, 0);
    assert_true(rig.passes[0].idle);
    rule.uid = geteuid();
    fds[2] = acceptor_rig_connect(&rig);
    acceptor_rig_expect(&rig, 2, ACCEPTOR_OPEN);
    assert_int_equal(rig.n_let_go, 1);
    assert_true(rig.passes[0].yielded);
    for (size_t i = 0; i < 3; i++)
        close(fds[i]);
    acceptor_rig_close(&rig);
}

/* Those who may not come in stand in nobody's way: many of them are taken in one turn. */
static void test_acceptor_refuses_many_in_a_turn(void **state)
{
    struct peer_rule nobody = {.has_uid = true, .uid = 4711};
    int fds[BACKLOG + 1];
    struct acceptor_rig rig;

    (void)state;
    acceptor_rig_open(&rig, 1);
    rig.listener.peers = &nobody;
    rig.listener.n_peers = 1;
    for (size_t i = 0; i < ARRAY_LENGTH(fds); i++)
        fds[i] = acceptor_rig_connect(&rig);
    assert_true(loop_run_once(rig.host.loop, 0) > 0);
    assert_int_equal(counter_read(&rig.metrics.peers_refused), ARRAY_LENGTH(fds));
    for (size_t i = 0; i < ARRAY_LENGTH(fds); i++)
        close(fds[i]);
    acceptor_rig_close(&rig);
}

static void test_acceptor_that_cannot_be_watched_tries_again(void **state)
{
    struct acceptor_rig rig;
    int fds[2];

    (void)state;
    acceptor_rig_open(&rig, 1);
    fds[0] = acceptor_rig_connect(&rig);
    acceptor_rig_expect(&rig, 1, ACCEPTOR_OPEN);
    kernel_refuses_to_watch = true;
    acceptor_change(&rig.acceptor, acceptor_rig_listen(&rig));
    fds[1] = acceptor_rig_connect(&rig);
    acceptor_rig_let_go(&rig, 0);
    acceptor_rig_expect(&rig, 1, ACCEPTOR_WAITING);
    kernel_refuses_to_watch = false;
    for (int i = 0; i < PATIENCE_ROUNDS && rig.n_served < 2; i++)
        assert_true(loop_run_once(rig.host.loop, 100) >= 0);
    assert_int_equal(rig.n_served, 2);
    close(fds[0]);
    close(fds[1]);
    acceptor_rig_close(&rig);
}

static void test_acceptor_emptied_takes_everybody_in_the_backlog_whatever_the_limit(void **state)
{
    struct acceptor_rig rig;
    int fds[4];

    (void)state;
    acceptor_rig_open(&rig, 1);
    for (size_t i = 0; i < 4; i++)
        fds[i] = acceptor_rig_connect(&rig);
    acceptor_rig_expect(&rig, 1, ACCEPTOR_OPEN);
    acceptor_rig_expect_waiting(&rig, 3);
    acceptor_empty(&rig.acceptor, false);
    acceptor_rig_expect(&rig, 4, ACCEPTOR_CLOSED);
    assert_int_equal(rig.acceptor.fd, -1);
    acceptor_empty(&rig.acceptor, false);
    acceptor_look(&rig.acceptor);
    acceptor_rig_expect(&rig, 4, ACCEPTOR_CLOSED);
    for (size_t i = 0; i < 4; i++)
        close(fds[i]);
    acceptor_rig_close(&rig);
}

/* A socket that somebody else has, too, works on for them. */
static void test_acceptor_emptied_leaves_a_shared_socket_as_it_is(void **state)
{
    struct acceptor_rig rig;
    int fds[2], kept, taken;

    (void)state;
    acceptor_rig_open(&rig, 16);
    kept = dup(rig.acceptor.fd);
    assert_true(kept >= 0);
    fds[0] = acceptor_rig_connect(&rig);
    acceptor_empty(&rig.acceptor, true);
    acceptor_rig_expect(&rig, 1, ACCEPTOR_CLOSED);
    fds[1] = acceptor_rig_connect(&rig);
    taken = accept(kept, NULL, NULL);
    assert_true(taken >= 0);
    close(taken);
    close(kept);
    close(fds[0]);
    close(fds[1]);
    acceptor_rig_close(&rig);
}

/* Another process, which waits at the socket that it shares with us. */
struct sharer {
    int epoll_fd;
    int n_events;
    pthread_t thread;
};

static void *sharer_main(void *closure)
{
    struct sharer *sharer = closure;
    struct epoll_event event;

    sharer->n_events = epoll_wait(sharer->epoll_fd, &event, 1, 10000);
    return NULL;
}

/* The kernel wakes one of those who share the socket, who may end before it accepts. */
static void test_acceptor_watches_again_when_another_was_woken_and_has_gone(void **state)
{
    struct sharer sharer = {.epoll_fd = epoll_create1(EPOLL_CLOEXEC)};
    struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE};
    struct acceptor_rig rig;
    int fd;

    (void)state;
    acceptor_rig_open(&rig, 16);
    assert_int_equal(epoll_ctl(sharer.epoll_fd, EPOLL_CTL_ADD, rig.acceptor.fd, &event), 0);
    acceptor_watch_again(&rig.acceptor); /* behind the other one */
    assert_int_equal(pthread_create(&sharer.thread, NULL, sharer_main, &sharer), 0);
    usleep(100000);
    fd = acceptor_rig_connect(&rig);
    pthread_join(sharer.thread, NULL);
    assert_int_equal(sharer.n_events, 1);
    close(sharer.epoll_fd);
    acceptor_watch_again(&rig.acceptor);
    acceptor_rig_expect(&rig, 1, ACCEPTOR_OPEN);
    acceptor_empty(&rig.acceptor, true);
    acceptor_watch_again(&rig.acceptor);
    acceptor_rig_expect(&rig, 1, ACCEPTOR_CLOSED);
    close(fd);
    acceptor_rig_close(&rig);
}

static void test_acceptor_changed_serves_the_old_backlog_and_then_the_new_socket(void **state)
{
    struct acceptor_rig rig;
    int fds[2];

    (void)state;
    acceptor_rig_open(&rig, 16);
    fds[0] = acceptor_rig_connect(&rig);
    acceptor_change(&rig.acceptor, acceptor_rig_listen(&rig));
    assert_int_equal(rig.n_served, 1);
    fds[1] = acceptor_rig_connect(&rig);
    acceptor_rig_expect(&rig, 2, ACCEPTOR_OPEN);
    close(fds[0]);
    close(fds[1]);
    acceptor_rig_close(&rig);
}

static void test_acceptor_peer_that_is_not_allowed_is_closed_and_not_counted(void **state)
{
    struct peer_rule nobody = {.has_uid = true, .uid = 4711};
    struct acceptor_rig rig;
    char byte;
    int fd;

    (void)state;
    acceptor_rig_open(&rig, 16);
    rig.listener.peers = &nobody;
    rig.listener.n_peers = 1;
    fd = acceptor_rig_connect(&rig);
    acceptor_rig_expect(&rig, 0, ACCEPTOR_OPEN);
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    assert_int_equal(rig.admission.n_clients, 0);
    assert_int_equal(counter_read(&rig.metrics.peers_refused), 1);
    close(fd);
    acceptor_rig_close(&rig);
}

/* ---- the table ---- */

static unsigned walk(unsigned from, unsigned to)
{
    struct acceptor acceptor = {.state = (enum acceptor_state)from};

    acceptor_move(&acceptor, (enum acceptor_state)to);
    return acceptor.state;
}

static void test_acceptor_makes_every_move_of_its_table_and_no_other(void **state)
{
    (void)state;
    state_walk(&acceptor_machine, walk,
               "CLOSED: OPEN\n"
               "OPEN: WAITING EMPTYING\n"
               "WAITING: OPEN EMPTYING\n"
               "EMPTYING: CLOSED\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_acceptor_takes_who_comes),
        cmocka_unit_test(test_acceptor_full_waits_until_a_pass_is_given_back),
        cmocka_unit_test(test_acceptor_who_waits_is_served_before_who_comes),
        cmocka_unit_test(test_acceptor_who_asks_for_a_place_is_served_before_who_comes),
        cmocka_unit_test(test_acceptor_full_turns_away_who_is_too_many_to_wait),
        cmocka_unit_test(test_acceptor_who_waits_is_judged_by_the_newest_rules),
        cmocka_unit_test(test_acceptor_without_descriptors_leaves_who_comes_in_the_backlog),
        cmocka_unit_test(test_acceptor_without_descriptors_forgets_who_hangs_up),
        cmocka_unit_test(test_acceptor_full_keeps_no_place_to_wait_for_who_has_hung_up),
        cmocka_unit_test(test_acceptor_refused_peer_costs_no_idle_client_its_place),
        cmocka_unit_test(test_acceptor_refuses_many_in_a_turn),
        cmocka_unit_test(test_acceptor_that_cannot_be_watched_tries_again),
        cmocka_unit_test(test_acceptor_emptied_takes_everybody_in_the_backlog_whatever_the_limit),
        cmocka_unit_test(test_acceptor_emptied_leaves_a_shared_socket_as_it_is),
        cmocka_unit_test(test_acceptor_watches_again_when_another_was_woken_and_has_gone),
        cmocka_unit_test(test_acceptor_changed_serves_the_old_backlog_and_then_the_new_socket),
        cmocka_unit_test(test_acceptor_peer_that_is_not_allowed_is_closed_and_not_counted),
        cmocka_unit_test(test_acceptor_makes_every_move_of_its_table_and_no_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
