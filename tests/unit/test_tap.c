/* Taps: rings that lose what finds no room, filters, and lines of JSON. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "proxy/report/tap.h"
#include "proxy/report/tap_filter.h"
#include "proxy/report/tap_line.h"

static struct record record_of(const char *target)
{
    return (struct record){.request_id = TEXT_LITERAL("id-1"),
                           .method = TEXT_LITERAL("GET"),
                           .target = text_of(target),
                           .listener = TEXT_LITERAL("front"),
                           .route = TEXT_LITERAL("read"),
                           .upstream = TEXT_LITERAL("docker"),
                           .peer = TEXT_LITERAL("unix:uid=1000,gid=1000"),
                           .status = 404,
                           .outcome = OUTCOME_FORWARDED,
                           .reason = "why",
                           .minor = 1,
                           .total_us = 12000,
                           .connect_us = -1,
                           .first_byte_us = -1};
}

static void test_tap_nobody_listens_wants_nothing(void **state)
{
    struct tap *tap = aligned_alloc(alignof(struct tap), sizeof(*tap));

    (void)state;
    assert_int_equal(tap_wanted(NULL), 0);
    tap_init(tap);
    assert_int_equal(tap_wanted(tap), 0);
    assert_null(tap->ring);
    assert_int_equal(tap_listen(tap, TAP_WANTS), 0);
    assert_int_equal(tap_wanted(tap), TAP_WANTS);
    tap_deinit(tap);
    free(tap);
}

static void test_tap_record_comes_out_as_it_went_in(void **state)
{
    struct tap *tap = aligned_alloc(alignof(struct tap), sizeof(*tap));
    struct record record = record_of("/v1.44/info");
    struct tap_view view;

    (void)state;
    tap_init(tap);
    assert_int_equal(tap_listen(tap, TAP_WANTS), 0);
    assert_false(tap_next(tap, &view));
    tap_add(tap, &record);
    assert_true(tap_next(tap, &view));
    assert_true(text_equal(view.record.target, record.target));
    assert_true(text_equal(view.record.peer, record.peer));
    assert_true(text_equal(view.record.upstream, record.upstream));
    assert_string_equal(view.record.reason, "why");
    assert_int_equal(view.record.status, 404);
    assert_false(view.has_heads);
    tap_taken(tap);
    assert_false(tap_next(tap, &view));
    tap_deinit(tap);
    free(tap);
}

static void test_tap_full_ring_loses_and_counts(void **state)
{
    struct tap *tap = aligned_alloc(alignof(struct tap), sizeof(*tap));
    struct record record = record_of("/");
    struct tap_view view;
    uint64_t n = 0, n_added = 20000;

    (void)state;
    tap_init(tap);
    assert_int_equal(tap_listen(tap, TAP_WANTS), 0);
    for (uint64_t i = 0; i < n_added; i++)
        tap_add(tap, &record);
    assert_true(tap_lost(tap) > 0);
    assert_false(tap_has_room(tap));
    for (; tap_next(tap, &view); n++)
        tap_taken(tap);
    assert_int_equal(n + tap_lost(tap), n_added + 1);
    assert_true(tap_has_room(tap));
    tap_deinit(tap);
    free(tap);
}

#define RACE_RECORDS 200000

static void *write_many(void *closure)
{
    struct tap *tap = closure;
    char target[64];

    for (int i = 0; i < RACE_RECORDS; i++) {
        struct record record;

        snprintf(target, sizeof(target), "/%d/%.*s", i, i % 40, "0123456789012345678901234567890123456789");
        record = record_of(target);
        record.received_bytes = (uint64_t)i;
        tap_add(tap, &record);
    }
    return NULL;
}

/* Records come whole and in order, round and round, whatever is lost between them. */
static void test_tap_two_threads_lose_nothing_uncounted(void **state)
{
    struct tap *tap = aligned_alloc(alignof(struct tap), sizeof(*tap));
    uint64_t n = 0;
    int64_t last = -1;
    pthread_t thread;

    (void)state;
    tap_init(tap);
    assert_int_equal(tap_listen(tap, TAP_WANTS), 0);
    assert_int_equal(pthread_create(&thread, NULL, write_many, tap), 0);
    while (n + tap_lost(tap) < RACE_RECORDS) {
        struct tap_view view;

        while (tap_next(tap, &view)) {
            assert_true((int64_t)view.record.received_bytes > last);
            last = (int64_t)view.record.received_bytes;
            assert_int_equal(strtol(view.record.target.data + 1, NULL, 10), last);
            tap_taken(tap);
            n++;
        }
    }
    pthread_join(thread, NULL);
    assert_int_equal(n + tap_lost(tap), RACE_RECORDS);
    tap_deinit(tap);
    free(tap);
}

