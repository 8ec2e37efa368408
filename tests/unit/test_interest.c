/* What the library is told of its connections' readiness. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/serve/interest.h"
#include "proxy/serve/receipt.h"

/* A library with one connection, whose other end is ours. */
struct rig {
    struct interests all;
    struct interest_set set;
    struct interest interest;
    int ends[2];
    unsigned n_full;
    char data[16];
};

static void rig_on_full(struct interest *interest)
{
    CONTAINER_OF(interest, struct rig, interest)->n_full++;
}

static int rig_setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));

    assert_non_null(rig);
    interests_init(&rig->all);
    interest_set_init(&rig->set);
    interest_init(&rig->interest);
    interest_listen();
    assert_true(interest_set_begin(&rig->set, &rig->all, epoll_create1(EPOLL_CLOEXEC)));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, rig->ends), 0);
    interests_enter(&rig->all);
    assert_int_equal(interest_begin(&rig->interest, &rig->set, rig->ends[0], rig, rig_on_full), 0);
    interests_show(true);
    *state = rig;
    return 0;
}

static int rig_teardown(void **state)
{
    struct rig *rig = *state;

    interests_show(false);
    interest_end(&rig->interest);
    close(rig->set.fd);
    interest_set_end(&rig->set);
    interests_deinit(&rig->all);
    close(rig->ends[0]);
    close(rig->ends[1]);
    free(rig);
    return 0;
}

static void rig_write(const struct rig *rig, const char *text)
{
    assert_int_equal(write(rig->ends[1], text, strlen(text)), strlen(text));
}

static void test_interest_that_nobody_has_made_is_not_heard(void **state)
{
    struct interests all;
    struct interest_set set;

    (void)state;
    interests_init(&all);
    interest_set_init(&set);
    interest_listen();
    assert_false(interest_set_begin(&set, &all, 3));
    assert_false(interest_set_is_heard(&set));
    interest_set_end(&set);
    interests_deinit(&all);
}

static void test_interest_is_told_once_of_all_that_has_happened(void **state)
{
    struct rig *rig = *state;
    struct epoll_event events[4];

    assert_int_equal(epoll_wait(rig->set.fd, events, 4, 0), 0);
    assert_true(interest_note(&rig->interest, EPOLLIN, true));
    assert_true(interest_note(&rig->interest, EPOLLOUT | EPOLLRDHUP, true));
    assert_int_equal(epoll_wait(rig->set.fd, events, 4, 0), 1);
    assert_ptr_equal(events[0].data.ptr, rig);
    assert_int_equal(events[0].events, EPOLLIN | EPOLLOUT);
    assert_int_equal(epoll_wait(rig->set.fd, events, 4, 0), 0);
}

static void test_interest_suspended_is_not_told(void **state)
{
    struct rig *rig = *state;
    struct epoll_event events[4];

    assert_true(interest_note(&rig->interest, EPOLLIN, true));
    interest_forget(&rig->interest);
    assert_false(interest_note(&rig->interest, EPOLLIN | EPOLLHUP, false));
    assert_int_equal(epoll_wait(rig->set.fd, events, 4, 0), 0);
}

static void test_interest_is_told_within_a_share(void **state)
{
    struct rig *rig = *state;
    struct interest another;
    struct epoll_event events[4];
    int ends[2];

    interest_init(&another);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(interest_begin(&another, &rig->set, ends[0], &another, rig_on_full), 0);
    assert_true(interest_note(&rig->interest, EPOLLIN, true));
    assert_true(interest_note(&another, EPOLLIN, true));
    interests_share(&rig->all, 1);
    assert_int_equal(epoll_wait(rig->set.fd, events, 4, 0), 1);
    assert_ptr_equal(events[0].data.ptr, rig);
    assert_int_equal(epoll_wait(rig->set.fd, events, 4, 0), 0);
    assert_true(interests_wait(&rig->all));
    assert_true(interest_waits(&another));
    interests_share(&rig->all, 1);
    assert_int_equal(epoll_wait(rig->set.fd, events, 4, 0), 1);
    assert_ptr_equal(events[0].data.ptr, &another);
    assert_false(interests_wait(&rig->all));
    interest_end(&another);
    close(ends[0]);
    close(ends[1]);
}

static void test_interest_needs_no_registration(void **state)
{
    struct rig *rig = *state;
    struct epoll_event event = {.events = EPOLLIN};

    assert_int_equal(epoll_ctl(rig->set.fd, EPOLL_CTL_DEL, rig->ends[0], NULL), 0);
    assert_int_equal(epoll_ctl(rig->set.fd, EPOLL_CTL_ADD, rig->ends[0], &event), 0);
    assert_int_equal(epoll_ctl(rig->set.fd, EPOLL_CTL_ADD, rig->ends[0], &event), 0);
}

static void test_interest_of_others_is_the_kernels(void **state)
{
    struct rig *rig = *state;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = 7};
    int fd = epoll_create1(EPOLL_CLOEXEC);

    rig_write(rig, "x");
    assert_int_equal(epoll_ctl(fd, EPOLL_CTL_ADD, rig->ends[0], &event), 0);
    assert_int_equal(epoll_ctl(fd, EPOLL_CTL_ADD, rig->ends[0], &event), -1);
    event.data.fd = 0;
    assert_int_equal(epoll_wait(fd, &event, 1, 0), 1);
    assert_int_equal(event.data.fd, 7);
    close(fd);
}

