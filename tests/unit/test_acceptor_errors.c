/* Acceptors to whom accept(2) fails, and what they say of it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/listen/acceptor.h"
#include "tests/unit/acceptor_rig.h"

/* What the next calls of accept4 fail with. */
static int accept_error;
static unsigned n_failures_left, n_failed;

/* This definition wins over the C library's. */
int accept4(int fd, struct sockaddr *address, socklen_t *bytes, int flags)
{
    if (n_failures_left == 0)
        return (int)syscall(SYS_accept4, fd, address, bytes, flags);
    n_failures_left--;
    n_failed++;
    errno = accept_error;
    return -1;
}

static void fail_accept(int error_number, unsigned times)
{
    accept_error = error_number;
    n_failures_left = times;
    n_failed = 0;
}

/* ---- the log ---- */

static int log_fd, real_stderr;

static void log_catch(void)
{
    log_fd = memfd_create("log", MFD_CLOEXEC);
    real_stderr = dup(STDERR_FILENO);
    assert_true(log_fd >= 0 && real_stderr >= 0);
    assert_int_equal(dup2(log_fd, STDERR_FILENO), STDERR_FILENO);
}

static size_t log_count(const char *message)
{
    static char text[65536];
    ssize_t n = pread(log_fd, text, sizeof(text) - 1, 0);
    size_t n_found = 0;

    assert_true(n >= 0);
    text[n] = '\0';
    for (const char *at = text; (at = strstr(at, message)); at++)
        n_found++;
    return n_found;
}

static void log_give_back(void)
{
    assert_int_equal(dup2(real_stderr, STDERR_FILENO), STDERR_FILENO);
    close(real_stderr);
    close(log_fd);
}

/* ---- errors ---- */

/* Three clients who have been idle for a while, and one who comes. */
static void open_with_idle_clients(struct acceptor_rig *rig, int fds[4])
{
    struct instant long_ago;

    acceptor_rig_open(rig, 16);
    rig->host.let_go = acceptor_rig_let_go_idle;
    for (size_t i = 0; i < 3; i++)
        fds[i] = acceptor_rig_connect(rig);
    acceptor_rig_expect(rig, 3, ACCEPTOR_OPEN);
    long_ago = (struct instant){loop_now(rig->host.loop).ns - 1000000000u};
    for (size_t i = 0; i < 3; i++)
        admission_idle(&rig->passes[i], long_ago);
    fds[3] = acceptor_rig_connect(rig);
    log_catch();
}

static void close_all(struct acceptor_rig *rig, int fds[4])
{
    log_give_back();
    for (size_t i = 0; i < 4; i++)
        close(fds[i]);
    acceptor_rig_close(rig);
}

static void turn_until_served(struct acceptor_rig *rig, size_t n)
{
    for (int i = 0; i < PATIENCE_ROUNDS && rig->n_served < n; i++)
        assert_true(loop_run_once(rig->host.loop, 100) >= 0);
    assert_int_equal(rig->n_served, n);
}

/* Nobody who is there has to go for it, and a line is enough. */
static void test_acceptor_for_which_the_system_has_no_memory_waits(void **state)
{
    static const int errors[] = {ENOMEM, ENOBUFS, EPERM};

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(errors); i++) {
        struct acceptor_rig rig;
        int fds[4];

        open_with_idle_clients(&rig, fds);
        fail_accept(errors[i], 3);
        acceptor_rig_expect(&rig, 3, ACCEPTOR_WAITING);
        assert_int_equal(n_failed, 1);
        turn_until_served(&rig, 4);
        assert_int_equal(n_failed, 3);
        assert_int_equal(rig.n_let_go, 0);
        assert_int_equal(log_count("cannot accept"), 1);
        assert_int_equal(log_count(strerror(errors[i])), 1);
        close_all(&rig, fds);
    }
}

