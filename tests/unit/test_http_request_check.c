/* request_check: what is refused, with which status, and what is found out about what is accepted. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

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

/* What request_check finds out about a good request. */
static const struct {
    const char *request, *authority, *origin, *findings;
} finding_rows[] = {
    {"GET /a?b 1\nHost: c:80", "c:80", "/a?b", " safe"},
    {"GET / 1\nHost:", "", "/", " safe"},
    {"HEAD / 1\nHost: a", "a", "/", " head safe"},
    {"TRACE / 1\nHost: a", "a", "/", " safe"},
    {"OPTIONS * 1\nHost: a", "a", "*", " safe"},
    {"OPTIONS http://b 1\nHost: a", "b", "*", " safe"},
    {"OPTIONS http://b/ 1\nHost: a", "b", "/", " safe"},
    {"OPTIONS http://b?c 1\nHost: a", "b", "?c", " safe"},
    {"GET http://b 1\nHost: a", "b", "/", " safe"},
    {"GET http://b?c 1\nHost: a", "b", "?c", " safe"},
    {"GET http://b? 1\nHost: a", "b", "?", " safe"},
    {"GET hTTps://B:443/c/../d?e 1\nHost: a", "B:443", "/c/../d?e", " safe"},
    {"GET http://[::1]:8080/c 1\nHost:", "[::1]:8080", "/c", " safe"},
    {"head / 1\nHost: a", "a", "/", ""},
    {"get / 1\nHost: a", "a", "/", ""},
    {"PUT / 1\nHost: a", "a", "/", ""},
    {"DELETE / 1\nHost: a", "a", "/", ""},
    {"POST / 1\nHost: a\nContent-Length: 0", "a", "/", " length=0"},
    {"POST / 1\nHost: a\nContent-Length: 007", "a", "/", " length=7"},
    {"POST / 1\nHost: a\nContent-Length: 9223372036854775807", "a", "/", " length=9223372036854775807"},
    {"POST / 1\nHost: a\nTransfer-Encoding: CHUNKED", "a", "/", " chunked"},
    {"GET / 1\nHost: a\nContent-Length: 3", "a", "/", " length=3 safe"},
    {"POST / 1\nHost: a\nContent-Length: 3\nExpect: 100-continue", "a", "/", " length=3 expect"},
    {"POST / 1\nHost: a\nTransfer-Encoding: chunked\nexpect: 100-Continue", "a", "/", " chunked expect"},
    {"POST / 1\nHost: a\nContent-Length: 0\nExpect: 100-continue", "a", "/", " length=0"},
    {"POST / 1\nHost: a\nExpect: 100-continue", "a", "/", ""},
    {"POST / 0\nHost: a\nContent-Length: 3\nExpect: 100-continue", "a", "/", " length=3 close"},
    {"POST / 0", "localhost", "/", " close"},
    {"POST / 0\nConnection: Keep-Alive", "localhost", "/", ""},
    {"POST / 0\nConnection: keep-alive\nConnection: close", "localhost", "/", " close"},
    {"POST / 1\nHost: a\nConnection: a, CLOSE", "a", "/", " close"},
    {"POST / 1\nHost: a\nConnection: keep-alive, close", "a", "/", " close"},
    {"POST / 1\nHost: a\nConnection: closed", "a", "/", ""},
    {"POST / 1\nHost: a\nProxy-Connection: close", "a", "/", ""},
    {"POST / 1\nHost: a\nConnection: Upgrade\nUpgrade: tcp", "a", "/", " upgrade"},
    {"POST / 1\nHost: a\nUpgrade: tcp\nConnection: keep-alive, upgrade", "a", "/", " upgrade"},
    {"POST / 1\nHost: a\nUpgrade: tcp", "a", "/", ""},
    {"POST / 1\nHost: a\nConnection: upgrade", "a", "/", ""},
    {"POST / 0\nConnection: upgrade, keep-alive\nUpgrade: tcp", "localhost", "/", ""},
    {"POST / 1\nHost: a\nTE: trailers", "a", "/", " trailers"},
    {"POST / 1\nHost: a\nConnection: TE\nTe: gzip;q=0.5 ,,TRAILERS", "a", "/", " trailers"},
    {"POST / 1\nHost: a\nTE: trailers ; q=1, deflate\nTE: gzip", "a", "/", " trailers"},
    {"POST / 1\nHost: a\nTE: gzip\nTE: trailers\nConnection: upgrade, te\nUpgrade: b", "a", "/", " upgrade trailers"},
    {"POST / 1\nHost: a\nTE:", "a", "/", ""},
    {"POST / 1\nHost: a\nTE: gzip;trailers, trailer, xtrailers, ;trailers, \"trailers\"", "a", "/", ""},
    {"POST / 1\nHost: a\nTrailer: trailers\nConnection: TE", "a", "/", ""},
    {"GET / 1\nHost: a\nAuthorization: Basic NTLM==", "a", "/", " safe"},
    {"GET / 1\nHost: a\nX-Authorization: NTLM a\nWWW-Authenticate: NTLM", "a", "/", " safe"},
    {"GET / 1\nHost: a\nauthorization: Negotiate YII", "a", "/", " safe personal"},
    {"GET / 1\nHost: a\nProxy-Authorization: ntlm a\nAuthorization: Basic b", "a", "/", " safe personal"},
    {"POST / 0\nHost: a\nConnection: TE, keep-alive\nTE: trailers", "a", "/", ""},
};

