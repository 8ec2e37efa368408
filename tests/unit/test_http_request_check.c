/* request_check: what is refused, and with which status. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/http_text.h"

/* A request and the status it is refused with; 0 when it is good. */
struct verdict_row {
    struct text request;
    unsigned status;
};

#define ROW(status, literal)                   \
    {                                          \
        {literal, sizeof(literal) - 1}, status \
    }
/* A field of a request that is good without it. */
#define FIELD_ROW(status, literal) ROW(status, "POST / 1\nHost: a\n" literal)
#define HOST_ROW(status, literal) ROW(status, "GET / 1\nHost:" literal)
#define TARGET_ROW(status, literal) ROW(status, "GET " literal " 1\nHost: a")

static void check_verdicts(const struct verdict_row *rows, size_t n_rows)
{
    for (size_t i = 0; i < n_rows; i++) {
        struct request_text text;
        unsigned status = 0;
        const char *why;

        assert_true(request_from_text(&text, rows[i].request));
        why = request_check(&text.request, &status);
        if (status != rows[i].status || !why != !status)
            fail_msg("row %zu, %.*s: status %u (%s), expected %u", i, (int)rows[i].request.length, rows[i].request.data,
                     status, why ? why : "good", rows[i].status);
    }
}

#define CHECK_VERDICTS(rows) check_verdicts(rows, sizeof(rows) / sizeof((rows)[0]))

static void test_request_check_request_line_verdicts(void **state)
{
    static const struct verdict_row rows[] = {
        ROW(0, "GET / 1\nHost: a"),
        ROW(0, "GET / 0\nHost: a"),
        ROW(0, "GET / 0"),
        ROW(400, "GET / 1"),
        ROW(505, "GET / 2\nHost: a"),
        ROW(505, "GET / 9\nHost: a"),
        ROW(0, "get / 1\nHost: a"),
        ROW(0, "M-SEARCH / 1\nHost: a"),
        ROW(0, "!#$%&'*+-.^_`|~09azAZ / 1\nHost: a"),
        ROW(400, " / 1\nHost: a"),
        ROW(400, "GE(T / 1\nHost: a"),
        ROW(400, "G\tET / 1\nHost: a"),
        ROW(400, "G\0ET / 1\nHost: a"),
        ROW(400, "GET\r / 1\nHost: a"),
        ROW(400, "G\xc3\xa9T / 1\nHost: a"),
        ROW(400, "\"GET\" / 1\nHost: a"),
        ROW(400, "GET: / 1\nHost: a"),
        ROW(501, "CONNECT a:443 1\nHost: a:443"),
        ROW(501, "CONNECT / 1\nHost: a"),
        ROW(400, "connect a:443 1\nHost: a"),
    };
    (void)state;
    CHECK_VERDICTS(rows);
}

