/* Whether the file at a path is another one than before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/reach/incarnation.h"

static char directory[64], path[96], other[96];

static int setup(void **state)
{
    (void)state;
    snprintf(directory, sizeof(directory), "/tmp/porthole-unit-XXXXXX");
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/a.sock", directory);
    snprintf(other, sizeof(other), "%s/b.sock", directory);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    unlink(other);
    return rmdir(directory);
}

static void make(const char *at)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", at);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    close(fd);
}

static const struct instant some_time = {UINT64_C(5000000000)};

static void test_incarnation_of_the_same_file_is_one(void **state)
{
    struct incarnation incarnation = {.path = path};

    (void)state;
    assert_false(incarnation_look(&incarnation, some_time)); /* there is none */
    make(path);
    assert_false(incarnation_look(&incarnation, some_time)); /* nothing was known */
    assert_false(incarnation_look(&incarnation, some_time));
}

static void test_incarnation_changes_with_the_file(void **state)
{
    struct incarnation incarnation = {.path = path};

    (void)state;
    make(path);
    assert_false(incarnation_look(&incarnation, some_time));
    unlink(path);
    assert_false(incarnation_look(&incarnation, some_time)); /* who is connected may go on */
    usleep(20000);                                           /* the clock of a file system is coarse */
    make(path);                                              /* which may have the same number */
    assert_true(incarnation_look(&incarnation, some_time));
    assert_false(incarnation_look(&incarnation, some_time));
    make(other);
    assert_int_equal(rename(other, path), 0);
    assert_true(incarnation_look(&incarnation, some_time));
}

static void test_incarnation_follows_a_link(void **state)
{
    struct incarnation incarnation = {.path = path};

    (void)state;
    make(other);
    assert_int_equal(symlink(other, path), 0);
    assert_false(incarnation_look(&incarnation, some_time));
    unlink(other);
    usleep(20000);
    make(other);
    assert_true(incarnation_look(&incarnation, some_time));
}

static void test_incarnation_is_due_a_while_after_a_look(void **state)
{
    struct incarnation incarnation = {.path = path}, none = {.path = NULL};

    (void)state;
    assert_true(incarnation_is_due(&incarnation, some_time));
    assert_false(incarnation_is_due(&none, some_time));
    incarnation_look(&incarnation, some_time);
    assert_false(incarnation_is_due(&incarnation, some_time));
    assert_true(incarnation_is_due(&incarnation, instant_add_ms(some_time, INCARNATION_LOOK_MS)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_incarnation_of_the_same_file_is_one, setup, teardown),
        cmocka_unit_test_setup_teardown(test_incarnation_changes_with_the_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_incarnation_follows_a_link, setup, teardown),
        cmocka_unit_test_setup_teardown(test_incarnation_is_due_a_while_after_a_look, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