static void format_findings(const struct request *request, char *out, size_t size)
{
    char length[32] = "";

    if (request->body == BODY_LENGTH)
        snprintf(length, sizeof(length), " length=%" PRIu64, request->content_length);
    snprintf(out, size, "%s%s%s%s%s%s%s%s%s", length, request->body == BODY_CHUNKED ? " chunked" : "",
             request->is_head ? " head" : "", request->is_safe ? " safe" : "",
             request->expect_continue ? " expect" : "", request->close ? " close" : "",
             request->upgrade ? " upgrade" : "", request->trailers ? " trailers" : "",
             request->personal ? " personal" : "");
}

static void test_request_check_good_request_findings(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(finding_rows) / sizeof(finding_rows[0]); i++) {
        struct request_text text;
        unsigned status = 7;
        char findings[128];

        assert_true(request_from_text(&text, text_of(finding_rows[i].request)));
        assert_null(request_check(&text.request, &status));
        assert_int_equal(status, 7);
        assert_true(text_equal(text.request.authority, text_of(finding_rows[i].authority)));
        assert_true(text_equal(text.request.origin, text_of(finding_rows[i].origin)));
        format_findings(&text.request, findings, sizeof(findings));
        assert_string_equal(findings, finding_rows[i].findings);
    }
}

