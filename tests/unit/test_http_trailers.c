/* Trailer sections: what is a section, what of it is forwarded, and the bytes that are. */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proxy/http/trailers.h"

#define MAX_FIELDS 4

/* Parses from memory of the section's own size, so that a look beyond it is seen, and writes what is kept. */
static const char *parse_and_write(struct text section, char *out, size_t size, size_t *ret_length)
{
    struct field items[MAX_FIELDS];
    struct fields fields = {items, 99, MAX_FIELDS};
    char *copy = malloc(section.length > 0 ? section.length : 1);
    const char *why;

    assert_non_null(copy);
    if (section.length > 0)
        memcpy(copy, section.data, section.length);
    why = trailers_parse((struct text){copy, section.length}, &fields);
    if (!why)
        *ret_length = trailers_write(&fields, out, size);
    free(copy);
    return why;
}

static void test_trailers_parse_good_section_written_without_forbidden(void **state)
{
    static const char *const rows[][2] = {
        {"\r\n", ""},
        {"A: b\r\n\r\n", "A: b\r\n"},
        {"A:\t b \r\nc:\r\nA:d\r\n\r\n", "A: b\r\nc: \r\nA: d\r\n"},
        {"grpc-status: 0\r\nGrpc-Message: a b\xff\r\n\r\n", "grpc-status: 0\r\nGrpc-Message: a b\xff\r\n"},
        {"Host: a\r\n\r\n", ""},
        {"A: 1\r\nContent-Length: 5\r\nB: 2\r\nTRANSFER-ENCODING: chunked\r\n\r\n", "A: 1\r\nB: 2\r\n"},
        {"Connection: A\r\nA: b\r\n\r\n", "A: b\r\n"},
        {"1: a\r\n2: a\r\n3: a\r\n4: a\r\n\r\n", "1: a\r\n2: a\r\n3: a\r\n4: a\r\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char out[256];
        size_t length = 0;
        const char *why = parse_and_write(text_of(rows[i][0]), out, sizeof(out), &length);

        if (why || !text_equal((struct text){out, length}, text_of(rows[i][1])))
            fail_msg("row %zu: %s %.*s", i, why ? why : "", (int)length, out);
    }
}

#define ROW(literal)                 \
    {                                \
        literal, sizeof(literal) - 1 \
    }

static void test_trailers_parse_bad_section_refused(void **state)
{
    static const struct text rows[] = {
        ROW(""),
        ROW("\r"),
        ROW("\n"),
        ROW("\n\n"),
        ROW("\r\n\r\n"),
        ROW("A: b"),
        ROW("A: b\r\n"),
        ROW("A: b\r\n\n"),
        ROW("A: b\n\r\n"),
        ROW("A: b\r\r\n"),
        ROW("A: b\r\n\r\n\r\n"),
        ROW("A: b\r\n\r\nC: d\r\n\r\n"),
        ROW("A\r\n\r\n"),
        ROW("A:\r\n\r"),
        ROW(": b\r\n\r\n"),
        ROW("A : b\r\n\r\n"),
        ROW(" A: b\r\n\r\n"),
        ROW("A: b\r\n c\r\n\r\n"),
        ROW("A: b\nC: d\r\n\r\n"),
        ROW("A: b\rC: d\r\n\r\n"),
        ROW("A: \0\r\n\r\n"),
        ROW("A: \x7f\r\n\r\n"),
        ROW("A\0: b\r\n\r\n"),
        ROW("1: a\r\n2: a\r\n3: a\r\n4: a\r\n5: a\r\n\r\n"),
        ROW("Host: a\r\nHost: a\r\nHost: a\r\nHost: a\r\nHost: a\r\n\r\n"),
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char out[256];
        size_t length = 0;

        if (!parse_and_write(rows[i], out, sizeof(out), &length))
            fail_msg("row %zu: %.*s", i, (int)rows[i].length, rows[i].data);
    }
}

/* Whether both ways to collect it forward a field of this name; they must agree, in any case of letters. */
static bool is_kept(const char *name)
{
    char upper[64], section[80], out[80];
    size_t length = strlen(name), written = 0;
    struct field item = {.drop = true};
    struct fields fields = {&item, 1, 1};
    bool kept;

    assert_true(length < sizeof(upper));
    for (size_t i = 0; i <= length; i++)
        upper[i] = (char)toupper((unsigned char)name[i]);
    snprintf(section, sizeof(section), "%s: v\r\n\r\n", name);
    assert_null(parse_and_write(text_of(section), out, sizeof(out), &written));
    kept = written > 0;
    item.name = (struct text){upper, length};
    item.value = TEXT_LITERAL(" v ");
    assert_null(trailers_check(&fields));
    assert_int_equal(item.drop, !kept);
    assert_true(text_equal(item.value, TEXT_LITERAL("v")));
    assert_int_equal(item.id, field_identify(text_of(name)));
    return kept;
}

static void test_trailers_forbidden_names_dropped(void **state)
{
    static const char *const names[] = {
        "content-length",
        "transfer-encoding",
        "content-type",
        "content-encoding",
        "content-range",
        "content-language",
        "content-location",
        "content-disposition",
        "content-security-policy",
        "trailer",
        "mime-version",
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "upgrade",
        "http2-settings",
        "host",
        "max-forwards",
        "via",
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-forwarded-anything",
        "x_forwarded_for",
        "X.Real.IP",
        "content_length",
        "set_cookie",
        "x-remote-user",
        "x-original-url",
        "x-real-ip",
        "x-request-id",
        "alt-svc",
        "x-accel-redirect",
        "accept",
        "accept-encoding",
        "accept-language",
        "expect",
        "if-match",
        "if-none-match",
        "if-modified-since",
        "if-unmodified-since",
        "if-range",
        "prefer",
        "range",
        "origin",
        "x-http-method-override",
        "access-control-allow-origin",
        "sec-websocket-key",
        "authorization",
        "www-authenticate",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-authentication-info",
        "cookie",
        "set-cookie",
        "set-cookie2",
        "age",
        "cache-control",
        "date",
        "expires",
        "last-modified",
        "location",
        "pragma",
        "retry-after",
        "vary",
        "warning",
        "strict-transport-security",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (is_kept(names[i]))
            fail_msg("%s is kept", names[i]);
}

/* Every field that a proxy must know is about the head. */
static void test_trailers_known_fields_dropped(void **state)
{
    (void)state;
#define FIELD(id, name, class) assert_false(is_kept(name));
#include "proxy/http/fields.def"
#undef FIELD
}

static void test_trailers_other_names_kept(void **state)
{
    static const char *const names[] = {
        "a",
        "grpc-status",
        "grpc-message",
        "grpc-status-details-bin",
        "server-timing",
        "digest",
        "etag",
        "content-digest",
        "content-md5",
        "repr-digest",
        "accept-ranges",
        "authentication-info",
        "link",
        "proxy-status",
        "x-checksum",
        "x-amz-checksum-sha256",
        "signature",
        "x-t-error",
        "content",
        "hosts",
        "x-stream-error",
        "cookies",
        "if",
        "sec",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (!is_kept(names[i]))
            fail_msg("%s is dropped", names[i]);
}

static void test_trailers_check_bad_field_refused(void **state)
{
    static const struct text rows[][2] = {
        {ROW(""), ROW("a")},      {ROW("a b"), ROW("")},      {ROW("a:"), ROW("")},         {ROW("a\0"), ROW("")},
        {ROW("a\r\nb"), ROW("")}, {ROW("\xc3\xa9"), ROW("")}, {ROW("a"), ROW("b\r\nc: d")}, {ROW("a"), ROW("b\0")},
        {ROW("a"), ROW("\n")},    {ROW("a"), ROW("\x7f")},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct field items[] = {{.name = TEXT_LITERAL("A"), .value = TEXT_LITERAL("b")},
                                {.name = rows[i][0], .value = rows[i][1]}};
        struct fields fields = {items, 2, 2};

        if (!trailers_check(&fields))
            fail_msg("row %zu", i);
        fields.n_items = 1;
        assert_null(trailers_check(&fields));
    }
}

static void test_trailers_write_any_small_buffer_nothing_beyond(void **state)
{
    struct field items[] = {
        {.name = TEXT_LITERAL("A"), .value = TEXT_LITERAL("b")},
        {.name = TEXT_LITERAL("Host"), .value = TEXT_LITERAL("b"), .drop = true},
        {.name = TEXT_LITERAL("Empty"), .value = {NULL, 0}},
    };
    struct fields fields = {items, 3, 3};
    char out[64];

    (void)state;
    for (size_t size = 0; size <= 15; size++) {
        memset(out, '#', sizeof(out));
        assert_true(trailers_write(&fields, out, size) == (size < 15 ? SIZE_MAX : 15));
        assert_int_equal(out[size], '#');
    }
    assert_memory_equal(out, "A: b\r\nEmpty: \r\n#", 16);
    fields.n_items = 0;
    assert_int_equal(trailers_write(&fields, NULL, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trailers_parse_good_section_written_without_forbidden),
        cmocka_unit_test(test_trailers_parse_bad_section_refused),
        cmocka_unit_test(test_trailers_forbidden_names_dropped),
        cmocka_unit_test(test_trailers_known_fields_dropped),
        cmocka_unit_test(test_trailers_other_names_kept),
        cmocka_unit_test(test_trailers_check_bad_field_refused),
        cmocka_unit_test(test_trailers_write_any_small_buffer_nothing_beyond),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