static void test_request_check_target_verdicts(void **state)
{
    static const struct verdict_row rows[] = {
        TARGET_ROW(0, "/"),
        TARGET_ROW(0, "/a/b?c=d&e"),
        TARGET_ROW(0, "/?"),
        TARGET_ROW(0, "//"),
        TARGET_ROW(0, "//a.example/b"),
        TARGET_ROW(0, "/../%2e%2e/%00"),
        TARGET_ROW(0, "/{a}|\\^\"<>`"),
        TARGET_ROW(0, "/caf\xc3\xa9"),
        TARGET_ROW(0, "/http://b/"),
        TARGET_ROW(400, ""),
        TARGET_ROW(400, "a"),
        TARGET_ROW(400, "a/b"),
        TARGET_ROW(400, "?a"),
        TARGET_ROW(400, "*"),
        TARGET_ROW(400, "**"),
        TARGET_ROW(400, "a:80"),
        TARGET_ROW(400, "/a b"),
        TARGET_ROW(400, "/a\tb"),
        TARGET_ROW(400, "/a\0b"),
        TARGET_ROW(400, "/a\rb"),
        TARGET_ROW(400, "/a\x1f"),
        TARGET_ROW(400, "/a\x7f"),
        TARGET_ROW(400, "/a#b"),
        TARGET_ROW(400, "#"),
        TARGET_ROW(400, " /"),
        TARGET_ROW(400, "/ HTTP/1.1 HTTP/1.1"),
        TARGET_ROW(0, "http://b"),
        TARGET_ROW(0, "HTTP://b/"),
        TARGET_ROW(0, "https://b/c?d"),
        TARGET_ROW(0, "http://b:80"),
        TARGET_ROW(0, "http://[::1]:80/"),
        TARGET_ROW(0, "http://b?c"),
        TARGET_ROW(400, "http://"),
        TARGET_ROW(400, "http:///c"),
        TARGET_ROW(400, "http://?c"),
        TARGET_ROW(400, "http://:80/"),
        TARGET_ROW(400, "http:/b/"),
        TARGET_ROW(400, "http:b"),
        TARGET_ROW(400, "http//b"),
        TARGET_ROW(400, "http://u@b/"),
        TARGET_ROW(400, "http://u:p@b/"),
        TARGET_ROW(400, "http://b\\c/"),
        TARGET_ROW(400, "http://b:80:80/"),
        TARGET_ROW(400, "http://b:65536/"),
        TARGET_ROW(400, "http://b c/"),
        TARGET_ROW(400, "http://b#c"),
        TARGET_ROW(400, "ftp://b/"),
        TARGET_ROW(400, "ws://b/"),
        TARGET_ROW(400, "unix:/run/a"),
        TARGET_ROW(400, "httpx://b/"),
        TARGET_ROW(400, "xhttp://b/"),
        ROW(0, "OPTIONS * 1\nHost: a"),
        ROW(0, "OPTIONS / 1\nHost: a"),
        ROW(0, "OPTIONS http://b 1\nHost: a"),
        ROW(400, "OPTIONS *?a 1\nHost: a"),
        ROW(400, "options * 1\nHost: a"),
        ROW(400, "GET http://b/ 1"),
        ROW(0, "GET http://b/ 0"),
        ROW(400, "GET http://b/ 1\nHost: a b"),
        ROW(400, "GET http://b/ 1\nHost: b\nHost: b"),
    };
    (void)state;
    CHECK_VERDICTS(rows);
}