/* The file that an idle client gives back may be anybody's: one goes for each try, and tries keep their distance. */
static void test_acceptor_for_which_the_system_has_no_files_lets_one_go_for_each_try(void **state)
{
    struct acceptor_rig rig;
    int fds[4];

    (void)state;
    open_with_idle_clients(&rig, fds);
    fail_accept(ENFILE, 2);
    acceptor_rig_expect(&rig, 3, ACCEPTOR_WAITING);
    assert_int_equal(rig.n_let_go, 1);
    for (size_t i = 0; i < 3; i++)
        if (rig.passes[i].yielded)
            acceptor_rig_let_go(&rig, i);
    acceptor_rig_expect(&rig, 3, ACCEPTOR_WAITING);
    assert_int_equal(n_failed, 1);
    turn_until_served(&rig, 4);
    assert_int_equal(n_failed, 2);
    assert_int_equal(rig.n_let_go, 2);
    assert_int_equal(log_count("cannot accept"), 1);
    close_all(&rig, fds);
}

static void test_acceptor_takes_the_next_after_one_that_has_failed(void **state)
{
    static const int errors[] = {ECONNABORTED, EINTR, EPROTO, ENETDOWN, EHOSTUNREACH};

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(errors); i++) {
        struct acceptor_rig rig;
        int fds[4];

        open_with_idle_clients(&rig, fds);
        fail_accept(errors[i], 2);
        acceptor_rig_expect(&rig, 4, ACCEPTOR_OPEN);
        assert_int_equal(n_failed, 2);
        assert_int_equal(rig.n_let_go, 0);
        assert_int_equal(log_count("cannot"), 0);
        close_all(&rig, fds);
    }
}

/* ---- those who wait ---- */

static void expect_lines_of_waiting(size_t n_begun, size_t n_ended)
{
    assert_int_equal(log_count("limits.connections is reached and nobody is idle: new clients wait"), n_begun);
    assert_int_equal(log_count("new clients do not wait for a place any more"), n_ended);
}

/* One has the only place. */
static void open_with_two_who_wait(struct acceptor_rig *rig, int fds[3])
{
    acceptor_rig_open(rig, 1);
    log_catch();
    for (size_t i = 0; i < 3; i++)
        fds[i] = acceptor_rig_connect(rig);
    acceptor_rig_expect(rig, 1, ACCEPTOR_OPEN);
    expect_lines_of_waiting(1, 0);
}

/* Told when it ends, and not when the next one comes. */
static void test_acceptor_tells_when_those_who_waited_have_left(void **state)
{
    struct acceptor_rig rig;
    int fds[3];

    (void)state;
    open_with_two_who_wait(&rig, fds);
    close(fds[1]);
    acceptor_rig_turn(&rig);
    expect_lines_of_waiting(1, 0);
    close(fds[2]);
    acceptor_rig_turn(&rig);
    expect_lines_of_waiting(1, 1);
    log_give_back();
    close(fds[0]);
    acceptor_rig_close(&rig);
}

static void test_acceptor_tells_when_those_who_waited_are_served(void **state)
{
    struct acceptor_rig rig;
    int fds[3];

    (void)state;
    open_with_two_who_wait(&rig, fds);
    acceptor_rig_let_go(&rig, 0);
    acceptor_rig_expect(&rig, 2, ACCEPTOR_OPEN);
    expect_lines_of_waiting(1, 0);
    acceptor_rig_let_go(&rig, 1);
    acceptor_rig_expect(&rig, 3, ACCEPTOR_OPEN);
    expect_lines_of_waiting(1, 1);
    log_give_back();
    for (size_t i = 0; i < 3; i++)
        close(fds[i]);
    acceptor_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_acceptor_for_which_the_system_has_no_memory_waits),
        cmocka_unit_test(test_acceptor_for_which_the_system_has_no_files_lets_one_go_for_each_try),
        cmocka_unit_test(test_acceptor_takes_the_next_after_one_that_has_failed),
        cmocka_unit_test(test_acceptor_tells_when_those_who_waited_have_left),
        cmocka_unit_test(test_acceptor_tells_when_those_who_waited_are_served),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