/* ---- lines ---- */

static char field_block[4096];

static struct tap_fields fields_of(const struct field *fields, size_t n)
{
    char *to = field_block;

    for (size_t i = 0; i < n; i++)
        to = tap_field_put(to, &fields[i], i == 2);
    return (struct tap_fields){field_block, (size_t)(to - field_block)};
}

static json_t *line_of(const struct tap_view *view, const struct tap_choice *choice)
{
    static char out[TAP_LINE_BYTES];
    size_t n = tap_line_write(view, choice, out, sizeof(out));
    json_t *line;

    assert_true(n > 0);
    assert_int_equal(out[n - 1], '\n');
    line = json_loadb(out, n, 0, NULL);
    assert_non_null(line);
    return line;
}

static const char *header_of(const json_t *line, size_t i)
{
    return json_string_value(json_array_get(json_array_get(json_object_get(line, "request_headers"), i), 1));
}

static void test_tap_line_redacts_what_is_secret(void **state)
{
    static const struct field fields[] = {
        {.name = TEXT_LITERAL("Host"), .value = TEXT_LITERAL("h\"\x1b")},
        {.name = TEXT_LITERAL("aUTHORIZATION"), .value = TEXT_LITERAL("planted")},
        {.name = TEXT_LITERAL("X-Of-A-File"), .value = TEXT_LITERAL("planted")},
        {.name = TEXT_LITERAL("X_Mine"), .value = TEXT_LITERAL("planted")},
    };
    char *redact[] = {"X-Mine", NULL};
    struct tap_view view = {.record = record_of("/"), .has_heads = true};
    struct tap_choice choice = {.heads = true, .redact = redact};
    json_t *line;

    (void)state;
    view.message.request_fields = fields_of(fields, ARRAY_LENGTH(fields));
    line = line_of(&view, &choice);
    assert_string_equal(header_of(line, 0), "h\"\x1b");
    for (size_t i = 1; i < 4; i++)
        assert_string_equal(header_of(line, i), "[redacted]");
    json_decref(line);
    choice.unredacted = true;
    line = line_of(&view, &choice);
    for (size_t i = 1; i < 4; i++)
        assert_string_equal(header_of(line, i), "planted");
    json_decref(line);
}

static void assert_body(struct text kept, uint64_t whole, const char *key, const char *expected, bool cut)
{
    struct tap_view view = {.record = record_of("/"), .body_most = 100};
    struct tap_choice choice = {.body_bytes = 100};
    json_t *line, *body;

    view.record.sent_bytes = whole;
    view.message.response_body = kept;
    line = line_of(&view, &choice);
    body = json_object_get(line, "response_body");
    assert_int_equal(json_integer_value(json_object_get(body, "bytes")), whole);
    assert_string_equal(json_string_value(json_object_get(body, key)), expected);
    assert_int_equal(json_is_true(json_object_get(body, "cut")), cut);
    json_decref(line);
}

static void test_tap_line_bodies_are_text_or_base64(void **state)
{
    (void)state;
    assert_body(TEXT_LITERAL("a\r\n\"b\"\t\xc3\xa9"), 10, "text", "a\r\n\"b\"\t\xc3\xa9", true);
    assert_body(TEXT_LITERAL("ab"), 2, "text", "ab", false);
    assert_body(TEXT_LITERAL("ab\xc3"), 4, "text", "ab", true);
    assert_body(TEXT_LITERAL("ab\xc3"), 3, "base64", "YWLD", false);
    assert_body(TEXT_LITERAL("\0"), 1, "base64", "AA==", false);
    assert_body(TEXT_LITERAL("\x1b["), 2, "base64", "G1s=", false);
}

