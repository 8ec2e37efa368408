/* Handing a listener over: both sides, in one process with a thread for whoever waits, and those who mean no good. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/listen/handover.h"
#include "proxy/listen/offer.h"
#include "tests/unit/await.h"
#include "tests/unit/publish_fixture.h"
#include "tests/unit/state_walk.h"

/* An offered listener, and a successor. */
struct rig {
    struct loop *loop;
    int listener_fd;
    char address[HANDOVER_ADDRESS_BYTES];
    struct offer_host offer_host;
    struct offer *offer;
    bool shared;
    unsigned n_shared, n_taken;
    struct handover_host handover_host;
    struct handover *handover;
    unsigned n_left, n_ended, n_lost;
    /* of the thread that asks */
    pthread_t thread;
    atomic_bool asked;
    uint64_t ask_ms;
    int verdict;
    struct error error;
};

static void on_shared(struct offer_host *host, bool shared)
{
    struct rig *rig = CONTAINER_OF(host, struct rig, offer_host);

    assert_int_not_equal(rig->shared, shared);
    rig->shared = shared;
    rig->n_shared++;
}

static void on_taken(struct offer_host *host, int successor)
{
    struct rig *rig = CONTAINER_OF(host, struct rig, offer_host);

    assert_true(successor >= 0);
    close(successor);
    assert_true(rig->shared);
    rig->n_taken++;
}

static void on_done(struct handover_host *host, struct handover *handover, bool left)
{
    struct rig *rig = CONTAINER_OF(host, struct rig, handover_host);

    assert_ptr_equal(handover, rig->handover);
    rig->n_left += left;
    rig->n_ended += !left;
}

static void on_lost(struct handover_host *host, struct handover *handover)
{
    (void)handover;
    CONTAINER_OF(host, struct rig, handover_host)->n_lost++;
}

static int listen_ipv4(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 16), 0);
    return fd;
}

static int connect_ipv4(int listener_fd)
{
    struct sockaddr_in address;
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(getsockname(listener_fd, (struct sockaddr *)&address, &length), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, length), 0);
    return fd;
}

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

static void rig_offer(struct rig *rig, int listener_fd)
{
    *rig = (struct rig){.loop = loop_new(),
                        .listener_fd = listener_fd,
                        .offer_host = {on_shared, on_taken},
                        .handover_host = {on_done, on_lost},
                        .ask_ms = AWAIT_PATIENCE_MS};
    assert_int_equal(handover_address_of(listener_fd, rig->address), 0);
    assert_int_equal(offer_new(rig->loop, &rig->offer_host, "app", listener_fd, -1, &rig->offer), 0);
}

static void rig_open(struct rig *rig)
{
    rig_offer(rig, listen_ipv4());
    assert_int_equal(rig->offer->state, OFFER_OPEN);
    assert_true(rig->offer->fd >= 0);
}

static void rig_close(struct rig *rig)
{
    handover_free(rig->handover);
    offer_free(rig->offer);
    close(rig->listener_fd);
    loop_free(rig->loop);
}

static void *rig_ask_main(void *closure)
{
    struct rig *rig = closure;

    rig->verdict = handover_ask(rig->address, instant_add_ms(instant_now(), rig->ask_ms), &rig->handover, &rig->error);
    atomic_store(&rig->asked, true);
    loop_wake(rig->loop);
    return NULL;
}

/* Asks, while the loop turns. Returns the verdict. */
static int rig_ask(struct rig *rig)
{
    atomic_store(&rig->asked, false);
    rig->error = (struct error)ERROR_INIT;
    assert_int_equal(pthread_create(&rig->thread, NULL, rig_ask_main, rig), 0);
    AWAIT(rig->loop, atomic_load(&rig->asked));
    pthread_join(rig->thread, NULL);
    return rig->verdict;
}

static void rig_expect_error(const struct rig *rig, int code, const char *part)
{
    if (rig->verdict != code || rig->error.code != code || !strstr(rig->error.message, part))
        fail_msg("expected %d and '%s', got %d and '%s'", code, part, rig->verdict, rig->error.message);
}

/* ---- as it should be ---- */

