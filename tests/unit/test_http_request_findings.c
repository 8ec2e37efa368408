/* request_check: what is found out about a request that is accepted, and its id. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/http_text.h"

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
        cmocka_unit_test(test_request_check_good_request_findings),
        cmocka_unit_test(test_request_check_host_that_names_a_socket_is_none_from_local_client),
        cmocka_unit_test(test_request_given_id_fields_expected_id),
        cmocka_unit_test(test_request_check_claims_are_dropped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