/* What clients send over Unix sockets, and what a request over TCP with it gets: its own Host, or 400. */
static void test_request_check_host_that_names_a_socket_is_none_from_local_client(void **state)
{
    static const struct {
        const char *host, *local, *remote; /* authorities; NULL: 400 */
    } rows[] = {
        {"", "localhost", ""},
        {"/run/app.sock", "localhost", NULL},
        {"/run/a b.sock:80", "localhost", NULL},
        {"./app.sock", "localhost", NULL},
        {"../app.sock", "localhost", NULL},
        {"run/app.sock", "localhost", NULL},
        {"unix:/run/app.sock", "localhost", NULL},
        {"unix:///run/app.sock", "localhost", NULL},
        {"UNIX:run/x", "localhost", NULL},
        {"unix:app.sock", "localhost", NULL},
        {"unix:@app", "localhost", NULL},
        {"http+unix://%2Frun%2Fapp.sock", "localhost", NULL},
        {"%2Frun%2Fapp.sock", "localhost", NULL},
        {"%2frun%2fapp.sock:80", "localhost", NULL},
        {".%2Fapp.sock", "localhost", NULL},
        {"2f72756e2f612e736f636b:0", "localhost", "2f72756e2f612e736f636b:0"},
        /* hosts */
        {"localhost", "localhost", "localhost"},
        {"api.moby.localhost", "api.moby.localhost", "api.moby.localhost"},
        {"app.sock", "app.sock", "app.sock"},
        {"unix", "unix", "unix"},
        {"unix:80", "unix:80", "unix:80"},
        {"d", "d", "d"},
        {"2f3a4b5c6d7e", "2f3a4b5c6d7e", "2f3a4b5c6d7e"},
        {"2f3:0", "2f3:0", "2f3:0"},
        {"a.b.", "a.b.", "a.b."},
        /* neither */
        {"a%20b", NULL, NULL},
        {"a%00", NULL, NULL},
        {"..", NULL, NULL},
        {"a..b", NULL, NULL},
        {"a b", NULL, NULL},
        {"user@a", NULL, NULL},
        {"http://a/", NULL, NULL},
        {"HTTPS://a", NULL, NULL},
        {"a:b", NULL, NULL},
        {"@app", NULL, NULL},
        {"\\run\\app.sock", NULL, NULL},
        {"%61", NULL, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (int local = 0; local < 2; local++) {
            const char *expected = local ? rows[i].local : rows[i].remote;
            struct request_text text;
            char request[128];
            unsigned status = 0;

            snprintf(request, sizeof(request), "GET / 1\nHost: %s", rows[i].host);
            assert_true(request_from_text(&text, text_of(request)));
            text.request.local = local;
            if ((request_check(&text.request, &status) == NULL) != (expected != NULL))
                fail_msg("%s, local %d", rows[i].host, local);
            if (expected && !text_equal(text.request.authority, text_of(expected)))
                fail_msg("%s, local %d: %.*s", rows[i].host, local, (int)text.request.authority.length,
                         text.request.authority.data);
            assert_int_equal(status, expected ? 0 : 400);
        }
    }
}

static void test_request_given_id_fields_expected_id(void **state)
{
    static const struct {
        const char *fields, *id;
    } rows[] = {
        {"", ""},
        {"X-Request-Id: abc-123", "abc-123"},
        {"x-request-id:  f47ac10b-58cc-4372-a567-0e02b2c3d479 ", "f47ac10b-58cc-4372-a567-0e02b2c3d479"},
        {"X-Request-Id:", ""},
        {"X-Request-Id: a b", ""},
        {"X-Request-Id: a/b:c=d+e{f}", "a/b:c=d+e{f}"},
        {"X-Request-Id: a\"b\\,<c>%0d;~!", "a\"b\\,<c>%0d;~!"},
        {"X-Request-Id: a\tb", ""},
        {"X-Request-Id: a\nX-Request-Id:", ""},
        {"X-Request-Id:\nX-Request-Id: a", ""},
        {"X-Request-Id: \xc3\xa9", ""},
        {"X-Request-Id: a\nX-Request-Id: b", ""},
        {"X-Request-Id: a\nX-Request-Id: a b", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct request_text text;
        unsigned status;
        char request[256];

        snprintf(request, sizeof(request), "GET / 1\nHost: a\n%s", rows[i].fields);
        assert_true(request_from_text(&text, text_of(request)));
        assert_null(request_check(&text.request, &status));
        if (!text_equal(request_given_id(&text.request), text_of(rows[i].id)))
            fail_msg("%s", rows[i].fields);
    }
    for (int n = 255; n <= 257; n++) {
        struct request_text text;
        unsigned status;
        char request[512];

        snprintf(request, sizeof(request), "GET / 1\nHost: a\nX-Request-Id: %0*d", n, 7);
        assert_true(request_from_text(&text, text_of(request)));
        assert_null(request_check(&text.request, &status));
        assert_int_equal(request_given_id(&text.request).length, n <= 256 ? n : 0);
    }
}

/* Fields of a peer that is not trusted, by whether they are dropped. */
static void test_request_check_claims_are_dropped(void **state)
{
    static const struct {
        const char *name;
        bool untrusted, trusted; /* dropped */
    } rows[] = {
        {"Forwarded", true, false},
        {"X-Forwarded-For", true, false},
        {"x-forwarded-anything", true, false},
        {"X-FORWARDED-TLS-CLIENT-CERT", true, false},
        {"X-Real-IP", true, false},
        {"X-Original-URL", true, false},
        {"X-Rewrite-URL", true, false},
        {"X-HTTP-Method-Override", true, false},
        {"True-Client-IP", true, false},
        {"Remote-User", true, false},
        {"Proxy", true, false},
        {"X_Forwarded_For", true, true},
        {"x_forwarded_anything", true, true},
        {"X-Real_IP", true, true},
        {"X.Original.URL", true, true},
        {"Content_Length", true, true},
        {"Transfer~Encoding", true, true},
        {"X_Request_ID", true, true},
        {"Via", false, false},
        {"X-Request-Id", false, false},
        {"X-Forward", false, false},
        {"X-Realm", false, false},
        {"X-Client-Id", false, false},
        {"Content-Type", false, false},
        {"Content_Type", false, false},
        {"My_Field", false, false},
        {"_", false, false},
        {"x-", false, false},
        {"X", false, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (int trusted = 0; trusted < 2; trusted++) {
            struct request_text text;
            char request[128];
            unsigned status = 0;

            snprintf(request, sizeof(request), "GET / 1\nHost: h\n%s: 1", rows[i].name);
            assert_true(request_from_text(&text, text_of(request)));
            text.request.trusted = trusted;
            assert_null(request_check(&text.request, &status));
            if (text.items[1].drop != (trusted ? rows[i].trusted : rows[i].untrusted))
                fail_msg("%s, trusted %d", rows[i].name, trusted);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_check_claims_are_dropped),
        cmocka_unit_test(test_request_check_request_line_verdicts),
        cmocka_unit_test(test_request_check_target_verdicts),
        cmocka_unit_test(test_request_check_host_verdicts),
        cmocka_unit_test(test_request_check_field_syntax_verdicts),
        cmocka_unit_test(test_request_check_content_length_verdicts),
        cmocka_unit_test(test_request_check_transfer_encoding_verdicts),
        cmocka_unit_test(test_request_check_connection_and_expect_verdicts),
        cmocka_unit_test(test_request_check_many_connection_options_refused),
        cmocka_unit_test(test_request_check_good_request_findings),
        cmocka_unit_test(test_request_check_host_that_names_a_socket_is_none_from_local_client),
        cmocka_unit_test(test_request_given_id_fields_expected_id),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