static void test_request_check_host_verdicts(void **state)
{
    static const struct verdict_row rows[] = {
        HOST_ROW(0, ""),
        HOST_ROW(0, " "),
        HOST_ROW(0, "a"),
        HOST_ROW(0, " \t a \t"),
        HOST_ROW(0, " A.Example.ORG"),
        HOST_ROW(0, " a.example."),
        HOST_ROW(0, " my_service"),
        HOST_ROW(0, " a-b~c!$&'()*+,;="),
        HOST_ROW(0, " a:80"),
        HOST_ROW(0, " a:0"),
        HOST_ROW(0, " a:65535"),
        HOST_ROW(0, " a:00080"),
        HOST_ROW(0, " a:"),
        HOST_ROW(0, " 192.0.2.1:8080"),
        HOST_ROW(0, " 999.999"),
        HOST_ROW(0, " [::1]"),
        HOST_ROW(0, " [::]:80"),
        HOST_ROW(0, " [2001:db8::1]:"),
        HOST_ROW(0, " [::ffff:192.0.2.1]"),
        HOST_ROW(0, " a.b.c.:80"),
        HOST_ROW(400, " %2Fvar%2Frun%2Fdocker.sock"),
        HOST_ROW(400, " a%c3%a9"),
        HOST_ROW(400, " a%00"),
        HOST_ROW(400, " a%00.example.org"),
        HOST_ROW(400, " a%20b"),
        HOST_ROW(400, " a%0d%0aX:"),
        HOST_ROW(400, " a%40b"),
        HOST_ROW(400, " a%3a80"),
        HOST_ROW(400, " a%2c"),
        HOST_ROW(400, " %61"),
        HOST_ROW(400, " a%2eb"),
        HOST_ROW(400, " a%7E"),
        HOST_ROW(400, " ."),
        HOST_ROW(400, " .."),
        HOST_ROW(400, " .a"),
        HOST_ROW(400, " a..b"),
        HOST_ROW(400, " a.."),
        HOST_ROW(400, " a..:80"),
        HOST_ROW(400, " .:80"),
        HOST_ROW(400, " a%"),
        HOST_ROW(400, " a%2"),
        HOST_ROW(400, " a%g1"),
        HOST_ROW(400, " :80"),
        HOST_ROW(400, " a:65536"),
        HOST_ROW(400, " a:99999999999999999999"),
        HOST_ROW(400, " a:80:80"),
        HOST_ROW(400, " a:+80"),
        HOST_ROW(400, " a:-1"),
        HOST_ROW(400, " a:8 0"),
        HOST_ROW(400, " a:http"),
        HOST_ROW(400, " a: 80"),
        HOST_ROW(400, " a :80"),
        HOST_ROW(400, " a b"),
        HOST_ROW(400, " a/b"),
        HOST_ROW(400, " /run/a.sock"),
        HOST_ROW(400, " http://a"),
        HOST_ROW(400, " u@a"),
        HOST_ROW(400, " a@b:80"),
        HOST_ROW(400, " a?b"),
        HOST_ROW(400, " a#b"),
        HOST_ROW(400, " a\\b"),
        HOST_ROW(400, " a\"b"),
        HOST_ROW(400, " <a>"),
        HOST_ROW(400, " a|b"),
        HOST_ROW(400, " a\0b"),
        HOST_ROW(400, " caf\xc3\xa9"),
        HOST_ROW(400, " []"),
        HOST_ROW(400, " ["),
        HOST_ROW(400, " []:80"),
        HOST_ROW(400, " [::1"),
        HOST_ROW(400, " [::1]a"),
        HOST_ROW(400, " [::1]80"),
        HOST_ROW(400, " [::1]:x"),
        HOST_ROW(400, " [::1\0]"),
        HOST_ROW(400, " [1::2::3]"),
        HOST_ROW(400, " [192.0.2.1]"),
        HOST_ROW(400, " [fe80::1%25eth0]"),
        HOST_ROW(400, " [v1.a]"),
        HOST_ROW(400, " [0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]"),
        HOST_ROW(400, " ::1"),
        HOST_ROW(400, " a]"),
        HOST_ROW(400, " a\nHost: a"),
        HOST_ROW(400, " a\nHost: b"),
        HOST_ROW(400, " a\nhOST:"),
        HOST_ROW(400, " \nHost: b"),
        HOST_ROW(400, " a, b"),
        ROW(400, "GET / 0\nHost: a\nHost: a"),
        ROW(400, "GET / 0\nHost: a b"),
        ROW(400, "GET / 1\nHost : a"),
        ROW(400, "GET / 1\nX-Host: a"),
    };
    (void)state;
    CHECK_VERDICTS(rows);
}