static void take_over(struct rig *rig)
{
    int client, accepted;

    assert_int_equal(rig_ask(rig), HANDOVER_GOT);
    assert_int_equal(rig->offer->state, OFFER_GRANTED);
    assert_true(rig->shared);
    assert_true(fcntl(rig->handover->fds[HANDOVER_LISTENER], F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(rig->handover->fds[HANDOVER_LISTENER], F_GETFL) & O_NONBLOCK);
    assert_int_equal(handover_serve(rig->handover, rig->loop, &rig->handover_host), 0);
    AWAIT(rig->loop, rig->n_left == 1);
    assert_int_equal(rig->n_taken, 1);
    assert_int_equal(rig->offer->state, OFFER_LEFT);
    assert_int_equal(rig->offer->fd, -1);
    if (strncmp(rig->address, "tcp:", 4) != 0)
        return;
    client = connect_ipv4(rig->listener_fd);
    close(rig->listener_fd);
    rig->listener_fd = -1;
    accepted = accept(rig->handover->fds[HANDOVER_LISTENER], NULL, NULL);
    assert_true(accepted >= 0);
    close(accepted);
    close(client);
}

static void test_handover_gives_the_very_socket_and_leaves_when_it_is_served(void **state)
{
    struct rig rig;
    int n_descriptors = fixture_count_descriptors();

    (void)state;
    rig_open(&rig);
    take_over(&rig);
    rig_close(&rig);
    assert_int_equal(fixture_count_descriptors(), n_descriptors);
}

static void test_handover_knows_abstract_names_of_any_length(void **state)
{
    static const size_t lengths[] = {8, 60, 107};

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(lengths); i++) {
        struct rig rig;

        rig_offer(&rig, listen_abstract(lengths[i]));
        take_over(&rig);
        rig_close(&rig);
    }
}

static void test_handover_knows_ipv6(void **state)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct rig rig;

    (void)state;
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        skip();
    assert_int_equal(listen(fd, 16), 0);
    rig_offer(&rig, fd);
    assert_int_equal(strncmp(rig.address, "tcp:[::1]:", 10), 0);
    assert_int_equal(rig_ask(&rig), HANDOVER_GOT);
    rig_close(&rig);
}