/* What comes behind a short receive is seen when the loop has looked, and not before. */
static void test_interest_receives_what_the_loop_has_seen(void **state)
{
    struct rig *rig = *state;

    rig_write(rig, "first");
    assert_int_equal(recv(rig->ends[0], rig->data, sizeof(rig->data), 0), 5);
    rig_write(rig, "more");
    assert_int_equal(recv(rig->ends[0], rig->data, sizeof(rig->data), 0), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(recv(rig->ends[0], rig->data, sizeof(rig->data), MSG_PEEK), 4);
    (void)interest_note(&rig->interest, EPOLLIN, false);
    assert_int_equal(recv(rig->ends[0], rig->data, sizeof(rig->data), 0), 4);
}

static void test_interest_full_receive_may_have_more_behind_it(void **state)
{
    struct rig *rig = *state;

    rig_write(rig, "12345678");
    assert_int_equal(recv(rig->ends[0], rig->data, 4, 0), 4);
    assert_int_equal(recv(rig->ends[0], rig->data, 4, 0), 4);
    assert_int_equal(recv(rig->ends[0], rig->data, 4, 0), -1);
}

/* With many clients a receive brings a page, and the library is told that there may be more. */
static void test_interest_receives_less_when_there_are_many(void **state)
{
    static char data[2 * INTEREST_FEW_BYTES];
    struct rig *rig = *state;
    struct epoll_event event;
    size_t n_clients = INTEREST_MANY_CLIENTS;

    rig->all.n_clients = &n_clients;
    assert_int_equal(write(rig->ends[1], data, sizeof(data)), sizeof(data));
    assert_int_equal(recv(rig->ends[0], data, sizeof(data), 0), INTEREST_FEW_BYTES);
    assert_int_equal(interest_set_take(&rig->set, &event, 1), 1);
    n_clients--;
    assert_int_equal(recv(rig->ends[0], data, sizeof(data), 0), INTEREST_FEW_BYTES);
    assert_int_equal(interest_set_take(&rig->set, &event, 1), 0);
}

/* An end that came with the last bytes is asked for as often as the library likes. */
static void test_interest_end_is_always_seen(void **state)
{
    struct rig *rig = *state;

    rig_write(rig, "last");
    close(rig->ends[1]);
    rig->ends[1] = -1;
    (void)interest_note(&rig->interest, EPOLLIN | EPOLLRDHUP | EPOLLHUP, false);
    assert_int_equal(recv(rig->ends[0], rig->data, sizeof(rig->data), 0), 4);
    assert_int_equal(recv(rig->ends[0], rig->data, sizeof(rig->data), 0), 0);
}

/* Bytes with descriptors end a receive although there is more behind them. */
static void test_interest_behind_descriptors_is_found_by_another_look(void **state)
{
    struct rig *rig = *state;
    char control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec part = {"fd", 2};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);

    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &rig->ends[1], sizeof(int));
    assert_int_equal(sendmsg(rig->ends[1], &message, 0), 2);
    rig_write(rig, "more");
    assert_int_equal(recv(rig->ends[0], rig->data, sizeof(rig->data), 0), 2);
    assert_int_equal(recv(rig->ends[0], rig->data, sizeof(rig->data), 0), -1);
    (void)interest_note(&rig->interest, EPOLLIN, false);
    assert_int_equal(recv(rig->ends[0], rig->data, sizeof(rig->data), 0), 4);
}

static void test_interest_without_room_wants_some_once(void **state)
{
    static char block[1 << 20];
    struct rig *rig = *state;
    struct iovec part = {block, sizeof(block)};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

    assert_int_equal(send(rig->ends[0], "x", 1, 0), 1);
    assert_int_equal(interest_events(&rig->interest), INTEREST_EVENTS);
    assert_in_range(sendmsg(rig->ends[0], &message, 0), 1, sizeof(block) - 1);
    assert_int_equal(rig->n_full, 1);
    assert_int_equal(interest_events(&rig->interest), INTEREST_EVENTS | EPOLLOUT);
    assert_int_equal(send(rig->ends[0], block, sizeof(block), 0), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(rig->n_full, 1);
}

static void test_interest_many_descriptors_have_room(void **state)
{
    struct rig *rig = *state;
    struct interest other;
    int fd = dup2(rig->ends[0], 900);

    interest_init(&other);
    assert_int_equal(fd, 900);
    assert_int_equal(interest_begin(&other, &rig->set, fd, &other, rig_on_full), 0);
    assert_int_equal(recv(fd, rig->data, 1, 0), -1);
    assert_true(other.nothing_there);
    assert_false(rig->interest.nothing_there);
    interest_end(&other);
    close(fd);
}

#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_interest_that_nobody_has_made_is_not_heard),
        RIG_TEST(test_interest_is_told_once_of_all_that_has_happened),
        RIG_TEST(test_interest_suspended_is_not_told),
        RIG_TEST(test_interest_is_told_within_a_share),
        RIG_TEST(test_interest_needs_no_registration),
        RIG_TEST(test_interest_of_others_is_the_kernels),
        RIG_TEST(test_interest_receives_what_the_loop_has_seen),
        RIG_TEST(test_interest_full_receive_may_have_more_behind_it),
        RIG_TEST(test_interest_receives_less_when_there_are_many),
        RIG_TEST(test_interest_end_is_always_seen),
        RIG_TEST(test_interest_behind_descriptors_is_found_by_another_look),
        RIG_TEST(test_interest_without_room_wants_some_once),
        RIG_TEST(test_interest_many_descriptors_have_room),
    };

    receipts_show(NULL); /* recv(2) is to be ours, as in the program, and not a sanitizer's */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
