/* Numbers with units, edit distance, positions, paths: the pure parts of the loader. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/position.h"
#include "config/value.h"
#include "proxy/base/words.h"

static const struct {
    const char *text;
    enum limit_unit unit;
    enum value_verdict verdict;
    uint64_t value;
} value_rows[] = {
    {"0ms", UNIT_MS, VALUE_OK, 0},
    {"250ms", UNIT_MS, VALUE_OK, 250},
    {"5s", UNIT_MS, VALUE_OK, 5000},
    {"1m", UNIT_MS, VALUE_OK, 60000},
    {"2h", UNIT_MS, VALUE_OK, 7200000},
    {"1d", UNIT_MS, VALUE_OK, 86400000},
    {"30d", UNIT_MS, VALUE_OK, 2592000000},
    {"720h", UNIT_MS, VALUE_OK, 2592000000},
    {"1m30s", UNIT_MS, VALUE_MALFORMED, 0},
    {"5", UNIT_MS, VALUE_MALFORMED, 0},
    {"5 s", UNIT_MS, VALUE_MALFORMED, 0},
    {"-5s", UNIT_MS, VALUE_MALFORMED, 0},
    {"+5s", UNIT_MS, VALUE_MALFORMED, 0},
    {"1.5s", UNIT_MS, VALUE_MALFORMED, 0},
    {"5S", UNIT_MS, VALUE_MALFORMED, 0},
    {"s", UNIT_MS, VALUE_MALFORMED, 0},
    {"", UNIT_MS, VALUE_MALFORMED, 0},
    {"unlimited", UNIT_MS, VALUE_MALFORMED, 0},
    {"18446744073709551616ms", UNIT_MS, VALUE_HUGE, 0},
    {"18446744073709551615s", UNIT_MS, VALUE_HUGE, 0},
    {"512B", UNIT_BYTES, VALUE_OK, 512},
    {"64KiB", UNIT_BYTES, VALUE_OK, 65536},
    {"10MiB", UNIT_BYTES, VALUE_OK, 10485760},
    {"1GiB", UNIT_BYTES, VALUE_OK, 1073741824},
    {"unlimited", UNIT_BYTES, VALUE_OK, UINT64_MAX},
    {"18446744073709551614B", UNIT_BYTES, VALUE_OK, UINT64_MAX - 1},
    {"18446744073709551615B", UNIT_BYTES, VALUE_HUGE, 0},
    {"16777216TiB", UNIT_BYTES, VALUE_HUGE, 0},
    {"auto", UNIT_MEMORY, VALUE_OK, LIMIT_MEMORY_AUTO},
    {"64MiB", UNIT_MEMORY, VALUE_OK, 67108864},
    {"unlimited", UNIT_MEMORY, VALUE_OK, UINT64_MAX},
    {"auto", UNIT_BYTES, VALUE_MALFORMED, 0},
    {"automatic", UNIT_MEMORY, VALUE_MALFORMED, 0},
    {"64KB", UNIT_BYTES, VALUE_MALFORMED, 0},
    {"64", UNIT_BYTES, VALUE_MALFORMED, 0},
    {"0660", UNIT_MODE, VALUE_OK, 0660},
    {"02750", UNIT_MODE, VALUE_OK, 02750},
    {"660", UNIT_MODE, VALUE_MALFORMED, 0},
    {"0680", UNIT_MODE, VALUE_MALFORMED, 0},
    {"066", UNIT_MODE, VALUE_MALFORMED, 0},
    {"000660", UNIT_MODE, VALUE_MALFORMED, 0},
    {"0o66", UNIT_MODE, VALUE_MALFORMED, 0},
    {"0", UNIT_FRACTION, VALUE_OK, 0},
    {"1", UNIT_FRACTION, VALUE_OK, 1000},
    {"0.5", UNIT_FRACTION, VALUE_OK, 500},
    {"0.05", UNIT_FRACTION, VALUE_OK, 50},
    {"0.250", UNIT_FRACTION, VALUE_OK, 250},
    {"12.001", UNIT_FRACTION, VALUE_OK, 12001},
    {"0.0001", UNIT_FRACTION, VALUE_MALFORMED, 0},
    {"00.5", UNIT_FRACTION, VALUE_MALFORMED, 0},
    {"0.", UNIT_FRACTION, VALUE_MALFORMED, 0},
    {".5", UNIT_FRACTION, VALUE_MALFORMED, 0},
    {"-0.5", UNIT_FRACTION, VALUE_MALFORMED, 0},
    {"0.5e1", UNIT_FRACTION, VALUE_MALFORMED, 0},
    {"50%", UNIT_FRACTION, VALUE_MALFORMED, 0},
    {"18446744073709551616", UNIT_FRACTION, VALUE_HUGE, 0},
    {"18446744073709551.616", UNIT_FRACTION, VALUE_HUGE, 0},
};

static void test_value_parse_reads_exactly_one_number_and_unit(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LENGTH(value_rows); i++) {
        uint64_t value = 77;
        print_message("%s\n", value_rows[i].text);
        assert_int_equal(value_parse(value_rows[i].text, value_rows[i].unit, &value), value_rows[i].verdict);
        assert_true(value == (value_rows[i].verdict == VALUE_OK ? value_rows[i].value : 77));
    }
}

static void test_value_format_gives_the_shortest_that_parses_back(void **state UNUSED)
{
    char text[VALUE_BYTES];

    assert_string_equal(value_format(0, UNIT_MS, text), "0ms");
    assert_string_equal(value_format(1500, UNIT_MS, text), "1500ms");
    assert_string_equal(value_format(90000, UNIT_MS, text), "90s");
    assert_string_equal(value_format(86400000, UNIT_MS, text), "1d");
    assert_string_equal(value_format(16384, UNIT_BYTES, text), "16KiB");
    assert_string_equal(value_format(UINT64_MAX, UNIT_BYTES, text), "unlimited");
    assert_string_equal(value_format(LIMIT_MEMORY_AUTO, UNIT_MEMORY, text), "auto");
    assert_string_equal(value_format(UINT64_MAX, UNIT_MEMORY, text), "unlimited");
    assert_string_equal(value_format(67108864, UNIT_MEMORY, text), "64MiB");
    assert_string_equal(value_format(UINT64_MAX - 1, UNIT_BYTES, text), "18446744073709551614B");
    assert_string_equal(value_format(0, UNIT_MODE, text), "0000");
    assert_string_equal(value_format(02750, UNIT_MODE, text), "02750");
    assert_string_equal(value_format(7, UNIT_COUNT, text), "7");
    assert_string_equal(value_format(0, UNIT_FRACTION, text), "0");
    assert_string_equal(value_format(50, UNIT_FRACTION, text), "0.05");
    assert_string_equal(value_format(1000, UNIT_FRACTION, text), "1");
    assert_string_equal(value_format(10500, UNIT_FRACTION, text), "10.5");
}

static void test_value_parse_statuses_knows_one_a_class_and_a_range(void **state UNUSED)
{
    static const struct {
        const char *text;
        unsigned least, most; /* 0: refused */
    } rows[] = {
        {"2xx", 200, 299}, {"5xx", 500, 599}, {"204", 204, 204},  {"200-399", 200, 399}, {"599-599", 599, 599},
        {"1xx", 0, 0},     {"6xx", 0, 0},     {"199", 0, 0},      {"600", 0, 0},         {"399-200", 0, 0},
        {"200-", 0, 0},    {"200-39", 0, 0},  {"200-3999", 0, 0}, {"2x", 0, 0},          {"2xxx", 0, 0},
        {"200,204", 0, 0}, {"", 0, 0},        {"2", 0, 0},        {"20", 0, 0},          {"-200", 0, 0},
    };

    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        unsigned least = 0, most = 0;

        print_message("%s\n", rows[i].text);
        assert_int_equal(value_parse_statuses(rows[i].text, &least, &most), rows[i].least > 0);
        assert_int_equal(least, rows[i].least);
        assert_int_equal(most, rows[i].most);
    }
}