/* Through the same private socket, which whoever serves last is said to have. */
static void test_handover_of_a_chain_of_twenty(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    for (int i = 0; i < 20; i++) {
        int fds[HANDOVER_N_DESCRIPTORS];

        assert_int_equal(rig_ask(&rig), HANDOVER_GOT);
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
    rig_close(&rig);
}

static void test_handover_nobody_offers(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    offer_free(rig.offer);
    rig.offer = NULL;
    assert_int_equal(rig_ask(&rig), HANDOVER_NOBODY);
    assert_int_equal(handover_fail(HANDOVER_NOBODY, rig.address, &rig.error), -EADDRINUSE);
    assert_non_null(strstr(rig.error.message, "does not offer it"));
    rig_close(&rig);
}

/* ---- a successor that does not come to serve ---- */

static void test_handover_successor_that_goes_changes_nothing(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    for (unsigned i = 1; i <= 3; i++) {
        assert_int_equal(rig_ask(&rig), HANDOVER_GOT);
        handover_free(rig.handover);
        rig.handover = NULL;
        AWAIT(rig.loop, rig.offer->state == OFFER_OPEN);
        assert_false(rig.shared);
        assert_int_equal(rig.n_shared, 2 * i);
    }
    take_over(&rig);
    rig_close(&rig);
}

static void test_handover_second_successor_is_told_of_the_first(void **state)
{
    struct handover *first;
    struct rig rig;

    (void)state;
    rig_open(&rig);
    assert_int_equal(rig_ask(&rig), HANDOVER_GOT);
    first = rig.handover;
    rig.handover = NULL;
    assert_int_equal(rig_ask(&rig), HANDOVER_BUSY_NOW);
    handover_free(first);
    AWAIT(rig.loop, rig.offer->state == OFFER_OPEN);
    take_over(&rig);
    rig_close(&rig);
}

/* Its patience is over: the timer is fired by hand. */
static void test_handover_successor_that_comes_late_is_told_so(void **state)
{
    struct timer *patience;
    struct rig rig;

    (void)state;
    rig_open(&rig);
    assert_int_equal(rig_ask(&rig), HANDOVER_GOT);
    patience = &rig.offer->successor->patience;
    timer_disarm(patience);
    patience->fn(patience);
    assert_int_equal(rig.offer->state, OFFER_OPEN);
    assert_int_equal(handover_serve(rig.handover, rig.loop, &rig.handover_host), 0);
    AWAIT(rig.loop, rig.n_lost == 1);
    assert_int_equal(rig.n_taken + rig.n_left + rig.n_ended, 0);
    rig_close(&rig);
}

/* It says that it serves when the other has just run out of patience, and not read that. */
static void test_handover_successor_that_meets_the_end_of_patience_is_told_so(void **state)
{
    struct timer *patience;
    struct rig rig;

    (void)state;
    rig_open(&rig);
    assert_int_equal(rig_ask(&rig), HANDOVER_GOT);
    assert_int_equal(handover_serve(rig.handover, rig.loop, &rig.handover_host), 0);
    patience = &rig.offer->successor->patience;
    timer_disarm(patience);
    patience->fn(patience);
    AWAIT(rig.loop, rig.n_lost == 1);
    assert_int_equal(rig.n_taken, 0);
    rig_close(&rig);
}

static void test_handover_successor_serves_on_when_the_other_has_ended(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    assert_int_equal(rig_ask(&rig), HANDOVER_GOT);
    offer_free(rig.offer);
    rig.offer = NULL;
    assert_int_equal(handover_serve(rig.handover, rig.loop, &rig.handover_host), 0);
    AWAIT(rig.loop, rig.n_ended == 1);
    rig_close(&rig);
}

/* Stopped while the successor already has the socket: it gets what it was promised. */
static void test_handover_goes_on_when_the_other_stops(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    assert_int_equal(rig_ask(&rig), HANDOVER_GOT);
    offer_drain(rig.offer);
    assert_true(rig.shared);
    assert_int_equal(handover_serve(rig.handover, rig.loop, &rig.handover_host), 0);
    AWAIT(rig.loop, rig.n_left == 1);
    assert_int_equal(rig.n_taken, 0);
    assert_int_equal(rig.offer->state, OFFER_DRAINING);
    rig_close(&rig);
}

static void test_handover_of_one_that_stops_is_refused_as_such(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    offer_drain(rig.offer);
    offer_drain(rig.offer);
    assert_int_equal(rig_ask(&rig), HANDOVER_DRAINS);
    assert_int_equal(rig.n_shared, 0);
    rig_close(&rig);
}

/* ---- one that does not answer, and one that answers badly ---- */

/* Asks without turning the loop: who has the private socket says nothing. */
static void test_handover_one_that_does_not_answer_is_told_apart(void **state)
{
    struct rig rig;

    (void)state;
    rig_open(&rig);
    rig.verdict = handover_ask(rig.address, instant_add_ms(instant_now(), 50), &rig.handover, &rig.error);
    rig_expect_error(&rig, -ETIMEDOUT, "if it is frozen");
    rig_close(&rig);
}

static void test_handover_one_that_is_stopped_is_told_apart(void **state)
{
    struct rig rig;
    char part[64];
    int status;
    pid_t pid;

    (void)state;
    rig_open(&rig);
    pid = fork();
    if (pid == 0) {
        (void)!handover_listen_again(rig.offer->fd);
        raise(SIGSTOP);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    rig.verdict = handover_ask(rig.address, instant_add_ms(instant_now(), 50), &rig.handover, &rig.error);
    snprintf(part, sizeof(part), "it is stopped; let it go on (kill -CONT %d)", (int)pid);
    rig_expect_error(&rig, -ETIMEDOUT, part);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    rig_close(&rig);
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

static int ask_liar(struct rig *rig, const char *answer, const int *fds)
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
    struct rig rig;

    (void)state;
    rig_open(&rig);
    offer_free(rig.offer);
    rig.offer = NULL;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        ask_liar(&rig, cases[i].answer, NULL);
        rig_expect_error(&rig, -EPROTO, cases[i].part);
    }
    assert_int_equal(ask_liar(&rig, NULL, NULL), HANDOVER_CLOSED);
    assert_int_equal(ask_liar(&rig, "porthole-takeover/1 busy", NULL), HANDOVER_BUSY_NOW);
    assert_int_equal(ask_liar(&rig, "porthole-takeover/1 draining", NULL), HANDOVER_DRAINS);
    rig_close(&rig);
}

static void test_handover_descriptors_are_checked(void **state)
{
    struct rig rig;
    int other, pipe_fds[2], private_of_other;
    char address[HANDOVER_ADDRESS_BYTES];

    (void)state;
    rig_open(&rig);
    offer_free(rig.offer);
    rig.offer = NULL;
    other = listen_ipv4();
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
            rig_expect_error(&rig, -EPROTO, "gives another socket");
        }
    }
    /* And they go with any other answer, too. */
    assert_int_equal(ask_liar(&rig, "porthole-takeover/1 busy", pipe_fds), HANDOVER_BUSY_NOW);
    ask_liar(&rig, "rubbish", pipe_fds);
    rig_expect_error(&rig, -EPROTO, "does not speak");
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    close(private_of_other);
    close(other);
    rig_close(&rig);
}

