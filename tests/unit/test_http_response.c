/* response_parse: heads that are accepted with what they mean, heads that are refused, and arrival in pieces. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proxy/http/response.h"

#define MAX_FIELDS 8

/* One parser with its buffers. */
struct parsed {
    struct response response;
    struct field items[MAX_FIELDS];
    size_t used, scanned;
    const char *why;
};

static enum response_result parse(struct parsed *parsed, struct text data, bool to_head)
{
    parsed->response.fields = (struct fields){parsed->items, 0, MAX_FIELDS};
    return response_parse(data.data, data.length, &parsed->scanned, to_head, &parsed->response, &parsed->used,
                          &parsed->why);
}

/* "200 1.1 length=5 reusable": everything about a good head in one line. */
static void format_meaning(const struct response *response, char *out, size_t size)
{
    static const char *const bodies[] = {
        [BODY_NONE] = "none", [BODY_LENGTH] = "length", [BODY_CHUNKED] = "chunked", [BODY_UNTIL_CLOSE] = "close"};
    char length[32] = "", keep[32] = "";

    if (response->keep_ms != KEEP_ALIVE_SILENT)
        snprintf(keep, sizeof(keep), " keep=%" PRIu64, response->keep_ms);
    if (response->has_content_length)
        snprintf(length, sizeof(length), "=%" PRIu64, response->content_length);
    snprintf(out, size, "%u 1.%u %s%s%s%s%s%s", response->status, response->minor, bodies[response->body], length,
             response->reusable ? " reusable" : "", response->upgrade ? " upgrade" : "",
             response->personal ? " personal" : "", keep);
}