static void test_limits_have_defaults_within_bounds(void **state UNUSED)
{
    for (size_t i = 0; i < N_LIMITS; i++) {
        assert_true(limits[i].minimum <= limits[i].fallback);
        assert_true(limits[i].fallback <= limits[i].maximum);
    }
}

static const char position_text[] = "{ \"a\": [1, {\"b\": \"]}\\\"\"}, [ [], 5 ]],\n"
                                    "  \"\xc3\xa9\xc3\xa9\": 1, \"x\\u002fy~\": 2,\r\n"
                                    "\t\"last\": {}\n}\n";

static const struct {
    const char *pointer;
    struct position value, key;
} position_rows[] = {
    {"", {1, 1}, {1, 1}},           {"/a", {1, 8}, {1, 3}},
    {"/a/0", {1, 9}, {1, 9}},       {"/a/1", {1, 12}, {1, 12}},
    {"/a/1/b", {1, 18}, {1, 13}},   {"/a/2", {1, 27}, {1, 27}},
    {"/a/2/1", {1, 33}, {1, 33}},   {"/\xc3\xa9\xc3\xa9", {2, 9}, {2, 3}},
    {"/x~1y~0", {2, 25}, {2, 12}},  {"/last", {3, 10}, {3, 2}},
    {"/a/1/zzz", {1, 12}, {1, 12}}, {"/a/9", {1, 8}, {1, 3}},
};