static void test_request_check_field_syntax_verdicts(void **state)
{
    static const struct verdict_row rows[] = {
        FIELD_ROW(0, "A: b"),
        FIELD_ROW(0, "A:"),
        FIELD_ROW(0, "A:\t \t"),
        FIELD_ROW(0, "!#$%&'*+-.^_`|~: a"),
        FIELD_ROW(0, "A: a\tb \"c\" (d) : , ;"),
        FIELD_ROW(0, "A: \x80\xff"),
        FIELD_ROW(0, "A: b\nA: b\na: c"),
        FIELD_ROW(400, ": a"),
        FIELD_ROW(400, "A : b"),
        FIELD_ROW(400, " A: b"),
        FIELD_ROW(400, "\tA: b"),
        FIELD_ROW(400, "A\t: b"),
        FIELD_ROW(400, "A B: c"),
        FIELD_ROW(400, "A\0: b"),
        FIELD_ROW(400, "A\r: b"),
        FIELD_ROW(400, "A\x7f: b"),
        FIELD_ROW(400, "A\x80: b"),
        FIELD_ROW(400, "A(: b"),
        FIELD_ROW(400, "A/B: c"),
        FIELD_ROW(400, "A@: b"),
        FIELD_ROW(400, "[A]: b"),
        FIELD_ROW(400, "{A}: b"),
        FIELD_ROW(400, "A;: b"),
        FIELD_ROW(400, "A=: b"),
        FIELD_ROW(400, "\"A\": b"),
        FIELD_ROW(400, "A: b\0"),
        FIELD_ROW(400, "A: \0"),
        FIELD_ROW(400, "A: b\rc"),
        FIELD_ROW(400, "A: b\r"),
        FIELD_ROW(400, "A: b\x0b"),
        FIELD_ROW(400, "A: b\x0c"),
        FIELD_ROW(400, "A: \x01"),
        FIELD_ROW(400, "A: \x1b[0m"),
        FIELD_ROW(400, "A: \x7f"),
    };
    (void)state;
    CHECK_VERDICTS(rows);
}

static void test_request_check_content_length_verdicts(void **state)
{
    static const struct verdict_row rows[] = {
        FIELD_ROW(0, "Content-Length: 0"),
        FIELD_ROW(0, "Content-Length: 5"),
        FIELD_ROW(0, "content-length:5"),
        FIELD_ROW(0, "CONTENT-LENGTH: \t5\t "),
        FIELD_ROW(0, "Content-Length: 00005"),
        FIELD_ROW(0, "Content-Length: 9223372036854775807"),
        FIELD_ROW(0, "Content-Length: 00000000000000000000000000000009"),
        FIELD_ROW(400, "Content-Length:"),
        FIELD_ROW(400, "Content-Length: \t"),
        FIELD_ROW(400, "Content-Length: +5"),
        FIELD_ROW(400, "Content-Length: -5"),
        FIELD_ROW(400, "Content-Length: -0"),
        FIELD_ROW(400, "Content-Length: 5, 5"),
        FIELD_ROW(400, "Content-Length: 5,6"),
        FIELD_ROW(400, "Content-Length: 5,"),
        FIELD_ROW(400, "Content-Length: ,5"),
        FIELD_ROW(400, "Content-Length: 5 5"),
        FIELD_ROW(400, "Content-Length: 5;"),
        FIELD_ROW(400, "Content-Length: 0x5"),
        FIELD_ROW(400, "Content-Length: 5h"),
        FIELD_ROW(400, "Content-Length: 5.0"),
        FIELD_ROW(400, "Content-Length: 5e1"),
        FIELD_ROW(400, "Content-Length: 1_000"),
        FIELD_ROW(400, "Content-Length: \"5\""),
        FIELD_ROW(400, "Content-Length: \0005"),
        FIELD_ROW(400, "Content-Length: 5\0"),
        FIELD_ROW(400, "Content-Length: \x0b"
                       "5"),
        FIELD_ROW(400, "Content-Length: 5\r"),
        FIELD_ROW(400, "Content-Length: \xef\xbc\x95"),
        FIELD_ROW(400, "Content-Length: \xc2\xa0"
                       "5"),
        FIELD_ROW(400, "Content-Length: chunked"),
        FIELD_ROW(400, "Content-Length: 9223372036854775808"),
        FIELD_ROW(400, "Content-Length: 18446744073709551615"),
        FIELD_ROW(400, "Content-Length: 18446744073709551616"),
        FIELD_ROW(400, "Content-Length: 18446744073709551621"),
        FIELD_ROW(400, "Content-Length: 99999999999999999999999999999999"),
        FIELD_ROW(400, "Content-Length: 92233720368547758070"),
        FIELD_ROW(400, "Content-Length: 5\nContent-Length: 5"),
        FIELD_ROW(400, "Content-Length: 5\nContent-Length: 6"),
        FIELD_ROW(400, "Content-Length: 5\ncontent-length:"),
        FIELD_ROW(400, "Content-Length: 0\nA: b\nCONTENT-Length: 0"),
        FIELD_ROW(400, "Content-Length : 5"),
        FIELD_ROW(400, "Content-Length\t: 5"),
        FIELD_ROW(400, " Content-Length: 5"),
        FIELD_ROW(400, "Content-Length\0: 5"),
        FIELD_ROW(0, "Content_Length: 5x"),
        FIELD_ROW(0, "Content-Lengt: 5x"),
        FIELD_ROW(0, "X-Content-Length: 5x"),
        ROW(400, "GET / 1\nHost: a\nContent-Length: x"),
        ROW(400, "HEAD / 1\nHost: a\nContent-Length: -1"),
    };
    (void)state;
    CHECK_VERDICTS(rows);
}