/* The head's lines are given without the empty one. A leading "HEAD " says what it answers to. */
static const struct {
    const char *head, *meaning;
} good_rows[] = {
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", "200 1.1 length=5 reusable"},
    {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", "200 1.1 length=0 reusable"},
    {"HTTP/1.1 200 OK\r\ncontent-length:005\r\n", "200 1.1 length=5 reusable"},
    {"HTTP/1.1 200 OK\r\nContent-Length: \t5 \t\r\n", "200 1.1 length=5 reusable"},
    {"HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n", "200 1.1 length=9223372036854775807 reusable"},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n", "200 1.1 length=5 reusable"},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nA: b\r\nContent-Length: 05\r\n", "200 1.1 length=5 reusable"},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n", "200 1.1 chunked reusable"},
    {"HTTP/1.1 200 OK\r\ntransfer-encoding: CHUNKED\r\n", "200 1.1 chunked reusable"},
    {"HTTP/1.1 200 OK\r\n", "200 1.1 close"},
    {"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n", "200 1.1 close"},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n", "200 1.1 length=5"},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: a, Close\r\n", "200 1.1 length=5"},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: closed\r\n", "200 1.1 length=5 reusable"},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive, close\r\n", "200 1.1 length=5"},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nProxy-Connection: close\r\n", "200 1.1 length=5 reusable"},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n", "200 1.1 chunked"},
    {"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n", "200 1.0 length=5"},
    {"HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: Keep-Alive\r\n", "200 1.0 length=5 reusable"},
    {"HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\nConnection: close\r\n", "200 1.0 length=5"},
    {"HTTP/1.0 200 OK\r\n", "200 1.0 close"},
    {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n", "200 1.0 close"},
    {"HTTP/1.1 204 No Content\r\n", "204 1.1 none reusable"},
    {"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n", "204 1.1 none=0 reusable"},
    {"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n", "204 1.1 none=5"},
    {"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n", "204 1.1 none"},
    {"HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n", "205 1.1 length=0 reusable"},
    {"HTTP/1.1 205 Reset Content\r\nTransfer-Encoding: chunked\r\n", "205 1.1 chunked reusable"},
    {"HTTP/1.1 205 Reset Content\r\n", "205 1.1 close"},
    {"HTTP/1.1 304 Not Modified\r\n", "304 1.1 none reusable"},
    {"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n", "304 1.1 none=5 reusable"},
    {"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n", "304 1.1 none reusable"},
    {"HTTP/1.0 304 Not Modified\r\n", "304 1.0 none"},
    {"HTTP/1.1 401 No\r\nContent-Length: 0\r\nWWW-Authenticate: Basic realm=a\r\n", "401 1.1 length=0 reusable"},
    {"HTTP/1.1 401 No\r\nContent-Length: 0\r\nWWW-Authenticate: Basic\r\nwww-authenticate: NTLM\r\n",
     "401 1.1 length=0 reusable personal"},
    {"HTTP/1.1 407 No\r\nContent-Length: 0\r\nProxy-Authenticate: Basic, Negotiate\r\nWWW-Authenticate: Basic\r\n",
     "407 1.1 length=0 reusable personal"},
    {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nWWW-Authenticate: Negotiate oYG2\r\n",
     "200 1.1 length=0 reusable personal"},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nKeep-Alive: timeout=5, max=100\r\n",
     "200 1.1 length=5 reusable keep=5000"},
    {"HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\nKeep-Alive: "
     "timeout=4\r\n",
     "200 1.0 length=5 reusable keep=4000"},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nKeep-Alive: timeout=5, max=0\r\n", "200 1.1 length=5 keep=0"},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nkeep-alive: timeout=0\r\n", "200 1.1 length=5 keep=0"},
    {"HTTP/1.1 100 Continue\r\n", "100 1.1 none reusable"},
    {"HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n", "100 1.1 none=5"},
    {"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n", "103 1.1 none reusable"},
    {"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n", "101 1.1 none upgrade"},
    {"HTTP/1.1 101 \r\nUpgrade: tcp\r\nConnection: a\r\nConnection: b, UPGRADE\r\n", "101 1.1 none upgrade"},
    {"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n", "101 1.1 none"},
    {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: tcp\r\n", "101 1.1 none"},
    {"HTTP/1.1 101 Switching Protocols\r\n", "101 1.1 none"},
    {"HTTP/1.1 426 \r\nContent-Length: 0\r\nConnection: upgrade\r\nUpgrade: a\r\n",
     "426 1.1 length=0 reusable upgrade"},
    {"HEAD HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", "200 1.1 none=5 reusable"},
    {"HEAD HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n", "200 1.1 none reusable"},
    {"HEAD HTTP/1.1 200 OK\r\n", "200 1.1 none reusable"},
    {"HEAD HTTP/1.0 200 OK\r\n", "200 1.0 none"},
    {"HEAD HTTP/1.1 404 \r\nConnection: close\r\n", "404 1.1 none"},
    {"HTTP/1.1 200 \r\nContent-Length: 1\r\n", "200 1.1 length=1 reusable"},
    {"HTTP/1.1 200\r\nContent-Length: 1\r\n", "200 1.1 length=1 reusable"},
    {"HTTP/1.1 599 \xc3\xa9t\xe9 \t!\r\nContent-Length: 1\r\n", "599 1.1 length=1 reusable"},
    {"HTTP/1.1 999 OK\r\nContent-Length: 1\r\n", "999 1.1 length=1 reusable"},
    {"HTTP/1.1 200 OK\r\nA:\r\nB: \r\n!#$%&'*+-.^_`|~: c\r\nContent-Length: 1\r\n", "200 1.1 length=1 reusable"},
    {"HTTP/1.1 200 OK\r\nA: \xff\t:\r\nX-Content-Length: x\r\nContent-Length: 1\r\n", "200 1.1 length=1 reusable"},
};

static void test_response_parse_good_head_meaning(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(good_rows) / sizeof(good_rows[0]); i++) {
        bool to_head = strncmp(good_rows[i].head, "HEAD ", 5) == 0;
        struct parsed parsed = {0};
        char buffer[256], meaning[128];
        int length = snprintf(buffer, sizeof(buffer), "%s\r\n", good_rows[i].head + (to_head ? 5 : 0));
        struct text data = {buffer, (size_t)length};

        if (parse(&parsed, data, to_head) != RESPONSE_DONE)
            fail_msg("row %zu: %s", i, parsed.why);
        assert_int_equal(parsed.used, data.length);
        assert_null(parsed.why);
        format_meaning(&parsed.response, meaning, sizeof(meaning));
        if (strcmp(meaning, good_rows[i].meaning) != 0)
            fail_msg("row %zu: %s, expected %s", i, meaning, good_rows[i].meaning);
    }
}