/* With room for the question, and for n of the two descriptors. */
static void test_handover_without_descriptors_left_fails_and_can_be_tried_again(void **state)
{
    struct rig rig;
    struct rlimit old, few;

    (void)state;
    rig_open(&rig);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    for (rlim_t n = 0; n < 4; n++) {
        int lowest = dup(0), r;

        close(lowest);
        few = (struct rlimit){(rlim_t)lowest + n, old.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        rig.ask_ms = 500;
        r = rig_ask(&rig);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
        assert_null(rig.handover);
        if (r != -EMFILE && r != HANDOVER_CLOSED && r != -ETIMEDOUT)
            fail_msg("%d descriptors more: %d, %s", (int)n, r, rig.error.message);
        AWAIT(rig.loop, rig.offer->state == OFFER_OPEN);
    }
    take_over(&rig);
    rig_close(&rig);
}

/* ---- those who mean no good ---- */

static void test_offer_those_who_say_nothing_or_rubbish_leave_room(void **state)
{
    int fds[8];
    struct rig rig;

    (void)state;
    rig_open(&rig);
    for (size_t i = 0; i < ARRAY_LENGTH(fds); i++) {
        fds[i] = handover_connect(rig.address);
        assert_true(fds[i] >= 0);
        if (i % 2)
            assert_true(send(fds[i], "GET / HTTP/1.1\r\n", 16, MSG_NOSIGNAL) > 0);
    }
    take_over(&rig); /* when those who say nothing have been sent away */
    for (size_t i = 0; i < ARRAY_LENGTH(fds); i++)
        close(fds[i]);
    rig_close(&rig);
}

static int connect_a_thousand_times(void *argument)
{
    struct rig *rig = argument;

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
    struct rig rig;

    (void)state;
    if (geteuid() != 0)
        skip();
    rig_open(&rig);
    assert_int_equal(fixture_as_stranger(connect_a_thousand_times, &rig), 0);
    for (int i = 0; i < 20; i++)
        assert_true(loop_run_once(rig.loop, 10) >= 0);
    for (size_t i = 0; i < OFFER_MOST_GUESTS; i++)
        assert_int_equal(rig.offer->guests[i].fd, -1);
    take_over(&rig);
    rig_close(&rig);
}

static int ask_as_stranger(void *argument)
{
    struct rig *rig = argument;
    struct error error = ERROR_INIT;
    int r = handover_ask(rig->address, instant_add_ms(instant_now(), 1000), &rig->handover, &error);

    return r == -EPERM && strstr(error.message, " of uid 0 has the private socket") ? 0 : 1;
}

static void test_handover_of_another_user_is_refused(void **state)
{
    struct rig rig;

    (void)state;
    if (geteuid() != 0)
        skip();
    rig_open(&rig);
    assert_int_equal(fixture_as_stranger(ask_as_stranger, &rig), 0);
    rig_close(&rig);
}

static void test_offer_whose_name_is_taken_waits_for_it(void **state)
{
    char address[HANDOVER_ADDRESS_BYTES];
    int listener_fd = listen_ipv4(), squatter;
    struct rig rig;

    (void)state;
    assert_int_equal(handover_address_of(listener_fd, address), 0);
    squatter = handover_listen(address);
    assert_true(squatter >= 0);
    rig_offer(&rig, listener_fd);
    assert_int_equal(rig.offer->fd, -1);
    assert_true(rig.offer->name_is_taken);
    close(squatter);
    timer_disarm(&rig.offer->again);
    rig.offer->again.fn(&rig.offer->again);
    assert_true(rig.offer->fd >= 0);
    take_over(&rig);
    rig_close(&rig);
}

static void test_offer_listener_with_a_path_is_none(void **state)
{
    struct fixture *fixture;
    struct listener *listener;
    struct rig rig = {.loop = loop_new()};

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
