/* Handing a listener over: both sides as they should be, and successors that do not come to serve. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/handover_rig.h"
#include "tests/unit/publish_fixture.h"

/* Abstract, of `length` bytes. */
static int listen_abstract(size_t length)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    char name[128];

    snprintf(name, sizeof(name), "%0*d", (int)length, getpid());
    memcpy(address.sun_path + 1, name, length);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, (socklen_t)(sizeof(sa_family_t) + 1 + length)), 0);
    assert_int_equal(listen(fd, 16), 0);
    return fd;
}

/* ---- as it should be ---- */

static void test_handover_gives_the_very_socket_and_leaves_when_it_is_served(void **state)
{
    struct offered rig;
    int n_descriptors = fixture_count_descriptors();

    (void)state;
    offered_open(&rig);
    offered_take_over(&rig);
    offered_end(&rig);
    assert_int_equal(fixture_count_descriptors(), n_descriptors);
}

static void test_handover_knows_abstract_names_of_any_length(void **state)
{
    static const size_t lengths[] = {8, 60, 107};

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(lengths); i++) {
        struct offered rig;

        offered_begin(&rig, listen_abstract(lengths[i]));
        offered_take_over(&rig);
        offered_end(&rig);
    }
}

static void test_handover_knows_ipv6(void **state)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct offered rig;

    (void)state;
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        skip();
    assert_int_equal(listen(fd, 16), 0);
    offered_begin(&rig, fd);
    assert_int_equal(strncmp(rig.address, "tcp:[::1]:", 10), 0);
    assert_int_equal(offered_ask(&rig), HANDOVER_GOT);
    offered_end(&rig);
}

/* Through the same private socket, which whoever serves last is said to have. */
static void test_handover_of_a_chain_of_twenty(void **state)
{
    struct offered rig;

    (void)state;
    offered_open(&rig);
    for (int i = 0; i < 20; i++) {
        int fds[HANDOVER_N_DESCRIPTORS];

        assert_int_equal(offered_ask(&rig), HANDOVER_GOT);
        assert_int_equal(handover_serve(rig.handover, rig.loop, &rig.handover_host), 0);
        AWAIT(rig.loop, rig.n_left == (unsigned)i + 1);
        memcpy(fds, rig.handover->fds, sizeof(fds));
        rig.handover->fds[HANDOVER_LISTENER] = rig.handover->fds[HANDOVER_PRIVATE] = -1;
        handover_free(rig.handover);
        rig.handover = NULL;
        offer_free(rig.offer);
        close(rig.listener_fd);
        rig.listener_fd = fds[HANDOVER_LISTENER];
        rig.shared = false;
        assert_int_equal(
            offer_new(rig.loop, &rig.offer_host, "app", rig.listener_fd, fds[HANDOVER_PRIVATE], &rig.offer), 0);
    }
    assert_int_equal(rig.n_taken, 20);
    offered_end(&rig);
}

static void test_handover_nobody_offers(void **state)
{
    struct offered rig;

    (void)state;
    offered_open(&rig);
    offer_free(rig.offer);
    rig.offer = NULL;
    assert_int_equal(offered_ask(&rig), HANDOVER_NOBODY);
    assert_int_equal(handover_fail(HANDOVER_NOBODY, rig.address, &rig.error), -EADDRINUSE);
    assert_non_null(strstr(rig.error.message, "does not offer it"));
    offered_end(&rig);
}

/* ---- a successor that does not come to serve ---- */

static void test_handover_successor_that_goes_changes_nothing(void **state)
{
    struct offered rig;

    (void)state;
    offered_open(&rig);
    for (unsigned i = 1; i <= 3; i++) {
        assert_int_equal(offered_ask(&rig), HANDOVER_GOT);
        handover_free(rig.handover);
        rig.handover = NULL;
        AWAIT(rig.loop, rig.offer->state == OFFER_OPEN);
        assert_false(rig.shared);
        assert_int_equal(rig.n_shared, 2 * i);
    }
    offered_take_over(&rig);
    offered_end(&rig);
}