#define ROW(literal)                 \
    {                                \
        literal, sizeof(literal) - 1 \
    }
/* Lines after a good status line. */
#define LINES_ROW(literal) ROW("HTTP/1.1 200 OK\r\n" literal "\r\n\r\n")

static const struct text bad_rows[] = {
    ROW("\r\n"),
    ROW("\r\nHTTP/1.1 200 OK\r\n\r\n"),
    ROW(" HTTP/1.1 200 OK\r\n\r\n"),
    ROW("<html>"),
    ROW("SSH-2.0-OpenSSH"),
    ROW("\0"),
    ROW("http/1.1 200 OK\r\n\r\n"),
    ROW("HTTP/2"),
    ROW("HTTP/0.9 200 OK\r\n\r\n"),
    ROW("HTTP/1.2"),
    ROW("HTTP/1.10 200 OK\r\n\r\n"),
    ROW("HTTP/1,1 200 OK\r\n\r\n"),
    ROW("HTTP/1 200 OK\r\n\r\n"),
    ROW("HTTP 1.1 200 OK\r\n\r\n"),
    ROW("HTTPS/1.1 200 OK\r\n\r\n"),
    ROW("ICY 200 OK\r\n\r\n"),
    ROW("HTTP/1.1\r\n"),
    ROW("HTTP/1.1 \r\n"),
    ROW("HTTP/1.1\t200 OK\r\n\r\n"),
    ROW("HTTP/1.1  200 OK\r\n\r\n"),
    ROW("HTTP/1.1200 OK\r\n\r\n"),
    ROW("HTTP/1.1 20"
        "\r\n"),
    ROW("HTTP/1.1 2000 OK\r\n\r\n"),
    ROW("HTTP/1.1 099 OK\r\n\r\n"),
    ROW("HTTP/1.1 000 OK\r\n\r\n"),
    ROW("HTTP/1.1 -20 OK\r\n\r\n"),
    ROW("HTTP/1.1 2x0 OK\r\n\r\n"),
    ROW("HTTP/1.1 200OK\r\n\r\n"),
    ROW("HTTP/1.1 200\tOK\r\n\r\n"),
    ROW("HTTP/1.1 200.0 OK\r\n\r\n"),
    ROW("HTTP/1.1 200 OK\n"),
    ROW("HTTP/1.1 200\n"),
    ROW("HTTP/1.1 200 OK\n\n"),
    ROW("HTTP/1.1 200 OK\rA: b\r\n\r\n"),
    ROW("HTTP/1.1 200 OK\r\r\n\r\n"),
    ROW("HTTP/1.1 200 O\0K\r\n\r\n"),
    ROW("HTTP/1.1 200 \x1b[0m\r\n\r\n"),
    ROW("HTTP/1.1 200 \x7f\r\n\r\n"),
    ROW("HTTP/1.1 200 OK\r\n\n"),
    ROW("HTTP/1.1 200 OK\r\nA: b\n"),
    ROW("HTTP/1.1 200 OK\r\nA: b\n\r\n"),
    ROW("HTTP/1.1 200 OK\r\nA: b\r\n\n"),
    LINES_ROW("A: b\rC: d"),
    LINES_ROW("A: b\r"),
    LINES_ROW("\rA: b"),
    LINES_ROW(" A: b"),
    LINES_ROW("\tA: b"),
    LINES_ROW("A: b\r\n c"),
    LINES_ROW("A: b\r\n\tc"),
    LINES_ROW("A: b\r\n "),
    LINES_ROW("A : b"),
    LINES_ROW("A\t: b"),
    LINES_ROW("A"),
    LINES_ROW("A b"),
    LINES_ROW(": b"),
    LINES_ROW(":"),
    LINES_ROW("A B: c"),
    LINES_ROW("A\0: b"),
    LINES_ROW("A\x80: b"),
    LINES_ROW("A(: b"),
    LINES_ROW("\"A\": b"),
    LINES_ROW("A: \0"),
    LINES_ROW("A: b\0c"),
    LINES_ROW("A: \x0b"),
    LINES_ROW("A: \x1b[0m"),
    LINES_ROW("A: \x7f"),
    LINES_ROW("Content-Length:"),
    LINES_ROW("Content-Length: +5"),
    LINES_ROW("Content-Length: -5"),
    LINES_ROW("Content-Length: 5, 5"),
    LINES_ROW("Content-Length: 5 6"),
    LINES_ROW("Content-Length: 0x5"),
    LINES_ROW("Content-Length: 5\x0b"),
    LINES_ROW("Content-Length : 5"),
    LINES_ROW("Content-Length: 9223372036854775808"),
    LINES_ROW("Content-Length: 18446744073709551615"),
    LINES_ROW("Content-Length: 18446744073709551621"),
    LINES_ROW("Content-Length: 5\r\nContent-Length: 6"),
    LINES_ROW("Content-Length: 0\r\nContent-Length: 6"),
    LINES_ROW("Content-Length: 5\r\nContent-Length:"),
    LINES_ROW("Content-Length: 5\r\nTransfer-Encoding: chunked"),
    LINES_ROW("Transfer-Encoding: chunked\r\nContent-Length: 5"),
    LINES_ROW("Transfer-Encoding: chunked\r\nContent-Length: 0"),
    LINES_ROW("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
    LINES_ROW("Transfer-Encoding:"),
    LINES_ROW("Transfer-Encoding: identity"),
    LINES_ROW("Transfer-Encoding: gzip"),
    LINES_ROW("Transfer-Encoding: gzip, chunked"),
    LINES_ROW("Transfer-Encoding: chunked, identity"),
    LINES_ROW("Transfer-Encoding: chunked, chunked"),
    LINES_ROW("Transfer-Encoding: xchunked"),
    LINES_ROW("Transfer-Encoding: \x0b"
              "chunked"),
    LINES_ROW("Transfer-Encoding : chunked"),
    LINES_ROW("Connection: a b"),
    LINES_ROW("Connection: \"close\""),
    ROW("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ROW("HTTP/1.1 204 No Content\r\nContent-Length: x\r\n\r\n"),
    ROW("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
    LINES_ROW("1: a\r\n2: a\r\n3: a\r\n4: a\r\n5: a\r\n6: a\r\n7: a\r\n8: a\r\n9: a"),
};

static void test_response_parse_bad_head_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad_rows) / sizeof(bad_rows[0]); i++) {
        struct parsed parsed = {.used = 99};

        if (parse(&parsed, bad_rows[i], false) != RESPONSE_BAD)
            fail_msg("row %zu: %.*s", i, (int)bad_rows[i].length, bad_rows[i].data);
        assert_non_null(parsed.why);
        assert_int_equal(parsed.used, 99);
    }
}