static void test_request_check_transfer_encoding_verdicts(void **state)
{
    static const struct verdict_row rows[] = {
        FIELD_ROW(0, "Transfer-Encoding: chunked"),
        FIELD_ROW(0, "transfer-encoding:CHUNKED"),
        FIELD_ROW(0, "Transfer-Encoding: \tChunked \t"),
        FIELD_ROW(400, "Transfer-Encoding:"),
        FIELD_ROW(400, "Transfer-Encoding: chunked,"),
        FIELD_ROW(400, "Transfer-Encoding: ,chunked"),
        FIELD_ROW(400, "Transfer-Encoding: chunked, identity"),
        FIELD_ROW(400, "Transfer-Encoding: identity, chunked"),
        FIELD_ROW(400, "Transfer-Encoding: identity"),
        FIELD_ROW(400, "Transfer-Encoding: chunked, chunked"),
        FIELD_ROW(400, "Transfer-Encoding: chunked chunked"),
        FIELD_ROW(400, "Transfer-Encoding: gzip"),
        FIELD_ROW(400, "Transfer-Encoding: gzip, chunked"),
        FIELD_ROW(400, "Transfer-Encoding: xchunked"),
        FIELD_ROW(400, "Transfer-Encoding: chunkedx"),
        FIELD_ROW(400, "Transfer-Encoding: chunke"),
        FIELD_ROW(400, "Transfer-Encoding: chunked;q=1"),
        FIELD_ROW(400, "Transfer-Encoding: \"chunked\""),
        FIELD_ROW(400, "Transfer-Encoding: 'chunked'"),
        FIELD_ROW(400, "Transfer-Encoding: \x0b"
                       "chunked"),
        FIELD_ROW(400, "Transfer-Encoding: chunked\x0b"),
        FIELD_ROW(400, "Transfer-Encoding: \x0c"
                       "chunked"),
        FIELD_ROW(400, "Transfer-Encoding: chunked\0"),
        FIELD_ROW(400, "Transfer-Encoding: \0chunked"),
        FIELD_ROW(400, "Transfer-Encoding: chunked\r"),
        FIELD_ROW(400, "Transfer-Encoding: chu\tnked"),
        FIELD_ROW(400, "Transfer-Encoding: \x85"
                       "chunked"),
        FIELD_ROW(400, "Transfer-Encoding: \xc2\xa0"
                       "chunked"),
        FIELD_ROW(400, "Transfer-Encoding: c\xef\xbc\x88unked"),
        FIELD_ROW(400, "Transfer-Encoding: chun\xe2\x84\xaa"
                       "ed"),
        FIELD_ROW(400, "Transfer-Encoding: cow"),
        FIELD_ROW(400, "Transfer-Encoding: chunked\nTransfer-Encoding: chunked"),
        FIELD_ROW(400, "Transfer-Encoding: chunked\nTransfer-encoding: cow"),
        FIELD_ROW(400, "Transfer-Encoding: identity\nTransfer-Encoding: chunked"),
        FIELD_ROW(400, "Transfer-Encoding:\nTransfer-Encoding: chunked"),
        FIELD_ROW(400, "Transfer-Encoding: chunked\nContent-Length: 5"),
        FIELD_ROW(400, "Content-Length: 5\nTransfer-Encoding: chunked"),
        FIELD_ROW(400, "Content-Length: 0\nTransfer-Encoding: chunked"),
        FIELD_ROW(400, "Content-Length: 5\nTransfer-Encoding: identity"),
        FIELD_ROW(400, "Content-Length: x\nTransfer-Encoding: chunked"),
        FIELD_ROW(400, "Transfer-Encoding : chunked"),
        FIELD_ROW(400, " Transfer-Encoding: chunked"),
        FIELD_ROW(400, "\x0bTransfer-Encoding: chunked"),
        FIELD_ROW(400, "Transfer-Encoding\0: chunked"),
        FIELD_ROW(400, "A: b\rTransfer-Encoding: chunked"),
        FIELD_ROW(0, "Transfer_Encoding: cow"),
        FIELD_ROW(0, "X-Transfer-Encoding: cow"),
        ROW(400, "POST / 0\nHost: a\nTransfer-Encoding: chunked"),
        ROW(400, "POST / 0\nTransfer-Encoding: identity"),
        ROW(400, "GET / 1\nHost: a\nTransfer-Encoding: gzip"),
    };
    (void)state;
    CHECK_VERDICTS(rows);
}