static void test_handover_second_successor_is_told_of_the_first(void **state)
{
    struct handover *first;
    struct offered rig;

    (void)state;
    offered_open(&rig);
    assert_int_equal(offered_ask(&rig), HANDOVER_GOT);
    first = rig.handover;
    rig.handover = NULL;
    assert_int_equal(offered_ask(&rig), HANDOVER_BUSY_NOW);
    handover_free(first);
    AWAIT(rig.loop, rig.offer->state == OFFER_OPEN);
    offered_take_over(&rig);
    offered_end(&rig);
}

/* Its patience is over: the timer is fired by hand. */
static void test_handover_successor_that_comes_late_is_told_so(void **state)
{
    struct timer *patience;
    struct offered rig;

    (void)state;
    offered_open(&rig);
    assert_int_equal(offered_ask(&rig), HANDOVER_GOT);
    patience = &rig.offer->successor->patience;
    timer_disarm(patience);
    patience->fn(patience);
    assert_int_equal(rig.offer->state, OFFER_OPEN);
    assert_int_equal(handover_serve(rig.handover, rig.loop, &rig.handover_host), 0);
    AWAIT(rig.loop, rig.n_lost == 1);
    assert_int_equal(rig.n_taken + rig.n_left + rig.n_ended, 0);
    offered_end(&rig);
}

/* It says that it serves when the other has just run out of patience, and not read that. */
static void test_handover_successor_that_meets_the_end_of_patience_is_told_so(void **state)
{
    struct timer *patience;
    struct offered rig;

    (void)state;
    offered_open(&rig);
    assert_int_equal(offered_ask(&rig), HANDOVER_GOT);
    assert_int_equal(handover_serve(rig.handover, rig.loop, &rig.handover_host), 0);
    patience = &rig.offer->successor->patience;
    timer_disarm(patience);
    patience->fn(patience);
    AWAIT(rig.loop, rig.n_lost == 1);
    assert_int_equal(rig.n_taken, 0);
    offered_end(&rig);
}

static void test_handover_successor_serves_on_when_the_other_has_ended(void **state)
{
    struct offered rig;

    (void)state;
    offered_open(&rig);
    assert_int_equal(offered_ask(&rig), HANDOVER_GOT);
    offer_free(rig.offer);
    rig.offer = NULL;
    assert_int_equal(handover_serve(rig.handover, rig.loop, &rig.handover_host), 0);
    AWAIT(rig.loop, rig.n_ended == 1);
    offered_end(&rig);
}

/* Stopped while the successor already has the socket: it gets what it was promised. */
static void test_handover_goes_on_when_the_other_stops(void **state)
{
    struct offered rig;

    (void)state;
    offered_open(&rig);
    assert_int_equal(offered_ask(&rig), HANDOVER_GOT);
    offer_drain(rig.offer);
    assert_true(rig.shared);
    assert_int_equal(handover_serve(rig.handover, rig.loop, &rig.handover_host), 0);
    AWAIT(rig.loop, rig.n_left == 1);
    assert_int_equal(rig.n_taken, 0);
    assert_int_equal(rig.offer->state, OFFER_DRAINING);
    offered_end(&rig);
}

static void test_handover_of_one_that_stops_is_refused_as_such(void **state)
{
    struct offered rig;

    (void)state;
    offered_open(&rig);
    offer_drain(rig.offer);
    offer_drain(rig.offer);
    assert_int_equal(offered_ask(&rig), HANDOVER_DRAINS);
    assert_int_equal(rig.n_shared, 0);
    offered_end(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_handover_gives_the_very_socket_and_leaves_when_it_is_served),
        cmocka_unit_test(test_handover_knows_abstract_names_of_any_length),
        cmocka_unit_test(test_handover_knows_ipv6),
        cmocka_unit_test(test_handover_of_a_chain_of_twenty),
        cmocka_unit_test(test_handover_nobody_offers),
        cmocka_unit_test(test_handover_successor_that_goes_changes_nothing),
        cmocka_unit_test(test_handover_second_successor_is_told_of_the_first),
        cmocka_unit_test(test_handover_successor_that_comes_late_is_told_so),
        cmocka_unit_test(test_handover_successor_that_meets_the_end_of_patience_is_told_so),
        cmocka_unit_test(test_handover_successor_serves_on_when_the_other_has_ended),
        cmocka_unit_test(test_handover_goes_on_when_the_other_stops),
        cmocka_unit_test(test_handover_of_one_that_stops_is_refused_as_such),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