/* What each prefix gets when it comes byte by byte is what it gets at once; each prefix is in memory of its own
 * size, so that a look beyond it is seen. */
static void check_prefixes(struct text data)
{
    struct parsed pieces = {0};
    enum response_result result = RESPONSE_MORE;

    for (size_t n = 1; n <= data.length && result == RESPONSE_MORE; n++) {
        struct parsed whole = {0};
        char *copy = malloc(n);

        assert_non_null(copy);
        memcpy(copy, data.data, n);
        result = parse(&pieces, (struct text){copy, n}, false);
        assert_int_equal(result, parse(&whole, (struct text){copy, n}, false));
        assert_ptr_equal(pieces.why, whole.why);
        assert_int_equal(pieces.used, whole.used);
        free(copy);
    }
    assert_int_not_equal(result, RESPONSE_MORE);
}

static void test_response_parse_byte_by_byte_same_as_whole(void **state)
{
    (void)state;
    check_prefixes((struct text)ROW("HTTP/1.1 200 OK\r\n\r\n"));
    check_prefixes((struct text)LINES_ROW("A: b\r\nContent-Length: 5\r\nC:"));
    for (size_t i = 0; i < sizeof(bad_rows) / sizeof(bad_rows[0]); i++)
        check_prefixes(bad_rows[i]);
}

