/* A number that leads elsewhere for a while: what is said there reaches nobody, and what epoll watches is the socket.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/serve/detour.h"

static void make_pair(int ends[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
}

static void test_detour_begun_speaks_to_nobody_until_its_end(void **state)
{
    struct detour detour = DETOUR_INIT;
    int ends[2];
    char byte;

    (void)state;
    make_pair(ends);
    assert_true(detour_begin(&detour, ends[0]));
    assert_int_equal(send(ends[0], "lost", 4, MSG_NOSIGNAL), 4);
    assert_int_equal(recv(ends[1], &byte, 1, 0), -1);
    assert_int_equal(recv(ends[0], &byte, 1, 0), -1);
    detour_end(&detour);
    assert_int_equal(recv(ends[1], &byte, 1, 0), -1);
    assert_int_equal(send(ends[0], "k", 1, MSG_NOSIGNAL), 1);
    assert_int_equal(recv(ends[1], &byte, 1, 0), 1);
    detour_end(&detour); /* harmless */
    assert_int_equal(send(ends[0], "k", 1, MSG_NOSIGNAL), 1);
    close(ends[0]);
    close(ends[1]);
}

static void test_detour_under_way_loses_no_event(void **state)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    struct detour detour = DETOUR_INIT;
    int ends[2], epoll = epoll_create1(EPOLL_CLOEXEC);
    char byte;

    (void)state;
    make_pair(ends);
    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event), 0);
    assert_true(detour_begin(&detour, ends[0]));
    assert_int_equal(send(ends[1], "k", 1, MSG_NOSIGNAL), 1);
    detour_end(&detour);
    assert_int_equal(epoll_wait(epoll, &event, 1, 0), 1);
    assert_int_equal(recv(ends[0], &byte, 1, 0), 1);
    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_DEL, ends[0], NULL), 0);
    close(epoll);
    close(ends[0]);
    close(ends[1]);
}

/* The peer learns of the end when the number is closed in the end, and not before. */
static void test_detour_that_has_ended_leaves_no_descriptor(void **state)
{
    struct detour detour = DETOUR_INIT;
    int ends[2];
    char byte;

    (void)state;
    make_pair(ends);
    assert_true(detour_begin(&detour, ends[0]));
    detour_end(&detour);
    close(ends[0]);
    assert_int_equal(recv(ends[1], &byte, 1, 0), 0);
    close(ends[1]);
}

static void test_detour_without_descriptors_changes_nothing(void **state)
{
    struct rlimit before, none;
    struct detour detour = DETOUR_INIT;
    int ends[2], n_spare;
    char byte;

    (void)state;
    make_pair(ends);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    for (n_spare = 0; n_spare < 3; n_spare++) {
        none = before;
        none.rlim_cur = (rlim_t)ends[1] + 1 + (rlim_t)n_spare;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        assert_false(detour_begin(&detour, ends[0]));
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_int_equal(detour.real, -1);
        assert_int_equal(send(ends[0], "k", 1, MSG_NOSIGNAL), 1);
        assert_int_equal(recv(ends[1], &byte, 1, 0), 1);
    }
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_detour_begun_speaks_to_nobody_until_its_end),
        cmocka_unit_test(test_detour_under_way_loses_no_event),
        cmocka_unit_test(test_detour_that_has_ended_leaves_no_descriptor),
        cmocka_unit_test(test_detour_without_descriptors_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