/* Whatever the room, a line is whole or is not there. */
static void test_tap_line_without_room_is_none(void **state)
{
    static const struct field fields[] = {{.name = TEXT_LITERAL("A"), .value = TEXT_LITERAL("\1\2\3\4\5\6\7")},
                                          {.name = TEXT_LITERAL("B"), .value = TEXT_LITERAL("bbbbbbbbbbbbbbbbbbbb")}};
    struct tap_choice choice = {.heads = true, .body_bytes = 8192};
    struct tap_view view = {.record = record_of("/"), .has_heads = true, .body_most = 8192};
    char body[8192];
    int n_whole = 0;

    (void)state;
    memset(body, 'x', sizeof(body));
    view.record.sent_bytes = sizeof(body);
    view.message.response_body = (struct text){body, sizeof(body)};
    view.message.request_fields = fields_of(fields, ARRAY_LENGTH(fields));
    for (size_t size = 4000; size < 9400; size += 7) {
        char *out = malloc(size);
        size_t n;

        assert_non_null(out);
        n = tap_line_write(&view, &choice, out, size);
        if (n > 0) {
            json_t *line = json_loadb(out, n, 0, NULL);

            assert_non_null(line);
            assert_int_equal(json_string_length(json_object_get(json_object_get(line, "response_body"), "text")), 8192);
            json_decref(line);
            n_whole++;
        }
        free(out);
    }
    assert_true(n_whole > 0);
}

/* ---- filters ---- */

static void test_tap_filter_of_each_kind(void **state)
{
    static const struct {
        const char *query;
        bool fits;
    } rows[] = {
        {"", true},
        {"&&", true},
        {"listener=front&route=read&method=GET", true},
        {"listener=fron", false},
        {"method=get", false},
        {"status=404", true},
        {"status=4xx", true},
        {"status=4XX", true},
        {"status=403", false},
        {"status=5xx", false},
        {"min_duration=12ms", true},
        {"min_duration=13ms", false},
        {"peer=uid%3D1000", true},
        {"peer=uid=1001", false},
        {"path_prefix=%2Fv1", true},
        {"path_prefix=/v2", false},
        {"headers=1&bodies=65536", true},
    };
    struct record record = record_of("/v1.44/info");

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct tap_filter filter;
        struct error error = ERROR_INIT;

        assert_int_equal(tap_filter_parse(text_of(rows[i].query), &filter, &error), 0);
        if (tap_filter_fits(&filter, &record) != rows[i].fits)
            fail_msg("%s", rows[i].query);
    }
}

static void test_tap_filter_refuses_what_it_does_not_know(void **state)
{
    static const char *const rows[] = {"statos=404",    "status=99",    "status=600", "status=4x",   "status=",
                                       "min_duration=", "bodies=65537", "bodies=-1",  "headers=yes", "peer=%",
                                       "peer=%0",       "peer=%zz",     "peer=%00",   "%00=1",       "=1"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct tap_filter filter;
        struct error error = ERROR_INIT;

        if (tap_filter_parse(text_of(rows[i]), &filter, &error) == 0)
            fail_msg("%s", rows[i]);
        assert_true(error.message[0] != '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tap_nobody_listens_wants_nothing),
        cmocka_unit_test(test_tap_record_comes_out_as_it_went_in),
        cmocka_unit_test(test_tap_full_ring_loses_and_counts),
        cmocka_unit_test(test_tap_two_threads_lose_nothing_uncounted),
        cmocka_unit_test(test_tap_line_redacts_what_is_secret),
        cmocka_unit_test(test_tap_line_bodies_are_text_or_base64),
        cmocka_unit_test(test_tap_line_without_room_is_none),
        cmocka_unit_test(test_tap_filter_of_each_kind),
        cmocka_unit_test(test_tap_filter_refuses_what_it_does_not_know),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