static void test_response_parse_bytes_after_head_not_used(void **state)
{
    static const struct text data = ROW("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc\nHTTP/1.1 \r\n\r\n");
    struct parsed parsed = {0};

    (void)state;
    assert_int_equal(parse(&parsed, data, false), RESPONSE_DONE);
    assert_int_equal(parsed.used, 38);
}

static void test_response_parse_fields_in_order_with_marks(void **state)
{
    static const struct text data =
        LINES_ROW("Trailer: t\r\nSet-Cookie: a\r\nX-Hop:  b \r\nSET-COOKIE: c\r\nConnection: X-Hop, Date\r\n"
                  "Content-Length: 1\r\nDate: d\r\nKeep-Alive:");
    static const struct {
        const char *name, *value;
        enum field_id id;
        bool drop;
    } expected[] = {
        {"Trailer", "t", FIELD_TRAILER, false},
        {"Set-Cookie", "a", FIELD_OTHER, false},
        {"X-Hop", "b", FIELD_OTHER, true},
        {"SET-COOKIE", "c", FIELD_OTHER, false},
        {"Connection", "X-Hop, Date", FIELD_CONNECTION, true},
        {"Content-Length", "1", FIELD_CONTENT_LENGTH, true},
        {"Date", "d", FIELD_DATE, true},
        {"Keep-Alive", "", FIELD_KEEP_ALIVE, true},
    };
    struct parsed parsed = {0};

    (void)state;
    assert_int_equal(parse(&parsed, data, false), RESPONSE_DONE);
    assert_true(text_equal(parsed.response.reason, TEXT_LITERAL("OK")));
    assert_int_equal(parsed.response.fields.n_items, sizeof(expected) / sizeof(expected[0]));
    for (size_t i = 0; i < parsed.response.fields.n_items; i++) {
        assert_true(text_equal(parsed.items[i].name, text_of(expected[i].name)));
        assert_true(text_equal(parsed.items[i].value, text_of(expected[i].value)));
        assert_int_equal(parsed.items[i].id, expected[i].id);
        assert_int_equal(parsed.items[i].drop, expected[i].drop);
    }
}

static void test_response_parse_switching_fields_of_hop_dropped(void **state)
{
    static const struct text data =
        ROW("HTTP/1.1 101 \r\nUpgrade: a\r\nSec-WebSocket-Accept: b\r\nConnection: Upgrade\r\n\r\n\x81");
    struct parsed parsed = {0};

    (void)state;
    assert_int_equal(parse(&parsed, data, false), RESPONSE_DONE);
    assert_true(parsed.response.upgrade);
    assert_int_equal(parsed.used, data.length - 1);
    assert_int_equal(parsed.response.fields.n_items, 3);
    assert_true(parsed.items[0].drop && !parsed.items[1].drop && parsed.items[2].drop);
}

static void test_response_parse_long_status_line_refused(void **state)
{
    char data[2048];
    struct parsed parsed = {0};

    (void)state;
    memset(data, 'x', sizeof(data));
    memcpy(data, "HTTP/1.1 200 ", 13);
    assert_int_equal(parse(&parsed, (struct text){data, 1024}, false), RESPONSE_MORE);
    assert_int_equal(parse(&parsed, (struct text){data, 1025}, false), RESPONSE_BAD);
    memcpy(data + 1024, "\r\n\r\n", 4);
    assert_int_equal(parse(&parsed, (struct text){data, 1028}, false), RESPONSE_DONE);
    memcpy(data + 1025, "\r\n\r\n", 4);
    data[1024] = 'x';
    assert_int_equal(parse(&parsed, (struct text){data, 1029}, false), RESPONSE_BAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_response_parse_good_head_meaning),
        cmocka_unit_test(test_response_parse_bad_head_refused),
        cmocka_unit_test(test_response_parse_byte_by_byte_same_as_whole),
        cmocka_unit_test(test_response_parse_bytes_after_head_not_used),
        cmocka_unit_test(test_response_parse_fields_in_order_with_marks),
        cmocka_unit_test(test_response_parse_switching_fields_of_hop_dropped),
        cmocka_unit_test(test_response_parse_long_status_line_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
