/* Lines of logs: valid whatever they are made of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <jansson.h>

#include "proxy/base/line.h"

#define TIME ((struct wall_time){UINT64_C(1700000000123456789)})

static void assert_escaped(const char *s, size_t n, const char *expected)
{
    char out[128];

    assert_int_equal(line_escape(out, sizeof(out), s, n), strlen(expected));
    assert_string_equal(out, expected);
}

static void test_line_escape_lets_only_valid_text_through(void **state)
{
    (void)state;
    assert_escaped("", 0, "");
    assert_escaped("a\0b", 3, "a\\u0000b");
    assert_escaped("\"\\/", 3, "\\\"\\\\/");
    assert_escaped("\xe2\x82\xac \xf0\x9f\x98\x80", 8, "\xe2\x82\xac \xf0\x9f\x98\x80");
    assert_escaped("\xe2\x82", 2, "\\u00e2\\u0082");                       /* cut short */
    assert_escaped("\xc0\x80", 2, "\\u00c0\\u0080");                       /* overlong */
    assert_escaped("\xed\xa0\x80", 3, "\\u00ed\\u00a0\\u0080");            /* surrogate */
    assert_escaped("\xf4\x90\x80\x80", 4, "\\u00f4\\u0090\\u0080\\u0080"); /* above U+10FFFF */
    assert_escaped("\xc2\x85", 2, "\\u0085");                              /* C1 */
}

/* Whatever a reader could take for a space, a line end or nothing at all, as an escape that means it. */
static void test_line_escape_hides_no_space(void **state)
{
    static const unsigned rows[] = {
        0x01,   0x09,   0x0a,   0x0b,    0x0c,    0x0d,    0x1b,    0x1c,    0x7f,   0x85,   0x9b,   0xa0,
        0xad,   0x34f,  0x61c,  0x1680,  0x180e,  0x2000,  0x2001,  0x2002,  0x2003, 0x2004, 0x2005, 0x2006,
        0x2007, 0x2008, 0x2009, 0x200a,  0x200b,  0x200c,  0x200d,  0x200e,  0x200f, 0x2028, 0x2029, 0x202a,
        0x202b, 0x202c, 0x202d, 0x202e,  0x202f,  0x205f,  0x2060,  0x2066,  0x2069, 0x2800, 0x3000, 0x3164,
        0xfe0f, 0xfeff, 0xfff9, 0x1d173, 0xe0001, 0xe0041, 0xe007f, 0xe01ef,
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char json[64], text[8], escaped[32];
        json_t *value;
        size_t n, length;

        n = rows[i] < 0x10000
                ? (size_t)snprintf(json, sizeof(json), "\"\\u%04x\"", rows[i])
                : (size_t)snprintf(json, sizeof(json), "\"\\u%04x\\u%04x\"", 0xd800 | (rows[i] - 0x10000) >> 10,
                                   0xdc00 | ((rows[i] - 0x10000) & 0x3ff));
        value = json_loadb(json, n, JSON_DECODE_ANY, NULL);
        assert_non_null(value);
        length = json_string_length(value);
        memcpy(text, json_string_value(value), length);
        json_decref(value);
        json[n - 1] = '\0';
        line_escape(escaped, sizeof(escaped), text, length);
        assert_string_equal(escaped, json + 1);
    }
    assert_escaped("a\xc3\xa9 \xe4\xb8\x80\xf0\x9f\x98\x80", 11, "a\xc3\xa9 \xe4\xb8\x80\xf0\x9f\x98\x80");
}

static void test_line_escape_cuts_at_a_whole_escape(void **state)
{
    char out[8];

    (void)state;
    assert_int_equal(line_escape(out, sizeof(out), "a\1b", 3), 7);
    assert_string_equal(out, "a\\u0001");
    assert_int_equal(line_escape(out, sizeof(out), "ab\1", 3), 2);
    assert_string_equal(out, "ab");
    assert_int_equal(line_escape(out, 4, "a\xe2\x82\xac", 4), 1);
    assert_string_equal(out, "a");
    assert_int_equal(line_escape(out, 1, "a", 1), 0);
    assert_string_equal(out, "");
    assert_int_equal(line_escape(out, 0, "a", 1), 0);
}