static void test_position_of_pointer_finds_values_and_keys(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LENGTH(position_rows); i++) {
        struct position value =
            position_of_pointer(position_text, sizeof(position_text) - 1, position_rows[i].pointer, false);
        struct position key =
            position_of_pointer(position_text, sizeof(position_text) - 1, position_rows[i].pointer, true);
        print_message("%s\n", position_rows[i].pointer);
        assert_int_equal(value.line, position_rows[i].value.line);
        assert_int_equal(value.column, position_rows[i].value.column);
        assert_int_equal(key.line, position_rows[i].key.line);
        assert_int_equal(key.column, position_rows[i].key.column);
    }
}

static void test_position_of_pointer_in_cut_text_stays_inside(void **state UNUSED)
{
    for (size_t length = 0; length < sizeof(position_text); length++) {
        /* Exactly as long, so that a sanitizer sees a step too far. */
        char *text = malloc(length + 1);
        assert_non_null(text);
        memcpy(text, position_text, length);
        for (size_t i = 0; i < ARRAY_LENGTH(position_rows); i++)
            assert_true(position_of_pointer(text, length, position_rows[i].pointer, false).line > 0);
        free(text);
    }
}

static void test_words_nearest_names_the_near_word_only(void **state UNUSED)
{
    static const char *const words[] = {"mode", "owner", "group", "limits", "directory_mode", NULL};

    assert_string_equal(words_nearest("moed", words), "mode");
    assert_string_equal(words_nearest("onwer", words), "owner");
    assert_string_equal(words_nearest("limit", words), "limits");
    assert_string_equal(words_nearest("directorymode", words), "directory_mode");
    assert_null(words_nearest("colour", words));
    assert_null(words_nearest("", words));
    assert_null(words_nearest("a-word-that-is-longer-than-every-key", words));
}

static void test_words_show_cuts_at_a_whole_character(void **state UNUSED)
{
    char text[200] = "x", out[WORDS_SHOWN_BYTES];
    size_t length;

    for (size_t i = 1; i + 2 < sizeof(text); i += 2)
        memcpy(text + i, "\xc3\xa9", 3);
    words_show(text, out);
    length = strlen(out);
    assert_true(length < sizeof(out));
    assert_string_equal(out + length - 3, "...");
    assert_int_equal((unsigned char)out[length - 4], 0xa9);
    assert_string_equal(words_show("short", out), "short");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_value_parse_reads_exactly_one_number_and_unit),
        cmocka_unit_test(test_value_format_gives_the_shortest_that_parses_back),
        cmocka_unit_test(test_value_parse_statuses_knows_one_a_class_and_a_range),
        cmocka_unit_test(test_limits_have_defaults_within_bounds),
        cmocka_unit_test(test_position_of_pointer_finds_values_and_keys),
        cmocka_unit_test(test_position_of_pointer_in_cut_text_stays_inside),
        cmocka_unit_test(test_words_nearest_names_the_near_word_only),
        cmocka_unit_test(test_words_show_cuts_at_a_whole_character),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
