/* forward_write: the bytes that go to the target. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/http_text.h"

/* Two clients: one at a Unix socket, one at a TCP socket. */
static const struct forward unix_client = {.client_node = {"_uid-7.gid-8", 12}, .request_id = {"id", 2}};
static const struct forward tcp_client = {.client_address = {"192.0.2.1", 9}, .client_node = {"192.0.2.1", 9}};
static const struct forward expecting_client = {.client_node = {"unknown", 7}, .expect_continue = true};

/* What may be offered: some protocols, nothing. */
static char *const some_protocols[] = {(char[]){"websocket"}, (char[]){"h2c"}, NULL};
static char *const no_protocols[] = {NULL};
static const struct forward some_client = {
    .client_node = {"_uid-7.gid-8", 12}, .request_id = {"id", 2}, .upgrade_allowed = some_protocols};
static const struct forward no_client = {
    .client_node = {"_uid-7.gid-8", 12}, .request_id = {"id", 2}, .upgrade_allowed = no_protocols};

/* What the Unix client adds when the request is for host "h" and has nothing of the kind. */
#define VIA "Via: 1.1 porthole\r\n"
#define FORWARDED "Forwarded: for=_uid-7.gid-8;host=h;proto=http\r\n"
#define FORWARDED_HOST "X-Forwarded-Host: h\r\n"
#define FORWARDED_PROTO "X-Forwarded-Proto: http\r\n"
#define ID "X-Request-Id: id\r\n"
#define ADDED VIA FORWARDED FORWARDED_HOST FORWARDED_PROTO ID "\r\n"
#define TCP_FORWARDED "Forwarded: for=192.0.2.1;host=h;proto=http\r\n"

