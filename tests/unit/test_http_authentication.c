/* Which authentication holds for a whole connection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proxy/http/authentication.h"

static void test_authentication_is_personal_by_a_word(void **state)
{
    static const char *const yes[] = {
        "NTLM",
        "ntlm TlRMTVNTUAAB",
        "Negotiate",
        "NEGOTIATE YIIG=",
        "negotiate\tYIIG=",
        "Basic realm=\"a\", NTLM",
        "Basic realm=\"a, b\",charset=\"UTF-8\",Negotiate",
        " , ,NTLM,",
        "Digest realm=\"never ended, NTLM",
        "Basic realm=\"the ntlm one\"",
    };
    static const char *const no[] = {
        "",
        " ",
        ",",
        "Basic TlRMTQ==",
        "Bearer ntlm.negotiate",
        "Basic realm=\"NTLM\"",
        "NTLMv2 a",
        "XNTLM",
        "Negotiated",
        "Nego",
        "NTLM=1",
        "Digest username=\"negotiate\", realm=\"a\"",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
        if (!authentication_is_personal(text_of(yes[i])))
            fail_msg("not personal: %s", yes[i]);
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
        if (authentication_is_personal(text_of(no[i])))
            fail_msg("personal: %s", no[i]);
}

static void test_authentication_lines_count_by_their_names(void **state)
{
    static const struct {
        const char *lines;
        bool is_personal;
    } rows[] = {
        {"", false},
        {"Authorization: NTLM a\r\n", true},
        {"A: b\r\nproxy-authorization:Negotiate\r\nC: d\r\n", true},
        {"A: NTLM\r\nAuthorization: Basic b\r\nC: Negotiate\r\n", false},
        {"Authorization:\r\nNTLM: a\r\n", false},
        {"Authorization: \r\nC: NTLM\r\n", false},
        {"X-Authorization: NTLM\r\n", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(authentication_lines_are_personal(text_of(rows[i].lines)), rows[i].is_personal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_authentication_is_personal_by_a_word),
        cmocka_unit_test(test_authentication_lines_count_by_their_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
