/* Older kernels: nothing is asked of Landlock that its ABI does not know. The Makefile links __wrap_syscall in front of
 * syscall(2). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/sandbox/landlock.h"
#include "proxy/sandbox/landlock_abi.h"

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);

static int pretended_abi, pretended_errno;
static struct landlock_ruleset asked; /* what the last set of rules was to hold */

long __wrap_syscall(long number, ...)
{
    void *arguments[4];
    va_list all;

    va_start(all, number);
    for (size_t i = 0; i < ARRAY_LENGTH(arguments); i++)
        arguments[i] = va_arg(all, void *);
    va_end(all);
    if (number == SYS_landlock_create_ruleset && !arguments[0]) {
        errno = pretended_errno;
        return pretended_errno ? -1 : pretended_abi;
    }
    if (number == SYS_landlock_create_ruleset)
        memcpy(&asked, arguments[0], sizeof(asked));
    return __real_syscall(number, arguments[0], arguments[1], arguments[2], arguments[3]);
}

static bool kernel_has_landlock(void)
{
    return __real_syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_ASK_VERSION) >= 6;
}

/* Enters a set of rules with a port in it, in a process of its own. What was asked of the kernel comes back. */
static int enter(int abi, struct landlock_ruleset *ret_asked)
{
    int ends[2], status = -1;
    pid_t child;

    assert_int_equal(pipe(ends), 0);
    child = fork();
    if (child == 0) {
        uint16_t port = 80;
        struct needs needs = {.connect = &port, .n_connect = 1};
        struct error error = ERROR_INIT;
        struct landlock landlock;
        int r;

        pretended_abi = abi;
        (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        r = landlock_enter(&needs, &landlock, &error);
        if (write(ends[1], &asked, sizeof(asked)) != (ssize_t)sizeof(asked))
            r = -EIO;
        if (r == 0 &&
            (landlock.abi != abi || landlock.holds_ports != (abi >= 4) || landlock.holds_signals != (abi >= 6)))
            r = -EBADMSG;
        _exit(-r);
    }
    assert_int_equal(read(ends[0], ret_asked, sizeof(*ret_asked)), (ssize_t)sizeof(*ret_asked));
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return -WEXITSTATUS(status);
}

static void test_landlock_asks_only_what_the_abi_knows(void **state)
{
    static const struct {
        int abi;
        uint64_t fs, net, scoped;
    } rows[] = {
        {2, (LANDLOCK_REFER << 1) - 1, 0, 0},
        {3, (LANDLOCK_TRUNCATE << 1) - 1, 0, 0},
        {4, (LANDLOCK_TRUNCATE << 1) - 1, LANDLOCK_BIND_TCP | LANDLOCK_CONNECT_TCP, 0},
        {5, (LANDLOCK_IOCTL_DEV << 1) - 1, LANDLOCK_BIND_TCP | LANDLOCK_CONNECT_TCP, 0},
        {6, (LANDLOCK_IOCTL_DEV << 1) - 1, LANDLOCK_BIND_TCP | LANDLOCK_CONNECT_TCP,
         LANDLOCK_ABSTRACT_SOCKETS | LANDLOCK_SIGNALS},
        {99, (LANDLOCK_IOCTL_DEV << 1) - 1, LANDLOCK_BIND_TCP | LANDLOCK_CONNECT_TCP,
         LANDLOCK_ABSTRACT_SOCKETS | LANDLOCK_SIGNALS},
    };

    (void)state;
    if (!kernel_has_landlock())
        skip();
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct landlock_ruleset ruleset;

        assert_int_equal(enter(rows[i].abi, &ruleset), 0);
        assert_int_equal(ruleset.handled_fs, rows[i].fs);
        assert_int_equal(ruleset.handled_net, rows[i].net);
        assert_int_equal(ruleset.scoped, rows[i].scoped);
    }
}

static void expect_reason(int abi, int error_number, const char *reason)
{
    struct needs needs = {.n_places = 0};
    struct error error = ERROR_INIT;
    struct landlock landlock;

    pretended_abi = abi;
    pretended_errno = error_number;
    assert_true(landlock_enter(&needs, &landlock, &error) < 0);
    assert_non_null(strstr(error.message, reason));
    assert_int_equal(landlock.abi, 0);
    pretended_errno = 0;
}

static void test_landlock_that_is_not_there_is_told_why(void **state)
{
    (void)state;
    expect_reason(1, 0, "ABI 1 of this kernel forbids to rename between directories");
    expect_reason(0, ENOSYS, "the kernel has no Landlock, or the runtime's filter hides it");
    expect_reason(0, EOPNOTSUPP, "not among the kernel's lsm=");
    expect_reason(0, EPERM, "Operation not permitted");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_landlock_asks_only_what_the_abi_knows),
        cmocka_unit_test(test_landlock_that_is_not_there_is_told_why),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