static const struct {
    const struct forward *forward;
    const char *request, *expected;
} rows[] = {
    {&unix_client, "GET / 1\nHost: h", "GET / HTTP/1.1\r\nHost: h\r\n" ADDED},
    {&unix_client, "GET /a/../%2e?b?c 1\nHost: h", "GET /a/../%2e?b?c HTTP/1.1\r\nHost: h\r\n" ADDED},
    {&unix_client, "OPTIONS * 1\nHost: h", "OPTIONS * HTTP/1.1\r\nHost: h\r\n" ADDED},
    {&unix_client, "OPTIONS http://h 1\nHost: x", "OPTIONS * HTTP/1.1\r\nHost: h\r\n" ADDED},
    {&unix_client, "GET http://h 1\nHost: x", "GET / HTTP/1.1\r\nHost: h\r\n" ADDED},
    {&unix_client, "GET http://h?a 1\nHost: x", "GET /?a HTTP/1.1\r\nHost: h\r\n" ADDED},
    {&unix_client, "GET https://h/a 1\nHost: x\nA: b", "GET /a HTTP/1.1\r\nHost: h\r\nA: b\r\n" ADDED},
    {&unix_client, "GET / 1\nA: 1\nhost: h\na:2\nB:\nA:  3 ",
     "GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\na: 2\r\nB: \r\nA: 3\r\n" ADDED},
    {&unix_client, "POST / 1\nHost: h\ncontent-length: 005\nA: b",
     "POST / HTTP/1.1\r\nHost: h\r\nA: b\r\nContent-Length: 5\r\n" ADDED},
    {&unix_client, "POST / 1\nHost: h\nContent-Length: 9223372036854775807",
     "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9223372036854775807\r\n" ADDED},
    {&unix_client, "POST / 1\nHost: h\nContent-Length: 0", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n" ADDED},
    {&unix_client, "POST / 1\nHost: h\ntransfer-encoding: CHUNKED\nTrailer: a\nTE: trailers",
     "POST / HTTP/1.1\r\nHost: h\r\nTrailer: a\r\nTransfer-Encoding: chunked\r\nConnection: TE\r\nTE: "
     "trailers\r\n" ADDED},
    {&unix_client, "GET / 1\nHost: h\nTrailer: a\nTE: gzip", "GET / HTTP/1.1\r\nHost: h\r\n" ADDED},
    {&unix_client, "POST / 1\nHost: h\nContent-Length: 0\nTrailer: a\nTE:",
     "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n" ADDED},
    {&unix_client, "POST / 1\nHost: h\nTransfer-Encoding: chunked\nTrailer: a\nTRAILER: b, c\nConnection: TE",
     "POST / HTTP/1.1\r\nHost: h\r\nTrailer: a\r\nTRAILER: b, c\r\nTransfer-Encoding: chunked\r\n" ADDED},
    {&unix_client, "POST / 1\nHost: h\nTransfer-Encoding: chunked\nTrailer: a\nConnection: Trailer",
     "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n" ADDED},
    {&unix_client, "GET / 0\nHost: h\nTE: trailers\nConnection: TE, upgrade\nUpgrade: a",
     "GET / HTTP/1.1\r\nHost: h\r\nVia: 1.0 porthole\r\n" FORWARDED FORWARDED_HOST FORWARDED_PROTO ID "\r\n"},
    {&unix_client, "GET / 1\nHost: h\nTE: gzip, trailers;a\nA: b",
     "GET / HTTP/1.1\r\nHost: h\r\nA: b\r\nConnection: TE\r\nTE: trailers\r\n" ADDED},
    {&unix_client, "GET / 1\nHost: h\nUpgrade: WebSocket\nConnection: upgrade\nSec-WebSocket-Key: k",
     "GET / HTTP/1.1\r\nHost: h\r\nSec-WebSocket-Key: k\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n" ADDED},
    {&unix_client,
     "GET / 1\nHost: h\nUpgrade: SPDY/3.1 ,,tcp,H2C,b c\nUpgrade: \nupgrade:TLS/1.0, IRC/1.0\nConnection: Upgrade",
     "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1, tcp, IRC/1.0\r\n" ADDED},
    {&unix_client, "GET / 1\nHost: h\nUpgrade: h2c\nConnection: Upgrade, HTTP2-Settings\nHTTP2-Settings: AAA",
     "GET / HTTP/1.1\r\nHost: h\r\n" ADDED},
    {&some_client, "GET / 1\nHost: h\nUpgrade: h2c\nConnection: Upgrade, HTTP2-Settings\nHTTP2-Settings: AAA",
     "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n" ADDED},
    {&some_client,
     "POST / 1\nHost: h\nContent-Length: 3\nUpgrade: tcp, WebSocket/13\nConnection: TE, Upgrade\nTE: Trailers",
     "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nConnection: Upgrade, TE\r\nUpgrade: WebSocket/13\r\n"
     "TE: trailers\r\n" ADDED},
    {&some_client, "GET / 1\nHost: h\nUpgrade: tcp\nConnection: Upgrade\nTE: trailers",
     "GET / HTTP/1.1\r\nHost: h\r\nConnection: TE\r\nTE: trailers\r\n" ADDED},
    {&some_client, "GET / 1\nHost: h\nUpgrade: websocket", "GET / HTTP/1.1\r\nHost: h\r\n" ADDED},
    {&no_client, "GET / 1\nHost: h\nUpgrade: websocket\nConnection: Upgrade", "GET / HTTP/1.1\r\nHost: h\r\n" ADDED},
    {&unix_client,
     "GET / 1\nHost: h\nConnection: close, A, upgrade\nUpgrade: b\na: c\nKeep-Alive: d\nProxy-Connection: e",
     "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: b\r\n" ADDED},
    {&unix_client, "GET / 1\nHost: h\nB: c\nConnection: A\nConnection: b\nA: d", "GET / HTTP/1.1\r\nHost: h\r\n" ADDED},
    {&unix_client, "GET / 1\nHost: h\nConnection: \"a\nA: b", NULL},
    {&unix_client,
     "POST / 1\nHost: h\nConnection: host, content-length, via, forwarded, x-forwarded-for, x-forwarded-host, "
     "x-forwarded-proto, x-request-id\nContent-Length: 3\nVia: v\nForwarded: for=f\nX-Forwarded-For: f\n"
     "X-Forwarded-Host: g\nX-Forwarded-Proto: https",
     "POST / HTTP/1.1\r\nHost: h\r\nVia: v\r\nForwarded: for=f\r\nX-Forwarded-For: f\r\nX-Forwarded-Host: g\r\n"
     "X-Forwarded-Proto: https\r\nContent-Length: 3\r\n" VIA FORWARDED ID "\r\n"},
    {&unix_client, "GET / 1\nHost: h\nProxy-Authorization: a\nAuthorization: b\nCookie: c",
     "GET / HTTP/1.1\r\nHost: h\r\nProxy-Authorization: a\r\nAuthorization: b\r\nCookie: c\r\n" ADDED},
    {&unix_client, "POST / 1\nHost: h\nContent-Length: 3\nExpect: 100-continue",
     "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n" ADDED},
    {&expecting_client, "POST / 1\nHost: h\nContent-Length: 3\nExpect: 100-continue",
     "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n" VIA
     "Forwarded: for=unknown;host=h;proto=http\r\n" FORWARDED_HOST FORWARDED_PROTO "\r\n"},
    {&unix_client, "GET / 0\nHost: h",
     "GET / HTTP/1.1\r\nHost: h\r\nVia: 1.0 porthole\r\n" FORWARDED FORWARDED_HOST FORWARDED_PROTO ID "\r\n"},
    {&unix_client, "GET / 0",
     "GET / HTTP/1.1\r\nHost: localhost\r\nVia: 1.0 porthole\r\n"
     "Forwarded: for=_uid-7.gid-8;host=localhost;proto=http\r\nX-Forwarded-Host: localhost\r\n" FORWARDED_PROTO ID
     "\r\n"},
    {&unix_client, "GET / 1\nHost:",
     "GET / HTTP/1.1\r\nHost: \r\n" VIA "Forwarded: for=_uid-7.gid-8;proto=http\r\n" FORWARDED_PROTO ID "\r\n"},
    {&unix_client, "GET / 1\nHost: h:80",
     "GET / HTTP/1.1\r\nHost: h:80\r\n" VIA "Forwarded: for=_uid-7.gid-8;host=\"h:80\";proto=http\r\n"
     "X-Forwarded-Host: h:80\r\n" FORWARDED_PROTO ID "\r\n"},
    {&unix_client, "GET / 1\nHost: [::1]",
     "GET / HTTP/1.1\r\nHost: [::1]\r\n" VIA "Forwarded: for=_uid-7.gid-8;host=\"[::1]\";proto=http\r\n"
     "X-Forwarded-Host: [::1]\r\n" FORWARDED_PROTO ID "\r\n"},
    {&unix_client, "GET / 1\nHost: h\nx-request-id: mine\nX-Request-ID: too", "GET / HTTP/1.1\r\nHost: h\r\n" ADDED},
    {&unix_client, "GET / 1\nHost: h\nVIA: 1.0 a\nVia: 1.1 b\nA: c\nForwarded: for=x",
     "GET / HTTP/1.1\r\nHost: h\r\nVIA: 1.0 a\r\nVia: 1.1 b\r\nA: c\r\nForwarded: for=x\r\n" ADDED},
    {&unix_client, "GET / 1\nHost: h\nX-Forwarded-For: a\nX-Forwarded-For: b",
     "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: a\r\nX-Forwarded-For: b\r\n" ADDED},
    {&tcp_client, "GET / 1\nHost: h",
     "GET / HTTP/1.1\r\nHost: h\r\n" VIA TCP_FORWARDED "X-Forwarded-For: 192.0.2.1\r\n" FORWARDED_HOST FORWARDED_PROTO
     "\r\n"},
    {&tcp_client, "GET / 1\nHost: h\nX-Forwarded-For: a, b\nA: z\nx-forwarded-for:\nX-FORWARDED-FOR: c",
     "GET / HTTP/1.1\r\nHost: h\r\nA: z\r\n" VIA TCP_FORWARDED
     "X-Forwarded-For: a, b, c, 192.0.2.1\r\n" FORWARDED_HOST FORWARDED_PROTO "\r\n"},
    /* an open quote would swallow our element */
    {&unix_client, "GET / 1\nHost: h\nForwarded: for=\"a\\\"\nForwarded: for=\"b;\\\"c\"",
     "GET / HTTP/1.1\r\nHost: h\r\nForwarded: for=\"b;\\\"c\"\r\n" ADDED},
    {&tcp_client, "GET / 1\nHost: h\nx-forwarded-proto: https\nX-Forwarded-Host:",
     "GET / HTTP/1.1\r\nHost: h\r\nx-forwarded-proto: https\r\nX-Forwarded-Host: \r\n" VIA TCP_FORWARDED
     "X-Forwarded-For: 192.0.2.1\r\n\r\n"},
};

static void test_forward_write_checked_request_exact_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct request_text text;
        char out[1024];
        unsigned status;
        size_t length;

        assert_true(request_from_text(&text, text_of(rows[i].request)));
        text.request.trusted = true;
        if (request_check(&text.request, &status)) {
            assert_null(rows[i].expected);
            continue;
        }
        length = forward_write(&text.request, rows[i].forward, out, sizeof(out));
        if (!text_equal((struct text){out, length}, text_of(rows[i].expected)))
            fail_msg("row %zu:\n%.*s\nexpected:\n%s", i, (int)length, out, rows[i].expected);
    }
}