static void test_request_check_connection_and_expect_verdicts(void **state)
{
    static const struct verdict_row rows[] = {
        FIELD_ROW(0, "Connection: close"),
        FIELD_ROW(0, "Connection:"),
        FIELD_ROW(0, "Connection: , a,, b ,"),
        FIELD_ROW(0, "Connection: content-length, host, transfer-encoding"),
        FIELD_ROW(400, "Connection: a b"),
        FIELD_ROW(400, "Connection: a;b"),
        FIELD_ROW(400, "Connection: \"close\""),
        FIELD_ROW(400, "Connection: close\nConnection: a=b"),
        FIELD_ROW(400, "Connection: a/b"),
        FIELD_ROW(400, "Connection: \xc3\xa9"),
        FIELD_ROW(0, "Expect: 100-continue"),
        FIELD_ROW(0, "Expect: 100-CONTINUE"),
        FIELD_ROW(0, "Expect: 100-continue\nExpect: 100-continue"),
        FIELD_ROW(417, "Expect: 100-continue, 100-continue"),
        FIELD_ROW(417, "Expect:"),
        FIELD_ROW(417, "Expect: 100"),
        FIELD_ROW(417, "Expect: 100-continue;a"),
        FIELD_ROW(417, "Expect: 200-ok"),
        FIELD_ROW(417, "Expect: 100-continue\nExpect: b"),
        ROW(417, "GET / 0\nExpect: b"),
    };
    (void)state;
    CHECK_VERDICTS(rows);
}

static void test_request_check_many_connection_options_refused(void **state)
{
    char value[256];
    struct field items[] = {field_of(TEXT_LITERAL("Host"), TEXT_LITERAL("a")),
                            field_of(TEXT_LITERAL("Connection"), (struct text){value, 0})};
    struct request request = {.method = TEXT_LITERAL("GET"), .target = TEXT_LITERAL("/"), .minor = 1};
    unsigned status = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(value); i++)
        value[i] = i % 2 ? ',' : 'x';
    for (size_t n = 1; n <= 65; n++) {
        request.fields = (struct fields){items, 2, 2};
        items[1].value.length = 2 * n - 1;
        assert_int_equal(n > 64, request_check(&request, &status) != NULL);
    }
    assert_int_equal(status, 400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_check_request_line_verdicts),
        cmocka_unit_test(test_request_check_target_verdicts),
        cmocka_unit_test(test_request_check_host_verdicts),
        cmocka_unit_test(test_request_check_field_syntax_verdicts),
        cmocka_unit_test(test_request_check_content_length_verdicts),
        cmocka_unit_test(test_request_check_transfer_encoding_verdicts),
        cmocka_unit_test(test_request_check_connection_and_expect_verdicts),
        cmocka_unit_test(test_request_check_many_connection_options_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
