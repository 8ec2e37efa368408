/* Backlogs: what the kernel says of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "proxy/base/diagnosis.h"
#include "proxy/listen/backlog.h"

#define N_CLIENTS 3

/* `length` is what bind(2) is told; then the whole of what it is at. */
static int backlog_listen(int family, struct sockaddr *address, socklen_t *length)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, address, *length), 0);
    assert_int_equal(listen(fd, 16), 0);
    *length = family == AF_UNIX ? sizeof(struct sockaddr_un) : sizeof(struct sockaddr_in);
    assert_int_equal(getsockname(fd, address, length), 0);
    return fd;
}

static uint32_t backlog_of(int diag, int fd)
{
    uint32_t n = UINT32_MAX;

    assert_true(backlog_read(diag, fd, &n));
    return n;
}

/* So many connect, one is accepted. */
static void backlog_counts(int family, struct sockaddr *address, socklen_t length)
{
    int diag = diagnosis_open(), fd = backlog_listen(family, address, &length);
    int clients[N_CLIENTS], accepted;

    assert_int_equal(backlog_of(diag, fd), 0);
    for (int i = 0; i < N_CLIENTS; i++) {
        clients[i] = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(clients[i], address, length), 0);
    }
    assert_int_equal(backlog_of(diag, fd), N_CLIENTS);
    accepted = accept(fd, NULL, NULL);
    assert_true(accepted >= 0);
    assert_int_equal(backlog_of(diag, fd), N_CLIENTS - 1);
    for (int i = 0; i < N_CLIENTS; i++)
        close(clients[i]);
    close(accepted);
    close(fd);
    close(diag);
}

static void test_backlog_of_a_unix_socket_is_who_has_not_been_accepted(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX}; /* the kernel gives it an abstract name */

    (void)state;
    backlog_counts(AF_UNIX, (struct sockaddr *)&address, sizeof(sa_family_t));
}

static void test_backlog_of_a_tcp_socket_is_who_has_not_been_accepted(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    (void)state;
    backlog_counts(AF_INET, (struct sockaddr *)&address, sizeof(address));
}

static void test_backlog_that_cannot_be_had_is_not_known(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t length = sizeof(sa_family_t);
    int diag = diagnosis_open(), fd = backlog_listen(AF_UNIX, (struct sockaddr *)&address, &length);
    uint32_t n = 7;

    (void)state;
    assert_false(backlog_read(-1, fd, &n));
    assert_false(backlog_read(diag, -1, &n));
    assert_false(backlog_read(diag, diag, &n)); /* no socket of those */
    assert_int_equal(n, 7);
    close(fd);
    close(diag);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_backlog_of_a_unix_socket_is_who_has_not_been_accepted),
        cmocka_unit_test(test_backlog_of_a_tcp_socket_is_who_has_not_been_accepted),
        cmocka_unit_test(test_backlog_that_cannot_be_had_is_not_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
