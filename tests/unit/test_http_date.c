/* IMF-fixdate. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proxy/base/error.h"
#include "proxy/http/date.h"

static void test_date_is_written_as_rfc_9110_has_it(void **state)
{
    static const struct {
        int64_t seconds;
        const char *date;
    } cases[] = {
        {0, "Thu, 01 Jan 1970 00:00:00 GMT"},
        {784111777, "Sun, 06 Nov 1994 08:49:37 GMT"},
        {951782399, "Mon, 28 Feb 2000 23:59:59 GMT"},
        {951782400, "Tue, 29 Feb 2000 00:00:00 GMT"},
        {1735689599, "Tue, 31 Dec 2024 23:59:59 GMT"},
        {4102444800, "Fri, 01 Jan 2100 00:00:00 GMT"},
        {253402300799, "Fri, 31 Dec 9999 23:59:59 GMT"},
    };
    char out[DATE_BYTES];

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        date_write(cases[i].seconds, out);
        assert_string_equal(out, cases[i].date);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_date_is_written_as_rfc_9110_has_it)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