static void test_forward_write_any_small_buffer_nothing_beyond(void **state)
{
    struct request_text text;
    char out[1024];
    unsigned status;
    size_t full;

    (void)state;
    assert_true(request_from_text(
        &text, TEXT_LITERAL("POST http://h:80?q 1\nHost: h\nX-Forwarded-For: a\nContent-Length: 12\nA: b\n"
                            "Connection: upgrade\nUpgrade: a, b\nTE: trailers")));
    text.request.trusted = true;
    assert_null(request_check(&text.request, &status));
    full = forward_write(&text.request, &tcp_client, out, sizeof(out));
    assert_true(full > 0);
    for (size_t size = 0; size <= full; size++) {
        memset(out, '#', sizeof(out));
        assert_int_equal(forward_write(&text.request, &tcp_client, out, size), size < full ? 0 : full);
        assert_int_equal(out[size], '#');
    }
}

/* Who is not trusted says nothing about itself, who is silent says nothing at all. */
static void test_forward_write_claims_by_trust(void **state)
{
    static const char request[] =
        "GET / 1\nHost: h\nForwarded: for=x\nX-Forwarded-For: a\nx-real-ip: b\nX-Forwarded-Proto: c\n"
        "X_Forwarded_For: d\nConnection: x-real-ip\nA: e";
    static const struct {
        bool trusted, silent;
        const char *expected;
    } claim_rows[] = {
        {false, false,
         "A: e\r\n" VIA TCP_FORWARDED "X-Forwarded-For: 192.0.2.1\r\n" FORWARDED_HOST FORWARDED_PROTO "\r\n"},
        {true, false,
         "Forwarded: for=x\r\nx-real-ip: b\r\nX-Forwarded-Proto: c\r\nA: e\r\n" VIA TCP_FORWARDED
         "X-Forwarded-For: a, 192.0.2.1\r\n" FORWARDED_HOST "\r\n"},
        {false, true, "A: e\r\n" VIA "\r\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(claim_rows) / sizeof(claim_rows[0]); i++) {
        struct forward forward = tcp_client;
        struct request_text text;
        char out[1024];
        unsigned status;
        size_t length;

        assert_true(request_from_text(&text, text_of(request)));
        text.request.trusted = claim_rows[i].trusted;
        forward.silent = claim_rows[i].silent;
        assert_null(request_check(&text.request, &status));
        length = forward_write(&text.request, &forward, out, sizeof(out) - 1);
        out[length] = '\0';
        assert_non_null(strstr(out, "\r\nHost: h\r\n"));
        assert_string_equal(strstr(out, "Host: h\r\n") + 9, claim_rows[i].expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forward_write_claims_by_trust),
        cmocka_unit_test(test_forward_write_checked_request_exact_bytes),
        cmocka_unit_test(test_forward_write_any_small_buffer_nothing_beyond),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