static void test_line_has_time_and_fields_in_order(void **state)
{
    struct line line;
    char out[256];
    size_t n;

    (void)state;
    line_begin(&line, LOG_FORMAT_PLAIN, TIME, out, sizeof(out));
    line_put_text(&line, "a", text_of("x \"y\""), SIZE_MAX);
    line_put_number(&line, "b", UINT64_MAX);
    n = line_end(&line);
    out[n] = '\0';
    assert_string_equal(out, "2023-11-14T22:13:20.123Z a=\"x \\\"y\\\"\" b=18446744073709551615\n");
    line_begin(&line, LOG_FORMAT_JSON, TIME, out, sizeof(out));
    line_put_message(&line, "info", text_of("m"));
    line_put_text(&line, "a", (struct text){NULL, 0}, SIZE_MAX);
    n = line_end(&line);
    out[n] = '\0';
    assert_string_equal(out,
                        "{\"time\":\"2023-11-14T22:13:20.123Z\",\"level\":\"info\",\"message\":\"m\",\"a\":\"\"}\n");
}

/* As the library has it, on days all over the calendar, and at the ends of months and years. */
static void test_line_time_is_that_of_the_calendar(void **state)
{
    (void)state;
    for (uint64_t seconds = 0; seconds < UINT64_C(17000000000); seconds += 86400 * 7 - 1) {
        time_t time = (time_t)seconds;
        char out[128], expected[64];
        struct line line;
        struct tm tm;

        gmtime_r(&time, &tm);
        strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%S.007Z", &tm);
        line_begin(&line, LOG_FORMAT_PLAIN, (struct wall_time){seconds * 1000000000u + 7999999u}, out, sizeof(out));
        out[line_end(&line) - 1] = '\0';
        assert_string_equal(out, expected);
    }
}

/* Whatever the room, a line is whole, and JSON is JSON. */
static void test_line_without_room_is_still_a_line(void **state)
{
    static const char *const texts[] = {"xxxxxxxxxxxxxxxx", "\"\"\"\"\"\"\"\"", "\x01\x01\x01\x01",
                                        "\xc3\xa9\xc3\xa9\xc3\xa9"};

    (void)state;
    for (size_t size = 128; size < 320; size++) {
        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
            char *out = malloc(size);
            struct line line;
            json_t *json;
            size_t n;

            assert_non_null(out);
            line_begin(&line, LOG_FORMAT_JSON, TIME, out, size);
            line_put_message(&line, "info", text_of(texts[i]));
            for (int k = 0; k < 10; k++) {
                line_put_text(&line, "text", text_of(texts[i]), 12);
                line_put_number(&line, "number", 1234567);
            }
            n = line_end(&line);
            assert_true(n <= size);
            assert_int_equal(out[n - 1], '\n');
            json = json_loadb(out, n, 0, NULL);
            assert_non_null(json);
            json_decref(json);
            line_begin(&line, LOG_FORMAT_PLAIN, TIME, out, size);
            line_put_message(&line, "info", text_of(texts[i]));
            for (int k = 0; k < 10; k++)
                line_put_text(&line, "text", text_of(texts[i]), SIZE_MAX);
            assert_true(line_end(&line) <= size);
            free(out);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line_escape_lets_only_valid_text_through),
        cmocka_unit_test(test_line_escape_hides_no_space),
        cmocka_unit_test(test_line_escape_cuts_at_a_whole_escape),
        cmocka_unit_test(test_line_has_time_and_fields_in_order),
        cmocka_unit_test(test_line_time_is_that_of_the_calendar),
        cmocka_unit_test(test_line_without_room_is_still_a_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
