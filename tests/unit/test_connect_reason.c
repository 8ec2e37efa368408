#include "proxy/reach/connect_reason.h"

#include <curl/curl.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void test_connect_reason_says_what_is_known(void **state)
{
    static const struct {
        CURLcode code;
        int error_number;
        const char *where, *said, *expected;
    } cases[] = {
        {CURLE_COULDNT_CONNECT, ECONNREFUSED, "127.0.0.1:80", "Failed to connect",
         "cannot connect to 127.0.0.1:80: Connection refused"},
        {CURLE_COULDNT_CONNECT, ENOENT, "", "", "cannot connect: No such file or directory"},
        {CURLE_COULDNT_CONNECT, 9999, "", "", "cannot connect: unknown error"},
        {CURLE_COULDNT_RESOLVE_HOST, 0, "", "Could not resolve host: a", "Could not resolve host: a"},
        {CURLE_PEER_FAILED_VERIFICATION, 0, "[::1]:443", "certificate has expired\r\n ",
         "certificate has expired ([::1]:443)"},
        {CURLE_OUT_OF_MEMORY, 0, "", "\n", "Out of memory"},
    };
    char reason[128];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        connect_reason(reason, sizeof(reason), (int)cases[i].code, cases[i].error_number, cases[i].where,
                       cases[i].said);
        assert_string_equal(reason, cases[i].expected);
    }
    connect_reason(reason, 5, CURLE_OK, 0, "", "longer than that");
    assert_string_equal(reason, "long");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connect_reason_says_what_is_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
