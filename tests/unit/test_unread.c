/* What the other end has not read, to the byte. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/base/unread.h"

static void test_unread_every_byte_counts(void **state)
{
    char data[30000];
    int ends[2];

    (void)state;
    memset(data, 'x', sizeof(data));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(send(ends[0], data, sizeof(data), 0), sizeof(data));
    if (unread_at_peer(ends[0]) == -ENOENT || unread_at_peer(ends[0]) == -EPROTONOSUPPORT)
        skip(); /* a kernel without unix_diag */
    assert_int_equal(unread_at_peer(ends[0]), sizeof(data));
    for (int i = 1; i <= 3; i++) {
        assert_int_equal(recv(ends[1], data, 1, 0), 1);
        assert_int_equal(unread_at_peer(ends[0]), sizeof(data) - (size_t)i);
        assert_int_equal(unread_look(ends[0]), sizeof(data) - (size_t)i);
    }
    assert_int_equal(unread_at_peer(ends[1]), 0);
    close(ends[1]);
    assert_true(unread_at_peer(ends[0]) < 0);
    assert_true(unread_look(ends[0]) >= 0);
    close(ends[0]);
}

static void test_unread_of_what_is_no_such_socket_is_none(void **state)
{
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_true(unread_at_peer(ends[0]) < 0);
    assert_int_equal(unread_look(ends[0]), 0);
    assert_true(unread_at_peer(-1) < 0);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unread_every_byte_counts),
        cmocka_unit_test(test_unread_of_what_is_no_such_socket_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
