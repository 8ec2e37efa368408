/* Handing a listener over: who does not answer, who answers badly, and those who mean no good. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/handover_rig.h"
#include "tests/unit/publish_fixture.h"
#include "tests/unit/state_walk.h"

/* ---- one that does not answer, and one that answers badly ---- */

/* Asks without turning the loop: who has the private socket says nothing. */
static void test_handover_one_that_does_not_answer_is_told_apart(void **state)
{
    struct offered rig;

    (void)state;
    offered_open(&rig);
    rig.verdict = handover_ask(rig.address, instant_add_ms(instant_now(), 50), &rig.handover, &rig.error);
    offered_expect_error(&rig, -ETIMEDOUT, "if it is frozen");
    offered_end(&rig);
}

static void test_handover_one_that_is_stopped_is_told_apart(void **state)
{
    struct offered rig;
    char part[64];
    int status;
    pid_t pid;

    (void)state;
    offered_open(&rig);
    pid = fork();
    if (pid == 0) {
        (void)!handover_listen_again(rig.offer->fd);
        raise(SIGSTOP);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    rig.verdict = handover_ask(rig.address, instant_add_ms(instant_now(), 50), &rig.handover, &rig.error);
    snprintf(part, sizeof(part), "it is stopped; let it go on (kill -CONT %d)", (int)pid);
    offered_expect_error(&rig, -ETIMEDOUT, part);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    offered_end(&rig);
}

/* The private socket of a listener of our own, in hands that answer with these bytes and descriptors. */
struct liar {
    int fd;
    const char *answer; /* NULL: none, it closes */
    const int *fds;     /* NULL: none; else two */
    pthread_t thread;
};

static void *liar_main(void *closure)
{
    struct liar *liar = closure;
    char control[CMSG_SPACE(2 * sizeof(int))] = "", question[HANDOVER_MESSAGE_BYTES];
    struct iovec piece = {(char *)liar->answer, liar->answer ? strlen(liar->answer) : 0};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    struct cmsghdr head = {.cmsg_len = CMSG_LEN(2 * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    int fd = accept(liar->fd, NULL, NULL);

    assert_true(recv(fd, question, sizeof(question), 0) > 0);
    if (liar->fds) {
        memcpy(control, &head, sizeof(head));
        memcpy(control + CMSG_LEN(0), liar->fds, 2 * sizeof(int));
        message.msg_control = control;
        message.msg_controllen = sizeof(control);
    }
    if (liar->answer)
        assert_true(sendmsg(fd, &message, 0) > 0);
    close(fd);
    return NULL;
}

static int ask_liar(struct offered *rig, const char *answer, const int *fds)
{
    struct liar liar = {.answer = answer, .fds = fds};
    int n_descriptors = fixture_count_descriptors();

    liar.fd = handover_listen(rig->address);
    assert_true(liar.fd >= 0);
    assert_int_equal(fcntl(liar.fd, F_SETFL, 0), 0);
    assert_int_equal(pthread_create(&liar.thread, NULL, liar_main, &liar), 0);
    rig->error = (struct error)ERROR_INIT;
    rig->verdict =
        handover_ask(rig->address, instant_add_ms(instant_now(), AWAIT_PATIENCE_MS), &rig->handover, &rig->error);
    pthread_join(liar.thread, NULL);
    close(liar.fd);
    assert_int_equal(fixture_count_descriptors(), n_descriptors);
    return rig->verdict;
}

static void test_handover_answers_are_checked(void **state)
{
    static const struct {
        const char *answer, *part;
    } cases[] = {
        {"rubbish", "does not speak as a porthole does"},
        {"porthole-takeover/2 here", "another version"},
        {"porthole-takeover/1 here", "says what it may not say"}, /* without descriptors */
        {"porthole-takeover/1 left", "says what it may not say"},
        {"porthole-takeover/1 take tcp:127.0.0.1:1", "says what it may not say"},
    };
    struct offered rig;

    (void)state;
    offered_open(&rig);
    offer_free(rig.offer);
    rig.offer = NULL;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        ask_liar(&rig, cases[i].answer, NULL);
        offered_expect_error(&rig, -EPROTO, cases[i].part);
    }
    assert_int_equal(ask_liar(&rig, NULL, NULL), HANDOVER_CLOSED);
    assert_int_equal(ask_liar(&rig, "porthole-takeover/1 busy", NULL), HANDOVER_BUSY_NOW);
    assert_int_equal(ask_liar(&rig, "porthole-takeover/1 draining", NULL), HANDOVER_DRAINS);
    offered_end(&rig);
}

static void test_handover_descriptors_are_checked(void **state)
{
    struct offered rig;
    int other, pipe_fds[2], private_of_other;
    char address[HANDOVER_ADDRESS_BYTES];

    (void)state;
    offered_open(&rig);
    offer_free(rig.offer);
    rig.offer = NULL;
    other = offered_listen();
    assert_int_equal(handover_address_of(other, address), 0);
    private_of_other = handover_listen(address);
    assert_int_equal(pipe(pipe_fds), 0);
    {
        const int pairs[][HANDOVER_N_DESCRIPTORS] = {
            {other, private_of_other},           /* of another listener */
            {rig.listener_fd, private_of_other}, /* half of it */
            {rig.listener_fd, rig.listener_fd},
            {pipe_fds[0], pipe_fds[1]},
        };

        for (size_t i = 0; i < ARRAY_LENGTH(pairs); i++) {
            ask_liar(&rig, "porthole-takeover/1 here", pairs[i]);
            offered_expect_error(&rig, -EPROTO, "gives another socket");
        }
    }
    /* And they go with any other answer, too. */
    assert_int_equal(ask_liar(&rig, "porthole-takeover/1 busy", pipe_fds), HANDOVER_BUSY_NOW);
    ask_liar(&rig, "rubbish", pipe_fds);
    offered_expect_error(&rig, -EPROTO, "does not speak");
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    close(private_of_other);
    close(other);
    offered_end(&rig);
}

/* With room for the question, and for n of the two descriptors. */
static void test_handover_without_descriptors_left_fails_and_can_be_tried_again(void **state)
{
    struct offered rig;
    struct rlimit old, few;

    (void)state;
    offered_open(&rig);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    for (rlim_t n = 0; n < 4; n++) {
        int lowest = dup(0), r;

        close(lowest);
        few = (struct rlimit){(rlim_t)lowest + n, old.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        rig.ask_ms = 500;
        r = offered_ask(&rig);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
        assert_null(rig.handover);
        if (r != -EMFILE && r != HANDOVER_CLOSED && r != -ETIMEDOUT)
            fail_msg("%d descriptors more: %d, %s", (int)n, r, rig.error.message);
        AWAIT(rig.loop, rig.offer->state == OFFER_OPEN);
    }
    rig.ask_ms = AWAIT_PATIENCE_MS;
    offered_take_over(&rig);
    offered_end(&rig);
}

/* ---- those who mean no good ---- */

static void test_offer_those_who_say_nothing_or_rubbish_leave_room(void **state)
{
    int fds[8];
    struct offered rig;

    (void)state;
    offered_open(&rig);
    for (size_t i = 0; i < ARRAY_LENGTH(fds); i++) {
        fds[i] = handover_connect(rig.address);
        assert_true(fds[i] >= 0);
        if (i % 2)
            assert_true(send(fds[i], "GET / HTTP/1.1\r\n", 16, MSG_NOSIGNAL) > 0);
    }
    offered_take_over(&rig); /* when those who say nothing have been sent away */
    for (size_t i = 0; i < ARRAY_LENGTH(fds); i++)
        close(fds[i]);
    offered_end(&rig);
}

static int connect_a_thousand_times(void *argument)
{
    struct offered *rig = argument;

    for (int i = 0; i < 1000; i++) {
        int fd = handover_connect(rig->address);

        if (fd < 0 && fd != -EAGAIN)
            return 1;
        if (fd >= 0)
            close(fd);
    }
    return 0;
}

static void test_offer_strangers_get_nothing(void **state)
{
    struct offered rig;

    (void)state;
    if (geteuid() != 0)
        skip();
    offered_open(&rig);
    assert_int_equal(fixture_as_stranger(connect_a_thousand_times, &rig), 0);
    for (int i = 0; i < 20; i++)
        assert_true(loop_run_once(rig.loop, 10) >= 0);
    for (size_t i = 0; i < OFFER_MOST_GUESTS; i++)
        assert_int_equal(rig.offer->guests[i].fd, -1);
    offered_take_over(&rig);
    offered_end(&rig);
}

static int ask_as_stranger(void *argument)
{
    struct offered *rig = argument;
    struct error error = ERROR_INIT;
    int r = handover_ask(rig->address, instant_add_ms(instant_now(), 1000), &rig->handover, &error);

    return r == -EPERM && strstr(error.message, " of uid 0 has the private socket") ? 0 : 1;
}

static void test_handover_of_another_user_is_refused(void **state)
{
    struct offered rig;

    (void)state;
    if (geteuid() != 0)
        skip();
    offered_open(&rig);
    assert_int_equal(fixture_as_stranger(ask_as_stranger, &rig), 0);
    offered_end(&rig);
}

static void test_offer_whose_name_is_taken_waits_for_it(void **state)
{
    char address[HANDOVER_ADDRESS_BYTES];
    int listener_fd = offered_listen(), squatter;
    struct offered rig;

    (void)state;
    assert_int_equal(handover_address_of(listener_fd, address), 0);
    squatter = handover_listen(address);
    assert_true(squatter >= 0);
    offered_begin(&rig, listener_fd);
    assert_int_equal(rig.offer->fd, -1);
    assert_true(rig.offer->name_is_taken);
    close(squatter);
    timer_disarm(&rig.offer->again);
    rig.offer->again.fn(&rig.offer->again);
    assert_true(rig.offer->fd >= 0);
    offered_take_over(&rig);
    offered_end(&rig);
}

static void test_offer_listener_with_a_path_is_none(void **state)
{
    struct fixture *fixture;
    struct listener *listener;
    struct offered rig = {.loop = loop_new()};

    assert_int_equal(fixture_setup(state), 0);
    fixture = *state;
    listener = fixture_publish(&fixture->config, false);
    assert_int_equal(offer_new(rig.loop, &rig.offer_host, "app", listener->fd, -1, &rig.offer), -EAFNOSUPPORT);
    listener_free(listener);
    loop_free(rig.loop);
    fixture_teardown(state);
}

static unsigned walk(unsigned from, unsigned to)
{
    struct offer offer = {.state = (enum offer_state)from};

    offer_move(&offer, (enum offer_state)to);
    return offer.state;
}

static void test_offer_makes_every_move_of_its_table_and_no_other(void **state)
{
    (void)state;
    state_walk(&offer_machine, walk,
               "OPEN: GRANTED DRAINING\n"
               "GRANTED: OPEN DRAINING LEFT\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_handover_one_that_does_not_answer_is_told_apart),
        cmocka_unit_test(test_handover_one_that_is_stopped_is_told_apart),
        cmocka_unit_test(test_handover_answers_are_checked),
        cmocka_unit_test(test_handover_descriptors_are_checked),
        cmocka_unit_test(test_handover_without_descriptors_left_fails_and_can_be_tried_again),
        cmocka_unit_test(test_offer_those_who_say_nothing_or_rubbish_leave_room),
        cmocka_unit_test(test_offer_strangers_get_nothing),
        cmocka_unit_test(test_handover_of_another_user_is_refused),
        cmocka_unit_test(test_offer_whose_name_is_taken_waits_for_it),
        cmocka_unit_test(test_offer_listener_with_a_path_is_none),
        cmocka_unit_test(test_offer_makes_every_move_of_its_table_and_no_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
