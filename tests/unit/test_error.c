#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/base/error.h"

static void test_error_set_keeps_code_message_and_errno(void **state)
{
    struct error err = ERROR_INIT;

    (void)state;
    errno = EPIPE;
    assert_int_equal(error_set(&err, -ENOENT, "cannot open %s", "/x"), -ENOENT);
    assert_int_equal(errno, EPIPE);
    assert_int_equal(err.code, -ENOENT);
    assert_string_equal(err.message, "cannot open /x");
}

static void test_error_without_a_struct_still_returns_its_code(void **state)
{
    (void)state;
    assert_int_equal(error_set(NULL, -ENOMEM, "lost"), -ENOMEM);
    assert_int_equal(error_prefix(NULL, "lost"), -EIO);
}

static void test_error_prefix_puts_context_before_the_message(void **state)
{
    struct error err = ERROR_INIT;

    (void)state;
    (void)error_set(&err, -EACCES, "permission denied");
    errno = EPIPE;
    assert_int_equal(error_prefix(&err, "bind %d", 7), -EACCES);
    assert_int_equal(errno, EPIPE);
    assert_int_equal(error_prefix(&err, "listener app"), -EACCES);
    assert_string_equal(err.message, "listener app: bind 7: permission denied");
}

static void test_error_message_may_be_its_own_argument(void **state)
{
    struct error err = ERROR_INIT;

    (void)state;
    (void)error_set(&err, -EINVAL, "inner");
    (void)error_set(&err, -EINVAL, "<%s>", err.message);
    assert_string_equal(err.message, "<inner>");
    (void)error_prefix(&err, "%s", err.message);
    assert_string_equal(err.message, "<inner>: <inner>");
}

static void test_error_too_long_is_cut_and_terminated(void **state)
{
    struct error err = ERROR_INIT;
    char longer[2 * ERROR_MESSAGE_BYTES];

    (void)state;
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    (void)error_set(&err, -EINVAL, "%s", longer);
    assert_int_equal(strlen(err.message), ERROR_MESSAGE_BYTES - 1);
    (void)error_prefix(&err, "context");
    assert_int_equal(strlen(err.message), ERROR_MESSAGE_BYTES - 1);
    assert_memory_equal(err.message, "context: xxx", 12);
    (void)error_prefix(&err, "%s", longer);
    assert_int_equal(strlen(err.message), ERROR_MESSAGE_BYTES - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_error_set_keeps_code_message_and_errno),
        cmocka_unit_test(test_error_without_a_struct_still_returns_its_code),
        cmocka_unit_test(test_error_prefix_puts_context_before_the_message),
        cmocka_unit_test(test_error_message_may_be_its_own_argument),
        cmocka_unit_test(test_error_too_long_is_cut_and_terminated),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
