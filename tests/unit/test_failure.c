#include "proxy/report/failure.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_failure_init_nothing_has_failed(void **state)
{
    struct failure failure;

    (void)state;
    failure_init(&failure);
    assert_false(failure_is_set(&failure));
    assert_null(failure_reason(&failure));
}

static void test_failure_note_the_first_counts(void **state)
{
    struct failure failure;

    (void)state;
    failure_init(&failure);
    failure_note(&failure, OUTCOME_TLS_FAILED, 0, "certificate has expired");
    failure_note(&failure, OUTCOME_CLIENT_GONE, EPIPE, "later");
    assert_int_equal(failure.outcome, OUTCOME_TLS_FAILED);
    assert_int_equal(failure.error_number, 0);
    assert_string_equal(failure_reason(&failure), "certificate has expired");
}

static void test_failure_reason_falls_back_to_the_errno(void **state)
{
    struct failure failure;

    (void)state;
    failure_set(&failure, OUTCOME_TARGET_REFUSED, ECONNREFUSED, NULL);
    assert_string_equal(failure_reason(&failure), "Connection refused");
}

static void test_failure_set_long_reason_is_cut(void **state)
{
    struct failure failure;
    char reason[2 * FAILURE_REASON_BYTES];

    (void)state;
    memset(reason, 'x', sizeof(reason) - 1);
    reason[sizeof(reason) - 1] = '\0';
    failure_set(&failure, OUTCOME_BAD_RESPONSE, 0, reason);
    assert_int_equal(strlen(failure_reason(&failure)), FAILURE_REASON_BYTES - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failure_init_nothing_has_failed),
        cmocka_unit_test(test_failure_note_the_first_counts),
        cmocka_unit_test(test_failure_reason_falls_back_to_the_errno),
        cmocka_unit_test(test_failure_set_long_reason_is_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
